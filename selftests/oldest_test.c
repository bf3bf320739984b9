// SPDX-License-Identifier: GPL-2.0
/*
 * fdinfo of a group and of its queues: who is the first that waits, and for how
 * long, read or not.
 */

#include <pthread.h>

#include "fs.h"
#include "queue.h"

FIXTURE(oldest)
{
	struct group *g;
};

FIXTURE_SETUP(oldest)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(oldest)
{
	test_end(_metadata);
}

static void expect_none(struct __test_metadata *const _metadata,
			const struct group *g)
{
	const struct group_state st = group_state(_metadata, g);

	EXPECT_EQ(0ULL, st.oldest);
	EXPECT_EQ(0, st.asker);
	EXPECT_EQ(0ULL, st.msecs);
}

static void expect_oldest(struct __test_metadata *const _metadata,
			  const struct group *g, __u64 cookie, pid_t pid)
{
	const struct group_state st = group_state(_metadata, g);

	EXPECT_EQ(cookie, st.oldest);
	EXPECT_EQ(pid, st.asker);
}

static bool has_waited(struct __test_metadata *const _metadata,
		       const struct group *g, unsigned long long msecs)
{
	return group_state(_metadata, g).msecs >= msecs;
}

static void finish(struct __test_metadata *const _metadata, struct group *g,
		   const struct event *pre, struct job *job)
{
	allow(_metadata, g, pre);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* It is the first in the lane, or among those that were read, by whomever. */
TEST_F(oldest, read_or_not)
{
	struct group *q = queue_open(_metadata, self->g);
	struct event first, second, third;
	struct job *jobs[3];
	pid_t pids[3];

	expect_none(_metadata, self->g);
	jobs[0] = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 1);
	pids[0] = jobs[0]->pid;
	EXPECT_EQ(pids[0], group_state(_metadata, self->g).asker);
	first = expect_pre(_metadata, q, pids[0]);
	expect_oldest(_metadata, self->g, first.cookie, pids[0]);

	/* With other readers, in whichever order these come. */
	jobs[1] = write_start(_metadata, "file", "ab");
	pids[1] = jobs[1]->pid;
	second = expect_pre(_metadata, self->g, pids[1]);
	expect_oldest(_metadata, q, first.cookie, pids[0]);
	jobs[2] = write_start(_metadata, "file", "ab");
	pids[2] = jobs[2]->pid;
	wait_pending(_metadata, self->g, 3);
	expect_oldest(_metadata, self->g, first.cookie, pids[0]);
	third = expect_pre(_metadata, q, pids[2]);
	finish(_metadata, q, &first, jobs[0]);
	expect_oldest(_metadata, self->g, second.cookie, pids[1]);
	/* What goes back is as old as it was. */
	group_close(q);
	/* Beside the end of the first. */
	EXPECT_EQ(2, group_state(_metadata, self->g).queued);
	expect_oldest(_metadata, self->g, second.cookie, pids[1]);
	finish(_metadata, self->g, &second, jobs[1]);
	expect_oldest(_metadata, self->g, third.cookie, pids[2]);
	third = expect_pre(_metadata, self->g, pids[2]);
	finish(_metadata, self->g, &third, jobs[2]);
	expect_none(_metadata, self->g);
	self->g->unread_ok = true;
}

/* However it ends, it is not the oldest any more. */
TEST_F(oldest, killed)
{
	struct job *first = write_start(_metadata, "file", "ab"), *second;

	wait_pending(_metadata, self->g, 1);
	second = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 2);
	EXPECT_EQ(first->pid, group_state(_metadata, self->g).asker);
	job_kill(_metadata, first, SIGKILL);
	EXPECT_EQ(second->pid, group_state(_metadata, self->g).asker);
	job_kill(_metadata, second, SIGKILL);
	expect_none(_metadata, self->g);
}

/* Its age grows, is that of the question, and not that of the reader. */
TEST_F(oldest, age)
{
	const long start = now_ms();
	struct job *job = write_start(_metadata, "file", "ab");
	struct group *q = queue_open(_metadata, self->g);
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	ASSERT_TRUE(EVENTUALLY(has_waited(_metadata, self->g, 300)));
	/* A jiffy is 10 ms at most. */
	EXPECT_LE(300, now_ms() - start + 10);
	pre = expect_pre(_metadata, q, job->pid);
	EXPECT_TRUE(has_waited(_metadata, q, 300));
	EXPECT_LE((long)group_state(_metadata, q).msecs, now_ms() - start + 10);
	group_close(q);
	EXPECT_TRUE(has_waited(_metadata, self->g, 300));
	pre = expect_pre(_metadata, self->g, job->pid);
	finish(_metadata, self->g, &pre, job);
	expect_post(_metadata, self->g, &pre, 2);
	expect_none(_metadata, self->g);
}

/* A second group has a number and an age of its own for the same operation. */
TEST_F(oldest, of_another_group)
{
	struct group *second = group_open(_metadata, 0);
	struct job *job = write_prepare(_metadata, "file", "ab");
	const pid_t pid = job->pid;
	struct event pre;
	long start;

	mark(_metadata, second, FAN_MARK_ADD, FAN_MODIFY, "file");
	EXPECT_LT(group_state(_metadata, self->g).id,
		  group_state(_metadata, second).id);
	job_go(_metadata, job);
	pre = expect_pre(_metadata, self->g, pid);
	ASSERT_TRUE(EVENTUALLY(has_waited(_metadata, self->g, 300)));
	expect_none(_metadata, second);
	start = now_ms();
	allow(_metadata, self->g, &pre);
	wait_pending(_metadata, second, 1);
	expect_none(_metadata, self->g);
	expect_oldest(_metadata, second, pre.cookie, pid);
	EXPECT_LE((long)group_state(_metadata, second).msecs,
		  now_ms() - start + 10);
	pre = expect_pre(_metadata, second, pid);
	finish(_metadata, second, &pre, job);
	expect_post(_metadata, self->g, &pre, 2);
	expect_post(_metadata, second, &pre, 2);
}

static void *write_in_thread(void *arg)
{
	struct write_args args = { .path = arg, .text = "ab" };

	return (void *)do_write(&args);
}

static long write_in_thread_of_its_own(void *arg)
{
	pthread_t thread;
	void *ret;

	errno = pthread_create(&thread, NULL, write_in_thread, arg);
	if (errno || pthread_join(thread, &ret))
		return -1;
	return (long)ret;
}

/* With FAN_REPORT_TID it is the thread. */
TEST_F(oldest, thread)
{
	struct group *g = group_open(_metadata, FAN_REPORT_TID);
	struct event pre;
	struct job *job;

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, write_in_thread_of_its_own, "file");
	pre = event_next(_metadata, g);
	EXPECT_NE(job->pid, pre.pid);
	expect_oldest(_metadata, g, pre.cookie, pre.pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, 2);
}

TEST_HARNESS_MAIN
