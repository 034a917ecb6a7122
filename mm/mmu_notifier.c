// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: the per-mm object, and subscriptions to a whole mm.
 *
 * Words: a *subscription* is a driver's struct mmu_notifier; a *range* is one
 * invalidation, *in flight* from start to end. R1-R12 are the rules in
 * Documentation/mm/mmu_notifier/design.rst; lock order and the meaning of the
 * object's members are in mm/mmu_notifier.h.
 *
 * In flight. A range is one SRCU section of its own mm's domain, from start to
 * end, callbacks and the change of the page table between them included. So
 * unregistering waits for whole ranges, but only for those of its mm (R7).
 *
 * Birth. Every subscription is born in an epoch of its own, and a range
 * remembers the epoch that it started in. It delivers start and end to the
 * subscriptions that are not younger than it, so nobody sees an end without
 * the start (R5). The list is sorted by birth, youngest first, which makes
 * "those whose start has been called" an interval of births: the one unwind
 * path of a start that failed needs no other mark.
 *
 *	register			range
 *	list add			srcu lock (full barrier)
 *	listening |= ...
 *	epoch = birth (release)  (A)	epoch (acquire)		(A)
 *	wait for older ranges		walk the list
 *
 * (A): a range of this epoch or a later one finds the subscription in the
 * list, at its start and at its end.
 *
 * Older ranges. A range that is older than a subscription does not tell it
 * anything, so the driver must not map a page before that range has ended:
 * the page may be freed behind its back (R1, R2). Registration therefore
 * returns only after every older range has ended. How it waits depends on what
 * the ranges in flight are known to have entered, which is what "settled"
 * records:
 *
 *  - the list half: one grace period of this mm's domain;
 *  - the interval half: until the list of active ranges has none that is older;
 *  - perhaps nothing, for the first subscription that wants ranges: by passing
 *    through each lock that a range may be held under, for writing, one at a
 *    time, with mmap_lock held for writing. Once through, all older ranges have
 *    ended, and the younger ones have seen the bits in "listening".
 *
 *	register			range
 *	listening |= track (B)		enter the track that is on
 *	full barrier			full barrier
 *	wait for who has entered	look at listening again	(B)
 *
 * (B): a range that the wait misses sees the new track, and enters it as well.
 * The barriers are those of SRCU, or the interval half's lock.
 *
 * Release. A subscription ends once: by the exit of the last user of the mm,
 * by mmu_notifier_unregister(), or by the last mmu_notifier_put(). State and
 * subscriptions->lock decide who runs ->release; the others wait for it
 * without SRCU. A subscription that only wants to hear of exit is kept in a
 * list of its own, which nobody walks without the lock: it needs no domain, no
 * grace period, and turns nothing on (R8).
 */

#include <linux/export.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/mm.h>
#include <linux/rculist.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"
#include "mmu_notifier_trace.h"

/* mmu_notifier.state */
enum mmu_notifier_state {
	MN_UNUSED = 0,
	MN_LIVE,	/* in the list, gets callbacks */
	MN_RELEASING,	/* in the list, somebody runs ->release */
	MN_RELEASED,	/* out of the list; unregister or put is still owed */
};

#ifdef CONFIG_LOCKDEP
struct lockdep_map __mmu_notifier_invalidate_range_start_map = {
	.name = "mmu_notifier_invalidate_range_start",
};
#endif

static unsigned int mn_listens(const struct mmu_notifier_ops *ops)
{
	unsigned int bits = 0;

	if (ops->invalidate_range_start)
		bits |= MN_RANGE_START | MN_TRACK_LIST;
	if (ops->invalidate_range_end)
		bits |= MN_RANGE_END | MN_TRACK_LIST;
	if (ops->clear_flush_young)
		bits |= MN_CLEAR_FLUSH_YOUNG;
	if (ops->clear_young)
		bits |= MN_CLEAR_YOUNG;
	if (ops->test_young)
		bits |= MN_TEST_YOUNG;
	if (ops->arch_invalidate_secondary_tlbs)
		bits |= MN_SECONDARY_TLBS;
	if (ops->invalidate_range)
		bits |= MN_INVALIDATE_RANGE;
	return bits;
}

/* Some callback, which has a name even where data has none. */
static const void *mn_callback(const struct mmu_notifier_ops *ops)
{
	return ops->invalidate_range_start ? (void *)ops->invalidate_range_start :
	       ops->release ? (void *)ops->release :
	       ops->invalidate_range ? (void *)ops->invalidate_range :
	       ops->arch_invalidate_secondary_tlbs ?
	       (void *)ops->arch_invalidate_secondary_tlbs : (void *)ops;
}

static void mn_listen(struct mmu_notifier_subscriptions *subscriptions,
		      unsigned int bits)
{
	lockdep_assert_held(&subscriptions->lock);
	/* Release: what the bits stand for is in place. */
	smp_store_release(&subscriptions->listening.bits, bits);
}

/*
 * Ranges
 */

static __always_inline unsigned int
mn_listening(const struct mmu_notifier_subscriptions *subscriptions)
{
	/* Acquire: what a bit stands for was in place before it was set. */
	return smp_load_acquire(&subscriptions->listening.bits);
}

/* Not srcu_read_lock(): lockdep would take the domains of all mms for one. */
static __always_inline void
mn_enter_list(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_notifier_range *range)
{
	range->srcu_idx = srcu_down_read(&subscriptions->srcu);
	/* For sparse: the section goes on in another function. */
	__release(&subscriptions->srcu);
}

static __always_inline void
mn_leave(struct mmu_notifier_subscriptions *subscriptions,
	 struct mmu_notifier_range *range)
{
	if (unlikely(range->tracked & MN_TRACK_INTERVALS))
		mmu_flight_end(&subscriptions->intervals, range);
	if (likely(range->tracked & MN_TRACK_LIST)) {
		__acquire(&subscriptions->srcu);
		srcu_up_read(&subscriptions->srcu, range->srcu_idx);
	}
	range->subscriptions = NULL;
}

static bool mn_ended(const struct mmu_notifier *subscription)
{
	/* Between other states it may change while who is called by right gets here. */
	return data_race(subscription->state) == MN_UNUSED;
}

/*
 * The two callbacks of a range. @recorded is a constant: there is one copy of the
 * loops below for ranges that are recorded, and one without a trace of it.
 */
static __always_inline int
mn_call_start(struct mmu_notifier *subscription,
	      struct mmu_notifier_range *range, bool recorded)
{
	const struct mmu_notifier_ops *ops = subscription->ops;
	int ret;

	if (recorded) {
		mmu_check_late(range, ops->invalidate_range_start,
			       mn_ended(subscription));
		mmu_record_call(range, ops->invalidate_range_start);
	}
	mmu_notifier_call_begin(range);
	ret = ops->invalidate_range_start(subscription, range);
	mmu_notifier_call_end(range);
	if (recorded)
		mmu_record_called(range, mn_callback(ops),
				  ops->invalidate_range_start, ret);
	return ret;
}

static __always_inline void
mn_call_end(struct mmu_notifier *subscription,
	    const struct mmu_notifier_range *range, bool recorded)
{
	const struct mmu_notifier_ops *ops = subscription->ops;

	if (recorded) {
		mmu_check_late(range, ops->invalidate_range_end,
			       mn_ended(subscription));
		mmu_record_call(range, ops->invalidate_range_end);
	}
	mmu_notifier_call_begin(range);
	ops->invalidate_range_end(subscription, range);
	mmu_notifier_call_end(range);
	if (recorded)
		mmu_record_called(range, mn_callback(ops),
				  ops->invalidate_range_end, 0);
}

/* Deliver end to those that start was delivered to: those born after @failed. */
static __always_inline void
mn_list_end(struct mmu_notifier_subscriptions *subscriptions,
	    const struct mmu_notifier_range *range, unsigned long failed,
	    bool recorded)
{
	const unsigned long epoch = range->epoch;
	struct mmu_notifier *subscription;

	if (!(READ_ONCE(subscriptions->listening.bits) & MN_RANGE_END))
		return;

	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  true) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (unlikely(subscription->birth > epoch) ||
		    !ops->invalidate_range_end)
			continue;
		if (subscription->birth <= failed)
			break;
		mn_call_end(subscription, range, recorded);
	}
}

/*
 * A start answered something else than 0. Return it if the range has to be
 * called off; those told before have then been told of the end.
 */
static noinline int mn_refused(struct mmu_notifier_subscriptions *subscriptions,
			       const struct mmu_notifier_range *range,
			       const struct mmu_notifier *subscription, int ret)
{
	const void *start = subscription->ops->invalidate_range_start;

	if (mmu_notifier_range_blockable(range)) {
		/* The caller cannot be stopped, so go on. */
		WARN_ONCE(1, "%ps answered %d although it may sleep\n", start,
			  ret);
		return 0;
	}
	WARN_ONCE(ret != -EAGAIN, "%ps answered %d instead of -EAGAIN\n", start,
		  ret);
	pr_info_ratelimited("%ps would have to sleep\n", start);
	mn_list_end(subscriptions, range, subscription->birth, mmu_recording());
	return -EAGAIN;
}

static __always_inline int
mn_list_start(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_notifier_range *range, bool recorded)
{
	const unsigned long epoch =
		smp_load_acquire(&subscriptions->epoch);	/* (A) */
	struct mmu_notifier *subscription;
	int ret;

	range->epoch = epoch;
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  true) {
		const struct mmu_notifier_ops *ops = subscription->ops;

		if (unlikely(subscription->birth > epoch) ||
		    !ops->invalidate_range_start)
			continue;

		ret = mn_call_start(subscription, range, recorded);
		if (unlikely(ret)) {
			ret = mn_refused(subscriptions, range, subscription,
					 ret);
			if (ret)
				return ret;
		}
	}
	return 0;
}

/* The range has entered the interval half, and the list if that was listened to. */
static __always_inline int
mn_start_entered(struct mmu_notifier_subscriptions *subscriptions,
		 struct mmu_notifier_range *range, bool recorded)
{
	int ret;

	ret = mmu_interval_start(&subscriptions->intervals, range);
	if (unlikely(ret))
		goto err_leave;

	if (!(range->tracked & MN_TRACK_LIST) &&
	    unlikely(mn_listening(subscriptions) & MN_TRACK_LIST)) {
		mn_enter_list(subscriptions, range);	/* (B) */
		range->tracked |= MN_TRACK_LIST;
	}
	if (range->tracked & MN_TRACK_LIST)
		ret = mn_list_start(subscriptions, range, recorded);
	if (unlikely(ret))
		goto err_leave;
	return 0;

err_leave:
	mn_leave(subscriptions, range);
	return ret;
}

/* Start where the interval half is switched on as well, or alone. */
static __always_inline int
mn_start_intervals(struct mmu_notifier_subscriptions *subscriptions,
		   struct mmu_notifier_range *range, bool list, bool recorded)
{
	range->subscriptions = subscriptions;
	range->tracked = MN_TRACK_INTERVALS;
	mmu_flight_enter(&subscriptions->intervals, range);
	/*
	 * (B), and (C) of mm/mmu_notifier_flight.c: what does not get a slot will
	 * get the lock, and __srcu_read_lock() has a full barrier, which is "B" in
	 * kernel/rcu/srcutree.c. This relies on it.
	 */
	if (list) {
		mn_enter_list(subscriptions, range);
		range->tracked |= MN_TRACK_LIST;
	} else if (likely(range->slot)) {
		smp_mb();	/* see above */
	}
	return mn_start_entered(subscriptions, range, recorded);
}

static __always_inline int
mn_start_list(struct mmu_notifier_subscriptions *subscriptions,
	      struct mmu_notifier_range *range, bool recorded)
{
	int ret;

	range->subscriptions = subscriptions;
	mn_enter_list(subscriptions, range);
	range->tracked = MN_TRACK_LIST;
	if (unlikely(mn_listening(subscriptions) & MN_TRACK_INTERVALS)) { /* (B) */
		mmu_flight_enter(&subscriptions->intervals, range);
		range->tracked |= MN_TRACK_INTERVALS;
		smp_mb();	/* (C) */
		ret = mmu_interval_start(&subscriptions->intervals, range);
		if (ret)
			goto err_leave;
	}

	ret = mn_list_start(subscriptions, range, recorded);
	if (unlikely(ret))
		goto err_leave;
	return 0;

err_leave:
	mn_leave(subscriptions, range);
	return ret;
}

/* Where most starts go, a function of its own for each track. */
static noinline int
mn_start_with_intervals(struct mmu_notifier_subscriptions *subscriptions,
			struct mmu_notifier_range *range)
{
	return mn_start_intervals(subscriptions, range, true, false);
}

static noinline int
mn_start_overlapping(struct mmu_notifier_subscriptions *subscriptions,
		     struct mmu_notifier_range *range)
{
	return mn_start_entered(subscriptions, range, false);
}

/* Intervals are all that is listened to. What overlaps none ends here. */
static noinline int
mn_start_beside_intervals(struct mmu_notifier_subscriptions *subscriptions,
			  struct mmu_notifier_range *range)
{
	range->subscriptions = subscriptions;
	range->tracked = MN_TRACK_INTERVALS;
	mmu_flight_enter(&subscriptions->intervals, range);
	if (likely(range->slot)) {
		smp_mb();	/* (B), (C) */
		if (likely(!mmu_index_changed(&subscriptions->intervals.index,
					      range->index_seq,
					      range->index_version) &&
			   !(mn_listening(subscriptions) & MN_TRACK_LIST)))
			return 0;
	}
	return mn_start_overlapping(subscriptions, range);
}

static noinline int mn_start(struct mmu_notifier_subscriptions *subscriptions,
			     struct mmu_notifier_range *range)
{
	return mn_start_list(subscriptions, range, false);
}

static noinline int
mn_start_recorded(struct mmu_notifier_subscriptions *subscriptions,
		  struct mmu_notifier_range *range, unsigned int listening,
		  const void *caller)
{
	int ret = 0;

	mmu_record_start(subscriptions, range, caller);
	if (listening & MN_TRACK_INTERVALS)
		ret = mn_start_intervals(subscriptions, range,
					 listening & MN_TRACK_LIST, true);
	else if (listening & MN_TRACK_LIST)
		ret = mn_start_list(subscriptions, range, true);
	mmu_record_started(subscriptions, range, ret);
	return ret;
}

int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	struct mmu_notifier_subscriptions *subscriptions =
		READ_ONCE(range->mm->notifier_subscriptions);
	unsigned int listening = mn_listening(subscriptions);

	if (mmu_recording())
		return mn_start_recorded(subscriptions, range, listening,
					 __builtin_return_address(0));
	switch (listening & (MN_TRACK_LIST | MN_TRACK_INTERVALS)) {
	case MN_TRACK_LIST:
		return mn_start(subscriptions, range);
	case MN_TRACK_INTERVALS:
		return mn_start_beside_intervals(subscriptions, range);
	case MN_TRACK_LIST | MN_TRACK_INTERVALS:
		return mn_start_with_intervals(subscriptions, range);
	}
	return 0;
}

static __always_inline void mn_end(struct mmu_notifier_range *range,
				   bool recorded, const void *caller)
{
	struct mmu_notifier_subscriptions *subscriptions = range->subscriptions;

	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (likely(range->tracked & MN_TRACK_LIST))
		mn_list_end(subscriptions, range, 0, recorded);
	if (recorded)
		mmu_record_end(range, caller);
	mn_leave(subscriptions, range);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

static noinline void mn_end_recorded(struct mmu_notifier_range *range,
				     const void *caller)
{
	mn_end(range, true, caller);
}

static noinline void mn_end_list(struct mmu_notifier_range *range)
{
	mn_end(range, false, NULL);
}

void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	struct mmu_notifier_subscriptions *subscriptions = range->subscriptions;

	if (mmu_recording()) {
		mn_end_recorded(range, __builtin_return_address(0));
	} else if (range->tracked & MN_TRACK_LIST) {
		mn_end_list(range);
	} else {
		lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
		range->subscriptions = NULL;
		mmu_flight_end(&subscriptions->intervals, range);
		lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	}
}

/*
 * Calls that are not part of a range
 */

/* What is counted of them, while recording: how often, and how long it takes. */
static noinline void
mn_called_one(struct mmu_notifier_subscriptions *subscriptions,
	      const struct mmu_notifier_ops *ops, unsigned int callback, u64 began)
{
	const void *called = NULL;

	switch (mn_listens(ops) & callback) {
	case MN_CLEAR_FLUSH_YOUNG:
		called = ops->clear_flush_young;
		break;
	case MN_CLEAR_YOUNG:
		called = ops->clear_young;
		break;
	case MN_TEST_YOUNG:
		called = ops->test_young;
		break;
	case MN_SECONDARY_TLBS:
		called = ops->arch_invalidate_secondary_tlbs;
		break;
	case MN_INVALIDATE_RANGE:
		called = ops->invalidate_range;
		break;
	}
	if (called)
		mmu_stats_called(subscriptions, mn_callback(ops), called,
				 mmu_trace_clock() - began);
}

static __always_inline int
mn_walk(struct mm_struct *mm, unsigned int callback, unsigned long start,
	unsigned long end, bool recorded)
{
	struct mmu_notifier_subscriptions *subscriptions =
		READ_ONCE(mm->notifier_subscriptions);
	struct mmu_notifier *subscription;
	int young = 0;
	int idx;

	idx = srcu_down_read(&subscriptions->srcu);
	hlist_for_each_entry_srcu(subscription, &subscriptions->list, hlist,
				  true) {
		const struct mmu_notifier_ops *ops = subscription->ops;
		u64 began = recorded ? mmu_trace_clock() : 0;

		switch (callback) {
		case MN_CLEAR_FLUSH_YOUNG:
			if (ops->clear_flush_young)
				young |= ops->clear_flush_young(subscription,
								mm, start, end);
			break;
		case MN_CLEAR_YOUNG:
			if (ops->clear_young)
				young |= ops->clear_young(subscription, mm,
							  start, end);
			break;
		case MN_TEST_YOUNG:
			if (ops->test_young && !young)
				young = ops->test_young(subscription, mm,
							start);
			break;
		case MN_SECONDARY_TLBS:
			if (ops->arch_invalidate_secondary_tlbs)
				ops->arch_invalidate_secondary_tlbs(subscription,
								    mm, start,
								    end);
			break;
		case MN_INVALIDATE_RANGE:
			if (ops->invalidate_range)
				ops->invalidate_range(subscription, mm, start,
						      end);
			break;
		}
		if (recorded)
			mn_called_one(subscriptions, ops, callback, began);
	}
	srcu_up_read(&subscriptions->srcu, idx);
	return young;
}

static noinline int mn_call_each_recorded(struct mm_struct *mm,
					  unsigned int callback,
					  unsigned long start,
					  unsigned long end)
{
	return mn_walk(mm, callback, start, end, true);
}

static noinline int mn_call_each(struct mm_struct *mm, unsigned int callback,
				 unsigned long start, unsigned long end)
{
	if (mmu_recording())
		return mn_call_each_recorded(mm, callback, start, end);
	return mn_walk(mm, callback, start, end, false);
}

int __mmu_notifier_clear_flush_young(struct mm_struct *mm, unsigned long start,
				     unsigned long end)
{
	return mn_call_each(mm, MN_CLEAR_FLUSH_YOUNG, start, end);
}

int __mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start,
			       unsigned long end)
{
	return mn_call_each(mm, MN_CLEAR_YOUNG, start, end);
}

int __mmu_notifier_test_young(struct mm_struct *mm, unsigned long address)
{
	return mn_call_each(mm, MN_TEST_YOUNG, address, address + 1);
}

void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
						   unsigned long start,
						   unsigned long end)
{
	mn_call_each(mm, MN_SECONDARY_TLBS, start, end);
}

void __mmu_notifier_invalidate_range(struct mm_struct *mm, unsigned long start,
				     unsigned long end)
{
	mn_call_each(mm, MN_INVALIDATE_RANGE, start, end);
}

/*
 * Freeing what was put
 *
 * Every last mmu_notifier_put() draws a ticket, in any mm, and so does every
 * removal of an interval that does not wait. What was put is ripe once no
 * callback can be running; then the work frees it and hands the ticket in.
 * mmu_notifier_synchronize() waits for the tickets drawn before.
 */
static DEFINE_SPINLOCK(mn_puts_lock);
static LIST_HEAD(mn_puts);			/* outstanding, oldest first */
static unsigned long mn_last_ticket;
static DECLARE_WAIT_QUEUE_HEAD(mn_puts_wq);
static LLIST_HEAD(mn_ripe);

void mmu_notifier_draw_ticket(struct mmu_notifier_ticket *ticket)
{
	spin_lock(&mn_puts_lock);
	ticket->number = ++mn_last_ticket;
	list_add_tail(&ticket->node, &mn_puts);
	spin_unlock(&mn_puts_lock);
}

/* The ticket outlives the subscription that carries it. */
void mmu_notifier_keep_ticket(struct mmu_notifier_ticket *from,
			      struct mmu_notifier_ticket *to)
{
	spin_lock(&mn_puts_lock);
	to->number = from->number;
	list_replace(&from->node, &to->node);
	spin_unlock(&mn_puts_lock);
}

void mmu_notifier_hand_in(struct mmu_notifier_ticket *ticket)
{
	spin_lock(&mn_puts_lock);
	list_del(&ticket->node);
	spin_unlock(&mn_puts_lock);
	wake_up_all(&mn_puts_wq);
}

static bool mn_tickets_handed_in(unsigned long last)
{
	struct mmu_notifier_ticket *oldest;
	bool ret;

	spin_lock(&mn_puts_lock);
	oldest = list_first_entry_or_null(&mn_puts, struct mmu_notifier_ticket,
					  node);
	ret = !oldest || (long)(oldest->number - last) > 0;
	spin_unlock(&mn_puts_lock);
	return ret;
}

static void mn_free_ripe(struct work_struct *work)
{
	struct mmu_notifier *subscription, *next;

	llist_for_each_entry_safe(subscription, next, llist_del_all(&mn_ripe),
				  ripe) {
		struct mm_struct *mm = subscription->mm;
		struct mmu_notifier_ticket ticket;

		trace_mmu_notifier_unregister(mm, mn_callback(subscription->ops),
					      0, 0);
		mmu_notifier_keep_ticket(&subscription->put, &ticket);
		subscription->ops->free_notifier(subscription);
		mmdrop(mm);
		mmu_notifier_hand_in(&ticket);
		cond_resched();
	}
}

static DECLARE_WORK(mn_free_work, mn_free_ripe);

static void mn_ripen(struct mmu_notifier *subscription)
{
	if (llist_add(&subscription->ripe, &mn_ripe))
		queue_work(system_unbound_wq, &mn_free_work);
}

static void mn_ripen_rcu(struct rcu_head *rcu)
{
	mn_ripen(container_of(rcu, struct mmu_notifier, rcu));
}

/* Put for good and out of the list: free it when no callback runs any more. */
static void mn_free_later(struct mmu_notifier_subscriptions *subscriptions,
			  struct mmu_notifier *subscription)
{
	if (mn_listens(subscription->ops))
		call_srcu(&subscriptions->srcu, &subscription->rcu,
			  mn_ripen_rcu);
	else
		mn_ripen(subscription);
}

/**
 * mmu_notifier_synchronize() - wait until what was put or removed is freed
 *
 * Waits for each last mmu_notifier_put() and each removal without waiting, such
 * as mmu_interval_notifier_remove_async(), that returned before the call, of any
 * driver and in any mm, until free_notifier or removed has returned. A module
 * that uses one of these calls this in its exit function.
 *
 * Context: may sleep, as long as a callback of any mm with one of them pending
 * does; not from free_notifier or removed.
 */
void mmu_notifier_synchronize(void)
{
	unsigned long last;

	spin_lock(&mn_puts_lock);
	last = mn_last_ticket;
	spin_unlock(&mn_puts_lock);

	wait_event(mn_puts_wq, mn_tickets_handed_in(last));
}
EXPORT_SYMBOL_GPL(mmu_notifier_synchronize);

/*
 * The end of a subscription
 */

/* Take a subscription out of the list. Its callbacks may still be running. */
static void mn_unlink(struct mmu_notifier_subscriptions *subscriptions,
		      struct mmu_notifier *subscription,
		      enum mmu_notifier_state state)
{
	unsigned int listening = subscriptions->listening.bits & MN_TRACKS;

	lockdep_assert_held(&subscriptions->lock);

	mmu_stats_list(subscriptions, mn_callback(subscription->ops), -1);
	hlist_del_init_rcu(&subscription->hlist);
	subscription->state = state;

	hlist_for_each_entry(subscription, &subscriptions->list, hlist)
		listening |= mn_listens(subscription->ops);
	mn_listen(subscriptions, listening);
	/* Flushes that are running now may not see the next one coming. */
	WRITE_ONCE(subscriptions->settled,
		   subscriptions->settled & (listening | ~MN_FLUSHES));
}

/*
 * Under the lock: who has taken the subscription out of the list may still be
 * looking at it.
 */
static bool mn_released(struct mmu_notifier_subscriptions *subscriptions,
			const struct mmu_notifier *subscription)
{
	bool ret;

	spin_lock(&subscriptions->lock);
	ret = subscription->state == MN_RELEASED;
	spin_unlock(&subscriptions->lock);
	return ret;
}

static bool
mn_all_released(const struct mmu_notifier_subscriptions *subscriptions)
{
	return hlist_empty(&subscriptions->list) &&
	       hlist_empty(&subscriptions->quiet);
}

/* The caller has set the state to MN_RELEASING, so it is the only one here. */
static void mn_release(struct mmu_notifier_subscriptions *subscriptions,
		       struct mmu_notifier *subscription, struct mm_struct *mm)
{
	bool put;

	if (subscription->ops->release)
		mmu_stats_release(subscriptions, subscription, mm);

	spin_lock(&subscriptions->lock);
	mn_unlink(subscriptions, subscription, MN_RELEASED);
	put = !subscription->users;
	spin_unlock(&subscriptions->lock);
	/* Unless it was put, the subscription may be gone from here on. */
	wake_up_all(&subscriptions->wq);
	if (put)
		mn_free_later(subscriptions, subscription);
}

/* The first live subscription in a list, with these ops unless they are NULL. */
static struct mmu_notifier *mn_find_live(struct hlist_head *list,
					 const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier *subscription;

	hlist_for_each_entry(subscription, list, hlist) {
		if (subscription->state == MN_LIVE &&
		    (!ops || subscription->ops == ops))
			break;
	}
	return subscription;
}

/* Claim the right to release the next one. */
static struct mmu_notifier *
mn_claim_next(struct mmu_notifier_subscriptions *subscriptions)
{
	struct mmu_notifier *subscription;

	spin_lock(&subscriptions->lock);
	subscription = mn_find_live(&subscriptions->list, NULL);
	if (!subscription)
		subscription = mn_find_live(&subscriptions->quiet, NULL);
	if (subscription)
		subscription->state = MN_RELEASING;
	spin_unlock(&subscriptions->lock);
	return subscription;
}

/*
 * Exit. Nobody can register any more, since mm_users is 0; unregister, put and
 * ranges that come by way of an rmap may still run in parallel.
 */
void __mmu_notifier_release(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	struct mmu_notifier *subscription;

	if (READ_ONCE(subscriptions->listening.bits) & MN_TRACK_INTERVALS) {
		struct mmu_notifier_range range;

		mmu_notifier_range_init(&range, MMU_NOTIFY_RELEASE,
					MMU_NOTIFIER_RANGE_BLOCKABLE, mm, 0,
					ULONG_MAX);
		if (mmu_recording())
			mmu_record_start(subscriptions, &range, __mmu_notifier_release);
		mmu_flight_enter(&subscriptions->intervals, &range);
		smp_mb();	/* (C) */
		mmu_interval_start(&subscriptions->intervals, &range);
		if (mmu_recording())
			mmu_record_end(&range, __mmu_notifier_release);
		mmu_flight_end(&subscriptions->intervals, &range);
	}

	while ((subscription = mn_claim_next(subscriptions)))
		mn_release(subscriptions, subscription, mm);

	/* Those that unregister found first: no page is freed before (R6). */
	wait_event(subscriptions->wq, mn_all_released(subscriptions));

	/* What follows in exit_mmap() concerns the interval half alone. */
	spin_lock(&subscriptions->lock);
	mn_listen(subscriptions, subscriptions->listening.bits & MN_TRACK_INTERVALS);
	spin_unlock(&subscriptions->lock);
}

/**
 * mmu_notifier_unregister() - end a subscription and wait for its callbacks
 * @subscription: a registered subscription that is not shared through
 *	mmu_notifier_get().
 * @mm: the mm it was registered with.
 *
 * Calls ->release unless exit has done so. When this returns no callback runs
 * or will run (R6), the reference to the mm is dropped and the subscription
 * may be freed.
 *
 * Waits for the ranges of this mm that are in flight, whole ranges, including
 * what mm/ does between start and end: never call it under a lock that a
 * callback, a shrinker, or whoever holds a folio lock may want, nor from
 * within such a range.
 *
 * Context: may sleep, as long as the callbacks of this mm do (R7).
 */
void mmu_notifier_unregister(struct mmu_notifier *subscription,
			     struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;
	enum mmu_notifier_state state = MN_UNUSED;
	u64 began;

	might_sleep();

	if (subscriptions) {
		spin_lock(&subscriptions->lock);
		state = subscription->state;
		if (state == MN_LIVE)
			subscription->state = MN_RELEASING;
		spin_unlock(&subscriptions->lock);
	}
	if (WARN_ONCE(state == MN_UNUSED, "%ps: not registered\n",
		      subscription->ops))
		return;
	WARN_ONCE(subscription->users > 1, "%ps: unregistered, but shared\n",
		  subscription->ops);

	began = mmu_trace_clock();
	if (state == MN_LIVE)
		mn_release(subscriptions, subscription, mm);
	else
		wait_event(subscriptions->wq,
			   mn_released(subscriptions, subscription));

	if (mn_listens(subscription->ops)) {
		mmu_check_wait(mm, 0, ULONG_MAX, mn_callback(subscription->ops),
			       "unregistered");
		mmu_notifier_prime_lockdep();
		synchronize_srcu_expedited(&subscriptions->srcu);
	}
	subscription->state = MN_UNUSED;
	trace_mmu_notifier_unregister(mm, mn_callback(subscription->ops), 0,
				      mmu_trace_clock() - began);
	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_notifier_unregister);

/**
 * mmu_notifier_put() - give back a reference from mmu_notifier_get()
 * @subscription: the subscription.
 *
 * The last put ends the subscription without calling ->release: the driver
 * must have dropped all SPTEs before, and make no more. ->free_notifier is
 * called later, when no callback runs any more. Callbacks may go on until then.
 *
 * May be called from ->release, and for a subscription that was made with
 * mmu_notifier_register() if its ops have free_notifier.
 *
 * Context: process context; does not sleep. Spinlocks may be held, but no raw
 * ones and none that an interrupt or softirq takes.
 */
void mmu_notifier_put(struct mmu_notifier *subscription)
{
	struct mmu_notifier_subscriptions *subscriptions =
		subscription->mm->notifier_subscriptions;
	bool free = false;

	spin_lock(&subscriptions->lock);
	if (WARN_ONCE(!subscription->users, "%ps: put too often\n",
		      subscription->ops) ||
	    --subscription->users)
		goto unlock;

	mmu_notifier_draw_ticket(&subscription->put);
	if (subscription->state == MN_LIVE)
		mn_unlink(subscriptions, subscription, MN_RELEASED);
	/* Else, who is running ->release sees that there are no users left. */
	free = subscription->state == MN_RELEASED;
unlock:
	spin_unlock(&subscriptions->lock);
	if (free)
		mn_free_later(subscriptions, subscription);
}
EXPORT_SYMBOL_GPL(mmu_notifier_put);

/*
 * The begin of a subscription
 */

/* Find or make the object, with a domain if need be. */
static struct mmu_notifier_subscriptions *mn_prepare(struct mm_struct *mm,
						     bool domain)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	mmap_assert_write_locked(mm);

	if (!subscriptions) {
		subscriptions = kzalloc(sizeof(*subscriptions),
					GFP_KERNEL_ACCOUNT);
		if (!subscriptions)
			return NULL;
		INIT_HLIST_HEAD(&subscriptions->list);
		INIT_HLIST_HEAD(&subscriptions->quiet);
		spin_lock_init(&subscriptions->lock);
		init_waitqueue_head(&subscriptions->wq);
		mmu_interval_init(&subscriptions->intervals);
		mmu_stats_init(subscriptions, mm);
		/* Pairs with the address dependency of every hook. */
		smp_store_release(&mm->notifier_subscriptions, subscriptions);
	}
	if (domain && !subscriptions->has_domain) {
		if (init_srcu_struct(&subscriptions->srcu))
			return NULL;
		subscriptions->has_domain = true;
	}
	return subscriptions;
}

/*
 * Take and drop each lock that a range of this mm may be in flight under. As
 * mmap_lock is held for writing, no VMA or anon_vma comes or goes meanwhile,
 * faults under a VMA's lock are kept out once it was passed, and everybody
 * else who changes a page table holds one of the rmap locks.
 */
static int mn_pass_locks(struct mm_struct *mm)
{
	struct address_space *last_mapping = NULL;
	struct anon_vma *last_root = NULL;
	struct anon_vma_chain *avc;
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, 0);

	for_each_vma(vmi, vma) {
		if (fatal_signal_pending(current))
			return -EINTR;

		vma_start_write(vma);

		if (vma->vm_file && vma->vm_file->f_mapping &&
		    vma->vm_file->f_mapping != last_mapping) {
			last_mapping = vma->vm_file->f_mapping;
			i_mmap_lock_write(last_mapping);
			i_mmap_unlock_write(last_mapping);
		}

		list_for_each_entry(avc, &vma->anon_vma_chain, same_vma) {
			if (avc->anon_vma->root == last_root)
				continue;
			last_root = avc->anon_vma->root;
			anon_vma_lock_write(avc->anon_vma);
			anon_vma_unlock_write(avc->anon_vma);
		}
		cond_resched();
	}
	return 0;
}

/*
 * Wait until every range has ended, or every flush of secondary TLBs, that may
 * have missed @news, bits that have just been set in listening.
 */
static int mn_settle(struct mmu_notifier_subscriptions *subscriptions,
		     struct mm_struct *mm, unsigned int news)
{
	unsigned int settled;
	int ret;

	news &= MN_TRACKS | MN_FLUSHES;
	if (!news)
		return 0;

	mmu_check_wait(mm, 0, ULONG_MAX, __builtin_return_address(0), "subscribed");
	settled = READ_ONCE(subscriptions->settled);
	if (settled & MN_TRACK_LIST ||
	    (!(news & MN_TRACKS) && !(news & ~settled))) {
		mmu_notifier_prime_lockdep();
		synchronize_srcu_expedited(&subscriptions->srcu);
	} else if (settled & MN_TRACK_INTERVALS) {
		mmu_flight_drain(&subscriptions->intervals);
	} else {
		ret = mn_pass_locks(mm);
		if (ret)
			return ret;
	}

	spin_lock(&subscriptions->lock);
	/* Pairs with the acquire in mmu_interval_notifier_insert(). */
	smp_store_release(&subscriptions->settled,
			  subscriptions->settled | news);
	spin_unlock(&subscriptions->lock);
	return 0;
}

/* Have ranges enter the interval half; mmap_lock is held for writing. */
int mmu_notifier_track_intervals(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions = mn_prepare(mm, false);

	if (!subscriptions)
		return -ENOMEM;
	if (READ_ONCE(subscriptions->settled) & MN_TRACK_INTERVALS)
		return 0;
	if (!subscriptions->intervals.slots &&
	    mmu_flight_init(&subscriptions->intervals))
		return -ENOMEM;

	spin_lock(&subscriptions->lock);
	mn_listen(subscriptions, subscriptions->listening.bits | MN_TRACK_INTERVALS);
	spin_unlock(&subscriptions->lock);
	return mn_settle(subscriptions, mm, MN_TRACK_INTERVALS);
}

/**
 * __mmu_notifier_register() - subscribe to an mm, mmap_lock being held
 * @subscription: the subscription, its ops set.
 * @mm: the mm, mmap_lock held for writing, pinned as for
 *	mmu_notifier_register().
 *
 * Context: may sleep; mmap_lock held for writing and no other lock of mm/.
 *
 * Return: see mmu_notifier_register().
 */
int __mmu_notifier_register(struct mmu_notifier *subscription,
			    struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions;
	unsigned int listens;
	u64 began;
	int ret;

	/* The hooks find what is listened to by the address of the object. */
	BUILD_BUG_ON(offsetof(typeof(*subscriptions), listening));
	mmap_assert_write_locked(mm);
	if (WARN_ON_ONCE(!subscription || !subscription->ops) ||
	    WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return -EINVAL;

	listens = mn_listens(subscription->ops);
	if (WARN_ONCE(listens & MN_SECONDARY_TLBS && listens & MN_TRACK_LIST,
		      "%ps: flushing along with the CPU excludes ranges\n",
		      subscription->ops))
		return -EINVAL;

	subscriptions = mn_prepare(mm, listens);
	if (!subscriptions)
		return -ENOMEM;

	/* Dropped when the subscription ends. */
	mmgrab(mm);
	subscription->mm = mm;
	subscription->users = 1;

	spin_lock(&subscriptions->lock);
	subscription->state = MN_LIVE;
	subscription->birth = subscriptions->epoch + 1;
	hlist_add_head_rcu(&subscription->hlist, listens ?
			   &subscriptions->list : &subscriptions->quiet);
	mmu_stats_list(subscriptions, mn_callback(subscription->ops), 1);
	mn_listen(subscriptions, subscriptions->listening.bits | listens);
	smp_store_release(&subscriptions->epoch, subscription->birth); /* (A) */
	spin_unlock(&subscriptions->lock);

	began = mmu_trace_clock();
	ret = mn_settle(subscriptions, mm, listens);
	trace_mmu_notifier_register(mm, mn_callback(subscription->ops), ret,
				    mmu_trace_clock() - began);
	if (ret)
		goto err_unlink;
	return 0;

err_unlink:
	spin_lock(&subscriptions->lock);
	mn_unlink(subscriptions, subscription, MN_UNUSED);
	spin_unlock(&subscriptions->lock);
	synchronize_srcu_expedited(&subscriptions->srcu);
	mmdrop(mm);
	return ret;
}
EXPORT_SYMBOL_GPL(__mmu_notifier_register);

/**
 * mmu_notifier_register() - subscribe to an mm
 * @subscription: the subscription, its ops set.
 * @mm: the mm: current->mm, or pinned by mmget() until this returns.
 *
 * The first subscription of an mm that wants ranges takes time in proportion
 * to the number of VMAs; later ones wait for the ranges in flight, and all of
 * them hold mmap_lock meanwhile. Subscriptions without range and TLB callbacks
 * wait for nothing. When this returns, every range that was not told to the
 * subscription has ended.
 *
 * To be undone with mmu_notifier_unregister(), also after the process exited.
 *
 * Context: may sleep; takes mmap_lock for writing, so no lock of mm/ is held.
 *
 * Return: 0, -ENOMEM, -EINTR if a fatal signal is pending, or -EINVAL for ops
 * that contradict each other or an mm whose last user has gone (R11).
 */
int mmu_notifier_register(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
	int err;

	mmap_write_lock(mm);
	err = __mmu_notifier_register(subscription, mm);
	mmap_write_unlock(mm);
	return err;
}
EXPORT_SYMBOL_GPL(mmu_notifier_register);

/* Find the live subscription with these ops, and take a reference. */
static struct mmu_notifier *
mn_find_get(struct mmu_notifier_subscriptions *subscriptions,
	    const struct mmu_notifier_ops *ops)
{
	struct mmu_notifier *subscription;

	spin_lock(&subscriptions->lock);
	subscription = mn_find_live(mn_listens(ops) ? &subscriptions->list :
				    &subscriptions->quiet, ops);
	if (subscription) {
		if (unlikely(subscription->users == UINT_MAX))
			subscription = ERR_PTR(-EOVERFLOW);
		else
			subscription->users++;
	}
	spin_unlock(&subscriptions->lock);
	return subscription;
}

/**
 * mmu_notifier_get_locked() - find or make the subscription with these ops
 * @ops: the callbacks, which also tell subscriptions apart; alloc_notifier and
 *	free_notifier are required.
 * @mm: the mm, mmap_lock held for writing, pinned as for
 *	mmu_notifier_register().
 *
 * Context: may sleep; mmap_lock held for writing and no other lock of mm/.
 *
 * Return: the subscription, to be given back with mmu_notifier_put(), or an
 * ERR_PTR(): -EOVERFLOW after 2^32 - 1 references, what alloc_notifier
 * answered, or as for mmu_notifier_register().
 */
struct mmu_notifier *mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
					     struct mm_struct *mm)
{
	struct mmu_notifier *subscription = NULL;
	int err;

	mmap_assert_write_locked(mm);

	if (mm->notifier_subscriptions)
		subscription = mn_find_get(mm->notifier_subscriptions, ops);
	if (!subscription) {
		subscription = ops->alloc_notifier(mm);
		if (IS_ERR(subscription))
			return subscription;

		subscription->ops = ops;
		err = __mmu_notifier_register(subscription, mm);
		if (err) {
			ops->free_notifier(subscription);
			subscription = ERR_PTR(err);
		}
	}
	return subscription;
}
EXPORT_SYMBOL_GPL(mmu_notifier_get_locked);

/*
 * The end of the object
 */

static void mn_destroy(struct work_struct *work)
{
	struct mmu_notifier_subscriptions *subscriptions =
		container_of(work, struct mmu_notifier_subscriptions, destroy);

	/*
	 * The callback that ended in this mm's last mmdrop() may not have
	 * returned to SRCU, which wants its books closed.
	 */
	srcu_barrier(&subscriptions->srcu);
	synchronize_srcu(&subscriptions->srcu);
	cleanup_srcu_struct(&subscriptions->srcu);
	kfree(subscriptions);
}

/* From mmdrop(), which may be called where sleeping is forbidden. */
void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	struct mmu_notifier_subscriptions *subscriptions =
		mm->notifier_subscriptions;

	/* Each subscription holds mm_count. */
	WARN_ON_ONCE(!hlist_empty(&subscriptions->list));

	mmu_stats_exit(subscriptions);
	mm->notifier_subscriptions = NULL;
	mmu_interval_destroy(&subscriptions->intervals);
	if (!subscriptions->has_domain) {
		kfree(subscriptions);
		return;
	}
	INIT_WORK(&subscriptions->destroy, mn_destroy);
	queue_work(system_unbound_wq, &subscriptions->destroy);
}
