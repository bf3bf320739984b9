/* SPDX-License-Identifier: GPL-2.0 */
/* What is left of groups that fail closed, as an administrator sees it. */

#ifndef __SENTINELS_H
#define __SENTINELS_H

#include "common.h"

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

#endif /* __SENTINELS_H */
