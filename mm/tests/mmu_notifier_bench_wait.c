// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: who waits for an invalidation that is none of his business.
 *
 * A *scene* is one mm, with an invalidation of addresses X that is *held* in
 * flight for some time, and five *tasks*, all at once, that have nothing to do
 * with X:
 *
 *  read-begin	on a subscription to Y1, after it collided once and that
 *		collision is over
 *  insert	of a subscription to Y2, until its first reader may go ahead
 *  remove	of a subscription to Y3, which collided once too
 *  unregister	of a list subscription of a second mm
 *  exit	of a third mm that has a list subscription
 *
 * Y1 to Y3 and X are disjoint. Each task says how many microseconds it took;
 * the same scene with nothing held is the control.
 *
 * In a *chain*, two threads take turns at holding: each ends its invalidation
 * as soon as the other has begun one, so that there always is one in flight and
 * none of them lasts. It goes on until all tasks are done, or BENCH_CHAIN_MS
 * have passed: a figure as large as that is a time-out.
 */

#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "mmu_notifier_bench.h"

#define BENCH_RUNS	20
#define BENCH_SHORT_RUNS 5
#define BENCH_HOLD_MS	1000
#define BENCH_CHAIN_MS	5000
/* A kind of scene is not begun again after that time. */
#define BENCH_KIND_MS	30000

/* Pages; the list subscription sleeps for ranges that begin at X. */
#define BENCH_X		16UL
#define BENCH_Y(i)	(1024UL * (i))
#define BENCH_NR	4UL

/**
 * struct bench_kind - how X is held
 * @name: the end of the name of the case.
 * @list: a list subscription is there; its start sleeps.
 * @interval: a subscription to X is there; its invalidate sleeps if @list does
 *	not.
 * @held: anything is; without @list and @interval whoever invalidates sleeps
 *	between start and end.
 * @chain: see above.
 */
struct bench_kind {
	const char *name;
	bool list;
	bool interval;
	bool held;
	bool chain;
};

struct bench_scene;

struct bench_task {
	struct bench_scene *scene;
	unsigned int nr;
	struct completion done;
	s64 us;
};

enum { BENCH_READ, BENCH_INSERT, BENCH_REMOVE, BENCH_UNREGISTER, BENCH_EXIT, BENCH_TASKS };

static const char * const bench_task_names[] = {
	"read-begin", "insert", "remove", "unregister", "exit",
};

/**
 * struct bench_scene - see above
 * @kind: how X is held.
 * @ms: for how long.
 * @mm: the mm.
 * @list: its list subscription.
 * @cover: its subscription to X.
 * @y: those of the first three tasks.
 * @other: the mms of the last two.
 * @other_list: their subscriptions.
 * @tasks: the tasks.
 * @held: X is in flight.
 * @released: it is not any more.
 * @turn: in a chain, the number of the next invalidation.
 * @stop: the chain is to end.
 * @wq: where its threads wait for that.
 * @holders: threads that hold and have not ended.
 */
struct bench_scene {
	const struct bench_kind *kind;
	unsigned int ms;
	struct mm_struct *mm;
	struct mmu_notifier list;
	struct mmu_interval_notifier cover;
	struct mmu_interval_notifier y[BENCH_REMOVE + 1];
	struct mm_struct *other[2];
	struct mmu_notifier other_list[2];
	struct bench_task tasks[BENCH_TASKS];
	struct completion held;
	struct completion released;
	unsigned long turn;
	bool stop;
	wait_queue_head_t wq;
	atomic_t holders;
};

static void bench_hold(struct bench_scene *scene)
{
	complete(&scene->held);
	schedule_timeout_idle(msecs_to_jiffies(scene->ms));
}

static int bench_list_start(struct mmu_notifier *subscription,
			    const struct mmu_notifier_range *range)
{
	struct bench_scene *scene = container_of(subscription,
						 struct bench_scene, list);

	if (scene->kind->held && !scene->kind->chain &&
	    range->start == BENCH_X * PAGE_SIZE)
		bench_hold(scene);
	return 0;
}

static void bench_list_end(struct mmu_notifier *subscription,
			   const struct mmu_notifier_range *range)
{
}

static const struct mmu_notifier_ops bench_list_ops = {
	.invalidate_range_start = bench_list_start,
	.invalidate_range_end = bench_list_end,
};

static bool bench_cover_invalidate(struct mmu_interval_notifier *subscription,
				   const struct mmu_notifier_range *range,
				   unsigned long cur_seq)
{
	struct bench_scene *scene = container_of(subscription,
						 struct bench_scene, cover);

	mmu_interval_set_seq(subscription, cur_seq);
	if (scene->kind->held && !scene->kind->list && !scene->kind->chain)
		bench_hold(scene);
	return true;
}

static const struct mmu_interval_notifier_ops bench_cover_ops = {
	.invalidate = bench_cover_invalidate,
};

/* Holders */

static void bench_release_one(struct bench_scene *scene)
{
	if (atomic_dec_and_test(&scene->holders))
		complete(&scene->released);
}

static int bench_holder(void *arg)
{
	struct bench_scene *scene = arg;
	struct mmu_notifier_range range;

	mmu_bench_range(&range, scene->mm, BENCH_X, BENCH_NR);
	mmu_notifier_invalidate_range_start(&range);
	if (!scene->kind->list && !scene->kind->interval)
		bench_hold(scene);
	mmu_notifier_invalidate_range_end(&range);
	bench_release_one(scene);
	return 0;
}

static bool bench_turn(struct bench_scene *scene, unsigned long turn)
{
	return READ_ONCE(scene->turn) == turn || READ_ONCE(scene->stop);
}

/* One of the two of a chain: its turns are those as odd as @first. */
static void bench_link(struct bench_scene *scene, unsigned long first)
{
	struct mmu_notifier_range range;
	unsigned long turn;

	for (turn = first; ; turn += 2) {
		wait_event_idle(scene->wq, bench_turn(scene, turn));
		if (READ_ONCE(scene->stop))
			break;
		mmu_bench_range(&range, scene->mm, BENCH_X + 64 * first,
				BENCH_NR);
		mmu_notifier_invalidate_range_start(&range);
		WRITE_ONCE(scene->turn, turn + 1);
		wake_up_all(&scene->wq);
		if (turn == 1)
			complete(&scene->held);
		/* Until the other one has begun */
		wait_event_idle(scene->wq, bench_turn(scene, turn + 2));
		mmu_notifier_invalidate_range_end(&range);
	}
	bench_release_one(scene);
}

static int bench_link_even(void *scene)
{
	bench_link(scene, 0);
	return 0;
}

static int bench_link_odd(void *scene)
{
	bench_link(scene, 1);
	return 0;
}

/* Tasks */

static void bench_collide(struct bench_scene *scene, unsigned int nr)
{
	struct mmu_notifier_range range;

	mmu_bench_range(&range, scene->mm, BENCH_Y(nr + 1), BENCH_NR);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
}

static int bench_insert_y(struct bench_scene *scene, unsigned int nr)
{
	return mmu_interval_notifier_insert(&scene->y[nr], scene->mm,
					    BENCH_Y(nr + 1) * PAGE_SIZE,
					    BENCH_NR * PAGE_SIZE,
					    &mmu_bench_interval_ops);
}

static int bench_task(void *arg)
{
	struct bench_task *task = arg;
	struct bench_scene *scene = task->scene;
	ktime_t begin;
	int ret = 0;

	if (task->nr == BENCH_READ || task->nr == BENCH_REMOVE)
		bench_collide(scene, task->nr);

	begin = ktime_get();
	switch (task->nr) {
	case BENCH_READ:
		mmu_interval_read_begin(&scene->y[BENCH_READ]);
		break;
	case BENCH_INSERT:
		ret = bench_insert_y(scene, BENCH_INSERT);
		if (!ret)
			mmu_interval_read_begin(&scene->y[BENCH_INSERT]);
		break;
	case BENCH_REMOVE:
		mmu_interval_notifier_remove(&scene->y[BENCH_REMOVE]);
		break;
	case BENCH_UNREGISTER:
		mmu_notifier_unregister(&scene->other_list[0], scene->other[0]);
		break;
	case BENCH_EXIT:
		mmput(scene->other[1]);
		break;
	}
	task->us = ret ?: ktime_us_delta(ktime_get(), begin);
	complete(&task->done);
	return 0;
}

/* Scenes */

static int bench_other(struct bench_scene *scene, unsigned int i)
{
	int ret;

	scene->other[i] = mm_alloc();
	if (!scene->other[i])
		return -ENOMEM;
	scene->other_list[i].ops = &mmu_bench_list_ops;
	ret = mmu_notifier_register(&scene->other_list[i], scene->other[i]);
	if (ret)
		mmput(scene->other[i]);
	return ret;
}

static int bench_subscribe_x(struct bench_scene *scene)
{
	int ret;

	if (scene->kind->list) {
		scene->list.ops = &bench_list_ops;
		ret = mmu_notifier_register(&scene->list, scene->mm);
		if (ret)
			return ret;
	}
	if (scene->kind->interval) {
		ret = mmu_interval_notifier_insert(&scene->cover, scene->mm,
						   BENCH_X * PAGE_SIZE,
						   BENCH_NR * PAGE_SIZE,
						   &bench_cover_ops);
		if (ret)
			goto unregister;
	}
	return 0;

unregister:
	if (scene->kind->list)
		mmu_notifier_unregister(&scene->list, scene->mm);
	return ret;
}

static void bench_unsubscribe_x(struct bench_scene *scene)
{
	if (scene->kind->interval)
		mmu_interval_notifier_remove(&scene->cover);
	if (scene->kind->list)
		mmu_notifier_unregister(&scene->list, scene->mm);
}

static int bench_scene_setup(struct bench_scene *scene)
{
	int ret = -ENOMEM;

	init_completion(&scene->held);
	init_completion(&scene->released);
	init_waitqueue_head(&scene->wq);
	scene->mm = mm_alloc();
	if (!scene->mm)
		return ret;
	ret = bench_subscribe_x(scene);
	if (ret)
		goto err_mm;
	ret = bench_insert_y(scene, BENCH_READ);
	if (ret)
		goto err_x;
	ret = bench_insert_y(scene, BENCH_REMOVE);
	if (ret)
		goto err_read;
	ret = bench_other(scene, 0);
	if (ret)
		goto err_remove;
	ret = bench_other(scene, 1);
	if (ret)
		goto err_other;
	return 0;

err_other:
	mmu_notifier_unregister(&scene->other_list[0], scene->other[0]);
	mmput(scene->other[0]);
err_remove:
	mmu_interval_notifier_remove(&scene->y[BENCH_REMOVE]);
err_read:
	mmu_interval_notifier_remove(&scene->y[BENCH_READ]);
err_x:
	bench_unsubscribe_x(scene);
err_mm:
	mmput(scene->mm);
	return ret;
}

/* After the tasks, each of which has done its part */
static void bench_scene_teardown(struct bench_scene *scene)
{
	if (scene->tasks[BENCH_INSERT].us >= 0)
		mmu_interval_notifier_remove(&scene->y[BENCH_INSERT]);
	mmu_interval_notifier_remove(&scene->y[BENCH_READ]);
	bench_unsubscribe_x(scene);
	mmput(scene->mm);
	mmput(scene->other[0]);
	/* Its mm has exited; the subscription keeps what is left of it. */
	mmu_notifier_unregister(&scene->other_list[1], scene->other[1]);
}

static int bench_start_holder(struct bench_scene *scene, int (*fn)(void *arg))
{
	struct task_struct *thread;

	atomic_inc(&scene->holders);
	thread = kthread_run(fn, scene, "mmu_bench_hold");
	if (!IS_ERR(thread))
		return 0;
	bench_release_one(scene);
	return PTR_ERR(thread);
}

static int bench_start_holders(struct bench_scene *scene)
{
	int ret;

	if (!scene->kind->held)
		return 0;
	if (scene->kind->chain) {
		ret = bench_start_holder(scene, bench_link_even);
		ret = ret ?: bench_start_holder(scene, bench_link_odd);
	} else {
		ret = bench_start_holder(scene, bench_holder);
	}
	if (!ret)
		wait_for_completion_state(&scene->held, TASK_IDLE);
	return ret;
}

/* All at once. One that gets no thread is done here, to be undone later. */
static int bench_start_tasks(struct bench_scene *scene)
{
	struct task_struct *threads[BENCH_TASKS];
	int i, ret = 0;

	for (i = 0; i < BENCH_TASKS; i++) {
		scene->tasks[i].scene = scene;
		scene->tasks[i].nr = i;
		init_completion(&scene->tasks[i].done);
		threads[i] = kthread_create(bench_task, &scene->tasks[i],
					    "mmu_bench_task");
	}
	for (i = 0; i < BENCH_TASKS; i++) {
		if (!IS_ERR(threads[i])) {
			wake_up_process(threads[i]);
			continue;
		}
		ret = PTR_ERR(threads[i]);
		bench_task(&scene->tasks[i]);
	}
	return ret;
}

static void bench_wait_tasks(struct bench_scene *scene)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(BENCH_CHAIN_MS);
	long left;
	int i;

	for (i = 0; i < BENCH_TASKS && scene->kind->chain; i++) {
		left = max_t(long, deadline - jiffies, 0);
		if (!wait_for_completion_timeout(&scene->tasks[i].done, left))
			break;
		complete(&scene->tasks[i].done);	/* asked again below */
	}
	WRITE_ONCE(scene->stop, true);
	wake_up_all(&scene->wq);
	for (i = 0; i < BENCH_TASKS; i++)
		wait_for_completion_state(&scene->tasks[i].done, TASK_IDLE);
	if (scene->kind->held)
		wait_for_completion_state(&scene->released, TASK_IDLE);
}

static void bench_scene_report(const struct bench_scene *scene)
{
	const struct bench_kind *kind = scene->kind;
	char what[64], length[16] = "";
	const char *how;
	int i;

	if (scene->ms != BENCH_HOLD_MS)
		snprintf(length, sizeof(length), "-%ums", scene->ms);
	for (i = 0; i < BENCH_TASKS; i++) {
		how = kind->name;
		if (i >= BENCH_UNREGISTER && kind->held) {
			/* What another mm's callback does to them */
			if (!kind->list || kind->interval)
				continue;
			how = "foreign-callback";
		}
		snprintf(what, sizeof(what), "wait/%s-%s%s",
			 bench_task_names[i], how, length);
		mmu_bench_report(what, scene->tasks[i].us);
	}
}

static int bench_scene_run(const struct bench_kind *kind, unsigned int ms)
{
	struct bench_scene *scene = kzalloc(sizeof(*scene), GFP_KERNEL);
	int ret;

	if (!scene)
		return -ENOMEM;
	scene->kind = kind;
	scene->ms = ms;
	ret = bench_scene_setup(scene);
	if (ret)
		goto out;
	ret = bench_start_holders(scene);
	ret = bench_start_tasks(scene) ?: ret;
	bench_wait_tasks(scene);
	if (scene->tasks[BENCH_INSERT].us < 0)
		ret = scene->tasks[BENCH_INSERT].us;
	if (!ret)
		bench_scene_report(scene);
	bench_scene_teardown(scene);
out:
	kfree(scene);
	return ret;
}

static int bench_kind_run(const struct bench_kind *kind, unsigned int ms,
			  unsigned int runs)
{
	unsigned long until = jiffies + msecs_to_jiffies(BENCH_KIND_MS);
	int ret = 0;

	while (runs-- && !ret && time_before(jiffies, until))
		ret = bench_scene_run(kind, ms);
	return ret;
}

static const struct bench_kind bench_control = {
	.name = "control", .list = true, .interval = true,
};

/* Nobody subscribes to X itself. */
static const struct bench_kind bench_by_list = {
	.name = "foreign-held-list", .list = true, .held = true,
};

static const struct bench_kind bench_kinds[] = {
	{ .name = "foreign-held-list-covered", .list = true, .interval = true, .held = true },
	{ .name = "foreign-held-interval", .interval = true, .held = true },
	{ .name = "foreign-held-open", .held = true },
	{ .name = "foreign-chain", .interval = true, .held = true, .chain = true },
};

int mmu_bench_wait(void)
{
	static const unsigned int lengths[] = { 100, 200, 500, 2000 };
	int i, ret;

	ret = bench_kind_run(&bench_control, BENCH_HOLD_MS, BENCH_RUNS);
	ret = ret ?: bench_kind_run(&bench_by_list, BENCH_HOLD_MS, BENCH_RUNS);
	for (i = 0; i < ARRAY_SIZE(bench_kinds) && !ret; i++)
		ret = bench_kind_run(&bench_kinds[i], BENCH_HOLD_MS,
				     BENCH_RUNS);
	for (i = 0; i < ARRAY_SIZE(lengths) && !ret; i++)
		ret = bench_kind_run(&bench_by_list, lengths[i],
				     BENCH_SHORT_RUNS);
	return ret;
}
