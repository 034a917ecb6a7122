#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: stock's core and ours, side by side in one run.
#
#  native	both cores compiled in user space (tools/testing/mmu_notifier)
#  insn		guest instructions (bench-kernels.sh, bench-guest.sh, bench-size.sh)
#  wall		guest wall clock (the same)
#
# Leaves build/bench/results.json, a report with plots in build/bench/report
# (bench-report.py, bench-plots.sh), and says which targets are met. QUICK=1 takes
# the native figures only and builds no kernel. With CHECK=1 it fails if a target
# is missed.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"
: "${QUICK:=0}"
[ "$ARCH" = x86_64 ] || die "make bench runs on x86_64 only"
case $QUICK in
0 | 1)	;;
*)	die "QUICK=$QUICK makes no sense; 0 and 1 do" ;;
esac

bench=$BUILD/bench
mkdir -p "$bench"
rm -rf "$bench"/*.txt "$bench"/*.dat "$bench/report"
load=$(cut -d' ' -f1-3 /proc/loadavg)
begin=$SECONDS

# Real-time priority keeps others off; where that is not allowed it has to do
# without.
realtime=(chrt -f 1)
"${realtime[@]}" true 2>/dev/null || realtime=()

rounds=7 attempts=14

# Two threads on two mms disturb each other only if something else runs.
undisturbed()
{
	awk '$1 == "scale2/control-two-mms" { ok = $2 >= 1.96 } END { exit !ok }' "$1"
}

native()
{
	local good=0 try
	make -s -C tools/testing/mmu_notifier LINUX="$LINUX" STOCK="$STOCK" \
		OUTPUT="$bench/native" all
	for ((try = 1; good < rounds && try <= attempts; try++)); do
		for which in stock ours; do
			"${realtime[@]}" "$bench/native/bench-$which" >"$bench/native/$which.out"
		done
		if undisturbed "$bench/native/stock.out" && undisturbed "$bench/native/ours.out"; then
			good=$((good + 1))
			for which in stock ours; do
				cat "$bench/native/$which.out" >>"$bench/native-$which.txt"
			done
			echo "round $good of $rounds"
		else
			echo "thrown away: the control was disturbed"
		fi
	done
	echo "native rounds used=$good of $((try - 1))" >"$bench/native/rounds"
}

# For the report: what all this was measured on
machine()
{
	echo "date=$(date -u +%Y-%m-%d)"
	echo "kernel=$(make -s -C "$STOCK" kernelversion)"
	echo "this tree=$(git describe --always --dirty 2>/dev/null || echo unknown)"
	echo "processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1), $(nproc) CPUs"
	echo "load before=$load"
	echo "compiler=$(gcc --version | head -n 1)"
	echo "native flags=$(sed -n 's/^CFLAGS.*:= //p' tools/testing/mmu_notifier/Makefile)"
	echo "native priority=${realtime[*]:-none}"
	cat "$bench/native/rounds"
	if [ "$QUICK" != 1 ]; then
		echo "kernel flags=$(sed -n 's/^CONFIG_CC_OPTIMIZE_FOR_\(PERFORMANCE\)=y/-O2/p
			s/^CONFIG_CC_OPTIMIZE_FOR_SIZE=y/-Os/p' "$BUILD/kbuild-bench-ours/.config"), \
$(grep -o '^CONFIG_PREEMPT[A-Z_]*=y\|^CONFIG_HZ=.*\|^CONFIG_NR_CPUS=.*' "$BUILD/kbuild-bench-ours/.config" | xargs)"
		echo "guest=$(qemu-system-x86_64 --version | head -n 1)"
	fi
}

scripts/overlay.sh
logged bench-native native
[ -e "$bench/native-ours.txt" ] ||
	die "no native run was left undisturbed; try again on a quieter machine"
if [ "$QUICK" != 1 ]; then
	MORE_PACKAGES=gnuplot-nox scripts/deps.sh || say "going on without plots"
	scripts/bench-kernels.sh
	for kernel in stock ours; do
		scripts/bench-guest.sh insn "$kernel"
		scripts/bench-guest.sh insn "$kernel-off"
		scripts/bench-guest.sh wall "$kernel"
		scripts/bench-size.sh "$kernel"
	done
	scripts/bench-guest.sh insn ours-rmap
fi
machine >"$bench/machine.txt"

status=0
scripts/bench-report.py "$bench" || status=$?
[ "$status" -le 1 ] || die "there is no report"
scripts/bench-plots.sh "$bench"
say "bench: $(minutes $((SECONDS - begin))), figures in $bench/results.json, report in $bench/report"
[ "$QUICK" = 1 ] || say "to record it: cp $bench/report/* Documentation/mm/mmu_notifier/"
[ "$status" = 0 ]
