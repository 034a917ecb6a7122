// SPDX-License-Identifier: GPL-2.0
/*
 * uapi_fuzz: changes of memory. Those of the thread's own pages are known to the model,
 * which tells the monitor's half and the mirror's what must have come of them. The scrap
 * is everybody's, and no model knows what it looks like.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "sysmm.h"

static void see_change(struct thread *t, unsigned int first, unsigned int end, __u32 classes,
		       const bool *must)
{
	mirror_see_change(t, first, end, must);
	monitor_see_change(t, first, end, classes, must);
}

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

/* Of pages that nobody has a model of */
static void do_scrap(struct thread *t)
{
	char *addr = (char *)SCRAP + rnd(t, PAGES) * page_size;
	size_t bytes = (1 + rnd(t, 8)) * page_size;
	void *ret = NULL;

	if (addr + bytes > (char *)SCRAP + PAGES * page_size)
		bytes = page_size;
	switch (rnd(t, 6)) {
	case 0:
		ret = munmap(addr, bytes) ? MAP_FAILED : NULL;
		break;
	case 1:
	case 2:
		ret = mmap(addr, bytes, PROT_READ | (rnd(t, 4) ? PROT_WRITE : 0),
			   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | (rnd(t, 2) ? MAP_POPULATE : 0),
			   -1, 0);
		break;
	case 3:
		ret = mmap(addr, bytes, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED,
			   t->scrapfd, 0);
		break;
	case 4:
		/* holes are -ENOMEM */
		ret = madvise(addr, bytes, rnd(t, 2) ? MADV_DONTNEED : MADV_PAGEOUT) ?
		      MAP_FAILED : NULL;
		break;
	case 5:
		ret = mprotect(addr, bytes, rnd(t, 4)) ? MAP_FAILED : NULL;
		break;
	}
	counted(K_SCRAP, ret == MAP_FAILED ? -errno : 0);
}

const action mm_actions[] = {
	do_map, do_map, do_unmap, do_move, do_move, do_drop, do_drop, do_protect, do_touch,
	do_touch, do_touch, do_punch, do_scrap,
};

const unsigned int nr_mm_actions = sizeof(mm_actions) / sizeof(*mm_actions);

/* The thread's child has ended; what may be written was shared with it. */
void mm_forked(struct thread *t)
{
	bool must[PAGES] = { };

	see_change(t, 0, PAGES, MMU_MONITOR_FORKED, must);
}
