// SPDX-License-Identifier: GPL-2.0
/*
 * Move another process's memory, by the system calls that may.
 *
 *	squeeze PID START-END COMMAND...
 *
 *	pageout		to swap
 *	collapse	into huge pages
 *	scatter		a few pages to node 0, the next few to node 1, and so on
 *	scatter-back	the other way round
 *	migrate		all of the process's memory from node 0 to node 1
 *	migrate-back	from node 1 to node 0
 *
 * Each says what it did. That a part of it failed is normal; that nothing was done
 * is seen in the kernel's counters.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define STRETCH		32	/* pages that go to the same node */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static int pid;
static unsigned long start, end;

/* A stretch at a time: one that fails does not keep the others from it. */
static void advise(int advice, unsigned long stretch, const char *what)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	unsigned long at, done = 0;
	struct iovec iov;

	if (fd < 0)
		err(EXIT_FAILURE, "pid %d", pid);
	for (at = start; at < end; at += stretch) {
		iov.iov_base = (void *)at;
		iov.iov_len = stretch < end - at ? stretch : end - at;
		if (syscall(SYS_process_madvise, fd, &iov, 1UL, advice, 0) > 0)
			done += iov.iov_len;
	}
	close(fd);
	printf("%s: %lu of %lu MB\n", what, done >> 20, (end - start) >> 20);
}

/* Small stretches in turn: each one is looked up, unmapped and flushed by itself. */
static void move_about(unsigned int flip)
{
	unsigned long i, n = (end - start) / PAGE, there = 0;
	int *nodes = calloc(n, sizeof(*nodes)), *result = calloc(n, sizeof(*result));
	void **pages = calloc(n, sizeof(*pages));

	if (!nodes || !result || !pages)
		err(EXIT_FAILURE, "%lu pages", n);
	for (i = 0; i < n; i++) {
		pages[i] = (void *)(start + i * PAGE);
		nodes[i] = (i / STRETCH + flip) & 1;
	}
	if (syscall(SYS_move_pages, pid, n, pages, nodes, result, MPOL_MF_MOVE_ALL) < 0)
		printf("scatter: %s\n", strerror(errno));
	for (i = 0; i < n; i++)
		there += result[i] == nodes[i];
	printf("scatter: %lu of %lu pages are where they should be\n", there, n);
	free(nodes);
	free(result);
	free(pages);
}

static void move_all(unsigned long from, unsigned long to)
{
	unsigned long old = 1UL << from, new = 1UL << to;
	long left = syscall(SYS_migrate_pages, pid, 8 * sizeof(old), &old, &new);

	if (left < 0)
		printf("migrate %lu to %lu: %s\n", from, to, strerror(errno));
	else
		printf("migrate %lu to %lu: %ld pages left\n", from, to, left);
}

int main(int argc, char **argv)
{
	int i;

	if (argc < 4 || sscanf(argv[2], "%lx-%lx", &start, &end) != 2)
		errx(EXIT_FAILURE, "usage: squeeze PID START-END COMMAND...");
	pid = atoi(argv[1]);
	for (i = 3; i < argc; i++) {
		if (!strcmp(argv[i], "pageout"))
			advise(MADV_PAGEOUT, HUGE, argv[i]);
		else if (!strcmp(argv[i], "collapse"))
			advise(MADV_COLLAPSE, HUGE, argv[i]);
		else if (!strcmp(argv[i], "scatter"))
			move_about(0);
		else if (!strcmp(argv[i], "scatter-back"))
			move_about(1);
		else if (!strcmp(argv[i], "migrate"))
			move_all(0, 1);
		else if (!strcmp(argv[i], "migrate-back"))
			move_all(1, 0);
		else
			errx(EXIT_FAILURE, "no such command: %s", argv[i]);
	}
	return 0;
}
