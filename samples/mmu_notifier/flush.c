// SPDX-License-Identifier: GPL-2.0
/*
 * interval.c for a device whose TLB takes time to flush.
 *
 * The flush is a timer that stands for the device's interrupt. It is begun when
 * the SPTE has been dropped, and waited for when every subscription that the
 * range concerns has begun its own.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/bitops.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/mmu_notifier.h>
#include <linux/timer.h>

#include "example.h"

#define FLUSH_MS	2

/**
 * struct flush_example - the device
 * @in: what it has in common with interval.c.
 * @finish: what the core hands on from invalidate_start to invalidate_finish.
 * @busy: bit 0: @finish is in use.
 * @timer: the device at work.
 * @done: it is done.
 */
struct flush_example {
	struct interval_example in;
	struct mmu_interval_notifier_finish finish;
	unsigned long busy;
	struct timer_list timer;
	struct completion done;
};

static void flush_timer(struct timer_list *timer)
{
	complete(&from_timer((struct flush_example *)NULL, timer, timer)->done);
}

/* [start] */
static bool flush_start(struct mmu_interval_notifier *sub,
			const struct mmu_notifier_range *range,
			unsigned long cur_seq,
			struct mmu_interval_notifier_finish **finish)
{
	struct flush_example *fl =
		container_of(sub, struct flush_example, in.sub);

	/* Who waits for the device cannot answer at once. */
	if (!mmu_notifier_range_blockable(range))
		return false;

	mutex_lock(&fl->in.lock);
	mmu_interval_set_seq(sub, cur_seq);
	example_drop(&fl->in.ex, range->start, range->end);
	mutex_unlock(&fl->in.lock);

	/* Another range has the only struct: all at once, then. */
	if (test_and_set_bit_lock(0, &fl->busy)) {
		msleep(FLUSH_MS);
		return true;
	}
	reinit_completion(&fl->done);
	mod_timer(&fl->timer, jiffies + msecs_to_jiffies(FLUSH_MS));
	*finish = &fl->finish;
	return true;
}

static void flush_finish(struct mmu_interval_notifier_finish *finish)
{
	struct flush_example *fl =
		container_of(finish, struct flush_example, finish);

	wait_for_completion(&fl->done);
	clear_bit_unlock(0, &fl->busy);
}

static const struct mmu_interval_notifier_ops flush_ops = {
	.invalidate_start = flush_start,
	.invalidate_finish = flush_finish,
};

/* [end] */

static int flush_begin(struct example *ex)
{
	struct flush_example *fl = container_of(ex, struct flush_example, in.ex);

	mutex_init(&fl->in.lock);
	timer_setup(&fl->timer, flush_timer, 0);
	init_completion(&fl->done);
	return mmu_interval_notifier_insert(&fl->in.sub, ex->mm, 0, TASK_SIZE,
					    &flush_ops);
}

const struct example_kind flush_kind = {
	.size = sizeof(struct flush_example),
	.begin = flush_begin,
	/* Removal waits for invalidate_finish, thus for the timer. */
	.end = interval_end,
	.access = interval_access,
	.fault = interval_fault,
};
