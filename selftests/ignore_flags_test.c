// SPDX-License-Identifier: GPL-2.0
/*
 * Of a directory, an answer ignores one event, of what is a directory or of what
 * is not. The flags of other ignore masks of it are not for that one, nor is it
 * for them.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#define IGNORE		FAN_MARK_IGNORE_SURV
#define ALLOW_IGNORE	(FAN_ALLOW | FAN_RESPONSE_IGNORE)

FIXTURE(flags)
{
	struct group *g;
};

FIXTURE_SETUP(flags)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	ASSERT_EQ(0, mkdir("D", 0755));
	put_file(_metadata, "D/file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_CREATE | FAN_ATTRIB | FAN_DELETE | FAN_ONDIR, ".");
}

FIXTURE_TEARDOWN(flags)
{
	test_end(_metadata);
}

static long do_chmod(void *arg)
{
	return chmod(arg, 0700);
}

static long do_mkdir(void *arg)
{
	return mkdir(arg, 0755);
}

static long do_rmdir(void *arg)
{
	return rmdir(arg);
}

static long do_mknod(void *arg)
{
	return mknod(arg, S_IFREG | 0644, 0);
}

/* The group is asked about it, and answers with @verdict. */
static void expect_answer(struct __test_metadata *const _metadata,
			  struct group *g, __u64 what, __u32 verdict,
			  job_fn fn, char *path)
{
	struct job *job = job_start(_metadata, fn, path);
	const struct event pre = event_next(_metadata, g);

	ASSERT_EQ(FAN_PRE(what & ~FAN_ONDIR) | (what & FAN_ONDIR), pre.mask);
	answer(_metadata, g, &pre, verdict);
	EXPECT_EQ(0, job_join(_metadata, job));
	if (verdict == FAN_ALLOW) {
		const struct event post = event_next(_metadata, g);

		EXPECT_EQ(plain_event(&pre), plain_event(&post));
		EXPECT_EQ(pre.cookie, post.cookie);
	}
	expect_silence(_metadata, g);
}

static void expect_none(struct __test_metadata *const _metadata,
			struct group *g, job_fn fn, char *path)
{
	EXPECT_EQ(0, job_join(_metadata, job_start(_metadata, fn, path)));
	expect_silence(_metadata, g);
}

/* Directories that are made, and files, are two things to be ignored, */
TEST_F(flags, of_directories)
{
	const unsigned int remove = FAN_MARK_REMOVE | IGNORE;
	struct group *g = self->g;

	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "D/1");
	expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_CREATE));
	expect_answer(_metadata, g, FAN_ATTRIB | FAN_ONDIR, ALLOW_IGNORE,
		      do_chmod, "D");
	expect_mark(_metadata, g, "ino", 0,
		    FAN_BOTH(FAN_CREATE | FAN_ATTRIB) | FAN_ONDIR);
	expect_none(_metadata, g, do_mknod, "D/2");
	expect_none(_metadata, g, do_chmod, "D");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/3");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, ALLOW_IGNORE,
		      do_mkdir, "D/4");
	expect_none(_metadata, g, do_mkdir, "D/5");
	expect_none(_metadata, g, do_mknod, "D/6");

	/* as long as no one takes that back, of one event or of all. */
	mark(_metadata, g, remove, FAN_ATTRIB, "D");
	expect_none(_metadata, g, do_mkdir, "D/7");
	expect_answer(_metadata, g, FAN_ATTRIB | FAN_ONDIR, ALLOW_IGNORE,
		      do_chmod, "D");
	mark(_metadata, g, remove, FAN_ONDIR | FAN_ACCESS, "D");
	expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_CREATE | FAN_ATTRIB));
	expect_none(_metadata, g, do_mknod, "D/8");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/9");
	expect_answer(_metadata, g, FAN_ATTRIB | FAN_ONDIR, FAN_ALLOW, do_chmod,
		      "D");
	mark(_metadata, g, remove, FAN_CREATE | FAN_ATTRIB, "D");
	expect_mark(_metadata, g, "ino", 0, 0);
}

/* The flags of what user space ignores are not for what an answer ignores, */
TEST_F(flags, of_others)
{
	const unsigned int add = FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE;
	struct group *g = self->g;

	mark(_metadata, g, add,
	     FAN_DELETE | FAN_ONDIR | FAN_EVENT_ON_CHILD, "D");
	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "D/1");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/2");
	expect_answer(_metadata, g, FAN_ATTRIB | FAN_ONDIR, ALLOW_IGNORE,
		      do_chmod, "D");
	expect_answer(_metadata, g, FAN_ATTRIB, FAN_ALLOW, do_chmod, "D/file");
	expect_none(_metadata, g, do_chmod, "D");

	/* but are for what it ignores, now or before. */
	expect_none(_metadata, g, do_rmdir, "D/2");
	mark(_metadata, g, add, FAN_ATTRIB, "D");
	expect_none(_metadata, g, do_chmod, "D/file");
	mark(_metadata, g, add, FAN_CREATE, "D");
	expect_none(_metadata, g, do_mkdir, "D/3");
}

/* Half of an event that user space ignores, with its flags, is not all of it. */
TEST_F(flags, of_half)
{
	const unsigned int add = FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE;
	struct group *g = self->g;

	mark(_metadata, g, add, FAN_POST(FAN_CREATE) | FAN_ONDIR, "D");
	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "D/1");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/2");
	mark(_metadata, g, add, FAN_POST(FAN_CREATE), "D");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/3");
	mark(_metadata, g, add, FAN_CREATE, "D");
	expect_none(_metadata, g, do_mkdir, "D/4");
}

/* And half of one that an answer ignores of directories, if taken back, is ours. */
TEST_F(flags, half_of_directories)
{
	const unsigned int add = FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE;
	struct group *g = self->g;

	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, ALLOW_IGNORE,
		      do_mkdir, "D/1");
	mark(_metadata, g, FAN_MARK_REMOVE | IGNORE, FAN_PRE(FAN_CREATE), "D");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/2");
	mark(_metadata, g, add, FAN_PRE(FAN_CREATE), "D");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/3");
	expect_none(_metadata, g, do_mknod, "D/4");
}

static long do_flush(void *arg)
{
	const struct group *g = arg;

	return sys_fanotify_mark(g->fd, FAN_MARK_FLUSH, 0, AT_FDCWD, ".");
}

/* What an answer adds to while it is flushed has nothing of what it was. */
TEST_F(flags, flushed_meanwhile)
{
	struct group *g = self->g;
	struct job *job;

	REQUIRE_HOLDS();
	ASSERT_EQ(0, mkdir("E", 0755));
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, ALLOW_IGNORE,
		      do_mkdir, "D/1");
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, ALLOW_IGNORE,
		      do_mkdir, "E/1");

	/* The marks are freed one by one: the last one that was added first. */
	job = __job_prepare(_metadata, do_flush, g, true);
	hold(_metadata, "free", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "free");
	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "D/2");
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_answer(_metadata, g, FAN_CREATE | FAN_ONDIR, FAN_ALLOW, do_mkdir,
		      "D/3");
}

/* Nor does a mark come back that pinned its inode. */
TEST_F(flags, flushed_pinned)
{
	struct group *g = self->g;
	struct job *job;

	REQUIRE_HOLDS();
	ASSERT_EQ(0, mkdir("E", 0755));
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_DELETE, "D");
	mark(_metadata, g, FAN_MARK_ADD | IGNORE, FAN_DELETE, "E");
	job = __job_prepare(_metadata, do_flush, g, true);
	hold(_metadata, "free", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "free");
	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "D/1");
	expect_answer(_metadata, g, FAN_CREATE, ALLOW_IGNORE, do_mknod, "E/1");
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_none(_metadata, g, do_mknod, "D/2");
	EXPECT_EQ(2, count_marks(_metadata, g, "ino"));
	EXPECT_NE(0U, mark_flags(_metadata, g, "ino") & FAN_MARK_EVICTABLE);
}

TEST_HARNESS_MAIN
