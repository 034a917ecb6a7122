#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# picture.sh: trace a part of the demo in the guest and draw it: address over
# time. build/results/picture.svg, and picture.trace, what it is drawn from: the
# first EVENTS of each scenario. SCENARIOS (words for mmu_mirror_demo) and
# PERSONALITY select another part.

. "$(dirname "$0")/common.sh"

: "${SCENARIOS:=munmap_each move_pages storm_dontneed storm_migrate}" "${PERSONALITY:=svm}"
: "${EVENTS:=600}"
job=$GUEST/picture.job
output=$GUEST/picture.out
cat >"$job" <<END
mount -t tracefs tracefs /sys/kernel/tracing
cd /sys/kernel/tracing || exit 1
echo 16384 >buffer_size_kb
echo mono >trace_clock
for e in range_start range_end invalidate interval_collide; do
	echo 1 >events/mmu_notifier/mmu_notifier_\$e/enable || exit 1
done
echo 1 >events/mmu_mirror/enable || exit 1
mmu_mirror_demo -p $PERSONALITY $SCENARIOS >/tmp/demo.out
status=\$?
echo 0 >tracing_on
if [ \$status != 0 ]; then
	cat /tmp/demo.out
	exit \$status
fi
gzip -c trace | base64
END
rm -f "$output"
APPEND=kunit.enable=0 logged picture "$TOP/scripts/qemu.sh" picture "$job" "$output"
{
	echo "# SPDX-License-Identifier: GPL-2.0"
	tr -d '\r' <"$output" | base64 -d | gunzip | awk -v most="$EVENTS" '
		/ tracing_mark_write: / { n = 0 }
		n++ <= most'
} >"$RESULTS/picture.trace" || die "the guest did not hand out a trace; see $output"
"$TOP/scripts/picture.py" "$RESULTS/picture.trace" "$RESULTS/picture.svg"
say "$RESULTS/picture.svg, drawn from picture.trace beside it"
