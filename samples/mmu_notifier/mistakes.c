// SPDX-License-Identifier: GPL-2.0
/*
 * The classic mistakes, to be made one at a time on a machine that may crash.
 *
 * Writing the name of a mistake to /dev/mmu_mistakes makes it, in the process
 * that writes; some need a change of its memory, or its end, to show.
 * tools/testing/selftests/mmu_notifier/mistakes.c does what is needed. What the
 * kernel says is quoted in Documentation/mm/mmu_notifier/driver-guide.rst.
 *
 * This file is no example. Nothing here is done right.
 */
#define pr_fmt(fmt) "mmu_mistakes: " fmt

#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(mistake_lock);

static struct mmu_interval_notifier mistake_sub;

static int mistake_insert(const struct mmu_interval_notifier_ops *ops)
{
	memset(&mistake_sub, 0, sizeof(mistake_sub));
	return mmu_interval_notifier_insert(&mistake_sub, current->mm, 0,
					    TASK_SIZE, ops);
}

/* A range that concerns everybody. */
static void change_something(void)
{
	unsigned long addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, 0);

	if (!IS_ERR_VALUE(addr))
		vm_munmap(addr, PAGE_SIZE);
}

/* [no-set-seq] */
static bool no_set_seq_invalidate(struct mmu_interval_notifier *sub,
				  const struct mmu_notifier_range *range,
				  unsigned long cur_seq)
{
	/* mmu_interval_set_seq() is missing. */
	return true;
}

/* [end] */

static const struct mmu_interval_notifier_ops no_set_seq_ops = {
	.invalidate = no_set_seq_invalidate,
};

static int no_set_seq(void)
{
	int ret = mistake_insert(&no_set_seq_ops);

	if (!ret)
		mmu_interval_read_retry(&mistake_sub,
					mmu_interval_read_begin(&mistake_sub));
	return ret;
}

/* [sleep] */
static bool sleep_invalidate(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	/* Whether or not mmu_notifier_range_blockable() */
	mutex_lock(&mistake_lock);
	mmu_interval_set_seq(sub, cur_seq);
	mutex_unlock(&mistake_lock);
	return true;
}

/* [end] */

/* Keeps the process alive for a while, for somebody to reap it. */
static bool sleep_slowly(struct mmu_interval_notifier *sub,
			 const struct mmu_notifier_range *range,
			 unsigned long cur_seq)
{
	if (mmu_notifier_range_blockable(range))
		msleep(2000);
	return sleep_invalidate(sub, range, cur_seq);
}

static const struct mmu_interval_notifier_ops sleep_ops = {
	.invalidate = sleep_slowly,
};

static int sleeps(void)
{
	return mistake_insert(&sleep_ops);
}

/* [refuse] */
static bool refuse_invalidate(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	/* Also if mmu_notifier_range_blockable() */
	if (!mutex_trylock(&mistake_lock))
		return false;
	mmu_interval_set_seq(sub, cur_seq);
	mutex_unlock(&mistake_lock);
	return true;
}

/* [end] */

static const struct mmu_interval_notifier_ops refuse_ops = {
	.invalidate = refuse_invalidate,
};

static int refuses(void)
{
	int ret = mistake_insert(&refuse_ops);

	if (ret)
		return ret;
	/* Any other thread might hold it. */
	mutex_lock(&mistake_lock);
	change_something();
	mutex_unlock(&mistake_lock);
	return 0;
}

/* [wait-in-callback] */
static bool wait_invalidate(struct mmu_interval_notifier *sub,
			    const struct mmu_notifier_range *range,
			    unsigned long cur_seq)
{
	/* Waits for this range to end, which waits for this. */
	mmu_interval_notifier_remove(sub);
	return true;
}

/* [end] */

static const struct mmu_interval_notifier_ops wait_ops = {
	.invalidate = wait_invalidate,
};

static int waits(void)
{
	return mistake_insert(&wait_ops);
}

/* Takes the lock as it should be taken. */
static bool lock_invalidate(struct mmu_interval_notifier *sub,
			    const struct mmu_notifier_range *range,
			    unsigned long cur_seq)
{
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&mistake_lock);
	else if (!mutex_trylock(&mistake_lock))
		return false;
	mmu_interval_set_seq(sub, cur_seq);
	mutex_unlock(&mistake_lock);
	return true;
}

static const struct mmu_interval_notifier_ops lock_ops = {
	.invalidate = lock_invalidate,
};

static int allocates(void)
{
	int ret = mistake_insert(&lock_ops);

	if (ret)
		return ret;
	change_something();
/* [alloc-under-lock] */
	mutex_lock(&mistake_lock);	/* invalidate takes it */
	kfree(kmalloc(PAGE_SIZE, GFP_KERNEL));
	mutex_unlock(&mistake_lock);
/* [end] */
	mmu_interval_notifier_remove(&mistake_sub);
	return 0;
}

static int removes(void)
{
	int ret = mistake_insert(&lock_ops);

	if (ret)
		return ret;
	change_something();
/* [remove-under-lock] */
	mutex_lock(&mistake_lock);	/* invalidate takes it */
	mmu_interval_notifier_remove(&mistake_sub);
	mutex_unlock(&mistake_lock);
/* [end] */
	return 0;
}

static int removes_twice(void)
{
	int ret = mistake_insert(&lock_ops);

	if (ret)
		return ret;
/* [remove-twice] */
	mmu_interval_notifier_remove(&mistake_sub);
	mmu_interval_notifier_remove(&mistake_sub);
/* [end] */
	return 0;
}

static int mistake_start(struct mmu_notifier *sub,
			 const struct mmu_notifier_range *range)
{
	return 0;
}

static const struct mmu_notifier_ops mistake_list_ops = {
	.invalidate_range_start = mistake_start,
};

static int frees_early(void)
{
	struct mmu_notifier *sub = kzalloc(sizeof(*sub), GFP_KERNEL);
	int ret;

	if (!sub)
		return -ENOMEM;
	sub->ops = &mistake_list_ops;
	ret = mmu_notifier_register(sub, current->mm);
/* [free-early] */
	/* mmu_notifier_unregister() is missing. */
	kfree(sub);
/* [end] */
	return ret;
}

static struct mmu_notifier *put_alloc(struct mm_struct *mm)
{
	return kzalloc(sizeof(struct mmu_notifier), GFP_KERNEL) ?:
	       ERR_PTR(-ENOMEM);
}

static void put_free(struct mmu_notifier *sub)
{
	kfree(sub);
}

static const struct mmu_notifier_ops put_ops = {
	.invalidate_range_start = mistake_start,
	.alloc_notifier = put_alloc,
	.free_notifier = put_free,
};

/* The first time it gets, the second time it puts. */
static int puts_and_goes(void)
{
	static struct mmu_notifier *sub;

	if (sub) {
/* [unload-early] */
		mmu_notifier_put(sub);
		/* mmu_notifier_synchronize() is missing in the module's exit. */
/* [end] */
		return 0;
	}
	sub = mmu_notifier_get(&put_ops, current->mm);
	return PTR_ERR_OR_ZERO(sub);
}

static void tlbs(struct mmu_notifier *sub, struct mm_struct *mm,
		 unsigned long start, unsigned long end)
{
}

static const struct mmu_notifier_ops both_ops = {
	.invalidate_range_start = mistake_start,
	.arch_invalidate_secondary_tlbs = tlbs,
};

static int wants_both(void)
{
	static struct mmu_notifier sub = { .ops = &both_ops };

	return mmu_notifier_register(&sub, current->mm);
}

static const struct mistake {
	const char *name;
	int (*make)(void);
} mistakes[] = {
	{ "no-set-seq", no_set_seq },
	{ "sleep", sleeps },
	{ "refuse", refuses },
	{ "wait-in-callback", waits },
	{ "alloc-under-lock", allocates },
	{ "remove-under-lock", removes },
	{ "remove-twice", removes_twice },
	{ "free-early", frees_early },
	{ "unload-early", puts_and_goes },
	{ "both-kinds", wants_both },
};

static ssize_t mistakes_write(struct file *file, const char __user *buf,
			      size_t count, loff_t *pos)
{
	char name[32] = "";
	unsigned int i;
	int ret;

	if (count >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, buf, count))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(mistakes); i++) {
		if (sysfs_streq(name, mistakes[i].name)) {
			ret = mistakes[i].make();
			return ret ?: count;
		}
	}
	return -EINVAL;
}

static const struct file_operations mistakes_fops = {
	.owner = THIS_MODULE,
	.write = mistakes_write,
};

static struct miscdevice mistakes_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmu_mistakes",
	.fops = &mistakes_fops,
	.mode = 0600,
};
module_misc_device(mistakes_misc);

MODULE_DESCRIPTION("Mistakes in the use of MMU notifiers");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
