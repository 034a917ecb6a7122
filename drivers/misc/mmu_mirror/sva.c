// SPDX-License-Identifier: GPL-2.0
/*
 * Personality `sva`: the secondary MMU of a device that shares the CPU's page
 * table, as one behind an IOMMU with PASID and page requests does.
 *
 * There is no page table of its own, only a TLB: a bounded number of SPTEs,
 * filled by walking the CPU's page table without its locks. So nothing has to be
 * told to such a device but what its TLB must forget, and when:
 *
 *	invalidate_range	entries were cleared and will be pointed elsewhere,
 *				or their pages freed: forget them now (R4)
 *	invalidate_range_end	entries have lost permissions, their pages stay:
 *				forget them by now
 *	start			nothing. Between start and end the device walks
 *				what the CPU walks, so no fault waits or begins
 *				again because of a range in flight
 *
 * What keeps the device from seeing a page that the CPU no longer has is the
 * device lock. It is held for the whole of a flush and the whole of a fill, that
 * is from walking the CPU's page table until the SPTE is in the TLB, and for
 * each access:
 *
 *	CPU, page-table lock held		device
 *
 *	clear the entry				lock (B)
 *	invalidate_range: lock (B)		walk, fill
 *		drop SPTEs			unlock (A)
 *		unlock (A)			lock (B)
 *	set the new entry			access through the SPTE
 *						unlock (A)
 *
 * Each unlock (A) pairs with the lock (B) that comes next:
 *
 *  - A fill before the flush: the flush finds the SPTE and drops it. Whatever was
 *    accessed through it, was so before the new entry is set, hence before any
 *    CPU can use the new page. A value written to the new page, and all that is
 *    written after it, is not seen by the device until its SPTE is gone: it can
 *    never see a later write to another page first. (See order.c.)
 *  - A fill after the flush: its walk sees the entry cleared, or what was set
 *    since. It does not see the old one.
 *
 * A walk needs that no page-table page is freed under it. It is made as
 * get_user_pages_fast() makes it, which is all that mm/ promises to be safe: in a
 * context whose current mm it is, with interrupts off. See kthread_use_mm() in
 * engine.c. mm_users is held by whoever faults.
 *
 * Accessed and dirty: hardware sets these bits in the CPU's entry, atomically.
 * This device does not write to an entry that it has not locked. It takes an
 * entry only if the bits are set already: accessed for anything, dirty for
 * writing. Otherwise it makes a page request, and the fault handler sets them,
 * as it does for CPUs that cannot. That is what R2 asks for: the dirty bit is in
 * the entry before the device can write, so whoever clears the entry finds it,
 * and a flush need not look at pages, which at the end of a range may be
 * somebody else's. Whoever makes a mapped page clean does so between start and
 * end, and reads it after the end: a device that goes on writing until then has
 * written before. The young callbacks drop SPTEs: the next access walks again,
 * and needs the accessed bit again.
 *
 * release drops everything and makes the mirror dead (R6), see spin.c.
 */
#define pr_fmt(fmt) "mmu_mirror: " fmt

#include <linux/irqflags.h>
#include <linux/kconfig.h>
#include <linux/limits.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#include "mmu_mirror.h"

static struct mirror *sva_mirror(struct mmu_notifier *sub)
{
	return container_of(sub, struct mirror, sva.sub);
}

/* Under the device lock. */
static void sva_drop(struct mirror *m, unsigned long start, unsigned long end,
		     bool may_sleep)
{
	mirror_check_subscribed(m);
	mirror_table_zap(m, &mirror_sva_ops, start >> PAGE_SHIFT,
			 (end - 1) >> PAGE_SHIFT, may_sleep);
}

static void sva_flush(struct mmu_notifier *sub, struct mm_struct *mm,
		      unsigned long start, unsigned long end)
{
	struct mirror *m = sva_mirror(sub);

	mirror_count(m, MIRROR_STAT_RANGES);
	if (!start && end == ULONG_MAX)
		mirror_count(m, MIRROR_STAT_WHOLE);

	spin_lock(&m->spin);	/* (B) */
	sva_drop(m, start, end, false);
	spin_unlock(&m->spin);	/* (A) */
}

/* There is nothing to do; it is to know how many there are, and to refuse. */
static int sva_start(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
	struct mirror *m = sva_mirror(sub);
	int ret;

	ret = mirror_spin_begin(m, range);
	if (ret)
		return ret;

	spin_lock(&m->spin);
	mirror_check_subscribed(m);
	WRITE_ONCE(m->sva.in_flight, m->sva.in_flight + 1);
	spin_unlock(&m->spin);
	return 0;
}

static void sva_end(struct mmu_notifier *sub,
		    const struct mmu_notifier_range *range)
{
	bool may_sleep = mmu_notifier_range_blockable(range);
	struct mirror *m = sva_mirror(sub);

	if (may_sleep) {
		mirror_delay(m, &m->inject.end_delay_us, range);
		mirror_hold(m, range);
	}

	spin_lock(&m->spin);	/* (B) */
	sva_drop(m, range->start, range->end, may_sleep);
	if (m->sva.in_flight)
		WRITE_ONCE(m->sva.in_flight, m->sva.in_flight - 1);
	else
		mirror_count(m, MIRROR_STAT_UNBALANCED);
	spin_unlock(&m->spin);	/* (A) */

	mirror_count(m, MIRROR_STAT_END);
}

static void sva_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	mirror_spin_release(sva_mirror(sub), &mirror_sva_ops);
}

/* The accessed bit is the CPU's entry's: the caller has looked at it. */
static int sva_clear_young(struct mmu_notifier *sub, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	struct mirror *m = sva_mirror(sub);

	spin_lock(&m->spin);
	sva_drop(m, start, end, false);
	spin_unlock(&m->spin);

	mirror_count(m, MIRROR_STAT_YOUNG);
	return 0;
}

static const struct mmu_notifier_ops sva_notifier_ops = {
	.release = sva_release,
	.clear_flush_young = sva_clear_young,
	.clear_young = sva_clear_young,
	.invalidate_range_start = sva_start,
	.invalidate_range_end = sva_end,
	.invalidate_range = sva_flush,
};

static int sva_subscribe(struct mirror *m, unsigned long start,
			 unsigned long length)
{
	/* Where the bits of an entry are the same on all levels, see sva_take(). */
	if (!IS_ENABLED(CONFIG_X86_64) && !IS_ENABLED(CONFIG_ARM64))
		return -EOPNOTSUPP;

	memset(&m->sva, 0, sizeof(m->sva));
	m->sva.sub.ops = &sva_notifier_ops;
	return mmu_notifier_register(&m->sva.sub, m->mm);
}

static int sva_move(struct mirror *m, unsigned long start, unsigned long length)
{
	/* The subscription is to all of the mm. */
	return 0;
}

static void sva_unsubscribe(struct mirror *m)
{
	mmu_notifier_unregister(&m->sva.sub, m->mm);
}

/*
 * Take an entry found in the page table, if it allows what the fault asks for.
 * -ENOENT: it does not, and a page request may help. -EFAULT: none will.
 */
static int sva_take(struct mirror_fault *fault, pte_t pte, unsigned long pfn)
{
	bool writable = pte_write(pte) && pte_dirty(pte);

	if (!pte_access_permitted(pte, fault->write) || !pte_young(pte) ||
	    (fault->write && !writable))
		return -ENOENT;
	/* What is no ordinary memory may need more than an entry to stay. */
	if (pte_devmap(pte) || (pte_special(pte) && !is_zero_pfn(pfn)) ||
	    !pfn_valid(pfn))
		return -EFAULT;

	fault->pfn = pfn;
	fault->writable = writable;
	return 0;
}

/* An entry of a higher level, with the offset of the page within. */
static int sva_take_huge(struct mirror_fault *fault, unsigned long entry,
			 unsigned long pfn, unsigned long size)
{
	return sva_take(fault, __pte(entry),
			pfn + ((fault->addr & (size - 1)) >> PAGE_SHIFT));
}

static int sva_walk_ptes(struct mirror_fault *fault, pmd_t pmd)
{
	pte_t pte = ptep_get_lockless(pte_offset_kernel(&pmd, fault->addr));

	if (!pte_present(pte))
		return -ENOENT;
	return sva_take(fault, pte, pte_pfn(pte));
}

static int sva_walk_pmds(struct mirror_fault *fault, pud_t *pudp, pud_t pud)
{
	pmd_t pmd = pmdp_get_lockless(pmd_offset_lockless(pudp, pud,
							  fault->addr));

	if (!pmd_present(pmd))
		return -ENOENT;
	if (pmd_leaf(pmd))
		return sva_take_huge(fault, pmd_val(pmd), pmd_pfn(pmd),
				     PMD_SIZE);
	if (pmd_bad(pmd))
		return -ENOENT;
	return sva_walk_ptes(fault, pmd);
}

static int sva_walk_puds(struct mirror_fault *fault, p4d_t *p4dp, p4d_t p4d)
{
	pud_t *pudp = pud_offset_lockless(p4dp, p4d, fault->addr);
	pud_t pud = READ_ONCE(*pudp);

	if (!pud_present(pud))
		return -ENOENT;
	if (pud_leaf(pud))
		return sva_take_huge(fault, pud_val(pud), pud_pfn(pud),
				     PUD_SIZE);
	if (pud_bad(pud))
		return -ENOENT;
	return sva_walk_pmds(fault, pudp, pud);
}

/*
 * Walk the page table as it is now. The fault's @pfn and @writable are good for
 * as long as the device lock is held. 0, or as sva_take().
 */
static int sva_walk(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long flags;
	int ret = -ENOENT;
	p4d_t *p4dp, p4d;
	pgd_t *pgdp, pgd;

	lockdep_assert_held(&m->spin);
	if (WARN_ON_ONCE(current->mm != m->mm))
		return -EFAULT;

	local_irq_save(flags);
	pgdp = pgd_offset(m->mm, fault->addr);
	pgd = READ_ONCE(*pgdp);
	if (pgd_none(pgd) || pgd_bad(pgd))
		goto out;
	p4dp = p4d_offset_lockless(pgdp, pgd, fault->addr);
	p4d = READ_ONCE(*p4dp);
	if (p4d_none(p4d) || p4d_bad(p4d))
		goto out;
	ret = sva_walk_puds(fault, p4dp, p4d);
out:
	local_irq_restore(flags);
	return ret;
}

/* Whoever cannot be killed does not wait for user space or a disk. */
static int sva_request_nowait(struct mirror_fault *fault,
			      struct vm_area_struct *vma, unsigned int flags)
{
	vm_fault_t ret;

	if (fault->write && !(vma->vm_flags & VM_WRITE))
		return -EFAULT;
	ret = handle_mm_fault(vma, fault->addr,
			      flags | FAULT_FLAG_ALLOW_RETRY |
			      FAULT_FLAG_RETRY_NOWAIT, NULL);
	if (ret & VM_FAULT_ERROR)
		return vm_fault_to_errno(ret, 0);
	return ret & VM_FAULT_RETRY ? -EAGAIN : 0;
}

/* Under mmap_lock. */
static int sva_request_locked(struct mirror *m, struct mirror_fault *fault)
{
	unsigned int flags = fault->write ? FAULT_FLAG_WRITE : 0;
	struct vm_area_struct *vma;
	bool unlocked = false;

	/* A device's write access implies read access. */
	vma = vma_lookup(m->mm, fault->addr);
	if (!vma || !(vma->vm_flags & VM_READ) ||
	    (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		return -EFAULT;
	if (fault->engine)
		return sva_request_nowait(fault, vma, flags);
	return fixup_user_fault(m->mm, fault->addr, flags, &unlocked);
}

/*
 * Where CPUs set the accessed bit, the fault handler leaves it to them if the
 * entry is there and only read. So have this one set it. If the page has gone
 * meanwhile, the device will ask again.
 */
static void sva_touch(unsigned long addr)
{
	char byte;

	copy_from_user_nofault(&byte, (const char __user *)addr, sizeof(byte));
}

/*
 * A page request: have the CPU's fault handler make an entry with the bits that
 * the device needs. No page reference is taken, not for a moment.
 */
static int sva_request(struct mirror *m, struct mirror_fault *fault)
{
	int ret;

	if (mirror_should_fail(m))
		return -ENOMEM;
	if (mmap_read_lock_killable(m->mm))
		return -EINTR;
	ret = sva_request_locked(m, fault);
	mmap_read_unlock(m->mm);
	if (!ret && !fault->write)
		sva_touch(fault->addr);

	/* A page that is broken, say, is as good as none. */
	if (ret && ret != -ENOMEM && ret != -EINTR && ret != -EAGAIN)
		return -EFAULT;
	return ret;
}

static int sva_translate(struct mirror *m, struct mirror_fault *fault)
{
	int ret;

	spin_lock(&m->spin);
	ret = sva_walk(m, fault);
	spin_unlock(&m->spin);
	if (ret != -ENOENT)
		return ret;
	return sva_request(m, fault);
}

/* A full TLB loses its SPTEs in turn, one for each new one. */
static void sva_make_room(struct mirror *m, unsigned long index)
{
	unsigned long victim = index;
	struct mirror_spte spte;

	if (m->nr_mapped < MMU_MIRROR_SVA_ENTRIES ||
	    mirror_table_find(m, &victim, index, &spte))
		return;

	victim = m->sva.hand;
	if (!mirror_table_find(m, &victim, ULONG_MAX, &spte)) {
		victim = 0;
		mirror_table_find(m, &victim, ULONG_MAX, &spte);
	}
	mirror_table_evict(m, victim, victim, false);
	m->sva.hand = victim + 1;
}

/*
 * Nothing can have collided that this walk does not see. What the fault handler
 * has made may be gone again, however.
 */
static int sva_install(struct mirror *m, struct mirror_fault *fault)
{
	unsigned long index = fault->addr >> PAGE_SHIFT;

	if (sva_walk(m, fault))
		return -EAGAIN;
	sva_make_room(m, index);
	return mirror_table_install(m, index, fault->pfn, fault->writable);
}

const struct mirror_personality mirror_sva_ops = {
	.lock = mirror_spin_lock,
	.lock_nosleep = mirror_spin_lock_nosleep,
	.unlock = mirror_spin_unlock,
	.relax = mirror_spin_relax,
	.subscribe = sva_subscribe,
	.move = sva_move,
	.unsubscribe = sva_unsubscribe,
	.translate = sva_translate,
	.install = sva_install,
	.cpu_dirty = true,
	.walks = true,
};
