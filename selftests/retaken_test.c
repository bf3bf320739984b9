// SPDX-License-Identifier: GPL-2.0
/*
 * A question that is read again of the same file, while it is still being copied
 * for the one who had it first, and has lost it to FAN_IOC_OWN of another process.
 * That the copy fails is of no consequence then to the one who has it now; nor to
 * who reads when the group is closed.
 */

#include "handed.h"
#include "stalled.h"

/* How the second reader and the test go on in turn: a byte for each step. */
struct second {
	struct group *q;
	int done[2];	/* from the reader: it has read the question */
	int go[2];	/* to it: it may go on */
};

FIXTURE(retaken)
{
	struct group *g;
	struct group *q;
	struct second second;
	struct stalled first;
	struct job *writer;
	struct job *job;	/* of the second reader */
};

/* Takes the file over, and what was read of it, which it reads and returns. */
static __u64 take_over(struct second *s)
{
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	ssize_t n;
	char c;

	if (ioctl(s->q->fd, FAN_IOC_OWN))
		return 0;
	n = read(s->q->fd, s->q->buf, sizeof(s->q->buf));
	if (n <= 0 || write(s->done[1], "", 1) != 1 ||
	    read(s->go[0], &c, 1) != 1)
		return 0;
	return event_parse(_metadata, s->q->buf, n).cookie;
}

static long take_over_and_allow(void *arg)
{
	struct second *s = arg;
	const __u64 cookie = take_over(s);

	return cookie ? try_answer(s->q, cookie, FAN_ALLOW) : -1;
}

/* Nor can it copy what it has taken over. */
static long take_over_and_fail(void *arg)
{
	struct second *s = arg;

	if (ioctl(s->q->fd, FAN_IOC_OWN))
		return -1;
	return syscall(__NR_read, s->q->fd, 1UL, sizeof(s->q->buf));
}

FIXTURE_SETUP(retaken)
{
	REQUIRE_CLASS();
	handed_setup(_metadata, &self->g, &self->q);
	self->second.q = self->q;
	ASSERT_EQ(0, pipe2(self->second.done, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(self->second.go, O_CLOEXEC));
}

FIXTURE_TEARDOWN(retaken)
{
	handed_teardown(_metadata, self->q);
}

/* The test has taken the question of a writer, and hangs in the copy. */
static void read_first(struct __test_metadata *const _metadata,
		       FIXTURE_DATA(retaken) *self, job_fn second)
{
	self->job = __job_prepare(_metadata, second, &self->second, true);
	self->writer = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 1);
	stalled_start(_metadata, &self->first);
}

/* Another process has it after that. */
static void read_second(struct __test_metadata *const _metadata,
			FIXTURE_DATA(retaken) *self)
{
	char c;

	job_go(_metadata, self->job);
	ASSERT_EQ(1, read(self->second.done[0], &c, 1));
}

static void second_goes_on(struct __test_metadata *const _metadata,
			   FIXTURE_DATA(retaken) *self)
{
	ASSERT_EQ(1, write(self->second.go[1], "", 1));
}

/* It is not put back, and the answer of who has it counts. */
TEST_F(retaken, answered)
{
	struct event post;

	REQUIRE_STALLED(&self->first, self->q);
	read_first(_metadata, self, take_over_and_allow);
	read_second(_metadata, self);
	stalled_fail(_metadata, &self->first);
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);
	second_goes_on(_metadata, self);
	EXPECT_EQ((long)sizeof(struct answer),
		  job_join(_metadata, self->job));
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(0U, post.flags);
	EXPECT_EQ(2, post.result);
}

/* Someone has heard of what is killed then, so its end has a beginning. */
TEST_F(retaken, killed)
{
	struct event post;

	REQUIRE_STALLED(&self->first, self->q);
	read_first(_metadata, self, take_over_and_allow);
	read_second(_metadata, self);
	job_kill(_metadata, self->writer, SIGKILL);
	stalled_fail(_metadata, &self->first);
	second_goes_on(_metadata, self);
	EXPECT_EQ(-ENOENT, job_join(_metadata, self->job));
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(0U, post.flags);
	EXPECT_EQ(-EINTR, post.result);
}

/* What none of them could copy has gone back once, for whoever reads next. */
TEST_F(retaken, not_copied)
{
	REQUIRE_STALLED(&self->first, self->q);
	read_first(_metadata, self, take_over_and_fail);
	job_go(_metadata, self->job);
	EXPECT_EQ(-EFAULT, job_join(_metadata, self->job));
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	stalled_fail(_metadata, &self->first);
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	serve_write(_metadata, self->g, self->writer, 2);
}

/* Nor does anything go back when the group was closed: there is no more to read. */
TEST_F(retaken, closed)
{
	char buf[4096] __attribute__((aligned(8)));
	struct event pre;
	int bytes = -1;

	REQUIRE_STALLED(&self->first, self->q);
	self->writer = write_start(_metadata, "file", "ab");
	pre = expect_pre(_metadata, self->g, self->writer->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, self->writer));
	stalled_start(_metadata, &self->first);
	group_close(self->g);
	stalled_fail(_metadata, &self->first);
	EXPECT_EQ(0, read(self->q->fd, buf, sizeof(buf)));
	EXPECT_EQ(0, ioctl(self->q->fd, FIONREAD, &bytes));
	EXPECT_EQ(0, bytes);
}

TEST_HARNESS_MAIN
