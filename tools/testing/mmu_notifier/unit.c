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

TEST_HARNESS_MAIN
