// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: marks that come and go, groups that come and go, writers
 * that are killed, and one listener who keeps books. For what a debug kernel
 * may find, and because the books have to be right in the end.
 */

#include <pthread.h>

#include "fs.h"
#include "group.h"

#define WRITERS		4
#define WRITES		100	/* of each writer that is not killed */
#define KILLS		20
#define BOOKS		(1 << 14)

/* What is known of an operation. */
enum state {
	UNKNOWN,
	ALLOWED,	/* POST is to come */
	DENIED,		/* nothing is to come */
	KILLED,		/* POST with -EINTR is to come */
	OVER,		/* POST has come */
};

struct entry {
	__u64 cookie;
	enum state state;
};

FIXTURE(stress)
{
	struct group *g;
	struct entry *books;
	struct job *jobs[WRITERS];
	unsigned int seed;
};

FIXTURE_VARIANT(stress)
{
	const char *fs;
};

FIXTURE_VARIANT_ADD(stress, tmpfs)
{
	.fs = "tmpfs",
};

FIXTURE_VARIANT_ADD(stress, ext4)
{
	.fs = "ext4",
};

FIXTURE_SETUP(stress)
{
	REQUIRE_CLASS();
	if (!fs_setup(_metadata, variant->fs, FS_SIZE))
		SKIP(return, "no ext4 on a loop device");
	put_file(_metadata, "file", "");
	self->books = calloc(BOOKS, sizeof(*self->books));
	ASSERT_NE(NULL, self->books);
	self->g = group_open(_metadata, FAN_UNLIMITED_QUEUE);
}

FIXTURE_TEARDOWN(stress)
{
	test_end(_metadata);
	free(self->books);
}

static struct entry *look_up(struct __test_metadata *const _metadata,
			     struct entry *books, __u64 cookie)
{
	struct entry *e;
	int tries = BOOKS;

	do {
		e = &books[cookie * 0x9e3779b97f4a7c15 >> 32 & (BOOKS - 1)];
		e = &books[(e - books + BOOKS - tries) & (BOOKS - 1)];
		ASSERT_LT(0, tries--);
	} while (e->cookie && e->cookie != cookie);
	e->cookie = cookie;
	return e;
}

static void keep_books(struct __test_metadata *const _metadata,
		       FIXTURE_DATA(stress) *self, const struct event *ev)
{
	struct entry *e = look_up(_metadata, self->books, ev->cookie);
	int ret;

	if (ev->mask == FAN_PRE(FAN_MODIFY)) {
		const bool deny = !(rand_r(&self->seed) % 8);

		ASSERT_EQ(UNKNOWN, e->state);
		ret = try_answer(self->g, ev->cookie,
				 deny ? FAN_DENY_ERRNO(EIO) : FAN_ALLOW);
		if (ret == -ENOENT) {
			e->state = KILLED;
		} else {
			ASSERT_EQ((int)sizeof(struct answer), ret);
			e->state = deny ? DENIED : ALLOWED;
		}
		return;
	}

	ASSERT_EQ(FAN_POST(FAN_MODIFY), ev->mask);
	if (ev->flags & FAN_OP_UNPAIRED) {
		ASSERT_EQ(UNKNOWN, e->state);
	} else {
		ASSERT_TRUE(e->state == ALLOWED || e->state == KILLED)
			TH_LOG("state %d result %lld", e->state,
			       (long long)ev->result);
		if (e->state == KILLED) {
			EXPECT_EQ(-EINTR, ev->result);
		}
	}
	e->state = OVER;
}

static volatile bool stop;

/* The marks of the listener's group. */
static void *change_marks(void *arg)
{
	static const struct {
		unsigned int flags;
		__u64 mask;
	} changes[] = {
		{ FAN_MARK_ADD, FAN_MODIFY },
		{ FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY },
		{ FAN_MARK_ADD | FAN_MARK_IGNORE_SURV, FAN_MODIFY },
		{ FAN_MARK_REMOVE | FAN_MARK_IGNORE_SURV | FAN_MARK_SYNC,
		  FAN_MODIFY },
		{ FAN_MARK_REMOVE, FAN_MODIFY },
		{ FAN_MARK_REMOVE | FAN_MARK_SYNC, FAN_MODIFY },
		{ FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, FAN_MODIFY },
		{ FAN_MARK_FLUSH, 0 },
		{ FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM | FAN_MARK_SYNC, 0 },
	};
	const struct group *g = arg;
	unsigned int seed = 1;
	long bad = 0;

	while (!stop) {
		const int i = rand_r(&seed) % ARRAY_SIZE(changes);

		/* There may be nothing to remove. */
		if (sys_fanotify_mark(g->fd, changes[i].flags, changes[i].mask,
				      AT_FDCWD, "file") && errno != ENOENT)
			bad++;
	}
	return (void *)bad;
}

/* Groups of another process that allow what they are asked, for a while. */
static long open_and_close(void *arg)
{
	struct pollfd pfd = { .events = POLLIN };
	char buf[4096] __attribute__((aligned(8)));
	struct fanotify_event_info_op op;
	struct group g = {};

	(void)arg;
	for (;;) {
		g.fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | FAN_NONBLOCK,
					 0);
		if (g.fd < 0 || sys_fanotify_mark(g.fd, FAN_MARK_ADD,
						  FAN_MODIFY, AT_FDCWD, "file"))
			return -1;
		pfd.fd = g.fd;
		for (int i = 0; i < 20; i++) {
			poll(&pfd, 1, 5);
			if (read(g.fd, buf, sizeof(buf)) <= 0)
				continue;
			memcpy(&op, buf + FAN_EVENT_METADATA_LEN, sizeof(op));
			try_answer(&g, op.cookie, FAN_ALLOW);
		}
		close(g.fd);
	}
}

static long write_often(void *arg)
{
	int fd = open("file", O_WRONLY);

	(void)arg;
	if (fd < 0)
		return -1;
	for (int i = 0; i < WRITES; i++)
		if (write(fd, "ab", 2) != 2 && errno != EIO)
			return -1;
	return 0;
}

static void serve(struct __test_metadata *const _metadata,
		  FIXTURE_DATA(stress) *self, int timeout_ms)
{
	if (!group_readable(self->g, timeout_ms))
		return;
	do {
		const struct event ev = event_next(_metadata, self->g);

		keep_books(_metadata, self, &ev);
	} while (self->g->pos < self->g->len);
}

TEST_F(stress, books)
{
	struct job *groups;
	int kills = 0, i;
	pthread_t marks;
	void *bad;

	groups = job_start(_metadata, open_and_close, NULL);
	for (i = 0; i < WRITERS; i++)
		self->jobs[i] = job_start(_metadata, write_often, NULL);
	ASSERT_EQ(0, pthread_create(&marks, NULL, change_marks, self->g));

	/* One after the other is killed wherever it is, and there is another. */
	while (kills < KILLS) {
		for (i = rand_r(&self->seed) % 50; i; i--)
			serve(_metadata, self, 2);
		i = kills++ % WRITERS;
		kill(self->jobs[i]->pid, SIGKILL);
		while (!job_ended(self->jobs[i], 0))
			serve(_metadata, self, 2);
		job_reap(_metadata, self->jobs[i]);
		self->jobs[i] = job_start(_metadata, write_often, NULL);
	}
	for (i = 0; i < WRITERS; i++) {
		while (!job_ended(self->jobs[i], 0))
			serve(_metadata, self, 2);
		EXPECT_EQ(0, job_join(_metadata, self->jobs[i]));
	}

	job_kill(_metadata, groups, SIGKILL);
	stop = true;
	ASSERT_EQ(0, pthread_join(marks, &bad));
	EXPECT_EQ(0, (long)bad);

	serve(_metadata, self, 0);
	while (group_readable(self->g, 0))
		serve(_metadata, self, 0);
	for (i = 0; i < BOOKS; i++) {
		const struct entry *e = &self->books[i];

		EXPECT_TRUE(e->state == UNKNOWN || e->state == OVER ||
			    e->state == DENIED)
			TH_LOG("cookie %llu state %d",
			       (unsigned long long)e->cookie, e->state);
	}
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
}

TEST_HARNESS_MAIN
