// SPDX-License-Identifier: GPL-2.0
/*
 * Nodes: who uses an exported window, each through a table of its own.
 *
 * A node stands for another machine. Its accesses go through its own table, under
 * its own device lock, a mutex, and take nothing of the exporter's. The exporter
 * never touches the table; it sends the node's worker, which empties what is
 * revoked (see export.c) and thereby confirms it. Except that a node which does
 * not answer is *fenced*: the exporter's side of the wire empties the table, and
 * the node can do nothing any more but leave. Its process may have mapped the
 * window, see map.c.
 *
 * A page is looked up in the exporter's mm by get_user_pages(). Then:
 *
 *	folio lock	so that no walk is over the folio
 *	device lock
 *	export.lock	collided? dead? else
 *	export		the folio, once for each SPTE
 *	install
 *	unlock all, put the page
 *
 * From then on there is no page reference (R2), but one count for each SPTE, in
 * the core, which is given up when the SPTE is dropped. Before that the folio's
 * callback finds the SPTE by the page: mirror_node.pages, a tree sorted by page
 * frame number and index, one struct node_page for each exported SPTE. SPTEs of
 * what cannot be exported are not in it; they are counted in export.nr_plain.
 * The zero page is neither: no walk ever comes for it.
 *
 * An SPTE is writable only after a fault for writing, and then the folio is dirty
 * from the beginning: what a walk over the CPU's entries does to a clean page
 * (MADV_FREE) is done before the node has been asked.
 *
 * Work is on a queue of its own that needs no memory, for reclaim waits for it.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "mmu_mirror.h"

/**
 * struct node_page - an exported SPTE
 * @rb: in mirror_node.pages.
 * @pfn: the page.
 * @index: of the SPTE.
 */
struct node_page {
	struct rb_node rb;
	unsigned long pfn;
	unsigned long index;
};

static struct workqueue_struct *node_queue;

static const struct mirror_revocation everything = { .last = ULONG_MAX };

/* The SPTEs by page, under mirror_node.lock */

static int node_page_cmp(const struct node_page *p, unsigned long pfn,
			 unsigned long index)
{
	if (p->pfn != pfn)
		return p->pfn < pfn ? -1 : 1;
	if (p->index != index)
		return p->index < index ? -1 : 1;
	return 0;
}

/* The first one that is not before this. */
static struct node_page *node_page_find(struct mirror_node *n,
					unsigned long pfn, unsigned long index)
{
	struct rb_node *rb = n->pages.rb_node;
	struct node_page *p, *found = NULL;

	while (rb) {
		p = rb_entry(rb, struct node_page, rb);
		if (node_page_cmp(p, pfn, index) >= 0) {
			found = p;
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

static void node_page_insert(struct mirror_node *n, struct node_page *new)
{
	struct rb_node **link = &n->pages.rb_node, *parent = NULL;
	struct node_page *p;

	while (*link) {
		parent = *link;
		p = rb_entry(parent, struct node_page, rb);
		if (node_page_cmp(p, new->pfn, new->index) > 0)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->rb, parent, link);
	rb_insert_color(&new->rb, &n->pages);
	WRITE_ONCE(n->nr_exported, n->nr_exported + 1);
}

/* The index of the first SPTE of these pages, behind (@pfn, @index). */
static bool node_next_index(struct mirror_node *n, unsigned long *pfn,
			    unsigned long *index, unsigned long last_pfn)
{
	struct node_page *p;
	bool found;

	spin_lock(&n->lock);
	p = node_page_find(n, *pfn, *index);
	found = p && p->pfn <= last_pfn;
	if (found) {
		*pfn = p->pfn;
		*index = p->index;
	}
	spin_unlock(&n->lock);
	return found;
}

/**
 * mirror_node_holds() - has a node anything of what is revoked?
 * @m: the node.
 * @r: the revocation.
 *
 * Context: the node stays; if mirror_export.lock is held, the answer does not
 * turn true afterwards.
 *
 * Return: true if so.
 */
bool mirror_node_holds(struct mirror *m, const struct mirror_revocation *r)
{
	unsigned long first = r->first;
	struct mirror_spte spte;
	unsigned long index = 0;

	if (r->folio)
		return node_next_index(&m->node, &first, &index, r->last);
	return mirror_table_find(m, &first, r->last, &spte);
}

/**
 * mirror_node_young() - has a node used any page of a folio?
 * @m: the node.
 * @r: the folio's pages.
 *
 * Context: mirror_export.lock held.
 *
 * Return: true if so; it is forgotten.
 */
bool mirror_node_young(struct mirror *m, const struct mirror_revocation *r)
{
	unsigned long pfn = r->first;
	unsigned long index = 0;
	bool young = false;

	for (; node_next_index(&m->node, &pfn, &index, r->last); index++)
		young |= mirror_table_young(m, index, index, true);
	return young;
}

/* The worker */

/* From now on no copy of an SPTE is made, until unmapping is 0 again. */
static void node_begin_drop(struct mirror *m)
{
	mirror_mutex_lock(m);
	m->map.unmapping++;
	mirror_mutex_unlock(m);
}

static void node_drop(struct mirror *m, const struct mirror_revocation *r)
{
	unsigned long pfn = r->first;
	unsigned long index = 0;

	node_begin_drop(m);
	if (!r->folio) {
		mirror_map_unmap(m, r->first, r->last);
	} else {
		for (; node_next_index(&m->node, &pfn, &index, r->last); index++)
			mirror_map_unmap(m, index, index);
	}

	mirror_mutex_lock(m);
	if (!r->folio) {
		mirror_table_zap(m, m->ops, r->first, r->last, true);
	} else {
		pfn = r->first;
		index = 0;
		for (; node_next_index(&m->node, &pfn, &index, r->last); index++)
			mirror_table_zap(m, m->ops, index, index, true);
	}
	m->map.unmapping--;
	mirror_mutex_unlock(m);
}

/* What is to be dropped next? Everything, if something was not done in time. */
static bool node_next(struct mirror *m, struct mirror_revocation *what,
		      bool *overdue)
{
	struct mirror_export *e = m->node.export;
	const struct mirror_revocation *r;
	bool found = false;

	spin_lock(&e->lock);
	*overdue = m->node.overdue;
	if (*overdue) {
		*what = everything;
		found = true;
	} else {
		list_for_each_entry(r, &e->revocations, list) {
			if (mirror_node_holds(m, r)) {
				*what = *r;
				found = true;
				break;
			}
		}
	}
	spin_unlock(&e->lock);
	return found;
}

static void node_work(struct work_struct *work)
{
	struct mirror *m = container_of(to_delayed_work(work), struct mirror,
					node.work);
	struct mirror_export *e = m->node.export;
	struct mirror_revocation what;
	bool overdue;

	while (node_next(m, &what, &overdue)) {
		node_drop(m, &what);
		if (overdue) {
			/* Nothing was installed since it was set. */
			spin_lock(&e->lock);
			m->node.overdue = false;
			spin_unlock(&e->lock);
		}
		wake_up_all(&e->confirmed);
		cond_resched();
	}
}

/**
 * mirror_node_ask() - ask a node to drop what is revoked
 * @m: the node, which has been found to hold something.
 *
 * Context: mirror_export.lock held, the revocation is in the list.
 */
void mirror_node_ask(struct mirror *m)
{
	u32 us = READ_ONCE(m->inject.confirm_us);

	if (us == MMU_MIRROR_NEVER)
		return;
	queue_delayed_work(node_queue, &m->node.work, usecs_to_jiffies(us));
}

static void node_fence_work(struct work_struct *work)
{
	struct mirror *m = container_of(work, struct mirror, node.fence);
	struct mirror_export *e = m->node.export;

	mirror_mutex_lock(m);
	WRITE_ONCE(m->node.fenced, true);
	WRITE_ONCE(m->live, false);
	mirror_mutex_unlock(m);

	node_drop(m, &everything);
	wake_up_all(&e->confirmed);
}

/**
 * mirror_node_fence() - declare a node dead
 * @m: the node.
 *
 * By somebody who holds none of the locks that the caller may hold. It will have
 * nothing then, and never will again; mirror_export.confirmed is woken.
 *
 * Context: may sleep; the node stays.
 */
void mirror_node_fence(struct mirror *m)
{
	queue_work(node_queue, &m->node.fence);
}

/* The personality's part */

static int node_lock_folio(struct mirror_fault *fault)
{
	struct folio *folio = page_folio(fault->page);

	if (is_zero_pfn(fault->pfn))
		return 0;
	if (fault->engine)
		return folio_trylock(folio) ? 0 : -EAGAIN;
	return folio_lock_killable(folio);
}

/**
 * mirror_node_translate() - look a page up, and keep its folio locked
 * @m: the node.
 * @fault: the fault.
 *
 * Context: see struct mirror_personality.
 *
 * Return: 0, or as mirror_get_page().
 */
int mirror_node_translate(struct mirror *m, struct mirror_fault *fault)
{
	struct mirror_export *e = m->node.export;
	struct node_page *p;
	int ret;

	spin_lock(&e->lock);
	fault->seq = mmu_notifier_slots_seq(&e->slots);
	spin_unlock(&e->lock);

	p = kmalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	ret = mirror_get_page(m, fault);
	if (ret)
		goto err_free;
	ret = node_lock_folio(fault);
	if (ret)
		goto err_page;
	fault->priv = p;
	return 0;

err_page:
	put_page(fault->page);
err_free:
	kfree(p);
	return ret;
}

/* Another page, and nobody told us: a callback is missing. */
static bool node_contradicts(struct mirror *m, const struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	struct mirror_spte spte;

	if (!mirror_table_find(m, &index, index, &spte) ||
	    spte.pfn == fault->pfn)
		return false;
	mirror_count(m, MIRROR_STAT_UNBALANCED);
	return true;
}

/* Returns whether a new SPTE was made, or an error. */
static int node_install_new(struct mirror *m, const struct mirror_fault *fault)
{
	unsigned long before = m->nr_mapped;
	int ret;

	ret = mirror_table_install(m, fault->addr >> PAGE_SHIFT, fault->pfn,
				   fault->writable);
	return ret ? ret : m->nr_mapped != before;
}

/* Under the lock of the export. The folio is locked, the page's reference held. */
static int node_install_locked(struct mirror *m, struct mirror_fault *fault)
{
	struct folio *folio = page_folio(fault->page);
	struct mirror_export *e = m->node.export;
	struct node_page *p = fault->priv;
	int exported, ret;

	if (is_zero_pfn(fault->pfn)) {
		ret = node_install_new(m, fault);
		return min(ret, 0);
	}

	exported = mmu_rmap_export_folio(&e->rmap, folio);
	if (exported && exported != -EOPNOTSUPP)
		return exported;
	if (fault->writable)
		folio_mark_dirty(folio);

	ret = node_install_new(m, fault);
	if (ret <= 0) {
		/* It was there, or cannot be. */
		if (!exported)
			mmu_rmap_unexport_folio(&e->rmap, folio);
		return ret;
	}

	if (exported) {
		atomic_long_inc(&e->nr_plain);
	} else {
		p->pfn = fault->pfn;
		p->index = fault->addr >> PAGE_SHIFT;
		spin_lock(&m->node.lock);
		node_page_insert(&m->node, p);
		spin_unlock(&m->node.lock);
		fault->priv = NULL;
	}
	return 0;
}

/**
 * mirror_node_install() - make an SPTE, and end what translating began
 * @m: the node.
 * @fault: the fault.
 *
 * Context: see struct mirror_personality.
 *
 * Return: 0, -EAGAIN: collided; -ESHUTDOWN: dead; -EBUSY: the node owes a
 * confirmation, or another one does that has the folio.
 */
int mirror_node_install(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;
	struct mirror_export *e = m->node.export;
	int ret;

	spin_lock(&e->lock);
	if (e->dead)
		ret = -ESHUTDOWN;
	else if (m->node.overdue)
		ret = -EBUSY;
	else if (mmu_notifier_slots_retry(&e->slots, fault->seq, fault->addr,
					  fault->addr + PAGE_SIZE - 1))
		ret = -EAGAIN;
	else if (node_contradicts(m, fault))
		ret = -ESTALE;
	else
		ret = node_install_locked(m, fault);
	spin_unlock(&e->lock);
	if (ret == -ESTALE) {
		mirror_table_zap(m, m->ops, index, index, true);
		ret = -EAGAIN;
	}

	if (!is_zero_pfn(fault->pfn))
		folio_unlock(page_folio(fault->page));
	kfree(fault->priv);
	fault->priv = NULL;
	return ret;
}

/**
 * mirror_node_dropped() - an SPTE is no more
 * @m: the node.
 * @index: its index.
 * @pfn: its page, which may be gone upon return.
 *
 * Context: see struct mirror_personality.
 */
void mirror_node_dropped(struct mirror *m, unsigned long index,
			 unsigned long pfn)
{
	struct mirror_export *e = m->node.export;
	struct mirror_node *n = &m->node;
	struct node_page *p;

	if (is_zero_pfn(pfn))
		return;

	spin_lock(&n->lock);
	p = node_page_find(n, pfn, index);
	if (!p || node_page_cmp(p, pfn, index)) {
		spin_unlock(&n->lock);
		atomic_long_dec(&e->nr_plain);
		return;
	}
	/* In this order: who finds that we hold nothing relies on the count. */
	mmu_rmap_unexport_folio(&e->rmap, page_folio(pfn_to_page(pfn)));
	rb_erase(&p->rb, &n->pages);
	WRITE_ONCE(n->nr_exported, n->nr_exported - 1);
	spin_unlock(&n->lock);
	kfree(p);
}

/**
 * mirror_node_pending() - is somebody in the middle of revoking this page?
 * @m: the node.
 * @pfn: the page of an SPTE.
 *
 * From the first step of a walk until the folio's callback has returned, its lock
 * is held.
 *
 * Context: device lock held, so a callback for the page has not returned.
 *
 * Return: true if it may be so.
 */
bool mirror_node_pending(struct mirror *m, unsigned long pfn)
{
	return folio_test_locked(page_folio(pfn_to_page(pfn)));
}

/* Life */

/**
 * mirror_node_join() - become a node of an export
 * @m: the mirror.
 * @e: the export.
 *
 * Context: mirror.use held for writing.
 *
 * Return: 0, -ESHUTDOWN if it is dead.
 */
int mirror_node_join(struct mirror *m, struct mirror_export *e)
{
	int ret = 0;

	kref_get(&e->ref);
	m->node.export = e;
	m->node.pages = RB_ROOT;
	m->node.users = 0;
	m->node.overdue = false;
	m->node.fencing = false;
	m->map.unmapping = 0;
	INIT_DELAYED_WORK(&m->node.work, node_work);
	INIT_WORK(&m->node.fence, node_fence_work);

	spin_lock(&e->lock);
	if (e->dead) {
		ret = -ESHUTDOWN;
	} else {
		m->first = e->first;
		m->last = e->last;
		list_add_tail(&m->node.list, &e->nodes);
	}
	spin_unlock(&e->lock);

	if (ret) {
		m->node.export = NULL;
		mirror_export_put(e);
	}
	return ret;
}

/**
 * mirror_node_leave() - cease to be one
 * @m: the node, which has an empty table and is not live.
 *
 * Context: may sleep; mirror.use held for writing, or nobody else has the mirror.
 */
void mirror_node_leave(struct mirror *m)
{
	struct mirror_export *e = m->node.export;

	spin_lock(&e->lock);
	list_del(&m->node.list);
	spin_unlock(&e->lock);

	/* Whoever waits for this node need not any more. */
	wake_up_all(&e->confirmed);
	wait_event(e->confirmed, !READ_ONCE(m->node.users));
	/* The lock is what export_put_holder() lets go of last. */
	spin_lock(&e->lock);
	spin_unlock(&e->lock);
	cancel_delayed_work_sync(&m->node.work);
	cancel_work_sync(&m->node.fence);

	WARN_ON_ONCE(!RB_EMPTY_ROOT(&m->node.pages));
	m->node.export = NULL;
	mirror_export_put(e);
}

static int import_subscribe(struct mirror *m, unsigned long start,
			    unsigned long length)
{
	return mirror_node_join(m, m->node.export);
}

static int import_move(struct mirror *m, unsigned long start,
		       unsigned long length)
{
	return -EOPNOTSUPP;
}

static void import_unmap(struct mirror *m)
{
	mirror_map_unmap(m, m->first, m->last);
}

static void import_unsubscribe(struct mirror *m)
{
	mirror_node_leave(m);
}

/* An exporter without one of its own: what it subscribes to is the export. */
const struct mirror_personality mirror_import_ops = {
	.lock = mirror_mutex_lock,
	.lock_nosleep = mirror_mutex_lock_nosleep,
	.unlock = mirror_mutex_unlock,
	.relax = mirror_mutex_relax,
	.subscribe = import_subscribe,
	.move = import_move,
	.unsubscribe = import_unsubscribe,
	.unmap = import_unmap,
	.translate = mirror_node_translate,
	.install = mirror_node_install,
	.dropped = mirror_node_dropped,
	.pending = mirror_node_pending,
};

static int node_import(struct mirror *m, struct mirror_export *e,
		       struct mmu_mirror_import *args)
{
	int ret;

	if (m->mm)
		return -EBUSY;
	m->node.export = e;
	ret = mirror_attach(m, &mirror_import_ops, e->mm, e->first, e->last);
	if (ret) {
		m->node.export = NULL;
		return ret;
	}
	args->start = (u64)m->first << PAGE_SHIFT;
	args->length = (u64)(m->last - m->first + 1) << PAGE_SHIFT;
	return 0;
}

/**
 * mirror_cmd_import() - MMU_MIRROR_IMPORT
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_import.
 *
 * Context: mirror.use not held: the exporter's is taken first, for a moment.
 *
 * Return: 0 or an error; then nothing is attached.
 */
int mirror_cmd_import(struct mirror *m, void *argp)
{
	struct mmu_mirror_import *args = argp;
	struct mirror_export *e;
	int ret = -EINTR;

	args->start = 0;
	args->length = 0;
	if (args->flags || args->reserved)
		return -EINVAL;
	e = mirror_export_get(m, args->fd);
	if (IS_ERR(e))
		return PTR_ERR(e);

	if (!down_write_killable(&m->use)) {
		ret = node_import(m, e, args);
		up_write(&m->use);
	}
	mirror_export_put(e);
	return ret;
}

/**
 * mirror_node_init() - when the module is loaded
 *
 * Return: 0 or -ENOMEM.
 */
int mirror_node_init(void)
{
	node_queue = alloc_workqueue("mmu_mirror_node",
				     WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	return node_queue ? 0 : -ENOMEM;
}

/**
 * mirror_node_exit() - when it is unloaded
 */
void mirror_node_exit(void)
{
	destroy_workqueue(node_queue);
}
