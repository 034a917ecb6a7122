#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# test-fuzz-uapi.sh: CALLS random calls of /dev/mmu_monitor, /dev/mmu_mirror and mm's
# system calls (uapi_fuzz), on the kernel of debug.sh, with KASAN and lockdep. Beside it
# stress-ng's vm, and trinity, where Debian has it. SEED makes the same calls again.
#
# NO_BUILD=1 takes the kernel as it is.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/host-files.sh"

: "${CALLS:=1000000}" "${SEED:=$(date +%s)}"
for v in CALLS SEED; do
	case ${!v} in
	''|*[!0-9]*|0)	die "$v=${!v} is not a positive number" ;;
	esac
done

more=stress-ng
if [ -n "$(apt-cache show trinity 2>/dev/null)" ]; then
	more+=" trinity"
else
	say "trinity is not among this Debian's packages: without it"
fi
MORE_PACKAGES=$more "$TOP/scripts/deps.sh"

fragments=("$SELFTESTS/config" "$SELFTESTS"/configs/{base,"$ARCH",debug}.config)
export KBUILD=$BUILD/kbuild-debug$OTHER GUEST=$BUILD/guest-debug$OTHER
if [ -z "${NO_BUILD:-}" ]; then
	"$TOP/scripts/build.sh" "${fragments[@]}"
	"$TOP/scripts/initramfs.sh"
fi

programs=/usr/bin/stress-ng
[ ! -x /usr/bin/trinity ] || programs+=" /usr/bin/trinity"
if [ -n "$OTHER" ]; then
	say "ARCH=$ARCH: the host's programs are not for it: without stress-ng and trinity"
	programs=
fi
say "$CALLS calls with seed $SEED; how far it is stands in $RESULTS/fuzz-uapi.out"
# shellcheck disable=SC2086
UNSHOWN='^# seed .* steps, .* failures' \
	host_guest fuzz-uapi fuzz-uapi $((CALLS / 50 + 1800)) 'FUZZ: PASS' "calls=$CALLS seed=$SEED" \
	$programs </dev/null
