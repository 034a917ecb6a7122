// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor: file operations and commands.
 *
 * A monitor belongs to the address space that opened it. Whoever else gets hold of
 * the descriptor, by fork(), execve() or over a socket, is told so and nothing
 * else: every command is -ESTALE, read() returns a record of type
 * MMU_MONITOR_FOREIGN, poll() an error, and a mapping made before a fork() has
 * ones in it. See Documentation/misc-devices/mmu_monitor.rst.
 */

#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/seq_file.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>

#include "mmu_monitor.h"

/* More than that do not fit in 32 bits of word numbers, with some to spare. */
#define MONITOR_MOST_WATCHES	BIT(28)

/* What a watch takes is below 1 KB, so these are an eighth of memory at most. */
#define MONITOR_MEMORY_PER_WATCH	SZ_8K

/* Of a user; see Documentation/misc-devices/mmu_monitor.rst on what they cost. */
#define MONITOR_USER_LEAST	BIT(17)
#define MONITOR_USER_MOST	BIT(20)

unsigned int monitor_max_watches = BIT(20);

static int monitor_set_max_watches(const char *val,
				   const struct kernel_param *kp)
{
	unsigned int nr;
	int ret = kstrtouint(val, 0, &nr);

	if (ret)
		return ret;
	if (!nr || nr > MONITOR_MOST_WATCHES) {
		pr_err("mmu_monitor: max_watches=%u is not from 1 to %lu\n", nr,
		       MONITOR_MOST_WATCHES);
		return -EINVAL;
	}
	monitor_max_watches = nr;
	return 0;
}

static const struct kernel_param_ops monitor_max_watches_ops = {
	.set = monitor_set_max_watches,
	.get = param_get_uint,
};
module_param_cb(max_watches, &monitor_max_watches_ops, &monitor_max_watches, 0444);
MODULE_PARM_DESC(max_watches, "Watches of one monitor, 1048576 by default");

static struct workqueue_struct *monitor_wq;

static void monitor_free(struct kref *ref)
{
	struct monitor *monitor = container_of(ref, struct monitor, ref);
	struct eventfd_ctx *eventfd = rcu_access_pointer(monitor->eventfd);

	if (eventfd)
		eventfd_ctx_put(eventfd);
	area_destroy(monitor);
	xa_destroy(&monitor->watches);
	mmdrop(monitor->mm);
	kfree(monitor);
}

static void monitor_end(struct work_struct *work)
{
	struct monitor *monitor = container_of(work, struct monitor, end);

	watch_remove_all(monitor);
	kref_put(&monitor->ref, monitor_free);
}

/**
 * monitor_mm_gone() - the address space is being torn down
 * @monitor: the monitor. It has a watch, so the file is there or waits for us.
 *
 * Context: does not sleep.
 */
void monitor_mm_gone(struct monitor *monitor)
{
	if (xchg(&monitor->ended, 1))
		return;
	kref_get(&monitor->ref);
	queue_work(monitor_wq, &monitor->end);
}

static bool monitor_foreign(const struct monitor *monitor)
{
	return current->mm != monitor->mm;
}

static int monitor_open(struct inode *inode, struct file *file)
{
	struct monitor *monitor;

	if (!current->mm)
		return -EINVAL;
	monitor = kzalloc(sizeof(*monitor), MONITOR_GFP);
	if (!monitor)
		return -ENOMEM;
	if (area_create(monitor)) {
		kfree(monitor);
		return -ENOMEM;
	}
	kref_init(&monitor->ref);
	INIT_WORK(&monitor->end, monitor_end);
	mutex_init(&monitor->lock);
	xa_init_flags(&monitor->watches, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
	init_llist_head(&monitor->changed);
	INIT_LIST_HEAD(&monitor->ready);
	init_waitqueue_head(&monitor->wq);
	mmgrab(current->mm);
	monitor->mm = current->mm;
	file->private_data = monitor;
	return nonseekable_open(inode, file);
}

static int monitor_release(struct inode *inode, struct file *file)
{
	struct monitor *monitor = file->private_data;

	watch_remove_all(monitor);
	kref_put(&monitor->ref, monitor_free);
	return 0;
}

/* What a foreign process reads, as often as it does. */
static ssize_t monitor_read_foreign(char __user *buf, size_t count)
{
	const struct mmu_monitor_event event = {
		.size = sizeof(event),
		.type = MMU_MONITOR_FOREIGN,
	};

	if (count < sizeof(event))
		return -EINVAL;
	return copy_to_user(buf, &event, sizeof(event)) ? -EFAULT : sizeof(event);
}

static ssize_t monitor_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct monitor *monitor = file->private_data;

	if (monitor_foreign(monitor))
		return monitor_read_foreign(buf, count);
	return event_read(monitor, buf, count, !(file->f_flags & O_NONBLOCK));
}

static __poll_t monitor_poll(struct file *file, struct poll_table_struct *wait)
{
	struct monitor *monitor = file->private_data;

	if (monitor_foreign(monitor))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;
	poll_wait(file, &monitor->wq, wait);
	return event_pending(monitor) ? EPOLLIN | EPOLLRDNORM : 0;
}

static int monitor_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct monitor *monitor = file->private_data;

	return monitor_foreign(monitor) ? -ESTALE : area_mmap(monitor, vma);
}

/*
 * Commands. Each structure begins with its size. What is longer than ours has to
 * be zero there, what is shorter than the first version is an error.
 */

static int monitor_get(void *args, size_t size, void __user *arg, u32 *usize)
{
	if (get_user(*usize, (u32 __user *)arg))
		return -EFAULT;
	if (*usize < size)
		return -EINVAL;
	if (*usize > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(args, size, arg, *usize);
}

static int monitor_give(const void *args, size_t size, void __user *arg)
{
	return copy_to_user(arg, args, size) ? -EFAULT : 0;
}

static int monitor_info(void __user *arg)
{
	struct mmu_monitor_info info;
	u32 usize;
	int ret;

	ret = monitor_get(&info, sizeof(info), arg, &usize);
	if (ret)
		return ret;
	info = (struct mmu_monitor_info) {
		.size = sizeof(info),
		.classes = MMU_MONITOR_CLASSES,
		.watch_flags = MMU_MONITOR_ONESHOT | MMU_MONITOR_QUIET,
		.event_size = sizeof(struct mmu_monitor_event),
		.area_size = area_size(),
		.max_watches = monitor_max_watches,
	};
	return monitor_give(&info, sizeof(info), arg);
}

static int monitor_watch(struct monitor *monitor, void __user *arg)
{
	struct mmu_monitor_watch args;
	struct mmu_monitor_word undo;
	u32 usize;
	int ret;

	ret = monitor_get(&args, sizeof(args), arg, &usize);
	if (!ret)
		ret = watch_add(monitor, &args);
	if (ret)
		return ret;
	args.size = usize;
	ret = monitor_give(&args, sizeof(args), arg);
	if (ret) {
		/* Nobody would know of it. */
		undo = (struct mmu_monitor_word) { .word = args.word };
		watch_remove(monitor, &undo);
	}
	return ret;
}

/* Says nothing but whether: who does not get the answer could not try again. */
static int monitor_unwatch(struct monitor *monitor, void __user *arg)
{
	struct mmu_monitor_word args;
	u32 usize;
	int ret;

	ret = monitor_get(&args, sizeof(args), arg, &usize);
	return ret ?: watch_remove(monitor, &args);
}

static int monitor_rearm(struct monitor *monitor, void __user *arg)
{
	struct mmu_monitor_word args;
	u32 usize;
	int ret;

	ret = monitor_get(&args, sizeof(args), arg, &usize);
	if (!ret)
		ret = watch_rearm(monitor, &args);
	if (ret)
		return ret;
	args.size = usize;
	return monitor_give(&args, sizeof(args), arg);
}

static int monitor_config(struct monitor *monitor, void __user *arg)
{
	struct mmu_monitor_config args;
	u32 usize;
	int ret;

	ret = monitor_get(&args, sizeof(args), arg, &usize);
	return ret ?: event_config(monitor, &args);
}

static int monitor_flush(struct monitor *monitor)
{
	watch_remove_all(monitor);
	event_drop_overflow(monitor);
	return 0;
}

static long monitor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct monitor *monitor = file->private_data;
	void __user *uarg = (void __user *)arg;

	if (_IOC_TYPE(cmd) != MMU_MONITOR_IOC)
		return -ENOTTY;
	if (monitor_foreign(monitor))
		return -ESTALE;

	switch (cmd) {
	case MMU_MONITOR_INFO:
		return monitor_info(uarg);
	case MMU_MONITOR_WATCH:
		return monitor_watch(monitor, uarg);
	case MMU_MONITOR_UNWATCH:
		return monitor_unwatch(monitor, uarg);
	case MMU_MONITOR_REARM:
		return monitor_rearm(monitor, uarg);
	case MMU_MONITOR_CONFIG:
		return monitor_config(monitor, uarg);
	case MMU_MONITOR_FLUSH:
		return monitor_flush(monitor);
	default:
		return -ENOTTY;
	}
}

static void monitor_fdinfo(struct seq_file *m, struct file *file)
{
	struct monitor *monitor = file->private_data;
	struct mmu_monitor_area *area = monitor->area;

	seq_printf(m, "watches:\t%lld\npending:\t%lld\nevents:\t%lld\noverflows:\t%lld\n",
		   atomic64_read(monitor_counter(&area->watches)),
		   atomic64_read(monitor_counter(&area->pending)),
		   atomic64_read(monitor_counter(&area->events)),
		   atomic64_read(monitor_counter(&area->overflows)));
}

static const struct file_operations monitor_fops = {
	.owner = THIS_MODULE,
	.open = monitor_open,
	.release = monitor_release,
	.read = monitor_read,
	.poll = monitor_poll,
	.mmap = monitor_mmap,
	.unlocked_ioctl = monitor_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.show_fdinfo = monitor_fdinfo,
};

static struct miscdevice monitor_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmu_monitor",
	.fops = &monitor_fops,
	.mode = 0666,
};

static int __init monitor_init(void)
{
	unsigned long per_user = totalram_pages() / (MONITOR_MEMORY_PER_WATCH / PAGE_SIZE ?: 1);
	int ret;

	init_user_ns.ucount_max[UCOUNT_MMU_MONITOR_WATCHES] =
		clamp(per_user, MONITOR_USER_LEAST, MONITOR_USER_MOST);

	ret = watch_init();
	if (ret)
		return ret;
	ret = area_init();
	if (ret)
		goto err_watch;
	ret = -ENOMEM;
	monitor_wq = alloc_workqueue("mmu_monitor", WQ_UNBOUND, 0);
	if (!monitor_wq)
		goto err_area;
	ret = misc_register(&monitor_device);
	if (ret)
		goto err_wq;
	return 0;

err_wq:
	destroy_workqueue(monitor_wq);
err_area:
	area_exit();
err_watch:
	watch_exit();
	return ret;
}

static void __exit monitor_exit(void)
{
	misc_deregister(&monitor_device);
	/* The files are closed, but what cleans up behind exit may still run. */
	destroy_workqueue(monitor_wq);
	area_exit();
	watch_exit();
}

module_init(monitor_init);
module_exit(monitor_exit);
MODULE_DESCRIPTION("Lets a process know of changes to its own mappings");
MODULE_LICENSE("GPL");
