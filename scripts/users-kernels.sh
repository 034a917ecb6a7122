#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# users-kernels.sh [ours]: build the two kernels that those who use MMU notifiers are
# run on, ours in build/kbuild-users and stock's in build/plain-users/kbuild-users,
# with the same options, as far as stock knows them. With "ours" that one only.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"

[ "$ARCH" = x86_64 ] || die "ARCH=$ARCH: KVM is emulated for x86_64 only"

ours=$BUILD/kbuild-users
KBUILD=$ours scripts/build.sh "$SELFTESTS/config" "$SELFTESTS"/configs/{base,$ARCH,users}.config
[ "${1:-}" != ours ] || exit 0

# By the same names as ours, seen from there: ccache has most of the objects.
plain=$BUILD/plain-users
stock=$plain/kbuild-users
if ! cmp -s "$STOCK.source" "$plain/.source"; then
	rm -rf "$plain"
	mkdir "$plain"
	cp -al "$STOCK" "$plain/linux"
	cp "$STOCK.source" "$plain/.source"
fi

stock_kernel()
{
	local CCACHE_BASEDIR=$plain LINUX=$plain/linux KBUILD=$stock
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
differ=$(diff <(grep = "$stock/.config") <(grep = "$ours/.config") |
	grep '^[<>]' | grep -v 'CONFIG_\(\(DEBUG\|ARCH_HAS\)_\)\?MMU_\(MIRROR\|MONITOR\|NOTIFIER\|RMAP\)' |
	grep -v 'CONFIG_PAGE_EXTENSION\|CONFIG_SAMPLES') || true
[ -z "$differ" ] || die "the kernels that are compared differ in: $differ"
