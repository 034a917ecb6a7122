/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of the MMU-notifier benchmark share.
 *
 * A *suite* measures one kind of thing and prints a line for each figure,
 * "mmu_notifier_bench: CASE FIGURE", the same case several times where it was
 * measured several times. It runs in a kernel thread of its own and needs no
 * process.
 *
 * Nothing but the API that stock 6.12 has too is used, so that the same files
 * can be built into both kernels.
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_BENCH_H
#define _MM_TESTS_MMU_NOTIFIER_BENCH_H

#include <linux/mmu_notifier.h>
#include <linux/types.h>

struct dentry;

/* How often a figure that is exact under -icount is taken */
#define MMU_BENCH_REPEATS	5

/* A range of @nr pages from page number @page on */
static inline void mmu_bench_range(struct mmu_notifier_range *range,
				   struct mm_struct *mm, unsigned long page,
				   unsigned long nr)
{
	mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, mm,
				page * PAGE_SIZE, (page + nr) * PAGE_SIZE);
}

/* mmu_notifier_bench.c */
extern const struct mmu_notifier_ops mmu_bench_list_ops;
extern const struct mmu_notifier_ops mmu_bench_release_ops;
extern const struct mmu_interval_notifier_ops mmu_bench_interval_ops;
void mmu_bench_report(const char *what, u64 figure);
struct mmu_interval_notifier *
mmu_bench_insert(struct mm_struct *mm, const unsigned int *pages,
		 unsigned int nr);
void mmu_bench_remove(struct mmu_interval_notifier *subs, unsigned int nr);
unsigned int *mmu_bench_pages(unsigned int nr, bool scattered);

/* The suites; each returns 0 or a negative errno. */
int mmu_bench_pair(void);	/* mmu_notifier_bench_pair.c */
int mmu_bench_change(void);	/* mmu_notifier_bench_change.c */
int mmu_bench_drain(void);
int mmu_bench_drain_us(void);
int mmu_bench_register(void);	/* mmu_notifier_bench_register.c */
int mmu_bench_memory(void);
int mmu_bench_wait(void);	/* mmu_notifier_bench_wait.c */

/* mmu_notifier_bench_self.c */
void mmu_bench_self_init(struct dentry *dir);

#endif /* _MM_TESTS_MMU_NOTIFIER_BENCH_H */
