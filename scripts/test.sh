#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test.sh: everything that has to hold. Each suite leaves KTAP in build/results;
# kunit.py parses and counts it.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"

rm -f "$RESULTS"/*.ktap
status=0

# What the checker says of locks it has from lockdep.
checked()
{
	local config
	config=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH",lockdep}.config)
	local -x KBUILD=$BUILD/kbuild-lockdep$OTHER GUEST=$BUILD/guest-lockdep$OTHER
	mkdir -p "$GUEST"
	"$TOP/scripts/build.sh" "${config[@]}" && BARE=1 "$TOP/scripts/initramfs.sh" &&
		"$TOP/scripts/guest-tests.sh" checked
}

"$TOP/scripts/build.sh"
"$TOP/scripts/initramfs.sh"

say "lint"
"$TOP/scripts/lint.sh" || status=1
say "clients"
"$TOP/scripts/clients.sh" || status=1

suites="lint clients host kunit unchecked checked kselftest users"
if [ -z "$OTHER" ]; then
	say "native tests"
	"$TOP/scripts/test-host.sh" || status=1
else
	say "native tests: left out, they know of no ARCH; make test-host"
	suites=${suites/ host/}
	suites=${suites/ users/}	# on stock as well, with KVM: x86-64 only
fi
say "KUnit"
"$TOP/scripts/guest-tests.sh" kunit || status=1
say "KUnit, checked, on a kernel with lockdep"
checked || status=1
say "kselftest"
"$TOP/scripts/guest-tests.sh" kselftest || status=1
if [ -z "$OTHER" ]; then
	say "users, on stock and on ours: a short form of make test-clients"
	"$TOP/scripts/test-clients.sh" quick || status=1
fi

passed=0 failed=0 skipped=0
for suite in $suites; do
	count_ktap "$suite"
	[ "$counted_passed" -gt 0 ] || counted_failed=$((counted_failed + 1))	# ran no test
	passed=$((passed + counted_passed))
	failed=$((failed + counted_failed))
	skipped=$((skipped + counted_skipped))
	echo "$suite: $counted_passed passed, $counted_failed failed, $counted_skipped skipped"
	# on the console each line begins with the kernel's time
	sed -nE "s/^(\[[ 0-9.]+\])? *(not ok.*|.*# SKIP.*)/$suite: \\2/p" "$RESULTS/$suite.ktap"
	# a case that is missing, or in the wrong place
	grep -aE '\[(ERROR|CRASHED)\]' "$LOGS/parse-$suite.log" | sed "s/^\\[[0-9:]*\\]/$suite:/" || true
done

# A guest that complained or stopped early fails even where every case passed.
[ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
[ "$failed" = 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
