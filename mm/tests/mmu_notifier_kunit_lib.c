// SPDX-License-Identifier: GPL-2.0
/*
 * The fixture of the KUnit suites of the MMU notifiers.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mmu_notifier_kunit.h"

/**
 * struct mnk - the fixture
 * @lock: guards the lists; alloc_notifier adds to @lists from a task.
 * @mms: all that the case asked for, each to be freed in the end.
 * @gates: likewise.
 * @tasks: likewise.
 * @lists: likewise.
 * @intervals: likewise.
 * @ranges: likewise.
 * @stuck: a task did not end, so nothing can be freed.
 * @reports: what the checker reported of the case, while it was not asked for.
 * @resource: how the checker finds @reports.
 */
struct mnk {
	spinlock_t lock;	/* see above */
	struct list_head mms;
	struct list_head gates;
	struct list_head tasks;
	struct list_head lists;
	struct list_head intervals;
	struct list_head ranges;
	bool stuck;
	struct mmu_reports reports;
	struct kunit_resource resource;
};

/* Of the case that is running; alloc_notifier is not told. */
static struct mnk *mnk_current;

/**
 * mnk_init() - set up the fixture
 * @test: the case; @test->priv is free for its use.
 *
 * Return: 0 or -ENOMEM.
 */
int mnk_init(struct kunit *test)
{
	struct mnk *mnk = kzalloc(sizeof(*mnk), GFP_KERNEL);

	if (!mnk)
		return -ENOMEM;
	spin_lock_init(&mnk->lock);
	INIT_LIST_HEAD(&mnk->mms);
	INIT_LIST_HEAD(&mnk->gates);
	INIT_LIST_HEAD(&mnk->tasks);
	INIT_LIST_HEAD(&mnk->lists);
	INIT_LIST_HEAD(&mnk->intervals);
	INIT_LIST_HEAD(&mnk->ranges);
	mnk_current = mnk;
	return kunit_add_named_resource(test, NULL, NULL, &mnk->resource,
					MMU_REPORTS_RESOURCE, &mnk->reports);
}

/**
 * mnk_reported() - how often has the checker reported this?
 * @kind: the kind of violation.
 *
 * Return: the number since the last call.
 */
unsigned int mnk_reported(enum mmu_report_kind kind)
{
	return xchg(&mnk_current->reports.nr[kind], 0);
}

static void mnk_add(struct list_head *node, struct list_head *list)
{
	spin_lock(&mnk_current->lock);
	list_add_tail(node, list);
	spin_unlock(&mnk_current->lock);
}

/**
 * mnk_completed() - wait for what must happen soon
 * @completion: what stands for it.
 *
 * Return: false if it did not happen.
 */
bool mnk_completed(struct completion *completion)
{
	int slice;

	for (slice = 0; slice < MNK_NR_SLICES; slice++)
		if (wait_for_completion_timeout(completion, MNK_SLICE))
			return true;
	return false;
}

/**
 * mnk_gate() - make a gate, shut
 * @test: the case.
 *
 * Return: the gate.
 */
struct mnk_gate *mnk_gate(struct kunit *test)
{
	struct mnk_gate *gate = kzalloc(sizeof(*gate), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, gate);
	init_completion(&gate->reached);
	init_completion(&gate->open);
	mnk_add(&gate->node, &mnk_current->gates);
	return gate;
}

/**
 * mnk_pass() - stop at a gate, but not for ever
 * @gate: the gate, or NULL.
 */
void mnk_pass(struct mnk_gate *gate)
{
	int i;

	if (!gate)
		return;
	complete_all(&gate->reached);
	/* Longer than who waits for us is waited for: that is to fail first. */
	for (i = 0; i < 6; i++)
		if (mnk_completed(&gate->open))
			break;
}

/**
 * mnk_reached() - wait until somebody stands at a gate
 * @gate: the gate.
 *
 * Return: false if nobody came in time.
 */
bool mnk_reached(struct mnk_gate *gate)
{
	return mnk_completed(&gate->reached);
}

/**
 * mnk_open() - let everybody through
 * @gate: the gate.
 */
void mnk_open(struct mnk_gate *gate)
{
	complete_all(&gate->open);
}

static int mnk_thread(void *data)
{
	struct mnk_task *task = data;

	/* The checker counts for this case what the call does wrong. */
	current->kunit_test = task->test;
	complete_all(&task->started);
	task->ret = task->fn(task->arg);
	complete_all(&task->done);
	return 0;
}

/**
 * mnk_start() - make a call in a thread of its own
 * @test: the case.
 * @fn: the call.
 * @arg: its argument.
 *
 * Return: the task, to be waited for with mnk_ends().
 */
struct mnk_task *mnk_start(struct kunit *test, long (*fn)(void *arg), void *arg)
{
	struct mnk_task *task = kzalloc(sizeof(*task), GFP_KERNEL);
	struct task_struct *thread;

	KUNIT_ASSERT_NOT_NULL(test, task);
	task->test = test;
	task->fn = fn;
	task->arg = arg;
	init_completion(&task->started);
	init_completion(&task->done);

	thread = kthread_run(mnk_thread, task, "mnk");
	if (IS_ERR(thread))
		kfree(task);
	else
		mnk_add(&task->node, &mnk_current->tasks);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, thread);
	return task;
}

/**
 * mnk_ends() - does a call come to its end?
 * @task: the task.
 *
 * Return: false if not soon.
 */
bool mnk_ends(struct mnk_task *task)
{
	return mnk_completed(&task->done);
}

/**
 * mnk_waits() - does a call keep waiting?
 * @task: the task.
 *
 * Return: false if it came to its end while it was watched.
 */
bool mnk_waits(struct mnk_task *task)
{
	return mnk_completed(&task->started) &&
	       !wait_for_completion_timeout(&task->done, MNK_WATCH);
}

/**
 * mnk_run() - make a call that must come to its end soon
 * @test: the case; aborted if it does not.
 * @fn: the call.
 * @arg: its argument.
 *
 * Return: what the call returned.
 */
long mnk_run(struct kunit *test, long (*fn)(void *arg), void *arg)
{
	struct mnk_task *task = mnk_start(test, fn, arg);

	KUNIT_ASSERT_TRUE_MSG(test, mnk_ends(task), "%ps does not return", fn);
	return task->ret;
}

/**
 * mnk_mm() - make an mm without VMAs, in which VMAs can be made
 * @test: the case.
 *
 * Return: the mm; the fixture is its only user.
 */
struct mnk_mm *mnk_mm(struct kunit *test)
{
	struct mnk_mm *m = kzalloc(sizeof(*m), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, m);
	m->mm = mm_alloc();
	if (!m->mm)
		kfree(m);
	KUNIT_ASSERT_NOT_NULL(test, m->mm);

	m->mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(m->mm, &current->signal->rlim[RLIMIT_STACK]);
	mmgrab(m->mm);
	m->alive = true;
	mnk_add(&m->node, &mnk_current->mms);
	return m;
}

/**
 * mnk_mmput() - let the last user of an mm go
 * @m: the &struct mnk_mm.
 *
 * Return: 0.
 */
long mnk_mmput(void *m)
{
	struct mnk_mm *mnk_mm = m;

	mnk_mm->alive = false;
	mmput(mnk_mm->mm);
	return 0;
}

/* What a callback may look at; the core goes on using the rest. */
static void mnk_note_range(struct mmu_notifier_range *note,
			   const struct mmu_notifier_range *range)
{
	mmu_notifier_range_init_owner(note, range->event, range->flags,
				      range->mm, range->start, range->end,
				      range->owner);
}

/*
 * Subscriptions to a whole mm
 */

static struct mnk_list *mnk_enter(struct mmu_notifier *notifier)
{
	struct mnk_list *list = mnk_to_list(notifier);

	atomic_inc(&list->running);
	if (READ_ONCE(list->ended))
		atomic_inc(&list->late);
	return list;
}

static void mnk_leave(struct mnk_list *list)
{
	atomic_dec(&list->running);
}

static void mnk_list_release(struct mmu_notifier *notifier,
			     struct mm_struct *mm)
{
	struct mnk_list *list = mnk_enter(notifier);

	spin_lock(&list->lock);
	list->released_mm = mm;
	spin_unlock(&list->lock);
	atomic_inc(&list->releases);
	mnk_pass(list->release_gate);
	if (list->put_in_release) {
		WRITE_ONCE(list->live, false);
		mmu_notifier_put(notifier);
	}
	mnk_leave(list);
}

static int mnk_list_start(struct mmu_notifier *notifier,
			  const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	struct mnk_list *list = mnk_enter(notifier);
	int ret = 0;

	spin_lock(&list->lock);
	mnk_note_range(&list->last_start, range);
	spin_unlock(&list->lock);

	if (!blockable && READ_ONCE(list->refuse)) {
		atomic_inc(&list->refusals);
		ret = -EAGAIN;
	} else {
		atomic_inc(&list->starts);
		atomic_inc(&list->open);
		if (blockable)
			mnk_pass(READ_ONCE(list->start_gate));
	}
	mnk_leave(list);
	return ret;
}

static void mnk_list_end(struct mmu_notifier *notifier,
			 const struct mmu_notifier_range *range)
{
	struct mnk_list *list = mnk_enter(notifier);

	spin_lock(&list->lock);
	mnk_note_range(&list->last_end, range);
	spin_unlock(&list->lock);
	atomic_inc(&list->ends);
	if (list->notifier.ops->invalidate_range_start &&
	    atomic_dec_return(&list->open) < 0)
		atomic_inc(&list->unpaired);
	mnk_leave(list);
}

static void mnk_note(struct mnk_list *list, unsigned long from,
		     unsigned long to)
{
	unsigned long flags;

	spin_lock_irqsave(&list->lock, flags);
	list->from = from;
	list->to = to;
	spin_unlock_irqrestore(&list->lock, flags);
	if (list->busy_ms)
		mdelay(list->busy_ms);
}

static int mnk_list_young(struct mmu_notifier *notifier, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	struct mnk_list *list = mnk_enter(notifier);
	int young = READ_ONCE(list->young);

	atomic_inc(&list->youngs);
	mnk_note(list, start, end);
	mnk_leave(list);
	return young;
}

static int mnk_list_test_young(struct mmu_notifier *notifier,
			       struct mm_struct *mm, unsigned long address)
{
	return mnk_list_young(notifier, mm, address, 0);
}

static void mnk_list_flush(struct mmu_notifier *notifier, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	struct mnk_list *list = mnk_enter(notifier);

	atomic_inc(&list->flushes);
	mnk_note(list, start, end);
	mnk_leave(list);
}

/* The fixture frees the memory, so that a second free would be counted. */
static void mnk_list_free(struct mmu_notifier *notifier)
{
	struct mnk_list *list = mnk_to_list(notifier);

	if (atomic_read(&list->running))
		atomic_inc(&list->late);
	WRITE_ONCE(list->ended, true);
	WRITE_ONCE(list->live, false);
	atomic_inc(&list->frees);
}

static struct mnk_list *mnk_list_new(struct mnk_mm *m,
				     const struct mmu_notifier_ops *ops)
{
	struct mnk_list *list = kzalloc(sizeof(*list), GFP_KERNEL);

	if (!list)
		return NULL;
	list->notifier.ops = ops;
	list->m = m;
	spin_lock_init(&list->lock);
	mnk_add(&list->node, &mnk_current->lists);
	return list;
}

static struct mmu_notifier *mnk_list_alloc(struct mm_struct *mm)
{
	struct mnk_list *list = mnk_list_new(NULL, NULL);

	return list ? &list->notifier : ERR_PTR(-ENOMEM);
}

const struct mmu_notifier_ops mnk_range_ops = {
	.release = mnk_list_release,
	.invalidate_range_start = mnk_list_start,
	.invalidate_range_end = mnk_list_end,
	.free_notifier = mnk_list_free,
};

const struct mmu_notifier_ops mnk_start_ops = {
	.invalidate_range_start = mnk_list_start,
};

const struct mmu_notifier_ops mnk_end_ops = {
	.invalidate_range_end = mnk_list_end,
};

const struct mmu_notifier_ops mnk_release_ops = {
	.release = mnk_list_release,
};

const struct mmu_notifier_ops mnk_tlb_ops = {
	.release = mnk_list_release,
	.arch_invalidate_secondary_tlbs = mnk_list_flush,
	.free_notifier = mnk_list_free,
};

const struct mmu_notifier_ops mnk_young_ops = {
	.clear_flush_young = mnk_list_young,
	.clear_young = mnk_list_young,
	.test_young = mnk_list_test_young,
};

const struct mmu_notifier_ops mnk_shared_ops = {
	.release = mnk_list_release,
	.invalidate_range_start = mnk_list_start,
	.invalidate_range_end = mnk_list_end,
	.alloc_notifier = mnk_list_alloc,
	.free_notifier = mnk_list_free,
};

const struct mmu_notifier_ops mnk_other_shared_ops = {
	.release = mnk_list_release,
	.invalidate_range_start = mnk_list_start,
	.invalidate_range_end = mnk_list_end,
	.alloc_notifier = mnk_list_alloc,
	.free_notifier = mnk_list_free,
};

const struct mmu_notifier_ops mnk_shared_release_ops = {
	.release = mnk_list_release,
	.alloc_notifier = mnk_list_alloc,
	.free_notifier = mnk_list_free,
};

/**
 * mnk_list() - make a subscription to a whole mm, not registered
 * @test: the case.
 * @m: the mm.
 * @ops: the callbacks, of those above.
 *
 * Return: the subscription.
 */
struct mnk_list *mnk_list(struct kunit *test, struct mnk_mm *m,
			  const struct mmu_notifier_ops *ops)
{
	struct mnk_list *list = mnk_list_new(m, ops);

	KUNIT_ASSERT_NOT_NULL(test, list);
	return list;
}

/**
 * mnk_register() - register a subscription to a whole mm
 * @list: the &struct mnk_list.
 *
 * Return: what mmu_notifier_register() returned.
 */
long mnk_register(void *list)
{
	struct mnk_list *mnk_list = list;
	int ret;

	WRITE_ONCE(mnk_list->ended, false);
	atomic_set(&mnk_list->open, 0);
	ret = mmu_notifier_register(&mnk_list->notifier, mnk_list->m->mm);
	if (!ret)
		WRITE_ONCE(mnk_list->live, true);
	return ret;
}

/**
 * mnk_unregister() - unregister a subscription to a whole mm
 * @list: the &struct mnk_list.
 *
 * Return: the number of callbacks that are still running, which must be 0.
 */
long mnk_unregister(void *list)
{
	struct mnk_list *mnk_list = list;
	long running;

	WRITE_ONCE(mnk_list->live, false);
	mmu_notifier_unregister(&mnk_list->notifier, mnk_list->m->mm);
	WRITE_ONCE(mnk_list->ended, true);
	running = atomic_read(&mnk_list->running);
	if (running)
		atomic_inc(&mnk_list->late);
	return running;
}

/**
 * mnk_get() - call mmu_notifier_get()
 * @get: the &struct mnk_get.
 *
 * Return: 0, or the error.
 */
long mnk_get(void *get)
{
	struct mnk_get *mnk_get = get;
	struct mnk_list *list;

	mnk_get->notifier = mmu_notifier_get(mnk_get->ops, mnk_get->m->mm);
	if (IS_ERR(mnk_get->notifier))
		return PTR_ERR(mnk_get->notifier);
	list = mnk_to_list(mnk_get->notifier);
	list->m = mnk_get->m;
	WRITE_ONCE(list->live, true);
	return 0;
}

/**
 * mnk_put() - put a subscription to a whole mm
 * @list: the &struct mnk_list.
 *
 * Return: 0.
 */
long mnk_put(void *list)
{
	struct mnk_list *mnk_list = list;

	if (mnk_list->notifier.users == 1)
		WRITE_ONCE(mnk_list->live, false);
	mmu_notifier_put(&mnk_list->notifier);
	return 0;
}

/**
 * mnk_synchronize() - call mmu_notifier_synchronize()
 * @unused: nothing.
 *
 * Return: 0.
 */
long mnk_synchronize(void *unused)
{
	mmu_notifier_synchronize();
	return 0;
}

/*
 * Subscriptions to a range
 */

/* Tells which of two calls came first, of any subscriptions. */
static int mnk_clock(void)
{
	static atomic_t now;

	return atomic_inc_return(&now);
}

static struct mnk_interval *
mnk_to_interval(struct mmu_interval_notifier *notifier)
{
	return container_of(notifier, struct mnk_interval, notifier);
}

static void mnk_interval_enter(struct mnk_interval *interval)
{
	atomic_inc(&interval->running);
	if (READ_ONCE(interval->ended))
		atomic_inc(&interval->late);
}

/* What every invalidation does. False: it is refused. */
static bool mnk_interval_record(struct mnk_interval *interval,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	bool blockable = mmu_notifier_range_blockable(range);

	spin_lock(&interval->lock);
	interval->began = mnk_clock();
	interval->busy = true;
	mnk_note_range(&interval->last, range);
	if (cur_seq & 1)
		interval->odd_seqs++;
	if (!interval->seq || (long)(cur_seq - interval->seq) > 0)
		interval->grown_seqs++;
	interval->seq = cur_seq;
	mmu_interval_set_seq(&interval->notifier, cur_seq);
	spin_unlock(&interval->lock);

	if (!blockable && READ_ONCE(interval->refuse)) {
		atomic_inc(&interval->refusals);
		return false;
	}
	atomic_inc(&interval->calls);
	if (READ_ONCE(interval->remove_self)) {
		WRITE_ONCE(interval->remove_self, false);
		mnk_remove_async(interval);
	}
	if (blockable)
		mnk_pass(READ_ONCE(interval->gate));
	return true;
}

static bool mnk_interval_invalidate(struct mmu_interval_notifier *notifier,
				    const struct mmu_notifier_range *range,
				    unsigned long cur_seq)
{
	struct mnk_interval *interval = mnk_to_interval(notifier);
	bool ret;

	mnk_interval_enter(interval);
	ret = mnk_interval_record(interval, range, cur_seq);
	atomic_dec(&interval->running);
	return ret;
}

static bool
mnk_interval_invalidate_start(struct mmu_interval_notifier *notifier,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq,
			      struct mmu_interval_notifier_finish **finish)
{
	struct mnk_interval *interval = mnk_to_interval(notifier);
	struct mnk_finish *this;

	mnk_interval_enter(interval);
	spin_lock(&interval->lock);
	for (this = interval->finish;
	     this < interval->finish + MNK_FINISHES; this++) {
		if (this->busy || READ_ONCE(interval->no_room))
			continue;
		this->busy = true;
		*finish = &this->finish;
		break;
	}
	spin_unlock(&interval->lock);
	if (!*finish)
		atomic_dec(&interval->running);
	/* If refused, what was stored is to be finished nonetheless. */
	return mnk_interval_record(interval, range, cur_seq);
}

static void
mnk_interval_invalidate_finish(struct mmu_interval_notifier_finish *finish)
{
	struct mnk_finish *this = container_of(finish, struct mnk_finish,
					       finish);
	struct mnk_interval *interval = mnk_to_interval(finish->notifier);

	mnk_pass(READ_ONCE(interval->finish_gate));
	spin_lock(&interval->lock);
	if (!this->busy || READ_ONCE(interval->ended))
		atomic_inc(&interval->late);
	this->busy = false;
	interval->finished = mnk_clock();
	spin_unlock(&interval->lock);
	atomic_inc(&interval->finishes);
	atomic_dec(&interval->running);
}

/* Not while a call is running, and not for nothing. */
static void mnk_interval_settled(struct mmu_interval_notifier *notifier)
{
	struct mnk_interval *interval = mnk_to_interval(notifier);

	spin_lock(&interval->lock);
	if (!interval->busy || READ_ONCE(interval->ended) ||
	    atomic_read(&interval->running))
		atomic_inc(&interval->late);
	interval->busy = false;
	spin_unlock(&interval->lock);
	atomic_inc(&interval->settled);
}

static bool mnk_interval_concerns(const struct mmu_interval_notifier *notifier,
				  const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP;
}

#define MNK_ONE_PASS	.invalidate = mnk_interval_invalidate
#define MNK_TWO_PASSES	.invalidate_start = mnk_interval_invalidate_start, \
			.invalidate_finish = mnk_interval_invalidate_finish
#define MNK_SETTLES	.settled = mnk_interval_settled
#define MNK_UNMAPS_ONLY	.concerns = mnk_interval_concerns

static const struct mmu_interval_notifier_ops mnk_interval_ops[][2] = {
	{ { MNK_ONE_PASS }, { MNK_TWO_PASSES } },
	{ { MNK_ONE_PASS, MNK_SETTLES }, { MNK_TWO_PASSES, MNK_SETTLES } },
	{ { MNK_ONE_PASS, MNK_SETTLES, MNK_UNMAPS_ONLY },
	  { MNK_TWO_PASSES, MNK_SETTLES, MNK_UNMAPS_ONLY } },
};

static const struct mmu_interval_notifier_ops *
mnk_ops(const struct mnk_interval *interval)
{
	return &mnk_interval_ops[interval->settles + interval->unmaps_only]
				[interval->two_pass];
}

static void mnk_before_insertion(struct mnk_interval *interval)
{
	WRITE_ONCE(interval->ended, false);
	spin_lock(&interval->lock);
	interval->busy = true;
	spin_unlock(&interval->lock);
}

/**
 * mnk_interval() - make a subscription to a range, not inserted
 * @test: the case.
 * @m: the mm.
 * @start: first address.
 * @length: number of bytes.
 *
 * Return: the subscription.
 */
struct mnk_interval *mnk_interval(struct kunit *test, struct mnk_mm *m,
				  unsigned long start, unsigned long length)
{
	struct mnk_interval *interval = kzalloc(sizeof(*interval), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, interval);
	interval->m = m;
	interval->start = start;
	interval->length = length;
	init_completion(&interval->removed);
	spin_lock_init(&interval->lock);
	mnk_add(&interval->node, &mnk_current->intervals);
	return interval;
}

/**
 * mnk_insert() - insert a subscription to a range
 * @interval: the &struct mnk_interval.
 *
 * Return: what mmu_interval_notifier_insert() returned.
 */
long mnk_insert(void *interval)
{
	struct mnk_interval *mnk_interval = interval;
	int ret;

	mnk_before_insertion(mnk_interval);
	ret = mmu_interval_notifier_insert(&mnk_interval->notifier,
					   mnk_interval->m->mm,
					   mnk_interval->start,
					   mnk_interval->length,
					   mnk_ops(mnk_interval));
	if (!ret)
		mnk_interval->live = true;
	return ret;
}

/**
 * mnk_insert_locked() - insert a subscription to a range under mmap_lock
 * @interval: the &struct mnk_interval.
 *
 * Return: what mmu_interval_notifier_insert_locked() returned.
 */
long mnk_insert_locked(void *interval)
{
	struct mnk_interval *mnk_interval = interval;
	struct mm_struct *mm = mnk_interval->m->mm;
	int ret;

	mnk_before_insertion(mnk_interval);
	mmap_write_lock(mm);
	ret = mmu_interval_notifier_insert_locked(&mnk_interval->notifier, mm,
						  mnk_interval->start,
						  mnk_interval->length,
						  mnk_ops(mnk_interval));
	mmap_write_unlock(mm);
	if (!ret)
		mnk_interval->live = true;
	return ret;
}

/**
 * mnk_remove() - remove a subscription to a range
 * @interval: the &struct mnk_interval.
 *
 * Return: the number of callbacks that are still running, which must be 0.
 */
long mnk_remove(void *interval)
{
	struct mnk_interval *mnk_interval = interval;
	long running;

	mnk_interval->live = false;
	mmu_interval_notifier_remove(&mnk_interval->notifier);
	WRITE_ONCE(mnk_interval->ended, true);
	running = atomic_read(&mnk_interval->running);
	if (running)
		atomic_inc(&mnk_interval->late);
	return running;
}

/**
 * mnk_removed() - record that an asynchronous removal has come to its end
 * @notifier: the subscription.
 */
void mnk_removed(struct mmu_interval_notifier *notifier)
{
	struct mnk_interval *interval = mnk_to_interval(notifier);

	WRITE_ONCE(interval->ended, true);
	if (atomic_read(&interval->running))
		atomic_inc(&interval->late);
	atomic_inc(&interval->removals);
	if (interval->insert_again)
		mnk_insert(interval);
	complete_all(&interval->removed);
	mnk_pass(READ_ONCE(interval->removed_gate));
}

/**
 * mnk_remove_async() - remove a subscription to a range without waiting
 * @interval: the subscription.
 */
void mnk_remove_async(struct mnk_interval *interval)
{
	interval->live = false;
	mmu_interval_notifier_remove_async(&interval->notifier, mnk_removed);
}

/**
 * mnk_read_begin() - call mmu_interval_read_begin()
 * @interval: the &struct mnk_interval.
 *
 * Return: the sequence.
 */
long mnk_read_begin(void *interval)
{
	struct mnk_interval *mnk_interval = interval;

	return mmu_interval_read_begin(&mnk_interval->notifier);
}

/**
 * mnk_read_retry() - call mmu_interval_read_retry() under the driver's lock
 * @interval: the subscription.
 * @seq: what mmu_interval_read_begin() returned.
 *
 * Return: what mmu_interval_read_retry() returned.
 */
bool mnk_read_retry(struct mnk_interval *interval, unsigned long seq)
{
	bool ret;

	spin_lock(&interval->lock);
	ret = mmu_interval_read_retry(&interval->notifier, seq);
	spin_unlock(&interval->lock);
	return ret;
}

/*
 * Ranges
 */

/**
 * mnk_range() - make a range, not started
 * @test: the case.
 * @m: the mm.
 * @start: first address.
 * @end: first address behind.
 *
 * Return: the range.
 */
struct mnk_range *mnk_range(struct kunit *test, struct mnk_mm *m,
			    unsigned long start, unsigned long end)
{
	struct mnk_range *range = kzalloc(sizeof(*range), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, range);
	mmu_notifier_range_init_owner(&range->range, MMU_NOTIFY_CLEAR, 0,
				      m->mm, start, end, range);
	mnk_add(&range->node, &mnk_current->ranges);
	return range;
}

/**
 * mnk_range_open() - make a range and start it
 * @test: the case.
 * @m: the mm.
 * @start: first address.
 * @end: first address behind.
 *
 * Return: the range, to be ended with mnk_range_close().
 */
struct mnk_range *mnk_range_open(struct kunit *test, struct mnk_mm *m,
				 unsigned long start, unsigned long end)
{
	struct mnk_range *range = mnk_range(test, m, start, end);

	mmu_notifier_invalidate_range_start(&range->range);
	range->in_flight = true;
	return range;
}

/**
 * mnk_range_close() - end a range
 * @range: what mnk_range_open() returned.
 */
void mnk_range_close(struct mnk_range *range)
{
	range->in_flight = false;
	mmu_notifier_invalidate_range_end(&range->range);
}

/**
 * mnk_invalidate() - start a range and end it
 * @test: the case.
 * @m: the mm.
 * @start: first address.
 * @end: first address behind.
 */
void mnk_invalidate(struct kunit *test, struct mnk_mm *m, unsigned long start,
		    unsigned long end)
{
	mnk_range_close(mnk_range_open(test, m, start, end));
}

/**
 * mnk_invalidate_nonblock() - the same for callbacks that must not sleep
 * @test: the case.
 * @m: the mm.
 * @start: first address.
 * @end: first address behind.
 *
 * Return: what mmu_notifier_invalidate_range_start_nonblock() returned.
 */
int mnk_invalidate_nonblock(struct kunit *test, struct mnk_mm *m,
			    unsigned long start, unsigned long end)
{
	struct mnk_range *range = mnk_range(test, m, start, end);
	int ret;

	ret = mmu_notifier_invalidate_range_start_nonblock(&range->range);
	if (!ret)
		mmu_notifier_invalidate_range_end(&range->range);
	return ret;
}

/**
 * mnk_fly() - start a range, stop at its gate, end it
 * @range: the &struct mnk_range.
 *
 * Return: 0.
 */
long mnk_fly(void *range)
{
	struct mnk_range *mnk_range = range;

	mmu_notifier_invalidate_range_start(&mnk_range->range);
	mnk_pass(mnk_range->hold);
	mmu_notifier_invalidate_range_end(&mnk_range->range);
	return 0;
}

/*
 * The end of a case
 */

static void mnk_finish(struct kunit *test, long (*fn)(void *arg), void *arg)
{
	struct mnk *mnk = mnk_current;
	struct mnk_task *task;

	if (mnk->stuck)
		return;
	task = mnk_start(test, fn, arg);
	mnk->stuck = !mnk_ends(task);
	KUNIT_EXPECT_FALSE_MSG(test, mnk->stuck, "%ps does not return", fn);
}

static void mnk_check(struct kunit *test, struct mnk *mnk)
{
	struct mnk_interval *interval;
	struct mnk_list *list;
	struct mnk_mm *m;

	list_for_each_entry(list, &mnk->lists, node) {
		MNK_EXPECT_COUNT(test, list->late, 0);
		MNK_EXPECT_COUNT(test, list->unpaired, 0);
		MNK_EXPECT_COUNT(test, list->running, 0);
	}
	list_for_each_entry(interval, &mnk->intervals, node) {
		MNK_EXPECT_COUNT(test, interval->late, 0);
		MNK_EXPECT_COUNT(test, interval->running, 0);
	}
	list_for_each_entry(m, &mnk->mms, node) {
		if (!m->lazy)
			MNK_EXPECT_COUNT(test, m->mm->mm_count, 1);
	}
}

#define mnk_free_all(type, head)					\
do {									\
	type *__mnk_this, *__mnk_next;					\
									\
	list_for_each_entry_safe(__mnk_this, __mnk_next, head, node)	\
		kfree(__mnk_this);					\
} while (0)

/* What follows the case is done by another thread, which is not its fault. */
static void mnk_check_reports(struct kunit *test, struct mnk *mnk)
{
	unsigned int kind;

	for (kind = 0; kind < MMU_REPORT_KINDS; kind++)
		KUNIT_EXPECT_EQ_MSG(test, mnk->reports.nr[kind], 0,
				    "reports of kind %u", kind);
}

/**
 * mnk_exit() - end what the case left open, check, and free everything
 * @test: the case.
 *
 * If a task does not end, it is left behind with all that it may touch.
 */
void mnk_exit(struct kunit *test)
{
	struct mnk *mnk = mnk_current;
	struct mnk_interval *interval;
	struct mnk_range *range;
	struct mnk_gate *gate;
	struct mnk_list *list;
	struct mnk_task *task;
	struct mnk_mm *m;

	if (!mnk)
		return;

	mnk_check_reports(test, mnk);
	list_for_each_entry(gate, &mnk->gates, node)
		mnk_open(gate);
	list_for_each_entry(range, &mnk->ranges, node)
		if (range->in_flight)
			mnk_range_close(range);
	list_for_each_entry(task, &mnk->tasks, node) {
		if (mnk->stuck || mnk_ends(task))
			continue;
		KUNIT_FAIL(test, "%ps did not return", task->fn);
		mnk->stuck = true;
	}

	list_for_each_entry(interval, &mnk->intervals, node)
		if (interval->live)
			mnk_finish(test, mnk_remove, interval);
	list_for_each_entry(list, &mnk->lists, node) {
		if (!READ_ONCE(list->live))
			continue;
		if (list->notifier.ops->alloc_notifier) {
			while (!mnk->stuck && READ_ONCE(list->live))
				mnk_finish(test, mnk_put, list);
		} else {
			mnk_finish(test, mnk_unregister, list);
		}
	}
	list_for_each_entry(m, &mnk->mms, node)
		if (m->alive)
			mnk_finish(test, mnk_mmput, m);
	mnk_finish(test, mnk_synchronize, NULL);

	if (!mnk->stuck) {
		kunit_remove_resource(test, &mnk->resource);
		mnk_check(test, mnk);
		list_for_each_entry(m, &mnk->mms, node)
			mmdrop(m->mm);
		mnk_free_all(struct mnk_mm, &mnk->mms);
		mnk_free_all(struct mnk_gate, &mnk->gates);
		mnk_free_all(struct mnk_task, &mnk->tasks);
		mnk_free_all(struct mnk_list, &mnk->lists);
		mnk_free_all(struct mnk_interval, &mnk->intervals);
		mnk_free_all(struct mnk_range, &mnk->ranges);
		kfree(mnk);
	}
	mnk_current = NULL;
}
