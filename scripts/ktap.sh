# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Writing KTAP from a script, and counting it. On the terminal: a case that fails, at once, and
# one line of summary; everything else is in the file.

ktap_begin()
{
	ktap_file=$1
	ktap_nr=0
	ktap_failed=0
	ktap_start=$SECONDS
	ktap_next=10
	: >"$ktap_file.cases"
}

# ktap_case NAME COMMAND...: one case, ok if COMMAND succeeds
ktap_case()
{
	local name=$1 out
	shift
	ktap_nr=$((ktap_nr + 1))
	if out=$("$@" 2>&1 </dev/null); then
		echo "ok $ktap_nr - $name" >>"$ktap_file.cases"
	else
		ktap_failed=$((ktap_failed + 1))
		{
			sed 's/^/# /' <<<"$out"
			echo "not ok $ktap_nr - $name"
		} >>"$ktap_file.cases"
		echo "not ok: $name"
		tail -n 20 <<<"$out" | sed 's/^/	/'
	fi
	if [ $((SECONDS - ktap_start)) -ge "$ktap_next" ]; then
		ktap_next=$((SECONDS - ktap_start + 15))
		echo "   ${ktap_file##*/}: $ktap_nr cases, $(minutes $((SECONDS - ktap_start))), $name"
	fi
}

ktap_skip()
{
	ktap_nr=$((ktap_nr + 1))
	echo "ok $ktap_nr - $1 # SKIP $2" >>"$ktap_file.cases"
}

# ktap_end: the plan stands first in KTAP, so the file is put together now
ktap_end()
{
	{
		echo "KTAP version 1"
		echo "1..$ktap_nr"
		cat "$ktap_file.cases"
	} >"$ktap_file"
	rm "$ktap_file.cases"
	say "${ktap_file##*/}: $((ktap_nr - ktap_failed)) of $ktap_nr cases good"
	[ "$ktap_failed" = 0 ]
}

# count_ktap SUITE: sets counted_passed, counted_failed and counted_skipped from what
# kunit.py makes of the suite's file. It closes with a line such as
# "Testing complete. Ran 7 tests: passed: 5, failed: 1, skipped: 1".
count_ktap()
{
	local sum
	sum=$(python3 "$LINUX/tools/testing/kunit/kunit.py" parse "$RESULTS/$1.ktap" 2>&1 |
		tee "$LOGS/parse-$1.log" | grep -a 'Testing complete') || true
	counted_passed=$(ktap_count passed)
	counted_skipped=$(ktap_count skipped)
	counted_failed=$(($(ktap_count failed) + $(ktap_count crashed) + $(ktap_count errors)))
}

ktap_count()
{
	[[ $sum =~ $1:\ ([0-9]+) ]] && echo "${BASH_REMATCH[1]}" || echo 0
}
