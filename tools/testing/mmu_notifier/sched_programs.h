/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMU_NOTIFIER_SCHED_PROGRAMS_H
#define _MMU_NOTIFIER_SCHED_PROGRAMS_H

#include "sched.h"

extern const struct sched_program sched_programs[];
extern const unsigned int sched_nr_programs;

#endif /* _MMU_NOTIFIER_SCHED_PROGRAMS_H */
