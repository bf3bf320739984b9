/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A file system in user space with one file, "file", whose server reads it from
 * a file of its own each time that someone reads it.
 */

#ifndef __FUSE_H
#define __FUSE_H

#include <linux/fuse.h>
#include <sys/uio.h>

#include "common.h"

#define FUSE_DIR	WORK_DIR "/fuse"
#define FUSE_FILE	FUSE_DIR "/file"
#define FUSE_NODE	2

struct fuse_server {
	int fd;			/* of /dev/fuse */
	const char *path;	/* of what it serves */
};

static inline int fuse_reply(int fd, __u64 unique, int error, const void *data,
			     size_t len)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + len,
		.error = -error,
		.unique = unique,
	};
	struct iovec iov[] = { { &out, sizeof(out) }, { (void *)data, len } };

	if (writev(fd, iov, 2) == (ssize_t)out.len)
		return 0;
	/* Who has asked is gone, as it is unmounted. */
	return errno == ENOENT ? 0 : -1;
}

static inline struct fuse_attr fuse_attr_of(__u64 node)
{
	return (struct fuse_attr) {
		.ino = node,
		.size = node == FUSE_NODE ? 4096 : 0,
		.mode = node == FUSE_NODE ? S_IFREG | 0644 : S_IFDIR | 0755,
		.nlink = 1,
	};
}

/* A page of it, as it is now. */
static inline int fuse_read(const struct fuse_server *s, __u64 unique,
			    const struct fuse_read_in *in)
{
	char buf[4096];
	const int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return fuse_reply(s->fd, unique, errno, NULL, 0);
	n = pread(fd, buf, in->size < sizeof(buf) ? in->size : sizeof(buf),
		  in->offset);
	close(fd);
	return n < 0 ? fuse_reply(s->fd, unique, errno, NULL, 0) :
		       fuse_reply(s->fd, unique, 0, buf, n);
}

static inline int fuse_serve(const struct fuse_server *s,
			     const struct fuse_in_header *in, const void *arg)
{
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096,
	};
	const struct fuse_entry_out entry = {
		.nodeid = FUSE_NODE,
		.attr = fuse_attr_of(FUSE_NODE),
	};
	const struct fuse_attr_out attr = { .attr = fuse_attr_of(in->nodeid) };
	const struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO };

	switch (in->opcode) {
	case FUSE_INIT:
		return fuse_reply(s->fd, in->unique, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return fuse_reply(s->fd, in->unique, 0, &entry, sizeof(entry));
	case FUSE_GETATTR:
		return fuse_reply(s->fd, in->unique, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
		return fuse_reply(s->fd, in->unique, 0, &opened,
				  sizeof(opened));
	case FUSE_READ:
		return fuse_read(s, in->unique, arg);
	case FUSE_FORGET:
	case FUSE_INTERRUPT:
		return 0;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return fuse_reply(s->fd, in->unique, 0, NULL, 0);
	}
	return fuse_reply(s->fd, in->unique, ENOSYS, NULL, 0);
}

/* A job: until it is unmounted. */
static inline long fuse_server(void *arg)
{
	const struct fuse_server *s = arg;
	static char buf[FUSE_MIN_READ_BUFFER + 4096]
		__attribute__((aligned(8)));

	while (read(s->fd, buf, sizeof(buf)) > 0)
		if (fuse_serve(s, (void *)buf,
			       buf + sizeof(struct fuse_in_header)))
			return -1;
	return errno == ENODEV ? 0 : -1;
}

/* Mounts it. Whoever is to serve it has to have its descriptor. */
static inline int fuse_mount(struct __test_metadata *const _metadata)
{
	const int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char options[96];

	if (fd < 0)
		return -1;
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	ASSERT_EQ(0, mkdir(FUSE_DIR, 0755));
	ASSERT_EQ(0, mount("vfs-filter", FUSE_DIR, "fuse", 0, options))
		TH_LOG("mount fuse: %s", strerror(errno));
	return fd;
}

#endif /* __FUSE_H */
