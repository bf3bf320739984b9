/* SPDX-License-Identifier: GPL-2.0 */
/* A listener that watches a file system, and a cgroup that can be exempt. */

#ifndef __LISTENER_H
#define __LISTENER_H

#include "cgroup.h"
#include "fs.h"
#include "queue.h"
#include "serve.h"

FIXTURE(listener)
{
	struct group *g;
};

FIXTURE_SETUP(listener)
{
	REQUIRE_CLASS();
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "as it was");
	cgroup_mount(_metadata);
	cgroup_begin(_metadata);
	self->g = group_open(_metadata, 0);
	mark(_metadata, self->g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
	     FAN_MODIFY, ".");
}

FIXTURE_TEARDOWN(listener)
{
	test_end(_metadata);
}

static inline void watch(struct __test_metadata *const _metadata,
			 struct group *g, __u64 events)
{
	mark(_metadata, g, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, events, ".");
}

#endif /* __LISTENER_H */
