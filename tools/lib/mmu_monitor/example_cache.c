// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * An example of a registration cache, see the header.
 *
 * An entry that covers what is asked for and is valid is a hit. It is looked for
 * from one end to the other; who keeps thousands will have a tree there.
 *
 * Each entry has a watch. Whether it is right is said by its word, at each hit.
 * Events only let the pages of the dead go early, and are read before more are
 * pinned, or by a thread that calls excache_progress().
 *
 * The cookie of a watch is its entry. That is sound because events are read, and
 * watches ended, with the lock held: no event of a watch that has ended is read.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "example_cache.h"

#define BATCH	64

/* What a child finds zeroed. Zeros are a mutex that nobody holds, in glibc and musl. */
struct state {
	pthread_mutex_t lock;		/* guards this, and what is private in entries */
	bool begun;			/* used in this process? */
	unsigned int nr;
	__u64 clock;			/* counts uses, to know who was used last */
	struct excache_counters counters;
	struct excache_entry *entries[];
};

struct excache {
	struct excache_device device;
	unsigned int room;		/* how many entries are kept */
	bool unaware;			/* believe that nothing changes */
	size_t page;
	struct mmon monitor;		/* in a child that has not begun the parent's */
	bool watching;			/* is it open? If not, nothing is kept */
	__u64 life;			/* counts processes */
	struct state *state;
};

static size_t state_size(unsigned int room)
{
	return sizeof(struct state) + room * sizeof(struct excache_entry *);
}

/* In a child that uses it for the first time, what the parent had is forgotten. */
static struct state *enter(struct excache *cache)
{
	struct state *state = cache->state;

	pthread_mutex_lock(&state->lock);
	if (!state->begun) {
		if (cache->watching)
			mmon_close(&cache->monitor);
		cache->watching = !cache->unaware && !mmon_open(&cache->monitor, MMON_NONBLOCK);
		cache->life++;
		if (cache->device.forked)
			cache->device.forked(cache->device.context);
		state->begun = true;
	}
	return state;
}

/* Give up entries that nobody can reach, once the lock has been released. */
static void leave(struct excache *cache, struct excache_entry *dead)
{
	pthread_mutex_unlock(&cache->state->lock);
	while (dead) {
		struct excache_entry *entry = dead;

		dead = entry->next;
		cache->device.unpin(cache->device.context, entry->key);
		free(entry);
	}
}

/* No get finds it any more. If nobody uses it, it is put on the list @dead. */
static void forget(struct excache *cache, struct excache_entry *entry, struct excache_entry **dead)
{
	struct state *state = cache->state;
	struct excache_entry *last = state->entries[--state->nr];

	state->entries[entry->at] = last;
	last->at = entry->at;
	entry->cached = false;
	if (cache->watching)
		mmon_unwatch(&cache->monitor, &entry->watch);
	if (!entry->users) {
		entry->next = *dead;
		*dead = entry;
	}
}

/*
 * An event may be of an entry that is not cached yet, or has just been forgotten.
 * There is no limit to events, hence no OVERFLOW.
 */
static void read_events(struct excache *cache, struct excache_entry **dead)
{
	struct mmu_monitor_event events[BATCH];
	int i, nr = 1;

	while (cache->watching && nr > 0 && mmon_pending(&cache->monitor)) {
		nr = mmon_next(&cache->monitor, events, BATCH);
		for (i = 0; i < nr; i++) {
			struct excache_entry *entry = (void *)(unsigned long)events[i].cookie;

			if (events[i].type != MMU_MONITOR_CHANGED || !entry->cached)
				continue;
			forget(cache, entry, dead);
			cache->state->counters.told++;
		}
	}
}

static struct excache_entry *find(struct excache *cache, char *start, size_t length,
				  struct excache_entry **dead)
{
	struct state *state = cache->state;
	unsigned int i;

	for (i = state->nr; i-- > 0; ) {
		struct excache_entry *entry = state->entries[i];

		if (start < entry->start || start + length > entry->start + entry->length)
			continue;
		if (cache->unaware || mmon_valid(&entry->watch))
			return entry;
		forget(cache, entry, dead);
		state->counters.found++;
	}
	return NULL;
}

/* Make room for one more. False: all are in use. */
static bool push_out(struct excache *cache, struct excache_entry **dead)
{
	struct excache_entry *oldest = NULL, *entry;
	struct state *state = cache->state;
	unsigned int i;

	if (state->nr < cache->room)
		return true;
	for (i = 0; i < state->nr; i++) {
		entry = state->entries[i];
		if (!entry->users && (!oldest || entry->used < oldest->used))
			oldest = entry;
	}
	if (!oldest)
		return false;
	forget(cache, oldest, dead);
	state->counters.pushed++;
	return true;
}

/* The generation is read first, then the memory registered, then it is compared. */
static int miss(struct excache *cache, char *start, size_t length, struct excache_entry **result)
{
	struct excache_entry *entry = calloc(1, sizeof(*entry)), *dead = NULL;
	struct state *state;
	bool watched;
	int err;

	if (!entry)
		return -ENOMEM;
	entry->start = start;
	entry->length = length;
	entry->users = 1;
	entry->life = cache->life;
	watched = cache->watching &&
		  !mmon_watch(&cache->monitor, start, length, (unsigned long)entry,
			      cache->device.classes, MMU_MONITOR_ONESHOT, &entry->watch);
	err = cache->device.pin(cache->device.context, start, length, &entry->key);

	state = enter(cache);
	entry->used = ++state->clock;
	if (!err && (cache->unaware || (watched && mmon_confirm(&entry->watch))) &&
	    push_out(cache, &dead)) {
		entry->cached = true;
		entry->at = state->nr++;
		state->entries[entry->at] = entry;
	} else if (watched) {
		mmon_unwatch(&cache->monitor, &entry->watch);
	}
	state->counters.uncached += !err && !entry->cached;
	leave(cache, dead);
	if (err)
		free(entry);
	else
		*result = entry;
	return err;
}

/* 0; -EINVAL: there is no such memory; -ENOMEM; or what the device says. */
int excache_get(struct excache *cache, const void *address, size_t length,
		struct excache_entry **result)
{
	unsigned long start = (unsigned long)address & -cache->page;
	unsigned long end = ((unsigned long)address + length + cache->page - 1) & -cache->page;
	struct excache_entry *entry, *dead = NULL;
	struct state *state;

	if (!length || end <= start)
		return -EINVAL;
	state = enter(cache);
	entry = find(cache, (char *)start, end - start, &dead);
	if (entry) {
		entry->users++;
		entry->used = ++state->clock;
		state->counters.hits++;
		*result = entry;
	} else {
		state->counters.misses++;
		read_events(cache, &dead);
	}
	leave(cache, dead);
	return entry ? 0 : miss(cache, (char *)start, end - start, result);
}

/* What a child puts of its parent's, it leaves alone. */
void excache_put(struct excache *cache, struct excache_entry *entry)
{
	struct excache_entry *dead = NULL;

	enter(cache);
	if (entry->life == cache->life && !--entry->users && !entry->cached) {
		entry->next = NULL;
		dead = entry;
	}
	leave(cache, dead);
}

/* Give up what has changed, for who has nothing to get, and tell what there was. */
void excache_progress(struct excache *cache, struct excache_counters *counters)
{
	struct excache_entry *dead = NULL;
	struct state *state = enter(cache);

	read_events(cache, &dead);
	*counters = state->counters;
	counters->cached = state->nr;
	leave(cache, dead);
}

/* Nobody uses it, or anything of it, any more. */
void excache_free(struct excache *cache)
{
	struct excache_entry *dead = NULL;
	struct state *state = enter(cache);

	while (state->nr)
		forget(cache, state->entries[0], &dead);
	leave(cache, dead);
	if (cache->watching)
		mmon_close(&cache->monitor);
	munmap(state, state_size(cache->room));
	free(cache);
}

/* 0; -ENOMEM; or what mmon_open() says */
int excache_new(const struct excache_device *device, unsigned int room, unsigned int flags,
		struct excache **result)
{
	struct excache cache = { .device = *device, .room = room, .page = sysconf(_SC_PAGESIZE) };
	int err = 0;

	cache.unaware = flags & EXCACHE_UNAWARE;
	cache.watching = !cache.unaware;
	*result = malloc(sizeof(cache));
	cache.state = mmap(NULL, state_size(room), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!*result || cache.state == MAP_FAILED ||
	    madvise(cache.state, state_size(room), MADV_WIPEONFORK))
		err = -ENOMEM;
	else if (cache.watching)
		err = mmon_open(&cache.monitor, MMON_NONBLOCK);
	if (err) {
		if (cache.state != MAP_FAILED)
			munmap(cache.state, state_size(room));
		free(*result);
		return err;
	}
	cache.state->begun = true;
	**result = cache;
	return 0;
}
