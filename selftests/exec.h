/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that are executed: one, a script that it interprets, and jobs that
 * become one of them, traced or not.
 */

#ifndef __EXEC_H
#define __EXEC_H

#include <sys/ptrace.h>

#include "common.h"
#include "fs.h"

static inline void copy_program(struct __test_metadata *const _metadata,
				const char *from, const char *to)
{
	static char buf[1 << 16];
	int in, out;
	ssize_t n;

	in = open(from, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, in);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	ASSERT_LE(0, out);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		ASSERT_EQ(n, write(out, buf, n));
	ASSERT_EQ(0, n);
	close(in);
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
