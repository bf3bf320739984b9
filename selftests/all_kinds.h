/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An operation of each kind: what is done at once, elsewhere, for as long as a
 * file is mapped, with a program, and with two paths.
 */

#ifndef __ALL_KINDS_H
#define __ALL_KINDS_H

#include "aio.h"
#include "exec.h"
#include "fs.h"
#include "ring.h"

static inline void put_all_kinds(struct __test_metadata *const _metadata)
{
	put_programs(_metadata);
	put_file(_metadata, "file", "as it was");
	put_file(_metadata, "other", "other");
	ASSERT_EQ(0, mkdir("dir", 0755));
}

static inline long do_as(void *arg __maybe_unused)
{
	struct write_args args = { .path = "file", .text = "AS" };

	return do_write(&args);
}

static inline long do_aio(void *arg __maybe_unused)
{
	return aio_submit(&(struct iocb) {
		.aio_fildes = open("file", O_WRONLY),
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_buf = (__u64)(uintptr_t)"AS",
		.aio_nbytes = 2,
	});
}

/* By a worker: who submits it only looks if it could be done at once. */
static inline long do_ring(void *arg __maybe_unused)
{
	const int fd = open("file", O_WRONLY);
	struct ring r;
	long ret;

	if (fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, "AS", 2, 0, 1);
	r.sqes[0].flags |= IOSQE_ASYNC;
	if (ring_submit(&r))
		return -1;
	ret = ring_wait(&r, NULL);
	errno = -ret;
	return ret;
}

static inline long do_map(void *arg __maybe_unused)
{
	const int fd = open("file", O_RDWR);

	return mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0;
}

static inline long do_execute(void *arg __maybe_unused)
{
	return do_exec("true");
}

static inline long do_open(void *arg __maybe_unused)
{
	return open("file", O_RDONLY);
}

static inline long do_chmod(void *arg __maybe_unused)
{
	return chmod("file", 0600);
}

static inline long do_truncate(void *arg __maybe_unused)
{
	return truncate("file", 1);
}

static inline long do_copy(void *arg __maybe_unused)
{
	const int in = open("other", O_RDONLY), out = open("file", O_WRONLY);

	return copy_file_range(in, NULL, out, NULL, 2, 0);
}

static inline long do_rename(void *arg __maybe_unused)
{
	return rename("file", "dir/new");
}

static inline long do_link(void *arg __maybe_unused)
{
	return link("file", "dir/new");
}

static inline long do_unlink(void *arg __maybe_unused)
{
	return unlink("file");
}

static const struct op {
	const char *name;
	job_fn fn;
	__u64 event;
	__u32 flags;
	const char *inode;	/* what is to be marked, if it is one */
} ops[] = {
	{ "write", do_as, FAN_MODIFY, 0, "file" },
	{ "aio", do_aio, FAN_MODIFY, FAN_OP_ASYNC, "file" },
	{ "io_uring", do_ring, FAN_MODIFY, FAN_OP_ASYNC, "file" },
	{ "mmap", do_map, FAN_MODIFY, FAN_OP_MAPPED, "file" },
	{ "execve", do_execute, FAN_ACCESS, 0, "true" },
	{ "open", do_open, FAN_OPEN, 0, "file" },
	{ "chmod", do_chmod, FAN_ATTRIB, 0, "file" },
	{ "truncate", do_truncate, FAN_MODIFY, 0, "file" },
	{ "copy from", do_copy, FAN_ACCESS, 0, "other" },
	{ "copy to", do_copy, FAN_MODIFY, 0, "file" },
	{ "rename from", do_rename, FAN_MOVED_FROM, 0, "." },
	{ "rename to", do_rename, FAN_MOVED_TO, 0, "dir" },
	{ "link", do_link, FAN_CREATE, 0, "dir" },
	{ "unlink", do_unlink, FAN_DELETE, 0, "." },
};

#endif /* __ALL_KINDS_H */
