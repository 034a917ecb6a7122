# SPDX-License-Identifier: GPL-2.0
nr_spaces=4 bound_ms=2000 hang=4 stutter=0
