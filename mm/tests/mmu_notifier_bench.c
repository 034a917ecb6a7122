// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifiers: what the hooks and registration cost, in guest instructions.
 *
 * Runs at boot with mmu_notifier_bench.run=1 on the command line, and prints
 * one line for each case: "mmu_notifier_bench: CASE COUNT". Under QEMU's
 * "-icount shift=0" the time-stamp counter counts instructions, so COUNT is
 * exact and the same on every boot; elsewhere it is some number of cycles.
 *
 * Uses nothing but the API that stock 6.12 has too, so that scripts/bench.sh
 * can build the same file into both kernels.
 */

#include <linux/completion.h>
#include <linux/init.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_context.h>
#include <linux/mmu_notifier.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timex.h>
#include <linux/uaccess.h>

#define PAIRS		1000
#define MAX_LIST	64

static const unsigned long bench_vmas[] = { 10, 1000, 10000, 60000 };

static int bench_start(struct mmu_notifier *subscription,
		       const struct mmu_notifier_range *range)
{
	return 0;
}

static void bench_end(struct mmu_notifier *subscription,
		      const struct mmu_notifier_range *range)
{
}

static void bench_release(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
}

static const struct mmu_notifier_ops bench_ops = {
	.invalidate_range_start = bench_start,
	.invalidate_range_end = bench_end,
	.release = bench_release,
};

static const struct mmu_notifier_ops bench_release_only_ops = {
	.release = bench_release,
};

static bool bench_invalidate(struct mmu_interval_notifier *subscription,
			     const struct mmu_notifier_range *range,
			     unsigned long cur_seq)
{
	mmu_interval_set_seq(subscription, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops bench_interval_ops = {
	.invalidate = bench_invalidate,
};

static struct mmu_notifier bench_list[MAX_LIST];
static struct mmu_interval_notifier bench_interval;

static void bench_report(const char *what, unsigned long count)
{
	pr_info("mmu_notifier_bench: %s %lu\n", what, count);
}

/* One range of one page, PAIRS times; the cost of the loop is taken off. */
static void bench_pair(const char *what, struct mm_struct *mm)
{
	struct mmu_notifier_range range;
	cycles_t empty, full;
	int i;

	empty = get_cycles();
	for (i = 0; i < PAIRS; i++)
		barrier();
	empty = get_cycles() - empty;

	full = get_cycles();
	for (i = 0; i < PAIRS; i++) {
		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm,
					PAGE_SIZE, 2 * PAGE_SIZE);
		mmu_notifier_invalidate_range_start(&range);
		barrier();
		mmu_notifier_invalidate_range_end(&range);
	}
	full = get_cycles() - full;
	bench_report(what, (full - empty) / PAIRS);
}

static void bench_tlb(const char *what, struct mm_struct *mm)
{
	cycles_t empty, full;
	int i;

	empty = get_cycles();
	for (i = 0; i < PAIRS; i++)
		barrier();
	empty = get_cycles() - empty;

	full = get_cycles();
	for (i = 0; i < PAIRS; i++) {
		mmu_notifier_arch_invalidate_secondary_tlbs(mm, PAGE_SIZE,
							    2 * PAGE_SIZE);
		barrier();
	}
	full = get_cycles() - full;
	bench_report(what, (full - empty) / PAIRS);
}

static void bench_pairs(void)
{
	struct mm_struct *mm = mm_alloc();
	int i;

	if (!mm)
		return;

	bench_pair("pair/none", mm);
	bench_tlb("tlb/none", mm);

	bench_list[0].ops = &bench_release_only_ops;
	if (mmu_notifier_register(&bench_list[0], mm))
		goto out;
	bench_pair("pair/release-only", mm);
	mmu_notifier_unregister(&bench_list[0], mm);

	for (i = 0; i < MAX_LIST; i++) {
		bench_list[i].ops = &bench_ops;
		if (mmu_notifier_register(&bench_list[i], mm))
			goto out;
		if (i == 0) {
			bench_pair("pair/list-1", mm);
			bench_tlb("tlb/list-1", mm);
		}
		if (i == 7)
			bench_pair("pair/list-8", mm);
	}
	bench_pair("pair/list-64", mm);
	for (i = 1; i < MAX_LIST; i++)
		mmu_notifier_unregister(&bench_list[i], mm);

	if (mmu_interval_notifier_insert(&bench_interval, mm, 16 * PAGE_SIZE,
					 PAGE_SIZE, &bench_interval_ops))
		goto out;
	bench_pair("pair/list-1-interval-1", mm);
	mmu_interval_notifier_remove(&bench_interval);
	mmu_notifier_unregister(&bench_list[0], mm);
out:
	mmput(mm);

	mm = mm_alloc();
	if (!mm)
		return;
	if (mmu_interval_notifier_insert(&bench_interval, mm, 16 * PAGE_SIZE,
					 PAGE_SIZE, &bench_interval_ops))
		goto out_interval;
	bench_pair("pair/interval-1-beyond", mm);
	mmu_interval_notifier_remove(&bench_interval);

	if (mmu_interval_notifier_insert(&bench_interval, mm, 0, 16 * PAGE_SIZE,
					 &bench_interval_ops))
		goto out_interval;
	bench_pair("pair/interval-1-overlap-1", mm);
	mmu_interval_notifier_remove(&bench_interval);
out_interval:
	mmput(mm);
}

/* An mm with that many VMAs, neighbours differing so that they do not merge. */
static int bench_map(unsigned long nr)
{
	unsigned long addr, i;
	int ret;

	addr = vm_mmap(NULL, 0, nr * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	for (i = 0; i < nr; i++) {
		if (i & 1) {
			unsigned long other = vm_mmap(NULL, addr + i * PAGE_SIZE,
						      PAGE_SIZE, PROT_READ,
						      MAP_PRIVATE | MAP_FIXED |
						      MAP_ANONYMOUS, 0);

			if (IS_ERR_VALUE(other))
				return other;
			continue;
		}
		ret = put_user(1UL, (unsigned long __user *)(addr + i * PAGE_SIZE));
		if (ret)
			return ret;
	}
	return 0;
}

static void bench_register_one(unsigned long nr)
{
	struct mm_struct *mm = mm_alloc();
	char name[32];
	cycles_t before;
	int ret, i;

	if (!mm)
		return;
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	kthread_use_mm(mm);
	ret = bench_map(nr);
	kthread_unuse_mm(mm);
	if (ret) {
		pr_err("mmu_notifier_bench: cannot map %lu VMAs: %d\n", nr, ret);
		goto out;
	}
	memset(bench_list, 0, sizeof(bench_list));
	for (i = 0; i < 2; i++) {
		bench_list[i].ops = &bench_ops;
		/* What mapping has left to RCU would run while we wait. */
		rcu_barrier();
		schedule_timeout_uninterruptible(HZ);
		before = get_cycles();
		ret = mmu_notifier_register(&bench_list[i], mm);
		before = get_cycles() - before;
		if (ret) {
			pr_err("mmu_notifier_bench: cannot register: %d\n", ret);
			break;
		}
		snprintf(name, sizeof(name), "register/%lu-%s", nr,
			 i ? "second" : "first");
		bench_report(name, before);
	}
	while (i--)
		mmu_notifier_unregister(&bench_list[i], mm);
out:
	mmput(mm);
}

static DECLARE_COMPLETION(bench_done);

static int bench_thread(void *unused)
{
	int i;

	bench_pairs();
	for (i = 0; i < ARRAY_SIZE(bench_vmas); i++)
		bench_register_one(bench_vmas[i]);
	pr_info("mmu_notifier_bench: done\n");
	complete(&bench_done);
	return 0;
}

static bool bench_run;
module_param_named(run, bench_run, bool, 0444);
MODULE_PARM_DESC(run, "print instruction counts at boot (default: no)");

static int __init bench_init(void)
{
	struct task_struct *task;

	if (!bench_run)
		return 0;
	/* A thread, since it has to take on one mm after the other. */
	task = kthread_run(bench_thread, NULL, "mmu_notifier_bench");
	if (IS_ERR(task))
		return PTR_ERR(task);
	wait_for_completion(&bench_done);
	return 0;
}
late_initcall(bench_init);
