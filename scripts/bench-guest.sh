#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-guest.sh insn|wall stock|ours|stock-off|ours-off|ours-rmap: boot one of the kernels
# of bench-kernels.sh and measure in it. Lines "CASE FIGURE" are appended to
# build/bench/STICK-stock.txt or STICK-ours.txt; what is called op/ there is
# rmap/ for ours-rmap. With insn also off-cost-without|off-cost-with, kernels of
# off-cost.sh: lines go to build/off-cost/without.txt or with.txt; and monitor, that
# of monitor-cost.sh: to build/monitor-cost/figures.txt.
#
#  insn	one CPU under -icount, where the guest's time-stamp counter counts
#	instructions and nothing that the host does shows
#  wall	two CPUs, emulated by a thread each, for what takes milliseconds

. "$(dirname "$0")/common.sh"

stick=$1 kernel=$2
name=bench-$stick-$kernel
guest=$BUILD/guest-bench
case $kernel in
off-cost-*)
	bench=$BUILD/off-cost KBUILD=$BUILD/kbuild-$kernel
	figures=$bench/${kernel#off-cost-}.txt
	;;
monitor)
	bench=$BUILD/monitor-cost KBUILD=$BUILD/kbuild-monitor-cost
	figures=$bench/figures.txt
	;;
*)
	bench=$BUILD/bench KBUILD=$BUILD/kbuild-bench-$kernel
	figures=$bench/$stick-${kernel%-*}.txt
	;;
esac
export KBUILD INITRAMFS=$guest/initramfs.cpio
job=$guest/$stick-$kernel.job
output=$bench/$name.out
console=$LOGS/console-$name.log

initramfs()
{
	make -s -C "$TOP/tools/testing/mmu_notifier" LINUX="$LINUX" OUTPUT="$guest" guest
	{
		echo "dir /dev 755 0 0"
		echo "nod /dev/console 600 0 0 c 5 1"
		for d in bin proc sys tmp; do
			echo "dir /$d 755 0 0"
		done
		echo "file /bin/busybox ${BUSYBOX:-/bin/busybox} 755 0 0"
		echo "file /init $TOP/scripts/guest-init 755 0 0"
		for p in bench_op bench_calls bench_monitor; do
			echo "file /bin/$p $guest/$p 755 0 0"
		done
	} >"$guest/list"
	"$KBUILD/usr/gen_init_cpio" "$guest/list" >"$INITRAMFS"
}

# What is to be measured. Figures of suites go to the console.
suites()
{
	echo "for s in $*; do echo \$s >/sys/kernel/debug/mmu_notifier_bench/run || exit 1; done"
}

ops()
{
	echo "for run in 1 2 3; do for s in $*; do bench_op \$s || exit 1; done; done"
}

instructions()
{
	timeout "${TIMEOUT:-900}" qemu-system-x86_64 -machine pc -accel tcg,thread=single \
		-icount shift=0,sleep=off -cpu max,-rdrand,-rdseed -smp 1 -m 2G \
		-rtc base=2026-01-01,clock=vm -nodefaults -display none -no-reboot \
		-kernel "$KBUILD/image" -initrd "$INITRAMFS" \
		-fw_cfg "name=opt/mnt/job,file=$job" \
		-serial "file:$console" -serial "file:$output" \
		-append "console=ttyS0 PORT=ttyS1 nokaslr norandmaps numa=fake=2 panic=-1 kunit.enable=0"
	grep -q 'guest: job ended with status 0' "$console" && return
	echo "error: the job did not end well; the last lines of $console and $output:"
	tail -n 10 "$console" "$output"
	return 1
}

wall_clock()
{
	TIMEOUT=${TIMEOUT:-1200} APPEND="kunit.enable=0" \
		"$TOP/scripts/qemu.sh" "$name" "$job" "$output"
}

mkdir -p "$guest" "$bench"
initramfs
case $stick-$kernel in
insn-*-off)	ops off >"$job" ;;
insn-*-rmap)	ops none >"$job" ;;
insn-monitor)	echo "for run in 1 2 3; do bench_monitor || exit 1; done" >"$job" ;;
insn-off-cost-*) { suites pair; ops none; } >"$job" ;;
insn-*)		{ suites pair change drain register; ops none list-1 interval-1; } >"$job" ;;
wall-*)		{ suites wait drain-us memory; echo bench_calls; } >"$job" ;;
esac
rm -f "$output"
case $stick in
insn)	logged "$name" instructions ;;
wall)	logged "$name" wall_clock ;;
esac
{
	sed -n 's/.*mmu_notifier_bench: \([a-z0-9/-]* [0-9]*\)\r*$/\1/p' "$console"
	sed -n 's/^\([a-z]*\/[a-z0-9-]* [0-9.e+]*\)\r*$/\1/p' "$output"
} | if [ "$kernel" = ours-rmap ]; then
	sed 's,^op/,rmap/,'
else
	cat
fi >>"$figures"
