/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the MMU-notifier core needs of the kernel, in user space.
 *
 * Included ahead of everything by the compiler's -include; the kernel headers
 * that it stands for are empty files in the build directory. Both the core of
 * this tree and stock's compile against it, unmodified.
 *
 * Two flavours: shim_native.h with real threads, for benchmarks, unit tests and
 * the thread sanitizer; shim_sched.h with threads whose every interleaving is
 * tried.
 */
#ifndef _MMU_NOTIFIER_SHIM_H
#define _MMU_NOTIFIER_SHIM_H

#define CONFIG_MMU_NOTIFIER 1
#define CONFIG_64BIT 1
#define __MM_VMA_H	/* a header of mm/'s own, for two names given below */

#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/err.h>
#include <linux/kconfig.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/overflow.h>
#include <linux/rbtree.h>
#include <linux/types.h>

/* Compiler and memory model */

#ifndef noinline
#define noinline		__attribute__((__noinline__))
#endif
#define __must_hold(x)
#undef __acquires
#define __acquires(x)
#define __percpu
#define __no_kmsan_checks
#define ____cacheline_aligned_in_smp __attribute__((__aligned__(64)))
#define data_race(x)		(x)
#define EXPORT_SYMBOL_GPL(x)
#define EXPORT_SYMBOL(x)

/* Debugging aids that are off */

#define might_sleep()		do { } while (0)
#define might_sleep_if(x)	do { } while (0)
#define might_lock(x)		do { } while (0)
#define non_block_start()	do { } while (0)
#define non_block_end()		do { } while (0)
#define cond_resched()		((void)0)
/* Neither records nor checks: these need the kernel's tasks. */
#define DECLARE_STATIC_KEY_FALSE(name)	extern const int name
#define static_branch_unlikely(key)	0

#define lock_map_acquire(x)	do { } while (0)
#define lock_map_release(x)	do { } while (0)
#define lockdep_assert_held(x)	do { } while (0)
#define lockdep_is_held(x)	1
#define pr_info_ratelimited(...) shim_ignore(__VA_ARGS__)
#define pr_info(...)		shim_ignore(__VA_ARGS__)

static inline void shim_ignore(const char *fmt, ...)
{
}

/* Not once only: each is counted, or ends the test. */
void shim_warn(const char *file, int line, const char *what);
#undef WARN_ON
#undef WARN_ON_ONCE
#undef WARN_ONCE
#define WARN_ONCE(cond, fmt, ...) ({					\
	bool __bad = !!(cond);						\
	if (unlikely(__bad))						\
		shim_warn(__FILE__, __LINE__, #cond);			\
	__bad; })
#define WARN_ON(cond)		WARN_ONCE(cond, "")
#define WARN_ON_ONCE(cond)	WARN_ONCE(cond, "")
#undef BUG_ON
#define BUG_ON(cond)		do { if (cond) abort(); } while (0)

/* Memory */

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0
#define __GFP_RETRY_MAYFAIL	0
#define PAGE_SIZE		4096UL
#define PMD_SIZE		(512 * PAGE_SIZE)

struct mm_struct;

/* Lists of the kernel that tools/include lacks */

struct llist_head {
	struct llist_node *first;
};

struct llist_node {
	struct llist_node *next;
};

#define init_llist_head(head)	((head)->first = NULL)
/* A member's address is never NULL to the compiler, so ask for a number. */
#define shim_member(pos, member) ((unsigned long)(pos) + offsetof(typeof(*(pos)), member))
#define llist_for_each_entry(pos, node, member)				\
	for (pos = llist_entry(node, typeof(*pos), member);		\
	     shim_member(pos, member);					\
	     pos = llist_entry(READ_ONCE(pos->member.next), typeof(*pos), member))
#define LLIST_HEAD(name)	struct llist_head name = { NULL }

#define llist_entry(ptr, type, member)	container_of(ptr, type, member)
#define llist_for_each_entry_safe(pos, n, node, member)			\
	for (pos = llist_entry(node, typeof(*pos), member);		\
	     shim_member(pos, member) &&				\
	     (n = llist_entry(pos->member.next, typeof(*n), member), true); \
	     pos = n)

#ifdef SHIM_SCHED
#include "shim_sched.h"
#else
#include "shim_native.h"
#endif

#define hlist_add_head_rcu(n, h) do {					\
	struct hlist_node *__n = (n);					\
	struct hlist_head *__h = (h);					\
	__n->next = __h->first;						\
	__n->pprev = &__h->first;					\
	if (__h->first)							\
		__h->first->pprev = &__n->next;				\
	smp_store_release(&__h->first, __n); } while (0)
#define hlist_del_init_rcu(n) do {					\
	struct hlist_node *__d = (n);					\
	if (!hlist_unhashed(__d)) {					\
		WRITE_ONCE(*__d->pprev, __d->next);			\
		if (__d->next)						\
			__d->next->pprev = __d->pprev;			\
		__d->pprev = NULL;					\
	} } while (0)
#define hlist_for_each_entry_rcu(pos, head, member, cond...)		\
	for (pos = hlist_entry_safe(READ_ONCE((head)->first),		\
				    typeof(*(pos)), member);		\
	     pos;							\
	     pos = hlist_entry_safe(READ_ONCE((pos)->member.next),	\
				    typeof(*(pos)), member))
#define hlist_for_each_entry_srcu(pos, head, member, cond)		\
	hlist_for_each_entry_rcu(pos, head, member)

/*
 * In the scheduler a sequence comes again after two changes, where 32 bits take 2^31:
 * nobody says for how long a task is preempted.
 */
typedef struct {
	unsigned int sequence;
} seqcount_t;

#ifdef SHIM_SCHED
#define SHIM_SEQUENCE		3
#else
#define SHIM_SEQUENCE		~0U
#endif

#define seqcount_init(s)	((s)->sequence = 0)
#define raw_read_seqcount(s)	smp_load_acquire(&(s)->sequence)
#define read_seqcount_retry(s, start) ({				\
	smp_rmb();							\
	READ_ONCE((s)->sequence) != (start); })
#define raw_write_seqcount_begin(s) do {				\
	WRITE_ONCE((s)->sequence, ((s)->sequence + 1) & SHIM_SEQUENCE);	\
	smp_wmb(); } while (0)
#define raw_write_seqcount_end(s)					\
	smp_store_release(&(s)->sequence, ((s)->sequence + 1) & SHIM_SEQUENCE)

/* Processes */

struct mmu_notifier_subscriptions;
struct mm_struct {
	atomic_t mm_users;
	atomic_t mm_count;
	struct mmu_notifier_subscriptions *notifier_subscriptions;
	shim_mutex_t mmap_lock;
	struct vm_area_struct *vmas;
};

struct address_space {
	shim_mutex_t lock;
};

struct vm_area_struct {
	struct mm_struct *vm_mm;
	struct {
		struct address_space *f_mapping;
	} *vm_file;
	struct list_head anon_vma_chain;
	shim_mutex_t lock;
	struct vm_area_struct *next;
};

struct anon_vma {
	struct anon_vma *root;
	shim_mutex_t lock;
};

struct anon_vma_chain {
	struct anon_vma *anon_vma;
	struct list_head same_vma;
};

/*
 * An mm has the VMAs that a program gives it, most often none. Locks that a range
 * holds for reading are held alone here; nobody in these tests shares them.
 */
#define VMA_ITERATOR(vmi, mm, addr)	struct vm_area_struct *vmi = (mm)->vmas
#define for_each_vma(vmi, vma)		for (; (vma = vmi); vmi = vmi->next)
#define i_mmap_lock_write(m)		shim_mutex_lock(&(m)->lock)
#define i_mmap_unlock_write(m)		shim_mutex_unlock(&(m)->lock)
#define anon_vma_lock_write(a)		shim_mutex_lock(&(a)->root->lock)
#define anon_vma_unlock_write(a)	shim_mutex_unlock(&(a)->root->lock)
/* All that matters: who has the VMA locked is waited for. */
#define vma_start_write(vma) do {					\
	shim_mutex_lock(&(vma)->lock);					\
	shim_mutex_unlock(&(vma)->lock); } while (0)
extern bool shim_fatal_signal;
#define fatal_signal_pending(task)	shim_fatal_signal
#define mm_take_all_locks(mm)		0
#define mm_drop_all_locks(mm)		do { } while (0)
#define mmap_assert_write_locked(mm)	do { (void)(mm); } while (0)
#define mmap_write_lock(mm)		shim_mutex_lock(&(mm)->mmap_lock)
#define mmap_write_unlock(mm)		shim_mutex_unlock(&(mm)->mmap_lock)
#endif /* _MMU_NOTIFIER_SHIM_H */
