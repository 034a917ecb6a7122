/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: where entries of page tables change.
 *
 * Before an entry of a user mapping is cleared, downgraded or pointed elsewhere,
 * every subscription that covers it has been told, and the range stays in flight
 * until afterwards (R1). The functions that change entries call the hooks below,
 * and the contract checker (mm/mmu_notifier_check_coverage.c) asks whether a range
 * in flight on the same task covers the address.
 *
 * A page-table header of an architecture includes this file, once its types are
 * known, and the architecture selects ARCH_HAS_MMU_NOTIFIER_COVERAGE when all of its
 * functions have the hooks.
 */
#ifndef _LINUX_MMU_NOTIFIER_COVERAGE_H
#define _LINUX_MMU_NOTIFIER_COVERAGE_H

#ifdef CONFIG_MMU_NOTIFIER_COVERAGE
#include <linux/jump_label.h>
#endif

struct mm_struct;

/**
 * DOC: what needs no range
 *
 * Whatever leaves an entry of a secondary MMU as good as it was. The contract
 * checker sees most of it in the entries, or in the address space:
 *
 * - *Upgrades*: the same page, and no right is lost.
 * - *The accessed bit* alone. Such changes have no hook at all. In 6.12 that is all
 *   that MADV_COLD and MADV_PAGEOUT do by themselves; when pages are reclaimed or
 *   huge ones split on their behalf, that has a range of its own.
 * - *The dirty bit* alone. A subscriber that wrote through its entry has the folio
 *   marked dirty when the start of a range returns (R2), whatever the PTE says.
 * - *What is not present*: swap and migration entries and markers, which nobody can
 *   have mapped, and what is put in their place or where nothing was.
 * - *Teardown*: mm_users is 0, so each subscription has been released, or will be
 *   before the first page is unmapped (R6).
 * - *Nobody subscribed*, or a first subscription that is not registered yet: it has
 *   mapped nothing, and waits for what began before it.
 * - *Empty tables* that are freed, and addresses that are not user space's.
 *
 * What it cannot see is said by the code that does it, for as long as it lasts: see
 * &enum mmu_exemption.
 */

/**
 * enum mmu_exemption - why entries may change without a range
 * @MMU_EXEMPT_NONE: they may not.
 * @MMU_EXEMPT_NUMA_RESTORE: a NUMA hinting fault clears the entry, gives it back
 *	the rights of its VMA, and sets it, under the page-table lock all the while.
 *	The page stays, and the range that took the rights away told everybody.
 * @MMU_EXEMPT_DETACHED: the table has been taken out of the page tables, within a
 *	range that covered all of it, and nobody can have mapped a page by it since:
 *	khugepaged empties such a table after its range has ended.
 */
enum mmu_exemption {
	MMU_EXEMPT_NONE = 0,
	MMU_EXEMPT_NUMA_RESTORE,
	MMU_EXEMPT_DETACHED,
};

#ifdef CONFIG_MMU_NOTIFIER_COVERAGE

/* On if coverage is checked, see debug_mmu_notifier=. */
DECLARE_STATIC_KEY_FALSE(mmu_notifier_coverage);

void __mmu_notifier_check_pte(struct mm_struct *mm, unsigned long addr,
			      pte_t old, pte_t new);
void __mmu_notifier_check_ptes_set(struct mm_struct *mm, unsigned long addr,
				   pte_t *ptep, pte_t new, unsigned int nr);
void __mmu_notifier_check_pmd(struct mm_struct *mm, unsigned long addr,
			      pmd_t old, pmd_t new);
void __mmu_notifier_check_pud(struct mm_struct *mm, unsigned long addr,
			      pud_t old, pud_t new);
void __mmu_notifier_check_huge(struct mm_struct *mm, unsigned long addr,
			       pte_t old, unsigned long size);
void __mmu_notifier_check_table(struct mm_struct *mm, unsigned long addr,
				unsigned long size);
void __mmu_notifier_exempt_begin(struct mm_struct *mm, unsigned long start,
				 unsigned long end, enum mmu_exemption why);
void __mmu_notifier_exempt_end(struct mm_struct *mm);

static __always_inline bool mmu_notifier_checks_coverage(void)
{
	return static_branch_unlikely(&mmu_notifier_coverage);
}

/**
 * mmu_notifier_check_pte() - a PTE has changed
 * @mm: the address space.
 * @addr: an address in its page, in bytes.
 * @old: what it was.
 * @new: what it is.
 *
 * Context: under the page-table lock, as are the other hooks.
 */
static __always_inline void
mmu_notifier_check_pte(struct mm_struct *mm, unsigned long addr, pte_t old,
		       pte_t new)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_pte(mm, addr, old, new);
}

/**
 * mmu_notifier_check_pte_clear() - a PTE has been cleared
 * @mm: the address space.
 * @addr: an address in its page, in bytes.
 * @old: what it was.
 */
static __always_inline void
mmu_notifier_check_pte_clear(struct mm_struct *mm, unsigned long addr,
			     pte_t old)
{
	mmu_notifier_check_pte(mm, addr, old, (pte_t){ 0 });
}

/**
 * mmu_notifier_check_ptes_set() - PTEs are about to be set
 * @mm: the address space.
 * @addr: an address in the first page, in bytes.
 * @ptep: the first entry, as it was.
 * @new: what it will be; those behind it map the following pages.
 * @nr: number of entries.
 */
static __always_inline void
mmu_notifier_check_ptes_set(struct mm_struct *mm, unsigned long addr,
			    pte_t *ptep, pte_t new, unsigned int nr)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_ptes_set(mm, addr, ptep, new, nr);
}

/**
 * mmu_notifier_check_huge() - a PTE of hugetlb has been cleared
 * @mm: the address space.
 * @addr: its first address, in bytes.
 * @old: what it was.
 * @size: the size of the page, in bytes.
 *
 * For those pages behind the first one, which mmu_notifier_check_pte() has looked
 * at.
 */
static __always_inline void
mmu_notifier_check_huge(struct mm_struct *mm, unsigned long addr, pte_t old,
			unsigned long size)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_huge(mm, addr, old, size);
}

/**
 * mmu_notifier_check_pmd() - a PMD has changed
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @old: what it was, of a huge page or a table.
 * @new: what it is.
 */
static __always_inline void
mmu_notifier_check_pmd(struct mm_struct *mm, unsigned long addr, pmd_t old,
		       pmd_t new)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_pmd(mm, addr, old, new);
}

/**
 * mmu_notifier_check_pmd_clear() - a PMD has been cleared
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @old: what it was, of a huge page or a table.
 */
static __always_inline void
mmu_notifier_check_pmd_clear(struct mm_struct *mm, unsigned long addr,
			     pmd_t old)
{
	mmu_notifier_check_pmd(mm, addr, old, (pmd_t){ 0 });
}

/**
 * mmu_notifier_check_pmd_set() - a PMD is about to be set
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @pmdp: the entry, as it was.
 * @new: what it will be.
 */
static __always_inline void
mmu_notifier_check_pmd_set(struct mm_struct *mm, unsigned long addr,
			   pmd_t *pmdp, pmd_t new)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_pmd(mm, addr, READ_ONCE(*pmdp), new);
}

/**
 * mmu_notifier_check_pud() - a PUD has changed
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @old: what it was, of a huge page or a table.
 * @new: what it is.
 */
static __always_inline void
mmu_notifier_check_pud(struct mm_struct *mm, unsigned long addr, pud_t old,
		       pud_t new)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_pud(mm, addr, old, new);
}

/**
 * mmu_notifier_check_pud_clear() - a PUD has been cleared
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @old: what it was, of a huge page or a table.
 */
static __always_inline void
mmu_notifier_check_pud_clear(struct mm_struct *mm, unsigned long addr,
			     pud_t old)
{
	mmu_notifier_check_pud(mm, addr, old, (pud_t){ 0 });
}

/**
 * mmu_notifier_check_pud_set() - a PUD is about to be set
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @pudp: the entry, as it was.
 * @new: what it will be.
 */
static __always_inline void
mmu_notifier_check_pud_set(struct mm_struct *mm, unsigned long addr,
			   pud_t *pudp, pud_t new)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_pud(mm, addr, READ_ONCE(*pudp), new);
}

/**
 * mmu_notifier_check_table() - a table is taken away with the entries in it
 * @mm: the address space.
 * @addr: an address below it, in bytes.
 * @size: what it maps, in bytes; a power of two.
 *
 * For code that moves or unshares tables, by functions that are not told the
 * address. What frees empty tables has no hook.
 */
static __always_inline void
mmu_notifier_check_table(struct mm_struct *mm, unsigned long addr,
			 unsigned long size)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_check_table(mm, addr, size);
}

/**
 * mmu_notifier_exempt_begin() - entries may change without a range from now on
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 * @why: the reason.
 *
 * Until the same task calls mmu_notifier_exempt_end(). Exemptions do not nest.
 *
 * Context: any but NMI.
 */
static __always_inline void
mmu_notifier_exempt_begin(struct mm_struct *mm, unsigned long start,
			  unsigned long end, enum mmu_exemption why)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_exempt_begin(mm, start, end, why);
}

/**
 * mmu_notifier_exempt_end() - no longer
 * @mm: the address space.
 *
 * Context: any but NMI.
 */
static __always_inline void mmu_notifier_exempt_end(struct mm_struct *mm)
{
	if (mmu_notifier_checks_coverage())
		__mmu_notifier_exempt_end(mm);
}

#else /* !CONFIG_MMU_NOTIFIER_COVERAGE */

/* Macros, since not every architecture has all of these types. */
#define mmu_notifier_check_pte(...)		do { } while (0)
#define mmu_notifier_check_pte_clear(...)	do { } while (0)
#define mmu_notifier_check_ptes_set(...)	do { } while (0)
#define mmu_notifier_check_huge(...)		do { } while (0)
#define mmu_notifier_check_pmd(...)		do { } while (0)
#define mmu_notifier_check_pmd_clear(...)	do { } while (0)
#define mmu_notifier_check_pmd_set(...)		do { } while (0)
#define mmu_notifier_check_pud(...)		do { } while (0)
#define mmu_notifier_check_pud_clear(...)	do { } while (0)
#define mmu_notifier_check_pud_set(...)		do { } while (0)
#define mmu_notifier_check_table(...)		do { } while (0)
#define mmu_notifier_exempt_begin(...)		do { } while (0)
#define mmu_notifier_exempt_end(...)		do { } while (0)

#endif /* CONFIG_MMU_NOTIFIER_COVERAGE */

#endif /* _LINUX_MMU_NOTIFIER_COVERAGE_H */
