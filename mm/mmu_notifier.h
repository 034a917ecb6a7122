/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: what the two halves of the core share.
 *
 * mm/mmu_notifier.c has the per-mm object and the *list half*: subscriptions
 * to the whole mm. mm/mmu_notifier_interval.c has the *interval half*:
 * subscriptions to ranges; mm/mmu_notifier_index.c finds them by address, and
 * mm/mmu_notifier_flight.c knows the ranges in flight. A range that is in flight
 * has *entered* each half that was switched on when it started:
 *
 *  - the list half: it is inside a section of the object's SRCU domain;
 *  - the interval half: it is in a slot or in the list of active ranges.
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
 *         the lock of intervals.wq
 *       the lock of the list of removals (mm/mmu_notifier_interval.c)
 *     the lock of the list of all objects (mm/mmu_notifier_stats.c)
 *
 * No callback runs under a lock of ours but ->settled and ->concerns, which run
 * under subscriptions->intervals.lock.
 */
#ifndef _MM_MMU_NOTIFIER_H
#define _MM_MMU_NOTIFIER_H

#include <linux/cache.h>
#include <linux/llist.h>
#include <linux/mmu_notifier.h>
#include <linux/seqlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "mmu_notifier_record.h"

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
/* MN_CLEAR_FLUSH_YOUNG and so on follow in <linux/mmu_notifier_hooks.h>. */
#define MN_FLUSHES		(MN_SECONDARY_TLBS | MN_INVALIDATE_RANGE)

/**
 * struct mmu_index - which addresses are subscribed (mm/mmu_notifier_index.c)
 * @seq: odd while the index is being changed.
 * @low: nothing in the index begins below.
 * @high: nothing in the index ends above.
 * @version: number of changes; changed within @seq's write section, first. 64 bits,
 *	since an old one must not come again, as @seq may while a task is preempted.
 * @root: the topmost node, or NULL.
 * @height: number of levels.
 * @reserve: nodes for the next insertion.
 * @nr_reserve: how many.
 *
 * Changed under the lock of the interval half, searched without.
 */
struct mmu_index {
	seqcount_t seq;
	unsigned long low;
	unsigned long high;
	u64 version;
	struct mn_node *root;
	unsigned int height;
	unsigned int nr_reserve;
	struct mn_node *reserve;
};

/**
 * struct mn_gap - addresses that nothing in the index overlaps
 * @version: of the index for which that is so; 0: of none.
 * @first: first address, in bytes.
 * @last: last address (inclusive), in bytes.
 */
struct mn_gap {
	u64 version;
	unsigned long first;
	unsigned long last;
};

/**
 * struct mmu_interval_state - the interval half of an mm
 * @slots: ranges in flight that overlap no subscription, by CPU.
 * @used: the slots of those CPUs that ever had such a range.
 * @index: the subscriptions, by address.
 * @lock: guards what follows, the subscriptions in @index, and changes of it.
 *	Not held across a callback, except ->settled and ->concerns.
 * @active: the other ranges in flight, oldest first; on their callers' stacks.
 * @ticket: the last ticket given to a range in @active. Older means smaller.
 * @seq: the last sequence given to a collision or an insertion; always odd.
 * @births: number of insertions with ->settled so far; 64 bits, since it
 *	must not wrap around.
 * @any_settles: there has been such an insertion. Read without the lock, which
 *	@births cannot be where that takes two loads.
 * @wq: where readers and removers wait for older ranges to end.
 *
 * What every range reads is kept apart from what is written when ranges overlap
 * subscriptions.
 */
struct mmu_interval_state {
	struct mn_slots __percpu *slots;
	struct llist_head used;
	struct mmu_index index;

	spinlock_t lock ____cacheline_aligned_in_smp;	/* see above */
	struct list_head active;
	unsigned long ticket;
	unsigned long seq;
	u64 births;
	bool any_settles;
	wait_queue_head_t wq;
};

/* Subscriptions told per turn with the lock; they are noted on the stack. */
#define MN_BATCH	32

/*
 * mmu_interval_notifier.state. Odd numbers, since drivers may put a
 * subscription on their stack without clearing it.
 */
enum mmu_interval_notifier_state {
	MN_INTERVAL_REMOVED = 0x4d4e5230,
	MN_INTERVAL_INSERTED,
	MN_INTERVAL_REMOVING,
};

/**
 * struct mmu_notifier_subscriptions - all subscriptions of an mm
 * @listening: MN_* bits, read without a lock by every hook. A bit of a
 *	callback goes when its last subscription does, a track stays on until
 *	exit. Written under @lock, with release.
 * @epoch: the birth of the youngest subscription. Written under @lock.
 * @list: subscriptions to the whole mm that listen to something, youngest
 *	first. Changed under @lock, walked inside @srcu.
 * @srcu: the domain of the list half; see @has_domain.
 * @quiet: those that want ->release and nothing else. Changed and walked under
 *	@lock, so that they can be freed without a grace period.
 * @lock: guards what is said above and mmu_notifier.{users,state}.
 * @settled: MN_TRACKS and MN_FLUSHES bits that every hook call now running
 *	has seen in @listening. Set under mmap_lock and @lock, with release; the
 *	latter bits cleared under @lock.
 * @has_domain: @srcu is initialised. It costs memory on each possible CPU
 *	(98 KB with 256 of them) that no memcg is charged for, so only a
 *	callback that runs inside it brings it. Set once, under mmap_lock.
 * @wq: where unregister and exit wait for each other's release.
 * @intervals: the other half.
 * @destroy: frees the object where sleeping is allowed.
 * @stats: what is known of the mm, and what happened while recording was on.
 *
 * Made by the first subscription, under mmap_lock held for writing; published
 * in mm->notifier_subscriptions while @listening is still 0, when no hook does
 * anything with it; dies with the mm.
 */
struct mmu_notifier_subscriptions {
	struct mmu_notifier_listening listening;	/* first */
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
#ifdef CONFIG_MMU_NOTIFIER_STATS
	struct mmu_notifier_stats stats;
#endif
};

/* mm/mmu_notifier.c */
int mmu_notifier_track_intervals(struct mm_struct *mm);
void mmu_notifier_draw_ticket(struct mmu_notifier_ticket *ticket);
void mmu_notifier_keep_ticket(struct mmu_notifier_ticket *from,
			      struct mmu_notifier_ticket *to);
void mmu_notifier_hand_in(struct mmu_notifier_ticket *ticket);

/* mm/mmu_notifier_interval.c */
void mmu_interval_init(struct mmu_interval_state *state);
void mmu_interval_destroy(struct mmu_interval_state *state);
int mmu_interval_start(struct mmu_interval_state *state,
		       struct mmu_notifier_range *range);
void mmu_interval_unpin(struct mmu_interval_state *state,
			struct mmu_interval_notifier *cursor);
void mmu_interval_removable(struct list_head *subscriptions);

/* mm/mmu_notifier_settle.c */
void mmu_settle_inserted(struct mmu_interval_state *state,
			 struct mmu_interval_notifier *subscription);
void mmu_settle_look(struct mmu_interval_state *state,
		     struct mmu_interval_notifier *subscription);
void mmu_settle_removed(struct mmu_interval_notifier *subscription);
unsigned int mmu_settle_start(struct mmu_notifier_range *range,
			      struct mmu_interval_notifier **subs,
			      unsigned int nr);
void mmu_settle_end(struct mmu_interval_state *state,
		    struct mmu_notifier_range *range);
void mmu_settle_hung(struct mmu_interval_state *state,
		     const struct mmu_notifier_range *range,
		     struct hlist_head *subscriptions);

/* mm/mmu_notifier_flight.c */
int mmu_flight_init(struct mmu_interval_state *state);
void mmu_flight_destroy(struct mmu_interval_state *state);
void mmu_flight_enter(struct mmu_interval_state *state,
		      struct mmu_notifier_range *range);
void mmu_flight_release(struct mmu_interval_state *state,
			const struct mmu_notifier_range *range);
bool mmu_flight_seen(struct mmu_interval_state *state, unsigned long start,
		     unsigned long last);
bool mmu_flight_hang(struct mmu_interval_state *state,
		     struct mmu_interval_notifier *subscription);
void mmu_flight_activate(struct mmu_interval_state *state,
			 struct mmu_notifier_range *range);
void mmu_flight_end(struct mmu_interval_state *state,
		    struct mmu_notifier_range *range);
struct mmu_notifier_range *mmu_flight_find(struct mmu_interval_state *state,
					   unsigned long start,
					   unsigned long last,
					   unsigned long ticket);
u64 mmu_flight_wait_slots(struct mmu_interval_state *state, unsigned long start,
			  unsigned long last);
u64 mmu_flight_wait_active(struct mmu_interval_state *state,
			   unsigned long start, unsigned long last,
			   unsigned long ticket)
	__acquires(&state->lock);
void mmu_flight_drain(struct mmu_interval_state *state);

/* mm/mmu_notifier_index.c */

/*
 * The state that the index is in. Who is preempted may find the same @seq again after
 * 2^31 changes, but not the same @version: it is read first, so that it is older.
 */
static __always_inline void mmu_index_sample(const struct mmu_index *index,
					     unsigned int *seq, u64 *version)
{
	*version = READ_ONCE(index->version);
	smp_rmb();	/* see above */
	*seq = raw_read_seqcount(&index->seq);
}

static inline bool mmu_index_changed(const struct mmu_index *index,
				     unsigned int seq, u64 version)
{
	return read_seqcount_retry(&index->seq, seq) ||
	       READ_ONCE(index->version) != version;
}

void mmu_index_init(struct mmu_index *index);
void mmu_index_destroy(struct mmu_index *index);
bool mmu_index_may_overlap(const struct mmu_index *index, unsigned long start,
			   unsigned long last, unsigned int *seq,
			   struct mn_gap *gap);
unsigned int mmu_index_collect(const struct mmu_index *index,
			       const struct mmu_interval_notifier *after,
			       unsigned long start, unsigned long last,
			       struct mmu_interval_notifier **subs,
			       unsigned int max);
bool mmu_index_wants(const struct mmu_index *index);
struct mn_node *mmu_index_alloc(void);
void mmu_index_give(struct mmu_index *index, struct mn_node *node);
void mmu_index_insert(struct mmu_index *index,
		      struct mmu_interval_notifier *subscription);
void mmu_index_erase(struct mmu_index *index,
		     struct mmu_interval_notifier *subscription);

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
