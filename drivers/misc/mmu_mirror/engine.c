// SPDX-License-Identifier: GPL-2.0
/*
 * The engine: device accesses that no system call drives.
 *
 * A kernel thread picks pages of a range at random and accesses them through
 * SPTEs, faulting as needed, as a GPU runs a kernel or a NIC receives. It does
 * not belong to the process, so it goes on while the process exits: until the
 * mirror is no longer live, its SPTEs are used.
 *
 * Who waits for whom:
 *
 *	detach, close -> thread		mirror_engine_stop()
 *	thread -> mirror.use		never: it tries only
 *	thread -> mm			pinned while it faults, by mirror_pin_mm()
 *	release -> thread		never
 *
 * The first two: detach may hold mirror.use for writing and wait for the thread.
 * The last two: the thread may be the last to drop mm_users. It does so by
 * mirror_unpin_mm(), so that exit_mmap(), and with it the release callback, runs
 * elsewhere. The callback need not wait for the thread in any case, since every
 * access is made under the device lock, where the thread finds no SPTE any more.
 *
 * A fault of the thread's cannot be killed, so it must not wait for user space
 * or for long: see mirror_fault.engine. What fails is counted, and the thread
 * pauses a little; after a collision it comes back like any hardware.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/bitops.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/prandom.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

#include "mmu_mirror.h"

/* Leave some of the CPU to those who invalidate. */
#define ENGINE_BURST	64

/* Choose what to do, and where. */
static void mirror_engine_pick(struct mirror_engine *e, struct mirror_op *op)
{
	u32 flags = e->flags;
	u64 rnd;
	u32 bit;

	do {
		bit = BIT(prandom_u32_state(&e->rnd) % 3);
	} while (!(flags & bit));

	rnd = (u64)prandom_u32_state(&e->rnd) << 32 | prandom_u32_state(&e->rnd);
	div64_u64_rem(rnd, e->nr_pages, &rnd);
	op->addr = (e->first + rnd) << PAGE_SHIFT;
	op->kind = bit == MMU_MIRROR_ENGINE_READ ? MIRROR_OP_READ :
						   MIRROR_OP_ADD;
	op->value = bit == MMU_MIRROR_ENGINE_ADD;
	if (bit != MMU_MIRROR_ENGINE_ADD)
		op->addr += round_down(prandom_u32_state(&e->rnd) % PAGE_SIZE,
				       sizeof(u64));
}

/* Pin the mm while a fault is handled. */
static int mirror_engine_fault(struct mirror *m, const struct mirror_op *op)
{
	struct mirror_fault fault = {
		.addr = op->addr & PAGE_MASK,
		.write = op->kind != MIRROR_OP_READ,
		.engine = true,
	};
	int ret;

	if (!mirror_pin_mm(m))
		return -ESHUTDOWN;
	if (m->ops->walks)
		kthread_use_mm(m->mm);
	ret = mirror_fault(m, &fault);
	if (m->ops->walks)
		kthread_unuse_mm(m->mm);
	mirror_unpin_mm(m);
	return ret;
}

/* One access. 0, -EAGAIN if nothing could be said yet, or why it failed. */
static int mirror_engine_access(struct mirror *m, struct mirror_op *op)
{
	int ret;

	if (!down_read_trylock(&m->use))
		return -EAGAIN;

	ret = mirror_access_once(m, op);
	if (ret == -ENOENT) {
		ret = mirror_engine_fault(m, op);
		if (!ret)
			ret = mirror_access_once(m, op);
		/* Made, and dropped before it was used. */
		if (ret == -ENOENT)
			ret = -EAGAIN;
	}
	up_read(&m->use);
	return ret;
}

static int mirror_engine_main(void *data)
{
	struct mirror *m = data;
	struct mirror_engine *e = &m->engine;
	unsigned int burst = 0;
	u64 word;
	int ret;

	while (!kthread_should_stop() && READ_ONCE(m->live)) {
		struct mirror_op op = { .len = sizeof(word), .buf = &word };

		mirror_engine_pick(e, &op);
		ret = mirror_engine_access(m, &op);
		if (!ret) {
			WRITE_ONCE(e->done, e->done + 1);
			mirror_count(m, MIRROR_STAT_ENGINE);
		} else if (ret != -EAGAIN) {
			mirror_count(m, MIRROR_STAT_ENGINE_FAULTS);
		}
		if (ret || ++burst % ENGINE_BURST == 0)
			usleep_range(50, 200);
		cond_resched();
	}
	return 0;
}

/**
 * mirror_engine_stop() - wait until the engine does nothing any more
 * @m: the mirror.
 *
 * Context: may sleep; mirror.use held for writing, or nobody else has the mirror.
 *
 * Return: the accesses that it made since it was started.
 */
u64 mirror_engine_stop(struct mirror *m)
{
	struct mirror_engine *e = &m->engine;

	if (e->task) {
		kthread_stop_put(e->task);
		e->task = NULL;
	}
	return e->done;
}

static int mirror_engine_start(struct mirror *m, u32 flags,
			       unsigned long first, unsigned long last)
{
	struct mirror_engine *e = &m->engine;
	struct task_struct *task;

	if (e->task)
		return -EBUSY;
	if (mirror_should_fail(m))
		return -ENOMEM;

	e->flags = flags;
	e->first = first;
	e->nr_pages = last - first + 1;
	e->done = 0;
	prandom_seed_state(&e->rnd, get_random_u64());

	task = kthread_create(mirror_engine_main, m, "mmu_mirror/%d",
			      current->tgid);
	if (IS_ERR(task))
		return PTR_ERR(task);
	/* It ends by itself when the mm is released. */
	e->task = get_task_struct(task);
	wake_up_process(task);
	return 0;
}

/**
 * mirror_cmd_engine() - MMU_MIRROR_ENGINE
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_engine.
 *
 * Context: mirror.use held for writing.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_engine(struct mirror *m, void *argp)
{
	struct mmu_mirror_engine *args = argp;
	unsigned long first, last;
	int ret;

	args->done = 0;
	if (args->flags & ~(MMU_MIRROR_ENGINE_READ | MMU_MIRROR_ENGINE_WRITE |
			    MMU_MIRROR_ENGINE_ADD))
		return -EINVAL;
	if (!args->flags) {
		args->done = mirror_engine_stop(m);
		return 0;
	}

	ret = mirror_may_use(m);
	if (ret)
		return ret;
	ret = mirror_parse_range(m, args->start, args->length, &first, &last);
	if (ret)
		return ret;
	return mirror_engine_start(m, args->flags, first, last);
}
