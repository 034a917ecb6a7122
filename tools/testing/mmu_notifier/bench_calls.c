// SPDX-License-Identifier: GPL-2.0
/*
 * How many callbacks operations on memory cause: prints "calls/OPERATION COUNT"
 * for each. COUNT is of range starts; of young callbacks and of secondary-TLB
 * flushes, all or those of everything, where the name says so; and per page where
 * it says that.
 *
 * Each operation is checked to have done what it says.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "bench_guest.h"

#define MB	((size_t)1 << 20)
#define BIG	(1024 * MB)
#define AREA	(64 * MB)
#define SMALL	(4 * MB)
#define CGROUP	"bench"

#define HOLED_AREAS	12

/* KSM shares a page at most 256 times. */
#define KSM_PAGES	200

struct counts {
	long start;
	long tlb;
	long young;
	long everything;
};

static int counter;

static struct counts now_at(void)
{
	struct counts c;
	char text[128];
	ssize_t len = pread(counter, text, sizeof(text) - 1, 0);

	if (len < 0)
		err(1, "%s", SUBSCRIBE);
	text[len] = '\0';
	if (sscanf(text, "start %ld tlb %ld young %ld everything %ld", &c.start, &c.tlb,
		   &c.young, &c.everything) != 4)
		errx(1, "%s: %s", SUBSCRIBE, text);
	return c;
}

static void report(const char *operation, double count)
{
	printf("calls/%s %g\n", operation, count);
	fflush(stdout);
}

static void need(bool did, const char *operation)
{
	if (!did)
		errx(1, "%s did not do what it should", operation);
}

/* Filled, of small pages or huge ones; unmapped by whoever uses it */
static char *area_new(size_t bytes, bool huge)
{
	char *base = map(bytes + huge_size, MAP_PRIVATE);
	char *area = (char *)(((size_t)base + huge_size - 1) & ~(huge_size - 1));

	munmap(base, area - base);
	munmap(area + bytes, base + huge_size - area);
	if (madvise(area, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		err(1, "madvise");
	touch(area, bytes);
	if (huge)
		need(huge_mapped(area) >= bytes, "huge pages");
	return area;
}

static void area_free(char *area, size_t bytes)
{
	if (munmap(area, bytes))
		err(1, "munmap");
}

static const char *named(const char *operation, bool huge)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s-%s", operation, huge ? "thp" : "4k");
	return name;
}

/* Operations on page tables */

static void calls_unmap(bool huge)
{
	char *area = area_new(BIG, huge);
	struct counts c = now_at();

	need(!madvise(area, BIG, MADV_DONTNEED), "madvise");
	report(named("madvise-1g", huge), now_at().start - c.start);
	touch(area, BIG);
	c = now_at();
	area_free(area, BIG);
	report(named("munmap-1g", huge), now_at().start - c.start);
}

static void calls_mprotect(bool huge)
{
	char *area = area_new(AREA, huge);
	struct counts c = now_at();

	need(!mprotect(area, AREA, PROT_READ), "mprotect");
	report(named("mprotect-64m", huge), now_at().start - c.start);
	area_free(area, AREA);
}

static void calls_mremap(bool huge)
{
	char *area = area_new(AREA, huge), *to = area_new(AREA, huge);
	struct counts c;

	/* Nothing there that would be unmapped on the way */
	area_free(to, AREA);
	c = now_at();
	need(mremap(area, AREA, AREA, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to, "mremap");
	report(named("mremap-64m", huge), now_at().start - c.start);
	area_free(to, AREA);
}

static long calls_of_fork(void)
{
	struct counts c = now_at();
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return now_at().start - c.start;
}

/* What one more area adds to a fork. Done once before: that makes some COW. */
static void calls_fork(bool huge)
{
	char *area;
	long without;

	calls_of_fork();
	without = calls_of_fork();
	area = area_new(AREA, huge);
	report(named("fork-64m", huge), calls_of_fork() - without);
	area_free(area, AREA);
}

static void calls_cow(void)
{
	char *area = area_new(SMALL, false);
	struct counts c;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		for (;;)
			pause();
	}
	/* The pages of the program itself first */
	c = now_at();
	c = now_at();
	touch(area, SMALL);
	report("cow-per-page", (double)(now_at().start - c.start) * page_size / SMALL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	area_free(area, SMALL);
}

/* Reclaim */

static void calls_pageout(bool huge)
{
	char *area = area_new(AREA, huge);
	struct counts c, d;
	size_t out;

	lru_drain();
	c = now_at();
	need(!madvise(area, AREA, MADV_PAGEOUT), "pageout");
	d = now_at();
	out = pages_swapped(area, AREA / page_size);
	need(out >= AREA / page_size * 9 / 10, "pageout");
	report(named("pageout-64m", huge), d.start - c.start);
	area_free(area, AREA);
}

static void calls_shmem_pageout(void)
{
	char *area = map(AREA, MAP_SHARED);
	struct counts c, d;

	touch(area, AREA);
	lru_drain();
	c = now_at();
	need(!madvise(area, AREA, MADV_PAGEOUT), "shmem pageout");
	d = now_at();
	need(pages_present(area, AREA / page_size) < AREA / page_size / 10, "shmem pageout");
	report("shmem-pageout-64m-4k", d.start - c.start);
	area_free(area, AREA);
}

static void calls_memcg_reclaim(void)
{
	size_t out, pages = AREA / page_size;
	struct counts c, d;
	unsigned int tries;
	char *area;

	need(!need_cgroup() && !cgroup_enter(CGROUP), "cgroup");
	area = area_new(AREA, false);
	lru_drain();
	c = now_at();
	for (tries = 0; tries < 30 && pages_swapped(area, pages) < pages * 9 / 10; tries++)
		cgroup_set(CGROUP, "memory.reclaim", "16M");
	d = now_at();
	out = pages_swapped(area, pages);
	need(out >= pages * 9 / 10, "memcg reclaim");
	report("memcg-reclaim-4k-per-page", (double)(d.start - c.start) / out);
	report("memcg-reclaim-4k-young-per-page", (double)(d.young - c.young) / out);
	area_free(area, AREA);
	cgroup_leave(CGROUP);
}

/* Migration */

static void calls_mbind(bool huge)
{
	char *area = area_new(AREA, huge);
	struct counts c;

	need(!pages_bind(area, AREA / page_size, 1), "mbind");
	c = now_at();
	need(!pages_bind(area, AREA / page_size, 0), "mbind");
	report(named("mbind-64m", huge), now_at().start - c.start);
	area_free(area, AREA);
}

static void calls_move_pages(void)
{
	char *area = area_new(AREA, false);
	size_t pages = AREA / page_size;
	struct counts c;

	need(pages_move(0, area, pages, 1) == (long)pages, "move_pages");
	c = now_at();
	need(pages_move(0, area, pages, 0) == (long)pages, "move_pages");
	report("move-pages-64m-4k", now_at().start - c.start);
	area_free(area, AREA);
}

/* How many calls for each page that compaction moved; 0 if it moved too few. */
static double calls_of_compaction(void)
{
	size_t nr = AREA / page_size, moved, at;
	char *area = area_new(AREA, false);
	__u64 *pfns = calloc(nr, sizeof(*pfns));
	struct counts c, d;

	need(pfns, "calloc");
	for (at = 0; at < AREA; at += 2 * page_size)
		need(!madvise(area + at, page_size, MADV_DONTNEED), "madvise");
	lru_drain();
	pages_pfns(area, nr, pfns);
	c = now_at();
	need(!file_write("/proc/sys/vm/compact_memory", "1"), "compaction");
	d = now_at();
	moved = pages_elsewhere(area, nr, pfns);
	free(pfns);
	area_free(area, AREA);
	return moved > 100 ? (double)(d.start - c.start) / moved : 0;
}

/* Where the pages happen to lie is up to the kernel: there may be nothing to do. */
/*
 * Every other page is freed, of one more area each time until the kernel moves
 * pages. Whether it does depends on where it finds free memory.
 */
static void calls_compaction(void)
{
	size_t per_area = AREA / page_size, nr, at, moved = 0;
	char *region = map(HOLED_AREAS * AREA, MAP_PRIVATE);
	__u64 *pfns = calloc(HOLED_AREAS * per_area, sizeof(*pfns));
	struct counts c, d;

	need(pfns, "calloc");
	need(!madvise(region, HOLED_AREAS * AREA, MADV_NOHUGEPAGE), "madvise");
	for (nr = per_area; nr <= HOLED_AREAS * per_area && moved < 100; nr += per_area) {
		char *area = region + (nr - per_area) * page_size;

		touch(area, AREA);
		for (at = 0; at < AREA; at += 2 * page_size)
			need(!madvise(area + at, page_size, MADV_DONTNEED), "madvise");
		lru_drain();
		pages_pfns(region, nr, pfns);
		c = now_at();
		need(!file_write("/proc/sys/vm/compact_memory", "1"), "compaction");
		d = now_at();
		moved = pages_elsewhere(region, nr, pfns);
	}
	need(moved >= 100, "compaction");
	report("compaction-4k-per-page", (double)(d.start - c.start) / moved);
	free(pfns);
	area_free(region, HOLED_AREAS * AREA);
}

static void calls_ksm(void)
{
	size_t bytes = KSM_PAGES * page_size, at;
	unsigned int tries;
	struct counts c;
	char *area;

	need(!need_ksm(), "KSM");
	area = area_new(bytes, false);
	for (at = 0; at < bytes; at += page_size)
		memset(area + at, 0x5a, page_size);
	c = now_at();
	need(!madvise(area, bytes, MADV_MERGEABLE), "KSM");
	ksm_run();
	for (tries = 0; tries < 600 && pages_same(area, KSM_PAGES) < KSM_PAGES; tries++)
		sleep_ms(50);
	ksm_stop();
	need(pages_same(area, KSM_PAGES) == KSM_PAGES, "KSM merge");
	report("ksm-merge-per-page", (double)(now_at().start - c.start) / KSM_PAGES);
	c = now_at();
	touch(area, bytes);
	report("ksm-break-per-page", (double)(now_at().start - c.start) / KSM_PAGES);
	area_free(area, bytes);
}

/* Secondary-TLB flushes, another CPU running the same mm */

static void *spin(void *stop)
{
	while (!*(volatile bool *)stop)
		;
	return NULL;
}

static void calls_tlb(void)
{
	bool stop = false;
	pthread_t thread;
	struct counts c;
	char *area;

	need(!pthread_create(&thread, NULL, spin, &stop), "pthread_create");
	area = area_new(AREA, false);
	c = now_at();
	need(!mprotect(area, AREA, PROT_READ), "mprotect");
	report("mprotect-64m-4k-tlb", now_at().tlb - c.tlb);
	need(!mprotect(area, AREA, PROT_READ | PROT_WRITE), "mprotect");
	touch(area, AREA);
	lru_drain();
	c = now_at();
	need(!madvise(area, AREA, MADV_PAGEOUT), "pageout");
	report("pageout-64m-4k-tlb", now_at().tlb - c.tlb);
	report("pageout-64m-4k-tlb-everything", now_at().everything - c.everything);
	touch(area, AREA);
	c = now_at();
	need(!pages_bind(area, AREA / page_size, 1), "mbind");
	report("mbind-64m-4k-tlb", now_at().tlb - c.tlb);
	c = now_at();
	area_free(area, AREA);
	report("munmap-64m-4k-tlb", now_at().tlb - c.tlb);
	stop = true;
	pthread_join(thread, NULL);
}

int main(void)
{
	int huge;

	sysmm_init();
	need(!need_swap(), "swap");
	need(!need_nodes(), "two nodes");
	counter = subscribe("count");

	/* While memory is not yet in pieces */
	for (huge = 1; huge >= 0; huge--) {
		calls_unmap(huge);
		calls_mprotect(huge);
		calls_mremap(huge);
		calls_fork(huge);
		calls_mbind(huge);
		calls_pageout(huge);
	}
	calls_move_pages();
	calls_cow();
	calls_shmem_pageout();
	calls_memcg_reclaim();
	calls_ksm();
	calls_tlb();
	calls_compaction();
	return 0;
}
