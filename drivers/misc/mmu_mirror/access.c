// SPDX-License-Identifier: GPL-2.0
/*
 * Device accesses and device page faults.
 *
 * An access works like hardware: look the SPTE up and use it, both under the
 * device lock. If there is none that allows it, fault and try again. The data
 * goes through a kernel buffer, since copying to or from user memory may fault,
 * and a fault of the CPU's may invalidate something: it is done with no lock
 * held at all.
 *
 * A fault is the same for all personalities (R3):
 *
 *	reserve		room for the SPTE
 *	translate	look the page up, noting when that began
 *	device lock
 *	collided?	if so, unlock and begin again: that is a replay (`sva` looks
 *			the page up here, and begins again if it is not there)
 *	install
 *	device unlock
 *	put the page, if translating took a reference
 *
 * Only a fatal signal ends the replays of a system call. Between two pages of a
 * long access mirror.use is released, so that it does not hold up a detach for
 * longer than one fault.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mmu_mirror.h"
#include "trace.h"

/**
 * mirror_access_once() - access a page through its SPTE, if there is one
 * @m: the mirror.
 * @op: the access.
 *
 * Context: may sleep; mirror.use held for reading.
 *
 * Return: 0, -ENOENT if there is no SPTE that allows it, or why the key does not
 * allow it.
 */
int mirror_access_once(struct mirror *m, struct mirror_op *op)
{
	int ret;

	m->ops->lock(m);
	ret = op->key ? mirror_regcache_allows(m, op) : 0;
	if (!ret)
		ret = mirror_table_access(m, op);
	m->ops->unlock(m);
	return ret;
}

/*
 * Have the page mapped into the CPU's page table as the device wants to use it.
 * mmap_lock is held; false in @locked means that it was dropped.
 */
static long mirror_get_page_locked(struct mirror *m,
				   struct mirror_fault *fault, int *locked)
{
	unsigned int gup_flags = fault->write ? FOLL_WRITE : 0;
	struct vm_area_struct *vma;

	/* A device's write access implies read access. */
	vma = vma_lookup(m->mm, fault->addr);
	if (!vma || !(vma->vm_flags & VM_READ))
		return -EFAULT;

	/* What would wait for user space or a disk fails, and is retried. */
	if (fault->engine)
		return get_user_pages_remote(m->mm, fault->addr, 1,
					     gup_flags | FOLL_NOWAIT,
					     &fault->page, NULL);

	return get_user_pages_remote(m->mm, fault->addr, 1, gup_flags,
				     &fault->page, locked);
}

/**
 * mirror_get_page() - find out where a page is by get_user_pages()
 * @m: the mirror.
 * @fault: the fault, which has a reference to the page afterwards.
 *
 * The SPTE may be writable if write access is asked for. Then the CPU's page is
 * dirty, too.
 *
 * Context: may sleep; no locks held; mm_users of the mm held.
 *
 * Return: 0, -EAGAIN: try again; -EFAULT: no such mapping; -EINTR, -ENOMEM.
 */
int mirror_get_page(struct mirror *m, struct mirror_fault *fault)
{
	int locked = 1;
	long ret;

	if (mirror_should_fail(m))
		return -ENOMEM;
	if (mmap_read_lock_killable(m->mm))
		return -EINTR;
	ret = mirror_get_page_locked(m, fault, &locked);
	if (locked)
		mmap_read_unlock(m->mm);

	if (ret == -ENOMEM || ret == -EINTR)
		return ret;
	if (ret < 0)
		return -EFAULT;
	if (!ret)
		return fatal_signal_pending(current) ? -EINTR : -EAGAIN;

	fault->pfn = page_to_pfn(fault->page);
	fault->writable = fault->write;
	return 0;
}

/* Look the page up and install it, once. */
static int mirror_fault_once(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	int ret;

	ret = mirror_table_reserve(m, index);
	if (ret)
		return ret;

	fault->page = NULL;
	ret = m->ops->translate(m, fault);
	if (ret)
		return ret;

	m->ops->lock(m);
	if (m->ops->install)
		ret = m->ops->install(m, fault);
	else if (m->ops->collided(m, fault))
		ret = -EAGAIN;
	else
		ret = mirror_table_install(m, index, fault->pfn,
					   fault->writable);
	m->ops->unlock(m);

	/* It was needed for finding the page only, never for using it (R2). */
	if (fault->page)
		put_page(fault->page);
	return ret;
}

/**
 * mirror_fault() - make an SPTE
 * @m: the mirror.
 * @fault: the fault.
 *
 * Context: may sleep; mirror.use held for reading; mm_users of the mm held.
 *
 * Return: 0, -EFAULT if there is no such mapping or it does not allow it, -EINTR
 * on a fatal signal, -ESHUTDOWN if the mirror is not live, -ENOMEM. The engine
 * gets -EAGAIN instead of a replay.
 */
int mirror_fault(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	int ret;

	if (index < m->first || index > m->last)
		return -EFAULT;

	for (;;) {
		ret = mirror_fault_once(m, fault);
		trace_mmu_mirror_fault(fault, ret);
		if (ret != -EAGAIN)
			break;
		mirror_count(m, MIRROR_STAT_REPLAYS);
		fault->replays++;
		if (fault->engine)
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	if (ret)
		mirror_table_unreserve(m, index);
	return ret;
}

/* Access one page, faulting as needed. Counts in @args, which may be NULL. */
static int mirror_access_page(struct mirror *m, struct mirror_op *op,
			      bool nofault, struct mmu_mirror_access *args)
{
	struct mirror_fault fault = {
		.addr = op->addr & PAGE_MASK,
		.write = op->kind != MIRROR_OP_READ,
		.key = op->key,
	};
	u64 faults = 0;
	int ret;

	ret = mirror_get_use(m);
	if (ret)
		return ret;

	while ((ret = mirror_access_once(m, op)) == -ENOENT) {
		if (nofault) {
			ret = -EFAULT;
			break;
		}
		/* The SPTE may be gone again before it is used. */
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		if (!mirror_pin_mm(m)) {
			ret = -ESHUTDOWN;
			break;
		}
		ret = mirror_fault(m, &fault);
		mirror_unpin_mm(m);
		if (ret)
			break;
		faults++;
		cond_resched();
	}
	mirror_put_use(m);

	if (args) {
		args->faults += faults;
		args->replays += fault.replays;
	}
	return ret;
}

static int mirror_access_step(struct mirror *m, struct mirror_op *op,
			      struct mmu_mirror_access *args)
{
	void __user *user = u64_to_user_ptr(args->buffer + args->done);
	bool nofault = args->flags & MMU_MIRROR_NOFAULT;
	int ret;

	if (op->kind == MIRROR_OP_WRITE &&
	    copy_from_user(op->buf, user, op->len))
		return -EFAULT;

	ret = mirror_access_page(m, op, nofault, args);
	if (ret)
		return ret;

	if (op->kind == MIRROR_OP_READ &&
	    copy_to_user(user, op->buf, op->len))
		return -EFAULT;
	return 0;
}

/**
 * mirror_cmd_access() - MMU_MIRROR_READ, MMU_MIRROR_WRITE, and by key
 * @m: the mirror.
 * @args: the arguments.
 * @key: the key; 0: by address alone.
 * @write: read or write?
 *
 * Return: 0 or an error; args->done says how far it came.
 */
int mirror_cmd_access(struct mirror *m, struct mmu_mirror_access *args,
		      u64 key, bool write)
{
	struct mirror_op op = {
		.kind = write ? MIRROR_OP_WRITE : MIRROR_OP_READ,
		.key = key,
	};
	u64 end;
	int ret;

	args->done = 0;
	args->faults = 0;
	args->replays = 0;
	if (args->flags & ~MMU_MIRROR_NOFAULT)
		return -EINVAL;
	if (check_add_overflow(args->addr, args->length, &end))
		return -EFAULT;

	/* Also for what is of no length: is there a device to do nothing? */
	ret = mirror_get_use(m);
	if (ret)
		return ret;
	mirror_put_use(m);

	if (mirror_should_fail(m))
		return -ENOMEM;
	op.buf = kmalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!op.buf)
		return -ENOMEM;

	while (!ret && args->done < args->length) {
		op.addr = args->addr + args->done;
		op.len = min_t(u64, args->length - args->done,
			       PAGE_SIZE - offset_in_page(op.addr));
		ret = mirror_access_step(m, &op, args);
		if (!ret)
			args->done += op.len;
		cond_resched();
	}
	kfree(op.buf);
	return ret;
}

/**
 * mirror_load_word() - have the device read a word, faulting as needed
 * @m: the mirror.
 * @addr: its address, 8-byte aligned.
 * @word: out: the word.
 *
 * What one thread reads by this is read in the order of its calls: the device
 * lock is taken for each, and to release and take it again orders loads.
 *
 * Context: may sleep; called by a thread of the attached process.
 *
 * Return: 0 or an error.
 */
int mirror_load_word(struct mirror *m, unsigned long addr, u64 *word)
{
	struct mirror_op op = {
		.kind = MIRROR_OP_READ,
		.addr = addr,
		.len = sizeof(*word),
		.buf = word,
	};

	return mirror_access_page(m, &op, false, NULL);
}

/**
 * mirror_cmd_add() - MMU_MIRROR_ADD
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_add.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_add(struct mirror *m, void *argp)
{
	struct mmu_mirror_add *args = argp;
	struct mirror_op op = {
		.kind = MIRROR_OP_ADD,
		.addr = args->addr,
		.len = sizeof(u64),
		.value = args->value,
	};
	int ret;

	args->old = 0;
	if (args->flags & ~MMU_MIRROR_NOFAULT)
		return -EINVAL;
	if (!IS_ALIGNED(args->addr, sizeof(u64)))
		return -EINVAL;

	ret = mirror_access_page(m, &op, args->flags & MMU_MIRROR_NOFAULT,
				 NULL);
	if (!ret)
		args->old = op.old;
	return ret;
}
