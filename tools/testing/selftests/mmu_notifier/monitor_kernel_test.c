// SPDX-License-Identifier: GPL-2.0
/*
 * What is done to the memory of a process by others and by the kernel itself:
 * which watches of /dev/mmu_monitor are told, and of what. monitor_paths_test has
 * the process's own system calls.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "monitor_paths.h"

#define NR		16
#define HUGE_NR		(huge_size / page_size)

FIXTURE(kernel) {
	struct paths p;
	struct other other;
};

FIXTURE_SETUP(kernel)
{
	self->other.pid = 0;
	if (paths_open(_metadata, &self->p))
		paths_place(_metadata, &self->p, NR, 0);
}

FIXTURE_TEARDOWN(kernel)
{
	if (self->other.pid)
		other_end(&self->other);
	paths_close(&self->p);
}

/*
 * Reclaim
 */

TEST_F(kernel, pageout)
{
	ASSERT_EQ(need_swap(), NULL);
	ARM(3, 4);
	ASSERT_EQ(evict(PAGE(3), 4), 4);
	TOLD(REPLACED);

	/* and back, which is nothing that anybody could have relied on */
	ARM(3, 4);
	EXPECT_EQ(*PAGE(3), 1);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_POPULATE_WRITE), 0);
	TOLD(NOBODY);
}

/* Nobody has written to it since, so it is lost. */
TEST_F(kernel, free_and_reclaim)
{
	ASSERT_EQ(need_swap(), NULL);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_FREE), 0);
	ARM(3, 4);
	ASSERT_EQ(discard_free(PAGE(3), 4), 4);
	TOLD(DROPPED);
}

TEST_F(kernel, pageout_of_a_file)
{
	unsigned int tries;
	int fd = memfd_create("file", MFD_CLOEXEC);

	ASSERT_EQ(need_swap(), NULL);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, BYTES(NR)), 0);
	paths_map(_metadata, &self->p, RW, MAP_SHARED, fd);
	memset(PAGE(0), 1, BYTES(NR));
	lru_drain();
	ARM(3, 4);
	for (tries = 0; tries < 20 && pages_incore(PAGE(3), 4); tries++) {
		ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_PAGEOUT), 0);
		sleep_ms(tries);
	}
	ASSERT_EQ(pages_incore(PAGE(3), 4), 0);
	TOLD(REPLACED);
}

/*
 * Others
 */

struct act {
	int fd;
	off_t offset;
	size_t length;
	pid_t pid;
	int pidfd;
	char *addr;
	size_t nr;
	int node;
};

/* What another process is to do is told to it through shared memory. */
static struct act *act_new(struct __test_metadata *_metadata, struct other *o,
			   int (*what)(void *act))
{
	struct act *a = mmap(NULL, sizeof(*a), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(a, MAP_FAILED);
	a->fd = memfd_create("file", MFD_CLOEXEC);
	a->pid = getpid();
	a->pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	ASSERT_GE(a->fd, 0);
	ASSERT_GE(a->pidfd, 0);
	ASSERT_TRUE(other_start(o, what, a));
	return a;
}

static int do_truncate(void *arg)
{
	struct act *a = arg;

	return ftruncate(a->fd, a->length) ? -errno : 0;
}

/* The word has changed before ftruncate() of the other process returns. */
TEST_F(kernel, truncated_by_another_process)
{
	struct act *a = act_new(_metadata, &self->other, do_truncate);

	ASSERT_EQ(ftruncate(a->fd, BYTES(NR)), 0);
	paths_map(_metadata, &self->p, RW, MAP_SHARED, a->fd);
	memset(PAGE(0), 1, BYTES(NR));
	ARM(2, NR - 2);
	a->length = BYTES(9);
	ASSERT_EQ(other_act(&self->other), 0);
	TOLD_OF(DROPPED, 9, NR - 9);
}

static int do_punch(void *arg)
{
	struct act *a = arg;

	return fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, a->offset,
			 a->length) ? -errno : 0;
}

TEST_F(kernel, punched_by_another_process)
{
	struct act *a = act_new(_metadata, &self->other, do_punch);

	ASSERT_EQ(ftruncate(a->fd, BYTES(NR)), 0);
	paths_map(_metadata, &self->p, RW, MAP_SHARED, a->fd);
	memset(PAGE(0), 1, BYTES(NR));
	ARM(3, 4);
	a->offset = BYTES(3);
	a->length = BYTES(4);
	ASSERT_EQ(other_act(&self->other), 0);
	TOLD(DROPPED);
}

#define ADVICE_PAGEOUT	21

static int do_process_madvise(void *arg)
{
	struct act *a = arg;
	struct iovec iov = { .iov_base = a->addr, .iov_len = a->nr * page_size };

	return syscall(SYS_process_madvise, a->pidfd, &iov, 1UL, ADVICE_PAGEOUT, 0UL) < 0 ?
	       -errno : 0;
}

TEST_F(kernel, paged_out_by_another_process)
{
	struct act *a = act_new(_metadata, &self->other, do_process_madvise);
	unsigned int tries;

	ASSERT_EQ(need_swap(), NULL);
	/* after the fork, so that they are nobody else's */
	paths_map(_metadata, &self->p, RW, ANON, -1);
	memset(PAGE(0), 1, BYTES(NR));
	lru_drain();
	a->addr = PAGE(3);
	a->nr = 4;
	ARM(3, 4);
	for (tries = 0; tries < 20 && pages_swapped(PAGE(3), 4) < 4; tries++) {
		ASSERT_EQ(other_act(&self->other), 0);
		sleep_ms(tries);
	}
	ASSERT_EQ(pages_swapped(PAGE(3), 4), 4);
	TOLD(REPLACED);
}

static int do_move_pages(void *arg)
{
	struct act *a = arg;

	return pages_move(a->pid, a->addr, a->nr, a->node);
}

TEST_F(kernel, migrated_by_another_process)
{
	struct act *a = act_new(_metadata, &self->other, do_move_pages);

	ASSERT_EQ(need_nodes(), NULL);
	paths_map(_metadata, &self->p, RW, ANON, -1);
	memset(PAGE(0), 1, BYTES(NR));
	ASSERT_EQ(pages_move(0, PAGE(0), NR, 0), NR);
	a->addr = PAGE(3);
	a->nr = 4;
	a->node = 1;
	ARM(3, 4);
	ASSERT_EQ(other_act(&self->other), 4);
	ASSERT_EQ(pages_on_node(PAGE(3), 4, 1), 4);
	TOLD(REPLACED);
}

/* It writes to what it shares with us since fork(): that copy is its own. */
static int do_write(void *arg)
{
	struct act *a = arg;

	memset(a->addr, 3, a->nr * page_size);
	return 0;
}

TEST_F(kernel, written_by_child)
{
	struct act *a = act_new(_metadata, &self->other, do_write);

	a->addr = PAGE(3);
	a->nr = 4;
	ARM(3, 4);
	ASSERT_EQ(other_act(&self->other), 0);
	TOLD(NOBODY);
	EXPECT_EQ(*PAGE(3), 1);
}

/* ptrace's way into a process: a private page of a file is copied */
static int do_poke(void *arg)
{
	struct act *a = arg;
	char path[64];
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/%d/mem", a->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = pwrite(fd, "3", 1, (uintptr_t)a->addr) == 1 ? 0 : -errno;
	close(fd);
	return ret;
}

TEST_F(kernel, poked_by_another_process)
{
	struct act *a = act_new(_metadata, &self->other, do_poke);

	ASSERT_EQ(ftruncate(a->fd, BYTES(NR)), 0);
	paths_map(_metadata, &self->p, PROT_READ, MAP_PRIVATE, a->fd);
	EXPECT_EQ(*(volatile char *)PAGE(4), 0);
	a->addr = PAGE(4);
	ARM(4, 1);
	ASSERT_EQ(other_act(&self->other), 0);
	TOLD(REPLACED);
	EXPECT_EQ(*PAGE(4), '3');
}

/*
 * Migration
 */

TEST_F(kernel, move_pages)
{
	ASSERT_EQ(need_nodes(), NULL);
	ASSERT_EQ(pages_move(0, PAGE(0), NR, 0), NR);
	ARM(3, 4);
	ASSERT_EQ(pages_move(0, PAGE(3), 4, 1), 4);
	TOLD(REPLACED);
	EXPECT_EQ(*PAGE(3), 1);
	/* they are there already */
	ARM(3, 4);
	ASSERT_EQ(pages_move(0, PAGE(3), 4, 1), 4);
	TOLD(NOBODY);
}

TEST_F(kernel, mbind)
{
	ASSERT_EQ(need_nodes(), NULL);
	ASSERT_EQ(pages_move(0, PAGE(0), NR, 0), NR);
	ARM(3, 4);
	ASSERT_EQ(pages_bind(PAGE(3), 4, 1), 0);
	ASSERT_EQ(pages_on_node(PAGE(3), 4, 1), 4);
	TOLD(REPLACED);
}

TEST_F(kernel, move_pages_of_a_file)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	ASSERT_EQ(need_nodes(), NULL);
	ASSERT_EQ(ftruncate(fd, BYTES(NR)), 0);
	paths_map(_metadata, &self->p, RW, MAP_SHARED, fd);
	memset(PAGE(0), 1, BYTES(NR));
	ASSERT_EQ(pages_move(0, PAGE(0), NR, 0), NR);
	ARM(3, 4);
	ASSERT_EQ(pages_move(0, PAGE(3), 4, 1), 4);
	TOLD(REPLACED);
}

TEST_F(kernel, move_pages_of_hugetlb)
{
	ASSERT_EQ(need_nodes(), NULL);
	ASSERT_EQ(need_hugetlb(12), NULL);
	paths_place(_metadata, &self->p, HUGE_NR, huge_size);
	paths_map(_metadata, &self->p, RW, ANON | MAP_HUGETLB, -1);
	*PAGE(0) = 1;
	ARM(0, HUGE_NR);
	ASSERT_EQ(pages_move(0, PAGE(0), 1, !page_node(PAGE(0))), 1);
	TOLD(REPLACED);
}

/*
 * What the balancing of nodes does to find out who uses a page is none of
 * anybody's business. It does it now and then, once a task has run for a while.
 */
#define BALANCING	"/proc/sys/kernel/numa_balancing"
#define BALANCE_DIR	"/sys/kernel/debug/sched/numa_balancing/"

TEST_F(kernel, numa_hints)
{
	__u64 hints = 0, deadline, before = vm_event("numa_pte_updates");
	__s64 delay;

	ASSERT_EQ(need_nodes(), NULL);
	ASSERT_EQ(access(BALANCING, W_OK), 0);
	need_debugfs();
	/* Without CONFIG_SCHED_DEBUG it takes a second longer. */
	delay = file_number(BALANCE_DIR "scan_delay_ms");
	/* all on the node that we run on: they are marked, and stay where they are */
	ASSERT_EQ(pages_move(0, PAGE(0), NR, 0), NR);
	ARM(0, NR);
	if (delay > 0) {
		file_write(BALANCE_DIR "scan_delay_ms", "1");
		file_write(BALANCE_DIR "scan_period_min_ms", "10");
	}
	ASSERT_EQ(file_write(BALANCING, "1"), 0);
	for (deadline = now_us() + 15000000; !hints && now_us() < deadline;)
		hints = vm_event("numa_pte_updates") - before;
	file_write(BALANCING, "0");
	if (delay > 0)
		file_write(BALANCE_DIR "scan_delay_ms", "%lld", delay);
	EXPECT_GT(hints, 0);
	TOLD(NOBODY);
	TH_LOG("%llu hints", hints);
}

/*
 * KSM
 */

static bool merged(void *addr, size_t nr)
{
	return pages_same(addr, nr) == nr;
}

#define KSM_NR	8

/*
 * Write-protecting a page in order to look at it is not told. One of those that
 * are equal stays, the others come to be the same one.
 */
TEST_F(kernel, ksm)
{
	__u64 words[KSM_NR], others[KSM_NR], before[KSM_NR], pfns[KSM_NR];
	unsigned int replaced = 0;
	size_t i;

	ASSERT_EQ(need_ksm(), NULL);
	/* the same in each page, and nowhere else */
	for (i = 0; i < KSM_NR; i++) {
		memset(PAGE(i + 3), 0xa5, page_size);
		*(__u64 *)PAGE(i + 3) = getpid();
		ASSERT_EQ(monitor_try_watch(self->p.mon.fd, PAGE(i + 3), page_size, REPLACED, 0, i,
					    &words[i]), 0);
		ASSERT_EQ(monitor_try_watch(self->p.mon.fd, PAGE(i + 3), page_size,
					    MMU_MONITOR_CLASSES & ~REPLACED, 0, i, &others[i]), 0);
		before[i] = monitor_word(&self->p.mon, words[i]);
	}
	pages_pfns(PAGE(3), KSM_NR, pfns);
	ASSERT_EQ(madvise(PAGE(3), BYTES(KSM_NR), MADV_MERGEABLE), 0);
	ksm_run();
	within_ms(10000, merged(PAGE(3), KSM_NR));
	ksm_stop();
	ASSERT_TRUE(merged(PAGE(3), KSM_NR));
	for (i = 0; i < KSM_NR; i++) {
		bool elsewhere = page_pfn(PAGE(i + 3)) != pfns[i];

		replaced += elsewhere;
		EXPECT_EQ(monitor_word(&self->p.mon, words[i]) != before[i], elsewhere);
		EXPECT_EQ(monitor_word(&self->p.mon, words[i]) & 1, 0);
	}
	EXPECT_GE(replaced, KSM_NR - 1);
	EXPECT_EQ(monitor_drain(self->p.mon.fd), replaced);
	EXPECT_EQ(monitor_try_flush(self->p.mon.fd), 0);

	/* a write makes it one's own again */
	ARM(5, 2);
	*PAGE(5) = 9;
	*PAGE(6) = 9;
	TOLD(REPLACED);

	ARM(7, 4);
	ASSERT_EQ(madvise(PAGE(3), BYTES(KSM_NR), MADV_UNMERGEABLE), 0);
	EXPECT_EQ(pages_same(PAGE(7), 4), 1);
	TOLD(REPLACED);
}

/*
 * Transparent huge pages
 */

static void place_huge(struct __test_metadata *_metadata, struct paths *p, bool huge)
{
	paths_place(_metadata, p, huge_size / page_size, huge_size);
	ASSERT_EQ(madvise(p->base - page_size, huge_size + 2 * page_size, MADV_NOHUGEPAGE), 0);
	paths_map(_metadata, p, RW, ANON, -1);
	if (!huge)
		ASSERT_EQ(madvise(p->base, huge_size, MADV_NOHUGEPAGE), 0);
	memset(p->base, 1, huge_size);
	if (huge)
		ASSERT_TRUE(huge_make(p->base, huge_size));
}

TEST_F(kernel, thp_collapse)
{
	place_huge(_metadata, &self->p, false);
	ASSERT_EQ(huge_mapped(PAGE(0)), 0);
	/* before khugepaged may, too */
	ARM(0, HUGE_NR);
	ASSERT_EQ(madvise(PAGE(0), huge_size, MADV_HUGEPAGE), 0);
	ASSERT_TRUE(huge_make(PAGE(0), huge_size));
	TOLD(REPLACED);
}

/*
 * The page itself is split. It is unmapped meanwhile, and its parts that are zero may
 * have given way to the zero page afterwards.
 */
TEST_F(kernel, thp_split)
{
	unsigned int tries;

	place_huge(_metadata, &self->p, true);
	ARM(0, HUGE_NR);
	for (tries = 0; tries < 20 && pages_flagged(PAGE(0), HUGE_NR, KPF_THP_BIT); tries++)
		ASSERT_EQ(huge_split(PAGE(0), huge_size), NULL);
	ASSERT_EQ(pages_flagged(PAGE(0), HUGE_NR, KPF_THP_BIT), 0);
	TOLD(REPLACED);
}

/* Split in the page table only, for a part of the page gets another fate: not told */
TEST_F(kernel, thp_in_part)
{
	place_huge(_metadata, &self->p, true);
	ARM(100, 8);
	ASSERT_EQ(mprotect(PAGE(104), page_size, PROT_READ), 0);
	ASSERT_EQ(huge_mapped(PAGE(200)), 0);
	TOLD_OF(PROTECTED, 104, 1);

	place_huge(_metadata, &self->p, true);
	ARM(100, 8);
	ASSERT_EQ(madvise(PAGE(104), page_size, MADV_DONTNEED), 0);
	ASSERT_EQ(huge_mapped(PAGE(200)), 0);
	TOLD_OF(DROPPED, 104, 1);

	place_huge(_metadata, &self->p, true);
	ARM(100, 8);
	ASSERT_EQ(munmap(PAGE(104), page_size), 0);
	ASSERT_EQ(huge_mapped(PAGE(200)), 0);
	TOLD_OF(UNMAPPED, 104, 1);
}

TEST_F(kernel, thp_whole)
{
	place_huge(_metadata, &self->p, true);
	ARM(0, HUGE_NR);
	ASSERT_EQ(mprotect(PAGE(0), huge_size, PROT_READ), 0);
	ASSERT_EQ(huge_mapped(PAGE(0)), huge_size);
	TOLD(PROTECTED);
	ASSERT_EQ(mprotect(PAGE(0), huge_size, RW), 0);

	ARM(0, HUGE_NR);
	ASSERT_EQ(madvise(PAGE(0), huge_size, MADV_DONTNEED), 0);
	TOLD(DROPPED);

	ARM(0, HUGE_NR);
	ASSERT_EQ(munmap(PAGE(0), huge_size), 0);
	TOLD(UNMAPPED);
}

TEST_F(kernel, thp_mremap)
{
	char *to = mmap(NULL, 2 * huge_size, PROT_NONE, ANON, -1, 0);

	ASSERT_NE(to, MAP_FAILED);
	to = (char *)(((uintptr_t)to + huge_size - 1) & -huge_size);
	place_huge(_metadata, &self->p, true);
	ARM(0, HUGE_NR);
	ASSERT_EQ(mremap(PAGE(0), huge_size, huge_size, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	TOLD(UNMAPPED);
}

TEST_F(kernel, thp_migration)
{
	ASSERT_EQ(need_nodes(), NULL);
	place_huge(_metadata, &self->p, true);
	ARM(0, HUGE_NR);
	ASSERT_EQ(pages_move(0, PAGE(0), 1, !page_node(PAGE(0))), 1);
	ASSERT_EQ(huge_mapped(PAGE(0)), huge_size);
	TOLD(REPLACED);
}

TEST_F(kernel, thp_pageout)
{
	ASSERT_EQ(need_swap(), NULL);
	place_huge(_metadata, &self->p, true);
	ARM(0, HUGE_NR);
	ASSERT_EQ(evict(PAGE(0), HUGE_NR), HUGE_NR);
	TOLD(REPLACED);
}

/* Copy on write takes a huge page apart, and copies one small page of it. */
TEST_F(kernel, thp_cow)
{
	pid_t child;

	place_huge(_metadata, &self->p, true);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	ARM(100, 8);
	*PAGE(104) = 2;
	ASSERT_EQ(huge_mapped(PAGE(200)), 0);
	TOLD_OF(REPLACED, 104, 1);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/*
 * Compaction moves what is in its way: the page tables say what it moved, and
 * each of those has to have been told.
 */
#define PCP_FRACTION	"/proc/sys/vm/percpu_pagelist_high_fraction"

static size_t compact(struct __test_metadata *_metadata, struct paths *p, size_t nr_huge)
{
	size_t bytes = nr_huge * huge_size, nr = huge_size / page_size, i, moved = 0;
	char *room = mmap(NULL, bytes + huge_size, RW, ANON, -1, 0), *base, *low;
	__u64 *words = calloc(nr, sizeof(*words));
	__u64 *before = calloc(nr, sizeof(*before));
	__u64 *pfns = calloc(nr, sizeof(*pfns));

	ASSERT_NE(room, MAP_FAILED);
	ASSERT_TRUE(words && before && pfns);
	base = (char *)(((uintptr_t)room + huge_size - 1) & -huge_size);
	pages_bind(base, bytes / page_size, 0);
	for (i = 0, low = base; i < bytes; i += huge_size) {
		memset(base + i, 1, huge_size);
		madvise(base + i, huge_size, MADV_COLLAPSE);
		if (page_pfn(base + i) < page_pfn(low))
			low = base + i;
		ASSERT_EQ(huge_split(base + i, huge_size), NULL);
	}
	/* every second page is a hole to move others to */
	for (i = page_size; i < bytes; i += 2 * page_size)
		ASSERT_EQ(madvise(base + i, page_size, MADV_DONTNEED), 0);
	for (i = 0; i < nr; i += 2) {
		ASSERT_EQ(monitor_try_watch(p->mon.fd, low + i * page_size, page_size, REPLACED,
					    MMU_MONITOR_QUIET, i, &words[i]), 0);
		before[i] = monitor_word(&p->mon, words[i]);
		pfns[i] = page_pfn(low + i * page_size);
	}
	ASSERT_EQ(file_write("/proc/sys/vm/compact_memory", "1"), 0);
	for (i = 0; i < nr; i += 2) {
		__u64 pfn = page_pfn(low + i * page_size);

		/* if the word had been odd or still is, somebody else is at it too */
		if (!pfn || !pfns[i] || before[i] & 1)
			continue;
		if (pfn != pfns[i]) {
			moved++;
			EXPECT_NE(monitor_word(&p->mon, words[i]), before[i])
				TH_LOG("page %zu was moved", i);
		}
	}
	EXPECT_EQ(monitor_try_flush(p->mon.fd), 0);
	munmap(room, bytes + huge_size);
	free(words);
	free(before);
	free(pfns);
	return moved;
}

TEST_F_TIMEOUT(kernel, compaction, 120)
{
	__s64 fraction = file_number(PCP_FRACTION);
	size_t moved = 0, try;

	file_write(PCP_FRACTION, "1000000");
	for (try = 0; try < 9 && !moved; try++)
		moved = compact(_metadata, &self->p, 4 << try % 3);
	if (fraction >= 0)
		file_write(PCP_FRACTION, "%lld", fraction);
	EXPECT_GT(moved, 0);
	TH_LOG("%zu pages moved", moved);
}

TEST_HARNESS_MAIN
