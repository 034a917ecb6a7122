/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What kdreg2 offers to libfabric, on /dev/mmu_monitor: each of its calls is one of
 * these, and means the same. It shows that the users of kdreg2 can do with ours; the
 * names are not its names, and neither is the memory layout.
 *
 *	kdreg2 (there)				here
 *	open, close				kd_open(), kd_close()
 *	ioctl: set how many regions		kd_config()
 *	ioctl: monitor a region			kd_monitor()
 *	ioctl: end that, of a cookie		kd_unmonitor()
 *	ioctl: end it of all			kd_unmonitor_all()
 *	ioctl: discard pending events		kd_flush()
 *	has the mapping changed?		kd_changed()
 *	read, poll				kd_read(), kd_fd()
 *	counters in shared memory		kd_pending(), kd_total(), kd_active()
 *
 * What it means, as seen by its users:
 *
 * A region is monitored until it has changed once. Then it makes an event, which
 * names it by the address, length and cookie that were given, and is not
 * monitored any more: it does not count as active, and its cookie may be used
 * again, while the event waits to be read.
 *
 * Two things are not the same. A region that is changing when kd_monitor() is called
 * makes it wait for the end of that, instead of returning a region that looks
 * unchanged to who goes on to pin what is about to vanish. And kd_changed() cannot
 * be late: once a system call that changed a mapping has returned, it is true.
 */
#ifndef _SELFTESTS_KDREG2_ADAPTER_H
#define _SELFTESTS_KDREG2_ADAPTER_H

#include <stdint.h>
#include <sys/types.h>

#include "mmon.h"

/* No region may have it. */
#define KD_BAD_COOKIE	UINT64_MAX

/**
 * struct kd_status - what user space sees without a call; to be read only
 * @version: of the interface.
 * @max_regions: how many can be monitored.
 * @monitor: with counters and words in shared memory.
 */
struct kd_status {
	uint64_t version;
	size_t max_regions;
	struct mmon monitor;
};

/**
 * struct kd_ticket - what kd_changed() compares
 * @location: of the word, counted in words.
 * @generation: what it was.
 */
struct kd_ticket {
	size_t location;
	uint64_t generation;
};

#define KD_MAPPING_CHANGE	1

/**
 * struct kd_event - what kd_read() returns
 * @type: KD_MAPPING_CHANGE.
 * @addr: of the region, as it was given.
 * @len: likewise.
 * @cookie: likewise.
 */
struct kd_event {
	uint32_t type;
	const void *addr;
	size_t len;
	uint64_t cookie;
};

struct kd;

int kd_open(struct kd **result, bool nonblocking);
void kd_close(struct kd *kd);
int kd_config(struct kd *kd, size_t max_regions, const struct kd_status **status);
int kd_monitor(struct kd *kd, const void *addr, size_t len, uint64_t cookie,
	       struct kd_ticket *ticket);
int kd_unmonitor(struct kd *kd, uint64_t cookie, const struct kd_ticket *ticket);
int kd_unmonitor_all(struct kd *kd);
int kd_flush(struct kd *kd);
ssize_t kd_read(struct kd *kd, struct kd_event *events, size_t bytes);
int kd_fd(const struct kd *kd);

/* One load and compare; by any thread at any time */
static inline bool kd_changed(const struct kd_status *status, const struct kd_ticket *ticket)
{
	const uint64_t *words = (const uint64_t *)status->monitor.area;

	if (ticket->location >= status->monitor.area_size / sizeof(*words))
		return true;
	return !mmon_is((const __u64 *)&words[ticket->location], ticket->generation);
}

/* Events that wait to be read */
static inline uint64_t kd_pending(const struct kd_status *status)
{
	return mmon_pending(&status->monitor);
}

/* Events that there have been */
static inline uint64_t kd_total(const struct kd_status *status)
{
	return mmon_load(&status->monitor.area->events);
}

/* Regions that have not changed: what waits to be read has one watch each. */
static inline uint64_t kd_active(const struct kd_status *status)
{
	uint64_t pending = kd_pending(status), watches = mmon_load(&status->monitor.area->watches);

	return watches > pending ? watches - pending : 0;
}

#endif /* _SELFTESTS_KDREG2_ADAPTER_H */
