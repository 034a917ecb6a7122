// SPDX-License-Identifier: GPL-2.0
/*
 * What the torture test of the MMU notifiers, a module, needs from mm/ and nobody
 * else does: the callers' side of a range, mms without a process, and to see who takes
 * pages.
 */

#define pr_fmt(fmt) "mmu_notifier-torture: " fmt

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <trace/events/kmem.h>

#include "mmu_notifier_torture_export.h"

/* What takes slabs may be watched by modules anyway. */
EXPORT_TRACEPOINT_SYMBOL_GPL(mm_page_alloc);

/**
 * mmu_torture_mm_alloc() - make an mm without VMAs, in which VMAs can be made
 *
 * Context: may sleep.
 *
 * Return: the mm, to be given back with mmput(), or NULL without memory.
 */
struct mm_struct *mmu_torture_mm_alloc(void)
{
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return NULL;
#ifdef CONFIG_MEMCG
	/* Nobody's: it lives on when the task that made it is gone. */
	RCU_INIT_POINTER(mm->owner, NULL);
#endif
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	return mm;
}
EXPORT_SYMBOL_NS_GPL(mmu_torture_mm_alloc, MMU_NOTIFIER_TORTURE);

/**
 * mmu_torture_start() - start a range
 * @range: the range.
 * @blockable: callbacks may sleep.
 *
 * Context: as for mmu_notifier_invalidate_range_start(), or that without sleeping.
 *
 * Return: 0, or what the start that must not sleep has returned.
 */
int mmu_torture_start(struct mmu_notifier_range *range, bool blockable)
{
	if (!blockable)
		return mmu_notifier_invalidate_range_start_nonblock(range);
	mmu_notifier_invalidate_range_start(range);
	return 0;
}
EXPORT_SYMBOL_NS_GPL(mmu_torture_start, MMU_NOTIFIER_TORTURE);

/**
 * mmu_torture_end() - end a range
 * @range: the range.
 *
 * Context: as for mmu_notifier_invalidate_range_end().
 */
void mmu_torture_end(struct mmu_notifier_range *range)
{
	mmu_notifier_invalidate_range_end(range);
}
EXPORT_SYMBOL_NS_GPL(mmu_torture_end, MMU_NOTIFIER_TORTURE);

/**
 * mmu_torture_flush() - have walkers of the page table flush an address
 * @mm: the mm.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 *
 * Context: as for mmu_notifier_invalidate_range().
 */
void mmu_torture_flush(struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	mmu_notifier_invalidate_range(mm, start, end);
}
EXPORT_SYMBOL_NS_GPL(mmu_torture_flush, MMU_NOTIFIER_TORTURE);

/**
 * mmu_torture_madvise() - madvise() of the current process's mm
 * @start: first address, in bytes.
 * @length: number of bytes.
 * @advice: MADV_*.
 *
 * Context: may sleep; the caller uses an mm.
 *
 * Return: as madvise().
 */
int mmu_torture_madvise(unsigned long start, size_t length, int advice)
{
	return do_madvise(current->mm, start, length, advice);
}
EXPORT_SYMBOL_NS_GPL(mmu_torture_madvise, MMU_NOTIFIER_TORTURE);
