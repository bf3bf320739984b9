// SPDX-License-Identifier: GPL-2.0
/*
 * An answer holds for the object that was asked about. A name is looked up to
 * ask, and again when its directory is locked: here it stands for something
 * else by then, and that has to be asked about anew.
 */

#include <linux/fs.h>

#include "fs.h"
#include "group.h"
#include "hold.h"

FIXTURE(exchange)
{
	struct group *g;
};

FIXTURE_SETUP(exchange)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	REQUIRE_HOLDS();
	put_file(_metadata, "file", "one");
	put_file(_metadata, "file2", "two");
	put_file(_metadata, "new", "three");
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("dir2", 0755));
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(exchange)
{
	test_end(_metadata);
}

static long do_unlink(void *arg)
{
	(void)arg;
	return unlink("file");
}

static long do_rmdir(void *arg)
{
	(void)arg;
	return rmdir("dir");
}

static long do_rename(void *arg)
{
	(void)arg;
	return rename("file", "moved");
}

static long do_replace(void *arg)
{
	(void)arg;
	return rename("new", "file");
}

static long do_exchange(void *arg)
{
	(void)arg;
	return renameat2(AT_FDCWD, "new", AT_FDCWD, "file", RENAME_EXCHANGE);
}

static long do_mkdir(void *arg)
{
	(void)arg;
	return mkdir("dir", 0755);
}

static const struct row {
	const char *what;
	job_fn fn;
	__u64 event;
	const char *name;	/* what it is about, and is exchanged ... */
	const char *other;	/* ... with this one */
	const char *object;	/* whose handle is reported */
	__u32 flags;		/* of its end, if that is a success */
} rows[] = {
	{ "unlink", do_unlink, FAN_DELETE, "file", "file2", "file",
	  FAN_OP_LAST_LINK },
	{ "rmdir", do_rmdir, FAN_DELETE | FAN_ONDIR, "dir", "dir2", "dir",
	  FAN_OP_LAST_LINK },
	{ "source of a rename", do_rename, FAN_MOVE, "file", "file2", "file",
	  0 },
	{ "victim of a rename", do_replace, FAN_MOVE, "file", "file2", "new",
	  FAN_OP_LAST_LINK },
	{ "exchange", do_exchange, FAN_MOVE, "file", "file2", "new", 0 },
};

/* The job asks about an object, which it has to be about at that time. */
static void expect_question(struct __test_metadata *const _metadata,
			    const struct event *ev, const struct row *r,
			    const struct fid *object)
{
	const __u64 ondir = r->event & FAN_ONDIR;

	EXPECT_EQ(FAN_PRE(r->event & ~ondir) | ondir, ev->mask);
	EXPECT_TRUE(same_fid(object, &ev->fid));
}

static void expect_end(struct __test_metadata *const _metadata,
		       const struct event *ev, const struct event *pre,
		       long result, __u32 flags)
{
	EXPECT_NE(0ULL, ev->mask & ALL_POST);
	EXPECT_EQ(pre->cookie, ev->cookie);
	EXPECT_EQ(result, ev->result);
	EXPECT_EQ(flags, ev->flags);
}

/*
 * The end of what was asked about first, and the next question. That can be
 * read before the end, as questions come before all else.
 */
static struct event next_question(struct __test_metadata *const _metadata,
				  struct group *g, const struct event *first,
				  long result)
{
	const struct event a = event_next(_metadata, g);
	const struct event b = event_next(_metadata, g);
	const bool in_order = a.mask & ALL_POST;

	expect_end(_metadata, in_order ? &a : &b, first, result, 0);
	return in_order ? b : a;
}

/* The name stands for what it stood for before, or for the other one. */
static void exchange_names(struct __test_metadata *const _metadata,
			   const struct row *r)
{
	ASSERT_EQ(0, renameat2(AT_FDCWD, r->name, AT_FDCWD, r->other,
			       RENAME_EXCHANGE));
}

static struct job *start_exchanged(struct __test_metadata *const _metadata,
				   struct group *g, const struct row *r,
				   struct event *pre)
{
	struct fid fid = fid_of(_metadata, r->object);
	struct job *job = job_prepare(_metadata, r->fn, NULL);
	struct event first;

	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	first = event_next(_metadata, g);
	expect_question(_metadata, &first, r, &fid);
	allow(_metadata, g, &first);
	wait_held(_metadata, "begin");
	exchange_names(_metadata, r);
	release(_metadata, "begin");

	/* What was allowed has not been done, and that is said. */
	*pre = next_question(_metadata, g, &first, -EAGAIN);
	fid = fid_of(_metadata, r->object);
	expect_question(_metadata, pre, r, &fid);
	EXPECT_LT(first.cookie, pre->cookie);
	return job;
}

static void mark_all(struct __test_metadata *const _metadata, struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_DELETE | FAN_MOVE | FAN_CREATE | FAN_ONDIR, ".");
}

TEST_F(exchange, other_object_is_denied)
{
	struct event pre;
	struct job *job;

	mark_all(_metadata, self->g);
	FOR_EACH_ROW(i, rows) {
		snprintf(row, sizeof(row), "%s", rows[i].what);
		job = start_exchanged(_metadata, self->g, &rows[i], &pre);
		answer(_metadata, self->g, &pre, FAN_DENY);
		EXPECT_EQ(-EPERM, job_join(_metadata, job));

		/* All are there, with the names of the two exchanged. */
		exchange_names(_metadata, &rows[i]);
		expect_content(_metadata, "file", "one");
		expect_content(_metadata, "file2", "two");
		expect_content(_metadata, "new", "three");
		EXPECT_EQ(0, access("dir", F_OK));
		EXPECT_EQ(0, access("dir2", F_OK));
	}
}

/* It is done to what was asked about last. */
TEST_F(exchange, other_object_is_allowed)
{
	struct event pre, post;
	struct job *job;

	mark_all(_metadata, self->g);
	job = start_exchanged(_metadata, self->g, &rows[0], &pre);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	expect_end(_metadata, &post, &pre, 0, rows[0].flags);

	EXPECT_EQ(-1, access("file", F_OK));
	expect_content(_metadata, "file2", "one");
}

/* All names as at the start of a test, whatever was done to them. */
static void names_reset(struct __test_metadata *const _metadata)
{
	static const char *const files[] = { "file", "file2", "new", "moved" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		unlink(files[i]);
		rmdir(files[i]);
	}
	unlink("dir");
	rmdir("dir");
	rmdir("dir2");
	put_file(_metadata, "file", "one");
	put_file(_metadata, "file2", "two");
	put_file(_metadata, "new", "three");
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("dir2", 0755));
}

/*
 * Allows what is asked about for the first and the second time, and exchanges
 * the names after that. Returns the last question, which is about whatever has
 * the name.
 */
static struct event exchange_twice(struct __test_metadata *const _metadata,
				   struct group *g, struct job *job,
				   const struct row *r)
{
	struct event pre, last;

	object_unknown = true;
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	pre = event_next(_metadata, g);
	for (int i = 0; i < 2; i++) {
		EXPECT_NE(0ULL, pre.records & RECORD_FID);
		allow(_metadata, g, &pre);
		wait_held(_metadata, "begin");
		exchange_names(_metadata, r);
		release(_metadata, "begin");
		last = next_question(_metadata, g, &pre, -EAGAIN);
		EXPECT_LT(pre.cookie, last.cookie);
		pre = last;
		/* Before the answer, it does not get there. */
		hold(_metadata, "begin", job->pid);
	}
	EXPECT_EQ(0ULL, pre.records & RECORD_FID);
	allow(_metadata, g, &pre);
	wait_held(_metadata, "begin");
	exchange_names(_metadata, r);
	return pre;
}

/* Who changes the name all the time does not keep others from using it. */
TEST_F(exchange, all_the_time)
{
	struct event pre, post;
	struct fid fid;
	struct job *job;

	mark_all(_metadata, self->g);
	FOR_EACH_ROW(i, rows) {
		snprintf(row, sizeof(row), "%s", rows[i].what);
		names_reset(_metadata);
		job = job_prepare(_metadata, rows[i].fn, NULL);
		pre = exchange_twice(_metadata, self->g, job, &rows[i]);
		fid = fid_of(_metadata, rows[i].object);
		release(_metadata, "begin");
		EXPECT_EQ(0, job_join(_metadata, job));

		/* In the end it is told what it was. */
		post = event_next(_metadata, self->g);
		expect_end(_metadata, &post, &pre, 0, rows[i].flags);
		EXPECT_EQ(plain_event(&pre), plain_event(&post));
		EXPECT_TRUE(same_fid(&fid, &post.fid));
	}
}

/* Others may have to be asked about a directory than about a file. */
TEST_F(exchange, kind_changes_all_the_time)
{
	static const struct row r = {
		"rename", do_rename, FAN_MOVE, "file", "dir", "file", 0
	};
	struct event pre, post;
	struct job *job;

	mark_all(_metadata, self->g);
	job = job_prepare(_metadata, do_rename, NULL);
	pre = exchange_twice(_metadata, self->g, job, &r);
	release(_metadata, "begin");
	EXPECT_EQ(-EBUSY, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	expect_end(_metadata, &post, &pre, -EBUSY, 0);
}

#ifndef F_SETDELEG
#define F_SETDELEG	(1024 + 16)	/* F_LINUX_SPECIFIC_BASE ... */
#endif

/* As struct delegation of linux/fcntl.h, which fcntl.h is in the way of. */
struct deleg {
	__u32 flags;
	__u16 type;
	__u16 pad;
};

static int set_deleg(int fd, __u16 type)
{
	struct deleg deleg = { .type = type };

	return fcntl(fd, F_SETDELEG, &deleg);
}

/*
 * Who holds delegations of the directory, and returns them each time, has others
 * asked again, but about the same object: so it is told each time.
 */
TEST_F(exchange, delegated)
{
	const struct fid fid = fid_of(_metadata, "dir");
	const int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct event pre, post;
	struct job *job;

	ASSERT_LE(0, fd);
	signal(SIGIO, SIG_IGN);
	if (set_deleg(fd, F_RDLCK))
		SKIP(return, "no delegations of directories");
	mark_all(_metadata, self->g);
	job = job_start(_metadata, do_rmdir, NULL);
	for (int i = 0; i < 4; i++) {
		pre = event_next(_metadata, self->g);
		expect_question(_metadata, &pre, &rows[1], &fid);
		allow(_metadata, self->g, &pre);
		post = event_next(_metadata, self->g);
		expect_end(_metadata, &post, &pre, -EAGAIN, 0);
		ASSERT_EQ(0, set_deleg(fd, F_UNLCK));
		if (i < 3) {
			ASSERT_TRUE(EVENTUALLY(group_readable(self->g, 0)));
			ASSERT_EQ(0, set_deleg(fd, F_RDLCK));
		}
	}
	pre = event_next(_metadata, self->g);
	expect_question(_metadata, &pre, &rows[1], &fid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	expect_end(_metadata, &post, &pre, 0, rows[1].flags);
	close(fd);
}

/* What is removed by someone else in between is not there to be asked about. */
TEST_F(exchange, gone)
{
	const struct fid fid = fid_of(_metadata, "file");
	struct event pre, post;
	struct job *job;

	mark_all(_metadata, self->g);
	job = job_prepare(_metadata, do_unlink, NULL);
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	pre = event_next(_metadata, self->g);
	expect_question(_metadata, &pre, &rows[0], &fid);
	allow(_metadata, self->g, &pre);
	wait_held(_metadata, "begin");
	ASSERT_EQ(0, unlink("file"));
	release(_metadata, "begin");
	EXPECT_EQ(-ENOENT, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	expect_end(_metadata, &post, &pre, -ENOENT, 0);
}

/*
 * A name that was taken when it was looked up is free when the directory is
 * locked. There was nothing to ask about then, and there is now.
 */
TEST_F(exchange, name_becomes_free)
{
	struct event lookup, create;
	struct job *job;

	ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", 0, "2"));
	mark(_metadata, self->g, FAN_MARK_ADD,
	     FAN_ACCESS | FAN_CREATE | FAN_ONDIR, ".");
	job = job_prepare(_metadata, do_mkdir, NULL);
	hold(_metadata, "end", job->pid);
	job_go(_metadata, job);

	lookup = event_next(_metadata, self->g);
	ASSERT_EQ(FAN_PRE(FAN_ACCESS) | FAN_ONDIR, lookup.mask);
	EXPECT_STREQ("dir", lookup.name);
	allow(_metadata, self->g, &lookup);

	/* It has found the name, and has not locked the directory. */
	wait_held(_metadata, "end");
	ASSERT_EQ(0, rmdir("dir"));
	release(_metadata, "end");
	create = next_question(_metadata, self->g, &lookup, 0);
	ASSERT_EQ(FAN_PRE(FAN_CREATE) | FAN_ONDIR, create.mask);
	EXPECT_STREQ("dir", create.name);
	answer(_metadata, self->g, &create, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(-1, access("dir", F_OK));
}

TEST_HARNESS_MAIN
