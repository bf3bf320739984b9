/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A reader of a group whose buffer is a page of a file system in user space: it
 * has taken an event, and hangs in the copy until the page is said not to be there.
 */

#ifndef __STALLED_H
#define __STALLED_H

#include <pthread.h>

#include "fuse.h"
#include "group.h"

struct stalled {
	struct group *g;
	struct fuse_server fs;
	__u64 fault;		/* number of the request for the page, or 0 */
	bool fails;		/* so do all requests for it from here on */
	char *page;
	pthread_t server;
	pthread_t reader;
	ssize_t ret;
	int error;
};

/* Answers all but what asks for the page, before it is said that this fails. */
static inline void *stalled_serve(void *arg)
{
	static char buf[FUSE_MIN_READ_BUFFER + 4096]
		__attribute__((aligned(8)));
	const struct fuse_in_header *in = (void *)buf;
	struct stalled *s = arg;

	while (read(s->fs.fd, buf, sizeof(buf)) > 0) {
		if (in->opcode != FUSE_READ)
			fuse_serve(&s->fs, in, in + 1);
		else if (__atomic_load_n(&s->fails, __ATOMIC_SEQ_CST))
			fuse_reply(s->fs.fd, in->unique, EIO, NULL, 0);
		else
			__atomic_store_n(&s->fault, in->unique,
					 __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static inline bool stalled_init(struct __test_metadata *const _metadata,
				struct stalled *s, struct group *g)
{
	int fd;

	s->g = g;
	s->fs.fd = fuse_mount(_metadata);
	if (s->fs.fd < 0)
		return false;

	ASSERT_EQ(0, pthread_create(&s->server, NULL, stalled_serve, s));
	fd = open(FUSE_FILE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	s->page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, s->page)
		TH_LOG("mmap: %s", strerror(errno));
	close(fd);
	return true;
}

#define REQUIRE_STALLED(s, g) do {					\
	if (!stalled_init(_metadata, s, g))				\
		SKIP(return, "no /dev/fuse");				\
} while (0)

static inline void *stalled_read(void *arg)
{
	struct stalled *s = arg;

	s->ret = read(s->g->fd, s->page, 4096);
	s->error = errno;
	return NULL;
}

/* It has taken the first event. */
static inline void stalled_start(struct __test_metadata *const _metadata,
				 struct stalled *s)
{
	ASSERT_EQ(0, pthread_create(&s->reader, NULL, stalled_read, s));
	ASSERT_TRUE(EVENTUALLY(__atomic_load_n(&s->fault, __ATOMIC_SEQ_CST)));
}

/* There is no page. */
static inline void stalled_fail(struct __test_metadata *const _metadata,
				struct stalled *s)
{
	/* It can be asked for again. */
	__atomic_store_n(&s->fails, true, __ATOMIC_SEQ_CST);
	ASSERT_EQ(0, fuse_reply(s->fs.fd, s->fault, EIO, NULL, 0));
	ASSERT_EQ(0, pthread_join(s->reader, NULL));
	EXPECT_EQ(-1, s->ret);
	EXPECT_EQ(EFAULT, s->error);
}

#endif /* __STALLED_H */
