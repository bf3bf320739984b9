// SPDX-License-Identifier: GPL-2.0
/*
 * What an event says of who is at it: process or thread, by number and by
 * descriptor.
 */

#include <pthread.h>
#include <sys/resource.h>

#include "fs.h"
#include "group.h"

FIXTURE(pid)
{
};

FIXTURE_SETUP(pid)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
}

FIXTURE_TEARDOWN(pid)
{
	test_end(_metadata);
}

static struct group *open_group(struct __test_metadata *const _metadata,
				unsigned int flags)
{
	struct group *g = group_open(_metadata, flags);

	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	return g;
}

static pid_t pid_of(struct __test_metadata *const _metadata, int pidfd)
{
	char path[64], buf[1024];
	const char *line;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	ASSERT_LT(0, read_file(path, buf, sizeof(buf)));
	line = strstr(buf, "\nPid:");
	ASSERT_NE(NULL, line)
		TH_LOG("descriptor %d is no pidfd: %s", pidfd, buf);
	return atoi(line + 5);
}

/* Both events are read while the process is there, be it as a zombie. */
static void expect_pidfds(struct __test_metadata *const _metadata,
			  struct group *g, pid_t pid)
{
	struct event ev[2];

	ev[0] = expect_pre(_metadata, g, pid);
	allow(_metadata, g, &ev[0]);
	ev[1] = expect_post(_metadata, g, &ev[0], 2);
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(RECORD_OP | RECORD_FID | RECORD_RANGE | RECORD_PIDFD,
			  ev[i].records);
		ASSERT_LE(0, ev[i].pidfd);
		EXPECT_EQ(pid, pid_of(_metadata, ev[i].pidfd));
		EXPECT_EQ(FD_CLOEXEC, fcntl(ev[i].pidfd, F_GETFD));
		close(ev[i].pidfd);
	}
}

TEST_F(pid, pidfd)
{
	struct group *g = open_group(_metadata, FAN_REPORT_PIDFD);
	struct job *job = write_start(_metadata, "file", "ab");

	expect_pidfds(_metadata, g, job->pid);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* No descriptor to be had: that is said, and the event is there. */
TEST_F(pid, no_room_for_pidfd)
{
	struct group *g = open_group(_metadata, FAN_REPORT_PIDFD);
	struct job *job = write_start(_metadata, "file", "ab");
	struct rlimit old, none;
	struct event pre, post;
	int lowest;

	ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
	lowest = dup(g->fd);
	ASSERT_LE(0, lowest);
	close(lowest);
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	none = old;
	none.rlim_cur = lowest;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	pre = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &pre);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	EXPECT_EQ(FAN_EPIDFD, pre.pidfd);

	post = expect_post(_metadata, g, &pre, 2);
	EXPECT_LE(0, post.pidfd);
	close(post.pidfd);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* A process that is no more may be found by such a descriptor, or not. */
TEST_F(pid, pidfd_of_the_dead)
{
	struct group *g = open_group(_metadata, FAN_REPORT_PIDFD);
	struct job *job = write_start(_metadata, "file", "ab");
	const pid_t pid = job->pid;
	struct event pre, post;

	pre = expect_pre(_metadata, g, pid);
	EXPECT_LE(0, pre.pidfd);
	close(pre.pidfd);
	job_kill(_metadata, job, SIGKILL);
	post = expect_post(_metadata, g, &pre, -EINTR);
	EXPECT_TRUE(post.pidfd >= 0 || post.pidfd == FAN_NOPIDFD);
	if (post.pidfd >= 0)
		close(post.pidfd);
}

TEST_F(pid, all_records)
{
	struct group *g = open_group(_metadata, FAN_REPORT_PIDFD |
				     FAN_REPORT_DFID_NAME_TARGET);
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);
	struct event post;

	EXPECT_EQ(RECORD_OP | RECORD_NAME | RECORD_FID | RECORD_RANGE |
		  RECORD_PIDFD, pre.records);
	close(pre.pidfd);
	allow(_metadata, g, &pre);
	post = expect_post(_metadata, g, &pre, 2);
	EXPECT_EQ(pre.records, post.records);
	close(post.pidfd);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* A process whose second thread writes; it stays until it is told to go. */
static struct thread_job {
	pid_t tid;
	bool leave;
} *thread_job;

static void *write_in_thread(void *arg)
{
	int fd = open("file", O_WRONLY);
	long ret = -1;

	(void)arg;
	thread_job->tid = sys_gettid();
	if (fd >= 0)
		ret = write(fd, "ab", 2);
	while (!*(volatile bool *)&thread_job->leave)
		usleep(1000);
	return (void *)ret;
}

static long run_thread(void *arg)
{
	pthread_t thread;
	void *ret;

	(void)arg;
	if (pthread_create(&thread, NULL, write_in_thread, NULL) ||
	    pthread_join(thread, &ret))
		return -1;
	return (long)ret;
}

static struct job *thread_start(struct __test_metadata *const _metadata)
{
	struct job *job;

	thread_job = mmap(NULL, sizeof(*thread_job), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, thread_job);
	job = job_start(_metadata, run_thread, NULL);
	ASSERT_TRUE(EVENTUALLY(*(volatile pid_t *)&thread_job->tid));
	EXPECT_NE(job->pid, thread_job->tid);
	return job;
}

/* Lets the thread write and end. */
static void thread_finish(struct __test_metadata *const _metadata,
			  struct group *g, struct job *job, pid_t pid)
{
	const struct event pre = expect_pre(_metadata, g, pid);

	allow(_metadata, g, &pre);
	expect_post(_metadata, g, &pre, 2);
	thread_job->leave = true;
	EXPECT_EQ(2, job_join(_metadata, job));
}

TEST_F(pid, process_of_thread)
{
	struct group *g = open_group(_metadata, 0);
	struct job *job = thread_start(_metadata);

	thread_finish(_metadata, g, job, job->pid);
}

TEST_F(pid, tid)
{
	struct group *g = open_group(_metadata, FAN_REPORT_TID);
	struct job *job = thread_start(_metadata);

	thread_finish(_metadata, g, job, thread_job->tid);
}

TEST_F(pid, tid_and_pidfd)
{
	struct group *g = open_group(_metadata, FAN_REPORT_TID |
				     FAN_REPORT_PIDFD);
	struct job *job = thread_start(_metadata);

	expect_pidfds(_metadata, g, thread_job->tid);
	thread_job->leave = true;
	EXPECT_EQ(2, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
