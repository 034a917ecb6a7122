// SPDX-License-Identifier: GPL-2.0
/*
 * What personalities with a list subscription have in common: a spinlock for a
 * device lock, since some of their callbacks come under the page-table lock;
 * how a start begins; and the release.
 *
 * No callback comes from an interrupt, so the lock leaves interrupts alone.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "mmu_mirror.h"

/**
 * mirror_spin_lock() - take the device lock
 * @m: the mirror.
 */
void mirror_spin_lock(struct mirror *m)
	__acquires(&m->spin)
{
	spin_lock(&m->spin);
}

/**
 * mirror_spin_lock_nosleep() - take the device lock, which never sleeps
 * @m: the mirror.
 *
 * Return: true.
 */
bool mirror_spin_lock_nosleep(struct mirror *m)
	__acquires(&m->spin)
{
	spin_lock(&m->spin);
	return true;
}

/**
 * mirror_spin_unlock() - release the device lock
 * @m: the mirror.
 */
void mirror_spin_unlock(struct mirror *m)
	__releases(&m->spin)
{
	spin_unlock(&m->spin);
}

/**
 * mirror_spin_relax() - let others have the device lock, if they want
 * @m: the mirror.
 *
 * Context: device lock held, before and after; may sleep.
 */
void mirror_spin_relax(struct mirror *m)
{
	cond_resched_lock(&m->spin);
}

/**
 * mirror_spin_begin() - begin a start: count it, be slow, refuse it
 * @m: the mirror.
 * @range: what it is for.
 *
 * Context: sleeps if the range may.
 *
 * Return: 0, or -EAGAIN if the start is to be refused.
 */
int mirror_spin_begin(struct mirror *m, const struct mmu_notifier_range *range)
{
	mirror_count_invalidation(m, range);
	if (mmu_notifier_range_blockable(range)) {
		mirror_delay(m, &m->inject.start_delay_us, range);
	} else if (mirror_should_refuse(m)) {
		mirror_count(m, MIRROR_STAT_REFUSED);
		return -EAGAIN;
	}
	return 0;
}

/**
 * mirror_spin_release() - the mm is going away: be dead (R6)
 * @m: the mirror.
 * @ops: its personality.
 *
 * It waits for nobody: a fault that is under way finds the mirror dead when it
 * has got the lock, and installs nothing.
 *
 * Context: may sleep.
 */
void mirror_spin_release(struct mirror *m, const struct mirror_personality *ops)
{
	spin_lock(&m->spin);
	mirror_check_subscribed(m);
	WRITE_ONCE(m->live, false);
	mirror_table_zap(m, ops, 0, ULONG_MAX, true);
	spin_unlock(&m->spin);

	mirror_count(m, MIRROR_STAT_RELEASE);
}
