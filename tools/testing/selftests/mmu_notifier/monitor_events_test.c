// SPDX-License-Identifier: GPL-2.0
/*
 * Words and events of /dev/mmu_monitor: when a word is odd and when it is not, what
 * is put together into one event, who is woken and what happens when there are too
 * many of them. What is told of at all is for monitor_paths_test.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "mirror_lib.h"
#include "monitor_lib.h"
#include "sysmm.h"

#define NR	64

#define UNMAPPED	MMU_MONITOR_UNMAPPED
#define DROPPED		MMU_MONITOR_DROPPED
#define PROTECTED	MMU_MONITOR_PROTECTED
#define ALL		MMU_MONITOR_CLASSES

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)

FIXTURE(events) {
	struct monitor mon;
	char *base;
	__u64 words[NR];
};

FIXTURE_SETUP(events)
{
	int err = monitor_try_open(&self->mon);

	if (err == -ENOENT)
		SKIP(return, "no " MONITOR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->base = mmap(NULL, NR * page_size, RW, ANON | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->base, MAP_FAILED);
}

FIXTURE_TEARDOWN(events)
{
	monitor_close(&self->mon);
}

#define PAGE(i)		(self->base + (i) * page_size)
#define WORD(w)		monitor_word(&self->mon, w)

/* One watch for each page, page i with cookie i */
static void watch_pages(struct __test_metadata *_metadata, struct monitor *mon, char *base,
			size_t nr, __u32 flags, __u64 *words)
{
	size_t i;

	for (i = 0; i < nr; i++)
		ASSERT_EQ(monitor_try_watch(mon->fd, base + i * page_size, page_size, ALL, flags,
					    i, &words[i]), 0);
}

#define WATCH(i, n, classes, flags, word) \
	ASSERT_EQ(monitor_try_watch(self->mon.fd, PAGE(i), (n) * page_size, classes, flags, i, \
				    word), 0)
#define DROP(i, n)	ASSERT_EQ(madvise(PAGE(i), (n) * page_size, MADV_DONTNEED), 0)

/*
 * Words
 */

/* Each change gives another value, and none comes again. */
TEST_F(events, word)
{
	struct mmu_monitor_watch arg = {
		.size = sizeof(arg),
		.address = (uintptr_t)PAGE(3),
		.length = page_size,
		.cookie = 7,
		.classes = ALL,
	};
	__u64 last;
	int i;

	ASSERT_EQ(ioctl(self->mon.fd, MMU_MONITOR_WATCH, &arg), 0);
	EXPECT_GE(arg.word, sizeof(struct mmu_monitor_area));
	EXPECT_EQ(arg.word % sizeof(__u64), 0);
	EXPECT_LE(arg.word + sizeof(__u64), self->mon.area_size);
	last = WORD(arg.word);
	EXPECT_EQ(arg.generation, last);
	EXPECT_EQ(last & 1, 0);
	for (i = 0; i < 1000; i++) {
		DROP(3, 1);
		EXPECT_EQ(WORD(arg.word) & 1, 0);
		EXPECT_GT(WORD(arg.word), last);
		last = WORD(arg.word);
	}
	/* on a page beside it: nothing */
	DROP(2, 1);
	DROP(4, 1);
	EXPECT_EQ(WORD(arg.word), last);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/* Where nothing is mapped, nothing changes; then something is. */
TEST_F(events, unmapped_addresses)
{
	__u64 word, before;

	ASSERT_EQ(munmap(PAGE(8), 8 * page_size), 0);
	WATCH(8, 8, ALL, 0, &word);
	before = WORD(word);
	EXPECT_EQ(before & 1, 0);
	ASSERT_EQ(mmap(PAGE(10), page_size, RW, ANON | MAP_FIXED, -1, 0), PAGE(10));
	*PAGE(10) = 1;
	EXPECT_EQ(WORD(word), before);
	ASSERT_EQ(munmap(PAGE(10), page_size), 0);
	EXPECT_GT(WORD(word), before);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/* A watch is widened to whole pages. */
TEST_F(events, part_of_a_page)
{
	struct mmu_monitor_event e;
	__u64 word, before;

	ASSERT_EQ(monitor_try_watch(self->mon.fd, PAGE(5) - 1, 2, ALL, 0, 1, &word), 0);
	before = WORD(word);
	DROP(3, 1);
	DROP(6, 1);
	EXPECT_EQ(WORD(word), before);
	DROP(4, 1);
	EXPECT_NE(WORD(word), before);
	before = WORD(word);
	DROP(5, 1);
	EXPECT_NE(WORD(word), before);
	ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	EXPECT_EQ(e.address, (uintptr_t)PAGE(4));
	EXPECT_EQ(e.length, 2 * page_size);
}

/* The word of another watch is never one that this one has had. */
TEST_F(events, words_are_not_repeated)
{
	__u64 word, other, value, highest = 0;
	unsigned int i, reused = 0;

	WATCH(0, 1, ALL, 0, &other);
	for (i = 0; i < 2000; i++) {
		__u64 was = i ? word : 0;

		WATCH(i % NR, 1, ALL, 0, &word);
		value = WORD(word);
		EXPECT_EQ(value & 1, 0);
		EXPECT_NE(word, other);
		if (word == was) {
			reused++;
			EXPECT_GT(value, highest);
		}
		if (i % 3 == 0)
			DROP(i % NR, 1);
		highest = WORD(word);
		ASSERT_EQ(monitor_try_unwatch(self->mon.fd, word), 0);
		EXPECT_EQ(WORD(word) & 1, 1);
		EXPECT_EQ(monitor_try_unwatch(self->mon.fd, word), -ENOENT);
	}
	/* the area does not grow with the number of watches that there have been */
	EXPECT_GT(reused, 0);
	EXPECT_LT(word, sizeof(struct mmu_monitor_area) + 2000 * sizeof(__u64));
}

TEST_F(events, overlapping_watches)
{
	__u64 words[4], before[4];
	struct mmu_monitor_event e[8];
	unsigned int i;

	WATCH(0, 8, ALL, 0, &words[0]);
	WATCH(4, 8, ALL, 0, &words[1]);
	WATCH(4, 8, ALL, 0, &words[2]);
	WATCH(5, 1, ALL, 0, &words[3]);
	for (i = 0; i < 4; i++)
		before[i] = WORD(words[i]);
	DROP(6, 4);
	EXPECT_NE(WORD(words[0]), before[0]);
	EXPECT_NE(WORD(words[1]), before[1]);
	EXPECT_NE(WORD(words[2]), before[2]);
	EXPECT_EQ(WORD(words[3]), before[3]);
	ASSERT_EQ(monitor_read(self->mon.fd, e, 8), 3);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(e[i].address, (uintptr_t)PAGE(6));
		EXPECT_EQ(e[i].length, (e[i].word == words[0] ? 2 : 4) * page_size);
	}
}

TEST_F(events, several_descriptors)
{
	struct monitor more[8];
	__u64 words[8], before[8];
	unsigned int i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(monitor_try_open(&more[i]), 0);
		ASSERT_EQ(monitor_try_watch(more[i].fd, PAGE(i), 2 * page_size, ALL, 0, i,
					    &words[i]), 0);
		before[i] = monitor_word(&more[i], words[i]);
	}
	/* each has its own words, and its own events */
	DROP(4, 1);
	for (i = 0; i < 8; i++) {
		bool told = i == 3 || i == 4;

		EXPECT_EQ(monitor_word(&more[i], words[i]) != before[i], told);
		EXPECT_EQ(monitor_pending(&more[i]), told);
		EXPECT_EQ(monitor_drain(more[i].fd), told);
	}
	/* one goes, the others stay */
	monitor_close(&more[4]);
	DROP(4, 2);
	EXPECT_EQ(monitor_drain(more[3].fd), 1);
	EXPECT_EQ(monitor_drain(more[5].fd), 1);
	for (i = 0; i < 8; i++)
		monitor_close(&more[i]);
}

/* Two descriptors of one open file are one monitor. */
TEST_F(events, dup)
{
	int fd = dup(self->mon.fd);
	__u64 word;

	ASSERT_GE(fd, 0);
	WATCH(0, 1, ALL, 0, &word);
	DROP(0, 1);
	EXPECT_EQ(monitor_drain(fd), 1);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	/* it lives as long as one of them, or the area, does */
	close(self->mon.fd);
	self->mon.fd = fd;
	DROP(0, 1);
	EXPECT_EQ(monitor_drain(fd), 1);
}

/* The area stays where it is mapped, and says that nothing is valid. */
TEST_F(events, area_outlives_descriptor)
{
	__u64 words[NR];
	unsigned int i;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, words);
	close(self->mon.fd);
	DROP(0, NR / 2);
	/* either the watches went with the descriptor, or they are still told */
	for (i = 0; i < NR; i++) {
		__u64 before = WORD(words[i]);

		ASSERT_EQ(munmap(PAGE(i), page_size), 0);
		EXPECT_TRUE(WORD(words[i]) & 1 || WORD(words[i]) != before);
	}
	self->mon.fd = open("/dev/null", O_RDONLY);
}

TEST_F(events, counters)
{
	const struct mmu_monitor_area *area = monitor_area(&self->mon);
	unsigned int i;

	EXPECT_EQ(area->pending, 0);
	EXPECT_EQ(area->watches, 0);
	EXPECT_EQ(area->events, 0);
	EXPECT_EQ(area->overflows, 0);
	for (i = 0; i < ARRAY_SIZE(area->reserved); i++)
		EXPECT_EQ(area->reserved[i], 0);
	watch_pages(_metadata, &self->mon, self->base, 8, 0, self->words);
	EXPECT_EQ(area->watches, 8);
	DROP(0, 3);
	EXPECT_EQ(area->pending, 3);
	EXPECT_EQ(area->events, 3);
	DROP(0, 3);
	EXPECT_EQ(area->pending, 3);
	EXPECT_EQ(monitor_drain(self->mon.fd), 3);
	EXPECT_EQ(area->pending, 0);
	DROP(0, 8);
	EXPECT_EQ(area->pending, 8);
	EXPECT_EQ(area->events, 11);
	ASSERT_EQ(monitor_try_unwatch(self->mon.fd, self->words[0]), 0);
	EXPECT_EQ(area->pending, 7);
	EXPECT_EQ(area->watches, 7);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	EXPECT_EQ(area->pending, 0);
	EXPECT_EQ(area->watches, 0);
	EXPECT_EQ(area->overflows, 0);
}

/*
 * While a range is in flight: a device whose callbacks take their time holds it
 * open, before the page table has changed and then again after that.
 */

#define HOLD_US		2000000

struct dropper {
	char *addr;
	size_t length;
	bool done;
};

static void *drop_it(void *arg)
{
	struct dropper *d = arg;

	madvise(d->addr, d->length, MADV_DONTNEED);
	__atomic_store_n(&d->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static bool is_done(struct dropper *d)
{
	return __atomic_load_n(&d->done, __ATOMIC_ACQUIRE);
}

struct held {
	struct mirror dev;
	struct dropper dropper;
	pthread_t thread;
};

/* Comes back when the range over pages 8 to 11 has begun. */
static void hold(struct __test_metadata *_metadata, struct held *h, char *base,
		 unsigned int start_us, unsigned int end_us)
{
	struct mmu_mirror_counters c = { };

	mirror_open(&h->dev);
	mirror_attach(&h->dev, MMU_MIRROR_SHADOW, base, NR * page_size);
	mirror_delay(&h->dev, start_us, end_us);
	h->dropper = (struct dropper) {
		.addr = base + 8 * page_size,
		.length = 4 * page_size,
	};
	ASSERT_EQ(pthread_create(&h->thread, NULL, drop_it, &h->dropper), 0);
	ASSERT_TRUE(within_ms(5000, (c = mirror_counters(&h->dev), c.start > 0)));
}

static void release(struct held *h)
{
	pthread_join(h->thread, NULL);
	mirror_close(&h->dev);
}

/*
 * Odd before the page has gone, which a bump at the end only does not do. And not
 * the final value yet, which a bump at the start only has.
 */
TEST_F(events, odd_before_the_page_goes)
{
	__u64 over, behind, other, before, beside, late;
	struct held h;

	WATCH(10, 1, DROPPED, 0, &over);
	WATCH(12, 1, DROPPED, 0, &behind);
	WATCH(10, 1, UNMAPPED | PROTECTED, 0, &other);
	before = WORD(over);
	beside = WORD(behind);
	*PAGE(10) = 77;
	hold(_metadata, &h, self->base, HOLD_US, 0);
	/* maybe the device has been told before the monitor */
	EXPECT_TRUE(within_ms(HOLD_US / 2000, WORD(over) & 1));
	/* made now, or re-armed: nothing can be learned of the page that still is there */
	WATCH(11, 1, DROPPED, 0, &late);
	EXPECT_EQ(WORD(late) & 1, 1);
	ASSERT_EQ(monitor_try_rearm(self->mon.fd, over, NULL), 0);
	EXPECT_EQ(WORD(over) & 1, 1);
	/* who is not concerned sees nothing of it */
	EXPECT_EQ(WORD(behind), beside);
	EXPECT_EQ(WORD(other) & 1, 0);
	if (is_done(&h.dropper))
		TH_LOG("the machine is too slow for this");
	else
		EXPECT_EQ(*(volatile char *)PAGE(10), 77);

	ASSERT_TRUE(within_ms(10000, is_done(&h.dropper)));
	EXPECT_EQ(WORD(over) & 1, 0);
	EXPECT_NE(WORD(over), before);
	EXPECT_EQ(WORD(late) & 1, 0);
	EXPECT_EQ(WORD(behind), beside);
	EXPECT_EQ(*(volatile char *)PAGE(10), 0);
	release(&h);
}

/* Gone already, and maybe another one there: not valid before the range ends. */
TEST_F(events, never_valid_in_between)
{
	unsigned int stale = 0, odd = 0, gone = 0;
	__u64 word, before, first, second, page;
	struct held h;
	int p[2];

	ASSERT_EQ(pipe(p), 0);
	WATCH(10, 1, DROPPED, 0, &word);
	before = WORD(word);
	*(__u64 *)PAGE(10) = 77;
	hold(_metadata, &h, self->base, HOLD_US / 4, HOLD_US / 4);
	while (!is_done(&h.dropper)) {
		first = WORD(word);
		/* which brings another page as soon as this one has gone */
		if (!page_pin(p[1], PAGE(10)) || !page_unpin(p[0], &page))
			continue;
		second = WORD(word);
		odd += first & 1;
		gone += !page;
		/* the page had gone, and the word was the old one still */
		stale += !page && second == before;
		/* the word was a new one, and the page was there still */
		stale += page && !(first & 1) && first != before;
	}
	EXPECT_GT(odd, 0);
	EXPECT_GT(gone, 0);
	EXPECT_EQ(stale, 0);
	release(&h);
}

/* A watch can be ended while something is in flight over it, and so can all. */
TEST_F(events, unwatch_in_flight)
{
	struct monitor more;
	struct held h;
	__u64 word, kept;

	ASSERT_EQ(monitor_try_open(&more), 0);
	ASSERT_EQ(monitor_try_watch(more.fd, PAGE(9), page_size, ALL, 0, 0, NULL), 0);
	WATCH(10, 1, ALL, 0, &word);
	WATCH(11, 1, ALL, 0, &kept);
	hold(_metadata, &h, self->base, HOLD_US, 0);
	ASSERT_EQ(monitor_try_unwatch(self->mon.fd, word), 0);
	EXPECT_EQ(WORD(word) & 1, 1);
	monitor_close(&more);
	ASSERT_TRUE(within_ms(10000, is_done(&h.dropper)));
	EXPECT_EQ(WORD(word) & 1, 1);
	EXPECT_EQ(WORD(kept) & 1, 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
	release(&h);
}

TEST_F(events, flush_in_flight)
{
	struct held h;
	__u64 word;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	hold(_metadata, &h, self->base, HOLD_US, 0);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	EXPECT_EQ(monitor_watches(&self->mon), 0);
	WATCH(10, 1, ALL, 0, &word);
	ASSERT_TRUE(within_ms(10000, is_done(&h.dropper)));
	EXPECT_EQ(WORD(word) & 1, 0);
	/* what it was told of had begun before it was made, or has ended it */
	EXPECT_LE(monitor_drain(self->mon.fd), 1);
	release(&h);
}

/*
 * Events
 */

TEST_F(events, coalesced)
{
	struct mmu_monitor_event e[2];
	__u64 word;

	WATCH(0, NR, ALL, 0, &word);
	DROP(10, 2);
	ASSERT_EQ(mprotect(PAGE(20), page_size, PROT_READ), 0);
	DROP(5, 1);
	ASSERT_EQ(munmap(PAGE(31), 2 * page_size), 0);
	EXPECT_EQ(monitor_pending(&self->mon), 1);
	ASSERT_EQ(monitor_read(self->mon.fd, e, 2), 1);
	EXPECT_EQ(e[0].classes, DROPPED | PROTECTED | UNMAPPED);
	EXPECT_EQ(e[0].address, (uintptr_t)PAGE(5));
	EXPECT_EQ(e[0].length, 28 * page_size);

	/* which says nothing any more of what comes next */
	DROP(50, 1);
	ASSERT_EQ(monitor_read(self->mon.fd, e, 2), 1);
	EXPECT_EQ(e[0].classes, DROPPED);
	EXPECT_EQ(e[0].address, (uintptr_t)PAGE(50));
	EXPECT_EQ(e[0].length, page_size);
	EXPECT_EQ(e[0].word, word);
	EXPECT_EQ(monitor_read(self->mon.fd, e, 2), 0);
}

TEST_F(events, in_order)
{
	static const unsigned int order[] = { 30, 2, 17, 3, 2, 30, 29 };
	static const unsigned int first[] = { 30, 2, 17, 3, 29 };
	struct mmu_monitor_event e[8];
	unsigned int i;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	for (i = 0; i < ARRAY_SIZE(order); i++)
		DROP(order[i], 1);
	ASSERT_EQ(monitor_read(self->mon.fd, e, 8), ARRAY_SIZE(first));
	for (i = 0; i < ARRAY_SIZE(first); i++)
		EXPECT_EQ(e[i].cookie, first[i]);
}

TEST_F(events, oneshot)
{
	__u64 word, before, rearmed;
	struct mmu_monitor_event e;

	WATCH(0, 4, ALL, MMU_MONITOR_ONESHOT, &word);
	before = WORD(word);
	DROP(1, 1);
	EXPECT_NE(WORD(word), before);
	ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	EXPECT_EQ(e.cookie, 0);

	/* the word goes on, events do not */
	before = WORD(word);
	DROP(2, 1);
	EXPECT_NE(WORD(word), before);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);

	ASSERT_EQ(monitor_try_rearm(self->mon.fd, word, &rearmed), 0);
	EXPECT_EQ(rearmed, WORD(word));
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	DROP(3, 1);
	ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	EXPECT_EQ(e.address, (uintptr_t)PAGE(3));
	EXPECT_EQ(e.length, page_size);
}

/* What is pending is forgotten, with either kind of watch; the word is not. */
TEST_F(events, rearm_forgets)
{
	struct mmu_monitor_event e[4];
	__u64 words[2], before;
	unsigned int i;

	WATCH(0, 4, ALL, MMU_MONITOR_ONESHOT, &words[0]);
	WATCH(0, 4, ALL, 0, &words[1]);
	before = WORD(words[0]);
	DROP(1, 1);
	EXPECT_EQ(monitor_pending(&self->mon), 2);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(monitor_try_rearm(self->mon.fd, words[i], NULL), 0);
	EXPECT_NE(WORD(words[0]), before);
	EXPECT_EQ(monitor_pending(&self->mon), 0);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	DROP(2, 1);
	ASSERT_EQ(monitor_read(self->mon.fd, e, 4), 2);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(e[i].address, (uintptr_t)PAGE(2));
		EXPECT_EQ(e[i].length, page_size);
	}
}

TEST_F(events, quiet)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	__u64 word, before, count;

	ASSERT_EQ(monitor_try_eventfd(self->mon.fd, fd), 0);
	WATCH(0, 4, ALL, MMU_MONITOR_QUIET, &word);
	before = WORD(word);
	DROP(1, 1);
	EXPECT_NE(WORD(word), before);
	EXPECT_EQ(monitor_pending(&self->mon), 0);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	EXPECT_EQ(read(fd, &count, sizeof(count)), -1);
	ASSERT_EQ(monitor_try_rearm(self->mon.fd, word, NULL), 0);
	DROP(1, 1);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	close(fd);
}

TEST_F(events, unwatch_removes)
{
	struct mmu_monitor_event e[NR];
	unsigned int i;
	int n;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);
	for (i = 0; i < NR; i += 2)
		ASSERT_EQ(monitor_try_unwatch(self->mon.fd, self->words[i]), 0);
	n = monitor_read(self->mon.fd, e, NR);
	EXPECT_EQ(n, NR / 2);
	for (i = 0; (int)i < n; i++)
		EXPECT_EQ(e[i].cookie % 2, 1);
	for (i = 0; i < NR; i += 2)
		EXPECT_EQ(WORD(self->words[i]) & 1, 1);
	/* nor are they told later */
	DROP(0, NR);
	EXPECT_EQ(monitor_drain(self->mon.fd), NR / 2);
}

TEST_F(events, flush)
{
	unsigned int i;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(WORD(self->words[i]) & 1, 1);
		EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->words[i]), -ENOENT);
	}
	DROP(0, NR);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
	/* it can be used again, and once more */
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);
	EXPECT_EQ(monitor_drain(self->mon.fd), NR);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
}

/*
 * read()
 */

TEST_F(events, read_in_parts)
{
	struct mmu_monitor_event e[NR];
	char small[sizeof(e[0]) - 1];
	size_t size = sizeof(e[0]);
	unsigned int i, got = 0;

	EXPECT_EQ(read(self->mon.fd, e, size), -1);
	EXPECT_EQ(errno, EAGAIN);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);
	EXPECT_EQ(read(self->mon.fd, small, sizeof(small)), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(read(self->mon.fd, small, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	/* whole ones only */
	EXPECT_EQ(read(self->mon.fd, &e[0], 2 * size - 1), size);
	EXPECT_EQ(read(self->mon.fd, &e[1], 3 * size + 7), 3 * size);
	for (i = 4; i < NR; i += got) {
		int n = monitor_read(self->mon.fd, &e[i], 7);

		got = n > 0 ? n : NR;
	}
	EXPECT_EQ(i, NR);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(e[i].cookie, i);
		EXPECT_EQ(e[i].size, size);
	}
	EXPECT_EQ(read(self->mon.fd, e, size), -1);
	EXPECT_EQ(errno, EAGAIN);
}

/* What cannot be written to is not taken for read. */
TEST_F(events, read_into_a_hole)
{
	size_t size = sizeof(struct mmu_monitor_event);
	struct mmu_monitor_event e[NR];
	char *edge = mmap(NULL, 2 * page_size, RW, ANON, -1, 0);
	ssize_t len;

	ASSERT_NE(edge, MAP_FAILED);
	ASSERT_EQ(munmap(edge + page_size, page_size), 0);
	edge += page_size;
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);

	EXPECT_EQ(read(self->mon.fd, edge, 8 * size), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(read(self->mon.fd, edge - size / 2, 8 * size), -1);
	EXPECT_EQ(errno, EFAULT);
	EXPECT_EQ(monitor_pending(&self->mon), NR);
	/* two and a half fit */
	len = read(self->mon.fd, edge - 5 * size / 2, 8 * size);
	EXPECT_EQ(len, 2 * size);
	memcpy(e, edge - 5 * size / 2, 2 * size);
	EXPECT_EQ(monitor_read(self->mon.fd, &e[2], NR), NR - 2);
	for (len = 0; len < NR; len++)
		EXPECT_EQ(e[len].cookie, len);
}

/* The buffer lies in what is watched, and is written to for the first time. */
TEST_F(events, read_into_the_watched)
{
	struct mmu_monitor_event *e = (void *)PAGE(0);
	__u64 word;

	WATCH(0, 2, ALL, 0, &word);
	DROP(0, 2);
	EXPECT_EQ(*(volatile char *)PAGE(0), 0);	/* the zero page */
	ASSERT_EQ(monitor_read(self->mon.fd, e, 4), 1);
	EXPECT_EQ(e->word, word);
	/* it was replaced by copy on write, which may be told by the same read() */
	EXPECT_LE(monitor_drain(self->mon.fd), 1);
	EXPECT_EQ(WORD(word) & 1, 0);
}

struct reader {
	int fd;
	struct mmu_monitor_event event;
	ssize_t len;
	int err;
	int tid;
	bool done;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	__atomic_store_n(&r->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	r->len = read(r->fd, &r->event, sizeof(r->event));
	r->err = errno;
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Is it asleep? */
static bool sleeping(struct reader *r)
{
	char path[64], line[256], *state;
	int tid = __atomic_load_n(&r->tid, __ATOMIC_ACQUIRE);

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (!tid || file_read(path, line, sizeof(line)) < 0)
		return false;
	state = strrchr(line, ')');
	return state && state[2] == 'S';
}

static void set_blocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

TEST_F(events, blocking_read)
{
	struct reader r = { .fd = self->mon.fd };
	pthread_t thread;

	set_blocking(r.fd);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	ASSERT_EQ(pthread_create(&thread, NULL, read_one, &r), 0);
	ASSERT_TRUE(within_ms(10000, sleeping(&r)));
	DROP(9, 1);
	ASSERT_TRUE(within_ms(10000, __atomic_load_n(&r.done, __ATOMIC_ACQUIRE)));
	pthread_join(thread, NULL);
	EXPECT_EQ(r.len, sizeof(r.event));
	EXPECT_EQ(r.event.cookie, 9);
}

static void nothing(int sig)
{
}

TEST_F(events, interrupted_read)
{
	struct reader r = { .fd = self->mon.fd };
	struct sigaction sa = { .sa_handler = nothing };
	pthread_t thread;

	set_blocking(r.fd);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR2, &sa, NULL);

	ASSERT_EQ(pthread_create(&thread, NULL, read_one, &r), 0);
	ASSERT_TRUE(within_ms(10000, sleeping(&r)));
	pthread_kill(thread, SIGUSR2);
	sleep_ms(50);
	ASSERT_TRUE(within_ms(10000, sleeping(&r)));
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	EXPECT_EQ(r.len, -1);
	EXPECT_EQ(r.err, EINTR);
}

/* Several sleep; each event is for one of them. */
TEST_F(events, several_readers)
{
	struct reader r[4];
	pthread_t threads[4];
	__u64 seen = 0;
	unsigned int i;

	set_blocking(self->mon.fd);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	for (i = 0; i < 4; i++) {
		r[i] = (struct reader) { .fd = self->mon.fd };
		ASSERT_EQ(pthread_create(&threads[i], NULL, read_one, &r[i]), 0);
	}
	for (i = 0; i < 4; i++)
		ASSERT_TRUE(within_ms(10000, sleeping(&r[i])));
	DROP(1, 4);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(r[i].len, sizeof(r[i].event));
		seen |= 1ULL << r[i].event.cookie;
	}
	EXPECT_EQ(seen, 0x1e);
}

TEST_F(events, poll)
{
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	DROP(0, 2);
	EXPECT_EQ(monitor_poll(self->mon.fd, 10000), POLLIN);
	EXPECT_EQ(monitor_poll(self->mon.fd, 10000), POLLIN);
	EXPECT_EQ(monitor_drain(self->mon.fd), 2);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
}

static void *poll_it(void *arg)
{
	struct reader *r = arg;

	__atomic_store_n(&r->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	r->len = monitor_poll(r->fd, -1);
	__atomic_store_n(&r->done, true, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F(events, poll_is_woken)
{
	struct reader r = { .fd = self->mon.fd };
	pthread_t thread;

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	ASSERT_EQ(pthread_create(&thread, NULL, poll_it, &r), 0);
	ASSERT_TRUE(within_ms(10000, sleeping(&r)));
	DROP(9, 1);
	ASSERT_TRUE(within_ms(10000, __atomic_load_n(&r.done, __ATOMIC_ACQUIRE)));
	pthread_join(thread, NULL);
	EXPECT_EQ(r.len, POLLIN);
}

TEST_F(events, epoll)
{
	struct epoll_event want = { .events = EPOLLIN, .data.u32 = 5 }, got;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	unsigned int i;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(epoll_ctl(fd, EPOLL_CTL_ADD, self->mon.fd, &want), 0);
	EXPECT_EQ(epoll_wait(fd, &got, 1, 0), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, 3);
	/* as long as one is left */
	for (i = 0; i < 3; i++) {
		struct mmu_monitor_event e;

		ASSERT_EQ(epoll_wait(fd, &got, 1, 1000), 1);
		EXPECT_EQ(got.events, EPOLLIN);
		EXPECT_EQ(got.data.u32, 5);
		ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	}
	EXPECT_EQ(epoll_wait(fd, &got, 1, 0), 0);

	/* edge-triggered: once for what has come meanwhile */
	want.events = EPOLLIN | EPOLLET;
	ASSERT_EQ(epoll_ctl(fd, EPOLL_CTL_MOD, self->mon.fd, &want), 0);
	DROP(0, 3);
	EXPECT_EQ(epoll_wait(fd, &got, 1, 1000), 1);
	EXPECT_EQ(epoll_wait(fd, &got, 1, 0), 0);
	close(fd);
}

TEST_F(events, eventfd)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), second;
	__u64 count = 0;

	ASSERT_EQ(monitor_try_eventfd(self->mon.fd, fd), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	EXPECT_EQ(read(fd, &count, sizeof(count)), -1);
	DROP(0, 3);
	ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	EXPECT_GE(count, 1);
	EXPECT_LE(count, 3);
	EXPECT_EQ(monitor_drain(self->mon.fd), 3);

	/* another one instead, and none */
	second = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ASSERT_EQ(monitor_try_eventfd(self->mon.fd, second), 0);
	close(fd);
	DROP(0, 1);
	EXPECT_EQ(read(second, &count, sizeof(count)), sizeof(count));
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
	ASSERT_EQ(monitor_try_eventfd(self->mon.fd, -1), 0);
	DROP(0, 1);
	EXPECT_EQ(read(second, &count, sizeof(count)), -1);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);

	/* the monitor keeps it for as long as it needs it */
	ASSERT_EQ(monitor_try_eventfd(self->mon.fd, second), 0);
	close(second);
	DROP(0, 1);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/*
 * Too many
 */

/* What does not fit is one record, before all others, and each word has changed. */
TEST_F(events, overflow)
{
	struct mmu_monitor_event e[NR];
	__u64 before[NR];
	int i, n, round;

	ASSERT_EQ(monitor_try_max_events(self->mon.fd, 4), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	for (round = 1; round <= 3; round++) {
		for (i = 0; i < NR; i++)
			before[i] = WORD(self->words[i]);
		DROP(0, NR);
		for (i = 0; i < NR; i++) {
			EXPECT_NE(WORD(self->words[i]), before[i]);
			EXPECT_EQ(WORD(self->words[i]) & 1, 0);
		}
		n = monitor_read(self->mon.fd, e, NR);
		ASSERT_GE(n, 1);
		EXPECT_LE(n, 5);
		EXPECT_EQ(e[0].type, MMU_MONITOR_OVERFLOW);
		EXPECT_EQ(e[0].size, sizeof(e[0]));
		for (i = 1; i < n; i++) {
			EXPECT_EQ(e[i].type, MMU_MONITOR_CHANGED);
			EXPECT_LT(e[i].cookie, NR);
		}
		EXPECT_EQ(monitor_drain(self->mon.fd), 0);
		EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
		EXPECT_EQ(monitor_area(&self->mon)->overflows, round);
	}

	/* what fits is told as before */
	DROP(7, 4);
	ASSERT_EQ(monitor_read(self->mon.fd, e, NR), 4);
	EXPECT_EQ(e[0].type, MMU_MONITOR_CHANGED);

	/* without a limit, all of them */
	ASSERT_EQ(monitor_try_max_events(self->mon.fd, 0), 0);
	DROP(0, NR);
	EXPECT_EQ(monitor_drain(self->mon.fd), NR);
	EXPECT_EQ(monitor_area(&self->mon)->overflows, 3);
}

/* A reader that has room for one only gets the overflow first as well. */
TEST_F(events, overflow_first)
{
	struct mmu_monitor_event e;
	size_t changed = 0;

	ASSERT_EQ(monitor_try_max_events(self->mon.fd, 8), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, NR);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), POLLIN);
	ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	EXPECT_EQ(e.type, MMU_MONITOR_OVERFLOW);
	while (monitor_read(self->mon.fd, &e, 1) == 1) {
		EXPECT_EQ(e.type, MMU_MONITOR_CHANGED);
		changed++;
	}
	EXPECT_LE(changed, 8);
}

/* Forgotten with the rest; a watch that ended makes room. */
TEST_F(events, overflow_and_flush)
{
	struct mmu_monitor_event e;

	ASSERT_EQ(monitor_try_max_events(self->mon.fd, 1), 0);
	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, 2);
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);

	watch_pages(_metadata, &self->mon, self->base, NR, 0, self->words);
	DROP(0, 1);
	ASSERT_EQ(monitor_try_unwatch(self->mon.fd, self->words[0]), 0);
	DROP(1, 1);
	ASSERT_EQ(monitor_read(self->mon.fd, &e, 1), 1);
	EXPECT_EQ(e.type, MMU_MONITOR_CHANGED);
	EXPECT_EQ(e.cookie, 1);
}

/*
 * Thousands of changes by several threads, and somebody who reads: when the last
 * event of a watch has been read, its word does not change any more, but for the
 * end of the change that the event was made at the start of.
 */

#define STORM_THREADS	4
#define STORM_PAGES	32
#define STORM_ROUNDS	1500

struct storm {
	char *base;
	unsigned int seed;
};

static void *storm(void *arg)
{
	struct storm *s = arg;
	unsigned int i;

	for (i = 0; i < STORM_ROUNDS; i++) {
		size_t first = rand_r(&s->seed) % STORM_PAGES;
		size_t nr = 1 + rand_r(&s->seed) % (STORM_PAGES - first);
		char *at = s->base + first * page_size;

		switch (rand_r(&s->seed) % 4) {
		case 0:
			mmap(at, nr * page_size, RW, ANON | MAP_FIXED, -1, 0);
			break;
		case 1:
			mprotect(at, nr * page_size, i % 2 ? PROT_READ : RW);
			break;
		default:
			madvise(at, nr * page_size, MADV_DONTNEED);
		}
	}
	return NULL;
}

FIXTURE(storms) {
	struct monitor mon;
};

FIXTURE_VARIANT(storms) {
	__u64 max_events;
};

FIXTURE_VARIANT_ADD(storms, unlimited) {
	.max_events = 0,
};

FIXTURE_VARIANT_ADD(storms, limited) {
	.max_events = 10,
};

FIXTURE_SETUP(storms)
{
	int err = monitor_try_open(&self->mon);

	if (err == -ENOENT)
		SKIP(return, "no " MONITOR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
}

FIXTURE_TEARDOWN(storms)
{
	monitor_close(&self->mon);
}

TEST_F_TIMEOUT(storms, storm, 120)
{
	const size_t nr = STORM_THREADS * STORM_PAGES;
	static __u64 words[STORM_THREADS * STORM_PAGES], seen[STORM_THREADS * STORM_PAGES];
	struct mmu_monitor_event e[16];
	pthread_t threads[STORM_THREADS];
	struct storm s[STORM_THREADS];
	unsigned long events = 0, overflows = 0;
	bool running = true;
	unsigned int i;
	char *base;
	int n;

	base = mmap(NULL, nr * page_size, RW, ANON, -1, 0);
	ASSERT_NE(base, MAP_FAILED);
	ASSERT_EQ(monitor_try_max_events(self->mon.fd, variant->max_events), 0);
	watch_pages(_metadata, &self->mon, base, nr, 0, words);
	for (i = 0; i < nr; i++)
		seen[i] = WORD(words[i]);
	for (i = 0; i < STORM_THREADS; i++) {
		s[i].base = base + i * STORM_PAGES * page_size;
		s[i].seed = i + 1;
		ASSERT_EQ(pthread_create(&threads[i], NULL, storm, &s[i]), 0);
	}
	for (;;) {
		n = monitor_read(self->mon.fd, e, ARRAY_SIZE(e));
		ASSERT_GE(n, 0);
		for (i = 0; (int)i < n; i++) {
			if (e[i].type == MMU_MONITOR_OVERFLOW) {
				size_t k;

				overflows++;
				for (k = 0; k < nr; k++)
					seen[k] = WORD(words[k]);
				continue;
			}
			ASSERT_EQ(e[i].type, MMU_MONITOR_CHANGED);
			ASSERT_LT(e[i].cookie, nr);
			EXPECT_EQ(e[i].word, words[e[i].cookie]);
			seen[e[i].cookie] = WORD(words[e[i].cookie]);
			events++;
		}
		if (n)
			continue;
		if (!running)
			break;
		if (pthread_tryjoin_np(threads[0], NULL))
			continue;
		for (i = 1; i < STORM_THREADS; i++)
			pthread_join(threads[i], NULL);
		running = false;
	}
	for (i = 0; i < nr; i++) {
		EXPECT_EQ(WORD(words[i]) & 1, 0);
		EXPECT_EQ(WORD(words[i]), seen[i] + (seen[i] & 1))
			TH_LOG("watch %u: an event was lost", i);
	}
	EXPECT_GT(events, nr);
	EXPECT_EQ(monitor_area(&self->mon)->overflows, overflows);
	EXPECT_EQ(monitor_area(&self->mon)->events, events + overflows);
	EXPECT_EQ(overflows > 0, variant->max_events > 0);
	EXPECT_EQ(monitor_pending(&self->mon), 0);
	TH_LOG("%lu events, %lu overflows", events, overflows);

	/* all is as it was */
	ASSERT_EQ(monitor_try_max_events(self->mon.fd, 0), 0);
	ASSERT_EQ(munmap(base, nr * page_size), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), nr);
}

/*
 * As many as a large program has
 */
#define MANY	100000

TEST_F_TIMEOUT(storms, many_watches, 300)
{
	__u64 *words = calloc(MANY, sizeof(*words)), *before = calloc(MANY, sizeof(*before));
	__u64 made, changed, read, flushed;
	size_t i, wrong = 0, events = 0;
	struct mmu_monitor_event e[64];
	char *base;
	int n;

	ASSERT_TRUE(words && before);
	ASSERT_EQ(monitor_try_max_events(self->mon.fd, variant->max_events), 0);
	base = mmap(NULL, MANY * page_size, PROT_READ, ANON | MAP_NORESERVE, -1, 0);
	ASSERT_NE(base, MAP_FAILED);
	made = now_us();
	watch_pages(_metadata, &self->mon, base, MANY, 0, words);
	made = now_us() - made;
	EXPECT_EQ(monitor_watches(&self->mon), MANY);
	for (i = 0; i < MANY; i++)
		before[i] = WORD(words[i]);

	/* one of them, and none of its neighbours */
	ASSERT_EQ(madvise(base + MANY / 2 * page_size, page_size, MADV_DONTNEED), 0);
	for (i = 0; i < MANY; i++)
		wrong += (WORD(words[i]) != before[i]) != (i == MANY / 2);
	EXPECT_EQ(wrong, 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
	before[MANY / 2] = WORD(words[MANY / 2]);

	changed = now_us();
	ASSERT_EQ(munmap(base, MANY * page_size), 0);
	changed = now_us() - changed;
	for (i = 0, wrong = 0; i < MANY; i++)
		wrong += WORD(words[i]) == before[i] || WORD(words[i]) & 1;
	EXPECT_EQ(wrong, 0);

	read = now_us();
	while ((n = monitor_read(self->mon.fd, e, ARRAY_SIZE(e))) > 0)
		events += n;
	read = now_us() - read;
	EXPECT_EQ(events, variant->max_events ? variant->max_events + 1 : MANY);

	flushed = now_us();
	ASSERT_EQ(monitor_try_flush(self->mon.fd), 0);
	flushed = now_us() - flushed;
	EXPECT_EQ(monitor_watches(&self->mon), 0);
	for (i = 0, wrong = 0; i < MANY; i++)
		wrong += !(WORD(words[i]) & 1);
	EXPECT_EQ(wrong, 0);
	TH_LOG("made in %llu ms, changed in %llu ms, read in %llu ms, flushed in %llu ms",
	       made / 1000, changed / 1000, read / 1000, flushed / 1000);
}

/*
 * A process with many threads, each with watches of its own on one descriptor
 */
#define THREADS		48

struct busy {
	struct monitor *mon;
	unsigned int rounds;
	unsigned int wrong;
	unsigned int line;
};

#define WANT(what) do { \
	if (!(what)) { \
		b->wrong++; \
		b->line = __LINE__; \
	} \
} while (0)

static void *busy(void *arg)
{
	struct busy *b = arg;
	unsigned int i;

	for (i = 0; i < b->rounds; i++) {
		char *addr = mmap(NULL, 4 * page_size, RW, ANON, -1, 0);
		__u64 word = 0, before;

		WANT(addr != MAP_FAILED);
		WANT(!monitor_try_watch(b->mon->fd, addr, 4 * page_size, MONITOR_CACHE,
					i % 2 ? MMU_MONITOR_QUIET : 0, 0, &word));
		if (b->wrong)
			break;
		before = monitor_word(b->mon, word);
		WANT(!(before & 1));
		*addr = 1;
		WANT(monitor_word(b->mon, word) == before);
		munmap(addr, 4 * page_size);
		WANT(monitor_word(b->mon, word) != before);
		WANT(!monitor_try_unwatch(b->mon->fd, word));
		/* a word is another thread's at once */
	}
	return NULL;
}

TEST_F_TIMEOUT(events, many_threads, 120)
{
	pthread_t threads[THREADS];
	struct busy b[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++) {
		b[i] = (struct busy) { .mon = &self->mon, .rounds = 100 };
		ASSERT_EQ(pthread_create(&threads[i], NULL, busy, &b[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(b[i].wrong, 0) TH_LOG("line %u", b[i].line);
	}
	EXPECT_EQ(monitor_watches(&self->mon), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 0);
}

TEST_HARNESS_MAIN
