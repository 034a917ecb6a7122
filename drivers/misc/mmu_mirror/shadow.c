// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `shadow`: the secondary MMU of a hypervisor.
 *
 * One list subscription for the whole mm. The device lock is a spinlock, for the
 * young callbacks come under the page-table lock. Ranges in flight are kept in
 * slots (see <linux/mmu_notifier_slots.h>), so that a fault begins again only if
 * a range that overlaps its page was in flight since it took its sequence (R3):
 *
 *	start	slots begin, then drop the SPTEs of the range
 *	end	slots end
 *	fault	take the sequence; get_user_pages; check and install under the lock
 *
 * From slots begin on no SPTE can be made in the range, so start may drop the
 * lock between batches of SPTEs, where it may sleep.
 *
 * release drops everything and makes the mirror dead (R6), see spin.c.
 *
 * Starts and ends are counted against each other (R5): an end that finds no
 * range in flight, or a callback after mmu_notifier_unregister() returned (R6),
 * shows as `unbalanced`. Ranges that are in flight when the subscription ends
 * get no end; their slots go with it.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>

#include "mmu_mirror.h"

static struct mirror *shadow_mirror(struct mmu_notifier *sub)
{
	return container_of(sub, struct mirror, shadow.sub);
}

static int shadow_start(struct mmu_notifier *sub,
			const struct mmu_notifier_range *range)
{
	bool may_sleep = mmu_notifier_range_blockable(range);
	struct mirror *m = shadow_mirror(sub);
	int ret;

	ret = mirror_spin_begin(m, range);
	if (ret)
		return ret;

	spin_lock(&m->spin);
	mirror_check_subscribed(m);
	mmu_notifier_slots_begin(&m->shadow.slots, range->start,
				 range->end - 1);
	mirror_table_zap(m, &mirror_shadow_ops, range->start >> PAGE_SHIFT,
			 (range->end - 1) >> PAGE_SHIFT, may_sleep);
	spin_unlock(&m->spin);
	return 0;
}

static void shadow_end(struct mmu_notifier *sub,
		       const struct mmu_notifier_range *range)
{
	struct mirror *m = shadow_mirror(sub);

	if (mmu_notifier_range_blockable(range))
		mirror_delay(m, &m->inject.end_delay_us, range);

	spin_lock(&m->spin);
	mirror_check_subscribed(m);
	if (!mmu_notifier_slots_end(&m->shadow.slots, range->start,
				    range->end - 1))
		mirror_count(m, MIRROR_STAT_UNBALANCED);
	spin_unlock(&m->spin);

	mirror_count(m, MIRROR_STAT_END);
}

static void shadow_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	mirror_spin_release(shadow_mirror(sub), &mirror_shadow_ops);
}

static int shadow_young(struct mmu_notifier *sub, unsigned long start,
			unsigned long end, bool clear)
{
	struct mirror *m = shadow_mirror(sub);
	bool young;

	spin_lock(&m->spin);
	mirror_check_subscribed(m);
	young = mirror_table_young(m, start >> PAGE_SHIFT,
				   (end - 1) >> PAGE_SHIFT, clear);
	spin_unlock(&m->spin);

	mirror_count(m, MIRROR_STAT_YOUNG);
	return young;
}

/* The device has no TLB to flush, so this is both of them. */
static int shadow_clear_young(struct mmu_notifier *sub, struct mm_struct *mm,
			      unsigned long start, unsigned long end)
{
	return shadow_young(sub, start, end, true);
}

static int shadow_test_young(struct mmu_notifier *sub, struct mm_struct *mm,
			     unsigned long addr)
{
	return shadow_young(sub, addr, addr + PAGE_SIZE, false);
}

static const struct mmu_notifier_ops shadow_notifier_ops = {
	.release = shadow_release,
	.clear_flush_young = shadow_clear_young,
	.clear_young = shadow_clear_young,
	.test_young = shadow_test_young,
	.invalidate_range_start = shadow_start,
	.invalidate_range_end = shadow_end,
};

static int shadow_subscribe(struct mirror *m, unsigned long start,
			    unsigned long length)
{
	memset(&m->shadow, 0, sizeof(m->shadow));
	mmu_notifier_slots_init(&m->shadow.slots);
	m->shadow.sub.ops = &shadow_notifier_ops;
	return mmu_notifier_register(&m->shadow.sub, m->mm);
}

static int shadow_move(struct mirror *m, unsigned long start,
		       unsigned long length)
{
	/* The subscription is to all of the mm. */
	return 0;
}

static void shadow_unsubscribe(struct mirror *m)
{
	mmu_notifier_unregister(&m->shadow.sub, m->mm);
}

static int shadow_translate(struct mirror *m, struct mirror_fault *fault)
{
	spin_lock(&m->spin);
	fault->seq = mmu_notifier_slots_seq(&m->shadow.slots);
	spin_unlock(&m->spin);

	return mirror_get_page(m, fault);
}

static bool shadow_collided(struct mirror *m, const struct mirror_fault *fault)
{
	return mmu_notifier_slots_retry(&m->shadow.slots, fault->seq,
					fault->addr,
					fault->addr + PAGE_SIZE - 1);
}

const struct mirror_personality mirror_shadow_ops = {
	.lock = mirror_spin_lock,
	.lock_nosleep = mirror_spin_lock_nosleep,
	.unlock = mirror_spin_unlock,
	.relax = mirror_spin_relax,
	.subscribe = shadow_subscribe,
	.move = shadow_move,
	.unsubscribe = shadow_unsubscribe,
	.translate = shadow_translate,
	.collided = shadow_collided,
};
