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
 * Where the parts are: mm/mmu_notifier_index.c finds the subscriptions that a
 * range overlaps, mm/mmu_notifier_flight.c notes the ranges in flight and waits
 * for them. Here is what a range does to the subscriptions that it overlaps,
 * and how subscriptions come, are read, and go.
 *
 * Sequence. Each range that overlaps a subscription is in the list of active
 * ranges and draws a new odd sequence, which the driver stores in the
 * subscription by mmu_interval_set_seq(), under its own lock. A reader samples
 * it while nothing that overlaps is in flight:
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
 * A range that looked the index up before the subscription was in it is in a
 * slot still, and tells it nothing. The first reader of each subscription looks
 * for such ranges, and waits for them; later ones need not, see pair (C).
 *
 * Readers and removers wait for ranges that were in flight at the call, and are
 * told so by the ticket: what starts meanwhile is younger, so the wait is
 * bounded (R9). If a younger range overlaps by the time that the wait is over,
 * the reader gets a sequence that matches nothing instead of a second wait: it
 * will retry, and has been kept no longer than R9 allows.
 *
 * Removal. remove() takes the subscription out of the index, under the lock.
 * Ranges that come later do not find it; those that may have found it are in
 * the active list and older, and are waited for. A range that has more to tell
 * than it can note on its stack goes on behind a subscription that it has
 * noted, its *cursor*; that one is left in the index until the range has moved
 * on, which it does before it ends.
 */

#include <linux/export.h>
#include <linux/overflow.h>
#include <linux/sched/mm.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"
#include "mmu_notifier_trace.h"

/* A sequence that mmu_interval_set_seq() never stores, those being odd. */
#define MN_SEQ_RETRY	0UL

static struct mmu_interval_state *
mn_state(const struct mmu_interval_notifier *subscription)
{
	return &subscription->mm->notifier_subscriptions->intervals;
}

void mmu_interval_init(struct mmu_interval_state *state)
{
	spin_lock_init(&state->lock);
	mmu_index_init(&state->index);
	INIT_LIST_HEAD(&state->active);
	init_llist_head(&state->used);
	state->seq = 1;
	state->births = 0;
	state->any_settles = false;
	init_waitqueue_head(&state->wq);
}

void mmu_interval_destroy(struct mmu_interval_state *state)
{
	mmu_index_destroy(&state->index);
	mmu_flight_destroy(state);
}

/*
 * Ranges
 */

/* The callback that is called first. It has a name even where data has none. */
static const void *mn_callback(const struct mmu_interval_notifier_ops *ops)
{
	return ops->invalidate_start ? (void *)ops->invalidate_start :
	       (void *)ops->invalidate;
}

/* False: the range has to be called off. */
static noinline bool mn_refused(const struct mmu_interval_notifier *subscription,
				const struct mmu_notifier_range *range)
{
	const void *callback = mn_callback(subscription->ops);
	/* Otherwise the caller cannot be stopped, so go on. */
	bool ret = WARN_ONCE(mmu_notifier_range_blockable(range),
			     "%ps refused although it may sleep\n", callback);

	if (!ret)
		pr_info_ratelimited("%ps would have to sleep\n", callback);
	return ret;
}

/*
 * Tell one. What it has begun and not finished is added to @unfinished. @recorded
 * is a constant, here and in what calls this: as in the list half, ranges that are
 * not recorded have a copy of the loop without a trace of it.
 */
static __always_inline bool
mn_invalidate_one(struct mmu_interval_notifier *subscription,
		  const struct mmu_notifier_range *range, unsigned long seq,
		  struct llist_node **unfinished, bool recorded)
{
	const struct mmu_interval_notifier_ops *ops = subscription->ops;
	unsigned long before = 0;
	bool done;

	if (recorded) {
		before = READ_ONCE(subscription->invalidate_seq);
		mmu_check_late(range, mn_callback(ops),
			       READ_ONCE(subscription->state) == MN_INTERVAL_REMOVED);
		mmu_record_call(range, mn_callback(ops));
	}
	mmu_notifier_call_begin(range);
	if (likely(!ops->invalidate_start)) {
		done = ops->invalidate(subscription, range, seq);
	} else {
		struct mmu_interval_notifier_finish *finish = NULL;

		done = ops->invalidate_start(subscription, range, seq, &finish);
		if (finish) {
			finish->notifier = subscription;
			finish->link.next = *unfinished;
			*unfinished = &finish->link;
		}
	}
	mmu_notifier_call_end(range);
	if (recorded)
		mmu_record_called(range, mn_callback(ops), mn_callback(ops),
				  done ? 0 : -EAGAIN);

	if (unlikely(!done))
		return mn_refused(subscription, range);
	if (recorded)
		mmu_check_sequence(subscription, range, mn_callback(ops),
				   before);
	return true;
}

/* The second pass: all have begun before the first one is waited for. */
static __always_inline void mn_finish(const struct mmu_notifier_range *range,
				      struct llist_node *unfinished,
				      bool recorded)
{
	struct mmu_interval_notifier_finish *finish, *next;

	mmu_notifier_call_begin(range);
	llist_for_each_entry_safe(finish, next, unfinished, link) {
		const struct mmu_interval_notifier_ops *ops = finish->notifier->ops;

		if (recorded)
			mmu_record_call(range, ops->invalidate_finish);
		ops->invalidate_finish(finish);
		if (recorded)
			mmu_record_called(range, mn_callback(ops),
					  ops->invalidate_finish, 0);
	}
	mmu_notifier_call_end(range);
}

/* Note subscriptions that the range overlaps, behind @cursor. */
static unsigned int mn_collect(struct mmu_interval_state *state,
			       const struct mmu_notifier_range *range,
			       const struct mmu_interval_notifier *cursor,
			       struct mmu_interval_notifier **subs)
{
	return mmu_index_collect(&state->index, cursor, range->start,
				 range->end - 1, subs, MN_BATCH);
}

/* The range has moved on. Whoever removed the cursor has left it in the index. */
void mmu_interval_unpin(struct mmu_interval_state *state,
			struct mmu_interval_notifier *cursor)
{
	lockdep_assert_held(&state->lock);

	if (!--cursor->pins && cursor->state == MN_INTERVAL_REMOVING)
		mmu_index_erase(&state->index, cursor);
}

/* The range is refused. Those from @i on that will settle are told nevertheless. */
static noinline unsigned int mn_refused_at(struct mmu_interval_notifier **subs,
					   unsigned int i, unsigned int nr)
{
	unsigned int kept = i;

	for (; i < nr; i++)
		if (subs[i]->ops->settled)
			subs[kept++] = subs[i];
	return kept;
}

/* There seems to be somebody to be told, or there was no slot free. */
static __always_inline int mn_tell(struct mmu_interval_state *state,
				   struct mmu_notifier_range *range,
				   bool recorded)
{
	struct mmu_interval_notifier *subs[MN_BATCH], *cursor;
	struct llist_node *unfinished = NULL;
	unsigned long seq;
	unsigned int nr, i;
	int ret = 0;

	spin_lock(&state->lock);
	nr = mn_collect(state, range, NULL, subs);
	if (!nr && range->slot) {
		spin_unlock(&state->lock);
		return 0;
	}

	mmu_flight_activate(state, range);
	state->seq += 2;
	seq = state->seq;
	for (;;) {
		cursor = nr == MN_BATCH ? subs[nr - 1] : NULL;
		if (cursor)
			cursor->pins++;
		if (unlikely(state->births))
			nr = mmu_settle_start(range, subs, nr);
		if (unlikely(ret))
			nr = mn_refused_at(subs, 0, nr);
		spin_unlock(&state->lock);

		if (range->slot) {
			mmu_flight_release(state, range);
			range->slot = NULL;
		}
		for (i = 0; i < nr; i++) {
			if (likely(mn_invalidate_one(subs[i], range, seq,
						     &unfinished, recorded)))
				continue;
			ret = -EAGAIN;
			nr = mn_refused_at(subs, i + 1, nr);
		}
		if (!cursor)
			break;
		if (mmu_notifier_range_blockable(range))
			cond_resched();

		spin_lock(&state->lock);
		nr = unlikely(ret) && !state->births ? 0 :
		     mn_collect(state, range, cursor, subs);
		mmu_interval_unpin(state, cursor);
	}
	if (unfinished)
		mn_finish(range, unfinished, recorded);
	return ret;
}

static noinline int mn_start_slow(struct mmu_interval_state *state,
				  struct mmu_notifier_range *range)
{
	return mn_tell(state, range, false);
}

static noinline int mn_start_slow_recorded(struct mmu_interval_state *state,
					   struct mmu_notifier_range *range)
{
	return mn_tell(state, range, true);
}

/*
 * Second half of start, behind mmu_flight_enter() and the barrier: if the index is
 * still what it was, there is nobody to be told. Otherwise tell those that the
 * range overlaps. On -EAGAIN, those told before
 * need no undoing, as their readers retry; the range is still in flight.
 */
int mmu_interval_start(struct mmu_interval_state *state,
		       struct mmu_notifier_range *range)
{
	if (likely(range->slot &&
		   !mmu_index_changed(&state->index, range->index_seq,
				      range->index_version)))
		return 0;
	if (mmu_recording())
		return mn_start_slow_recorded(state, range);
	return mn_start_slow(state, range);
}

/*
 * Readers
 */

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
	struct mmu_interval_state *state = mn_state(interval_sub);
	unsigned long start = interval_sub->interval_tree.start;
	unsigned long last = interval_sub->interval_tree.last;
	unsigned long ticket, seq;
	u64 waited = 0;

	might_sleep();
	mmu_check_wait(interval_sub->mm, start, last,
		       mn_callback(interval_sub->ops), "read");

	ticket = READ_ONCE(state->ticket);
	/* Acquire, release: no slot is looked at once it is true. */
	if (unlikely(!smp_load_acquire(&interval_sub->read))) {
		mmu_notifier_prime_lockdep();
		waited = mmu_flight_wait_slots(state, start, last);
		smp_store_release(&interval_sub->read, true);	/* see above */
	}
	waited += mmu_flight_wait_active(state, start, last, ticket);
	if (mmu_flight_find(state, start, last, state->ticket))
		seq = MN_SEQ_RETRY;
	else
		seq = READ_ONCE(interval_sub->invalidate_seq);
	spin_unlock(&state->lock);
	if (unlikely(waited))
		mmu_stats_waited(interval_sub, mn_callback(interval_sub->ops),
				 waited);
	return seq;
}
EXPORT_SYMBOL_GPL(mmu_interval_read_begin);

/*
 * Insertion
 */

static int mn_insert(struct mmu_interval_notifier *subscription,
		     struct mm_struct *mm, unsigned long start,
		     unsigned long last,
		     const struct mmu_interval_notifier_ops *ops)
{
	struct mmu_interval_state *state =
		&mm->notifier_subscriptions->intervals;
	struct mn_node *node;

	spin_lock(&state->lock);
	while (mmu_index_wants(&state->index)) {
		spin_unlock(&state->lock);
		node = mmu_index_alloc();
		if (!node)
			return -ENOMEM;
		spin_lock(&state->lock);
		mmu_index_give(&state->index, node);
	}

	/* Dropped by remove. */
	mmgrab(mm);
	subscription->mm = mm;
	subscription->ops = ops;
	subscription->interval_tree.start = start;
	subscription->interval_tree.last = last;
	subscription->pins = 0;
	subscription->read = false;
	subscription->retries = false;
	/* One that no range stores, though it looks like one. */
	state->seq += 2;
	subscription->invalidate_seq = state->seq;
	subscription->state = MN_INTERVAL_INSERTED;
	mmu_index_insert(&state->index, subscription);
	if (unlikely(ops->settled))
		mmu_settle_inserted(state, subscription);
	mmu_stats_interval(mm->notifier_subscriptions, mn_callback(ops), 1);
	/* Afterwards its callback may remove it, and have it freed. */
	trace_mmu_notifier_interval_insert(subscription, mn_callback(ops));
	spin_unlock(&state->lock);
	/* Unless it is one of these. */
	if (unlikely(ops->settled))
		mmu_settle_look(state, subscription);
	return 0;
}

/* A driver may have it on its stack, never written to. */
static int __no_kmsan_checks
mn_check_insert(struct mmu_interval_notifier *subscription,
		struct mm_struct *mm, unsigned long start,
		unsigned long length, unsigned long *last,
		const struct mmu_interval_notifier_ops *ops)
{
	if (!length || check_add_overflow(start, length - 1, last))
		return -EOVERFLOW;
	if (WARN_ON_ONCE(atomic_read(&mm->mm_users) <= 0))
		return -EINVAL;
	if (WARN_ONCE(subscription->state == MN_INTERVAL_INSERTED ||
		      subscription->state == MN_INTERVAL_REMOVING,
		      "%ps: inserted twice\n", subscription->ops))
		return -EINVAL;
	if (WARN_ONCE(ops->concerns && !ops->settled,
		      "%ps: concerns, but is never settled\n", mn_callback(ops)))
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
 * if the last user of the mm has gone, the subscription is inserted already, or
 * @ops has concerns without settled; -ENOMEM; the first insertion also -EINTR if
 * a fatal signal is pending (R11).
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

	ret = mn_check_insert(interval_sub, mm, start, length, &last, ops);
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
	return mn_insert(interval_sub, mm, start, last, ops);
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

	ret = mn_check_insert(interval_sub, mm, start, length, &last, ops);
	if (ret)
		return ret;
	ret = mmu_notifier_track_intervals(mm);
	if (ret)
		return ret;
	return mn_insert(interval_sub, mm, start, last, ops);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_insert_locked);

/*
 * Removal
 */

/*
 * From here on no range finds the subscription any more. False, with a warning,
 * if it is not inserted.
 */
static bool __no_kmsan_checks
mn_begin_removal(struct mmu_interval_notifier *subscription)
{
	struct mmu_interval_state *state;
	bool ret = false;

	/* Only what is inserted has an mm to look at. */
	if (subscription->state == MN_INTERVAL_INSERTED) {
		state = mn_state(subscription);
		spin_lock(&state->lock);
		ret = subscription->state == MN_INTERVAL_INSERTED;
		if (ret) {
			subscription->state = MN_INTERVAL_REMOVING;
			subscription->removal = state->ticket;
			if (unlikely(subscription->ops->settled))
				mmu_settle_removed(subscription);
			if (!subscription->pins)
				mmu_index_erase(&state->index, subscription);
			mmu_stats_interval(subscription->mm->notifier_subscriptions,
					   mn_callback(subscription->ops), -1);
		}
		spin_unlock(&state->lock);
	}
	WARN_ONCE(!ret, "%ps: removed, but not inserted\n", subscription->ops);
	return ret;
}

/* A range that may have found the subscription before; the lock is held. */
static struct mmu_notifier_range *
mn_find_user(struct mmu_interval_state *state,
	     const struct mmu_interval_notifier *subscription)
{
	return mmu_flight_find(state, subscription->interval_tree.start,
			       subscription->interval_tree.last,
			       subscription->removal);
}

static void mn_end_removal(struct mmu_interval_notifier *subscription)
{
	struct mmu_interval_state *state = mn_state(subscription);
	struct mm_struct *mm = subscription->mm;
	u64 waited;

	mmu_check_wait(mm, subscription->interval_tree.start,
		       subscription->interval_tree.last,
		       mn_callback(subscription->ops), "removed");
	waited = mmu_flight_wait_active(state, subscription->interval_tree.start,
					subscription->interval_tree.last,
					subscription->removal);
	subscription->state = MN_INTERVAL_REMOVED;
	spin_unlock(&state->lock);
	trace_mmu_notifier_interval_remove(subscription,
					   mn_callback(subscription->ops), waited);
	mmdrop(mm);
}

/**
 * mmu_interval_notifier_remove() - end a subscription to some addresses
 * @interval_sub: an inserted subscription.
 *
 * Waits for the overlapping ranges that are in flight, and for nothing that
 * starts later (R9). When this returns the callback does not run and will not
 * run (R6), the reference to the mm is dropped and the subscription may be
 * freed or inserted again.
 *
 * Ranges are not told to a subscription that is being removed: drop its SPTEs
 * before.
 *
 * Context: may sleep; not from a callback of the same mm, and holds nothing
 * that a callback, or a task inside a range of this mm, may wait for.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub)
{
	might_sleep();
	mmu_notifier_prime_lockdep();

	if (mn_begin_removal(interval_sub))
		mn_end_removal(interval_sub);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove);

/*
 * Removed without waiting. A subscription is here once the range that it hung
 * on has ended; perhaps it has to be hung on another one.
 */
static DEFINE_SPINLOCK(mn_removable_lock);
static LIST_HEAD(mn_removable);

static void mn_remove_work(struct work_struct *work)
{
	struct mmu_interval_notifier *subscription;
	struct mmu_notifier_ticket ticket;
	struct mmu_notifier_range *range;
	struct mmu_interval_state *state;
	struct mm_struct *mm;

	for (;; cond_resched()) {
		spin_lock(&mn_removable_lock);
		subscription = list_first_entry_or_null(&mn_removable,
							typeof(*subscription),
							removable);
		if (subscription)
			list_del(&subscription->removable);
		spin_unlock(&mn_removable_lock);
		if (!subscription)
			return;

		mm = subscription->mm;
		state = mn_state(subscription);
		spin_lock(&state->lock);
		range = mn_find_user(state, subscription);
		if (range)
			list_add_tail(&subscription->removable,
				      &range->removals);
		else
			subscription->state = MN_INTERVAL_REMOVED;
		spin_unlock(&state->lock);
		if (range)
			continue;

		trace_mmu_notifier_interval_remove(subscription,
						   mn_callback(subscription->ops), 0);
		mmu_notifier_keep_ticket(&subscription->ticket, &ticket);
		subscription->removed(subscription);
		mmdrop(mm);
		mmu_notifier_hand_in(&ticket);
	}
}

static DECLARE_WORK(mn_removable_work, mn_remove_work);

/* A range has ended on which these subscriptions hung. */
void mmu_interval_removable(struct list_head *subscriptions)
{
	spin_lock(&mn_removable_lock);
	list_splice_tail_init(subscriptions, &mn_removable);
	spin_unlock(&mn_removable_lock);
	queue_work(system_unbound_wq, &mn_removable_work);
}

/**
 * mmu_interval_notifier_remove_async() - end a subscription without waiting
 * @interval_sub: an inserted subscription.
 * @removed: called when no callback runs or will run any more and the reference
 *	to the mm is about to be dropped. It may free the subscription or insert
 *	it again, and may sleep, though the next ones queue up behind it.
 *
 * As mmu_interval_notifier_remove(), except for who waits. A module that uses
 * this calls mmu_notifier_synchronize() in its exit function.
 *
 * Context: process context, callbacks of the same mm included; spinlocks may be
 * held, but no raw ones and none that an interrupt or softirq takes. @removed is
 * called from a work item, holding nothing, perhaps before this returns; it does
 * not call mmu_notifier_synchronize().
 */
void mmu_interval_notifier_remove_async(struct mmu_interval_notifier *interval_sub,
					void (*removed)(struct mmu_interval_notifier *interval_sub))
{
	if (!WARN_ON_ONCE(!removed))
		mmu_interval_notifier_remove_batch(&interval_sub, 1, removed);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove_async);

/**
 * mmu_interval_notifier_remove_batch() - end many subscriptions, waiting once
 * @subs: inserted subscriptions, of any mm. For one that is not inserted there
 *	is a warning, and NULL is stored in its place.
 * @nr: number of subscriptions.
 * @removed: as for mmu_interval_notifier_remove_async(), called for each; or
 *	NULL: return when all are removed.
 *
 * All are removed first and waited for afterwards, so this takes as long as the
 * longest range in flight that overlaps one of them, not as long as the sum.
 *
 * Context: with @removed as for mmu_interval_notifier_remove_async(), without
 * it as for mmu_interval_notifier_remove().
 */
void mmu_interval_notifier_remove_batch(struct mmu_interval_notifier **subs,
					unsigned int nr,
					void (*removed)(struct mmu_interval_notifier *interval_sub))
{
	LIST_HEAD(removable);
	unsigned int i;

	if (!removed) {
		might_sleep();
		mmu_notifier_prime_lockdep();
	}

	for (i = 0; i < nr; i++) {
		if (!mn_begin_removal(subs[i])) {
			subs[i] = NULL;
		} else if (removed) {
			subs[i]->removed = removed;
			mmu_notifier_draw_ticket(&subs[i]->ticket);
			list_add_tail(&subs[i]->removable, &removable);
		}
	}
	if (!list_empty(&removable))
		mmu_interval_removable(&removable);
	if (removed)
		return;
	for (i = 0; i < nr; i++)
		if (subs[i])
			mn_end_removal(subs[i]);
}
EXPORT_SYMBOL_GPL(mmu_interval_notifier_remove_batch);
