// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what it costs to subscribe, in instructions by number of VMAs,
 * and in memory.
 */

#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_context.h>
#include <linux/rcupdate.h>
#include <linux/sched/cputime.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include <linux/vmstat.h>

#include "mmu_notifier_bench.h"

#define BENCH_REGISTER_REPEATS	3	/* each takes seconds */
#define BENCH_MMS		1000
#define BENCH_INTERVALS		100000

static const struct {
	unsigned int nr;
	const char *name;
} bench_vmas[] = {
	{ 10, "10" }, { 1000, "1k" }, { 10000, "10k" }, { 60000, "60k" },
};

/* Neighbours differ so that they do not merge; every other one has a page. */
static int bench_map(unsigned long nr)
{
	unsigned long base, addr, i;
	int ret;

	base = vm_mmap(NULL, 0, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(base))
		return base;
	for (i = 0; i < nr; i++) {
		addr = base + i * PAGE_SIZE;
		if (i & 1) {
			addr = vm_mmap(NULL, addr, PAGE_SIZE, PROT_READ,
				       MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS,
				       0);
			if (IS_ERR_VALUE(addr))
				return addr;
			continue;
		}
		ret = put_user(1UL, (unsigned long __user *)addr);
		if (ret)
			return ret;
	}
	return 0;
}

/* An mm with so many VMAs, or an ERR_PTR() */
static struct mm_struct *bench_mapped(unsigned int nr)
{
	struct mm_struct *mm = mm_alloc();
	int ret;

	if (!mm)
		return ERR_PTR(-ENOMEM);
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	kthread_use_mm(mm);
	ret = bench_map(nr);
	kthread_unuse_mm(mm);
	if (ret) {
		mmput(mm);
		return ERR_PTR(ret);
	}
	/* What mapping has left to RCU would run while we wait. */
	rcu_barrier();
	schedule_timeout_uninterruptible(HZ);
	return mm;
}

/*
 * Registration may sleep. What this thread executes is counted by the scheduler,
 * in nanoseconds, of which an instruction takes one; what passes until it is
 * done, by the time-stamp counter.
 */
struct bench_stopwatch {
	u64 executed;
	cycles_t passed;
};

static void bench_begin(struct bench_stopwatch *watch)
{
	watch->executed = task_sched_runtime(current);
	watch->passed = get_cycles();
}

static void bench_end(struct bench_stopwatch *watch, const char *vmas,
		      const char *which)
{
	char what[32];

	watch->passed = get_cycles() - watch->passed;
	watch->executed = task_sched_runtime(current) - watch->executed;
	snprintf(what, sizeof(what), "register/%s-%s", vmas, which);
	mmu_bench_report(what, watch->executed);
	snprintf(what, sizeof(what), "register/%s-%s-elapsed", vmas, which);
	mmu_bench_report(what, watch->passed);
}

static int bench_register_lists(unsigned int nr, const char *name)
{
	struct mmu_notifier list[2] = {};
	struct mm_struct *mm = bench_mapped(nr);
	struct bench_stopwatch watch;
	int i, ret = 0;

	if (IS_ERR(mm))
		return PTR_ERR(mm);
	for (i = 0; i < 2; i++) {
		list[i].ops = &mmu_bench_list_ops;
		bench_begin(&watch);
		ret = mmu_notifier_register(&list[i], mm);
		if (ret)
			break;
		bench_end(&watch, name, i ? "second" : "first");
		schedule_timeout_uninterruptible(HZ);
	}
	while (i--)
		mmu_notifier_unregister(&list[i], mm);
	mmput(mm);
	return ret;
}

static int bench_register_interval(unsigned int nr, const char *name)
{
	struct mmu_interval_notifier sub = {};
	struct mm_struct *mm = bench_mapped(nr);
	struct bench_stopwatch watch;
	int ret;

	if (IS_ERR(mm))
		return PTR_ERR(mm);
	bench_begin(&watch);
	ret = mmu_interval_notifier_insert(&sub, mm, PAGE_SIZE, PAGE_SIZE,
					   &mmu_bench_interval_ops);
	if (!ret) {
		bench_end(&watch, name, "interval");
		mmu_interval_notifier_remove(&sub);
	}
	mmput(mm);
	return ret;
}

int mmu_bench_register(void)
{
	int i, repeat, ret = 0;

	for (i = 0; i < ARRAY_SIZE(bench_vmas); i++) {
		for (repeat = 0; repeat < BENCH_REGISTER_REPEATS && !ret; repeat++) {
			ret = bench_register_lists(bench_vmas[i].nr,
						   bench_vmas[i].name);
			ret = ret ?: bench_register_interval(bench_vmas[i].nr,
							     bench_vmas[i].name);
		}
	}
	return ret;
}

/* Free pages of the machine, those that CPUs keep for themselves included */
static unsigned long bench_free_pages(void)
{
	unsigned long pages = 0;
	struct zone *zone;

	/* What was freed before is given back by work items, at leisure. */
	rcu_barrier();
	schedule_timeout_idle(HZ);
	drain_all_pages(NULL);
	for_each_populated_zone(zone)
		pages += zone_page_state_snapshot(zone, NR_FREE_PAGES);
	return pages;
}

/* Everything is kept until the end: what was freed would be used again. */
struct bench_crowd {
	struct mm_struct *mms[BENCH_MMS];
	struct mmu_notifier lists[BENCH_MMS];
	struct mmu_interval_notifier intervals[BENCH_MMS];
	unsigned int nr_mms;
	unsigned int nr_lists;
	unsigned int nr_intervals;
};

static void bench_report_bytes(const char *what, unsigned long before,
			       unsigned int nr)
{
	long pages = before - bench_free_pages();

	mmu_bench_report(what, max(pages, 0L) * PAGE_SIZE / nr);
}

static void bench_crowd_free(struct bench_crowd *crowd)
{
	unsigned int i;

	if (!crowd)
		return;
	for (i = 0; i < crowd->nr_intervals; i++)
		mmu_interval_notifier_remove(&crowd->intervals[i]);
	for (i = 0; i < crowd->nr_lists; i++)
		mmu_notifier_unregister(&crowd->lists[i], crowd->mms[i]);
	for (i = 0; i < crowd->nr_mms; i++)
		mmput(crowd->mms[i]);
	kvfree(crowd);
}

static struct bench_crowd *bench_crowd(void)
{
	struct bench_crowd *crowd = kvzalloc(sizeof(*crowd), GFP_KERNEL);
	unsigned int *nr;

	if (!crowd)
		return NULL;
	for (nr = &crowd->nr_mms; *nr < BENCH_MMS; ++*nr) {
		crowd->mms[*nr] = mm_alloc();
		if (!crowd->mms[*nr]) {
			bench_crowd_free(crowd);
			return NULL;
		}
	}
	return crowd;
}

/* What the first subscription adds to an mm, besides what the driver brings */
static int bench_memory_lists(struct bench_crowd *crowd)
{
	unsigned long before = bench_free_pages();
	unsigned int *nr;
	int ret;

	for (nr = &crowd->nr_lists; *nr < BENCH_MMS; ++*nr) {
		crowd->lists[*nr].ops = &mmu_bench_list_ops;
		ret = mmu_notifier_register(&crowd->lists[*nr],
					    crowd->mms[*nr]);
		if (ret)
			return ret;
	}
	bench_report_bytes("size/mm-with-list", before, BENCH_MMS);
	return 0;
}

static int bench_memory_intervals(struct bench_crowd *crowd)
{
	unsigned long before = bench_free_pages();
	unsigned int *nr;
	int ret;

	for (nr = &crowd->nr_intervals; *nr < BENCH_MMS; ++*nr) {
		ret = mmu_interval_notifier_insert(&crowd->intervals[*nr],
						   crowd->mms[*nr], PAGE_SIZE,
						   PAGE_SIZE,
						   &mmu_bench_interval_ops);
		if (ret)
			return ret;
	}
	bench_report_bytes("size/mm-with-interval", before, BENCH_MMS);
	return 0;
}

/* What each adds to an mm that has many, likewise */
static int bench_memory_index(void)
{
	unsigned int *pages = mmu_bench_pages(BENCH_INTERVALS, true);
	struct mmu_interval_notifier *subs;
	struct mm_struct *mm = mm_alloc();
	unsigned int nr = 0, i;
	unsigned long before;
	int ret = -ENOMEM;

	subs = kvcalloc(BENCH_INTERVALS, sizeof(*subs), GFP_KERNEL);
	if (!pages || !mm || !subs)
		goto out;
	before = bench_free_pages();
	for (; nr < BENCH_INTERVALS; nr++) {
		ret = mmu_interval_notifier_insert(&subs[nr], mm,
						   pages[nr] * PAGE_SIZE,
						   PAGE_SIZE,
						   &mmu_bench_interval_ops);
		if (ret)
			goto out;
	}
	bench_report_bytes("size/index-per-interval", before, BENCH_INTERVALS);
out:
	for (i = 0; i < nr; i++)
		mmu_interval_notifier_remove(&subs[i]);
	kvfree(subs);
	kvfree(pages);
	if (mm)
		mmput(mm);
	return ret;
}

int mmu_bench_memory(void)
{
	struct bench_crowd *lists = bench_crowd(), *intervals = bench_crowd();
	int ret = -ENOMEM;

	if (lists && intervals) {
		ret = bench_memory_lists(lists);
		ret = ret ?: bench_memory_intervals(intervals);
		ret = ret ?: bench_memory_index();
	}
	bench_crowd_free(intervals);
	bench_crowd_free(lists);
	return ret;
}
