// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which the process changes its own mappings: munmap, mmap,
 * mprotect, mremap. One range per system call, however large.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scenarios.h"

#define NR	32
#define NR_EACH	64	/* a subscriber that misses one range in 16 misses 4 */

static void scn_munmap_whole(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	must(r, !munmap(a->base, bytes_of(NR)));
	op_end(r, EV_UNMAP, 1, NR);
	model_rights(a, 0, NR, NOTHING);
	verify(r, a);
}

static void scn_munmap_part(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	must(r, !munmap(page_of(a, NR - 7), bytes_of(7)));
	op_end(r, EV_UNMAP, 1, 7);
	model_rights(a, NR - 7, 7, NOTHING);
	verify(r, a);

	op_begin(r);
	must(r, !munmap(a->base, bytes_of(5)));
	op_end(r, EV_UNMAP, 1, 5);
	model_rights(a, 0, 5, NOTHING);
	verify(r, a);
}

static void scn_munmap_middle(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	must(r, !munmap(page_of(a, 11), bytes_of(10)));
	op_end(r, EV_UNMAP, 1, 10);
	model_rights(a, 11, 10, NOTHING);
	verify(r, a);

	/* the hole is filled again with something else */
	must(r, mmap(page_of(a, 11), bytes_of(10), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page_of(a, 11));
	model_rights(a, 11, 10, WRITES);
	model_zero(a, 11, 10);
	verify(r, a);
}

static void scn_munmap_each(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	size_t i;

	prime(r, a);
	op_begin(r);
	for (i = 0; i < NR_EACH; i++)
		must(r, !munmap(page_of(a, i), page_size));
	op_end(r, EV_UNMAP, NR_EACH, NR_EACH);
	model_rights(a, 0, NR_EACH, NOTHING);
	verify(r, a);
}

static void scn_mmap_over(struct run *r)
{
	struct area *a = area_new(r, NR);
	int fd;

	prime(r, a);
	op_begin(r);
	must(r, mmap(a->base, bytes_of(NR), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == a->base);
	op_end(r, EV_UNMAP, 1, NR);
	model_zero(a, 0, NR);
	verify(r, a);

	/* a file over the middle, read-only */
	fd = memfd_create("over", MFD_CLOEXEC);
	must(r, fd >= 0 && !ftruncate(fd, bytes_of(8)));
	prime(r, a);
	op_begin(r);
	must(r, mmap(page_of(a, 12), bytes_of(8), PROT_READ, MAP_SHARED | MAP_FIXED,
		     fd, 0) == page_of(a, 12));
	op_end(r, EV_UNMAP, 1, 8);
	model_zero(a, 12, 8);
	model_rights(a, 12, 8, READS);
	verify(r, a);
	close(fd);
}

static void protect(struct run *r, struct area *a, size_t first, size_t nr, int prot)
{
	static const enum rights rights[] = {
		[PROT_NONE] = NOTHING,
		[PROT_READ] = READS,
		[PROT_READ | PROT_WRITE] = WRITES,
	};

	must(r, !mprotect(page_of(a, first), bytes_of(nr), prot));
	model_rights(a, first, nr, rights[prot]);
}

static void scn_mprotect_none(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	protect(r, a, 0, NR, PROT_NONE);
	op_end(r, EV_PROTECTION_VMA, 1, NR);
	verify(r, a);
	protect(r, a, 0, NR, PROT_READ | PROT_WRITE);
	verify(r, a);

	prime(r, a);
	op_begin(r);
	protect(r, a, 9, 9, PROT_NONE);
	op_end(r, EV_PROTECTION_VMA, 1, 9);
	verify(r, a);
}

static void scn_mprotect_read(struct run *r)
{
	struct area *a = area_new(r, NR);

	prime(r, a);
	op_begin(r);
	protect(r, a, 0, NR, PROT_READ);
	op_end(r, EV_PROTECTION_VMA, 1, NR);
	verify(r, a);
	protect(r, a, 0, NR, PROT_READ | PROT_WRITE);
	verify(r, a);
}

static void scn_mprotect_each(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	size_t i;

	prime(r, a);
	op_begin(r);
	for (i = 0; i < NR_EACH; i++)
		protect(r, a, i, 1, PROT_READ);
	op_end(r, EV_PROTECTION_VMA, NR_EACH, NR_EACH);
	verify(r, a);
}

/* Moves the pages of @a to @to; what is there now is @to's model. */
static struct area *moved(struct run *r, struct area *a, void *to, size_t nr)
{
	struct area *b = area_at(r, to, nr);
	size_t i;

	for (i = 0; i < a->nr && i < nr; i++)
		b->want[i] = a->want[i];
	return b;
}

static void scn_mremap_move(struct run *r)
{
	struct area *a = area_new(r, NR), *b;
	void *to = arena_place(r, bytes_of(NR), huge_size);

	prime(r, a);
	op_begin(r);
	must(r, mremap(a->base, bytes_of(NR), bytes_of(NR), MREMAP_MAYMOVE | MREMAP_FIXED,
		       to) == to);
	op_end(r, EV_UNMAP, 1, NR);
	b = moved(r, a, to, NR);
	model_rights(a, 0, NR, NOTHING);
	verify(r, a);
	verify(r, b);
}

/* The old range stays mapped, and empty. */
static void scn_mremap_keep(struct run *r)
{
	struct area *a = area_new(r, NR), *b;
	void *to = arena_place(r, bytes_of(NR), huge_size);

	prime(r, a);
	op_begin(r);
	must(r, mremap(a->base, bytes_of(NR), bytes_of(NR),
		       MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to);
	op_end(r, EV_UNMAP, 1, NR);
	b = moved(r, a, to, NR);
	model_zero(a, 0, NR);
	verify(r, a);
	verify(r, b);
}

static void scn_mremap_grow(struct run *r)
{
	struct area *a = area_new(r, NR), *b, *c;
	void *to = arena_place(r, bytes_of(NR + 16), 0);

	/* in place: nothing to be told, nothing lost */
	prime(r, a);
	must(r, !munmap(page_of(a, NR), bytes_of(8)));
	must(r, mremap(a->base, bytes_of(NR), bytes_of(NR + 8), 0) == a->base);
	b = moved(r, a, a->base, NR + 8);
	verify(r, b);

	/* by moving */
	prime(r, b);
	op_begin(r);
	must(r, mremap(b->base, bytes_of(NR + 8), bytes_of(NR + 16),
		       MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	op_end(r, EV_UNMAP, 1, NR + 8);
	c = moved(r, b, to, NR + 16);
	model_rights(b, 0, NR + 8, NOTHING);
	verify(r, b);
	verify(r, c);

	/* and shrunk */
	prime(r, c);
	op_begin(r);
	must(r, mremap(c->base, bytes_of(NR + 16), bytes_of(NR), 0) == c->base);
	op_end(r, EV_UNMAP, 1, 16);
	model_rights(c, NR, 16, NOTHING);
	verify(r, c);
}

/*
 * Stock's change_pud_range() took a start address of 0 for "not begun yet": a
 * range over one PUD was begun and never ended, one over two was begun twice.
 */
static void scn_address_zero(struct run *r)
{
	const size_t pud = (size_t)1 << 30;
	size_t length = bytes_of(NR);
	struct area *low, *high = NULL;
	char *base;

	file_write("/proc/sys/vm/mmap_min_addr", "0");
	base = mmap(NULL, pud + bytes_of(NR), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (!base) {
		length = pud + bytes_of(NR);
	} else {
		/* the program itself lies in the way, or it may not be */
		base = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (base)
			lacks(r, "nothing can be mapped at address 0");
	}
	mirror_attach(&r->dev, r->personality, NULL, length);

	low = area_at(r, NULL, NR);
	prime(r, low);
	if (length > pud) {
		high = area_at(r, (void *)pud, NR);
		prime(r, high);
	}

	op_begin(r);
	must(r, !mprotect(NULL, length, PROT_READ));
	op_end(r, EV_PROTECTION_VMA, 1, high ? 2 * NR : NR);
	model_rights(low, 0, NR, READS);
	verify(r, low);
	if (high) {
		model_rights(high, 0, NR, READS);
		verify(r, high);
	}

	op_begin(r);
	must(r, !mprotect(NULL, length, PROT_READ | PROT_WRITE));
	op_end(r, EV_PROTECTION_VMA, 1, 0);
	model_rights(low, 0, NR, WRITES);
	verify(r, low);

	op_begin(r);
	must(r, !munmap(NULL, bytes_of(NR)));
	op_end(r, EV_UNMAP, 1, NR);
	model_rights(low, 0, NR, NOTHING);
	verify(r, low);

	settle(r, &r->dev);
	account(r, &r->dev);
	mirror_detach(&r->dev);
}

/* All writable PTEs of the process are made read-only. */
static void scn_soft_dirty(struct run *r)
{
	struct area *a = area_new(r, NR);

#ifdef __aarch64__
	/* The event is there nevertheless, but nothing is done to the PTEs. */
	cannot_apply(r, "arm64 has no soft-dirty bit");
#endif
	prime(r, a);
	if (!pages_soft_dirty(a->base, NR))
		lacks(r, "no soft-dirty tracking");
	op_begin(r);
	must(r, !file_write("/proc/self/clear_refs", "4"));
	op_end(r, EV_SOFT_DIRTY, 1, NR);
	really(r, !pages_soft_dirty(a->base, NR));
	verify(r, a);
}

const struct scenario scn_map[] = {
	{ "munmap_whole", "munmap, whole", scn_munmap_whole },
	{ "munmap_part", "munmap, first and last part", scn_munmap_part },
	{ "munmap_middle", "munmap, middle", scn_munmap_middle },
	{ "munmap_each", "munmap, 64 times one page", scn_munmap_each },
	{ "mmap_over", "mmap(MAP_FIXED) over it", scn_mmap_over },
	{ "mprotect_none", "mprotect to none and back", scn_mprotect_none },
	{ "mprotect_read", "mprotect to read-only and back", scn_mprotect_read },
	{ "mprotect_each", "mprotect, 64 times one page", scn_mprotect_each },
	{ "mremap_move", "mremap, moved", scn_mremap_move },
	{ "mremap_keep", "mremap, moved, old range kept", scn_mremap_keep },
	{ "mremap_grow", "mremap, grown and shrunk", scn_mremap_grow },
	{ "address_zero", "mprotect of a mapping at address 0", scn_address_zero, SCN_UNATTACHED },
	{ "soft_dirty", "clear_refs (soft-dirty)", scn_soft_dirty },
	{ }
};
