// SPDX-License-Identifier: GPL-2.0
/*
 * Records that a group asks for: FAN_IOC_RECORDS. What they say is what other
 * calls say of the same mount and task.
 */

#include <linux/stat.h>

#include "fs.h"
#include "group.h"

#define ALL_RECORDS	(FAN_RECORD_MNT | FAN_RECORD_CGROUP | \
			 FAN_RECORD_REPLACED)
#define CGROUP_DIR	WORK_DIR "/cgroup"
#define OTHER_MOUNT	WORK_DIR "/other"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE	0x00004000U
#endif

FIXTURE(records)
{
	struct group *g;
};

FIXTURE_SETUP(records)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	put_file(_metadata, "victim", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_MOVED_FROM | FAN_MOVED_TO, ".");
}

FIXTURE_TEARDOWN(records)
{
	test_end(_metadata);
}

static int ask_for(const struct group *g, unsigned long bits)
{
	return ioctl(g->fd, FAN_IOC_RECORDS, bits) ? -errno : 0;
}

static __u64 mount_id(struct __test_metadata *const _metadata, const char *path)
{
	struct statx stx;

	ASSERT_EQ(0, syscall(__NR_statx, AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE,
			     &stx));
	ASSERT_NE(0U, stx.stx_mask & STATX_MNT_ID_UNIQUE);
	return stx.stx_mnt_id;
}

/* A write to @path, whose PRE and POST have the same records. */
static struct event write_to(struct __test_metadata *const _metadata,
			     struct group *g, const char *path)
{
	struct job *job = write_start(_metadata, path, "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);
	struct event post;

	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	post = expect_post(_metadata, g, &pre, 2);
	EXPECT_EQ(pre.records, post.records);
	EXPECT_EQ(pre.mnt_id, post.mnt_id);
	EXPECT_EQ(pre.cgroup_id, post.cgroup_id);
	return pre;
}

TEST_F(records, refused)
{
	for (int bit = 3; bit < 64; bit++) {
		EXPECT_EQ(-EINVAL, ask_for(self->g, 1UL << bit));
		EXPECT_EQ(-EINVAL, ask_for(self->g, 1UL << bit | 1));
	}

	/* Nothing has changed. */
	EXPECT_EQ(0ULL, write_to(_metadata, self->g, "file").records &
			(RECORD_MNT | RECORD_CGROUP));
	known_records = RECORD_MNT;
	ASSERT_EQ(0, ask_for(self->g, FAN_RECORD_MNT));
	EXPECT_EQ(-EINVAL, ask_for(self->g, FAN_RECORD_CGROUP | 8));
	EXPECT_EQ(RECORD_MNT, write_to(_metadata, self->g, "file").records &
			      (RECORD_MNT | RECORD_CGROUP));
	known_records = 0;
	ASSERT_EQ(0, ask_for(self->g, 0));
	write_to(_metadata, self->g, "file");
}

/* Of the mount that the operation came through. */
TEST_F(records, mount)
{
	const __u64 id = mount_id(_metadata, ".");
	__u64 other;

	ASSERT_EQ(0, mkdir(OTHER_MOUNT, 0755));
	ASSERT_EQ(0, mount(FS_DIR, OTHER_MOUNT, NULL, MS_BIND, NULL));
	other = mount_id(_metadata, OTHER_MOUNT);
	ASSERT_NE(id, other);

	known_records = RECORD_MNT;
	ASSERT_EQ(0, ask_for(self->g, FAN_RECORD_MNT));
	EXPECT_EQ(id, write_to(_metadata, self->g, "file").mnt_id);
	EXPECT_EQ(other, write_to(_metadata, self->g,
				  OTHER_MOUNT "/file").mnt_id);
}

/* The id of a cgroup is the inode number of its directory. */
TEST_F(records, cgroup)
{
	char path[4096], buf[4096];
	const char *line;
	struct stat st;

	ASSERT_EQ(0, mkdir(CGROUP_DIR, 0755));
	ASSERT_EQ(0, mount("vfs-filter", CGROUP_DIR, "cgroup2", 0, NULL));
	ASSERT_LT(0, read_file("/proc/self/cgroup", buf, sizeof(buf)));
	line = strstr(buf, "0::");
	ASSERT_NE(NULL, line);
	snprintf(path, sizeof(path), CGROUP_DIR "%.*s",
		 (int)strcspn(line + 3, "\n"), line + 3);
	ASSERT_EQ(0, stat(path, &st));

	known_records = RECORD_CGROUP;
	ASSERT_EQ(0, ask_for(self->g, FAN_RECORD_CGROUP));
	EXPECT_EQ((__u64)st.st_ino,
		  write_to(_metadata, self->g, "file").cgroup_id);
}

static long do_rename(void *arg)
{
	(void)arg;
	return rename("file", "victim") ? -errno : 0;
}

/* What is replaced, and that it had no other name. */
TEST_F(records, replaced)
{
	const struct fid victim = fid_of(_metadata, "victim");
	struct event pre, post;
	struct job *job;

	known_records = RECORD_MNT | RECORD_CGROUP | RECORD_REPLACED;
	ASSERT_EQ(0, ask_for(self->g, ALL_RECORDS));
	job = job_start(_metadata, do_rename, NULL);
	pre = event_next(_metadata, self->g);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);

	EXPECT_NE(0ULL, pre.records & RECORD_REPLACED);
	EXPECT_TRUE(same_fid(&victim, &pre.replaced));
	EXPECT_TRUE(same_fid(&victim, &post.replaced));
	EXPECT_EQ(0U, pre.flags);
	EXPECT_EQ(FAN_OP_LAST_LINK, post.flags);
}

TEST_HARNESS_MAIN
