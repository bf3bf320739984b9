/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For tests of who holds a group or a queue: both, and two files, of which others
 * than root may write to one.
 */

#ifndef __HANDED_H
#define __HANDED_H

#include "fs.h"
#include "queue.h"

static inline void handed_setup(struct __test_metadata *const _metadata,
				struct group **g, struct group **q)
{
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_EQ(0, chmod("file", 0666));
	put_file(_metadata, "secret", "");
	ASSERT_EQ(0, chmod("secret", 0600));
	*g = group_open(_metadata, 0);
	mark(_metadata, *g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_MODIFY,
	     ".");
	*q = queue_open(_metadata, *g);
}

static inline void handed_teardown(struct __test_metadata *const _metadata,
				   struct group *q)
{
	/* Before the group, whose end is to be read of it. */
	if (q->fd >= 0)
		group_close(q);
	test_end(_metadata);
}

#endif /* __HANDED_H */
