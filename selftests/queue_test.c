// SPDX-License-Identifier: GPL-2.0
/*
 * Queues: several readers of one group, each of which answers what it has read;
 * and what becomes of that when one goes.
 */

#include "fs.h"
#include "hold.h"
#include "queue.h"
#include "sentinels.h"

static long do_chmod(void *arg)
{
	return chmod(arg, 0700);
}

FIXTURE(queue)
{
	struct group *g;
	struct group *q;
};

FIXTURE_SETUP(queue)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD, FAN_MODIFY, "file");
	self->q = queue_open(_metadata, self->g);
}

FIXTURE_TEARDOWN(queue)
{
	/* Before the group, whose end is to be read of it. */
	if (self->q->fd >= 0)
		group_close(self->q);
	test_end(_metadata);
}

/* It is read and answered as the group is, and by no one else. */
TEST_F(queue, served)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, self->q, job->pid);

	expect_silence(_metadata, self->g);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie,
				      FAN_ALLOW | FAN_RESPONSE_IGNORE));
	expect_blocked(_metadata, job);
	allow(_metadata, self->q, &pre);
	EXPECT_EQ(-ENOENT, try_answer(self->q, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);

	job = write_start(_metadata, "file", "cd");
	const struct event next = expect_pre(_metadata, self->g, job->pid);

	EXPECT_EQ(-ENOENT, try_answer(self->q, next.cookie, FAN_DENY));
	answer(_metadata, self->g, &next, FAN_DENY);
	EXPECT_EQ(-EPERM, job_join(_metadata, job));
	expect_silence(_metadata, self->q);
}

/* A reader, by which the test and its children are told apart. */
static struct event start_and_read(struct __test_metadata *const _metadata,
				   struct group *reader, struct job **job)
{
	*job = write_start(_metadata, "file", "ab");
	return expect_pre(_metadata, reader, (*job)->pid);
}

/* A question that was asked before is read. */
static void expect_again(struct __test_metadata *const _metadata,
			 struct group *g, const struct event *before)
{
	const struct event pre = expect_pre(_metadata, g, before->pid);

	EXPECT_EQ(before->cookie, pre.cookie);
	EXPECT_TRUE(same_fid(&before->fid, &pre.fid));
}

static void finish(struct __test_metadata *const _metadata, struct group *g,
		   const struct event *pre, struct job *job)
{
	allow(_metadata, g, pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, g, pre, 2);
}

/* What it has not answered goes back when it is closed, to where it was. */
TEST_F(queue, closed)
{
	struct event first, second, third, fourth;
	struct job *jobs[4];

	first = start_and_read(_metadata, self->q, &jobs[0]);
	second = start_and_read(_metadata, self->g, &jobs[1]);
	third = start_and_read(_metadata, self->q, &jobs[2]);
	jobs[3] = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 4);
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);

	group_close(self->q);
	EXPECT_EQ(3, group_state(_metadata, self->g).queued);
	EXPECT_EQ(-ENOENT, try_answer(self->g, first.cookie, FAN_ALLOW));
	expect_again(_metadata, self->g, &first);
	expect_again(_metadata, self->g, &third);
	fourth = expect_pre(_metadata, self->g, jobs[3]->pid);
	EXPECT_LT(third.cookie, fourth.cookie);
	finish(_metadata, self->g, &first, jobs[0]);
	finish(_metadata, self->g, &third, jobs[2]);
	finish(_metadata, self->g, &fourth, jobs[3]);

	/* That of another is left to it. */
	finish(_metadata, self->g, &second, jobs[1]);
}

#define MANY 150

/* So it is with more than are put back at once. */
TEST_F(queue, closed_with_many)
{
	static pid_t pids[MANY];
	struct event ev;
	__u64 last = 0;

	for (int i = 0; i < MANY; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			struct write_args args = { .path = "file", .text = "ab" };

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(self->g->fd);
			close(self->q->fd);
			_exit(do_write(&args) != 2);
		}
	}
	wait_pending(_metadata, self->g, MANY);
	for (int i = 0; i < MANY; i++)
		event_next(_metadata, self->q);
	expect_silence(_metadata, self->q);
	group_close(self->q);
	EXPECT_EQ(MANY, group_state(_metadata, self->g).queued);
	for (int i = 0; i < 2 * MANY; i++) {
		ev = event_next(_metadata, self->g);
		if (!(ev.mask & ALL_PRE))
			continue;
		EXPECT_LT(last, ev.cookie);
		last = ev.cookie;
		allow(_metadata, self->g, &ev);
	}
	for (int i = 0; i < MANY; i++) {
		int status;

		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
}

/* Who is killed while one has read of it is told as always; */
TEST_F(queue, killed)
{
	struct event pre, post;
	struct job *job;

	pre = start_and_read(_metadata, self->q, &job);
	job_kill(_metadata, job, SIGKILL);
	post = event_next(_metadata, self->g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(pre.cookie, post.cookie);
	EXPECT_EQ(-EINTR, post.result);
	EXPECT_EQ(-ENOENT, try_answer(self->q, pre.cookie, FAN_ALLOW));
	group_close(self->q);
}

/* and not at all if it has gone back meanwhile. */
TEST_F(queue, killed_after_that)
{
	struct job *job;

	start_and_read(_metadata, self->q, &job);
	group_close(self->q);
	EXPECT_EQ(1, group_state(_metadata, self->g).queued);
	job_kill(_metadata, job, SIGKILL);
	EXPECT_EQ(0, group_state(_metadata, self->g).queued);
	expect_silence(_metadata, self->g);
}

/* What cannot be copied is no one's, and can be read by another. */
TEST_F(queue, not_copied)
{
	struct job *job = write_start(_metadata, "file", "ab");
	struct event pre;

	wait_pending(_metadata, self->g, 1);
	EXPECT_EQ(-1, syscall(__NR_read, self->q->fd, 1UL, 4096));
	EXPECT_EQ(EFAULT, errno);
	pre = expect_pre(_metadata, self->g, job->pid);
	group_close(self->q);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
}

/* The group goes with its own file, whoever has a queue. */
TEST_F(queue, outlives)
{
	struct group *q = self->q;
	struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
	struct job *read_by_q, *unread;
	struct event pre;

	pre = start_and_read(_metadata, q, &read_by_q);
	unread = write_start(_metadata, "file", "ab");
	wait_pending(_metadata, self->g, 2);
	group_close(self->g);
	EXPECT_EQ(2, job_join(_metadata, read_by_q));
	EXPECT_EQ(2, job_join(_metadata, unread));

	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(POLLIN | POLLHUP, pfd.revents);
	EXPECT_EQ(0, read(q->fd, q->buf, sizeof(q->buf)));
	EXPECT_EQ(-ENOENT, try_answer(q, pre.cookie, FAN_ALLOW));
	EXPECT_EQ(-1, queue_fd(q, 0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, ioctl(q->fd, FAN_IOC_OWN));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, ioctl(q->fd, FAN_IOC_EXEMPT, 0));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_EQ(-1, ioctl(q->fd, _IO('F', 99)));
	EXPECT_EQ(ENOTTY, errno);
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	EXPECT_EQ(0, read(q->fd, q->buf, sizeof(q->buf)));
	group_close(q);
}

struct answer_args {
	const struct group *q;
	__u64 cookie;
};

static long answer_and_ignore(void *arg)
{
	const struct answer_args *args = arg;

	/* Whoever has the group has to close it for its end to be seen. */
	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i] && group_fds[i] != args->q->fd)
			close(group_fds[i]);
	return try_answer(args->q, args->cookie, FAN_ALLOW | FAN_RESPONSE_IGNORE);
}

/* An answer that comes too late for that ignores nothing, closed or not. */
TEST_F(queue, ends_while_it_is_ignored)
{
	struct answer_args args;
	struct job *writer, *job;
	struct event pre;

	REQUIRE_HOLDS();
	for (int closed = 0; closed < 2; closed++) {
		struct group *g = group_open(_metadata,
					     closed ? FAN_FAIL_CLOSED : 0);

		args.q = queue_open(_metadata, g);
		mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
		     FAN_ATTRIB, ".");
		writer = job_prepare(_metadata, do_chmod, "file");
		job_go(_metadata, writer);
		pre = event_next(_metadata, (struct group *)args.q);
		args.cookie = pre.cookie;
		job = __job_prepare(_metadata, answer_and_ignore, &args, true);
		hold(_metadata, "ignore", job->pid);
		job_go(_metadata, job);
		wait_held(_metadata, "ignore");
		group_close(g);
		EXPECT_EQ(closed ? -EIO : 0, job_join(_metadata, writer));
		release(_metadata, "ignore");
		EXPECT_EQ(-ENOENT, job_join(_metadata, job));
		EXPECT_EQ(closed ? -EIO : 0,
			  job_join(_metadata,
				   job_start(_metadata, do_chmod, "file")));
		group_close((struct group *)args.q);
	}
	lift_all();
}

static long read_blocking(void *arg)
{
	const struct group *g = arg;
	const int fd = queue_fd(g, O_CLOEXEC);
	char buf[4096];

	if (fd < 0)
		return -1;
	/* Whoever has the group has to close it for its end to be seen. */
	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	return read(fd, buf, sizeof(buf));
}

/* Whoever waits for an event is told of the end. */
TEST_F(queue, ends_while_it_waits)
{
	struct job *job = __job_prepare(_metadata, read_blocking, self->g, true);

	group_close(self->q);
	job_go(_metadata, job);
	expect_blocked(_metadata, job);
	group_close(self->g);
	EXPECT_EQ(0, job_join(_metadata, job));
}

struct own_args {
	const struct group *g;
	int gate;	/* to be read before it ends */
};

static long open_and_write(void *arg)
{
	struct write_args write_args = { .path = "file", .text = "ab" };
	const struct own_args *args = arg;
	const int fd = queue_fd(args->g, O_CLOEXEC);
	char c;

	if (fd < 0 || do_write(&write_args) != 2)
		return -1;
	/* As long as it is open, and no longer. */
	close(fd);
	return read(args->gate, &c, 1) == 1 ? do_write(&write_args) : -1;
}

/* The process that has made it is exempt, while it is open. */
TEST_F(queue, exempts)
{
	struct own_args args = { .g = self->g };
	struct job *job;
	int gate[2];

	ASSERT_EQ(0, pipe2(gate, O_CLOEXEC));
	args.gate = gate[0];
	job = __job_prepare(_metadata, open_and_write, &args, true);
	job_go(_metadata, job);
	expect_nothing(_metadata, self->g);
	ASSERT_EQ(1, write(gate[1], "", 1));
	serve_write(_metadata, self->g, job, 2);
	close(gate[0]);
	close(gate[1]);

	/* So is that of the group, which is the test. */
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, self->g);
}

static long own_and_write(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	const struct group *q = arg;

	return ioctl(q->fd, FAN_IOC_OWN) ? -1 : do_write(&args);
}

/* It can be handed on, and the group has a process all the same. */
TEST_F(queue, owned_by_another)
{
	struct job *job = __job_prepare(_metadata, own_and_write, self->q, true);
	char path[64], buf[256], line[32];
	const pid_t pid = job->pid;

	job_go(_metadata, job);
	ASSERT_TRUE(job_ended(job, TIMEOUT_MS));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", self->q->fd);
	ASSERT_LT(0, read_file(path, buf, sizeof(buf)));
	snprintf(line, sizeof(line), " owner:%d\n", pid);
	EXPECT_NE(NULL, strstr(buf, line));
	EXPECT_EQ(getpid(), group_state(_metadata, self->g).owner);
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(0, write_file("file", 0, "ab"));
	expect_silence(_metadata, self->g);
}

TEST_F(queue, flags)
{
	static const int bad[] = { O_APPEND, O_RDWR, O_CLOEXEC | 1, -1 };
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-1, queue_fd(self->g, bad[i]));
		EXPECT_EQ(EINVAL, errno);
	}
	fd = queue_fd(self->g, O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	fd = queue_fd(self->q, O_NONBLOCK);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	EXPECT_NE(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);

	/* Marks are of the group. */
	EXPECT_EQ(-1, sys_fanotify_mark(self->q->fd, FAN_MARK_ADD, FAN_MODIFY,
					AT_FDCWD, "file"));
	EXPECT_EQ(EINVAL, errno);
}

#define MAX_FILES 64

/* There is room for some, which those that are closed leave to others. */
TEST_F(queue, many)
{
	int fds[MAX_FILES];

	for (int i = 2; i < MAX_FILES; i++) {
		fds[i] = queue_fd(self->g, O_CLOEXEC);
		ASSERT_LE(0, fds[i]);
	}
	EXPECT_EQ(-1, queue_fd(self->g, 0));
	EXPECT_EQ(ENOSPC, errno);
	close(fds[5]);
	fds[5] = queue_fd(self->g, O_CLOEXEC);
	EXPECT_LE(0, fds[5]);
	EXPECT_EQ(-1, queue_fd(self->g, 0));
	for (int i = 2; i < MAX_FILES; i++)
		close(fds[i]);
}

/* --------------------------- a supervisor ------------------------------ */

#define KILLS	100
#define WRITERS	4
#define MAX_LOG	(1 << 16)

/* What workers have seen and writers have done, shared by all of them. */
static struct shared {
	unsigned int asked, ended, written, failed, stop;
	__u64 asked_log[MAX_LOG];	/* of what is about to be answered */
	__u64 ended_log[MAX_LOG];
} *shared;

static void log_cookie(unsigned int *len, __u64 *log, __u64 cookie)
{
	const unsigned int at = __atomic_fetch_add(len, 1, __ATOMIC_RELAXED);

	if (at < MAX_LOG)
		log[at] = cookie;
}

static long worker(void *arg)
{
	const struct group *g = arg;
	struct group q = { .fd = queue_fd(g, O_CLOEXEC) };
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	struct event ev;
	ssize_t n;

	if (q.fd < 0)
		return -1;
	for (;;) {
		n = read(q.fd, q.buf, sizeof(q.buf));
		if (n <= 0)
			return n;
		for (ssize_t pos = 0; pos < n; pos += ev.len) {
			ev = event_parse(_metadata, q.buf + pos, n - pos);
			if (!(ev.mask & ALL_PRE)) {
				log_cookie(&shared->ended, shared->ended_log,
					   ev.cookie);
				continue;
			}
			log_cookie(&shared->asked, shared->asked_log, ev.cookie);
			try_answer(&q, ev.cookie, FAN_ALLOW);
		}
	}
}

static long write_on(void *arg)
{
	const int fd = open(arg, O_WRONLY);

	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED))
		__atomic_fetch_add(pwrite(fd, "x", 1, 0) == 1 ? &shared->written :
								&shared->failed,
				   1, __ATOMIC_RELAXED);
	return 0;
}

static int compare_cookies(const void *a, const void *b)
{
	const __u64 x = *(const __u64 *)a, y = *(const __u64 *)b;

	return x < y ? -1 : x > y;
}

/* How many different ones there are. Adds up how many of them came twice. */
static unsigned int count_cookies(__u64 *log, unsigned int len,
				  unsigned int *again)
{
	unsigned int nr = 0;

	qsort(log, len, sizeof(*log), compare_cookies);
	for (unsigned int i = 0; i < len; i++) {
		/* Whoever was killed before it was there has left a 0. */
		if (!log[i])
			continue;
		if (i && log[i] == log[i - 1])
			++*again;
		else
			nr++;
	}
	return nr;
}

/*
 * Who restarts a worker that dies, and keeps the group but does not read it, has
 * nothing pass that was not asked about, nothing denied, and nothing left behind.
 */
TEST_F(queue, restarted)
{
	unsigned int asked, ended, asked_again = 0, ended_again = 0, seed = 1;
	struct job *writers[WRITERS], *job;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	group_close(self->q);
	for (int i = 0; i < WRITERS; i++)
		writers[i] = job_start(_metadata, write_on, "file");
	for (int i = 0; i < KILLS; i++) {
		const unsigned int before = shared->written;

		job = __job_prepare(_metadata, worker, self->g, true);
		job_go(_metadata, job);
		usleep(rand_r(&seed) % 20000);
		/* On a slow machine as well, every other one gets to something. */
		if (i % 2)
			EXPECT_TRUE(EVENTUALLY(shared->written > before));
		job_kill(_metadata, job, SIGKILL);
	}
	EXPECT_LE((unsigned int)KILLS / 2, shared->written);

	__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
	job = __job_prepare(_metadata, worker, self->g, true);
	job_go(_metadata, job);
	for (int i = 0; i < WRITERS; i++)
		EXPECT_EQ(0, job_join(_metadata, writers[i]));
	EXPECT_TRUE(EVENTUALLY(!group_state(_metadata, self->g).queued));
	job_kill(_metadata, job, SIGKILL);

	ASSERT_GT((unsigned int)MAX_LOG, shared->asked);
	EXPECT_EQ(0U, shared->failed);
	asked = count_cookies(shared->asked_log, shared->asked, &asked_again);
	EXPECT_EQ(shared->written, asked);
	/* None ends twice, and those that are missing died with who had read them. */
	ended = count_cookies(shared->ended_log, shared->ended, &ended_again);
	EXPECT_EQ(0U, ended_again);
	EXPECT_GE(shared->written, ended);
	TH_LOG("%u writes, %u questions answered again, %u ends lost with their reader",
	       shared->written, asked_again, shared->written - ended);
	EXPECT_EQ(0, group_state(_metadata, self->g).pending);
	EXPECT_EQ(0, group_state(_metadata, self->g).inflight);
	expect_silence(_metadata, self->g);
}

TEST_HARNESS_MAIN
