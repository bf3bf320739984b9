/* SPDX-License-Identifier: GPL-2.0 */
/* What is left of groups that fail closed, as an administrator sees it. */

#ifndef __SENTINELS_H
#define __SENTINELS_H

#include "fs.h"
#include "group.h"

#define SENTINELS	"/sys/fs/fanotify/vfs_filter/sentinels"
#define LIFT		"/sys/fs/fanotify/vfs_filter/lift"

struct sentinel {
	unsigned long long id, mask;
	char kind[8], object[32], comm[32];
	long long since, denied;
};

/* How many there are, and the last of them. */
static inline int read_sentinels(struct sentinel *s)
{
	char buf[4096], *line = buf;
	int n = 0;

	if (read_file(SENTINELS, buf, sizeof(buf)) < 0)
		return -1;
	while (sscanf(line, "%llu %7s %31s %llx %lld %lld %31[^\n]", &s->id,
		      s->kind, s->object, &s->mask, &s->since, &s->denied,
		      s->comm) == 7) {
		n++;
		line = strchr(line, '\n') + 1;
	}
	return n;
}

static inline int count_sentinels(void)
{
	struct sentinel s;

	return read_sentinels(&s);
}

static inline int lift(unsigned long long id)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", id);
	return -write_file(LIFT, 0, text);
}

static inline void lift_all(void)
{
	struct sentinel s;

	while (read_sentinels(&s) > 0 && !lift(s.id))
		;
}

/* ------------------- of a tmpfs that has "file", and nothing else ------------------ */

#define FILESYSTEM	(FAN_MARK_ADD | FAN_MARK_FILESYSTEM)

/* None are left of others. Returns a group that fails closed, the oldest. */
static inline struct group *
sentinels_start(struct __test_metadata *const _metadata)
{
	ASSERT_TRUE(fs_setup(_metadata, "tmpfs", FS_SIZE));
	put_file(_metadata, "file", "");
	ASSERT_EQ(0, count_sentinels());
	guard_start(_metadata, lift_all);
	return group_open(_metadata, FAN_FAIL_CLOSED);
}

static inline int try_write(void)
{
	return -write_file("file", 0, "ab");
}

static inline long change_mode(void *arg)
{
	return chmod(arg, 0700);
}

#endif /* __SENTINELS_H */
