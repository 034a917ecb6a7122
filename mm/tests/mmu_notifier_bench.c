// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what they cost. The way in, and what the suites share.
 *
 * Write the name of a suite to "run" in /sys/kernel/debug/mmu_notifier_bench,
 * and its figures appear on the console. The write returns when it is done:
 *
 *  pair	an invalidation, and a TLB flush, among subscriptions
 *  change	insertion and removal
 *  drain	the longest range end while intervals are inserted
 *  drain-us	the same, in microseconds
 *  register	registration, by number of VMAs
 *  memory	bytes that subscriptions take
 *  wait	who waits for invalidations that are none of his business
 *
 * The first three and "register" read the time-stamp counter. Under QEMU's
 * "-icount shift=0" it counts instructions, so the figures are exact; elsewhere
 * they are some number of cycles. "subscribe" in the same directory is for
 * programs that measure their own system calls, see mmu_notifier_bench_self.c.
 */
#define pr_fmt(fmt) "mmu_notifier_bench: " fmt

#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "mmu_notifier_bench.h"

static int bench_start(struct mmu_notifier *subscription,
		       const struct mmu_notifier_range *range)
{
	return 0;
}

static void bench_end(struct mmu_notifier *subscription,
		      const struct mmu_notifier_range *range)
{
}

static void bench_release(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
}

const struct mmu_notifier_ops mmu_bench_list_ops = {
	.invalidate_range_start = bench_start,
	.invalidate_range_end = bench_end,
	.release = bench_release,
};

const struct mmu_notifier_ops mmu_bench_release_ops = {
	.release = bench_release,
};

static bool bench_invalidate(struct mmu_interval_notifier *subscription,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	mmu_interval_set_seq(subscription, cur_seq);
	return true;
}

const struct mmu_interval_notifier_ops mmu_bench_interval_ops = {
	.invalidate = bench_invalidate,
};

/**
 * mmu_bench_report() - print one figure
 * @what: the case.
 * @figure: its figure.
 */
void mmu_bench_report(const char *what, u64 figure)
{
	pr_info("%s %llu\n", what, figure);
}

/**
 * mmu_bench_remove() - remove and free subscriptions
 * @subs: what mmu_bench_insert() returned.
 * @nr: how many.
 */
void mmu_bench_remove(struct mmu_interval_notifier *subs, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		mmu_interval_notifier_remove(&subs[i]);
	kvfree(subs);
}

/**
 * mmu_bench_insert() - subscribe to single pages
 * @mm: the mm.
 * @pages: their numbers.
 * @nr: how many.
 *
 * Return: an array of subscriptions, for mmu_bench_remove(), or an ERR_PTR().
 */
struct mmu_interval_notifier *
mmu_bench_insert(struct mm_struct *mm, const unsigned int *pages,
		 unsigned int nr)
{
	struct mmu_interval_notifier *subs;
	unsigned int i;
	int ret;

	subs = kvcalloc(nr, sizeof(*subs), GFP_KERNEL);
	if (!subs)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < nr; i++) {
		ret = mmu_interval_notifier_insert(&subs[i], mm,
						   pages[i] * PAGE_SIZE,
						   PAGE_SIZE,
						   &mmu_bench_interval_ops);
		if (ret) {
			mmu_bench_remove(subs, i);
			return ERR_PTR(ret);
		}
	}
	return subs;
}

/**
 * mmu_bench_pages() - pages 16, 18, 20 ..., so that there is a gap behind each
 * @nr: how many.
 * @scattered: in no order; the same disorder on every call.
 *
 * Return: an array, for kvfree(), or NULL.
 */
unsigned int *mmu_bench_pages(unsigned int nr, bool scattered)
{
	unsigned int *pages = kvcalloc(nr, sizeof(*pages), GFP_KERNEL);
	unsigned int i, other;
	struct rnd_state state;

	if (!pages)
		return NULL;
	for (i = 0; i < nr; i++)
		pages[i] = 16 + 2 * i;
	prandom_seed_state(&state, nr);
	for (i = nr; scattered && i > 1; i--) {
		other = prandom_u32_state(&state) % i;
		swap(pages[i - 1], pages[other]);
	}
	return pages;
}

struct bench_suite {
	const char *name;
	int (*run)(void);
};

static const struct bench_suite bench_suites[] = {
	{ "pair", mmu_bench_pair },
	{ "change", mmu_bench_change },
	{ "drain", mmu_bench_drain },
	{ "drain-us", mmu_bench_drain_us },
	{ "register", mmu_bench_register },
	{ "memory", mmu_bench_memory },
	{ "wait", mmu_bench_wait },
};

/* One suite at a time; guards what follows. */
static DEFINE_MUTEX(bench_lock);
static int bench_result;
static DECLARE_COMPLETION(bench_done);

static int bench_thread(void *suite)
{
	bench_result = ((const struct bench_suite *)suite)->run();
	complete(&bench_done);
	return 0;
}

/* In a thread, which may take on an mm, and is no process that has one. */
static int bench_run(const struct bench_suite *suite)
{
	struct task_struct *task;

	mutex_lock(&bench_lock);
	reinit_completion(&bench_done);
	task = kthread_run(bench_thread, (void *)suite, "mmu_bench");
	if (IS_ERR(task)) {
		bench_result = PTR_ERR(task);
	} else {
		/* Takes minutes, and is no hang. */
		wait_for_completion_state(&bench_done, TASK_IDLE);
	}
	mutex_unlock(&bench_lock);
	return bench_result;
}

static ssize_t bench_run_write(struct file *file, const char __user *buf,
			       size_t count, loff_t *ppos)
{
	char name[16] = "";
	unsigned int i;
	int ret;

	if (count >= sizeof(name))
		return -EINVAL;
	if (copy_from_user(name, buf, count))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(bench_suites); i++) {
		if (!sysfs_streq(name, bench_suites[i].name))
			continue;
		ret = bench_run(&bench_suites[i]);
		if (ret)
			pr_err("%s failed: %d\n", bench_suites[i].name, ret);
		return ret ?: count;
	}
	return -EINVAL;
}

static const struct file_operations bench_run_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = bench_run_write,
};

static int __init bench_init(void)
{
	struct dentry *dir = debugfs_create_dir("mmu_notifier_bench", NULL);

	debugfs_create_file("run", 0200, dir, NULL, &bench_run_fops);
	mmu_bench_self_init(dir);
	return 0;
}
late_initcall(bench_init);
