#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series-check.sh: git am the series, patch by patch, on a pristine tree, and
# build what it touches after each. Results as KTAP in
# build/results/series.ktap.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
"$TOP/scripts/series.sh"

series=$BUILD/series
KBUILD=$BUILD/kbuild-clients$OTHER
KBUILD=$KBUILD "$TOP/scripts/config.sh" "$SELFTESTS"/configs/{clients,"clients-$ARCH"}.config
config=$KBUILD/.config
LINUX=$BUILD/series-check/linux
KBUILD=$BUILD/series-check/kbuild-clients$OTHER
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
sed -n 's,^--- a/,,p' "$series"/*.patch | sort -u | while read -r f; do
	[ ! -e "$LINUX/$f" ] || in_tree add -f "$f"
done
in_tree commit -q -m base

# What includes the headers in mm/ and around it; drivers are scripts/clients.sh's.
objects="$(cd "$STOCK" && grep -rlE --include='*.c' 'mmu_notifier|mmu_interval' mm | sed 's/c$/o/')
	kernel/fork.o kernel/events/uprobes.o fs/userfaultfd.o lib/test_hmm.o
	$ARCH_OBJECTS arch/$SRCARCH/kvm/../../../virt/kvm/kvm_main.o drivers/infiniband/core/umem_odp.o"

build_step()
{
	local dir ours=
	for dir in mm/tests drivers/misc/mmu_mirror drivers/misc/mmu_monitor samples/mmu_notifier; do
		[ ! -d "$LINUX/$dir" ] || ours+=" $dir/"
	done
	[ ! -e "$LINUX/mm/mmu_notifier_interval.c" ] || ours+=" mm/mmu_notifier_interval.o"
	[ ! -e "$LINUX/mm/mmu_notifier_rmap.c" ] ||
		ours+=" mm/mmu_notifier_rmap.o mm/page_ext.o mm/truncate.o"
	cp "$config" "$KBUILD/.config" &&
		kmake olddefconfig &&
		kmake -j"$JOBS" $objects $ours
}

same_tree()
{
	diff -r -x .git -x 'local_config.*' -x '.checkpatch-camelcase.*' "$LINUX" "$BUILD/linux"
}

check_message()
{
	"$LINUX/scripts/checkpatch.pl" --terse --no-tree --types COMMIT_MESSAGE,COMMIT_LOG_LONG_LINE "$1"
}

ktap_begin series
for p in "$series"/*.patch; do
	name=${p##*/}
	[ "$name" != 0000-cover-letter.patch ] || continue
	ktap_case "message of $name" check_message "$p"
	ktap_case "git am $name" in_tree am -q "$p"
	ktap_case "builds after $name" build_step
done
ktap_case "the end is what make kernel builds" same_tree
ktap_end
