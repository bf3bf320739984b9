/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups of FAN_CLASS_VFS_FILTER: their marks, events, answers and fdinfo.
 */

#ifndef __GROUP_H
#define __GROUP_H

#include "common.h"
#include "event.h"

struct group {
	int fd;
	bool unread_ok;		/* events may be left at the end of the test */
	size_t pos, len;	/* events that were read and not yet looked at */
	char buf[4096] __attribute__((aligned(8)));
};

static struct group groups[MAX_GROUPS];

/* Leaves a test out on a machine that has no such class. */
#define REQUIRE_CLASS() do {						\
	if (!class_available(_metadata))				\
		SKIP(return, "no FAN_CLASS_VFS_FILTER: %s",		\
		     strerror(errno));					\
} while (0)

static inline bool class_available(struct __test_metadata *const _metadata)
{
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER, 0);

	if (fd >= 0)
		return !close(fd);

	/* Whoever names the module has one, and then it has to be there. */
	ASSERT_EQ(NULL, getenv("VFS_FILTER_KO"))
		TH_LOG("fanotify_init: %s", strerror(errno));
	return false;
}

/* Makes a group of the test, of any class, nonblocking. */
static inline struct group *
class_open(struct __test_metadata *const _metadata, unsigned int flags)
{
	int i = 0;

	while (i < MAX_GROUPS && group_fds[i])
		i++;
	ASSERT_LT(i, MAX_GROUPS);

	groups[i] = (struct group) {
		.fd = sys_fanotify_init(FAN_NONBLOCK | FAN_CLOEXEC | flags, 0),
	};
	ASSERT_LE(0, groups[i].fd)
		TH_LOG("fanotify_init(%#x): %s", flags, strerror(errno));
	group_fds[i] = groups[i].fd;
	return &groups[i];
}

static inline struct group *group_open(struct __test_metadata *const _metadata,
				       unsigned int flags)
{
	return class_open(_metadata, FAN_CLASS_VFS_FILTER | flags);
}

static inline void group_close(struct group *g)
{
	close(g->fd);
	group_fds[g - groups] = 0;
	g->fd = -1;
}

static inline void mark(struct __test_metadata *const _metadata,
			struct group *g, unsigned int flags, __u64 mask,
			const char *path)
{
	ASSERT_EQ(0, sys_fanotify_mark(g->fd, flags, mask, AT_FDCWD, path))
		TH_LOG("fanotify_mark(%#x, %#llx, %s): %s", flags,
		       (unsigned long long)mask, path, strerror(errno));
}

/* ------------------------------- events -------------------------------- */

static inline bool group_readable(const struct group *g, int timeout_ms)
{
	struct pollfd pfd = { .fd = g->fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1 && pfd.revents == POLLIN;
}

/* The next event, for which it waits if need be. */
static inline struct event event_next(struct __test_metadata *const _metadata,
				      struct group *g)
{
	struct event ev;
	ssize_t n;

	if (g->pos == g->len) {
		ASSERT_TRUE(group_readable(g, TIMEOUT_MS))
			TH_LOG("no event within %d ms", TIMEOUT_MS);
		n = read(g->fd, g->buf, sizeof(g->buf));
		ASSERT_LT(0, n)
			TH_LOG("read: %s", strerror(errno));
		g->pos = 0;
		g->len = n;
	}
	ev = event_parse(_metadata, g->buf + g->pos, g->len - g->pos);
	g->pos += ev.len;
	return ev;
}

/* There is no event, and none is looked at twice or lost. */
static inline void expect_silence(struct __test_metadata *const _metadata,
				  struct group *g)
{
	EXPECT_EQ(g->len, g->pos);
	EXPECT_EQ(-1, read(g->fd, g->buf, sizeof(g->buf)));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_FALSE(group_readable(g, 0));
}

/* Nothing is there, and nothing comes for a while. */
static inline void expect_nothing(struct __test_metadata *const _metadata,
				  struct group *g)
{
	EXPECT_EQ(g->len, g->pos);
	EXPECT_FALSE(group_readable(g, SETTLE_MS));
}

/* A process is about to write, and waits. */
static inline struct event expect_pre(struct __test_metadata *const _metadata,
				      struct group *g, pid_t pid)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_PRE(FAN_MODIFY), ev.mask);
	EXPECT_EQ(pid, ev.pid);
	return ev;
}

/* What it waited for has ended. */
static inline struct event expect_post(struct __test_metadata *const _metadata,
				       struct group *g,
				       const struct event *pre, long result)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_POST(FAN_MODIFY), ev.mask);
	EXPECT_EQ(pre->cookie, ev.cookie);
	EXPECT_EQ(pre->pid, ev.pid);
	EXPECT_TRUE(same_fid(&pre->fid, &ev.fid));
	EXPECT_EQ(0U, ev.flags);
	EXPECT_EQ(result, ev.result);
	return ev;
}

/* A process is about to do @what, of a kind that these @flags tell. */
static inline struct event
expect_pre_of(struct __test_metadata *const _metadata, struct group *g,
	      __u64 what, __u32 flags, pid_t pid)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_PRE(what), ev.mask);
	EXPECT_EQ(pid, ev.pid);
	EXPECT_EQ(flags, ev.flags);
	return ev;
}

/* The POST that belongs to a PRE, whatever that is about, with more @flags. */
static inline struct event
expect_post_with(struct __test_metadata *const _metadata, struct group *g,
		 const struct event *pre, long result, __u32 flags)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_NE(0ULL, ev.mask & ALL_POST);
	EXPECT_EQ(plain_event(pre), plain_event(&ev));
	EXPECT_EQ(pre->cookie, ev.cookie);
	EXPECT_EQ(pre->pid, ev.pid);
	EXPECT_TRUE(same_fid(&pre->fid, &ev.fid));
	EXPECT_EQ(pre->flags | flags, ev.flags);
	EXPECT_EQ(result, ev.result);
	return ev;
}

/* As most have it: no name is the last that is removed or replaced. */
static inline struct event
expect_post_of(struct __test_metadata *const _metadata, struct group *g,
	       const struct event *pre, long result)
{
	return expect_post_with(_metadata, g, pre, result, 0);
}

/* A write has ended that the group was not asked about. */
static inline struct event
expect_unpaired(struct __test_metadata *const _metadata, struct group *g,
		pid_t pid, long result)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_POST(FAN_MODIFY), ev.mask);
	EXPECT_EQ(pid, ev.pid);
	EXPECT_EQ(FAN_OP_UNPAIRED, ev.flags);
	EXPECT_EQ(result, ev.result);
	return ev;
}

/* ------------------------------- answers ------------------------------- */

struct answer {
	struct fanotify_response response;
	struct fanotify_response_info_op op;
};

_Static_assert(sizeof(struct answer) == 24, "an answer has 24 bytes");

static inline struct answer make_answer(__u64 cookie, __u32 verdict)
{
	return (struct answer) {
		.response.fd = FAN_NOFD,
		.response.response = verdict | FAN_INFO,
		.op.hdr.type = FAN_RESPONSE_INFO_OP,
		.op.hdr.len = sizeof(struct fanotify_response_info_op),
		.op.cookie = cookie,
	};
}

/* Returns what write(2) did, or -errno. */
static inline int try_answers(const struct group *g, const void *answers,
			      size_t size)
{
	const ssize_t ret = write(g->fd, answers, size);

	return ret < 0 ? -errno : ret;
}

static inline int try_answer(const struct group *g, __u64 cookie,
			     __u32 verdict)
{
	const struct answer answer = make_answer(cookie, verdict);

	return try_answers(g, &answer, sizeof(answer));
}

static inline void answer(struct __test_metadata *const _metadata,
			  struct group *g, const struct event *pre,
			  __u32 verdict)
{
	ASSERT_EQ((int)sizeof(struct answer),
		  try_answer(g, pre->cookie, verdict));
}

static inline void allow(struct __test_metadata *const _metadata,
			 struct group *g, const struct event *pre)
{
	answer(_metadata, g, pre, FAN_ALLOW);
}

/* A write of a job from start to end: asked, allowed, reported. */
static inline void serve_write(struct __test_metadata *const _metadata,
			       struct group *g, struct job *job, long result)
{
	const struct event pre = expect_pre(_metadata, g, job->pid);

	allow(_metadata, g, &pre);
	EXPECT_EQ(result, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, result);
}

/* ------------------------------ barriers ------------------------------- */

static inline void barrier(struct __test_metadata *const _metadata,
			   struct group *g, const char *path)
{
	mark(_metadata, g, FAN_MARK_BARRIER, 0, path);
}

/* All that was under way when the barrier with this number began has ended. */
static inline struct event
expect_barrier(struct __test_metadata *const _metadata, struct group *g,
	       __u64 number)
{
	const struct event ev = event_next(_metadata, g);

	ASSERT_EQ(FAN_Q_BARRIER, ev.mask);
	EXPECT_EQ(number, ev.cookie);
	return ev;
}

/* ------------------------------- fdinfo -------------------------------- */

struct group_state {
	unsigned int flags;	/* of a queue 0: it does not show them */
	long pending, queued, inflight, overflows;
	pid_t owner;
	unsigned long long id;
	unsigned long long oldest;	/* cookie of a question, or 0 */
	pid_t asker;			/* who waits for the answer to it */
	unsigned long long msecs;	/* and for how long */
};

static inline void read_fdinfo(struct __test_metadata *const _metadata,
			       const struct group *g, char *buf, size_t size)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g->fd);
	ASSERT_LT(0, read_file(path, buf, size));
}

static inline struct group_state
group_state(struct __test_metadata *const _metadata, const struct group *g)
{
	struct group_state st = {};
	const char *line;
	char buf[8192];

	read_fdinfo(_metadata, g, buf, sizeof(buf));
	line = strstr(buf, "\nfanotify flags:");
	if (line) {
		ASSERT_EQ(1, sscanf(line, "\nfanotify flags:%x event-flags:",
				    &st.flags));
	}
	line = strstr(buf, "\nvfs-filter pending:");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(5, sscanf(line, "\nvfs-filter pending:%ld queued:%ld "
			    "inflight:%ld overflows:%ld owner:%d\n",
			    &st.pending, &st.queued, &st.inflight,
			    &st.overflows, &st.owner));
	line = strstr(buf, "\nvfs-filter-group id:");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(4, sscanf(line, "\nvfs-filter-group id:%llu oldest:%llu "
			    "pid:%d msecs:%llu\n",
			    &st.id, &st.oldest, &st.asker, &st.msecs));
	return st;
}

/* Wait until this many tasks wait for an answer. */
static inline void wait_pending(struct __test_metadata *const _metadata,
				const struct group *g, long pending)
{
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, g).pending == pending));
}

/* Masks of the first mark of a @kind: "ino", "mnt_id", "sdev". */
static inline bool group_mark(struct __test_metadata *const _metadata,
			      const struct group *g, const char *kind,
			      unsigned long long *mask,
			      unsigned long long *ignored)
{
	char buf[8192], start[32];
	const char *line;

	read_fdinfo(_metadata, g, buf, sizeof(buf));
	snprintf(start, sizeof(start), "\nfanotify %s:", kind);
	line = strstr(buf, start);
	if (!line)
		return false;
	line = strstr(line, " mask:");
	ASSERT_NE(NULL, line);
	ASSERT_EQ(2, sscanf(line, " mask:%llx ignored_mask:%llx", mask,
			    ignored));
	return true;
}

/* ------------------------------ teardown ------------------------------- */

/* Objects that go in a test after all else, each marked by its first group. */
static int gone_at_end;

/* At the end of a test that went well, nothing is left to be read. */
static inline void test_end(struct __test_metadata *const _metadata)
{
	if (_metadata->exit_code == KSFT_FAIL && row[0])
		TH_LOG("at: %s", row);
	guards_stop();
	for (int i = 0; i < MAX_GROUPS; i++) {
		if (!group_fds[i])
			continue;
		for (; _metadata->exit_code == KSFT_PASS && gone_at_end;
		     gone_at_end--)
			EXPECT_EQ(FAN_Q_GONE,
				  event_next(_metadata, &groups[i]).mask);
		if (_metadata->exit_code == KSFT_PASS && !groups[i].unread_ok)
			expect_silence(_metadata, &groups[i]);
		group_close(&groups[i]);
	}
	jobs_end();
}

#endif /* __GROUP_H */
