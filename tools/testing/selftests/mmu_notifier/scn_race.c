// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios about order and collision: what a subscriber is told, it is told
 * in time (R1), and a fault that collides with a range begins again (R3).
 *
 * A range that is reported too late, or not at all once in a while, does no
 * harm if nobody looks at the wrong moment. Three ways to look:
 *
 *	start_first	The device's start callback sleeps. Until it has
 *			returned, no page-table entry of the range may change.
 *	zap_observer	A large range is zapped. As soon as one PTE is seen to
 *			be empty, the device must not reach the page.
 *	storms		Device and CPU add to words while the pages are moved,
 *			swapped out, shared. At the end the words must hold the
 *			sum of all that was added: an addition through a stale
 *			SPTE goes to a page which nobody has any more.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scenarios.h"

#define NR_FEW		4
#define NR_STORM	16

/* ----------------------------------------------------------- one at a time */

static void act_pageout(struct run *r, struct area *a)
{
	really(r, evict(a->base, a->nr) == a->nr);
}

static void act_move(struct run *r, struct area *a)
{
	must(r, pages_move(0, a->base, a->nr, !page_node(a->base)) == (long)a->nr);
}

static void act_write(struct run *r, struct area *a)
{
	size_t i;

	for (i = 0; i < a->nr; i++)
		__atomic_store_n((__u64 *)page_of(a, i), a->want[i], __ATOMIC_RELAXED);
}

struct entry {
	__u64 pfn;
	bool swapped;
};

static void entries_read(struct area *a, struct entry *entry)
{
	size_t i;

	for (i = 0; i < a->nr; i++) {
		entry[i].pfn = page_pfn(page_of(a, i));
		entry[i].swapped = page_swapped(page_of(a, i));
	}
}

/*
 * While the first start callback of an operation sleeps, no entry may have
 * changed: had it been told late, they would have. The answer only counts if
 * it was found before the callback can have returned; on a slow machine that
 * takes a longer sleep. Returns false in that case.
 */
static bool nothing_changed_yet(struct run *r, struct area *a, unsigned int delay_us,
				void (*act)(struct run *r, struct area *a), const char *what)
{
	struct action action = { .act = act, .a = a };
	struct entry before[NR_FEW], during[NR_FEW];
	bool in_time;
	__u64 began;
	size_t i;

	entries_read(a, before);
	op_begin(r);
	began = action_begin(r, &action, &r->dev, delay_us, 0);
	entries_read(a, during);
	in_time = now_us() < began + delay_us;
	mirror_delay(&r->dev, 0, 0);
	action_end(r, &action);
	op_end(r, EV_CLEAR, 1, 1);

	for (i = 0; in_time && i < a->nr; i++)
		if (before[i].pfn != during[i].pfn || before[i].swapped != during[i].swapped)
			fail(r, "%s: page %zu changed before its callback returned", what, i);
	return in_time;
}

static void start_is_first(struct run *r, void (*act)(struct run *r, struct area *a),
			   bool shared, const char *what)
{
	unsigned int delay_us;
	struct twin t;

	for (delay_us = 20000; delay_us <= 1280000; delay_us *= 4) {
		struct area *a = area_new(r, NR_FEW);
		bool conclusive;

		prime(r, a);
		if (shared) {
			twin_fork(r, &t);
			if (!t.pid) {
				twin_hear(r, &t);
				_exit(0);
			}
			prime_reads(r, a);
		}
		conclusive = nothing_changed_yet(r, a, delay_us, act, what);
		if (shared) {
			twin_tell(r, &t, 'q');
			twin_end(r, &t);
		}
		check_stale(r);
		must(r, !munmap(a->base, bytes_of(a->nr)));
		if (conclusive)
			return;
	}
	fail(r, "%s: too slow a machine to tell", what);
}

static void scn_start_first(struct run *r)
{
	lacks(r, need_swap());
	lacks(r, need_nodes());
	start_is_first(r, act_dontneed, false, "DONTNEED");
	start_is_first(r, act_pageout, false, "PAGEOUT");
	start_is_first(r, act_move, false, "move_pages");
	start_is_first(r, act_write, true, "copy on write");
}

/*
 * A device fault on a page of which a range is in flight is not satisfied
 * before that range has ended. Whoever ends last holds it in flight: the
 * device itself, or another one where the device is not told of the end.
 */
static void scn_fault_in_flight(struct run *r)
{
	const unsigned int delay_us = 50000;
	struct area *a = area_new(r, NR_FEW);
	struct action action = { .act = act_dontneed, .a = a };
	struct mirror other = { .fd = -1 }, *slow = &r->dev;
	__u64 began, word;

	if (r->personality == MMU_MIRROR_SVA)
		cannot_apply(r, "in a range in flight it uses what the CPU uses");
	if (!mirror_has_ends(r->personality)) {
		mirror_open(&other);
		mirror_attach(&other, MMU_MIRROR_SHADOW, r->arena, ARENA_BYTES);
		slow = &other;
	}
	prime(r, a);
	op_begin(r);
	began = action_begin(r, &action, slow, 0, delay_us);
	mirror_read(&r->dev, page_of(a, NR_FEW - 1), &word, sizeof(word));
	if (!word && now_us() < began + delay_us)
		fail(r, "a fault was satisfied within a range in flight");
	action_end(r, &action);
	op_end(r, EV_CLEAR, 1, NR_FEW);
	model_zero(a, 0, NR_FEW);
	verify(r, a);
	mirror_close(&other);
}

/*
 * The CPU's own loads will not do for watching: until the range has ended, its
 * TLB may hold what is no longer in the page table.
 */
static void scn_zap_observer(struct run *r)
{
	struct area *a = area_new(r, 2 * huge_size / page_size);
	struct action action = { .act = act_dontneed, .a = a };
	unsigned int round;
	__u64 word;
	size_t i;

	if (r->personality == MMU_MIRROR_SVA)
		cannot_apply(r, "what is zapped may be used until TLBs are flushed");
	for (round = 0; round < 3 * r->effort; round++) {
		prime(r, a);
		op_begin(r);
		action_begin(r, &action, &r->dev, 0, 0);
		for (i = 0; i < a->nr; i = next_page(a, i)) {
			while (page_present(page_of(a, i)))
				;
			if (mirror_try_read(&r->dev, page_of(a, i), &word, sizeof(word),
					    MMU_MIRROR_NOFAULT))
				continue;
			fail(r, "page %zu: device reads %#llx, the PTE was empty before", i,
			     word);
			r->v->stale++;
		}
		action_end(r, &action);
		op_end(r, EV_CLEAR, 1, a->nr);
		model_zero(a, 0, a->nr);
	}
	verify(r, a);
}

/* ---------------------------------------------------------------- storms */

/*
 * A storm goes on until there was enough of it since op_begin(): so many starts,
 * a quarter as many SPTEs dropped, and so many device faults that collided with
 * a range. On a busy machine that takes longer.
 */
#define PATIENCE	40
#define COLLISIONS	10

static bool enough(struct run *r, enum mirror_event event, __u64 starts,
		   __u64 collisions)
{
	struct mmu_mirror_counters c;

	c = mirror_counters(&r->dev);
	return c.events[event] - r->before.events[event] >= starts &&
	       c.dropped - r->before.dropped >= starts / 4 &&
	       c.replays - r->before.replays >= collisions;
}

static bool storming(struct run *r, unsigned int round, unsigned int rounds,
		     enum mirror_event event, __u64 collisions)
{
	return round < rounds ||
	       (round < rounds * PATIENCE && !enough(r, event, rounds, collisions));
}

static __u32 random_of(__u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static __u64 *word_of(struct area *a, size_t i)
{
	return (__u64 *)page_of(a, i);
}

/* The device writes ever larger numbers to the second word of each page. */
static void *count_up(void *arg)
{
	struct helper *h = arg;
	struct area *a = h->arg;
	__u64 state = 1;

	while (!helper_stopped(h)) {
		__u64 number = ++h->count;

		mirror_try_write(&h->r->dev, word_of(a, random_of(&state) % a->nr) + 1,
				 &number, sizeof(number), 0);
	}
	return NULL;
}

/*
 * What was written before a DONTNEED is gone; what is written after it is seen
 * by both. Numbers only grow until the next DONTNEED, so three looks at a word
 * in a row can be told apart from a device that uses another page.
 */
static void scn_storm_dontneed(struct run *r)
{
	/* whose faults do not collide with a range */
	const __u64 collisions = r->personality == MMU_MIRROR_SVA ? 0 : COLLISIONS;
	const unsigned int rounds = 800 * r->effort;
	struct area *a = area_new(r, NR_FEW);
	struct helper writer;
	__u64 look[3];
	unsigned int i;
	int err[3] = {};

	prime(r, a);
	act_dontneed(r, a);
	op_begin(r);
	helper_start(r, &writer, count_up, a);
	mirror_engine_start(&r->dev, MMU_MIRROR_ENGINE_READ, a->base, bytes_of(a->nr));
	for (i = 0; storming(r, i, rounds, EV_CLEAR, collisions); i++) {
		__u64 *word = word_of(a, i % a->nr) + 1;

		must(r, !madvise(page_of(a, i % a->nr), page_size, MADV_DONTNEED));
		err[0] = mirror_try_read(&r->dev, word, &look[0], sizeof(look[0]),
					 MMU_MIRROR_NOFAULT);
		look[1] = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		err[2] = mirror_try_read(&r->dev, word, &look[2], sizeof(look[2]),
					 MMU_MIRROR_NOFAULT);
		if ((!err[0] && look[0] > look[1]) || (!err[2] && look[2] < look[1])) {
			fail(r, "round %u: device sees %llu, CPU then %llu, device then %llu", i,
			     (err[0] ? 0 : look[0]),
			     look[1],
			     (err[2] ? 0 : look[2]));
			r->v->stale++;
		}
		if (i % 64 == 63)
			check_stale(r);
	}
	helper_stop(&writer);
	mirror_engine_stop(&r->dev);
	if (!enough(r, EV_CLEAR, rounds, collisions))
		fail(r, "hardly a device fault collided");
	op_end(r, EV_CLEAR, rounds, rounds / 4);
	act_dontneed(r, a);
	model_zero(a, 0, a->nr);
	verify(r, a);
}

/**
 * struct storm - many who add to the first words of pages
 * @r: the scenario.
 * @a: the pages.
 * @other: where they may be instead, or NULL.
 * @dev: adds with the device, by system calls.
 * @cpu: adds with the CPU.
 * @with_cpu: is there such a one?
 */
struct storm {
	struct run *r;
	struct area *a;
	struct area *other;
	struct helper dev;
	struct helper cpu;
	bool with_cpu;
};

static void *dev_adds(void *arg)
{
	struct helper *h = arg;
	struct storm *s = h->arg;
	__u64 state = 2;
	__u64 *word;

	while (!helper_stopped(h)) {
		__u32 rnd = random_of(&state);

		word = word_of(s->other && rnd & 64 ? s->other : s->a, rnd % s->a->nr);
		if (!mirror_try_add(&h->r->dev, word, 1, NULL,
				    rnd & 128 ? MMU_MIRROR_NOFAULT : 0))
			h->count++;
	}
	return NULL;
}

static void *cpu_adds(void *arg)
{
	struct helper *h = arg;
	struct storm *s = h->arg;
	__u64 state = 3;

	while (!helper_stopped(h)) {
		__atomic_fetch_add(word_of(s->a, random_of(&state) % s->a->nr), 1,
				   __ATOMIC_RELAXED);
		/* leave a processor to the others now and then */
		if (++h->count % 256 == 0)
			usleep(100);
	}
	return NULL;
}

static void storm_begin(struct run *r, struct storm *s)
{
	s->r = r;
	prime(r, s->a);
	memset(s->a->base, 0, bytes_of(s->a->nr));
	op_begin(r);
	helper_start(r, &s->dev, dev_adds, s);
	if (s->with_cpu)
		helper_start(r, &s->cpu, cpu_adds, s);
	mirror_engine_start(&r->dev, MMU_MIRROR_ENGINE_ADD, s->a->base, bytes_of(s->a->nr));
	engine_works(r);
	while (!__atomic_load_n(&s->dev.count, __ATOMIC_RELAXED))
		sleep_ms(1);
}

/* @now: where the pages are in the end */
static void storm_end(struct storm *s, struct area *now, enum mirror_event event,
		      __u64 starts)
{
	__u64 added, engine, sum = 0, seen = 0, word;
	struct run *r = s->r;
	size_t i;

	helper_stop(&s->dev);
	if (s->with_cpu)
		helper_stop(&s->cpu);
	engine = mirror_engine_stop(&r->dev);
	op_end(r, event, starts, starts / 4);
	check_stale(r);

	added = s->dev.count + engine;
	if (s->with_cpu)
		added += s->cpu.count;
	for (i = 0; i < now->nr; i++) {
		mirror_read(&r->dev, word_of(now, i), &word, sizeof(word));
		seen += word;
		sum += *word_of(now, i);
	}
	if (sum != added || seen != added) {
		fail(r, "%llu additions, of which the CPU sees %llu and the device %llu",
		     added, sum,
		     seen);
		r->v->stale += added > sum ? added - sum : sum - added;
	}
	prime(r, now);
	verify(r, now);
}

static void scn_storm_migrate(struct run *r)
{
	struct storm s = { .a = area_new(r, NR_STORM), .with_cpu = true };
	unsigned int round, rounds = 24 * r->effort;
	long moved = 0;

	lacks(r, need_nodes());
	storm_begin(r, &s);
	for (round = 0; storming(r, round, rounds, EV_CLEAR, 0); round++)
		moved += pages_move(0, s.a->base, NR_STORM, round % 2);
	storm_end(&s, s.a, EV_CLEAR, rounds);
	really(r, moved > 0);
}

static void scn_storm_pageout(struct run *r)
{
	struct storm s = { .a = area_new(r, NR_STORM), .with_cpu = true };
	unsigned int round, rounds = 24 * r->effort;
	__u64 out = vm_event("pswpout");

	lacks(r, need_swap());
	storm_begin(r, &s);
	for (round = 0; storming(r, round, rounds, EV_CLEAR, 0); round++) {
		/* what was swapped in again is in some CPU's batch */
		lru_drain();
		must(r, !madvise(s.a->base, bytes_of(NR_STORM), MADV_PAGEOUT));
	}
	storm_end(&s, s.a, EV_CLEAR, rounds);
	really(r, vm_event("pswpout") > out);
}

static void scn_storm_mremap(struct run *r)
{
	struct area *a = area_new(r, NR_STORM), *b;
	struct storm s = { .a = a };
	unsigned int round, rounds = 64 * r->effort;

	b = area_at(r, arena_place(r, bytes_of(NR_STORM), 0), NR_STORM);
	s.other = b;
	storm_begin(r, &s);
	for (round = 0; storming(r, round, rounds, EV_UNMAP, 0); round++) {
		struct area *from = round % 2 ? b : a, *to = round % 2 ? a : b;

		must(r, mremap(from->base, bytes_of(NR_STORM), bytes_of(NR_STORM),
			       MREMAP_MAYMOVE | MREMAP_FIXED, to->base) == to->base);
	}
	storm_end(&s, round % 2 ? b : a, EV_UNMAP, rounds);
}

/* A child's memory does not change by itself. */
static void child_stands_still(struct run *r, struct area *a)
{
	__u64 words[NR_STORM];
	size_t i;

	for (i = 0; i < a->nr; i++)
		words[i] = *word_of(a, i);
	sleep_ms(2);
	for (i = 0; i < a->nr; i++)
		if (__atomic_load_n(word_of(a, i), __ATOMIC_ACQUIRE) != words[i])
			stop(r, "a device of the parent's writes to the child's page %zu", i);
	_exit(0);
}

static void scn_storm_fork(struct run *r)
{
	struct storm s = { .a = area_new(r, NR_STORM), .with_cpu = true };
	unsigned int round, rounds = 8 * r->effort;
	int status;
	pid_t pid;

	storm_begin(r, &s);
	for (round = 0; storming(r, round, rounds, EV_PROTECTION_PAGE, 0); round++) {
		pid = fork();
		must(r, pid >= 0);
		if (!pid)
			child_stands_still(r, s.a);
		must(r, waitpid(pid, &status, 0) == pid);
		if (status)
			fail(r, "a child ended with status %#x", status);
	}
	storm_end(&s, s.a, EV_PROTECTION_PAGE, rounds);
}

static void scn_storm_thp(struct run *r)
{
	struct storm s = { .a = area_huge(r, 1), .with_cpu = true };
	unsigned int round, collapsed = 0, rounds = 3 * r->effort;

	lacks(r, need_debugfs());
	storm_begin(r, &s);
	/* a page that is in use for a moment stands in the way */
	for (round = 0; round < rounds || (!collapsed && round < 40); round++) {
		huge_split(s.a->base, huge_size);
		if (huge_mapped(s.a->base))
			continue;
		madvise(s.a->base, huge_size, MADV_COLLAPSE);
		collapsed += huge_mapped(s.a->base) == huge_size;
	}
	storm_end(&s, s.a, EV_CLEAR, rounds);
	really(r, collapsed);
}

/* Pages are equal after each round, so that there is something to merge. */
static void scn_storm_ksm(struct run *r)
{
	struct area *a = area_new(r, NR_STORM);
	unsigned int round, rounds = 2 + r->effort, merged = 0;
	__u64 old;
	size_t i;

	lacks(r, need_ksm());
	prime(r, a);
	memset(a->base, 0, bytes_of(a->nr));
	for (i = 0; i < a->nr; i++)
		memset(page_of(a, i) + page_size / 2, 0x77, 8);

	must(r, !madvise(a->base, bytes_of(a->nr), MADV_MERGEABLE));
	op_begin(r);
	ksm_run();
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < a->nr; i++) {
			must(r, !mirror_try_add(&r->dev, word_of(a, i), 1, &old, 0));
			if (old != round) {
				fail(r, "round %u, page %zu: device finds %llu", round, i,
				     old);
				r->v->stale++;
			}
		}
		merged += within_ms(3000, pages_same(a->base, a->nr) == a->nr);
		check_stale(r);
	}
	ksm_stop();
	really(r, merged);
	op_end(r, EV_CLEAR, a->nr, a->nr);
	for (i = 0; i < a->nr; i++)
		if (*word_of(a, i) != rounds) {
			fail(r, "page %zu: %u additions, CPU sees %llu", i, rounds,
			     *word_of(a, i));
			r->v->stale++;
		}
	prime(r, a);
	verify(r, a);
}

const struct scenario scn_race[] = {
	{ "fault_in_flight", "device fault while a range is in flight",
	  scn_fault_in_flight },
	{ "start_first", "start returns before the PTE changes", scn_start_first },
	{ "zap_observer", "large DONTNEED, watched page by page", scn_zap_observer },
	{ "storm_dontneed", "storm: DONTNEED", scn_storm_dontneed },
	{ "storm_migrate", "storm: migration, adds counted", scn_storm_migrate },
	{ "storm_pageout", "storm: PAGEOUT, adds counted", scn_storm_pageout },
	{ "storm_mremap", "storm: mremap, adds counted", scn_storm_mremap },
	{ "storm_fork", "storm: fork, adds counted", scn_storm_fork },
	{ "storm_thp", "storm: THP collapse and split, adds", scn_storm_thp },
	{ "storm_ksm", "storm: KSM merge and break, adds", scn_storm_ksm },
	{ }
};
