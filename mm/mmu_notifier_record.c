// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: records of what is in flight; see mm/mmu_notifier_record.h.
 *
 * Memory. A start may not allocate (R10), so the records are there before: a
 * fixed number in each bucket, where a task finds its own by its address. What
 * finds no free one is counted as lost until it ends, and nothing is said about
 * the coverage of that bucket's tasks meanwhile.
 *
 * Switching. The key may turn between the start and the end of a range. A start
 * that was not recorded leaves nothing to find; an end that was not recorded
 * leaves a stale record behind, and all of these go when recording is switched
 * on again, as each bucket is emptied before the key turns.
 *
 * Lock order: the lock of a bucket is inside of everything else.
 */

#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"
#include "mmu_notifier_trace.h"

DEFINE_STATIC_KEY_FALSE(mmu_notifier_recording);

/* A task has one record, or two when a range is in flight while it reclaims. */
#define MN_BUCKET_RECORDS	16

struct mn_bucket {
	spinlock_t lock;	/* guards the rest */
	unsigned int lost;
	struct mmu_record records[MN_BUCKET_RECORDS];
} ____cacheline_aligned_in_smp;

static struct mn_bucket *mn_buckets;
static unsigned int mn_bucket_bits;
static DEFINE_MUTEX(mn_recording_lock);	/* guards the switch, and the buckets' birth */
static unsigned int mn_recorders;

/**
 * mmu_record_get() - have ranges recorded
 *
 * To be undone with mmu_record_put(). Ranges that are in flight already are not
 * recorded.
 *
 * Context: may sleep.
 *
 * Return: 0 or -ENOMEM.
 */
int mmu_record_get(void)
{
	unsigned int i;
	int ret = 0;

	mutex_lock(&mn_recording_lock);
	if (!mn_buckets) {
		mn_bucket_bits = order_base_2(max(4 * num_possible_cpus(), 64U));
		mn_buckets = vcalloc(1UL << mn_bucket_bits, sizeof(*mn_buckets));
		if (!mn_buckets) {
			ret = -ENOMEM;
			goto unlock;
		}
		for (i = 0; i < 1U << mn_bucket_bits; i++)
			spin_lock_init(&mn_buckets[i].lock);
	}
	if (mn_recorders++)
		goto unlock;

	for (i = 0; i < 1U << mn_bucket_bits; i++) {
		struct mn_bucket *bucket = &mn_buckets[i];
		struct mmu_record *record;

		spin_lock(&bucket->lock);
		for (record = bucket->records;
		     record < bucket->records + MN_BUCKET_RECORDS; record++) {
			if (record->task)
				put_task_struct(record->task);
			record->task = NULL;
		}
		bucket->lost = 0;
		spin_unlock(&bucket->lock);
	}
	static_branch_enable(&mmu_notifier_recording);
unlock:
	mutex_unlock(&mn_recording_lock);
	return ret;
}

/**
 * mmu_record_put() - recording is no longer needed
 *
 * Context: may sleep.
 */
void mmu_record_put(void)
{
	mutex_lock(&mn_recording_lock);
	if (!WARN_ON_ONCE(!mn_recorders) && !--mn_recorders)
		static_branch_disable(&mmu_notifier_recording);
	mutex_unlock(&mn_recording_lock);
}

static struct mn_bucket *mn_own_bucket(void)
{
	return &mn_buckets[hash_ptr(current, mn_bucket_bits)];
}

/* The next record of the running task behind @record; NULL: the first. */
static struct mmu_record *mn_next_own(struct mn_bucket *bucket,
				      struct mmu_record *record)
{
	record = record ? record + 1 : bucket->records;
	for (; record < bucket->records + MN_BUCKET_RECORDS; record++)
		if (record->task == current)
			return record;
	return NULL;
}

static struct mmu_record *mn_find_range(struct mn_bucket *bucket,
					const struct mmu_notifier_range *range)
{
	struct mmu_record *record;

	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (record->range == range)
			return record;
	}
	return NULL;
}

/* A free record, made the running task's own; NULL if there is none. */
static struct mmu_record *mn_claim(struct mn_bucket *bucket)
{
	struct mmu_record *record;

	for (record = bucket->records;
	     record < bucket->records + MN_BUCKET_RECORDS; record++) {
		if (!record->task) {
			*record = (struct mmu_record){
				.task = get_task_struct(current),
				.began = ktime_get_ns(),
			};
			return record;
		}
	}
	bucket->lost++;
	return NULL;
}

static void mn_free(struct mmu_record *record)
{
	put_task_struct(record->task);
	record->task = NULL;
}

/*
 * Ranges
 */

/*
 * Has the frame that a recorded range was in returned, and not ended it? Then
 * another range is in its place, or it lies beyond the end of the stack.
 */
static bool mn_frame_returned(const struct mmu_record *record,
			      const struct mmu_notifier_range *now)
{
	const void *range = record->range;

	if (!range || !object_is_on_stack(range))
		return false;
#ifdef CONFIG_STACK_GROWSUP
	return range == now;
#else
	return range == now || range < __builtin_frame_address(0);
#endif
}

/* A range begins: before the first callback. */
void mmu_record_start(struct mmu_notifier_subscriptions *subscriptions,
		      const struct mmu_notifier_range *range, const void *caller)
{
	struct mn_bucket *bucket;
	struct mmu_record *record, stale = {};

	bucket = mn_own_bucket();
	spin_lock(&bucket->lock);
	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (mn_frame_returned(record, range)) {
			stale = *record;
			mn_free(record);
		}
	}
	record = mn_claim(bucket);
	if (record) {
		record->range = range;
		record->mm = range->mm;
		record->start = range->start;
		record->end = range->end;
		record->event = range->event;
		record->flags = range->flags;
		record->caller = caller;
	}
	spin_unlock(&bucket->lock);

	atomic64_inc(&subscriptions->stats.ranges);
	if (stale.range)
		mmu_check_not_ended(&stale);
	mmu_check_start(range, caller);
	trace_mmu_notifier_range_start(range);
}

/* A range ends, or has been called off. False: it was not recorded. */
static bool mn_record_end(const struct mmu_notifier_range *range,
			  struct mmu_record *copy)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;

	spin_lock(&bucket->lock);
	record = mn_find_range(bucket, range);
	if (record) {
		*copy = *record;
		mn_free(record);
	} else if (bucket->lost) {
		bucket->lost--;
	} else {
		copy->task = NULL;
		spin_unlock(&bucket->lock);
		return false;
	}
	spin_unlock(&bucket->lock);
	return true;
}

static void mn_trace_end(const struct mmu_notifier_range *range, int result,
			 const struct mmu_record *record)
{
	if (trace_mmu_notifier_range_end_enabled())
		trace_mmu_notifier_range_end(range, result, record->task ?
					     ktime_get_ns() - record->began : 0);
}

/* All have been told. A range that was called off, or told nobody, is over. */
void mmu_record_started(struct mmu_notifier_subscriptions *subscriptions,
			const struct mmu_notifier_range *range, int ret)
{
	struct mmu_record record = {};

	if (ret)
		atomic64_inc(&subscriptions->stats.refused);
	if (ret || !range->subscriptions) {
		mn_record_end(range, &record);
		mn_trace_end(range, ret, &record);
	}
}

/* A range ends: after the last callback, and still in flight. */
void mmu_record_end(struct mmu_notifier_range *range, const void *caller)
{
	struct mmu_record record = {};
	bool found = mn_record_end(range, &record);

	mmu_check_end(range, caller, found ? &record : NULL);
	mn_trace_end(range, 0, &record);
}

/*
 * Callbacks
 */

/* A callback is about to be called. */
void mmu_record_call(const struct mmu_notifier_range *range, const void *callback)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;

	spin_lock(&bucket->lock);
	record = mn_find_range(bucket, range);
	if (record) {
		record->callback = callback;
		record->called = ktime_get_ns();
		record->switches = current->nvcsw;
		record->warned = false;
	}
	spin_unlock(&bucket->lock);
}

/* A callback of the subscriber @who has returned @result. */
void mmu_record_called(const struct mmu_notifier_range *range, const void *who,
		       const void *callback, int result)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record, copy = {};
	u64 took = 0;

	spin_lock(&bucket->lock);
	record = mn_find_range(bucket, range);
	if (record) {
		copy = *record;
		record->callback = NULL;
	}
	spin_unlock(&bucket->lock);

	if (copy.task)
		took = ktime_get_ns() - copy.called;
	mmu_stats_called(range->mm->notifier_subscriptions, who, callback, took);
	if (copy.task)
		mmu_check_called(range, &copy, took);
	trace_mmu_notifier_invalidate(range, callback, result, took);
}

/*
 * What the checker asks
 */

/* Is a callback of this range of the running task being run? */
bool mmu_record_calling(const struct mmu_notifier_range *range)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;
	bool ret;

	spin_lock(&bucket->lock);
	record = mn_find_range(bucket, range);
	ret = record && record->callback;
	spin_unlock(&bucket->lock);
	return ret;
}

/**
 * mmu_process_of() - whose address space is this?
 * @mm: the address space, which stays meanwhile.
 * @process: filled in. If its process has exited, or if the kernel does not know
 *	(without memory cgroups), it is that of the first subscription.
 */
void mmu_process_of(struct mm_struct *mm, struct mmu_process *process)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct task_struct *task = NULL;

	rcu_read_lock();
#ifdef CONFIG_MEMCG
	task = rcu_dereference(mm->owner);
#endif
	if (!task && current->mm == mm)
		task = current;
	if (task) {
		strscpy(process->comm, task->comm);
		process->pid = task_tgid_nr(task);
	} else if (subscriptions) {
		*process = subscriptions->stats.process;
	} else {
		strscpy(process->comm, "?");
		process->pid = 0;
	}
	rcu_read_unlock();
}

/* The same without the name, for tracepoints. */
pid_t mmu_process_pid(struct mm_struct *mm)
{
	struct mmu_process process;

	mmu_process_of(mm, &process);
	return process.pid;
}

static const char * const mn_event_names[] = {
	[MMU_NOTIFY_UNMAP]		= "unmap",
	[MMU_NOTIFY_CLEAR]		= "clear",
	[MMU_NOTIFY_PROTECTION_VMA]	= "protection_vma",
	[MMU_NOTIFY_PROTECTION_PAGE]	= "protection_page",
	[MMU_NOTIFY_SOFT_DIRTY]		= "soft_dirty",
	[MMU_NOTIFY_RELEASE]		= "release",
	[MMU_NOTIFY_MIGRATE]		= "migrate",
	[MMU_NOTIFY_EXCLUSIVE]		= "exclusive",
};

/* The word for an event in reports, as in tracepoints. */
const char *mmu_event_name(enum mmu_notifier_event event)
{
	return event < ARRAY_SIZE(mn_event_names) ? mn_event_names[event] : "?";
}

/* The word for an exemption in reports. */
const char *mmu_exemption_name(enum mmu_exemption why)
{
	switch (why) {
	case MMU_EXEMPT_NUMA_RESTORE:
		return "exempt: NUMA hinting fault";
	case MMU_EXEMPT_DETACHED:
		return "exempt: detached table";
	case MMU_EXEMPT_NONE:
		break;
	}
	return "?";
}

/**
 * mmu_record_covers() - may the running task change these entries?
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 *
 * Return: whether one range in flight, or one exemption, covers them all.
 */
enum mmu_coverage mmu_record_covers(struct mm_struct *mm, unsigned long start,
				    unsigned long end)
{
	struct mn_bucket *bucket = mn_own_bucket();
	enum mmu_coverage ret = MMU_UNCOVERED;
	struct mmu_record *record;

	spin_lock(&bucket->lock);
	if (bucket->lost)
		ret = MMU_COVERAGE_UNKNOWN;
	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (record->mm == mm && record->start <= start &&
		    end - 1 <= record->end - 1) {
			ret = MMU_COVERED;
			break;
		}
	}
	spin_unlock(&bucket->lock);
	return ret;
}

/**
 * mmu_record_find() - is the running task inside a range of this mm?
 * @mm: the address space.
 * @start: first address, in bytes.
 * @last: last address, in bytes.
 *
 * Return: a range that overlaps, or NULL.
 */
struct mmu_notifier_range *mmu_record_find(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long last)
{
	const struct mmu_notifier_range *range = NULL;
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;

	spin_lock(&bucket->lock);
	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (record->mm == mm && record->range && record->start <= last &&
		    record->end - 1 >= start) {
			range = record->range;
			break;
		}
	}
	spin_unlock(&bucket->lock);
	/* It is the task's own, which passed it to start to be written to. */
	return (struct mmu_notifier_range *)range;
}

/**
 * mmu_record_print() - print the ranges of the running task, for a report
 * @mm: ranges of this address space, and of others as such.
 */
void mmu_record_print(struct mm_struct *mm)
{
	struct mmu_record own[4];
	struct mn_bucket *bucket;
	struct mmu_record *record;
	unsigned int nr = 0, i;

	if (!mmu_recording())
		return;
	bucket = mn_own_bucket();
	spin_lock(&bucket->lock);
	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (nr < ARRAY_SIZE(own))
			own[nr++] = *record;
	}
	spin_unlock(&bucket->lock);

	if (!nr)
		pr_warn("  no range of this task is in flight\n");
	for (i = 0; i < nr; i++)
		pr_warn("  %s [%#lx, %#lx)%s, since %llu us by %ps\n",
			own[i].range ? mmu_event_name(own[i].event) :
			mmu_exemption_name(own[i].exempt),
			own[i].start, own[i].end,
			own[i].mm == mm ? "" : " of another mm",
			(ktime_get_ns() - own[i].began) / NSEC_PER_USEC,
			own[i].caller);
}

/* An exemption begins. They do not nest. */
void mmu_record_exempt(struct mm_struct *mm, unsigned long start,
		       unsigned long end, enum mmu_exemption why,
		       const void *caller)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;

	spin_lock(&bucket->lock);
	record = mn_claim(bucket);
	if (record) {
		record->mm = mm;
		record->start = start;
		record->end = end;
		record->exempt = why;
		record->caller = caller;
	}
	spin_unlock(&bucket->lock);
}

/* The exemption of the running task ends. */
void mmu_record_unexempt(void)
{
	struct mn_bucket *bucket = mn_own_bucket();
	struct mmu_record *record;
	bool found = false;

	spin_lock(&bucket->lock);
	for (record = mn_next_own(bucket, NULL); record;
	     record = mn_next_own(bucket, record)) {
		if (record->exempt) {
			mn_free(record);
			found = true;
		}
	}
	if (!found && bucket->lost)
		bucket->lost--;
	spin_unlock(&bucket->lock);
}

/**
 * mmu_record_each() - look at all records
 * @look: called for each one that is in use, under the lock of its bucket.
 * @data: passed to @look.
 *
 * No range waits for longer than a bucket takes.
 */
void mmu_record_each(void (*look)(struct mmu_record *record, void *data),
		     void *data)
{
	unsigned int i, j;

	for (i = 0; mn_buckets && i < 1U << mn_bucket_bits; i++) {
		struct mn_bucket *bucket = &mn_buckets[i];

		spin_lock(&bucket->lock);
		for (j = 0; j < MN_BUCKET_RECORDS; j++)
			if (bucket->records[j].task)
				look(&bucket->records[j], data);
		spin_unlock(&bucket->lock);
	}
}
