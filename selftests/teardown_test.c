// SPDX-License-Identifier: GPL-2.0
/*
 * What goes away (teardown.h) while an operation is under way: before its PRE
 * is read, after that, when it was allowed, when it has ended and is not yet
 * told of, and when a barrier waits for it.
 */

#include "teardown.h"

TEST_F(teardown, pre_is_queued)
{
	struct event pre;

	job_go(_metadata, self->job);
	wait_pending(_metadata, self->g, 1);
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	variant->go(_metadata, self, variant);
	if (variant->waits != ASKED) {
		EXPECT_EQ(variant->waits, job_join(_metadata, self->job));
		return;
	}
	expect_blocked(_metadata, self->job);
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	serve(_metadata, self, &pre);
}

/* It is answered by who has read it, or read again if that was a queue. */
TEST_F(teardown, pre_is_read)
{
	struct event pre, again;

	job_go(_metadata, self->job);
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	variant->go(_metadata, self, variant);
	if (variant->waits != ASKED) {
		EXPECT_EQ(variant->waits, job_join(_metadata, self->job));
		return;
	}
	expect_blocked(_metadata, self->job);
	if (variant->by_queue) {
		EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
		again = expect_pre(_metadata, self->g, pre.pid);
		EXPECT_EQ(pre.cookie, again.cookie);
	}
	serve(_metadata, self, &pre);
}

/* Who is killed is gone, too, and was asked about if that was read. */
TEST_F(teardown, writer_is_killed)
{
	struct event pre;

	job_go(_metadata, self->job);
	pre = expect_pre(_metadata, self->reader, self->job->pid);
	if (variant->waits != ASKED) {
		job_kill(_metadata, self->job, SIGKILL);
		variant->go(_metadata, self, variant);
		return;
	}
	variant->go(_metadata, self, variant);
	job_kill(_metadata, self->job, SIGKILL);
	/* What has gone back by then was never read. */
	if (!variant->by_queue)
		expect_post(_metadata, self->g, &pre, -EINTR);
}

/* What was allowed goes on, and its end is told to whoever is still there. */
static void goes_in_flight(struct __test_metadata *const _metadata,
			   FIXTURE_DATA(teardown) *self,
			   const FIXTURE_VARIANT(teardown) *variant,
			   const char *point)
{
	struct event pre;

	hold(_metadata, point, self->job->pid);
	pre = go_and_allow(_metadata, self->reader, self->job, point);
	variant->go(_metadata, self, variant);
	if (self->g)
		EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	/* It keeps what it needs, the code of the module for one. */
	if (self->has_module)
		EXPECT_LT(0, module_uses());
	release_and_join(_metadata, self->job, point);
	if (self->g)
		expect_post(_metadata, self->reader, &pre, 2);
}

TEST_F(teardown, allowed)
{
	goes_in_flight(_metadata, self, variant, "begin");
}

TEST_F(teardown, ended)
{
	goes_in_flight(_metadata, self, variant, "end");
}

/*
 * What a barrier waits for can be the last that keeps its file system: neither
 * is in the way of the other. Which is told of first is not said.
 */
TEST_F(teardown, barrier_waits)
{
	struct event pre, first, second;

	hold(_metadata, "begin", self->job->pid);
	pre = go_and_allow(_metadata, self->reader, self->job, "begin");
	barrier(_metadata, self->g, GONE_DIR);
	variant->go(_metadata, self, variant);
	if (self->g)
		expect_nothing(_metadata, self->reader);
	release_and_join(_metadata, self->job, "begin");
	if (!self->g)
		return;
	expect_post(_metadata, self->reader, &pre, 2);
	if (!variant->told) {
		expect_barrier(_metadata, self->reader, 1);
		return;
	}
	first = event_next(_metadata, self->reader);
	second = event_next(_metadata, self->reader);
	EXPECT_EQ(FAN_Q_GONE | FAN_Q_BARRIER, first.mask | second.mask);
	EXPECT_EQ(1ULL, first.cookie + second.cookie);
	self->told = true;
}

TEST_HARNESS_MAIN
