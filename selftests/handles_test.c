// SPDX-License-Identifier: GPL-2.0
/*
 * File systems on which handles are not what they are elsewhere: they cannot be
 * opened, there are none, or their ids are those of subvolumes.
 */

#include <linux/btrfs.h>
#include <sys/statfs.h>

#include "fs.h"
#include "group.h"
#include "marks.h"

static __kernel_fsid_t fs_id_of(struct __test_metadata *const _metadata,
			       const char *path)
{
	__kernel_fsid_t fsid;
	struct statfs st;

	ASSERT_EQ(0, statfs(path, &st));
	memcpy(&fsid, &st.f_fsid, sizeof(fsid));
	return fsid;
}

static bool same_fsid(const __kernel_fsid_t *a, const __kernel_fsid_t *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Lets a job write two bytes, with this answer. Returns its PRE. */
static struct event write_asked(struct __test_metadata *const _metadata,
				struct group *g, const char *path,
				unsigned int answer)
{
	struct job *job = write_start(_metadata, path, "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);

	EXPECT_LT(0, try_answer(g, pre.cookie, answer));
	EXPECT_EQ(2, job_join(_metadata, job));
	return pre;
}

/* ------------------------------ subvolumes ------------------------------ */

FIXTURE(subvolume)
{
	struct group *g;
};

FIXTURE_SETUP(subvolume)
{
	struct btrfs_ioctl_vol_args args = { .name = "sub" };
	int fd;

	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "btrfs", FS_SIZE))
		SKIP(return, "no btrfs on a loop device");
	fd = open(".", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args));
	close(fd);
	put_file(_metadata, "top", "");
	put_file(_metadata, "sub/file", "");
	put_file(_metadata, "sub/other", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(subvolume)
{
	test_end(_metadata);
}

/* A mark of a file system would be one of all subvolumes: as in fanotify. */
TEST_F(subvolume, file_system)
{
	expect_refused(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		       FAN_MODIFY, "sub", EXDEV);
	expect_mark(_metadata, self->g, "sdev", 0, 0);
}

/* A mount has objects of all subvolumes, each with the id of its own. */
TEST_F(subvolume, mount)
{
	const __kernel_fsid_t top = fs_id_of(_metadata, "top");
	const __kernel_fsid_t sub = fs_id_of(_metadata, "sub");
	struct event ev;

	ASSERT_FALSE(same_fsid(&top, &sub));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT,
	     FAN_PRE(FAN_MODIFY), "sub");
	ev = write_asked(_metadata, self->g, "sub/file", FAN_ALLOW);
	EXPECT_TRUE(same_fsid(&sub, &ev.fid.fsid));
	ev = write_asked(_metadata, self->g, "top", FAN_ALLOW);
	EXPECT_TRUE(same_fsid(&top, &ev.fid.fsid));
}

/* What is ignored there is ignored, in whichever subvolume it is. */
TEST_F(subvolume, ignored)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT,
	     FAN_PRE(FAN_MODIFY), "sub");
	write_asked(_metadata, self->g, "sub/file",
		    FAN_ALLOW | FAN_RESPONSE_IGNORE);
	write_asked(_metadata, self->g, "top", FAN_ALLOW | FAN_RESPONSE_IGNORE);
	EXPECT_EQ(2, job_join(_metadata,
			      write_start(_metadata, "sub/file", "ab")));
	EXPECT_EQ(2, job_join(_metadata, write_start(_metadata, "top", "ab")));
	expect_nothing(_metadata, self->g);
	EXPECT_EQ(2, count_marks(_metadata, self->g, "ino"));
}

/* Marks on several subvolumes, and the other order of the two. */
TEST_F(subvolume, mixed)
{
	const __kernel_fsid_t sub = fs_id_of(_metadata, "sub");
	struct event ev;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "top");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "sub/other");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT,
	     FAN_PRE(FAN_MODIFY), "sub");
	ev = write_asked(_metadata, self->g, "sub/file", FAN_ALLOW);
	EXPECT_TRUE(same_fsid(&sub, &ev.fid.fsid));
	ev = write_asked(_metadata, self->g, "sub/other", FAN_ALLOW);
	EXPECT_TRUE(same_fsid(&sub, &ev.fid.fsid));
}

/* Groups of the older classes are as they were. */
TEST_F(subvolume, older_class)
{
	struct group *g = class_open(_metadata, FAN_CLASS_NOTIF |
						FAN_REPORT_FID);

	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
		       "sub", EXDEV);
	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		       FAN_MODIFY, "sub", EXDEV);
	group_close(g);
}

/* -------------------- handles that cannot be opened --------------------- */

FIXTURE(unopenable)
{
	struct group *g;
};

FIXTURE_SETUP(unopenable)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "tmpfs", FS_SIZE))
		SKIP(return, "no tmpfs");
	make_layers(_metadata);
	if (mount("vfs-filter", FS_DIR, "overlay", 0,
		  "lowerdir=" FS_LOWER ",upperdir=" FS_LAYERS "/upper,"
		  "workdir=" FS_LAYERS "/work,index=off,nfs_export=off")) {
		ASSERT_EQ(ENODEV, errno);
		SKIP(return, "no overlay");
	}
	ASSERT_EQ(0, chdir(FS_DIR));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	known_op_flags = FAN_OP_NO_OPEN;
}

FIXTURE_TEARDOWN(unopenable)
{
	test_end(_metadata);
}

/* They are there to be compared with, and each event says so. */
TEST_F(unopenable, told)
{
	static const unsigned int types[] = {
		FAN_MARK_INODE, FAN_MARK_MOUNT, FAN_MARK_FILESYSTEM,
	};
	struct event pre, post;
	struct job *job;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		mark(_metadata, self->g, FAN_MARK_ADD | types[i], FAN_MODIFY,
		     "file");
		job = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, self->g, job->pid);
		EXPECT_EQ(FAN_OP_NO_OPEN, pre.flags);
		EXPECT_LT(0U, pre.fid.bytes);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(2, job_join(_metadata, job));
		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(FAN_OP_NO_OPEN, post.flags);
		EXPECT_TRUE(same_fid(&pre.fid, &post.fid));
		mark(_metadata, self->g, FAN_MARK_REMOVE | types[i], FAN_MODIFY,
		     "file");
	}
}

TEST_F(unopenable, older_class)
{
	struct group *g = class_open(_metadata, FAN_CLASS_NOTIF |
						FAN_REPORT_FID);

	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		       FAN_MODIFY, "file", EOPNOTSUPP);
	group_close(g);
}

TEST_HARNESS_MAIN
