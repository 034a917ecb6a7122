# SPDX-License-Identifier: GPL-2.0
nr_spaces=4 bound_ms=3000 hang=6 stutter=0
