#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh [host]: install the Debian packages that are missing, as root or through
# sudo; where neither is possible, print the one line to run. With host, also
# those for tests of the core in user space.

. "$(dirname "$0")/common.sh"

packages="gcc libc6-dev bc bison flex libelf-dev libssl-dev cpio xz-utils rsync kmod
	patch ccache sparse python3 busybox-static qemu-system-x86"
packages+=" ${MORE_PACKAGES:-}"		# what one target needs, and others do not
[ -n "$KSRC" ] || packages+=" linux-source-6.12"
[ "${1:-}" != host ] || packages+=" clang-14 libclang-rt-14-dev libxxhash-dev binutils"

command -v dpkg-query >/dev/null ||
	die "not a Debian system; have these installed, then call scripts/build.sh: ${packages//[[:space:]]/ }"

[ -z "$CROSS_COMPILE" ] || command -v "${CROSS_COMPILE}gcc" >/dev/null ||
	die "CROSS_COMPILE=$CROSS_COMPILE: there is no ${CROSS_COMPILE}gcc"

installed=$(dpkg-query -W -f='${db:Status-Abbrev}${Package}\n' 2>/dev/null | sed -n 's/^ii *//p')
missing=
for p in $packages; do
	grep -qx "$p" <<<"$installed" || missing+=" $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif sudo -n true 2>/dev/null; then
	as_root="sudo -n"
else
	die "packages are missing; run: sudo apt-get install --no-install-recommends$missing"
fi

say "installing$missing"
apt="env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600"
logged apt-update $as_root $apt update
# shellcheck disable=SC2086
logged apt-install $as_root $apt install -y --no-install-recommends $missing
