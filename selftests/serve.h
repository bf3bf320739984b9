/* SPDX-License-Identifier: GPL-2.0 */
/* A listener that allows whatever it is asked about. */

#ifndef __SERVE_H
#define __SERVE_H

#include "group.h"

/* All that a test of helpers has to see, and what its listeners do. */
#define ALL_EVENTS	(FAN_ACCESS | FAN_MODIFY | FAN_ATTRIB | FAN_OPEN | \
			 FAN_MOVE | FAN_CREATE | FAN_DELETE | FAN_ONDIR)

/* One event, if there is any soon. Returns the process that it has let go on. */
static inline pid_t serve_one(struct __test_metadata *const _metadata,
			      struct group *g)
{
	struct event ev;
	int ret;

	if (g->pos == g->len && !group_readable(g, 10))
		return 0;
	ev = event_next(_metadata, g);
	if (!(ev.mask & ALL_PRE))
		return 0;
	ret = try_answer(g, ev.cookie, FAN_ALLOW);
	/* Who was killed needs no answer. */
	EXPECT_TRUE(ret == (int)sizeof(struct answer) || ret == -ENOENT);
	return ev.pid;
}

/* Until @cond is true. Returns how many questions were not those of @pid. */
#define SERVE_UNTIL(g, pid, cond) ({					\
	const long __end = now_ms() + TIMEOUT_MS;			\
	unsigned int __others = 0;					\
									\
	while (!(cond) && now_ms() < __end) {				\
		const pid_t __asked = serve_one(_metadata, g);		\
									\
		__others += __asked && __asked != (pid);		\
	}								\
	EXPECT_TRUE(cond);						\
	__others;							\
})

/* What has ended by then is told. */
static inline void serve_rest(struct __test_metadata *const _metadata,
			      struct group *g)
{
	while (g->pos < g->len || group_readable(g, 0))
		serve_one(_metadata, g);
}

#endif /* __SERVE_H */
