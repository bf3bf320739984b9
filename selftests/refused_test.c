// SPDX-License-Identifier: GPL-2.0
/*
 * What a system call refuses before it looks at the objects is no operation:
 * it fails as it does with no one watching, and no one is asked. A call with
 * two paths that are on two mounts, a read-only mount, a range that cannot be,
 * a name that is longer than an event can tell.
 *
 * No one serves the groups here. A job that is asked about does not end.
 */

#include <linux/fs.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "fs.h"
#include "group.h"

#define OTHER		WORK_DIR "/other"	/* another file system */
#define BIND		WORK_DIR "/bind"	/* another mount of this one */
#define RO		WORK_DIR "/ro"		/* and one that is read-only */
#define BLOCK		4096
#define REFUSED_MS	10000
#define NAME_TOLD_MAX	1023			/* the longest that is told */

/* Of files that the test has opened: here, written to and read; elsewhere. */
static int here, here2, other, read_only, appending;

/* Longer than what can be told, and the longest that a path can have. */
static char long_name[NAME_TOLD_MAX + 2], longest_name[PATH_MAX - 1];

FIXTURE(refused)
{
	struct group *objects;	/* asks about what is done to files */
	struct group *entries;	/* asks about all that has a name or attributes */
};

FIXTURE_VARIANT(refused)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(refused, tmpfs) { .fs = "tmpfs" };
FIXTURE_VARIANT_ADD(refused, btrfs) { .fs = "btrfs" };

static int open_file(struct __test_metadata *const _metadata, const char *path,
		     int flags)
{
	const int fd = open(path, flags | O_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

static void fill_name(char *name, size_t size)
{
	memset(name, 'x', size - 1);
	name[size - 1] = '\0';
}

FIXTURE_SETUP(refused)
{
	static char block[2 * BLOCK];

	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no %s", variant->fs);
	ASSERT_EQ(0, mkdir(OTHER, 0755));
	ASSERT_EQ(0, mkdir(BIND, 0755));
	ASSERT_EQ(0, mkdir(RO, 0755));
	tmpfs_mount(_metadata, OTHER, FS_SIZE);
	ASSERT_EQ(0, mount(FS_DIR, BIND, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(FS_DIR, RO, NULL, MS_BIND, NULL));
	ASSERT_EQ(0, mount(NULL, RO, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY,
			   NULL));

	put_file(_metadata, "file", "");
	put_file(_metadata, "file2", "");
	put_file(_metadata, OTHER "/file", "");
	ASSERT_EQ(0, mkdir("dir", 0755));
	here = open_file(_metadata, "file", O_RDWR);
	here2 = open_file(_metadata, "file2", O_RDWR);
	appending = open_file(_metadata, "file2", O_WRONLY | O_APPEND);
	other = open_file(_metadata, OTHER "/file", O_RDWR);
	read_only = open_file(_metadata, "file", O_RDONLY);
	ASSERT_EQ((int)sizeof(block), write(here, block, sizeof(block)));
	ASSERT_EQ((int)sizeof(block), write(here2, block, sizeof(block)));
	ASSERT_EQ((int)sizeof(block), write(other, block, sizeof(block)));
	fill_name(long_name, sizeof(long_name));
	fill_name(longest_name, sizeof(longest_name));

	self->objects = group_open(_metadata, 0);
	mark(_metadata, self->objects, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ACCESS | FAN_MODIFY | FAN_OPEN, ".");
	self->entries = group_open(_metadata, 0);
	mark(_metadata, self->entries, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_ATTRIB | FAN_ONDIR, ".");
}

FIXTURE_TEARDOWN(refused)
{
	test_end(_metadata);
}

/* ------------------------- two paths, two files ------------------------- */

static long link_from_other(void *arg)
{
	(void)arg;
	return link(OTHER "/file", "new");
}

static long link_to_other(void *arg)
{
	(void)arg;
	return link("file", OTHER "/new");
}

static long link_to_bind(void *arg)
{
	(void)arg;
	return link("file", BIND "/new");
}

static long link_from_bind(void *arg)
{
	(void)arg;
	return link(BIND "/file", "new");
}

static long link_to_taken(void *arg)
{
	(void)arg;
	return link(OTHER "/file", "file");
}

static long rename_from_other(void *arg)
{
	(void)arg;
	return rename(OTHER "/file", "new");
}

static long rename_to_other(void *arg)
{
	(void)arg;
	return rename("file", OTHER "/new");
}

static long rename_to_bind(void *arg)
{
	(void)arg;
	return rename("file", BIND "/new");
}

static long rename_dir(void *arg)
{
	(void)arg;
	return rename("dir", BIND "/new");
}

static long exchange_other(void *arg)
{
	(void)arg;
	return renameat2(AT_FDCWD, "file", AT_FDCWD, OTHER "/file",
			 RENAME_EXCHANGE);
}

static long exchange_noreplace(void *arg)
{
	(void)arg;
	return renameat2(AT_FDCWD, "file", AT_FDCWD, "file2",
			 RENAME_EXCHANGE | RENAME_NOREPLACE);
}

static long rename_to_dot(void *arg)
{
	(void)arg;
	return rename("file", "dir/.");
}

static long rename_dot(void *arg)
{
	(void)arg;
	return rename("dir/.", "new");
}

static long copy(int from, off_t from_pos, int to, off_t to_pos, size_t len,
		 unsigned int flags)
{
	return copy_file_range(from, &from_pos, to, &to_pos, len, flags);
}

static long copy_from_other(void *arg)
{
	(void)arg;
	return copy(other, 0, here, 0, BLOCK, 0);
}

static long copy_to_other(void *arg)
{
	(void)arg;
	return copy(here, 0, other, 0, BLOCK, 0);
}

static long copy_with_flags(void *arg)
{
	(void)arg;
	return copy(here, 0, here2, 0, BLOCK, 1);
}

static long copy_from_before(void *arg)
{
	(void)arg;
	return copy(here, -BLOCK, here2, 0, BLOCK, 0);
}

static long copy_to_before(void *arg)
{
	(void)arg;
	return copy(here, 0, here2, -BLOCK, BLOCK, 0);
}

static long copy_overlapping(void *arg)
{
	(void)arg;
	return copy(here, 0, here, 1, BLOCK, 0);
}

static long copy_to_read_only(void *arg)
{
	(void)arg;
	return copy(here2, 0, read_only, 0, BLOCK, 0);
}

static long clone_from_other(void *arg)
{
	(void)arg;
	return ioctl(here, FICLONE, other);
}

static long clone_to_other(void *arg)
{
	(void)arg;
	return ioctl(other, FICLONE, here);
}

static long clone_range_from_other(void *arg)
{
	struct file_clone_range range = {
		.src_fd = other,
		.src_length = BLOCK,
	};

	(void)arg;
	return ioctl(here, FICLONERANGE, &range);
}

static long clone_to_read_only(void *arg)
{
	(void)arg;
	return ioctl(read_only, FICLONE, here2);
}

static long clone_range_beyond(void *arg)
{
	struct file_clone_range range = {
		.src_fd = here2,
		.src_offset = 1ULL << 63,
		.src_length = BLOCK,
	};

	(void)arg;
	return ioctl(here, FICLONERANGE, &range);
}

/* The status of the only destination, as an errno. */
static long dedupe_to(int to)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} arg = {
		.range.src_length = BLOCK,
		.range.dest_count = 1,
		.info.dest_fd = to,
	};

	if (ioctl(here, FIDEDUPERANGE, &arg))
		return -1;
	errno = -arg.info.status;
	return arg.info.status ? -1 : 0;
}

static long dedupe_to_other(void *arg)
{
	(void)arg;
	return dedupe_to(other);
}

static long dedupe_to_none(void *arg)
{
	(void)arg;
	return dedupe_to(-1);
}

static long splice_files(void *arg)
{
	(void)arg;
	return splice(here, NULL, here2, NULL, BLOCK, 0);
}

static long mknod_with_slash(void *arg)
{
	(void)arg;
	return mknod("new/", S_IFREG | 0644, 0);
}

static long symlink_with_slash(void *arg)
{
	(void)arg;
	return symlink("file", "new/");
}

struct row {
	const char *what;
	job_fn fn;
	int error;
	const char *fs;		/* if it is of one file system only */
};

static const struct row pairs[] = {
	{ "link from another file system", link_from_other, EXDEV, NULL },
	{ "link to another file system", link_to_other, EXDEV, NULL },
	{ "link to another mount", link_to_bind, EXDEV, NULL },
	{ "link from another mount", link_from_bind, EXDEV, NULL },
	{ "link to what is there", link_to_taken, EEXIST, NULL },
	{ "rename from another file system", rename_from_other, EXDEV, NULL },
	{ "rename to another file system", rename_to_other, EXDEV, NULL },
	{ "rename to another mount", rename_to_bind, EXDEV, NULL },
	{ "rename of a directory", rename_dir, EXDEV, NULL },
	{ "exchange", exchange_other, EXDEV, NULL },
	{ "exchange that must not", exchange_noreplace, EINVAL, NULL },
	{ "rename to dot", rename_to_dot, EBUSY, NULL },
	{ "rename of dot", rename_dot, EBUSY, NULL },
	{ "copy from another file system", copy_from_other, EXDEV, NULL },
	{ "copy to another file system", copy_to_other, EXDEV, NULL },
	{ "copy with flags", copy_with_flags, EINVAL, NULL },
	{ "copy from before the start", copy_from_before, EOVERFLOW, NULL },
	{ "copy to before the start", copy_to_before, EOVERFLOW, NULL },
	{ "copy to itself", copy_overlapping, EINVAL, NULL },
	{ "copy to what is read only", copy_to_read_only, EBADF, NULL },
	{ "clone from another file system", clone_from_other, EXDEV, NULL },
	{ "clone to another file system", clone_to_other, EXDEV, NULL },
	{ "clone of a range", clone_range_from_other, EXDEV, NULL },
	{ "clone to what is read only", clone_to_read_only, EBADF, NULL },
	{ "clone where there are none", clone_range_beyond, EOPNOTSUPP,
	  "tmpfs" },
	{ "clone of what cannot be", clone_range_beyond, EINVAL, "btrfs" },
	{ "dedupe to another file system", dedupe_to_other, EXDEV, "btrfs" },
	{ "dedupe to nothing", dedupe_to_none, EBADF, "btrfs" },
	{ "splice between files", splice_files, EINVAL, NULL },
	{ "mknod with a slash", mknod_with_slash, ENOENT, NULL },
	{ "symlink with a slash", symlink_with_slash, ENOENT, NULL },
};

/* A job has failed, and no one was asked. */
static void expect_refused(struct __test_metadata *const _metadata,
			   const struct row *r)
{
	struct job *job;

	snprintf(row, sizeof(row), "%s", r->what);
	job = job_start(_metadata, r->fn, NULL);
	ASSERT_TRUE(job_ended(job, REFUSED_MS))
		TH_LOG("it is asked about");
	EXPECT_EQ(-r->error, job_join(_metadata, job));
	for (int i = 0; i < MAX_GROUPS; i++) {
		if (group_fds[i])
			expect_silence(_metadata, &groups[i]);
	}
}

TEST_F(refused, pairs)
{
	FOR_EACH_ROW(i, pairs) {
		if (!pairs[i].fs || !strcmp(pairs[i].fs, variant->fs))
			expect_refused(_metadata, &pairs[i]);
	}
}

/* ---------------------------- read-only mount --------------------------- */

static long ro_mkdir(void *arg)
{
	(void)arg;
	return mkdir(RO "/new", 0755);
}

static long ro_mkdir_taken(void *arg)
{
	(void)arg;
	return mkdir(RO "/dir", 0755);
}

static long ro_mknod(void *arg)
{
	(void)arg;
	return mknod(RO "/new", S_IFREG | 0644, 0);
}

static long ro_symlink(void *arg)
{
	(void)arg;
	return symlink("file", RO "/new");
}

static long ro_link(void *arg)
{
	(void)arg;
	return link(RO "/file", RO "/new");
}

static long ro_unlink(void *arg)
{
	(void)arg;
	return unlink(RO "/file");
}

static long ro_rmdir(void *arg)
{
	(void)arg;
	return rmdir(RO "/dir");
}

static long ro_rename(void *arg)
{
	(void)arg;
	return rename(RO "/file", RO "/new");
}

static long ro_create(void *arg)
{
	(void)arg;
	return open(RO "/new", O_RDONLY | O_CREAT, 0644);
}

static long ro_tmpfile(void *arg)
{
	(void)arg;
	return open(RO, O_WRONLY | O_TMPFILE, 0644);
}

static long ro_chmod(void *arg)
{
	(void)arg;
	return chmod(RO "/file", 0600);
}

static long ro_chown(void *arg)
{
	(void)arg;
	return chown(RO "/file", 1, 1);
}

static long ro_utimes(void *arg)
{
	(void)arg;
	return utimensat(AT_FDCWD, RO "/file", NULL, 0);
}

static long ro_setxattr(void *arg)
{
	(void)arg;
	return setxattr(RO "/file", "trusted.x", "y", 1, 0);
}

static long ro_removexattr(void *arg)
{
	(void)arg;
	return removexattr(RO "/file", "trusted.x");
}

static const struct row read_only_rows[] = {
	{ "mkdir", ro_mkdir, EROFS, NULL },
	{ "mkdir of what is there", ro_mkdir_taken, EEXIST, NULL },
	{ "mknod", ro_mknod, EROFS, NULL },
	{ "symlink", ro_symlink, EROFS, NULL },
	{ "link", ro_link, EROFS, NULL },
	{ "unlink", ro_unlink, EROFS, NULL },
	{ "rmdir", ro_rmdir, EROFS, NULL },
	{ "rename", ro_rename, EROFS, NULL },
	{ "open with O_CREAT", ro_create, EROFS, NULL },
	{ "open with O_TMPFILE", ro_tmpfile, EROFS, NULL },
	{ "chmod", ro_chmod, EROFS, NULL },
	{ "chown", ro_chown, EROFS, NULL },
	{ "utimensat", ro_utimes, EROFS, NULL },
	{ "setxattr", ro_setxattr, EROFS, NULL },
	{ "removexattr", ro_removexattr, EROFS, NULL },
};

TEST_F(refused, read_only_mount)
{
	FOR_EACH_ROW(i, read_only_rows)
		expect_refused(_metadata, &read_only_rows[i]);
}

/* ------------------------------- arguments ------------------------------ */

static const struct timespec no_time[2] = {
	{ .tv_nsec = 2000000000 },
};

static long no_utimes(void *arg)
{
	(void)arg;
	return utimensat(AT_FDCWD, "file", no_time, 0);
}

static long ro_no_utimes(void *arg)
{
	(void)arg;
	return utimensat(AT_FDCWD, RO "/file", no_time, 0);
}

static long no_mode(void *arg)
{
	(void)arg;
	return fallocate(here, 0x4000, 0, 1);
}

static long hole_and_size(void *arg)
{
	(void)arg;
	return fallocate(here, FALLOC_FL_PUNCH_HOLE, 0, 1);
}

static long send_to_the_end(void *arg)
{
	off_t pos = 0;

	(void)arg;
	return sendfile(appending, here, &pos, 1);
}

static const struct row argument_rows[] = {
	{ "utimensat", no_utimes, EINVAL, NULL },
	{ "utimensat, read-only", ro_no_utimes, EINVAL, NULL },
	{ "fallocate", no_mode, EOPNOTSUPP, NULL },
	{ "fallocate of a hole that grows", hole_and_size, EOPNOTSUPP, NULL },
	{ "sendfile to what appends", send_to_the_end, EINVAL, NULL },
};

TEST_F(refused, arguments)
{
	FOR_EACH_ROW(i, argument_rows)
		expect_refused(_metadata, &argument_rows[i]);
}

/* ------------------------------ long names ------------------------------ */

static const char *name;	/* one of the two */

static long stat_long(void *arg)
{
	struct stat st;

	(void)arg;
	return stat(name, &st);
}

static long walk_long(void *arg)
{
	(void)arg;
	return openat(AT_FDCWD, name, O_PATH | O_DIRECTORY);
}

static long mkdir_long(void *arg)
{
	(void)arg;
	return mkdir(name, 0755);
}

static long mknod_long(void *arg)
{
	(void)arg;
	return mknod(name, S_IFREG | 0644, 0);
}

static long symlink_long(void *arg)
{
	(void)arg;
	return symlink("file", name);
}

static long link_long(void *arg)
{
	(void)arg;
	return link("file", name);
}

static long create_long(void *arg)
{
	(void)arg;
	return open(name, O_WRONLY | O_CREAT, 0644);
}

static long unlink_long(void *arg)
{
	(void)arg;
	return unlink(name);
}

static long rmdir_long(void *arg)
{
	(void)arg;
	return rmdir(name);
}

static long rename_from_long(void *arg)
{
	(void)arg;
	return rename(name, "new");
}

static long rename_to_long(void *arg)
{
	(void)arg;
	return rename("file", name);
}

static long exchange_long(void *arg)
{
	(void)arg;
	return renameat2(AT_FDCWD, "file", AT_FDCWD, name, RENAME_EXCHANGE);
}

static const struct row long_rows[] = {
	{ "stat", stat_long, ENAMETOOLONG, NULL },
	{ "open", walk_long, ENAMETOOLONG, NULL },
	{ "mkdir", mkdir_long, ENAMETOOLONG, NULL },
	{ "mknod", mknod_long, ENAMETOOLONG, NULL },
	{ "symlink", symlink_long, ENAMETOOLONG, NULL },
	{ "link", link_long, ENAMETOOLONG, NULL },
	{ "open with O_CREAT", create_long, ENAMETOOLONG, NULL },
	{ "unlink", unlink_long, ENAMETOOLONG, NULL },
	{ "rmdir", rmdir_long, ENAMETOOLONG, NULL },
	{ "rename from", rename_from_long, ENAMETOOLONG, NULL },
	{ "rename to", rename_to_long, ENAMETOOLONG, NULL },
	{ "exchange", exchange_long, ENAMETOOLONG, NULL },
};

TEST_F(refused, long_names)
{
	const char *const names[] = { long_name, longest_name };
	struct group *lookups = group_open(_metadata, 0);

	mark(_metadata, lookups, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ACCESS | FAN_ONDIR, ".");
	for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
		name = names[n];
		FOR_EACH_ROW(i, long_rows)
			expect_refused(_metadata, &long_rows[i]);
	}
}

/*
 * One that is just not too long to be told is asked about, as the file system
 * has the last word on it, and its event fits.
 */
TEST_F(refused, not_too_long)
{
	struct group *lookups = group_open(_metadata, 0);
	char buf[FAN_EVENT_MAX_LEN];
	__u64 cookie;
	struct job *job;
	ssize_t len;

	mark(_metadata, lookups, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ACCESS | FAN_ONDIR, ".");
	long_name[NAME_TOLD_MAX] = '\0';
	name = long_name;
	job = job_start(_metadata, stat_long, NULL);

	ASSERT_TRUE(group_readable(lookups, TIMEOUT_MS));
	len = read(lookups->fd, buf, sizeof(buf));
	ASSERT_LT(NAME_TOLD_MAX, len);
	EXPECT_NE(NULL, memmem(buf, len, long_name, NAME_TOLD_MAX + 1));
	memcpy(&cookie, buf + sizeof(struct fanotify_event_metadata) + 8,
	       sizeof(cookie));
	ASSERT_EQ((int)sizeof(struct answer),
		  try_answer(lookups, cookie, FAN_ALLOW));
	EXPECT_EQ(-ENAMETOOLONG, job_join(_metadata, job));

	ASSERT_TRUE(group_readable(lookups, TIMEOUT_MS));
	EXPECT_EQ(len, read(lookups->fd, buf, sizeof(buf)));
}

/* ------------------------------- and yet -------------------------------- */

static long link_here(void *arg)
{
	(void)arg;
	return link("file", "new");
}

/* What is not refused is asked about, on the same mount that it is on. */
TEST_F(refused, not_refused)
{
	struct job *job = job_start(_metadata, link_here, NULL);
	const struct event pre = expect_pre_of(_metadata, self->entries,
					       FAN_CREATE, 0, job->pid);

	allow(_metadata, self->entries, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->entries, &pre, 0);
}

TEST_HARNESS_MAIN
