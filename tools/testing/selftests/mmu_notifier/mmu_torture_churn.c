// SPDX-License-Identifier: GPL-2.0
/*
 * mmu_torture_churn [--processes N] [--seconds N] [--eat MB]: processes for the
 * torture test of the MMU notifiers (mmu_notifier_torture.ko, which has to be
 * loaded). Each attaches a window of its memory, works on that as processes do, and
 * forks children that attach theirs; some exit, some are killed.
 *
 * --eat: each of the first generation takes memory until there are so many MB or it
 * is killed, to be run in a cgroup that has less. Who is killed is no failure.
 *
 * The first word of a page in the window is 0, or the one that depends on its address.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ATTACH	"/sys/kernel/debug/mmu_notifier_torture/attach"
#define PAGES	32
#define WORD	0x6d6d755f746f7274UL

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

static size_t page_size, eat;
static time_t until;

static unsigned long *word(char *at)
{
	return (unsigned long *)at;
}

static void write_words(char *window, int first, int last)
{
	for (int i = first; i <= last; i++) {
		char *page = window + i * page_size;

		*word(page) = (unsigned long)page ^ WORD;
	}
}

/* 0, or the exit status of a process that cannot go on */
static int attach(char *window)
{
	char text[64];
	int fd = open(ATTACH, O_WRONLY), n;

	if (fd < 0) {
		fprintf(stderr, "%s: %s; is mmu_notifier_torture loaded?\n", ATTACH,
			strerror(errno));
		return 2;
	}
	n = snprintf(text, sizeof(text), "%lu %zu", (unsigned long)window,
		     PAGES * page_size);
	n = write(fd, text, n);
	close(fd);
	/* Others have all the places there are, or there is no memory. */
	return n > 0 || errno == EBUSY || errno == ENOMEM ? 0 : 3;
}

/* Are the words what was written? A page that was given up has none. */
static bool words_good(char *window)
{
	for (int i = 0; i < PAGES; i++) {
		char *page = window + i * page_size;
		unsigned long is = *word(page);

		if (is && is != ((unsigned long)page ^ WORD)) {
			fprintf(stderr, "page %d has %#lx\n", i, is);
			return false;
		}
	}
	return true;
}

static int work(char *window, int generation, int rounds)
{
	while (rounds-- && time(NULL) < until) {
		int first = rand() % PAGES, last = first + rand() % 8, status;
		char *at = window + first * page_size;
		size_t length;
		pid_t pid;

		if (last >= PAGES)
			last = PAGES - 1;
		length = (last - first + 1) * page_size;
		switch (rand() % 8) {
		case 0:
			madvise(at, length, MADV_DONTNEED);
			write_words(window, first, last);
			break;
		case 1:
			madvise(at, length, MADV_PAGEOUT);
			break;
		case 2:
			mprotect(at, length, PROT_READ);
			mprotect(at, length, PROT_READ | PROT_WRITE);
			break;
		case 3:
			if (mmap(at, length, PROT_READ | PROT_WRITE,
				 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != at)
				return 4;
			write_words(window, first, last);
			break;
		case 4:
			if (generation > 2)
				break;
			pid = fork();
			if (!pid) {
				srand(rand() ^ getpid());
				status = attach(window);
				_exit(status ? status : work(window, generation + 1, 40));
			}
			if (pid < 0)
				break;
			write_words(window, first, last);
			if (rand() % 2)
				kill(pid, SIGKILL);
			if (waitpid(pid, &status, 0) != pid)
				break;
			if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
				return 7;
			if (WIFEXITED(status) && WEXITSTATUS(status))
				return WEXITSTATUS(status);
			break;
		case 5:
			madvise(at, length, MADV_MERGEABLE);
			break;
		default:
			if (!words_good(window))
				return 5;
		}
	}
	return 0;
}

/* Of all in the cgroup, not the one who starts and awaits us. */
static void choose_me(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, "1000", 4) != 4)
		_exit(6);
	close(fd);
}

static int process(int seed)
{
	char *window = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	char *p;

	if (window == MAP_FAILED)
		return 4;
	srand(seed);
	write_words(window, 0, PAGES - 1);
	status = attach(window);
	if (status || !eat)
		return status ? status : work(window, 0, 1000);
	choose_me();
	for (size_t i = 0; i < eat; i++) {
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		memset(p, 1, 1 << 20);
	}
	return work(window, 3, 20);
}

static long positive(const char *text)
{
	char *end;
	long n = strtol(text, &end, 0);

	if (*end || n < 1) {
		fprintf(stderr, "%s: a number above 0, please\n", text);
		exit(1);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "processes", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' },
		{ "eat", required_argument, NULL, 'e' },
		{ }
	};
	long processes = 4, seconds = 10, running = 0;
	unsigned long done = 0, killed = 0;
	int c, status, seed = 1;

	page_size = sysconf(_SC_PAGESIZE);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'p':
			processes = positive(optarg);
			break;
		case 's':
			seconds = positive(optarg);
			break;
		case 'e':
			eat = positive(optarg);
			break;
		default:
			return 1;
		}
	}
	until = time(NULL) + seconds;
	while (time(NULL) < until || running) {
		if (time(NULL) < until && running < processes) {
			pid_t pid = fork();

			if (!pid)
				_exit(process(seed));
			if (pid < 0)
				return 1;
			seed++;
			running++;
			continue;
		}
		if (wait(&status) < 0)
			return 1;
		running--;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
			killed++;
		} else if (WIFEXITED(status) && !WEXITSTATUS(status)) {
			done++;
		} else {
			printf("CHURN: FAIL: wait status %#x\n", status);
			return 1;
		}
	}
	printf("CHURN: PASS: %lu processes ended, %lu were killed\n", done, killed);
	return 0;
}
