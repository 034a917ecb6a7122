// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: which ranges are in flight, and waiting for them to end.
 *
 * The interval half has to know the addresses of each range in flight: readers
 * and removers wait for those that overlap. A range is noted in one of two
 * places.
 *
 * A *slot* takes a range that overlaps no subscription. Each CPU has a few for
 * each mm, so that noting a range touches nothing that another CPU writes. A
 * slot belongs to the CPU that claims it, preemption being off, but the range
 * may end on another one. Its generation, odd while it is in use, tells one
 * range from the next in the same slot.
 *
 * The *active list* takes every range that overlaps a subscription, or has found
 * no slot free. It is kept under the lock, and gives each range a *ticket*, a
 * number that tells which of two is older.
 *
 * A range looks the index of subscriptions up, claims a slot if it has found
 * nothing, and looks whether the index has changed; it moves to the active list
 * if it has to. On the other side, a subscription is in the index before its
 * first reader looks at the slots:
 *
 *	range					insert, then read_begin
 *	look at the index: nothing
 *	slot = start..last			index += subscription
 *	full barrier			(C)	full barrier		(C)
 *	has the index changed?			look at all slots
 *
 * (C): a range that the reader does not see in a slot has seen the subscription,
 * and is or will be in the active list. So one look at the slots is enough for
 * each subscription; whoever comes later is in the list before it tells anybody.
 *
 * Waiting for a slot. The waiter adds a mark to the generation, and the end of
 * a range exchanges it for an even one: either it finds the mark and wakes the
 * waiter, or the attempt to mark fails since the range has ended. So ending a
 * range asks nobody else's memory whether somebody waits.
 *
 *	waiter					end
 *	queue up				page table has changed
 *	cmpxchg(generation, + mark)	(D)	xchg(generation, even)	(D)
 *	sleep if that worked			wake if there was a mark
 */

#include <linux/llist.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "mmu_notifier.h"
#include "mmu_notifier_trace.h"

/* A task has one range in flight, seldom two, but it may sleep within. */
#define MN_SLOTS	4

/* In mn_slot.generation, below the number */
#define MN_IN_USE	1UL
#define MN_WAITED_FOR	2UL
#define MN_GENERATION	4UL

struct mn_slot {
	unsigned long generation;
	unsigned long start;
	unsigned long last;
};

/* Of one CPU and mm. The first slot shares a cache line with what is before it. */
struct mn_slots {
	struct llist_node used;		/* in mmu_interval_state.used */
	bool listed;
	struct mn_gap gap;		/* of the last range in a gap */
	struct mn_slot slot[MN_SLOTS];
	struct hlist_head hung;		/* subscriptions, under the lock */
} ____cacheline_aligned_in_smp;

int mmu_flight_init(struct mmu_interval_state *state)
{
	state->slots = alloc_percpu_gfp(struct mn_slots, GFP_KERNEL_ACCOUNT);
	return state->slots ? 0 : -ENOMEM;
}

void mmu_flight_destroy(struct mmu_interval_state *state)
{
	free_percpu(state->slots);
}

/*
 * Waiting
 */

struct mn_waiter {
	struct wait_queue_entry entry;
	unsigned long start;
	unsigned long last;
};

/* Leave those alone who wait for something else. */
static int mn_wake_one(struct wait_queue_entry *entry, unsigned int mode,
		       int flags, void *key)
{
	struct mn_waiter *waiter = container_of(entry, struct mn_waiter, entry);
	const struct mmu_notifier_range *range = key;

	if (range->start > waiter->last || range->end - 1 < waiter->start)
		return 0;
	return default_wake_function(entry, mode, flags, NULL);
}

static void mn_waiter_init(struct mn_waiter *waiter, unsigned long start,
			   unsigned long last)
{
	init_wait(&waiter->entry);
	waiter->entry.func = mn_wake_one;
	waiter->start = start;
	waiter->last = last;
}

static void mn_wake(struct mmu_interval_state *state,
		    const struct mmu_notifier_range *range)
{
	__wake_up(&state->wq, TASK_NORMAL, 0, (void *)range);
}

/*
 * Slots
 */

static __always_inline void mn_claim(struct mmu_interval_state *state,
				     struct mmu_notifier_range *range,
				     struct mn_slots *slots)
{
	unsigned long generation;
	struct mn_slot *slot;

	if (unlikely(!slots->listed)) {
		slots->listed = true;
		llist_add(&slots->used, &state->used);
	}
	for (slot = slots->slot; slot < slots->slot + MN_SLOTS; slot++) {
		generation = READ_ONCE(slot->generation);
		if (likely(!(generation & MN_IN_USE)))
			goto claim;
	}
	return;

claim:
	/*
	 * Releases: who reads these addresses sees what the range before has
	 * done, even if it ended on another CPU; and who reads this generation
	 * reads these addresses.
	 */
	smp_store_release(&slot->start, range->start);
	smp_store_release(&slot->last, range->end - 1);		/* see above */
	generation += MN_GENERATION + MN_IN_USE;
	smp_store_release(&slot->generation, generation);	/* see above */
	range->slot = slot;
	range->slots = slots;
}

/*
 * Not while the index is being changed: where the version is read in two halves,
 * they may be those of two versions then, and look like a third one.
 */
static __always_inline bool mn_in_gap(const struct mn_gap *gap,
				      const struct mmu_notifier_range *range)
{
	return !(range->index_seq & 1) &&
	       gap->version == range->index_version &&
	       range->start >= gap->first && range->end - 1 <= gap->last;
}

static noinline void mn_look_up(struct mmu_interval_state *state,
				struct mmu_notifier_range *range)
{
	struct mn_slots *slots;
	struct mn_gap gap;
	bool overlaps;

	rcu_read_lock();
	overlaps = mmu_index_may_overlap(&state->index, range->start,
					 range->end - 1, &range->index_seq,
					 &gap);
	rcu_read_unlock();
	if (overlaps)
		return;
	range->index_version = gap.version;

	preempt_disable();
	slots = this_cpu_ptr(state->slots);
	slots->gap = gap;
	mn_claim(state, range, slots);
	preempt_enable();
}

/*
 * First half of start: if the range seems to overlap nothing, claim a slot for it,
 * if one is free. The caller puts a full barrier (C) between this and the second
 * half, mmu_interval_start().
 *
 * Most ranges are close to the one before, and the index changes rarely: so each
 * CPU keeps the gap that its last range was in.
 */
void mmu_flight_enter(struct mmu_interval_state *state,
		      struct mmu_notifier_range *range)
{
	const struct mmu_index *index = &state->index;
	struct mn_slots *slots;

	/*
	 * May be odd. If it is the same odd one behind the barrier, the change
	 * going on has not ended: who is being inserted has no reader yet, and
	 * all others are within the bounds of before and after.
	 */
	mmu_index_sample(index, &range->index_seq, &range->index_version);
	range->slot = NULL;

	preempt_disable();
	slots = this_cpu_ptr(state->slots);
	if (likely(range->start > READ_ONCE(index->high) ||
		   range->end <= READ_ONCE(index->low) ||
		   mn_in_gap(&slots->gap, range))) {
		mn_claim(state, range, slots);
		preempt_enable();
		return;
	}
	preempt_enable();
	mn_look_up(state, range);
}

static noinline void mn_released(struct mmu_interval_state *state,
				 const struct mmu_notifier_range *range)
{
	mn_wake(state, range);
	/* Who hangs a subscription on it has said so before marking it. */
	if (READ_ONCE(state->any_settles))
		mmu_settle_hung(state, range, &range->slots->hung);
}

/* Give the slot back, the range having ended or being in the active list. */
void mmu_flight_release(struct mmu_interval_state *state,
			const struct mmu_notifier_range *range)
{
	struct mn_slot *slot = range->slot;
	unsigned long even = READ_ONCE(slot->generation) &
			     ~(MN_IN_USE | MN_WAITED_FOR);

	if (unlikely(xchg(&slot->generation, even) & MN_WAITED_FOR)) /* (D) */
		mn_released(state, range);
}

/*
 * Mark the range in a slot, if it overlaps. False if there is none, or another
 * one than with an earlier @generation; 0 is none.
 */
static bool mn_mark_slot(struct mn_slot *slot, unsigned long start,
			 unsigned long last, unsigned long *generation)
{
	unsigned long now;

	do {
		/* Acquire: what a range did that has ended. */
		now = smp_load_acquire(&slot->generation);
		if (!(now & MN_IN_USE))
			return false;
		if (*generation && *generation != (now & ~MN_WAITED_FOR))
			return false;
		*generation = now & ~MN_WAITED_FOR;
		/*
		 * Acquire: if they are a later range's, this one has ended, and
		 * who claimed the slot then has seen that.
		 */
		if (smp_load_acquire(&slot->start) > last ||
		    smp_load_acquire(&slot->last) < start) /* see above */
			return false;
		/* Fails if these are not its addresses any more. */
	} while (cmpxchg(&slot->generation, now, now | MN_WAITED_FOR) != now); /* (D) */
	return true;
}

static u64 mn_wait_slot(struct mmu_interval_state *state, struct mn_slot *slot,
			unsigned long start, unsigned long last)
{
	unsigned long generation = 0;
	struct mn_waiter waiter;
	u64 began = 0;

	/* Acquire: as in mn_mark_slot(). */
	if (!(smp_load_acquire(&slot->generation) & MN_IN_USE))
		return 0;

	mn_waiter_init(&waiter, start, last);
	for (;;) {
		prepare_to_wait(&state->wq, &waiter.entry,
				TASK_UNINTERRUPTIBLE);
		if (!mn_mark_slot(slot, start, last, &generation))
			break;
		if (!began)
			began = mmu_trace_clock();
		schedule();
	}
	finish_wait(&state->wq, &waiter.entry);
	return began ? mmu_trace_clock() - began : 0;
}

/*
 * Wait for what is in the slots and overlaps. Each slot is waited for once at
 * most, so it does not matter what comes later. Returns how long that took, in
 * nanoseconds, and 0 if there was nothing to wait for.
 */
u64 mmu_flight_wait_slots(struct mmu_interval_state *state, unsigned long start,
			  unsigned long last)
{
	struct mn_slots *slots;
	unsigned int i;
	u64 waited = 0;

	smp_mb();	/* (C) */
	llist_for_each_entry(slots, READ_ONCE(state->used.first), used) {
		for (i = 0; i < MN_SLOTS; i++)
			waited += mn_wait_slot(state, &slots->slot[i], start,
					       last);
	}
	return waited;
}

static struct mn_slots *mn_slots_entry(struct llist_node *node)
{
	return node ? llist_entry(node, struct mn_slots, used) : NULL;
}

/*
 * Is there a range in a slot that overlaps? One that is not seen has ended, or
 * will look at the index later than this was called.
 */
bool mmu_flight_seen(struct mmu_interval_state *state, unsigned long start,
		     unsigned long last)
{
	struct mn_slots *slots;
	unsigned int i;

	smp_mb();	/* (C) */
	llist_for_each_entry(slots, READ_ONCE(state->used.first), used) {
		for (i = 0; i < MN_SLOTS; i++) {
			struct mn_slot *slot = &slots->slot[i];

			/* Acquires: as in mn_mark_slot(). */
			if ((smp_load_acquire(&slot->generation) & MN_IN_USE) &&
			    smp_load_acquire(&slot->start) <= last && /* see above */
			    smp_load_acquire(&slot->last) >= start) /* see above */
				return true;
		}
	}
	return false;
}

static bool mn_hang(struct mn_slots *slots,
		    struct mmu_interval_notifier *subscription)
{
	unsigned int i;

	for (i = 0; i < MN_SLOTS; i++) {
		unsigned long generation = 0;

		if (!mn_mark_slot(&slots->slot[i],
				  subscription->interval_tree.start,
				  subscription->interval_tree.last,
				  &generation))
			continue;
		/* The end of the range finds the mark, and then takes the lock. */
		subscription->hangs_on = slots;
		hlist_add_head(&subscription->hung, &slots->hung);
		return true;
	}
	return false;
}

/*
 * If there is a range in a slot that overlaps, hang the subscription on it: when
 * it ends, mmu_settle_hung() gets the subscription to be looked at again. Ranges
 * to come find it in the index, so nothing has to be looked at twice but the
 * slots that it hung on before. False if there is no such range.
 *
 * Who goes on looking is another task perhaps than the one that inserted. It needs
 * no barrier of its own: the inserter's has come before it got the lock from there.
 */
bool mmu_flight_hang(struct mmu_interval_state *state,
		     struct mmu_interval_notifier *subscription)
{
	struct mn_slots *slots = subscription->hangs_on;

	lockdep_assert_held(&state->lock);

	if (!slots) {
		smp_mb();	/* (C) */
		slots = mn_slots_entry(READ_ONCE(state->used.first));
	}
	for (; slots; slots = mn_slots_entry(slots->used.next)) {
		if (mn_hang(slots, subscription))
			return true;
	}
	subscription->hangs_on = NULL;
	return false;
}

/*
 * The active list
 */

static bool mn_older(unsigned long ticket, unsigned long than)
{
	return (long)(ticket - than) < 0;
}

/* The range is in the list from here on; its slot, if it has one, can go. */
void mmu_flight_activate(struct mmu_interval_state *state,
			 struct mmu_notifier_range *range)
{
	lockdep_assert_held(&state->lock);

	/* Readers look at it without the lock. */
	WRITE_ONCE(state->ticket, state->ticket + 1);
	range->ticket = state->ticket;
	range->births = state->births;
	range->settles = false;
	range->ending = false;
	INIT_LIST_HEAD(&range->removals);
	list_add_tail(&range->active, &state->active);
}

static noinline void mn_end_active(struct mmu_interval_state *state,
				   struct mmu_notifier_range *range)
{
	spin_lock(&state->lock);
	if (unlikely(range->settles))
		mmu_settle_end(state, range);
	list_del(&range->active);
	spin_unlock(&state->lock);

	/* Who waits has queued up before looking at the list under the lock. */
	if (waitqueue_active(&state->wq))
		mn_wake(state, range);
	if (!list_empty(&range->removals))
		mmu_interval_removable(&range->removals);
}

/* The range is in flight no longer. */
void mmu_flight_end(struct mmu_interval_state *state,
		    struct mmu_notifier_range *range)
{
	if (likely(range->slot))
		mmu_flight_release(state, range);
	else
		mn_end_active(state, range);
}

/* A range in the list that overlaps and is no younger than @ticket, or NULL. */
struct mmu_notifier_range *mmu_flight_find(struct mmu_interval_state *state,
					   unsigned long start,
					   unsigned long last,
					   unsigned long ticket)
{
	struct mmu_notifier_range *range;

	lockdep_assert_held(&state->lock);

	list_for_each_entry(range, &state->active, active) {
		if (mn_older(ticket, range->ticket))
			break;
		if (range->start <= last && range->end - 1 >= start)
			return range;
	}
	return NULL;
}

/*
 * Wait until there is none such. Takes the lock, and returns with it. Returns how
 * long it took, as mmu_flight_wait_slots().
 */
u64 mmu_flight_wait_active(struct mmu_interval_state *state,
			   unsigned long start, unsigned long last,
			   unsigned long ticket)
	__acquires(&state->lock)
{
	struct mn_waiter waiter;
	u64 began;

	spin_lock(&state->lock);
	if (likely(!mmu_flight_find(state, start, last, ticket)))
		return 0;
	spin_unlock(&state->lock);

	began = mmu_trace_clock();

	mmu_notifier_prime_lockdep();
	mn_waiter_init(&waiter, start, last);
	for (;;) {
		prepare_to_wait(&state->wq, &waiter.entry,
				TASK_UNINTERRUPTIBLE);
		spin_lock(&state->lock);
		if (!mmu_flight_find(state, start, last, ticket))
			break;
		spin_unlock(&state->lock);
		schedule();
	}
	finish_wait(&state->wq, &waiter.entry);
	return mmu_trace_clock() - began;
}

/*
 * Wait for all ranges in flight that may not have seen what the caller did
 * before.
 */
void mmu_flight_drain(struct mmu_interval_state *state)
{
	unsigned long ticket;

	mmu_notifier_prime_lockdep();
	/* From a slot a range can only get into the list. */
	mmu_flight_wait_slots(state, 0, ULONG_MAX);
	/* Who gets a later ticket has taken the lock after us, and sees. */
	spin_lock(&state->lock);
	ticket = state->ticket;
	spin_unlock(&state->lock);
	mmu_flight_wait_active(state, 0, ULONG_MAX, ticket);
	spin_unlock(&state->lock);
}
