// SPDX-License-Identifier: GPL-2.0
/*
 * Files that were removed while someone is asked about them: what frees them is
 * whoever has them open, or the kernel, and never a listener that answers. It
 * would wait for a file system to be thawed that it has frozen itself.
 *
 * A writer is in front of its listener where there is one CPU: as soon as it is
 * woken up it closes the file, before the listener goes on.
 */

#include "frozen.h"
#include "hold.h"
#include "queue.h"

FIXTURE(removed)
{
	struct group *g;
};

FIXTURE_SETUP(removed)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, "ext4", FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	self->g = watch_to_freeze(_metadata);
}

FIXTURE_TEARDOWN(removed)
{
	thaw();
	test_end(_metadata);
}

/* In front of all who are not, and is gone with the file right after. */
static long write_in_front(void *arg)
{
	const struct sched_param param = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		return -1;
	return do_write(arg);
}

/* A writer that is asked about a file, which is removed and frozen then. */
static struct job *start_and_remove(struct __test_metadata *const _metadata,
				    struct group *g, struct event *pre)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct job *job = job_prepare(_metadata, write_in_front, &args);

	job_go(_metadata, job);
	*pre = expect_pre(_metadata, g, job->pid);
	ASSERT_EQ(0, unlink("file"));
	ASSERT_EQ(0, ioctl(fs_fd, FIFREEZE, 0));
	return job;
}

struct answer_args {
	const struct group *g;
	__u64 cookie;
	__u32 verdict;
};

static long do_answer(void *arg)
{
	const struct answer_args *args = arg;
	const int ret = try_answer(args->g, args->cookie, args->verdict);

	errno = -ret;
	return ret < 0 ? -1 : ret;
}

/* A listener of its own, so that it is seen if it waits. */
static struct job *answerer(struct __test_metadata *const _metadata,
			    const struct group *g, const struct event *pre,
			    __u32 verdict)
{
	struct answer_args args = {
		.g = g,
		.cookie = pre->cookie,
		.verdict = verdict,
	};

	return __job_prepare(_metadata, do_answer, &args, true);
}

/* The writer itself waits for the thaw, as it would without a listener. */
static void thaw_and_join(struct __test_metadata *const _metadata,
			  struct job *job, long result)
{
	/* What it returns is in its memory before it closes the file. */
	ASSERT_TRUE(EVENTUALLY(*job->result == result));
	thaw();
	EXPECT_EQ(result, job_join(_metadata, job));
}

TEST_F(removed, denied)
{
	struct job *job, *listener;
	struct event pre;

	job = start_and_remove(_metadata, self->g, &pre);
	listener = answerer(_metadata, self->g, &pre, FAN_DENY);
	job_go(_metadata, listener);
	EXPECT_EQ((int)sizeof(struct answer), job_join(_metadata, listener));
	thaw_and_join(_metadata, job, -EPERM);
}

/* The task is killed after the listener has begun to answer. */
TEST_F(removed, killed_while_it_is_ignored)
{
	struct job *job, *listener;
	struct event pre;

	REQUIRE_HOLDS();
	job = start_and_remove(_metadata, self->g, &pre);
	listener = answerer(_metadata, self->g, &pre,
			    FAN_ALLOW | FAN_RESPONSE_IGNORE);
	hold(_metadata, "ignore", listener->pid);
	job_go(_metadata, listener);
	wait_held(_metadata, "ignore");
	job_kill(_metadata, job, SIGKILL);
	expect_post(_metadata, self->g, &pre, -EINTR);
	release(_metadata, "ignore");
	EXPECT_EQ(-ENOENT, job_join(_metadata, listener));
	/* It can be frozen and thawed as before: nothing was left undone. */
	thaw();
	ASSERT_EQ(0, ioctl(fs_fd, FIFREEZE, 0));
}

static long do_close(void *arg)
{
	return close(((struct group *)arg)->fd);
}

/* The end of a group answers as well. */
TEST_F(removed, closed)
{
	struct group *g = group_open(_metadata, FAN_FAIL_CLOSED);
	struct job *job, *closer;
	struct event pre;

	group_close(self->g);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	job = start_and_remove(_metadata, g, &pre);
	closer = __job_prepare(_metadata, do_close, g, true);
	group_close(g);
	job_go(_metadata, closer);
	EXPECT_EQ(0, job_join(_metadata, closer));
	thaw_and_join(_metadata, job, -EIO);
}

TEST_HARNESS_MAIN
