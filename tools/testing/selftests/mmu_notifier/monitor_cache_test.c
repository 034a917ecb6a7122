// SPDX-License-Identifier: GPL-2.0
/*
 * The example of a registration cache (tools/lib/mmu_monitor/example_cache.c): what
 * kills such caches, one by one; then all of it at random, by monitor_cache_stress.
 *
 * The card pins what is registered (mock_nic.h), and what it reads tells whether a
 * registration is of what is mapped. Each case asks for a hit first, for a cache that
 * keeps nothing would pass all of them.
 */
#include "../kselftest_harness.h"

#include <alloca.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "example_cache.h"
#include "mock_nic.h"

#define ROOM	8
#define PAGE	((size_t)sysconf(_SC_PAGESIZE))

FIXTURE(cache) {
	struct mock_nic nic;
	struct excache *cache;
};

static struct excache_counters counters(struct excache *cache)
{
	struct excache_counters c;

	excache_progress(cache, &c);
	return c;
}

/* This page is dropped when it has just been registered. */
static char *drop_next;

static int pin(void *nic, void *start, size_t length, __u64 *key)
{
	int err = mock_nic_pin(nic, start, length, key);

	if (drop_next)
		madvise(drop_next, PAGE, MADV_DONTNEED);
	drop_next = NULL;
	return err;
}

FIXTURE_SETUP(cache)
{
	struct excache_device device = {
		.context = &self->nic,
		.pin = pin,
		.unpin = mock_nic_unpin,
		.forked = mock_nic_forked,
	};
	int err;

	ASSERT_EQ(mock_nic_open(&self->nic, 64, false), 0);
	device.classes = self->nic.classes;
	err = excache_new(&device, ROOM, 0, &self->cache);
	if (err == -ENOENT)
		SKIP(return, "no /dev/mmu_monitor");
	ASSERT_EQ(err, 0);
}

/* Nothing stays pinned. */
FIXTURE_TEARDOWN(cache)
{
	excache_free(self->cache);
	EXPECT_EQ(self->nic.nr_free, self->nic.room);
	mock_nic_close(&self->nic);
}

enum got { FAILED, WRONG, FRESH, HIT };

/* What the CPU writes, the card has to read: is it a hit, and right? */
static enum got use(struct excache *cache, struct mock_nic *nic, void *start, size_t length)
{
	static __u64 stamps;
	__u64 stamp = ++stamps, seen = 0, pins = nic->pins;
	char *last = (char *)start + length - sizeof(stamp);
	struct excache_entry *entry;
	int err;

	memcpy(last, &stamp, sizeof(stamp));
	if (excache_get(cache, start, length, &entry))
		return FAILED;
	err = mock_nic_read(nic, entry->key, last, &seen, sizeof(seen));
	excache_put(cache, entry);
	if (err || seen != stamp)
		return WRONG;
	return nic->pins == pins ? HIT : FRESH;
}

/*
 * After fork(): where pages are not really pinned, registering copies those that are
 * shared with the child or parent, which is a change, so it is not kept.
 */
static enum got use_again(struct excache *cache, struct mock_nic *nic, void *start, size_t length)
{
	enum got got = use(cache, nic, start, length);

	return nic->ring < 0 && got == FRESH ? use(cache, nic, start, length) : got;
}

#define USE(start, length)	use(self->cache, &self->nic, start, length)

static char *map(size_t pages, int flags, int fd)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

#define PRIVATE	(MAP_PRIVATE | MAP_ANONYMOUS)

TEST_F(cache, hits)
{
	char *p = map(8, PRIVATE, -1);
	struct excache_counters c;

	EXPECT_EQ(USE(p, 8 * PAGE), FRESH);
	EXPECT_EQ(USE(p, 8 * PAGE), HIT);
	EXPECT_EQ(USE(p + 100, 9), HIT);
	EXPECT_EQ(USE(p + 3 * PAGE, 2 * PAGE), HIT);
	c = counters(self->cache);
	EXPECT_EQ(c.hits, 3u);
	EXPECT_EQ(c.misses, 1u);
	EXPECT_EQ(c.cached, 1u);
}

TEST_F(cache, arguments)
{
	struct excache_entry *entry;
	char *p = map(1, PRIVATE, -1);

	EXPECT_EQ(excache_get(self->cache, p, 0, &entry), -EINVAL);
	EXPECT_EQ(excache_get(self->cache, p, (size_t)-1, &entry), -EINVAL);
	munmap(p, PAGE);
	EXPECT_EQ(excache_get(self->cache, p, 1, &entry), -EFAULT);
	EXPECT_EQ(counters(self->cache).cached, 0u);
}

/* What was used last stays, and what is in use. */
TEST_F(cache, room)
{
	char *p = map(2 * (ROOM + 2), PRIVATE, -1);
	struct excache_entry *held;
	unsigned int i;

	ASSERT_EQ(excache_get(self->cache, p, PAGE, &held), 0);
	for (i = 1; i < ROOM + 2; i++)
		EXPECT_EQ(USE(p + 2 * i * PAGE, PAGE), FRESH);
	EXPECT_EQ(counters(self->cache).cached, (__u64)ROOM);
	EXPECT_EQ(counters(self->cache).pushed, 2u);
	EXPECT_EQ(self->nic.room - self->nic.nr_free, (unsigned int)ROOM);
	EXPECT_EQ(USE(p, PAGE), HIT);
	EXPECT_EQ(USE(p + 2 * 3 * PAGE, PAGE), HIT);
	EXPECT_EQ(USE(p + 2 * 1 * PAGE, PAGE), FRESH);
	excache_put(self->cache, held);
}

/* An event lets the pages go, though nobody asks for them. */
TEST_F(cache, pages_are_let_go)
{
	char *p = map(4, PRIVATE, -1);
	struct excache_entry *held;

	EXPECT_EQ(USE(p, PAGE), FRESH);
	ASSERT_EQ(excache_get(self->cache, p + 2 * PAGE, PAGE, &held), 0);
	EXPECT_EQ(self->nic.room - self->nic.nr_free, 2u);
	munmap(p, 4 * PAGE);
	EXPECT_EQ(counters(self->cache).told, 2u);
	EXPECT_EQ(counters(self->cache).cached, 0u);
	EXPECT_EQ(self->nic.room - self->nic.nr_free, 1u);
	excache_put(self->cache, held);
	EXPECT_EQ(self->nic.room - self->nic.nr_free, 0u);
}

/* A hit does not depend on events, which nobody reads here. */
TEST_F(cache, the_word_decides)
{
	char *p = map(4, PRIVATE, -1);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		EXPECT_EQ(USE(p, PAGE), FRESH);
		EXPECT_EQ(USE(p, PAGE), HIT);
		ASSERT_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	}
	EXPECT_EQ(counters(self->cache).found, 19u);
	EXPECT_EQ(counters(self->cache).told, 1u);
}

/* Who notes the generation only now, keeps a page that is not there any more. */
TEST_F(cache, changed_while_registering)
{
	char *p = map(4, PRIVATE, -1);

	drop_next = p + 3 * PAGE;
	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	EXPECT_EQ(counters(self->cache).uncached, 1u);
	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	EXPECT_EQ(USE(p, 4 * PAGE), HIT);
}

/* ------------------------------------------------- what kills caches */

TEST_F(cache, munmap_and_mmap)
{
	char *p = map(4, PRIVATE, -1);

	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	EXPECT_EQ(USE(p, 4 * PAGE), HIT);
	munmap(p, 4 * PAGE);
	ASSERT_EQ(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, PRIVATE | MAP_FIXED, -1, 0), p);
	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	EXPECT_EQ(USE(p, 4 * PAGE), HIT);
	ASSERT_EQ(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, PRIVATE | MAP_FIXED, -1, 0), p);
	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
}

TEST_F(cache, mremap)
{
	char *p = map(4, PRIVATE, -1), *q = map(4, PRIVATE, -1);

	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	EXPECT_EQ(USE(q, 4 * PAGE), FRESH);
	ASSERT_EQ(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	EXPECT_EQ(USE(q, 4 * PAGE), FRESH);
	ASSERT_EQ(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, PRIVATE | MAP_FIXED, -1, 0), p);
	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
}

/* The classic one: free() gives it back, and malloc() has it from elsewhere. */
TEST_F_TIMEOUT(cache, free_and_malloc, 200)
{
	unsigned int i, reused = 0;
	char *p, *last = NULL;

	mallopt(M_MMAP_THRESHOLD, 64 << 10);
	for (i = 0; i < 50; i++) {
		p = malloc(200 << 10);
		reused += p == last;
		EXPECT_EQ(USE(p, 200 << 10), FRESH);
		EXPECT_EQ(USE(p, 200 << 10), HIT);
		free(last = p);
	}
	EXPECT_GT(reused, 40u);
	EXPECT_EQ(counters(self->cache).cached, 0u);
}

TEST_F(cache, brk)
{
	char *p = sbrk(0), *at = p + PAGE;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(sbrk(16 * PAGE), p);
		EXPECT_EQ(USE(at, 8 * PAGE), FRESH);
		EXPECT_EQ(USE(at, 8 * PAGE), HIT);
		ASSERT_EQ(sbrk(-16 * (long)PAGE), p + 16 * PAGE);
	}
}

/* Nobody is told by a hook in the C library of what is done by hand. */
TEST_F(cache, dropped)
{
	char *p = map(4, PRIVATE, -1);

	EXPECT_EQ(USE(p, PAGE), FRESH);
	ASSERT_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	EXPECT_EQ(USE(p, PAGE), FRESH);
	EXPECT_EQ(USE(p, PAGE), HIT);
}

/* As dlopen() and dlclose() map a library's data */
TEST_F(cache, library)
{
	int fd = memfd_create("library", 0);
	char *p = NULL, *q;
	unsigned int i;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, 4 * PAGE), 0);
	for (i = 0; i < 10; i++) {
		q = mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | (p ? MAP_FIXED_NOREPLACE : 0), fd, 0);
		ASSERT_NE(q, MAP_FAILED);
		if (p)
			ASSERT_EQ(q, p);
		p = q;
		EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
		EXPECT_EQ(USE(p, 4 * PAGE), HIT);
		munmap(p, 4 * PAGE);
	}
	close(fd);
}

static enum got deeper(struct excache *cache, struct mock_nic *nic, size_t size)
{
	volatile char *p = alloca(size);

	p[size - 1] = 1;
	return use(cache, nic, (char *)p, size);
}

/* What has been used stays as it is, and the same pages are found again. */
TEST_F(cache, stack)
{
	unsigned int i;

	for (i = 1; i < 8; i++)
		EXPECT_EQ(deeper(self->cache, &self->nic, i * 64 * PAGE / 2), FRESH);
	for (i = 1; i < 8; i++)
		EXPECT_EQ(deeper(self->cache, &self->nic, i * 64 * PAGE / 2), HIT);
	EXPECT_EQ(counters(self->cache).told, 0u);
}

struct on_stack {
	struct excache *cache;
	struct mock_nic *nic;
	enum got got;
};

static void *thread(void *arg)
{
	struct on_stack *s = arg;

	s->got = deeper(s->cache, s->nic, 4 * PAGE);
	return NULL;
}

/* The C library keeps some stacks, and gives their pages up or not: all is well. */
TEST_F(cache, stacks_of_threads)
{
	struct on_stack s = { self->cache, &self->nic };
	pthread_attr_t attr;
	pthread_t t;
	unsigned int i;

	pthread_attr_init(&attr);
	for (i = 0; i < 40; i++) {
		pthread_attr_setstacksize(&attr, (128 << 10) << i % 4);
		ASSERT_EQ(pthread_create(&t, &attr, thread, &s), 0);
		pthread_join(t, NULL);
		EXPECT_GE(s.got, FRESH);
	}
}

static int truncate_it(int fd)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(ftruncate(fd, 0) != 0);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status;
}

TEST_F(cache, shared_memory_truncated)
{
	int fd = memfd_create("shared", 0);
	unsigned int i;
	char *p;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, 4 * PAGE), 0);
	p = map(4, MAP_SHARED, fd);
	for (i = 0; i < 10; i++) {
		EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
		EXPECT_EQ(USE(p, 4 * PAGE), HIT);
		ASSERT_EQ(truncate_it(fd), 0);
		ASSERT_EQ(ftruncate(fd, 4 * PAGE), 0);
	}
	close(fd);
}

/* ----------------------------------------------------------------- fork */

static int child(struct excache *cache, struct mock_nic *nic, char *p, struct excache_entry *held)
{
	/* the parent's is not used, and not unpinned */
	excache_put(cache, held);
	if (counters(cache).cached)
		return 1;
	if (use(cache, nic, p, 4 * PAGE) != FRESH)
		return 2;
	use_again(cache, nic, p, 4 * PAGE);
	if (use(cache, nic, p, 4 * PAGE) != HIT)
		return 3;
	if (mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, PRIVATE | MAP_FIXED, -1, 0) != p)
		return 4;
	if (use(cache, nic, p, 4 * PAGE) != FRESH)
		return 5;
	excache_free(cache);
	return nic->nr_free != nic->room;
}

TEST_F(cache, fork)
{
	char *p = map(4, PRIVATE, -1);
	struct excache_entry *held;
	int status;
	pid_t pid;

	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	ASSERT_EQ(excache_get(self->cache, p, 4 * PAGE, &held), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(child(self->cache, &self->nic, p, held));
	/* both have the pages: only what is really pinned is still the parent's */
	EXPECT_EQ(USE(p, 4 * PAGE), self->nic.ring < 0 ? FRESH : HIT);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
	use_again(self->cache, &self->nic, p, 4 * PAGE);
	EXPECT_EQ(USE(p, 4 * PAGE), HIT);
	excache_put(self->cache, held);
}

/* A child that execs has nothing to do with any of this. */
TEST_F(cache, vfork)
{
	char *p = map(4, PRIVATE, -1);
	int status;
	pid_t pid;

	EXPECT_EQ(USE(p, 4 * PAGE), FRESH);
	pid = vfork();
	if (!pid)
		_exit(0);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(USE(p, 4 * PAGE), HIT);
}

/* ------------------------------------------------------- all at random */

static int run_stress(const char *how)
{
	char path[512], *slash;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 32);
	int status;
	pid_t pid;

	if (len <= 0)
		return -1;
	path[len] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, "monitor_cache_stress");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(1, 2);
		execl(path, path, "--seconds", "10", how, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F_TIMEOUT(cache, stress, 250)
{
	EXPECT_EQ(run_stress(NULL), 0);
}

/* Else the other one proves nothing. */
TEST_F_TIMEOUT(cache, stress_unaware, 250)
{
	EXPECT_EQ(run_stress("--unaware"), 1);
}

TEST_HARNESS_MAIN
