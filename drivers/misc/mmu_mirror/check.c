// SPDX-License-Identifier: GPL-2.0
/*
 * MMU_MIRROR_CHECK: does the CPU's page table contradict any SPTE?
 *
 * The comparison is exact. It takes a subscription of its own, an interval over
 * the range that is checked, whatever the personality:
 *
 *	read_begin	no range that overlaps is in flight
 *	count		how many SPTEs were ever made
 *	snapshot	hmm_range_fault() without faulting
 *	device lock
 *	read_retry	no range that overlaps began since: if one did, again
 *	compare		SPTEs with snapshot
 *
 * Its invalidate takes the device lock, too, so a range that begins after the
 * retry check has to wait for the comparison before it may take anything from an
 * entry: whatever the snapshot says is there, is there still. And an SPTE that
 * is there was installed when nothing collided, and would have been dropped,
 * under the same lock, before its entry lost anything.
 *
 * But entries may *gain* without anybody being told: become present, or
 * writable. Hence a read-only SPTE with a writable entry is fine; and an SPTE
 * made since the snapshot may be better than the snapshot. So differences count
 * only if no SPTE was made meanwhile, else the chunk is done again: what is
 * really stale stays so. Then, every difference is somebody's fault.
 *
 * The table is compared in chunks, and parts without SPTEs are skipped. mmap_lock
 * is held around a chunk. After some collisions it is taken for writing, which
 * keeps out those who unmap or fault things in a loop. read_begin() may wait
 * under it: what it waits for is inside a range, where nobody takes mmap_lock.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/hmm.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "mmu_mirror.h"

#define CHECK_CHUNK	512

/* Collisions after which mmap_lock is taken for writing. */
#define CHECK_PATIENCE	8

/**
 * struct mirror_check - a check in progress
 * @sub: the subscription.
 * @m: the mirror.
 * @args: where the result goes.
 * @pfns: room for a chunk's snapshot.
 */
struct mirror_check {
	struct mmu_interval_notifier sub;
	struct mirror *m;
	struct mmu_mirror_check *args;
	unsigned long pfns[CHECK_CHUNK];
};

static bool check_invalidate(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	struct mirror_check *c = container_of(sub, struct mirror_check, sub);
	const struct mirror_personality *ops = c->m->ops;

	if (mmu_notifier_range_blockable(range))
		ops->lock(c->m);
	else if (!ops->lock_nosleep(c->m))
		return false;
	mmu_interval_set_seq(sub, cur_seq);
	ops->unlock(c->m);
	return true;
}

static const struct mmu_interval_notifier_ops check_notifier_ops = {
	.invalidate = check_invalidate,
};

static bool check_is_stale(const struct mirror_spte *spte,
			   unsigned long hmm_pfn)
{
	if (!(hmm_pfn & HMM_PFN_VALID))
		return true;
	if ((hmm_pfn & ~HMM_PFN_FLAGS) != spte->pfn)
		return true;
	return spte->writable && !(hmm_pfn & HMM_PFN_WRITE);
}

/*
 * Under the device lock, the snapshot being good, but for what it gained since
 * @installs. -EAGAIN if that may explain a difference.
 */
static int check_compare(struct mirror_check *c, unsigned long first,
			 unsigned long last, u64 installs)
{
	unsigned long index = first;
	unsigned long first_stale = 0;
	const struct mirror_personality *ops = c->m->ops;
	struct mirror_spte spte;
	u64 mapped = 0;
	u64 stale = 0;

	for (; mirror_table_find(c->m, &index, last, &spte); index++) {
		mapped++;
		if (!check_is_stale(&spte, c->pfns[index - first]))
			continue;
		if (ops->pending && ops->pending(c->m, spte.pfn))
			return -EAGAIN;
		if (!stale++)
			first_stale = index;
	}
	if (stale && c->m->nr_installs != installs)
		return -EAGAIN;

	if (stale && !c->args->stale)
		c->args->first_stale = (u64)first_stale << PAGE_SHIFT;
	c->args->mapped += mapped;
	c->args->stale += stale;
	return 0;
}

/* Under mmap_lock. -EAGAIN: collided. */
static int check_chunk_locked(struct mirror_check *c, unsigned long first,
			      unsigned long last)
{
	struct hmm_range range = {
		.notifier = &c->sub,
		.start = first << PAGE_SHIFT,
		.end = (last + 1) << PAGE_SHIFT,
		.hmm_pfns = c->pfns,
	};
	u64 installs;
	int ret;

	memset(c->pfns, 0, sizeof(c->pfns));
	range.notifier_seq = mmu_interval_read_begin(&c->sub);

	c->m->ops->lock(c->m);
	installs = c->m->nr_installs;
	c->m->ops->unlock(c->m);

	ret = hmm_range_fault(&range);
	if (ret == -EBUSY)
		return -EAGAIN;
	if (ret)
		return ret;

	c->m->ops->lock(c->m);
	if (mmu_interval_read_retry(&c->sub, range.notifier_seq))
		ret = -EAGAIN;
	else
		ret = check_compare(c, first, last, installs);
	c->m->ops->unlock(c->m);
	return ret;
}

static int check_chunk_once(struct mirror_check *c, unsigned long first,
			    unsigned long last, bool exclude)
{
	struct mm_struct *mm = c->m->mm;
	int ret;

	if (exclude)
		ret = mmap_write_lock_killable(mm);
	else
		ret = mmap_read_lock_killable(mm);
	if (ret)
		return -EINTR;

	ret = check_chunk_locked(c, first, last);

	if (exclude)
		mmap_write_unlock(mm);
	else
		mmap_read_unlock(mm);
	return ret;
}

static int check_chunk(struct mirror_check *c, unsigned long first,
		       unsigned long last)
{
	unsigned int tries = 0;
	int ret;

	do {
		cond_resched();
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = check_chunk_once(c, first, last,
				       tries++ >= CHECK_PATIENCE);
	} while (ret == -EAGAIN);
	return ret;
}

/* Move @index to the next SPTE. False if there is none. */
static bool check_next(struct mirror_check *c, unsigned long *index,
		       unsigned long last)
{
	struct mirror_spte spte;
	bool found;

	c->m->ops->lock(c->m);
	found = mirror_table_find(c->m, index, last, &spte);
	c->m->ops->unlock(c->m);
	return found;
}

static int check_range(struct mirror_check *c, unsigned long first,
		       unsigned long last)
{
	unsigned long index = first;
	unsigned long chunk_last;
	int ret;

	while (index <= last && check_next(c, &index, last)) {
		chunk_last = min(last, index + CHECK_CHUNK - 1);
		ret = check_chunk(c, index, chunk_last);
		if (ret)
			return ret;
		index = chunk_last + 1;
	}
	return 0;
}

/**
 * mirror_cmd_check() - MMU_MIRROR_CHECK
 * @m: the mirror.
 * @argp: the arguments, struct mmu_mirror_check.
 *
 * Context: mirror.use held for reading; the caller's mm is the mirror's.
 *
 * Return: 0 or an error.
 */
int mirror_cmd_check(struct mirror *m, void *argp)
{
	struct mmu_mirror_check *args = argp;
	unsigned long first, last;
	struct mirror_check *c;
	int ret;

	args->mapped = 0;
	args->stale = 0;
	args->first_stale = 0;
	if (args->flags)
		return -EINVAL;
	ret = mirror_parse_range(m, args->start, args->length, &first, &last);
	if (ret)
		return ret;

	if (mirror_should_fail(m))
		return -ENOMEM;
	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	c->m = m;
	c->args = args;
	if (!mirror_pin_mm(m)) {
		kfree(c);
		return -ESHUTDOWN;
	}

	ret = mmu_interval_notifier_insert(&c->sub, m->mm, first << PAGE_SHIFT,
					   (last - first + 1) << PAGE_SHIFT,
					   &check_notifier_ops);
	if (!ret) {
		ret = check_range(c, first, last);
		mmu_interval_notifier_remove(&c->sub);
	}
	mirror_unpin_mm(m);
	kfree(c);
	return ret;
}
