// SPDX-License-Identifier: GPL-2.0
/*
 * The life of an attachment.
 *
 *	attach	mm reference, live, subscribe
 *	window	drop all SPTEs, then move the subscription
 *	detach	stop the engine
 *		under the device lock: not live, drop all SPTEs
 *		unsubscribe, with no lock that a callback takes
 *		mm reference
 *
 * The device is dead to the world before its subscription ends, so there is
 * nothing to invalidate when there is nobody left to be told. The engine is
 * stopped first: it uses the subscription, and waits for nobody that waits for
 * the detach (see engine.c).
 *
 * The process may exit at any point: the core's release makes the mirror not
 * live and drops everything (R6), while the mirror stays attached until it is
 * detached or closed. Live goes from true to false once, under the device lock;
 * whoever is making an SPTE looks at it under that lock.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "mmu_mirror.h"

/**
 * mirror_may_use() - may the caller use the attachment?
 * @m: the mirror.
 *
 * Context: mirror.use held.
 *
 * Return: 0, -ENXIO, -ESHUTDOWN, -EHOSTDOWN or -EPERM.
 */
int mirror_may_use(struct mirror *m)
{
	if (!m->mm)
		return -ENXIO;
	/* A first look. Whoever makes an SPTE looks under the device lock. */
	if (!READ_ONCE(m->live))
		return READ_ONCE(m->node.fenced) ? -EHOSTDOWN : -ESHUTDOWN;
	if (m->user != current->mm)
		return -EPERM;
	return 0;
}

/**
 * mirror_pin_mm() - keep the mm from being torn down, for a fault, say
 * @m: the mirror.
 *
 * Context: mirror.use held, attached.
 *
 * Return: false if it is too late.
 */
bool mirror_pin_mm(struct mirror *m)
{
	return mmget_not_zero(m->mm);
}

/**
 * mirror_unpin_mm() - end what mirror_pin_mm() began
 * @m: the mirror.
 *
 * This may be the last user of a process that has exited meanwhile. What follows
 * calls back the mirror and is for somebody else to do.
 */
void mirror_unpin_mm(struct mirror *m)
{
	mmput_async(m->mm);
}

/**
 * mirror_get_use() - begin to use the attachment
 * @m: the mirror.
 *
 * Return: 0, -EINTR, or as mirror_may_use().
 */
int mirror_get_use(struct mirror *m)
{
	int ret;

	if (down_read_killable(&m->use))
		return -EINTR;
	ret = mirror_may_use(m);
	if (ret)
		up_read(&m->use);
	return ret;
}

/**
 * mirror_put_use() - end what mirror_get_use() began
 * @m: the mirror.
 */
void mirror_put_use(struct mirror *m)
{
	up_read(&m->use);
}

/* Addresses to page indexes, for a range within the caller's address space. */
static int mirror_parse_window(u64 start, u64 length, unsigned long *first,
			       unsigned long *last)
{
	u64 end;

	if (!PAGE_ALIGNED(start) || !PAGE_ALIGNED(length) || !length)
		return -EINVAL;
	if (check_add_overflow(start, length, &end) ||
	    end > current->mm->task_size)
		return -EOVERFLOW;

	*first = start >> PAGE_SHIFT;
	*last = (end >> PAGE_SHIFT) - 1;
	return 0;
}

/**
 * mirror_parse_range() - understand a range given by user space
 * @m: the mirror.
 * @start: its first address.
 * @length: its length; if both are 0, it is the window.
 * @first: out: index of the first page.
 * @last: out: index of the last page.
 *
 * Context: mirror.use held; the caller's mm is the mirror's.
 *
 * Return: 0, -EINVAL or -EOVERFLOW.
 */
int mirror_parse_range(struct mirror *m, u64 start, u64 length,
		       unsigned long *first, unsigned long *last)
{
	if (start || length)
		return mirror_parse_window(start, length, first, last);

	*first = m->first;
	*last = m->last;
	return 0;
}

/* Drop all SPTEs. From then on the window is this one, and live says so. */
static void mirror_reset(struct mirror *m, unsigned long first,
			 unsigned long last, bool live)
{
	if (m->ops->unmap)
		m->ops->unmap(m);
	m->ops->lock(m);
	m->first = first;
	m->last = last;
	/* It may have died meanwhile, and stays dead. */
	if (!live)
		WRITE_ONCE(m->live, false);
	mirror_table_evict(m, 0, ULONG_MAX, true);
	m->ops->unlock(m);
}

static void mirror_set_subscribed(struct mirror *m, bool subscribed)
{
	m->ops->lock(m);
	WRITE_ONCE(m->subscribed, subscribed);
	WRITE_ONCE(m->live, subscribed);
	m->ops->unlock(m);
}

static void mirror_forget_mm(struct mirror *m)
{
	mirror_set_subscribed(m, false);
	mmu_notifier_slots_init(&m->shadow.slots);
	m->sva.in_flight = 0;
	mmdrop(m->mm);
	mmdrop(m->user);
	m->mm = NULL;
	m->user = NULL;
	m->ops = NULL;
	m->node.fenced = false;
}

static const struct mirror_personality *const mirror_personalities[] = {
	[MMU_MIRROR_SHADOW] = &mirror_shadow_ops,
	[MMU_MIRROR_SVM] = &mirror_svm_ops,
	[MMU_MIRROR_SVA] = &mirror_sva_ops,
	[MMU_MIRROR_EXPORT] = &mirror_export_ops,
	[MMU_MIRROR_REGCACHE] = &mirror_regcache_ops,
};

/**
 * mirror_attach() - begin an attachment
 * @m: the mirror.
 * @ops: its personality.
 * @mm: what to attach it to.
 * @first: index of the first page of the window.
 * @last: index of the last page.
 *
 * Who calls it is who may use it.
 *
 * Context: mirror.use held for writing; the caller has a reference to @mm.
 *
 * Return: 0 or an error; then nothing is attached.
 */
int mirror_attach(struct mirror *m, const struct mirror_personality *ops,
		  struct mm_struct *mm, unsigned long first,
		  unsigned long last)
{
	int ret;

	if (m->mm)
		return -EBUSY;
	if (mirror_should_fail(m))
		return -ENOMEM;

	m->mm = mm;
	mmgrab(m->mm);
	m->user = current->mm;
	mmgrab(m->user);
	m->ops = ops;
	m->first = first;
	m->last = last;
	/* Callbacks may come before subscribe returns. */
	mirror_set_subscribed(m, true);

	ret = ops->subscribe(m, first << PAGE_SHIFT,
			     (last - first + 1) << PAGE_SHIFT);
	if (ret)
		mirror_forget_mm(m);
	return ret;
}

/**
 * mirror_cmd_attach() - MMU_MIRROR_ATTACH
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_attach.
 *
 * Context: mirror.use held for writing.
 *
 * Return: 0 or an error; then nothing is attached.
 */
int mirror_cmd_attach(struct mirror *m, void *argp)
{
	struct mmu_mirror_attach *args = argp;
	unsigned long first, last;
	int ret;

	if (args->flags || args->reserved)
		return -EINVAL;
	if (args->personality >= ARRAY_SIZE(mirror_personalities) ||
	    !mirror_personalities[args->personality])
		return -EOPNOTSUPP;
	ret = mirror_parse_window(args->start, args->length, &first, &last);
	if (ret)
		return ret;
	return mirror_attach(m, mirror_personalities[args->personality],
			     current->mm, first, last);
}

/**
 * mirror_detach() - end an attachment
 * @m: the mirror.
 *
 * Context: may sleep; mirror.use held for writing, or nobody else has the mirror.
 *
 * Return: how long ending the subscription took, in microseconds.
 */
u64 mirror_detach(struct mirror *m)
{
	ktime_t begin;
	u64 wait_us;

	mirror_engine_stop(m);
	mirror_reset(m, m->first, m->last, false);

	begin = ktime_get();
	m->ops->unsubscribe(m);
	wait_us = ktime_us_delta(ktime_get(), begin);

	mirror_forget_mm(m);
	return wait_us;
}

/**
 * mirror_cmd_detach() - MMU_MIRROR_DETACH
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_detach.
 *
 * Context: mirror.use held for writing; attached.
 *
 * Return: 0 or -EINVAL.
 */
int mirror_cmd_detach(struct mirror *m, void *argp)
{
	struct mmu_mirror_detach *args = argp;

	if (args->flags)
		return -EINVAL;
	args->wait_us = mirror_detach(m);
	return 0;
}

/**
 * mirror_cmd_window() - MMU_MIRROR_WINDOW
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_window.
 *
 * Context: mirror.use held for writing; the caller's mm is the mirror's.
 *
 * Return: 0 or an error; then the window is the old one.
 */
int mirror_cmd_window(struct mirror *m, void *argp)
{
	struct mmu_mirror_window *args = argp;
	unsigned long old_first = m->first;
	unsigned long old_last = m->last;
	unsigned long first, last;
	int ret;

	if (args->flags)
		return -EINVAL;
	ret = mirror_parse_window(args->start, args->length, &first, &last);
	if (ret)
		return ret;
	if (mirror_should_fail(m))
		return -ENOMEM;

	/* Nobody makes SPTEs while mirror.use is held for writing. */
	mirror_reset(m, first, last, true);
	ret = m->ops->move(m, args->start, args->length);
	if (ret)
		mirror_reset(m, old_first, old_last, true);
	return ret;
}
