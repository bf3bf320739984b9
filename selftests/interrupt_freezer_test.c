// SPDX-License-Identifier: GPL-2.0
/*
 * Freezers at every point of the wait (interrupt.h): that of cgroup v2, and that
 * of v1, which is as suspend is. What is asked about has one decision, and its
 * POST, and the task can be killed.
 */

#include "freezer_v1.h"
#include "interrupt.h"

/* -------------------------------- cgroup v2 ------------------------------- */

static void cgroup_thaw_and_end(void)
{
	cgroup_write(cgroup, "cgroup.freeze", "0");
	cgroup_end();
}

static bool is_frozen(void)
{
	char path[96], buf[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
	return read_file(path, buf, sizeof(buf)) > 0 &&
	       strstr(buf, "frozen 1\n");
}

static void start_in_cgroup(struct __test_metadata *const _metadata,
			    FIXTURE_DATA(interrupt) *self,
			    const FIXTURE_VARIANT(interrupt) *variant)
{
	cgroup_mount(_metadata);
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	guard_start(_metadata, cgroup_thaw_and_end);
	prepare(_metadata, self, variant, NULL);
	ASSERT_EQ(0, enter(cgroup, self->job->pid));
	job_go(_metadata, self->job);
	arrive(_metadata, self, variant);
}

/* Whoever waits for an answer is frozen; who has one is when it was acted upon. */
static void freeze(struct __test_metadata *const _metadata,
		   const FIXTURE_VARIANT(interrupt) *variant)
{
	ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "1"));
	if (!variant->begin) {
		ASSERT_TRUE(EVENTUALLY(is_frozen()));
	}
}

TEST_F(interrupt, frozen)
{
	start_in_cgroup(_metadata, self, variant);
	freeze(_metadata, variant);
	expect_waiting(_metadata, self, variant);
	go_on(_metadata, self, variant);
	expect_posts(_metadata, self, 2);
	ASSERT_TRUE(EVENTUALLY(is_frozen()));
	expect_blocked(_metadata, self->job);
	ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "0"));
	EXPECT_EQ(2, job_join(_metadata, self->job));
}

TEST_F(interrupt, thawed_while_it_waits)
{
	start_in_cgroup(_metadata, self, variant);
	for (int i = 0; i < 2; i++) {
		freeze(_metadata, variant);
		expect_waiting(_metadata, self, variant);
		ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "0"));
		ASSERT_TRUE(EVENTUALLY(!is_frozen()));
	}
	finish(_metadata, self, variant);
}

TEST_F(interrupt, killed_while_frozen)
{
	start_in_cgroup(_metadata, self, variant);
	freeze(_metadata, variant);
	job_kill(_metadata, self->job, SIGKILL);
	expect_killed(_metadata, self, variant);
}

/* -------------------------------- cgroup v1 ------------------------------- */

/* It is frozen where it waits, and acts upon what was answered when it is thawed. */
TEST_F(interrupt, frozen_by_v1)
{
	if (variant->begin)
		SKIP(return, "it is not frozen there");
	if (!freezer_begin(_metadata))
		SKIP(return, "no freezer: %s", strerror(errno));
	prepare(_metadata, self, variant, NULL);
	ASSERT_EQ(0, enter(freezer, self->job->pid));
	job_go(_metadata, self->job);
	arrive(_metadata, self, variant);

	for (int i = 0; i < 2; i++) {
		freeze_by_v1(_metadata);
		expect_waiting(_metadata, self, variant);
		if (i)
			break;
		thaw_by_v1(_metadata);
		expect_waiting(_metadata, self, variant);
	}
	go_on(_metadata, self, variant);
	expect_nothing(_metadata, self->second);
	EXPECT_EQ(1, group_state(_metadata, self->second).inflight);
	thaw_by_v1(_metadata);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_posts(_metadata, self, 2);
}

TEST_HARNESS_MAIN
