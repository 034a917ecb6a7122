// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor and processes: a descriptor in the hands of another one than
 * opened it, the end of processes at any moment, and what many of them cost.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "monitor_lib.h"
#include "sysmm.h"

#define NR	16
#define ALL	MMU_MONITOR_CLASSES
#define RW	(PROT_READ | PROT_WRITE)
#define ANON	(MAP_PRIVATE | MAP_ANONYMOUS)

#define ONES	(~0ULL)

FIXTURE(process) {
	struct monitor mon;
	char *base;
	__u64 word;
};

FIXTURE_SETUP(process)
{
	int err = monitor_try_open(&self->mon);

	if (err == -ENOENT)
		SKIP(return, "no " MONITOR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	self->base = mmap(NULL, NR * page_size, RW, ANON | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->base, MAP_FAILED);
	ASSERT_EQ(monitor_try_watch(self->mon.fd, self->base, NR * page_size, MONITOR_CACHE, 0, 42,
				    &self->word), 0);
}

FIXTURE_TEARDOWN(process)
{
	monitor_close(&self->mon);
}

#define WORD()		monitor_word(&self->mon, self->word)
#define PAGE(i)		(self->base + (i) * page_size)

/*
 * What somebody gets out of a descriptor that is not his: the number of the first
 * line that was surprised, or 0.
 */
#define WANT(what) do { \
	if (!line && !(what)) \
		line = __LINE__; \
} while (0)

static int foreign(int fd, __u64 word, void *addr)
{
	unsigned char bytes[4 * sizeof(struct mmu_monitor_event)];
	struct mmu_monitor_event *e = (void *)bytes;
	struct mmu_monitor_info info = { .size = sizeof(info) };
	struct epoll_event want = { .events = EPOLLIN }, got;
	unsigned int i, nr, flags = fcntl(fd, F_GETFL);
	int ep, line = 0;

	for (nr = 0; nr < 16; nr++) {
		WANT(ioctl(fd, _IO(MMU_MONITOR_IOC, nr), &info) == -1);
		WANT(errno == ESTALE);
		WANT(ioctl(fd, _IO(MMU_MONITOR_IOC, nr), NULL) == -1);
		WANT(errno == ESTALE);
	}
	WANT(info.classes == 0 && info.area_size == 0);
	WANT(monitor_try_watch(fd, addr, page_size, ALL, 0, 0, NULL) == -ESTALE);
	WANT(monitor_try_unwatch(fd, word) == -ESTALE);
	WANT(monitor_try_rearm(fd, word, NULL) == -ESTALE);
	WANT(monitor_try_max_events(fd, 1) == -ESTALE);
	WANT(monitor_try_flush(fd) == -ESTALE);
	WANT(mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	WANT(errno == ESTALE);

	/* at once, blocking or not, as often as it is asked for; and nothing else */
	for (i = 0; i < 4; i++) {
		memset(bytes, 0xff, sizeof(bytes));
		fcntl(fd, F_SETFL, i < 2 ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
		WANT(read(fd, bytes, sizeof(bytes)) == sizeof(*e));
		WANT(e->size == sizeof(*e));
		WANT(e->type == MMU_MONITOR_FOREIGN);
		WANT(!e->classes && !e->cookie && !e->address && !e->length && !e->word);
	}
	fcntl(fd, F_SETFL, flags);
	WANT(read(fd, bytes, sizeof(*e) - 1) == -1 && errno == EINVAL);
	/* nothing is mapped as low as a word's offset */
	WANT(read(fd, (void *)(uintptr_t)word, sizeof(*e)) == -1 && errno == EFAULT);
	WANT(monitor_poll(fd, 0) == (POLLIN | POLLERR | POLLHUP));

	ep = epoll_create1(EPOLL_CLOEXEC);
	WANT(!epoll_ctl(ep, EPOLL_CTL_ADD, fd, &want));
	WANT(epoll_wait(ep, &got, 1, 0) == 1);
	WANT(got.events == (EPOLLIN | EPOLLERR | EPOLLHUP));
	close(ep);
	return line;
}

static int wait_for(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* A child's answer is told through a pipe, as an exit status has 8 bits only. */
static int child_answers(int from)
{
	int line = -1;

	if (read(from, &line, sizeof(line)) != sizeof(line))
		return -1;
	return line;
}

static void answer(int to, int line)
{
	_exit(write(to, &line, sizeof(line)) != sizeof(line));
}

/*
 * fork()
 */

static int child_of_fork(struct monitor *mon, __u64 word, char *base)
{
	const __u64 *area = (const __u64 *)mon->area;
	struct monitor own;
	__u64 mine;
	int line;

	line = foreign(mon->fd, word, base);
	if (line)
		return line;
	/* the mapping is there, and nothing in it is valid */
	WANT(monitor_word(mon, word) == ONES);
	WANT(area[0] == ONES && area[page_size / 8] == ONES);
	WANT(area[mon->area_size / 8 - 1] == ONES);
	WANT(mprotect((void *)mon->area, page_size, RW));
	/* it is not the parent's memory that changes now */
	WANT(!munmap(base, page_size));
	WANT(!madvise(base + page_size, page_size, MADV_DONTNEED));
	WANT(monitor_word(mon, word) == ONES);

	/* its own monitor works, and cannot be taken for the parent's */
	WANT(!monitor_try_open(&own));
	WANT(!monitor_try_watch(own.fd, base, NR * page_size, ALL, 0, 1, &mine));
	WANT(!(monitor_word(&own, mine) & 1));
	WANT(!madvise(base + 2 * page_size, page_size, MADV_DONTNEED));
	WANT(monitor_drain(own.fd) == 1);
	return line ?: foreign(mon->fd, word, base);
}

TEST_F(process, fork)
{
	__u64 before = WORD();
	pid_t child;
	int p[2];

	ASSERT_EQ(pipe(p), 0);
	child = fork();
	if (!child)
		answer(p[1], child_of_fork(&self->mon, self->word, self->base));
	EXPECT_EQ(child_answers(p[0]), 0);
	EXPECT_EQ(wait_for(child), 0);

	/* nothing of what the child has done is known here, nor was anything spoilt */
	EXPECT_EQ(WORD(), before);
	EXPECT_EQ(monitor_pending(&self->mon), 0);
	EXPECT_EQ(monitor_watches(&self->mon), 1);
	EXPECT_EQ(monitor_poll(self->mon.fd, 0), 0);
	ASSERT_EQ(madvise(PAGE(3), page_size, MADV_DONTNEED), 0);
	EXPECT_NE(WORD(), before);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/* The parent's events are not for the child, which has the descriptor as well. */
TEST_F(process, fork_with_events)
{
	pid_t child;
	int p[2];

	ASSERT_EQ(pipe(p), 0);
	ASSERT_EQ(madvise(PAGE(3), page_size, MADV_DONTNEED), 0);
	child = fork();
	if (!child)
		answer(p[1], foreign(self->mon.fd, self->word, self->base));
	EXPECT_EQ(child_answers(p[0]), 0);
	EXPECT_EQ(wait_for(child), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/* A child that had faulted the area in before has not kept what it saw. */
TEST_F(process, fork_of_fork)
{
	pid_t child;
	int p[2];

	ASSERT_EQ(pipe(p), 0);
	child = fork();
	if (!child) {
		pid_t grandchild;

		if (WORD() != ONES)
			answer(p[1], __LINE__);
		grandchild = fork();
		if (!grandchild)
			answer(p[1], WORD() == ONES ? foreign(self->mon.fd, self->word,
							      self->base) : __LINE__);
		_exit(wait_for(grandchild));
	}
	EXPECT_EQ(child_answers(p[0]), 0);
	EXPECT_EQ(wait_for(child), 0);
}

/* The parent goes, the child stays with a descriptor of nobody's. */
TEST_F(process, parent_exits_first)
{
	pid_t parent;
	int p[2], q[2];

	ASSERT_EQ(pipe(p), 0);
	ASSERT_EQ(pipe(q), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	parent = fork();
	if (!parent) {
		struct monitor own;
		char c;

		if (monitor_try_open(&own) ||
		    monitor_try_watch(own.fd, self->base, page_size, ALL, 0, 0, NULL) ||
		    madvise(self->base, page_size, MADV_DONTNEED))
			_exit(1);
		if (!fork()) {
			/* until it has gone */
			close(q[1]);
			if (read(q[0], &c, 1))
				_exit(1);
			answer(p[1], foreign(own.fd, self->word, self->base));
		}
		_exit(0);
	}
	EXPECT_EQ(wait_for(parent), 0);
	close(q[1]);
	EXPECT_EQ(child_answers(p[0]), 0);
	waitpid(-1, NULL, 0);
}

/* One memory: it may do all that the other one may. */
static int shares_memory(struct monitor *mon, __u64 word, char *base)
{
	__u64 before = monitor_word(mon, word);
	int line = 0;

	WANT(!(before & 1));
	WANT(!madvise(base, page_size, MADV_DONTNEED));
	WANT(monitor_word(mon, word) != before);
	WANT(monitor_drain(mon->fd) == 1);
	WANT(!monitor_try_rearm(mon->fd, word, NULL));
	WANT(!monitor_try_watch(mon->fd, base, page_size, ALL, 0, 0, NULL));
	WANT(!madvise(base, page_size, MADV_DONTNEED));
	return line;
}

static struct monitor *shared_mon;
static __u64 shared_word;
static char *shared_base;

static int in_clone(void *arg)
{
	*(int *)arg = shares_memory(shared_mon, shared_word, shared_base);
	return 0;
}

TEST_F(process, clone_vm)
{
	static char stack[65536] __attribute__((aligned(16)));
	int line = -1;
	pid_t child;

	shared_mon = &self->mon;
	shared_word = self->word;
	shared_base = self->base;
	child = clone(in_clone, stack + sizeof(stack), CLONE_VM | SIGCHLD, &line);
	ASSERT_GT(child, 0);
	EXPECT_EQ(wait_for(child), 0);
	EXPECT_EQ(line, 0);
	/* what it has left */
	EXPECT_EQ(monitor_drain(self->mon.fd), 2);
}

TEST_F(process, vfork)
{
	volatile int line = -1;
	pid_t child = vfork();

	if (!child) {
		line = shares_memory(&self->mon, self->word, self->base);
		_exit(0);
	}
	EXPECT_EQ(wait_for(child), 0);
	EXPECT_EQ(line, 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 2);
}

/*
 * exec(): the descriptor may be kept open, its memory is not. This program calls
 * itself, with what to look at.
 */
#define FOREIGN_ARG	"--foreign"

static int was_executed(int argc, char **argv)
{
	sysmm_init();
	return argc == 4 ? foreign(atoi(argv[2]), strtoull(argv[3], NULL, 0), argv) != 0 : 1;
}

static void exec_myself(int fd, __u64 word)
{
	char fds[16], words[32];
	char * const argv[] = { "/proc/self/exe", FOREIGN_ARG, fds, words, NULL };

	fcntl(fd, F_SETFD, 0);
	snprintf(fds, sizeof(fds), "%d", fd);
	snprintf(words, sizeof(words), "%llu", word);
	execv(argv[0], argv);
	_exit(100);
}

TEST_F(process, exec_of_child)
{
	__u64 before = WORD();
	pid_t child = fork();

	if (!child)
		exec_myself(self->mon.fd, self->word);
	EXPECT_EQ(wait_for(child), 0);
	EXPECT_EQ(WORD(), before);
}

/* Who opened it is the one that executes. */
TEST_F(process, exec)
{
	pid_t child = fork();

	if (!child) {
		struct monitor own;
		__u64 word;

		if (monitor_try_open(&own) ||
		    monitor_try_watch(own.fd, self->base, NR * page_size, ALL, 0, 0, &word) ||
		    madvise(self->base, page_size, MADV_DONTNEED))
			_exit(1);
		exec_myself(own.fd, word);
	}
	EXPECT_EQ(wait_for(child), 0);
}

/* After vfork() the memory is the parent's until exec, and goes on being watched. */
TEST_F(process, exec_after_vfork)
{
	__u64 before = WORD();
	pid_t child = vfork();

	if (!child)
		exec_myself(self->mon.fd, self->word);
	EXPECT_EQ(wait_for(child), 0);
	EXPECT_EQ(WORD(), before);
	ASSERT_EQ(madvise(PAGE(3), page_size, MADV_DONTNEED), 0);
	EXPECT_NE(WORD(), before);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/*
 * Passed on: pidfd_getfd() does what SCM_RIGHTS does, without a socket.
 */

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd		438
#endif

static int get_fd(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), got;

	got = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	close(pidfd);
	return got;
}

/* The receiver was there before the monitor was, and inherits nothing. */
TEST_F(process, passed_on)
{
	int q[2], p[2], fd;
	struct monitor late;
	__u64 word, before;
	pid_t child;

	ASSERT_EQ(pipe(q), 0);
	ASSERT_EQ(pipe(p), 0);
	child = fork();
	if (!child) {
		if (read(q[0], &fd, sizeof(fd)) != sizeof(fd))
			answer(p[1], __LINE__);
		fd = get_fd(getppid(), fd);
		if (fd < 0)
			answer(p[1], __LINE__);
		answer(p[1], foreign(fd, self->word, self->base));
	}
	ASSERT_EQ(monitor_try_open(&late), 0);
	ASSERT_EQ(monitor_try_watch(late.fd, self->base, NR * page_size, ALL, 0, 99, &word), 0);
	ASSERT_EQ(madvise(PAGE(3), page_size, MADV_DONTNEED), 0);
	before = monitor_word(&late, word);
	ASSERT_EQ(write(q[1], &late.fd, sizeof(late.fd)), sizeof(late.fd));
	EXPECT_EQ(child_answers(p[0]), 0);
	EXPECT_EQ(wait_for(child), 0);
	/* and it has neither taken an event nor done anything else to it */
	EXPECT_EQ(monitor_word(&late, word), before);
	EXPECT_EQ(monitor_drain(late.fd), 1);
	monitor_close(&late);
}

/* The owner's last descriptor goes, the receiver has one still. */
TEST_F(process, kept_by_another_process)
{
	int up[2], down[2], fd = -1, word;
	pid_t owner;
	char c = 'c';

	ASSERT_EQ(pipe(up), 0);
	ASSERT_EQ(pipe(down), 0);
	owner = fork();
	if (!owner) {
		struct monitor own;

		if (monitor_try_open(&own) ||
		    monitor_try_watch(own.fd, self->base, NR * page_size, ALL, 0, 0, NULL) ||
		    madvise(self->base, page_size, MADV_DONTNEED) ||
		    write(up[1], &own.fd, sizeof(own.fd)) != sizeof(own.fd) ||
		    read(down[0], &c, 1) != 1)
			_exit(1);
		monitor_close(&own);
		munmap(self->base, page_size);
		if (write(up[1], &fd, sizeof(fd)) != sizeof(fd))
			_exit(1);
		for (;;)
			pause();
	}
	ASSERT_EQ(read(up[0], &fd, sizeof(fd)), sizeof(fd));
	fd = get_fd(owner, fd);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(foreign(fd, self->word, self->base), 0);
	ASSERT_EQ(write(down[1], &c, 1), 1);
	ASSERT_EQ(read(up[0], &word, sizeof(int)), sizeof(int));
	EXPECT_EQ(foreign(fd, self->word, self->base), 0);
	ASSERT_EQ(kill(owner, SIGKILL), 0);
	EXPECT_EQ(wait_for(owner), 1000 + SIGKILL);
	/* of a process that is no more */
	EXPECT_EQ(foreign(fd, self->word, self->base), 0);
	close(fd);
}

/*
 * The end, in the middle of anything
 */

struct mess {
	struct monitor mon[2];
	char *base;
};

static void *make_a_mess(void *arg)
{
	struct mess *m = arg;
	unsigned int seed = syscall(SYS_gettid), i;
	struct mmu_monitor_event e[4];
	__u64 words[16] = { };

	for (i = 0;; i++) {
		struct monitor *mon = &m->mon[rand_r(&seed) % 2];
		char *at = m->base + rand_r(&seed) % 64 * page_size;
		size_t length = (1 + rand_r(&seed) % 8) * page_size;
		struct monitor more;

		switch (rand_r(&seed) % 10) {
		case 0:
			munmap(at, length);
			break;
		case 1:
		case 2:
			mmap(at, length, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0);
			break;
		case 3:
			madvise(at, length, MADV_DONTNEED);
			break;
		case 4:
			monitor_try_unwatch(mon->fd, words[i % 16]);
			break;
		case 5:
			monitor_read(mon->fd, e, 4);
			break;
		case 6:
			if (!(rand_r(&seed) % 16))
				monitor_try_flush(mon->fd);
			break;
		case 7:
			if (!monitor_try_open(&more)) {
				monitor_try_watch(more.fd, at, length, ALL, 0, i, NULL);
				monitor_close(&more);
			}
			break;
		default:
			monitor_try_watch(mon->fd, at, length, ALL, i % 4, i, &words[i % 16]);
		}
	}
	return NULL;
}

static void be_killed(void)
{
	struct mess m;
	pthread_t thread;
	unsigned int i;

	m.base = mmap(NULL, 80 * page_size, RW, ANON, -1, 0);
	if (m.base == MAP_FAILED || monitor_try_open(&m.mon[0]) || monitor_try_open(&m.mon[1]))
		_exit(1);
	/* one of them sleeps in read() */
	fcntl(m.mon[0].fd, F_SETFL, 0);
	for (i = 0; i < 3; i++)
		if (pthread_create(&thread, NULL, make_a_mess, &m))
			_exit(1);
	make_a_mess(&m);
}

#define REFCNT	"/sys/module/mmu_monitor/refcnt"

TEST_F_TIMEOUT(process, killed_in_the_middle, 120)
{
	unsigned int i, seed = 7;

	monitor_close(&self->mon);
	for (i = 0; i < 150; i++) {
		pid_t child = fork();

		if (!child)
			be_killed();
		usleep(rand_r(&seed) % (i % 3 ? 60000 : 8000));
		ASSERT_EQ(kill(child, SIGKILL), 0);
		ASSERT_EQ(wait_for(child), 1000 + SIGKILL);
	}
	/* nothing is left of them */
	for (i = 0; i < 1000 && file_number(REFCNT); i++)
		sleep_ms(5);
	EXPECT_EQ(file_number(REFCNT), 0);
	EXPECT_EQ(module_unload("mmu_monitor"), 0);
	EXPECT_EQ(access(MONITOR_PATH, F_OK), -1);
	EXPECT_EQ(module_load("mmu_monitor"), 0);
	ASSERT_EQ(monitor_try_open(&self->mon), 0);
	EXPECT_EQ(monitor_try_watch(self->mon.fd, self->base, page_size, ALL, 0, 0, &self->word),
		  0);
	EXPECT_EQ(madvise(self->base, page_size, MADV_DONTNEED), 0);
	EXPECT_EQ(monitor_drain(self->mon.fd), 1);
}

/*
 * The module goes at once behind a process that had watches: what cleans up behind
 * it is waited for.
 */
TEST_F_TIMEOUT(process, unloaded_behind_exit, 120)
{
	unsigned int round, i;

	monitor_close(&self->mon);
	for (round = 0; round < 20; round++) {
		pid_t child = fork();
		int err = -EAGAIN;

		if (!child) {
			for (i = 0; i < 4; i++) {
				struct monitor mon;
				unsigned int k;

				if (monitor_try_open(&mon))
					_exit(1);
				for (k = 0; k < 200; k++)
					if (monitor_try_watch(mon.fd, self->base, page_size, ALL, 0,
							      k, NULL))
						_exit(1);
			}
			_exit(0);
		}
		EXPECT_EQ(wait_for(child), 0);
		for (i = 0; i < 1000 && err == -EAGAIN; i++)
			err = module_unload("mmu_monitor");
		ASSERT_EQ(err, 0);
		ASSERT_EQ(module_load("mmu_monitor"), 0);
	}
	ASSERT_EQ(monitor_try_open(&self->mon), 0);
}

/*
 * What 10,000 descriptors of one unprivileged user cost, in many processes, a
 * watch on each: memory that the kernel cannot charge to anybody, above all.
 */
#define OPENERS		200
#define EACH		50
#define NOBODY_UID	65534

struct figures {
	__s64 free;
	__s64 slab;
	__s64 percpu;
	__s64 stack;
};

static __s64 mem_kb(const char *name)
{
	char text[8192], *line;

	if (file_read("/proc/meminfo", text, sizeof(text)) < 0)
		return -1;
	line = strstr(text, name);
	return line ? strtoll(line + strlen(name), NULL, 10) : -1;
}

static struct figures figures_now(void)
{
	return (struct figures) {
		.free = mem_kb("MemFree:"),
		.slab = mem_kb("Slab:"),
		.percpu = mem_kb("Percpu:"),
		.stack = mem_kb("KernelStack:"),
	};
}

static void open_many(int ready, int go, char *base)
{
	struct rlimit limit = { .rlim_cur = 2 * EACH + 100, .rlim_max = 2 * EACH + 100 };
	unsigned int i;
	char c = 'r';
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_NOFILE, &limit);
	if (setgroups(0, NULL) || setresgid(NOBODY_UID, NOBODY_UID, NOBODY_UID) ||
	    setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID))
		c = '-';
	if (write(ready, &c, 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	for (i = 0, c = 'o'; i < EACH; i++) {
		fd = open(MONITOR_PATH, O_RDONLY);
		if (fd < 0 || monitor_try_watch(fd, base, page_size, ALL, 0, i, NULL)) {
			c = '-';
			break;
		}
	}
	if (write(ready, &c, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(process, many_openers, 300)
{
	struct figures before, idle, open, after;
	pid_t children[OPENERS];
	int ready[2], go[2];
	unsigned int i, bad = 0;
	char c;

	monitor_close(&self->mon);
	ASSERT_EQ(pipe(ready), 0);
	ASSERT_EQ(pipe(go), 0);
	before = figures_now();
	for (i = 0; i < OPENERS; i++) {
		children[i] = fork();
		ASSERT_GE(children[i], 0);
		if (!children[i])
			open_many(ready[1], go[0], self->base);
	}
	for (i = 0; i < OPENERS; i++)
		bad += read(ready[0], &c, 1) != 1 || c != 'r';
	EXPECT_EQ(bad, 0);
	idle = figures_now();
	for (i = 0; i < OPENERS; i++)
		ASSERT_EQ(write(go[1], "g", 1), 1);
	for (i = 0; i < OPENERS; i++)
		bad += read(ready[0], &c, 1) != 1 || c != 'o';
	EXPECT_EQ(bad, 0);
	open = figures_now();
	EXPECT_GE(file_number(REFCNT), OPENERS * EACH);
	for (i = 0; i < OPENERS; i++)
		kill(children[i], SIGKILL);
	for (i = 0; i < OPENERS; i++)
		waitpid(children[i], NULL, 0);
	for (i = 0; i < 1000 && file_number(REFCNT); i++)
		sleep_ms(5);
	EXPECT_EQ(file_number(REFCNT), 0);
	/* caches of the slab's and lists of the CPUs' take a while */
	for (i = 0; i < 200; i++) {
		after = figures_now();
		if (after.slab < before.slab + 4096 && after.percpu < before.percpu + 256 &&
		    after.free > before.free - 16384)
			break;
		sleep_ms(50);
	}
	TH_LOG("kB free %lld, %lld, %lld, %lld", before.free, idle.free, open.free, after.free);
	TH_LOG("kB of slabs %lld, %lld, %lld, %lld", before.slab, idle.slab, open.slab, after.slab);
	TH_LOG("kB per CPU %lld, %lld, %lld, %lld", before.percpu, idle.percpu, open.percpu,
	       after.percpu);
	TH_LOG("%lld bytes for each of %d descriptors",
	       (idle.free - open.free) * 1024 / (OPENERS * EACH), OPENERS * EACH);
	/* nothing for each CPU, neither by descriptor nor by process */
	EXPECT_LT(open.percpu - idle.percpu, 128);
	/* a page of the area, and what a watch and a file take */
	EXPECT_LT(idle.free - open.free, OPENERS * EACH * 12);
	/* all of it comes back */
	EXPECT_TRUE(after.slab < before.slab + 4096 || memory_is_recorded());
	EXPECT_LT(after.percpu, before.percpu + 256);
	EXPECT_GT(after.free, before.free - 16384);
	ASSERT_EQ(monitor_try_open(&self->mon), 0);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], FOREIGN_ARG))
		return was_executed(argc, argv);
	return test_harness_run(argc, argv);
}
