// SPDX-License-Identifier: GPL-2.0
/*
 * Listeners that are on their way out, and are held up there: by the program that
 * takes their core, which can be a question of theirs. No one waits for them.
 */

#include <sys/resource.h>

#include "fs.h"
#include "queue.h"
#include "sentinels.h"

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

/* No one is told for longer than this, by far, that a listener is going. */
#define SOON_MS		10000

static char old_pattern[256];

static void put_pattern_back(void)
{
	write_file(CORE_PATTERN, 0, old_pattern);
}

FIXTURE(going)
{
	struct group *g;
};

FIXTURE_SETUP(going)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_LT(0, read_file(CORE_PATTERN, old_pattern, sizeof(old_pattern)));
	guard_start(_metadata, put_pattern_back);
	/* It reads nothing, so the core is not dumped before it ends. */
	ASSERT_EQ(0, write_file(CORE_PATTERN, 0, "|/bin/sleep 30"));
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
}

FIXTURE_TEARDOWN(going)
{
	test_end(_metadata);
}

/* More than fits in a pipe, to be dumped. */
static char ballast[1 << 20];

static void crash(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	memset(ballast, 1, sizeof(ballast));
	signal(SIGABRT, SIG_DFL);
	setrlimit(RLIMIT_CORE, &all);
	prctl(PR_SET_DUMPABLE, 1);
	abort();
}

struct crash_args {
	const struct group *g;
	unsigned int flags;	/* of its own group */
	int ready;	/* a byte is written to it when a question was read */
};

/* A listener with a group of its own, that it has marked as the other is. */
static long crash_with_group(void *arg)
{
	const struct crash_args *args = arg;
	const int fd = sys_fanotify_init(FAN_CLASS_VFS_FILTER | args->flags, 0);
	char buf[4096];

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	/* By another descriptor, too. */
	if (fd < 0 || dup(fd) < 0 ||
	    sys_fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			      FAN_MODIFY, AT_FDCWD, ".") ||
	    write(args->ready, "", 1) != 1 || read(fd, buf, sizeof(buf)) < 0)
		return -1;
	crash();
	return 0;
}

static long crash_with_queue(void *arg)
{
	const struct crash_args *args = arg;
	const int fd = queue_fd(args->g, O_CLOEXEC);
	char buf[4096];

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i])
			close(group_fds[i]);
	if (fd < 0 || write(args->ready, "", 1) != 1 ||
	    read(fd, buf, sizeof(buf)) < 0)
		return -1;
	crash();
	return 0;
}

/* It reads what it was handed, which others have opened, and is not exempt by that. */
static long crash_with_handed(void *arg)
{
	const struct crash_args *args = arg;
	const int fd = args->g->fd;
	char buf[4096];

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i] && group_fds[i] != fd)
			close(group_fds[i]);
	if (fcntl(fd, F_SETFL, 0) || write(args->ready, "", 1) != 1 ||
	    read(fd, buf, sizeof(buf)) < 0)
		return -1;
	crash();
	return 0;
}

static struct job *listener_start(struct __test_metadata *const _metadata,
				  struct group *g, job_fn fn,
				  unsigned int flags)
{
	struct crash_args args = { .g = g, .flags = flags };
	struct job *job;
	int ready[2];
	char c;

	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	args.ready = ready[1];
	job = __job_prepare(_metadata, fn, &args, true);
	job_go(_metadata, job);
	close(ready[1]);
	ASSERT_EQ(1, read(ready[0], &c, 1));
	close(ready[0]);
	return job;
}

/* Its core is being dumped, as its process is still there. */
static void expect_going(struct __test_metadata *const _metadata,
			 struct job *listener)
{
	EXPECT_FALSE(job_ended(listener, 0));
	ASSERT_EQ(0, kill(listener->pid, SIGKILL));
	job_reap(_metadata, listener);
}

/* The listener has read the question, or the test could, and it the end. */
static void wait_read(struct __test_metadata *const _metadata,
		      const struct group *g)
{
	struct group_state st;

	ASSERT_TRUE(EVENTUALLY((st = group_state(_metadata, g),
				st.pending == 1 && !st.queued)));
}

/* What a listener that is going has read is read again, and answered. */
static void expect_put_back(struct __test_metadata *const _metadata,
			    struct group *g, struct job *job)
{
	struct event pre;

	ASSERT_TRUE(group_readable(g, SOON_MS));
	pre = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, g, &pre, 2);
}

/* What a listener is asked that is alone with its group is as if that were closed. */
TEST_F(going, alone)
{
	struct job *listener, *read_by_it, *unread;

	group_close(self->g);
	listener = listener_start(_metadata, self->g, crash_with_group, 0);
	read_by_it = write_start(_metadata, "file", "ab");
	unread = write_start(_metadata, "file", "ab");
	ASSERT_TRUE(job_ended(read_by_it, SOON_MS));
	ASSERT_TRUE(job_ended(unread, SOON_MS));
	EXPECT_EQ(2, job_join(_metadata, read_by_it));
	EXPECT_EQ(2, job_join(_metadata, unread));
	expect_going(_metadata, listener);
}

/* If it fails closed, it can be taken over by then. */
TEST_F(going, alone_and_fails_closed)
{
	struct job *listener, *job;
	struct sentinel s;
	struct group *g;

	group_close(self->g);
	listener = listener_start(_metadata, self->g, crash_with_group,
				  FAN_FAIL_CLOSED);
	job = write_start(_metadata, "file", "ab");
	ASSERT_TRUE(job_ended(job, SOON_MS));
	EXPECT_EQ(-EIO, job_join(_metadata, job));
	EXPECT_TRUE(EVENTUALLY(read_sentinels(&s) == 1));
	EXPECT_STREQ("going_test", s.comm);
	g = group_open(_metadata, FAN_FAIL_CLOSED);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	EXPECT_EQ(0, count_sentinels());
	serve_write(_metadata, g, write_start(_metadata, "file", "ab"), 2);
	expect_going(_metadata, listener);
	EXPECT_EQ(0, count_sentinels());
	group_close(g);
	lift_all();
}

/* What one of several had read goes back, and no more than that. */
TEST_F(going, one_of_two)
{
	struct job *listener, *job;
	struct event pre;

	listener = listener_start(_metadata, self->g, crash_with_queue, 0);
	job = write_start(_metadata, "file", "ab");
	wait_read(_metadata, self->g);
	ASSERT_TRUE(group_readable(self->g, SOON_MS));
	pre = expect_pre(_metadata, self->g, job->pid);
	expect_blocked(_metadata, job);
	EXPECT_FALSE(job_ended(job, 2500));
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_going(_metadata, listener);
}

static long own(void *arg)
{
	const struct group *g = arg;

	return ioctl(g->fd, FAN_IOC_OWN);
}

/* Whoever else has the group, a supervisor, can have another one read it. */
TEST_F(going, kept_by_another)
{
	struct job *owner = __job_prepare(_metadata, own, self->g, true);
	struct job *listener, *job;
	struct event pre;

	/* The process of the group is no more. */
	job_go(_metadata, owner);
	EXPECT_EQ(0, job_join(_metadata, owner));
	listener = listener_start(_metadata, self->g, crash_with_queue, 0);
	job = write_start(_metadata, "file", "ab");
	wait_read(_metadata, self->g);
	ASSERT_TRUE(group_readable(self->g, SOON_MS));
	EXPECT_FALSE(job_ended(job, 2500));
	pre = expect_pre(_metadata, self->g, job->pid);
	allow(_metadata, self->g, &pre);
	EXPECT_EQ(2, job_join(_metadata, job));
	expect_post(_metadata, self->g, &pre, 2);
	expect_going(_metadata, listener);
}

/* ------------------ who was handed a file, and has read it ----------------- */

/* The test keeps the group, and has let go of a queue that it had opened. */
TEST_F(going, handed_queue)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *listener, *job;

	listener = listener_start(_metadata, q, crash_with_handed, 0);
	group_close(q);
	job = write_start(_metadata, "file", "ab");
	wait_read(_metadata, self->g);
	expect_put_back(_metadata, self->g, job);
	expect_going(_metadata, listener);
}

/* That the one whose queue it is has read before makes no difference; */
TEST_F(going, handed_when_read)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *listener, *job;

	serve_write(_metadata, q, write_start(_metadata, "file", "ab"), 2);
	listener = listener_start(_metadata, q, crash_with_handed, 0);
	group_close(q);
	job = write_start(_metadata, "file", "ab");
	wait_read(_metadata, self->g);
	expect_put_back(_metadata, self->g, job);
	expect_going(_metadata, listener);
}

/* but if he still has it, it is his to answer by it. */
TEST_F(going, handed_and_kept)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *listener, *job;

	listener = listener_start(_metadata, q, crash_with_handed, 0);
	job = write_start(_metadata, "file", "ab");
	wait_read(_metadata, self->g);
	EXPECT_FALSE(group_readable(self->g, 2500));
	expect_blocked(_metadata, job);
	group_close(q);
	expect_put_back(_metadata, self->g, job);
	expect_going(_metadata, listener);
}

/* The group itself ends with who was handed it, if it has no one else. */
TEST_F(going, handed_group)
{
	struct job *listener, *read_by_it, *unread;

	listener = listener_start(_metadata, self->g, crash_with_handed, 0);
	group_close(self->g);
	read_by_it = write_start(_metadata, "file", "ab");
	unread = write_start(_metadata, "file", "ab");
	ASSERT_TRUE(job_ended(read_by_it, SOON_MS));
	ASSERT_TRUE(job_ended(unread, SOON_MS));
	EXPECT_EQ(2, job_join(_metadata, read_by_it));
	EXPECT_EQ(2, job_join(_metadata, unread));
	expect_going(_metadata, listener);
}

TEST_HARNESS_MAIN
