/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs share that measure system calls in a guest: how to subscribe
 * to oneself, by mm/tests/mmu_notifier_bench_self.c.
 */
#ifndef _BENCH_GUEST_H
#define _BENCH_GUEST_H

#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sysmm.h"

#define SUBSCRIBE	"/sys/kernel/debug/mmu_notifier_bench/subscribe"

/* For as long as the file that is returned is open */
static inline int subscribe(const char *command)
{
	int fd = open(SUBSCRIBE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, SUBSCRIBE);
	if (write(fd, command, strlen(command)) < 0)
		err(1, "%s: %s", SUBSCRIBE, command);
	return fd;
}

static inline void *map(size_t bytes, int flags)
{
	void *addr = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  flags | MAP_ANONYMOUS, -1, 0);

	if (addr == MAP_FAILED)
		err(1, "mmap");
	return addr;
}

/* Different pages, so that nobody finds two that are the same */
static inline void touch(char *addr, size_t bytes)
{
	size_t at;

	for (at = 0; at < bytes; at += page_size)
		*(volatile size_t *)(addr + at) = (size_t)(addr + at);
}

#endif /* _BENCH_GUEST_H */
