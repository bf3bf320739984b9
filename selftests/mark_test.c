// SPDX-License-Identifier: GPL-2.0
/*
 * fanotify_mark() of FAN_CLASS_VFS_FILTER: which masks and flags there are,
 * and what they come to in fdinfo.
 */

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "marks.h"

#define IGNORE FAN_MARK_IGNORE_SURV

static const __u64 filterable[] = {
	FAN_ACCESS, FAN_MODIFY, FAN_ATTRIB, FAN_OPEN,
	FAN_MOVED_FROM, FAN_MOVED_TO, FAN_CREATE, FAN_DELETE,
};

FIXTURE(mark)
{
	struct group *g;
};

FIXTURE_SETUP(mark)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(mark)
{
	test_end(_metadata);
}

TEST_F(mark, fold)
{
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		const unsigned int add = FAN_MARK_ADD | types[t].flag;
		const unsigned int remove = FAN_MARK_REMOVE | types[t].flag;
		const char *const kind = types[t].kind;

		for (size_t i = 0; i < ARRAY_SIZE(filterable); i++) {
			const __u64 x = filterable[i];

			mark(_metadata, self->g, add, x, ".");
			expect_mark(_metadata, self->g, kind, FAN_BOTH(x), 0);
			mark(_metadata, self->g, remove, FAN_PRE(x), ".");
			expect_mark(_metadata, self->g, kind, FAN_POST(x), 0);
			mark(_metadata, self->g, remove, FAN_POST(x), ".");
			expect_mark(_metadata, self->g, kind, 0, 0);

			mark(_metadata, self->g, add, FAN_PRE(x), ".");
			expect_mark(_metadata, self->g, kind, FAN_PRE(x), 0);
			mark(_metadata, self->g, add, FAN_POST(x), ".");
			expect_mark(_metadata, self->g, kind, FAN_BOTH(x), 0);
			mark(_metadata, self->g, remove, x, ".");
			expect_mark(_metadata, self->g, kind, 0, 0);
		}
	}
}

TEST_F(mark, fold_all_at_once)
{
	__u64 all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(filterable); i++)
		all |= filterable[i];

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		mark(_metadata, self->g, FAN_MARK_ADD | types[t].flag, all,
		     ".");
		expect_mark(_metadata, self->g, types[t].kind, FAN_BOTH(all),
			    0);
		mark(_metadata, self->g, FAN_MARK_FLUSH | types[t].flag, 0,
		     ".");
		expect_mark(_metadata, self->g, types[t].kind, 0, 0);
	}
}

/* The digits that a listener may compare with. */
TEST_F(mark, fdinfo)
{
	char buf[8192];

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	read_fdinfo(_metadata, self->g, buf, sizeof(buf));
	EXPECT_NE(NULL, strstr(buf, " mask:20020000000000 ignored_mask:0 "));
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
}

TEST_F(mark, event_flags)
{
	const __u64 flags = FAN_ONDIR | FAN_EVENT_ON_CHILD;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY | flags, ".");
	expect_mark(_metadata, self->g, "ino", FAN_BOTH(FAN_MODIFY) | flags, 0);
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_MODIFY | flags, ".");
	expect_mark(_metadata, self->g, "ino", 0, 0);
}

TEST_F(mark, ignore)
{
	const unsigned int add = FAN_MARK_ADD | IGNORE;
	const unsigned int remove = FAN_MARK_REMOVE | IGNORE;
	const __u64 both = FAN_BOTH(FAN_MODIFY);

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		const char *const kind = types[t].kind;
		const unsigned int type = types[t].flag;

		mark(_metadata, self->g, add | type, FAN_MODIFY, "file");
		expect_mark(_metadata, self->g, kind, 0, both);
		mark(_metadata, self->g, FAN_MARK_ADD | type,
		     FAN_PRE(FAN_ATTRIB), "file");
		expect_mark(_metadata, self->g, kind, FAN_PRE(FAN_ATTRIB),
			    both);
		mark(_metadata, self->g, remove | type, FAN_PRE(FAN_MODIFY),
		     "file");
		expect_mark(_metadata, self->g, kind, FAN_PRE(FAN_ATTRIB),
			    FAN_POST(FAN_MODIFY));
		mark(_metadata, self->g, FAN_MARK_FLUSH | type, 0, "file");
		expect_mark(_metadata, self->g, kind, 0, 0);
	}
}

TEST_F(mark, evictable)
{
	mark(_metadata, self->g, FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE,
	     FAN_MODIFY, "file");
	expect_mark(_metadata, self->g, "ino", 0, FAN_BOTH(FAN_MODIFY));

	/* It can be made to last, and then cannot be evictable again. */
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file");
	expect_refused(_metadata, self->g,
		       FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE, FAN_MODIFY,
		       "file", EEXIST);
	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");

	for (size_t t = 1; t < ARRAY_SIZE(types); t++)
		expect_refused(_metadata, self->g, FAN_MARK_ADD |
			       FAN_MARK_EVICTABLE | types[t].flag, FAN_MODIFY,
			       "file", EINVAL);
}

/* Of older classes, one that lost its ignore mask to a change stays what it was. */
TEST_F(mark, not_evictable_any_more)
{
	struct group *g = class_open(_metadata, FAN_CLASS_NOTIF);

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK, FAN_ACCESS,
	     "file");
	put_file(_metadata, "file", "changed");
	expect_refused(_metadata, g, FAN_MARK_ADD | FAN_MARK_EVICTABLE,
		       FAN_ACCESS, "file", EEXIST);
	group_close(g);
}

/* A mark does not keep what it is on, and goes with it. */
TEST_F(mark, unlinked)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, unlink("file"));
	expect_mark(_metadata, self->g, "ino", 0, 0);
	EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
}

TEST_F(mark, unmounted)
{
	const char *const dir = WORK_DIR "/other";

	ASSERT_EQ(0, mkdir(dir, 0755));
	tmpfs_mount(_metadata, dir, FS_SIZE);
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		mark(_metadata, self->g, FAN_MARK_ADD | types[t].flag,
		     FAN_MODIFY, dir);
		expect_mark(_metadata, self->g, types[t].kind,
			    FAN_BOTH(FAN_MODIFY), 0);
	}
	ASSERT_EQ(0, umount(dir));
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		expect_mark(_metadata, self->g, types[t].kind, 0, 0);
		EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, self->g).mask);
	}
}

static const __u64 bad_masks[] = {
	FAN_CLOSE_WRITE, FAN_CLOSE_NOWRITE, FAN_DELETE_SELF, FAN_MOVE_SELF,
	FAN_OPEN_EXEC, FAN_Q_BARRIER, FAN_Q_OVERFLOW, FAN_FS_ERROR,
	FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM, 0x00080000,
	FAN_PRE_ACCESS, 0x00200000, 0x00400000, 0x00800000, FAN_MNT_ATTACH,
	FAN_MNT_DETACH, 0x04000000, FAN_RENAME, 0x20000000, 0x80000000,
	1ULL << 32, 1ULL << 33, 1ULL << 34, 1ULL << 35,
	1ULL << 36, 1ULL << 37, 1ULL << 38, 1ULL << 39,
	FAN_PRE(FAN_CLOSE_WRITE), FAN_POST(FAN_CLOSE_WRITE),
	FAN_PRE(FAN_CLOSE_NOWRITE), FAN_POST(FAN_CLOSE_NOWRITE),
	FAN_PRE(FAN_DELETE_SELF), FAN_POST(FAN_DELETE_SELF),
	FAN_PRE(FAN_MOVE_SELF), FAN_POST(FAN_MOVE_SELF),
};

TEST_F(mark, bad_masks)
{
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		const unsigned int add = FAN_MARK_ADD | types[t].flag;

		for (size_t i = 0; i < ARRAY_SIZE(bad_masks); i++) {
			expect_refused(_metadata, self->g, add, bad_masks[i],
				       ".", EINVAL);
			expect_refused(_metadata, self->g, add,
				       FAN_MODIFY | bad_masks[i], ".", EINVAL);
			expect_refused(_metadata, self->g, add | IGNORE,
				       FAN_MODIFY | bad_masks[i], ".", EINVAL);
		}
		expect_refused(_metadata, self->g, add, 0, ".", EINVAL);
		expect_mark(_metadata, self->g, types[t].kind, 0, 0);
	}
}

TEST_F(mark, bad_masks_of_other_classes)
{
	static const unsigned int classes[] = {
		FAN_CLASS_NOTIF, FAN_CLASS_NOTIF | FAN_REPORT_FID,
		FAN_CLASS_CONTENT, FAN_CLASS_PRE_CONTENT,
	};
	struct group g = {};

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		g.fd = sys_fanotify_init(classes[i], 0);
		ASSERT_LE(0, g.fd);
		for (int bit = 32; bit < 64; bit++)
			expect_refused(_metadata, &g, FAN_MARK_ADD,
				       FAN_MODIFY | 1ULL << bit, ".", EINVAL);
		expect_refused(_metadata, &g, FAN_MARK_BARRIER, 0, ".", EINVAL);
		close(g.fd);
	}
}

static const unsigned int bad_flags[] = {
	0,
	FAN_MARK_SYNC,
	FAN_MARK_ADD | FAN_MARK_REMOVE,
	FAN_MARK_ADD | FAN_MARK_FLUSH,
	FAN_MARK_ADD | FAN_MARK_MNTNS,
	FAN_MARK_ADD | FAN_MARK_IGNORE,
	FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_MOUNT,
	FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_FILESYSTEM,
	FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_EVICTABLE,
	FAN_MARK_ADD | FAN_MARK_IGNORED_MASK,
	FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
	FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | IGNORE,
	FAN_MARK_REMOVE | FAN_MARK_IGNORE,
	FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK,
	FAN_MARK_FLUSH | IGNORE,
	FAN_MARK_FLUSH | FAN_MARK_IGNORED_MASK,
	FAN_MARK_FLUSH | FAN_MARK_IGNORE | FAN_MARK_EVICTABLE,
	FAN_MARK_FLUSH | FAN_MARK_EVICTABLE,
	FAN_MARK_FLUSH | FAN_MARK_ONLYDIR,
	FAN_MARK_BARRIER,
	FAN_MARK_BARRIER | FAN_MARK_ADD,
	FAN_MARK_BARRIER | FAN_MARK_SYNC,
	FAN_MARK_ADD | 0x00001000, FAN_MARK_ADD | 0x00004000,
	FAN_MARK_ADD | 0x00008000, FAN_MARK_ADD | 0x00010000,
	FAN_MARK_ADD | 0x40000000, FAN_MARK_ADD | 0x80000000,
};

TEST_F(mark, bad_flags)
{
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ATTRIB, "file");
	for (size_t i = 0; i < ARRAY_SIZE(bad_flags); i++)
		expect_refused(_metadata, self->g, bad_flags[i], FAN_MODIFY,
			       "file", EINVAL);

	/* Nothing of that did anything. */
	expect_mark(_metadata, self->g, "ino", FAN_BOTH(FAN_ATTRIB), 0);
}

TEST_F(mark, bad_objects)
{
	const unsigned int add = FAN_MARK_ADD;
	struct group none = { .fd = -1 }, pipe_end;
	int fds[2];

	ASSERT_EQ(0, pipe(fds));
	pipe_end.fd = fds[0];

	expect_refused(_metadata, &none, add, FAN_MODIFY, "file", EBADF);
	expect_refused(_metadata, &pipe_end, add, FAN_MODIFY, "file", EINVAL);
	expect_refused(_metadata, self->g, add, FAN_MODIFY, "none", ENOENT);
	expect_refused(_metadata, self->g, add | FAN_MARK_ONLYDIR, FAN_MODIFY,
		       "file", ENOTDIR);
	expect_refused(_metadata, self->g, add | IGNORE,
		       FAN_MODIFY | FAN_EVENT_ON_CHILD, "file", ENOTDIR);
	expect_refused(_metadata, self->g, FAN_MARK_REMOVE, FAN_MODIFY, "file",
		       ENOENT);
	expect_refused(_metadata, self->g, FAN_MARK_REMOVE | IGNORE,
		       FAN_MODIFY, "file", ENOENT);
	expect_refused(_metadata, self->g, add, FAN_MODIFY, (char *)-1UL,
		       EFAULT);

	/* File systems that are the kernel's own cannot be marked as one. */
	for (size_t t = 1; t < ARRAY_SIZE(types); t++) {
		EXPECT_EQ(-1, sys_fanotify_mark(self->g->fd,
						add | types[t].flag,
						FAN_MODIFY, fds[0], NULL));
		EXPECT_EQ(EINVAL, errno);
	}
	close(fds[0]);
	close(fds[1]);

	EXPECT_EQ(-1, sys_fanotify_mark(self->g->fd, add, FAN_MODIFY, fds[0],
					NULL));
	EXPECT_EQ(EBADF, errno);
}

static long mark_as_nobody(void *arg)
{
	const struct group *g = arg;

	if (setresuid(65534, 65534, 65534))
		return -1;
	for (size_t t = 1; t < ARRAY_SIZE(types); t++)
		if (!sys_fanotify_mark(g->fd, FAN_MARK_ADD | types[t].flag,
				       FAN_MODIFY, AT_FDCWD, ".") ||
		    errno != EPERM)
			return t;
	return 0;
}

TEST_F(mark, unprivileged)
{
	struct job *job = __job_prepare(_metadata, mark_as_nobody, self->g,
					true);

	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
}

TEST_F(mark, max_user_marks)
{
	struct group *g = group_open(_metadata, FAN_UNLIMITED_MARKS);

	limit_marks_start(_metadata);
	limit_marks(_metadata, 0);
	expect_refused(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file",
		       ENOSPC);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");

	restore_marks_limit();
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

/* ------------------------- inodes that are listed ------------------------ */

FIXTURE(listed)
{
	struct group *g;
};

/* A file system that does not keep inodes which no one uses. */
FIXTURE_SETUP(listed)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "overlay", FS_SIZE))
		SKIP(return, "no overlay");
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(listed)
{
	test_end(_metadata);
}

static void mark_for_now(struct __test_metadata *const _metadata,
			 struct group *g, const char *path)
{
	mark(_metadata, g, FAN_MARK_ADD | IGNORE | FAN_MARK_EVICTABLE,
	     FAN_MODIFY, path);
	expect_mark(_metadata, g, "ino", 0, FAN_BOTH(FAN_MODIFY));
}

static long list_marks(void *arg)
{
	const struct group *g = arg;
	char path[64], buf[8192];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g->fd);
	len = read_file(path, buf, sizeof(buf));
	if (len < 0) {
		errno = -len;
		return -1;
	}
	return !!strstr(buf, "\nfanotify ino:");
}

/* Who lists the marks of a group, and has not let go of their inodes yet. */
static struct job *hold_lister(struct __test_metadata *const _metadata,
			       struct group *g)
{
	struct job *job = __job_prepare(_metadata, list_marks, g, true);

	hold(_metadata, "fdinfo", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "fdinfo");
	return job;
}

/* The last one who uses an inode, which ends the mark that is listed. */
TEST_F(listed, evicted)
{
	struct job *job;

	REQUIRE_HOLDS();
	mark_for_now(_metadata, self->g, "file");
	job = hold_lister(_metadata, self->g);

	/* A name that was used lately is spared the first time. */
	for (int i = 0; i < 3; i++)
		evict_inodes(_metadata);
	expect_mark(_metadata, self->g, "ino", 0, FAN_BOTH(FAN_MODIFY));
	release(_metadata, "fdinfo");
	EXPECT_EQ(1, job_join(_metadata, job));
	expect_mark(_metadata, self->g, "ino", 0, 0);
}

static const char *const listed_dir = WORK_DIR "/other";

static long unmount_listed(void *arg __maybe_unused)
{
	return umount(listed_dir);
}

/* What is unmounted has no inodes in use, whoever lists them. */
TEST_F(listed, unmounted)
{
	struct job *job, *unmounter;

	REQUIRE_HOLDS();
	ASSERT_EQ(0, mkdir(listed_dir, 0755));
	tmpfs_mount(_metadata, listed_dir, FS_SIZE);
	put_file(_metadata, WORK_DIR "/other/file", "");
	mark_for_now(_metadata, self->g, WORK_DIR "/other/file");
	job = hold_lister(_metadata, self->g);

	unmounter = job_start(_metadata, unmount_listed, NULL);
	expect_blocked(_metadata, unmounter);
	release(_metadata, "fdinfo");
	EXPECT_EQ(1, job_join(_metadata, job));
	EXPECT_EQ(0, job_join(_metadata, unmounter));
	expect_mark(_metadata, self->g, "ino", 0, 0);
}

TEST_HARNESS_MAIN
