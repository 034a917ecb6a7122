#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh: everything that has to hold. Each suite leaves KTAP in build/results;
# kunit.py parses and counts it. How long each part took is printed in the end, and
# stands in build/results/minutes.tsv, in seconds.
#
# Of make test-debug there is as much as there is time for: KUnit with the checker, which
# needs lockdep for what it says of locks, and no DEBUG_ATOMIC_SLEEP for what it says of
# sleeping (so it runs on both kernels), some programs, and a minute of torture.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"

programs="uapi_test flush_test regcache_test example_test monitor_uapi_test monitor_paths_test
	monitor_kernel_test kdreg2_test"

rm -f "$RESULTS"/*.ktap
took=$RESULTS/minutes.tsv
: >"$took"
status=0

# part NAME WHAT COMMAND...: all are run, whatever the others say
part()
{
	local name=$1 begin=$SECONDS
	say "$2"
	shift 2
	"$@" || status=1
	printf '%s\t%d\n' "$name" $((SECONDS - begin)) >>"$took"
}

built()
{
	"$TOP/scripts/build.sh"
	"$TOP/scripts/initramfs.sh"
}

debugged()
{
	local suite bad=0
	rm -f "$RESULTS"/debug/*.ktap
	SUITES="checked kselftest torture" PROGRAMS=$programs MINUTES=1 "$TOP/scripts/debug.sh" debug || bad=1
	for suite in checked kselftest torture; do
		mv "$RESULTS/debug/$suite.ktap" "$RESULTS/debug-$suite.ktap" || bad=1
	done
	return "$bad"
}

begin=$SECONDS
say "the kernel, and what runs in the guest"
built
printf 'kernel\t%d\n' $((SECONDS - begin)) >>"$took"

suites="lint clients host kunit unchecked checked kselftest torture debug-checked debug-kselftest debug-torture users"
part lint lint "$TOP/scripts/lint.sh"
part clients clients "$TOP/scripts/clients.sh"
if [ -z "$OTHER" ]; then
	part test-host "native tests" "$TOP/scripts/test-host.sh"
else
	say "native tests: left out, they know of no ARCH; make test-host"
	suites=${suites/ host/}
	suites=${suites/ users/}	# on stock as well, with KVM: x86-64 only
fi
part kunit KUnit "$TOP/scripts/guest-tests.sh" kunit
part kunit-checked "KUnit, checked" "$TOP/scripts/guest-tests.sh" checked
part kselftest kselftest env -u PROGRAMS "$TOP/scripts/guest-tests.sh" kselftest
part test-torture "torture, one scenario and all types that do something wrong" \
	env MINUTES=1 PARTS=torture SCENARIOS=TORTURE-01 TYPES= "$TOP/scripts/test-torture.sh"
part test-debug "a kernel with lockdep, KASAN and kmemleak: a short form of make test-debug" debugged
[ -n "$OTHER" ] ||
	part test-clients "users, on stock and on ours: a short form of make test-clients" \
		"$TOP/scripts/test-clients.sh" quick

passed=0 failed=0 skipped=0
for suite in $suites; do
	[ -e "$RESULTS/$suite.ktap" ] || : >"$RESULTS/$suite.ktap"
	count_ktap "$suite"
	[ "$counted_passed" -gt 0 ] || counted_failed=$((counted_failed + 1))	# ran no test
	passed=$((passed + counted_passed))
	failed=$((failed + counted_failed))
	skipped=$((skipped + counted_skipped))
	echo "$suite: $counted_passed passed, $counted_failed failed, $counted_skipped skipped"
	complaints "$suite"
	# a case that is missing, or in the wrong place
	grep -aE '\[(ERROR|CRASHED)\]' "$LOGS/parse-$suite.log" | sed "s/^\\[[0-9:]*\\]/$suite:/" || true
done
echo "minutes: $(while read -r name seconds; do
	printf '%s %s, ' "$name" "$(minutes "$seconds")"
done <"$took")all $(minutes "$SECONDS")"

# A guest that complained or stopped early fails even where every case passed.
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
[ "$failed" = 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
