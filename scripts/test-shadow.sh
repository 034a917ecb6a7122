#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-shadow.sh: Debian's Python and stress-ng, which know nothing of it, with each
# mapping of theirs shadowed by a watch of /dev/mmu_monitor: no change may be missed.
# See monitor_shadow.c. In MINUTES altogether, in the guest of `make test`, whose
# initramfs gets these programs and their libraries.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/host-files.sh"

: "${MINUTES:=10}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac
[ "$ARCH" = x86_64 ] || die "ARCH=$ARCH: monitor_shadow.c puts in system calls as on x86_64 only"

MORE_PACKAGES="stress-ng python3-minimal" "$TOP/scripts/deps.sh"
if [ -z "${NO_BUILD:-}" ]; then
	"$TOP/scripts/build.sh"
	"$TOP/scripts/initramfs.sh"
fi

python=$(readlink -f /usr/bin/python3)
# shellcheck disable=SC2046
MEM=3G host_guest shadow "shadow-$MINUTES" $((MINUTES * 200 + 600)) 'SHADOW: PASS' \
	"seconds=$((MINUTES * 60 / 7))" \
	/usr/bin/stress-ng "$python" $(find "/usr/lib/${python##*/}" -name '*.so' -o \
		-name '*.py' ! -path '*/test/*' ! -path '*/idlelib/*' ! -path '*/lib2to3/*') \
	<<<"slink /usr/bin/python3 $python 777 0 0"
