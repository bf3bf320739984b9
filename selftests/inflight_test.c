// SPDX-License-Identifier: GPL-2.0
/*
 * Changes while an operation is in flight, which is held there: after its
 * PRE point and before it starts, or after it ended and before its POST point.
 */

#include "fs.h"
#include "group.h"
#include "underway.h"

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
static struct event go_and_stay(struct __test_metadata *const _metadata,
				struct group *g, struct job *job,
				const char *point)
{
	const struct event pre = go_and_allow(_metadata, g, job, point);

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

static void finish(struct __test_metadata *const _metadata, struct job *job,
		   const char *point)
{
	release_and_join(_metadata, job, point);
	expect_content(_metadata, "file", "AS it was");
}

TEST_F(inflight, counted)
{
	struct group_state st;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	expect_content(_metadata, "file", variant->content);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(1, st.inflight);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
	expect_silence(_metadata, self->g);

	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* Reported to whoever allowed it, with or without a mark. */
TEST_F(inflight, mark_removed)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_MODIFY, "file");
	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, marks_flushed)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM |
	     FAN_MARK_SYNC, 0, ".");
	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, ignored)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(inflight, unlinked)
{
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	ASSERT_EQ(0, unlink("file"));
	gone_at_end = 1;
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
	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, other, &pre2, 2);
}

TEST_F(inflight, only_group_closed)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	go_and_stay(_metadata, self->g, self->job, variant->point);
	group_close(self->g);
	finish(_metadata, self->job, variant->point);
}

/* Ended by force, it still has an end. */
TEST_F(inflight, killed)
{
	struct event pre, post;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
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
	finish(_metadata, self->job, variant->point);
	expect_unpaired(_metadata, self->g, pid, 2);
}

TEST_F(inflight, ignored_all_along)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	go_unasked(_metadata, self->g, self->job, variant->point);
	finish(_metadata, self->job, variant->point);
}

/* The group and its mark are newer than the operation. */
TEST_F(inflight, new_group)
{
	const pid_t pid = self->job->pid;
	struct group *newer;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	pre = go_and_stay(_metadata, self->g, self->job, variant->point);
	newer = group_open(_metadata, 0);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	finish(_metadata, self->job, variant->point);
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
	pre = go_and_stay(_metadata, other, self->job, variant->point);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	finish(_metadata, self->job, variant->point);
	expect_silence(_metadata, other);
	EXPECT_EQ(pre.cookie,
		  expect_unpaired(_metadata, self->g, pid, 2).cookie);
}

/*
 * All who watch for an operation ignore it when it begins, and by the time it
 * ends someone wants to know of it. Each is a way to come to that.
 */
FIXTURE(seen_late)
{
	struct group *g;	/* ignores the file */
	struct group *other;	/* watches another directory */
	struct job *job;	/* has written, and is held at the end */
};

FIXTURE_VARIANT(seen_late)
{
	/* Has the group know of it, if it is the one that it has to be. */
	void (*see)(struct __test_metadata *const _metadata, struct group *g);
	bool by_other;
	const char *moved;	/* what it makes of "file" */
};

static void remove_ignore(struct __test_metadata *const _metadata,
			  struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "file");
}

static void drop_ignores(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0, ".");
}

static void flush_inodes(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
}

static void mark_file(struct __test_metadata *const _metadata,
		      struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

static void mark_directory(struct __test_metadata *const _metadata,
			   struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD,
	     ".");
}

static void mark_mount(struct __test_metadata *const _metadata,
		       struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, ".");
}

static void mark_file_system(struct __test_metadata *const _metadata,
			     struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

/* Into a directory that has been watched all the time. */
static void move_file(struct __test_metadata *const _metadata,
		      struct group *g)
{
	(void)g;
	ASSERT_EQ(0, rename("file", "watched/file"));
	ASSERT_EQ(0, rename("watched/file", "watched/moved"));
}

FIXTURE_VARIANT_ADD(seen_late, remove_ignore) { .see = remove_ignore };
FIXTURE_VARIANT_ADD(seen_late, drop_ignores) { .see = drop_ignores };
FIXTURE_VARIANT_ADD(seen_late, flush_inodes) { .see = flush_inodes };
FIXTURE_VARIANT_ADD(seen_late, mark_file) {
	.see = mark_file,
	.by_other = true,
};

FIXTURE_VARIANT_ADD(seen_late, mark_directory) {
	.see = mark_directory,
	.by_other = true,
};

FIXTURE_VARIANT_ADD(seen_late, mark_mount) {
	.see = mark_mount,
	.by_other = true,
};

FIXTURE_VARIANT_ADD(seen_late, mark_file_system) {
	.see = mark_file_system,
	.by_other = true,
};

FIXTURE_VARIANT_ADD(seen_late, move_file) {
	.see = move_file,
	.by_other = true,
	.moved = "watched/moved",
};

FIXTURE_SETUP(seen_late)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "as it was");
	ASSERT_EQ(0, mkdir("watched", 0700));
	self->g = group_open(_metadata, 0);
	self->other = group_open(_metadata, 0);
	mark(_metadata, self->other, FAN_MARK_ADD,
	     FAN_MODIFY | FAN_EVENT_ON_CHILD, "watched");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	self->job = write_prepare(_metadata, "file", "AS");
	hold(_metadata, "end", self->job->pid);
	go_unasked(_metadata, self->g, self->job, "end");
}

FIXTURE_TEARDOWN(seen_late)
{
	test_end(_metadata);
}

TEST_F(seen_late, told)
{
	struct group *told = variant->by_other ? self->other : self->g;
	struct group *not_told = variant->by_other ? self->g : self->other;
	const pid_t pid = self->job->pid;
	struct event post;

	variant->see(_metadata, told);
	release(_metadata, "end");
	EXPECT_EQ(2, job_join(_metadata, self->job));
	post = expect_unpaired(_metadata, told, pid, 2);
	EXPECT_EQ(0ULL, post.offset);
	EXPECT_EQ(2ULL, post.count);
	expect_silence(_metadata, told);
	expect_silence(_metadata, not_told);
}

/* The next one is seen from the start. */
TEST_F(seen_late, asked_next)
{
	struct group *asked = variant->by_other ? self->other : self->g;
	const char *path = variant->moved ?: "file";

	release(_metadata, "end");
	EXPECT_EQ(2, job_join(_metadata, self->job));
	EXPECT_EQ(2, job_join(_metadata, write_start(_metadata, "file", "AS")));
	expect_silence(_metadata, self->g);

	variant->see(_metadata, asked);
	serve_write(_metadata, asked, write_start(_metadata, path, "AS"), 2);
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, self->other);
}

/*
 * A group that was the only one when an operation began, and was asked: at the
 * end it is not the only one.
 */
TEST_F(inflight, no_longer_the_only_one)
{
	static void (*const see[])(struct __test_metadata *const _metadata,
				   struct group *g) = {
		mark_file, mark_mount, mark_file_system,
		/* Last, for it takes a while to be forgotten by the file. */
		mark_directory,
	};

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (size_t i = 0; i < ARRAY_SIZE(see); i++) {
		struct group *newer = group_open(_metadata, 0);
		struct event pre;
		pid_t pid;

		if (i) {
			self->job = write_prepare(_metadata, "file", "AS");
			hold(_metadata, variant->point, self->job->pid);
		}
		pid = self->job->pid;
		pre = go_and_stay(_metadata, self->g, self->job,
				  variant->point);
		see[i](_metadata, newer);
		finish(_metadata, self->job, variant->point);
		expect_post(_metadata, self->g, &pre, 2);
		expect_unpaired(_metadata, newer, pid, 2);
		group_close(newer);
	}
}

/*
 * A group that was the last to be asked is not any more when it answers: who
 * has come meanwhile is asked before the operation starts.
 */
TEST_F(inflight, asked_late)
{
	struct group *newer = group_open(_metadata, 0);
	struct event pre, pre2;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job_go(_metadata, self->job);
	pre = expect_pre(_metadata, self->g, self->job->pid);
	mark(_metadata, newer, FAN_MARK_ADD, FAN_MODIFY, "file");
	allow(_metadata, self->g, &pre);
	pre2 = expect_pre(_metadata, newer, self->job->pid);
	allow(_metadata, newer, &pre2);
	wait_held(_metadata, variant->point);
	finish(_metadata, self->job, variant->point);
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, newer, &pre2, 2);
}

TEST_HARNESS_MAIN
