/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Events of FAN_CLASS_VFS_FILTER, taken apart.
 *
 * Every event that any test reads goes through event_parse(), which takes
 * nothing that is not exactly as it has to be.
 */

#ifndef __EVENT_H
#define __EVENT_H

#include <sys/statfs.h>

#include "common.h"

struct fid {
	__kernel_fsid_t fsid;
	__u32 bytes;
	__s32 type;
	unsigned char handle[MAX_HANDLE_SZ];
};

struct event {
	__u64 mask;
	__s32 pid;
	__u32 len;		/* of the whole event */
	__u64 records;		/* RECORD(type) for each that it has */
	__u32 flags;		/* of the OP record, with the next two */
	__u64 cookie;
	__s64 result;
	struct fid fid;		/* the object */
	struct fid replaced;	/* and what a rename replaces */
	struct fid dir;		/* and where it has its name */
	char name[NAME_MAX + 1];
	struct fid new_dir;	/* and where a rename puts it */
	char new_name[NAME_MAX + 1];
	__u64 offset;
	__u64 count;
	__u64 mnt_id;
	__u64 cgroup_id;
	__s32 pidfd;
};

/* Type of a handle that the file system has none of. */
#ifndef FILEID_INVALID
#define FILEID_INVALID	0xff
#endif

/* What a FID record says of an open file, by the calls that are there for it. */
static inline int get_fid(int fd, struct fid *fid)
{
	struct {
		struct file_handle fh;
		unsigned char bytes[MAX_HANDLE_SZ];
	} handle = { .fh.handle_bytes = MAX_HANDLE_SZ };
	struct statfs st;
	int mount_id;

	if (fstatfs(fd, &st) ||
	    name_to_handle_at(fd, "", &handle.fh, &mount_id, AT_EMPTY_PATH))
		return -1;

	memset(fid, 0, sizeof(*fid));
	memcpy(&fid->fsid, &st.f_fsid, sizeof(fid->fsid));
	fid->bytes = handle.fh.handle_bytes;
	fid->type = handle.fh.handle_type;
	memcpy(fid->handle, handle.fh.f_handle, fid->bytes);
	return 0;
}

/* Of what has this name, be it a symbolic link. */
static inline struct fid fid_of(struct __test_metadata *const _metadata,
				const char *path)
{
	const int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct fid fid = {};

	ASSERT_LE(0, fd)
		TH_LOG("%s: %s", path, strerror(errno));
	ASSERT_EQ(0, get_fid(fd, &fid));
	close(fd);
	return fid;
}

static inline bool same_fid(const struct fid *a, const struct fid *b)
{
	return !memcmp(a, b, sizeof(*a));
}

#define RECORD(type)	(1ULL << (type))
#define RECORD_OP	RECORD(FAN_EVENT_INFO_TYPE_OP)
#define RECORD_NAME	RECORD(FAN_EVENT_INFO_TYPE_DFID_NAME)
#define RECORD_DIR	RECORD(FAN_EVENT_INFO_TYPE_DFID)
#define RECORD_OLD_NAME	RECORD(FAN_EVENT_INFO_TYPE_OLD_DFID_NAME)
#define RECORD_NEW_NAME	RECORD(FAN_EVENT_INFO_TYPE_NEW_DFID_NAME)
#define RECORD_FID	RECORD(FAN_EVENT_INFO_TYPE_FID)
#define RECORD_RANGE	RECORD(FAN_EVENT_INFO_TYPE_RANGE)
#define RECORD_PIDFD	RECORD(FAN_EVENT_INFO_TYPE_PIDFD)
#define RECORD_MNT	RECORD(FAN_EVENT_INFO_TYPE_MNT)
#define RECORD_CGROUP	RECORD(FAN_EVENT_INFO_TYPE_CGROUP)
#define RECORD_REPLACED	RECORD(FAN_EVENT_INFO_TYPE_REPLACED)

#define ALL_PRE		FAN_PRE(0xfff)
#define ALL_POST	FAN_POST(0xfff)
#define MOVED		(FAN_MOVED_FROM | FAN_MOVED_TO)

static inline void parse_fid(struct __test_metadata *const _metadata,
			     const char *rec, size_t len, struct fid *fid,
			     char *name)
{
	const size_t fixed = sizeof(struct fanotify_event_info_fid) +
			     2 * sizeof(__u32);
	size_t end;

	ASSERT_LE(fixed, len);
	memcpy(&fid->fsid, rec + 4, 8);
	memcpy(&fid->bytes, rec + 12, 4);
	memcpy(&fid->type, rec + 16, 4);
	ASSERT_EQ(fid->type == FILEID_INVALID, !fid->bytes);
	ASSERT_LE(fid->bytes, sizeof(fid->handle));
	ASSERT_LE(fixed + fid->bytes, len);
	memcpy(fid->handle, rec + fixed, fid->bytes);

	end = fixed + fid->bytes;
	if (name) {
		const size_t n = strnlen(rec + end, len - end);

		ASSERT_LT(end + n, len);
		ASSERT_LT(0UL, n);
		ASSERT_LE(n, (size_t)NAME_MAX);
		memcpy(name, rec + end, n);
		end += n + 1;
	}

	ASSERT_EQ((end + 3) & ~3UL, len);
	while (end < len)
		ASSERT_EQ(0, rec[end++]);
}

/* Returns the place of the record among the others. */
static inline int parse_record(struct __test_metadata *const _metadata,
			       const char *rec, size_t len, struct event *ev)
{
	struct fanotify_event_info_cgroup cgroup;
	struct fanotify_event_info_range range;
	struct fanotify_event_info_mnt mnt;
	struct fanotify_event_info_pidfd pidfd;
	struct fanotify_event_info_op op;

	switch ((unsigned char)rec[0]) {
	case FAN_EVENT_INFO_TYPE_OP:
		ASSERT_EQ(sizeof(op), len);
		memcpy(&op, rec, sizeof(op));
		ev->flags = op.flags;
		ev->cookie = op.cookie;
		ev->result = op.result;
		return 1;
	case FAN_EVENT_INFO_TYPE_DFID:
		parse_fid(_metadata, rec, len, &ev->dir, NULL);
		return 2;
	case FAN_EVENT_INFO_TYPE_DFID_NAME:
	case FAN_EVENT_INFO_TYPE_OLD_DFID_NAME:
		parse_fid(_metadata, rec, len, &ev->dir, ev->name);
		return 2;
	case FAN_EVENT_INFO_TYPE_NEW_DFID_NAME:
		parse_fid(_metadata, rec, len, &ev->new_dir, ev->new_name);
		return 3;
	case FAN_EVENT_INFO_TYPE_FID:
		parse_fid(_metadata, rec, len, &ev->fid, NULL);
		return 4;
	case FAN_EVENT_INFO_TYPE_REPLACED:
		parse_fid(_metadata, rec, len, &ev->replaced, NULL);
		return 5;
	case FAN_EVENT_INFO_TYPE_RANGE:
		ASSERT_EQ(sizeof(range), len);
		memcpy(&range, rec, sizeof(range));
		ASSERT_EQ(0U, range.pad);
		ev->offset = range.offset;
		ev->count = range.count;
		return 6;
	case FAN_EVENT_INFO_TYPE_MNT:
		ASSERT_EQ(sizeof(mnt), len);
		memcpy(&mnt, rec, sizeof(mnt));
		ev->mnt_id = mnt.mnt_id;
		return 7;
	case FAN_EVENT_INFO_TYPE_CGROUP:
		ASSERT_EQ(sizeof(cgroup), len);
		memcpy(&cgroup, rec, sizeof(cgroup));
		ASSERT_EQ(0U, cgroup.pad);
		ev->cgroup_id = cgroup.cgroup_id;
		return 8;
	case FAN_EVENT_INFO_TYPE_PIDFD:
		ASSERT_EQ(sizeof(pidfd), len);
		memcpy(&pidfd, rec, sizeof(pidfd));
		ev->pidfd = pidfd.pidfd;
		return 9;
	}
	ASSERT_TRUE(false)
		TH_LOG("record of type %u", (unsigned char)rec[0]);
	return 0;
}

/* For tests of operations that have any: besides FAN_OP_UNPAIRED. */
static __u32 known_op_flags;

/* For tests in which what a name stands for changes while it is asked about. */
static bool object_unknown;

/* For tests of groups that ask for some. */
static __u64 known_records;

/* The event itself, as it is in a mark: without FAN_PRE() and FAN_POST(). */
static inline __u64 plain_event(const struct event *ev)
{
	return (ev->mask & ALL_PRE) / FAN_PRE(1) |
	       (ev->mask & ALL_POST) / FAN_POST(1);
}

/*
 * The third question about a removal or rename does not say what the name is
 * of. Nor does the end of one that failed before that was looked at: the name
 * is gone, or, of a rename, there is one that it must not replace, a directory
 * would be within itself, or it was of a directory and of something else in
 * turn.
 */
static inline bool object_is_unknown(const struct event *ev, __u64 event)
{
	if (!object_unknown || !(event & (FAN_DELETE | MOVED)))
		return false;
	if (ev->mask & ALL_PRE || ev->result == -ENOENT)
		return true;
	return event & MOVED &&
	       (ev->result == -EBUSY || ev->result == -EEXIST ||
		ev->result == -EINVAL || ev->result == -ENOTEMPTY);
}

/* Which records an event has to have, and which it can have besides. */
static inline void records_check(struct __test_metadata *const _metadata,
				 const struct event *ev, __u64 event)
{
	__u64 need = RECORD_OP | (known_records & ~RECORD_REPLACED);
	__u64 may = RECORD_PIDFD | known_records;

	if (event & MOVED)
		need |= RECORD_OLD_NAME | RECORD_NEW_NAME;
	else if (event == FAN_DELETE || (event == FAN_CREATE &&
					 !(ev->records & RECORD_DIR)))
		need |= RECORD_NAME;
	else if (event == FAN_CREATE)
		need |= RECORD_DIR;
	else
		may |= RECORD_NAME;

	/* What is to be created may not be there, before and after. */
	if (event == FAN_CREATE || object_is_unknown(ev, event))
		may |= RECORD_FID;
	else
		need |= RECORD_FID;

	if (event & (FAN_ACCESS | FAN_MODIFY))
		may |= RECORD_RANGE;

	EXPECT_EQ(need, ev->records & need);
	EXPECT_EQ(0ULL, ev->records & ~(need | may));
}

/* Holds for each event, whatever it is about. */
static inline void event_check(struct __test_metadata *const _metadata,
			       const struct event *ev)
{
	const __u64 event = plain_event(ev);
	__u32 flags = known_op_flags;

	if (ev->mask == FAN_Q_OVERFLOW) {
		EXPECT_EQ(RECORD_OP, ev->records);
		EXPECT_EQ(0, ev->pid);
		EXPECT_EQ(0ULL, ev->cookie);
		EXPECT_EQ(0U, ev->flags);
		EXPECT_EQ(0LL, ev->result);
		return;
	}
	if (ev->mask == FAN_Q_BARRIER) {
		EXPECT_EQ(RECORD_OP, ev->records);
		EXPECT_EQ(0, ev->pid);
		EXPECT_NE(0ULL, ev->cookie);
		EXPECT_EQ(0U, ev->flags);
		EXPECT_EQ(0LL, ev->result);
		return;
	}

	if (ev->mask == FAN_Q_GONE) {
		EXPECT_EQ(RECORD_OP | RECORD_FID,
			  ev->records & ~RECORD_MNT);
		EXPECT_EQ((__s32)FILEID_INVALID, ev->fid.type);
		EXPECT_EQ(0, ev->pid);
		EXPECT_EQ(0ULL, ev->cookie);
		EXPECT_EQ(0U, ev->flags);
		EXPECT_EQ(0LL, ev->result);
		return;
	}

	ASSERT_EQ(0ULL, ev->mask & ~(ALL_PRE | ALL_POST | FAN_ONDIR));
	ASSERT_NE(!(ev->mask & ALL_PRE), !(ev->mask & ALL_POST));
	/* A rename is the only one that can be two. */
	if (event != MOVED) {
		ASSERT_EQ(1, __builtin_popcountll(event));
	}
	records_check(_metadata, ev, event);
	EXPECT_NE(0ULL, ev->cookie);
	if (ev->mask & ALL_PRE) {
		EXPECT_EQ(0LL, ev->result);
	} else {
		flags |= FAN_OP_UNPAIRED;
		if (event & (FAN_DELETE | MOVED) && !ev->result)
			flags |= FAN_OP_LAST_LINK;
	}
	EXPECT_EQ(0U, ev->flags & ~flags);
}

static inline struct event event_parse(struct __test_metadata *const _metadata,
				       const char *buf, size_t len)
{
	struct fanotify_event_metadata meta;
	struct fanotify_event_info_header hdr;
	struct event ev = { .pidfd = FAN_NOPIDFD };
	int place, last = 0;
	size_t pos;

	ASSERT_LE(sizeof(meta), len);
	memcpy(&meta, buf, sizeof(meta));
	ASSERT_EQ(FANOTIFY_METADATA_VERSION, meta.vers);
	ASSERT_EQ(0, meta.reserved);
	ASSERT_EQ(sizeof(meta), meta.metadata_len);
	ASSERT_EQ(FAN_NOFD, meta.fd);
	ASSERT_LE(meta.event_len, len);
	ev.mask = meta.mask;
	ev.pid = meta.pid;
	ev.len = meta.event_len;

	for (pos = sizeof(meta); pos < ev.len; pos += hdr.len) {
		ASSERT_LE(pos + sizeof(hdr), ev.len);
		memcpy(&hdr, buf + pos, sizeof(hdr));
		ASSERT_EQ(0, hdr.pad);
		ASSERT_LE(sizeof(hdr), hdr.len);
		ASSERT_LE(pos + hdr.len, ev.len);
		place = parse_record(_metadata, buf + pos, hdr.len, &ev);
		ASSERT_LT(last, place);
		last = place;
		ev.records |= RECORD(hdr.info_type);
	}
	ASSERT_EQ(ev.len, pos);
	event_check(_metadata, &ev);
	return ev;
}

#endif /* __EVENT_H */
