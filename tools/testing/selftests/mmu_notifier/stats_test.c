// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers at work are seen: /sys/kernel/debug/mmu_notifier/, the tracepoints,
 * mmu_notifier_top.
 *
 * What the kernel says is compared with what was done, and with what the device
 * has counted itself. A callback that does not return has to be named within a
 * second, by the file while it lasts, and by the checker on the console.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define DIR		"/sys/kernel/debug/mmu_notifier"
#define PROCESSES	DIR "/processes"
#define RECORDING	DIR "/recording"
#define TRACEFS		"/sys/kernel/tracing"
#define INSTANCE	TRACEFS "/instances/mmu_notifier_stats"
#define EVENTS		INSTANCE "/events/mmu_notifier/"
#define SLOW_MS		"/sys/module/mmu_notifier_check/parameters/slow_ms"

#define NR		16
#define SECOND		1000000ULL
#define STUCK_US	(8 * SECOND)

static char text[1 << 20];

/*
 * The file
 */

/* The line of a process; NULL if it has none. */
static char *line_of(pid_t pid)
{
	char start[32], *line, *save = NULL;
	ssize_t len = 0, got;
	int fd = open(PROCESSES, O_RDONLY);

	if (fd < 0)
		mirror_die("no " PROCESSES);
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += got;
	close(fd);
	text[len] = '\0';
	snprintf(start, sizeof(start), "pid=%d ", pid);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, start, strlen(start)))
			return line;
	return NULL;
}

/* The value behind "key=", on the stack of nobody: good until the next call. */
static const char *word_of(const char *line, const char *key)
{
	static char value[4][128];
	static unsigned int next;
	const char *at = line;
	size_t len = strlen(key);
	char *to = value[next++ % 4];

	while (at && (at = strstr(at, key))) {
		if ((at == line || at[-1] == ' ') && at[len] == '=') {
			snprintf(to, sizeof(value[0]), "%.*s",
				 (int)strcspn(at + len + 1, "\n "), at + len + 1);
			return to;
		}
		at++;
	}
	return "";
}

static __u64 number_of(const char *line, const char *key)
{
	return strtoull(word_of(line, key), NULL, 0);
}

/* From where a subscriber's words begin. */
static const char *subscriber_of(const char *line, const char *name)
{
	char key[128];

	snprintf(key, sizeof(key), " subscriber=%s", name);
	line = line ? strstr(line, key) : NULL;
	return line ? line + 1 : "";
}

static bool recording(void)
{
	char value[8] = "";

	file_read(RECORDING, value, sizeof(value));
	return value[0] == '1';
}

static char *window_new(size_t nr)
{
	char *window = mmap(NULL, nr * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (window == MAP_FAILED)
		mirror_die("no memory");
	return window;
}

FIXTURE(stats) {
	struct mirror dev;
	char *window;
	bool recorded;
	pid_t child;
};

FIXTURE_SETUP(stats)
{
	int err = mirror_try_open(&self->dev);

	self->child = -1;
	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	need_debugfs();
	if (access(PROCESSES, R_OK))
		SKIP(return, "no " PROCESSES);
	self->recorded = recording();
	ASSERT_EQ(file_write(RECORDING, "1"), 0);
	self->window = window_new(NR);
}

FIXTURE_TEARDOWN(stats)
{
	if (self->child > 0) {
		kill(self->child, SIGKILL);
		waitpid(self->child, NULL, 0);
	}
	mirror_close(&self->dev);
	if (!self->recorded)
		file_write(RECORDING, "0");
}

/* Whoever is asked for dies with the test. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Which callbacks come, in the line of the test's own process. */
TEST_F(stats, counters)
{
	struct mmu_mirror_counters c;
	const char *before, *after;
	__u64 ranges, calls;
	unsigned int i;

	ASSERT_EQ(line_of(getpid()), NULL);
	mirror_attach(&self->dev, MMU_MIRROR_SHADOW, self->window, NR * page_size);
	before = line_of(getpid());
	ASSERT_NE(before, NULL);
	EXPECT_STREQ(word_of(before, "comm"), "stats_test");
	EXPECT_EQ(number_of(before, "subscriptions"), 1);
	EXPECT_STREQ(word_of(before, "subscriber"), "shadow_start[mmu_mirror]");
	ranges = number_of(before, "ranges");
	calls = number_of(before, "calls");

	mirror_try_counters(&self->dev, &c, MMU_MIRROR_RESET);
	for (i = 0; i < 100; i++) {
		self->window[0] = 1;
		madvise(self->window, page_size, MADV_DONTNEED);
	}
	c = mirror_counters(&self->dev);
	EXPECT_GE(c.start, 100);

	after = line_of(getpid());
	ASSERT_NE(after, NULL);
	EXPECT_EQ(number_of(after, "ranges") - ranges, c.start);
	EXPECT_EQ(number_of(after, "calls") - calls, c.start + c.end);
	EXPECT_EQ(number_of(subscriber_of(after, "shadow_start[mmu_mirror]"), "calls"),
		  number_of(after, "calls"));
	EXPECT_EQ(number_of(after, "refused"), 0);
	EXPECT_EQ(number_of(after, "in_flight"), 0);
	EXPECT_NE(strstr(word_of(after, "slowest"), "shadow_"), NULL);

	mirror_detach(&self->dev);
	EXPECT_EQ(line_of(getpid()), NULL);
}

/* Callbacks that take 20 ms each: who is charged, and with how much. */
TEST_F(stats, time)
{
	struct mirror other;
	const char *line;
	unsigned int i;

	mirror_open(&other);
	mirror_attach(&self->dev, MMU_MIRROR_SHADOW, self->window, NR * page_size);
	mirror_attach(&other, MMU_MIRROR_SVM, self->window, NR * page_size);
	mirror_delay(&other, 20000, 0);
	for (i = 0; i < 10; i++)
		madvise(self->window, page_size, MADV_DONTNEED);

	line = line_of(getpid());
	ASSERT_NE(line, NULL);
	EXPECT_EQ(number_of(line, "subscriptions"), 2);
	EXPECT_GE(number_of(subscriber_of(line, "svm_invalidate_0[mmu_mirror]"), "time_us"),
		  200000);
	EXPECT_LE(number_of(subscriber_of(line, "svm_invalidate_0[mmu_mirror]"), "time_us"),
		  5000000);
	EXPECT_LE(number_of(subscriber_of(line, "shadow_start[mmu_mirror]"), "time_us"),
		  100000);
	EXPECT_STREQ(word_of(line, "slowest"), "svm_invalidate_0[mmu_mirror]");
	EXPECT_GE(number_of(line, "slowest_us"), 20000);
	mirror_close(&other);
}

/* Without recording, the subscriptions are there, and nothing is counted. */
TEST_F(stats, off)
{
	const char *line;

	EXPECT_EQ(file_write(RECORDING, "2"), -EINVAL);
	EXPECT_EQ(file_write(RECORDING, "0"), 0);
	if (recording())
		SKIP(return, "something else records, perhaps debug_mmu_notifier=");
	mirror_attach(&self->dev, MMU_MIRROR_SVM, self->window, NR * page_size);
	madvise(self->window, page_size, MADV_DONTNEED);
	line = line_of(getpid());
	ASSERT_NE(line, NULL);
	EXPECT_EQ(number_of(line, "subscriptions"), 1);
	EXPECT_EQ(number_of(line, "ranges"), 0);
	EXPECT_EQ(number_of(line, "calls"), 0);

	EXPECT_EQ(file_write(RECORDING, "1"), 0);
	EXPECT_TRUE(recording());
	madvise(self->window, page_size, MADV_DONTNEED);
	line = line_of(getpid());
	ASSERT_NE(line, NULL);
	/* The process writes elsewhere as well, to what it shares with its parent. */
	EXPECT_GE(number_of(line, "ranges"), 1);
	EXPECT_EQ(number_of(line, "calls"), 1);
}

/*
 * A callback that does not return
 */

static void *advise(void *page)
{
	madvise(page, page_size, MADV_DONTNEED);
	return NULL;
}

/* Poll until the line of a process says that it is in a callback. */
static const char *wait_callback(pid_t pid, const char *callback, __u64 until)
{
	const char *line;

	do {
		line = line_of(pid);
		if (line && !strcmp(word_of(line, "callback"), callback))
			return line;
		sleep_ms(5);
	} while (now_us() < until);
	return NULL;
}

FIXTURE(stuck) {
	struct mirror dev;
	bool recorded;
	pid_t child;
	int kmsg;
};

FIXTURE_VARIANT(stuck) {
	unsigned int personality;
	const char *callback;
};

FIXTURE_VARIANT_ADD(stuck, start) {
	.personality = MMU_MIRROR_SHADOW,
	.callback = "shadow_start[mmu_mirror]",
};

FIXTURE_VARIANT_ADD(stuck, interval) {
	.personality = MMU_MIRROR_SVM,
	.callback = "svm_invalidate_0[mmu_mirror]",
};

/* An end, which returns when it is let go. */
FIXTURE_VARIANT_ADD(stuck, end) {
	.personality = MMU_MIRROR_SVA,
	.callback = "sva_end[mmu_mirror]",
};

FIXTURE_SETUP(stuck)
{
	struct mmu_mirror_inject inject = {};
	int err = mirror_try_open(&self->dev), go[2];
	char *window, c = 0;

	self->child = -1;
	self->kmsg = -1;
	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	need_debugfs();
	if (access(PROCESSES, R_OK))
		SKIP(return, "no " PROCESSES);
	self->recorded = recording();
	ASSERT_EQ(file_write(RECORDING, "1"), 0);
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_GE(self->kmsg, 0);
	lseek(self->kmsg, 0, SEEK_END);

	ASSERT_EQ(pipe(go), 0);
	self->child = fork_child();
	ASSERT_GE(self->child, 0);
	if (!self->child) {
		prctl(PR_SET_NAME, "stuck one");
		window = window_new(NR);
		mirror_attach(&self->dev, variant->personality, window, NR * page_size);
		if (variant->personality == MMU_MIRROR_SVA)
			inject.hold_us = STUCK_US;
		else
			inject.start_delay_us = STUCK_US;
		if (mirror_try_inject(&self->dev, &inject) || write(go[1], &c, 1) != 1)
			_exit(1);
		advise(window);
		/* once is enough */
		memset(&inject, 0, sizeof(inject));
		mirror_try_inject(&self->dev, &inject);
		for (;;)
			pause();
	}
	close(go[1]);
	ASSERT_EQ(read(go[0], &c, 1), 1);
	close(go[0]);
}

FIXTURE_TEARDOWN(stuck)
{
	if (self->child > 0) {
		kill(self->child, SIGKILL);
		waitpid(self->child, NULL, 0);
	}
	if (self->kmsg >= 0)
		close(self->kmsg);
	mirror_close(&self->dev);
	if (!self->recorded)
		file_write(RECORDING, "0");
}

TEST_F_TIMEOUT(stuck, named, 60)
{
	__u64 began = now_us(), first, then, took;
	char task[64];
	const char *line;

	line = wait_callback(self->child, variant->callback, began + 5 * SECOND);
	ASSERT_NE(line, NULL);
	took = now_us() - began;
	TH_LOG("named after %llu us: %s", took, line);
	EXPECT_LE(took, SECOND);
	EXPECT_STREQ(word_of(line, "comm"), "stuck\\040one");
	EXPECT_EQ(number_of(line, "in_flight"), 1);
	EXPECT_STREQ(word_of(line, "event"), "clear");
	snprintf(task, sizeof(task), "%d/stuck\\040one", self->child);
	EXPECT_STREQ(word_of(line, "task"), task);
	first = number_of(line, "since_us");
	EXPECT_GE(number_of(line, "age_us"), first);

	/* It grows as time does. */
	then = now_us();
	sleep_ms(500);
	line = line_of(self->child);
	ASSERT_NE(line, NULL);
	took = now_us() - then;
	EXPECT_STREQ(word_of(line, "callback"), variant->callback);
	EXPECT_GE(number_of(line, "since_us"), first + 500000);
	EXPECT_LE(number_of(line, "since_us"), first + took + SECOND);
}

/* The record that says so, if there is one already. */
static bool said(int kmsg, const char *a, const char *b)
{
	char record[1024];
	ssize_t len;

	while ((len = read(kmsg, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		if (len <= 0)
			continue;
		record[len] = '\0';
		if (strstr(record, a) && strstr(record, b))
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(stuck, warned, 60)
{
	char cmdline[4096] = "", *on, function[64], process[64];
	__u64 until;
	bool found;

	file_read("/proc/cmdline", cmdline, sizeof(cmdline));
	on = strstr(cmdline, "debug_mmu_notifier=");
	if (!on || access(SLOW_MS, R_OK))
		SKIP(return, "needs debug_mmu_notifier=slow on the kernel's command line");
	on[strcspn(on, "\n ")] = '\0';
	if (!strstr(on, "all") && !strstr(on, "slow"))
		SKIP(return, "needs debug_mmu_notifier=slow on the kernel's command line");

	snprintf(function, sizeof(function), "%.*s", (int)strcspn(variant->callback, "["),
		 variant->callback);
	snprintf(process, sizeof(process), "stuck one/%d", self->child);
	until = now_us() + (file_number(SLOW_MS) + 4000) * 1000;
	while (!(found = said(self->kmsg, function, process)) && now_us() < until)
		sleep_ms(20);
	EXPECT_TRUE(found);
}

/*
 * Processes come and go
 */

TEST_F(stats, dead)
{
	__u64 until;
	int go[2];
	char c = 0;

	ASSERT_EQ(pipe(go), 0);
	self->child = fork_child();
	if (!self->child) {
		/* The device outlives the process, as does the interval subscription. */
		mirror_attach(&self->dev, MMU_MIRROR_SVM, window_new(NR), NR * page_size);
		if (write(go[1], &c, 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(read(go[0], &c, 1), 1);
	EXPECT_NE(line_of(self->child), NULL);
	kill(self->child, SIGKILL);
	waitpid(self->child, NULL, 0);
	until = now_us() + 5 * SECOND;
	while (line_of(self->child) && now_us() < until)
		sleep_ms(10);
	EXPECT_EQ(line_of(self->child), NULL);
	self->child = -1;
}

#define MANY	60

/*
 * While the file is read in small pieces, two of three processes that are in it
 * exit. Each of the others is there, once.
 */
TEST_F_TIMEOUT(stats, vanishing, 120)
{
	static char all[1 << 18];
	unsigned int seen[MANY] = {}, i, killed = 0, lines = 0;
	pid_t pids[MANY];
	struct mirror devs[MANY];
	ssize_t len = 0, got = -1;
	char c = 0, *line, *save = NULL;
	int go[2], fd;

	ASSERT_EQ(pipe(go), 0);
	for (i = 0; i < MANY; i++) {
		mirror_open(&devs[i]);
		pids[i] = fork_child();
		ASSERT_GE(pids[i], 0);
		if (!pids[i]) {
			mirror_attach(&devs[i], i % 2 ? MMU_MIRROR_SHADOW : MMU_MIRROR_SVM,
				      self->window, page_size);
			if (write(go[1], &c, 1) != 1)
				_exit(1);
			pause();
		}
		mirror_close(&devs[i]);
		ASSERT_EQ(read(go[0], &c, 1), 1);
	}

	fd = open(PROCESSES, O_RDONLY);
	ASSERT_GE(fd, 0);
	while (len + 300 < (ssize_t)sizeof(all) && (got = read(fd, all + len, 300)) > 0) {
		len += got;
		/* in the middle of it, from both ends */
		for (i = 0; killed < MANY / 3 * 2 && i < 4; i++, killed++) {
			unsigned int nr = killed / 2 * 3 + killed % 2;

			kill(pids[nr], SIGKILL);
			waitpid(pids[nr], NULL, 0);
		}
	}
	close(fd);
	EXPECT_EQ(got, 0);
	EXPECT_EQ(killed, MANY / 3 * 2);

	for (line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		lines++;
		for (i = 0; i < MANY; i++)
			seen[i] += number_of(line, "pid") == (__u64)pids[i];
	}
	TH_LOG("%u lines, %zd bytes", lines, len);
	for (i = 0; i < MANY; i++) {
		EXPECT_LE(seen[i], 1);
		if (i % 3 == 2) {
			EXPECT_EQ(seen[i], 1);
			kill(pids[i], SIGKILL);
			waitpid(pids[i], NULL, 0);
		}
	}
}

/*
 * Reading stops nobody
 */

struct invalidator {
	pthread_t thread;
	char *page;
	__u64 done;
	bool stop;
};

static void *invalidate(void *arg)
{
	struct invalidator *v = arg;

	while (!READ_ONCE(v->stop)) {
		madvise(v->page, page_size, MADV_DONTNEED);
		WRITE_ONCE(v->done, v->done + 1);
	}
	return NULL;
}

static __u64 done_by(struct invalidator *v)
{
	return READ_ONCE(v[0].done) + READ_ONCE(v[1].done);
}

TEST_F_TIMEOUT(stats, reading_stops_nobody, 60)
{
	struct invalidator v[2] = {};
	__u64 began, alone, beside, reads = 0;
	unsigned int i;

	mirror_attach(&self->dev, MMU_MIRROR_SHADOW, self->window, NR * page_size);
	for (i = 0; i < 2; i++) {
		v[i].page = self->window + i * page_size;
		ASSERT_EQ(pthread_create(&v[i].thread, NULL, invalidate, &v[i]), 0);
	}
	began = done_by(v);
	sleep_ms(500);
	alone = done_by(v) - began;

	began = done_by(v);
	for (i = 0; i < 500; i++) {
		__u64 until = now_us() + 1000;

		do {
			EXPECT_NE(line_of(getpid()), NULL);
			reads++;
		} while (now_us() < until);
	}
	beside = done_by(v) - began;
	for (i = 0; i < 2; i++) {
		WRITE_ONCE(v[i].stop, true);
		pthread_join(v[i].thread, NULL);
	}
	TH_LOG("%llu ranges in 500 ms, %llu beside %llu reads", alone, beside, reads);
	/* They share two CPUs with the reader. */
	EXPECT_GE(beside, alone / 10);
	EXPECT_GT(reads, 10);
}

/*
 * Tracepoints
 */

FIXTURE(trace) {
	struct mirror dev;
	char *window;
	bool recorded;
	bool made;
};

FIXTURE_SETUP(trace)
{
	int err = mirror_try_open(&self->dev);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	need_debugfs();
	if (access(TRACEFS "/instances", W_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "/events/mmu_notifier", R_OK))
		SKIP(return, "no tracepoints of MMU notifiers");
	if (mkdir(INSTANCE, 0700) && errno != EEXIST)
		SKIP(return, "no instance of tracefs");
	self->made = true;
	self->recorded = recording();
	ASSERT_EQ(file_write(INSTANCE "/buffer_size_kb", "1024"), 0);
	ASSERT_EQ(file_write(INSTANCE "/trace_clock", "mono"), 0);
	ASSERT_EQ(file_write(INSTANCE "/trace", "0"), 0);
	ASSERT_EQ(file_write(EVENTS "enable", "1"), 0);
	self->window = window_new(NR);
}

FIXTURE_TEARDOWN(trace)
{
	mirror_close(&self->dev);
	if (self->made) {
		file_write(EVENTS "enable", "0");
		rmdir(INSTANCE);
	}
}

/* What the trace has of this process: the events' names and words. */
struct events {
	unsigned int nr;
	char *at[4096];
};

static void events_of(pid_t pid, struct events *e)
{
	char own[32], *line, *save = NULL;
	ssize_t len = 0, got;
	int fd = open(INSTANCE "/trace", O_RDONLY);

	if (fd < 0)
		mirror_die("no trace");
	while ((got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += got;
	close(fd);
	text[len] = '\0';
	e->nr = 0;
	snprintf(own, sizeof(own), "pid=%d ", pid);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *event = strstr(line, "mmu_notifier_");

		if (line[0] != '#' && event && (strstr(event, own) || strstr(event, "_rmap_")) &&
		    e->nr < ARRAY_SIZE(e->at))
			e->at[e->nr++] = event + strlen("mmu_notifier_");
	}
}

/* The next one of that name from @i on that has all these words; -1: none. */
static int find_event(const struct events *e, unsigned int i, const char *name, const char *words)
{
	size_t len = strlen(name);

	for (; i < e->nr; i++) {
		char copy[256], *word, *save = NULL;
		bool all = true;

		if (strncmp(e->at[i], name, len) || e->at[i][len] != ':')
			continue;
		snprintf(copy, sizeof(copy), "%s", words);
		for (word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save))
			all = all && strstr(e->at[i], word);
		if (all)
			return i;
	}
	return -1;
}

/* In this order, and each with its words, separated by "|". */
#define EXPECT_EVENT(e, i, name, ...) ({ \
	char __words[256]; \
	int __at; \
	snprintf(__words, sizeof(__words), __VA_ARGS__); \
	__at = find_event(e, (i) + 1, name, __words); \
	if (__at < 0) \
		TH_LOG("no " name " with %s behind number %d", __words, i); \
	EXPECT_GE(__at, 0); \
	__at; \
})

TEST_F(trace, list)
{
	static struct events e;
	unsigned long start = (unsigned long)self->window, end = start + page_size;
	int i = -1;

	EXPECT_TRUE(recording());
	mirror_attach(&self->dev, MMU_MIRROR_SHADOW, self->window, NR * page_size);
	mirror_delay(&self->dev, 2000, 1000);
	madvise(self->window, page_size, MADV_DONTNEED);
	mprotect(self->window, page_size, PROT_READ);
	mirror_delay(&self->dev, 0, 0);
	munmap(self->window, page_size);
	mirror_detach(&self->dev);

	events_of(getpid(), &e);
	i = EXPECT_EVENT(&e, i, "register", "callback=shadow_start [mmu_mirror]|result=0");
	i = EXPECT_EVENT(&e, i, "range_start",
			 "start=0x%lx|end=0x%lx|event=clear|detail=drop|blockable=1|rmap=0",
			 start, end);
	i = EXPECT_EVENT(&e, i, "invalidate",
			 "callback=shadow_start [mmu_mirror]|start=0x%lx|end=0x%lx|event=clear",
			 start, end);
	if (i >= 0) {
		EXPECT_EQ(number_of(e.at[i], "blockable"), 1);
		EXPECT_STREQ(word_of(e.at[i], "result"), "0");
	}
	if (i >= 0)
		EXPECT_GE(number_of(e.at[i], "duration"), 2000000);
	i = EXPECT_EVENT(&e, i, "invalidate", "callback=shadow_end [mmu_mirror]|event=clear");
	if (i >= 0) {
		EXPECT_GE(number_of(e.at[i], "duration"), 1000000);
		/* what is 2 ms longer is the other one */
		EXPECT_LE(number_of(e.at[i], "duration"), 1000000000);
	}
	i = EXPECT_EVENT(&e, i, "range_end", "start=0x%lx|end=0x%lx|event=clear|result=0",
			 start, end);
	if (i >= 0)
		EXPECT_GE(number_of(e.at[i], "duration"), 3000000);
	i = EXPECT_EVENT(&e, i, "range_start", "start=0x%lx|event=protection_vma", start);
	i = EXPECT_EVENT(&e, i, "range_end", "start=0x%lx|event=protection_vma", start);
	i = EXPECT_EVENT(&e, i, "range_start", "start=0x%lx|event=unmap", start);
	i = EXPECT_EVENT(&e, i, "range_end", "start=0x%lx|event=unmap", start);
	i = EXPECT_EVENT(&e, i, "release", "callback=shadow_release [mmu_mirror]");
	i = EXPECT_EVENT(&e, i, "unregister", "callback=shadow_start [mmu_mirror]");

	ASSERT_EQ(file_write(EVENTS "enable", "0"), 0);
	EXPECT_EQ(recording(), self->recorded);
}

TEST_F(trace, interval)
{
	static struct events e;
	unsigned long start = (unsigned long)self->window, last = start + NR * page_size - 1;
	pthread_t thread;
	__u64 word, before;
	int i = -1;

	mirror_attach(&self->dev, MMU_MIRROR_SVM, self->window, NR * page_size);
	mirror_read(&self->dev, self->window, &word, sizeof(word));
	mirror_delay(&self->dev, 2 * SECOND, 0);
	before = mirror_counters(&self->dev).start;
	ASSERT_EQ(pthread_create(&thread, NULL, advise, self->window), 0);
	EXPECT_TRUE(within_ms(1000, mirror_counters(&self->dev).start > before));
	/* waits for what that thread is doing */
	mirror_read(&self->dev, self->window + page_size, &word, sizeof(word));
	pthread_join(thread, NULL);
	mirror_detach(&self->dev);

	events_of(getpid(), &e);
	i = EXPECT_EVENT(&e, i, "interval_insert",
			 "callback=svm_invalidate_0 [mmu_mirror]|start=0x%lx|last=0x%lx",
			 start, last);
	i = EXPECT_EVENT(&e, i, "range_start", "start=0x%lx|event=clear", start);
	EXPECT_EVENT(&e, i, "invalidate", "callback=svm_invalidate_0 [mmu_mirror]|result=0");
	EXPECT_EVENT(&e, i, "range_end", "start=0x%lx|event=clear|result=0", start);
	i = EXPECT_EVENT(&e, i, "interval_collide",
			 "callback=svm_invalidate_0 [mmu_mirror]|start=0x%lx|last=0x%lx|told=wait",
			 start, last);
	if (i >= 0)
		EXPECT_GE(number_of(e.at[i], "wait"), 50000000);
	i = EXPECT_EVENT(&e, i, "interval_remove",
			 "callback=svm_invalidate_0 [mmu_mirror]|start=0x%lx|last=0x%lx",
			 start, last);
}

/* The device faults while pages go: it is told to begin again. */
TEST_F_TIMEOUT(trace, retry, 60)
{
	static struct events e;
	struct invalidator v = { .page = self->window };
	__u64 until = now_us() + 20 * SECOND, word;
	struct mmu_mirror_counters c;
	int i = -1;

	file_write(EVENTS "enable", "0");
	file_write(EVENTS "mmu_notifier_interval_collide/enable", "1");
	mirror_attach(&self->dev, MMU_MIRROR_SVM, self->window, NR * page_size);
	ASSERT_EQ(pthread_create(&v.thread, NULL, invalidate, &v), 0);
	do {
		unsigned int nr;

		for (nr = 0; nr < 50; nr++)
			mirror_read(&self->dev, self->window, &word, sizeof(word));
		events_of(getpid(), &e);
		i = find_event(&e, 0, "interval_collide", "told=retry");
	} while (i < 0 && now_us() < until);
	WRITE_ONCE(v.stop, true);
	pthread_join(v.thread, NULL);
	EXPECT_GE(i, 0);

	events_of(getpid(), &e);
	if (e.nr < ARRAY_SIZE(e.at))
		EXPECT_EQ(number_of(line_of(getpid()), "retries"), e.nr);
	c = mirror_counters(&self->dev);
	TH_LOG("%u collisions, %llu faults begun again", e.nr, c.replays);
}

TEST_F(trace, rmap)
{
	static struct events e;
	const char *why = need_swap();
	int i = -1;

	if (why)
		SKIP(return, "%s", why);
	mirror_attach(&self->dev, MMU_MIRROR_EXPORT, self->window, NR * page_size);
	mirror_write(&self->dev, self->window, &i, sizeof(i));
	evict(self->window, 1);
	mirror_detach(&self->dev);

	events_of(getpid(), &e);
	i = EXPECT_EVENT(&e, i, "rmap_register", "callback=export_");
	i = EXPECT_EVENT(&e, i, "rmap_invalidate",
			 "callback=export_|pages=1|event=reclaim|result=0");
	i = EXPECT_EVENT(&e, i, "rmap_unregister", "callback=export_");
}

/*
 * mmu_notifier_top
 */

TEST_F(stats, top)
{
	char out[8192], *own, pid[32];
	size_t len = 0, got;
	FILE *f;

	if (access("/bin/mmu_notifier_top", X_OK))
		SKIP(return, "no /bin/mmu_notifier_top");
	mirror_attach(&self->dev, MMU_MIRROR_SHADOW, self->window, NR * page_size);
	madvise(self->window, page_size, MADV_DONTNEED);
	f = popen("/bin/mmu_notifier_top -b -n 1 -d 0.2", "r");
	ASSERT_NE(f, NULL);
	while ((got = fread(out + len, 1, sizeof(out) - 1 - len, f)) > 0)
		len += got;
	out[len] = '\0';
	EXPECT_EQ(pclose(f), 0);
	snprintf(pid, sizeof(pid), "\n%7d stats_test ", getpid());
	own = strstr(out, pid);
	EXPECT_NE(own, NULL);
	if (own)
		EXPECT_NE(strstr(own, "shadow_start[mmu_mirror]"), NULL);
	EXPECT_EQ(system("/bin/mmu_notifier_top -n 0 >/dev/null 2>&1"), 2 << 8);
}

TEST_HARNESS_MAIN
