// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: subscriptions to a range that end without
 * anybody waiting, or many at once, or while a range is in the middle of them.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)
#define FAR		0x80000000UL

/* More than twice what the core notes at a time. */
#define MANY		100

static struct mnk_interval *inserted(struct kunit *test, struct mnk_mm *m,
				     unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = mnk_interval(test, m, start, length);

	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

static void expect_removed(struct kunit *test, struct mnk_interval *interval)
{
	KUNIT_ASSERT_TRUE(test, mnk_completed(&interval->removed));
	MNK_EXPECT_COUNT(test, interval->removals, 1);
}

/* Not yet, that is; a work item would have had the time for it. */
static void expect_not_removed(struct kunit *test,
			       struct mnk_interval *interval)
{
	schedule_timeout_uninterruptible(MNK_WATCH);
	MNK_EXPECT_COUNT(test, interval->removals, 0);
}

/*
 * Without waiting
 */

static void async_calls_back(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	int count = atomic_read(&m->mm->mm_count);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *far = mnk_range_open(test, m, FAR, FAR + PAGE_SIZE);

	mnk_remove_async(interval);
	expect_removed(test, interval);
	mnk_range_close(far);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 0);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, count);
}

/* Where nothing may sleep: under a spinlock. Lockdep and DEBUG_ATOMIC_SLEEP see. */
static void async_under_a_spinlock(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *busy = inserted(test, m, PAGE(4), PAGE_SIZE);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(4), PAGE(5));
	static DEFINE_SPINLOCK(lock);	/* lockdep wants static keys */

	spin_lock(&lock);
	mnk_remove_async(interval);
	mnk_remove_async(busy);
	spin_unlock(&lock);
	expect_removed(test, interval);
	expect_not_removed(test, busy);
	mnk_range_close(range);
	expect_removed(test, busy);
}

static void async_waits_for_older_that_overlap(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *stays = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *first = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_range *second = mnk_range_open(test, m, PAGE(0), PAGE(4));
	struct mnk_range *younger;

	mnk_remove_async(interval);
	expect_not_removed(test, interval);
	younger = mnk_range_open(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 2);
	MNK_EXPECT_COUNT(test, stays->calls, 3);
	mnk_range_close(second);
	expect_not_removed(test, interval);
	mnk_range_close(first);
	expect_removed(test, interval);
	mnk_range_close(younger);
	MNK_EXPECT_COUNT(test, interval->calls, 2);
}

static void async_waits_for_a_callback(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_task *fly;

	interval->gate = mnk_gate(test);
	fly = mnk_start(test, mnk_fly, mnk_range(test, m, PAGE(0), PAGE(1)));
	KUNIT_ASSERT_TRUE(test, mnk_reached(interval->gate));
	mnk_remove_async(interval);
	expect_not_removed(test, interval);
	mnk_open(interval->gate);
	MNK_ASSERT_ENDS(test, fly, 0);
	expect_removed(test, interval);
}

static void async_from_its_own_callback(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *other = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *range;

	interval->remove_self = true;
	range = mnk_range_open(test, m, PAGE(0), PAGE(1));
	expect_not_removed(test, interval);
	mnk_range_close(range);
	expect_removed(test, interval);
	MNK_EXPECT_COUNT(test, other->calls, 1);
}

static void removed_inserts_again(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	unsigned long seq;

	interval->insert_again = true;
	mnk_remove_async(interval);
	expect_removed(test, interval);
	seq = mnk_run(test, mnk_read_begin, interval);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, seq));
}

/* What a module's exit relies on. */
static void synchronize_waits_for_removals(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_task *task;

	interval->removed_gate = mnk_gate(test);
	mnk_remove_async(interval);
	task = mnk_start(test, mnk_synchronize, NULL);
	MNK_ASSERT_WAITS(test, task);
	mnk_range_close(range);
	/* It has been called, but has not returned. */
	KUNIT_ASSERT_TRUE(test, mnk_reached(interval->removed_gate));
	MNK_ASSERT_WAITS(test, task);
	mnk_open(interval->removed_gate);
	MNK_ASSERT_ENDS(test, task, 0);
}

static void async_across_exit(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	int count = atomic_read(&m->mm->mm_count);
	struct mnk_interval *early = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *late = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));

	mnk_remove_async(early);
	/* Nothing of the kind happens in a mm/ that is right: R1 forbids it. */
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, early->calls, 1);
	MNK_EXPECT_COUNT(test, late->calls, 2);
	mnk_remove_async(late);
	expect_not_removed(test, early);
	expect_not_removed(test, late);
	mnk_range_close(range);
	expect_removed(test, early);
	expect_removed(test, late);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, count - 1);
}

/*
 * Many at once
 */

struct batch {
	struct mmu_interval_notifier *subs[4];
	unsigned int nr;
};

static long remove_batch(void *arg)
{
	struct batch *batch = arg;

	mmu_interval_notifier_remove_batch(batch->subs, batch->nr, NULL);
	return 0;
}

static struct batch *batch_of(struct kunit *test, struct mnk_interval **subs,
			      unsigned int nr)
{
	struct batch *batch = kunit_kzalloc(test, sizeof(*batch), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, batch);
	KUNIT_ASSERT_LE(test, nr, ARRAY_SIZE(batch->subs));
	for (; batch->nr < nr; batch->nr++) {
		batch->subs[batch->nr] = &subs[batch->nr]->notifier;
		subs[batch->nr]->live = false;
	}
	return batch;
}

static void batch_waits_for_all(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *n = mnk_mm(test);
	struct mnk_interval *subs[] = {
		inserted(test, m, PAGE(0), PAGE_SIZE),
		inserted(test, m, PAGE(1), PAGE_SIZE),
		inserted(test, n, PAGE(0), PAGE_SIZE),
		inserted(test, m, PAGE(2), PAGE_SIZE),
	};
	struct mnk_range *ranges[] = {
		mnk_range_open(test, m, PAGE(0), PAGE(1)),
		mnk_range_open(test, m, PAGE(1), PAGE(2)),
		mnk_range_open(test, n, PAGE(0), PAGE(1)),
	};
	struct mnk_task *task;
	int i;

	task = mnk_start(test, remove_batch,
			 batch_of(test, subs, ARRAY_SIZE(subs)));
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		MNK_ASSERT_WAITS(test, task);
		/* All are out at once, whoever is waited for. */
		mnk_invalidate(test, m, PAGE(0), PAGE(4));
		mnk_range_close(ranges[i]);
	}
	MNK_ASSERT_ENDS(test, task, 0);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_EXPECT_COUNT(test, subs[i]->calls, i < ARRAY_SIZE(ranges));
}

static void batch_async_calls_each_back(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *n = mnk_mm(test);
	struct mnk_interval *subs[] = {
		inserted(test, m, PAGE(0), PAGE_SIZE),
		inserted(test, m, PAGE(1), PAGE_SIZE),
		inserted(test, n, PAGE(0), PAGE_SIZE),
		inserted(test, m, PAGE(2), PAGE_SIZE),
	};
	struct mnk_range *range = mnk_range_open(test, m, PAGE(1), PAGE(2));
	struct batch *batch = batch_of(test, subs, ARRAY_SIZE(subs));
	int i;

	mmu_interval_notifier_remove_batch(batch->subs, batch->nr, mnk_removed);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		if (i != 1)
			expect_removed(test, subs[i]);
	expect_not_removed(test, subs[1]);
	mnk_range_close(range);
	expect_removed(test, subs[1]);
}

/*
 * In the middle of a range that has more to tell than it can note at a time
 */

static void expect_calls(struct kunit *test, struct mnk_interval **subs,
			 int nr, int calls, int but)
{
	int i;

	for (i = 0; i < nr; i++)
		if (i != but)
			KUNIT_EXPECT_EQ_MSG(test, calls,
					    atomic_read(&subs[i]->calls),
					    "subscription %d", i);
}

static void many_are_told_once(struct kunit *test)
{
	struct mnk_interval *subs[MANY];
	struct mnk_mm *m = mnk_mm(test);
	int i;

	/* Many at one place, and overlapping in all ways. */
	for (i = 0; i < MANY; i++)
		subs[i] = inserted(test, m, PAGE(i % 7), (1 + i % 5) * PAGE_SIZE);
	mnk_invalidate(test, m, PAGE(0), PAGE(20));
	expect_calls(test, subs, MANY, 1, -1);
	mnk_invalidate(test, m, PAGE(20), PAGE(40));
	expect_calls(test, subs, MANY, 1, -1);
	for (i = 0; i < MANY; i += 2)
		MNK_ASSERT_RUNS(test, mnk_remove, subs[i]);
	mnk_invalidate(test, m, PAGE(0), PAGE(20));
	for (i = 0; i < MANY; i++)
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1 + i % 2);
}

/*
 * A range stands in the callback of each subscription in turn. Meanwhile that
 * one and those next to it go, and others come where it stands.
 */
static void index_changes_under_a_range(struct kunit *test)
{
	static const int places[] = { 0, 1, 30, 31, 32, 62, 63, 64, 98 };
	struct mnk_interval *subs[MANY], *late[40];
	int p, i, stands;

	for (p = 0; p < ARRAY_SIZE(places); p++) {
		struct mnk_mm *m = mnk_mm(test);
		struct mnk_task *fly;

		stands = places[p];
		for (i = 0; i < MANY; i++)
			subs[i] = inserted(test, m, PAGE(i), PAGE_SIZE);
		subs[stands]->gate = mnk_gate(test);
		fly = mnk_start(test, mnk_fly,
				mnk_range(test, m, PAGE(0), PAGE(MANY)));
		KUNIT_ASSERT_TRUE(test, mnk_reached(subs[stands]->gate));

		mnk_remove_async(subs[stands]);
		mnk_remove_async(subs[stands + 1]);
		if (stands > 1)
			mnk_remove_async(subs[stands - 1]);
		for (i = 0; i < ARRAY_SIZE(late); i++)
			late[i] = inserted(test, m, PAGE(stands), PAGE_SIZE);
		mnk_open(subs[stands]->gate);
		MNK_ASSERT_ENDS(test, fly, 0);

		expect_removed(test, subs[stands]);
		expect_removed(test, subs[stands + 1]);
		/* Noted before it was removed, or not found any more. */
		KUNIT_EXPECT_LE(test, atomic_read(&subs[stands + 1]->calls), 1);
		expect_calls(test, subs, MANY, 1, stands + 1);
		for (i = 0; i < ARRAY_SIZE(late); i++)
			KUNIT_EXPECT_LE(test, atomic_read(&late[i]->calls), 1);
		/* A second one finds what there is now. */
		mnk_invalidate(test, m, PAGE(0), PAGE(MANY));
		for (i = 0; i < ARRAY_SIZE(late); i++)
			KUNIT_EXPECT_GE(test, atomic_read(&late[i]->calls), 1);
		MNK_EXPECT_COUNT(test, subs[stands]->calls, 1);
		MNK_EXPECT_COUNT(test, subs[MANY - 1]->calls,
				 stands + 1 == MANY - 1 ? 1 : 2);
	}
}

static struct kunit_case mmu_notifier_removal_cases[] = {
	KUNIT_CASE(async_calls_back),
	KUNIT_CASE(async_under_a_spinlock),
	KUNIT_CASE(async_waits_for_older_that_overlap),
	KUNIT_CASE(async_waits_for_a_callback),
	KUNIT_CASE(async_from_its_own_callback),
	KUNIT_CASE(removed_inserts_again),
	KUNIT_CASE(synchronize_waits_for_removals),
	KUNIT_CASE(async_across_exit),
	KUNIT_CASE(batch_waits_for_all),
	KUNIT_CASE(batch_async_calls_each_back),
	KUNIT_CASE(many_are_told_once),
	KUNIT_CASE_SLOW(index_changes_under_a_range),
	{}
};

static struct kunit_suite mmu_notifier_removal_suite = {
	.name = "mmu_notifier_removal",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_removal_cases,
};

kunit_test_suite(mmu_notifier_removal_suite);
