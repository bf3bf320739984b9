// SPDX-License-Identifier: GPL-2.0
/*
 * Several groups and one operation: who is asked when, and who is told what.
 */

#include "fs.h"
#include "group.h"

#define GROUPS 3

FIXTURE(groups)
{
	struct group *g[GROUPS];	/* in the order of their creation */
};

FIXTURE_SETUP(groups)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	for (int i = 0; i < GROUPS; i++)
		self->g[i] = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(groups)
{
	test_end(_metadata);
}

static void mark_file(struct __test_metadata *const _metadata,
		      struct group *g, __u64 mask)
{
	mark(_metadata, g, FAN_MARK_ADD, mask, "file");
}

/* Asked in the order of creation, not that of marks or of their types. */
TEST_F(groups, order)
{
	static const struct {
		int group;
		unsigned int type;
	} orders[][GROUPS] = {
		{ { 0, FAN_MARK_INODE }, { 1, FAN_MARK_INODE },
		  { 2, FAN_MARK_INODE } },
		{ { 2, FAN_MARK_INODE }, { 1, FAN_MARK_INODE },
		  { 0, FAN_MARK_INODE } },
		{ { 1, FAN_MARK_FILESYSTEM }, { 2, FAN_MARK_INODE },
		  { 0, FAN_MARK_MOUNT } },
		{ { 2, FAN_MARK_MOUNT }, { 0, FAN_MARK_FILESYSTEM },
		  { 1, FAN_MARK_INODE } },
	};

	FOR_EACH_ROW(o, orders) {
		struct event pre[GROUPS];
		struct job *job;

		snprintf(row, sizeof(row), "order %zu", o);
		for (int i = 0; i < GROUPS; i++)
			mark(_metadata, self->g[orders[o][i].group],
			     FAN_MARK_ADD | orders[o][i].type, FAN_MODIFY,
			     "file");

		job = write_start(_metadata, "file", "AS");
		for (int i = 0; i < GROUPS; i++) {
			pre[i] = expect_pre(_metadata, self->g[i], job->pid);
			EXPECT_EQ(pre[0].cookie, pre[i].cookie);
			expect_blocked(_metadata, job);
			for (int k = i + 1; k < GROUPS; k++)
				expect_silence(_metadata, self->g[k]);
			allow(_metadata, self->g[i], &pre[i]);
		}
		EXPECT_EQ(2, job_join(_metadata, job));
		for (int i = 0; i < GROUPS; i++)
			expect_post(_metadata, self->g[i], &pre[i], 2);

		for (int i = 0; i < GROUPS; i++)
			mark(_metadata, self->g[orders[o][i].group],
			     FAN_MARK_FLUSH | orders[o][i].type, 0, ".");
	}
}

/* Who had allowed it is told that others did not; who was not asked is not. */
TEST_F(groups, denied_by)
{
	static const struct {
		__u32 verdict;
		int error;
	} verdicts[] = {
		{ FAN_DENY, EPERM },
		{ FAN_DENY_ERRNO(EIO), EIO },
		{ FAN_DENY_ERRNO(EROFS), EROFS },
	};

	for (int i = 0; i < GROUPS; i++)
		mark_file(_metadata, self->g[i], FAN_MODIFY);

	for (int denies = 0; denies < GROUPS; denies++) {
		const int error = verdicts[denies].error;
		struct event pre[GROUPS];
		struct job *job = write_start(_metadata, "file", "AS");

		for (int i = 0; i <= denies; i++) {
			pre[i] = expect_pre(_metadata, self->g[i], job->pid);
			answer(_metadata, self->g[i], &pre[i], i < denies ?
			       FAN_ALLOW : verdicts[denies].verdict);
		}
		EXPECT_EQ(-error, job_join(_metadata, job));
		for (int i = 0; i < GROUPS; i++) {
			if (i < denies)
				expect_post(_metadata, self->g[i], &pre[i],
					    -error);
			expect_silence(_metadata, self->g[i]);
		}
		expect_content(_metadata, "file", "as it was");
	}
}

/* With PRE alone, or POST alone, there is nothing to be told of a denial. */
TEST_F(groups, denied_for_those_with_half_an_interest)
{
	struct event pre;
	struct job *job;

	mark_file(_metadata, self->g[0], FAN_PRE(FAN_MODIFY));
	mark_file(_metadata, self->g[1], FAN_POST(FAN_MODIFY));
	mark_file(_metadata, self->g[2], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g[0], job->pid);
	allow(_metadata, self->g[0], &pre);
	pre = expect_pre(_metadata, self->g[2], job->pid);
	answer(_metadata, self->g[2], &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	for (int i = 0; i < GROUPS; i++)
		expect_silence(_metadata, self->g[i]);
}

TEST_F(groups, allowed_for_those_with_half_an_interest)
{
	struct event pre, pre2;
	struct job *job;
	pid_t pid;

	mark_file(_metadata, self->g[0], FAN_PRE(FAN_MODIFY));
	mark_file(_metadata, self->g[1], FAN_POST(FAN_MODIFY));
	mark_file(_metadata, self->g[2], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pid = job->pid;
	pre = expect_pre(_metadata, self->g[0], pid);
	allow(_metadata, self->g[0], &pre);
	pre2 = expect_pre(_metadata, self->g[2], pid);
	allow(_metadata, self->g[2], &pre2);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g[0]);
	EXPECT_EQ(pre.cookie,
		  expect_unpaired(_metadata, self->g[1], pid, 2).cookie);
	expect_post(_metadata, self->g[2], &pre2, 2);
}

/* A mark that goes while its group is asked does not hide the next group. */
TEST_F(groups, first_mark_removed)
{
	struct event pre, pre2;
	struct job *job;

	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark_file(_metadata, self->g[1], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g[0], job->pid);
	mark(_metadata, self->g[0], FAN_MARK_FLUSH | FAN_MARK_SYNC, 0, ".");
	allow(_metadata, self->g[0], &pre);
	pre2 = expect_pre(_metadata, self->g[1], job->pid);
	answer(_metadata, self->g[1], &pre2, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_post(_metadata, self->g[0], &pre, -EPERM);
}

/* Nor is a group asked that has no mark any more by the time it would be. */
TEST_F(groups, second_mark_removed)
{
	struct event pre;
	struct job *job;

	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark_file(_metadata, self->g[1], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g[0], job->pid);
	mark(_metadata, self->g[1], FAN_MARK_REMOVE | FAN_MARK_SYNC,
	     FAN_MODIFY, "file");
	allow(_metadata, self->g[0], &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g[0], &pre, 2);
	expect_silence(_metadata, self->g[1]);
}

TEST_F(groups, second_group_closed)
{
	struct event pre;
	struct job *job;

	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark_file(_metadata, self->g[1], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g[0], job->pid);
	group_close(self->g[1]);
	allow(_metadata, self->g[0], &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g[0], &pre, 2);
}

/* However often its marks come and go, a group is asked once. */
TEST_F(groups, asked_once)
{
	struct event pre, pre2;
	struct job *job;

	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark_file(_metadata, self->g[1], FAN_MODIFY);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g[0], job->pid);
	allow(_metadata, self->g[0], &pre);
	pre2 = expect_pre(_metadata, self->g[1], job->pid);

	mark(_metadata, self->g[0], FAN_MARK_FLUSH, 0, ".");
	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark(_metadata, self->g[0], FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g[1], FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
	     ".");

	allow(_metadata, self->g[1], &pre2);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g[0], &pre, 2);
	expect_post(_metadata, self->g[1], &pre2, 2);
}

/* Two that are asked about each other's file do not get in each other's way. */
TEST_F(groups, of_different_files)
{
	struct job *job, *job2;
	struct event pre, pre2;

	put_file(_metadata, "file2", "");
	mark_file(_metadata, self->g[0], FAN_MODIFY);
	mark(_metadata, self->g[1], FAN_MARK_ADD, FAN_MODIFY, "file2");
	job = write_start(_metadata, "file", "AS");
	job2 = write_start(_metadata, "file2", "AS");
	pre2 = expect_pre(_metadata, self->g[1], job2->pid);
	allow(_metadata, self->g[1], &pre2);
	EXPECT_EQ(2, job_join(_metadata, job2));
	expect_post(_metadata, self->g[1], &pre2, 2);

	pre = expect_pre(_metadata, self->g[0], job->pid);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g[0], &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g[0], &pre, 2);
}

TEST_HARNESS_MAIN
