/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that are executed: one, a script that it interprets, and jobs that
 * become one of them, traced or not, or stay halfway.
 */

#ifndef __EXEC_H
#define __EXEC_H

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ptrace.h>

#include "common.h"
#include "fs.h"
#include "pages.h"
#include "stages.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK	0x10000
#endif

/* Writes what is in @from to a file that is open for that. */
static inline void fill_program(struct __test_metadata *const _metadata,
				const char *from, int out)
{
	const int in = open(from, O_RDONLY | O_CLOEXEC);
	static char buf[1 << 16];
	ssize_t n;

	ASSERT_LE(0, in);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		ASSERT_EQ(n, write(out, buf, n));
	ASSERT_EQ(0, n);
	close(in);
}

static inline void copy_program(struct __test_metadata *const _metadata,
				const char *from, const char *to)
{
	const int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	ASSERT_LE(0, out);
	fill_program(_metadata, from, out);
	close(out);
}

/* "true", and "script", which has "true" interpret it. */
static inline void put_programs(struct __test_metadata *const _metadata)
{
	copy_program(_metadata, "/bin/true", "true");
	put_file(_metadata, "script", "#!" FS_DIR "/true\n");
	ASSERT_EQ(0, chmod("script", 0755));
}

static inline long do_exec(void *arg)
{
	return execl(arg, arg, NULL);
}

/* Stops before that, so that its tracer can say what else it stops for. */
static inline long do_traced_exec(void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		return -1;
	return do_exec(arg);
}

/*
 * An execution that does not let the kernel have its last argument before stage
 * 1 is over: the program is open by then, and nothing else was done with it.
 */
struct withheld_exec {
	const char *path;
	int flags;		/* of execveat(2) */
	int uffd;
	char *argument;		/* a page */
};

static inline void *give_argument(void *arg)
{
	const struct withheld_exec *e = arg;
	struct pollfd pfd = { .fd = e->uffd, .events = POLLIN };
	struct uffdio_zeropage zero = {
		.range.start = (unsigned long)e->argument,
		.range.len = PAGE,
	};

	/* The kernel asks for it. */
	if (poll(&pfd, 1, TIMEOUT_MS) != 1 || pfd.revents != POLLIN)
		return NULL;
	reach(1);
	ioctl(e->uffd, UFFDIO_ZEROPAGE, &zero);
	return NULL;
}

static inline long do_withheld_exec(void *arg)
{
	struct withheld_exec *e = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	const char *argv[3] = { e->path };
	pthread_t thread;

	e->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (e->uffd < 0 || ioctl(e->uffd, UFFDIO_API, &api))
		return -1;
	e->argument = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e->argument == MAP_FAILED)
		return -1;
	reg.range.start = (unsigned long)e->argument;
	reg.range.len = PAGE;
	if (ioctl(e->uffd, UFFDIO_REGISTER, &reg))
		return -1;

	errno = pthread_create(&thread, NULL, give_argument, e);
	if (errno)
		return -1;
	argv[1] = e->argument;
	return syscall(__NR_execveat, AT_FDCWD, e->path, argv, environ,
		       e->flags);
}

/* A job that is there. To be let go by go_on(1). */
static inline struct job *withheld_start(struct __test_metadata *const _metadata,
					 const char *path, int flags)
{
	struct withheld_exec e = { .path = path, .flags = flags };
	struct job *job;

	stages_start(_metadata);
	job = job_start(_metadata, do_withheld_exec, &e);
	wait_reached(_metadata, 1);
	return job;
}

static inline bool can_withhold(void)
{
	const int uffd = syscall(__NR_userfaultfd, O_CLOEXEC);

	return uffd >= 0 && !close(uffd);
}

#define REQUIRE_WITHHOLDING() do {					\
	if (!can_withhold())						\
		SKIP(return, "no userfaultfd: %s", strerror(errno));	\
} while (0)

/* A job that has become another program, which leaves no result. */
static inline void job_executed(struct __test_metadata *const _metadata,
				struct job *job)
{
	EXPECT_EQ(0, job_reap(_metadata, job));
	EXPECT_EQ(JOB_NO_RESULT, *job->result);
	munmap(job->result, sizeof(*job->result));
}

/* A traced thread stops for this event of ptrace(2), or for SIGSTOP if 0. */
static inline void expect_stop(struct __test_metadata *const _metadata,
			       pid_t tid, int event)
{
	int status = 0;

	ASSERT_TRUE(EVENTUALLY(waitpid(tid, &status, __WALL | WNOHANG) == tid));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ((event ? SIGTRAP : SIGSTOP) | event << 8, status >> 8);
}

#endif /* __EXEC_H */
