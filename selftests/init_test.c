// SPDX-License-Identifier: GPL-2.0
/*
 * fanotify_init() of FAN_CLASS_VFS_FILTER: which flags there are, who may, how
 * many, and what an empty group is like.
 */

#include "group.h"

#define MAX_USER_GROUPS "/proc/sys/fs/fanotify/max_user_groups"

FIXTURE(init)
{
};

FIXTURE_SETUP(init)
{
	REQUIRE_CLASS();
}

FIXTURE_TEARDOWN(init)
{
	test_end(_metadata);
}

static const unsigned int good_flags[] = {
	0,
	FAN_CLOEXEC,
	FAN_NONBLOCK,
	FAN_UNLIMITED_QUEUE,
	FAN_UNLIMITED_MARKS,
	FAN_REPORT_TID,
	FAN_REPORT_PIDFD,
	FAN_REPORT_TID | FAN_REPORT_PIDFD,
	FAN_REPORT_FID,
	FAN_REPORT_DIR_FID,
	FAN_REPORT_FID | FAN_REPORT_DIR_FID,
	FAN_REPORT_DFID_NAME,
	FAN_REPORT_DFID_NAME | FAN_REPORT_FID,
	FAN_REPORT_DFID_NAME_TARGET,
	FAN_FAIL_CLOSED,
	FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
		FAN_UNLIMITED_MARKS | FAN_REPORT_TID | FAN_REPORT_PIDFD |
		FAN_REPORT_DFID_NAME_TARGET,
};

TEST_F(init, good_flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(good_flags); i++) {
		const unsigned int flags = good_flags[i] | FAN_CLASS_VFS_FILTER;
		struct group g = { .fd = sys_fanotify_init(flags, 0) };

		ASSERT_LE(0, g.fd)
			TH_LOG("flags %#x: %s", flags, strerror(errno));
		EXPECT_EQ(flags, group_state(_metadata, &g).flags);
		EXPECT_EQ(flags & FAN_CLOEXEC ? FD_CLOEXEC : 0,
			  fcntl(g.fd, F_GETFD));
		EXPECT_EQ(flags & FAN_NONBLOCK ? O_NONBLOCK : 0,
			  fcntl(g.fd, F_GETFL) & O_NONBLOCK);
		EXPECT_EQ(O_RDWR, fcntl(g.fd, F_GETFL) & O_ACCMODE);
		close(g.fd);
	}
}

static const unsigned int bad_flags[] = {
	FAN_ENABLE_AUDIT,
	FAN_REPORT_FD_ERROR,
	FAN_REPORT_MNT,
	FAN_REPORT_MNT | FAN_REPORT_FID,
	FAN_REPORT_NAME,
	FAN_REPORT_NAME | FAN_REPORT_FID,
	FAN_REPORT_TARGET_FID,
	FAN_REPORT_TARGET_FID | FAN_REPORT_DFID_NAME,
	FAN_REPORT_TARGET_FID | FAN_REPORT_FID | FAN_REPORT_DIR_FID,
	0x00008000, 0x00010000, 0x00020000, 0x00040000, 0x00080000,
	0x00200000, 0x00400000, 0x00800000,
	0x01000000, 0x02000000, 0x04000000, 0x08000000,
	0x10000000, 0x20000000, 0x40000000, 0x80000000,
};

TEST_F(init, bad_flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++) {
		EXPECT_EQ(-1, sys_fanotify_init(FAN_CLASS_VFS_FILTER |
						bad_flags[i], 0))
			TH_LOG("flags %#x", bad_flags[i]);
		EXPECT_EQ(EINVAL, errno)
			TH_LOG("flags %#x", bad_flags[i]);
	}
}

/* What is new here is not let in through the other classes. */
TEST_F(init, flags_of_other_classes)
{
	static const unsigned int classes[] = {
		FAN_CLASS_NOTIF, FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT,
	};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		EXPECT_EQ(-1, sys_fanotify_init(classes[i] | FAN_FAIL_CLOSED,
						0));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(-1, sys_fanotify_init(FAN_CLASS_CONTENT | FAN_REPORT_FID, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, sys_fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_REPORT_FID,
					0));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(init, event_f_flags)
{
	static const struct {
		unsigned int flags;
		int error;
	} cases[] = {
		{ O_RDONLY, 0 },
		{ O_WRONLY, 0 },
		{ O_RDWR, 0 },
		{ O_ACCMODE, EINVAL },
		{ O_RDWR | O_LARGEFILE | O_CLOEXEC, 0 },
		{ O_WRONLY | O_APPEND | O_NONBLOCK | O_DSYNC | O_NOATIME, 0 },
		{ O_SYNC, 0 },
		{ O_CREAT, EINVAL },
		{ O_TRUNC, EINVAL },
		{ O_DIRECT, EINVAL },
		{ O_DIRECTORY, EINVAL },
		{ O_PATH, EINVAL },
		{ 0x80000000, EINVAL },
	};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		errno = 0;
		fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, cases[i].flags);
		EXPECT_EQ(cases[i].error, errno)
			TH_LOG("event_f_flags %#x", cases[i].flags);
		EXPECT_EQ(!cases[i].error, fd >= 0);
		if (fd >= 0)
			close(fd);
	}
}

static long init_as_nobody(void *arg)
{
	const unsigned int *flags = arg;

	if (setresuid(65534, 65534, 65534))
		return -1;
	return sys_fanotify_init(FAN_CLASS_VFS_FILTER | *flags, 0);
}

/* Not every kernel has user namespaces. */
#define NOT_TRIED LONG_MAX

static long init_in_user_ns(void *arg)
{
	const unsigned int *flags = arg;

	if (unshare(CLONE_NEWUSER))
		return NOT_TRIED;
	return sys_fanotify_init(FAN_CLASS_VFS_FILTER | *flags, 0);
}

/* FAN_REPORT_FID is what lets others make a group of FAN_CLASS_NOTIF. */
TEST_F(init, unprivileged)
{
	unsigned int flags[] = { 0, FAN_REPORT_FID };
	long ret;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_EQ(-EPERM,
			  job_join(_metadata, job_start(_metadata,
							init_as_nobody,
							&flags[i])));
		ret = job_join(_metadata, job_start(_metadata, init_in_user_ns,
						    &flags[i]));
		if (ret != NOT_TRIED) {
			EXPECT_EQ(-EPERM, ret);
		}
	}
}

static char groups_limit[32];

static void restore_limit(void)
{
	write_file(MAX_USER_GROUPS, 0, groups_limit);
}

TEST_F(init, max_user_groups)
{
	int fd;

	ASSERT_LT(0, read_file(MAX_USER_GROUPS, groups_limit,
			       sizeof(groups_limit)));
	guard_start(_metadata, restore_limit);

	ASSERT_EQ(0, write_file(MAX_USER_GROUPS, 0, "0"));
	EXPECT_EQ(-1, sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0));
	EXPECT_EQ(EMFILE, errno);

	/* A group that was refused, or is closed, does not count. */
	restore_limit();
	fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
	ASSERT_LE(0, fd);
	close(fd);
}

TEST_F(init, empty_group)
{
	struct group *g = group_open(_metadata, 0);
	const struct group_state st = group_state(_metadata, g);
	struct fanotify_response plain = {
		.fd = FAN_NOFD,
		.response = FAN_ALLOW,
	};
	int bytes = -1;

	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	EXPECT_EQ(0, st.overflows);
	EXPECT_EQ(getpid(), st.owner);

	expect_silence(_metadata, g);
	EXPECT_EQ(0, ioctl(g->fd, FIONREAD, &bytes));
	EXPECT_EQ(0, bytes);

	EXPECT_EQ(-EINVAL, try_answers(g, &plain, sizeof(plain)));
	EXPECT_EQ(-ENOENT, try_answer(g, 1, FAN_ALLOW));
}

TEST_F(init, ioctls)
{
	struct group *g = group_open(_metadata, 0);

	EXPECT_EQ(0, ioctl(g->fd, FAN_IOC_OWN));
	EXPECT_EQ(-1, ioctl(g->fd, FIONREAD, (void *)-1UL));
	EXPECT_EQ(EFAULT, errno);

	EXPECT_EQ(-1, ioctl(g->fd, _IO('F', 99)));
	EXPECT_EQ(ENOTTY, errno);
}

/* FAN_IOC_OWN is of this class alone. */
TEST_F(init, ioctl_of_other_classes)
{
	const int fd = sys_fanotify_init(FAN_CLASS_NOTIF, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(-1, ioctl(fd, FAN_IOC_OWN));
	EXPECT_EQ(ENOTTY, errno);
	close(fd);
}

TEST_HARNESS_MAIN
