// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: subscriptions, and how each kind fills its
 * secondary MMU.
 *
 * A subscription's *mood*, which changes from call to call, says whether a callback
 * is quick, slow, sleeps, or refuses; the last two where it may.
 *
 * What is checked here:
 *
 *  - What may be put to use has not changed since it was read (R3).
 *  - Nobody is told a start twice, or an end without it (R5), anything after the end
 *    of the subscription (R6), or of what does not concern it (R8).
 *  - settled() comes within no range that concerns (R5).
 *  - release is called once in the life of each list subscription (R6).
 *  - Callbacks may sleep if the caller said so, and only then (R10).
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "mmu_notifier_torture_subs.h"

static atomic_long_t mmt_incarnations;
DEFINE_MUTEX(mmt_one_lock);	/* guards nothing; see mmu_notifier_torture_subs.h */

/**
 * mmt_enter() - a callback begins
 * @sub: of this subscription.
 */
void mmt_enter(struct mmt_sub *sub)
{
	atomic_inc(&sub->running);
	/* Pairs with mmt_ended(). */
	smp_mb__after_atomic();
	if (READ_ONCE(sub->ended))
		mmt_fail(MMT_R6_LATE, sub->mmu.space->id, sub->slot, sub->incarnation);
}

/**
 * mmt_leave() - a callback has done what it does
 * @sub: of this subscription.
 */
void mmt_leave(struct mmt_sub *sub)
{
	/* What the callback did is done before. */
	smp_mb__before_atomic();
	atomic_dec(&sub->running);
}

/**
 * mmt_begin() - a subscription is about to be made
 * @sub: which one; it gets a new incarnation.
 * @first: first page.
 * @last: last page (inclusive).
 */
void mmt_begin(struct mmt_sub *sub, unsigned int first, unsigned int last)
{
	sub->incarnation = atomic_long_inc_return(&mmt_incarnations);
	WRITE_ONCE(sub->first, first);
	WRITE_ONCE(sub->last, last);
	spin_lock(&sub->mmu.lock);
	sub->mmu.dead = false;
	spin_unlock(&sub->mmu.lock);
	WRITE_ONCE(sub->ended, false);
}

/**
 * mmt_live() - a subscription was made
 * @sub: which one. From now on it has to be told.
 */
void mmt_live(struct mmt_sub *sub)
{
	/* Release: pairs with mmt_listens(). */
	smp_store_release(&sub->live, sub->incarnation);
}

/**
 * mmt_dying() - a subscription is about to be ended
 * @sub: which one. From now on it need not be told.
 */
void mmt_dying(struct mmt_sub *sub)
{
	WRITE_ONCE(sub->live, 0);
	/* A range that does not tell us any more finds that we have gone. */
	smp_mb();
}

/**
 * mmt_ended() - a subscription was ended
 * @sub: which one. From now on it must not be told.
 */
void mmt_ended(struct mmt_sub *sub)
{
	WRITE_ONCE(sub->ended, true);
	/* Pairs with mmt_enter(). */
	smp_mb();
	if (atomic_read(&sub->running))
		mmt_fail(MMT_R6_LATE, sub->mmu.space->id, sub->slot, sub->incarnation);
}

/**
 * mmt_mood() - the slow half of a callback
 * @sub: of this subscription.
 * @blockable: it may sleep.
 */
void mmt_mood(struct mmt_sub *sub, bool blockable)
{
	if (mmt_breaks(MMT_HANGS) && blockable && sub->slot == 1)
		while (!torture_must_stop_irq())
			msleep(20);
	switch (get_random_u32_below(64)) {
	case 0:
		if (blockable)
			usleep_range(mmt_slow_us, 2 * mmt_slow_us + 1);
		break;
	case 1 ... 4:
		udelay(min(mmt_slow_us, 50U));
		break;
	case 5 ... 8:
		if (blockable)
			cond_resched();
		break;
	}
}

/**
 * mmt_refuses() - does a callback refuse?
 * @blockable: it may sleep, and so it does not.
 *
 * Return: true if it does.
 */
bool mmt_refuses(bool blockable)
{
	return !blockable && !get_random_u32_below(8);
}

/*
 * Subscriptions to a space
 */

static struct mmt_list *mmt_to_list(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct mmt_list, notifier);
}

static int mmt_start(struct mmu_notifier *notifier,
		     const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	struct mmt_list *list = mmt_to_list(notifier);
	struct mmt_range *r = mmt_to_range(range);
	struct mmt_sub *sub = &list->sub;
	int ret = 0;

	mmt_enter(sub);
	if (range->mm != sub->mmu.space->mm)
		mmt_fail(MMT_R8_UNASKED, sub->mmu.space->id, sub->slot, 0);
	if (blockable != r->blockable)
		mmt_fail(MMT_R10_BLOCKS, sub->mmu.space->id, sub->slot, blockable);
	if (r->told[sub->slot])
		mmt_fail(MMT_R5_TWICE, sub->mmu.space->id, sub->slot,
			 r->told[sub->slot]);
	if (mmt_refuses(blockable)) {
		r->refusals++;
		ret = -EAGAIN;
		if (mmt_breaks(MMT_REFUSAL_COUNTED))
			r->told[sub->slot] = sub->incarnation;
	} else {
		r->told[sub->slot] = sub->incarnation;
		spin_lock(&sub->mmu.lock);
		list->in_progress++;
		if (!mmt_breaks(MMT_NO_ZAP))
			mmt_mmu_drop(&sub->mmu, r->first, r->last);
		spin_unlock(&sub->mmu.lock);
		if (mmt_breaks(MMT_ALLOCATES))
			kfree(kmalloc(sizeof(*r), GFP_NOWAIT));
		if (mmt_breaks(MMT_ONE_LOCK) && blockable)
			mutex_lock(&mmt_one_lock);
		mmt_mood(sub, blockable);
		if (mmt_breaks(MMT_ONE_LOCK) && blockable)
			mutex_unlock(&mmt_one_lock);
	}
	mmt_leave(sub);
	return ret;
}

static int mmt_start_twice(struct mmu_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	int ret = mmt_start(notifier, range);

	if (!ret && !get_random_u32_below(64))
		mmt_start(notifier, range);
	return ret;
}

static void mmt_end(struct mmu_notifier *notifier,
		    const struct mmu_notifier_range *range)
{
	struct mmt_list *list = mmt_to_list(notifier);
	struct mmt_range *r = mmt_to_range(range);
	struct mmt_sub *sub = &list->sub;

	if (mmt_breaks(MMT_END_LOST) && !get_random_u32_below(64))
		return;
	mmt_enter(sub);
	if (!r->told[sub->slot] || r->told[sub->slot] != sub->incarnation)
		mmt_fail(MMT_R5_END, sub->mmu.space->id, sub->slot,
			 r->told[sub->slot]);
	r->told[sub->slot] = 0;
	spin_lock(&sub->mmu.lock);
	list->sequence++;
	list->in_progress--;
	spin_unlock(&sub->mmu.lock);
	mmt_mood(sub, r->blockable);
	mmt_leave(sub);
}

static void mmt_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct mmt_list *list = mmt_to_list(notifier);

	mmt_enter(&list->sub);
	atomic_inc(&list->releases);
	mmt_mood(&list->sub, true);
	if (!mmt_breaks(MMT_RELEASE_KEEPS))
		mmt_mmu_kill(&list->sub.mmu);
	mmt_leave(&list->sub);
}

static void mmt_walker_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	struct mmt_list *list = mmt_to_list(notifier);

	mmt_enter(&list->sub);
	if (start >= MMT_BASE && !mmt_breaks(MMT_NO_FLUSH)) {
		spin_lock(&list->sub.mmu.lock);
		mmt_mmu_drop(&list->sub.mmu, (start - MMT_BASE) >> PAGE_SHIFT,
			     (end - 1 - MMT_BASE) >> PAGE_SHIFT);
		spin_unlock(&list->sub.mmu.lock);
	}
	mmt_leave(&list->sub);
}

static void mmt_walker_end(struct mmu_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	mmt_walker_flush(notifier, range->mm, range->start, range->end);
}

static const struct mmu_notifier_ops mmt_list_ops = {
	.release = mmt_release,
	.invalidate_range_start = mmt_start,
	.invalidate_range_end = mmt_end,
};

static const struct mmu_notifier_ops mmt_start_twice_ops = {
	.release = mmt_release,
	.invalidate_range_start = mmt_start_twice,
	.invalidate_range_end = mmt_end,
};

static const struct mmu_notifier_ops mmt_walker_ops = {
	.release = mmt_release,
	.invalidate_range = mmt_walker_flush,
	.invalidate_range_end = mmt_walker_end,
};

/**
 * mmt_list_register() - register a subscription to a space
 * @space: the space, used by the caller.
 * @nr: which of its list subscriptions.
 * @walker: with the callbacks of a walker of the page table.
 *
 * Return: 0 or -ENOMEM.
 */
int mmt_list_register(struct mmt_space *space, unsigned int nr, bool walker)
{
	struct mmt_list *list = &space->lists[nr];
	struct mmt_sub *sub = &list->sub;
	int ret;

	mmt_begin(sub, 0, UINT_MAX);
	sub->mmu.tlb = walker;
	atomic_set(&list->releases, 0);
	list->in_progress = 0;
	list->notifier.ops = walker ? &mmt_walker_ops :
		mmt_breaks(MMT_START_TWICE) ? &mmt_start_twice_ops : &mmt_list_ops;
	if (mmt_breaks(MMT_EARLY_MAP)) {
		mmt_live(sub);
		mmt_list_fill(list, get_random_u32_below(MMT_PAGES));
		usleep_range(100, 1000);
	}
	if (mmt_breaks(MMT_REGISTER_ERRNO) && nr && !get_random_u32_below(16))
		ret = -EBUSY;
	else
		ret = mmu_notifier_register(&list->notifier, space->mm);
	if (ret) {
		WRITE_ONCE(sub->live, 0);
		if (ret == -ENOMEM)
			mmt_did(MMT_NOMEM);
		else
			mmt_fail(MMT_R11_ERRNO, space->id, nr, -ret);
		mmt_ended(sub);
		return ret;
	}
	mmt_note("registered", space->id, nr, sub->incarnation);
	mmt_did(MMT_REGISTERED);
	mmt_live(sub);
	return 0;
}

/**
 * mmt_list_unregister() - unregister a subscription to a space
 * @space: the space, held by the caller.
 * @nr: which of its list subscriptions.
 */
void mmt_list_unregister(struct mmt_space *space, unsigned int nr)
{
	struct mmt_list *list = &space->lists[nr];
	struct mmt_sub *sub = &list->sub;

	mmt_dying(sub);
	if (mmt_breaks(MMT_EARLY_UNREGISTERED)) {
		mmt_ended(sub);
		usleep_range(500, 2000);
	}
	if (mmt_breaks(MMT_RELEASE_TWICE))
		mmt_release(&list->notifier, space->mm);
	mmu_notifier_unregister(&list->notifier, space->mm);
	mmt_note("unregistered", space->id, nr, sub->incarnation);
	mmt_ended(sub);
	if (atomic_read(&list->releases) != 1)
		mmt_fail(MMT_R6_RELEASE, space->id, nr, atomic_read(&list->releases));
	mmt_mmu_kill(&sub->mmu);
}

/**
 * mmt_fill_pause() - what a reader does between reading an entry and using it
 */
void mmt_fill_pause(void)
{
	if (!get_random_u32_below(32))
		usleep_range(mmt_slow_us / 4, mmt_slow_us);
	else if (!get_random_u32_below(4))
		cond_resched();
}

/**
 * mmt_fill() - make an entry that was read
 * @sub: of this subscription.
 * @page: for this page.
 * @to: what the page table said.
 * @version: how often its entry had been cleared by then.
 *
 * Context: sub->mmu.lock held, and nobody said that the reader has to retry.
 */
void mmt_fill(struct mmt_sub *sub, unsigned int page, struct mmt_page *to,
	      unsigned int version)
{
	struct mmt_space *space = sub->mmu.space;

	lockdep_assert_held(&sub->mmu.lock);
	if (READ_ONCE(space->version[page]) != version) {
		mmt_fail(MMT_R3_COLLIDED, space->id, page, version);
		/* It may be free: nothing good comes of it but R2. */
	}
	mmt_mmu_set(&sub->mmu, page, to);
	mmt_did(MMT_FILLED);
}

/**
 * mmt_list_fill() - fill an entry, by counting ranges in flight
 * @list: of this subscription, registered; its space is used by the caller.
 * @page: for this page.
 */
void mmt_list_fill(struct mmt_list *list, unsigned int page)
{
	struct mmt_mmu *mmu = &list->sub.mmu;
	unsigned long sequence;
	unsigned int version;
	struct mmt_page *to;

	spin_lock(&mmu->lock);
	sequence = list->sequence;
	spin_unlock(&mmu->lock);
	to = mmt_fault(mmu->space, page, &version);
	if (!to)
		return;
	mmt_fill_pause();
	spin_lock(&mmu->lock);
	if ((list->in_progress || sequence != list->sequence) &&
	    !mmt_breaks(MMT_NO_RETRY))
		mmt_did(MMT_RETRIED);
	else
		mmt_fill(&list->sub, page, to, version);
	spin_unlock(&mmu->lock);
}

/**
 * mmt_walker_fill() - a walker looks at the page table
 * @list: the walker, registered; its space is used by the caller.
 * @page: for this page.
 */
void mmt_walker_fill(struct mmt_list *list, unsigned int page)
{
	struct mmt_mmu *mmu = &list->sub.mmu;
	struct mmt_page *to;

	/* As hardware: it sees the entry, or that it is gone, and then the flush. */
	spin_lock(&mmu->space->ptl);
	to = mmt_fault_locked(mmu->space, page);
	if (to) {
		spin_lock(&mmu->lock);
		mmt_mmu_set(mmu, page, to);
		spin_unlock(&mmu->lock);
	}
	spin_unlock(&mmu->space->ptl);
	mmt_did(MMT_WALKED);
}

/*
 * What is freed is kept for a while, so that a late callback finds it ended.
 */

#define MMT_KEPT	64

static void *mmt_kept[MMT_KEPT];
static atomic_t mmt_keep_next;

/**
 * mmt_keep() - free something that has ended, but not at once
 * @gone: what kfree() takes.
 */
void mmt_keep(void *gone)
{
	unsigned int i = (unsigned int)atomic_inc_return(&mmt_keep_next) % MMT_KEPT;

	kfree(xchg(&mmt_kept[i], gone));
}

/**
 * mmt_kept_exit() - free what was kept, when no callback can come any more
 */
void mmt_kept_exit(void)
{
	int i;

	mmu_notifier_synchronize();
	for (i = 0; i < MMT_KEPT; i++)
		kfree(xchg(&mmt_kept[i], NULL));
}

/*
 * Shared subscriptions to a space, made and freed by the core's calls.
 */

#define MMT_MAGIC	0x6d6d5f746f727475UL

struct mmt_shared {
	struct mmu_notifier notifier;
	unsigned long magic;
	atomic_t running;
};

static struct mmt_shared *mmt_shared_enter(struct mmu_notifier *notifier)
{
	struct mmt_shared *shared = container_of(notifier, struct mmt_shared,
						 notifier);

	atomic_inc(&shared->running);
	/* Pairs with mmt_shared_free(). */
	smp_mb__after_atomic();
	if (READ_ONCE(shared->magic) != MMT_MAGIC)
		mmt_fail(MMT_R6_LATE, 0, 0, 0);
	return shared;
}

static void mmt_shared_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	atomic_dec(&mmt_shared_enter(notifier)->running);
}

static int mmt_shared_start(struct mmu_notifier *notifier,
			    const struct mmu_notifier_range *range)
{
	atomic_dec(&mmt_shared_enter(notifier)->running);
	return 0;
}

static void mmt_shared_end(struct mmu_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	atomic_dec(&mmt_shared_enter(notifier)->running);
}

static struct mmu_notifier *mmt_shared_alloc(struct mm_struct *mm)
{
	struct mmt_shared *shared = kzalloc(sizeof(*shared), GFP_KERNEL);

	if (!shared)
		return ERR_PTR(-ENOMEM);
	shared->magic = MMT_MAGIC;
	return &shared->notifier;
}

static void mmt_shared_free(struct mmu_notifier *notifier)
{
	struct mmt_shared *shared = container_of(notifier, struct mmt_shared,
						 notifier);

	if (shared->magic != MMT_MAGIC)
		mmt_fail(MMT_R6_LATE, 0, 1, 0);
	WRITE_ONCE(shared->magic, 0);
	/* Pairs with mmt_shared_enter(). */
	smp_mb();
	if (atomic_read(&shared->running))
		mmt_fail(MMT_R6_LATE, 0, 1, atomic_read(&shared->running));
	mmt_keep(shared);
}

static const struct mmu_notifier_ops mmt_shared_ops = {
	.release = mmt_shared_release,
	.invalidate_range_start = mmt_shared_start,
	.invalidate_range_end = mmt_shared_end,
	.alloc_notifier = mmt_shared_alloc,
	.free_notifier = mmt_shared_free,
};

/**
 * mmt_share() - get a shared subscription twice, and put it twice
 * @space: the space, used by the caller.
 *
 * Return: false if there is no memory for it.
 */
bool mmt_share(struct mmt_space *space)
{
	struct mmu_notifier *got[2];
	int i;

	for (i = 0; i < 2; i++) {
		got[i] = mmu_notifier_get(&mmt_shared_ops, space->mm);
		if (!IS_ERR(got[i]))
			mmt_did(MMT_SHARED);
		else if (PTR_ERR(got[i]) == -ENOMEM)
			mmt_did(MMT_NOMEM);
		else
			mmt_fail(MMT_R11_ERRNO, space->id, i, -PTR_ERR(got[i]));
	}
	if (!IS_ERR(got[0]) && !IS_ERR(got[1]) && got[0] != got[1])
		mmt_fail(MMT_R11_ERRNO, space->id, 2, 0);
	mmt_fill_pause();
	for (i = 0; i < 2; i++)
		if (!IS_ERR(got[i]))
			mmu_notifier_put(got[i]);
	return !IS_ERR(got[0]) && !IS_ERR(got[1]);
}

/**
 * mmt_subs_init() - set up the subscriptions of a space, none of them made
 * @space: the space.
 */
void mmt_subs_init(struct mmt_space *space)
{
	struct mmt_sub *sub;
	unsigned int i;

	for (i = 0; i < MMT_SLOTS; i++) {
		sub = mmt_sub(space, i);
		spin_lock_init(&sub->mmu.lock);
		sub->mmu.space = space;
		sub->mmu.dead = true;
		sub->slot = i;
		sub->ended = true;
	}
	for (i = 0; i < MMT_INTERVALS; i++)
		init_completion(&space->intervals[i].removed);
}
