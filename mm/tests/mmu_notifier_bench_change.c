// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what it costs to insert and remove subscriptions to ranges, and
 * what insertions cost the ranges in flight meanwhile.
 */

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timex.h>

#include "mmu_notifier_bench.h"

#define BENCH_CHANGES	10000
#define BENCH_DRAINED	100000

/* One after the other; the first one, which prepares the mm, is not counted. */
static int bench_change(bool scattered)
{
	static const unsigned int first = 1;
	unsigned int *pages = mmu_bench_pages(BENCH_CHANGES, scattered);
	struct mmu_interval_notifier *subs, *prepared;
	struct mm_struct *mm = mm_alloc();
	cycles_t begin, done;
	int ret = -ENOMEM;
	unsigned int i;

	if (!pages || !mm)
		goto out;
	prepared = mmu_bench_insert(mm, &first, 1);
	ret = PTR_ERR_OR_ZERO(prepared);
	if (ret)
		goto out;

	begin = get_cycles();
	subs = mmu_bench_insert(mm, pages, BENCH_CHANGES);
	done = get_cycles() - begin;
	ret = PTR_ERR_OR_ZERO(subs);
	if (ret)
		goto remove;
	mmu_bench_report(scattered ? "insert/10k-scattered" :
				     "insert/10k-sequential",
			 done / BENCH_CHANGES);

	begin = get_cycles();
	for (i = 0; i < BENCH_CHANGES; i++)
		mmu_interval_notifier_remove(&subs[i]);
	done = get_cycles() - begin;
	kvfree(subs);
	mmu_bench_report(scattered ? "remove/10k-scattered" :
				     "remove/10k-sequential",
			 done / BENCH_CHANGES);
remove:
	mmu_bench_remove(prepared, 1);
out:
	if (mm)
		mmput(mm);
	kvfree(pages);
	return ret;
}

int mmu_bench_change(void)
{
	int i, ret = 0;

	for (i = 0; i < MMU_BENCH_REPEATS && !ret; i++) {
		ret = bench_change(false);
		ret = ret ?: bench_change(true);
	}
	return ret;
}

/* How long an end takes */
static u64 bench_time_end(struct mmu_notifier_range *range, u64 (*clock)(void))
{
	u64 begin = clock();

	mmu_notifier_invalidate_range_end(range);
	return clock() - begin;
}

/*
 * A range that overlaps a subscription is in flight while many others are
 * inserted, and a short one comes and goes after each of these.
 */
static int bench_drain(u64 (*clock)(void))
{
	static const unsigned int covered = 1;
	unsigned int *pages = mmu_bench_pages(BENCH_DRAINED, true);
	struct mmu_interval_notifier *subs = NULL, *cover;
	struct mmu_notifier_range held, range;
	struct mm_struct *mm = mm_alloc();
	unsigned int nr = 0;
	int ret = -ENOMEM;
	u64 longest = 0;

	subs = kvcalloc(BENCH_DRAINED, sizeof(*subs), GFP_KERNEL);
	if (!pages || !mm || !subs)
		goto out;
	cover = mmu_bench_insert(mm, &covered, 1);
	ret = PTR_ERR_OR_ZERO(cover);
	if (ret)
		goto out;

	mmu_bench_range(&held, mm, covered, 1);
	mmu_notifier_invalidate_range_start(&held);
	while (nr < BENCH_DRAINED) {
		ret = mmu_interval_notifier_insert(&subs[nr], mm,
						   pages[nr] * PAGE_SIZE,
						   PAGE_SIZE,
						   &mmu_bench_interval_ops);
		if (ret)
			break;
		nr++;
		mmu_bench_range(&range, mm, covered + 2, 1);
		mmu_notifier_invalidate_range_start(&range);
		longest = max(longest, bench_time_end(&range, clock));
	}
	longest = max(longest, bench_time_end(&held, clock));
	if (!ret)
		mmu_bench_report("insert/100k-during-range-end-max", longest);

	while (nr--)
		mmu_interval_notifier_remove(&subs[nr]);
	mmu_bench_remove(cover, 1);
out:
	if (mm)
		mmput(mm);
	kvfree(subs);
	kvfree(pages);
	return ret;
}

static u64 bench_cycles(void)
{
	return get_cycles();
}

static u64 bench_us(void)
{
	return ktime_to_us(ktime_get());
}

static int bench_drains(u64 (*clock)(void))
{
	int i, ret = 0;

	for (i = 0; i < MMU_BENCH_REPEATS && !ret; i++)
		ret = bench_drain(clock);
	return ret;
}

int mmu_bench_drain(void)
{
	return bench_drains(bench_cycles);
}

int mmu_bench_drain_us(void)
{
	return bench_drains(bench_us);
}
