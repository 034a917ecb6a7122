# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Writing KTAP from a script, and counting it. On the terminal: a case that
# fails, at once, now and then how far it is, and one line of summary;
# everything else is in the file.

# ktap_begin SUITE
ktap_begin()
{
	ktap_suite=$1
	ktap_file=$RESULTS/$1.ktap
	ktap_nr=0
	ktap_failed=0
	ktap_start=$SECONDS
	ktap_next=10
	: >"$ktap_file.cases"
}

# ktap_case NAME COMMAND...: one case, ok if COMMAND succeeds
ktap_case()
{
	local name=$1 out now known=$LOGS/.$ktap_suite.cases
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
	now=$((SECONDS - ktap_start))
	[ "$now" -ge "$ktap_next" ] || return 0
	ktap_next=$((now + 15))
	echo "   $ktap_suite: $(how_far "$ktap_nr" "$(cat "$known" 2>/dev/null || echo 0)" "$now"): $name"
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
	echo "$ktap_nr" >"$LOGS/.$ktap_suite.cases"
	say "$ktap_suite: $((ktap_nr - ktap_failed)) of $ktap_nr cases good"
	[ "$ktap_failed" = 0 ]
}

# compile NAME OBJECT...: one make for all of them, which goes on after an error
compile()
{
	local name=$1
	shift
	logged "$name" kmake -k -j"$JOBS" "$@" 2>/dev/null || true
}

# compiled NAME OBJECT: what the log of compile NAME says about OBJECT
compiled()
{
	local source=${2%.o}.c
	if grep -qF " $2] Error" "$LOGS/$1.log"; then
		grep -A3 -F "$source:" "$LOGS/$1.log" || echo "see $LOGS/$1.log"
		return 1
	fi
	[ -e "$KBUILD/$2" ] || { echo "not built; see $LOGS/$1.log"; return 1; }
}

# complaints SUITE: what failed or was skipped, and the last lines a case that failed had
# to say. On the console each line begins with the kernel's time.
complaints()
{
	sed -E 's/^\[[ 0-9.]+\] ?//; s/^ +//; s/\r$//' "$RESULTS/$1.ktap" | awk -v suite="$1" '
		/^(not )?ok / {
			if (/^not/)
				for (i = n > 12 ? n - 12 : 0; i < n; i++)
					print suite ":\t" said[i]
			if (/^not/ || /# SKIP/)
				print suite ": " $0
			n = 0
			next
		}
		{ said[n++] = $0 }'
}

# count_ktap SUITE: sets counted_passed, counted_failed and counted_skipped from
# what kunit.py makes of the suite's file. It closes with a line such as
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
