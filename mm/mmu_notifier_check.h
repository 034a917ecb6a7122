/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers: the contract checker, as the core and mm/ see it.
 *
 * Words: a *kind* is one sort of violation, and can be switched on by itself, by
 * debug_mmu_notifier= on the kernel's command line. A *report* is what is printed
 * of a violation. The checker lives on records (mm/mmu_notifier_record.h), and
 * runs from boot or not at all: what was in flight before could not be judged.
 */
#ifndef _MM_MMU_NOTIFIER_CHECK_H
#define _MM_MMU_NOTIFIER_CHECK_H

#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_check.h>
#include <linux/mmu_notifier_coverage.h>
#include <linux/mmu_notifier_hooks.h>

struct mmu_record;
struct page_ext_operations;

/**
 * enum mmu_report_kind - what is checked
 * @MMU_REPORT_COVERAGE: an entry changed, and no range in flight covers it (R1).
 * @MMU_REPORT_LOCKS: a range starts or ends under none of the locks that
 *	registration passes through. Needs lockdep.
 * @MMU_REPORT_BALANCE: a start without its end, or another range's (R5).
 * @MMU_REPORT_SEQUENCE: a callback does not store the sequence that the readers
 *	of its subscription rely on (R3).
 * @MMU_REPORT_SLEPT: a callback slept that must not.
 * @MMU_REPORT_DEADLOCK: somebody waits for ranges of an mm from within one.
 * @MMU_REPORT_LATE: a callback is called after its subscription has ended (R6).
 * @MMU_REPORT_SLOW: a callback takes longer than mmu_notifier_check.slow_ms.
 * @MMU_REPORT_PAGES: a page is freed that an SPTE points to (R2).
 * @MMU_REPORT_KINDS: their number.
 */
enum mmu_report_kind {
	MMU_REPORT_COVERAGE,
	MMU_REPORT_LOCKS,
	MMU_REPORT_BALANCE,
	MMU_REPORT_SEQUENCE,
	MMU_REPORT_SLEPT,
	MMU_REPORT_DEADLOCK,
	MMU_REPORT_LATE,
	MMU_REPORT_SLOW,
	MMU_REPORT_PAGES,
	MMU_REPORT_KINDS,
};

const char *mmu_event_name(enum mmu_notifier_event event);
const char *mmu_exemption_name(enum mmu_exemption why);

/* The name of a KUnit resource that counts reports, by kind, for its test. */
#define MMU_REPORTS_RESOURCE	"mmu_notifier_reports"

struct mmu_reports {
	unsigned int nr[MMU_REPORT_KINDS];
};

#ifdef CONFIG_DEBUG_MMU_NOTIFIER

extern unsigned int mmu_notifier_checks;
extern unsigned int mmu_notifier_slow_ms;
extern struct page_ext_operations mmu_check_page_ext_ops;

static __always_inline bool mmu_checks(enum mmu_report_kind kind)
{
	return static_branch_unlikely(&mmu_notifier_checking) &&
	       mmu_notifier_checks & BIT(kind);
}

__printf(4, 5)
void mmu_notifier_report(enum mmu_report_kind kind, const void *who,
			 struct mm_struct *mm, const char *fmt, ...);

void __mmu_check_start(const struct mmu_notifier_range *range,
		       const void *caller);
void __mmu_check_end(const struct mmu_notifier_range *range, const void *caller,
		     const struct mmu_record *record);
void __mmu_check_called(const struct mmu_notifier_range *range,
			const struct mmu_record *record, u64 took);
void __mmu_check_wait(struct mm_struct *mm, unsigned long start,
		      unsigned long last, const void *who, const char *what);
void __mmu_check_page_free(struct page *page, unsigned int order);
void mmu_check_not_ended(const struct mmu_record *record);

static inline void mmu_check_start(const struct mmu_notifier_range *range,
				   const void *caller)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_check_start(range, caller);
}

static inline void mmu_check_end(const struct mmu_notifier_range *range,
				 const void *caller,
				 const struct mmu_record *record)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_check_end(range, caller, record);
}

static inline void mmu_check_called(const struct mmu_notifier_range *range,
				    const struct mmu_record *record, u64 took)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_check_called(range, record, took);
}

/**
 * mmu_check_wait() - before waiting for ranges that are in flight
 * @mm: the address space that they belong to.
 * @start: first address that is waited for, in bytes.
 * @last: last address, in bytes.
 * @who: a callback of who waits, for the report.
 * @what: what is going on: "unregistered" and so on.
 *
 * A task that is inside such a range would wait for itself. That is reported, and
 * the range is ended, so that the kernel goes on.
 */
static inline void mmu_check_wait(struct mm_struct *mm, unsigned long start,
				  unsigned long last, const void *who,
				  const char *what)
{
	if (static_branch_unlikely(&mmu_notifier_checking))
		__mmu_check_wait(mm, start, last, who, what);
}

/**
 * mmu_check_late() - is this subscription told after its end?
 * @range: what it is told.
 * @callback: the one that is about to be called.
 * @ended: whether its end has been waited for.
 */
static inline void mmu_check_late(const struct mmu_notifier_range *range,
				  const void *callback, bool ended)
{
	if (mmu_checks(MMU_REPORT_LATE) && ended)
		mmu_notifier_report(MMU_REPORT_LATE, callback, range->mm,
				    "%ps: called after its subscription ended", callback);
}

/**
 * mmu_check_sequence() - has an interval subscription stored the sequence?
 * @subscription: the subscription that was told.
 * @range: what it was told.
 * @callback: the one that was called.
 * @before: its sequence before that.
 *
 * Matters if its readers ask mmu_interval_read_retry(). Ranges in parallel store
 * theirs in any order, but none stores what was there before.
 */
static inline void
mmu_check_sequence(const struct mmu_interval_notifier *subscription,
		   const struct mmu_notifier_range *range, const void *callback,
		   unsigned long before)
{
	if (!mmu_checks(MMU_REPORT_SEQUENCE) || !READ_ONCE(subscription->retries) ||
	    READ_ONCE(subscription->invalidate_seq) != before)
		return;
	/* What a driver causes itself, and the end, it may disregard. */
	if (range->event != MMU_NOTIFY_MIGRATE &&
	    range->event != MMU_NOTIFY_EXCLUSIVE &&
	    range->event != MMU_NOTIFY_RELEASE)
		mmu_notifier_report(MMU_REPORT_SEQUENCE, callback, range->mm,
				    "%ps did not call mmu_interval_set_seq()",
				    callback);
}

/**
 * mmu_check_page_free() - a page goes back to the allocator
 * @page: the first page.
 * @order: how many there are, as a power of two.
 */
static inline void mmu_check_page_free(struct page *page, unsigned int order)
{
	if (mmu_checks(MMU_REPORT_PAGES))
		__mmu_check_page_free(page, order);
}

#else /* !CONFIG_DEBUG_MMU_NOTIFIER */

static inline void mmu_check_not_ended(const struct mmu_record *record)
{
}

static inline void mmu_check_start(const struct mmu_notifier_range *range,
				   const void *caller)
{
}

static inline void mmu_check_end(const struct mmu_notifier_range *range,
				 const void *caller,
				 const struct mmu_record *record)
{
}

static inline void mmu_check_called(const struct mmu_notifier_range *range,
				    const struct mmu_record *record, u64 took)
{
}

static inline void mmu_check_wait(struct mm_struct *mm, unsigned long start,
				  unsigned long last, const void *who,
				  const char *what)
{
}

static inline void mmu_check_late(const struct mmu_notifier_range *range,
				  const void *callback, bool ended)
{
}

static inline void
mmu_check_sequence(const struct mmu_interval_notifier *subscription,
		   const struct mmu_notifier_range *range, const void *callback,
		   unsigned long before)
{
}

static inline void mmu_check_page_free(struct page *page, unsigned int order)
{
}

#endif /* CONFIG_DEBUG_MMU_NOTIFIER */

#endif /* _MM_MMU_NOTIFIER_CHECK_H */
