// SPDX-License-Identifier: GPL-2.0
/*
 * Changes while an operation is in flight, which is held there: after its
 * PRE point and before it starts, or after it ended and before its POST point.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"

FIXTURE(inflight)
{
	struct group *g;
	struct job *job;	/* about to write, and to be held then */
};

FIXTURE_VARIANT(inflight)
{
	const char *point;
	const char *content;	/* of the file when the job is held */
};

FIXTURE_VARIANT_ADD(inflight, begin)
{
	.point = "begin",
	.content = "as it was",
};

FIXTURE_VARIANT_ADD(inflight, end)
{
	.point = "end",
	.content = "AS it was",
};

FIXTURE_SETUP(inflight)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	self->job = write_prepare(_metadata, "file", "AS");
	hold(_metadata, variant->point, self->job->pid);
}

FIXTURE_TEARDOWN(inflight)
{
	test_end(_metadata);
}

/* Lets the job write, with the consent of the group, up to where it is held. */
static struct event go_and_allow(struct __test_metadata *const _metadata,
				 struct group *g, struct job *job,
				 const char *point)
{
	struct event pre;

	job_go(_metadata, job);
	pre = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &pre);
	wait_held(_metadata, point);
	expect_blocked(_metadata, job);
	return pre;
}

/* The same of a job that the group is not asked about. */
static void go_unasked(struct __test_metadata *const _metadata,
		       struct group *g, struct job *job, const char *point)
{
	job_go(_metadata, job);
	wait_held(_metadata, point);
	expect_silence(_metadata, g);
}

static void release_and_join(struct __test_metadata *const _metadata,
			     struct job *job, const char *point)
{
	release(_metadata, point);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_content(_metadata, "file", "AS it was");
}

TEST_F(inflight, counted)
{
	struct group_state st;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	expect_content(_metadata, "file", variant->content);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(1, st.inflight);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
	expect_silence(_metadata, self->g);

	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* Reported to whoever allowed it, with or without a mark. */
TEST_F(inflight, mark_removed)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, marks_flushed)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM |
	     FAN_MARK_SYNC, 0, ".");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, ignored)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, unlinked)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	ASSERT_EQ(0, unlink("file"));
	release(_metadata, variant->point);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* There is no one left to be told, and no one minds. */
TEST_F(inflight, group_closed)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job_go(_metadata, self->job);
	pre = expect_pre(_metadata, self->g, self->job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_pre(_metadata, other, self->job->pid);
	allow(_metadata, other, &pre2);
	wait_held(_metadata, variant->point);

	group_close(self->g);
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, other, &pre2, 2);
}

TEST_F(inflight, only_group_closed)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_and_allow(_metadata, self->g, self->job, variant->point);
	group_close(self->g);
	release_and_join(_metadata, self->job, variant->point);
}

/* Ended by force, it still has an end. */
TEST_F(inflight, killed)
{
	struct event pre, post;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	job_kill(_metadata, self->job, SIGKILL);

	/* Before or after it wrote, as the file system has it. */
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pre.cookie, post.cookie);
	EXPECT_EQ(0U, post.flags);
	EXPECT_TRUE(post.result == 2 || post.result == -EINTR)
		TH_LOG("result %lld", (long long)post.result);
}

/*
 * An operation that was under way, unseen, when the group began to look: it is
 * told of the end of what it was not asked about.
 */
TEST_F(inflight, no_longer_ignored)
{
	const pid_t pid = self->job->pid;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	go_unasked(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_unpaired(_metadata, self->g, pid, 2);
}

TEST_F(inflight, ignored_all_along)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	go_unasked(_metadata, self->g, self->job, variant->point);
	release_and_join(_metadata, self->job, variant->point);
}

/* The group and its mark are newer than the operation. */
TEST_F(inflight, new_group)
{
	const pid_t pid = self->job->pid;
	struct group *newer;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_allow(_metadata, self->g, self->job, variant->point);
	newer = group_open(_metadata, 0);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_unpaired(_metadata, newer, pid, 2);
}

/* The mark is newer than an operation that was looked at for others only. */
TEST_F(inflight, new_mark)
{
	struct group *other = group_open(_metadata, 0);
	const pid_t pid = self->job->pid;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file");
	mark(_metadata, other, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
	pre = go_and_allow(_metadata, other, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	release_and_join(_metadata, self->job, variant->point);
	expect_silence(_metadata, other);
	EXPECT_EQ(pre.cookie,
		  expect_unpaired(_metadata, self->g, pid, 2).cookie);
}

TEST_HARNESS_MAIN
