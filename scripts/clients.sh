#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# clients.sh: compile the object files of every in-tree user of MMU notifiers
# that $ARCH can build, and mm/ once more without MMU notifiers. Results as
# KTAP in build/results/clients.ktap.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
lock_build
"$TOP/scripts/overlay.sh"

# users DIR...: the objects whose source names the interface
users()
{
	(cd "$STOCK" && grep -rlE --include='*.c' 'mmu_notifier|mmu_interval' "$@" | sort | sed 's/c$/o/')
}

# From outside of the tree: modpost has to find every symbol that it uses among
# those that the booted kernel exports.
as_module()
{
	local dir=$BUILD/mirror-module$OTHER
	mkdir -p "$dir"
	rsync -rc drivers/misc/mmu_mirror/ "$dir"
	KBUILD=$BUILD/kbuild-$ARCH
	kmake modules_prepare &&
		kmake M="$dir" CONFIG_MMU_MIRROR=m modules
}

off()
{
	! grep CONFIG_MMU_NOTIFIER=y "$KBUILD/.config"
}

ktap_begin clients

export KBUILD=$BUILD/kbuild-clients$OTHER
"$TOP/scripts/config.sh" "$SELFTESTS"/configs/{clients,"clients-$ARCH"}.config
objects=
all=$({ printf '%s\n' $ARCH_OBJECTS; users "arch/$SRCARCH" drivers fs kernel lib mm virt; } | sort -u)
for o in $all; do
	why=$(client_elsewhere "$o")
	[ -z "$why" ] || { ktap_skip "$o" "$why"; continue; }
	case $o in
	mm/mmu_notifier.o)	;;
	# two directories are built from within another one
	*/amd/amdkfd/*)		objects+=" drivers/gpu/drm/amd/amdgpu/../amdkfd/${o##*/}" ;;
	virt/kvm/*)		objects+=" arch/$SRCARCH/kvm/../../../$o" ;;
	*)			objects+=" $o" ;;
	esac
done
compile clients $objects
for o in $objects; do
	ktap_case "$o" compiled clients "$o"
done
ktap_case "mmu_mirror as a module" as_module

export KBUILD=$BUILD/kbuild-off$OTHER
"$TOP/scripts/config.sh" "$SELFTESTS/configs/off.config"
ktap_case "off: no option pulls MMU_NOTIFIER in" off
off="kernel/fork.o kernel/events/uprobes.o $(users mm | grep -v 'mmu_notifier\|damon\|hmm\|migrate_device')"
compile clients-off $off
for o in $off; do
	ktap_case "off: $o" compiled clients-off "$o"
done
ktap_end
