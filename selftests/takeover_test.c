// SPDX-License-Identifier: GPL-2.0
/*
 * What docs/restart.md says of a listener that dies and of the next one, where its
 * model fails without it, and no other test shows that: a late answer to what
 * another has read, or is to read, the end of what a dead worker has allowed, and
 * a group that becomes a sentinel, and is taken over, while tasks write.
 */

#include "fs.h"
#include "queue.h"
#include "sentinels.h"
#include "underway.h"

FIXTURE(takeover)
{
	struct group *g;
};

FIXTURE_SETUP(takeover)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	guard_start(_metadata, lift_all);
	self->g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(takeover)
{
	lift_all();
	test_end(_metadata);
}

static long own_and_read(void *arg)
{
	struct group *q = arg;

	return ioctl(q->fd, FAN_IOC_OWN) ? -1 :
					   read(q->fd, q->buf, sizeof(q->buf));
}

/* Who has lost a question does not answer it in place of who has it now. */
TEST_F(takeover, late_answer)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *job = write_start(_metadata, "file", "ab"), *worker;
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	worker = __job_prepare(_metadata, own_and_read, q, true);
	job_go(_metadata, worker);
	EXPECT_LT(0, job_join(_metadata, worker));
	expect_silence(_metadata, self->g);

	/* Its queue is there for another, and what it had read is for all. */
	ASSERT_EQ(0, ioctl(q->fd, FAN_IOC_OWN));
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_EQ(-ENOENT, try_answer(q, pre.cookie, FAN_DENY));
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	group_close(q);
}

static long own_read_and_ignore(void *arg)
{
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	struct group *q = arg;
	const long n = own_and_read(q);

	if (n < 0)
		return n;
	return try_answer(q, event_parse(_metadata, q->buf, n).cookie,
			  FAN_ALLOW | FAN_RESPONSE_IGNORE);
}

/* Nor if it was still his when he began: what counts is when it is given. */
TEST_F(takeover, lost_while_it_is_ignored)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *job, *worker;
	struct event pre;

	REQUIRE_HOLDS();
	job = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 1);
	worker = __job_prepare(_metadata, own_read_and_ignore, q, true);
	hold(_metadata, "ignore", worker->pid);
	job_go(_metadata, worker);
	wait_held(_metadata, "ignore");

	ASSERT_EQ(0, ioctl(q->fd, FAN_IOC_OWN));
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	release(_metadata, "ignore");
	EXPECT_EQ(-ENOENT, job_join(_metadata, worker));
	expect_blocked(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	group_close(q);
}

/* What a worker has allowed that is gone has an end, for whoever reads. */
TEST_F(takeover, end_for_another)
{
	struct group *q = queue_open(_metadata, self->g);
	struct event pre;
	struct job *job;

	REQUIRE_HOLDS();
	job = write_prepare(_metadata, "file", "ab");
	hold(_metadata, "begin", job->pid);
	pre = go_and_allow(_metadata, q, job, "begin");
	group_close(q);
	EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	release_and_join(_metadata, job, "begin");
	expect_post(_metadata, self->g, &pre, 2);
	expect_silence(_metadata, self->g);
}

/* ------------------------------ under load ------------------------------- */

#define WRITERS	3
#define ROUNDS	15
#define ANSWERS	20	/* in each */

static struct shared {
	unsigned int answers, failed, unasked, stop;
	pid_t pids[WRITERS];
	unsigned int allowed[WRITERS];	/* how often, each */
} *shared;

#define load(x)		__atomic_load_n(x, __ATOMIC_SEQ_CST)
#define count(x)	__atomic_add_fetch(x, 1, __ATOMIC_SEQ_CST)

static long write_on(void *arg)
{
	const int i = *(int *)arg, fd = open("file", O_WRONLY);
	unsigned int before;

	while (!load(&shared->stop)) {
		before = load(&shared->allowed[i]);
		if (pwrite(fd, "x", 1, 0) != 1) {
			count(&shared->failed);
			usleep(1000);
		} else if (load(&shared->allowed[i]) == before) {
			count(&shared->unasked);
		}
	}
	return 0;
}

static void allow_one(struct group *q, const struct event *ev)
{
	for (int i = 0; i < WRITERS; i++) {
		if (ev->pid != shared->pids[i])
			continue;
		/* First, as the writer looks when it is allowed. */
		count(&shared->allowed[i]);
		if (try_answer(q, ev->cookie, FAN_ALLOW) > 0)
			count(&shared->answers);
	}
}

/* Until the group is closed, which is kept by no one but the test. */
static long work(void *arg)
{
	struct group q = { .fd = queue_fd(arg, O_CLOEXEC) };
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	struct event ev;
	ssize_t n;

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	while ((n = read(q.fd, q.buf, sizeof(q.buf))) > 0) {
		for (ssize_t pos = 0; pos < n; pos += ev.len) {
			ev = event_parse(_metadata, q.buf + pos, n - pos);
			if (ev.mask & ALL_PRE)
				allow_one(&q, &ev);
		}
	}
	return n;
}

static bool is_more(const unsigned int *counter, unsigned int than)
{
	return load(counter) > than;
}

/* A worker allows some writes, the group is closed, and what comes then fails. */
static void serve_and_close(struct __test_metadata *const _metadata,
			    struct group *g)
{
	struct job *worker = __job_prepare(_metadata, work, g, true);
	unsigned int answers = load(&shared->answers) + ANSWERS, failed;

	job_go(_metadata, worker);
	ASSERT_TRUE(EVENTUALLY(is_more(&shared->answers, answers)));
	failed = load(&shared->failed) + WRITERS;
	group_close(g);
	EXPECT_EQ(0, job_join(_metadata, worker));
	ASSERT_TRUE(EVENTUALLY(is_more(&shared->failed, failed)));
	EXPECT_EQ(1, count_sentinels());
}

/* Neither when it becomes a sentinel nor when that is taken over does one pass unasked. */
TEST_F(takeover, closed_under_load)
{
	struct job *writers[WRITERS], *worker;
	struct group *g = self->g;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = job_prepare(_metadata, write_on, &i);
		shared->pids[i] = writers[i]->pid;
		job_go(_metadata, writers[i]);
	}
	for (int i = 0; i < ROUNDS; i++) {
		serve_and_close(_metadata, g);
		g = group_open(_metadata, FAN_FAIL_CLOSED);
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     FAN_MODIFY, ".");
		EXPECT_EQ(0, count_sentinels());
	}
	__atomic_store_n(&shared->stop, 1, __ATOMIC_SEQ_CST);
	worker = __job_prepare(_metadata, work, g, true);
	job_go(_metadata, worker);
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EQ(0, job_join(_metadata, writers[i]));
	group_close(g);
	EXPECT_EQ(0, job_join(_metadata, worker));
	EXPECT_EQ(0U, shared->unasked);
	TH_LOG("%u allowed, %u denied", shared->answers, shared->failed);
}

TEST_HARNESS_MAIN
