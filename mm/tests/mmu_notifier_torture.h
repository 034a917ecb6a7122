/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The torture test of the MMU notifiers: what its parts share.
 *
 * A *space* is an mm made by the test, with a page table that is a model: entries
 * for MMT_PAGES pages, from MMT_BASE on, where the mm has no VMAs. Its pages are
 * structs, which know who reaches them, so that whatever goes wrong is counted and
 * nothing is overwritten. Ranges over it are real ranges of the core.
 *
 * A *secondary MMU* (struct mmt_mmu) holds SPTEs, that is, copies of such entries.
 * Each subscription has one. It belongs to a *slot* of its space, which one worker
 * uses at a time; each time it is registered or inserted it gets a new
 * *incarnation*, a number that is never used again.
 *
 * A *rule* is something that has to hold, named by its R-number of
 * Documentation/mm/mmu_notifier/design.rst; a *type* is what the test does: correct,
 * or one thing wrong, by which it has to trip one rule.
 *
 * Locks, outermost first: mmt_space.permanents; mmap_lock of the mm; mmt_space.ptl,
 * under which walkers' TLBs are flushed; [the core's]; mmt_mmu.lock;
 * mmt_space.flying_lock. Of real memory: mmt_windows_lock; mmap_lock; [the core's];
 * mmt_window.lock.
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_TORTURE_H
#define _MM_TESTS_MMU_NOTIFIER_TORTURE_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>
#include <linux/rwsem.h>
#include <linux/torture.h>

#include "mmu_notifier_torture_export.h"

#define pr_torture(fmt, ...) pr_alert("mmu_notifier-torture: " fmt, ##__VA_ARGS__)

/* What has to hold. Each has a text in mmu_notifier_torture_verdict.c. */
enum mmt_rule {
	MMT_R1_CHANGED,
	MMT_R1_UNTOLD,
	MMT_R2_FREED,
	MMT_R2_STALE,
	MMT_R2_LOST,
	MMT_R3_COLLIDED,
	MMT_R3_QUIET,
	MMT_R4_FLUSHED,
	MMT_R5_TWICE,
	MMT_R5_END,
	MMT_R5_OPEN,
	MMT_R5_BORN,
	MMT_R5_SETTLED,
	MMT_R5_UNSETTLED,
	MMT_R6_LATE,
	MMT_R6_KEPT,
	MMT_R6_RELEASE,
	MMT_R7_DELAYED,
	MMT_R8_UNASKED,
	MMT_R9_INSERT,
	MMT_R9_WAIT,
	MMT_R9_HANG,
	MMT_R10_ERRNO,
	MMT_R10_BLOCKS,
	MMT_R10_ALLOCS,
	MMT_R11_ERRNO,
	MMT_NR_RULES,
};

/* What was done. Named in mmu_notifier_torture_verdict.c, by which it is printed. */
enum mmt_op {
	MMT_RANGES,
	MMT_REFUSED,
	MMT_REGISTERED,
	MMT_SHARED,
	MMT_INSERTED,
	MMT_ASYNC,
	MMT_BATCHES,
	MMT_FILLED,
	MMT_RETRIED,
	MMT_USED,
	MMT_WALKED,
	MMT_SETTLED,
	MMT_PROBES,
	MMT_EXITS,
	MMT_REAL,
	MMT_ATTACHED,
	MMT_STALLS,
	MMT_PRESSED,
	MMT_NOMEM,
	MMT_NR_OPS,
};

/* What a type does wrong. */
enum mmt_break {
	MMT_NOTHING,
	MMT_NO_ZAP,
	MMT_ZAP_FIRST,
	MMT_NO_RETRY,
	MMT_NO_SEQUENCE,
	MMT_QUIET_COLLIDES,
	MMT_NO_DIRTY,
	MMT_NO_FLUSH,
	MMT_EARLY_MAP,
	MMT_END_TWICE,
	MMT_END_LOST,
	MMT_REFUSAL_COUNTED,
	MMT_START_TWICE,
	MMT_EARLY_SETTLED,
	MMT_SETTLED_LOST,
	MMT_EARLY_UNREGISTERED,
	MMT_EARLY_REMOVED,
	MMT_RELEASE_KEEPS,
	MMT_RELEASE_TWICE,
	MMT_ONE_LOCK,
	MMT_WIDER,
	MMT_INSERT_WAITS,
	MMT_READ_WAITS,
	MMT_REMOVE_WAITS,
	MMT_OTHER_ERRNO,
	MMT_BLOCKS,
	MMT_ALLOCATES,
	MMT_REGISTER_ERRNO,
	MMT_HANGS,
	MMT_REAL_NO_ZAP,
	MMT_REAL_EARLY_UNREGISTERED,
};

/**
 * struct mmt_type - what a run does
 * @name: as the parameter torture_type has it.
 * @breaks: what it does wrong.
 * @trips: the rule that notices; MMT_NR_RULES for none.
 * @what: the same in words.
 */
struct mmt_type {
	const char *name;
	enum mmt_break breaks;
	enum mmt_rule trips;
	const char *what;
};

extern const struct mmt_type *mmt_type;
const struct mmt_type *mmt_type_find(const char *name);
void mmt_type_list(void);

static inline bool mmt_breaks(enum mmt_break what)
{
	return unlikely(mmt_type->breaks == what);
}

/*
 * The verdict
 */

void mmt_did(enum mmt_op op);
void mmt_note(const char *what, int space, unsigned long a, unsigned long b);
void mmt_fail(enum mmt_rule rule, int space, unsigned long a, unsigned long b);
unsigned long mmt_failures(enum mmt_rule rule);
unsigned long mmt_all_failures(void);
bool mmt_found(void);
void mmt_print_stats(void);
void mmt_print_first(void);
const char *mmt_rule_name(enum mmt_rule rule);

/*
 * Who takes memory where nobody may
 */

int mmt_frugal_init(void);
void mmt_frugal_exit(void);
void mmt_frugal_begin(void);
void mmt_frugal_end(void);

/*
 * Spaces
 */

#define MMT_BASE	0x1000000000UL
#define MMT_PAGES	32	/* of the arena: what everybody works on */
#define MMT_QUIET	32	/* which no range ever overlaps */
#define MMT_SETTLE	40	/* each settler has two of its own */
#define MMT_HOLD	64	/* where the probe holds a range */
#define MMT_RELAY	72	/* where it never lets go */
#define MMT_POOL	160	/* structs for pages */

#define MMT_LISTS	8
#define MMT_INTERVALS	20
#define MMT_SLOTS	(MMT_LISTS + MMT_INTERVALS)

#define MMT_ADDRESS(page)	(MMT_BASE + ((unsigned long)(page) << PAGE_SHIFT))

/**
 * struct mmt_page - what stands for a page
 * @reached: SPTEs that reach it.
 * @walked: entries of TLBs of walkers that do.
 * @writes: what devices wrote to it.
 * @marked: how much of that was marked dirty.
 * @gen: changes whenever it is freed.
 * @live: it is allocated.
 */
struct mmt_page {
	atomic_t reached;
	atomic_t walked;
	atomic_t writes;
	atomic_t marked;
	unsigned int gen;
	bool live;
};

/**
 * struct mmt_spte - an entry of a secondary MMU
 * @page: the page, or NULL.
 * @gen: its generation when the entry was made.
 * @writes: not marked yet.
 */
struct mmt_spte {
	struct mmt_page *page;
	unsigned int gen;
	unsigned int writes;
};

/**
 * struct mmt_mmu - a secondary MMU
 * @lock: guards all that follows, and what the subscription says is guarded by it.
 * @space: whose entries it copies.
 * @tlb: it is a walker's TLB.
 * @dead: no entry may be made any more.
 * @sptes: the entries.
 */
struct mmt_mmu {
	spinlock_t lock;	/* see above */
	struct mmt_space *space;
	bool tlb;
	bool dead;
	struct mmt_spte sptes[MMT_PAGES];
};

/**
 * struct mmt_sub - what both kinds of subscription have
 * @mmu: its secondary MMU.
 * @slot: its number in the space.
 * @incarnation: which; set before it is made.
 * @live: the same from when it is made until it is about to be ended, else 0.
 * @ended: no callback may come any more.
 * @running: callbacks that are running.
 * @first: first page.
 * @last: last page (inclusive).
 * @unmaps_only: only MMU_NOTIFY_UNMAP concerns it.
 */
struct mmt_sub {
	struct mmt_mmu mmu;
	unsigned int slot;
	unsigned long incarnation;
	unsigned long live;
	bool ended;
	atomic_t running;
	unsigned int first;
	unsigned int last;
	bool unmaps_only;
};

/**
 * struct mmt_list - a subscription to a space
 * @notifier: what is registered.
 * @sub: the rest.
 * @releases: calls of release.
 * @in_progress: ranges in flight; under sub.mmu.lock.
 * @sequence: ranges that have ended; likewise.
 */
struct mmt_list {
	struct mmu_notifier notifier;
	struct mmt_sub sub;
	atomic_t releases;
	int in_progress;
	unsigned long sequence;
};

#define MMT_FINISHES	3

/**
 * struct mmt_finish - what a two-pass subscription has to finish
 * @finish: what the core passes on.
 * @busy: begun and not finished.
 * @first: first page to be dropped.
 * @last: last page to be dropped (inclusive).
 */
struct mmt_finish {
	struct mmu_interval_notifier_finish finish;
	bool busy;
	unsigned int first;
	unsigned int last;
};

/**
 * struct mmt_interval - a subscription to some pages of a space
 * @notifier: what is inserted.
 * @sub: the rest.
 * @busy: from insertion, and from each call, until settled; under sub.mmu.lock.
 * @finishes: what it has to finish; likewise.
 * @removed: an asynchronous removal called back.
 */
struct mmt_interval {
	struct mmu_interval_notifier notifier;
	struct mmt_sub sub;
	bool busy;
	struct mmt_finish finishes[MMT_FINISHES];
	struct completion removed;
};

/**
 * struct mmt_space - an mm and a page table
 * @mm: the mm; its memory is held.
 * @id: its number, never used again.
 * @ref: who knows it.
 * @users: who uses the mm. The last one to let go ends it.
 * @bare: nobody is subscribed from the beginning, so ranges need mmap_lock.
 * @permanents: held for reading by who uses the permanent subscriptions.
 * @permanent: they are there.
 * @ptl: guards @ptes, @version, @pool and walks of TLBs.
 * @ptes: the page table.
 * @version: how often each entry was cleared.
 * @pool: the pages.
 * @flying_lock: guards @flying.
 * @flying: ranges whose start has returned and whose end is not called yet.
 * @lists: subscriptions to the space.
 * @intervals: subscriptions to pages.
 */
struct mmt_space {
	struct mm_struct *mm;
	int id;
	struct kref ref;
	atomic_t users;
	bool bare;
	struct rw_semaphore permanents;
	bool permanent;
	spinlock_t ptl;		/* see above */
	struct mmt_page *ptes[MMT_PAGES];
	unsigned int version[MMT_PAGES];
	struct mmt_page pool[MMT_POOL];
	spinlock_t flying_lock;	/* see above */
	struct list_head flying;
	struct mmt_list lists[MMT_LISTS];
	struct mmt_interval intervals[MMT_INTERVALS];
};

/**
 * struct mmt_range - a range over a space
 * @range: what the core gets; owner points here.
 * @space: the space.
 * @node: in @space->flying.
 * @first: first page.
 * @last: last page (inclusive).
 * @blockable: callbacks may sleep.
 * @refusals: who said -EAGAIN.
 * @before: who was there when it was started.
 * @told: which incarnation was told the start and not the end, by slot.
 */
struct mmt_range {
	struct mmu_notifier_range range;
	struct mmt_space *space;
	struct list_head node;
	unsigned int first;
	unsigned int last;
	bool blockable;
	unsigned int refusals;
	unsigned long before[MMT_SLOTS];
	unsigned long told[MMT_SLOTS];
};

struct mmt_space *mmt_space_new(bool bare);
bool mmt_space_use(struct mmt_space *space);
void mmt_space_unuse(struct mmt_space *space);
void mmt_space_hold(struct mmt_space *space);
void mmt_space_put(struct mmt_space *space);
int mmt_spaces_left(void);
void mmt_space_done(struct mmt_space *space);
void mmt_space_end(struct mmt_space *space, bool exit_first);
struct mmt_sub *mmt_sub(struct mmt_space *space, unsigned int slot);

int mmt_range_start(struct mmt_space *space, struct mmt_range *range,
		    unsigned int first, unsigned int last,
		    enum mmu_notifier_event event, bool blockable);
void mmt_range_check(struct mmt_range *range);
void mmt_range_zap(struct mmt_range *range);
void mmt_range_end(struct mmt_range *range);
bool mmt_flying(struct mmt_space *space, unsigned int first, unsigned int last,
		bool unmaps_only);

struct mmt_page *mmt_fault_locked(struct mmt_space *space, unsigned int page);
struct mmt_page *mmt_fault(struct mmt_space *space, unsigned int page,
			   unsigned int *version);

/* Their secondary MMUs */
void mmt_mmu_drop(struct mmt_mmu *mmu, unsigned int first, unsigned int last);
void mmt_mmu_set(struct mmt_mmu *mmu, unsigned int page, struct mmt_page *to);
void mmt_mmu_use(struct mmt_mmu *mmu, unsigned int page);
void mmt_mmu_kill(struct mmt_mmu *mmu);

/*
 * Subscriptions
 */

void mmt_subs_init(struct mmt_space *space);
int mmt_list_register(struct mmt_space *space, unsigned int nr, bool walker);
void mmt_list_unregister(struct mmt_space *space, unsigned int nr);
void mmt_list_fill(struct mmt_list *list, unsigned int page);
void mmt_walker_fill(struct mmt_list *list, unsigned int page);
bool mmt_share(struct mmt_space *space);
void mmt_keep(void *gone);
void mmt_kept_exit(void);

enum {
	MMT_SETTLES	= BIT(0),
	MMT_UNMAPS_ONLY	= BIT(1),
	MMT_TWO_PASS	= BIT(2),
};

int mmt_insert(struct mmt_space *space, unsigned int nr, unsigned int first,
	       unsigned int last, unsigned int kind);
void mmt_remove(struct mmt_space *space, unsigned int nr);
void mmt_remove_async(struct mmt_space *space, unsigned int nr);
void mmt_remove_batch(struct mmt_space *space, unsigned int nr, unsigned int count);
void mmt_removed(struct mmt_space *space, unsigned int nr);
unsigned long mmt_read_begin(struct mmt_interval *interval);
void mmt_interval_fill(struct mmt_interval *interval, unsigned int page);

int mmt_permanents_add(struct mmt_space *space);
void mmt_permanents_remove(struct mmt_space *space);
#define MMT_PERMANENT_LISTS	1
#define MMT_PERMANENT_INTERVALS	2	/* each has half of the arena */

/*
 * Workers
 */

/**
 * struct mmt_worker - a thread
 * @fn: what it does, until torture_must_stop().
 * @name: its name.
 * @index: its number among those that do the same.
 * @task: the thread, or NULL.
 * @rounds: how often it came round; each round is counted, so that a thread that
 *	hangs is found.
 * @did: how often it did what it is there for.
 * @gone: it does nothing any more.
 * @seen: @rounds when it was last looked at.
 * @since: the slice of time when @rounds last grew.
 */
struct mmt_worker {
	int (*fn)(void *worker);
	const char *name;
	unsigned int index;
	struct task_struct *task;
	unsigned long rounds;
	unsigned long did;
	bool gone;
	unsigned long seen;
	unsigned long since;
};

/* One round more: pause where all do, and say whether to go on. */
bool mmt_round(struct mmt_worker *worker);
int mmt_stop(struct mmt_worker *worker);

static inline void mmt_worked(struct mmt_worker *worker)
{
	WRITE_ONCE(worker->did, worker->did + 1);
}

int mmt_spaces_init(unsigned int nr);
void mmt_spaces_exit(void);
struct mmt_space *mmt_space_any(unsigned long random, bool use);
void mmt_range_once(struct mmt_space *space, unsigned long random);

int mmt_changer(void *worker);
int mmt_lister(void *worker);
int mmt_walker(void *worker);
int mmt_sharer(void *worker);
int mmt_inserter(void *worker);
int mmt_reader(void *worker);
int mmt_settler(void *worker);
int mmt_exiter(void *worker);
int mmt_staller(void *worker);
int mmt_presser(void *worker);
int mmt_holder(void *worker);
int mmt_prober(void *worker);
int mmt_churner(void *worker);
int mmt_device(void *worker);

/* Who has which subscriptions of a space; the permanent ones come first. */
#define MMT_MAX_LISTERS		3
#define MMT_MAX_WALKERS		2
#define MMT_MAX_INSERTERS	4
#define MMT_BATCH		3	/* subscriptions of each inserter */
#define MMT_MAX_SETTLERS	4
#define MMT_FIRST_LISTER	MMT_PERMANENT_LISTS
#define MMT_FIRST_WALKER	(MMT_FIRST_LISTER + MMT_MAX_LISTERS)
#define MMT_PROBE_LIST		(MMT_FIRST_WALKER + MMT_MAX_WALKERS)
#define MMT_FIRST_INSERTER	MMT_PERMANENT_INTERVALS
#define MMT_FIRST_SETTLER	(MMT_FIRST_INSERTER + MMT_MAX_INSERTERS * MMT_BATCH)
#define MMT_PROBE_INTERVAL	(MMT_FIRST_SETTLER + MMT_MAX_SETTLERS)	/* and the next */
static_assert(MMT_PROBE_LIST < MMT_LISTS);
static_assert(MMT_PROBE_INTERVAL + 1 < MMT_INTERVALS);

int mmt_probe_init(void);
void mmt_probe_exit(void);
void mmt_real_init(void);
void mmt_real_exit(void);

/* Parameters that the parts look at; see mmu_notifier_torture_main.c. */
extern unsigned int mmt_bound_ms;
extern unsigned int mmt_slow_us;
extern unsigned int mmt_stall_ms;
extern unsigned int mmt_pressure_mb;

#endif /* _MM_TESTS_MMU_NOTIFIER_TORTURE_H */
