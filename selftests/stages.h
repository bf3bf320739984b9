/* SPDX-License-Identifier: GPL-2.0 */
/* Stages of a job, at each of which it stays until the test lets it go on. */

#ifndef __STAGES_H
#define __STAGES_H

#include "common.h"

/* What the test and its job have in common. */
static struct {
	int stage;	/* that the job has reached */
	int go;		/* that the test has let it go on to */
} *stages;

/* Before a job is started; none of its stages has been reached. */
static inline void stages_start(struct __test_metadata *const _metadata)
{
	if (!stages)
		stages = mmap(NULL, sizeof(*stages), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, stages);
	stages->stage = 0;
	stages->go = 0;
}

/* For jobs: this far, and no further until the test says so. */
static inline void reach(int stage)
{
	__atomic_store_n(&stages->stage, stage, __ATOMIC_RELEASE);
	while (__atomic_load_n(&stages->go, __ATOMIC_ACQUIRE) < stage)
		usleep(1000);
}

static inline void wait_reached(struct __test_metadata *const _metadata,
				int stage)
{
	ASSERT_TRUE(EVENTUALLY(__atomic_load_n(&stages->stage,
					       __ATOMIC_ACQUIRE) >= stage));
}

static inline void go_on(int stage)
{
	__atomic_store_n(&stages->go, stage, __ATOMIC_RELEASE);
}

#endif /* __STAGES_H */
