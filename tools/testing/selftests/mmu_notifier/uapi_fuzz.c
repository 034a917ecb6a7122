// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor and /dev/mmu_mirror under a budget of random calls: right ones,
 * nearly right ones and garbage, mixed with what changes memory, from several threads
 * of several processes.
 *
 *	uapi_fuzz [--calls N] [--seed N] [--processes N] [--threads N]
 *
 * Each thread has a monitor, a device and some pages for itself, and a *model* of these:
 * which watches and keys there are, what is mapped. What it does there has to have the
 * result that the model says, exactly:
 *
 *  - a call returns what it should,
 *  - a change has changed the words of the watches that it concerns before its
 *    system call returns, and those of no others; they are even afterwards,
 *  - a word that nobody has is odd, and no word ever has a value again,
 *  - the area counts the watches that there are,
 *  - events are of watches that there are, of classes that they asked for, of
 *    addresses within; each change that makes one has made one,
 *  - the device, of whatever personality, reads what the CPU reads and writes where the
 *    CPU could, and no SPTE of its is stale,
 *  - a change has revoked the keys that it concerns.
 *
 * Besides, all threads of a process share some monitors, some devices and some memory,
 * the *scrap*, in whatever state they are in, and use them without sense; and each
 * process has a device that the others may import. There an error has to be one of those
 * that are documented for the call, and the kernel must not complain.
 *
 * A fork()ed child sees that it has nothing of all this, and is killed now and
 * then.
 *
 * The same seed makes the same calls, as far as threads do not depend on each
 * other. In the end each kind of call must have succeeded, and each that can fail
 * must have failed, if there were calls enough. It says how far it is every ten
 * seconds, and fails if nothing is done for two minutes.
 *
 * The parts: fuzz_mm.c, fuzz_monitor.c, fuzz_mirror.c; here is what they have in common.
 */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"
#include "fuzz.h"
#include "sysmm.h"

#define ENOUGH		20000	/* calls, for each kind to have its turn */
#define PROGRESS_S	10
#define HUNG_S		120

/* --------------------------------------------------------------- counting */

/* What each is called, and which errors it may have */
static const struct {
	const char *name;
	const int errors[24];
	bool must_succeed;
	bool must_fail;
} kinds[] = {
	[K_OPEN]	= { "open", { ENOMEM, EMFILE, EACCES }, true, false },
	[K_MMAP]	= { "mmap of the area", { EINVAL, EPERM, ENOMEM, EACCES, EOVERFLOW },
			    true, true },
	[K_INFO]	= { "INFO", { EINVAL, EFAULT, E2BIG }, true, true },
	[K_WATCH]	= { "WATCH", { EINVAL, EFAULT, E2BIG, EOVERFLOW, ENOSPC, EUSERS, ENOMEM },
			    true, true },
	[K_UNWATCH]	= { "UNWATCH", { EINVAL, EFAULT, E2BIG, ENOENT }, true, true },
	[K_REARM]	= { "REARM", { EINVAL, EFAULT, E2BIG, ENOENT }, true, true },
	[K_CONFIG]	= { "CONFIG", { EINVAL, EFAULT, E2BIG, EBADF }, true, true },
	[K_FLUSH]	= { "FLUSH", { }, true, false },
	[K_READ]	= { "read", { EINVAL, EFAULT, EAGAIN }, true, true },
	[K_POLL]	= { "poll", { }, true, false },
	[K_CLOSE]	= { "close, open", { ENOMEM, EMFILE }, true, false },
	[K_GARBAGE]	= { "garbage in a known ioctl", { EINVAL, EFAULT, E2BIG, EOVERFLOW, ENOENT,
				ENOSPC, EUSERS, ENOMEM, EBADF }, false, true },
	[K_UNKNOWN]	= { "unknown ioctl", { ENOTTY }, false, true },
	[K_FORK]	= { "fork", { EAGAIN, ENOMEM }, true, false },
	[K_CHILD]	= { "call in a child", { ESTALE }, true, true },
	[K_MAP]		= { "mmap over", { ENOMEM }, true, false },
	[K_MAP_FILE]	= { "mmap of a file", { ENOMEM }, true, false },
	[K_UNMAP]	= { "munmap", { ENOMEM }, true, false },
	[K_MOVE]	= { "mremap", { ENOMEM, EFAULT, EINVAL }, true, false },
	[K_DROP]	= { "MADV_DONTNEED, MADV_FREE", { ENOMEM }, true, false },
	[K_PROTECT]	= { "mprotect", { ENOMEM }, true, false },
	[K_TOUCH]	= { "touch", { }, true, false },
	[K_PUNCH]	= { "punch a hole", { ENOMEM, EINTR }, true, false },
	[K_SCRAP]	= { "changes of the scrap", { ENOMEM, EAGAIN, EINVAL }, true, true },

#define COMMON EINVAL, EFAULT, E2BIG, ENXIO, ESHUTDOWN, EPERM, EHOSTDOWN, ENOMEM
	[M_OPEN]	= { "mirror: open", { ENOMEM, EMFILE }, true, false },
	[M_MMAP]	= { "mirror: mmap", { EINVAL, ENXIO, EOPNOTSUPP, EPERM, EAGAIN, ENOMEM,
				EACCES, EOVERFLOW }, true, true },
	[M_ATTACH]	= { "ATTACH", { COMMON, EBUSY, EOVERFLOW, EOPNOTSUPP }, true, true },
	[M_WINDOW]	= { "WINDOW", { COMMON, EBUSY, EOVERFLOW, EOPNOTSUPP }, true, true },
	[M_READ]	= { "READ", { COMMON, EBUSY }, true, true },
	[M_WRITE]	= { "WRITE", { COMMON, EBUSY }, true, true },
	[M_ADD]		= { "ADD", { COMMON, EBUSY }, true, true },
	[M_COUNTERS]	= { "COUNTERS", { COMMON }, true, false },
	[M_CHECK]	= { "CHECK", { COMMON, EOVERFLOW }, true, false },
	[M_INJECT]	= { "INJECT", { COMMON }, true, true },
	[M_ENGINE]	= { "ENGINE", { COMMON, EBUSY, EOVERFLOW }, true, true },
	[M_DETACH]	= { "DETACH", { COMMON }, true, true },
	[M_IMPORT]	= { "IMPORT", { COMMON, EBADF, EBUSY, EOPNOTSUPP }, true, true },
	[M_REGISTER]	= { "REGISTER", { COMMON, EOVERFLOW, EOPNOTSUPP, ENOSPC, EKEYREVOKED,
				EBUSY }, true, true },
	[M_DEREGISTER]	= { "DEREGISTER", { COMMON, EOPNOTSUPP, EKEYREVOKED, ENOKEY }, true, true },
	[M_KEY_READ]	= { "KEY_READ", { COMMON, EOPNOTSUPP, EKEYREVOKED, ENOKEY, EACCES, EBUSY },
			    true, true },
	[M_KEY_WRITE]	= { "KEY_WRITE", { COMMON, EOPNOTSUPP, EKEYREVOKED, ENOKEY, EACCES, EBUSY },
			    false, true },
	[M_KEYS]	= { "KEYS", { COMMON }, true, false },
	[M_ORDER]	= { "ORDER", { COMMON, ETIMEDOUT, EBUSY }, true, true },
	[M_HOLD]	= { "HOLD", { COMMON, ETIMEDOUT }, false, true },
	[M_GARBAGE]	= { "mirror: garbage", { COMMON, EBUSY, EOVERFLOW, EOPNOTSUPP, EBADF,
				ENOSPC, EKEYREVOKED, ENOKEY, EACCES, ETIMEDOUT }, true, true },
	[M_UNKNOWN]	= { "mirror: unknown ioctl", { ENOTTY }, false, true },
	[M_CHILD]	= { "mirror: call in a child", { EPERM, ENXIO, ESHUTDOWN, EHOSTDOWN },
			    false, true },
};

struct shared *shared;

static unsigned long long seed;
unsigned int processes = 3, threads = 3;
static unsigned long long calls = 30000;

unsigned long long count(unsigned long long *what)
{
	return __atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

void fail(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (count(&shared->failures) < 20)
		printf("# pid %d: %s\n", getpid(), text);
	fflush(stdout);
}

static bool allowed(enum kind kind, int error)
{
	unsigned int i;

	for (i = 0; kinds[kind].errors[i]; i++)
		if (kinds[kind].errors[i] == error)
			return true;
	return false;
}

int counted(enum kind kind, long ret)
{
	int error = ret < 0 ? -ret : 0;

	count(&shared->calls[kind]);
	if (!error) {
		count(&shared->ok[kind]);
		return 0;
	}
	count(&shared->errors[kind][error < ERRNOS ? error : 0]);
	if (!allowed(kind, error))
		fail("%s: error %d (%s) is not documented", kinds[kind].name, error,
		     strerror(error));
	return ret;
}

__u64 rnd64(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random * 0x2545f4914f6cdd1dULL;
}

unsigned int rnd(struct thread *t, unsigned int below)
{
	return (rnd64(t) >> 33) % below;
}

void range(struct thread *t, unsigned int *first, unsigned int *end)
{
	*first = rnd(t, PAGES);
	*end = *first + 1 + rnd(t, rnd(t, 3) ? 4 : PAGES);
	if (*end > PAGES)
		*end = PAGES;
}

char *at(struct thread *t, unsigned int page)
{
	return t->base + page * page_size;
}

/* ----------------------------------------------------------------- running */

static void do_fork(struct thread *t)
{
	pid_t pid = fork();

	if (!pid) {
		/* what it does to its memory is not the parent's */
		if (rnd(t, 2))
			munmap(t->base, PAGES * page_size);
		monitor_in_child(t);
		mirror_in_child(t);
		if (rnd(t, 3) == 0)
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	if (counted(K_FORK, pid < 0 ? -errno : 0))
		return;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	mm_forked(t);
}

static void step(struct thread *t)
{
	unsigned int rare = rnd(t, 300), which;

	if (rare == 0) {
		do_fork(t);
		return;
	}
	if (rare < 5) {
		monitor_rare(t, rare - 1);
		return;
	}
	if (rare < 12) {
		mirror_rare(t);
		return;
	}
	if (rnd(t, 8) == 0) {
		monitor_often(t);
		return;
	}
	which = rnd(t, nr_mm_actions + nr_monitor_actions + nr_mirror_actions);
	if (which < nr_mm_actions)
		mm_actions[which](t);
	else if (which < nr_mm_actions + nr_monitor_actions)
		monitor_actions[which - nr_mm_actions](t);
	else
		mirror_actions[which - nr_mm_actions - nr_monitor_actions](t);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	unsigned long long failures = shared->failures;

	while (t->budget-- && shared->failures == failures) {
		step(t);
		count(&shared->steps);
	}
	mirror_end(t);
	monitor_end(t);
	return NULL;
}

static void begin(struct thread *t, unsigned int process, unsigned int nr)
{
	unsigned int i;

	t->nr = nr;
	t->random = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	t->random += (process << 8 | nr) * 0xbf58476d1ce4e5b9ULL;
	t->random = t->random ?: 1;
	for (i = 0; i < 10; i++)
		rnd64(t);
	t->budget = calls / processes / threads;
	t->base = (char *)BASE + (size_t)nr * 2 * PAGES * page_size;
	t->memfd = memfd_create("fuzz", MFD_CLOEXEC);
	t->scrapfd = memfd_create("scrap", MFD_CLOEXEC);
	if (t->memfd < 0 || ftruncate(t->memfd, PAGES * page_size) || t->scrapfd < 0 ||
	    ftruncate(t->scrapfd, PAGES * page_size))
		err(1, "thread");
	monitor_begin(t);
	mirror_begin(t);
}

static void process(unsigned int nr)
{
	static struct thread all[MAX_THREADS];
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	monitor_begin_wild();
	mirror_begin_wild(nr);
	for (i = 0; i < threads; i++)
		begin(&all[i], nr, i);
	for (i = 1; i < threads; i++)
		if (pthread_create(&all[i].id, NULL, run, &all[i]))
			err(1, "pthread_create");
	run(&all[0]);
	for (i = 1; i < threads; i++)
		pthread_join(all[i].id, NULL);
	count(&shared->processes_done);
	fflush(stdout);
	_exit(0);
}

/* Until all have ended, or do nothing any more */
static void wait_for(pid_t *pids)
{
	unsigned long long steps = 0;
	unsigned int left = processes, i, s, idle = 0;
	int status;

	for (s = 1; left; s++) {
		for (i = 0; i < processes; i++) {
			if (!pids[i] || waitpid(pids[i], &status, WNOHANG) != pids[i])
				continue;
			if (status)
				fail("process %u ended with status %x", i, status);
			pids[i] = 0;
			left--;
		}
		if (!left)
			break;
		sleep_ms(100);
		if (s % (10 * PROGRESS_S))
			continue;
		idle = shared->steps == steps ? idle + PROGRESS_S : 0;
		steps = shared->steps;
		ksft_print_msg("seed %llu: %llu of %llu steps, %llu failures\n", seed, steps, calls,
			       shared->failures);
		fflush(stdout);
		if (idle < HUNG_S)
			continue;
		fail("nothing was done for %u seconds", idle);
		for (i = 0; i < processes; i++)
			if (pids[i])
				kill(pids[i], SIGKILL);
		idle = 0;
	}
}

static void print_counts(void)
{
	unsigned int i, j;

	printf("# %-28s %10s %10s  errors\n", "call", "made", "succeeded");
	for (i = 0; i < NR_KINDS; i++) {
		printf("# %-28s %10llu %10llu ", kinds[i].name, shared->calls[i], shared->ok[i]);
		for (j = 0; j < ERRNOS; j++)
			if (shared->errors[i][j])
				printf(" %s %llu", j ? strerrorname_np(j) : "?",
				       shared->errors[i][j]);
		printf("\n");
	}
	printf("# %llu changes of words that had to be, %llu events, %llu of them OVERFLOW\n",
	       shared->changes, shared->events, shared->overflows);
	printf("# %llu words that devices and CPU agree on, %llu keys that had to be revoked\n",
	       shared->compared, shared->revoked);
}

/* A kind that never succeeded, or never failed, was not tested. */
static void check_kinds(void)
{
	unsigned int i;

	if (calls < ENOUGH)
		return;
	for (i = 0; i < NR_KINDS; i++) {
		if (kinds[i].must_succeed && !shared->ok[i])
			fail("%s: never succeeded", kinds[i].name);
		if (kinds[i].must_fail && shared->calls[i] == shared->ok[i])
			fail("%s: never failed", kinds[i].name);
	}
	if (shared->changes < calls / 200 || !shared->events)
		fail("too few changes");
	/* a few in 30000 calls, and so none now and then */
	if (calls >= 10 * ENOUGH && !shared->overflows)
		fail("no queue was ever full");
	if (shared->compared < calls / 100 || !shared->revoked)
		fail("too few accesses of the devices");
}

static unsigned long long to_number(const char *text)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (*end || end == text || errno)
		errx(1, "%s is not a number", text);
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "calls", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "processes", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ }
	};
	pid_t pids[MAX_PROCESSES];
	unsigned int i;
	int option, fd;

	seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			calls = to_number(optarg);
			break;
		case 's':
			seed = to_number(optarg);
			break;
		case 'p':
			processes = to_number(optarg);
			break;
		case 't':
			threads = to_number(optarg);
			break;
		default:
			errx(1, "usage: %s [--calls N] [--seed N] [--processes N] [--threads N]",
			     argv[0]);
		}
	}
	if (!processes || processes > MAX_PROCESSES || !threads || threads > MAX_THREADS)
		errx(1, "1 to %u processes, 1 to %u threads", MAX_PROCESSES, MAX_THREADS);

	ksft_print_header();
	ksft_set_plan(1);
	fd = raw_open();
	if (fd == -ENOENT)
		ksft_exit_skip("no " MONITOR_PATH "\n");
	if (fd < 0)
		ksft_exit_fail_msg(MONITOR_PATH ": %s\n", strerror(-fd));
	close(fd);
	sysmm_init();
	for (i = 0; i < processes; i++) {
		struct mirror m;

		if (mirror_try_open(&m))
			ksft_exit_skip("no " MMU_MIRROR_PATH "\n");
		if (dup3(m.fd, EXPORT_FD + i, O_CLOEXEC) < 0)
			err(1, "dup3");
		mirror_close(&m);
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	ksft_print_msg("seed %llu, %llu steps, %u processes of %u threads\n", seed, calls,
		       processes, threads);
	fflush(stdout);
	for (i = 0; i < processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (!pids[i])
			process(i);
	}
	wait_for(pids);
	if (shared->processes_done != processes)
		fail("%llu of %u processes came to their end", shared->processes_done, processes);
	print_counts();
	check_kinds();
	ksft_test_result(!shared->failures, "nothing unexpected came of the calls\n");
	ksft_finished();
}
