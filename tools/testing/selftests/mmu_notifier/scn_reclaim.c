// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which the kernel takes pages away, on request or by itself, or
 * moves them: madvise, reclaim, swap, migration, compaction. Most of these go
 * through the reverse map, which means one range per page.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

#define NR	32
#define NR_EACH	64	/* a subscriber that misses one range in 16 misses 4 */

static void scn_dontneed(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	must(r, !madvise(page_of(a, 13), bytes_of(7), MADV_DONTNEED));
	op_end(r, EV_CLEAR, 1, 7);
	model_zero(a, 13, 7);
	verify(r, a);

	prime(r, a);
	op_begin(r);
	must(r, !madvise(a->base, bytes_of(NR), MADV_DONTNEED));
	op_end(r, EV_CLEAR, 1, NR);
	really(r, !pages_present(a->base, NR));
	model_zero(a, 0, NR);
	verify(r, a);
}

static void scn_dontneed_each(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	size_t i;

	prime(r, a);
	op_begin(r);
	for (i = 0; i < NR_EACH; i++)
		must(r, !madvise(page_of(a, i), page_size, MADV_DONTNEED));
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	model_zero(a, 0, NR_EACH);
	verify(r, a);
}

static void scn_free_reclaim(struct run *r)
{
	struct area *a = area_new(r, NR);

	lacks(r, need_swap());
	prime(r, a);
	op_begin(r);
	must(r, !madvise(a->base, bytes_of(NR), MADV_FREE));
	op_end(r, EV_CLEAR, 1, NR);

	/* not gone yet: the device reads, and so maps, what it held */
	prime_reads(r, a);

	op_begin(r);
	really(r, discard_free(a->base, NR) == NR);
	op_end(r, EV_CLEAR, NR, NR);
	model_zero(a, 0, NR);
	verify(r, a);
}

/*
 * A page under MADV_FREE is clean until somebody writes to it. When the device
 * does, only its start callback can say so, before reclaim looks.
 */
static void scn_free_dirty(struct run *r)
{
	struct area *a = area_new(r, NR);
	unsigned int tries;
	size_t i, gone = 0;

	lacks(r, need_swap());
	prime(r, a);
	must(r, !madvise(a->base, bytes_of(NR), MADV_FREE));
	for (i = 0; i < NR; i += 2)
		dev_fill(r, a, i);

	lru_drain();
	op_begin(r);
	for (tries = 0; tries < 20 && gone < NR / 2; tries++) {
		must(r, !madvise(a->base, bytes_of(NR), MADV_PAGEOUT));
		for (gone = 0, i = 1; i < NR; i += 2)
			gone += !page_present(page_of(a, i)) && !page_swapped(page_of(a, i));
		if (gone < NR / 2)
			sleep_ms(5);
	}
	really(r, gone == NR / 2);
	op_end(r, EV_CLEAR, NR, NR / 2);
	for (i = 1; i < NR; i += 2)
		a->want[i] = 0;
	verify(r, a);
}

static void scn_pageout(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);

	lacks(r, need_swap());
	prime(r, a);
	op_begin(r);
	really(r, evict(a->base, NR_EACH) == NR_EACH);
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	verify(r, a);
}

/*
 * A page that was read back from swap is clean, has its copy in swap still,
 * and its PTE may be writable. A device that writes through that PTE leaves no
 * trace in it (rule R2).
 */
static void scn_swap_dirty(struct run *r)
{
	struct area *a = area_new(r, NR);
	unsigned int round;
	size_t i;

	lacks(r, need_swap());
	prime(r, a);
	for (round = 0; round < 3; round++) {
		really(r, evict(a->base, NR) == NR);
		must(r, !madvise(a->base, bytes_of(NR), MADV_WILLNEED));
		verify_reads(r, a);
		really(r, pages_flagged(a->base, NR, KPF_SWAPCACHE_BIT) == NR);
		really(r, !pages_flagged(a->base, NR, KPF_DIRTY_BIT));

		/* all, every second one, and one page are written */
		for (i = 0; i < NR; i += 1 << (round * round))
			dev_fill(r, a, i);

		op_begin(r);
		really(r, evict(a->base, NR) == NR);
		op_end(r, EV_CLEAR, NR, NR);
		verify_reads(r, a);
	}
	verify(r, a);
}

static void scn_memcg_reclaim(struct run *r)
{
	size_t swapped = 0;
	struct area *a;
	unsigned int tries;
	char name[32];

	lacks(r, need_swap());
	lacks(r, need_cgroup());
	snprintf(name, sizeof(name), "mmu_mirror.%d", getpid());
	if (cgroup_enter(name))
		lacks(r, "no memory cgroup to enter");

	a = area_new(r, NR_EACH);
	prime(r, a);
	op_begin(r);
	for (tries = 0; tries < 20 && swapped < NR_EACH; tries++) {
		cgroup_set(name, "memory.reclaim", "2M");
		swapped = pages_swapped(a->base, NR_EACH);
	}
	really(r, swapped >= NR_EACH / 2);
	op_end(r, EV_CLEAR, swapped, swapped);
	verify(r, a);
	cgroup_leave(name);
}

static void scn_move_pages(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	unsigned int node;

	lacks(r, need_nodes());
	prime(r, a);
	must(r, pages_move(0, a->base, NR_EACH, 0) == NR_EACH);
	prime(r, a);
	for (node = 1; node <= 2; node++) {
		op_begin(r);
		must(r, pages_move(0, a->base, NR_EACH, node % 2) == NR_EACH);
		really(r, pages_on_node(a->base, NR_EACH, node % 2) == NR_EACH);
		op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
		verify(r, a);
		prime(r, a);
	}
}

static void scn_mbind(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	int node;

	lacks(r, need_nodes());
	prime(r, a);
	node = !page_node(a->base);
	must(r, pages_move(0, a->base, NR_EACH, !node) == NR_EACH);
	prime(r, a);
	op_begin(r);
	must(r, !pages_bind(a->base, NR_EACH, node));
	really(r, pages_on_node(a->base, NR_EACH, node) == NR_EACH);
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	verify(r, a);
}

/*
 * Compaction moves pages from the start of a zone into holes further on, in
 * blocks that are neither full nor empty. Holes are made of some huge pages, by
 * splitting them and giving back every second page. The one that comes first in
 * memory is the area, the others are where its pages may go. Returns how many
 * have been moved, or 0 if they were moved by somebody else as well.
 */
static size_t compact(struct run *r, size_t nr_huge)
{
	const size_t bytes = nr_huge * huge_size, nr = huge_size / page_size;
	char *base = arena_place(r, bytes, huge_size), *low = base;
	size_t i, moved;
	__u64 *before, *pfns;
	struct area *a;
	bool quiet;

	must(r, mmap(base, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base);
	pages_bind(base, bytes / page_size, 0);
	for (i = 0; i < bytes; i += huge_size) {
		base[i] = 1;
		madvise(base + i, huge_size, MADV_COLLAPSE);
		if (page_pfn(base + i) < page_pfn(low))
			low = base + i;
		lacks(r, huge_split(base + i, huge_size));
	}
	a = area_at(r, low, nr);
	before = calloc(nr, 2 * sizeof(*before));
	must(r, before);
	pfns = before + nr;
	/* what the split found to be empty is no page any more */
	for (i = 0; i < bytes; i += page_size)
		base[i] = 1;
	pages_pfns(low, nr, before);
	prime(r, a);
	for (i = page_size; i < bytes; i += 2 * page_size)
		must(r, !madvise(base + i, page_size, MADV_DONTNEED));
	for (i = 1; i < nr; i += 2)
		a->want[i] = 0;

	/*
	 * kcompactd may be at it as well. What it has moved by now, or is about
	 * to (no page frame then), it has told the device before we count.
	 */
	op_begin(r);
	pages_pfns(low, nr, pfns);
	for (i = 0, quiet = true; i < nr; i += 2)
		quiet &= pfns[i] && pfns[i] == before[i];
	if (file_write("/proc/sys/vm/compact_memory", "1"))
		lacks(r, "no compaction");
	moved = pages_elsewhere(low, nr, pfns);
	if (quiet)
		op_end(r, EV_CLEAR, moved, moved);
	for (i = 0; i < nr; i += 2)
		if (page_pfn(page_of(a, i)) != pfns[i])
			area_mark(a, i, 1);
	verify(r, a);
	munmap(base, bytes);
	free(before);
	return quiet ? moved : 0;
}

/* Pages given back are to be seen as free, and not kept for a CPU's next use. */
#define PCP_FRACTION	"/proc/sys/vm/percpu_pagelist_high_fraction"

static void scn_compaction(struct run *r)
{
	__s64 fraction = file_number(PCP_FRACTION);
	size_t moved = 0, try;

	file_write(PCP_FRACTION, "1000000");
	for (try = 0; try < 9 && !moved; try++)
		moved = compact(r, 4 << try % 3);
	if (fraction >= 0)
		file_write(PCP_FRACTION, "%lld", fraction);
	really(r, moved);
}

const struct scenario scn_reclaim[] = {
	{ "dontneed", "madvise(DONTNEED)", scn_dontneed },
	{ "dontneed_each", "madvise(DONTNEED), 64 times one page",
	  scn_dontneed_each },
	{ "free_reclaim", "madvise(FREE) and reclaim", scn_free_reclaim },
	{ "free_dirty", "madvise(FREE), device write, reclaim", scn_free_dirty },
	{ "pageout", "madvise(PAGEOUT) to swap and back", scn_pageout },
	{ "swap_dirty", "swap in, device write, swap out", scn_swap_dirty },
	{ "memcg_reclaim", "memory.reclaim of the cgroup", scn_memcg_reclaim },
	{ "move_pages", "move_pages to the other node and back", scn_move_pages },
	{ "mbind", "mbind to the other node", scn_mbind },
	{ "compaction", "compaction", scn_compaction },
	{ }
};
