// SPDX-License-Identifier: GPL-2.0
/*
 * A registration cache, see the header.
 *
 * A registration is found by its first page, in a hash table. A hit begins in the
 * same page, is long enough and allows as much. One that nobody uses stays, in
 * the order of last use; the one unused for longest is given up when there are
 * more than the bound, or more than the device can keep.
 *
 * One lock guards it all. It is not held while the device registers, so two
 * threads may register the same buffer at once: both registrations are good, and
 * the spare one goes when its turn comes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "reg_cache.h"

#define BUCKETS		4096

/* A buffer that is changed this often while it is being used */
#define MAX_TRIES	100000

/**
 * struct reg_cache - registrations of one device
 * @dev: the device.
 * @page_size: of the machine.
 * @max: how many are kept.
 * @lock: guards what follows, and all registrations but their constant part.
 * @buckets: the hash table.
 * @unused: head of the ring of registrations that nobody uses: @older is the one
 *	put last, @newer the one unused for longest.
 * @stats: what reg_cache_stats() tells.
 */
struct reg_cache {
	struct mirror *dev;
	size_t page_size;
	unsigned int max;
	pthread_mutex_t lock;
	struct reg *buckets[BUCKETS];
	struct reg unused;
	struct reg_cache_stats stats;
};

static struct reg **bucket_of(struct reg_cache *cache, const char *start)
{
	__u64 page = (uintptr_t)start / cache->page_size;

	return &cache->buckets[page * 0x9e3779b97f4a7c15ULL >> 32 & (BUCKETS - 1)];
}

/* Into the ring, as the one put last */
static void ring_add(struct reg_cache *cache, struct reg *reg)
{
	struct reg *head = &cache->unused;

	reg->newer = head;
	reg->older = head->older;
	head->older->newer = reg;
	head->older = reg;
}

static void ring_del(struct reg *reg)
{
	reg->newer->older = reg->older;
	reg->older->newer = reg->newer;
}

static struct reg *longest_unused(struct reg_cache *cache)
{
	struct reg *reg = cache->unused.newer;

	return reg == &cache->unused ? NULL : reg;
}

/* No get finds it from now on. */
static void forget(struct reg_cache *cache, struct reg *reg)
{
	struct reg **at = bucket_of(cache, reg->start);

	while (*at != reg)
		at = &(*at)->next;
	*at = reg->next;
	reg->forgotten = true;
	cache->stats.kept--;
}

/* It may have been revoked already, and that will do, too. */
static void give_up(struct reg_cache *cache, struct reg *reg)
{
	mirror_try_deregister(cache->dev, reg->key);
	free(reg);
}

/* Called with the lock held, which is released for a while. False: all are used. */
static bool evict_one(struct reg_cache *cache)
{
	struct reg *reg = longest_unused(cache);

	if (!reg)
		return false;
	ring_del(reg);
	forget(cache, reg);
	cache->stats.evicted++;
	pthread_mutex_unlock(&cache->lock);
	give_up(cache, reg);
	pthread_mutex_lock(&cache->lock);
	return true;
}

/* A cache that keeps up to @max registrations. NULL: no memory. */
struct reg_cache *reg_cache_new(struct mirror *dev, size_t page_size, unsigned int max)
{
	struct reg_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->dev = dev;
	cache->page_size = page_size;
	cache->max = max;
	cache->unused.newer = &cache->unused;
	cache->unused.older = &cache->unused;
	pthread_mutex_init(&cache->lock, NULL);
	return cache;
}

/* Nobody uses any registration any more. */
void reg_cache_free(struct reg_cache *cache)
{
	unsigned int i;

	for (i = 0; i < BUCKETS; i++) {
		while (cache->buckets[i]) {
			struct reg *reg = cache->buckets[i];

			cache->buckets[i] = reg->next;
			give_up(cache, reg);
		}
	}
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

static struct reg *find(struct reg_cache *cache, const char *start, size_t length, bool write)
{
	struct reg *reg;

	for (reg = *bucket_of(cache, start); reg; reg = reg->next)
		if (reg->start == start && reg->length >= length && reg->writable >= write)
			return reg;
	return NULL;
}

/* Ask the device, making room there if it has none. */
static int device_registers(struct reg_cache *cache, struct reg *reg)
{
	bool room = true;
	int err;

	do {
		err = mirror_try_register(cache->dev, reg->start, reg->length,
					  reg->writable ? MMU_MIRROR_REG_WRITE : 0, &reg->key);
		if (err == -ENOSPC) {
			pthread_mutex_lock(&cache->lock);
			room = evict_one(cache);
			pthread_mutex_unlock(&cache->lock);
		}
	} while (err == -ENOSPC && room);
	return err;
}

static int miss(struct reg_cache *cache, char *start, size_t length, bool write,
		struct reg **result)
{
	struct reg *reg = calloc(1, sizeof(*reg));
	struct reg **bucket;
	int err;

	if (!reg)
		return -ENOMEM;
	reg->start = start;
	reg->length = length;
	reg->writable = write;
	reg->users = 1;
	err = device_registers(cache, reg);
	if (err) {
		free(reg);
		return err;
	}

	pthread_mutex_lock(&cache->lock);
	bucket = bucket_of(cache, start);
	reg->next = *bucket;
	*bucket = reg;
	cache->stats.kept++;
	while (cache->stats.kept > cache->max && evict_one(cache))
		;
	pthread_mutex_unlock(&cache->lock);
	*result = reg;
	return 0;
}

/*
 * Get a registration of the pages of a buffer. Whether its mapping is still what
 * was registered, the device knows. 0, or the device's errno; -EFAULT: there is
 * no such buffer.
 */
int reg_cache_get(struct reg_cache *cache, const void *addr, size_t length, bool write,
		  struct reg **result)
{
	uintptr_t first = (uintptr_t)addr & -cache->page_size;
	uintptr_t end = ((uintptr_t)addr + length + cache->page_size - 1) & -cache->page_size;
	struct reg *reg;

	if (!length || end <= first)
		return -EINVAL;
	pthread_mutex_lock(&cache->lock);
	reg = find(cache, (char *)first, end - first, write);
	if (reg) {
		cache->stats.hits++;
		if (!reg->users++)
			ring_del(reg);
	} else {
		cache->stats.misses++;
	}
	pthread_mutex_unlock(&cache->lock);
	if (!reg)
		return miss(cache, (char *)first, end - first, write, result);
	*result = reg;
	return 0;
}

/* Called with the lock held. True: nobody can reach it any more. */
static bool drop_user(struct reg_cache *cache, struct reg *reg)
{
	if (--reg->users)
		return false;
	if (!reg->forgotten)
		ring_add(cache, reg);
	return reg->forgotten;
}

/* Nothing is given up here, but what was refused meanwhile: it may be used again. */
void reg_cache_put(struct reg_cache *cache, struct reg *reg)
{
	bool gone;

	pthread_mutex_lock(&cache->lock);
	gone = drop_user(cache, reg);
	pthread_mutex_unlock(&cache->lock);
	if (gone)
		give_up(cache, reg);
}

/* The device said -EKEYREVOKED: the registration is of no use to anybody. */
void reg_cache_refused(struct reg_cache *cache, struct reg *reg)
{
	bool gone;

	pthread_mutex_lock(&cache->lock);
	if (!reg->forgotten) {
		forget(cache, reg);
		cache->stats.refused++;
	}
	gone = drop_user(cache, reg);
	pthread_mutex_unlock(&cache->lock);
	if (gone)
		give_up(cache, reg);
}

static int transfer(struct reg_cache *cache, const void *addr, void *buf, size_t length, bool write)
{
	unsigned int tries;
	struct reg *reg;
	int err;

	for (tries = 0; tries < MAX_TRIES; tries++) {
		err = reg_cache_get(cache, addr, length, write, &reg);
		if (err)
			return err;
		if (write)
			err = mirror_try_key_write(cache->dev, reg->key, addr, buf, length, 0);
		else
			err = mirror_try_key_read(cache->dev, reg->key, addr, buf, length, 0);
		if (err != -EKEYREVOKED) {
			reg_cache_put(cache, reg);
			return err;
		}
		reg_cache_refused(cache, reg);
	}
	return -EAGAIN;
}

/*
 * Have the device read a buffer. If it refuses half way, all is read again. 0, or
 * the device's errno; -EFAULT: there is no such buffer.
 */
int reg_cache_read(struct reg_cache *cache, const void *addr, void *buf, size_t length)
{
	return transfer(cache, addr, buf, length, false);
}

/* Have the device write to a buffer; likewise. */
int reg_cache_write(struct reg_cache *cache, void *addr, const void *buf, size_t length)
{
	return transfer(cache, addr, (void *)buf, length, true);
}

void reg_cache_stats(struct reg_cache *cache, struct reg_cache_stats *stats)
{
	pthread_mutex_lock(&cache->lock);
	*stats = cache->stats;
	pthread_mutex_unlock(&cache->lock);
}
