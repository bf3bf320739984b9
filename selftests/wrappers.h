/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls that are made raw, and the part of the interface under test
 * that headers of an older kernel do not have.
 */

#ifndef __WRAPPERS_H
#define __WRAPPERS_H

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/fanotify.h>
#include <linux/openat2.h>

#ifndef FAN_CLASS_VFS_FILTER
#define FAN_CLASS_VFS_FILTER	0x0000000c
#endif
#ifndef FAN_FAIL_CLOSED
#define FAN_FAIL_CLOSED		0x00100000
#endif
#ifndef FAN_Q_GONE
#define FAN_Q_GONE		0x00400000
#endif
#ifndef FAN_Q_BARRIER
#define FAN_Q_BARRIER		0x00800000
#endif
#ifndef FAN_PRE
#define FAN_PRE(x)		((__u64)(x) << 40)
#define FAN_POST(x)		((__u64)(x) << 52)
#endif
#ifndef FAN_MARK_SYNC
#define FAN_MARK_SYNC		0x00000800
#endif
#ifndef FAN_MARK_BARRIER
#define FAN_MARK_BARRIER	0x00002000
#endif
#ifndef FAN_EVENT_INFO_TYPE_OP
#define FAN_EVENT_INFO_TYPE_OP	32
#define FAN_OP_UNPAIRED		0x1
#define FAN_OP_MAPPED		0x2
#define FAN_OP_ASYNC		0x4
struct fanotify_event_info_op {
	struct fanotify_event_info_header hdr;
	__u32 flags;
	__u64 cookie;
	__s64 result;
};
#endif
#ifndef FAN_OP_LAST_LINK
#define FAN_OP_LAST_LINK	0x20
#endif
#ifndef FAN_OP_NO_OPEN
#define FAN_OP_NO_OPEN		0x80
#endif
#ifndef FAN_EVENT_MAX_LEN
#define FAN_EVENT_MAX_LEN	4096
#endif
#ifndef FAN_IOC_EXEMPT
#define FAN_IOC_EXEMPT	_IO('F', 0xE3)
#endif
#ifndef FAN_EVENT_INFO_TYPE_CGROUP
#define FAN_EVENT_INFO_TYPE_CGROUP	33
#define FAN_EVENT_INFO_TYPE_REPLACED	34
struct fanotify_event_info_cgroup {
	struct fanotify_event_info_header hdr;
	__u32 pad;
	__u64 cgroup_id;
};
#endif
#ifndef FAN_IOC_RECORDS
#define FAN_IOC_RECORDS		_IO('F', 0xE5)
#define FAN_RECORD_MNT		0x1
#define FAN_RECORD_CGROUP	0x2
#define FAN_RECORD_REPLACED	0x4
#endif
#ifndef FAN_RESPONSE_INFO_OP
#define FAN_RESPONSE_INFO_OP	32
struct fanotify_response_info_op {
	struct fanotify_response_info_header hdr;
	__u32 pad;
	__u64 cookie;
};
#endif
#ifndef FAN_RESPONSE_IGNORE
#define FAN_RESPONSE_IGNORE	0x40
#endif
#ifndef FAN_IOC_OWN
#define FAN_IOC_OWN		_IO('F', 0xE0)
#endif
#ifndef FAN_IOC_QUEUE
#define FAN_IOC_QUEUE		_IO('F', 0xE1)
#endif
#ifndef FAN_IOC_DEADLINE
struct fanotify_deadline {
	__u32 msecs;
	__u32 verdict;
};
#define FAN_IOC_DEADLINE	_IOW('F', 0xE2, struct fanotify_deadline)
#endif

static inline int sys_fanotify_init(unsigned int flags, unsigned int f_flags)
{
	return syscall(__NR_fanotify_init, flags, f_flags);
}

static inline int sys_fanotify_mark(int fd, unsigned int flags, __u64 mask,
				    int dfd, const char *path)
{
#if __SIZEOF_LONG__ == 8
	return syscall(__NR_fanotify_mark, fd, flags, mask, dfd, path);
#else
	union {
		__u64 whole;
		__u32 half[2];
	} m = { .whole = mask };

	return syscall(__NR_fanotify_mark, fd, flags, m.half[0], m.half[1],
		       dfd, path);
#endif
}

static inline int sys_pidfd_open(pid_t pid, unsigned int flags)
{
	return syscall(__NR_pidfd_open, pid, flags);
}

static inline int sys_openat2(int dfd, const char *path,
			      const struct open_how *how)
{
	return syscall(__NR_openat2, dfd, path, how, sizeof(*how));
}

static inline pid_t sys_gettid(void)
{
	return syscall(__NR_gettid);
}

static inline int sys_finit_module(int fd, const char *params, int flags)
{
	return syscall(__NR_finit_module, fd, params, flags);
}

static inline int sys_delete_module(const char *name, unsigned int flags)
{
	return syscall(__NR_delete_module, name, flags);
}

#endif /* __WRAPPERS_H */
