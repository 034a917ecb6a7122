// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor: a watch, and what changes do to it.
 *
 * The generation word is odd while the watch is *busy*: from its being made, and
 * from the start of each range that concerns it, until none is in flight any more.
 * Then it is even, and greater than ever before. The core says when:
 * mm/mmu_notifier_settle.c.
 *
 * Who uses the memory reads the word, finds out what the memory is (has pages
 * pinned, say), and reads the word again: if it is the same even number, what has
 * been found out is true, and remains true for as long as the word stays so.
 *
 *	change					user
 *	word = odd				load word: even
 *	smp_wmb()	(A)			what is the memory?
 *	page table changes			load word: the same?
 *	word = even	release (B)
 *
 * (B) pairs with the user's load of an even word, an acquire: what is found out
 * after it is no older than the change that ended with it. A change that began
 * before the user's second load makes it fail; one that began later has made the
 * word odd before the system call that made the change returned, and (A) before
 * anybody could see the new page. The latter needs an acquire of whoever looks at
 * the memory first and at the word afterwards.
 *
 * None of this allocates, sleeps, or is put off: invalidate is the same for ranges
 * that may not sleep.
 */

#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>

#include "mmu_monitor.h"

/* Watches that are removed in one go, waiting once. */
#define WATCH_BATCH	32

static struct kmem_cache *watch_cache;

int watch_init(void)
{
	watch_cache = kmem_cache_create("mmu_monitor_watch", sizeof(struct watch),
					0, SLAB_ACCOUNT, NULL);
	return watch_cache ? 0 : -ENOMEM;
}

void watch_exit(void)
{
	kmem_cache_destroy(watch_cache);
}

/*
 * What user space may notice of a range. For one that does not say, everything
 * that its event allows for.
 */
static u32 watch_classes(const struct mmu_notifier_range *range)
{
	unsigned int flags = range->flags;

	if (flags & MMU_NOTIFIER_RANGE_KEEP)
		return 0;
	if (flags & MMU_NOTIFIER_RANGE_DROP)
		return MMU_MONITOR_DROPPED;
	if (flags & MMU_NOTIFIER_RANGE_MOVE)
		return MMU_MONITOR_UNMAPPED;
	if (flags & MMU_NOTIFIER_RANGE_REPLACE)
		return range->event == MMU_NOTIFY_PROTECTION_VMA ?
			MMU_MONITOR_REPLACED | MMU_MONITOR_PROTECTED :
			MMU_MONITOR_REPLACED;
	if (flags & MMU_NOTIFIER_RANGE_FORK)
		return MMU_MONITOR_FORKED;

	switch (range->event) {
	case MMU_NOTIFY_UNMAP:
	case MMU_NOTIFY_RELEASE:
		return MMU_MONITOR_UNMAPPED;
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
		return MMU_MONITOR_PROTECTED;
	case MMU_NOTIFY_MIGRATE:
		return MMU_MONITOR_REPLACED;
	case MMU_NOTIFY_SOFT_DIRTY:
	case MMU_NOTIFY_EXCLUSIVE:
		/* Bookkeeping of the kernel's: page and rights stay. */
		return 0;
	case MMU_NOTIFY_CLEAR:
		break;
	}
	return MMU_MONITOR_UNMAPPED | MMU_MONITOR_DROPPED |
	       MMU_MONITOR_REPLACED;
}

static bool watch_concerns(const struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range)
{
	const struct watch *watch = container_of(sub, struct watch, sub);

	return range->event == MMU_NOTIFY_RELEASE ||
	       watch->classes & watch_classes(range);
}

/* From here on the word is odd, until watch_settled() at least. */
static void watch_busy(struct watch *watch)
{
	lockdep_assert_held(&watch->lock);

	WRITE_ONCE(*watch->word, *watch->word | 1);
}

static bool watch_invalidate(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	struct watch *watch = container_of(sub, struct watch, sub);
	bool wake = false;

	spin_lock(&watch->lock);
	watch_busy(watch);
	if (unlikely(range->event == MMU_NOTIFY_RELEASE)) {
		monitor_mm_gone(watch->monitor);
	} else if (!(watch->flags & MMU_MONITOR_QUIET) && !watch->fired) {
		wake = event_add(watch, watch->classes & watch_classes(range),
				 max(range->start, sub->interval_tree.start),
				 min(range->end - 1, sub->interval_tree.last));
		watch->fired = watch->flags & MMU_MONITOR_ONESHOT && watch->news;
	}
	spin_unlock(&watch->lock);

	smp_wmb();	/* (A) */
	if (wake)
		event_wake(watch->monitor);
	return true;
}

static void watch_settled(struct mmu_interval_notifier *sub)
{
	struct watch *watch = container_of(sub, struct watch, sub);

	spin_lock(&watch->lock);
	if (likely(!watch->removed && !READ_ONCE(watch->monitor->ended)))
		smp_store_release(watch->word, *watch->word + 1);	/* (B) */
	spin_unlock(&watch->lock);
}

static const struct mmu_interval_notifier_ops watch_ops = {
	.invalidate = watch_invalidate,
	.settled = watch_settled,
	.concerns = watch_concerns,
};

/* Take a number, and with it a word, for a watch that is not there yet. */
static int watch_number(struct monitor *monitor, struct watch *watch)
{
	int ret;

	ret = mutex_lock_killable(&monitor->lock);
	if (ret)
		return ret;
	ret = xa_alloc(&monitor->watches, &watch->number, NULL,
		       XA_LIMIT(MONITOR_FIRST_WORD,
				MONITOR_FIRST_WORD + monitor_max_watches - 1),
		       MONITOR_GFP);
	if (ret) {
		ret = ret == -EBUSY ? -ENOSPC : ret;
		goto out_unlock;
	}
	watch->word = area_word(monitor, watch->number);
	if (!watch->word) {
		xa_erase(&monitor->watches, watch->number);
		ret = -ENOMEM;
	}
out_unlock:
	mutex_unlock(&monitor->lock);
	return ret;
}

static void watch_free(struct watch *watch)
{
	if (watch->ucounts)
		dec_ucount(watch->ucounts, UCOUNT_MMU_MONITOR_WATCHES);
	kmem_cache_free(watch_cache, watch);
}

/* The watch has no subscription any more, or never had one. */
static void watch_put(struct watch *watch)
{
	struct monitor *monitor = watch->monitor;

	mutex_lock(&monitor->lock);
	event_drop(watch);
	xa_erase(&monitor->watches, watch->number);
	mutex_unlock(&monitor->lock);
	watch_free(watch);
}

/* No change will be noticed from here on, so nothing is valid. */
static void watch_end(struct watch *watch)
{
	spin_lock(&watch->lock);
	watch->removed = true;
	watch_busy(watch);
	spin_unlock(&watch->lock);
}

static int watch_check(const struct mmu_monitor_watch *args,
		       unsigned long *start, unsigned long *end)
{
	u64 behind;

	if (!args->length || !args->classes ||
	    args->classes & ~MMU_MONITOR_CLASSES || args->reserved ||
	    args->flags & ~(MMU_MONITOR_ONESHOT | MMU_MONITOR_QUIET))
		return -EINVAL;
	if (check_add_overflow(args->address, args->length, &behind) ||
	    behind > TASK_SIZE)
		return -EOVERFLOW;
	*start = args->address & PAGE_MASK;
	*end = PAGE_ALIGN(behind);
	return 0;
}

/**
 * watch_add() - MMU_MONITOR_WATCH
 * @monitor: the monitor, of the current mm.
 * @args: what to watch; word and generation are filled in.
 *
 * Does not wait for changes that are going on: the generation is odd then.
 *
 * Context: may sleep; takes mmap_lock if this is the mm's first subscription.
 *
 * Return: 0; -EINVAL for flags, classes or a length that make no sense; -EOVERFLOW
 * if the range is not within the address space; -ENOSPC if the monitor has all the
 * watches it can have; -EUSERS if the user has; -ENOMEM; -EINTR if a fatal signal
 * is pending.
 */
int watch_add(struct monitor *monitor, struct mmu_monitor_watch *args)
{
	unsigned long start, end;
	struct watch *watch;
	int ret;

	ret = watch_check(args, &start, &end);
	if (ret)
		return ret;

	watch = kmem_cache_zalloc(watch_cache, MONITOR_GFP);
	if (!watch)
		return -ENOMEM;
	watch->monitor = monitor;
	watch->classes = args->classes;
	watch->flags = args->flags;
	watch->cookie = args->cookie;
	spin_lock_init(&watch->lock);
	INIT_LIST_HEAD(&watch->ready);
	watch->ucounts = inc_ucount(current_user_ns(), current_euid(),
				    UCOUNT_MMU_MONITOR_WATCHES);
	if (!watch->ucounts) {
		ret = -EUSERS;
		goto err_free;
	}
	ret = watch_number(monitor, watch);
	if (ret)
		goto err_free;

	/* A word that was used before has been left odd, a new one is 0. */
	WRITE_ONCE(*watch->word, *watch->word | 1);
	ret = mmu_interval_notifier_insert(&watch->sub, monitor->mm, start,
					   end - start, &watch_ops);
	if (ret) {
		watch_put(watch);
		return ret;
	}
	atomic64_inc(monitor_counter(&monitor->area->watches));
	args->word = watch_offset(watch);
	args->generation = READ_ONCE(*watch->word);

	/* Now others may find it. The entry is there, so nothing is allocated. */
	xa_store(&monitor->watches, watch->number, watch, GFP_KERNEL);
	return 0;

err_free:
	watch_free(watch);
	return ret;
}

/* Wait for the callbacks of up to WATCH_BATCH watches, and free them. */
static void watch_remove_some(struct monitor *monitor, struct watch **watches,
			      unsigned int nr)
{
	struct mmu_interval_notifier *subs[WATCH_BATCH];
	unsigned int i;

	for (i = 0; i < nr; i++) {
		watch_end(watches[i]);
		subs[i] = &watches[i]->sub;
	}
	mmu_interval_notifier_remove_batch(subs, nr, NULL);
	for (i = 0; i < nr; i++) {
		atomic64_dec(monitor_counter(&monitor->area->watches));
		watch_put(watches[i]);
	}
}

/* The watch that is named, and monitor.lock held; or an error, and not held. */
static struct watch *watch_find_lock(struct monitor *monitor,
				     const struct mmu_monitor_word *args)
{
	u64 number = args->word / sizeof(u64);
	struct watch *watch = NULL;
	int ret;

	if (args->flags)
		return ERR_PTR(-EINVAL);
	ret = mutex_lock_killable(&monitor->lock);
	if (ret)
		return ERR_PTR(ret);
	if (args->word % sizeof(u64) == 0 && number <= U32_MAX)
		watch = xa_load(&monitor->watches, number);
	if (watch)
		return watch;
	mutex_unlock(&monitor->lock);
	return ERR_PTR(-ENOENT);
}

/* From here on the watch is the caller's. */
static void watch_claim(struct monitor *monitor, const struct watch *watch)
{
	lockdep_assert_held(&monitor->lock);

	/* The entry remains, so nothing is allocated, and the number taken. */
	xa_store(&monitor->watches, watch->number, NULL, GFP_KERNEL);
}

/**
 * watch_remove() - MMU_MONITOR_UNWATCH
 * @monitor: the monitor, of the current mm.
 * @args: which watch.
 *
 * Waits for changes of the range that are going on.
 *
 * Context: may sleep.
 *
 * Return: 0; -EINVAL for unknown flags; -ENOENT if there is no such watch; -EINTR
 * if a fatal signal is pending.
 */
int watch_remove(struct monitor *monitor, struct mmu_monitor_word *args)
{
	struct watch *watch = watch_find_lock(monitor, args);

	if (IS_ERR(watch))
		return PTR_ERR(watch);
	watch_claim(monitor, watch);
	mutex_unlock(&monitor->lock);

	watch_remove_some(monitor, &watch, 1);
	return 0;
}

/**
 * watch_rearm() - MMU_MONITOR_REARM
 * @monitor: the monitor, of the current mm.
 * @args: which watch; generation is filled in.
 *
 * Forgets an event that was not read, and has the next change make one again. The
 * generation is read afterwards: what changes later makes an event.
 *
 * Context: may sleep.
 *
 * Return: as watch_remove().
 */
int watch_rearm(struct monitor *monitor, struct mmu_monitor_word *args)
{
	struct watch *watch = watch_find_lock(monitor, args);

	if (IS_ERR(watch))
		return PTR_ERR(watch);
	event_drop(watch);
	spin_lock(&watch->lock);
	watch->fired = watch->flags & MMU_MONITOR_ONESHOT && watch->news;
	args->generation = *watch->word;
	spin_unlock(&watch->lock);
	mutex_unlock(&monitor->lock);
	return 0;
}

/**
 * watch_remove_all() - remove the watches there are
 * @monitor: the monitor; those made meanwhile may remain.
 *
 * Context: may sleep.
 */
void watch_remove_all(struct monitor *monitor)
{
	struct watch *watches[WATCH_BATCH], *watch;
	unsigned long number = 0;
	unsigned int nr;

	do {
		nr = 0;
		mutex_lock(&monitor->lock);
		xa_for_each_start(&monitor->watches, number, watch, number) {
			watch_claim(monitor, watch);
			watches[nr++] = watch;
			if (nr == WATCH_BATCH)
				break;
		}
		mutex_unlock(&monitor->lock);
		watch_remove_some(monitor, watches, nr);
		cond_resched();
	} while (nr == WATCH_BATCH);
}
