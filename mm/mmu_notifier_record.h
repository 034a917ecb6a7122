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
 * a range pays for one nop in start and one in end, and for another one if it
 * overlaps interval subscriptions, however many.
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

struct mmu_interval_notifier;
struct mmu_notifier;
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
 * @caller: who started it.
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
	const void *caller;
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
 * struct mmu_process - what an address space is called in reports
 * @comm: the name of its process.
 * @pid: its process.
 */
struct mmu_process {
	char comm[TASK_COMM_LEN];
	pid_t pid;
};

/* How many are told apart in an mm; the last one stands for all others. */
#define MMU_SUBSCRIBERS	8

/**
 * struct mmu_subscriber - who is subscribed to an mm, and what it costs
 * @callback: the first callback that it has; NULL: nobody, or all others.
 * @lists: subscriptions to the whole mm; under subscriptions->lock.
 * @intervals: subscriptions to some addresses; under the interval half's lock.
 * @calls: callbacks, while recording was on.
 * @ns: what they took, in nanoseconds.
 */
struct mmu_subscriber {
	const void *callback;
	unsigned int lists;
	unsigned int intervals;
	atomic64_t calls;
	atomic64_t ns;
};

/**
 * struct mmu_notifier_stats - what is known of a subscribed mm
 * @node: in the list of all of them.
 * @mm: the address space; NULL: this is only a place in the list.
 * @process: whose it was when the first subscription came.
 * @retries: readers that were told to wait or to retry.
 * @releasing: the release callback that is being run, or NULL.
 * @since: since when it runs, in nanoseconds of ktime_get_ns().
 * @subscribers: who is subscribed.
 * @ranges: ranges that began while recording was on, as all that follows.
 * @refused: those that were called off.
 * @calls: callbacks, those that belong to no range included.
 * @slowest_ns: what the slowest callback took, in nanoseconds.
 * @slowest: which one that was.
 */
struct mmu_notifier_stats {
	struct list_head node;
	struct mm_struct *mm;
	struct mmu_process process;
	atomic64_t retries;
	const void *releasing;
	u64 since;
	struct mmu_subscriber subscribers[MMU_SUBSCRIBERS];
	atomic64_t ranges;
	atomic64_t refused;
	atomic64_t calls;
	u64 slowest_ns;
	const void *slowest;
};

DECLARE_STATIC_KEY_FALSE(mmu_notifier_recording);

static __always_inline bool mmu_recording(void)
{
	return static_branch_unlikely(&mmu_notifier_recording);
}

int mmu_record_get(void);
void mmu_record_put(void);

void mmu_record_start(struct mmu_notifier_subscriptions *subscriptions,
		      const struct mmu_notifier_range *range, const void *caller);
void mmu_record_started(struct mmu_notifier_subscriptions *subscriptions,
			const struct mmu_notifier_range *range, int ret);
void mmu_record_end(struct mmu_notifier_range *range, const void *caller);
void mmu_record_call(const struct mmu_notifier_range *range, const void *callback);
void mmu_record_called(const struct mmu_notifier_range *range, const void *who,
		       const void *callback, int result);

/* mm/mmu_notifier_stats.c */
void mmu_stats_init(struct mmu_notifier_subscriptions *subscriptions,
		    struct mm_struct *mm);
void mmu_stats_exit(struct mmu_notifier_subscriptions *subscriptions);
struct mmu_subscriber *mmu_stats_subscriber(struct mmu_notifier_stats *stats,
					    const void *callback);
void mmu_stats_list(struct mmu_notifier_subscriptions *subscriptions,
		    const void *callback, int nr);
void mmu_stats_interval(struct mmu_notifier_subscriptions *subscriptions,
			const void *callback, int nr);
void mmu_stats_called(struct mmu_notifier_subscriptions *subscriptions,
		      const void *who, const void *callback, u64 took);
void mmu_stats_waited(const struct mmu_interval_notifier *subscription,
		      const void *callback, u64 wait);
void mmu_stats_release(struct mmu_notifier_subscriptions *subscriptions,
		       struct mmu_notifier *subscription, struct mm_struct *mm);
void mmu_stats_rewind(struct mmu_notifier_stats *cursor);
struct mmu_notifier_stats *mmu_stats_next(struct mmu_notifier_stats *cursor,
					  struct mmu_notifier_stats *after);
void mmu_stats_close(struct mmu_notifier_stats *cursor);
pid_t mmu_process_pid(struct mm_struct *mm);

bool mmu_record_calling(const struct mmu_notifier_range *range);
void mmu_process_of(struct mm_struct *mm, struct mmu_process *process);
enum mmu_coverage mmu_record_covers(struct mm_struct *mm, unsigned long start,
				    unsigned long end);
struct mmu_notifier_range *mmu_record_find(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long last);
void mmu_record_print(struct mm_struct *mm);
void mmu_record_exempt(struct mm_struct *mm, unsigned long start,
		       unsigned long end, enum mmu_exemption why,
		       const void *caller);
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
		 const struct mmu_notifier_range *range, const void *caller)
{
}

static inline void
mmu_record_started(struct mmu_notifier_subscriptions *subscriptions,
		   const struct mmu_notifier_range *range, int ret)
{
}

static inline void mmu_record_end(struct mmu_notifier_range *range,
				  const void *caller)
{
}

static inline void mmu_record_call(const struct mmu_notifier_range *range,
				   const void *callback)
{
}

static inline void mmu_record_called(const struct mmu_notifier_range *range,
				     const void *who, const void *callback,
				     int result)
{
}

static inline void
mmu_stats_init(struct mmu_notifier_subscriptions *subscriptions,
	       struct mm_struct *mm)
{
}

static inline void
mmu_stats_exit(struct mmu_notifier_subscriptions *subscriptions)
{
}

static inline void
mmu_stats_list(struct mmu_notifier_subscriptions *subscriptions,
	       const void *callback, int nr)
{
}

static inline void
mmu_stats_interval(struct mmu_notifier_subscriptions *subscriptions,
		   const void *callback, int nr)
{
}

static inline void
mmu_stats_called(struct mmu_notifier_subscriptions *subscriptions,
		 const void *who, const void *callback, u64 took)
{
}

static inline void
mmu_stats_waited(const struct mmu_interval_notifier *subscription,
		 const void *callback, u64 wait)
{
}

static inline void
mmu_stats_release(struct mmu_notifier_subscriptions *subscriptions,
		  struct mmu_notifier *subscription, struct mm_struct *mm)
{
	subscription->ops->release(subscription, mm);
}

#endif /* CONFIG_MMU_NOTIFIER_STATS */

#endif /* _MM_MMU_NOTIFIER_RECORD_H */
