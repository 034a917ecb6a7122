// SPDX-License-Identifier: GPL-2.0
/*
 * What the rest of the kernel says about memory, and how to make it act, see
 * the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sysmm.h"

#define PM_PRESENT	0x8000000000000000ULL
#define PM_SWAP		0x4000000000000000ULL
#define PM_SOFT_DIRTY	0x0080000000000000ULL
#define PM_PFN		0x007fffffffffffffULL

#define MPOL_BIND_MODE	2
#define MPOL_MF_MOVE_ON	2

#define SWAP_BYTES	(192ULL << 20)
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define KSM		"/sys/kernel/mm/ksm/"
#define SPLIT_HUGE	"/sys/kernel/debug/split_huge_pages"
#define HUGETLB		"/proc/sys/vm/nr_hugepages"

size_t page_size, huge_size;

void sysmm_init(void)
{
	__s64 huge;

	page_size = sysconf(_SC_PAGESIZE);
	huge = file_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	huge_size = huge > 0 ? (size_t)huge : (size_t)2 << 20;
}

__u64 now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ULL + t.tv_nsec / 1000;
}

static int by_size(const void *a, const void *b)
{
	__u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

__u64 median(__u64 *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), by_size);
	return (values[(nr - 1) / 2] + values[nr / 2]) / 2;
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

int module_load(const char *name)
{
	const char *dir = getenv("MMU_MIRROR_MODULES");
	char path[256];
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s.ko", dir ? dir : "/modules", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int module_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

int file_write(const char *path, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int fd, len, err = 0;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != len)
		err = -errno;
	close(fd);
	return err;
}

int file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, buf, size - 1);
	if (len < 0)
		len = -errno;
	else
		buf[len] = '\0';
	close(fd);
	return len;
}

__s64 file_number(const char *path)
{
	char buf[64];
	int len = file_read(path, buf, sizeof(buf));

	return len < 0 ? len : strtoll(buf, NULL, 10);
}

/* A counter of /proc/vmstat, of the whole machine */
__u64 vm_event(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "re");
	unsigned long long count = 0;
	char line[128], key[64];

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %llu", key, &count) == 2 && !strcmp(key, name))
			break;
	fclose(f);
	return count;
}

/* ------------------------------------------------------------ one page */

static __u64 proc_word(const char *path, __u64 index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	__u64 word = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &word, sizeof(word), index * sizeof(word)) != sizeof(word))
		word = 0;
	close(fd);
	return word;
}

static __u64 page_entry(const void *addr)
{
	return proc_word("/proc/self/pagemap", (uintptr_t)addr / page_size);
}

bool page_present(const void *addr)
{
	return page_entry(addr) & PM_PRESENT;
}

bool page_swapped(const void *addr)
{
	return page_entry(addr) & PM_SWAP;
}

/* 0: not present, or not for us to know */
__u64 page_pfn(const void *addr)
{
	__u64 entry = page_entry(addr);

	return entry & PM_PRESENT ? entry & PM_PFN : 0;
}

bool page_flag(const void *addr, unsigned int bit)
{
	__u64 pfn = page_pfn(addr);

	return pfn && proc_word("/proc/kpageflags", pfn) & (1ULL << bit);
}

/* For shared files, whose swapped-out pages the page table knows nothing of */
bool page_incore(const void *addr)
{
	unsigned char in = 0;

	mincore((void *)addr, page_size, &in);
	return in & 1;
}

int page_node(const void *addr)
{
	void *page = (void *)addr;
	int status = -ENOENT;

	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0) < 0)
		return -errno;
	return status;
}

/* ---------------------------------------------------------- many pages */

static const char *nth(const void *addr, size_t i)
{
	return (const char *)addr + i * page_size;
}

size_t pages_present(const void *addr, size_t nr)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_present(nth(addr, i));
	return n;
}

size_t pages_swapped(const void *addr, size_t nr)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_swapped(nth(addr, i));
	return n;
}

size_t pages_soft_dirty(const void *addr, size_t nr)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += !!(page_entry(nth(addr, i)) & PM_SOFT_DIRTY);
	return n;
}

size_t pages_incore(const void *addr, size_t nr)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_incore(nth(addr, i));
	return n;
}

size_t pages_flagged(const void *addr, size_t nr, unsigned int bit)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_flag(nth(addr, i), bit);
	return n;
}

size_t pages_on_node(const void *addr, size_t nr, int node)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++)
		n += page_node(nth(addr, i)) == node;
	return n;
}

void pages_pfns(const void *addr, size_t nr, __u64 *pfns)
{
	size_t i;

	for (i = 0; i < nr; i++)
		pfns[i] = page_pfn(nth(addr, i));
}

/* How many are one and the same page as the first */
size_t pages_same(const void *addr, size_t nr)
{
	__u64 pfn = page_pfn(addr);
	size_t i, n = 0;

	for (i = 0; pfn && i < nr; i++)
		n += page_pfn(nth(addr, i)) == pfn;
	return n;
}

/* How many are present, but not where they were */
size_t pages_elsewhere(const void *addr, size_t nr, const __u64 *pfns)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i++) {
		__u64 pfn = page_pfn(nth(addr, i));

		n += pfn && pfns[i] && pfn != pfns[i];
	}
	return n;
}

/* Bytes that the VMA at @addr maps with PMDs */
size_t huge_mapped(const void *addr)
{
	unsigned long start, end, kb;
	bool inside = false;
	size_t bytes = 0;
	char line[512];
	FILE *f;

	f = fopen("/proc/self/smaps", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)addr >= start && (uintptr_t)addr < end;
		else if (inside && sscanf(line, "AnonHugePages: %lu kB", &kb) == 1)
			bytes = kb << 10;
	}
	fclose(f);
	return bytes;
}

/*
 * Pages wait in per-CPU batches to be put on the LRU lists, where reclaim can
 * find them. To ask for the migration of any page empties all CPUs' batches.
 */
void lru_drain(void)
{
	static char page;
	void *addr = &page;
	int node, status;

	page = 1;
	node = page_node(&page);
	syscall(SYS_move_pages, 0, 1UL, &addr, &node, &status, MPOL_MF_MOVE_ON);
}

/*
 * Push pages out to swap. A page that somebody looks at just now is left alone:
 * try again. Returns how many are in swap.
 */
size_t evict(void *addr, size_t nr)
{
	unsigned int tries;
	size_t n = 0;

	lru_drain();
	for (tries = 0; tries < 20; tries++) {
		if (tries)
			sleep_ms(5);
		if (madvise(addr, nr * page_size, MADV_PAGEOUT))
			break;
		n = pages_swapped(addr, nr);
		if (n == nr)
			break;
	}
	return n;
}

/* Reclaim pages under MADV_FREE. Returns how many are gone. */
size_t discard_free(void *addr, size_t nr)
{
	unsigned int tries;
	size_t n = 0;

	lru_drain();
	for (tries = 0; tries < 20 && n < nr; tries++) {
		if (tries)
			sleep_ms(5);
		if (madvise(addr, nr * page_size, MADV_PAGEOUT))
			break;
		n = nr - pages_present(addr, nr) - pages_swapped(addr, nr);
	}
	return n;
}

/* Returns how many pages are on @node afterwards, or a negative errno. */
long pages_move(pid_t pid, void *addr, size_t nr, int node)
{
	int nodes[64], status[64];
	size_t done, i, n;
	void *pages[64];
	long there = 0;

	for (done = 0; done < nr; done += n) {
		n = nr - done < 64 ? nr - done : 64;
		for (i = 0; i < n; i++) {
			pages[i] = (void *)nth(addr, done + i);
			nodes[i] = node;
			status[i] = -1;
		}
		if (syscall(SYS_move_pages, pid, n, pages, nodes, status, MPOL_MF_MOVE_ON) < 0)
			return -errno;
		for (i = 0; i < n; i++)
			there += status[i] == node;
	}
	return there;
}

int pages_bind(void *addr, size_t nr, int node)
{
	unsigned long mask = 1UL << node;

	if (syscall(SYS_mbind, addr, nr * page_size, MPOL_BIND_MODE, &mask,
		    sizeof(mask) * 8, MPOL_MF_MOVE_ON) < 0)
		return -errno;
	return 0;
}

/* --------------------------------------------------------- what is needed */

static const char *swap_header(int fd)
{
	char *page = calloc(1, page_size);
	__u32 *info = (__u32 *)(page + 1024);
	const char *why = NULL;

	if (!page)
		return "no memory";
	info[0] = 1;				/* version */
	info[1] = SWAP_BYTES / page_size - 1;	/* last page */
	memcpy(page + page_size - 10, "SWAPSPACE2", 10);
	if (pwrite(fd, page, page_size, 0) != (ssize_t)page_size || fsync(fd))
		why = "cannot write a swap header to /dev/zram0";
	free(page);
	return why;
}

const char *need_swap(void)
{
	const char *why;
	char text[512];
	char *line;
	int fd;

	if (file_read("/proc/swaps", text, sizeof(text)) < 0)
		return "no swap support";
	line = strchr(text, '\n');
	if (line && line[1])
		return NULL;

	if (file_write("/sys/block/zram0/disksize", "%llu", SWAP_BYTES))
		return "no swap device and no unused zram0";
	fd = open("/dev/zram0", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "no /dev/zram0";
	why = swap_header(fd);
	close(fd);
	if (!why && swapon("/dev/zram0", 0))
		why = "swapon /dev/zram0 failed";
	return why;
}

const char *need_nodes(void)
{
	return access("/sys/devices/system/node/node1", F_OK) ?
	       "one NUMA node only (boot with numa=fake=2)" : NULL;
}

const char *need_ksm(void)
{
	return access(KSM "run", W_OK) ? "no KSM" : NULL;
}

const char *need_hugetlb(unsigned int pages)
{
	__s64 have = file_number(HUGETLB);

	if (have < 0)
		return "no hugetlb";
	if (have < (__s64)pages)
		file_write(HUGETLB, "%u", pages);
	return file_number(HUGETLB) < (__s64)pages ? "too few huge pages to be had" : NULL;
}

/*
 * Make huge pages of small ones. Not by MADV_HUGEPAGE: khugepaged takes that for leave to
 * undo what is done to them afterwards, as it does on a slow machine.
 */
bool huge_make(void *addr, size_t bytes)
{
	unsigned int tries;

	for (tries = 0; tries < 10 && huge_mapped(addr) != bytes; tries++)
		madvise(addr, bytes, MADV_COLLAPSE);
	return huge_mapped(addr) == bytes;
}

/* Split the huge pages in a range, unless somebody uses them all the time. */
const char *huge_split(void *addr, size_t bytes)
{
	const char *why = need_debugfs();
	unsigned int tries;

	for (tries = 0; !why && tries < 10 && page_flag(addr, KPF_THP_BIT); tries++) {
		if (tries)
			sleep_ms(5);
		file_write(SPLIT_HUGE, "%d,0x%lx,0x%lx", getpid(), (unsigned long)addr,
			   (unsigned long)addr + bytes);
	}
	return why;
}

const char *need_debugfs(void)
{
	if (access(SPLIT_HUGE, W_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return access(SPLIT_HUGE, W_OK) ?
	       "no split_huge_pages in debugfs" : NULL;
}

bool memory_is_recorded(void)
{
	return !need_debugfs() && !access("/sys/kernel/debug/kmemleak", F_OK);
}

const char *need_cgroup(void)
{
	if (access(CGROUP_ROOT "/cgroup.procs", W_OK))
		mount("cgroup2", CGROUP_ROOT, "cgroup2", 0, NULL);
	file_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory");
	return access(CGROUP_ROOT "/cgroup.procs", W_OK) ? "no cgroup2" : NULL;
}

static const char *cgroup_file(const char *name, const char *file)
{
	static __thread char path[256];

	snprintf(path, sizeof(path), CGROUP_ROOT "/%s/%s", name, file);
	return path;
}

int cgroup_enter(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), CGROUP_ROOT "/%s", name);
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	if (access(cgroup_file(name, "memory.reclaim"), F_OK))
		return -ENOENT;
	return file_write(cgroup_file(name, "cgroup.procs"), "0");
}

int cgroup_set(const char *name, const char *file, const char *value)
{
	return file_write(cgroup_file(name, file), "%s", value);
}

__s64 cgroup_get(const char *name, const char *file)
{
	return file_number(cgroup_file(name, file));
}

void cgroup_leave(const char *name)
{
	char path[256];

	file_write(CGROUP_ROOT "/cgroup.procs", "0");
	snprintf(path, sizeof(path), CGROUP_ROOT "/%s", name);
	rmdir(path);
}

int cgroup_make(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), CGROUP_ROOT "/%s", name);
	if (mkdir(path, 0755))
		return -errno;
	fd = open(cgroup_file(name, "cgroup.procs"), O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A line of memory.stat */
static __s64 cgroup_stat(const char *name, const char *line)
{
	char text[8192], *at;

	if (file_read(cgroup_file(name, "memory.stat"), text, sizeof(text)) < 0)
		return -1;
	for (at = strstr(text, line); at; at = strstr(at + 1, line))
		if (at == text || at[-1] == '\n')
			return strtoll(at + strlen(line), NULL, 10);
	return -1;
}

/* Some of it is freed by work items, and after grace periods. */
__s64 cgroup_left_behind(const char *name, __s64 limit)
{
	char path[256];
	__s64 left;

	within_ms(10000, (left = cgroup_stat(name, "slab_unreclaimable ") +
				 cgroup_stat(name, "percpu ")) <= limit);
	snprintf(path, sizeof(path), CGROUP_ROOT "/%s", name);
	rmdir(path);
	return left;
}

void ksm_run(void)
{
	file_write(KSM "sleep_millisecs", "1");
	file_write(KSM "pages_to_scan", "500");
	file_write(KSM "run", "1");
}

void ksm_stop(void)
{
	file_write(KSM "run", "0");
}
