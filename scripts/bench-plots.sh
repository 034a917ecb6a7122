#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench-plots.sh DIR: draw what bench-report.py left in DIR/*.dat, as
# DIR/report/benchmark-*.svg. Stock's lines are dashed, ours solid; lines of the
# same colour are to be compared.

. "$(dirname "$0")/common.sh"

dir=${1:-}
[ -d "$dir/report" ] || die "bench-plots.sh DIR: no report in ${dir:-nothing}; run bench-report.py first"
if ! command -v gnuplot >/dev/null; then
	say "no plots: gnuplot is missing (apt-get install gnuplot-nox)"
	exit 0
fi

colours=("#7b3294" "#1b9e77" "#d95f02" "#1f78b4" "#444444")

# lines FILE TITLE...: a pair of lines for each title, from column 2 on
lines()
{
	local file=$1 column=2 colour
	shift
	for title; do
		colour=${colours[column / 2 - 1]}
		printf '"%s" using 1:%d title "%s, stock" with linespoints lc rgb "%s" lw 2 dt 2 pt 6, \\\n' \
			"$file" "$column" "$title" "$colour"
		printf '"%s" using 1:%d title "%s, ours" with linespoints lc rgb "%s" lw 2 dt 1 pt 7, \\\n' \
			"$file" $((column + 1)) "$title" "$colour"
		column=$((column + 2))
	done
}

# draw NAME SETTINGS TITLE...
draw()
{
	local name=$1 settings=$2 svg=$dir/report/benchmark-$1.svg
	shift 2
	# gnuplot fails for lines without any point; nothing of that was measured
	if ! awk 'NR > 1 { for (i = 2; i <= NF; i++) if ($i != "nan") n++ } END { exit !n }' "$dir/$name.dat"; then
		return 0
	fi
	{
		echo 'set terminal svg size 760,460 font "sans-serif,13" background "white"'
		echo "set output '$svg'"
		echo 'set datafile missing "nan"; set key outside right top; set grid'
		echo "$settings"
		printf 'plot %s\n' "\\"
		lines "$dir/$name.dat" "$@" | sed '$s/, \\$//'
	} | gnuplot
	sed -i '1a <!-- SPDX-License-Identifier: GPL-2.0 -->' "$svg"
}

draw pair 'set logscale xy; set xlabel "subscriptions"
	set ylabel "ns (native)"' \
	"list" "intervals elsewhere"
draw threads 'set xtics 1; set yrange [0:*]; set xlabel "threads, on disjoint pages of one mm"
	set ylabel "throughput of one = 1 (native)"' \
	"nobody" "1 list" "1 interval" "10k intervals" "1 of each"
draw register 'set logscale xy; set xlabel "VMAs"; set ylabel "guest instructions"' \
	"first list" "second list"
draw wait 'set logscale xy; set xlabel "ms that the foreign invalidation is in flight"
	set ylabel "microseconds waited (wall clock)"' \
	"read begin" "insert" "remove" "unregister"
