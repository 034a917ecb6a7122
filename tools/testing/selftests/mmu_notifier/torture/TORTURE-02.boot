# SPDX-License-Identifier: GPL-2.0
nr_spaces=4 onoff_interval=200 stall_ms=100 pressure_mb=2048 shuffle_interval=3
