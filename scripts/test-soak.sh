#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-soak.sh: everything at once for MINUTES: the monitor's race, cache and fuzzer,
# forking, stress-ng short of memory, the tracepoints, and the torture module. In the
# end the kernel has to have as much memory in use as in the beginning.
#
# The comparison, cache by cache, is in build/results/soak.out.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/host-files.sh"

: "${MINUTES:=30}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac

MORE_PACKAGES=stress-ng "$TOP/scripts/deps.sh"
if [ -z "${NO_BUILD:-}" ]; then
	"$TOP/scripts/build.sh"
	"$TOP/scripts/initramfs.sh"
fi

MEM=3G host_guest soak "soak-$MINUTES" $((MINUTES * 80 + 900)) 'SOAK: PASS' "minutes=$MINUTES" \
	/usr/bin/stress-ng </dev/null
