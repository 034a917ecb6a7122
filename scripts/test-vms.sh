#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-vms.sh: 50 virtual machines at a time are made and destroyed, by as many
# processes, while a process that has nothing to do with them sits in a callback
# that sleeps; on stock's kernel and on ours. On ours that is nobody's business but
# its own. On stock they wait: if they do not, the test is no test.
#
# NO_BUILD=1 takes the kernels as they are.

. "$(dirname "$0")/common.sh"

: "${PROCESSES:=50}" "${SLEEP_MS:=5000}"
[ -n "${NO_BUILD:-}" ] || "$TOP/scripts/users-kernels.sh"
ours=$BUILD/kbuild-users stock=$BUILD/plain-users/kbuild-users
export KBUILD=$ours GUEST=$BUILD/guest-vms
mkdir -p "$GUEST"

users=$TOP/$SELFTESTS/users
ccache gcc -O2 -Wall -Wextra -Werror -static -isystem "$KBUILD/usr/include" \
	-o "$GUEST/vms" "$users/vms.c"

# sleeper DIRECTORY: the same source for both kernels. Each has its own copy: kbuild
# leaves what it makes beside the source.
sleeper()
{
	local m=$1/mmu_sleeper symbols=
	mkdir -p "$m"
	cp "$users"/sleeper/{Makefile,mmu_sleeper.c} "$m"
	if [ ! -e "$1/Module.symvers" ]; then	# no modules were built
		symbols=$1/vmlinux.symvers
		make -C "$1" CC="ccache gcc" V="$V" modules_prepare
	fi
	make -C "$1" M="$m" CC="ccache gcc" V="$V" KBUILD_EXTRA_SYMBOLS="$symbols" modules
}
(lock_build; logged sleeper-ours sleeper "$ours"; logged sleeper-stock sleeper "$stock")

{
	echo "dir /users 755 0 0"
	echo "file /bin/vms $GUEST/vms 755 0 0"
	for k in ours stock; do
		echo "file /users/sleeper-$k.ko ${!k}/mmu_sleeper/mmu_sleeper.ko 644 0 0"
	done
} >"$GUEST/vms.list"
BARE=1 "$TOP/scripts/initramfs.sh" "$GUEST/vms.list"

# on KERNEL DIRECTORY
on()
{
	local job=$GUEST/vms-$1.job
	echo "insmod /users/sleeper-$1.ko && vms $PROCESSES $SLEEP_MS; echo vms: status \$?" >"$job"
	KBUILD=$2 TIMEOUT=${TIMEOUT:-1200} INITRAMFS=$GUEST/initramfs.cpio \
		"$TOP/scripts/qemu.sh" "vms-$1" "$job" "$RESULTS/vms-$1.out"
}

status=0
for k in stock ours; do
	rm -f "$RESULTS/vms-$k.out"
	logged "vms-$k" on "$k" "${!k}" || status=1
done

printf '\n%d virtual machines destroyed at a time; ms beside a sleeper of %d ms\n' "$PROCESSES" "$SLEEP_MS"
printf '%-6s %-6s %4s %10s %10s %10s %10s\n' "" "" n median longest "+ sleeper" longest
for k in stock ours; do
	sed -n "s/^vms: \(close\|exit\)/$k  \1/p" "$RESULTS/vms-$k.out" | tr -d '\r' |
		sed 's/^ours /ours  /'
done
grep -q '^vms: status 0' "$RESULTS/vms-ours.out" ||
	{ echo "failed: on ours, machines wait for a process that is none of theirs"; status=1; }
grep -q '^vms: close .*WAITS' "$RESULTS/vms-stock.out" ||
	{ echo "failed: nothing waits on stock either: this proves nothing"; status=1; }
exit "$status"
