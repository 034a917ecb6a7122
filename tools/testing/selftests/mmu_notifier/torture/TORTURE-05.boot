# SPDX-License-Identifier: GPL-2.0
nr_spaces=4 nexiters=2 failslab=3
