// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios in which a page is shared with somebody and then is not, or the
 * other way round: KSM, fork, files, userfaultfd.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scenarios.h"

#define NR	16
#define NR_EACH	64

/* Writes through SPTEs that exist must all fail: the pages are shared. */
static void no_write_through(struct run *r, struct area *a)
{
	__u64 zero = 0;
	size_t i;

	for (i = 0; i < a->nr; i = next_page(a, i))
		if (!mirror_try_write(&r->dev, page_of(a, i), &zero, sizeof(zero),
				      MMU_MIRROR_NOFAULT))
			fail(r, "page %zu of %zu: device can still write to it", i, a->nr);
}

/* ------------------------------------------------------------------ KSM */

/* KPF_KSM is of no use: Linux 6.12 reports it for any anonymous page. */
static bool merged(struct area *a)
{
	return pages_same(a->base, a->nr) == a->nr;
}

static void merge(struct run *r, struct area *a)
{
	must(r, !madvise(a->base, bytes_of(a->nr), MADV_MERGEABLE));
	ksm_run();
	within_ms(10000, merged(a));
	ksm_stop();
	really(r, merged(a));
}

/* Merging write-protects a page, then replaces it: two ranges each. */
static void scn_ksm_merge(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);

	lacks(r, need_ksm());
	prime_same(r, a);
	op_begin(r);
	merge(r, a);
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	no_write_through(r, a);
	verify_reads(r, a);
}

static void scn_ksm_break(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	__u64 pfns[NR_EACH];
	size_t i;

	lacks(r, need_ksm());
	prime_same(r, a);
	merge(r, a);
	prime_reads(r, a);
	pages_pfns(a->base, NR_EACH, pfns);

	/* the CPU writes to every second page, the device to the others */
	op_begin(r);
	for (i = 0; i < NR_EACH; i += 2)
		cpu_fill(r, a, i);
	op_end(r, EV_CLEAR, NR_EACH / 2, NR_EACH / 2);
	verify_reads(r, a);
	really(r, pages_elsewhere(a->base, NR_EACH, pfns) == NR_EACH / 2);

	op_begin(r);
	for (i = 1; i < NR_EACH; i += 2)
		dev_fill(r, a, i);
	op_end(r, EV_CLEAR, NR_EACH / 2, NR_EACH / 2);
	really(r, pages_elsewhere(a->base, NR_EACH, pfns) == NR_EACH);
	verify(r, a);
}

/* ----------------------------------------------------------------- fork */

/* The child's side: its memory is as it was when it was forked. */
static void child_looks(struct run *r, struct area *a)
{
	size_t i;

	for (i = 0; i < a->nr; i = next_page(a, i))
		if (!page_is(page_of(a, i), a->want[i]))
			stop(r, "page %zu of %zu: the child sees its parent's write", i, a->nr);
}

static void child_lives(struct run *r, struct area *a, struct twin *t)
{
	size_t i;

	for (;;) {
		switch (twin_hear(r, t)) {
		case 'l':	/* look */
			child_looks(r, a);
			break;
		case 'w':	/* write */
			for (i = 0; i < a->nr; i++)
				cpu_fill(r, a, i);
			break;
		case 'q':
			_exit(0);
		}
		twin_tell(r, t, 'k');
	}
}

static void ask_child(struct run *r, struct twin *t, char word)
{
	twin_tell(r, t, word);
	if (word != 'q')
		twin_hear(r, t);
}

static void fork_and_look(struct run *r, struct area *a, struct twin *t)
{
	op_begin(r);
	twin_fork(r, t);
	if (!t->pid)
		child_lives(r, a, t);
	op_end(r, EV_PROTECTION_PAGE, 1, a->nr);

	/* before anybody has written: one page, two processes, a device */
	no_write_through(r, a);
	ask_child(r, t, 'l');
	prime_reads(r, a);
}

static void scn_fork_parent_first(struct run *r)
{
	struct area *a = area_new(r, NR);
	__u64 pfns[NR];
	struct twin t;
	size_t i;

	prime(r, a);
	pages_pfns(a->base, NR, pfns);
	fork_and_look(r, a, &t);

	/* the parent's CPU writes to the first half */
	op_begin(r);
	for (i = 0; i < NR / 2; i++)
		cpu_fill(r, a, i);
	op_end(r, EV_CLEAR, NR / 2, NR / 2);
	really(r, pages_elsewhere(a->base, NR / 2, pfns) == NR / 2);
	verify_reads(r, a);

	/* its device to the second */
	op_begin(r);
	for (i = NR / 2; i < NR; i++)
		dev_fill(r, a, i);
	op_end(r, EV_CLEAR, NR / 2, NR / 2);
	really(r, pages_elsewhere(a->base, NR, pfns) == NR);
	verify_reads(r, a);

	ask_child(r, &t, 'l');
	ask_child(r, &t, 'w');
	verify(r, a);
	ask_child(r, &t, 'l');
	ask_child(r, &t, 'q');
	twin_end(r, &t);
}

static void scn_fork_child_first(struct run *r)
{
	struct area *a = area_new(r, NR);
	__u64 pfns[NR];
	struct twin t;
	size_t i;

	prime(r, a);
	/* A page that another CPU has in a batch has a reference more, and is copied. */
	lru_drain();
	pages_pfns(a->base, NR, pfns);
	fork_and_look(r, a, &t);

	/* the child gets copies, the parent keeps the pages */
	ask_child(r, &t, 'w');
	verify_reads(r, a);
	for (i = 0; i < NR; i++) {
		if (i % 2)
			cpu_fill(r, a, i);
		else
			dev_fill(r, a, i);
	}
	verify(r, a);
	really(r, !pages_elsewhere(a->base, NR, pfns));
	ask_child(r, &t, 'l');
	ask_child(r, &t, 'q');
	twin_end(r, &t);
	verify(r, a);
}

/* ----------------------------------------------------------------- files */

static int memfd_new(struct run *r, size_t nr)
{
	int fd = memfd_create("scenario", MFD_CLOEXEC);

	must(r, fd >= 0 && !ftruncate(fd, bytes_of(nr)));
	return fd;
}

static void scn_memfd_truncate(struct run *r)
{
	int fd = memfd_new(r, NR_EACH);
	struct area *a = area_map(r, NR_EACH, MAP_SHARED, fd);

	prime(r, a);
	op_begin(r);
	must(r, !ftruncate(fd, bytes_of(10)));
	op_end(r, EV_CLEAR, 1, NR_EACH - 10);
	model_rights(a, 10, NR_EACH - 10, NOTHING);
	verify(r, a);

	/* longer again: zeros */
	must(r, !ftruncate(fd, bytes_of(NR_EACH)));
	model_rights(a, 10, NR_EACH - 10, WRITES);
	model_zero(a, 10, NR_EACH - 10);
	verify(r, a);
	close(fd);
}

static void scn_memfd_punch(struct run *r)
{
	int fd = memfd_new(r, NR_EACH);
	struct area *a = area_map(r, NR_EACH, MAP_SHARED, fd);
	size_t i;

	prime(r, a);
	op_begin(r);
	must(r, !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, bytes_of(20),
			   bytes_of(9)));
	op_end(r, EV_CLEAR, 1, 9);
	model_zero(a, 20, 9);
	verify(r, a);

	prime(r, a);
	op_begin(r);
	for (i = 0; i < NR_EACH; i++)
		must(r, !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   bytes_of(i), page_size));
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	model_zero(a, 0, NR_EACH);
	verify(r, a);
	close(fd);
}

static void scn_memfd_pageout(struct run *r)
{
	int fd = memfd_new(r, NR_EACH);
	struct area *a = area_map(r, NR_EACH, MAP_SHARED, fd);
	unsigned int tries;

	lacks(r, need_swap());
	prime(r, a);
	lru_drain();
	op_begin(r);
	for (tries = 0; tries < 20 && pages_incore(a->base, NR_EACH); tries++) {
		must(r, !madvise(a->base, bytes_of(NR_EACH), MADV_PAGEOUT));
		sleep_ms(tries);
	}
	really(r, !pages_incore(a->base, NR_EACH));
	op_end(r, EV_CLEAR, NR_EACH, NR_EACH);
	verify(r, a);
	close(fd);
}

/* What the file holds, past any page table */
static void file_unchanged(struct run *r, int fd, const __u64 *want, size_t nr)
{
	static char page[1 << 16];
	size_t i;

	for (i = 0; i < nr; i++) {
		must(r, pread(fd, page, page_size, bytes_of(i)) == (ssize_t)page_size);
		if (!page_is(page, want[i]))
			fail(r, "page %zu: a private write reached the file", i);
	}
}

static void scn_file_cow(struct run *r)
{
	int fd = memfd_new(r, NR_EACH);
	struct area *shared = area_map(r, NR_EACH, MAP_SHARED, fd);
	struct area *a = area_map(r, NR_EACH, MAP_PRIVATE, fd);
	static __u64 pfns[NR_EACH], want[NR_EACH];
	size_t i;

	for (i = 0; i < NR_EACH; i++)
		cpu_fill(r, shared, i);
	memcpy(a->want, shared->want, sizeof(want));
	memcpy(want, shared->want, sizeof(want));

	/* the device reads the file's own pages */
	prime_reads(r, a);
	pages_pfns(a->base, NR_EACH, pfns);
	no_write_through(r, a);

	op_begin(r);
	for (i = 0; i < NR_EACH; i += 2)
		cpu_fill(r, a, i);
	op_end(r, EV_CLEAR, NR_EACH / 2, NR_EACH / 2);
	verify_reads(r, a);
	op_begin(r);
	for (i = 1; i < NR_EACH; i += 2)
		dev_fill(r, a, i);
	op_end(r, EV_CLEAR, NR_EACH / 2, NR_EACH / 2);
	really(r, pages_elsewhere(a->base, NR_EACH, pfns) == NR_EACH);
	verify(r, a);
	verify_reads(r, shared);
	file_unchanged(r, fd, want, NR_EACH);
	close(fd);
}

/* ---------------------------------------------------------- userfaultfd */

/* Newer than some systems' headers */
#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};

#define UFFDIO_MOVE	_IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE	0x10000
#endif

static int uffd_new(struct run *r, __u64 features, struct area *a, __u64 mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)a->base, .len = bytes_of(a->nr) },
		.mode = mode,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		lacks(r, "no userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api))
		lacks(r, "a userfaultfd feature is missing");
	must(r, !ioctl(fd, UFFDIO_REGISTER, &reg));
	return fd;
}

static int uffd_protect(int fd, void *addr, size_t bytes, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)addr, .len = bytes },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &wp);
}

/* Lets whoever hit a write-protected page go on; counts them. */
static void *uffd_server(void *arg)
{
	struct helper *h = arg;
	struct pollfd fd = { .fd = *(int *)h->arg, .events = POLLIN };
	struct uffd_msg msg;

	while (!helper_stopped(h)) {
		if (poll(&fd, 1, 10) != 1 || read(fd.fd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		h->count++;
		uffd_protect(fd.fd, (void *)(uintptr_t)(msg.arg.pagefault.address &
							~(page_size - 1)), page_size, false);
	}
	return NULL;
}

static void scn_uffd_wp(struct run *r)
{
	struct area *a = area_new(r, NR_EACH);
	struct helper server;
	size_t i;
	int fd;

	prime(r, a);
	fd = uffd_new(r, UFFD_FEATURE_PAGEFAULT_FLAG_WP, a, UFFDIO_REGISTER_MODE_WP);
	op_begin(r);
	must(r, !uffd_protect(fd, a->base, bytes_of(NR_EACH), true));
	op_end(r, EV_PROTECTION_VMA, 1, NR_EACH);
	no_write_through(r, a);
	verify_reads(r, a);
	must(r, !uffd_protect(fd, a->base, bytes_of(NR_EACH), false));
	verify(r, a);

	/* page by page; then writers wait until the server lets them go on */
	prime(r, a);
	op_begin(r);
	for (i = 0; i < NR_EACH; i++)
		must(r, !uffd_protect(fd, page_of(a, i), page_size, true));
	op_end(r, EV_PROTECTION_VMA, NR_EACH, NR_EACH);
	no_write_through(r, a);
	verify_reads(r, a);
	helper_start(r, &server, uffd_server, &fd);
	for (i = 0; i < NR_EACH; i += 2)
		cpu_fill(r, a, i);
	/* these wait for user space in a fault of theirs */
	if (mirror_has_ends(r->personality))
		for (i = 1; i < NR_EACH; i += 2)
			dev_fill(r, a, i);
	helper_stop(&server);
	really(r, server.count >= NR_EACH / 2);
	verify_reads(r, a);
	close(fd);
	verify(r, a);
}

static long uffd_move(int fd, void *to, void *from, size_t bytes)
{
	struct uffdio_move move = {
		.dst = (uintptr_t)to,
		.src = (uintptr_t)from,
		.len = bytes,
	};

	return ioctl(fd, UFFDIO_MOVE, &move) ? -1 : (long)move.move;
}

static void scn_uffd_move(struct run *r)
{
	struct area *from = area_new(r, NR_EACH), *to = area_new(r, NR_EACH);
	__u64 pfn;
	size_t i;
	int fd;

	prime(r, from);
	pfn = page_pfn(from->base);
	fd = uffd_new(r, UFFD_FEATURE_MOVE, to, UFFDIO_REGISTER_MODE_MISSING);

	/* one half page by page, the other at once */
	op_begin(r);
	for (i = 0; i < NR_EACH / 2; i++)
		must(r, uffd_move(fd, page_of(to, i), page_of(from, i), page_size) ==
		     (long)page_size);
	must(r, uffd_move(fd, page_of(to, i), page_of(from, i), bytes_of(NR_EACH / 2)) ==
	     (long)bytes_of(NR_EACH / 2));
	op_end(r, EV_CLEAR, NR_EACH / 2 + 1, NR_EACH);
	really(r, page_pfn(to->base) == pfn && !page_present(from->base));
	close(fd);

	memcpy(to->want, from->want, NR_EACH * sizeof(*to->want));
	model_zero(from, 0, NR_EACH);
	verify(r, to);
	verify(r, from);
}

const struct scenario scn_share[] = {
	{ "ksm_merge", "KSM: merge", scn_ksm_merge },
	{ "ksm_break", "KSM: break, by CPU and by device", scn_ksm_break },
	{ "fork_parent_first", "fork; parent writes, then child",
	  scn_fork_parent_first },
	{ "fork_child_first", "fork; child writes, then parent",
	  scn_fork_child_first },
	{ "memfd_truncate", "shared memfd: truncate", scn_memfd_truncate },
	{ "memfd_punch", "shared memfd: hole punch", scn_memfd_punch },
	{ "memfd_pageout", "shared memfd: PAGEOUT", scn_memfd_pageout },
	{ "file_cow", "private file mapping: write", scn_file_cow },
	{ "uffd_wp", "userfaultfd: write-protect", scn_uffd_wp },
	{ "uffd_move", "userfaultfd: move", scn_uffd_move },
	{ }
};
