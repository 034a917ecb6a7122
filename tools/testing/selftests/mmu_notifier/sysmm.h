/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rest of the kernel says about memory, and how to make it act:
 * page tables and page flags (/proc), swap, cgroup, KSM, NUMA, huge pages.
 *
 * The tests ask here whether what they did really took place, for a scenario
 * that silently did nothing proves nothing. The need_xxx() functions set up
 * what the machine does not offer by itself and return NULL, or the reason why
 * they could not.
 */
#ifndef _SELFTESTS_SYSMM_H
#define _SELFTESTS_SYSMM_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Bits of /proc/kpageflags, Documentation/admin-guide/mm/pagemap.rst */
#define KPF_DIRTY_BIT		4
#define KPF_SWAPCACHE_BIT	13
#define KPF_HUGETLB_BIT		17
#define KPF_THP_BIT		22

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

extern size_t page_size, huge_size;
void sysmm_init(void);

__u64 now_us(void);
void sleep_ms(unsigned int ms);

/* Poll until @condition holds or @ms have passed; is it true in the end? */
#define within_ms(ms, condition) ({ \
	unsigned int __left = (ms); \
	bool __holds; \
	while (!(__holds = (condition)) && __left) { \
		sleep_ms(1); \
		__left--; \
	} \
	__holds; \
})

/* Of @nr values, which it sorts, the least first */
__u64 median(__u64 *values, unsigned int nr);

/*
 * Modules, from the directory that MMU_MIRROR_MODULES names, else /modules. 0 or
 * -errno: -ENOENT if there is no such file or module, -EAGAIN if it is in use.
 */
int module_load(const char *name);
int module_unload(const char *name);

int file_write(const char *path, const char *fmt, ...)
	__printf(2, 3);
int file_read(const char *path, char *buf, size_t size);
__s64 file_number(const char *path);
__u64 vm_event(const char *name);

/* One page, by address in the calling process */
bool page_present(const void *addr);
bool page_swapped(const void *addr);
__u64 page_pfn(const void *addr);
bool page_flag(const void *addr, unsigned int bit);
bool page_incore(const void *addr);
int page_node(const void *addr);

/* Many pages: how many of them are so */
size_t pages_present(const void *addr, size_t nr);
size_t pages_swapped(const void *addr, size_t nr);
size_t pages_soft_dirty(const void *addr, size_t nr);
size_t pages_incore(const void *addr, size_t nr);
size_t pages_flagged(const void *addr, size_t nr, unsigned int bit);
size_t pages_on_node(const void *addr, size_t nr, int node);
void pages_pfns(const void *addr, size_t nr, __u64 *pfns);
size_t pages_elsewhere(const void *addr, size_t nr, const __u64 *pfns);
size_t pages_same(const void *addr, size_t nr);

size_t huge_mapped(const void *addr);
bool huge_make(void *addr, size_t bytes);
const char *huge_split(void *addr, size_t bytes);
void lru_drain(void);
size_t evict(void *addr, size_t nr);
size_t discard_free(void *addr, size_t nr);
long pages_move(pid_t pid, void *addr, size_t nr, int node);
int pages_bind(void *addr, size_t nr, int node);

const char *need_swap(void);
const char *need_nodes(void);
const char *need_ksm(void);
const char *need_hugetlb(unsigned int pages);
const char *need_debugfs(void);
/*
 * With kmemleak, whose records of objects are nobody's and count as the kernel's memory:
 * what the whole kernel has says nothing then, and kmemleak says what is lost.
 */
bool memory_is_recorded(void);
const char *need_cgroup(void);

/* A cgroup of the caller's own; need_cgroup() first */
int cgroup_enter(const char *name);
int cgroup_set(const char *name, const char *file, const char *value);
__s64 cgroup_get(const char *name, const char *file);
void cgroup_leave(const char *name);

/*
 * One for processes to come, who write "0" to the descriptor that is returned; and
 * what those that were in it have left behind of the kernel's memory, in bytes, after
 * a while. It is removed then.
 */
int cgroup_make(const char *name);
__s64 cgroup_left_behind(const char *name, __s64 limit);

void ksm_run(void);
void ksm_stop(void);

#endif /* _SELFTESTS_SYSMM_H */
