// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: everything at once, for a second each. What
 * is checked are rules that hold at any time, in whatever order things happen.
 * R1-R12 are in Documentation/mm/mmu_notifier/design.rst.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)

/*
 * Subscriptions that come and go under ranges (R1, R5, R6)
 */

#define STRESS_MS	1000
#define NR_MMS		2
#define NR_MOVERS	3
#define NR_CHURNERS	3
#define NR_SUBS		(NR_CHURNERS + 1)	/* per mm; the last one stays */

struct stress;

/**
 * struct stress_sub - a subscription that comes and goes
 * @notifier: what is registered.
 * @stress: the whole.
 * @index: its place in &struct stress_range.told.
 * @incarnation: number of registrations begun.
 * @live: @incarnation from after the registration until before its end, else 0.
 * @releases: calls of release.
 */
struct stress_sub {
	struct mmu_notifier notifier;
	struct stress *stress;
	int index;
	unsigned int incarnation;
	unsigned int live;
	atomic_t releases;
};

/**
 * struct stress_range - a range, and whom it was told to
 * @range: the range; owner points here.
 * @told: for each subscription, the incarnation that saw start and not end.
 */
struct stress_range {
	struct mmu_notifier_range range;
	unsigned int told[NR_SUBS];
};

/**
 * struct stress_interval - a subscription to a range that comes and goes
 * @notifier: what is inserted.
 * @stress: the whole.
 * @inserted: callbacks are allowed.
 */
struct stress_interval {
	struct mmu_interval_notifier notifier;
	struct stress *stress;
	bool inserted;
};

struct stress_mm {
	struct mnk_mm *m;
	struct stress_sub subs[NR_SUBS];
	struct stress_interval intervals[NR_CHURNERS];
};

/**
 * struct stress - the whole
 * @mms: the address spaces.
 * @stop: it is enough.
 * @seed: a different one for each thread.
 * @churners: number of churners that have started.
 * @ranges: ranges that were in flight.
 * @refused: starts that were refused.
 * @registrations: of list subscriptions.
 * @insertions: of interval subscriptions.
 * @reads: reads that needed no retry.
 * @again: starts of one range that were told twice.
 * @unpaired: ends without start.
 * @unended: starts without end, on a subscription that stays.
 * @missed: ranges not told to a subscription that was there.
 * @early: registrations that returned before an older range had ended.
 * @strays: calls of an interval subscription that was not there.
 * @failed: calls that failed.
 */
struct stress {
	struct stress_mm mms[NR_MMS];
	bool stop;
	atomic_t seed;
	atomic_t churners;
	atomic_t ranges;
	atomic_t refused;
	atomic_t registrations;
	atomic_t insertions;
	atomic_t reads;
	atomic_t again;
	atomic_t unpaired;
	atomic_t unended;
	atomic_t missed;
	atomic_t early;
	atomic_t strays;
	atomic_t failed;
};

static int stress_start(struct mmu_notifier *notifier,
			const struct mmu_notifier_range *range)
{
	struct stress_sub *sub = container_of(notifier, struct stress_sub,
					      notifier);
	struct stress_range *told = range->owner;

	/* Some refusals, at varying places in the list. */
	if (!mmu_notifier_range_blockable(range) &&
	    (range->start >> PAGE_SHIFT) % (2 * NR_SUBS) == sub->index)
		return -EAGAIN;
	if (told->told[sub->index])
		atomic_inc(&sub->stress->again);
	told->told[sub->index] = READ_ONCE(sub->incarnation);
	return 0;
}

static void stress_end(struct mmu_notifier *notifier,
		       const struct mmu_notifier_range *range)
{
	struct stress_sub *sub = container_of(notifier, struct stress_sub,
					      notifier);
	struct stress_range *told = range->owner;

	if (told->told[sub->index] != READ_ONCE(sub->incarnation))
		atomic_inc(&sub->stress->unpaired);
	told->told[sub->index] = 0;
}

static void stress_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	atomic_inc(&container_of(notifier, struct stress_sub,
				 notifier)->releases);
}

static const struct mmu_notifier_ops stress_ops = {
	.release = stress_release,
	.invalidate_range_start = stress_start,
	.invalidate_range_end = stress_end,
};

static bool stress_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct stress_interval *interval =
		container_of(notifier, struct stress_interval, notifier);

	if (!READ_ONCE(interval->inserted))
		atomic_inc(&interval->stress->strays);
	mmu_interval_set_seq(notifier, cur_seq);
	/* Now and then, the interval half refuses. */
	return mmu_notifier_range_blockable(range) ||
	       (range->start >> PAGE_SHIFT) % 5;
}

static const struct mmu_interval_notifier_ops stress_interval_ops = {
	.invalidate = stress_invalidate,
};

static void stress_seed(struct stress *stress, struct rnd_state *rnd)
{
	prandom_seed_state(rnd, 4711 + atomic_inc_return(&stress->seed));
}

/* @live: who was there before the range was started. */
static void stress_fly(struct stress *stress, struct stress_mm *mm,
		       struct stress_range *range, const unsigned int *live,
		       struct rnd_state *rnd)
{
	unsigned int now;
	int i;

	for (i = 0; i < NR_SUBS; i++) {
		now = READ_ONCE(mm->subs[i].live);
		if (now && now == live[i] && range->told[i] != now)
			atomic_inc(&stress->missed);
	}

	switch (prandom_u32_state(rnd) % 16) {
	case 0:
		usleep_range(50, 200);
		break;
	case 1 ... 4:
		cond_resched();
		break;
	}

	/* Who came since then, has waited for us. */
	for (i = 0; i < NR_SUBS; i++) {
		now = READ_ONCE(mm->subs[i].live);
		if (now && range->told[i] != now)
			atomic_inc(&stress->early);
	}
	mmu_notifier_invalidate_range_end(&range->range);
	if (range->told[NR_SUBS - 1])
		atomic_inc(&stress->unended);
	atomic_inc(&stress->ranges);
}

static long stress_move(void *arg)
{
	struct stress *stress = arg;
	struct rnd_state rnd;

	stress_seed(stress, &rnd);
	while (!READ_ONCE(stress->stop)) {
		u32 random = prandom_u32_state(&rnd);
		struct stress_mm *mm = &stress->mms[random % NR_MMS];
		unsigned long start = PAGE((random >> 8) % 16);
		struct stress_range range = {};
		unsigned int live[NR_SUBS];
		int i;

		for (i = 0; i < NR_SUBS; i++)
			live[i] = READ_ONCE(mm->subs[i].live);
		mmu_notifier_range_init_owner(&range.range, MMU_NOTIFY_CLEAR, 0,
					      mm->m->mm, start,
					      start + 4 * PAGE_SIZE, &range);
		if (random & 0x80) {
			mmu_notifier_invalidate_range_start(&range.range);
		} else if (mmu_notifier_invalidate_range_start_nonblock(&range.range)) {
			/* All that were told were told the end. */
			if (range.told[NR_SUBS - 1])
				atomic_inc(&stress->unended);
			atomic_inc(&stress->refused);
			cond_resched();
			continue;
		}
		stress_fly(stress, mm, &range, live, &rnd);
		cond_resched();
	}
	return 0;
}

static void stress_churn_list(struct stress *stress, struct stress_mm *mm,
			      struct stress_sub *sub)
{
	int releases = atomic_read(&sub->releases);

	WRITE_ONCE(sub->incarnation, sub->incarnation + 1);
	if (mmu_notifier_register(&sub->notifier, mm->m->mm)) {
		atomic_inc(&stress->failed);
		return;
	}
	WRITE_ONCE(sub->live, sub->incarnation);
	atomic_inc(&stress->registrations);
	usleep_range(50, 500);
	WRITE_ONCE(sub->live, 0);
	mmu_notifier_unregister(&sub->notifier, mm->m->mm);
	if (atomic_read(&sub->releases) != releases + 1)
		atomic_inc(&stress->failed);
}

static void stress_churn_interval(struct stress *stress, struct stress_mm *mm,
				  struct stress_interval *interval,
				  struct rnd_state *rnd)
{
	unsigned long start = PAGE(prandom_u32_state(rnd) % 16);
	unsigned long seq;
	int i;

	WRITE_ONCE(interval->inserted, true);
	if (mmu_interval_notifier_insert(&interval->notifier, mm->m->mm, start,
					 2 * PAGE_SIZE, &stress_interval_ops)) {
		atomic_inc(&stress->failed);
		return;
	}
	atomic_inc(&stress->insertions);
	for (i = 0; i < 4; i++) {
		seq = mmu_interval_read_begin(&interval->notifier);
		cond_resched();
		if (!mmu_interval_read_retry(&interval->notifier, seq))
			atomic_inc(&stress->reads);
	}
	mmu_interval_notifier_remove(&interval->notifier);
	WRITE_ONCE(interval->inserted, false);
}

static long stress_churn(void *arg)
{
	struct stress *stress = arg;
	struct rnd_state rnd;
	int index;

	/* Each thread has subscriptions of its own in each mm. */
	index = atomic_inc_return(&stress->churners) - 1;
	stress_seed(stress, &rnd);
	while (!READ_ONCE(stress->stop)) {
		struct stress_mm *mm =
			&stress->mms[prandom_u32_state(&rnd) % NR_MMS];

		stress_churn_list(stress, mm, &mm->subs[index]);
		stress_churn_interval(stress, mm, &mm->intervals[index], &rnd);
		cond_resched();
	}
	return 0;
}

static long stress_share(void *arg)
{
	struct stress *stress = arg;
	struct rnd_state rnd;

	stress_seed(stress, &rnd);
	while (!READ_ONCE(stress->stop)) {
		struct stress_mm *mm =
			&stress->mms[prandom_u32_state(&rnd) % NR_MMS];
		struct mmu_notifier *first, *second;

		first = mmu_notifier_get(&mnk_shared_release_ops, mm->m->mm);
		second = mmu_notifier_get(&mnk_shared_release_ops, mm->m->mm);
		if (IS_ERR(first) || first != second)
			atomic_inc(&stress->failed);
		if (!IS_ERR(second))
			mmu_notifier_put(second);
		if (!IS_ERR(first))
			mmu_notifier_put(first);
		usleep_range(1000, 3000);
	}
	return 0;
}

static void stress_free(void *stress)
{
	kfree(stress);
}

static void come_and_go(struct kunit *test)
{
	struct stress *stress = kzalloc(sizeof(*stress), GFP_KERNEL);
	struct mnk_task *tasks[NR_MOVERS + NR_CHURNERS + 1];
	bool ended = true;
	int i, k, nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, stress);
	for (i = 0; i < NR_MMS; i++) {
		struct stress_mm *mm = &stress->mms[i];

		mm->m = mnk_mm(test);
		for (k = 0; k < NR_SUBS; k++) {
			mm->subs[k].notifier.ops = &stress_ops;
			mm->subs[k].stress = stress;
			mm->subs[k].index = k;
		}
		for (k = 0; k < NR_CHURNERS; k++)
			mm->intervals[k].stress = stress;
		mm->subs[NR_SUBS - 1].incarnation = 1;
		KUNIT_ASSERT_EQ(test, 0,
				mmu_notifier_register(&mm->subs[NR_SUBS - 1].notifier,
						      mm->m->mm));
		mm->subs[NR_SUBS - 1].live = 1;
	}

	for (i = 0; i < NR_CHURNERS; i++)
		tasks[nr++] = mnk_start(test, stress_churn, stress);
	for (i = 0; i < NR_MOVERS; i++)
		tasks[nr++] = mnk_start(test, stress_move, stress);
	tasks[nr++] = mnk_start(test, stress_share, stress);
	msleep(STRESS_MS);
	WRITE_ONCE(stress->stop, true);
	for (i = 0; i < nr; i++)
		ended &= mnk_ends(tasks[i]);
	KUNIT_ASSERT_TRUE_MSG(test, ended, "a thread hangs");
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, stress_free, stress));

	for (i = 0; i < NR_MMS; i++) {
		struct stress_mm *mm = &stress->mms[i];

		mmu_notifier_unregister(&mm->subs[NR_SUBS - 1].notifier,
					mm->m->mm);
		MNK_EXPECT_COUNT(test, mm->subs[NR_SUBS - 1].releases, 1);
	}
	MNK_EXPECT_COUNT(test, stress->again, 0);
	MNK_EXPECT_COUNT(test, stress->unpaired, 0);
	MNK_EXPECT_COUNT(test, stress->unended, 0);
	MNK_EXPECT_COUNT(test, stress->missed, 0);
	MNK_EXPECT_COUNT(test, stress->early, 0);
	MNK_EXPECT_COUNT(test, stress->strays, 0);
	MNK_EXPECT_COUNT(test, stress->failed, 0);
	kunit_info(test, "%d ranges, %d refused, %d registrations, %d insertions, %d reads\n",
		   atomic_read(&stress->ranges), atomic_read(&stress->refused),
		   atomic_read(&stress->registrations),
		   atomic_read(&stress->insertions),
		   atomic_read(&stress->reads));
	KUNIT_EXPECT_GT(test, atomic_read(&stress->ranges), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->registrations), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->insertions), 0);
}

/*
 * What it is all for: a secondary MMU that follows the contract never has an
 * entry that differs from the page table, and has none within a range in
 * flight (R1, R3).
 */

#define MIRROR_MS	1000
#define MIRROR_PAGES	8
#define MIRROR_SUBS	2	/* each has half of the pages */
#define MIRROR_CHANGERS	3

/**
 * struct mirror_sub - part of a secondary MMU
 * @notifier: the subscription.
 * @mirror: the whole.
 * @first: the first page.
 * @lock: guards @sptes.
 * @sptes: what was read from the page table; 0 is none.
 */
struct mirror_sub {
	struct mmu_interval_notifier notifier;
	struct mirror *mirror;
	int first;
	spinlock_t lock;	/* see above */
	unsigned int sptes[MIRROR_PAGES / MIRROR_SUBS];
};

/**
 * struct mirror - a page table and its secondary MMU
 * @m: the mm.
 * @subs: the parts of the secondary MMU.
 * @ptes: the page table; guarded by @changing.
 * @changing: of each page: by whom it may be changed, as mmap_lock and the
 *	rmap locks do it for pages.
 * @version: the last version of any page.
 * @stop: it is enough.
 * @seed: a different one for each thread.
 * @changes: ranges.
 * @filled: entries made.
 * @retries: reads that collided.
 * @stale: entries that differ from the page table.
 * @held: entries within a range in flight.
 */
struct mirror {
	struct mnk_mm *m;
	struct mirror_sub subs[MIRROR_SUBS];
	unsigned int ptes[MIRROR_PAGES];
	struct mutex changing[MIRROR_PAGES];	/* see above */
	atomic_t version;
	bool stop;
	atomic_t seed;
	atomic_t changes;
	atomic_t filled;
	atomic_t retries;
	atomic_t stale;
	atomic_t held;
};

static bool mirror_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct mirror_sub *sub = container_of(notifier, struct mirror_sub,
					      notifier);
	int i;

	spin_lock(&sub->lock);
	mmu_interval_set_seq(notifier, cur_seq);
	for (i = 0; i < ARRAY_SIZE(sub->sptes); i++)
		if (PAGE(sub->first + i) >= range->start &&
		    PAGE(sub->first + i) < range->end)
			sub->sptes[i] = 0;
	spin_unlock(&sub->lock);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = {
	.invalidate = mirror_invalidate,
};

static unsigned int mirror_spte(struct mirror *mirror, int page)
{
	struct mirror_sub *sub =
		&mirror->subs[page / (MIRROR_PAGES / MIRROR_SUBS)];
	unsigned int spte;

	spin_lock(&sub->lock);
	spte = sub->sptes[page - sub->first];
	spin_unlock(&sub->lock);
	return spte;
}

static void mirror_pause(struct rnd_state *rnd)
{
	switch (prandom_u32_state(rnd) % 32) {
	case 0:
		usleep_range(50, 150);
		break;
	case 1 ... 8:
		cond_resched();
		break;
	}
}

static long mirror_change(void *arg)
{
	struct mirror *mirror = arg;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 815 + atomic_inc_return(&mirror->seed));
	while (!READ_ONCE(mirror->stop)) {
		int from = prandom_u32_state(&rnd) % MIRROR_PAGES;
		int to = from + 1 + prandom_u32_state(&rnd) % 2;
		struct mmu_notifier_range range;
		unsigned int spte;
		int i;

		to = min(to, MIRROR_PAGES);
		for (i = from; i < to; i++)
			mutex_lock_nested(&mirror->changing[i], i - from);
		/* What stood here while nothing was in flight. */
		for (i = from; i < to; i++) {
			spte = mirror_spte(mirror, i);
			if (spte && spte != READ_ONCE(mirror->ptes[i]))
				atomic_inc(&mirror->stale);
		}
		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0,
					mirror->m->mm, PAGE(from), PAGE(to));
		mmu_notifier_invalidate_range_start(&range);
		mirror_pause(&rnd);
		for (i = from; i < to; i++)
			WRITE_ONCE(mirror->ptes[i],
				   atomic_inc_return(&mirror->version));
		mirror_pause(&rnd);
		for (i = from; i < to; i++)
			if (mirror_spte(mirror, i))
				atomic_inc(&mirror->held);
		mmu_notifier_invalidate_range_end(&range);
		for (i = to - 1; i >= from; i--)
			mutex_unlock(&mirror->changing[i]);
		atomic_inc(&mirror->changes);
		mirror_pause(&rnd);
	}
	return 0;
}

static long mirror_fill(void *arg)
{
	struct mirror_sub *sub = arg;
	struct mirror *mirror = sub->mirror;
	struct rnd_state rnd;

	prandom_seed_state(&rnd, 815 + atomic_inc_return(&mirror->seed));
	while (!READ_ONCE(mirror->stop)) {
		int i = prandom_u32_state(&rnd) % ARRAY_SIZE(sub->sptes);
		unsigned long seq = mmu_interval_read_begin(&sub->notifier);
		unsigned int pte = READ_ONCE(mirror->ptes[sub->first + i]);

		mirror_pause(&rnd);
		spin_lock(&sub->lock);
		if (mmu_interval_read_retry(&sub->notifier, seq)) {
			atomic_inc(&mirror->retries);
		} else {
			sub->sptes[i] = pte;
			atomic_inc(&mirror->filled);
		}
		spin_unlock(&sub->lock);
		cond_resched();
	}
	return 0;
}

static long mirror_churn(void *arg)
{
	struct mirror *mirror = arg;
	struct mnk_interval interval = {
		.m = mirror->m,
		.start = PAGE(1),
		.length = 5 * PAGE_SIZE,
	};
	long ret = 0;

	spin_lock_init(&interval.lock);
	while (!READ_ONCE(mirror->stop) && !ret) {
		ret = mnk_insert(&interval);
		if (ret)
			break;
		cond_resched();
		ret = mnk_remove(&interval);
	}
	return ret ? ret : atomic_read(&interval.late);
}

static void mirror_is_never_stale(struct kunit *test)
{
	struct mirror *mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);
	struct mnk_task *tasks[MIRROR_CHANGERS + MIRROR_SUBS + 1];
	bool ended = true;
	int i, nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, mirror);
	mirror->m = mnk_mm(test);
	for (i = 0; i < MIRROR_PAGES; i++) {
		mutex_init(&mirror->changing[i]);
		mirror->ptes[i] = atomic_inc_return(&mirror->version);
	}
	for (i = 0; i < MIRROR_SUBS; i++) {
		struct mirror_sub *sub = &mirror->subs[i];

		sub->mirror = mirror;
		sub->first = i * MIRROR_PAGES / MIRROR_SUBS;
		spin_lock_init(&sub->lock);
		KUNIT_ASSERT_EQ(test, 0,
				mmu_interval_notifier_insert(&sub->notifier,
							     mirror->m->mm,
							     PAGE(sub->first),
							     sizeof(sub->sptes) /
							     sizeof(*sub->sptes) *
							     PAGE_SIZE,
							     &mirror_ops));
	}

	for (i = 0; i < MIRROR_CHANGERS; i++)
		tasks[nr++] = mnk_start(test, mirror_change, mirror);
	for (i = 0; i < MIRROR_SUBS; i++)
		tasks[nr++] = mnk_start(test, mirror_fill, &mirror->subs[i]);
	tasks[nr++] = mnk_start(test, mirror_churn, mirror);
	msleep(MIRROR_MS);
	WRITE_ONCE(mirror->stop, true);
	for (i = 0; i < nr; i++) {
		bool this_one = mnk_ends(tasks[i]);

		KUNIT_EXPECT_TRUE_MSG(test, this_one, "%ps hangs",
				      tasks[i]->fn);
		if (this_one)
			KUNIT_EXPECT_EQ(test, tasks[i]->ret, 0L);
		ended &= this_one;
	}
	KUNIT_ASSERT_TRUE(test, ended);

	for (i = 0; i < MIRROR_SUBS; i++)
		mmu_interval_notifier_remove(&mirror->subs[i].notifier);
	MNK_EXPECT_COUNT(test, mirror->stale, 0);
	MNK_EXPECT_COUNT(test, mirror->held, 0);
	kunit_info(test, "%d changes, %d entries filled, %d retries\n",
		   atomic_read(&mirror->changes), atomic_read(&mirror->filled),
		   atomic_read(&mirror->retries));
	KUNIT_EXPECT_GT(test, atomic_read(&mirror->changes), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&mirror->filled), 0);
	kfree(mirror);
}

static struct kunit_case mmu_notifier_stress_cases[] = {
	KUNIT_CASE_SLOW(come_and_go),
	KUNIT_CASE_SLOW(mirror_is_never_stale),
	{}
};

static struct kunit_suite mmu_notifier_stress_suite = {
	.name = "mmu_notifier_stress",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_stress_cases,
};

kunit_test_suite(mmu_notifier_stress_suite);
