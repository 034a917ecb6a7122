// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what is known of each subscribed mm, for debugfs; and where the
 * tracepoints are.
 *
 * Each per-mm object is in a list from its first subscription until the mm is
 * freed. Who reads takes a reference to one mm at a time, with its own entry in
 * the list to come back to, and looks at it without a lock. So reading delays
 * nobody: not a range, nor a registration, nor exit, beyond the moment that it
 * takes to step along the list.
 *
 * Subscriptions are counted by who made them. An mm has a few slots for that,
 * which are claimed once and never given back; whoever comes later shares the
 * last one.
 */

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/spinlock.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"

#define CREATE_TRACE_POINTS
#include "mmu_notifier_trace.h"

/* Innermost. mmdrop() may be called where interrupts are off. */
static DEFINE_SPINLOCK(mn_stats_lock);
static LIST_HEAD(mn_stats_list);

/*
 * Who is subscribed
 */

/**
 * mmu_stats_subscriber() - the counters of one subscriber to an mm
 * @stats: those of the mm.
 * @callback: what names the subscriber: the first callback that it has.
 *
 * Context: any.
 *
 * Return: the counters, perhaps together with those of others.
 */
struct mmu_subscriber *mmu_stats_subscriber(struct mmu_notifier_stats *stats,
					    const void *callback)
{
	struct mmu_subscriber *subscriber = stats->subscribers;

	for (; subscriber < stats->subscribers + MMU_SUBSCRIBERS - 1; subscriber++) {
		const void *who = READ_ONCE(subscriber->callback);

		if (!who)
			who = cmpxchg(&subscriber->callback, NULL, callback) ?:
			      callback;
		if (who == callback)
			break;
	}
	return subscriber;
}

/* A subscription to the whole mm comes (1) or goes (-1); subscriptions->lock. */
void mmu_stats_list(struct mmu_notifier_subscriptions *subscriptions,
		    const void *callback, int nr)
{
	struct mmu_subscriber *subscriber =
		mmu_stats_subscriber(&subscriptions->stats, callback);

	lockdep_assert_held(&subscriptions->lock);
	WRITE_ONCE(subscriber->lists, subscriber->lists + nr);
}

/* The same for one to some addresses, under the lock of the interval half. */
void mmu_stats_interval(struct mmu_notifier_subscriptions *subscriptions,
			const void *callback, int nr)
{
	struct mmu_subscriber *subscriber =
		mmu_stats_subscriber(&subscriptions->stats, callback);

	lockdep_assert_held(&subscriptions->intervals.lock);
	WRITE_ONCE(subscriber->intervals, subscriber->intervals + nr);
}

/* A callback of @who has taken so long. */
void mmu_stats_called(struct mmu_notifier_subscriptions *subscriptions,
		      const void *who, const void *callback, u64 took)
{
	struct mmu_notifier_stats *stats = &subscriptions->stats;
	struct mmu_subscriber *subscriber = mmu_stats_subscriber(stats, who);

	atomic64_inc(&stats->calls);
	atomic64_inc(&subscriber->calls);
	atomic64_add(took, &subscriber->ns);

	/* Two at a time: the one or the other. */
	if (took > READ_ONCE(stats->slowest_ns)) {
		WRITE_ONCE(stats->slowest_ns, took);
		WRITE_ONCE(stats->slowest, callback);
	}
}

/*
 * The end of a subscription to the whole mm. Somebody waits for it to return, so it
 * is seen also while recording is off.
 */
void mmu_stats_release(struct mmu_notifier_subscriptions *subscriptions,
		       struct mmu_notifier *subscription, struct mm_struct *mm)
{
	void (*release)(struct mmu_notifier *subscription, struct mm_struct *mm) =
		subscription->ops->release;
	struct mmu_notifier_stats *stats = &subscriptions->stats;
	u64 began = mmu_trace_clock();

	/* If there are two at a time, one is seen. */
	WRITE_ONCE(stats->since, began);
	WRITE_ONCE(stats->releasing, release);
	release(subscription, mm);
	WRITE_ONCE(stats->releasing, NULL);
	trace_mmu_notifier_release(mm, release, mmu_trace_clock() - began);
}

/*
 * Readers of interval subscriptions
 */

/* One has waited, and been told to go on. */
void mmu_stats_waited(const struct mmu_interval_notifier *subscription,
		      const void *callback, u64 wait)
{
	atomic64_inc(&subscription->mm->notifier_subscriptions->stats.retries);
	trace_mmu_notifier_interval_collide(subscription, callback,
					    MMU_COLLISION_WAIT, wait);
}

/* One has to begin again. Out of line, for drivers. */
void __mmu_interval_retried(const struct mmu_interval_notifier *subscription)
{
	const struct mmu_interval_notifier_ops *ops = subscription->ops;

	atomic64_inc(&subscription->mm->notifier_subscriptions->stats.retries);
	trace_mmu_notifier_interval_collide(subscription, ops->invalidate_start ?
					    (void *)ops->invalidate_start :
					    (void *)ops->invalidate,
					    MMU_COLLISION_RETRY, 0);
}
EXPORT_SYMBOL_GPL(__mmu_interval_retried);

/*
 * The list
 */

/* The object is there, and not published yet. */
void mmu_stats_init(struct mmu_notifier_subscriptions *subscriptions,
		    struct mm_struct *mm)
{
	struct mmu_notifier_stats *stats = &subscriptions->stats;
	unsigned long flags;

	stats->mm = mm;
	mmu_process_of(mm, &stats->process);
	spin_lock_irqsave(&mn_stats_lock, flags);
	list_add_tail(&stats->node, &mn_stats_list);
	spin_unlock_irqrestore(&mn_stats_lock, flags);
}

/* The mm is about to be freed. */
void mmu_stats_exit(struct mmu_notifier_subscriptions *subscriptions)
{
	unsigned long flags;

	spin_lock_irqsave(&mn_stats_lock, flags);
	list_del(&subscriptions->stats.node);
	spin_unlock_irqrestore(&mn_stats_lock, flags);
}

/**
 * mmu_stats_rewind() - begin to look at all of them
 * @cursor: the place in the list of who looks; on the heap. To be given back with
 *	mmu_stats_close().
 *
 * Context: any.
 */
void mmu_stats_rewind(struct mmu_notifier_stats *cursor)
{
	spin_lock_irq(&mn_stats_lock);
	if (cursor->node.next)
		list_del(&cursor->node);
	list_add(&cursor->node, &mn_stats_list);
	spin_unlock_irq(&mn_stats_lock);
}

/**
 * mmu_stats_close() - no longer look at them
 * @cursor: the place in the list, perhaps not in it yet.
 */
void mmu_stats_close(struct mmu_notifier_stats *cursor)
{
	spin_lock_irq(&mn_stats_lock);
	if (cursor->node.next)
		list_del(&cursor->node);
	spin_unlock_irq(&mn_stats_lock);
}

/**
 * mmu_stats_next() - the first one behind a place in the list
 * @cursor: the place, which moves to just before what is returned: the next call
 *	returns the same one again if it is still there.
 * @after: to go on behind this one, which came from here; or NULL. The reference
 *	to its mm is dropped.
 *
 * Return: one with a reference to its mm (mm_count), or NULL at the end.
 */
struct mmu_notifier_stats *mmu_stats_next(struct mmu_notifier_stats *cursor,
					  struct mmu_notifier_stats *after)
{
	struct mmu_notifier_stats *stats = cursor, *found = NULL;

	spin_lock_irq(&mn_stats_lock);
	if (after)
		list_move(&cursor->node, &after->node);
	list_for_each_entry_continue(stats, &mn_stats_list, node) {
		/* Other cursors have no mm; one without users is being freed. */
		if (stats->mm && atomic_inc_not_zero(&stats->mm->mm_count)) {
			found = stats;
			list_move_tail(&cursor->node, &found->node);
			break;
		}
	}
	spin_unlock_irq(&mn_stats_lock);

	if (after)
		mmdrop(after->mm);
	return found;
}
