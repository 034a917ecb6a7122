/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * An example of what /dev/mmu_monitor is for: a cache of registrations with a
 * device that pins what is registered, as a network card does.
 *
 *	excache_get()	a registration of some memory: a hit, or a new one
 *	excache_put()	it may be used again, or be given up
 *
 * The application may do with its memory what it likes, without telling anybody:
 * free() and malloc(), munmap(), brk(), dlclose(), truncate a file that it or another
 * process has mapped, let stacks grow, fork. A hit is a registration of what
 * is mapped there when excache_get() is called.
 *
 * A child made by fork() goes on with an empty cache and a monitor of its own.
 * Registrations that it had got are the parent's: it may put them, but not use them.
 *
 * Any number of threads may use a cache. No lock is held while the device works.
 */
#ifndef _EXAMPLE_CACHE_H
#define _EXAMPLE_CACHE_H

#include "mmon.h"

#ifdef __cplusplus
extern "C" {
#endif

struct excache;

/**
 * struct excache_device - who registers; all are called with @context
 * @classes: changes that make a registration wrong: MMU_MONITOR_UNMAPPED |
 *	MMU_MONITOR_DROPPED, if pages are pinned as for RDMA.
 * @context: the device's own.
 * @pin: register whole pages of memory, 0 or a negative errno.
 * @unpin: end that.
 * @forked: in a child made by fork(), before the first @pin: what the device had
 *	is the parent's. May be NULL.
 */
struct excache_device {
	unsigned int classes;
	void *context;
	int (*pin)(void *context, void *start, size_t length, __u64 *key);
	void (*unpin)(void *context, __u64 key);
	void (*forked)(void *context);
};

/**
 * struct excache_entry - a registration; to be read only
 * @start: first address.
 * @length: in bytes.
 * @key: what the device calls it.
 */
struct excache_entry {
	char *start;
	size_t length;
	__u64 key;
	/* private: the cache's own */
	struct mmon_watch watch;
	unsigned int users, at;
	bool cached;
	__u64 used, life;
	struct excache_entry *next;
};

/**
 * struct excache_counters - what became of the calls
 * @hits: gets that found a registration.
 * @misses: gets that made one.
 * @told: registrations given up upon an event.
 * @found: those found to be invalid before the event was read.
 * @pushed: those given up for want of room.
 * @uncached: those made while the mapping changed, or that could not be watched.
 * @cached: those in the cache now.
 */
struct excache_counters {
	__u64 hits, misses, told, found, pushed, uncached, cached;
};

/* Flag of excache_new(): believe that nothing ever changes. For tests. */
#define EXCACHE_UNAWARE	(1U << 0)

int excache_new(const struct excache_device *device, unsigned int room, unsigned int flags,
		struct excache **cache);
void excache_free(struct excache *cache);
int excache_get(struct excache *cache, const void *address, size_t length,
		struct excache_entry **entry);
void excache_put(struct excache *cache, struct excache_entry *entry);
void excache_progress(struct excache *cache, struct excache_counters *counters);

#ifdef __cplusplus
}
#endif

#endif /* _EXAMPLE_CACHE_H */
