// SPDX-License-Identifier: GPL-2.0
/*
 * What goes away (teardown.h) while a thread of the listener is in a call about
 * the group: a read(2) that copies, a poll(2), an answer that is being taken,
 * a FAN_MARK_SYNC that waits. Such a call keeps the file that it was made with:
 * what is closed meanwhile is gone when it returns.
 */

#include "call.h"
#include "reader.h"
#include "teardown.h"

/* The last that kept the group has let go of it: now it is closed. */
static void closed_at_last(struct __test_metadata *const _metadata,
			   FIXTURE_DATA(teardown) *self,
			   const FIXTURE_VARIANT(teardown) *variant)
{
	EXPECT_EQ(variant->waits, job_join(_metadata, self->job));
}

/* What is being copied is read. If its file was closed, it has not been answered. */
TEST_F(teardown, read_copies)
{
	struct reader r = {};
	struct event pre;

	REQUIRE_READER(&r, self->reader);
	job_go(_metadata, self->job);
	wait_pending(_metadata, self->g, 1);
	reader_start(_metadata, &r);
	variant->go(_metadata, self, variant);
	expect_blocked(_metadata, self->job);
	if (self->g && variant->by_queue)
		expect_silence(_metadata, self->g);

	pre = reader_go_on(_metadata, &r);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_EQ(self->job->pid, pre.pid);
	if (!self->g) {
		closed_at_last(_metadata, self, variant);
		return;
	}
	if (variant->by_queue)
		pre = expect_pre(_metadata, self->g, pre.pid);
	serve(_metadata, self, &pre);
}

/* What cannot be copied is not read, and goes to whoever is left. */
TEST_F(teardown, read_fails)
{
	struct reader r = {};
	struct event pre;

	REQUIRE_READER(&r, self->reader);
	job_go(_metadata, self->job);
	wait_pending(_metadata, self->g, 1);
	reader_start(_metadata, &r);
	variant->go(_metadata, self, variant);
	reader_fail(_metadata, &r);
	if (!self->g) {
		closed_at_last(_metadata, self, variant);
		return;
	}
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	serve(_metadata, self, &pre);
}

/*
 * It wakes up for what comes, be it on a file that has no descriptor any more,
 * and no one is asked about what is not marked.
 */
TEST_F(teardown, poll_waits)
{
	struct call c = {
		.nr = __NR_poll,
		.pfd = { .fd = self->reader->fd, .events = POLLIN },
	};
	struct event pre;

	call_start(_metadata, &c);
	variant->go(_metadata, self, variant);
	job_go(_metadata, self->job);
	if (variant->mark_goes) {
		EXPECT_EQ(2, job_join(_metadata, self->job));
		EXPECT_TRUE(call_waits(&c));
		barrier(_metadata, self->g, GONE_DIR);
	}
	EXPECT_EQ(1, call_join(_metadata, &c));
	EXPECT_EQ(!self->g || variant->by_queue ? POLLNVAL : POLLIN,
		  c.pfd.revents);
	if (!self->g) {
		closed_at_last(_metadata, self, variant);
		return;
	}
	if (variant->mark_goes) {
		expect_barrier(_metadata, self->g, 1);
		return;
	}
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	serve(_metadata, self, &pre);
}

/* Whoever polls a queue is told that the group is no more. */
TEST_F(teardown, poll_of_a_queue_waits)
{
	struct call c = {
		.nr = __NR_poll,
		.pfd = { .events = POLLIN },
	};
	struct group *q = queue_open(_metadata, self->g);
	struct event pre;

	c.pfd.fd = q->fd;
	call_start(_metadata, &c);
	variant->go(_metadata, self, variant);
	if (!self->g) {
		EXPECT_EQ(1, call_join(_metadata, &c));
		EXPECT_EQ(POLLIN | POLLHUP, c.pfd.revents);
		EXPECT_EQ(0, read(q->fd, q->buf, sizeof(q->buf)));
		job_go(_metadata, self->job);
		EXPECT_EQ(variant->waits, job_join(_metadata, self->job));
		group_close(q);
		return;
	}
	EXPECT_TRUE(call_waits(&c));
	job_go(_metadata, self->job);
	if (variant->mark_goes) {
		EXPECT_EQ(2, job_join(_metadata, self->job));
		barrier(_metadata, self->g, GONE_DIR);
	}
	EXPECT_EQ(1, call_join(_metadata, &c));
	EXPECT_EQ(POLLIN, c.pfd.revents);
	if (variant->mark_goes) {
		expect_barrier(_metadata, q, 1);
	} else {
		pre = expect_pre(_metadata, q, self->job->pid);
		allow(_metadata, q, &pre);
		EXPECT_EQ(2, job_join(_metadata, self->job));
		expect_post(_metadata, q, &pre, 2);
		/* Whoever reads is told. */
		self->told = variant->told &&
			     event_next(_metadata, q).mask == FAN_Q_GONE;
	}
	group_close(q);
}

/*
 * An answer that is being taken counts, and ignores the end of the write. So
 * nothing is denied that was allowed, in a group that fails closed either.
 */
TEST_F(teardown, answer_is_taken)
{
	const struct group *reader = self->reader;
	struct call c = { .nr = __NR_write, .g = reader };
	struct event pre;

	job_go(_metadata, self->job);
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	c.answer = make_answer(pre.cookie, FAN_ALLOW | FAN_RESPONSE_IGNORE);
	hold(_metadata, "ignore", getpid());
	call_start(_metadata, &c);
	wait_held(_metadata, "ignore");
	variant->go(_metadata, self, variant);
	expect_blocked(_metadata, self->job);
	release(_metadata, "ignore");
	EXPECT_EQ((long)sizeof(c.answer), call_join(_metadata, &c));
	EXPECT_EQ(2, job_join(_metadata, self->job));
}

/*
 * Someone has looked at the marks, and not yet asked. He does as they are by
 * then: what is not marked any more is not asked about.
 */
TEST_F(teardown, sync_waits)
{
	struct call c = {
		.nr = __NR_fanotify_mark,
		.g = self->g,
		.mark.flags = FAN_MARK_ADD | FAN_MARK_SYNC | variant->mark,
		.mark.mask = FAN_ATTRIB,
		.mark.path = variant->path,
	};
	struct event pre;

	hold(_metadata, "marks", self->job->pid);
	job_go(_metadata, self->job);
	wait_held(_metadata, "marks");
	call_start(_metadata, &c);
	variant->go(_metadata, self, variant);
	expect_blocked(_metadata, self->job);
	EXPECT_TRUE(call_waits(&c));
	release(_metadata, "marks");
	EXPECT_EQ(0, call_join(_metadata, &c));
	if (!self->g) {
		closed_at_last(_metadata, self, variant);
		return;
	}
	if (variant->mark_goes) {
		EXPECT_EQ(2, job_join(_metadata, self->job));
		/* What was added is still there, and goes as all marks do. */
		mark(_metadata, self->g, FAN_MARK_REMOVE | variant->mark,
		     FAN_ATTRIB, variant->path);
		return;
	}
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	serve(_metadata, self, &pre);
}

TEST_HARNESS_MAIN
