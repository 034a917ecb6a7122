// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios with huge pages: transparent ones, collapsed, split and taken away
 * in part, and hugetlb.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest.h"

#include "scenarios.h"

#define HUGE_NR	(huge_size / page_size)

/* Small pages become a huge one, under the device's eyes. */
static void scn_thp_collapse(struct run *r)
{
	char *base = arena_place(r, huge_size, huge_size);
	struct area *a;

	must(r, mmap(base, huge_size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base);
	must(r, !madvise(base, huge_size, MADV_NOHUGEPAGE));
	a = area_at(r, base, HUGE_NR);
	prime(r, a);

	/* khugepaged may be the first */
	op_begin(r);
	must(r, !madvise(base, huge_size, MADV_HUGEPAGE));
	really(r, huge_make(base, huge_size));
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	verify(r, a);
}

static void scn_thp_munmap(struct run *r)
{
	struct area *a = area_huge(r, 2);

	prime(r, a);
	op_begin(r);
	must(r, !munmap(a->base, huge_size));
	op_end(r, EV_UNMAP, 1, HUGE_NR);
	model_rights(a, 0, HUGE_NR, NOTHING);
	verify(r, a);

	/* the PMD is split, the page keeps its other parts */
	op_begin(r);
	must(r, !munmap(page_of(a, HUGE_NR + 100), bytes_of(9)));
	op_end(r, EV_UNMAP, 1, 9);
	really(r, !huge_mapped(page_of(a, HUGE_NR)));
	model_rights(a, HUGE_NR + 100, 9, NOTHING);
	verify(r, a);
}

static void scn_thp_dontneed(struct run *r)
{
	struct area *a = area_huge(r, 1);
	static const size_t gone[] = { 0, 77, 255, 256, 511 };
	size_t i;

	prime(r, a);
	op_begin(r);
	for (i = 0; i < ARRAY_SIZE(gone); i++) {
		size_t page = gone[i] % HUGE_NR;

		must(r, !madvise(page_of(a, page), page_size, MADV_DONTNEED));
		model_zero(a, page, 1);
	}
	op_end(r, EV_CLEAR, 5, 5);
	really(r, !huge_mapped(a->base));
	verify(r, a);
}

static void scn_thp_mprotect(struct run *r)
{
	struct area *a = area_huge(r, 1);

	prime(r, a);
	op_begin(r);
	must(r, !mprotect(a->base, huge_size, PROT_READ));
	op_end(r, EV_PROTECTION_VMA, 1, HUGE_NR);
	really(r, huge_mapped(a->base) == huge_size);
	model_rights(a, 0, HUGE_NR, READS);
	verify(r, a);

	must(r, !mprotect(a->base, huge_size, PROT_READ | PROT_WRITE));
	model_rights(a, 0, HUGE_NR, WRITES);
	prime(r, a);
	op_begin(r);
	must(r, !mprotect(page_of(a, HUGE_NR - 1), page_size, PROT_READ));
	op_end(r, EV_PROTECTION_VMA, 1, 1);
	really(r, !huge_mapped(a->base));
	model_rights(a, HUGE_NR - 1, 1, READS);
	verify(r, a);
}

/* The page itself is split while all of it is mapped. */
static void scn_thp_split(struct run *r)
{
	struct area *a = area_huge(r, 1);
	unsigned int tries;

	prime(r, a);
	op_begin(r);
	/* Whoever looks at the page at that moment is in the way. */
	for (tries = 0; tries < 20 && pages_flagged(a->base, HUGE_NR, KPF_THP_BIT); tries++)
		lacks(r, huge_split(a->base, huge_size));
	really(r, !pages_flagged(a->base, HUGE_NR, KPF_THP_BIT));
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	really(r, pages_present(a->base, HUGE_NR) == HUGE_NR);
	verify(r, a);
}

static void scn_thp_mremap(struct run *r)
{
	struct area *a = area_huge(r, 1), *b;
	void *to = arena_place(r, huge_size, huge_size);
	size_t i;

	prime(r, a);
	op_begin(r);
	must(r, mremap(a->base, huge_size, huge_size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       to) == to);
	op_end(r, EV_UNMAP, 1, HUGE_NR);
	really(r, huge_mapped(to) == huge_size);
	b = area_at(r, to, HUGE_NR);
	for (i = 0; i < HUGE_NR; i++)
		b->want[i] = a->want[i];
	model_rights(a, 0, HUGE_NR, NOTHING);
	verify(r, a);
	verify(r, b);
}

static void scn_thp_pageout(struct run *r)
{
	struct area *a = area_huge(r, 1);

	lacks(r, need_swap());
	prime(r, a);
	op_begin(r);
	really(r, evict(a->base, HUGE_NR) == HUGE_NR);
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	verify(r, a);
}

static void scn_thp_migrate(struct run *r)
{
	struct area *a = area_huge(r, 1);
	int node;

	lacks(r, need_nodes());
	prime(r, a);
	node = !page_node(a->base);
	op_begin(r);
	must(r, pages_move(0, a->base, 1, node) == 1);
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	really(r, page_node(page_of(a, HUGE_NR - 1)) == node);
	really(r, huge_mapped(a->base) == huge_size);
	verify(r, a);
}

/* Copy on write splits the PMD of the writer and copies one small page. */
static void scn_thp_fork(struct run *r)
{
	struct area *a = area_huge(r, 1);
	struct twin t;
	size_t i;

	prime(r, a);
	op_begin(r);
	twin_fork(r, &t);
	if (!t.pid) {
		twin_hear(r, &t);
		for (i = 0; i < a->nr; i = next_page(a, i))
			if (!page_is(page_of(a, i), a->want[i]))
				stop(r, "page %zu: the child sees its parent's write", i);
		_exit(0);
	}
	op_end(r, EV_PROTECTION_PAGE, 1, HUGE_NR);

	prime_reads(r, a);
	op_begin(r);
	for (i = 0; i < HUGE_NR; i += HUGE_NR - 1)
		cpu_fill(r, a, i);
	op_end(r, EV_CLEAR, 1, 2);
	verify_reads(r, a);
	for (i = 0; i < a->nr; i = next_page(a, i))
		if (i % 2)
			dev_fill(r, a, i);
	verify_reads(r, a);

	twin_tell(r, &t, 'l');
	twin_end(r, &t);
	verify(r, a);
}

/* -------------------------------------------------------------- hugetlb */

static struct area *area_hugetlb(struct run *r, size_t nr_huge)
{
	struct area *a;

	lacks(r, need_hugetlb(6));
	a = area_map(r, nr_huge * HUGE_NR, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	prime(r, a);
	really(r, page_flag(a->base, KPF_HUGETLB_BIT));
	return a;
}

static void scn_hugetlb_unmap(struct run *r)
{
	struct area *a = area_hugetlb(r, 2);

	op_begin(r);
	must(r, !madvise(a->base, huge_size, MADV_DONTNEED));
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	really(r, !page_present(a->base));
	model_zero(a, 0, HUGE_NR);
	verify(r, a);

	prime(r, a);
	op_begin(r);
	must(r, !mprotect(a->base, huge_size, PROT_READ));
	op_end(r, EV_PROTECTION_VMA, 1, HUGE_NR);
	model_rights(a, 0, HUGE_NR, READS);
	verify(r, a);

	/* a TLB may have been flushed of everything */
	prime_reads(r, a);
	op_begin(r);
	must(r, !munmap(a->base + huge_size, huge_size));
	op_end(r, EV_UNMAP, 1, HUGE_NR);
	model_rights(a, HUGE_NR, HUGE_NR, NOTHING);
	verify(r, a);
}

static void scn_hugetlb_cow(struct run *r)
{
	struct area *a = area_hugetlb(r, 1);
	__u64 pfn = page_pfn(a->base);
	struct twin t;
	size_t i;

	op_begin(r);
	twin_fork(r, &t);
	if (!t.pid) {
		twin_hear(r, &t);
		for (i = 0; i < a->nr; i = next_page(a, i))
			if (!page_is(page_of(a, i), a->want[i]))
				stop(r, "page %zu: the child sees its parent's write", i);
		_exit(0);
	}
	op_end(r, EV_CLEAR, 1, HUGE_NR);

	prime_reads(r, a);
	op_begin(r);
	cpu_fill(r, a, HUGE_NR - 1);
	op_end(r, EV_CLEAR, 1, HUGE_NR);
	really(r, page_pfn(a->base) != pfn);
	verify(r, a);

	twin_tell(r, &t, 'l');
	twin_end(r, &t);
	verify(r, a);
}

const struct scenario scn_huge[] = {
	{ "thp_collapse", "THP: collapse", scn_thp_collapse },
	{ "thp_munmap", "THP: munmap, whole and middle", scn_thp_munmap },
	{ "thp_dontneed", "THP: DONTNEED of single pages", scn_thp_dontneed },
	{ "thp_mprotect", "THP: mprotect, whole and one page", scn_thp_mprotect },
	{ "thp_split", "THP: split in place", scn_thp_split },
	{ "thp_mremap", "THP: mremap, moved", scn_thp_mremap },
	{ "thp_pageout", "THP: PAGEOUT", scn_thp_pageout },
	{ "thp_migrate", "THP: move_pages", scn_thp_migrate },
	{ "thp_fork", "THP: fork and copy on write", scn_thp_fork },
	{ "hugetlb_unmap", "hugetlb: DONTNEED, munmap", scn_hugetlb_unmap },
	{ "hugetlb_cow", "hugetlb: fork and copy on write", scn_hugetlb_cow },
	{ }
};
