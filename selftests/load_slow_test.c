// SPDX-License-Identifier: GPL-2.0
/*
 * A listener that takes a thousand times as long for each event as its writers take
 * for a write that no one asks about: they wait, what is queued is bounded, questions
 * come in the order of their cookies, and each operation has one POST.
 *
 *	VFS_FILTER_OPS		how many writes, OPS by default
 */

#include "fs.h"
#include "load.h"

#define TASKS		24
#define OPS		480
#define SLOWER		1000
#define BACKLOG		128	/* of the module */
#define MEASURED	500
#define ROUNDS		8

static int ops;

FIXTURE(slow)
{
	struct group *g;
	struct job *jobs[TASKS];
	__u64 *cookies;		/* of the write at this offset */
	char *posts;		/* and how often its end was told */
	int last[TASKS];	/* which question was the last of each task */
	size_t size;		/* of an event */
	long ns;		/* that the listener takes */
};

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Nanoseconds for a write that no one asks about, where nothing else runs. */
static long measure(void *arg __maybe_unused)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	long best = LONG_MAX;

	for (int round = 0; round < ROUNDS; round++) {
		const long long start = now_ns();
		long ns;

		for (int i = 0; i < MEASURED; i++)
			if (pwrite(fd, "x", 1, 0) != 1)
				return -1;
		ns = (now_ns() - start) / MEASURED;
		if (ns < best)
			best = ns;
	}
	return best;
}

static long write_some(void *arg)
{
	const int fd = open("file", O_WRONLY | O_CLOEXEC);
	long n = 0;

	for (int i = *(int *)arg; i < ops; i += TASKS)
		n += pwrite(fd, "x", 1, i) == 1;
	return n;
}

FIXTURE_SETUP(slow)
{
	int bytes;

	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ops = number_of("VFS_FILTER_OPS", OPS) / TASKS * TASKS;
	self->cookies = calloc(ops, sizeof(*self->cookies));
	self->posts = calloc(ops, 1);
	self->ns = SLOWER * job_join(_metadata,
				     job_start(_metadata, measure, NULL));
	ASSERT_LT(0, self->ns);

	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	for (int i = 0; i < TASKS; i++)
		self->jobs[i] = job_start(_metadata, write_some, &i);
	wait_pending(_metadata, self->g, TASKS);
	ASSERT_EQ(0, ioctl(self->g->fd, FIONREAD, &bytes));
	self->size = bytes / TASKS;
}

FIXTURE_TEARDOWN(slow)
{
	test_end(_metadata);
}

/* The first that waits, and so the next to be read, unless another began before. */
static __u64 oldest(struct __test_metadata *const _metadata,
		    const struct group *g)
{
	unsigned long long cookie = 0;
	const char *line;
	char buf[8192];

	read_fdinfo(_metadata, g, buf, sizeof(buf));
	line = strstr(buf, " oldest:");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(1, sscanf(line, " oldest:%llu", &cookie));
	return cookie;
}

TEST_F(slow, bounded)
{
	const struct timespec think = {
		.tv_sec = self->ns / 1000000000,
		.tv_nsec = self->ns % 1000000000,
	};
	long queued, most = 0;
	int posts = 0;

	for (int pre = 0; posts < ops;) {
		const __u64 first = oldest(_metadata, self->g);
		struct event ev;

		queued = group_state(_metadata, self->g).queued;
		if (queued > most)
			most = queued;
		ASSERT_TRUE(group_readable(self->g, TIMEOUT_MS));
		/* One at a time. */
		ASSERT_EQ((ssize_t)self->size,
			  read(self->g->fd, self->g->buf, self->size));
		ev = event_parse(_metadata, self->g->buf, self->size);
		nanosleep(&think, NULL);
		ASSERT_GT((__u64)ops, ev.offset);
		if (ev.mask & ALL_PRE) {
			if (first) {
				EXPECT_GE(first, ev.cookie);
			}
			EXPECT_EQ(0ULL, self->cookies[ev.offset]);
			self->cookies[ev.offset] = ev.cookie;
			/* Whoever came later waits longer. */
			EXPECT_GE(self->last[ev.offset % TASKS] + 2 * TASKS, pre);
			self->last[ev.offset % TASKS] = pre++;
			allow(_metadata, self->g, &ev);
			continue;
		}
		EXPECT_EQ(FAN_POST(FAN_MODIFY), ev.mask);
		EXPECT_EQ(self->cookies[ev.offset], ev.cookie);
		EXPECT_EQ(1, ++self->posts[ev.offset]);
		EXPECT_EQ(1, ev.result);
		posts++;
		/* Who has not been allowed has not written. */
		EXPECT_LE(posts, pre);
	}

	TH_LOG("%ld us for each event, at most %ld queued", self->ns / 1000, most);
	/* Those that wait, and those that were allowed and have not ended. */
	EXPECT_GE(BACKLOG + 2 * TASKS + 1, most);
	for (int i = 0; i < TASKS; i++)
		EXPECT_EQ(ops / TASKS, job_join(_metadata, self->jobs[i]));
}

TEST_HARNESS_MAIN
