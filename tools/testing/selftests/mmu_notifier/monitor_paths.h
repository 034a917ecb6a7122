/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is a change told to those watches which it concerns, and to no others?
 *
 * paths_arm() puts watches around some addresses: one for each class over them,
 * over the page before and over the page behind; a cache's and one of all classes
 * over all three. paths_told() says what must have happened to each of the words
 * by the time that the system call has returned, and what read() must return.
 */
#ifndef _SELFTESTS_MONITOR_PATHS_H
#define _SELFTESTS_MONITOR_PATHS_H

#include "../kselftest_harness.h"

#include <linux/compiler.h>
#include <poll.h>
#include <sys/mman.h>

#include "monitor_lib.h"
#include "sysmm.h"

#define PATHS_CLASSES	5
#define PATHS_PROBES	(3 * PATHS_CLASSES + 2)

/**
 * struct probe - one watch
 * @addr: first address.
 * @length: in bytes.
 * @classes: what it is to be told of.
 * @word: where its word is.
 * @generation: value of the word before the change.
 * @lies: for messages.
 */
struct probe {
	char *addr;
	size_t length;
	__u32 classes;
	__u64 word;
	__u64 generation;
	const char *lies;
};

/**
 * struct paths - a descriptor and some memory
 * @mon: the descriptor.
 * @base: paths_place() was here; a page before and one behind are mapped too.
 * @nr: pages.
 * @probes: what paths_arm() has made; the cookie of each is its index.
 * @nr_probes: 0 if it has not.
 */
struct paths {
	struct monitor mon;
	char *base;
	size_t nr;
	struct probe probes[PATHS_PROBES];
	unsigned int nr_probes;
};

static const char * const class_names[] = {
	"UNMAPPED", "DROPPED", "REPLACED", "PROTECTED", "FORKED",
};

static const char *name_of(__u32 classes)
{
	if (classes == MMU_MONITOR_CLASSES)
		return "all";
	if (classes == MONITOR_CACHE)
		return "a cache's";
	return class_names[__builtin_ctz(classes)];
}

static __maybe_unused bool
paths_open(struct __test_metadata *_metadata, struct paths *p)
{
	int err = monitor_try_open(&p->mon);

	if (err == -ENOENT)
		SKIP(return false, "no " MONITOR_PATH);
	EXPECT_EQ(err, 0);
	sysmm_init();
	p->nr_probes = 0;
	return !err;
}

static __maybe_unused void
paths_close(struct paths *p)
{
	monitor_close(&p->mon);
}

static __maybe_unused char *
paths_page(struct paths *p, size_t i)
{
	return p->base + i * page_size;
}

/* @nr pages of private memory, written to, at an address aligned to @align */
static __maybe_unused void
paths_place(struct __test_metadata *_metadata, struct paths *p, size_t nr, size_t align)
{
	size_t size = (nr + 2) * page_size + align;
	char *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(room, MAP_FAILED);
	p->base = room + page_size;
	if (align)
		p->base = (char *)(((uintptr_t)p->base + align - 1) & ~(align - 1));
	p->nr = nr;
	/* neither the kernel nor malloc() joins anything to it */
	munmap(room, p->base - page_size - room);
	munmap(p->base + (nr + 1) * page_size, room + size - (p->base + (nr + 1) * page_size));
	memset(p->base - page_size, 1, (nr + 2) * page_size);
}

/* Something else instead of it, @flags being mmap's */
static __maybe_unused void
paths_map(struct __test_metadata *_metadata, struct paths *p, int prot, int flags,
	  int fd)
{
	ASSERT_EQ(mmap(p->base, p->nr * page_size, prot, flags | MAP_FIXED, fd, 0), p->base);
}

static void probe_add(struct __test_metadata *_metadata, struct paths *p, const char *lies,
		      char *addr, size_t length, __u32 classes)
{
	unsigned int i = p->nr_probes++;
	struct probe *probe = &p->probes[i];

	*probe = (struct probe) {
		.addr = addr,
		.length = length,
		.classes = classes,
		.lies = lies,
	};
	ASSERT_LT(i, PATHS_PROBES);
	ASSERT_EQ(monitor_try_watch(p->mon.fd, addr, length, classes, 0, i, &probe->word), 0);
	/* the kernel's own threads may be just at it */
	ASSERT_TRUE(within_ms(1000, !((probe->generation = monitor_word(&p->mon, probe->word)) &
				      1)))
		TH_LOG("nothing is going on, and the word of %s is odd", lies);
}

static __maybe_unused void
paths_arm(struct __test_metadata *_metadata, struct paths *p, char *addr, size_t length)
{
	unsigned int i;

	ASSERT_EQ(p->nr_probes, 0);
	ASSERT_EQ(monitor_watches(&p->mon), 0);
	for (i = 0; i < PATHS_CLASSES; i++) {
		probe_add(_metadata, p, "before", addr - page_size, page_size, 1U << i);
		probe_add(_metadata, p, "on", addr, length, 1U << i);
		probe_add(_metadata, p, "behind", addr + length, page_size, 1U << i);
	}
	probe_add(_metadata, p, "around", addr - page_size, length + 2 * page_size, MONITOR_CACHE);
	probe_add(_metadata, p, "around", addr - page_size, length + 2 * page_size,
		  MMU_MONITOR_CLASSES);
	EXPECT_EQ(monitor_watches(&p->mon), p->nr_probes);
	EXPECT_EQ(monitor_pending(&p->mon), 0);
}

static bool concerned(const struct probe *probe, __u32 classes, const char *addr, size_t length)
{
	return probe->classes & classes && probe->addr < addr + length &&
	       addr < probe->addr + probe->length;
}

/* What has happened in a part of what was armed; @classes 0: nobody was told */
static __maybe_unused void
paths_told_of(struct __test_metadata *_metadata, struct paths *p, __u32 classes,
	      char *addr, size_t length)
{
	struct mmu_monitor_event events[2 * PATHS_PROBES], *e;
	bool told[PATHS_PROBES] = { };
	__u64 now[PATHS_PROBES];
	unsigned int i, expected = 0;
	struct probe *probe;
	int n;

	/* the words first, before anything else takes time */
	for (i = 0; i < p->nr_probes; i++)
		now[i] = monitor_word(&p->mon, p->probes[i].word);
	for (i = 0; i < p->nr_probes; i++) {
		probe = &p->probes[i];
		EXPECT_EQ(now[i] & 1, 0)
			TH_LOG("%s, %s: odd afterwards", probe->lies, name_of(probe->classes));
		if (concerned(probe, classes, addr, length)) {
			expected++;
			EXPECT_NE(now[i], probe->generation)
				TH_LOG("%s, %s: still valid", probe->lies, name_of(probe->classes));
		} else {
			EXPECT_EQ(now[i], probe->generation)
				TH_LOG("%s, %s: changed", probe->lies, name_of(probe->classes));
		}
	}

	EXPECT_EQ(monitor_pending(&p->mon), expected);
	EXPECT_EQ(!!(monitor_poll(p->mon.fd, 0) & POLLIN), !!expected);
	n = monitor_read(p->mon.fd, events, ARRAY_SIZE(events));
	EXPECT_EQ(n, expected);
	for (e = events; e < events + (n > 0 ? n : 0); e++) {
		EXPECT_EQ(e->size, sizeof(*e));
		EXPECT_EQ(e->type, MMU_MONITOR_CHANGED);
		ASSERT_LT(e->cookie, p->nr_probes);
		probe = &p->probes[e->cookie];
		EXPECT_FALSE(told[e->cookie])
			TH_LOG("%s, %s: two events", probe->lies, name_of(probe->classes));
		told[e->cookie] = true;
		EXPECT_EQ(e->word, probe->word);
		EXPECT_TRUE(concerned(probe, classes, addr, length))
			TH_LOG("%s, %s: event of %#x at %#llx + %#llx", probe->lies,
			       name_of(probe->classes), e->classes, e->address, e->length);
		EXPECT_EQ(e->classes, classes & probe->classes)
			TH_LOG("%s, %s: event of %#x", probe->lies, name_of(probe->classes),
			       e->classes);
		EXPECT_EQ(e->address, (uintptr_t)addr);
		EXPECT_EQ(e->length, length);
	}
	EXPECT_EQ(monitor_pending(&p->mon), 0);
	EXPECT_EQ(monitor_poll(p->mon.fd, 0), 0);

	for (i = 0; i < p->nr_probes; i++)
		EXPECT_EQ(monitor_try_unwatch(p->mon.fd, p->probes[i].word), 0);
	EXPECT_EQ(monitor_watches(&p->mon), 0);
	p->nr_probes = 0;
}

static __maybe_unused void
paths_told(struct __test_metadata *_metadata, struct paths *p, __u32 classes)
{
	/* that of "on", the second one */
	paths_told_of(_metadata, p, classes, p->probes[1].addr, p->probes[1].length);
}

/* For the cases of a fixture that has its paths in p: */

#define PAGE(i)		paths_page(&self->p, i)
#define BYTES(n)	((n) * page_size)
#define ARM(i, n)	paths_arm(_metadata, &self->p, PAGE(i), BYTES(n))
#define TOLD(classes)	paths_told(_metadata, &self->p, classes)
#define TOLD_OF(classes, i, n) \
	paths_told_of(_metadata, &self->p, classes, PAGE(i), BYTES(n))

#define UNMAPPED	MMU_MONITOR_UNMAPPED
#define DROPPED		MMU_MONITOR_DROPPED
#define REPLACED	MMU_MONITOR_REPLACED
#define PROTECTED	MMU_MONITOR_PROTECTED
#define FORKED		MMU_MONITOR_FORKED
#define NOBODY		0

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)

#endif /* _SELFTESTS_MONITOR_PATHS_H */
