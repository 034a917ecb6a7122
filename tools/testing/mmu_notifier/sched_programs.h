/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _MMU_NOTIFIER_SCHED_PROGRAMS_H
#define _MMU_NOTIFIER_SCHED_PROGRAMS_H

#include "sched.h"

/* Behind the last one of each is one without a name. */
extern const struct sched_program sched_programs[];
extern const struct sched_program sched_settle_programs[];
extern const struct sched_program sched_index_programs[];

#endif /* _MMU_NOTIFIER_SCHED_PROGRAMS_H */
