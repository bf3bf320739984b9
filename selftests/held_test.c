// SPDX-License-Identifier: GPL-2.0
/*
 * What a user can make to take for ever does not hold up a barrier: programs
 * that are executed under a tracer, and what is asked about within something
 * else, of a group that does not answer.
 */

#include <pthread.h>

#include "exec.h"
#include "fs.h"
#include "group.h"
#include "pages.h"

FIXTURE(held)
{
	struct group *g;	/* that calls for barriers, and answers */
};

/* What a test and its job have in common. */
static struct {
	pid_t tid;	/* of the other thread of the job */
} *common;

FIXTURE_SETUP(held)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	known_op_flags = FAN_OP_MAPPED;
	put_programs(_metadata);
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, common);
}

FIXTURE_TEARDOWN(held)
{
	test_end(_metadata);
}

/* A barrier comes although nothing moves on. */
static void expect_barrier_now(struct __test_metadata *const _metadata,
			   struct group *g)
{
	struct event ev;

	mark(_metadata, g, FAN_MARK_BARRIER, 0, ".");
	ev = event_next(_metadata, g);
	EXPECT_EQ(FAN_Q_BARRIER, ev.mask);
	EXPECT_EQ(0, group_state(_metadata, g).inflight);
}

static struct event allow_access(struct __test_metadata *const _metadata,
				 struct group *g, pid_t pid)
{
	const struct event pre = expect_pre_of(_metadata, g, FAN_ACCESS, 0, pid);

	allow(_metadata, g, &pre);
	return pre;
}

/* ------------------------------- execution ------------------------------ */

/* Its tracer has it stop when it has become another program. */
TEST_F(held, by_tracer)
{
	struct event pre;
	struct job *job;
	pid_t pid;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "true");
	job = job_start(_metadata, do_traced_exec, "true");
	pid = job->pid;
	expect_stop(_metadata, pid, 0);
	ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXEC));
	ASSERT_EQ(0, ptrace(PTRACE_CONT, pid, NULL, NULL));
	pre = allow_access(_metadata, self->g, pid);
	expect_stop(_metadata, pid, PTRACE_EVENT_EXEC);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_barrier_now(_metadata, self->g);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, pid, NULL, NULL));
	job_executed(_metadata, job);
}

static void *be_another_thread(void *arg)
{
	__atomic_store_n(&common->tid, (pid_t)syscall(SYS_gettid),
			 __ATOMIC_RELEASE);
	for (;;)
		pause();
	return arg;
}

static long exec_beside_thread(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, be_another_thread, NULL))
		return -1;
	return execl(arg, arg, NULL);
}

/* It waits for another thread to end, whose tracer has that stop. */
TEST_F(held, by_traced_thread)
{
	struct event pre;
	struct job *job;
	pid_t tid;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "true");
	job = job_start(_metadata, exec_beside_thread, "true");
	pre = expect_pre_of(_metadata, self->g, FAN_ACCESS, 0, job->pid);
	ASSERT_TRUE(EVENTUALLY(__atomic_load_n(&common->tid, __ATOMIC_ACQUIRE)));
	tid = common->tid;
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXIT));
	allow(_metadata, self->g, &pre);
	expect_stop(_metadata, tid, PTRACE_EVENT_EXIT);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_barrier_now(_metadata, self->g);
	ASSERT_EQ(0, ptrace(PTRACE_CONT, tid, NULL, NULL));
	/* It is there until its tracer has seen it end. */
	ASSERT_EQ(tid, waitpid(tid, NULL, __WALL));
	job_executed(_metadata, job);
}

/* Another group does not answer whether its interpreter may be opened. */
TEST_F(held, by_interpreter)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "script");
	mark(_metadata, other, FAN_MARK_ADD, FAN_OPEN, "true");
	job = job_start(_metadata, do_exec, "script");
	pre = allow_access(_metadata, self->g, job->pid);
	pre2 = expect_pre_of(_metadata, other, FAN_OPEN, 0, job->pid);
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_barrier_now(_metadata, self->g);
	allow(_metadata, other, &pre2);
	job_executed(_metadata, job);
	expect_post_of(_metadata, other, &pre2, 0);
}

/* ------------------------------- mappings ------------------------------- */

static long map_shared(void *arg)
{
	const int fd = open(arg, O_RDWR);
	void *map;

	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return map == MAP_FAILED ? -1 : 0;
}

/* A call that makes a mapping reads nothing; here it waits for another group. */
TEST_F(held, by_mapping)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS, "file");
	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, map_shared, "file");
	pre = allow_access(_metadata, self->g, job->pid);
	pre2 = expect_pre_of(_metadata, other, FAN_MODIFY, FAN_OP_MAPPED,
			     job->pid);
	mark(_metadata, self->g, FAN_MARK_BARRIER, 0, ".");
	EXPECT_EQ(FAN_Q_BARRIER, event_next(_metadata, self->g).mask);
	allow(_metadata, other, &pre2);
	EXPECT_EQ(0, job_join(_metadata, job));
	expect_post_of(_metadata, self->g, &pre, 0);
	expect_post_of(_metadata, other, &pre2, 0);
}

TEST_HARNESS_MAIN
