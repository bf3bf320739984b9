/* SPDX-License-Identifier: GPL-2.0 */
/* Cgroups of a test, in a mount of its own of the one hierarchy that there is. */

#ifndef __CGROUP_H
#define __CGROUP_H

#include "common.h"

#define CGROUP_DIR	WORK_DIR "/cgroup"

/* The cgroup of this test, which all others are in. */
static char cgroup[64];

static inline int cgroup_write(const char *dir, const char *file,
			       const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return write_file(path, 0, text);
}

static inline int enter(const char *dir, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", pid);
	return cgroup_write(dir, "cgroup.procs", text);
}

static inline void cgroup_mount(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(CGROUP_DIR, 0755));
	ASSERT_EQ(0, mount("vfs-filter", CGROUP_DIR, "cgroup2", 0, NULL));
	snprintf(cgroup, sizeof(cgroup), CGROUP_DIR "/vfs-filter-%d", getpid());
}

/* All that is in it is killed. Its own cgroups have to be gone. */
static inline void cgroup_end(void)
{
	cgroup_write(cgroup, "cgroup.kill", "1");
	EVENTUALLY(!rmdir(cgroup) || errno != EBUSY);
}

static inline void cgroup_begin(struct __test_metadata *const _metadata)
{
	ASSERT_EQ(0, mkdir(cgroup, 0755));
	guard_start(_metadata, cgroup_end);
}

static inline int cgroup_fd(struct __test_metadata *const _metadata)
{
	const int fd = open(cgroup, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

/* Whoever is in it raises no event to the group that has this descriptor. */
static inline void cgroup_exempt(struct __test_metadata *const _metadata,
				 int group_fd)
{
	const int fd = cgroup_fd(_metadata);

	ASSERT_EQ(0, ioctl(group_fd, FAN_IOC_EXEMPT, fd));
	close(fd);
}

#endif /* __CGROUP_H */
