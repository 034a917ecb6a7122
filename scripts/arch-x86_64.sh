# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What building for x86-64 and booting it needs; sourced by common.sh.

SRCARCH=x86
IMAGE=arch/x86/boot/bzImage
: "${BUSYBOX:=/bin/busybox}"
ARCH_PACKAGES="busybox-static qemu-system-x86"

QEMU=(qemu-system-x86_64 -machine pc -accel tcg,thread=multi -cpu max)
QEMU_JOB=(-serial chardev:job)

# memmap: what the kernel leaves alone, for test_hmm's coherent devices;
# no_timer_check: the check fails where QEMU waits for a processor
guest_append()
{
	echo "console=ttyS0 PORT=ttyS1 tsc_early_khz=2600000 tsc=reliable no_timer_check" \
		"memmap=512M\$0x80000000 $(test_hmm_at 0x80000000)"
}

# Objects that use the interface, and users of it that cannot be built here
ARCH_OBJECTS="arch/x86/mm/tlb.o arch/x86/kvm/mmu/mmu.o"
client_elsewhere()
{
	case $1 in
	drivers/iommu/arm/*)	echo "arm64 only" ;;
	drivers/misc/ocxl/*)	echo "powerpc only" ;;
	esac
}
