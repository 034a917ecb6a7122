#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug.sh debug|kcsan: the KUnit suites and kselftests on a kernel that looks
# harder, built in build/kbuild-KIND. Results in build/results/KIND.
#
# KCSAN finds races all over the kernel; only those that concern our files make
# this fail.

. "$(dirname "$0")/common.sh"

kind=${1:-}
fragment=$SELFTESTS/configs/$kind.config
case $kind in
debug)	export MEM=4G ;;
kcsan)
	export BUGS='BUG: [^K]'
	# Watch more often than the default, which is for weeks of running.
	export APPEND='kcsan.skip_watch=300 kcsan.udelay_task=100'
	;;
*)	die "debug.sh $kind: debug and kcsan are there" ;;
esac

KBUILD=$BUILD/kbuild-$kind$OTHER
RESULTS=$RESULTS/$kind
export KBUILD RESULTS
. "$TOP/scripts/common.sh"
. "$TOP/scripts/ktap.sh"

"$TOP/scripts/build.sh" "$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH"}.config "$fragment"
"$TOP/scripts/initramfs.sh"

# races CONSOLE: the reports that name one of our functions, each with its begin
races()
{
	nm "$KBUILD"/mm/mmu_notifier*.o "$KBUILD"/drivers/misc/mmu_{mirror,monitor}/*.o |
		sed -nE 's/.* [tT] (\.?[a-z]\w+)$/\1/p' | sort -u >"$LOGS/$kind.functions"
	tr -d '\r' <"$1" | sed 's/^\[[^]]*\] //' | grep 'BUG: KCSAN' | tee "$LOGS/$kind.all" |
		grep -wFf "$LOGS/$kind.functions"
}

passed=0 failed=0 skipped=0
for suite in kunit checked kselftest; do
	status=0
	rm -f "$RESULTS/$suite.ktap"
	# What waits for time to pass waits longer here.
	TIMEOUT=3600 TEST_TIMEOUT=1800 "$TOP/scripts/guest-tests.sh" "$suite" || status=1
	count_ktap "$suite"
	[ "$counted_passed" -gt 0 ] && [ "$status" = 0 ] || [ "$counted_failed" -gt 0 ] || counted_failed=1
	if [ "$kind" = kcsan ]; then
		grep -q 'kcsan: enabled' "$LOGS/console-$suite.log" || die "$suite: KCSAN was off"
		if ours=$(races "$LOGS/console-$suite.log"); then
			echo "$suite: data races in our files; see $LOGS/console-$suite.log:"
			echo "$ours"
			counted_failed=$((counted_failed + 1))
		fi
		say "$suite: $(wc -l <"$LOGS/$kind.all") reports of data races in all"
	fi
	cp "$LOGS/console-$suite.log" "$RESULTS/$suite.console"
	passed=$((passed + counted_passed))
	failed=$((failed + counted_failed))
	skipped=$((skipped + counted_skipped))
	sed -nE "s/^(\[[ 0-9.]+\])? *(not ok.*|.*# SKIP.*)/$suite: \\2/p" "$RESULTS/$suite.ktap"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
