// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of mm/mmu_notifier_stats.c: who is told apart in an mm, and who is met
 * on the way through the list of all of them. What debugfs makes of it is tested
 * from user space.
 */

#include <kunit/test.h>
#include <linux/mm_types.h>

#include "../mmu_notifier.h"
#include "../mmu_notifier_record.h"

static const char who[2 * MMU_SUBSCRIBERS];

/* The first ones have counters of their own, for ever; all others share. */
static void subscribers_share_the_last(struct kunit *test)
{
	struct mmu_notifier_stats *stats =
		kunit_kzalloc(test, sizeof(*stats), GFP_KERNEL);
	struct mmu_subscriber *last;
	unsigned int i, round;

	KUNIT_ASSERT_NOT_NULL(test, stats);
	last = &stats->subscribers[MMU_SUBSCRIBERS - 1];
	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(who); i++) {
			struct mmu_subscriber *subscriber =
				mmu_stats_subscriber(stats, &who[i]);
			unsigned int nr = min(i, MMU_SUBSCRIBERS - 1U);

			KUNIT_EXPECT_PTR_EQ(test, subscriber,
					    &stats->subscribers[nr]);
			if (subscriber != last)
				KUNIT_EXPECT_PTR_EQ(test, subscriber->callback,
						    &who[i]);
		}
	}
	KUNIT_EXPECT_NULL(test, last->callback);
}

#define NR	5

struct listed {
	struct mmu_notifier_subscriptions subscriptions;
	struct mm_struct mm;
};

/* Of these, in order; the kernel may have others. Returns the last one's number. */
static int next_of(struct mmu_notifier_stats *cursor, struct listed **listed,
		   struct mmu_notifier_stats **stats)
{
	int i;

	while ((*stats = mmu_stats_next(cursor, *stats))) {
		for (i = 0; i < NR; i++)
			if (*stats == &listed[i]->subscriptions.stats)
				return i;
	}
	return -1;
}

/*
 * The reader holds the one that it looks at. Others go, before and behind it, and
 * one that is looked at as well.
 */
static void list_is_read_while_it_changes(struct kunit *test)
{
	struct mmu_notifier_stats *cursor, *other, *stats = NULL;
	struct listed *listed[NR];
	unsigned int i;

	cursor = kunit_kzalloc(test, sizeof(*cursor), GFP_KERNEL);
	other = kunit_kzalloc(test, sizeof(*other), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, cursor);
	KUNIT_ASSERT_NOT_NULL(test, other);
	for (i = 0; i < NR; i++) {
		listed[i] = kunit_kzalloc(test, sizeof(*listed[i]), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, listed[i]);
	}
	for (i = 0; i < NR; i++) {
		/* The test has one reference; nobody drops the last. */
		atomic_set(&listed[i]->mm.mm_count, 1);
		mmu_stats_init(&listed[i]->subscriptions, &listed[i]->mm);
	}

	mmu_stats_rewind(cursor);
	KUNIT_EXPECT_EQ(test, next_of(cursor, listed, &stats), 0);
	KUNIT_EXPECT_EQ(test, atomic_read(&listed[0]->mm.mm_count), 2);
	KUNIT_EXPECT_EQ(test, next_of(cursor, listed, &stats), 1);
	KUNIT_EXPECT_EQ(test, atomic_read(&listed[0]->mm.mm_count), 1);

	/* Another place in the list is no mm, and does not move this one. */
	mmu_stats_rewind(other);
	mmu_stats_exit(&listed[0]->subscriptions);
	mmu_stats_exit(&listed[2]->subscriptions);
	KUNIT_EXPECT_EQ(test, next_of(cursor, listed, &stats), 3);

	/* Back to the same one: as after a line that did not fit. */
	mmdrop(stats->mm);
	stats = NULL;
	KUNIT_EXPECT_EQ(test, next_of(cursor, listed, &stats), 3);

	/* Whose mm is being freed is passed over. */
	atomic_set(&listed[4]->mm.mm_count, 0);
	KUNIT_EXPECT_EQ(test, next_of(cursor, listed, &stats), -1);
	KUNIT_EXPECT_EQ(test, atomic_read(&listed[3]->mm.mm_count), 1);

	mmu_stats_close(cursor);
	mmu_stats_close(other);
	mmu_stats_exit(&listed[1]->subscriptions);
	mmu_stats_exit(&listed[3]->subscriptions);
	mmu_stats_exit(&listed[4]->subscriptions);
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(subscribers_share_the_last),
	KUNIT_CASE(list_is_read_while_it_changes),
	{}
};

static struct kunit_suite stats_suite = {
	.name = "mmu_notifier_stats",
	.test_cases = stats_cases,
};

kunit_test_suite(stats_suite);
