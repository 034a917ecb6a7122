#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build.sh: the kernel that is booted, from overlay to image.

. "$(dirname "$0")/common.sh"
lock_build

"$TOP/scripts/overlay.sh"
"$TOP/scripts/config.sh"

case $ARCH in
x86_64) image=bzImage ;;
arm64) image=Image ;;
esac
name=kernel-$ARCH
[ ! -e "$KBUILD/vmlinux" ] || name=$name-again
logged "$name" kmake -j"$JOBS" "$image"
ln -sf "arch/${ARCH/x86_64/x86}/boot/$image" "$KBUILD/image"
