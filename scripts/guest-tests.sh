#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guest-tests.sh kunit|checked|kselftest: boot the kernel with that suite; its KTAP goes
# to build/results. Whether each case passed is for the reader of the KTAP to
# say; fails if the guest did not come to its end or complained.
#
# kunit runs the code that everybody runs, and a selftest which sees that nobody
# records (unchecked.ktap); checked the same suites with the contract checker on, and so does
# kselftest.
#
# TIMEOUT limits the whole boot, TEST_TIMEOUT each program. PROGRAMS are the kselftests, if
# not all. PREFIX comes before the names of logs.

. "$(dirname "$0")/common.sh"

suite=$1
name=${PREFIX:-}$suite
job=$GUEST/$suite.job

case $suite in
kunit|checked)
	# What the checker is to report can be tested with the checker only, and that
	# nothing is recorded which nobody asks for without it only.
	if [ "$suite" = kunit ]; then
		check='kunit.filter=module!=mmu_notifier_check_kunit,module!=mmu_notifier_coverage_kunit'
		output=$RESULTS/unchecked.ktap
		echo "exec stats_test -t off" >"$job"
	else
		check=debug_mmu_notifier=all
		output=$GUEST/$suite.out
		echo true >"$job"
	fi
	TIMEOUT=${TIMEOUT:-300} APPEND="kunit.enable=1 $check ${APPEND:-}" logged "$name" \
		"$TOP/scripts/qemu.sh" "$name" "$job" "$output" || status=$?
	cp "$LOGS/console-$name.log" "$RESULTS/$suite.ktap"
	;;
kselftest)
	all="$(make -s -C "$LINUX/$SELFTESTS" COLLECTION= emit_tests | tr -d :) hmm-tests"
	for p in ${PROGRAMS:=$all}; do
		[[ " ${all//$'\n'/ } " == *" $p "* ]] || die "PROGRAMS: no $p; there are:" $all
	done
	{
		echo "timeout=${TEST_TIMEOUT:-$(sed -n 's/^timeout=//p' "$TOP/$SELFTESTS/settings")}"
		echo "tests='$(echo $PROGRAMS)'"
		[ -z "${SVA_ORDER_ITERATIONS:-}" ] ||
			echo "export SVA_ORDER_ITERATIONS=$SVA_ORDER_ITERATIONS"
		cat "$TOP/scripts/guest-ktap"
	} >"$job"
	TIMEOUT=${TIMEOUT:-1800} APPEND="kunit.enable=0 debug_mmu_notifier=all ${APPEND:-}" logged "$name" \
		"$TOP/scripts/qemu.sh" "$name" "$job" "$RESULTS/kselftest.ktap" || status=$?
	;;
*)	die "no suite $suite; there are: kunit checked kselftest" ;;
esac
exit "${status:-0}"
