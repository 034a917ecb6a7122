// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_mirror: files and commands.
 *
 * An open file is a device. All its commands may be called from any number of
 * threads at once; mirror.use sorts them out. Those that use the attachment hold
 * it for reading, those that change it for writing, always killably: who holds
 * it may wait for a page fault, and that may wait for user space.
 *
 * A command is an entry in a table. Its arguments are a struct that begins with
 * its size, so that both sides may be of different age.
 *
 * Close detaches. It takes no lock, for nobody else has the file then, but the
 * engine, which detaching stops first. A module in use by an open file cannot be
 * unloaded. Of a registration that was removed without waiting, the last that
 * runs of the module may still run when the file is gone; unloading waits for it.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mmu_mirror.h"

static int mirror_cmd_read(struct mirror *m, void *argp)
{
	return mirror_cmd_access(m, argp, 0, false);
}

static int mirror_cmd_write(struct mirror *m, void *argp)
{
	return mirror_cmd_access(m, argp, 0, true);
}

/* How a command wants mirror.use, and what it needs then. */
enum mirror_use {
	/* Not at all, or it sees to it itself. */
	MIRROR_USE_NONE,
	/* For reading, live, by a caller from the same mm. */
	MIRROR_USE_OWN,
	/* For writing, and likewise. */
	MIRROR_CHANGE_OWN,
	/* For writing, attached to anything. */
	MIRROR_CHANGE_ANY,
	/* For writing, attached or not. */
	MIRROR_CHANGE,
};

/* Room for the arguments of any command. */
union mirror_args {
	struct mmu_mirror_attach attach;
	struct mmu_mirror_window window;
	struct mmu_mirror_access access;
	struct mmu_mirror_add add;
	struct mmu_mirror_counters counters;
	struct mmu_mirror_check check;
	struct mmu_mirror_inject inject;
	struct mmu_mirror_engine engine;
	struct mmu_mirror_detach detach;
	struct mmu_mirror_import import;
	struct mmu_mirror_register reg;
	struct mmu_mirror_deregister dereg;
	struct mmu_mirror_key_access key_access;
	struct mmu_mirror_keys keys;
	struct mmu_mirror_order order;
	struct mmu_mirror_hold hold;
};

/**
 * struct mirror_command - a command
 * @cmd: its number.
 * @use: how it wants mirror.use.
 * @out: are there results to copy back?
 * @min_size: up to the last member of the arguments' first version.
 * @size: size of the arguments.
 * @run: does it. The arguments are filled up with zeros to @size.
 * @undo: Optional: takes back what it made, of which nobody could be told.
 */
struct mirror_command {
	unsigned int cmd;
	enum mirror_use use;
	bool out;
	size_t min_size;
	size_t size;
	int (*run)(struct mirror *m, void *args);
	void (*undo)(struct mirror *m, void *args);
};

static const struct mirror_command mirror_commands[] = {
	{
		.cmd = MMU_MIRROR_ATTACH,
		.use = MIRROR_CHANGE,
		.min_size = offsetofend(struct mmu_mirror_attach, length),
		.size = sizeof(struct mmu_mirror_attach),
		.run = mirror_cmd_attach,
	}, {
		.cmd = MMU_MIRROR_WINDOW,
		.use = MIRROR_CHANGE_OWN,
		.min_size = offsetofend(struct mmu_mirror_window, length),
		.size = sizeof(struct mmu_mirror_window),
		.run = mirror_cmd_window,
	}, {
		.cmd = MMU_MIRROR_READ,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_access, replays),
		.size = sizeof(struct mmu_mirror_access),
		.run = mirror_cmd_read,
	}, {
		.cmd = MMU_MIRROR_WRITE,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_access, replays),
		.size = sizeof(struct mmu_mirror_access),
		.run = mirror_cmd_write,
	}, {
		.cmd = MMU_MIRROR_ADD,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_add, old),
		.size = sizeof(struct mmu_mirror_add),
		.run = mirror_cmd_add,
	}, {
		.cmd = MMU_MIRROR_COUNTERS,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_counters, whole),
		.size = sizeof(struct mmu_mirror_counters),
		.run = mirror_cmd_counters,
	}, {
		.cmd = MMU_MIRROR_CHECK,
		.use = MIRROR_USE_OWN,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_check, first_stale),
		.size = sizeof(struct mmu_mirror_check),
		.run = mirror_cmd_check,
	}, {
		.cmd = MMU_MIRROR_INJECT,
		.use = MIRROR_USE_NONE,
		.min_size = offsetofend(struct mmu_mirror_inject, delay_at),
		.size = sizeof(struct mmu_mirror_inject),
		.run = mirror_cmd_inject,
	}, {
		.cmd = MMU_MIRROR_ENGINE,
		.use = MIRROR_CHANGE_ANY,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_engine, done),
		.size = sizeof(struct mmu_mirror_engine),
		.run = mirror_cmd_engine,
	}, {
		.cmd = MMU_MIRROR_DETACH,
		.use = MIRROR_CHANGE_ANY,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_detach, wait_us),
		.size = sizeof(struct mmu_mirror_detach),
		.run = mirror_cmd_detach,
	}, {
		.cmd = MMU_MIRROR_IMPORT,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_import, length),
		.size = sizeof(struct mmu_mirror_import),
		.run = mirror_cmd_import,
	}, {
		.cmd = MMU_MIRROR_REGISTER,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_register, key),
		.size = sizeof(struct mmu_mirror_register),
		.run = mirror_cmd_register,
		.undo = mirror_undo_register,
	}, {
		.cmd = MMU_MIRROR_DEREGISTER,
		.use = MIRROR_USE_OWN,
		.min_size = offsetofend(struct mmu_mirror_deregister, key),
		.size = sizeof(struct mmu_mirror_deregister),
		.run = mirror_cmd_deregister,
	}, {
		.cmd = MMU_MIRROR_KEY_READ,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_key_access, replays),
		.size = sizeof(struct mmu_mirror_key_access),
		.run = mirror_cmd_key_read,
	}, {
		.cmd = MMU_MIRROR_KEY_WRITE,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_key_access, replays),
		.size = sizeof(struct mmu_mirror_key_access),
		.run = mirror_cmd_key_write,
	}, {
		.cmd = MMU_MIRROR_KEYS,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_keys, revoked),
		.size = sizeof(struct mmu_mirror_keys),
		.run = mirror_cmd_keys,
	}, {
		.cmd = MMU_MIRROR_ORDER,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_order, seen_second),
		.size = sizeof(struct mmu_mirror_order),
		.run = mirror_cmd_order,
	}, {
		.cmd = MMU_MIRROR_HOLD,
		.use = MIRROR_USE_NONE,
		.out = true,
		.min_size = offsetofend(struct mmu_mirror_hold, held),
		.size = sizeof(struct mmu_mirror_hold),
		.run = mirror_cmd_hold,
	},
};

static int mirror_run_changing(struct mirror *m,
			       const struct mirror_command *command,
			       void *args)
{
	int ret = 0;

	if (down_write_killable(&m->use))
		return -EINTR;

	if (command->use == MIRROR_CHANGE_OWN)
		ret = mirror_may_use(m);
	else if (command->use == MIRROR_CHANGE_ANY && !m->mm)
		ret = -ENXIO;
	if (!ret)
		ret = command->run(m, args);

	up_write(&m->use);
	return ret;
}

static int mirror_run(struct mirror *m, const struct mirror_command *command,
		      void *args)
{
	int ret;

	switch (command->use) {
	case MIRROR_USE_NONE:
		return command->run(m, args);
	case MIRROR_USE_OWN:
		ret = mirror_get_use(m);
		if (ret)
			return ret;
		ret = command->run(m, args);
		mirror_put_use(m);
		return ret;
	default:
		return mirror_run_changing(m, command, args);
	}
}

static const struct mirror_command *mirror_find_command(unsigned int cmd)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mirror_commands); i++) {
		if (mirror_commands[i].cmd == cmd)
			return &mirror_commands[i];
	}
	return NULL;
}

static long mirror_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct mirror_command *command = mirror_find_command(cmd);
	struct mirror *m = file->private_data;
	void __user *user = (void __user *)arg;
	union mirror_args args;
	u32 user_size;
	int ret;

	if (!command)
		return -ENOTTY;
	if (get_user(user_size, (u32 __user *)user))
		return -EFAULT;
	if (user_size < command->min_size)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&args, command->size, user, user_size);
	if (ret)
		return ret;

	ret = mirror_run(m, command, &args);

	/* Also if there was an error: it may have come some way. */
	if (command->out &&
	    copy_to_user(user, &args, min_t(size_t, user_size, command->size))) {
		if (!ret && command->undo)
			command->undo(m, &args);
		return -EFAULT;
	}
	return ret;
}

static int mirror_open(struct inode *inode, struct file *file)
{
	struct mirror *m;

	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m)
		return -ENOMEM;

	init_rwsem(&m->use);
	spin_lock_init(&m->spin);
	mutex_init(&m->mutex);
	init_waitqueue_head(&m->inject.wait);
	mirror_table_init(m);
	mirror_regcache_init(m);
	spin_lock_init(&m->node.lock);
	mirror_map_init(m, file);
	file->private_data = m;
	return nonseekable_open(inode, file);
}

static int mirror_release(struct inode *inode, struct file *file)
{
	struct mirror *m = file->private_data;

	if (m->mm)
		mirror_detach(m);
	WARN_ON_ONCE(m->nr_mapped);
	mirror_regcache_destroy(m);
	xa_destroy(&m->table);
	mirror_map_destroy(m);
	kfree(m);
	return 0;
}

static const struct file_operations mirror_fops = {
	.owner = THIS_MODULE,
	.open = mirror_open,
	.release = mirror_release,
	.mmap = mirror_mmap,
	.unlocked_ioctl = mirror_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/**
 * mirror_of_file() - the mirror that is this file
 * @file: any file.
 *
 * Return: the mirror, which stays as long as the file does, or NULL.
 */
struct mirror *mirror_of_file(struct file *file)
{
	return file->f_op == &mirror_fops ? file->private_data : NULL;
}

static struct miscdevice mirror_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mmu_mirror",
	.fops = &mirror_fops,
	.mode = 0600,
};

static int __init mirror_init(void)
{
	int ret = mirror_node_init();

	if (ret)
		return ret;
	ret = misc_register(&mirror_misc);
	if (ret)
		mirror_node_exit();
	return ret;
}
module_init(mirror_init);

static void __exit mirror_exit(void)
{
	misc_deregister(&mirror_misc);
	mmu_notifier_synchronize();
	mirror_node_exit();
}
module_exit(mirror_exit);

MODULE_DESCRIPTION("Sample secondary MMU that tries MMU notifiers");
MODULE_LICENSE("GPL");
MODULE_INFO(test, "Y");
