// SPDX-License-Identifier: GPL-2.0
/*
 * One process's slow callback is no other process's business (R7).
 *
 * A process, the *sleeper*, calls madvise(MADV_DONTNEED) over and over, each
 * time with a callback that sleeps for two seconds. Meanwhile another process
 * ends its subscription, or exits with one. Each is done ten times with a
 * sleeper, and ten times without: five before and five after, so that both see
 * the same load. The medians are compared. With one SRCU domain for all
 * processes, as in Linux 6.12, each takes up to two seconds.
 *
 * The limits are for two emulated CPUs that have other things to do: the median is no
 * more than twice that without the sleeper, or an eighth of its sleep longer; nothing is
 * beyond half of its sleep, or twice the longest without.
 */
#include "../kselftest_harness.h"

#include <signal.h>
#include <sys/param.h>
#include <sys/prctl.h>

#include "mirror_lib.h"
#include "sysmm.h"

#define TIMES		10
#define SLEEP_US	2000000
#define NOISE_US	(SLEEP_US / 8)
#define LIMIT_US	(SLEEP_US / 2)
#define WINDOW_PAGES	16
#define EXIT_BYTES	((size_t)8 << 20)

FIXTURE(isolation) {
	struct mirror sleeping;
	pid_t sleeper;
};

FIXTURE_VARIANT(isolation) {
	unsigned int personality;
	unsigned int sleeper;
};

FIXTURE_VARIANT_ADD(isolation, shadow) {
	.personality = MMU_MIRROR_SHADOW,
	.sleeper = MMU_MIRROR_SHADOW,
};

FIXTURE_VARIANT_ADD(isolation, svm) {
	.personality = MMU_MIRROR_SVM,
	.sleeper = MMU_MIRROR_SVM,
};

FIXTURE_VARIANT_ADD(isolation, shadow_beside_svm) {
	.personality = MMU_MIRROR_SHADOW,
	.sleeper = MMU_MIRROR_SVM,
};

FIXTURE_SETUP(isolation)
{
	int err = mirror_try_open(&self->sleeping);

	self->sleeper = -1;
	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	sysmm_init();
}

FIXTURE_TEARDOWN(isolation)
{
	if (self->sleeper > 0) {
		kill(self->sleeper, SIGKILL);
		waitpid(self->sleeper, NULL, 0);
	}
	mirror_close(&self->sleeping);
}

static char *window_new(void)
{
	char *window = mmap(NULL, WINDOW_PAGES * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return window == MAP_FAILED ? NULL : window;
}

/* Never returns. The device lets the parent see that a callback sleeps. */
static void sleep_on(struct mirror *dev, unsigned int personality)
{
	char *window = window_new();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!window)
		_exit(1);
	mirror_attach(dev, personality, window, WINDOW_PAGES * page_size);
	mirror_delay(dev, SLEEP_US, 0);
	for (;;)
		madvise(window, page_size, MADV_DONTNEED);
}

/* Wait for its first callback. From then on, one always sleeps. */
static bool callback_begins(struct mirror *dev)
{
	return within_ms(10000, mirror_counters(dev).start);
}

/* How long a detach takes; the device has SPTEs to drop. */
static __u64 time_detach(unsigned int personality)
{
	char *window = window_new();
	struct mirror dev;
	__u64 word = 1, began, took;

	mirror_open(&dev);
	mirror_attach(&dev, personality, window, WINDOW_PAGES * page_size);
	mirror_write(&dev, window, &word, sizeof(word));
	began = now_us();
	mirror_detach(&dev);
	took = now_us() - began;
	mirror_close(&dev);
	munmap(window, WINDOW_PAGES * page_size);
	return took;
}

/*
 * How long it takes from exit until the process can be waited for. It drops its
 * memory on the way there, which the device is asked to confirm.
 */
static __u64 time_exit(unsigned int personality)
{
	__u64 word = 1, *began, took;
	struct mmu_mirror_counters c;
	struct mirror dev;
	char *window;
	pid_t pid;

	began = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (began == MAP_FAILED)
		mirror_die("no memory");
	mirror_open(&dev);
	pid = fork();
	if (!pid) {
		window = mmap(NULL, EXIT_BYTES, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		mirror_attach(&dev, personality, window, EXIT_BYTES);
		mirror_write(&dev, window, &word, sizeof(word));
		*began = now_us();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	took = now_us() - *began;
	c = mirror_counters(&dev);
	if (c.release != 1 || c.mapped)
		mirror_die("the process is gone, and the device was not told");
	munmap(began, page_size);
	mirror_close(&dev);
	return took;
}

static void compare(struct __test_metadata *_metadata, struct mirror *sleeping, pid_t *sleeper,
		    unsigned int sleeper_personality, unsigned int personality,
		    __u64 (*timed)(unsigned int personality), const char *what)
{
	__u64 with[TIMES], without[TIMES], m_with, m_without;
	unsigned int i;

	for (i = 0; i < TIMES / 2; i++)
		without[i] = timed(personality);

	*sleeper = fork();
	ASSERT_GE(*sleeper, 0);
	if (!*sleeper)
		sleep_on(sleeping, sleeper_personality);
	ASSERT_TRUE(callback_begins(sleeping));
	for (i = 0; i < TIMES; i++)
		with[i] = timed(personality);

	/* whose callback has to sleep out first */
	kill(*sleeper, SIGKILL);
	waitpid(*sleeper, NULL, 0);
	*sleeper = -1;
	for (i = TIMES / 2; i < TIMES; i++)
		without[i] = timed(personality);

	m_without = median(without, TIMES);
	m_with = median(with, TIMES);
	TH_LOG("%s: median %llu us (most %llu) without a sleeper, %llu us (most %llu) with", what,
	       m_without, without[TIMES - 1],
	       m_with, with[TIMES - 1]);
	EXPECT_LE(m_with, m_without * 2 > m_without + NOISE_US ? m_without * 2 :
			  m_without + NOISE_US);
	EXPECT_LE(with[TIMES - 1], MAX(LIMIT_US, 2 * without[TIMES - 1]));
}

TEST_F_TIMEOUT(isolation, unregister, 120)
{
	compare(_metadata, &self->sleeping, &self->sleeper, variant->sleeper,
		variant->personality, time_detach, "unregister");
}

TEST_F_TIMEOUT(isolation, exit, 120)
{
	compare(_metadata, &self->sleeping, &self->sleeper, variant->sleeper,
		variant->personality, time_exit, "exit");
}

TEST_HARNESS_MAIN
