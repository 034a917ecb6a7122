// SPDX-License-Identifier: GPL-2.0
/*
 * What /dev/mmu_mirror answers to arguments: sizes, flags, addresses, the
 * wrong process, the wrong time. One table says for each command what it needs;
 * the rest of the tests are about single commands.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define NR	8

/* Room for any argument, and for a longer one of a later version */
union argument {
	__u32 size;
	struct {
		__u32 size;
		__u32 flags;
	} head;
	struct mmu_mirror_attach attach;
	struct mmu_mirror_window window;
	struct mmu_mirror_access access;
	struct mmu_mirror_add add;
	struct mmu_mirror_counters counters;
	struct mmu_mirror_check check;
	struct mmu_mirror_inject inject;
	struct mmu_mirror_engine engine;
	struct mmu_mirror_detach detach;
	struct mmu_mirror_order order;
	struct mmu_mirror_hold hold;
	unsigned char bytes[512];
};

/**
 * struct command - what is to be expected of one
 * @name: its name.
 * @cmd: its number.
 * @size: size of its argument, in this, the first version.
 * @unattached: may be called without being attached.
 * @foreign: may be called from another process, and when the process is gone.
 * @fine: what it answers to an argument that it has no objection to.
 */
struct command {
	const char *name;
	unsigned long cmd;
	size_t size;
	bool unattached;
	bool foreign;
	int fine;
};

static const struct command commands[] = {
	{ "ATTACH", MMU_MIRROR_ATTACH, sizeof(struct mmu_mirror_attach), true, true },
	{ "WINDOW", MMU_MIRROR_WINDOW, sizeof(struct mmu_mirror_window), false, false },
	{ "READ", MMU_MIRROR_READ, sizeof(struct mmu_mirror_access), false, false },
	{ "WRITE", MMU_MIRROR_WRITE, sizeof(struct mmu_mirror_access), false, false },
	{ "ADD", MMU_MIRROR_ADD, sizeof(struct mmu_mirror_add), false, false },
	{ "COUNTERS", MMU_MIRROR_COUNTERS, sizeof(struct mmu_mirror_counters), true, true },
	{ "CHECK", MMU_MIRROR_CHECK, sizeof(struct mmu_mirror_check), false, false },
	{ "INJECT", MMU_MIRROR_INJECT, sizeof(struct mmu_mirror_inject), true, true },
	{ "ENGINE", MMU_MIRROR_ENGINE, sizeof(struct mmu_mirror_engine), false, false },
	{ "ORDER", MMU_MIRROR_ORDER, sizeof(struct mmu_mirror_order), false, false },
	{ "HOLD", MMU_MIRROR_HOLD, sizeof(struct mmu_mirror_hold), false, false, -ETIMEDOUT },
	{ "DETACH", MMU_MIRROR_DETACH, sizeof(struct mmu_mirror_detach), false, true },
};

FIXTURE(uapi) {
	struct mirror dev;
	char *window;
	size_t length;
	__u64 word;
};

FIXTURE_VARIANT(uapi) {
	unsigned int personality;
};

FIXTURE_VARIANT_ADD(uapi, shadow) {
	.personality = MMU_MIRROR_SHADOW,
};

FIXTURE_VARIANT_ADD(uapi, svm) {
	.personality = MMU_MIRROR_SVM,
};

FIXTURE_VARIANT_ADD(uapi, sva) {
	.personality = MMU_MIRROR_SVA,
};

FIXTURE_VARIANT_ADD(uapi, export) {
	.personality = MMU_MIRROR_EXPORT,
};

FIXTURE_VARIANT_ADD(uapi, regcache) {
	.personality = MMU_MIRROR_REGCACHE,
};

FIXTURE_SETUP(uapi)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->length = NR * page_size;
	self->window = mmap(NULL, self->length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->window, MAP_FAILED);
}

FIXTURE_TEARDOWN(uapi)
{
	mirror_close(&self->dev);
}

#define ATTACH() \
	ASSERT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window, \
				    self->length), 0)

static int issue(struct mirror *dev, unsigned long cmd, void *argument)
{
	return ioctl(dev->fd, cmd, argument) < 0 ? -errno : 0;
}

/* An argument to which a command has no objection, once it is attached */
static void harmless(const struct command *c, union argument *arg, const void *window,
		     __u64 *word)
{
	memset(arg, 0, sizeof(*arg));
	arg->size = c->size;
	switch (c->cmd) {
	case MMU_MIRROR_ATTACH:
		arg->attach.start = (uintptr_t)window;
		arg->attach.length = page_size;
		break;
	case MMU_MIRROR_WINDOW:
		arg->window.start = (uintptr_t)window;
		arg->window.length = NR * page_size;
		break;
	case MMU_MIRROR_READ:
	case MMU_MIRROR_WRITE:
		arg->access.addr = (uintptr_t)window;
		arg->access.length = sizeof(*word);
		arg->access.buffer = (uintptr_t)word;
		break;
	case MMU_MIRROR_ADD:
		arg->add.addr = (uintptr_t)window;
		break;
	case MMU_MIRROR_ENGINE:
		arg->engine.flags = MMU_MIRROR_ENGINE_READ;
		break;
	case MMU_MIRROR_ORDER:
		arg->order.first = (uintptr_t)window;
		arg->order.second = (uintptr_t)window;
		break;
	}
}

/*
 * All numbers of the driver's type. Those that it knows are told by the answer to
 * a struct of size 0; each of them, whatever it does, has to refuse what is
 * too short, too long or not there.
 */
TEST_F(uapi, every_number)
{
	union argument arg = { };
	unsigned long cmd;
	unsigned int nr, known = 0;
	char *edge;

	/* the size is readable, what follows is not */
	edge = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(edge, MAP_FAILED);
	ASSERT_EQ(mprotect(edge + page_size, page_size, PROT_NONE), 0);
	edge += page_size - sizeof(__u32);

	ATTACH();
	for (nr = 0; nr < 256; nr++) {
		cmd = _IO(MMU_MIRROR_IOC, nr);
		arg.size = 0;
		if (issue(&self->dev, cmd, &arg) == -ENOTTY)
			continue;
		known++;
		EXPECT_EQ(issue(&self->dev, cmd, &arg), -EINVAL) TH_LOG("%#x", nr);
		arg.size = sizeof(__u32) - 1;
		EXPECT_EQ(issue(&self->dev, cmd, &arg), -EINVAL) TH_LOG("%#x", nr);
		arg.size = sizeof(arg.head) - 1;
		EXPECT_EQ(issue(&self->dev, cmd, &arg), -EINVAL) TH_LOG("%#x", nr);
		arg.size = -1;
		EXPECT_EQ(issue(&self->dev, cmd, &arg), -E2BIG) TH_LOG("%#x", nr);
		arg.size = page_size;
		arg.bytes[sizeof(arg) - 1] = 1;
		EXPECT_LT(issue(&self->dev, cmd, &arg), 0) TH_LOG("%#x", nr);
		arg.bytes[sizeof(arg) - 1] = 0;
		*(__u32 *)edge = sizeof(arg);
		EXPECT_EQ(issue(&self->dev, cmd, edge), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(&self->dev, cmd, edge + 2), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(&self->dev, cmd, NULL), -EFAULT) TH_LOG("%#x", nr);
		EXPECT_EQ(issue(&self->dev, cmd, (void *)-8UL), -EFAULT) TH_LOG("%#x", nr);
		/* the same number, another direction or size */
		EXPECT_EQ(issue(&self->dev, _IOWR(MMU_MIRROR_IOC, nr, union argument), &arg),
			  -ENOTTY);
	}
	EXPECT_GE(known, ARRAY_SIZE(commands));
	EXPECT_EQ(issue(&self->dev, _IO('m', 0xd0), &arg), -ENOTTY);
	EXPECT_EQ(issue(&self->dev, _IOW(MMU_MIRROR_IOC, 0xd0, int), &arg), -ENOTTY);
	EXPECT_EQ(issue(&self->dev, 0, &arg), -ENOTTY);
	EXPECT_EQ(issue(&self->dev, ~0U, &arg), -ENOTTY);
}

TEST_F(uapi, size)
{
	const struct command *c;
	union argument arg;

	ATTACH();
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		int fine = c->cmd == MMU_MIRROR_ATTACH ? -EBUSY : c->fine;

		if (c->cmd == MMU_MIRROR_DETACH)
			continue;	/* last, below */

		/* none, too short, and not there */
		harmless(c, &arg, self->window, &self->word);
		arg.size = 0;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		arg.size = c->size - 1;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
		EXPECT_EQ(issue(&self->dev, c->cmd, NULL), -EFAULT) TH_LOG("%s", c->name);

		/* longer, with zeros and without */
		harmless(c, &arg, self->window, &self->word);
		arg.size = sizeof(arg);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), fine) TH_LOG("%s", c->name);
		mirror_try_engine(&self->dev, 0, NULL, 0, NULL);
		harmless(c, &arg, self->window, &self->word);
		arg.size = sizeof(arg);
		arg.bytes[sizeof(arg) - 1] = 1;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
		arg.size = 1 << 30;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -E2BIG) TH_LOG("%s", c->name);
	}
	memset(&arg, 0, sizeof(arg));
	arg.size = sizeof(struct mmu_mirror_detach) - 1;
	EXPECT_EQ(issue(&self->dev, MMU_MIRROR_DETACH, &arg), -EINVAL);
	arg.size = sizeof(arg);
	EXPECT_EQ(issue(&self->dev, MMU_MIRROR_DETACH, &arg), 0);
}

TEST_F(uapi, unknown_flags)
{
	const struct command *c;
	union argument arg;

	ATTACH();
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		harmless(c, &arg, self->window, &self->word);
		arg.head.flags = 1u << 31;
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EINVAL) TH_LOG("%s", c->name);
	}
}

TEST_F(uapi, not_attached)
{
	const struct command *c;
	union argument arg;

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		if (c->cmd == MMU_MIRROR_ATTACH)
			continue;
		harmless(c, &arg, self->window, &self->word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), c->unattached ? c->fine : -ENXIO)
			TH_LOG("%s", c->name);
	}

	/* nor any more */
	ATTACH();
	EXPECT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	EXPECT_EQ(mirror_try_detach(&self->dev, NULL), -ENXIO);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &self->word, 8, 0), -ENXIO);
}

TEST_F(uapi, attach)
{
	struct mmu_mirror_attach arg = { .size = sizeof(arg) };
	const __u64 top = -(__u64)page_size;

	EXPECT_EQ(mirror_try_attach(&self->dev, 17, self->window, self->length), -EOPNOTSUPP);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window + 8,
				    self->length), -EINVAL);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window,
				    self->length - 8), -EINVAL);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window, 0), -EINVAL);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, (void *)top,
				    2 * page_size), -EOVERFLOW);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, (void *)top,
				    page_size), -EOVERFLOW);
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, (void *)(1ULL << 62),
				    page_size), -EOVERFLOW);
	arg.personality = variant->personality;
	arg.start = (uintptr_t)self->window;
	arg.length = self->length;
	arg.reserved = 1;
	EXPECT_EQ(issue(&self->dev, MMU_MIRROR_ATTACH, &arg), -EINVAL);

	/* none of which left anything behind */
	ATTACH();
	EXPECT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window,
				    self->length), -EBUSY);
	EXPECT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	ATTACH();
}

TEST_F(uapi, window)
{
	struct mmu_mirror_counters c;
	__u64 word = 1;

	ATTACH();
	EXPECT_EQ(mirror_try_window(&self->dev, self->window + 1, self->length), -EINVAL);
	EXPECT_EQ(mirror_try_window(&self->dev, self->window, self->length + 1), -EINVAL);
	EXPECT_EQ(mirror_try_window(&self->dev, self->window, 0), -EINVAL);
	EXPECT_EQ(mirror_try_window(&self->dev, (void *)-page_size, 2 * page_size), -EOVERFLOW);

	/* no access outside, and no SPTE survives the move */
	EXPECT_EQ(mirror_try_write(&self->dev, self->window, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window + self->length, &word, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window - 8, &word, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_window(&self->dev, self->window + page_size, 2 * page_size), 0);
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, 0), 0);
	EXPECT_EQ(c.mapped, 0u);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, MMU_MIRROR_NOFAULT),
		  -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window + page_size, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window + 3 * page_size, &word, 8, 0),
		  -EFAULT);

	/* the new window is subscribed to */
	EXPECT_EQ(madvise(self->window + page_size, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window + page_size, &word, 8,
				  MMU_MIRROR_NOFAULT), -EFAULT);
}

TEST_F(uapi, access)
{
	struct mmu_mirror_access access = { };
	__u64 word = 0x1122334455667788ULL;
	char *buf = calloc(NR, page_size);
	size_t i;

	ATTACH();
	ASSERT_NE(buf, NULL);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, MMU_MIRROR_NOFAULT),
		  -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
	EXPECT_EQ(word, 0u);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, MMU_MIRROR_NOFAULT), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, NULL, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_write(&self->dev, self->window, NULL, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 0, 0), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, (void *)-8UL, &word, 16, 0), -EFAULT);

	/* any alignment, over page boundaries */
	for (i = 0; i < 3 * page_size; i++)
		buf[i] = i * 7;
	EXPECT_EQ(mirror_try_write(&self->dev, self->window + 13, buf, 3 * page_size, 0), 0);
	EXPECT_EQ(memcmp(self->window + 13, buf, 3 * page_size), 0);
	memset(buf, 0, NR * page_size);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window + 14, buf, 3 * page_size - 1, 0), 0);
	EXPECT_EQ(memcmp(self->window + 14, buf, 3 * page_size - 1), 0);

	/* how far it came, and by how many faults */
	EXPECT_EQ(munmap(self->window + 5 * page_size, page_size), 0);
	access.addr = (uintptr_t)self->window + 4;
	access.length = self->length - 4;
	access.buffer = (uintptr_t)buf;
	EXPECT_EQ(mirror_try_access(&self->dev, MMU_MIRROR_READ, &access), -EFAULT);
	EXPECT_EQ(access.done, 5 * page_size - 4);
	EXPECT_EQ(access.faults, 1u);

	EXPECT_EQ(mprotect(self->window, page_size, PROT_READ), 0);
	EXPECT_EQ(mirror_try_write(&self->dev, self->window, &word, 8, 0), -EFAULT);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
	EXPECT_EQ(mprotect(self->window, page_size, PROT_NONE), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), -EFAULT);
	free(buf);
}

TEST_F(uapi, add)
{
	__u64 old = 99, *word = (__u64 *)self->window;

	ATTACH();
	EXPECT_EQ(mirror_try_add(&self->dev, self->window + 4, 1, &old, 0), -EINVAL);
	EXPECT_EQ(mirror_try_add(&self->dev, word, 1, &old, MMU_MIRROR_NOFAULT), -EFAULT);
	EXPECT_EQ(mirror_try_add(&self->dev, word, 5, &old, 0), 0);
	EXPECT_EQ(old, 0u);
	EXPECT_EQ(mirror_try_add(&self->dev, word, -7ULL, &old, MMU_MIRROR_NOFAULT), 0);
	EXPECT_EQ(old, 5u);
	EXPECT_EQ(*word, -2ULL);
	EXPECT_EQ(mirror_try_add(&self->dev, self->window + self->length, 1, &old, 0), -EFAULT);
	EXPECT_EQ(mprotect(self->window, page_size, PROT_READ), 0);
	EXPECT_EQ(mirror_try_add(&self->dev, word, 1, &old, 0), -EFAULT);
}

TEST_F(uapi, check)
{
	struct mmu_mirror_check check;
	__u64 word = 3;

	ATTACH();
	EXPECT_EQ(mirror_try_check(&self->dev, self->window + 1, page_size, &check), -EINVAL);
	EXPECT_EQ(mirror_try_check(&self->dev, self->window, page_size + 1, &check), -EINVAL);
	EXPECT_EQ(mirror_try_check(&self->dev, self->window, 0, &check), -EINVAL);
	EXPECT_EQ(mirror_try_check(&self->dev, (void *)-page_size, 2 * page_size, &check),
		  -EOVERFLOW);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.mapped, 0u);
	EXPECT_EQ(mirror_try_write(&self->dev, self->window, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_write(&self->dev, self->window + 2 * page_size, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.mapped, 2u);
	EXPECT_EQ(check.stale, 0u);
	EXPECT_EQ(check.first_stale, 0u);
	EXPECT_EQ(mirror_try_check(&self->dev, self->window + page_size, 4 * page_size, &check), 0);
	EXPECT_EQ(check.mapped, 1u);
}

TEST_F(uapi, counters)
{
	struct mmu_mirror_counters c;
	__u64 word;

	ATTACH();
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
	EXPECT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, MMU_MIRROR_RESET), 0);
	EXPECT_GE(c.start, 1u);
	EXPECT_GE(c.events[EV_CLEAR], 1u);
	EXPECT_EQ(c.end, mirror_has_ends(variant->personality) ? c.start : 0);
	EXPECT_EQ(c.dropped, 1u);
	EXPECT_EQ(c.faults, 1u);
	EXPECT_GE(c.accesses, 1u);
	EXPECT_EQ(c.mapped, 0u);
	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, 0), 0);
	EXPECT_EQ(c.dropped, 0u);
	EXPECT_EQ(c.faults, 0u);
	EXPECT_EQ(c.events[EV_CLEAR], 0u);
}

TEST_F(uapi, engine)
{
	__u64 done = 0, word;

	ATTACH();
	EXPECT_EQ(mirror_try_engine(&self->dev, 0, NULL, 0, &done), 0);
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, self->window + 8,
				    page_size, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, self->window,
				    page_size - 8, NULL), -EINVAL);
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, (void *)-page_size,
				    2 * page_size, NULL), -EOVERFLOW);
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, self->window,
				    page_size, NULL), 0);
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_READ, NULL, 0, NULL), -EBUSY);
	EXPECT_TRUE(within_ms(5000, mirror_counters(&self->dev).engine > 10));
	EXPECT_EQ(mirror_try_engine(&self->dev, 0, NULL, 0, &done), 0);
	EXPECT_GT(done, 10u);
	EXPECT_EQ(*(__u64 *)self->window, done);

	/* a detach stops it, too */
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, NULL, 0, NULL), 0);
	sleep_ms(5);
	EXPECT_EQ(mirror_try_detach(&self->dev, NULL), 0);
	word = __atomic_load_n((__u64 *)self->window, __ATOMIC_RELAXED);
	sleep_ms(5);
	EXPECT_EQ(__atomic_load_n((__u64 *)self->window, __ATOMIC_RELAXED), word);
}

TEST_F(uapi, inject)
{
	struct mmu_mirror_inject inject = { .reserved = 1 };

	ATTACH();
	EXPECT_EQ(mirror_try_inject(&self->dev, &inject), -EINVAL);
}

/* Every point that can fail fails once, and nothing is left behind by it. */
TEST_F(uapi, fail_points)
{
	struct mmu_mirror_inject inject = { };
	struct mmu_mirror_check check;
	unsigned int n;
	__u64 word = 4;
	int err;

	for (n = 1; n < 100; n++) {
		inject.fail_point = n;
		ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
		err = mirror_try_attach(&self->dev, variant->personality, self->window,
					self->length);
		if (!err)
			break;
		EXPECT_EQ(err, -ENOMEM);
		EXPECT_EQ(mirror_try_detach(&self->dev, NULL), -ENXIO);
	}
	EXPECT_GT(n, 1u) TH_LOG("attach has no point that fails");

	for (n = 1; n < 100; n++) {
		EXPECT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
		inject.fail_point = n;
		ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
		err = mirror_try_write(&self->dev, self->window, &word, 8, 0);
		if (!err)
			break;
		EXPECT_EQ(err, -ENOMEM);
		EXPECT_EQ(__atomic_load_n((__u64 *)self->window, __ATOMIC_RELAXED), 0u);
	}
	EXPECT_GT(n, 1u) TH_LOG("a fault has no point that fails");
	EXPECT_EQ(__atomic_load_n((__u64 *)self->window, __ATOMIC_RELAXED), word);

	inject.fail_point = 0;
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	EXPECT_EQ(mirror_try_check(&self->dev, NULL, 0, &check), 0);
	EXPECT_EQ(check.mapped, 1u);
	EXPECT_EQ(check.stale, 0u);
	EXPECT_EQ(mirror_try_detach(&self->dev, NULL), 0);
}

/* After fork the child has the device, but not the memory it is attached to. */
TEST_F(uapi, other_process)
{
	const struct command *c;
	union argument arg;
	int status;
	pid_t pid;

	ATTACH();
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
			int want = c->foreign ? c->fine : -EPERM, got;

			if (c->cmd == MMU_MIRROR_ATTACH)
				want = -EBUSY;
			harmless(c, &arg, self->window, &self->word);
			got = issue(&self->dev, c->cmd, &arg);
			if (got != want)
				_exit(c - commands + 1);
			/* to stop the engine is everybody's right */
			if (c->cmd == MMU_MIRROR_ENGINE &&
			    mirror_try_engine(&self->dev, 0, NULL, 0, NULL))
				_exit(100);
		}
		/* what it has detached it may attach to itself */
		_exit(mirror_try_attach(&self->dev, variant->personality, self->window,
					self->length) ? 101 : 0);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 0) {
		if (WIFEXITED(status) && WEXITSTATUS(status) < 100)
			TH_LOG("wrong answer to %s", commands[WEXITSTATUS(status) - 1].name);
	}
}

TEST_F(uapi, process_is_gone)
{
	struct mmu_mirror_counters counters;
	const struct command *c;
	union argument arg;
	__u64 word;
	int status;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(mirror_try_attach(&self->dev, variant->personality, self->window,
					self->length) ||
		      mirror_try_read(&self->dev, self->window, &word, 8, 0));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	within_ms(5000, (counters = mirror_counters(&self->dev)).release);
	EXPECT_EQ(counters.release, 1u);
	EXPECT_EQ(counters.mapped, 0u);

	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		int want = c->foreign ? c->fine : -ESHUTDOWN;

		if (c->cmd == MMU_MIRROR_ATTACH)
			want = -EBUSY;
		harmless(c, &arg, self->window, &self->word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), want) TH_LOG("%s", c->name);
	}
	ATTACH();
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
}

/* A device access that waits for user space ends when its process is killed. */
TEST_F(uapi, killable)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_api api = { .api = UFFD_API };
	int fd, status;
	__u64 word;
	pid_t pid;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		reg.range.start = (uintptr_t)self->window;
		reg.range.len = self->length;
		fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
			_exit(KSFT_SKIP);
		if (mirror_try_attach(&self->dev, variant->personality, self->window,
				      self->length))
			_exit(2);
		/* waits, or is refused: both will do */
		mirror_try_read(&self->dev, self->window, &word, 8, 0);
		pause();
	}
	sleep_ms(100);
	kill(pid, SIGKILL);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		SKIP(return, "no userfaultfd");
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_F(uapi, many_opens)
{
	struct mirror dev[8];
	__u64 word;
	size_t i;

	for (i = 0; i < 8; i++) {
		ASSERT_EQ(mirror_try_open(&dev[i]), 0);
		ASSERT_EQ(mirror_try_attach(&dev[i], i % 3, self->window, self->length), 0);
		EXPECT_EQ(mirror_try_add(&dev[i], self->window, 1, &word, 0), 0);
		EXPECT_EQ(word, i);
	}
	EXPECT_EQ(madvise(self->window, page_size, MADV_DONTNEED), 0);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(mirror_try_read(&dev[i], self->window, &word, 8, MMU_MIRROR_NOFAULT),
			  -EFAULT);
		/* closing one does not disturb the others */
		mirror_close(&dev[i]);
	}
	EXPECT_EQ(*(__u64 *)self->window, 0u);
}

/* The TLB of a device that shares the CPU's page table is not larger than it says. */
TEST_F(uapi, sva_entries)
{
	const size_t nr = MMU_MIRROR_SVA_ENTRIES + MMU_MIRROR_SVA_ENTRIES / 2;
	struct mmu_mirror_counters c;
	__u64 word;
	char *base;
	size_t i;

	if (variant->personality != MMU_MIRROR_SVA)
		SKIP(return, "not a TLB");
	base = mmap(NULL, nr * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	ASSERT_NE(base, MAP_FAILED);
	ASSERT_EQ(mirror_try_attach(&self->dev, variant->personality, base, nr * page_size), 0);
	for (i = 0; i < 2 * nr; i++) {
		word = i;
		ASSERT_EQ(mirror_try_write(&self->dev, base + i % nr * page_size, &word, 8, 0), 0);
		ASSERT_EQ(mirror_try_read(&self->dev, base + i % nr * page_size, &word, 8,
					  MMU_MIRROR_NOFAULT), 0);
		ASSERT_EQ(word, i);
	}
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, 0), 0);
	EXPECT_EQ(c.mapped, MMU_MIRROR_SVA_ENTRIES);
	EXPECT_EQ(c.unbalanced, 0u);
	for (i = 0; i < nr; i++)
		EXPECT_EQ(*(__u64 *)(base + i * page_size), nr + i);
}

TEST_F(uapi, order)
{
	const __u64 *a = (__u64 *)self->window, *b = (__u64 *)(self->window + page_size);
	struct mmu_mirror_order order = { };
	__u64 word;

	ATTACH();
	EXPECT_EQ(mirror_try_order(&self->dev, a, (__u64 *)((char *)b + 4), &order), -EINVAL);
	EXPECT_EQ(mirror_try_order(&self->dev, (__u64 *)((char *)a + 1), b, &order), -EINVAL);
	order.timeout_us = 10000001;
	EXPECT_EQ(mirror_try_order(&self->dev, a, b, &order), -EINVAL);
	order.timeout_us = 0;
	EXPECT_EQ(mirror_try_order(&self->dev, a, (__u64 *)(self->window + self->length),
				   &order), -EFAULT);

	/* seen at once, never, and in the wrong order */
	word = 5;
	EXPECT_EQ(mirror_try_write(&self->dev, a, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_write(&self->dev, b, &word, 8, 0), 0);
	order.value = 5;
	EXPECT_EQ(mirror_try_order(&self->dev, a, b, &order), 0);
	EXPECT_EQ(order.looks, 1u);
	EXPECT_EQ(order.violations, 0u);
	EXPECT_EQ(order.seen_first, 5u);
	EXPECT_EQ(order.seen_second, 5u);
	order.value = 6;
	EXPECT_EQ(mirror_try_order(&self->dev, a, b, &order), -ETIMEDOUT);
	order.timeout_us = 2000;
	EXPECT_EQ(mirror_try_order(&self->dev, a, b, &order), -ETIMEDOUT);
	EXPECT_GE(order.looks, 1u);
	word = 7;
	EXPECT_EQ(mirror_try_write(&self->dev, b, &word, 8, 0), 0);
	EXPECT_EQ(mirror_try_order(&self->dev, a, b, &order), 0);
	EXPECT_EQ(order.violations, 1u);
	EXPECT_EQ(order.seen_first, 5u);
	EXPECT_EQ(order.seen_second, 7u);
}

static void *drop_first_page(void *window)
{
	madvise(window, page_size, MADV_DONTNEED);
	return NULL;
}

TEST_F(uapi, hold)
{
	struct mmu_mirror_inject inject = { .hold_us = 10000001 };
	struct mmu_mirror_counters c;
	pthread_t thread;
	__u64 held = 1;

	ATTACH();
	EXPECT_EQ(mirror_try_inject(&self->dev, &inject), -EINVAL);
	inject.hold_us = 0;
	inject.reserved2 = 1;
	EXPECT_EQ(mirror_try_inject(&self->dev, &inject), -EINVAL);
	EXPECT_EQ(mirror_try_hold(&self->dev, 0, &held), -EINVAL);
	held = -1ULL;
	EXPECT_EQ(mirror_try_hold(&self->dev, 0, &held), -EINVAL);
	held = 0;
	EXPECT_EQ(mirror_try_hold(&self->dev, 10000001, &held), -EINVAL);
	EXPECT_EQ(mirror_try_hold(&self->dev, 0, &held), -ETIMEDOUT);
	if (variant->personality != MMU_MIRROR_SVA)
		return;

	/* the end waits until it is let go */
	inject = (struct mmu_mirror_inject){ .hold_us = 10000000 };
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, drop_first_page, self->window), 0);
	EXPECT_EQ(mirror_try_hold(&self->dev, 10000000, &held), 0);
	EXPECT_EQ(held, 1u);
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, 0), 0);
	EXPECT_EQ(c.in_flight, 1u);
	EXPECT_EQ(mirror_try_hold(&self->dev, 0, &held), -ETIMEDOUT);
	pthread_join(thread, NULL);
	EXPECT_EQ(mirror_try_counters(&self->dev, &c, 0), 0);
	EXPECT_EQ(c.in_flight, 0u);

	/* or for as long as it was said */
	inject.hold_us = 1000;
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	drop_first_page(self->window);
	EXPECT_EQ(mirror_try_hold(&self->dev, 0, &held), 0);
	EXPECT_EQ(held, 2u);
}

/* How long a change of a page takes. A key that is revoked is not told of the next. */
static __u64 drop_us(struct _test_data_uapi *self, unsigned int personality, size_t page)
{
	__u64 began, key;

	if (personality == MMU_MIRROR_REGCACHE &&
	    mirror_try_register(&self->dev, self->window, self->length, 0, &key))
		mirror_die("there is no key to be told");
	began = now_us();
	madvise(self->window + page * page_size, page_size, MADV_DONTNEED);
	return now_us() - began;
}

TEST_F(uapi, delay_at)
{
	struct mmu_mirror_inject inject = { .start_delay_us = 200000 };
	unsigned int i, soon = 0;

	ATTACH();
	inject.delay_at = (uintptr_t)self->window + 2 * page_size - 1;
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	EXPECT_GE(drop_us(self, variant->personality, 1), 200000u);
	/* This machine may be slow as well, but not always. */
	for (i = 0; i < 10; i++)
		soon += drop_us(self, variant->personality, i % 2 * 2) < 200000;
	EXPECT_GT(soon, 0u);
	inject.delay_at = 0;
	ASSERT_EQ(mirror_try_inject(&self->dev, &inject), 0);
	EXPECT_GE(drop_us(self, variant->personality, 0), 200000u);
}

/* The kernel itself has no mapping of it: refused, not an oops */
TEST_F(uapi, secret)
{
	int fd = syscall(__NR_memfd_secret, 0);
	__u64 word = 1;
	char *page;

#ifndef __x86_64__
	if (fd < 0)
		SKIP(return, "no secret memory: whole huge pages in the kernel's mapping");
#endif
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, page_size), 0);
	page = mmap(self->window, page_size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_NE(page, MAP_FAILED);
	*(volatile __u64 *)page = 42;

	ASSERT_EQ(mirror_try_attach(&self->dev, variant->personality, self->window,
				    self->length), 0);
	EXPECT_EQ(mirror_try_read(&self->dev, page, &word, 8, 0), -EFAULT);
	EXPECT_EQ(word, 1u);
	EXPECT_EQ(mirror_try_write(&self->dev, page, &word, 8, 0), -EFAULT);
	EXPECT_EQ(*(volatile __u64 *)page, 42u);
	close(fd);
}

/* A descriptor that is no more, for each command; and one that still is. */
TEST_F(uapi, closed)
{
	int fd = self->dev.fd, copy = dup(fd);
	const struct command *c;
	union argument arg;

	ATTACH();
	mirror_close(&self->dev);
	self->dev.fd = fd;
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) {
		harmless(c, &arg, self->window, &self->word);
		EXPECT_EQ(issue(&self->dev, c->cmd, &arg), -EBADF) TH_LOG("%s", c->name);
	}
	self->dev.fd = copy;
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &self->word, 8, 0), 0);
}

struct closer {
	struct mirror dev;
	void *addr;
	int err;
};

static void *read_slowly(void *arg)
{
	struct closer *c = arg;
	__u64 word;

	c->err = mirror_try_read(&c->dev, c->addr, &word, 8, 0);
	return NULL;
}

/* Closed by one thread while another one's command waits: that one goes on. */
TEST_F(uapi, closed_in_use)
{
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { };
	struct uffdio_api api = { .api = UFFD_API };
	struct closer c = { .dev = self->dev, .addr = self->window, .err = 1 };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	pthread_t thread;

	reg.range.start = (uintptr_t)self->window;
	reg.range.len = self->length;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		SKIP(return, "no userfaultfd");
	ATTACH();
	ASSERT_EQ(pthread_create(&thread, NULL, read_slowly, &c), 0);
	/* It waits for the page, or has been refused. */
	EXPECT_TRUE(within_ms(10000, __atomic_load_n(&c.err, __ATOMIC_ACQUIRE) != 1 ||
			      poll(&p, 1, 0) == 1));
	mirror_close(&self->dev);
	zero.range = reg.range;
	EXPECT_EQ(ioctl(fd, UFFDIO_ZEROPAGE, &zero), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	/* it waited for the page and has it, or may not wait for user space */
	if (c.err)
		EXPECT_EQ(c.err, -EFAULT);
	close(fd);
	/* the device is gone with the last user: nothing keeps the module */
	if (module_unload("mmu_mirror") != -ENOENT)
		EXPECT_EQ(module_load("mmu_mirror"), 0);
}

/*
 * Whoever has the file has the module, attached or not, in whatever state: after
 * the process that attached it, with the engine on, with a child that keeps it.
 */
TEST_F(uapi, module_in_use)
{
	int err = module_unload("mmu_mirror"), status, go[2];
	__u64 word;
	pid_t pid;

	if (err == -ENOENT)
		SKIP(return, "mmu_mirror is built in");
	EXPECT_EQ(err, -EAGAIN);
	ATTACH();
	EXPECT_EQ(mirror_try_engine(&self->dev, MMU_MIRROR_ENGINE_ADD, NULL, 0, NULL), 0);
	EXPECT_EQ(module_unload("mmu_mirror"), -EAGAIN);
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);

	ASSERT_EQ(pipe(go), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &word, 1) != 0);
	}
	close(go[0]);
	mirror_close(&self->dev);
	EXPECT_EQ(module_unload("mmu_mirror"), -EAGAIN);
	close(go[1]);
	ASSERT_EQ(waitpid(pid, &status, 0), pid);

	EXPECT_EQ(module_unload("mmu_mirror"), 0);
	EXPECT_EQ(mirror_try_open(&self->dev), -ENOENT);
	EXPECT_EQ(module_load("mmu_mirror"), 0);
	ASSERT_EQ(mirror_try_open(&self->dev), 0);
	ATTACH();
	EXPECT_EQ(mirror_try_read(&self->dev, self->window, &word, 8, 0), 0);
}

TEST_HARNESS_MAIN
