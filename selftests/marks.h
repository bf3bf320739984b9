/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks as fdinfo lists them, how many a user may have, and the inodes that
 * they are on.
 */

#ifndef __MARKS_H
#define __MARKS_H

#include "common.h"
#include "group.h"

#define MAX_USER_MARKS "/proc/sys/fs/fanotify/max_user_marks"

/* Types of marks, and how fdinfo begins a line about one. */
static const struct {
	unsigned int flag;
	const char *kind;
} types[] __maybe_unused = {
	{ FAN_MARK_INODE, "ino" },
	{ FAN_MARK_MOUNT, "mnt_id" },
	{ FAN_MARK_FILESYSTEM, "sdev" },
};

#define TYPES ARRAY_SIZE(types)

static char marks_limit[32];

static inline void restore_marks_limit(void)
{
	write_file(MAX_USER_MARKS, 0, marks_limit);
}

/* Before the first limit_marks(): whatever becomes of it is undone. */
static inline void limit_marks_start(struct __test_metadata *const _metadata)
{
	ASSERT_LT(0, read_file(MAX_USER_MARKS, marks_limit,
			       sizeof(marks_limit)));
	guard_start(_metadata, restore_marks_limit);
}

static inline void limit_marks(struct __test_metadata *const _metadata,
			       int limit)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", limit);
	ASSERT_EQ(0, write_file(MAX_USER_MARKS, 0, text));
}

/* Number of marks of a @kind: "ino", "mnt_id", "sdev". */
static inline int count_marks(struct __test_metadata *const _metadata,
			      const struct group *g, const char *kind)
{
	char path[64], start[32], *line = NULL;
	size_t size = 0;
	FILE *fdinfo;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g->fd);
	snprintf(start, sizeof(start), "fanotify %s:", kind);
	fdinfo = fopen(path, "re");
	ASSERT_NE(NULL, fdinfo);
	while (getline(&line, &size, fdinfo) > 0)
		n += !strncmp(line, start, strlen(start));
	free(line);
	fclose(fdinfo);
	return n;
}

/* What all marks of a @kind have in common, as fanotify_mark() has it. */
static inline unsigned int mark_flags(struct __test_metadata *const _metadata,
				      const struct group *g, const char *kind)
{
	unsigned int flags, common = -1U;
	char buf[8192], start[32];
	const char *line;

	read_fdinfo(_metadata, g, buf, sizeof(buf));
	snprintf(start, sizeof(start), "\nfanotify %s:", kind);
	line = strstr(buf, start);
	ASSERT_NE(NULL, line);
	for (; line; line = strstr(line, start)) {
		line = strstr(line, " mflags:");
		ASSERT_NE(NULL, line);
		ASSERT_EQ(1, sscanf(line, " mflags:%x", &flags));
		common &= flags;
	}
	return common;
}

/* No mark of a @kind has masks other than these; 0 and 0: there is no mark. */
static inline void expect_mark(struct __test_metadata *const _metadata,
			       const struct group *g, const char *kind,
			       __u64 mask, __u64 ignored)
{
	unsigned long long seen = 0, seen_ignored = 0;

	EXPECT_EQ(mask || ignored,
		  group_mark(_metadata, g, kind, &seen, &seen_ignored));
	EXPECT_EQ(mask, seen);
	EXPECT_EQ(ignored, seen_ignored);
}

static inline void expect_refused(struct __test_metadata *const _metadata,
				  const struct group *g, unsigned int flags,
				  __u64 mask, const char *path, int error)
{
	EXPECT_EQ(-1, sys_fanotify_mark(g->fd, flags, mask, AT_FDCWD, path))
		TH_LOG("flags %#x mask %#llx", flags, (unsigned long long)mask);
	EXPECT_EQ(error, errno)
		TH_LOG("flags %#x mask %#llx", flags, (unsigned long long)mask);
}

/* Have the kernel forget the inodes of files that no one holds on to. */
static inline void evict_inodes(struct __test_metadata *const _metadata)
{
	sync();
	ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", 0, "3"));
}

/* Makes so many files, whose names are numbers, and marks them. */
static inline void mark_files(struct __test_metadata *const _metadata,
			      struct group *g, unsigned int flags, __u64 mask,
			      int from, int to)
{
	char name[16];
	int fd;

	for (int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "%d", i);
		fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_LE(0, fd);
		close(fd);
		mark(_metadata, g, FAN_MARK_ADD | flags, mask, name);
	}
}

#endif /* __MARKS_H */
