/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The torture test of the MMU notifiers: what subscriptions of both kinds do.
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_TORTURE_SUBS_H
#define _MM_TESTS_MMU_NOTIFIER_TORTURE_SUBS_H

#include <linux/mutex.h>

#include "mmu_notifier_torture.h"

/* What busted-one-lock takes in all callbacks. */
extern struct mutex mmt_one_lock;

static inline struct mmt_range *
mmt_to_range(const struct mmu_notifier_range *range)
{
	return range->owner;
}

void mmt_enter(struct mmt_sub *sub);
void mmt_leave(struct mmt_sub *sub);
void mmt_begin(struct mmt_sub *sub, unsigned int first, unsigned int last);
void mmt_live(struct mmt_sub *sub);
void mmt_dying(struct mmt_sub *sub);
void mmt_ended(struct mmt_sub *sub);
void mmt_mood(struct mmt_sub *sub, bool blockable);
bool mmt_refuses(bool blockable);
void mmt_fill_pause(void);
void mmt_fill(struct mmt_sub *sub, unsigned int page, struct mmt_page *to,
	      unsigned int version);

#endif /* _MM_TESTS_MMU_NOTIFIER_TORTURE_SUBS_H */
