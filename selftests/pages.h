/* SPDX-License-Identifier: GPL-2.0 */
/* Files of a few pages, to be mapped. */

#ifndef __PAGES_H
#define __PAGES_H

#include "common.h"

#define PAGE		4096
#define SIZE		(4 * PAGE)
#define RW		(PROT_READ | PROT_WRITE)

static inline void put_pages(struct __test_metadata *const _metadata,
			     const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	close(fd);
}

#endif /* __PAGES_H */
