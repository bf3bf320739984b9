// SPDX-License-Identifier: GPL-2.0
/*
 * The two lanes of a group: neither is starved, and what one reader cannot
 * copy is back in its place for the others.
 */

#include "fs.h"
#include "group.h"
#include "reader.h"

#define WINDOW	8
#define OTHERS	4

FIXTURE(lanes)
{
	struct group *g;
	char buf[8 * FAN_EVENT_MAX_LEN];
};

FIXTURE_VARIANT(lanes)
{
	size_t size;		/* of the buffer */
};

FIXTURE_VARIANT_ADD(lanes, one_by_one)
{
	.size = 0,		/* just enough for an event */
};

FIXTURE_VARIANT_ADD(lanes, page)
{
	.size = FAN_EVENT_MAX_LEN,
};

FIXTURE_VARIANT_ADD(lanes, all)
{
	.size = 8 * FAN_EVENT_MAX_LEN,
};

FIXTURE_SETUP(lanes)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(lanes)
{
	test_end(_metadata);
}

static int bytes(struct __test_metadata *const _metadata, const struct group *g)
{
	int n = -1;

	EXPECT_EQ(0, ioctl(g->fd, FIONREAD, &n));
	return n;
}

/* ------------------------------- fairness ------------------------------- */

/* Writers that wait, and barriers that were answered, none of them read. */
static void fill_lanes(struct __test_metadata *const _metadata, struct group *g,
		       struct job **jobs, int writers)
{
	for (int i = 0; i < writers; i++) {
		jobs[i] = write_start(_metadata, "file", "ab");
		wait_pending(_metadata, g, i + 1);
	}
	for (int i = 0; i < OTHERS; i++)
		mark(_metadata, g, FAN_MARK_BARRIER, 0, ".");
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, g).queued ==
			       writers + OTHERS));
}

struct seen {
	int writers, others;
	int run;		/* PRE in a row, while there were others */
	struct event pre[MAX_JOBS];
};

static void take_down(struct __test_metadata *const _metadata,
		      struct seen *seen, const struct event *ev)
{
	if (!(ev->mask & ALL_PRE)) {
		ASSERT_EQ(FAN_Q_BARRIER, ev->mask);
		EXPECT_EQ((__u64)++seen->others, ev->cookie);
		seen->run = 0;
		return;
	}
	if (seen->others < OTHERS)
		seen->run++;
	EXPECT_GT(WINDOW, seen->run);
	seen->pre[seen->writers++] = *ev;
}

/* As long as there are some in both, one in eight is not PRE. */
TEST_F(lanes, fair)
{
	const int writers = 28;
	struct seen seen = {};
	struct job *jobs[28];
	size_t size = variant->size;

	fill_lanes(_metadata, self->g, jobs, writers);
	if (!size)
		size = bytes(_metadata, self->g) / (writers + OTHERS) * 2;

	while (seen.writers + seen.others < writers + OTHERS) {
		const ssize_t n = read(self->g->fd, self->buf, size);

		ASSERT_LT(0, n)
			TH_LOG("read: %s", strerror(errno));
		for (ssize_t pos = 0; pos < n;) {
			const struct event ev = event_parse(_metadata,
							    self->buf + pos,
							    n - pos);

			take_down(_metadata, &seen, &ev);
			pos += ev.len;
		}
	}
	EXPECT_EQ(OTHERS, seen.others);
	EXPECT_EQ(0, bytes(_metadata, self->g));

	/* In order, too. */
	for (int i = 0; i < writers; i++) {
		EXPECT_EQ(jobs[i]->pid, seen.pre[i].pid);
		allow(_metadata, self->g, &seen.pre[i]);
		EXPECT_EQ(2, job_join(_metadata, jobs[i]));
	}
	for (int i = 0; i < writers; i++)
		expect_post(_metadata, self->g, &seen.pre[i], 2);
}

/* ---------------------- writers that come again ------------------------- */

#define WRITERS		24
#define ROUNDS		200
#define BACKLOG		128	/* of the module */

static long write_again(void *arg __maybe_unused)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);

	for (int i = 0; i < ROUNDS; i++)
		if (pwrite(fd, "ab", 2, 0) != 2)
			return -1;
	return ROUNDS;
}

/*
 * What they have done does not pile up, as long as it is read one by one with
 * what they are about to do: there is always someone who waits.
 */
TEST_F(lanes, bounded)
{
	struct job *jobs[WRITERS];
	long queued, most = 0;
	int posts = 0;
	size_t size;

	if (variant->size)
		SKIP(return, "all who wait fit into the buffer");
	for (int i = 0; i < WRITERS; i++)
		jobs[i] = job_start(_metadata, write_again, NULL);
	wait_pending(_metadata, self->g, WRITERS);
	size = bytes(_metadata, self->g) / WRITERS;

	for (int n = 0; posts < WRITERS * ROUNDS; n++) {
		struct event ev;

		ASSERT_TRUE(group_readable(self->g, TIMEOUT_MS));
		ASSERT_EQ((ssize_t)size, read(self->g->fd, self->buf, size));
		ev = event_parse(_metadata, self->buf, size);
		if (ev.mask & ALL_PRE)
			allow(_metadata, self->g, &ev);
		else
			posts++;
		if (n % 64)
			continue;
		queued = group_state(_metadata, self->g).queued;
		if (queued > most)
			most = queued;
	}
	/* Those that wait, and those that were allowed and have not ended. */
	EXPECT_GE(BACKLOG + 2 * WRITERS + 1, most);
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EQ(ROUNDS, job_join(_metadata, jobs[i]));
}

/* ---------------------- readers that cannot copy ------------------------ */

FIXTURE(readers)
{
	struct group *g;
	struct reader r[2];
	struct job *jobs[3];
};

FIXTURE_SETUP(readers)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (int i = 0; i < 2; i++)
		REQUIRE_READER(&self->r[i], self->g);
	for (int i = 0; i < 3; i++) {
		self->jobs[i] = write_start(_metadata, "file", "ab");
		wait_pending(_metadata, self->g, i + 1);
	}
}

FIXTURE_TEARDOWN(readers)
{
	test_end(_metadata);
}

/* In the order in which they were, and not in that in which readers fail. */
TEST_F(readers, order)
{
	struct event pre[3];

	for (int i = 0; i < 2; i++)
		reader_start(_metadata, &self->r[i]);
	for (int i = 0; i < 2; i++)
		reader_fail(_metadata, &self->r[i]);
	for (int i = 0; i < 3; i++)
		pre[i] = expect_pre(_metadata, self->g, self->jobs[i]->pid);
	for (int i = 0; i < 3; i++) {
		allow(_metadata, self->g, &pre[i]);
		EXPECT_EQ(2, job_join(_metadata, self->jobs[i]));
		expect_post(_metadata, self->g, &pre[i], 2);
	}
}

/* Killed while it is copied: it counts as read. */
TEST_F(readers, killed_while_copied)
{
	struct event pre, next;

	reader_start(_metadata, &self->r[0]);
	job_kill(_metadata, self->jobs[0], SIGKILL);
	pre = reader_go_on(_metadata, &self->r[0]);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	for (int i = 1; i < 3; i++) {
		next = expect_pre(_metadata, self->g, self->jobs[i]->pid);
		allow(_metadata, self->g, &next);
		EXPECT_EQ(2, job_join(_metadata, self->jobs[i]));
	}
	expect_post(_metadata, self->g, &pre, -EINTR);
	for (int i = 1; i < 3; i++)
		EXPECT_EQ(2, event_next(_metadata, self->g).result);
}

/* And if that fails, the POST says that there was none. */
TEST_F(readers, killed_and_not_copied)
{
	struct event next, post;

	reader_start(_metadata, &self->r[0]);
	job_kill(_metadata, self->jobs[0], SIGKILL);
	reader_fail(_metadata, &self->r[0]);
	for (int i = 1; i < 3; i++) {
		next = expect_pre(_metadata, self->g, self->jobs[i]->pid);
		allow(_metadata, self->g, &next);
		EXPECT_EQ(2, job_join(_metadata, self->jobs[i]));
	}
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(FAN_OP_UNPAIRED, post.flags);
	EXPECT_EQ(-EINTR, post.result);
	for (int i = 1; i < 3; i++)
		EXPECT_EQ(2, event_next(_metadata, self->g).result);
}

TEST_HARNESS_MAIN
