// SPDX-License-Identifier: GPL-2.0
/*
 * Signals at every point of the wait (interrupt.h): those that are fatal, that
 * stop, and that are handled. There is one decision each time, the POST that was
 * promised, and a task that can be killed.
 */

#include "interrupt.h"

TEST_F(interrupt, killed)
{
	start(_metadata, self, variant);
	job_kill(_metadata, self->job, SIGKILL);
	expect_killed(_metadata, self, variant);
}

static bool has_state(pid_t pid, char state)
{
	char path[64], buf[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	end = strrchr(buf, ')');
	return end && end[2] == state;
}

/* Is a signal not delivered yet? */
static bool is_pending(pid_t pid, int sig)
{
	char path[64], buf[2048];
	const char *line;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return false;
	line = strstr(buf, "\nShdPnd:");
	return line && strtoull(line + 8, NULL, 16) & 1ULL << (sig - 1);
}

/* A task that waits stops when it has done what it was allowed, not before. */
static void stop(struct __test_metadata *const _metadata,
		 FIXTURE_DATA(interrupt) *self,
		 const FIXTURE_VARIANT(interrupt) *variant)
{
	ASSERT_EQ(0, kill(self->job->pid, SIGSTOP));
	if (variant->worker) {
		ASSERT_TRUE(EVENTUALLY(has_state(self->job->pid, 'T')));
	} else {
		EXPECT_TRUE(is_pending(self->job->pid, SIGSTOP));
	}
	expect_waiting(_metadata, self, variant);
}

TEST_F(interrupt, stopped)
{
	start(_metadata, self, variant);
	stop(_metadata, self, variant);
	go_on(_metadata, self, variant);
	ASSERT_TRUE(EVENTUALLY(has_state(self->job->pid, 'T')));
	expect_posts(_metadata, self, 2);
	expect_blocked(_metadata, self->job);
	ASSERT_EQ(0, kill(self->job->pid, SIGCONT));
	EXPECT_EQ(2, job_join(_metadata, self->job));
}

TEST_F(interrupt, continued_while_it_waits)
{
	start(_metadata, self, variant);
	for (int i = 0; i < 3; i++) {
		stop(_metadata, self, variant);
		ASSERT_EQ(0, kill(self->job->pid, SIGCONT));
	}
	finish(_metadata, self, variant);
}

TEST_F(interrupt, killed_while_stopped)
{
	start(_metadata, self, variant);
	stop(_metadata, self, variant);
	job_kill(_metadata, self->job, SIGKILL);
	expect_killed(_metadata, self, variant);
}

/* A handler runs when the call is over, which is not cut short. */
TEST_F(interrupt, handled)
{
	start(_metadata, self, variant);
	ASSERT_EQ(0, kill(self->job->pid, SIGUSR1));
	if (!variant->worker) {
		EXPECT_TRUE(is_pending(self->job->pid, SIGUSR1));
	}
	expect_waiting(_metadata, self, variant);
	go_on(_metadata, self, variant);
	EXPECT_EQ(102, job_join(_metadata, self->job));
	expect_posts(_metadata, self, 2);
}

#define RACES 30

/* Its groups are told of what was allowed, or killed: not more, and no less. */
static void expect_either(struct __test_metadata *const _metadata,
			  FIXTURE_DATA(interrupt) *self, bool allowed)
{
	for (int i = 0; i < self->asked; i++) {
		struct group *g = i ? self->second : self->g;
		const struct event post = event_next(_metadata, g);

		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(self->pre[i].cookie, post.cookie);
		EXPECT_TRUE(post.result == -EINTR ||
			    (allowed && post.result == 2));
		EXPECT_EQ(-ENOENT, try_answer(g, post.cookie, FAN_ALLOW));
		expect_silence(_metadata, g);
	}
}

/* An answer and a kill at the same time: one of them decides, and is right. */
TEST_F(interrupt, answered_and_killed)
{
	__u64 cookie;
	int ret = 0;

	if (variant->begin || !variant->read)
		SKIP(return, "nothing to be answered");
	for (int i = 0; i < RACES; i++) {
		self->asked = 0;
		start(_metadata, self, variant);
		cookie = self->pre[self->asked - 1].cookie;
		if (i & 1)
			ret = try_answer(self->second, cookie, FAN_ALLOW);
		ASSERT_EQ(0, kill(self->job->pid, SIGKILL));
		if (!(i & 1))
			ret = try_answer(self->second, cookie, FAN_ALLOW);
		EXPECT_TRUE(ret == (int)sizeof(struct answer) || ret == -ENOENT);
		job_reap(_metadata, self->job);
		expect_either(_metadata, self, ret > 0);
	}
}

TEST_HARNESS_MAIN
