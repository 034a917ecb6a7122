// SPDX-License-Identifier: GPL-2.0
/*
 * Registrations: the device caches what is mapped at some addresses under a key,
 * and user space caches keys (reg_cache.h).
 *
 * The three parts:
 *
 *	uapi	what the commands about keys answer
 *	keys	whatever changes a mapping revokes the key of it, and no other,
 *		before it returns
 *	cache	what kills registration caches: the same address, another buffer
 *
 * The window of the device is all of the address space, so that buffers may come
 * from malloc() and brk().
 */
#include "../kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reg_cache.h"
#include "sysmm.h"

#define NR		16
#define EXECED		"REGCACHE_TEST_FD"

static char *map(size_t nr)
{
	return mmap(NULL, nr * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
}

static __u64 *word_of(char *pages, size_t i)
{
	return (__u64 *)(pages + i * page_size);
}

static void fill(char *pages, size_t nr, __u64 value)
{
	size_t i;

	for (i = 0; i < nr; i++)
		*word_of(pages, i) = value + i;
}

/* The window is all that a process can have, which depends on the machine. */
static int attach(struct mirror *dev)
{
	int bits, err = -EOVERFLOW;

	for (bits = 57; bits > 32 && err == -EOVERFLOW; bits--)
		err = mirror_try_attach(dev, MMU_MIRROR_REGCACHE, (void *)page_size,
					(1UL << bits) - 2 * page_size);
	return err;
}

static int issue(struct mirror *dev, unsigned long cmd, void *argument)
{
	return ioctl(dev->fd, cmd, argument) < 0 ? -errno : 0;
}

/* As of the process that has the device: 0 of all kinds, within some seconds */
static bool all_ended(struct mirror *dev)
{
	struct mmu_mirror_keys keys;

	return within_ms(5000, !mirror_try_keys(dev, &keys) &&
			       !keys.valid && !keys.keyless && !keys.ending);
}

/* ------------------------------------------------------------------ uapi */

FIXTURE(uapi) {
	struct mirror dev;
	char *pages;		/* NR, in the middle of the window */
	char *window;		/* 3 NR */
	__u64 key;
};

FIXTURE_SETUP(uapi)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->window = map(3 * NR);
	ASSERT_NE(self->window, MAP_FAILED);
	self->pages = self->window + NR * page_size;
	ASSERT_EQ(mirror_try_attach(&self->dev, MMU_MIRROR_REGCACHE, self->window,
				    3 * NR * page_size), 0);
	fill(self->pages, NR, 0x100);
	ASSERT_EQ(mirror_try_register(&self->dev, self->pages, NR * page_size,
				      MMU_MIRROR_REG_WRITE, &self->key), 0);
}

FIXTURE_TEARDOWN(uapi)
{
	mirror_close(&self->dev);
}

/* Room for any argument, and for a longer one of a later version */
union argument {
	__u32 size;
	struct {
		__u32 size;
		__u32 flags;
	} head;
	struct mmu_mirror_register reg;
	struct mmu_mirror_deregister dereg;
	struct mmu_mirror_key_access access;
	struct mmu_mirror_keys keys;
	unsigned char bytes[256];
};

static const struct command {
	const char *name;
	unsigned long cmd;
	size_t size;
} commands[] = {
	{ "REGISTER", MMU_MIRROR_REGISTER, sizeof(struct mmu_mirror_register) },
	{ "DEREGISTER", MMU_MIRROR_DEREGISTER, sizeof(struct mmu_mirror_deregister) },
	{ "KEY_READ", MMU_MIRROR_KEY_READ, sizeof(struct mmu_mirror_key_access) },
	{ "KEY_WRITE", MMU_MIRROR_KEY_WRITE, sizeof(struct mmu_mirror_key_access) },
	{ "KEYS", MMU_MIRROR_KEYS, sizeof(struct mmu_mirror_keys) },
};

/* An argument to which a command has no objection, the first time */
static void harmless(const struct command *c, union argument *arg, char *pages, __u64 key,
		     __u64 *word)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = c->size;
	switch (c->cmd) {
	case MMU_MIRROR_REGISTER:
		arg->reg.start = (uintptr_t)pages;
		arg->reg.length = page_size;
		break;
	case MMU_MIRROR_DEREGISTER:
		arg->dereg.key = key;
		break;
	case MMU_MIRROR_KEY_READ:
	case MMU_MIRROR_KEY_WRITE:
		arg->access.key = key;
		arg->access.addr = (uintptr_t)pages;
		arg->access.length = sizeof(*word);
		arg->access.buffer = (uintptr_t)word;
		break;
	}
}

TEST_F(uapi, arguments)
{
	const struct command *c;
	union argument arg;
	__u64 word;

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		__u64 key;

		ASSERT_EQ(mirror_try_register(&self->dev, self->pages, page_size,
					      MMU_MIRROR_REG_WRITE, &key), 0);
		harmless(c, &arg, self->pages, key, &word);
		arg.size = 0;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		arg.size = c->size - 1;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		EXPECT_EQ(issue(&self->dev, c->cmd, NULL), -EFAULT) TH_LOG("%s", c->name);
		arg.size = c->size;
		arg.head.flags = 1u << 31;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		arg.head.flags = 0;
		arg.size = sizeof(arg);
		arg.bytes[sizeof(arg) - 1] = 1;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
		arg.size = 1 << 30;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);

		harmless(c, &arg, self->pages, key, &word);
		arg.size = sizeof(arg);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), 0) TH_LOG("%s", c->name);
	}
	EXPECT_EQ(issue(&self->dev, _IO(MMU_MIRROR_IOC, 0xe5), &arg), -ENOTTY);
	EXPECT_EQ(issue(&self->dev, _IOWR(MMU_MIRROR_IOC, 0xe0, int), &arg), -ENOTTY);
}

TEST_F(uapi, wrong_time)
{
	const struct command *c;
	union argument arg;
	__u64 word;

	ASSERT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		harmless(c, &arg, self->pages, self->key, &word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), c->cmd == MMU_MIRROR_KEYS ? 0 : -ENXIO)
			TH_LOG("%s", c->name);
	}
	/* the commands of another personality */
	ASSERT_EQ(mirror_try_attach(&self->dev, MMU_MIRROR_SVM, self->window,
				    3 * NR * page_size), 0);
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		harmless(c, &arg, self->pages, self->key, &word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg),
			  c->cmd == MMU_MIRROR_KEYS ? 0 : -EOPNOTSUPP) TH_LOG("%s", c->name);
	}
	/* what was a key of this file stays known as one */
	ASSERT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	ASSERT_EQ(mirror_try_attach(&self->dev, MMU_MIRROR_REGCACHE, self->window,
				    3 * NR * page_size), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, self->pages, &word, 8, 0),
		  -EKEYREVOKED);
	mirror_close(&self->dev);
	EXPECT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, NULL), -EBADF);
}

TEST_F(uapi, ranges)
{
	char *pages = self->pages;
	struct mmu_mirror_keys before, after;

	ASSERT_EQ(mirror_try_keys(&self->dev, &before), 0);
	EXPECT_EQ(mirror_try_register(&self->dev, pages + 8, page_size, 0, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_register(&self->dev, pages, page_size - 8, 0, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_register(&self->dev, pages, 0, 0, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_register(&self->dev, NULL, 0, 0, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_register(&self->dev, (void *)-page_size, 2 * page_size, 0, NULL),
		  -EOVERFLOW);
	EXPECT_EQ(mirror_try_register(&self->dev, (void *)-page_size, page_size, 0, NULL),
		  -EOVERFLOW);
	EXPECT_EQ(mirror_try_register(&self->dev, pages, -page_size, 0, NULL), -EOVERFLOW);
	EXPECT_EQ(mirror_try_register(&self->dev, self->window - page_size, 2 * page_size, 0,
				      NULL), -EFAULT);
	EXPECT_EQ(mirror_try_register(&self->dev, self->window, (3 * NR + 1) * page_size, 0,
				      NULL), -EFAULT);

	/* all of it must be there, and allow it */
	EXPECT_EQ(munmap(self->window + page_size, page_size), 0);
	EXPECT_EQ(mirror_try_register(&self->dev, self->window, NR * page_size, 0, NULL),
		  -EFAULT);
	EXPECT_EQ(mprotect(self->window + 2 * page_size, page_size, PROT_READ), 0);
	EXPECT_EQ(mirror_try_register(&self->dev, self->window + 2 * page_size, NR * page_size,
				      MMU_MIRROR_REG_WRITE, NULL), -EFAULT);
	EXPECT_EQ(mirror_try_register(&self->dev, self->window + 2 * page_size, NR * page_size,
				      0, NULL), 0);

	/* what failed left nothing behind */
	ASSERT_EQ(mirror_try_keys(&self->dev, &after), 0);
	EXPECT_EQ(after.valid, before.valid + 1);
	EXPECT_EQ(after.keyless, 0u);
}

TEST_F(uapi, access_by_key)
{
	__u64 key, word = 7;
	char *pages = self->pages, *buf = calloc(NR, page_size);
	size_t bytes = NR * page_size;

	ASSERT_NE(buf, NULL);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages + page_size, &word, 8, 0), 0);
	EXPECT_EQ(word, 0x101u);
	EXPECT_EQ(mirror_try_key_write(&self->dev, self->key, pages + bytes - 8, &word, 8,
				       MMU_MIRROR_NOFAULT), 0);
	EXPECT_EQ(*(__u64 *)(pages + bytes - 8), 0x101u);
	memset(buf, 0x5a, bytes);
	EXPECT_EQ(mirror_try_key_write(&self->dev, self->key, pages + 3, buf, bytes - 3, 0), 0);
	EXPECT_EQ(memcmp(pages + 3, buf, bytes - 3), 0);

	/* not one byte beyond, and nothing is moved then */
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages - 1, &word, 8, 0), -EACCES);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages + bytes - 7, &word, 8, 0),
		  -EACCES);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, buf, bytes + 1, 0), -EACCES);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, (void *)-8UL, buf, 16, 0), -EACCES);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, buf, -8UL, 0), -EACCES);
	memset(buf, 0, bytes);
	EXPECT_EQ(mirror_try_key_write(&self->dev, self->key, pages + 8, buf, bytes, 0), -EACCES);
	EXPECT_EQ(pages[8], 0x5a);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, NULL, 8, 0), -EFAULT);

	/* for reading only */
	ASSERT_EQ(mirror_try_register(&self->dev, pages, page_size, 0, &key), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, pages, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_key_write(&self->dev, key, pages, &word, 8, 0), -EACCES);

	/* of no length: is the key good? */
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, pages, NULL, 0, 0), 0);
	EXPECT_EQ(mirror_try_deregister(&self->dev, key), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, pages, NULL, 0, 0), -EKEYREVOKED);
	free(buf);
}

TEST_F(uapi, keys_that_are_none)
{
	static const __u64 none[] = { 0, 1, 0xffff, 1ULL << 40, 1ULL << 63, -1ULL };
	__u64 word, next = self->key + (1 << 16);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(mirror_try_key_read(&self->dev, none[i], self->pages, &word, 8, 0),
			  -ENOKEY);
		EXPECT_EQ(mirror_try_deregister(&self->dev, none[i]), -ENOKEY);
	}
	EXPECT_EQ(mirror_try_key_read(&self->dev, next, self->pages, &word, 8, 0), -ENOKEY);

	/* one that the device made for itself is nobody else's */
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
	for (i = 0; i < 4; i++) {
		EXPECT_NE(mirror_try_key_read(&self->dev, next + i, self->window, &word, 8, 0), 0);
		EXPECT_NE(mirror_try_deregister(&self->dev, next + i), 0);
	}
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, MMU_MIRROR_NOFAULT), 0);
}

/* A key is used once, and for one registration. */
TEST_F(uapi, keys_do_not_come_back)
{
	enum { ROUNDS = 400 };
	static __u64 keys[ROUNDS];
	unsigned int i, j, same = 0, alive = 0;
	__u64 word;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, &keys[i]), 0);
		ASSERT_EQ(i % 2 ? mirror_try_deregister(&self->dev, keys[i]) :
				  madvise(self->pages, page_size, MADV_DONTNEED), 0);
	}
	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < i; j++)
			same += keys[i] == keys[j];
		alive += mirror_try_key_read(&self->dev, keys[i], self->pages, &word, 8, 0) !=
			 -EKEYREVOKED;
		EXPECT_EQ(mirror_try_deregister(&self->dev, keys[i]), -EKEYREVOKED);
	}
	EXPECT_EQ(same, 0u);
	EXPECT_EQ(alive, 0u);
}

TEST_F_TIMEOUT(uapi, bounded, 90)
{
	struct mmu_mirror_keys keys;
	__u64 i, key = 0, word;
	int err;

	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_EQ(keys.valid, 1u);
	EXPECT_EQ(keys.limit, 16384u);
	for (i = 1; i < keys.limit; i++) {
		err = mirror_try_register(&self->dev, self->pages + i % NR * page_size, page_size,
					  0, &key);
		if (err)
			break;
	}
	EXPECT_EQ(i, keys.limit);
	EXPECT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, NULL), -ENOSPC);
	/* by address, the device would have to make one, too */
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), -ENOSPC);
	EXPECT_EQ(mirror_try_read(&self->dev, self->pages, &word, 8, 0), 0);

	/* room for one is room for one, at once */
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(mirror_try_deregister(&self->dev, key), 0);
		EXPECT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, &key), 0);
	}
	EXPECT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, NULL), -ENOSPC);
	EXPECT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_EQ(keys.valid, keys.limit);

	/* one change takes all of them */
	EXPECT_EQ(madvise(self->pages, NR * page_size, MADV_DONTNEED), 0);
	EXPECT_TRUE(all_ended(&self->dev));
	EXPECT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0, &key), 0);
}

TEST_F(uapi, other_process)
{
	const struct command *c;
	union argument arg;
	int status, err;
	__u64 word;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
			harmless(c, &arg, self->pages, self->key, &word);
			err = issue(&self->dev, c->cmd, &arg);
			if (err != (c->cmd == MMU_MIRROR_KEYS ? 0 : -EPERM))
				_exit(c - commands + 1);
		}
		_exit(0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

TEST_F(uapi, process_is_gone)
{
	const struct command *c;
	union argument arg;
	int status;
	__u64 word;
	pid_t pid;

	ASSERT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(mirror_try_attach(&self->dev, MMU_MIRROR_REGCACHE, self->window,
					3 * NR * page_size) ||
		      mirror_try_register(&self->dev, self->pages, NR * page_size, 0, &word));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	EXPECT_TRUE(all_ended(&self->dev));
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		harmless(c, &arg, self->pages, self->key, &word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg),
			  c->cmd == MMU_MIRROR_KEYS ? 0 : -ESHUTDOWN) TH_LOG("%s", c->name);
	}
}

/* Every point that can fail fails once, and nothing is left behind by it. */
TEST_F(uapi, fail_points)
{
	struct mmu_mirror_inject inject = { };
	struct mmu_mirror_keys keys;
	unsigned int n;
	int err = 0;
	__u64 key;

	ASSERT_EQ(mirror_try_deregister(&self->dev, self->key), 0);
	for (n = 1; n < 1000; n++) {
		inject.fail_point = n;
		ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
		err = mirror_try_register(&self->dev, self->pages, NR * page_size, 0, &key);
		if (!err)
			break;
		EXPECT_EQ(err, -ENOMEM);
		ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
		EXPECT_EQ(keys.valid + keys.keyless, 0u);
	}
	EXPECT_EQ(err, 0);
	/* the registration, its place, and for each page a reservation and a fault */
	EXPECT_EQ(n, 3 + 2 * NR);
	inject.fail_point = 0;
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	EXPECT_EQ(mirror_try_deregister(&self->dev, key), 0);
	EXPECT_TRUE(all_ended(&self->dev));
}

/* Moving the window revokes all keys. */
TEST_F(uapi, window)
{
	__u64 word, key;

	EXPECT_EQ(mirror_try_window(&self->dev, self->pages, NR * page_size), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, self->pages, &word, 8, 0),
		  -EKEYREVOKED);
	EXPECT_TRUE(all_ended(&self->dev));
	EXPECT_EQ(mirror_try_register(&self->dev, self->pages, NR * page_size, 0, &key), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, self->pages, &word, 8, 0), 0);
	EXPECT_EQ(word, 0x100u);
}

/* A registration of pages that another one has, too, and that one goes. */
TEST_F(uapi, overlap)
{
	struct mmu_mirror_check check;
	__u64 half, all, word;
	char *pages = self->pages;

	ASSERT_EQ(mirror_try_register(&self->dev, pages, NR / 2 * page_size, 0, &half), 0);
	ASSERT_EQ(mirror_try_register(&self->dev, self->window, 2 * NR * page_size, 0, &all), 0);
	EXPECT_EQ(mirror_try_deregister(&self->dev, half), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, &word, 8, 0), 0);
	EXPECT_EQ(word, 0x100u);
	EXPECT_EQ(mirror_try_key_read(&self->dev, half, pages, &word, 8, 0), -EKEYREVOKED);

	/* outside of the first, inside of the other */
	EXPECT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, all, pages, &word, 8, 0), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, &word, 8, 0), 0);
	/* every SPTE that is left has a subscription: it goes with the mapping */
	EXPECT_EQ(munmap(pages, NR * page_size), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, self->key, pages, &word, 8, 0), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.mapped, 0u);
	EXPECT_EQ(check.stale, 0u);
}

static void *discards(void *arg)
{
	madvise(arg, page_size, MADV_DONTNEED);
	return NULL;
}

/* Who gives a key back does not wait for a callback that sleeps; its memory does. */
TEST_F(uapi, deregister_does_not_wait)
{
	enum { MANY = 100, DELAY_US = 2000000 };
	struct mmu_mirror_keys keys;
	__u64 many[MANY], took, before;
	unsigned int i, try;
	pthread_t thread;

	/* again, as the machine may have stood still */
	for (try = 0, took = DELAY_US; try < 3 && took >= DELAY_US / 2; try++) {
		for (i = 0; i < MANY; i++)
			ASSERT_EQ(mirror_try_register(&self->dev, self->pages, page_size, 0,
						      &many[i]), 0);
		before = mirror_counters(&self->dev).start;
		mirror_delay(&self->dev, DELAY_US, 0);
		ASSERT_EQ(pthread_create(&thread, NULL, discards, self->pages), 0);
		EXPECT_TRUE(within_ms(5000, mirror_counters(&self->dev).start != before));
		/* the others shall not sleep as well */
		mirror_delay(&self->dev, 0, 0);
		took = now_us();
		for (i = 0; i < MANY; i++)
			EXPECT_EQ(mirror_try_deregister(&self->dev, many[i]), 0);
		ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
		took = now_us() - took;
		pthread_join(thread, NULL);
		EXPECT_TRUE(all_ended(&self->dev));
	}
	EXPECT_LT(took, DELAY_US / 2u);
	EXPECT_GE(keys.ending, MANY);
}

struct attacher {
	struct mirror *dev;
	char *pages;
	bool stop;
	unsigned int good, bad;
};

static void *registers(void *arg)
{
	struct attacher *a = arg;
	__u64 key, word;
	int err;

	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		err = mirror_try_register(a->dev, a->pages, NR * page_size, 0, &key);
		if (!err)
			err = mirror_try_key_read(a->dev, key, a->pages, &word, 8, 0);
		if (!err)
			a->good++;
		else if (err != -ENXIO && err != -EKEYREVOKED)
			a->bad++;
	}
	return NULL;
}

/* The device is detached, and attached again, in the middle of registrations. */
TEST_F(uapi, detach_meanwhile)
{
	struct attacher a = { .dev = &self->dev, .pages = self->pages };
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(pthread_create(&thread, NULL, registers, &a), 0);
	for (i = 0; i < 200; i++) {
		EXPECT_EQ(mirror_try_detach(&self->dev, NULL), 0);
		EXPECT_EQ(mirror_try_attach(&self->dev, MMU_MIRROR_REGCACHE, self->window,
					    3 * NR * page_size), 0);
		usleep(i * 20);
	}
	/* Each may have been detached in time, where a registration takes long. */
	EXPECT_TRUE(within_ms(10000, __atomic_load_n(&a.good, __ATOMIC_RELAXED)));
	__atomic_store_n(&a.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(a.bad, 0u);
}

/*
 * Pages are discarded while their buffer is being registered, again and again: a
 * page that was looked up before is not used after.
 */
TEST_F_TIMEOUT(uapi, discard_meanwhile, 90)
{
	struct attacher a = { .dev = &self->dev, .pages = self->pages };
	struct mmu_mirror_counters c;
	struct mmu_mirror_check check;
	unsigned int round, stale = 0;
	pthread_t thread;
	__u64 word;

	ASSERT_EQ(mirror_try_deregister(&self->dev, self->key), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, registers, &a), 0);
	for (round = 0; round < 8000; round++) {
		*word_of(self->pages, round % NR) = 0x7000 + round;
		ASSERT_EQ(madvise(word_of(self->pages, round % NR), page_size, MADV_DONTNEED), 0);
		stale += !mirror_try_read(&self->dev, word_of(self->pages, round % NR), &word, 8,
					  MMU_MIRROR_NOFAULT) && word;
		if (round % 16)
			continue;
		ASSERT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
		stale += check.stale;
	}
	__atomic_store_n(&a.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	EXPECT_EQ(stale, 0u);
	EXPECT_EQ(a.bad, 0u);
	c = mirror_counters(&self->dev);
	EXPECT_EQ(c.unbalanced, 0u);
}

struct hole {
	char *at;
	unsigned int us;
};

static void *punches(void *arg)
{
	struct hole *hole = arg;

	usleep(hole->us);
	munmap(hole->at, page_size);
	return NULL;
}

/*
 * A page is unmapped while its buffer is being registered, and the hole filled,
 * of which nobody is told: the key is not for what was not there.
 */
TEST_F(uapi, unmap_meanwhile)
{
	char *middle = self->pages + NR / 2 * page_size;
	unsigned int round, good = 0, bad = 0;
	struct hole hole = { .at = middle };
	__u64 key, word, began, step;
	pthread_t thread;
	int err;

	/* the hole comes during a registration, here too, however long that takes */
	began = now_us();
	ASSERT_EQ(mirror_try_register(&self->dev, self->pages, NR * page_size, 0, &key), 0);
	step = (now_us() - began) / 25;
	ASSERT_EQ(mirror_try_deregister(&self->dev, key), 0);
	step = step < 10 ? 10 : step > 200 ? 200 : step;
	for (round = 0; round < 600; round++) {
		hole.us = round % 100 * step;
		ASSERT_EQ(pthread_create(&thread, NULL, punches, &hole), 0);
		do {
			err = mirror_try_register(&self->dev, self->pages, NR * page_size, 0, &key);
			good += !err;
		} while (!err && !mirror_try_key_read(&self->dev, key, middle, &word, 8, 0));
		pthread_join(thread, NULL);
		ASSERT_EQ(mmap(middle, page_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), middle);
		if (!err)
			bad += mirror_try_key_read(&self->dev, key, middle, &word, 8, 0) !=
			       -EKEYREVOKED;
		else
			bad += err != -EFAULT;
	}
	EXPECT_GT(good, 0u);
	EXPECT_EQ(bad, 0u);
}

/* An open file keeps the module, where it is one. */
TEST_F(uapi, module_in_use)
{
	int err;

	if (access("/sys/module/mmu_mirror/refcnt", F_OK))
		SKIP(return, "mmu_mirror is built in");
	err = syscall(SYS_delete_module, "mmu_mirror", O_NONBLOCK) ? -errno : 0;
	EXPECT_EQ(err, -EWOULDBLOCK);
}

/* ------------------------------------------------------------------ keys */

FIXTURE(keys) {
	struct mirror dev;
	int fd;
	char *pages;	/* NR, private, or of a file */
};

/* A change of the middle of the pages */
FIXTURE_VARIANT(keys) {
	int (*act)(char *pages, int fd);
	bool file;	/* which is shared, and changed by its descriptor */
	bool gone;	/* there is nothing left to register */
};

#define MIDDLE(pages)	((pages) + 4 * page_size)
#define BYTES		(2 * page_size)

static int act_munmap(char *pages, int fd)
{
	return munmap(MIDDLE(pages), BYTES);
}

static int act_mmap_over(char *pages, int fd)
{
	return mmap(MIDDLE(pages), BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED;
}

static int act_mremap(char *pages, int fd)
{
	return mremap(MIDDLE(pages), BYTES, 2 * BYTES, MREMAP_MAYMOVE) == MAP_FAILED;
}

static int act_mprotect(char *pages, int fd)
{
	return mprotect(MIDDLE(pages), BYTES, PROT_NONE);
}

static int act_dontneed(char *pages, int fd)
{
	return madvise(MIDDLE(pages), BYTES, MADV_DONTNEED);
}

static int act_free(char *pages, int fd)
{
	return madvise(MIDDLE(pages), BYTES, MADV_FREE);
}

static int act_pageout(char *pages, int fd)
{
	return need_swap() || evict(MIDDLE(pages), BYTES / page_size) != BYTES / page_size;
}

static int act_move(char *pages, int fd)
{
	return need_nodes() || pages_move(0, MIDDLE(pages), BYTES / page_size,
					  !page_node(MIDDLE(pages))) < 1;
}

static int act_fork(char *pages, int fd)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return waitpid(pid, NULL, 0) != pid;
}

static int act_truncate(char *pages, int fd)
{
	return ftruncate(fd, 4 * page_size);
}

/* By another process, which has the file and not the memory */
static int act_truncate_afar(char *pages, int fd)
{
	int status;
	pid_t pid;

	/* lest the fork does it */
	pid = vfork();
	if (!pid)
		_exit(ftruncate(fd, 4 * page_size));
	return waitpid(pid, &status, 0) != pid || status;
}

static int act_punch(char *pages, int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * page_size, BYTES);
}

#define CHANGE(how, is_file, is_gone) .act = how, .file = is_file, .gone = is_gone

FIXTURE_VARIANT_ADD(keys, munmap) {
	CHANGE(act_munmap, false, true),
};

FIXTURE_VARIANT_ADD(keys, mmap_over) {
	CHANGE(act_mmap_over, false, false),
};

FIXTURE_VARIANT_ADD(keys, mremap) {
	CHANGE(act_mremap, false, true),
};

FIXTURE_VARIANT_ADD(keys, mprotect) {
	CHANGE(act_mprotect, false, true),
};

FIXTURE_VARIANT_ADD(keys, dontneed) {
	CHANGE(act_dontneed, false, false),
};

FIXTURE_VARIANT_ADD(keys, free) {
	CHANGE(act_free, false, false),
};

FIXTURE_VARIANT_ADD(keys, pageout) {
	CHANGE(act_pageout, false, false),
};

FIXTURE_VARIANT_ADD(keys, move) {
	CHANGE(act_move, false, false),
};

FIXTURE_VARIANT_ADD(keys, fork) {
	CHANGE(act_fork, false, false),
};

FIXTURE_VARIANT_ADD(keys, truncate) {
	CHANGE(act_truncate, true, true),
};

FIXTURE_VARIANT_ADD(keys, truncate_afar) {
	CHANGE(act_truncate_afar, true, true),
};

FIXTURE_VARIANT_ADD(keys, punch) {
	CHANGE(act_punch, true, false),
};

FIXTURE_SETUP(keys)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->fd = memfd_create("keys", MFD_CLOEXEC);
	ASSERT_GE(self->fd, 0);
	ASSERT_EQ(ftruncate(self->fd, NR * page_size), 0);
	self->pages = variant->file ? mmap(NULL, NR * page_size, PROT_READ | PROT_WRITE,
					   MAP_SHARED, self->fd, 0) : map(NR);
	ASSERT_NE(self->pages, MAP_FAILED);
	fill(self->pages, NR, 0x200);
	ASSERT_EQ(attach(&self->dev), 0);
}

FIXTURE_TEARDOWN(keys)
{
	mirror_close(&self->dev);
}

/* The key is no good as soon as the change is made; that of other pages is. */
TEST_F(keys, revoked)
{
	struct mmu_mirror_keys before, after;
	struct mmu_mirror_check check;
	char *pages = self->pages;
	__u64 key, other, word;
	bool all;
	int err;

	ASSERT_EQ(mirror_try_register(&self->dev, MIDDLE(pages), BYTES, MMU_MIRROR_REG_WRITE,
				      &key), 0);
	ASSERT_EQ(mirror_try_register(&self->dev, pages, 2 * page_size, MMU_MIRROR_REG_WRITE,
				      &other), 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, MIDDLE(pages), &word, 8, 0), 0);
	EXPECT_EQ(word, 0x204u);
	ASSERT_EQ(mirror_try_keys(&self->dev, &before), 0);
	ASSERT_EQ(variant->act(pages, self->fd), 0);

	EXPECT_EQ(mirror_try_key_read(&self->dev, key, MIDDLE(pages), &word, 8, 0), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_key_write(&self->dev, key, MIDDLE(pages) + page_size, &word, 8,
				       MMU_MIRROR_NOFAULT), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_read(&self->dev, MIDDLE(pages), &word, 8, MMU_MIRROR_NOFAULT),
		  -EFAULT);
	ASSERT_EQ(mirror_try_keys(&self->dev, &after), 0);
	/* fork is about all private memory */
	all = variant->act == act_fork;
	EXPECT_EQ(after.revoked, before.revoked + 1 + all);
	EXPECT_EQ(mirror_try_key_read(&self->dev, other, pages, &word, 8, 0),
		  all ? -EKEYREVOKED : 0);

	/* what is there now can be registered, and the old key is none the better */
	err = mirror_try_register(&self->dev, MIDDLE(pages), BYTES, 0, &word);
	EXPECT_EQ(err, variant->gone ? -EFAULT : 0);
	EXPECT_EQ(mirror_try_key_read(&self->dev, key, MIDDLE(pages), &word, 8, 0), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_deregister(&self->dev, key), -EKEYREVOKED);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.stale, 0u);
}

/* ----------------------------------------------------------------- cache */

FIXTURE(cache) {
	struct mirror dev;
	struct reg_cache *cache;
};

#define MAX	64

FIXTURE_SETUP(cache)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	ASSERT_EQ(attach(&self->dev), 0);
	self->cache = reg_cache_new(&self->dev, page_size, MAX);
	ASSERT_NE(self->cache, NULL);
}

FIXTURE_TEARDOWN(cache)
{
	if (self->cache)
		reg_cache_free(self->cache);
	mirror_close(&self->dev);
}

/* The device sees in each page of a buffer what the CPU put there, and back. */
static unsigned int wrong(struct reg_cache *cache, char *buf, size_t nr)
{
	static __u64 generation;
	unsigned int n = 0;
	__u64 word, first;
	size_t i;

	generation += 0x10000;
	for (i = 0; i < nr; i++) {
		first = *word_of(buf, i);
		n += reg_cache_read(cache, word_of(buf, i), &word, 8) || word != first;
		word = generation + i;
		n += reg_cache_write(cache, word_of(buf, i), &word, 8) || *word_of(buf, i) != word;
		*word_of(buf, i) = ++word;
		n += reg_cache_read(cache, word_of(buf, i), &first, 8) || first != word;
	}
	return n;
}

/* Whole buffers at a time: one registration each */
static bool same(struct reg_cache *cache, const char *buf, size_t bytes)
{
	static char copy[1 << 20];

	return !reg_cache_read(cache, buf, copy, bytes) && !memcmp(copy, buf, bytes);
}

TEST_F(cache, hits_and_misses)
{
	struct reg_cache_stats stats;
	char *pages = map(NR);
	struct reg *a, *b, *c;

	ASSERT_NE(pages, MAP_FAILED);
	fill(pages, NR, 1);
	ASSERT_EQ(reg_cache_get(self->cache, pages + 5, 3 * page_size, false, &a), 0);
	EXPECT_EQ(a->start, pages);
	EXPECT_EQ(a->length, 4 * page_size);
	/* shorter, and while it is in use: a hit; longer, or to write to: not */
	ASSERT_EQ(reg_cache_get(self->cache, pages, 1, false, &b), 0);
	EXPECT_EQ(a, b);
	ASSERT_EQ(reg_cache_get(self->cache, pages, 5 * page_size, false, &c), 0);
	EXPECT_NE(a, c);
	reg_cache_put(self->cache, c);
	ASSERT_EQ(reg_cache_get(self->cache, pages, 1, true, &c), 0);
	EXPECT_NE(a, c);
	reg_cache_put(self->cache, a);
	reg_cache_put(self->cache, b);
	reg_cache_put(self->cache, c);
	ASSERT_EQ(reg_cache_get(self->cache, pages, 5, true, &a), 0);
	EXPECT_EQ(a, c);
	reg_cache_put(self->cache, a);
	reg_cache_stats(self->cache, &stats);
	EXPECT_EQ(stats.hits, 2u);
	EXPECT_EQ(stats.misses, 3u);
	EXPECT_EQ(stats.kept, 3u);

	EXPECT_EQ(reg_cache_get(self->cache, pages, 0, false, &a), -EINVAL);
	EXPECT_EQ(reg_cache_get(self->cache, (void *)-8UL, 16, false, &a), -EINVAL);
	EXPECT_EQ(reg_cache_get(self->cache, pages, 1UL << 60, false, &a), -EOVERFLOW);
	EXPECT_EQ(munmap(pages, NR * page_size), 0);
	EXPECT_EQ(reg_cache_get(self->cache, pages + 6 * page_size, 1, false, &a), -EFAULT);
}

TEST_F(cache, bounded)
{
	struct reg_cache_stats stats;
	struct mmu_mirror_keys keys;
	char *pages = map(4 * MAX);
	struct reg *reg[2 * MAX];
	__u64 word;
	size_t i;

	ASSERT_NE(pages, MAP_FAILED);
	fill(pages, 4 * MAX, 1);
	for (i = 0; i < 4 * MAX; i++)
		EXPECT_EQ(reg_cache_read(self->cache, word_of(pages, i), &word, 8), 0);
	reg_cache_stats(self->cache, &stats);
	EXPECT_EQ(stats.kept, MAX);
	EXPECT_EQ(stats.evicted, 3 * MAX);
	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_LE(keys.valid, MAX + 1);

	/* the last are kept, the first are gone */
	EXPECT_EQ(reg_cache_read(self->cache, word_of(pages, 4 * MAX - 1), &word, 8), 0);
	EXPECT_EQ(reg_cache_read(self->cache, word_of(pages, 3 * MAX), &word, 8), 0);
	reg_cache_stats(self->cache, &stats);
	EXPECT_EQ(stats.hits, 2u);
	EXPECT_EQ(reg_cache_read(self->cache, word_of(pages, 0), &word, 8), 0);
	reg_cache_stats(self->cache, &stats);
	EXPECT_EQ(stats.hits, 2u);

	/* what is in use is not given up */
	for (i = 0; i < 2 * MAX; i++)
		ASSERT_EQ(reg_cache_get(self->cache, word_of(pages, i), 8, false, &reg[i]), 0);
	for (i = 0; i < 2 * MAX; i++) {
		EXPECT_EQ(mirror_try_key_read(&self->dev, reg[i]->key, word_of(pages, i), &word, 8,
					      0), 0);
		EXPECT_EQ(word, i + 1);
		reg_cache_put(self->cache, reg[i]);
	}
}

/* More than the device can keep */
TEST_F_TIMEOUT(cache, device_is_full, 90)
{
	struct reg_cache *large = reg_cache_new(&self->dev, page_size, 1 << 20);
	struct mmu_mirror_keys keys;
	struct reg_cache_stats stats;
	unsigned int i, bad = 0;
	char *pages = map(20000);
	__u64 word;

	ASSERT_NE(pages, MAP_FAILED);
	ASSERT_NE(large, NULL);
	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	for (i = 0; i < keys.limit + 500; i++)
		bad += reg_cache_read(large, word_of(pages, i), &word, 8) != 0;
	EXPECT_EQ(bad, 0u);
	reg_cache_stats(large, &stats);
	EXPECT_EQ(stats.kept, keys.limit);
	EXPECT_EQ(stats.evicted, 500u);
	reg_cache_free(large);
}

TEST_F_TIMEOUT(cache, ten_thousand, 90)
{
	enum { MANY = 10000 };
	struct reg_cache *large = reg_cache_new(&self->dev, page_size, MANY);
	struct mmu_mirror_keys keys;
	unsigned int i, bad = 0;
	__u64 word, began, made, read;
	char *pages = map(MANY);
	struct reg *reg;

	ASSERT_NE(pages, MAP_FAILED);
	ASSERT_NE(large, NULL);
	fill(pages, MANY, 1);
	began = now_us();
	for (i = 0; i < MANY; i++) {
		ASSERT_EQ(reg_cache_get(large, word_of(pages, i), 8, true, &reg), 0);
		reg_cache_put(large, reg);
	}
	made = now_us() - began;
	began = now_us();
	for (i = 0; i < MANY; i++)
		bad += reg_cache_read(large, word_of(pages, i), &word, 8) || word != i + 1;
	read = now_us() - began;
	EXPECT_EQ(bad, 0u);
	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_EQ(keys.valid, MANY);

	/* every third page; then all are right, and the others by the old keys */
	for (i = 0; i < MANY; i += 3)
		ASSERT_EQ(madvise(word_of(pages, i), page_size, MADV_DONTNEED), 0);
	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_EQ(keys.valid, MANY - (MANY + 2) / 3);
	EXPECT_EQ(keys.revoked, (MANY + 2) / 3);
	for (i = 0; i < MANY; i++)
		bad += reg_cache_read(large, word_of(pages, i), &word, 8) ||
		       word != (i % 3 ? i + 1 : 0);
	EXPECT_EQ(bad, 0u);

	began = now_us();
	ASSERT_EQ(munmap(pages, MANY * page_size), 0);
	TH_LOG("%d registrations: %llu us to make, %llu us to read by, %llu us to unmap", MANY,
	       made, read, now_us() - began);
	ASSERT_EQ(mirror_try_keys(&self->dev, &keys), 0);
	EXPECT_EQ(keys.valid, 0u);
	reg_cache_free(large);
	EXPECT_TRUE(all_ended(&self->dev));
}

/* ------------------------------------------- the same address, another buffer */

TEST_F(cache, malloc_again)
{
	struct reg_cache_stats stats;
	const size_t bytes = 512 * 1024;
	unsigned int round, again = 0, bad = 0;
	char *was = NULL, *buf;

	/* large ones have a mapping of their own, and always the same place */
	mallopt(M_MMAP_THRESHOLD, bytes / 2);
	for (round = 0; round < 20; round++) {
		buf = malloc(bytes);
		ASSERT_NE(buf, NULL);
		again += buf == was;
		memset(buf, 'a' + round, bytes);
		bad += !same(self->cache, buf, bytes);
		bad += reg_cache_write(self->cache, buf, "device", 7) || strcmp(buf, "device");
		was = buf;
		free(buf);
	}
	EXPECT_EQ(bad, 0u);
	EXPECT_GT(again, 10u);
	reg_cache_stats(self->cache, &stats);
	EXPECT_GT(stats.refused, 10u);
}

TEST_F(cache, brk_down_and_up)
{
	const size_t nr = 16;
	unsigned int round, bad = 0;
	char *top, *buf;
	__u64 word;

	/* malloc() has enough, and does not go on where this test does */
	mallopt(M_TRIM_THRESHOLD, 1 << 26);
	mallopt(M_MMAP_THRESHOLD, 1 << 25);
	free(malloc(1 << 22));
	top = sbrk(0);
	top += -(uintptr_t)top & (page_size - 1);
	for (round = 0; round < 20; round++) {
		ASSERT_EQ(brk(top + nr * page_size), 0);
		buf = top;
		bad += *word_of(buf, nr - 1) != 0;
		memset(buf, 'a' + round, nr * page_size);
		bad += !same(self->cache, buf, nr * page_size);
		bad += wrong(self->cache, buf, nr);
		ASSERT_EQ(brk(top), 0);
		bad += reg_cache_read(self->cache, buf, &word, 8) != -EFAULT;
	}
	EXPECT_EQ(bad, 0u);
}

TEST_F(cache, mmap_over)
{
	char *pages = map(NR);
	unsigned int round, bad = 0;

	ASSERT_NE(pages, MAP_FAILED);
	for (round = 0; round < 20; round++) {
		fill(pages, NR, round << 8);
		bad += !same(self->cache, pages, NR * page_size);
		bad += wrong(self->cache, pages, NR);
		ASSERT_EQ(mmap(pages, NR * page_size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), pages);
		bad += !same(self->cache, pages, NR * page_size);
	}
	EXPECT_EQ(bad, 0u);
}

TEST_F(cache, mremap_away)
{
	char *pages = map(NR), *other = map(NR), *spare = map(NR);
	unsigned int round, bad = 0;

	ASSERT_NE(spare, MAP_FAILED);
	for (round = 0; round < 20; round++) {
		fill(pages, NR, 0x1000 + (round << 8));
		fill(other, NR, 0x2000 + (round << 8));
		bad += !same(self->cache, pages, NR * page_size);
		bad += !same(self->cache, other, NR * page_size);
		/* the two change places */
		ASSERT_EQ(mremap(pages, NR * page_size, NR * page_size,
				 MREMAP_MAYMOVE | MREMAP_FIXED, spare), spare);
		ASSERT_EQ(mremap(other, NR * page_size, NR * page_size,
				 MREMAP_MAYMOVE | MREMAP_FIXED, pages), pages);
		ASSERT_EQ(mremap(spare, NR * page_size, NR * page_size,
				 MREMAP_MAYMOVE | MREMAP_FIXED, other), other);
		bad += *word_of(pages, 1) != 0x2001 + (round << 8);
		bad += !same(self->cache, pages, NR * page_size);
		bad += wrong(self->cache, pages, NR);
		bad += wrong(self->cache, other, NR);
	}
	EXPECT_EQ(bad, 0u);
}

TEST_F(cache, dontneed)
{
	char *pages = map(NR);
	unsigned int round, bad = 0;
	__u64 word;

	ASSERT_NE(pages, MAP_FAILED);
	for (round = 0; round < 20; round++) {
		fill(pages, NR, 0x3000 + (round << 8));
		bad += !same(self->cache, pages, NR * page_size);
		ASSERT_EQ(madvise(pages, NR * page_size, MADV_DONTNEED), 0);
		bad += reg_cache_read(self->cache, word_of(pages, 3), &word, 8) || word;
		bad += wrong(self->cache, pages, NR);
	}
	EXPECT_EQ(bad, 0u);
}

/* Another process has the file, not the memory. */
TEST_F(cache, truncated_from_afar)
{
	int fd = memfd_create("cache", MFD_CLOEXEC), to[2], from[2], status;
	unsigned int round, bad = 0;
	char *pages, c;
	pid_t pid;
	__u64 word;

	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, NR * page_size), 0);
	ASSERT_EQ(pipe(to) || pipe(from), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		while (read(to[0], &c, 1) == 1)
			if (ftruncate(fd, c == '-' ? 2 * page_size : NR * page_size) ||
			    write(from[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	pages = mmap(NULL, NR * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(pages, MAP_FAILED);
	for (round = 0; round < 10; round++) {
		fill(pages, NR, 0x4000 + (round << 8));
		bad += !same(self->cache, pages, NR * page_size);
		ASSERT_EQ(write(to[1], "-", 1) + read(from[0], &c, 1), 2);
		bad += reg_cache_read(self->cache, word_of(pages, 2), &word, 8) != -EFAULT;
		bad += wrong(self->cache, pages, 2);
		ASSERT_EQ(write(to[1], "+", 1) + read(from[0], &c, 1), 2);
		bad += reg_cache_read(self->cache, word_of(pages, 2), &word, 8) || word;
		bad += wrong(self->cache, pages, NR);
	}
	EXPECT_EQ(bad, 0u);
	close(to[1]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* Both go on, the child with a device and a cache of its own. */
TEST_F(cache, fork)
{
	unsigned int round, bad = 0;
	struct reg_cache *cache;
	char *pages = map(NR);
	struct mirror dev;
	int status;
	__u64 word;
	pid_t pid;

	ASSERT_NE(pages, MAP_FAILED);
	for (round = 0; round < 10; round++) {
		fill(pages, NR, 0x5000 + (round << 8));
		bad += !same(self->cache, pages, NR * page_size);
		bad += wrong(self->cache, pages, NR);
		fill(pages, NR, 0x5000 + (round << 8));
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			/* what it inherits is not for it */
			if (reg_cache_read(self->cache, pages, &word, 8) != -EPERM)
				_exit(1);
			cache = mirror_try_open(&dev) ||
				attach(&dev) ? NULL :
				reg_cache_new(&dev, page_size, MAX);
			if (!cache || *word_of(pages, 3) != 0x5003 + (round << 8))
				_exit(2);
			if (!same(cache, pages, NR * page_size) || wrong(cache, pages, NR))
				_exit(3);
			_exit(0);
		}
		/* the parent is not disturbed by that, nor does it disturb */
		bad += wrong(self->cache, pages, NR);
		ASSERT_EQ(waitpid(pid, &status, 0), pid);
		EXPECT_EQ(status, 0);
		bad += wrong(self->cache, pages, NR);
	}
	EXPECT_EQ(bad, 0u);
}

/* After exec the file is there still, its address space and its keys are not. */
static void __attribute__((constructor)) after_exec(void)
{
	const char *text = getenv(EXECED);
	struct mmu_mirror_keys keys;
	struct mirror dev;
	int fd, err;
	__u64 key, word;
	void *addr;

	if (!text)
		return;
	if (sscanf(text, "%d %llx %p", &fd, &key, &addr) != 3)
		_exit(1);
	dev.fd = fd;
	/* whatever is mapped there now */
	err = mirror_try_key_read(&dev, key, addr, &word, 8, 0);
	if (err != -ESHUTDOWN)
		_exit(2);
	if (mirror_try_keys(&dev, &keys) || keys.valid)
		_exit(3);
	_exit(mirror_try_detach(&dev, NULL) ? 4 : 0);
}

TEST_F(cache, exec)
{
	char text[80], *pages = map(NR);
	struct mirror dev;
	struct reg *reg;
	int status;
	pid_t pid;

	ASSERT_NE(pages, MAP_FAILED);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct reg_cache *cache;

		if (mirror_try_open(&dev) ||
		    attach(&dev))
			_exit(11);
		cache = reg_cache_new(&dev, page_size, MAX);
		if (!cache || reg_cache_get(cache, pages, 8, true, &reg))
			_exit(12);
		fcntl(dev.fd, F_SETFD, 0);
		snprintf(text, sizeof(text), "%d %llx %p", dev.fd, reg->key, pages);
		setenv(EXECED, text, 1);
		execl("/proc/self/exe", "regcache_test", NULL);
		_exit(13);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0);
}

/* --------------------------------------------------------------- threads */

#define SLOTS		8
#define READERS		2

/**
 * struct crowd - threads that unmap what others have the device read
 * @cache: the cache.
 * @slots: one page each. What is mapped there holds a number, ever larger ones.
 * @fresh: where a page is made before it gets to its slot.
 * @number: the number in each slot, at least.
 * @stop: it is over.
 * @reads: how many were made.
 * @stale: how many found a number that had gone before they began.
 * @errors: how many failed.
 */
struct crowd {
	struct reg_cache *cache;
	char *slots;
	char *fresh;
	__u64 number[SLOTS];
	bool stop;
	__u64 reads, stale, errors;
};

static void *crowd_reads(void *arg)
{
	struct crowd *c = arg;
	__u64 state = (uintptr_t)&state, least, word;
	int err;

	while (!__atomic_load_n(&c->stop, __ATOMIC_ACQUIRE)) {
		unsigned int slot;

		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		slot = state >> 40 & (SLOTS - 1);
		least = __atomic_load_n(&c->number[slot], __ATOMIC_ACQUIRE);
		err = reg_cache_read(c->cache, word_of(c->slots, slot), &word, 8);
		/* leave a processor to the others now and then */
		if (__atomic_fetch_add(&c->reads, 1, __ATOMIC_RELAXED) % 64 == 0)
			usleep(200);
		if (!err && word < least)
			__atomic_fetch_add(&c->stale, 1, __ATOMIC_RELAXED);
		/* between unmapping and mapping: nothing is there */
		if (err && err != -EFAULT)
			__atomic_fetch_add(&c->errors, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Another page at the same address, with a larger number: at once, or by munmap */
static bool renew(struct crowd *c, unsigned int slot, __u64 number)
{
	char *at = (char *)word_of(c->slots, slot);
	char *page = mmap(c->fresh, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (page == MAP_FAILED)
		return false;
	*(__u64 *)page = number;
	if (number % 3 == 0 && munmap(at, page_size))
		return false;
	if (mremap(page, page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		return false;
	__atomic_store_n(&c->number[slot], number, __ATOMIC_RELEASE);
	return true;
}

/* The buffer is unmapped, and another one mapped there, by another thread. */
TEST_F_TIMEOUT(cache, threads, 90)
{
	struct crowd c = {
		.cache = self->cache,
		.slots = map(SLOTS),
		.fresh = map(1),
	};
	struct reg_cache_stats stats;
	struct mmu_mirror_check check;
	pthread_t readers[READERS];
	__u64 number, began = now_us();
	unsigned int i;

	ASSERT_NE(c.slots, MAP_FAILED);
	for (i = 0; i < READERS; i++)
		ASSERT_EQ(pthread_create(&readers[i], NULL, crowd_reads, &c), 0);
	/* until there was enough of it, also on a busy machine */
	for (number = 1; number < 100000; number++) {
		ASSERT_TRUE(renew(&c, number % SLOTS, number));
		reg_cache_stats(self->cache, &stats);
		if (number >= 500 && (stats.refused >= 100 || now_us() > began + 20000000))
			break;
	}
	__atomic_store_n(&c.stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	reg_cache_stats(self->cache, &stats);
	EXPECT_GE(stats.refused, 100u);
	EXPECT_GT(c.reads, 100u);
	EXPECT_EQ(c.stale, 0u) TH_LOG("of %llu reads", c.reads);
	EXPECT_EQ(c.errors, 0u);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.stale, 0u);
}

TEST_HARNESS_MAIN
