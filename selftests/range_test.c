// SPDX-License-Identifier: GPL-2.0
/*
 * The calls of the write family, and which bytes they are said to be about
 * before and after.
 */

#include <sys/uio.h>

#include "fs.h"
#include "group.h"

#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND 0x20
#endif

#define CONTENT "0123456789"
#define SIZE 10		/* of the file */
#define COUNT 5		/* bytes written by each call, in two pieces */
#define UNKNOWN (-1)

enum call { WRITE, PWRITE, WRITEV, PWRITEV, PWRITEV2 };

struct range_case {
	const char *name;
	enum call call;
	int flags;	/* of open(2) */
	int rwf;	/* of pwritev2(2) */
	off_t pos;	/* position of the file */
	off_t offset;	/* argument of the call */
	off_t pre;	/* offset that PRE is to say, or UNKNOWN */
	off_t post;	/* offset that POST is to say */
};

static const struct range_case cases[] = {
	{ "write at the start", WRITE, 0, 0, 0, 0, 0, 0 },
	{ "write inside", WRITE, 0, 0, 3, 0, 3, 3 },
	{ "write at the end", WRITE, 0, 0, SIZE, 0, SIZE, SIZE },
	{ "write beyond the end", WRITE, 0, 0, 70000, 0, 70000, 70000 },
	{ "write, O_SYNC", WRITE, O_SYNC, 0, 3, 0, 3, 3 },
	{ "write, O_APPEND", WRITE, O_APPEND, 0, 3, 0, UNKNOWN, SIZE },
	{ "pwrite", PWRITE, 0, 0, 0, 4, 4, 4 },
	{ "pwrite over a page boundary", PWRITE, 0, 0, 0, 4094, 4094, 4094 },
	{ "pwrite far away", PWRITE, 0, 0, 0, 5LL << 32, 5LL << 32,
	  5LL << 32 },
	/* As ever: the offset is of no account then. */
	{ "pwrite, O_APPEND", PWRITE, O_APPEND, 0, 0, 4, UNKNOWN, SIZE },
	{ "writev", WRITEV, 0, 0, 3, 0, 3, 3 },
	{ "writev, O_APPEND", WRITEV, O_APPEND, 0, 3, 0, UNKNOWN, SIZE },
	{ "pwritev", PWRITEV, 0, 0, 0, 4, 4, 4 },
	{ "pwritev, O_APPEND", PWRITEV, O_APPEND, 0, 0, 4, UNKNOWN, SIZE },
	{ "pwritev2", PWRITEV2, 0, 0, 0, 4, 4, 4 },
	{ "pwritev2 at the position", PWRITEV2, 0, 0, 3, -1, 3, 3 },
	{ "pwritev2, RWF_SYNC", PWRITEV2, 0, RWF_SYNC, 0, 4, 4, 4 },
	{ "pwritev2, RWF_DSYNC", PWRITEV2, 0, RWF_DSYNC, 3, -1, 3, 3 },
	{ "pwritev2, RWF_HIPRI", PWRITEV2, 0, RWF_HIPRI, 0, 4, 4, 4 },
	{ "pwritev2, RWF_APPEND", PWRITEV2, 0, RWF_APPEND, 0, 4, UNKNOWN,
	  SIZE },
	{ "pwritev2, RWF_APPEND at the position", PWRITEV2, 0, RWF_APPEND, 3,
	  -1, UNKNOWN, SIZE },
	{ "pwritev2, O_APPEND", PWRITEV2, O_APPEND, 0, 0, 4, UNKNOWN, SIZE },
	{ "pwritev2, O_APPEND and RWF_NOAPPEND", PWRITEV2, O_APPEND,
	  RWF_NOAPPEND, 0, 4, 4, 4 },
};

FIXTURE(range)
{
	struct group *g;
};

FIXTURE_VARIANT(range)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(range, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(range, ext4)
{
	.fs = "ext4",
};

FIXTURE_SETUP(range)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", CONTENT);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(range)
{
	test_end(_metadata);
}

static long do_call(void *arg)
{
	const struct range_case *c = arg;
	struct iovec iov[] = {
		{ .iov_base = "ab", .iov_len = 2 },
		{ .iov_base = "cde", .iov_len = 3 },
	};
	int fd = open("file", O_WRONLY | c->flags);

	if (fd < 0 || lseek(fd, c->pos, SEEK_SET) != c->pos)
		return -1;
	switch (c->call) {
	case WRITE:
		return write(fd, "abcde", COUNT);
	case PWRITE:
		return pwrite(fd, "abcde", COUNT, c->offset);
	case WRITEV:
		return writev(fd, iov, 2);
	case PWRITEV:
		return pwritev(fd, iov, 2, c->offset);
	case PWRITEV2:
		return pwritev2(fd, iov, 2, c->offset, c->rwf);
	}
	return -1;
}

static void expect_range(struct __test_metadata *const _metadata,
			 const struct event *ev, off_t offset)
{
	__u64 records = RECORD_OP | RECORD_FID;

	if (offset != UNKNOWN) {
		records |= RECORD_RANGE;
		EXPECT_EQ(offset, (off_t)ev->offset);
		EXPECT_EQ(COUNT, ev->count);
	}
	EXPECT_EQ(records, ev->records);
}

TEST_F(range, table)
{
	FOR_EACH_ROW(i, cases) {
		const struct range_case *c = &cases[i];
		char buf[COUNT] = "";
		struct event pre, post;
		struct job *job;
		int fd;

		snprintf(row, sizeof(row), "%s", c->name);
		put_file(_metadata, "file", CONTENT);
		job = job_start(_metadata, do_call, (void *)c);
		pre = expect_pre(_metadata, self->g, job->pid);
		expect_range(_metadata, &pre, c->pre);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(COUNT, job_join(_metadata, job));
		post = expect_post(_metadata, self->g, &pre, COUNT);
		expect_range(_metadata, &post, c->post);
		expect_silence(_metadata, self->g);

		/* And it is not just said so. */
		fd = open("file", O_RDONLY);
		ASSERT_LE(0, fd);
		ASSERT_EQ(COUNT, pread(fd, buf, COUNT, c->post));
		EXPECT_EQ(0, memcmp("abcde", buf, COUNT));
		close(fd);
	}
}

/* Each is one operation, whatever the number of pieces. */
TEST_F(range, denied)
{
	FOR_EACH_ROW(i, cases) {
		struct event pre;
		struct job *job;

		snprintf(row, sizeof(row), "%s", cases[i].name);
		job = job_start(_metadata, do_call, (void *)&cases[i]);
		pre = expect_pre(_metadata, self->g, job->pid);
		answer(_metadata, self->g, &pre, FAN_DENY_ERRNO(EROFS));
		EXPECT_EQ(-EROFS, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
		expect_content(_metadata, "file", CONTENT);
	}
}

#define LARGE (1 << 20)

static long write_large(void *arg)
{
	char *buf = calloc(1, LARGE);
	int fd = open("file", O_WRONLY);

	(void)arg;
	return fd < 0 || !buf ? -1 : pwrite(fd, buf, LARGE, 1);
}

/* Many pages, and neither first nor last are whole. */
TEST_F(range, large)
{
	struct job *job = job_start(_metadata, write_large, NULL);
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	struct event post;

	EXPECT_EQ(1ULL, pre.offset);
	EXPECT_EQ((__u64)LARGE, pre.count);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(LARGE, job_join(_metadata, job));
	post = expect_post(_metadata, self->g, &pre, LARGE);
	EXPECT_EQ(1ULL, post.offset);
	EXPECT_EQ((__u64)LARGE, post.count);
}

static long write_nothing(void *arg)
{
	struct iovec iov[2] = { { .iov_base = "", .iov_len = 0 },
				{ .iov_base = "", .iov_len = 0 } };
	int fd = open("file", O_WRONLY);

	(void)arg;
	if (fd < 0)
		return -1;
	return write(fd, "", 0) | pwrite(fd, "", 0, 3) | writev(fd, iov, 2) |
	       writev(fd, iov, 0) | pwritev(fd, iov, 2, 3);
}

TEST_F(range, of_nothing)
{
	EXPECT_EQ(0, job_join(_metadata,
			      job_start(_metadata, write_nothing, NULL)));
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
