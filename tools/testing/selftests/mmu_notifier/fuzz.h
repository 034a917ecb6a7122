/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The parts of uapi_fuzz, see there: what a thread knows, and how calls are counted.
 */
#ifndef _SELFTESTS_FUZZ_H
#define _SELFTESTS_FUZZ_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "mirror_lib.h"
#include "monitor_raw.h"

#define PAGES		64	/* of a thread */
#define WATCHES		48	/* of a thread, at a time */
#define KEYS		8	/* likewise */
#define AREA_PAGES	4
#define WILD		6	/* shared monitors */
#define WILD_FD		500	/* the first of their descriptors */
#define WILD_MIRROR_FD	520	/* and of as many shared mirrors' */
#define EXPORT_FD	540	/* mirrors that all processes have, one for each of them */
#define MAX_THREADS	16
#define MAX_PROCESSES	16
#define ERRNOS		134
#define BASE		0x1000000000UL	/* mmap() chooses no such address by itself */
#define SCRAP		0x2000000000UL	/* PAGES for everybody, in whatever state */

/* --------------------------------------------------------------- counting */

enum kind {
	K_OPEN, K_MMAP, K_INFO, K_WATCH, K_UNWATCH, K_REARM, K_CONFIG, K_FLUSH, K_READ,
	K_POLL, K_CLOSE, K_GARBAGE, K_UNKNOWN, K_FORK, K_CHILD,
	K_MAP, K_MAP_FILE, K_UNMAP, K_MOVE, K_DROP, K_PROTECT, K_TOUCH, K_PUNCH, K_SCRAP,
	M_OPEN, M_MMAP, M_ATTACH, M_WINDOW, M_READ, M_WRITE, M_ADD, M_COUNTERS, M_CHECK,
	M_INJECT, M_ENGINE, M_DETACH, M_IMPORT, M_REGISTER, M_DEREGISTER, M_KEY_READ,
	M_KEY_WRITE, M_KEYS, M_ORDER, M_HOLD, M_GARBAGE, M_UNKNOWN, M_CHILD,
	NR_KINDS
};

/* In memory that all processes share */
struct shared {
	unsigned long long calls[NR_KINDS];
	unsigned long long ok[NR_KINDS];
	unsigned long long errors[NR_KINDS][ERRNOS];
	unsigned long long steps;
	unsigned long long changes;	/* of words, that the model wanted */
	unsigned long long events;	/* that were read */
	unsigned long long overflows;
	unsigned long long compared;	/* words that the device and the CPU read */
	unsigned long long revoked;	/* keys, that the model wanted */
	unsigned long long failures;
	unsigned long long processes_done;
};

extern struct shared *shared;
extern unsigned int processes, threads;

unsigned long long count(unsigned long long *what);
void fail(const char *fmt, ...)
	__printf(1, 2);
/* Every call is counted; @ret: what it returned, negative: an error */
int counted(enum kind kind, long ret);

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

/* A key that the thread's device gave it */
struct registered {
	__u64 key;
	unsigned int first;	/* page */
	unsigned int end;
	bool revoked;		/* it has to be, by now */
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
	int scrapfd;		/* a file that the scrap may show, and the model does not know */
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
	struct mirror mirror;
	bool attached;
	unsigned int personality;
	unsigned int window_first;	/* page */
	unsigned int window_end;
	struct registered keys[KEYS];
	unsigned int nr_keys;
};

extern __u64 *own_words;	/* generations used, by number of the word; of a thread */

__u64 rnd64(struct thread *t);
unsigned int rnd(struct thread *t, unsigned int below);
void range(struct thread *t, unsigned int *first, unsigned int *end);
char *at(struct thread *t, unsigned int page);

typedef void (*action)(struct thread *t);

/* fuzz_mm.c: changes of the thread's memory, and of the scrap */
extern const action mm_actions[];
extern const unsigned int nr_mm_actions;
void mm_forked(struct thread *t);

/* fuzz_monitor.c: the thread's monitor, and those without sense */
extern const action monitor_actions[];
extern const unsigned int nr_monitor_actions;
void monitor_begin(struct thread *t);
void monitor_begin_wild(void);
void monitor_rare(struct thread *t, unsigned int which);
void monitor_often(struct thread *t);
void monitor_in_child(struct thread *t);
void monitor_end(struct thread *t);
/*
 * Pages [@first, @end) have changed in ways of @classes; @must: by page, whether
 * something was there that could change. The system call has returned.
 */
void monitor_see_change(struct thread *t, unsigned int first, unsigned int end, __u32 classes,
			const bool *must);

/* fuzz_mirror.c: likewise */
extern const action mirror_actions[];
extern const unsigned int nr_mirror_actions;
void mirror_begin(struct thread *t);
void mirror_begin_wild(unsigned int process);
void mirror_rare(struct thread *t);
void mirror_in_child(struct thread *t);
void mirror_end(struct thread *t);
void mirror_see_change(struct thread *t, unsigned int first, unsigned int end, const bool *must);

#endif /* _SELFTESTS_FUZZ_H */
