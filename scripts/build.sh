#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh: the kernel that is booted, from overlay to image.

. "$(dirname "$0")/common.sh"
lock_build

"$TOP/scripts/overlay.sh"
"$TOP/scripts/config.sh"

name=kernel-$ARCH
[ ! -e "$KBUILD/vmlinux" ] || name=$name-again
logged "$name" kmake -j"$JOBS" bzImage
ln -sf arch/x86/boot/bzImage "$KBUILD/image"
