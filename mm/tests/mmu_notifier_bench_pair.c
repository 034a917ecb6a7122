// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what one invalidation costs, start and end together, and what a
 * secondary-TLB flush does, with how many subscriptions and lying how.
 *
 * The range is one page, or as many as there are subscriptions. "beyond": below
 * all of them; "gap": between two of them, at random; "overlap-N": overlaps N, at random if N is 1.
 * The callbacks are empty. What the loop costs is taken off.
 */

#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timex.h>

#include "mmu_notifier_bench.h"

#define BENCH_PAIRS	1000
#define BENCH_LISTS	64

/* Where the ranges of a case begin, and how many pages each has */
struct bench_places {
	unsigned int page[BENCH_PAIRS];
	unsigned int nr;
};

static struct mmu_notifier bench_list[BENCH_LISTS];
static struct bench_places bench_near;
static struct bench_places bench_far;

static void bench_pair_once(struct mmu_notifier_range *range,
			    struct mm_struct *mm, unsigned int page,
			    unsigned int nr)
{
	mmu_bench_range(range, mm, page, nr);
	mmu_notifier_invalidate_range_start(range);
	barrier();
	mmu_notifier_invalidate_range_end(range);
}

static void bench_pair(const char *what, struct mm_struct *mm,
		       const struct bench_places *places)
{
	struct mmu_notifier_range range;
	cycles_t empty, full;
	int i, repeat;

	for (repeat = 0; repeat < MMU_BENCH_REPEATS; repeat++) {
		empty = get_cycles();
		for (i = 0; i < BENCH_PAIRS; i++) {
			unsigned int page = READ_ONCE(places->page[i]);

			/* In a register, as in the loop below */
			asm volatile("" : : "r" (page) : "memory");
		}
		empty = get_cycles() - empty;

		full = get_cycles();
		for (i = 0; i < BENCH_PAIRS; i++)
			bench_pair_once(&range, mm, READ_ONCE(places->page[i]),
					places->nr);
		full = get_cycles() - full;
		mmu_bench_report(what,
				 DIV_ROUND_CLOSEST(full - empty, BENCH_PAIRS));
	}
}

static void bench_tlb(const char *what, struct mm_struct *mm)
{
	cycles_t empty, full;
	int i, repeat;

	for (repeat = 0; repeat < MMU_BENCH_REPEATS; repeat++) {
		empty = get_cycles();
		for (i = 0; i < BENCH_PAIRS; i++)
			barrier();
		empty = get_cycles() - empty;

		full = get_cycles();
		for (i = 0; i < BENCH_PAIRS; i++) {
			mmu_notifier_arch_invalidate_secondary_tlbs(mm,
								    PAGE_SIZE,
								    2 * PAGE_SIZE);
			barrier();
		}
		full = get_cycles() - full;
		mmu_bench_report(what,
				 DIV_ROUND_CLOSEST(full - empty, BENCH_PAIRS));
	}
}

/* What the page table does is not of interest, so there is none. */
static int bench_lists(void)
{
	struct mm_struct *mm = mm_alloc();
	static const unsigned int elsewhere = 16;
	struct mmu_interval_notifier *subs;
	char name[32];
	int i, ret;

	if (!mm)
		return -ENOMEM;

	bench_pair("pair/none", mm, &bench_near);
	bench_tlb("tlb/none", mm);

	bench_list[0].ops = &mmu_bench_release_ops;
	ret = mmu_notifier_register(&bench_list[0], mm);
	if (ret)
		goto out;
	bench_pair("pair/release-only", mm, &bench_near);
	mmu_notifier_unregister(&bench_list[0], mm);

	for (i = 0; i < BENCH_LISTS; i++) {
		bench_list[i].ops = &mmu_bench_list_ops;
		ret = mmu_notifier_register(&bench_list[i], mm);
		if (ret)
			goto unregister;
		if (is_power_of_2(i + 1)) {
			snprintf(name, sizeof(name), "pair/list-%d", i + 1);
			bench_pair(name, mm, &bench_near);
		}
		if (i == 0)
			bench_tlb("tlb/list-1", mm);
	}
	while (--i > 0)
		mmu_notifier_unregister(&bench_list[i], mm);

	subs = mmu_bench_insert(mm, &elsewhere, 1);
	ret = PTR_ERR_OR_ZERO(subs);
	i = 1;
	if (ret)
		goto unregister;
	bench_pair("pair/list-1-interval-1", mm, &bench_near);
	bench_tlb("tlb/list-1-interval-1", mm);
	mmu_bench_remove(subs, 1);
unregister:
	while (--i >= 0)
		mmu_notifier_unregister(&bench_list[i], mm);
out:
	mmput(mm);
	return ret;
}

/* @nr pages each, from @first on or at random from there over @among pairs */
static void bench_place(unsigned int first, unsigned int nr, unsigned int among)
{
	struct rnd_state state;
	int i;

	prandom_seed_state(&state, 1);
	for (i = 0; i < BENCH_PAIRS; i++)
		bench_far.page[i] = first +
				    2 * (prandom_u32_state(&state) % among);
	bench_far.nr = nr;
}

static void bench_far_pair(const char *nr, const char *how, struct mm_struct *mm)
{
	char what[48];

	snprintf(what, sizeof(what), "pair/interval-%s-%s", nr, how);
	bench_pair(what, mm, &bench_far);
}

/* Intervals lie as mmu_bench_pages() says. */
static int bench_intervals(unsigned int nr, const char *name)
{
	unsigned int *pages = mmu_bench_pages(nr, true);
	struct mmu_interval_notifier *subs;
	struct mm_struct *mm = mm_alloc();
	int ret = -ENOMEM;

	if (!mm || !pages)
		goto out;
	subs = mmu_bench_insert(mm, pages, nr);
	ret = PTR_ERR_OR_ZERO(subs);
	if (ret)
		goto out;

	bench_place(1, 1, 1);
	bench_far_pair(name, "beyond", mm);
	if (nr > 1) {
		bench_place(17, 1, nr);
		bench_far_pair(name, "gap", mm);
	}
	if (nr == 1 || nr == 100000) {
		bench_place(16, 1, nr);
		bench_far_pair(name, "overlap-1", mm);
	}
	if (nr == 100) {
		bench_place(16, 2 * nr, 1);
		bench_far_pair(name, "overlap-100", mm);
	}
	mmu_bench_remove(subs, nr);
out:
	kvfree(pages);
	if (mm)
		mmput(mm);
	return ret;
}

int mmu_bench_pair(void)
{
	int i, ret;

	for (i = 0; i < BENCH_PAIRS; i++)
		bench_near.page[i] = 1;
	bench_near.nr = 1;
	ret = bench_lists();
	ret = ret ?: bench_intervals(1, "1");
	ret = ret ?: bench_intervals(10, "10");
	ret = ret ?: bench_intervals(100, "100");
	ret = ret ?: bench_intervals(1000, "1k");
	ret = ret ?: bench_intervals(10000, "10k");
	return ret ?: bench_intervals(100000, "100k");
}
