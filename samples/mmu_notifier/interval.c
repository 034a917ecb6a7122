// SPDX-License-Identifier: GPL-2.0
/*
 * A subscription to addresses, and hmm_range_fault(): what fits most devices.
 *
 * The driver's lock is a mutex. The core keeps the sequence. Here the addresses
 * are all of the process's; a driver with a window, a queue, a buffer subscribes
 * to that.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/signal.h>

#include "example.h"

static struct interval_example *to_interval(struct example *ex)
{
	return container_of(ex, struct interval_example, ex);
}

/* [invalidate] */
static bool interval_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	struct interval_example *in =
		container_of(sub, struct interval_example, sub);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&in->lock);
	else if (!mutex_trylock(&in->lock))
		return false;

	mmu_interval_set_seq(sub, cur_seq);
	example_drop(&in->ex, range->start, range->end);
	mutex_unlock(&in->lock);
	return true;
}

/* [end] */

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_invalidate,
};

/* [retry] */
int interval_fault(struct example *ex, unsigned long addr, bool write)
{
	struct interval_example *in = to_interval(ex);
	unsigned long pfn = 0;
	struct hmm_range range = {
		.notifier = &in->sub,
		.start = addr,
		.end = addr + PAGE_SIZE,
		.hmm_pfns = &pfn,
		.default_flags = HMM_PFN_REQ_FAULT,
	};
	int ret;

	if (write)
		range.default_flags |= HMM_PFN_REQ_WRITE;

again:
	if (fatal_signal_pending(current))
		return -EINTR;
	/* 1. Take the sequence, with no lock held. */
	range.notifier_seq = mmu_interval_read_begin(&in->sub);

	/* 2. Find the page. It may be gone as soon as that is done. */
	if (mmap_read_lock_killable(ex->mm))
		return -EINTR;
	ret = hmm_range_fault(&range);
	mmap_read_unlock(ex->mm);
	if (ret == -EBUSY)
		goto again;
	if (ret)
		return ret == -EPERM ? -EFAULT : ret;

	/* 3. Under the lock of invalidate: did anything collide? */
	mutex_lock(&in->lock);
	if (mmu_interval_read_retry(&in->sub, range.notifier_seq)) {
		mutex_unlock(&in->lock);
		goto again;
	}
	/* 4. No. From here on invalidate will find the SPTE. */
	example_install(ex, addr, hmm_pfn_to_page(pfn), pfn & HMM_PFN_WRITE);
	mutex_unlock(&in->lock);
	return 0;
}

/* [end] */

int interval_access(struct example *ex, struct example_access *access)
{
	struct interval_example *in = to_interval(ex);
	int ret;

	mutex_lock(&in->lock);
	ret = example_use(ex, access);
	mutex_unlock(&in->lock);
	return ret;
}

/* [insert] */
static int interval_begin(struct example *ex)
{
	struct interval_example *in = to_interval(ex);

	/* Callbacks may come before this returns. */
	mutex_init(&in->lock);
	return mmu_interval_notifier_insert(&in->sub, ex->mm, 0, TASK_SIZE,
					    &interval_ops);
}

void interval_end(struct example *ex)
{
	struct interval_example *in = to_interval(ex);

	/* As long as somebody is there to tell us that a page goes. */
	mutex_lock(&in->lock);
	example_drop(ex, 0, ULONG_MAX);
	mutex_unlock(&in->lock);

	/* Not under the lock: this waits for callbacks, which take it. */
	mmu_interval_notifier_remove(&in->sub);
}

/* [end] */

const struct example_kind interval_kind = {
	.size = sizeof(struct interval_example),
	.begin = interval_begin,
	.end = interval_end,
	.access = interval_access,
	.fault = interval_fault,
};
