// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: the contract checker.
 *
 * Here is what concerns ranges, callbacks and SPTEs; whether each change of an
 * entry is covered by a range is asked in mm/mmu_notifier_check_coverage.c. The
 * rules, and what can be switched on, are in
 * Documentation/mm/mmu_notifier/rules.rst.
 *
 * A violation is reported once for each kind and each function that is to blame,
 * except for slow callbacks, which are told of at a limited rate. Under KUnit
 * nothing is printed for a test that counts reports: see MMU_REPORTS_RESOURCE.
 */

#define pr_fmt(fmt) "MMU notifier: " fmt

#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/page_ext.h>
#include <linux/ratelimit.h>
#include <linux/rmap.h>
#include <linux/sched/debug.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <kunit/test-bug.h>
#if IS_ENABLED(CONFIG_KUNIT)
#include <kunit/resource.h>
#endif

#include "mmu_notifier.h"
#include "mmu_notifier_check.h"
#include "mmu_notifier_record.h"

/* Bits of enum mmu_report_kind. Written at boot. */
unsigned int mmu_notifier_checks __ro_after_init;

/* Exported for drivers that say where their SPTEs point to. */
DEFINE_STATIC_KEY_FALSE(mmu_notifier_checking);
EXPORT_SYMBOL_GPL(mmu_notifier_checking);

unsigned int mmu_notifier_slow_ms = 1000;
module_param_named(slow_ms, mmu_notifier_slow_ms, uint, 0644);
MODULE_PARM_DESC(slow_ms, "Callbacks that take longer are reported; milliseconds, 0: none");

static const char * const mmu_kind_names[MMU_REPORT_KINDS] = {
	[MMU_REPORT_COVERAGE]	= "coverage",
	[MMU_REPORT_LOCKS]	= "locks",
	[MMU_REPORT_BALANCE]	= "balance",
	[MMU_REPORT_SEQUENCE]	= "sequence",
	[MMU_REPORT_SLEPT]	= "slept",
	[MMU_REPORT_DEADLOCK]	= "deadlock",
	[MMU_REPORT_LATE]	= "late",
	[MMU_REPORT_SLOW]	= "slow",
	[MMU_REPORT_PAGES]	= "pages",
};

/*
 * Reports
 */

/* Does a test count this? */
static bool mn_counted(enum mmu_report_kind kind)
{
#if IS_ENABLED(CONFIG_KUNIT)
	struct kunit *test = kunit_get_current_test();
	struct kunit_resource *resource;
	struct mmu_reports *reports;

	if (!test)
		return false;
	resource = kunit_find_named_resource(test, MMU_REPORTS_RESOURCE);
	if (!resource)
		return false;
	reports = resource->data;
	reports->nr[kind]++;
	kunit_put_resource(resource);
	return true;
#else
	return false;
#endif
}

/* Has this kind been reported of @who before? Some that were not may be taken so. */
static bool mn_known(enum mmu_report_kind kind, const void *who)
{
	static DECLARE_BITMAP(known, 1024);

	return test_and_set_bit(hash_long((unsigned long)who ^ kind, 10), known);
}

/**
 * mmu_notifier_report() - say that the contract has been violated
 * @kind: the sort of violation.
 * @who: the function to blame, to report it once.
 * @mm: the address space, whose ranges are printed; or NULL.
 * @fmt: what it is, in one line without its end; and arguments.
 *
 * Context: any but NMI.
 */
void mmu_notifier_report(enum mmu_report_kind kind, const void *who,
			 struct mm_struct *mm, const char *fmt, ...)
{
	struct va_format vaf;
	va_list args;

	if (mn_counted(kind) || mn_known(kind, who))
		return;

	va_start(args, fmt);
	vaf.fmt = fmt;
	vaf.va = &args;
	if (mm)
		mmu_record_print(mm);
	WARN(1, "MMU notifier: %s: %pV\n", mmu_kind_names[kind], &vaf);
	va_end(args);
}

/*
 * Locks. A registration waits for those ranges that it did not reach by passing
 * through these.
 */

#ifdef CONFIG_LOCKDEP
static bool mn_vma_locked(struct vm_area_struct *vma)
{
	struct file *file = READ_ONCE(vma->vm_file);
	struct anon_vma *anon_vma = READ_ONCE(vma->anon_vma);

#ifdef CONFIG_PER_VMA_LOCK
	if (vma->vm_lock && lockdep_is_held(&vma->vm_lock->lock))
		return true;
#endif
	/*
	 * If none is held the VMA may be going away. Files and anon_vmas stay what
	 * they are within RCU, and of the locks only the addresses are looked at.
	 */
	if (file) {
		struct address_space *mapping = READ_ONCE(file->f_mapping);

		if (mapping && lockdep_is_held(&mapping->i_mmap_rwsem))
			return true;
	}
	return anon_vma && lockdep_is_held(&READ_ONCE(anon_vma->root)->rwsem);
}

static bool mn_locked(const struct mmu_notifier_range *range)
{
	MA_STATE(mas, &range->mm->mm_mt, range->start, range->start);
	struct vm_area_struct *vma;
	bool any = false, ret = false;

	if (!debug_locks || lockdep_is_held(&range->mm->mmap_lock))
		return true;

	rcu_read_lock();
	mas_for_each(&mas, vma, range->end - 1) {
		any = true;
		ret = mn_vma_locked(vma);
		if (ret)
			break;
	}
	rcu_read_unlock();
	return ret || !any;
}
#else
static bool mn_locked(const struct mmu_notifier_range *range)
{
	return true;
}
#endif

static void mn_check_locks(const struct mmu_notifier_range *range,
			   const void *caller, const char *what)
{
	/* Exit keeps everybody out; a test's mm has no VMAs. */
	if (!mmu_checks(MMU_REPORT_LOCKS) || !atomic_read(&range->mm->mm_users) ||
	    mn_locked(range))
		return;
	mmu_notifier_report(MMU_REPORT_LOCKS, caller, range->mm,
			    "%pS %s [%#lx, %#lx) for %s without a lock that registration passes through",
			    caller, what, range->start, range->end,
			    mmu_event_name(range->event));
}

/*
 * Ranges
 */

void __mmu_check_start(const struct mmu_notifier_range *range,
		       const void *caller)
{
	mn_check_locks(range, caller, "starts");
}

/* The frame that the range was in has returned, or the task has exited. */
void mmu_check_not_ended(const struct mmu_record *record)
{
	if (mmu_checks(MMU_REPORT_BALANCE))
		mmu_notifier_report(MMU_REPORT_BALANCE, record->caller, NULL,
				    "%pS started [%#lx, %#lx) for %s, and %s/%d has not ended it",
				    record->caller, record->start, record->end,
				    mmu_event_name(record->event),
				    record->task->comm, record->task->pid);
}

struct mn_foreign {
	const struct mmu_notifier_range *range;
	struct mmu_record record;
};

/* Take the record away from the task that started the range, reference and all. */
static void mn_take(struct mmu_record *record, void *data)
{
	struct mn_foreign *foreign = data;

	if (record->range != foreign->range || foreign->record.task)
		return;
	foreign->record = *record;
	record->task = NULL;
}

static void mn_ends_what_it_did_not_start(const struct mmu_notifier_range *range,
					  const void *caller)
{
	struct mn_foreign foreign = { .range = range };
	struct task_struct *task;

	mmu_record_each(mn_take, &foreign);
	task = foreign.record.task;
	if (task) {
		mmu_notifier_report(MMU_REPORT_BALANCE, caller, range->mm,
				    "%pS ends [%#lx, %#lx), which %pS started in another task, %s/%d",
				    caller, range->start, range->end,
				    foreign.record.caller, task->comm, task->pid);
		put_task_struct(task);
	} else {
		mmu_notifier_report(MMU_REPORT_BALANCE, caller, range->mm,
				    "%pS ends [%#lx, %#lx), which nobody has started",
				    caller, range->start, range->end);
	}
}

void __mmu_check_end(const struct mmu_notifier_range *range, const void *caller,
		     const struct mmu_record *record)
{
	mn_check_locks(range, caller, "ends");
	if (!mmu_checks(MMU_REPORT_BALANCE))
		return;
	if (!record) {
		mn_ends_what_it_did_not_start(range, caller);
	} else if (record->task && (record->mm != range->mm ||
				    record->start != range->start ||
				    record->end != range->end)) {
		mmu_notifier_report(MMU_REPORT_BALANCE, caller, range->mm,
				    "%pS started [%#lx, %#lx), and %pS ends it as [%#lx, %#lx)",
				    record->caller, record->start, record->end,
				    caller, range->start, range->end);
	}
}

void __mmu_check_wait(struct mm_struct *mm, unsigned long start,
		      unsigned long last, const void *who, const char *what)
{
	struct mmu_notifier_range *range;

	if (!mmu_checks(MMU_REPORT_DEADLOCK))
		return;
	range = mmu_record_find(mm, start, last);
	if (!range)
		return;
	mmu_notifier_report(MMU_REPORT_DEADLOCK, who, mm,
			    "%ps: %s from within a range of the same mm, which it waits for",
			    who, what);
	/* In a callback there is no way out: start goes on when that returns. */
	if (range->subscriptions && !mmu_record_calling(range))
		mmu_notifier_invalidate_range_end(range);
}

/*
 * Callbacks
 */

void __mmu_check_called(const struct mmu_notifier_range *range,
			const struct mmu_record *record, u64 took)
{
	const void *callback = record->callback;
	unsigned int limit = READ_ONCE(mmu_notifier_slow_ms);

	/* With PREEMPT_RT a spinlock may sleep, which is not meant. */
	if (mmu_checks(MMU_REPORT_SLEPT) && !IS_ENABLED(CONFIG_PREEMPT_RT) &&
	    !mmu_notifier_range_blockable(range) &&
	    current->nvcsw != record->switches)
		mmu_notifier_report(MMU_REPORT_SLEPT, callback, range->mm,
				    "%ps slept in a range that is not blockable",
				    callback);

	if (mmu_checks(MMU_REPORT_SLOW) && limit &&
	    took > limit * (u64)NSEC_PER_MSEC && !mn_counted(MMU_REPORT_SLOW)) {
		struct mmu_process owner;

		mmu_process_of(range->mm, &owner);
		pr_warn_ratelimited("slow: %pS took %llu ms for %s/%d, called by %s/%d\n",
				    callback, took / NSEC_PER_MSEC, owner.comm,
				    owner.pid, current->comm, current->pid);
	}
}

/*
 * Some callbacks never return, and some tasks die before their ranges end.
 */

struct mn_stuck {
	struct mmu_record record;
	struct mmu_process owner;
	u64 now;
	bool found;
	bool dead;
};

static void mn_look(struct mmu_record *record, void *data)
{
	unsigned int limit = READ_ONCE(mmu_notifier_slow_ms);
	struct mn_stuck *stuck = data;
	bool dead = READ_ONCE(record->task->exit_state);

	if (stuck->found)
		return;
	if (!dead && (!limit || !record->callback || record->warned ||
		      stuck->now < record->called + limit * (u64)NSEC_PER_MSEC))
		return;
	stuck->record = *record;
	stuck->found = true;
	stuck->dead = dead;
	if (dead) {
		record->task = NULL;	/* its reference is ours now */
		return;
	}
	record->warned = true;
	get_task_struct(record->task);
	/* While its range is in flight an mm stays. */
	mmu_process_of(record->mm, &stuck->owner);
}

static void mn_watchdog(struct work_struct *work);
static DECLARE_DELAYED_WORK(mn_watchdog_work, mn_watchdog);

static void mn_watchdog(struct work_struct *work)
{
	struct mn_stuck stuck = {};

	for (;;) {
		struct mmu_record *record = &stuck.record;
		struct task_struct *task;

		stuck.found = false;
		stuck.now = ktime_get_ns();
		mmu_record_each(mn_look, &stuck);
		if (!stuck.found)
			break;
		task = record->task;
		if (stuck.dead) {
			mmu_check_not_ended(record);
		} else if (mmu_checks(MMU_REPORT_SLOW)) {
			pr_warn("slow: %pS has not returned for %llu ms to %s/%d, for %s [%#lx, %#lx) of %s/%d\n",
				record->callback,
				(stuck.now - record->called) / NSEC_PER_MSEC,
				task->comm, task->pid,
				mmu_event_name(record->event), record->start,
				record->end, stuck.owner.comm, stuck.owner.pid);
			sched_show_task(task);
		}
		put_task_struct(task);
		cond_resched();
	}
	schedule_delayed_work(&mn_watchdog_work, HZ / 2);
}

/*
 * SPTEs: how many point to a page, and who said so last.
 */

struct mn_spte_count {
	atomic_t nr;
	const void *who;
};

/* In @who: the page was freed while SPTEs pointed to it. */
#define MN_REPORTED	ERR_PTR(-ESTALE)

static bool mn_need_page_ext(void)
{
	return mmu_notifier_checks & BIT(MMU_REPORT_PAGES);
}

struct page_ext_operations mmu_check_page_ext_ops = {
	.size = sizeof(struct mn_spte_count),
	.need = mn_need_page_ext,
	.need_shared_flags = false,
};

static struct mn_spte_count *mn_spte_count(struct page_ext *ext)
{
	return page_ext_data(ext, &mmu_check_page_ext_ops);
}

void __mmu_notifier_spte_set(struct page *page, const void *who)
{
	struct page_ext *ext;

	if (!mmu_checks(MMU_REPORT_PAGES))
		return;
	ext = page_ext_get(page);
	if (!ext)
		return;
	if (!page_ref_count(compound_head(page)) && !is_zone_device_page(page))
		mmu_notifier_report(MMU_REPORT_PAGES, who, NULL,
				    "%ps: an SPTE is made for pfn %#lx, which is free",
				    who, page_to_pfn(page));
	WRITE_ONCE(mn_spte_count(ext)->who, who);
	atomic_inc(&mn_spte_count(ext)->nr);
	page_ext_put(ext);
}
EXPORT_SYMBOL_GPL(__mmu_notifier_spte_set);

void __mmu_notifier_spte_clear(struct page *page, const void *who)
{
	struct page_ext *ext;

	if (!mmu_checks(MMU_REPORT_PAGES))
		return;
	ext = page_ext_get(page);
	if (!ext)
		return;
	/* What was reported when the page was freed goes without a word. */
	if (atomic_dec_if_positive(&mn_spte_count(ext)->nr) < 0 &&
	    READ_ONCE(mn_spte_count(ext)->who) != MN_REPORTED)
		mmu_notifier_report(MMU_REPORT_PAGES, who, NULL,
				    "%ps: no SPTE is known to point to pfn %#lx, and one goes",
				    who, page_to_pfn(page));
	page_ext_put(ext);
}
EXPORT_SYMBOL_GPL(__mmu_notifier_spte_clear);

void __mmu_check_page_free(struct page *page, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++) {
		struct page_ext *ext = page_ext_get(page + i);
		const void *who;
		int nr;

		if (!ext)
			continue;
		nr = atomic_xchg(&mn_spte_count(ext)->nr, 0);
		who = READ_ONCE(mn_spte_count(ext)->who);
		if (nr)
			WRITE_ONCE(mn_spte_count(ext)->who, MN_REPORTED);
		page_ext_put(ext);
		if (nr)
			mmu_notifier_report(MMU_REPORT_PAGES, who, NULL,
					    "pfn %#lx is freed while %d SPTEs of %ps point to it",
					    page_to_pfn(page + i), nr, who);
	}
}

/*
 * Switching it on
 */

static int __init mn_parse(char *words)
{
	char *word;

	while ((word = strsep(&words, ","))) {
		int kind = match_string(mmu_kind_names, MMU_REPORT_KINDS, word);

		if (!strcmp(word, "all"))
			mmu_notifier_checks = BIT(MMU_REPORT_KINDS) - 1;
		else if (!strcmp(word, "off"))
			mmu_notifier_checks = 0;
		else if (kind >= 0)
			mmu_notifier_checks |= BIT(kind);
		else
			pr_err("debug_mmu_notifier=%s: all, off, coverage, locks, balance, sequence, slept, deadlock, late, slow and pages are known\n",
			       word);
	}
	return 0;
}
early_param("debug_mmu_notifier", mn_parse);

static int __init mn_check_init(void)
{
	unsigned long checks = mmu_notifier_checks;
	unsigned int kind;

	if (!mmu_notifier_checks)
		return 0;
	if (mmu_record_get()) {
		pr_err("no memory to check with\n");
		mmu_notifier_checks = 0;
		return -ENOMEM;
	}
	static_branch_enable(&mmu_notifier_checking);
	schedule_delayed_work(&mn_watchdog_work, HZ);
	for_each_set_bit(kind, &checks, MMU_REPORT_KINDS)
		pr_info("checking: %s\n", mmu_kind_names[kind]);
	return 0;
}
subsys_initcall(mn_check_init);
