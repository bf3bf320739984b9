// SPDX-License-Identifier: GPL-2.0
/*
 * What docs/security.md says of what a filter can enforce, and of what gets past
 * it.
 */

#include "cgroup.h"
#include "fs.h"
#include "group.h"
#include "pages.h"
#include "sentinels.h"
#include "stages.h"

#define OTHER_DIR	WORK_DIR "/other"
#define ALL_EVENTS	(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | \
			 FAN_MOVE | FAN_CREATE | FAN_DELETE | FAN_ONDIR)

FIXTURE(enforce)
{
	struct group *g;
};

FIXTURE_SETUP(enforce)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	ASSERT_EQ(0, mkdir("dir", 0755));
	ASSERT_EQ(0, mkdir("unwatched", 0755));
	put_file(_metadata, "dir/file", "as it was");
	ASSERT_EQ(0, mkdir(OTHER_DIR, 0755));
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(enforce)
{
	lift_all();
	test_end(_metadata);
}

static void expect_denied(struct __test_metadata *const _metadata,
			  struct group *g, const char *path)
{
	struct job *job = write_start(_metadata, path, "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);

	answer(_metadata, g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

static void expect_past(struct __test_metadata *const _metadata,
			struct group *g, const char *path)
{
	EXPECT_EQ(2, job_join(_metadata, write_start(_metadata, path, "ab")));
	expect_silence(_metadata, g);
}

/* What a directory is watched for is what is done by names in it. */
TEST_F(enforce, hard_links)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY | FAN_EVENT_ON_CHILD,
	     "dir");
	ASSERT_EQ(0, link("dir/file", "unwatched/link"));
	expect_denied(_metadata, self->g, "dir/file");
	expect_past(_metadata, self->g, "unwatched/link");

	/* The file is one, by all of them. */
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "dir/file");
	expect_denied(_metadata, self->g, "unwatched/link");
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	expect_denied(_metadata, self->g, "unwatched/link");
}

/* There are other mounts of what has a mount that is watched. */
TEST_F(enforce, other_mounts)
{
	ASSERT_EQ(0, mount(".", OTHER_DIR, NULL, MS_BIND, NULL));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, ".");
	expect_denied(_metadata, self->g, "file");
	expect_past(_metadata, self->g, OTHER_DIR "/file");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	expect_denied(_metadata, self->g, OTHER_DIR "/file");
	EXPECT_EQ(0, umount(OTHER_DIR));
}

static long map_and_store(void *arg __maybe_unused)
{
	const int fd = open("file", O_RDWR);
	char *map;

	map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	reach(1);
	if (map[3] != 'i')
		return -1;
	memcpy(map, "AS", 2);
	reach(2);
	return 0;
}

/* What was mapped before is read and changed, and told of when it is over. */
TEST_F(enforce, mapped_before)
{
	struct event post;
	struct job *job;

	known_op_flags = FAN_OP_MAPPED;
	stages_start(_metadata);
	job = job_start(_metadata, map_and_store, NULL);
	wait_reached(_metadata, 1);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_ACCESS, ".");
	go_on(1);
	wait_reached(_metadata, 2);
	expect_content(_metadata, "file", "AS it was");
	expect_silence(_metadata, self->g);
	go_on(2);
	EXPECT_EQ(0, job_join(_metadata, job));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(FAN_OP_MAPPED | FAN_OP_UNPAIRED, post.flags);
}

static long open_and_write(void *arg __maybe_unused)
{
	const int fd = open("file", O_WRONLY);

	reach(1);
	return fd < 0 ? -1 : write(fd, "AS", 2);
}

/* Who has a file open needs not open it. */
TEST_F(enforce, opened_before)
{
	for (int modify = 0; modify < 2; modify++) {
		struct event pre;
		struct job *job;

		stages_start(_metadata);
		job = job_start(_metadata, open_and_write, NULL);
		wait_reached(_metadata, 1);
		mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     modify ? FAN_MODIFY : FAN_OPEN, ".");
		go_on(1);
		if (modify) {
			pre = expect_pre(_metadata, self->g, job->pid);
			answer(_metadata, self->g, &pre, FAN_DENY);
			EXPECT_EQ(-EPERM, job_join(_metadata, job));
		} else {
			EXPECT_EQ(2, job_join(_metadata, job));
		}
		mark(_metadata, self->g,
		     FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, ".");
	}
}

static long look(void *arg __maybe_unused)
{
	struct stat st;

	return stat("dir/file", &st) || access("dir/file", R_OK) ? -1 : st.st_size;
}

/* That something is there, and its attributes, cannot be kept from anyone. */
TEST_F(enforce, looked_at)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, ALL_EVENTS,
	     ".");
	EXPECT_EQ(9, job_join(_metadata, job_start(_metadata, look, NULL)));
	expect_silence(_metadata, self->g);
}

static long open_by_handle(void *arg)
{
	const int mount_fd = open(OTHER_DIR, O_RDONLY | O_DIRECTORY);
	const struct fid *fid = arg;
	struct {
		struct file_handle fh;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = {
		.fh.handle_bytes = fid->bytes,
		.fh.handle_type = fid->type,
	};

	memcpy(handle.fh.f_handle, fid->handle, fid->bytes);
	return open_by_handle_at(mount_fd, &handle.fh, O_RDONLY);
}

/* A file that is opened without its name is opened. */
TEST_F(enforce, by_handle)
{
	struct fid fid = fid_of(_metadata, "file");
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, mount(".", OTHER_DIR, NULL, MS_BIND, NULL));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN,
	     ".");
	job = job_start(_metadata, open_by_handle, &fid);
	pre = expect_pre_of(_metadata, self->g, FAN_OPEN, 0, job->pid);
	EXPECT_TRUE(same_fid(&fid, &pre.fid));
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* Root does as it likes, if a group does not fail closed, and if it does. */
TEST_F(enforce, root)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct sentinel s;

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	group_close(g);
	EXPECT_EQ(-EIO, write_file("file", 0, "ab"));
	ASSERT_EQ(1, read_sentinels(&s));
	EXPECT_EQ(0, lift(s.id));
	EXPECT_EQ(0, write_file("file", 0, "ab"));
}

/* Who is in a cgroup that is exempt is not asked, whatever they may be told. */
TEST_F(enforce, exempt)
{
	struct job *job;

	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	cgroup_exempt(_metadata, self->g->fd);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	expect_denied(_metadata, self->g, "file");
	job = write_prepare(_metadata, "file", "ab");
	ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

/* ------------------------- what is below a file system -------------------- */

FIXTURE(below)
{
	struct group *g;
};

FIXTURE_VARIANT(below)
{
	const char *fs;
	const char *beneath;	/* what has its bytes */
};

FIXTURE_VARIANT_ADD(below, device)
{
	.fs = "ext4",
	.beneath = FS_IMAGE,
};

FIXTURE_VARIANT_ADD(below, layer)
{
	.fs = "overlay",
	.beneath = FS_LAYERS "/upper/file",
};

FIXTURE_SETUP(below)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(below)
{
	test_end(_metadata);
}

static long write_and_sync(void *arg)
{
	const int fd = open(arg, O_WRONLY);

	return fd < 0 || write(fd, "AS", 2) != 2 || fsync(fd) ? -1 : 0;
}

/* What the kernel does there for the file system is its own. */
TEST_F(below, kernel)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY | FAN_ACCESS, WORK_DIR);
	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, write_and_sync, "file")));
	expect_silence(_metadata, self->g);

	/* What others do there is not. */
	job = job_start(_metadata, write_and_sync, (void *)variant->beneath);
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

static long write_at_end(void *arg)
{
	const int fd = open(arg, O_WRONLY | O_APPEND);

	return fd < 0 ? -1 : write(fd, "!!", 2);
}

/* And who can write there gets past who watches the file system. */
TEST_F(below, root)
{
	struct event pre;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	job = job_start(_metadata, write_at_end, (void *)variant->beneath);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	job = job_start(_metadata, write_and_sync, "file");
	pre = expect_pre(_metadata, self->g, job->pid);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
