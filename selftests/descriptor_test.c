// SPDX-License-Identifier: GPL-2.0
/*
 * Who has a group or a queue: by fork(2) and execve(2), by another descriptor,
 * and from a socket. What each can do, and who is exempt.
 */

#include <pthread.h>

#include "exec.h"
#include "handed.h"
#include "rights.h"
#include "stand_in.h"

FIXTURE(descriptor)
{
	struct group *g;
	struct group *q;
};

FIXTURE_SETUP(descriptor)
{
	REQUIRE_CLASS();
	handed_setup(_metadata, &self->g, &self->q);
}

FIXTURE_TEARDOWN(descriptor)
{
	handed_teardown(_metadata, self->q);
}

/* ------------------------------- who is asked --------------------------- */

static void *write_in_thread(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };

	*(long *)arg = do_write(&args);
	return NULL;
}

/* The test itself writes, and is asked by the group, or is not. */
static void expect_self(struct __test_metadata *const _metadata,
			struct group *g, bool asked)
{
	struct timespec end;
	struct event pre;
	pthread_t thread;
	long ret = 0;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_in_thread, &ret));
	if (asked) {
		pre = expect_pre(_metadata, g, getpid());
		allow(_metadata, g, &pre);
	}
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += TIMEOUT_MS / 1000;
	ASSERT_EQ(0, pthread_timedjoin_np(thread, NULL, &end));
	EXPECT_EQ(2, ret);
	if (asked)
		expect_post(_metadata, g, &pre, 2);
	expect_silence(_metadata, g);
}

static long own(void *arg)
{
	return ioctl(*(int *)arg, FAN_IOC_OWN);
}

/* The owner is a process that is no more. */
static void disown(struct __test_metadata *const _metadata, struct group *g)
{
	struct job *job = __job_prepare(_metadata, own, &g->fd, true);

	job_go(_metadata, job);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* A job that is asked, and served by another. The end is the group's. */
static void expect_served(struct __test_metadata *const _metadata,
			  struct group *g, struct job *server)
{
	struct job *job = write_start(_metadata, "file", "ab");
	const pid_t pid = job->pid;
	struct event post;

	job_go(_metadata, server);
	EXPECT_EQ(2, job_join(_metadata, job));
	EXPECT_EQ(pid, job_join(_metadata, server));
	post = event_next(_metadata, g);
	EXPECT_EQ(FAN_POST(FAN_MODIFY), post.mask);
	EXPECT_EQ(0U, post.flags);
	EXPECT_EQ(2, post.result);
}

/* -------------------------------- fork(2) ------------------------------- */

static long serve_inherited(void *arg)
{
	return allow_one(*(int *)arg).pid;
}

/* A child can do what its parent can, and is asked about what it does itself. */
TEST_F(descriptor, inherited)
{
	struct write_args args = { .path = "file", .text = "ab" };
	struct group *all[] = { self->g, self->q };
	struct job *job;

	FOR_EACH_ROW(i, all) {
		expect_served(_metadata, self->g,
			      __job_prepare(_metadata, serve_inherited,
					    &all[i]->fd, true));
		job = __job_prepare(_metadata, do_write, &args, true);
		job_go(_metadata, job);
		serve_write(_metadata, self->g, job, 2);
	}
}

static long do_pause(void *arg __maybe_unused)
{
	return pause();
}

/* Who has opened a queue is exempt for as long as anyone has that. */
TEST_F(descriptor, kept_by_a_child)
{
	struct job *child;

	disown(_metadata, self->g);
	expect_self(_metadata, self->g, false);
	child = __job_prepare(_metadata, do_pause, NULL, true);
	group_close(self->q);
	expect_self(_metadata, self->g, false);
	job_kill(_metadata, child, SIGKILL);
	expect_self(_metadata, self->g, true);
}

/* ------------------------------- execve(2) ------------------------------ */

struct exec_args {
	int fd;
	bool cloexec;
	bool reads;	/* a question, and executes then */
};

static long sleep_with(void *arg)
{
	const struct exec_args *args = arg;
	char buf[4096];

	for (int i = 0; i < MAX_GROUPS; i++)
		if (group_fds[i] && group_fds[i] != args->fd)
			close(group_fds[i]);
	if (fcntl(args->fd, F_SETFD, args->cloexec ? FD_CLOEXEC : 0) ||
	    (args->reads && read(args->fd, buf, sizeof(buf)) <= 0))
		return -1;
	return execl("/bin/sleep", "sleep", "1000", NULL);
}

static bool is_program(pid_t pid, const char *name)
{
	char path[64], buf[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return read_file(path, buf, sizeof(buf)) > 0 &&
	       !strncmp(buf, name, strlen(name));
}

static struct job *exec_start(struct __test_metadata *const _metadata,
			      struct exec_args *args)
{
	struct job *job = __job_prepare(_metadata, sleep_with, args, true);

	job_go(_metadata, job);
	ASSERT_TRUE(EVENTUALLY(is_program(job->pid, "sleep")));
	return job;
}

/* A group is there for as long as a program has it, which need not know of it. */
TEST_F(descriptor, group_is_executed_with)
{
	for (int cloexec = 0; cloexec < 2; cloexec++) {
		struct group *g = group_open(_metadata, 0);
		struct exec_args args = { .fd = g->fd, .cloexec = cloexec };
		struct write_args write_args = { .path = "secret", .text = "ab" };
		struct job *writer = job_prepare(_metadata, do_write, &write_args);
		struct event pre;
		struct job *job;

		mark(_metadata, g, FAN_MARK_ADD, FAN_MODIFY, "secret");
		job = exec_start(_metadata, &args);
		job_go(_metadata, writer);
		pre = expect_pre(_metadata, self->g, writer->pid);
		allow(_metadata, self->g, &pre);
		wait_pending(_metadata, g, 1);
		group_close(g);
		if (!cloexec) {
			expect_blocked(_metadata, writer);
			job_kill(_metadata, job, SIGKILL);
		}
		EXPECT_EQ(2, job_join(_metadata, writer));
		expect_post(_metadata, self->g, &pre, 2);
		if (cloexec)
			job_kill(_metadata, job, SIGKILL);
	}
}

/* What was read of a queue stays with the program that has it, or goes back. */
TEST_F(descriptor, queue_is_executed_with)
{
	for (int cloexec = 0; cloexec < 2; cloexec++) {
		struct group *q = queue_open(_metadata, self->g);
		struct exec_args args = {
			.fd = q->fd, .cloexec = cloexec, .reads = true,
		};
		struct job *writer = write_start(_metadata, "file", "ab");
		struct event pre;
		struct job *job;

		wait_pending(_metadata, self->g, 1);
		job = exec_start(_metadata, &args);
		group_close(q);
		if (!cloexec) {
			expect_nothing(_metadata, self->g);
			EXPECT_EQ(1, group_state(_metadata, self->g).pending);
			job_kill(_metadata, job, SIGKILL);
		}
		pre = expect_pre(_metadata, self->g, writer->pid);
		allow(_metadata, self->g, &pre);
		EXPECT_EQ(2, job_join(_metadata, writer));
		expect_post(_metadata, self->g, &pre, 2);
		if (cloexec)
			job_kill(_metadata, job, SIGKILL);
	}
}

#define SHELL "/bin/sh"

static void *exec_shell(void *arg __maybe_unused)
{
	execl(SHELL, SHELL, "-c", "echo a >>" FS_DIR "/file", NULL);
	return NULL;
}

struct shell_args {
	const struct group *g;
	int flags;
	bool in_thread;
};

static long shell_with_queue(void *arg)
{
	const struct shell_args *args = arg;
	pthread_t thread;

	if (queue_fd(args->g, args->flags) < 0)
		return -1;
	if (!args->in_thread)
		exec_shell(NULL);
	else if (!pthread_create(&thread, NULL, exec_shell, NULL))
		for (;;)
			pause();
	return -1;
}

/* It remains the same process, whichever of its threads becomes the program. */
TEST_F(descriptor, exempt_program)
{
	for (int i = 0; i < 4; i++) {
		struct shell_args args = {
			.g = self->g,
			.flags = i & 1 ? O_CLOEXEC : 0,
			.in_thread = i & 2,
		};
		struct job *job = __job_prepare(_metadata, shell_with_queue,
						&args, true);
		struct event pre;

		job_go(_metadata, job);
		if (args.flags & O_CLOEXEC) {
			pre = expect_pre(_metadata, self->g, job->pid);
			allow(_metadata, self->g, &pre);
			expect_post(_metadata, self->g, &pre, 2);
		}
		job_executed(_metadata, job);
		expect_silence(_metadata, self->g);
	}
}

/* --------------------------- other descriptors --------------------------- */

/* Descriptors of one file are one. */
TEST_F(descriptor, duplicated)
{
	/* There before that is duplicated, as they close what they know of. */
	struct job *jobs[] = {
		write_prepare(_metadata, "file", "ab"),
		write_prepare(_metadata, "file", "ab"),
	};
	struct group again = { .fd = dup(self->q->fd) };
	const int last = dup(self->q->fd);
	struct event pre;

	ASSERT_LE(0, again.fd);
	ASSERT_LE(0, last);
	job_go(_metadata, jobs[0]);
	pre = expect_pre(_metadata, self->q, jobs[0]->pid);
	group_close(self->q);
	expect_nothing(_metadata, self->g);
	allow(_metadata, &again, &pre);
	EXPECT_EQ(2, job_join(_metadata, jobs[0]));
	expect_post(_metadata, self->g, &pre, 2);

	job_go(_metadata, jobs[1]);
	expect_pre(_metadata, &again, jobs[1]->pid);
	close(again.fd);
	expect_nothing(_metadata, self->g);
	close(last);
	serve_write(_metadata, self->g, jobs[1], 2);
}

static long serve_received(void *arg)
{
	const int fd = receive_fd(*(int *)arg);

	return fd < 0 ? -1 : allow_one(fd).pid;
}

static long own_received(void *arg)
{
	struct write_args args = { .path = "file", .text = "ab" };
	const int fd = receive_fd(*(int *)arg);

	return fd < 0 || ioctl(fd, FAN_IOC_OWN) ? -1 : do_write(&args);
}

/* Who gets a descriptor from a socket can do what those can who had it. */
TEST_F(descriptor, received)
{
	struct group *all[] = { self->g, self->q };
	struct job *server, *job;
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	FOR_EACH_ROW(i, all) {
		server = job_prepare(_metadata, serve_received, &sockets[1]);
		ASSERT_EQ(0, send_fd(sockets[0], all[i]->fd));
		expect_served(_metadata, self->g, server);

		/* It is exempt when it has said that it is the one. */
		ASSERT_EQ(0, send_fd(sockets[0], all[i]->fd));
		job = job_start(_metadata, own_received, &sockets[1]);
		EXPECT_EQ(2, job_join(_metadata, job));
		expect_silence(_metadata, self->g);
	}
	/* So no one else is. */
	expect_self(_metadata, self->g, true);
	close(sockets[0]);
	close(sockets[1]);
}

/* On its way it is open, and if it arrives nowhere it is closed. */
TEST_F(descriptor, never_received)
{
	struct group *q = queue_open(_metadata, self->g);
	struct job *job = write_start(_metadata, "file", "ab");
	const struct event pre = expect_pre(_metadata, q, job->pid);
	int sockets[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
				sockets));
	ASSERT_EQ(0, send_fd(sockets[0], q->fd));
	group_close(q);
	expect_nothing(_metadata, self->g);
	EXPECT_EQ(-ENOENT, try_answer(self->g, pre.cookie, FAN_ALLOW));
	close(sockets[0]);
	close(sockets[1]);
	serve_write(_metadata, self->g, job, 2);
}

TEST_HARNESS_MAIN
