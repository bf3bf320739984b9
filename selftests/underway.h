/* SPDX-License-Identifier: GPL-2.0 */
/* Writes that are under way: allowed, and held at a point (hold.h). */

#ifndef __UNDERWAY_H
#define __UNDERWAY_H

#include "group.h"
#include "hold.h"

/* A job that is to be held there is asked about, allowed, and there. */
static inline struct event
go_and_allow(struct __test_metadata *const _metadata, struct group *g,
	     struct job *job, const char *point)
{
	struct event pre;

	job_go(_metadata, job);
	pre = expect_pre(_metadata, g, job->pid);
	allow(_metadata, g, &pre);
	wait_held(_metadata, point);
	return pre;
}

/* It has written two bytes. */
static inline void release_and_join(struct __test_metadata *const _metadata,
				    struct job *job, const char *point)
{
	release(_metadata, point);
	EXPECT_EQ(2, job_join(_metadata, job));
}

#endif /* __UNDERWAY_H */
