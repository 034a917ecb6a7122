/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The model that the programs share; sched_programs.c says what it is.
 */
#ifndef _MMU_NOTIFIER_SCHED_MODEL_H
#define _MMU_NOTIFIER_SCHED_MODEL_H

#include <linux/mmu_notifier.h>
#include "mmu_notifier.h"

#include "sched.h"

#define PAGE(nr)	((16UL + (nr)) * PAGE_SIZE)

/*
 * What the model knows is not part of what it models: it is seen by everybody at
 * once.
 */
#define omniscient __attribute__((__no_sanitize_thread__, __noinline__))

extern struct mm_struct mm;
extern unsigned long pte;
extern const struct mmu_interval_notifier_ops one_pass;

struct device;

void model_init(void);
bool is_dead(unsigned long page);
void change_pte(void);
struct device *device_insert(unsigned int first, unsigned int nr,
			     const struct mmu_interval_notifier_ops *ops);
void device_refuses(struct device *dev);
bool device_fault(struct device *dev);
void device_use(struct device *dev);
void device_remove(struct device *dev);

#endif /* _MMU_NOTIFIER_SCHED_MODEL_H */
