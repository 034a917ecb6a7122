#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-guest.sh: a guest within the guest. Linux under KVM (which is emulated),
# in Debian's QEMU, verifies its memory for MINUTES, while the Linux below moves
# that by all means it has, and the mirror device watches the same memory. Then
# QEMU is killed, and everything has to be given back.
#
# KERNEL=stock runs it on stock's kernel, without the device, of course. NO_BUILD=1
# takes the kernels as they are.

. "$(dirname "$0")/common.sh"

: "${MINUTES:=10}" "${KERNEL:=ours}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac
case $KERNEL in
ours)	image=$BUILD/kbuild-users ;;
stock)	image=$BUILD/plain-users/kbuild-users ;;
*)	die "KERNEL=$KERNEL: ours and stock are known" ;;
esac

MORE_PACKAGES=memtester "$TOP/scripts/deps.sh"
[ -n "${NO_BUILD:-}" ] || "$TOP/scripts/users-kernels.sh"
export KBUILD=$BUILD/kbuild-users GUEST=$BUILD/guest-nested
mkdir -p "$GUEST"

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
{
	echo "dir /usr 755 0 0"
	echo "slink /lib usr/lib 777 0 0"
	echo "slink /lib64 usr/lib64 777 0 0"
	echo "dir /nested 755 0 0"
	echo "file /nested/bzImage $image/$IMAGE 644 0 0"
	echo "file /nested/initramfs.cpio $GUEST/nested.cpio 644 0 0"
	echo "file /nested/vmm.so $GUEST/vmm.so 755 0 0"
	echo "file /bin/squeeze $GUEST/squeeze 755 0 0"
} >"$GUEST/outer.list"
BARE=1 "$TOP/scripts/initramfs.sh" "$GUEST/outer.list"

name=nested-$KERNEL
job=$GUEST/$name.job
{
	echo "minutes=$MINUTES PATH=\$PATH:/usr/bin"
	cat "$TOP/scripts/guest-nested"
} >"$job"
output=$RESULTS/$name.out
rm -f "$output"
status=0
SHARE=usr=/usr MEM=3G TIMEOUT=${TIMEOUT:-$((MINUTES * 60 + 1200))} KBUILD=$image \
	INITRAMFS=$GUEST/initramfs.cpio logged "$name-$MINUTES" \
	"$TOP/scripts/qemu.sh" "$name" "$job" "$output" || status=$?
cat "$output"
[ "$status" = 0 ] && grep -q '^NESTED: PASS' "$output"
