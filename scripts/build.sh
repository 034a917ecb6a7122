#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh [FRAGMENT...]: the kernel that is booted, from overlay to image; with
# other fragments another one, in $KBUILD.

. "$(dirname "$0")/common.sh"
lock_build

"$TOP/scripts/overlay.sh"
"$TOP/scripts/config.sh" "$@"

name=kernel-${KBUILD##*/kbuild-}
[ ! -e "$KBUILD/vmlinux" ] || name=$name-again
logged "$name" kmake -j"$JOBS" "${IMAGE##*/}" modules
ln -sf "$IMAGE" "$KBUILD/image"
