// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: subscriptions to some pages of a space.
 * What mmu_notifier_torture_subs.c says of callbacks and checks holds here, too.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "mmu_notifier_torture_subs.h"

static struct mmt_interval *mmt_to_interval(struct mmu_interval_notifier *notifier)
{
	return container_of(notifier, struct mmt_interval, notifier);
}

static bool mmt_overlaps(const struct mmt_sub *sub, const struct mmt_range *range)
{
	return sub->first <= range->last && sub->last >= range->first;
}

/* The address space goes away: nobody's range, over everything. */
static void mmt_interval_released(struct mmt_interval *interval, unsigned long cur_seq)
{
	struct mmt_sub *sub = &interval->sub;

	spin_lock(&sub->mmu.lock);
	mmu_interval_set_seq(&interval->notifier, cur_seq);
	interval->busy = true;
	spin_unlock(&sub->mmu.lock);
	if (!mmt_breaks(MMT_RELEASE_KEEPS))
		mmt_mmu_kill(&sub->mmu);
}

/* What both ways to invalidate begin with. False: refused. */
static bool mmt_told(struct mmt_interval *interval,
		     const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	struct mmt_range *r = mmt_to_range(range);
	struct mmt_sub *sub = &interval->sub;
	int space = sub->mmu.space->id;

	if (!mmt_overlaps(sub, r) ||
	    (sub->unmaps_only && range->event != MMU_NOTIFY_UNMAP))
		mmt_fail(MMT_R8_UNASKED, space, sub->slot, r->first);
	if (blockable != r->blockable)
		mmt_fail(MMT_R10_BLOCKS, space, sub->slot, blockable);
	if (r->told[sub->slot])
		mmt_fail(MMT_R5_TWICE, space, sub->slot, r->told[sub->slot]);
	r->told[sub->slot] = sub->incarnation;
	if (!mmt_refuses(blockable))
		return true;
	r->refusals++;
	return false;
}

static void mmt_collide(struct mmt_interval *interval, unsigned long cur_seq)
{
	lockdep_assert_held(&interval->sub.mmu.lock);
	interval->busy = true;
	if (!mmt_breaks(MMT_NO_SEQUENCE))
		mmu_interval_set_seq(&interval->notifier, cur_seq);
}

static bool mmt_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq)
{
	struct mmt_interval *interval = mmt_to_interval(notifier);
	struct mmt_sub *sub = &interval->sub;
	struct mmt_range *r;
	bool ret = true;

	mmt_enter(sub);
	if (range->event == MMU_NOTIFY_RELEASE) {
		mmt_interval_released(interval, cur_seq);
	} else {
		r = mmt_to_range(range);
		ret = mmt_told(interval, range);
		spin_lock(&sub->mmu.lock);
		mmt_collide(interval, cur_seq);
		if (!mmt_breaks(MMT_NO_ZAP))
			mmt_mmu_drop(&sub->mmu, r->first, r->last);
		spin_unlock(&sub->mmu.lock);
		if (ret)
			mmt_mood(sub, r->blockable);
	}
	mmt_leave(sub);
	return ret;
}

static bool mmt_invalidate_start(struct mmu_interval_notifier *notifier,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish)
{
	struct mmt_interval *interval = mmt_to_interval(notifier);
	struct mmt_sub *sub = &interval->sub;
	struct mmt_finish *this;
	struct mmt_range *r;
	bool ret;

	mmt_enter(sub);
	if (range->event == MMU_NOTIFY_RELEASE) {
		mmt_interval_released(interval, cur_seq);
		mmt_leave(sub);
		return true;
	}
	r = mmt_to_range(range);
	ret = mmt_told(interval, range);
	spin_lock(&sub->mmu.lock);
	mmt_collide(interval, cur_seq);
	for (this = interval->finishes;
	     this < interval->finishes + MMT_FINISHES; this++) {
		if (this->busy)
			continue;
		this->busy = true;
		this->first = r->first;
		this->last = r->last;
		*finish = &this->finish;
		break;
	}
	if (!*finish && !mmt_breaks(MMT_NO_ZAP))
		mmt_mmu_drop(&sub->mmu, r->first, r->last);
	spin_unlock(&sub->mmu.lock);
	if (ret)
		mmt_mood(sub, r->blockable);
	/* What has begun goes on running until it is finished. */
	if (!*finish)
		mmt_leave(sub);
	return ret;
}

static void mmt_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct mmt_finish *this = container_of(finish, struct mmt_finish, finish);
	struct mmt_interval *interval = mmt_to_interval(finish->notifier);
	struct mmt_sub *sub = &interval->sub;

	if (READ_ONCE(sub->ended) || !this->busy)
		mmt_fail(MMT_R6_LATE, sub->mmu.space->id, sub->slot, sub->incarnation);
	spin_lock(&sub->mmu.lock);
	if (!mmt_breaks(MMT_NO_ZAP))
		mmt_mmu_drop(&sub->mmu, this->first, this->last);
	this->busy = false;
	spin_unlock(&sub->mmu.lock);
	mmt_leave(sub);
}

static void mmt_settled(struct mmu_interval_notifier *notifier)
{
	struct mmt_interval *interval = mmt_to_interval(notifier);
	struct mmt_sub *sub = &interval->sub;

	if (mmt_breaks(MMT_SETTLED_LOST) && !get_random_u32_below(16))
		return;
	mmt_enter(sub);
	if (mmt_flying(sub->mmu.space, sub->first, sub->last, sub->unmaps_only))
		mmt_fail(MMT_R5_SETTLED, sub->mmu.space->id, sub->slot,
			 sub->incarnation);
	spin_lock(&sub->mmu.lock);
	interval->busy = false;
	spin_unlock(&sub->mmu.lock);
	mmt_did(MMT_SETTLED);
	mmt_leave(sub);
}

static bool mmt_invalidate_settles(struct mmu_interval_notifier *notifier,
				   const struct mmu_notifier_range *range,
				   unsigned long cur_seq)
{
	struct mmt_interval *interval = mmt_to_interval(notifier);
	bool ret = mmt_invalidate(notifier, range, cur_seq);

	if (mmt_breaks(MMT_EARLY_SETTLED) && range->event != MMU_NOTIFY_RELEASE &&
	    !READ_ONCE(interval->sub.ended))
		mmt_settled(notifier);
	return ret;
}

static bool mmt_concerns(const struct mmu_interval_notifier *notifier,
			 const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP || range->event == MMU_NOTIFY_RELEASE;
}

#define MMT_ONE		.invalidate = mmt_invalidate
#define MMT_ONE_SETTLES	.invalidate = mmt_invalidate_settles, .settled = mmt_settled
#define MMT_TWO		.invalidate_start = mmt_invalidate_start, \
			.invalidate_finish = mmt_invalidate_finish

/* By what mmt_insert() is told. */
static const struct mmu_interval_notifier_ops mmt_interval_ops[] = {
	[0] = { MMT_ONE },
	[MMT_SETTLES] = { MMT_ONE_SETTLES },
	[MMT_UNMAPS_ONLY | MMT_SETTLES] = { MMT_ONE_SETTLES, .concerns = mmt_concerns },
	[MMT_TWO_PASS] = { MMT_TWO },
	[MMT_TWO_PASS | MMT_SETTLES] = { MMT_TWO, .settled = mmt_settled },
	[MMT_TWO_PASS | MMT_UNMAPS_ONLY | MMT_SETTLES] = {
		MMT_TWO, .settled = mmt_settled, .concerns = mmt_concerns
	},
};

/* For types that wait where nobody does. */
static void mmt_wait_for_none(struct mmt_space *space, struct mmt_sub *sub)
{
	while (!torture_must_stop_irq() &&
	       mmt_flying(space, sub->first, sub->last, false))
		usleep_range(200, 400);
}

/**
 * mmt_insert() - insert a subscription to some pages
 * @space: the space, used by the caller.
 * @nr: which of its interval subscriptions.
 * @first: first page.
 * @last: last page (inclusive).
 * @kind: MMT_SETTLES, MMT_UNMAPS_ONLY (only with that), MMT_TWO_PASS.
 *
 * Return: 0 or -ENOMEM.
 */
int mmt_insert(struct mmt_space *space, unsigned int nr, unsigned int first,
	       unsigned int last, unsigned int kind)
{
	struct mmt_interval *interval = &space->intervals[nr];
	struct mmt_sub *sub = &interval->sub;
	unsigned int pages = last - first + 1;
	int ret;

	WRITE_ONCE(sub->unmaps_only, kind & MMT_UNMAPS_ONLY);
	mmt_begin(sub, first, last);
	reinit_completion(&interval->removed);
	spin_lock(&sub->mmu.lock);
	interval->busy = kind & MMT_SETTLES;
	spin_unlock(&sub->mmu.lock);
	if (mmt_breaks(MMT_WIDER))
		pages++;
	ret = mmu_interval_notifier_insert(&interval->notifier, space->mm,
					   MMT_ADDRESS(first), pages << PAGE_SHIFT,
					   &mmt_interval_ops[kind]);
	if (ret) {
		if (ret == -ENOMEM)
			mmt_did(MMT_NOMEM);
		else
			mmt_fail(MMT_R11_ERRNO, space->id, sub->slot, -ret);
		mmt_ended(sub);
		return ret;
	}
	if (mmt_breaks(MMT_INSERT_WAITS))
		mmt_wait_for_none(space, sub);
	mmt_note("inserted", space->id, sub->slot, sub->incarnation);
	mmt_did(MMT_INSERTED);
	mmt_live(sub);
	return 0;
}

/**
 * mmt_remove() - remove a subscription to some pages, and wait for that
 * @space: the space, held by the caller.
 * @nr: which of its interval subscriptions.
 */
void mmt_remove(struct mmt_space *space, unsigned int nr)
{
	struct mmt_interval *interval = &space->intervals[nr];
	struct mmt_sub *sub = &interval->sub;

	mmt_dying(sub);
	mmt_mmu_kill(&sub->mmu);
	if (mmt_breaks(MMT_REMOVE_WAITS))
		mmt_wait_for_none(space, sub);
	mmu_interval_notifier_remove(&interval->notifier);
	mmt_note("removed", space->id, sub->slot, sub->incarnation);
	mmt_ended(sub);
}

static void mmt_removed_callback(struct mmu_interval_notifier *notifier)
{
	struct mmt_interval *interval = mmt_to_interval(notifier);
	struct mmt_sub *sub = &interval->sub;

	mmt_note("removed by callback", sub->mmu.space->id, sub->slot,
		 sub->incarnation);
	mmt_ended(sub);
	/* The space may go away now. */
	complete_all(&interval->removed);
}

static void mmt_remove_begin(struct mmt_space *space, unsigned int nr)
{
	struct mmt_sub *sub = &space->intervals[nr].sub;

	mmt_dying(sub);
	mmt_mmu_kill(&sub->mmu);
	if (mmt_breaks(MMT_EARLY_REMOVED))
		mmt_ended(sub);
}

/**
 * mmt_remove_async() - remove a subscription to some pages, and do not wait
 * @space: the space, held by the caller.
 * @nr: which of its interval subscriptions; mmt_removed() waits.
 */
void mmt_remove_async(struct mmt_space *space, unsigned int nr)
{
	mmt_remove_begin(space, nr);
	mmu_interval_notifier_remove_async(&space->intervals[nr].notifier,
					   mmt_removed_callback);
	mmt_did(MMT_ASYNC);
}

/**
 * mmt_remove_batch() - remove several subscriptions to some pages, and do not wait
 * @space: the space, held by the caller.
 * @nr: the first one of its interval subscriptions; mmt_removed() waits for each.
 * @count: how many, MMT_BATCH at most.
 */
void mmt_remove_batch(struct mmt_space *space, unsigned int nr, unsigned int count)
{
	struct mmu_interval_notifier *subs[MMT_BATCH];
	unsigned int i;

	for (i = 0; i < count; i++) {
		mmt_remove_begin(space, nr + i);
		subs[i] = &space->intervals[nr + i].notifier;
	}
	mmu_interval_notifier_remove_batch(subs, count, mmt_removed_callback);
	mmt_did(MMT_BATCHES);
}

/**
 * mmt_removed() - wait for the end of an asynchronous removal
 * @space: the space, held by the caller.
 * @nr: which of its interval subscriptions.
 */
void mmt_removed(struct mmt_space *space, unsigned int nr)
{
	unsigned int slices = mmt_bound_ms / 100;

	/* In slices: where the guest stands still jiffies jump. */
	while (slices--)
		if (wait_for_completion_timeout(&space->intervals[nr].removed, HZ / 10))
			return;
	mmt_fail(MMT_R9_WAIT, space->id, MMT_LISTS + nr, 0);
	wait_for_completion(&space->intervals[nr].removed);
}

/**
 * mmt_read_begin() - begin to read
 * @interval: under this subscription, inserted.
 *
 * Return: the sequence.
 */
unsigned long mmt_read_begin(struct mmt_interval *interval)
{
	if (mmt_breaks(MMT_READ_WAITS))
		mmt_wait_for_none(interval->sub.mmu.space, &interval->sub);
	return mmu_interval_read_begin(&interval->notifier);
}

/**
 * mmt_interval_fill() - fill an entry, by a read that may have to be retried
 * @interval: of this subscription, inserted; its space is used by the caller.
 * @page: for this page, to which it is subscribed.
 */
void mmt_interval_fill(struct mmt_interval *interval, unsigned int page)
{
	unsigned long seq = mmt_read_begin(interval);
	struct mmt_mmu *mmu = &interval->sub.mmu;
	unsigned int version;
	struct mmt_page *to;

	to = mmt_fault(mmu->space, page, &version);
	if (!to)
		return;
	mmt_fill_pause();
	spin_lock(&mmu->lock);
	if (mmu_interval_read_retry(&interval->notifier, seq) &&
	    !mmt_breaks(MMT_NO_RETRY))
		mmt_did(MMT_RETRIED);
	else
		mmt_fill(&interval->sub, page, to, version);
	spin_unlock(&mmu->lock);
}

/*
 * Who is there from the beginning
 */

/**
 * mmt_permanents_add() - make the permanent subscriptions of a space
 * @space: the space, used by the caller, nobody else knows it.
 *
 * Return: 0 or -ENOMEM.
 */
int mmt_permanents_add(struct mmt_space *space)
{
	unsigned int half = MMT_PAGES / MMT_PERMANENT_INTERVALS;
	int ret, i;

	ret = mmt_list_register(space, 0, false);
	if (ret)
		return ret;
	for (i = 0; i < MMT_PERMANENT_INTERVALS; i++) {
		ret = mmt_insert(space, i, i * half, i * half + half - 1,
				 i ? MMT_TWO_PASS : MMT_SETTLES);
		if (ret)
			break;
	}
	if (!ret) {
		space->permanent = true;
		return 0;
	}
	while (i--)
		mmt_remove(space, i);
	mmt_list_unregister(space, 0);
	return ret;
}

/**
 * mmt_permanents_remove() - end the permanent subscriptions of a space
 * @space: the space, held by the caller.
 */
void mmt_permanents_remove(struct mmt_space *space)
{
	bool there;
	int i;

	down_write(&space->permanents);
	there = space->permanent;
	space->permanent = false;
	up_write(&space->permanents);
	if (!there)
		return;
	for (i = 0; i < MMT_PERMANENT_INTERVALS; i++)
		mmt_remove(space, i);
	mmt_list_unregister(space, 0);
}
