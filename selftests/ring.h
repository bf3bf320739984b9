/* SPDX-License-Identifier: GPL-2.0 */
/* io_uring, as far as tests need it. */

#ifndef __RING_H
#define __RING_H

#include <linux/io_uring.h>

#include "common.h"

#define RING_ENTRIES	64

struct ring {
	int fd;
	unsigned int *sq_head, *sq_tail, *sq_array, sq_mask;
	unsigned int *cq_head, *cq_tail, cq_mask;
	unsigned int unsubmitted;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	bool sqpoll;
	unsigned int *sq_flags;
	/* what is mapped, which keeps the ring open */
	void *map;
	size_t map_size, sqes_size;
};

/* Returns 0, or -1 with errno. The ring goes with the process. */
static inline int ring_open(struct ring *r, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags };
	size_t size, cq_size;
	char *map;

	*r = (struct ring) {};
	r->fd = syscall(__NR_io_uring_setup, RING_ENTRIES, &p);
	if (r->fd < 0)
		return -1;

	size = p.sq_off.array + p.sq_entries * sizeof(*r->sq_array);
	cq_size = p.cq_off.cqes + p.cq_entries * sizeof(*r->cqes);
	if (size < cq_size)
		size = cq_size;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		   IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, p.sq_entries * sizeof(*r->sqes),
		       PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
		       IORING_OFF_SQES);
	if (map == MAP_FAILED || r->sqes == MAP_FAILED)
		return -1;

	r->sq_head = (unsigned int *)(map + p.sq_off.head);
	r->sq_tail = (unsigned int *)(map + p.sq_off.tail);
	r->sq_mask = *(unsigned int *)(map + p.sq_off.ring_mask);
	r->sq_flags = (unsigned int *)(map + p.sq_off.flags);
	r->sq_array = (unsigned int *)(map + p.sq_off.array);
	r->cq_head = (unsigned int *)(map + p.cq_off.head);
	r->cq_tail = (unsigned int *)(map + p.cq_off.tail);
	r->cq_mask = *(unsigned int *)(map + p.cq_off.ring_mask);
	r->cqes = (struct io_uring_cqe *)(map + p.cq_off.cqes);
	r->sqpoll = flags & IORING_SETUP_SQPOLL;
	r->map = map;
	r->map_size = size;
	r->sqes_size = p.sq_entries * sizeof(*r->sqes);
	return 0;
}

static inline struct io_uring_sqe *ring_sqe(struct ring *r, int opcode, int fd,
				     __u64 user_data)
{
	const unsigned int i = (*r->sq_tail + r->unsubmitted++) & r->sq_mask;
	struct io_uring_sqe *sqe = &r->sqes[i];

	*sqe = (struct io_uring_sqe) {
		.opcode = opcode,
		.fd = fd,
		.user_data = user_data,
	};
	r->sq_array[i] = i;
	return sqe;
}

static inline void ring_rw(struct ring *r, int opcode, int fd, void *buf, size_t len,
		    off_t off, __u64 user_data)
{
	struct io_uring_sqe *sqe = ring_sqe(r, opcode, fd, user_data);

	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	sqe->off = off;
}

static inline int ring_enter(struct ring *r, unsigned int submit, unsigned int wait,
		      unsigned int flags)
{
	return syscall(__NR_io_uring_enter, r->fd, submit, wait,
		       flags | (wait ? IORING_ENTER_GETEVENTS : 0), NULL, 0);
}

/* Submits all there is, and waits for none of it. */
static inline int ring_submit(struct ring *r)
{
	const unsigned int n = r->unsubmitted;

	__atomic_store_n(r->sq_tail, *r->sq_tail + n, __ATOMIC_RELEASE);
	r->unsubmitted = 0;
	if (r->sqpoll)
		return ring_enter(r, n, 0, IORING_ENTER_SQ_WAKEUP) < 0 ? -1 : 0;
	if (ring_enter(r, n, 0, 0) == (int)n)
		return 0;
	if (!errno)
		errno = EIO;
	return -1;
}

/* The next completion. Returns its result, or -EIO if there is none. */
static inline long ring_wait(struct ring *r, __u64 *user_data)
{
	struct io_uring_cqe *cqe;
	unsigned int head = *r->cq_head;
	long res;

	if (user_data)
		*user_data = 0;
	while (head == __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE))
		if (ring_enter(r, 0, 1, 0) < 0 && errno != EINTR)
			return -EIO;

	cqe = &r->cqes[head & r->cq_mask];
	res = cqe->res;
	if (user_data)
		*user_data = cqe->user_data;
	__atomic_store_n(r->cq_head, head + 1, __ATOMIC_RELEASE);
	return res;
}

static inline void ring_close(struct ring *r)
{
	munmap(r->sqes, r->sqes_size);
	munmap(r->map, r->map_size);
	close(r->fd);
}

#endif /* __RING_H */
