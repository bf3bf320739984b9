// SPDX-License-Identifier: GPL-2.0
/*
 * What fdinfo says of a group that was closed, and where one finds it. What a
 * sentinel has denied is in sentinel_test.
 */

#include "fs.h"
#include "hold.h"
#include "queue.h"

FIXTURE(counted)
{
	struct group *g;
};

FIXTURE_SETUP(counted)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(counted)
{
	test_end(_metadata);
}

/* No one is told any more how it ends, so it is not waited for either. */
TEST_F(counted, inflight)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *job;
	struct event pre;

	REQUIRE_HOLDS();
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	wait_held(_metadata, "begin");
	EXPECT_EQ(1, group_state(_metadata, q).inflight);
	group_close(self->g);
	EXPECT_EQ(0, group_state(_metadata, q).inflight);
	release(_metadata, "begin");
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(0, group_state(_metadata, q).inflight);
	q->unread_ok = true;
}

/* In front of all of its marks, of which there can be a million. */
TEST_F(counted, before_marks)
{
	const char *counts, *marks;
	char buf[8192];

	read_fdinfo(_metadata, self->g, buf, sizeof(buf));
	counts = strstr(buf, "\nvfs-filter-group id:");
	marks = strstr(buf, "\nfanotify sdev:");
	ASSERT_NE(NULL, counts);
	ASSERT_NE(NULL, marks);
	EXPECT_LT(counts, marks);
}

TEST_HARNESS_MAIN
