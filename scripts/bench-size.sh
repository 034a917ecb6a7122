#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-size.sh stock|ours: bytes of the structures and of the code, as compiled
# for the kernels of bench-kernels.sh. Lines "size/WHAT BYTES" go to
# build/bench/insn-KERNEL.txt: like instructions, they are exact.

. "$(dirname "$0")/common.sh"

kernel=$1
KBUILD=$BUILD/kbuild-bench-$kernel
[ "$kernel" = ours ] || LINUX=$BUILD/plain
probe=$BUILD/bench/size-$kernel

# One array for each structure, as large as it; stock's object of an mm is known
# inside its source file only. Compiled like a module, and looked at.
structures()
{
	mkdir -p "$probe"
	cat >"$probe/probe.c" <<-'C'
		#include "mmu_notifier.c"
		char list_subscription[sizeof(struct mmu_notifier)];
		char interval_subscription[sizeof(struct mmu_interval_notifier)];
		char range[sizeof(struct mmu_notifier_range)];
		char object_of_mm[sizeof(struct mmu_notifier_subscriptions)];
	C
	printf '%s\n' 'obj-m := probe.o' 'ccflags-y := -I$''(srctree)/mm' >"$probe/Makefile"
	kmake M="$probe" probe.o
}
logged "bench-size-$kernel" structures
{
	nm -S --defined-only "$probe/probe.o" | while read -r _ size _ name; do
		case $name in
		list_subscription | interval_subscription | range | object_of_mm)
			echo "size/${name//_/-} $((16#$size))"
			;;
		esac
	done
	size "$KBUILD"/mm/mmu_notifier*.o | awk 'NR > 1 { text += $1 } END { print "size/text", text }'
	size "$KBUILD/vmlinux" | awk 'NR > 1 { print "size/vmlinux-text", $1 }'
} >>"$BUILD/bench/insn-$kernel.txt"
