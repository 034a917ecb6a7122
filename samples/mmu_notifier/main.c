// SPDX-License-Identifier: GPL-2.0
/*
 * Files, and what the devices with one SPTE have in common.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "example.h"

/**
 * example_use() - let the device access memory through its SPTE
 * @ex: the device.
 * @access: the access.
 *
 * Context: driver's lock held.
 *
 * Return: 0, -ENOENT if there is no SPTE that allows it.
 */
int example_use(struct example *ex, struct example_access *access)
{
	struct example_spte *spte = &ex->spte;
	u64 *word;

	if (!spte->page || spte->addr != (access->addr & PAGE_MASK))
		return -ENOENT;
	if (access->write && !spte->writable)
		return -ENOENT;

	word = kmap_local_page(spte->page) + offset_in_page(access->addr);
	if (access->write) {
		WRITE_ONCE(*word, access->word);
		spte->dirty = true;
	} else {
		access->word = READ_ONCE(*word);
	}
	kunmap_local(word);
	return 0;
}

/* [drop] */
/**
 * example_drop() - drop the SPTE if it lies in a range
 * @ex: the device.
 * @start: first address.
 * @end: behind the last address.
 *
 * Context: driver's lock held, so no access is under way. The page is still
 * mapped by the CPU, or the SPTE is of no use to anybody any more.
 */
void example_drop(struct example *ex, unsigned long start, unsigned long end)
{
	struct example_spte *spte = &ex->spte;

	if (!spte->page || spte->addr < start || spte->addr >= end)
		return;

	/* What the device wrote is known to nobody else (R2). */
	if (spte->dirty)
		folio_mark_dirty(page_folio(spte->page));
	spte->page = NULL;
	spte->dirty = false;
}

/* [end] */

/**
 * example_install() - make an SPTE, instead of the one that was
 * @ex: the device.
 * @addr: its address.
 * @page: the page.
 * @writable: may the device write?
 *
 * Context: driver's lock held, and nothing collided.
 */
void example_install(struct example *ex, unsigned long addr, struct page *page,
		     bool writable)
{
	/* The page table has one entry. The old page is mapped as before. */
	example_drop(ex, 0, ULONG_MAX);
	ex->spte.addr = addr;
	ex->spte.page = page;
	ex->spte.writable = writable;
}

/* [access] */
static int example_do_access(struct example *ex, struct example_access *access)
{
	int ret;

	if (ex->mm != current->mm)
		return -EPERM;

	while ((ret = ex->kind->access(ex, access)) == -ENOENT) {
		ret = ex->kind->fault(ex, access->addr & PAGE_MASK,
				      access->write);
		if (ret && ret != -EAGAIN)
			break;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return ret;
}

/* [end] */

static int example_parse(struct example_access *access, size_t count,
			 loff_t pos)
{
	if (count != sizeof(access->word) || !IS_ALIGNED(pos, count))
		return -EINVAL;
	if (pos < 0 || pos > TASK_SIZE - count)
		return -EFAULT;
	access->addr = pos;
	return 0;
}

static ssize_t example_read(struct file *file, char __user *buf, size_t count,
			    loff_t *pos)
{
	struct example_access access = { };
	int ret;

	ret = example_parse(&access, count, *pos);
	if (!ret)
		ret = example_do_access(file->private_data, &access);
	if (!ret && copy_to_user(buf, &access.word, count))
		ret = -EFAULT;
	return ret ?: count;
}

static ssize_t example_write(struct file *file, const char __user *buf,
			     size_t count, loff_t *pos)
{
	struct example_access access = { .write = true };
	int ret;

	ret = example_parse(&access, count, *pos);
	if (!ret && copy_from_user(&access.word, buf, count))
		ret = -EFAULT;
	if (!ret)
		ret = example_do_access(file->private_data, &access);
	return ret ?: count;
}

/**
 * struct example_file - a device file
 * @misc: the file.
 * @kind: what opens of it get, if it is one of those with one SPTE.
 */
struct example_file {
	struct miscdevice misc;
	const struct example_kind *kind;
};

static int example_open(struct inode *inode, struct file *file)
{
	/* That is where misc_open() leaves it. */
	const struct example_kind *kind =
		container_of(file->private_data, struct example_file, misc)->kind;
	struct example *ex;
	int ret;

	ex = kzalloc(kind->size, GFP_KERNEL_ACCOUNT);
	if (!ex)
		return -ENOMEM;
	ex->kind = kind;
	ex->mm = current->mm;
	ret = kind->begin(ex);
	if (ret)
		kfree(ex);
	else
		file->private_data = ex;
	return ret;
}

static int example_release(struct inode *inode, struct file *file)
{
	struct example *ex = file->private_data;

	ex->kind->end(ex);
	kfree(ex);
	return 0;
}

static const struct file_operations example_fops = {
	.owner = THIS_MODULE,
	.open = example_open,
	.release = example_release,
	.read = example_read,
	.write = example_write,
	.llseek = noop_llseek,
};

#define EXAMPLE_FILE(_name, _fops, _kind) {				\
	.misc = {							\
		.minor = MISC_DYNAMIC_MINOR,				\
		.name = "mmu_example!" _name,	/* a directory */	\
		.fops = (_fops),					\
		.mode = 0600,						\
	},								\
	.kind = (_kind),						\
}

static struct example_file example_files[] = {
	EXAMPLE_FILE("interval", &example_fops, &interval_kind),
	EXAMPLE_FILE("flush", &example_fops, &flush_kind),
	EXAMPLE_FILE("list", &example_fops, &list_kind),
	EXAMPLE_FILE("walker", &example_fops, &walker_kind),
	EXAMPLE_FILE("export", &example_fops, &export_kind),
	EXAMPLE_FILE("context", &context_fops, NULL),
	EXAMPLE_FILE("regions", &regions_fops, NULL),
};

/* [exit] */
/* No file is open: each holds a reference to the module. */
static void example_remove_files(unsigned int nr)
{
	while (nr--)
		misc_deregister(&example_files[nr].misc);

	/* Subscriptions that were put, or removed without waiting, may not. */
	mmu_notifier_synchronize();
}

/* [end] */

static void __exit example_exit(void)
{
	example_remove_files(ARRAY_SIZE(example_files));
}
module_exit(example_exit);

static int __init example_init(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(example_files); i++) {
		ret = misc_register(&example_files[i].misc);
		if (ret) {
			example_remove_files(i);
			return ret;
		}
	}
	return 0;
}
module_init(example_init);

MODULE_DESCRIPTION("Examples of secondary MMUs");
MODULE_LICENSE("GPL");
