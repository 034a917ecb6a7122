// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: subscriptions to the process that asks for them, so that a
 * program can measure what its own system calls cost.
 *
 * Open "subscribe" in /sys/kernel/debug/mmu_notifier_bench and write one of
 *
 *  list		a list subscription whose callbacks are empty
 *  interval ADDR	a subscription to the page at ADDR, likewise
 *  count		list subscriptions that count their callbacks
 *
 * Reading from offset 0 gives the counts, "start N tlb N young N everything N".
 * A file has one subscription, which ends when the file is closed.
 */

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mmu_notifier_bench.h"

/**
 * struct bench_self - an open file
 * @lock: one command at a time.
 * @mm: whom it subscribes to, NULL: nobody yet.
 * @list: "list" and "count": what is registered.
 * @tlb: "count": the other one. Who implements this may not listen to ranges.
 * @interval: "interval": what is inserted.
 * @starts: ranges begun.
 * @tlbs: TLB flushes.
 * @youngs: questions whether a page is young.
 * @everythings: TLB flushes of the whole address space.
 */
struct bench_self {
	struct mutex lock;	/* see above */
	struct mm_struct *mm;
	struct mmu_notifier list;
	struct mmu_notifier tlb;
	struct mmu_interval_notifier interval;
	atomic_long_t starts;
	atomic_long_t tlbs;
	atomic_long_t youngs;
	atomic_long_t everythings;
};

static int bench_count_start(struct mmu_notifier *subscription,
			     const struct mmu_notifier_range *range)
{
	atomic_long_inc(&container_of(subscription, struct bench_self,
				      list)->starts);
	return 0;
}

static int bench_count_young(struct mmu_notifier *subscription,
			     struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	atomic_long_inc(&container_of(subscription, struct bench_self,
				      list)->youngs);
	return 0;
}

static int bench_count_test_young(struct mmu_notifier *subscription,
				  struct mm_struct *mm, unsigned long address)
{
	return bench_count_young(subscription, mm, address,
				 address + PAGE_SIZE);
}

static const struct mmu_notifier_ops bench_count_ops = {
	.invalidate_range_start = bench_count_start,
	.clear_flush_young = bench_count_young,
	.clear_young = bench_count_young,
	.test_young = bench_count_test_young,
};

static void bench_count_tlb(struct mmu_notifier *subscription,
			    struct mm_struct *mm, unsigned long start,
			    unsigned long end)
{
	struct bench_self *self = container_of(subscription, struct bench_self,
					       tlb);

	atomic_long_inc(&self->tlbs);
	if (!start && end == ULONG_MAX)
		atomic_long_inc(&self->everythings);
}

static const struct mmu_notifier_ops bench_count_tlb_ops = {
	.arch_invalidate_secondary_tlbs = bench_count_tlb,
};

/* What is set up has ops, and is ended when the file is closed. */
static int bench_self_register(struct bench_self *self,
			       struct mmu_notifier *subscription,
			       const struct mmu_notifier_ops *ops)
{
	int ret;

	subscription->ops = ops;
	ret = mmu_notifier_register(subscription, self->mm);
	if (ret)
		subscription->ops = NULL;
	return ret;
}

static int bench_self_insert(struct bench_self *self, unsigned long addr)
{
	int ret = mmu_interval_notifier_insert(&self->interval, self->mm, addr,
					       PAGE_SIZE,
					       &mmu_bench_interval_ops);

	if (ret)
		self->interval.ops = NULL;
	return ret;
}

static int bench_self_subscribe(struct bench_self *self, const char *command)
{
	unsigned long addr;
	int ret;

	if (self->mm)
		return -EBUSY;
	self->mm = current->mm;
	if (sscanf(command, "interval %lx", &addr) == 1)
		return bench_self_insert(self, addr);
	if (sysfs_streq(command, "list"))
		return bench_self_register(self, &self->list,
					   &mmu_bench_list_ops);
	if (sysfs_streq(command, "count")) {
		ret = bench_self_register(self, &self->list, &bench_count_ops);
		return ret ?: bench_self_register(self, &self->tlb,
						  &bench_count_tlb_ops);
	}
	self->mm = NULL;
	return -EINVAL;
}

static ssize_t bench_self_write(struct file *file, const char __user *buf,
				size_t count, loff_t *ppos)
{
	struct bench_self *self = file->private_data;
	char command[32] = "";
	int ret;

	if (count >= sizeof(command))
		return -EINVAL;
	if (copy_from_user(command, buf, count))
		return -EFAULT;
	mutex_lock(&self->lock);
	ret = bench_self_subscribe(self, command);
	mutex_unlock(&self->lock);
	return ret ?: count;
}

static ssize_t bench_self_read(struct file *file, char __user *buf,
			       size_t count, loff_t *ppos)
{
	struct bench_self *self = file->private_data;
	char text[120];
	int len;

	len = scnprintf(text, sizeof(text),
			"start %ld tlb %ld young %ld everything %ld\n",
			atomic_long_read(&self->starts),
			atomic_long_read(&self->tlbs),
			atomic_long_read(&self->youngs),
			atomic_long_read(&self->everythings));
	return simple_read_from_buffer(buf, count, ppos, text, len);
}

static int bench_self_open(struct inode *inode, struct file *file)
{
	struct bench_self *self = kzalloc(sizeof(*self), GFP_KERNEL);

	if (!self)
		return -ENOMEM;
	mutex_init(&self->lock);
	file->private_data = self;
	return 0;
}

/* The process may have exited; the subscriptions hold its mm. */
static int bench_self_release(struct inode *inode, struct file *file)
{
	struct bench_self *self = file->private_data;

	if (self->tlb.ops)
		mmu_notifier_unregister(&self->tlb, self->mm);
	if (self->list.ops)
		mmu_notifier_unregister(&self->list, self->mm);
	if (self->interval.ops)
		mmu_interval_notifier_remove(&self->interval);
	kfree(self);
	return 0;
}

static const struct file_operations bench_self_fops = {
	.owner = THIS_MODULE,
	.open = bench_self_open,
	.read = bench_self_read,
	.write = bench_self_write,
	.release = bench_self_release,
};

/**
 * mmu_bench_self_init() - make the file
 * @dir: the directory.
 */
void mmu_bench_self_init(struct dentry *dir)
{
	debugfs_create_file("subscribe", 0600, dir, NULL, &bench_self_fops);
}
