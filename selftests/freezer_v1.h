/* SPDX-License-Identifier: GPL-2.0 */
/* A cgroup of the freezer of v1, which does as suspend does. */

#ifndef __FREEZER_V1_H
#define __FREEZER_V1_H

#include "cgroup.h"

#define FREEZER_DIR	WORK_DIR "/freezer"

static char freezer[64];

static inline void freezer_end(void)
{
	cgroup_write(freezer, "freezer.state", "THAWED");
	EVENTUALLY(!rmdir(freezer) || errno != EBUSY);
}

/* False if there is no such freezer. */
static inline bool freezer_begin(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(FREEZER_DIR, 0755));
	if (mount("vfs-filter", FREEZER_DIR, "cgroup", 0, "freezer"))
		return false;
	snprintf(freezer, sizeof(freezer), FREEZER_DIR "/vfs-filter-%d",
		 getpid());
	ASSERT_EQ(0, mkdir(freezer, 0755));
	guard_start(_metadata, freezer_end);
	return true;
}

static inline bool is_frozen_by_v1(void)
{
	char path[96], buf[16];

	snprintf(path, sizeof(path), "%s/freezer.state", freezer);
	return read_file(path, buf, sizeof(buf)) > 0 && !strcmp(buf, "FROZEN\n");
}

static inline void freeze_by_v1(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, cgroup_write(freezer, "freezer.state", "FROZEN"));
	ASSERT_TRUE(EVENTUALLY(is_frozen_by_v1()));
}

static inline void thaw_by_v1(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, cgroup_write(freezer, "freezer.state", "THAWED"));
}

#endif /* __FREEZER_V1_H */
