// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: spaces, their ranges, and what secondary
 * MMUs hold of them.
 *
 * What is checked here:
 *
 *  - When an entry is cleared no SPTE of it exists (R1), and when its page is freed
 *    none reaches it (R2), no TLB does (R4), and what was written is marked (R2).
 *  - Between start and end each subscription that was there before has been told
 *    (R1), and each that was registered since has not returned from that (R5).
 *  - After the end nobody has been told the start only (R5). No failure but
 *    -EAGAIN, and that if, and only if, somebody refused; and no memory is taken
 *    (R10).
 *  - When the last user of the mm is gone, so are all SPTEs (R6).
 *
 * Only the thread that starts a range touches its @told: callbacks of start and end
 * run in that thread.
 */

#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mmu_notifier_torture.h"

static atomic_t mmt_space_ids;
static atomic_t mmt_spaces_there;

/*
 * Secondary MMUs
 */

static void mmt_spte_clear(struct mmt_mmu *mmu, unsigned int page)
{
	struct mmt_spte *spte = &mmu->sptes[page];

	if (!spte->page)
		return;
	if (!mmt_breaks(MMT_NO_DIRTY))
		atomic_add(spte->writes, &spte->page->marked);
	/* Whoever sees it gone sees what was marked. */
	smp_mb__before_atomic();
	atomic_dec(mmu->tlb ? &spte->page->walked : &spte->page->reached);
	spte->page = NULL;
	spte->writes = 0;
}

/**
 * mmt_mmu_drop() - drop entries of pages
 * @mmu: of this secondary MMU.
 * @first: first page.
 * @last: last page (inclusive); need not be in the arena.
 *
 * Context: mmu->lock held.
 */
void mmt_mmu_drop(struct mmt_mmu *mmu, unsigned int first, unsigned int last)
{
	unsigned int i;

	lockdep_assert_held(&mmu->lock);
	for (i = first; i <= last && i < MMT_PAGES; i++)
		mmt_spte_clear(mmu, i);
}

/**
 * mmt_mmu_set() - make an entry
 * @mmu: of this secondary MMU.
 * @page: for this page of the space.
 * @to: what it reaches.
 *
 * Context: mmu->lock held.
 */
void mmt_mmu_set(struct mmt_mmu *mmu, unsigned int page, struct mmt_page *to)
{
	struct mmt_spte *spte = &mmu->sptes[page];

	lockdep_assert_held(&mmu->lock);
	if (mmu->dead)
		return;
	mmt_spte_clear(mmu, page);
	spte->page = to;
	spte->gen = READ_ONCE(to->gen);
	atomic_inc(mmu->tlb ? &to->walked : &to->reached);
}

/**
 * mmt_mmu_use() - the device reads and writes a page, if it has an entry for it
 * @mmu: its secondary MMU.
 * @page: the page of the space.
 */
void mmt_mmu_use(struct mmt_mmu *mmu, unsigned int page)
{
	struct mmt_spte *spte = &mmu->sptes[page];

	spin_lock(&mmu->lock);
	if (spte->page) {
		if (!READ_ONCE(spte->page->live) ||
		    READ_ONCE(spte->page->gen) != spte->gen)
			mmt_fail(MMT_R2_STALE, mmu->space->id, page, spte->gen);
		/* A walker's entries are as the page table's, which marks itself. */
		if (!mmu->tlb) {
			atomic_inc(&spte->page->writes);
			spte->writes++;
		}
		mmt_did(MMT_USED);
	}
	spin_unlock(&mmu->lock);
}

/**
 * mmt_mmu_kill() - drop all entries, and make none any more
 * @mmu: the secondary MMU.
 */
void mmt_mmu_kill(struct mmt_mmu *mmu)
{
	spin_lock(&mmu->lock);
	mmu->dead = true;
	mmt_mmu_drop(mmu, 0, MMT_PAGES - 1);
	spin_unlock(&mmu->lock);
}

/*
 * The page table
 */

/**
 * mmt_fault_locked() - what does an entry of the page table say?
 * @space: the space.
 * @page: which entry; it is filled if it is empty.
 *
 * Context: @space->ptl held.
 *
 * Return: the page, or NULL if there is none left.
 */
struct mmt_page *mmt_fault_locked(struct mmt_space *space, unsigned int page)
{
	struct mmt_page *this = space->ptes[page];
	int i;

	lockdep_assert_held(&space->ptl);
	for (i = 0; !this && i < MMT_POOL; i++) {
		if (space->pool[i].live)
			continue;
		this = &space->pool[i];
		atomic_set(&this->writes, 0);
		atomic_set(&this->marked, 0);
		WRITE_ONCE(this->live, true);
		space->ptes[page] = this;
	}
	return this;
}

/**
 * mmt_fault() - the same, and how often was the entry cleared?
 * @space: the space.
 * @page: which entry; it is filled if it is empty.
 * @version: where to store how often.
 *
 * Return: the page, or NULL if there is none left.
 */
struct mmt_page *mmt_fault(struct mmt_space *space, unsigned int page,
			   unsigned int *version)
{
	struct mmt_page *this;

	spin_lock(&space->ptl);
	this = mmt_fault_locked(space, page);
	*version = space->version[page];
	spin_unlock(&space->ptl);
	return this;
}

static void mmt_page_free(struct mmt_space *space, struct mmt_page *page)
{
	if (atomic_read(&page->reached))
		mmt_fail(MMT_R2_FREED, space->id, page - space->pool,
			 atomic_read(&page->reached));
	if (atomic_read(&page->walked))
		mmt_fail(MMT_R4_FLUSHED, space->id, page - space->pool,
			 atomic_read(&page->walked));
	/* Pairs with mmt_spte_clear(). */
	smp_rmb();
	if (atomic_read(&page->writes) != atomic_read(&page->marked))
		mmt_fail(MMT_R2_LOST, space->id, atomic_read(&page->writes),
			 atomic_read(&page->marked));
	spin_lock(&space->ptl);
	WRITE_ONCE(page->gen, page->gen + 1);
	WRITE_ONCE(page->live, false);
	spin_unlock(&space->ptl);
}

static struct mmt_page *mmt_zap_one(struct mmt_space *space, unsigned int i)
{
	struct mmt_page *page;

	spin_lock(&space->ptl);
	page = space->ptes[i];
	if (page) {
		if (atomic_read(&page->reached))
			mmt_fail(MMT_R1_CHANGED, space->id, i,
				 atomic_read(&page->reached));
		space->ptes[i] = NULL;
		WRITE_ONCE(space->version[i], space->version[i] + 1);
		mmt_frugal_begin();
		mmu_torture_flush(space->mm, MMT_ADDRESS(i), MMT_ADDRESS(i + 1));
		mmt_frugal_end();
	}
	spin_unlock(&space->ptl);
	return page;
}

/**
 * mmt_range_zap() - clear all entries within a range and free the pages
 * @range: the range, in flight.
 */
void mmt_range_zap(struct mmt_range *range)
{
	struct mmt_space *space = range->space;
	struct mmt_page *page;
	unsigned int i;

	for (i = range->first; i <= range->last && i < MMT_PAGES; i++) {
		page = mmt_zap_one(space, i);
		if (page)
			mmt_page_free(space, page);
	}
}

/*
 * Ranges
 */

/**
 * mmt_sub() - what both kinds of subscription have
 * @space: in this space.
 * @slot: which one.
 *
 * Return: the subscription.
 */
struct mmt_sub *mmt_sub(struct mmt_space *space, unsigned int slot)
{
	return slot < MMT_LISTS ? &space->lists[slot].sub :
				  &space->intervals[slot - MMT_LISTS].sub;
}

/* The incarnation that has to be told of this range, or 0. */
static unsigned long mmt_listens(struct mmt_range *range, unsigned int slot)
{
	struct mmt_sub *sub = mmt_sub(range->space, slot);
	unsigned long live;
	bool concerned;

	/* Acquire: its addresses are those of this incarnation. */
	live = smp_load_acquire(&sub->live);
	if (!live || (slot < MMT_LISTS && READ_ONCE(sub->mmu.tlb)))
		return 0;
	concerned = READ_ONCE(sub->first) <= range->last &&
		    READ_ONCE(sub->last) >= range->first &&
		    (!READ_ONCE(sub->unmaps_only) ||
		     range->range.event == MMU_NOTIFY_UNMAP);
	/* If it changed meanwhile, it was told nothing, or is so anew. */
	smp_rmb();
	return concerned && READ_ONCE(sub->live) == live ? live : 0;
}

/**
 * mmt_range_start() - start a range
 * @space: over this space.
 * @range: the range.
 * @first: first page.
 * @last: last page (inclusive).
 * @event: the event.
 * @blockable: callbacks may sleep.
 *
 * Return: 0, or -EAGAIN, and then there is no end.
 */
int mmt_range_start(struct mmt_space *space, struct mmt_range *range,
		    unsigned int first, unsigned int last,
		    enum mmu_notifier_event event, bool blockable)
{
	unsigned int i;
	int ret;

	range->space = space;
	range->first = first;
	range->last = last;
	range->blockable = blockable;
	range->refusals = 0;
	mmu_notifier_range_init_owner(&range->range, event, 0, space->mm,
				      MMT_ADDRESS(first), MMT_ADDRESS(last + 1),
				      range);
	for (i = 0; i < MMT_SLOTS; i++) {
		range->told[i] = 0;
		range->before[i] = mmt_listens(range, i);
	}
	if (mmt_breaks(MMT_ZAP_FIRST))
		mmt_range_zap(range);

	/* Who was there before. */
	smp_mb();
	mmt_frugal_begin();
	ret = mmu_torture_start(&range->range, blockable || mmt_breaks(MMT_BLOCKS));
	mmt_frugal_end();
	if (ret && mmt_breaks(MMT_OTHER_ERRNO))
		ret = -EBUSY;
	mmt_note(ret ? "refused" : "start", space->id, first, last);
	if (ret && ret != -EAGAIN)
		mmt_fail(MMT_R10_ERRNO, space->id, -ret, range->refusals);
	else if (!ret != !range->refusals || (ret && blockable))
		mmt_fail(MMT_R10_ERRNO, space->id, -ret, range->refusals);
	if (!ret) {
		mmt_did(MMT_RANGES);
		spin_lock(&space->flying_lock);
		list_add(&range->node, &space->flying);
		spin_unlock(&space->flying_lock);
		return 0;
	}
	mmt_did(MMT_REFUSED);
	/* Intervals are not told the end of what was refused. */
	for (i = 0; i < MMT_LISTS; i++)
		if (range->told[i] && range->told[i] == mmt_listens(range, i))
			mmt_fail(MMT_R5_OPEN, space->id, i, range->told[i]);
	return -EAGAIN;
}

/**
 * mmt_range_check() - have all been told who had to?
 * @range: the range, in flight.
 */
void mmt_range_check(struct mmt_range *range)
{
	unsigned long now;
	unsigned int i;

	for (i = 0; i < MMT_SLOTS; i++) {
		now = mmt_listens(range, i);
		if (!now || range->told[i] == now)
			continue;
		if (range->before[i] == now)
			mmt_fail(MMT_R1_UNTOLD, range->space->id, i, now);
		else if (i < MMT_LISTS)
			mmt_fail(MMT_R5_BORN, range->space->id, i, now);
	}
}

/**
 * mmt_range_end() - end a range
 * @range: the range, in flight.
 */
void mmt_range_end(struct mmt_range *range)
{
	struct mmt_space *space = range->space;
	struct mmt_list *list = &space->lists[0];
	unsigned int i;

	spin_lock(&space->flying_lock);
	list_del(&range->node);
	spin_unlock(&space->flying_lock);

	mmt_note("end", space->id, range->first, range->last);
	mmt_frugal_begin();
	mmu_torture_end(&range->range);
	mmt_frugal_end();
	if (mmt_breaks(MMT_END_TWICE) && READ_ONCE(list->sub.live))
		list->notifier.ops->invalidate_range_end(&list->notifier, &range->range);

	/* Who is there still was there when the end was told. */
	smp_mb();
	for (i = 0; i < MMT_LISTS; i++)
		if (range->told[i] && range->told[i] == mmt_listens(range, i))
			mmt_fail(MMT_R5_OPEN, space->id, i, range->told[i]);
}

/**
 * mmt_flying() - is a range in flight?
 * @space: over this space.
 * @first: and this first page.
 * @last: up to this last page (inclusive).
 * @unmaps_only: of MMU_NOTIFY_UNMAP only.
 *
 * Context: does not sleep.
 *
 * Return: true if the start of one has returned, and its end was not called yet.
 */
bool mmt_flying(struct mmt_space *space, unsigned int first, unsigned int last,
		bool unmaps_only)
{
	struct mmt_range *range;
	bool ret = false;

	spin_lock(&space->flying_lock);
	list_for_each_entry(range, &space->flying, node)
		if (range->first <= last && range->last >= first &&
		    (!unmaps_only || range->range.event == MMU_NOTIFY_UNMAP))
			ret = true;
	spin_unlock(&space->flying_lock);
	return ret;
}

/*
 * Spaces
 */

/**
 * mmt_space_new() - make a space
 * @bare: nobody is subscribed from the beginning.
 *
 * Return: the space, used and held by the caller, or NULL without memory.
 */
struct mmt_space *mmt_space_new(bool bare)
{
	struct mmt_space *space = kvzalloc(sizeof(*space), GFP_KERNEL);

	if (!space)
		return NULL;
	space->mm = mmu_torture_mm_alloc();
	if (!space->mm) {
		kvfree(space);
		return NULL;
	}
	mmgrab(space->mm);
	atomic_inc(&mmt_spaces_there);
	space->id = atomic_inc_return(&mmt_space_ids);
	kref_init(&space->ref);
	atomic_set(&space->users, 1);
	space->bare = bare;
	init_rwsem(&space->permanents);
	spin_lock_init(&space->ptl);
	spin_lock_init(&space->flying_lock);
	INIT_LIST_HEAD(&space->flying);
	mmt_subs_init(space);
	if (bare || !mmt_permanents_add(space))
		return space;
	mmt_space_done(space);
	return NULL;
}

/**
 * mmt_space_use() - use the mm of a space
 * @space: the space, held.
 *
 * Return: false if nobody does any more.
 */
bool mmt_space_use(struct mmt_space *space)
{
	return atomic_inc_not_zero(&space->users);
}

/**
 * mmt_space_unuse() - undo mmt_space_use()
 * @space: the space. The last user ends the mm.
 */
void mmt_space_unuse(struct mmt_space *space)
{
	unsigned int i;

	if (!atomic_dec_and_test(&space->users))
		return;
	mmt_note("exit", space->id, 0, 0);
	mmput(space->mm);
	for (i = 0; i < MMT_POOL; i++) {
		struct mmt_page *page = &space->pool[i];

		if (atomic_read(&page->reached) || atomic_read(&page->walked))
			mmt_fail(MMT_R6_KEPT, space->id, i,
				 atomic_read(&page->reached));
	}
	mmt_did(MMT_EXITS);
}

/**
 * mmt_space_hold() - keep the struct
 * @space: the space.
 */
void mmt_space_hold(struct mmt_space *space)
{
	kref_get(&space->ref);
}

static void mmt_space_free(struct kref *ref)
{
	struct mmt_space *space = container_of(ref, struct mmt_space, ref);

	mmdrop(space->mm);
	kvfree(space);
	atomic_dec(&mmt_spaces_there);
}

/**
 * mmt_spaces_left() - how many spaces are there?
 *
 * Return: the number; 0 when nobody holds one any more.
 */
int mmt_spaces_left(void)
{
	return atomic_read(&mmt_spaces_there);
}

/**
 * mmt_space_put() - undo mmt_space_hold()
 * @space: the space, unused if this was the last who held it.
 */
void mmt_space_put(struct mmt_space *space)
{
	kref_put(&space->ref, mmt_space_free);
}

/**
 * mmt_space_done() - neither use nor hold a space any more
 * @space: the space.
 */
void mmt_space_done(struct mmt_space *space)
{
	mmt_space_unuse(space);
	mmt_space_put(space);
}

/**
 * mmt_space_end() - end a space that nobody can find any more
 * @space: the space, used by the caller, or NULL.
 * @exit_first: the permanent subscriptions end after the mm, unless others use it.
 */
void mmt_space_end(struct mmt_space *space, bool exit_first)
{
	if (!space)
		return;
	if (exit_first)
		mmt_space_unuse(space);
	mmt_permanents_remove(space);
	if (!exit_first)
		mmt_space_unuse(space);
	mmt_space_put(space);
}
