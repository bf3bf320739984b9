// SPDX-License-Identifier: GPL-2.0
/*
 * Many writers and a slow listener, who answers out of order: one POST for each
 * operation that was allowed, none for those that were denied.
 */

#include <pthread.h>

#include "fs.h"
#include "group.h"

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
		if (ops[i].pre.pid == ev->pid) {
			EXPECT_LT(ops[i].pre.cookie, ev->cookie);
		}
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
	int i = n ? rand() % n : 0, tries = 0;

	while (tries < n && ops[i].state != ASKED) {
		i = (i + 1) % n;
		tries++;
	}
	if (tries == n)
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
			if (answer_one(_metadata, g, ops, n, &denied)) {
				asked--;
			} else {
				ASSERT_TRUE(group_readable(g, TIMEOUT_MS));
			}
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

FIXTURE(writers)
{
	struct group *g;
};

FIXTURE_VARIANT(writers)
{
	unsigned int flags;	/* of the group */
	int jobs;
	job_fn fn;
};

FIXTURE_VARIANT_ADD(writers, processes)
{
	.jobs = WRITERS,
	.fn = write_many_process,
};

FIXTURE_VARIANT_ADD(writers, threads)
{
	.flags = FAN_REPORT_TID,
	.jobs = 1,
	.fn = write_many_threads,
};

FIXTURE_SETUP(writers)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, variant->flags);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(writers)
{
	test_end(_metadata);
}

TEST_F(writers, slow_listener)
{
	struct job *jobs[WRITERS];
	struct group_state st;
	long sum = 0;
	int denied;

	for (long i = 0; i < variant->jobs; i++)
		jobs[i] = job_start(_metadata, variant->fn, (void *)i);
	denied = serve_slowly(_metadata, self->g);
	for (int i = 0; i < variant->jobs; i++)
		sum += job_join(_metadata, jobs[i]);
	EXPECT_EQ(denied, sum);
	EXPECT_EQ(OPS / DENY_EVERY, denied);

	expect_silence(_metadata, self->g);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	EXPECT_EQ(0, st.overflows);
}

TEST_HARNESS_MAIN
