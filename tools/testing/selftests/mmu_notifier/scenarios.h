/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenarios: the ways in which Linux changes the memory of a process, each
 * with a device that goes on working through translations of its own.
 *
 * One implementation, used twice: mmu_mirror_demo prints them as a table,
 * mirror_test makes a kselftest case of each.
 *
 * A scenario runs in a process of its own, whose memory lies in an *arena*: a
 * large reservation that is also the device's window. It maps an *area* there
 * and *primes* it: CPU and device write counted values to every page and read
 * each other's, after which the device holds an SPTE for every page. Then it
 * changes the memory between op_begin() and op_end(), the second of which
 * states what the device must have been told; asks sysmm.h whether the change
 * really took place; corrects the area's model, that is, what every page must
 * hold now and who may do what to it; and has verify() compare device, CPU and
 * model with each other, first through SPTEs that already exist: a stale one
 * shows there.
 *
 * Every value is written once only: it names scenario, page and the how
 * manieth write it is.
 */
#ifndef _SELFTESTS_SCENARIOS_H
#define _SELFTESTS_SCENARIOS_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "mirror_lib.h"
#include "sysmm.h"

struct run;

/* The device is attached to another process, or more than once: no attach */
#define SCN_UNATTACHED	1

/**
 * struct scenario - one way to change memory
 * @name: its name, also that of the test case.
 * @what: what the table calls it, 39 columns at most.
 * @run: does it.
 * @flags: SCN_UNATTACHED.
 */
struct scenario {
	const char *name;
	const char *what;
	void (*run)(struct run *r);
	unsigned int flags;
};

/* Those of one file each, ended by one without a name */
extern const struct scenario scn_map[], scn_reclaim[], scn_huge[], scn_share[];
extern const struct scenario scn_life[], scn_race[];

const struct scenario *scenario_nth(unsigned int nth);
const struct scenario *scenario_find(const char *name);

enum outcome {
	OUTCOME_OK,
	OUTCOME_FAIL,
	OUTCOME_SKIP,
};

/**
 * struct verdict - what a scenario came to
 * @outcome: enum outcome.
 * @claims: how many times op_end() asked for at least one callback. 0 is a
 *	failure: the scenario never exercised its hook.
 * @callbacks: start and release calls received, and those for folios.
 * @dropped: SPTEs dropped by them.
 * @accesses: device accesses, page-wise.
 * @stale: accesses, and answers of MMU_MIRROR_CHECK, that contradicted what
 *	the CPU sees.
 * @us: time taken.
 * @why: the first thing that was wrong, or why it was skipped.
 */
struct verdict {
	int outcome;
	unsigned int claims;
	__u64 callbacks;
	__u64 dropped;
	__u64 accesses;
	__u64 stale;
	__u64 us;
	char why[240];
};

/**
 * scenario_run() - run one scenario with one personality
 * @scn: the scenario.
 * @personality: enum mmu_mirror_personality.
 * @effort: how many times longer than needed for the demo storms shall last.
 * @seconds: after that time it is killed and has failed.
 * @v: out: the verdict.
 */
void scenario_run(const struct scenario *scn, unsigned int personality,
		  unsigned int effort, unsigned int seconds, struct verdict *v);

/* Preconditions: a failure, unless this variable is set in the environment. */
#define SCENARIOS_LENIENT	"MMU_MIRROR_LENIENT"

/* ------------------------------------------------ for the scenarios only */

#define ARENA_BYTES	((size_t)1 << 30)

/**
 * struct run - one scenario being run
 * @scn: which.
 * @id: its number, part of every value written.
 * @personality: enum mmu_mirror_personality.
 * @effort: see scenario_run().
 * @pid: of the process that runs it.
 * @dev: the device, attached unless SCN_UNATTACHED.
 * @arena: start of the reservation, the window.
 * @cursor: where in the arena the next area goes.
 * @generation: counts the values written.
 * @before: counters at op_begin().
 * @v: what will be reported; shared with the parent process.
 */
struct run {
	const struct scenario *scn;
	unsigned int id;
	unsigned int personality;
	unsigned int effort;
	pid_t pid;
	struct mirror dev;
	char *arena;
	char *cursor;
	__u32 generation;
	struct mmu_mirror_counters before;
	struct verdict *v;
};

/* Who may do what to a page, CPU and device alike */
enum rights {
	NOTHING,
	READS,
	WRITES,
};

/**
 * struct area - pages, and what they must look like
 * @base: the first.
 * @nr: how many.
 * @step: of the pages between the remarkable ones, one in so many is looked at.
 * @want: per page, the value that it must hold; 0: zeros.
 * @rights: per page, enum rights.
 * @mark: per page, look at this one in any case.
 */
struct area {
	char *base;
	size_t nr;
	size_t step;
	__u64 *want;
	unsigned char *rights;
	unsigned char *mark;
};

void fail(struct run *r, const char *fmt, ...)
	__printf(2, 3);
__noreturn void stop(struct run *r, const char *fmt, ...)
	__printf(2, 3);
void lacks(struct run *r, const char *why);
__noreturn void cannot_apply(struct run *r, const char *why);

/* must(r, !munmap(...)): stop the scenario when a step of it is refused */
#define must(r, condition) do { \
	if (!(condition)) \
		stop(r, "%s: %m", #condition); \
} while (0)

/* really(r, pages_swapped(...) == 64): the operation has taken place */
#define really(r, condition) do { \
	if (!(condition)) \
		stop(r, "did not happen: %s", #condition); \
} while (0)

void *arena_place(struct run *r, size_t bytes, size_t align);
struct area *area_new(struct run *r, size_t nr);
struct area *area_huge(struct run *r, size_t nr_huge);
struct area *area_map(struct run *r, size_t nr, int flags, int fd);
struct area *area_at(struct run *r, void *base, size_t nr);
void area_mark(struct area *a, size_t first, size_t nr);
void model_rights(struct area *a, size_t first, size_t nr, enum rights rights);
void model_zero(struct area *a, size_t first, size_t nr);

static inline char *page_of(const struct area *a, size_t i)
{
	return a->base + i * page_size;
}

static inline size_t bytes_of(size_t nr)
{
	return nr * page_size;
}

/* The pages to look at: remarkable ones, and some of the others */
size_t next_page(const struct area *a, size_t i);

void cpu_fill(struct run *r, struct area *a, size_t i);
void dev_fill(struct run *r, struct area *a, size_t i);
void prime(struct run *r, struct area *a);
void prime_reads(struct run *r, struct area *a);
void prime_same(struct run *r, struct area *a);
void verify(struct run *r, struct area *a);
void verify_reads(struct run *r, struct area *a);
void check_stale(struct run *r);

bool page_is(const void *page, __u64 want);
int cpu_try_load(const void *addr, __u64 *value);
int cpu_try_copy(void *to, const void *from, size_t bytes);

void op_begin(struct run *r);
void op_end(struct run *r, enum mirror_event event, __u64 starts, __u64 dropped);
void engine_works(struct run *r);
void settle(struct run *r, struct mirror *dev);
void account(struct run *r, struct mirror *dev);

/**
 * struct twin - a forked child that waits for the parent's word
 * @pid: of the child, 0 in the child.
 * @to: the parent writes, the child reads.
 * @from: the other way round.
 */
struct twin {
	pid_t pid;
	int to[2];
	int from[2];
};

void twin_fork(struct run *r, struct twin *t);
void twin_tell(struct run *r, struct twin *t, char word);
char twin_hear(struct run *r, struct twin *t);
void twin_end(struct run *r, struct twin *t);

/* A thread that does something until told to stop */
struct helper {
	pthread_t thread;
	struct run *r;
	void *arg;
	bool stop;
	__u64 count;
};

void helper_start(struct run *r, struct helper *h, void *(*work)(void *), void *arg);
void helper_stop(struct helper *h);

static inline bool helper_stopped(struct helper *h)
{
	return __atomic_load_n(&h->stop, __ATOMIC_ACQUIRE);
}

/**
 * struct action - one operation, done by a thread, for its beginning to be watched
 * @act: the operation.
 * @a: what it is done to.
 * @ready: the thread waits for @go.
 * @go: it may begin.
 * @thread: who does it.
 * @began_us: time just before the operation.
 * @ended_us: time just after it.
 */
struct action {
	void (*act)(struct run *r, struct area *a);
	struct area *a;
	struct helper thread;
	bool ready;
	bool go;
	__u64 began_us;
	__u64 ended_us;
};

__u64 action_begin(struct run *r, struct action *action, struct mirror *watch,
		   unsigned int start_us, unsigned int end_us);
void action_end(struct run *r, struct action *action);
void act_dontneed(struct run *r, struct area *a);

#endif /* _SELFTESTS_SCENARIOS_H */
