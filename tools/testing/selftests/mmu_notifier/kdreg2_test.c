// SPDX-License-Identifier: GPL-2.0
/*
 * What kdreg2 offers can be had from /dev/mmu_monitor (kdreg2_adapter.h): a test
 * for each call, and for what kdreg2 itself got wrong: once munmap() has returned, the
 * region must not look unchanged any more, however short memory is.
 */
#include "../kselftest_harness.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kdreg2_adapter.h"
#include "sysmm.h"

#define NR	8		/* pages of each region */
#define MAX	64		/* regions */
#define THREADS	4
#define SECONDS	10		/* under pressure */
#define CYCLES	200		/* at least, of all threads */

static char *map(size_t nr)
{
	return mmap(NULL, nr * page_size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static int drop(char *p, size_t nr)
{
	return madvise(p, nr * page_size, MADV_DONTNEED);
}

FIXTURE(kdreg2) {
	struct kd *kd;
	const struct kd_status *status;
	char *pages;
	size_t size;
	struct kd_ticket ticket;
};

FIXTURE_SETUP(kdreg2)
{
	int err = kd_open(&self->kd, true);

	if (err == -ENOENT)
		SKIP(return, "no /dev/mmu_monitor");
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->size = NR * page_size;
	self->pages = map(NR);
	ASSERT_NE(self->pages, MAP_FAILED);
	ASSERT_EQ(kd_config(self->kd, MAX, &self->status), 0);
}

FIXTURE_TEARDOWN(kdreg2)
{
	kd_close(self->kd);
}

#define MONITOR(cookie)	kd_monitor(self->kd, self->pages, self->size, cookie, &self->ticket)
#define CHANGED()	kd_changed(self->status, &self->ticket)

static bool in_child(int (*check)(struct kd *), struct kd *kd)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(check(kd));
	return pid > 0 && waitpid(pid, &status, 0) == pid && !status;
}

/* ------------------------------------------------------------ config */

TEST_F(kdreg2, config)
{
	const struct kd_status *status = NULL;

	EXPECT_EQ(self->status->max_regions, (size_t)MAX);
	EXPECT_EQ(self->status->version, 1u);
	EXPECT_EQ(kd_config(self->kd, 2 * MAX, &status), 0);
	EXPECT_EQ(status, self->status);
	EXPECT_EQ(status->max_regions, 2u * MAX);
}

TEST_F(kdreg2, config_too_many)
{
	EXPECT_EQ(kd_config(self->kd, SIZE_MAX, &self->status), -ENOSPC);
	EXPECT_EQ(self->status->max_regions, (size_t)MAX);
}

/* Neither regions nor events may be there. */
TEST_F(kdreg2, config_busy)
{
	struct kd_event event;

	ASSERT_EQ(MONITOR(1), 0);
	EXPECT_EQ(kd_config(self->kd, 2, &self->status), -EBUSY);
	drop(self->pages, 1);
	EXPECT_EQ(kd_config(self->kd, 2, &self->status), -EBUSY);
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), (ssize_t)sizeof(event));
	EXPECT_EQ(kd_config(self->kd, 2, &self->status), 0);
}

/* Before it has been told how many, it takes none. */
TEST_F(kdreg2, unconfigured)
{
	struct kd_ticket ticket;
	struct kd *kd;

	ASSERT_EQ(kd_open(&kd, true), 0);
	EXPECT_EQ(kd_monitor(kd, self->pages, self->size, 1, &ticket), -ENOSPC);
	kd_close(kd);
}

/* ----------------------------------------------------------- monitor */

TEST_F(kdreg2, monitor)
{
	ASSERT_EQ(MONITOR(1), 0);
	EXPECT_FALSE(CHANGED());
	EXPECT_EQ(kd_active(self->status), 1u);
	EXPECT_EQ(kd_pending(self->status), 0u);
	drop(self->pages + (NR - 1) * page_size, 1);
	EXPECT_TRUE(CHANGED());
	EXPECT_EQ(kd_active(self->status), 0u);
	EXPECT_EQ(kd_pending(self->status), 1u);
	EXPECT_EQ(kd_total(self->status), 1u);
}

/* What is next to it is no concern of its. */
TEST_F(kdreg2, monitor_neighbours)
{
	ASSERT_EQ(kd_monitor(self->kd, self->pages + page_size, page_size, 1, &self->ticket), 0);
	drop(self->pages, 1);
	drop(self->pages + 2 * page_size, 1);
	EXPECT_FALSE(CHANGED());
	EXPECT_EQ(kd_total(self->status), 0u);
}

TEST_F(kdreg2, monitor_arguments)
{
	EXPECT_EQ(kd_monitor(self->kd, self->pages, 0, 1, &self->ticket), -EINVAL);
	EXPECT_EQ(kd_monitor(self->kd, self->pages, 1, KD_BAD_COOKIE, &self->ticket), -EINVAL);
	EXPECT_EQ(kd_monitor(self->kd, self->pages, SIZE_MAX, 1, &self->ticket), -EOVERFLOW);
	EXPECT_EQ(kd_active(self->status), 0u);
}

TEST_F(kdreg2, monitor_cookie_in_use)
{
	struct kd_ticket again;

	ASSERT_EQ(MONITOR(7), 0);
	EXPECT_EQ(kd_monitor(self->kd, self->pages, page_size, 7, &again), -EBUSY);
	/* the very same is no error, and no other region */
	EXPECT_EQ(kd_monitor(self->kd, self->pages, self->size, 7, &again), 0);
	EXPECT_EQ(memcmp(&again, &self->ticket, sizeof(again)), 0);
	EXPECT_EQ(kd_active(self->status), 1u);
	/* nor is the same region with another cookie */
	EXPECT_EQ(kd_monitor(self->kd, self->pages, self->size, 8, &again), 0);
	EXPECT_EQ(kd_active(self->status), 2u);
}

/* It is free as soon as its region has changed, whether or not the event was read. */
TEST_F(kdreg2, monitor_cookie_again)
{
	struct kd_ticket again;
	struct kd_event events[3];

	ASSERT_EQ(MONITOR(7), 0);
	drop(self->pages, NR);
	ASSERT_EQ(kd_monitor(self->kd, self->pages, page_size, 7, &again), 0);
	EXPECT_TRUE(CHANGED());
	EXPECT_FALSE(kd_changed(self->status, &again));
	drop(self->pages, NR);
	EXPECT_TRUE(kd_changed(self->status, &again));
	ASSERT_EQ(kd_read(self->kd, events, sizeof(events)), 2 * (ssize_t)sizeof(events[0]));
	EXPECT_EQ(events[0].len, self->size);
	EXPECT_EQ(events[1].len, page_size);
}

/* Those that have changed do not count. */
TEST_F(kdreg2, monitor_too_many)
{
	uint64_t i;

	for (i = 0; i < MAX; i++)
		ASSERT_EQ(MONITOR(i), 0);
	EXPECT_EQ(MONITOR(MAX), -ENOSPC);
	drop(self->pages, 1);
	EXPECT_EQ(kd_pending(self->status), (uint64_t)MAX);
	EXPECT_EQ(MONITOR(MAX), 0);
	EXPECT_EQ(kd_active(self->status), 1u);
}

/* --------------------------------------------------------- unmonitor */

TEST_F(kdreg2, unmonitor)
{
	struct kd_event event;

	ASSERT_EQ(MONITOR(1), 0);
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &self->ticket), 0);
	EXPECT_TRUE(CHANGED());
	EXPECT_EQ(kd_active(self->status), 0u);
	drop(self->pages, 1);
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), -EAGAIN);
	EXPECT_EQ(kd_total(self->status), 0u);
}

TEST_F(kdreg2, unmonitor_errors)
{
	struct kd_ticket first, wrong = { .location = SIZE_MAX / 2 };

	ASSERT_EQ(MONITOR(1), 0);
	first = self->ticket;
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &wrong), -EINVAL);
	EXPECT_EQ(kd_unmonitor(self->kd, 2, &first), -ESRCH);

	/* one that is gone, and then another one of the same cookie */
	drop(self->pages, 1);
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &first), -ESRCH);
	EXPECT_EQ(kd_pending(self->status), 1u);
	ASSERT_EQ(MONITOR(1), 0);
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &first), -EBADSLT);
	EXPECT_FALSE(CHANGED());
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &self->ticket), 0);
	EXPECT_EQ(kd_unmonitor(self->kd, 1, &self->ticket), -ESRCH);
}

/* Events stay. */
TEST_F(kdreg2, unmonitor_all)
{
	struct kd_event event;
	uint64_t i;

	for (i = 0; i < 10; i++)
		ASSERT_EQ(kd_monitor(self->kd, self->pages + i % 2 * page_size, page_size, i,
				     &self->ticket), 0);
	drop(self->pages, 1);
	EXPECT_EQ(kd_active(self->status), 5u);
	EXPECT_EQ(kd_unmonitor_all(self->kd), 0);
	EXPECT_EQ(kd_active(self->status), 0u);
	EXPECT_EQ(kd_pending(self->status), 5u);
	EXPECT_TRUE(CHANGED());
	drop(self->pages, 2);
	for (i = 0; i < 10; i += 2) {
		ASSERT_EQ(kd_read(self->kd, &event, sizeof(event)), (ssize_t)sizeof(event));
		EXPECT_EQ(event.cookie % 2, 0u);
	}
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), -EAGAIN);
	EXPECT_EQ(kd_unmonitor_all(self->kd), 0);
}

/* ------------------------------------------------------------ changed */

TEST_F(kdreg2, changed_nowhere)
{
	struct kd_ticket ticket = { .location = SIZE_MAX / 2 };

	EXPECT_TRUE(kd_changed(self->status, &ticket));
}

/* Another region may have the place, but the ticket stays the first one's. */
TEST_F(kdreg2, changed_for_ever)
{
	struct kd_ticket first;
	uint64_t i;

	ASSERT_EQ(MONITOR(1), 0);
	first = self->ticket;
	ASSERT_EQ(kd_unmonitor(self->kd, 1, &first), 0);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(MONITOR(i), 0);
		ASSERT_TRUE(kd_changed(self->status, &first));
		ASSERT_FALSE(CHANGED());
		ASSERT_EQ(i % 2 ? kd_unmonitor(self->kd, i, &self->ticket) : drop(self->pages, 1),
			  0);
		ASSERT_TRUE(CHANGED());
	}
}

/* -------------------------------------------------------- read, poll */

TEST_F(kdreg2, read_names_the_region)
{
	struct kd_event event;

	ASSERT_EQ(kd_monitor(self->kd, self->pages + 100, 5000, 0x1234567812345678, &self->ticket),
		  0);
	drop(self->pages, 1);
	drop(self->pages, NR);
	ASSERT_EQ(kd_read(self->kd, &event, sizeof(event)), (ssize_t)sizeof(event));
	EXPECT_EQ(event.type, KD_MAPPING_CHANGE);
	EXPECT_EQ(event.addr, self->pages + 100);
	EXPECT_EQ(event.len, 5000u);
	EXPECT_EQ(event.cookie, 0x1234567812345678u);
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), -EAGAIN);
	EXPECT_EQ(kd_pending(self->status), 0u);
	EXPECT_EQ(kd_total(self->status), 1u);
	EXPECT_EQ(kd_active(self->status), 0u);
}

TEST_F(kdreg2, read_sizes)
{
	struct kd_event events[8];
	uint64_t i;

	EXPECT_EQ(kd_read(self->kd, events, 0), 0);
	EXPECT_EQ(kd_read(self->kd, events, sizeof(events[0]) - 1), -EINVAL);
	EXPECT_EQ(kd_read(self->kd, events, sizeof(events)), -EAGAIN);
	for (i = 0; i < 6; i++)
		ASSERT_EQ(MONITOR(i), 0);
	drop(self->pages, 1);
	/* whole ones, as many as there is room for, in turn */
	EXPECT_EQ(kd_read(self->kd, events, sizeof(events[0]) + 1), (ssize_t)sizeof(events[0]));
	EXPECT_EQ(kd_read(self->kd, events, 4 * sizeof(events[0])), 4 * (ssize_t)sizeof(events[0]));
	EXPECT_EQ(kd_read(self->kd, events, sizeof(events)), (ssize_t)sizeof(events[0]));
	EXPECT_EQ(kd_read(self->kd, events, sizeof(events)), -EAGAIN);
}

TEST_F(kdreg2, poll)
{
	struct pollfd pfd = { .fd = kd_fd(self->kd), .events = POLLIN };
	struct kd_event event;

	ASSERT_EQ(MONITOR(1), 0);
	EXPECT_EQ(poll(&pfd, 1, 0), 0);
	drop(self->pages, 1);
	EXPECT_EQ(poll(&pfd, 1, 0), 1);
	EXPECT_EQ(pfd.revents, POLLIN);
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), (ssize_t)sizeof(event));
	EXPECT_EQ(poll(&pfd, 1, 0), 0);
}

struct reader {
	struct kd *kd;
	struct kd_event event;
	ssize_t got;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;

	r->got = kd_read(r->kd, &r->event, sizeof(r->event));
	return NULL;
}

/* As libfabric's thread does, without O_NONBLOCK */
TEST_F(kdreg2, read_waits)
{
	const struct kd_status *status;
	struct kd_ticket ticket;
	struct reader r = { 0 };
	pthread_t thread;

	ASSERT_EQ(kd_open(&r.kd, false), 0);
	ASSERT_EQ(kd_config(r.kd, MAX, &status), 0);
	ASSERT_EQ(kd_monitor(r.kd, self->pages, self->size, 5, &ticket), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, read_one, &r), 0);
	sleep_ms(50);
	EXPECT_EQ(__atomic_load_n(&r.got, __ATOMIC_ACQUIRE), 0);
	drop(self->pages, 1);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(r.got, (ssize_t)sizeof(r.event));
	EXPECT_EQ(r.event.cookie, 5u);
	kd_close(r.kd);
}

TEST_F(kdreg2, flush)
{
	struct kd_ticket other;
	struct kd_event event;

	EXPECT_EQ(kd_flush(self->kd), 0);
	ASSERT_EQ(MONITOR(1), 0);
	ASSERT_EQ(kd_monitor(self->kd, self->pages, page_size, 2, &other), 0);
	drop(self->pages + page_size, 1);
	EXPECT_EQ(kd_flush(self->kd), 0);
	EXPECT_EQ(kd_pending(self->status), 0u);
	EXPECT_EQ(kd_read(self->kd, &event, sizeof(event)), -EAGAIN);
	/* what has changed has, and what has not is still monitored */
	EXPECT_TRUE(CHANGED());
	EXPECT_FALSE(kd_changed(self->status, &other));
	EXPECT_EQ(kd_active(self->status), 1u);
	drop(self->pages, 1);
	ASSERT_EQ(kd_read(self->kd, &event, sizeof(event)), (ssize_t)sizeof(event));
	EXPECT_EQ(event.cookie, 2u);
}

/* --------------------------------------------------------------- fork */

static struct kd_ticket parents_ticket;
static const struct kd_status *parents_status;

static int all_say_eio(struct kd *kd)
{
	struct pollfd pfd = { .fd = kd_fd(kd), .events = POLLIN };
	struct kd_ticket ticket = parents_ticket;
	struct kd_event event;
	int where = 0;

	if (!kd_changed(parents_status, &ticket))
		where |= 1 << 0;
	if (kd_config(kd, 1, &parents_status) != -EIO)
		where |= 1 << 1;
	if (kd_monitor(kd, &event, 1, 100, &ticket) != -EIO)
		where |= 1 << 2;
	if (kd_unmonitor(kd, 1, &parents_ticket) != -EIO)
		where |= 1 << 3;
	if (kd_unmonitor_all(kd) != -EIO)
		where |= 1 << 4;
	if (kd_flush(kd) != -EIO)
		where |= 1 << 5;
	if (kd_read(kd, &event, sizeof(event)) != -EIO)
		where |= 1 << 6;
	if (poll(&pfd, 1, 0) != 1 || !(pfd.revents & POLLERR) || !(pfd.revents & POLLIN))
		where |= 1 << 7;
	return where;
}

/* "Reopen to fix it", it says. */
static int opens_its_own(struct kd *parents)
{
	const struct kd_status *status;
	struct kd_ticket ticket;
	struct kd *kd;
	char *p;

	kd_close(parents);
	p = map(1);
	if (kd_open(&kd, true) || kd_config(kd, MAX, &status) ||
	    kd_monitor(kd, p, page_size, 1, &ticket) || kd_changed(status, &ticket))
		return 1;
	munmap(p, page_size);
	return !kd_changed(status, &ticket) || kd_pending(status) != 1;
}

TEST_F(kdreg2, child)
{
	ASSERT_EQ(MONITOR(1), 0);
	parents_ticket = self->ticket;
	parents_status = self->status;
	EXPECT_TRUE(in_child(all_say_eio, self->kd));
	EXPECT_TRUE(in_child(opens_its_own, self->kd));
	/* the parent's is as it was */
	EXPECT_FALSE(CHANGED());
	EXPECT_EQ(kd_active(self->status), 1u);
	EXPECT_EQ(kd_pending(self->status), 0u);
}

/* ------------------------------------- never unchanged after munmap() */

struct worker {
	struct kd *kd;
	const struct kd_status *status;
	uint64_t first_cookie;
	unsigned int pages;
	unsigned int stale, failed, cycles;
};

static volatile bool stopping, done;

/* By threads of one process, with one descriptor: the lock is contended. */
static void *unmaps(void *arg)
{
	struct worker *w = arg;
	struct kd_ticket ticket;
	uint64_t i;
	char *p;

	for (i = 0; !stopping; i++) {
		p = map(w->pages);
		if (p == MAP_FAILED ||
		    kd_monitor(w->kd, p, w->pages * page_size, w->first_cookie + i, &ticket) ||
		    kd_changed(w->status, &ticket)) {
			/* it is not changed by reclaim, nor by another thread */
			w->failed++;
			continue;
		}
		munmap(p, w->pages * page_size);
		w->stale += !kd_changed(w->status, &ticket);
		w->cycles++;
	}
	return NULL;
}

/* More than the cgroup may have, over and over, and much of it from swap */
static void *hogs(void *arg)
{
	size_t size = *(size_t *)arg, at;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	while (p != MAP_FAILED && !stopping) {
		for (at = 0; at < size && !stopping; at += page_size)
			p[at]++;
		madvise(p, size, MADV_PAGEOUT);
	}
	munmap(p, size);
	return NULL;
}

/* As libfabric does; each event has to come, once. */
static void *reads(void *arg)
{
	struct worker *w = arg;
	struct kd_event events[32];
	ssize_t got;

	while (!done || kd_pending(w->status)) {
		got = kd_read(w->kd, events, sizeof(events));
		if (got > 0)
			w->cycles += got / sizeof(events[0]);
		else
			usleep(200);
	}
	return NULL;
}

TEST_F_TIMEOUT(kdreg2, munmap_under_pressure, 250)
{
	struct worker workers[THREADS] = { 0 }, reader = { 0 };
	pthread_t threads[THREADS], reading, hogging;
	unsigned int i, stale = 0, failed = 0, cycles = 0;
	const char *why = need_swap();
	size_t hog = 48 << 20;
	__u64 swapped;

	if (why)
		SKIP(return, "%s", why);
	why = need_cgroup();
	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(cgroup_enter("kdreg2"), 0);
	ASSERT_EQ(cgroup_set("kdreg2", "memory.max", "32M"), 0);
	ASSERT_EQ(kd_config(self->kd, 100000, &self->status), 0);
	swapped = vm_event("pswpout");

	reader.kd = self->kd;
	reader.status = self->status;
	ASSERT_EQ(pthread_create(&hogging, NULL, hogs, &hog), 0);
	ASSERT_EQ(pthread_create(&reading, NULL, reads, &reader), 0);
	for (i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ self->kd, self->status, i * 1000000, 1 + 4 * i };
		ASSERT_EQ(pthread_create(&threads[i], NULL, unmaps, &workers[i]), 0);
	}
	sleep(SECONDS);
	stopping = true;
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		stale += workers[i].stale;
		failed += workers[i].failed;
		cycles += workers[i].cycles;
	}
	pthread_join(hogging, NULL);
	done = true;
	pthread_join(reading, NULL);
	cgroup_leave("kdreg2");

	TH_LOG("%u munmaps, %u events, %llu pages swapped out", cycles, reader.cycles,
	       (unsigned long long)(vm_event("pswpout") - swapped));
	EXPECT_EQ(stale, 0u);
	EXPECT_EQ(failed, 0u);
	EXPECT_GE(cycles, CYCLES);
	EXPECT_EQ(reader.cycles, cycles);
	EXPECT_EQ(kd_total(self->status), (uint64_t)cycles);
	EXPECT_EQ(kd_active(self->status), 0u);
	EXPECT_GT(vm_event("pswpout"), swapped);
}

TEST_HARNESS_MAIN
