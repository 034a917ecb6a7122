/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ranges in flight, for secondary MMUs that subscribe to a whole mm.
 *
 * A hypervisor translates an address (get_user_pages(), say) without its own
 * lock and installs the result under it. It must not install what an
 * invalidation has made wrong in the meantime. The classic answer is one
 * sequence and one count for the whole mm: as long as anything is in flight, or
 * if anything ended since, every fault begins again. Here the fault is told so
 * only if a range that *overlaps* its address was in flight (R3):
 *
 *	CPU: invalidate_range_start	device: fault
 *
 *	lock				lock
 *	slots_begin(start, last)	seq = slots_seq()
 *	drop SPTEs in the range		unlock
 *	unlock
 *					page = translate(addr)
 *	(entries change)
 *					lock
 *	CPU: invalidate_range_end	if (slots_retry(seq, addr, addr_last))
 *						unlock, begin again
 *	lock				install page
 *	slots_end(start, last)		unlock
 *	unlock
 *
 * Why it is enough. Let the fault sample at S and install at I, both under the
 * lock, and let an overlapping range begin at B and end at E.
 *
 *  - E before S: the entry has changed before it was looked up. No retry.
 *  - B before I, I before E: it is in flight at I, and found in a slot.
 *  - S before E, E before I: it ended since S, and is found in the history.
 *  - I before B: the callback finds the installed SPTE and drops it.
 *
 * So only ends count: the sequence is the number of ranges that ended.
 *
 * *Slots* hold what is in flight. There is a fixed number, for nothing may be
 * allocated on the invalidate path (R10). A range gets a slot to itself, or
 * shares one with ranges exactly like it. If none is free, the slot that has to
 * grow least becomes a *hull* around what it held and the new range. An end has
 * to find the slot of its begin, with nothing but its range to go by, therefore:
 *
 *  - hulls never overlap each other: those that would are made one;
 *  - an end takes a slot that is exactly its range if there is one. Otherwise
 *    its range lies within one hull only, and that is the one. If its own begin
 *    went to a hull and not to the exact slot, then the range that is left
 *    behind is the same range, and still covered.
 *
 * A hull is freed when the last of its ranges ends. Until then faults between
 * its ranges retry for nothing: that is the price of more ranges at a time than
 * there are slots.
 *
 * The *history* holds the ranges that ended last, each with its sequence. A
 * newer range replaces one that it contains, so a storm over one place takes up
 * one entry only. What has to make room goes into a hull, with the highest
 * sequence of those in it, so a storm over many places near each other concerns
 * nobody farther away. After some number of ends a new hull is begun, lest one
 * range far off make it wide for ever. Two hulls are kept. Of what was forgotten
 * with those before, the highest sequence is, the *horizon*: a fault that began
 * before it retries, whatever its address.
 *
 * ``last`` is inclusive, in bytes or whatever else the caller counts in: KVM has
 * guest frames. Locking is the caller's: all functions are called under the lock
 * that guards the secondary page table.
 *
 * A caller who samples without that lock keeps a sequence of its own, stepped
 * once with each end after mmu_notifier_slots_end() and under the lock, and asks
 * with mmu_notifier_slots_seq() of that moment less the steps since its sample.
 * The step has to be ordered after what the range changed, the sample before the
 * translation.
 */
#ifndef _LINUX_MMU_NOTIFIER_SLOTS_H
#define _LINUX_MMU_NOTIFIER_SLOTS_H

#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/types.h>

#define MMU_NOTIFIER_NR_SLOTS	8
#define MMU_NOTIFIER_NR_ENDED	8
#define MMU_NOTIFIER_HULL_ENDS	1024

/**
 * struct mmu_notifier_slot - ranges in flight
 * @start: first address.
 * @last: last address.
 * @users: ranges in this slot; 0: the slot is free.
 * @hull: if true, the ranges lie somewhere from @start to @last; else each is
 *	exactly that.
 */
struct mmu_notifier_slot {
	unsigned long start;
	unsigned long last;
	unsigned int users;
	bool hull;
};

/**
 * struct mmu_notifier_ended - a range that has ended, or a hull of some
 * @start: first address.
 * @last: last address.
 * @seq: the sequence that its end began, or the last of theirs; 0: none did.
 */
struct mmu_notifier_ended {
	unsigned long start;
	unsigned long last;
	u64 seq;
};

/**
 * struct mmu_notifier_slots - what of an mm is and was in flight
 * @seq: how many ranges have ended.
 * @horizon: the highest sequence that is no longer in @ended or @hulls.
 * @hull_seq: the sequence at which the first of @hulls was begun.
 * @nr_ranges: how many ranges are in flight.
 * @slots: the ranges in flight.
 * @ended: the ranges that ended last, in no order.
 * @hulls: those that ended before, the first being added to.
 *
 * All members are guarded by the caller's lock. @nr_ranges may be read without
 * it, with READ_ONCE(), by who only wants to know.
 */
struct mmu_notifier_slots {
	u64 seq;
	u64 horizon;
	u64 hull_seq;
	unsigned int nr_ranges;
	struct mmu_notifier_slot slots[MMU_NOTIFIER_NR_SLOTS];
	struct mmu_notifier_ended ended[MMU_NOTIFIER_NR_ENDED];
	struct mmu_notifier_ended hulls[2];
};

/**
 * mmu_notifier_slots_init() - nothing is in flight, nothing has ended
 * @s: the slots.
 *
 * Context: before the subscription is registered.
 */
static inline void mmu_notifier_slots_init(struct mmu_notifier_slots *s)
{
	memset(s, 0, sizeof(*s));
}

static inline void __mmu_notifier_slot_widen(struct mmu_notifier_slot *slot,
					     unsigned long start,
					     unsigned long last,
					     unsigned int users)
{
	slot->start = min(slot->start, start);
	slot->last = max(slot->last, last);
	slot->users += users;
	slot->hull = true;
}

/* Make one of @hull and a hull that it overlaps. False if there is none. */
static inline bool __mmu_notifier_slots_absorb(struct mmu_notifier_slots *s,
					       struct mmu_notifier_slot *hull)
{
	struct mmu_notifier_slot *slot;
	unsigned int i;

	for (i = 0; i < MMU_NOTIFIER_NR_SLOTS; i++) {
		slot = &s->slots[i];
		if (slot == hull || !slot->users || !slot->hull)
			continue;
		if (slot->last < hull->start || hull->last < slot->start)
			continue;
		__mmu_notifier_slot_widen(hull, slot->start, slot->last,
					  slot->users);
		slot->users = 0;
		return true;
	}
	return false;
}

/* All slots are taken: put the range into the one that has to grow least. */
static inline void __mmu_notifier_slots_merge(struct mmu_notifier_slots *s,
					      unsigned long start,
					      unsigned long last)
{
	struct mmu_notifier_slot *best = s->slots;
	unsigned long least = ULONG_MAX;
	struct mmu_notifier_slot *slot;
	unsigned int i;

	for (i = 0; i < MMU_NOTIFIER_NR_SLOTS; i++) {
		unsigned long growth = 0;

		slot = &s->slots[i];
		if (start < slot->start)
			growth += slot->start - start;
		if (last > slot->last)
			growth += last - slot->last;
		/* Spare the exact ones where there is a choice. */
		if (growth < least || (growth == least && slot->hull)) {
			least = growth;
			best = slot;
		}
	}

	__mmu_notifier_slot_widen(best, start, last, 1);
	while (__mmu_notifier_slots_absorb(s, best))
		;
}

/**
 * mmu_notifier_slots_begin() - a range is in flight from now on
 * @s: the slots.
 * @start: first address of the range.
 * @last: last address of the range.
 *
 * Called by invalidate_range_start before SPTEs are dropped.
 *
 * Context: under the caller's lock. Does not fail, sleep or allocate.
 */
static inline void mmu_notifier_slots_begin(struct mmu_notifier_slots *s,
					    unsigned long start,
					    unsigned long last)
{
	struct mmu_notifier_slot *spare = NULL;
	struct mmu_notifier_slot *slot;
	unsigned int i;

	WRITE_ONCE(s->nr_ranges, s->nr_ranges + 1);

	for (i = 0; i < MMU_NOTIFIER_NR_SLOTS; i++) {
		slot = &s->slots[i];
		if (!slot->users) {
			spare = slot;
		} else if (!slot->hull &&
			   slot->start == start && slot->last == last) {
			slot->users++;
			return;
		}
	}

	if (!spare) {
		__mmu_notifier_slots_merge(s, start, last);
		return;
	}
	spare->start = start;
	spare->last = last;
	spare->users = 1;
	spare->hull = false;
}

/* The slot to give up at the end of a range, or NULL. */
static inline struct mmu_notifier_slot *
__mmu_notifier_slots_find(struct mmu_notifier_slots *s, unsigned long start,
			  unsigned long last)
{
	struct mmu_notifier_slot *found = NULL;
	struct mmu_notifier_slot *slot;
	unsigned int i;

	for (i = 0; i < MMU_NOTIFIER_NR_SLOTS; i++) {
		slot = &s->slots[i];
		if (!slot->users || slot->start > start || slot->last < last)
			continue;
		if (slot->hull)
			found = slot;
		else if (slot->start == start && slot->last == last)
			return slot;
	}
	return found;
}

/* Make room: @old goes into the hull. */
static inline void
__mmu_notifier_slots_retire(struct mmu_notifier_slots *s,
			    const struct mmu_notifier_ended *old)
{
	struct mmu_notifier_ended *hull = s->hulls;

	if (!old->seq)
		return;

	if (!hull->seq || s->seq - s->hull_seq >= MMU_NOTIFIER_HULL_ENDS) {
		s->horizon = max(s->horizon, s->hulls[1].seq);
		s->hulls[1] = *hull;
		s->hull_seq = s->seq;
		*hull = *old;
		return;
	}
	hull->start = min(hull->start, old->start);
	hull->last = max(hull->last, old->last);
	hull->seq = max(hull->seq, old->seq);
}

/* Put a range that ended into the history. */
static inline void __mmu_notifier_slots_record(struct mmu_notifier_slots *s,
					       unsigned long start,
					       unsigned long last)
{
	struct mmu_notifier_ended *oldest = s->ended;
	struct mmu_notifier_ended *entry;
	unsigned int i;

	s->seq++;

	for (i = 0; i < MMU_NOTIFIER_NR_ENDED; i++) {
		entry = &s->ended[i];
		/* Whom the old entry tells to retry, the new one does too. */
		if (entry->seq && start <= entry->start && entry->last <= last)
			goto replace;
		if (entry->seq < oldest->seq)
			oldest = entry;
	}
	entry = oldest;
	__mmu_notifier_slots_retire(s, entry);
replace:
	entry->start = start;
	entry->last = last;
	entry->seq = s->seq;
}

/**
 * mmu_notifier_slots_end() - a range is no longer in flight
 * @s: the slots.
 * @start: first address, as at begin.
 * @last: last address, as at begin.
 *
 * Called by invalidate_range_end.
 *
 * Context: under the caller's lock. Does not fail, sleep or allocate.
 *
 * Return: true, or false if no such range is in flight, which breaks R5. Within
 * a hull that goes unnoticed.
 */
static inline bool mmu_notifier_slots_end(struct mmu_notifier_slots *s,
					  unsigned long start,
					  unsigned long last)
{
	struct mmu_notifier_slot *slot;

	__mmu_notifier_slots_record(s, start, last);

	slot = __mmu_notifier_slots_find(s, start, last);
	if (!slot)
		return false;

	slot->users--;
	WRITE_ONCE(s->nr_ranges, s->nr_ranges - 1);
	return true;
}

/**
 * mmu_notifier_slots_seq() - begin a fault
 * @s: the slots.
 *
 * Context: under the caller's lock, before the address is translated.
 *
 * Return: the sequence to pass to mmu_notifier_slots_retry().
 */
static inline u64 mmu_notifier_slots_seq(const struct mmu_notifier_slots *s)
{
	return s->seq;
}

static inline bool
__mmu_notifier_ended_since(const struct mmu_notifier_ended *entry, u64 seq,
			   unsigned long start, unsigned long last)
{
	return entry->seq > seq && entry->start <= last && start <= entry->last;
}

/**
 * mmu_notifier_slots_retry() - did a range collide with this fault?
 * @s: the slots.
 * @seq: what mmu_notifier_slots_seq() returned before the translation.
 * @start: first address that was translated.
 * @last: last address that was translated.
 *
 * Context: under the caller's lock. On false, install before it is dropped.
 *
 * Return: true if the fault has to begin again: a range that overlaps is in
 * flight, or ended since; or so many have ended since that it cannot be told.
 */
static inline bool mmu_notifier_slots_retry(const struct mmu_notifier_slots *s,
					    u64 seq, unsigned long start,
					    unsigned long last)
{
	const struct mmu_notifier_slot *slot;
	unsigned int i;

	if (seq < s->horizon)
		return true;

	for (i = 0; i < MMU_NOTIFIER_NR_SLOTS; i++) {
		slot = &s->slots[i];
		if (slot->users && slot->start <= last && start <= slot->last)
			return true;
	}

	for (i = 0; i < MMU_NOTIFIER_NR_ENDED; i++)
		if (__mmu_notifier_ended_since(&s->ended[i], seq, start, last))
			return true;

	return __mmu_notifier_ended_since(&s->hulls[0], seq, start, last) ||
	       __mmu_notifier_ended_since(&s->hulls[1], seq, start, last);
}

/**
 * mmu_notifier_slots_nr_ranges() - how many ranges are in flight?
 * @s: the slots.
 *
 * Context: any; a snapshot if the caller's lock is not held.
 *
 * Return: the number.
 */
static inline unsigned int
mmu_notifier_slots_nr_ranges(const struct mmu_notifier_slots *s)
{
	return READ_ONCE(s->nr_ranges);
}

#endif /* _LINUX_MMU_NOTIFIER_SLOTS_H */
