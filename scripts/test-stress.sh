#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-stress.sh: Debian's stress-ng, verifying what it does, in MINUTES altogether.
# List subscriptions, interval subscriptions and both, with our device too, are
# attached to each of its processes by users/subscribe.c.
#
# KERNEL=stock runs it on stock's kernel, without the device. STRESSORS narrows
# down which. NO_BUILD=1 takes the kernels as they are.

. "$(dirname "$0")/common.sh"

: "${MINUTES:=10}" "${KERNEL:=ours}"
kinds="kvm dmirror kvm,dmirror,mirror"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac
case $KERNEL in
ours)	image=$BUILD/kbuild-users ;;
stock)	image=$BUILD/plain-users/kbuild-users kinds="kvm dmirror kvm,dmirror" ;;
*)	die "KERNEL=$KERNEL: ours and stock are known" ;;
esac

MORE_PACKAGES=stress-ng "$TOP/scripts/deps.sh"
[ -n "${NO_BUILD:-}" ] || "$TOP/scripts/users-kernels.sh"
export KBUILD=$BUILD/kbuild-users GUEST=$BUILD/guest-stress
mkdir -p "$GUEST"

# with OPTION STRESSOR: what asks for an option of the kernel
with()
{
	if grep -q "^CONFIG_$1=y" "$KBUILD/.config"; then
		STRESSORS+=" $2"
	else
		say "without the stressor $2: it needs CONFIG_$1"
	fi
}
if [ -z "${STRESSORS:-}" ]; then
	STRESSORS="vm mmap mremap madvise fork userfaultfd shm memfd brk stack munmap
		mprotect pageswap pagemove"
	with CROSS_MEMORY_ATTACH vm-rw
	with CPUSETS numa
	with EXT2_FS swap
fi

ccache gcc -O2 -Wall -shared -fPIC -isystem "$KBUILD/usr/include" -o "$GUEST/subscribe.so" \
	"$TOP/$SELFTESTS/users/subscribe.c" -lpthread
{
	echo "dir /usr 755 0 0"
	echo "slink /lib usr/lib 777 0 0"
	echo "slink /lib64 usr/lib64 777 0 0"
	echo "dir /users 755 0 0"
	echo "file /users/subscribe.so $GUEST/subscribe.so 755 0 0"
} >"$GUEST/stress.list"
BARE=1 "$TOP/scripts/initramfs.sh" "$GUEST/stress.list"

runs=$(($(wc -w <<<"$STRESSORS") * $(wc -w <<<"$kinds")))
seconds=$((MINUTES * 60 / runs))
[ "$seconds" -ge 1 ] || die "MINUTES=$MINUTES is not enough for $runs runs: see STRESSORS"
name=stress-$KERNEL
job=$GUEST/$name.job
{
	echo "seconds=$seconds kinds='$kinds' stressors='$(echo $STRESSORS)' PATH=\$PATH:/usr/bin"
	cat "$TOP/scripts/guest-stress"
} >"$job"
output=$RESULTS/$name.out
rm -f "$output"
status=0
SHARE=usr=/usr MEM=3G TIMEOUT=${TIMEOUT:-$((MINUTES * 300 + 1200))} KBUILD=$image \
	INITRAMFS=$GUEST/initramfs.cpio logged "$name" \
	"$TOP/scripts/qemu.sh" "$name" "$job" "$output" || status=$?
cat "$output"
[ "$status" = 0 ] && grep -q '^STRESS: PASS' "$output"
