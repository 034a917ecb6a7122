#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# users-kernels.sh: build the two kernels that those who use MMU notifiers are
# run on, stock's in build/kbuild-users-stock and ours in build/kbuild-users,
# with the same options, as far as stock knows them.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"

[ "$ARCH" = x86_64 ] || die "ARCH=$ARCH: KVM is emulated for x86_64 only"

ours=$BUILD/kbuild-users stock=$BUILD/kbuild-users-stock
KBUILD=$ours scripts/build.sh "$SELFTESTS/config" "$SELFTESTS"/configs/{base,$ARCH,users}.config

stock_kernel()
{
	local LINUX=$STOCK KBUILD=$stock
	if ! cmp -s "$ours/.config" "$stock/.config.ours"; then
		mkdir -p "$stock"
		cp "$ours/.config" "$stock/.config"
		kmake olddefconfig
		cp "$ours/.config" "$stock/.config.ours"
	fi
	kmake -j"$JOBS" "${IMAGE##*/}"
	ln -sf "$IMAGE" "$stock/image"
}

again=
[ ! -e "$stock/vmlinux" ] || again=-again
logged "kernel-users-stock$again" stock_kernel

# What only our tree has may differ, and nothing else.
differ=$(diff <(grep -v '^#' "$stock/.config") <(grep -v '^#' "$ours/.config") |
	grep '^[<>]' | grep -v 'CONFIG_\(DEBUG_\)\?MMU_\(MIRROR\|NOTIFIER\|RMAP\)' |
	grep -v 'CONFIG_PAGE_EXTENSION\|CONFIG_SAMPLES') || true
[ -z "$differ" ] || die "the kernels that are compared differ in: $differ"
