#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-kernels.sh: build the kernels that bench.sh compares, all with the same
# options and -O2: stock and ours, each with MMU notifiers and without, and ours
# with external reverse maps that nobody uses. The only thing of ours that stock gets is the benchmark, mm/tests/mmu_notifier_bench*,
# which uses nothing but what stock has too.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"

fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,$ARCH,bench}.config)

# update FILE TEXT...: write only what changed, and never through a hard link
update()
{
	local file=$1
	shift
	cmp -s "$file" - <<<"$*" || { rm -f "$file"; cat >"$file" <<<"$*"; }
}

# stock, with the benchmark in it. Its name is as long as that of $LINUX: file
# names get into the kernel, whose size is compared.
plain=$BUILD/plain
lay_stock()
{
	local tree=$plain
	if ! cmp -s "$STOCK.source" "$tree/.source"; then
		rm -rf "$tree"
		cp -al "$STOCK" "$tree"
		mkdir -p "$tree/mm/tests"
		cp "$STOCK.source" "$tree/.source"
	fi
	rsync -c mm/tests/mmu_notifier_bench* "$tree/mm/tests/"
	update "$tree/mm/tests/Makefile" "$(grep BENCH mm/tests/Makefile)"
	update "$tree/mm/Makefile" "$(cat "$STOCK/mm/Makefile")
obj-\$(CONFIG_MMU_NOTIFIER_BENCH) += tests/"
	update "$tree/mm/Kconfig" "$(cat "$STOCK/mm/Kconfig")
$(sed -n '/^config MMU_NOTIFIER_BENCH/,/^config /p' Kconfig | sed '$d')"
}

# stock_kernel SUFFIX: the options of our kernel, as far as stock knows them
stock_kernel()
{
	local LINUX=$plain KBUILD=$BUILD/kbuild-bench-stock$1
	local ours=$BUILD/kbuild-bench-ours$1/.config
	mkdir -p "$KBUILD"
	if ! cmp -s "$ours" "$KBUILD/.config.ours"; then
		cp "$ours" "$KBUILD/.config"
		kmake olddefconfig
		cp "$ours" "$KBUILD/.config.ours"
	fi
	kmake -j"$JOBS" "${IMAGE##*/}"
	ln -sf "$IMAGE" "$KBUILD/image"
}

KBUILD=$BUILD/kbuild-bench-ours scripts/build.sh "${fragments[@]}"
KBUILD=$BUILD/kbuild-bench-ours-off scripts/build.sh "${fragments[@]}" "$SELFTESTS/configs/bench-off.config"
! grep CONFIG_MMU_NOTIFIER=y "$BUILD/kbuild-bench-ours-off/.config" ||
	die "something selects MMU_NOTIFIER in the kernel that is to be without"
KBUILD=$BUILD/kbuild-bench-ours-rmap scripts/build.sh "${fragments[@]}" "$SELFTESTS/configs/bench-rmap.config"
grep -q CONFIG_MMU_RMAP_NOTIFIER=y "$BUILD/kbuild-bench-ours-rmap/.config" ||
	die "the kernel that is to have external reverse maps has none"
lay_stock
for suffix in "" -off; do
	known=
	[ ! -e "$BUILD/kbuild-bench-stock$suffix/vmlinux" ] || known=-again
	logged "kernel-bench-stock$suffix$known" stock_kernel "$suffix"
done

# The same options, but for those that only our tree has
for suffix in "" -off; do
	differ=$(diff <(grep '=' "$BUILD/kbuild-bench-stock$suffix/.config") \
		<(grep '=' "$BUILD/kbuild-bench-ours$suffix/.config") | grep '^[<>]' |
		grep -v CONFIG_ARCH_HAS_MMU_NOTIFIER_COVERAGE) || continue
	die "the kernels that are compared differ in: $differ"
done
