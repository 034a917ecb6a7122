// SPDX-License-Identifier: GPL-2.0
/*
 * Programs for ->settled and ->concerns.
 *
 * The model. A *watch* is a subscription with a word: odd while something may be
 * going on over it, another even one each time that it has settled. It is made with
 * an odd word. A client reads the word, then the page table, then the word again; if
 * it is the same even one, the page that it has found is not dead.
 *
 * What has to hold: from the return of start to the call of end, the word of each
 * watch that the range overlaps and concerns is odd. Once all calls have returned,
 * the words of those that no range in flight overlaps are even. ->settled comes once
 * for an insertion, and after that only if ->invalidate has been called; the two
 * never run at the same time.
 */

#include "sched_model.h"
#include "sched_programs.h"

struct watch {
	struct mmu_interval_notifier sub;
	unsigned long word;
	bool refuses;
	/* what the model knows */
	unsigned int first, nr;
	bool unmaps_only;
	bool inserted;
	bool leaving;
	bool gone;
	bool busy;
	unsigned int running;
	unsigned int calls;
	unsigned int settled;
};

static struct watch *watches[4];
static const struct mmu_notifier_range *changing[8];
static unsigned int calls;		/* of the core, that have not returned */

static omniscient bool concerned(const struct watch *w, const struct mmu_notifier_range *range)
{
	return !w->unmaps_only || range->event == MMU_NOTIFY_UNMAP;
}

static omniscient bool overlaps(const struct watch *w, const struct mmu_notifier_range *range)
{
	return range->start < PAGE(w->first + w->nr) && range->end > PAGE(w->first);
}

static omniscient bool in_flight(const struct watch *w, bool any)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(changing); i++)
		if (changing[i] && overlaps(w, changing[i]) && (any || concerned(w, changing[i])))
			return true;
	return false;
}

static omniscient void call(void)
{
	calls++;
}

static omniscient void returned(void)
{
	struct watch *w;
	unsigned int i;

	if (--calls)
		return;
	for (i = 0; i < ARRAY_SIZE(watches); i++) {
		w = watches[i];
		if (w && w->inserted && !w->leaving && !in_flight(w, true))
			sched_expect(!w->busy);
	}
}

/* Start has returned: the page table may change. */
static omniscient void note_changing(const struct mmu_notifier_range *range)
{
	struct watch *w;
	unsigned int i;

	for (i = 0; changing[i]; i++)
		sched_expect(i < ARRAY_SIZE(changing) - 1);
	changing[i] = range;
	for (i = 0; i < ARRAY_SIZE(watches); i++) {
		w = watches[i];
		if (w && !w->leaving && overlaps(w, range) && concerned(w, range))
			sched_expect(w->busy);
	}
}

static omniscient void note_changed(const struct mmu_notifier_range *range)
{
	unsigned int i;

	for (i = 0; changing[i] != range; i++)
		sched_expect(i < ARRAY_SIZE(changing) - 1);
	changing[i] = NULL;
}

static omniscient void note_call(struct watch *w, const struct mmu_notifier_range *range)
{
	sched_expect(!w->gone);
	sched_expect(overlaps(w, range) && concerned(w, range));
	w->running++;
	w->calls++;
	w->busy = true;
}

static omniscient void note_called(struct watch *w)
{
	w->running--;
}

static omniscient void note_settled(struct watch *w)
{
	sched_expect(!w->gone);
	sched_expect(w->busy);
	sched_expect(!w->running);
	sched_expect(!in_flight(w, false));
	w->busy = false;
	w->settled++;
}

static omniscient void note_inserted(struct watch *w)
{
	w->inserted = true;
}

static omniscient void note_leaving(struct watch *w)
{
	sched_expect(w->inserted);
	w->leaving = true;
}

static omniscient void note_gone(struct watch *w)
{
	sched_expect(!w->gone);
	sched_expect(!w->running);
	w->gone = true;
}

static omniscient void note_again(struct watch *w)
{
	w->inserted = false;
	w->leaving = false;
	w->gone = false;
	w->busy = true;
}

static bool watch_invalidate(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range, unsigned long seq)
{
	struct watch *w = container_of(sub, struct watch, sub);

	note_call(w, range);
	WRITE_ONCE(w->word, w->word | 1);
	smp_mb();	/* the client looks at the page table without a lock */
	note_called(w);
	return !w->refuses || mmu_notifier_range_blockable(range);
}

static void watch_settled(struct mmu_interval_notifier *sub)
{
	struct watch *w = container_of(sub, struct watch, sub);

	note_settled(w);
	smp_store_release(&w->word, w->word + 1);	/* with the client's acquire */
}

static bool watch_concerns(const struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range)
{
	return concerned(container_of(sub, struct watch, sub), range);
}

static const struct mmu_interval_notifier_ops all_ops = {
	.invalidate = watch_invalidate,
	.settled = watch_settled,
};

static const struct mmu_interval_notifier_ops unmap_ops = {
	.invalidate = watch_invalidate,
	.settled = watch_settled,
	.concerns = watch_concerns,
};

static struct watch *watch_new(unsigned int first, unsigned int nr)
{
	struct watch *w = kzalloc(sizeof(*w), GFP_KERNEL);

	w->word = 1;
	w->busy = true;
	w->first = first;
	w->nr = nr;
	return w;
}

static void watch_insert(struct watch *w)
{
	call();
	sched_expect(!mmu_interval_notifier_insert(&w->sub, &mm, PAGE(w->first),
						   w->nr * PAGE_SIZE,
						   w->unmaps_only ? &unmap_ops : &all_ops));
	note_inserted(w);
	returned();
}

static void watch_remove(unsigned int i)
{
	struct watch *w = watches[i];

	note_leaving(w);
	mmu_interval_notifier_remove(&w->sub);
	note_gone(w);
	watches[i] = NULL;
	kfree(w);
}

static void watch_removed(struct mmu_interval_notifier *sub)
{
	note_gone(container_of(sub, struct watch, sub));
}

static void watch_removed_again(struct mmu_interval_notifier *sub)
{
	struct watch *w = container_of(sub, struct watch, sub);

	note_gone(w);
	note_again(w);
	WRITE_ONCE(w->word, w->word | 1);
	watch_insert(w);
}

/* A client of page 0 */
static void client_of(struct watch *w)
{
	unsigned long word = smp_load_acquire(&w->word), page;	/* as it has settled */

	if (word & 1)
		return;
	page = READ_ONCE(pte);
	smp_rmb();	/* with the barrier of invalidate */
	if (READ_ONCE(w->word) == word)
		sched_expect(!is_dead(page));
}

static void client(void)
{
	client_of(watches[0]);
}

/*
 * Ranges
 */

static void range_init(struct mmu_notifier_range *range, enum mmu_notifier_event event,
		       unsigned int first, unsigned int nr)
{
	mmu_notifier_range_init(range, event, 0, &mm, PAGE(first), PAGE(first + nr));
}

static void range_start(struct mmu_notifier_range *range, unsigned int first, unsigned int nr)
{
	range_init(range, MMU_NOTIFY_CLEAR, first, nr);
	call();
	mmu_notifier_invalidate_range_start(range);
	note_changing(range);
	returned();
}

static void range_end(struct mmu_notifier_range *range)
{
	call();
	note_changed(range);
	mmu_notifier_invalidate_range_end(range);
	returned();
}

static void invalidate(unsigned int first, unsigned int nr)
{
	struct mmu_notifier_range range;

	range_start(&range, first, nr);
	if (!first)
		change_pte();
	range_end(&range);
}

static void invalidate_0(void)
{
	invalidate(0, 1);
}

static void invalidate_twice(void)
{
	invalidate_0();
	invalidate_0();
}

static void invalidate_many(void)
{
	invalidate(0, 4);
}

static void invalidate_nonblock(void)
{
	struct mmu_notifier_range range;
	int ret;

	range_init(&range, MMU_NOTIFY_CLEAR, 0, 1);
	call();
	ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	if (!ret)
		note_changing(&range);
	returned();
	if (!ret) {
		change_pte();
		range_end(&range);
	}
}

static void unmap_start(struct mmu_notifier_range *range)
{
	range_init(range, MMU_NOTIFY_UNMAP, 0, 1);
	call();
	mmu_notifier_invalidate_range_start(range);
	note_changing(range);
	returned();
}

static void unmap_0(void)
{
	struct mmu_notifier_range range;

	unmap_start(&range);
	change_pte();
	range_end(&range);
}

static void invalidate_and_unmap(void)
{
	struct mmu_notifier_range invalidation, unmap;

	range_start(&invalidation, 0, 1);
	unmap_start(&unmap);
	change_pte();
	range_end(&unmap);
	range_end(&invalidation);
}

/* Not the first nor the last of the slots of a CPU; the younger ends first. */
static void invalidate_nested(void)
{
	struct mmu_notifier_range ranges[3];

	range_start(&ranges[0], 8, 1);
	range_start(&ranges[1], 0, 1);
	range_start(&ranges[2], 0, 1);
	change_pte();
	range_end(&ranges[2]);
	change_pte();
	range_end(&ranges[1]);
	range_end(&ranges[0]);
}

/* The older ends first, and its slot is used again. */
static void invalidate_in_turn(void)
{
	struct mmu_notifier_range older, younger, beside;

	range_start(&older, 0, 1);
	range_start(&younger, 0, 1);
	change_pte();
	range_end(&older);
	range_start(&beside, 8, 1);
	change_pte();
	range_end(&younger);
	range_end(&beside);
}

/* In slots of two CPUs. The second one's are looked at first, and end first. */
static void invalidate_on_two_cpus(void)
{
	struct mmu_notifier_range ranges[2];

	range_start(&ranges[0], 0, 1);
	sched_on_cpu(2);
	range_start(&ranges[1], 0, 1);
	change_pte();
	range_end(&ranges[1]);
	change_pte();
	range_end(&ranges[0]);
}

/* The last one has no slot, and nobody to tell perhaps. */
static void invalidate_fifth(void)
{
	struct mmu_notifier_range ranges[5];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		range_start(&ranges[i], i == 4 ? 0 : 20 + i, 1);
	change_pte();
	while (i--)
		range_end(&ranges[i]);
}

static void invalidate_and_move(void)
{
	struct mmu_notifier_range range;

	range_start(&range, 0, 1);
	sched_on_cpu(2);
	change_pte();
	range_end(&range);
}

static void invalidate_beside_on_cpu_0(void)
{
	sched_on_cpu(0);
	invalidate(8, 1);
}

static bool done_beside;

static bool is_done_beside(void *unused)
{
	return done_beside;
}

static void hold_beside(void)
{
	struct mmu_notifier_range range;

	range_start(&range, 8, 1);
	sched_wait(is_done_beside, NULL);
	range_end(&range);
}

/*
 * Insertions and removals
 */

static void insert_0(void)
{
	watch_insert(watches[0]);
}

static void insert_0_and_read(void)
{
	insert_0();
	client();
}

static void insert_0_and_1(void)
{
	watch_insert(watches[0]);
	watch_insert(watches[1]);
}

static void insert_0_beside(void)
{
	insert_0();
	sched_drain();
	done_beside = true;
}

static void insert_far_away(void)
{
	device_insert(4, 1, &one_pass);
}

static void remove_0(void)
{
	watch_remove(0);
}

static void remove_1(void)
{
	watch_remove(1);
}

static void insert_and_remove(void)
{
	insert_0();
	remove_0();
}

/* More than a batch */
static void insert_three(void)
{
	insert_0_and_1();
	watch_insert(watches[2]);
}

static void insert_two_and_remove_one(void)
{
	insert_0_and_1();
	remove_0();
}

static void insert_and_remove_async(void)
{
	insert_0();
	note_leaving(watches[0]);
	mmu_interval_notifier_remove_async(&watches[0]->sub, watch_removed);
}

static void insert_and_remove_batch(void)
{
	struct mmu_interval_notifier *subs[] = { &watches[0]->sub, &watches[1]->sub };

	insert_0_and_1();
	note_leaving(watches[0]);
	note_leaving(watches[1]);
	mmu_interval_notifier_remove_batch(subs, ARRAY_SIZE(subs), watch_removed);
}

static void remove_and_insert_again(void)
{
	note_leaving(watches[0]);
	mmu_interval_notifier_remove_async(&watches[0]->sub, watch_removed_again);
}

static void exit_mm(void)
{
	__mmu_notifier_release(&mm);
}

/* Nothing is subscribed where it happens: ranges go to slots. */
static void init(void)
{
	model_init();
	device_insert(1000, 1, &one_pass);
	watches[0] = watch_new(0, 1);
	watches[1] = watch_new(0, 1);
}

static void init_three(void)
{
	init();
	watches[2] = watch_new(0, 1);
}

/* Another device is there: they go to the list. */
static void init_active(void)
{
	init();
	device_insert(0, 1, &one_pass);
}

static void init_inserted(void)
{
	init();
	watch_insert(watches[0]);
}

static void init_two(void)
{
	init_inserted();
	watch_insert(watches[1]);
}

/* The one that refuses is between two watches. */
static void init_refusing(void)
{
	init();
	watch_insert(watches[0]);
	device_refuses(device_insert(0, 1, &one_pass));
	watch_insert(watches[1]);
}

/* And it is a watch itself, the first of three. */
static void init_watch_refuses(void)
{
	init();
	watches[0]->refuses = true;
	watch_insert(watches[0]);
	device_insert(0, 1, &one_pass);
	watch_insert(watches[1]);
}

static void init_refusing_and_room(void)
{
	init();
	device_refuses(device_insert(0, 1, &one_pass));
}

static void init_unmaps_only(void)
{
	init();
	watches[0]->unmaps_only = true;
}

static void init_unmaps_only_inserted(void)
{
	init_unmaps_only();
	watch_insert(watches[0]);
	watch_insert(watches[1]);
}

static void init_unmaps_only_active(void)
{
	init_unmaps_only();
	device_insert(0, 1, &one_pass);
}

/* With batches of two, a range over these has cursors. */
static void init_many(void)
{
	init();
	watches[0]->nr = 4;
	watches[1]->first = 1;
	watches[2] = watch_new(2, 1);
	watches[3] = watch_new(3, 1);
	watch_insert(watches[0]);
	watch_insert(watches[1]);
	watch_insert(watches[3]);
}

static void insert_2(void)
{
	watch_insert(watches[2]);
}

/* The last one is to come, before the others or behind them. */
static void init_before(void)
{
	init();
	watches[0]->nr = 4;
	watches[1]->first = 2;
	watches[2] = watch_new(3, 1);
	watch_insert(watches[1]);
	watch_insert(watches[2]);
}

static void init_behind(void)
{
	init();
	watches[1]->first = 1;
	watches[2] = watch_new(3, 1);
	watch_insert(watches[0]);
	watch_insert(watches[1]);
}

static void done(void)
{
	unsigned int i;

	sched_expect(!calls);
	for (i = 0; i < ARRAY_SIZE(changing); i++)
		sched_expect(!changing[i]);
	for (i = 0; i < ARRAY_SIZE(watches); i++) {
		if (!watches[i] || !watches[i]->inserted || watches[i]->leaving)
			continue;
		sched_expect(!watches[i]->busy);
		sched_expect(!(watches[i]->word & 1));
		sched_expect(!watches[i]->sub.in_flight);
	}
	sched_expect(list_empty(&mm.notifier_subscriptions->intervals.active));
}

static void done_gone(void)
{
	unsigned int i;

	done();
	for (i = 0; i < ARRAY_SIZE(watches); i++)
		if (watches[i])
			sched_expect(watches[i]->gone || !watches[i]->inserted);
}

/* Told of the other range alone, whichever came first */
static void done_unmaps_only(void)
{
	done();
	sched_expect(watches[0]->calls == 1);
	sched_expect(watches[0]->settled == 2);
	sched_expect(watches[1]->calls == 2);
}

static void done_again(void)
{
	done();
	sched_expect(watches[0]->inserted && !watches[0]->leaving);
}

const struct sched_program sched_settle_programs[] = {
	{
		"settle-slot", "an insertion beside a range in a slot",
		init, { invalidate_0, insert_0_and_read }, done, 3, 1,
	}, {
		"settle-active", "an insertion beside a range in the active list",
		init_active, { invalidate_0, insert_0_and_read }, done, 3, 1,
	}, {
		"settle-moves", "the same while another insertion changes the index",
		init, { invalidate_0, insert_0, insert_far_away }, done, 2, 0,
	}, {
		"settle-read", "two ranges and a client",
		init_inserted, { invalidate_twice, client }, done, 3, 1,
	}, {
		"settle-start-start", "two ranges at once and a client",
		init_inserted, { invalidate_0, client, invalidate_0 }, done, 3, 0,
	}, {
		"settle-two", "two subscriptions hang on the same range",
		init, { invalidate_0, insert_0_and_1 }, done, 3, 0,
	}, {
		"settle-three", "three hang on the same range, which are two batches",
		init_three, { invalidate_0, insert_three }, done, 2, 0,
	}, {
		"settle-two-cpus", "a subscription hangs on a range, then on one of another CPU",
		init, { invalidate_on_two_cpus, insert_0 }, done, 4, 0,
	}, {
		"settle-nested", "a subscription hangs on two ranges of the same CPU",
		init, { invalidate_nested, insert_0 }, done, 3, 0,
	}, {
		"settle-in-turn", "the same, and the slot is used again",
		init, { invalidate_in_turn, insert_0 }, done, 3, 0,
	}, {
		"settle-fifth", "an insertion beside a range that found no slot",
		init, { invalidate_fifth, insert_0 }, done, 3, 0,
	}, {
		"settle-cpu", "the range ends on another CPU; its slot is claimed again",
		init, { invalidate_and_move, insert_0, invalidate_beside_on_cpu_0 }, done, 1, 0,
	}, {
		"settle-beside", "an insertion while a range beside is held",
		init, { hold_beside, insert_0_beside }, done, 3, 0,
	}, {
		"settle-refused", "a refused range between two subscriptions",
		init_refusing, { invalidate_nonblock, client, invalidate_0 }, done, 2, 0,
	}, {
		"settle-refuses", "a subscription with ->settled refuses",
		init_watch_refuses, { invalidate_nonblock, client }, done, 3, 0,
	}, {
		"settle-refused-insert", "a refused range and an insertion",
		init_refusing_and_room, { invalidate_nonblock, insert_0 }, done, 3, 0,
	}, {
		"settle-remove", "a range and a removal; the memory is freed at once",
		init_two, { invalidate_0, remove_0 }, done, 4, 0,
	}, {
		"settle-remove-hung", "the removal of a subscription that hangs on a range",
		init, { invalidate_0, insert_and_remove }, done_gone, 4, 0,
	}, {
		"settle-remove-one", "two hang on the same range, and one is removed",
		init, { invalidate_0, insert_two_and_remove_one }, done, 3, 0,
	}, {
		"settle-remove-async", "the same without waiting",
		init, { invalidate_0, insert_and_remove_async }, done_gone, 3, 0, true,
	}, {
		"settle-remove-batch", "two that hang are removed in a batch",
		init, { invalidate_0, insert_and_remove_batch }, done_gone, 2, 0, true,
	}, {
		"settle-again", "a removed subscription is inserted again",
		init_two, { invalidate_twice, remove_and_insert_again },
		done_again, 3, 0, true,
	}, {
		"settle-many", "a range in batches, an insertion and a removal in the middle",
		init_many, { invalidate_many, remove_1, insert_2 }, done, 2, 0,
	}, {
		"settle-before", "an insertion before the place where a range is",
		init_before, { invalidate_many, insert_0 }, done, 4, 0,
	}, {
		"settle-behind", "an insertion behind the place where a range is",
		init_behind, { invalidate_many, insert_2 }, done, 4, 0,
	}, {
		"settle-concerns", "one range that concerns a subscription and one that does not",
		init_unmaps_only_inserted, { invalidate_0, unmap_0 }, done_unmaps_only, 3, 0,
	}, {
		"settle-concerns-insert", "the same, and the subscription comes meanwhile",
		init_unmaps_only_active, { invalidate_and_unmap, insert_0 }, done, 3, 0,
	}, {
		"settle-exit", "exit and a removal",
		init_two, { exit_mm, remove_1 }, done, 4, 0,
	}, {
	}
};
