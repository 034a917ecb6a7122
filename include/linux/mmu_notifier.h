/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers, the drivers' side: how a secondary MMU subscribes to changes
 * of a process's mappings.
 *
 * There are two kinds of *subscription*:
 *
 *  - struct mmu_notifier, on a whole mm. Told at start and end of every range.
 *    Made with mmu_notifier_register() or mmu_notifier_get().
 *  - struct mmu_interval_notifier, on some addresses of an mm. Told once about
 *    each range that overlaps them, and offers the collision check
 *    mmu_interval_read_begin() / mmu_interval_read_retry() to whoever fills a
 *    secondary page table. Made with mmu_interval_notifier_insert().
 *
 * No subscription needs a page reference (R2): once told, it stops using what
 * it held, and the page is freed only after that. In exchange, whatever was
 * written through an SPTE has to be passed on with folio_mark_dirty() before
 * the callback returns.
 *
 * ``last`` is inclusive, ``end`` exclusive; both in bytes. The rules that are
 * cited as R1-R12 are in Documentation/mm/mmu_notifier/design.rst, and a guide
 * for choosing and using a subscription stands beside it.
 */
#ifndef _LINUX_MMU_NOTIFIER_H
#define _LINUX_MMU_NOTIFIER_H

#include <linux/interval_tree.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier_hooks.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/types.h>

struct mmu_interval_notifier;
struct mmu_notifier;

/**
 * struct mmu_notifier_ops - callbacks of a subscription to a whole mm
 *
 * Every callback is optional, and a process pays only for those that somebody
 * implements (R8). Callbacks of one subscription may run in parallel, for
 * different ranges or for the same one, and beside @release. None of them may
 * call mmu_notifier_unregister() for its own mm, or wait for somebody who
 * does: that waits for every range in flight.
 *
 * @arch_invalidate_secondary_tlbs excludes @invalidate_range_start and
 * @invalidate_range_end; registration answers -EINVAL to both. A device that
 * walks the CPU's page table takes either that, and flushes whenever the CPU
 * does, or @invalidate_range together with @invalidate_range_end.
 */
struct mmu_notifier_ops {
	/**
	 * @release: The address space goes away, or the subscription does:
	 * called by exit_mmap() before the first page is freed, or by
	 * mmu_notifier_unregister() if that comes first; once at most.
	 *
	 * Upon return no SPTE of the mm may exist or ever be made again, and
	 * the device has stopped using translations that it cached. Pages are
	 * freed right after. A driver without @release must be sure by other
	 * means that its device is quiet when the last user of the mm exits.
	 *
	 * mmu_notifier_put() may be called from here.
	 *
	 * Context: may sleep. mm_users is 0 when called by exit_mmap().
	 */
	void (*release)(struct mmu_notifier *subscription,
			struct mm_struct *mm);

	/**
	 * @clear_flush_young: Have the pages from start to end (exclusive)
	 * been accessed through this MMU? Forget it, and flush the device's
	 * TLB so that the next access is noticed. A device that keeps no
	 * accessed bit may drop the SPTEs instead.
	 *
	 * Context: does not sleep; page-table lock held.
	 *
	 * Return: nonzero if accessed.
	 */
	int (*clear_flush_young)(struct mmu_notifier *subscription,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long end);

	/**
	 * @clear_young: Like @clear_flush_young, but the flush may be left
	 * out where it is dear.
	 *
	 * Context: does not sleep; page-table lock held.
	 *
	 * Return: nonzero if accessed.
	 */
	int (*clear_young)(struct mmu_notifier *subscription,
			   struct mm_struct *mm, unsigned long start,
			   unsigned long end);

	/**
	 * @test_young: Like @clear_young for the page at address, but leaves
	 * everything as it is.
	 *
	 * Context: does not sleep; page-table lock held.
	 *
	 * Return: nonzero if accessed.
	 */
	int (*test_young)(struct mmu_notifier *subscription,
			  struct mm_struct *mm, unsigned long address);

	/**
	 * @invalidate_range_start: Entries of the CPU's page table between
	 * range->start and range->end (exclusive) are about to change. Pages
	 * are still mapped. Upon return no SPTE within the range may be in
	 * use, and none may be made until the matching end.
	 *
	 * Context: sleeps only if mmu_notifier_range_blockable(@range). Called
	 * with mmap_lock or an rmap lock held, and during reclaim: it must not
	 * wait for memory that reclaim has to provide.
	 *
	 * Return: 0, or -EAGAIN if it would have to sleep and must not. Then
	 * there will be no end, and what it did must be undone by itself.
	 */
	int (*invalidate_range_start)(struct mmu_notifier *subscription,
				      const struct mmu_notifier_range *range);

	/**
	 * @invalidate_range_end: The entries have changed; SPTEs may be made
	 * again. Called exactly once for each start that returned 0, with the
	 * same range, unless the subscription ended meanwhile (R5).
	 *
	 * Context: as for @invalidate_range_start.
	 */
	void (*invalidate_range_end)(struct mmu_notifier *subscription,
				     const struct mmu_notifier_range *range);

	/**
	 * @arch_invalidate_secondary_tlbs: For devices that walk the CPU's own
	 * page table and only cache translations: the architecture flushes its
	 * TLB from start to end (exclusive), so flush yours. A change that
	 * needs no CPU flush needs none here.
	 *
	 * Context: does not sleep; may be called with the page-table lock
	 * held and with interrupts off.
	 */
	void (*arch_invalidate_secondary_tlbs)(struct mmu_notifier *subscription,
					       struct mm_struct *mm,
					       unsigned long start,
					       unsigned long end);

	/**
	 * @invalidate_range: For devices that walk the CPU's own page table
	 * and only cache translations: entries from start to end (exclusive)
	 * have been cleared, and are about to be replaced, or their pages
	 * freed, before the range that is in flight ends. Flush the device's
	 * TLB; upon return it uses no such translation. Until then nobody has
	 * written to the new page, so what the device reads stays in order.
	 *
	 * Changes that keep the page, such as mprotect() or fork(), do not come
	 * here: flush the range in @invalidate_range_end as well. Calls outside
	 * any range, and for addresses where nothing was mapped, are possible;
	 * 0 to ULONG_MAX means everything.
	 *
	 * Context: does not sleep; page-table lock held, or the pages gathered
	 * to be freed afterwards.
	 */
	void (*invalidate_range)(struct mmu_notifier *subscription,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long end);

	/**
	 * @alloc_notifier: Allocate the subscription of an mm that has none
	 * with these ops yet; mmu_notifier_get() registers it.
	 *
	 * Context: may sleep; mmap_lock held for writing.
	 *
	 * Return: the subscription, or an ERR_PTR() that is passed on.
	 */
	struct mmu_notifier *(*alloc_notifier)(struct mm_struct *mm);

	/**
	 * @free_notifier: The last reference was put, and no callback runs or
	 * will run: free the subscription.
	 *
	 * Context: process context. Should not sleep for long: other frees
	 * queue up behind it.
	 */
	void (*free_notifier)(struct mmu_notifier *subscription);
};

/**
 * struct mmu_notifier - a subscription to a whole mm
 * @ops: the callbacks, set by the driver before mmu_notifier_register().
 * @mm: the mm; its memory (mm_count) is held until the subscription ends, so
 *	mmget_not_zero() may be tried on it.
 *
 * Embedded in a structure of the driver's.
 */
struct mmu_notifier {
	/* private: see mm/mmu_notifier.c */
	struct hlist_node hlist;
	/* public: */
	const struct mmu_notifier_ops *ops;
	struct mm_struct *mm;
	/* private: */
	struct rcu_head rcu;
	unsigned int users;
	unsigned int state;
	unsigned long birth;
	struct mmu_notifier_ticket {
		struct list_head node;
		unsigned long number;
	} put;
	struct llist_node ripe;
	/* public: */
};

/**
 * struct mmu_interval_notifier_finish - what an invalidation still has to do
 *
 * Returned by invalidate_start and passed on to invalidate_finish. Embedded in a
 * structure of the driver's that says what is to be waited for.
 */
struct mmu_interval_notifier_finish {
	/**
	 * @notifier: the subscription, set by the core.
	 */
	struct mmu_interval_notifier *notifier;
	/* private: */
	struct llist_node link;
};

/**
 * struct mmu_interval_notifier_ops - callbacks of a subscription to a range
 */
struct mmu_interval_notifier_ops {
	/**
	 * @invalidate: Entries of the CPU's page table within @range, which
	 * overlaps the subscription, are about to change. Upon return no SPTE
	 * in the overlap may be in use.
	 *
	 * A driver that uses mmu_interval_read_begin() must call
	 * mmu_interval_set_seq(subscription, cur_seq), always, under the lock
	 * under which it calls mmu_interval_read_retry().
	 *
	 * Context: sleeps only if mmu_notifier_range_blockable(@range). Called
	 * with mmap_lock or an rmap lock held, and during reclaim.
	 *
	 * Return: true, or false if it would have to sleep and must not. Then
	 * the invalidation is called off, and nothing may have been changed
	 * that relies on it.
	 */
	bool (*invalidate)(struct mmu_interval_notifier *interval_sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq);

	/**
	 * @invalidate_start: Replaces @invalidate for a device whose flush
	 * takes time: begin it, and store in @finish what will be waited for.
	 * All subscriptions have begun before the first @invalidate_finish, so
	 * several devices flush at the same time.
	 *
	 * Several ranges may invalidate a subscription at the same time, and
	 * each needs a struct of its own. If the driver has none left, or there
	 * is nothing to wait for, it does everything at once and leaves @finish
	 * alone, which is NULL. Memory must not be allocated here.
	 *
	 * Context: as for @invalidate.
	 *
	 * Return: as for @invalidate. If it returns false, or any other
	 * subscription does, @invalidate_finish is called nonetheless for each
	 * struct that was stored.
	 */
	bool (*invalidate_start)(struct mmu_interval_notifier *interval_sub,
				 const struct mmu_notifier_range *range,
				 unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish);

	/**
	 * @invalidate_finish: Wait for what @invalidate_start began. Upon
	 * return no SPTE in the overlap may be in use, and the struct may be
	 * used again.
	 *
	 * Context: as for @invalidate; what may not sleep in @invalidate_start
	 * may not here.
	 */
	void (*invalidate_finish)(struct mmu_interval_notifier_finish *finish);

	/**
	 * @settled: Optional. No range that overlaps the subscription is in
	 * flight: the last one of them has just ended, and what it did to the
	 * page table is done. The next call of @invalidate comes after this
	 * one has returned.
	 *
	 * Also called once for each insertion, by the insertion itself or,
	 * where ranges in flight overlap, when the last of these has ended.
	 * Until then @invalidate may have been called for later ones, but not
	 * for these. So for somebody who calls himself busy from insertion to
	 * @settled, and from each @invalidate to @settled, that is true.
	 *
	 * Such a subscription must not be removed before insertion returns.
	 * After a refusal it is told all the same: the range, if it comes after
	 * the one who refused, and @settled. So it is after MMU_NOTIFY_RELEASE,
	 * though nothing is mapped any more.
	 *
	 * Others who are to see the page table as it is now need a release:
	 * store by smp_store_release() what tells them.
	 *
	 * Context: does not sleep; a spinlock of the mm is held, so it must be
	 * brief, and call nothing of this header but mmu_interval_set_seq(). A
	 * lock that it takes is not held by who calls anything of this header.
	 */
	void (*settled)(struct mmu_interval_notifier *interval_sub);

	/**
	 * @concerns: Optional, and only with @settled. Is the subscription
	 * concerned by @range, which overlaps it? If not, it is not told, and
	 * the range does not keep it from being settled, unless it was in
	 * flight already when the subscription was inserted.
	 *
	 * The answer must be the same for a range all the time: let it depend
	 * on event, flags other than MMU_NOTIFIER_RANGE_BLOCKABLE, owner, and
	 * what does not change in the subscription.
	 *
	 * Context: as for @settled.
	 *
	 * Return: true if concerned.
	 */
	bool (*concerns)(const struct mmu_interval_notifier *interval_sub,
			 const struct mmu_notifier_range *range);
};

/**
 * struct mmu_interval_notifier - a subscription to a range of an mm
 * @interval_tree: the addresses; may be read by the driver.
 * @interval_tree.start: first address, in bytes.
 * @interval_tree.last: last address (inclusive), in bytes.
 * @ops: the callbacks.
 * @mm: the mm; its memory (mm_count) is held until removal.
 *
 * Embedded in a structure of the driver's.
 */
struct mmu_interval_notifier {
	struct {
		unsigned long start;
		unsigned long last;
	} interval_tree;
	const struct mmu_interval_notifier_ops *ops;
	struct mm_struct *mm;
	/* private: */
	unsigned long invalidate_seq;
	unsigned long removal;
	unsigned int state;
	unsigned int pins;
	bool read;
	bool retries;
	struct mn_node *leaf;
	unsigned int in_flight;
	bool looking;
	struct mn_slots *hangs_on;
	u64 birth;
	void (*removed)(struct mmu_interval_notifier *interval_sub);
	union {
		struct list_head removable;
		struct hlist_node hung;
	};
	struct mmu_notifier_ticket ticket;
	/* public: */
};

#ifdef CONFIG_MMU_NOTIFIER

int mmu_notifier_register(struct mmu_notifier *subscription,
			  struct mm_struct *mm);
int __mmu_notifier_register(struct mmu_notifier *subscription,
			    struct mm_struct *mm);
void mmu_notifier_unregister(struct mmu_notifier *subscription,
			     struct mm_struct *mm);
struct mmu_notifier *
mmu_notifier_get_locked(const struct mmu_notifier_ops *ops,
			struct mm_struct *mm);
void mmu_notifier_put(struct mmu_notifier *subscription);
void mmu_notifier_synchronize(void);

int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub,
				 struct mm_struct *mm, unsigned long start,
				 unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);
int mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *interval_sub,
					struct mm_struct *mm,
					unsigned long start,
					unsigned long length,
					const struct mmu_interval_notifier_ops *ops);
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub);
void
mmu_interval_notifier_remove_async(struct mmu_interval_notifier *interval_sub,
				   void (*removed)(struct mmu_interval_notifier *interval_sub));
void
mmu_interval_notifier_remove_batch(struct mmu_interval_notifier **subs,
				   unsigned int nr,
				   void (*removed)(struct mmu_interval_notifier *interval_sub));
unsigned long
mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub);
void __mmu_interval_retried(const struct mmu_interval_notifier *interval_sub);

/**
 * mmu_notifier_get() - find or make the subscription of an mm with these ops
 * @ops: the callbacks; alloc_notifier and free_notifier are required.
 * @mm: the mm, pinned by the caller with mmget() or by being current->mm.
 *
 * Context: may sleep; takes mmap_lock for writing.
 *
 * Return: the subscription, to be given back with mmu_notifier_put(), or an
 * ERR_PTR() as from mmu_notifier_get_locked().
 */
static inline struct mmu_notifier *
mmu_notifier_get(const struct mmu_notifier_ops *ops, struct mm_struct *mm)
{
	struct mmu_notifier *subscription;

	mmap_write_lock(mm);
	subscription = mmu_notifier_get_locked(ops, mm);
	mmap_write_unlock(mm);
	return subscription;
}

/**
 * mmu_interval_set_seq() - note that a subscription collided
 * @interval_sub: the subscription passed to invalidate.
 * @cur_seq: the sequence passed to invalidate; always odd.
 *
 * Every reader that began before is told to retry.
 *
 * Context: inside invalidate, under the driver's lock.
 */
static inline void
mmu_interval_set_seq(struct mmu_interval_notifier *interval_sub,
		     unsigned long cur_seq)
{
	/* Read without the driver's lock by mmu_interval_check_retry(). */
	WRITE_ONCE(interval_sub->invalidate_seq, cur_seq);
}

/**
 * mmu_interval_read_retry() - did an invalidation collide with this reader?
 * @interval_sub: the subscription.
 * @seq: what mmu_interval_read_begin() returned.
 *
 * On false the SPTEs read since then are good, and may be put to use under the
 * lock that is held.
 *
 * Context: under the driver's lock that its invalidate takes around
 * mmu_interval_set_seq().
 *
 * Return: true if the reader has to begin again.
 */
static inline bool
mmu_interval_read_retry(struct mmu_interval_notifier *interval_sub,
			unsigned long seq)
{
	if (IS_ENABLED(CONFIG_DEBUG_MMU_NOTIFIER))
		WRITE_ONCE(interval_sub->retries, true);
	if (READ_ONCE(interval_sub->invalidate_seq) == seq)
		return false;
	if (IS_ENABLED(CONFIG_MMU_NOTIFIER_STATS))
		__mmu_interval_retried(interval_sub);
	return true;
}

/**
 * mmu_interval_check_retry() - is it already known that this reader collided?
 * @interval_sub: the subscription.
 * @seq: what mmu_interval_read_begin() returned.
 *
 * Lets a long reader give up early. Does not replace
 * mmu_interval_read_retry(): false says nothing.
 *
 * Context: any, no lock needed.
 *
 * Return: true if mmu_interval_read_retry() will say so too.
 */
static inline bool
mmu_interval_check_retry(struct mmu_interval_notifier *interval_sub,
			 unsigned long seq)
{
	return READ_ONCE(interval_sub->invalidate_seq) != seq;
}

/**
 * mmu_notifier_lockdep_begin() - what follows may be run, or be waited for, by
 *	callbacks of ranges
 *
 * For lockdep, to which these callbacks are something like a lock.
 */
static inline void mmu_notifier_lockdep_begin(void)
{
	lock_map_acquire(&__mmu_notifier_invalidate_range_start_map);
}

/**
 * mmu_notifier_lockdep_end() - undoes mmu_notifier_lockdep_begin()
 */
static inline void mmu_notifier_lockdep_end(void)
{
	lock_map_release(&__mmu_notifier_invalidate_range_start_map);
}

#else /* !CONFIG_MMU_NOTIFIER */

static inline void mmu_notifier_synchronize(void)
{
}

static inline void mmu_notifier_lockdep_begin(void)
{
}

static inline void mmu_notifier_lockdep_end(void)
{
}

#endif /* CONFIG_MMU_NOTIFIER */

/**
 * mmu_notifier_prime_lockdep() - callbacks may be run, or waited for, here
 *
 * Whoever may reclaim, or wait for ranges in flight, says so by calling this even
 * when it does not come to that: then lockdep finds out at once that the caller
 * holds what some callback waits for. Locks that a driver's callbacks take can be
 * made known in the same way, when the driver is loaded::
 *
 *	mmu_notifier_lockdep_begin();
 *	mutex_lock(&driver->lock);
 *	mutex_unlock(&driver->lock);
 *	mmu_notifier_lockdep_end();
 *
 * Context: any but NMI.
 */
static inline void mmu_notifier_prime_lockdep(void)
{
	mmu_notifier_lockdep_begin();
	mmu_notifier_lockdep_end();
}

#endif /* _LINUX_MMU_NOTIFIER_H */
