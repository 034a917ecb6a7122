/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel in user space, with real threads.
 *
 * Faithful where time is measured: SRCU readers count on their own CPU's line
 * with a full barrier on either side, as kernel/rcu/srcutree.c does on x86.
 * Writers really wait for them. A "CPU" is a thread that has called shim_cpu().
 *
 * For the thread sanitizer, barriers and volatile accesses are atomics, which it
 * understands.
 */
#ifndef _MMU_NOTIFIER_SHIM_NATIVE_H
#define _MMU_NOTIFIER_SHIM_NATIVE_H

#undef smp_mb
#undef smp_wmb
#undef smp_rmb
#undef smp_store_release
#undef smp_load_acquire
#ifdef __SANITIZE_THREAD__
extern int shim_fence;
#define smp_mb()		((void)__atomic_fetch_add(&shim_fence, 1, __ATOMIC_SEQ_CST))
#define smp_wmb()		smp_mb()
#define smp_rmb()		smp_mb()
#undef READ_ONCE
#undef WRITE_ONCE
/* Acquire, for it knows nothing of dependencies. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#else
#define smp_mb()		asm volatile("lock; addl $0,-4(%%rsp)" ::: "memory", "cc")
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#endif
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)

/* When this counts down to 0, an allocation of this thread fails. */
extern __thread unsigned int shim_fail_in;

static inline bool shim_fails(void)
{
	return unlikely(shim_fail_in) && !--shim_fail_in;
}

static inline void *kzalloc(size_t size, int flags)
{
	return shim_fails() ? NULL : calloc(1, size);
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

/* Waiting */

struct shim_task {
	pthread_mutex_t lock;
	pthread_cond_t woken;
	bool waiting;
};

struct wait_queue_entry {
	int (*func)(struct wait_queue_entry *entry, unsigned int mode, int flags, void *key);
	struct shim_task *task;
	struct list_head entry;
};

typedef struct {
	spinlock_t lock;
	struct list_head head;
	bool active;		/* the list is not empty */
} wait_queue_head_t;

#define TASK_UNINTERRUPTIBLE	1
#define TASK_NORMAL		1
#define DECLARE_WAIT_QUEUE_HEAD(x) wait_queue_head_t x = { .head = LIST_HEAD_INIT(x.head) }

static inline void init_waitqueue_head(wait_queue_head_t *wq)
{
	spin_lock_init(&wq->lock);
	INIT_LIST_HEAD(&wq->head);
	wq->active = false;
}

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			  void *key);
void init_wait(struct wait_queue_entry *entry);
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, int state);
void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry);
void schedule(void);
void __wake_up(wait_queue_head_t *wq, unsigned int mode, int nr, void *key);

#define waitqueue_active(wq)	__atomic_load_n(&(wq)->active, __ATOMIC_RELAXED)
#define wq_has_sleeper(wq)	({ smp_mb(); waitqueue_active(wq); })
#define wake_up_all(wq)		__wake_up(wq, TASK_NORMAL, 0, NULL)
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

typedef pthread_mutex_t shim_mutex_t;
#define shim_mutex_lock		pthread_mutex_lock
#define shim_mutex_unlock	pthread_mutex_unlock

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

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *rcu);
};

#define rcu_read_lock()		barrier()
#define rcu_read_unlock()	barrier()
void shim_free_rcu(void *p);
#define kfree_rcu(ptr, member)	shim_free_rcu(ptr)

/* Per-CPU memory: the copies lie one after the other */

#define SHIM_CPUS	4
#define preempt_disable()	barrier()
#define preempt_enable()	barrier()
extern __thread unsigned int shim_cpu_id;
#define alloc_percpu_gfp(type, gfp) ({					\
	void *__p = shim_fails() ? NULL :				\
		aligned_alloc(64, SHIM_CPUS * sizeof(type));		\
	if (__p)							\
		memset(__p, 0, SHIM_CPUS * sizeof(type));		\
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

/* Work items run at once, one at a time */

struct work_struct {
	void (*func)(struct work_struct *work);
};

#define DECLARE_WORK(name, fn)	struct work_struct name = { .func = (fn) }
#define INIT_WORK(work, fn)	((work)->func = (fn))
void shim_run_work(struct work_struct *work);
#define queue_work(wq, work)	shim_run_work(work)

#define mmgrab(mm)			__atomic_add_fetch(&(mm)->mm_count.counter, 1, __ATOMIC_RELAXED)
#define mmdrop(mm)			__atomic_sub_fetch(&(mm)->mm_count.counter, 1, __ATOMIC_RELEASE)


/* Of the address sanitizer; NULL without it. */
int __lsan_do_recoverable_leak_check(void) __attribute__((__weak__));

#endif /* _MMU_NOTIFIER_SHIM_NATIVE_H */
