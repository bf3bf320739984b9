// SPDX-License-Identifier: GPL-2.0
/*
 * A rename is two events, of two directories: what one of them ignores is not
 * ignored for the other.
 */

#include "fs.h"
#include "group.h"
#include "marks.h"

#define ALLOW_IGNORE	(FAN_ALLOW | FAN_RESPONSE_IGNORE)
#define IGNORE		FAN_MARK_IGNORE_SURV

FIXTURE(rename)
{
	struct group *g;
};

/* What the group asks for of the file system. */
FIXTURE_VARIANT(rename)
{
	__u64 mask;
};

FIXTURE_VARIANT_ADD(rename, both)
{
	.mask = MOVED,
};

FIXTURE_VARIANT_ADD(rename, from)
{
	.mask = FAN_MOVED_FROM,
};

FIXTURE_VARIANT_ADD(rename, to)
{
	.mask = FAN_MOVED_TO,
};

FIXTURE_SETUP(rename)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("A", 0755));
	ASSERT_EQ(0, mkdir("B", 0755));
	put_file(_metadata, "A/1", "");
	put_file(_metadata, "A/2", "");
	put_file(_metadata, "B/3", "");
	put_file(_metadata, "B/4", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     variant->mask, ".");
}

FIXTURE_TEARDOWN(rename)
{
	test_end(_metadata);
}

static unsigned int rename_flags;	/* of renameat2(2) */

static long do_rename(void *arg)
{
	const char *const *paths = arg;

	return renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], rename_flags);
}

static struct job *rename_start(struct __test_metadata *const _metadata,
				const char *from, const char *to)
{
	const char *paths[] = { from, to };

	return job_start(_metadata, do_rename, paths);
}

/* A rename that the group sees as @mask. It ends with a POST that is the same. */
static void expect_seen(struct __test_metadata *const _metadata,
			struct group *g, __u64 mask, const char *from,
			const char *to)
{
	struct job *job = rename_start(_metadata, from, to);
	const struct event pre = expect_pre_of(_metadata, g, mask, 0, job->pid);

	allow(_metadata, g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, g, &pre, 0);
	expect_silence(_metadata, g);
}

static void expect_ignored(struct __test_metadata *const _metadata,
			   struct group *g, const char *from, const char *to)
{
	EXPECT_EQ(0, job_join(_metadata, rename_start(_metadata, from, to)));
	expect_silence(_metadata, g);
}

/* In this direction from now on, for all that the group asks for. */
static void ignore_move(struct __test_metadata *const _metadata,
			struct group *g, __u64 mask, const char *from,
			const char *to)
{
	struct job *job = rename_start(_metadata, from, to);
	const struct event pre = expect_pre_of(_metadata, g, mask, 0, job->pid);

	answer(_metadata, g, &pre, ALLOW_IGNORE);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

static void ignore_there(struct __test_metadata *const _metadata,
			 struct group *g, __u64 mask)
{
	ignore_move(_metadata, g, mask, "A/1", "B/1");
}

/* There and back is not the same. */
TEST_F(rename, back)
{
	const __u64 mask = variant->mask;

	ignore_there(_metadata, self->g, mask);
	expect_ignored(_metadata, self->g, "A/2", "B/2");
	expect_seen(_metadata, self->g, mask, "B/3", "A/3");
	expect_seen(_metadata, self->g, mask, "B/4", "A/4");
	expect_ignored(_metadata, self->g, "A/4", "B/4");
}

/* Of an exchange, each directory is moved from and to: it takes both to ignore it. */
TEST_F(rename, exchanged)
{
	put_file(_metadata, "B/1", "");
	rename_flags = RENAME_EXCHANGE;
	ignore_there(_metadata, self->g, variant->mask);
	expect_ignored(_metadata, self->g, "A/1", "B/1");
	expect_ignored(_metadata, self->g, "A/2", "B/3");
	expect_ignored(_metadata, self->g, "B/4", "A/2");

	/* And what is ignored is any rename between them. */
	rename_flags = 0;
	expect_ignored(_metadata, self->g, "A/2", "B/2");
	expect_ignored(_metadata, self->g, "B/3", "A/3");
}

/* What is ignored in one direction is no more than half of it. */
TEST_F(rename, exchanged_after_one_direction)
{
	const __u64 mask = variant->mask;

	ignore_there(_metadata, self->g, mask);
	rename_flags = RENAME_EXCHANGE;
	expect_seen(_metadata, self->g, mask, "A/2", "B/3");
	expect_seen(_metadata, self->g, mask, "B/3", "A/2");

	/* As a rename back is then ignored, too, nothing is left of it. */
	rename_flags = 0;
	ignore_move(_metadata, self->g, mask, "B/1", "A/1");
	rename_flags = RENAME_EXCHANGE;
	expect_ignored(_metadata, self->g, "A/2", "B/3");
}

/* The marks of one directory are enough to be asked, and to ignore it. */
TEST_F(rename, exchanged_with_one_marked)
{
	const __u64 mask = variant->mask;
	struct group *g = group_open(_metadata, 0);

	group_close(self->g);
	rename_flags = RENAME_EXCHANGE;
	mark(_metadata, g, FAN_MARK_ADD, mask, "A");
	expect_seen(_metadata, g, mask, "A/1", "B/3");
	expect_seen(_metadata, g, mask, "B/3", "A/1");
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, mask, "A");
	expect_ignored(_metadata, g, "A/1", "B/3");
	expect_ignored(_metadata, g, "B/3", "A/1");
}

/* Who does not ask about directories is asked if one of the two is something else. */
TEST_F(rename, exchanged_with_directory)
{
	ASSERT_EQ(0, mkdir("A/d", 0755));
	ASSERT_EQ(0, mkdir("B/d", 0755));
	rename_flags = RENAME_EXCHANGE;
	expect_ignored(_metadata, self->g, "A/d", "B/d");
	expect_seen(_metadata, self->g, variant->mask, "A/d", "B/3");
	expect_seen(_metadata, self->g, variant->mask, "A/d", "B/3");
}

/*
 * And who ignores other objects only is asked if one of the two is a directory.
 * Of an answer to that it is the same.
 */
TEST_F(rename, exchanged_with_directory_ignored)
{
	const __u64 mask = variant->mask;
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, mkdir("A/d", 0755));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ONDIR, ".");
	ignore_there(_metadata, self->g, mask);
	ignore_move(_metadata, self->g, mask, "B/1", "A/1");
	rename_flags = RENAME_EXCHANGE;
	expect_ignored(_metadata, self->g, "A/2", "B/3");
	expect_seen(_metadata, self->g, mask, "A/d", "B/3");
	expect_seen(_metadata, self->g, mask, "A/d", "B/3");

	job = rename_start(_metadata, "A/d", "B/3");
	pre = expect_pre_of(_metadata, self->g, mask, 0, job->pid);
	answer(_metadata, self->g, &pre, ALLOW_IGNORE);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_seen(_metadata, self->g, mask, "A/d", "B/3");
}

/* What is moved within A leaves it, and comes to it, which is not ignored. */
TEST_F(rename, within)
{
	ignore_there(_metadata, self->g, variant->mask);
	if (variant->mask & FAN_MOVED_TO)
		expect_seen(_metadata, self->g, FAN_MOVED_TO, "A/2", "A/5");
	else
		expect_ignored(_metadata, self->g, "A/2", "A/5");
	if (variant->mask & FAN_MOVED_FROM)
		expect_seen(_metadata, self->g, FAN_MOVED_FROM, "B/3", "B/5");
	else
		expect_ignored(_metadata, self->g, "B/3", "B/5");
}

/* What is left of it is asked about, and ignoring that is ignoring the rest. */
TEST_F(rename, half)
{
	const __u64 left = variant->mask & FAN_MOVED_TO;

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MOVED_FROM, "A");
	if (left)
		ignore_there(_metadata, self->g, left);
	expect_ignored(_metadata, self->g, "A/2", "B/2");
	expect_seen(_metadata, self->g, variant->mask, "B/3", "A/3");

	/* And to be asked about again is half of it as well. */
	if (!left)
		return;
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_MOVED_TO, "B");
	expect_seen(_metadata, self->g, left, "A/3", "B/3");
}

/* That a directory ignores what it is never asked about is of no matter. */
TEST_F(rename, the_wrong_half)
{
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MOVED_TO, "A");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MOVED_FROM, "B");
	expect_seen(_metadata, self->g, variant->mask, "A/1", "B/1");
	expect_ignored(_metadata, self->g, "B/1", "A/1");
}

/* There is room for the ignore mask of one of them: neither is made. */
TEST_F(rename, no_room_for_one)
{
	struct job *job;
	struct event pre;

	if (!(variant->mask & FAN_MOVED_TO))
		SKIP(return, "it is about one directory");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_OPEN, "A");
	job = rename_start(_metadata, "A/1", "B/1");
	pre = expect_pre_of(_metadata, self->g, variant->mask, 0, job->pid);
	limit_marks_start(_metadata);
	limit_marks(_metadata, 0);
	EXPECT_EQ(-ENOSPC, try_answer(self->g, pre.cookie, ALLOW_IGNORE));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	restore_marks_limit();
	expect_seen(_metadata, self->g, variant->mask, "A/2", "B/2");
}

/* A file system or a mount ignores both, whatever the directories. */
TEST_F(rename, all_of_it)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT | IGNORE,
	     FAN_MOVED_FROM, ".");
	if (variant->mask & FAN_MOVED_TO)
		expect_seen(_metadata, self->g, FAN_MOVED_TO, "A/1", "B/1");
	else
		expect_ignored(_metadata, self->g, "A/1", "B/1");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT | IGNORE,
	     FAN_MOVED_TO, ".");
	expect_ignored(_metadata, self->g, "A/2", "B/2");
}

/* Two marks of one group that are on the directories and on nothing else. */
TEST_F(rename, marks_of_directories)
{
	struct group *g = group_open(_metadata, 0);

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MOVED_FROM, "B");
	mark(_metadata, g, FAN_MARK_ADD, FAN_MOVED_TO, "A");
	expect_ignored(_metadata, g, "A/1", "B/1");
	expect_seen(_metadata, g, MOVED, "B/1", "A/1");
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_MOVED_TO, "B");
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_MOVED_FROM, "A");
	expect_seen(_metadata, g, MOVED, "B/3", "A/3");
}

TEST_HARNESS_MAIN
