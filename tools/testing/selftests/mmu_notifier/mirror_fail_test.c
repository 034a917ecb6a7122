// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/mmu_mirror when there is no memory, and when what it is given cannot be read or
 * written: each command, open() and mmap(), for each personality that knows it. With
 * them registration and insertion, the first of a process and later ones.
 *
 * The first, second, third .. allocation or copy in a call fails (fault_lib.h), each in
 * a process of its own. A call that fails says ENOMEM or EFAULT, and the same call
 * succeeds when nothing fails. It may have been done all the same if only its answer
 * could not be written; then the second call may say so. A call that succeeds has done
 * what it should: afterwards the device sees what the CPU sees (coherent.h).
 *
 * Then each failure is repeated in a cgroup, which has to be empty of memory of the
 * kernel when the processes in it have ended: no subscription, table, registration or
 * address space (mm_struct) is forgotten.
 */
#include "../kselftest_harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "coherent.h"
#include "fault_lib.h"
#include "mirror_lib.h"
#include "sysmm.h"

#define PAGES		4
#define KEYS		40	/* so many that the index needs new nodes */
#define ROUNDS		300
#define CHILDREN	20	/* for an address space is forgotten once in a process only */
#define TRIES		4
#define LEAK_BYTES	14000	/* 300 times 64 bytes are more, and so are 20 mm_structs */

struct ctx {
	unsigned int personality;
	struct mirror m;		/* that the call is about */
	struct mirror beside;		/* an exporter, or an earlier subscription */
	struct mirror beside2;
	char *memory;
	char *map;
	size_t bytes;
	__u64 keys[KEYS];
	unsigned int nr_keys;
	__u64 word;
	bool attached;			/* m is, to memory */
};

struct call {
	const char *name;
	unsigned int personality;
	const char *(*prepare)(struct ctx *c);
	int (*run)(struct ctx *c);	/* what is swept: 0 or -errno */
	const char *(*check)(struct ctx *c);	/* after it succeeded */
	void (*undo)(struct ctx *c);	/* for the next round, after it succeeded */
	bool long_one;			/* takes too long to be repeated */
	int again;			/* what it may say if it was done, and said EFAULT */
};

/* ------------------------------------------------------------ preparation */

static const char *nothing(struct ctx *c)
{
	return NULL;
}

static const char *opened(struct ctx *c)
{
	return mirror_try_open(&c->m) ? "open fails" : NULL;
}

static int attach(struct ctx *c, struct mirror *m, unsigned int personality)
{
	return mirror_try_attach(m, personality, c->memory, c->bytes);
}

static const char *attached(struct ctx *c)
{
	const char *why = opened(c);

	if (!why && attach(c, &c->m, c->personality))
		why = "ATTACH fails";
	c->attached = !why;
	return why;
}

static const char *warm(struct ctx *c)
{
	static char buf[PAGES << 12];
	const char *why = attached(c);

	if (!why && mirror_try_read(&c->m, c->memory, buf, c->bytes, 0))
		why = "READ fails";
	return why;
}

/* Others have both halves of the core switched on. */
static const char *others_attached(struct ctx *c)
{
	if (mirror_try_open(&c->beside) || mirror_try_open(&c->beside2) ||
	    attach(c, &c->beside, MMU_MIRROR_SHADOW) || attach(c, &c->beside2, MMU_MIRROR_SVM))
		return "another device cannot be attached";
	return opened(c);
}

static const char *exported(struct ctx *c)
{
	if (mirror_try_open(&c->beside) || attach(c, &c->beside, MMU_MIRROR_EXPORT))
		return "an exporter cannot be attached";
	return opened(c);
}

static const char *imported(struct ctx *c)
{
	const char *why = exported(c);

	if (!why && mirror_try_import(&c->m, &c->beside))
		why = "IMPORT fails";
	c->attached = !why;
	return why;
}

/* Another process exports, for an importer cannot map its own memory. */
static const char *imported_from_child(struct ctx *c)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (mirror_try_open(&c->beside) || pipe(ready))
		return "open fails";
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!attach(c, &c->beside, MMU_MIRROR_EXPORT))
			(void)!write(ready[1], "", 1);
		pause();
		_exit(0);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &byte, 1) != 1)
		return "an exporter cannot be attached";
	close(ready[0]);
	if (opened(c) || mirror_try_import(&c->m, &c->beside))
		return "IMPORT fails";
	return NULL;
}

static const char *mapped(struct ctx *c)
{
	const char *why = imported_from_child(c);

	if (why)
		return why;
	c->map = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->m.fd, 0);
	return c->map == MAP_FAILED ? "mmap fails" : NULL;
}

static int run_register(struct ctx *c)
{
	int err = 0;

	/* what there is already is kept: it is the rest that has to succeed then */
	while (c->nr_keys < KEYS && !err) {
		err = mirror_try_register(&c->m, c->memory + c->nr_keys % PAGES * page_size,
					  page_size, 0, &c->keys[c->nr_keys]);
		c->nr_keys += !err;
	}
	return err;
}

static int run_register_one(struct ctx *c)
{
	int err;

	if (c->nr_keys)
		return 0;
	err = mirror_try_register(&c->m, c->memory, page_size, 0, &c->keys[0]);
	c->nr_keys = !err;
	return err;
}

static const char *with_keys(struct ctx *c)
{
	const char *why = attached(c);

	return why ?: run_register(c) ? "REGISTER fails" : NULL;
}

static const char *running(struct ctx *c)
{
	const char *why = warm(c);

	if (!why && mirror_try_engine(&c->m, MMU_MIRROR_ENGINE_READ, NULL, 0, NULL))
		why = "ENGINE fails";
	return why;
}

/* ------------------------------------------------------------------ calls */

static int run_open(struct ctx *c)
{
	return mirror_try_open(&c->m);
}

static int run_attach(struct ctx *c)
{
	int err = attach(c, &c->m, c->personality);

	c->attached |= !err;
	return err;
}

static int run_import(struct ctx *c)
{
	int err = mirror_try_import(&c->m, &c->beside);

	c->attached |= !err || err == -EBUSY;
	return err;
}

static int run_detach(struct ctx *c)
{
	int err = mirror_try_detach(&c->m, NULL);

	c->attached &= err && err != -ENXIO;
	return err;
}

static int run_window(struct ctx *c)
{
	return mirror_try_window(&c->m, c->memory, c->bytes);
}

static int run_read(struct ctx *c)
{
	static char buf[PAGES << 12];

	return mirror_try_read(&c->m, c->memory, buf, c->bytes, 0);
}

static int run_write(struct ctx *c)
{
	static char buf[PAGES << 12] = { 1 };

	return mirror_try_write(&c->m, c->memory, buf, c->bytes, 0);
}

static int run_add(struct ctx *c)
{
	__u64 old;

	return mirror_try_add(&c->m, c->memory, 1, &old, 0);
}

static int run_counters(struct ctx *c)
{
	struct mmu_mirror_counters counters;

	return mirror_try_counters(&c->m, &counters, 0);
}

static int run_check(struct ctx *c)
{
	struct mmu_mirror_check check;

	return mirror_try_check(&c->m, NULL, 0, &check);
}

static int run_inject(struct ctx *c)
{
	struct mmu_mirror_inject inject = { };

	return mirror_try_inject(&c->m, &inject);
}

static int run_engine(struct ctx *c)
{
	return mirror_try_engine(&c->m, MMU_MIRROR_ENGINE_READ, NULL, 0, NULL);
}

static int run_engine_stop(struct ctx *c)
{
	return mirror_try_engine(&c->m, 0, NULL, 0, NULL);
}

static int run_deregister(struct ctx *c)
{
	return mirror_try_deregister(&c->m, c->keys[0]);
}

static int run_key_read(struct ctx *c)
{
	return mirror_try_key_read(&c->m, c->keys[0], c->memory, &c->word, sizeof(c->word), 0);
}

/* The key allows reading only: an error of its own, which is expected. */
static int run_key_write(struct ctx *c)
{
	int err = mirror_try_key_write(&c->m, c->keys[0], c->memory, &c->word, sizeof(c->word), 0);

	return err == -EACCES ? 0 : err ?: -EUCLEAN;
}

static int run_keys(struct ctx *c)
{
	struct mmu_mirror_keys keys;

	return mirror_try_keys(&c->m, &keys);
}

static int run_order(struct ctx *c)
{
	struct mmu_mirror_order order = { };

	return mirror_try_order(&c->m, (__u64 *)c->memory, (__u64 *)(c->memory + page_size),
				&order);
}

static int run_hold(struct ctx *c)
{
	__u64 held = 0;
	int err = mirror_try_hold(&c->m, 1, &held);

	return err == -ETIMEDOUT ? 0 : err ?: -EUCLEAN;
}

static int run_mmap(struct ctx *c)
{
	void *map = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->m.fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	c->map = map;
	return 0;
}

static sigjmp_buf on_signal;

static void caught(int sig)
{
	siglongjmp(on_signal, sig);
}

/* A page fault for want of memory is tried again, or is a SIGBUS. */
static int run_touch(struct ctx *c)
{
	if (sigsetjmp(on_signal, 1))
		return -ENOMEM;
	*(volatile __u64 *)c->map = 5;
	return 0;
}

static const char *check_open(struct ctx *c)
{
	return attach(c, &c->m, MMU_MIRROR_SHADOW) ? "ATTACH fails" :
	       mirror_coherent(&c->m, c->memory, PAGES);
}

/* A registration that nobody knows of cannot be given back. */
static const char *check_keys(struct ctx *c)
{
	struct mmu_mirror_keys keys;

	if (mirror_try_keys(&c->m, &keys))
		return "KEYS fails";
	return keys.valid == c->nr_keys ? NULL : "there are keys that nobody has";
}

static const char *check_engine(struct ctx *c)
{
	__u64 done = 0;

	within_ms(3000, mirror_counters(&c->m).engine);
	if (mirror_try_engine(&c->m, 0, NULL, 0, &done))
		return "it cannot be stopped";
	return done ? NULL : "it does nothing";
}

static const char *check_touch(struct ctx *c)
{
	__u64 word = 0;

	if (mirror_try_read(&c->m, c->memory, &word, sizeof(word), 0) || word != 5)
		return "what is written to the mapping is not in the exporter's memory";
	return NULL;
}

static void undo_open(struct ctx *c)
{
	mirror_close(&c->m);
}

static void undo_attach(struct ctx *c)
{
	mirror_try_detach(&c->m, NULL);
	c->attached = false;
}

static void undo_detach(struct ctx *c)
{
	attach(c, &c->m, c->personality);
	c->attached = true;
}

static void undo_register(struct ctx *c)
{
	while (c->nr_keys)
		mirror_try_deregister(&c->m, c->keys[--c->nr_keys]);
}

static void undo_deregister(struct ctx *c)
{
	mirror_try_register(&c->m, c->memory, page_size, 0, &c->keys[0]);
}

static void undo_faults(struct ctx *c)
{
	madvise(c->memory, c->bytes, MADV_DONTNEED);
}

static void undo_engine(struct ctx *c)
{
	mirror_try_engine(&c->m, 0, NULL, 0, NULL);
}

static void undo_engine_stop(struct ctx *c)
{
	mirror_try_engine(&c->m, MMU_MIRROR_ENGINE_READ, NULL, 0, NULL);
}

static void undo_mmap(struct ctx *c)
{
	munmap(c->map, c->bytes);
}

/* -------------------------------------------------------------- the sweep */

static const char *begin(struct ctx *c, const struct call *call)
{
	*c = (struct ctx){
		.personality = call->personality,
		.m.fd = -1,
		.beside.fd = -1,
		.beside2.fd = -1,
		.bytes = PAGES * page_size,
	};
	c->memory = mmap(NULL, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (c->memory == MAP_FAILED)
		return "mmap fails";
	memset(c->memory, 1, c->bytes);
	if (!fault_open())
		return "cannot open fail-nth";
	/* whatever waits for ever is a failure, too */
	alarm(60);
	return call->prepare(c);
}

static const char *works(struct ctx *c, const struct call *call)
{
	const char *why = call->check ? call->check(c) : NULL;

	if (!why && c->attached)
		why = mirror_coherent(&c->m, c->memory, PAGES);
	return why;
}

/* In a process of its own */
static int try_point(const void *what, unsigned int nth)
{
	const struct call *call = what;
	struct ctx c;
	const char *why = begin(&c, call);
	int ret = 0, again;
	bool failed;

	signal(SIGBUS, caught);
	if (why)
		goto wrong;
	fault_arm(nth);
	ret = call->run(&c);
	failed = fault_disarm();
	if (!ret) {
		why = works(&c, call);
		if (why)
			goto wrong;
		return failed ? FAULT_SURVIVED : FAULT_NO_MORE;
	}
	if (!failed)
		why = "fails though nothing failed in it";
	else if (ret != -ENOMEM && ret != -EFAULT)
		why = "fails with another error than ENOMEM and EFAULT";
	if (why)
		goto wrong;
	again = call->run(&c);
	if (again && !(ret == -EFAULT && again == call->again))
		why = "does not succeed afterwards";
	why = why ?: works(&c, call);
	if (!why)
		return ret == -EFAULT ? FAULT_EFAULT : FAULT_ENOMEM;
wrong:
	printf("# %s, point %u (%s): %s\n", call->name, nth, strerror(-ret), why);
	return FAULT_WRONG;
}

/* In how many processes? */
static unsigned int children_for(const struct call *call)
{
	return call->run == run_attach || call->run == run_import || call->run == run_open ?
	       CHILDREN : 1;
}

/* kmemleak needs no more than one, and is slow. */
static unsigned int rounds(void)
{
	return memory_is_recorded() ? CHILDREN : ROUNDS;
}

/* Point @nth again and again */
static int repeat_in_one(const void *what, unsigned int nth)
{
	const struct call *call = what;
	struct ctx c;
	const char *why = begin(&c, call);
	unsigned int i;
	int ret;

	signal(SIGBUS, caught);
	for (i = 0; i < rounds() / children_for(call) && !why; i++) {
		fault_arm(nth);
		ret = call->run(&c);
		fault_disarm();
		/* what was done all the same, and what was done half */
		if (call->undo && (!ret || ret == -EFAULT || c.nr_keys))
			call->undo(&c);
	}
	if (why)
		printf("# %s, point %u: %s\n", call->name, nth, why);
	return why ? FAULT_WRONG : FAULT_NO_MORE;
}

/* The same, of processes whose address space is charged to a cgroup, too: its child's */
static int cgroup_procs = -1;

static int repeat(const void *what, unsigned int nth)
{
	const struct call *call = what;
	int result = FAULT_NO_MORE;
	unsigned int i;

	if (write(cgroup_procs, "0", 1) != 1)
		return FAULT_WRONG;
	for (i = 0; i < children_for(call) && result == FAULT_NO_MORE; i++)
		result = fault_in_child(repeat_in_one, call, call->name, nth);
	return result;
}

#define P(_name, _personality, _prepare, _what, ...) \
	{ .name = _name, .personality = MMU_MIRROR_##_personality, .prepare = _prepare, \
	  .run = run_##_what, ##__VA_ARGS__ }

#define ATTACH(_name, _personality) \
	P("ATTACH " _name ", the first subscription", _personality, opened, attach, \
	  .undo = undo_attach), \
	P("ATTACH " _name ", a later one", _personality, others_attached, attach, \
	  .undo = undo_attach)

#define ACCESS(_name, _personality) \
	P("READ, " _name, _personality, attached, read, .undo = undo_faults), \
	P("WRITE, " _name, _personality, attached, write, .undo = undo_faults), \
	P("ADD, " _name, _personality, attached, add, .undo = undo_faults), \
	P("WINDOW, " _name, _personality, warm, window), \
	P("CHECK, " _name, _personality, warm, check), \
	P("ORDER, " _name, _personality, attached, order, .undo = undo_faults), \
	P("ENGINE, " _name, _personality, warm, engine, .check = check_engine, \
	  .undo = undo_engine, .again = -EBUSY), \
	P("DETACH, " _name, _personality, warm, detach, .undo = undo_detach, .again = -ENXIO)

/* By group, each of which is a variant of the test */
static const struct call for_all[] = {
	P("open", SHADOW, nothing, open, .check = check_open, .undo = undo_open),
	P("COUNTERS", SHADOW, warm, counters),
	P("INJECT", SHADOW, warm, inject),
	P("ENGINE, stop", SHADOW, running, engine_stop, .undo = undo_engine_stop),
	P("KEYS", REGCACHE, with_keys, keys),
	P("HOLD", SVA, warm, hold),
	{ }
};

static const struct call for_shadow[] = {
	ATTACH("shadow", SHADOW), ACCESS("shadow", SHADOW), { }
};

static const struct call for_svm[] = {
	ATTACH("svm", SVM), ACCESS("svm", SVM), { }
};

static const struct call for_sva[] = {
	ATTACH("sva", SVA), ACCESS("sva", SVA), { }
};

static const struct call for_export[] = {
	ATTACH("export", EXPORT), ACCESS("export", EXPORT),
	P("IMPORT", EXPORT, exported, import, .undo = undo_attach, .again = -EBUSY),
	P("READ by an importer", EXPORT, imported, read, .undo = undo_faults),
	P("WRITE by an importer", EXPORT, imported, write, .undo = undo_faults),
	P("mmap by an importer", EXPORT, imported_from_child, mmap, .undo = undo_mmap),
	P("store to an importer's mapping", EXPORT, mapped, touch, .check = check_touch),
	{ }
};

static const struct call for_regcache[] = {
	ATTACH("regcache", REGCACHE), ACCESS("regcache", REGCACHE),
	P("REGISTER", REGCACHE, attached, register_one, .check = check_keys,
	  .undo = undo_register),
	P("REGISTER, many", REGCACHE, attached, register, .check = check_keys,
	  .undo = undo_register, .long_one = true),
	P("DEREGISTER", REGCACHE, with_keys, deregister, .undo = undo_deregister),
	P("KEY_READ", REGCACHE, with_keys, key_read),
	P("KEY_WRITE", REGCACHE, with_keys, key_write),
	{ }
};

FIXTURE(fail) {
};

FIXTURE_VARIANT(fail) {
	const struct call *calls;
};

#define GROUP(_name) \
	FIXTURE_VARIANT_ADD(fail, _name) { .calls = for_##_name }

GROUP(all);
GROUP(shadow);
GROUP(svm);
GROUP(sva);
GROUP(export);
GROUP(regcache);

FIXTURE_SETUP(fail)
{
	const char *why = fault_need();

	if (access(MMU_MIRROR_PATH, F_OK))
		SKIP(return, "no " MMU_MIRROR_PATH);
	if (why)
		SKIP(return, "%s", why);
	sysmm_init();
	if (variant->calls == for_sva) {
		struct mirror m;
		char *page = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		mirror_open(&m);
		if (mirror_try_attach(&m, MMU_MIRROR_SVA, page, page_size) == -EOPNOTSUPP)
			SKIP(return, "sva is not for this architecture");
		mirror_close(&m);
	}
}

FIXTURE_TEARDOWN(fail)
{
}

TEST_F_TIMEOUT(fail, nothing_is_wrong, 300)
{
	const struct call *call;
	struct fault_sweep s;

	for (call = variant->calls; call->name; call++) {
		ASSERT_TRUE(fault_sweep(try_point, call, call->name, &s)) {
			TH_LOG("%s: the sweep does not end", call->name);
		}
		TH_LOG("%s: %u hits, ENOMEM from %u, EFAULT from %u, done all the same at %u",
		       call->name, s.hits, s.enomem, s.efault, s.survived);
		EXPECT_EQ(s.wrong, 0u);
		EXPECT_GT(s.hits, 0u);
	}
}

/* What the kernel has of a point that was repeated; negative if that did not come to its end */
static __s64 left_by(const struct call *call, unsigned int nth)
{
	static unsigned int nr;
	char group[64];
	int result;
	__s64 left;

	snprintf(group, sizeof(group), "fault.%d.%u", getpid(), nr++);
	cgroup_procs = cgroup_make(group);
	if (cgroup_procs < 0)
		return cgroup_procs;
	result = fault_in_child(repeat, call, call->name, nth);
	close(cgroup_procs);
	left = cgroup_left_behind(group, LEAK_BYTES);
	return result == FAULT_NO_MORE ? left : -1;
}

TEST_F_TIMEOUT(fail, nothing_adds_up, 600)
{
	const struct call *call;
	struct fault_sweep s;
	unsigned int nth, i;
	__s64 left;

	if (need_cgroup())
		SKIP(return, "%s", need_cgroup());
	for (call = variant->calls; call->name; call++) {
		if (call->long_one)
			continue;
		ASSERT_TRUE(fault_sweep(try_point, call, call->name, &s));
		for (nth = 1; nth <= s.points; nth++) {
			/*
			 * What is lost is lost each time. An object that somebody else
			 * keeps for longer is not, but keeps what was charged with it.
			 */
			for (i = 0, left = LEAK_BYTES + 1; i < TRIES && left > LEAK_BYTES; i++)
				left = left_by(call, nth);
			ASSERT_GE(left, 0);
			EXPECT_LE(left, LEAK_BYTES) {
				TH_LOG("%s, point %u: %lld bytes are left after %u times",
				       call->name, nth, left, rounds());
			}
		}
		TH_LOG("%s: %u points, %u times each", call->name, s.points, rounds());
	}
}

TEST_HARNESS_MAIN
