/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: the tracepoints, or nothing in a kernel without
 * CONFIG_MMU_NOTIFIER_STATS. Ranges and callbacks are traced where they are
 * recorded (mm/mmu_notifier_record.c), everything else where it happens.
 */
#ifndef _MM_MMU_NOTIFIER_TRACE_H
#define _MM_MMU_NOTIFIER_TRACE_H

#include <linux/mmu_notifier.h>

#ifdef CONFIG_MMU_NOTIFIER_STATS

#include <linux/timekeeping.h>
#include <trace/events/mmu_notifier.h>

/* For what takes long in any case, so that it can be told how long. */
static inline u64 mmu_trace_clock(void)
{
	return ktime_get_ns();
}

#else /* !CONFIG_MMU_NOTIFIER_STATS */

static inline u64 mmu_trace_clock(void)
{
	return 0;
}

#define MN_NOT_TRACED(event, ...)					\
	static inline void trace_mmu_notifier_##event(__VA_ARGS__)	\
	{								\
	}

MN_NOT_TRACED(register, struct mm_struct *mm, const void *callback, int result,
	      u64 wait)
MN_NOT_TRACED(unregister, struct mm_struct *mm, const void *callback,
	      int result, u64 wait)
MN_NOT_TRACED(interval_insert, const struct mmu_interval_notifier *subscription,
	      const void *callback)
MN_NOT_TRACED(interval_remove, const struct mmu_interval_notifier *subscription,
	      const void *callback, u64 wait)
MN_NOT_TRACED(rmap_register, const void *callback, u64 wait)
MN_NOT_TRACED(rmap_unregister, const void *callback, u64 wait)
MN_NOT_TRACED(rmap_invalidate, const void *callback, unsigned long pfn,
	      unsigned long pages, int event, int result, u64 duration)

#endif /* CONFIG_MMU_NOTIFIER_STATS */

#endif /* _MM_MMU_NOTIFIER_TRACE_H */
