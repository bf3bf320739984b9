// SPDX-License-Identifier: GPL-2.0
/*
 * Whoever was asked and allowed an operation is told how it ended, exactly
 * once, whatever happened in between.
 */

#include "fs.h"
#include "group.h"

FIXTURE(pair)
{
	struct group *g;
};

FIXTURE_SETUP(pair)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(pair)
{
	test_end(_metadata);
}

/* Numbers grow from one to the next, through whatever group. */
TEST_F(pair, cookies_grow)
{
	__u64 last = 0;

	for (int i = 0; i < 10; i++) {
		struct group *g = i % 2 ? group_open(_metadata, 0) : self->g;
		struct event pre;
		struct job *job;

		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
		job = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, g, job->pid);
		EXPECT_LT(last, pre.cookie);
		last = pre.cookie;
		allow(_metadata, g, &pre);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_post(_metadata, g, &pre, 2);

		mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
		if (g != self->g)
			group_close(g);
	}
}

/* It was in a directory whose children are watched, and is no more. */
TEST_F(pair, moved_out)
{
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, rename("file", "dir/file"));
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD,
	     "dir");
	job = write_start(_metadata, "dir/file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	ASSERT_EQ(0, rename("dir/file", "file"));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);

	/* And the other way around. */
	job = write_start(_metadata, "file", "ab");
	EXPECT_EQ(2, job_join(_metadata, job));
	ASSERT_EQ(0, rename("file", "dir/file"));
	serve_write(_metadata, self->g,
		    write_start(_metadata, "dir/file", "ab"), 2);
}

/* Things that happen between question and answer, to a mark or to the file. */
static void mark_removed(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_MODIFY, "file");
}

static void marks_flushed(struct __test_metadata *const _metadata,
			  struct group *g)
{
	mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
}

static void post_removed(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_POST(FAN_MODIFY), "file");
}

static void ignored(struct __test_metadata *const _metadata, struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "file");
}

static void unlinked(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	ASSERT_EQ(0, unlink("file"));
	gone_at_end = 1;
}

static void renamed(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	ASSERT_EQ(0, rename("file", "renamed"));
}

static void replaced(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	put_file(_metadata, "new", "");
	ASSERT_EQ(0, rename("new", "file"));
	gone_at_end = 1;
}

static void written(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	put_file(_metadata, "file", "by the owner");
}

FIXTURE(between)
{
	struct group *g;
};

FIXTURE_VARIANT(between)
{
	void (*happens)(struct __test_metadata *const _metadata,
			struct group *g);
};

#define BETWEEN_VARIANT(name)						\
	FIXTURE_VARIANT_ADD(between, name)				\
	{								\
		.happens = name,					\
	}

BETWEEN_VARIANT(mark_removed);
BETWEEN_VARIANT(marks_flushed);
BETWEEN_VARIANT(post_removed);
BETWEEN_VARIANT(ignored);
BETWEEN_VARIANT(unlinked);
BETWEEN_VARIANT(renamed);
BETWEEN_VARIANT(replaced);
BETWEEN_VARIANT(written);

FIXTURE_SETUP(between)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(between)
{
	test_end(_metadata);
}

TEST_F(between, allowed)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	variant->happens(_metadata, self->g);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(between, denied)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	variant->happens(_metadata, self->g);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_F(between, not_yet_read)
{
	struct job *job = write_start(_metadata, "file", "ab");
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	variant->happens(_metadata, self->g);
	expect_blocked(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_HARNESS_MAIN
