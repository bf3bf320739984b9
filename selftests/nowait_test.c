// SPDX-License-Identifier: GPL-2.0
/*
 * Who must not wait is told to come again, where someone would have to be asked:
 * nothing is done, and there is no event. Who is not asked goes on.
 */

#include <linux/openat2.h>
#include <sys/uio.h>

#include "fs.h"
#include "group.h"

FIXTURE(nowait)
{
	struct group *g;
};

FIXTURE_SETUP(nowait)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "one");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(nowait)
{
	test_end(_metadata);
}

static long open_cached(void *arg)
{
	const struct open_how how = {
		.flags = O_RDONLY,
		.resolve = RESOLVE_CACHED,
	};

	return sys_openat2(AT_FDCWD, arg, &how);
}

static long read_nowait(void *arg)
{
	char buf[3];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	int fd = open(arg, O_RDONLY);

	return fd < 0 ? -1 : preadv2(fd, &iov, 1, 0, RWF_NOWAIT);
}

static long write_nowait(void *arg)
{
	struct iovec iov = { .iov_base = "two", .iov_len = 3 };
	int fd = open(arg, O_WRONLY);

	return fd < 0 ? -1 : pwritev2(fd, &iov, 1, 0, RWF_NOWAIT);
}

static const struct row {
	const char *what;
	job_fn fn;
	__u64 event;
	int error;		/* what it fails with if no one is asked */
} rows[] = {
	{ "open with RESOLVE_CACHED", open_cached, FAN_OPEN, 0 },
	{ "read with RWF_NOWAIT", read_nowait, FAN_ACCESS, 0 },
	/* ext4 says so itself, unless it is O_DIRECT. */
	{ "write with RWF_NOWAIT", write_nowait, FAN_MODIFY, EOPNOTSUPP },
};

TEST_F(nowait, come_again)
{
	FOR_EACH_ROW(i, rows) {
		struct job *job;

		snprintf(row, sizeof(row), "%s", rows[i].what);
		mark(_metadata, self->g, FAN_MARK_ADD, rows[i].event, "file");
		job = job_start(_metadata, rows[i].fn, "file");
		EXPECT_EQ(-EAGAIN, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
		mark(_metadata, self->g, FAN_MARK_REMOVE, rows[i].event,
		     "file");
	}
	expect_content(_metadata, "file", "one");
}

/* The file system is watched, but this file is ignored: no one is asked. */
TEST_F(nowait, go_on)
{
	FOR_EACH_ROW(i, rows) {
		struct job *job;
		long ret;

		snprintf(row, sizeof(row), "%s", rows[i].what);
		mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     rows[i].event, ".");
		mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
		     rows[i].event, "file");
		job = job_start(_metadata, rows[i].fn, "file");
		ret = job_join(_metadata, job);
		if (rows[i].error) {
			EXPECT_EQ(-rows[i].error, ret);
		} else {
			EXPECT_LE(0, ret);
		}
		expect_silence(_metadata, self->g);
		mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
		mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM,
		     0, ".");
	}
}

/* A name that is not in the dcache is not looked up. There is no event. */
TEST_F(nowait, not_cached)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS | FAN_ONDIR, ".");
	job = job_start(_metadata, open_cached, "missing");
	EXPECT_EQ(-EAGAIN, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
