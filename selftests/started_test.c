// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that a listener starts, and that are asked about by itself: which of
 * them it can wait for in its only thread. See docs/listeners.md.
 */

#include <linux/sched.h>
#include <spawn.h>

#include "exec.h"
#include "listener.h"

#define SH		"/bin/sh"

static const char *const write_argv[] = { SH, "-c", "echo ab >file", NULL };

/* In a cgroup that is exempt, so that the only thread can wait for its end. */
TEST_F(listener, in_an_exempt_cgroup)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
	};
	int status;
	pid_t pid;

	cgroup_exempt(_metadata, self->g->fd);
	watch(_metadata, self->g, ALL_EVENTS);
	args.cgroup = cgroup_fd(_metadata);
	pid = syscall(__NR_clone3, &args, sizeof(args));
	if (!pid) {
		execv(SH, (char *const *)write_argv);
		_exit(1);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(args.cgroup);
	expect_content(_metadata, "file", "ab\n");
	expect_silence(_metadata, self->g);
}

/* Another one serves while a thread waits for what it has started. */
static void *run_in_thread(void *arg)
{
	int status = -1;
	pid_t pid;

	if (!posix_spawn(&pid, SH, NULL, NULL, (char *const *)write_argv,
			 environ))
		waitpid(pid, &status, 0);
	__atomic_store_n((int *)arg, status, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F(listener, of_another_thread)
{
	pthread_t thread;
	int status = -2;

	watch(_metadata, self->g, ALL_EVENTS);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_in_thread, &status));
	EXPECT_LT(0U, SERVE_UNTIL(self->g, 0,
				  __atomic_load_n(&status, __ATOMIC_ACQUIRE) !=
				  -2));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, status);
	expect_content(_metadata, "file", "ab\n");
	serve_rest(_metadata, self->g);
}

/* posix_spawn(3) comes back without an answer, as vfork(2) does. */
TEST_F(listener, by_posix_spawn)
{
	char *const argv[] = { "script", NULL };
	int status;
	pid_t pid;

	put_programs(_metadata);
	watch(_metadata, self->g, FAN_OPEN | FAN_ACCESS);
	ASSERT_EQ(0, posix_spawn(&pid, "script", NULL, NULL, argv, environ));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	pid = vfork();
	if (!pid) {
		execv("script", argv);
		_exit(1);
	}
	ASSERT_LT(0, pid);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	expect_silence(_metadata, self->g);
}

/* What fork(2) has made is asked about, and so is its execve. */
TEST_F(listener, by_fork)
{
	struct event pre;
	struct job *job;

	put_programs(_metadata);
	watch(_metadata, self->g, FAN_OPEN);
	job = __job_prepare(_metadata, do_exec, "script", true);
	job_go(_metadata, job);
	pre = expect_pre_of(_metadata, self->g, FAN_OPEN, 0, job->pid);
	expect_blocked(_metadata, job);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_HARNESS_MAIN
