/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One byte of a file by aio and by io_uring: submitted and reaped, one request
 * at a time.
 */

#ifndef __BENCH_ASYNC_H
#define __BENCH_ASYNC_H

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "measure.h"

static aio_context_t aio_ctx;

static void aio_open(void)
{
	if (syscall(__NR_io_setup, 1, &aio_ctx))
		die("io_setup");
}

static void aio_close(void)
{
	if (syscall(__NR_io_destroy, aio_ctx))
		die("io_destroy");
	aio_ctx = 0;
}

static void aio_do(int opcode, int fd, void *buf)
{
	struct iocb cb = {
		.aio_lio_opcode = opcode,
		.aio_fildes = fd,
		.aio_buf = (unsigned long)buf,
		.aio_nbytes = 1,
	}, *cbs = &cb;
	struct io_event event;

	if (syscall(__NR_io_submit, aio_ctx, 1, &cbs) != 1)
		die("io_submit");
	if (syscall(__NR_io_getevents, aio_ctx, 1, 1, &event, NULL) != 1 ||
	    event.res != 1)
		die("io_getevents");
}

static int uring_fd = -1;
static struct io_uring_params uring_params;
static char *uring_map;
static size_t uring_size;
static struct io_uring_sqe *uring_sqe;

static unsigned int *uring_word(unsigned int offset)
{
	return (unsigned int *)(uring_map + offset);
}

static void uring_open(void)
{
	struct io_uring_params *p = &uring_params;
	size_t cq_size;

	*p = (struct io_uring_params) {};
	uring_fd = syscall(__NR_io_uring_setup, 1, p);
	if (uring_fd < 0)
		die("io_uring_setup");

	uring_size = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	cq_size = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	if (uring_size < cq_size)
		uring_size = cq_size;
	uring_map = mmap(NULL, uring_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 uring_fd, IORING_OFF_SQ_RING);
	uring_sqe = mmap(NULL, sizeof(*uring_sqe), PROT_READ | PROT_WRITE,
			 MAP_SHARED, uring_fd, IORING_OFF_SQES);
	if (uring_map == MAP_FAILED || uring_sqe == MAP_FAILED)
		die("mmap of the ring");
	*uring_word(p->sq_off.array) = 0;
}

static void uring_close(void)
{
	munmap(uring_sqe, sizeof(*uring_sqe));
	munmap(uring_map, uring_size);
	close(uring_fd);
	uring_fd = -1;
}

static void uring_do(int opcode, int fd, void *buf)
{
	const struct io_uring_params *p = &uring_params;
	unsigned int *tail = uring_word(p->sq_off.tail);
	unsigned int *head = uring_word(p->cq_off.head);
	const struct io_uring_cqe *cqes;

	*uring_sqe = (struct io_uring_sqe) {
		.opcode = opcode,
		.fd = fd,
		.addr = (unsigned long)buf,
		.len = 1,
	};
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, uring_fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		die("io_uring_enter");

	cqes = (const struct io_uring_cqe *)(uring_map + p->cq_off.cqes);
	if (cqes[*head & *uring_word(p->cq_off.ring_mask)].res != 1)
		die("io_uring");
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

#endif /* __BENCH_ASYNC_H */
