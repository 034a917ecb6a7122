/* SPDX-License-Identifier: GPL-2.0 */
/*
 * External reverse maps: what mm/ calls.
 *
 * Each hook belongs behind a walk over the page tables that map a folio, under the
 * folio's lock and where sleeping is allowed. While no exporter is registered it is
 * a branch that is patched out.
 */
#ifndef _MM_MMU_NOTIFIER_RMAP_H
#define _MM_MMU_NOTIFIER_RMAP_H

#include <linux/jump_label.h>
#include <linux/mmu_rmap_notifier.h>

struct page;

#ifdef CONFIG_MMU_RMAP_NOTIFIER

/* On while an exporter is registered, or has left exports behind. */
DECLARE_STATIC_KEY_FALSE(mmu_rmap_exporters);

/* What page_ext keeps for each page; laid out in mmu_notifier_rmap.c */
extern struct page_ext_operations mmu_rmap_page_ext_ops;

int __mmu_rmap_invalidate_folio(struct folio *folio, enum mmu_rmap_event event);
bool __mmu_rmap_invalidate_lazyfree(struct folio *folio);
bool __mmu_rmap_clean_folio(struct folio *folio);
bool __mmu_rmap_clear_young_folio(struct folio *folio);
bool __mmu_rmap_page_exported(struct page *page);

#if IS_ENABLED(CONFIG_KUNIT)
bool mmu_rmap_hold_folio(struct folio *folio);
bool mmu_rmap_report_freed(struct page *page, u64 word);
#endif

/**
 * mmu_rmap_invalidate_folio() - have external mappings of a folio removed
 * @folio: the folio.
 * @event: what it is wanted for.
 *
 * Context: folio locked, with a reference of the caller's; may sleep.
 *
 * Return: 0 if there is none. -EBUSY if an exporter refused; then the folio is
 * held, so whoever counts its references finds one too many.
 */
static inline int mmu_rmap_invalidate_folio(struct folio *folio,
					    enum mmu_rmap_event event)
{
	if (static_branch_unlikely(&mmu_rmap_exporters))
		return __mmu_rmap_invalidate_folio(folio, event);
	return 0;
}

/**
 * mmu_rmap_invalidate_lazyfree() - the same before the walk, where it matters
 * @folio: the folio.
 *
 * A page that MADV_FREE gave up is kept if it was written to since, which the
 * walk decides: exporters have to say by then, or refuse, which keeps it too.
 *
 * Context: folio locked, with a reference of the caller's; may sleep.
 *
 * Return: false if it is another folio, for which nothing has been done.
 */
static inline bool mmu_rmap_invalidate_lazyfree(struct folio *folio)
{
	if (static_branch_unlikely(&mmu_rmap_exporters))
		return __mmu_rmap_invalidate_lazyfree(folio);
	return false;
}

/**
 * mmu_rmap_clean_folio() - have external mappings of a folio made read-only
 * @folio: the folio.
 *
 * Context: folio locked, with a reference of the caller's; may sleep.
 *
 * Return: true if the folio has turned dirty by that, or may be made so by an
 * exporter that refused.
 */
static inline bool mmu_rmap_clean_folio(struct folio *folio)
{
	if (static_branch_unlikely(&mmu_rmap_exporters))
		return __mmu_rmap_clean_folio(folio);
	return false;
}

/**
 * mmu_rmap_clear_young_folio() - has a folio been accessed from elsewhere?
 * @folio: the folio.
 * @locked: it is locked; if not, nobody is asked.
 *
 * Context: with a reference of the caller's; may sleep.
 *
 * Return: true if so, since the last call.
 */
static inline bool mmu_rmap_clear_young_folio(struct folio *folio, bool locked)
{
	if (static_branch_unlikely(&mmu_rmap_exporters))
		return locked && __mmu_rmap_clear_young_folio(folio);
	return false;
}

/**
 * mmu_rmap_page_exported() - must this page not be freed?
 * @page: the page, or the first page of what is freed as one.
 *
 * Context: any; nobody else has a reference.
 *
 * Return: true if it is exported, which has been reported.
 */
static inline bool mmu_rmap_page_exported(struct page *page)
{
	if (static_branch_unlikely(&mmu_rmap_exporters))
		return __mmu_rmap_page_exported(page);
	return false;
}

#else /* !CONFIG_MMU_RMAP_NOTIFIER */

static inline int mmu_rmap_invalidate_folio(struct folio *folio,
					    enum mmu_rmap_event event)
{
	return 0;
}

static inline bool mmu_rmap_invalidate_lazyfree(struct folio *folio)
{
	return false;
}

static inline bool mmu_rmap_clean_folio(struct folio *folio)
{
	return false;
}

static inline bool mmu_rmap_clear_young_folio(struct folio *folio, bool locked)
{
	return false;
}

static inline bool mmu_rmap_page_exported(struct page *page)
{
	return false;
}

#endif /* CONFIG_MMU_RMAP_NOTIFIER */

#endif /* _MM_MMU_NOTIFIER_RMAP_H */
