// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: subscriptions to a range of an mm. R1-R12
 * are the rules in Documentation/mm/mmu_notifier/design.rst.
 */

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

/* The pages from AT on, FAR away from everything else. */
#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)
#define FAR		0x80000000UL

static struct mnk_interval *inserted(struct kunit *test, struct mnk_mm *m,
				     unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = mnk_interval(test, m, start, length);

	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

static unsigned long read_begin(struct kunit *test,
				struct mnk_interval *interval)
{
	return mnk_run(test, mnk_read_begin, interval);
}

/*
 * Who is told
 */

struct overlap_case {
	const char *name;
	unsigned long start;	/* of the subscription */
	unsigned long length;
	unsigned long from;	/* of the range */
	unsigned long to;
	int calls;
};

static const struct overlap_case overlap_cases[] = {
	{ "the same", PAGE(2), 2 * PAGE_SIZE, PAGE(2), PAGE(4), 1 },
	{ "within", PAGE(2), 4 * PAGE_SIZE, PAGE(3), PAGE(4), 1 },
	{ "around", PAGE(2), PAGE_SIZE, PAGE(0), PAGE(9), 1 },
	{ "first page", PAGE(2), 4 * PAGE_SIZE, PAGE(2), PAGE(3), 1 },
	{ "last page", PAGE(2), 4 * PAGE_SIZE, PAGE(5), PAGE(6), 1 },
	{ "ends at the start", PAGE(2), PAGE_SIZE, PAGE(1), PAGE(2), 0 },
	{ "begins behind the last", PAGE(2), PAGE_SIZE, PAGE(3), PAGE(4), 0 },
	{ "one page in at the start", PAGE(2), PAGE_SIZE, PAGE(0), PAGE(3), 1 },
	{ "one page in at the last", PAGE(2), PAGE_SIZE, PAGE(2), PAGE(9), 1 },
	{ "one byte in at the start", PAGE(2), PAGE_SIZE, PAGE(1), PAGE(2) + 1,
	  1 },
	{ "one byte in at the last", PAGE(2), PAGE_SIZE, PAGE(3) - 1, PAGE(4),
	  1 },
	{ "one byte each", PAGE(2), 1, PAGE(2), PAGE(2) + 1, 1 },
	{ "the byte before", PAGE(2), 1, PAGE(2) - 1, PAGE(2), 0 },
	{ "the byte behind", PAGE(2), 1, PAGE(2) + 1, PAGE(2) + 2, 0 },
	{ "far away", PAGE(2), PAGE_SIZE, FAR, FAR + PAGE_SIZE, 0 },
	{ "the first page of all", 0, PAGE_SIZE, 0, PAGE_SIZE, 1 },
	{ "behind the first page of all", 0, PAGE_SIZE, PAGE_SIZE,
	  2 * PAGE_SIZE, 0 },
	{ "the last page of all", -PAGE_SIZE, PAGE_SIZE, -PAGE_SIZE, ULONG_MAX,
	  1 },
	{ "before the last page of all", -PAGE_SIZE, PAGE_SIZE, -2 * PAGE_SIZE,
	  -PAGE_SIZE, 0 },
	/* ``end`` being exclusive, no range gets there. */
	{ "the last byte of all", ULONG_MAX, 1, -PAGE_SIZE, ULONG_MAX, 0 },
	{ "everything", 0, ULONG_MAX, PAGE(2), PAGE(3), 1 },
	{ "a range of everything", PAGE(2), PAGE_SIZE, 0, ULONG_MAX, 1 },
};

KUNIT_ARRAY_PARAM_DESC(overlap, overlap_cases, name);

static void overlap_is_exact(struct kunit *test)
{
	const struct overlap_case *o = test->param_value;
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, o->start, o->length);
	unsigned long seq = read_begin(test, interval);
	struct mnk_range *range;
	struct mnk_task *task;

	range = mnk_range_open(test, m, o->from, o->to);
	MNK_EXPECT_COUNT(test, interval->calls, o->calls);
	if (o->calls) {
		KUNIT_EXPECT_PTR_EQ(test, interval->last.mm, m->mm);
		KUNIT_EXPECT_EQ(test, interval->last.start, o->from);
		KUNIT_EXPECT_EQ(test, interval->last.end, o->to);
		KUNIT_EXPECT_EQ(test, (int)interval->last.event,
				(int)MMU_NOTIFY_CLEAR);
		KUNIT_EXPECT_PTR_EQ(test, interval->last.owner, (void *)range);
	}
	/* The same holds for who retries, who waits, and who does not. */
	KUNIT_EXPECT_EQ(test, mnk_read_retry(interval, seq), !!o->calls);
	task = mnk_start(test, mnk_read_begin, interval);
	if (o->calls)
		MNK_ASSERT_WAITS(test, task);
	else
		KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	mnk_range_close(range);
	KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, task->ret));
	MNK_EXPECT_COUNT(test, interval->calls, o->calls);
}

static void insertion_checks_addresses(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	int count = atomic_read(&m->mm->mm_count);
	struct mnk_interval *interval;

	interval = mnk_interval(test, m, AT, 0);
	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_insert, interval),
			(long)-EOVERFLOW);
	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_insert_locked, interval),
			(long)-EOVERFLOW);
	/* One byte too many. */
	interval = mnk_interval(test, m, -PAGE_SIZE, PAGE_SIZE + 1);
	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_insert, interval),
			(long)-EOVERFLOW);
	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_insert_locked, interval),
			(long)-EOVERFLOW);
	interval = mnk_interval(test, m, AT, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_insert, interval),
			(long)-EOVERFLOW);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, count);

	interval = inserted(test, m, -PAGE_SIZE, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, interval->notifier.interval_tree.start,
			-PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, interval->notifier.interval_tree.last, ULONG_MAX);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, count + 1);
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, count);
}

static void insertion_under_mmap_lock(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *first = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_interval *second = mnk_interval(test, m, AT, PAGE_SIZE);

	MNK_ASSERT_RUNS(test, mnk_insert_locked, first);
	MNK_ASSERT_RUNS(test, mnk_insert_locked, second);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, first->calls, 1);
	MNK_EXPECT_COUNT(test, second->calls, 1);
}

static void every_overlapping_subscription_is_told(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	/* Several at one place, nested, chained, and one aside. */
	struct mnk_interval *subs[] = {
		inserted(test, m, PAGE(2), PAGE_SIZE),
		inserted(test, m, PAGE(2), PAGE_SIZE),
		inserted(test, m, PAGE(2), PAGE_SIZE),
		inserted(test, m, PAGE(1), 3 * PAGE_SIZE),
		inserted(test, m, PAGE(0), 16 * PAGE_SIZE),
		inserted(test, m, PAGE(3), 2 * PAGE_SIZE),
		inserted(test, m, PAGE(9), PAGE_SIZE),
	};
	static const struct {
		int from;
		int to;
		int calls[ARRAY_SIZE(subs)];
	} ranges[] = {
		{ 2, 3, { 1, 1, 1, 1, 1, 0, 0 } },
		{ 3, 4, { 0, 0, 0, 1, 1, 1, 0 } },
		{ 0, 16, { 1, 1, 1, 1, 1, 1, 1 } },
		{ 4, 9, { 0, 0, 0, 0, 1, 1, 0 } },
		{ 15, 20, { 0, 0, 0, 0, 1, 0, 0 } },
		{ 16, 20, { 0, 0, 0, 0, 0, 0, 0 } },
	};
	int r, i;

	for (r = 0; r < ARRAY_SIZE(ranges); r++) {
		for (i = 0; i < ARRAY_SIZE(subs); i++)
			atomic_set(&subs[i]->calls, 0);
		mnk_invalidate(test, m, PAGE(ranges[r].from),
			       PAGE(ranges[r].to));
		for (i = 0; i < ARRAY_SIZE(subs); i++)
			KUNIT_EXPECT_EQ_MSG(test, atomic_read(&subs[i]->calls),
					    ranges[r].calls[i],
					    "subscription %d, range %d", i, r);
	}

	/* Those that stay are found as well when others have gone. */
	MNK_ASSERT_RUNS(test, mnk_remove, subs[1]);
	MNK_ASSERT_RUNS(test, mnk_remove, subs[4]);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		atomic_set(&subs[i]->calls, 0);
	mnk_invalidate(test, m, PAGE(2), PAGE(3));
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_EXPECT_COUNT(test, subs[i]->calls,
				 i == 0 || i == 2 || i == 3);
}

static void blockable_is_told(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, 0,
			mnk_invalidate_nonblock(test, m, PAGE(0), PAGE(1)));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_range_blockable(&interval->last));
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 2);
	KUNIT_EXPECT_TRUE(test, mmu_notifier_range_blockable(&interval->last));
}

/*
 * Sequences
 */

static void sequence_is_odd_and_grows(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *one = inserted(test, m, PAGE(0), PAGE_SIZE);
	struct mnk_interval *two = inserted(test, m, PAGE(0), 2 * PAGE_SIZE);
	struct mnk_range *outer;
	int i;

	for (i = 0; i < 4; i++) {
		/* Each range has its own, also when they overlap in time. */
		outer = mnk_range_open(test, m, PAGE(0), PAGE(4));
		mnk_invalidate(test, m, PAGE(0), PAGE(1));
		KUNIT_EXPECT_EQ(test, 0, mnk_invalidate_nonblock(test, m,
								 PAGE(0),
								 PAGE(4)));
		mnk_range_close(outer);
	}
	MNK_EXPECT_COUNT(test, one->calls, 12);
	MNK_EXPECT_COUNT(test, two->calls, 12);
	KUNIT_EXPECT_EQ(test, one->odd_seqs, 12);
	KUNIT_EXPECT_EQ(test, two->odd_seqs, 12);
	KUNIT_EXPECT_EQ(test, one->grown_seqs, 12);
	KUNIT_EXPECT_EQ(test, two->grown_seqs, 12);
}

static void retry_after_collision_only(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *other = inserted(test, m, PAGE(4), PAGE_SIZE);
	unsigned long seq = read_begin(test, interval);
	unsigned long beside = read_begin(test, other);

	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));
	KUNIT_EXPECT_FALSE(test, mmu_interval_check_retry(&interval->notifier,
							  seq));
	/* What does not overlap, whoever else it overlaps. */
	mnk_invalidate(test, m, PAGE(4), PAGE(5));
	mnk_invalidate(test, m, FAR, FAR + PAGE_SIZE);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(other, beside));
	/* Nothing has happened: it is the same reader again. */
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval,
						read_begin(test, interval)));

	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, seq));
	KUNIT_EXPECT_TRUE(test, mmu_interval_check_retry(&interval->notifier,
							 seq));
	seq = read_begin(test, interval);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));

	/* No matter how many, and not only while they are in flight. */
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, seq));
}

static void retry_while_in_flight(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	unsigned long seq = read_begin(test, interval);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));

	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, seq));
	mnk_range_close(range);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, seq));
}

/* An insertion begins without the past, whatever was invalidated before. */
static void insertion_begins_anew(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *first = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *second;
	unsigned long seq;
	int i;

	for (i = 0; i < 3; i++) {
		mnk_invalidate(test, m, PAGE(0), PAGE(1));
		second = inserted(test, m, AT, PAGE_SIZE);
		seq = read_begin(test, second);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(second, seq));
		mnk_invalidate(test, m, PAGE(0), PAGE(1));
		KUNIT_EXPECT_TRUE(test, mnk_read_retry(second, seq));
		MNK_EXPECT_COUNT(test, second->calls, 1);
	}
	MNK_EXPECT_COUNT(test, first->calls, 6);
}

/*
 * Readers and ranges in flight (R3, R9)
 */

static void reader_waits_for_what_overlaps(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *other = inserted(test, m, PAGE(8), PAGE_SIZE);
	struct mnk_range *far = mnk_range_open(test, m, FAR, FAR + PAGE_SIZE);
	struct mnk_range *beside = mnk_range_open(test, m, PAGE(8), PAGE(9));
	struct mnk_range *first, *second;
	struct mnk_task *task;
	unsigned long seq;

	/* Others are in flight, covered or not, in the same mm. */
	seq = read_begin(test, interval);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));

	first = mnk_range_open(test, m, PAGE(0), PAGE(1));
	second = mnk_range_open(test, m, PAGE(0) - PAGE_SIZE, PAGE(4));
	task = mnk_start(test, mnk_read_begin, interval);
	MNK_ASSERT_WAITS(test, task);
	mnk_range_close(first);
	MNK_ASSERT_WAITS(test, task);
	mnk_range_close(second);
	KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	/* Nothing younger overlaps, so there is nothing to repeat. */
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, task->ret));

	mnk_range_close(far);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, task->ret));
	mnk_range_close(beside);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, task->ret));
	MNK_EXPECT_COUNT(test, other->calls, 1);
}

static void reader_waits_for_a_refused_range_never(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *subs[3];
	unsigned long seqs[3];
	int refuser, i;

	for (i = 0; i < ARRAY_SIZE(subs); i++)
		subs[i] = inserted(test, m, AT, PAGE_SIZE);
	for (refuser = 0; refuser < ARRAY_SIZE(subs); refuser++) {
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			subs[i]->refuse = i == refuser;
			seqs[i] = read_begin(test, subs[i]);
			atomic_set(&subs[i]->calls, 0);
		}
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(test, m, PAGE(0),
							PAGE(1)));
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			/* Who was told has dropped SPTEs, and looks again. */
			if (atomic_read(&subs[i]->calls))
				KUNIT_EXPECT_TRUE(test,
						  mnk_read_retry(subs[i], seqs[i]));
			seqs[i] = read_begin(test, subs[i]);
			KUNIT_EXPECT_FALSE(test,
					   mnk_read_retry(subs[i], seqs[i]));
		}
		MNK_EXPECT_COUNT(test, subs[refuser]->refusals, 1);
	}
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_ASSERT_RUNS(test, mnk_remove, subs[i]);
}

/* R9: what starts after the call, is not waited for; but it collides. */
static void reader_does_not_wait_for_younger(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *older = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_range *younger;
	struct mnk_task *task;

	task = mnk_start(test, mnk_read_begin, interval);
	MNK_ASSERT_WAITS(test, task);
	younger = mnk_range_open(test, m, PAGE(0), PAGE(1));
	mnk_range_close(older);
	KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	/* R3: it began during the younger one. */
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, task->ret));
	mnk_range_close(younger);
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(interval, task->ret));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval,
						read_begin(test, interval)));
}

/**
 * struct chain - ranges that take turns, so that one is always in flight
 * @mm: the mm.
 * @stop: it is enough.
 * @begun: the first one is in flight.
 * @links: number of ranges.
 */
struct chain {
	struct mm_struct *mm;
	bool stop;
	struct completion begun;
	int links;
};

static void chain_start(struct chain *chain, struct mmu_notifier_range *range)
{
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, chain->mm, PAGE(0),
				PAGE(1));
	mmu_notifier_invalidate_range_start(range);
	WRITE_ONCE(chain->links, chain->links + 1);
}

static long forge(void *arg)
{
	struct mmu_notifier_range ranges[2];
	struct chain *chain = arg;
	int i = 0;

	chain_start(chain, &ranges[0]);
	complete_all(&chain->begun);
	while (!READ_ONCE(chain->stop)) {
		chain_start(chain, &ranges[!i]);
		mmu_notifier_invalidate_range_end(&ranges[i]);
		i = !i;
		cond_resched();
	}
	mmu_notifier_invalidate_range_end(&ranges[i]);
	return 0;
}

static void endless_chain_keeps_nobody(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *reader = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *removed = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *late = mnk_interval(test, m, AT, PAGE_SIZE);
	struct chain *chain = kzalloc(sizeof(*chain), GFP_KERNEL);
	struct mnk_task *task, *begin, *remove;
	bool ended;
	int links;

	KUNIT_ASSERT_NOT_NULL(test, chain);
	chain->mm = m->mm;
	init_completion(&chain->begun);
	task = mnk_start(test, forge, chain);
	ended = mnk_completed(&chain->begun);

	begin = mnk_start(test, mnk_read_begin, reader);
	remove = mnk_start(test, mnk_remove, removed);
	ended &= mnk_ends(begin);
	ended &= mnk_ends(remove);
	KUNIT_EXPECT_TRUE_MSG(test, ended, "waits for ranges that came later");
	/* At any time, one is in flight that overlaps. */
	if (ended)
		KUNIT_EXPECT_TRUE(test, mnk_read_retry(reader, begin->ret));

	links = READ_ONCE(chain->links);
	begin = mnk_start(test, mnk_insert, late);
	ended = mnk_ends(begin);
	KUNIT_EXPECT_TRUE_MSG(test, ended, "insertion waits");
	if (ended) {
		remove = mnk_start(test, mnk_remove, late);
		KUNIT_EXPECT_TRUE(test, mnk_ends(remove));
	}
	msleep(20);
	KUNIT_EXPECT_NE(test, links, READ_ONCE(chain->links));

	WRITE_ONCE(chain->stop, true);
	KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	kfree(chain);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(reader,
						read_begin(test, reader)));
}

/*
 * Insertion (R9)
 */

static void insertion_does_not_wait(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *first = inserted(test, m, FAR, PAGE_SIZE);
	struct mnk_interval *late = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_interval *locked = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_range *own = mnk_range_open(test, m, FAR, FAR + PAGE_SIZE);
	struct mnk_task *task, *other;

	MNK_ASSERT_RUNS(test, mnk_insert, late);
	MNK_ASSERT_RUNS(test, mnk_insert_locked, locked);
	/* The readers make up for it. */
	task = mnk_start(test, mnk_read_begin, late);
	other = mnk_start(test, mnk_read_begin, locked);
	MNK_ASSERT_WAITS(test, task);
	MNK_ASSERT_WAITS(test, other);
	mnk_range_close(range);
	KUNIT_ASSERT_TRUE(test, mnk_ends(task));
	KUNIT_ASSERT_TRUE(test, mnk_ends(other));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(late, task->ret));
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(locked, other->ret));
	MNK_EXPECT_COUNT(test, late->calls, 0);
	MNK_EXPECT_COUNT(test, locked->calls, 0);
	mnk_range_close(own);
	MNK_EXPECT_COUNT(test, first->calls, 1);
}

static void subscription_is_inserted_again(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *n = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	unsigned long seq;
	int i;

	for (i = 1; i <= 3; i++) {
		mnk_invalidate(test, m, PAGE(0), PAGE(1));
		MNK_EXPECT_COUNT(test, interval->calls, i);
		MNK_ASSERT_RUNS(test, mnk_remove, interval);
		mnk_invalidate(test, m, PAGE(0), PAGE(1));
		MNK_EXPECT_COUNT(test, interval->calls, i);

		MNK_ASSERT_RUNS(test, mnk_insert, interval);
		seq = read_begin(test, interval);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));
	}

	/* Elsewhere, in another mm. */
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	interval->m = n;
	interval->start = FAR;
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	mnk_invalidate(test, n, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 3);
	mnk_invalidate(test, n, FAR, FAR + PAGE_SIZE);
	MNK_EXPECT_COUNT(test, interval->calls, 4);
}

/*
 * Removal (R6, R9)
 */

static void removal_waits_for_older_that_overlap(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *stays = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *beside = inserted(test, m, PAGE(4), PAGE_SIZE);
	struct mnk_range *far = mnk_range_open(test, m, FAR, FAR + PAGE_SIZE);
	struct mnk_range *older = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_range *younger;
	struct mnk_task *task;

	/* Nothing that overlaps this one is in flight. */
	MNK_ASSERT_RUNS(test, mnk_remove, beside);

	task = mnk_start(test, mnk_remove, interval);
	MNK_ASSERT_WAITS(test, task);
	younger = mnk_range_open(test, m, PAGE(0), PAGE(1));
	/* Who is being removed, is out of the game for it. */
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, stays->calls, 2);
	MNK_ASSERT_WAITS(test, task);

	mnk_range_close(older);
	MNK_ASSERT_ENDS(test, task, 0);
	mnk_range_close(younger);
	mnk_range_close(far);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, stays->calls, 3);
}

static void removal_waits_for_callback(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range(test, m, PAGE(0), PAGE(1));
	struct mnk_task *fly, *remove;

	interval->gate = mnk_gate(test);
	fly = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(interval->gate));
	remove = mnk_start(test, mnk_remove, interval);
	MNK_ASSERT_WAITS(test, remove);
	mnk_open(interval->gate);
	/* mnk_remove() answers with the number of callbacks still running. */
	MNK_ASSERT_ENDS(test, remove, 0);
	MNK_ASSERT_ENDS(test, fly, 0);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
}

/* A range stands in the middle of its calls while what it is to call goes. */
static void removal_around_a_sleeping_callback(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *before = inserted(test, m, PAGE(0), PAGE_SIZE);
	struct mnk_interval *sleeper = inserted(test, m, PAGE(1), PAGE_SIZE);
	struct mnk_interval *behind = inserted(test, m, PAGE(2), PAGE_SIZE);
	struct mnk_interval *aside = inserted(test, m, PAGE(8), PAGE_SIZE);
	struct mnk_interval *late = mnk_interval(test, m, PAGE(3), PAGE_SIZE);
	struct mnk_interval *last = inserted(test, m, PAGE(4), PAGE_SIZE);
	struct mnk_range *range = mnk_range(test, m, PAGE(0), PAGE(6));
	struct mnk_task *fly, *first, *second;

	sleeper->gate = mnk_gate(test);
	fly = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(sleeper->gate));

	/* Those that it overlaps have to wait, another one does not. */
	first = mnk_start(test, mnk_remove, before);
	second = mnk_start(test, mnk_remove, behind);
	MNK_ASSERT_RUNS(test, mnk_remove, aside);
	MNK_ASSERT_RUNS(test, mnk_insert, late);
	MNK_ASSERT_WAITS(test, first);
	MNK_ASSERT_WAITS(test, second);

	mnk_open(sleeper->gate);
	MNK_ASSERT_ENDS(test, fly, 0);
	MNK_ASSERT_ENDS(test, first, 0);
	MNK_ASSERT_ENDS(test, second, 0);
	MNK_EXPECT_COUNT(test, sleeper->calls, 1);
	MNK_EXPECT_COUNT(test, last->calls, 1);
	MNK_EXPECT_COUNT(test, aside->calls, 0);
	mnk_invalidate(test, m, PAGE(0), PAGE(6));
	MNK_EXPECT_COUNT(test, sleeper->calls, 2);
	MNK_EXPECT_COUNT(test, last->calls, 2);
	KUNIT_EXPECT_GE(test, atomic_read(&late->calls), 1);
}

static void sleeping_callback_keeps_nobody_aside(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *sleeper = inserted(test, m, PAGE(0), PAGE_SIZE);
	struct mnk_interval *other = inserted(test, m, PAGE(4), PAGE_SIZE);
	struct mnk_range *range = mnk_range(test, m, PAGE(0), PAGE(1));
	struct mnk_task *fly;
	unsigned long seq;

	sleeper->gate = mnk_gate(test);
	fly = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(sleeper->gate));

	seq = read_begin(test, other);
	KUNIT_EXPECT_FALSE(test, mnk_read_retry(other, seq));
	MNK_ASSERT_RUNS(test, mnk_fly,
			mnk_range(test, m, PAGE(4), PAGE(5)));
	KUNIT_EXPECT_TRUE(test, mnk_read_retry(other, seq));
	MNK_ASSERT_RUNS(test, mnk_remove, other);
	MNK_ASSERT_RUNS(test, mnk_insert, other);
	MNK_EXPECT_COUNT(test, sleeper->running, 1);

	mnk_open(sleeper->gate);
	MNK_ASSERT_ENDS(test, fly, 0);
}

/*
 * Exit
 */

static void exit_is_told_once(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *subs[] = {
		inserted(test, m, 0, PAGE_SIZE),
		inserted(test, m, AT, PAGE_SIZE),
		inserted(test, m, FAR, ULONG_MAX - FAR),
	};
	int count = atomic_read(&m->mm->mm_count);
	unsigned long seqs[ARRAY_SIZE(subs)];
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++)
		seqs[i] = read_begin(test, subs[i]);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1);
		KUNIT_EXPECT_EQ(test, (int)subs[i]->last.event,
				(int)MMU_NOTIFY_RELEASE);
		KUNIT_EXPECT_EQ(test, subs[i]->last.start, 0);
		KUNIT_EXPECT_EQ(test, subs[i]->last.end, ULONG_MAX);
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_range_blockable(&subs[i]->last));
		KUNIT_EXPECT_TRUE(test, mnk_read_retry(subs[i], seqs[i]));
	}

	/* Removal drops the memory of the mm, the users' part being gone. */
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		/* A reader that comes too late does not hang. */
		read_begin(test, subs[i]);
		MNK_ASSERT_RUNS(test, mnk_remove, subs[i]);
		MNK_EXPECT_COUNT(test, m->mm->mm_count, count - 2 - i);
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1);
	}
}

static void exit_races_with_removal(struct kunit *test)
{
	struct mnk_interval *subs[4];
	struct mnk_task *tasks[4];
	int round, i;

	for (round = 0; round < 12; round++) {
		struct mnk_mm *m = mnk_mm(test);

		for (i = 0; i < ARRAY_SIZE(subs); i++)
			subs[i] = inserted(test, m, AT, PAGE_SIZE);
		for (i = 0; i < ARRAY_SIZE(tasks); i++) {
			if (i == round % ARRAY_SIZE(tasks))
				tasks[i] = mnk_start(test, mnk_mmput, m);
			else
				tasks[i] = mnk_start(test, mnk_remove, subs[i]);
		}
		for (i = 0; i < ARRAY_SIZE(tasks); i++)
			MNK_ASSERT_ENDS(test, tasks[i], 0);
		for (i = 0; i < ARRAY_SIZE(subs); i++)
			KUNIT_EXPECT_LE(test, atomic_read(&subs[i]->calls), 1);
		i = round % ARRAY_SIZE(tasks);
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1);
	}
}

static struct kunit_case mmu_interval_notifier_cases[] = {
	KUNIT_CASE_PARAM(overlap_is_exact, overlap_gen_params),
	KUNIT_CASE(insertion_checks_addresses),
	KUNIT_CASE(insertion_under_mmap_lock),
	KUNIT_CASE(every_overlapping_subscription_is_told),
	KUNIT_CASE(blockable_is_told),
	KUNIT_CASE(sequence_is_odd_and_grows),
	KUNIT_CASE(retry_after_collision_only),
	KUNIT_CASE(retry_while_in_flight),
	KUNIT_CASE(insertion_begins_anew),
	KUNIT_CASE(reader_waits_for_what_overlaps),
	KUNIT_CASE(reader_waits_for_a_refused_range_never),
	KUNIT_CASE(reader_does_not_wait_for_younger),
	KUNIT_CASE(endless_chain_keeps_nobody),
	KUNIT_CASE(insertion_does_not_wait),
	KUNIT_CASE(subscription_is_inserted_again),
	KUNIT_CASE(removal_waits_for_older_that_overlap),
	KUNIT_CASE(removal_waits_for_callback),
	KUNIT_CASE(removal_around_a_sleeping_callback),
	KUNIT_CASE(sleeping_callback_keeps_nobody_aside),
	KUNIT_CASE(exit_is_told_once),
	KUNIT_CASE(exit_races_with_removal),
	{}
};

static struct kunit_suite mmu_interval_notifier_suite = {
	.name = "mmu_interval_notifier",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_interval_notifier_cases,
};

kunit_test_suite(mmu_interval_notifier_suite);
