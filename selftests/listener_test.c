// SPDX-License-Identifier: GPL-2.0
/*
 * The tables of docs/listeners.md, row by row: what a listener can do in its only
 * thread while a question waits, and what it must not wait for, with the way out.
 *
 * Elsewhere: the logger (logger_test), programs that it starts (started_test),
 * file systems that are frozen (fsfreeze_test), modules that are loaded
 * (helpers_test), and how it can die (teardown_test, going_test, queue_test).
 */

#include <pthread.h>

#include "fuse.h"
#include "listener.h"

/* -------------------- what it can do while questions wait ------------------- */

static int use_files(void)
{
	const int fd = open("new", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char buf[2];

	if (fd < 0 || write(fd, "ab", 2) != 2 || pread(fd, buf, 2, 0) != 2 ||
	    ftruncate(fd, 1) || fchmod(fd, 0600) || close(fd))
		return -1;
	/* What is asked about is filled by whoever has asked about it. */
	if (write_file("file", O_TRUNC, "filled") || rename("new", "newer") ||
	    mkdir("dir", 0755) || rename("newer", "dir/new"))
		return -1;
	return unlink("dir/new") || rmdir("dir");
}

static void *use_files_in_thread(void *arg)
{
	*(int *)arg = use_files();
	return NULL;
}

TEST_F(listener, can_use_files)
{
	struct event pre;
	struct job *job;
	pthread_t thread;
	int ret = 1;

	watch(_metadata, self->g, ALL_EVENTS & ~FAN_OPEN);
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(0, use_files());
	ASSERT_EQ(0, pthread_create(&thread, NULL, use_files_in_thread, &ret));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, ret);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_content(_metadata, "file", "ASlled");
}

TEST_F(listener, can_change_marks)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_SYNC, FAN_ATTRIB,
	     "file");
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV |
	     FAN_MARK_SYNC, FAN_ACCESS, "file");
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_IGNORE |
	     FAN_MARK_SYNC, 0, ".");
	mark(_metadata, self->g, FAN_MARK_REMOVE | FAN_MARK_SYNC, FAN_ATTRIB,
	     "file");
	mark(_metadata, self->g, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM |
	     FAN_MARK_SYNC, 0, ".");
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* It does not wait for what waits for the listener. */
TEST_F(listener, can_begin_barriers)
{
	struct job *job = write_start(_metadata, "file", "AS");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	barrier(_metadata, self->g, ".");
	expect_barrier(_metadata, self->g, 1);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

static long read_and_die(void *arg)
{
	const int fd = queue_fd(arg, O_CLOEXEC);
	char buf[4096];

	return fd < 0 || read(fd, buf, sizeof(buf)) < 0 ? -1 : raise(SIGKILL);
}

TEST_F(listener, can_die)
{
	struct job *worker = __job_prepare(_metadata, read_and_die, self->g,
					   true);
	struct job *job;
	int status;

	job_go(_metadata, worker);
	job = write_start(_metadata, "file", "AS");
	status = job_reap(_metadata, worker);
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_blocked(_metadata, job);
	serve_write(_metadata, self->g, job, 2);
}

/* ------------------------------- barriers ---------------------------------- */

static long copy_file(void *arg)
{
	const int in = open(arg, O_RDONLY), out = open("file", O_WRONLY);

	return in < 0 || out < 0 ? -1 :
		copy_file_range(in, NULL, out, NULL, 2, 0);
}

/* A copy whose source was allowed, and whose destination is asked about. */
static struct event start_copy(struct __test_metadata *const _metadata,
			       struct group *g, struct job **job,
			       struct event *source)
{
	put_file(_metadata, "source", "AS");
	watch(_metadata, g, FAN_ACCESS);
	*job = job_start(_metadata, copy_file, "source");
	*source = expect_pre_of(_metadata, g, FAN_ACCESS, 0, (*job)->pid);
	allow(_metadata, g, source);
	return expect_pre(_metadata, g, (*job)->pid);
}

TEST_F(listener, barrier_after_the_answer)
{
	struct event source, pre;
	struct job *job;

	pre = start_copy(_metadata, self->g, &job, &source);
	barrier(_metadata, self->g, ".");
	expect_nothing(_metadata, self->g);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_post_of(_metadata, self->g, &source, 2);
	expect_barrier(_metadata, self->g, 1);
}

TEST_F(listener, barrier_and_a_deadline)
{
	const struct fanotify_deadline deadline = { 1000, FAN_ALLOW };
	struct event source, pre;
	struct job *job;

	ASSERT_EQ(0, ioctl(self->g->fd, FAN_IOC_DEADLINE, &deadline));
	pre = start_copy(_metadata, self->g, &job, &source);
	barrier(_metadata, self->g, ".");
	/* It waits for nothing but the barrier, and has not answered. */
	expect_post(_metadata, self->g, &pre, 2);
	expect_post_of(_metadata, self->g, &source, 2);
	expect_barrier(_metadata, self->g, 1);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* ---------------------- a file system in user space ------------------------ */

/* Whoever serves what the listener reads is asked about what it serves. */
static struct job *fuse_start(struct __test_metadata *const _metadata,
			      struct group *g, bool is_exempt)
{
	struct fuse_server s = { .path = FS_DIR "/file" };
	struct job *job;

	s.fd = fuse_mount(_metadata);
	if (s.fd < 0)
		SKIP(return NULL, "no /dev/fuse");
	job = job_prepare(_metadata, fuse_server, &s);
	close(s.fd);
	if (is_exempt) {
		cgroup_exempt(_metadata, g->fd);
		ASSERT_EQ(0, enter(cgroup, job->pid));
	}
	job_go(_metadata, job);
	watch(_metadata, g, FAN_OPEN | FAN_ACCESS);
	return job;
}

TEST_F(listener, fuse_server_is_exempt)
{
	struct job *job = fuse_start(_metadata, self->g, true);

	if (!job)
		return;
	expect_content(_metadata, FUSE_FILE, "as it was");
	expect_silence(_metadata, self->g);
	ASSERT_EQ(0, umount(FUSE_DIR));
	EXPECT_EQ(0, job_join(_metadata, job));
}

static void *read_in_thread(void *arg)
{
	char buf[64];

	__atomic_store_n((long *)arg,
			 read_file(FUSE_FILE, buf, sizeof(buf)),
			 __ATOMIC_RELEASE);
	return NULL;
}

/* Or another thread answers while one reads. */
TEST_F(listener, fuse_server_is_asked_about)
{
	struct job *job = fuse_start(_metadata, self->g, false);
	pthread_t thread;
	long ret = -1000;

	if (!job)
		return;
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_in_thread, &ret));
	EXPECT_LT(0U, SERVE_UNTIL(self->g, 0,
				  __atomic_load_n(&ret, __ATOMIC_ACQUIRE) !=
				  -1000));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(9, ret);
	serve_rest(_metadata, self->g);
	ASSERT_EQ(0, umount(FUSE_DIR));
	EXPECT_EQ(0, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
