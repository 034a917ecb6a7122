#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh: guest instructions of the hooks, stock's and ours side by side.
#
# The same benchmark file is built into both kernels, with the same fragments
# and the same compiler flags; both boot under -icount, where the guest's
# time-stamp counter counts instructions. Figures go to build/bench/insn.json.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"
[ "$ARCH" = x86_64 ] || die "make bench counts instructions on x86_64 only"

bench=$BUILD/bench
mkdir -p "$bench"

"$TOP/scripts/build.sh"
ours=$KBUILD/image

# Stock, with nothing of ours but the benchmark.
LINUX=$BUILD/linux-bench
KBUILD=$BUILD/kbuild-bench
if [ ! -e "$LINUX/.source" ] || ! cmp -s "$LINUX/.source" "$STOCK.source"; then
	rm -rf "$LINUX"
	cp -al "$STOCK" "$LINUX"
	mkdir -p "$LINUX/mm/tests"
	for f in mm/Makefile mm/Kconfig; do
		rm "$LINUX/$f"
		cp "$STOCK/$f" "$LINUX/$f"
	done
	echo 'obj-$(CONFIG_MMU_NOTIFIER_BENCH) += tests/mmu_notifier_bench.o' >>"$LINUX/mm/Makefile"
	sed -n '/^config MMU_NOTIFIER_BENCH/,/^config MMU_MIRROR/p' Kconfig |
		sed '$d' >>"$LINUX/mm/Kconfig"
	cp "$STOCK.source" "$LINUX/.source"
fi
cmp -s mm/tests/mmu_notifier_bench.c "$LINUX/mm/tests/mmu_notifier_bench.c" ||
	cp mm/tests/mmu_notifier_bench.c "$LINUX/mm/tests/"

# The options of ours that stock knows; what only we have is left out.
mkdir -p "$KBUILD"
sort "$SELFTESTS/config" "$SELFTESTS"/configs/{base,$ARCH}.config |
	grep -v 'MMU_NOTIFIER_KUNIT\|MMU_MIRROR' >"$bench/stock.config"
fragments_state=$(cksum <"$bench/stock.config")
if [ "$fragments_state" != "$(cat "$KBUILD/.fragments" 2>/dev/null)" ]; then
	merge()
	{
		cd "$LINUX"
		CC="ccache gcc" scripts/kconfig/merge_config.sh -n -O "$KBUILD" "$bench/stock.config"
	}
	logged config-bench merge
	echo "$fragments_state" >"$KBUILD/.fragments"
fi
logged kernel-bench kmake -j"$JOBS" bzImage
stock=$KBUILD/arch/x86/boot/bzImage

count()
{
	timeout 600 qemu-system-x86_64 -accel tcg,thread=single \
		-icount shift=0,sleep=off -cpu max,-rdrand,-rdseed -smp 1 -m 2G \
		-rtc base=2026-01-01,clock=vm -kernel "$1" -nographic -no-reboot \
		-append "console=ttyS0 nokaslr norandmaps panic=-1 kunit.enable=0 mmu_notifier_bench.run=1"
}

for which in stock ours; do
	kernel=${!which}
	logged "bench-$which" count "$kernel"
	tr -d '\r' <"$LOGS/bench-$which.log" |
		sed -n 's/.*mmu_notifier_bench: \([a-z0-9/-]*\) \([0-9]*\)$/\1 \2/p' >"$bench/$which.txt"
	grep -q 'mmu_notifier_bench: done' "$LOGS/bench-$which.log" ||
		die "the benchmark of $which did not finish; see $LOGS/bench-$which.log"
done

version=$(make -s -C "$STOCK" kernelversion)
flags=$(grep -q '^CONFIG_CC_OPTIMIZE_FOR_PERFORMANCE=y' "$BUILD/kbuild-$ARCH/.config" && echo -O2 || echo -Os)
python3 - "$bench" "$version" "$flags" <<'PY'
import json, os, sys
bench, version, flags = sys.argv[1:]
def read(name):
    with open(os.path.join(bench, name)) as f:
        return dict(line.split() for line in f)
stock, ours = read("stock.txt"), read("ours.txt")
rows = []
print(f"guest instructions, Linux {version}, {flags}")
print(f"{'case':28} {'stock':>10} {'ours':>10} {'ratio':>7}")
for case in ours:
    s, o = int(stock[case]), int(ours[case])
    rows.append({"case": case, "stick": "insn", "unit": "instructions",
                 "stock": s, "ours": o, "ratio": round(o / s, 3) if s else None,
                 "spread": 0})
    print(f"{case:28} {s:10} {o:10} {o / s if s else 0:7.3f}")
with open(os.path.join(bench, "insn.json"), "w") as f:
    json.dump(rows, f, indent=1)
PY
