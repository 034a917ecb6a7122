// SPDX-License-Identifier: GPL-2.0
/*
 * The device's page table, and what the device does through it.
 *
 * An xarray, indexed by page (address >> PAGE_SHIFT). An SPTE is an xarray
 * value: the page frame number and three bits. It holds no page reference (R2):
 * it is valid because the subscription will be told, and will have dropped it,
 * before the page goes away.
 *
 * What makes the entry of an index:
 *
 *	nothing -> reserved	mirror_table_reserve(), without the device lock,
 *				because it allocates
 *	reserved -> SPTE	mirror_table_install()
 *	SPTE -> nothing		mirror_table_zap(), mirror_table_evict()
 *	reserved -> nothing	mirror_table_unreserve()
 *
 * Several faults may share a reservation; who comes after another one's SPTE has
 * been made and dropped again finds it gone, and begins again. So neither
 * installing nor dropping ever allocates (R10).
 *
 * Dropping visits SPTEs only, so its cost does not depend on how large the range
 * is. An SPTE that was written through marks its folio dirty then, before the
 * callback returns (R2): the CPU's entry may be clean, and what reclaim finds
 * clean it throws away. No folio lock is needed. The page is still mapped by
 * the CPU, and will be until the callback returns, which keeps truncation away
 * from it as the page-table lock does in zap_pte_range(). Of a personality with
 * @cpu_dirty no page is looked at: there is nothing to mark.
 *
 * The zero page has read-only SPTEs only, and is never marked.
 *
 * All under the device lock unless it says otherwise.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/mmu_notifier_check.h>
#include <linux/page-flags.h>
#include <linux/string.h>
#include <linux/unaligned.h>
#include <linux/xarray.h>

#include "mmu_mirror.h"

#define SPTE_WRITABLE	BIT(0)
#define SPTE_DIRTY	BIT(1)
#define SPTE_ACCESSED	BIT(2)
#define SPTE_PFN_SHIFT	3

/* SPTEs dropped before others get a chance to take the lock. */
#define ZAP_BATCH	256

static unsigned long spte_pfn(unsigned long spte)
{
	return spte >> SPTE_PFN_SHIFT;
}

/**
 * mirror_table_init() - make an empty table
 * @m: the mirror.
 */
void mirror_table_init(struct mirror *m)
{
	xa_init_flags(&m->table, XA_FLAGS_ACCOUNT);
}

/**
 * mirror_table_reserve() - make sure that an SPTE can be installed
 * @m: the mirror.
 * @index: which.
 *
 * Context: may sleep; the device lock is not held.
 *
 * Return: 0 or -ENOMEM.
 */
int mirror_table_reserve(struct mirror *m, unsigned long index)
{
	if (mirror_should_fail(m))
		return -ENOMEM;
	return xa_reserve(&m->table, index, GFP_KERNEL);
}

/**
 * mirror_table_unreserve() - give a reservation back that was not used
 * @m: the mirror.
 * @index: which. An SPTE that is there is left alone.
 *
 * Context: the device lock is not needed.
 */
void mirror_table_unreserve(struct mirror *m, unsigned long index)
{
	xa_release(&m->table, index);
}

/*
 * The device is the kernel, so what is missing in the kernel's own mapping would
 * be an oops. get_user_pages() refuses such pages; hmm_range_fault() and walking
 * the page table do not. The page is mapped for as long as the device lock is
 * held, and so is in its file.
 */
static bool mirror_is_secret(unsigned long pfn)
{
	struct address_space *mapping;

	if (!IS_ENABLED(CONFIG_SECRETMEM))
		return false;
	mapping = READ_ONCE(pfn_folio(pfn)->mapping);
	if (!mapping || ((unsigned long)mapping & PAGE_MAPPING_FLAGS))
		return false;
	return mapping->host->i_sb->s_magic == SECRETMEM_MAGIC;
}

/* Have the checker of the contract look at when the page is freed (R2). */
static void mirror_points_to(unsigned long pfn)
{
	mmu_notifier_spte_set(pfn_to_page(pfn), mirror_table_install);
}

static void mirror_points_not(unsigned long pfn)
{
	mmu_notifier_spte_clear(pfn_to_page(pfn), mirror_table_install);
}

/**
 * mirror_table_install() - make an SPTE, or widen what an old one allows
 * @m: the mirror.
 * @index: which; reserved.
 * @pfn: the page.
 * @writable: may the device write to it?
 *
 * Context: device lock held, and nothing collided since @pfn was looked up.
 *
 * Return: 0, -EAGAIN if the reservation is gone, -ESHUTDOWN if the mirror is not
 * live, -EFAULT if the page is outside of the window, or secret.
 */
int mirror_table_install(struct mirror *m, unsigned long index,
			 unsigned long pfn, bool writable)
{
	unsigned long spte = pfn << SPTE_PFN_SHIFT;
	XA_STATE(xas, &m->table, index);
	void *entry;
	int ret = 0;

	if (!m->live)
		return -ESHUTDOWN;
	if (index < m->first || index > m->last || mirror_is_secret(pfn))
		return -EFAULT;
	if (WARN_ON_ONCE(writable && is_zero_pfn(pfn)))
		return -EFAULT;
	if (writable)
		spte |= SPTE_WRITABLE;

	xas_lock(&xas);
	entry = xas_load(&xas);
	if (xa_is_value(entry)) {
		/*
		 * Another page, and nobody told us: a callback is missing. Not so
		 * if the CPU's entry is all there is: after MADV_DONTNEED another
		 * page can be there before TLBs are flushed.
		 */
		if (spte_pfn(xa_to_value(entry)) == pfn) {
			spte |= xa_to_value(entry);
		} else {
			if (!m->ops->cpu_dirty)
				mirror_count(m, MIRROR_STAT_UNBALANCED);
			mirror_points_not(spte_pfn(xa_to_value(entry)));
			mirror_points_to(pfn);
		}
		xas_store(&xas, xa_mk_value(spte));
	} else if (!entry) {
		ret = -EAGAIN;
	} else {
		mirror_points_to(pfn);
		xas_store(&xas, xa_mk_value(spte));
		WRITE_ONCE(m->nr_mapped, m->nr_mapped + 1);
		mirror_count(m, MIRROR_STAT_FAULTS);
	}
	xas_unlock(&xas);
	if (!ret)
		m->nr_installs++;
	return ret;
}

/* The next step of a copy: a whole word where possible, else a byte. */
static size_t mirror_step(const void *mapped, size_t left)
{
	if (IS_ALIGNED((unsigned long)mapped, sizeof(u64)) &&
	    left >= sizeof(u64))
		return sizeof(u64);
	return 1;
}

static void mirror_load(void *to, const void *mapped, size_t len)
{
	size_t step;

	for (; len; len -= step, to += step, mapped += step) {
		step = mirror_step(mapped, len);
		if (step == 1)
			*(u8 *)to = READ_ONCE(*(const u8 *)mapped);
		else
			put_unaligned(READ_ONCE(*(const u64 *)mapped),
				      (u64 *)to);
	}
}

static void mirror_store(void *mapped, const void *from, size_t len)
{
	size_t step;

	for (; len; len -= step, from += step, mapped += step) {
		step = mirror_step(mapped, len);
		if (step == 1)
			WRITE_ONCE(*(u8 *)mapped, *(const u8 *)from);
		else
			WRITE_ONCE(*(u64 *)mapped,
				   get_unaligned((const u64 *)from));
	}
}

static void mirror_do_op(unsigned long pfn, struct mirror_op *op)
{
	void *page = kmap_local_page(pfn_to_page(pfn));
	void *mapped = page + offset_in_page(op->addr);

	switch (op->kind) {
	case MIRROR_OP_READ:
		mirror_load(op->buf, mapped, op->len);
		break;
	case MIRROR_OP_WRITE:
		mirror_store(mapped, op->buf, op->len);
		break;
	case MIRROR_OP_ADD:
		op->old = atomic64_fetch_add(op->value, (atomic64_t *)mapped);
		break;
	}
	kunmap_local(page);
}

static void mirror_unpack(unsigned long packed, struct mirror_spte *spte)
{
	spte->pfn = spte_pfn(packed);
	spte->writable = packed & SPTE_WRITABLE;
}

/**
 * mirror_table_use() - look an SPTE up, to use it
 * @m: the mirror.
 * @index: which.
 * @write: for writing? Then it is dirty afterwards.
 * @spte: out: the SPTE.
 *
 * Context: device lock held, which is what makes the page stay meanwhile.
 *
 * Return: false if there is no SPTE that allows it.
 */
bool mirror_table_use(struct mirror *m, unsigned long index, bool write,
		      struct mirror_spte *spte)
{
	unsigned long packed = 0, want = SPTE_ACCESSED;
	XA_STATE(xas, &m->table, index);
	bool allowed = false;
	void *entry;

	if (write)
		want |= SPTE_DIRTY;

	xas_lock(&xas);
	entry = xas_load(&xas);
	if (xa_is_value(entry)) {
		packed = xa_to_value(entry);
		allowed = !write || (packed & SPTE_WRITABLE);
	}
	if (allowed && (~packed & want))
		xas_store(&xas, xa_mk_value(packed | want));
	xas_unlock(&xas);

	mirror_unpack(packed, spte);
	return allowed;
}

/**
 * mirror_table_access() - let the device access a page through its SPTE
 * @m: the mirror.
 * @op: the access.
 *
 * Context: device lock held.
 *
 * Return: 0, -ENOENT if there is no SPTE that allows it.
 */
int mirror_table_access(struct mirror *m, struct mirror_op *op)
{
	struct mirror_spte spte;

	if (!mirror_table_use(m, op->addr >> PAGE_SHIFT,
			      op->kind != MIRROR_OP_READ, &spte))
		return -ENOENT;

	mirror_do_op(spte.pfn, op);
	mirror_count(m, MIRROR_STAT_ACCESSES);
	return 0;
}

/*
 * Counted before it can be seen to be gone: whoever waits for that, say to
 * confirm it, may let user space look at the counters.
 */
static void mirror_drop(struct mirror *m, const struct mirror_personality *ops,
			unsigned long spte, bool count)
{
	bool dirty = (spte & SPTE_DIRTY) && !ops->cpu_dirty;

	if (dirty)
		folio_mark_dirty(page_folio(pfn_to_page(spte_pfn(spte))));
	mirror_points_not(spte_pfn(spte));
	if (!count)
		return;
	mirror_count(m, MIRROR_STAT_DROPPED);
	if (dirty)
		mirror_count(m, MIRROR_STAT_DIRTIED);
}

/* Drop some SPTEs and move @first behind them. True if that was all. */
static bool mirror_table_zap_batch(struct mirror *m,
				   const struct mirror_personality *ops,
				   unsigned long *first, unsigned long last,
				   bool count)
{
	XA_STATE(xas, &m->table, *first);
	unsigned int nr = 0;
	void *entry;

	xas_lock(&xas);
	xas_for_each(&xas, entry, last) {
		/* Reservations stay: somebody relies on them. */
		if (!xa_is_value(entry))
			continue;
		mirror_drop(m, ops, xa_to_value(entry), count);
		xas_store(&xas, NULL);
		if (ops->dropped)
			ops->dropped(m, xas.xa_index,
				     spte_pfn(xa_to_value(entry)));
		if (++nr == ZAP_BATCH)
			break;
	}
	*first = xas.xa_index + 1;
	xas_unlock(&xas);

	WRITE_ONCE(m->nr_mapped, m->nr_mapped - nr);
	return nr < ZAP_BATCH || *first > last || !*first;
}

static void mirror_table_drop(struct mirror *m,
			      const struct mirror_personality *ops,
			      unsigned long first, unsigned long last,
			      bool may_sleep, bool count)
{
	while (!mirror_table_zap_batch(m, ops, &first, last, count)) {
		if (may_sleep)
			ops->relax(m);
	}
}

/**
 * mirror_table_zap() - drop SPTEs, as the kernel asks for, and count them
 * @m: the mirror.
 * @ops: its personality.
 * @first: index of the first page.
 * @last: index of the last page.
 * @may_sleep: the device lock may be dropped in between. The caller has seen to
 *	it that no new SPTE is made in the range.
 *
 * Upon return the device cannot access these pages, and those that it wrote to
 * are dirty.
 *
 * Context: device lock held; may sleep if @may_sleep.
 */
void mirror_table_zap(struct mirror *m, const struct mirror_personality *ops,
		      unsigned long first, unsigned long last, bool may_sleep)
{
	mirror_table_drop(m, ops, first, last, may_sleep, true);
}

/**
 * mirror_table_evict() - drop SPTEs, for a reason of the device's own
 * @m: the mirror.
 * @first: index of the first page.
 * @last: index of the last page.
 * @may_sleep: as for mirror_table_zap().
 *
 * The same, but no invalidation to be counted.
 *
 * Context: device lock held; may sleep if @may_sleep.
 */
void mirror_table_evict(struct mirror *m, unsigned long first,
			unsigned long last, bool may_sleep)
{
	mirror_table_drop(m, m->ops, first, last, may_sleep, false);
}

/**
 * mirror_table_young() - has the device used any of these pages?
 * @m: the mirror.
 * @first: index of the first page.
 * @last: index of the last page.
 * @clear: forget it.
 *
 * The device keeps no copies of SPTEs, so there is no TLB to flush.
 *
 * Context: device lock held, or whatever keeps the mirror there.
 *
 * Return: true if any was.
 */
bool mirror_table_young(struct mirror *m, unsigned long first,
			unsigned long last, bool clear)
{
	XA_STATE(xas, &m->table, first);
	bool young = false;
	unsigned long spte;
	void *entry;

	xas_lock(&xas);
	xas_for_each(&xas, entry, last) {
		if (!xa_is_value(entry))
			continue;
		spte = xa_to_value(entry);
		if (!(spte & SPTE_ACCESSED))
			continue;
		young = true;
		if (!clear)
			break;
		xas_store(&xas, xa_mk_value(spte & ~SPTE_ACCESSED));
	}
	xas_unlock(&xas);
	return young;
}

/**
 * mirror_table_find() - find the next SPTE
 * @m: the mirror.
 * @index: in: where to begin to look; out: where it is.
 * @last: where to stop.
 * @spte: out: the SPTE.
 *
 * Context: device lock held, or whatever keeps the mirror there, if an SPTE that
 * comes or goes right now does not matter.
 *
 * Return: true if there is one.
 */
bool mirror_table_find(struct mirror *m, unsigned long *index,
		       unsigned long last, struct mirror_spte *spte)
{
	XA_STATE(xas, &m->table, *index);
	void *entry;

	xas_lock(&xas);
	xas_for_each(&xas, entry, last) {
		if (xa_is_value(entry))
			break;
	}
	xas_unlock(&xas);
	if (!entry)
		return false;

	*index = xas.xa_index;
	mirror_unpack(xa_to_value(entry), spte);
	return true;
}
