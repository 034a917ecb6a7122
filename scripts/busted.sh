#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# busted.sh [PATCH...]: break the code on purpose, with one patch of
# tools/testing/selftests/mmu_notifier/busted at a time, and see that the tests
# notice. Fails for a break that none of them sees. Those in busted/kvm break KVM,
# which is in the kernel of users-kernels.sh and has a test of its own. Those in
# busted/check break the contract: the checker has to make a report of the kind that
# the patch names ("Report: KIND"), whatever else goes wrong, in the demo or in what
# it names as well ("Job: COMMAND"), on a kernel with configs/NAME.config if it says
# "Config: NAME". Of the others, too, a break may name the test that has to notice:
# then a case of that one has to fail, and nothing else is run.
#
# Everything is built in build/busted, from the same pristine source; ccache
# makes the first of these builds a cheap one.

. "$(dirname "$0")/common.sh"

if [ $# = 0 ]; then
	set -- "$TOP/$SELFTESTS"/busted/{,check/}*.patch
	[ -n "$OTHER" ] || set -- "$@" "$TOP/$SELFTESTS"/busted/kvm/*.patch
fi
for p; do
	[ -e "$p" ] || die "no such break: $p; they are in $SELFTESTS/busted"
done

"$TOP/scripts/overlay.sh"	# fetches the source
found=$RESULTS/busted.tsv	# for test-torture.sh: the last word on each break
BUILD=$BUILD/busted
unset KBUILD RESULTS GUEST
. "$TOP/scripts/common.sh"
. "$TOP/scripts/ktap.sh"

# first_failure KTAP: "suite.case.parameter" of the first "not ok"
first_failure()
{
	sed 's/^\[[^]]*\] //' "$1" | awk '
		{ match($0, / */); depth = RLENGTH }
		sub(/^ *# Subtest: /, "") { parent[depth] = $0; next }
		sub(/^ *not ok [0-9]+ (- )?/, "") {
			for (i = 0; i <= depth; i++)
				if (i in parent)
					printf "%s.", parent[i]
			print
			exit
		}'
}

# The suites, each on the broken kernel: say what went red there, fail if nothing.
seen_by_kunit()
{
	seen_by_ktap kunit
}

seen_by_demo()
{
	local rows
	rm -f "$RESULTS/demo.out"
	! TIMEOUT=120 "$TOP/scripts/run.sh" >"$LOGS/busted.log" 2>&1 || return 1
	rows=$(grep -ac ' FAILED$' "$RESULTS/demo.out") || true
	if [ "$rows" -gt 0 ]; then
		echo "demo $rows"
	else
		sed -n 's/^error: //p' "$LOGS/busted.log" | head -n 1
	fi
}

seen_by_kselftest()
{
	seen_by_ktap kselftest
}

seen_by_ktap()
{
	local why=
	rm -f "$RESULTS/$1.ktap"
	TIMEOUT=1200 TEST_TIMEOUT=400 "$TOP/scripts/guest-tests.sh" "$1" >"$LOGS/busted.log" 2>&1 ||
		why=$(sed -n "s/^error: $1: //p" "$LOGS/busted.log")
	count_ktap "$1"
	if [ "$counted_failed" -gt 0 ]; then
		why="$counted_failed ($(first_failure "$RESULTS/$1.ktap"))"
	elif [ "$counted_passed" = 0 ]; then
		: "${why:=no result}"
	fi
	[ -n "$why" ] && echo "$1 $why"
}

# said WORD: what the patch says behind "WORD: "
said()
{
	sed -n "s/^$1: //p" "$EXTRA_PATCH"
}

# With all kinds of reports switched on
seen_by_checker()
{
	local console=$LOGS/console-busted-checker.log kind job report
	kind=$(said Report)
	job=$(said Job)
	rm -f "$console"
	echo "exec ${job:-mmu_mirror_demo -p shadow}" >"$GUEST/checker.job"
	APPEND="kunit.enable=0 debug_mmu_notifier=all" "$TOP/scripts/qemu.sh" busted-checker \
		"$GUEST/checker.job" "$RESULTS/busted-checker.out" >"$LOGS/busted.log" 2>&1 || true
	report=$(grep -aom 1 "MMU notifier: $kind: .*" "$console") && echo "$report"
}

# A case has to fail, or the kernel to complain: that the command is not there, say, is
# not seeing it.
seen_by_job()
{
	local out=$RESULTS/busted-job.out
	rm -f "$out"
	echo "exec $(said Job)" >"$GUEST/break.job"
	! APPEND="kunit.enable=0 debug_mmu_notifier=all" TIMEOUT=400 "$TOP/scripts/qemu.sh" \
		busted-job "$GUEST/break.job" "$out" >"$LOGS/busted.log" 2>&1 || return 1
	{
		tr -d '\r' <"$out" | sed -n 's/^ *not ok [0-9]* \(- \)\?//p'
		sed -n 's/^error: busted-job: \(the kernel complained\)/\1/p' "$LOGS/busted.log"
	} | head -n 1 | grep .
}

seen_by_kvm()
{
	local out=$RESULTS/busted-kvm.out
	rm -f "$out"
	! TIMEOUT=600 "$TOP/scripts/qemu.sh" busted-kvm "$GUEST/kvm.job" "$out" \
		>"$LOGS/busted.log" 2>&1 || return 1
	{
		tr -d '\r' <"$out" | sed -n 's,^  x86_64/.*_test\.c:,line ,p'
		sed -n 's/^error: busted-kvm: //p' "$LOGS/busted.log"
	} | head -n 1 | sed 's/^ */invalidate_retry_test /'
}

build_kvm()
{
	local test=$GUEST/kvm/x86_64/invalidate_retry_test
	"$TOP/scripts/users-kernels.sh" ours
	mkdir -p "${test%/*}"
	(lock_build; headers; logged users-kvm selftest kvm "$GUEST/kvm" "$test")
	printf 'file /bin/%s %s 755 0 0\n' "${test##*/}" "$test" >"$GUEST/kvm.list"
	BARE=1 "$TOP/scripts/initramfs.sh" "$GUEST/kvm.list"
	# by its whole name: it reads itself, to load the guest
	echo "/bin/${test##*/} -t 2 -m 10" >"$GUEST/kvm.job"
}

# kselftest takes ten minutes: only what the others do not see
caught()
{
	local seen=
	for suite in $suites; do
		[ "$suite" != kselftest ] || [ -z "$seen" ] || break
		seen+=$(seen_by_$suite && echo ", ") || true
	done
	seen=$(tr -d '\n' <<<"$seen")
	echo "${seen%, }"
	[ -n "$seen" ]
}

missed=0
table=
for EXTRA_PATCH; do
	EXTRA_PATCH=$(realpath "$EXTRA_PATCH")
	name=$(basename "$EXTRA_PATCH" .patch)
	say "$name"
	export EXTRA_PATCH
	case $EXTRA_PATCH in
	*/kvm/*)
		name=kvm/$name suites=kvm
		export KBUILD=$BUILD/kbuild-users GUEST=$BUILD/guest-users
		build_kvm
		;;
	*)
		suites="kunit demo kselftest"
		[ -z "$(said Job)" ] || suites=job
		case $EXTRA_PATCH in
		*/check/*)	name=check/$name suites=checker ;;
		esac
		config=$(said Config)
		fragments=()
		[ -z "$config" ] ||
			fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH","$config"}.config)
		export KBUILD=$BUILD/kbuild-${config:-$ARCH} GUEST=$BUILD/guest-$ARCH
		"$TOP/scripts/build.sh" "${fragments[@]}"
		"$TOP/scripts/initramfs.sh"
		;;
	esac
	if ! why=$(caught); then
		why="MISSED"
		missed=$((missed + 1))
	fi
	echo "   $why"
	table+=$(printf '%-40s %s' "$name" "$why")$'\n'
	{
		grep -v "^$name	" "$found" 2>/dev/null || true
		printf '%s\t%s\n' "$name" "$why"
	} >"$found.new"
	mv "$found.new" "$found"
done
printf '\n%-40s %s\n%s' "break" "caught by" "$table"
echo "$(($# - missed)) of $# breaks caught"
[ "$missed" = 0 ]
