// SPDX-License-Identifier: GPL-2.0
/*
 * Scenarios: the table, how one is run, and what they all use: areas with
 * their model, and the comparison of device, CPU and model. See the header.
 *
 * A scenario's process can be killed at any time, even by a broken kernel, so
 * its verdict lies in memory that it shares with its parent, and says "did not
 * finish" until the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"

#include "scenarios.h"

#define SETTLE_MS	2000
#define CHUNK_PAGES	64

static const struct scenario *const groups[] = {
	scn_map, scn_reclaim, scn_huge, scn_share, scn_life, scn_race,
};

/* NULL: there are no more */
const struct scenario *scenario_nth(unsigned int nth)
{
	const struct scenario *scn;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		for (scn = groups[i]; scn->name; scn++)
			if (!nth--)
				return scn;
	return NULL;
}

const struct scenario *scenario_find(const char *name)
{
	const struct scenario *scn;
	unsigned int i;

	for (i = 0; (scn = scenario_nth(i)); i++)
		if (!strcmp(scn->name, name))
			break;
	return scn;
}

static unsigned int scenario_number(const struct scenario *scn)
{
	unsigned int i = 0;

	while (scenario_nth(i) != scn)
		i++;
	return i;
}

/* -------------------------------------------------------------- verdicts */

static struct run *current_run;

static void note(struct run *r, int outcome, const char *fmt, va_list ap)
{
	int was = OUTCOME_OK;

	/* the first one is kept */
	if (__atomic_compare_exchange_n(&r->v->outcome, &was, outcome, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		vsnprintf(r->v->why, sizeof(r->v->why), fmt, ap);
}

/* Something is wrong; what can still be looked at is looked at. */
void fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(r, OUTCOME_FAIL, fmt, ap);
	va_end(ap);
}

/* Something is wrong, and going on makes no sense. */
void stop(struct run *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(r, OUTCOME_FAIL, fmt, ap);
	va_end(ap);
	if (r->dev.fd >= 0 && getpid() == r->pid)
		account(r, &r->dev);
	_exit(1);
}

/* A precondition: lacks(r, need_xxx()). */
void lacks(struct run *r, const char *why)
{
	if (!why)
		return;
	if (!getenv(SCENARIOS_LENIENT))
		stop(r, "missing here: %s", why);
	cannot_apply(r, why);
}

/* No guest could have what this needs: skipped, whatever the environment says. */
void cannot_apply(struct run *r, const char *why)
{
	snprintf(r->v->why, sizeof(r->v->why), "%s", why);
	r->v->outcome = OUTCOME_SKIP;
	_exit(0);
}

static void stale(struct run *r, const char *fmt, ...)
	__printf(2, 3);

static void stale(struct run *r, const char *fmt, ...)
{
	va_list ap;

	__atomic_fetch_add(&r->v->stale, 1, __ATOMIC_RELAXED);
	va_start(ap, fmt);
	note(r, OUTCOME_FAIL, fmt, ap);
	va_end(ap);
}

static void died(const char *text)
{
	stop(current_run, "%s", text);
}

/* ------------------------------------------- loads and stores that may fail */

static __thread sigjmp_buf fault_env;
static __thread int fault_expected;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (__atomic_exchange_n(&fault_expected, 0, __ATOMIC_RELAXED))
		siglongjmp(fault_env, 1);
	stop(current_run, "unexpected signal %d at address %p", sig, info->si_addr);
}

static void catch_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO,
	};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Aligned words, each read once */
int cpu_try_copy(void *to, const void *from, size_t bytes)
{
	const __u64 *in = from;
	__u64 *out = to;
	size_t i;

	if (sigsetjmp(fault_env, 1))
		return -EFAULT;
	__atomic_store_n(&fault_expected, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < bytes / sizeof(*in); i++)
		out[i] = __atomic_load_n(&in[i], __ATOMIC_RELAXED);
	__atomic_store_n(&fault_expected, 0, __ATOMIC_SEQ_CST);
	return 0;
}

int cpu_try_load(const void *addr, __u64 *value)
{
	return cpu_try_copy(value, addr, sizeof(*value));
}

/* ---------------------------------------------------------------- areas */

static size_t align_up(size_t n, size_t to)
{
	return (n + to - 1) / to * to;
}

/*
 * Small areas straddle a page-table boundary: a range over one is delivered
 * and walked in two parts. Between two areas there is nothing.
 */
void *arena_place(struct run *r, size_t bytes, size_t align)
{
	char *base = (char *)align_up((uintptr_t)r->cursor, huge_size);

	if (!align)
		base += huge_size - align_up(bytes / 2, page_size);
	r->cursor = base + bytes + huge_size;
	if (r->cursor > r->arena + ARENA_BYTES)
		stop(r, "the arena is too small");
	return base;
}

struct area *area_at(struct run *r, void *base, size_t nr)
{
	struct area *a = calloc(1, sizeof(*a));

	if (!a)
		stop(r, "no memory");
	a->base = base;
	a->nr = nr;
	a->step = nr <= 64 ? 1 : nr / 13;
	a->want = calloc(nr, sizeof(*a->want));
	a->rights = malloc(nr);
	a->mark = calloc(nr, 1);
	if (!a->want || !a->rights || !a->mark)
		stop(r, "no memory");
	model_rights(a, 0, nr, WRITES);
	area_mark(a, 0, 2);
	area_mark(a, nr / 2 - 1, 2);
	area_mark(a, nr - 2, 2);
	return a;
}

struct area *area_map(struct run *r, size_t nr, int flags, int fd)
{
	size_t align = flags & MAP_HUGETLB ? huge_size : 0;
	void *base = arena_place(r, bytes_of(nr), align);

	if (mmap(base, bytes_of(nr), PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		 fd, 0) != base)
		stop(r, "mmap of %zu pages: %m", nr);
	return area_at(r, base, nr);
}

struct area *area_new(struct run *r, size_t nr)
{
	return area_map(r, nr, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* Mapped by PMDs, or the scenario fails */
struct area *area_huge(struct run *r, size_t nr_huge)
{
	size_t bytes = nr_huge * huge_size;
	char *base;

	base = arena_place(r, bytes, huge_size);
	must(r, mmap(base, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == base);
	memset(base, 0, bytes);
	really(r, huge_make(base, bytes));
	return area_at(r, base, bytes / page_size);
}

void area_mark(struct area *a, size_t first, size_t nr)
{
	size_t i;

	for (i = first; i < first + nr && i < a->nr; i++)
		a->mark[i] = 1;
}

void model_rights(struct area *a, size_t first, size_t nr, enum rights rights)
{
	memset(a->rights + first, rights, nr);
	area_mark(a, first, 1);
	area_mark(a, first + nr - 1, 2);
	if (first)
		area_mark(a, first - 1, 1);
}

void model_zero(struct area *a, size_t first, size_t nr)
{
	memset(a->want + first, 0, nr * sizeof(*a->want));
	area_mark(a, first, 1);
	area_mark(a, first + nr - 1, 2);
	if (first)
		area_mark(a, first - 1, 1);
}

size_t next_page(const struct area *a, size_t i)
{
	do {
		i++;
	} while (i < a->nr && !a->mark[i] && i % a->step);
	return i;
}

/* --------------------------------------------------------------- content */

/* magic, scenario, how manieth write, page; the low 12 bits are the word's */
static __u64 new_value(struct run *r, size_t page)
{
	__u64 generation = __atomic_add_fetch(&r->generation, 1, __ATOMIC_RELAXED);

	return 0x5ecULL << 52 | (__u64)r->id << 44 | (generation & 0xfffff) << 24 |
	       (page & 0xfff) << 12;
}

static void fill(void *page, __u64 value)
{
	__u64 *word = page;
	size_t i;

	for (i = 0; i < page_size / sizeof(*word); i++)
		word[i] = value ? value + i : 0;
}

bool page_is(const void *page, __u64 want)
{
	const __u64 *word = page;
	size_t i;

	for (i = 0; i < page_size / sizeof(*word); i++)
		if (word[i] != (want ? want + i : 0))
			return false;
	return true;
}

void cpu_fill(struct run *r, struct area *a, size_t i)
{
	a->want[i] = new_value(r, i);
	fill(page_of(a, i), a->want[i]);
}

static __thread __u64 device_page[8192];	/* 64 KiB pages, too */
static __thread __u64 cpu_page[8192];

void dev_fill(struct run *r, struct area *a, size_t i)
{
	int err;

	a->want[i] = new_value(r, i);
	fill(device_page, a->want[i]);
	err = mirror_try_write(&r->dev, page_of(a, i), device_page, page_size, 0);
	if (err)
		stop(r, "device cannot write page %zu of %zu: %s", i, a->nr, strerror(-err));
}

static void hold_against(struct run *r, struct area *a, size_t i, const void *seen,
			 const char *who)
{
	if (!page_is(seen, a->want[i]))
		stale(r, "page %zu of %zu: %s sees %#llx, not %#llx", i, a->nr, who,
		      *(const __u64 *)seen,
		      a->want[i]);
}

static void cpu_looks(struct run *r, struct area *a, size_t i)
{
	int err = cpu_try_copy(cpu_page, page_of(a, i), page_size);

	if (err && a->rights[i] != NOTHING)
		fail(r, "page %zu of %zu: CPU faults", i, a->nr);
	else if (!err && a->rights[i] == NOTHING)
		fail(r, "page %zu of %zu: CPU can read it and should not", i, a->nr);
	else if (!err)
		hold_against(r, a, i, cpu_page, "CPU");
}

static void dev_looks(struct run *r, struct area *a, size_t i, unsigned int flags)
{
	const char *who = flags & MMU_MIRROR_NOFAULT ? "device (old SPTE)" : "device";
	int err = mirror_try_read(&r->dev, page_of(a, i), device_page, page_size, flags);

	if (err && err != -EFAULT)
		fail(r, "page %zu of %zu: device read: %s", i, a->nr, strerror(-err));
	else if (!err && a->rights[i] == NOTHING)
		stale(r, "page %zu of %zu: %s reads what is not mapped", i, a->nr, who);
	else if (!err)
		hold_against(r, a, i, device_page, who);
	else if (!(flags & MMU_MIRROR_NOFAULT) && a->rights[i] != NOTHING)
		fail(r, "page %zu of %zu: device cannot read it", i, a->nr);
}

static void dev_writes(struct run *r, struct area *a, size_t i, unsigned int flags)
{
	const char *who = flags & MMU_MIRROR_NOFAULT ? "device (old SPTE)" : "device";
	__u64 value = new_value(r, i);
	int err;

	fill(device_page, value);
	err = mirror_try_write(&r->dev, page_of(a, i), device_page, page_size, flags);
	if (err && err != -EFAULT)
		fail(r, "page %zu of %zu: device write: %s", i, a->nr, strerror(-err));
	else if (!err && a->rights[i] != WRITES)
		stale(r, "page %zu of %zu: %s writes what is not writable", i, a->nr, who);
	else if (!err)
		a->want[i] = value;
	else if (!(flags & MMU_MIRROR_NOFAULT) && a->rights[i] == WRITES)
		fail(r, "page %zu of %zu: device cannot write it", i, a->nr);
}

/* What the device says of itself, compared by the kernel with the page table */
void check_stale(struct run *r)
{
	struct mmu_mirror_check check;

	mirror_check(&r->dev, NULL, 0, &check);
	if (!check.stale)
		return;
	__atomic_fetch_add(&r->v->stale, check.stale, __ATOMIC_RELAXED);
	fail(r, "%llu of %llu SPTEs are stale, the first at %#llx",
	     check.stale, check.mapped,
	     check.first_stale);
}

static void look(struct run *r, struct area *a, bool write)
{
	size_t i;

	check_stale(r);

	/* what the device can still reach without asking anybody */
	for (i = 0; i < a->nr; i = next_page(a, i))
		dev_looks(r, a, i, MMU_MIRROR_NOFAULT);
	/* to write through what is stale would hurt somebody else */
	if (r->v->stale)
		stop(r, "the device sees stale pages");
	for (i = 0; i < a->nr; i = next_page(a, i))
		if (a->rights[i] != WRITES || write)
			dev_writes(r, a, i, MMU_MIRROR_NOFAULT);

	/* the CPU's view, and the device's through faults */
	for (i = 0; i < a->nr; i = next_page(a, i))
		cpu_looks(r, a, i);
	for (i = 0; i < a->nr; i = next_page(a, i))
		dev_looks(r, a, i, 0);
	for (i = 0; i < a->nr; i = next_page(a, i))
		if (a->rights[i] != WRITES)
			dev_writes(r, a, i, 0);
	check_stale(r);
}

/*
 * Device, CPU and model agree; nothing is written to a page that may be
 * written, because it is shared with somebody, say.
 */
void verify_reads(struct run *r, struct area *a)
{
	look(r, a, false);
}

/* ... and they see each other's writes from now on. */
void verify(struct run *r, struct area *a)
{
	size_t i;

	look(r, a, true);

	for (i = 0; i < a->nr; i = next_page(a, i))
		if (a->rights[i] == WRITES)
			dev_writes(r, a, i, 0);
	for (i = 0; i < a->nr; i = next_page(a, i))
		cpu_looks(r, a, i);
	for (i = 0; i < a->nr; i = next_page(a, i))
		if (a->rights[i] == WRITES)
			cpu_fill(r, a, i);
	for (i = 0; i < a->nr; i = next_page(a, i))
		dev_looks(r, a, i, MMU_MIRROR_NOFAULT);
	for (i = 0; i < a->nr; i = next_page(a, i))
		dev_looks(r, a, i, 0);
	check_stale(r);
}

/* ------------------------------------------------------------- priming */

/* All pages, and so many at a time */
static void dev_moves(struct run *r, struct area *a, bool write)
{
	static char chunk[CHUNK_PAGES << 16];
	size_t first, i, n;
	int err;

	for (first = 0; first < a->nr; first += n) {
		n = a->nr - first < CHUNK_PAGES ? a->nr - first : CHUNK_PAGES;
		for (i = 0; write && i < n; i++)
			fill(chunk + bytes_of(i), a->want[first + i]);
		if (write)
			err = mirror_try_write(&r->dev, page_of(a, first), chunk, bytes_of(n), 0);
		else
			err = mirror_try_read(&r->dev, page_of(a, first), chunk, bytes_of(n), 0);
		if (err)
			stop(r, "device cannot %s pages %zu to %zu: %s",
			     write ? "write" : "read", first, first + n - 1, strerror(-err));
		for (i = 0; !write && i < n; i++)
			hold_against(r, a, first + i, chunk + bytes_of(i), "device");
	}
}

/* The device has an SPTE for each page: something there to get wrong */
static void all_mapped(struct run *r, struct area *a, bool write)
{
	struct mmu_mirror_check check;
	unsigned int tries;

	for (tries = 0; tries < 20; tries++) {
		dev_moves(r, a, write);
		mirror_check(&r->dev, a->base, bytes_of(a->nr), &check);
		if (check.mapped == a->nr)
			return;
	}
	stop(r, "device holds %llu SPTEs of %zu pages",
	     check.mapped, a->nr);
}

/* Values are exchanged, and the device ends up with writable SPTEs. */
void prime(struct run *r, struct area *a)
{
	size_t i;

	for (i = 0; i < a->nr; i++)
		cpu_fill(r, a, i);
	all_mapped(r, a, false);
	for (i = 0; i < a->nr; i++)
		a->want[i] = new_value(r, i);
	all_mapped(r, a, true);
	for (i = 0; i < a->nr; i = next_page(a, i))
		cpu_looks(r, a, i);
}

/* The device ends up with what SPTEs reading makes; the model is there. */
void prime_reads(struct run *r, struct area *a)
{
	size_t i;

	for (i = 0; i < a->nr; i = next_page(a, i))
		cpu_looks(r, a, i);
	all_mapped(r, a, false);
}

/* All pages hold the same, for KSM */
void prime_same(struct run *r, struct area *a)
{
	__u64 value = new_value(r, 0);
	size_t i;

	for (i = 0; i < a->nr; i++) {
		a->want[i] = value;
		fill(page_of(a, i), value);
	}
	all_mapped(r, a, true);
	for (i = 0; i < a->nr; i = next_page(a, i))
		cpu_looks(r, a, i);
}

/* -------------------------------------------------------------- counters */

/* No range is in flight any more; whoever caused it may have to be waited for. */
void settle(struct run *r, struct mirror *dev)
{
	bool ends = mirror_has_ends(r->personality);
	struct mmu_mirror_counters c;

	within_ms(SETTLE_MS, (c = mirror_counters(dev),
			      !c.in_flight && (!ends || c.start == c.end + c.refused)));
	if (c.in_flight)
		fail(r, "%llu ranges remain in flight", c.in_flight);
	if (ends && c.start != c.end + c.refused)
		fail(r, "%llu starts, %llu refused, %llu ends", c.start,
		     c.refused, c.end);
	if (c.unbalanced)
		fail(r, "%llu callbacks out of order", c.unbalanced);
}

/* Wait until the engine, just started, has made an access. */
void engine_works(struct run *r)
{
	__u64 before = mirror_counters(&r->dev).engine;

	if (!within_ms(SETTLE_MS * 5, mirror_counters(&r->dev).engine > before))
		stop(r, "the engine does not work");
}

/* To the totals of the verdict */
void account(struct run *r, struct mirror *dev)
{
	struct mmu_mirror_counters c;

	if (mirror_try_counters(dev, &c, 0))
		return;
	r->v->callbacks += c.start;
	r->v->callbacks += c.folios;
	if (mirror_has_ends(r->personality))
		r->v->callbacks += c.release;
	r->v->dropped += c.dropped;
	r->v->accesses += c.accesses;
}

void op_begin(struct run *r)
{
	r->before = mirror_counters(&r->dev);
}

/*
 * Since op_begin() the device must have seen at least so many starts of that
 * kind, which dropped at least so many SPTEs.
 *
 * A registration ends with the first change of its page, so `regcache` is told
 * of each page once, by whichever range comes first: another kind of range,
 * perhaps, such as the split of a huge page before a part of it is unmapped.
 */
void op_end(struct run *r, enum mirror_event event, __u64 starts, __u64 dropped)
{
	struct mmu_mirror_counters c;
	__u64 seen, wanted = starts;

	settle(r, &r->dev);
	c = mirror_counters(&r->dev);
	if (r->personality == MMU_MIRROR_REGCACHE) {
		seen = c.start - r->before.start;
		if (wanted > dropped)
			wanted = dropped;
	} else {
		seen = c.events[event] - r->before.events[event];
	}
	if (seen < wanted)
		fail(r, "%llu starts of event %d, not %llu", seen, event, wanted);
	if (c.dropped - r->before.dropped < dropped)
		fail(r, "%llu SPTEs dropped, not %llu",
		     (c.dropped - r->before.dropped),
		     dropped);
	if (starts)
		r->v->claims++;
}

/* ----------------------------------------------------------------- twins */

void twin_fork(struct run *r, struct twin *t)
{
	must(r, !pipe(t->to));
	must(r, !pipe(t->from));
	t->pid = fork();
	must(r, t->pid >= 0);
	if (!t->pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* so that the death of one side ends the other's wait */
	close(t->pid ? t->to[0] : t->to[1]);
	close(t->pid ? t->from[1] : t->from[0]);
}

void twin_tell(struct run *r, struct twin *t, char word)
{
	must(r, write(t->pid ? t->to[1] : t->from[1], &word, 1) == 1);
}

char twin_hear(struct run *r, struct twin *t)
{
	char word;

	if (read(t->pid ? t->from[0] : t->to[0], &word, 1) != 1)
		stop(r, "the %s process is gone", t->pid ? "forked" : "forking");
	return word;
}

/* By the parent; the child has left, or leaves when its pipe breaks. */
void twin_end(struct run *r, struct twin *t)
{
	int status;

	close(t->to[1]);
	must(r, waitpid(t->pid, &status, 0) == t->pid);
	close(t->from[0]);
	if (status)
		stop(r, "the forked process ended with status %#x", status);
}

void helper_start(struct run *r, struct helper *h, void *(*work)(void *), void *arg)
{
	h->r = r;
	h->arg = arg;
	h->stop = false;
	h->count = 0;
	errno = pthread_create(&h->thread, NULL, work, h);
	must(r, !errno);
}

void helper_stop(struct helper *h)
{
	__atomic_store_n(&h->stop, true, __ATOMIC_RELEASE);
	pthread_join(h->thread, NULL);
}

static void *act_once(void *arg)
{
	struct helper *h = arg;
	struct action *action = h->arg;

	__atomic_store_n(&action->ready, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&action->go, __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&action->began_us, now_us(), __ATOMIC_RELEASE);
	action->act(h->r, action->a);
	action->ended_us = now_us();
	return NULL;
}

/*
 * Have a thread begin the operation with slow callbacks, and return when the
 * first of them runs, with the time at which the operation began. Without a
 * delay: at once.
 */
__u64 action_begin(struct run *r, struct action *action, struct mirror *watch,
		   unsigned int start_us, unsigned int end_us)
{
	struct mmu_mirror_counters before, now;
	unsigned int ms;

	action->ready = false;
	action->go = false;
	helper_start(r, &action->thread, act_once, action);
	while (!__atomic_load_n(&action->ready, __ATOMIC_ACQUIRE))
		sleep_ms(1);

	before = mirror_counters(watch);
	if (start_us || end_us)
		mirror_delay(watch, start_us, end_us);
	__atomic_store_n(&action->go, true, __ATOMIC_RELEASE);
	if (!start_us && !end_us)
		return 0;
	for (ms = 0; ms < 5000; ms++) {
		now = mirror_counters(watch);
		if (now.start != before.start)
			return __atomic_load_n(&action->began_us, __ATOMIC_ACQUIRE);
		usleep(200);
	}
	stop(r, "no callback came");
}

/* Wait for its end. The device's callbacks are fast again. */
void action_end(struct run *r, struct action *action)
{
	helper_stop(&action->thread);
	if (r->dev.fd >= 0)
		mirror_delay(&r->dev, 0, 0);
}

void act_dontneed(struct run *r, struct area *a)
{
	must(r, !madvise(a->base, bytes_of(a->nr), MADV_DONTNEED));
}

/* --------------------------------------------------------------- running */

static void run_here(struct run *r)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	signal(SIGPIPE, SIG_IGN);
	current_run = r;
	r->pid = getpid();
	mirror_die_hook = died;
	catch_faults();

	r->arena = mmap(NULL, ARENA_BYTES, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(r, r->arena != MAP_FAILED);
	r->cursor = r->arena;

	mirror_open(&r->dev);
	if (!(r->scn->flags & SCN_UNATTACHED))
		mirror_attach(&r->dev, r->personality, r->arena, ARENA_BYTES);

	r->scn->run(r);

	if (!(r->scn->flags & SCN_UNATTACHED)) {
		settle(r, &r->dev);
		check_stale(r);
		account(r, &r->dev);
		mirror_detach(&r->dev);
	}
	mirror_close(&r->dev);
	if (!r->v->claims)
		fail(r, "asked for no callback");
}

/* Returns true if it ended in time. A killed one may be stuck in the kernel. */
static bool wait_for(pid_t pid, unsigned int seconds, int *status)
{
	struct pollfd fd = { .events = POLLIN };
	bool ended = false;

	fd.fd = syscall(SYS_pidfd_open, pid, 0);
	if (fd.fd >= 0) {
		ended = poll(&fd, 1, seconds * 1000) == 1;
		close(fd.fd);
	}
	if (!ended) {
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		sleep_ms(500);
	}
	return waitpid(pid, status, ended ? 0 : WNOHANG) == pid && ended;
}

void scenario_run(const struct scenario *scn, unsigned int personality,
		  unsigned int effort, unsigned int seconds, struct verdict *v)
{
	struct run r = {
		.scn = scn,
		.id = scenario_number(scn),
		.personality = personality,
		.effort = effort,
		.dev.fd = -1,
	};
	__u64 began = now_us();
	int status = 0;
	pid_t pid;

	memset(v, 0, sizeof(*v));
	r.v = mmap(NULL, sizeof(*r.v), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r.v == MAP_FAILED) {
		v->outcome = OUTCOME_FAIL;
		snprintf(v->why, sizeof(v->why), "no memory for a verdict");
		return;
	}

	fflush(NULL);
	pid = fork();
	if (!pid) {
		run_here(&r);
		_exit(r.v->outcome == OUTCOME_FAIL);
	}
	if (pid < 0)
		fail(&r, "fork: %m");
	else if (!wait_for(pid, seconds, &status))
		fail(&r, "did not end within %u s", seconds);
	else if (status && r.v->outcome == OUTCOME_OK)
		fail(&r, "ended with status %#x", status);

	r.v->us = now_us() - began;
	*v = *r.v;
	munmap(r.v, sizeof(*r.v));
}
