#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh: style and warnings of everything that is ours; results as KTAP in
# build/results/lint.ktap.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
lock_build
cd "$TOP"

scripts/overlay.sh
KBUILD=$BUILD/kbuild-clients$OTHER
KBUILD=$KBUILD scripts/config.sh "$SELFTESTS"/configs/{clients,"clients-$ARCH"}.config

all=$(for d in Documentation drivers include mm samples tools; do [ ! -d $d ] || our_files $d; done | sort)
sources=$(grep '\.[ch]$' <<<"$all")
objects=$(grep '^\(mm\|drivers\|samples\)/.*\.c$' <<<"$all" | sed 's/c$/o/')
# The shim spells the kernel's own macros anew, which checkpatch objects to.
styled=$(grep -v '/mmu_notifier/shim' <<<"$all" | grep '\.[ch]$\|\.rst$\|/Makefile$')

# A library for others to take has a licence that they can do with.
check_spdx()
{
	local licence='GPL-2.0'
	[ "${1#tools/lib/}" = "$1" ] || licence='(LGPL-2.1 OR BSD-2-Clause)'
	head -n 3 "$1" | grep -qF "SPDX-License-Identifier: $licence" ||
		{ echo "no SPDX line with $licence"; return 1; }
}

checkpatch()
{
	(cd "$LINUX" && scripts/checkpatch.pl --strict --terse --no-summary --show-types "$@")
}

# Programs for user space do without the kernel's macros and barriers. Tracepoints
# are macros in macros, laid out as all of them are.
check_style()
{
	case $1 in
	include/trace/*|*/trace.h) checkpatch --ignore COMPLEX_MACRO,MACRO_ARG_UNUSED,TRAILING_SEMICOLON,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT -f "$1" ;;
	tools/*) checkpatch --ignore VOLATILE,BIT_MACRO,PREFER_DEFINED_ATTRIBUTE_MACRO,AVOID_EXTERNS,CAMELCASE,STRCPY,COMPLEX_MACRO,MACRO_ARG_REUSE,UNCOMMENTED_DEFINITION -f "$1" ;;
	*) checkpatch -f "$1" ;;
	esac
}

# Who signs is decided when the series is sent. MAINTAINERS gets its entry in a
# patch of its own, and mm/Kconfig has to name mm/Kconfig.mmu_notifier.
check_patch()
{
	checkpatch --no-signoff --ignore FILE_PATH_CHANGES,EMBEDDED_FILENAME "$TOP/$1"
}

check_kernel_doc()
{
	"$LINUX/scripts/kernel-doc" -none -Wall -Werror "$1"
}

ktap_begin lint
for f in $(grep -v '\.patch$\|^Documentation/ABI/' <<<"$all") Kconfig Makefile COPYING .gitignore .ci/run scripts/* patches/series patches/MANIFEST; do
	ktap_case "spdx $f" check_spdx "$f"
done
for s in scripts/*.sh .ci/run; do
	ktap_case "syntax $s" bash -n "$s"
done
for f in $styled mm/Kconfig.mmu_notifier; do
	ktap_case "checkpatch $f" check_style "$f"
done
for f in patches/*.patch; do
	ktap_case "checkpatch $f" check_patch "$f"
done
for f in $sources; do
	ktap_case "kernel-doc $f" check_kernel_doc "$f"
done
ktap_case "snippets of driver-guide.rst are compiled" scripts/guide-check.py \
	Documentation/mm/mmu_notifier/driver-guide.rst ${objects//.o/.c} $(grep '^include/.*\.h$' <<<"$all")
ktap_case "tables of callers are complete" scripts/callers-check.py "$LINUX" \
	Documentation/mm/mmu_notifier/{callers,page-tables}.rst
ktap_case "each claim has its break and its test" scripts/claims-check.py
# Warnings are errors here, so that what warned is not taken for done next time.
compile lint W=1 C=2 CHECK="$TOP/scripts/sparse.sh" CF=-Wsparse-error KCFLAGS=-Werror $objects
for o in $objects; do
	ktap_case "W=1 C=2 $o" compiled lint "$o"
done
ktap_end
