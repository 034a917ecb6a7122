// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of <linux/mmu_notifier_slots.h>: what tells a hypervisor's fault
 * to begin again. Directed cases first, then random ones against a model that
 * keeps every range and every end, and so is obviously right.
 */

#include <kunit/test.h>
#include <linux/mmu_notifier_slots.h>
#include <linux/prandom.h>

static void fault_elsewhere_never_retries(struct kunit *test)
{
	struct mmu_notifier_slots s;
	u64 seq;

	mmu_notifier_slots_init(&s);
	mmu_notifier_slots_begin(&s, 100, 199);
	seq = mmu_notifier_slots_seq(&s);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 99, 99));
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 200, 299));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_end(&s, 100, 199));
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 99, 99));
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 200, 299));
}

static void fault_within_retries_until_it_began_after(struct kunit *test)
{
	struct mmu_notifier_slots s;
	u64 seq;

	mmu_notifier_slots_init(&s);
	seq = mmu_notifier_slots_seq(&s);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 100, 199));
	mmu_notifier_slots_begin(&s, 100, 199);
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_retry(&s, seq, 0, 100));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_retry(&s, seq, 199, 300));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_end(&s, 100, 199));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_retry(&s, seq, 199, 199));
	seq = mmu_notifier_slots_seq(&s);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 100, 199));
}

static void end_without_begin_is_noticed(struct kunit *test)
{
	struct mmu_notifier_slots s;

	mmu_notifier_slots_init(&s);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_end(&s, 1, 2));
	mmu_notifier_slots_begin(&s, 1, 2);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_end(&s, 1, 3));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_end(&s, 1, 2));
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_end(&s, 1, 2));
}

static void more_ranges_than_slots_merge(struct kunit *test)
{
	const unsigned int nr = 3 * MMU_NOTIFIER_NR_SLOTS;
	struct mmu_notifier_slots s;
	unsigned int i;
	u64 seq;

	mmu_notifier_slots_init(&s);
	seq = mmu_notifier_slots_seq(&s);
	for (i = 0; i < nr; i++)
		mmu_notifier_slots_begin(&s, 1000 * i, 1000 * i + 9);
	KUNIT_EXPECT_EQ(test, mmu_notifier_slots_nr_ranges(&s), nr);
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_slots_retry(&s, seq, 1000 * i + 9,
							   1000 * i + 9));
	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_slots_end(&s, 1000 * i,
							 1000 * i + 9));
	KUNIT_EXPECT_EQ(test, mmu_notifier_slots_nr_ranges(&s), 0U);
	seq = mmu_notifier_slots_seq(&s);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 0, ULONG_MAX));
}

static void storm_in_one_place_forgets_nothing(struct kunit *test)
{
	struct mmu_notifier_slots s;
	unsigned int i;
	u64 seq;

	mmu_notifier_slots_init(&s);
	seq = mmu_notifier_slots_seq(&s);
	for (i = 0; i < 1000; i++) {
		mmu_notifier_slots_begin(&s, 100, 199);
		mmu_notifier_slots_end(&s, 100, 199);
	}
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 200, 200));
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_retry(&s, seq, 150, 150));
}

/* The @i-th of a row of ranges, of which no two that follow each other overlap */
static void end_one_of_many(struct mmu_notifier_slots *s, unsigned long base,
			    unsigned int i)
{
	unsigned long start = base + i * 37 % 100 * 10;

	mmu_notifier_slots_begin(s, start, start + 8);
	mmu_notifier_slots_end(s, start, start + 8);
}

static void storm_here_and_there_spares_the_rest(struct kunit *test)
{
	struct mmu_notifier_slots s;
	unsigned int i;
	u64 seq;

	mmu_notifier_slots_init(&s);
	seq = mmu_notifier_slots_seq(&s);
	for (i = 0; i < MMU_NOTIFIER_HULL_ENDS; i++)
		end_one_of_many(&s, 1000, i);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 0, 999));
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 2000, 2000));
	for (i = 0; i < 100; i++)
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_slots_retry(&s, seq, 1000 + 10 * i,
							   1000 + 10 * i));
}

static void range_far_off_is_forgotten(struct kunit *test)
{
	struct mmu_notifier_slots s;
	unsigned int i;
	u64 seq;

	mmu_notifier_slots_init(&s);
	seq = mmu_notifier_slots_seq(&s);
	end_one_of_many(&s, 1000000, 0);
	for (i = 0; i < 3 * MMU_NOTIFIER_HULL_ENDS; i++)
		end_one_of_many(&s, 1000, i);
	/* Whoever has been at it since then cannot be told, */
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_retry(&s, seq, 500000, 500000));
	KUNIT_EXPECT_TRUE(test,
			  mmu_notifier_slots_retry(&s, seq, 1000000, 1000000));
	/* but others are not bothered any more. */
	seq = mmu_notifier_slots_seq(&s);
	for (i = 0; i < MMU_NOTIFIER_HULL_ENDS; i++)
		end_one_of_many(&s, 1000, i);
	KUNIT_EXPECT_FALSE(test, mmu_notifier_slots_retry(&s, seq, 500000, 500000));
	KUNIT_EXPECT_FALSE(test,
			   mmu_notifier_slots_retry(&s, seq, 1000000, 1000000));
}

#define MODEL_RANGES	24
#define MODEL_ENDS	400
#define MODEL_READERS	4

struct model_range {
	unsigned long start, last;
};

struct model {
	struct model_range flying[MODEL_RANGES], ended[MODEL_ENDS];
	unsigned int nr_flying, nr_ended;
	struct {
		u64 seq;
		unsigned int nr_ended;
	} readers[MODEL_READERS];
	bool crowded;	/* have there been more ranges than slots? */
};

static bool model_overlap(const struct model_range *r, unsigned long start,
			  unsigned long last)
{
	return r->start <= last && start <= r->last;
}

static bool model_retry(const struct model *m, unsigned int reader,
			unsigned long start, unsigned long last)
{
	unsigned int i;

	for (i = 0; i < m->nr_flying; i++)
		if (model_overlap(&m->flying[i], start, last))
			return true;
	for (i = m->readers[reader].nr_ended; i < m->nr_ended; i++)
		if (model_overlap(&m->ended[i], start, last))
			return true;
	return false;
}

static void model_check(struct kunit *test, struct model *m,
			struct mmu_notifier_slots *s, struct rnd_state *rnd)
{
	unsigned int reader = prandom_u32_state(rnd) % MODEL_READERS;
	unsigned long start = prandom_u32_state(rnd) % 250;
	unsigned long last = start + prandom_u32_state(rnd) % 3;
	bool want, got;

	if (prandom_u32_state(rnd) & 1) {
		m->readers[reader].seq = mmu_notifier_slots_seq(s);
		m->readers[reader].nr_ended = m->nr_ended;
		return;
	}
	want = model_retry(m, reader, start, last);
	got = mmu_notifier_slots_retry(s, m->readers[reader].seq, start, last);
	KUNIT_EXPECT_TRUE(test, got || !want);
	/* Within its capacity it is exact. */
	if (!m->crowded && m->nr_ended - m->readers[reader].nr_ended <=
			   MMU_NOTIFIER_NR_ENDED)
		KUNIT_EXPECT_EQ(test, got, want);
}

static void model_begin(struct model *m, struct mmu_notifier_slots *s,
			struct rnd_state *rnd)
{
	struct model_range r = { .start = prandom_u32_state(rnd) % 200 };

	r.last = r.start + prandom_u32_state(rnd) % 20;
	if (m->nr_flying && !(prandom_u32_state(rnd) % 4))
		r = m->flying[prandom_u32_state(rnd) % m->nr_flying];
	mmu_notifier_slots_begin(s, r.start, r.last);
	m->flying[m->nr_flying++] = r;
	if (m->nr_flying > MMU_NOTIFIER_NR_SLOTS)
		m->crowded = true;
}

static void model_end(struct kunit *test, struct model *m,
		      struct mmu_notifier_slots *s, struct rnd_state *rnd)
{
	unsigned int i = prandom_u32_state(rnd) % m->nr_flying;
	struct model_range r = m->flying[i];

	m->flying[i] = m->flying[--m->nr_flying];
	m->ended[m->nr_ended++] = r;
	KUNIT_EXPECT_TRUE(test, mmu_notifier_slots_end(s, r.start, r.last));
}

static void agrees_with_the_model(struct kunit *test)
{
	struct mmu_notifier_slots *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	struct model *m = kunit_kzalloc(test, sizeof(*m), GFP_KERNEL);
	unsigned int seed, step;
	struct rnd_state rnd;

	KUNIT_ASSERT_NOT_NULL(test, s);
	KUNIT_ASSERT_NOT_NULL(test, m);

	for (seed = 0; seed < 300; seed++) {
		unsigned int max = seed & 1 ? MODEL_RANGES :
					      MMU_NOTIFIER_NR_SLOTS;

		prandom_seed_state(&rnd, seed);
		mmu_notifier_slots_init(s);
		memset(m, 0, sizeof(*m));
		for (step = 0; step < MODEL_ENDS; step++) {
			switch (prandom_u32_state(&rnd) % 3) {
			case 0:
				if (m->nr_flying < max)
					model_begin(m, s, &rnd);
				break;
			case 1:
				if (m->nr_flying)
					model_end(test, m, s, &rnd);
				break;
			case 2:
				model_check(test, m, s, &rnd);
				break;
			}
		}
		KUNIT_EXPECT_EQ(test, mmu_notifier_slots_nr_ranges(s),
				m->nr_flying);
	}
}

static struct kunit_case mmu_notifier_slots_cases[] = {
	KUNIT_CASE(fault_elsewhere_never_retries),
	KUNIT_CASE(fault_within_retries_until_it_began_after),
	KUNIT_CASE(end_without_begin_is_noticed),
	KUNIT_CASE(more_ranges_than_slots_merge),
	KUNIT_CASE(storm_in_one_place_forgets_nothing),
	KUNIT_CASE(storm_here_and_there_spares_the_rest),
	KUNIT_CASE(range_far_off_is_forgotten),
	KUNIT_CASE(agrees_with_the_model),
	{}
};

static struct kunit_suite mmu_notifier_slots_suite = {
	.name = "mmu_notifier_slots",
	.test_cases = mmu_notifier_slots_cases,
};

kunit_test_suite(mmu_notifier_slots_suite);

MODULE_DESCRIPTION("KUnit tests of the ranges in flight of a secondary MMU");
MODULE_LICENSE("GPL");
