# SPDX-License-Identifier: GPL-2.0
torture_type=nonsense
nr_spaces=0
nchangers=1000000
bound_ms=0
slow_us=4000000000
stat_interval=0
pressure_mb=4294967295
hang=0
stutter=90
stall_ms=9000
