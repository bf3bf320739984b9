// SPDX-License-Identifier: GPL-2.0
/*
 * Users take turns in the lane of questions: whoever has many tasks there delays
 * those of others by one question for each user, and not by all that he has.
 */

#include <pthread.h>

#include "fs.h"
#include "queue.h"

/* Bytes in which there is no room for two. */
#define ONE_EVENT	160
/* So many questions are read at once, however large the buffer is. */
#define AT_ONCE		16

#define MANY		64
#define MANY_UID	1000
#define ONE_UID		200000
/* Numbers that a user namespace has, all between the two. */
#define FIRST_SUBUID	100000
#define SUBUIDS		4

FIXTURE(fair)
{
	struct group *g;
};

FIXTURE_SETUP(fair)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_EQ(0, chmod("file", 0666));
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
}

FIXTURE_TEARDOWN(fair)
{
	test_end(_metadata);
}

static long write_byte(void)
{
	struct write_args args = { .path = "file", .text = "x" };

	return do_write(&args);
}

static void *write_in_thread(void *arg __maybe_unused)
{
	return (void *)write_byte();
}

/* For jobs: so many tasks of a user that write, or one. */
struct tasks {
	uid_t uid;
	int n;
};

static long write_as(void *arg)
{
	const struct tasks *tasks = arg;
	pthread_t threads[MANY];
	long written = 0;
	void *ret;

	if (setresuid(tasks->uid, tasks->uid, tasks->uid))
		return -1;
	for (int i = 0; i < tasks->n; i++) {
		errno = pthread_create(&threads[i], NULL, write_in_thread, NULL);
		if (errno)
			return -1;
	}
	for (int i = 0; i < tasks->n; i++) {
		pthread_join(threads[i], &ret);
		written += (long)ret;
	}
	return written;
}

/* Tasks of a user that wait, beside those that do already. */
static struct job *tasks_start(struct __test_metadata *const _metadata,
			       struct group *g, uid_t uid, int n)
{
	const long before = group_state(_metadata, g).pending;
	struct tasks tasks = { .uid = uid, .n = n };
	struct job *job = job_start(_metadata, write_as, &tasks);

	wait_pending(_metadata, g, before + n);
	return job;
}

/* One event and no more, as what is read is not what comes next. */
static struct event read_one(struct __test_metadata *const _metadata,
			     struct group *g)
{
	ssize_t len;

	ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
	len = read(g->fd, g->buf, ONE_EVENT);
	ASSERT_LT(0, len);
	return event_parse(_metadata, g->buf, len);
}

static struct event allow_next(struct __test_metadata *const _metadata,
			       struct group *g)
{
	const struct event pre = read_one(_metadata, g);

	allow(_metadata, g, &pre);
	return pre;
}

/* Allows @n that are all of one job, in the order in which they have begun. */
static void allow_in_order(struct __test_metadata *const _metadata,
			   struct group *g, const struct job *job, int n)
{
	__u64 cookie = 0;

	for (int i = 0; i < n; i++) {
		const struct event pre = allow_next(_metadata, g);

		EXPECT_EQ(job->pid, pre.pid);
		EXPECT_LT(cookie, pre.cookie);
		cookie = pre.cookie;
	}
}

/* Is the first or the second one of this job? Both are allowed. */
static void expect_second(struct __test_metadata *const _metadata,
			  struct group *g, const struct job *job)
{
	struct event pre[2];

	for (int i = 0; i < 2; i++)
		pre[i] = allow_next(_metadata, g);
	EXPECT_TRUE(pre[0].pid == job->pid || pre[1].pid == job->pid);
}

/* Whatever their numbers are, and however often one comes back. */
TEST_F(fair, one_behind_many)
{
	const uid_t uids[] = { ONE_UID, 0, ONE_UID, MANY_UID - 1, MANY_UID + 1 };
	struct job *many = tasks_start(_metadata, self->g, MANY_UID, MANY);

	FOR_EACH_ROW(i, uids) {
		struct job *one = tasks_start(_metadata, self->g, uids[i], 1);

		snprintf(row, sizeof(row), "uid %u", uids[i]);
		expect_second(_metadata, self->g, one);
		EXPECT_EQ(1, job_join(_metadata, one));
	}
	row[0] = '\0';
	allow_in_order(_metadata, self->g, many, MANY - ARRAY_SIZE(uids));
	EXPECT_EQ(MANY, job_join(_metadata, many));
}

/* Not all that there is of one is read before another one asks. */
TEST_F(fair, one_behind_many_that_were_read)
{
	struct job *many = tasks_start(_metadata, self->g, MANY_UID, MANY);
	struct event pres[AT_ONCE];
	struct job *one;

	ASSERT_LE((AT_ONCE + 1) * ONE_EVENT, (int)sizeof(self->g->buf));
	for (int i = 0; i < AT_ONCE; i++) {
		pres[i] = event_next(_metadata, self->g);
		EXPECT_EQ(many->pid, pres[i].pid);
	}
	EXPECT_EQ(self->g->len, self->g->pos);
	one = tasks_start(_metadata, self->g, ONE_UID, 1);
	expect_second(_metadata, self->g, one);
	EXPECT_EQ(1, job_join(_metadata, one));
	for (int i = 0; i < AT_ONCE; i++)
		allow(_metadata, self->g, &pres[i]);
	allow_in_order(_metadata, self->g, many, MANY - AT_ONCE - 1);
	EXPECT_EQ(MANY, job_join(_metadata, many));
}

/* Who has many as well waits for as many of the other's, and keeps his order. */
TEST_F(fair, many_behind_many)
{
	struct job *jobs[2];
	__u64 cookies[2] = {};

	jobs[0] = tasks_start(_metadata, self->g, MANY_UID, MANY);
	jobs[1] = tasks_start(_metadata, self->g, ONE_UID, MANY / 2);
	for (int i = 0; i < MANY; i++) {
		const struct event pre = allow_next(_metadata, self->g);
		const int who = i % 2;

		EXPECT_EQ(jobs[who]->pid, pre.pid);
		EXPECT_LT(cookies[who], pre.cookie);
		cookies[who] = pre.cookie;
	}
	allow_in_order(_metadata, self->g, jobs[0], MANY / 2);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(i ? MANY / 2 : MANY, job_join(_metadata, jobs[i]));
}

/* The oldest of all is told, whoever's turn it is, and who was killed is gone. */
TEST_F(fair, oldest)
{
	struct job *first = tasks_start(_metadata, self->g, ONE_UID, 1);
	struct job *second = tasks_start(_metadata, self->g, MANY_UID, 1);
	struct event pre;

	EXPECT_EQ(first->pid, group_state(_metadata, self->g).asker);
	pre = read_one(_metadata, self->g);
	EXPECT_EQ(second->pid, pre.pid);
	EXPECT_EQ(first->pid, group_state(_metadata, self->g).asker);
	job_kill(_metadata, first, SIGKILL);
	EXPECT_EQ(second->pid, group_state(_metadata, self->g).asker);
	expect_silence(_metadata, self->g);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(1, job_join(_metadata, second));
}

/* What goes back is in its place among what is of the same user. */
TEST_F(fair, put_back)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *many = tasks_start(_metadata, self->g, MANY_UID, 8), *one;
	struct event pre;

	for (int i = 0; i < 4; i++) {
		pre = read_one(_metadata, q);
		EXPECT_EQ(many->pid, pre.pid);
	}
	one = tasks_start(_metadata, self->g, ONE_UID, 1);
	group_close(q);
	expect_second(_metadata, self->g, one);
	EXPECT_EQ(1, job_join(_metadata, one));
	allow_in_order(_metadata, self->g, many, 7);
	EXPECT_EQ(8, job_join(_metadata, many));
}

/* ---------------------------- user namespaces ------------------------------ */

struct namespace {
	uid_t owner;
	int ready[2];	/* it is there */
	int mapped[2];	/* and has its uids */
};

/* A user's namespace with many uids, each of which has a task that writes. */
static long write_in_namespace(void *arg)
{
	const struct namespace *ns = arg;
	pid_t pids[SUBUIDS];
	int status, n = 0;
	char c;

	if (setresuid(ns->owner, ns->owner, ns->owner) ||
	    prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER) ||
	    write(ns->ready[1], "", 1) != 1 || read(ns->mapped[0], &c, 1) != 1)
		return -1;
	for (int i = 0; i < SUBUIDS; i++) {
		pids[i] = fork();
		if (pids[i])
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(setresuid(i, i, i) || write_byte() != 1);
	}
	for (int i = 0; i < SUBUIDS; i++)
		n += waitpid(pids[i], &status, 0) == pids[i] && !status;
	return n;
}

static struct job *namespace_start(struct __test_metadata *const _metadata,
				   struct group *g, uid_t owner)
{
	struct namespace ns = { .owner = owner };
	char path[64], map[64], c;
	struct job *job;

	ASSERT_EQ(0, pipe(ns.ready));
	ASSERT_EQ(0, pipe(ns.mapped));
	job = job_start(_metadata, write_in_namespace, &ns);
	ASSERT_EQ(1, read(ns.ready[0], &c, 1));
	snprintf(path, sizeof(path), "/proc/%d/uid_map", job->pid);
	snprintf(map, sizeof(map), "0 %d %d", FIRST_SUBUID, SUBUIDS);
	ASSERT_EQ(0, write_file(path, 0, map));
	ASSERT_EQ(1, write(ns.mapped[1], "", 1));
	for (int i = 0; i < 2; i++) {
		close(ns.ready[i]);
		close(ns.mapped[i]);
	}
	wait_pending(_metadata, g, SUBUIDS);
	return job;
}

/* Whoever has many uids there is one user: who made it, or, if that is root, all. */
TEST_F(fair, namespaces)
{
	const uid_t owners[] = { MANY_UID, 0 };

	FOR_EACH_ROW(i, owners) {
		struct job *many, *one;

		snprintf(row, sizeof(row), "made by uid %u", owners[i]);
		many = namespace_start(_metadata, self->g, owners[i]);
		one = tasks_start(_metadata, self->g, ONE_UID, 1);
		expect_second(_metadata, self->g, one);
		EXPECT_EQ(1, job_join(_metadata, one));
		for (int k = 1; k < SUBUIDS; k++)
			allow_next(_metadata, self->g);
		EXPECT_EQ(SUBUIDS, job_join(_metadata, many));
	}
	row[0] = '\0';
}

TEST_HARNESS_MAIN
