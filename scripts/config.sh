#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# config.sh: configure $KBUILD from fragments (arguments; by default those of
# the kernel that is booted) and check that each option asked for really took.

. "$(dirname "$0")/common.sh"
lock_build
cd "$TOP"

fragments=("$@")
[ $# -gt 0 ] || fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,$ARCH}.config)

# Again only when a fragment or one of our Kconfig changes did.
stamp=$KBUILD/.fragments
state=$({ cat "${fragments[@]}" Kconfig patches/*kconfig* "$STOCK.source"; echo "${fragments[*]}"; } 2>/dev/null | cksum)
[ "$state" != "$(cat "$stamp" 2>/dev/null)" ] || exit 0

say "configuring ${KBUILD##*/}"
mkdir -p "$KBUILD"
merge()
{
	cd "$LINUX"
	CC="ccache ${CROSS_COMPILE}gcc" \
		scripts/kconfig/merge_config.sh -n -O "$KBUILD" "${fragments[@]/#/$TOP/}"
}
logged "config-${KBUILD##*/}" merge

# What was to be off and is not even offered is off.
refused=$(grep -A2 'not in final .config' "$LOGS/config-${KBUILD##*/}.log" | awk '
	/^Value requested/ { what = $0 }
	/^Requested value:/ { wanted = $0; off = / is not set$/ }
	/^Actual value:/ && !(off && NF == 2) { print what "\n" wanted "\n" $0 }') || true
if [ -n "$refused" ]; then
	echo "$refused" >&2
	die "options asked for in ${fragments[*]} did not take"
fi
echo "$state" >"$stamp"
