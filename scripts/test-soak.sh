#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-soak.sh: everything at once for MINUTES: the monitor's race, cache and fuzzer,
# forking, stress-ng short of memory, the tracepoints, and the torture module. In the
# end the kernel has to have as much memory in use as in the beginning.
#
# The comparison, cache by cache, is in build/results/soak.out.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/host-files.sh"

: "${MINUTES:=30}"
case $MINUTES in
''|*[!0-9]*|0)	die "MINUTES=$MINUTES is not a positive number" ;;
esac

MORE_PACKAGES=stress-ng "$TOP/scripts/deps.sh"
if [ -z "${NO_BUILD:-}" ]; then
	"$TOP/scripts/build.sh"
	"$TOP/scripts/initramfs.sh"
fi

guest=$BUILD/guest-soak
mkdir -p "$guest"
{
	sed '/^file \/bin\/\(mirror_test\|mmu_mirror_demo\|hmm-tests\) /d' "$GUEST/list"
	host_files /usr/bin/stress-ng
} >"$guest/list"
"$KBUILD/usr/gen_init_cpio" "$guest/list" >"$guest/initramfs.cpio"
{
	echo "minutes=$MINUTES PATH=\$PATH:/usr/bin"
	cat "$TOP/scripts/guest-soak"
} >"$guest/job"
status=0
output=$RESULTS/soak.out
rm -f "$output"
MEM=3G TIMEOUT=${TIMEOUT:-$((MINUTES * 80 + 900))} INITRAMFS=$guest/initramfs.cpio \
	APPEND="kunit.enable=0 ${APPEND:-}" logged "soak-$MINUTES" \
	"$TOP/scripts/qemu.sh" soak "$guest/job" "$output" || status=$?
cat "$output"
[ "$status" = 0 ] && grep -q '^SOAK: PASS' "$output"
