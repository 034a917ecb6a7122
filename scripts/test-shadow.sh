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

guest=$BUILD/guest-shadow
python=$(readlink -f /usr/bin/python3)
mkdir -p "$guest"

{
	sed '/^file \/bin\/\(mirror_test\|mmu_mirror_demo\|hmm-tests\) /d' "$GUEST/list"
	# shellcheck disable=SC2046
	host_files /usr/bin/stress-ng "$python" $(find "/usr/lib/${python##*/}" -name '*.so' -o \
		-name '*.py' ! -path '*/test/*' ! -path '*/idlelib/*' ! -path '*/lib2to3/*')
	echo "slink /usr/bin/python3 $python 777 0 0"
} >"$guest/list"
"$KBUILD/usr/gen_init_cpio" "$guest/list" >"$guest/initramfs.cpio"

{
	echo "seconds=$((MINUTES * 60 / 7)) PATH=\$PATH:/usr/bin"
	cat "$TOP/scripts/guest-shadow"
} >"$guest/job"
status=0
output=$RESULTS/shadow.out
rm -f "$output"
MEM=3G TIMEOUT=${TIMEOUT:-$((MINUTES * 200 + 600))} INITRAMFS=$guest/initramfs.cpio \
	APPEND="kunit.enable=0 ${APPEND:-}" logged "shadow-$MINUTES" \
	"$TOP/scripts/qemu.sh" shadow "$guest/job" "$output" || status=$?
cat "$output"
[ "$status" = 0 ] && grep -q '^SHADOW: PASS' "$output"
