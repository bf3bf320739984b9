/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tests of many at once: how many they are, and what memory they take.
 *
 * Numbers are for a machine that is emulated, and can be set in the environment:
 * make test-load does, and says how many are meant.
 */

#ifndef __LOAD_H
#define __LOAD_H

#include "cgroup.h"
#include "group.h"

static inline int number_of(const char *variable, int otherwise)
{
	const char *n = getenv(variable);

	return n ? atoi(n) : otherwise;
}

/*
 * A group whose memory is counted by itself: it is made in a cgroup that has
 * nothing else, for what events take is charged to who has made the group.
 */
#define COUNTED_GROUP(g, flags) do {					\
	cgroup_mount(_metadata);					\
	if (cgroup_write(CGROUP_DIR, "cgroup.subtree_control", "+memory"))	\
		SKIP(return, "no memory controller: %s", strerror(errno));	\
	cgroup_begin(_metadata);					\
	ASSERT_EQ(0, enter(cgroup, getpid()));				\
	(g) = group_open(_metadata, flags);				\
	ASSERT_EQ(0, enter(CGROUP_DIR, getpid()));			\
} while (0)

/* Bytes of kernel memory that are charged to the cgroup. */
static inline long counted_bytes(struct __test_metadata *const _metadata)
{
	char path[96], buf[4096];
	const char *line;

	snprintf(path, sizeof(path), "%s/memory.stat", cgroup);
	ASSERT_LT(0, read_file(path, buf, sizeof(buf)));
	line = strstr(buf, "\nkernel ");
	ASSERT_NE(NULL, line);
	return atol(line + strlen("\nkernel "));
}

/* Bytes of a line of /proc/meminfo. */
static inline long meminfo(struct __test_metadata *const _metadata,
			   const char *name)
{
	char buf[4096], start[32];
	const char *line;

	ASSERT_LT(0, read_file("/proc/meminfo", buf, sizeof(buf)));
	snprintf(start, sizeof(start), "\n%s:", name);
	line = strstr(buf, start);
	ASSERT_NE(NULL, line);
	return atol(line + strlen(start)) * 1024;
}

#endif /* __LOAD_H */
