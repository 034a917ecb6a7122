/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the MMU-notifier core needs of the kernel, in user space.
 *
 * Included ahead of everything by the compiler's -include; the kernel headers
 * that it stands for are empty files in the build directory. Both the core of
 * this tree and stock's compile against it, unmodified.
 *
 * Faithful where time is measured: SRCU readers count on their own CPU's line
 * with a full barrier on either side, as kernel/rcu/srcutree.c does on x86.
 * Writers really wait for them. A "CPU" is a thread that has called shim_cpu().
 */
#ifndef _MMU_NOTIFIER_SHIM_H
#define _MMU_NOTIFIER_SHIM_H

#define CONFIG_MMU_NOTIFIER 1
#define CONFIG_64BIT 1
#define CONFIG_DEBUG_VM 0
#define IS_ENABLED(option) option
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
#define data_race(x)		(x)
#define EXPORT_SYMBOL_GPL(x)
#define EXPORT_SYMBOL(x)
#undef smp_mb
#undef smp_store_release
#undef smp_load_acquire
#define smp_mb()		asm volatile("lock; addl $0,-4(%%rsp)" ::: "memory", "cc")
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)

/* Debugging aids that are off */

#define might_sleep()		do { } while (0)
#define might_sleep_if(x)	do { } while (0)
#define might_lock(x)		do { } while (0)
#define non_block_start()	do { } while (0)
#define non_block_end()		do { } while (0)
#define cond_resched()		((void)0)
#define lock_map_acquire(x)	do { } while (0)
#define lock_map_release(x)	do { } while (0)
#define lockdep_assert_held(x)	do { } while (0)
#define lockdep_is_held(x)	1
#define pr_info_ratelimited(...) shim_ignore(__VA_ARGS__)
#define pr_info(...)		shim_ignore(__VA_ARGS__)

static inline void shim_ignore(const char *fmt, ...)
{
}

#undef WARN_ON
#undef WARN_ON_ONCE
#undef WARN_ONCE
#define WARN_ONCE(cond, fmt, ...) ({					\
	bool __bad = !!(cond);						\
	if (unlikely(__bad))						\
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
	__bad; })
#define WARN_ON(cond)		WARN_ONCE(cond, "")
#define WARN_ON_ONCE(cond)	WARN_ONCE(cond, "")
#undef BUG_ON
#define BUG_ON(cond)		do { if (cond) abort(); } while (0)

/* Memory */

#define GFP_KERNEL		0
#define GFP_KERNEL_ACCOUNT	0
#define PAGE_SIZE		4096UL
#define PMD_SIZE		(512 * PAGE_SIZE)

static inline void *kzalloc(size_t size, int flags)
{
	return calloc(1, size);
}

static inline void kfree(const void *p)
{
	free((void *)p);
}

/* Atomics */

#define atomic_read(v)		__atomic_load_n(&(v)->counter, __ATOMIC_RELAXED)

#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, o, n) ({						\
	typeof(*(p)) __old = (o);					\
	__atomic_compare_exchange_n(p, &__old, n, false,		\
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
	__old; })
#define prefetch(p)		__builtin_prefetch(p)
#define L1_CACHE_BYTES		64
#define cpu_relax()		__builtin_ia32_pause()

/* Spinlocks: the uncontended path of a queued spinlock. */

typedef struct {
	int locked;
} spinlock_t;

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->locked = 0;
}

static inline void spin_lock(spinlock_t *lock)
{
	int free = 0;

	while (!__atomic_compare_exchange_n(&lock->locked, &free, 1, false,
					    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		while (__atomic_load_n(&lock->locked, __ATOMIC_RELAXED))
			__builtin_ia32_pause();
		free = 0;
	}
}

static inline void spin_unlock(spinlock_t *lock)
{
	__atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

#define DEFINE_SPINLOCK(x)	spinlock_t x

/* Waiting: nothing sleeps for long here, so poll. */

struct wait_queue_entry {
	int (*func)(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key);
};

typedef struct {
	int unused;
} wait_queue_head_t;

#define init_wait(entry)	do { (void)(entry); } while (0)
#define default_wake_function(entry, mode, flags, key) 0
#define prepare_to_wait(wq, entry, state) do { (void)(entry); } while (0)
#define finish_wait(wq, entry)	do { (void)(entry); } while (0)
#define schedule()		sched_yield()
#define __wake_up(wq, mode, nr, key) do { (void)(key); } while (0)
#define waitqueue_active(wq)	false

#define DECLARE_WAIT_QUEUE_HEAD(x) wait_queue_head_t x
#define init_waitqueue_head(wq)	do { (void)(wq); } while (0)
#define wq_has_sleeper(wq)	({ smp_mb(); false; })
#define wake_up_all(wq)		do { (void)(wq); } while (0)
#define wait_event(wq, cond)	do { while (!(cond)) sched_yield(); } while (0)

/* Lists of the kernel that tools/include lacks */

struct llist_head {
	struct llist_node *first;
};

struct llist_node {
	struct llist_node *next;
};

#define init_llist_head(head)	((head)->first = NULL)
#define llist_for_each_entry(pos, node, member)				\
	for (pos = llist_entry(node, typeof(*pos), member);		\
	     &pos->member;						\
	     pos = llist_entry(READ_ONCE(pos->member.next), typeof(*pos), member))
#define LLIST_HEAD(name)	struct llist_head name = { NULL }

static inline bool llist_add(struct llist_node *new, struct llist_head *head)
{
	struct llist_node *first = __atomic_load_n(&head->first, __ATOMIC_RELAXED);

	do {
		new->next = first;
	} while (!__atomic_compare_exchange_n(&head->first, &first, new, false,
					      __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	return !first;
}

static inline struct llist_node *llist_del_all(struct llist_head *head)
{
	return __atomic_exchange_n(&head->first, NULL, __ATOMIC_ACQUIRE);
}

#define llist_entry(ptr, type, member)	container_of(ptr, type, member)
#define llist_for_each_entry_safe(pos, n, node, member)			\
	for (pos = llist_entry(node, typeof(*pos), member);		\
	     &pos->member &&						\
	     (n = llist_entry(pos->member.next, typeof(*n), member), true); \
	     pos = n)

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *rcu);
};

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
		__hlist_del(__d);					\
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

#define rcu_read_lock()		barrier()
#define rcu_read_unlock()	barrier()
/* Nobody looks for long, and the benchmark ends soon. */
#define kfree_rcu(ptr, member)	do { (void)(ptr); } while (0)

typedef struct {
	unsigned int sequence;
} seqcount_t;

#define seqcount_init(s)	((s)->sequence = 0)
#define raw_read_seqcount(s)	smp_load_acquire(&(s)->sequence)
#define read_seqcount_retry(s, start) ({				\
	__atomic_thread_fence(__ATOMIC_ACQUIRE);			\
	READ_ONCE((s)->sequence) != (start); })
#define raw_write_seqcount_begin(s) do {				\
	WRITE_ONCE((s)->sequence, (s)->sequence + 1);			\
	__atomic_thread_fence(__ATOMIC_RELEASE); } while (0)
#define raw_write_seqcount_end(s) smp_store_release(&(s)->sequence, (s)->sequence + 1)

/* Per-CPU memory: the copies lie one after the other */

#define SHIM_CPUS	4
#define ____cacheline_aligned_in_smp __attribute__((__aligned__(64)))
#define __percpu
#define preempt_disable()	barrier()
#define preempt_enable()	barrier()
extern __thread unsigned int shim_cpu_id;
#define alloc_percpu_gfp(type, gfp) ({					\
	void *__p = aligned_alloc(64, SHIM_CPUS * sizeof(type));	\
	memset(__p, 0, SHIM_CPUS * sizeof(type));			\
	(type *)__p; })
#define free_percpu(p)		free(p)
#define this_cpu_ptr(p)		((p) + shim_cpu_id)

/* SRCU */

struct srcu_data {
	unsigned long lock_count[2];
	unsigned long unlock_count[2];
} __attribute__((__aligned__(64)));

struct srcu_struct {
	unsigned int srcu_idx;
	struct srcu_data *sda;
	pthread_mutex_t *gp;
};

extern __thread unsigned long shim_cpu_offset;
void shim_cpu(unsigned int cpu);
int init_srcu_struct(struct srcu_struct *ssp);
void cleanup_srcu_struct(struct srcu_struct *ssp);
void synchronize_srcu(struct srcu_struct *ssp);
int __srcu_read_lock(struct srcu_struct *ssp);
void __srcu_read_unlock(struct srcu_struct *ssp, int idx);
void call_srcu(struct srcu_struct *ssp, struct rcu_head *rcu,
	       void (*func)(struct rcu_head *rcu));

#define synchronize_srcu_expedited	synchronize_srcu
#define srcu_barrier			synchronize_srcu
#define srcu_down_read			__srcu_read_lock
#define srcu_up_read			__srcu_read_unlock
#define srcu_read_lock			__srcu_read_lock
#define srcu_read_unlock		__srcu_read_unlock
#define srcu_read_lock_held(ssp)	1
#define DEFINE_STATIC_SRCU(name)					\
	static struct srcu_struct name;					\
	static void __attribute__((__constructor__)) name##_init(void)	\
	{								\
		init_srcu_struct(&name);				\
	}								\
	static struct srcu_struct name

/* Work items run at once */

struct work_struct {
	void (*func)(struct work_struct *work);
};

#define DECLARE_WORK(name, fn)	struct work_struct name = { .func = (fn) }
#define INIT_WORK(work, fn)	((work)->func = (fn))
#define queue_work(wq, work)	((work)->func(work))

/* Processes */

struct mmu_notifier_subscriptions;
struct mm_struct {
	atomic_t mm_users;
	atomic_t mm_count;
	struct mmu_notifier_subscriptions *notifier_subscriptions;
};

struct vm_area_struct {
	struct mm_struct *vm_mm;
	struct {
		void *f_mapping;
	} *vm_file;
	struct list_head anon_vma_chain;
};

struct anon_vma {
	struct anon_vma *root;
};

struct anon_vma_chain {
	struct anon_vma *anon_vma;
	struct list_head same_vma;
};

struct address_space;

/* An mm without VMAs */
#define VMA_ITERATOR(vmi, mm, addr)	int vmi __attribute__((__unused__)) = 0
#define for_each_vma(vmi, vma)		for (vma = NULL; vma; )
#define vma_start_write(vma)		do { } while (0)
#define i_mmap_lock_write(m)		do { (void)(m); } while (0)
#define i_mmap_unlock_write(m)		do { (void)(m); } while (0)
#define anon_vma_lock_write(a)		do { (void)(a); } while (0)
#define anon_vma_unlock_write(a)	do { (void)(a); } while (0)
#define fatal_signal_pending(task)	false
#define mm_take_all_locks(mm)		0
#define mm_drop_all_locks(mm)		do { } while (0)
#define mmap_assert_write_locked(mm)	do { (void)(mm); } while (0)
#define mmap_write_lock(mm)		do { (void)(mm); } while (0)
#define mmap_write_unlock(mm)		do { (void)(mm); } while (0)
#define mmgrab(mm)			__atomic_add_fetch(&(mm)->mm_count.counter, 1, __ATOMIC_RELAXED)
#define mmdrop(mm)			__atomic_sub_fetch(&(mm)->mm_count.counter, 1, __ATOMIC_RELEASE)

#endif /* _MMU_NOTIFIER_SHIM_H */
