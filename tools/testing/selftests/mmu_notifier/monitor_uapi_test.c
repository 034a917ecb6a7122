// SPDX-License-Identifier: GPL-2.0
/*
 * The interface of /dev/mmu_monitor, byte by byte: layouts and numbers that must
 * never change, and what it answers to arguments that make no sense.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "monitor_lib.h"
#include "sysmm.h"

#define NR		8
#define ALL		MMU_MONITOR_CLASSES
#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)

/*
 * What programs have been compiled with. Members may be added behind the last one;
 * then the size here is that of the first version still, and the new one's beside it.
 */
#define LAYOUT(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)
#define AT(type, member, offset, bytes) \
	_Static_assert(offsetof(struct type, member) == (offset) && \
		       sizeof(((struct type *)0)->member) == (bytes), #type "." #member)
#define IS(name, value) _Static_assert((name) == (value), #name)

LAYOUT(mmu_monitor_area, 128);
AT(mmu_monitor_area, pending, 0, 8);
AT(mmu_monitor_area, watches, 8, 8);
AT(mmu_monitor_area, events, 16, 8);
AT(mmu_monitor_area, overflows, 24, 8);
AT(mmu_monitor_area, reserved, 32, 96);

LAYOUT(mmu_monitor_info, 32);
AT(mmu_monitor_info, size, 0, 4);
AT(mmu_monitor_info, classes, 4, 4);
AT(mmu_monitor_info, watch_flags, 8, 4);
AT(mmu_monitor_info, event_size, 12, 4);
AT(mmu_monitor_info, area_size, 16, 8);
AT(mmu_monitor_info, max_watches, 24, 8);

LAYOUT(mmu_monitor_watch, 56);
AT(mmu_monitor_watch, size, 0, 4);
AT(mmu_monitor_watch, flags, 4, 4);
AT(mmu_monitor_watch, address, 8, 8);
AT(mmu_monitor_watch, length, 16, 8);
AT(mmu_monitor_watch, cookie, 24, 8);
AT(mmu_monitor_watch, classes, 32, 4);
AT(mmu_monitor_watch, reserved, 36, 4);
AT(mmu_monitor_watch, word, 40, 8);
AT(mmu_monitor_watch, generation, 48, 8);

LAYOUT(mmu_monitor_word, 24);
AT(mmu_monitor_word, size, 0, 4);
AT(mmu_monitor_word, flags, 4, 4);
AT(mmu_monitor_word, word, 8, 8);
AT(mmu_monitor_word, generation, 16, 8);

LAYOUT(mmu_monitor_config, 24);
AT(mmu_monitor_config, size, 0, 4);
AT(mmu_monitor_config, flags, 4, 4);
AT(mmu_monitor_config, eventfd, 8, 4);
AT(mmu_monitor_config, reserved, 12, 4);
AT(mmu_monitor_config, max_events, 16, 8);

LAYOUT(mmu_monitor_event, 40);
AT(mmu_monitor_event, size, 0, 2);
AT(mmu_monitor_event, type, 2, 2);
AT(mmu_monitor_event, classes, 4, 4);
AT(mmu_monitor_event, cookie, 8, 8);
AT(mmu_monitor_event, address, 16, 8);
AT(mmu_monitor_event, length, 24, 8);
AT(mmu_monitor_event, word, 32, 8);

IS(MMU_MONITOR_UNMAPPED, 1);
IS(MMU_MONITOR_DROPPED, 2);
IS(MMU_MONITOR_REPLACED, 4);
IS(MMU_MONITOR_PROTECTED, 8);
IS(MMU_MONITOR_FORKED, 16);
IS(MMU_MONITOR_CLASSES, 31);
IS(MMU_MONITOR_ONESHOT, 1);
IS(MMU_MONITOR_QUIET, 2);
IS(MMU_MONITOR_EVENTFD, 1);
IS(MMU_MONITOR_MAX_EVENTS, 2);
IS(MMU_MONITOR_CHANGED, 1);
IS(MMU_MONITOR_OVERFLOW, 2);
IS(MMU_MONITOR_FOREIGN, 3);

IS(MMU_MONITOR_INFO, 0xb900);
IS(MMU_MONITOR_WATCH, 0xb901);
IS(MMU_MONITOR_UNWATCH, 0xb902);
IS(MMU_MONITOR_REARM, 0xb903);
IS(MMU_MONITOR_CONFIG, 0xb904);
IS(MMU_MONITOR_FLUSH, 0xb905);

/* Room for any argument, and for a longer one of a later version */
union argument {
	__u32 size;
	struct {
		__u32 size;
		__u32 flags;
	} head;
	struct mmu_monitor_info info;
	struct mmu_monitor_watch watch;
	struct mmu_monitor_word word;
	struct mmu_monitor_config config;
	unsigned char bytes[256];
};

struct command {
	const char *name;
	unsigned long cmd;
	size_t size;
	bool flags;
};

static const struct command commands[] = {
	{ "INFO", MMU_MONITOR_INFO, sizeof(struct mmu_monitor_info), false },
	{ "WATCH", MMU_MONITOR_WATCH, sizeof(struct mmu_monitor_watch), true },
	{ "REARM", MMU_MONITOR_REARM, sizeof(struct mmu_monitor_word), true },
	{ "CONFIG", MMU_MONITOR_CONFIG, sizeof(struct mmu_monitor_config), true },
	{ "UNWATCH", MMU_MONITOR_UNWATCH, sizeof(struct mmu_monitor_word), true },
};

FIXTURE(uapi) {
	struct monitor mon;
	char *base;
	__u64 word;
};

FIXTURE_SETUP(uapi)
{
	int err = monitor_try_open(&self->mon);

	if (err == -ENOENT)
		SKIP(return, "no " MONITOR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->base = mmap(NULL, NR * page_size, RW, ANON | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->base, MAP_FAILED);
	ASSERT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, &self->word),
		  0);
}

FIXTURE_TEARDOWN(uapi)
{
	monitor_close(&self->mon);
}

static int issue(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

/* An argument to which a command has no objection */
static void harmless(const struct command *c, union argument *arg, const void *addr, __u64 word)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = c->size;
	switch (c->cmd) {
	case MMU_MONITOR_WATCH:
		arg->watch.address = (uintptr_t)addr;
		arg->watch.length = page_size;
		arg->watch.classes = ALL;
		break;
	case MMU_MONITOR_UNWATCH:
	case MMU_MONITOR_REARM:
		arg->word.word = word;
		break;
	}
}

TEST_F(uapi, info)
{
	struct mmu_monitor_info info;

	memset(&info, 0xff, sizeof(info));
	ASSERT_EQ(monitor_try_info(self->mon.fd, &info), 0);
	EXPECT_EQ(info.size, sizeof(info));
	EXPECT_EQ(info.classes, ALL);
	EXPECT_EQ(info.watch_flags, MMU_MONITOR_ONESHOT | MMU_MONITOR_QUIET);
	EXPECT_EQ(info.event_size, sizeof(struct mmu_monitor_event));
	EXPECT_GE(info.max_watches, 1);
	EXPECT_GE(info.area_size, sizeof(struct mmu_monitor_area) + 8 * info.max_watches);
	EXPECT_EQ(info.area_size % page_size, 0);
}

/* Each number of our type, and some of others */
TEST_F(uapi, every_number)
{
	union argument arg = { };
	unsigned int nr, known = 0;
	unsigned long cmd;
	char *edge;

	/* the size is readable, what follows is not */
	edge = mmap(NULL, 2 * page_size, RW, ANON, -1, 0);
	ASSERT_NE(edge, MAP_FAILED);
	ASSERT_EQ(mprotect(edge + page_size, page_size, PROT_NONE), 0);
	edge += page_size - sizeof(__u32);

	for (nr = 0; nr < 256; nr++) {
		cmd = _IO(MMU_MONITOR_IOC, nr);
		if (cmd == MMU_MONITOR_FLUSH)
			continue;
		arg.size = 0;
		if (issue(self->mon.fd, cmd, &arg) == -ENOTTY)
			continue;
		known++;
		EXPECT_EQ(issue(self->mon.fd, cmd, &arg), -EINVAL) TH_LOG("%#x", nr);
		arg.size = sizeof(arg.head);
		EXPECT_EQ(issue(self->mon.fd, cmd, &arg), -EINVAL) TH_LOG("%#x", nr);
		arg.size = -1;
		EXPECT_EQ(issue(self->mon.fd, cmd, &arg), -E2BIG) TH_LOG("%#x", nr);
		*(__u32 *)edge = 64;
		EXPECT_EQ(issue(self->mon.fd, cmd, edge), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(self->mon.fd, cmd, edge + 2), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(self->mon.fd, cmd, NULL), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(self->mon.fd, cmd, (void *)-8UL), -EFAULT) TH_LOG("%#x", nr);
		/* the same number, another direction or size */
		EXPECT_EQ(issue(self->mon.fd, _IOWR(MMU_MONITOR_IOC, nr, union argument), &arg),
			  -ENOTTY);
	}
	EXPECT_EQ(known, ARRAY_SIZE(commands));
	EXPECT_EQ(issue(self->mon.fd, _IO(MMU_MONITOR_IOC - 1, 1), &arg), -ENOTTY);
	EXPECT_EQ(issue(self->mon.fd, 0, &arg), -ENOTTY);
	EXPECT_EQ(issue(self->mon.fd, ~0U, &arg), -ENOTTY);
	EXPECT_EQ(monitor_watches(&self->mon), 1);
}

/* A later version's structure is longer, and this kernel does not know the rest. */
TEST_F(uapi, size)
{
	const struct command *c;
	union argument arg;
	__u64 watches;

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		watches = monitor_watches(&self->mon);
		harmless(c, &arg, self->base, self->word);
		arg.size = c->size - 1;
		EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		arg.size = sizeof(arg);
		arg.bytes[sizeof(arg) - 1] = 1;
		EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
		harmless(c, &arg, self->base, self->word);
		arg.size = c->size + 1;
		arg.bytes[c->size] = 1;
		EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
		arg.size = 1 << 30;
		EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
		EXPECT_EQ(monitor_watches(&self->mon), watches);

		/* nothing is written behind what is known */
		harmless(c, &arg, self->base, self->word);
		arg.size = sizeof(arg);
		EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), 0) TH_LOG("%s", c->name);
		EXPECT_EQ(arg.bytes[c->size], 0);
		EXPECT_EQ(arg.bytes[sizeof(arg) - 1], 0);
	}
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word), -ENOENT);
}

TEST_F(uapi, flags)
{
	const struct command *c;
	union argument arg;
	unsigned int bit;

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		if (!c->flags)
			continue;
		for (bit = 2; bit < 32; bit++) {
			harmless(c, &arg, self->base, self->word);
			arg.head.flags = 1U << bit;
			EXPECT_EQ(issue(self->mon.fd, c->cmd, &arg), -EINVAL)
				TH_LOG("%s, bit %u", c->name, bit);
		}
	}
	harmless(&commands[2], &arg, self->base, self->word);
	arg.head.flags = 1;
	EXPECT_EQ(issue(self->mon.fd, MMU_MONITOR_REARM, &arg), -EINVAL);
	EXPECT_EQ(issue(self->mon.fd, MMU_MONITOR_UNWATCH, &arg), -EINVAL);
	EXPECT_EQ(monitor_watches(&self->mon), 1);
}

TEST_F(uapi, watch)
{
	const char *addr = self->base;
	int fd = self->mon.fd, bit;
	union argument arg;
	__u64 word;

	EXPECT_EQ(monitor_try_watch(fd, addr, 0, ALL, 0, 0, NULL), -EINVAL);
	EXPECT_EQ(monitor_try_watch(fd, addr, page_size, 0, 0, 0, NULL), -EINVAL);
	for (bit = 5; bit < 32; bit++)
		EXPECT_EQ(monitor_try_watch(fd, addr, page_size, ALL | 1U << bit, 0, 0, NULL),
			  -EINVAL);
	harmless(&commands[1], &arg, addr, 0);
	arg.watch.reserved = 1;
	EXPECT_EQ(issue(fd, MMU_MONITOR_WATCH, &arg), -EINVAL);

	/* beyond the address space, and around it */
	EXPECT_EQ(monitor_try_watch(fd, addr, -(size_t)addr, ALL, 0, 0, NULL), -EOVERFLOW);
	EXPECT_EQ(monitor_try_watch(fd, addr, -1UL, ALL, 0, 0, NULL), -EOVERFLOW);
	EXPECT_EQ(monitor_try_watch(fd, addr, 1UL << 63, ALL, 0, 0, NULL), -EOVERFLOW);
	EXPECT_EQ(monitor_try_watch(fd, (void *)-page_size, page_size, ALL, 0, 0, NULL),
		  -EOVERFLOW);
	EXPECT_EQ(monitor_try_watch(fd, (void *)-1UL, 1, ALL, 0, 0, NULL), -EOVERFLOW);
	EXPECT_EQ(monitor_try_watch(fd, (void *)(1UL << 63), page_size, ALL, 0, 0, NULL),
		  -EOVERFLOW);
	EXPECT_EQ(monitor_watches(&self->mon), 1);

	/* address 0, and whatever user space has */
	EXPECT_EQ(monitor_try_watch(fd, NULL, 1, ALL, 0, 0, &word), 0);
	EXPECT_EQ(monitor_try_watch(fd, NULL, 1UL << 46, ALL, 0, 0, &word), 0);
	EXPECT_EQ(monitor_try_watch(fd, addr + 1, 1, ALL, 0, 0, &word), 0);
	EXPECT_EQ(monitor_try_watch(fd, addr, page_size, ALL,
				    MMU_MONITOR_ONESHOT | MMU_MONITOR_QUIET, 0, &word), 0);
	EXPECT_EQ(monitor_watches(&self->mon), 5);
}

/* Who does not get the answer has not made a watch that nobody knows of. */
TEST_F(uapi, watch_without_answer)
{
	struct mmu_monitor_watch *arg = mmap(NULL, page_size, RW, ANON, -1, 0);

	ASSERT_NE((void *)arg, MAP_FAILED);
	*arg = (struct mmu_monitor_watch) {
		.size = sizeof(*arg),
		.address = (uintptr_t)self->base,
		.length = page_size,
		.classes = ALL,
	};
	ASSERT_EQ(mprotect(arg, page_size, PROT_READ), 0);
	EXPECT_EQ(issue(self->mon.fd, MMU_MONITOR_WATCH, arg), -EFAULT);
	EXPECT_EQ(monitor_watches(&self->mon), 1);
}

TEST_F(uapi, words)
{
	static const __u64 none[] = {
		0, 8, 24, 120, 129, 1 << 20, 8ULL << 20, 1ULL << 32, 1ULL << 35, 8ULL << 32,
		1ULL << 63, -8ULL, -1ULL,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(none); i++) {
		EXPECT_EQ(monitor_try_unwatch(self->mon.fd, none[i]), -ENOENT)
			TH_LOG("%#llx", none[i]);
		EXPECT_EQ(monitor_try_rearm(self->mon.fd, none[i], NULL), -ENOENT)
			TH_LOG("%#llx", none[i]);
	}
	/* beside it, and the same modulo 2^32 words */
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word + 8), -ENOENT);
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word + 1), -ENOENT);
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word + (8ULL << 32)), -ENOENT);
	EXPECT_EQ(monitor_try_rearm(self->mon.fd, self->word, NULL), 0);
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word), 0);
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, self->word), -ENOENT);
	EXPECT_EQ(monitor_try_rearm(self->mon.fd, self->word, NULL), -ENOENT);
}

TEST_F(uapi, config)
{
	struct mmu_monitor_config arg = { .size = sizeof(arg), .eventfd = 12345 };
	int fd = self->mon.fd, null = open("/dev/null", O_RDWR);

	/* nothing is to be set, so nothing is looked at */
	EXPECT_EQ(issue(fd, MMU_MONITOR_CONFIG, &arg), 0);
	arg.reserved = 1;
	EXPECT_EQ(issue(fd, MMU_MONITOR_CONFIG, &arg), -EINVAL);

	EXPECT_EQ(monitor_try_eventfd(fd, 12345), -EBADF);
	EXPECT_EQ(monitor_try_eventfd(fd, -2), -EBADF);
	EXPECT_EQ(monitor_try_eventfd(fd, null), -EINVAL);
	EXPECT_EQ(monitor_try_eventfd(fd, fd), -EINVAL);
	EXPECT_EQ(monitor_try_eventfd(fd, -1), 0);
	EXPECT_EQ(monitor_try_max_events(fd, ~0ULL), 0);
	EXPECT_EQ(monitor_try_max_events(fd, 0), 0);
	close(null);
}

TEST_F(uapi, read)
{
	struct mmu_monitor_event e;
	char buf[sizeof(e)];

	EXPECT_EQ(read(self->mon.fd, buf, sizeof(buf)), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(read(self->mon.fd, buf, sizeof(buf) - 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(read(self->mon.fd, buf, 0), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(write(self->mon.fd, buf, sizeof(buf)), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(lseek(self->mon.fd, 0, SEEK_SET), -1);
	EXPECT_EQ(errno, ESPIPE);
	/* at no alignment in particular */
	ASSERT_EQ(madvise(self->base, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(read(self->mon.fd, buf + 1, sizeof(buf) - 1), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(read(self->mon.fd, buf, sizeof(buf)), sizeof(buf));
	memcpy(&e, buf, sizeof(e));
	EXPECT_EQ(e.word, self->word);
	EXPECT_EQ(e.address, (uintptr_t)self->base);
}

/* It is for everybody, and reading is all that it needs. */
TEST_F(uapi, read_only)
{
	int fd = open(MONITOR_PATH, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	void *area;
	__u64 word;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(monitor_try_watch(fd, self->base, page_size, ALL, 0, 0, &word), 0);
	area = mmap(NULL, self->mon.area_size, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_NE(area, MAP_FAILED);
	ASSERT_EQ(madvise(self->base, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(monitor_drain(fd), 1);
	close(fd);
}

#define MAP(length, prot, flags, offset) ({ \
	void *__at = mmap(NULL, length, prot, flags, self->mon.fd, offset); \
	__at == MAP_FAILED ? -errno : (munmap(__at, length), 0); \
})

TEST_F(uapi, mmap)
{
	size_t size = self->mon.area_size;
	const volatile char *area = self->mon.area;
	int mem, fd = self->mon.fd;
	__u64 *small;
	char c = 0;

	EXPECT_EQ(MAP(size, PROT_READ, MAP_SHARED, 0), 0);
	EXPECT_EQ(MAP(size, PROT_NONE, MAP_SHARED, 0), 0);
	EXPECT_EQ(MAP(size, RW, MAP_SHARED, 0), -EPERM);
	EXPECT_EQ(MAP(size, PROT_WRITE, MAP_SHARED, 0), -EPERM);
	EXPECT_EQ(MAP(size, PROT_READ, MAP_PRIVATE, 0), -EINVAL);
	EXPECT_EQ(MAP(size, RW, MAP_PRIVATE, 0), -EINVAL);
	EXPECT_EQ(MAP(page_size, PROT_READ, MAP_SHARED, page_size), -EINVAL);
	EXPECT_EQ(MAP(size + page_size, PROT_READ, MAP_SHARED, 0), -EINVAL);

	/* less will do for less, and twice is fine */
	small = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE((void *)small, MAP_FAILED);
	EXPECT_EQ(small[self->word / 8], monitor_word(&self->mon, self->word));
	ASSERT_EQ(madvise(self->base, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(small[self->word / 8], monitor_word(&self->mon, self->word));

	/* for reading it is, and remains, whatever is tried */
	EXPECT_EQ(mprotect(small, page_size, RW), -1);
	EXPECT_EQ(errno, EACCES);
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_GE(mem, 0);
	EXPECT_EQ(pwrite(mem, &c, 1, (uintptr_t)small), -1);
	EXPECT_EQ(mremap(small, page_size, 2 * page_size, MREMAP_MAYMOVE), MAP_FAILED);
	EXPECT_EQ(small[0], 1);
	/* what the kernel takes of it, is there again when it is looked at */
	madvise(small, page_size, MADV_DONTNEED);
	EXPECT_EQ(small[self->word / 8], monitor_word(&self->mon, self->word));
	EXPECT_EQ(area[0], 1);
	EXPECT_EQ(munmap(small, page_size), 0);
	close(mem);
}

/* Pages of the area appear as watches are made. */
TEST_F(uapi, area_grows)
{
	__u64 word = self->word;
	unsigned int i;

	for (i = 0; i < 3 * page_size / 8; i++) {
		ASSERT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL,
					    MMU_MONITOR_QUIET, i, &word), 0);
		ASSERT_EQ(monitor_word(&self->mon, word) & 1, 0);
	}
	EXPECT_GT(word, 3 * page_size);
	EXPECT_EQ(monitor_try_flush(self->mon.fd), 0);
	EXPECT_EQ(monitor_word(&self->mon, word) & 1, 1);
}

TEST_F_SIGNAL(uapi, area_not_grown, SIGBUS)
{
	EXPECT_EQ(monitor_word(&self->mon, self->mon.area_size - 8), 0);
}

TEST_F_SIGNAL(uapi, area_is_read_only, SIGSEGV)
{
	*(volatile char *)self->mon.area = 1;
}

/*
 * Limits
 */

#define USER_LIMIT	"/proc/sys/user/max_mmu_monitor_watches"

TEST_F(uapi, user_limit)
{
	__s64 limit = file_number(USER_LIMIT), i;
	struct monitor more;
	__u64 words[8];

	ASSERT_GE(limit, 1000);
	ASSERT_EQ(monitor_try_open(&more), 0);
	ASSERT_EQ(file_write(USER_LIMIT, "5"), 0);
	/* one has been there before; those of processes that are gone may go later than they */
	for (i = 1; i < 5; i++)
		EXPECT_TRUE(within_ms(5000, !monitor_try_watch(i % 2 ? self->mon.fd : more.fd,
							       self->base, page_size, ALL, 0, 0,
							       &words[i])));
	EXPECT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, NULL),
		  -EUSERS);
	EXPECT_EQ(monitor_try_watch(more.fd, self->base, page_size, ALL, 0, 0, NULL), -EUSERS);
	EXPECT_EQ(monitor_watches(&self->mon), 3);
	/* what is given back can be had again */
	EXPECT_EQ(monitor_try_unwatch(self->mon.fd, words[1]), 0);
	EXPECT_EQ(monitor_try_watch(more.fd, self->base, page_size, ALL, 0, 0, NULL), 0);
	EXPECT_EQ(monitor_try_watch(more.fd, self->base, page_size, ALL, 0, 0, NULL), -EUSERS);
	monitor_close(&more);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, NULL),
			  0);
	EXPECT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, NULL),
		  -EUSERS);
	EXPECT_EQ(monitor_try_flush(self->mon.fd), 0);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, NULL),
			  0);
	EXPECT_EQ(file_write(USER_LIMIT, "%lld", limit), 0);
	/* what was told while the limit was reached */
	ASSERT_EQ(munmap(self->base, page_size), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 5);
}

static int load_with(const char *parameters)
{
	const char *dir = getenv("MMU_MIRROR_MODULES");
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/mmu_monitor.ko", dir ? dir : "/modules");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* The module's own limit, and that it can be unloaded and loaded again */
TEST_F(uapi, max_watches)
{
	struct mmu_monitor_info info;
	struct monitor few;
	unsigned int i;
	__u64 word;

	EXPECT_EQ(module_unload("mmu_monitor"), -EAGAIN);
	monitor_close(&self->mon);
	ASSERT_EQ(module_unload("mmu_monitor"), 0);
	EXPECT_EQ(load_with("max_watches=0"), -EINVAL);
	EXPECT_EQ(load_with("max_watches=-1"), -EINVAL);
	EXPECT_EQ(load_with("max_watches=4000000000"), -EINVAL);
	ASSERT_EQ(load_with("max_watches=10"), 0);
	EXPECT_EQ(monitor_try_open(&few), 0);
	EXPECT_EQ(monitor_try_info(few.fd, &info), 0);
	EXPECT_EQ(info.max_watches, 10);
	EXPECT_EQ(info.area_size, page_size);
	for (i = 0; i < 10; i++)
		EXPECT_EQ(monitor_try_watch(few.fd, self->base, page_size, ALL, 0, 0, &word), 0);
	EXPECT_EQ(monitor_try_watch(few.fd, self->base, page_size, ALL, 0, 0, NULL), -ENOSPC);
	EXPECT_EQ(monitor_try_unwatch(few.fd, word), 0);
	EXPECT_EQ(monitor_try_watch(few.fd, self->base, page_size, ALL, 0, 0, NULL), 0);
	EXPECT_EQ(monitor_try_watch(few.fd, self->base, page_size, ALL, 0, 0, NULL), -ENOSPC);
	EXPECT_EQ(madvise(self->base, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(monitor_drain(few.fd), 10);
	monitor_close(&few);
	EXPECT_EQ(module_unload("mmu_monitor"), 0);
	EXPECT_EQ(load_with(""), 0);
}

TEST_HARNESS_MAIN
