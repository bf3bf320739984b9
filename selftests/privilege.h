/* SPDX-License-Identifier: GPL-2.0 */
/* Processes that may not do what an administrator may, in different ways. */

#ifndef __PRIVILEGE_H
#define __PRIVILEGE_H

#include <linux/capability.h>

#include "common.h"

#define NOBODY	65534

enum who {
	ROOT,
	/* a user, with no capability but CAP_SYS_ADMIN */
	ADMIN,
	USER,
	/* uid 0 with all capabilities but CAP_SYS_ADMIN */
	ROOT_WITHOUT,
	/* all capabilities, in a user namespace that a user has made */
	ROOT_OF_NAMESPACE,
};

static const char *const who_names[] __maybe_unused = {
	"root", "admin", "user", "root without", "root of namespace",
};

/* Those that it has and that are in @caps remain. */
static inline int keep_capabilities(__u64 caps)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {};

	if (syscall(__NR_capget, &header, data))
		return -1;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= caps >> 32 * i;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(__NR_capset, &header, data);
}

static inline int become_user(void)
{
	return syscall(__NR_setgroups, 0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	       setresuid(NOBODY, NOBODY, NOBODY) ? -1 : 0;
}

/* For jobs, once. Returns 0, or -1 with errno. */
static inline int become(enum who who)
{
	switch (who) {
	case ROOT:
		return 0;
	case ADMIN:
		return prctl(PR_SET_KEEPCAPS, 1) || become_user() ? -1 :
			keep_capabilities(1ULL << CAP_SYS_ADMIN);
	case USER:
		return become_user();
	case ROOT_WITHOUT:
		return keep_capabilities(~(1ULL << CAP_SYS_ADMIN));
	case ROOT_OF_NAMESPACE:
		return become_user() ? -1 : unshare(CLONE_NEWUSER);
	}
	return -1;
}

static inline bool is_admin(enum who who)
{
	return who == ROOT || who == ADMIN;
}

#endif /* __PRIVILEGE_H */
