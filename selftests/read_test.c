// SPDX-License-Identifier: GPL-2.0
/*
 * Taking events out of a group: read, poll, FIONREAD, and in which order.
 */

#include <pthread.h>
#include <sys/epoll.h>

#include "fs.h"
#include "group.h"

FIXTURE(read)
{
	struct group *g;
	char buf[4096];
};

FIXTURE_SETUP(read)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
}

FIXTURE_TEARDOWN(read)
{
	test_end(_metadata);
}

/* Bytes that are there to be read, as the group says. */
static int bytes(struct __test_metadata *const _metadata, const struct group *g)
{
	int n = -1;

	EXPECT_EQ(0, ioctl(g->fd, FIONREAD, &n));
	return n;
}

/* A write that waits, its PRE not read. */
static struct job *pre_queued(struct __test_metadata *const _metadata,
			      struct group *g)
{
	const long pending = group_state(_metadata, g).pending;
	struct job *job = write_start(_metadata, "file", "ab");

	wait_pending(_metadata, g, pending + 1);
	return job;
}

/* A write that is over, its POST not read. */
static struct event post_queued(struct __test_metadata *const _metadata,
				struct group *g)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, g, job->pid);

	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	return pre;
}

static void finish(struct __test_metadata *const _metadata, struct group *g,
		   struct job *job, const struct event *pre)
{
	allow(_metadata, g, pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, g, pre, 2);
}

TEST_F(read, counts)
{
	struct group_state st;
	struct event pre;
	struct job *job;

	EXPECT_EQ(0, bytes(_metadata, self->g));
	job = pre_queued(_metadata, self->g);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(1, st.pending);
	EXPECT_EQ(1, st.queued);
	EXPECT_EQ(0, st.inflight);

	pre = expect_pre(_metadata, self->g, job->pid);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(1, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);

	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(1, st.queued);
	EXPECT_EQ(0, st.inflight);

	expect_post(_metadata, self->g, &pre, 2);
	st = group_state(_metadata, self->g);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(0, st.queued);
	EXPECT_EQ(0, st.inflight);
	EXPECT_EQ(0, st.overflows);
}

/* Too little room: said so, and nothing is lost. */
TEST_F(read, buffer_too_small)
{
	struct job *job = pre_queued(_metadata, self->g);
	const int len = bytes(_metadata, self->g);
	struct event pre;

	ASSERT_LT((int)sizeof(struct fanotify_event_metadata), len);
	for (int size = 0; size < len; size++) {
		EXPECT_EQ(-1, read(self->g->fd, self->buf, size));
		EXPECT_EQ(EINVAL, errno)
			TH_LOG("%d bytes of %d", size, len);
	}
	EXPECT_EQ(len, bytes(_metadata, self->g));
	expect_blocked(_metadata, job);

	ASSERT_EQ(len, read(self->g->fd, self->buf, len));
	pre = event_parse(_metadata, self->buf, len);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_EQ((__u32)len, pre.len);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));

	/* The same for a POST. */
	EXPECT_EQ(-1, read(self->g->fd, self->buf,
			   bytes(_metadata, self->g) - 1));
	EXPECT_EQ(EINVAL, errno);
	expect_post(_metadata, self->g, &pre, 2);
}

/* What is not delivered leaves no descriptor behind. */
TEST_F(read, buffer_too_small_for_pidfd)
{
	struct group *g = group_open(_metadata, FAN_REPORT_PIDFD);
	struct event pre, post;
	int len, lowest;
	struct job *job;

	mark(_metadata, self->g, FAN_MARK_FLUSH, 0, ".");
	mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "file");
	job = pre_queued(_metadata, g);
	len = bytes(_metadata, g);

	lowest = dup(g->fd);
	ASSERT_LE(0, lowest);
	close(lowest);
	EXPECT_EQ(-1, read(g->fd, self->buf, len - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(lowest, dup(g->fd));
	close(lowest);

	pre = expect_pre(_metadata, g, job->pid);
	EXPECT_EQ(lowest, pre.pidfd);
	allow(_metadata, g, &pre);
	post = expect_post(_metadata, g, &pre, 2);
	EXPECT_EQ(2, job_join(_metadata, job));
	close(pre.pidfd);
	close(post.pidfd);
}

/*
 * Whatever becomes of an event that could not be copied, no one waits for it
 * for good, and no one is let through.
 */
TEST_F(read, buffer_unreadable)
{
	struct job *job = pre_queued(_metadata, self->g);
	struct event pre;
	void *none;

	none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, none);
	EXPECT_EQ(-1, read(self->g->fd, none, 4096));
	EXPECT_EQ(EFAULT, errno);

	if (job_ended(job, SETTLE_MS)) {
		EXPECT_EQ(-EPERM, job_join(_metadata, job));
		return;
	}
	pre = expect_pre(_metadata, self->g, job->pid);
	finish(_metadata, self->g, job, &pre);
}

/* The longest name that a path can have. */
static long stat_long_name(void *arg)
{
	char name[4090];
	struct stat st;

	memset(name, 'x', sizeof(name));
	name[(long)arg] = 0;
	return stat(name, &st) ? -errno : 0;
}

/* What no event has room for is no event, and no one waits behind it. */
TEST_F(read, name_too_long)
{
	struct job *job, *other;
	struct event pre;

	mark(_metadata, self->g, FAN_MARK_ADD, FAN_ACCESS | FAN_ONDIR, ".");
	job = job_start(_metadata, stat_long_name, (void *)4000L);
	EXPECT_EQ(-ENAMETOOLONG, job_join(_metadata, job));

	/* None of these are in a file system, whoever is asked about them. */
	job = job_start(_metadata, stat_long_name, (void *)1024L);
	EXPECT_EQ(-ENAMETOOLONG, job_join(_metadata, job));
	mark(_metadata, self->g, FAN_MARK_REMOVE, FAN_ACCESS | FAN_ONDIR, ".");

	other = pre_queued(_metadata, self->g);
	pre = expect_pre(_metadata, self->g, other->pid);
	finish(_metadata, self->g, other, &pre);
}

TEST_F(read, whole_events)
{
	struct event pre[2];
	struct job *jobs[2];
	int len;

	for (int i = 0; i < 2; i++)
		jobs[i] = pre_queued(_metadata, self->g);
	len = bytes(_metadata, self->g) / 2;

	/* Not quite enough for both. */
	ASSERT_EQ(len, read(self->g->fd, self->buf, 2 * len - 1));
	pre[0] = event_parse(_metadata, self->buf, len);
	EXPECT_EQ(jobs[0]->pid, pre[0].pid);
	EXPECT_EQ((__u32)len, pre[0].len);
	EXPECT_EQ(len, bytes(_metadata, self->g));
	pre[1] = expect_pre(_metadata, self->g, jobs[1]->pid);
	EXPECT_LT(pre[0].cookie, pre[1].cookie);

	for (int i = 0; i < 2; i++)
		finish(_metadata, self->g, jobs[i], &pre[i]);
}

/* All that is there in one go, PRE before POST however old. */
TEST_F(read, pre_first)
{
	const struct event old = post_queued(_metadata, self->g);
	const int post_len = bytes(_metadata, self->g);
	struct job *job = pre_queued(_metadata, self->g);
	const int len = bytes(_metadata, self->g);
	struct event pre, post;

	EXPECT_LT(post_len, len);
	ASSERT_EQ(len, read(self->g->fd, self->buf, sizeof(self->buf)));
	pre = event_parse(_metadata, self->buf, len);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	EXPECT_EQ(job->pid, pre.pid);
	EXPECT_EQ(len, (int)pre.len + post_len);

	post = event_parse(_metadata, self->buf + pre.len, len - pre.len);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(old.cookie, post.cookie);
	finish(_metadata, self->g, job, &pre);
}

#define WRITERS 4

TEST_F(read, in_order)
{
	struct job *jobs[WRITERS];
	struct event pre[WRITERS];

	for (int i = 0; i < WRITERS; i++)
		jobs[i] = pre_queued(_metadata, self->g);
	for (int i = 0; i < WRITERS; i++)
		pre[i] = expect_pre(_metadata, self->g, jobs[i]->pid);
	for (int i = 1; i < WRITERS; i++)
		EXPECT_LT(pre[i - 1].cookie, pre[i].cookie);

	/* They end the other way around. */
	for (int i = WRITERS - 1; i >= 0; i--) {
		allow(_metadata, self->g, &pre[i]);
		EXPECT_EQ(2, job_join(_metadata, jobs[i]));
	}
	for (int i = WRITERS - 1; i >= 0; i--)
		expect_post(_metadata, self->g, &pre[i], 2);
}

TEST_F(read, poll)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	const int epfd = epoll_create1(EPOLL_CLOEXEC);
	struct job *job;
	struct event pre;

	ASSERT_LE(0, epfd);
	ASSERT_EQ(0, epoll_ctl(epfd, EPOLL_CTL_ADD, self->g->fd, &ev));
	EXPECT_EQ(0, epoll_wait(epfd, &ev, 1, 0));
	EXPECT_FALSE(group_readable(self->g, 0));

	/* A waiter is woken by a PRE ... */
	job = write_start(_metadata, "file", "ab");
	EXPECT_EQ(1, epoll_wait(epfd, &ev, 1, TIMEOUT_MS));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_TRUE(group_readable(self->g, 0));
	pre = expect_pre(_metadata, self->g, job->pid);
	EXPECT_FALSE(group_readable(self->g, 0));
	EXPECT_EQ(0, epoll_wait(epfd, &ev, 1, 0));

	/* ... and by a POST. */
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(1, epoll_wait(epfd, &ev, 1, TIMEOUT_MS));
	EXPECT_EQ(EPOLLIN, ev.events);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	EXPECT_EQ(0, epoll_wait(epfd, &ev, 1, 0));
	close(epfd);
}

/* A thread that reads from a group that lets it wait. */
struct reader {
	int fd;
	char buf[4096];
	ssize_t ret;
	int error;
	volatile pid_t tid;
	volatile bool done;
};

static void *do_read(void *arg)
{
	struct reader *r = arg;

	r->tid = sys_gettid();
	r->ret = read(r->fd, r->buf, sizeof(r->buf));
	r->error = errno;
	r->done = true;
	return NULL;
}

static void set_blocking(struct __test_metadata *const _metadata, int fd)
{
	ASSERT_EQ(0, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK));
}

static void set_nonblocking(struct __test_metadata *const _metadata, int fd)
{
	ASSERT_EQ(0, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK));
}

TEST_F(read, waits)
{
	struct reader r = { .fd = self->g->fd };
	struct event pre;
	pthread_t thread;
	struct job *job;

	set_blocking(_metadata, self->g->fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_read, &r));
	ASSERT_TRUE(EVENTUALLY(r.tid));
	usleep(SETTLE_MS * 1000);
	EXPECT_FALSE(r.done);

	job = write_start(_metadata, "file", "ab");
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LT(0, r.ret)
		TH_LOG("read: %s", strerror(r.error));
	pre = event_parse(_metadata, r.buf, r.ret);
	EXPECT_EQ((__u32)r.ret, pre.len);
	EXPECT_EQ(FAN_PRE(FAN_MODIFY), pre.mask);
	finish(_metadata, self->g, job, &pre);
	set_nonblocking(_metadata, self->g->fd);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(read, interrupted)
{
	const struct sigaction act = { .sa_handler = nothing };
	struct reader r = { .fd = self->g->fd };
	pthread_t thread;

	ASSERT_EQ(0, sigaction(SIGUSR1, &act, NULL));
	set_blocking(_metadata, self->g->fd);
	ASSERT_EQ(0, pthread_create(&thread, NULL, do_read, &r));
	ASSERT_TRUE(EVENTUALLY(r.tid));

	/* The thread may not have come to wait yet, so more than once. */
	ASSERT_TRUE(EVENTUALLY(pthread_kill(thread, SIGUSR1) || r.done));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(-1, r.ret);
	EXPECT_EQ(EINTR, r.error);
	set_nonblocking(_metadata, self->g->fd);
}

TEST_HARNESS_MAIN
