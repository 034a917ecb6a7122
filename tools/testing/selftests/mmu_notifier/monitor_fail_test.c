// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor when there is no memory, and when what it is given cannot be
 * read or written.
 *
 * Each call is made again and again, by a process of its own each time, and the
 * first, the second, the third ... of all allocations and copies in it fails
 * (fault_lib.h), until there are no more. A call that fails says ENOMEM or
 * EFAULT and has done nothing: no watch, event or even word more or less than
 * before, and the same call succeeds when nothing fails. A call that succeeds all
 * the same has done what it should.
 *
 * Then each of these failures is repeated in one process: nothing adds up, neither
 * memory nor what the user's limit counts.
 *
 * A change of a mapping must not need memory because somebody watches: munmap()
 * and its like allocate as often as they do without a watch.
 */
#include "../kselftest_harness.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "fault_lib.h"
#include "monitor_raw.h"
#include "sysmm.h"

#define TRIES		4
#define MAX_POINTS	500	/* more than any call has */
#define AREA_PAGES	4
#define WATCHED		((size_t)16)	/* pages */
#define REPEAT		3000
#define LEAK_KB		180	/* REPEAT times 64 bytes are more */
#define LIMIT		"/proc/sys/user/max_mmu_monitor_watches"

struct ctx {
	int fd;
	int eventfd;
	const volatile struct mmu_monitor_area *area;
	char *memory;
	__u64 word;		/* of the watch that the call is about */
	__u64 last;		/* the highest word that there was */
	unsigned int watches;
	unsigned int events;	/* that are pending */
};

struct call {
	const char *name;
	/* 0, or what is wrong */
	const char *(*prepare)(struct ctx *c);
	/* what is swept; 0 or -errno */
	int (*run)(struct ctx *c);
	/* after it succeeded */
	const char *(*check)(struct ctx *c);
	/* for the next round, after it succeeded */
	void (*undo)(struct ctx *c);
	unsigned int at_least;	/* so many points fail */
};

/* ---------------------------------------------------------- what is there */

static sigjmp_buf on_signal;

static void caught(int sig)
{
	siglongjmp(on_signal, sig);
}

static bool settles(struct ctx *c, __u64 word)
{
	return within_ms(3000, !(raw_load(c->area, word) & 1));
}

static const char *watch(struct ctx *c, size_t page, __u32 flags)
{
	int ret = raw_watch(c->fd, c->memory + page * page_size, page_size,
			    MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED, flags, page, &c->word);

	if (ret)
		return "WATCH fails";
	c->watches++;
	if (c->last < c->word)
		c->last = c->word;
	return settles(c, c->word) ? NULL : "a word does not get even";
}

/* All that the area says: so many watches, events, and even words, no more */
static const char *look(struct ctx *c)
{
	unsigned int even = 0;
	__u64 word, end;

	if (!c->area)
		return NULL;
	if (c->area->watches != c->watches)
		return "the number of watches has changed";
	if (c->area->pending != c->events)
		return "the number of pending events has changed";
	if (!c->last)
		return NULL;
	/* pages are there as far as there were watches */
	end = (c->last / page_size + 1) * page_size;
	for (word = sizeof(struct mmu_monitor_area); word < end; word += sizeof(word)) {
		__u64 generation = raw_load(c->area, word);

		even += generation && !(generation & 1);	/* 0: never used */
	}
	if (even > c->watches)
		return "a word is even that no watch has";
	if (even < c->watches)
		return "the word of a watch is odd";
	return NULL;
}

static const char *map_area(struct ctx *c)
{
	c->area = raw_area(c->fd, AREA_PAGES * page_size);
	if (c->area == MAP_FAILED) {
		c->area = NULL;
		return "mmap fails";
	}
	return NULL;
}

/* The monitor can do all that one can. */
static const char *works(struct ctx *c)
{
	struct mmu_monitor_event e;
	const char *why = c->area ? NULL : map_area(c);
	__u64 before;

	if (!why)
		why = watch(c, WATCHED - 1, 0);
	if (why)
		return why;
	before = raw_load(c->area, c->word);
	if (madvise(c->memory + (WATCHED - 1) * page_size, page_size, MADV_DONTNEED))
		return "madvise fails";
	if (raw_load(c->area, c->word) == before)
		return "a change is not told of by the word";
	if (c->area->pending != c->events + 1)
		return "a change makes no event";
	do {
		if (raw_read(c->fd, &e, 1) != 1)
			return "an event cannot be read";
	} while (c->events && c->events--);
	if (e.word != c->word || e.cookie != WATCHED - 1 || e.classes != MMU_MONITOR_DROPPED)
		return "the event is another one's";
	if (raw_unwatch(c->fd, c->word))
		return "UNWATCH fails";
	c->watches--;
	return look(c);
}

/* ---------------------------------------------------------------- calls */

static const char *no_preparation(struct ctx *c)
{
	return NULL;
}

static const char *opened(struct ctx *c)
{
	c->fd = raw_open();
	return c->fd < 0 ? "open fails" : NULL;
}

static const char *with_area(struct ctx *c)
{
	return opened(c) ?: map_area(c);
}

static const char *one_watch(struct ctx *c)
{
	return with_area(c) ?: watch(c, 0, 0);
}

/* The next word is the first of a page. */
static const char *full_page(struct ctx *c)
{
	const char *why = with_area(c);

	do {
		why = why ?: watch(c, 1, MMU_MONITOR_QUIET);
	} while (!why && (c->word + sizeof(c->word)) % page_size);
	return why;
}

static const char *with_eventfd(struct ctx *c)
{
	const char *why = one_watch(c);

	c->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return c->eventfd < 0 ? "eventfd fails" : why;
}

static const char *with_events(struct ctx *c)
{
	const char *why = with_area(c);
	unsigned int i;

	for (i = 0; i < 3 && !why; i++)
		why = watch(c, i, 0);
	if (!why && madvise(c->memory, 3 * page_size, MADV_DONTNEED))
		why = "madvise fails";
	c->events = 3;
	return why;
}

static int run_open(struct ctx *c)
{
	c->fd = raw_open();
	return c->fd < 0 ? c->fd : 0;
}

static int run_mmap(struct ctx *c)
{
	if (map_area(c))
		return -errno;
	/* A fault that finds no memory is tried again. */
	return c->area->watches ? -EUCLEAN : 0;
}

static int run_info(struct ctx *c)
{
	struct mmu_monitor_info info;

	return raw_info(c->fd, &info);
}

static int run_watch(struct ctx *c)
{
	return raw_watch(c->fd, c->memory + 2 * page_size, page_size, MMU_MONITOR_CLASSES,
			 0, 2, &c->word);
}

static int run_unwatch(struct ctx *c)
{
	return raw_unwatch(c->fd, c->word);
}

static int run_rearm(struct ctx *c)
{
	return raw_rearm(c->fd, c->word);
}

static int run_eventfd(struct ctx *c)
{
	return raw_eventfd(c->fd, c->eventfd);
}

static int run_flush(struct ctx *c)
{
	return raw_flush(c->fd);
}

static int run_read(struct ctx *c)
{
	struct mmu_monitor_event e[8];
	ssize_t nr = raw_read(c->fd, e, 8);

	if (nr < 0)
		return nr;
	if (!nr || nr > (ssize_t)c->events)
		return -EUCLEAN;
	c->events -= nr;		/* the others come next time */
	return 0;
}

static const char *check_watch(struct ctx *c)
{
	c->watches++;
	if (c->last < c->word)
		c->last = c->word;
	return settles(c, c->word) ? look(c) : "a word does not get even";
}

static const char *check_unwatch(struct ctx *c)
{
	c->watches--;
	if (!(raw_load(c->area, c->word) & 1))
		return "the word of a watch that is gone is even";
	return raw_unwatch(c->fd, c->word) == -ENOENT ? NULL : "it is gone, and can be unwatched";
}

static const char *check_eventfd(struct ctx *c)
{
	struct pollfd p = { .fd = c->eventfd, .events = POLLIN };

	if (poll(&p, 1, 0))
		return "the eventfd is signalled too early";
	if (madvise(c->memory, page_size, MADV_DONTNEED))
		return "madvise fails";
	c->events++;
	return poll(&p, 1, 0) == 1 ? NULL : "the eventfd is not signalled";
}

static const char *check_flush(struct ctx *c)
{
	c->watches = 0;
	c->events = 0;
	return NULL;
}

static const char *check_read(struct ctx *c)
{
	while (c->events)
		if (run_read(c))
			return "events are lost";
	return NULL;
}

static void undo_open(struct ctx *c)
{
	close(c->fd);
	c->fd = -1;
}

static void undo_mmap(struct ctx *c)
{
	munmap((void *)c->area, AREA_PAGES * page_size);
	c->area = NULL;
}

static void undo_watch(struct ctx *c)
{
	if (!raw_unwatch(c->fd, c->word))
		c->watches--;
}

static void undo_unwatch(struct ctx *c)
{
	watch(c, 0, 0);
}

static void undo_eventfd(struct ctx *c)
{
	raw_eventfd(c->fd, -1);
}

static void undo_flush(struct ctx *c)
{
	c->watches = 0;
	watch(c, 0, 0);
}

static void undo_read(struct ctx *c)
{
	madvise(c->memory, 3 * page_size, MADV_DONTNEED);
	c->events = 3;
}

static const struct call calls[] = {
	{ "open", no_preparation, run_open, NULL, undo_open, 2 },
	{ "mmap and first touch", opened, run_mmap, NULL, undo_mmap, 2 },
	{ "INFO", opened, run_info, NULL, NULL, 2 },
	{ "WATCH, the first", with_area, run_watch, check_watch, undo_watch, 4 },
	{ "WATCH, a page of words", full_page, run_watch, check_watch, undo_watch, 4 },
	{ "WATCH, a later one", one_watch, run_watch, check_watch, undo_watch, 3 },
	{ "UNWATCH", one_watch, run_unwatch, check_unwatch, undo_unwatch, 1 },
	{ "REARM", one_watch, run_rearm, NULL, NULL, 1 },
	{ "CONFIG, an eventfd", with_eventfd, run_eventfd, check_eventfd, undo_eventfd, 1 },
	{ "FLUSH", one_watch, run_flush, check_flush, undo_flush, 0 },
	{ "read", with_events, run_read, check_read, undo_read, 1 },
};

static const char *begin(struct ctx *c, const struct call *call)
{
	*c = (struct ctx){ .fd = -1, .eventfd = -1 };
	c->memory = mmap(NULL, WATCHED * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->memory == MAP_FAILED)
		return "mmap fails";
	memset(c->memory, 1, WATCHED * page_size);
	if (!fault_open())
		return "cannot open fail-nth";
	return call->prepare(c) ?: look(c);
}

static void finish(struct ctx *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->eventfd >= 0)
		close(c->eventfd);
	if (c->area)
		munmap((void *)c->area, AREA_PAGES * page_size);
	munmap(c->memory, WATCHED * page_size);
	fault_close();
}

/* In a process of its own: point @nth of @call. Returns a fault_result. */
static int try_point(const void *what, unsigned int nth)
{
	const struct call *call = what;
	struct ctx c;
	const char *why = begin(&c, call);
	bool failed;
	int sig, ret;

	sig = sigsetjmp(on_signal, 1);
	if (sig) {
		fault_disarm();
		printf("# %s, point %u: signal %d\n", call->name, nth, sig);
		return FAULT_WRONG;
	}
	signal(SIGBUS, caught);
	signal(SIGSEGV, caught);
	if (why)
		goto wrong;

	fault_arm(nth);
	ret = call->run(&c);
	failed = fault_disarm();

	if (!ret) {
		why = call->check ? call->check(&c) : NULL;
		why = why ?: look(&c) ?: works(&c);
		if (why)
			goto wrong;
		return failed ? FAULT_SURVIVED : FAULT_NO_MORE;
	}
	if (!failed)
		why = "fails though nothing failed in it";
	else if (ret != -ENOMEM && ret != -EFAULT)
		why = "fails with another error than ENOMEM and EFAULT";
	else
		why = look(&c);
	if (!why && call->run(&c))
		why = "does not succeed afterwards";
	if (!why && call->check)
		why = call->check(&c);
	why = why ?: look(&c) ?: works(&c);
	if (!why)
		return ret == -EFAULT ? FAULT_EFAULT : FAULT_ENOMEM;
	errno = -ret;
wrong:
	printf("# %s, point %u (%s): %s\n", call->name, nth, strerror(errno), why);
	return FAULT_WRONG;
}

/* Point @nth again and again: what it leaves behind adds up. */
static int repeat(const void *what, unsigned int nth)
{
	const struct call *call = what;
	/* kmemleak needs no more than one, and is slow. */
	unsigned int i, times = memory_is_recorded() ? 20 : REPEAT, warm = times / 4, skipped = 0;
	struct ctx c;
	const char *why = begin(&c, call);
	long before = 0, grown = 0;
	int ret;

	for (i = 0; !why && i < times + warm; i++) {
		if (i == warm)
			before = fault_kernel_kb();
		fault_arm(nth);
		ret = call->run(&c);
		fault_disarm();
		if (ret)
			continue;
		if (call->check == check_watch)
			c.watches++;
		skipped++;
		if (call->undo)
			call->undo(&c);
	}
	if (!why) {
		grown = fault_kernel_grown(before, LEAK_KB);
		if (grown > LEAK_KB)
			why = "memory is lost";
	}
	if (why)
		printf("# %s, point %u, %u times, %u of them successful: %s, %ld kB\n",
		       call->name, nth, times, skipped, why, grown);
	finish(&c);
	return why ? FAULT_WRONG : FAULT_NO_MORE;
}

/* How many watches the limit lets this user have */
static unsigned int allowance(unsigned int limit)
{
	static char page;
	unsigned int nr = 0;
	int fd = raw_open();
	__u64 word;

	if (fd < 0)
		return 0;
	while (nr <= limit && !raw_watch(fd, &page, 1, MMU_MONITOR_CLASSES, MMU_MONITOR_QUIET, 0,
					 &word))
		nr++;
	close(fd);
	return nr;
}

FIXTURE(fail) {
	char limit[32];
};

FIXTURE_VARIANT(fail) {
	unsigned int call;
};

#define CALL(_name, _nr) \
	FIXTURE_VARIANT_ADD(fail, _name) { .call = (_nr) }

CALL(open, 0);
CALL(mmap, 1);
CALL(info, 2);
CALL(first_watch, 3);
CALL(page_of_words, 4);
CALL(later_watch, 5);
CALL(unwatch, 6);
CALL(rearm, 7);
CALL(eventfd, 8);
CALL(flush, 9);
CALL(read, 10);

FIXTURE_SETUP(fail)
{
	const char *why = fault_need();

	if (access(MONITOR_PATH, F_OK))
		SKIP(return, "no " MONITOR_PATH);
	if (why)
		SKIP(return, "%s", why);
	sysmm_init();
	ASSERT_GT(file_read(LIMIT, self->limit, sizeof(self->limit)), 0);
}

FIXTURE_TEARDOWN(fail)
{
	if (self->limit[0])
		file_write(LIMIT, "%s", self->limit);
}

TEST_F_TIMEOUT(fail, nothing_is_left, 200)
{
	const struct call *call = &calls[variant->call];
	unsigned int at_least = call->at_least;
	struct fault_sweep s;

	ASSERT_TRUE(fault_sweep(try_point, call, call->name, &s));
	TH_LOG("%s: %u points, ENOMEM from %u, EFAULT from %u, done all the same at %u",
	       call->name, s.points, s.enomem, s.efault, s.survived);
	EXPECT_EQ(s.wrong, 0u);
	/* The records of kmemleak, and KASAN's, are points as well, so that some are missed. */
	if (memory_is_recorded() && at_least)
		at_least = 1;
	EXPECT_GE(s.enomem + s.efault, at_least);
}

TEST_F_TIMEOUT(fail, nothing_adds_up, 400)
{
	const struct call *call = &calls[variant->call];
	const unsigned int limit = 600;
	unsigned int nth, try;
	int result, again;

	/* as many as full_page() needs, and some */
	ASSERT_EQ(file_write(LIMIT, "%u", limit), 0);
	/* A worker may be about to end the last ones of a process that is gone. */
	EXPECT_TRUE(within_ms(1000, allowance(limit) == limit));
	for (nth = 1; nth < MAX_POINTS; nth++) {
		result = fault_in_child(try_point, call, call->name, nth);
		if (result == FAULT_NO_MORE || result == FAULT_WRONG)
			break;
		/* What is lost is lost each time; what somebody else took is not. */
		again = FAULT_WRONG;
		for (try = 0; try < TRIES && again != FAULT_NO_MORE; try++)
			again = fault_in_child(repeat, call, call->name, nth);
		EXPECT_EQ(again, FAULT_NO_MORE);
	}
	EXPECT_EQ(result, FAULT_NO_MORE);
	EXPECT_TRUE(within_ms(1000, allowance(limit) == limit)) {
		TH_LOG("the user's limit counts watches that do not exist");
	}
}

/* ------------------------------------------------- changes need no memory */

static void change_munmap(char *addr)
{
	munmap(addr, page_size);
}

static void change_mmap(char *addr)
{
	mmap(addr, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void change_dontneed(char *addr)
{
	madvise(addr, page_size, MADV_DONTNEED);
}

static void change_mprotect(char *addr)
{
	mprotect(addr, page_size, PROT_READ);
}

static void change_fork(char *addr)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

struct change {
	void (*change)(char *addr);
	__u32 classes;
};

FIXTURE(change) {
};

FIXTURE_VARIANT(change) {
	void (*change)(char *addr);
	__u32 classes;
};

#define CHANGE(_name, _classes) \
	FIXTURE_VARIANT_ADD(change, _name) { .change = change_##_name, .classes = (_classes) }

CHANGE(munmap, MMU_MONITOR_UNMAPPED);
CHANGE(mmap, MMU_MONITOR_UNMAPPED);
CHANGE(dontneed, MMU_MONITOR_DROPPED);
CHANGE(mprotect, MMU_MONITOR_PROTECTED);
CHANGE(fork, MMU_MONITOR_FORKED);

FIXTURE_SETUP(change)
{
	const char *why = fault_need();

	if (access(MONITOR_PATH, F_OK))
		SKIP(return, "no " MONITOR_PATH);
	if (why)
		SKIP(return, "%s", why);
	sysmm_init();
}

FIXTURE_TEARDOWN(change)
{
}

/* A page with others around it, each of them a mapping of its own */
static char *island(void)
{
	char *addr = mmap(NULL, 3 * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED ||
	    mmap(addr + page_size, page_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return NULL;
	addr[page_size] = 1;
	return addr + page_size;
}

/* How many points there are in the change of a page. If it is watched, it is told of. */
static unsigned int points_of(const void *what, bool watched)
{
	const volatile struct mmu_monitor_area *area;
	const struct change *c = what;
	struct mmu_monitor_event e;
	__u64 word = 0, before = 0;
	char *addr = island();
	unsigned int points;
	int fd = raw_open();

	if (!addr || fd < 0 || raw_eventfd(fd, eventfd(0, EFD_NONBLOCK)) || !fault_open())
		return FAULT_MANY;
	area = raw_area(fd, page_size);
	if (area == MAP_FAILED)
		return FAULT_MANY;
	if (watched && raw_watch(fd, addr, page_size, c->classes, 0, 0, &word))
		return FAULT_MANY;
	if (watched)
		before = raw_load(area, word);
	fault_arm(FAULT_MANY);
	c->change(addr);
	points = fault_passed();
	if (watched && ((before & 1) || raw_load(area, word) == before ||
			raw_read(fd, &e, 1) != 1)) {
		printf("# it is not told of\n");
		return FAULT_MANY;
	}
	return points;
}

TEST_F(change, takes_no_memory)
{
	const struct change change = { variant->change, variant->classes };
	struct fault_cost cost;

	fault_compare(points_of, &change, "change", &cost);
	TH_LOG("%u allocations and copies without a watch, %u with one", cost.without, cost.with);
	EXPECT_LT(cost.without, FAULT_MANY);
	EXPECT_LT(cost.with, FAULT_MANY);
	/* but for the records of kmemleak, whose caches are never the same */
	EXPECT_TRUE(cost.with <= cost.without || memory_is_recorded());
}

TEST_HARNESS_MAIN
