// SPDX-License-Identifier: GPL-2.0
/*
 * What a process does to its own memory, system call by system call: which
 * watches of /dev/mmu_monitor are told, and of what. monitor_kernel_test has what
 * is done to it by the kernel and by others.
 */
#include "../kselftest_harness.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include "monitor_paths.h"

#define NR	16

FIXTURE(paths) {
	struct paths p;
};

FIXTURE_SETUP(paths)
{
	if (paths_open(_metadata, &self->p))
		paths_place(_metadata, &self->p, NR, 0);
}

FIXTURE_TEARDOWN(paths)
{
	paths_close(&self->p);
}

/*
 * Mappings
 */

TEST_F(paths, munmap_whole)
{
	ARM(0, NR);
	ASSERT_EQ(munmap(PAGE(0), BYTES(NR)), 0);
	TOLD(UNMAPPED);
}

TEST_F(paths, munmap_first_page)
{
	ARM(0, NR);
	ASSERT_EQ(munmap(PAGE(0), page_size), 0);
	TOLD_OF(UNMAPPED, 0, 1);
}

TEST_F(paths, munmap_last_page)
{
	ARM(0, NR);
	ASSERT_EQ(munmap(PAGE(NR - 1), page_size), 0);
	TOLD_OF(UNMAPPED, NR - 1, 1);
}

TEST_F(paths, munmap_middle)
{
	ARM(0, NR);
	ASSERT_EQ(munmap(PAGE(5), BYTES(3)), 0);
	TOLD_OF(UNMAPPED, 5, 3);
}

TEST_F(paths, munmap_one_page)
{
	ARM(7, 1);
	ASSERT_EQ(munmap(PAGE(7), page_size), 0);
	TOLD(UNMAPPED);
}

/* Several mappings and a hole, by one call */
TEST_F(paths, munmap_several)
{
	ASSERT_EQ(munmap(PAGE(6), BYTES(2)), 0);
	ASSERT_EQ(mprotect(PAGE(9), BYTES(2), PROT_READ), 0);
	ARM(1, NR - 2);
	ASSERT_EQ(munmap(PAGE(1), BYTES(NR - 2)), 0);
	TOLD(UNMAPPED);
}

/* What was never touched has been learned of, too: that it is empty */
TEST_F(paths, munmap_untouched)
{
	paths_map(_metadata, &self->p, RW, ANON, -1);
	ARM(2, 4);
	ASSERT_EQ(munmap(PAGE(2), BYTES(4)), 0);
	TOLD(UNMAPPED);
}

TEST_F(paths, mmap_over)
{
	ARM(3, 4);
	ASSERT_EQ(mmap(PAGE(3), BYTES(4), RW, ANON | MAP_FIXED, -1, 0), PAGE(3));
	TOLD(UNMAPPED);

	/* and again, by a file */
	ARM(3, 4);
	ASSERT_EQ(mmap(PAGE(3), BYTES(4), PROT_READ, MAP_SHARED | MAP_FIXED,
		       memfd_create("over", MFD_CLOEXEC), 0), PAGE(3));
	TOLD(UNMAPPED);
}

/* Nothing was there, so nothing has changed */
TEST_F(paths, mmap_into_a_hole)
{
	ASSERT_EQ(munmap(PAGE(3), BYTES(4)), 0);
	ARM(3, 4);
	ASSERT_EQ(mmap(PAGE(3), BYTES(4), RW, ANON | MAP_FIXED, -1, 0), PAGE(3));
	memset(PAGE(3), 2, BYTES(4));
	TOLD(NOBODY);
}

TEST_F(paths, mremap_away)
{
	char *to = mmap(NULL, BYTES(4), PROT_NONE, ANON, -1, 0);

	ARM(3, 4);
	ASSERT_EQ(mremap(PAGE(3), BYTES(4), BYTES(4), MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	TOLD(UNMAPPED);
}

/* Where it goes to, something else was mapped */
TEST_F(paths, mremap_onto)
{
	char *from = mmap(NULL, BYTES(4), RW, ANON | MAP_POPULATE, -1, 0);

	ARM(3, 4);
	ASSERT_EQ(mremap(from, BYTES(4), BYTES(4), MREMAP_MAYMOVE | MREMAP_FIXED, PAGE(3)),
		  PAGE(3));
	TOLD(UNMAPPED);
}

TEST_F(paths, mremap_dontunmap)
{
	char *to = mmap(NULL, BYTES(4), PROT_NONE, ANON, -1, 0);

	ARM(3, 4);
	ASSERT_EQ(mremap(PAGE(3), BYTES(4), BYTES(4),
			 MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to), to);
	TOLD(UNMAPPED);
	EXPECT_EQ(*PAGE(3), 0);
}

TEST_F(paths, mremap_shrink)
{
	ARM(1, 8);
	ASSERT_EQ(mremap(PAGE(1), BYTES(8), BYTES(5), 0), PAGE(1));
	TOLD_OF(UNMAPPED, 6, 3);
}

TEST_F(paths, mremap_grow)
{
	/* in place */
	ASSERT_EQ(munmap(PAGE(6), BYTES(2)), 0);
	ARM(2, 6);
	ASSERT_EQ(mremap(PAGE(2), BYTES(4), BYTES(6), 0), PAGE(2));
	memset(PAGE(6), 1, BYTES(2));
	TOLD(NOBODY);

	/* by moving */
	ARM(2, 6);
	ASSERT_NE(mremap(PAGE(2), BYTES(6), BYTES(9), MREMAP_MAYMOVE), MAP_FAILED);
	TOLD(UNMAPPED);
}

TEST_F(paths, brk)
{
	char *heap = sbrk(0), *end;

	/* to a page of its own, and malloc() stays away meanwhile */
	heap = (char *)(((uintptr_t)heap + page_size - 1) & -page_size);
	end = heap + BYTES(8);
	ASSERT_EQ(brk(end), 0);
	memset(heap, 1, BYTES(8));

	paths_arm(_metadata, &self->p, end - BYTES(3), BYTES(3));
	ASSERT_EQ(brk(end - BYTES(3)), 0);
	TOLD(UNMAPPED);

	paths_arm(_metadata, &self->p, end - BYTES(3), BYTES(3));
	ASSERT_EQ(brk(end), 0);
	memset(end - BYTES(3), 1, BYTES(3));
	TOLD(NOBODY);
}

TEST_F(paths, shmdt)
{
	int id = shmget(IPC_PRIVATE, BYTES(4), IPC_CREAT | 0600);
	char *at;

	ASSERT_GE(id, 0);
	at = shmat(id, PAGE(5), SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
	ASSERT_EQ(at, PAGE(5));
	memset(at, 1, BYTES(4));
	ARM(5, 4);
	ASSERT_EQ(shmdt(at), 0);
	TOLD(UNMAPPED);
}

TEST_F(paths, shmat_over)
{
	int id = shmget(IPC_PRIVATE, BYTES(4), IPC_CREAT | 0600);
	char *at;

	ASSERT_GE(id, 0);
	ARM(5, 4);
	at = shmat(id, PAGE(5), SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
	ASSERT_EQ(at, PAGE(5));
	TOLD(UNMAPPED);
}

/* Grows by a fault right below it; what lies below is not told, nor is the stack */
TEST_F(paths, stack_growth)
{
	struct rlimit limit = { .rlim_cur = 8 << 20, .rlim_max = RLIM_INFINITY };
	volatile char *low;
	char *stack;

	setrlimit(RLIMIT_STACK, &limit);
	stack = mmap(NULL, 4 << 20, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
	ASSERT_NE(stack, MAP_FAILED);
	ASSERT_EQ(munmap(stack, 4 << 20), 0);
	stack += 3 << 20;
	ASSERT_EQ(mmap(stack, BYTES(2), RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0), stack);
	memset(stack, 1, BYTES(2));
	paths_arm(_metadata, &self->p, stack - BYTES(4), BYTES(5));
	for (low = stack - page_size; low >= stack - BYTES(4); low -= page_size)
		*low = 1;
	TOLD(NOBODY);
}

/* The first page faults, and what only reads */
TEST_F(paths, faults)
{
	paths_map(_metadata, &self->p, RW, ANON, -1);
	ARM(2, 4);
	memset(PAGE(2), 1, BYTES(4));
	ASSERT_EQ(madvise(PAGE(2), BYTES(4), MADV_WILLNEED), 0);
	ASSERT_EQ(madvise(PAGE(2), BYTES(4), MADV_COLD), 0);
	ASSERT_EQ(mlock(PAGE(2), BYTES(4)), 0);
	ASSERT_EQ(munlock(PAGE(2), BYTES(4)), 0);
	ASSERT_EQ(madvise(PAGE(2), BYTES(4), MADV_DONTFORK), 0);
	ASSERT_EQ(madvise(PAGE(2), BYTES(4), MADV_DOFORK), 0);
	ASSERT_EQ(mprotect(PAGE(2), BYTES(4), RW), 0);
	TOLD(NOBODY);
}

/*
 * Contents
 */

TEST_F(paths, madvise_dontneed)
{
	ARM(3, 4);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_DONTNEED), 0);
	TOLD(DROPPED);
	EXPECT_EQ(*PAGE(3), 0);

	/* of one page, in the middle of a watch */
	ARM(2, 6);
	ASSERT_EQ(madvise(PAGE(5), page_size, MADV_DONTNEED), 0);
	TOLD_OF(DROPPED, 5, 1);
}

TEST_F(paths, madvise_free)
{
	ARM(3, 4);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_FREE), 0);
	TOLD(DROPPED);
}

static int file_under(struct __test_metadata *_metadata, struct paths *p, unsigned int flags)
{
	int fd = memfd_create("file", MFD_CLOEXEC | flags);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(ftruncate(fd, p->nr * page_size), 0);
	paths_map(_metadata, p, RW, MAP_SHARED, fd);
	memset(p->base, 1, p->nr * page_size);
	return fd;
}

TEST_F(paths, madvise_remove)
{
	file_under(_metadata, &self->p, 0);
	ARM(3, 4);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_REMOVE), 0);
	TOLD(DROPPED);
}

/* Of the mapping only: the file keeps it, but who pinned a page must let go of it */
TEST_F(paths, madvise_dontneed_file)
{
	file_under(_metadata, &self->p, 0);
	ARM(3, 4);
	ASSERT_EQ(madvise(PAGE(3), BYTES(4), MADV_DONTNEED), 0);
	TOLD(DROPPED);
}

TEST_F(paths, truncate)
{
	int fd = file_under(_metadata, &self->p, 0);

	ARM(2, NR - 2);
	ASSERT_EQ(ftruncate(fd, BYTES(5)), 0);
	TOLD_OF(DROPPED, 5, NR - 5);

	/* growing brings nothing back */
	ASSERT_EQ(ftruncate(fd, BYTES(NR)), 0);
	memset(PAGE(0), 2, BYTES(NR));
	ARM(5, 3);
	ASSERT_EQ(ftruncate(fd, BYTES(2 * NR)), 0);
	TOLD(NOBODY);
}

/* What was written to a private mapping goes with the file's page */
TEST_F(paths, truncate_private)
{
	int fd = file_under(_metadata, &self->p, 0);

	paths_map(_metadata, &self->p, RW, MAP_PRIVATE, fd);
	memset(PAGE(0), 2, BYTES(NR));
	ARM(5, NR - 5);
	ASSERT_EQ(ftruncate(fd, BYTES(5)), 0);
	/* "behind" lies outside of the mapping */
	TOLD(DROPPED);
}

TEST_F(paths, punch_hole)
{
	int fd = file_under(_metadata, &self->p, 0);

	ARM(3, 4);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BYTES(3), BYTES(4)),
		  0);
	TOLD(DROPPED);
}

TEST_F(paths, cow_of_zero_page)
{
	paths_map(_metadata, &self->p, RW, ANON, -1);
	EXPECT_EQ(*(volatile char *)PAGE(4), 0);
	ARM(4, 1);
	*PAGE(4) = 1;
	TOLD(REPLACED);

	/* now it is there */
	ARM(4, 1);
	*PAGE(4) = 2;
	TOLD(NOBODY);
}

TEST_F(paths, cow_of_private_file)
{
	int fd = file_under(_metadata, &self->p, 0);
	size_t i;

	paths_map(_metadata, &self->p, RW, MAP_PRIVATE, fd);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(*(volatile char *)PAGE(i), 1);
	ARM(4, 3);
	memset(PAGE(4), 2, BYTES(3));
	TOLD(REPLACED);
}

/* Through /proc/self/mem, which may write where the program itself may not */
TEST_F(paths, cow_by_force)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), fd;

	fd = file_under(_metadata, &self->p, 0);
	paths_map(_metadata, &self->p, PROT_READ, MAP_PRIVATE, fd);
	EXPECT_EQ(*(volatile char *)PAGE(4), 1);
	ASSERT_GE(mem, 0);
	ARM(4, 1);
	ASSERT_EQ(pwrite(mem, "2", 1, (uintptr_t)PAGE(4)), 1);
	TOLD(REPLACED);
}

/*
 * Rights
 */

TEST_F(paths, mprotect)
{
	ARM(3, 4);
	ASSERT_EQ(mprotect(PAGE(3), BYTES(4), PROT_READ), 0);
	TOLD(PROTECTED);
	ARM(3, 4);
	ASSERT_EQ(mprotect(PAGE(3), BYTES(4), PROT_NONE), 0);
	TOLD(PROTECTED);
	/* more is allowed: who found that it was not, is to look again */
	ARM(3, 4);
	ASSERT_EQ(mprotect(PAGE(3), BYTES(4), RW), 0);
	TOLD(PROTECTED);
	EXPECT_EQ(*PAGE(3), 1);
}

TEST_F(paths, mprotect_one_page)
{
	ARM(2, 6);
	ASSERT_EQ(mprotect(PAGE(4), page_size, PROT_READ), 0);
	TOLD_OF(PROTECTED, 4, 1);
}

#ifdef __x86_64__
TEST_F(paths, pkey_mprotect)
{
	int key = syscall(SYS_pkey_alloc, 0, 0);

	ARM(3, 4);
	/* -1: as mprotect(); there are CPUs that have no keys */
	ASSERT_EQ(syscall(SYS_pkey_mprotect, PAGE(3), BYTES(4), key < 0 ? PROT_READ : RW, key), 0);
	TOLD(PROTECTED);
}
#endif

#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
	__u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
	__u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN		_IOWR('f', 16, struct pm_scan_arg)
#define PM_SCAN_WP_MATCHING	(1 << 0)
#define PAGE_IS_WRITTEN		(1 << 1)
#endif

static int uffd_new(__u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	return ioctl(fd, UFFDIO_API, &api) ? -errno : fd;
}

static int uffd_register(int fd, void *addr, size_t length, __u64 mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = length },
		.mode = mode,
	};

	return ioctl(fd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static int uffd_protect(int fd, void *addr, size_t length, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)addr, .len = length },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

TEST_F(paths, uffd_writeprotect)
{
	int fd = uffd_new(UFFD_FEATURE_PAGEFAULT_FLAG_WP);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(uffd_register(fd, PAGE(0), BYTES(NR), UFFDIO_REGISTER_MODE_WP), 0);
	ARM(3, 4);
	ASSERT_EQ(uffd_protect(fd, PAGE(3), BYTES(4), true), 0);
	TOLD(PROTECTED);
	ARM(3, 4);
	ASSERT_EQ(uffd_protect(fd, PAGE(3), BYTES(4), false), 0);
	TOLD(PROTECTED);
	EXPECT_EQ(*PAGE(3), 1);
	close(fd);
}

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif

/* To learn what has been written, without anybody being stopped from writing */
TEST_F(paths, pagemap_scan)
{
	int maps = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int fd = uffd_new(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			  UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_SCAN_WP_MATCHING,
		.start = (uintptr_t)PAGE(3),
		.end = (uintptr_t)PAGE(7),
		.category_mask = PAGE_IS_WRITTEN,
	};

	ASSERT_GE(fd, 0);
	ASSERT_GE(maps, 0);
	ASSERT_EQ(uffd_register(fd, PAGE(0), BYTES(NR), UFFDIO_REGISTER_MODE_WP), 0);
	ARM(3, 4);
	ASSERT_GE(ioctl(maps, PAGEMAP_SCAN, &arg), 0);
	TOLD(NOBODY);
	/* a write goes through, and is seen by the next scan */
	ARM(3, 4);
	memset(PAGE(3), 2, BYTES(4));
	TOLD(NOBODY);
	close(fd);
}

/* Newer than some systems' headers */
#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst, src, len, mode;
	__s64 move;
};

#define UFFDIO_MOVE	_IOWR(UFFDIO, 0x05, struct uffdio_move)
#endif
#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE	0x10000
#endif

TEST_F(paths, uffd_move)
{
	int fd = uffd_new(UFFD_FEATURE_MOVE);
	struct uffdio_move move = {
		.src = (uintptr_t)PAGE(3),
		.len = BYTES(4),
	};
	char *to;

	ASSERT_GE(fd, 0);
	to = mmap(NULL, BYTES(4), RW, ANON, -1, 0);
	ASSERT_NE(to, MAP_FAILED);
	ASSERT_EQ(uffd_register(fd, to, BYTES(4), UFFDIO_REGISTER_MODE_MISSING), 0);
	move.dst = (uintptr_t)to;
	ARM(3, 4);
	ASSERT_EQ(ioctl(fd, UFFDIO_MOVE, &move), 0);
	TOLD(UNMAPPED);
	EXPECT_EQ(move.move, BYTES(4));
	EXPECT_EQ(*to, 1);
	close(fd);
}

/* Nobody is told that somebody looks who writes */
TEST_F(paths, soft_dirty)
{
#ifdef __aarch64__
	SKIP(return, "arm64 has no soft-dirty bit");
#endif
	EXPECT_EQ(pages_soft_dirty(PAGE(0), NR), NR);
	ARM(0, NR);
	ASSERT_EQ(file_write("/proc/self/clear_refs", "4"), 0);
	TOLD(NOBODY);
	EXPECT_EQ(pages_soft_dirty(PAGE(0), NR), 0);

	/* nor does the write fault bring another page */
	ARM(0, NR);
	memset(PAGE(0), 2, BYTES(NR));
	TOLD(NOBODY);
	EXPECT_EQ(pages_soft_dirty(PAGE(0), NR), NR);
}

/*
 * fork: the page before and the one behind are not copied on write, but shared
 * with the child for good.
 */

static void share_neighbours(struct __test_metadata *_metadata, struct paths *p)
{
	char * const at[] = { p->base - page_size, p->base + p->nr * page_size };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(at); i++) {
		ASSERT_EQ(mmap(at[i], page_size, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			  at[i]);
		*at[i] = 1;
	}
}

TEST_F(paths, fork_and_write)
{
	pid_t child;

	share_neighbours(_metadata, &self->p);
	ARM(0, NR);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	TOLD(FORKED);

	/* copied, as the child has it too */
	ARM(3, 4);
	memset(PAGE(3), 2, BYTES(4));
	TOLD(REPLACED);

	/* the last one keeps it */
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	lru_drain();
	ARM(8, 2);
	memset(PAGE(8), 2, BYTES(2));
	TOLD(NOBODY);
}

TEST_F(paths, fork_without)
{
	pid_t child;

	share_neighbours(_metadata, &self->p);
	ASSERT_EQ(madvise(PAGE(0), BYTES(NR), MADV_DONTFORK), 0);
	ARM(0, NR);
	child = fork();
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	TOLD(NOBODY);
}

/* vfork(): one memory, two processes, and nothing to tell of */
TEST_F(paths, vfork)
{
	volatile int in_child = 0;
	pid_t child;

	ARM(0, NR);
	child = vfork();
	if (!child) {
		in_child = 1;
		_exit(0);
	}
	waitpid(child, NULL, 0);
	EXPECT_EQ(in_child, 1);
	TOLD(NOBODY);
}

/*
 * Huge pages of hugetlbfs
 */

static int huge_under(struct __test_metadata *_metadata, struct paths *p, bool shared)
{
	int fd = -1;

	ASSERT_EQ(need_hugetlb(8), NULL);
	paths_place(_metadata, p, 2 * huge_size / page_size, huge_size);
	if (shared) {
		fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(ftruncate(fd, 2 * huge_size), 0);
		paths_map(_metadata, p, RW, MAP_SHARED, fd);
	} else {
		paths_map(_metadata, p, RW, ANON | MAP_HUGETLB, -1);
	}
	p->base[0] = 1;
	p->base[huge_size] = 1;
	return fd;
}

#define HUGE_NR (huge_size / page_size)

TEST_F(paths, hugetlb_private)
{
	huge_under(_metadata, &self->p, false);

	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(madvise(PAGE(HUGE_NR), huge_size, MADV_DONTNEED), 0);
	TOLD_OF(DROPPED, HUGE_NR, HUGE_NR);
	*PAGE(HUGE_NR) = 1;

	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(mprotect(PAGE(0), huge_size, PROT_READ), 0);
	TOLD_OF(PROTECTED, 0, HUGE_NR);

	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(munmap(PAGE(HUGE_NR), huge_size), 0);
	TOLD_OF(UNMAPPED, HUGE_NR, HUGE_NR);
}

TEST_F(paths, hugetlb_file)
{
	int fd = huge_under(_metadata, &self->p, true);

	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, huge_size), 0);
	TOLD_OF(DROPPED, 0, HUGE_NR);
	*PAGE(0) = 1;

	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(ftruncate(fd, huge_size), 0);
	TOLD_OF(DROPPED, HUGE_NR, HUGE_NR);
}

TEST_F(paths, hugetlb_mremap)
{
	char *to;

	huge_under(_metadata, &self->p, false);
	to = mmap(NULL, 3 * huge_size, PROT_NONE, ANON, -1, 0);
	ASSERT_NE(to, MAP_FAILED);
	to = (char *)(((uintptr_t)to + huge_size - 1) & -huge_size);
	ARM(0, 2 * HUGE_NR);
	ASSERT_EQ(mremap(PAGE(0), 2 * huge_size, 2 * huge_size, MREMAP_MAYMOVE | MREMAP_FIXED,
			 to), to);
	TOLD(UNMAPPED);
}

TEST_F(paths, hugetlb_fork)
{
	pid_t child;

	huge_under(_metadata, &self->p, false);
	share_neighbours(_metadata, &self->p);
	ARM(0, 2 * HUGE_NR);
	child = fork();
	if (!child) {
		pause();
		_exit(0);
	}
	TOLD(FORKED);
	ARM(0, HUGE_NR);
	*PAGE(3) = 2;
	TOLD(REPLACED);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

TEST_HARNESS_MAIN
