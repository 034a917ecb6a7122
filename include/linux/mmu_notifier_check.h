/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: what the contract checker asks of drivers. What it asks of
 * page-table headers is in <linux/mmu_notifier_coverage.h>.
 */
#ifndef _LINUX_MMU_NOTIFIER_CHECK_H
#define _LINUX_MMU_NOTIFIER_CHECK_H

#include <linux/jump_label.h>
#include <linux/types.h>

struct page;

#ifdef CONFIG_DEBUG_MMU_NOTIFIER

/* On if anything is checked, see debug_mmu_notifier=. */
DECLARE_STATIC_KEY_FALSE(mmu_notifier_checking);

void __mmu_notifier_spte_set(struct page *page, const void *who);
void __mmu_notifier_spte_clear(struct page *page, const void *who);

/**
 * mmu_notifier_spte_set() - an SPTE points to this page from now on
 * @page: the page.
 * @who: who says so; its ops, or whatever %pS makes a name of.
 *
 * Optional. If the page is freed before mmu_notifier_spte_clear() was called as
 * often, that is reported (R2), with @who. Called under the lock that the
 * subscriber's callbacks take, so that the page is still there.
 *
 * Context: any but NMI.
 */
static inline void mmu_notifier_spte_set(struct page *page, const void *who)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_notifier_spte_set(page, who);
}

/**
 * mmu_notifier_spte_clear() - an SPTE no longer points to this page
 * @page: the page.
 * @who: as passed to mmu_notifier_spte_set().
 *
 * Context: any but NMI.
 */
static inline void mmu_notifier_spte_clear(struct page *page, const void *who)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_notifier_spte_clear(page, who);
}

#else /* !CONFIG_DEBUG_MMU_NOTIFIER */

static inline void mmu_notifier_spte_set(struct page *page, const void *who)
{
}

static inline void mmu_notifier_spte_clear(struct page *page, const void *who)
{
}

#endif /* CONFIG_DEBUG_MMU_NOTIFIER */

#endif /* _LINUX_MMU_NOTIFIER_CHECK_H */
