#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deps.sh [host]: install the Debian packages that are missing, as root or through
# sudo; where neither is possible, print the one line to run. With host, also
# those for tests of the core in user space.

. "$(dirname "$0")/common.sh"

packages="gcc libc6-dev bc bison flex libelf-dev libssl-dev cpio xz-utils rsync kmod
	patch ccache sparse python3 $ARCH_PACKAGES"
packages+=" ${MORE_PACKAGES:-}"		# what one target needs, and others do not
[ -n "$KSRC" ] || packages+=" linux-source-6.12"
[ "${1:-}" != host ] || packages+=" clang-14 libclang-rt-14-dev libxxhash-dev binutils"

command -v dpkg-query >/dev/null ||
	die "not a Debian system; have these installed, then call scripts/build.sh: ${packages//[[:space:]]/ }"

[ -z "$CROSS_COMPILE" ] || command -v "${CROSS_COMPILE}gcc" >/dev/null ||
	[[ $packages =~ gcc-${CROSS_COMPILE%-}(\ |$) ]] ||
	die "CROSS_COMPILE=$CROSS_COMPILE: there is no ${CROSS_COMPILE}gcc"

# fetch_busybox DEBIAN-ARCHITECTURE: to $BUSYBOX. A package of another
# architecture cannot be installed without telling dpkg of that architecture, so
# it is only downloaded, by means of package lists that nobody else uses.
fetch_busybox()
{
	local apt=$BUILD/apt-$1
	local get=(apt-get -q -o "APT::Architecture=$1" -o "APT::Architectures::=$1"
		-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache"
		-o Dir::State::status=/dev/null)

	rm -rf "$apt"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	cd "$apt"
	"${get[@]}" update && "${get[@]}" download busybox-static &&
		dpkg-deb -x busybox-static_*.deb root && mv root/bin/busybox "$BUSYBOX"
}
[ "$BUSYBOX" != "$BUILD/busybox$OTHER" ] || [ -x "$BUSYBOX" ] ||
	logged busybox fetch_busybox "$ARCH"

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
