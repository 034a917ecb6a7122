# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What building for arm64 and booting it needs; sourced by common.sh.

SRCARCH=arm64
IMAGE=arch/arm64/boot/Image
ARCH_PACKAGES="qemu-system-arm"
if [ "$(uname -m)" = aarch64 ]; then
	: "${BUSYBOX:=/bin/busybox}"
	ARCH_PACKAGES+=" busybox-static"
else
	: "${CROSS_COMPILE:=aarch64-linux-gnu-}"
	: "${BUSYBOX:=$BUILD/busybox$OTHER}"	# which deps.sh fetches
	[ "$CROSS_COMPILE" != aarch64-linux-gnu- ] ||
		ARCH_PACKAGES+=" gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
fi

# Real pointer authentication costs an emulator much of its time.
QEMU=(qemu-system-aarch64 -machine virt,gic-version=3 -accel tcg,thread=multi
	-cpu max,pauth-impdef=on)
QEMU_JOB=(-device virtio-serial-device -device virtconsole,chardev=job)

# What the kernel is not told of serves test_hmm's coherent devices: the last
# 512 MB, of RAM that begins at 1 GB.
guest_append()
{
	local mem=$(($(numfmt --from=iec "$MEM") - (512 << 20)))

	echo "console=ttyAMA0 PORT=hvc0 mem=$mem $(test_hmm_at $((mem + (1 << 30))))"
}

# see arch-x86_64.sh
ARCH_OBJECTS="arch/arm64/kvm/mmu.o"
client_elsewhere()
{
	case $1 in
	drivers/gpu/drm/i915/*|drivers/infiniband/hw/hfi1/*|drivers/iommu/amd/*|\
	drivers/iommu/intel/*|drivers/misc/sgi-gru/*|virt/kvm/pfncache.o)
				echo "x86-64 only" ;;
	drivers/misc/ocxl/*)	echo "powerpc only" ;;
	esac
}
