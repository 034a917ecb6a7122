#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# initramfs.sh [LIST]: build the guest's programs, statically, and pack them with
# busybox into the image that every guest boots from; with what LIST names, for
# gen_init_cpio. BARE=1: with that only, and not the tests.

. "$(dirname "$0")/common.sh"
lock_build

programs=$GUEST/programs
mkdir -p "$programs/mm"

# tool NAME: a program of tools/mm, linked statically
tool()
{
	[ "$LINUX/tools/mm/$1.c" -nt "$programs/$1" ] || return 0
	ccache "${CROSS_COMPILE}gcc" -O2 -Wall -Wextra -Werror -static -o "$programs/$1" \
		"$LINUX/tools/mm/$1.c"
}

if [ -z "${BARE:-}" ]; then
	headers
	logged selftests selftest mmu_notifier "$programs"
	tool mmu_notifier_top
	logged hmm-tests selftest mm "$programs/mm" "$programs/mm/hmm-tests"
fi

list=$GUEST/list
{
	echo "dir /dev 755 0 0"
	echo "nod /dev/console 600 0 0 c 5 1"
	for d in bin modules proc sys tmp; do
		echo "dir /$d 755 0 0"
	done
	echo "file /bin/busybox $BUSYBOX 755 0 0"
	echo "file /init $TOP/scripts/guest-init 755 0 0"
	while read -r m; do
		m=${m##*/}
		echo "file /modules/${m%.o}.ko $(find "$KBUILD" -name "${m%.o}.ko") 644 0 0"
	done <"$KBUILD/modules.order"
	find "$programs" -type f -perm -u=x | sort | sed 's,\(.*\)/\(.*\),file /bin/\2 & 755 0 0,'
	cat "$@" </dev/null
} >"$list"
"$KBUILD/usr/gen_init_cpio" "$list" >"$GUEST/initramfs.cpio"
