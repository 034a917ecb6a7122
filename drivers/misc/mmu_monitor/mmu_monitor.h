/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /dev/mmu_monitor: what its parts share.
 *
 * A *monitor* is an open descriptor, and belongs to the address space that opened
 * it: nobody else gets anything out of it. A *watch* is an interval subscription
 * with a *generation word* in the monitor's *area*, which is mapped for reading. A
 * watch that has changed makes an *event*, and is in the queue until that is read.
 *
 * Locks, outermost first:
 *
 *	monitor.lock		mutex: which watches there are, who is ready. Taken
 *				by system calls only, across copy_to_user(), thus
 *				outside of mmap_lock. Never taken by a callback, nor
 *				across removing a subscription.
 *	the mm's interval lock	spinlock of the core: around concerns and settled
 *	watch.lock		spinlock: the word, and what the event will say
 *	monitor.wq, eventfd's	spinlocks of theirs
 *
 * So what a range does to a watch takes no lock that another watch has, but the
 * core's, and the wait queue's when somebody sleeps there.
 *
 * Life. The file has a reference to the monitor, and so has the work item that
 * cleans up when the address space has gone. Each watch belongs to the xarray, or
 * to the one who has taken it out of its place there in order to remove it.
 */
#ifndef _MMU_MONITOR_H
#define _MMU_MONITOR_H

#include <linux/gfp.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include <uapi/linux/mmu_monitor.h>

struct eventfd_ctx;
struct file;
struct poll_table_struct;
struct ucounts;
struct vm_area_struct;

/*
 * What a user asks for is charged to the user's cgroup. When that is full, they are
 * refused: nobody is killed for it, who may be somebody else, and the log is spared.
 */
#define MONITOR_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Words that fit where the head of the area is belong to no watch. */
#define MONITOR_FIRST_WORD	(sizeof(struct mmu_monitor_area) / sizeof(u64))
#define MONITOR_WORDS_PER_PAGE	(PAGE_SIZE / sizeof(u64))

/**
 * struct monitor - an open descriptor
 * @mm: the address space it belongs to; its memory (mm_count) is held.
 * @ref: of the file, and of @end while it is queued.
 * @ended: the address space is gone: no word gets even any more.
 * @end: removes the watches then.
 * @lock: guards @watches, @ready, changes of @pages, and configuration.
 * @watches: by number of the word.
 * @pages: of the area, by number; none is taken out before all are. Looked up
 *	without a lock by page faults.
 * @area: the first of them.
 * @changed: watches that have an event, the last one first; any context.
 * @ready: those taken from there, the first one first.
 * @overflow: some event did not fit.
 * @max_events: that fit in the queue; 0: no limit.
 * @eventfd: signalled with each event, or NULL.
 * @wq: where readers and pollers wait.
 */
struct monitor {
	struct mm_struct *mm;
	struct kref ref;
	int ended;
	struct work_struct end;

	struct mutex lock;	/* see above */
	struct xarray watches;
	struct xarray pages;
	struct mmu_monitor_area *area;

	struct llist_head changed;
	struct list_head ready;
	int overflow;
	u64 max_events;
	struct eventfd_ctx __rcu *eventfd;
	wait_queue_head_t wq;
};

/**
 * struct watch - a range that is watched
 * @sub: its subscription.
 * @monitor: the monitor it is of.
 * @number: of its word.
 * @classes: MMU_MONITOR_* that it wants to be told of.
 * @flags: MMU_MONITOR_ONESHOT, MMU_MONITOR_QUIET.
 * @cookie: the user's.
 * @ucounts: the user who is charged with it.
 * @lock: guards what follows, and changes of the word.
 * @word: the generation word, odd while the watch is busy.
 * @removed: the word stays odd.
 * @fired: has made its event, and is ONESHOT.
 * @news: classes of the event that is not read yet; not 0: the watch is queued.
 * @first: first address that it tells of.
 * @last: last one, inclusive.
 * @changed: in monitor.changed.
 * @ready: in monitor.ready.
 */
struct watch {
	struct mmu_interval_notifier sub;
	struct monitor *monitor;
	u32 number;
	u32 classes;
	u32 flags;
	u64 cookie;
	struct ucounts *ucounts;

	spinlock_t lock;	/* see above */
	u64 *word;
	bool removed;
	bool fired;
	u32 news;
	unsigned long first;
	unsigned long last;
	struct llist_node changed;
	struct list_head ready;
};

/* Where its word is in the area, in bytes: its name for user space. */
static inline u64 watch_offset(const struct watch *watch)
{
	return watch->number * sizeof(u64);
}

/* main.c */
extern unsigned int monitor_max_watches;
void monitor_mm_gone(struct monitor *monitor);

/* The counters in the head of the area; user space cannot write to them. */
static inline atomic64_t *monitor_counter(__u64 *counter)
{
	return (atomic64_t *)counter;
}

/* watch.c */
int watch_init(void);
void watch_exit(void);
int watch_add(struct monitor *monitor, struct mmu_monitor_watch *args);
int watch_remove(struct monitor *monitor, struct mmu_monitor_word *args);
int watch_rearm(struct monitor *monitor, struct mmu_monitor_word *args);
void watch_remove_all(struct monitor *monitor);

/* event.c */
bool event_add(struct watch *watch, u32 classes, unsigned long first,
	       unsigned long last);
void event_wake(struct monitor *monitor);
void event_drop(struct watch *watch);
void event_drop_overflow(struct monitor *monitor);
int event_config(struct monitor *monitor, const struct mmu_monitor_config *args);
ssize_t event_read(struct monitor *monitor, char __user *buf, size_t count,
		   bool block);
bool event_pending(struct monitor *monitor);

/* area.c */
int area_init(void);
void area_exit(void);
int area_create(struct monitor *monitor);
void area_destroy(struct monitor *monitor);
u64 *area_word(struct monitor *monitor, u32 number);
u64 area_size(void);
int area_mmap(struct monitor *monitor, struct vm_area_struct *vma);

#endif /* _MMU_MONITOR_H */
