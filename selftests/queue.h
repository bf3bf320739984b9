/* SPDX-License-Identifier: GPL-2.0 */
/* Queues of a group, which are read and answered as the group is. */

#ifndef __QUEUE_H
#define __QUEUE_H

#include "group.h"

static inline int queue_fd(const struct group *g, int flags)
{
	return ioctl(g->fd, FAN_IOC_QUEUE, flags);
}

/* A queue of the test's. */
static inline struct group *queue_open(struct __test_metadata *const _metadata,
				       const struct group *g)
{
	int i = 0;

	while (i < MAX_GROUPS && group_fds[i])
		i++;
	ASSERT_LT(i, MAX_GROUPS);

	groups[i] = (struct group) {
		.fd = queue_fd(g, O_NONBLOCK | O_CLOEXEC),
	};
	ASSERT_LE(0, groups[i].fd)
		TH_LOG("FAN_IOC_QUEUE: %s", strerror(errno));
	group_fds[i] = groups[i].fd;
	return &groups[i];
}

#endif /* __QUEUE_H */
