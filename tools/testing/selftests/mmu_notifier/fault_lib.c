// SPDX-License-Identifier: GPL-2.0
/*
 * Make the n-th thing that can fail in a call fail, see the header.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault_lib.h"
#include "sysmm.h"

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define RSEQ_BYTES	32	/* as glibc registers it */
#define SETTLE_MS	20000	/* what RCU and others are still to free is not lost */
#define MAX_POINTS	2000	/* more than any call that is swept has */
#define TRIES		4
#define COUNTS		9

static int nth_fd = -1;

/*
 * A restartable sequence's area is written to whenever the thread was preempted, and a
 * SIGSEGV is what it gets if that fails: a point of no call's.
 */
static void leave_rseq(void)
{
	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, RSEQ_BYTES,
		RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

bool fault_open(void)
{
	leave_rseq();
	nth_fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return nth_fd >= 0;
}

void fault_close(void)
{
	close(nth_fd);
	nth_fd = -1;
}

void fault_arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(nth_fd, text, len, 0) != len)
		_exit(FAULT_WRONG);
}

/* To look and to stop copies something, and so can fail in turn. */
bool fault_disarm(void)
{
	char text[16] = "";
	bool failed = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(nth_fd, "0", 1, 0) != 1)
		;
	return failed;
}

/* What is read was counted before it is copied. */
unsigned int fault_passed(void)
{
	char text[16] = "";

	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		return FAULT_MANY;
	fault_arm(0);
	return FAULT_MANY - atoi(text);
}

/* Without this nothing that may wait is ever made to fail. */
const char *fault_need(void)
{
	const char *debugfs = need_debugfs();

	if (debugfs)
		return debugfs;
	if (access(FAIL_NTH, W_OK))
		return "no fault injection (CONFIG_FAULT_INJECTION)";
	if (file_write("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"))
		return "no CONFIG_FAILSLAB, or no CONFIG_FAULT_INJECTION_DEBUG_FS";
	file_write("/sys/kernel/debug/failslab/verbose", "0");
	file_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	file_write("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	file_write("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	file_write("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	file_write("/sys/kernel/debug/fail_usercopy/verbose", "0");
	return NULL;
}

int fault_in_child(int (*function)(const void *what, unsigned int nth), const void *what,
		   const char *name, unsigned int nth)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return FAULT_WRONG;
	if (!pid) {
		status = function(what, nth);
		fflush(stdout);
		_exit(status);
	}
	waitpid(pid, &status, 0);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	printf("# %s, point %u: killed by signal %d\n", name, nth, WTERMSIG(status));
	return FAULT_WRONG;
}

bool fault_sweep(int (*function)(const void *what, unsigned int nth), const void *what,
		 const char *name, struct fault_sweep *sweep)
{
	unsigned int nth;

	*sweep = (struct fault_sweep){ };
	for (nth = 1; nth < MAX_POINTS; nth++) {
		switch (fault_in_child(function, what, name, nth)) {
		case FAULT_ENOMEM:
			sweep->enomem++;
			break;
		case FAULT_EFAULT:
			sweep->efault++;
			break;
		case FAULT_SURVIVED:
			sweep->survived++;
			break;
		case FAULT_WRONG:
			sweep->wrong++;
			break;
		case FAULT_NO_MORE:
			sweep->points = nth - 1;
			sweep->hits = sweep->enomem + sweep->efault + sweep->survived;
			return true;
		default:
			return false;
		}
		/* What is wrong at each point need not be told of each. */
		if (sweep->wrong == 10)
			break;
	}
	return false;
}

struct counted {
	unsigned int (*count)(const void *what, bool with);
	const void *what;
	const char *name;
	unsigned int *points;		/* shared with the child */
};

static int count_points(const void *what, unsigned int with)
{
	const struct counted *c = what;

	*c->points = c->count(c->what, with);
	return FAULT_NO_MORE;
}

/* In pairs, of which every other one begins with the other case */
static bool count_pairs(const struct counted *c, struct fault_cost *cost)
{
	__u64 points[2][COUNTS];
	unsigned int i, turn, with;

	for (i = 0; i < COUNTS; i++) {
		for (turn = 0; turn < 2; turn++) {
			with = (i + turn) % 2;
			if (fault_in_child(count_points, c, c->name, with) != FAULT_NO_MORE ||
			    *c->points >= FAULT_MANY)
				return false;
			points[with][i] = *c->points;
		}
	}
	cost->without = median(points[0], COUNTS);
	cost->with = median(points[1], COUNTS);
	return true;
}

void fault_compare(unsigned int (*count)(const void *what, bool with), const void *what,
		   const char *name, struct fault_cost *cost)
{
	struct counted c = { .count = count, .what = what, .name = name };
	unsigned int try;

	*cost = (struct fault_cost){ FAULT_MANY, FAULT_MANY };
	c.points = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (c.points == MAP_FAILED)
		return;
	for (try = 0; try < TRIES; try++) {
		if (!count_pairs(&c, cost)) {
			*cost = (struct fault_cost){ FAULT_MANY, FAULT_MANY };
			break;
		}
		if (cost->with <= cost->without)
			break;
	}
	munmap(c.points, page_size);
}

long fault_kernel_kb(void)
{
	char text[4096], *at;
	long kb = 0;

	if (memory_is_recorded() || file_read("/proc/meminfo", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "SUnreclaim:");
	if (at)
		kb += atol(at + 11);
	at = strstr(text, "Percpu:");
	if (at)
		kb += atol(at + 7);
	return kb;
}

long fault_kernel_grown(long before, long limit)
{
	long grown;

	within_ms(SETTLE_MS, (grown = fault_kernel_kb() - before) <= limit);
	return grown;
}
