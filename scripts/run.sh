#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run.sh: the demo. Its table goes to the terminal as the guest prints it.

. "$(dirname "$0")/common.sh"

job=$GUEST/demo.job
output=$RESULTS/demo.out
echo "exec mmu_mirror_demo" >"$job"
say "booting the guest"
APPEND=kunit.enable=0 "$TOP/scripts/qemu.sh" demo "$job" "$output"
grep -q '^DEMO: PASS' "$output" || die "the demo did not close with DEMO: PASS; see $output"
