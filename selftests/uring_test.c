// SPDX-License-Identifier: GPL-2.0
/*
 * What io_uring leaves to its user must not be left to filters: a request that
 * waits for a worker or for task work is no operation in flight, and one that
 * is asked about can be cancelled.
 */

#include <pthread.h>
#include <sys/inotify.h>
#include <sys/mount.h>

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "ring.h"

#define BLOCK	4096

/* Shared with the job. */
struct control {
	int go;		/* set by the test: do it */
	int ready;	/* set by the job: it is about to be waited for */
};

static struct control *control;
static char *buffer;
static int held_pipe[2];	/* its other end, as long as a ring is there */

static void wait_for(const int *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static void set(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

FIXTURE(uring)
{
	struct group *g;
};

FIXTURE_SETUP(uring)
{
	struct ring r;

	REQUIRE_CLASS();
	if (ring_open(&r, 0))
		SKIP(return, "no io_uring: %s", strerror(errno));
	ring_close(&r);
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4");

	known_op_flags = FAN_OP_ASYNC;
	put_file(_metadata, "file", "as it was");
	control = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, control);
	buffer = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, buffer);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(uring)
{
	test_end(_metadata);
}

/* ------------------------------- cancelled ------------------------------ */

/* A ring with a write to the file that a worker does. */
static int ring_with_write(struct ring *r)
{
	int fd = open("file", O_WRONLY);

	if (fd < 0 || ring_open(r, 0))
		return -1;
	ring_rw(r, IORING_OP_WRITE, fd, buffer, BLOCK, 0, 1);
	r->sqes[0].flags |= IOSQE_ASYNC;
	return ring_submit(r);
}

/* What the write ended with, whatever else there is that ends. */
static long write_result(struct ring *r)
{
	__u64 which;
	long res;

	do {
		res = ring_wait(r, &which);
	} while (which != 1);
	errno = -res;
	return res;
}

static long cancel(void *arg __maybe_unused)
{
	struct ring r;

	if (ring_with_write(&r))
		return -1;
	wait_for(&control->go);
	ring_sqe(&r, IORING_OP_ASYNC_CANCEL, -1, 2)->addr = 1;
	if (ring_submit(&r))
		return -1;
	return write_result(&r);
}

/*
 * For as long as it takes to be asked about, and then for no more time. Without
 * IOSQE_ASYNC: the time begins when io_uring has tried the write and cannot do
 * it at once, or has done it.
 */
static long time_out(void *arg __maybe_unused)
{
	const struct __kernel_timespec later = { .tv_sec = 24 * 60 * 60 };
	const struct __kernel_timespec now = { .tv_nsec = 1 };
	struct io_uring_sqe *sqe;
	struct ring r;
	int fd;

	fd = open("file", O_WRONLY);
	if (fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, buffer, BLOCK, 0, 1);
	r.sqes[0].flags |= IOSQE_IO_LINK;
	sqe = ring_sqe(&r, IORING_OP_LINK_TIMEOUT, -1, 2);
	sqe->addr = (uintptr_t)&later;
	sqe->len = 1;
	if (ring_submit(&r))
		return -1;
	wait_for(&control->go);
	sqe = ring_sqe(&r, IORING_OP_TIMEOUT_REMOVE, -1, 3);
	sqe->addr = 2;
	sqe->addr2 = (uintptr_t)&now;
	sqe->timeout_flags = IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE;
	if (ring_submit(&r))
		return -1;
	return write_result(&r);
}

/* A process that goes on without the ring. */
static long close_ring(void *arg __maybe_unused)
{
	struct ring r;

	if (ring_with_write(&r))
		return -1;
	wait_for(&control->go);
	ring_close(&r);
	for (;;)
		pause();
}

static void *thread_fn(void *arg __maybe_unused)
{
	struct ring r;

	if (ring_with_write(&r))
		return NULL;
	wait_for(&control->go);
	return &control->go;
}

/* A thread that ends, in a process that does not. */
static long exit_thread(void *arg __maybe_unused)
{
	pthread_t thread;
	void *ret;

	if (pthread_create(&thread, NULL, thread_fn, NULL) ||
	    pthread_join(thread, &ret) || !ret)
		return -1;
	for (;;)
		pause();
}

static long execute(void *arg __maybe_unused)
{
	struct ring r;

	if (ring_with_write(&r))
		return -1;
	wait_for(&control->go);
	execl("/bin/sleep", "sleep", "1000", NULL);
	return -1;
}

/* The request ends as if its process had been killed. */
static struct job *expect_cancelled(struct __test_metadata *const _metadata,
				    struct group *g, job_fn fn)
{
	struct job *job = job_start(_metadata, fn, NULL);
	const struct event pre = expect_pre_of(_metadata, g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	expect_blocked(_metadata, job);
	set(&control->go);
	expect_post_of(_metadata, g, &pre, -EINTR);
	EXPECT_EQ(-ENOENT, try_answer(g, pre.cookie, FAN_ALLOW));
	expect_silence(_metadata, g);
	EXPECT_EQ(0, group_state(_metadata, g).inflight);
	expect_content(_metadata, "file", "as it was");
	return job;
}

TEST_F(uring, cancelled)
{
	struct job *job = expect_cancelled(_metadata, self->g, cancel);

	EXPECT_EQ(-EINTR, job_join(_metadata, job));
}

TEST_F(uring, timed_out)
{
	struct job *job = expect_cancelled(_metadata, self->g, time_out);

	EXPECT_EQ(-EINTR, job_join(_metadata, job));
}

TEST_F(uring, ring_closed)
{
	struct job *job = expect_cancelled(_metadata, self->g, close_ring);

	job_kill(_metadata, job, SIGKILL);
}

TEST_F(uring, thread_exits)
{
	struct job *job = expect_cancelled(_metadata, self->g, exit_thread);

	job_kill(_metadata, job, SIGKILL);
}

TEST_F(uring, program_executed)
{
	struct job *job = expect_cancelled(_metadata, self->g, execute);

	job_kill(_metadata, job, SIGKILL);
}

/* So many can be torn down at a time, of all rings of the machine. */
#define RINGS	64

/*
 * Rings with a read each, which needs no other one to have ended, and one that
 * holds the pipe open.
 */
static long close_rings(void *arg __maybe_unused)
{
	unsigned int workers[2] = { 2 * RINGS, 0 };
	const int fd = open("file", O_RDONLY);
	static struct ring rings[RINGS + 1];

	for (int i = 0; i <= RINGS; i++)
		if (fd < 0 || ring_open(&rings[i], 0))
			return -1;
	if (syscall(__NR_io_uring_register, rings[0].fd,
		    IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2) ||
	    syscall(__NR_io_uring_register, rings[RINGS].fd,
		    IORING_REGISTER_FILES, &held_pipe[1], 1))
		return -1;
	close(held_pipe[1]);
	for (int i = 0; i < RINGS; i++) {
		ring_rw(&rings[i], IORING_OP_READ, fd, buffer, BLOCK, 0, 1);
		rings[i].sqes[0].flags |= IOSQE_ASYNC;
		if (ring_submit(&rings[i]))
			return -1;
	}
	wait_for(&control->go);
	for (int i = 0; i <= RINGS; i++)
		ring_close(&rings[i]);
	for (;;)
		pause();
}

/* Who is asked about does not keep the rings of others from being closed. */
TEST_F(uring, many_rings_closed)
{
	struct pollfd closed = { .events = POLLIN };
	struct event pre[RINGS], post;
	struct job *job;

	ASSERT_EQ(0, pipe2(held_pipe, O_CLOEXEC));
	closed.fd = held_pipe[0];
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_start(_metadata, close_rings, NULL);
	close(held_pipe[1]);
	for (int i = 0; i < RINGS; i++)
		pre[i] = expect_pre_of(_metadata, self->g, FAN_ACCESS,
				       FAN_OP_ASYNC, job->pid);
	EXPECT_EQ(RINGS, group_state(_metadata, self->g).pending);
	EXPECT_EQ(0, poll(&closed, 1, 0));

	set(&control->go);
	EXPECT_EQ(1, poll(&closed, 1, TIMEOUT_MS));
	EXPECT_EQ(POLLHUP, closed.revents);
	for (int i = 0; i < RINGS; i++) {
		int k = 0;

		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_ACCESS), post.mask);
		EXPECT_EQ(FAN_OP_ASYNC, post.flags);
		EXPECT_EQ(-EINTR, post.result);
		while (k < RINGS && pre[k].cookie != post.cookie)
			k++;
		ASSERT_LT(k, RINGS);
		pre[k].cookie = 0;
	}
	expect_silence(_metadata, self->g);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
	job_kill(_metadata, job, SIGKILL);
	close(held_pipe[0]);
}

/* Whoever stops a process does not stop what was allowed to it. */
TEST_F(uring, stopped)
{
	struct job *job = job_start(_metadata, cancel, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);
	int status;

	ASSERT_EQ(0, kill(job->pid, SIGSTOP));
	expect_nothing(_metadata, self->g);
	allow(_metadata, self->g, &pre);
	barrier(_metadata, self->g, ".");
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	expect_barrier(_metadata, self->g, 1);

	/* All of its threads are: the one that has waited, too. */
	ASSERT_TRUE(EVENTUALLY(waitpid(job->pid, &status,
				       WUNTRACED | WNOHANG) == job->pid));
	EXPECT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(0, kill(job->pid, SIGCONT));
	set(&control->go);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
}

/* Nor does it keep others from getting rid of its ring. */
TEST_F(uring, stopped_and_killed)
{
	struct job *job = job_start(_metadata, cancel, NULL);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	ASSERT_EQ(0, kill(job->pid, SIGSTOP));
	expect_nothing(_metadata, self->g);
	job_kill(_metadata, job, SIGKILL);
	expect_post_of(_metadata, self->g, &pre, -EINTR);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
}

/* -------------------------------- parked -------------------------------- */

/*
 * The only worker opens a FIFO, which can take forever. A write that has to
 * block, as it goes beyond the end of the file, waits for it.
 */
static long park(void *arg __maybe_unused)
{
	unsigned int workers[2] = { 1, 1 };
	struct io_uring_sqe *sqe;
	struct ring r;
	__u64 which;
	long res;
	int fd;

	fd = open("file", O_WRONLY | O_DIRECT);
	if (fd < 0 || ring_open(&r, 0) ||
	    syscall(__NR_io_uring_register, r.fd,
		    IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2))
		return -1;

	sqe = ring_sqe(&r, IORING_OP_OPENAT, AT_FDCWD, 1);
	sqe->addr = (uintptr_t)"fifo";
	sqe->open_flags = O_RDONLY;
	sqe->flags |= IOSQE_ASYNC;
	if (ring_submit(&r))
		return -1;
	usleep(SETTLE_MS * 1000);
	ring_rw(&r, IORING_OP_WRITE, fd, buffer, BLOCK, 16 * BLOCK, 2);
	if (ring_submit(&r))
		return -1;
	set(&control->ready);
	do {
		res = ring_wait(&r, &which);
	} while (which != 2);
	errno = -res;
	return res;
}

/* It is neither waited for, nor lost sight of. */
TEST_F(uring, parked)
{
	struct event pre, ev;
	struct job *job;
	int fifo;

	ASSERT_EQ(0, mkfifo("fifo", 0600));
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_MODIFY, "file");
	job = job_start(_metadata, park, NULL);
	wait_for(&control->ready);

	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	ev = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
	expect_blocked(_metadata, job);

	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_MODIFY, "file");
	fifo = open("fifo", O_WRONLY);
	ASSERT_LE(0, fifo);
	pre = expect_pre_of(_metadata, self->g, FAN_MODIFY, FAN_OP_ASYNC,
			    job->pid);
	EXPECT_EQ(16ULL * BLOCK, pre.offset);
	EXPECT_EQ((__u64)BLOCK, pre.count);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, BLOCK);
	close(fifo);
}

/*
 * A read beyond the end of the file, of which one block is there: that much is
 * done at once, in the hole that the file is. The only worker opens a FIFO, and
 * what is left waits for it. By then there is nothing to read to, from the page
 * of this number on.
 */
#define PARTS	3

static long park_rest(void *arg)
{
	const int *bad = arg;
	unsigned int workers[2] = { 1, 1 };
	struct io_uring_sqe *sqe;
	struct ring r;
	__u64 which;
	char *buf;
	long res;
	int fd;

	buf = mmap(NULL, PARTS * BLOCK, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = open("hole", O_RDONLY | O_DIRECT);
	if (buf == MAP_FAILED || fd < 0 || ring_open(&r, 0) ||
	    syscall(__NR_io_uring_register, r.fd,
		    IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2))
		return -1;

	sqe = ring_sqe(&r, IORING_OP_OPENAT, AT_FDCWD, 1);
	sqe->addr = (uintptr_t)"fifo";
	sqe->open_flags = O_RDONLY;
	sqe->flags |= IOSQE_ASYNC;
	if (ring_submit(&r))
		return -1;
	usleep(SETTLE_MS * 1000);
	ring_rw(&r, IORING_OP_READ, fd, buf, PARTS * BLOCK, 0, 2);
	if (ring_submit(&r) ||
	    mprotect(buf + *bad * BLOCK, (PARTS - *bad) * BLOCK, PROT_NONE))
		return -1;
	set(&control->ready);
	do {
		res = ring_wait(&r, &which);
	} while (which != 2);
	errno = -res;
	return res;
}

/*
 * What is left of a request fails, with the page of number @bad of its buffer.
 * The request returns what was done, and that is no part of this operation.
 */
static void expect_rest_fails(struct __test_metadata *const _metadata,
			      struct group *g, int bad, off_t data)
{
	struct event pre;
	struct job *job;
	int fd, fifo;

	ASSERT_EQ(0, mkfifo("fifo", 0600));
	fd = open("hole", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, BLOCK));
	mark(_metadata, g, FAN_MARK_ADD, FAN_ACCESS, "hole");
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_ACCESS,
	     "hole");
	job = job_start(_metadata, park_rest, &bad);
	wait_for(&control->ready);
	expect_blocked(_metadata, job);

	/* Now there is something to be read, of which @data bytes are on disk. */
	if (data) {
		ASSERT_EQ(data, pwrite(fd, buffer, data, BLOCK));
		ASSERT_EQ(0, fsync(fd));
	}
	ASSERT_EQ(0, ftruncate(fd, PARTS * BLOCK));
	close(fd);
	mark(_metadata, g, FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_ACCESS, "hole");
	fifo = open("fifo", O_WRONLY);
	ASSERT_LE(0, fifo);
	pre = expect_pre_of(_metadata, g, FAN_ACCESS, FAN_OP_ASYNC, job->pid);
	EXPECT_EQ((__u64)BLOCK, pre.offset);
	EXPECT_EQ((PARTS - 1ULL) * BLOCK, pre.count);
	allow(_metadata, g, &pre);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_post_of(_metadata, g, &pre, -EFAULT);
	close(fifo);
}

/* The worker that issues it finds that out: there is no I/O for a hole. */
TEST_F(uring, rest_fails_at_once)
{
	expect_rest_fails(_metadata, self->g, 1, 0);
}

/*
 * It is found out when a part is on its way from the disk, and the request ends
 * where that does. (Or with the issue, if the disk was faster: the same has to
 * be reported.)
 */
TEST_F(uring, rest_fails_later)
{
	expect_rest_fails(_metadata, self->g, 2, BLOCK);
}

/* -------------------------------- failed -------------------------------- */

struct failing {
	unsigned int setup;
	void *buf;
};

static long write_once(void *arg)
{
	const struct failing *f = arg;
	struct ring r;
	long res;
	int fd;

	fd = open("file", O_RDWR | O_DIRECT);
	if (fd < 0 || ring_open(&r, f->setup))
		return -1;
	ring_rw(&r, f->buf ? IORING_OP_WRITE : IORING_OP_READ, fd, f->buf,
		BLOCK, 0, 1);
	if (ring_submit(&r))
		return -1;
	res = ring_wait(&r, NULL);
	errno = -res;
	return res;
}

/* EAGAIN is not what it is to a file system that cannot wait. */
TEST_F(uring, denied_for_now)
{
	struct failing f = {
		.setup = IORING_SETUP_IOPOLL,
		.buf = buffer,
	};
	struct job *job = job_start(_metadata, write_once, &f);
	const struct event pre = expect_pre_of(_metadata, self->g, FAN_MODIFY,
					       FAN_OP_ASYNC, job->pid);

	answer(_metadata, self->g, &pre, FAN_DENY_ERRNO(EAGAIN));
	EXPECT_EQ(-EAGAIN, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	expect_content(_metadata, "file", "as it was");
}

/* A completion is not seen before POST is queued: here, of a read that fails. */
TEST_F(uring, told_before_it_fails)
{
	struct failing f = {};
	struct event pre;
	struct job *job;

	REQUIRE_HOLDS();
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	job = job_prepare(_metadata, write_once, &f);
	hold(_metadata, "end", job->pid);
	job_go(_metadata, job);
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, FAN_OP_ASYNC,
			    job->pid);
	allow(_metadata, self->g, &pre);
	wait_held(_metadata, "end");
	expect_blocked(_metadata, job);
	release(_metadata, "end");
	EXPECT_EQ(-EFAULT, job_join(_metadata, job));
	EXPECT_TRUE(group_readable(self->g, 0));
	expect_post_of(_metadata, self->g, &pre, -EFAULT);
}

/* --------------------------------- disk --------------------------------- */

/*
 * A disk of the machine whose requests are completed by an interrupt, or, in
 * another queue, when someone polls for them.
 */
#define DISK		"/dev/vda"
#define DISK_POLLS	"/sys/block/vda/queue/io_poll"

static bool disk_mount(struct __test_metadata *const _metadata)
{
	char polls[2];

	if (read_file(DISK_POLLS, polls, sizeof(polls)) < 1 || polls[0] != '1')
		return false;
	ASSERT_EQ(0, mkdir("disk", 0700));
	ASSERT_EQ(0, system("mkfs.ext4 -q -F " DISK));
	ASSERT_EQ(0, mount(DISK, "disk", "ext4", 0, NULL));
	ASSERT_EQ(0, system("head -c 65536 /dev/zero >disk/file; sync"));
	return true;
}

static void disk_umount(struct __test_metadata *const _metadata,
			struct group *g)
{
	EXPECT_EQ(0, umount("disk"));
	EXPECT_EQ(FAN_Q_GONE, event_next(_metadata, g).mask);
}

static long read_disk(void *arg __maybe_unused)
{
	struct ring r;
	int fd;

	fd = open("disk/file", O_RDONLY | O_DIRECT);
	if (fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buffer, BLOCK, 0, 1);
	return ring_submit(&r) ? -1 : ring_wait(&r, NULL);
}

/*
 * It ends in an interrupt, where no dentry must be locked, whatever someone
 * leaves there who watches the directory meanwhile. (What it does wrong is seen
 * by lockdep, or if it interrupts a task that has locked the dentry.)
 */
TEST_F(uring, directory_watched_meanwhile)
{
	struct job *job;
	int fd, wd;

	REQUIRE_HOLDS();
	if (!disk_mount(_metadata))
		SKIP(return, "no disk");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_ACCESS, "disk");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV,
	     FAN_ACCESS, "disk/file");
	job = job_prepare(_metadata, read_disk, NULL);
	hold(_metadata, "begin", job->pid);
	job_go(_metadata, job);
	wait_held(_metadata, "begin");
	fd = inotify_init1(IN_CLOEXEC);
	wd = inotify_add_watch(fd, "disk", IN_ACCESS);
	ASSERT_LE(0, wd);
	ASSERT_EQ(0, inotify_rm_watch(fd, wd));
	close(fd);
	release(_metadata, "begin");
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	expect_silence(_metadata, self->g);
	disk_umount(_metadata, self->g);
}

/* Returns what a read has ended with, when someone wants to know. */
static long read_polled(void *arg __maybe_unused)
{
	struct ring r;
	int fd;

	fd = open("disk/file", O_RDONLY | O_DIRECT);
	if (fd < 0 || ring_open(&r, IORING_SETUP_IOPOLL))
		return -1;
	ring_rw(&r, IORING_OP_READ, fd, buffer, BLOCK, 0, 1);
	if (ring_submit(&r))
		return -1;
	set(&control->ready);
	wait_for(&control->go);
	return ring_wait(&r, NULL);
}

/* It is done when it is done, and not when it is polled for. */
TEST_F(uring, polled)
{
	struct event ev;
	struct job *job;

	if (!disk_mount(_metadata))
		SKIP(return, "no disk that is polled");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_POST(FAN_ACCESS), "disk");
	job = job_start(_metadata, read_polled, NULL);
	wait_for(&control->ready);
	barrier(_metadata, self->g, "disk");
	do {
		ev = event_next(_metadata, self->g);
	} while (ev.mask & FAN_ONDIR);
	EXPECT_EQ(FAN_POST(FAN_ACCESS), ev.mask);
	EXPECT_EQ(BLOCK, ev.result);
	expect_barrier(_metadata, self->g, 1);
	set(&control->go);
	EXPECT_EQ(BLOCK, job_join(_metadata, job));
	disk_umount(_metadata, self->g);
}

TEST_HARNESS_MAIN
