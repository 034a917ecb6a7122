/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/mmu_monitor without a library: each command as it is, 0 or a negative errno.
 * For those who look for errors; programs use tools/lib/mmu_monitor.
 */
#ifndef _SELFTESTS_MONITOR_RAW_H
#define _SELFTESTS_MONITOR_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../../include/uapi/linux/mmu_monitor.h"

#define MONITOR_PATH	"/dev/mmu_monitor"

static inline int raw_open(void)
{
	int fd = open(MONITOR_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

static inline int raw_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

static inline int raw_info(int fd, struct mmu_monitor_info *info)
{
	*info = (struct mmu_monitor_info){ .size = sizeof(*info) };
	return raw_ioctl(fd, MMU_MONITOR_INFO, info);
}

static inline int raw_watch(int fd, const void *addr, size_t length, __u32 classes,
			    __u32 flags, __u64 cookie, __u64 *word)
{
	struct mmu_monitor_watch w = {
		.size = sizeof(w),
		.flags = flags,
		.address = (uintptr_t)addr,
		.length = length,
		.cookie = cookie,
		.classes = classes,
	};
	int ret = raw_ioctl(fd, MMU_MONITOR_WATCH, &w);

	if (!ret)
		*word = w.word;
	return ret;
}

static inline int raw_word(int fd, unsigned long cmd, __u64 word)
{
	struct mmu_monitor_word w = { .size = sizeof(w), .word = word };

	return raw_ioctl(fd, cmd, &w);
}

static inline int raw_unwatch(int fd, __u64 word)
{
	return raw_word(fd, MMU_MONITOR_UNWATCH, word);
}

static inline int raw_rearm(int fd, __u64 word)
{
	return raw_word(fd, MMU_MONITOR_REARM, word);
}

static inline int raw_flush(int fd)
{
	return raw_ioctl(fd, MMU_MONITOR_FLUSH, NULL);
}

static inline int raw_eventfd(int fd, int eventfd)
{
	struct mmu_monitor_config c = {
		.size = sizeof(c),
		.flags = MMU_MONITOR_EVENTFD,
		.eventfd = eventfd,
	};

	return raw_ioctl(fd, MMU_MONITOR_CONFIG, &c);
}

static inline int raw_max_events(int fd, __u64 max)
{
	struct mmu_monitor_config c = {
		.size = sizeof(c),
		.flags = MMU_MONITOR_MAX_EVENTS,
		.eventfd = -1,
		.max_events = max,
	};

	return raw_ioctl(fd, MMU_MONITOR_CONFIG, &c);
}

/* How many events, or -errno */
static inline ssize_t raw_read(int fd, struct mmu_monitor_event *events, size_t nr)
{
	ssize_t ret = read(fd, events, nr * sizeof(*events));

	return ret < 0 ? -errno : ret / (ssize_t)sizeof(*events);
}

/* A page of it at least has to be there. */
static inline const volatile struct mmu_monitor_area *raw_area(int fd, size_t bytes)
{
	return mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
}

static inline __u64 raw_load(const volatile struct mmu_monitor_area *area, __u64 word)
{
	return __atomic_load_n((const volatile __u64 *)((const volatile char *)area + word),
			       __ATOMIC_ACQUIRE);
}

#endif /* _SELFTESTS_MONITOR_RAW_H */
