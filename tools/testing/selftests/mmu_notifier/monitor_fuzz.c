// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor under a budget of random calls: right ones, nearly right ones
 * and garbage, mixed with what changes memory, from several threads of several
 * processes.
 *
 *	monitor_fuzz [--calls N] [--seed N] [--processes N] [--threads N]
 *
 * Each thread has a monitor and some pages for itself, and a *model* of both: which
 * watches there are, what is mapped. What it does there has to have the result that
 * the model says, exactly:
 *
 *  - a call returns what it should,
 *  - a change has changed the words of the watches that it concerns before its
 *    system call returns, and those of no others; they are even afterwards,
 *  - a word that nobody has is odd, and no word ever has a value again,
 *  - the area counts the watches that there are,
 *  - events are of watches that there are, of classes that they asked for, of
 *    addresses within; each change that makes one has made one.
 *
 * Besides, all threads of a process share some monitors in whatever state they are
 * in, and use them without sense. There an error has to be one of those that are
 * documented for the call, and the kernel must not complain.
 *
 * A fork()ed child sees that it has nothing of all this, and is killed now and
 * then.
 *
 * The same seed makes the same calls, as far as threads do not depend on each
 * other. In the end each kind of call must have succeeded, and each that can fail
 * must have failed.
 */
#include <err.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kselftest.h"
#include "monitor_raw.h"
#include "sysmm.h"

#define PAGES		64	/* of a thread */
#define WATCHES		48	/* of a thread, at a time */
#define AREA_PAGES	4
#define WILD		6	/* shared monitors */
#define WILD_FD		500	/* the first of their descriptors */
#define MAX_THREADS	16
#define MAX_PROCESSES	16
#define ERRNOS		134
#define BASE		0x1000000000UL	/* mmap() chooses no such address by itself */

/* --------------------------------------------------------------- counting */

enum kind {
	K_OPEN, K_MMAP, K_INFO, K_WATCH, K_UNWATCH, K_REARM, K_CONFIG, K_FLUSH, K_READ,
	K_POLL, K_CLOSE, K_GARBAGE, K_UNKNOWN, K_FORK, K_CHILD,
	K_MAP, K_MAP_FILE, K_UNMAP, K_MOVE, K_DROP, K_PROTECT, K_TOUCH, K_PUNCH,
	NR_KINDS
};

/* What each is called, and which errors it may have */
static const struct {
	const char *name;
	const int errors[12];
	bool must_succeed;
	bool must_fail;
} kinds[] = {
	[K_OPEN]	= { "open", { ENOMEM, EMFILE, EACCES }, true, false },
	[K_MMAP]	= { "mmap of the area", { EINVAL, EPERM, ENOMEM, EACCES, EOVERFLOW },
			    true, true },
	[K_INFO]	= { "INFO", { EINVAL, EFAULT, E2BIG }, true, true },
	[K_WATCH]	= { "WATCH", { EINVAL, EFAULT, E2BIG, EOVERFLOW, ENOSPC, EUSERS, ENOMEM },
			    true, true },
	[K_UNWATCH]	= { "UNWATCH", { EINVAL, EFAULT, E2BIG, ENOENT }, true, true },
	[K_REARM]	= { "REARM", { EINVAL, EFAULT, E2BIG, ENOENT }, true, true },
	[K_CONFIG]	= { "CONFIG", { EINVAL, EFAULT, E2BIG, EBADF }, true, true },
	[K_FLUSH]	= { "FLUSH", { }, true, false },
	[K_READ]	= { "read", { EINVAL, EFAULT, EAGAIN }, true, true },
	[K_POLL]	= { "poll", { }, true, false },
	[K_CLOSE]	= { "close, open", { ENOMEM, EMFILE }, true, false },
	[K_GARBAGE]	= { "garbage in a known ioctl", { EINVAL, EFAULT, E2BIG, EOVERFLOW, ENOENT,
				ENOSPC, EUSERS, ENOMEM, EBADF }, false, true },
	[K_UNKNOWN]	= { "unknown ioctl", { ENOTTY }, false, true },
	[K_FORK]	= { "fork", { EAGAIN, ENOMEM }, true, false },
	[K_CHILD]	= { "call in a child", { ESTALE }, true, true },
	[K_MAP]		= { "mmap over", { ENOMEM }, true, false },
	[K_MAP_FILE]	= { "mmap of a file", { ENOMEM }, true, false },
	[K_UNMAP]	= { "munmap", { ENOMEM }, true, false },
	[K_MOVE]	= { "mremap", { ENOMEM, EFAULT, EINVAL }, true, false },
	[K_DROP]	= { "MADV_DONTNEED, MADV_FREE", { ENOMEM }, true, false },
	[K_PROTECT]	= { "mprotect", { ENOMEM }, true, false },
	[K_TOUCH]	= { "touch", { }, true, false },
	[K_PUNCH]	= { "punch a hole", { ENOMEM, EINTR }, true, false },
};

/* In memory that all processes share */
static struct shared {
	unsigned long long calls[NR_KINDS];
	unsigned long long ok[NR_KINDS];
	unsigned long long errors[NR_KINDS][ERRNOS];
	unsigned long long changes;	/* of words, that the model wanted */
	unsigned long long events;	/* that were read */
	unsigned long long overflows;
	unsigned long long failures;
	unsigned long long processes_done;
} *shared;

static unsigned long long seed;
static unsigned int processes = 3, threads = 3;
static unsigned long long calls = 30000;

static unsigned long long count(unsigned long long *what)
{
	return __atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static void fail(const char *fmt, ...) __printf(1, 2);
static void fail(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (count(&shared->failures) < 20)
		printf("# pid %d: %s\n", getpid(), text);
	fflush(stdout);
}

static bool allowed(enum kind kind, int error)
{
	unsigned int i;

	for (i = 0; kinds[kind].errors[i]; i++)
		if (kinds[kind].errors[i] == error)
			return true;
	return false;
}

/* Every call is counted; @ret: what it returned, negative: an error */
static int counted(enum kind kind, long ret)
{
	int error = ret < 0 ? -ret : 0;

	count(&shared->calls[kind]);
	if (!error) {
		count(&shared->ok[kind]);
		return 0;
	}
	count(&shared->errors[kind][error < ERRNOS ? error : 0]);
	if (!allowed(kind, error))
		fail("%s: error %d (%s) is not documented", kinds[kind].name, error,
		     strerror(error));
	return ret;
}

/* ------------------------------------------------------------------ model */

/* MAYBE gets known when all events are read; LOST does not. */
enum maybe { NO, LOST, MAYBE, YES };

struct watched {
	__u64 word;
	__u64 cookie;
	__u64 seen;		/* generation that was seen last */
	unsigned int first;	/* page */
	unsigned int end;
	__u32 classes;
	__u32 flags;
	enum maybe pending;	/* is there an event */
	enum maybe armed;	/* ONESHOT: would a change make one */
};

struct page {
	bool mapped;
	bool file;
	bool touched;		/* there is an entry in the page table */
	bool writable;
};

struct thread {
	unsigned int nr;
	unsigned long long budget;
	__u64 random;
	pthread_t id;
	int fd;
	int memfd;
	int eventfd;
	const volatile struct mmu_monitor_area *area;
	char *base;
	void *writable;		/* a page, and .. */
	void *readonly;		/* .. the same one again */
	struct page pages[PAGES];
	struct watched watches[WATCHES];
	unsigned int nr_watches;
	__u64 cookies;
	__u64 top;		/* no word had a larger value so far */
	__u64 max_events;
	bool overflowed;	/* may have */
};

static __u64 *own_words;	/* generations used, by number of the word; of a thread */

static __u64 rnd64(struct thread *t)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 7;
	t->random ^= t->random << 17;
	return t->random * 0x2545f4914f6cdd1dULL;
}

static unsigned int rnd(struct thread *t, unsigned int below)
{
	return (rnd64(t) >> 33) % below;
}

/* Is it told of other changes than those that the thread makes to its own pages? */
static bool loose(const struct watched *w)
{
	/* another thread's fork(), and the copies on write after it */
	return w->classes & (MMU_MONITOR_FORKED | MMU_MONITOR_REPLACED | MMU_MONITOR_PROTECTED);
}

static __u64 generation(struct thread *t, __u64 word)
{
	return raw_load(t->area, word);
}

/*
 * Wait for what may be in flight for others' sake; nothing of ours is. A new watch
 * waits for what was in flight when it was made, be it a fork().
 */
static __u64 settled(struct thread *t, struct watched *w, bool new)
{
	__u64 value;
	unsigned int ms;

	for (ms = 0; (value = generation(t, w->word)) & 1; ms++) {
		if (ms == 20000) {
			fail("thread %u: word %llu stays odd (classes %x)", t->nr, w->word,
			     w->classes);
			return 0;
		}
		if (!loose(w) && !new) {
			fail("thread %u: word %llu is odd with nothing in flight", t->nr,
			     w->word);
			return 0;
		}
		sleep_ms(1);
	}
	return value;
}

static void check_counts(struct thread *t)
{
	if (t->area->watches != t->nr_watches)
		fail("thread %u: the area says %llu watches, there are %u", t->nr,
		     t->area->watches, t->nr_watches);
}

static void made_event(struct watched *w, enum maybe how)
{
	if (w->flags & MMU_MONITOR_QUIET)
		return;
	if (w->flags & MMU_MONITOR_ONESHOT) {
		if (w->armed == NO)
			return;
		if (w->armed != YES)
			how = w->pending == NO ? MAYBE : w->pending;
		if (w->armed == YES)
			w->armed = how == YES ? NO : MAYBE;
	}
	if (w->pending < how)
		w->pending = how;
}

/*
 * Pages [@first, @end) have changed in ways of @classes; @must: by page, whether
 * something was there that could change. The system call has returned.
 */
static void see_change(struct thread *t, unsigned int first, unsigned int end, __u32 classes,
		       const bool *must)
{
	struct watched *w;
	unsigned int page;
	bool overlaps, has_to;
	__u64 value;

	for (w = t->watches; w < t->watches + t->nr_watches; w++) {
		overlaps = w->first < end && first < w->end && w->classes & classes;
		has_to = false;
		for (page = first; overlaps && page < end; page++)
			if (page >= w->first && page < w->end)
				has_to |= must[page];
		value = generation(t, w->word);
		if (has_to && value == w->seen)
			fail("thread %u: pages %u-%u were changed (%x), word %llu of %u-%u was not",
			     t->nr, first, end, classes, w->word, w->first, w->end);
		if (!overlaps && !loose(w) && value != w->seen)
			fail("thread %u: word %llu of %u-%u (%x) is new, without cause: %u-%u (%x)",
			     t->nr, w->word, w->first, w->end, w->classes, first, end, classes);
		value = settled(t, w, false);
		if (value < w->seen || (value != w->seen && value <= w->seen))
			fail("thread %u: word %llu goes backwards", t->nr, w->word);
		if (has_to) {
			count(&shared->changes);
			made_event(w, YES);
		} else if (value != w->seen || overlaps || loose(w)) {
			made_event(w, MAYBE);
		}
		w->seen = value;
	}
	/* events that do not fit are lost, the watch is as if it had made one */
	if (t->max_events)
		t->overflowed = true;
}

static struct watched *some_watch(struct thread *t)
{
	return t->nr_watches ? &t->watches[rnd(t, t->nr_watches)] : NULL;
}

static struct watched *by_word(struct thread *t, __u64 word)
{
	struct watched *w;

	for (w = t->watches; w < t->watches + t->nr_watches; w++)
		if (w->word == word)
			return w;
	return NULL;
}

static void range(struct thread *t, unsigned int *first, unsigned int *end)
{
	*first = rnd(t, PAGES);
	*end = *first + 1 + rnd(t, rnd(t, 3) ? 4 : PAGES);
	if (*end > PAGES)
		*end = PAGES;
}

static char *at(struct thread *t, unsigned int page)
{
	return t->base + page * page_size;
}

/* ------------------------------------------------------- changes of memory */

static void mapped_pages(struct thread *t, unsigned int first, unsigned int end, bool *must)
{
	unsigned int i;

	memset(must, 0, PAGES * sizeof(*must));
	for (i = first; i < end; i++)
		must[i] = t->pages[i].mapped;
}

static void do_map(struct thread *t)
{
	bool file = rnd(t, 3) == 0, writable = rnd(t, 4) != 0, must[PAGES];
	unsigned int first, end, i;
	void *addr;

	range(t, &first, &end);
	mapped_pages(t, first, end, must);
	addr = mmap(at(t, first), (end - first) * page_size,
		    PROT_READ | (writable ? PROT_WRITE : 0),
		    MAP_FIXED | (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
		    file ? t->memfd : -1, file ? first * page_size : 0);
	if (counted(file ? K_MAP_FILE : K_MAP, addr == MAP_FAILED ? -errno : 0))
		return;
	for (i = first; i < end; i++)
		t->pages[i] = (struct page){ true, file, false, writable };
	see_change(t, first, end, MMU_MONITOR_UNMAPPED, must);
}

static void do_unmap(struct thread *t)
{
	unsigned int first, end, i;
	bool must[PAGES];

	range(t, &first, &end);
	mapped_pages(t, first, end, must);
	if (counted(K_UNMAP, munmap(at(t, first), (end - first) * page_size) ? -errno : 0))
		return;
	for (i = first; i < end; i++)
		t->pages[i] = (struct page){ };
	see_change(t, first, end, MMU_MONITOR_UNMAPPED, must);
}

/* One page is moved onto another: so it is a mapping of its own, or fails. */
static void do_move(struct thread *t)
{
	unsigned int from = rnd(t, PAGES), to = rnd(t, PAGES);
	bool must[PAGES] = { };
	void *addr;

	if (from == to || !t->pages[from].mapped || t->pages[from].file)
		return;
	must[to] = t->pages[to].mapped;
	addr = mremap(at(t, from), page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED, at(t, to));
	if (counted(K_MOVE, addr == MAP_FAILED ? -errno : 0)) {
		/* the target may be gone all the same */
		fail("mremap: %s", strerror(errno));
		return;
	}
	t->pages[to] = t->pages[from];
	t->pages[from] = (struct page){ };
	/* two ranges: the model sees each by itself, in any order */
	if (from > to) {
		bool both[PAGES] = { };

		both[to] = must[to];
		both[from] = true;
		see_change(t, to, from + 1, MMU_MONITOR_UNMAPPED, both);
	} else {
		must[from] = true;
		see_change(t, from, to + 1, MMU_MONITOR_UNMAPPED, must);
	}
}

static void do_drop(struct thread *t)
{
	unsigned int first, end, i;
	bool must[PAGES], file = false;

	range(t, &first, &end);
	mapped_pages(t, first, end, must);
	for (i = first; i < end; i++)
		file |= t->pages[i].file;
	/* -ENOMEM for holes, when all else is done */
	counted(K_DROP, madvise(at(t, first), (end - first) * page_size,
				file || rnd(t, 2) ? MADV_DONTNEED : MADV_FREE) ? -errno : 0);
	for (i = first; i < end; i++)
		t->pages[i].touched = false;
	see_change(t, first, end, MMU_MONITOR_DROPPED, must);
}

static void do_protect(struct thread *t)
{
	bool writable = rnd(t, 2), must[PAGES] = { };
	unsigned int first, end, i;

	range(t, &first, &end);
	end = first + 1;
	/* What was never touched has no entry that could change. */
	for (i = first; i < end; i++)
		must[i] = t->pages[i].touched && t->pages[i].writable != writable;
	if (counted(K_PROTECT, mprotect(at(t, first), (end - first) * page_size,
					PROT_READ | (writable ? PROT_WRITE : 0)) ? -errno : 0))
		return;
	for (i = first; i < end; i++)
		t->pages[i].writable = writable;
	see_change(t, first, end, MMU_MONITOR_PROTECTED, must);
}

static void do_touch(struct thread *t)
{
	unsigned int first, end, i;
	bool must[PAGES] = { };

	range(t, &first, &end);
	for (i = first; i < end; i++) {
		if (!t->pages[i].mapped)
			continue;
		if (t->pages[i].writable) {
			*(volatile char *)at(t, i) = 1;
			t->pages[i].touched = true;
		} else {
			*(volatile char *)at(t, i);
		}
	}
	counted(K_TOUCH, 0);
	/* copies on write, where there was a fork() or a page of zeroes */
	see_change(t, first, end, MMU_MONITOR_REPLACED, must);
}

static void do_punch(struct thread *t)
{
	unsigned int first, end, i;
	bool must[PAGES] = { };

	range(t, &first, &end);
	if (rnd(t, 8)) {
		if (counted(K_PUNCH, fallocate(t->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					       first * page_size, (end - first) * page_size) ?
			    -errno : 0))
			return;
	} else {
		end = PAGES;
		if (counted(K_PUNCH, ftruncate(t->memfd, first * page_size) ||
			    ftruncate(t->memfd, PAGES * page_size) ? -errno : 0))
			return;
	}
	for (i = first; i < end; i++) {
		must[i] = t->pages[i].mapped && t->pages[i].file;
		if (must[i])
			t->pages[i].touched = false;
	}
	see_change(t, first, end, MMU_MONITOR_DROPPED, must);
}

/* ----------------------------------------------------- the thread's monitor */

/* What is right but for one thing; whether it is */
static bool spoil(struct thread *t, void *arg, size_t size, void **bad)
{
	unsigned int how = rnd(t, 24);

	*bad = arg;
	switch (how) {
	case 0:
		*(__u32 *)arg = rnd(t, 8) ? rnd(t, size) & ~7 : 0;	/* too short */
		return true;
	case 1:
		*(__u32 *)arg = rnd64(t);
		if (*(__u32 *)arg <= size)
			*(__u32 *)arg = 0;
		return true;
	case 2:
		*bad = NULL;
		return true;
	case 3:
		*bad = (void *)(rnd64(t) | 1ULL << 63);
		return true;
	case 4:
		((__u32 *)arg)[1] |= 1U << (3 + rnd(t, 29));		/* flags */
		return true;
	}
	return false;
}

static void do_watch(struct thread *t)
{
	unsigned int first, end;
	struct mmu_monitor_watch args = { .size = sizeof(args) };
	struct watched *w = &t->watches[t->nr_watches];
	bool spoilt;
	void *arg;
	int ret;

	if (t->nr_watches == WATCHES)
		return;
	range(t, &first, &end);
	args.address = (uintptr_t)at(t, first) + rnd(t, page_size);
	args.length = (end - first - 1) * page_size + 1;
	args.length += rnd(t, (uintptr_t)at(t, end) - args.address - args.length + 1);
	end = (args.address + args.length - 1 - (uintptr_t)t->base) / page_size + 1;
	args.cookie = ++t->cookies << 8 | t->nr;
	do {
		args.classes = rnd64(t) & MMU_MONITOR_CLASSES;
		if (rnd(t, 2))
			args.classes &= MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED;
	} while (!args.classes);
	switch (rnd(t, 4)) {
	case 0:
		args.flags = MMU_MONITOR_ONESHOT;
		break;
	case 1:
		args.flags = MMU_MONITOR_QUIET;
		break;
	}
	*w = (struct watched){
		.cookie = args.cookie, .first = first, .end = end, .classes = args.classes,
		.flags = args.flags, .armed = YES,
	};
	spoilt = spoil(t, &args, sizeof(args), &arg);
	if (!spoilt && rnd(t, 16) == 0) {
		spoilt = true;
		switch (rnd(t, 6)) {
		case 0:
			args.length = 0;
			break;
		case 1:
			args.length = -(__u64)(1 + rnd(t, 4096));
			args.address |= 8192;
			break;
		case 2:
			args.address = 1ULL << 62 | rnd64(t);
			break;
		case 3:
			args.classes = 0;
			break;
		case 4:
			args.classes |= 1U << (5 + rnd(t, 27));
			break;
		case 5:
			args.reserved = 1 + rnd(t, 100);
			break;
		}
	}
	if (!spoilt && rnd(t, 16) == 0) {
		/* The answer cannot be written. */
		spoilt = true;
		arg = t->readonly;
		memcpy(t->writable, &args, sizeof(args));
	}
	ret = counted(K_WATCH, raw_ioctl(t->fd, MMU_MONITOR_WATCH, arg));
	if (spoilt && !ret)
		fail("WATCH takes size %u flags %x address %llx length %llx classes %x and %u",
		     args.size, args.flags, args.address, args.length, args.classes, args.reserved);
	if (!spoilt && ret)
		fail("WATCH of %llx, %llx fails: %s", args.address, args.length, strerror(-ret));
	if (ret) {
		check_counts(t);
		return;
	}
	if (by_word(t, args.word))
		fail("two watches have the word %llu", args.word);
	w->word = args.word;
	if (w->word % 8 || w->word < sizeof(struct mmu_monitor_area) ||
	    w->word >= AREA_PAGES * page_size) {
		fail("the word is at %llu", args.word);
		_exit(1);
	}
	/* a word's value never repeats, whoever has it */
	if (args.generation < own_words[(size_t)t->nr * AREA_PAGES * 512 + w->word / 8])
		fail("word %llu begins at %llu, and had a larger value before", w->word,
		     args.generation);
	t->nr_watches++;
	w->seen = settled(t, w, true);
	check_counts(t);
}

static void forget(struct thread *t, struct watched *w)
{
	__u64 value = generation(t, w->word);

	if (!(value & 1))
		fail("the word %llu of no watch is even", w->word);
	if (value <= w->seen)
		fail("the word %llu of no watch goes back to an old value", w->word);
	own_words[(size_t)t->nr * AREA_PAGES * 512 + w->word / 8] = value;
	*w = t->watches[--t->nr_watches];
}

static void do_word(struct thread *t, bool unwatch)
{
	struct mmu_monitor_word args = { .size = sizeof(args) };
	struct watched *w = some_watch(t);
	bool spoilt = !w, missing = false;
	void *arg = &args;
	int ret;

	if (!w || rnd(t, 8) == 0) {
		args.word = rnd(t, 4) ? rnd(t, AREA_PAGES * 512) * 8 : rnd64(t);
		missing = !by_word(t, args.word);
		w = by_word(t, args.word);
		spoilt = missing;
	} else {
		args.word = w->word;
		spoilt = spoil(t, &args, sizeof(args), &arg);
	}
	ret = counted(unwatch ? K_UNWATCH : K_REARM,
		      raw_ioctl(t->fd, unwatch ? MMU_MONITOR_UNWATCH : MMU_MONITOR_REARM, arg));
	if (spoilt != !!ret)
		fail("%s: size %u flags %x word %llu: %d", unwatch ? "UNWATCH" : "REARM", args.size,
		     args.flags, args.word, ret);
	if (missing && ret != -ENOENT)
		fail("%s of a word of no watch, %llu: %d", unwatch ? "UNWATCH" : "REARM",
		     args.word, ret);
	if (!ret && unwatch && w) {
		forget(t, w);
	} else if (!ret && w) {
		/* it makes one again; an event for others' sake may be there already */
		w->pending = loose(w) ? MAYBE : NO;
		w->armed = loose(w) ? LOST : YES;
	}
	check_counts(t);
}

static void do_flush(struct thread *t)
{
	if (counted(K_FLUSH, raw_flush(t->fd)))
		return;
	while (t->nr_watches)
		forget(t, &t->watches[t->nr_watches - 1]);
	check_counts(t);
}

static void do_info(struct thread *t)
{
	struct mmu_monitor_info info = { .size = sizeof(info) };
	bool spoilt = false;
	void *arg = &info;

	switch (rnd(t, 8)) {
	case 0:
		info.size = rnd(t, 4);
		spoilt = true;
		break;
	case 1:
		arg = (void *)8;
		spoilt = true;
		break;
	}
	if (!counted(K_INFO, raw_ioctl(t->fd, MMU_MONITOR_INFO, arg)) == spoilt)
		fail("INFO with size %u: %s", info.size, spoilt ? "succeeds" : "fails");
	if (!spoilt && (info.classes != MMU_MONITOR_CLASSES ||
			info.event_size != sizeof(struct mmu_monitor_event)))
		fail("INFO says classes %x event_size %u", info.classes, info.event_size);
}

static void do_config(struct thread *t)
{
	struct mmu_monitor_config args = { .size = sizeof(args), .eventfd = -1 };
	bool spoilt;
	void *arg;
	int ret;

	args.flags = rnd(t, 4);
	if (args.flags & MMU_MONITOR_EVENTFD && rnd(t, 3))
		args.eventfd = t->eventfd;
	if (args.flags & MMU_MONITOR_MAX_EVENTS && rnd(t, 2))
		args.max_events = 1 + rnd(t, 10);
	spoilt = spoil(t, &args, sizeof(args), &arg);
	if (!spoilt && args.flags & MMU_MONITOR_EVENTFD && rnd(t, 8) == 0) {
		args.eventfd = rnd(t, 2) ? t->memfd : 100000;	/* none */
		spoilt = true;
	}
	ret = counted(K_CONFIG, raw_ioctl(t->fd, MMU_MONITOR_CONFIG, arg));
	if (spoilt != !!ret)
		fail("CONFIG with size %u flags %x eventfd %d: %d", args.size, args.flags,
		     args.eventfd, ret);
	if (!ret && args.flags & MMU_MONITOR_MAX_EVENTS) {
		t->max_events = args.max_events;
		t->overflowed = true;	/* what is pending already may be too much */
	}
}

static void one_event(struct thread *t, const struct mmu_monitor_event *e)
{
	struct watched *w = by_word(t, e->word);
	__u64 first = 0, end;

	count(&shared->events);
	if (e->size != sizeof(*e))
		fail("an event has the size %u", e->size);
	if (e->type == MMU_MONITOR_OVERFLOW) {
		count(&shared->overflows);
		if (!t->overflowed)
			fail("OVERFLOW without a limit");
		for (w = t->watches; w < t->watches + t->nr_watches; w++) {
			if (w->armed == MAYBE || w->pending != NO)
				w->armed = LOST;
			if (w->pending == YES)
				w->pending = MAYBE;
		}
		return;
	}
	if (e->type != MMU_MONITOR_CHANGED) {
		fail("an event has the type %u", e->type);
		return;
	}
	if (!w || w->cookie != e->cookie) {
		fail("thread %u: an event of no watch: word %llu cookie %llx", t->nr, e->word,
		     e->cookie);
		return;
	}
	if (!e->classes || e->classes & ~w->classes)
		fail("an event of classes %x, of %x", e->classes, w->classes);
	first = (uintptr_t)at(t, w->first);
	end = (uintptr_t)at(t, w->end);
	if (!e->length || e->address < first || e->address + e->length > end)
		fail("an event of %llx + %llx, the watch is %llx - %llx", e->address, e->length,
		     first, end);
	if (w->flags & MMU_MONITOR_QUIET)
		fail("an event of a quiet watch");
	if (w->pending == NO && !loose(w))
		fail("thread %u: an event without a change: word %llu classes %x", t->nr, e->word,
		     e->classes);
	w->pending = loose(w) ? MAYBE : NO;
	w->armed = NO;
}

static void do_read(struct thread *t)
{
	void *volatile nowhere = (void *)8;
	struct mmu_monitor_event e[16];
	struct watched *w;
	ssize_t ret, i;

	switch (rnd(t, 12)) {
	case 0:
		ret = read(t->fd, e, rnd(t, sizeof(e[0])));
		ret = ret < 0 ? -errno : ret;
		if (counted(K_READ, ret) != -EINVAL)
			fail("a short read: %zd", ret);
		return;
	case 1:
		ret = read(t->fd, nowhere, sizeof(e));
		ret = ret < 0 ? -errno : ret;
		if (counted(K_READ, ret) != -EFAULT && ret != -EAGAIN)
			fail("a read to nowhere: %zd", ret);
		return;
	}
	do {
		ret = raw_read(t->fd, e, 1 + rnd(t, 16));
		counted(K_READ, ret);
		for (i = 0; i < ret; i++)
			one_event(t, &e[i]);
	} while (ret > 0);
	for (w = t->watches; w < t->watches + t->nr_watches; w++) {
		if (w->pending == YES && !t->overflowed)
			fail("thread %u: no event of word %llu (classes %x, flags %x)", t->nr,
			     w->word, w->classes, w->flags);
		/* known again: what was not made is still to come */
		w->pending = loose(w) ? MAYBE : NO;
		if (loose(w))
			w->armed = LOST;
		else if (w->armed == MAYBE)
			w->armed = t->overflowed ? LOST : YES;
	}
	t->overflowed = t->max_events;
}

static void do_poll(struct thread *t)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	struct watched *w;
	bool must = false;

	for (w = t->watches; w < t->watches + t->nr_watches; w++)
		must |= w->pending == YES;
	counted(K_POLL, poll(&p, 1, 0) < 0 ? -errno : 0);
	if (must && !(p.revents & POLLIN))
		fail("thread %u: there is an event, and poll() sees none", t->nr);
	if (p.revents & ~POLLIN)
		fail("poll() says %x", p.revents);
}

/* A child has nothing of its parent's. */
static void be_child(struct thread *t)
{
	struct mmu_monitor_event e;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	__u64 word;
	int ret;

	/* what it does to its memory is not the parent's */
	if (rnd(t, 2))
		munmap(t->base, PAGES * page_size);
	ret = raw_watch(t->fd, t->base, page_size, MMU_MONITOR_CLASSES, 0, 0, &word);
	if (counted(K_CHILD, ret) != -ESTALE)
		fail("WATCH in a child: %d", ret);
	if (rnd(t, 2)) {
		ret = raw_flush(t->fd);
		if (counted(K_CHILD, ret) != -ESTALE)
			fail("FLUSH in a child: %d", ret);
	}
	ret = raw_read(t->fd, &e, 1);
	if (counted(K_CHILD, ret < 0 ? ret : 0) || ret != 1 || e.type != MMU_MONITOR_FOREIGN)
		fail("read in a child: %d, type %u", ret, e.type);
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		fail("poll in a child: %x", p.revents);
	if (~t->area->watches || ~raw_load(t->area, sizeof(struct mmu_monitor_area)))
		fail("the area in a child: %llx", t->area->watches);
	if (rnd(t, 3) == 0)
		kill(getpid(), SIGKILL);
	_exit(0);
}

static void do_fork(struct thread *t)
{
	bool must[PAGES] = { };
	pid_t pid = fork();

	if (!pid)
		be_child(t);
	if (counted(K_FORK, pid < 0 ? -errno : 0))
		return;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	see_change(t, 0, PAGES, MMU_MONITOR_FORKED, must);
}

/* Without monitor, and with a new one: the old words are odd for as long as they are seen */
static void do_reopen(struct thread *t)
{
	const volatile struct mmu_monitor_area *old = t->area;
	struct watched *w;

	close(t->fd);
	/* the mapping keeps the file; only when it is gone do the watches end */
	for (w = t->watches; w < t->watches + t->nr_watches; w++)
		raw_load(old, w->word);
	munmap((void *)old, AREA_PAGES * page_size);
	t->nr_watches = 0;
	memset(&own_words[(size_t)t->nr * AREA_PAGES * 512], 0, AREA_PAGES * 512 * sizeof(__u64));
	t->max_events = 0;
	t->overflowed = false;
	t->fd = raw_open();
	if (counted(K_CLOSE, t->fd < 0 ? t->fd : 0))
		_exit(1);
	t->area = raw_area(t->fd, AREA_PAGES * page_size);
	if (counted(K_MMAP, t->area == MAP_FAILED ? -errno : 0))
		_exit(1);
}

/* ----------------------------------------------------------- without sense */

static int wild(struct thread *t)
{
	return WILD_FD + rnd(t, WILD);
}

static void do_wild_open(struct thread *t)
{
	int fd = raw_open();

	if (counted(K_OPEN, fd < 0 ? fd : 0))
		return;
	dup3(fd, wild(t), O_CLOEXEC);
	close(fd);
}

static void do_wild_mmap(struct thread *t)
{
	size_t bytes = (1 + rnd(t, 64)) * page_size;
	bool right = rnd(t, 2);
	void *addr;

	addr = mmap(NULL, bytes, right || rnd(t, 2) ? PROT_READ : rnd(t, 8),
		    right || rnd(t, 2) ? MAP_SHARED : MAP_PRIVATE, wild(t),
		    right || rnd(t, 2) ? 0 : rnd(t, 2) ? page_size : rnd64(t) & ~0xfffULL);
	counted(K_MMAP, addr == MAP_FAILED ? -errno : 0);
	if (addr == MAP_FAILED)
		return;
	/* pages that are not there are a signal: the kernel is asked to read them */
	if (write(t->eventfd, addr, 8) < 0 && errno != EFAULT && errno != EINVAL &&
	    errno != EAGAIN)
		fail("the area cannot be read: %s", strerror(errno));
	mprotect(addr, page_size, PROT_READ | PROT_WRITE);
	madvise(addr, bytes, MADV_DONTNEED);
	munmap(addr, bytes);
}

static void do_wild_ioctl(struct thread *t)
{
	static const struct {
		unsigned int cmd;
		unsigned int size;
	} cmds[] = {
		{ MMU_MONITOR_INFO, sizeof(struct mmu_monitor_info) },
		{ MMU_MONITOR_WATCH, sizeof(struct mmu_monitor_watch) },
		{ MMU_MONITOR_UNWATCH, sizeof(struct mmu_monitor_word) },
		{ MMU_MONITOR_REARM, sizeof(struct mmu_monitor_word) },
		{ MMU_MONITOR_CONFIG, sizeof(struct mmu_monitor_config) },
		{ MMU_MONITOR_FLUSH, 8 },
	};
	unsigned int i, which = rnd(t, 6), cmd = cmds[which].cmd;
	__u64 args[16];
	void *arg = args;

	for (i = 0; i < 16; i++) {
		switch (rnd(t, 6)) {
		case 0:
			args[i] = rnd64(t);
			break;
		case 1:
			args[i] = (uintptr_t)at(t, rnd(t, PAGES)) + rnd(t, 5000);
			break;
		case 2:
			args[i] = rnd(t, AREA_PAGES * 512) * 8;
			break;
		case 3:
			args[i] = 1ULL << rnd(t, 64);
			break;
		default:
			args[i] = rnd(t, 64);
		}
	}
	/* sizes that are right let it get further */
	if (rnd(t, 8))
		args[0] = (rnd(t, 4) ? rnd(t, 4) : args[0] >> 32) << 32 |
			  (rnd(t, 8) ? cmds[which].size : rnd(t, 17) * 8);
	if (rnd(t, 16) == 0)
		arg = (void *)rnd64(t);
	if (rnd(t, 32) == 0)
		arg = at(t, PAGES) - rnd(t, 64);
	counted(cmd == MMU_MONITOR_FLUSH ? K_FLUSH : K_GARBAGE, raw_ioctl(wild(t), cmd, arg));
}

/* Right calls, of who does not know what the others do with the same monitor */
static void do_wild_watch(struct thread *t)
{
	int fd = wild(t), i, nr = rnd(t, 20);
	struct mmu_monitor_event e[4];
	__u64 words[20], j;

	for (i = 0; i < nr; i++)
		if (counted(K_WATCH, raw_watch(fd, t->base + rnd(t, PAGES * page_size),
					       1 + rnd(t, 100000), 1 + rnd(t, 31), rnd(t, 3),
					       rnd64(t), &words[i])))
			break;
	nr = i;
	/* far more memory than it has, and all that there is */
	if (rnd(t, 8) == 0)
		counted(K_WATCH, raw_watch(fd, NULL, 1UL << (12 + rnd(t, 34)), 31, 0, 0, &j));
	for (i = 0; i < nr; i++) {
		if (rnd(t, 4))
			counted(K_UNWATCH, raw_unwatch(fd, words[i]));
		else
			counted(K_REARM, raw_rearm(fd, words[i]));
	}
	if (rnd(t, 4) == 0)
		counted(K_CONFIG, raw_eventfd(fd, rnd(t, 2) ? t->eventfd : -1));
	if (rnd(t, 4) == 0)
		counted(K_CONFIG, raw_max_events(fd, rnd(t, 5)));
	i = raw_read(fd, e, 4);
	counted(K_READ, i < 0 ? i : 0);
}

static void do_unknown(struct thread *t)
{
	unsigned int cmd = rnd(t, 2) ? _IO(MMU_MONITOR_IOC, 6 + rnd(t, 250)) : rnd64(t);

	/* what every file knows */
	if ((cmd & 0xffff) >= 0x5400 && (cmd & 0xffff) < 0x5500)
		return;
	if (cmd >= MMU_MONITOR_INFO && cmd <= MMU_MONITOR_FLUSH)
		return;
	counted(K_UNKNOWN, raw_ioctl(wild(t), cmd, at(t, 0)));
}

/* ----------------------------------------------------------------- running */

static void (*const actions[])(struct thread *t) = {
	do_map, do_map, do_unmap, do_move, do_move, do_drop, do_drop, do_protect, do_touch,
	do_touch, do_touch, do_punch,
	do_watch, do_watch, do_watch, do_watch, do_info, do_config, do_read, do_read, do_poll,
	do_wild_mmap, do_wild_ioctl, do_wild_ioctl, do_wild_watch, do_unknown,
};

static void step(struct thread *t)
{
	switch (rnd(t, 300)) {
	case 0:
		do_fork(t);
		return;
	case 1:
		do_flush(t);
		return;
	case 2:
		do_reopen(t);
		return;
	case 3:
	case 4:
		do_wild_open(t);
		return;
	}
	if (rnd(t, 8) == 0)
		do_word(t, true);
	else if (rnd(t, 16) == 0)
		do_word(t, false);
	else
		actions[rnd(t, sizeof(actions) / sizeof(*actions))](t);
}

static void *run(void *arg)
{
	struct thread *t = arg;
	unsigned long long failures = shared->failures;

	while (t->budget-- && shared->failures == failures)
		step(t);
	do_read(t);
	do_flush(t);
	return NULL;
}

static void begin(struct thread *t, unsigned int process, unsigned int nr)
{
	unsigned int i;
	int fd;

	t->nr = nr;
	t->random = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	t->random += (process << 8 | nr) * 0xbf58476d1ce4e5b9ULL;
	t->random = t->random ?: 1;
	for (i = 0; i < 10; i++)
		rnd64(t);
	t->budget = calls / processes / threads;
	t->base = (char *)BASE + (size_t)nr * 2 * PAGES * page_size;
	t->fd = raw_open();
	t->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	t->memfd = memfd_create("fuzz", MFD_CLOEXEC);
	if (t->fd < 0 || t->eventfd < 0 || t->memfd < 0 ||
	    ftruncate(t->memfd, PAGES * page_size))
		err(1, "thread");
	fd = memfd_create("answers", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, page_size))
		err(1, "thread");
	t->writable = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	t->readonly = mmap(NULL, page_size, PROT_READ, MAP_SHARED, fd, 0);
	if (t->writable == MAP_FAILED || t->readonly == MAP_FAILED)
		err(1, "thread");
	close(fd);
	counted(K_OPEN, 0);
	t->area = raw_area(t->fd, AREA_PAGES * page_size);
	if (counted(K_MMAP, t->area == MAP_FAILED ? -errno : 0))
		exit(1);
}

static void process(unsigned int nr)
{
	static struct thread all[MAX_THREADS];
	unsigned int i;
	int fd;

	own_words = calloc((size_t)threads * AREA_PAGES * 512, sizeof(*own_words));
	for (i = 0; i < WILD; i++) {
		fd = raw_open();
		if (fd < 0 || dup3(fd, WILD_FD + i, O_CLOEXEC) < 0)
			err(1, "open");
		close(fd);
	}
	for (i = 0; i < threads; i++)
		begin(&all[i], nr, i);
	for (i = 1; i < threads; i++)
		if (pthread_create(&all[i].id, NULL, run, &all[i]))
			err(1, "pthread_create");
	run(&all[0]);
	for (i = 1; i < threads; i++)
		pthread_join(all[i].id, NULL);
	count(&shared->processes_done);
	fflush(stdout);
	_exit(0);
}

static void print_counts(void)
{
	unsigned int i, j;

	printf("# %-28s %10s %10s  errors\n", "call", "made", "succeeded");
	for (i = 0; i < NR_KINDS; i++) {
		printf("# %-28s %10llu %10llu ", kinds[i].name, shared->calls[i], shared->ok[i]);
		for (j = 0; j < ERRNOS; j++)
			if (shared->errors[i][j])
				printf(" %s %llu", j ? strerrorname_np(j) : "?",
				       shared->errors[i][j]);
		printf("\n");
	}
	printf("# %llu changes of words that had to be, %llu events, %llu of them OVERFLOW\n",
	       shared->changes, shared->events, shared->overflows);
}

/* A kind that never succeeded, or never failed, was not tested. */
static void check_kinds(void)
{
	unsigned int i;

	for (i = 0; i < NR_KINDS; i++) {
		if (kinds[i].must_succeed && !shared->ok[i])
			fail("%s: never succeeded", kinds[i].name);
		if (kinds[i].must_fail && shared->calls[i] == shared->ok[i])
			fail("%s: never failed", kinds[i].name);
	}
	if (shared->changes < calls / 100 || !shared->events || !shared->overflows)
		fail("too few changes");
}

static unsigned long long to_number(const char *text)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (*end || end == text || errno)
		errx(1, "%s is not a number", text);
	return n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "calls", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "processes", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ }
	};
	pid_t pids[MAX_PROCESSES];
	int option, status, fd;
	unsigned int i;

	seed = 1;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			calls = to_number(optarg);
			break;
		case 's':
			seed = to_number(optarg);
			break;
		case 'p':
			processes = to_number(optarg);
			break;
		case 't':
			threads = to_number(optarg);
			break;
		default:
			errx(1, "usage: %s [--calls N] [--seed N] [--processes N] [--threads N]",
			     argv[0]);
		}
	}
	if (!processes || processes > MAX_PROCESSES || !threads || threads > MAX_THREADS)
		errx(1, "1 to %u processes, 1 to %u threads", MAX_PROCESSES, MAX_THREADS);

	ksft_print_header();
	ksft_set_plan(1);
	fd = raw_open();
	if (fd == -ENOENT)
		ksft_exit_skip("no " MONITOR_PATH "\n");
	if (fd < 0)
		ksft_exit_fail_msg(MONITOR_PATH ": %s\n", strerror(-fd));
	close(fd);
	sysmm_init();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		err(1, "mmap");
	ksft_print_msg("seed %llu, %llu steps, %u processes of %u threads\n", seed, calls,
		       processes, threads);
	fflush(stdout);
	for (i = 0; i < processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			err(1, "fork");
		if (!pids[i])
			process(i);
	}
	for (i = 0; i < processes; i++)
		if (waitpid(pids[i], &status, 0) != pids[i] || status)
			fail("process %u ended with status %x", i, status);
	if (shared->processes_done != processes)
		fail("%llu of %u processes came to their end", shared->processes_done, processes);
	print_counts();
	check_kinds();
	ksft_test_result(!shared->failures, "nothing unexpected came of the calls\n");
	ksft_finished();
}
