// SPDX-License-Identifier: GPL-2.0
/*
 * Subscriptions that end in their own callback: registered buffers which any
 * change makes invalid for good.
 *
 * Writing two words, address and length, registers a region; reading a word
 * gives the number of those that are still valid. A region that is invalidated
 * removes its subscription, which cannot wait there; close removes all that are
 * left, and waits once.
 *
 * Who ends a region is decided under the lock, by whether it is in the list. A
 * callback of a region that is no longer in the list may still be running; so
 * the owner is held by each region, until its subscription is gone.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "example.h"

#define MAX_REGIONS	64

/**
 * struct regions - an open file
 * @ref: the file's, and each region's.
 * @mm: the process's, with a reference on mm_count.
 * @lock: guards what follows.
 * @list: the valid regions.
 * @nr: how many.
 */
struct regions {
	struct kref ref;
	struct mm_struct *mm;
	spinlock_t lock;	/* the driver's */
	struct list_head list;
	unsigned int nr;
};

/**
 * struct region - a registered buffer
 * @sub: the subscription.
 * @node: in regions.list, if it is valid.
 * @owner: the file's.
 */
struct region {
	struct mmu_interval_notifier sub;
	struct list_head node;
	struct regions *owner;
};

static void regions_free(struct kref *ref)
{
	struct regions *owner = container_of(ref, struct regions, ref);

	mmdrop(owner->mm);
	kfree(owner);
}

static void region_free(struct mmu_interval_notifier *sub)
{
	struct region *region = container_of(sub, struct region, sub);

	kref_put(&region->owner->ref, regions_free);
	kfree(region);
}

/* [async] */
static bool region_invalidate(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct region *region = container_of(sub, struct region, sub);
	struct regions *owner = region->owner;
	bool mine;

	spin_lock(&owner->lock);
	mmu_interval_set_seq(sub, cur_seq);
	mine = !list_empty(&region->node);
	if (mine) {
		list_del_init(&region->node);
		WRITE_ONCE(owner->nr, owner->nr - 1);
		/* Here the device is told to forget the buffer. */
	}
	spin_unlock(&owner->lock);

	/* Waiting would be for ourselves. Callbacks may come until then. */
	if (mine)
		mmu_interval_notifier_remove_async(sub, region_free);
	return true;
}

/* [end] */

static const struct mmu_interval_notifier_ops region_ops = {
	.invalidate = region_invalidate,
};

/* [batch] */
static int regions_close(struct inode *inode, struct file *file)
{
	struct mmu_interval_notifier *subs[MAX_REGIONS];
	struct regions *owner = file->private_data;
	struct region *region, *next;
	unsigned int i, nr = 0;

	spin_lock(&owner->lock);
	list_for_each_entry_safe(region, next, &owner->list, node) {
		list_del_init(&region->node);
		subs[nr++] = &region->sub;
	}
	spin_unlock(&owner->lock);

	/* One wait for all of them. */
	mmu_interval_notifier_remove_batch(subs, nr, NULL);
	for (i = 0; i < nr; i++)
		region_free(subs[i]);

	kref_put(&owner->ref, regions_free);
	return 0;
}

/* [end] */

static int regions_open(struct inode *inode, struct file *file)
{
	struct regions *owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);

	if (!owner)
		return -ENOMEM;
	kref_init(&owner->ref);
	spin_lock_init(&owner->lock);
	INIT_LIST_HEAD(&owner->list);
	owner->mm = current->mm;
	mmgrab(owner->mm);
	file->private_data = owner;
	return 0;
}

/*
 * Make it valid. What the device is to know of the buffer would be found out in
 * the loop: a change since then, or one that is under way, is one too many.
 */
static int region_publish(struct region *region)
{
	struct regions *owner = region->owner;
	unsigned long seq;
	int ret = 0;

again:
	if (fatal_signal_pending(current))
		return -EINTR;
	seq = mmu_interval_read_begin(&region->sub);

	spin_lock(&owner->lock);
	if (mmu_interval_read_retry(&region->sub, seq)) {
		spin_unlock(&owner->lock);
		goto again;
	}
	if (owner->nr < MAX_REGIONS) {
		list_add(&region->node, &owner->list);
		WRITE_ONCE(owner->nr, owner->nr + 1);
	} else {
		ret = -ENOSPC;
	}
	spin_unlock(&owner->lock);
	return ret;
}

static int region_make(struct regions *owner, unsigned long start,
		       unsigned long length)
{
	struct region *region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!region)
		return -ENOMEM;
	INIT_LIST_HEAD(&region->node);
	region->owner = owner;

	ret = mmu_interval_notifier_insert(&region->sub, owner->mm, start,
					   length, &region_ops);
	if (ret) {
		/* Nothing to remove: it was never inserted. */
		kfree(region);
		return ret;
	}
	kref_get(&owner->ref);

	ret = region_publish(region);
	if (ret) {
		mmu_interval_notifier_remove(&region->sub);
		region_free(&region->sub);
	}
	return ret;
}

static ssize_t regions_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *pos)
{
	struct regions *owner = file->private_data;
	u64 range[2];
	int ret;

	if (count != sizeof(range))
		return -EINVAL;
	if (owner->mm != current->mm)
		return -EPERM;
	if (copy_from_user(range, buf, count))
		return -EFAULT;
	if (!range[1])
		return -EINVAL;
	if (range[0] >= TASK_SIZE || range[1] > TASK_SIZE - range[0])
		return -EOVERFLOW;

	ret = region_make(owner, range[0], range[1]);
	return ret ?: count;
}

static ssize_t regions_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct regions *owner = file->private_data;
	u64 nr = READ_ONCE(owner->nr);

	if (count != sizeof(nr))
		return -EINVAL;
	return copy_to_user(buf, &nr, count) ? -EFAULT : count;
}

const struct file_operations regions_fops = {
	.owner = THIS_MODULE,
	.open = regions_open,
	.release = regions_close,
	.read = regions_read,
	.write = regions_write,
	.llseek = noop_llseek,
};
