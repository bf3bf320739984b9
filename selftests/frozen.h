/* SPDX-License-Identifier: GPL-2.0 */
/* A file system on a disk that its listener freezes and thaws itself. */

#ifndef __FROZEN_H
#define __FROZEN_H

#include <linux/fs.h>

#include "fs.h"
#include "group.h"
#include "sentinels.h"

static int fs_fd;

/* Or who is in the middle of something could not end. */
static inline void thaw(void)
{
	ioctl(fs_fd, FITHAW, 0);
	lift_all();
}

/* After the file system is set up: a group that is asked about what is changed. */
static inline struct group *
watch_to_freeze(struct __test_metadata *const _metadata)
{
	struct group *g;

	put_file(_metadata, "file", "as it was");
	fs_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, fs_fd);
	guard_start(_metadata, thaw);
	g = group_open(_metadata, 0);
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY, ".");
	return g;
}

#endif /* __FROZEN_H */
