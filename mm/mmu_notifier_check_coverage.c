// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: is each change of a page table covered by a range (R1)?
 *
 * The hooks are in <linux/mmu_notifier_coverage.h>, which also says what needs no
 * range. An entry is judged by what a secondary MMU can have made of it: the page,
 * and whether it may be read and written. So these are violations, outside of
 * any range that covers the whole of the entry:
 *
 *  - it is *cleared*: it was present, and no longer is;
 *  - it is *pointed elsewhere*: to another page;
 *  - it is *downgraded*: it may no longer be read, or written.
 *
 * Entries without access rights (PROT_NONE, NUMA hinting) are present: who pins
 * pages by way of FOLL_FORCE, or does not ask for hinting faults, may have mapped
 * the page.
 */

#include <linux/export.h>
#include <linux/hash.h>
#include <linux/hugetlb.h>
#include <linux/init.h>
#include <linux/jhash.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/stacktrace.h>
#include <linux/uaccess.h>

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"

/**
 * struct mn_entry - what is judged of an entry
 * @val: the entry, for the report.
 * @pfn: the page, or that of the table.
 * @present: a secondary MMU may know of it.
 * @readable: user space may read the page.
 * @writable: user space may write to the page.
 */
struct mn_entry {
	u64 val;
	unsigned long pfn;
	bool present;
	bool readable;
	bool writable;
};

DEFINE_STATIC_KEY_FALSE(mmu_notifier_coverage);
EXPORT_SYMBOL(mmu_notifier_coverage);

static struct mn_entry mn_pte(pte_t pte)
{
	struct mn_entry entry = {
		.val = pte_val(pte),
		.present = pte_present(pte),
	};

	if (entry.present) {
		entry.pfn = pte_pfn(pte);
		entry.readable = pte_access_permitted(pte, false);
		entry.writable = pte_write(pte);
	}
	return entry;
}

static struct mn_entry mn_pmd(pmd_t pmd)
{
	struct mn_entry entry = {
		.val = pmd_val(pmd),
		.present = pmd_present(pmd),
	};

	if (entry.present) {
		entry.pfn = pmd_pfn(pmd);
		entry.readable = pmd_access_permitted(pmd, false);
		entry.writable = pmd_write(pmd);
	}
	return entry;
}

static struct mn_entry mn_pud(pud_t pud)
{
	struct mn_entry entry = {
		.val = pud_val(pud),
		.present = pud_present(pud),
	};

	if (entry.present) {
		entry.pfn = pud_pfn(pud);
		entry.readable = pud_access_permitted(pud, false);
		entry.writable = pud_write(pud);
	}
	return entry;
}

/* What is done to a secondary MMU that knew the old entry? NULL: nothing. */
static const char *mn_change(const struct mn_entry *old,
			     const struct mn_entry *new)
{
	if (!old->present)
		return NULL;
	if (!new->present)
		return "cleared";
	if (old->pfn != new->pfn)
		return "pointed elsewhere";
	if (old->readable > new->readable || old->writable > new->writable)
		return "downgraded";
	return NULL;
}

/* Is there anybody who must have been told? */
static bool mn_matters(struct mm_struct *mm, unsigned long addr)
{
	struct mmu_notifier_subscriptions *subscriptions =
		READ_ONCE(mm->notifier_subscriptions);

	if (likely(!subscriptions))
		return false;
	/* Acquire: whatever began before that was set has ended. */
	return smp_load_acquire(&subscriptions->settled) & MN_TRACKS &&
	       atomic_read(&mm->mm_users) && addr < TASK_SIZE_MAX;
}

/*
 * Something that stands for the call site, to report it once: the functions
 * nearest to the change, as the one that changes the entry may be a helper, and
 * who should have started a range is often its caller.
 */
static noinline const void *mn_site(void)
{
	unsigned long frames[3];
	unsigned int nr = stack_trace_save(frames, ARRAY_SIZE(frames), 3);

	return (void *)(unsigned long)jhash(frames, nr * sizeof(*frames), 0);
}

static noinline void mn_judge(struct mm_struct *mm, unsigned long start,
			      unsigned long size, const char *level,
			      const char *change, u64 old, u64 new)
{
	if (mmu_record_covers(mm, start, start + size) != MMU_UNCOVERED)
		return;
	mmu_notifier_report(MMU_REPORT_COVERAGE, mn_site(), mm,
			    "the %s of [%#lx, %#lx) is %s outside of any range that covers it: %#llx -> %#llx",
			    level, start, start + size, change, old, new);
}

static __always_inline void
mn_check(struct mm_struct *mm, unsigned long addr, unsigned long size,
	 const char *level, struct mn_entry old, struct mn_entry new)
{
	const char *change = mn_change(&old, &new);

	if (change)
		mn_judge(mm, addr & ~(size - 1), size, level, change, old.val,
			 new.val);
}

/* See mmu_notifier_check_pte(). */
void __mmu_notifier_check_pte(struct mm_struct *mm, unsigned long addr,
			      pte_t old, pte_t new)
{
	if (mn_matters(mm, addr))
		mn_check(mm, addr, PAGE_SIZE, "PTE", mn_pte(old), mn_pte(new));
}
EXPORT_SYMBOL(__mmu_notifier_check_pte);

/* See mmu_notifier_check_ptes_set(). */
void __mmu_notifier_check_ptes_set(struct mm_struct *mm, unsigned long addr,
				   pte_t *ptep, pte_t new, unsigned int nr)
{
	if (!mn_matters(mm, addr))
		return;
	for (; nr; nr--) {
		mn_check(mm, addr, PAGE_SIZE, "PTE", mn_pte(ptep_get(ptep)),
			 mn_pte(new));
		if (pte_present(new))
			new = pte_next_pfn(new);
		addr += PAGE_SIZE;
		ptep++;
	}
}
EXPORT_SYMBOL(__mmu_notifier_check_ptes_set);

/* See mmu_notifier_check_huge(). */
void __mmu_notifier_check_huge(struct mm_struct *mm, unsigned long addr,
			       pte_t old, unsigned long size)
{
	if (mn_matters(mm, addr) && pte_present(old) && size > PAGE_SIZE)
		mn_judge(mm, addr + PAGE_SIZE, size - PAGE_SIZE, "huge PTE",
			 "cleared", pte_val(old), 0);
}
EXPORT_SYMBOL(__mmu_notifier_check_huge);

/* See mmu_notifier_check_pmd(). */
void __mmu_notifier_check_pmd(struct mm_struct *mm, unsigned long addr,
			      pmd_t old, pmd_t new)
{
	if (mn_matters(mm, addr))
		mn_check(mm, addr, PMD_SIZE, "PMD", mn_pmd(old), mn_pmd(new));
}
EXPORT_SYMBOL(__mmu_notifier_check_pmd);

/* See mmu_notifier_check_pud(). */
void __mmu_notifier_check_pud(struct mm_struct *mm, unsigned long addr,
			      pud_t old, pud_t new)
{
	if (mn_matters(mm, addr))
		mn_check(mm, addr, PUD_SIZE, "PUD", mn_pud(old), mn_pud(new));
}
EXPORT_SYMBOL(__mmu_notifier_check_pud);

/* See mmu_notifier_check_table(). */
void __mmu_notifier_check_table(struct mm_struct *mm, unsigned long addr,
				unsigned long size)
{
	if (mn_matters(mm, addr))
		mn_judge(mm, addr & ~(size - 1), size, "table", "taken away", 0,
			 0);
}

/* See mmu_notifier_exempt_begin(). */
void __mmu_notifier_exempt_begin(struct mm_struct *mm, unsigned long start,
				 unsigned long end, enum mmu_exemption why)
{
	/* Who is not subscribed must not pay for a record, nor use one up. */
	if (READ_ONCE(mm->notifier_subscriptions))
		mmu_record_exempt(mm, start, end, why,
				  __builtin_return_address(0));
}

/* See mmu_notifier_exempt_end(). */
void __mmu_notifier_exempt_end(struct mm_struct *mm)
{
	if (READ_ONCE(mm->notifier_subscriptions))
		mmu_record_unexempt();
}

/* After the checker has been switched on, which is when its records exist. */
static int __init mn_coverage_init(void)
{
	if (mmu_notifier_checks & BIT(MMU_REPORT_COVERAGE))
		static_branch_enable(&mmu_notifier_coverage);
	return 0;
}
subsys_initcall_sync(mn_coverage_init);
