// SPDX-License-Identifier: GPL-2.0
/*
 * Is a word of /dev/mmu_monitor ever valid when what was learned is not true?
 *
 * One thread, the *remapper*, gives places in memory other pages, over and over,
 * in all the ways there are, and stamps each new page with a number that no page
 * has had before. When the system call that took a page away has returned, it
 * writes down that the page's stamp is gone: the truth. The other threads, the
 * *checkers*, do what a cache of registrations does: read the word, *pin* the page
 * that is there (by putting it into a pipe), read the word again; and from then on, as
 * long as the word is the same, claim to know. Each claim is held against
 *
 *  - the truth: is the page gone, and was it said to be before the word was looked
 *    at? A word shows that which changes at the start of a range only: what is
 *    pinned between the start and the clearing of the entry is the old page.
 *  - the page table: is the page that can be pinned there now another one? A word
 *    shows that which changes at the end of a range only.
 *
 * The remapper waits, most of the time, until a checker has claimed the page that
 * it is going to take away: a *cycle* counts if one had.
 *
 * monitor_race_test --cycles N [--checkers N] [--seconds N]; 5000 cycles by
 * default, or what MMU_MONITOR_CYCLES says.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest.h"

#include "monitor_lib.h"
#include "sysmm.h"

#define RW		(PROT_READ | PROT_WRITE)
#define ANON		(MAP_PRIVATE | MAP_ANONYMOUS)

#define MAX_CHECKERS	8

/*
 * The ways to take a page away. The watched page is the first of each place; the
 * larger the place, the longer it takes until the range ends.
 */
enum way {
	MMAP_OVER,
	MUNMAP_MMAP,
	MREMAP,
	DONTNEED,
	PUNCH,
	NR_WAYS,
};

static const char * const way_names[] = {
	[MMAP_OVER] = "mmap over",
	[MUNMAP_MMAP] = "munmap and mmap",
	[MREMAP] = "mremap away",
	[DONTNEED] = "madvise(DONTNEED)",
	[PUNCH] = "hole in a shared file",
};

/**
 * struct place - where pages come and go
 * @base: the first of its pages, the one that is watched.
 * @nr: pages.
 * @way: what is done to it.
 * @fd: of the file, for PUNCH.
 * @spare: where mremap() moves it.
 * @stamp: what the page has that is there now; the remapper's.
 * @gone: the last stamp whose page is gone: the truth.
 * @claimed: the last stamp that a checker knows of.
 * @cycles: how many pages have been taken away after a checker had claimed them.
 */
struct place {
	char *base;
	size_t nr;
	enum way way;
	int fd;
	char *spare;
	__u64 stamp;
	__aligned_u64 gone;
	__aligned_u64 claimed;
	__u64 cycles;
};

static struct place places[] = {
	{ .nr = 1, .way = MMAP_OVER },
	{ .nr = 32, .way = MMAP_OVER },
	{ .nr = 1, .way = MUNMAP_MMAP },
	{ .nr = 32, .way = MUNMAP_MMAP },
	{ .nr = 4, .way = MREMAP },
	{ .nr = 1, .way = DONTNEED },
	{ .nr = 64, .way = DONTNEED },
	{ .nr = 16, .way = PUNCH },
};

#define NR_PLACES ARRAY_SIZE(places)

/**
 * struct claim - what a checker knows of a place
 * @word: where its word is.
 * @generation: its value when the page was looked at; odd: knows nothing.
 * @stamp: of the page.
 * @pipe: the page itself is in there, if @pinned.
 * @pinned: it is.
 */
struct claim {
	__u64 word;
	__u64 generation;
	__u64 stamp;
	int pipe[2];
	bool pinned;
};

/**
 * struct checker - one thread that checks
 * @mon: a descriptor of its own.
 * @claims: by place.
 * @again: makes a new watch for each claim, as caches do.
 * @probe: a pipe to look through.
 * @seed: of its random numbers.
 * @learned: claims made.
 * @checks: claims held against truth and page.
 * @pins: those held against the page table as well.
 * @stale_truth: those that were wrong, as the page had gone before.
 * @stale_pin: as another one was in the page table.
 * @first: the first of them.
 */
struct checker {
	struct monitor mon;
	struct claim claims[NR_PLACES];
	bool again;
	int probe[2];
	unsigned int seed;
	__u64 learned;
	__u64 checks;
	__u64 pins;
	__u64 stale_truth;
	__u64 stale_pin;
	char first[160];
};

static bool stop, failed;

static void give_up(void)
{
	__atomic_store_n(&failed, true, __ATOMIC_RELEASE);
}

static bool stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_ACQUIRE);
}

/* The stamp of a page that is pinned, and stays so */
static bool peek(struct checker *c, int pipe, __u64 *stamp)
{
	return tee(pipe, c->probe[1], sizeof(*stamp), SPLICE_F_NONBLOCK) == sizeof(*stamp) &&
	       page_unpin(c->probe[0], stamp);
}

static void stale(struct checker *c, struct place *p, const char *what, const struct claim *claim,
		  __u64 found)
{
	if (!c->first[0])
		snprintf(c->first, sizeof(c->first),
			 "%s, %zu pages: %s: page %llu is valid by word %llu, and %llu is found",
			 way_names[p->way], p->nr, what, claim->stamp, claim->generation, found);
}

static __u64 word_of(struct checker *c, const struct claim *claim)
{
	return monitor_word(&c->mon, claim->word);
}

static void forget(struct claim *claim)
{
	__u64 stamp;

	if (claim->pinned && !page_unpin(claim->pipe[0], &stamp))
		give_up();
	claim->pinned = false;
	claim->generation = 1;
}

/* The stamp of the page that is there; 0: none, or not stamped yet */
static __u64 look(struct checker *c, const char *addr)
{
	__u64 stamp = 0;

	if (page_pin(c->probe[1], addr) && !page_unpin(c->probe[0], &stamp))
		give_up();
	return stamp;
}

/* Read the word, pin the page that is there, read the word again. */
static void learn(struct checker *c, struct place *p, struct claim *claim)
{
	__u64 generation;

	forget(claim);
	if (c->again && rand_r(&c->seed) % 8 == 0 &&
	    (monitor_try_unwatch(c->mon.fd, claim->word) ||
	     monitor_try_watch(c->mon.fd, p->base, page_size, MONITOR_CACHE, MMU_MONITOR_QUIET, 0,
			       &claim->word))) {
		give_up();
		return;
	}
	generation = word_of(c, claim);
	if (generation & 1)
		return;
	/* a pin that stays, or just the stamp */
	if (rand_r(&c->seed) % 2) {
		claim->pinned = page_pin(claim->pipe[1], p->base);
		if (!claim->pinned || !peek(c, claim->pipe[0], &claim->stamp))
			return;
	} else {
		claim->stamp = look(c, p->base);
	}
	if (!claim->stamp || word_of(c, claim) != generation)
		return;
	claim->generation = generation;
	c->learned++;
	__atomic_store_n(&p->claimed, claim->stamp, __ATOMIC_RELEASE);
}

/* Is the claim true? It is the word that is looked at last. */
static void check(struct checker *c, struct place *p, struct claim *claim)
{
	__u64 gone, stamp;

	gone = __atomic_load_n(&p->gone, __ATOMIC_ACQUIRE);
	if (word_of(c, claim) != claim->generation)
		return;
	c->checks++;
	if (gone >= claim->stamp) {
		c->stale_truth++;
		stale(c, p, "truth", claim, gone);
	}
	if (rand_r(&c->seed) % 2)
		return;

	/* in the munmap of another thread there may be no page, before it is told */
	if (!page_pin(c->probe[1], p->base))
		return;
	if (!page_unpin(c->probe[0], &stamp))
		give_up();
	c->pins++;
	if (stamp != claim->stamp && word_of(c, claim) == claim->generation) {
		c->stale_pin++;
		stale(c, p, "page table", claim, stamp);
	}
}

static void *checker(void *arg)
{
	struct checker *c = arg;
	size_t i;

	while (!stopped()) {
		for (i = 0; i < NR_PLACES; i++) {
			struct claim *claim = &c->claims[i];

			if (!(claim->generation & 1) && word_of(c, claim) == claim->generation)
				check(c, &places[i], claim);
			if (claim->generation & 1 || word_of(c, claim) != claim->generation)
				learn(c, &places[i], claim);
		}
	}
	for (i = 0; i < NR_PLACES; i++)
		forget(&c->claims[i]);
	return NULL;
}

static const char *checker_init(struct checker *c, unsigned int nr)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	c->seed = nr + 1;
	c->again = nr % 2;
	if (monitor_try_open(&c->mon))
		return "cannot open " MONITOR_PATH;
	if (pipe2(c->probe, O_CLOEXEC))
		return "no pipe";
	for (i = 0; i < NR_PLACES; i++) {
		c->claims[i].generation = 1;
		if (pipe2(c->claims[i].pipe, O_CLOEXEC))
			return "no pipe";
		if (monitor_try_watch(c->mon.fd, places[i].base, page_size, MONITOR_CACHE,
				      MMU_MONITOR_QUIET, i, &c->claims[i].word))
			return "cannot watch";
	}
	return NULL;
}

/*
 * The remapper
 */

static bool map_new(struct place *p, int flags)
{
	if (p->way == PUNCH)
		return mmap(p->base, p->nr * page_size, RW, MAP_SHARED | MAP_FIXED, p->fd, 0) ==
		       p->base;
	return mmap(p->base, p->nr * page_size, RW, ANON | flags, -1, 0) == p->base;
}

/* All pages are there, so that nobody sees another one for any other reason. */
static void stamp_it(struct place *p)
{
	size_t i;

	p->stamp++;
	for (i = 1; i < p->nr; i++)
		p->base[i * page_size] = 1;
	__atomic_store_n((__u64 *)p->base, p->stamp, __ATOMIC_RELEASE);
}

static bool place_init(struct place *p)
{
	p->base = mmap(NULL, 2 * (p->nr + 1) * page_size, PROT_NONE, ANON, -1, 0);
	if (p->base == MAP_FAILED)
		return false;
	p->spare = p->base + (p->nr + 1) * page_size;
	if (p->way == PUNCH) {
		p->fd = memfd_create("race", MFD_CLOEXEC);
		if (p->fd < 0 || ftruncate(p->fd, p->nr * page_size))
			return false;
	}
	if (!map_new(p, MAP_FIXED))
		return false;
	stamp_it(p);
	return true;
}

static bool take_away(struct place *p)
{
	size_t length = p->nr * page_size;
	bool ok = true;

	switch (p->way) {
	case MMAP_OVER:
		ok = map_new(p, MAP_FIXED);
		break;
	case MUNMAP_MMAP:
		ok = !munmap(p->base, length);
		break;
	case MREMAP:
		ok = mremap(p->base, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, p->spare) ==
		     p->spare;
		break;
	case DONTNEED:
		ok = !madvise(p->base, length, MADV_DONTNEED);
		break;
	case PUNCH:
		ok = !fallocate(p->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length);
		break;
	default:
		break;
	}
	if (!ok)
		return false;
	__atomic_store_n(&p->gone, p->stamp, __ATOMIC_RELEASE);
	if (p->way == MUNMAP_MMAP || p->way == MREMAP)
		ok = map_new(p, MAP_FIXED_NOREPLACE);
	return ok;
}

static bool claimed(struct place *p)
{
	return __atomic_load_n(&p->claimed, __ATOMIC_ACQUIRE) == p->stamp;
}

/* Until @cycles have been seen by a checker; returns how many there were in all. */
static __u64 remap(__u64 cycles, __u64 *seen, __u64 deadline)
{
	unsigned int seed = 99, spin;
	__u64 all;

	*seen = 0;
	for (all = 0; *seen < cycles; all++) {
		struct place *p = &places[all % NR_PLACES];

		if (all % 1024 == 0) {
			if (now_us() > deadline || __atomic_load_n(&failed, __ATOMIC_ACQUIRE))
				break;
		}
		/* a claim is waited for, but not always, nor for ever */
		if (rand_r(&seed) % 16)
			for (spin = 0; spin < 20000 && !claimed(p); spin++)
				if (spin % 500 == 499)
					sched_yield();
		if (claimed(p)) {
			p->cycles++;
			++*seen;
		}
		if (!take_away(p)) {
			give_up();
			break;
		}
		stamp_it(p);
	}
	return all;
}

static unsigned long count_of(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || !n)
		ksft_exit_fail_msg("%s is no number above 0\n", text);
	return n;
}

int main(int argc, char **argv)
{
	static struct checker checkers[MAX_CHECKERS];
	unsigned long cycles = 5000, seconds = 300, nr_checkers, i;
	__u64 began, all, seen = 0, checks = 0, pins = 0, learned = 0;
	__u64 truth = 0, pinned = 0;
	pthread_t threads[MAX_CHECKERS];
	const char *why;

	ksft_print_header();
	ksft_set_plan(3);
	/* a CPU for each, where there are enough */
	nr_checkers = sysconf(_SC_NPROCESSORS_ONLN) - 1;
	nr_checkers = nr_checkers < 1 ? 1 : nr_checkers > 4 ? 4 : nr_checkers;
	if (access(MONITOR_PATH, F_OK))
		ksft_exit_skip("no " MONITOR_PATH "\n");
	if (getenv("MMU_MONITOR_CYCLES"))
		cycles = count_of(getenv("MMU_MONITOR_CYCLES"));
	for (i = 1; i < (unsigned long)argc; i += 2) {
		if (i + 1 == (unsigned long)argc)
			ksft_exit_fail_msg("%s needs a number\n", argv[i]);
		if (!strcmp(argv[i], "--cycles"))
			cycles = count_of(argv[i + 1]);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = count_of(argv[i + 1]);
		else if (!strcmp(argv[i], "--checkers"))
			nr_checkers = count_of(argv[i + 1]);
		else
			ksft_exit_fail_msg("%s? --cycles, --seconds and --checkers are there\n",
					   argv[i]);
	}
	if (nr_checkers > MAX_CHECKERS)
		ksft_exit_fail_msg("%lu checkers? %d are possible\n", nr_checkers, MAX_CHECKERS);

	sysmm_init();
	for (i = 0; i < NR_PLACES; i++)
		if (!place_init(&places[i]))
			ksft_exit_fail_msg("no memory to remap: %s\n", strerror(errno));
	for (i = 0; i < nr_checkers; i++) {
		why = checker_init(&checkers[i], i);
		if (why)
			ksft_exit_fail_msg("%s: %s\n", why, strerror(errno));
	}
	began = now_us();
	for (i = 0; i < nr_checkers; i++)
		if (pthread_create(&threads[i], NULL, checker, &checkers[i]))
			ksft_exit_fail_msg("no thread\n");
	all = remap(cycles, &seen, began + seconds * 1000000ULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	for (i = 0; i < nr_checkers; i++) {
		pthread_join(threads[i], NULL);
		checks += checkers[i].checks;
		pins += checkers[i].pins;
		learned += checkers[i].learned;
		truth += checkers[i].stale_truth;
		pinned += checkers[i].stale_pin;
		if (checkers[i].first[0])
			ksft_print_msg("stale: %s\n", checkers[i].first);
	}

	ksft_print_msg("%llu remap cycles observed by checkers, of %llu, in %llu s\n", seen, all,
		       (now_us() - began) / 1000000);
	for (i = 0; i < NR_PLACES; i++)
		ksft_print_msg("  %s, %zu pages: %llu\n", way_names[places[i].way], places[i].nr,
			       places[i].cycles);
	ksft_print_msg("%llu claims by %lu checkers, %llu checks, %llu of the page table\n",
		       learned, nr_checkers, checks, pins);
	ksft_print_msg("stale: %llu by the truth, %llu by the page table\n", truth, pinned);
	ksft_test_result(!failed, "everything could be done\n");
	ksft_test_result(seen >= cycles, "%lu cycles observed\n", cycles);
	ksft_test_result(!(truth + pinned), "no stale word was valid\n");
	ksft_finished();
}
