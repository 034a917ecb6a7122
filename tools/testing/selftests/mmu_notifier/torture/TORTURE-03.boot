# SPDX-License-Identifier: GPL-2.0
nr_spaces=1 nchangers=8 nreaders=4 nlisters=3 nwalkers=2 ninserters=4 nsettlers=4 nchurners=0 ndevices=0
nr_spaces=64 nchangers=6 nreaders=6 nexiters=2 nlisters=3 ninserters=4 nchurners=6 ndevices=2
