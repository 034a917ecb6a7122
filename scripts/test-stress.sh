#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-stress.sh: Debian's stress-ng, verifying what it does, in MINUTES altogether.
# List subscriptions, interval subscriptions and both, with our device too, are
# attached to each of its processes by users/subscribe.c.
#
# The contract checker looks on: what it reports makes this fail.
#
# KERNEL=stock runs it on stock's kernel, without the device. STRESSORS narrows
# down which.

. "$(dirname "$0")/common.sh"

. "$TOP/scripts/usr-guest.sh"

kinds="kvm dmirror kvm,dmirror,mirror"
[ "$KERNEL" = ours ] || kinds="kvm dmirror kvm,dmirror"
usr_guest_begin stress stress-ng

: "${STRESSORS:=vm mmap mremap madvise fork userfaultfd shm memfd brk stack munmap
	mprotect pageswap pagemove vm-rw numa swap}"

ccache gcc -O2 -Wall -shared -fPIC -isystem "$KBUILD/usr/include" -o "$GUEST/subscribe.so" \
	"$TOP/$SELFTESTS/users/subscribe.c" -lpthread

export APPEND="debug_mmu_notifier=all ${APPEND:-}"
runs=$(($(wc -w <<<"$STRESSORS") * $(wc -w <<<"$kinds")))
seconds=$((MINUTES * 60 / runs))
[ "$seconds" -ge 1 ] || die "MINUTES=$MINUTES is not enough for $runs runs: see STRESSORS"
usr_guest_run stress $((MINUTES * 300 + 1200)) 'STRESS: PASS' \
	"seconds=$seconds kinds='$kinds' stressors='$(echo $STRESSORS)'" <<END
dir /users 755 0 0
file /users/subscribe.so $GUEST/subscribe.so 755 0 0
END
