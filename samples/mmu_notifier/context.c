// SPDX-License-Identifier: GPL-2.0
/*
 * One context per process, however often it opens the file, and nothing but
 * release(): for drivers that only have to know when an address space ends.
 *
 * A context has a number, as a device's has. Reading the file gives it, or 0
 * when the address space is gone.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "example.h"

/* [context] */
struct context {
	struct mmu_notifier sub;
	u64 number;
};

static atomic64_t context_last = ATOMIC64_INIT(0);

static struct mmu_notifier *context_alloc(struct mm_struct *mm)
{
	struct context *context = kzalloc(sizeof(*context), GFP_KERNEL_ACCOUNT);

	if (!context)
		return ERR_PTR(-ENOMEM);
	context->number = atomic64_inc_return(&context_last);
	return &context->sub;
}

static void context_free(struct mmu_notifier *sub)
{
	kfree(container_of(sub, struct context, sub));
}

static void context_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	/* Here the device is told to stop whatever it does in this context. */
	WRITE_ONCE(container_of(sub, struct context, sub)->number, 0);
}

static const struct mmu_notifier_ops context_ops = {
	.release = context_release,
	.alloc_notifier = context_alloc,
	.free_notifier = context_free,
};

static int context_open(struct inode *inode, struct file *file)
{
	struct mmu_notifier *sub = mmu_notifier_get(&context_ops, current->mm);

	if (IS_ERR(sub))
		return PTR_ERR(sub);
	file->private_data = container_of(sub, struct context, sub);
	return 0;
}

static int context_close(struct inode *inode, struct file *file)
{
	struct context *context = file->private_data;

	/* The last one frees it, some time later. */
	mmu_notifier_put(&context->sub);
	return 0;
}

/* [end] */

static ssize_t context_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct context *context = file->private_data;
	u64 number = READ_ONCE(context->number);

	if (count != sizeof(number))
		return -EINVAL;
	return copy_to_user(buf, &number, count) ? -EFAULT : count;
}

const struct file_operations context_fops = {
	.owner = THIS_MODULE,
	.open = context_open,
	.release = context_close,
	.read = context_read,
	.llseek = noop_llseek,
};
