// SPDX-License-Identifier: GPL-2.0
/*
 * What MMU notifiers cost on this machine. Built once against the core of this
 * tree and once against stock's; prints "CASE FIGURE" a line, each figure the
 * median of many short windows:
 *
 *  pair/		nanoseconds of one start and end, the loop included
 *  insert/, remove/	nanoseconds of one; range-end-max: microseconds
 *  scaleN/		throughput of N threads on ranges of their own, over that
 *			of one
 *
 * The names say how many subscriptions there are, and where the ranges lie:
 * "beyond" all of them, in a random "gap", or overlapping so many.
 */

#define _GNU_SOURCE
#include <alloca.h>
#include <time.h>
#include <unistd.h>
#include <linux/mmu_notifier.h>

#define WINDOWS	101
#define PAIRS	20000

/* What the core warns of would make its figures worthless. */
void shim_warn(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	exit(1);
}

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

static double median(double *windows, int nr)
{
	qsort(windows, nr, sizeof(*windows), by_size);
	return windows[nr / 2];
}

/* Where the ranges of a case begin: one after the other, again and again. */
#define PLACES	4096
struct places {
	unsigned long page[PLACES];
	unsigned long nr;		/* pages of each */
};

static unsigned long random_below(unsigned long n)
{
	static unsigned long state = 88172645463325252UL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % n;
}

static const struct places at_one = { .page = { [0 ... PLACES - 1] = 1 }, .nr = 1 };

static noinline double pairs(struct mm_struct *mm, const struct places *places, int nr)
{
	struct mmu_notifier_range range;
	double begin = now();
	int i;

	for (i = 0; i < nr; i++) {
		unsigned long start = places->page[i % PLACES] * PAGE_SIZE;

		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, start,
					start + places->nr * PAGE_SIZE);
		mmu_notifier_invalidate_range_start(&range);
		barrier();
		mmu_notifier_invalidate_range_end(&range);
	}
	return (now() - begin) / nr;
}

/* Where on the stack a range lies can make a third of a nanosecond: everywhere. */
static double pairs_deeper(struct mm_struct *mm, const struct places *places, int nr, int depth)
{
	char *frame = alloca(16 + 16 * (depth % 64));

	asm volatile("" : : "r" (frame) : "memory");
	return pairs(mm, places, nr);
}

static void bench_pair(const char *what, struct mm_struct *mm, const struct places *places)
{
	double windows[WINDOWS];
	int w;

	pairs(mm, places, PAIRS);
	for (w = 0; w < WINDOWS; w++)
		windows[w] = pairs_deeper(mm, places, PAIRS / 4, w);
	printf("%s %.2f\n", what, median(windows, WINDOWS));
	fflush(stdout);
}

/* Two threads: how many times the work of one they do together */

#define SCALE_NS	10e6

struct worker {
	struct mm_struct *mm;
	struct places places;
	unsigned int cpu;
	double begin;
	double done;
} __attribute__((__aligned__(64)));

/* Look at the clock rather than at another thread: under a real-time priority
 * nobody else may get a turn.
 */
static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned long done = 0;
	cpu_set_t set;
	double at;

	shim_cpu(w->cpu);
	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	while (now() < w->begin)
		;
	do {
		pairs(w->mm, &w->places, 256);
		done += 256;
		at = now();
	} while (at < w->begin + SCALE_NS);
	w->done = done / (at - w->begin);
	return NULL;
}

static double throughput(struct mm_struct *mm[2], unsigned int nr)
{
	static struct worker workers[SHIM_CPUS];
	pthread_t threads[SHIM_CPUS];
	unsigned int i, j;
	double done = 0;

	for (i = 0; i < nr; i++) {
		workers[i] = (struct worker){ .mm = mm[i], .cpu = i, .begin = now() + 1e6 };
		workers[i].places.nr = 1;
		for (j = 0; j < PLACES; j++)
			workers[i].places.page[j] = 1 + 2 * i;
	}
	for (i = 0; i < nr; i++)
		pthread_create(&threads[i], NULL, work, &workers[i]);
	for (i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		done += workers[i].done;
	}
	return done;
}

/* As many threads as there are processors, at most SHIM_CPUS; 2 at least */
static void bench_scale(const char *what, struct mm_struct *one, struct mm_struct *two)
{
	struct mm_struct *mm[SHIM_CPUS] = { one, two, one, two };
	int nr, w, max = sysconf(_SC_NPROCESSORS_ONLN);
	double windows[21];

	for (nr = 2; nr == 2 || (nr <= max && nr <= SHIM_CPUS); nr++) {
		for (w = 0; w < 21; w++) {
			double single = throughput(mm, 1);

			windows[w] = throughput(mm, nr) / single;
		}
		printf("scale%d/%s %.3f\n", nr, what, median(windows, 21));
		fflush(stdout);
	}
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

static struct mmu_interval_notifier *
bench_intervals(struct mm_struct *mm, const unsigned long *page, unsigned int nr)
{
	struct mmu_interval_notifier *subs = calloc(nr, sizeof(*subs));
	unsigned int i;

	if (!subs)
		exit(1);
	for (i = 0; i < nr; i++)
		if (mmu_interval_notifier_insert(&subs[i], mm, page[i] * PAGE_SIZE,
						 PAGE_SIZE, &bench_interval_ops))
			exit(1);
	return subs;
}

/* 16, 18, 20 ... in order or not */
static unsigned long *bench_pages(unsigned int nr, bool scattered)
{
	unsigned long *pages = calloc(nr, sizeof(*pages));
	unsigned int i;

	if (!pages)
		exit(1);
	for (i = 0; i < nr; i++)
		pages[i] = 16 + 2 * i;
	for (i = nr - 1; scattered && i; i--) {
		unsigned int j = random_below(i + 1);
		unsigned long swap = pages[i];

		pages[i] = pages[j];
		pages[j] = swap;
	}
	return pages;
}

static void bench_index(unsigned int nr, const char *name)
{
	struct mm_struct *mm = bench_mm();
	struct places places = { .nr = 1 };
	char what[64];
	int i;

	bench_intervals(mm, bench_pages(nr, true), nr);
	snprintf(what, sizeof(what), "pair/interval-%s-beyond", name);
	bench_pair(what, mm, &at_one);
	if (nr == 1)
		return;
	for (i = 0; i < PLACES; i++)
		places.page[i] = 17 + 2 * random_below(nr);
	snprintf(what, sizeof(what), "pair/interval-%s-gap", name);
	bench_pair(what, mm, &places);
	if (nr == 100) {
		for (i = 0; i < PLACES; i++)
			places.page[i] = 16;
		places.nr = 2 * nr;
		bench_pair("pair/interval-100-overlap-100", mm, &places);
	}
	if (nr == 100000) {
		for (i = 0; i < PLACES; i++)
			places.page[i]--;
		bench_pair("pair/interval-100k-overlap-1", mm, &places);
	}
}

static void bench_change(bool scattered)
{
	const char *how = scattered ? "scattered" : "sequential";
	unsigned int nr = 10000, i, w;
	double in[11], out[11], begin;
	unsigned long *pages = bench_pages(nr, scattered);

	for (w = 0; w < 11; w++) {
		struct mm_struct *mm = bench_mm();
		struct mmu_interval_notifier *subs;

		begin = now();
		subs = bench_intervals(mm, pages, nr);
		in[w] = (now() - begin) / nr;
		begin = now();
		for (i = 0; i < nr; i++)
			mmu_interval_notifier_remove(&subs[i]);
		out[w] = (now() - begin) / nr;
		free(subs);
	}
	printf("insert/10k-%s %.2f\n", how, median(in, 11));
	printf("remove/10k-%s %.2f\n", how, median(out, 11));
	fflush(stdout);
}

static double end_us(struct mmu_notifier_range *range, double longest)
{
	double us = now();

	mmu_notifier_invalidate_range_end(range);
	us = (now() - us) / 1e3;
	return us > longest ? us : longest;
}

/*
 * The longest range end while many subscriptions are inserted: of a range that
 * overlaps another one, in flight meanwhile, and of a short one after each.
 */
static void bench_drain(void)
{
	static const unsigned long covered = 1;
	unsigned long *pages = bench_pages(100000, true);
	struct mmu_notifier_range held, range;
	unsigned int nr = 100000, i, w;
	double windows[11];

	for (w = 0; w < 11; w++) {
		struct mmu_interval_notifier *subs = calloc(nr, sizeof(*subs));
		struct mm_struct *mm = bench_mm();

		if (!subs)
			exit(1);
		bench_intervals(mm, &covered, 1);
		windows[w] = 0;
		mmu_notifier_range_init(&held, MMU_NOTIFY_CLEAR, 0, mm, PAGE_SIZE, 2 * PAGE_SIZE);
		mmu_notifier_invalidate_range_start(&held);
		for (i = 0; i < nr; i++) {
			if (mmu_interval_notifier_insert(&subs[i], mm, pages[i] * PAGE_SIZE,
							 PAGE_SIZE, &bench_interval_ops))
				exit(1);
			mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm,
						3 * PAGE_SIZE, 4 * PAGE_SIZE);
			mmu_notifier_invalidate_range_start(&range);
			windows[w] = end_us(&range, windows[w]);
		}
		windows[w] = end_us(&held, windows[w]);
		for (i = 0; i < nr; i++)
			mmu_interval_notifier_remove(&subs[i]);
		free(subs);
	}
	printf("insert/100k-during-range-end-max %.2f\n", median(windows, 11));
	fflush(stdout);
	free(pages);
}

int main(void)
{
	static const unsigned long near[] = { 16 }, here[] = { 1 };
	struct mm_struct *mm, *other;
	char what[32];
	int nr;

	shim_cpu(0);

	mm = bench_mm();
	bench_pair("pair/none", mm, &at_one);
	for (nr = 1; nr <= 64; nr *= 2) {
		bench_list(mm, nr - nr / 2);
		snprintf(what, sizeof(what), "pair/list-%d", nr);
		bench_pair(what, mm, &at_one);
	}

	bench_index(1, "1");
	bench_index(10, "10");
	bench_index(100, "100");
	bench_index(1000, "1k");
	bench_index(10000, "10k");
	bench_index(100000, "100k");

	mm = bench_mm();
	bench_intervals(mm, here, 1);
	bench_pair("pair/interval-1-overlap-1", mm, &at_one);
	mm = bench_mm();
	bench_intervals(mm, near, 1);
	bench_list(mm, 1);
	bench_pair("pair/list-1-interval-1", mm, &at_one);

	bench_change(false);
	bench_change(true);
	bench_drain();

	mm = bench_mm();
	bench_scale("none", mm, mm);
	bench_intervals(mm, near, 1);
	bench_scale("interval-1", mm, mm);
	other = bench_mm();
	bench_intervals(other, near, 1);
	bench_scale("control-two-mms", mm, other);
	bench_list(mm, 1);
	bench_scale("list-1-interval-1", mm, mm);
	mm = bench_mm();
	bench_intervals(mm, bench_pages(10000, true), 10000);
	bench_scale("interval-10k", mm, mm);
	mm = bench_mm();
	bench_list(mm, 1);
	bench_scale("list-1", mm, mm);
	return 0;
}
