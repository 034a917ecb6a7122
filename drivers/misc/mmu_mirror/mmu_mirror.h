/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The inside of /dev/mmu_mirror.
 *
 * Vocabulary: a *mirror* is one device, that is one open file. It is *attached*
 * to an mm from MMU_MIRROR_ATTACH to MMU_MIRROR_DETACH or close, and *live* from
 * then until the mm is released, whichever comes first. Its page table holds
 * *SPTEs*, one for each page that it can access right now. Its *personality* is
 * the way in which it keeps them in step with the CPU's page table. The
 * *device lock* stands for the lock of a real device's page table; which kind
 * of lock it is depends on the personality. What the device itself does to
 * memory is done under that lock, so once an SPTE is dropped under it, no access
 * through it is under way.
 *
 * Lock order, outermost first:
 *
 *	mirror.use		not taken by any callback
 *	mmap_lock, rmap locks, page-table lock: the core's, held around callbacks
 *	device lock		mirror.spin or mirror.mutex
 *	mirror_export.lock	export only
 *	mirror.table.xa_lock
 *	mirror_node.lock	export only
 *	what folio_mark_dirty() takes
 *
 * Nothing is allocated and no user memory touched under the device lock: both
 * may lead to an invalidation, which takes it. No subscription ends under it,
 * since that waits for callbacks, which take it.
 */
#ifndef _MMU_MIRROR_H
#define _MMU_MIRROR_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_slots.h>
#include <linux/mmu_rmap_notifier.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "mmu_mirror_uapi.h"

struct mirror;
struct task_struct;

/* What is counted. The first NR_EVENTS are enum mmu_notifier_event. */
enum mirror_stat {
	MIRROR_STAT_EVENTS = 0,
	MIRROR_STAT_START = MMU_MIRROR_NR_EVENTS,
	MIRROR_STAT_END,
	MIRROR_STAT_REFUSED,
	MIRROR_STAT_RELEASE,
	MIRROR_STAT_YOUNG,
	MIRROR_STAT_NONBLOCK,
	MIRROR_STAT_DROPPED,
	MIRROR_STAT_DIRTIED,
	MIRROR_STAT_FAULTS,
	MIRROR_STAT_REPLAYS,
	MIRROR_STAT_ACCESSES,
	MIRROR_STAT_ENGINE,
	MIRROR_STAT_ENGINE_FAULTS,
	MIRROR_STAT_FLUSHES,
	MIRROR_STAT_FOLIOS,
	MIRROR_STAT_OVERDUE,
	MIRROR_STAT_FENCED,
	MIRROR_STAT_UNBALANCED,
	MIRROR_STAT_RANGES,
	MIRROR_STAT_WHOLE,
	MIRROR_NR_STATS,
};

/**
 * struct mirror_fault - one page fault of the device's
 * @addr: address, page aligned.
 * @write: is write access asked for?
 * @engine: who faults is the engine, which must not wait for long: it may have
 *	to stop, and nobody can kill it.
 * @key: what is accessed by; 0: by address alone (regcache).
 * @reg: the personality's: key of the registration that was used (regcache).
 * @seq: the personality's: when the translation began.
 * @pfn: out: the page.
 * @writable: out: may the SPTE be writable?
 * @page: out: what to put once the SPTE is there, or NULL.
 * @replays: out: how often the fault began again.
 * @priv: the personality's, from translate to install.
 */
struct mirror_fault {
	unsigned long addr;
	bool write;
	bool engine;
	u64 key;
	u64 reg;
	u64 seq;
	unsigned long pfn;
	bool writable;
	struct page *page;
	u64 replays;
	void *priv;
};

/**
 * struct mirror_personality - a way to keep SPTEs in step
 * @lock: take the device lock. May sleep.
 * @lock_nosleep: the same without sleeping. False: it would have had to.
 * @unlock: release it.
 * @relax: let others have the device lock and the CPU, if they want. The lock
 *	is held before and after. May sleep.
 * @subscribe: subscribe to an mm, for a window. Called with mirror.use held for
 *	writing; callbacks may come at once. 0 or an error; after an error
 *	nothing is subscribed.
 * @move: the same for another window of the mm that is subscribed to. After an
 *	error the old subscription stands. SPTEs are the caller's business.
 * @unsubscribe: end the subscription. Upon return no callback runs or will (R6).
 *	Called with mirror.use held for writing, or when nobody else has the
 *	mirror, and without the device lock.
 * @translate: find out where a page is. Called with mirror.use held for reading,
 *	without the device lock; mm_users is held. May sleep. 0, -EAGAIN: collided
 *	already; -EFAULT: no such mapping; or another error.
 * @collided: has anything happened to that page since @translate was called?
 *	Called under the device lock. If false, mirror_fault.pfn is good for as
 *	long as it is held.
 * @unmap: Optional: all SPTEs are about to be dropped. Called with mirror.use held
 *	for writing, or when nobody else has the mirror, without the device lock.
 * @install: Optional: @collided and mirror_table_install() in one, for who has
 *	more to do there. Called under the device lock, once for each @translate
 *	that returned 0. 0, -EAGAIN: collided; or another error.
 * @dropped: Optional: an SPTE is no more. Called under the device lock and
 *	table.xa_lock.
 * @pending: Optional: may this SPTE contradict the CPU's entry because the
 *	device is still to be told? Called under the device lock.
 * @cpu_dirty: an SPTE is writable only if the CPU's entry is dirty, so that there
 *	is nothing to be passed on when it is dropped.
 * @walks: faults walk the CPU's page table without its locks, which is safe for
 *	the current mm only.
 */
struct mirror_personality {
	void (*lock)(struct mirror *m);
	bool (*lock_nosleep)(struct mirror *m);
	void (*unlock)(struct mirror *m);
	void (*relax)(struct mirror *m);
	int (*subscribe)(struct mirror *m, unsigned long start,
			 unsigned long length);
	int (*move)(struct mirror *m, unsigned long start,
		    unsigned long length);
	void (*unsubscribe)(struct mirror *m);
	int (*translate)(struct mirror *m, struct mirror_fault *fault);
	bool (*collided)(struct mirror *m, const struct mirror_fault *fault);
	void (*unmap)(struct mirror *m);
	int (*install)(struct mirror *m, struct mirror_fault *fault);
	void (*dropped)(struct mirror *m, unsigned long index,
			unsigned long pfn);
	bool (*pending)(struct mirror *m, unsigned long pfn);
	bool cpu_dirty;
	bool walks;
};

/**
 * struct mirror_shadow - state of the personality `shadow`
 * @sub: the subscription.
 * @slots: the ranges in flight; guarded by the device lock.
 */
struct mirror_shadow {
	struct mmu_notifier sub;
	struct mmu_notifier_slots slots;
};

/* Flushes that can be in progress at once; others are waited for at once. */
#define MIRROR_NR_FLUSHES	4

/**
 * struct mirror_flush - a flush of the device's TLB in progress
 * @finish: what the core passes on to invalidate_finish.
 * @m: the mirror.
 * @nr: which one in mirror_svm.flushes.
 * @until: when it is done.
 */
struct mirror_flush {
	struct mmu_interval_notifier_finish finish;
	struct mirror *m;
	unsigned int nr;
	ktime_t until;
};

/**
 * struct mirror_svm - state of the personality `svm`
 * @subs: the subscription, and room for its successor when the window moves.
 * @now: which of them it is; changed with mirror.use held for writing.
 * @flushes: room for the flushes in progress.
 * @flushing: which of them are; set and cleared atomically.
 */
struct mirror_svm {
	struct mmu_interval_notifier subs[2];
	unsigned int now;
	struct mirror_flush flushes[MIRROR_NR_FLUSHES];
	unsigned long flushing;
};

/**
 * struct mirror_sva - state of the personality `sva`
 * @sub: the subscription.
 * @in_flight: ranges between start and end; guarded by the device lock.
 * @hand: index from which on an SPTE is looked for that makes room. Likewise.
 */
struct mirror_sva {
	struct mmu_notifier sub;
	unsigned long in_flight;
	unsigned long hand;
};

/**
 * struct mirror_revocation - what nodes are asked to drop
 * @list: in mirror_export.revocations.
 * @folio: are these page frame numbers? Else page indexes.
 * @first: the first.
 * @last: the last.
 *
 * Lives on the stack of whoever waits for it.
 */
struct mirror_revocation {
	struct list_head list;
	bool folio;
	unsigned long first;
	unsigned long last;
};

/**
 * struct mirror_export - a window of an address space that others may use
 * @ref: the exporter's, and one for each node.
 * @mm: whose window, with a reference on mm_count.
 * @owner: the exporter. For callbacks only: it does not outlive them.
 * @sub: the subscription to @mm.
 * @rmap: the registration as an exporter of folios.
 * @lock: guards the rest. Nothing is installed by any node but under it.
 * @slots: the ranges in flight.
 * @nodes: whoever has a table, by mirror_node.list.
 * @revocations: what is being revoked, struct mirror_revocation.
 * @confirmed: woken when a node holds less than before.
 * @first: index of the first page of the window.
 * @last: index of the last page.
 * @dead: is nothing to be installed any more? Stays true.
 * @nr_plain: SPTEs of folios that could not be exported. Raised under @lock.
 */
struct mirror_export {
	struct kref ref;
	struct mm_struct *mm;
	struct mirror *owner;
	struct mmu_notifier sub;
	struct mmu_rmap_notifier rmap;
	spinlock_t lock;	/* see the lock order above */
	struct mmu_notifier_slots slots;
	struct list_head nodes;
	struct list_head revocations;
	wait_queue_head_t confirmed;
	unsigned long first;
	unsigned long last;
	bool dead;
	atomic_long_t nr_plain;
};

/**
 * struct mirror_node - a mirror as a node, remote or the exporter's own
 * @export: what it has a table of, with a reference; NULL: none. Changed with
 *	mirror.use held for writing, while nothing else uses the node.
 * @list: in mirror_export.nodes.
 * @lock: guards @pages.
 * @pages: SPTEs by page frame number, see node.c.
 * @nr_exported: how many those are.
 * @work: drops what is revoked, and by that confirms it.
 * @fence: drops everything, because @work did not.
 * @users: who needs the node to stay; guarded by mirror_export.lock.
 * @overdue: has a folio's revocation been given up, and is to be made up for?
 *	Guarded by mirror_export.lock.
 * @fencing: has anybody decided to declare it dead? Guarded likewise.
 * @fenced: was the node declared dead? Written under the device lock.
 * @in_flight: of an exporter: ranges in flight.
 */
struct mirror_node {
	struct mirror_export *export;
	struct list_head list;
	spinlock_t lock;	/* see the lock order above */
	struct rb_root pages;
	unsigned long nr_exported;
	struct delayed_work work;
	struct work_struct fence;
	unsigned int users;
	bool overdue;
	bool fencing;
	bool fenced;
	unsigned int in_flight;
};

/**
 * struct mirror_map - copies of a node's SPTEs in its process's page table
 * @mapping: where they are found; the file's.
 * @unmapping: how many are about to remove some. Guarded by the device lock.
 * @failed: by page offset, the task whose fault failed there last.
 */
struct mirror_map {
	struct address_space mapping;
	unsigned int unmapping;
	struct xarray failed;
};

/**
 * struct mirror_regcache - state of the personality `regcache`
 * @sub: the subscription to the end of the mm.
 * @keys: registrations by the lower bits of their key. Guarded by the device
 *	lock, except for reservations.
 * @regs: the same by address. Guarded by the device lock.
 * @generation: counts the registrations made. Guarded by the device lock.
 * @linked: how many registrations are in @keys and @regs; likewise.
 * @valid: how many keys are valid; likewise.
 * @keyless: how many registrations the device made by itself; likewise.
 * @revoked: how many keys were revoked by invalidations; likewise.
 * @nr: registrations that exist, removed ones included whose subscription has
 *	not ended yet. Waited for by wait_var_event().
 *
 * All but @sub live as long as the mirror: what was a key stays known as one.
 */
struct mirror_regcache {
	struct mmu_notifier sub;
	struct xarray keys;
	struct rb_root_cached regs;
	u64 generation;
	unsigned int linked;
	u64 valid;
	u64 keyless;
	u64 revoked;
	atomic_t nr;
};

/**
 * struct mirror_engine - the thread that accesses memory by itself
 * @task: the thread, with a reference; NULL: none. Guarded by mirror.use held
 *	for writing. It may have ended by itself.
 * @flags: MMU_MIRROR_ENGINE_*; constant while there is a thread.
 * @first: index of the first page it picks from; constant likewise.
 * @nr_pages: from so many; constant likewise.
 * @rnd: what it picks them by; the thread's own.
 * @done: accesses made; written by the thread only.
 */
struct mirror_engine {
	struct task_struct *task;
	u32 flags;
	unsigned long first;
	u64 nr_pages;
	struct rnd_state rnd;
	u64 done;
};

/**
 * struct mirror_inject - how to be a difficult subscriber
 * @start_delay_us: sleep in start and invalidate.
 * @end_delay_us: sleep in end.
 * @delay_at: only if the range has this address in it; 0: in all.
 * @flush_us: how long flushing the device's TLB takes.
 * @hold_us: how long an end waits to be let go.
 * @refuse: non-blockable calls still to be refused.
 * @fail_point: points still to be passed up to the one that fails.
 * @confirm_us: how late a node confirms; MMU_MIRROR_NEVER: not at all.
 * @patience_us: how long an exporter waits for that; 0: as the module says.
 * @held: ends that were ever held.
 * @let_go: so many of them need not wait any more.
 * @wait: where ends, and those who want to hold one, wait.
 *
 * No lock: each is set and used on its own, but for @delay_at, which is set before the
 * delays and looked at after them.
 */
struct mirror_inject {
	u32 start_delay_us;
	u32 end_delay_us;
	unsigned long delay_at;
	u32 flush_us;
	u32 confirm_us;
	u32 patience_us;
	u32 hold_us;
	atomic_t refuse;
	atomic_t fail_point;
	atomic64_t held;
	atomic64_t let_go;
	wait_queue_head_t wait;
};

/**
 * struct mirror - a device
 * @use: held for reading by who uses the attachment, for writing by who changes
 *	it. Not by close: nobody else has the file then, but the engine, which it
 *	stops first.
 * @mm: what the device is attached to, with a reference on mm_count; NULL:
 *	nothing. Guarded by @use.
 * @user: the mm that may use it, with a reference on mm_count. Another than @mm
 *	for an importer. Guarded by @use.
 * @ops: the personality; NULL if @mm is. Guarded by @use. Callbacks know theirs.
 * @spin: the device lock of `shadow` and `sva`: some of their callbacks must not
 *	sleep.
 * @mutex: the device lock of the others.
 * @table: SPTEs by page index, see table.c. Guarded by the device lock, except
 *	for reservations.
 * @nr_mapped: how many SPTEs there are. Written under the device lock.
 * @nr_installs: how often an SPTE was made or widened. Guarded by the device lock.
 * @first: index of the first page of the window. Written with @use held for
 *	writing, under the device lock; read under either.
 * @last: index of the last page; likewise.
 * @live: may SPTEs be made? Guarded by the device lock, except for a first look.
 *	Once false, it stays so until the next attach.
 * @subscribed: may callbacks come? Guarded by the device lock.
 * @shadow: state of that personality.
 * @svm: state of that personality.
 * @sva: state of that personality.
 * @node: state of `export`, of exporters and importers.
 * @map: what importers have mapped.
 * @regcache: state of that personality.
 * @engine: the engine.
 * @inject: what to do wrong.
 * @stats: counters, by enum mirror_stat.
 */
struct mirror {
	struct rw_semaphore use;
	struct mm_struct *mm;
	struct mm_struct *user;
	const struct mirror_personality *ops;
	spinlock_t spin;	/* the device lock is one of these two */
	struct mutex mutex;	/* the other */
	struct xarray table;
	unsigned long nr_mapped;
	u64 nr_installs;
	unsigned long first;
	unsigned long last;
	bool live;
	bool subscribed;
	struct mirror_shadow shadow;
	struct mirror_svm svm;
	struct mirror_sva sva;
	struct mirror_node node;
	struct mirror_map map;
	struct mirror_regcache regcache;
	struct mirror_engine engine;
	struct mirror_inject inject;
	atomic64_t stats[MIRROR_NR_STATS];
};

static inline void mirror_count(struct mirror *m, enum mirror_stat stat)
{
	atomic64_inc(&m->stats[stat]);
}

/* R6, and a check that every callback makes under the device lock. */
static inline void mirror_check_subscribed(struct mirror *m)
{
	if (!m->subscribed)
		mirror_count(m, MIRROR_STAT_UNBALANCED);
}

/* attach.c */
int mirror_may_use(struct mirror *m);
int mirror_get_use(struct mirror *m);
void mirror_put_use(struct mirror *m);
int mirror_parse_range(struct mirror *m, u64 start, u64 length,
		       unsigned long *first, unsigned long *last);
bool mirror_pin_mm(struct mirror *m);
void mirror_unpin_mm(struct mirror *m);
int mirror_attach(struct mirror *m, const struct mirror_personality *ops,
		  struct mm_struct *mm, unsigned long first,
		  unsigned long last);
u64 mirror_detach(struct mirror *m);
int mirror_cmd_attach(struct mirror *m, void *argp);
int mirror_cmd_window(struct mirror *m, void *argp);
int mirror_cmd_detach(struct mirror *m, void *argp);

/* inject.c */
bool mirror_should_fail(struct mirror *m);
bool mirror_should_refuse(struct mirror *m);
void mirror_sleep(u32 us);
void mirror_delay(struct mirror *m, const u32 *delay_us,
		  const struct mmu_notifier_range *range);
void mirror_count_invalidation(struct mirror *m,
			       const struct mmu_notifier_range *range);
void mirror_hold(struct mirror *m, const struct mmu_notifier_range *range);
int mirror_cmd_hold(struct mirror *m, void *argp);
int mirror_cmd_counters(struct mirror *m, void *argp);
int mirror_cmd_inject(struct mirror *m, void *argp);

/* table.c */

/**
 * struct mirror_spte - an entry of the device's page table, unpacked
 * @pfn: the page.
 * @writable: may the device write to it?
 */
struct mirror_spte {
	unsigned long pfn;
	bool writable;
};

enum mirror_op_kind {
	MIRROR_OP_READ,
	MIRROR_OP_WRITE,
	MIRROR_OP_ADD,
};

/**
 * struct mirror_op - an access of the device's, within one page
 * @kind: what it is.
 * @key: the key that it is made by; 0: by address alone.
 * @addr: address.
 * @len: length in bytes; 8 for MIRROR_OP_ADD, at an aligned address.
 * @buf: kernel memory to copy to or from.
 * @value: what to add.
 * @old: out: what was there before.
 */
struct mirror_op {
	enum mirror_op_kind kind;
	u64 key;
	unsigned long addr;
	size_t len;
	void *buf;
	u64 value;
	u64 old;
};

void mirror_table_init(struct mirror *m);
int mirror_table_reserve(struct mirror *m, unsigned long index);
void mirror_table_unreserve(struct mirror *m, unsigned long index);
int mirror_table_install(struct mirror *m, unsigned long index,
			 unsigned long pfn, bool writable);
int mirror_table_access(struct mirror *m, struct mirror_op *op);
void mirror_table_zap(struct mirror *m, const struct mirror_personality *ops,
		      unsigned long first, unsigned long last, bool may_sleep);
void mirror_table_evict(struct mirror *m, unsigned long first,
			unsigned long last, bool may_sleep);
bool mirror_table_young(struct mirror *m, unsigned long first,
			unsigned long last, bool clear);
bool mirror_table_use(struct mirror *m, unsigned long index, bool write,
		      struct mirror_spte *spte);
bool mirror_table_find(struct mirror *m, unsigned long *index,
		       unsigned long last, struct mirror_spte *spte);

/* access.c */
int mirror_access_once(struct mirror *m, struct mirror_op *op);
int mirror_get_page(struct mirror *m, struct mirror_fault *fault);
int mirror_fault(struct mirror *m, struct mirror_fault *fault);
int mirror_load_word(struct mirror *m, unsigned long addr, u64 *word);
int mirror_cmd_access(struct mirror *m, struct mmu_mirror_access *args,
		      u64 key, bool write);
int mirror_cmd_add(struct mirror *m, void *argp);

/* spin.c */
void mirror_spin_lock(struct mirror *m);
bool mirror_spin_lock_nosleep(struct mirror *m);
void mirror_spin_unlock(struct mirror *m);
void mirror_spin_relax(struct mirror *m);
int mirror_spin_begin(struct mirror *m, const struct mmu_notifier_range *range);
void mirror_spin_release(struct mirror *m,
			 const struct mirror_personality *ops);

/* mutex.c */
void mirror_mutex_lock(struct mirror *m);
bool mirror_mutex_lock_nosleep(struct mirror *m);
void mirror_mutex_unlock(struct mirror *m);
void mirror_mutex_relax(struct mirror *m);

/* shadow.c, svm.c, sva.c, regcache.c */
extern const struct mirror_personality mirror_shadow_ops;
extern const struct mirror_personality mirror_svm_ops;
extern const struct mirror_personality mirror_sva_ops;
extern const struct mirror_personality mirror_regcache_ops;

/* svm.c */
int mirror_hmm_translate(struct mirror *m, struct mmu_interval_notifier *sub,
			 struct mirror_fault *fault);

/* regcache.c */
void mirror_regcache_init(struct mirror *m);
void mirror_regcache_destroy(struct mirror *m);
int mirror_regcache_allows(struct mirror *m, const struct mirror_op *op);
int mirror_cmd_register(struct mirror *m, void *argp);
void mirror_undo_register(struct mirror *m, void *argp);
int mirror_cmd_deregister(struct mirror *m, void *argp);
int mirror_cmd_key_read(struct mirror *m, void *argp);
int mirror_cmd_key_write(struct mirror *m, void *argp);
int mirror_cmd_keys(struct mirror *m, void *argp);

/* order.c */
int mirror_cmd_order(struct mirror *m, void *argp);

/* export.c: the exporter's side */
extern const struct mirror_personality mirror_export_ops;
struct mirror_export *mirror_export_get(struct mirror *m, unsigned int fd);
void mirror_export_put(struct mirror_export *e);

/* node.c: the side of those who have a table */
extern const struct mirror_personality mirror_import_ops;
int mirror_node_join(struct mirror *m, struct mirror_export *e);
void mirror_node_leave(struct mirror *m);
bool mirror_node_holds(struct mirror *m, const struct mirror_revocation *r);
void mirror_node_ask(struct mirror *m);
void mirror_node_fence(struct mirror *m);
bool mirror_node_young(struct mirror *m, const struct mirror_revocation *r);
int mirror_node_translate(struct mirror *m, struct mirror_fault *fault);
int mirror_node_install(struct mirror *m, struct mirror_fault *fault);
void mirror_node_dropped(struct mirror *m, unsigned long index,
			 unsigned long pfn);
bool mirror_node_pending(struct mirror *m, unsigned long pfn);
int mirror_cmd_import(struct mirror *m, void *argp);
int mirror_node_init(void);
void mirror_node_exit(void);

/* map.c: importers that map the window */
void mirror_map_init(struct mirror *m, struct file *file);
void mirror_map_destroy(struct mirror *m);
void mirror_map_unmap(struct mirror *m, unsigned long first,
		      unsigned long last);
int mirror_mmap(struct file *file, struct vm_area_struct *vma);

/* main.c */
struct mirror *mirror_of_file(struct file *file);

/* engine.c */
int mirror_cmd_engine(struct mirror *m, void *argp);
u64 mirror_engine_stop(struct mirror *m);

/* check.c */
int mirror_cmd_check(struct mirror *m, void *argp);

#endif /* _MMU_MIRROR_H */
