#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kvm-retries.sh STOCK OURS: what invalidate_retry_test printed on stock's kernel
# and on ours, side by side. Fails unless what is unrelated to the invalidations
# retries at most a twentieth as often on ours.

. "$(dirname "$0")/common.sh"

[ $# = 2 ] || die "usage: kvm-retries.sh STOCK OURS, two files with what invalidate_retry_test printed"
for f; do
	[ -e "$f" ] || die "$f is missing; scripts/test-clients.sh has to have run on both kernels"
done

awk '
	FNR == 1 { side = NR == 1 ? "stock" : "ours" }
	{ sub(/\r$/, "") }
	/^(quiet|ranges|pages|held|cache) / && $7 == "retries" {
		name = $1 == "cache" ? "pfn cache" : $1
		if (!(name in known)) {
			known[name] = 1
			names[++n] = name
		}
		tries[side, name] += $4
		retries[side, name] += $6
	}
	END {
		printf "%-12s %24s %24s\n", "", "stock: retries of", "ours: retries of"
		for (i = 1; i <= n; i++) {
			name = names[i]
			printf "%-12s %12d %11d %12d %11d\n", name,
				retries["stock", name], tries["stock", name],
				retries["ours", name], tries["ours", name]
			if (name == "quiet")
				continue
			kind = name == "pfn cache" ? name : "faults"
			for (s = 1; s <= 2; s++) {
				side = s == 1 ? "stock" : "ours"
				sum[side, kind] += tries[side, name]
				again[side, kind] += retries[side, name]
			}
		}
		for (k = 1; k <= 2; k++) {
			kind = k == 1 ? "faults" : "pfn cache"
			if (!sum["stock", kind] || !sum["ours", kind]) {
				missing = 1
				continue
			}
			was = again["stock", kind] * 1000 / sum["stock", kind]
			is = again["ours", kind] * 1000 / sum["ours", kind]
			printf "%s: %.1f retries per 1000 on stock, %.1f on ours\n", kind, was, is
			if (was < 10) {
				print "error: too few on stock to compare with"
				bad = 1
			} else if (is * 20 > was) {
				print "error: that is more than a twentieth"
				bad = 1
			}
		}
		if (missing)
			print "error: no figures in one of the files"
		exit bad || missing
	}' "$1" "$2"
