// SPDX-License-Identifier: GPL-2.0
/*
 * What users without privileges watch, by inotify, does not make operations that
 * nobody asks about look for those who would: neither once more at their end,
 * nor at each step of the way. What is seen here is how often marks are looked
 * at, and not at how many of them.
 */

#include <sys/inotify.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#define IGNORE	FAN_MARK_IGNORE_SURV

/* --------------------- a change while it is under way -------------------- */

FIXTURE(under_way)
{
	struct group *g;	/* watches the file system, ignores the file */
	struct job *writer;	/* of the file, that has not ended */
};

FIXTURE_SETUP(under_way)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "file");
	self->writer = write_prepare(_metadata, "file", "AS");
}

FIXTURE_TEARDOWN(under_way)
{
	test_end(_metadata);
}

/* It is allowed, and does not go on. */
static void start(struct __test_metadata *const _metadata, struct job *job)
{
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
}

/* Then it ends, and comes to where marks were looked at if it does so again. */
static void finish(struct __test_metadata *const _metadata, struct job *job,
		   bool looks)
{
	hold(_metadata, "marks", job->pid);
	release(_metadata, "begin");
	if (looks)
		wait_held(_metadata, "marks");
	else
		EXPECT_TRUE(job_ended(job, TIMEOUT_MS));
	release(_metadata, "marks");
	EXPECT_EQ(2, job_join(_metadata, job));
}

TEST_F(under_way, nothing)
{
	start(_metadata, self->writer);
	finish(_metadata, self->writer, false);
}

TEST_F(under_way, inotify)
{
	/* Not for what is done here, which would be looked for as well. */
	const __u32 mask = IN_DELETE_SELF | IN_ATTRIB;
	const int fd = inotify_init1(IN_NONBLOCK);
	int wd[2];

	ASSERT_LE(0, fd);
	put_file(_metadata, "other", "");
	wd[0] = inotify_add_watch(fd, "other", mask);
	ASSERT_LE(0, wd[0]);
	start(_metadata, self->writer);
	wd[1] = inotify_add_watch(fd, ".", mask);
	ASSERT_LE(0, wd[1]);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, inotify_rm_watch(fd, wd[i]));
	finish(_metadata, self->writer, false);

	/* With a watch of the directory all the time, and many of the file. */
	ASSERT_LE(0, inotify_add_watch(fd, ".", mask));
	ASSERT_LE(0, inotify_add_watch(fd, "file", mask));
	self->writer = write_prepare(_metadata, "file", "AS");
	start(_metadata, self->writer);
	finish(_metadata, self->writer, false);
	close(fd);
}

/* Marks of a group of another class, which user space has in any number. */
TEST_F(under_way, older_class)
{
	struct group *older = class_open(_metadata, FAN_CLASS_NOTIF);

	put_file(_metadata, "other", "");
	start(_metadata, self->writer);
	mark(_metadata, older, FAN_MARK_ADD, FAN_OPEN, "other");
	mark(_metadata, older, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_OPEN,
	     "other");
	mark(_metadata, older, FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK,
	     FAN_OPEN, "other");
	mark(_metadata, older, FAN_MARK_FLUSH | FAN_MARK_IGNORE, 0, ".");
	mark(_metadata, older, FAN_MARK_FLUSH, 0, ".");
	finish(_metadata, self->writer, false);
	group_close(older);
}

/* Inodes that are ignored go, as memory is needed: no one is at work on them. */
TEST_F(under_way, evicted)
{
	mark_files(_metadata, self->g, IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY,
		   0, 10);
	ASSERT_EQ(11, count_marks(_metadata, self->g, "ino"));
	start(_metadata, self->writer);
	ASSERT_TRUE(EVENTUALLY(({
		evict_inodes(_metadata);
		count_marks(_metadata, self->g, "ino") == 1;
	})));
	finish(_metadata, self->writer, false);
}

/* What does count: some group could be told more. */
TEST_F(under_way, more)
{
	struct group *other = group_open(_metadata, 0);

	put_file(_metadata, "other", "");
	start(_metadata, self->writer);
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "other");
	finish(_metadata, self->writer, true);

	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_MODIFY, "other");
	self->writer = write_prepare(_metadata, "file", "AS");
	start(_metadata, self->writer);
	mark(_metadata, self->g, FAN_MARK_REMOVE | IGNORE, FAN_MODIFY, "other");
	finish(_metadata, self->writer, true);
}

/* ------------------------------ all the way ------------------------------ */

#define WATCHERS	64

/* What they watch: nothing, the directory, and the file as well. */
#define STATES		3

FIXTURE(others)
{
	struct group *g;
	int fd;			/* of the file */
	int inotify[WATCHERS];
};

FIXTURE_SETUP(others)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	ASSERT_EQ(0, mkdir("dir", 0755));
	put_file(_metadata, "dir/file", "content");
	self->fd = open("dir/file", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	for (int i = 0; i < WATCHERS; i++) {
		self->inotify[i] = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		ASSERT_LE(0, self->inotify[i]);
	}
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(others)
{
	test_end(_metadata);
}

static void watch_more(struct __test_metadata *const _metadata,
		       const int *inotify, int state)
{
	static const char *const paths[STATES] = { NULL, "dir", "dir/file" };
	/* For something else than what is done here. */
	const __u32 mask = IN_DELETE_SELF | IN_ATTRIB;

	snprintf(row, sizeof(row), "state %d", state);
	for (int i = 0; i < WATCHERS && paths[state]; i++)
		ASSERT_LE(0, inotify_add_watch(inotify[i], paths[state], mask));
}

static long read_byte(void *arg)
{
	char c;

	return pread(*(int *)arg, &c, 1, 0);
}

/* It ends, and does not come to where it is held. */
static void expect_passes(struct __test_metadata *const _metadata,
			  struct job *job)
{
	EXPECT_TRUE(job_ended(job, TIMEOUT_MS));
	release_all();
	EXPECT_EQ(1, job_join(_metadata, job));
}

/* What no filter asks about does not look at marks, whoever has some there. */
TEST_F(others, nobody_asks)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ATTRIB,
	     ".");
	for (int state = 0; state < STATES; state++) {
		struct job *job = job_prepare(_metadata, read_byte, &self->fd);

		watch_more(_metadata, self->inotify, state);
		hold(_metadata, "look", job->pid);
		hold(_metadata, "marks", job->pid);
		job_go(_metadata, job);
		expect_passes(_metadata, job);
	}
}

/* What is ignored looks at them once, and at its end not. */
TEST_F(others, ignored)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ACCESS,
	     ".");
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE, FAN_ACCESS, "dir/file");
	for (int state = 0; state < STATES; state++) {
		struct job *job = job_prepare(_metadata, read_byte, &self->fd);
		const pid_t pid = job->pid;

		watch_more(_metadata, self->inotify, state);
		hold(_metadata, "look", pid);
		job_go(_metadata, job);
		wait_held(_metadata, "look");
		hold(_metadata, "marks", pid);
		release(_metadata, "look");
		wait_held(_metadata, "marks");
		hold(_metadata, "begin", pid);
		release(_metadata, "marks");
		wait_held(_metadata, "begin");
		hold(_metadata, "look", pid);
		hold(_metadata, "marks", pid);
		release(_metadata, "begin");
		expect_passes(_metadata, job);
	}
}

/* Who is asked comes first, and what comes after that is not looked at. */
TEST_F(others, asked)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_ACCESS,
	     ".");
	for (int state = 0; state < STATES; state++) {
		struct event pre;
		struct job *job;

		watch_more(_metadata, self->inotify, state);
		job = job_start(_metadata, read_byte, &self->fd);
		pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0,
				    job->pid);
		hold(_metadata, "marks", job->pid);
		allow(_metadata, self->g, &pre);
		expect_passes(_metadata, job);
		expect_post_of(_metadata, self->g, &pre, 1);
	}
}

TEST_HARNESS_MAIN
