// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of what devices are told that walk the CPU's page table.
 *
 * A *walker* has no page table of its own, only a TLB. Each test gives itself
 * an address space with real memory, changes it the way a process does, and has
 * a recording subscription check each call where it comes (R4): the entry is
 * no longer present; if it is about to be replaced, the page-table lock is held
 * and the range in flight; if its page is about to be freed, it is still there.
 *
 * A second recorder, of arch_invalidate_secondary_tlbs(), counts how often the
 * architecture takes a few pages for everything.
 */

#include <kunit/test.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/preempt.h>
#include <linux/swap.h>
#include <linux/uaccess.h>

#include "../internal.h"

#define NR_PAGES	8
#define NR_CALLS	64

/**
 * struct walker - a recording subscription
 * @notifier: what is registered.
 * @mm: the mm.
 * @lock: guards what follows.
 * @nr: calls; of the first NR_CALLS the addresses are in @calls.
 * @calls: their addresses.
 * @whole: calls for the whole address space.
 * @present: entries that were still present when they were announced.
 * @unlocked: calls without the page-table lock.
 * @outside: announced with no range in flight.
 * @freed: of @watched, pages that had been freed when they were announced.
 * @open: ranges in flight.
 * @watched: the pages that were mapped from @from on, without a reference.
 * @from: see @watched.
 */
struct walker {
	struct mmu_notifier notifier;
	struct mm_struct *mm;
	spinlock_t lock;	/* see above */
	unsigned int nr;
	struct {
		unsigned long start;
		unsigned long end;
	} calls[NR_CALLS];
	unsigned int whole;
	unsigned int present;
	unsigned int unlocked;
	unsigned int outside;
	unsigned int freed;
	unsigned int open;
	struct page *watched[NR_PAGES];
	unsigned long from;
};

/* Look an address up as a device would. Nobody else changes this page table. */
static bool walk(struct mm_struct *mm, unsigned long addr, struct page **page)
{
	pmd_t *pmd, pmdval;
	pte_t pte;

	*page = NULL;
	pmd = mm_find_pmd(mm, addr);
	if (!pmd)
		return false;

	pmdval = pmdp_get_lockless(pmd);
	if (!pmd_present(pmdval))
		return false;
	if (pmd_leaf(pmdval)) {
		*page = pmd_page(pmdval) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
		return true;
	}

	pte = ptep_get(pte_offset_kernel(pmd, addr));
	if (pte_present(pte))
		*page = pte_page(pte);
	return pte_present(pte);
}

static void walker_look(struct walker *w, unsigned long start,
			unsigned long end)
{
	struct page *page;
	unsigned long addr;

	for (addr = start; addr < end; addr += PAGE_SIZE) {
		unsigned long nr = (addr - w->from) >> PAGE_SHIFT;

		if (walk(w->mm, addr, &page))
			w->present++;
		if (addr >= w->from && nr < NR_PAGES && w->watched[nr] &&
		    !page_count(w->watched[nr]))
			w->freed++;
	}
	if (!w->open)
		w->outside++;
}

/* Then no spinlock is held, and the page-table lock is one. */
static bool may_be_preempted(void)
{
	return IS_ENABLED(CONFIG_PREEMPT_COUNT) &&
	       !IS_ENABLED(CONFIG_PREEMPT_RT) && preemptible();
}

static void walker_call(struct mmu_notifier *notifier, struct mm_struct *mm,
			unsigned long start, unsigned long end)
{
	struct walker *w = container_of(notifier, struct walker, notifier);
	bool unlocked = may_be_preempted();
	unsigned long flags;

	spin_lock_irqsave(&w->lock, flags);
	w->unlocked += unlocked;
	if (w->nr < NR_CALLS) {
		w->calls[w->nr].start = start;
		w->calls[w->nr].end = end;
	}
	w->nr++;
	if (!start && end == ULONG_MAX)
		w->whole++;
	else if (notifier->ops->invalidate_range)
		walker_look(w, start, end);
	spin_unlock_irqrestore(&w->lock, flags);
}

static int walker_start(struct mmu_notifier *notifier,
			const struct mmu_notifier_range *range)
{
	struct walker *w = container_of(notifier, struct walker, notifier);

	spin_lock_irq(&w->lock);
	w->open++;
	spin_unlock_irq(&w->lock);
	return 0;
}

static void walker_end(struct mmu_notifier *notifier,
		       const struct mmu_notifier_range *range)
{
	struct walker *w = container_of(notifier, struct walker, notifier);

	spin_lock_irq(&w->lock);
	w->open--;
	spin_unlock_irq(&w->lock);
}

static const struct mmu_notifier_ops walker_ops = {
	.invalidate_range = walker_call,
	.invalidate_range_start = walker_start,
	.invalidate_range_end = walker_end,
};

static const struct mmu_notifier_ops along_ops = {
	.arch_invalidate_secondary_tlbs = walker_call,
};

static void walker_unregister(void *data)
{
	struct walker *w = data;

	mmu_notifier_unregister(&w->notifier, w->mm);
}

/* Subscribe to the test's own address space, until the test ends. */
static struct walker *walker_new(struct kunit *test,
				 const struct mmu_notifier_ops *ops)
{
	struct walker *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, w);
	spin_lock_init(&w->lock);
	w->notifier.ops = ops;
	w->mm = current->mm;
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&w->notifier, w->mm), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, walker_unregister,
							w), 0);
	return w;
}

static void walker_watch(struct walker *w, unsigned long addr)
{
	int i;

	w->from = addr;
	for (i = 0; i < NR_PAGES; i++)
		walk(w->mm, addr + i * PAGE_SIZE, &w->watched[i]);
}

/* What was recorded so far is not what the test is about. */
static void walker_forget(struct walker *w)
{
	spin_lock_irq(&w->lock);
	w->nr = 0;
	w->whole = 0;
	w->present = 0;
	w->unlocked = 0;
	w->outside = 0;
	spin_unlock_irq(&w->lock);
}

/* How many calls were for these addresses and no others? */
static unsigned int walker_calls(struct walker *w, unsigned long start,
				 unsigned long end)
{
	unsigned int i, nr = 0;

	for (i = 0; i < min_t(unsigned int, w->nr, NR_CALLS); i++)
		nr += w->calls[i].start == start && w->calls[i].end == end;
	return nr;
}

/* And how many spanned them? */
static unsigned int walker_spans(struct walker *w, unsigned long start,
				 unsigned long end)
{
	unsigned int i, nr = 0;

	for (i = 0; i < min_t(unsigned int, w->nr, NR_CALLS); i++)
		nr += w->calls[i].start <= start && w->calls[i].end >= end;
	return nr;
}

/* Memory of a process that the test becomes. */
static unsigned long memory(struct kunit *test, unsigned long size)
{
	unsigned long addr;

	if (IS_ENABLED(CONFIG_HIGHPTE))
		kunit_skip(test, "page tables cannot be looked at");
	addr = kunit_vm_mmap(test, NULL, 0, size, PROT_READ | PROT_WRITE,
			     MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, addr, 0, "no address space");
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	return addr;
}

static void write_pages(struct kunit *test, unsigned long addr,
			unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		KUNIT_ASSERT_EQ(test, put_user(i + 1, (unsigned long __user *)
					       (addr + i * PAGE_SIZE)), 0);
}

static void read_pages(struct kunit *test, unsigned long addr, unsigned long nr)
{
	unsigned long i, value;

	for (i = 0; i < nr; i++) {
		KUNIT_ASSERT_EQ(test, get_user(value, (unsigned long __user *)
					       (addr + i * PAGE_SIZE)), 0);
		KUNIT_ASSERT_EQ(test, value, 0);
	}
}

static void advise(struct kunit *test, unsigned long addr, unsigned long size,
		   int advice)
{
	if (!IS_ENABLED(CONFIG_ADVISE_SYSCALLS))
		kunit_skip(test, "no ADVISE_SYSCALLS");
	KUNIT_ASSERT_EQ(test, do_madvise(current->mm, addr, size, advice), 0);
}

static void copy_on_write_is_told_in_between(struct kunit *test)
{
	unsigned long addr = memory(test, NR_PAGES * PAGE_SIZE);
	struct walker *w;
	int i;

	/* Every page is the zero page. */
	read_pages(test, addr, NR_PAGES);
	w = walker_new(test, &walker_ops);

	write_pages(test, addr, NR_PAGES);
	KUNIT_EXPECT_EQ(test, w->nr, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_EQ(test, walker_calls(w, addr + i * PAGE_SIZE,
						   addr + (i + 1) * PAGE_SIZE),
				1);
	KUNIT_EXPECT_EQ(test, w->present, 0);
	KUNIT_EXPECT_EQ(test, w->unlocked, 0);
	KUNIT_EXPECT_EQ(test, w->outside, 0);

	/* What is its own already is written without a call. */
	write_pages(test, addr, NR_PAGES);
	KUNIT_EXPECT_EQ(test, w->nr, NR_PAGES);
}

static void gathered_pages_are_told_before_they_go(struct kunit *test)
{
	unsigned long addr = memory(test, NR_PAGES * PAGE_SIZE);
	unsigned long second = addr + PAGE_SIZE;
	struct walker *w;

	write_pages(test, addr, NR_PAGES);
	lru_add_drain();
	w = walker_new(test, &walker_ops);
	walker_watch(w, addr);
	KUNIT_ASSERT_NOT_NULL(test, w->watched[1]);

	advise(test, second, PAGE_SIZE, MADV_DONTNEED);
	KUNIT_EXPECT_EQ(test, walker_calls(w, second, second + PAGE_SIZE), 1);
	KUNIT_EXPECT_EQ(test, w->nr, 1);
	KUNIT_EXPECT_EQ(test, w->freed, 0);
	KUNIT_EXPECT_EQ(test, w->present, 0);

	/* That page may be somebody else's by now. */
	w->watched[1] = NULL;
	KUNIT_ASSERT_EQ(test, vm_munmap(addr, NR_PAGES * PAGE_SIZE), 0);
	KUNIT_EXPECT_GE(test, walker_spans(w, addr, addr + NR_PAGES * PAGE_SIZE),
			1);
	KUNIT_EXPECT_EQ(test, w->freed, 0);
	KUNIT_EXPECT_EQ(test, w->present, 0);
}

static void unregistered_walker_hears_nothing(struct kunit *test)
{
	unsigned long addr = memory(test, 2 * PAGE_SIZE);
	struct walker *gone, *stays;

	read_pages(test, addr, 1);
	gone = walker_new(test, &walker_ops);
	stays = walker_new(test, &walker_ops);
	kunit_release_action(test, walker_unregister, gone);

	write_pages(test, addr, 1);
	KUNIT_EXPECT_EQ(test, gone->nr, 0);
	KUNIT_EXPECT_EQ(test, walker_calls(stays, addr, addr + PAGE_SIZE), 1);
}

/* Has the mm on another CPU, so that reclaim puts the flush off. */
struct companion {
	struct mm_struct *mm;
	unsigned long addr;
	struct completion there;
};

static int companion_run(void *data)
{
	struct companion *c = data;
	unsigned long value;

	kthread_use_mm(c->mm);
	if (get_user(value, (unsigned long __user *)c->addr))
		value = 0;
	complete(&c->there);
	while (!kthread_should_stop()) {
		cpu_relax();
		cond_resched();
	}
	kthread_unuse_mm(c->mm);
	return value;
}

static void reclaim_names_its_pages(struct kunit *test)
{
	struct companion c = { };
	unsigned long addr, at;
	struct walker *along, *w;
	struct task_struct *task;
	struct page *page;
	int cpu, i;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");

	addr = memory(test, NR_PAGES * PAGE_SIZE);
	c.mm = current->mm;
	c.addr = addr;
	init_completion(&c.there);
	write_pages(test, addr, NR_PAGES);
	along = walker_new(test, &along_ops);
	w = walker_new(test, &walker_ops);
	/*
	 * No swap is needed to reclaim what nobody will miss. Pages that another CPU has in
	 * a batch, which this thread was on before, could not be isolated.
	 */
	lru_add_drain_all();
	advise(test, addr, NR_PAGES * PAGE_SIZE, MADV_FREE);
	lru_add_drain_all();

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	task = kthread_create_on_cpu(companion_run, &c, cpu, "walker/%u");
	if (!IS_ERR(task)) {
		wake_up_process(task);
		wait_for_completion(&c.there);
		walker_forget(along);
		walker_forget(w);
		do_madvise(current->mm, addr, NR_PAGES * PAGE_SIZE, MADV_PAGEOUT);
		kthread_stop(task);
	}
	migrate_enable();
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));

	for (i = 0; i < NR_PAGES; i++) {
		at = addr + i * PAGE_SIZE;
		if (walk(current->mm, at, &page)) {
			KUNIT_FAIL(test, "page %d was not reclaimed", i);
			continue;
		}
		KUNIT_EXPECT_EQ(test, walker_calls(w, at, at + PAGE_SIZE), 1);
		KUNIT_EXPECT_EQ(test, walker_calls(along, at, at + PAGE_SIZE), 1);
	}
	KUNIT_EXPECT_EQ(test, along->nr, NR_PAGES);
	KUNIT_EXPECT_EQ(test, along->whole, 0);
	KUNIT_EXPECT_EQ(test, w->nr, NR_PAGES);
	KUNIT_EXPECT_EQ(test, w->present, 0);
	KUNIT_EXPECT_EQ(test, w->unlocked, 0);
	KUNIT_EXPECT_EQ(test, w->outside, 0);
}

static void collapse_and_split_are_told_in_between(struct kunit *test)
{
	unsigned long addr, huge;
	struct walker *w;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "no TRANSPARENT_HUGEPAGE");

	addr = memory(test, 2 * PMD_SIZE);
	huge = ALIGN(addr, PMD_SIZE);
	write_pages(test, huge, PMD_SIZE >> PAGE_SHIFT);
	w = walker_new(test, &walker_ops);

	advise(test, huge, PMD_SIZE, MADV_COLLAPSE);
	KUNIT_EXPECT_GE(test, walker_calls(w, huge, huge + PMD_SIZE), 1);
	KUNIT_EXPECT_EQ(test, w->unlocked, 0);
	KUNIT_EXPECT_EQ(test, w->outside, 0);
	KUNIT_EXPECT_EQ(test, w->present, 0);

	walker_forget(w);
	advise(test, huge, PAGE_SIZE, MADV_DONTNEED);
	/* First the split, then the page. */
	KUNIT_EXPECT_EQ(test, walker_calls(w, huge, huge + PMD_SIZE), 1);
	KUNIT_EXPECT_EQ(test, w->calls[0].start, huge);
	KUNIT_EXPECT_EQ(test, w->calls[0].end, huge + PMD_SIZE);
	KUNIT_EXPECT_EQ(test, walker_calls(w, huge, huge + PAGE_SIZE), 1);
}

static struct kunit_case walker_cases[] = {
	KUNIT_CASE(copy_on_write_is_told_in_between),
	KUNIT_CASE(gathered_pages_are_told_before_they_go),
	KUNIT_CASE(unregistered_walker_hears_nothing),
	KUNIT_CASE(reclaim_names_its_pages),
	KUNIT_CASE_SLOW(collapse_and_split_are_told_in_between),
	{}
};

static struct kunit_suite walker_suite = {
	.name = "mmu_notifier_walkers",
	.test_cases = walker_cases,
};

kunit_test_suite(walker_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifiers, page-table walkers");
MODULE_LICENSE("GPL");
