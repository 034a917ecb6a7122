#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# qemu.sh NAME JOB OUTPUT: boot the kernel and run JOB, a shell script, in the
# guest. What JOB prints goes to stdout and to the file OUTPUT, the console to
# build/logs/console-NAME.log. Fails if the job does, if it does not end within
# TIMEOUT seconds, or if the kernel complained on the console.
#
# BUGS narrows down which of the kernel's bug reports count. APPEND adds words to
# the kernel command line, SMP and MEM size the guest, INITRAMFS is another image
# than that of initramfs.sh, INTERACTIVE=1 connects the job to the terminal.
# SHARE, words of the form TAG=DIRECTORY, lets the guest read these over 9p.

. "$(dirname "$0")/common.sh"

name=$1 job=$2 output=$3
: "${INITRAMFS:=$GUEST/initramfs.cpio}"
# KASAN takes an eighth of all memory, and keeps for a while what was freed.
grep -q '^CONFIG_KASAN=y' "$KBUILD/.config" && usual=4G || usual=2560M
: "${TIMEOUT:=300}" "${SMP:=2}" "${MEM:=$usual}" "${APPEND:=}" "${INTERACTIVE:=0}"
: "${SHARE:=}"
console=$LOGS/console-$name.log

# test_hmm_at ADDRESS: where that module finds the memory of its two devices
test_hmm_at()
{
	printf 'test_hmm.spm_addr_dev%d=0x%x ' 0 $(($1)) 1 $(($1 + (256 << 20)))
}

append="$(guest_append) numa=fake=2"
append+=" transparent_hugepage=madvise hung_task_panic=1 watchdog_thresh=60"
append+=" rcupdate.rcu_cpu_stall_timeout=100 panic=-1 $APPEND"

qemu=("${QEMU[@]}" -smp "$SMP" -m "$MEM" -nodefaults -display none -no-reboot
	-kernel "$KBUILD/image" -initrd "$INITRAMFS" -append "$append"
	-fw_cfg "name=opt/mnt/job,file=$job"
	-serial "file:$console" "${QEMU_JOB[@]}")
for s in $SHARE; do
	qemu+=(-virtfs "local,path=${s#*=},mount_tag=${s%%=*},security_model=none,readonly=on,multidevs=remap")
done

if [ "$INTERACTIVE" = 1 ]; then
	qemu+=(-chardev "stdio,id=job,signal=off,logfile=$output")
	status=0
	"${qemu[@]}" || status=$?
else
	qemu+=(-chardev "stdio,id=job,logfile=$output")
	status=0
	timeout "$TIMEOUT" "${qemu[@]}" </dev/null || status=$?
fi

# The rest of what a kernel says is no verdict.
splat="${BUGS:-BUG:}|WARNING:|Oops|Kernel panic|general protection|detected stall|self-detected|blocked for more than|UBSAN:|Bad page|turning off the locking"
ended=$(sed -n 's/.*guest: job ended with status \([0-9]*\).*/\1/p' "$console")

if [ "$status" = 124 ]; then
	why="not finished after $TIMEOUT seconds"
elif grep -qE "$splat" "$console"; then
	why="the kernel complained: $(grep -m1 -E "$splat" "$console")"
elif [ -z "$ended" ]; then
	why="the guest stopped before its job ended (QEMU status $status)"
elif [ "$ended" != 0 ]; then
	why="the job ended with status $ended"
else
	exit 0
fi
{
	echo "error: $name: $why"
	if [ -n "$ended" ]; then
		echo "the console is in $console"
	else
		echo "the last lines of $console:"
		tail -n 20 "$console"
	fi
} >&2
[ "${ended:-0}" = 0 ] && exit 1 || exit "$ended"
