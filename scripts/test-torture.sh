#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-torture.sh: the torture test of the MMU notifiers, mmu_notifier_torture.ko. Its
# correct type runs for MINUTES in each scenario of the selftests' torture/CFLIST and
# must not fail; each type that does something wrong must be found, by the rule that
# it breaks. The same for the others who judge: the native harness (test-host.sh), and
# the contract checker, which is to be silent while what finds its breaks runs on the
# correct code. What test-busted said of the other breaks when it last ran is listed, too.
#
# PARTS (torture harness checker) leaves some of that out.
#
# BREAKS names patches of the selftests' busted/: with each of them the correct type has
# to fail. They are built in build/busted, as by busted.sh.
#
# TYPES and SCENARIOS narrow it down; TYPES=correct leaves the others out,
# SCENARIOS=none the correct one. BUSTED_SECONDS (20) is how long a type may take to be
# found, by the guest's clock. CONFIG=NAME takes the kernel with configs/NAME.config for all
# scenarios (debug.sh).
#
# The table is in build/results/torture.tsv, the same as KTAP in torture.ktap. What is
# printed is explained in Documentation/mm/mmu_notifier/torture.rst.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"

torture=$TOP/$SELFTESTS/torture
all_scenarios=$(grep -v '^#' "$torture/CFLIST")
# shellcheck disable=SC2046
all_types=$(sed -n 's/.*{ "\(busted-[a-z-]*\)".*/\1/p' "$TOP/mm/tests/mmu_notifier_torture_types.c")
: "${BREAKS:=}" "${MINUTES:=1}" "${PARTS:=torture harness checker}" "${SCENARIOS:=$all_scenarios}" "${TYPES:=$all_types}" "${BUSTED_SECONDS:=60}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac
case $BUSTED_SECONDS in
''|*[!0-9]*|0)	die "BUSTED_SECONDS=$BUSTED_SECONDS is not a positive number" ;;
esac
for p in $PARTS; do
	case $p in
	torture|harness|checker) ;;
	*)	die "no part $p; there are: torture harness checker" ;;
	esac
done
part()
{
	case " $PARTS " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}
if ! part torture; then
	SCENARIOS=none TYPES=correct
fi
[ "$SCENARIOS" != none ] || SCENARIOS=
[ "$TYPES" != correct ] || TYPES=
for s in $SCENARIOS; do
	[ -e "$torture/$s.boot" ] || die "no scenario $s; there are:" $all_scenarios
done
for t in $TYPES; do
	grep -qx "$t" <<<"$all_types" || die "no type $t; there are: correct" $all_types
done

for b in $BREAKS; do
	[ -e "$TOP/$SELFTESTS/busted/$b.patch" ] ||
		die "no such break: $b; they are in $SELFTESTS/busted"
done

# As qemu.sh has them, of the whole guest; here it is known whose they are.
splats="${BUGS:-BUG:}"'|WARNING:|Oops|general protection|detected stall|self-detected|blocked for more than'
splats+='|UBSAN:|Bad page|turning off the locking'
status=0
table=$RESULTS/torture.tsv
printf 'kind\tname\tmust be found by\tfound by\tseconds\tverdict\n' >"$table"

# row KIND NAME MUST FOUND SECONDS VERDICT
row()
{
	local IFS=$'\t'
	echo "$*" >>"$table"
}

# configured CONFIG GUEST: from now on it is the kernel with configs/CONFIG.config, or the
# one that everybody has, and a guest of its own
configured()
{
	fragments=()
	unset KBUILD
	if [ -n "$1" ]; then
		export KBUILD=$BUILD/kbuild-$1$OTHER
		fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH","$1"}.config)
	fi
	export GUEST=$BUILD/$2${1:+-$1}$OTHER
	. "$TOP/scripts/common.sh"
	mkdir -p "$GUEST"
}

# kernel SCENARIO: the kernel of a scenario, with what its file asks for
kernel()
{
	local line config
	config=$(sed -n 's/^# Config: //p' "$torture/$1")
	configured "${CONFIG:-$config}" guest-torture
	mkdir -p "$GUEST/programs"
	if [ -z "${NO_BUILD:-}" ]; then
		"$TOP/scripts/build.sh" "${fragments[@]}"
		(
			lock_build
			headers
			logged torture-helper selftest mmu_notifier "$GUEST/programs" \
				"$GUEST/programs/mmu_torture_churn"
		)
		BARE=1 "$TOP/scripts/initramfs.sh"
	fi
	# What it needs of its own kernel another one need not have.
	[ "${CONFIG:-$config}" = "$config" ] || return 0
	while read -r line; do
		grep -qx "$line" "$KBUILD/.config" || die "$1 needs $line in $KBUILD/.config"
	done < <(sed -n 's/^\(#CHECK#\)\?\(CONFIG_.*\)/\2/p' "$torture/$1")
}

# boot SCENARIO SECONDS: with the runs in $GUEST/runs
boot()
{
	local name=${PREFIX:-}torture-$1 job=$GUEST/torture.job
	{
		echo "cat >/tmp/runs <<'END'"
		cat "$GUEST/runs"
		echo END
		cat "$TOP/scripts/guest-torture"
	} >"$job"
	rm -f "$RESULTS/$name.out"
	SMP=${SMP:-2} TIMEOUT=${TIMEOUT:-$(($2 * 4 + 300))} \
		APPEND="kunit.enable=0 init_on_free=1 ${APPEND:-}" logged "$name" \
		"$TOP/scripts/qemu.sh" "$name" "$job" "$RESULTS/$name.out" || {
		[ -z "${EXTRA_PATCH:-}" ] || return 0
		status=1
		row guest "$1" - "$(sed -n "s/^error: $name: //p" "$LOGS/$name.log" | head -n 1)" - FAILED
	}
	console=$LOGS/console-$name.log
}

# run_of NAME: what the console says from the begin to the end of a run
run_of()
{
	tr -d '\r' <"$console" | sed 's/^\[[^]]*\] //' |
		sed -n "/^torture-run: begin $1\$/,/^torture-run: end $1 /p"
}

# judge NAME: sets what was found, in which time, and what is wrong with the run
judge()
{
	local run
	run=$(run_of "$1")
	wrong=
	seconds=$(sed -n "s/^torture-run: end $1 \([0-9.]*\) \([0-9.]*\)\$/\1 \2/p" <<<"$run" |
		awk '{ printf "%.0f", $2 - $1 }')
	must=$(sed -n 's/^mmu_notifier-torture: type .*: \(R[0-9]*-[a-z]*\) was .*/\1/p' <<<"$run")
	found=$(sed -n 's/^mmu_notifier-torture: type .*: \(R[0-9]*-[a-z]*\) was tripped .*/\1/p' <<<"$run")
	end=$(sed -n 's/^mmu_notifier-torture: --- End of test: \([A-Z]*\).*/\1/p' <<<"$run")
	[ -n "$seconds" ] || wrong="did not come to its end"
	[ -n "$end" ] || wrong=${wrong:-no line with a verdict}
	if ! sed -n 's/^mmu_notifier-torture: ver: \([0-9]*\) .*/\1/p' <<<"$run" | awk '
		NR > 1 && $1 <= last { stands = 1 } { last = $1 } END { exit stands || !NR }'; then
		wrong=${wrong:-the version does not rise: it hangs}
	fi
	splat=$(grep -v '^mmu_notifier-torture: ' <<<"$run" | grep -m 1 -E "$splats") &&
		wrong=${wrong:-$splat}
	first=$(sed -n 's/^mmu_notifier-torture: !!! \(R[0-9]*-[a-z]*\): .*/\1/p' <<<"$run" | head -n 1)
	helpers=$(sed -n "s/^torture-run: helpers $1 //p" <<<"$run")
	[ -z "$wrong" ]
}

# counted NAME WHAT: how often, in the end; CPUs that went are counted by torture.ko
counted()
{
	if [ "$2" = offline ]; then
		run_of "$1" | sed -n 's,^onoff: [0-9]*/[0-9]*:\([0-9]*\)/.*,\1,p' | tail -n 1
	else
		run_of "$1" | sed -n "s/^mmu_notifier-torture: ver: .* $2: \([0-9]*\).*/\1/p" | tail -n 1
	fi
}

# judged KIND NAME MUST CASE COMMAND...: a case about the run NAME, and its row. MUST is
# what it must be found by, if the run does not say so.
judged()
{
	local kind=$1 name=$2 expected=$3 failed=$ktap_failed verdict=ok
	shift 3
	ktap_case "$@"
	[ "$ktap_failed" = "$failed" ] || verdict=FAILED
	judge "$name" || true
	row "$kind" "$name" "${expected:-${must:-?}}" \
		"${found:-${first:-${splat:-${wrong:-nothing}}}}" "${seconds:--}" $verdict
}

correct_held()
{
	local what
	judge "$1" || { echo "$wrong"; return 1; }
	[ "$end" = SUCCESS ] || {
		echo "$end"
		run_of "$1" | grep '!!!' | head -n 40
		return 1
	}
	case $helpers in
	FAIL*)	echo "$helpers"; return 1 ;;
	esac
	for what in $(sed -n 's/^# Counts: //p' "$torture/${1%.*}"); do
		[ "$(counted "$1" "$what")" -gt 0 ] || { echo "$what: not once"; return 1; }
	done
}

# Parameters that make no sense: the module is not there, and says what is wrong.
refused_named()
{
	judge "$1" || true
	[ -n "$seconds" ] && run_of "$1" | grep -q "^mmu_notifier-torture: .*$2" || {
		echo "$2 is not refused, or nobody says why"
		return 1
	}
}

# The judge has to notice what does not move.
still_noticed()
{
	! judge still || { echo "it rises"; return 1; }
	[ "$wrong" = "the version does not rise: it hangs" ] || { echo "$wrong"; return 1; }
}

busted_found()
{
	judge "$1" || { echo "$wrong"; return 1; }
	[ -n "$found" ] && [ "$end" = FAILURE ] || {
		echo "not found: $end"
		run_of "$1" | grep '!!!' | head -n 20
		return 1
	}
}

ktap_begin torture
for s in $SCENARIOS; do
	say "$s: the correct type for $MINUTES minutes"
	kernel "$s"
	lines=$(grep -cv '^#' "$torture/$s.boot")
	nr=0
	grep -v '^#' "$torture/$s.boot" | while read -r parameters; do
		nr=$((nr + 1))
		echo "$s.$nr $((MINUTES * 60 / lines)) processes torture_type=correct $parameters"
	done >"$GUEST/runs"
	boot "$s" $((MINUTES * 60))
	for nr in $(seq "$lines"); do
		judged correct "$s.$nr" nothing "$s.$nr keeps all rules" correct_held "$s.$nr"
	done
done

if [ -n "$TYPES" ]; then
	say "$(wc -w <<<"$TYPES") types that do something wrong"
	kernel BUSTED
	tight=$(grep -v '^#' "$torture/BUSTED.boot")
	for t in $TYPES; do
		echo "$t $BUSTED_SECONDS alone torture_type=$t $tight"
	done >"$GUEST/runs"
	# What is found by being late is found by the type, and not for a slow machine.
	echo "BUSTED.1 20 alone torture_type=correct $tight" >>"$GUEST/runs"
	refused=$(grep -v '^#' "$torture/REFUSED.boot")
	nr=0
	for parameter in $refused; do
		nr=$((nr + 1))
		echo "refused.$nr 0 refused $parameter"
	done >>"$GUEST/runs"
	# All pause for longer than it takes to say how far they are.
	echo "still 20 alone torture_type=correct stutter=9 stat_interval=2" >>"$GUEST/runs"
	boot BUSTED $((BUSTED_SECONDS * ($(wc -w <<<"$TYPES") + 1) + 60))
	failed=$ktap_failed nr=0
	for parameter in $refused; do
		nr=$((nr + 1))
		ktap_case "$parameter is refused by name" refused_named "refused.$nr" "${parameter%=*}"
	done
	[ "$ktap_failed" = "$failed" ] && verdict=ok || verdict=FAILED
	row judge "parameters, $nr" "a message" "a message" - $verdict
	judged correct BUSTED.1 nothing "BUSTED.1 keeps all rules" correct_held BUSTED.1
	judged judge still version "who stands still is noticed" still_noticed
	for t in $TYPES; do
		judged type "$t" "" "$t is found" busted_found "$t"
	done
fi

# broken_found BREAK: what a broken core does to the test is no splat, but may be one
broken_found()
{
	judge "$1" || true
	[ "$end" != SUCCESS ] && [ -n "$first$splat" ] || {
		echo "not found: ${wrong:-$end}"
		return 1
	}
}

if [ -n "$BREAKS" ]; then
	"$TOP/scripts/overlay.sh"	# fetches the source
	BUILD=$BUILD/busted
	unset LINUX LOGS
	kept=$status
	for b in $BREAKS; do
		say "$b"
		export EXTRA_PATCH=$TOP/$SELFTESTS/busted/$b.patch
		kernel TORTURE-01
		echo "$b $BUSTED_SECONDS alone torture_type=correct $(grep -v '^#' "$torture/BUSTED.boot")" \
			>"$GUEST/runs"
		boot "$b" "$BUSTED_SECONDS" || true
		judged core "$b" any "$b is found" broken_found "$b"
	done
	status=$kept
	unset EXTRA_PATCH
fi

# silent NAME CONFIG: no report of the checker's while what finds its breaks on the kernel
# with configs/CONFIG.config, or without, runs on the correct one
silent()
{
	local name=$1 config=$2 patch job job_file
	configured "$config" guest-torture-checker
	job_file=$GUEST/silent.job
	"$TOP/scripts/build.sh" "${fragments[@]}" && "$TOP/scripts/initramfs.sh" || return 1
	for patch in "$TOP/$SELFTESTS"/busted/check/*.patch; do
		[ "$(sed -n 's/^Config: //p' "$patch")" = "$config" ] || continue
		job=$(sed -n 's/^Job: //p' "$patch")
		echo "${job:-mmu_mirror_demo -p shadow} >/tmp/out 2>&1; wait"
	done | sort -u >"$job_file"
	echo true >>"$job_file"
	TIMEOUT=900 APPEND="kunit.enable=0 debug_mmu_notifier=all ${APPEND:-}" logged "torture-$name" \
		"$TOP/scripts/qemu.sh" "torture-$name" "$job_file" "$RESULTS/torture-$name.out"
}

if part checker; then
	for config in '' $(sed -n 's/^Config: //p' "$TOP/$SELFTESTS"/busted/check/*.patch | sort -u); do
		name=checker${config:+-$config}
		say "$name: silent on the correct code"
		failed=$ktap_failed verdict=ok said=nothing
		ktap_case "$name reports nothing" silent "$name" "$config"
		[ "$ktap_failed" = "$failed" ] || verdict=FAILED said=$(sed -n \
			"s/^error: torture-$name: //p" "$LOGS/torture-$name.log" | head -n 1)
		row correct "$name" nothing "${said:-?}" - $verdict
	done
fi
unset KBUILD GUEST
ktap_end || status=1
. "$TOP/scripts/common.sh"

if part harness; then
	say "the native harness, and its breaks"
	"$TOP/scripts/test-host.sh" || status=1
	right=$(grep -Ec '^ok [0-9]+ - (sched|unit|fuzz)' "$RESULTS/host.ktap") || true
	wrong=$(sed -nE 's/^not ok [0-9]+ - ((sched|unit|fuzz).*)/\1/p' "$RESULTS/host.ktap" | head -n 1)
	row correct "harness, $right programs" nothing "${wrong:-nothing}" - "$([ -z "$wrong" ] && echo ok || echo FAILED)"
fi
if part checker; then
	say "the breaks that the checker has to report"
	"$TOP/scripts/busted.sh" "$TOP/$SELFTESTS"/busted/check/*.patch || status=1
fi

# What others find, just now or when they ran last.
if [ -e "$RESULTS/host.ktap" ]; then
	sed -n 's/^ *\(not \)\?ok 1 - \([a-z0-9-]*\) is found by \([a-z]*\)$/\2\t\3\t\1/p' "$RESULTS/host.ktap" |
		while IFS=$'\t' read -r name by not; do
			if [ -z "$not" ]; then
				row native "$name" "$by" "$by" - ok
			else
				row native "$name" "$by" nothing - FAILED
			fi
		done
else
	row native "not run here" "make test-host" - - -
fi
if [ -s "$RESULTS/busted.tsv" ]; then
	while IFS=$'\t' read -r name by; do
		case $by in
		MISSED)	row kernel "$name" "make test-busted" nothing - FAILED ;;
		*)	row kernel "$name" "make test-busted" "$by" - ok ;;
		esac
	done <"$RESULTS/busted.tsv"
else
	row kernel "not run here" "make test-busted" - - -
fi
column -t -s $'\t' "$table" | cut -c -150
ok=$(grep -c '	ok$' "$table") || true
bad=$(grep -c '	FAILED$' "$table") || true
[ "$bad" = 0 ] || status=1
echo "$ok as they have to be, $bad not; $table"
exit "$status"
