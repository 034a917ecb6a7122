/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Being told of changes to one's own mappings: a small library for
 * /dev/mmu_monitor. The manual page is mmu_monitor.3.
 *
 * A cache of something that was learned about memory, for instance registrations
 * with a network card, goes round like this:
 *
 *	mmon_open(&monitor, MMON_NONBLOCK);
 *
 *	mmon_watch(&monitor, address, length, cookie,
 *		   MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED, MMU_MONITOR_ONESHOT,
 *		   &watch);
 *	... register the memory ...
 *	if (mmon_confirm(&watch))
 *		... it may be kept ...
 *
 *	if (mmon_valid(&watch))
 *		... what was registered is what is mapped ...
 *
 *	while (mmon_pending(&monitor) && (nr = mmon_next(&monitor, events, 64)) > 0)
 *		... forget what has changed ...
 *
 * The generation has to be read before the memory is registered: a change while
 * that is done then makes it differ. mmon_watch() reads it, mmon_begin() does it
 * again for a watch that is kept.
 *
 * Functions return 0 or a count, or a negative errno. All but mmon_open() and
 * mmon_close() may be called by any number of threads for one monitor. A struct
 * mmon_watch belongs to the caller: who writes to it (mmon_watch(), mmon_begin(),
 * mmon_rearm(), mmon_unwatch()) needs it for himself.
 */
#ifndef _MMON_H
#define _MMON_H

#include <linux/mmu_monitor.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Flag of mmon_open(): mmon_next() does not wait. */
#define MMON_NONBLOCK	(1U << 0)

/*
 * A generation that no word ever has: words are odd at first and only grow. It is
 * what is noted instead of an odd one.
 */
#define MMON_NEVER	0

/**
 * struct mmon - a monitor; to be read only
 * @fd: its descriptor, for poll() and the like.
 * @area: counters and generation words, mapped.
 * @area_size: bytes that are mapped there.
 * @info: what the kernel offers.
 */
struct mmon {
	int fd;
	const struct mmu_monitor_area *area;
	size_t area_size;
	struct mmu_monitor_info info;
};

/**
 * struct mmon_watch - a watch, and what its word was; to be read only
 * @word: its generation word.
 * @generation: what it was before the memory was looked at, or MMON_NEVER.
 * @offset: of the word in the area, by which events name the watch.
 */
struct mmon_watch {
	const __u64 *word;
	__u64 generation;
	__u64 offset;
};

int mmon_open(struct mmon *monitor, unsigned int flags);
void mmon_close(struct mmon *monitor);

int mmon_watch(const struct mmon *monitor, const void *address, size_t length, __u64 cookie,
	       unsigned int classes, unsigned int flags, struct mmon_watch *watch);
int mmon_unwatch(const struct mmon *monitor, struct mmon_watch *watch);
int mmon_rearm(const struct mmon *monitor, struct mmon_watch *watch);
int mmon_flush(const struct mmon *monitor);

int mmon_set_eventfd(const struct mmon *monitor, int eventfd);
int mmon_set_max_events(const struct mmon *monitor, __u64 max_events);

int mmon_next(const struct mmon *monitor, struct mmu_monitor_event *events, unsigned int nr);
void mmon_counters(const struct mmon *monitor, struct mmu_monitor_area *counters);

#if defined(__LP64__) || defined(__x86_64__)

static inline __u64 mmon_load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline bool mmon_is(const __u64 *word, __u64 generation)
{
	return mmon_load(word) == generation;
}

#else

/*
 * Two loads where the machine has no single one. The low half comes first, and
 * the high one behind it, because words only grow: the word was g when g was read,
 * so at the load of the low half it was g or more, and its high half that of g or
 * more. When the high half is loaded, later, it is still that of g, so it was so
 * then, too; and with the low half that is g itself. The answer is that of
 * the time at which the low half was loaded. The other way round, the word could
 * get a higher high half and then the same low one between the loads.
 *
 * A kernel that stores in halves has to store the high one first, for no reader
 * to see the word shrink.
 */
typedef __u32 __attribute__((__may_alias__)) mmon_half;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MMON_LOW	0
#else
#define MMON_LOW	1
#endif

static inline __u32 mmon_load_half(const __u64 *word, int half)
{
	return __atomic_load_n((const mmon_half *)word + half, __ATOMIC_ACQUIRE);
}

static inline bool mmon_is(const __u64 *word, __u64 generation)
{
	return mmon_load_half(word, MMON_LOW) == (__u32)generation &&
	       mmon_load_half(word, !MMON_LOW) == generation >> 32;
}

/* All of it: the high half was the same before and after the low one. */
static inline __u64 mmon_load(const __u64 *word)
{
	__u32 high, low;

	do {
		high = mmon_load_half(word, !MMON_LOW);
		low = mmon_load_half(word, MMON_LOW);
	} while (mmon_load_half(word, !MMON_LOW) != high);
	return (__u64)high << 32 | low;
}

#endif

/**
 * mmon_valid() - is what was learned about the memory still true?
 * @watch: a watch of which the memory was looked at since mmon_watch(),
 *	mmon_begin() or mmon_rearm().
 *
 * One load and compare, no system call. Once a system call that changed the
 * mapping has returned, in whatever process, this is false. It is false in a child
 * made by fork(), too, and for a watch that has ended. It must not be called after
 * mmon_close().
 *
 * Return: true if nothing has changed of what the watch is concerned with.
 */
static inline bool mmon_valid(const struct mmon_watch *watch)
{
	return mmon_is(watch->word, watch->generation);
}

/**
 * mmon_begin() - note the generation before the memory is looked at again
 * @watch: the watch.
 *
 * Return: false if a change is going on. mmon_valid() is false then, and remains
 * so: what is learned now serves once, and is not kept.
 */
static inline bool mmon_begin(struct mmon_watch *watch)
{
	__u64 generation = mmon_load(watch->word);

	watch->generation = generation & 1 ? MMON_NEVER : generation;
	return !(generation & 1);
}

/**
 * mmon_confirm() - was the memory left alone while it was looked at?
 * @watch: the watch.
 *
 * mmon_valid(), ordered behind everything that was done to learn about it. Who
 * asks mmon_valid() before each use does not depend on this, but is spared keeping
 * what was dead from the beginning.
 *
 * Return: true if so; what was learned may be kept.
 */
static inline bool mmon_confirm(const struct mmon_watch *watch)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return mmon_valid(watch);
}

/**
 * mmon_pending() - are there events to be read?
 * @monitor: the monitor.
 *
 * Return: how many mmon_next() would return, without a system call. All ones in
 * a child made by fork(), where mmon_next() tells why.
 */
static inline __u64 mmon_pending(const struct mmon *monitor)
{
	return mmon_load(&monitor->area->pending);
}

/**
 * mmon_foreign() - does this monitor watch another process than the caller?
 * @monitor: the monitor.
 *
 * By what the area holds, not by the process's number: after vfork() or
 * clone(CLONE_VM) the address space is the same, and the monitor good.
 *
 * Return: true in a child made by fork(), which opens a monitor of its own.
 */
static inline bool mmon_foreign(const struct mmon *monitor)
{
	return mmon_is(&monitor->area->watches, ~0ULL);
}

#ifdef __cplusplus
}
#endif

#endif /* _MMON_H */
