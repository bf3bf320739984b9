/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Groups that watch what is measured, the process that answers them, and the
 * one that does the operations.
 *
 * The program itself makes the group and is its owner; the operations are those
 * of a child, of which a group of FAN_CLASS_VFS_FILTER is told. The child has
 * the descriptor too and can read its own events. Questions are answered by
 * another child, at once, from one buffer.
 */

#ifndef __BENCH_GROUP_H
#define __BENCH_GROUP_H

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../selftests/wrappers.h"
#include "measure.h"

#define GROUP_EVENTS	(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | \
			 FAN_MOVED_FROM | FAN_MOVED_TO | FAN_CREATE | \
			 FAN_DELETE)
#define GROUP_PRE	FAN_PRE(GROUP_EVENTS)

/* Room for some events of any kind. */
static char group_buf[16384] __attribute__((aligned(8)));

/* How many questions were answered; shared with who answers. */
static unsigned long *group_answered;

static inline int group_open(unsigned int flags)
{
	const int fd = sys_fanotify_init(FAN_CLOEXEC | flags,
					 O_RDONLY | O_CLOEXEC | O_LARGEFILE);

	if (fd < 0)
		die("fanotify_init(%#x)", flags);
	return fd;
}

static inline void group_mark(int fd, unsigned int flags, __u64 mask, int dfd,
			      const char *path)
{
	if (sys_fanotify_mark(fd, flags, mask, dfd, path))
		die("fanotify_mark(%#x, %#llx, %s)", flags,
		    (unsigned long long)mask, path ?: "of a descriptor");
}

static inline void group_close(int fd)
{
	if (close(fd))
		die("close a group");
}

/* -------------------------------- answers -------------------------------- */

struct answer {
	struct fanotify_response response;
	struct fanotify_response_info_op op;
};

/* The OP record, which comes first in each event of the class. */
static inline const struct fanotify_event_info_op *
event_op(const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_op *op = (const void *)(event + 1);

	if (op->hdr.info_type != FAN_EVENT_INFO_TYPE_OP)
		fail("an event begins with a record of type %d",
		     op->hdr.info_type);
	return op;
}

static inline void answer(int fd, const struct fanotify_event_metadata *event,
			  __u32 verdict)
{
	const struct answer a = {
		.response.fd = FAN_NOFD,
		.response.response = verdict | FAN_INFO,
		.op.hdr.type = FAN_RESPONSE_INFO_OP,
		.op.hdr.len = sizeof(a.op),
		.op.cookie = event_op(event)->cookie,
	};

	if (write(fd, &a, sizeof(a)) != sizeof(a))
		die("answer");
}

/* A group of the class is asked by PRE and told by POST. */
static inline void answer_class(int fd,
				const struct fanotify_event_metadata *event)
{
	if (event->mask & FAN_Q_OVERFLOW)
		fail("events were lost");
	if (!(event->mask & GROUP_PRE))
		return;
	/* First, for the other goes on as soon as it has the answer. */
	++*group_answered;
	answer(fd, event, FAN_ALLOW);
}

/* A group of an older class is given the file, open. */
static inline void answer_older(int fd,
				const struct fanotify_event_metadata *event)
{
	const struct fanotify_response response = {
		.fd = event->fd,
		.response = FAN_ALLOW,
	};

	if (event->fd < 0)
		fail("an event without a file, mask %#llx",
		     (unsigned long long)event->mask);
	++*group_answered;
	if (write(fd, &response, sizeof(response)) != sizeof(response))
		die("answer");
	if (close(event->fd))
		die("close the file of an event");
}

typedef void (*answer_fn)(int fd, const struct fanotify_event_metadata *event);

__attribute__((noreturn))
static inline void answer_all(int fd, answer_fn answer)
{
	const struct fanotify_event_metadata *event;
	ssize_t len;

	for (;;) {
		len = read(fd, group_buf, sizeof(group_buf));
		if (len <= 0)
			die("read from a group");
		for (event = (void *)group_buf; FAN_EVENT_OK(event, len);
		     event = FAN_EVENT_NEXT(event, len))
			answer(fd, event);
	}
}

/* ------------------------------- processes ------------------------------- */

/* A child that does not outlive its parent; 0 in the child. */
static inline pid_t spawn(void)
{
	const pid_t parent = getpid();
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL))
			die("prctl");
		if (getppid() != parent)
			exit(1);
	}
	return pid;
}

/* Starts the process that answers for @fd until it is killed. */
static inline pid_t spawn_answerer(int fd, answer_fn answer)
{
	pid_t pid;

	if (!group_answered) {
		group_answered = mmap(NULL, sizeof(*group_answered),
				      PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (group_answered == MAP_FAILED)
			die("mmap");
	}
	*group_answered = 0;
	pid = spawn();
	if (!pid)
		answer_all(fd, answer);
	return pid;
}

/*
 * Waits for the end of @worker. If the one that answers it, or 0, ends before
 * that, nobody would ever, so both end.
 */
static inline void reap_worker(pid_t worker, pid_t answerer)
{
	int status;
	pid_t pid;

	do {
		pid = waitpid(-1, &status, 0);
		if (pid < 0)
			die("waitpid");
	} while (pid != worker && pid != answerer);

	if (pid == answerer) {
		kill(worker, SIGKILL);
		fail("the process that answers has ended");
	}
	if (answerer) {
		if (kill(answerer, SIGKILL))
			die("kill");
		if (waitpid(answerer, NULL, 0) != answerer)
			die("waitpid");
	}
	/* It has said itself what was wrong. */
	if (!WIFEXITED(status))
		fail("a process was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		exit(WEXITSTATUS(status));
}

#endif /* __BENCH_GROUP_H */
