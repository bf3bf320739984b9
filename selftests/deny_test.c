// SPDX-License-Identifier: GPL-2.0
/*
 * A write that is denied fails with the errno that was asked for, and leaves
 * no trace.
 */

#include "fs.h"
#include "group.h"

FIXTURE(deny)
{
	struct group *g;
};

FIXTURE_VARIANT(deny)
{
	__u32 verdict;
	int error;
	const char *fs;
};

#define DENY_VARIANT(name, _verdict, _error, _fs)			\
	FIXTURE_VARIANT_ADD(deny, name)					\
	{								\
		.verdict = _verdict,					\
		.error = _error,					\
		.fs = _fs,						\
	}

DENY_VARIANT(plain, FAN_DENY, EPERM, "tmpfs");
DENY_VARIANT(plain_ext4, FAN_DENY, EPERM, "ext4");
DENY_VARIANT(zero, FAN_DENY_ERRNO(0), EPERM, "tmpfs");
DENY_VARIANT(eperm, FAN_DENY_ERRNO(EPERM), EPERM, "tmpfs");
DENY_VARIANT(eio, FAN_DENY_ERRNO(EIO), EIO, "tmpfs");
DENY_VARIANT(ebusy, FAN_DENY_ERRNO(EBUSY), EBUSY, "tmpfs");
DENY_VARIANT(etxtbsy, FAN_DENY_ERRNO(ETXTBSY), ETXTBSY, "tmpfs");
DENY_VARIANT(eagain, FAN_DENY_ERRNO(EAGAIN), EAGAIN, "tmpfs");
DENY_VARIANT(enospc, FAN_DENY_ERRNO(ENOSPC), ENOSPC, "tmpfs");
DENY_VARIANT(edquot, FAN_DENY_ERRNO(EDQUOT), EDQUOT, "tmpfs");
DENY_VARIANT(erofs, FAN_DENY_ERRNO(EROFS), EROFS, "tmpfs");
DENY_VARIANT(erofs_ext4, FAN_DENY_ERRNO(EROFS), EROFS, "ext4");

FIXTURE_SETUP(deny)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(deny)
{
	test_end(_metadata);
}

/*
 * As someone whose writes drop the set-user-ID bit. That the file position has
 * moved is reported as success.
 */
static long write_and_look(void *arg)
{
	const struct write_args *args = arg;
	int fd = open(args->path, O_WRONLY | args->flags), error;
	long ret;

	if (fd < 0 || lseek(fd, 3, SEEK_SET) != 3 ||
	    setresuid(65534, 65534, 65534))
		return 0;
	ret = write(fd, args->text, strlen(args->text));
	error = errno;
	if (lseek(fd, 0, SEEK_CUR) != 3)
		return 0;
	errno = error;
	return ret;
}

static struct statx look(struct __test_metadata *const _metadata)
{
	struct statx stx;

	ASSERT_EQ(0, statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &stx));
	return stx;
}

/* All of it but the access time, which looking at the content changes. */
static void expect_unchanged(struct __test_metadata *const _metadata,
			     const struct statx *was)
{
	const struct statx is = look(_metadata);

	EXPECT_EQ(was->stx_size, is.stx_size);
	EXPECT_EQ(was->stx_blocks, is.stx_blocks);
	EXPECT_EQ(was->stx_mode, is.stx_mode);
	EXPECT_EQ(was->stx_mtime.tv_sec, is.stx_mtime.tv_sec);
	EXPECT_EQ(was->stx_mtime.tv_nsec, is.stx_mtime.tv_nsec);
	EXPECT_EQ(was->stx_ctime.tv_sec, is.stx_ctime.tv_sec);
	EXPECT_EQ(was->stx_ctime.tv_nsec, is.stx_ctime.tv_nsec);
	expect_content(_metadata, "file", "as it was");
}

TEST_F(deny, nothing_changes)
{
	static const struct write_args writes[] = {
		{ "file", "x", 0 },
		{ "file", "this is longer than what was there", 0 },
		{ "file", "appended", O_APPEND },
		{ "file", "written through", O_SYNC },
	};
	struct statx was, is;
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, chmod("file", 06755));
	was = look(_metadata);

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		job = job_start(_metadata, write_and_look, (void *)&writes[i]);
		pre = expect_pre(_metadata, self->g, job->pid);
		answer(_metadata, self->g, &pre, variant->verdict);
		EXPECT_EQ(-variant->error, job_join(_metadata, job));
		expect_unchanged(_metadata, &was);
		expect_silence(_metadata, self->g);
	}

	/* The change that was not made would have been seen. */
	serve_write(_metadata, self->g, write_start(_metadata, "file", "AS"),
		    2);
	expect_content(_metadata, "file", "AS it was");
	is = look(_metadata);
	EXPECT_TRUE(was.stx_mtime.tv_sec != is.stx_mtime.tv_sec ||
		    was.stx_mtime.tv_nsec != is.stx_mtime.tv_nsec);
}

/* One refusal says nothing of the next write. */
TEST_F(deny, asked_again)
{
	struct event pre;
	__u64 last = 0;
	struct job *job;

	for (int i = 0; i < 3; i++) {
		job = write_start(_metadata, "file", "as");
		pre = expect_pre(_metadata, self->g, job->pid);
		EXPECT_LT(last, pre.cookie);
		last = pre.cookie;
		answer(_metadata, self->g, &pre, variant->verdict);
		EXPECT_EQ(-variant->error, job_join(_metadata, job));
		EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	}
	serve_write(_metadata, self->g, write_start(_metadata, "file", "as"),
		    2);
}

TEST_HARNESS_MAIN
