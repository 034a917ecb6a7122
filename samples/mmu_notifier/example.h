/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Examples of secondary MMUs, as small as they can be and still be right.
 *
 * An open file is a *device* with a page table of one *SPTE*. pread() and pwrite()
 * of eight bytes are the device's accesses; the file position is the address,
 * in the process that opened the file. An access uses the SPTE under the
 * *driver's lock*, or faults to make one:
 *
 *	access	lock, is there an SPTE? use it, unlock
 *	fault	find the page; lock, did anything collide? make the SPTE, unlock
 *	callback	lock, drop the SPTE, unlock
 *
 * So when a callback has returned nobody uses the page any more, and no page
 * reference is held (R2). Only the process that opened the file can fault,
 * hence nothing has to keep faults out once it has exited.
 *
 * Lock order: the core's locks (mmap_lock, rmap locks, page-table lock), the
 * driver's lock. Under the latter nothing is allocated, no user memory touched,
 * and no subscription ended.
 */
#ifndef _MMU_NOTIFIER_EXAMPLE_H
#define _MMU_NOTIFIER_EXAMPLE_H

#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/mmu_notifier.h>
#include <linux/types.h>

struct page;

/**
 * struct example_spte - the page table
 * @addr: address, page aligned.
 * @page: the page, without a reference; NULL: no SPTE.
 * @writable: may the device write?
 * @dirty: has it?
 */
struct example_spte {
	unsigned long addr;
	struct page *page;
	bool writable;
	bool dirty;
};

/**
 * struct example_access - what the device does to memory
 * @addr: address, 8-byte aligned.
 * @write: does it write?
 * @word: what it reads or writes.
 */
struct example_access {
	unsigned long addr;
	bool write;
	u64 word;
};

struct example;

/**
 * struct example_kind - a way to keep the SPTE right
 * @size: of the structure that embeds struct example as its first member.
 * @begin: subscribe to example.mm, which is the caller's. 0 or an error.
 * @end: end the subscription, drop the SPTE.
 * @access: one access; -ENOENT: no SPTE that allows it.
 * @fault: make an SPTE; 0, -EAGAIN to be called again, or an error.
 */
struct example_kind {
	size_t size;
	int (*begin)(struct example *ex);
	void (*end)(struct example *ex);
	int (*access)(struct example *ex, struct example_access *access);
	int (*fault)(struct example *ex, unsigned long addr, bool write);
};

/**
 * struct example - a device
 * @kind: its kind.
 * @mm: the process's; the subscription holds mm_count.
 * @spte: its page table, guarded by the driver's lock.
 */
struct example {
	const struct example_kind *kind;
	struct mm_struct *mm;
	struct example_spte spte;
};

/* Shared by interval.c, flush.c and export.c */
struct interval_example {
	struct example ex;
	struct mutex lock;	/* the driver's */
	struct mmu_interval_notifier sub;
};

/* main.c, all under the driver's lock */
int example_use(struct example *ex, struct example_access *access);
void example_drop(struct example *ex, unsigned long start, unsigned long end);
void example_install(struct example *ex, unsigned long addr, struct page *page,
		     bool writable);

/* interval.c */
int interval_access(struct example *ex, struct example_access *access);
int interval_fault(struct example *ex, unsigned long addr, bool write);
void interval_end(struct example *ex);

extern const struct example_kind interval_kind, flush_kind, list_kind;
extern const struct example_kind walker_kind, export_kind;
extern const struct file_operations context_fops, regions_fops;

#endif /* _MMU_NOTIFIER_EXAMPLE_H */
