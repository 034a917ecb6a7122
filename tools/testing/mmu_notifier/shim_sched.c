// SPDX-License-Identifier: GPL-2.0
/*
 * What programs of the systematic scheduler find in place of the kernel. Not
 * instrumented: each operation is one step, and acts on memory as an atomic
 * does.
 */

/* Waiting */

static unsigned int shim_self(void)
{
	return sched_self() == -1U ? 0 : sched_self();
}

static bool shim_waiting[SCHED_THREADS];

static bool shim_woken(void *task)
{
	return !*(bool *)task;
}

int default_wake_function(struct wait_queue_entry *entry, unsigned int mode, int flags,
			  void *key)
{
	shim_waiting[entry->task] = false;
	return 1;
}

void init_wait(struct wait_queue_entry *entry)
{
	entry->func = default_wake_function;
	entry->task = shim_self();
	INIT_LIST_HEAD(&entry->entry);
}

/* The queue's lock, and the barrier that goes with the task's state. */
void prepare_to_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry, int state)
{
	sched_point();
	sched_drain();
	if (list_empty(&entry->entry))
		list_add_tail(&entry->entry, &wq->head);
	shim_waiting[entry->task] = true;
}

void finish_wait(wait_queue_head_t *wq, struct wait_queue_entry *entry)
{
	sched_point();
	sched_drain();
	shim_waiting[entry->task] = false;
	list_del_init(&entry->entry);
}

void schedule(void)
{
	sched_drain();
	sched_wait(shim_woken, &shim_waiting[shim_self()]);
}

void __wake_up(wait_queue_head_t *wq, unsigned int mode, int nr, void *key)
{
	struct wait_queue_entry *entry;

	sched_point();
	list_for_each_entry(entry, &wq->head, entry)
		entry->func(entry, mode, 0, key);
	sched_drain();
}

/* Without the queue's lock, and without a barrier. */
bool waitqueue_active(wait_queue_head_t *wq)
{
	sched_point();
	return !list_empty(&wq->head);
}

/* SRCU */

int init_srcu_struct(struct srcu_struct *ssp)
{
	memset(ssp, 0, sizeof(*ssp));
	return 0;
}

void cleanup_srcu_struct(struct srcu_struct *ssp)
{
	sched_expect(!ssp->readers[0] && !ssp->readers[1]);
	sched_expect(!ssp->callbacks && !ssp->calling);
}

int srcu_down_read(struct srcu_struct *ssp)
{
	int idx;

	sched_point();
	idx = ssp->idx & 1;
	sched_add(&ssp->readers[idx], 1, sizeof(int));
	sched_barrier();
	return idx;
}

void srcu_up_read(struct srcu_struct *ssp, int idx)
{
	sched_barrier();
	sched_add(&ssp->readers[idx], -1, sizeof(int));
}

static bool shim_no_readers(void *readers)
{
	return !*(int *)readers;
}

void synchronize_srcu(struct srcu_struct *ssp)
{
	unsigned int idx;

	sched_barrier();
	spin_lock(&ssp->gp);
	idx = ssp->idx & 1;
	sched_wait(shim_no_readers, &ssp->readers[!idx]);
	ssp->idx++;
	sched_wait(shim_no_readers, &ssp->readers[idx]);
	spin_unlock(&ssp->gp);
}

/* The worker waits for these, then runs them. */

#define MAX_DOMAINS	4
static struct srcu_struct *shim_domains[MAX_DOMAINS];
static struct work_struct *shim_work[8];
static unsigned int shim_nr_work;

void call_srcu(struct srcu_struct *ssp, struct rcu_head *rcu,
	       void (*func)(struct rcu_head *rcu))
{
	unsigned int i;

	sched_point();
	sched_drain();
	rcu->func = func;
	rcu->next = ssp->callbacks;
	ssp->callbacks = rcu;
	for (i = 0; i < MAX_DOMAINS && shim_domains[i] && shim_domains[i] != ssp; i++)
		;
	sched_expect(i < MAX_DOMAINS);
	shim_domains[i] = ssp;
}

static bool shim_callbacks_done(void *srcu)
{
	struct srcu_struct *ssp = srcu;

	return !ssp->callbacks && !ssp->calling;
}

void srcu_barrier(struct srcu_struct *ssp)
{
	/* The worker itself comes here only once it has run them. */
	sched_wait(shim_callbacks_done, ssp);
}

void shim_queue_work(struct work_struct *work)
{
	sched_point();
	sched_drain();
	if (work->pending)
		return;
	work->pending = true;
	sched_expect(shim_nr_work < ARRAY_SIZE(shim_work));
	shim_work[shim_nr_work++] = work;
}

static bool shim_something_to_do(void *unused)
{
	unsigned int i;

	for (i = 0; i < MAX_DOMAINS; i++)
		if (shim_domains[i] && shim_domains[i]->callbacks)
			return true;
	return shim_nr_work;
}

static void shim_run_callbacks(struct srcu_struct *ssp)
{
	struct rcu_head *rcu = ssp->callbacks;

	if (!rcu)
		return;
	ssp->callbacks = NULL;
	ssp->calling = true;
	synchronize_srcu(ssp);
	while (rcu) {
		struct rcu_head *next = rcu->next;

		rcu->func(rcu);
		rcu = next;
	}
	sched_drain();
	ssp->calling = false;
}

void sched_worker(void)
{
	unsigned int i;

	for (;;) {
		sched_wait(shim_something_to_do, NULL);
		for (i = 0; i < MAX_DOMAINS; i++)
			if (shim_domains[i])
				shim_run_callbacks(shim_domains[i]);
		if (shim_nr_work) {
			struct work_struct *work = shim_work[0];

			shim_nr_work--;
			memmove(shim_work, shim_work + 1, shim_nr_work * sizeof(*shim_work));
			work->pending = false;
			work->func(work);
		}
	}
}

void shim_warn(const char *file, int line, const char *what)
{
	sched_fail("%s:%d warns: %s", file, line, what);
}

/* Signals */

bool shim_fatal_signal;

/* mms */

void mmdrop(struct mm_struct *mm)
{
	sched_barrier();
	if (!sched_add(&mm->mm_count.counter, -1, sizeof(int)))
		mmu_notifier_subscriptions_destroy(mm);
}
