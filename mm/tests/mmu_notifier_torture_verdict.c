// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: what was done, what went wrong, and what
 * had happened before that.
 *
 * The *history* is a ring of what happened last, of all threads. It stops with the
 * first failure, so that it can be printed whenever there is time.
 */

#include <linux/atomic.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/clock.h>
#include <linux/smp.h>

#include "mmu_notifier_torture.h"

static const struct {
	const char *name;
	const char *what;
} mmt_rules[MMT_NR_RULES] = {
	[MMT_R1_CHANGED] = { "R1-changed", "an entry changed while an SPTE of it existed" },
	[MMT_R1_UNTOLD] = { "R1-untold", "a subscription was not told of a range over it" },
	[MMT_R2_FREED] = { "R2-freed", "a page was freed while an SPTE reached it" },
	[MMT_R2_STALE] = { "R2-stale", "an SPTE was used whose page is gone" },
	[MMT_R2_LOST] = { "R2-lost", "what a device wrote was not marked in time" },
	[MMT_R3_COLLIDED] = { "R3-collided", "a reader that collided was not told to retry" },
	[MMT_R3_QUIET] = { "R3-quiet", "a reader whom nothing overlaps was told to retry" },
	[MMT_R4_FLUSHED] = { "R4-flushed", "a page was freed while a walker's TLB had it" },
	[MMT_R5_TWICE] = { "R5-twice", "a subscription was told a start twice" },
	[MMT_R5_END] = { "R5-end", "a subscription was told an end without a start" },
	[MMT_R5_OPEN] = { "R5-open", "a subscription was told a start and no end" },
	[MMT_R5_BORN] = { "R5-born", "registration returned within an older range" },
	[MMT_R5_SETTLED] = { "R5-settled", "told that it is settled within a range" },
	[MMT_R5_UNSETTLED] = { "R5-unsettled", "not told that it is settled" },
	[MMT_R6_LATE] = { "R6-late", "a callback after its subscription has ended" },
	[MMT_R6_KEPT] = { "R6-kept", "an SPTE was there after release" },
	[MMT_R6_RELEASE] = { "R6-release", "release was not called exactly once" },
	[MMT_R7_DELAYED] = { "R7-delayed", "a callback in one mm delayed another mm" },
	[MMT_R8_UNASKED] = { "R8-unasked", "told of a range that does not concern it" },
	[MMT_R9_INSERT] = { "R9-insert", "insertion waited" },
	[MMT_R9_WAIT] = { "R9-wait", "waited for a range that came later, or lies elsewhere" },
	[MMT_R9_HANG] = { "R9-hang", "a thread does not come round any more" },
	[MMT_R10_ERRNO] = { "R10-errno", "a start that must not sleep failed otherwise" },
	[MMT_R10_BLOCKS] = { "R10-blocks", "a callback was told that it may sleep, or not to" },
	[MMT_R10_ALLOCS] = { "R10-allocs", "who invalidates took memory" },
	[MMT_R11_ERRNO] = { "R11-errno", "registration or insertion failed otherwise" },
};

static const char * const mmt_ops[MMT_NR_OPS] = {
	[MMT_RANGES] = "ranges",
	[MMT_REFUSED] = "refused",
	[MMT_REGISTERED] = "registered",
	[MMT_SHARED] = "shared",
	[MMT_INSERTED] = "inserted",
	[MMT_ASYNC] = "async",
	[MMT_BATCHES] = "batches",
	[MMT_FILLED] = "filled",
	[MMT_RETRIED] = "retried",
	[MMT_USED] = "used",
	[MMT_WALKED] = "walked",
	[MMT_SETTLED] = "settled",
	[MMT_PROBES] = "probes",
	[MMT_EXITS] = "exits",
	[MMT_REAL] = "real",
	[MMT_ATTACHED] = "attached",
	[MMT_STALLS] = "stalls",
	[MMT_PRESSED] = "pressed",
	[MMT_NOMEM] = "nomem",
};

#define MMT_HISTORY	128
#define MMT_PRINTED	24	/* of the history */

/**
 * struct mmt_event - something that happened
 * @what: what.
 * @when: ns.
 * @who: the thread.
 * @cpu: where.
 * @space: in which space.
 * @a: first number.
 * @b: second number.
 */
struct mmt_event {
	const char *what;
	u64 when;
	pid_t who;
	int cpu;
	int space;
	unsigned long a;
	unsigned long b;
};

static struct mmt_event mmt_history[MMT_HISTORY];
static atomic_t mmt_next;
static atomic_t mmt_stopped;	/* the history; the rule of the first failure + 1 */
static atomic_t mmt_printed;

static atomic_long_t mmt_did_ops[MMT_NR_OPS];
static atomic_long_t mmt_failed[MMT_NR_RULES];

/**
 * mmt_did() - count something that was done
 * @op: what.
 */
void mmt_did(enum mmt_op op)
{
	atomic_long_inc(&mmt_did_ops[op]);
}

/**
 * mmt_note() - remember something for the history
 * @what: what happened; not copied.
 * @space: the number of the space.
 * @a: first number to be printed.
 * @b: second one.
 */
void mmt_note(const char *what, int space, unsigned long a, unsigned long b)
{
	struct mmt_event *event;

	if (atomic_read(&mmt_stopped))
		return;
	/* Who is overtaken by the whole ring spoils a line of it, no more. */
	event = &mmt_history[(unsigned int)atomic_inc_return(&mmt_next) % MMT_HISTORY];
	event->what = what;
	event->when = local_clock();
	event->who = current->pid;
	event->cpu = raw_smp_processor_id();
	event->space = space;
	event->a = a;
	event->b = b;
}

/**
 * mmt_fail() - count a failure
 * @rule: what did not hold.
 * @space: the number of the space.
 * @a: first number, as for mmt_note().
 * @b: second one.
 *
 * Context: any.
 */
void mmt_fail(enum mmt_rule rule, int space, unsigned long a, unsigned long b)
{
	mmt_note(mmt_rules[rule].name, space, a, b);
	atomic_long_inc(&mmt_failed[rule]);
	atomic_cmpxchg(&mmt_stopped, 0, rule + 1);
}

/**
 * mmt_failures() - how often did something not hold?
 * @rule: what.
 *
 * Return: the number.
 */
unsigned long mmt_failures(enum mmt_rule rule)
{
	return atomic_long_read(&mmt_failed[rule]);
}

/**
 * mmt_all_failures() - how often did anything not hold?
 *
 * Return: the number.
 */
unsigned long mmt_all_failures(void)
{
	unsigned long sum = 0;
	int i;

	for (i = 0; i < MMT_NR_RULES; i++)
		sum += mmt_failures(i);
	return sum;
}

/**
 * mmt_found() - has what is wrong been noticed?
 *
 * Return: true if the rule that the type breaks has noticed; with the correct type,
 * if any has.
 */
bool mmt_found(void)
{
	return mmt_type->trips == MMT_NR_RULES ? mmt_all_failures() :
						 mmt_failures(mmt_type->trips);
}

/**
 * mmt_rule_name() - the name of a rule
 * @rule: the rule.
 *
 * Return: the name, beginning with its R-number.
 */
const char *mmt_rule_name(enum mmt_rule rule)
{
	return mmt_rules[rule].name;
}

static void mmt_print_history(void)
{
	unsigned int last = atomic_read(&mmt_next), i;

	for (i = last - MMT_PRINTED; i != last + 1; i++) {
		const struct mmt_event *event = &mmt_history[i % MMT_HISTORY];

		if (event->what)
			pr_torture("!!! history: %llu us cpu %d task %d space %d: %s %#lx %#lx\n",
				   event->when / NSEC_PER_USEC, event->cpu,
				   event->who, event->space, event->what,
				   event->a, event->b);
	}
}

/**
 * mmt_print_first() - print the first failure and what came before it, once
 *
 * Context: one thread at a time.
 */
void mmt_print_first(void)
{
	int rule = atomic_read(&mmt_stopped) - 1;

	if (rule < 0 || atomic_xchg(&mmt_printed, 1))
		return;
	pr_torture("!!! %s: %s\n", mmt_rules[rule].name, mmt_rules[rule].what);
	mmt_print_history();
}

/**
 * mmt_print_stats() - print a line of what was done, and one of what went wrong
 *
 * Context: one thread at a time.
 */
void mmt_print_stats(void)
{
	unsigned long version = 0, did;
	char line[512];
	int i, n = 0;

	for (i = 0; i < MMT_NR_OPS; i++) {
		did = atomic_long_read(&mmt_did_ops[i]);
		version += did;
		n += scnprintf(line + n, sizeof(line) - n, " %s: %lu", mmt_ops[i], did);
	}
	pr_torture("ver: %lu failures: %lu%s\n", version, mmt_all_failures(), line);

	for (i = 0, n = 0; i < MMT_NR_RULES; i++)
		if (mmt_failures(i))
			n += scnprintf(line + n, sizeof(line) - n, " %s: %lu",
				       mmt_rules[i].name, mmt_failures(i));
	if (n)
		pr_torture("!!!%s\n", line);
	mmt_print_first();
}
