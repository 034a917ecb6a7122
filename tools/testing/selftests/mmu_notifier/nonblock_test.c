// SPDX-License-Identifier: GPL-2.0
/*
 * Starts that must not sleep, and registration while a range is in flight.
 *
 * The OOM reaper, and process_mrelease(), which does the same on request, take
 * the memory of a dying process away and cannot wait: a subscriber may refuse.
 * A refused range leaves no trace (R5): who had been told already is told of
 * the end, who refused is not, and neither a device fault nor a removal waits
 * for that range ever after. Linux 6.12 forgets to undo the interval half when
 * a list subscriber refuses; they hang.
 *
 * The *victim* has three devices: one refuses, one holds the process alive (a
 * thread of its sleeps in that device's callback, in madvise(), of a range that
 * touches no device), one is a witness that agrees to everything. They are
 * opened by the test, which looks at them when the victim is as good as dead.
 * Whatever may hang is done by a process of its own, and given some time.
 *
 * Late registration: a subscription that begins while a range is between its
 * start and the change of the page table has not been told of it. It must not
 * be possible to use it before that range has ended (R1).
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "mirror_lib.h"
#include "oom_lib.h"
#include "sysmm.h"

#define NR		16
#define HOLD_US		10000000	/* the longest there is */
#define GRACE_MS	20000
#define LATE_US		300000
#define FOOD		((size_t)64 << 20)

#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

/**
 * struct stage - the victim and its devices
 * @list: of personality shadow; its callback is the one that keeps the victim.
 * @interval: of personality svm, with the engine on.
 * @witness: of personality shadow, agrees to everything.
 * @refuser: which of the first two refuses.
 * @window: what they are attached to.
 * @apart: a page behind it, which nobody ever touches: kcompactd, say, has no ranges there
 *	that it would have to sleep for as well.
 * @victim: the process.
 * @refusals: how many times it refuses, in memory shared with the victim, and
 *	not 0 when that one is ready. Ranges are asked for VMA by VMA, in order
 *	of addresses; the window's is to be among those refused.
 */
struct stage {
	struct mirror list;
	struct mirror interval;
	struct mirror witness;
	struct mirror *refuser;
	char *window;
	char *apart;
	pid_t victim;
	unsigned int *refusals;
};

static unsigned int refusals_of(struct stage *s)
{
	return __atomic_load_n(s->refusals, __ATOMIC_ACQUIRE);
}

static unsigned int count_vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned int n = 0;
	int c;

	if (!f)
		_exit(1);
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

FIXTURE(nonblock) {
	struct stage stage;
	struct oom_log log;
	char group[32];
};

FIXTURE_VARIANT(nonblock) {
	bool interval_refuses;
};

FIXTURE_VARIANT_ADD(nonblock, list_refuses) {
	.interval_refuses = false,
};

FIXTURE_VARIANT_ADD(nonblock, interval_refuses) {
	.interval_refuses = true,
};

FIXTURE_SETUP(nonblock)
{
	struct stage *s = &self->stage;
	int err = mirror_try_open(&s->list);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	mirror_open(&s->interval);
	mirror_open(&s->witness);
	s->refuser = variant->interval_refuses ? &s->interval : &s->list;
	s->window = mmap(NULL, (NR + 1) * page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(s->window, MAP_FAILED);
	s->apart = s->window + NR * page_size;
	s->refusals = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	ASSERT_NE(s->refusals, MAP_FAILED);
}

FIXTURE_TEARDOWN(nonblock)
{
	struct stage *s = &self->stage;

	oom_log_close(&self->log);
	if (s->victim > 0) {
		kill(s->victim, SIGKILL);
		waitpid(s->victim, NULL, 0);
	}
	if (self->group[0])
		cgroup_leave(self->group);
	mirror_close(&s->witness);
	mirror_close(&s->interval);
	mirror_close(&s->list);
}

struct in_thread {
	char *addr;
	size_t length;
	__u64 began;
	bool go;
};

static void *drop(void *arg)
{
	struct in_thread *t = arg;

	while (!__atomic_load_n(&t->go, __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&t->began, now_us(), __ATOMIC_RELEASE);
	madvise(t->addr, t->length, MADV_DONTNEED);
	return NULL;
}

/* Never returns. */
static void be_victim(struct stage *s, bool eat)
{
	struct mmu_mirror_inject hold = {
		.start_delay_us = HOLD_US,
		.delay_at = (uintptr_t)s->apart,
	};
	struct mmu_mirror_inject refuse = { };
	size_t length = NR * page_size;
	static char buf[1 << 20];
	struct in_thread t = { .addr = s->apart, .length = page_size };
	pthread_t thread;
	char *food;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pthread_create(&thread, NULL, drop, &t))
		_exit(1);
	/* mapped now, since the thread will keep mmap_lock */
	food = mmap(NULL, FOOD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (food == MAP_FAILED)
		_exit(1);
	memset(s->window, 1, length);
	mirror_attach(&s->list, MMU_MIRROR_SHADOW, s->window, length);
	mirror_attach(&s->interval, MMU_MIRROR_SVM, s->window, length);
	mirror_attach(&s->witness, MMU_MIRROR_SHADOW, s->window, length);
	mirror_read(&s->list, s->window, buf, length);
	mirror_read(&s->interval, s->window, buf, length);
	mirror_read(&s->witness, s->window, buf, length);
	mirror_engine_start(&s->interval, MMU_MIRROR_ENGINE_READ, NULL, 0);

	/* The list, which is told of all of the memory, makes the thread sleep. */
	if (s->refuser == &s->list)
		hold.refuse = count_vmas();
	else
		refuse.refuse = 3;
	if (mirror_try_inject(&s->list, &hold) ||
	    mirror_try_inject(&s->interval, &refuse))
		_exit(1);
	__atomic_store_n(&t.go, true, __ATOMIC_RELEASE);
	if (!within_ms(GRACE_MS, mirror_in_range(&s->list)))
		_exit(1);
	__atomic_store_n(s->refusals, hold.refuse + refuse.refuse, __ATOMIC_RELEASE);
	/* until the cgroup is full */
	if (eat)
		memset(food, 1, FOOD);
	for (;;)
		pause();
}

/* What has to hold once ranges were refused, while the victim still lives. */
static void nothing_hangs(struct __test_metadata *_metadata, struct stage *s)
{
	struct mmu_mirror_counters before = mirror_counters(&s->interval), c;
	__u64 began;
	pid_t remover;
	int status;

	/* a reader: the engine's faults are answered, be it by an error, until all ends */
	EXPECT_TRUE(within_ms(GRACE_MS, (c = mirror_counters(&s->interval),
					 c.engine_faults > before.engine_faults || c.release))) {
		TH_LOG("a reader waits for a refused range");
	}

	/* a remover */
	began = now_us();
	remover = fork();
	ASSERT_GE(remover, 0);
	if (!remover)
		_exit(mirror_try_detach(&s->interval, NULL) != 0);
	EXPECT_TRUE(within_ms(GRACE_MS, waitpid(remover, &status, WNOHANG) == remover)) {
		TH_LOG("a removal waits for a refused range");
		kill(remover, SIGKILL);
		return;
	}
	TH_LOG("removed after %llu us", (now_us() - began));
	EXPECT_EQ(status, 0);
}

/*
 * And when it is gone. The interval subscriber may have refused more often than
 * it was asked to: whenever its own lock was taken.
 */
static void is_balanced(struct __test_metadata *_metadata, struct stage *s)
{
	struct mmu_mirror_counters c;
	int status;

	EXPECT_TRUE(within_ms(GRACE_MS, waitpid(s->victim, &status, WNOHANG) == s->victim)) {
		return;
	}
	s->victim = 0;
	EXPECT_TRUE(within_ms(GRACE_MS, mirror_counters(&s->witness).release == 1));

	c = mirror_counters(&s->witness);
	EXPECT_GT(c.nonblock, 0u);
	EXPECT_EQ(c.refused, 0u);
	EXPECT_EQ(c.start, c.end);
	EXPECT_EQ(c.in_flight, 0u);
	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_EQ(c.mapped, 0u);

	c = mirror_counters(&s->list);
	EXPECT_EQ(c.start, c.end + c.refused);
	EXPECT_EQ(c.in_flight, 0u);
	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_EQ(c.release, 1u);
	EXPECT_EQ(c.mapped, 0u);

	c = mirror_counters(&s->interval);
	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_EQ(c.mapped, 0u);
	EXPECT_GE(mirror_counters(s->refuser).refused, refusals_of(s));
}

/* On request */
TEST_F_TIMEOUT(nonblock, process_mrelease, 90)
{
	struct stage *s = &self->stage;
	int fd, err = 0, again = 0;
	__u64 deadline;

	s->victim = fork();
	ASSERT_GE(s->victim, 0);
	if (!s->victim)
		be_victim(s, false);
	ASSERT_TRUE(within_ms(GRACE_MS, refusals_of(s)));
	fd = syscall(SYS_pidfd_open, s->victim, 0);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(kill(s->victim, SIGKILL), 0);

	/* the refusals come first, then there are none left */
	deadline = now_us() + HOLD_US / 2;
	do {
		err = syscall(SYS_process_mrelease, fd, 0) ? -errno : 0;
		again += err == -EAGAIN;
	} while (err == -EAGAIN && now_us() < deadline);
	EXPECT_EQ(err, 0);
	EXPECT_GT(again, 0);
	close(fd);
	EXPECT_GT(mirror_counters(&s->interval).nonblock, 0u);
	EXPECT_GE(mirror_counters(s->refuser).refused, refusals_of(s));

	nothing_hangs(_metadata, s);
	is_balanced(_metadata, s);
}

/* By the OOM reaper: it comes two seconds after the OOM killer. */
TEST_F_TIMEOUT(nonblock, oom_reaper, 120)
{
	struct stage *s = &self->stage;
	struct oom_told told = { };
	pid_t victim;

	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	snprintf(self->group, sizeof(self->group), "mmu_mirror.%d", getpid());
	ASSERT_TRUE(oom_log_open(&self->log));

	s->victim = fork();
	ASSERT_GE(s->victim, 0);
	if (!s->victim) {
		if (cgroup_enter(self->group) ||
		    cgroup_set(self->group, "memory.max", "24M"))
			_exit(1);
		cgroup_set(self->group, "memory.swap.max", "0");
		be_victim(s, true);
	}
	EXPECT_TRUE(within_ms(GRACE_MS, refusals_of(s)));
	EXPECT_TRUE(within_ms(GRACE_MS, mirror_counters(&s->witness).nonblock > 0)) {
		TH_LOG("the OOM reaper did not come");
	}
	EXPECT_TRUE(within_ms(2000, mirror_counters(s->refuser).refused >= refusals_of(s)));
	nothing_hangs(_metadata, s);
	victim = s->victim;
	is_balanced(_metadata, s);
	oom_log_read(&self->log, victim, NULL, &told);
	EXPECT_TRUE(told.reaped || told.refused) {
		TH_LOG("the log does not mention the OOM reaper");
	}
	EXPECT_FALSE(told.complained);
}

FIXTURE(late) {
	struct mirror early;
	struct mirror late;
	char *window;
	size_t length;
};

FIXTURE_VARIANT(late) {
	unsigned int personality;
};

FIXTURE_VARIANT_ADD(late, shadow) {
	.personality = MMU_MIRROR_SHADOW,
};

FIXTURE_VARIANT_ADD(late, svm) {
	.personality = MMU_MIRROR_SVM,
};

FIXTURE_VARIANT_ADD(late, export) {
	.personality = MMU_MIRROR_EXPORT,
};

FIXTURE_SETUP(late)
{
	int err = mirror_try_open(&self->early);

	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	mirror_open(&self->late);
	self->length = NR * page_size;
	self->window = mmap(NULL, self->length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->window, MAP_FAILED);
	memset(self->window, 1, self->length);
	mirror_attach(&self->early, MMU_MIRROR_SHADOW, self->window, self->length);
}

FIXTURE_TEARDOWN(late)
{
	mirror_close(&self->late);
	mirror_close(&self->early);
}

/* R5: a range from before its time is none of a subscription's business. */
static void never_ends_unstarted(struct __test_metadata *_metadata, struct mirror *m)
{
	struct mmu_mirror_counters c = mirror_counters(m);

	EXPECT_EQ(c.unbalanced, 0u);
	EXPECT_LE(c.end, c.start);
}

/* A range is held before the page table changes; a device registers and faults. */
TEST_F(late, dontneed)
{
	struct in_thread t = { .addr = self->window, .length = self->length };
	struct mmu_mirror_check check;
	__u64 attached, word;
	pthread_t thread;
	size_t i;

	ASSERT_EQ(pthread_create(&thread, NULL, drop, &t), 0);
	sleep_ms(10);
	mirror_delay(&self->early, LATE_US, 0);
	__atomic_store_n(&t.go, true, __ATOMIC_RELEASE);
	ASSERT_TRUE(within_ms(GRACE_MS, mirror_in_range(&self->early)));

	mirror_attach(&self->late, variant->personality, self->window, self->length);
	attached = now_us();
	for (i = 0; i < NR; i++)
		mirror_read(&self->late, self->window + i * page_size, &word, sizeof(word));
	mirror_delay(&self->early, 0, 0);
	pthread_join(thread, NULL);

	if (variant->personality == MMU_MIRROR_SHADOW)
		EXPECT_GE(attached, t.began + LATE_US);
	for (i = 0; i < NR; i++) {
		if (mirror_try_read(&self->late, self->window + i * page_size, &word,
				    sizeof(word), MMU_MIRROR_NOFAULT))
			continue;
		EXPECT_EQ(word, 0u) TH_LOG("page %zu is stale", i);
	}
	never_ends_unstarted(_metadata, &self->late);
	EXPECT_EQ(mirror_try_check(&self->late, NULL, 0, &check), 0);
	EXPECT_EQ(check.stale, 0u);
	EXPECT_EQ(__atomic_load_n((__u64 *)self->window, __ATOMIC_RELAXED), 0u);
}

/* The same through the reverse map: no lock of the address space is held. */
TEST_F(late, migration)
{
	struct mmu_mirror_check check;
	__u64 *word = (__u64 *)self->window, seen, before = *word;
	int node, status;
	pid_t mover;
	size_t i;

	if (need_nodes()) {
		if (getenv("MMU_MIRROR_LENIENT"))
			SKIP(return, "%s", need_nodes());
		ASSERT_EQ(need_nodes(), NULL);
	}
	node = !page_node(self->window);
	ASSERT_EQ(pages_move(0, self->window, NR, !node), NR);

	/* fork is an invalidation, and so is the child's end of sharing */
	mover = fork();
	ASSERT_GE(mover, 0);
	if (!mover) {
		munmap(self->window, self->length);
		raise(SIGSTOP);
		_exit(pages_move(getppid(), self->window, 1, node) != 1);
	}
	ASSERT_EQ(waitpid(mover, &status, WUNTRACED), mover);
	ASSERT_TRUE(WIFSTOPPED(status));
	memset(self->window, 1, self->length);
	ASSERT_TRUE(within_ms(GRACE_MS, !mirror_in_range(&self->early)));
	mirror_delay(&self->early, LATE_US, 0);
	kill(mover, SIGCONT);
	ASSERT_TRUE(within_ms(GRACE_MS, mirror_in_range(&self->early)));

	mirror_attach(&self->late, variant->personality, self->window, self->length);
	for (i = 0; i < 100; i++)
		ASSERT_EQ(mirror_try_add(&self->late, word, 1, &seen, 0), 0);
	mirror_delay(&self->early, 0, 0);
	ASSERT_EQ(waitpid(mover, &status, 0), mover);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(page_node(self->window), node);

	EXPECT_EQ(__atomic_load_n(word, __ATOMIC_RELAXED), before + 100);
	ASSERT_EQ(mirror_try_add(&self->late, word, 1, &seen, 0), 0);
	EXPECT_EQ(seen, before + 100);
	never_ends_unstarted(_metadata, &self->late);
	EXPECT_EQ(mirror_try_check(&self->late, NULL, 0, &check), 0);
	EXPECT_EQ(check.stale, 0u);
}

TEST_HARNESS_MAIN
