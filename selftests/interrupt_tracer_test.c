// SPDX-License-Identifier: GPL-2.0
/*
 * Tracers at every point of the wait (interrupt.h): they attach to a task, stop
 * it, have it do one step, and are killed. What is asked about has one decision,
 * and its POST, and the task can be killed.
 */

#include <sys/ptrace.h>

#include "interrupt.h"

static bool has_stopped(pid_t pid, int *status)
{
	return waitpid(pid, status, __WALL | WNOHANG | WUNTRACED) == pid;
}

/* It is done, stops for its tracer, for this reason, and is let go. */
static void expect_stop_after(struct __test_metadata *const _metadata,
			      FIXTURE_DATA(interrupt) *self,
			      const FIXTURE_VARIANT(interrupt) *variant,
			      int reason)
{
	const pid_t pid = self->job->pid;
	int status = 0;

	go_on(_metadata, self, variant);
	expect_posts(_metadata, self, 2);
	ASSERT_TRUE(EVENTUALLY(has_stopped(pid, &status)));
	EXPECT_EQ(reason, status >> 8);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	EXPECT_EQ(2, job_join(_metadata, self->job));
}

/* A tracer has it stop when it is done, and then lets it go. */
TEST_F(interrupt, interrupted_by_tracer)
{
	int status = 0;
	pid_t pid;

	start(_metadata, self, variant);
	pid = self->job->pid;
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	expect_waiting(_metadata, self, variant);
	if (!variant->worker) {
		EXPECT_FALSE(has_stopped(pid, &status));
	}
	expect_stop_after(_metadata, self, variant, SIGTRAP | PTRACE_EVENT_STOP << 8);
}

/* The old way, by a signal that it would see. */
TEST_F(interrupt, attached)
{
	start(_metadata, self, variant);
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, self->job->pid, NULL, NULL));
	expect_waiting(_metadata, self, variant);
	expect_stop_after(_metadata, self, variant, SIGSTOP);
}

TEST_F(interrupt, killed_while_traced)
{
	int status = 0;
	pid_t pid;

	start(_metadata, self, variant);
	pid = self->job->pid;
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, NULL));
	ASSERT_EQ(0, ptrace(PTRACE_INTERRUPT, pid, NULL, NULL));
	expect_waiting(_metadata, self, variant);
	if (variant->worker) {
		ASSERT_TRUE(EVENTUALLY(has_stopped(pid, &status)));
	}
	job_kill(_metadata, self->job, SIGKILL);
	expect_killed(_metadata, self, variant);
}

struct tracer_args {
	pid_t pid;
	long options;
	int ready;
};

static long trace(void *arg)
{
	const struct tracer_args *args = arg;

	if (ptrace(PTRACE_SEIZE, args->pid, NULL, args->options) ||
	    ptrace(PTRACE_INTERRUPT, args->pid, NULL, NULL) ||
	    write(args->ready, "", 1) != 1)
		return -1;
	return pause();
}

/* A tracer is killed, with what that means to the one that it traced. */
static void lose_tracer(struct __test_metadata *const _metadata,
			FIXTURE_DATA(interrupt) *self, long options)
{
	struct tracer_args args = { .options = options };
	struct job *tracer;
	int ready[2];
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	args.pid = self->job->pid;
	args.ready = ready[1];
	tracer = job_start(_metadata, trace, &args);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	close(ready[1]);
	job_kill(_metadata, tracer, SIGKILL);
}

TEST_F(interrupt, tracer_killed)
{
	start(_metadata, self, variant);
	lose_tracer(_metadata, self, 0);
	expect_waiting(_metadata, self, variant);
	finish(_metadata, self, variant);
}

TEST_F(interrupt, killed_with_its_tracer)
{
	int status;

	start(_metadata, self, variant);
	lose_tracer(_metadata, self, PTRACE_O_EXITKILL);
	status = job_reap(_metadata, self->job);
	EXPECT_TRUE(WIFSIGNALED(status));
	expect_killed(_metadata, self, variant);
}

static long write_traced(void *arg)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || raise(SIGSTOP))
		return -1;
	return write_here(arg);
}

static void expect_trap(struct __test_metadata *const _metadata, pid_t pid,
			int sig)
{
	int status = 0;

	ASSERT_TRUE(EVENTUALLY(has_stopped(pid, &status)));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(sig, WSTOPSIG(status));
}

/* From system call to system call, until it is about to write. */
static void step_to_write(struct __test_metadata *const _metadata, pid_t pid)
{
	struct __ptrace_syscall_info info;

	expect_trap(_metadata, pid, SIGSTOP);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL,
			    PTRACE_O_TRACESYSGOOD));
	do {
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
		expect_trap(_metadata, pid, SIGTRAP | 0x80);
		ASSERT_LT(0, ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
				    &info));
	} while (info.op != PTRACE_SYSCALL_INFO_ENTRY ||
		 info.entry.nr != __NR_write);
}

/* One step of a tracer is the whole of what is asked about. */
TEST_F(interrupt, single_stepped)
{
	int status;
	pid_t pid;

	if (variant->worker)
		SKIP(return, "a worker has no steps");
	prepare(_metadata, self, variant, write_traced);
	pid = self->job->pid;
	job_go(_metadata, self->job);
	step_to_write(_metadata, pid);
	ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	arrive(_metadata, self, variant);
	expect_waiting(_metadata, self, variant);
	EXPECT_FALSE(has_stopped(pid, &status));
	go_on(_metadata, self, variant);
	expect_posts(_metadata, self, 2);
	for (int i = 0; i < 3; i++) {
		expect_trap(_metadata, pid, SIGTRAP);
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL));
	}
	expect_trap(_metadata, pid, SIGTRAP);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	EXPECT_EQ(2, job_join(_metadata, self->job));
}

TEST_HARNESS_MAIN
