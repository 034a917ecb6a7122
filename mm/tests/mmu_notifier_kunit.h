/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the KUnit suites of the MMU notifiers share: a fixture that owns mms,
 * recording subscriptions, ranges and threads.
 *
 * A case never calls what may wait from its own thread. It runs such calls as
 * *tasks*, with a deadline, so that a hang becomes a failure. Then threads stay
 * behind, and the fixture leaks what they may still touch.
 *
 * The fixture ends what a case left open, in the same way, and checks for each
 * case that no end came without a start, that no callback ran after its
 * subscription had ended, and that each reference to an mm was dropped.
 *
 * ``end`` is exclusive, as everywhere.
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_KUNIT_H
#define _MM_TESTS_MMU_NOTIFIER_KUNIT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/mmu_notifier.h>

#include "../mmu_notifier.h"
#include "../mmu_notifier_check.h"

/*
 * What must happen is waited for in slices, 10 seconds in all: when a guest was
 * not run for a while its jiffies jump, which then costs one slice and not the
 * deadline.
 */
#define MNK_SLICE	msecs_to_jiffies(100)
#define MNK_NR_SLICES	100
/* What must not happen yet is watched for so long. */
#define MNK_WATCH	msecs_to_jiffies(60)

/**
 * struct mnk_gate - where a callback or a task stops until it is let through
 * @node: of the fixture, which opens all gates in the end.
 * @reached: somebody has come to the gate.
 * @open: everybody may pass.
 */
struct mnk_gate {
	struct list_head node;
	struct completion reached;
	struct completion open;
};

/**
 * struct mnk_task - a thread that makes one call
 * @node: of the fixture.
 * @test: the case.
 * @fn: the call.
 * @arg: its argument.
 * @started: the thread runs and is about to call.
 * @done: the call has returned.
 * @ret: what it returned; valid after @done.
 */
struct mnk_task {
	struct list_head node;
	struct kunit *test;
	long (*fn)(void *arg);
	void *arg;
	struct completion started;
	struct completion done;
	long ret;
};

/**
 * struct mnk_mm - an address space
 * @node: of the fixture.
 * @mm: the mm. The fixture holds one more reference to its memory.
 * @alive: its only user is the fixture; false after mnk_mmput().
 * @lazy: a thread used it, so that schedulers may hold references for a while.
 */
struct mnk_mm {
	struct list_head node;
	struct mm_struct *mm;
	bool alive;
	bool lazy;
};

/**
 * struct mnk_list - a recording subscription to a whole mm
 * @notifier: what is registered.
 * @node: of the fixture.
 * @m: the mm.
 * @refuse: a start that must not sleep answers -EAGAIN.
 * @young: what the young callbacks answer.
 * @put_in_release: release gives the subscription back with
 *	mmu_notifier_put().
 * @start_gate: where a start that may sleep stops, or NULL.
 * @release_gate: where release stops, or NULL.
 * @busy_ms: how long a callback that must not sleep takes.
 * @live: to be ended by the fixture.
 * @ended: no callback may come any more.
 * @starts: starts that were not refused.
 * @refusals: those that were.
 * @ends: ends.
 * @open: starts without an end.
 * @releases: calls of release.
 * @flushes: calls of arch_invalidate_secondary_tlbs.
 * @youngs: calls of any young callback.
 * @frees: calls of free_notifier.
 * @running: callbacks that are running.
 * @late: callbacks after the end of the subscription.
 * @unpaired: ends without a start.
 * @lock: guards what follows.
 * @last_start: the range of the last start, refused or not.
 * @last_end: the range of the last end.
 * @from: first address passed to the last young or TLB callback.
 * @to: second address passed to it.
 * @released_mm: the mm passed to release.
 */
struct mnk_list {
	struct mmu_notifier notifier;
	struct list_head node;
	struct mnk_mm *m;

	bool refuse;
	int young;
	bool put_in_release;
	struct mnk_gate *start_gate;
	struct mnk_gate *release_gate;
	unsigned int busy_ms;

	bool live;
	bool ended;
	atomic_t starts;
	atomic_t refusals;
	atomic_t ends;
	atomic_t open;
	atomic_t releases;
	atomic_t flushes;
	atomic_t youngs;
	atomic_t frees;
	atomic_t running;
	atomic_t late;
	atomic_t unpaired;

	spinlock_t lock;	/* see above */
	struct mmu_notifier_range last_start;
	struct mmu_notifier_range last_end;
	unsigned long from;
	unsigned long to;
	struct mm_struct *released_mm;
};

/* Ranges that a two-pass subscription can have begun and not finished. */
#define MNK_FINISHES	4

/**
 * struct mnk_finish - what a two-pass subscription has to finish
 * @finish: what the core passes on.
 * @busy: begun and not finished.
 */
struct mnk_finish {
	struct mmu_interval_notifier_finish finish;
	bool busy;
};

/**
 * struct mnk_interval - a recording subscription to a range
 * @notifier: what is inserted.
 * @node: of the fixture.
 * @m: the mm.
 * @start: first address.
 * @length: number of bytes.
 * @refuse: an invalidation that must not sleep is answered with false.
 * @gate: where one that may sleep stops, or NULL.
 * @two_pass: it has invalidate_start and invalidate_finish.
 * @no_room: invalidate_start does all at once, as if room had run out.
 * @finish_gate: where invalidate_finish stops, or NULL.
 * @settles: it has settled.
 * @unmaps_only: it has concerns too, and MMU_NOTIFY_UNMAP alone concerns it.
 * @remove_self: invalidate removes the subscription it is called for.
 * @removed_gate: where the callback of an asynchronous removal stops, or NULL.
 * @insert_again: it inserts the subscription again.
 * @live: to be removed by the fixture.
 * @ended: no callback may come any more.
 * @calls: calls of invalidate that were not refused.
 * @refusals: those that were.
 * @finishes: calls of invalidate_finish.
 * @settled: calls of settled.
 * @removals: asynchronous removals that called back.
 * @removed: there was one.
 * @running: calls that are running, or begun and not finished.
 * @late: calls after the removal.
 * @lock: the lock of the driver that this stands for; guards what follows.
 * @busy: from insertion, and from each call, refused or not, until settled.
 * @finish: room for what has begun.
 * @began: the time on mnk_clock() of the last call of invalidate or
 *	invalidate_start.
 * @finished: that of the last call of invalidate_finish.
 * @last: the range of the last call.
 * @seq: the sequence of the last call.
 * @odd_seqs: number of calls whose sequence was odd.
 * @grown_seqs: number of calls whose sequence was younger than the one before.
 */
struct mnk_interval {
	struct mmu_interval_notifier notifier;
	struct list_head node;
	struct mnk_mm *m;
	unsigned long start;
	unsigned long length;

	bool refuse;
	struct mnk_gate *gate;
	bool two_pass;
	bool no_room;
	struct mnk_gate *finish_gate;
	bool settles;
	bool unmaps_only;
	bool remove_self;
	struct mnk_gate *removed_gate;
	bool insert_again;

	bool live;
	bool ended;
	atomic_t calls;
	atomic_t refusals;
	atomic_t finishes;
	atomic_t settled;
	atomic_t removals;
	struct completion removed;
	atomic_t running;
	atomic_t late;

	spinlock_t lock;	/* see above */
	bool busy;
	struct mnk_finish finish[MNK_FINISHES];
	int began;
	int finished;
	struct mmu_notifier_range last;
	unsigned long seq;
	unsigned int odd_seqs;
	unsigned int grown_seqs;
};

/**
 * struct mnk_range - an invalidation
 * @range: what is passed to start and end.
 * @node: of the fixture.
 * @in_flight: the fixture has to end it.
 * @hold: where mnk_fly() stops between start and end.
 */
struct mnk_range {
	struct mmu_notifier_range range;
	struct list_head node;
	bool in_flight;
	struct mnk_gate *hold;
};

/* The fixture */
int mnk_init(struct kunit *test);
void mnk_exit(struct kunit *test);

struct mnk_mm *mnk_mm(struct kunit *test);
struct mnk_gate *mnk_gate(struct kunit *test);
struct mnk_list *mnk_list(struct kunit *test, struct mnk_mm *m,
			  const struct mmu_notifier_ops *ops);
struct mnk_interval *mnk_interval(struct kunit *test, struct mnk_mm *m,
				  unsigned long start, unsigned long length);
struct mnk_range *mnk_range(struct kunit *test, struct mnk_mm *m,
			    unsigned long start, unsigned long end);

unsigned int mnk_reported(enum mmu_report_kind kind);

bool mnk_completed(struct completion *completion);

/* Gates */
void mnk_pass(struct mnk_gate *gate);
bool mnk_reached(struct mnk_gate *gate);
void mnk_open(struct mnk_gate *gate);

/* Tasks */
struct mnk_task *mnk_start(struct kunit *test, long (*fn)(void *arg), void *arg);
bool mnk_ends(struct mnk_task *task);
bool mnk_waits(struct mnk_task *task);
long mnk_run(struct kunit *test, long (*fn)(void *arg), void *arg);

/* Calls that can be run as tasks, with what they take */
long mnk_register(void *list);
long mnk_unregister(void *list);
long mnk_put(void *list);
long mnk_get(void *get);
long mnk_synchronize(void *unused);
long mnk_insert(void *interval);
long mnk_insert_locked(void *interval);
long mnk_remove(void *interval);
long mnk_read_begin(void *interval);
long mnk_fly(void *range);
long mnk_mmput(void *m);

/* What is simple enough for the thread of the case */
struct mnk_range *mnk_range_open(struct kunit *test, struct mnk_mm *m,
				 unsigned long start, unsigned long end);
void mnk_range_close(struct mnk_range *range);
void mnk_invalidate(struct kunit *test, struct mnk_mm *m, unsigned long start,
		    unsigned long end);
int mnk_invalidate_nonblock(struct kunit *test, struct mnk_mm *m,
			    unsigned long start, unsigned long end);
bool mnk_read_retry(struct mnk_interval *interval, unsigned long seq);
void mnk_remove_async(struct mnk_interval *interval);
void mnk_removed(struct mmu_interval_notifier *notifier);

/**
 * struct mnk_get - the argument of mnk_get()
 * @m: the mm.
 * @ops: the ops.
 * @notifier: what mmu_notifier_get() returned.
 */
struct mnk_get {
	struct mnk_mm *m;
	const struct mmu_notifier_ops *ops;
	struct mmu_notifier *notifier;
};

/* What the recording subscriptions implement */
extern const struct mmu_notifier_ops mnk_range_ops;	/* release, start, end */
extern const struct mmu_notifier_ops mnk_start_ops;	/* start alone */
extern const struct mmu_notifier_ops mnk_end_ops;	/* end alone */
extern const struct mmu_notifier_ops mnk_release_ops;	/* release alone */
extern const struct mmu_notifier_ops mnk_tlb_ops;	/* release, TLB */
extern const struct mmu_notifier_ops mnk_young_ops;	/* all three young */
extern const struct mmu_notifier_ops mnk_shared_ops;	/* range and alloc/free */
extern const struct mmu_notifier_ops mnk_other_shared_ops;	/* the same */
extern const struct mmu_notifier_ops mnk_shared_release_ops;	/* no range */

static inline struct mnk_list *mnk_to_list(struct mmu_notifier *notifier)
{
	return container_of(notifier, struct mnk_list, notifier);
}

/* A task that must come to its end now, with this result. */
#define MNK_ASSERT_ENDS(test, task, result)				\
do {									\
	struct mnk_task *__mnk_task = (task);				\
	struct kunit *__mnk_test = (test);				\
									\
	KUNIT_ASSERT_TRUE_MSG(__mnk_test, mnk_ends(__mnk_task),		\
			      "still waiting in %ps", __mnk_task->fn);	\
	KUNIT_ASSERT_EQ(__mnk_test, __mnk_task->ret, (long)(result));	\
} while (0)

/* A task that must not come to its end yet. */
#define MNK_ASSERT_WAITS(test, task)					\
do {									\
	struct mnk_task *__mnk_task = (task);				\
									\
	KUNIT_ASSERT_TRUE_MSG(test, mnk_waits(__mnk_task),		\
			      "%ps did not wait", __mnk_task->fn);	\
} while (0)

/* A call that must succeed, and must not wait for what the case holds up. */
#define MNK_ASSERT_RUNS(test, fn, arg)					\
do {									\
	struct kunit *__mnk_test = (test);				\
									\
	KUNIT_ASSERT_EQ(__mnk_test, mnk_run(__mnk_test, fn, arg), 0L);	\
} while (0)

#define MNK_EXPECT_COUNT(test, counter, number)				\
	KUNIT_EXPECT_EQ_MSG(test, atomic_read(&(counter)), number, #counter)

#endif /* _MM_TESTS_MMU_NOTIFIER_KUNIT_H */
