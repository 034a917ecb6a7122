// SPDX-License-Identifier: GPL-2.0
/*
 * The library on /dev/mmu_monitor (tools/lib/mmu_monitor): each function, each
 * errno that it documents, fork, threads. What the device itself does is for
 * other tests.
 */
#include "../kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mmon.h"
#include "sysmm.h"

#define NR	4
#define PINNED	(MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED)

FIXTURE(lib) {
	struct mmon m;
	struct mmon_watch w;
	char *pages;
	size_t size;
};

FIXTURE_SETUP(lib)
{
	int err = mmon_open(&self->m, MMON_NONBLOCK);

	if (err == -ENOENT)
		SKIP(return, "no /dev/mmu_monitor");
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->size = NR * page_size;
	self->pages = mmap(NULL, self->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(self->pages, MAP_FAILED);
	memset(self->pages, 1, self->size);
	ASSERT_EQ(mmon_watch(&self->m, self->pages, self->size, 0x11, PINNED, 0, &self->w), 0);
}

FIXTURE_TEARDOWN(lib)
{
	mmon_close(&self->m);
}

static void drop(char *pages)
{
	madvise(pages, page_size, MADV_DONTNEED);
}

/* -------------------------------------------------------- open, close */

TEST_F(lib, open_says_what_there_is)
{
	EXPECT_EQ(self->m.info.classes & PINNED, (unsigned int)PINNED);
	EXPECT_GE(self->m.info.max_watches, 1000u);
	EXPECT_GE(self->m.info.event_size, sizeof(struct mmu_monitor_event));
	EXPECT_LE(self->m.area_size, self->m.info.area_size);
	EXPECT_EQ(fcntl(self->m.fd, F_GETFD), FD_CLOEXEC);
	EXPECT_TRUE(fcntl(self->m.fd, F_GETFL) & O_NONBLOCK);
}

TEST_F(lib, open_flags)
{
	struct mmon m;

	EXPECT_EQ(mmon_open(&m, 2), -EINVAL);
	ASSERT_EQ(mmon_open(&m, 0), 0);
	EXPECT_FALSE(fcntl(m.fd, F_GETFL) & O_NONBLOCK);
	mmon_close(&m);
	EXPECT_EQ(m.fd, -1);
}

/* What could not be opened leaves nothing behind. */
TEST_F(lib, open_without_descriptors)
{
	struct rlimit none = { 0 }, before;
	struct mmon m;

	ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	EXPECT_EQ(mmon_open(&m, 0), -EMFILE);
	ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

TEST_F(lib, close_ends_watches)
{
	struct mmon m;
	int fd;

	ASSERT_EQ(mmon_open(&m, 0), 0);
	fd = m.fd;
	mmon_close(&m);
	ASSERT_EQ(mmon_open(&m, 0), 0);
	EXPECT_EQ(m.fd, fd);
	EXPECT_EQ(mmon_load(&m.area->watches), 0u);
	mmon_close(&m);
}

/* -------------------------------------------------------------- watch */

TEST_F(lib, watch)
{
	EXPECT_TRUE(mmon_valid(&self->w));
	EXPECT_TRUE(mmon_confirm(&self->w));
	EXPECT_EQ(self->w.generation % 2, 0u);
	EXPECT_NE(self->w.generation, (__u64)MMON_NEVER);
	drop(self->pages + (NR - 1) * page_size);
	EXPECT_FALSE(mmon_valid(&self->w));
	EXPECT_FALSE(mmon_confirm(&self->w));
}

TEST_F(lib, watch_errors)
{
	struct mmon_watch w;
	char *p = self->pages;

	EXPECT_EQ(mmon_watch(&self->m, p, 0, 0, PINNED, 0, &w), -EINVAL);
	EXPECT_EQ(mmon_watch(&self->m, p, 1, 0, 0, 0, &w), -EINVAL);
	EXPECT_EQ(mmon_watch(&self->m, p, 1, 0, 1U << 31, 0, &w), -EINVAL);
	EXPECT_EQ(mmon_watch(&self->m, p, 1, 0, PINNED, 1U << 31, &w), -EINVAL);
	EXPECT_EQ(mmon_watch(&self->m, p, (size_t)-1, 0, PINNED, 0, &w), -EOVERFLOW);
	EXPECT_EQ(mmon_watch(&self->m, (char *)-page_size, 1, 0, PINNED, 0, &w), -EOVERFLOW);
	EXPECT_EQ(mmon_load(&self->m.area->watches), 1u);
}

/* A word that our mapping of the area does not have is as good as none. */
TEST_F(lib, watch_beyond_the_mapping)
{
	struct mmon little = self->m;
	struct mmon_watch w;

	little.area_size = sizeof(struct mmu_monitor_area);
	EXPECT_EQ(mmon_watch(&little, self->pages, 1, 0, PINNED, 0, &w), -ENOSPC);
	EXPECT_EQ(mmon_load(&self->m.area->watches), 1u);
}

TEST_F(lib, unwatch)
{
	struct mmu_monitor_event event;
	struct mmon_watch w = self->w;

	drop(self->pages);
	EXPECT_EQ(mmon_unwatch(&self->m, &self->w), 0);
	EXPECT_FALSE(mmon_valid(&self->w));
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_FALSE(mmon_begin(&w));
	EXPECT_EQ(mmon_next(&self->m, &event, 1), -EAGAIN);
	EXPECT_EQ(mmon_unwatch(&self->m, &self->w), -ENOENT);
	EXPECT_EQ(mmon_rearm(&self->m, &self->w), -ENOENT);
	EXPECT_FALSE(mmon_valid(&self->w));
}

/* ------------------------------------------------- begin, rearm, flush */

TEST_F(lib, begin)
{
	__u64 before = self->w.generation;

	drop(self->pages);
	EXPECT_FALSE(mmon_valid(&self->w));
	EXPECT_TRUE(mmon_begin(&self->w));
	EXPECT_TRUE(mmon_confirm(&self->w));
	EXPECT_GT(self->w.generation, before);
	drop(self->pages);
	EXPECT_FALSE(mmon_confirm(&self->w));
}

/* The word is memory like any other to these: an odd one is never valid. */
TEST(odd_words)
{
	__u64 word = 5;
	struct mmon_watch w = { .word = &word, .generation = 4 };

	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_FALSE(mmon_begin(&w));
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_FALSE(mmon_confirm(&w));
	word = 6;
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_TRUE(mmon_begin(&w));
	EXPECT_TRUE(mmon_valid(&w));
	/* either half counts */
	word = 6 | 1ULL << 32;
	EXPECT_FALSE(mmon_valid(&w));
	word = ~0ULL;
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_FALSE(mmon_begin(&w));
}

TEST_F(lib, rearm)
{
	struct mmu_monitor_event event;
	struct mmon_watch w;

	ASSERT_EQ(mmon_unwatch(&self->m, &self->w), 0);
	ASSERT_EQ(mmon_watch(&self->m, self->pages, 1, 7, PINNED, MMU_MONITOR_ONESHOT, &w), 0);
	drop(self->pages);
	ASSERT_EQ(mmon_next(&self->m, &event, 1), 1);
	drop(self->pages);
	EXPECT_EQ(mmon_next(&self->m, &event, 1), -EAGAIN);
	EXPECT_FALSE(mmon_valid(&w));
	ASSERT_EQ(mmon_rearm(&self->m, &w), 0);
	EXPECT_TRUE(mmon_valid(&w));
	drop(self->pages);
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_EQ(mmon_pending(&self->m), 1u);
	/* one that was not read is forgotten */
	ASSERT_EQ(mmon_rearm(&self->m, &w), 0);
	EXPECT_EQ(mmon_pending(&self->m), 0u);
	EXPECT_EQ(mmon_next(&self->m, &event, 1), -EAGAIN);
}

TEST_F(lib, flush)
{
	struct mmu_monitor_event event;
	struct mmon_watch w;

	ASSERT_EQ(mmon_watch(&self->m, self->pages, 1, 7, PINNED, 0, &w), 0);
	drop(self->pages);
	EXPECT_EQ(mmon_pending(&self->m), 2u);
	ASSERT_EQ(mmon_begin(&w), true);
	EXPECT_EQ(mmon_flush(&self->m), 0);
	EXPECT_FALSE(mmon_valid(&w));
	EXPECT_EQ(mmon_pending(&self->m), 0u);
	EXPECT_EQ(mmon_next(&self->m, &event, 1), -EAGAIN);
	EXPECT_EQ(mmon_unwatch(&self->m, &w), -ENOENT);
}

/* ------------------------------------------------------------- config */

TEST_F(lib, eventfd)
{
	int efd = eventfd(0, EFD_NONBLOCK);
	eventfd_t count;

	ASSERT_GE(efd, 0);
	ASSERT_EQ(mmon_set_eventfd(&self->m, efd), 0);
	drop(self->pages);
	EXPECT_EQ(eventfd_read(efd, &count), 0);
	EXPECT_EQ(mmon_set_eventfd(&self->m, -1), 0);
	ASSERT_EQ(mmon_rearm(&self->m, &self->w), 0);
	drop(self->pages);
	EXPECT_EQ(eventfd_read(efd, &count), -1);
	EXPECT_EQ(mmon_set_eventfd(&self->m, 1000), -EBADF);
	EXPECT_EQ(mmon_set_eventfd(&self->m, self->m.fd), -EINVAL);
	close(efd);
}

TEST_F(lib, max_events)
{
	struct mmu_monitor_event events[8];
	struct mmu_monitor_area counters;
	struct mmon_watch w[4];
	int i, n, overflows = 0;

	ASSERT_EQ(mmon_set_max_events(&self->m, 2), 0);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(mmon_watch(&self->m, self->pages, 1, i, PINNED, 0, &w[i]), 0);
	drop(self->pages);
	n = mmon_next(&self->m, events, 8);
	ASSERT_GE(n, 1);
	EXPECT_LE(n, 3);
	for (i = 0; i < n; i++)
		overflows += events[i].type == MMU_MONITOR_OVERFLOW;
	EXPECT_EQ(overflows, 1);
	for (i = 0; i < 4; i++)
		EXPECT_FALSE(mmon_valid(&w[i]));
	mmon_counters(&self->m, &counters);
	EXPECT_EQ(counters.overflows, 1u);
	ASSERT_EQ(mmon_set_max_events(&self->m, 0), 0);
	drop(self->pages);
	EXPECT_EQ(mmon_next(&self->m, events, 8), 5);
}

/* --------------------------------------------------------------- next */

TEST_F(lib, next)
{
	struct mmu_monitor_event events[4];

	EXPECT_EQ(mmon_next(&self->m, events, 4), -EAGAIN);
	drop(self->pages + page_size);
	EXPECT_EQ(mmon_pending(&self->m), 1u);
	ASSERT_EQ(mmon_next(&self->m, events, 4), 1);
	EXPECT_EQ(events[0].type, MMU_MONITOR_CHANGED);
	EXPECT_EQ(events[0].classes, (__u32)MMU_MONITOR_DROPPED);
	EXPECT_EQ(events[0].cookie, 0x11u);
	EXPECT_EQ(events[0].address, (__u64)(uintptr_t)self->pages + page_size);
	EXPECT_EQ(events[0].length, page_size);
	EXPECT_EQ(events[0].word, self->w.offset);
	EXPECT_EQ(mmon_pending(&self->m), 0u);
}

/*
 * More than are wanted, and more than are there; and so many that from the stack,
 * which may be at the end of all addresses, they would reach beyond it.
 */
TEST_F(lib, next_some)
{
	static struct mmu_monitor_event events[16];
	struct mmon_watch w;
	int i;

	for (i = 0; i < 9; i++)
		ASSERT_EQ(mmon_watch(&self->m, self->pages, 1, i, PINNED, 0, &w), 0);
	drop(self->pages);
	EXPECT_EQ(mmon_next(&self->m, events, 0), -EINVAL);
	EXPECT_EQ(mmon_next(&self->m, events, 6), 6);
	EXPECT_EQ(mmon_next(&self->m, events, 16), 4);
	EXPECT_EQ(mmon_next(&self->m, events, ~0U), -EAGAIN);
	drop(self->pages);
	EXPECT_EQ(mmon_next(&self->m, (void *)page_size, 1), -EFAULT);
	EXPECT_EQ(mmon_next(&self->m, events, 16), 10);
}

/* A later kernel has longer events: of each, what we know is taken. */
TEST(next_longer)
{
	struct {
		struct mmu_monitor_event event;
		__u64 more[5];
	} longer[200] = { 0 };
	struct mmu_monitor_event events[200];
	struct mmon m = { .info.event_size = sizeof(longer[0]) };
	int i, n = 0, got, pipes[2];

	for (i = 0; i < 200; i++) {
		longer[i].event.size = sizeof(longer[0]);
		longer[i].event.type = MMU_MONITOR_CHANGED;
		longer[i].event.cookie = i;
		longer[i].more[4] = ~0ULL;
	}
	ASSERT_EQ(pipe(pipes), 0);
	m.fd = pipes[0];
	ASSERT_EQ(write(pipes[1], longer, sizeof(longer)), (ssize_t)sizeof(longer));
	EXPECT_EQ(mmon_next(&m, events, 3), 3);
	for (n = 3; n < 200; n += got) {
		got = mmon_next(&m, &events[n], 200 - n);
		ASSERT_GE(got, 1);
	}
	for (i = 0; i < 200; i++)
		EXPECT_EQ(events[i].cookie, (__u64)i);
}

static void nothing(int sig)
{
}

struct waiter {
	struct mmon m;
	struct mmu_monitor_event event;
	int got;
};

static void *waits(void *arg)
{
	struct waiter *w = arg;

	w->got = mmon_next(&w->m, &w->event, 1);
	return NULL;
}

TEST_F(lib, next_waits)
{
	struct sigaction action = { .sa_handler = nothing };
	struct waiter waiter = { .got = 99 };
	struct mmon_watch w;
	pthread_t thread;

	ASSERT_EQ(mmon_open(&waiter.m, 0), 0);
	ASSERT_EQ(mmon_watch(&waiter.m, self->pages, 1, 3, PINNED, 0, &w), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, waits, &waiter), 0);
	sleep_ms(50);
	EXPECT_EQ(__atomic_load_n(&waiter.got, __ATOMIC_ACQUIRE), 99);
	drop(self->pages);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(waiter.got, 1);
	EXPECT_EQ(waiter.event.cookie, 3u);

	ASSERT_EQ(sigaction(SIGUSR1, &action, NULL), 0);
	waiter.got = 99;
	ASSERT_EQ(pthread_create(&thread, NULL, waits, &waiter), 0);
	/* until one comes when it waits already */
	while (!within_ms(50, __atomic_load_n(&waiter.got, __ATOMIC_ACQUIRE) != 99))
		pthread_kill(thread, SIGUSR1);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(waiter.got, -EINTR);
	mmon_close(&waiter.m);
}

/* ----------------------------------------------------------- counters */

TEST_F(lib, counters)
{
	struct mmu_monitor_event event;
	struct mmu_monitor_area c;
	struct mmon_watch w;

	ASSERT_EQ(mmon_watch(&self->m, self->pages, 1, 3, PINNED, MMU_MONITOR_QUIET, &w), 0);
	drop(self->pages);
	EXPECT_FALSE(mmon_valid(&w));
	mmon_counters(&self->m, &c);
	EXPECT_EQ(c.watches, 2u);
	EXPECT_EQ(c.pending, 1u);
	EXPECT_EQ(c.events, 1u);
	EXPECT_EQ(c.overflows, 0u);
	EXPECT_EQ(mmon_next(&self->m, &event, 1), 1);
	mmon_counters(&self->m, &c);
	EXPECT_EQ(c.pending, 0u);
	EXPECT_EQ(c.events, 1u);
}

/* --------------------------------------------------------------- fork */

static int child(struct mmon *m, struct mmon_watch *w, char *pages)
{
	struct mmu_monitor_event event;
	struct mmu_monitor_area c;
	struct mmon_watch other = *w;
	int where = 0;

	where |= !mmon_foreign(m) << 0;
	where |= mmon_valid(w) << 1;
	where |= mmon_begin(&other) << 2;
	where |= (mmon_watch(m, pages, 1, 0, PINNED, 0, &other) != -ESTALE) << 3;
	where |= (mmon_rearm(m, &other) != -ESTALE) << 4;
	where |= (mmon_unwatch(m, &other) != -ESTALE) << 5;
	where |= (mmon_flush(m) != -ESTALE) << 6;
	where |= (mmon_set_eventfd(m, -1) != -ESTALE || mmon_set_max_events(m, 0) != -ESTALE) << 7;
	if (where)
		return where;
	where |= (!mmon_pending(m) || mmon_next(m, &event, 1) != -ESTALE) << 0;
	mmon_counters(m, &c);
	where |= (~c.watches != 0) << 1;
	mmon_close(m);

	/* one of its own */
	if (mmon_open(m, MMON_NONBLOCK))
		return where | 4;
	where |= mmon_foreign(m) << 3;
	where |= (mmon_watch(m, pages, 1, 0, PINNED, 0, &other) != 0) << 4;
	where |= !mmon_valid(&other) << 5;
	drop(pages);
	where |= mmon_valid(&other) << 6;
	where |= (mmon_next(m, &event, 1) != 1) << 7;
	return where;
}

TEST_F(lib, child)
{
	int status;
	pid_t pid;

	EXPECT_FALSE(mmon_foreign(&self->m));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(child(&self->m, &self->w, self->pages));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_FALSE(mmon_foreign(&self->m));
	EXPECT_TRUE(mmon_valid(&self->w));
	drop(self->pages);
	EXPECT_FALSE(mmon_valid(&self->w));
}

/* The same address space, so the same monitor */
TEST_F(lib, vfork)
{
	volatile int where = 0;
	int status;
	pid_t pid = vfork();

	if (!pid) {
		where |= mmon_foreign(&self->m) << 0;
		where |= !mmon_valid(&self->w) << 1;
		drop(self->pages);
		where |= mmon_valid(&self->w) << 2;
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(where, 0);
	EXPECT_FALSE(mmon_valid(&self->w));
	EXPECT_EQ(mmon_pending(&self->m), 1u);
}

/* ------------------------------------------------------------ threads */

struct user {
	struct mmon *m;
	unsigned int bad;
};

/* Each has watches of its own, and all read what comes. */
static void *uses(void *arg)
{
	struct user *u = arg;
	struct mmu_monitor_event events[4];
	struct mmon_watch w;
	unsigned int i;
	char *p;

	for (i = 0; i < 300; i++) {
		p = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		if (p == MAP_FAILED || mmon_watch(u->m, p, 1, i, PINNED, 0, &w)) {
			u->bad++;
			continue;
		}
		*p = 1;
		u->bad += !mmon_valid(&w);
		if (i % 2)
			drop(p);
		u->bad += mmon_valid(&w) == i % 2;
		if (i % 3)
			u->bad += mmon_rearm(u->m, &w) != 0 || !mmon_valid(&w);
		munmap(p, page_size);
		u->bad += mmon_valid(&w);
		mmon_next(u->m, events, 4);
		u->bad += mmon_unwatch(u->m, &w) != 0;
	}
	return NULL;
}

TEST_F_TIMEOUT(lib, threads, 200)
{
	struct user users[4] = { 0 };
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++) {
		users[i].m = &self->m;
		ASSERT_EQ(pthread_create(&threads[i], NULL, uses, &users[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(users[i].bad, 0u);
	}
	EXPECT_EQ(mmon_load(&self->m.area->watches), 1u);
	EXPECT_EQ(mmon_pending(&self->m), 0u);
	EXPECT_TRUE(mmon_valid(&self->w));
}

TEST_HARNESS_MAIN
