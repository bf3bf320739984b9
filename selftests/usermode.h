/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that the kernel starts by itself, as children of kthreadd: what they
 * see of the file system is what init sees, and not the test's own namespace.
 */

#ifndef __USERMODE_H
#define __USERMODE_H

#include "common.h"

#define MODPROBE	"/proc/sys/kernel/modprobe"

static inline bool same_root_as_init(void)
{
	char init[64] = "", self[64] = "";
	struct stat a, b;

	return readlink("/proc/1/ns/mnt", init, sizeof(init) - 1) > 0 &&
	       readlink("/proc/self/ns/mnt", self, sizeof(self) - 1) > 0 &&
	       !strcmp(init, self) && !stat("/proc/1/root/", &a) &&
	       !stat("/", &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* A directory of the machine, which may have a root that cannot be written. */
static inline void usermode_dir(struct __test_metadata *const _metadata,
				char *path, size_t size)
{
	static const char *const dirs[] = { "/run", "/tmp", "/dev/shm" };
	bool made = false;

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && !made; i++) {
		snprintf(path, size, "%s/vfs-filter-XXXXXX", dirs[i]);
		made = mkdtemp(path);
	}
	ASSERT_TRUE(made);
}

#endif /* __USERMODE_H */
