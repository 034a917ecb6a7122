# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by every script here: where things lie, how work is run and watched.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
: "${ARCH:=x86_64}" "${BUILD:=$TOP/build}" "${JOBS:=$(nproc)}" "${V:=0}"
: "${KSRC:=}" "${CROSS_COMPILE:=}"
BUILD=$(realpath -m "$BUILD")
OTHER=${ARCH#x86_64}			# what is of another architecture has it in its name:
OTHER=${OTHER:+-$OTHER}
: "${STOCK:=$BUILD/stock}"		# pristine source, never built in
LINUX=$BUILD/linux			# the same with our tree laid over it
: "${KBUILD:=$BUILD/kbuild-$ARCH}"	# O=; this one is the kernel that is booted
: "${GUEST:=$BUILD/guest-$ARCH}"	# what goes into its initramfs
LOGS=$BUILD/logs$OTHER
: "${RESULTS:=$BUILD/results$OTHER}"
SELFTESTS=tools/testing/selftests/mmu_notifier
. "$TOP/scripts/arch-$ARCH.sh"
export ARCH BUILD STOCK JOBS V KSRC CROSS_COMPILE BUSYBOX
mkdir -p "$LOGS" "$RESULTS"

# The same objects whoever builds them and wherever: ccache finds them again.
export CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1
export KBUILD_BUILD_TIMESTAMP=2026-01-01 KBUILD_BUILD_USER=mnt KBUILD_BUILD_HOST=mnt
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

die()
{
	echo "error: $*" >&2
	exit 1
}

say()
{
	echo "== $*"
}

# One writer at a time in $BUILD; child scripts inherit the lock.
lock_build()
{
	[ -z "${BUILD_LOCKED:-}" ] || return 0
	exec 9>"$BUILD/.lock"
	flock -n 9 || { say "waiting for another build in $BUILD"; flock 9; }
	export BUILD_LOCKED=1
}

kmake()
{
	make -C "$LINUX" O="$KBUILD" ARCH="$ARCH" CROSS_COMPILE="$CROSS_COMPILE" \
		CC="ccache ${CROSS_COMPILE}gcc" V="$V" "$@"
}

# headers: for user space. They change with the source only: none of ours is among
# them.
headers()
{
	[ "$STOCK.source" -nt "$KBUILD/usr/include/linux/mman.h" ] || return 0
	logged headers kmake headers
	touch "$KBUILD/usr/include/linux/mman.h"
}

# selftest DIR OUTPUT TARGET...: a directory of kselftest, linked statically
selftest()
{
	local dir=$1 output=$2
	shift 2
	make -C "$LINUX/tools/testing/selftests/$dir" OUTPUT="$output" V="$V" -j"$JOBS" \
		CC="ccache ${CROSS_COMPILE}gcc" \
		KHDR_INCLUDES="-isystem $KBUILD/usr/include" USERLDFLAGS=-static "$@"
}

minutes()
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# logged NAME COMMAND...: run COMMAND with its output in a log. What takes
# longer than five seconds says how far it is: lines logged against those of
# the last good run of that name (before the first: scripts/expected-lines),
# the time taken and left, and the last line.
logged()
{
	local name=$1 log=$LOGS/$1.log known=$LOGS/.$1.lines
	local pid status=0 total now lines every=15 begin=$SECONDS next=5
	shift
	if [ "$V" = 1 ]; then
		echo "+ $*"
		"$@" 2>&1 </dev/null | tee "$log" || status=$?
	else
		total=$(cat "$known" 2>/dev/null ||
			sed -n "s/^$name //p" "$TOP/scripts/expected-lines")
		"$@" >"$log" 2>&1 </dev/null &
		pid=$!
		# shellcheck disable=SC2064
		trap "kill $pid 2>/dev/null; exit 130" INT TERM
		[ ! -t 1 ] || every=1
		while kill -0 "$pid" 2>/dev/null; do
			sleep 0.2
			now=$((SECONDS - begin))
			[ "$now" -ge "$next" ] || continue
			next=$((now + every))
			lines=$(wc -l <"$log")
			progress "$name: $(how_far "$lines" "${total:-0}" "$now"): $(tail -n 1 "$log")"
		done
		wait "$pid" || status=$?
		trap - INT TERM
		[ "$every" != 1 ] || [ "$next" = 5 ] || printf '\r\033[K'
	fi
	if [ "$status" -ne 0 ]; then
		{
			echo "error: $name failed (status $status); the last lines of $log:"
			tail -n 20 "$log"
			# with several jobs the reason may stand further up
			grep -n -A3 -m 3 -E '(^|[^[:alnum:]])error: ' "$log" || true
		} >&2
		return "$status"
	fi
	now=$((SECONDS - begin))
	[ "$now" -lt 20 ] || wc -l <"$log" >"$known"	# a short run is no measure
	[ "$now" -lt 5 ] || say "$name: done in $(minutes "$now")"
}

# how_far LINES TOTAL SECONDS: no prediction without a total that makes sense, or from
# less than a tenth
how_far()
{
	local percent=0
	[ "$2" -le "$1" ] || percent=$(($1 * 100 / $2))
	if [ "$percent" -ge 10 ]; then
		echo "$percent %, $(minutes "$3"), about $(minutes $(($3 * ($2 - $1) / $1))) left"
	elif [ "$percent" -gt 0 ]; then
		echo "$percent %, $(minutes "$3")"
	else
		minutes "$3"
	fi
}

progress()
{
	local text="   $*"
	if [ -t 1 ]; then
		printf '\r\033[K%s' "${text:0:$(($(tput cols 2>/dev/null || echo 80) - 1))}"
	else
		echo "${text:0:100}"
	fi
}

# our_files PATH...: the files of our tree there, without what editors and
# compilers leave behind
our_files()
{
	find "$@" -type f ! -name '*~' ! -name '*.o' ! -name '*.orig' ! -name '*.rej' ! -name '.*.swp'
}
