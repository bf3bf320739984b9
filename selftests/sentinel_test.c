// SPDX-License-Identifier: GPL-2.0
/*
 * Groups that fail closed: what they have marked remains closed when they are,
 * until another takes over, it is gone, or someone lifts it.
 */

#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "cgroup.h"
#include "fs.h"
#include "group.h"
#include "hold.h"
#include "sentinels.h"

FIXTURE(sentinel)
{
	struct group *g;
};

FIXTURE_SETUP(sentinel)
{
	REQUIRE_CLASS();
	self->g = sentinels_start(_metadata);
}

FIXTURE_TEARDOWN(sentinel)
{
	lift_all();
	test_end(_metadata);
}

/* What waits is denied, read or not, and so is what comes after it. */
TEST_F(sentinel, closed)
{
	struct job *read_by_it, *unread;
	struct sentinel s;
	struct stat st;
	char dev[32];

	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	read_by_it = write_start(_metadata, "file", "ab");
	expect_pre(_metadata, self->g, read_by_it->pid);
	unread = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 2);
	EXPECT_EQ(0, count_sentinels());
	EXPECT_EQ(0, try_write());
	group_close(self->g);
	EXPECT_EQ(-EIO, job_join(_metadata, read_by_it));
	EXPECT_EQ(-EIO, job_join(_metadata, unread));

	/* Who had it is denied as all others are, of what was marked. */
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(0, chmod("file", 0600));
	EXPECT_EQ(-EIO, job_join(_metadata, write_start(_metadata, "file", "a")));

	EXPECT_EQ(1, read_sentinels(&s));
	ASSERT_EQ(0, stat(".", &st));
	snprintf(dev, sizeof(dev), "%u:%u", major(st.st_dev), minor(st.st_dev));
	EXPECT_STREQ("sb", s.kind);
	EXPECT_STREQ(dev, s.object);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), s.mask);
	/* The two that waited as well. */
	EXPECT_EQ(5, s.denied);
	EXPECT_GE(5, llabs((long long)time(NULL) - s.since));
	EXPECT_STREQ("sentinel_test", s.comm);

	EXPECT_EQ(ENOENT, lift(s.id + 1));
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(0, lift(s.id));
	EXPECT_EQ(0, count_sentinels());
	EXPECT_EQ(ENOENT, lift(s.id));
	EXPECT_EQ(0, try_write());
}

static long listen_until_killed(void *arg)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_FAIL_CLOSED,
					 0);

	if (fd < 0 || sys_fanotify_mark(fd, FILESYSTEM, FAN_MODIFY, AT_FDCWD,
					"."))
		return -1;
	if (write(*(int *)arg, "", 1) == 1)
		pause();
	return 0;
}

/* It is no other matter if the listener is killed. */
TEST_F(sentinel, killed)
{
	struct job *listener, *job;
	int ready[2];
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	listener = job_start(_metadata, listen_until_killed, &ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
	job = write_start(_metadata, "file", "ab");
	expect_blocked(_metadata, job);
	job_kill(_metadata, listener, SIGKILL);
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(1, count_sentinels());
}

/* Marks of inodes end, and a group that has no others. */
TEST_F(sentinel, of_inodes)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	group_close(self->g);
	EXPECT_EQ(0, try_write());
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

/* A mount is closed, and not the file system. */
TEST_F(sentinel, of_mount)
{
	struct sentinel s;

	ASSERT_EQ(0, mkdir(WORK_DIR "/other", 0755));
	ASSERT_EQ(0, mount(".", WORK_DIR "/other", NULL, MS_BIND, NULL));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
	     WORK_DIR "/other");
	group_close(self->g);
	EXPECT_EQ(0, try_write());
	EXPECT_EQ(-EIO, write_file(WORK_DIR "/other/file", 0, "ab"));
	EXPECT_EQ(1, read_sentinels(&s));
	EXPECT_STREQ("mnt", s.kind);

	/* Until it is gone. */
	ASSERT_EQ(0, umount(WORK_DIR "/other"));
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

/* Who closes nothing does not stay: neither POST alone nor what is ignored does. */
TEST_F(sentinel, closes_nothing)
{
	ASSERT_EQ(0, mkdir(WORK_DIR "/other", 0755));
	ASSERT_EQ(0, mount(".", WORK_DIR "/other", NULL, MS_BIND, NULL));
	mark(_metadata, self->g, FILESYSTEM, FAN_POST(FAN_MODIFY), ".");
	mark(_metadata, self->g,
	     FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     WORK_DIR "/other");
	group_close(self->g);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
	EXPECT_EQ(0, try_write());
}

/* What is ignored on a mount remains open, whoever marks the mount. */
TEST_F(sentinel, ignores)
{
	struct group *g;

	ASSERT_EQ(0, mkdir(WORK_DIR "/other", 0755));
	ASSERT_EQ(0, mount(".", WORK_DIR "/other", NULL, MS_BIND, NULL));
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, self->g,
	     FAN_MARK_ADD | FAN_MARK_MOUNT | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     WORK_DIR "/other");
	group_close(self->g);
	EXPECT_EQ(EIO, try_write());
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_ATTRIB,
	     WORK_DIR "/other");
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(0, write_file(WORK_DIR "/other/file", 0, "ab"));
	EXPECT_EQ(1, count_sentinels());
}

TEST_F(sentinel, unmounted)
{
	ASSERT_EQ(0, mkdir(WORK_DIR "/other", 0755));
	ASSERT_EQ(0, mount("none", WORK_DIR "/other", "tmpfs", 0, NULL));
	put_file(_metadata, WORK_DIR "/other/file", "");
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, WORK_DIR "/other");
	group_close(self->g);
	EXPECT_EQ(-EIO, write_file(WORK_DIR "/other/file", 0, "ab"));
	EXPECT_EQ(1, count_sentinels());
	ASSERT_EQ(0, umount(WORK_DIR "/other"));
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
}

/* Another takes over what it marks, if that is no less, and it fails closed. */
TEST_F(sentinel, taken_over)
{
	struct group *g, *open;
	struct job *job;
	struct sentinel s;

	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY | FAN_ATTRIB, ".");
	group_close(self->g);
	EXPECT_EQ(1, read_sentinels(&s));

	open = group_open(_metadata, 0);
	mark(_metadata, open, FILESYSTEM, FAN_MODIFY | FAN_ATTRIB, ".");
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, g, FILESYSTEM, FAN_POST(FAN_ATTRIB), ".");
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(EIO, try_write());
	group_close(open);

	mark(_metadata, g, FILESYSTEM, FAN_PRE(FAN_ATTRIB), ".");
	EXPECT_EQ(0, count_sentinels());
	EXPECT_EQ(0, try_write());
	job = write_start(_metadata, "file", "ab");
	serve_write(_metadata, g, job, 2);
	expect_silence(_metadata, g);

	/* Which becomes one in its turn. */
	group_close(g);
	EXPECT_EQ(1, read_sentinels(&s));
	EXPECT_EQ(FAN_PRE(FAN_MODIFY | FAN_ATTRIB), s.mask);
}

/* It can have been there before: then there is nothing left to be closed. */
TEST_F(sentinel, marked_before)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);

	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, g, FILESYSTEM, FAN_MODIFY | FAN_ONDIR | FAN_ACCESS, ".");
	group_close(self->g);
	EXPECT_TRUE(EVENTUALLY(!count_sentinels()));
	EXPECT_EQ(0, try_write());
	serve_write(_metadata, g, write_start(_metadata, "file", "ab"), 2);
}

/* A listener that marks what a sentinel has, and something else. */
static long do_take_over(void *arg __maybe_unused)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_FAIL_CLOSED,
					 0);

	return fd < 0 ? -1 : sys_fanotify_mark(fd, FILESYSTEM,
					       FAN_MODIFY | FAN_ATTRIB,
					       AT_FDCWD, ".");
}

/*
 * It is killed before it takes the marks away, and found to be on its way out: by
 * then it is a sentinel itself, and takes nothing away, least of all its own.
 */
TEST_F(sentinel, killed_while_it_takes_over)
{
	struct job *listener, *job;

	REQUIRE_HOLDS();
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	group_close(self->g);
	EXPECT_EQ(1, count_sentinels());

	listener = job_prepare(_metadata, do_take_over, NULL);
	hold(_metadata, "takeover", listener->pid);
	job_go(_metadata, listener);
	wait_held(_metadata, "takeover");
	job = job_prepare(_metadata, change_mode, "file");
	job_go(_metadata, job);
	expect_blocked(_metadata, job);
	ASSERT_EQ(0, kill(listener->pid, SIGKILL));
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_TRUE(EVENTUALLY(count_sentinels() == 2));
	release(_metadata, "takeover");
	job_reap(_metadata, listener);
	EXPECT_EQ(EIO, try_write());
	EXPECT_EQ(-1, chmod("file", 0600));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(2, count_sentinels());
}

/* One of two marks is taken over, and the other one stays. */
TEST_F(sentinel, one_mark_of_two)
{
	struct sentinel s;
	struct group *g;

	ASSERT_EQ(0, mkdir(WORK_DIR "/other", 0755));
	ASSERT_EQ(0, mount("none", WORK_DIR "/other", "tmpfs", 0, NULL));
	put_file(_metadata, WORK_DIR "/other/file", "");
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, WORK_DIR "/other");
	group_close(self->g);
	EXPECT_EQ(2, read_sentinels(&s));
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FILESYSTEM, FAN_MODIFY, ".");
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(0, try_write());
	EXPECT_EQ(-EIO, write_file(WORK_DIR "/other/file", 0, "ab"));
}

/* Who is in a cgroup that is exempt remains so: to start the listener again. */
TEST_F(sentinel, exempt)
{
	struct job *job;

	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	cgroup_exempt(_metadata, self->g->fd);
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	job = write_prepare(_metadata, "file", "ab");
	ASSERT_EQ(0, enter(cgroup, job->pid));
	group_close(self->g);
	EXPECT_EQ(EIO, try_write());
	job_go(_metadata, job);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* What must not wait is denied as well, and told why. */
TEST_F(sentinel, nowait)
{
	struct iovec iov = { "ab", 2 };
	int fd = open("file", O_WRONLY);

	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	group_close(self->g);
	EXPECT_EQ(-1, pwritev2(fd, &iov, 1, 0, RWF_NOWAIT));
	EXPECT_EQ(EIO, errno);
	close(fd);
}

/* Bad numbers lift nothing. */
TEST_F(sentinel, lift_bad)
{
	mark(_metadata, self->g, FILESYSTEM, FAN_MODIFY, ".");
	group_close(self->g);
	EXPECT_EQ(ENOENT, lift(0));
	EXPECT_EQ(-EINVAL, write_file(LIFT, 0, "all"));
	EXPECT_EQ(-EINVAL, write_file(LIFT, 0, "-1"));
	EXPECT_EQ(1, count_sentinels());
}

TEST_HARNESS_MAIN
