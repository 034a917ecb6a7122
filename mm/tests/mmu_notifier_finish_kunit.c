// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: invalidations in two passes. All
 * subscriptions that a range overlaps begin before the first one finishes, and
 * what has begun is finished, whatever becomes of the range.
 */

#include <kunit/test.h>
#include <linux/completion.h>

#include "mmu_notifier_kunit.h"

#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)

/* More than the core notes at a time. */
#define MANY		100

static struct mnk_interval *two_pass(struct kunit *test, struct mnk_mm *m)
{
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);

	interval->two_pass = true;
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

static struct mnk_interval *one_pass(struct kunit *test, struct mnk_mm *m)
{
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);

	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

/* How many of them @nr are; they can be more than the core notes at a time. */
struct nr_case {
	const char *name;
	int nr;
};

static const struct nr_case nr_cases[] = {
	{ "1", 1 }, { "2", 2 }, { "31", 31 }, { "32", 32 }, { "33", 33 },
	{ "64", 64 }, { "100", MANY },
};

KUNIT_ARRAY_PARAM_DESC(nr, nr_cases, name);

static void all_begin_before_one_finishes(struct kunit *test)
{
	const struct nr_case *n = test->param_value;
	struct mnk_interval *subs[MANY];
	struct mnk_mm *m = mnk_mm(test);
	int i, last_begin = 0, first_finish = INT_MAX;

	/* Every third has nothing to finish. */
	for (i = 0; i < n->nr; i++)
		subs[i] = i % 3 == 1 ? one_pass(test, m) : two_pass(test, m);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));

	for (i = 0; i < n->nr; i++) {
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1);
		MNK_EXPECT_COUNT(test, subs[i]->finishes, subs[i]->two_pass);
		last_begin = max(last_begin, subs[i]->began);
		if (subs[i]->two_pass)
			first_finish = min(first_finish, subs[i]->finished);
	}
	KUNIT_EXPECT_LT(test, last_begin, first_finish);
}

static void nothing_stored_nothing_finished(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *full = two_pass(test, m);
	struct mnk_interval *other = two_pass(test, m);

	full->no_room = true;
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, full->calls, 1);
	MNK_EXPECT_COUNT(test, full->finishes, 0);
	MNK_EXPECT_COUNT(test, other->finishes, 1);
	full->no_room = false;
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, full->finishes, 1);
	MNK_EXPECT_COUNT(test, other->finishes, 2);
}

/* R5, with one at each place refusing in turn. */
static void refusal_finishes_what_began(struct kunit *test)
{
	struct mnk_interval *subs[40];
	struct mnk_mm *m = mnk_mm(test);
	int refuser, i, began, finished;

	for (i = 0; i < ARRAY_SIZE(subs); i++)
		subs[i] = two_pass(test, m);
	for (refuser = 0; refuser < ARRAY_SIZE(subs); refuser++) {
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			subs[i]->refuse = i == refuser;
			subs[i]->began = 0;
			atomic_set(&subs[i]->finishes, 0);
		}
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(test, m, PAGE(0),
							PAGE(1)));
		began = 0;
		finished = 0;
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			began += !!subs[i]->began;
			finished += atomic_read(&subs[i]->finishes);
			MNK_EXPECT_COUNT(test, subs[i]->finishes,
					 !!subs[i]->began);
			MNK_EXPECT_COUNT(test, subs[i]->running, 0);
		}
		KUNIT_EXPECT_NE(test, subs[refuser]->began, 0);
		KUNIT_EXPECT_EQ(test, finished, began);
	}
	/* Nothing is in flight that they would have to wait for. */
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_ASSERT_RUNS(test, mnk_remove, subs[i]);
}

static void refusal_by_the_list_finishes(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = two_pass(test, m);
	struct mnk_list *list = mnk_list(test, m, &mnk_range_ops);

	MNK_ASSERT_RUNS(test, mnk_register, list);
	list->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mnk_invalidate_nonblock(test, m, PAGE(0), PAGE(1)));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, interval->finishes, 1);
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
}

static void exit_finishes(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = two_pass(test, m);

	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, interval->finishes, 1);
}

/* Several ranges have begun with one subscription, and none is finished. */
static void parallel_ranges_have_their_own(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = two_pass(test, m);
	struct mnk_task *tasks[MNK_FINISHES], *reader, *remove;
	int i;

	interval->finish_gate = mnk_gate(test);
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		tasks[i] = mnk_start(test, mnk_fly,
				     mnk_range(test, m, PAGE(0), PAGE(1)));
	for (i = 0; i < MNK_NR_SLICES; i++) {
		if (atomic_read(&interval->calls) == ARRAY_SIZE(tasks))
			break;
		schedule_timeout_uninterruptible(MNK_SLICE);
	}
	MNK_EXPECT_COUNT(test, interval->calls, ARRAY_SIZE(tasks));
	MNK_EXPECT_COUNT(test, interval->finishes, 0);
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		KUNIT_EXPECT_TRUE(test, interval->finish[i].busy);

	/* Neither may come to its end while one is not finished. */
	reader = mnk_start(test, mnk_read_begin, interval);
	remove = mnk_start(test, mnk_remove, interval);
	MNK_ASSERT_WAITS(test, reader);
	MNK_ASSERT_WAITS(test, remove);

	mnk_open(interval->finish_gate);
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		MNK_ASSERT_ENDS(test, tasks[i], 0);
	KUNIT_ASSERT_TRUE(test, mnk_ends(reader));
	MNK_ASSERT_ENDS(test, remove, 0);
	MNK_EXPECT_COUNT(test, interval->finishes, ARRAY_SIZE(tasks));
	for (i = 0; i < ARRAY_SIZE(tasks); i++)
		KUNIT_EXPECT_FALSE(test, interval->finish[i].busy);
}

static struct kunit_case mmu_notifier_finish_cases[] = {
	KUNIT_CASE_PARAM(all_begin_before_one_finishes, nr_gen_params),
	KUNIT_CASE(nothing_stored_nothing_finished),
	KUNIT_CASE(refusal_finishes_what_began),
	KUNIT_CASE(refusal_by_the_list_finishes),
	KUNIT_CASE(exit_finishes),
	KUNIT_CASE(parallel_ranges_have_their_own),
	{}
};

static struct kunit_suite mmu_notifier_finish_suite = {
	.name = "mmu_notifier_finish",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_finish_cases,
};

kunit_test_suite(mmu_notifier_finish_suite);
