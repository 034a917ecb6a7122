#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# lint.sh: style and warnings of everything that is ours; results as KTAP in
# build/results/lint.ktap.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/ktap.sh"
KBUILD=$BUILD/kbuild-clients
lock_build

"$TOP/scripts/overlay.sh"
KBUILD=$KBUILD "$TOP/scripts/config.sh" "$SELFTESTS/configs/clients.config"
logged prepare-clients kmake -j"$JOBS" prepare

cd "$TOP"
sources=$(find drivers include mm tools -name '*.[ch]' | sort)
others=$(find Documentation drivers mm tools -name '*.rst' -o -name Makefile -o -name 'Kconfig*' | sort)
objects=$(find mm drivers -name '*.c' | sort | sed 's/c$/o/')

checkpatch()
{
	(cd "$LINUX" && scripts/checkpatch.pl --strict --terse --no-summary --show-types "$@")
}

# Who signs is decided when the series is sent; MAINTAINERS gets its entry in a
# patch of its own.
check_patch()
{
	checkpatch --no-signoff --ignore FILE_PATH_CHANGES "$TOP/$1"
}

check_kernel_doc()
{
	"$LINUX/scripts/kernel-doc" -none -Wall -Werror "$1"
}

check_spdx()
{
	head -n 3 "$1" | grep -q 'SPDX-License-Identifier: GPL-2.0' ||
		{ echo "no SPDX line"; return 1; }
}

# The compiler's own -Werror: an object that warned is compiled anew next time.
check_compile()
{
	kmake W=1 KCFLAGS=-Werror "$1"
}

check_sparse()
{
	kmake C=2 CF=-Wsparse-error "$1"
}

ktap_begin "$RESULTS/lint.ktap"
for f in $(git ls-files -co --exclude-standard); do
	[ ! -f "$f" ] || ktap_case "spdx $f" check_spdx "$f"
done
for f in $sources $others Kconfig; do
	[ "$f" != Kconfig ] || f=mm/Kconfig.mmu_notifier
	ktap_case "checkpatch $f" checkpatch -f "$f"
done
for f in patches/*.patch; do
	ktap_case "checkpatch $f" check_patch "$f"
done
for f in $sources; do
	ktap_case "kernel-doc $f" check_kernel_doc "$f"
done
for o in $objects; do
	ktap_case "W=1 $o" check_compile "$o"
done
for o in $objects; do
	ktap_case "sparse $o" check_sparse "$o"
done
for s in scripts/*.sh .ci/run; do
	ktap_case "syntax $s" bash -n "$s"
done
own_words=$TOP/../shared/tools/own-words
if [ -e "$own_words" ]; then
	ktap_case own-words python3 "$own_words" "$STOCK" "$TOP"
else
	ktap_skip own-words "../shared/tools/own-words is not there"
fi
ktap_end
