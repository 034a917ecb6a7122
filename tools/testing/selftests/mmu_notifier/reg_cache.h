/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A registration cache in user space, on the personality `regcache` of
 * /dev/mmu_mirror.
 *
 * To register a buffer takes long, so MPI, libfabric and others keep the
 * registrations that they made, hoping that the same buffer is used again. The
 * classic trouble is that nobody tells them when it was freed: the address is
 * used again, too, by another buffer, and the device goes on accessing pages that
 * the process has not any more. They intercept munmap() and brk(), patching the
 * C library's machine code.
 *
 * Here nobody has to be told. The kernel revokes the key with the first change
 * of the mapping, and the device refuses it. So the cache need not know what the
 * process does: it forgets what was refused, and registers anew.
 *
 *	reg_cache_get()		a registration of a buffer: a hit, or a new one
 *	reg_cache_put()		it may be used again, or be given up
 *	reg_cache_refused()	instead of put: its key was revoked
 *	reg_cache_read(), reg_cache_write()
 *				all of this, repeated until the device is content
 *
 * Any number of threads may use a cache. A child of fork may not: the device is
 * the parent's.
 */
#ifndef _SELFTESTS_REG_CACHE_H
#define _SELFTESTS_REG_CACHE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "mirror_lib.h"

struct reg_cache;

/**
 * struct reg - a registration; to be read only
 * @key: what to give to the device.
 * @start: first address, page aligned.
 * @length: length in bytes, page aligned.
 * @writable: does the key allow writing?
 */
struct reg {
	__u64 key;
	char *start;
	size_t length;
	bool writable;
	/* private: the cache's own */
	unsigned int users;
	bool forgotten;
	struct reg *next;
	struct reg *newer, *older;
};

/**
 * struct reg_cache_stats - what became of the calls
 * @hits: gets that found a registration.
 * @misses: gets that made one.
 * @refused: registrations that the device did not know any more.
 * @evicted: registrations given up for want of room.
 * @kept: registrations in the cache now.
 */
struct reg_cache_stats {
	__u64 hits;
	__u64 misses;
	__u64 refused;
	__u64 evicted;
	__u64 kept;
};

struct reg_cache *reg_cache_new(struct mirror *dev, size_t page_size, unsigned int max);
void reg_cache_free(struct reg_cache *cache);
int reg_cache_get(struct reg_cache *cache, const void *addr, size_t length, bool write,
		  struct reg **reg);
void reg_cache_put(struct reg_cache *cache, struct reg *reg);
void reg_cache_refused(struct reg_cache *cache, struct reg *reg);
int reg_cache_read(struct reg_cache *cache, const void *addr, void *buf, size_t length);
int reg_cache_write(struct reg_cache *cache, void *addr, const void *buf, size_t length);
void reg_cache_stats(struct reg_cache *cache, struct reg_cache_stats *stats);

#endif /* _SELFTESTS_REG_CACHE_H */
