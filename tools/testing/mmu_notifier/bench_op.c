// SPDX-License-Identifier: GPL-2.0
/*
 * What operations on memory cost a process that has no subscriber, one list
 * subscription, or one to addresses elsewhere: prints "op/OPERATION-STATE COUNT"
 * for each, the median of some samples. COUNT is of the time-stamp counter,
 * which counts instructions under QEMU's -icount.
 *
 *	bench_op none|list-1|interval-1|off
 *
 * "off" is for a kernel without MMU notifiers, and differs from "none" by what
 * is printed only. Per page: pageout and migrate.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <x86intrin.h>

#include "bench_guest.h"

#define SAMPLES		31
#define BATCH		64	/* pages evicted or migrated at once */
#define FORK_VMAS	16
#define FORK_PAGES	64	/* of each */

static const char *state;
static unsigned long long samples[SAMPLES];

static int by_size(const void *a, const void *b)
{
	unsigned long long x = *(unsigned long long *)a;
	unsigned long long y = *(unsigned long long *)b;

	return (x > y) - (x < y);
}

static void report(const char *operation, unsigned int pages)
{
	qsort(samples, SAMPLES, sizeof(*samples), by_size);
	printf("op/%s-%s %llu\n", operation, state, samples[SAMPLES / 2] / pages);
	fflush(stdout);
}

/* Pages with nothing between them, so that each is a VMA of its own */
static char *islands(unsigned int nr, unsigned int pages)
{
	size_t bytes = pages * page_size;
	char *area = map(2 * nr * bytes, MAP_PRIVATE);
	unsigned int i;

	for (i = 0; i < nr; i++) {
		touch(area + 2 * i * bytes, bytes);
		if (munmap(area + (2 * i + 1) * bytes, bytes))
			err(1, "munmap");
	}
	return area;
}

static void op_madvise(void)
{
	char *page = map(page_size, MAP_PRIVATE);
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		touch(page, page_size);
		samples[i] = __rdtsc();
		if (madvise(page, page_size, MADV_DONTNEED))
			err(1, "madvise");
		samples[i] = __rdtsc() - samples[i];
	}
	report("madvise", 1);
}

static void op_munmap(void)
{
	char *area = islands(SAMPLES, 1);
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (munmap(area + 2 * i * page_size, page_size))
			err(1, "munmap");
		samples[i] = __rdtsc() - samples[i];
	}
	report("munmap", 1);
}

static void op_mprotect(void)
{
	char *area = islands(SAMPLES, 1);
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (mprotect(area + 2 * i * page_size, page_size, PROT_READ))
			err(1, "mprotect");
		samples[i] = __rdtsc() - samples[i];
	}
	report("mprotect", 1);
}

static void op_cow(void)
{
	char *area = map(SAMPLES * page_size, MAP_PRIVATE);
	unsigned int i;
	pid_t pid;

	touch(area, SAMPLES * page_size);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		for (;;)
			pause();
	}
	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		*(volatile char *)(area + i * page_size) = 1;
		samples[i] = __rdtsc() - samples[i];
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	report("cow", 1);
}

static void op_fork(void)
{
	unsigned int i;
	pid_t pid;

	islands(FORK_VMAS, FORK_PAGES);
	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		pid = fork();
		if (!pid)
			_exit(0);
		samples[i] = __rdtsc() - samples[i];
		if (pid < 0)
			err(1, "fork");
		waitpid(pid, NULL, 0);
	}
	report("fork", 1);
}

static void op_pageout(void)
{
	char *area = map(BATCH * page_size, MAP_PRIVATE);
	unsigned int i;

	for (i = 0; i < SAMPLES; i++) {
		touch(area, BATCH * page_size);
		lru_drain();
		samples[i] = __rdtsc();
		if (madvise(area, BATCH * page_size, MADV_PAGEOUT))
			err(1, "madvise");
		samples[i] = __rdtsc() - samples[i];
		if (pages_swapped(area, BATCH) != BATCH)
			errx(1, "pages were not paged out");
	}
	report("pageout", BATCH);
}

static void op_migrate(void)
{
	char *area = map(BATCH * page_size, MAP_PRIVATE);
	unsigned int i;

	touch(area, BATCH * page_size);
	if (pages_bind(area, BATCH, 1))
		errx(1, "mbind failed");
	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (pages_bind(area, BATCH, i % 2))
			errx(1, "mbind failed");
		samples[i] = __rdtsc() - samples[i];
		if (pages_on_node(area, BATCH, i % 2) != BATCH)
			errx(1, "pages were not migrated");
	}
	report("migrate", BATCH);
}

int main(int argc, char **argv)
{
	struct sched_param param = { 0 };
	char command[64];

	if (argc != 2)
		errx(1, "usage: bench_op none|list-1|interval-1|off");
	state = argv[1];
	sysmm_init();
	/* A child does not run ahead of its parent. */
	if (sched_setscheduler(0, SCHED_BATCH, &param))
		err(1, "sched_setscheduler");

	if (!strcmp(state, "list-1")) {
		subscribe("list");
	} else if (!strcmp(state, "interval-1")) {
		snprintf(command, sizeof(command), "interval %lx",
			 (unsigned long)map(page_size, MAP_PRIVATE));
		subscribe(command);
	} else if (strcmp(state, "none") && strcmp(state, "off")) {
		errx(1, "no such state: %s", state);
	}

	op_madvise();
	op_munmap();
	op_mprotect();
	op_cow();
	op_fork();
	op_pageout();
	op_migrate();
	return 0;
}
