/* SPDX-License-Identifier: GPL-2.0 */
/* One request of aio, for jobs: its context goes with the process. */

#ifndef __AIO_H
#define __AIO_H

#include <linux/aio_abi.h>

#include "common.h"

/* What the kernel says where it does not do so in errno. */
static inline long result_of(long res)
{
	if (res >= 0)
		return res;
	errno = -res;
	return -1;
}

/* Submits it and waits for its end. Returns as a system call does. */
static inline long aio_submit(struct iocb *iocb)
{
	aio_context_t context = 0;
	struct io_event done;

	if (syscall(__NR_io_setup, 1, &context) ||
	    syscall(__NR_io_submit, context, 1, &iocb) != 1 ||
	    syscall(__NR_io_getevents, context, 1, 1, &done, NULL) != 1)
		return -1;
	return result_of(done.res);
}

#endif /* __AIO_H */
