/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Does a device see what the CPU sees, and is a watch told of what changes?
 *
 * A struct subs is one subscriber of each kind over the same pages of this process:
 * a device of each personality, a key to the pages and a watch of /dev/mmu_monitor.
 * Functions return NULL, or what is wrong.
 */
#ifndef _SELFTESTS_COHERENT_H
#define _SELFTESTS_COHERENT_H

#include "mirror_lib.h"

/* A word of the memory of this process, if the CPU may */
bool cpu_read(const void *addr, __u64 *word);
bool cpu_write(void *addr, __u64 word);

/*
 * The device's SPTEs are right, it can access what the CPU can and nothing else, and
 * each sees what the other writes; nothing is in flight, and nothing unbalanced. For
 * a process in which nobody else changes anything.
 */
const char *mirror_coherent(struct mirror *m, char *memory, size_t nr);

struct subs {
	char *memory;
	size_t nr;
	struct mirror dev[MIRROR_NR_PERSONALITIES];
	__u64 key;
	int monitor;
	const volatile void *area;
	__u64 word;
	__u64 generation;
};

/* Files, which are closed by subs_close() in whatever state they are */
const char *subs_open(struct subs *s);
/* All see the pages, and have SPTEs of them */
const char *subs_attach(struct subs *s, char *memory, size_t nr);
/* Changes so far are known. */
const char *subs_know(struct subs *s);
/* @changed: since then, pages have been taken away, or rights to them, of those watched */
const char *subs_coherent(struct subs *s, bool changed);
void subs_close(struct subs *s);

#endif /* _SELFTESTS_COHERENT_H */
