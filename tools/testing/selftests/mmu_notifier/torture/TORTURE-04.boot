# SPDX-License-Identifier: GPL-2.0
nr_spaces=4 nchangers=2 nreaders=1 bound_ms=20000
