// SPDX-License-Identifier: GPL-2.0
/*
 * A subscription to a whole mm, told of start and end: the way of hypervisors.
 *
 * The driver's lock is a spinlock, so nothing is ever refused. Which ranges are
 * in flight, and which have just ended, is kept in slots, so that a fault begins
 * again only if its own address is concerned (R3).
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_slots.h>
#include <linux/spinlock.h>

#include "example.h"

struct list_example {
	struct example ex;
	spinlock_t lock;	/* the driver's */
	struct mmu_notifier_slots slots;
	struct mmu_notifier sub;
};

static struct list_example *to_list(struct example *ex)
{
	return container_of(ex, struct list_example, ex);
}

/* [callbacks] */
static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	struct list_example *li = container_of(sub, struct list_example, sub);

	spin_lock(&li->lock);
	mmu_notifier_slots_begin(&li->slots, range->start, range->end - 1);
	example_drop(&li->ex, range->start, range->end);
	spin_unlock(&li->lock);
	return 0;
}

static void list_end(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
	struct list_example *li = container_of(sub, struct list_example, sub);

	spin_lock(&li->lock);
	mmu_notifier_slots_end(&li->slots, range->start, range->end - 1);
	spin_unlock(&li->lock);
}

static void list_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct list_example *li = container_of(sub, struct list_example, sub);

	spin_lock(&li->lock);
	example_drop(&li->ex, 0, ULONG_MAX);
	spin_unlock(&li->lock);
}

static const struct mmu_notifier_ops list_ops = {
	.release = list_release,
	.invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
};

/* [end] */

/* [retry] */
static int list_fault(struct example *ex, unsigned long addr, bool write)
{
	struct list_example *li = to_list(ex);
	struct page *page;
	int ret = 0;
	u64 seq;

	spin_lock(&li->lock);
	seq = mmu_notifier_slots_seq(&li->slots);
	spin_unlock(&li->lock);

	ret = get_user_pages_fast(addr, 1, write ? FOLL_WRITE : 0, &page);
	if (ret != 1)
		return ret ?: -EFAULT;

	spin_lock(&li->lock);
	if (mmu_notifier_slots_retry(&li->slots, seq, addr,
				     addr + PAGE_SIZE - 1)) {
		ret = -EAGAIN;
	} else {
		example_install(ex, addr, page, write);
		ret = 0;
	}
	spin_unlock(&li->lock);

	/* It was needed for finding the page, not for using it (R2). */
	put_page(page);
	return ret;
}

/* [end] */

static int list_access(struct example *ex, struct example_access *access)
{
	struct list_example *li = to_list(ex);
	int ret;

	spin_lock(&li->lock);
	ret = example_use(ex, access);
	spin_unlock(&li->lock);
	return ret;
}

/* [register] */
static int list_begin(struct example *ex)
{
	struct list_example *li = to_list(ex);

	spin_lock_init(&li->lock);
	mmu_notifier_slots_init(&li->slots);
	li->sub.ops = &list_ops;
	return mmu_notifier_register(&li->sub, ex->mm);
}

/* Also when the process has exited: exit calls release(), nothing more. */
static void list_end_subscription(struct example *ex)
{
	mmu_notifier_unregister(&to_list(ex)->sub, ex->mm);
}

/* [end] */

const struct example_kind list_kind = {
	.size = sizeof(struct list_example),
	.begin = list_begin,
	.end = list_end_subscription,
	.access = list_access,
	.fault = list_fault,
};
