// SPDX-License-Identifier: GPL-2.0
/*
 * uapi_fuzz: /dev/mmu_monitor. Each thread has a monitor and knows its watches; all
 * threads of a process share some others, in whatever state.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "sysmm.h"

__u64 *own_words;

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

void monitor_see_change(struct thread *t, unsigned int first, unsigned int end, __u32 classes,
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
		args.max_events = 1 + rnd(t, rnd(t, 2) ? 2 : 10);	/* few: OVERFLOW */
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

/* A child has nothing of its parent's. */
void monitor_in_child(struct thread *t)
{
	struct mmu_monitor_event e;
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	__u64 word;
	int ret;

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

const action monitor_actions[] = {
	do_watch, do_watch, do_watch, do_watch, do_info, do_config, do_read, do_read, do_poll,
	do_wild_mmap, do_wild_ioctl, do_wild_ioctl, do_wild_watch, do_unknown,
};

const unsigned int nr_monitor_actions = sizeof(monitor_actions) / sizeof(*monitor_actions);

void monitor_rare(struct thread *t, unsigned int which)
{
	switch (which) {
	case 0:
		do_flush(t);
		break;
	case 1:
		do_reopen(t);
		break;
	default:
		do_wild_open(t);
		break;
	}
}

/* More often the more watches there are */
void monitor_often(struct thread *t)
{
	do_word(t, rnd(t, 3) != 0);
}

void monitor_begin(struct thread *t)
{
	int fd;

	t->fd = raw_open();
	t->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (t->fd < 0 || t->eventfd < 0)
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

void monitor_begin_wild(void)
{
	unsigned int i;
	int fd;

	own_words = calloc((size_t)threads * AREA_PAGES * 512, sizeof(*own_words));
	if (!own_words)
		err(1, "calloc");
	for (i = 0; i < WILD; i++) {
		fd = raw_open();
		if (fd < 0 || dup3(fd, WILD_FD + i, O_CLOEXEC) < 0)
			err(1, "open");
		close(fd);
	}
}

void monitor_end(struct thread *t)
{
	do_read(t);
	do_flush(t);
}
