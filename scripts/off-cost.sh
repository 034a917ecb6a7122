#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# off-cost.sh: what tracepoints and contract checker cost while they are compiled in
# and off: two kernels, one with and one without, see configs/off-cost*.config. Their
# functions are compared, and both are booted for the figures of the benchmark
# (bench-guest.sh). Leaves build/off-cost/off-cost.tsv, prints what off-cost-report.py
# makes of it, and fails if a target is missed:
#
#  - who calls a hook is compiled to the same instructions,
#  - an invalidation without subscriber takes as many as before,
#  - one with subscribers takes 6 more at most, start and end together.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"
[ "$ARCH" = x86_64 ] || die "make off-cost runs on x86_64 only, and ARCH is $ARCH"
command -v objdump >/dev/null || die "objdump is missing; run: apt-get install binutils"

fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH",bench,off-cost}.config)
without=$BUILD/kbuild-off-cost-without with=$BUILD/kbuild-off-cost-with

KBUILD=$without scripts/build.sh "${fragments[@]}"
KBUILD=$with scripts/build.sh "${fragments[@]}" "$SELFTESTS/configs/off-cost-with.config"

# Nothing but what is to be looked at may differ.
differ=$(diff <(grep '=' "$without/.config") <(grep '=' "$with/.config") | grep '^[<>]' |
	grep -v 'CONFIG_\(DEBUG_\)\?MMU_NOTIFIER') || true
[ -z "$differ" ] || die "the kernels that are compared differ in: $differ"

mkdir -p "$BUILD/off-cost"
rm -f "$BUILD"/off-cost/*.t*
for kernel in without with; do
	scripts/bench-guest.sh insn "off-cost-$kernel"
done
scripts/off-cost-report.py "$BUILD/off-cost" "$without" "$with"
