#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-guest.sh: a guest within the guest. Linux under KVM (which is emulated),
# in Debian's QEMU, verifies its memory for MINUTES, while the Linux below moves
# that by all means it has, and the mirror device watches the same memory. Then
# QEMU is killed, and everything has to be given back.
#
# KERNEL=stock runs it on stock's kernel, without the device, of course.

. "$(dirname "$0")/common.sh"

. "$TOP/scripts/usr-guest.sh"

usr_guest_begin nested memtester
users=$TOP/$SELFTESTS/users
compile()
{
	ccache gcc -O2 -Wall -Wextra -Werror -isystem "$KBUILD/usr/include" "$@" -lpthread
}
compile -static -o "$GUEST/guestmem" "$users/guestmem.c"
compile -static -o "$GUEST/squeeze" "$users/squeeze.c"
compile -shared -fPIC -o "$GUEST/vmm.so" "$users/vmm.c"

# The inner one's, with the libraries of memtester
{
	for d in dev bin proc sys tmp lib lib/x86_64-linux-gnu lib64; do
		echo "dir /$d 755 0 0"
	done
	echo "nod /dev/console 600 0 0 c 5 1"
	echo "file /bin/busybox $BUSYBOX 755 0 0"
	echo "file /init $TOP/scripts/nested-init 755 0 0"
	echo "file /bin/guestmem $GUEST/guestmem 755 0 0"
	echo "file /bin/memtester $(command -v memtester || echo /usr/sbin/memtester) 755 0 0"
	for l in lib/x86_64-linux-gnu/libc.so.6 lib64/ld-linux-x86-64.so.2; do
		echo "file /$l /$l 755 0 0"
	done
} >"$GUEST/nested.list"
"$KBUILD/usr/gen_init_cpio" "$GUEST/nested.list" >"$GUEST/nested.cpio"

# The outer one's: QEMU and its libraries are the host's.
usr_guest_run nested $((MINUTES * 60 + 1200)) 'NESTED: PASS' "minutes=$MINUTES" <<END
dir /nested 755 0 0
file /nested/bzImage $image/$IMAGE 644 0 0
file /nested/initramfs.cpio $GUEST/nested.cpio 644 0 0
file /nested/vmm.so $GUEST/vmm.so 755 0 0
file /bin/squeeze $GUEST/squeeze 755 0 0
END
