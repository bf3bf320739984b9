/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hold points: places in the kernel where the tasks of one process can be made
 * to stay, so that a race is looked at instead of hoped for.
 *
 *	look	marks are about to be read, of an object that is watched
 *	marks	in a hook, the marks of a group read and not yet used
 *	begin	an operation was allowed and has not started
 *	end	an operation has ended and is not yet reported
 *	free	a mark was taken from its group, and is not yet freed
 *	ignore	an answer is about to have something ignored
 *	fdinfo	marks were listed, and their inodes are still referenced
 *	register  marks of a group that fails closed are about to be changed; who is
 *		killed stays as well
 *	takeover  the marks of a group that takes over are in effect, and those of
 *		the sentinel are still there; who is killed stays as well
 */

#ifndef __HOLD_H
#define __HOLD_H

#include "common.h"

#define HOLD_DIR "/sys/kernel/debug/fsnotify/hold"

static inline void hold_path(char *path, size_t size, const char *point)
{
	snprintf(path, size, HOLD_DIR "/%s", point);
}

/* The tasks of process @pid will stay at @point. */
static inline void hold(struct __test_metadata *const _metadata,
			const char *point, pid_t pid)
{
	char path[64], text[16];

	hold_path(path, sizeof(path), point);
	snprintf(text, sizeof(text), "%d", pid);
	ASSERT_EQ(0, write_file(path, 0, text));
}

static inline void release(struct __test_metadata *const _metadata,
			   const char *point)
{
	hold(_metadata, point, 0);
}

/* Number of tasks that are there now. */
static inline int held(struct __test_metadata *const _metadata,
		       const char *point)
{
	char path[64], buf[16];

	hold_path(path, sizeof(path), point);
	ASSERT_LT(0, read_file(path, buf, sizeof(buf)));
	return atoi(buf);
}

static inline void wait_held(struct __test_metadata *const _metadata,
			     const char *point)
{
	ASSERT_TRUE(EVENTUALLY(held(_metadata, point) == 1));
}

static inline void release_all(void)
{
	write_file(HOLD_DIR "/look", 0, "0");
	write_file(HOLD_DIR "/marks", 0, "0");
	write_file(HOLD_DIR "/begin", 0, "0");
	write_file(HOLD_DIR "/end", 0, "0");
	write_file(HOLD_DIR "/free", 0, "0");
	write_file(HOLD_DIR "/ignore", 0, "0");
	write_file(HOLD_DIR "/fdinfo", 0, "0");
	write_file(HOLD_DIR "/register", 0, "0");
	write_file(HOLD_DIR "/takeover", 0, "0");
}

static inline bool holds_available(struct __test_metadata *const _metadata)
{
	/* Of no consequence if it is there, or cannot be had. */
	if (access("/sys/kernel/debug/fsnotify", F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (access(HOLD_DIR "/marks", F_OK))
		return false;

	guard_start(_metadata, release_all);
	return true;
}

/* After the file system is set up, which makes the mount namespace. */
#define REQUIRE_HOLDS() do {						\
	if (!holds_available(_metadata))				\
		SKIP(return, "no CONFIG_FSNOTIFY_HOLD_POINTS");		\
} while (0)

#endif /* __HOLD_H */
