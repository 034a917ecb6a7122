// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the MMU notifiers: subscriptions to a whole mm, what they are
 * told and how they end. R1-R12 are the rules in
 * Documentation/mm/mmu_notifier/design.rst.
 */

#include <kunit/test.h>
#include <linux/irqflags.h>
#include <linux/sched/mm.h>

#include "mmu_notifier_kunit.h"

/* Addresses for ranges; where they lie does not matter here. */
#define AT		0x100000UL
#define BEHIND		(AT + 16 * PAGE_SIZE)

static unsigned int listening(struct mnk_mm *m)
{
	return READ_ONCE(m->mm->notifier_subscriptions->listening.bits);
}

/*
 * Delivery
 */

static void expect_same_range(struct kunit *test,
			      const struct mmu_notifier_range *told,
			      const struct mmu_notifier_range *range)
{
	KUNIT_EXPECT_PTR_EQ(test, told->mm, range->mm);
	KUNIT_EXPECT_EQ(test, told->start, range->start);
	KUNIT_EXPECT_EQ(test, told->end, range->end);
	KUNIT_EXPECT_EQ(test, told->event, range->event);
	KUNIT_EXPECT_PTR_EQ(test, told->owner, range->owner);
}

static void range_reaches_every_subscription(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[3];
	struct mnk_range *range;
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		subs[i] = mnk_list(test, m, &mnk_range_ops);
		MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
	}

	range = mnk_range_open(test, m, AT + 1, AT + 5);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->starts, 1);
		MNK_EXPECT_COUNT(test, subs[i]->ends, 0);
		expect_same_range(test, &subs[i]->last_start, &range->range);
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_range_blockable(&subs[i]->last_start));
	}
	mnk_range_close(range);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->starts, 1);
		MNK_EXPECT_COUNT(test, subs[i]->ends, 1);
		expect_same_range(test, &subs[i]->last_end, &range->range);
		MNK_EXPECT_COUNT(test, subs[i]->releases, 0);
	}
}

static void range_tells_event_and_blockable(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mmu_notifier_range range;
	int event;

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	for (event = MMU_NOTIFY_UNMAP; event <= MMU_NOTIFY_EXCLUSIVE; event++) {
		if (event == MMU_NOTIFY_RELEASE)
			continue;
		mmu_notifier_range_init_owner(&range, event, 0, m->mm, AT,
					      AT + PAGE_SIZE, test);
		mmu_notifier_invalidate_range_start(&range);
		expect_same_range(test, &sub->last_start, &range);
		KUNIT_EXPECT_TRUE(test,
				  mmu_notifier_range_blockable(&sub->last_start));
		mmu_notifier_invalidate_range_end(&range);
		expect_same_range(test, &sub->last_end, &range);

		mmu_notifier_range_init(&range, event, 0, m->mm, AT,
					AT + PAGE_SIZE);
		KUNIT_ASSERT_EQ(test, 0,
				mmu_notifier_invalidate_range_start_nonblock(&range));
		expect_same_range(test, &sub->last_start, &range);
		KUNIT_EXPECT_FALSE(test,
				   mmu_notifier_range_blockable(&sub->last_start));
		mmu_notifier_invalidate_range_end(&range);
		expect_same_range(test, &sub->last_end, &range);
	}
	MNK_EXPECT_COUNT(test, sub->open, 0);
}

static void ranges_overlap_in_time(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_range *ranges[4];
	int i;

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = mnk_range_open(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->open, 4);
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		mnk_range_close(ranges[i]);
		expect_same_range(test, &sub->last_end, &ranges[i]->range);
	}
	MNK_EXPECT_COUNT(test, sub->open, 0);
}

static void start_alone_and_end_alone(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *starts = mnk_list(test, m, &mnk_start_ops);
	struct mnk_list *ends = mnk_list(test, m, &mnk_end_ops);

	MNK_ASSERT_RUNS(test, mnk_register, ends);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, ends->ends, 1);

	MNK_ASSERT_RUNS(test, mnk_register, starts);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, ends->ends, 2);
	MNK_EXPECT_COUNT(test, starts->starts, 1);
}

static void no_subscription_no_trace(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_range *range = mnk_range_open(test, m, AT, BEHIND);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);

	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(m->mm));
	KUNIT_EXPECT_EQ(test, mnk_invalidate_nonblock(test, m, AT, BEHIND), 0);
	KUNIT_EXPECT_EQ(test, mmu_notifier_test_young(m->mm, AT), 0);

	/* R5: the end looks at what the start left, not at the mm. */
	MNK_ASSERT_RUNS(test, mnk_register, sub);
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(m->mm));
	mnk_range_close(range);
	MNK_EXPECT_COUNT(test, sub->starts, 0);
	MNK_EXPECT_COUNT(test, sub->ends, 0);
}

/*
 * Release, unregister, exit (R6)
 */

static void unregister_releases_once(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	int count = atomic_read(&m->mm->mm_count);
	int i;

	/* The same structure can be registered again. */
	for (i = 1; i <= 2; i++) {
		MNK_ASSERT_RUNS(test, mnk_register, sub);
		MNK_EXPECT_COUNT(test, m->mm->mm_count, count + 1);
		MNK_EXPECT_COUNT(test, sub->releases, i - 1);
		mnk_invalidate(test, m, AT, BEHIND);
		MNK_EXPECT_COUNT(test, sub->ends, i);

		MNK_ASSERT_RUNS(test, mnk_unregister, sub);
		MNK_EXPECT_COUNT(test, m->mm->mm_count, count);
		MNK_EXPECT_COUNT(test, sub->releases, i);
		KUNIT_EXPECT_PTR_EQ(test, sub->released_mm, m->mm);
		mnk_invalidate(test, m, AT, BEHIND);
		MNK_EXPECT_COUNT(test, sub->starts, i);
	}
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, sub->releases, 2);
}

static void exit_releases_each_once(struct kunit *test)
{
	static const struct mmu_notifier_ops * const ops[] = {
		&mnk_range_ops, &mnk_release_ops, &mnk_tlb_ops, &mnk_range_ops,
	};
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[ARRAY_SIZE(ops)];
	int count = atomic_read(&m->mm->mm_count);
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		subs[i] = mnk_list(test, m, ops[i]);
		MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
	}
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
		KUNIT_EXPECT_PTR_EQ(test, subs[i]->released_mm, m->mm);
	}

	/* The users' reference was one of mm_count's. */
	count += ARRAY_SIZE(subs) - 1;
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, m->mm->mm_count, count - i);
		MNK_ASSERT_RUNS(test, mnk_unregister, subs[i]);
		MNK_EXPECT_COUNT(test, m->mm->mm_count, count - i - 1);
		MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
	}
}

static void released_means_no_more_ranges(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	/* What reclaim may do by way of an rmap. */
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->starts, 0);
	MNK_EXPECT_COUNT(test, sub->ends, 0);
}

static void unregister_waits_for_release_by_exit(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *slow = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *quick = mnk_list(test, m, &mnk_range_ops);
	struct mnk_task *exit, *unregister;

	slow->release_gate = mnk_gate(test);
	MNK_ASSERT_RUNS(test, mnk_register, quick);
	MNK_ASSERT_RUNS(test, mnk_register, slow);

	exit = mnk_start(test, mnk_mmput, m);
	KUNIT_ASSERT_TRUE(test, mnk_reached(slow->release_gate));
	unregister = mnk_start(test, mnk_unregister, slow);
	MNK_ASSERT_WAITS(test, unregister);

	mnk_open(slow->release_gate);
	MNK_ASSERT_ENDS(test, unregister, 0);
	MNK_ASSERT_ENDS(test, exit, 0);
	MNK_EXPECT_COUNT(test, slow->releases, 1);
	MNK_EXPECT_COUNT(test, quick->releases, 1);
	MNK_ASSERT_RUNS(test, mnk_unregister, quick);
	MNK_EXPECT_COUNT(test, quick->releases, 1);
}

/* Pages are freed after exit's release; so it waits for that of others. */
static void exit_waits_for_release_by_unregister(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *slow = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *quick = mnk_list(test, m, &mnk_release_ops);
	struct mnk_task *exit, *unregister;

	slow->release_gate = mnk_gate(test);
	MNK_ASSERT_RUNS(test, mnk_register, quick);
	MNK_ASSERT_RUNS(test, mnk_register, slow);

	unregister = mnk_start(test, mnk_unregister, slow);
	KUNIT_ASSERT_TRUE(test, mnk_reached(slow->release_gate));
	exit = mnk_start(test, mnk_mmput, m);
	MNK_ASSERT_WAITS(test, exit);

	mnk_open(slow->release_gate);
	MNK_ASSERT_ENDS(test, unregister, 0);
	MNK_ASSERT_ENDS(test, exit, 0);
	MNK_EXPECT_COUNT(test, slow->releases, 1);
	MNK_EXPECT_COUNT(test, quick->releases, 1);
}

static void exit_races_with_unregister(struct kunit *test)
{
	struct mnk_task *tasks[4];
	struct mnk_list *subs[6];
	int round, i;

	for (round = 0; round < 16; round++) {
		struct mnk_mm *m = mnk_mm(test);

		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			subs[i] = mnk_list(test, m, i & 1 ? &mnk_release_ops :
							    &mnk_range_ops);
			MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
		}
		/* Vary who comes first. */
		for (i = 0; i < ARRAY_SIZE(tasks); i++) {
			if (i == round % ARRAY_SIZE(tasks))
				tasks[i] = mnk_start(test, mnk_mmput, m);
			else
				tasks[i] = mnk_start(test, mnk_unregister,
						     subs[i]);
		}
		for (i = 0; i < ARRAY_SIZE(tasks); i++)
			MNK_ASSERT_ENDS(test, tasks[i], 0);
		for (i = 0; i < ARRAY_SIZE(subs); i++)
			MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
	}
}

static void unregister_waits_for_callback_and_range(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_range *range = mnk_range(test, m, AT, BEHIND);
	struct mnk_task *fly, *unregister;

	sub->start_gate = mnk_gate(test);
	range->hold = mnk_gate(test);
	MNK_ASSERT_RUNS(test, mnk_register, sub);

	fly = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(sub->start_gate));
	unregister = mnk_start(test, mnk_unregister, sub);
	MNK_ASSERT_WAITS(test, unregister);

	/* The callback has returned, the range is still in flight. */
	mnk_open(sub->start_gate);
	KUNIT_ASSERT_TRUE(test, mnk_reached(range->hold));
	MNK_ASSERT_WAITS(test, unregister);

	mnk_open(range->hold);
	MNK_ASSERT_ENDS(test, unregister, 0);
	MNK_ASSERT_ENDS(test, fly, 0);
	MNK_EXPECT_COUNT(test, sub->starts, 1);
	MNK_EXPECT_COUNT(test, sub->releases, 1);
}

static long age(void *m)
{
	struct mnk_mm *mnk_mm = m;

	return mmu_notifier_clear_flush_young(mnk_mm->mm, AT, AT + PAGE_SIZE);
}

static long flush(void *m)
{
	struct mnk_mm *mnk_mm = m;

	mmu_notifier_arch_invalidate_secondary_tlbs(mnk_mm->mm, AT, BEHIND);
	return 0;
}

/* mnk_unregister() answers with the number of callbacks that still run. */
static void unregister_waits_for_atomic_callbacks(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *young = mnk_list(test, m, &mnk_young_ops);
	struct mnk_list *tlb = mnk_list(test, m, &mnk_tlb_ops);
	struct mnk_task *task;

	young->busy_ms = 50;
	tlb->busy_ms = 50;
	MNK_ASSERT_RUNS(test, mnk_register, young);
	MNK_ASSERT_RUNS(test, mnk_register, tlb);

	task = mnk_start(test, age, m);
	KUNIT_ASSERT_TRUE(test, mnk_completed(&task->started));
	MNK_ASSERT_RUNS(test, mnk_unregister, young);
	MNK_ASSERT_ENDS(test, task, 0);

	task = mnk_start(test, flush, m);
	KUNIT_ASSERT_TRUE(test, mnk_completed(&task->started));
	MNK_ASSERT_RUNS(test, mnk_unregister, tlb);
	MNK_ASSERT_ENDS(test, task, 0);
}

static void mm_does_not_wait_for_another(struct kunit *test)
{
	struct mnk_mm *slow = mnk_mm(test), *m = mnk_mm(test);
	struct mnk_list *sleeper = mnk_list(test, slow, &mnk_range_ops);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *second = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_range *range = mnk_range(test, slow, AT, BEHIND);
	struct mnk_get get = { .m = m, .ops = &mnk_shared_ops };
	struct mnk_task *fly;

	sleeper->start_gate = mnk_gate(test);
	MNK_ASSERT_RUNS(test, mnk_register, sleeper);
	fly = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(sleeper->start_gate));

	/* R7: whatever that callback does, none of this minds. */
	MNK_ASSERT_RUNS(test, mnk_register, sub);
	MNK_ASSERT_RUNS(test, mnk_register, second);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_ASSERT_RUNS(test, mnk_fly, mnk_range(test, m, AT, BEHIND));
	MNK_ASSERT_RUNS(test, mnk_get, &get);
	MNK_ASSERT_RUNS(test, mnk_put, mnk_to_list(get.notifier));
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	mnk_run(test, mnk_read_begin, interval);
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	MNK_ASSERT_RUNS(test, mnk_unregister, sub);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_ASSERT_RUNS(test, mnk_unregister, second);

	MNK_EXPECT_COUNT(test, sleeper->running, 1);
	mnk_open(sleeper->start_gate);
	MNK_ASSERT_ENDS(test, fly, 0);
}

/*
 * A start that must not sleep, refused (R5)
 */

static void refused_start_is_undone(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *late = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *subs[3];
	int refuser, told, i;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		subs[i] = mnk_list(test, m, &mnk_range_ops);
		MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
	}

	/* In whatever order they are told: in one case it is the last. */
	told = 0;
	for (refuser = 0; refuser < ARRAY_SIZE(subs); refuser++) {
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			atomic_set(&subs[i]->starts, 0);
			atomic_set(&subs[i]->ends, 0);
			subs[i]->refuse = i == refuser;
		}
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(test, m, AT, BEHIND));
		MNK_EXPECT_COUNT(test, subs[refuser]->refusals, 1);
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			told += atomic_read(&subs[i]->starts);
			KUNIT_EXPECT_LE(test, atomic_read(&subs[i]->starts), 1);
			MNK_EXPECT_COUNT(test, subs[i]->ends,
					 atomic_read(&subs[i]->starts));
			MNK_EXPECT_COUNT(test, subs[i]->open, 0);
		}
		MNK_EXPECT_COUNT(test, subs[refuser]->ends, 0);
	}
	KUNIT_EXPECT_EQ(test, told, 0 + 1 + 2);

	/* It is not refused when it may sleep. */
	mnk_invalidate(test, m, AT, BEHIND);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_EXPECT_COUNT(test, subs[i]->open, 0);

	/* Nothing is left in flight. */
	MNK_ASSERT_RUNS(test, mnk_register, late);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		MNK_ASSERT_RUNS(test, mnk_unregister, subs[i]);
}

/* Neither who has no start, nor who has no end, puts the unwinding off. */
static void refused_start_with_halves(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *before = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *starts = mnk_list(test, m, &mnk_start_ops);
	struct mnk_list *after = mnk_list(test, m, &mnk_range_ops);

	MNK_ASSERT_RUNS(test, mnk_register, before);
	MNK_ASSERT_RUNS(test, mnk_register, starts);
	MNK_ASSERT_RUNS(test, mnk_register, after);
	starts->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mnk_invalidate_nonblock(test, m, AT, BEHIND));
	MNK_EXPECT_COUNT(test, starts->refusals, 1);
	MNK_EXPECT_COUNT(test, before->open, 0);
	MNK_EXPECT_COUNT(test, after->open, 0);
	KUNIT_EXPECT_EQ(test, 1, atomic_read(&before->ends) +
				 atomic_read(&after->ends));
}

/* One half has started, the other one refuses; and nothing is left over. */
static void refused_start_across_the_halves(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_range_ops);
	struct mnk_interval *interval = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_interval *second = mnk_interval(test, m, AT, PAGE_SIZE);
	struct mnk_list *late = mnk_list(test, m, &mnk_range_ops);
	unsigned long seq;
	int i;

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	MNK_ASSERT_RUNS(test, mnk_insert, interval);
	MNK_ASSERT_RUNS(test, mnk_insert, second);

	for (i = 0; i < 3; i++) {
		/* The list, or one of the intervals. */
		sub->refuse = i == 0;
		interval->refuse = i == 1;
		second->refuse = i == 2;
		KUNIT_EXPECT_EQ(test, -EAGAIN,
				mnk_invalidate_nonblock(test, m, AT, BEHIND));
		MNK_EXPECT_COUNT(test, sub->open, 0);
		MNK_EXPECT_COUNT(test, sub->refusals, 1);
		MNK_EXPECT_COUNT(test, interval->refusals, i > 0);
		MNK_EXPECT_COUNT(test, second->refusals, i > 1);

		seq = mnk_run(test, mnk_read_begin, interval);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(interval, seq));
		seq = mnk_run(test, mnk_read_begin, second);
		KUNIT_EXPECT_FALSE(test, mnk_read_retry(second, seq));
	}
	second->refuse = false;
	KUNIT_EXPECT_EQ(test, 0, mnk_invalidate_nonblock(test, m, AT, BEHIND));

	MNK_ASSERT_RUNS(test, mnk_register, late);
	MNK_ASSERT_RUNS(test, mnk_remove, interval);
	MNK_ASSERT_RUNS(test, mnk_unregister, sub);
	MNK_ASSERT_RUNS(test, mnk_remove, second);
	MNK_EXPECT_COUNT(test, late->starts, 0);
	MNK_EXPECT_COUNT(test, late->ends, 0);
}

/*
 * What is not listened to, costs nothing (R8)
 */

static void release_alone_turns_nothing_on(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_release_ops);
	struct mnk_list *second = mnk_list(test, m, &mnk_release_ops);
	struct mnk_range *range;

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(m->mm));
	KUNIT_EXPECT_FALSE(test, m->mm->notifier_subscriptions->has_domain);
	KUNIT_EXPECT_EQ(test, listening(m), 0);

	range = mnk_range_open(test, m, AT, BEHIND);
	KUNIT_EXPECT_EQ(test, range->range.tracked, 0);
	/* Nor does it wait for anything. */
	MNK_ASSERT_RUNS(test, mnk_register, second);
	MNK_ASSERT_RUNS(test, mnk_unregister, second);
	mnk_range_close(range);
	MNK_ASSERT_RUNS(test, mnk_unregister, sub);
	MNK_EXPECT_COUNT(test, sub->releases, 1);
}

static void flushes_have_exact_addresses(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *sub = mnk_list(test, m, &mnk_tlb_ops);
	struct mnk_range *range;
	unsigned long irqs;

	MNK_ASSERT_RUNS(test, mnk_register, sub);
	KUNIT_EXPECT_EQ(test, listening(m) & MN_TRACKS, 0);

	mmu_notifier_arch_invalidate_secondary_tlbs(m->mm, AT, AT + PAGE_SIZE);
	MNK_EXPECT_COUNT(test, sub->flushes, 1);
	KUNIT_EXPECT_EQ(test, sub->from, AT);
	KUNIT_EXPECT_EQ(test, sub->to, AT + PAGE_SIZE);

	local_irq_save(irqs);
	mmu_notifier_arch_invalidate_secondary_tlbs(m->mm, 0, -1UL);
	local_irq_restore(irqs);
	MNK_EXPECT_COUNT(test, sub->flushes, 2);
	KUNIT_EXPECT_EQ(test, sub->from, 0);
	KUNIT_EXPECT_EQ(test, sub->to, -1UL);

	/* No range callback, and none is taken for one. */
	range = mnk_range_open(test, m, AT, BEHIND);
	KUNIT_EXPECT_EQ(test, range->range.tracked, 0);
	mnk_range_close(range);
	MNK_EXPECT_COUNT(test, sub->flushes, 2);

	MNK_ASSERT_RUNS(test, mnk_unregister, sub);
	mmu_notifier_arch_invalidate_secondary_tlbs(m->mm, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->flushes, 2);
}

static void masks_shrink_with_the_last(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *range = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *young = mnk_list(test, m, &mnk_young_ops);
	struct mnk_list *second = mnk_list(test, m, &mnk_young_ops);
	struct mnk_list *tlb = mnk_list(test, m, &mnk_tlb_ops);
	const unsigned int youngs = MN_CLEAR_FLUSH_YOUNG | MN_CLEAR_YOUNG |
				    MN_TEST_YOUNG;

	young->young = 1;
	second->young = 1;
	MNK_ASSERT_RUNS(test, mnk_register, young);
	KUNIT_EXPECT_EQ(test, listening(m), youngs);
	MNK_ASSERT_RUNS(test, mnk_register, second);
	MNK_ASSERT_RUNS(test, mnk_register, range);
	KUNIT_EXPECT_EQ(test, listening(m), youngs | MN_TRACK_LIST |
					    MN_RANGE_START | MN_RANGE_END);
	MNK_ASSERT_RUNS(test, mnk_register, tlb);
	KUNIT_EXPECT_NE(test, listening(m) & MN_SECONDARY_TLBS, 0);

	MNK_ASSERT_RUNS(test, mnk_unregister, tlb);
	KUNIT_EXPECT_EQ(test, listening(m) & MN_SECONDARY_TLBS, 0);
	MNK_ASSERT_RUNS(test, mnk_unregister, young);
	KUNIT_EXPECT_EQ(test, listening(m) & youngs, youngs);
	KUNIT_EXPECT_NE(test, mmu_notifier_clear_young(m->mm, AT, BEHIND), 0);
	MNK_ASSERT_RUNS(test, mnk_unregister, second);
	KUNIT_EXPECT_EQ(test, listening(m) & youngs, 0);
	KUNIT_EXPECT_EQ(test, mmu_notifier_clear_young(m->mm, AT, BEHIND), 0);

	/* Tracking ranges stays on, the callbacks do not. */
	MNK_ASSERT_RUNS(test, mnk_unregister, range);
	KUNIT_EXPECT_EQ(test, listening(m), MN_TRACK_LIST);

	/* And again. */
	MNK_ASSERT_RUNS(test, mnk_register, tlb);
	MNK_ASSERT_RUNS(test, mnk_register, young);
	mmu_notifier_arch_invalidate_secondary_tlbs(m->mm, AT, BEHIND);
	MNK_EXPECT_COUNT(test, tlb->flushes, 1);
	KUNIT_EXPECT_NE(test, mmu_notifier_test_young(m->mm, AT), 0);
}

static void young_is_asked_of_all(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[3];
	int i, young, ret;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		subs[i] = mnk_list(test, m, &mnk_young_ops);
		MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
	}
	/* None, and each one alone. */
	for (young = 0; young <= ARRAY_SIZE(subs); young++) {
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			subs[i]->young = i + 1 == young;
			atomic_set(&subs[i]->youngs, 0);
		}
		ret = mmu_notifier_clear_flush_young(m->mm, AT, BEHIND);
		KUNIT_EXPECT_EQ(test, !!ret, !!young);
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			MNK_EXPECT_COUNT(test, subs[i]->youngs, 1);
			KUNIT_EXPECT_EQ(test, subs[i]->from, AT);
			KUNIT_EXPECT_EQ(test, subs[i]->to, BEHIND);
		}
		ret = mmu_notifier_clear_young(m->mm, AT + 1, AT + 2);
		KUNIT_EXPECT_EQ(test, !!ret, !!young);
		for (i = 0; i < ARRAY_SIZE(subs); i++) {
			MNK_EXPECT_COUNT(test, subs[i]->youngs, 2);
			KUNIT_EXPECT_EQ(test, subs[i]->from, AT + 1);
			KUNIT_EXPECT_EQ(test, subs[i]->to, AT + 2);
		}
	}
}

static void test_young_stops_at_the_first_yes(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[3];
	int i, asked = 0;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		subs[i] = mnk_list(test, m, &mnk_young_ops);
		MNK_ASSERT_RUNS(test, mnk_register, subs[i]);
	}
	KUNIT_EXPECT_EQ(test, mmu_notifier_test_young(m->mm, AT), 0);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->youngs, 1);
		KUNIT_EXPECT_EQ(test, subs[i]->from, AT);
		subs[i]->young = 1;
	}
	KUNIT_EXPECT_NE(test, mmu_notifier_test_young(m->mm, AT), 0);
	for (i = 0; i < ARRAY_SIZE(subs); i++)
		asked += atomic_read(&subs[i]->youngs) - 1;
	KUNIT_EXPECT_EQ(test, asked, 1);
}

/*
 * Get and put
 */

static void get_shares_by_ops(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_get first = { .m = m, .ops = &mnk_shared_ops };
	struct mnk_get again = first, third = first;
	struct mnk_get other = { .m = m, .ops = &mnk_other_shared_ops };
	struct mnk_list *sub;

	MNK_ASSERT_RUNS(test, mnk_get, &first);
	MNK_ASSERT_RUNS(test, mnk_get, &again);
	MNK_ASSERT_RUNS(test, mnk_get, &other);
	KUNIT_EXPECT_PTR_EQ(test, first.notifier, again.notifier);
	KUNIT_EXPECT_PTR_NE(test, first.notifier, other.notifier);
	sub = mnk_to_list(first.notifier);

	MNK_ASSERT_RUNS(test, mnk_put, sub);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	MNK_EXPECT_COUNT(test, sub->frees, 0);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->ends, 1);

	MNK_ASSERT_RUNS(test, mnk_put, sub);
	/* Although the old one may not be free yet. */
	MNK_ASSERT_RUNS(test, mnk_get, &third);
	KUNIT_EXPECT_PTR_NE(test, first.notifier, third.notifier);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	MNK_EXPECT_COUNT(test, sub->frees, 1);
	/* Put does not release. */
	MNK_EXPECT_COUNT(test, sub->releases, 0);

	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, sub->ends, 1);
	MNK_EXPECT_COUNT(test, mnk_to_list(other.notifier)->ends, 2);
	MNK_EXPECT_COUNT(test, mnk_to_list(third.notifier)->ends, 1);
	MNK_EXPECT_COUNT(test, mnk_to_list(other.notifier)->frees, 0);
}

static struct mmu_notifier *alloc_nothing(struct mm_struct *mm)
{
	return ERR_PTR(-ENOSPC);
}

static void get_passes_errors_on(struct kunit *test)
{
	static const struct mmu_notifier_ops ops = {
		.alloc_notifier = alloc_nothing,
	};
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_get get = { .m = m, .ops = &ops };

	KUNIT_EXPECT_EQ(test, mnk_run(test, mnk_get, &get), (long)-ENOSPC);
	MNK_EXPECT_COUNT(test, m->mm->mm_count, 2);
}

static void put_in_release_frees(struct kunit *test)
{
	static const struct mmu_notifier_ops * const ops[] = {
		&mnk_shared_ops, &mnk_shared_release_ops,
	};
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[ARRAY_SIZE(ops)];
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		struct mnk_get get = { .m = m, .ops = ops[i] };

		MNK_ASSERT_RUNS(test, mnk_get, &get);
		subs[i] = mnk_to_list(get.notifier);
		subs[i]->put_in_release = true;
	}
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
		MNK_EXPECT_COUNT(test, subs[i]->frees, 1);
	}
}

static void put_after_exit_frees(struct kunit *test)
{
	static const struct mmu_notifier_ops * const ops[] = {
		&mnk_shared_ops, &mnk_shared_release_ops,
	};
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *subs[ARRAY_SIZE(ops)];
	int i;

	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		struct mnk_get get = { .m = m, .ops = ops[i] };

		MNK_ASSERT_RUNS(test, mnk_get, &get);
		subs[i] = mnk_to_list(get.notifier);
	}
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	for (i = 0; i < ARRAY_SIZE(subs); i++) {
		MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
		MNK_EXPECT_COUNT(test, subs[i]->frees, 0);
		MNK_ASSERT_RUNS(test, mnk_put, subs[i]);
		MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
		MNK_EXPECT_COUNT(test, subs[i]->releases, 1);
		MNK_EXPECT_COUNT(test, subs[i]->frees, 1);
	}
}

/* As nouveau and Intel's SVM do. */
static void put_of_what_was_registered(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test);
	struct mnk_list *range = mnk_list(test, m, &mnk_range_ops);
	struct mnk_list *tlb = mnk_list(test, m, &mnk_tlb_ops);

	MNK_ASSERT_RUNS(test, mnk_register, range);
	MNK_ASSERT_RUNS(test, mnk_register, tlb);
	mnk_invalidate(test, m, AT, BEHIND);
	MNK_ASSERT_RUNS(test, mnk_put, range);
	MNK_ASSERT_RUNS(test, mnk_put, tlb);
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
	MNK_EXPECT_COUNT(test, range->frees, 1);
	MNK_EXPECT_COUNT(test, range->releases, 0);
	MNK_EXPECT_COUNT(test, tlb->frees, 1);
	MNK_EXPECT_COUNT(test, tlb->releases, 0);

	mnk_invalidate(test, m, AT, BEHIND);
	MNK_EXPECT_COUNT(test, range->starts, 1);
	MNK_ASSERT_RUNS(test, mnk_mmput, m);
	MNK_EXPECT_COUNT(test, range->releases, 0);
}

static void synchronize_waits_for_puts_before(struct kunit *test)
{
	struct mnk_mm *m = mnk_mm(test), *n = mnk_mm(test);
	struct mnk_get first = { .m = m, .ops = &mnk_shared_ops };
	struct mnk_get plain = { .m = m, .ops = &mnk_shared_release_ops };
	struct mnk_get later = { .m = n, .ops = &mnk_shared_ops };
	struct mnk_list *sub, *release, *late;
	struct mnk_range *range, *other;
	struct mnk_task *task;

	MNK_ASSERT_RUNS(test, mnk_get, &first);
	MNK_ASSERT_RUNS(test, mnk_get, &plain);
	MNK_ASSERT_RUNS(test, mnk_get, &later);
	sub = mnk_to_list(first.notifier);
	release = mnk_to_list(plain.notifier);
	late = mnk_to_list(later.notifier);

	/* Not while a range of its mm is in flight: it may be called. */
	range = mnk_range_open(test, m, AT, BEHIND);
	other = mnk_range_open(test, n, AT, BEHIND);
	MNK_ASSERT_RUNS(test, mnk_put, sub);
	MNK_ASSERT_RUNS(test, mnk_put, release);
	task = mnk_start(test, mnk_synchronize, NULL);
	MNK_ASSERT_WAITS(test, task);
	MNK_EXPECT_COUNT(test, sub->frees, 0);

	/* A put that comes later, in any mm, does not keep it. */
	MNK_ASSERT_RUNS(test, mnk_put, late);
	mnk_range_close(range);
	MNK_ASSERT_ENDS(test, task, 0);
	MNK_EXPECT_COUNT(test, sub->frees, 1);
	MNK_EXPECT_COUNT(test, release->frees, 1);
	MNK_EXPECT_COUNT(test, late->frees, 0);

	task = mnk_start(test, mnk_synchronize, NULL);
	MNK_ASSERT_WAITS(test, task);
	mnk_range_close(other);
	MNK_ASSERT_ENDS(test, task, 0);
	MNK_EXPECT_COUNT(test, late->frees, 1);
}

/* The last reference to the mm goes with the subscription. */
static void put_may_be_the_end_of_the_mm(struct kunit *test)
{
	static const struct mmu_notifier_ops * const ops[] = {
		&mnk_shared_ops, &mnk_shared_release_ops,
	};
	int round, i;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < ARRAY_SIZE(ops); i++) {
			struct mm_struct *mm = mm_alloc();
			struct mmu_notifier *notifier;

			KUNIT_ASSERT_NOT_NULL(test, mm);
			notifier = mmu_notifier_get(ops[i], mm);
			mmput(mm);
			KUNIT_ASSERT_NOT_ERR_OR_NULL(test, notifier);
			mmu_notifier_put(notifier);
		}
	}
	MNK_ASSERT_RUNS(test, mnk_synchronize, NULL);
}

static struct kunit_case mmu_notifier_cases[] = {
	KUNIT_CASE(range_reaches_every_subscription),
	KUNIT_CASE(range_tells_event_and_blockable),
	KUNIT_CASE(ranges_overlap_in_time),
	KUNIT_CASE(start_alone_and_end_alone),
	KUNIT_CASE(no_subscription_no_trace),
	KUNIT_CASE(unregister_releases_once),
	KUNIT_CASE(exit_releases_each_once),
	KUNIT_CASE(released_means_no_more_ranges),
	KUNIT_CASE(unregister_waits_for_release_by_exit),
	KUNIT_CASE(exit_waits_for_release_by_unregister),
	KUNIT_CASE(exit_races_with_unregister),
	KUNIT_CASE(unregister_waits_for_callback_and_range),
	KUNIT_CASE(unregister_waits_for_atomic_callbacks),
	KUNIT_CASE(mm_does_not_wait_for_another),
	KUNIT_CASE(refused_start_is_undone),
	KUNIT_CASE(refused_start_with_halves),
	KUNIT_CASE(refused_start_across_the_halves),
	KUNIT_CASE(release_alone_turns_nothing_on),
	KUNIT_CASE(flushes_have_exact_addresses),
	KUNIT_CASE(masks_shrink_with_the_last),
	KUNIT_CASE(young_is_asked_of_all),
	KUNIT_CASE(test_young_stops_at_the_first_yes),
	KUNIT_CASE(get_shares_by_ops),
	KUNIT_CASE(get_passes_errors_on),
	KUNIT_CASE(put_in_release_frees),
	KUNIT_CASE(put_after_exit_frees),
	KUNIT_CASE(put_of_what_was_registered),
	KUNIT_CASE(synchronize_waits_for_puts_before),
	KUNIT_CASE(put_may_be_the_end_of_the_mm),
	{}
};

static struct kunit_suite mmu_notifier_suite = {
	.name = "mmu_notifier",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_cases,
};

kunit_test_suite(mmu_notifier_suite);
