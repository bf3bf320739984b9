// SPDX-License-Identifier: GPL-2.0
/*
 * A full queue: what is told of it, and what is never lost to it.
 */

#include "fs.h"
#include "group.h"
#include "reader.h"

#define MAX_QUEUED_EVENTS "/proc/sys/fs/fanotify/max_queued_events"

/* Of the event that says that others were lost. */
#define OVERFLOW_LEN ((int)(FAN_EVENT_METADATA_LEN +			\
			    sizeof(struct fanotify_event_info_op)))

static char limit[32];

static void restore_limit(void)
{
	write_file(MAX_QUEUED_EVENTS, 0, limit);
}

FIXTURE(overflow)
{
};

FIXTURE_SETUP(overflow)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_LT(0, read_file(MAX_QUEUED_EVENTS, limit, sizeof(limit)));
	guard_start(_metadata, restore_limit);
}

FIXTURE_TEARDOWN(overflow)
{
	test_end(_metadata);
}

/* A group with room for this many events. */
static struct group *open_group(struct __test_metadata *const _metadata,
				unsigned int flags, const char *max,
				__u64 mask)
{
	struct group *g;

	ASSERT_EQ(0, write_file(MAX_QUEUED_EVENTS, 0, max));
	g = group_open(_metadata, flags);
	restore_limit();
	mark(_metadata, g, FAN_MARK_ADD, mask, "file");
	return g;
}

/* Writes one byte, two, three, up to @arg. */
static long write_more_and_more(void *arg)
{
	int fd = open("file", O_WRONLY);

	if (fd < 0)
		return -1;
	for (long n = 1; n <= (long)arg; n++)
		if (write(fd, "0123456789", n) != n)
			return -1;
	return (long)arg;
}

/* Runs a job of so many writes that no one has to answer for. */
static pid_t write_unasked(struct __test_metadata *const _metadata, long writes)
{
	struct job *job = job_start(_metadata, write_more_and_more,
				    (void *)writes);
	const pid_t pid = job->pid;

	EXPECT_EQ(writes, job_join(_metadata, job));
	return pid;
}

static void expect_overflow(struct __test_metadata *const _metadata,
			    struct group *g)
{
	EXPECT_EQ(FAN_Q_OVERFLOW, event_next(_metadata, g).mask);
}

/* The first ones are there, in order, and at the end it says what is not. */
TEST_F(overflow, post_only)
{
	struct group *g = open_group(_metadata, 0, "4", FAN_POST(FAN_MODIFY));
	pid_t pid;

	/* Exactly as many as there may be. */
	pid = write_unasked(_metadata, 4);
	for (long n = 1; n <= 4; n++)
		expect_unpaired(_metadata, g, pid, n);
	expect_silence(_metadata, g);
	EXPECT_EQ(0, group_state(_metadata, g).overflows);

	/* Twice, since it is not over and done with after the first time. */
	for (int i = 0; i < 2; i++) {
		const long before = group_state(_metadata, g).overflows;

		pid = write_unasked(_metadata, 10);
		EXPECT_LT(before, group_state(_metadata, g).overflows);
		for (long n = 1; n <= 4; n++)
			expect_unpaired(_metadata, g, pid, n);
		expect_overflow(_metadata, g);
		expect_silence(_metadata, g);
	}
	pid = write_unasked(_metadata, 1);
	expect_unpaired(_metadata, g, pid, 1);
}

/* What comes when there is room again comes after that. */
TEST_F(overflow, room_again)
{
	struct group *g = open_group(_metadata, 0, "2", FAN_POST(FAN_MODIFY));
	char buf[1024] __attribute__((aligned(8)));
	int len = 0;
	struct event ev;
	pid_t pid, pid2;

	pid = write_unasked(_metadata, 3);

	/* Read what was queued, and leave what says that more was not. */
	ASSERT_EQ(0, ioctl(g->fd, FIONREAD, &len));
	ASSERT_LT(OVERFLOW_LEN, len);
	ASSERT_GE((int)sizeof(buf), len);
	ASSERT_EQ(len - OVERFLOW_LEN, read(g->fd, buf, len - 1));
	ev = event_parse(_metadata, buf, len);
	EXPECT_EQ(pid, ev.pid);
	EXPECT_EQ(1, ev.result);

	pid2 = write_unasked(_metadata, 1);
	expect_overflow(_metadata, g);
	expect_unpaired(_metadata, g, pid2, 1);
}

/* No room at all is no room for operations unasked for, and no more. */
TEST_F(overflow, no_room)
{
	struct group *g = open_group(_metadata, 0, "0", FAN_POST(FAN_MODIFY));

	write_unasked(_metadata, 3);
	expect_overflow(_metadata, g);
	expect_silence(_metadata, g);

	mark(_metadata, g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
	serve_write(_metadata, g, write_start(_metadata, "file", "ab"), 2);
}

TEST_F(overflow, unlimited)
{
	struct group *g = open_group(_metadata, FAN_UNLIMITED_QUEUE, "1",
				     FAN_POST(FAN_MODIFY));
	const pid_t pid = write_unasked(_metadata, 10);

	for (long n = 1; n <= 10; n++)
		expect_unpaired(_metadata, g, pid, n);
	EXPECT_EQ(0, group_state(_metadata, g).overflows);
}

/* The limit is that of the time when the group was made. */
TEST_F(overflow, limit_of_then)
{
	struct group *g = open_group(_metadata, 0, "100", FAN_POST(FAN_MODIFY));
	pid_t pid;

	ASSERT_EQ(0, write_file(MAX_QUEUED_EVENTS, 0, "1"));
	pid = write_unasked(_metadata, 5);
	for (long n = 1; n <= 5; n++)
		expect_unpaired(_metadata, g, pid, n);
}

#define WRITERS 6

/* Who asks waits, and who was answered is reported, whatever the limit is. */
TEST_F(overflow, not_of_pairs)
{
	struct group *g = open_group(_metadata, 0, "1", FAN_MODIFY);
	struct job *jobs[WRITERS];
	struct event pre[WRITERS];

	for (int i = 0; i < WRITERS; i++) {
		jobs[i] = write_start(_metadata, "file", "ab");
		wait_pending(_metadata, g, i + 1);
	}
	for (int i = 0; i < WRITERS; i++)
		pre[i] = expect_pre(_metadata, g, jobs[i]->pid);
	for (int i = 0; i < WRITERS; i++) {
		expect_blocked(_metadata, jobs[i]);
		allow(_metadata, g, &pre[i]);
		EXPECT_EQ(2, job_join(_metadata, jobs[i]));
	}
	EXPECT_EQ(WRITERS, group_state(_metadata, g).queued);
	for (int i = 0; i < WRITERS; i++)
		expect_post(_metadata, g, &pre[i], 2);
	EXPECT_EQ(0, group_state(_metadata, g).overflows);
}

/* Nor if others have taken all the room before. */
TEST_F(overflow, not_of_pairs_in_a_full_queue)
{
	struct group *g = open_group(_metadata, 0, "1", FAN_POST(FAN_MODIFY));
	const pid_t pid = write_unasked(_metadata, 3);
	struct event pre;
	struct job *job;

	mark(_metadata, g, FAN_MARK_ADD, FAN_PRE(FAN_MODIFY), "file");
	job = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, g, 1);
	pre = expect_pre(_metadata, g, job->pid);
	expect_unpaired(_metadata, g, pid, 1);
	expect_overflow(_metadata, g);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, 2);
}

/* ------------------------------ who waits ------------------------------- */

static long wait_readable(void *arg)
{
	const struct group *g = arg;
	struct pollfd pfd = { .fd = g->fd, .events = POLLIN };

	return poll(&pfd, 1, -1) == 1 ? pfd.revents : -1;
}

/* Returns what it reads, if that is all there is. */
static long wait_and_read(void *arg)
{
	const struct group *g = arg;
	const struct fanotify_event_metadata *meta;
	char buf[4096] __attribute__((aligned(8)));
	ssize_t n;

	if (fcntl(g->fd, F_SETFL, 0))
		return -1;
	n = read(g->fd, buf, sizeof(buf));
	meta = (const struct fanotify_event_metadata *)buf;
	return n == OVERFLOW_LEN ? (long)meta->mask : -1;
}

/* A job that waits until there is something in the group, which it shares. */
static struct job *wait_start(struct __test_metadata *const _metadata,
			      job_fn fn, struct group *g)
{
	struct job *job = __job_prepare(_metadata, fn, g, true);

	job_go(_metadata, job);
	expect_blocked(_metadata, job);
	return job;
}

/* That events are lost is an event itself. */
TEST_F(overflow, wakes)
{
	struct group *g = open_group(_metadata, 0, "0", FAN_POST(FAN_MODIFY));
	struct job *job = wait_start(_metadata, wait_readable, g);

	write_unasked(_metadata, 1);
	EXPECT_EQ(POLLIN, job_join(_metadata, job));
	expect_overflow(_metadata, g);

	job = wait_start(_metadata, wait_and_read, g);
	write_unasked(_metadata, 1);
	EXPECT_EQ(FAN_Q_OVERFLOW, job_join(_metadata, job));
	ASSERT_EQ(0, fcntl(g->fd, F_SETFL, O_NONBLOCK));
	expect_silence(_metadata, g);
	EXPECT_EQ(2, group_state(_metadata, g).overflows);
}

/*
 * What is lost while one reader copies that event cannot be told by it. It is
 * told by the same event once more, as soon as it has been read.
 */
TEST_F(overflow, wakes_after_copy)
{
	struct group *g = open_group(_metadata, 0, "0", FAN_POST(FAN_MODIFY));
	struct reader r;
	struct job *job;

	REQUIRE_READER(&r, g);
	write_unasked(_metadata, 1);
	reader_start(_metadata, &r);
	job = wait_start(_metadata, wait_readable, g);
	write_unasked(_metadata, 1);
	expect_blocked(_metadata, job);
	EXPECT_EQ(0, group_state(_metadata, g).queued);

	EXPECT_EQ(FAN_Q_OVERFLOW, reader_go_on(_metadata, &r).mask);
	EXPECT_EQ(POLLIN, job_join(_metadata, job));
	EXPECT_EQ(2, group_state(_metadata, g).overflows);
	expect_overflow(_metadata, g);
	expect_silence(_metadata, g);
}

TEST_HARNESS_MAIN
