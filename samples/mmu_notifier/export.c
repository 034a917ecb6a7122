// SPDX-License-Identifier: GPL-2.0
/*
 * interval.c for a device that lets others use the page: an exporter.
 *
 * They are told by folio, at a place where a message to a remote can be waited
 * for. There is no remote here, only the SPTE.
 *
 * Lock order: folio lock, driver's lock.
 */
#define pr_fmt(fmt) "mmu_notifier_example: " fmt

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_rmap_notifier.h>
#include <linux/pagemap.h>

#include "example.h"

struct export_example {
	struct interval_example in;
	struct mmu_rmap_notifier exporter;
};

static struct export_example *to_export(struct example *ex)
{
	return container_of(ex, struct export_example, in.ex);
}

/* [export-callbacks] */
/* Under the driver's lock. An export goes with the SPTE, and no sooner. */
static void export_drop(struct export_example *exp, unsigned long start,
			unsigned long end)
{
	struct page *page = exp->in.ex.spte.page;

	example_drop(&exp->in.ex, start, end);
	if (page && !exp->in.ex.spte.page)
		mmu_rmap_unexport_folio(&exp->exporter, page_folio(page));
}

static bool export_invalidate(struct mmu_interval_notifier *sub,
			      const struct mmu_notifier_range *range,
			      unsigned long cur_seq)
{
	struct export_example *exp =
		container_of(sub, struct export_example, in.sub);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&exp->in.lock);
	else if (!mutex_trylock(&exp->in.lock))
		return false;

	mmu_interval_set_seq(sub, cur_seq);
	/* A step of a walk over a locked folio: that one comes afterwards. */
	if (!(range->flags & MMU_NOTIFIER_RANGE_RMAP))
		export_drop(exp, range->start, range->end);
	mutex_unlock(&exp->in.lock);
	return true;
}

static int export_invalidate_folio(struct mmu_rmap_notifier *exporter,
				   struct folio *folio,
				   enum mmu_rmap_event event)
{
	struct export_example *exp =
		container_of(exporter, struct export_example, exporter);
	struct example_spte *spte = &exp->in.ex.spte;

	mutex_lock(&exp->in.lock);
	if (spte->page && page_folio(spte->page) == folio)
		export_drop(exp, 0, ULONG_MAX);
	mutex_unlock(&exp->in.lock);
	/* A remote that does not answer in time: -EBUSY. */
	return 0;
}

/* [end] */

static const struct mmu_interval_notifier_ops export_interval_ops = {
	.invalidate = export_invalidate,
};

static const struct mmu_rmap_notifier_ops export_ops = {
	.invalidate_folio = export_invalidate_folio,
};

/* The zero page cannot be exported: get one to write to, if that is allowed. */
static int export_find_page(unsigned long addr, bool write, struct page **page)
{
	int ret = get_user_pages_fast(addr, 1, FOLL_WRITE, page);

	if (ret == -EFAULT && !write)
		ret = get_user_pages_fast(addr, 1, 0, page);
	if (ret < 0)
		return ret;
	return ret ? 0 : -EFAULT;
}

/* [export] */
static int export_fault(struct example *ex, unsigned long addr, bool write)
{
	struct export_example *exp = to_export(ex);
	struct folio *folio;
	unsigned long seq;
	struct page *page;
	int ret;

	seq = mmu_interval_read_begin(&exp->in.sub);
	ret = export_find_page(addr, write, &page);
	if (ret)
		return ret;

	folio = page_folio(page);
	folio_lock(folio);
	ret = mmu_rmap_export_folio(&exp->exporter, folio);
	if (ret)
		goto out;

	mutex_lock(&exp->in.lock);
	if (mmu_interval_read_retry(&exp->in.sub, seq)) {
		mmu_rmap_unexport_folio(&exp->exporter, folio);
		ret = -EAGAIN;
	} else {
		export_drop(exp, 0, ULONG_MAX);
		example_install(ex, addr, page, write);
	}
	mutex_unlock(&exp->in.lock);
out:
	folio_unlock(folio);
	put_page(page);
	return ret;
}

/* [end] */

static int export_begin(struct example *ex)
{
	struct export_example *exp = to_export(ex);
	int ret;

	mutex_init(&exp->in.lock);
	exp->exporter.ops = &export_ops;
	ret = mmu_rmap_notifier_register(&exp->exporter);
	if (ret)
		return ret;
	ret = mmu_interval_notifier_insert(&exp->in.sub, ex->mm, 0, TASK_SIZE,
					   &export_interval_ops);
	if (ret)
		mmu_rmap_notifier_unregister(&exp->exporter);
	return ret;
}

static void export_end(struct example *ex)
{
	struct export_example *exp = to_export(ex);

	mutex_lock(&exp->in.lock);
	export_drop(exp, 0, ULONG_MAX);
	mutex_unlock(&exp->in.lock);
	mmu_interval_notifier_remove(&exp->in.sub);
	mmu_rmap_notifier_unregister(&exp->exporter);
}

const struct example_kind export_kind = {
	.size = sizeof(struct export_example),
	.begin = export_begin,
	.end = export_end,
	.access = interval_access,
	.fault = export_fault,
};
