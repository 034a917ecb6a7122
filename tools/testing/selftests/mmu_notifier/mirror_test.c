// SPDX-License-Identifier: GPL-2.0
/*
 * Every scenario of scenarios.h as a test case, for each personality. See
 * there for what is done and compared; this is what makes KTAP of it.
 */
#include "../kselftest_harness.h"

#include "scenarios.h"

/* Under TCG, on a busy machine. Storms last twice as long as in the demo. */
#define SECONDS	60
#define EFFORT	2

FIXTURE(mirror) {
};

FIXTURE_VARIANT(mirror) {
	unsigned int personality;
};

FIXTURE_VARIANT_ADD(mirror, shadow) {
	.personality = MMU_MIRROR_SHADOW,
};

FIXTURE_VARIANT_ADD(mirror, svm) {
	.personality = MMU_MIRROR_SVM,
};

FIXTURE_VARIANT_ADD(mirror, sva) {
	.personality = MMU_MIRROR_SVA,
};

FIXTURE_VARIANT_ADD(mirror, export) {
	.personality = MMU_MIRROR_EXPORT,
};

FIXTURE_VARIANT_ADD(mirror, regcache) {
	.personality = MMU_MIRROR_REGCACHE,
};

FIXTURE_SETUP(mirror)
{
	struct mirror dev;
	int err = mirror_try_open(&dev);

	sysmm_init();
	if (err == -ENOENT)
		SKIP(return, "no " MMU_MIRROR_PATH);
	ASSERT_EQ(err, 0);
	mirror_close(&dev);
}

FIXTURE_TEARDOWN(mirror)
{
}

/* The case has the scenario's name. */
static void run_case(struct __test_metadata *_metadata, unsigned int personality,
		     struct verdict *v)
{
	scenario_run(scenario_find(_metadata->name), personality, EFFORT, SECONDS, v);
	if (v->outcome == OUTCOME_SKIP)
		SKIP(return, "%s", v->why);
	EXPECT_EQ(v->outcome, OUTCOME_OK) {
		TH_LOG("%s", v->why);
	}
	EXPECT_EQ(v->stale, 0u);
	EXPECT_GT(v->callbacks, 0u);
	EXPECT_GT(v->accesses, 0u);
}

static unsigned int nr_cases;

#define CASE(name) \
static struct verdict name##_verdict; \
static void __attribute__((constructor)) count_##name(void) \
{ \
	nr_cases++; \
} \
TEST_F_TIMEOUT(mirror, name, SECONDS + 20) \
{ \
	run_case(_metadata, variant->personality, &name##_verdict); \
}

CASE(munmap_whole)
CASE(munmap_part)
CASE(munmap_middle)
CASE(munmap_each)
CASE(mmap_over)
CASE(mprotect_none)
CASE(mprotect_read)
CASE(mprotect_each)
CASE(mremap_move)
CASE(mremap_keep)
CASE(mremap_grow)
CASE(address_zero)
CASE(soft_dirty)
CASE(dontneed)
CASE(dontneed_each)
CASE(free_reclaim)
CASE(free_dirty)
CASE(pageout)
CASE(swap_dirty)
CASE(memcg_reclaim)
CASE(move_pages)
CASE(mbind)
CASE(compaction)
CASE(thp_collapse)
CASE(thp_munmap)
CASE(thp_dontneed)
CASE(thp_mprotect)
CASE(thp_split)
CASE(thp_mremap)
CASE(thp_pageout)
CASE(thp_migrate)
CASE(thp_fork)
CASE(hugetlb_unmap)
CASE(hugetlb_cow)
CASE(ksm_merge)
CASE(ksm_break)
CASE(fork_parent_first)
CASE(fork_child_first)
CASE(memfd_truncate)
CASE(memfd_punch)
CASE(memfd_pageout)
CASE(file_cow)
CASE(uffd_wp)
CASE(uffd_move)
CASE(exit_busy)
CASE(kill_busy)
CASE(exec_busy)
CASE(close_busy)
CASE(detach_busy)
CASE(fault_in_flight)
CASE(start_first)
CASE(zap_observer)
CASE(storm_dontneed)
CASE(storm_migrate)
CASE(storm_pageout)
CASE(storm_mremap)
CASE(storm_fork)
CASE(storm_thp)
CASE(storm_ksm)

TEST(each_scenario_is_a_case)
{
	EXPECT_EQ(scenario_nth(nr_cases), NULL);
	EXPECT_NE(scenario_nth(nr_cases - 1), NULL);
}

TEST_HARNESS_MAIN
