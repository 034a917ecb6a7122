// SPDX-License-Identifier: GPL-2.0
/*
 * What /dev/mmu_monitor takes of the machine, and from whom: memory is charged to
 * the cgroup of who asks, watches are counted against the user, and one monitor has
 * so many and no more. Every refusal has an errno of its own, and hits the one who
 * asked too much.
 */
#include "../kselftest_harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "monitor_raw.h"
#include "sysmm.h"

#define MANY		100000u
#define SMALL		1000u
#define OPENERS		300u
#define NOBODY		65534
#define MB		(1024 * 1024)
#define LIMIT		"/proc/sys/user/max_mmu_monitor_watches"
#define MAX_WATCHES	"/sys/module/mmu_monitor/parameters/max_watches"

/* Not mapped: a watch needs no memory to be there. */
#define NOWHERE		((char *)0x100000000)

static __u64 first_word;	/* of make_watches() */

/* How many of @nr there could be; *@ret: why there are no more, or 0 */
static unsigned int make_watches(int fd, unsigned int nr, int *ret)
{
	unsigned int i;
	__u64 word;

	*ret = 0;
	for (i = 0; i < nr; i++) {
		*ret = raw_watch(fd, NOWHERE + 2 * i * page_size, page_size,
				 MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED, 0, i, &word);
		if (*ret)
			break;
		if (!i)
			first_word = word;
	}
	return i;
}

/* A line of a file that has many, such as "Percpu: 123 kB" */
static long long line_of(const char *path, const char *name)
{
	char text[8192], *at;

	if (file_read(path, text, sizeof(text)) < 0)
		return -1;
	for (at = strstr(text, name); at; at = strstr(at + 1, name))
		if (at == text || at[-1] == '\n')
			return strtoll(at + strlen(name), NULL, 10);
	return -1;
}

static long long meminfo_bytes(const char *name)
{
	return line_of("/proc/meminfo", name) * 1024;
}

FIXTURE(memory) {
	char group[32];
	char limit[32];
	int fd;
};

FIXTURE_SETUP(memory)
{
	self->fd = raw_open();
	if (self->fd == -ENOENT)
		SKIP(return, "no " MONITOR_PATH);
	ASSERT_GE(self->fd, 0);
	sysmm_init();
	snprintf(self->group, sizeof(self->group), "mmu_monitor.%d", getpid());
	ASSERT_GT(file_read(LIMIT, self->limit, sizeof(self->limit)), 0);
}

FIXTURE_TEARDOWN(memory)
{
	close(self->fd);
	if (self->limit[0])
		file_write(LIMIT, "%s", self->limit);
}

/* The cgroup grows by what the kernel's allocators do, and gets it back. */
TEST_F_TIMEOUT(memory, charged_to_the_cgroup, 120)
{
	long long charged, slab, left;
	int ret;

	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	ASSERT_EQ(cgroup_enter(self->group), 0);
	/* what is made once, for the mm and for the monitor */
	ASSERT_EQ(make_watches(self->fd, 1, &ret), 1u);
	charged = cgroup_get(self->group, "memory.current");
	slab = meminfo_bytes("SUnreclaim:");
	ASSERT_EQ(make_watches(self->fd, MANY, &ret), MANY) TH_LOG("error %d", ret);
	charged = cgroup_get(self->group, "memory.current") - charged;
	slab = meminfo_bytes("SUnreclaim:") - slab;
	TH_LOG("%u watches: charged %lld bytes for each, slab has grown by %lld for each",
	       MANY, charged / MANY, slab / MANY);
	/* a word and a node of a tree, at the very least */
	EXPECT_GE(charged, (long long)MANY * 64);
	if (memory_is_recorded())
		slab = charged;
	EXPECT_GE(charged, slab / 10 * 9);
	/* and nothing that is more than slab and words, but for some slack */
	EXPECT_LE(charged, slab + (long long)MANY * 8 + 2 * MB);

	close(self->fd);
	self->fd = -1;
	/* which may be freed after a grace period */
	EXPECT_TRUE(within_ms(10000, (left = cgroup_get(self->group, "memory.current")) <
				     charged / 10))
		TH_LOG("charged %lld, of which %lld are left", charged, left);
	cgroup_leave(self->group);
}

/* A process that does nothing, in the cgroup of its parent */
static pid_t bystander(size_t bytes)
{
	int ready[2];
	char *memory, byte;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		if (memory == MAP_FAILED || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	if (pid > 0 && read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* A cgroup that is full: the one who asks is refused, and nobody dies of it. */
TEST_F_TIMEOUT(memory, cgroup_full, 120)
{
	const volatile struct mmu_monitor_area *area;
	char max[32], path[128];
	pid_t victim, other;
	int max_fd;
	int status, ret;
	unsigned int nr;
	char *page;

	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	/* in a process of its own, so that the cgroup is empty afterwards */
	victim = fork();
	ASSERT_GE(victim, 0);
	if (!victim) {
		int fd = raw_open();

		if (fd < 0 || cgroup_enter(self->group))
			_exit(2);
		/* it has more memory than this one: it is what the OOM killer would take */
		other = bystander(4 * MB);
		if (other < 0)
			_exit(3);
		page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*page = 1;
		snprintf(max, sizeof(max), "%lld",
			 (long long)cgroup_get(self->group, "memory.current") + 2 * MB);
		cgroup_set(self->group, "memory.swap.max", "0");
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.max", self->group);
		max_fd = open(path, O_WRONLY | O_CLOEXEC);
		if (cgroup_set(self->group, "memory.max", max))
			_exit(4);
		nr = make_watches(fd, MANY, &ret);
		/* Anything else, and be it open(), may make the OOM killer come. */
		if (write(max_fd, "max", 3) != 3)
			_exit(10);
		fprintf(stderr, "# refused after %u watches: %s\n", nr, strerror(-ret));
		if (ret != -ENOMEM || !nr)
			_exit(5);
		/* those that there are work, and there can be more */
		area = raw_area(fd, page_size);
		if (area == MAP_FAILED || area->watches != nr)
			_exit(6);
		if (raw_load(area, first_word) & 1)
			_exit(7);
		if (waitpid(other, &status, WNOHANG))
			_exit(8);
		if (make_watches(fd, 10, &ret) != 10)
			_exit(9);
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
		_exit(0);
	}
	waitpid(victim, &status, 0);
	EXPECT_TRUE(WIFEXITED(status)) TH_LOG("killed by signal %d", WTERMSIG(status));
	EXPECT_EQ(WEXITSTATUS(status), 0);
	EXPECT_EQ(line_of("/sys/fs/cgroup/cgroup.procs", "none"), -1);
	cgroup_leave(self->group);
}

/* In a child, as @uid: how many watches there can be, or 0 if the error is another */
static unsigned int allowance_of(uid_t uid, int expected)
{
	unsigned int *nr = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int result;
	pid_t pid = fork();

	if (!pid) {
		int fd, ret;

		if (uid && syscall(SYS_setresuid, uid, uid, uid))
			_exit(1);
		fd = raw_open();
		if (fd >= 0)
			*nr = make_watches(fd, 2 * SMALL, &ret);
		if (ret != expected)
			*nr = 0;
		_exit(0);	/* with all of them */
	}
	waitpid(pid, NULL, 0);
	result = *nr;
	munmap(nr, page_size);
	return result;
}

TEST_F(memory, limit_of_the_user)
{
	unsigned int used;
	__u64 word;
	int fd, ret, i;
	pid_t pid;

	ASSERT_EQ(file_write(LIMIT, "%u", SMALL), 0);
	/* The last ones of a process that is gone may be ended by a worker. */
	EXPECT_TRUE(within_ms(1000, allowance_of(0, -EUSERS) >= SMALL));
	EXPECT_EQ(make_watches(self->fd, 2 * SMALL, &ret), SMALL);
	EXPECT_EQ(ret, -EUSERS);

	/* another monitor, and another process, of the same user */
	fd = raw_open();
	ASSERT_GE(fd, 0);
	EXPECT_EQ(raw_watch(fd, NOWHERE, 1, MMU_MONITOR_CLASSES, 0, 0, &word), -EUSERS);
	EXPECT_EQ(allowance_of(0, -EUSERS), 0u);
	/* another user */
	EXPECT_EQ(allowance_of(NOBODY, -EUSERS), SMALL);

	/* one back, one more */
	EXPECT_EQ(raw_unwatch(self->fd, first_word), 0);
	EXPECT_EQ(raw_watch(fd, NOWHERE, 1, MMU_MONITOR_CLASSES, 0, 0, &word), 0);
	EXPECT_EQ(raw_watch(fd, NOWHERE, 1, MMU_MONITOR_CLASSES, 0, 0, &word), -EUSERS);
	/* FLUSH gives all back, and so does close() */
	EXPECT_EQ(raw_flush(self->fd), 0);
	used = make_watches(self->fd, 2 * SMALL, &ret);
	EXPECT_EQ(used, SMALL - 1);
	close(fd);
	EXPECT_EQ(make_watches(self->fd, 10, &ret), 1u);
	EXPECT_EQ(raw_flush(self->fd), 0);

	/* so does death */
	for (i = 0; i < 20; i++) {
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			fd = raw_open();
			make_watches(fd, SMALL, &ret);
			if (i & 1)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		EXPECT_TRUE(within_ms(1000, allowance_of(0, -EUSERS) >= SMALL));
	}
}

#define MODULE		"/modules/mmu_monitor.ko"

static int load(const char *parameters)
{
	int ret, fd = open(MODULE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, parameters, 0) ? -errno : 0;
	close(fd);
	return ret;
}

TEST_F(memory, limit_of_a_monitor)
{
	struct mmu_monitor_info info;
	char number[32];
	unsigned int nr = 0;
	__u64 word = 0;
	int ret, fd;

	ASSERT_EQ(raw_info(self->fd, &info), 0);
	ASSERT_GT(file_read(MAX_WATCHES, number, sizeof(number)), 0);
	EXPECT_EQ(info.max_watches, strtoull(number, NULL, 10));
	EXPECT_GE(info.max_watches, MANY);
	EXPECT_GE(info.area_size, sizeof(struct mmu_monitor_area) + info.max_watches * 8);

	close(self->fd);
	self->fd = -1;
	if (access(MODULE, R_OK))
		SKIP(return, "no " MODULE);
	snprintf(number, sizeof(number), "max_watches=%u", SMALL);
	ASSERT_EQ(module_unload("mmu_monitor"), 0);
	EXPECT_EQ(load("max_watches=0"), -EINVAL);
	EXPECT_EQ(load(number), 0);
	fd = raw_open();
	EXPECT_GE(fd, 0);
	EXPECT_EQ(raw_info(fd, &info), 0);
	EXPECT_EQ(info.max_watches, SMALL);
	nr = make_watches(fd, 2 * SMALL, &ret);
	EXPECT_EQ(nr, SMALL);
	EXPECT_EQ(ret, -ENOSPC);
	EXPECT_EQ(raw_unwatch(fd, first_word), 0);
	EXPECT_EQ(raw_watch(fd, NOWHERE, 1, MMU_MONITOR_CLASSES, 0, 0, &word), 0);
	EXPECT_EQ(word, first_word);
	close(fd);
	EXPECT_EQ(module_unload("mmu_monitor"), 0);
	EXPECT_EQ(load(""), 0);
}

/* What the kernel has that is charged to nobody, if nobody else does anything */
static long long uncharged(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.stat", group);
	return meminfo_bytes("Slab:") - line_of(path, "slab ") +
	       meminfo_bytes("Percpu:") - line_of(path, "percpu ");
}

/* Processes with a monitor, or without: how much more of that for each */
static void openers(struct __test_metadata *_metadata, const char *group, bool with,
		    long long *more)
{
	long long percpu = meminfo_bytes("Percpu:");
	pid_t pids[OPENERS];
	int pipes[2];
	unsigned int i;
	char byte;

	ASSERT_EQ(pipe(pipes), 0);
	*more = uncharged(group);
	for (i = 0; i < OPENERS; i++) {
		pids[i] = fork();
		ASSERT_GE(pids[i], 0);
		if (!pids[i]) {
			int ret = 0, fd;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (with) {
				fd = raw_open();
				make_watches(fd, 1, &ret);
			}
			if (ret || write(pipes[1], "", 1) != 1)
				_exit(1);
			for (;;)
				pause();
		}
		ASSERT_EQ(read(pipes[0], &byte, 1), 1);
	}
	*more = (uncharged(group) - *more) / OPENERS;
	percpu = (meminfo_bytes("Percpu:") - percpu) / OPENERS;
	for (i = 0; i < OPENERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(pipes[0]);
	close(pipes[1]);
	TH_LOG("%u processes %s: %lld bytes each that nobody is charged with; %lld per CPU",
	       OPENERS, with ? "with a watch" : "without", *more, percpu);
}

/* What the kernel cannot charge must not depend on how many open the device. */
TEST_F_TIMEOUT(memory, many_openers, 120)
{
	long long without, with;

	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	ASSERT_EQ(cgroup_enter(self->group), 0);
	openers(_metadata, self->group, false, &without);	/* warms */
	openers(_metadata, self->group, false, &without);
	openers(_metadata, self->group, true, &with);
	EXPECT_TRUE(with - without <= 512 || memory_is_recorded());
	cgroup_leave(self->group);
}

TEST_HARNESS_MAIN
