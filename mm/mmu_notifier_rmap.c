// SPDX-License-Identifier: GPL-2.0
/*
 * External reverse maps: telling exporters what happens to a folio.
 *
 * Vocabulary and contract are in <linux/mmu_rmap_notifier.h>. What there is for
 * each folio is one *word*, in the page extension of its first page:
 *
 *	bits 0-30	how many exports it has
 *	bit 31		the folio is held: one reference of it is ours
 *	bits 32-63	who exported it, by mmu_rmap_notifier.bit
 *
 * A bit stands for every 32nd exporter, and remains set until the last export of
 * the folio is gone, so an exporter may be asked about a folio that it does
 * not have, but one that has it is always asked. The word is 0 whenever the
 * folio has no export.
 *
 * Who changes the word:
 *
 *  - export adds one, under the folio's lock, for a folio that is mapped and not
 *    held. So while a walk has the lock, the number only decreases: what the
 *    hooks read after the callbacks is final, or too high.
 *  - unexport subtracts one, at any time and in any context. Whoever takes the
 *    last one away sets the word to 0 at the same moment, and if it was held,
 *    drops the reference: exactly one such step follows each setting of the bit.
 *  - a walk whose folio keeps exports sets "held", after taking a reference;
 *    unless the last export went away meanwhile, in which case the reference is
 *    not needed and nobody refused in the end. An exporter may do the same.
 *
 * Ordering:
 *
 *	unexport				walk, or the page allocator
 *	last access through external mapping
 *	cmpxchg(word, less)		(E)	acquire: read the word	(E)
 *						free or move the memory
 *
 * (E): whoever sees the number go down comes after every access that the export
 * allowed. The other direction needs none of its own: an export is made under the
 * folio's lock, and so a walk that follows sees it, as well as the static
 * key that was turned on before.
 *
 * Exporters are in a list that walks read under RCU. To call one a walk takes a
 * count of its users, which keeps it in the list, and leaves RCU. Ending a
 * registration waits for the users of that one, not for those of others (R7); it
 * is not given new ones meanwhile (R9).
 *
 * Lock order: folio lock, then whatever a callback takes. mmu_rmap_lock is
 * innermost, and not held across callbacks.
 */

#define pr_fmt(fmt) "mmu_rmap: " fmt

#include <kunit/static_stub.h>
#include <kunit/visibility.h>
#include <linux/export.h>
#include <linux/hugetlb.h>
#include <linux/init.h>
#include <linux/kstrtox.h>
#include <linux/lockdep.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/mmdebug.h>
#include <linux/mutex.h>
#include <linux/page_ext.h>
#include <linux/pagemap.h>
#include <linux/rculist.h>
#include <linux/sched.h>

#include "mmu_notifier_rmap.h"
#include "mmu_notifier_trace.h"

#define MMU_RMAP_COUNT		GENMASK_ULL(30, 0)
#define MMU_RMAP_HELD		BIT_ULL(31)
#define MMU_RMAP_EXPORTER(bit)	BIT_ULL(32 + (bit))
#define MMU_RMAP_BITS		32

DEFINE_STATIC_KEY_FALSE(mmu_rmap_exporters);

static LIST_HEAD(mmu_rmap_list);	/* written under mmu_rmap_lock */
static DEFINE_MUTEX(mmu_rmap_lock);
static unsigned int mmu_rmap_next_bit;	/* under mmu_rmap_lock */

#ifdef CONFIG_LOCKDEP
static struct lockdep_map mmu_rmap_callback_map =
	STATIC_LOCKDEP_MAP_INIT("mmu_rmap_callback", &mmu_rmap_callback_map);
#endif

/*
 * The word
 */

static bool mmu_rmap_enabled __ro_after_init =
	IS_ENABLED(CONFIG_MMU_RMAP_NOTIFIER_DEFAULT_ON);

static int __init mmu_rmap_param(char *value)
{
	return kstrtobool(value, &mmu_rmap_enabled);
}
early_param("mmu_rmap_notifier", mmu_rmap_param);

static bool __init mmu_rmap_needed(void)
{
	return mmu_rmap_enabled;
}

/* A multiple of 8, so that whatever else is in an entry keeps its alignment. */
struct page_ext_operations mmu_rmap_page_ext_ops = {
	.size = sizeof(atomic64_t),
	.need = mmu_rmap_needed,
};

static atomic64_t *mmu_rmap_word(struct page_ext *page_ext)
{
	return page_ext_data(page_ext, &mmu_rmap_page_ext_ops);
}

/* The word of a folio, or 0 if there is no room for one. */
static u64 mmu_rmap_read(struct page *page)
{
	struct page_ext *page_ext = page_ext_get(page);
	u64 word = 0;

	if (page_ext) {
		/* Acquire: (E) */
		word = atomic64_read_acquire(mmu_rmap_word(page_ext));
		page_ext_put(page_ext);
	}
	return word;
}

/*
 * Exporters
 */

static void mmu_rmap_put(struct mmu_rmap_notifier *notifier)
{
	if (refcount_dec_and_test(&notifier->users))
		complete(&notifier->unused);
}

/*
 * The next exporter behind @notifier (NULL: the first) that the word may stand
 * for. It gets a user; @notifier, which had one, loses it.
 */
static struct mmu_rmap_notifier *
mmu_rmap_next(struct mmu_rmap_notifier *notifier, u64 word)
{
	struct mmu_rmap_notifier *last = notifier, *next = NULL;

	rcu_read_lock();
	if (!notifier)
		notifier = list_entry(&mmu_rmap_list, struct mmu_rmap_notifier,
				      node);
	list_for_each_entry_continue_rcu(notifier, &mmu_rmap_list, node) {
		if ((word & MMU_RMAP_EXPORTER(notifier->bit)) &&
		    !READ_ONCE(notifier->ending) &&
		    refcount_inc_not_zero(&notifier->users)) {
			next = notifier;
			break;
		}
	}
	rcu_read_unlock();
	if (last)
		mmu_rmap_put(last);
	return next;
}

/**
 * mmu_rmap_notifier_register() - begin to export folios
 * @notifier: the exporter; its ops are set, its memory stays until
 *	mmu_rmap_notifier_unregister() has returned.
 *
 * Context: may sleep; takes the lock of CPU hotplug, so not under locks of mm/.
 *
 * Return: 0; -EINVAL without ops or an invalidate_folio; -EOPNOTSUPP if the
 * kernel was booted with mmu_rmap_notifier=off, or built without it.
 */
int mmu_rmap_notifier_register(struct mmu_rmap_notifier *notifier)
{
	if (!notifier->ops || !notifier->ops->invalidate_folio)
		return -EINVAL;
	if (!mmu_rmap_enabled)
		return -EOPNOTSUPP;

	refcount_set(&notifier->users, 1);
	init_completion(&notifier->unused);
	notifier->ending = false;
	atomic_long_set(&notifier->exports, 0);
	static_branch_inc(&mmu_rmap_exporters);

	mutex_lock(&mmu_rmap_lock);
	notifier->bit = mmu_rmap_next_bit++ % MMU_RMAP_BITS;
	list_add_tail_rcu(&notifier->node, &mmu_rmap_list);
	mutex_unlock(&mmu_rmap_lock);
	trace_mmu_notifier_rmap_register(notifier->ops->invalidate_folio, 0);
	return 0;
}
EXPORT_SYMBOL_GPL(mmu_rmap_notifier_register);

/**
 * mmu_rmap_notifier_unregister() - no more callbacks
 * @notifier: the exporter. Each of its exports has been undone, and no
 *	unexport of it is still running.
 *
 * Waits for callbacks of this exporter, and for no other's.
 *
 * Context: may sleep; not from a callback, nor under a lock that one takes, nor
 * under locks of mm/.
 */
void mmu_rmap_notifier_unregister(struct mmu_rmap_notifier *notifier)
{
	u64 began = mmu_trace_clock();

	lock_map_acquire(&mmu_rmap_callback_map);
	lock_map_release(&mmu_rmap_callback_map);

	WRITE_ONCE(notifier->ending, true);
	mmu_rmap_put(notifier);
	wait_for_completion(&notifier->unused);

	mutex_lock(&mmu_rmap_lock);
	list_del_rcu(&notifier->node);
	mutex_unlock(&mmu_rmap_lock);
	/* Walks may be passing over it on their way to the next. */
	synchronize_rcu();
	trace_mmu_notifier_rmap_unregister(notifier->ops->invalidate_folio,
					   mmu_trace_clock() - began);

	/*
	 * What it left exported is not freed for as long as the hooks are on;
	 * so they stay on.
	 */
	if (!WARN_ONCE(atomic_long_read(&notifier->exports),
		       "%ps unregistered with %ld exports\n",
		       notifier->ops->invalidate_folio,
		       atomic_long_read(&notifier->exports)))
		static_branch_dec(&mmu_rmap_exporters);
}
EXPORT_SYMBOL_GPL(mmu_rmap_notifier_unregister);

/*
 * Exports
 */

/* What cannot be exported at all, because no hook would ever tell. */
static bool mmu_rmap_can_export(struct folio *folio)
{
	return !folio_test_hugetlb(folio) && !folio_is_zone_device(folio) &&
	       !is_zero_folio(folio) && !is_huge_zero_folio(folio);
}

/**
 * mmu_rmap_export_folio() - count one more export of a folio
 * @notifier: the exporter, registered.
 * @folio: the folio, of any size. Whoever exports several pages of it, or one page
 *	several times, counts as often as it likes.
 *
 * From now on, and until the matching mmu_rmap_unexport_folio(), the exporter is
 * told before the folio is freed or used for something else. No reference is
 * taken; the caller may drop its own.
 *
 * Context: folio locked, with a reference of the caller's. Does not sleep.
 *
 * Return: 0. -EAGAIN if the folio is not mapped any more: look the page up again.
 * -EBUSY if it is held, since an exporter did not let go of it: the same, after a
 * while (it is mapped again by a page fault, or another folio is). -EOPNOTSUPP
 * for what cannot be exported: hugetlb, DAX and other device memory, the zero
 * page, pages of a driver. -EINVAL if it is not locked.
 */
int mmu_rmap_export_folio(struct mmu_rmap_notifier *notifier,
			  struct folio *folio)
{
	struct page_ext *page_ext;
	atomic64_t *word;
	u64 old;

	if (WARN_ON_ONCE(!folio_test_locked(folio)))
		return -EINVAL;
	if (!mmu_rmap_can_export(folio))
		return -EOPNOTSUPP;
	if (!folio_mapped(folio))
		return -EAGAIN;
	/* Truncation unmaps first: this one never was in a file or anonymous. */
	if (!folio->mapping)
		return -EOPNOTSUPP;

	page_ext = page_ext_get(&folio->page);
	if (!page_ext)
		return -EOPNOTSUPP;
	word = mmu_rmap_word(page_ext);
	old = atomic64_read(word);
	do {
		if ((old & MMU_RMAP_HELD) ||
		    (old & MMU_RMAP_COUNT) == MMU_RMAP_COUNT) {
			page_ext_put(page_ext);
			return -EBUSY;
		}
	} while (!atomic64_try_cmpxchg(word, (s64 *)&old, (old + 1) |
				       MMU_RMAP_EXPORTER(notifier->bit)));
	page_ext_put(page_ext);
	atomic_long_inc(&notifier->exports);
	return 0;
}
EXPORT_SYMBOL_GPL(mmu_rmap_export_folio);

/**
 * mmu_rmap_unexport_folio() - undo one mmu_rmap_export_folio()
 * @notifier: the exporter that made it.
 * @folio: the folio. It may be gone upon return.
 *
 * The external mapping is out of use, and folio_mark_dirty() has been called if
 * it was written to.
 *
 * Context: any but NMI. The folio need not be locked.
 */
void mmu_rmap_unexport_folio(struct mmu_rmap_notifier *notifier,
			     struct folio *folio)
{
	struct page_ext *page_ext = page_ext_get(&folio->page);
	atomic64_t *word;
	u64 old, new;

	if (WARN_ON_ONCE(!page_ext))
		return;
	word = mmu_rmap_word(page_ext);
	old = atomic64_read(word);
	do {
		if (WARN_ONCE(!(old & MMU_RMAP_COUNT),
			      "%ps unexports what is not exported\n",
			      notifier->ops->invalidate_folio)) {
			page_ext_put(page_ext);
			return;
		}
		new = old - 1;
		if (!(new & MMU_RMAP_COUNT))
			new = 0;
		/* Full barrier: (E). The folio is not ours behind it. */
	} while (!atomic64_try_cmpxchg(word, (s64 *)&old, new));
	page_ext_put(page_ext);
	atomic_long_dec(&notifier->exports);
	if (!new && (old & MMU_RMAP_HELD))
		folio_put(folio);
}
EXPORT_SYMBOL_GPL(mmu_rmap_unexport_folio);

/*
 * Keep a folio, which cannot be freed right now, until its last export is gone.
 * False: it is gone already.
 */
VISIBLE_IF_KUNIT bool mmu_rmap_hold_folio(struct folio *folio)
{
	struct page_ext *page_ext = page_ext_get(&folio->page);
	atomic64_t *word;
	u64 old;

	if (WARN_ON_ONCE(!page_ext))
		return false;
	word = mmu_rmap_word(page_ext);
	/* Before it is promised: from then on somebody else drops it. */
	folio_get(folio);
	old = atomic64_read_acquire(word);
	do {
		if (!(old & MMU_RMAP_COUNT) || (old & MMU_RMAP_HELD)) {
			page_ext_put(page_ext);
			folio_put(folio);
			return old & MMU_RMAP_COUNT;
		}
	} while (!atomic64_try_cmpxchg(word, (s64 *)&old, old | MMU_RMAP_HELD));
	page_ext_put(page_ext);
	return true;
}

/*
 * Walks
 */

static const char * const mmu_rmap_events[] = {
	[MMU_RMAP_RECLAIM] = "reclaim",
	[MMU_RMAP_MIGRATE] = "migration",
	[MMU_RMAP_TRUNCATE] = "truncation",
	[MMU_RMAP_SPLIT] = "split",
	[MMU_RMAP_MERGE] = "merge",
	[MMU_RMAP_POISON] = "poison",
	[MMU_RMAP_CLEAN] = "writeback",
};

static int mmu_rmap_call(struct mmu_rmap_notifier *notifier,
			 struct folio *folio, enum mmu_rmap_event event)
{
	bool clean = event == MMU_RMAP_CLEAN && notifier->ops->write_protect_folio;
	u64 began = mmu_trace_clock();
	int ret;

	lock_map_acquire_read(&mmu_rmap_callback_map);
	if (clean)
		ret = notifier->ops->write_protect_folio(notifier, folio);
	else
		ret = notifier->ops->invalidate_folio(notifier, folio, event);
	lock_map_release(&mmu_rmap_callback_map);
	trace_mmu_notifier_rmap_invalidate(clean ?
					   (void *)notifier->ops->write_protect_folio :
					   (void *)notifier->ops->invalidate_folio,
					   folio_pfn(folio), folio_nr_pages(folio),
					   event, ret, mmu_trace_clock() - began);

	WARN_ONCE(ret && ret != -EBUSY, "%ps answers %d\n",
		  notifier->ops->invalidate_folio, ret);
	if (ret)
		pr_info_ratelimited("%ps keeps page %#lx from %s\n",
				    notifier->ops->invalidate_folio,
				    folio_pfn(folio), mmu_rmap_events[event]);
	return ret;
}

/* Ask whoever may have the folio. Returns whether anybody refused. */
static bool mmu_rmap_ask(struct folio *folio, u64 word,
			 enum mmu_rmap_event event)
{
	struct mmu_rmap_notifier *notifier = NULL;
	bool refused = false;

	might_sleep();
	while ((notifier = mmu_rmap_next(notifier, word))) {
		if (mmu_rmap_call(notifier, folio, event))
			refused = true;
	}
	return refused;
}

int __mmu_rmap_invalidate_folio(struct folio *folio, enum mmu_rmap_event event)
{
	u64 word = mmu_rmap_read(&folio->page);
	bool refused;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);
	if (likely(!word))
		return 0;

	refused = mmu_rmap_ask(folio, word, event);
	/* By the number, not by what they say: it keeps the memory safe (R2). */
	if (!mmu_rmap_hold_folio(folio))
		return 0;
	WARN_ONCE(!refused, "page %#lx is exported still, and nobody refused\n",
		  folio_pfn(folio));
	return -EBUSY;
}

bool __mmu_rmap_invalidate_lazyfree(struct folio *folio)
{
	if (!folio_test_anon(folio) || folio_test_swapbacked(folio))
		return false;
	__mmu_rmap_invalidate_folio(folio, MMU_RMAP_RECLAIM);
	return true;
}

bool __mmu_rmap_clean_folio(struct folio *folio)
{
	u64 word = mmu_rmap_read(&folio->page);
	bool dirty = folio_test_dirty(folio);

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);
	if (likely(!word))
		return false;

	/* Whoever still can write, says later that it did. */
	if (mmu_rmap_ask(folio, word, MMU_RMAP_CLEAN) && mmu_rmap_hold_folio(folio))
		return true;
	return !dirty && folio_test_dirty(folio);
}

bool __mmu_rmap_clear_young_folio(struct folio *folio)
{
	u64 word = mmu_rmap_read(&folio->page);
	struct mmu_rmap_notifier *notifier = NULL;
	bool young = false;

	VM_WARN_ON_ONCE_FOLIO(!folio_test_locked(folio), folio);
	if (likely(!word))
		return false;

	might_sleep();
	while ((notifier = mmu_rmap_next(notifier, word))) {
		if (!notifier->ops->clear_young_folio)
			continue;
		lock_map_acquire_read(&mmu_rmap_callback_map);
		young |= notifier->ops->clear_young_folio(notifier, folio);
		lock_map_release(&mmu_rmap_callback_map);
	}
	return young;
}

/*
 * Freeing
 */

/* Returns true, for KUnit to redirect it. */
VISIBLE_IF_KUNIT bool mmu_rmap_report_freed(struct page *page, u64 word)
{
	struct mmu_rmap_notifier *notifier;

	KUNIT_STATIC_STUB_REDIRECT(mmu_rmap_report_freed, page, word);

	pr_alert("BUG: page %#lx freed with %llu exports\n", page_to_pfn(page),
		 word & MMU_RMAP_COUNT);
	rcu_read_lock();
	list_for_each_entry_rcu(notifier, &mmu_rmap_list, node) {
		if (word & MMU_RMAP_EXPORTER(notifier->bit))
			pr_alert("exporter: %ps\n",
				 notifier->ops->invalidate_folio);
	}
	rcu_read_unlock();
	WARN_ONCE(1, "an exporter kept a page whose mapping is gone\n");
	add_taint(TAINT_BAD_PAGE, LOCKDEP_NOW_UNRELIABLE);
	return true;
}

/*
 * The word stays, so that what the exporter does next is counted correctly, and
 * the page stays out of the allocator for ever.
 */
bool __mmu_rmap_page_exported(struct page *page)
{
	u64 word = mmu_rmap_read(page);

	return unlikely(word) && mmu_rmap_report_freed(page, word);
}
