#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# busted.sh [PATCH...]: break the code on purpose, with one patch of
# tools/testing/selftests/mmu_notifier/busted at a time, and see that the tests
# notice. Fails for a break that none of them sees.
#
# Everything is built in build/busted, from the same pristine source; ccache
# makes the first of these builds a cheap one.

. "$(dirname "$0")/common.sh"

[ $# -gt 0 ] || set -- "$TOP/$SELFTESTS"/busted/*.patch
[ -e "$1" ] || die "no such break: $1"

"$TOP/scripts/overlay.sh"	# fetches the source
BUILD=$BUILD/busted
unset KBUILD
. "$TOP/scripts/common.sh"
. "$TOP/scripts/ktap.sh"

# caught: boot the broken kernel; what the first complaint was
caught()
{
	local suite
	for suite in kunit kselftest; do
		rm -f "$RESULTS/$suite.ktap"
		if ! TIMEOUT=400 TEST_TIMEOUT=200 "$TOP/scripts/guest-tests.sh" "$suite" \
			>"$LOGS/busted.log" 2>&1; then
			why=$(sed -n "s/^error: $suite: //p" "$LOGS/busted.log")
		fi
		count_ktap "$suite"
		if [ "$counted_failed" -gt 0 ]; then
			why=$(grep -a -m1 '^\(\[[^]]*\] \)\? *not ok' "$RESULTS/$suite.ktap" |
				sed 's/.*not ok [0-9]* *//')
		fi
		[ -z "$why" ] || { echo "$suite: $why"; return 0; }
	done
	return 1
}

missed=0
table=
for EXTRA_PATCH; do
	name=$(basename "$EXTRA_PATCH" .patch)
	say "$name"
	export EXTRA_PATCH
	"$TOP/scripts/build.sh"
	"$TOP/scripts/initramfs.sh"
	why=
	if ! why=$(caught); then
		why="MISSED"
		missed=$((missed + 1))
	fi
	echo "   $why"
	table+=$(printf '%-40s %s' "$name" "$why")$'\n'
done
printf '\n%-40s %s\n%s' "break" "caught by" "$table"
echo "$(($# - missed)) of $# breaks caught"
[ "$missed" = 0 ]
