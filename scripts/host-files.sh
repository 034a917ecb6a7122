# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by those whose guest gets programs of the host's in its initramfs.

# host_files FILE...: lines for gen_init_cpio, of these files and the libraries that
# they are linked with, in /usr, and of the directories that they are in
host_files()
{
	local f d files
	files=$(for f; do
		echo "$f"
		case $f in
		*.py)	;;
		*)	ldd "$f" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (0x.*/\1/p' || true ;;
		esac
	done | sed 's,^/lib,/usr/lib,' | sort -u)
	{
		echo "dir /usr 755 0 0"
		for f in $files; do
			d=$f
			while d=${d%/*} && [ "$d" != /usr ] && [ -n "$d" ]; do
				echo "dir $d 755 0 0"
			done
		done
	} | sort -u
	echo "slink /lib usr/lib 777 0 0"
	echo "slink /lib64 usr/lib64 777 0 0"
	for f in $files; do
		echo "file $f $(readlink -f "$f") 755 0 0"
	done
}
