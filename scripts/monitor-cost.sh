#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# monitor-cost.sh: what /dev/mmu_monitor costs, in guest instructions, and memory, all
# from one kernel and one run (bench-guest.sh, bench_monitor.c). Prints a table, leaves
# it in build/results/monitor-cost.tsv, and fails if a limit is exceeded:
#
#  - madvise and munmap of a page that nobody watches, in a process with 100,000
#    watches elsewhere: at most 1.05 of the same in a process without a monitor,
#  - munmap of a page that is watched: at most 1.3 of the same with a plain interval
#    subscription to it.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"
[ "$ARCH" = x86_64 ] || die "make monitor-cost runs on x86_64 only, and ARCH is $ARCH"

fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH",bench,monitor-cost}.config)
bench=$BUILD/monitor-cost table=$RESULTS/monitor-cost.tsv

KBUILD=$BUILD/kbuild-monitor-cost scripts/build.sh "${fragments[@]}"
mkdir -p "$bench"
rm -f "$bench"/*.txt
scripts/bench-guest.sh insn monitor

# "CASE FIGURE", each several times: the middle one counts. Ratios follow.
sort -k1,1 -k2,2n "$bench/figures.txt" | awk '
	function middle() { if (n) median[last] = figure[int((n + 1) / 2)]; n = 0 }
	function show(what, count, to, limit,	ratio) {
		if (!(count in median) || to && !(to in median)) {
			printf "%s\t%s\t%s\t\tmissing\n", what, "", ""
			return
		}
		if (!to) {
			printf "%s\t%d\t\t\t\n", what, median[count]
			return
		}
		ratio = median[count] / median[to]
		printf "%s\t%d\t%d\t%.3f\t%s\n", what, median[count], median[to], ratio, \
			!limit ? "" : ratio <= limit ? "at most " limit : "EXCEEDS " limit
	}
	$1 != last { middle(); last = $1 }
	{ figure[++n] = $2 }
	END {
		middle()
		show("madvise, 100,000 watches elsewhere : no monitor",
			"monitor/madvise-elsewhere", "monitor/madvise-none", 1.05)
		show("munmap, 100,000 watches elsewhere : no monitor",
			"monitor/munmap-elsewhere", "monitor/munmap-none", 1.05)
		show("munmap, watched : plain interval",
			"monitor/munmap-watched", "monitor/munmap-interval", 1.3)
		show("munmap, watched and quiet : plain interval",
			"monitor/munmap-quiet", "monitor/munmap-interval", 0)
		show("munmap, watched once, told before : plain interval",
			"monitor/munmap-oneshot", "monitor/munmap-interval", 0)
		show("madvise, watched : plain interval",
			"monitor/madvise-watched", "monitor/madvise-interval", 0)
		show("munmap, plain interval : no monitor",
			"monitor/munmap-interval", "monitor/munmap-none", 0)
		show("WATCH, the last of 100,000", "monitor/watch-elsewhere")
		show("UNWATCH, of 100,000", "monitor/unwatch-elsewhere")
		show("bytes for each of 100,000 watches", "monitor/bytes-per-watch-elsewhere")
	}' >"$table"

{
	printf 'instructions\t\tof\tratio\tlimit\n'
	cat "$table"
} | awk -F '\t' '{ printf "%-52s %10s %10s %8s  %s\n", $1, $2, $3, $4, $5 }'
! grep -q 'EXCEEDS\|missing' "$table" || die "a limit is exceeded, or a figure missing: see $bench"
echo "MONITOR-COST: PASS"
