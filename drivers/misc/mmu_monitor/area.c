// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor: the memory that the generation words are in.
 *
 * A page is allocated when the first word in it is wanted, is charged to whoever
 * wants it, and stays until the monitor goes or the address space does. So a
 * mapping may be as long as the area can get; what is not there yet is SIGBUS.
 *
 * A child that was forked has its parent's mappings, and code that looks words up
 * there. It shall find that nothing is valid, so it finds ones: a mapping of a
 * file is not copied by fork(), but faulted in again, and the fault asks who it
 * is. That is also why these pages are not mapped by remap_pfn_range() or
 * vm_insert_page(): such mappings are copied.
 */

#include <linux/gfp.h>
#include <linux/mm.h>

#include "mmu_monitor.h"

/* What others than the owner see. */
static struct page *area_foreign;

int area_init(void)
{
	area_foreign = alloc_page(GFP_KERNEL);
	if (!area_foreign)
		return -ENOMEM;
	memset(page_address(area_foreign), 0xff, PAGE_SIZE);
	return 0;
}

void area_exit(void)
{
	__free_page(area_foreign);
}

/* Page @index of the area, or NULL without memory; monitor.lock is held. */
static struct page *area_page(struct monitor *monitor, unsigned long index)
{
	struct page *page = xa_load(&monitor->pages, index);

	if (page)
		return page;
	page = alloc_page(MONITOR_GFP | __GFP_ZERO);
	if (!page)
		return NULL;
	if (xa_err(xa_store(&monitor->pages, index, page, MONITOR_GFP))) {
		__free_page(page);
		return NULL;
	}
	return page;
}

/**
 * area_word() - where a generation word is
 * @monitor: the monitor, its lock held.
 * @number: of the word.
 *
 * A word that was never used is 0. It is an error of the caller's to use one that
 * belongs to nobody, as the user may know its number.
 *
 * Context: may sleep.
 *
 * Return: the word, or NULL if there is no memory.
 */
u64 *area_word(struct monitor *monitor, u32 number)
{
	struct page *page = area_page(monitor, number / MONITOR_WORDS_PER_PAGE);

	if (!page)
		return NULL;
	return (u64 *)page_address(page) + number % MONITOR_WORDS_PER_PAGE;
}

/**
 * area_size() - how much there can be of it
 *
 * Return: bytes, whole pages.
 */
u64 area_size(void)
{
	return PAGE_ALIGN((MONITOR_FIRST_WORD + (u64)monitor_max_watches) *
			  sizeof(u64));
}

/**
 * area_create() - make the area of a new monitor
 * @monitor: the monitor.
 *
 * Return: 0 or -ENOMEM.
 */
int area_create(struct monitor *monitor)
{
	xa_init_flags(&monitor->pages, XA_FLAGS_ACCOUNT);
	monitor->area = (struct mmu_monitor_area *)area_word(monitor, 0);
	if (monitor->area)
		return 0;
	xa_destroy(&monitor->pages);
	return -ENOMEM;
}

/**
 * area_destroy() - drop the area
 * @monitor: the monitor, without watches. Where the area is mapped, which can
 *	only be by an mm that is being torn down, its pages remain for as long.
 */
void area_destroy(struct monitor *monitor)
{
	unsigned long index;
	struct page *page;

	xa_for_each(&monitor->pages, index, page)
		__free_page(page);
	xa_destroy(&monitor->pages);
}

static vm_fault_t area_fault(struct vm_fault *vmf)
{
	struct monitor *monitor = vmf->vma->vm_file->private_data;
	struct page *page = area_foreign;

	if (vmf->vma->vm_mm == monitor->mm)
		page = xa_load(&monitor->pages, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct area_vm_ops = {
	.fault = area_fault,
};

/**
 * area_mmap() - map the area
 * @monitor: the monitor, of the current mm.
 * @vma: the mapping to be.
 *
 * Without VM_MAYWRITE it cannot be made writable by mprotect(), nor be written to
 * by a debugger, nor registered with userfaultfd.
 *
 * Context: mmap_lock held for writing.
 *
 * Return: 0; -EPERM if it is to be writable; -EINVAL if it is to be private, is
 * not from the area's start, or is longer than the area.
 */
int area_mmap(struct monitor *monitor, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_MAYSHARE) || vma->vm_pgoff ||
	    vma->vm_end - vma->vm_start > area_size())
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	vm_flags_mod(vma, VM_DONTEXPAND | VM_DONTDUMP, VM_MAYWRITE);
	vma->vm_ops = &area_vm_ops;
	return 0;
}
