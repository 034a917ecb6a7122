/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: what the two halves of the core share.
 *
 * mm/mmu_notifier.c has the per-mm object and the *list half*: subscriptions
 * to the whole mm. mm/mmu_notifier_interval.c has the *interval half*:
 * subscriptions to ranges. A range that is in flight has *entered* each half
 * that was switched on when it started:
 *
 *  - the list half: it is inside a section of the object's SRCU domain;
 *  - the interval half: it is in mmu_interval_state.active.
 *
 * Being entered is what a registration, a removal or a reader waits for, and
 * they wait for nothing else (R7, R9).
 *
 * Lock order, outermost first:
 *
 *   mmap_lock (for writing: registration)
 *     the locks that registration passes through, one at a time: the VMA's,
 *     i_mmap_rwsem, anon_vma
 *       subscriptions->lock
 *         the lock of the list of puts (mm/mmu_notifier.c)
 *       subscriptions->intervals.lock
 *
 * No callback runs under a lock of ours.
 */
#ifndef _MM_MMU_NOTIFIER_H
#define _MM_MMU_NOTIFIER_H

#include <linux/mmu_notifier.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/*
 * What somebody listens to: one bit for each callback of mmu_notifier_ops that
 * any subscription of the mm implements, and below them the two tracks, which
 * say what a range has to enter.
 */
#define MN_TRACK_LIST		BIT(0)
#define MN_TRACK_INTERVALS	BIT(1)
#define MN_TRACKS		(MN_TRACK_LIST | MN_TRACK_INTERVALS)
#define MN_RANGE_START		BIT(2)
#define MN_RANGE_END		BIT(3)
#define MN_CLEAR_FLUSH_YOUNG	BIT(4)
#define MN_CLEAR_YOUNG		BIT(5)
#define MN_TEST_YOUNG		BIT(6)
#define MN_SECONDARY_TLBS	BIT(7)

/**
 * struct mmu_interval_state - the interval half of an mm
 * @lock: guards the other members, and those of the subscriptions in @tree.
 *	Never held across a callback.
 * @tree: the subscriptions, by address.
 * @active: ranges in flight, oldest first; on their callers' stacks.
 * @ticket: the last ticket given to a range. Older means smaller.
 * @seq: the last sequence given to a collision; always odd.
 * @wq: where readers and removers wait for older ranges to end.
 */
struct mmu_interval_state {
	spinlock_t lock;	/* see above */
	struct rb_root_cached tree;
	struct list_head active;
	unsigned long ticket;
	unsigned long seq;
	wait_queue_head_t wq;
};

/**
 * struct mmu_notifier_subscriptions - all subscriptions of an mm
 * @listening: MN_* bits, read without a lock by every hook. A bit of a
 *	callback goes when its last subscription does, a track stays on for
 *	the life of the mm. Written under @lock, with release.
 * @epoch: the birth of the youngest subscription. Written under @lock.
 * @list: subscriptions to the whole mm that listen to something, youngest
 *	first. Changed under @lock, walked inside @srcu.
 * @srcu: the domain of the list half; see @has_domain.
 * @quiet: those that want ->release and nothing else. Changed and walked under
 *	@lock, so that they can be freed without a grace period.
 * @lock: guards what is said above and mmu_notifier.{users,state}.
 * @settled: MN_TRACK_* and MN_SECONDARY_TLBS bits that every hook call now
 *	running has seen in @listening. Set under mmap_lock and @lock, with
 *	release.
 * @has_domain: @srcu is initialised. It costs memory on each possible CPU
 *	(98 KB with 256 of them) that no memcg is charged for, so only a
 *	callback that runs inside it brings it. Set once, under mmap_lock.
 * @wq: where unregister and exit wait for each other's release.
 * @intervals: the other half.
 * @destroy: frees the object where sleeping is allowed.
 *
 * Made by the first subscription, under mmap_lock held for writing; published
 * in mm->notifier_subscriptions while @listening is still 0, when no hook does
 * anything with it; dies with the mm.
 */
struct mmu_notifier_subscriptions {
	unsigned int listening;
	unsigned long epoch;
	struct hlist_head list;
	struct srcu_struct srcu;

	spinlock_t lock;	/* see above */
	struct hlist_head quiet;
	unsigned int settled;
	bool has_domain;
	wait_queue_head_t wq;
	struct mmu_interval_state intervals;
	struct work_struct destroy;
};

/* mm/mmu_notifier.c */
int mmu_notifier_track_intervals(struct mm_struct *mm);

/* mm/mmu_notifier_interval.c */
void mmu_interval_init(struct mmu_interval_state *state);
bool mmu_interval_enter(struct mmu_interval_state *state,
			struct mmu_notifier_range *range);
int mmu_interval_invalidate(struct mmu_interval_state *state,
			    const struct mmu_notifier_range *range);
void mmu_interval_leave(struct mmu_interval_state *state,
			struct mmu_notifier_range *range);
void mmu_interval_drain(struct mmu_interval_state *state);

/*
 * To be called before waiting for ranges in flight: a callback may be running
 * in them, so the caller must hold nothing that a callback could wait for.
 */
static inline void mmu_notifier_prime_lockdep(void)
{
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

/* Around a callback: sleeping in it is a bug unless the range is blockable. */
static inline void mmu_notifier_call_begin(const struct mmu_notifier_range *range)
{
	if (!mmu_notifier_range_blockable(range))
		non_block_start();
}

static inline void mmu_notifier_call_end(const struct mmu_notifier_range *range)
{
	if (!mmu_notifier_range_blockable(range))
		non_block_end();
}

#endif /* _MM_MMU_NOTIFIER_H */
