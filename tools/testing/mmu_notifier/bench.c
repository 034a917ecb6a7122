// SPDX-License-Identifier: GPL-2.0
/*
 * What a pair of invalidate_range_start() and end() costs on this machine, in
 * nanoseconds: the median of many short windows. Built once against the core of
 * this tree and once against stock's; prints "CASE NANOSECONDS" a line.
 */

#include <time.h>
#include <linux/mmu_notifier.h>

#define WINDOWS	101
#define PAIRS	20000

static int bench_start(struct mmu_notifier *subscription,
		       const struct mmu_notifier_range *range)
{
	return 0;
}

static void bench_end(struct mmu_notifier *subscription,
		      const struct mmu_notifier_range *range)
{
}

static const struct mmu_notifier_ops bench_ops = {
	.invalidate_range_start = bench_start,
	.invalidate_range_end = bench_end,
};

static bool bench_invalidate(struct mmu_interval_notifier *subscription,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	mmu_interval_set_seq(subscription, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops bench_interval_ops = {
	.invalidate = bench_invalidate,
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static void bench_pair(const char *what, struct mm_struct *mm)
{
	double windows[WINDOWS], begin;
	struct mmu_notifier_range range;
	int w, i;

	for (w = 0; w < WINDOWS; w++) {
		begin = now();
		for (i = 0; i < PAIRS; i++) {
			mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm,
						PAGE_SIZE, 2 * PAGE_SIZE);
			mmu_notifier_invalidate_range_start(&range);
			barrier();
			mmu_notifier_invalidate_range_end(&range);
		}
		windows[w] = (now() - begin) / PAIRS;
	}
	qsort(windows, WINDOWS, sizeof(*windows), by_size);
	printf("%s %.2f\n", what, windows[WINDOWS / 2]);
}

static struct mm_struct *bench_mm(void)
{
	struct mm_struct *mm = calloc(1, sizeof(*mm));

	if (!mm)
		exit(1);
	mm->mm_users.counter = 1;
	mm->mm_count.counter = 1;
	return mm;
}

static void bench_list(struct mm_struct *mm, int nr)
{
	struct mmu_notifier *subscription;

	while (nr--) {
		subscription = calloc(1, sizeof(*subscription));
		if (!subscription)
			exit(1);
		subscription->ops = &bench_ops;
		if (mmu_notifier_register(subscription, mm))
			exit(1);
	}
}

static void bench_interval(struct mm_struct *mm, unsigned long page)
{
	struct mmu_interval_notifier *subscription;

	subscription = calloc(1, sizeof(*subscription));
	if (!subscription)
		exit(1);
	if (mmu_interval_notifier_insert(subscription, mm, page * PAGE_SIZE,
					 PAGE_SIZE, &bench_interval_ops))
		exit(1);
}

int main(void)
{
	struct mm_struct *mm;

	shim_cpu(0);

	mm = bench_mm();
	bench_pair("pair/none", mm);
	bench_list(mm, 1);
	bench_pair("pair/list-1", mm);
	bench_list(mm, 7);
	bench_pair("pair/list-8", mm);
	bench_list(mm, 56);
	bench_pair("pair/list-64", mm);

	mm = bench_mm();
	bench_interval(mm, 16);
	bench_pair("pair/interval-1-beyond", mm);
	bench_list(mm, 1);
	bench_pair("pair/list-1-interval-1", mm);
	bench_interval(mm, 1);
	bench_pair("pair/list-1-interval-1-overlap", mm);
	return 0;
}
