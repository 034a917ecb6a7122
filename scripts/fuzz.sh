#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fuzz.sh: the fuzzer of tools/testing/mmu_notifier for MINUTES, or until it is
# interrupted. What it has learned stays in build/host/corpus; a sequence that
# fails is kept, and the command that runs it again is printed.

. "$(dirname "$0")/common.sh"
: "${MINUTES:=0}"
[[ $MINUTES =~ ^[0-9]+$ ]] || die "MINUTES=$MINUTES is not a number"

"$TOP/scripts/overlay.sh"
host=$BUILD/host
mkdir -p "$host/mm" "$host/corpus" "$host/found"
rsync -c "$LINUX"/mm/mmu_notifier*.[ch] "$host/mm/"
logged fuzz-build make -s -C "$TOP/tools/testing/mmu_notifier" -f Makefile.tests \
	LINUX="$LINUX" OUTPUT="$host" "$host/fuzz"
say "fuzzing on $JOBS processors; the logs are $host/fuzz-*.log"
cd "$host"
"$host/fuzz" -max_total_time=$((MINUTES * 60)) -timeout=10 -max_len=900 -jobs="$JOBS" \
	-workers="$JOBS" -artifact_prefix="$host/found/" "$host/corpus" || {
	echo "run it again: $host/fuzz $(ls -t "$host"/found/* | head -n 1)" >&2
	exit 1
}
