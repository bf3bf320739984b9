// SPDX-License-Identifier: GPL-2.0
/*
 * A listener that tells a logger what it is asked about, by a socket that is
 * full most of the time. The logger writes it to the file system that is watched,
 * so that it must not wait for who waits for it: docs/listeners.md.
 */

#include <pthread.h>
#include <sys/socket.h>

#include "listener.h"

/* A logger that does not take a line by then never does. */
#define SOON_S		20

#define LOG		"log"
#define LOG_WRITERS	8
#define LOG_WRITES	10

static int log_fds[2];

/* Writes what it receives to where it is asked about that. */
static long logger(void *arg)
{
	const int fd = open(LOG, O_WRONLY | O_CREAT | O_APPEND, 0644);
	char buf[256];
	ssize_t n;

	(void)arg;
	close(log_fds[1]);
	while ((n = read(log_fds[0], buf, sizeof(buf))) > 0)
		if (write(fd, buf, n) != n)
			return -1;
	return n;
}

static struct job *logger_start(struct __test_metadata *const _metadata,
				bool is_exempt)
{
	const struct timeval soon = { .tv_sec = SOON_S };
	struct job *job;

	/* As small as it can be, and so full most of the time. */
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
				log_fds));
	ASSERT_EQ(0, setsockopt(log_fds[1], SOL_SOCKET, SO_SNDBUF, &(int){ 1 },
				sizeof(int)));
	ASSERT_EQ(0, setsockopt(log_fds[1], SOL_SOCKET, SO_SNDTIMEO, &soon,
				sizeof(soon)));
	job = job_prepare(_metadata, logger, NULL);
	if (is_exempt)
		ASSERT_EQ(0, enter(cgroup, job->pid));
	job_go(_metadata, job);
	close(log_fds[0]);
	return job;
}

static bool say(const struct event *ev)
{
	char text[64];
	const int n = snprintf(text, sizeof(text), "%llu by %d\n",
			       (unsigned long long)ev->cookie, ev->pid);

	return send(log_fds[1], text, n, MSG_NOSIGNAL) == n;
}

static long write_often(void *arg)
{
	struct write_args args = { .path = arg, .text = "ab" };

	for (int i = 0; i < LOG_WRITES; i++)
		if (do_write(&args) != 2)
			return -1;
	return 0;
}

static bool all_ended(struct job *const *jobs, int n)
{
	while (n && job_ended(jobs[n - 1], 0))
		n--;
	return !n;
}

static void log_end(struct __test_metadata *const _metadata, struct job *job)
{
	close(log_fds[1]);
	EXPECT_EQ(0, job_join(_metadata, job));
}

/* The thread that answers waits for it with each line: it is exempt. */
TEST_F(listener, logger_is_exempt)
{
	struct job *job, *writers[LOG_WRITERS];
	unsigned int lines = 0;
	char buf[32 << 10];
	struct event ev;

	cgroup_exempt(_metadata, self->g->fd);
	job = logger_start(_metadata, true);
	for (int i = 0; i < LOG_WRITERS; i++)
		writers[i] = job_start(_metadata, write_often, "file");
	while (!all_ended(writers, LOG_WRITERS)) {
		if (!group_readable(self->g, 10))
			continue;
		ev = event_next(_metadata, self->g);
		if (!(ev.mask & ALL_PRE))
			continue;
		ASSERT_NE(job->pid, ev.pid);
		ASSERT_TRUE(say(&ev))
			TH_LOG("the logger does not take it");
		allow(_metadata, self->g, &ev);
	}
	for (int i = 0; i < LOG_WRITERS; i++)
		EXPECT_EQ(0, job_join(_metadata, writers[i]));
	log_end(_metadata, job);
	ASSERT_LT(0, read_file(LOG, buf, sizeof(buf)));
	for (const char *at = buf; (at = strchr(at, '\n')); at++)
		lines++;
	EXPECT_EQ((unsigned int)LOG_WRITERS * LOG_WRITES, lines);
	serve_rest(_metadata, self->g);
}

/* Lines that wait for a thread that waits for the logger. */
static int lines_fds[2];

static void *say_in_thread(void *arg)
{
	struct event ev;

	while (read(lines_fds[0], &ev, sizeof(ev)) == (ssize_t)sizeof(ev))
		if (!say(&ev))
			break;
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Or another thread waits for it, and the one that answers drops what is too many. */
TEST_F(listener, logger_of_another_thread)
{
	struct job *job = logger_start(_metadata, false);
	struct job *writers[LOG_WRITERS];
	unsigned int asked_by_logger = 0;
	struct event ev;
	pthread_t thread;
	bool ended = false;

	ASSERT_EQ(0, pipe2(lines_fds, O_CLOEXEC));
	ASSERT_EQ(0, fcntl(lines_fds[1], F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, pthread_create(&thread, NULL, say_in_thread, &ended));
	for (int i = 0; i < LOG_WRITERS; i++)
		writers[i] = job_start(_metadata, write_often, "file");
	while (!all_ended(writers, LOG_WRITERS) || !asked_by_logger) {
		if (!group_readable(self->g, 10))
			continue;
		ev = event_next(_metadata, self->g);
		if (!(ev.mask & ALL_PRE))
			continue;
		if (ev.pid == job->pid)
			asked_by_logger++;
		else if (write(lines_fds[1], &ev, sizeof(ev)) < 0)
			EXPECT_EQ(EAGAIN, errno);
		allow(_metadata, self->g, &ev);
	}
	for (int i = 0; i < LOG_WRITERS; i++)
		EXPECT_EQ(0, job_join(_metadata, writers[i]));
	close(lines_fds[1]);
	SERVE_UNTIL(self->g, 0, __atomic_load_n(&ended, __ATOMIC_ACQUIRE));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	close(log_fds[1]);
	SERVE_UNTIL(self->g, 0, job_ended(job, 0));
	EXPECT_EQ(0, job_join(_metadata, job));
	serve_rest(_metadata, self->g);
}

TEST_HARNESS_MAIN
