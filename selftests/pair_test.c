// SPDX-License-Identifier: GPL-2.0
/*
 * Whoever was asked and allowed an operation is told how it ended, exactly
 * once, whatever happened in between.
 */

#include <pthread.h>

#include "fs.h"
#include "group.h"

FIXTURE(pair)
{
	struct group *g;
};

FIXTURE_SETUP(pair)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
}

FIXTURE_TEARDOWN(pair)
{
	test_end(_metadata);
}

/* Numbers grow from one to the next, through whatever group. */
TEST_F(pair, cookies_grow)
{
	__u64 last = 0;

	for (int i = 0; i < 10; i++) {
		struct group *g = i % 2 ? group_open(_metadata, 0) : self->g;
		struct event pre;
		struct job *job;

		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
		job = write_start(_metadata, "file", "ab");
		pre = expect_pre(_metadata, g, job->pid);
		EXPECT_LT(last, pre.cookie);
		last = pre.cookie;
		allow(_metadata, g, &pre);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_post(_metadata, g, &pre, 2);

		mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
		if (g != self->g)
			group_close(g);
	}
}

/* Things that happen between question and answer, to a mark or to the file. */
static void mark_removed(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_MODIFY, "file");
}

static void marks_flushed(struct __test_metadata *const _metadata,
			  struct group *g)
{
	mark(_metadata, g, FAN_MARK_FLUSH, 0, ".");
}

static void post_removed(struct __test_metadata *const _metadata,
			 struct group *g)
{
	mark(_metadata, g, FAN_MARK_REMOVE, FAN_POST(FAN_MODIFY), "file");
}

static void ignored(struct __test_metadata *const _metadata, struct group *g)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY,
	     "file");
}

static void unlinked(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	ASSERT_EQ(0, unlink("file"));
}

static void renamed(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	ASSERT_EQ(0, rename("file", "renamed"));
}

static void replaced(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	put_file(_metadata, "new", "");
	ASSERT_EQ(0, rename("new", "file"));
}

static void written(struct __test_metadata *const _metadata, struct group *g)
{
	(void)g;
	put_file(_metadata, "file", "by the owner");
}

FIXTURE(between)
{
	struct group *g;
};

FIXTURE_VARIANT(between)
{
	void (*happens)(struct __test_metadata *const _metadata,
			struct group *g);
};

#define BETWEEN_VARIANT(name)						\
	FIXTURE_VARIANT_ADD(between, name)				\
	{								\
		.happens = name,					\
	}

BETWEEN_VARIANT(mark_removed);
BETWEEN_VARIANT(marks_flushed);
BETWEEN_VARIANT(post_removed);
BETWEEN_VARIANT(ignored);
BETWEEN_VARIANT(unlinked);
BETWEEN_VARIANT(renamed);
BETWEEN_VARIANT(replaced);
BETWEEN_VARIANT(written);

FIXTURE_SETUP(between)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(between)
{
	test_end(_metadata);
}

TEST_F(between, allowed)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	variant->happens(_metadata, self->g);
	expect_blocked(_metadata, job);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

TEST_F(between, denied)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->g, job->pid);

	variant->happens(_metadata, self->g);
	answer(_metadata, self->g, &pre, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
}

TEST_F(between, not_yet_read)
{
	struct job *job = write_start(_metadata, "file", "ab");
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	variant->happens(_metadata, self->g);
	expect_blocked(_metadata, job);
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

#define WRITERS 8
#define WRITES 40	/* of each writer */
#define OPS (WRITERS * WRITES)
#define DENY_EVERY 5
#define HELD_BACK 5	/* questions that the listener is slow to answer */

static long write_many(int nr)
{
	int fd = open("file", O_WRONLY);
	long denied = 0;

	if (fd < 0)
		return -1;
	for (int i = 0; i < WRITES; i++) {
		if (pwrite(fd, "12345678", 8, 8 * (nr * WRITES + i)) == 8)
			continue;
		if (errno != EIO)
			return -1;
		denied++;
	}
	return denied;
}

static void *write_many_thread(void *arg)
{
	return (void *)write_many((long)arg);
}

/* As many threads as otherwise processes. Returns the sum of their results. */
static long write_many_threads(void *arg)
{
	pthread_t threads[WRITERS];
	long sum = 0;
	void *ret;

	(void)arg;
	for (long i = 0; i < WRITERS; i++)
		if (pthread_create(&threads[i], NULL, write_many_thread,
				   (void *)i))
			return -1;
	for (int i = 0; i < WRITERS; i++) {
		if (pthread_join(threads[i], &ret) || (long)ret < 0)
			return -1;
		sum += (long)ret;
	}
	return sum;
}

static long write_many_process(void *arg)
{
	return write_many((long)arg);
}

struct op {
	struct event pre;
	enum { ASKED, ALLOWED, DENIED, ENDED } state;
};

static struct op *find_op(struct op *ops, int n, __u64 cookie)
{
	while (n--)
		if (ops[n].pre.cookie == cookie)
			return &ops[n];
	return NULL;
}

/* A question: of a number never seen before, the asker's highest so far. */
static void ask(struct __test_metadata *const _metadata, struct op *ops,
		int *n, const struct event *ev)
{
	ASSERT_GT(OPS, *n);
	for (int i = 0; i < *n; i++) {
		EXPECT_NE(ops[i].pre.cookie, ev->cookie);
		if (ops[i].pre.pid == ev->pid)
			EXPECT_LT(ops[i].pre.cookie, ev->cookie);
	}
	EXPECT_EQ(8ULL, ev->count);
	ops[*n].pre = *ev;
	ops[(*n)++].state = ASKED;
}

/* A report: on something that was allowed and not yet reported. */
static void end(struct __test_metadata *const _metadata, struct op *ops, int n,
		const struct event *ev)
{
	struct op *op = find_op(ops, n, ev->cookie);

	ASSERT_EQ(FAN_POST(FAN_MODIFY), ev->mask);
	ASSERT_NE(NULL, op);
	EXPECT_EQ(ALLOWED, op->state);
	EXPECT_EQ(op->pre.pid, ev->pid);
	EXPECT_EQ(op->pre.offset, ev->offset);
	EXPECT_EQ(8ULL, ev->count);
	EXPECT_EQ(0U, ev->flags);
	EXPECT_EQ(8, ev->result);
	op->state = ENDED;
}

/* Answers one of the questions, not the first that comes. */
static bool answer_one(struct __test_metadata *const _metadata,
		       struct group *g, struct op *ops, int n, int *denied)
{
	static int answered;
	int i = n ? rand() % n : 0, tries = n;

	while (tries-- && ops[i].state != ASKED)
		i = (i + 1) % n;
	if (tries < 0)
		return false;
	if (++answered % DENY_EVERY) {
		ops[i].state = ALLOWED;
		allow(_metadata, g, &ops[i].pre);
	} else {
		ops[i].state = DENIED;
		++*denied;
		answer(_metadata, g, &ops[i].pre, FAN_DENY_ERRNO(EIO));
	}
	return true;
}

/*
 * Serves all of them: answers when there are many questions, or when no one
 * has anything to say any more. Returns how many were denied.
 */
static int serve_slowly(struct __test_metadata *const _metadata,
			struct group *g)
{
	struct op *ops = calloc(OPS, sizeof(*ops));
	int n = 0, denied = 0, ended = 0, asked = 0;

	ASSERT_NE(NULL, ops);
	while (ended + denied < OPS) {
		if (asked > HELD_BACK || !group_readable(g, 5)) {
			if (answer_one(_metadata, g, ops, n, &denied))
				asked--;
			else
				ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
			continue;
		}
		do {
			const struct event ev = event_next(_metadata, g);

			if (ev.mask == FAN_PRE(FAN_MODIFY)) {
				ask(_metadata, ops, &n, &ev);
				asked++;
			} else {
				end(_metadata, ops, n, &ev);
				ended++;
			}
		} while (g->pos < g->len);
	}
	EXPECT_EQ(OPS, n);
	free(ops);
	return denied;
}

static void expect_nothing_left(struct __test_metadata *const _metadata,
				struct group *g)
{
	const struct group_state st = group_state(_metadata, g);

	expect_silence(_metadata, g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	EXPECT_EQ(0, st.overflows);
}

TEST_F(pair, processes_and_a_slow_listener)
{
	struct job *jobs[WRITERS];
	long sum = 0;
	int denied;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (long i = 0; i < WRITERS; i++)
		jobs[i] = job_start(_metadata, write_many_process, (void *)i);
	denied = serve_slowly(_metadata, self->g);
	for (int i = 0; i < WRITERS; i++)
		sum += job_join(_metadata, jobs[i]);
	EXPECT_EQ(denied, sum);
	EXPECT_EQ(OPS / DENY_EVERY, denied);
	expect_nothing_left(_metadata, self->g);
}

TEST_F(pair, threads_and_a_slow_listener)
{
	struct group *g = group_open(_metadata, FAN_REPORT_TID);
	struct job *job;
	int denied;

	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = job_start(_metadata, write_many_threads, NULL);
	denied = serve_slowly(_metadata, g);
	EXPECT_EQ(denied, job_join(_metadata, job));
	expect_nothing_left(_metadata, g);
}

TEST_HARNESS_MAIN
