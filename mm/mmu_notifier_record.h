/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: records of what is in flight.
 *
 * Words: while *recording* is on, each range in flight has a *record*, which says
 * what task it belongs to, since when, and which callback is being run. An
 * *exemption* is a section of code that may change entries without a range; it
 * has a record as well. Tracepoints, debugfs and the checker live on records.
 *
 * Recording is switched on by whoever wants to see, and counted. While it is off
 * a range pays for one nop in start and one in end, and each callback of an
 * interval subscription for two.
 *
 * A record is written by its own task and read by others, both under the lock of
 * the bucket that it is in; nobody sleeps or calls a driver under that lock.
 */
#ifndef _MM_MMU_NOTIFIER_RECORD_H
#define _MM_MMU_NOTIFIER_RECORD_H

#include <linux/jump_label.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier_coverage.h>
#include <linux/mmu_notifier_hooks.h>
#include <linux/sched.h>

struct mmu_notifier_subscriptions;
struct mmu_record;

#ifdef CONFIG_MMU_NOTIFIER_STATS

/**
 * struct mmu_record - a range in flight, or an exemption
 * @task: whose it is; referenced. NULL: the record is free.
 * @range: the range, on the stack of @task; NULL for an exemption. Only @task
 *	may look into it.
 * @mm: the address space. Compared, and not looked into by others than @task.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 * @event: the reason; of a range.
 * @flags: MMU_NOTIFIER_RANGE_*; of a range.
 * @exempt: the reason; of an exemption.
 * @began: when, in nanoseconds of ktime_get_ns().
 * @callback: the function that is being run, or NULL.
 * @called: since when it runs, in nanoseconds of ktime_get_ns().
 * @switches: how often @task had slept of its own will by then.
 * @warned: it has been reported that the callback does not return.
 */
struct mmu_record {
	struct task_struct *task;
	const struct mmu_notifier_range *range;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	enum mmu_notifier_event event;
	unsigned int flags;
	enum mmu_exemption exempt;
	u64 began;
	const void *callback;
	u64 called;
	unsigned long switches;
	bool warned;
};

/* What the records say about an address that the running task changes. */
enum mmu_coverage {
	MMU_COVERED,
	MMU_UNCOVERED,
	MMU_COVERAGE_UNKNOWN,	/* there were more ranges than records */
};

/**
 * struct mmu_notifier_stats - what has happened to an mm while recording was on
 * @ranges: ranges that began.
 * @refused: those that were called off.
 * @calls: callbacks of ranges.
 * @retries: readers that were told to wait or to retry.
 * @slowest_ns: what the slowest callback took, in nanoseconds.
 * @slowest: which one that was.
 */
struct mmu_notifier_stats {
	atomic64_t ranges;
	atomic64_t refused;
	atomic64_t calls;
	atomic64_t retries;
	u64 slowest_ns;
	const void *slowest;
};

/**
 * struct mmu_process - what an address space is called in reports
 * @comm: the name of its process.
 * @pid: its process.
 */
struct mmu_process {
	char comm[TASK_COMM_LEN];
	pid_t pid;
};

DECLARE_STATIC_KEY_FALSE(mmu_notifier_recording);

static __always_inline bool mmu_recording(void)
{
	return static_branch_unlikely(&mmu_notifier_recording);
}

int mmu_record_get(void);
void mmu_record_put(void);

void mmu_record_start(struct mmu_notifier_subscriptions *subscriptions,
		      const struct mmu_notifier_range *range);
void mmu_record_started(struct mmu_notifier_subscriptions *subscriptions,
			const struct mmu_notifier_range *range, int ret);
void mmu_record_end(struct mmu_notifier_range *range);
void mmu_record_call(const struct mmu_notifier_range *range, const void *callback);
void mmu_record_called(const struct mmu_notifier_range *range, const void *callback,
		       int result);

bool mmu_record_calling(const struct mmu_notifier_range *range);
void mmu_process_of(struct mm_struct *mm, struct mmu_process *process);
enum mmu_coverage mmu_record_covers(struct mm_struct *mm, unsigned long start,
				    unsigned long end);
struct mmu_notifier_range *mmu_record_find(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long last);
void mmu_record_print(struct mm_struct *mm);
void mmu_record_exempt(struct mm_struct *mm, unsigned long start,
		       unsigned long end, enum mmu_exemption why);
void mmu_record_unexempt(void);
void mmu_record_each(void (*look)(struct mmu_record *record, void *data),
		     void *data);

#else /* !CONFIG_MMU_NOTIFIER_STATS */

static __always_inline bool mmu_recording(void)
{
	return false;
}

static inline void
mmu_record_start(struct mmu_notifier_subscriptions *subscriptions,
		 const struct mmu_notifier_range *range)
{
}

static inline void
mmu_record_started(struct mmu_notifier_subscriptions *subscriptions,
		   const struct mmu_notifier_range *range, int ret)
{
}

static inline void mmu_record_end(struct mmu_notifier_range *range)
{
}

static inline void mmu_record_call(const struct mmu_notifier_range *range,
				   const void *callback)
{
}

static inline void mmu_record_called(const struct mmu_notifier_range *range,
				     const void *callback, int result)
{
}

#endif /* CONFIG_MMU_NOTIFIER_STATS */

#endif /* _MM_MMU_NOTIFIER_RECORD_H */
