// SPDX-License-Identifier: GPL-2.0
/*
 * Out of memory: the OOM killer, and the OOM reaper behind it, take a process that
 * everybody is subscribed to.
 *
 * The *victim* has a list subscription (shadow), an interval (svm), an exporter whose
 * pages another process has imported (external reverse maps), and a watch of
 * /dev/mmu_monitor. A thread of its sleeps in the list's callback, for a range that
 * touches none of them, so that it cannot die at once and the reaper comes, two seconds
 * after the killer. The reaper may not sleep. In each variant somebody *refuses*, for
 * as long as it asks, or nobody does. An exporter refuses by itself, as nodes would have
 * to be asked.
 *
 * The kill comes from a cgroup that is full, or from a machine that is: then the *eater*
 * takes all there is, and the victim is chosen for its oom_score_adj, not its size.
 *
 * Whoever refuses, the victim is gone soon after its thread woke up, everybody was told
 * of the end, nobody waits for a range that was refused, and the memory is back. The
 * kernel's log names the callback that refused, and does not fill up with that.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "fault_lib.h"
#include "mirror_lib.h"
#include "monitor_raw.h"
#include "oom_lib.h"
#include "sysmm.h"

#define NR		16
#define HOLD_US		10000000	/* the longest there is; twice that for a full machine */
#define REAPER_US	6000000	/* 2 seconds; 1 more if it is refused; and to come at all */
#define GRACE_MS	30000
#define DEATH_US	10000000	/* after the thread woke up */
#define FOOD		((size_t)64 << 20)
#define CGROUP_MAX	"32M"
#define VICTIM_ADJ	"1000"
#define EATER_ADJ	"0"		/* all of memory is as much as 1000 is worth */
#define LEAK_KB		1500		/* of the whole machine */
#define LEAK_BYTES	65536		/* of the cgroup, where others' objects may be */
#define HUGEPAGES	"/proc/sys/vm/nr_hugepages"
#define LEFT_MB		160
#define SHRINKS		10		/* if there is still more than that */
#define FULL_MS		(6 * GRACE_MS)	/* 43 MB/s with KASAN, if it could not be made small */
#define NEAR_MB		40		/* more than the victim and its importer take */
#define ALWAYS		0x7fffffff
#define REFUSALS	300
#define MESSAGES	20		/* and not more in 5 seconds: 10 of each half */

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

enum who { NOBODY, LIST, INTERVAL, EXPORT };

/* How the kernel names the callback, before " would have to sleep" */
static const char * const callback_of[] = {
	[LIST] = "shadow_start [mmu_mirror]",
	[INTERVAL] = "svm_invalidate_0 [mmu_mirror]",
	[EXPORT] = "export_start [mmu_mirror]",
};

/* Between processes */
struct shared {
	unsigned int ready;		/* the victim is, to be killed */
	unsigned int imported;		/* the importer has SPTEs, or an error */
	unsigned int near;		/* the eater has eaten nearly all there is */
	unsigned int stop;		/* the eater */
	__u64 asleep_us;		/* since when the victim's thread is */
};

FIXTURE(oom) {
	struct mirror list;
	struct mirror interval;
	struct mirror exporter;
	struct mirror importer;
	char *window;
	char *apart;		/* never touched: kcompactd, say, has no ranges there */
	struct shared *shared;
	struct oom_log log;
	char swap[64];
	char hugepages[32];
	char group[32];
	pid_t victim;
	pid_t importing;
	pid_t eater;
};

FIXTURE_VARIANT(oom) {
	enum who refuses;
	bool global;
};

#define OOM(_name, _refuses, _global) \
	FIXTURE_VARIANT_ADD(oom, _name) { .refuses = (_refuses), .global = (_global) }

OOM(cgroup, NOBODY, false);
OOM(cgroup_list_refuses, LIST, false);
OOM(cgroup_interval_refuses, INTERVAL, false);
OOM(cgroup_export_refuses, EXPORT, false);
OOM(global, NOBODY, true);
OOM(global_list_refuses, LIST, true);
OOM(global_interval_refuses, INTERVAL, true);

/* Not the tests, and not the harness. */
__attribute__((constructor)) static void protect(void)
{
	file_write("/proc/self/oom_score_adj", "-1000");
}

static void adjust(const char *adj)
{
	if (file_write("/proc/self/oom_score_adj", "%s", adj))
		_exit(1);
}

/* Without swap the machine is full earlier. What there was is put back. */
static void swap_off(char *swap)
{
	char text[512], *line;

	if (file_read("/proc/swaps", text, sizeof(text)) < 0)
		return;
	line = strchr(text, '\n');
	if (line && sscanf(line + 1, "%63s", swap) == 1 && swapoff(swap))
		swap[0] = '\0';
}

static long meminfo_mb(const char *name)
{
	char text[4096], *at;

	if (file_read("/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, name);
	return at ? atol(at + strlen(name)) / 1024 : 0;
}

/*
 * To be full soon, the machine is made small: huge pages that nobody uses take no time to
 * be had, as nobody clears them. All of them are not to be had at once, where others are
 * still to free what they held. Returns how many MB are left.
 */
static long shrink_machine(char *before)
{
	char now[32];
	long mb = 0;
	int i;

	if (file_read(HUGEPAGES, before, 32) <= 0)
		before[0] = '\0';
	for (i = 0; i < SHRINKS; i++) {
		file_write("/proc/sys/vm/drop_caches", "3");
		file_write("/proc/sys/vm/compact_memory", "1");
		mb = meminfo_mb("MemAvailable:");
		if (mb < LEFT_MB + NEAR_MB || file_read(HUGEPAGES, now, sizeof(now)) <= 0)
			break;
		file_write(HUGEPAGES, "%ld",
			   atol(now) + (mb - LEFT_MB) / (long)(huge_size >> 20));
		sleep_ms(500);
	}
	return mb;
}

FIXTURE_SETUP(oom)
{
	int err = mirror_try_open(&self->list);

	if (err == -ENOENT || access(MONITOR_PATH, F_OK))
		SKIP(return, "no " MMU_MIRROR_PATH " or no " MONITOR_PATH);
	ASSERT_EQ(err, 0);
	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	sysmm_init();
	mirror_open(&self->interval);
	mirror_open(&self->exporter);
	mirror_open(&self->importer);
	self->window = mmap(NULL, (NR + 1) * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->window, MAP_FAILED);
	self->apart = self->window + NR * page_size;
	self->shared = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	ASSERT_NE(self->shared, MAP_FAILED);
	ASSERT_TRUE(oom_log_open(&self->log));
	snprintf(self->group, sizeof(self->group), "oom.%d", getpid());
}

FIXTURE_TEARDOWN(oom)
{
	pid_t pids[] = { self->victim, self->importing, self->eater };
	unsigned int i;

	for (i = 0; i < sizeof(pids) / sizeof(*pids); i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	if (self->hugepages[0])
		file_write(HUGEPAGES, "%s", self->hugepages);
	if (self->swap[0])
		swapon(self->swap, 0);
	oom_log_close(&self->log);
	cgroup_leave(self->group);
}

struct drop {
	char *addr;
	struct shared *shared;
	bool go;
};

static void *drop(void *arg)
{
	struct drop *d = arg;

	while (!__atomic_load_n(&d->go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	d->shared->asleep_us = now_us();
	madvise(d->addr, page_size, MADV_DONTNEED);
	/* The end of a thread is a change of memory, too. */
	for (;;)
		pause();
	return NULL;
}

/* Never returns. */
static void be_victim(struct _test_data_oom *self, enum who refuses, bool eat, bool long_hold)
{
	struct mmu_mirror_inject hold = {
		.start_delay_us = HOLD_US,
		.delay_at = (uintptr_t)self->apart,
	}, refuse = { }, more = hold;
	struct drop d = { .addr = self->apart, .shared = self->shared };
	size_t bytes = NR * page_size;
	static char buf[1 << 20];
	pthread_t thread;
	__u64 word;
	char *food;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	adjust(VICTIM_ADJ);
	food = mmap(NULL, FOOD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = raw_open();
	if (pthread_create(&thread, NULL, drop, &d) || food == MAP_FAILED || fd < 0)
		_exit(1);
	memset(self->window, 1, bytes);
	mirror_attach(&self->list, MMU_MIRROR_SHADOW, self->window, bytes);
	mirror_attach(&self->interval, MMU_MIRROR_SVM, self->window, bytes);
	mirror_attach(&self->exporter, MMU_MIRROR_EXPORT, self->window, bytes);
	mirror_read(&self->list, self->window, buf, bytes);
	mirror_read(&self->interval, self->window, buf, bytes);
	if (raw_watch(fd, self->window, bytes, MMU_MONITOR_CLASSES, 0, 0, &word))
		_exit(1);
	/* Only an importer that has SPTEs makes an exporter refuse. */
	__atomic_store_n(&self->shared->imported, 1, __ATOMIC_RELEASE);
	if (!within_ms(GRACE_MS, __atomic_load_n(&self->shared->imported, __ATOMIC_ACQUIRE) != 1))
		_exit(1);
	mirror_engine_start(&self->interval, MMU_MIRROR_ENGINE_READ, NULL, 0);

	if (refuses == LIST)
		hold.refuse = ALWAYS;
	else if (refuses == INTERVAL)
		refuse.refuse = ALWAYS;
	if (mirror_try_inject(&self->list, &hold) || mirror_try_inject(&self->interval, &refuse))
		_exit(1);
	/* Both callbacks, one after the other: a machine is not full so soon. */
	if (long_hold && mirror_try_inject(&self->exporter, &more))
		_exit(1);
	__atomic_store_n(&d.go, true, __ATOMIC_RELEASE);
	if (!within_ms(GRACE_MS, mirror_in_range(&self->list) || mirror_in_range(&self->exporter)))
		_exit(1);
	__atomic_store_n(&self->shared->ready, 1, __ATOMIC_RELEASE);
	/* until the cgroup is full */
	if (eat)
		memset(food, 1, FOOD);
	for (;;)
		pause();
}

/*
 * Reads all of the victim's memory, so that there are SPTEs of it, or none at all: again and
 * again, as they are gone when kcompactd has migrated a page.
 */
static void be_importer(struct _test_data_oom *self, bool use)
{
	static char buf[1 << 20];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!within_ms(GRACE_MS, __atomic_load_n(&self->shared->imported, __ATOMIC_ACQUIRE)))
		_exit(1);
	if (mirror_try_import(&self->importer, &self->exporter))
		_exit(2);
	if (use && mirror_try_read(&self->importer, self->window, buf, NR * page_size, 0))
		_exit(3);
	__atomic_store_n(&self->shared->imported, 2, __ATOMIC_RELEASE);
	while (use) {
		mirror_try_read(&self->importer, self->window, buf, NR * page_size, 0);
		sleep_ms(10);
	}
	for (;;)
		pause();
}

/*
 * It waits when there is little left, until the victim is ready: what comes then is not
 * to take long.
 */
static void be_eater(struct _test_data_oom *self, long near_mb)
{
	size_t bytes = (size_t)sysconf(_SC_PHYS_PAGES) * page_size * 2, i;
	char *food;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	adjust(EATER_ADJ);
	/* Otherwise reclaim looks for something in it, for a long time. */
	if (mlockall(MCL_FUTURE | MCL_ONFAULT))
		_exit(1);
	food = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (food == MAP_FAILED)
		_exit(1);
	for (i = 0; i < bytes; i += page_size) {
		food[i] = 1;
		if (__atomic_load_n(&self->shared->stop, __ATOMIC_ACQUIRE))
			break;
		if (i % (1 << 20) || self->shared->near ||
		    meminfo_mb("MemAvailable:") > near_mb)
			continue;
		__atomic_store_n(&self->shared->near, 1, __ATOMIC_RELEASE);
		if (!within_ms(2 * GRACE_MS,
			       __atomic_load_n(&self->shared->ready, __ATOMIC_ACQUIRE)))
			_exit(2);
	}
	_exit(0);
}

/*
 * What is available is a guess. An eater that is killed for the last of it never gets
 * near, and what it had is there again; the next one waits earlier.
 */
static bool fill_machine(struct _test_data_oom *self)
{
	unsigned int *near = &self->shared->near;
	long near_mb;
	bool dead;

	for (near_mb = NEAR_MB; near_mb < LEFT_MB; near_mb += NEAR_MB) {
		self->eater = fork();
		if (!self->eater)
			be_eater(self, near_mb);
		if (self->eater < 0)
			return false;
		dead = false;
		within_ms(FULL_MS, __atomic_load_n(near, __ATOMIC_ACQUIRE) ||
			  (dead = waitpid(self->eater, NULL, WNOHANG) == self->eater));
		if (!dead)
			return __atomic_load_n(near, __ATOMIC_ACQUIRE);
		self->eater = 0;
		__atomic_store_n(near, 0, __ATOMIC_RELEASE);
	}
	return false;
}

/* Neither a reader nor a remover waits for a range that was refused. */
static void nothing_hangs(struct __test_metadata *_metadata, struct _test_data_oom *self)
{
	pid_t remover;
	int status;

	remover = fork();
	ASSERT_GE(remover, 0);
	if (!remover)
		_exit(mirror_try_detach(&self->interval, NULL) ||
		      mirror_try_detach(&self->exporter, NULL) ||
		      mirror_try_detach(&self->list, NULL));
	EXPECT_TRUE(within_ms(GRACE_MS, waitpid(remover, &status, WNOHANG) == remover)) {
		TH_LOG("the end of a subscription waits for a refused range");
		kill(remover, SIGKILL);
		return;
	}
	EXPECT_EQ(status, 0);
}

static void is_balanced(struct __test_metadata *_metadata, struct mirror *m, const char *name)
{
	struct mmu_mirror_counters c = mirror_counters(m);

	EXPECT_EQ(c.unbalanced, 0u) TH_LOG("%s", name);
	EXPECT_EQ(c.in_flight, 0u) TH_LOG("%s", name);
	EXPECT_EQ(c.mapped, 0u) TH_LOG("%s", name);
	EXPECT_EQ(c.exported, 0u) TH_LOG("%s", name);
	if (c.end)
		EXPECT_EQ(c.start, c.end + c.refused) TH_LOG("%s", name);
}

TEST_F_TIMEOUT(oom, victim_dies, 300)
{
	__u64 hold_us = variant->global ? 2 * HOLD_US : HOLD_US, word, woke, died;
	struct oom_told told = { };
	bool in_time;
	int status;
	long kb, mb = 0;

	if (variant->global) {
		swap_off(self->swap);
		mb = shrink_machine(self->hugepages);
	}
	kb = fault_kernel_kb();
	if (variant->global) {
		ASSERT_TRUE(fill_machine(self)) {
			TH_LOG("the machine is not full: of %ld MB %ld are left", mb,
			       meminfo_mb("MemAvailable:"));
		}
	}
	self->importing = fork();
	ASSERT_GE(self->importing, 0);
	if (!self->importing)
		be_importer(self, variant->refuses == EXPORT);
	self->victim = fork();
	ASSERT_GE(self->victim, 0);
	if (!self->victim) {
		if (cgroup_enter(self->group))
			_exit(1);
		cgroup_set(self->group, "memory.swap.max", "0");
		if (!variant->global && cgroup_set(self->group, "memory.max", CGROUP_MAX))
			_exit(1);
		be_victim(self, variant->refuses, !variant->global, variant->global);
	}
	ASSERT_TRUE(within_ms(GRACE_MS, __atomic_load_n(&self->shared->ready, __ATOMIC_ACQUIRE)));

	/* It takes until its thread wakes up, and no longer. */
	EXPECT_TRUE(within_ms(hold_us / 1000 + GRACE_MS,
			      waitpid(self->victim, &status, WNOHANG) == self->victim)) {
		TH_LOG("the victim lives");
		return;
	}
	died = now_us();
	__atomic_store_n(&self->shared->stop, 1, __ATOMIC_RELEASE);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (self->eater > 0) {
		waitpid(self->eater, NULL, 0);
		self->eater = 0;
	}
	oom_log_read(&self->log, self->victim, callback_of[variant->refuses], &told);
	woke = self->shared->asleep_us + hold_us;
	TH_LOG("killed %lld ms before its thread can go on, dead %lld ms after; %s; %u messages",
	       ((long long)woke - (long long)told.killed_us) / 1000,
	       ((long long)died - (long long)woke) / 1000,
	       told.reaped ? "reaped" : told.refused ? "the reaper was refused" : "not reaped",
	       told.messages);
	self->victim = 0;

	EXPECT_TRUE(told.killed) TH_LOG("not by the OOM killer");
	EXPECT_FALSE(told.complained);
	EXPECT_LT(died, (told.killed_us > woke ? told.killed_us : woke) + DEATH_US);
	/* On a slow machine it takes a while to have everything. */
	in_time = told.killed_us + REAPER_US < woke;
	if (!in_time) {
		TH_LOG("killed too late for the reaper to come before the thread wakes up");
	} else if (variant->refuses == NOBODY) {
		EXPECT_TRUE(told.reaped);
	} else {
		EXPECT_TRUE(told.refused);
		EXPECT_GT(told.messages, 0u);
		EXPECT_TRUE(told.named) TH_LOG("nobody says %s", callback_of[variant->refuses]);
	}
	EXPECT_FALSE(told.unnamed);
	/* A lock may be taken just then, so that somebody refuses who was not asked to. */
	EXPECT_LE(told.messages, mirror_counters(&self->list).refused +
		  mirror_counters(&self->interval).refused +
		  mirror_counters(&self->exporter).refused);

	EXPECT_TRUE(within_ms(GRACE_MS, mirror_counters(&self->list).release == 1));
	EXPECT_TRUE(within_ms(GRACE_MS, mirror_counters(&self->exporter).release == 1));
	if (in_time)
		EXPECT_GT(mirror_counters(&self->list).nonblock, 0u);
	if (in_time && variant->refuses == LIST)
		EXPECT_GT(mirror_counters(&self->list).refused, 0u);
	if (in_time && variant->refuses == INTERVAL)
		EXPECT_GT(mirror_counters(&self->interval).refused, 0u);
	if (in_time && variant->refuses == EXPORT)
		EXPECT_GT(mirror_counters(&self->exporter).refused, 0u);
	/* as it was left, not as the end of an attachment tidies it up */
	is_balanced(_metadata, &self->list, "list");
	is_balanced(_metadata, &self->interval, "interval");
	is_balanced(_metadata, &self->exporter, "exporter");
	nothing_hangs(_metadata, self);

	/* the importer lives, and has nothing */
	EXPECT_EQ(waitpid(self->importing, &status, WNOHANG), 0);
	EXPECT_EQ(mirror_counters(&self->importer).mapped, 0u);
	EXPECT_EQ(mirror_try_detach(&self->importer, NULL), 0);
	kill(self->importing, SIGKILL);
	waitpid(self->importing, NULL, 0);
	self->importing = 0;
	/* they may be attached again, and see what the CPU sees */
	EXPECT_EQ(mirror_try_attach(&self->list, MMU_MIRROR_SHADOW, self->window,
				    NR * page_size), 0);
	memset(self->window, 2, NR * page_size);
	EXPECT_EQ(mirror_try_read(&self->list, self->window, &word, sizeof(word), 0), 0);
	EXPECT_EQ(word, 0x0202020202020202ULL);
	mirror_close(&self->importer);
	mirror_close(&self->exporter);
	mirror_close(&self->interval);
	mirror_close(&self->list);

	EXPECT_LE(cgroup_left_behind(self->group, LEAK_BYTES), LEAK_BYTES);
	EXPECT_LE(fault_kernel_grown(kb, LEAK_KB), LEAK_KB);
}

/*
 * Refused again and again, as by process_mrelease(), which anybody may call for a
 * process of one's own: the log must not fill up.
 */
TEST_F_TIMEOUT(oom, messages, 90)
{
	unsigned int refused = 0, i;
	struct oom_told told = { };
	__u64 began, took;
	int fd, err;

	if (variant->refuses == NOBODY)
		SKIP(return, "nobody refuses");
	if (variant->global)
		SKIP(return, "whose memory is full makes no difference, see cgroup_*");
	/* what was told of lately is not forgotten yet */
	sleep_ms(5100);
	self->importing = fork();
	ASSERT_GE(self->importing, 0);
	if (!self->importing)
		be_importer(self, variant->refuses == EXPORT);
	self->victim = fork();
	ASSERT_GE(self->victim, 0);
	if (!self->victim)
		be_victim(self, variant->refuses, false, false);
	ASSERT_TRUE(within_ms(GRACE_MS, __atomic_load_n(&self->shared->ready, __ATOMIC_ACQUIRE)));
	fd = syscall(SYS_pidfd_open, self->victim, 0);
	ASSERT_GE(fd, 0);
	oom_log_read(&self->log, self->victim, NULL, &told);
	told = (struct oom_told){ };
	ASSERT_EQ(kill(self->victim, SIGKILL), 0);
	began = now_us();
	for (i = 0; i < 20 * REFUSALS && refused < REFUSALS; i++) {
		err = syscall(SYS_process_mrelease, fd, 0) ? -errno : 0;
		refused += err == -EAGAIN;
		if (err == -ESRCH)
			break;
	}
	took = now_us() - began;
	close(fd);
	oom_log_read(&self->log, self->victim, callback_of[variant->refuses], &told);
	TH_LOG("refused %u times in %llu ms, of which the log tells %u", refused, took / 1000,
	       told.messages);
	EXPECT_GE(refused, REFUSALS);
	EXPECT_GT(told.messages, 0u);
	EXPECT_TRUE(told.named) TH_LOG("nobody says %s", callback_of[variant->refuses]);
	EXPECT_FALSE(told.unnamed);
	EXPECT_LE(told.messages, MESSAGES * (1 + took / 5000000));
}

TEST_HARNESS_MAIN
