// SPDX-License-Identifier: GPL-2.0
/*
 * The torture test of the MMU notifiers: its types. All but one do one thing wrong,
 * so that it is known which rule notices. What they do stands where the correct
 * thing is done; mmt_breaks() finds it.
 */

#include <linux/printk.h>
#include <linux/string.h>

#include "mmu_notifier_torture.h"

static const struct mmt_type mmt_types[] = {
	{ "correct", MMT_NOTHING, MMT_NR_RULES,
	  "keeps all rules" },
	{ "busted-zap-first", MMT_ZAP_FIRST, MMT_R1_CHANGED,
	  "a caller changes entries before it starts the range" },
	{ "busted-early-map", MMT_EARLY_MAP, MMT_R1_UNTOLD,
	  "a subscriber uses pages before its registration has returned" },
	{ "busted-no-zap", MMT_NO_ZAP, MMT_R2_FREED,
	  "a subscriber that is told keeps its SPTEs" },
	{ "busted-no-dirty", MMT_NO_DIRTY, MMT_R2_LOST,
	  "a subscriber does not mark what it wrote" },
	{ "busted-real-no-zap", MMT_REAL_NO_ZAP, MMT_R2_STALE,
	  "a subscriber to real memory that is told keeps its SPTEs" },
	{ "busted-no-retry", MMT_NO_RETRY, MMT_R3_COLLIDED,
	  "a reader does not ask whether it collided" },
	{ "busted-no-sequence", MMT_NO_SEQUENCE, MMT_R3_COLLIDED,
	  "a callback does not store the sequence" },
	{ "busted-quiet-collides", MMT_QUIET_COLLIDES, MMT_R3_QUIET,
	  "a range elsewhere makes a reader retry" },
	{ "busted-no-flush", MMT_NO_FLUSH, MMT_R4_FLUSHED,
	  "a walker does not flush its TLB under the page-table lock" },
	{ "busted-start-twice", MMT_START_TWICE, MMT_R5_TWICE,
	  "a subscription is told the same start twice" },
	{ "busted-end-twice", MMT_END_TWICE, MMT_R5_END,
	  "a subscription is told the same end twice" },
	{ "busted-end-lost", MMT_END_LOST, MMT_R5_OPEN,
	  "a subscription misses an end now and then" },
	{ "busted-refusal-counted", MMT_REFUSAL_COUNTED, MMT_R5_OPEN,
	  "a subscriber counts a range that it has refused" },
	{ "busted-early-settled", MMT_EARLY_SETTLED, MMT_R5_SETTLED,
	  "a subscription is told that it is settled within a range" },
	{ "busted-settled-lost", MMT_SETTLED_LOST, MMT_R5_UNSETTLED,
	  "a subscription misses that it is settled now and then" },
	{ "busted-early-unregistered", MMT_EARLY_UNREGISTERED, MMT_R6_LATE,
	  "a subscriber takes itself for unregistered too early" },
	{ "busted-real-early-unregistered", MMT_REAL_EARLY_UNREGISTERED, MMT_R6_LATE,
	  "a subscriber to real memory takes itself for unregistered too early" },
	{ "busted-early-removed", MMT_EARLY_REMOVED, MMT_R6_LATE,
	  "a subscriber does not wait for its asynchronous removal" },
	{ "busted-release-keeps", MMT_RELEASE_KEEPS, MMT_R6_KEPT,
	  "a subscriber keeps its SPTEs when the mm is released" },
	{ "busted-release-twice", MMT_RELEASE_TWICE, MMT_R6_RELEASE,
	  "release is called twice" },
	{ "busted-one-lock", MMT_ONE_LOCK, MMT_R7_DELAYED,
	  "callbacks in all mms take the same lock" },
	{ "busted-wider", MMT_WIDER, MMT_R8_UNASKED,
	  "a subscription is told of its neighbours' ranges" },
	{ "busted-insert-waits", MMT_INSERT_WAITS, MMT_R9_INSERT,
	  "insertion waits for ranges in flight" },
	{ "busted-read-waits", MMT_READ_WAITS, MMT_R9_WAIT,
	  "a reader waits until nothing is in flight" },
	{ "busted-remove-waits", MMT_REMOVE_WAITS, MMT_R9_WAIT,
	  "removal waits until nothing is in flight" },
	{ "busted-hangs", MMT_HANGS, MMT_R9_HANG,
	  "a callback does not return" },
	{ "busted-other-errno", MMT_OTHER_ERRNO, MMT_R10_ERRNO,
	  "a start that must not sleep fails with -EBUSY" },
	{ "busted-blocks", MMT_BLOCKS, MMT_R10_BLOCKS,
	  "callbacks of a range that must not sleep are told that they may" },
	{ "busted-allocates", MMT_ALLOCATES, MMT_R10_ALLOCS,
	  "a callback takes memory" },
	{ "busted-register-errno", MMT_REGISTER_ERRNO, MMT_R11_ERRNO,
	  "registration fails with -EBUSY" },
};

const struct mmt_type *mmt_type = mmt_types;

/**
 * mmt_type_find() - the type of a name
 * @name: the name.
 *
 * Return: the type, or NULL.
 */
const struct mmt_type *mmt_type_find(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(mmt_types); i++)
		if (!strcmp(mmt_types[i].name, name))
			return &mmt_types[i];
	return NULL;
}

/**
 * mmt_type_list() - print all types, one in a line, and what each has to trip
 */
void mmt_type_list(void)
{
	const struct mmt_type *type;

	for (type = mmt_types; type < mmt_types + ARRAY_SIZE(mmt_types); type++)
		pr_torture("type %s trips %s: %s\n", type->name,
			   type->trips == MMT_NR_RULES ? "nothing" :
			   mmt_rule_name(type->trips), type->what);
}
