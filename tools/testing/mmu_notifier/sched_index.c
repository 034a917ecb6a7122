// SPDX-License-Identifier: GPL-2.0
/*
 * Programs for ranges that have to search the index, and for the gap that each CPU
 * keeps from its last search.
 *
 * There are subscriptions on either side of where the ranges are, so that the bounds
 * of the index say nothing of them. What has to hold is in sched_programs.c.
 */

#include "sched_model.h"
#include "sched_programs.h"

#define HERE	100

static struct device *devs[2];

/* As many as have room in a node of the index. */
#define FULL	29

static void invalidate_at(unsigned int first)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, &mm, PAGE(first), PAGE(first + 1));
	mmu_notifier_invalidate_range_start(&range);
	change_pte();
	mmu_notifier_invalidate_range_end(&range);
}

static void invalidate(void)
{
	invalidate_at(HERE);
}

static void invalidate_twice(void)
{
	invalidate();
	invalidate();
}

static void invalidate_on_cpu_0(void)
{
	sched_on_cpu(0);
	invalidate();
}

static void insert_and_fault(void)
{
	struct device *dev = device_insert(HERE, 1, &one_pass);

	device_fault(dev);
	device_use(dev);
	devs[0] = dev;
}

/* After two changes the sequence of the index is what it was: see shim.h. */
static void insert_two_and_fault(void)
{
	device_insert(HERE + 4, 1, &one_pass);
	insert_and_fault();
}

static void remove_0(void)
{
	device_remove(devs[0]);
	devs[0] = NULL;
}

static void init(void)
{
	model_init();
	device_insert(0, 1, &one_pass);
	device_insert(1000, 1, &one_pass);
}

/* Frees the last of three leaves, and splits the second one. */
static void remove_0_and_split(void)
{
	remove_0();
	device_insert(FULL + 10, 1, &one_pass);
}

/* As a range does that is in the right half of what is split */
static void search_split(void)
{
	unsigned long first = PAGE(2 * FULL - 4);
	struct mn_gap gap;
	unsigned int seq;

	rcu_read_lock();
	mmu_index_may_overlap(&mm.notifier_subscriptions->intervals.index, first,
			      first + PAGE_SIZE - 1, &seq, &gap);
	rcu_read_unlock();
}

/* No search is needed for what is not within the bounds. */
static void init_above(void)
{
	model_init();
	device_insert(1000, 1, &one_pass);
}

/* CPU 0 has found a gap. */
static void init_gap(void)
{
	init();
	invalidate();
}

/* Leaves that are full, and one more with one subscription. */
static void init_leaves(unsigned int full)
{
	unsigned int i;

	model_init();
	for (i = 0; i < full * FULL; i++)
		device_insert(i, 1, &one_pass);
	devs[0] = device_insert(HERE, 1, &one_pass);
}

static void init_two_leaves(void)
{
	init_leaves(1);
}

static void init_three_leaves(void)
{
	init_leaves(2);
}

static void use_all(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(devs); i++)
		if (devs[i])
			device_use(devs[i]);
	sched_expect(list_empty(&mm.notifier_subscriptions->intervals.active));
}

const struct sched_program sched_index_programs[] = {
	{
		"search-insert", "a range that searches the index against an insertion",
		init, { invalidate, insert_and_fault }, use_all, 3, 0,
	}, {
		"sequence-wraps", "a range that is preempted until the sequence comes again",
		init_above, { invalidate, insert_two_and_fault }, use_all, 3, 0,
	}, {
		"search-remove", "a range that searches a node which is freed",
		init_two_leaves, { invalidate, remove_0 }, use_all, 2, 0,
	}, {
		"search-split", "a search of the place of a node which was freed",
		init_three_leaves, { search_split, remove_0_and_split }, use_all, 1, 0,
	}, {
		"gap-insert", "a range in a gap of its CPU against an insertion",
		init_gap, { invalidate, insert_and_fault }, use_all, 3, 1,
	}, {
		"gap-found", "a range in the gap that the one before has found, and an insertion",
		init, { invalidate_twice, insert_and_fault }, use_all, 3, 0,
	}, {
		"gap-cpu", "two tasks of a CPU find gaps, one before and one after an insertion",
		init, { invalidate_twice, insert_and_fault, invalidate_on_cpu_0 }, use_all, 1, 0,
	}, {
	}
};
