// SPDX-License-Identifier: GPL-2.0
/*
 * MMU_MIRROR_ORDER: does the device see two words change in the right order?
 *
 * Somebody writes ever larger numbers to word A, and each of them to word B
 * after that. The device reads B and then A, so it must never find A behind B,
 * whatever becomes of the pages meanwhile:
 *
 *	CPU			device
 *
 *	A = n			b = B
 *	release			(A) device unlock, device lock
 *	B = n			a = A		must hold: a >= b
 *
 * It would find it behind if its translation of A's page outlived the moment at
 * which the CPU's entry was pointed to a new page: then B's number can be a new
 * one, and A's is still what the old page holds.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/align.h>
#include <linux/ktime.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/time64.h>

#include "mmu_mirror.h"

/* Nobody can be made to wait for longer. */
#define ORDER_MAX_US	(10 * USEC_PER_SEC)

/* Read the words once. */
static int order_look(struct mirror *m, struct mmu_mirror_order *args)
{
	int ret;

	ret = mirror_load_word(m, args->second, &args->seen_second);
	if (ret)
		return ret;
	ret = mirror_load_word(m, args->first, &args->seen_first);
	if (ret)
		return ret;

	args->looks++;
	if (args->seen_first < args->seen_second)
		args->violations++;
	return 0;
}

/**
 * mirror_cmd_order() - MMU_MIRROR_ORDER
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_order.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_order(struct mirror *m, void *argp)
{
	struct mmu_mirror_order *args = argp;
	ktime_t until;
	int ret;

	args->seen_first = 0;
	args->seen_second = 0;
	args->looks = 0;
	args->violations = 0;
	if (args->flags || args->timeout_us > ORDER_MAX_US ||
	    !IS_ALIGNED(args->first | args->second, sizeof(u64)))
		return -EINVAL;

	until = ktime_add_us(ktime_get(), args->timeout_us);
	for (;;) {
		ret = order_look(m, args);
		if (ret || args->seen_second >= args->value)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (ktime_after(ktime_get(), until))
			return -ETIMEDOUT;
		cond_resched();
	}
}
