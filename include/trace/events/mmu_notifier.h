/* SPDX-License-Identifier: GPL-2.0 */
/*
 * MMU notifiers at work. "pid" is the process that the address space belongs to;
 * who changes it is the task of the event. Times are in nanoseconds. The fields
 * are explained in Documentation/mm/mmu_notifier/seeing.rst.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mmu_notifier

#if !defined(_TRACE_MMU_NOTIFIER_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_MMU_NOTIFIER_H

#include <linux/mmu_notifier.h>
#include <linux/mmu_rmap_notifier.h>
#include <linux/tracepoint.h>

#ifndef _TRACE_MMU_NOTIFIER_ENUMS
#define _TRACE_MMU_NOTIFIER_ENUMS
/* What a reader of an interval subscription is told. */
enum mmu_collision {
	MMU_COLLISION_WAIT,	/* mmu_interval_read_begin() waited */
	MMU_COLLISION_RETRY,	/* mmu_interval_read_retry() returned true */
};
#endif

#define MMU_NOTIFIER_EVENTS						\
	EM(MMU_NOTIFY_UNMAP,		"unmap")			\
	EM(MMU_NOTIFY_CLEAR,		"clear")			\
	EM(MMU_NOTIFY_PROTECTION_VMA,	"protection_vma")		\
	EM(MMU_NOTIFY_PROTECTION_PAGE,	"protection_page")		\
	EM(MMU_NOTIFY_SOFT_DIRTY,	"soft_dirty")			\
	EM(MMU_NOTIFY_RELEASE,		"release")			\
	EM(MMU_NOTIFY_MIGRATE,		"migrate")			\
	EMe(MMU_NOTIFY_EXCLUSIVE,	"exclusive")

/* What becomes of the memory; "-": the event says it, or the worst is meant. */
#define MMU_NOTIFIER_DETAILS						\
	{ 0,				"-" },				\
	{ MMU_NOTIFIER_RANGE_DROP,	"drop" },			\
	{ MMU_NOTIFIER_RANGE_MOVE,	"move" },			\
	{ MMU_NOTIFIER_RANGE_REPLACE,	"replace" },			\
	{ MMU_NOTIFIER_RANGE_FORK,	"fork" },			\
	{ MMU_NOTIFIER_RANGE_KEEP,	"keep" }

#define MMU_NOTIFIER_COLLISIONS						\
	EM(MMU_COLLISION_WAIT,		"wait")				\
	EMe(MMU_COLLISION_RETRY,	"retry")

#define MMU_NOTIFIER_RMAP_EVENTS					\
	EM(MMU_RMAP_RECLAIM,		"reclaim")			\
	EM(MMU_RMAP_MIGRATE,		"migration")			\
	EM(MMU_RMAP_TRUNCATE,		"truncation")			\
	EM(MMU_RMAP_SPLIT,		"split")			\
	EM(MMU_RMAP_MERGE,		"merge")			\
	EM(MMU_RMAP_POISON,		"poison")			\
	EMe(MMU_RMAP_CLEAN,		"writeback")

/* First the values, for who reads the buffer; then the table for printing. */
#undef EM
#undef EMe
#define EM(value, name)		TRACE_DEFINE_ENUM(value);
#define EMe(value, name)	TRACE_DEFINE_ENUM(value);

MMU_NOTIFIER_EVENTS
MMU_NOTIFIER_COLLISIONS
MMU_NOTIFIER_RMAP_EVENTS

#undef EM
#undef EMe
#define EM(value, name)		{ value, name },
#define EMe(value, name)	{ value, name }

/* Of ranges and callbacks there are records while somebody has a probe here. */
TRACE_EVENT_FN(mmu_notifier_range_start,

	TP_PROTO(const struct mmu_notifier_range *range),

	TP_ARGS(range),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	end)
		__field(pid_t,		pid)
		__field(int,		event)
		__field(unsigned int,	detail)
		__field(bool,		blockable)
		__field(bool,		rmap)
	),

	TP_fast_assign(
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->pid = mmu_process_pid(range->mm);
		__entry->event = range->event;
		__entry->detail = range->flags & MMU_NOTIFIER_RANGE_DETAIL;
		__entry->blockable = range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE;
		__entry->rmap = range->flags & MMU_NOTIFIER_RANGE_RMAP;
	),

	TP_printk("pid=%d start=0x%lx end=0x%lx event=%s detail=%s blockable=%d rmap=%d",
		  __entry->pid, __entry->start, __entry->end,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		  __print_symbolic(__entry->detail, MMU_NOTIFIER_DETAILS),
		  __entry->blockable, __entry->rmap),

	mmu_record_get, mmu_record_put
);

/* With a result other than 0 the range was called off by its start. */
TRACE_EVENT_FN(mmu_notifier_range_end,

	TP_PROTO(const struct mmu_notifier_range *range, int result, u64 duration),

	TP_ARGS(range, result, duration),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	end)
		__field(u64,		duration)
		__field(pid_t,		pid)
		__field(int,		event)
		__field(int,		result)
	),

	TP_fast_assign(
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->duration = duration;
		__entry->pid = mmu_process_pid(range->mm);
		__entry->event = range->event;
		__entry->result = result;
	),

	TP_printk("pid=%d start=0x%lx end=0x%lx event=%s result=%d duration=%llu",
		  __entry->pid, __entry->start, __entry->end,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		  __entry->result, __entry->duration),

	mmu_record_get, mmu_record_put
);

TRACE_EVENT_FN(mmu_notifier_invalidate,

	TP_PROTO(const struct mmu_notifier_range *range, const void *callback,
		 int result, u64 duration),

	TP_ARGS(range, callback, result, duration),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	end)
		__field(const void *,	callback)
		__field(u64,		duration)
		__field(pid_t,		pid)
		__field(int,		event)
		__field(int,		result)
		__field(bool,		blockable)
	),

	TP_fast_assign(
		__entry->start = range->start;
		__entry->end = range->end;
		__entry->callback = callback;
		__entry->duration = duration;
		__entry->pid = mmu_process_pid(range->mm);
		__entry->event = range->event;
		__entry->result = result;
		__entry->blockable = range->flags & MMU_NOTIFIER_RANGE_BLOCKABLE;
	),

	TP_printk("pid=%d callback=%ps start=0x%lx end=0x%lx event=%s blockable=%d result=%d duration=%llu",
		  __entry->pid, __entry->callback, __entry->start, __entry->end,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_EVENTS),
		  __entry->blockable, __entry->result, __entry->duration),

	mmu_record_get, mmu_record_put
);

DECLARE_EVENT_CLASS(mmu_notifier_subscription,

	TP_PROTO(struct mm_struct *mm, const void *callback, int result, u64 wait),

	TP_ARGS(mm, callback, result, wait),

	TP_STRUCT__entry(
		__field(const void *,	callback)
		__field(u64,		wait)
		__field(pid_t,		pid)
		__field(int,		result)
	),

	TP_fast_assign(
		__entry->callback = callback;
		__entry->wait = wait;
		__entry->pid = mmu_process_pid(mm);
		__entry->result = result;
	),

	TP_printk("pid=%d callback=%ps result=%d wait=%llu", __entry->pid,
		  __entry->callback, __entry->result, __entry->wait)
);

DEFINE_EVENT(mmu_notifier_subscription, mmu_notifier_register,

	TP_PROTO(struct mm_struct *mm, const void *callback, int result, u64 wait),

	TP_ARGS(mm, callback, result, wait)
);

DEFINE_EVENT(mmu_notifier_subscription, mmu_notifier_unregister,

	TP_PROTO(struct mm_struct *mm, const void *callback, int result, u64 wait),

	TP_ARGS(mm, callback, result, wait)
);

/* A subscription to a whole mm is told of its end. */
TRACE_EVENT(mmu_notifier_release,

	TP_PROTO(struct mm_struct *mm, const void *callback, u64 duration),

	TP_ARGS(mm, callback, duration),

	TP_STRUCT__entry(
		__field(const void *,	callback)
		__field(u64,		duration)
		__field(pid_t,		pid)
	),

	TP_fast_assign(
		__entry->callback = callback;
		__entry->duration = duration;
		__entry->pid = mmu_process_pid(mm);
	),

	TP_printk("pid=%d callback=%ps duration=%llu", __entry->pid,
		  __entry->callback, __entry->duration)
);

TRACE_EVENT(mmu_notifier_interval_insert,

	TP_PROTO(const struct mmu_interval_notifier *subscription,
		 const void *callback),

	TP_ARGS(subscription, callback),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	last)
		__field(const void *,	callback)
		__field(pid_t,		pid)
	),

	TP_fast_assign(
		__entry->start = subscription->interval_tree.start;
		__entry->last = subscription->interval_tree.last;
		__entry->callback = callback;
		__entry->pid = mmu_process_pid(subscription->mm);
	),

	TP_printk("pid=%d callback=%ps start=0x%lx last=0x%lx", __entry->pid,
		  __entry->callback, __entry->start, __entry->last)
);

/* When the subscription may be freed; nobody waits for a removal by work. */
TRACE_EVENT(mmu_notifier_interval_remove,

	TP_PROTO(const struct mmu_interval_notifier *subscription,
		 const void *callback, u64 wait),

	TP_ARGS(subscription, callback, wait),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	last)
		__field(const void *,	callback)
		__field(u64,		wait)
		__field(pid_t,		pid)
	),

	TP_fast_assign(
		__entry->start = subscription->interval_tree.start;
		__entry->last = subscription->interval_tree.last;
		__entry->callback = callback;
		__entry->wait = wait;
		__entry->pid = mmu_process_pid(subscription->mm);
	),

	TP_printk("pid=%d callback=%ps start=0x%lx last=0x%lx wait=%llu",
		  __entry->pid, __entry->callback, __entry->start, __entry->last,
		  __entry->wait)
);

TRACE_EVENT(mmu_notifier_interval_collide,

	TP_PROTO(const struct mmu_interval_notifier *subscription,
		 const void *callback, enum mmu_collision told, u64 wait),

	TP_ARGS(subscription, callback, told, wait),

	TP_STRUCT__entry(
		__field(unsigned long,	start)
		__field(unsigned long,	last)
		__field(const void *,	callback)
		__field(u64,		wait)
		__field(pid_t,		pid)
		__field(int,		told)
	),

	TP_fast_assign(
		__entry->start = subscription->interval_tree.start;
		__entry->last = subscription->interval_tree.last;
		__entry->callback = callback;
		__entry->wait = wait;
		__entry->pid = mmu_process_pid(subscription->mm);
		__entry->told = told;
	),

	TP_printk("pid=%d callback=%ps start=0x%lx last=0x%lx told=%s wait=%llu",
		  __entry->pid, __entry->callback, __entry->start, __entry->last,
		  __print_symbolic(__entry->told, MMU_NOTIFIER_COLLISIONS),
		  __entry->wait)
);

DECLARE_EVENT_CLASS(mmu_notifier_rmap,

	TP_PROTO(const void *callback, u64 wait),

	TP_ARGS(callback, wait),

	TP_STRUCT__entry(
		__field(const void *,	callback)
		__field(u64,		wait)
	),

	TP_fast_assign(
		__entry->callback = callback;
		__entry->wait = wait;
	),

	TP_printk("callback=%ps wait=%llu", __entry->callback, __entry->wait)
);

DEFINE_EVENT(mmu_notifier_rmap, mmu_notifier_rmap_register,

	TP_PROTO(const void *callback, u64 wait),

	TP_ARGS(callback, wait)
);

DEFINE_EVENT(mmu_notifier_rmap, mmu_notifier_rmap_unregister,

	TP_PROTO(const void *callback, u64 wait),

	TP_ARGS(callback, wait)
);

/* An exporter is asked to let go of a folio. */
TRACE_EVENT(mmu_notifier_rmap_invalidate,

	TP_PROTO(const void *callback, unsigned long pfn, unsigned long pages,
		 enum mmu_rmap_event event, int result, u64 duration),

	TP_ARGS(callback, pfn, pages, event, result, duration),

	TP_STRUCT__entry(
		__field(const void *,	callback)
		__field(unsigned long,	pfn)
		__field(unsigned long,	pages)
		__field(u64,		duration)
		__field(int,		event)
		__field(int,		result)
	),

	TP_fast_assign(
		__entry->callback = callback;
		__entry->pfn = pfn;
		__entry->pages = pages;
		__entry->duration = duration;
		__entry->event = event;
		__entry->result = result;
	),

	TP_printk("callback=%ps pfn=0x%lx pages=%lu event=%s result=%d duration=%llu",
		  __entry->callback, __entry->pfn, __entry->pages,
		  __print_symbolic(__entry->event, MMU_NOTIFIER_RMAP_EVENTS),
		  __entry->result, __entry->duration)
);

#undef EM
#undef EMe

#endif /* _TRACE_MMU_NOTIFIER_H */

#include <trace/define_trace.h>
