#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-clients.sh [quick]: run what those who use MMU notifiers are tested by, and
# mm's own suites, on stock and on our kernel: same options, same initramfs. What
# passes on stock has to pass on ours. See users/tests; quick: only what is marked
# so there. The table is in build/results/users.tsv, what the tests said in
# users-stock.out and users-ours.out.
#
# SUITES narrows down which suites. KERNELS=ours takes what stock said last time.
# The contract checker looks on: what it reports makes this fail.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"

: "${SUITES:=hmm kvm mm}" "${KERNELS:=stock ours}"
tests=$TOP/$SELFTESTS/users/tests
case ${1:-} in
'')	flag= ;;
quick)	flag=q ;;
*)	die "test-clients.sh $1: only quick is known" ;;
esac
for s in $SUITES; do
	grep -q "^$s[[:space:]]" "$tests" || die "SUITES: there is no suite $s in $tests"
done
for k in $KERNELS; do
	[[ " stock ours " = *" $k "* ]] || die "KERNELS=$KERNELS: stock and ours are there"
done

"$TOP/scripts/users-kernels.sh" $([ "$KERNELS" != ours ] || echo ours)
GUEST=$BUILD/guest-users KBUILD=$BUILD/kbuild-users
export GUEST KBUILD
mkdir -p "$GUEST"

# programs SUITE: what the list runs of it
programs()
{
	awk -v suite="$1" '$1 == suite { print $4 }' "$tests" | sort -u
}

build_kvm()
{
	local p targets=()
	for p in $(programs kvm); do
		[ ! -e "$LINUX/tools/testing/selftests/kvm/x86_64/$p.c" ] || p=x86_64/$p
		targets+=("$GUEST/kvm/$p")
	done
	selftest kvm "$GUEST/kvm" "${targets[@]}"
}

# KSFT_SKIP: khugepaged.c of some 6.12.y uses it and does not include it
build_mm()
{
	local subscribe=$GUEST/subscribe.o
	ccache "${CROSS_COMPILE}gcc" -O2 -Wall -isystem "$KBUILD/usr/include" -c -o "$subscribe" \
		"$TOP/$SELFTESTS/users/subscribe.c" &&
		selftest mm "$GUEST/mm" $(programs mm | sed "s,^,$GUEST/mm/,") \
			USERLDFLAGS="-static $subscribe" EXTRA_CFLAGS="-DKSFT_SKIP=4"
}

mkdir -p "$GUEST/kvm" "$GUEST/mm"
(lock_build; headers; logged users-kvm build_kvm; logged users-mm build_mm)
{
	echo "dir /users 755 0 0"
	echo "file /users/tests $tests 644 0 0"
	for s in kvm mm; do
		echo "dir /bin/$s 755 0 0"
		find "$GUEST/$s" -type f -perm -u=x | sed "s,.*/,&, ; s,\(.*\)/\([^/]*\)$,file /bin/$s/\2 & 755 0 0,"
	done
} >"$GUEST/users.list"
"$TOP/scripts/initramfs.sh" "$GUEST/users.list"

# on KERNEL DIRECTORY: all tests in one guest
on()
{
	local job=$GUEST/users-$1.job
	{
		echo "suites='$SUITES' flag='$flag'"
		cat "$TOP"/scripts/guest-{lib,users}
	} >"$job"
	# migration wants two threads beside its own, on processors of their own
	SMP=3 MEM=4G TIMEOUT=${TIMEOUT:-7200} KBUILD=$2 \
		INITRAMFS=$GUEST/initramfs.cpio APPEND="norandmaps debug_mmu_notifier=all ${APPEND:-}" \
		"$TOP/scripts/qemu.sh" "users-$1" "$job" "$RESULTS/users-$1.out"
}

status=0
for k in $KERNELS; do
	name=users-$k image=$KBUILD
	[ $k = ours ] || image=$BUILD/plain-users/kbuild-users
	rm -f "$RESULTS/$name.out"
	logged "$name${flag:+-quick}" on "$k" "$image" || status=1
done
python3 "$TOP/scripts/users-report.py" "$RESULTS" || status=1
if [[ " $SUITES " == *" kvm "* ]]; then
	"$TOP/scripts/kvm-retries.sh" "$RESULTS"/users-{stock,ours}.out || status=1
fi
exit "$status"
