// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_sleeper: a subscriber that sleeps in its callback.
 *
 * Uses nothing that stock does not have, so that it can be built for both. A
 * number written to the file subscribes to the writer's address space; from then
 * on each madvise(MADV_DONTNEED) there, or whatever else clears page-table entries
 * and may sleep, takes as many milliseconds more. It ends when the file is closed.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>

#define MAX_MS	60000

struct sleeper {
	struct mmu_notifier mn;
	unsigned int ms;	/* 0: not subscribed */
};

static int sleeper_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct sleeper *s = container_of(mn, struct sleeper, mn);

	if (range->event == MMU_NOTIFY_CLEAR && mmu_notifier_range_blockable(range))
		msleep(s->ms);
	return 0;
}

static const struct mmu_notifier_ops sleeper_ops = {
	.invalidate_range_start = sleeper_start,
};

static int sleeper_open(struct inode *inode, struct file *file)
{
	struct sleeper *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return -ENOMEM;
	s->mn.ops = &sleeper_ops;
	file->private_data = s;
	return 0;
}

static ssize_t sleeper_write(struct file *file, const char __user *text, size_t len,
			     loff_t *pos)
{
	struct sleeper *s = file->private_data;
	unsigned int ms;
	int err;

	err = kstrtouint_from_user(text, len, 0, &ms);
	if (err)
		return err;
	if (!ms || ms > MAX_MS)
		return -EINVAL;
	/* One writer, once: this is for one test. */
	if (cmpxchg(&s->ms, 0, ms))
		return -EBUSY;
	err = mmu_notifier_register(&s->mn, current->mm);
	if (err)
		s->ms = 0;
	return err ? err : len;
}

static int sleeper_release(struct inode *inode, struct file *file)
{
	struct sleeper *s = file->private_data;

	if (s->ms)
		mmu_notifier_unregister(&s->mn, s->mn.mm);
	kfree(s);
	return 0;
}

static const struct file_operations sleeper_fops = {
	.owner = THIS_MODULE,
	.open = sleeper_open,
	.write = sleeper_write,
	.release = sleeper_release,
};

static struct miscdevice sleeper_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmu_sleeper",
	.fops = &sleeper_fops,
};
module_misc_device(sleeper_device);

MODULE_DESCRIPTION("MMU notifier that sleeps in its callback, for tests");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
