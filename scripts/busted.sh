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

# caught: boot the broken kernel; what the first complaint was
caught()
{
	local suite
	for suite in kunit kselftest; do
		rm -f "$RESULTS/$suite.ktap"
		if ! TIMEOUT=1200 TEST_TIMEOUT=400 "$TOP/scripts/guest-tests.sh" "$suite" \
			>"$LOGS/busted.log" 2>&1; then
			why=$(sed -n "s/^error: $suite: //p" "$LOGS/busted.log")
		fi
		count_ktap "$suite"
		if [ "$counted_failed" -gt 0 ]; then
			why=$(first_failure "$RESULTS/$suite.ktap")
			: "${why:=a case without an end}"
		fi
		[ -z "$why" ] || { echo "$suite: $why"; return 0; }
	done
	return 1
}

missed=0
table=
for EXTRA_PATCH; do
	EXTRA_PATCH=$(realpath "$EXTRA_PATCH")
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
