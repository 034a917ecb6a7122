#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series-check.sh: git am the series, patch by patch, on a pristine tree, and
# build what it touches after each. Results as KTAP in
# build/results/series.ktap.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
lock_build
"$TOP/scripts/series.sh"

series=$BUILD/series
KBUILD=$BUILD/kbuild-clients "$TOP/scripts/config.sh" "$SELFTESTS/configs/clients.config"
config=$BUILD/kbuild-clients/.config
LINUX=$BUILD/series-check/linux
KBUILD=$BUILD/series-check/kbuild-clients
export CCACHE_BASEDIR=$BUILD/series-check

rm -rf "$LINUX"
mkdir -p "$KBUILD"
cp -al "$STOCK" "$LINUX"
in_tree()
{
	git -C "$LINUX" -c user.name=series-check -c user.email=noreply@localhost -c gc.auto=0 "$@"
}

# Only the files that the series touches need to be known to git.
in_tree init -q
sed -n 's,^--- a/,,p' "$series"/*.patch | sort -u | in_tree add -f --pathspec-from-file=-
in_tree commit -q -m base

objects="mm/ kernel/fork.o kernel/events/uprobes.o fs/userfaultfd.o lib/test_hmm.o
	arch/x86/mm/tlb.o arch/x86/kvm/ drivers/infiniband/core/umem_odp.o"

build_step()
{
	local mirror=drivers/misc/mmu_mirror/
	[ -d "$LINUX/$mirror" ] || mirror=
	cp "$config" "$KBUILD/.config" &&
		kmake olddefconfig &&
		kmake -j"$JOBS" $objects $mirror
}

same_tree()
{
	diff -r -x .git "$LINUX" "$BUILD/linux"
}

ktap_begin series
ktap_case "base builds" build_step
for p in "$series"/*.patch; do
	name=${p##*/}
	[ "$name" != 0000-cover-letter.patch ] || continue
	ktap_case "git am $name" in_tree am -q "$p"
	ktap_case "builds after $name" build_step
done
ktap_case "the end is what make kernel builds" same_tree
ktap_end
