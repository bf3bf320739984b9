/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of FAN_CLASS_VFS_FILTER share: a file system of their own to
 * watch, and jobs.
 *
 * A group is not told of what its owner does, which is the test itself. So
 * whatever is to be seen by a group is done by a job: a child process with one
 * function to run, whose result job_join() hands over.
 *
 * Everything that waits does so for something that can be seen, and gives up
 * after TIMEOUT_MS. The only other time here is SETTLE_MS, for which a job has
 * to stay where it is when it must not go on.
 */

#ifndef __COMMON_H
#define __COMMON_H

#include "kselftest_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <linux/loop.h>

#include "wrappers.h"

/* For a debug kernel on an emulated machine that has one CPU of its host. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	900
#ifndef TIMEOUT_MS
#define TIMEOUT_MS		60000
#endif
#define SETTLE_MS		200

/* Of the test's own mount namespace; FS_DIR is what is watched. */
#define WORK_DIR		"/tmp"
#define FS_DIR			WORK_DIR "/fs"

#define FAN_BOTH(x)		(FAN_PRE(x) | FAN_POST(x))

/* Where in its table a test is. It stops, and says so, at the first failure. */
static char row[128] __maybe_unused;

#define FOR_EACH_ROW(i, table)						\
	for (size_t i = 0; i < ARRAY_SIZE(table) && !_metadata->exit_code; i++)

static inline long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Waits until @cond is true, and says whether it became so. */
#define EVENTUALLY(cond) ({				\
	const long __end = now_ms() + TIMEOUT_MS;	\
	bool __seen;					\
							\
	while (!(__seen = (cond)) && now_ms() < __end)	\
		usleep(1000);				\
	__seen;						\
})

/* ------------------------------- files -------------------------------- */

/* Returns 0 or -errno. */
static inline int write_file(const char *path, int flags, const char *text)
{
	const ssize_t len = strlen(text);
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	if (fd < 0)
		return -errno;
	errno = EIO;
	if (write(fd, text, len) != len)
		ret = -errno;
	close(fd);
	return ret;
}

/* Reads all of a small file as a string. Returns its length or -errno. */
static inline ssize_t read_file(const char *path, char *buf, size_t size)
{
	ssize_t n, len = 0;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	if (n < 0)
		len = -errno;
	else
		buf[len] = '\0';
	close(fd);
	return len;
}

/* Makes a file with this content, as the owner: no group is told. */
static inline void put_file(struct __test_metadata *const _metadata,
			    const char *path, const char *text)
{
	ASSERT_EQ(0, write_file(path, O_CREAT | O_TRUNC, text));
}

static inline void expect_content(struct __test_metadata *const _metadata,
				  const char *path, const char *text)
{
	char buf[4096];

	ASSERT_LE(0, read_file(path, buf, sizeof(buf)));
	EXPECT_STREQ(text, buf);
}

/* -------------------------------- jobs --------------------------------- */

#define MAX_GROUPS	8
#define MAX_JOBS	32
#define JOB_NO_RESULT	LONG_MIN

/* Descriptors of all groups of this test, 0 where there is none (group.h). */
static int group_fds[MAX_GROUPS];

struct job {
	pid_t pid;	/* 0: slot is free */
	int pidfd;
	int gate;	/* write end of the pipe that the job waits for, or -1 */
	long *result;	/* shared with the job */
};

static struct job jobs[MAX_JOBS];

typedef long (*job_fn)(void *arg);

static inline void job_child(int gate, pid_t parent, bool keep_groups)
{
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);

	/* Or the test could not close the last descriptor of a group. */
	for (int i = 0; i < MAX_GROUPS && !keep_groups; i++)
		if (group_fds[i])
			close(group_fds[i]);

	if (read(gate, &c, 1) != 1)
		_exit(1);
	close(gate);
}

static inline struct job *__job_prepare(struct __test_metadata *const _metadata,
					job_fn fn, void *arg, bool keep_groups)
{
	const pid_t parent = getpid();
	struct job *job = jobs;
	int gate[2];
	long ret;

	while (job < jobs + MAX_JOBS && job->pid)
		job++;
	ASSERT_LT(job, jobs + MAX_JOBS);

	job->result = mmap(NULL, sizeof(*job->result), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, job->result);
	*job->result = JOB_NO_RESULT;

	ASSERT_EQ(0, pipe2(gate, O_CLOEXEC));
	job->pid = fork();
	ASSERT_LE(0, job->pid);
	if (!job->pid) {
		close(gate[1]);
		job_child(gate[0], parent, keep_groups);
		errno = 0;
		ret = fn(arg);
		*job->result = ret < 0 ? -errno : ret;
		_exit(0);
	}
	close(gate[0]);
	job->gate = gate[1];
	job->pidfd = sys_pidfd_open(job->pid, 0);
	ASSERT_LE(0, job->pidfd);
	return job;
}

/* A child that will run @fn(@arg) after job_go(); it holds no group. */
static inline struct job *job_prepare(struct __test_metadata *const _metadata,
				      job_fn fn, void *arg)
{
	return __job_prepare(_metadata, fn, arg, false);
}

static inline void job_go(struct __test_metadata *const _metadata,
			  struct job *job)
{
	ASSERT_EQ(1, write(job->gate, "", 1));
	close(job->gate);
	job->gate = -1;
}

static inline struct job *job_start(struct __test_metadata *const _metadata,
				    job_fn fn, void *arg)
{
	struct job *job = job_prepare(_metadata, fn, arg);

	job_go(_metadata, job);
	return job;
}

static inline bool job_ended(const struct job *job, int timeout_ms)
{
	struct pollfd pfd = { .fd = job->pidfd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1;
}

/* Give a job that must not go on the time to show that it does. */
static inline void expect_blocked(struct __test_metadata *const _metadata,
				  const struct job *job)
{
	EXPECT_FALSE(job_ended(job, SETTLE_MS));
	EXPECT_EQ(JOB_NO_RESULT, *job->result);
}

static inline int job_reap(struct __test_metadata *const _metadata,
			   struct job *job)
{
	int status = -1;

	ASSERT_TRUE(job_ended(job, TIMEOUT_MS))
		TH_LOG("process %d still runs", job->pid);
	ASSERT_EQ(job->pid, waitpid(job->pid, &status, 0));
	if (job->gate >= 0)
		close(job->gate);
	close(job->pidfd);
	job->pid = 0;
	return status;
}

/* What the function of the job returned, or -errno if that was negative. */
static inline long job_join(struct __test_metadata *const _metadata,
			    struct job *job)
{
	const int status = job_reap(_metadata, job);
	const long ret = *job->result;

	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_NE(JOB_NO_RESULT, ret);
	munmap(job->result, sizeof(*job->result));
	return ret;
}

/* End a job by a fatal signal, wherever it is. */
static inline void job_kill(struct __test_metadata *const _metadata,
			    struct job *job, int sig)
{
	int status;

	ASSERT_EQ(0, kill(job->pid, sig));
	status = job_reap(_metadata, job);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(sig, WTERMSIG(status));
	munmap(job->result, sizeof(*job->result));
}

/* For teardown: whatever a failed test left. */
static inline void jobs_end(void)
{
	for (struct job *job = jobs; job < jobs + MAX_JOBS; job++) {
		if (!job->pid)
			continue;
		kill(job->pid, SIGKILL);
		waitpid(job->pid, NULL, 0);
		job->pid = 0;
	}
}

struct write_args {
	const char *path;
	const char *text;
	int flags;	/* of open(2), besides O_WRONLY */
};

static inline long do_write(void *arg)
{
	const struct write_args *args = arg;
	int fd = open(args->path, O_WRONLY | args->flags);

	return fd < 0 ? -1 : write(fd, args->text, strlen(args->text));
}

/* A job that is about to write @text to the start of a file that is there. */
static inline struct job *write_prepare(struct __test_metadata *const _metadata,
					const char *path, const char *text)
{
	struct write_args args = { .path = path, .text = text };

	return job_prepare(_metadata, do_write, &args);
}

static inline struct job *write_start(struct __test_metadata *const _metadata,
				      const char *path, const char *text)
{
	struct job *job = write_prepare(_metadata, path, text);

	job_go(_metadata, job);
	return job;
}

/* ------------------------------- guards -------------------------------- */

/*
 * What a test changes for the whole machine has to be undone even if the test
 * is killed, by a process that outlives it.
 */
static struct guard {
	void (*undo)(void);
	pid_t pid;
} guards[4];

static inline void guard_start(struct __test_metadata *const _metadata,
			       void (*undo)(void))
{
	struct pollfd pfd = { .events = POLLIN };
	struct guard *guard = guards;

	while (guard < guards + ARRAY_SIZE(guards) && guard->pid)
		guard++;
	ASSERT_LT(guard, guards + ARRAY_SIZE(guards));

	pfd.fd = sys_pidfd_open(getpid(), 0);
	ASSERT_LE(0, pfd.fd);
	guard->undo = undo;
	guard->pid = fork();
	ASSERT_LE(0, guard->pid);
	if (!guard->pid) {
		setsid();
		for (int i = 0; i < MAX_GROUPS; i++)
			if (group_fds[i])
				close(group_fds[i]);
		poll(&pfd, 1, -1);
		undo();
		_exit(0);
	}
	close(pfd.fd);
}

static inline void guards_stop(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(guards); i++) {
		if (!guards[i].pid)
			continue;
		guards[i].undo();
		kill(guards[i].pid, SIGKILL);
		waitpid(guards[i].pid, NULL, 0);
		guards[i].pid = 0;
	}
}

#endif /* __COMMON_H */
