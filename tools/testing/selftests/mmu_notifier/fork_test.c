// SPDX-License-Identifier: GPL-2.0
/*
 * Fork and copy on write, with a device that writes to the parent's memory.
 *
 * After fork parent and child share each private page until one of them writes,
 * and the writer gets a copy. A device that went on using the parent's writable
 * SPTE would write to what the child owns, too. So before any entry is copied,
 * and thus before the child can run, the device has dropped its SPTEs.
 *
 * What is compared is values, in both processes. A page holds one value, in its
 * first and its last word. The child knows what was there when it was forked,
 * and is asked by the parent, over pipes, to look or to write.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../../mm/gup_test.h"
#include "mirror_lib.h"
#include "sysmm.h"

#define NR		16
#define WINDOW		64	/* pages */
#define FORKS		60
#define GUP_TEST	"/sys/kernel/debug/gup_test"

/* ------------------------------------------------------------ the child */

/**
 * struct child - a forked process that does as it is told
 * @pid: of the child.
 * @to: the parent writes, the child reads.
 * @from: the other way round.
 */
struct child {
	pid_t pid;
	int to[2];
	int from[2];
};

static size_t last_word(void)
{
	return page_size / sizeof(__u64) - 1;
}

static void put(char *page, __u64 value)
{
	__u64 *word = (__u64 *)page;

	__atomic_store_n(&word[0], value, __ATOMIC_RELAXED);
	__atomic_store_n(&word[last_word()], value, __ATOMIC_RELAXED);
}

static bool holds(const char *page, __u64 value)
{
	const __u64 *word = (const __u64 *)page;

	return __atomic_load_n(&word[0], __ATOMIC_RELAXED) == value &&
	       __atomic_load_n(&word[last_word()], __ATOMIC_RELAXED) == value;
}

/* l: does each page hold what it should? w: write to each; q: leave */
static void child_lives(struct child *c, char *pages, size_t nr, __u64 *want)
{
	char word, answer;
	size_t i;

	while (read(c->to[0], &word, 1) == 1 && word != 'q') {
		answer = 'y';
		for (i = 0; i < nr; i++) {
			if (word == 'w')
				put(pages + i * page_size, want[i] = 0xc000 + i);
			else if (!holds(pages + i * page_size, want[i]))
				answer = 'n';
		}
		if (write(c->from[1], &answer, 1) != 1)
			break;
	}
	_exit(0);
}

/* @want: what the child has to find, page by page. False: no fork. */
static bool child_fork(struct child *c, char *pages, size_t nr, __u64 *want)
{
	if (pipe(c->to) || pipe(c->from))
		return false;
	c->pid = fork();
	if (c->pid < 0)
		return false;
	if (!c->pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(c->pid ? c->to[0] : c->to[1]);
	close(c->pid ? c->from[1] : c->from[0]);
	if (!c->pid)
		child_lives(c, pages, nr, want);
	return true;
}

static char ask(struct child *c, char word)
{
	char answer;

	if (write(c->to[1], &word, 1) != 1 || read(c->from[0], &answer, 1) != 1)
		return '?';
	return answer;
}

static int child_end(struct child *c)
{
	int status = -1;

	close(c->to[1]);
	close(c->from[0]);
	waitpid(c->pid, &status, 0);
	return status;
}

/* ----------------------------------------------------------- the device */

FIXTURE(fork) {
	struct mirror dev;
	char *window;
	char *pages;		/* NR private ones at the start of the window */
	__u64 want[NR];		/* what they hold */
};

FIXTURE_VARIANT(fork) {
	unsigned int personality;
};

FIXTURE_VARIANT_ADD(fork, shadow) {
	.personality = MMU_MIRROR_SHADOW,
};

FIXTURE_VARIANT_ADD(fork, svm) {
	.personality = MMU_MIRROR_SVM,
};

FIXTURE_VARIANT_ADD(fork, sva) {
	.personality = MMU_MIRROR_SVA,
};

FIXTURE_VARIANT_ADD(fork, export) {
	.personality = MMU_MIRROR_EXPORT,
};

FIXTURE_VARIANT_ADD(fork, regcache) {
	.personality = MMU_MIRROR_REGCACHE,
};

static char *map_pages(char *at, size_t nr, int flags)
{
	return mmap(at, nr * page_size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0);
}

FIXTURE_SETUP(fork)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->window = mmap(NULL, WINDOW * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	ASSERT_NE(self->window, MAP_FAILED);
	self->pages = map_pages(self->window, NR, MAP_PRIVATE);
	ASSERT_EQ(self->pages, self->window);
	ASSERT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window,
				    WINDOW * page_size), 0);
}

FIXTURE_TEARDOWN(fork)
{
	mirror_close(&self->dev);
}

static char *page(char *pages, size_t i)
{
	return pages + i * page_size;
}

/* One value, to the first and to the last word */
static int dev_put(struct mirror *dev, char *pages, size_t i, __u64 value, unsigned int flags)
{
	int err = mirror_try_write(dev, page(pages, i), &value, sizeof(value), flags);

	return err ?: mirror_try_write(dev, page(pages, i) + last_word() * sizeof(value), &value,
				       sizeof(value), flags);
}

static bool dev_holds(struct mirror *dev, char *pages, size_t i, __u64 value)
{
	__u64 first, last;

	return !mirror_try_read(dev, page(pages, i), &first, sizeof(first), 0) &&
	       !mirror_try_read(dev, page(pages, i) + last_word() * sizeof(last), &last,
				sizeof(last), 0) &&
	       first == value && last == value;
}

/* The device writes to each page; it has writable SPTEs then. */
static int dev_fill(struct mirror *dev, char *pages, size_t nr, __u64 *want, __u64 value)
{
	int err = 0;
	size_t i;

	for (i = 0; i < nr && !err; i++)
		err = dev_put(dev, pages, i, want[i] = value + i, 0);
	return err;
}

/* How many pages can the device still write to without asking anybody? */
static size_t dev_still_writes(struct mirror *dev, char *pages, size_t nr, const __u64 *want)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += !mirror_try_write(dev, page(pages, i), &want[i], sizeof(want[i]),
				       MMU_MIRROR_NOFAULT);
	return n;
}

static size_t nr_hold(const char *pages, size_t nr, const __u64 *want)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += holds(pages + i * page_size, want[i]);
	return n;
}

static size_t nr_dev_hold(struct mirror *dev, char *pages, size_t nr, const __u64 *want)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += dev_holds(dev, pages, i, want[i]);
	return n;
}

/* Device and CPU see in each page what should be there, and no SPTE is stale. */
static void all_seen(struct __test_metadata *_metadata, struct mirror *dev, char *pages,
		     size_t nr, const __u64 *want)
{
	struct mmu_mirror_check check;

	EXPECT_EQ(nr_hold(pages, nr, want), nr);
	EXPECT_EQ(nr_dev_hold(dev, pages, nr, want), nr);
	EXPECT_EQ(mirror_try_check(dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.stale, 0u);
}

#define EXPECT_SEEN(...)	all_seen(_metadata, &self->dev, __VA_ARGS__)

static __u64 events(struct mirror *dev, enum mirror_event event)
{
	struct mmu_mirror_counters c;

	c = mirror_counters(dev);
	return c.events[event];
}

/* -------------------------------------------------------- copy on write */

/* Who gets the copy is who writes first: here the parent's CPU. */
TEST_F(fork, parent_writes_first)
{
	struct child c;
	size_t i;

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd100), 0);
	ASSERT_TRUE(child_fork(&c, self->pages, NR, self->want));
	EXPECT_EQ(dev_still_writes(&self->dev, self->pages, NR, self->want), 0u);
	/* SPTEs for reading, which the copy must take away again */
	EXPECT_SEEN(self->pages, NR, self->want);

	for (i = 0; i < NR; i++)
		put(page(self->pages, i), self->want[i] = 0xa100 + i);
	EXPECT_SEEN(self->pages, NR, self->want);
	EXPECT_EQ(ask(&c, 'l'), 'y');

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd200), 0);
	EXPECT_SEEN(self->pages, NR, self->want);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(ask(&c, 'w'), 'y');
	EXPECT_SEEN(self->pages, NR, self->want);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(child_end(&c), 0);
	EXPECT_SEEN(self->pages, NR, self->want);
}

/* ... the child: then the parent and its device keep the page. */
TEST_F(fork, child_writes_first)
{
	__u64 pfns[NR];
	struct child c;

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd100), 0);
	/* a new page in some CPU's batch looks as if somebody used it, too */
	lru_drain();
	pages_pfns(self->pages, NR, pfns);
	ASSERT_TRUE(child_fork(&c, self->pages, NR, self->want));
	EXPECT_EQ(dev_still_writes(&self->dev, self->pages, NR, self->want), 0u);
	EXPECT_EQ(ask(&c, 'w'), 'y');
	EXPECT_SEEN(self->pages, NR, self->want);

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd200), 0);
	EXPECT_SEEN(self->pages, NR, self->want);
	EXPECT_EQ(pages_elsewhere(self->pages, NR, pfns), 0u);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(child_end(&c), 0);
	EXPECT_SEEN(self->pages, NR, self->want);
}

/* ... the device. */
TEST_F(fork, device_writes_first)
{
	__u64 pfns[NR];
	struct child c;

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd100), 0);
	pages_pfns(self->pages, NR, pfns);
	ASSERT_TRUE(child_fork(&c, self->pages, NR, self->want));
	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd200), 0);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_SEEN(self->pages, NR, self->want);
	EXPECT_EQ(pages_elsewhere(self->pages, NR, pfns), (size_t)NR);

	/* the child has its own pages now, and the device writes on */
	EXPECT_EQ(ask(&c, 'w'), 'y');
	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd300), 0);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(child_end(&c), 0);
	EXPECT_SEEN(self->pages, NR, self->want);
}

/* The child opens a device of its own: each writes to its own process only. */
TEST_F(fork, a_device_each)
{
	struct mirror own;
	int status;
	__u64 word;
	pid_t pid;
	size_t i;

	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd100), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		/* the parent's is not the child's */
		if (mirror_try_read(&self->dev, self->pages, &word, 8, 0) != -EPERM ||
		    mirror_try_write(&self->dev, self->pages, &word, 8,
				     MMU_MIRROR_NOFAULT) != -EPERM)
			_exit(1);
		if (mirror_try_open(&own) ||
		    mirror_try_attach(&own, variant->personality, self->window,
				      WINDOW * page_size) ||
		    nr_dev_hold(&own, self->pages, NR, self->want) != NR)
			_exit(2);
		for (i = 0; i < NR; i++)
			if (dev_put(&own, self->pages, i, 0xc200 + i, 0))
				_exit(3);
		for (i = 0; i < NR; i++)
			self->want[i] = 0xc200 + i;
		_exit(nr_hold(self->pages, NR, self->want) == NR ? 0 : 4);
	}
	ASSERT_EQ(dev_fill(&self->dev, self->pages, NR, self->want, 0xd100), 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_SEEN(self->pages, NR, self->want);
}

/* ------------------------------------------------- before a page is shared */

#define NR_FEW		4

struct forker {
	bool done;
	int status;
};

static void *fork_once(void *arg)
{
	struct forker *f = arg;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	f->status = -1;
	if (pid > 0)
		waitpid(pid, &f->status, 0);
	__atomic_store_n(&f->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Do several page tables have this page? Fork holds mmap_lock: asked by number. */
static bool shared(int fd, __u64 pfn)
{
	__u64 count = 0;

	return pread(fd, &count, sizeof(count), pfn * sizeof(count)) == sizeof(count) && count > 1;
}

/* Whoever looks may not have a CPU while there is something to be seen. */
#define LOOKS		10

/*
 * A page that is shared with the child already must not be written to through
 * an SPTE that is left. The device's callbacks sleep, so that there is time to
 * see one.
 */
TEST_F_TIMEOUT(fork, told_before_a_page_is_shared, 60)
{
	int fd = open("/proc/kpagecount", O_RDONLY);
	unsigned int looks = 0, late = 0, forks;
	__u64 pfns[NR_FEW], before;
	struct forker forker;
	pthread_t thread;
	size_t i;

	if (variant->personality == MMU_MIRROR_SVA)
		SKIP(return, "a lost permission is told by the end, as with the CPUs' TLBs");
	if (fd < 0)
		SKIP(return, "no /proc/kpagecount");
	for (forks = 0; forks < LOOKS && looks < 2; forks++) {
		ASSERT_EQ(dev_fill(&self->dev, self->pages, NR_FEW, self->want, 0xd100), 0);
		pages_pfns(self->pages, NR_FEW, pfns);
		for (i = 0; i < NR_FEW; i++)
			ASSERT_FALSE(shared(fd, pfns[i]));

		before = events(&self->dev, EV_PROTECTION_PAGE);
		mirror_delay(&self->dev, 300000, 0);
		forker = (struct forker){ };
		ASSERT_EQ(pthread_create(&thread, NULL, fork_once, &forker), 0);
		while (!__atomic_load_n(&forker.done, __ATOMIC_ACQUIRE)) {
			for (i = 0; i < NR_FEW; i++)
				late += shared(fd, pfns[i]) &&
					!mirror_try_write(&self->dev, page(self->pages, i),
							  &self->want[i], sizeof(self->want[i]),
							  MMU_MIRROR_NOFAULT);
			looks++;
		}
		pthread_join(thread, NULL);
		mirror_delay(&self->dev, 0, 0);
		EXPECT_EQ(forker.status, 0);
		EXPECT_GT(events(&self->dev, EV_PROTECTION_PAGE), before);
		EXPECT_SEEN(self->pages, NR_FEW, self->want);
	}
	EXPECT_GT(looks, 1u);
	EXPECT_EQ(late, 0u);
	close(fd);
}

/* ---------------------------------------------------------------- vfork */

#define EXECED		"FORK_TEST_EXECED=1"

/* What becomes of a child that calls exec */
static void __attribute__((constructor)) after_exec(void)
{
	if (getenv("FORK_TEST_EXECED"))
		_exit(0);
}

/* In a function of its own, since the child uses the parent's stack */
static noinline pid_t vfork_and_write(struct mirror *dev, char *pages, bool exec)
{
	static char * const argv[] = { "fork_test", NULL };
	static char * const env[] = { EXECED, NULL };
	pid_t pid = vfork();
	__u64 word;

	if (pid)
		return pid;
	/* the parent's memory, and the parent's device is the child's */
	put(pages, 0xf1);
	if (mirror_try_read(dev, pages, &word, sizeof(word), MMU_MIRROR_NOFAULT) || word != 0xf1)
		_exit(1);
	if (dev_put(dev, pages, 1, 0xf2, MMU_MIRROR_NOFAULT))
		_exit(2);
	if (exec)
		execve("/proc/self/exe", argv, env);
	_exit(exec ? 3 : 0);
}

/* The child has the parent's memory until it leaves: nothing is to be told. */
static void vfork_shares(struct __test_metadata *_metadata, struct mirror *dev, char *pages,
			 __u64 *want, bool exec)
{
	struct mmu_mirror_counters before, after;
	int status;
	pid_t pid;

	ASSERT_EQ(dev_fill(dev, pages, NR, want, 0xd100), 0);
	before = mirror_counters(dev);
	pid = vfork_and_write(dev, pages, exec);
	ASSERT_GT(pid, 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	after = mirror_counters(dev);
	EXPECT_EQ(after.dropped, before.dropped);
	EXPECT_EQ(after.release, 0u);
	EXPECT_EQ(after.events[EV_PROTECTION_PAGE], before.events[EV_PROTECTION_PAGE]);

	want[0] = 0xf1;
	want[1] = 0xf2;
	EXPECT_EQ(dev_still_writes(dev, pages, NR, want), (size_t)NR);
	all_seen(_metadata, dev, pages, NR, want);
}

TEST_F(fork, vfork)
{
	vfork_shares(_metadata, &self->dev, self->pages, self->want, false);
}

TEST_F(fork, vfork_exec)
{
	vfork_shares(_metadata, &self->dev, self->pages, self->want, true);
}

/* --------------------------------------------- what a child does not get */

/* Nothing of these pages is copied: the device keeps its SPTEs. */
TEST_F(fork, dontfork)
{
	char *pages = self->pages;
	int status;
	pid_t pid;

	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd100), 0);
	ASSERT_EQ(madvise(pages, NR / 2 * page_size, MADV_DONTFORK), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		unsigned char vec[NR];
		size_t i;

		/* one half is not there, the other is as it was */
		if (!mincore(pages, page_size, vec) ||
		    !mincore(page(pages, NR / 2 - 1), page_size, vec))
			_exit(1);
		for (i = NR / 2; i < NR; i++)
			if (!holds(page(pages, i), self->want[i]))
				_exit(2);
		sleep_ms(20);
		for (i = NR / 2; i < NR; i++)
			if (!holds(page(pages, i), self->want[i]))
				_exit(3);
		_exit(0);
	}
	EXPECT_EQ(dev_still_writes(&self->dev, pages, NR / 2, self->want), (size_t)NR / 2);
	EXPECT_EQ(dev_still_writes(&self->dev, page(pages, NR / 2), NR / 2, self->want), 0u);
	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd200), 0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	EXPECT_SEEN(pages, NR, self->want);
}

/* The child gets these as zeros, the parent keeps them. */
TEST_F(fork, wipeonfork)
{
	static __u64 in_child[NR];
	char *pages = self->pages;
	struct child c;
	size_t i;

	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd100), 0);
	ASSERT_EQ(madvise(pages, NR / 2 * page_size, MADV_WIPEONFORK), 0);
	for (i = NR / 2; i < NR; i++)
		in_child[i] = self->want[i];
	ASSERT_TRUE(child_fork(&c, pages, NR, in_child));
	EXPECT_EQ(dev_still_writes(&self->dev, pages, NR / 2, self->want), (size_t)NR / 2);
	EXPECT_EQ(dev_still_writes(&self->dev, page(pages, NR / 2), NR / 2, self->want), 0u);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd200), 0);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(ask(&c, 'w'), 'y');
	EXPECT_SEEN(pages, NR, self->want);
	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd300), 0);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(child_end(&c), 0);
	EXPECT_SEEN(pages, NR, self->want);
}

/* Shared memory stays shared, with the device, too. */
TEST_F(fork, shared_memory)
{
	char *pages = map_pages(page(self->window, NR), NR, MAP_SHARED);
	__u64 want[NR];
	__u64 before;
	int status;
	pid_t pid;
	size_t i;

	ASSERT_NE(pages, MAP_FAILED);
	ASSERT_EQ(dev_fill(&self->dev, pages, NR, want, 0xd100), 0);
	before = events(&self->dev, EV_PROTECTION_PAGE);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		for (i = 0; i < 5000 && !holds(page(pages, NR - 1), 0xd200 + NR - 1); i++)
			sleep_ms(1);
		if (nr_hold(pages, NR - 1, want))
			_exit(1);
		put(pages, 0xc1);
		_exit(0);
	}
	EXPECT_EQ(dev_still_writes(&self->dev, pages, NR, want), (size_t)NR);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(dev_put(&self->dev, pages, i, want[i] = 0xd200 + i, MMU_MIRROR_NOFAULT),
			  0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	want[0] = 0xc1;
	EXPECT_SEEN(pages, NR, want);
	/* told of nothing, but for who is told of all the process has */
	if (!mirror_has_ends(variant->personality))
		EXPECT_EQ(events(&self->dev, EV_PROTECTION_PAGE), before);
}

/* --------------------------------------------------------- pinned pages */

/*
 * A page pinned for long, by another device that does DMA, stays the parent's
 * when it forks, and the child gets a copy at once: mm/gup_test.c is that device.
 */
static int pin_pages(char *pages, size_t nr)
{
	struct pin_longterm_test pin = {
		.addr = (uintptr_t)pages,
		.size = nr * page_size,
		.flags = PIN_LONGTERM_TEST_FLAG_USE_WRITE,
	};
	int fd = open(GUP_TEST, O_RDWR);

	if (fd >= 0 && ioctl(fd, PIN_LONGTERM_TEST_START, &pin)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* How many pages hold what they should, as the other device sees it? */
static size_t nr_pinned_hold(int fd, size_t nr, const __u64 *want)
{
	char *copy = calloc(nr, page_size);
	__u64 addr = (uintptr_t)copy;
	size_t n = 0;

	if (copy && !ioctl(fd, PIN_LONGTERM_TEST_READ, &addr))
		n = nr_hold(copy, nr, want);
	free(copy);
	return n;
}

TEST_F(fork, pinned)
{
	char *pages = self->pages;
	__u64 pfns[NR];
	struct child c;
	size_t i;
	int fd;

	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd100), 0);
	fd = pin_pages(pages, NR);
	if (fd < 0)
		SKIP(return, "no " GUP_TEST);
	pages_pfns(pages, NR, pfns);
	ASSERT_TRUE(child_fork(&c, pages, NR, self->want));
	/* told nonetheless: it is up to fork which pages stay writable */
	EXPECT_EQ(dev_still_writes(&self->dev, pages, NR, self->want), 0u);

	ASSERT_EQ(dev_fill(&self->dev, pages, NR / 2, self->want, 0xd200), 0);
	for (i = NR / 2; i < NR; i++)
		put(page(pages, i), self->want[i] = 0xa200 + i);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_SEEN(pages, NR, self->want);
	EXPECT_EQ(pages_elsewhere(pages, NR, pfns), 0u);
	EXPECT_EQ(nr_pinned_hold(fd, NR, self->want), (size_t)NR);

	EXPECT_EQ(ask(&c, 'w'), 'y');
	EXPECT_SEEN(pages, NR, self->want);
	ASSERT_EQ(dev_fill(&self->dev, pages, NR, self->want, 0xd300), 0);
	EXPECT_EQ(nr_pinned_hold(fd, NR, self->want), (size_t)NR);
	EXPECT_EQ(ask(&c, 'l'), 'y');
	EXPECT_EQ(child_end(&c), 0);
	EXPECT_EQ(pages_elsewhere(pages, NR, pfns), 0u);
	close(fd);
}

/* --------------------------------------------------------------- storms */

struct adder {
	char *pages;
	bool stop;
	__u64 count;
};

static void *cpu_adds(void *arg)
{
	struct adder *a = arg;
	__u64 n;

	for (n = 0; !__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE); n++) {
		__atomic_fetch_add((__u64 *)page(a->pages, n * 7 % NR), 1, __ATOMIC_RELAXED);
		if (n % 256 == 255)
			usleep(100);
	}
	a->count = n;
	return NULL;
}

/* What is the child's does not change but by the child. 0, or how it did. */
static int stands_still(char *pages)
{
	__u64 words[NR];
	unsigned int look;
	size_t i;

	for (i = 0; i < NR; i++)
		words[i] = *(__u64 *)page(pages, i);
	for (look = 0; look < 3; look++) {
		usleep(700);
		for (i = 0; i < NR; i++)
			if (__atomic_load_n((__u64 *)page(pages, i), __ATOMIC_ACQUIRE) != words[i])
				return 1;
	}
	/* its own copies, then */
	for (i = 0; i < NR; i++)
		*(__u64 *)page(pages, i) = words[i] = 0xc300 + i;
	for (look = 0; look < 2; look++) {
		usleep(300);
		for (i = 0; i < NR; i++)
			if (__atomic_load_n((__u64 *)page(pages, i), __ATOMIC_ACQUIRE) != words[i])
				return 2;
	}
	return 0;
}

/* Device and CPU add all the time, while the process forks again and again. */
static void storm(struct __test_metadata *_metadata, struct mirror *dev, char *pages,
		  bool threads)
{
	struct mmu_mirror_counters before, after;
	__u64 added, sum = 0, seen = 0, word;
	struct adder adder = { .pages = pages };
	unsigned int round, bad = 0;
	struct forker forker;
	pthread_t thread, other;
	int status;
	pid_t pid;
	size_t i;

	before = mirror_counters(dev);
	mirror_engine_start(dev, MMU_MIRROR_ENGINE_ADD, pages, NR * page_size);
	ASSERT_EQ(pthread_create(&thread, NULL, cpu_adds, &adder), 0);
	for (round = 0; round < FORKS; round++) {
		if (threads)
			ASSERT_EQ(pthread_create(&other, NULL, fork_once, &forker), 0);
		pid = fork();
		if (!pid)
			_exit(stands_still(pages));
		ASSERT_GT(pid, 0);
		if (threads) {
			pthread_join(other, NULL);
			bad += forker.status != 0;
		}
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		bad += status != 0;
	}
	__atomic_store_n(&adder.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	added = mirror_engine_stop(dev);
	EXPECT_EQ(bad, 0u) TH_LOG("children that saw foreign writes");

	after = mirror_counters(dev);
	EXPECT_GT(added, 0u);
	EXPECT_GE(after.dropped - before.dropped, FORKS / 4);
	EXPECT_EQ(after.unbalanced, 0u);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(mirror_try_read(dev, page(pages, i), &word, 8, 0), 0);
		seen += word;
		sum += *(__u64 *)page(pages, i);
	}
	EXPECT_EQ(sum, added + adder.count);
	EXPECT_EQ(seen, added + adder.count);
}

TEST_F_TIMEOUT(fork, storm, 120)
{
	storm(_metadata, &self->dev, self->pages, false);
}

TEST_F_TIMEOUT(fork, storm_of_threads, 120)
{
	storm(_metadata, &self->dev, self->pages, true);
}

TEST_F_TIMEOUT(fork, storm_pinned, 120)
{
	int fd;

	memset(self->pages, 0, NR * page_size);
	fd = pin_pages(self->pages, NR / 2);
	if (fd < 0)
		SKIP(return, "no " GUP_TEST);
	storm(_metadata, &self->dev, self->pages, false);
	close(fd);
}

TEST_HARNESS_MAIN
