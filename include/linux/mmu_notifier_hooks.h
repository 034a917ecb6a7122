/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifier hooks: what mm/ calls, and what both sides need to know of a
 * range. Kept light because page-table headers pull it in nearly everywhere;
 * drivers include <linux/mmu_notifier.h>, which includes this file.
 *
 * Vocabulary: a *range* is one invalidation. It is *in flight* from
 * mmu_notifier_invalidate_range_start() to mmu_notifier_invalidate_range_end()
 * and lives on the caller's stack meanwhile. ``end`` is exclusive.
 *
 * What the caller of a pair owes (rules R1 and R4 of
 * Documentation/mm/mmu_notifier/design.rst):
 *
 *  - start before the first entry of the range is cleared, downgraded or
 *    pointed elsewhere, end after the last;
 *  - the same task, the same struct, exactly one end for each start that did
 *    not fail, nothing in the struct changed in between;
 *  - from before start until after end, hold for each VMA in the range one of
 *    mmap_lock, the VMA's lock, i_mmap_rwsem, the anon_vma lock: registration
 *    waits for ranges that it could not reach by passing through those locks.
 */
#ifndef _LINUX_MMU_NOTIFIER_HOOKS_H
#define _LINUX_MMU_NOTIFIER_HOOKS_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mm_types.h>

struct mmu_notifier_subscriptions;

/**
 * enum mmu_notifier_event - why a range is invalidated
 * @MMU_NOTIFY_UNMAP: the mapping goes away: munmap(), or mremap() moving it. Or
 *	only its pages do: the OOM reaper.
 * @MMU_NOTIFY_CLEAR: entries are cleared while the mapping stays: madvise(),
 *	truncation, reclaim, migration, copy on write, KSM, splitting a huge
 *	page.
 * @MMU_NOTIFY_PROTECTION_VMA: the protection of the range changes: mprotect(),
 *	where vm_page_prot says all there is to know, but also NUMA hints,
 *	UFFDIO_WRITEPROTECT and PAGEMAP_SCAN, where entries allow less than that.
 * @MMU_NOTIFY_PROTECTION_PAGE: single entries of the range become read-only;
 *	which ones can only be seen in the CPU page table, once the range ended.
 * @MMU_NOTIFY_SOFT_DIRTY: write access is taken away to trace writes; page and
 *	access rights stay as they are for user space.
 * @MMU_NOTIFY_RELEASE: the address space is being torn down. Sent to interval
 *	subscriptions only, once, over all addresses.
 * @MMU_NOTIFY_MIGRATE: migrate_vma_setup() collects pages, or
 *	migrate_vma_pages() fills holes. A driver may skip the range when
 *	mmu_notifier_range.owner is its own.
 * @MMU_NOTIFY_EXCLUSIVE: exclusive device access is given (owner: who gets it)
 *	or taken back (owner: NULL).
 */
enum mmu_notifier_event {
	MMU_NOTIFY_UNMAP = 0,
	MMU_NOTIFY_CLEAR,
	MMU_NOTIFY_PROTECTION_VMA,
	MMU_NOTIFY_PROTECTION_PAGE,
	MMU_NOTIFY_SOFT_DIRTY,
	MMU_NOTIFY_RELEASE,
	MMU_NOTIFY_MIGRATE,
	MMU_NOTIFY_EXCLUSIVE,
};

/* In mmu_notifier_range.flags: callbacks may sleep. */
#define MMU_NOTIFIER_RANGE_BLOCKABLE	BIT(0)
/*
 * In mmu_notifier_range.flags: a step of a walk over all mappings of a locked
 * folio. Its external reverse maps are told after the walk, so a subscriber that
 * exported the folio may leave the range alone; see <linux/mmu_rmap_notifier.h>.
 */
#define MMU_NOTIFIER_RANGE_RMAP		BIT(1)
/*
 * In mmu_notifier_range.flags: what is done to the memory, where the event does
 * not say so. At most one of them, for subscribers that are concerned by some of
 * it only; without any, the worst that the event allows for is meant. None of them
 * says that a translation may be kept (R1).
 *
 * What was at these addresses is given up.
 */
#define MMU_NOTIFIER_RANGE_DROP		BIT(2)
/* It moves to other addresses. */
#define MMU_NOTIFIER_RANGE_MOVE		BIT(3)
/*
 * It will be found in other pages: copied, merged, migrated, reclaimed. Or it may
 * be, since it is unmapped: of what becomes of such a page nobody tells this mm.
 */
#define MMU_NOTIFIER_RANGE_REPLACE	BIT(4)
/* A child comes to share it. */
#define MMU_NOTIFIER_RANGE_FORK		BIT(5)
/*
 * Nothing that a program would notice: what was mapped stays so, page by page, and
 * where entries allow less than before, faults give it back without being asked.
 */
#define MMU_NOTIFIER_RANGE_KEEP		BIT(6)

/* Any of these. */
#define MMU_NOTIFIER_RANGE_DETAIL					\
	(MMU_NOTIFIER_RANGE_DROP | MMU_NOTIFIER_RANGE_MOVE |		\
	 MMU_NOTIFIER_RANGE_REPLACE | MMU_NOTIFIER_RANGE_FORK |		\
	 MMU_NOTIFIER_RANGE_KEEP)

/**
 * struct mmu_notifier_range - one invalidation
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind the range, in bytes.
 * @flags: MMU_NOTIFIER_RANGE_*.
 * @event: the reason.
 * @owner: the driver that causes the range; only for the events that say so.
 */
struct mmu_notifier_range {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	unsigned int flags;
	enum mmu_notifier_event event;
	void *owner;
	/* private: the core's. Not NULL: in flight, and the rest is valid. */
	struct mmu_notifier_subscriptions *subscriptions;
	unsigned int tracked;
	int srcu_idx;
	unsigned long epoch;
	u64 index_version;
	unsigned int index_seq;
	struct mn_slot *slot;
	struct mn_slots *slots;
	struct list_head active;
	struct list_head removals;
	unsigned long ticket;
	u64 births;
	bool settles;
	bool ending;
	/* public: */
};

/**
 * mmu_notifier_range_init() - fill in a range that no driver owns
 * @range: the range.
 * @event: the reason.
 * @flags: MMU_NOTIFIER_RANGE_*; the start functions set BLOCKABLE themselves.
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind the range, in bytes; not 0.
 */
static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event,
					   unsigned int flags,
					   struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	range->mm = mm;
	range->start = start;
	range->end = end;
	range->flags = flags;
	range->event = event;
	range->subscriptions = NULL;
}

/**
 * mmu_notifier_range_init_owner() - fill in a range, naming its owner
 * @range: the range.
 * @event: the reason.
 * @flags: MMU_NOTIFIER_RANGE_*; the start functions set BLOCKABLE themselves.
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind the range, in bytes.
 * @owner: whose invalidation this is, compared by drivers with their own.
 */
static inline void
mmu_notifier_range_init_owner(struct mmu_notifier_range *range,
			      enum mmu_notifier_event event, unsigned int flags,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long end, void *owner)
{
	range->owner = owner;
	mmu_notifier_range_init(range, event, flags, mm, start, end);
}

#ifdef CONFIG_MMU_NOTIFIER

#ifdef CONFIG_LOCKDEP
/*
 * Held while callbacks of start and end run. Allocators and drivers prime it:
 * whatever reclaim may call, a callback must not wait for.
 */
extern struct lockdep_map __mmu_notifier_invalidate_range_start_map;
#endif

int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range);
void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range);
int __mmu_notifier_clear_flush_young(struct mm_struct *mm, unsigned long start,
				     unsigned long end);
int __mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start,
			       unsigned long end);
int __mmu_notifier_test_young(struct mm_struct *mm, unsigned long address);
void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
						   unsigned long start,
						   unsigned long end);
void __mmu_notifier_invalidate_range(struct mm_struct *mm, unsigned long start,
				     unsigned long end);
void __mmu_notifier_release(struct mm_struct *mm);
void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm);

/**
 * mm_has_notifiers() - may anybody be subscribed to this address space?
 * @mm: the address space.
 *
 * Return: nonzero once a first subscription was made, until the mm dies.
 */
static inline int mm_has_notifiers(struct mm_struct *mm)
{
	/* Turns once, and whoever needs the pointer reads it again. */
	return unlikely(data_race(mm->notifier_subscriptions));
}

/*
 * The part of an mm's subscriptions that is looked at here: for which calls
 * there is a callback. The rest is private to mm/.
 */
struct mmu_notifier_listening {
	unsigned int bits;
};

#define MN_CLEAR_FLUSH_YOUNG	BIT(4)
#define MN_CLEAR_YOUNG		BIT(5)
#define MN_TEST_YOUNG		BIT(6)
#define MN_SECONDARY_TLBS	BIT(7)
#define MN_INVALIDATE_RANGE	BIT(8)

/* Two loads and branches at most, where nobody listens. */
static __always_inline bool mmu_notifier_listens(struct mm_struct *mm,
						 unsigned int call)
{
	struct mmu_notifier_listening *listening =
		(void *)READ_ONCE(mm->notifier_subscriptions);

	if (likely(!listening))
		return false;
	/* Acquire: what a bit stands for was in place before it was set. */
	return unlikely(smp_load_acquire(&listening->bits) & call);
}

/**
 * mmu_notifier_range_blockable() - may callbacks of this range sleep?
 * @range: the range, as passed to a callback.
 *
 * Return: false if a callback that would have to sleep must give up instead,
 * with -EAGAIN (list) or false (interval).
 */
static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE;
}

/**
 * mmu_notifier_invalidate_range_start() - before entries of a range change
 * @range: the range, set up by mmu_notifier_range_init().
 *
 * Upon return every subscription that covers the range has been told and has
 * stopped using what it held of it (R1).
 *
 * Context: may sleep; see the head of this file for the locks.
 */
static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	might_sleep();
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	if (mm_has_notifiers(range->mm)) {
		range->flags |= MMU_NOTIFIER_RANGE_BLOCKABLE;
		__mmu_notifier_invalidate_range_start(range);
	}
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

/**
 * mmu_notifier_invalidate_range_start_nonblock() - the same without sleeping
 * @range: the range, set up by mmu_notifier_range_init().
 *
 * For the OOM reaper, which must not wait for a driver.
 *
 * Context: callbacks do not sleep; see the head of this file for the locks.
 *
 * Return: 0, or -EAGAIN if a subscription would have to sleep. Then nothing is
 * left in flight, no entry may be changed, and end must not be called (R5).
 */
static inline int __must_check
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	int ret;

	if (likely(!mm_has_notifiers(range->mm)))
		return 0;

	range->flags &= ~MMU_NOTIFIER_RANGE_BLOCKABLE;
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
	ret = __mmu_notifier_invalidate_range_start(range);
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
	return ret;
}

/**
 * mmu_notifier_invalidate_range_end() - after the entries have changed
 * @range: the range passed to start.
 *
 * Goes by what start left in @range and never looks whether the mm has
 * subscriptions now: one made meanwhile has not seen the start (R5).
 *
 * Context: may sleep if the range is blockable.
 */
static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	might_sleep_if(mmu_notifier_range_blockable(range));
	if (unlikely(range->subscriptions))
		__mmu_notifier_invalidate_range_end(range);
}

/**
 * mmu_notifier_clear_flush_young() - has a secondary MMU used these pages?
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 *
 * Context: any but NMI; callbacks do not sleep.
 *
 * Return: nonzero if any subscription saw an access; the mark is taken away
 * and secondary TLBs are flushed, so that the next access is seen.
 */
static inline int mmu_notifier_clear_flush_young(struct mm_struct *mm,
						 unsigned long start,
						 unsigned long end)
{
	return mmu_notifier_listens(mm, MN_CLEAR_FLUSH_YOUNG) ?
		__mmu_notifier_clear_flush_young(mm, start, end) : 0;
}

/**
 * mmu_notifier_clear_young() - the same without flushing secondary TLBs
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes.
 *
 * Context: any but NMI; callbacks do not sleep.
 *
 * Return: nonzero if any subscription saw an access; a next access may go
 * unseen for as long as a secondary TLB holds the translation.
 */
static inline int mmu_notifier_clear_young(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	return mmu_notifier_listens(mm, MN_CLEAR_YOUNG) ?
		__mmu_notifier_clear_young(mm, start, end) : 0;
}

/**
 * mmu_notifier_test_young() - the same, changing nothing
 * @mm: the address space.
 * @address: an address within the page, in bytes.
 *
 * Context: any but NMI; callbacks do not sleep.
 *
 * Return: nonzero if any subscription saw an access.
 */
static inline int mmu_notifier_test_young(struct mm_struct *mm,
					  unsigned long address)
{
	return mmu_notifier_listens(mm, MN_TEST_YOUNG) ?
		__mmu_notifier_test_young(mm, address) : 0;
}

/**
 * mmu_notifier_arch_invalidate_secondary_tlbs() - the CPU flushes its TLB
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes; 0 to ULONG_MAX means everything.
 *
 * Called by architecture code together with its own TLB flush, for devices
 * that walk the CPU's page table (R4).
 *
 * Context: any but NMI, often under the page-table lock; callbacks do not
 * sleep.
 */
static inline void
mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
	if (mmu_notifier_listens(mm, MN_SECONDARY_TLBS))
		__mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end);
}

/**
 * mmu_notifier_invalidate_range() - entries are cleared, pages still there
 * @mm: the address space.
 * @start: first address, in bytes.
 * @end: first address behind, in bytes; 0 to ULONG_MAX means everything.
 *
 * Called where an entry is about to be replaced, or its page may be freed,
 * before the range ends: together with the CPU's own TLB flush and for the same
 * reason (R4). ptep_clear_flush_notify() and its like do both. The table of call
 * sites is in Documentation/mm/mmu_notifier/page-tables.rst.
 *
 * Context: after the entry was cleared; the page-table lock held, or the page
 * kept back until this returns (struct mmu_gather). Callbacks do not sleep.
 */
static inline void mmu_notifier_invalidate_range(struct mm_struct *mm,
						 unsigned long start,
						 unsigned long end)
{
	if (mmu_notifier_listens(mm, MN_INVALIDATE_RANGE))
		__mmu_notifier_invalidate_range(mm, start, end);
}

/**
 * mmu_notifier_release() - the address space loses its last user
 * @mm: the address space, mm_users being 0.
 *
 * Called by exit_mmap() before the first page is unmapped (R6).
 *
 * Context: may sleep, no locks held.
 */
static inline void mmu_notifier_release(struct mm_struct *mm)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_release(mm);
}

/**
 * mmu_notifier_subscriptions_init() - a new mm has no subscriptions
 * @mm: the mm that is being set up; nobody else sees it yet.
 */
static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
	mm->notifier_subscriptions = NULL;
}

/**
 * mmu_notifier_subscriptions_destroy() - the mm's memory is about to be freed
 * @mm: the mm, mm_count being 0.
 *
 * Context: any that mmdrop() may be called in.
 */
static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_subscriptions_destroy(mm);
}

/*
 * Age an entry of the CPU's page table, then ask the secondary MMUs as well.
 * Macros, because the page-table helpers are not declared here.
 */
#define __young_notify(clear, ask, vma, addr, entry, size)		\
({									\
	struct vm_area_struct *__yn_vma = (vma);			\
	unsigned long __yn_addr = (addr);				\
	int __yn_young = clear(__yn_vma, __yn_addr, (entry));		\
									\
	__yn_young | (ask)(__yn_vma->vm_mm, __yn_addr,			\
			    __yn_addr + (size));			\
})

#define ptep_clear_flush_young_notify(vma, addr, ptep)			\
	__young_notify(ptep_clear_flush_young,				\
		       mmu_notifier_clear_flush_young,			\
		       vma, addr, ptep, PAGE_SIZE)
#define pmdp_clear_flush_young_notify(vma, addr, pmdp)			\
	__young_notify(pmdp_clear_flush_young,				\
		       mmu_notifier_clear_flush_young,			\
		       vma, addr, pmdp, PMD_SIZE)
#define ptep_clear_young_notify(vma, addr, ptep)			\
	__young_notify(ptep_test_and_clear_young,			\
		       mmu_notifier_clear_young,			\
		       vma, addr, ptep, PAGE_SIZE)
#define pmdp_clear_young_notify(vma, addr, pmdp)			\
	__young_notify(pmdp_test_and_clear_young,			\
		       mmu_notifier_clear_young,			\
		       vma, addr, pmdp, PMD_SIZE)

/*
 * Clear an entry of the CPU's page table and flush the CPU's TLB, then those of
 * devices that walk the same table; the page-table lock is held.
 */
#define __flush_notify(clear_flush, vma, addr, entry, size)		\
({									\
	struct vm_area_struct *__fn_vma = (vma);			\
	unsigned long __fn_addr = (addr);				\
	unsigned long __fn_size = (size);				\
	__auto_type __fn_old = clear_flush(__fn_vma, __fn_addr, (entry)); \
									\
	__fn_addr &= ~(__fn_size - 1);					\
	mmu_notifier_invalidate_range(__fn_vma->vm_mm, __fn_addr,	\
				      __fn_addr + __fn_size);		\
	__fn_old;							\
})

#define ptep_clear_flush_notify(vma, addr, ptep)			\
	__flush_notify(ptep_clear_flush, vma, addr, ptep, PAGE_SIZE)
#define pmdp_huge_clear_flush_notify(vma, addr, pmdp)			\
	__flush_notify(pmdp_huge_clear_flush, vma, addr, pmdp, PMD_SIZE)
#define pudp_huge_clear_flush_notify(vma, addr, pudp)			\
	__flush_notify(pudp_huge_clear_flush, vma, addr, pudp, PUD_SIZE)

#else /* !CONFIG_MMU_NOTIFIER */

static inline int mm_has_notifiers(struct mm_struct *mm)
{
	return 0;
}

static inline bool
mmu_notifier_range_blockable(const struct mmu_notifier_range *range)
{
	return true;
}

static inline void
mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
}

static inline int __must_check
mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	return 0;
}

static inline void
mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
}

static inline int mmu_notifier_clear_flush_young(struct mm_struct *mm,
						 unsigned long start,
						 unsigned long end)
{
	return 0;
}

static inline int mmu_notifier_clear_young(struct mm_struct *mm,
					   unsigned long start,
					   unsigned long end)
{
	return 0;
}

static inline int mmu_notifier_test_young(struct mm_struct *mm,
					  unsigned long address)
{
	return 0;
}

static inline void
mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
					    unsigned long start,
					    unsigned long end)
{
}

static inline void mmu_notifier_invalidate_range(struct mm_struct *mm,
						 unsigned long start,
						 unsigned long end)
{
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
}

static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
}

#define ptep_clear_flush_young_notify	ptep_clear_flush_young
#define pmdp_clear_flush_young_notify	pmdp_clear_flush_young
#define ptep_clear_young_notify		ptep_test_and_clear_young
#define pmdp_clear_young_notify		pmdp_test_and_clear_young
#define ptep_clear_flush_notify		ptep_clear_flush
#define pmdp_huge_clear_flush_notify	pmdp_huge_clear_flush
#define pudp_huge_clear_flush_notify	pudp_huge_clear_flush

#endif /* CONFIG_MMU_NOTIFIER */

#endif /* _LINUX_MMU_NOTIFIER_HOOKS_H */
