// SPDX-License-Identifier: GPL-2.0
/*
 * Deadlines: what becomes of a question that is not answered in time, whether it
 * was read or not.
 */

#include "freezer_v1.h"
#include "fs.h"
#include "queue.h"

#define LATE_MS		300

FIXTURE(deadline)
{
	struct group *g;
};

FIXTURE_SETUP(deadline)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(deadline)
{
	test_end(_metadata);
}

static int set_deadline(const struct group *g, __u32 msecs, __u32 verdict)
{
	struct fanotify_deadline deadline = {
		.msecs = msecs,
		.verdict = verdict,
	};

	return ioctl(g->fd, FAN_IOC_DEADLINE, &deadline) ? errno : 0;
}

/* It ends with the verdict, not before its time, and an answer comes too late. */
TEST_F(deadline, denied)
{
	struct event pre;
	struct job *job;
	long start;

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_DENY_ERRNO(EIO)));
	start = now_ms();
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_LE(LATE_MS, now_ms() - start);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	expect_silence(_metadata, self->g);
}

/* Whoever was told of the start is told of the end. */
TEST_F(deadline, allowed)
{
	struct event pre;
	struct job *job;

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_ALLOW));
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_DENY));
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

/* What was not read by then never is. */
TEST_F(deadline, denied_unread)
{
	struct job *job;

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_DENY));
	job = write_start(_metadata, "file", "ab");
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);
	expect_silence(_metadata, self->g);
}

TEST_F(deadline, allowed_unread)
{
	struct job *job;
	pid_t pid;

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_ALLOW));
	job = write_start(_metadata, "file", "ab");
	pid = job->pid;
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_unpaired(_metadata, self->g, pid, 2);
	expect_silence(_metadata, self->g);
}

#define MAX_QUEUED_EVENTS "/proc/sys/fs/fanotify/max_queued_events"

static char old_limit[32];

static void restore_limit(void)
{
	write_file(MAX_QUEUED_EVENTS, 0, old_limit);
}

/* There are not more of them than of all others that no one was asked about. */
TEST_F(deadline, allowed_unread_and_too_many)
{
	struct group *g;

	ASSERT_LT(0, read_file(MAX_QUEUED_EVENTS, old_limit, sizeof(old_limit)));
	guard_start(_metadata, restore_limit);
	ASSERT_EQ(0, write_file(MAX_QUEUED_EVENTS, 0, "2"));
	g = group_open(_metadata, 0);
	restore_limit();
	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, set_deadline(g, 1, FAN_ALLOW));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(2, job_join(_metadata,
				      write_start(_metadata, "file", "ab")));
	EXPECT_EQ(3, group_state(_metadata, g).queued);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), event_next(_metadata, g).mask);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), event_next(_metadata, g).mask);
	EXPECT_EQ((__u64)FAN_Q_OVERFLOW, event_next(_metadata, g).mask);
	expect_silence(_metadata, g);
}

/* It holds for what is asked after it, until another does. */
TEST_F(deadline, set_meanwhile)
{
	struct job *before, *after, *last;
	struct event pre;

	before = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, before->pid);
	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_DENY));
	after = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 2);
	ASSERT_EQ(0, set_deadline(self->g, 0, 0));
	EXPECT_EQ(-EPERM, job_join(_metadata, after));
	last = write_start(_metadata, "file", "ab");
	EXPECT_FALSE(job_ended(before, 3 * LATE_MS));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, before));
	pre = expect_pre(_metadata, self->g, last->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, last));
	self->g->unread_ok = true;
}

/* One group has one, and another none. */
TEST_F(deadline, of_another_group)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre;
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_ALLOW));
	job = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, other, job->pid);
	EXPECT_FALSE(job_ended(job, 2 * LATE_MS));
	allow(_metadata, other, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, other, &pre, 2);
	expect_unpaired(_metadata, self->g, pre.pid, 2);
}

/* It is as good as an answer to a barrier. */
TEST_F(deadline, barrier)
{
	struct job *job;

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_ALLOW));
	job = write_start(_metadata, "file", "ab");
	EXPECT_EQ(2, job_join(_metadata, job));
	barrier(_metadata, self->g, ".");
	ASSERT_EQ(FAN_POST(FAN_MODIFY), event_next(_metadata, self->g).mask);
	expect_barrier(_metadata, self->g, 1);
}

static bool is_frozen(void)
{
	char path[96], buf[256];

	snprintf(path, sizeof(path), "%s/cgroup.events", cgroup);
	return read_file(path, buf, sizeof(buf)) > 0 &&
	       strstr(buf, "frozen 1\n");
}

/* Time for which a task is frozen is not the listener's. */
TEST_F(deadline, frozen)
{
	const int deadline_ms = 2000;
	struct job *job;

	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	ASSERT_EQ(0, set_deadline(self->g, deadline_ms, FAN_DENY));
	job = write_prepare(_metadata, "file", "ab");
	ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	wait_pending(_metadata, self->g, 1);
	ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "1"));
	ASSERT_TRUE(EVENTUALLY(is_frozen()));
	EXPECT_FALSE(job_ended(job, 2 * deadline_ms));
	EXPECT_EQ(1, group_state(_metadata, self->g).pending);
	ASSERT_EQ(0, cgroup_write(cgroup, "cgroup.freeze", "0"));
	EXPECT_FALSE(job_ended(job, deadline_ms / 4));
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

/* With this freezer it is the module that sees to it, step by step. */
TEST_F(deadline, frozen_by_v1)
{
	const int deadline_ms = 2000;
	struct job *job;

	if (!freezer_begin(_metadata))
		SKIP(return, "no freezer: %s", strerror(errno));
	ASSERT_EQ(0, set_deadline(self->g, deadline_ms, FAN_DENY));
	job = write_prepare(_metadata, "file", "ab");
	ASSERT_EQ(0, enter(freezer, job->pid));
	job_go(_metadata, job);
	wait_pending(_metadata, self->g, 1);
	freeze_by_v1(_metadata);
	EXPECT_FALSE(job_ended(job, 2 * deadline_ms));
	EXPECT_EQ(1, group_state(_metadata, self->g).pending);
	thaw_by_v1(_metadata);
	EXPECT_FALSE(job_ended(job, deadline_ms / 4));
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_F(deadline, bad)
{
	static const __u32 bad[] = {
		FAN_ALLOW | FAN_DENY, FAN_ALLOW | FAN_INFO, FAN_AUDIT | FAN_ALLOW,
		FAN_DENY_ERRNO(ENOENT), FAN_ALLOW | FAN_RESPONSE_IGNORE, 1U << 31,
	};

	ASSERT_EQ(0, set_deadline(self->g, LATE_MS, FAN_DENY));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(EINVAL, set_deadline(self->g, 1, bad[i]));
		EXPECT_EQ(EINVAL, set_deadline(self->g, 0, bad[i]));
	}
	EXPECT_EQ(EINVAL, set_deadline(self->g, 1, 0));
	EXPECT_EQ(-1, ioctl(self->g->fd, FAN_IOC_DEADLINE, NULL));
	EXPECT_EQ(EFAULT, errno);

	/* None of that has changed anything. */
	EXPECT_EQ(-EPERM, job_join(_metadata, write_start(_metadata, "file", "ab")));
}

TEST_HARNESS_MAIN
