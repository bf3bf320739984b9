// SPDX-License-Identifier: GPL-2.0
/*
 * Many groups on one file system: each is asked about each operation when those
 * before it have allowed it, in the order of their creation, and told its end once,
 * also if the last of them denies it.
 *
 *	VFS_FILTER_OPS		how many writes, OPS by default
 */

#include <sys/epoll.h>

#include "fs.h"
#include "load.h"

#define GROUPS		64
#define TASKS		4
#define OPS		160
#define DENY_EVERY	8	/* the last group does */

static int ops;

struct write {
	__u64 cookie;
	int asked;	/* groups that were */
	int told;	/* groups that were, of its end */
	long result;	/* as its task has seen it */
	__u64 told_by;	/* a bit for each group */
};

FIXTURE(load_groups)
{
	struct group g[GROUPS];
	struct write *writes;	/* by their offsets */
	int epoll;
};

FIXTURE_SETUP(load_groups)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ops = number_of("VFS_FILTER_OPS", OPS) / TASKS * TASKS;
	self->writes = mmap(NULL, ops * sizeof(*self->writes),
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	ASSERT_NE(MAP_FAILED, self->writes);
	self->epoll = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, self->epoll);
}

FIXTURE_TEARDOWN(load_groups)
{
	test_end(_metadata);
}

struct task {
	struct write *writes;
	int nr;
};

static long write_some(void *arg)
{
	const struct task *task = arg;
	const int fd = open("file", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	for (int i = task->nr; i < ops; i += TASKS) {
		const long ret = pwrite(fd, "x", 1, i);

		task->writes[i].result = ret < 0 ? -errno : ret;
	}
	return 0;
}

static bool denied(int nr)
{
	return nr % DENY_EVERY == DENY_EVERY - 1;
}

static void look_at(struct __test_metadata *const _metadata, struct group *g,
		    int nr, const struct event *ev, struct write *w, int offset)
{
	if (ev->mask & ALL_PRE) {
		/* All before it, and no other, have been asked by now. */
		EXPECT_EQ(nr, w->asked++);
		if (!nr)
			w->cookie = ev->cookie;
		EXPECT_EQ(w->cookie, ev->cookie);
		answer(_metadata, g, ev, nr == GROUPS - 1 && denied(offset) ?
		       FAN_DENY_ERRNO(EROFS) : FAN_ALLOW);
		return;
	}
	EXPECT_EQ(w->cookie, ev->cookie);
	EXPECT_EQ(0U, ev->flags);
	EXPECT_EQ(denied(offset) ? -EROFS : 1, ev->result);
	/* Not before the last was asked. */
	EXPECT_EQ(GROUPS, w->asked);
	EXPECT_EQ(0ULL, w->told_by & 1ULL << nr);
	w->told_by |= 1ULL << nr;
	w->told++;
}

/* How many operations have ended in all that have to be told. */
static int all_told(const struct write *w)
{
	int n = 0;

	for (int i = 0; i < ops; i++)
		n += w[i].told == GROUPS - denied(i);
	return n;
}

TEST_F(load_groups, each_in_turn)
{
	struct epoll_event ready[GROUPS];
	struct job *jobs[TASKS];
	int left = ops * (2 * GROUPS) - ops / DENY_EVERY;

	for (int i = 0; i < GROUPS; i++) {
		struct epoll_event in = { .events = EPOLLIN, .data.u32 = i };

		self->g[i].fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER |
						  FAN_NONBLOCK | FAN_CLOEXEC, 0);
		ASSERT_LE(0, self->g[i].fd)
			TH_LOG("group %d: %s", i, strerror(errno));
		ASSERT_EQ(0, epoll_ctl(self->epoll, EPOLL_CTL_ADD,
				       self->g[i].fd, &in));
	}
	/* The order of the marks is not that of the groups. */
	for (int i = GROUPS - 1; i >= 0; i--)
		mark(_metadata, &self->g[i], FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     FAN_MODIFY, ".");
	for (int i = 0; i < TASKS; i++) {
		struct task task = { .writes = self->writes, .nr = i };

		jobs[i] = job_start(_metadata, write_some, &task);
	}

	while (left) {
		const int n = epoll_wait(self->epoll, ready, GROUPS, TIMEOUT_MS);

		ASSERT_LT(0, n)
			TH_LOG("%d events have not come", left);
		for (int i = 0; i < n; i++) {
			const int nr = ready[i].data.u32;
			struct group *g = &self->g[nr];

			do {
				const struct event ev = event_next(_metadata, g);

				ASSERT_GT((__u64)ops, ev.offset);
				look_at(_metadata, g, nr, &ev,
					&self->writes[ev.offset], ev.offset);
				ASSERT_LT(0, left--);
			} while (g->pos < g->len);
		}
	}

	for (int i = 0; i < TASKS; i++)
		EXPECT_EQ(0, job_join(_metadata, jobs[i]));
	for (int i = 0; i < GROUPS; i++)
		expect_silence(_metadata, &self->g[i]);
	EXPECT_EQ(ops, all_told(self->writes));
	for (int i = 0; i < ops; i++)
		EXPECT_EQ(denied(i) ? -EROFS : 1, self->writes[i].result);
}

TEST_HARNESS_MAIN
