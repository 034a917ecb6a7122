// SPDX-License-Identifier: GPL-2.0
/*
 * A device never sees a later write before an earlier one, although the page of
 * the earlier one is just being replaced.
 *
 * A device that walks the CPU's page table (`sva`) has read page A. Then
 *
 *	toucher		writes to A, which is shared: the kernel puts a copy into
 *			the page table, and some time later ends the range
 *	writer		writes a new number to A, in the new page, and then the
 *			same to B, while that range has not ended yet
 *	device		reads B, and then A
 *
 * If the device was told of the new page only at the end of the range, it finds
 * the number in B and not in A. What every CPU sees in order, it must, too.
 *
 * *Held* iterations are nearly all. The end callback waits for MMU_MIRROR_HOLD,
 * so each time the range is still in flight while the writer writes and has the
 * device read. All of that is done on one processor, one after the other.
 *
 * *Wide* iterations are few: the end of the range is delayed, the writer waits
 * for A to be in another page, and a third thread has the device read all the
 * time.
 *
 * In *narrow* iterations nobody is made to wait: the toucher goes from page to
 * page, and the writer has the device read the one that the toucher is at. It
 * comes to it a random time later, about as long as a fault, so that it writes in
 * any phase of it. Each fault interrupts the other processor, which takes long if
 * that is a thread of a busy host: so these are one in 500.
 *
 * *In time* are those iterations in which the device had read before the toucher
 * came back from its fault; only these can show anything.
 *
 * SVA_ORDER_ITERATIONS=n in the environment: so many held iterations all in all,
 * instead of 200,000, with progress reports.
 */
#include "../kselftest_harness.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define ITERATIONS	"SVA_ORDER_ITERATIONS"
#define ROUTINE		200000
#define NR_WIDE		64
#define HOLD_US		10000000
#define WAIT_US		100000
#define NR		256	/* pages shared at a time; KSM shares no more */
#define MIN_END_US	2000
#define MAX_END_US	512000
#define STUCK_SECONDS	60
#define REST		(1ULL << 63)

enum kind {
	HELD,
	WIDE,
	NARROW,
};

/**
 * struct game - an ordering test
 * @dev: the device.
 * @share: have the pages shared again, so that writing to one replaces it.
 * @kind: the kind of iterations.
 * @rounds: how often the pages were shared again.
 * @own: a page that is never shared.
 * @pages: NR pages, of which one is A. Words 0 are compared, the toucher writes
 *	to words 1.
 * @buffer: for what the device reads to have all pages in its TLB.
 * @fd: of the file, or -1.
 * @child: who shares the pages, or 0.
 * @pairs: is B the page after A, and not @own?
 * @first: the number of this round's iteration with page 0.
 * @pfn: where A was before the toucher came, if WIDE.
 * @go: the number of the iteration that has begun, and what is written in it; or
 *	REST and the number of a round: nothing is to be written.
 * @touched: that of the last one in which the toucher came back.
 * @looked: that of the last one in which the device has read, or @go with REST.
 * @held: how many ends were held; the writer's.
 * @meet: where toucher and writer meet before and after a round, if HELD.
 * @quit: the threads are to end.
 * @iterations: those in which the device has read.
 * @in_time: those in which it had read before the toucher came back.
 * @looks: pairs read by the device.
 * @violations: those in the wrong order.
 * @limit: the writer waits for less than so many rounds of a loop.
 * @random: state of a generator of numbers; the writer's.
 */
struct game {
	struct mirror dev;
	void (*share)(struct game *g);
	enum kind kind;
	__u64 rounds;
	char *own;
	char *pages;
	char *buffer;
	int fd;
	pid_t child;
	bool pairs;
	__u64 first;
	__u64 pfn;
	__u64 go;
	__u64 touched;
	__u64 looked;
	__u64 held;
	pthread_barrier_t meet;
	bool quit;
	__u64 iterations;
	__u64 in_time;
	__u64 looks;
	__u64 violations;
	unsigned int limit;
	__u64 random;
};

static __u64 *word(struct game *g, size_t page)
{
	return (__u64 *)(g->pages + page * page_size);
}

/* ------------------------------------------------------- how pages are shared */

static void end_child(struct game *g)
{
	if (!g->child)
		return;
	kill(g->child, SIGKILL);
	waitpid(g->child, NULL, 0);
	g->child = 0;
}

static void share_by_fork(struct game *g)
{
	size_t i;

	end_child(g);
	for (i = 0; i < NR; i++)
		*word(g, i) = 0;
	g->child = fork();
	if (g->child < 0)
		mirror_die("fork: %m");
	if (g->child)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

/* The pages become those of the file again, or the zero page. */
static void share_by_dropping(struct game *g)
{
	if (madvise(g->pages, NR * page_size, MADV_DONTNEED))
		mirror_die("madvise: %m");
}

static void share_by_merging(struct game *g)
{
	size_t i;

	memset(g->pages, 0x77, NR * page_size);
	for (i = 0; i < NR; i++)
		*word(g, i) = 0;
	if (madvise(g->pages, NR * page_size, MADV_MERGEABLE))
		mirror_die("madvise: %m");
	ksm_run();
	within_ms(20000, pages_same(g->pages, NR) == NR);
	ksm_stop();
	if (pages_same(g->pages, NR) != NR)
		mirror_die("KSM did not merge the pages");
}

/* ------------------------------------------------------------------ threads */

static __u64 load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(__u64 *word, __u64 number)
{
	__atomic_store_n(word, number, __ATOMIC_RELEASE);
}

/* For whoever finds nothing to do: leave the processor to others before long. */
static void idle(struct game *g, unsigned int *spins)
{
	if (++*spins % 1024)
		return;
	usleep(20);
	if (*spins / 1024 > STUCK_SECONDS * 5000)
		mirror_die("stuck in iteration %llu", load(&g->go));
}

/* Wait for *@word to be different from @number. 0: there is nothing to be done. */
static __u64 await(struct game *g, const __u64 *word, __u64 number)
{
	unsigned int spins = 0;
	__u64 now;

	for (;;) {
		now = load(word);
		if (now != number)
			return now;
		if (__atomic_load_n(&g->quit, __ATOMIC_ACQUIRE))
			return 0;
		idle(g, &spins);
	}
}

/* Wait for *@word to be @number. */
static void await_this(struct game *g, const __u64 *word, __u64 number)
{
	unsigned int spins = 0;

	while (load(word) != number)
		idle(g, &spins);
}

static __u64 *a_of(struct game *g, __u64 number)
{
	return word(g, number - g->first);
}

static __u64 *b_of(struct game *g, __u64 number)
{
	if (g->pairs)
		return word(g, number - g->first + 1);
	return (__u64 *)g->own;
}

static void write_both(struct game *g, __u64 number)
{
	store(a_of(g, number), number);
	store(b_of(g, number), number);
}

/* Until the device sees this number in B */
static void device_looks(struct game *g, __u64 number)
{
	struct mmu_mirror_order order = { .value = number, .timeout_us = 10000000 };
	int err = mirror_try_order(&g->dev, a_of(g, number), b_of(g, number), &order);

	if (err)
		mirror_die("iteration %llu: the device cannot read: %s", number, strerror(-err));
	g->in_time += load(&g->touched) < number;
	g->looks += order.looks;
	if (order.violations && !g->violations)
		printf("# iteration %llu: the device sees %llu in B, and then %llu in A\n",
		       number, order.seen_second, order.seen_first);
	g->violations += order.violations;
	__atomic_fetch_add(&g->iterations, 1, __ATOMIC_RELAXED);
}

/* Half of the writes shall come before the toucher comes back. */
static void delay(struct game *g, __u64 number)
{
	unsigned int i, rounds;

	g->random = g->random * 6364136223846793005ULL + 1442695040888963407ULL;
	rounds = (g->random >> 33) % g->limit;
	for (i = 0; i < rounds; i++)
		(void)__atomic_load_n(&g->quit, __ATOMIC_RELAXED);
	if (load(&g->touched) < number)
		g->limit += g->limit < 1 << 20 ? g->limit / 32 + 1 : 0;
	else if (g->limit > 64)
		g->limit -= g->limit / 32;
}

/*
 * Write whenever the end of the toucher's range is held. An end that was held for
 * too long, because this machine had no time for it, is missed: it does not count.
 */
static void held_round(struct game *g)
{
	const __u64 last = g->first + NR - 2;
	unsigned int tries = 0;
	__u64 number = 0;
	int err;

	while (number != last) {
		err = mirror_try_hold(&g->dev, WAIT_US, &g->held);
		if (err == -ETIMEDOUT && load(&g->touched) == last)
			return;
		if (err == -ETIMEDOUT && ++tries < STUCK_SECONDS * 1000000ULL / WAIT_US)
			continue;
		if (err)
			mirror_die("iteration %llu: no end was held: %s", load(&g->go),
				   strerror(-err));
		number = load(&g->go);
		write_both(g, number);
		device_looks(g, number);
	}
	mirror_try_hold(&g->dev, 0, &g->held);
}

static void *held_writer(void *arg)
{
	struct game *g = arg;

	for (;;) {
		pthread_barrier_wait(&g->meet);
		if (g->quit)
			return NULL;
		held_round(g);
		pthread_barrier_wait(&g->meet);
	}
}

/* Go where the toucher is. */
static void *narrow_writer(void *arg)
{
	struct game *g = arg;
	__u64 number = 0;

	while ((number = await(g, &g->go, number))) {
		if (!(number & REST)) {
			delay(g, number);
			write_both(g, number);
			device_looks(g, number);
		}
		store(&g->looked, number);
	}
	return NULL;
}

/* Write as soon as A is in another page. */
static void *wide_writer(void *arg)
{
	struct game *g = arg;
	__u64 number = REST;

	while ((number = await(g, &g->go, number))) {
		if (number & REST)
			continue;
		while (page_pfn(a_of(g, number)) == g->pfn && load(&g->touched) < number)
			;
		write_both(g, number);
	}
	return NULL;
}

static void *device_thread(void *arg)
{
	struct game *g = arg;
	__u64 number = REST;

	while ((number = await(g, &g->go, number))) {
		if (!(number & REST))
			device_looks(g, number);
		store(&g->looked, number);
	}
	return NULL;
}

/* ------------------------------------------------------------------ playing */

/* One iteration: the caller is the toucher. */
static void touch(struct game *g, __u64 number)
{
	__u64 *a = a_of(g, number);

	if (g->kind == WIDE) {
		/* The device reads before anything is written, and A is not behind B. */
		store((__u64 *)g->own, 0);
		g->pfn = page_pfn(a);
	}
	store(&g->go, number);
	__atomic_store_n(a + 1, number, __ATOMIC_RELAXED);
	store(&g->touched, number);
	if (g->kind == WIDE)
		await_this(g, &g->looked, number);
}

static void share_and_map(struct game *g)
{
	g->share(g);
	g->first = g->touched + 1;
	mirror_read(&g->dev, g->own, g->buffer, page_size);
	mirror_read(&g->dev, g->pages, g->buffer, NR * page_size);
}

static void play_held(struct game *g)
{
	struct mmu_mirror_inject inject = { .hold_us = HOLD_US };
	__u64 number;

	share_and_map(g);
	mirror_try_inject(&g->dev, &inject);
	pthread_barrier_wait(&g->meet);
	for (number = g->first; number < g->first + NR - 1; number++)
		touch(g, number);
	pthread_barrier_wait(&g->meet);
	mirror_delay(&g->dev, 0, 0);
}

/* Until there were enough, in the middle of a round, too */
static void play_loose(struct game *g, __u64 goal, unsigned int end_us)
{
	__u64 number, rest = REST | ++g->rounds;

	/* In every second round B is the page after A. */
	g->pairs = g->kind == NARROW && g->rounds % 2;
	share_and_map(g);
	mirror_delay(&g->dev, 0, end_us);
	for (number = g->first; number < g->first + NR - 1; number++) {
		if (load(&g->iterations) >= goal)
			break;
		touch(g, number);
	}
	mirror_delay(&g->dev, 0, 0);
	store(&g->go, rest);
	await_this(g, &g->looked, rest);
}

static void progress(struct game *g, __u64 goal, __u64 before)
{
	__u64 tenth = goal / 10;

	if (goal > ROUTINE && g->iterations / tenth != before / tenth)
		printf("# %llu of %llu iterations, %llu in time, %llu violations\n",
		       g->iterations, goal, g->in_time, g->violations);
	fflush(stdout);
}

static void on_one_processor(bool one)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (!one)
		memset(&set, 0xff, sizeof(set));
	sched_setaffinity(0, sizeof(set), &set);
}

static void play(struct game *g, enum kind which, __u64 goal, unsigned int end_us)
{
	static void *(*const writers[])(void *) = { held_writer, wide_writer, narrow_writer };
	pthread_t writer, device;
	__u64 before;

	g->kind = which;
	g->quit = false;
	g->pairs = false;
	g->go = REST;
	g->touched = 0;
	g->looked = 0;
	g->iterations = 0;
	g->in_time = 0;
	g->looks = 0;
	g->violations = 0;
	on_one_processor(which == HELD);
	pthread_barrier_init(&g->meet, NULL, 2);
	if (pthread_create(&writer, NULL, writers[which], g) ||
	    (which == WIDE && pthread_create(&device, NULL, device_thread, g)))
		mirror_die("cannot make a thread");

	while (load(&g->iterations) < goal) {
		before = load(&g->iterations);
		if (which == HELD)
			play_held(g);
		else
			play_loose(g, goal, end_us);
		progress(g, goal, before);
	}

	__atomic_store_n(&g->quit, true, __ATOMIC_RELEASE);
	if (which == HELD)
		pthread_barrier_wait(&g->meet);
	pthread_join(writer, NULL);
	if (which == WIDE)
		pthread_join(device, NULL);
	on_one_processor(false);
	end_child(g);
}

FIXTURE(order) {
	struct game game;
};

FIXTURE_VARIANT(order) {
	unsigned int personality;
	void (*share)(struct game *g);
	bool file;
	unsigned int percent;
};

/* A page that a child has as well: the copy-on-write of fork */
FIXTURE_VARIANT_ADD(order, fork) {
	.personality = MMU_MIRROR_SVA,
	.share = share_by_fork,
	.percent = 25,
};

/* Memory that was read, but never written */
FIXTURE_VARIANT_ADD(order, zero_page) {
	.personality = MMU_MIRROR_SVA,
	.share = share_by_dropping,
	.percent = 40,
};

/* A page of a file that is mapped privately */
FIXTURE_VARIANT_ADD(order, file) {
	.personality = MMU_MIRROR_SVA,
	.share = share_by_dropping,
	.file = true,
	.percent = 34,
};

FIXTURE_VARIANT_ADD(order, ksm) {
	.personality = MMU_MIRROR_SVA,
	.share = share_by_merging,
	.percent = 1,
};

/* For comparison: these drop at the start, so it is easy for them. */
FIXTURE_VARIANT_ADD(order, shadow) {
	.personality = MMU_MIRROR_SHADOW,
	.share = share_by_fork,
	.percent = 1,
};

FIXTURE_VARIANT_ADD(order, svm) {
	.personality = MMU_MIRROR_SVM,
	.share = share_by_fork,
	.percent = 1,
};

FIXTURE_SETUP(order)
{
	struct game *g = &self->game;
	int flags = MAP_PRIVATE, err;
	size_t bytes;

	err = mirror_try_open(&g->dev);
	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
	if (variant->share == share_by_merging && need_ksm())
		SKIP(return, "no KSM");

	bytes = NR * page_size;
	g->share = variant->share;
	g->limit = 1024;
	g->fd = -1;
	if (variant->file) {
		g->fd = memfd_create("order", MFD_CLOEXEC);
		ASSERT_GE(g->fd, 0);
		ASSERT_EQ(ftruncate(g->fd, bytes), 0);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	g->buffer = malloc(bytes);
	ASSERT_NE(g->buffer, NULL);

	g->own = mmap(NULL, page_size + bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(g->own, MAP_FAILED);
	g->pages = g->own + page_size;
	ASSERT_EQ(mmap(g->pages, bytes, PROT_READ | PROT_WRITE, flags | MAP_FIXED, g->fd, 0),
		  g->pages);
	/* No child gets a part of it. */
	ASSERT_EQ(madvise(g->own, page_size, MADV_DONTFORK), 0);
	memset(g->own, 0, page_size);
	mirror_attach(&g->dev, variant->personality, g->own, page_size + bytes);
}

FIXTURE_TEARDOWN(order)
{
	end_child(&self->game);
	mirror_close(&self->game.dev);
}

static __u64 wanted_iterations(unsigned int percent)
{
	const char *text = getenv(ITERATIONS);
	__u64 all = text ? strtoull(text, NULL, 10) : ROUTINE;

	return all / 100 * percent;
}

static void report(const char *what, struct game *g, __u64 began)
{
	printf("# %s: %llu iterations, %llu in time, %llu pairs read, %llu violations, %.1f s\n",
	       what, g->iterations, g->in_time, g->looks, g->violations,
	       (now_us() - began) / 1e6);
	fflush(stdout);
}

/* The long form takes as long as it takes. */
TEST_F_TIMEOUT(order, held, 1000000)
{
	__u64 goal = wanted_iterations(variant->percent), began = now_us();
	struct game *g = &self->game;

	if (variant->personality != MMU_MIRROR_SVA)
		SKIP(return, "its end drops nothing");
	ASSERT_GT(goal, 0u) TH_LOG(ITERATIONS " is less than 100");
	play(g, HELD, goal, 0);
	report("held", g, began);
	EXPECT_GE(g->iterations, goal);
	EXPECT_GE(g->looks, goal);
	EXPECT_EQ(g->violations, 0u);
	EXPECT_GE(g->in_time, goal / 2);
}

TEST_F_TIMEOUT(order, narrow, 1000000)
{
	__u64 goal = wanted_iterations(variant->percent) / 500 + 1, began = now_us();
	struct game *g = &self->game;

	play(g, NARROW, goal, 0);
	report("narrow", g, began);
	EXPECT_GE(g->looks, goal);
	EXPECT_EQ(g->violations, 0u);
}

/* On a busy machine it takes a longer delay for the device to be in time. */
TEST_F_TIMEOUT(order, wide, 300)
{
	bool sva = variant->personality == MMU_MIRROR_SVA;
	struct game *g = &self->game;
	__u64 began = now_us();
	unsigned int end_us;

	for (end_us = MIN_END_US; end_us <= MAX_END_US; end_us *= 4) {
		play(g, WIDE, NR_WIDE, end_us);
		report("wide", g, began);
		EXPECT_EQ(g->violations, 0u);
		if (!sva || g->violations || g->in_time >= NR_WIDE / 2)
			break;
	}
	if (sva)
		EXPECT_GE(g->in_time, NR_WIDE / 2);
}

TEST_HARNESS_MAIN
