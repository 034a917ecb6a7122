// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: telling a subscription that nothing is in flight over it.
 *
 * An interval subscription is told when a range begins. Those with ->settled are
 * also told when all that overlap have ended. They are *busy* from insertion to
 * ->settled, and from each ->invalidate to the next ->settled. Which ranges keep
 * a subscription busy:
 *
 *  - Those in the list of active ranges, and not *ending* yet, are counted, in
 *    in_flight. A range counts itself at its start, under the lock, in each
 *    subscription that it is going to tell; one that is in the list before is
 *    counted by the insertion. At its end the range takes itself out of all that
 *    it overlaps.
 *  - Those in a slot, from before the subscription was in the index. It *hangs*
 *    on one of them at a time: that one gets a mark, as if somebody waited, and
 *    its end looks for the next one.
 *
 * Who is counted by whom. Both loops over the index, at start and at end, may
 * drop the lock between two batches, and a subscription may be inserted before or
 * behind the place where they are. So insertions are numbered, and a range knows
 * how many there were when it got into the list, and when it began to end:
 *
 *	birth <= births at the start		counted by the range, and told
 *	later, range not ending			counted by the insertion
 *	later, range ending			not counted: its work is done
 *
 * The first two are what the end takes itself out of. Nothing else is needed for
 * a start that fails: it goes on to tell, and count in, those that it has to take
 * itself out of.
 *
 * ->settled is called under the lock in which in_flight gets 0. A range that
 * comes next counts itself after that, and calls ->invalidate later still: so the
 * two callbacks are in the order of what they say.
 */

#include <linux/mmu_notifier.h>

#include "mmu_notifier.h"

static bool mn_concerned(const struct mmu_interval_notifier *subscription,
			 const struct mmu_notifier_range *range)
{
	const struct mmu_interval_notifier_ops *ops = subscription->ops;

	return !ops->concerns || ops->concerns(subscription, range);
}

static void mn_maybe_settled(struct mmu_interval_notifier *subscription,
			     const struct mmu_interval_notifier_ops *ops)
{
	if (!subscription->in_flight && !subscription->hangs_on &&
	    !subscription->looking)
		ops->settled(subscription);
}

/* The subscription is in the index. To be followed by mmu_settle_look(). */
void mmu_settle_inserted(struct mmu_interval_state *state,
			 struct mmu_interval_notifier *subscription)
{
	struct mmu_notifier_range *range;

	lockdep_assert_held(&state->lock);

	subscription->in_flight = 0;
	subscription->hangs_on = NULL;
	subscription->looking = true;
	INIT_HLIST_NODE(&subscription->hung);
	subscription->birth = ++state->births;
	/* Read by who gives a slot back. */
	WRITE_ONCE(state->any_settles, true);

	list_for_each_entry(range, &state->active, active) {
		if (range->ending ||
		    range->start > subscription->interval_tree.last ||
		    range->end - 1 < subscription->interval_tree.start ||
		    !mn_concerned(subscription, range))
			continue;
		range->settles = true;
		subscription->in_flight++;
	}
}

/* Look at the slots, without the lock as long as there is nothing to be seen. */
void mmu_settle_look(struct mmu_interval_state *state,
		     struct mmu_interval_notifier *subscription)
{
	bool seen = mmu_flight_seen(state, subscription->interval_tree.start,
				    subscription->interval_tree.last);

	spin_lock(&state->lock);
	subscription->looking = false;
	if (!seen || !mmu_flight_hang(state, subscription))
		mn_maybe_settled(subscription, subscription->ops);
	spin_unlock(&state->lock);
}

/* No range will find the subscription any more. */
void mmu_settle_removed(struct mmu_interval_notifier *subscription)
{
	if (subscription->hangs_on)
		hlist_del_init(&subscription->hung);
	subscription->hangs_on = NULL;
}

/*
 * Count the range in each of @subs that will be told of its end, and leave out
 * those that it does not concern. Returns how many are left.
 */
unsigned int mmu_settle_start(struct mmu_notifier_range *range,
			      struct mmu_interval_notifier **subs,
			      unsigned int nr)
{
	unsigned int i, kept = 0;

	for (i = 0; i < nr; i++) {
		struct mmu_interval_notifier *subscription = subs[i];

		if (subscription->ops->settled) {
			if (subscription->birth > range->births ||
			    !mn_concerned(subscription, range))
				continue;
			range->settles = true;
			subscription->in_flight++;
		}
		subs[kept++] = subscription;
	}
	return kept;
}

/* The page table has changed: take the range out of what it is counted in. */
void mmu_settle_end(struct mmu_interval_state *state,
		    struct mmu_notifier_range *range)
	__must_hold(&state->lock)
{
	struct mmu_interval_notifier *subs[MN_BATCH], *cursor = NULL;
	unsigned int nr, i;

	lockdep_assert_held(&state->lock);

	range->births = state->births;
	range->ending = true;
	for (;;) {
		nr = mmu_index_collect(&state->index, cursor, range->start,
				       range->end - 1, subs, MN_BATCH);
		if (cursor)
			mmu_interval_unpin(state, cursor);
		for (i = 0; i < nr; i++) {
			const struct mmu_interval_notifier_ops *ops = subs[i]->ops;

			if (!ops->settled || subs[i]->birth > range->births ||
			    !mn_concerned(subs[i], range) ||
			    WARN_ON_ONCE(!subs[i]->in_flight))
				continue;
			subs[i]->in_flight--;
			mn_maybe_settled(subs[i], ops);
		}
		if (nr < MN_BATCH)
			break;

		cursor = subs[nr - 1];
		cursor->pins++;
		spin_unlock(&state->lock);
		if (mmu_notifier_range_blockable(range))
			cond_resched();
		spin_lock(&state->lock);
	}
}

/*
 * A range has left its slot, which had a mark: look for the next one for each of
 * @subscriptions, which hang on some range of the same CPU.
 */
void mmu_settle_hung(struct mmu_interval_state *state,
		     const struct mmu_notifier_range *range,
		     struct hlist_head *subscriptions)
{
	struct mmu_interval_notifier *subscription;
	HLIST_HEAD(list);
	unsigned int i;

	spin_lock(&state->lock);
	hlist_move_list(subscriptions, &list);
	for (;;) {
		for (i = 0; i < MN_BATCH && !hlist_empty(&list); i++) {
			subscription = hlist_entry(list.first,
						   typeof(*subscription), hung);
			hlist_del_init(&subscription->hung);
			if (!mmu_flight_hang(state, subscription))
				mn_maybe_settled(subscription,
						 subscription->ops);
		}
		if (hlist_empty(&list))
			break;
		/* Others may want it; removal takes from the list meanwhile. */
		spin_unlock(&state->lock);
		if (mmu_notifier_range_blockable(range))
			cond_resched();
		spin_lock(&state->lock);
	}
	spin_unlock(&state->lock);
}
