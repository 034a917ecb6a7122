#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# htmldocs.sh: what the kernel's make htmldocs makes of Documentation/mm and
# Documentation/misc-devices. A warning about a file of ours is an error, and so is
# kernel-doc of ours that no page pulls in; others' warnings are not counted.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"

command -v sphinx-build >/dev/null ||
	die "there is no sphinx-build; make htmldocs installs it, or: apt-get install python3-sphinx"
scripts/overlay.sh

out=$BUILD/htmldocs
logged htmldocs make -C "$LINUX" O="$out" ARCH="$ARCH" SPHINXDIRS="mm misc-devices" \
	SPHINXOPTS=-j1 htmldocs
html=$out/Documentation/output/mm/mmu_notifier/index.html
[ -e "$html" ] || die "$html was not made; see $LOGS/htmldocs.log"

ours=$(our_files Documentation include mm | grep '\.\(rst\|[ch]\)$')
problems=$(grep -F -f <(sed 's,^,/,;s,$,:,' <<<"$ours") "$LOGS/htmldocs.log" |
	grep -E '(WARNING|ERROR|warning|error):' || true)

# pulled_in FILE WHICH: its kernel-doc that is exported, or internal, is on a page
pulled_in()
{
	local lines
	[ -n "$("$LINUX/scripts/kernel-doc" -rst "-$2" "$1" 2>/dev/null)" ] || return 0
	lines=$(grep -hA1 "^\.\. kernel-doc:: *$1\$" Documentation/mm/mmu_notifier/*.rst) || return 1
	! grep -qE '^ +:(export|internal):' <<<"$lines" || grep -q ":$2:" <<<"$lines"
}
for f in $(grep '^\(include/linux/mmu_\|mm/mmu_\)' <<<"$ours"); do
	for which in export internal; do
		pulled_in "$f" $which ||
			problems+=$'\n'"$f: kernel-doc (:$which:) that no page in Documentation/mm/mmu_notifier pulls in"
	done
done
if [ -n "$problems" ]; then
	echo "${problems#$'\n'}" >&2
	rm -rf "$out"	# Sphinx warns of a page when it reads it, and not again
	exit 1
fi
say "htmldocs: file://$html"
