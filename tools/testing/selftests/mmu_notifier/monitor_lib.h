/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/mmu_monitor from user space, call by call, for the tests of it. Programs
 * use tools/lib/mmu_monitor instead.
 *
 * monitor_try_xxx() returns 0 or a negative errno. Threads may share a struct
 * monitor.
 */
#ifndef _SELFTESTS_MONITOR_LIB_H
#define _SELFTESTS_MONITOR_LIB_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../../include/uapi/linux/mmu_monitor.h"

#define MONITOR_PATH		"/dev/mmu_monitor"

/* What a cache of registrations that pin their pages asks for */
#define MONITOR_CACHE		(MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED)

/**
 * struct monitor - one open descriptor with its area
 * @fd: the descriptor, O_NONBLOCK.
 * @area: all of the area, mapped; NULL if it is not.
 * @area_size: in bytes.
 */
struct monitor {
	int fd;
	const char *area;
	size_t area_size;
};

int monitor_try_open(struct monitor *m);
int monitor_try_map(struct monitor *m);
void monitor_close(struct monitor *m);

int monitor_try_info(int fd, struct mmu_monitor_info *info);
int monitor_try_watch(int fd, const void *addr, size_t length, __u32 classes, __u32 flags,
		      __u64 cookie, __u64 *word);
int monitor_try_unwatch(int fd, __u64 word);
int monitor_try_rearm(int fd, __u64 word, __u64 *generation);
int monitor_try_eventfd(int fd, int eventfd);
int monitor_try_max_events(int fd, __u64 max);
int monitor_try_flush(int fd);

/* Events that are there now: how many were read, or a negative errno; 0: none */
int monitor_read(int fd, struct mmu_monitor_event *events, size_t max);
/* How many there are, which are then gone */
size_t monitor_drain(int fd);
/* revents of poll(), waiting that long */
int monitor_poll(int fd, int ms);

/* The value of a generation word, before what is read next */
static inline __u64 monitor_word(const struct monitor *m, __u64 word)
{
	return __atomic_load_n((const __u64 *)(m->area + word), __ATOMIC_ACQUIRE);
}

static inline const struct mmu_monitor_area *monitor_area(const struct monitor *m)
{
	return (const struct mmu_monitor_area *)m->area;
}

static inline __u64 monitor_pending(const struct monitor *m)
{
	return __atomic_load_n(&monitor_area(m)->pending, __ATOMIC_ACQUIRE);
}

static inline __u64 monitor_watches(const struct monitor *m)
{
	return __atomic_load_n(&monitor_area(m)->watches, __ATOMIC_ACQUIRE);
}

/*
 * The page at an address as the page table has it, a reference to which is kept in a
 * pipe: what a driver pins. A load would do, but for a CPU's TLB: it is flushed
 * somewhat later than the range ends that took the page away. False: no page is there.
 */
bool page_pin(int pipe, const void *addr);
/* The first 8 bytes of it, as they are now; it is let go of. */
bool page_unpin(int pipe, __u64 *value);

/**
 * struct other - another process that does one thing when it is told to
 * @pid: of it.
 * @ask: written to by us.
 * @answer: written to by it.
 */
struct other {
	pid_t pid;
	int ask;
	int answer;
};

/* It calls @act(@arg) for each other_act(), which waits for it to return. */
bool other_start(struct other *o, int (*act)(void *arg), void *arg);
int other_act(struct other *o);
void other_end(struct other *o);

#endif /* _SELFTESTS_MONITOR_LIB_H */
