#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# guest.sh [COMMAND]: run one shell command in a fresh guest, or, without one,
# a shell on the terminal.

. "$(dirname "$0")/common.sh"

: "${NAME:=guest}"
job=$GUEST/$NAME.job
if [ $# -gt 0 ]; then
	echo "$*" >"$job"
else
	[ -t 0 ] || die "a shell needs a terminal; for one command: make guest CMD='...'"
	say "a shell in the guest; leave it with exit"
	echo "stty -F \$PORT sane; exec setsid -c sh -i <\$PORT" >"$job"
	export INTERACTIVE=1
fi
APPEND="kunit.enable=0 ${APPEND:-}" exec "$TOP/scripts/qemu.sh" "$NAME" "$job" "$RESULTS/$NAME.out"
