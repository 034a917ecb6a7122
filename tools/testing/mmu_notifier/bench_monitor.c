// SPDX-License-Identifier: GPL-2.0
/*
 * What /dev/mmu_monitor costs: prints "monitor/CASE COUNT" for each case, the median
 * of some samples. COUNT is of the time-stamp counter, which counts instructions
 * under QEMU's -icount; of memory it is bytes.
 *
 * Each state is measured in a process of its own, with the same memory mapped:
 *
 *	none		no monitor
 *	elsewhere	100,000 watches, of other addresses
 *	interval	a plain interval subscription to each page that is changed
 *	watched		a watch of it, which makes an event
 *	quiet		one that makes none
 *	oneshot		one that has made its event, and is not re-armed
 */
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/wait.h>
#include <x86intrin.h>

#include "bench_guest.h"
#include "monitor_raw.h"

#define SAMPLES		63
#define MANY		100000

static const char *state;
static unsigned long long samples[SAMPLES];
static char *islands;	/* pages with nothing between them */
static char *apart;	/* addresses where nothing is mapped */
static int monitor;

static int by_size(const void *a, const void *b)
{
	unsigned long long x = *(unsigned long long *)a;
	unsigned long long y = *(unsigned long long *)b;

	return (x > y) - (x < y);
}

static void say(const char *what, unsigned long long figure)
{
	printf("monitor/%s-%s %llu\n", what, state, figure);
	fflush(stdout);
}

static void report(const char *what)
{
	qsort(samples, SAMPLES, sizeof(*samples), by_size);
	say(what, samples[SAMPLES / 2]);
}

static char *island(unsigned int nr)
{
	return islands + 2 * nr * page_size;
}

static __u64 watch(const char *addr, __u32 flags)
{
	__u64 word;
	int ret = raw_watch(monitor, addr, page_size, MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED,
			    flags, 0, &word);

	if (ret) {
		errno = -ret;
		err(1, "WATCH");
	}
	return word;
}

static void open_monitor(void)
{
	monitor = raw_open();
	if (monitor < 0) {
		errno = -monitor;
		err(1, MONITOR_PATH);
	}
}

/* What the cgroup of this process has been charged, in bytes */
static long long charged(void)
{
	return cgroup_get("bench", "memory.current");
}

/* Also what the first ones, the last ones, and a one of them costs */
static void many_watches(void)
{
	static __u64 words[SAMPLES];
	long long before = charged();
	unsigned int i;

	for (i = 0; i < MANY; i++) {
		unsigned long long cost = __rdtsc();
		__u64 word = watch(apart + 2 * i * page_size, 0);

		cost = __rdtsc() - cost;
		if (i >= MANY - SAMPLES) {
			words[i - (MANY - SAMPLES)] = word;
			samples[i - (MANY - SAMPLES)] = cost;
		}
	}
	report("watch");
	if (before > 0)
		say("bytes-per-watch", (charged() - before) / MANY);
	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (raw_unwatch(monitor, words[i]))
			errx(1, "UNWATCH");
		samples[i] = __rdtsc() - samples[i];
	}
	report("unwatch");
	for (i = 0; i < SAMPLES; i++)
		watch(apart + 2 * (MANY + i) * page_size, 0);
}

static void few_watches(__u32 flags)
{
	unsigned int i;

	for (i = 0; i < SAMPLES; i++)
		watch(island(i), flags);
}

static void intervals(void)
{
	unsigned int i;
	char command[64];

	for (i = 0; i < SAMPLES; i++) {
		snprintf(command, sizeof(command), "interval %lx", (unsigned long)island(i));
		subscribe(command);
	}
}

static void prepare(void)
{
	if (!strcmp(state, "interval")) {
		intervals();
		return;
	}
	if (!strcmp(state, "none"))
		return;
	open_monitor();
	if (!strcmp(state, "elsewhere"))
		many_watches();
	else if (!strcmp(state, "watched"))
		few_watches(0);
	else if (!strcmp(state, "quiet"))
		few_watches(MMU_MONITOR_QUIET);
	else
		few_watches(MMU_MONITOR_ONESHOT);
}

static void read_events(void)
{
	struct mmu_monitor_event events[16];

	while (raw_read(monitor, events, 16) > 0)
		;
}

static void measure(void)
{
	unsigned int i;

	islands = map(2 * SAMPLES * page_size, MAP_PRIVATE);
	for (i = 0; i < SAMPLES; i++) {
		touch(island(i), page_size);
		munmap(island(i) + page_size, page_size);
	}
	apart = mmap(NULL, 2 * (MANY + SAMPLES) * page_size, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (apart == MAP_FAILED)
		err(1, "mmap");
	prepare();

	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (madvise(island(i), page_size, MADV_DONTNEED))
			err(1, "madvise");
		samples[i] = __rdtsc() - samples[i];
		touch(island(i), page_size);
	}
	report("madvise");
	/* so that each makes an event again, but for those that do so once */
	if (monitor > 0)
		read_events();
	for (i = 0; i < SAMPLES; i++) {
		samples[i] = __rdtsc();
		if (munmap(island(i), page_size))
			err(1, "munmap");
		samples[i] = __rdtsc() - samples[i];
	}
	report("munmap");
}

int main(void)
{
	static const char *const states[] = {
		"none", "elsewhere", "interval", "watched", "quiet", "oneshot", NULL
	};
	struct sched_param param = { 0 };
	const char *const *s;
	int status;
	pid_t pid;

	sysmm_init();
	if (need_cgroup())
		warnx("%s: no figure for memory", need_cgroup());
	/* A child does not run ahead of its parent. */
	if (sched_setscheduler(0, SCHED_BATCH, &param))
		err(1, "sched_setscheduler");
	for (s = states; *s; s++) {
		state = *s;
		pid = fork();
		if (pid < 0)
			err(1, "fork");
		if (!pid) {
			cgroup_enter("bench");
			measure();
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			errx(1, "%s: status %x", state, status);
	}
	cgroup_leave("bench");
	return 0;
}
