// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: subscriptions to a range that are told when
 * nothing is in flight over them, and of some ranges only.
 *
 * The fixture sees to it for each case that nobody settles who was not busy, or
 * while a callback of the subscription is running, or after its removal.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)
#define FAR		0x80000000UL

/* More than twice what the core notes at a time. */
#define MANY		100

static struct mnk_interval *settling(struct kunit *test, struct mnk_mm *m,
				     unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = mnk_interval(test, m, start, length);

	interval->settles = true;
	return interval;
}

static struct mnk_interval *inserted(struct kunit *test, struct mnk_mm *m,
				     unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = settling(test, m, start, length);

	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

/* Somebody else whom ranges over @start..@start + @length have to tell. */
static struct mnk_interval *plain(struct kunit *test, struct mnk_mm *m,
				  unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = mnk_interval(test, m, start, length);

	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	return interval;
}

static struct mnk_range *unmap_open(struct kunit *test, struct mnk_mm *m,
				    unsigned long start, unsigned long end)
{
	struct mnk_range *range = mnk_range(test, m, start, end);

	range->range.event = MMU_NOTIFY_UNMAP;
	mmu_notifier_invalidate_range_start(&range->range);
	range->in_flight = true;
	return range;
}

/* The core is switched on for the mm, so that ranges find a slot or the list. */
static struct mnk_mm *switched_on(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);

	plain(test, m, FAR + 100 * PAGE_SIZE, PAGE_SIZE);
	return m;
}

static void settles_at_once(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *beside[2];

	MNK_EXPECT_COUNT(test, interval->settled, 1);
	/* Neighbours in flight do not matter, in a slot or in the list. */
	plain(test, m, PAGE(5), PAGE_SIZE);
	beside[0] = mnk_range_open(test, m, PAGE(3), PAGE(4));
	beside[1] = mnk_range_open(test, m, PAGE(5), PAGE(6));
	interval = inserted(test, m, PAGE(4), PAGE_SIZE);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	mnk_range_close(beside[1]);
	mnk_range_close(beside[0]);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	MNK_EXPECT_COUNT(test, interval->calls, 0);
}

static void first_of_all_settles(struct kunit *test)
{
	struct mnk_interval *interval = settling(test, mnk_mm(test), AT,
						 PAGE_SIZE);

	MNK_ASSERT_RUNS(test, mnk_insert_locked, interval);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
}

/* Ranges are in flight when it is inserted: how many, and where. */
struct older_case {
	const char *name;
	int nr;			/* ranges that overlap; a CPU has four slots */
	bool active;		/* they are in the list */
	bool reverse;		/* the youngest ends first */
};

static const struct older_case older_cases[] = {
	{ "one in a slot", 1, false, false },
	{ "one in the list", 1, true, false },
	{ "two in slots", 2, false, false },
	{ "two in slots, reverse", 2, false, true },
	{ "some in slots and some not", 7, false, false },
	{ "some in slots and some not, reverse", 7, false, true },
	{ "many in the list", 7, true, false },
};

KUNIT_ARRAY_PARAM_DESC(older, older_cases, name);

static void settles_after_older_ranges(struct kunit *test)
{
	const struct older_case *c = test->param_value;
	struct mnk_mm *m = switched_on(test);
	struct mnk_interval *interval, *other;
	struct mnk_range *ranges[8];
	int i;

	if (c->active)
		plain(test, m, PAGE(0), PAGE_SIZE);
	for (i = 0; i < c->nr; i++)
		ranges[i] = mnk_range_open(test, m, PAGE(0), PAGE(2));
	/* Neither waits. */
	interval = inserted(test, m, PAGE(1), PAGE_SIZE);
	other = inserted(test, m, PAGE(1), 4 * PAGE_SIZE);
	for (i = 0; i < c->nr; i++) {
		MNK_EXPECT_COUNT(test, interval->settled, 0);
		MNK_EXPECT_COUNT(test, other->settled, 0);
		mnk_range_close(ranges[c->reverse ? c->nr - 1 - i : i]);
	}
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	MNK_EXPECT_COUNT(test, other->settled, 1);
	MNK_EXPECT_COUNT(test, interval->calls, 0);
	mnk_invalidate(test, m, PAGE(1), PAGE(2));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
}

/* The same, the ranges being on any CPU. */
static void settles_after_ranges_elsewhere(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_interval *interval;
	struct mnk_range *ranges[6];
	struct mnk_task *tasks[6];
	int i;

	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		ranges[i] = mnk_range(test, m, PAGE(i), PAGE(8));
		ranges[i]->hold = mnk_gate(test);
		tasks[i] = mnk_start(test, mnk_fly, ranges[i]);
		KUNIT_ASSERT_TRUE(test, mnk_reached(ranges[i]->hold));
	}
	interval = inserted(test, m, AT, 8 * PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(tasks); i++) {
		MNK_EXPECT_COUNT(test, interval->settled, 0);
		mnk_open(ranges[i]->hold);
		MNK_ASSERT_ENDS(test, tasks[i], 0);
	}
	MNK_EXPECT_COUNT(test, interval->settled, 1);
}

/* It hangs on an older one, and younger ones come and go. */
static void younger_ranges_do_not_settle_it(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_range *older = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);

	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, interval->settled, 0);
	mnk_range_close(older);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
}

static void settles_after_the_last(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, 4 * PAGE_SIZE);
	struct mnk_range *a, *b;
	int turn;

	for (turn = 0; turn < 2; turn++) {
		a = mnk_range_open(test, m, PAGE(0), PAGE(1));
		b = mnk_range_open(test, m, PAGE(2), PAGE(9));
		MNK_EXPECT_COUNT(test, interval->calls, 2 * turn + 2);
		KUNIT_EXPECT_TRUE(test, interval->busy);
		mnk_range_close(turn ? b : a);
		KUNIT_EXPECT_TRUE(test, interval->busy);
		MNK_EXPECT_COUNT(test, interval->settled, turn + 1);
		mnk_range_close(turn ? a : b);
		KUNIT_EXPECT_FALSE(test, interval->busy);
		MNK_EXPECT_COUNT(test, interval->settled, turn + 2);
	}
}

static void settles_after_the_second_pass(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = settling(test, m, AT, PAGE_SIZE);
	struct mnk_task *fly;

	interval->two_pass = true;
	interval->finish_gate = mnk_gate(test);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	fly = mnk_start(test, mnk_fly, mnk_range(test, m, PAGE(0), PAGE(1)));
	KUNIT_ASSERT_TRUE(test, mnk_reached(interval->finish_gate));
	mnk_open(interval->finish_gate);
	MNK_ASSERT_ENDS(test, fly, 0);
	MNK_EXPECT_COUNT(test, interval->finishes, 1);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
}

/*
 * A range stands in the middle of many. Whoever is inserted now is not told of it,
 * before that place or behind, and settles when it has ended.
 */
static void insertion_under_a_range(struct kunit *test)
{
	struct mnk_interval *subs[MANY], *before, *behind, *stop;
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_task *fly;
	int i;

	for (i = 0; i < MANY; i++)
		subs[i] = inserted(test, m, PAGE(2 * i), PAGE_SIZE);
	stop = subs[MANY / 2];
	stop->gate = mnk_gate(test);
	fly = mnk_start(test, mnk_fly, mnk_range(test, m, PAGE(0),
						 PAGE(2 * MANY)));
	KUNIT_ASSERT_TRUE(test, mnk_reached(stop->gate));
	before = inserted(test, m, PAGE(1), PAGE_SIZE);
	behind = inserted(test, m, PAGE(2 * MANY - 1), PAGE_SIZE);
	MNK_EXPECT_COUNT(test, before->settled, 0);
	MNK_EXPECT_COUNT(test, behind->settled, 0);
	/* Some go, the range's place in the index among them perhaps. */
	for (i = 32; i < 64; i++)
		if (subs[i] != stop)
			mnk_remove_async(subs[i]);
	mnk_open(stop->gate);
	MNK_ASSERT_ENDS(test, fly, 0);

	MNK_EXPECT_COUNT(test, before->calls, 0);
	MNK_EXPECT_COUNT(test, before->settled, 1);
	MNK_EXPECT_COUNT(test, behind->calls, 0);
	MNK_EXPECT_COUNT(test, behind->settled, 1);
	for (i = 0; i < MANY; i++) {
		if (i >= 32 && i < 64 && subs[i] != stop) {
			MNK_EXPECT_COUNT(test, subs[i]->settled, 1);
			continue;
		}
		MNK_EXPECT_COUNT(test, subs[i]->calls, 1);
		MNK_EXPECT_COUNT(test, subs[i]->settled, 2);
	}
}

/* One at each place refuses: a plain one, or one that settles itself. */
static void refusal_settles(struct kunit *test)
{
	struct mnk_interval *subs[40];
	struct mnk_mm *m = mnk_mm(test);
	int refuser, i;

	for (i = 0; i < ARRAY_SIZE(subs); i++)
		subs[i] = i % 2 ? inserted(test, m, AT, PAGE_SIZE) :
				  plain(test, m, AT, PAGE_SIZE);
	for (refuser = 0; refuser < ARRAY_SIZE(subs); refuser++) {
		subs[refuser]->refuse = true;
		for (i = 0; i < ARRAY_SIZE(subs); i++)
			atomic_set(&subs[i]->calls, 0);
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(test, m, PAGE(0),
							PAGE(1)));
		subs[refuser]->refuse = false;
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			/* Behind, only those are told that have to settle. */
			MNK_EXPECT_COUNT(test, subs[i]->calls,
					 i < refuser || (i > refuser && i % 2));
			if (i % 2)
				MNK_EXPECT_COUNT(test, subs[i]->settled,
						 refuser + 2);
		}
	}
}

static void refusal_by_the_list_settles(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_list *list = mnk_list(test, m, &mnk_range_ops);

	MNK_ASSERT_RUNS(test, mnk_register, list);
	list->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mnk_invalidate_nonblock(test, m, PAGE(0), PAGE(1)));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
}

/*
 * Of what does not concern it
 */

static void unconcerned_is_not_told(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = settling(test, m, AT, PAGE_SIZE);
	struct mnk_interval *other = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *clear, *unmap;

	interval->unmaps_only = true;
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	clear = mnk_range_open(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 0);
	unmap = unmap_open(test, m, PAGE(0), PAGE(1));
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	mnk_range_close(unmap);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
	MNK_EXPECT_COUNT(test, other->settled, 1);
	mnk_range_close(clear);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
	MNK_EXPECT_COUNT(test, other->settled, 2);
	MNK_EXPECT_COUNT(test, other->calls, 2);
}

/* In the list they can be asked whom they concern, in a slot they cannot. */
static void unconcerned_is_not_waited_for(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_interval *interval = settling(test, m, AT, PAGE_SIZE);
	struct mnk_range *clear, *unmap;

	interval->unmaps_only = true;
	clear = mnk_range_open(test, m, PAGE(0), PAGE(1));
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_EXPECT_COUNT(test, interval->settled, 0);
	mnk_range_close(clear);
	MNK_EXPECT_COUNT(test, interval->settled, 1);

	plain(test, m, PAGE(4), PAGE_SIZE);
	clear = mnk_range_open(test, m, PAGE(4), PAGE(6));
	interval = settling(test, m, PAGE(4), PAGE_SIZE);
	interval->unmaps_only = true;
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	unmap = unmap_open(test, m, PAGE(4), PAGE(6));
	interval = settling(test, m, PAGE(5), PAGE_SIZE);
	interval->unmaps_only = true;
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	mnk_range_close(clear);
	MNK_EXPECT_COUNT(test, interval->settled, 0);
	mnk_range_close(unmap);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
}

/*
 * Removal in each state
 */

static void removal_while_it_hangs(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(8));
	struct mmu_interval_notifier *batch[2];
	struct mnk_interval *subs[5];
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++)
		subs[i] = inserted(test, m, AT, PAGE_SIZE);
	/* None has been told of the range, so nobody waits for it. */
	MNK_ASSERT_RUNS(test, mnk_remove, subs[1]);
	mnk_remove_async(subs[3]);
	KUNIT_ASSERT_TRUE(test, mnk_completed(&subs[3]->removed));
	for (i = 0; i < 2; i++) {
		subs[4 * i]->live = false;
		batch[i] = &subs[4 * i]->notifier;
	}
	mmu_interval_notifier_remove_batch(batch, 2, mnk_removed);
	for (i = 0; i < 2; i++)
		KUNIT_ASSERT_TRUE(test, mnk_completed(&subs[4 * i]->removed));
	mnk_range_close(range);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_EXPECT_COUNT(test, subs[i]->settled, i == 2);
}

static void removal_while_it_is_counted(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *told = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *async = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_interval *stays = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_interval *untold = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_task *remove[2];

	remove[0] = mnk_start(test, mnk_remove, told);
	remove[1] = mnk_start(test, mnk_remove, untold);
	mnk_remove_async(async);
	MNK_ASSERT_WAITS(test, remove[0]);
	MNK_ASSERT_WAITS(test, remove[1]);
	mnk_range_close(range);
	MNK_ASSERT_ENDS(test, remove[0], 0);
	MNK_ASSERT_ENDS(test, remove[1], 0);
	KUNIT_ASSERT_TRUE(test, mnk_completed(&async->removed));
	MNK_EXPECT_COUNT(test, told->settled, 1);
	MNK_EXPECT_COUNT(test, async->settled, 1);
	MNK_EXPECT_COUNT(test, untold->settled, 0);
	MNK_EXPECT_COUNT(test, stays->settled, 2);
}

/* What was counted and what it hung on is forgotten. */
static void insertion_again(struct kunit *test)
{
	struct mnk_mm *m = switched_on(test);
	struct mnk_range *range = mnk_range_open(test, m, PAGE(0), PAGE(1));
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);
	struct mnk_range *younger;

	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	interval->start = PAGE(4);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	mnk_range_close(range);
	MNK_EXPECT_COUNT(test, interval->settled, 1);

	range = mnk_range_open(test, m, PAGE(4), PAGE(5));
	interval->insert_again = true;
	mnk_remove_async(interval);
	younger = mnk_range_open(test, m, PAGE(4), PAGE(5));
	mnk_range_close(range);
	KUNIT_ASSERT_TRUE(test, mnk_completed(&interval->removed));
	MNK_EXPECT_COUNT(test, interval->settled, 1);
	mnk_range_close(younger);
	MNK_EXPECT_COUNT(test, interval->settled, 2);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
}

static void exit_settles(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = inserted(test, m, AT, PAGE_SIZE);

	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, interval->settled,
			 1 + atomic_read(&interval->calls));
	KUNIT_EXPECT_FALSE(test, interval->busy);
}

/*
 * Everything at once. Each subscription has a word, odd from insertion and from
 * each invalidation until it has settled. While it is even and stays the same, no
 * page of the subscription is changing.
 */

#define STRESS_MS	1000
#define STRESS_PAGES	12
#define NR_STAYING	8	/* one page each; others come and go */
#define NR_MOVERS	3
#define NR_CHURNERS	2

struct settle_stress;

/**
 * struct settle_sub - a subscription with a word
 * @notifier: what is inserted.
 * @stress: the whole.
 * @word: odd while it is busy.
 * @running: calls of invalidate that are running.
 * @first: its first page.
 * @nr: how many.
 * @gone: no callback may come.
 */
struct settle_sub {
	struct mmu_interval_notifier notifier;
	struct settle_stress *stress;
	atomic_long_t word;
	atomic_t running;
	int first;
	int nr;
	bool gone;
};

/**
 * struct settle_stress - the whole
 * @m: the mm.
 * @staying: these are there all the time.
 * @changing: for each page, how many ranges are between start and end.
 * @stop: it is enough.
 * @seed: a different one for each thread.
 * @ranges: ranges that were in flight.
 * @refused: starts that were refused.
 * @insertions: of those that come and go.
 * @trusted: words that were even, and stayed so.
 * @stale: pages that were changing meanwhile.
 * @idle: words that were even although a range was in flight.
 * @wrong: callbacks that should not have come.
 */
struct settle_stress {
	struct mnk_mm *m;
	struct settle_sub staying[NR_STAYING];
	atomic_t changing[STRESS_PAGES];
	bool stop;
	atomic_t seed;
	atomic_t ranges;
	atomic_t refused;
	atomic_t insertions;
	atomic_t trusted;
	atomic_t stale;
	atomic_t idle;
	atomic_t wrong;
};

static bool stress_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct settle_sub *sub = container_of(notifier, struct settle_sub,
					      notifier);

	atomic_inc(&sub->running);
	if (READ_ONCE(sub->gone))
		atomic_inc(&sub->stress->wrong);
	/* A full barrier: whoever sees a page change sees the word. */
	atomic_long_fetch_or(1, &sub->word);
	atomic_dec(&sub->running);
	return mmu_notifier_range_blockable(range) ||
	       (range->start >> PAGE_SHIFT) % 4 || sub->first % 4 != 1;
}

static void stress_settled(struct mmu_interval_notifier *notifier)
{
	struct settle_sub *sub = container_of(notifier, struct settle_sub,
					      notifier);

	if (READ_ONCE(sub->gone) || atomic_read(&sub->running) ||
	    !(atomic_long_read(&sub->word) & 1))
		atomic_inc(&sub->stress->wrong);
	/* Release: whoever sees an even word sees the pages as they are now. */
	atomic_long_inc_return_release(&sub->word);
}

static const struct mmu_interval_notifier_ops stress_ops = {
	.invalidate = stress_invalidate,
	.settled = stress_settled,
};

static int stress_insert(struct settle_sub *sub, struct settle_stress *stress,
			 int first, int nr)
{
	sub->stress = stress;
	sub->first = first;
	sub->nr = nr;
	WRITE_ONCE(sub->gone, false);
	atomic_long_fetch_or(1, &sub->word);
	return mmu_interval_notifier_insert(&sub->notifier, stress->m->mm,
					    PAGE(first), nr * PAGE_SIZE,
					    &stress_ops);
}

static void stress_trust(struct settle_sub *sub)
{
	struct settle_stress *stress = sub->stress;
	long word = atomic_long_read_acquire(&sub->word);
	int i, changing = 0;

	if (word & 1)
		return;
	for (i = sub->first; i < sub->first + sub->nr; i++)
		changing += atomic_read(&stress->changing[i]);
	smp_rmb();	/* what has begun to change has made the word odd before */
	if (atomic_long_read(&sub->word) != word)
		return;
	atomic_inc(&stress->trusted);
	if (changing)
		atomic_inc(&stress->stale);
}

static void stress_pause(struct rnd_state *rnd)
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

static long stress_move(void *arg)
{
	struct settle_stress *stress = arg;
	struct rnd_state rnd;
	int i, from, to;

	prandom_seed_state(&rnd, 711 + atomic_inc_return(&stress->seed));
	while (!READ_ONCE(stress->stop)) {
		struct mmu_notifier_range range;

		from = prandom_u32_state(&rnd) % STRESS_PAGES;
		to = from + 1 + prandom_u32_state(&rnd) % 3;
		to = min(to, STRESS_PAGES);
		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0,
					stress->m->mm, PAGE(from), PAGE(to));
		if (prandom_u32_state(&rnd) % 4) {
			mmu_notifier_invalidate_range_start(&range);
		} else if (mmu_notifier_invalidate_range_start_nonblock(&range)) {
			atomic_inc(&stress->refused);
			continue;
		}
		for (i = from; i < to; i++)
			atomic_inc(&stress->changing[i]);
		stress_pause(&rnd);
		for (i = from; i < min(to, NR_STAYING); i++)
			if (!(atomic_long_read(&stress->staying[i].word) & 1))
				atomic_inc(&stress->idle);
		for (i = from; i < to; i++)
			atomic_dec(&stress->changing[i]);
		mmu_notifier_invalidate_range_end(&range);
		atomic_inc(&stress->ranges);
		stress_pause(&rnd);
	}
	return 0;
}

static long stress_read(void *arg)
{
	struct settle_stress *stress = arg;
	int i;

	while (!READ_ONCE(stress->stop)) {
		for (i = 0; i < NR_STAYING; i++)
			stress_trust(&stress->staying[i]);
		cond_resched();
	}
	return 0;
}

/* Where others stay, and where nobody else is. */
static long stress_churn(void *arg)
{
	struct settle_stress *stress = arg;
	struct settle_sub sub = {};
	struct rnd_state rnd;
	int first, i, ret;

	prandom_seed_state(&rnd, 711 + atomic_inc_return(&stress->seed));
	while (!READ_ONCE(stress->stop)) {
		first = prandom_u32_state(&rnd) % 2 ? NR_STAYING :
			prandom_u32_state(&rnd) % NR_STAYING;
		ret = stress_insert(&sub, stress, first,
				    1 + prandom_u32_state(&rnd) % 3);
		if (ret)
			return ret;
		for (i = prandom_u32_state(&rnd) % 8; i; i--)
			stress_trust(&sub);
		stress_pause(&rnd);
		mmu_interval_notifier_remove(&sub.notifier);
		WRITE_ONCE(sub.gone, true);
		atomic_inc(&stress->insertions);
	}
	return 0;
}

static void even_words_can_be_trusted(struct kunit *test)
{
	struct settle_stress *stress = kzalloc(sizeof(*stress), GFP_KERNEL);
	struct mnk_task *tasks[NR_MOVERS + NR_CHURNERS + 1];
	bool ended = true;
	int i, nr = 0;

	KUNIT_ASSERT_NOT_NULL(test, stress);
	stress->m = mnk_mm(test);
	for (i = 0; i < NR_STAYING; i++)
		KUNIT_ASSERT_EQ(test, 0, stress_insert(&stress->staying[i],
						       stress, i, 1));
	for (i = 0; i < NR_MOVERS; i++)
		tasks[nr++] = mnk_start(test, stress_move, stress);
	for (i = 0; i < NR_CHURNERS; i++)
		tasks[nr++] = mnk_start(test, stress_churn, stress);
	tasks[nr++] = mnk_start(test, stress_read, stress);
	msleep(STRESS_MS);
	WRITE_ONCE(stress->stop, true);
	for (i = 0; i < nr; i++) {
		bool this_one = mnk_ends(tasks[i]);

		KUNIT_EXPECT_TRUE_MSG(test, this_one, "%ps hangs",
				      tasks[i]->fn);
		if (this_one)
			KUNIT_EXPECT_EQ(test, tasks[i]->ret, 0L);
		ended &= this_one;
	}
	KUNIT_ASSERT_TRUE(test, ended);

	for (i = 0; i < NR_STAYING; i++) {
		KUNIT_EXPECT_EQ(test, 0,
				atomic_long_read(&stress->staying[i].word) & 1);
		mmu_interval_notifier_remove(&stress->staying[i].notifier);
	}
	MNK_EXPECT_COUNT(test, stress->stale, 0);
	MNK_EXPECT_COUNT(test, stress->idle, 0);
	MNK_EXPECT_COUNT(test, stress->wrong, 0);
	kunit_info(test, "%d ranges, %d refused, %d insertions, %d words trusted\n",
		   atomic_read(&stress->ranges), atomic_read(&stress->refused),
		   atomic_read(&stress->insertions),
		   atomic_read(&stress->trusted));
	KUNIT_EXPECT_GT(test, atomic_read(&stress->ranges), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->refused), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->insertions), 0);
	KUNIT_EXPECT_GT(test, atomic_read(&stress->trusted), 0);
	kfree(stress);
}

static struct kunit_case mmu_notifier_settle_cases[] = {
	KUNIT_CASE(settles_at_once),
	KUNIT_CASE(first_of_all_settles),
	KUNIT_CASE_PARAM(settles_after_older_ranges, older_gen_params),
	KUNIT_CASE(settles_after_ranges_elsewhere),
	KUNIT_CASE(younger_ranges_do_not_settle_it),
	KUNIT_CASE(settles_after_the_last),
	KUNIT_CASE(settles_after_the_second_pass),
	KUNIT_CASE(insertion_under_a_range),
	KUNIT_CASE(refusal_settles),
	KUNIT_CASE(refusal_by_the_list_settles),
	KUNIT_CASE(unconcerned_is_not_told),
	KUNIT_CASE(unconcerned_is_not_waited_for),
	KUNIT_CASE(removal_while_it_hangs),
	KUNIT_CASE(removal_while_it_is_counted),
	KUNIT_CASE(insertion_again),
	KUNIT_CASE(exit_settles),
	KUNIT_CASE_SLOW(even_words_can_be_trusted),
	{}
};

static struct kunit_suite mmu_notifier_settle_suite = {
	.name = "mmu_notifier_settle",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_settle_cases,
};

kunit_test_suite(mmu_notifier_settle_suite);
