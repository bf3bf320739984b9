// SPDX-License-Identifier: GPL-2.0
/*
 * Paths that the kernel looks up and opens while it holds locks: no one is asked
 * about them, or no lock is held.
 */

#include <linux/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "fs.h"
#include "group.h"
#include "ring.h"

FIXTURE(unasked)
{
	struct group *g;
};

FIXTURE_SETUP(unasked)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4");

	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("dir/sub", 0755));
	put_file(_metadata, "file", "");
	put_file(_metadata, "other", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(unasked)
{
	test_end(_metadata);
}

/* Asks about all that is looked up below a directory, which is not cached. */
static void watch_lookups(struct __test_metadata *const _metadata,
			  struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD, FAN_ACCESS | FAN_ONDIR, "dir");
	mark(_metadata, g, FAN_MARK_ADD, FAN_ACCESS | FAN_ONDIR, "dir/sub");
	sync();
	ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", 0, "2"));
}

static long do_stat(void *arg)
{
	struct stat st;

	return stat(arg, &st);
}

/* What was not found unasked does not answer others, who are asked about it. */
static void expect_asked(struct __test_metadata *const _metadata,
			 struct group *g, char *path)
{
	struct job *job = job_start(_metadata, do_stat, path);
	const struct event pre = event_next(_metadata, g);

	ASSERT_EQ(FAN_PRE(FAN_ACCESS) | FAN_ONDIR, pre.mask);
	EXPECT_EQ(job->pid, pre.pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(-ENOENT, job_join(_metadata, job));
	expect_post_of(_metadata, g, &pre, -ENOENT);
}

/* It holds the lock of its ring while it connects, and when it binds not. */
static long do_connect(void *arg)
{
	static struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct io_uring_sqe *sqe;
	struct ring r;
	long res;
	int fd;

	strcpy(sun.sun_path, arg);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || ring_open(&r, 0))
		return -1;
	sqe = ring_sqe(&r, IORING_OP_CONNECT, fd, 1);
	sqe->addr = (uintptr_t)&sun;
	sqe->addr2 = sizeof(sun);
	if (ring_submit(&r))
		return -1;
	res = ring_wait(&r, NULL);
	errno = -res;
	return res;
}

TEST_F(unasked, io_uring_connect)
{
	struct job *job;

	watch_lookups(_metadata, self->g);
	job = job_start(_metadata, do_connect, "dir/sub/socket");
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_EQ(-ENOENT, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_asked(_metadata, self->g, "dir/sub/socket");
}

/* fsconfig(2) has locked the context that it configures. */
static long do_fsconfig(void *arg)
{
	const int fd = syscall(__NR_fsopen, "overlay", 0);

	if (fd < 0)
		return -1;
	return syscall(__NR_fsconfig, fd, FSCONFIG_SET_STRING, "lowerdir+",
		       arg, 0);
}

TEST_F(unasked, fsconfig)
{
	struct job *job;

	watch_lookups(_metadata, self->g);
	job = job_start(_metadata, do_fsconfig, FS_DIR "/dir/sub/layer");
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_GT(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_asked(_metadata, self->g, "dir/sub/layer");
}

/* An overlay looks into its layers with an inode of its own locked. */
TEST_F(unasked, overlay)
{
	struct job *job;

	ASSERT_EQ(0, mkdir(WORK_DIR "/upper", 0755));
	ASSERT_EQ(0, mkdir(WORK_DIR "/work", 0755));
	ASSERT_EQ(0, mkdir(WORK_DIR "/merged", 0755));
	if (mount("vfs-filter", WORK_DIR "/merged", "overlay", 0,
		  "lowerdir=" FS_DIR "/dir/sub,upperdir=" WORK_DIR "/upper,"
		  "workdir=" WORK_DIR "/work")) {
		ASSERT_EQ(ENODEV, errno);
		SKIP(return, "no overlay");
	}

	watch_lookups(_metadata, self->g);
	job = job_start(_metadata, do_stat, WORK_DIR "/merged/absent");
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_EQ(-ENOENT, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_asked(_metadata, self->g, "dir/sub/absent");
}

/* What cannot be created in any case is not asked about. */
static long do_link_from_elsewhere(void *arg)
{
	return link(WORK_DIR "/elsewhere", arg);
}

static long do_mknod(void *arg)
{
	return mknod(arg, S_IFREG | 0644, 0);
}

static void expect_refused(struct __test_metadata *const _metadata,
			   struct group *g, job_fn fn, char *path, long result)
{
	struct job *job = job_start(_metadata, fn, path);

	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_EQ(result, job_join(_metadata, job));
	expect_silence(_metadata, g);
}

TEST_F(unasked, refused)
{
	put_file(_metadata, WORK_DIR "/elsewhere", "");
	watch_lookups(_metadata, self->g);
	ASSERT_EQ(0, do_stat("dir/sub"));

	expect_refused(_metadata, self->g, do_link_from_elsewhere,
		       "dir/sub/linked", -EXDEV);
	expect_asked(_metadata, self->g, "dir/sub/linked");
	expect_refused(_metadata, self->g, do_mknod, "dir/sub/node/", -ENOENT);
	expect_asked(_metadata, self->g, "dir/sub/node");
}

/* A mutex that is one for the machine is not held while acct(2) is asked. */
static long do_acct(void *arg)
{
	return syscall(__NR_acct, arg);
}

TEST_F(unasked, acct)
{
	struct job *job, *other;
	struct event pre;

	if (syscall(__NR_acct, NULL) && errno == ENOSYS)
		SKIP(return, "no process accounting");

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_OPEN, "file");
	job = job_start(_metadata, do_acct, "file");
	pre = expect_pre_of(_metadata, self->g, FAN_OPEN, 0, job->pid);
	other = job_start(_metadata, do_acct, "other");
	EXPECT_EQ(0, job_join(_metadata, other));
	EXPECT_EQ(0, do_acct(NULL));
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
