// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of operations against a reference that is obviously right:
 * arrays, searched from one end to the other. libFuzzer makes up the bytes, two
 * or three for each operation.
 *
 * One thread, so nothing may wait: what would have to wait by the reference is
 * not called, or done without waiting; what would not is called, and a hang is
 * found by libFuzzer's timeout. Ranges stay in flight for as long as the bytes
 * say, in any order.
 *
 * Compared after each operation: who was told, in which order, of what; who has
 * to retry; who has been removed; who has settled how often; what the index finds.
 */

#include <linux/mmu_notifier.h>
#include "mmu_notifier.h"

#define NR_SUBS		48
#define NR_VMS		4
#define NR_RANGES	8
#define PAGES		64

static struct mm_struct mm;

#define demand(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: expected %s\n", __func__, __LINE__, #cond); \
		abort();						\
	} } while (0)

/* Warnings are for misuse, and there is none here. */
void shim_warn(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d warns: %s\n", file, line, what);
	abort();
}

/* What was told, in order */
static struct {
	void *who;
	char what;
} told[4 * (NR_SUBS + NR_VMS)];
static unsigned int nr_told;

static void tell(void *who, char what)
{
	demand(nr_told < ARRAY_SIZE(told));
	told[nr_told].who = who;
	told[nr_told++].what = what;
}

struct sub {
	struct mmu_interval_notifier notifier;
	struct mmu_interval_notifier_finish finish[NR_RANGES];
	unsigned int unfinished;
	/* the reference */
	bool inserted;
	bool removing;
	bool called_back;
	bool refuses;
	bool two_pass;
	bool settles;
	bool unmaps_only;
	unsigned int busy_with;		/* ranges, a bit each */
	unsigned int settled;
	unsigned int has_settled;
	unsigned long first, last;	/* pages */
	unsigned long born;
	bool has_seq;
	unsigned long seq;
	bool collided;
	unsigned int may_wait_for;	/* ranges, a bit each */
};

struct vm {
	struct mmu_notifier notifier;
	bool live;
	bool refuses;
	unsigned long born;
	unsigned int open;
};

struct flight {
	struct mmu_notifier_range range;
	bool in_flight;
	unsigned long first, last;
	unsigned int vms;		/* that were told */
};

static struct sub subs[NR_SUBS];
static struct vm vms[NR_VMS];
static struct flight flights[NR_RANGES];
static unsigned long births;

static bool sub_invalidate(struct mmu_interval_notifier *notifier,
			   const struct mmu_notifier_range *range, unsigned long seq)
{
	struct sub *s = container_of(notifier, struct sub, notifier);

	demand(seq & 1);
	demand(!s->unmaps_only || range->event == MMU_NOTIFY_UNMAP);
	mmu_interval_set_seq(notifier, seq);
	tell(s, 'i');
	return mmu_notifier_range_blockable(range) || !s->refuses;
}

static bool sub_start(struct mmu_interval_notifier *notifier,
		      const struct mmu_notifier_range *range, unsigned long seq,
		      struct mmu_interval_notifier_finish **finish)
{
	struct sub *s = container_of(notifier, struct sub, notifier);

	demand(s->unfinished < NR_RANGES);
	*finish = &s->finish[s->unfinished++];
	return sub_invalidate(notifier, range, seq);
}

static void sub_finish(struct mmu_interval_notifier_finish *finish)
{
	struct sub *s = container_of(finish->notifier, struct sub, notifier);

	demand(s->unfinished--);
}

static void sub_settled(struct mmu_interval_notifier *notifier)
{
	struct sub *s = container_of(notifier, struct sub, notifier);

	demand(!s->removing);
	s->has_settled++;
}

static bool sub_concerns(const struct mmu_interval_notifier *notifier,
			 const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_UNMAP;
}

#define ONE_PASS	.invalidate = sub_invalidate
#define TWO_PASSES	.invalidate_start = sub_start, .invalidate_finish = sub_finish
#define SETTLES		.settled = sub_settled
#define UNMAPS_ONLY	.concerns = sub_concerns

static const struct mmu_interval_notifier_ops sub_ops[] = {
	{ ONE_PASS }, { TWO_PASSES },
	{ ONE_PASS, SETTLES }, { TWO_PASSES, SETTLES },
	{ ONE_PASS, SETTLES, UNMAPS_ONLY }, { TWO_PASSES, SETTLES, UNMAPS_ONLY },
};

static void sub_removed(struct mmu_interval_notifier *notifier)
{
	struct sub *s = container_of(notifier, struct sub, notifier);

	demand(s->removing && !s->called_back);
	s->called_back = true;
}

static int vm_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vm *v = container_of(notifier, struct vm, notifier);

	tell(v, 's');
	return mmu_notifier_range_blockable(range) || !v->refuses ? 0 : -EAGAIN;
}

static void vm_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	tell(container_of(notifier, struct vm, notifier), 'e');
}

static void vm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	tell(container_of(notifier, struct vm, notifier), 'r');
}

static const struct mmu_notifier_ops vm_ops = {
	.invalidate_range_start = vm_start,
	.invalidate_range_end = vm_end,
	.release = vm_release,
};

/*
 * The reference
 */

static bool overlaps(const struct sub *s, const struct flight *f)
{
	return s->first <= f->last && s->last >= f->first;
}

static bool concerned(const struct sub *s, const struct flight *f)
{
	return !s->unmaps_only || f->range.event == MMU_NOTIFY_UNMAP;
}

static bool any_in_flight(void)
{
	unsigned int i;

	for (i = 0; i < NR_RANGES; i++)
		if (flights[i].in_flight)
			return true;
	return false;
}

static bool overlapped(const struct sub *s)
{
	unsigned int i;

	for (i = 0; i < NR_RANGES; i++)
		if (flights[i].in_flight && overlaps(s, &flights[i]))
			return true;
	return false;
}

/* The range @bit keeps it busy no longer. */
static void not_busy_with(struct sub *s, unsigned int bit)
{
	if (!s->inserted || !(s->busy_with & bit))
		return;
	s->busy_with &= ~bit;
	if (!s->busy_with)
		s->settled++;
}

static void check_settled(void)
{
	struct sub *s;

	for (s = subs; s < subs + NR_SUBS; s++)
		demand(s->settled == s->has_settled);
}

/* The next subscription in order behind @after: by address, then by age. */
static struct sub *next_sub(const struct sub *after, const struct flight *f)
{
	struct sub *best = NULL, *s;

	for (s = subs; s < subs + NR_SUBS; s++) {
		if (!s->inserted || !overlaps(s, f))
			continue;
		if (after && (s->first < after->first ||
			      (s->first == after->first && s->born <= after->born)))
			continue;
		if (!best || s->first < best->first ||
		    (s->first == best->first && s->born < best->born))
			best = s;
	}
	return best;
}

/* The youngest list subscription that is older than @than */
static struct vm *next_vm(const struct vm *than)
{
	struct vm *best = NULL, *v;

	for (v = vms; v < vms + NR_VMS; v++)
		if (v->live && (!than || v->born < than->born) && (!best || v->born > best->born))
			best = v;
	return best;
}

static unsigned int expected;

static void expect(void *who, char what)
{
	demand(expected < nr_told);
	demand(told[expected].who == who && told[expected].what == what);
	expected++;
}

static void expect_begin(void)
{
	nr_told = 0;
	expected = 0;
}

static void expect_end(void)
{
	unsigned int i;

	demand(expected == nr_told);
	for (i = 0; i < NR_SUBS; i++)
		demand(!subs[i].unfinished);
}

/*
 * Operations
 */

static void do_insert(struct sub *s, unsigned int a, unsigned int b)
{
	struct flight *f;

	if (s->inserted || (s->removing && !s->called_back))
		return;
	/* The first one waits, as a registration does. */
	if (any_in_flight() && (!mm.notifier_subscriptions ||
				!(mm.notifier_subscriptions->settled & MN_TRACK_INTERVALS)))
		return;
	s->first = a % PAGES;
	s->last = s->first + b % 8;
	s->two_pass = b & 8;
	s->refuses = b & 16;
	s->settles = b & 32;
	s->unmaps_only = (b & 96) == 96;
	s->busy_with = 0;
	s->removing = false;
	s->called_back = false;
	s->has_seq = false;
	s->born = ++births;
	demand(!mmu_interval_notifier_insert(&s->notifier, &mm, s->first * PAGE_SIZE,
					     (s->last - s->first + 1) * PAGE_SIZE,
					     &sub_ops[s->two_pass + 2 * s->settles +
						      2 * s->unmaps_only]));
	s->inserted = true;
	if (!s->settles)
		return;
	/* What is in a slot has not asked whom it concerns. */
	for (f = flights; f < flights + NR_RANGES; f++)
		if (f->in_flight && overlaps(s, f) && (f->range.slot || concerned(s, f)))
			s->busy_with |= 1 << (f - flights);
	if (!s->busy_with)
		s->settled++;
}

static void do_remove(struct sub *s, bool async)
{
	unsigned int i;

	if (!s->inserted)
		return;
	s->inserted = false;
	if (!async && !overlapped(s)) {
		mmu_interval_notifier_remove(&s->notifier);
		return;
	}
	s->removing = true;
	s->may_wait_for = 0;
	for (i = 0; i < NR_RANGES; i++)
		if (flights[i].in_flight && overlaps(s, &flights[i]))
			s->may_wait_for |= 1 << i;
	mmu_interval_notifier_remove_async(&s->notifier, sub_removed);
	demand(s->may_wait_for || s->called_back);
}

static void do_read(struct sub *s)
{
	struct mmu_interval_state *state;

	if (!s->inserted)
		return;
	if (s->has_seq)
		demand(mmu_interval_read_retry(&s->notifier, s->seq) == s->collided);
	if (overlapped(s))
		return;
	state = &mm.notifier_subscriptions->intervals;
	s->seq = mmu_interval_read_begin(&s->notifier);
	demand(list_empty(&state->wq.head));
	s->has_seq = true;
	s->collided = false;
	demand(!mmu_interval_read_retry(&s->notifier, s->seq));
}

static void do_start(struct flight *f, unsigned int a, unsigned int b)
{
	unsigned int bit = 1 << (f - flights);
	bool block = b & 8;
	bool refused = false;
	struct sub *s;
	struct vm *v;
	int ret = 0;

	if (f->in_flight)
		return;
	f->first = a % (PAGES + 8);
	f->last = f->first + (b & 16 ? b % 64 : b % 4);
	f->vms = 0;
	mmu_notifier_range_init(&f->range, b & 128 ? MMU_NOTIFY_UNMAP : MMU_NOTIFY_CLEAR, 0, &mm,
				f->first * PAGE_SIZE, (f->last + 1) * PAGE_SIZE);
	expect_begin();
	if (block)
		mmu_notifier_invalidate_range_start(&f->range);
	else
		ret = mmu_notifier_invalidate_range_start_nonblock(&f->range);

	/* Those who are told when it ends hear of it although it is refused. */
	for (s = next_sub(NULL, f); s; s = next_sub(s, f)) {
		if ((refused && !s->settles) || !concerned(s, f))
			continue;
		expect(s, 'i');
		s->collided = true;
		if (s->settles)
			s->busy_with |= bit;
		refused |= !block && s->refuses;
	}
	for (v = refused ? NULL : next_vm(NULL); v && !refused; v = next_vm(v)) {
		expect(v, 's');
		refused = !block && v->refuses;
		if (!refused)
			f->vms |= 1 << (v - vms);
	}
	if (refused) {
		for (v = next_vm(NULL); v; v = next_vm(v))
			if (f->vms & 1 << (v - vms))
				expect(v, 'e');
		for (s = subs; s < subs + NR_SUBS; s++)
			not_busy_with(s, bit);
	}
	expect_end();
	demand(ret == (refused ? -EAGAIN : 0));
	f->in_flight = !refused;
}

static void do_end(struct flight *f)
{
	unsigned int bit = 1 << (f - flights);
	struct sub *s;
	struct vm *v;

	if (!f->in_flight)
		return;
	expect_begin();
	mmu_notifier_invalidate_range_end(&f->range);
	for (v = next_vm(NULL); v; v = next_vm(v))
		if (f->vms & 1 << (v - vms))
			expect(v, 'e');
	expect_end();
	f->in_flight = false;
	for (s = subs; s < subs + NR_SUBS; s++) {
		not_busy_with(s, bit);
		if (!s->removing)
			continue;
		s->may_wait_for &= ~bit;
		demand(s->called_back || s->may_wait_for);
	}
}

/* Registration and its end wait for what is in flight. */
static void do_vm(struct vm *v, unsigned int b)
{
	if (any_in_flight())
		return;
	expect_begin();
	if (v->live) {
		mmu_notifier_unregister(&v->notifier, &mm);
		v->live = false;
		expect(v, 'r');
	} else {
		v->notifier.ops = &vm_ops;
		v->refuses = b & 1;
		demand(!mmu_notifier_register(&v->notifier, &mm));
		v->born = ++births;
		v->live = true;
	}
	expect_end();
}

/* What the index finds, all of it and a part */
static void check_index(unsigned int a, unsigned int b)
{
	struct mmu_interval_notifier *found[NR_SUBS];
	struct flight whole = { .first = 0, .last = ~0UL >> 13 };
	struct flight part = { .first = a % PAGES, .last = a % PAGES + b % 16 };
	const struct mmu_interval_notifier *after = NULL;
	struct flight *f = a & 128 ? &whole : &part;
	struct mmu_interval_state *state;
	unsigned int nr, i, step = 1 + b % 5;
	struct sub *s = NULL;
	struct flight empty;
	struct mn_gap gap;
	unsigned int seq;

	if (!mm.notifier_subscriptions || !mm.notifier_subscriptions->intervals.slots)
		return;
	state = &mm.notifier_subscriptions->intervals;
	/* May say yes for a subscription whose removal waits. */
	if (!mmu_index_may_overlap(&state->index, f->first * PAGE_SIZE,
				   (f->last + 1) * PAGE_SIZE - 1, &seq, &gap)) {
		empty.first = gap.first / PAGE_SIZE;
		empty.last = gap.last / PAGE_SIZE;
		demand(empty.first <= f->first && empty.last >= f->last);
		demand(!next_sub(NULL, &empty));
	}
	spin_lock(&state->lock);
	do {
		nr = mmu_index_collect(&state->index, after, f->first * PAGE_SIZE,
				       (f->last + 1) * PAGE_SIZE - 1, found, step);
		for (i = 0; i < nr; i++) {
			s = next_sub(s, f);
			demand(s && found[i] == &s->notifier);
		}
		if (nr)
			after = found[nr - 1];
	} while (nr == step);
	demand(!next_sub(s, f) || !s);
	demand(s || !next_sub(NULL, f));
	spin_unlock(&state->lock);
}

void shim_rcu_barrier(void);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct sub *s;
	struct vm *v;
	size_t i;

	memset(&mm, 0, sizeof(mm));
	memset(subs, 0, sizeof(subs));
	memset(vms, 0, sizeof(vms));
	memset(flights, 0, sizeof(flights));
	mm.mm_users.counter = 1;
	mm.mm_count.counter = 1;

	for (i = 0; i + 3 <= size; i += 3) {
		unsigned int op = data[i] >> 5, nr = data[i] & 31, a = data[i + 1], b = data[i + 2];

		switch (op) {
		case 0:
		case 1:
			do_insert(&subs[(nr + 32 * (op & 1)) % NR_SUBS], a, b);
			break;
		case 2:
			do_remove(&subs[(nr + a) % NR_SUBS], b & 1);
			break;
		case 3:
			do_read(&subs[(nr + a) % NR_SUBS]);
			break;
		case 4:
		case 5:
			do_start(&flights[nr % NR_RANGES], a, b);
			break;
		case 6:
			do_end(&flights[nr % NR_RANGES]);
			break;
		case 7:
			if (nr & 16)
				do_vm(&vms[nr % NR_VMS], b);
			else
				shim_cpu(nr % 2);
			break;
		}
		check_index(a, b);
		check_settled();
	}

	for (i = 0; i < NR_RANGES; i++)
		do_end(&flights[i]);
	check_settled();
	for (s = subs; s < subs + NR_SUBS; s++) {
		do_read(s);
		do_remove(s, false);
	}
	for (v = vms; v < vms + NR_VMS; v++)
		if (v->live)
			do_vm(v, 0);
	demand(mm.mm_count.counter == 1);
	mmu_notifier_subscriptions_destroy(&mm);
	shim_rcu_barrier();
	return 0;
}
