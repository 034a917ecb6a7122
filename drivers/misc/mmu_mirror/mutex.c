// SPDX-License-Identifier: GPL-2.0
/*
 * A mutex for a device lock, for personalities none of whose callbacks comes
 * under a spinlock. A callback that must not sleep tries to get it, and refuses
 * if it cannot.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/mutex.h>
#include <linux/sched.h>

#include "mmu_mirror.h"

/**
 * mirror_mutex_lock() - take the device lock
 * @m: the mirror.
 *
 * Context: may sleep.
 */
void mirror_mutex_lock(struct mirror *m)
{
	mutex_lock(&m->mutex);
}

/**
 * mirror_mutex_lock_nosleep() - take the device lock, if nobody has it
 * @m: the mirror.
 *
 * Return: true if it was taken.
 */
bool mirror_mutex_lock_nosleep(struct mirror *m)
{
	return mutex_trylock(&m->mutex);
}

/**
 * mirror_mutex_unlock() - release the device lock
 * @m: the mirror.
 */
void mirror_mutex_unlock(struct mirror *m)
{
	mutex_unlock(&m->mutex);
}

/**
 * mirror_mutex_relax() - let others have the CPU, if they want
 * @m: the mirror.
 *
 * The lock is kept: whoever wants it sleeps, and wastes no CPU by that.
 *
 * Context: device lock held; may sleep.
 */
void mirror_mutex_relax(struct mirror *m)
{
	cond_resched();
}
