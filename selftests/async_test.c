// SPDX-License-Identifier: GPL-2.0
/*
 * Reads and writes that are submitted by aio or io_uring: asked about at the
 * submission, or by a worker on its behalf, and reported when they complete,
 * however they do.
 */

#include <dirent.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "ring.h"

#define BLOCK		4096
#define BLOCKS		4	/* of the file, all of them filled with 'a' */
#define MANY		32

#ifndef RWF_NOWAIT
#define RWF_NOWAIT	0x00000008
#endif

/* ---------------------------- what is done ------------------------------ */

/* Some blocks to be read or written, one after the other, by one request each. */
struct io {
	const char *path;
	int open_flags;
	bool write;
	int rw_flags;
	off_t off;
	size_t len;	/* of each */
	int n;
	void *buf;	/* NULL: a good one, filled with 'b' */
	rlim_t limit;	/* RLIMIT_FSIZE, or 0 */
};

/* Ways to do it. Returns the last result, the sum of them if all are good. */
typedef long (*engine_fn)(const struct io *io, int fd, char *buf);

static long add_result(long sum, long res)
{
	return sum < 0 ? sum : res < 0 ? res : sum + res;
}

static long aio(const struct io *io, int fd, char *buf)
{
	struct iocb cbs[MANY], *ptrs[MANY];
	struct io_event events[MANY];
	aio_context_t ctx = 0;
	int done = 0, n;
	long sum = 0;

	if (syscall(__NR_io_setup, MANY, &ctx))
		return -errno;
	for (int i = 0; i < io->n; i++) {
		cbs[i] = (struct iocb) {
			.aio_lio_opcode = io->write ? IOCB_CMD_PWRITE :
						      IOCB_CMD_PREAD,
			.aio_fildes = fd,
			.aio_buf = (uintptr_t)(buf + i * io->len),
			.aio_nbytes = io->len,
			.aio_offset = io->off + i * io->len,
			.aio_rw_flags = io->rw_flags,
		};
		ptrs[i] = &cbs[i];
	}
	while (done < io->n) {
		n = syscall(__NR_io_submit, ctx, io->n - done, ptrs + done);
		if (n < 0)
			return -errno;
		done += n;
	}
	for (done = 0; done < io->n; done += n) {
		n = syscall(__NR_io_getevents, ctx, 1, io->n - done, events,
			    NULL);
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++)
			sum = add_result(sum, events[i].res);
	}
	return sum;
}

static long uring_with(const struct io *io, int fd, char *buf,
		       unsigned int setup, int read_op, int write_op)
{
	static struct iovec iovs[MANY];
	const bool vec = read_op == IORING_OP_READV;
	const struct iovec all = { .iov_base = buf, .iov_len = MANY * BLOCK };
	struct ring r;
	long sum = 0;

	if (ring_open(&r, setup))
		return -errno;
	if (read_op == IORING_OP_READ_FIXED &&
	    syscall(__NR_io_uring_register, r.fd, IORING_REGISTER_BUFFERS,
		    &all, 1))
		return -errno;

	for (int i = 0; i < io->n; i++) {
		struct io_uring_sqe *sqe;

		iovs[i] = (struct iovec) {
			.iov_base = buf + i * io->len,
			.iov_len = io->len,
		};
		sqe = ring_sqe(&r, io->write ? write_op : read_op, fd, i);
		sqe->addr = vec ? (uintptr_t)&iovs[i] :
				  (uintptr_t)iovs[i].iov_base;
		sqe->len = vec ? 1 : io->len;
		sqe->off = io->off + i * io->len;
		sqe->rw_flags = io->rw_flags;
	}
	if (ring_submit(&r))
		return -errno;
	for (int i = 0; i < io->n; i++)
		sum = add_result(sum, ring_wait(&r, NULL));
	return sum;
}

static long uring(const struct io *io, int fd, char *buf)
{
	return uring_with(io, fd, buf, 0, IORING_OP_READ, IORING_OP_WRITE);
}

static long uring_vec(const struct io *io, int fd, char *buf)
{
	return uring_with(io, fd, buf, 0, IORING_OP_READV, IORING_OP_WRITEV);
}

static long uring_fixed(const struct io *io, int fd, char *buf)
{
	return uring_with(io, fd, buf, 0, IORING_OP_READ_FIXED,
			  IORING_OP_WRITE_FIXED);
}

static long uring_sqpoll(const struct io *io, int fd, char *buf)
{
	return uring_with(io, fd, buf, IORING_SETUP_SQPOLL, IORING_OP_READ,
			  IORING_OP_WRITE);
}

static long uring_defer(const struct io *io, int fd, char *buf)
{
	return uring_with(io, fd, buf, IORING_SETUP_SINGLE_ISSUER |
			  IORING_SETUP_DEFER_TASKRUN, IORING_OP_READ,
			  IORING_OP_WRITE);
}

static char *make_buffer(void)
{
	char *buf = mmap(NULL, MANY * BLOCK, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return buf == MAP_FAILED ? NULL : memset(buf, 'b', MANY * BLOCK);
}

static engine_fn engine;	/* of the variant */

static long do_io(void *arg)
{
	const struct io *io = arg;
	char *buf = io->buf;
	long res;
	int fd;

	fd = open(io->path, (io->write ? O_WRONLY : O_RDONLY) | io->open_flags);
	if (fd < 0)
		return -1;
	if (!buf)
		buf = make_buffer();
	if (!buf)
		return -1;
	if (io->limit) {
		const struct rlimit rlim = { io->limit, io->limit };

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &rlim))
			return -1;
	}

	res = engine(io, fd, buf);
	if (res >= 0)
		return res;
	errno = -res;
	return -1;
}

/* ------------------------------ the fixture ----------------------------- */

FIXTURE(async)
{
	struct group *g;
	struct io io;	/* one block at the start of the file */
};

FIXTURE_VARIANT(async)
{
	engine_fn engine;
	const char *type;
	int open_flags;
};

FIXTURE_VARIANT_ADD(async, aio_tmpfs)
{
	.engine = aio,
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(async, aio_ext4)
{
	.engine = aio,
	.type = "ext4",
};

FIXTURE_VARIANT_ADD(async, aio_ext4_direct)
{
	.engine = aio,
	.type = "ext4",
	.open_flags = O_DIRECT,
};

FIXTURE_VARIANT_ADD(async, uring_tmpfs)
{
	.engine = uring,
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(async, uring_ext4)
{
	.engine = uring,
	.type = "ext4",
};

FIXTURE_VARIANT_ADD(async, uring_ext4_direct)
{
	.engine = uring,
	.type = "ext4",
	.open_flags = O_DIRECT,
};

FIXTURE_VARIANT_ADD(async, uring_vec)
{
	.engine = uring_vec,
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(async, uring_fixed_direct)
{
	.engine = uring_fixed,
	.type = "ext4",
	.open_flags = O_DIRECT,
};

FIXTURE_VARIANT_ADD(async, uring_sqpoll)
{
	.engine = uring_sqpoll,
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(async, uring_defer_direct)
{
	.engine = uring_defer,
	.type = "ext4",
	.open_flags = O_DIRECT,
};

/* Fills the blocks of a file with these letters, each block with one. */
static void put_blocks(struct __test_metadata *const _metadata,
		       const char *path, const char *letters)
{
	char block[BLOCK];
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ASSERT_LE(0, fd);
	for (; *letters; letters++) {
		memset(block, *letters, BLOCK);
		ASSERT_EQ(BLOCK, write(fd, block, BLOCK));
	}
	/* So that a direct write has something to write over. */
	ASSERT_EQ(0, fsync(fd));
	close(fd);
}

static void expect_blocks(struct __test_metadata *const _metadata,
			  const char *path, const char *letters)
{
	char block[BLOCK], want[BLOCK];
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	for (; *letters; letters++) {
		memset(want, *letters, BLOCK);
		ASSERT_EQ(BLOCK, read(fd, block, BLOCK));
		EXPECT_EQ(0, memcmp(want, block, BLOCK));
	}
	EXPECT_EQ(0, read(fd, block, BLOCK));
	close(fd);
}

static bool engine_available(void)
{
	aio_context_t ctx = 0;
	struct ring r;

	if (engine != aio)
		return !ring_open(&r, 0) && !close(r.fd);

	return !syscall(__NR_io_setup, 1, &ctx) &&
	       !syscall(__NR_io_destroy, ctx);
}

FIXTURE_SETUP(async)
{
	REQUIRE_CLASS();
	engine = variant->engine;
	if (!engine_available())
		SKIP(return, "no aio or io_uring: %s", strerror(errno));
	if (!fs_setup(_metadata, variant->type, FS_SIZE))
		SKIP(return, "no %s", variant->type);

	known_op_flags = FAN_OP_ASYNC;
	put_blocks(_metadata, "file", "aaaa");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY | FAN_ACCESS, "file");
	self->io = (struct io) {
		.path = "file",
		.open_flags = variant->open_flags,
		.len = BLOCK,
		.n = 1,
	};
}

FIXTURE_TEARDOWN(async)
{
	test_end(_metadata);
}

static struct event expect_asked(struct __test_metadata *const _metadata,
				 struct group *g, const struct io *io,
				 pid_t pid)
{
	const struct event pre =
		expect_pre_of(_metadata, g, io->write ? FAN_MODIFY : FAN_ACCESS,
			      FAN_OP_ASYNC, pid);

	if (io->write && (io->open_flags & O_APPEND)) {
		EXPECT_EQ(RECORD_OP | RECORD_FID, pre.records);
		return pre;
	}
	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, pre.records);
	EXPECT_EQ((__u64)io->off, pre.offset);
	EXPECT_EQ(io->len, pre.count);
	return pre;
}

/* As a job, asked, allowed, and ended with this. Returns the POST. */
static struct event serve(struct __test_metadata *const _metadata,
			  struct group *g, struct io *io, long result)
{
	struct job *job = job_start(_metadata, do_io, io);
	const struct event pre = expect_asked(_metadata, g, io, job->pid);

	expect_blocked(_metadata, job);
	allow(_metadata, g, &pre);
	EXPECT_EQ(result, job_join(_metadata, job));
	return expect_post_of(_metadata, g, &pre, result);
}

/* ------------------------------- the tests ------------------------------ */

TEST_F(async, write)
{
	struct event post;

	self->io.write = true;
	self->io.off = BLOCK;
	self->io.len = 2 * BLOCK;
	post = serve(_metadata, self->g, &self->io, 2 * BLOCK);
	EXPECT_EQ(BLOCK, post.offset);
	EXPECT_EQ(2 * BLOCK, post.count);
	expect_blocks(_metadata, "file", "abba");
}

TEST_F(async, read)
{
	struct event post;

	self->io.off = BLOCK;
	post = serve(_metadata, self->g, &self->io, BLOCK);
	EXPECT_EQ(BLOCK, post.offset);
	EXPECT_EQ(BLOCK, post.count);
}

/* Where it goes is known at the end. */
TEST_F(async, append)
{
	struct event post;

	self->io.write = true;
	self->io.open_flags |= O_APPEND;
	post = serve(_metadata, self->g, &self->io, BLOCK);
	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, post.records);
	EXPECT_EQ(BLOCKS * BLOCK, post.offset);
	EXPECT_EQ(BLOCK, post.count);
	expect_blocks(_metadata, "file", "aaaab");
}

/* It never gets to the file system, and there is no POST. */
TEST_F(async, denied)
{
	for (int i = 0; i < 2; i++) {
		struct event pre;
		struct job *job;

		self->io.write = i;
		job = job_start(_metadata, do_io, &self->io);
		pre = expect_asked(_metadata, self->g, &self->io, job->pid);
		answer(_metadata, self->g, &pre, FAN_DENY_ERRNO(EROFS));
		EXPECT_EQ(-EROFS, job_join(_metadata, job));
	}
	expect_silence(_metadata, self->g);
	expect_blocks(_metadata, "file", "aaaa");
}

/* A group that allowed it is told that another one did not. */
TEST_F(async, denied_by_another)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->io.write = true;
	job = job_start(_metadata, do_io, &self->io);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_asked(_metadata, other, &self->io, job->pid);
	EXPECT_EQ(pre.cookie, pre2.cookie);
	answer(_metadata, other, &pre2, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -EPERM);
	expect_silence(_metadata, other);
	expect_blocks(_metadata, "file", "aaaa");
}

/* An error that is found after it was allowed: there is nothing at the buffer. */
TEST_F(async, fails)
{
	struct io *io = &self->io;

	if (engine == uring_fixed)
		SKIP(return, "a fixed buffer is always there");

	io->buf = mmap(NULL, BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	ASSERT_NE(MAP_FAILED, io->buf);
	serve(_metadata, self->g, io, -EFAULT);
	io->write = true;
	serve(_metadata, self->g, io, -EFAULT);
	expect_blocks(_metadata, "file", "aaaa");
}

/* The limit is in the middle of what was asked for: that much is done. */
TEST_F(async, short_write)
{
	struct event post;

	self->io.write = true;
	self->io.len = 2 * BLOCK;
	self->io.limit = BLOCK;
	post = serve(_metadata, self->g, &self->io, BLOCK);
	EXPECT_EQ(0ULL, post.offset);
	EXPECT_EQ(BLOCK, post.count);
	expect_blocks(_metadata, "file", "baaa");
}

TEST_F(async, beyond_the_limit)
{
	self->io.write = true;
	self->io.off = BLOCK;
	self->io.limit = BLOCK;
	serve(_metadata, self->g, &self->io, -EFBIG);
	expect_blocks(_metadata, "file", "aaaa");
}

/* The file system is full after some of it. */
TEST_F(async, no_space)
{
	struct event pre, post;
	struct job *job;
	long done;

	if (strcmp(variant->type, "tmpfs"))
		SKIP(return, "for a file system that counts in pages");

	tmpfs_mount(_metadata, FS_DIR, 8 * BLOCK);
	ASSERT_EQ(0, chdir(FS_DIR));
	put_blocks(_metadata, "file", "aaaa");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->io.write = true;
	self->io.len = 16 * BLOCK;
	job = job_start(_metadata, do_io, &self->io);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	allow(_metadata, self->g, &pre);
	done = job_join(_metadata, job);
	EXPECT_LT(0, done);
	EXPECT_GT(16 * BLOCK, done);
	post = expect_post_of(_metadata, self->g, &pre, done);
	EXPECT_EQ(0ULL, post.offset);
	EXPECT_EQ((__u64)done, post.count);
}

TEST_F(async, at_the_end_of_the_file)
{
	struct event post;

	self->io.len = 2 * BLOCK;
	self->io.off = (BLOCKS - 1) * BLOCK;
	post = serve(_metadata, self->g, &self->io, BLOCK);
	EXPECT_EQ((BLOCKS - 1) * BLOCK, post.offset);
	EXPECT_EQ(BLOCK, post.count);

	self->io.off = BLOCKS * BLOCK;
	serve(_metadata, self->g, &self->io, 0);
}

/* Who cannot wait is not asked, and not let pass either. */
TEST_F(async, nowait)
{
	struct job *job;
	long ret;

	for (int i = 0; i < 2; i++) {
		self->io.write = i;
		self->io.rw_flags = RWF_NOWAIT;
		job = job_start(_metadata, do_io, &self->io);
		ret = job_join(_metadata, job);
		if (ret == -EOPNOTSUPP)
			SKIP(return, "%s cannot do without waiting",
			     variant->type);
		EXPECT_EQ(-EAGAIN, ret);
	}
	expect_silence(_metadata, self->g);
	expect_blocks(_metadata, "file", "aaaa");
}

/* Unless there is no one to be asked after all. */
TEST_F(async, nowait_ignored)
{
	struct job *job;
	long ret;

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY | FAN_ACCESS, "file");

	/* What is in the page cache can be read at once. */
	expect_blocks(_metadata, "file", "aaaa");
	self->io.open_flags = 0;
	self->io.rw_flags = RWF_NOWAIT;
	job = job_start(_metadata, do_io, &self->io);
	ret = job_join(_metadata, job);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "%s cannot do without waiting", variant->type);
	EXPECT_EQ(BLOCK, ret);
}

TEST_F(async, empty)
{
	struct job *job;

	if (engine == uring_fixed)
		SKIP(return, "a fixed buffer is not empty");

	self->io.len = 0;
	for (int i = 0; i < 2; i++) {
		self->io.write = i;
		job = job_start(_metadata, do_io, &self->io);
		EXPECT_EQ(0, job_join(_metadata, job));
	}
}

TEST_F(async, negative_offset)
{
	struct job *job;

	/* -1 is the position of the file to io_uring. */
	self->io.off = -BLOCK;
	for (int i = 0; i < 2; i++) {
		self->io.write = i;
		job = job_start(_metadata, do_io, &self->io);
		EXPECT_EQ(-EINVAL, job_join(_metadata, job));
	}
}

/* The thread that submitted it, whoever works on it and wherever it ends. */
TEST_F(async, thread)
{
	struct group *other = group_open(_metadata, FAN_REPORT_TID);
	struct event pre, pre2;
	struct job *job;

	if (engine == uring_sqpoll)
		SKIP(return, "submitted by a thread of the kernel's making");

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->io.write = true;
	job = job_start(_metadata, do_io, &self->io);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_asked(_metadata, other, &self->io, job->pid);
	allow(_metadata, other, &pre2);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	expect_post_of(_metadata, other, &pre2, BLOCK);
}

/* What the owner does is for others to see, also when it ends elsewhere. */
TEST_F(async, of_the_owner)
{
	for (int i = 0; i < 2; i++) {
		self->io.write = i;
		EXPECT_EQ(BLOCK, do_io(&self->io));
	}
	EXPECT_FALSE(group_readable(self->g, SETTLE_MS));
}

TEST_F(async, mark_removed)
{
	struct event pre;
	struct job *job;

	self->io.write = true;
	job = job_start(_metadata, do_io, &self->io);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_SYNC,
	     FAN_MODIFY | FAN_ACCESS, "file");
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
}

TEST_F(async, group_closed)
{
	struct job *job;

	self->io.write = true;
	job = job_start(_metadata, do_io, &self->io);
	expect_asked(_metadata, self->g, &self->io, job->pid);
	group_close(self->g);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_blocks(_metadata, "file", "baaa");
}

/* ------------------------ the context is destroyed ---------------------- */

/* Shared by the test and two processes. */
struct contested {
	int open_flags;
	int nr;		/* requests to submit, of a block each */
	bool reap;	/* and to wait for the first of them */
	pid_t destroyer;
	int go;		/* set by the test: destroy the context */
	aio_context_t ctx;
};

static int destroy_fn(void *arg)
{
	struct contested *c = arg;

	while (!__atomic_load_n(&c->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	return syscall(__NR_io_destroy, c->ctx) ? 1 : 0;
}

/*
 * Submits, and has the context destroyed by another process with this memory,
 * so that each can be killed without the other. That one is a child of the test.
 * Returns how many were submitted, or what the first ended with.
 */
static long submit_contested(void *arg)
{
	struct contested *c = arg;
	struct iocb cbs[2] = {}, *ptrs[2];
	struct io_event event;
	char *buf = make_buffer();
	char *stack = make_buffer();
	long ret;
	int fd;

	fd = open("file", O_WRONLY | c->open_flags);
	if (fd < 0 || !buf || !stack || syscall(__NR_io_setup, 2, &c->ctx))
		return -1;
	for (int i = 0; i < 2; i++) {
		cbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
		cbs[i].aio_fildes = fd;
		cbs[i].aio_buf = (uintptr_t)buf;
		cbs[i].aio_nbytes = BLOCK;
		cbs[i].aio_offset = i * BLOCK;
		ptrs[i] = &cbs[i];
	}
	c->destroyer = clone(destroy_fn, stack + MANY * BLOCK,
			     CLONE_VM | CLONE_PARENT | SIGCHLD, c);
	if (c->destroyer < 0)
		return -1;

	ret = syscall(__NR_io_submit, c->ctx, c->nr, ptrs);
	if (ret != 1 || !c->reap)
		return ret;
	ret = syscall(__NR_io_getevents, c->ctx, 1, 1, &event, NULL);
	return ret == 1 ? event.res : -1;
}

static struct contested *make_contested(struct __test_metadata *const _metadata,
					int open_flags)
{
	struct contested *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, c);
	c->open_flags = open_flags;
	return c;
}

/* The context is about to be destroyed, and is not, for as long as it lasts. */
static void expect_destroyer_waits(struct __test_metadata *const _metadata,
				   struct contested *c, const struct job *job)
{
	__atomic_store_n(&c->go, 1, __ATOMIC_RELEASE);
	expect_blocked(_metadata, job);
	EXPECT_EQ(0, waitpid(c->destroyer, NULL, WNOHANG));
}

/* Whoever waits for an answer to another can be killed, and has done nothing. */
TEST_F(async, destroyer_killed)
{
	struct contested *c;
	struct event pre;
	struct job *job;
	int status;

	if (engine != aio)
		SKIP(return, "for io_destroy(2)");

	self->io.write = true;
	c = make_contested(_metadata, variant->open_flags);
	c->nr = 1;
	c->reap = true;
	job = job_start(_metadata, submit_contested, c);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	expect_destroyer_waits(_metadata, c, job);

	ASSERT_EQ(0, kill(c->destroyer, SIGKILL));
	EXPECT_TRUE(EVENTUALLY(waitpid(c->destroyer, &status, WNOHANG) ==
			       c->destroyer));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	expect_blocks(_metadata, "file", "baaa");
}

/* What was asked about is done, and no one is asked about what is left. */
TEST_F(async, destroyed_meanwhile)
{
	struct contested *c;
	struct event pre;
	struct job *job;
	int status = -1;

	if (engine != aio)
		SKIP(return, "for io_destroy(2)");

	self->io.write = true;
	c = make_contested(_metadata, variant->open_flags);
	c->nr = 2;
	job = job_start(_metadata, submit_contested, c);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	expect_destroyer_waits(_metadata, c, job);

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(1, job_join(_metadata, job));
	EXPECT_TRUE(EVENTUALLY(waitpid(c->destroyer, &status, WNOHANG) ==
			       c->destroyer));
	EXPECT_EQ(0, status);
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	expect_silence(_metadata, self->g);
	expect_blocks(_metadata, "file", "baaa");
}

TEST_F(async, file_unlinked)
{
	struct event pre;
	struct job *job;

	self->io.write = true;
	job = job_start(_metadata, do_io, &self->io);
	pre = expect_asked(_metadata, self->g, &self->io, job->pid);
	ASSERT_EQ(0, unlink("file"));
	gone_at_end = 1;
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
}

/*
 * Does io_uring begin such a write twice? It tries a direct one where it must
 * not wait, and in vain: the journal has to have the time of the change, which
 * is made to differ here. A buffered one is left to a worker right away.
 */
static bool begins_again(struct __test_metadata *const _metadata,
			 const struct io *io)
{
	const struct timespec times[] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	ASSERT_EQ(0, utimensat(AT_FDCWD, io->path, times, 0));
	return engine != aio && io->open_flags & O_DIRECT;
}

/* Ignored when it began, and no longer when it ended. */
TEST_F(async, straddles)
{
	struct event pre, post;
	struct job *job;
	bool again;
	pid_t pid;

	REQUIRE_HOLDS();
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	self->io.write = true;
	again = begins_again(_metadata, &self->io);
	job = job_prepare(_metadata, do_io, &self->io);
	pid = job->pid;
	hold(_metadata, "begin", pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
	expect_silence(_metadata, self->g);
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_MODIFY, "file");
	release(_metadata, "begin");

	/* What io_uring could not do at once has not begun: it is asked about. */
	if (again) {
		pre = expect_asked(_metadata, self->g, &self->io, pid);
		expect_blocked(_metadata, job);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(BLOCK, job_join(_metadata, job));
		post = expect_post_of(_metadata, self->g, &pre, BLOCK);
	} else {
		EXPECT_EQ(BLOCK, job_join(_metadata, job));
		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(pid, post.pid);
		EXPECT_EQ(FAN_OP_UNPAIRED | FAN_OP_ASYNC, post.flags);
		EXPECT_EQ(BLOCK, post.result);
	}
	EXPECT_EQ(0ULL, post.offset);
	EXPECT_EQ(BLOCK, post.count);
}

static int frozen_fd = -1;

static void thaw(void)
{
	/* Of no consequence if it is not frozen. */
	ioctl(frozen_fd, FITHAW, 0);
}

/* Keeps a write where it is, after its PRE point, until thaw(). */
static void freeze(struct __test_metadata *const _metadata)
{
	frozen_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, frozen_fd);
	guard_start(_metadata, thaw);
	ASSERT_EQ(0, ioctl(frozen_fd, FIFREEZE, 0));
}

/* Is a thread of a job where no signal gets it out, be it a worker of a ring? */
static bool is_stuck(const struct job *job)
{
	char path[64], buf[512];
	struct dirent *entry;
	const char *state;
	bool stuck = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", job->pid);
	dir = opendir(path);
	while (dir && !stuck && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat",
			 job->pid, entry->d_name);
		if (entry->d_name[0] == '.' ||
		    read_file(path, buf, sizeof(buf)) <= 0)
			continue;
		state = strrchr(buf, ')');
		stuck = state && !strncmp(state, ") D", 3);
	}
	if (dir)
		closedir(dir);
	return stuck;
}

/* For long enough that it is not the disk that it waits for. */
static bool is_frozen(const struct job *job)
{
	for (int i = 0; i < 20; i++, usleep(10000))
		if (!is_stuck(job))
			return false;

	return true;
}

/* The job has passed its PRE point, and waits for thaw(). */
static void wait_frozen(struct __test_metadata *const _metadata,
			const struct job *job)
{
	ASSERT_TRUE(EVENTUALLY(is_frozen(job)));
	EXPECT_FALSE(job_ended(job, 0));
}

/* Not watched when it began, only another file was; when it ended it was. */
TEST_F(async, watched_late)
{
	struct event post;
	struct job *job;
	pid_t pid;

	if (strcmp(variant->type, "ext4"))
		SKIP(return, "%s cannot be frozen", variant->type);

	put_blocks(_metadata, "other", "aaaa");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "other");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_SYNC,
	     FAN_MODIFY | FAN_ACCESS, "file");
	self->io.write = true;
	self->io.off = BLOCK;
	job = job_prepare(_metadata, do_io, &self->io);
	pid = job->pid;
	freeze(_metadata);
	job_go(_metadata, job);
	wait_frozen(_metadata, job);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	thaw();
	EXPECT_EQ(BLOCK, job_join(_metadata, job));

	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pid, post.pid);
	EXPECT_EQ(FAN_OP_UNPAIRED | FAN_OP_ASYNC, post.flags);
	EXPECT_EQ(BLOCK, post.result);
	EXPECT_EQ(BLOCK, post.offset);
	EXPECT_EQ(BLOCK, post.count);
}

/* What a group ignores has its end as well, if someone else watches by then. */
TEST_F(async, ignored_and_watched_late)
{
	struct group *other = group_open(_metadata, 0);
	struct event post;
	struct job *job;
	pid_t pid;

	if (strcmp(variant->type, "ext4"))
		SKIP(return, "%s cannot be frozen", variant->type);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	self->io.write = true;
	self->io.open_flags |= O_APPEND;
	job = job_prepare(_metadata, do_io, &self->io);
	pid = job->pid;
	freeze(_metadata);
	job_go(_metadata, job);
	wait_frozen(_metadata, job);
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	thaw();
	EXPECT_EQ(BLOCK, job_join(_metadata, job));

	post = event_next(_metadata, other);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pid, post.pid);
	EXPECT_EQ(FAN_OP_UNPAIRED | FAN_OP_ASYNC, post.flags);
	EXPECT_EQ(BLOCK, post.result);
	EXPECT_EQ(BLOCKS * BLOCK, post.offset);
	EXPECT_EQ(BLOCK, post.count);
}

/* And a barrier waits for it, as for all that is ignored. */
TEST_F(async, barrier)
{
	struct event ev;
	struct job *job;

	if (strcmp(variant->type, "ext4"))
		SKIP(return, "%s cannot be frozen", variant->type);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	self->io.write = true;
	job = job_prepare(_metadata, do_io, &self->io);
	freeze(_metadata);
	job_go(_metadata, job);
	wait_frozen(_metadata, job);
	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	expect_nothing(_metadata, self->g);
	thaw();
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	ev = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
}

/* By the time that a completion is seen, all have been told. */
TEST_F(async, told_before_it_is_seen)
{
	struct group *g = self->g;

	for (int i = 0; i < 8; i++) {
		struct event pre, post;
		struct job *job;

		self->io.write = true;
		job = job_start(_metadata, do_io, &self->io);
		pre = expect_asked(_metadata, g, &self->io, job->pid);
		allow(_metadata, g, &pre);
		EXPECT_EQ(BLOCK, job_join(_metadata, job));
		ASSERT_TRUE(group_readable(g, 0));
		post = expect_post_of(_metadata, g, &pre, BLOCK);
		EXPECT_EQ(0ULL, post.offset);
	}
}

/* Operations that were asked about and not yet reported. */
struct open_ops {
	struct event pre[MANY];
	int n, ended;
};

static bool more_events(const struct group *g)
{
	return g->pos < g->len || group_readable(g, 0);
}

static void take_event(struct __test_metadata *const _metadata,
		       struct group *g, struct open_ops *ops, bool allow_it,
		       long result)
{
	const struct event ev = event_next(_metadata, g);
	int i = 0;

	EXPECT_EQ(FAN_OP_ASYNC, ev.flags);
	if (ev.mask & ALL_PRE) {
		ASSERT_LT(ops->n, MANY);
		ops->pre[ops->n++] = ev;
		if (allow_it)
			allow(_metadata, g, &ev);
		return;
	}

	while (i < ops->n && ops->pre[i].cookie != ev.cookie)
		i++;
	ASSERT_LT(i, ops->n)
		TH_LOG("second POST, or one without a PRE");
	EXPECT_EQ(result, ev.result);
	if (result > 0)
		EXPECT_EQ(ops->pre[i].offset, ev.offset);
	ops->pre[i].cookie = 0;
	ops->ended++;
}

/* Many at once, that end in whatever order they like. */
TEST_F(async, many)
{
	for (int i = 0; i < 2; i++) {
		struct open_ops ops = {};
		struct job *job;

		self->io.write = !i;
		self->io.n = MANY;
		job = job_start(_metadata, do_io, &self->io);
		while (ops.ended < MANY)
			take_event(_metadata, self->g, &ops, true, BLOCK);
		EXPECT_EQ(MANY * BLOCK, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
	}
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
}

/* All that was asked about and not answered ends with the process. */
TEST_F(async, killed_while_asked)
{
	struct open_ops ops = {};
	struct job *job;

	self->io.n = MANY;
	job = job_start(_metadata, do_io, &self->io);
	take_event(_metadata, self->g, &ops, false, 0);
	job_kill(_metadata, job, SIGKILL);
	while (ops.ended < ops.n || more_events(self->g))
		take_event(_metadata, self->g, &ops, false, -EINTR);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
}

/* And so does all that was allowed, if with a result of its own. */
TEST_F(async, killed_in_flight)
{
	struct job *job;
	int asked = 0;

	self->io.write = true;
	self->io.n = MANY;
	job = job_start(_metadata, do_io, &self->io);
	for (struct event ev; asked < MANY / 4; ) {
		ev = event_next(_metadata, self->g);
		if (!(ev.mask & ALL_PRE))
			continue;
		allow(_metadata, self->g, &ev);
		asked++;
	}
	job_kill(_metadata, job, SIGKILL);
	EXPECT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).inflight));
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	self->g->unread_ok = true;
}

/* ------------------------- a ring and its order ------------------------- */

FIXTURE(ring)
{
	struct group *g;
};

FIXTURE_VARIANT(ring)
{
	const char *type;
};

FIXTURE_VARIANT_ADD(ring, tmpfs)
{
	.type = "tmpfs",
};

FIXTURE_VARIANT_ADD(ring, ext4)
{
	.type = "ext4",
};

/* What the test and its jobs have in common. */
static struct {
	int go;		/* set by the test */
	int stage;	/* set by the job */
	long res[2];
} *common;

FIXTURE_SETUP(ring)
{
	REQUIRE_CLASS();
	engine = uring;
	if (!engine_available())
		SKIP(return, "no io_uring: %s", strerror(errno));
	if (!fs_setup(_metadata, variant->type, FS_SIZE))
		SKIP(return, "no %s", variant->type);
	known_op_flags = FAN_OP_ASYNC;
	put_blocks(_metadata, "file", "aaaa");
	put_blocks(_metadata, "other", "aaaa");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY | FAN_ACCESS, "file");
	common = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, common);
}

FIXTURE_TEARDOWN(ring)
{
	test_end(_metadata);
}

static void reach(int stage)
{
	__atomic_store_n(&common->stage, stage, __ATOMIC_RELEASE);
}

static bool reached(int stage)
{
	return __atomic_load_n(&common->stage, __ATOMIC_ACQUIRE) >= stage;
}

static void go_on(void)
{
	__atomic_store_n(&common->go, 1, __ATOMIC_RELEASE);
}

static void wait_to_go_on(void)
{
	while (!__atomic_load_n(&common->go, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* One file that is asked about, another one that is not, on one ring. */
static long read_both(void *arg)
{
	const int fd = open("file", O_RDONLY), other = open("other", O_RDWR);
	char *buf = make_buffer();
	struct ring r;
	__u64 which;

	(void)arg;
	if (fd < 0 || other < 0 || !buf || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buf, BLOCK, 0, 1);
	ring_rw(&r, IORING_OP_READ, other, buf + BLOCK, BLOCK, 0, 2);
	if (ring_submit(&r) || ring_wait(&r, &which) != BLOCK || which != 2)
		return 1;
	reach(1);

	/* It can be used all the time. */
	ring_rw(&r, IORING_OP_WRITE, other, buf, BLOCK, 0, 3);
	ring_rw(&r, IORING_OP_READ, other, buf, BLOCK, 0, 4);
	if (ring_submit(&r))
		return 2;
	for (int i = 0; i < 2; i++)
		if (ring_wait(&r, &which) != BLOCK || which < 3)
			return 2;
	reach(2);
	return ring_wait(&r, &which) == BLOCK && which == 1 ? 0 : 3;
}

TEST_F(ring, is_not_blocked)
{
	struct job *job = job_start(_metadata, read_both, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_ACCESS,
					       FAN_OP_ASYNC, job->pid);

	EXPECT_TRUE(EVENTUALLY(reached(2)));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
}

/* Two writes, the second of which is not to start before the first ended. */
static long write_linked(void *arg)
{
	const int fd = open("file", O_WRONLY);
	char *buf = make_buffer();
	struct io_uring_sqe *sqe;
	struct ring r;
	__u64 which;

	(void)arg;
	if (fd < 0 || !buf || ring_open(&r, 0))
		return -1;
	sqe = ring_sqe(&r, IORING_OP_WRITE, fd, 0);
	sqe->addr = (uintptr_t)buf;
	sqe->len = BLOCK;
	sqe->flags = IOSQE_IO_LINK;
	ring_rw(&r, IORING_OP_WRITE, fd, buf, BLOCK, BLOCK, 1);
	if (ring_submit(&r))
		return -1;
	for (int i = 0; i < 2; i++) {
		const long res = ring_wait(&r, &which);

		common->res[which & 1] = res;
	}
	return 0;
}

TEST_F(ring, linked)
{
	struct job *job = job_start(_metadata, write_linked, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);
	struct event pre2;

	EXPECT_EQ(0ULL, pre.offset);
	expect_blocked(_metadata, job);
	EXPECT_EQ(1, group_state(_metadata, self->g).pending);
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);
	allow(_metadata, self->g, &pre);

	/* There is a POST, too, but a PRE is read before. */
	wait_pending(_metadata, self->g, 1);
	pre2 = expect_pre_of(_metadata, self->g, FAN_MODIFY, FAN_OP_ASYNC,
			     job->pid);
	EXPECT_EQ((__u64)BLOCK, pre2.offset);
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	allow(_metadata, self->g, &pre2);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre2, BLOCK);
	EXPECT_EQ(BLOCK, common->res[0]);
	EXPECT_EQ(BLOCK, common->res[1]);
	expect_blocks(_metadata, "file", "bbaa");
}

/* What hangs on one that was denied is not even asked about. */
TEST_F(ring, linked_denied)
{
	struct job *job = job_start(_metadata, write_linked, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(0, job_join(_metadata, job));
	EXPECT_EQ(-EPERM, common->res[0]);
	EXPECT_EQ(-ECANCELED, common->res[1]);
	expect_blocks(_metadata, "file", "aaaa");
}

static long write_and_drain(void *arg)
{
	const int fd = open("file", O_WRONLY);
	char *buf = make_buffer();
	struct ring r;
	__u64 which;

	(void)arg;
	if (fd < 0 || !buf || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, buf, BLOCK, 0, 1);
	ring_sqe(&r, IORING_OP_NOP, -1, 2)->flags = IOSQE_IO_DRAIN;
	if (ring_submit(&r))
		return -1;
	if (ring_wait(&r, &which) != BLOCK || which != 1)
		return 1;
	return ring_wait(&r, &which) || which != 2;
}

TEST_F(ring, drained)
{
	struct job *job = job_start(_metadata, write_and_drain, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
}

/* Cancelling what is being asked about is too late, and does it no harm. */
static long read_and_cancel(void *arg)
{
	const int fd = open("file", O_RDONLY);
	char *buf = make_buffer();
	struct ring r;
	__u64 which;
	long res;

	(void)arg;
	if (fd < 0 || !buf || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buf, BLOCK, 0, 1);
	if (ring_submit(&r))
		return -1;
	wait_to_go_on();
	ring_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, 2)->addr = 1;
	if (ring_submit(&r))
		return -1;
	common->res[0] = ring_wait(&r, &which);
	if (which != 2)
		return 1;
	reach(1);
	res = ring_wait(&r, &which);
	if (which != 1)
		return 1;
	errno = -res;
	return res < 0 ? -1 : res;
}

TEST_F(ring, cancelled)
{
	struct job *job = job_start(_metadata, read_and_cancel, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_ACCESS,
					       FAN_OP_ASYNC, job->pid);

	/* It runs, and ends because of that. */
	go_on();
	EXPECT_EQ(-EINTR, job_join(_metadata, job));
	EXPECT_EQ(-EALREADY, common->res[0]);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
}

/* A process that does not wait for what it submitted. */
static long read_and_exit(void *arg)
{
	const int fd = open("file", O_RDONLY);
	char *buf = make_buffer();
	struct ring r;

	(void)arg;
	if (fd < 0 || !buf || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buf, BLOCK, 0, 1);
	if (ring_submit(&r))
		return -1;
	wait_to_go_on();
	return 0;
}

TEST_F(ring, exit_while_asked)
{
	struct job *job = job_start(_metadata, read_and_exit, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_ACCESS,
					       FAN_OP_ASYNC, job->pid);

	go_on();
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, -EINTR);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
}

/* A process that never looks at how it ended. */
static long write_and_forget(void *arg)
{
	const int fd = open("file", O_WRONLY | O_DIRECT);
	char *buf = make_buffer();
	struct ring r;

	(void)arg;
	if (fd < 0 || !buf ||
	    ring_open(&r, IORING_SETUP_SINGLE_ISSUER |
		      IORING_SETUP_DEFER_TASKRUN))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, buf, BLOCK, 0, 1);
	if (ring_submit(&r))
		return -1;
	wait_to_go_on();
	return 0;
}

TEST_F(ring, never_reaped)
{
	struct job *job = job_start(_metadata, write_and_forget, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	allow(_metadata, self->g, &pre);
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	go_on();
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_blocks(_metadata, "file", "baaa");
}

/* At the position of the file, which is that of the request from then on. */
static long write_at_position(void *arg)
{
	const int fd = open("file", O_WRONLY);
	char *buf = make_buffer();
	struct ring r;

	(void)arg;
	if (fd < 0 || !buf || ring_open(&r, 0) ||
	    lseek(fd, BLOCK, SEEK_SET) != BLOCK)
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, buf, BLOCK, -1, 1);
	if (ring_submit(&r) || ring_wait(&r, NULL) != BLOCK)
		return -1;
	return lseek(fd, 0, SEEK_CUR);
}

TEST_F(ring, at_the_position)
{
	struct job *job = job_start(_metadata, write_at_position, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);
	struct event post;

	EXPECT_EQ((__u64)BLOCK, pre.offset);
	EXPECT_EQ((__u64)BLOCK, pre.count);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2 * BLOCK, job_join(_metadata, job));
	post = expect_post_of(_metadata, self->g, &pre, BLOCK);
	EXPECT_EQ((__u64)BLOCK, post.offset);
	expect_blocks(_metadata, "file", "abaa");
}

TEST_HARNESS_MAIN
