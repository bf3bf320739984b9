// SPDX-License-Identifier: GPL-2.0
/*
 * Whose operations: not those of the owner, which is the process that made the
 * group, or the last one to ask for it.
 */

#include <pthread.h>

#include "fs.h"
#include "group.h"

FIXTURE(owner)
{
	struct group *g;
};

FIXTURE_SETUP(owner)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(owner)
{
	test_end(_metadata);
}

/* A thread of the test that writes, while the test serves the group. */
struct writer {
	pthread_t thread;
	long ret;
};

static void *write_in_thread(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct writer *writer = arg;

	writer->ret = do_write(&args);
	return NULL;
}

static void thread_start(struct __test_metadata *const _metadata,
			 struct writer *writer)
{
	ASSERT_EQ(0, pthread_create(&writer->thread, NULL, write_in_thread,
				    writer));
}

static void thread_join(struct __test_metadata *const _metadata,
			struct writer *writer)
{
	ASSERT_EQ(0, pthread_join(writer->thread, NULL));
	EXPECT_EQ(2, writer->ret);
}

/* The test itself is about to write, and is asked for. */
static void serve_thread(struct __test_metadata *const _metadata,
			 struct group *g)
{
	struct writer writer;
	struct event pre;

	thread_start(_metadata, &writer);
	pre = expect_pre(_metadata, g, getpid());
	allow(_metadata, g, &pre);
	thread_join(_metadata, &writer);
	expect_post(_metadata, g, &pre, 2);
}

TEST_F(owner, unseen)
{
	struct writer writer;

	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	thread_start(_metadata, &writer);
	thread_join(_metadata, &writer);
	expect_silence(_metadata, self->g);
}

static void *open_group_in_thread(void *arg)
{
	*(int *)arg = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_NONBLOCK, 0);
	return NULL;
}

/* A group made by a thread belongs to the process. */
TEST_F(owner, unseen_by_group_of_thread)
{
	struct group g = {};
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, open_group_in_thread,
				    &g.fd));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LE(0, g.fd);
	mark(_metadata, &g, FAN_MARK_ADD, FAN_MODIFY, "file");
	EXPECT_EQ(getpid(), group_state(_metadata, &g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, &g);
	close(g.fd);
}

/* A child is not its parent, even if it has the group. */
TEST_F(owner, child_is_seen)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct job *job = __job_prepare(_metadata, do_write, &args, true);

	job_go(_metadata, job);
	serve_write(_metadata, self->g, job, 2);
}

static long own(void *arg)
{
	const struct group *g = arg;

	return ioctl(g->fd, FAN_IOC_OWN);
}

static long own_and_write(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };

	return own(arg) ? -1 : do_write(&args);
}

TEST_F(owner, own_after_fork)
{
	struct job *job = __job_prepare(_metadata, own_and_write, self->g,
					true);
	const pid_t pid = job->pid;

	/* Looked at while there is such a process, be it as a zombie. */
	job_go(_metadata, job);
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	EXPECT_EQ(pid, group_state(_metadata, self->g).owner);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_silence(_metadata, self->g);

	/* Now it is this process that is not the owner, until it asks. */
	serve_thread(_metadata, self->g);
	EXPECT_EQ(0, own(self->g));
	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, self->g);
}

/* What has been asked already remains to be answered. */
TEST_F(owner, own_while_it_waits)
{
	struct writer writer;
	struct event pre;
	struct job *job;

	job = __job_prepare(_metadata, own, self->g, true);
	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));

	thread_start(_metadata, &writer);
	pre = expect_pre(_metadata, self->g, getpid());
	EXPECT_EQ(0, own(self->g));
	allow(_metadata, self->g, &pre);
	thread_join(_metadata, &writer);
	expect_post(_metadata, self->g, &pre, 2);
}

/* An owner is one of its own group, and like all others to the rest. */
TEST_F(owner, seen_by_others)
{
	struct group *other = group_open(_metadata, 0);
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = __job_prepare(_metadata, own_and_write, other, true);
	job_go(_metadata, job);
	serve_write(_metadata, self->g, job, 2);
	expect_silence(_metadata, other);

	serve_thread(_metadata, other);
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
