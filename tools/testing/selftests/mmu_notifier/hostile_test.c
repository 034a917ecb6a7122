// SPDX-License-Identifier: GPL-2.0
/*
 * What a user without any right can do to others by these devices: nothing.
 *
 *  - Stall. A process whose reader of /dev/mmu_monitor is stuck in a page fault for
 *    ever, that has a queue that is full and a command that waits for the reader, delays
 *    nobody: neither the munmap(), exit and end of watches of another process, nor who
 *    truncates a file that the two share: no longer than twice as long as without that
 *    process, and 500 ms, and never longer than 2 s, on two emulated CPUs (R7).
 *  - Pin memory. What the kernel needs for watches, monitors, keys and tables is charged
 *    to the cgroup of who asks; watches have a limit by user, and keys by device; open
 *    files their own. Each limit says no with an errno, or kills who exceeded it, and
 *    afterwards the memory is back.
 *  - Read the layout of another process. A descriptor that was passed on, fdinfo, debugfs
 *    and the mappings that a child inherits tell no address.
 *
 * The *hostile* process has the uid and gid 65534 and no capabilities.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fault_lib.h"
#include "mirror_lib.h"
#include "monitor_raw.h"
#include "oom_lib.h"
#include "sysmm.h"

#define NOBODY		65534
#define LIMIT		"/proc/sys/user/max_mmu_monitor_watches"
#define UFFD		"/proc/sys/vm/unprivileged_userfaultfd"
#define DEBUGFS		"/sys/kernel/debug"
#define NOWHERE		((char *)0x100000000)	/* not mapped; a watch does not mind */

#define TIMES		10
#define NOISE_US	500000		/* who is stuck is so for ever */
#define LIMIT_US	2000000
#define SHARED_PAGES	16
#define WATCHES		200
#define EXIT_BYTES	((size_t)8 << 20)

#define CGROUP_BYTES	(8L << 20)
#define SLACK_KB	2048
#define PROCESSES	3
#define USER_WATCHES	5000
#define FILES		200
#define BYTES_PER_WATCH	1024		/* and less than that, with all that belongs to it */
#define KEYS		16384

/* In a child: without any right */
static void become_nobody(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setgroups(0, NULL) || syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) ||
	    syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY))
		_exit(99);
	/* which does away with these */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
}

/* @function as nobody, in a process of its own; true if it returned NULL */
static bool nobody_can(const char *(*function)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		const char *why;

		become_nobody();
		why = function(arg);
		if (why)
			printf("# %s (%s)\n", why, strerror(errno));
		fflush(stdout);
		_exit(!!why);
	}
	return waitpid(pid, &status, 0) == pid && !status;
}

/* ------------------------------------------------------------------ stall */

FIXTURE(stall) {
	int memfd;
	char *file;		/* shared by hostile process and victims */
	unsigned int *ready;
	pid_t hostile;
	char uffd[16];
};

FIXTURE_SETUP(stall)
{
	if (access(MONITOR_PATH, F_OK))
		SKIP(return, "no " MONITOR_PATH);
	sysmm_init();
	/* the worst that an administrator may have allowed */
	if (file_read(UFFD, self->uffd, sizeof(self->uffd)) < 0)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(file_write(UFFD, "1"), 0);
	self->memfd = memfd_create("hostile", MFD_CLOEXEC);
	ASSERT_GE(self->memfd, 0);
	ASSERT_EQ(ftruncate(self->memfd, SHARED_PAGES * page_size), 0);
	self->file = mmap(NULL, SHARED_PAGES * page_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  self->memfd, 0);
	self->ready = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(self->file, MAP_FAILED);
	ASSERT_NE(self->ready, MAP_FAILED);
}

FIXTURE_TEARDOWN(stall)
{
	if (self->hostile > 0) {
		kill(self->hostile, SIGKILL);
		waitpid(self->hostile, NULL, 0);
	}
	if (self->uffd[0])
		file_write(UFFD, "%s", self->uffd);
}

/* A page that is never there: whoever touches it, the kernel too, waits. */
static void *page_of_nobody(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	reg.range.start = (uintptr_t)page;
	reg.range.len = page_size;
	if (page == MAP_FAILED || fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	    ioctl(fd, UFFDIO_REGISTER, &reg))
		return NULL;
	return page;
}

struct stuck {
	int fd;
	void *page;
	__u64 word;
};

static void *stuck_reader(void *arg)
{
	struct stuck *s = arg;

	(void)!read(s->fd, s->page, page_size);
	return NULL;
}

static void *stuck_command(void *arg)
{
	struct stuck *s = arg;

	raw_unwatch(s->fd, s->word);
	return NULL;
}

/* Never returns. */
static void be_hostile(struct _test_data_stall *self)
{
	struct stuck s = { };
	pthread_t thread;
	unsigned int i;
	char *own;

	become_nobody();
	s.fd = raw_open();
	s.page = page_of_nobody();
	own = mmap(NULL, WATCHES * page_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (s.fd < 0 || !s.page || own == MAP_FAILED)
		_exit(1);
	memset(self->file, 1, SHARED_PAGES * page_size);
	for (i = 0; i < WATCHES; i++)
		if (raw_watch(s.fd, own + i * page_size, page_size, MMU_MONITOR_CLASSES, 0, i,
			      &s.word) ||
		    raw_watch(s.fd, self->file, SHARED_PAGES * page_size, MMU_MONITOR_CLASSES, 0, i,
			      &s.word))
			_exit(2);
	/* all watches have an event, and the limit is exceeded */
	if (raw_max_events(s.fd, WATCHES / 2) || madvise(own, WATCHES * page_size, MADV_DONTNEED))
		_exit(3);
	if (pthread_create(&thread, NULL, stuck_reader, &s))
		_exit(4);
	sleep_ms(300);
	if (pthread_create(&thread, NULL, stuck_command, &s))
		_exit(5);
	sleep_ms(100);
	__atomic_store_n(self->ready, 1, __ATOMIC_RELEASE);
	/* changes of its own memory, but not so many that it needs a CPU for itself */
	for (;;) {
		madvise(own, WATCHES * page_size, MADV_DONTNEED);
		sleep_ms(2);
	}
}

/* What is timed, each of a process that has a watch itself */
static __u64 time_truncate(struct _test_data_stall *self)
{
	__u64 began;

	memset(self->file, 1, SHARED_PAGES * page_size);
	began = now_us();
	if (ftruncate(self->memfd, 0) || ftruncate(self->memfd, SHARED_PAGES * page_size))
		return ~0ULL;
	return now_us() - began;
}

static __u64 time_munmap(struct _test_data_stall *self)
{
	char *own = mmap(NULL, EXIT_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	char *file = mmap(NULL, SHARED_PAGES * page_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, self->memfd, 0);
	__u64 began, word;
	int fd = raw_open();

	if (raw_watch(fd, own, EXIT_BYTES, MMU_MONITOR_CLASSES, 0, 0, &word) ||
	    raw_watch(fd, file, page_size, MMU_MONITOR_CLASSES, 0, 0, &word))
		return ~0ULL;
	began = now_us();
	munmap(own, EXIT_BYTES);
	munmap(file, SHARED_PAGES * page_size);
	if (raw_unwatch(fd, word))
		return ~0ULL;
	close(fd);
	return now_us() - began;
}

static __u64 time_exit(struct _test_data_stall *self)
{
	__u64 *began = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	__u64 took, word;
	pid_t pid = fork();
	int status;

	if (!pid) {
		char *own = mmap(NULL, EXIT_BYTES, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		int fd = raw_open();

		if (raw_watch(fd, own, EXIT_BYTES, MMU_MONITOR_CLASSES, 0, 0, &word) ||
		    raw_watch(fd, self->file, page_size, MMU_MONITOR_CLASSES, 0, 0, &word))
			_exit(1);
		*began = now_us();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	took = status ? ~0ULL : now_us() - *began;
	munmap(began, page_size);
	return took;
}

static void repeat(struct _test_data_stall *self, __u64 (*timed)(struct _test_data_stall *self),
		   __u64 *middle, __u64 *longest)
{
	__u64 us[TIMES];
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		us[i] = timed(self);
	*middle = median(us, TIMES);
	*longest = us[TIMES - 1];
}

TEST_F_TIMEOUT(stall, nobody_is_delayed, 120)
{
	static const struct {
		const char *name;
		__u64 (*timed)(struct _test_data_stall *self);
	} what[] = {
		{ "truncation of a shared file", time_truncate },
		{ "munmap and end of watches", time_munmap },
		{ "exit", time_exit },
	};
	__u64 before[3], middle, longest, limit;
	unsigned int i;

	for (i = 0; i < 3; i++)
		repeat(self, what[i].timed, &before[i], &longest);
	self->hostile = fork();
	ASSERT_GE(self->hostile, 0);
	if (!self->hostile)
		be_hostile(self);
	ASSERT_TRUE(within_ms(20000, __atomic_load_n(self->ready, __ATOMIC_ACQUIRE)));
	for (i = 0; i < 3; i++) {
		repeat(self, what[i].timed, &middle, &longest);
		TH_LOG("%s: median %llu us, %llu without the hostile process; %llu at most",
		       what[i].name, middle, before[i], longest);
		limit = 2 * before[i] + NOISE_US;
		EXPECT_LE(middle, limit);
		EXPECT_LE(longest, LIMIT_US);
	}
	/* It was stuck all the time; nor does it resist. */
	EXPECT_EQ(waitpid(self->hostile, NULL, WNOHANG), 0);
	kill(self->hostile, SIGKILL);
	EXPECT_TRUE(within_ms(5000, waitpid(self->hostile, NULL, WNOHANG)));
	self->hostile = 0;
}

/* ------------------------------------------------------------------- pin */

FIXTURE(pin) {
	char limit[32];
	char group[64];
	struct mirror mirror;
	struct oom_log log;
	unsigned long *count;	/* shared with children */
};

FIXTURE_SETUP(pin)
{
	if (access(MONITOR_PATH, F_OK))
		SKIP(return, "no " MONITOR_PATH);
	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	sysmm_init();
	self->mirror.fd = -1;
	ASSERT_GT(file_read(LIMIT, self->limit, sizeof(self->limit)), 0);
	snprintf(self->group, sizeof(self->group), "hostile.%d", getpid());
	self->count = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(self->count, MAP_FAILED);
}

FIXTURE_TEARDOWN(pin)
{
	oom_log_close(&self->log);
	if (self->limit[0])
		file_write(LIMIT, "%s", self->limit);
	mirror_close(&self->mirror);
	cgroup_leave(self->group);
}

static int watch_nowhere(int fd, unsigned long nr)
{
	__u64 word;

	return raw_watch(fd, NOWHERE + 2 * nr * page_size, page_size, MMU_MONITOR_CLASSES, 0, nr,
			 &word);
}

/*
 * Monitors and watches until no more are to be had, which is told by @count; then wait
 * to be killed.
 */
static void hog(unsigned long *count)
{
	struct rlimit files = { FILES, FILES };
	int fds[FILES], nr = 0, ret = 0, i;
	unsigned long watches = 0;

	setrlimit(RLIMIT_NOFILE, &files);
	become_nobody();
	while (nr < FILES && (fds[nr] = raw_open()) >= 0)
		nr++;
	if (!nr || nr == FILES || (fds[nr] != -EMFILE && fds[nr] != -ENOMEM))
		_exit(1);
	/* Whoever comes when the cgroup is full gets nothing at all. */
	__atomic_fetch_add(&count[4], 1, __ATOMIC_SEQ_CST);
	if (!within_ms(30000, __atomic_load_n(&count[4], __ATOMIC_SEQ_CST) == PROCESSES))
		_exit(3);
	for (i = 0; i < nr; i++)
		while (!(ret = watch_nowhere(fds[i], watches)))
			watches++;
	__atomic_fetch_add(&count[0], watches, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&count[ret == -ENOMEM ? 1 : ret == -EUSERS ? 2 : 3], 1,
			   __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static unsigned long stopped(const unsigned long *count)
{
	return __atomic_load_n(&count[1], __ATOMIC_SEQ_CST) +
	       __atomic_load_n(&count[2], __ATOMIC_SEQ_CST) +
	       __atomic_load_n(&count[3], __ATOMIC_SEQ_CST);
}

/* Some of these; how much the kernel's memory grows, and what remains of that, in kB */
static void hogs(struct __test_metadata *_metadata, const char *group, unsigned long *count,
		 long *grown, long *left)
{
	long before = fault_kernel_kb();
	pid_t pids[PROCESSES];
	unsigned int i;
	int procs = -1;
	char max[32];

	if (group) {
		procs = cgroup_make(group);
		ASSERT_GE(procs, 0);
		snprintf(max, sizeof(max), "%ld", CGROUP_BYTES);
		cgroup_set(group, "memory.swap.max", "0");
		ASSERT_EQ(cgroup_set(group, "memory.max", max), 0);
	}
	for (i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ASSERT_GE(pids[i], 0);
		if (!pids[i]) {
			if (procs >= 0 && write(procs, "0", 1) != 1)
				_exit(2);
			hog(count);
		}
	}
	EXPECT_TRUE(within_ms(60000, stopped(count) == PROCESSES)) {
		TH_LOG("not all of them were stopped by a limit");
	}
	*grown = fault_kernel_kb() - before;
	for (i = 0; i < PROCESSES; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	*left = fault_kernel_grown(before, SLACK_KB - 1);
	if (procs >= 0) {
		close(procs);
		EXPECT_LT(cgroup_left_behind(group, 32768), 32769);
	}
}

TEST_F_TIMEOUT(pin, cgroup_is_the_limit, 120)
{
	long grown, left;

	hogs(_metadata, self->group, self->count, &grown, &left);
	TH_LOG("%lu watches; the kernel has %ld kB more, of a cgroup of %ld kB; %ld kB are left",
	       self->count[0], grown, CGROUP_BYTES / 1024, left);
	EXPECT_EQ(self->count[1], PROCESSES) TH_LOG("they were not stopped by ENOMEM");
	EXPECT_GT(self->count[0], 1000u);
	EXPECT_LE(grown, CGROUP_BYTES / 1024 + SLACK_KB);
	EXPECT_LT(left, SLACK_KB);
}

TEST_F_TIMEOUT(pin, user_is_the_limit, 120)
{
	long grown, left;

	ASSERT_EQ(file_write(LIMIT, "%u", USER_WATCHES), 0);
	hogs(_metadata, NULL, self->count, &grown, &left);
	TH_LOG("%lu watches; the kernel has %ld kB more; %ld kB are left", self->count[0], grown,
	       left);
	EXPECT_EQ(self->count[2], PROCESSES) TH_LOG("they were not stopped by EUSERS");
	EXPECT_EQ(self->count[0], USER_WATCHES);
	EXPECT_LE(grown, USER_WATCHES * BYTES_PER_WATCH / 1024 + PROCESSES * FILES * 8 + SLACK_KB);
	EXPECT_LT(left, SLACK_KB);
	/* none of it is charged to the user any more */
	memset(self->count, 0, page_size);
	hogs(_metadata, NULL, self->count, &grown, &left);
	EXPECT_EQ(self->count[0], USER_WATCHES);
}

/* A device that somebody with rights opened: keys, which have a limit */
static const char *take_keys(void *arg)
{
	struct mirror *m = ((void **)arg)[0];
	unsigned long *count = ((void **)arg)[1];
	char *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	__u64 key;
	int ret;

	if (mirror_try_attach(m, MMU_MIRROR_REGCACHE, page, page_size))
		return "ATTACH fails";
	while (!(ret = mirror_try_register(m, page, page_size, 0, &key)))
		count[0]++;
	errno = -ret;
	return ret == -ENOSPC ? NULL : "REGISTER is refused for another reason than ENOSPC";
}

/* .. and a table of any size, in a cgroup that ends it */
static const char *take_table(void *arg)
{
	struct mirror *m = ((void **)arg)[0];
	unsigned long *count = ((void **)arg)[1];
	size_t bytes = (size_t)1 << 42, step = (size_t)2 << 20, i;
	char *memory = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			    -1, 0);
	__u64 word;
	int ret = 0;

	if (memory == MAP_FAILED || mirror_try_attach(m, MMU_MIRROR_SHADOW, memory, bytes))
		return "ATTACH fails";
	for (i = 0; i < bytes && !ret; i += step) {
		ret = mirror_try_read(m, memory + i, &word, sizeof(word), 0);
		count[0] += !ret;
	}
	errno = -ret;
	return ret == -ENOMEM ? NULL : ret ? "READ fails" : "nothing stops it";
}

TEST_F_TIMEOUT(pin, device_passed_on, 120)
{
	void *arg[] = { &self->mirror, self->count };
	struct oom_told told = { };
	char max[32];
	long before, grown, left;
	struct mmu_mirror_keys keys;
	int procs, status;
	pid_t pid;

	ASSERT_EQ(mirror_try_open(&self->mirror), 0);
	before = fault_kernel_kb();
	EXPECT_TRUE(nobody_can(take_keys, arg));
	EXPECT_EQ(mirror_try_keys(&self->mirror, &keys), 0);
	EXPECT_EQ(self->count[0], keys.limit);
	EXPECT_EQ(keys.limit, KEYS);
	EXPECT_EQ(keys.valid, 0u) TH_LOG("keys of a process that is dead");
	EXPECT_EQ(mirror_try_detach(&self->mirror, NULL), 0);
	TH_LOG("%lu keys, then ENOSPC", self->count[0]);

	procs = cgroup_make(self->group);
	ASSERT_GE(procs, 0);
	snprintf(max, sizeof(max), "%ld", CGROUP_BYTES);
	cgroup_set(self->group, "memory.swap.max", "0");
	ASSERT_EQ(cgroup_set(self->group, "memory.max", max), 0);
	self->count[0] = 0;
	ASSERT_TRUE(oom_log_open(&self->log));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (write(procs, "0", 1) != 1)
			_exit(98);
		become_nobody();
		_exit(!!take_table(arg));
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	oom_log_read(&self->log, pid, NULL, &told);
	EXPECT_FALSE(told.complained);
	EXPECT_TRUE(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
	grown = fault_kernel_kb() - before;
	/* what the device still has is the process's, which is gone */
	EXPECT_EQ(mirror_try_detach(&self->mirror, NULL), 0);
	mirror_close(&self->mirror);
	left = fault_kernel_grown(before, SLACK_KB - 1);
	TH_LOG("%lu SPTEs, then %s; %ld kB more afterwards, %ld kB when the device was closed",
	       self->count[0], status ? "killed" : "ENOMEM", grown, left);
	EXPECT_GT(self->count[0], 100u);
	EXPECT_LE(grown, CGROUP_BYTES / 1024 + SLACK_KB);
	EXPECT_LT(left, SLACK_KB);
	close(procs);
	EXPECT_LT(cgroup_left_behind(self->group, 32768), 32769);
}

/* ---------------------------------------------------------------- layout */

FIXTURE(layout) {
	int fd;
	struct mirror mirror;
	const volatile struct mmu_monitor_area *area;
	char *memory;
	size_t bytes;
	__u64 word;
	pid_t owner;
	mode_t debugfs;
};

FIXTURE_SETUP(layout)
{
	struct stat st;

	if (access(MONITOR_PATH, F_OK) || access(MMU_MIRROR_PATH, F_OK))
		SKIP(return, "no " MONITOR_PATH " or no " MMU_MIRROR_PATH);
	sysmm_init();
	self->bytes = 16 * page_size;
	self->memory = mmap(NULL, self->bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT_NE(self->memory, MAP_FAILED);
	self->owner = getpid();
	self->fd = raw_open();
	ASSERT_GE(self->fd, 0);
	self->area = raw_area(self->fd, page_size);
	ASSERT_NE(self->area, MAP_FAILED);
	ASSERT_EQ(raw_watch(self->fd, self->memory, self->bytes, MMU_MONITOR_CLASSES, 0,
			    (uintptr_t)self->memory, &self->word), 0);
	/* an event that says where */
	madvise(self->memory, self->bytes, MADV_DONTNEED);
	mirror_open(&self->mirror);
	mirror_attach(&self->mirror, MMU_MIRROR_REGCACHE, self->memory, self->bytes);
	if (!need_debugfs() && !stat(DEBUGFS, &st))
		self->debugfs = st.st_mode & 07777;
}

FIXTURE_TEARDOWN(layout)
{
	if (self->debugfs)
		chmod(DEBUGFS, self->debugfs);
	close(self->fd);
	mirror_close(&self->mirror);
}

static bool is_inside(struct _test_data_layout *self, __u64 value)
{
	return value >= (uintptr_t)self->memory &&
	       value < (uintptr_t)self->memory + self->bytes;
}

/* Does it contain a number, in any base, that is an address of the owner's? */
static bool tells_text(struct _test_data_layout *self, const char *text)
{
	const char *at;

	for (at = text; *at; at++)
		if (is_inside(self, strtoull(at, NULL, 16)) ||
		    is_inside(self, strtoull(at, NULL, 10)))
			return true;
	return false;
}

static bool tells(struct _test_data_layout *self, const void *bytes, size_t size)
{
	size_t i;
	__u64 value;

	for (i = 0; i + sizeof(value) <= size; i += 4) {
		memcpy(&value, (const char *)bytes + i, sizeof(value));
		if (is_inside(self, value))
			return true;
	}
	return false;
}

static const char *monitor_tells(void *arg)
{
	struct _test_data_layout *self = arg;
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	char text[1024], path[64];
	struct mmu_monitor_event e;
	struct mmu_monitor_info info;
	__u64 word;
	unsigned int i;

	if (raw_info(self->fd, &info) != -ESTALE ||
	    raw_watch(self->fd, self->memory, 1, MMU_MONITOR_CLASSES, 0, 0, &word) != -ESTALE ||
	    raw_unwatch(self->fd, self->word) != -ESTALE ||
	    raw_rearm(self->fd, self->word) != -ESTALE ||
	    raw_eventfd(self->fd, -1) != -ESTALE || raw_flush(self->fd) != -ESTALE)
		return "a foreign process is not refused a command";
	for (i = 0; i < 3; i++) {
		memset(&e, 0, sizeof(e));
		if (raw_read(self->fd, &e, 1) != 1 || e.type != MMU_MONITOR_FOREIGN ||
		    tells(self, &e, sizeof(e)))
			return "a foreign process reads an event";
	}
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		return "a foreign process polls";
	if (raw_area(self->fd, page_size) != MAP_FAILED || errno != ESTALE)
		return "a foreign process maps the area";
	for (i = 0; i < page_size / 8; i++)
		if (~((const volatile __u64 *)self->area)[i])
			return "a child sees words of its parent's";
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->fd);
	if (file_read(path, text, sizeof(text)) > 0 && tells_text(self, text))
		return "fdinfo of a passed descriptor tells an address";
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", self->owner, self->fd);
	if (file_read(path, text, sizeof(text)) != -EACCES)
		return "fdinfo of another user's process can be read";
	return NULL;
}

static const char *mirror_tells(void *arg)
{
	struct _test_data_layout *self = arg;
	struct mirror *m = &self->mirror, other;
	struct mmu_mirror_counters counters;
	struct mmu_mirror_check check;
	struct mmu_mirror_keys keys;
	char text[1024], path[64];
	__u64 word, key;

	if (mirror_try_open(&other) != -EACCES)
		return MMU_MIRROR_PATH " can be opened by everybody";
	if (mirror_try_read(m, self->memory, &word, 8, 0) != -EPERM ||
	    mirror_try_read(m, self->memory, &word, 8, MMU_MIRROR_NOFAULT) != -EPERM ||
	    mirror_try_write(m, self->memory, &word, 8, 0) != -EPERM ||
	    mirror_try_add(m, self->memory, 1, &word, 0) != -EPERM ||
	    mirror_try_register(m, self->memory, page_size, 0, &key) != -EPERM ||
	    mirror_try_window(m, self->memory, page_size) != -EPERM ||
	    mirror_try_check(m, NULL, 0, &check) != -EPERM || tells(self, &check, sizeof(check)))
		return "a foreign process uses the device";
	if (mirror_try_counters(m, &counters, 0) || tells(self, &counters, sizeof(counters)))
		return "COUNTERS tells an address";
	if (mirror_try_keys(m, &keys) || tells(self, &keys, sizeof(keys)))
		return "KEYS tells an address";
	if (mmap(NULL, page_size, PROT_READ, MAP_SHARED, m->fd, 0) != MAP_FAILED)
		return "a foreign process maps the device";
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", m->fd);
	if (file_read(path, text, sizeof(text)) > 0 && tells_text(self, text))
		return "fdinfo of a passed descriptor tells an address";
	return NULL;
}

static const char * const files_of_root[] = {
	DEBUGFS "/mmu_notifier/processes",
	DEBUGFS "/mmu_notifier/recording",
	DEBUGFS "/tracing/trace",
	DEBUGFS "/tracing/trace_pipe",
	DEBUGFS "/tracing/events/mmu_notifier/enable",
};

/* Even where debugfs has been opened to all, as is done now and then */
static const char *debugfs_tells(void *arg)
{
	static char text[256];
	unsigned int i;
	int fd;

	for (i = 0; i < sizeof(files_of_root) / sizeof(*files_of_root); i++) {
		fd = open(files_of_root[i], O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno == EACCES)
			continue;
		snprintf(text, sizeof(text), "%s can be opened by everybody", files_of_root[i]);
		return text;
	}
	return NULL;
}

TEST_F(layout, of_a_monitor_passed_on)
{
	EXPECT_TRUE(nobody_can(monitor_tells, self));
}

TEST_F(layout, of_a_mirror_passed_on)
{
	EXPECT_TRUE(nobody_can(mirror_tells, self));
}

TEST_F(layout, in_debugfs)
{
	unsigned int i;

	if (!self->debugfs)
		SKIP(return, "no debugfs");
	for (i = 0; i < sizeof(files_of_root) / sizeof(*files_of_root); i++)
		ASSERT_EQ(access(files_of_root[i], F_OK), 0) TH_LOG("file %u is not there", i);
	EXPECT_TRUE(nobody_can(debugfs_tells, self));
	/* the files by themselves; those of tracing are the kernel's own */
	ASSERT_EQ(chmod(DEBUGFS, 0755), 0);
	EXPECT_TRUE(nobody_can(debugfs_tells, self));
}

TEST_HARNESS_MAIN
