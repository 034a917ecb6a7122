// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes that are mapped: an importer's process uses the exporter's pages by its
 * own loads and stores, as those of XPMEM do.
 *
 * A mapping of the device's file shows the window from its first page. Its
 * entries (VM_PFNMAP, no page reference) are copies of SPTEs, as a TLB's are: an
 * entry is made only under the device lock, from an SPTE, and before an SPTE is
 * dropped all copies of it go:
 *
 *	device lock	unmapping++: no entry is made
 *	unmap		by unmap_mapping_range(), without any lock of ours
 *	device lock	drop the SPTEs, unmapping--
 *
 * Without a lock, because unmapping calls the subscribers of the importer's mm,
 * whose locks we know nothing of. The file has an address_space of its own for
 * that, or all devices would share one.
 *
 * Nobody sees the importer's CPU write. An SPTE whose copy is writable counts as
 * written through.
 *
 * A fault has the importer's mmap_lock, and must not wait for the exporter's under
 * it: two processes may import from each other. So it is done in two rounds:
 * without any lock make the SPTE, then have the fault repeated, which copies it.
 * What the first round failed with is left for the second, by task.
 *
 * Page tables are allocated under the device lock, where nobody may wait for
 * memory: reclaim would wait for this very node. So they come from the reserves.
 *
 * An exporter's own process has no use for such a mapping, and it is refused.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/xarray.h>

#include "mmu_mirror.h"

/**
 * mirror_map_init() - a new file can be mapped
 * @m: the mirror.
 * @file: its file.
 */
void mirror_map_init(struct mirror *m, struct file *file)
{
	struct mirror_map *map = &m->map;

	address_space_init_once(&map->mapping);
	map->mapping.host = file->f_inode;
	map->mapping.a_ops = &empty_aops;
	file->f_mapping = &map->mapping;
	xa_init_flags(&map->failed, XA_FLAGS_ACCOUNT);
}

/**
 * mirror_map_destroy() - the file is closed, and so nothing of it is mapped
 * @m: the mirror.
 */
void mirror_map_destroy(struct mirror *m)
{
	xa_destroy(&m->map.failed);
}

/**
 * mirror_map_unmap() - remove all copies of SPTEs
 * @m: the node.
 * @first: index of the first page.
 * @last: index of the last page.
 *
 * Context: may sleep; no locks held; none is made anew, see the head of this file.
 */
void mirror_map_unmap(struct mirror *m, unsigned long first, unsigned long last)
{
	first = max(first, m->first);
	last = min(last, m->last);
	if (first > last || !mapping_mapped(&m->map.mapping))
		return;
	unmap_mapping_range(&m->map.mapping,
			    (loff_t)(first - m->first) << PAGE_SHIFT,
			    (loff_t)(last - first + 1) << PAGE_SHIFT, 1);
}

/* Is there something to be mapped at all? */
static bool map_is_usable(struct mirror *m, unsigned long index)
{
	return m->mm && m->node.export && READ_ONCE(m->live) &&
	       m->user == current->mm && index >= m->first && index <= m->last;
}

/* Copy the SPTE. VM_FAULT_RETRY: there is none, or not now. */
static vm_fault_t map_copy(struct mirror *m, struct vm_fault *vmf,
			   unsigned long index)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct vm_area_struct *vma = vmf->vma;
	vm_fault_t ret = VM_FAULT_RETRY;
	unsigned int noreclaim;
	struct mirror_spte spte;
	unsigned long flags;

	mirror_mutex_lock(m);
	if (!m->map.unmapping &&
	    mirror_table_use(m, index, write, &spte)) {
		flags = vma->vm_flags;
		/* Only for a write: others leave the page clean. */
		if (!write)
			flags &= ~VM_WRITE;
		noreclaim = memalloc_noreclaim_save();
		ret = vmf_insert_pfn_prot(vma, vmf->address & PAGE_MASK,
					  spte.pfn, vm_get_page_prot(flags));
		memalloc_noreclaim_restore(noreclaim);
	}
	mirror_mutex_unlock(m);
	return ret;
}

static vm_fault_t map_try(struct mirror *m, struct vm_fault *vmf)
{
	unsigned long index;
	vm_fault_t ret;

	/* In the other order it may be held around mmap_lock. */
	if (!down_read_trylock(&m->use))
		return VM_FAULT_RETRY;

	index = m->first + vmf->pgoff;
	if (!map_is_usable(m, index)) {
		ret = VM_FAULT_SIGBUS;
	} else {
		ret = map_copy(m, vmf, index);
		if (ret == VM_FAULT_RETRY && (vmf->flags & FAULT_FLAG_TRIED) &&
		    xa_cmpxchg(&m->map.failed, vmf->pgoff,
			       xa_mk_value(current->pid), NULL, 0) ==
		    xa_mk_value(current->pid))
			ret = VM_FAULT_SIGBUS;
	}
	up_read(&m->use);
	return ret;
}

/* The first round, without mmap_lock. */
static void map_fault(struct mirror *m, pgoff_t pgoff, bool write)
{
	struct mirror_fault fault = { .write = write };
	int ret;

	if (down_read_killable(&m->use))
		return;
	fault.addr = (m->first + pgoff) << PAGE_SHIFT;
	ret = -EFAULT;
	if (map_is_usable(m, m->first + pgoff) && mirror_pin_mm(m)) {
		ret = mirror_fault(m, &fault);
		mirror_unpin_mm(m);
	}
	up_read(&m->use);

	if (ret && ret != -EINTR)
		xa_store(&m->map.failed, pgoff, xa_mk_value(current->pid),
			 GFP_KERNEL);
	else if (READ_ONCE(m->map.unmapping))
		/* It may be there, but is not to be copied now. */
		usleep_range(50, 200);
}

static vm_fault_t mirror_vm_fault(struct vm_fault *vmf)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	struct file *file = vmf->vma->vm_file;
	struct mirror *m = file->private_data;
	pgoff_t pgoff = vmf->pgoff;
	vm_fault_t ret;

	ret = map_try(m, vmf);
	if (ret != VM_FAULT_RETRY)
		return ret;
	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	get_file(file);
	release_fault_lock(vmf);
	map_fault(m, pgoff, write);
	fput(file);
	return VM_FAULT_RETRY;
}

/* A copy for reading is in the way of one for writing. */
static vm_fault_t mirror_vm_mkwrite(struct vm_fault *vmf)
{
	struct mirror *m = vmf->vma->vm_file->private_data;

	unmap_mapping_range(&m->map.mapping, (loff_t)vmf->pgoff << PAGE_SHIFT,
			    PAGE_SIZE, 1);
	return VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct mirror_vm_ops = {
	.fault = mirror_vm_fault,
	.pfn_mkwrite = mirror_vm_mkwrite,
};

/**
 * mirror_mmap() - map the window of an importer
 * @file: the device's file.
 * @vma: the mapping.
 *
 * Return: 0, -EINVAL: private, or beyond the window; -ENXIO: not attached;
 * -EOPNOTSUPP: not an importer; -EPERM: not by its process, or by the
 * exporter's; -EAGAIN: the device is being attached or detached.
 */
int mirror_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct mirror *m = file->private_data;
	unsigned long nr;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	/* mmap_lock is held, see above. */
	if (!down_read_trylock(&m->use))
		return -EAGAIN;
	nr = m->last - m->first + 1;
	if (!m->mm)
		ret = -ENXIO;
	else if (m->ops != &mirror_import_ops)
		ret = -EOPNOTSUPP;
	else if (m->user != current->mm || m->mm == current->mm)
		ret = -EPERM;
	else if (vma->vm_pgoff >= nr || vma_pages(vma) > nr - vma->vm_pgoff)
		ret = -EINVAL;
	up_read(&m->use);
	if (ret)
		return ret;

	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTCOPY |
		     VM_DONTDUMP);
	vma->vm_ops = &mirror_vm_ops;
	return 0;
}
