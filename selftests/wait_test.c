// SPDX-License-Identifier: GPL-2.0
/*
 * How the wait for an answer ends without one: fatal signals, and a listener
 * that goes away. That it can be frozen is the subject of freeze_test.c.
 */

#include <pthread.h>

#include "fs.h"
#include "group.h"

FIXTURE(wait)
{
	struct group *g;
};

FIXTURE_SETUP(wait)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(wait)
{
	test_end(_metadata);
}

/* What is known of an operation whose process was killed before an answer. */
static void expect_killed(struct __test_metadata *const _metadata,
			  struct group *g, const struct event *pre)
{
	expect_post(_metadata, g, pre, -EINTR);
	EXPECT_EQ(-ENOENT, try_answer(g, pre->cookie, FAN_ALLOW));
	EXPECT_EQ(-ENOENT, try_answer(g, pre->cookie, FAN_DENY));
	expect_silence(_metadata, g);
	EXPECT_EQ(0, group_state(_metadata, g).inflight);
	expect_content(_metadata, "file", "as it was");
}

TEST_F(wait, killed)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGUSR2 };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct job *job = write_start(_metadata, "file", "AS");
		const struct event pre = expect_pre(_metadata, self->g,
						    job->pid);

		expect_blocked(_metadata, job);
		job_kill(_metadata, job, signals[i]);
		EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
		expect_killed(_metadata, self->g, &pre);
	}
}

/* Nothing of it is left: as if it had never been there. */
TEST_F(wait, killed_before_it_was_read)
{
	struct job *job = write_start(_metadata, "file", "AS");
	struct group_state st;

	wait_pending(_metadata, self->g, 1);
	job_kill(_metadata, job, SIGKILL);
	expect_nothing(_metadata, self->g);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	expect_content(_metadata, "file", "as it was");
}

#define MANY 50

/* However many of them there were, and not those who wait still. */
TEST_F(wait, many_killed_before_they_were_read)
{
	struct job *before, *after;
	struct event pre, pre2;

	before = write_start(_metadata, "file", "AS");
	wait_pending(_metadata, self->g, 1);
	for (int i = 0; i < MANY; i++) {
		struct job *job = write_start(_metadata, "file", "xx");

		wait_pending(_metadata, self->g, 2);
		job_kill(_metadata, job, SIGKILL);
	}
	after = write_start(_metadata, "file", "AS");
	wait_pending(_metadata, self->g, 2);
	EXPECT_EQ(2, group_state(_metadata, self->g).queued);

	pre = expect_pre(_metadata, self->g, before->pid);
	pre2 = expect_pre(_metadata, self->g, after->pid);
	allow(_metadata, self->g, &pre);
	allow(_metadata, self->g, &pre2);
	EXPECT_EQ(2, job_join(_metadata, before));
	EXPECT_EQ(2, job_join(_metadata, after));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(2, event_next(_metadata, self->g).result);
}

/* From between others, in a group that others are asked after. */
TEST_F(wait, killed_in_the_middle)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pres[3];
	struct job *jobs[3];

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (int i = 0; i < 3; i++) {
		jobs[i] = write_start(_metadata, "file", "AS");
		pre = expect_pre(_metadata, self->g, jobs[i]->pid);
		allow(_metadata, self->g, &pre);
		wait_pending(_metadata, other, i + 1);
	}

	/* The first group has allowed it, and is told. */
	job_kill(_metadata, jobs[1], SIGKILL);
	EXPECT_EQ(-EINTR, event_next(_metadata, self->g).result);
	for (int i = 0; i < 3; i += 2)
		pres[i] = expect_pre(_metadata, other, jobs[i]->pid);
	for (int i = 0; i < 3; i += 2) {
		allow(_metadata, other, &pres[i]);
		EXPECT_EQ(2, job_join(_metadata, jobs[i]));
		expect_post(_metadata, other, &pres[i], 2);
		EXPECT_EQ(2, event_next(_metadata, self->g).result);
	}
}

/* Who is not told of the end is not told of this one, either. */
TEST_F(wait, killed_pre_only)
{
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_POST(FAN_MODIFY), "file");
	job = write_start(_metadata, "file", "AS");
	expect_pre(_metadata, self->g, job->pid);
	job_kill(_metadata, job, SIGKILL);
	expect_silence(_metadata, self->g);
}

#define THREADS 3

static void *write_in_thread(void *arg)
{
	do_write(arg);
	return NULL;
}

static long write_in_threads(void *arg)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, write_in_thread, arg))
			return -1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Each thread of a process that is killed has its own operation to end. */
TEST_F(wait, killed_threads)
{
	struct write_args args = { .path = "file", .text = "AS" };
	struct event pre[THREADS], post;
	struct job *job;

	job = job_start(_metadata, write_in_threads, &args);
	wait_pending(_metadata, self->g, THREADS);
	for (int i = 0; i < THREADS; i++)
		pre[i] = expect_pre(_metadata, self->g, job->pid);
	job_kill(_metadata, job, SIGKILL);

	for (int n = 0; n < THREADS; n++) {
		int i = 0;

		post = event_next(_metadata, self->g);
		EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
		EXPECT_EQ(-EINTR, post.result);
		EXPECT_EQ(0U, post.flags);
		while (i < THREADS && pre[i].cookie != post.cookie)
			i++;
		ASSERT_LT(i, THREADS);
		pre[i].cookie = 0;
	}
	expect_silence(_metadata, self->g);
	expect_content(_metadata, "file", "as it was");
}

/* Killed while it waits for the second one; the first one had allowed it. */
TEST_F(wait, killed_at_the_next_group)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre, pre2;
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	pre2 = expect_pre(_metadata, other, job->pid);
	job_kill(_metadata, job, SIGKILL);
	expect_killed(_metadata, self->g, &pre);
	expect_killed(_metadata, other, &pre2);
}

static volatile int signals_seen;

static void count_signal(int sig)
{
	(void)sig;
	signals_seen++;
}

static long write_with_handler(void *arg)
{
	const struct sigaction act = { .sa_handler = count_signal };
	long ret;

	if (sigaction(SIGUSR1, &act, NULL))
		return -1;
	ret = do_write(arg);
	return ret == 2 && signals_seen == 1 ? 2 : 0;
}

/* A signal that is not fatal comes after the write, which is not cut short. */
TEST_F(wait, not_interrupted)
{
	struct write_args args = { .path = "file", .text = "AS" };
	struct job *job = job_start(_metadata, write_with_handler, &args);
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	ASSERT_EQ(0, kill(job->pid, SIGUSR1));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(wait, group_closed)
{
	struct job *read = write_start(_metadata, "file", "AS"), *unread;

	expect_pre(_metadata, self->g, read->pid);
	unread = write_start(_metadata, "file", "AS");
	wait_pending(_metadata, self->g, 2);
	expect_blocked(_metadata, read);
	expect_blocked(_metadata, unread);

	group_close(self->g);
	EXPECT_EQ(2, job_join(_metadata, read));
	EXPECT_EQ(2, job_join(_metadata, unread));
	expect_content(_metadata, "file", "AS it was");
}

/* It is the last descriptor that counts. */
TEST_F(wait, one_descriptor_closed)
{
	struct job *job = write_start(_metadata, "file", "AS");
	int fd;

	expect_pre(_metadata, self->g, job->pid);
	fd = dup(self->g->fd);
	ASSERT_LE(0, fd);
	group_close(self->g);
	expect_blocked(_metadata, job);
	close(fd);
	EXPECT_EQ(2, job_join(_metadata, job));
}

/* Allowed by one who is no longer there is still to be asked of others. */
TEST_F(wait, first_group_closed)
{
	struct group *other = group_open(_metadata, 0);
	struct event pre;
	struct job *job;

	mark(_metadata, other, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = write_start(_metadata, "file", "AS");
	expect_pre(_metadata, self->g, job->pid);
	group_close(self->g);
	pre = expect_pre(_metadata, other, job->pid);
	expect_blocked(_metadata, job);
	answer(_metadata, other, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_content(_metadata, "file", "as it was");
}

/* A listener of its own, that takes one question and never answers. */
static long listen_and_hang(void *arg)
{
	char buf[4096];
	int fd;

	(void)arg;
	fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);
	if (fd < 0 || sys_fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY,
					AT_FDCWD, "file2"))
		return -1;
	if (write_file("ready", O_CREAT, ""))
		return -1;
	if (read(fd, buf, sizeof(buf)) < 0)
		return -1;
	pause();
	return 0;
}

TEST_F(wait, listener_killed)
{
	struct job *listener, *job;

	put_file(_metadata, "file2", "");
	listener = job_start(_metadata, listen_and_hang, NULL);
	ASSERT_TRUE(EVENTUALLY(!access("ready", F_OK)));
	job = write_start(_metadata, "file2", "AS");
	expect_blocked(_metadata, job);
	job_kill(_metadata, listener, SIGKILL);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_content(_metadata, "file2", "AS");
}

TEST_HARNESS_MAIN
