// SPDX-License-Identifier: GPL-2.0
/*
 * Marks of groups that fail closed, which change while others take over, or while
 * the group is closed: what is not in effect covers nothing, and what was left
 * closed remains closed.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"
#include "sentinels.h"
#include "stages.h"

FIXTURE(sentinel_marks)
{
	struct group *g;
};

FIXTURE_SETUP(sentinel_marks)
{
	REQUIRE_CLASS();
	self->g = sentinels_start(_metadata);
	REQUIRE_HOLDS();
}

FIXTURE_TEARDOWN(sentinel_marks)
{
	lift_all();
	test_end(_metadata);
}

struct mark_args {
	const struct group *g;
	__u64 mask;
};

static long do_mark(void *arg)
{
	const struct mark_args *args = arg;

	return sys_fanotify_mark(args->g->fd, FILESYSTEM, args->mask, AT_FDCWD,
				 ".");
}

static struct job *mark_prepare(struct __test_metadata *const _metadata,
				struct group *g, __u64 mask)
{
	struct mark_args args = { .g = g, .mask = mask };

	return __job_prepare(_metadata, do_mark, &args, true);
}

/* Someone adds to the mark of the group, and is held at this point. */
static struct job *mark_and_hold(struct __test_metadata *const _metadata,
				 struct group *g, __u64 mask,
				 const char *point)
{
	struct job *job = mark_prepare(_metadata, g, mask);

	hold(_metadata, point, job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, point);
	return job;
}

/*
 * What is added to a mark after it was waited for is not in effect yet: who has
 * looked at that mark before comes to the sentinel's after it.
 */
static void add_while_it_takes_over(struct __test_metadata *const _metadata,
				    struct group *by, __u64 mask, bool removed)
{
	struct job *first, *second, *job;
	struct group *g;

	/* It is asked after the other, which is older. */
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FILESYSTEM, FAN_ATTRIB, ".");
	mark(_metadata, by, FILESYSTEM, FAN_MODIFY, ".");
	group_close(g);
	EXPECT_EQ(1, count_sentinels());

	second = mark_prepare(_metadata, by, FAN_ATTRIB);
	first = mark_and_hold(_metadata, by, mask, "takeover");
	if (removed)
		mark(_metadata, by, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, mask,
		     ".");
	job = job_prepare(_metadata, change_mode, "file");
	hold(_metadata, "marks", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "marks");
	job_go(_metadata, second);
	expect_blocked(_metadata, second);
	release(_metadata, "takeover");
	EXPECT_EQ(0, job_join(_metadata, first));
	EXPECT_EQ(1, count_sentinels());
	release(_metadata, "marks");
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_EQ(0, job_join(_metadata, second));
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
	EXPECT_EQ(0, chmod("file", 0600));
}

TEST_F(sentinel_marks, added_while_it_takes_over)
{
	add_while_it_takes_over(_metadata, self->g, FAN_ACCESS, false);
}

/* What was in effect, and is removed and added again, is not until it is anew. */
TEST_F(sentinel_marks, removed_and_added_while_it_takes_over)
{
	add_while_it_takes_over(_metadata, self->g, FAN_ATTRIB, true);
}

static long mark_and_close(void *arg __maybe_unused)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_FAIL_CLOSED,
					 0);

	if (fd < 0 ||
	    sys_fanotify_mark(fd, FILESYSTEM, FAN_MODIFY, AT_FDCWD, ".") ||
	    sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "file"))
		return -1;
	return close(fd);
}

/* It is a sentinel, and can be taken over, before its marks on inodes are gone. */
TEST_F(sentinel_marks, with_marks_of_inodes)
{
	struct job *job = job_prepare(_metadata, mark_and_close, NULL);

	hold(_metadata, "free", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "free");
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(1, count_sentinels());
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	EXPECT_EQ(0, count_sentinels());
	EXPECT_EQ(0, try_write());
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(0, try_write());
}

/* What one thread takes over is not kept back by what others add meanwhile. */
static void take_over_with(struct __test_metadata *const _metadata,
			   struct group *by, __u64 mask)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *first, *second, *job;
	struct event pre;

	mark(_metadata, g, FILESYSTEM, FAN_ATTRIB, ".");
	group_close(g);
	EXPECT_EQ(1, count_sentinels());
	mark(_metadata, by, FILESYSTEM, FAN_MODIFY, ".");

	second = mark_prepare(_metadata, by, mask);
	first = mark_and_hold(_metadata, by, FAN_ATTRIB, "takeover");
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "marks", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "marks");
	job_go(_metadata, second);
	expect_blocked(_metadata, second);
	release(_metadata, "takeover");
	/* Its memory is freed when no one can be looking at it any more. */
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
	release(_metadata, "marks");
	EXPECT_EQ(0, job_join(_metadata, first));
	pre = expect_pre(_metadata, by, job->pid);
	allow(_metadata, by, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, by, &pre, 2);
	EXPECT_EQ(0, job_join(_metadata, second));
}

TEST_F(sentinel_marks, taken_over_while_something_is_added)
{
	take_over_with(_metadata, self->g, FAN_ACCESS);
}

TEST_F(sentinel_marks, taken_over_while_the_same_is_added)
{
	take_over_with(_metadata, self->g, FAN_ATTRIB);
}

/* What was in effect is, though others add it again. */
TEST_F(sentinel_marks, taken_over_while_more_is_added_again)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *job;

	mark(_metadata, g, FILESYSTEM, FAN_ATTRIB | FAN_ACCESS, ".");
	mark(_metadata, self->g, FILESYSTEM, FAN_ATTRIB, ".");
	group_close(g);
	EXPECT_EQ(1, count_sentinels());

	job = mark_and_hold(_metadata, self->g, FAN_ATTRIB, "register");
	mark(_metadata, self->g, FILESYSTEM, FAN_ACCESS, ".");
	EXPECT_EQ(0, count_sentinels());
	release(_metadata, "register");
	EXPECT_EQ(0, job_join(_metadata, job));
}

static void remove_other_event(struct __test_metadata *const _metadata,
			       struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

static void remove_ignored(struct __test_metadata *const _metadata,
			   struct group *g)
{
	mark(_metadata, g,
	     FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV | FAN_MARK_FILESYSTEM,
	     FAN_ATTRIB, ".");
}

static void unmount_other(struct __test_metadata *const _metadata,
			  struct group *g __maybe_unused)
{
	EXPECT_EQ(0, umount("other"));
}

/* Nor does it matter that something else goes while it is taken over. */
TEST_F(sentinel_marks, taken_over_while_others_go)
{
	void (*const lose[])(struct __test_metadata *const _metadata,
			     struct group *g) = {
		remove_other_event, remove_ignored, unmount_other,
	};

	ASSERT_EQ(0, mkdir("other", 0755));
	FOR_EACH_ROW(i, lose) {
		struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
		struct group *by = group_open(_metadata, FAN_FAIL_CLOSED);
		struct job *first, *second;

		snprintf(row, sizeof(row), "%zu", i);
		ASSERT_EQ(0, mount("other", "other", "tmpfs", 0, NULL));
		mark(_metadata, g, FILESYSTEM, FAN_ATTRIB, ".");
		mark(_metadata, by, FILESYSTEM, FAN_MODIFY, ".");
		mark(_metadata, by, FILESYSTEM | FAN_MARK_IGNORE_SURV,
		     FAN_ATTRIB, ".");
		mark(_metadata, by, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
		     "other");
		group_close(g);
		EXPECT_EQ(1, count_sentinels());

		first = mark_and_hold(_metadata, by, FAN_ATTRIB, "takeover");
		lose[i](_metadata, by);
		second = mark_and_hold(_metadata, by, FAN_ATTRIB, "register");
		release(_metadata, "takeover");
		EXPECT_EQ(0, job_join(_metadata, first));
		EXPECT_EQ(0, count_sentinels());
		release(_metadata, "register");
		EXPECT_EQ(0, job_join(_metadata, second));
		group_close(by);
		lift_all();
		umount("other");
	}
	row[0] = '\0';
}

/* What waits to be added is not in effect because others had added it. */
TEST_F(sentinel_marks, removed_before_it_is_added)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *first, *second, *job;

	mark(_metadata, g, FILESYSTEM, FAN_ATTRIB | FAN_ACCESS, ".");
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	group_close(g);
	EXPECT_EQ(1, count_sentinels());

	second = mark_and_hold(_metadata, self->g, FAN_ATTRIB, "register");
	mark(_metadata, self->g, FILESYSTEM, FAN_ATTRIB, ".");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	     FAN_ATTRIB, ".");
	first = mark_and_hold(_metadata, self->g, FAN_ACCESS, "takeover");
	job = job_prepare(_metadata, change_mode, "file");
	hold(_metadata, "marks", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "marks");
	release(_metadata, "register");
	expect_blocked(_metadata, second);
	expect_mark(_metadata, self->g, "sdev",
		    FAN_BOTH(FAN_ATTRIB | FAN_ACCESS | FAN_MODIFY), 0);
	release(_metadata, "takeover");
	EXPECT_EQ(0, job_join(_metadata, first));
	EXPECT_EQ(1, count_sentinels());
	release(_metadata, "marks");
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_EQ(0, job_join(_metadata, second));
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

static long mark_and_flush(void *arg __maybe_unused)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_FAIL_CLOSED,
					 0);

	if (fd < 0 ||
	    sys_fanotify_mark(fd, FILESYSTEM, FAN_MODIFY, AT_FDCWD, "."))
		return -1;
	reach(1);
	return sys_fanotify_mark(fd, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0,
				 AT_FDCWD, NULL);
}

/* Who is killed in the middle of a flush, and found to be on the way out. */
TEST_F(sentinel_marks, flushed_by_who_was_killed)
{
	struct job *listener, *job;

	stages_start(_metadata);
	listener = job_start(_metadata, mark_and_flush, NULL);
	wait_reached(_metadata, 1);
	job = write_start(_metadata, "file", "ab");
	expect_blocked(_metadata, job);
	hold(_metadata, "register", listener->pid);
	go_on(1);
	wait_held(_metadata, "register");
	ASSERT_EQ(0, kill(listener->pid, SIGKILL));
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_TRUE(EVENTUALLY(count_sentinels() == 1));
	release(_metadata, "register");
	job_kill(_metadata, listener, SIGKILL);
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(1, count_sentinels());
}

static long lift_one(void *arg __maybe_unused)
{
	struct sentinel s;

	return read_sentinels(&s) == 1 ? lift(s.id) : -1;
}

/* By the time that it is not listed any more, it closes nothing. */
TEST_F(sentinel_marks, looked_for_while_it_is_lifted)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *job = job_prepare(_metadata, lift_one, NULL);

	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, ".");
	/* It is newer, so its turn to go comes first. */
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_POST(FAN_MODIFY),
	     ".");
	group_close(g);
	EXPECT_EQ(EIO, try_write());

	hold(_metadata, "free", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "free");
	EXPECT_EQ(0, count_sentinels());
	EXPECT_EQ(0, try_write());
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, job));
}

static long flush_mounts(void *arg __maybe_unused)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_FAIL_CLOSED,
					 0);

	if (fd < 0 ||
	    sys_fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
			      AT_FDCWD, "."))
		return -1;
	return sys_fanotify_mark(fd, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0,
				 AT_FDCWD, NULL);
}

static long mark_an_inode(void *arg)
{
	const struct group *g = arg;

	return sys_fanotify_mark(g->fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD,
				 "file") ||
	       sys_fanotify_mark(g->fd, FAN_MARK_REMOVE, FAN_MODIFY, AT_FDCWD,
				 "file");
}

/* Marks of inodes take nothing over, and wait for none who does. */
TEST_F(sentinel_marks, of_inodes_while_others_flush)
{
	struct job *flush = job_prepare(_metadata, flush_mounts, NULL);
	struct job *job;

	hold(_metadata, "free", flush->pid);
	job_go(_metadata, flush);
	wait_held(_metadata, "free");
	job = __job_prepare(_metadata, mark_an_inode, self->g, true);
	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, flush));
}

TEST_HARNESS_MAIN
