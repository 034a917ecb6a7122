// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: the threads that work on the spaces which
 * all of them share.
 *
 * A worker takes any of the spaces, *holds* the struct for as long as it needs it,
 * and *uses* the mm for as long as it changes or reads it. Meanwhile the exiter
 * takes spaces away, so the mm may lose its last user within any call that does not
 * need one.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "mmu_notifier_torture.h"

static DEFINE_SPINLOCK(mmt_spaces_lock);	/* guards mmt_spaces[] */
static struct mmt_space **mmt_spaces;
static unsigned int mmt_nr_spaces;

/**
 * mmt_round() - one round more of a worker
 * @worker: the worker.
 *
 * Return: false if it has to stop.
 */
bool mmt_round(struct mmt_worker *worker)
{
	stutter_wait(worker->name);
	cond_resched();
	WRITE_ONCE(worker->rounds, worker->rounds + 1);
	return !torture_must_stop();
}

/**
 * mmt_stop() - a worker does nothing any more
 * @worker: the worker.
 *
 * Return: 0, when it is awaited.
 */
int mmt_stop(struct mmt_worker *worker)
{
	WRITE_ONCE(worker->gone, true);
	torture_kthread_stopping("worker");
	return 0;
}

/**
 * mmt_spaces_init() - make the spaces that the workers share
 * @nr: how many.
 *
 * Return: 0 or -ENOMEM; mmt_spaces_exit() in any case.
 */
int mmt_spaces_init(unsigned int nr)
{
	unsigned int i;

	mmt_spaces = kcalloc(nr, sizeof(*mmt_spaces), GFP_KERNEL);
	if (!mmt_spaces)
		return -ENOMEM;
	mmt_nr_spaces = nr;
	for (i = 0; i < nr; i++) {
		mmt_spaces[i] = mmt_space_new(i % 4 == 3);
		if (!mmt_spaces[i])
			return -ENOMEM;
	}
	return 0;
}

/**
 * mmt_spaces_exit() - end the spaces, when there are no workers any more
 */
void mmt_spaces_exit(void)
{
	unsigned int i;

	for (i = 0; i < mmt_nr_spaces; i++)
		mmt_space_end(mmt_spaces[i], i & 1);
	mmt_nr_spaces = 0;
	kfree(mmt_spaces);
	mmt_spaces = NULL;
}

/**
 * mmt_space_any() - find a space
 * @random: which one.
 * @use: it is to be used, and not only held.
 *
 * Return: the space, or NULL.
 */
struct mmt_space *mmt_space_any(unsigned long random, bool use)
{
	struct mmt_space *space;

	spin_lock(&mmt_spaces_lock);
	space = mmt_spaces[random % mmt_nr_spaces];
	if (space)
		mmt_space_hold(space);
	spin_unlock(&mmt_spaces_lock);
	if (space && use && !mmt_space_use(space)) {
		mmt_space_put(space);
		space = NULL;
	}
	return space;
}

static void mmt_pause(unsigned long random)
{
	switch (random % 32) {
	case 0:
		usleep_range(mmt_slow_us, 2 * mmt_slow_us + 1);
		break;
	case 1 ... 8:
		cond_resched();
		break;
	}
}

static void mmt_fly(struct mmt_space *space, unsigned long random,
		    struct mmt_range *outer)
{
	unsigned int first = random % MMT_PAGES, last = first + (random >> 8) % 4;
	bool blockable = random & BIT(16);
	enum mmu_notifier_event event;
	struct mmt_range range;

	if (!((random >> 17) % 32)) {
		first = 0;
		last = MMT_PAGES - 1;
	}
	last = min(last, MMT_PAGES - 1U);
	event = random & BIT(23) ? MMU_NOTIFY_UNMAP : MMU_NOTIFY_CLEAR;
	if (mmt_range_start(space, &range, first, last, event, blockable))
		return;
	mmt_range_check(&range);
	mmt_pause(random >> 24);
	/* Ranges nest: splitting a huge page, copy on write in fork(). */
	if (!outer && !((random >> 24) % 16))
		mmt_fly(space, random >> 5, &range);
	mmt_range_zap(&range);
	mmt_pause(random >> 29);
	mmt_range_check(&range);
	mmt_range_end(&range);
}

/**
 * mmt_range_once() - a range over some of the arena
 * @space: of this space, used by the caller.
 * @random: which pages, and how.
 */
void mmt_range_once(struct mmt_space *space, unsigned long random)
{
	bool locked = space->bare || random & BIT(63);

	if (locked)
		mmap_read_lock(space->mm);
	mmt_fly(space, random, NULL);
	if (locked)
		mmap_read_unlock(space->mm);
}

/**
 * mmt_changer() - start ranges, change entries, end ranges
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_changer(void *worker)
{
	struct mmt_space *space;

	while (mmt_round(worker)) {
		space = mmt_space_any(get_random_u32(), true);
		if (!space)
			continue;
		mmt_range_once(space, get_random_u64());
		mmt_worked(worker);
		mmt_space_done(space);
		mmt_pause(get_random_u32());
	}
	return mmt_stop(worker);
}

static int mmt_come_and_go(struct mmt_worker *worker, unsigned int nr, bool walker)
{
	DEFINE_TORTURE_RANDOM(rand);
	struct mmt_space *space;
	struct mmt_list *list;
	unsigned int i, page;

	while (mmt_round(worker)) {
		space = mmt_space_any(torture_random(&rand) >> 8, true);
		if (!space)
			continue;
		list = &space->lists[nr];
		if (mmt_list_register(space, nr, walker)) {
			mmt_space_done(space);
			continue;
		}
		for (i = torture_random(&rand) % 64; i; i--) {
			page = (torture_random(&rand) >> 4) % MMT_PAGES;
			if (walker)
				mmt_walker_fill(list, page);
			else
				mmt_list_fill(list, page);
			mmt_mmu_use(&list->sub.mmu,
				    i & 1 ? page : (page + 7) % MMT_PAGES);
			mmt_pause(torture_random(&rand) >> 4);
		}
		mmt_worked(worker);
		/* Exit may come before, or within, or not at all. */
		if (torture_random(&rand) & BIT(9)) {
			mmt_space_unuse(space);
			mmt_pause(torture_random(&rand) >> 4);
			mmt_list_unregister(space, nr);
		} else {
			mmt_list_unregister(space, nr);
			mmt_space_unuse(space);
		}
		mmt_space_put(space);
	}
	return mmt_stop(worker);
}

/**
 * mmt_lister() - register and unregister
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_lister(void *worker)
{
	struct mmt_worker *this = worker;

	return mmt_come_and_go(this, MMT_FIRST_LISTER + this->index, false);
}

/**
 * mmt_walker() - the same as a walker of the page table
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_walker(void *worker)
{
	struct mmt_worker *this = worker;

	return mmt_come_and_go(this, MMT_FIRST_WALKER + this->index, true);
}

/**
 * mmt_sharer() - get and put
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_sharer(void *worker)
{
	struct mmt_space *space;

	while (mmt_round(worker)) {
		space = mmt_space_any(get_random_u32(), true);
		if (space) {
			if (mmt_share(space))
				mmt_worked(worker);
			mmt_space_done(space);
		}
		usleep_range(1000, 3000);
	}
	return mmt_stop(worker);
}

/* Inserts up to MMT_BATCH subscriptions from @nr on. Returns how many. */
static unsigned int mmt_insert_some(struct mmt_space *space, unsigned int nr,
				    struct torture_random_state *rand)
{
	static const unsigned int kinds[] = {
		0, MMT_SETTLES, MMT_TWO_PASS, MMT_SETTLES | MMT_UNMAPS_ONLY,
		MMT_SETTLES | MMT_TWO_PASS,
	};
	unsigned int count, first, last, i, k, page;
	unsigned long random;

	for (count = 0; count < MMT_BATCH; count++) {
		random = torture_random(rand) >> 4;
		if (count && random & 1)
			break;
		first = (random >> 1) % MMT_PAGES;
		last = min(first + (unsigned int)(random >> 7) % 8, MMT_PAGES - 1U);
		if (mmt_insert(space, nr + count, first, last,
			       kinds[(random >> 11) % ARRAY_SIZE(kinds)]))
			break;
	}
	for (i = 0; i < count; i++) {
		struct mmt_interval *interval = &space->intervals[nr + i];

		/* Who does not want to hear of everything has no SPTEs. */
		if (interval->sub.unmaps_only)
			continue;
		for (k = (torture_random(rand) >> 4) % 8; k; k--) {
			page = interval->sub.first + (torture_random(rand) >> 4) %
			       (interval->sub.last - interval->sub.first + 1);
			mmt_interval_fill(interval, page);
			mmt_mmu_use(&interval->sub.mmu, page);
		}
	}
	return count;
}

static void mmt_remove_some(struct mmt_space *space, unsigned int nr,
			    unsigned int count, unsigned long random)
{
	unsigned int i;

	switch (random % 3) {
	case 0:
		for (i = 0; i < count; i++)
			mmt_remove(space, nr + i);
		return;
	case 1:
		for (i = 0; i < count; i++)
			mmt_remove_async(space, nr + i);
		break;
	case 2:
		mmt_remove_batch(space, nr, count);
		break;
	}
	for (i = 0; i < count; i++)
		mmt_removed(space, nr + i);
}

/**
 * mmt_inserter() - insert and remove, waiting or not, one or several
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_inserter(void *worker)
{
	struct mmt_worker *this = worker;
	unsigned int nr = MMT_FIRST_INSERTER + this->index * MMT_BATCH, count;
	DEFINE_TORTURE_RANDOM(rand);
	struct mmt_space *space;
	bool early;

	while (mmt_round(this)) {
		space = mmt_space_any(torture_random(&rand) >> 8, true);
		if (!space)
			continue;
		count = mmt_insert_some(space, nr, &rand);
		early = torture_random(&rand) & BIT(9);
		if (early)
			mmt_space_unuse(space);
		mmt_pause(torture_random(&rand) >> 4);
		if (count) {
			mmt_remove_some(space, nr, count, torture_random(&rand) >> 4);
			mmt_worked(this);
		}
		if (!early)
			mmt_space_unuse(space);
		mmt_space_put(space);
	}
	return mmt_stop(worker);
}

/**
 * mmt_reader() - fill and use SPTEs of the permanent subscriptions
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_reader(void *worker)
{
	unsigned int i, page, half = MMT_PAGES / MMT_PERMANENT_INTERVALS;
	DEFINE_TORTURE_RANDOM(rand);
	struct mmt_interval *interval;
	struct mmt_space *space;

	while (mmt_round(worker)) {
		space = mmt_space_any(torture_random(&rand) >> 8, true);
		if (!space)
			continue;
		down_read(&space->permanents);
		for (i = 0; i < 16 && space->permanent; i++) {
			page = (torture_random(&rand) >> 4) % MMT_PAGES;
			interval = &space->intervals[page / half];
			mmt_interval_fill(interval, page);
			mmt_mmu_use(&interval->sub.mmu, page);
			if (!(i % 4))
				mmt_list_fill(&space->lists[0], page);
			mmt_mmu_use(&space->lists[0].sub.mmu, page);
			mmt_worked(worker);
		}
		up_read(&space->permanents);
		mmt_space_done(space);
	}
	return mmt_stop(worker);
}

/* Is a subscription busy? If it has to be, or must not be, see that it is so. */
static void mmt_settled_now(struct mmt_space *space, unsigned int nr, bool settled)
{
	struct mmt_interval *interval = &space->intervals[nr];
	bool busy;

	spin_lock(&interval->sub.mmu.lock);
	busy = interval->busy;
	spin_unlock(&interval->sub.mmu.lock);
	if (busy == settled)
		mmt_fail(settled ? MMT_R5_UNSETTLED : MMT_R5_SETTLED, space->id,
			 MMT_LISTS + nr, interval->sub.incarnation);
}

/* Returns false if there is no memory for it. */
static bool mmt_settle(struct mmt_space *space, unsigned int nr, unsigned int page,
		       unsigned int kind, bool blockable)
{
	struct mmt_range one, two;
	bool both;

	/* Nothing is in flight here but what is started here. */
	if (mmt_insert(space, nr, page, page + 1, kind))
		return false;
	mmt_settled_now(space, nr, true);
	if (!mmt_range_start(space, &one, page, page, MMU_NOTIFY_UNMAP, blockable)) {
		mmt_settled_now(space, nr, false);
		both = !mmt_range_start(space, &two, page, page + 1,
					MMU_NOTIFY_UNMAP, blockable);
		mmt_range_check(&one);
		mmt_range_end(&one);
		if (both) {
			mmt_settled_now(space, nr, false);
			mmt_range_end(&two);
		}
	}
	mmt_settled_now(space, nr, true);
	if (kind & MMT_UNMAPS_ONLY &&
	    !mmt_range_start(space, &one, page, page, MMU_NOTIFY_CLEAR, blockable)) {
		mmt_settled_now(space, nr, true);
		mmt_range_end(&one);
	}
	mmt_remove(space, nr);

	/* One is in flight before it comes, and one comes after it. */
	if (mmt_range_start(space, &one, page, page, MMU_NOTIFY_UNMAP, blockable))
		return true;
	if (!mmt_insert(space, nr, page, page + 1, kind)) {
		mmt_settled_now(space, nr, false);
		both = !mmt_range_start(space, &two, page, page + 1,
					MMU_NOTIFY_UNMAP, blockable);
		if (both)
			mmt_range_end(&two);
		mmt_settled_now(space, nr, false);
		mmt_range_end(&one);
		mmt_settled_now(space, nr, true);
		mmt_remove(space, nr);
	} else {
		mmt_range_end(&one);
	}
	return true;
}

/**
 * mmt_settler() - ranges over pages of its own: when is it told that it is settled?
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_settler(void *worker)
{
	struct mmt_worker *this = worker;
	unsigned int nr = MMT_FIRST_SETTLER + this->index;
	DEFINE_TORTURE_RANDOM(rand);
	struct mmt_space *space;
	unsigned long random;

	while (mmt_round(this)) {
		random = torture_random(&rand) >> 4;
		space = mmt_space_any(random >> 8, true);
		if (!space)
			continue;
		/* No mmap_lock, which insertion takes. */
		if (!space->bare &&
		    mmt_settle(space, nr, MMT_SETTLE + 2 * this->index,
			       MMT_SETTLES | (random & 1 ? MMT_TWO_PASS : 0) |
			       (random & 2 ? MMT_UNMAPS_ONLY : 0), random & 12))
			mmt_worked(this);
		mmt_space_done(space);
	}
	return mmt_stop(worker);
}

/**
 * mmt_exiter() - put a new space in the place of another, which ends
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_exiter(void *worker)
{
	DEFINE_TORTURE_RANDOM(rand);
	struct mmt_space *space;
	unsigned long random;

	while (mmt_round(worker)) {
		random = torture_random(&rand) >> 4;
		space = mmt_space_new(!(random % 4));
		if (!space) {
			mmt_did(MMT_NOMEM);
		} else {
			spin_lock(&mmt_spaces_lock);
			swap(space, mmt_spaces[(random >> 4) % mmt_nr_spaces]);
			spin_unlock(&mmt_spaces_lock);
			mmt_space_end(space, random & 4);
			mmt_worked(worker);
		}
		usleep_range(5000, 20000);
	}
	return mmt_stop(worker);
}

/**
 * mmt_staller() - let no other thread have its CPU for a while, now and then
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_staller(void *worker)
{
	while (mmt_round(worker)) {
		preempt_disable();
		mdelay(mmt_stall_ms);
		preempt_enable();
		mmt_did(MMT_STALLS);
		msleep(1000);
	}
	return mmt_stop(worker);
}

/**
 * mmt_presser() - take memory, and give it back
 * @worker: the worker.
 *
 * Return: 0.
 */
int mmt_presser(void *worker)
{
	unsigned long limit = (unsigned long)mmt_pressure_mb << (20 - PAGE_SHIFT);
	struct page *page, *next;
	unsigned long i;
	LIST_HEAD(pages);

	while (mmt_round(worker)) {
		for (i = 0; i < limit && !torture_must_stop(); i++) {
			page = alloc_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
			if (!page)
				break;
			list_add(&page->lru, &pages);
			if (!(i % 64))
				cond_resched();
		}
		msleep(20);
		list_for_each_entry_safe(page, next, &pages, lru) {
			list_del(&page->lru);
			__free_page(page);
		}
		mmt_did(MMT_PRESSED);
		msleep(100);
	}
	return mmt_stop(worker);
}
