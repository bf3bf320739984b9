/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A write that is interrupted, at every point of the wait: what is queued and was
 * not read, what was read, between two groups, in a worker of io_uring, and
 * answered but not yet under way.
 */

#ifndef __INTERRUPT_H
#define __INTERRUPT_H

#include "fs.h"
#include "group.h"
#include "hold.h"
#include "ring.h"

FIXTURE(interrupt)
{
	struct group *g;
	struct group *second;	/* the group that it waits for at last */
	struct job *job;
	struct event pre[2];
	int asked;		/* how many of them are there */
};

FIXTURE_VARIANT(interrupt)
{
	bool read;	/* the question that it waits for was */
	bool second;	/* it is that of a second group */
	bool worker;	/* of io_uring, asks */
	bool begin;	/* it has its answer, and stays where it would begin */
};

FIXTURE_VARIANT_ADD(interrupt, unread) {};
FIXTURE_VARIANT_ADD(interrupt, read) { .read = true };
FIXTURE_VARIANT_ADD(interrupt, second_unread) { .second = true };
FIXTURE_VARIANT_ADD(interrupt, second_read) { .second = true, .read = true };
FIXTURE_VARIANT_ADD(interrupt, worker_unread) { .worker = true };
FIXTURE_VARIANT_ADD(interrupt, worker_read) { .worker = true, .read = true };
FIXTURE_VARIANT_ADD(interrupt, begin) { .read = true, .begin = true };

FIXTURE_SETUP(interrupt)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->second = self->g;
	if (variant->second) {
		self->second = group_open(_metadata, 0);
		mark(_metadata, self->second, FAN_MARK_ADD, FAN_MODIFY, "file");
	}
	if (variant->worker)
		known_op_flags = FAN_OP_ASYNC;
	if (variant->begin)
		REQUIRE_HOLDS();
}

FIXTURE_TEARDOWN(interrupt)
{
	test_end(_metadata);
}

/* ------------------------------ the operation ----------------------------- */

static struct write_args as = { .path = "file", .text = "AS" };

static int handled;

static inline void handle(int sig __maybe_unused)
{
	handled++;
}

/* Returns 2, and 100 for each signal that was handled. */
static inline long write_here(void *arg __maybe_unused)
{
	const struct sigaction act = { .sa_handler = handle };
	long ret;

	if (sigaction(SIGUSR1, &act, NULL))
		return -1;
	ret = do_write(&as);
	return ret < 0 ? ret : ret + 100 * handled;
}

static inline long write_by_worker(void *arg __maybe_unused)
{
	const struct sigaction act = { .sa_handler = handle };
	const int fd = open("file", O_WRONLY);
	struct ring r;
	long ret;

	if (sigaction(SIGUSR1, &act, NULL) || fd < 0 || ring_open(&r, 0))
		return -1;
	ring_rw(&r, IORING_OP_WRITE, fd, "AS", 2, 0, 1);
	r.sqes[0].flags |= IOSQE_ASYNC;
	if (ring_submit(&r))
		return -1;
	ret = ring_wait(&r, NULL);
	errno = -ret;
	return ret < 0 ? ret : ret + 100 * handled;
}

static inline __u32 op_flags(const FIXTURE_VARIANT(interrupt) *variant)
{
	return variant->worker ? FAN_OP_ASYNC : 0;
}

static inline void ask(struct __test_metadata *const _metadata,
		       FIXTURE_DATA(interrupt) *self,
		       const FIXTURE_VARIANT(interrupt) *variant,
		       struct group *g)
{
	self->pre[self->asked++] = expect_pre_of(_metadata, g, FAN_MODIFY,
						 op_flags(variant),
						 self->job->pid);
}

static inline void prepare(struct __test_metadata *const _metadata,
			   FIXTURE_DATA(interrupt) *self,
			   const FIXTURE_VARIANT(interrupt) *variant, job_fn fn)
{
	if (!fn)
		fn = variant->worker ? write_by_worker : write_here;
	self->job = job_prepare(_metadata, fn, NULL);
	if (variant->begin)
		hold(_metadata, "begin", self->job->pid);
}

/* To the point that the variant is about. */
static inline void arrive(struct __test_metadata *const _metadata,
			  FIXTURE_DATA(interrupt) *self,
			  const FIXTURE_VARIANT(interrupt) *variant)
{
	if (variant->second) {
		ask(_metadata, self, variant, self->g);
		allow(_metadata, self->g, &self->pre[0]);
	}
	wait_pending(_metadata, self->second, 1);
	if (variant->read)
		ask(_metadata, self, variant, self->second);
	if (variant->begin) {
		allow(_metadata, self->g, &self->pre[0]);
		wait_held(_metadata, "begin");
	}
}

static inline void start(struct __test_metadata *const _metadata,
			 FIXTURE_DATA(interrupt) *self,
			 const FIXTURE_VARIANT(interrupt) *variant)
{
	prepare(_metadata, self, variant, NULL);
	job_go(_metadata, self->job);
	arrive(_metadata, self, variant);
}

/* Nothing was decided by what has happened, and nothing is told twice. */
static inline void expect_waiting(struct __test_metadata *const _metadata,
				  FIXTURE_DATA(interrupt) *self,
				  const FIXTURE_VARIANT(interrupt) *variant)
{
	struct group_state st;

	expect_blocked(_metadata, self->job);
	st = group_state(_metadata, self->second);
	EXPECT_EQ(!variant->begin, st.pending);
	EXPECT_EQ(!variant->read, st.queued);
	EXPECT_EQ(variant->begin, st.inflight);
	if (variant->second) {
		EXPECT_EQ(1, group_state(_metadata, self->g).inflight);
	}
	expect_content(_metadata, "file", "as it was");
}

/* It has its answer, and there is none any more. */
static inline void go_on(struct __test_metadata *const _metadata,
			 FIXTURE_DATA(interrupt) *self,
			 const FIXTURE_VARIANT(interrupt) *variant)
{
	const struct event *last;

	if (!variant->read)
		ask(_metadata, self, variant, self->second);
	last = &self->pre[self->asked - 1];
	if (variant->begin)
		release(_metadata, "begin");
	else
		allow(_metadata, self->second, last);
	EXPECT_EQ(-ENOENT, try_answer(self->second, last->cookie, FAN_DENY));
}

/* Each group that was asked is told, once, whatever the task does by then. */
static inline void expect_posts(struct __test_metadata *const _metadata,
				FIXTURE_DATA(interrupt) *self, long result)
{
	for (int i = 0; i < self->asked; i++) {
		struct group *g = i ? self->second : self->g;

		EXPECT_EQ(-ENOENT, try_answer(g, self->pre[i].cookie, FAN_ALLOW));
		expect_post_of(_metadata, g, &self->pre[i], result);
		EXPECT_EQ(0, group_state(_metadata, g).inflight);
	}
	expect_silence(_metadata, self->g);
	expect_silence(_metadata, self->second);
	EXPECT_EQ(0, group_state(_metadata, self->second).pending);
}

static inline void finish(struct __test_metadata *const _metadata,
			  FIXTURE_DATA(interrupt) *self,
			  const FIXTURE_VARIANT(interrupt) *variant)
{
	go_on(_metadata, self, variant);
	EXPECT_EQ(2, job_join(_metadata, self->job));
	expect_posts(_metadata, self, 2);
	expect_content(_metadata, "file", "AS it was");
}

/* It was killed. What was allowed can have been done, or not. */
static inline void expect_killed(struct __test_metadata *const _metadata,
				 FIXTURE_DATA(interrupt) *self,
				 const FIXTURE_VARIANT(interrupt) *variant)
{
	char buf[16];
	long result;

	if (!variant->begin) {
		expect_posts(_metadata, self, -EINTR);
		expect_content(_metadata, "file", "as it was");
		return;
	}
	ASSERT_LT(0, read_file("file", buf, sizeof(buf)));
	result = buf[0] == 'A' ? 2 : -EINTR;
	expect_posts(_metadata, self, result);
}

#endif /* __INTERRUPT_H */
