/* SPDX-License-Identifier: GPL-2.0 */
/* Readers of a group, whose buffer is not there until someone says so. */

#ifndef __READER_H
#define __READER_H

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include "group.h"

struct reader {
	struct group *g;
	int uffd;
	char *page;
	size_t size;		/* enough for an event */
	pthread_t thread;
	ssize_t ret;
	int error;
};

static inline void *reader_fn(void *arg)
{
	struct reader *r = arg;

	r->ret = read(r->g->fd, r->page, r->size);
	r->error = errno;
	return NULL;
}

static inline bool reader_init(struct __test_metadata *const _metadata,
			       struct reader *r, struct group *g)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	r->g = g;
	r->uffd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (r->uffd < 0)
		return false;
	ASSERT_EQ(0, ioctl(r->uffd, UFFDIO_API, &api));
	r->page = mmap(NULL, FAN_EVENT_MAX_LEN, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, r->page);
	reg.range.start = (unsigned long)r->page;
	reg.range.len = FAN_EVENT_MAX_LEN;
	ASSERT_EQ(0, ioctl(r->uffd, UFFDIO_REGISTER, &reg));
	return true;
}

/* It has taken one of the events, all of the same length, and hangs in the copy. */
static inline void reader_start(struct __test_metadata *const _metadata,
				struct reader *r)
{
	const long queued = group_state(_metadata, r->g).queued;
	int bytes;

	ASSERT_EQ(0, ioctl(r->g->fd, FIONREAD, &bytes));
	r->size = bytes / queued;
	ASSERT_EQ(0, pthread_create(&r->thread, NULL, reader_fn, r));
	ASSERT_TRUE(EVENTUALLY(group_state(_metadata, r->g).queued ==
			       queued - 1));
}

/* There is no page, and never will be. */
static inline void reader_fail(struct __test_metadata *const _metadata,
			       struct reader *r)
{
	struct uffdio_range range = {
		.start = (unsigned long)r->page,
		.len = FAN_EVENT_MAX_LEN,
	};

	ASSERT_EQ(0, munmap(r->page, FAN_EVENT_MAX_LEN));
	ioctl(r->uffd, UFFDIO_WAKE, &range);
	close(r->uffd);
	ASSERT_EQ(0, pthread_join(r->thread, NULL));
	EXPECT_EQ(-1, r->ret);
	EXPECT_EQ(EFAULT, r->error);
}

/* Here it is. */
static inline struct event
reader_go_on(struct __test_metadata *const _metadata, struct reader *r)
{
	struct uffdio_zeropage zero = {
		.range.start = (unsigned long)r->page,
		.range.len = FAN_EVENT_MAX_LEN,
	};

	ASSERT_EQ(0, ioctl(r->uffd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(0, pthread_join(r->thread, NULL));
	ASSERT_LT(0, r->ret)
		TH_LOG("read: %s", strerror(r->error));
	close(r->uffd);
	return event_parse(_metadata, r->page, r->ret);
}

#define REQUIRE_READER(r, g) do {					\
	if (!reader_init(_metadata, r, g))				\
		SKIP(return, "no userfaultfd: %s", strerror(errno));	\
} while (0)

#endif /* __READER_H */
