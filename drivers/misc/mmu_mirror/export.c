// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `export`: an address space that other nodes use, as with XPMEM.
 *
 * An *exporter* is attached to its own mm. Whoever has its file may *import* the
 * window. Importers, and the exporter for its own accesses, are *nodes*: each has
 * a table of its own, which nobody else touches (see node.c). So nothing can be
 * dropped from here. It is *revoked*: the nodes that hold it are asked, and
 * *confirm* by dropping it. This file is about asking.
 *
 * What changes in the mm is heard of in two ways:
 *
 *	ranges		a list subscription, as a hypervisor's, with the ranges
 *			in flight in slots
 *	folios		the exporter is one of <linux/mmu_rmap_notifier.h>
 *
 * A range that is a step of a walk over a folio (MMU_NOTIFIER_RANGE_RMAP) goes
 * into the slots and no further. Whoever waits for confirmation in it holds rmap
 * locks; the walk's callback for the folio comes later, without. Of a page that
 * cannot be exported (hugetlb, say) no such callback comes, so as long as any
 * node holds one, these ranges are treated like the others.
 *
 * Revoking, by a callback:
 *
 *	export.lock	into the list of revocations, and ask the nodes that
 *			hold something of it
 *	wait		until no node does
 *	export.lock	out of the list
 *
 * Nothing comes back meanwhile: a fault installs under export.lock, if no range
 * that overlaps is in flight (R3), and with the folio locked, as it is in the
 * folio's callbacks. So "holds nothing" can be asked again and again, and no
 * answer has to be counted. Nothing is allocated either (R10).
 *
 * A node that does not confirm in time:
 *
 *	a folio is wanted	-EBUSY. The core keeps the folio, the node makes
 *				up for it when it comes back (`overdue`). Until
 *				then it is not waited for by other folios.
 *	a range, release,	the node is *fenced*: its table is emptied
 *	detach			without it, and it is refused from then on. These
 *				callbacks cannot fail.
 *	a range that must	-EAGAIN, before anything has begun (R5), if any
 *	not sleep		node would have to be asked.
 *
 * The subscription ends with the exporter's attachment. The rest stays as long as
 * there are nodes, which find it dead.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_rmap_notifier.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mmu_mirror.h"

static unsigned int confirm_ms = 2000;
module_param(confirm_ms, uint, 0644);
MODULE_PARM_DESC(confirm_ms,
		 "how long nodes may take to confirm a revocation, in ms");

static void export_free(struct kref *ref)
{
	struct mirror_export *e = container_of(ref, struct mirror_export, ref);

	WARN_ON_ONCE(!list_empty(&e->nodes));
	mmdrop(e->mm);
	kfree(e);
}

/**
 * mirror_export_put() - give up a reference
 * @e: the export.
 */
void mirror_export_put(struct mirror_export *e)
{
	kref_put(&e->ref, export_free);
}

/* Revoking */

static bool export_held(struct mirror_export *e,
			const struct mirror_revocation *r)
{
	struct mirror *m;

	list_for_each_entry(m, &e->nodes, node.list) {
		if (mirror_node_holds(m, r))
			return true;
	}
	return false;
}

/* For a folio nobody waits who has been waited for in vain and not been back. */
static bool export_is_confirmed(struct mirror_export *e,
				const struct mirror_revocation *r)
{
	bool confirmed = true;
	struct mirror *m;

	spin_lock(&e->lock);
	list_for_each_entry(m, &e->nodes, node.list) {
		if (r->folio && m->node.overdue)
			continue;
		if (mirror_node_holds(m, r)) {
			confirmed = false;
			break;
		}
	}
	spin_unlock(&e->lock);
	return confirmed;
}

/* Returns whether anybody was asked. */
static bool export_ask(struct mirror_export *e, struct mirror_revocation *r)
{
	bool asked = false;
	struct mirror *m;

	spin_lock(&e->lock);
	list_add_tail(&r->list, &e->revocations);
	list_for_each_entry(m, &e->nodes, node.list) {
		if (mirror_node_holds(m, r)) {
			mirror_node_ask(m);
			asked = true;
		}
	}
	spin_unlock(&e->lock);
	return asked;
}

static bool export_wait(struct mirror_export *e,
			const struct mirror_revocation *r)
{
	u32 us = READ_ONCE(e->owner->inject.patience_us);
	unsigned long jiffies = us ? usecs_to_jiffies(us) :
				     msecs_to_jiffies(READ_ONCE(confirm_ms));

	return wait_event_timeout(e->confirmed, export_is_confirmed(e, r),
				  jiffies);
}

/* Some node that holds something, and is fenced for it. Stays until it is put. */
static struct mirror *export_get_holder(struct mirror_export *e,
					const struct mirror_revocation *r)
{
	struct mirror *m, *holder = NULL;
	bool first = false;

	spin_lock(&e->lock);
	list_for_each_entry(m, &e->nodes, node.list) {
		if (mirror_node_holds(m, r)) {
			holder = m;
			holder->node.users++;
			first = !holder->node.fencing;
			holder->node.fencing = true;
			break;
		}
	}
	spin_unlock(&e->lock);

	if (first) {
		mirror_count(e->owner, MIRROR_STAT_FENCED);
		pr_warn_ratelimited("a node did not confirm a revocation in time, and is fenced\n");
	}
	return holder;
}

static void export_put_holder(struct mirror_export *e, struct mirror *m)
{
	spin_lock(&e->lock);
	WRITE_ONCE(m->node.users, m->node.users - 1);
	/* Under the lock: it may go as soon as it is released. */
	wake_up_all(&e->confirmed);
	spin_unlock(&e->lock);
}

/* The revocation is complete upon return. */
static void export_fence(struct mirror_export *e,
			 const struct mirror_revocation *r)
{
	struct mirror *m;

	while ((m = export_get_holder(e, r))) {
		mirror_node_fence(m);
		wait_event(e->confirmed, !mirror_node_holds(m, r));
		export_put_holder(e, m);
	}
}

/* The end of a revocation; of a folio that is still held, for now. */
static bool export_end(struct mirror_export *e, struct mirror_revocation *r)
{
	bool overdue = false;
	struct mirror *m;

	spin_lock(&e->lock);
	list_del(&r->list);
	list_for_each_entry(m, &e->nodes, node.list) {
		if (mirror_node_holds(m, r)) {
			m->node.overdue = true;
			overdue = true;
		}
	}
	spin_unlock(&e->lock);
	return !overdue;
}

/* Returns false if a folio could not be had. A range always can. */
static bool export_revoke(struct mirror_export *e, struct mirror_revocation *r)
{
	if (export_ask(e, r) && !export_wait(e, r) && !r->folio)
		export_fence(e, r);
	return export_end(e, r);
}

static void export_revoke_range(struct mirror_export *e, unsigned long first,
				unsigned long last)
{
	struct mirror_revocation r = { .first = first, .last = last };

	export_revoke(e, &r);
}

/* Nothing is held by anybody any more, or will be. */
static void export_kill(struct mirror_export *e)
{
	struct mirror *m;

	spin_lock(&e->lock);
	e->dead = true;
	list_for_each_entry(m, &e->nodes, node.list)
		WRITE_ONCE(m->live, false);
	spin_unlock(&e->lock);

	export_revoke_range(e, 0, ULONG_MAX);
}

/* Ranges */

static struct mirror_export *export_of_sub(struct mmu_notifier *sub)
{
	return container_of(sub, struct mirror_export, sub);
}

/* R6, and a sanity check that every callback makes under the lock. */
static void export_check_subscribed(struct mirror_export *e)
{
	if (!READ_ONCE(e->owner->subscribed))
		mirror_count(e->owner, MIRROR_STAT_UNBALANCED);
}

static void export_count_ranges(struct mirror_export *e)
{
	WRITE_ONCE(e->owner->node.in_flight,
		   mmu_notifier_slots_nr_ranges(&e->slots));
}

/* Is this range's revocation left to the callback for a folio? */
static bool export_is_rmap_step(struct mirror_export *e,
				const struct mmu_notifier_range *range)
{
	return (range->flags & MMU_NOTIFIER_RANGE_RMAP) &&
	       !atomic_long_read(&e->nr_plain);
}

static int export_start(struct mmu_notifier *sub,
			const struct mmu_notifier_range *range)
{
	bool may_sleep = mmu_notifier_range_blockable(range);
	struct mirror_export *e = export_of_sub(sub);
	struct mirror *owner = e->owner;
	struct mirror_revocation r = {
		.first = range->start >> PAGE_SHIFT,
		.last = (range->end - 1) >> PAGE_SHIFT,
	};
	bool rmap_step;

	mirror_count_invalidation(owner, range);
	if (may_sleep)
		mirror_delay(owner, &owner->inject.start_delay_us, range);

	spin_lock(&e->lock);
	export_check_subscribed(e);
	rmap_step = export_is_rmap_step(e, range);
	if (!may_sleep && (mirror_should_refuse(owner) ||
			   (!rmap_step && export_held(e, &r)))) {
		spin_unlock(&e->lock);
		mirror_count(owner, MIRROR_STAT_REFUSED);
		return -EAGAIN;
	}
	mmu_notifier_slots_begin(&e->slots, range->start, range->end - 1);
	export_count_ranges(e);
	spin_unlock(&e->lock);

	if (may_sleep && !rmap_step)
		export_revoke(e, &r);
	return 0;
}

static void export_range_end(struct mmu_notifier *sub,
			     const struct mmu_notifier_range *range)
{
	struct mirror_export *e = export_of_sub(sub);

	if (mmu_notifier_range_blockable(range))
		mirror_delay(e->owner, &e->owner->inject.end_delay_us, range);

	spin_lock(&e->lock);
	export_check_subscribed(e);
	if (!mmu_notifier_slots_end(&e->slots, range->start, range->end - 1))
		mirror_count(e->owner, MIRROR_STAT_UNBALANCED);
	export_count_ranges(e);
	spin_unlock(&e->lock);

	mirror_count(e->owner, MIRROR_STAT_END);
}

static void export_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct mirror_export *e = export_of_sub(sub);

	export_check_subscribed(e);
	export_kill(e);
	mirror_count(e->owner, MIRROR_STAT_RELEASE);
}

static const struct mmu_notifier_ops export_notifier_ops = {
	.release = export_release,
	.invalidate_range_start = export_start,
	.invalidate_range_end = export_range_end,
};

/* Folios */

static struct mirror_revocation export_folio(struct folio *folio)
{
	return (struct mirror_revocation) {
		.folio = true,
		.first = folio_pfn(folio),
		.last = folio_pfn(folio) + folio_nr_pages(folio) - 1,
	};
}

/* Also for write-protecting: a node that still reads will fault it in again. */
static int export_invalidate_folio(struct mmu_rmap_notifier *rmap,
				   struct folio *folio,
				   enum mmu_rmap_event event)
{
	struct mirror_export *e = container_of(rmap, struct mirror_export,
					       rmap);
	struct mirror_revocation r = export_folio(folio);

	mirror_count(e->owner, MIRROR_STAT_FOLIOS);
	if (export_revoke(e, &r))
		return 0;
	mirror_count(e->owner, MIRROR_STAT_OVERDUE);
	return -EBUSY;
}

static bool export_clear_young_folio(struct mmu_rmap_notifier *rmap,
				     struct folio *folio)
{
	struct mirror_export *e = container_of(rmap, struct mirror_export,
					       rmap);
	struct mirror_revocation r = export_folio(folio);
	bool young = false;
	struct mirror *m;

	spin_lock(&e->lock);
	list_for_each_entry(m, &e->nodes, node.list)
		young |= mirror_node_young(m, &r);
	spin_unlock(&e->lock);

	mirror_count(e->owner, MIRROR_STAT_YOUNG);
	return young;
}

static const struct mmu_rmap_notifier_ops export_rmap_ops = {
	.invalidate_folio = export_invalidate_folio,
	.clear_young_folio = export_clear_young_folio,
};

/* Life */

static struct mirror_export *export_new(struct mirror *m)
{
	struct mirror_export *e;

	e = kzalloc(sizeof(*e), GFP_KERNEL_ACCOUNT);
	if (!e)
		return NULL;
	kref_init(&e->ref);
	mmgrab(m->mm);
	e->mm = m->mm;
	e->owner = m;
	e->first = m->first;
	e->last = m->last;
	e->sub.ops = &export_notifier_ops;
	e->rmap.ops = &export_rmap_ops;
	spin_lock_init(&e->lock);
	mmu_notifier_slots_init(&e->slots);
	INIT_LIST_HEAD(&e->nodes);
	INIT_LIST_HEAD(&e->revocations);
	init_waitqueue_head(&e->confirmed);
	return e;
}

static int export_subscribe(struct mirror *m, unsigned long start,
			    unsigned long length)
{
	struct mirror_export *e = export_new(m);
	int ret;

	if (!e)
		return -ENOMEM;
	ret = mmu_rmap_notifier_register(&e->rmap);
	if (ret)
		goto err_put;
	ret = mmu_notifier_register(&e->sub, e->mm);
	if (ret)
		goto err_rmap;
	mirror_node_join(m, e);
	mirror_export_put(e);
	return 0;

err_rmap:
	mmu_rmap_notifier_unregister(&e->rmap);
err_put:
	mirror_export_put(e);
	return ret;
}

/* Importers know the window, and would have to be told. */
static int export_move(struct mirror *m, unsigned long start,
		       unsigned long length)
{
	struct mirror_export *e = m->node.export;
	int ret = 0;

	spin_lock(&e->lock);
	if (!list_is_singular(&e->nodes)) {
		ret = -EBUSY;
	} else {
		e->first = m->first;
		e->last = m->last;
	}
	spin_unlock(&e->lock);
	/* The old one was emptied. */
	wake_up_all(&e->confirmed);
	return ret;
}

static void export_unsubscribe(struct mirror *m)
{
	struct mirror_export *e = m->node.export;

	export_kill(e);
	mmu_notifier_unregister(&e->sub, e->mm);
	mmu_rmap_notifier_unregister(&e->rmap);
	WRITE_ONCE(m->node.in_flight, 0);
	mirror_node_leave(m);
}

/**
 * mirror_export_get() - find what another device exports
 * @m: who wants to import it.
 * @fd: the file descriptor of the other device.
 *
 * Having the file is the permission.
 *
 * Context: may sleep; no locks held, mirror.use of @m neither.
 *
 * Return: the export, with a reference, or -EBADF; -EINVAL: not a mirror, or @m
 * itself; -ENXIO: not attached; -EOPNOTSUPP: not an exporter; -ESHUTDOWN: its
 * process is gone; -EINTR.
 */
struct mirror_export *mirror_export_get(struct mirror *m, unsigned int fd)
{
	struct mirror_export *e = NULL;
	struct fd f = fdget(fd);
	struct mirror *other;
	int ret = 0;

	if (!fd_file(f))
		return ERR_PTR(-EBADF);
	other = mirror_of_file(fd_file(f));
	if (!other || other == m) {
		ret = -EINVAL;
	} else if (down_read_killable(&other->use)) {
		ret = -EINTR;
	} else {
		e = other->node.export;
		if (!other->mm)
			ret = -ENXIO;
		else if (other->ops != &mirror_export_ops)
			ret = -EOPNOTSUPP;
		else if (READ_ONCE(e->dead))
			ret = -ESHUTDOWN;
		else
			kref_get(&e->ref);
		up_read(&other->use);
	}
	fdput(f);
	return ret ? ERR_PTR(ret) : e;
}

const struct mirror_personality mirror_export_ops = {
	.lock = mirror_mutex_lock,
	.lock_nosleep = mirror_mutex_lock_nosleep,
	.unlock = mirror_mutex_unlock,
	.relax = mirror_mutex_relax,
	.subscribe = export_subscribe,
	.move = export_move,
	.unsubscribe = export_unsubscribe,
	.translate = mirror_node_translate,
	.install = mirror_node_install,
	.dropped = mirror_node_dropped,
	.pending = mirror_node_pending,
};
