# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by those whose guest runs programs of the host's /usr in the kernel of
# `make test`, which has no 9p: they go into the initramfs.

# usr_initramfs GUEST: with the files that the standard input names, and what these are
# linked with, beside what initramfs.sh has packed but for the largest programs
usr_initramfs()
{
	local f
	mkdir -p "$1"
	while read -r f; do
		echo "$f"
		case $f in
		*.py)	;;
		*)	ldd "$f" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' ;;
		esac
	done | sed 's,^/lib,/usr/lib,' | sort -u >"$1/files"
	{
		sed '/^file \/bin\/\(mirror_test\|mmu_mirror_demo\|hmm-tests\) /d' "$GUEST/list"
		# directories before what is in them
		while read -r f; do
			while f=${f%/*} && [ -n "$f" ]; do
				echo "dir $f 755 0 0"
			done
		done <"$1/files" | sort -u
		echo "slink /lib usr/lib 777 0 0"
		echo "slink /lib64 usr/lib64 777 0 0"
		while read -r f; do
			echo "file $f $(readlink -f "$f") 755 0 0"
		done <"$1/files"
	} >"$1/list"
	"$KBUILD/usr/gen_init_cpio" "$1/list" >"$1/initramfs.cpio"
}
