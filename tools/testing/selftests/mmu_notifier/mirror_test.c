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
	struct verdict verdict;
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

static void run_case(struct __test_metadata *_metadata, unsigned int personality,
		     const struct scenario *scn, struct verdict *v)
{
	scenario_run(scn, personality, EFFORT, SECONDS, v);
	if (v->outcome == OUTCOME_SKIP)
		SKIP(return, "%s", v->why);
	EXPECT_EQ(v->outcome, OUTCOME_OK) {
		TH_LOG("%s", v->why);
	}
	EXPECT_EQ(v->stale, 0u);
	EXPECT_GT(v->callbacks, 0u);
	EXPECT_GT(v->accesses, 0u);
}

enum scenario_index {
#define X(name, what, flags) INDEX_##name,
	FOR_EACH_SCENARIO(X)
#undef X
};

#define X(name, what, flags) \
TEST_F_TIMEOUT(mirror, name, SECONDS + 20) \
{ \
	run_case(_metadata, variant->personality, &scenarios[INDEX_##name], &self->verdict); \
}

FOR_EACH_SCENARIO(X)
#undef X

TEST_HARNESS_MAIN
