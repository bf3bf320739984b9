// SPDX-License-Identifier: GPL-2.0
/*
 * Trace events: one for each question, one for its answer, by whomever, one for
 * each end that a group is told, and two for a barrier. What they say is what
 * the listener reads, and fdinfo.
 */

#include "fs.h"
#include "hold.h"
#include "queue.h"
#include "sentinels.h"
#include "trace.h"

FIXTURE(trace)
{
	struct group *g;
	__u64 id;	/* of the group */
};

static __u64 id_of(struct __test_metadata *const _metadata,
		   const struct group *g)
{
	return group_state(_metadata, g).id;
}

FIXTURE_SETUP(trace)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	REQUIRE_TRACE();
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	self->id = id_of(_metadata, self->g);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(trace)
{
	if (!_metadata->exit_code)
		expect_no_trace(_metadata);
	test_end(_metadata);
}

static int set_deadline(const struct group *g, __u32 msecs, __u32 verdict)
{
	struct fanotify_deadline deadline = {
		.msecs = msecs,
		.verdict = verdict,
	};

	return ioctl(g->fd, FAN_IOC_DEADLINE, &deadline) ? -errno : 0;
}

/* An answer has what the operation fails with, and only what is allowed an end. */
TEST_F(trace, answered)
{
	static const struct {
		__u32 verdict;
		int error;
	} table[] = {
		{ FAN_ALLOW, 0 },
		{ FAN_DENY, -EPERM },
		{ FAN_DENY_ERRNO(EIO), -EIO },
	};

	FOR_EACH_ROW(i, table) {
		struct job *job = write_start(_metadata, "file", "ab");
		const struct event pre = expect_pre(_metadata, self->g, job->pid);
		__u64 cookie = pre.cookie;

		snprintf(row, sizeof(row), "%#x", table[i].verdict);
		expect_traced_pre(_metadata, self->id, pre.pid, &cookie);
		/* To be read is not to be answered, and one too many is none. */
		expect_no_trace(_metadata);
		EXPECT_EQ(-ENOENT, try_answer(self->g, cookie + 1, FAN_ALLOW));
		answer(_metadata, self->g, &pre, table[i].verdict);
		EXPECT_EQ(-ENOENT, try_answer(self->g, cookie, FAN_ALLOW));
		EXPECT_EQ(table[i].error ?: 2, job_join(_metadata, job));
		expect_traced_answer(_metadata, self->id, cookie,
				     table[i].error, "listener", getpid());
		if (!table[i].error) {
			expect_traced_post(_metadata, self->id, cookie, 2,
					   pre.pid);
			expect_post(_metadata, self->g, &pre, 2);
		}
		expect_no_trace(_metadata);
	}
}

/* What an answer ignores has no end, and no further beginning. */
TEST_F(trace, ignored)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);
	__u64 cookie = pre.cookie;

	answer(_metadata, self->g, &pre, FAN_ALLOW | FAN_RESPONSE_IGNORE);
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(2, job_join(_metadata, write_start(_metadata, "file", "ab")));
	expect_traced_pre(_metadata, self->id, pre.pid, &cookie);
	expect_traced_answer(_metadata, self->id, cookie, 0, "listener",
			     getpid());
}

/* A deadline is an answer by the task itself, read or not. */
TEST_F(trace, deadline)
{
	static const struct {
		__u32 verdict;
		int error;
		bool is_read;
	} table[] = {
		{ FAN_ALLOW, 0, true },
		{ FAN_ALLOW, 0, false },
		{ FAN_DENY, -EPERM, true },
		{ FAN_DENY_ERRNO(EBUSY), -EBUSY, false },
	};

	FOR_EACH_ROW(i, table) {
		__u64 cookie = 0;
		struct job *job;
		pid_t pid;

		snprintf(row, sizeof(row), "%#x, %s", table[i].verdict,
			 table[i].is_read ? "read" : "unread");
		ASSERT_EQ(0, set_deadline(self->g, 1000, table[i].verdict));
		job = write_start(_metadata, "file", "ab");
		pid = job->pid;
		if (table[i].is_read)
			cookie = expect_pre(_metadata, self->g, pid).cookie;
		EXPECT_EQ(table[i].error ?: 2, job_join(_metadata, job));
		expect_traced_pre(_metadata, self->id, pid, &cookie);
		expect_traced_answer(_metadata, self->id, cookie,
				     table[i].error, "deadline", pid);
		if (!table[i].error) {
			expect_traced_post(_metadata, self->id, cookie, 2, pid);
			EXPECT_EQ(cookie,
				  event_next(_metadata, self->g).cookie);
		}
		expect_no_trace(_metadata);
	}
}

/* Who is killed decides, and has an end if someone had read of the beginning. */
TEST_F(trace, killed)
{
	for (int is_read = 0; is_read < 2; is_read++) {
		struct job *job = write_start(_metadata, "file", "ab");
		const pid_t pid = job->pid;
		struct event pre = {};
		__u64 cookie;

		wait_pending(_metadata, self->g, 1);
		if (is_read)
			pre = expect_pre(_metadata, self->g, pid);
		job_kill(_metadata, job, SIGKILL);
		cookie = pre.cookie;
		expect_traced_pre(_metadata, self->id, pid, &cookie);
		expect_traced_answer(_metadata, self->id, cookie, -EINTR,
				     "signal", pid);
		if (is_read) {
			expect_traced_post(_metadata, self->id, cookie, -EINTR,
					   pid);
			expect_post(_metadata, self->g, &pre, -EINTR);
		}
		expect_no_trace(_metadata);
	}
}

/*
 * The end of a group is an answer to all that wait. It is told no end after
 * that; and what it denies if it fails closed, it is not asked about.
 */
TEST_F(trace, closed)
{
	__u64 cookies[2];
	struct job *jobs[2];
	struct event pre;
	struct group *g;
	__u64 id;
	int error;

	guard_start(_metadata, lift_all);
	group_close(self->g);
	for (int fails = 0; fails < 2; fails++) {
		error = fails ? -EIO : 0;
		g = group_open(_metadata, fails ? FAN_FAIL_CLOSED : 0);
		id = id_of(_metadata, g);
		EXPECT_LT(self->id, id);
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     FAN_MODIFY, ".");
		jobs[0] = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, g, jobs[0]->pid);
		jobs[1] = write_start(_metadata, "file", "ab");
		wait_pending(_metadata, g, 2);
		cookies[0] = pre.cookie;
		cookies[1] = 0;
		expect_traced_pre(_metadata, id, jobs[0]->pid, &cookies[0]);
		expect_traced_pre(_metadata, id, jobs[1]->pid, &cookies[1]);
		group_close(g);
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(error ?: 2, job_join(_metadata, jobs[i]));
		/* First those that were not read. */
		for (int i = 1; i >= 0; i--)
			expect_traced_answer(_metadata, id, cookies[i], error,
					     "close", getpid());
	}
	EXPECT_EQ(1, count_sentinels());
	EXPECT_EQ(-EIO,
		  job_join(_metadata, write_start(_metadata, "file", "ab")));
	lift_all();
}

/* A question that goes back is neither asked again nor answered. */
TEST_F(trace, put_back)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *job = write_start(_metadata, "file", "ab");
	struct event pre = expect_pre(_metadata, q, job->pid);
	__u64 cookie = pre.cookie;

	group_close(q);
	EXPECT_EQ(-1, syscall(__NR_read, self->g->fd, 1UL, 4096));
	EXPECT_EQ(EFAULT, errno);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	/* So it is with an end. */
	EXPECT_EQ(-1, syscall(__NR_read, self->g->fd, 1UL, 4096));
	EXPECT_EQ(EFAULT, errno);
	expect_post(_metadata, self->g, &pre, 2);
	expect_traced_pre(_metadata, self->id, pre.pid, &cookie);
	expect_traced_answer(_metadata, self->id, cookie, 0, "listener",
			     getpid());
	expect_traced_post(_metadata, self->id, cookie, 2, pre.pid);
}

#define MAX_QUEUED_EVENTS "/proc/sys/fs/fanotify/max_queued_events"

static char old_limit[32];

static void restore_limit(void)
{
	write_file(MAX_QUEUED_EVENTS, 0, old_limit);
}

/* What no one was asked about has an end alone, and none if it is lost. */
TEST_F(trace, unpaired)
{
	pid_t pids[2];
	struct group *g;
	struct event ev;
	struct job *job;
	__u64 id;

	group_close(self->g);
	ASSERT_LT(0, read_file(MAX_QUEUED_EVENTS, old_limit, sizeof(old_limit)));
	guard_start(_metadata, restore_limit);
	ASSERT_EQ(0, write_file(MAX_QUEUED_EVENTS, 0, "1"));
	g = group_open(_metadata, 0);
	restore_limit();
	id = id_of(_metadata, g);
	mark(_metadata, g, FAN_MARK_ADD, FAN_POST(FAN_MODIFY), "file");
	for (int i = 0; i < 2; i++) {
		job = write_start(_metadata, "file", "ab");
		pids[i] = job->pid;
		EXPECT_EQ(2, job_join(_metadata, job));
	}
	ev = expect_unpaired(_metadata, g, pids[0], 2);
	EXPECT_EQ((__u64)FAN_Q_OVERFLOW, event_next(_metadata, g).mask);
	expect_traced_post(_metadata, id, ev.cookie, 2, pids[0]);
}

/* A barrier begins with its call and ends behind what it waits for. */
TEST_F(trace, barrier)
{
	struct event pre;
	struct job *job;
	__u64 cookie;

	REQUIRE_HOLDS();
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "end", job->pid);
	job_go(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	wait_held(_metadata, "end");
	barrier(_metadata, self->g, ".");
	barrier(_metadata, self->g, ".");
	cookie = pre.cookie;
	expect_traced_pre(_metadata, self->id, pre.pid, &cookie);
	expect_traced_answer(_metadata, self->id, cookie, 0, "listener",
			     getpid());
	expect_traced_barrier(_metadata, self->id, 1, "begin");
	expect_traced_barrier(_metadata, self->id, 2, "begin");
	expect_nothing(_metadata, self->g);
	expect_no_trace(_metadata);

	release(_metadata, "end");
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_barrier(_metadata, self->g, 1);
	expect_barrier(_metadata, self->g, 2);
	expect_traced_post(_metadata, self->id, cookie, 2, pre.pid);
	expect_traced_barrier(_metadata, self->id, 1, "end");
	expect_traced_barrier(_metadata, self->id, 2, "end");
}

/* Each group has its own, of the same operation. */
TEST_F(trace, several_groups)
{
	struct group *second = group_open(_metadata, 0);
	const __u64 id = id_of(_metadata, second);
	struct event pre, pre2;
	struct job *job;
	__u64 cookie;
	pid_t pid;

	EXPECT_LT(self->id, id);
	mark(_metadata, second, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (int denied = 0; denied < 2; denied++) {
		job = write_start(_metadata, "file", "ab");
		pid = job->pid;
		pre = expect_pre(_metadata, self->g, pid);
		cookie = pre.cookie;
		expect_traced_pre(_metadata, self->id, pid, &cookie);
		expect_no_trace(_metadata);
		allow(_metadata, self->g, &pre);
		pre2 = expect_pre(_metadata, second, pid);
		EXPECT_EQ(cookie, pre2.cookie);
		answer(_metadata, second, &pre2, denied ? FAN_DENY : FAN_ALLOW);
		EXPECT_EQ(denied ? -EPERM : 2, job_join(_metadata, job));
		expect_traced_answer(_metadata, self->id, cookie, 0, "listener",
				     getpid());
		expect_traced_pre(_metadata, id, pid, &cookie);
		expect_traced_answer(_metadata, id, cookie,
				     denied ? -EPERM : 0, "listener", getpid());
		expect_traced_post(_metadata, self->id, cookie,
				   denied ? -EPERM : 2, pid);
		expect_post(_metadata, self->g, &pre, denied ? -EPERM : 2);
		if (!denied) {
			expect_traced_post(_metadata, id, cookie, 2, pid);
			expect_post(_metadata, second, &pre2, 2);
		}
		expect_no_trace(_metadata);
	}
}

TEST_HARNESS_MAIN
