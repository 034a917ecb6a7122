// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_monitor: the queue of events.
 *
 * An event has no memory of its own: it is in the watch that has changed, and the
 * watch is in the queue, once, however often it changes until the event is read.
 * So the queue never gets longer than there are watches, and adding to it takes no
 * lock but the watch's: callbacks add to a lockless list, and readers move what
 * they find there to a list of theirs.
 *
 * A watch is in one of the two lists if and only if news is not 0. Whoever sets it
 * adds the watch; news is taken, under watch.lock, by who has taken the watch off
 * the reader's list before, under monitor.lock.
 */

#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/uaccess.h>

#include "mmu_monitor.h"

/* False: the queue is as long as the user wants it. */
static bool event_claim(struct monitor *monitor)
{
	u64 max = READ_ONCE(monitor->max_events);
	s64 pending;

	pending = atomic64_inc_return(monitor_counter(&monitor->area->pending));
	if (!max || pending <= max)
		return true;
	atomic64_dec(monitor_counter(&monitor->area->pending));
	return false;
}

static void event_count(struct monitor *monitor)
{
	atomic64_inc(monitor_counter(&monitor->area->events));
}

static void event_taken(struct monitor *monitor)
{
	atomic64_dec(monitor_counter(&monitor->area->pending));
}

/* Not of anybody's. Counts as pending beyond the limit, as it has to fit. */
static bool event_add_overflow(struct monitor *monitor)
{
	if (xchg(&monitor->overflow, 1))
		return false;
	atomic64_inc(monitor_counter(&monitor->area->overflows));
	atomic64_inc(monitor_counter(&monitor->area->pending));
	event_count(monitor);
	return true;
}

static void event_widen(struct watch *watch, unsigned long first,
			unsigned long last)
{
	watch->first = min(watch->first, first);
	watch->last = max(watch->last, last);
}

/**
 * event_add() - a watch has changed
 * @watch: the watch, its lock held.
 * @classes: MMU_MONITOR_*, not 0.
 * @first: first address that has changed, in bytes.
 * @last: last one (inclusive).
 *
 * Context: any that callbacks run in.
 *
 * Return: true if event_wake() is to be called, without the lock.
 */
bool event_add(struct watch *watch, u32 classes, unsigned long first,
	       unsigned long last)
{
	struct monitor *monitor = watch->monitor;

	lockdep_assert_held(&watch->lock);

	if (watch->news) {
		watch->news |= classes;
		event_widen(watch, first, last);
		return false;
	}
	if (!event_claim(monitor))
		return event_add_overflow(monitor);

	watch->news = classes;
	watch->first = first;
	watch->last = last;
	event_count(monitor);
	llist_add(&watch->changed, &monitor->changed);
	return true;
}

/**
 * event_wake() - tell those who wait that there is an event
 * @monitor: the monitor.
 *
 * Context: does not sleep.
 */
void event_wake(struct monitor *monitor)
{
	struct eventfd_ctx *eventfd;

	if (wq_has_sleeper(&monitor->wq))
		wake_up_interruptible_poll(&monitor->wq, EPOLLIN | EPOLLRDNORM);

	rcu_read_lock();
	eventfd = rcu_dereference(monitor->eventfd);
	if (eventfd)
		eventfd_signal(eventfd);
	rcu_read_unlock();
}

/* Move what has changed to the reader's list, in the order of changing. */
static void event_collect(struct monitor *monitor)
{
	struct llist_node *changed = llist_del_all(&monitor->changed);
	struct watch *watch, *next;

	lockdep_assert_held(&monitor->lock);

	changed = llist_reverse_order(changed);
	llist_for_each_entry_safe(watch, next, changed, changed)
		list_add_tail(&watch->ready, &monitor->ready);
}

/**
 * event_drop() - forget the event of a watch, if there is one
 * @watch: the watch; monitor.lock held.
 */
void event_drop(struct watch *watch)
{
	struct monitor *monitor = watch->monitor;

	event_collect(monitor);
	spin_lock(&watch->lock);
	/* If it is being added just now, it came later than what is forgotten. */
	if (watch->news && !list_empty(&watch->ready)) {
		list_del_init(&watch->ready);
		watch->news = 0;
		event_taken(monitor);
	}
	spin_unlock(&watch->lock);
}

/**
 * event_drop_overflow() - forget that events did not fit
 * @monitor: the monitor.
 */
void event_drop_overflow(struct monitor *monitor)
{
	if (xchg(&monitor->overflow, 0))
		event_taken(monitor);
}

/**
 * event_pending() - is there something to be read?
 * @monitor: the monitor.
 *
 * Return: true if so.
 */
bool event_pending(struct monitor *monitor)
{
	/* Not the counter: it is ahead of the lists for a moment. */
	return READ_ONCE(monitor->overflow) || !llist_empty(&monitor->changed) ||
	       !list_empty(&monitor->ready);
}

static int event_copy(char __user *buf, const struct mmu_monitor_event *event)
{
	return copy_to_user(buf, event, sizeof(*event)) ? -EFAULT : 0;
}

static int event_read_overflow(struct monitor *monitor, char __user *buf)
{
	const struct mmu_monitor_event event = {
		.size = sizeof(event),
		.type = MMU_MONITOR_OVERFLOW,
		.classes = MMU_MONITOR_CLASSES,
	};
	int ret = event_copy(buf, &event);

	/* What overflows while it is copied is told of by this one. */
	if (!ret)
		event_drop_overflow(monitor);
	return ret;
}

/* The first watch of the reader's list; if the user cannot be told, put it back. */
static int event_read_watch(struct monitor *monitor, char __user *buf)
{
	struct watch *watch = list_first_entry(&monitor->ready, struct watch,
					       ready);
	struct mmu_monitor_event event = {
		.size = sizeof(event),
		.type = MMU_MONITOR_CHANGED,
		.cookie = watch->cookie,
		.word = watch_offset(watch),
	};
	unsigned long first, last;
	int ret;

	list_del_init(&watch->ready);
	spin_lock(&watch->lock);
	event.classes = watch->news;
	first = watch->first;
	last = watch->last;
	watch->news = 0;
	spin_unlock(&watch->lock);
	event.address = first;
	event.length = last - first + 1;

	ret = event_copy(buf, &event);
	if (!ret) {
		event_taken(monitor);
		return 0;
	}

	spin_lock(&watch->lock);
	if (watch->news) {
		/* It has changed again, and been added again. */
		watch->news |= event.classes;
		event_widen(watch, first, last);
		event_taken(monitor);
	} else {
		watch->news = event.classes;
		watch->first = first;
		watch->last = last;
		list_add(&watch->ready, &monitor->ready);
	}
	spin_unlock(&watch->lock);
	return ret;
}

/* Returns the bytes read, 0 if there is no event, or an error. */
static ssize_t event_read_some(struct monitor *monitor, char __user *buf,
			       size_t count)
{
	size_t done = 0;
	int ret = 0;

	event_collect(monitor);
	while (!ret && count - done >= sizeof(struct mmu_monitor_event)) {
		if (READ_ONCE(monitor->overflow))
			ret = event_read_overflow(monitor, buf + done);
		else if (!list_empty(&monitor->ready))
			ret = event_read_watch(monitor, buf + done);
		else
			break;
		if (!ret)
			done += sizeof(struct mmu_monitor_event);
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return done ?: ret;
}

/**
 * event_read() - read(): events as they come
 * @monitor: the monitor, of the current mm.
 * @buf: where to.
 * @count: its size, in bytes.
 * @block: wait for the first one.
 *
 * Nothing is lost if the user's memory is not there: what could not be copied is
 * still to be read.
 *
 * Context: may sleep.
 *
 * Return: the number of bytes, whole events; -EINVAL if not even one fits; -EAGAIN
 * if there is none and @block is false; -EFAULT; -ERESTARTSYS if a signal came.
 */
ssize_t event_read(struct monitor *monitor, char __user *buf, size_t count,
		   bool block)
{
	ssize_t ret;

	if (count < sizeof(struct mmu_monitor_event))
		return -EINVAL;
	for (;;) {
		ret = mutex_lock_interruptible(&monitor->lock);
		if (ret)
			return -ERESTARTSYS;
		ret = event_read_some(monitor, buf, count);
		mutex_unlock(&monitor->lock);
		if (ret)
			return ret;
		if (!block)
			return -EAGAIN;
		ret = wait_event_interruptible(monitor->wq,
					       event_pending(monitor));
		if (ret)
			return ret;
	}
}

/**
 * event_config() - MMU_MONITOR_CONFIG
 * @monitor: the monitor.
 * @args: what is to be set.
 *
 * Context: may sleep.
 *
 * Return: 0; -EINVAL for unknown flags, for something reserved, or if the
 * descriptor is no eventfd; -EBADF if it is none at all.
 */
int event_config(struct monitor *monitor, const struct mmu_monitor_config *args)
{
	struct eventfd_ctx *eventfd = NULL, *old;

	if (args->flags & ~(MMU_MONITOR_EVENTFD | MMU_MONITOR_MAX_EVENTS) ||
	    args->reserved)
		return -EINVAL;

	if (args->flags & MMU_MONITOR_EVENTFD && args->eventfd != -1) {
		eventfd = eventfd_ctx_fdget(args->eventfd);
		if (IS_ERR(eventfd))
			return PTR_ERR(eventfd);
	}
	mutex_lock(&monitor->lock);
	if (args->flags & MMU_MONITOR_MAX_EVENTS)
		WRITE_ONCE(monitor->max_events, args->max_events);
	if (!(args->flags & MMU_MONITOR_EVENTFD)) {
		mutex_unlock(&monitor->lock);
		return 0;
	}
	old = rcu_replace_pointer(monitor->eventfd, eventfd,
				  lockdep_is_held(&monitor->lock));
	mutex_unlock(&monitor->lock);
	if (old) {
		synchronize_rcu();
		eventfd_ctx_put(old);
	}
	/* What happened before shall not be slept over. */
	if (eventfd && event_pending(monitor))
		eventfd_signal(eventfd);
	return 0;
}
