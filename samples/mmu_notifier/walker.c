// SPDX-License-Identifier: GPL-2.0
/*
 * A device that walks the CPU's page table and has a TLB, of one entry.
 *
 * The walk takes no lock of mm/, as hardware does not. It is in one section of
 * the driver's lock with the use of what it found. So invalidate_range waits for
 * an access that uses the old entry, and later walks find it cleared. Interrupts
 * are off, so that no table is freed that is being walked.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>

#include "example.h"

struct walker_example {
	struct example ex;
	spinlock_t lock;	/* the driver's */
	struct mmu_notifier sub;
};

static struct walker_example *to_walker(struct example *ex)
{
	return container_of(ex, struct walker_example, ex);
}

/* [flush] */
static void walker_flush(struct walker_example *wa, unsigned long start,
			 unsigned long end)
{
	spin_lock(&wa->lock);
	example_drop(&wa->ex, start, end);
	spin_unlock(&wa->lock);
}

/* The entries are cleared, the pages about to be replaced or freed. */
static void walker_invalidate_range(struct mmu_notifier *sub,
				    struct mm_struct *mm, unsigned long start,
				    unsigned long end)
{
	walker_flush(container_of(sub, struct walker_example, sub), start, end);
}

/* Whatever has changed and did not come by invalidate_range(). */
static void walker_end(struct mmu_notifier *sub,
		       const struct mmu_notifier_range *range)
{
	walker_flush(container_of(sub, struct walker_example, sub),
		     range->start, range->end);
}

static void walker_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	walker_flush(container_of(sub, struct walker_example, sub), 0,
		     ULONG_MAX);
}

static const struct mmu_notifier_ops walker_ops = {
	.release = walker_release,
	.invalidate_range = walker_invalidate_range,
	.invalidate_range_end = walker_end,
};

/* [end] */

static struct page *walker_nth_page(unsigned long pfn, unsigned long addr,
				    unsigned long mask)
{
	pfn += (addr & ~mask) >> PAGE_SHIFT;
	return pfn_valid(pfn) ? pfn_to_page(pfn) : NULL;
}

static struct page *walker_walk_tables(struct mm_struct *mm,
				       unsigned long addr, bool write)
{
	pgd_t *pgdp, pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	pte_t pte;

	pgdp = pgd_offset(mm, addr);
	pgd = READ_ONCE(*pgdp);
	if (!pgd_present(pgd))
		return NULL;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = READ_ONCE(*p4dp);
	if (!p4d_present(p4d))
		return NULL;
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = READ_ONCE(*pudp);
	if (!pud_present(pud))
		return NULL;
	if (pud_leaf(pud))
		return pud_access_permitted(pud, write) ?
		       walker_nth_page(pud_pfn(pud), addr, PUD_MASK) : NULL;
	pmdp = pmd_offset_lockless(pudp, pud, addr);
	pmd = pmdp_get_lockless(pmdp);
	if (!pmd_present(pmd))
		return NULL;
	if (pmd_leaf(pmd))
		return pmd_access_permitted(pmd, write) ?
		       walker_nth_page(pmd_pfn(pmd), addr, PMD_MASK) : NULL;
	pte = ptep_get_lockless(pte_offset_kernel(&pmd, addr));
	return pte_access_permitted(pte, write) ?
	       walker_nth_page(pte_pfn(pte), addr, PAGE_MASK) : NULL;
}

static struct page *walker_walk(struct mm_struct *mm, unsigned long addr,
				bool write)
{
	unsigned long flags;
	struct page *page;

	local_irq_save(flags);
	page = walker_walk_tables(mm, addr, write);
	local_irq_restore(flags);
	return page;
}

static int walker_access(struct example *ex, struct example_access *access)
{
	struct walker_example *wa = to_walker(ex);
	struct page *page;
	int ret;

	spin_lock(&wa->lock);
	ret = example_use(ex, access);
	if (ret == -ENOENT) {
		page = walker_walk(ex->mm, access->addr & PAGE_MASK,
				   access->write);
		if (page) {
			example_install(ex, access->addr & PAGE_MASK, page,
					access->write);
			ret = example_use(ex, access);
		}
	}
	/* Hardware sets the dirty bit of the CPU's entry as it writes. */
	if (!ret && access->write)
		folio_mark_dirty(page_folio(ex->spte.page));
	spin_unlock(&wa->lock);
	return ret;
}

/* The walk found nothing: a page request. The device walks again afterwards. */
static int walker_fault(struct example *ex, unsigned long addr, bool write)
{
	struct page *page;
	int ret;

	ret = get_user_pages_fast(addr, 1, write ? FOLL_WRITE : 0, &page);
	if (ret != 1)
		return ret ?: -EFAULT;
	put_page(page);
	return -EAGAIN;
}

static int walker_begin(struct example *ex)
{
	struct walker_example *wa = to_walker(ex);

	spin_lock_init(&wa->lock);
	wa->sub.ops = &walker_ops;
	return mmu_notifier_register(&wa->sub, ex->mm);
}

static void walker_end_subscription(struct example *ex)
{
	mmu_notifier_unregister(&to_walker(ex)->sub, ex->mm);
}

const struct example_kind walker_kind = {
	.size = sizeof(struct walker_example),
	.begin = walker_begin,
	.end = walker_end_subscription,
	.access = walker_access,
	.fault = walker_fault,
};
