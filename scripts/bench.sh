#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: stock's core and ours, side by side in one run.
#
#  native  nanoseconds of a pair, both cores compiled in user space
#          (tools/testing/mmu_notifier)
#  insn    guest instructions: the same file built into both kernels, with the
#          same options, booted under -icount, where the guest's time-stamp
#          counter counts instructions
#
# Figures go to build/bench/results.json. QUICK=1 takes the native ones only and
# builds no kernel.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"
: "${QUICK:=0}"
[ "$ARCH" = x86_64 ] || die "make bench runs on x86_64 only"

bench=$BUILD/bench
mkdir -p "$bench"
rm -f "$bench"/*.txt
"$TOP/scripts/overlay.sh"

# Windows are short and medians are taken; real-time priority keeps others off.
native()
{
	local run
	make -s -C "$TOP/tools/testing/mmu_notifier" LINUX="$LINUX" STOCK="$STOCK" \
		OUTPUT="$bench/native" all
	for run in 1 2 3 4 5; do
		chrt -f 1 "$bench/native/bench-stock" >>"$bench/native-stock.txt"
		chrt -f 1 "$bench/native/bench-ours" >>"$bench/native-ours.txt"
	done
}
logged bench-native native

# stock_kernel: stock, with nothing of ours but the benchmark
stock_kernel()
{
	local LINUX=$BUILD/linux-bench KBUILD=$BUILD/kbuild-bench f
	if ! cmp -s "$STOCK.source" "$LINUX/.source"; then
		rm -rf "$LINUX"
		cp -al "$STOCK" "$LINUX"
		mkdir -p "$LINUX/mm/tests" "$KBUILD"
		for f in mm/Makefile mm/Kconfig; do
			rm "$LINUX/$f"
			cp "$STOCK/$f" "$LINUX/$f"
		done
		echo 'obj-$(CONFIG_MMU_NOTIFIER_BENCH) += tests/mmu_notifier_bench.o' >>"$LINUX/mm/Makefile"
		sed -n '/^config MMU_NOTIFIER_BENCH/,/^config /p' Kconfig | sed '$d' >>"$LINUX/mm/Kconfig"
		cp "$STOCK.source" "$LINUX/.source"
	fi
	rsync -c mm/tests/mmu_notifier_bench.c "$LINUX/mm/tests/"
	# The options of our kernel, as far as stock knows them.
	cp "$BUILD/kbuild-$ARCH/.config" "$KBUILD/.config"
	kmake olddefconfig
	kmake -j"$JOBS" bzImage
}

count()
{
	timeout 600 qemu-system-x86_64 -accel tcg,thread=single \
		-icount shift=0,sleep=off -cpu max,-rdrand,-rdseed -smp 1 -m 2G \
		-rtc base=2026-01-01,clock=vm -nodefaults -display none -no-reboot \
		-serial stdio -kernel "$1" \
		-append "console=ttyS0 nokaslr norandmaps panic=-1 kunit.enable=0 mmu_notifier_bench.run=1"
}

if [ "$QUICK" != 1 ]; then
	"$TOP/scripts/build.sh"
	logged kernel-bench stock_kernel
	for which in stock ours; do
		kernel=$KBUILD/image
		[ $which = ours ] || kernel=$BUILD/kbuild-bench/arch/x86/boot/bzImage
		# There is no user space to go on with: the kernel panics when done.
		logged "bench-$which" count "$kernel"
		grep -q 'mmu_notifier_bench: done' "$LOGS/bench-$which.log" ||
			die "the benchmark of $which did not finish; see $LOGS/bench-$which.log"
		tr -d '\r' <"$LOGS/bench-$which.log" |
			sed -n 's/.*mmu_notifier_bench: \([a-z0-9/-]*\) \([0-9]*\)$/\1 \2/p' >"$bench/insn-$which.txt"
	done
fi

version=$(make -s -C "$STOCK" kernelversion)
python3 - "$bench" "$version" <<'PY'
import json, os, statistics, sys

bench, version = sys.argv[1:]
units = {"native": "ns", "insn": "instructions"}

def read(name):
    figures = {}
    path = os.path.join(bench, name)
    if os.path.exists(path):
        with open(path) as f:
            for case, figure in map(str.split, f):
                figures.setdefault(case, []).append(float(figure))
    return figures

rows = []
for stick, unit in units.items():
    stock, ours = read(f"{stick}-stock.txt"), read(f"{stick}-ours.txt")
    if not ours:
        continue
    print(f"Linux {version}, {stick}: {unit}")
    print(f"  {'case':32} {'stock':>11} {'ours':>11} {'ratio':>7} {'spread':>7}")
    for case in ours:
        s, o = (statistics.median(x[case]) for x in (stock, ours))
        spread = (max(ours[case]) - min(ours[case])) / o if o else 0
        rows.append({"case": case, "stick": stick, "unit": unit, "stock": s, "ours": o,
                     "ratio": round(o / s, 3) if s else None, "spread": round(spread, 3)})
        print(f"  {case:32} {s:11.6g} {o:11.6g} {o / s if s else 0:7.3f} {spread:7.3f}")
with open(os.path.join(bench, "results.json"), "w") as f:
    json.dump(rows, f, indent=1)
    f.write("\n")
print(f"figures: {os.path.join(bench, 'results.json')}")
PY
