/* SPDX-License-Identifier: GPL-2.0 */
/* Calls about a group that wait, made by threads of the test. */

#ifndef __CALL_H
#define __CALL_H

#include <pthread.h>

#include "group.h"

/*
 * A thread of the test that makes one call, which others can see it to be in. It
 * has the descriptors of the test, so a group is closed when it is left alone.
 */
struct call {
	pthread_t thread;
	pid_t tid;		/* 0 until it runs */
	long nr;		/* of the call */
	const struct group *g;
	union {
		int fd;
		struct answer answer;
		struct pollfd pfd;
		struct {
			unsigned int flags;
			__u64 mask;
			const char *path;
		} mark;
	};
	long ret;		/* of the call, or -errno */
};

static inline long call_make(struct call *c)
{
	switch (c->nr) {
	case __NR_poll:
		return poll(&c->pfd, 1, -1);
	case __NR_close:
		return close(c->fd);
	case __NR_write:
		return write(c->g->fd, &c->answer, sizeof(c->answer));
	default:
		return sys_fanotify_mark(c->g->fd, c->mark.flags, c->mark.mask,
					 AT_FDCWD, c->mark.path);
	}
}

static inline void *call_fn(void *arg)
{
	struct call *c = arg;

	__atomic_store_n(&c->tid, sys_gettid(), __ATOMIC_RELEASE);
	c->ret = call_make(c);
	if (c->ret < 0)
		c->ret = -errno;
	return NULL;
}

static inline bool call_waits(const struct call *c)
{
	const pid_t tid = __atomic_load_n(&c->tid, __ATOMIC_ACQUIRE);
	char path[64], buf[256];

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	return tid && read_file(path, buf, sizeof(buf)) > 0 &&
	       strncmp(buf, "running", 7) && strtol(buf, NULL, 10) == c->nr;
}

static inline void call_start(struct __test_metadata *const _metadata,
			      struct call *c)
{
	ASSERT_EQ(0, pthread_create(&c->thread, NULL, call_fn, c));
	ASSERT_TRUE(EVENTUALLY(call_waits(c)))
		TH_LOG("call %ld does not wait", c->nr);
}

static inline long call_join(struct __test_metadata *const _metadata,
			     struct call *c)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += TIMEOUT_MS / 1000;
	ASSERT_EQ(0, pthread_timedjoin_np(c->thread, NULL, &end))
		TH_LOG("call %ld still waits", c->nr);
	return c->ret;
}

#endif /* __CALL_H */
