#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debug.sh debug|kcsan: the KUnit suites, kselftests and MINUTES (1) of torture on a
# kernel that looks harder, built in build/kbuild-KIND. Results in build/results/KIND.
#
# KCSAN finds races all over the kernel; only those that concern our files make
# this fail. The other kernel has kmemleak, which is asked in the end (guest-init).

. "$(dirname "$0")/common.sh"

kind=${1:-}
fragment=$SELFTESTS/configs/$kind.config
case $kind in
debug)	;;
kcsan)
	export BUGS='BUG: [^K]'
	# Watch more often than the default, which is for weeks of running.
	export APPEND='kcsan.skip_watch=300 kcsan.udelay_task=100'
	;;
*)	die "debug.sh $kind: debug and kcsan are there" ;;
esac

KBUILD=$BUILD/kbuild-$kind$OTHER
GUEST=$BUILD/guest-$kind$OTHER
RESULTS=$RESULTS/$kind
PREFIX=$kind-
: "${SVA_ORDER_ITERATIONS:=20000}"	# a tenth
export KBUILD GUEST RESULTS PREFIX SVA_ORDER_ITERATIONS
. "$TOP/scripts/common.sh"
. "$TOP/scripts/ktap.sh"

"$TOP/scripts/build.sh" "$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH"}.config "$fragment"
"$TOP/scripts/initramfs.sh"

# races CONSOLE: the reports in which one of our functions makes an access that is not
# marked. If ours is, and the other one is not, it is the other one's: folio_lock(), say,
# which is part of our function, and who looks at folio->flags.
races()
{
	nm "$KBUILD"/mm/mmu_notifier*.o "$KBUILD"/drivers/misc/mmu_{mirror,monitor}/*.o |
		sed -nE 's/.* [tT] (\.?[a-z]\w+)$/\1/p' | sort -u >"$LOGS/$kind.functions"
	tr -d '\r' <"$1" | sed 's/^\[[^]]*\] //' >"$LOGS/$kind.said"
	grep 'BUG: KCSAN' "$LOGS/$kind.said" >"$LOGS/$kind.all" || true
	awk '
		NR == FNR { ours[$1]; next }
		/BUG: KCSAN/ { title = $0; next }
		title && /(read|write)( \(marked\))? to 0x/ { plain = !/\(marked\)/; top = 1; next }
		top {
			sub(/\+.*/, "", $1)
			if (plain && $1 in ours)
				found[title]
			top = 0
		}
		/^=====/ { title = "" }
		END {
			for (t in found) {
				print t
				any = 1
			}
			exit !any
		}' "$LOGS/$kind.functions" "$LOGS/$kind.said"
}

passed=0 failed=0 skipped=0
for suite in ${SUITES:-kunit checked kselftest torture}; do
	status=0
	console=$LOGS/console-$PREFIX$suite.log
	rm -f "$RESULTS/$suite.ktap"
	# What waits for time to pass waits longer here.
	case $suite in
	torture)
		console=$LOGS/console-${PREFIX}torture-TORTURE-04.log
		CONFIG=$kind PARTS=torture SCENARIOS=TORTURE-04 TYPES=correct \
			"$TOP/scripts/test-torture.sh" || status=1
		;;
	*)
		TIMEOUT=3600 TEST_TIMEOUT=1800 "$TOP/scripts/guest-tests.sh" "$suite" || status=1
		;;
	esac
	count_ktap "$suite"
	[ "$counted_passed" -gt 0 ] && [ "$status" = 0 ] || [ "$counted_failed" -gt 0 ] || counted_failed=1
	if [ "$kind" = kcsan ]; then
		grep -q 'kcsan: enabled' "$console" || die "$suite: KCSAN was off"
		if ours=$(races "$console"); then
			echo "$suite: data races in our files; see $console:"
			echo "$ours"
			counted_failed=$((counted_failed + 1))
		fi
		say "$suite: $(wc -l <"$LOGS/$kind.all") reports of data races in all"
	fi
	cp "$console" "$RESULTS/$suite.console"
	say "$suite: $counted_passed passed, $counted_failed failed, $counted_skipped skipped; minute $((SECONDS / 60))"
	passed=$((passed + counted_passed))
	failed=$((failed + counted_failed))
	skipped=$((skipped + counted_skipped))
	complaints "$suite"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
