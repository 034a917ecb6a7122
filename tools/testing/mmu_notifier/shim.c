// SPDX-License-Identifier: GPL-2.0
/*
 * SRCU in user space, after the algorithm of kernel/rcu/srcutree.c: two ranks of
 * per-CPU counters; a grace period waits until each rank has drained once.
 */

__thread unsigned long shim_cpu_offset;
__thread unsigned int shim_cpu_id;
__thread unsigned int shim_fail_in;
bool shim_fatal_signal;

void shim_cpu(unsigned int cpu)
{
	shim_cpu_id = cpu;
	shim_cpu_offset = cpu * sizeof(struct srcu_data);
}

int init_srcu_struct(struct srcu_struct *ssp)
{
	if (shim_fails())
		return -ENOMEM;
	ssp->srcu_idx = 0;
	ssp->sda = aligned_alloc(64, SHIM_CPUS * sizeof(*ssp->sda));
	ssp->gp = malloc(sizeof(*ssp->gp));
	if (!ssp->sda || !ssp->gp)
		return -ENOMEM;
	memset(ssp->sda, 0, SHIM_CPUS * sizeof(*ssp->sda));
	return pthread_mutex_init(ssp->gp, NULL);
}

void cleanup_srcu_struct(struct srcu_struct *ssp)
{
	pthread_mutex_destroy(ssp->gp);
	free(ssp->gp);
	free(ssp->sda);
}

static struct srcu_data *shim_this_cpu(struct srcu_struct *ssp)
{
	return (void *)((char *)ssp->sda + shim_cpu_offset);
}

/* One instruction counts, like this_cpu_inc(). */
static void shim_count(unsigned long *counter)
{
#ifdef __SANITIZE_THREAD__
	__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
#else
	asm volatile("incq %0" : "+m" (*counter));
#endif
}

/* Out of line, as in the kernel. */
noinline int __srcu_read_lock(struct srcu_struct *ssp)
{
	int idx = READ_ONCE(ssp->srcu_idx) & 1;

	shim_count(&shim_this_cpu(ssp)->lock_count[idx]);
	smp_mb();
	return idx;
}

noinline void __srcu_read_unlock(struct srcu_struct *ssp, int idx)
{
	smp_mb();
	shim_count(&shim_this_cpu(ssp)->unlock_count[idx]);
}

static bool shim_drained(struct srcu_struct *ssp, int idx)
{
	unsigned long locks = 0, unlocks = 0;
	int cpu;

	for (cpu = 0; cpu < SHIM_CPUS; cpu++)
		unlocks += READ_ONCE(ssp->sda[cpu].unlock_count[idx]);
	smp_mb();
	for (cpu = 0; cpu < SHIM_CPUS; cpu++)
		locks += READ_ONCE(ssp->sda[cpu].lock_count[idx]);
	return locks == unlocks;
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	int round, idx;

	smp_mb();
	pthread_mutex_lock(ssp->gp);
	for (round = 0; round < 2; round++) {
		idx = ssp->srcu_idx & 1;
		while (!shim_drained(ssp, !idx))
			sched_yield();
		smp_mb();
		WRITE_ONCE(ssp->srcu_idx, ssp->srcu_idx + 1);
		smp_mb();
		while (!shim_drained(ssp, idx))
			sched_yield();
	}
	pthread_mutex_unlock(ssp->gp);
	smp_mb();
}

void call_srcu(struct srcu_struct *ssp, struct rcu_head *rcu,
	       void (*func)(struct rcu_head *rcu))
{
	synchronize_srcu(ssp);
	func(rcu);
}

/* RCU: readers end soon, so what they may look at is freed at the end. */

static spinlock_t shim_rcu_lock;
static void *shim_rcu_freed[1 << 16];
static unsigned int shim_nr_rcu_freed;

void shim_free_rcu(void *p)
{
	spin_lock(&shim_rcu_lock);
	if (shim_nr_rcu_freed < sizeof(shim_rcu_freed) / sizeof(*shim_rcu_freed))
		shim_rcu_freed[shim_nr_rcu_freed++] = p;
	spin_unlock(&shim_rcu_lock);
}

/* When no reader can be running, unit tests call this. */
void shim_rcu_barrier(void)
{
	while (shim_nr_rcu_freed)
		free(shim_rcu_freed[--shim_nr_rcu_freed]);
}

/* Waiting */

int shim_fence;
static __thread struct shim_task shim_current = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.woken = PTHREAD_COND_INITIALIZER,
};

static void shim_set_waiting(struct shim_task *task, bool waiting)
{
	pthread_mutex_lock(&task->lock);
	task->waiting = waiting;
	pthread_cond_broadcast(&task->woken);
	pthread_mutex_unlock(&task->lock);
}

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			  void *key)
{
	shim_set_waiting(entry->task, false);
	return 1;
}

void init_wait(struct wait_queue_entry *entry)
{
	entry->func = default_wake_function;
	entry->task = &shim_current;
	INIT_LIST_HEAD(&entry->entry);
}

void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, int state)
{
	spin_lock(&wq->lock);
	if (list_empty(&entry->entry))
		list_add_tail(&entry->entry, &wq->head);
	__atomic_store_n(&wq->active, true, __ATOMIC_RELAXED);
	shim_set_waiting(entry->task, true);
	spin_unlock(&wq->lock);
	smp_mb();
}

void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	spin_lock(&wq->lock);
	list_del_init(&entry->entry);
	__atomic_store_n(&wq->active, !list_empty(&wq->head), __ATOMIC_RELAXED);
	spin_unlock(&wq->lock);
	shim_set_waiting(entry->task, false);
}

void schedule(void)
{
	pthread_mutex_lock(&shim_current.lock);
	while (shim_current.waiting)
		pthread_cond_wait(&shim_current.woken, &shim_current.lock);
	pthread_mutex_unlock(&shim_current.lock);
}

void __wake_up(wait_queue_head_t *wq, unsigned int mode, int nr, void *key)
{
	struct wait_queue_entry *entry;

	spin_lock(&wq->lock);
	list_for_each_entry(entry, &wq->head, entry)
		entry->func(entry, mode, 0, key);
	spin_unlock(&wq->lock);
}

/* Work: what a work item queues again while it runs is run afterwards. */

static pthread_mutex_t shim_work_lock = PTHREAD_MUTEX_INITIALIZER;
static __thread bool shim_in_work;
static __thread struct work_struct *shim_again;

void shim_run_work(struct work_struct *work)
{
	if (shim_in_work) {
		shim_again = work;
		return;
	}
	pthread_mutex_lock(&shim_work_lock);
	shim_in_work = true;
	do {
		shim_again = NULL;
		work->func(work);
		work = shim_again;
	} while (work);
	shim_in_work = false;
	pthread_mutex_unlock(&shim_work_lock);
}
