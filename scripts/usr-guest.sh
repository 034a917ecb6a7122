# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by those whose guest runs Debian's programs for MINUTES, from the host's
# /usr, on our kernel or, with KERNEL=stock, on stock's; NO_BUILD=1 takes the
# kernels as they are.

: "${MINUTES:=10}" "${KERNEL:=ours}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac
case $KERNEL in
ours)	image=$BUILD/kbuild-users ;;
stock)	image=$BUILD/plain-users/kbuild-users ;;
*)	die "KERNEL=$KERNEL: ours and stock are known" ;;
esac

# usr_guest_begin NAME PACKAGE: what it needs; $GUEST is a directory for it
usr_guest_begin()
{
	MORE_PACKAGES=$2 "$TOP/scripts/deps.sh"
	[ -n "${NO_BUILD:-}" ] || "$TOP/scripts/users-kernels.sh" "$KERNEL"
	export KBUILD=$BUILD/kbuild-users GUEST=$BUILD/guest-$1
	mkdir -p "$GUEST"
}

# usr_guest_run NAME SECONDS PASS ASSIGNMENTS: with what the standard input adds to
# the initramfs, run scripts/guest-NAME, which sees ASSIGNMENTS, and has to print PASS
usr_guest_run()
{
	local name=$1-$KERNEL status=0
	local job=$GUEST/$name.job output=$RESULTS/$name.out
	{
		echo "dir /usr 755 0 0"
		echo "slink /lib usr/lib 777 0 0"
		echo "slink /lib64 usr/lib64 777 0 0"
		cat
	} >"$GUEST/usr.list"
	BARE=1 "$TOP/scripts/initramfs.sh" "$GUEST/usr.list"
	{
		echo "$4 PATH=\$PATH:/usr/bin"
		cat "$TOP/scripts/guest-lib"
		echo "mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=262144 usr /usr || exit 1"
		[ "$KERNEL" = stock ] ||
			echo "[ -c /dev/mmu_mirror ] || { echo 'failed: there is no /dev/mmu_mirror'; exit 1; }"
		cat "$TOP/scripts/guest-$1"
	} >"$job"
	rm -f "$output"
	SHARE=usr=/usr MEM=3G TIMEOUT=${TIMEOUT:-$2} KBUILD=$image INITRAMFS=$GUEST/initramfs.cpio \
		logged "$name-$MINUTES" "$TOP/scripts/qemu.sh" "$name" "$job" "$output" || status=$?
	cat "$output"
	[ "$status" = 0 ] && grep -q "^$3" "$output"
}
