// SPDX-License-Identifier: GPL-2.0
/*
 * Devices flush their TLBs at the same time.
 *
 * Several devices hold the same page. Each needs 10 ms to flush its TLB, which
 * it begins in invalidate_start and waits for in invalidate_finish; so dropping
 * the page takes about 10 ms, however many devices there are. As a control the
 * same devices sleep for 10 ms in invalidate_start, one after the other.
 *
 * Medians are shown. The best of all times is judged: whatever else the machine
 * does adds to a time, and nothing makes flushes shorter than they are.
 */
#include "../kselftest_harness.h"

#include <pthread.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define TIMES		15
#define FLUSH_US	10000
#define LONG_US		(5 * FLUSH_US)	/* where eight threads have to get a CPU meanwhile */
#define NOISE_US	5000
#define MAX_DEVICES	8
#define WINDOW_PAGES	8

FIXTURE(flush) {
	struct mirror devs[MAX_DEVICES];
	char *window;
	int nr;
};

FIXTURE_SETUP(flush)
{
	int err = mirror_try_open(&self->devs[0]);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->window = mmap(NULL, WINDOW_PAGES * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->window, MAP_FAILED);
	self->nr = 1;
	mirror_attach(&self->devs[0], MMU_MIRROR_SVM, self->window, WINDOW_PAGES * page_size);
}

FIXTURE_TEARDOWN(flush)
{
	while (self->nr--)
		mirror_close(&self->devs[self->nr]);
}

static void more_devices(struct mirror *devs, int *nr, int want, char *window)
{
	for (; *nr < want; ++*nr) {
		mirror_open(&devs[*nr]);
		mirror_attach(&devs[*nr], MMU_MIRROR_SVM, window, WINDOW_PAGES * page_size);
	}
}

/* All devices read the page, which they must lose when it is dropped. */
static __u64 time_drop(struct mirror *devs, int nr, char *page)
{
	__u64 word, began, took;
	int i;

	for (i = 0; i < nr; i++)
		mirror_read(&devs[i], page, &word, sizeof(word));
	began = now_us();
	madvise(page, page_size, MADV_DONTNEED);
	took = now_us() - began;
	return took;
}

/* Returns the median, and the best in @us[0]. */
static __u64 time_drops(struct mirror *devs, int nr, char *page, __u64 us[TIMES])
{
	int i;

	for (i = 0; i < TIMES; i++)
		us[i] = time_drop(devs, nr, page);
	return median(us, TIMES);
}

static __u64 flushes(struct mirror *dev)
{
	return mirror_counters(dev).flushes;
}

TEST_F_TIMEOUT(flush, together, 60)
{
	static const int counts[] = { 1, 2, 4, 8 };
	__u64 together[TIMES], in_turn[TIMES];
	unsigned int i;
	int d;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		int nr = counts[i];
		__u64 before, m_together, m_in_turn;

		more_devices(self->devs, &self->nr, nr, self->window);
		for (d = 0; d < nr; d++)
			mirror_flush(&self->devs[d], FLUSH_US);
		before = flushes(&self->devs[nr - 1]);
		m_together = time_drops(self->devs, nr, self->window, together);
		EXPECT_EQ(flushes(&self->devs[nr - 1]) - before, TIMES);

		for (d = 0; d < nr; d++)
			mirror_delay(&self->devs[d], FLUSH_US, 0);
		m_in_turn = time_drops(self->devs, nr, self->window, in_turn);

		TH_LOG("%d devices: %llu us with flushes together, %llu us one after the other", nr,
		       m_together, m_in_turn);
		EXPECT_GE(together[0], FLUSH_US);
		EXPECT_LE(together[0], FLUSH_US + NOISE_US);
		EXPECT_GE(in_turn[0], (__u64)nr * FLUSH_US);
	}
}

static void *drop_one(void *page)
{
	madvise(page, page_size, MADV_DONTNEED);
	return NULL;
}

/* All are there before the first one starts: making a thread takes mmap_lock. */
static pthread_barrier_t all_there;

static void *drop_with_others(void *page)
{
	pthread_barrier_wait(&all_there);
	return drop_one(page);
}

/* One device has a few flushes in progress for ranges that are in flight at once. */
TEST_F_TIMEOUT(flush, parallel_ranges, 60)
{
	__u64 us[TIMES], word, before, began;
	pthread_t threads[WINDOW_PAGES];
	int t, i;

	mirror_flush(&self->devs[0], LONG_US);
	before = flushes(&self->devs[0]);
	for (t = 0; t < TIMES; t++) {
		for (i = 0; i < WINDOW_PAGES; i++)
			mirror_read(&self->devs[0], self->window + i * page_size, &word,
				    sizeof(word));
		ASSERT_EQ(pthread_barrier_init(&all_there, NULL, WINDOW_PAGES + 1), 0);
		for (i = 0; i < WINDOW_PAGES; i++)
			ASSERT_EQ(pthread_create(&threads[i], NULL, drop_with_others,
						 self->window + i * page_size), 0);
		began = now_us();
		pthread_barrier_wait(&all_there);
		for (i = 0; i < WINDOW_PAGES; i++)
			pthread_join(threads[i], NULL);
		us[t] = now_us() - began;
	}
	TH_LOG("%d ranges at once: %llu us", WINDOW_PAGES, median(us, TIMES));
	EXPECT_EQ(flushes(&self->devs[0]) - before, TIMES * WINDOW_PAGES);
	EXPECT_LE(us[0], WINDOW_PAGES * LONG_US / 2);
}

TEST_F(flush, nonsense_is_refused)
{
	struct mmu_mirror_inject bad = { .flush_us = ~0U };

	EXPECT_EQ(mirror_try_inject(&self->devs[0], &bad), -EINVAL);
	bad = (struct mmu_mirror_inject){ .reserved = 1 };
	EXPECT_EQ(mirror_try_inject(&self->devs[0], &bad), -EINVAL);
}

/* Who detaches, or closes, while a flush is in progress, waits for it. */
TEST_F_TIMEOUT(flush, close_while_flushing, 60)
{
	pthread_t thread;
	__u64 word;
	int i;

	for (i = 0; i < TIMES; i++) {
		more_devices(self->devs, &self->nr, 2, self->window);
		mirror_flush(&self->devs[1], FLUSH_US);
		mirror_read(&self->devs[1], self->window, &word, sizeof(word));
		ASSERT_EQ(pthread_create(&thread, NULL, drop_one, self->window), 0);
		while (i % 2 && !mirror_counters(&self->devs[1]).start)
			;
		if (i % 3)
			mirror_detach(&self->devs[1]);
		mirror_close(&self->devs[1]);
		self->nr = 1;
		pthread_join(thread, NULL);
	}
}

TEST_HARNESS_MAIN
