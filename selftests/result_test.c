// SPDX-License-Identifier: GPL-2.0
/*
 * POST says what the write has come to, whatever that is.
 */

#include <sys/resource.h>
#include <sys/uio.h>

#include "fs.h"
#include "group.h"

FIXTURE(result)
{
	struct group *g;
};

FIXTURE_VARIANT(result)
{
	const char *fs;
	off_t size;
};

FIXTURE_VARIANT_ADD(result, tmpfs)
{
	.fs = "tmpfs",
	.size = 64 << 10,
};

FIXTURE_VARIANT_ADD(result, ext4)
{
	.fs = "ext4",
	.size = 1 << 20,
};

FIXTURE_SETUP(result)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, variant->size))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(result)
{
	test_end(_metadata);
}

/* Let a write happen that is to come to @result. */
static void expect_result(struct __test_metadata *const _metadata,
			  struct group *g, pid_t pid, __u64 offset,
			  __u64 count, long result)
{
	const struct event pre = expect_pre(_metadata, g, pid);
	struct event post;

	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, pre.records);
	EXPECT_EQ(offset, pre.offset);
	EXPECT_EQ(count, pre.count);
	allow(_metadata, g, &pre);

	/* The bytes that were written, or else those that should have been. */
	post = expect_post(_metadata, g, &pre, result);
	EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE, post.records);
	EXPECT_EQ(offset, post.offset);
	EXPECT_EQ(result < 0 ? count : (__u64)result, post.count);
}

TEST_F(result, full)
{
	struct job *job = write_start(_metadata, "file", "all of it");

	expect_result(_metadata, self->g, job->pid, 0, 9, 9);
	EXPECT_EQ(9, job_join(_metadata, job));
	expect_content(_metadata, "file", "all of it");
}

#define MAX_WRITES 100

/* What each write of a job came to, all of the same size. */
static struct fill {
	size_t count;
	volatile int go;	/* number of writes that may be begun */
	volatile long results[MAX_WRITES];
} *fill;

/* Returns the number of writes, of which the last one has failed. */
static long fill_up(void *arg)
{
	char *buf = calloc(1, fill->count);
	int fd = open("file", O_WRONLY), n = 0;
	ssize_t ret;

	(void)arg;
	if (fd < 0 || !buf)
		return -1;
	do {
		while (fill->go == n)
			usleep(1000);
		ret = write(fd, buf, fill->count);
		fill->results[n++] = ret < 0 ? -errno : ret;
	} while (ret > 0 && n < MAX_WRITES);
	return n;
}

TEST_F(result, no_space)
{
	bool short_write = false;
	struct event pre, post;
	struct job *job;
	__u64 pos = 0;
	int n = 0;

	fill = mmap(NULL, sizeof(*fill), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, fill);
	fill->count = 2 * variant->size;
	job = job_start(_metadata, fill_up, NULL);

	do {
		/* Not at once, or the next PRE is there before this POST. */
		fill->go = n + 1;
		pre = expect_pre(_metadata, self->g, job->pid);
		EXPECT_EQ(pos, pre.offset);
		EXPECT_EQ(fill->count, pre.count);
		allow(_metadata, self->g, &pre);

		/* What the call returned is not known before it is over. */
		post = event_next(_metadata, self->g);
		ASSERT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(pre.cookie, post.cookie);
		ASSERT_TRUE(EVENTUALLY(fill->results[n]));
		EXPECT_EQ(fill->results[n], post.result);
		EXPECT_EQ(pos, post.offset);
		if (post.result > 0) {
			EXPECT_EQ((__u64)post.result, post.count);
			short_write |= (size_t)post.result < fill->count;
			pos += post.result;
		}
		n++;
	} while (post.result > 0 && n < MAX_WRITES);

	EXPECT_EQ(n, job_join(_metadata, job));
	EXPECT_EQ(-ENOSPC, post.result);
	EXPECT_EQ(fill->count, post.count);
	EXPECT_TRUE(short_write);
	munmap(fill, sizeof(*fill));
}

struct limit_args {
	void (*handler)(int sig);	/* of SIGXFSZ */
	off_t offset;
};

/* Bytes past the eighth are too many. */
static long write_past_limit(void *arg)
{
	const struct rlimit limit = { .rlim_cur = 8, .rlim_max = 8 };
	const struct rlimit no_core = {};
	const struct limit_args *args = arg;
	int fd = open("file", O_WRONLY);

	signal(SIGXFSZ, args->handler);
	if (fd < 0 || setrlimit(RLIMIT_FSIZE, &limit) ||
	    setrlimit(RLIMIT_CORE, &no_core))
		return -1;
	return pwrite(fd, "abcde", 5, args->offset);
}

TEST_F(result, file_size_limit)
{
	struct limit_args args = { .handler = SIG_IGN };
	struct job *job;

	args.offset = 6;
	job = job_start(_metadata, write_past_limit, &args);
	expect_result(_metadata, self->g, job->pid, 6, 5, 2);
	EXPECT_EQ(2, job_join(_metadata, job));

	args.offset = 8;
	job = job_start(_metadata, write_past_limit, &args);
	expect_result(_metadata, self->g, job->pid, 8, 5, -EFBIG);
	EXPECT_EQ(-EFBIG, job_join(_metadata, job));
}

/* The signal comes with the result, which is sent before it is acted upon. */
TEST_F(result, killed_by_its_own_write)
{
	struct limit_args args = { .handler = SIG_DFL, .offset = 8 };
	struct job *job;
	int status;

	job = job_start(_metadata, write_past_limit, &args);
	expect_result(_metadata, self->g, job->pid, 8, 5, -EFBIG);
	status = job_reap(_metadata, job);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGXFSZ, WTERMSIG(status));
}

/* Ten bytes of which the first @arg can be read. */
static long write_bad_buffer(void *arg)
{
	const long page = sysconf(_SC_PAGESIZE), readable = (long)arg;
	int fd = open("file", O_WRONLY);
	char *map;

	map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || map == MAP_FAILED ||
	    mprotect(map + page, page, PROT_NONE))
		return -1;
	return write(fd, map + page - readable, 10);
}

TEST_F(result, bad_buffer)
{
	struct job *job;

	job = job_start(_metadata, write_bad_buffer, (void *)0L);
	expect_result(_metadata, self->g, job->pid, 0, 10, -EFAULT);
	EXPECT_EQ(-EFAULT, job_join(_metadata, job));

	job = job_start(_metadata, write_bad_buffer, (void *)4L);
	expect_result(_metadata, self->g, job->pid, 0, 10, 4);
	EXPECT_EQ(4, job_join(_metadata, job));
}

/* Calls that are wrong in themselves, whatever the file system: no operation. */
static long write_wrongly(void *arg)
{
	static struct iovec iov[IOV_MAX + 1];
	int fd = open("file", O_WRONLY), ro = open("file", O_RDONLY);

	(void)arg;
	if (fd < 0 || ro < 0)
		return -1;
	if (write(ro, "ab", 2) != -1 || errno != EBADF)
		return 1;
	if (pwrite(ro, "ab", 2, 0) != -1 || errno != EBADF)
		return 2;
	if (pwrite(fd, "ab", 2, -1) != -1 || errno != EINVAL)
		return 3;
	if (syscall(__NR_write, fd, -1L, 2) != -1 || errno != EFAULT)
		return 4;
	if (writev(fd, (void *)-16L, 1) != -1 || errno != EFAULT)
		return 5;
	if (writev(fd, iov, IOV_MAX + 1) != -1 || errno != EINVAL)
		return 6;
	return 0;
}

TEST_F(result, no_operation)
{
	struct job *job = job_start(_metadata, write_wrongly, NULL);

	EXPECT_EQ(0, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

static long write_nowait(void *arg)
{
	struct iovec iov = { .iov_base = "ab", .iov_len = 2 };
	int fd = open("file", O_WRONLY);

	(void)arg;
	return fd < 0 ? -1 : pwritev2(fd, &iov, 1, 0, RWF_NOWAIT);
}

/* Who must not wait cannot ask. */
TEST_F(result, nowait)
{
	struct job *job = job_start(_metadata, write_nowait, NULL);

	EXPECT_EQ(-EAGAIN, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_content(_metadata, "file", "");
}

static long write_fifo(void *arg)
{
	int fd = open("fifo", O_RDWR | O_NONBLOCK);

	(void)arg;
	return fd < 0 ? -1 : write(fd, "ab", 2);
}

/* Only what is written to regular files is asked for. */
TEST_F(result, not_a_regular_file)
{
	struct job *job;

	ASSERT_EQ(0, mkfifo("fifo", 0600));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "fifo");
	job = job_start(_metadata, write_fifo, NULL);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
}

static void on_signal(int sig)
{
	(void)sig;
}

static long do_open_interrupted(void *arg)
{
	struct sigaction sa = { .sa_handler = on_signal };

	if (sigaction(SIGUSR1, &sa, NULL))
		return -1;
	return open(arg, O_RDONLY | O_CLOEXEC);
}

/* What a call that a signal interrupts returns within the kernel is not told. */
TEST_F(result, interrupted)
{
	struct group *g = group_open(_metadata, 0);
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, mkfifo("fifo", 0600));
	mark(_metadata, g, FAN_MARK_ADD, FAN_OPEN, "fifo");
	job = job_start(_metadata, do_open_interrupted, "fifo");
	pre = expect_pre_of(_metadata, g, FAN_OPEN, 0, job->pid);
	allow(_metadata, g, &pre);
	while (!job_ended(job, 100))
		ASSERT_EQ(0, kill(job->pid, SIGUSR1));
	EXPECT_EQ(-EINTR, job_join(_metadata, job));
	expect_post_of(_metadata, g, &pre, -EINTR);
}

TEST_HARNESS_MAIN
