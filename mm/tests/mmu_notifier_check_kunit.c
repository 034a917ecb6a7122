// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the contract checker: each kind of violation is reported, and what
 * is allowed is not. Coverage has a suite of its own.
 *
 * The kernel has to be booted with debug_mmu_notifier=all; the fixture expects that
 * nothing is reported but what a case asks for by mnk_reported().
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>

#include "mmu_notifier_kunit.h"

#define AT		0x100000UL
#define PAGE(nr)	(AT + (nr) * PAGE_SIZE)

#define EXPECT_REPORTS(test, kind, number)				\
	KUNIT_EXPECT_EQ(test, mnk_reported(kind), number)

static int check_init(struct kunit *test)
{
	if (mmu_notifier_checks != BIT(MMU_REPORT_KINDS) - 1)
		kunit_skip(test, "boot with debug_mmu_notifier=all");
	return mnk_init(test);
}

static void check_exit(struct kunit *test)
{
	mnk_exit(test);
}

/*
 * A list subscription whose callbacks do what a case wants them to, and no more.
 */
struct driver {
	struct mmu_notifier notifier;
	struct mm_struct *mm;
	unsigned int busy_ms;
	unsigned int sleep_jiffies;
	int calls;
};

static int driver_start(struct mmu_notifier *notifier,
			const struct mmu_notifier_range *range)
{
	struct driver *driver = container_of(notifier, struct driver, notifier);

	driver->calls++;
	if (driver->busy_ms)
		mdelay(driver->busy_ms);
	/* Not msleep(), for which might_sleep() has words of its own. */
	if (driver->sleep_jiffies)
		schedule_timeout_uninterruptible(driver->sleep_jiffies);
	return 0;
}

static void driver_end(struct mmu_notifier *notifier,
		       const struct mmu_notifier_range *range)
{
	container_of(notifier, struct driver, notifier)->calls++;
}

static const struct mmu_notifier_ops driver_ops = {
	.invalidate_range_start = driver_start,
	.invalidate_range_end = driver_end,
};

static struct driver *driver(struct kunit *test, struct mnk_mm *m)
{
	struct driver *driver = kunit_kzalloc(test, sizeof(*driver), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, driver);
	driver->notifier.ops = &driver_ops;
	driver->mm = m->mm;
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&driver->notifier, m->mm), 0);
	return driver;
}

static void driver_gone(struct driver *driver)
{
	mmu_notifier_unregister(&driver->notifier, driver->mm);
}

static void range_init(struct mmu_notifier_range *range, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm, start, end);
}

/* What is allowed: nested, overlapping, of two mms, not blockable, called off. */
static void contract_kept(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *other = mnk_mm(test);
	struct mnk_list *list = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct driver *d = driver(test, other);
	struct mmu_notifier_range outer, inner, same;

	MNK_ASSERT_RUNS(test, mnk_register, list);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	range_init(&outer, m->mm, PAGE(0), PAGE(4));
	range_init(&inner, other->mm, PAGE(0), PAGE(1));
	range_init(&same, m->mm, PAGE(2), PAGE(6));
	mmu_notifier_invalidate_range_start(&outer);
	KUNIT_EXPECT_EQ(test, mmu_notifier_invalidate_range_start_nonblock(&inner), 0);
	mmu_notifier_invalidate_range_end(&inner);
	mmu_notifier_invalidate_range_end(&outer);
	mmu_notifier_invalidate_range_start(&same);
	mmu_notifier_invalidate_range_end(&same);
	KUNIT_EXPECT_EQ(test, d->calls, 2);

	list->refuse = true;
	KUNIT_EXPECT_EQ(test, mnk_invalidate_nonblock(test, m, PAGE(0), PAGE(1)),
			-EAGAIN);
	list->refuse = false;
	/* Nothing is left of what was called off. */
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	MNK_ASSERT_RUNS(test, mnk_unregister, list);
	driver_gone(d);
}

/*
 * Balance
 */

/* Far down the stack, below whatever starts a range afterwards. */
static noinline void range_forgotten(struct mm_struct *mm,
				     struct mmu_notifier_range *copy, int depth)
{
	struct mmu_notifier_range range;

	if (depth) {
		range_forgotten(mm, copy, depth - 1);
		barrier_data(&range);	/* no jump: the frame stays */
		return;
	}
	range_init(&range, mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	*copy = range;
}

static void start_without_end(struct kunit *test)
{
	struct mmu_notifier_range copies[2], range;
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d = driver(test, m);

	/* In the same place: a loop, say, that does not end what it starts. */
	range_init(&range, m->mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	copies[0] = range;
	range_init(&range, m->mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 1);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 0);

	/* In a function that has returned. */
	range_forgotten(m->mm, &copies[1], 20);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 0);
	range_init(&range, m->mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 1);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 0);

	/* So that the mm can be left; nobody started them as far as is known. */
	mmu_notifier_invalidate_range_end(&copies[0]);
	mmu_notifier_invalidate_range_end(&copies[1]);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 2);
	driver_gone(d);
}

static void end_of_another_range(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d = driver(test, m);
	struct mmu_notifier_range range;

	range_init(&range, m->mm, PAGE(1), PAGE(3));
	mmu_notifier_invalidate_range_start(&range);
	range.end = PAGE(2);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 1);

	range_init(&range, m->mm, PAGE(1), PAGE(3));
	mmu_notifier_invalidate_range_start(&range);
	range.start = PAGE(0);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 1);
	driver_gone(d);
}

static void end_by_another_task(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d = driver(test, m);
	struct mnk_range *range = mnk_range(test, m, PAGE(0), PAGE(1));

	range->hold = mnk_gate(test);
	mmu_notifier_invalidate_range_start(&range->range);
	mmu_notifier_invalidate_range_end(&range->range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 0);

	mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(range->hold));
	mmu_notifier_invalidate_range_end(&range->range);
	EXPECT_REPORTS(test, MMU_REPORT_BALANCE, 1);
	mnk_open(range->hold);
	driver_gone(d);
}

/*
 * Callbacks
 */

static void sleeps_where_it_must_not(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d;
	struct mmu_notifier_range range;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "spinlocks sleep, so nothing is reported");
	if (IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP))
		kunit_skip(test, "the scheduler reports it itself, and loudly");
	d = driver(test, m);
	d->sleep_jiffies = 1;
	range_init(&range, m->mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_SLEPT, 0);

	range_init(&range, m->mm, PAGE(0), PAGE(1));
	KUNIT_EXPECT_EQ(test, mmu_notifier_invalidate_range_start_nonblock(&range), 0);
	EXPECT_REPORTS(test, MMU_REPORT_SLEPT, 1);
	/* What happens between start and end may. */
	schedule_timeout_uninterruptible(1);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_SLEPT, 0);
	d->sleep_jiffies = 0;
	driver_gone(d);
}

static void slow_callback(struct kunit *test)
{
	unsigned int limit = mmu_notifier_slow_ms;
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d = driver(test, m);

	WRITE_ONCE(mmu_notifier_slow_ms, 25);
	d->busy_ms = 50;
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_SLOW, 1);
	WRITE_ONCE(mmu_notifier_slow_ms, 0);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_SLOW, 0);
	WRITE_ONCE(mmu_notifier_slow_ms, limit);
	d->busy_ms = 0;
	driver_gone(d);
}

/*
 * An interval subscription that does or does not store the sequence.
 */
struct forgetful {
	struct mmu_interval_notifier notifier;
	bool forgets;
};

static bool forgetful_invalidate(struct mmu_interval_notifier *notifier,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq)
{
	struct forgetful *f = container_of(notifier, struct forgetful, notifier);

	if (!f->forgets)
		mmu_interval_set_seq(notifier, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops forgetful_ops = {
	.invalidate = forgetful_invalidate,
};

static void sequence_not_stored(struct kunit *test)
{
	struct forgetful *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);
	struct mnk_mm *m = mnk_mm(test);
	unsigned long seq;

	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_ASSERT_EQ(test, mmu_interval_notifier_insert(&f->notifier, m->mm, PAGE(0),
							   PAGE_SIZE, &forgetful_ops), 0);
	f->forgets = true;
	/* As long as no reader asks for it, it does not matter. */
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	seq = mmu_interval_read_begin(&f->notifier);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_SEQUENCE, 0);
	mmu_interval_read_retry(&f->notifier, seq);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_SEQUENCE, 1);
	f->forgets = false;
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_SEQUENCE, 0);
	mmu_interval_notifier_remove(&f->notifier);
}

/* As if unregistering had left it in the list. */
static void told_after_the_end(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mmu_notifier_subscriptions *subscriptions;
	struct driver *d = driver(test, m);
	unsigned int listening;

	subscriptions = m->mm->notifier_subscriptions;
	listening = subscriptions->listening.bits;
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_LATE, 0);
	driver_gone(d);

	spin_lock(&subscriptions->lock);
	hlist_add_head_rcu(&d->notifier.hlist, &subscriptions->list);
	subscriptions->listening.bits = listening;
	spin_unlock(&subscriptions->lock);
	mnk_invalidate(test, m, PAGE(0), PAGE(1));
	EXPECT_REPORTS(test, MMU_REPORT_LATE, 2);
	spin_lock(&subscriptions->lock);
	hlist_del_init_rcu(&d->notifier.hlist);
	spin_unlock(&subscriptions->lock);
}

/*
 * Waiting for oneself. In tasks: if it is not noticed they do not return.
 */

struct inside {
	struct mnk_mm *m;
	struct mnk_list *list;
	struct mnk_interval *interval;
	long (*fn)(void *arg);
	void *arg;
};

static long inside_a_range(void *arg)
{
	struct inside *inside = arg;
	struct mmu_notifier_range range;
	long ret;

	range_init(&range, inside->m->mm, PAGE(0), PAGE(1));
	mmu_notifier_invalidate_range_start(&range);
	ret = inside->fn(inside->arg);
	mmu_notifier_invalidate_range_end(&range);
	return ret;
}

static long read_once(void *interval)
{
	mnk_read_begin(interval);
	return 0;
}

static void waits_for_itself(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *list = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *late = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, PAGE(0), PAGE_SIZE);
	struct mnk_interval *elsewhere = mnk_interval(test, m, PAGE(1), PAGE_SIZE);
	struct inside inside[] = {
		{ .m = m, .fn = mnk_register, .arg = late },
		{ .m = m, .fn = read_once, .arg = interval },
		{ .m = m, .fn = mnk_remove, .arg = interval },
		{ .m = m, .fn = mnk_unregister, .arg = list },
	};
	struct inside fine[] = {
		{ .m = m, .fn = read_once, .arg = elsewhere },
		{ .m = m, .fn = mnk_remove, .arg = elsewhere },
	};
	int i;

	MNK_ASSERT_RUNS(test, mnk_register, list);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_ASSERT_RUNS(test, mnk_insert, elsewhere);
	for (i = 0; i < ARRAY_SIZE(fine); i++) {
		KUNIT_EXPECT_EQ(test, mnk_run(test, inside_a_range, &fine[i]), 0);
		EXPECT_REPORTS(test, MMU_REPORT_DEADLOCK, 0);
	}
	for (i = 0; i < ARRAY_SIZE(inside); i++) {
		KUNIT_EXPECT_EQ_MSG(test, mnk_run(test, inside_a_range, &inside[i]), 0,
				    "%ps", inside[i].fn);
		EXPECT_REPORTS(test, MMU_REPORT_DEADLOCK, 1);
	}
}

/*
 * SPTEs
 */

static void page_freed_too_early(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0);
	struct page *kept = alloc_pages(GFP_KERNEL | __GFP_COMP, 1);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_ASSERT_NOT_NULL(test, kept);

	/* Each that was made goes. */
	mmu_notifier_spte_set(page, page_freed_too_early);
	mmu_notifier_spte_set(page, page_freed_too_early);
	mmu_notifier_spte_clear(page, page_freed_too_early);
	mmu_notifier_spte_clear(page, page_freed_too_early);
	__free_pages(page, 0);
	EXPECT_REPORTS(test, MMU_REPORT_PAGES, 0);

	/* The second page of two. */
	mmu_notifier_spte_set(kept + 1, page_freed_too_early);
	__free_pages(kept, 1);
	EXPECT_REPORTS(test, MMU_REPORT_PAGES, 1);
	/* It has been reported; what goes now goes without a word. */
	mmu_notifier_spte_clear(kept + 1, page_freed_too_early);
	EXPECT_REPORTS(test, MMU_REPORT_PAGES, 0);
}

static void more_sptes_go_than_came(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, page);
	mmu_notifier_spte_set(page, more_sptes_go_than_came);
	mmu_notifier_spte_clear(page, more_sptes_go_than_came);
	mmu_notifier_spte_clear(page, more_sptes_go_than_came);
	EXPECT_REPORTS(test, MMU_REPORT_PAGES, 1);
	__free_pages(page, 0);
}

static void spte_for_a_free_page(struct kunit *test)
{
	struct page *page = alloc_pages(GFP_KERNEL, 0);

	KUNIT_ASSERT_NOT_NULL(test, page);
	/* As free as it can be made without anybody else getting it. */
	page_ref_freeze(page, 1);
	mmu_notifier_spte_set(page, spte_for_a_free_page);
	EXPECT_REPORTS(test, MMU_REPORT_PAGES, 1);
	mmu_notifier_spte_clear(page, spte_for_a_free_page);
	page_ref_unfreeze(page, 1);
	__free_pages(page, 0);
}

/*
 * Locks
 */

enum held {
	HELD_NONE,
	HELD_MMAP_READ,
	HELD_MMAP_WRITE,
	HELD_VMA,
	HELD_I_MMAP,
	HELD_ANON_VMA,
	HELD_OTHER_MMAP,
};

struct lock_case {
	const char *name;
	enum held held;
	unsigned int reports;	/* at start and at end */
};

static const struct lock_case lock_cases[] = {
	{ "none", HELD_NONE, 2 },
	{ "mmap_lock_read", HELD_MMAP_READ, 0 },
	{ "mmap_lock_write", HELD_MMAP_WRITE, 0 },
	{ "vma", HELD_VMA, 0 },
	{ "i_mmap_rwsem", HELD_I_MMAP, 0 },
	{ "anon_vma", HELD_ANON_VMA, 0 },
	{ "another_mmap_lock", HELD_OTHER_MMAP, 2 },
};

KUNIT_ARRAY_PARAM_DESC(lock, lock_cases, name);

/* Where none can be tried it takes one to say so. */
static const void *locks_gen_params(const void *prev, char *desc)
{
	if (prev && !IS_ENABLED(CONFIG_LOCKDEP))
		return NULL;
	return lock_gen_params(prev, desc);
}

static void range_without_a_lock(struct kunit *test)
{
	const struct lock_case *c = test->param_value;
	struct mnk_mm *other = mnk_mm(test);
	struct vm_area_struct *vma = NULL;
	struct mmu_notifier_range range;
	struct mnk_mm *m = mnk_mm(test);
	struct driver *d;
	struct file *file;
	unsigned long at;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		kunit_skip(test, "CONFIG_LOCKDEP is not set; make test-debug has it");

	d = driver(test, m);
	m->lazy = true;
	kthread_use_mm(m->mm);
	file = shmem_kernel_file_setup("mmu_notifier", PAGE_SIZE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	at = vm_mmap(file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(at));
	mmap_read_lock(m->mm);
	vma = vma_lookup(m->mm, at);
	KUNIT_EXPECT_EQ(test, anon_vma_prepare(vma), 0);
	mmap_read_unlock(m->mm);

	switch (c->held) {
	case HELD_NONE:
		break;
	case HELD_MMAP_READ:
		mmap_read_lock(m->mm);
		break;
	case HELD_MMAP_WRITE:
		mmap_write_lock(m->mm);
		break;
	case HELD_VMA:
		KUNIT_ASSERT_TRUE(test, vma_start_read(vma));
		break;
	case HELD_I_MMAP:
		i_mmap_lock_read(file->f_mapping);
		break;
	case HELD_ANON_VMA:
		anon_vma_lock_read(vma->anon_vma);
		break;
	case HELD_OTHER_MMAP:
		mmap_read_lock(other->mm);
		break;
	}
	range_init(&range, m->mm, at, at + PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
	EXPECT_REPORTS(test, MMU_REPORT_LOCKS, c->reports);
	switch (c->held) {
	case HELD_NONE:
		break;
	case HELD_MMAP_READ:
		mmap_read_unlock(m->mm);
		break;
	case HELD_MMAP_WRITE:
		mmap_write_unlock(m->mm);
		break;
	case HELD_VMA:
		vma_end_read(vma);
		break;
	case HELD_I_MMAP:
		i_mmap_unlock_read(file->f_mapping);
		break;
	case HELD_ANON_VMA:
		anon_vma_unlock_read(vma->anon_vma);
		break;
	case HELD_OTHER_MMAP:
		mmap_read_unlock(other->mm);
		break;
	}
	fput(file);
	driver_gone(d);
	kthread_unuse_mm(m->mm);
}

static struct kunit_case check_cases[] = {
	KUNIT_CASE(contract_kept),
	KUNIT_CASE(start_without_end),
	KUNIT_CASE(end_of_another_range),
	KUNIT_CASE(end_by_another_task),
	KUNIT_CASE(sleeps_where_it_must_not),
	KUNIT_CASE(sequence_not_stored),
	KUNIT_CASE(slow_callback),
	KUNIT_CASE(told_after_the_end),
	KUNIT_CASE(waits_for_itself),
	KUNIT_CASE(page_freed_too_early),
	KUNIT_CASE(more_sptes_go_than_came),
	KUNIT_CASE(spte_for_a_free_page),
	KUNIT_CASE_PARAM(range_without_a_lock, locks_gen_params),
	{}
};

static struct kunit_suite check_suite = {
	.name = "mmu_notifier_check",
	.init = check_init,
	.exit = check_exit,
	.test_cases = check_cases,
};

kunit_test_suite(check_suite);
