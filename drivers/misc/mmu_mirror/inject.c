// SPDX-License-Identifier: GPL-2.0
/*
 * What tests ask the device, and what they ask of it: counters, and being a
 * difficult subscriber.
 *
 * None of it takes a lock, but HOLD for a moment. Counters are atomic each on its
 * own, and may be read while a callback sleeps or somebody waits in a detach.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/time64.h>

#include "mmu_mirror.h"

/* Longer sleeps in a callback look like a hang. */
#define MIRROR_MAX_DELAY_US	(10 * USEC_PER_SEC)

/**
 * mirror_should_fail() - is this the point that is to fail?
 * @m: the mirror.
 *
 * Stands before everything that may fail for want of memory.
 *
 * Return: true: fail with -ENOMEM.
 */
bool mirror_should_fail(struct mirror *m)
{
	return atomic_dec_if_positive(&m->inject.fail_point) == 0;
}

/**
 * mirror_should_refuse() - is this non-blockable call to be refused?
 * @m: the mirror.
 *
 * Return: true: refuse it.
 */
bool mirror_should_refuse(struct mirror *m)
{
	return atomic_dec_if_positive(&m->inject.refuse) >= 0;
}

/* What sleeping longer than asked for would cost, is not to be measured. */
#define MIRROR_SLACK_US	50

/**
 * mirror_sleep() - sleep for some time, never shorter, and hardly longer
 * @us: how long.
 *
 * msleep() will not do for long ones: it counts jiffies, and these are late on
 * a guest whose CPUs have to wait for the host's.
 *
 * Context: may sleep.
 */
void mirror_sleep(u32 us)
{
	usleep_range(us, us + MIRROR_SLACK_US);
}

/**
 * mirror_delay() - be a slow subscriber
 * @m: the mirror.
 * @delay_us: how slow, as it is set now.
 * @range: what it is told of.
 *
 * Context: may sleep.
 */
void mirror_delay(struct mirror *m, const u32 *delay_us,
		  const struct mmu_notifier_range *range)
{
	u32 us = smp_load_acquire(delay_us);	/* (A) */
	unsigned long at = READ_ONCE(m->inject.delay_at);

	if (us && (!at || (at >= range->start && at < range->end)))
		mirror_sleep(us);
}

/**
 * mirror_hold() - wait in an end callback until somebody lets it go
 * @m: the mirror.
 * @range: what it is for. Those outside of the window are not held.
 *
 * Context: may sleep, for a time that is limited.
 */
void mirror_hold(struct mirror *m, const struct mmu_notifier_range *range)
{
	u32 us = READ_ONCE(m->inject.hold_us);
	s64 nr;

	if (!us || (range->end - 1) >> PAGE_SHIFT < READ_ONCE(m->first) ||
	    range->start >> PAGE_SHIFT > READ_ONCE(m->last))
		return;
	nr = atomic64_inc_return(&m->inject.held);
	wake_up_all(&m->inject.wait);
	wait_event_timeout(m->inject.wait,
			   atomic64_read(&m->inject.let_go) >= nr,
			   usecs_to_jiffies(us));
}

/**
 * mirror_cmd_hold() - MMU_MIRROR_HOLD
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_hold.
 *
 * Return: 0, -EINVAL, -ETIMEDOUT, -EINTR, or as mirror_get_use().
 */
int mirror_cmd_hold(struct mirror *m, void *argp)
{
	struct mmu_mirror_hold *args = argp;
	s64 nr = args->held;
	long ret;

	if (args->flags || args->timeout_us > MIRROR_MAX_DELAY_US ||
	    nr < 0 || nr > atomic64_read(&m->inject.held))
		return -EINVAL;
	ret = mirror_get_use(m);
	if (ret)
		return ret;
	/* Not held while waiting: what is waited for may wait for a detach. */
	mirror_put_use(m);

	atomic64_set(&m->inject.let_go, nr);
	wake_up_all(&m->inject.wait);
	ret = wait_event_killable_timeout(m->inject.wait,
					  atomic64_read(&m->inject.held) > nr,
					  usecs_to_jiffies(args->timeout_us));
	args->held = atomic64_read(&m->inject.held);
	if (ret < 0)
		return -EINTR;
	return ret ? 0 : -ETIMEDOUT;
}

/**
 * mirror_count_invalidation() - count a start or invalidate call
 * @m: the mirror.
 * @range: what it was called for.
 */
void mirror_count_invalidation(struct mirror *m,
			       const struct mmu_notifier_range *range)
{
	mirror_count(m, MIRROR_STAT_START);
	if (!mmu_notifier_range_blockable(range))
		mirror_count(m, MIRROR_STAT_NONBLOCK);
	if ((unsigned int)range->event < MMU_MIRROR_NR_EVENTS)
		mirror_count(m, MIRROR_STAT_EVENTS + range->event);
}

static u64 mirror_read_stat(struct mirror *m, enum mirror_stat stat, bool reset)
{
	if (reset)
		return atomic64_xchg(&m->stats[stat], 0);
	return atomic64_read(&m->stats[stat]);
}

/**
 * mirror_cmd_counters() - MMU_MIRROR_COUNTERS
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_counters.
 *
 * Return: 0 or -EINVAL.
 */
int mirror_cmd_counters(struct mirror *m, void *argp)
{
	struct mmu_mirror_counters *args = argp;
	bool reset = args->flags & MMU_MIRROR_RESET;
	unsigned int i;

	if (args->flags & ~MMU_MIRROR_RESET)
		return -EINVAL;

	for (i = 0; i < MMU_MIRROR_NR_EVENTS; i++)
		args->events[i] = mirror_read_stat(m, MIRROR_STAT_EVENTS + i,
						   reset);
	args->start = mirror_read_stat(m, MIRROR_STAT_START, reset);
	args->end = mirror_read_stat(m, MIRROR_STAT_END, reset);
	args->refused = mirror_read_stat(m, MIRROR_STAT_REFUSED, reset);
	args->release = mirror_read_stat(m, MIRROR_STAT_RELEASE, reset);
	args->young = mirror_read_stat(m, MIRROR_STAT_YOUNG, reset);
	args->nonblock = mirror_read_stat(m, MIRROR_STAT_NONBLOCK, reset);
	args->dropped = mirror_read_stat(m, MIRROR_STAT_DROPPED, reset);
	args->dirtied = mirror_read_stat(m, MIRROR_STAT_DIRTIED, reset);
	args->faults = mirror_read_stat(m, MIRROR_STAT_FAULTS, reset);
	args->replays = mirror_read_stat(m, MIRROR_STAT_REPLAYS, reset);
	args->accesses = mirror_read_stat(m, MIRROR_STAT_ACCESSES, reset);
	args->engine = mirror_read_stat(m, MIRROR_STAT_ENGINE, reset);
	args->engine_faults = mirror_read_stat(m, MIRROR_STAT_ENGINE_FAULTS,
					       reset);
	args->flushes = mirror_read_stat(m, MIRROR_STAT_FLUSHES, reset);
	args->unbalanced = mirror_read_stat(m, MIRROR_STAT_UNBALANCED, reset);

	args->folios = mirror_read_stat(m, MIRROR_STAT_FOLIOS, reset);
	args->overdue = mirror_read_stat(m, MIRROR_STAT_OVERDUE, reset);
	args->fenced = mirror_read_stat(m, MIRROR_STAT_FENCED, reset);
	args->ranges = mirror_read_stat(m, MIRROR_STAT_RANGES, reset);
	args->whole = mirror_read_stat(m, MIRROR_STAT_WHOLE, reset);

	args->in_flight = mmu_notifier_slots_nr_ranges(&m->shadow.slots) +
			  READ_ONCE(m->sva.in_flight) +
			  READ_ONCE(m->node.in_flight);
	args->mapped = READ_ONCE(m->nr_mapped);
	args->exported = READ_ONCE(m->node.nr_exported);
	return 0;
}

/**
 * mirror_cmd_inject() - MMU_MIRROR_INJECT
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_inject.
 *
 * Return: 0 or -EINVAL.
 */
int mirror_cmd_inject(struct mirror *m, void *argp)
{
	struct mmu_mirror_inject *args = argp;

	if (args->flags || args->reserved || args->reserved2 ||
	    args->start_delay_us > MIRROR_MAX_DELAY_US ||
	    args->end_delay_us > MIRROR_MAX_DELAY_US ||
	    args->flush_us > MIRROR_MAX_DELAY_US ||
	    (args->confirm_us > MIRROR_MAX_DELAY_US &&
	     args->confirm_us != MMU_MIRROR_NEVER) ||
	    args->patience_us > MIRROR_MAX_DELAY_US ||
	    args->hold_us > MIRROR_MAX_DELAY_US ||
	    args->refuse > INT_MAX || args->fail_point > INT_MAX ||
	    args->delay_at > ULONG_MAX)
		return -EINVAL;

	WRITE_ONCE(m->inject.delay_at, args->delay_at);
	/* (A): whoever is delayed by what is set here knows of what. */
	smp_store_release(&m->inject.start_delay_us, args->start_delay_us);
	smp_store_release(&m->inject.end_delay_us, args->end_delay_us); /* (A) */
	WRITE_ONCE(m->inject.flush_us, args->flush_us);
	WRITE_ONCE(m->inject.confirm_us, args->confirm_us);
	WRITE_ONCE(m->inject.patience_us, args->patience_us);
	WRITE_ONCE(m->inject.hold_us, args->hold_us);
	atomic_set(&m->inject.refuse, args->refuse);
	atomic_set(&m->inject.fail_point, args->fail_point);
	return 0;
}
