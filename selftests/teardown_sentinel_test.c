// SPDX-License-Identifier: GPL-2.0
/*
 * What goes away while a group becomes a sentinel, and while another takes that
 * over: nothing is open in between, and nothing is closed for longer than it has
 * to be. Both are held where half of it is done.
 */

#include "call.h"
#include "cgroup.h"
#include "fs.h"
#include "hold.h"
#include "module.h"
#include "queue.h"
#include "sentinels.h"

#define GONE_DIR	WORK_DIR "/gone"
#define GONE_FILE	GONE_DIR "/file"

static bool has_module;

static void undo(void)
{
	lift_all();
	if (has_module)
		load(module_path);
}

static void setup(struct __test_metadata *const _metadata)
{
	has_module = module_find(_metadata);
	ASSERT_EQ(0, count_sentinels());
	guard_start(_metadata, undo);
	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	ASSERT_EQ(0, mkdir(GONE_DIR, 0755));
	ASSERT_EQ(0, mount("none", GONE_DIR, "tmpfs", 0, NULL));
	put_file(_metadata, GONE_FILE, "");
}

static long write_gone(struct __test_metadata *const _metadata)
{
	return job_join(_metadata, write_start(_metadata, GONE_FILE, "ab"));
}

static void expect_asked(struct __test_metadata *const _metadata,
			 struct group *g)
{
	serve_write(_metadata, g, write_start(_metadata, GONE_FILE, "ab"), 2);
}

/* However it went, nothing is left of it that keeps the module. */
static void teardown(struct __test_metadata *const _metadata)
{
	lift_all();
	test_end(_metadata);
	if (_metadata->exit_code != KSFT_PASS || !has_module)
		return;
	EXPECT_TRUE(EVENTUALLY(!module_uses()));
}

static long do_umount(void *arg)
{
	(void)arg;
	return umount(GONE_DIR);
}

static long do_unlink(void *arg)
{
	(void)arg;
	return unlink(GONE_FILE);
}

static void rmdir_cgroup(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, rmdir(cgroup));
}

static void rmmod(struct __test_metadata *const _metadata)
{
	if (has_module)
		EXPECT_EQ(-EAGAIN, unload());
}

/* ------------------------------- being made ------------------------------- */

/* Held when its marks of inodes are on their way, and it is in no list yet. */
FIXTURE(made)
{
	struct call close;
};

FIXTURE_SETUP(made)
{
	struct group *g;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	setup(_metadata);
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	cgroup_exempt(_metadata, g->fd);
	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, GONE_DIR);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, GONE_FILE);

	self->close = (struct call){ .nr = __NR_close, .fd = g->fd };
	group_fds[g - groups] = 0;
	hold(_metadata, "free", getpid());
	call_start(_metadata, &self->close);
	wait_held(_metadata, "free");
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

FIXTURE_TEARDOWN(made)
{
	teardown(_metadata);
}

static void finish_close(struct __test_metadata *const _metadata,
			 struct call *c)
{
	release(_metadata, "free");
	EXPECT_EQ(0, call_join(_metadata, c));
}

TEST_F(made, closed)
{
	finish_close(_metadata, &self->close);
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

/* Its end waits for no one, and then there is nothing to be closed. */
TEST_F(made, unmounted)
{
	struct job *job = job_start(_metadata, do_umount, NULL);

	EXPECT_EQ(0, job_join(_metadata, job));
	finish_close(_metadata, &self->close);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

TEST_F(made, detached)
{
	const int fd = open(GONE_FILE, O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, umount2(GONE_DIR, MNT_DETACH));
	EXPECT_EQ(-1, write(fd, "ab", 2));
	EXPECT_EQ(EIO, errno);
	finish_close(_metadata, &self->close);
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-1, write(fd, "ab", 2));
	EXPECT_EQ(EIO, errno);
	close(fd);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

TEST_F(made, inode_deleted)
{
	struct job *job = job_start(_metadata, do_unlink, NULL);

	finish_close(_metadata, &self->close);
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(1, count_sentinels());
	put_file(_metadata, GONE_FILE, "");
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

/* Who marks the same takes it over, whatever the group still has to put away. */
TEST_F(made, marked_by_another)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);

	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, GONE_DIR);
	EXPECT_EQ(0, count_sentinels());
	expect_asked(_metadata, g);
	finish_close(_metadata, &self->close);
	EXPECT_EQ(0, count_sentinels());
	expect_asked(_metadata, g);
	group_close(g);
}

TEST_F(made, cgroup_removed)
{
	rmdir_cgroup(_metadata);
	finish_close(_metadata, &self->close);
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

TEST_F(made, module_in_use)
{
	rmmod(_metadata);
	finish_close(_metadata, &self->close);
	rmmod(_metadata);
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

/* ----------------------------- taken over --------------------------------- */

/* Held when the marks of both are in effect: the sentinel's, and the group's. */
FIXTURE(taken)
{
	struct group *g;
	struct call mark;
};

FIXTURE_SETUP(taken)
{
	struct group *g;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_HOLDS();
	setup(_metadata);
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	cgroup_exempt(_metadata, g->fd);
	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, GONE_DIR);
	group_close(g);
	EXPECT_EQ(1, count_sentinels());

	self->g = group_open(_metadata, FAN_FAIL_CLOSED);
	self->mark = (struct call){
		.nr = __NR_fanotify_mark,
		.g = self->g,
		.mark = { FILESYSTEM, FAN_MODIFY, GONE_DIR },
	};
	hold(_metadata, "takeover", getpid());
	call_start(_metadata, &self->mark);
	wait_held(_metadata, "takeover");
	/* Who is older is asked first. */
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

FIXTURE_TEARDOWN(taken)
{
	if (self->g && self->g->fd >= 0)
		group_close(self->g);
	teardown(_metadata);
}

static void finish_mark(struct __test_metadata *const _metadata,
			struct call *c)
{
	release(_metadata, "takeover");
	EXPECT_EQ(0, call_join(_metadata, c));
}

TEST_F(taken, marked)
{
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(0, count_sentinels());
	expect_asked(_metadata, self->g);
}

/* It ends when the call does, and is a sentinel in place of the other. */
TEST_F(taken, group_closed)
{
	struct sentinel before, after;

	EXPECT_EQ(1, read_sentinels(&before));
	group_close(self->g);
	finish_mark(_metadata, &self->mark);
	EXPECT_TRUE(EVENTUALLY(read_sentinels(&after) == 1 &&
			       after.id != before.id));
	EXPECT_EQ(-EIO, write_gone(_metadata));
}

/* What is not marked any more is not taken over, and so remains closed. */
TEST_F(taken, mark_removed)
{
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, GONE_DIR);
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO, write_gone(_metadata));
	expect_silence(_metadata, self->g);
}

static long do_lift(void *arg)
{
	errno = lift(*(unsigned long long *)arg);
	return errno ? -1 : 0;
}

/* There is nothing left to be taken over. */
TEST_F(taken, lifted)
{
	struct sentinel s;

	EXPECT_EQ(1, read_sentinels(&s));
	EXPECT_EQ(0, job_join(_metadata, job_start(_metadata, do_lift, &s.id)));
	EXPECT_EQ(0, count_sentinels());
	finish_mark(_metadata, &self->mark);
	expect_asked(_metadata, self->g);
}

/* Whoever has it open is asked about by the one that is left. */
TEST_F(taken, detached)
{
	int fd = open(GONE_FILE, O_WRONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, umount2(GONE_DIR, MNT_DETACH));
	EXPECT_EQ(1, count_sentinels());
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(0, count_sentinels());
	close(fd);
	EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
	expect_silence(_metadata, self->g);
}

/* The last that keeps it mounted is the call itself, if anyone does. */
TEST_F(taken, gone)
{
	ASSERT_EQ(0, umount2(GONE_DIR, MNT_DETACH));
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
	expect_silence(_metadata, self->g);
}

TEST_F(taken, queue_closed)
{
	struct group *q = queue_open(_metadata, self->g);

	group_close(q);
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(0, count_sentinels());
	expect_asked(_metadata, self->g);
}

/* Who was exempt from the sentinel, and is gone. */
TEST_F(taken, cgroup_removed)
{
	rmdir_cgroup(_metadata);
	finish_mark(_metadata, &self->mark);
	EXPECT_EQ(0, count_sentinels());
	expect_asked(_metadata, self->g);
}

TEST_F(taken, module_in_use)
{
	rmmod(_metadata);
	finish_mark(_metadata, &self->mark);
	rmmod(_metadata);
	expect_asked(_metadata, self->g);
}

/*
 * Who has looked at a sentinel's mark, and not yet asked, is denied, though it is
 * in no list any more: its end waits for that, and after that no one is.
 */
TEST_F(taken, looked_at_while_lifted)
{
	struct job *job, *lifter;
	struct sentinel s;

	finish_mark(_metadata, &self->mark);
	group_close(self->g);
	EXPECT_EQ(1, read_sentinels(&s));
	job = write_prepare(_metadata, GONE_FILE, "ab");
	hold(_metadata, "marks", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "marks");
	lifter = job_start(_metadata, do_lift, &s.id);
	expect_blocked(_metadata, lifter);
	EXPECT_EQ(0, count_sentinels());
	release(_metadata, "marks");
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_EQ(0, job_join(_metadata, lifter));
	EXPECT_EQ(2, write_gone(_metadata));
}

TEST_HARNESS_MAIN
