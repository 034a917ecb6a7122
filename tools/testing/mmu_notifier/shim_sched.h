/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel for programs of the systematic scheduler (sched.h). Threads are
 * CPUs, unless a program says otherwise.
 */
#ifndef _MMU_NOTIFIER_SHIM_SCHED_H
#define _MMU_NOTIFIER_SHIM_SCHED_H

#include "sched.h"

#undef smp_mb
#undef smp_wmb
#undef smp_rmb
#undef smp_store_release
#undef smp_load_acquire
#define smp_mb()		sched_barrier()
#define smp_wmb()		sched_write_barrier()
#define smp_rmb()		barrier()
#define smp_store_release(p, v)						\
	sched_release(p, (unsigned long)(typeof(*(p)))(v), sizeof(*(p)))
#define smp_load_acquire(p)	READ_ONCE(*(p))

#define xchg(p, v)							\
	((typeof(*(p)))sched_exchange(p, (unsigned long)(v), sizeof(*(p))))
#define cmpxchg(p, o, n)						\
	((typeof(*(p)))sched_compare_exchange(p, (unsigned long)(o), (unsigned long)(n), \
					      sizeof(*(p))))
#define prefetch(p)		((void)(p))
#define L1_CACHE_BYTES		64
#define cpu_relax()		sched_point()
#define atomic_read(v)		READ_ONCE((v)->counter)

static inline void *kzalloc(size_t size, int flags)
{
	return sched_alloc(size);
}

static inline void kfree(const void *p)
{
	sched_free(p);
}

/* Locks: who holds it, plus one */

typedef struct {
	int holder;
} spinlock_t;

#define DEFINE_SPINLOCK(x)	spinlock_t x

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->holder = 0;
}

static inline void spin_lock(spinlock_t *lock)
{
	sched_lock(&lock->holder);
}

static inline void spin_unlock(spinlock_t *lock)
{
	sched_unlock(&lock->holder);
}

typedef spinlock_t shim_mutex_t;
#define shim_mutex_lock		spin_lock
#define shim_mutex_unlock	spin_unlock

/* Wait queues */

struct wait_queue_entry {
	int (*func)(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key);
	unsigned int task;
	struct list_head entry;
};

typedef struct {
	struct list_head head;
} wait_queue_head_t;

#define DECLARE_WAIT_QUEUE_HEAD(x) wait_queue_head_t x = { LIST_HEAD_INIT(x.head) }
#define init_waitqueue_head(wq)	INIT_LIST_HEAD(&(wq)->head)
#define TASK_UNINTERRUPTIBLE	1
#define TASK_NORMAL		1

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			  void *key);
void init_wait(struct wait_queue_entry *entry);
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, int state);
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void schedule(void);
void __wake_up(wait_queue_head_t *wq, unsigned int mode, int nr, void *key);
#define wake_up_all(wq)		__wake_up(wq, TASK_NORMAL, 0, NULL)
bool waitqueue_active(wait_queue_head_t *wq);

#define wait_event(wq, cond) do {					\
	struct wait_queue_entry __wait;					\
									\
	init_wait(&__wait);						\
	for (;;) {							\
		prepare_to_wait(&(wq), &__wait, TASK_UNINTERRUPTIBLE);	\
		if (cond)						\
			break;						\
		schedule();						\
	}								\
	finish_wait(&(wq), &__wait); } while (0)

/* llist */

static inline bool llist_add(struct llist_node *new, struct llist_head *head)
{
	struct llist_node *first;

	do {
		first = READ_ONCE(head->first);
		new->next = first;
	} while (cmpxchg(&head->first, first, new) != first);
	return !first;
}

static inline struct llist_node *llist_del_all(struct llist_head *head)
{
	return xchg(&head->first, (struct llist_node *)NULL);
}

/* RCU */

#define rcu_read_lock()		sched_rcu_lock()
#define rcu_read_unlock()	sched_rcu_unlock()
#define kfree_rcu(ptr, member)	sched_free_rcu(ptr)

/* Per-CPU memory */

#define SHIM_CPUS		SCHED_THREADS
#define preempt_disable()	sched_preempt(1)
#define preempt_enable()	sched_preempt(-1)
#define alloc_percpu_gfp(type, gfp) ((type *)sched_alloc(SHIM_CPUS * sizeof(type)))
#define free_percpu(p)		sched_free(p)
#define this_cpu_ptr(p)		((p) + sched_cpu())

/*
 * SRCU: readers count in one of two ranks, with a full barrier on the inside. A
 * grace period waits for the idle rank, swaps them, and waits for the other.
 */

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *rcu);
};

struct srcu_struct {
	unsigned int idx;
	int readers[2];
	spinlock_t gp;
	struct rcu_head *callbacks;
	bool calling;
};

int init_srcu_struct(struct srcu_struct *ssp);
void cleanup_srcu_struct(struct srcu_struct *ssp);
void synchronize_srcu(struct srcu_struct *ssp);
void srcu_barrier(struct srcu_struct *ssp);
int srcu_down_read(struct srcu_struct *ssp);
void srcu_up_read(struct srcu_struct *ssp, int idx);
void call_srcu(struct srcu_struct *ssp, struct rcu_head *rcu,
	       void (*func)(struct rcu_head *rcu));
#define synchronize_srcu_expedited	synchronize_srcu

/* Work items, run by the worker */

struct work_struct {
	void (*func)(struct work_struct *work);
	bool pending;
};

#define DECLARE_WORK(name, fn)	struct work_struct name = { .func = (fn) }
#define INIT_WORK(work, fn)	((work)->func = (fn), (work)->pending = false)
void shim_queue_work(struct work_struct *work);
#define queue_work(wq, work)	shim_queue_work(work)

#define mmgrab(mm)		sched_add(&(mm)->mm_count.counter, 1, sizeof(int))
void mmdrop(struct mm_struct *mm);

#endif /* _MMU_NOTIFIER_SHIM_SCHED_H */
