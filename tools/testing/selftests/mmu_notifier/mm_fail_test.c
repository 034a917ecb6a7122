// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's own calls when there is no memory, in a process that everybody is
 * subscribed to: devices of all personalities, a key, and a watch (coherent.h).
 *
 * The first, second, third .. allocation or copy in munmap(), mremap(), fork() and so
 * on fails (fault_lib.h). Whether the call failed for it, halfway perhaps, or not: the
 * devices see what the CPU sees afterwards, no range is in flight for ever, and who
 * watches has been told of what was done. The processes leave nothing behind.
 *
 * The callbacks themselves need no memory (R10): a call comes by no more points than
 * it does without subscribers.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "coherent.h"
#include "fault_lib.h"
#include "sysmm.h"

#define PAGES		8
#define SOME		3		/* that are changed, the first ones */
#define TRIES		4
#define LEAK_BYTES	16384		/* of the processes of all points */

struct ctx {
	struct subs subs;
	char *memory;
	char *room;		/* where there is nothing, to move to */
	size_t bytes;
	size_t some;
	int fd;			/* of a file */
	pid_t child;
};

struct call {
	const char *name;
	/* 0 or -errno */
	int (*run)(struct ctx *c);
	const char *(*prepare)(struct ctx *c);	/* before anybody is subscribed .. */
	const char *(*prepare_late)(struct ctx *c);	/* .. and afterwards */
	bool file;		/* the memory is a file's, shared */
	bool try;		/* success does not mean that anything was changed */
	bool frugal;		/* needs no memory, as a rule */
};

static int result(bool ok)
{
	return ok ? 0 : -errno;
}

static int run_munmap(struct ctx *c)
{
	return result(!munmap(c->memory, c->some));
}

/* Two mappings are made of one. */
static int run_munmap_middle(struct ctx *c)
{
	return result(!munmap(c->memory + c->some, c->some));
}

static int run_mmap_over(struct ctx *c)
{
	return result(mmap(c->memory, c->some, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
}

static int run_mremap(struct ctx *c)
{
	return result(mremap(c->memory, c->some, c->some, MREMAP_MAYMOVE | MREMAP_FIXED,
			     c->room) != MAP_FAILED);
}

static int run_mremap_shrink(struct ctx *c)
{
	return result(mremap(c->memory, c->bytes, c->some, 0) != MAP_FAILED);
}

static int run_mprotect_read(struct ctx *c)
{
	return result(!mprotect(c->memory, c->some, PROT_READ));
}

static int run_mprotect_none(struct ctx *c)
{
	return result(!mprotect(c->memory + c->some, c->some, PROT_NONE));
}

static int run_dontneed(struct ctx *c)
{
	return result(!madvise(c->memory, c->some, MADV_DONTNEED));
}

static int run_free(struct ctx *c)
{
	return result(!madvise(c->memory, c->some, MADV_FREE));
}

static int run_punch(struct ctx *c)
{
	return result(!fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, c->some));
}

static int run_truncate(struct ctx *c)
{
	return result(!ftruncate(c->fd, c->some) && !ftruncate(c->fd, c->bytes));
}

static int run_migrate(struct ctx *c)
{
	long ret = pages_move(0, c->memory, SOME, !page_node(c->memory));

	return ret < 0 ? ret : 0;
}

/* The child writes to its copy, and the devices are not to see it. */
static int run_fork(struct ctx *c)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		memset(c->memory, 0x77, c->bytes);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* Page faults: what fails in them is tried again. */
static int run_copy_on_write(struct ctx *c)
{
	memset(c->memory, 3, c->some);
	return 0;
}

static const char *with_child(struct ctx *c)
{
	c->child = fork();
	if (!c->child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return c->child < 0 ? "fork fails" : NULL;
}

static const char *with_nodes(struct ctx *c)
{
	return need_nodes();
}

static const struct call calls[] = {
	{ "munmap", run_munmap },
	{ "munmap of the middle", run_munmap_middle },
	{ "mmap over", run_mmap_over },
	{ "mremap", run_mremap },
	{ "mremap to less", run_mremap_shrink },
	{ "mprotect, read", run_mprotect_read },
	{ "mprotect, none, of the middle", run_mprotect_none },
	{ "MADV_DONTNEED", run_dontneed, .frugal = true },
	{ "MADV_FREE", run_free, .frugal = true },
	{ "fallocate, punch a hole", run_punch, .file = true, .frugal = true },
	{ "ftruncate", run_truncate, .file = true, .frugal = true },
	{ "move_pages", run_migrate, with_nodes, .try = true },
	{ "fork", run_fork },
	{ "copy on write", run_copy_on_write, .prepare_late = with_child, .try = true },
};

/* -------------------------------------------------------------- the sweep */

static int cgroup_procs = -1;

static const char *begin(struct ctx *c, const struct call *call, bool subscribed)
{
	const char *why;

	*c = (struct ctx){ .bytes = PAGES * page_size, .some = SOME * page_size };
	/* whatever waits for ever is a failure, too */
	alarm(60);
	c->fd = memfd_create("mm_fail", MFD_CLOEXEC);
	if (c->fd < 0 || ftruncate(c->fd, c->bytes))
		return "memfd_create fails";
	c->memory = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE,
			 call->file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
			 call->file ? c->fd : -1, 0);
	c->room = mmap(NULL, c->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->memory == MAP_FAILED || c->room == MAP_FAILED)
		return "mmap fails";
	munmap(c->room, c->bytes);
	memset(c->memory, 1, c->bytes);
	why = call->prepare ? call->prepare(c) : NULL;
	if (!why)
		why = subs_open(&c->subs);
	if (!why && subscribed)
		why = subs_attach(&c->subs, c->memory, PAGES);
	if (!why && call->prepare_late)
		why = call->prepare_late(c);
	if (!why && subscribed)
		why = subs_know(&c->subs);
	if (!why && !fault_open())
		why = "cannot open fail-nth";
	return why;
}

static void finish(struct ctx *c)
{
	if (c->child <= 0)
		return;
	kill(c->child, SIGKILL);
	waitpid(c->child, NULL, 0);
}

/* In a process of its own, and a cgroup */
static int try_point(const void *what, unsigned int nth)
{
	const struct call *call = what;
	const char *why = NULL;
	bool failed = false;
	struct ctx c = { };
	int ret = 0;

	if (cgroup_procs >= 0 && write(cgroup_procs, "0", 1) != 1)
		why = "cannot enter the cgroup";
	why = why ?: begin(&c, call, true);
	if (!why) {
		fault_arm(nth);
		ret = call->run(&c);
		failed = fault_disarm();
	}
	if (!why && ret && !failed)
		why = "fails though nothing failed in it";
	if (!why && ret && ret != -ENOMEM && ret != -EFAULT && ret != -EAGAIN)
		why = "fails with another error than ENOMEM, EFAULT and EAGAIN";
	if (!why)
		why = subs_coherent(&c.subs, !ret && !call->try);
	if (!why && ret && call->run(&c))
		why = "does not succeed afterwards";
	if (!why && ret)
		why = subs_coherent(&c.subs, !call->try);
	finish(&c);
	if (why) {
		printf("# %s, point %u (%s): %s\n", call->name, nth, strerror(-ret), why);
		return FAULT_WRONG;
	}
	return ret == -EFAULT ? FAULT_EFAULT : ret ? FAULT_ENOMEM :
	       failed ? FAULT_SURVIVED : FAULT_NO_MORE;
}

/* By how many points it comes, without being stopped at any */
static unsigned int points_of(const void *what, bool subscribed)
{
	unsigned int points = FAULT_MANY;
	const struct call *call = what;
	struct ctx c = { };
	const char *why = begin(&c, call, subscribed);

	if (!why) {
		fault_arm(FAULT_MANY);
		call->run(&c);
		points = fault_passed();
	} else {
		printf("# %s: %s\n", call->name, why);
	}
	finish(&c);
	return points;
}

FIXTURE(mm) {
};

FIXTURE_SETUP(mm)
{
	const char *why = fault_need();

	if (access(MMU_MIRROR_PATH, F_OK) || access("/dev/mmu_monitor", F_OK))
		SKIP(return, "no " MMU_MIRROR_PATH " or no /dev/mmu_monitor");
	if (why)
		SKIP(return, "%s", why);
	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	sysmm_init();
}

FIXTURE_TEARDOWN(mm)
{
}

static bool leave_out(struct __test_metadata *_metadata, const struct call *call)
{
	const char *why = call->prepare && getenv("MMU_MIRROR_LENIENT") ?
			  call->prepare(NULL) : NULL;

	if (why)
		TH_LOG("%s is left out: %s", call->name, why);
	return why;
}

/* One sweep, and what the kernel has of it; false if it did not come to its end */
static bool sweep_in_cgroup(const struct call *call, struct fault_sweep *s, __s64 *left)
{
	static unsigned int nr;
	char group[64];
	bool ended;

	snprintf(group, sizeof(group), "mm_fail.%d.%u", getpid(), nr++);
	cgroup_procs = cgroup_make(group);
	if (cgroup_procs < 0)
		return false;
	ended = fault_sweep(try_point, call, call->name, s);
	close(cgroup_procs);
	cgroup_procs = -1;
	*left = cgroup_left_behind(group, LEAK_BYTES);
	return ended;
}

TEST_F_TIMEOUT(mm, nothing_is_wrong, 500)
{
	struct fault_sweep s;
	unsigned int i, try;
	__s64 left;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		const struct call *call = &calls[i];

		if (leave_out(_metadata, call))
			continue;
		/* What is lost is lost each time; what somebody else keeps for a while is not. */
		left = LEAK_BYTES + 1;
		for (try = 0; try < TRIES && left > LEAK_BYTES; try++) {
			ASSERT_TRUE(sweep_in_cgroup(call, &s, &left)) {
				TH_LOG("%s: the sweep does not end", call->name);
			}
			EXPECT_EQ(s.wrong, 0u);
		}
		TH_LOG("%s: %u hits, ENOMEM from %u, EFAULT from %u, done all the same at %u",
		       call->name, s.hits, s.enomem, s.efault, s.survived);
		EXPECT_TRUE(s.hits || call->frugal);
		EXPECT_LE(left, LEAK_BYTES) {
			TH_LOG("%s: %lld bytes are left", call->name, left);
		}
	}
}

TEST_F_TIMEOUT(mm, callbacks_take_no_memory, 300)
{
	struct fault_cost cost;
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		if (leave_out(_metadata, &calls[i]))
			continue;
		fault_compare(points_of, &calls[i], calls[i].name, &cost);
		TH_LOG("%s: %u points without subscribers, %u with", calls[i].name, cost.without,
		       cost.with);
		EXPECT_LT(cost.without, FAULT_MANY);
		EXPECT_LE(cost.with, cost.without);
	}
}

TEST_HARNESS_MAIN
