// SPDX-License-Identifier: GPL-2.0
/*
 * FAN_Q_GONE: what a group had marked is unmounted or deleted. A listener has
 * no descriptor there, so that it is in nobody's way.
 */

#include <sys/statfs.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE	0x4000U
#endif

#define BIND_DIR	WORK_DIR "/bind"

FIXTURE(gone)
{
	struct group *g;
	__kernel_fsid_t fsid;
};

FIXTURE_VARIANT(gone)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(gone, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(gone, ext4)
{
	.fs = "ext4",
};

FIXTURE_SETUP(gone)
{
	struct statfs st;

	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	ASSERT_EQ(0, statfs(".", &st));
	memcpy(&self->fsid, &st.f_fsid, sizeof(self->fsid));
	put_file(_metadata, "file", "");
	put_file(_metadata, "other", "");
	ASSERT_EQ(0, mkdir("dir", 0755));
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(gone)
{
	test_end(_metadata);
}

static __u64 unique_mount_id(struct __test_metadata *const _metadata,
			     const char *path)
{
	struct statx stx;

	ASSERT_EQ(0, statx(AT_FDCWD, path, 0, STATX_MNT_ID_UNIQUE, &stx));
	ASSERT_NE(0U, stx.stx_mask & STATX_MNT_ID_UNIQUE);
	return stx.stx_mnt_id;
}

/* The end of what was marked, on this file system; a mount has an id. */
static void expect_gone(struct __test_metadata *const _metadata,
			struct group *g, const __kernel_fsid_t *fsid,
			__u64 mnt_id)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_Q_GONE, ev.mask);
	EXPECT_EQ(RECORD_OP | RECORD_FID | (mnt_id ? RECORD_MNT : 0),
		  ev.records);
	EXPECT_EQ(0, memcmp(fsid, &ev.fid.fsid, sizeof(*fsid)));
	EXPECT_EQ(mnt_id, ev.mnt_id);
}

/* FS_DIR can be unmounted when nobody is there. */
static void unmount(struct __test_metadata *const _metadata, int flags)
{
	ASSERT_EQ(0, chdir(WORK_DIR));
	ASSERT_EQ(0, umount2(FS_DIR, flags))
		TH_LOG("umount: %s", strerror(errno));
}

TEST_F(gone, file_system)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	unmount(_metadata, 0);
	expect_gone(_metadata, self->g, &self->fsid, 0);
	expect_silence(_metadata, self->g);
}

/* Whatever asks for no event is nothing that one waits for the end of. */
TEST_F(gone, ignored)
{
	mark(_metadata, self->g,
	     FAN_MARK_ADD | FAN_MARK_FILESYSTEM | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g,
	     FAN_MARK_ADD | FAN_MARK_IGNORE_SURV | FAN_MARK_EVICTABLE,
	     FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "other");
	ASSERT_EQ(0, unlink("file"));
	unmount(_metadata, 0);
	expect_nothing(_metadata, self->g);
}

/* A mark that was removed, by whatever way, has no end to be told of. */
TEST_F(gone, removed)
{
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	ASSERT_EQ(0, unlink("file"));
	unmount(_metadata, 0);
	expect_nothing(_metadata, self->g);
}

/* A mount goes without its file system. */
TEST_F(gone, mount)
{
	__u64 id;

	ASSERT_EQ(0, mkdir(BIND_DIR, 0755));
	ASSERT_EQ(0, mount(FS_DIR, BIND_DIR, NULL, MS_BIND, NULL));
	id = unique_mount_id(_metadata, BIND_DIR);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY,
	     BIND_DIR);
	ASSERT_EQ(0, umount(BIND_DIR));
	expect_gone(_metadata, self->g, &self->fsid, id);
	unmount(_metadata, 0);
	expect_nothing(_metadata, self->g);
}

/* All that was marked on a file system is told. */
TEST_F(gone, everything)
{
	const __u64 id = unique_mount_id(_metadata, ".");
	int mounts = 0, others = 0;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, ".");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	unmount(_metadata, 0);
	for (int i = 0; i < 3; i++) {
		const struct event ev = event_next(_metadata, self->g);

		ASSERT_EQ(FAN_Q_GONE, ev.mask);
		EXPECT_EQ(0, memcmp(&self->fsid, &ev.fid.fsid, 8));
		mounts += ev.mnt_id == id;
		others += !ev.mnt_id;
	}
	EXPECT_EQ(1, mounts);
	EXPECT_EQ(2, others);
	expect_silence(_metadata, self->g);
}

/* Detached from its place, a file system lives as long as it is used. */
TEST_F(gone, detached)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	unmount(_metadata, MNT_DETACH);
	expect_nothing(_metadata, self->g);
	close(fd);
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

TEST_F(gone, unlinked)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "dir");
	ASSERT_EQ(0, link("file", "link"));
	ASSERT_EQ(0, unlink("link"));
	expect_nothing(_metadata, self->g);
	ASSERT_EQ(0, unlink("file"));
	expect_gone(_metadata, self->g, &self->fsid, 0);
	ASSERT_EQ(0, rmdir("dir"));
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

TEST_F(gone, replaced)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, rename("other", "file"));
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

/* A file without a name goes with its last descriptor. */
TEST_F(gone, closed)
{
	const int fd = open("file", O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, unlink("file"));
	expect_nothing(_metadata, self->g);
	close(fd);
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

/* What is evicted from memory is still there. */
TEST_F(gone, evicted)
{
	if (!strcmp(variant->fs, "tmpfs"))
		SKIP(return, "nothing is evicted from a tmpfs");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_EVICTABLE, FAN_MODIFY,
	     "file");
	EXPECT_EQ(1, count_marks(_metadata, self->g, "ino"));
	evict_inodes(_metadata);
	ASSERT_EQ(0, count_marks(_metadata, self->g, "ino"));
	expect_nothing(_metadata, self->g);
}

/* Each group is told by its own marks, and none that has been closed. */
TEST_F(gone, groups)
{
	struct group *other = group_open(_metadata, 0);
	struct group *closed = group_open(_metadata, 0);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	mark(_metadata, closed, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	group_close(closed);
	unmount(_metadata, 0);
	expect_gone(_metadata, self->g, &self->fsid, 0);
	expect_gone(_metadata, other, &self->fsid, 0);
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, other);
}

/* It comes after the end of what was done there. */
TEST_F(gone, in_order)
{
	struct job *job;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	unmount(_metadata, 0);
	expect_post(_metadata, self->g, &pre, 2);
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

/* A path leads somewhere else by then: a barrier there is another's. */
TEST_F(gone, barrier_elsewhere)
{
	struct event ev;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	unmount(_metadata, 0);
	expect_gone(_metadata, self->g, &self->fsid, 0);
	EXPECT_EQ(0, sys_fanotify_mark(self->g->fd, FAN_MARK_BARRIER, 0,
				       AT_FDCWD, FS_DIR));
	ev = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
}

struct late {
	const struct group *g;
	__u64 cookie;
};

static long answer_late(void *arg)
{
	const struct late *late = arg;
	const int ret = try_answer(late->g, late->cookie,
				   FAN_ALLOW | FAN_RESPONSE_IGNORE);

	errno = -ret;
	return ret < 0 ? -1 : ret;
}

static long do_umount(void *arg __maybe_unused)
{
	return umount(FS_DIR);
}

/* Who answers keeps nothing from being unmounted, for longer than it takes. */
TEST_F(gone, answered_too_late)
{
	struct job *job, *listener, *unmounter;
	struct late late = { .g = self->g };
	struct event pre;

	/* Nobody is to be in there. */
	ASSERT_EQ(0, chdir(WORK_DIR));
	REQUIRE_HOLDS();
	ASSERT_EQ(0, chdir(FS_DIR));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	late.cookie = pre.cookie;
	ASSERT_EQ(0, chdir(WORK_DIR));
	listener = __job_prepare(_metadata, answer_late, &late, true);
	hold(_metadata, "ignore", listener->pid);
	job_go(_metadata, listener);
	wait_held(_metadata, "ignore");
	job_kill(_metadata, job, SIGKILL);
	expect_post(_metadata, self->g, &pre, -EINTR);

	unmounter = job_start(_metadata, do_umount, NULL);
	expect_blocked(_metadata, unmounter);
	release(_metadata, "ignore");
	EXPECT_EQ(-ENOENT, job_join(_metadata, listener));
	EXPECT_EQ(0, job_join(_metadata, unmounter));
	expect_gone(_metadata, self->g, &self->fsid, 0);
}

static long do_unlink(void *arg)
{
	return unlink(arg);
}

/* Who frees a mark does so whether or not its group is closed meanwhile. */
TEST_F(gone, group_closed_meanwhile)
{
	struct job *job;

	REQUIRE_HOLDS();
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_prepare(_metadata, do_unlink, "file");
	hold(_metadata, "free", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "free");
	group_close(self->g);
	release(_metadata, "free");
	EXPECT_EQ(0, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
