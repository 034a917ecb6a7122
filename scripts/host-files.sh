# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by those whose guest is that of `make test`, with programs of the host's in its
# initramfs besides.

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

# host_guest NAME LOG SECONDS PASS ASSIGNMENTS [FILE...]: with FILEs of the host's, and what
# the standard input adds to the initramfs, run scripts/guest-NAME, which sees ASSIGNMENTS,
# and has to print PASS. Its output is shown, but for lines like UNSHOWN, and kept in
# build/results/NAME.out.
host_guest()
{
	local name=$1 log=$2 seconds=$3 pass=$4 assignments=$5
	local guest=$BUILD/guest-$1 output=$RESULTS/$1.out status=0
	shift 5
	mkdir -p "$guest"
	{
		sed '/^file \/bin\/\(mirror_test\|mmu_mirror_demo\|hmm-tests\) /d' "$GUEST/list"
		[ $# = 0 ] || host_files "$@"
		cat
	} >"$guest/list"
	"$KBUILD/usr/gen_init_cpio" "$guest/list" >"$guest/initramfs.cpio"
	{
		echo "$assignments PATH=\$PATH:/usr/bin"
		cat "$TOP/scripts/guest-$name"
	} >"$guest/job"
	rm -f "$output"
	TIMEOUT=${TIMEOUT:-$seconds} INITRAMFS=$guest/initramfs.cpio \
		APPEND="kunit.enable=0 ${APPEND:-}" logged "$log" \
		"$TOP/scripts/qemu.sh" "$name" "$guest/job" "$output" || status=$?
	sed "${UNSHOWN:+/$UNSHOWN/d}" "$output"
	[ "$status" = 0 ] && grep -q "^$pass" "$output"
}
