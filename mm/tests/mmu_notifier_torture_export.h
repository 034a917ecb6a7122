/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Built into the kernel for the torture test of the MMU notifiers.
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_TORTURE_EXPORT_H
#define _MM_TESTS_MMU_NOTIFIER_TORTURE_EXPORT_H

#include <linux/types.h>

struct mm_struct;
struct mmu_notifier_range;

struct mm_struct *mmu_torture_mm_alloc(void);
int mmu_torture_start(struct mmu_notifier_range *range, bool blockable);
void mmu_torture_end(struct mmu_notifier_range *range);
void mmu_torture_flush(struct mm_struct *mm, unsigned long start,
		       unsigned long end);
int mmu_torture_madvise(unsigned long start, size_t length, int advice);

#endif /* _MM_TESTS_MMU_NOTIFIER_TORTURE_EXPORT_H */
