// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: how subscriptions begin, to a whole mm or
 * to a range. R1-R12 are the rules in
 * Documentation/mm/mmu_notifier/design.rst.
 */

#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>

#include "mmu_notifier_kunit.h"

/* Addresses for ranges; where they lie does not matter here. */
#define AT		0x100000UL
#define BEHIND		(AT + 16 * PAGE_SIZE)

/*
 * Late registration (R1, R5): a range that was not told to a subscription has
 * ended when its registration returns.
 */

/*
 * Wait until a registration that is under way can be seen by ranges: by the
 * epoch of a list subscription, by the track that a first interval turns on.
 */
static void wait_for_birth(struct kunit *test, struct mnk_mm *m,
			   unsigned long epoch, unsigned int track)
{
	struct mmu_notifier_subscriptions *subscriptions =
		m->mm->notifier_subscriptions;
	int looks = 0;

	while (READ_ONCE(subscriptions->epoch) == epoch &&
	       !(READ_ONCE(subscriptions->listening.bits) & track)) {
		KUNIT_ASSERT_LT(test, looks++, 10000);
		usleep_range(1000, 2000);
	}
}

struct late_case {
	const char *name;
	const struct mmu_notifier_ops *early;	/* NULL: an interval */
	const struct mmu_notifier_ops *late;
};

static const struct late_case late_cases[] = {
	{ "list after list", &mnk_range_ops, &mnk_range_ops },
	{ "list after start alone", &mnk_start_ops, &mnk_range_ops },
	{ "start alone after list", &mnk_range_ops, &mnk_start_ops },
	{ "end alone after list", &mnk_range_ops, &mnk_end_ops },
	{ "list after interval", NULL, &mnk_range_ops },
	{ "interval after list", &mnk_range_ops, NULL },
};

KUNIT_ARRAY_PARAM_DESC(late, late_cases, name);

static void registration_outlasts_older_ranges(struct kunit *test)
{
	const struct late_case *late = test->param_value;
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_list *early = mnk_list(test, m, late->early);
	struct mnk_list *sub = mnk_list(test, m, late->late);
	struct mnk_range *older, *younger;
	struct mnk_task *task;
	unsigned long epoch;

	if (late->early)
		MNK_ASSERT_RUNS(test, mnk_register, early);
	else
		MNK_ASSERT_RUNS(test, mnk_insert, interval);

	older = mnk_range_open(test, m, AT, BEHIND);
	epoch = m->mm->notifier_subscriptions->epoch;
	if (late->late)
		task = mnk_start(test, mnk_register, sub);
	else
		task = mnk_start(test, mnk_insert, interval);
	wait_for_birth(test, m, epoch, late->late ? 0 : MN_TRACK_INTERVALS);
	MNK_ASSERT_WAITS(test, task);
	/* It is there already for a younger range. */
	younger = mnk_range_open(test, m, AT, BEHIND);
	mnk_range_close(younger);
	if (late->late && late->late->invalidate_range_start) {
		MNK_EXPECT_COUNT(test, sub->starts, 1);
		KUNIT_EXPECT_PTR_EQ(test, sub->last_start.owner,
				    (void *)younger);
	}
	if (late->late && late->late->invalidate_range_end) {
		MNK_EXPECT_COUNT(test, sub->ends, 1);
		KUNIT_EXPECT_PTR_EQ(test, sub->last_end.owner, (void *)younger);
	}
	MNK_ASSERT_WAITS(test, task);

	mnk_range_close(older);
	MNK_ASSERT_ENDS(test, task, 0);
	/* Neither start nor end of the older one. */
	if (late->late && late->late->invalidate_range_start)
		MNK_EXPECT_COUNT(test, sub->starts, 1);
	if (late->late && late->late->invalidate_range_end)
		MNK_EXPECT_COUNT(test, sub->ends, 1);
	if (!late->late)
		MNK_EXPECT_COUNT(test, interval->calls, 0);

	mnk_invalidate(test, m, AT, BEHIND);
	if (late->late && late->late->invalidate_range_start)
		MNK_EXPECT_COUNT(test, sub->starts, 2);
	if (late->late && late->late->invalidate_range_end)
		MNK_EXPECT_COUNT(test, sub->ends, 2);
	if (!late->late || !late->early)
		KUNIT_EXPECT_GT(test, atomic_read(&interval->calls), 0);
}

/* Who finds the first insertion under way, has no less to wait for. */
static void first_insertions_wait_alike(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *early = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *first = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_interval *second = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_task *task, *other;
	struct mnk_range *range;

	MNK_ASSERT_RUNS(test, mnk_register, early);
	range = mnk_range_open(test, m, AT, BEHIND);
	task = mnk_start(test, mnk_insert, first);
	wait_for_birth(test, m, m->mm->notifier_subscriptions->epoch,
		       MN_TRACK_INTERVALS);
	other = mnk_start(test, mnk_insert, second);
	MNK_ASSERT_WAITS(test, task);
	MNK_ASSERT_WAITS(test, other);
	mnk_range_close(range);
	MNK_ASSERT_ENDS(test, task, 0);
	MNK_ASSERT_ENDS(test, other, 0);
	MNK_EXPECT_COUNT(test, first->calls, 0);
	MNK_EXPECT_COUNT(test, second->calls, 0);
}

/* R9: not even for mmap_lock, once there have been intervals. */
static void insertion_passes_a_waiting_registration(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *early = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *late = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *first = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_interval *second = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_range *range;
	struct mnk_task *task;
	unsigned long epoch;

	MNK_ASSERT_RUNS(test, mnk_register, early);
	MNK_ASSERT_RUNS(test, mnk_insert, first);
	range = mnk_range_open(test, m, BEHIND, BEHIND + PAGE_SIZE);
	epoch = m->mm->notifier_subscriptions->epoch;
	task = mnk_start(test, mnk_register, late);
	wait_for_birth(test, m, epoch, 0);
	MNK_ASSERT_RUNS(test, mnk_insert, second);
	MNK_ASSERT_RUNS(test, mnk_remove, first);
	MNK_ASSERT_RUNS(test, mnk_remove, second);
	MNK_ASSERT_WAITS(test, task);
	mnk_range_close(range);
	MNK_ASSERT_ENDS(test, task, 0);
}

/* Many of them in flight, the subscription coming in the middle. */
static void end_goes_to_who_saw_start(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *early = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *late = mnk_list(test, m, &mnk_range_ops);
	struct mnk_range *older[3], *younger[3];
	struct mnk_task *task;
	unsigned long epoch;
	int i;

	MNK_ASSERT_RUNS(test, mnk_register, early);
	for (i = 0; i < ARRAY_SIZE(older); i++)
		older[i] = mnk_range_open(test, m, AT, BEHIND);
	epoch = m->mm->notifier_subscriptions->epoch;
	task = mnk_start(test, mnk_register, late);
	wait_for_birth(test, m, epoch, 0);
	MNK_ASSERT_WAITS(test, task);
	for (i = 0; i < ARRAY_SIZE(younger); i++)
		younger[i] = mnk_range_open(test, m, AT, BEHIND);

	MNK_EXPECT_COUNT(test, early->open, 6);
	MNK_EXPECT_COUNT(test, late->open, 3);
	for (i = 0; i < ARRAY_SIZE(younger); i++) {
		mnk_range_close(older[i]);
		MNK_EXPECT_COUNT(test, late->open, 3 - i);
		mnk_range_close(younger[i]);
		MNK_EXPECT_COUNT(test, late->open, 2 - i);
	}
	MNK_EXPECT_COUNT(test, early->open, 0);
	MNK_ASSERT_ENDS(test, task, 0);
}

/*
 * The first registration that wants ranges has no range to wait for, since
 * none has left a trace. It passes through the locks that one may be under.
 */

enum lock_kind {
	LOCK_MMAP,
	LOCK_VMA,
	LOCK_MAPPING,
	LOCK_ANON_VMA,
};

struct lock_case {
	const char *name;
	enum lock_kind kind;
};

static const struct lock_case lock_cases[] = {
	{ "mmap_lock", LOCK_MMAP },
	{ "the lock of the VMA", LOCK_VMA },
	{ "i_mmap_rwsem", LOCK_MAPPING },
	{ "the lock of the anon_vma", LOCK_ANON_VMA },
};

KUNIT_ARRAY_PARAM_DESC(lock, lock_cases, name);

/**
 * struct mapper - makes VMAs in an mm, and holds a range under their locks
 * @m: the mm.
 * @file: what to map, or NULL for anonymous memory.
 * @nr: number of VMAs.
 * @addr: where the last writable one starts; it has an anon_vma.
 * @kind: the lock to be held.
 * @hold: where it is held.
 */
struct mapper {
	struct mnk_mm *m;
	struct file *file;
	unsigned int nr;
	unsigned long addr;
	enum lock_kind kind;
	struct mnk_gate *hold;
};

/* Neighbours have different access rights, so that they do not merge. */
static long map(void *mapper)
{
	struct mapper *map = mapper;
	unsigned long flags = MAP_PRIVATE | MAP_POPULATE;
	unsigned long addr = 0;
	unsigned int i;

	if (!map->file)
		flags |= MAP_ANONYMOUS;
	kthread_use_mm(map->m->mm);
	for (i = 0; i < map->nr; i++) {
		addr = vm_mmap(map->file, 0, PAGE_SIZE,
			       i & 1 ? PROT_READ : PROT_READ | PROT_WRITE,
			       flags, 0);
		if (IS_ERR_VALUE(addr))
			break;
		if (!(i & 1))
			map->addr = addr;
	}
	kthread_unuse_mm(map->m->mm);
	return IS_ERR_VALUE(addr) ? (long)addr : 0;
}

static void make_vmas(struct kunit *test, struct mapper *mapper)
{
	mapper->m->lazy = true;
	MNK_ASSERT_RUNS(test, map, mapper);
	KUNIT_ASSERT_GE(test, mapper->m->mm->map_count, (int)mapper->nr);
}

static void hold_range(struct mapper *mapper)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mapper->m->mm,
				mapper->addr, mapper->addr + PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	mnk_pass(mapper->hold);
	mmu_notifier_invalidate_range_end(&range);
}

static long hold_lock(void *mapper)
{
	struct mapper *map = mapper;
	struct mm_struct *mm = map->m->mm;
	struct anon_vma *anon_vma;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = find_vma(mm, map->addr);
	if (!vma) {
		mmap_read_unlock(mm);
		return -ENOENT;
	}
	switch (map->kind) {
	case LOCK_MMAP:
		hold_range(map);
		mmap_read_unlock(mm);
		return 0;
	case LOCK_VMA:
		mmap_read_unlock(mm);
#ifdef CONFIG_PER_VMA_LOCK
		vma = lock_vma_under_rcu(mm, map->addr);
		if (!vma)
			return -EAGAIN;
		hold_range(map);
		vma_end_read(vma);
#endif
		return 0;
	case LOCK_MAPPING:
		mmap_read_unlock(mm);
		i_mmap_lock_read(vma->vm_file->f_mapping);
		hold_range(map);
		i_mmap_unlock_read(vma->vm_file->f_mapping);
		return 0;
	case LOCK_ANON_VMA:
		anon_vma = vma->anon_vma;
		mmap_read_unlock(mm);
		if (!anon_vma)
			return -ENOENT;
		anon_vma_lock_read(anon_vma);
		hold_range(map);
		anon_vma_unlock_read(anon_vma);
		return 0;
	}
	return -EINVAL;
}

static void close_file(void *file)
{
	fput(file);
	flush_delayed_fput();
}

static void first_registration_passes_locks(struct kunit *test)
{
	const struct lock_case *lock = test->param_value;
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *release = mnk_list(test, m, &mnk_release_ops);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mapper mapper = { .m = m, .nr = 1, .kind = lock->kind };
	struct mnk_task *holder, *task;

	if (lock->kind == LOCK_VMA && !IS_ENABLED(CONFIG_PER_VMA_LOCK))
		kunit_skip(test, "needs CONFIG_PER_VMA_LOCK");
	if (lock->kind == LOCK_MAPPING) {
		mapper.file = shmem_kernel_file_setup("mmu_notifier_kunit",
						      PAGE_SIZE, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, mapper.file);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, close_file,
							  mapper.file));
	}
	mapper.hold = mnk_gate(test);
	make_vmas(test, &mapper);
	/* One that wants no ranges does not make the next one less the first. */
	MNK_ASSERT_RUNS(test, mnk_register, release);

	holder = mnk_start(test, hold_lock, &mapper);
	KUNIT_ASSERT_TRUE(test, mnk_reached(mapper.hold));
	task = mnk_start(test, mnk_register, sub);
	MNK_ASSERT_WAITS(test, task);

	mnk_open(mapper.hold);
	MNK_ASSERT_ENDS(test, holder, 0);
	MNK_ASSERT_ENDS(test, task, 0);
	MNK_EXPECT_COUNT(test, sub->starts, 0);
	MNK_EXPECT_COUNT(test, sub->ends, 0);
	mmap_read_lock(m->mm);
	mnk_invalidate(test, m, mapper.addr, mapper.addr + PAGE_SIZE);
	mmap_read_unlock(m->mm);
	MNK_EXPECT_COUNT(test, sub->starts, 1);
	MNK_EXPECT_COUNT(test, sub->ends, 1);
}

static void registration_with_many_vmas(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *n = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, n, AT, PAGE_SIZE);
	struct mapper mapper = { .m = m, .nr = 500 };

	make_vmas(test, &mapper);
	MNK_ASSERT_RUNS(test, mnk_register, sub);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->ends, 1);

	mapper.m = n;
	make_vmas(test, &mapper);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	mnk_invalidate(test, n, AT, BEHIND);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
}

/* Exit unmaps what is mapped, which is told to interval subscriptions. */
static void exit_with_vmas(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mapper mapper = { .m = m, .nr = 4 };
	struct mnk_interval *interval;

	make_vmas(test, &mapper);
	interval = mnk_interval(test, m, mapper.addr, PAGE_SIZE);
	MNK_ASSERT_RUNS(test, mnk_register, sub);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, sub->releases, 1);
	MNK_EXPECT_COUNT(test, sub->starts, 0);
	KUNIT_EXPECT_GE(test, atomic_read(&interval->calls), 1);
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
}

/*
 * Signals (R11)
 */

/**
 * struct signalled - a call that is made with a signal pending
 * @sig: the signal.
 * @fn: the call.
 * @arg: its argument.
 */
struct signalled {
	int sig;
	long (*fn)(void *arg);
	void *arg;
};

static long call_signalled(void *signalled)
{
	struct signalled *call = signalled;
	long ret;

	allow_signal(call->sig);
	send_sig(call->sig, current, 1);
	if (!signal_pending(current))
		return -ENODATA;
	ret = call->fn(call->arg);
	flush_signals(current);
	disallow_signal(call->sig);
	return ret;
}

static void fatal_signal_leaves_nothing_behind(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *next = mnk_list(test, m, &mnk_range_ops);
	struct signalled call = { SIGKILL, mnk_register, sub };
	struct mapper mapper = { .m = m, .nr = 4 };

	make_vmas(test, &mapper);
	KUNIT_ASSERT_EQ(test, mnk_run(test, call_signalled, &call),
			(long)-EINTR);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->starts, 0);

	/* Who comes next does what was not done. */
	MNK_ASSERT_RUNS(test, mnk_register, next);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, next->starts, 1);
	MNK_EXPECT_COUNT(test, sub->starts, 0);
	MNK_EXPECT_COUNT(test, sub->ends, 0);

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->starts, 1);
	MNK_EXPECT_COUNT(test, sub->ends, 1);
	MNK_ASSERT_RUNS(test, mnk_unregister, sub);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, sub->releases, 1);
	MNK_EXPECT_COUNT(test, next->releases, 1);
}

/* A pass that was broken off counts for nothing: the next one is complete. */
static void fatal_signal_does_not_shorten_the_next(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct signalled call = { SIGKILL, mnk_insert, interval };
	struct mapper mapper = { .m = m, .nr = 4, .kind = LOCK_ANON_VMA };
	struct mnk_task *holder, *task;

	mapper.hold = mnk_gate(test);
	make_vmas(test, &mapper);
	/* A range from before anybody came. */
	holder = mnk_start(test, hold_lock, &mapper);
	KUNIT_ASSERT_TRUE(test, mnk_reached(mapper.hold));
	KUNIT_ASSERT_EQ(test, mnk_run(test, call_signalled, &call),
			(long)-EINTR);

	task = mnk_start(test, mnk_register, sub);
	MNK_ASSERT_WAITS(test, task);
	mnk_open(mapper.hold);
	MNK_ASSERT_ENDS(test, holder, 0);
	MNK_ASSERT_ENDS(test, task, 0);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
	MNK_EXPECT_COUNT(test, sub->starts, 1);
}

static void harmless_signal_does_no_harm(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct signalled call = { SIGUSR1, mnk_register, sub };
	struct mapper mapper = { .m = m, .nr = 4 };

	make_vmas(test, &mapper);
	MNK_ASSERT_RUNS(test, call_signalled, &call);
	call = (struct signalled){ SIGUSR1, mnk_insert, interval };
	MNK_ASSERT_RUNS(test, call_signalled, &call);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->starts, 1);
	MNK_EXPECT_COUNT(test, interval->calls, 1);
}

static struct kunit_case mmu_notifier_register_cases[] = {
	KUNIT_CASE_PARAM(registration_outlasts_older_ranges, late_gen_params),
	KUNIT_CASE(first_insertions_wait_alike),
	KUNIT_CASE(insertion_passes_a_waiting_registration),
	KUNIT_CASE(end_goes_to_who_saw_start),
	KUNIT_CASE_PARAM(first_registration_passes_locks, lock_gen_params),
	KUNIT_CASE(registration_with_many_vmas),
	KUNIT_CASE(exit_with_vmas),
	KUNIT_CASE(fatal_signal_leaves_nothing_behind),
	KUNIT_CASE(fatal_signal_does_not_shorten_the_next),
	KUNIT_CASE(harmless_signal_does_no_harm),
	{}
};

static struct kunit_suite mmu_notifier_register_suite = {
	.name = "mmu_notifier_register",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_register_cases,
};

kunit_test_suite(mmu_notifier_register_suite);
