/* SPDX-License-Identifier: GPL-2.0 */
/*
 * External reverse maps: for drivers that let others use a process's pages, in
 * other address spaces or on other machines, and keep track of them by folio
 * (XPMEM and its kin).
 *
 * Vocabulary: an *exporter* registers a struct mmu_rmap_notifier. It *exports* a
 * folio as long as *external mappings* of it exist, which the kernel's own
 * reverse map knows nothing of. The core counts the exports of each folio and
 * takes no reference for them (R2). Whoever wants a folio for something else
 * (reclaim, migration, truncation, ...) tells the exporters, once the
 * kernel's walk over its own mappings is done. An exporter may *refuse*; then
 * the folio is *held*: the core keeps one reference until nobody exports it.
 *
 * Who clears the count: the exporter that made it, with one
 * mmu_rmap_unexport_folio() for each mmu_rmap_export_folio() that succeeded, when
 * the external mapping is gone and no sooner; in a callback, or at any other
 * time. A folio is never freed before: what an mm does without telling
 * the folio's exporters (munmap(), MADV_DONTNEED, copy on write, ...) reaches
 * them through the range callbacks of <linux/mmu_notifier.h>, so an exporter is
 * subscribed to the mm as well, and unexports there before the callback returns.
 * If it does not, the memory is never given to anybody again, and a WARN says
 * whose fault that is.
 *
 * Making an export, in this order, is the retry loop of every secondary MMU:
 *
 *	seq = mmu_interval_read_begin(&sub);
 *	find the page (hmm_range_fault(), get_user_pages()), take a reference;
 *	folio_lock(folio);
 *	ret = mmu_rmap_export_folio(&exporter, folio);	(-EAGAIN: begin again)
 *	lock of the driver;
 *	if (mmu_interval_read_retry(&sub, seq))		(unexport, begin again)
 *		...
 *	make the external mapping, and the reverse map of it;
 *	unlock both, put the reference;
 *
 * A range that carries MMU_NOTIFIER_RANGE_RMAP is one step of a walk over a folio
 * which is locked until its exporters have been told. It collides with readers
 * as any other range does, but external mappings of that folio need not be gone
 * when the range callback returns: that is asked for by invalidate_folio, with no
 * rmap lock held.
 *
 * See Documentation/mm/mmu_notifier/rmap.rst.
 */
#ifndef _LINUX_MMU_RMAP_NOTIFIER_H
#define _LINUX_MMU_RMAP_NOTIFIER_H

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>

struct folio;
struct mmu_rmap_notifier;

/**
 * enum mmu_rmap_event - what a folio is wanted for
 * @MMU_RMAP_RECLAIM: to be written out and freed, or replaced by khugepaged in
 *	its file.
 * @MMU_RMAP_MIGRATE: its contents move to another folio.
 * @MMU_RMAP_TRUNCATE: it is removed from its file: truncated, punched out, or
 *	invalidated.
 * @MMU_RMAP_SPLIT: a large folio becomes several.
 * @MMU_RMAP_MERGE: KSM is about to compare it with another, for which it must
 *	not change.
 * @MMU_RMAP_POISON: the memory is broken.
 * @MMU_RMAP_CLEAN: it is about to be written back and marked clean; passed to
 *	exporters without a write_protect_folio.
 *
 * For statistics and policy; the duty is the same for each.
 */
enum mmu_rmap_event {
	MMU_RMAP_RECLAIM,
	MMU_RMAP_MIGRATE,
	MMU_RMAP_TRUNCATE,
	MMU_RMAP_SPLIT,
	MMU_RMAP_MERGE,
	MMU_RMAP_POISON,
	MMU_RMAP_CLEAN,
};

/**
 * struct mmu_rmap_notifier_ops - callbacks of an exporter
 *
 * Called for folios that this exporter has exported, now and then for others
 * (there is no mapping then, and the answer is 0). Calls for one folio come one
 * after the other, for different ones they may be parallel.
 *
 * Context of all: the folio is locked, and nothing but what its caller holds
 * besides, which may be mmap_lock, the inode's lock or a filesystem's, but never
 * a spinlock or rmap lock. They may sleep. During reclaim: they must not wait for
 * memory that reclaim has to provide, for another folio's lock, for mmap_lock, or
 * for whoever waits for one of these, and must not unregister. A remote that
 * does not answer is not waited for without limit: refuse.
 */
struct mmu_rmap_notifier_ops {
	/**
	 * @invalidate_folio: Upon return no external mapping of any page of
	 * @folio may be in use, each is unexported, and what was written
	 * through them has been passed on with folio_mark_dirty().
	 *
	 * Return: 0, or -EBUSY if it could not be done, yet. Then the folio is
	 * held, and @event most likely fails as if the page were pinned.
	 * folio_mark_dirty() is owed before the last unexport.
	 */
	int (*invalidate_folio)(struct mmu_rmap_notifier *notifier,
				struct folio *folio, enum mmu_rmap_event event);

	/**
	 * @write_protect_folio: Optional, else @invalidate_folio is called.
	 * Upon return no external mapping of @folio allows writing, and
	 * folio_mark_dirty() was called for what was written. Exports may stay.
	 *
	 * Return: as for @invalidate_folio.
	 */
	int (*write_protect_folio)(struct mmu_rmap_notifier *notifier,
				   struct folio *folio);

	/**
	 * @clear_young_folio: Optional. Has @folio been accessed through
	 * external mappings since the last call? Forget it.
	 *
	 * Return: true if so.
	 */
	bool (*clear_young_folio)(struct mmu_rmap_notifier *notifier,
				  struct folio *folio);
};

/**
 * struct mmu_rmap_notifier - an exporter
 * @ops: the callbacks, set by the driver before registration.
 *
 * Embedded in a structure of the driver's; one for each mapping that it tears
 * down as one, or one for the whole driver.
 */
struct mmu_rmap_notifier {
	const struct mmu_rmap_notifier_ops *ops;
	/* private: see mm/mmu_notifier_rmap.c */
	struct list_head node;
	refcount_t users;
	struct completion unused;
	bool ending;
	unsigned int bit;
	atomic_long_t exports;
	/* public: */
};

#ifdef CONFIG_MMU_RMAP_NOTIFIER

int mmu_rmap_notifier_register(struct mmu_rmap_notifier *notifier);
void mmu_rmap_notifier_unregister(struct mmu_rmap_notifier *notifier);
int mmu_rmap_export_folio(struct mmu_rmap_notifier *notifier,
			  struct folio *folio);
void mmu_rmap_unexport_folio(struct mmu_rmap_notifier *notifier,
			     struct folio *folio);

#else /* !CONFIG_MMU_RMAP_NOTIFIER */

static inline int
mmu_rmap_notifier_register(struct mmu_rmap_notifier *notifier)
{
	return -EOPNOTSUPP;
}

static inline void
mmu_rmap_notifier_unregister(struct mmu_rmap_notifier *notifier)
{
}

static inline int mmu_rmap_export_folio(struct mmu_rmap_notifier *notifier,
					struct folio *folio)
{
	return -EOPNOTSUPP;
}

static inline void mmu_rmap_unexport_folio(struct mmu_rmap_notifier *notifier,
					   struct folio *folio)
{
}

#endif /* CONFIG_MMU_RMAP_NOTIFIER */

#endif /* _LINUX_MMU_RMAP_NOTIFIER_H */
