// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: subscriptions to a range of an mm.
 *
 * A *subscription* is a driver's struct mmu_interval_notifier. A *range*
 * *collides* with a *reader* if it overlaps the reader's subscription and is in
 * flight at any time between mmu_interval_read_begin() and
 * mmu_interval_read_retry(). The reader is then told to retry (R3); a reader
 * whose addresses nothing overlaps neither waits nor retries.
 *
 * Ranges in flight are in a list, each with a ticket. Whoever waits, takes the
 * last ticket given out and waits until no range that is that old or older
 * overlaps. What starts meanwhile is younger, so the wait is bounded by what
 * was in flight at the call (R9).
 *
 * Sequence. Each range that overlaps a subscription draws a new odd sequence,
 * which the driver stores in the subscription by mmu_interval_set_seq(), under
 * its own lock. A reader samples it while nothing that overlaps is in flight:
 *
 *	range					reader
 *	lock: list_add(active)			lock: nothing overlaps in active
 *	invalidate()				      seq = invalidate_seq
 *	    driver's lock: set_seq		unlock
 *	page table changes			reads the page table
 *	lock: list_del(active)			driver's lock: seq as it was?
 *
 * Either the list_add() comes first: then the reader sees the range and waits.
 * Or the sample does: then the range stores another sequence before it changes
 * anything. A reader that read the page table after the change took the
 * driver's lock after set_seq(), and retries; one that had it before has put
 * its SPTEs in reach of invalidate(), which drops them.
 *
 * If a younger range overlaps by the time that a wait is over, the reader gets
 * a sequence that matches nothing instead of a second wait: it will retry, and
 * has been kept no longer than R9 allows.
 *
 * Removal. remove() notes the last ticket in the subscription: older ranges may
 * call it still and are waited for, younger ones pass it by. A range in the
 * middle of its calls stands on a subscription that it overlaps and is older
 * than the removal of, so what it stands on stays in the tree.
 */

#include <linux/export.h>
#include <linux/interval_tree.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>

#include "mmu_notifier.h"

/* A sequence that mmu_interval_set_seq() never stores, those being odd. */
#define MN_SEQ_RETRY	0UL

/*
 * mmu_interval_notifier.state. Odd numbers, since drivers may put a
 * subscription on their stack without clearing it.
 */
enum mmu_interval_notifier_state {
	MN_INTERVAL_REMOVED = 0x4d4e5230,
	MN_INTERVAL_INSERTED,
	MN_INTERVAL_REMOVING,
};

void mmu_interval_init(struct mmu_interval_state *state)
{
	spin_lock_init(&state->lock);
	state->tree = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&state->active);
	state->seq = 1;
	init_waitqueue_head(&state->wq);
}

static bool mn_older(unsigned long ticket, unsigned long than)
{
	return (long)(ticket - than) < 0;
}

/* Is a range in flight that overlaps and is no younger than @ticket? */
static bool mn_in_flight(struct mmu_interval_state *state, unsigned long start,
			 unsigned long last, unsigned long ticket)
{
	const struct mmu_notifier_range *range;

	lockdep_assert_held(&state->lock);

	list_for_each_entry(range, &state->active, active) {
		if (mn_older(ticket, range->ticket))
			break;
		if (range->start <= last && range->end - 1 >= start)
			return true;
	}
	return false;
}

static bool mn_ended(struct mmu_interval_state *state, unsigned long start,
		     unsigned long last, unsigned long ticket)
{
	bool ret;

	spin_lock(&state->lock);
	ret = !mn_in_flight(state, start, last, ticket);
	spin_unlock(&state->lock);
	return ret;
}

/*
 * Wait until nothing that overlaps and was in flight by @ticket is any more.
 * Wake-ups are not lost: mmu_interval_leave() looks for sleepers after it has
 * changed the list, and wait_event() looks at the list after it has queued up.
 */
static void mn_wait(struct mmu_interval_state *state, unsigned long start,
		    unsigned long last, unsigned long ticket)
{
	mmu_notifier_prime_lockdep();
	wait_event(state->wq, mn_ended(state, start, last, ticket));
}

/*
 * The range is in flight from here on. True if there is somebody to be told;
 * who comes later is kept from its addresses by the range being in flight.
 */
bool mmu_interval_enter(struct mmu_interval_state *state,
			struct mmu_notifier_range *range)
{
	bool covered;

	spin_lock(&state->lock);
	range->ticket = ++state->ticket;
	list_add_tail(&range->active, &state->active);
	covered = interval_tree_iter_first(&state->tree, range->start,
					   range->end - 1);
	spin_unlock(&state->lock);
	return covered;
}

/* The range is in flight no longer. */
void mmu_interval_leave(struct mmu_interval_state *state,
			struct mmu_notifier_range *range)
{
	spin_lock(&state->lock);
	list_del(&range->active);
	spin_unlock(&state->lock);

	if (wq_has_sleeper(&state->wq))
		wake_up_all(&state->wq);
}

/* Wait for all ranges that are in flight now. */
void mmu_interval_drain(struct mmu_interval_state *state)
{
	unsigned long ticket;

	spin_lock(&state->lock);
	ticket = state->ticket;
	spin_unlock(&state->lock);

	mn_wait(state, 0, ULONG_MAX, ticket);
}

static bool mn_invalidate_one(struct mmu_interval_notifier *subscription,
			      const struct mmu_notifier_range *range,
			      unsigned long seq)
{
	bool done;

	mmu_notifier_call_begin(range);
	done = subscription->ops->invalidate(subscription, range, seq);
	mmu_notifier_call_end(range);

	if (likely(done))
		return true;
	if (mmu_notifier_range_blockable(range)) {
		/* The caller cannot be stopped, so go on. */
		WARN_ONCE(1, "%ps refused although it may sleep\n",
			  subscription->ops->invalidate);
		return true;
	}
	pr_info_ratelimited("%ps would have to sleep\n",
			    subscription->ops->invalidate);
	return false;
}

/*
 * Tell the subscriptions that the range overlaps; it has entered. Those told
 * before one refuses need no undoing: their readers retry.
 */
int mmu_interval_invalidate(struct mmu_interval_state *state,
			    const struct mmu_notifier_range *range)
{
	struct interval_tree_node *node;
	unsigned long seq;
	int ret = 0;

	spin_lock(&state->lock);
	node = interval_tree_iter_first(&state->tree, range->start,
					range->end - 1);
	if (!node)
		goto unlock;

	state->seq += 2;
	seq = state->seq;
	for (; node; node = interval_tree_iter_next(node, range->start,
						    range->end - 1)) {
		struct mmu_interval_notifier *subscription =
			container_of(node, struct mmu_interval_notifier,
				     interval_tree);

		if (subscription->state == MN_INTERVAL_REMOVING &&
		    mn_older(subscription->removal, range->ticket))
			continue;

		spin_unlock(&state->lock);
		if (!mn_invalidate_one(subscription, range, seq))
			ret = -EAGAIN;
		spin_lock(&state->lock);
		if (ret)
			break;
	}
unlock:
	spin_unlock(&state->lock);
	return ret;
}

/**
 * mmu_interval_read_begin() - begin to fill SPTEs from the CPU's page table
 * @interval_sub: the subscription that covers them.
 *
 * Waits for the ranges in flight that overlap the subscription, and for nothing
 * that starts later. What follows may sleep: find the pages, take the driver's
 * lock, and use them if mmu_interval_read_retry() is false::
 *
 *	again:
 *		seq = mmu_interval_read_begin(sub);
 *		...				find the pages
 *		mutex_lock(&driver->lock);	also taken by ->invalidate
 *		if (mmu_interval_read_retry(sub, seq)) {
 *			mutex_unlock(&driver->lock);
 *			goto again;
 *		}
 *		...				make SPTEs
 *		mutex_unlock(&driver->lock);
 *
 * Context: may sleep; holds nothing that a callback, or a task inside a range
 * of this mm, may wait for. (Neither of them takes mmap_lock.)
 *
 * Return: the sequence to be passed to mmu_interval_read_retry() and
 * mmu_interval_check_retry().
 */
unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub)
{
	struct mmu_interval_state *state =
		&interval_sub->mm->notifier_subscriptions->intervals;
	unsigned long start = interval_sub->interval_tree.start;
	unsigned long last = interval_sub->interval_tree.last;
	unsigned long seq;

	might_sleep();

	spin_lock(&state->lock);
	if (mn_in_flight(state, start, last, state->ticket)) {
		unsigned long ticket = state->ticket;

		spin_unlock(&state->lock);
		mn_wait(state, start, last, ticket);
		spin_lock(&state->lock);
	}
	if (mn_in_flight(state, start, last, state->ticket))
		seq = MN_SEQ_RETRY;
	else
		seq = READ_ONCE(interval_sub->invalidate_seq);
	spin_unlock(&state->lock);
	return seq;
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin);

static void mn_insert(struct mmu_interval_notifier *subscription,
		      struct mm_struct *mm, unsigned long start,
		      unsigned long last,
		      const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_interval_state *state =
		&mm->notifier_subscriptions->intervals;

	/* Dropped by remove. */
	mmgrab(mm);
	subscription->mm = mm;
	subscription->ops = ops;
	subscription->interval_tree.start = start;
	subscription->interval_tree.last = last;

	spin_lock(&state->lock);
	/* The last one drawn: odd, and no later range stores it. */
	subscription->invalidate_seq = state->seq;
	subscription->state = MN_INTERVAL_INSERTED;
	interval_tree_insert(&subscription->interval_tree, &state->tree);
	spin_unlock(&state->lock);
}

static int mn_check_insert(struct mmu_interval_notifier *subscription,
			   struct mm_struct *mm, unsigned long start,
			   unsigned long length, unsigned long *last)
{
	if (!length || check_add_overflow(start, length - 1, last))
		return -EOVERFLOW;
	if (WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return -EINVAL;
	if (WARN_ONCE(subscription->state == MN_INTERVAL_INSERTED ||
		      subscription->state == MN_INTERVAL_REMOVING,
		      "%ps: inserted twice\n", subscription->ops))
		return -EINVAL;
	return 0;
}

/**
 * mmu_interval_notifier_insert() - subscribe to some addresses of an mm
 * @interval_sub: the subscription.
 * @mm: the mm: current->mm, or pinned by mmget() until this returns.
 * @start: first address, in bytes.
 * @length: number of bytes, not 0.
 * @ops: the callback.
 *
 * Does not wait for ranges in flight (R9): until they have ended they are kept
 * from readers by mmu_interval_read_begin(). Only the first insertion into an
 * mm takes mmap_lock and waits as mmu_notifier_register() does.
 *
 * To be undone with mmu_interval_notifier_remove(), also after the process
 * exited.
 *
 * Context: may sleep; may take mmap_lock for writing.
 *
 * Return: 0, -EOVERFLOW if @length is 0 or the addresses wrap around, -EINVAL
 * if the last user of the mm has gone or the subscription is inserted already;
 * the first insertion also -ENOMEM, or -EINTR if a fatal signal is pending
 * (R11).
 */
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_notifier_subscriptions *subscriptions;
	unsigned long last;
	int ret;

	might_lock(&mm->mmap_lock);

	ret = mn_check_insert(interval_sub, mm, start, length, &last);
	if (ret)
		return ret;

	subscriptions = READ_ONCE(mm->notifier_subscriptions);
	/* Acquire: from then on every range in flight has entered. */
	if (!subscriptions || !(smp_load_acquire(&subscriptions->settled) &
				MN_TRACK_INTERVALS)) {
		mmap_write_lock(mm);
		ret = mmu_notifier_track_intervals(mm);
		mmap_write_unlock(mm);
		if (ret)
			return ret;
	}
	mn_insert(interval_sub, mm, start, last, ops);
	return 0;
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert);

/**
 * mmu_interval_notifier_insert_locked() - the same, mmap_lock being held
 * @interval_sub: the subscription.
 * @mm: the mm, mmap_lock held for writing.
 * @start: first address, in bytes.
 * @length: number of bytes, not 0.
 * @ops: the callback.
 *
 * Context: may sleep; mmap_lock held for writing and no other lock of mm/.
 *
 * Return: as mmu_interval_notifier_insert().
 */
int mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *interval_sub,
					struct mm_struct *mm,
					unsigned long start,
					unsigned long length,
					const struct mmu_interval_notifier_ops *ops)
{
	unsigned long last;
	int ret;

	mmap_assert_write_locked(mm);

	ret = mn_check_insert(interval_sub, mm, start, length, &last);
	if (ret)
		return ret;
	ret = mmu_notifier_track_intervals(mm);
	if (ret)
		return ret;
	mn_insert(interval_sub, mm, start, last, ops);
	return 0;
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert_locked);

/**
 * mmu_interval_notifier_remove() - end a subscription to some addresses
 * @interval_sub: an inserted subscription.
 *
 * Waits for the overlapping ranges that are in flight, and for nothing that
 * starts later (R9). When this returns the callback does not run and will not
 * run (R6), the reference to the mm is dropped and the subscription may be
 * freed or inserted again.
 *
 * Context: may sleep; not from a callback of the same mm, and holds nothing
 * that a callback, or a task inside a range of this mm, may wait for.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	unsigned long start = interval_sub->interval_tree.start;
	unsigned long last = interval_sub->interval_tree.last;
	struct mm_struct *mm = interval_sub->mm;
	struct mmu_interval_state *state;

	might_sleep();

	if (WARN_ONCE(interval_sub->state != MN_INTERVAL_INSERTED,
		      "%ps: removed, but not inserted\n", interval_sub->ops))
		return;

	state = &mm->notifier_subscriptions->intervals;
	spin_lock(&state->lock);
	interval_sub->state = MN_INTERVAL_REMOVING;
	interval_sub->removal = state->ticket;
	if (mn_in_flight(state, start, last, interval_sub->removal)) {
		spin_unlock(&state->lock);
		mn_wait(state, start, last, interval_sub->removal);
		spin_lock(&state->lock);
	}
	interval_tree_remove(&interval_sub->interval_tree, &state->tree);
	interval_sub->state = MN_INTERVAL_REMOVED;
	spin_unlock(&state->lock);

	mmdrop(mm);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove);
