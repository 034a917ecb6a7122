// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the check of coverage (R1): each way to change an entry, at each
 * level of the page table, with and without a range.
 *
 * The entries are variables, of a page frame that does not exist, and the address
 * space is empty: the hooks are told mm, address and entries, and go by nothing
 * else. Reports are counted instead of printed.
 */

#include <kunit/test.h>
#include <linux/bits.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>
#include <linux/sizes.h>
#include <linux/swapops.h>

#include "mmu_notifier_kunit.h"

/* Any address that all levels are aligned to; and a frame beyond all memory. */
#define ADDR	(2 * PUD_SIZE)
#define PFN	BIT(39)
#define OTHER	(PFN + BIT(20))

/**
 * struct coverage - what a case works with
 * @m: the address space.
 * @list: its subscription.
 * @vma: stands for a VMA of @m.
 */
struct coverage {
	struct mnk_mm *m;
	struct mnk_list *list;
	struct vm_area_struct vma;
};

static struct mm_struct *mm_of(struct coverage *c)
{
	return c->m->mm;
}

/*
 * Changes that are violations without a range
 */

static pte_t pte_of(unsigned long pfn, pgprot_t prot)
{
	return pfn_pte(pfn, prot);
}

static pmd_t pmd_of(unsigned long pfn, pgprot_t prot)
{
	return pmd_mkhuge(pfn_pmd(pfn, prot));
}

static pud_t pud_of(unsigned long pfn, pgprot_t prot)
{
	return pud_mkhuge(pfn_pud(pfn, prot));
}

static void clear_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	ptep_get_and_clear(mm_of(c), ADDR, &pte);
}

static void clear_pte_full(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	ptep_get_and_clear_full(mm_of(c), ADDR, &pte, 1);
}

static void clear_pte_without_rights(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_NONE);

	ptep_clear(mm_of(c), ADDR, &pte);
}

static void swap_pte_out(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	set_pte_at(mm_of(c), ADDR, &pte, swp_entry_to_pte(swp_entry(0, 1)));
}

static void replace_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(OTHER, PAGE_SHARED));
}

static void replace_pte_by_access_flags(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	ptep_set_access_flags(&c->vma, ADDR, &pte, pte_of(OTHER, PAGE_SHARED),
			      1);
}

static void wrprotect_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	ptep_set_wrprotect(mm_of(c), ADDR, &pte);
}

static void set_pte_readonly(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(PFN, PAGE_READONLY));
}

static void set_pte_none(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(PFN, PAGE_NONE));
}

static void clear_pmd(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_SHARED);

	pmdp_huge_get_and_clear(mm_of(c), ADDR, &pmd);
}

static void replace_pmd(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_READONLY);

	set_pmd_at(mm_of(c), ADDR, &pmd, pmd_of(OTHER, PAGE_READONLY));
}

static void wrprotect_pmd(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_SHARED);

	pmdp_set_wrprotect(mm_of(c), ADDR, &pmd);
}

static void invalidate_pmd(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_READONLY);

	pmdp_establish(&c->vma, ADDR, &pmd, pmd_mkinvalid(pmd));
}

static void replace_pmd_by_access_flags(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_READONLY);

	pmdp_set_access_flags(&c->vma, ADDR, &pmd, pmd_of(OTHER, PAGE_SHARED),
			      1);
}

static void clear_pud(struct coverage *c)
{
	pud_t pud = pud_of(PFN, PAGE_SHARED);

	pudp_huge_get_and_clear(mm_of(c), ADDR, &pud);
}

static void replace_pud(struct coverage *c)
{
	pud_t pud = pud_of(PFN, PAGE_READONLY);

	set_pud_at(mm_of(c), ADDR, &pud, pud_of(OTHER, PAGE_READONLY));
}

static void set_pud_readonly(struct coverage *c)
{
	pud_t pud = pud_of(PFN, PAGE_SHARED);

	set_pud_at(mm_of(c), ADDR, &pud, pud_of(PFN, PAGE_READONLY));
}

static void take_table(struct coverage *c)
{
	mmu_notifier_check_table(mm_of(c), ADDR, PUD_SIZE);
}

struct change {
	const char *name;
	void (*fn)(struct coverage *c);
	unsigned long size;
};

static const struct change changes[] = {
	{ "PTE cleared", clear_pte, PAGE_SIZE },
	{ "PTE cleared, whole address space", clear_pte_full, PAGE_SIZE },
	{ "PTE without rights cleared", clear_pte_without_rights, PAGE_SIZE },
	{ "PTE becomes a swap entry", swap_pte_out, PAGE_SIZE },
	{ "PTE replaced", replace_pte, PAGE_SIZE },
	{ "PTE replaced by access flags", replace_pte_by_access_flags, PAGE_SIZE },
	{ "PTE write-protected", wrprotect_pte, PAGE_SIZE },
	{ "PTE set read-only", set_pte_readonly, PAGE_SIZE },
	{ "PTE loses all rights", set_pte_none, PAGE_SIZE },
	{ "PMD cleared", clear_pmd, PMD_SIZE },
	{ "PMD replaced", replace_pmd, PMD_SIZE },
	{ "PMD write-protected", wrprotect_pmd, PMD_SIZE },
	{ "PMD invalidated", invalidate_pmd, PMD_SIZE },
	{ "PMD replaced by access flags", replace_pmd_by_access_flags, PMD_SIZE },
	{ "PUD cleared", clear_pud, PUD_SIZE },
	{ "PUD replaced", replace_pud, PUD_SIZE },
	{ "PUD set read-only", set_pud_readonly, PUD_SIZE },
	{ "table taken away", take_table, PUD_SIZE },
};

KUNIT_ARRAY_PARAM_DESC(changes, changes, name);

/* Those that a range can cover in part. */
static const void *large_changes_gen_params(const void *prev, char *desc)
{
	const struct change *change = prev;

	do {
		change = changes_gen_params(change, desc);
	} while (change && change->size == PAGE_SIZE);
	return change;
}

/* Make the change, and say how many reports that gave. */
static unsigned int reports(struct coverage *c, const struct change *change)
{
	change->fn(c);
	return mnk_reported(MMU_REPORT_COVERAGE);
}

static void change_without_a_range_is_reported(struct kunit *test)
{
	struct coverage *c = test->priv;

	KUNIT_EXPECT_EQ(test, reports(c, test->param_value), 1U);
}

static void change_within_a_range_is_not(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct coverage *c = test->priv;
	struct mnk_range *range;

	range = mnk_range_open(test, c->m, ADDR, ADDR + change->size);
	KUNIT_EXPECT_EQ(test, reports(c, change), 0U);
	mnk_range_close(range);
	/* It is over with the range. */
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
}

static void change_beside_a_range_is_reported(struct kunit *test)
{
	const struct change *change = test->param_value;
	unsigned long end = ADDR + change->size;
	struct coverage *c = test->priv;
	struct mnk_range *range;

	range = mnk_range_open(test, c->m, ADDR - SZ_1M, ADDR);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_range_close(range);
	range = mnk_range_open(test, c->m, end, end + SZ_1M);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_range_close(range);
}

static void change_partly_in_a_range_is_reported(struct kunit *test)
{
	const struct change *change = test->param_value;
	unsigned long end = ADDR + change->size;
	struct coverage *c = test->priv;
	struct mnk_range *range;

	range = mnk_range_open(test, c->m, ADDR, end - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_range_close(range);
	range = mnk_range_open(test, c->m, ADDR + PAGE_SIZE, end);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_range_close(range);
}

static void range_of_another_mm_does_not_count(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct mnk_mm *other = mnk_mm(test);
	struct coverage *c = test->priv;
	struct mnk_range *range;

	MNK_ASSERT_RUNS(test, mnk_register,
			mnk_list(test, other, &mnk_range_ops));
	range = mnk_range_open(test, other, ADDR, ADDR + change->size);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_range_close(range);
}

static void range_of_another_task_does_not_count(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct coverage *c = test->priv;
	struct mnk_range *range;
	struct mnk_task *task;

	range = mnk_range(test, c->m, ADDR, ADDR + change->size);
	range->hold = mnk_gate(test);
	task = mnk_start(test, mnk_fly, range);
	KUNIT_ASSERT_TRUE(test, mnk_reached(range->hold));
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mnk_open(range->hold);
	MNK_ASSERT_ENDS(test, task, 0);
}

static void exempt_change_is_not_reported(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct coverage *c = test->priv;

	mmu_notifier_exempt_begin(mm_of(c), ADDR, ADDR + change->size,
				  MMU_EXEMPT_DETACHED);
	KUNIT_EXPECT_EQ(test, reports(c, change), 0U);
	mmu_notifier_exempt_end(mm_of(c));
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);

	mmu_notifier_exempt_begin(mm_of(c), ADDR + change->size,
				  ADDR + 2 * change->size, MMU_EXEMPT_DETACHED);
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);
	mmu_notifier_exempt_end(mm_of(c));
}

static void change_matters_to_subscribers_only(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct coverage *c = test->priv;
	struct mnk_mm *m = c->m;

	c->m = mnk_mm(test);
	c->vma.vm_mm = mm_of(c);
	KUNIT_EXPECT_EQ(test, reports(c, change), 0U);

	/* Who waits for exit alone is told of no range. */
	MNK_ASSERT_RUNS(test, mnk_register,
			mnk_list(test, c->m, &mnk_release_ops));
	KUNIT_EXPECT_EQ(test, reports(c, change), 0U);

	/* One that wants an interval is told of all. */
	MNK_ASSERT_RUNS(test, mnk_insert,
			mnk_interval(test, c->m, 0, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, reports(c, change), 1U);

	c->m = m;
}

static void teardown_is_exempt(struct kunit *test)
{
	const struct change *change = test->param_value;
	struct coverage *c = test->priv;

	MNK_ASSERT_RUNS(test, mnk_mmput, c->m);
	KUNIT_EXPECT_EQ(test, reports(c, change), 0U);
}

/*
 * Changes that are none
 */

static void upgrade_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(PFN, PAGE_SHARED));
}

static void give_pte_rights_back(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_NONE);

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(PFN, PAGE_READONLY));
}

static void make_pte_old(struct coverage *c)
{
	pte_t pte = pte_mkyoung(pte_of(PFN, PAGE_SHARED));

	ptep_test_and_clear_young(&c->vma, ADDR, &pte);
	pte = pte_mkyoung(pte);
	set_pte_at(mm_of(c), ADDR, &pte, pte_mkold(pte));
}

static void wrprotect_readonly_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	ptep_set_wrprotect(mm_of(c), ADDR, &pte);
}

static void fill_ptes(struct coverage *c)
{
	pte_t ptes[4] = {};

	set_ptes(mm_of(c), ADDR, ptes, pte_of(PFN, PAGE_SHARED),
		 ARRAY_SIZE(ptes));
}

static void refill_ptes(struct coverage *c)
{
	pte_t ptes[4];
	int i;

	for (i = 0; i < ARRAY_SIZE(ptes); i++)
		ptes[i] = pte_of(PFN + i, PAGE_READONLY);
	set_ptes(mm_of(c), ADDR, ptes, pte_of(PFN, PAGE_SHARED),
		 ARRAY_SIZE(ptes));
}

static void swap_pte_in(struct coverage *c)
{
	pte_t pte = swp_entry_to_pte(swp_entry(0, 1));

	set_pte_at(mm_of(c), ADDR, &pte, pte_of(PFN, PAGE_SHARED));
	pte = swp_entry_to_pte(swp_entry(0, 1));
	ptep_clear(mm_of(c), ADDR, &pte);
}

static void upgrade_pte_by_access_flags(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_READONLY);

	ptep_set_access_flags(&c->vma, ADDR, &pte, pte_of(PFN, PAGE_SHARED), 1);
}

static void change_kernel_pte(struct coverage *c)
{
	pte_t pte = pte_of(PFN, PAGE_SHARED);

	ptep_clear(mm_of(c), TASK_SIZE_MAX + PAGE_SIZE, &pte);
}

static void upgrade_pmd(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_READONLY);

	set_pmd_at(mm_of(c), ADDR, &pmd, pmd_of(PFN, PAGE_SHARED));
}

static void fill_pmd(struct coverage *c)
{
	pmd_t pmd = {};

	set_pmd_at(mm_of(c), ADDR, &pmd, pmd_of(PFN, PAGE_SHARED));
}

static void upgrade_pmd_by_access_flags(struct coverage *c)
{
	pmd_t pmd = pmd_of(PFN, PAGE_READONLY);

	pmdp_set_access_flags(&c->vma, ADDR, &pmd, pmd_of(PFN, PAGE_SHARED), 1);
}

static void upgrade_pud(struct coverage *c)
{
	pud_t pud = pud_of(PFN, PAGE_READONLY);

	set_pud_at(mm_of(c), ADDR, &pud, pud_of(PFN, PAGE_SHARED));
}

static const struct change none[] = {
	{ "PTE upgraded", upgrade_pte },
	{ "PTE given its rights back", give_pte_rights_back },
	{ "PTE made old", make_pte_old },
	{ "read-only PTE write-protected", wrprotect_readonly_pte },
	{ "PTEs set where there were none", fill_ptes },
	{ "PTEs upgraded together", refill_ptes },
	{ "swap entry replaced and cleared", swap_pte_in },
	{ "PTE upgraded by access flags", upgrade_pte_by_access_flags },
	{ "PTE of the kernel cleared", change_kernel_pte },
	{ "PMD upgraded", upgrade_pmd },
	{ "PMD set where there was none", fill_pmd },
	{ "PMD upgraded by access flags", upgrade_pmd_by_access_flags },
	{ "PUD upgraded", upgrade_pud },
};

KUNIT_ARRAY_PARAM_DESC(none, none, name);

static void what_is_harmless_needs_no_range(struct kunit *test)
{
	struct coverage *c = test->priv;

	KUNIT_EXPECT_EQ(test, reports(c, test->param_value), 0U);
}

/* The hook for a small entry sees the first page, the other one the rest. */
static void huge_page_has_to_be_covered_whole(struct kunit *test)
{
	static const struct {
		unsigned long start, end;
		unsigned int reports;
	} ranges[] = {
		{ ADDR, ADDR + PMD_SIZE, 0 },
		{ ADDR, ADDR + PAGE_SIZE, 1 },
		{ ADDR, ADDR + PMD_SIZE - PAGE_SIZE, 1 },
		{ ADDR + PAGE_SIZE, ADDR + PMD_SIZE, 1 },
		{ ADDR + PMD_SIZE, ADDR + 2 * PMD_SIZE, 2 },
	};
	struct coverage *c = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		pte_t pte = pte_of(PFN, PAGE_SHARED);
		struct mnk_range *range;

		range = mnk_range_open(test, c->m, ranges[i].start,
				       ranges[i].end);
		huge_ptep_get_and_clear(mm_of(c), ADDR, &pte, PMD_SIZE);
		mnk_range_close(range);
		KUNIT_EXPECT_EQ_MSG(test, mnk_reported(MMU_REPORT_COVERAGE),
				    ranges[i].reports, "range %d", i);
	}
}

static int coverage_init(struct kunit *test)
{
	struct coverage *c;
	int ret;

	if (!(mmu_notifier_checks & BIT(MMU_REPORT_COVERAGE)))
		kunit_skip(test, "needs debug_mmu_notifier=coverage");
	ret = mnk_init(test);
	if (ret)
		return ret;
	c = kunit_kzalloc(test, sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	test->priv = c;
	c->m = mnk_mm(test);
	c->list = mnk_list(test, c->m, &mnk_range_ops);
	c->vma.vm_mm = mm_of(c);
	return mnk_run(test, mnk_register, c->list);
}

static struct kunit_case coverage_cases[] = {
	KUNIT_CASE_PARAM(change_without_a_range_is_reported, changes_gen_params),
	KUNIT_CASE_PARAM(change_within_a_range_is_not, changes_gen_params),
	KUNIT_CASE_PARAM(change_beside_a_range_is_reported, changes_gen_params),
	KUNIT_CASE_PARAM(change_partly_in_a_range_is_reported,
			 large_changes_gen_params),
	KUNIT_CASE_PARAM(range_of_another_mm_does_not_count, changes_gen_params),
	KUNIT_CASE_PARAM(range_of_another_task_does_not_count, changes_gen_params),
	KUNIT_CASE_PARAM(exempt_change_is_not_reported, changes_gen_params),
	KUNIT_CASE_PARAM(change_matters_to_subscribers_only, changes_gen_params),
	KUNIT_CASE_PARAM(teardown_is_exempt, changes_gen_params),
	KUNIT_CASE_PARAM(what_is_harmless_needs_no_range, none_gen_params),
	KUNIT_CASE(huge_page_has_to_be_covered_whole),
	{}
};

static struct kunit_suite coverage_suite = {
	.name = "mmu_notifier_coverage",
	.init = coverage_init,
	.exit = mnk_exit,
	.test_cases = coverage_cases,
};

kunit_test_suite(coverage_suite);

MODULE_DESCRIPTION("KUnit tests of the check of coverage");
MODULE_LICENSE("GPL");
