/* SPDX-License-Identifier: GPL-2.0 */
/* For jobs that listen in the place of the test. */

#ifndef __STAND_IN_H
#define __STAND_IN_H

#include "group.h"

/* Reads the next event of a descriptor, a question, and allows it. */
static inline struct event allow_one(int fd)
{
	struct __test_metadata metadata = {}, *_metadata = &metadata;
	struct group reader = { .fd = fd };
	const struct event pre = event_next(_metadata, &reader);

	allow(_metadata, &reader, &pre);
	return pre;
}

#endif /* __STAND_IN_H */
