#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-host.sh: the core in user space (tools/testing/mmu_notifier): unit tests
# under sanitizers, every schedule of small programs, a fuzzer against a
# reference; then the same with one thing broken at a time, which must be found. And
# what asking the monitor's library costs.
# KTAP in build/results/host.ktap. No kernel is built.
#
# FUZZ_SECONDS is the fuzzer's budget.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
: "${FUZZ_SECONDS:=25}"

"$TOP/scripts/overlay.sh"

dir=$TOP/tools/testing/mmu_notifier
host=$BUILD/host
out=$host/results
rm -rf "$out" "$host/busted"
mkdir -p "$host/mm" "$out"
export LINUX dir host out FUZZ_SECONDS

build()
{
	make -s -C "$dir" -f Makefile.tests -j"$JOBS" LINUX="$LINUX" OUTPUT="$1" "${@:2}"
}

# Each job leaves KTAP in $out/JOB and fails if a test did.
job()
{
	local name=${1%%:*} what=${1#*:} status=0
	case $name in
	unit-*)
		"$host/$name" >"$out/$1" 2>&1 || status=1 ;;
	sched)
		"$host/sched" "$what" >"$out/$1" 2>&1 || status=1 ;;
	fuzz)
		fuzz "$host/fuzz" "$host/corpus" "$FUZZ_SECONDS" >"$out/$1" 2>&1 || status=1 ;;
	monitor_valid)
		"$host/monitor_valid" >"$out/$1" 2>&1 || status=1 ;;
	busted)
		busted "$what" >"$out/$1" 2>&1 || status=1 ;;
	esac
	[ "$status" = 0 ] || echo "not ok: $1" >&2
}

fuzz()
{
	mkdir -p "$2"
	(cd "$2/.." && "$1" -max_total_time="$3" -seed=1 -timeout=10 -max_len=600 \
		-print_final_stats=1 "$2" 2>&1) >"$2.log" && echo "KTAP version 1" && echo "1..1" &&
		sed -n 's/^stat::number_of_executed_units: */# sequences: /p' "$2.log" &&
		echo "ok 1 - sequences agree with the reference" && return
	echo "KTAP version 1"
	echo "1..1"
	grep -v -e ' NEW ' -e ' REDUCE ' -e ' pulse ' "$2.log" | tail -n 30 | sed 's/^/# /'
	echo "not ok 1 - sequences agree with the reference"
	return 1
}

# busted NAME: good if what the patch says finds it does
busted()
{
	local patch=$dir/busted/$1.patch where=$host/busted/$1 tester arguments found=
	mkdir -p "$where"
	cp -a "$host"/{mm,sched-mm,stubs,include} "$host"/*.o "$where"
	patch -d "$where" -s -p1 -F0 <"$patch" || return 1
	read -r tester arguments < <(sed -n 's/^Found-by: //p' "$patch")
	case $tester in
	sched)
		build "$where" "$where/sched" >"$where/make.log" 2>&1 &&
			{ "$where/sched" -x $arguments >"$where/log" 2>&1 || found=y; } ;;
	unit)
		build "$where" "$where/unit-asan" >"$where/make.log" 2>&1 &&
			{ "$where/unit-asan" ${arguments:+-t "$arguments"} >"$where/log" 2>&1 || found=y; } ;;
	fuzz)
		build "$where" "$where/fuzz" >"$where/make.log" 2>&1 &&
			{ fuzz "$where/fuzz" "$where/corpus" 30 >"$where/log" 2>&1 || found=y; } ;;
	esac
	# Found is what a test says, not that the tester could not run.
	grep -qs '^not ok' "$where/log" || found=
	echo "KTAP version 1"
	echo "1..1"
	sed -n '1s/^/# /p' "$patch"
	if [ -n "$found" ]; then
		grep -m 1 -E '^# [a-z-]+: |Expected|expected|SUMMARY' "$where/log" | sed 's/^#* */# found: /'
		echo "ok 1 - $1 is found by $tester"
		rm -rf "$where"
	else
		cat "$where/make.log" "$where/log" 2>/dev/null | tail -n 20 | sed 's/^/# /'
		echo "not ok 1 - $1 is found by $tester"
		return 1
	fi
}

build_all()
{
	rsync -c "$LINUX"/mm/mmu_notifier*.[ch] "$host/mm/"
	build "$host" all
}
logged host-build build_all

# The longest first
programs=$("$host/sched" -l)
{
	printf 'sched:%s\n' $programs
	echo fuzz:
	printf 'busted:%s\n' $(cd "$dir/busted" && echo *.patch | sed 's/\.patch//g')
	echo unit-asan:
	echo unit-tsan:
	echo monitor_valid:
} >"$host/jobs"

export -f job fuzz busted build
run_all()
{
	xargs -P "$JOBS" -I{} bash -c 'job {}; echo {}' <"$host/jobs"
}
logged host run_all
grep '^not ok' "$LOGS/host.log" || true

# One KTAP of all, each job a test with its cases below it
ktap=$RESULTS/host.ktap
nr=0
{
	echo "KTAP version 1"
	echo "1..$(wc -l <"$host/jobs")"
	while read -r job; do
		nr=$((nr + 1))
		sed -e '/^TAP version 13$/s/.*/KTAP version 1/' -e 's/^/  /' "$out/$job" |
			sed "1a\\  # Subtest: ${job%:}"
		if grep -q '^ok' "$out/$job" && ! grep -q '^not ok' "$out/$job"; then
			echo "ok $nr - ${job%:}"
		else
			echo "not ok $nr - ${job%:}"
		fi
	done <"$host/jobs"
} >"$ktap"

count_ktap host
sed -n 's/^ *# \(.* schedules .*\)/\1/p' "$ktap" >"$host/schedules"
say "host: $counted_passed passed, $counted_failed failed; $(wc -l <"$host/schedules") programs," \
	"$(awk '{ n += $1; s += $12 } END { printf "%.2g schedules", n }' "$host/schedules")"
[ "$counted_failed" = 0 ] && [ "$counted_passed" -gt 0 ]
