// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `svm`: the secondary MMU of a device with shared virtual memory.
 *
 * One interval subscription over the window. The device lock is a mutex. The
 * core keeps the sequence; hmm_range_fault() translates, and takes no page
 * reference:
 *
 *	invalidate	under the lock: set the sequence, drop the SPTEs; begin
 *			to flush the device's TLB
 *	finish		wait for that, when all devices have begun
 *	fault		mmu_interval_read_begin(), hmm_range_fault(); under the
 *			lock mmu_interval_read_retry(), else install (R3)
 *
 * invalidate must not sleep if the range says so. Then it tries to get the
 * lock, and answers false if it cannot; nothing has happened in that case (R5).
 *
 * An SPTE is writable if the CPU's entry is, also after a fault for reading. So
 * the device may write through an entry that is clean, and it is for the device
 * to see to it that the data is not lost (R2, see table.c).
 *
 * There is no release callback. The core sends an invalidation with the event
 * MMU_NOTIFY_RELEASE instead, after which the mirror is dead (R6).
 *
 * When the window moves, the new subscription is inserted before the old one is
 * removed, so that there always is one if inserting fails. Between the two
 * invalidate may run for either.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/bitops.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched.h>

#include "mmu_mirror.h"

static struct mmu_interval_notifier *svm_sub(struct mirror *m)
{
	return &m->svm.subs[m->svm.now];
}

/* Drop what the range covers, under the device lock. */
static void svm_invalidate_locked(struct mirror *m,
				  struct mmu_interval_notifier *sub,
				  const struct mmu_notifier_range *range,
				  unsigned long cur_seq)
{
	mmu_interval_set_seq(sub, cur_seq);
	mirror_check_subscribed(m);
	if (range->event == MMU_NOTIFY_RELEASE) {
		WRITE_ONCE(m->live, false);
		mirror_count(m, MIRROR_STAT_RELEASE);
	}

	mirror_table_zap(m, &mirror_svm_ops, range->start >> PAGE_SHIFT,
			 (range->end - 1) >> PAGE_SHIFT,
			 mmu_notifier_range_blockable(range));
}

/* Find room for a flush; NULL if too many are in progress. */
static struct mirror_flush *svm_get_flush(struct mirror *m)
{
	unsigned int nr;

	for (nr = 0; nr < MIRROR_NR_FLUSHES; nr++) {
		if (!test_and_set_bit_lock(nr, &m->svm.flushing)) {
			m->svm.flushes[nr].m = m;
			m->svm.flushes[nr].nr = nr;
			return &m->svm.flushes[nr];
		}
	}
	return NULL;
}

/* The device forgets what its TLB holds, which it is told to and takes time. */
static void svm_begin_flush(struct mirror *m, u32 us,
			    struct mmu_interval_notifier_finish **finish)
{
	struct mirror_flush *flush = svm_get_flush(m);

	if (flush) {
		flush->until = ktime_add_us(ktime_get(), us);
		*finish = &flush->finish;
	} else {
		mirror_sleep(us);
		mirror_count(m, MIRROR_STAT_FLUSHES);
	}
}

static void svm_finish_flush(struct mmu_interval_notifier_finish *finish)
{
	struct mirror_flush *flush =
		container_of(finish, struct mirror_flush, finish);
	s64 us = ktime_us_delta(flush->until, ktime_get());
	struct mirror *m = flush->m;

	if (us > 0)
		mirror_sleep(us);
	mirror_count(m, MIRROR_STAT_FLUSHES);
	clear_bit_unlock(flush->nr, &m->svm.flushing);
}

static bool svm_invalidate(struct mirror *m, struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq,
			   struct mmu_interval_notifier_finish **finish)
{
	u32 flush_us = READ_ONCE(m->inject.flush_us);

	mirror_count_invalidation(m, range);
	if (mmu_notifier_range_blockable(range)) {
		mirror_delay(m, &m->inject.start_delay_us, range);
		mirror_mutex_lock(m);
	} else if (mirror_should_refuse(m) || flush_us ||
		   !mirror_mutex_lock_nosleep(m)) {
		mirror_count(m, MIRROR_STAT_REFUSED);
		return false;
	}
	svm_invalidate_locked(m, sub, range, cur_seq);
	mirror_mutex_unlock(m);
	if (flush_us)
		svm_begin_flush(m, flush_us, finish);
	return true;
}

static bool svm_invalidate_0(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq,
			     struct mmu_interval_notifier_finish **finish)
{
	return svm_invalidate(container_of(sub, struct mirror, svm.subs[0]),
			      sub, range, cur_seq, finish);
}

static bool svm_invalidate_1(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq,
			     struct mmu_interval_notifier_finish **finish)
{
	return svm_invalidate(container_of(sub, struct mirror, svm.subs[1]),
			      sub, range, cur_seq, finish);
}

static const struct mmu_interval_notifier_ops svm_notifier_ops[] = {
	{
		.invalidate_start = svm_invalidate_0,
		.invalidate_finish = svm_finish_flush,
	},
	{
		.invalidate_start = svm_invalidate_1,
		.invalidate_finish = svm_finish_flush,
	},
};

static int svm_insert(struct mirror *m, unsigned int which,
		      unsigned long start, unsigned long length)
{
	struct mmu_interval_notifier *sub = &m->svm.subs[which];

	memset(sub, 0, sizeof(*sub));
	return mmu_interval_notifier_insert(sub, m->mm, start, length,
					    &svm_notifier_ops[which]);
}

static int svm_subscribe(struct mirror *m, unsigned long start,
			 unsigned long length)
{
	m->svm.now = 0;
	return svm_insert(m, 0, start, length);
}

static int svm_move(struct mirror *m, unsigned long start,
		    unsigned long length)
{
	unsigned int old = m->svm.now;
	int ret;

	ret = svm_insert(m, !old, start, length);
	if (ret)
		return ret;
	m->svm.now = !old;
	mmu_interval_notifier_remove(&m->svm.subs[old]);
	return 0;
}

static void svm_unsubscribe(struct mirror *m)
{
	mmu_interval_notifier_remove(svm_sub(m));
}

/**
 * mirror_hmm_translate() - find out where a page is, by hmm_range_fault()
 * @m: the mirror.
 * @sub: an inserted subscription that covers the page.
 * @fault: the fault.
 *
 * Context: may sleep; mirror.use held for reading, mm_users of the mm held.
 *
 * Return: as &mirror_personality.translate. fault->seq is what
 * mmu_interval_read_retry() is to be asked about.
 */
int mirror_hmm_translate(struct mirror *m, struct mmu_interval_notifier *sub,
			 struct mirror_fault *fault)
{
	unsigned long hmm_pfn = 0;
	struct hmm_range range = {
		.notifier = sub,
		.start = fault->addr,
		.end = fault->addr + PAGE_SIZE,
		.hmm_pfns = &hmm_pfn,
		.default_flags = HMM_PFN_REQ_FAULT,
	};
	int ret;

	if (fault->write)
		range.default_flags |= HMM_PFN_REQ_WRITE;
	if (mirror_should_fail(m))
		return -ENOMEM;

	range.notifier_seq = mmu_interval_read_begin(range.notifier);
	fault->seq = range.notifier_seq;

	if (mmap_read_lock_killable(m->mm))
		return -EINTR;
	ret = hmm_range_fault(&range);
	mmap_read_unlock(m->mm);

	if (ret == -EBUSY)
		return -EAGAIN;
	if (ret == -ENOMEM)
		return ret;
	if (ret)
		return fatal_signal_pending(current) ? -EINTR : -EFAULT;

	/* A huge mapping is mapped page by page, as the device needs it. */
	fault->pfn = hmm_pfn & ~HMM_PFN_FLAGS;
	fault->writable = hmm_pfn & HMM_PFN_WRITE;
	return 0;
}

static int svm_translate(struct mirror *m, struct mirror_fault *fault)
{
	return mirror_hmm_translate(m, svm_sub(m), fault);
}

static bool svm_collided(struct mirror *m, const struct mirror_fault *fault)
{
	return mmu_interval_read_retry(svm_sub(m), fault->seq);
}

const struct mirror_personality mirror_svm_ops = {
	.lock = mirror_mutex_lock,
	.lock_nosleep = mirror_mutex_lock_nosleep,
	.unlock = mirror_mutex_unlock,
	.relax = mirror_mutex_relax,
	.subscribe = svm_subscribe,
	.move = svm_move,
	.unsubscribe = svm_unsubscribe,
	.translate = svm_translate,
	.collided = svm_collided,
};
