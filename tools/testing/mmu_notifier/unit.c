// SPDX-License-Identifier: GPL-2.0
/*
 * Unit tests of the core in user space: misuse, failing allocations, large
 * numbers, and threads that really run at once. What the order of two threads
 * may be is for the systematic scheduler, sequences of operations are for the
 * fuzzer.
 *
 * Built three times: with the address and undefined-behaviour sanitizers, with
 * the thread sanitizer, and without.
 */

#include <linux/mmu_notifier.h>
#include "mmu_notifier.h"

#undef is_signed_type
#include "kselftest_harness.h"

#define PAGE(nr)	((nr) * PAGE_SIZE)

void shim_rcu_barrier(void);

static unsigned int warnings;

void shim_warn(const char *file, int line, const char *what)
{
	__atomic_add_fetch(&warnings, 1, __ATOMIC_RELAXED);
}

/* A subscription that counts */
struct sub {
	struct mmu_interval_notifier notifier;
	unsigned int calls;
	unsigned int removals;
	bool refuses;
};

static bool sub_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range, unsigned long seq)
{
	struct sub *s = container_of(notifier, struct sub, notifier);

	s->calls++;
	mmu_interval_set_seq(notifier, seq);
	return !s->refuses;
}

static const struct mmu_interval_notifier_ops sub_ops = { .invalidate = sub_invalidate };

/* One that is told when nothing is in flight over it: its word is even then. */
struct watch {
	struct mmu_interval_notifier notifier;
	pthread_mutex_t lock;
	unsigned long word;
	bool off;
	unsigned int calls;
	unsigned int settled;
};

static bool watch_invalidate(struct mmu_interval_notifier *notifier,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct watch *w = container_of(notifier, struct watch, notifier);

	pthread_mutex_lock(&w->lock);
	w->calls++;
	__atomic_fetch_or(&w->word, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&w->lock);
	return true;
}

static void watch_settled(struct mmu_interval_notifier *notifier)
{
	struct watch *w = container_of(notifier, struct watch, notifier);

	pthread_mutex_lock(&w->lock);
	w->settled++;
	if (!w->off)
		__atomic_fetch_add(&w->word, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&w->lock);
}

static bool watch_concerns(const struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP;
}

static const struct mmu_interval_notifier_ops watch_ops = {
	.invalidate = watch_invalidate,
	.settled = watch_settled,
};

static const struct mmu_interval_notifier_ops never_settled_ops = {
	.invalidate = watch_invalidate,
	.concerns = watch_concerns,
};

static int watch_insert(struct watch *w, struct mm_struct *mm, unsigned long first,
			unsigned long nr)
{
	pthread_mutex_lock(&w->lock);
	w->off = false;
	__atomic_fetch_or(&w->word, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&w->lock);
	return mmu_interval_notifier_insert(&w->notifier, mm, PAGE(first), PAGE(nr), &watch_ops);
}

static void watch_remove(struct watch *w)
{
	/* From here on it says nothing, whatever settles. */
	pthread_mutex_lock(&w->lock);
	w->off = true;
	__atomic_fetch_or(&w->word, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&w->lock);
	mmu_interval_notifier_remove(&w->notifier);
}

static void watch_removed(struct mmu_interval_notifier *notifier)
{
}

static void sub_removed(struct mmu_interval_notifier *notifier)
{
	container_of(notifier, struct sub, notifier)->removals++;
}

static int vm_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	return 0;
}

static void vm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
}

static const struct mmu_notifier_ops vm_ops = {
	.invalidate_range_start = vm_start,
	.release = vm_release,
};

FIXTURE(core) {
	struct mm_struct mm;
};

FIXTURE_SETUP(core)
{
	memset(&self->mm, 0, sizeof(self->mm));
	self->mm.mm_users.counter = 1;
	self->mm.mm_count.counter = 1;
	warnings = 0;
}

/* Nobody may hold the mm any more, and nothing may be left of it. */
FIXTURE_TEARDOWN(core)
{
	EXPECT_EQ(self->mm.mm_count.counter, 1);
	if (self->mm.notifier_subscriptions)
		mmu_notifier_subscriptions_destroy(&self->mm);
	shim_rcu_barrier();
	if (__lsan_do_recoverable_leak_check)
		EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
}

static int insert(struct sub *s, struct mm_struct *mm, unsigned long first, unsigned long nr)
{
	return mmu_interval_notifier_insert(&s->notifier, mm, PAGE(first), PAGE(nr), &sub_ops);
}

static void start(struct mmu_notifier_range *range, struct mm_struct *mm, unsigned long first,
		  unsigned long nr)
{
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, PAGE(first), PAGE(first + nr));
	mmu_notifier_invalidate_range_start(range);
}

static void invalidate(struct mm_struct *mm, unsigned long first, unsigned long nr)
{
	struct mmu_notifier_range range;

	start(&range, mm, first, nr);
	mmu_notifier_invalidate_range_end(&range);
}

/*
 * Misuse: one warning, and nothing gets corrupted.
 */

TEST_F(core, inserted_twice)
{
	struct sub s = {}, other = {};

	ASSERT_EQ(insert(&s, &self->mm, 1, 1), 0);
	ASSERT_EQ(insert(&other, &self->mm, 1, 1), 0);
	EXPECT_EQ(insert(&s, &self->mm, 7, 1), -EINVAL);
	EXPECT_EQ(warnings, 1);
	invalidate(&self->mm, 1, 1);
	invalidate(&self->mm, 7, 1);
	EXPECT_EQ(s.calls, 1);
	EXPECT_EQ(other.calls, 1);
	mmu_interval_notifier_remove(&s.notifier);
	mmu_interval_notifier_remove(&other.notifier);
}

TEST_F(core, removed_twice)
{
	struct sub s = {}, other = {};

	ASSERT_EQ(insert(&s, &self->mm, 1, 1), 0);
	ASSERT_EQ(insert(&other, &self->mm, 1, 1), 0);
	mmu_interval_notifier_remove(&s.notifier);
	EXPECT_EQ(warnings, 0);
	mmu_interval_notifier_remove(&s.notifier);
	EXPECT_EQ(warnings, 1);
	mmu_interval_notifier_remove_async(&s.notifier, sub_removed);
	EXPECT_EQ(warnings, 2);
	EXPECT_EQ(s.removals, 0);
	invalidate(&self->mm, 1, 1);
	EXPECT_EQ(s.calls, 0);
	EXPECT_EQ(other.calls, 1);
	mmu_interval_notifier_remove(&other.notifier);
}

TEST_F(core, removed_but_never_inserted)
{
	struct sub s = {};

	s.notifier.ops = &sub_ops;
	mmu_interval_notifier_remove(&s.notifier);
	EXPECT_EQ(warnings, 1);
	/* As a driver's stack may be. */
	memset(&s.notifier, 0x5a, sizeof(s.notifier));
	s.notifier.ops = &sub_ops;
	mmu_interval_notifier_remove(&s.notifier);
	EXPECT_EQ(warnings, 2);
}

TEST_F(core, removed_twice_while_it_waits)
{
	struct mmu_notifier_range range;
	struct sub s = {};

	ASSERT_EQ(insert(&s, &self->mm, 1, 1), 0);
	start(&range, &self->mm, 1, 1);
	mmu_interval_notifier_remove_async(&s.notifier, sub_removed);
	mmu_interval_notifier_remove_async(&s.notifier, sub_removed);
	EXPECT_EQ(warnings, 1);
	EXPECT_EQ(insert(&s, &self->mm, 1, 1), -EINVAL);
	EXPECT_EQ(warnings, 2);
	EXPECT_EQ(s.removals, 0);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_EQ(s.removals, 1);
}

TEST_F(core, refused_although_it_may_sleep)
{
	struct sub s = { .refuses = true };

	ASSERT_EQ(insert(&s, &self->mm, 1, 1), 0);
	invalidate(&self->mm, 1, 1);
	EXPECT_EQ(warnings, 1);
	mmu_interval_notifier_remove(&s.notifier);
}

TEST_F(core, impossible_addresses)
{
	struct sub s = {};

	EXPECT_EQ(mmu_interval_notifier_insert(&s.notifier, &self->mm, PAGE(1), 0, &sub_ops),
		  -EOVERFLOW);
	EXPECT_EQ(mmu_interval_notifier_insert(&s.notifier, &self->mm, -PAGE_SIZE, PAGE_SIZE + 1,
					       &sub_ops), -EOVERFLOW);
	EXPECT_EQ(mmu_interval_notifier_insert(&s.notifier, &self->mm, -PAGE_SIZE, PAGE_SIZE,
					       &sub_ops), 0);
	mmu_interval_notifier_remove(&s.notifier);
	self->mm.mm_users.counter = 0;
	EXPECT_EQ(insert(&s, &self->mm, 1, 1), -EINVAL);
	EXPECT_EQ(warnings, 1);
}

TEST_F(core, list_misuse)
{
	struct mmu_notifier n = { .ops = &vm_ops };

	mmu_notifier_unregister(&n, &self->mm);
	EXPECT_EQ(warnings, 1);
	ASSERT_EQ(mmu_notifier_register(&n, &self->mm), 0);
	mmu_notifier_unregister(&n, &self->mm);
	EXPECT_EQ(warnings, 1);
	mmu_notifier_unregister(&n, &self->mm);
	EXPECT_EQ(warnings, 2);
}

TEST_F(core, concerned_but_never_settled)
{
	struct watch w = {};

	EXPECT_EQ(mmu_interval_notifier_insert(&w.notifier, &self->mm, PAGE(1), PAGE(1),
					       &never_settled_ops), -EINVAL);
	EXPECT_EQ(warnings, 1);
	invalidate(&self->mm, 1, 1);
	EXPECT_EQ(w.calls, 0);
}

/*
 * Allocations that fail
 */

static void start_anew(struct mm_struct *mm)
{
	if (mm->notifier_subscriptions)
		mmu_notifier_subscriptions_destroy(mm);
}

TEST_F(core, insertion_without_memory)
{
	struct sub s = {};
	unsigned int fail;
	int ret = -ENOMEM;

	for (fail = 1; ret; fail++) {
		shim_fail_in = fail;
		ret = insert(&s, &self->mm, 1, 1);
		shim_fail_in = 0;
		if (ret) {
			ASSERT_EQ(ret, -ENOMEM);
			ASSERT_EQ(self->mm.mm_count.counter, 1);
			invalidate(&self->mm, 1, 1);
			start_anew(&self->mm);
		}
		ASSERT_LT(fail, 20);
	}
	/* The object, the slots and a node, one after the other. */
	EXPECT_EQ(fail, 5);
	EXPECT_EQ(s.calls, 0);
	invalidate(&self->mm, 1, 1);
	EXPECT_EQ(s.calls, 1);
	mmu_interval_notifier_remove(&s.notifier);
}

TEST_F(core, registration_without_memory)
{
	struct mmu_notifier n = { .ops = &vm_ops };
	unsigned int fail;
	int ret = -ENOMEM;

	for (fail = 1; ret; fail++) {
		shim_fail_in = fail;
		ret = mmu_notifier_register(&n, &self->mm);
		shim_fail_in = 0;
		if (ret) {
			ASSERT_EQ(ret, -ENOMEM);
			ASSERT_EQ(self->mm.mm_count.counter, 1);
			start_anew(&self->mm);
		}
		ASSERT_LT(fail, 20);
	}
	/* The object and its domain */
	EXPECT_EQ(fail, 4);
	mmu_notifier_unregister(&n, &self->mm);
}

/*
 * Large numbers
 */

#define MANY	5000

static unsigned int seed;

static unsigned int below(unsigned int limit)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % limit;
}

/* Whoever overlaps is told once, and nobody else, in an index of three levels. */
TEST_F(core, large_index)
{
	static struct sub subs[MANY];
	unsigned int round, i, at, nr, expected;

	memset(subs, 0, sizeof(subs));
	seed = 1;
	for (round = 0; round < 4 * MANY; round++) {
		struct sub *s = &subs[below(MANY)];

		/* Grows at first, shrinks in the end. */
		if (s->notifier.mm && s->notifier.leaf) {
			if (round > 2 * MANY || !below(4))
				mmu_interval_notifier_remove(&s->notifier);
		} else if (round < 3 * MANY) {
			ASSERT_EQ(insert(s, &self->mm, below(20000), 1 + (below(8) ? below(4) :
									  below(3000))), 0);
		}
		if (round % 50)
			continue;
		for (i = 0; i < MANY; i++)
			subs[i].calls = 0;
		at = below(22000);
		nr = 1 + below(below(2) ? 4 : 4000);
		invalidate(&self->mm, at, nr);
		for (i = 0; i < MANY; i++) {
			expected = subs[i].notifier.leaf &&
				   subs[i].notifier.interval_tree.start < PAGE(at + nr) &&
				   subs[i].notifier.interval_tree.last >= PAGE(at);
			ASSERT_EQ(subs[i].calls, expected) {
				TH_LOG("round %u, subscription %u, range %u + %u", round,
				       i, at, nr);
			}
		}
	}
	for (i = 0; i < MANY; i++)
		if (subs[i].notifier.leaf)
			mmu_interval_notifier_remove(&subs[i].notifier);
	EXPECT_EQ(warnings, 0);
}

/* A gap that a search finds, in an index of three levels, has nothing in it. */
TEST_F(core, gaps_of_a_large_index)
{
	static struct sub subs[MANY];
	struct mmu_interval_notifier *sub;
	unsigned int round, i, seq, found = 0;
	unsigned long first, last;
	struct mmu_index *index;
	struct mn_gap gap;

	memset(subs, 0, sizeof(subs));
	seed = 1;
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(insert(&subs[i], &self->mm, below(40 * MANY),
				 1 + (below(8) ? below(4) : below(100))), 0);
	index = &self->mm.notifier_subscriptions->intervals.index;
	ASSERT_GE(index->height, 3);
	for (round = 0; round < 2 * MANY; round++) {
		first = PAGE(below(41 * MANY));
		last = first + PAGE(1) - 1;
		if (mmu_index_may_overlap(index, first, last, &seq, &gap))
			continue;
		found++;
		EXPECT_EQ(gap.version, index->version);
		ASSERT_LE(gap.first, first);
		ASSERT_GE(gap.last, last);
		for (i = 0; i < MANY; i++) {
			sub = &subs[i].notifier;
			ASSERT_TRUE(sub->interval_tree.start > gap.last ||
				    sub->interval_tree.last < gap.first);
		}
	}
	EXPECT_GT(found, MANY / 10);
	for (i = 0; i < MANY; i++)
		mmu_interval_notifier_remove(&subs[i].notifier);
}

/* In ascending and descending order, nodes fill and empty from one end. */
TEST_F(core, index_from_one_end)
{
	static struct sub subs[MANY];
	unsigned int i, turn;

	memset(subs, 0, sizeof(subs));
	for (turn = 0; turn < 4; turn++) {
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(insert(&subs[i], &self->mm, turn & 1 ? i : MANY - i, 1), 0);
		invalidate(&self->mm, 0, MANY + 1);
		for (i = 0; i < MANY; i++)
			mmu_interval_notifier_remove(&subs[turn & 2 ? i : MANY - 1 - i].notifier);
		invalidate(&self->mm, 0, MANY + 1);
	}
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(subs[i].calls, 4);
}

/*
 * A range in a gap, which the CPU remembers, and one beside the gap, in turns and at
 * every place. In descending order leaves are half full: most gaps end in the
 * leaf behind.
 */
TEST_F(core, beside_every_gap)
{
	static struct sub subs[MANY];
	unsigned int i, turn, at;

	memset(subs, 0, sizeof(subs));
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(insert(&subs[i], &self->mm, 2 * (turn ? i : MANY - i), 1), 0);
		for (i = 0; i < MANY; i++) {
			at = subs[i].notifier.interval_tree.start / PAGE_SIZE;
			subs[i].calls = 0;
			invalidate(&self->mm, at + 1, 1);
			ASSERT_EQ(subs[i].calls, 0);
			invalidate(&self->mm, at, 1);
			ASSERT_EQ(subs[i].calls, 1);
			invalidate(&self->mm, at + 1, 1);
			invalidate(&self->mm, at, 2);
			ASSERT_EQ(subs[i].calls, 2);
			if (!i)
				continue;
			invalidate(&self->mm, at + 1, 1);
			at = subs[i - 1].notifier.interval_tree.start / PAGE_SIZE;
			invalidate(&self->mm, at, 1);
			ASSERT_EQ(subs[i - 1].calls, 3);
		}
		for (i = 0; i < MANY; i++)
			mmu_interval_notifier_remove(&subs[i].notifier);
	}
}

/* The very last address, where a first address looks like no entry. */
TEST_F(core, index_at_the_end)
{
	static struct sub subs[200];
	struct mmu_notifier_range range;
	unsigned int i;

	memset(subs, 0, sizeof(subs));
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		ASSERT_EQ(mmu_interval_notifier_insert(&subs[i].notifier, &self->mm,
						       i % 2 ? ULONG_MAX : ULONG_MAX - i, 1,
						       &sub_ops), 0);
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, &self->mm, ULONG_MAX - 300, ULONG_MAX);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	/* ``end`` is exclusive: it cannot reach the last byte. */
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		ASSERT_EQ(subs[i].calls, i && !(i % 2));
		mmu_interval_notifier_remove(&subs[i].notifier);
	}
}

static void init_watches(struct watch *watches, unsigned int nr)
{
	memset(watches, 0, nr * sizeof(*watches));
	while (nr--)
		pthread_mutex_init(&watches[nr].lock, NULL);
}

/* Each settles once when it is inserted, and once more after a range over all. */
TEST_F(core, thousands_settle)
{
	static struct watch watches[MANY];
	struct mmu_notifier_range range;
	unsigned int i;

	init_watches(watches, MANY);
	for (i = 0; i < MANY; i += 2)
		ASSERT_EQ(watch_insert(&watches[i], &self->mm, i, 1), 0);
	start(&range, &self->mm, 0, MANY);
	for (i = 1; i < MANY; i += 2)
		ASSERT_EQ(watch_insert(&watches[i], &self->mm, i, 1), 0);
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(watches[i].word & 1, 1);
		ASSERT_EQ(watches[i].settled, !(i % 2));
		ASSERT_EQ(watches[i].calls, !(i % 2));
	}
	/* Those that have gone hear no more of it. */
	for (i = 0; i < MANY; i += 5) {
		watches[i].off = true;
		mmu_interval_notifier_remove_async(&watches[i].notifier, watch_removed);
	}
	mmu_notifier_invalidate_range_end(&range);
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(watches[i].word & 1, i % 5 == 0);
		ASSERT_EQ(watches[i].settled, !(i % 2) + !!(i % 5));
		if (i % 5)
			watch_remove(&watches[i]);
	}
	EXPECT_EQ(warnings, 0);
}

/* The same with a range that was there first, in a slot. */
TEST_F(core, thousands_hang)
{
	static struct watch watches[MANY];
	struct mmu_notifier_range ranges[2];
	struct sub s = {};
	unsigned int i;

	ASSERT_EQ(insert(&s, &self->mm, 2 * MANY, 1), 0);
	init_watches(watches, MANY);
	start(&ranges[0], &self->mm, 0, MANY);
	start(&ranges[1], &self->mm, 100, MANY / 2);
	ASSERT_NE(ranges[1].slot, NULL);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(watch_insert(&watches[i], &self->mm, i, 1), 0);
	for (i = 0; i < MANY; i += 5)
		watch_remove(&watches[i]);
	mmu_notifier_invalidate_range_end(&ranges[0]);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(watches[i].settled, i % 5 && (i < 100 || i >= 100 + MANY / 2));
	mmu_notifier_invalidate_range_end(&ranges[1]);
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(watches[i].settled, !!(i % 5));
		ASSERT_EQ(watches[i].calls, 0);
		if (i % 5)
			watch_remove(&watches[i]);
	}
	mmu_interval_notifier_remove(&s.notifier);
	EXPECT_EQ(warnings, 0);
}

TEST_F(core, batches)
{
	static struct mmu_interval_notifier *list[MANY + 1];
	static struct sub subs[MANY];
	struct mmu_notifier_range range;
	unsigned int i;

	memset(subs, 0, sizeof(subs));
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(insert(&subs[i], &self->mm, i, 1), 0);
		list[i] = &subs[i].notifier;
	}
	/* One that is not inserted is left out, with a warning. */
	list[MANY] = &subs[0].notifier;
	start(&range, &self->mm, 10, 5);
	mmu_interval_notifier_remove_batch(list, MANY + 1, sub_removed);
	EXPECT_EQ(warnings, 1);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(subs[i].removals, i < 10 || i >= 15);
	mmu_notifier_invalidate_range_end(&range);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(subs[i].removals, 1);

	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(insert(&subs[i], &self->mm, i, 1), 0);
		list[i] = &subs[i].notifier;
	}
	mmu_interval_notifier_remove_batch(list, MANY, NULL);
	invalidate(&self->mm, 0, MANY);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(subs[i].calls, 10 <= i && i < 15);
}

/*
 * Threads
 */

#define WINDOW	8
#define THREADS	4

/* A page table, and a device that has SPTEs of it; dead pages are negative. */
static struct mirror {
	struct mmu_interval_notifier notifier;
	pthread_mutex_t lock;
	long spte;
	unsigned int at;
} mirrors[WINDOW];

static struct mm_struct *shared_mm;
static long ptes[WINDOW];
static bool page_dead[1 << 20];
static long last_page;
static bool stop;
static unsigned long stale, faults, ranges;

static bool mirror_invalidate(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range, unsigned long seq)
{
	struct mirror *m = container_of(notifier, struct mirror, notifier);

	pthread_mutex_lock(&m->lock);
	mmu_interval_set_seq(notifier, seq);
	m->spte = 0;
	pthread_mutex_unlock(&m->lock);
	return true;
}

static const struct mmu_interval_notifier_ops mirror_ops = { .invalidate = mirror_invalidate };

static bool is_dead(long page)
{
	return __atomic_load_n(&page_dead[page], __ATOMIC_RELAXED);
}

static void use(struct mirror *m)
{
	if (m->spte && is_dead(m->spte))
		__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
}

static void *run_ranges(void *arg)
{
	unsigned int cpu = (unsigned long)arg, random = cpu + 1, i, at, nr;
	struct mmu_notifier_range range;
	long page, old;

	shim_cpu(cpu);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		random = random * 1103515245 + 12345;
		at = (random >> 8) % WINDOW;
		nr = 1 + (random >> 16) % (WINDOW - at);
		start(&range, shared_mm, at, nr);
		for (i = at; i < at + nr; i++) {
			page = __atomic_add_fetch(&last_page, 1, __ATOMIC_RELAXED);
			if (page >= (1 << 20)) {
				__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
				break;
			}
			old = __atomic_exchange_n(&ptes[i], page, __ATOMIC_RELAXED);
			__atomic_store_n(&page_dead[old], true, __ATOMIC_RELAXED);
		}
		mmu_notifier_invalidate_range_end(&range);
		__atomic_add_fetch(&ranges, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void mirror_fault(struct mirror *m)
{
	unsigned long seq = mmu_interval_read_begin(&m->notifier);
	long page = __atomic_load_n(&ptes[m->at], __ATOMIC_RELAXED);

	pthread_mutex_lock(&m->lock);
	if (!mmu_interval_read_retry(&m->notifier, seq)) {
		m->spte = page;
		use(m);
		__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&m->lock);
}

static void mirror_insert(struct mirror *m)
{
	if (mmu_interval_notifier_insert(&m->notifier, shared_mm, PAGE((unsigned long)m->at),
					 PAGE_SIZE, &mirror_ops))
		abort();
}

/* Reads, and now and then goes and comes again. */
static void *run_device(void *arg)
{
	unsigned int cpu = (unsigned long)arg, turn, i;

	shim_cpu(cpu);
	for (turn = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); turn++) {
		for (i = cpu % 2; i < WINDOW; i += 2) {
			struct mirror *m = &mirrors[i];

			mirror_fault(m);
			pthread_mutex_lock(&m->lock);
			use(m);
			pthread_mutex_unlock(&m->lock);
			if ((turn + i) % 7)
				continue;
			mmu_interval_notifier_remove(&m->notifier);
			m->spte = 0;
			mirror_insert(m);
		}
	}
	return NULL;
}

static void *run_list(void *arg)
{
	struct mmu_notifier n;

	shim_cpu((unsigned long)arg);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		memset(&n, 0, sizeof(n));
		n.ops = &vm_ops;
		if (mmu_notifier_register(&n, shared_mm))
			abort();
		mmu_notifier_unregister(&n, shared_mm);
	}
	return NULL;
}

TEST_F_TIMEOUT(core, threads_never_see_a_dead_page, 100)
{
	void *(*run[])(void *) = { run_ranges, run_ranges, run_device, run_device, run_list };
	pthread_t threads[ARRAY_SIZE(run)];
	unsigned long i;

	/* CPUs are for those that claim slots; the others share one. */
	shared_mm = &self->mm;
	for (i = 0; i < WINDOW; i++) {
		pthread_mutex_init(&mirrors[i].lock, NULL);
		mirrors[i].at = i;
		ptes[i] = ++last_page;
		mirror_insert(&mirrors[i]);
	}
	for (i = 0; i < ARRAY_SIZE(run); i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, run[i], (void *)(i % SHIM_CPUS)), 0);
	sleep(3);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu ranges, %lu SPTEs made", ranges, faults);
	EXPECT_EQ(stale, 0);
	EXPECT_GT(ranges, 100);
	EXPECT_GT(faults, 100);
	EXPECT_EQ(warnings, 0);
	for (i = 0; i < WINDOW; i++)
		mmu_interval_notifier_remove(&mirrors[i].notifier);
}

/* A page is good as long as the word is even and the same. */
static struct watch shared_watches[WINDOW];
static unsigned long trusted;

static void *run_clients(void *arg)
{
	unsigned long word, reads = 0;
	struct watch *w;
	unsigned int i;
	long page;
	bool dead;

	shim_cpu((unsigned long)arg);
	for (i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		w = &shared_watches[i % WINDOW];
		word = __atomic_load_n(&w->word, __ATOMIC_ACQUIRE);
		if (word & 1)
			continue;
		page = __atomic_load_n(&ptes[i % WINDOW], __ATOMIC_ACQUIRE);
		dead = __atomic_load_n(&page_dead[page], __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&w->word, __ATOMIC_RELAXED) != word)
			continue;
		reads++;
		if (dead)
			__atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
	}
	__atomic_add_fetch(&trusted, reads, __ATOMIC_RELAXED);
	return NULL;
}

/* One after the other goes and comes again, or all: then ranges go to slots. */
static void *run_watches(void *arg)
{
	unsigned int turn, first, nr, i;

	shim_cpu((unsigned long)arg);
	for (turn = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); turn++) {
		first = turn % 3 ? turn % WINDOW : 0;
		nr = turn % 3 ? 1 : WINDOW;
		for (i = first; i < first + nr; i++)
			watch_remove(&shared_watches[i]);
		sched_yield();
		for (i = first; i < first + nr; i++)
			if (watch_insert(&shared_watches[i], shared_mm, i, 1))
				abort();
		usleep(20);
	}
	return NULL;
}

TEST_F_TIMEOUT(core, threads_trust_even_words, 100)
{
	void *(*run[])(void *) = { run_ranges, run_ranges, run_clients, run_watches };
	pthread_t threads[ARRAY_SIZE(run)];
	unsigned long i;

	shared_mm = &self->mm;
	init_watches(shared_watches, WINDOW);
	for (i = 0; i < WINDOW; i++) {
		ptes[i] = ++last_page;
		ASSERT_EQ(watch_insert(&shared_watches[i], shared_mm, i, 1), 0);
	}
	for (i = 0; i < ARRAY_SIZE(run); i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, run[i], (void *)i), 0);
	sleep(3);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	TH_LOG("%lu ranges, %lu pages trusted", ranges, trusted);
	EXPECT_EQ(stale, 0);
	EXPECT_GT(ranges, 100);
	EXPECT_GT(trusted, 100);
	EXPECT_EQ(warnings, 0);
	for (i = 0; i < WINDOW; i++) {
		EXPECT_EQ(shared_watches[i].word & 1, 0);
		EXPECT_EQ(shared_watches[i].notifier.in_flight, 0);
		watch_remove(&shared_watches[i]);
	}
}

TEST_HARNESS_MAIN
