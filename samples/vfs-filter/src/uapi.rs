// SPDX-License-Identifier: GPL-2.0

//! The numbers of the kernel interface, as `docs/uapi.md` of this project fixes them and
//! `include/uapi/linux/fanotify.h` of the patched kernel spells them.
//!
//! They are kept in this one file, so that the crate also builds against the headers of an
//! unpatched kernel. Sizes are in bytes.

// The names and values are those of the C header, where they are explained.
#![allow(missing_docs)]

// fanotify_init(2), docs/uapi.md section 1.
pub const FAN_CLOEXEC: u32 = 0x0000_0001;
pub const FAN_NONBLOCK: u32 = 0x0000_0002;
pub const FAN_CLASS_VFS_FILTER: u32 = 0x0000_000c;
pub const FAN_UNLIMITED_QUEUE: u32 = 0x0000_0010;
pub const FAN_UNLIMITED_MARKS: u32 = 0x0000_0020;
pub const FAN_REPORT_PIDFD: u32 = 0x0000_0080;
pub const FAN_REPORT_TID: u32 = 0x0000_0100;
pub const FAN_REPORT_DIR_FID: u32 = 0x0000_0400;
pub const FAN_REPORT_NAME: u32 = 0x0000_0800;
pub const FAN_FAIL_CLOSED: u32 = 0x0010_0000;

// fanotify_mark(2), docs/uapi.md section 2.
pub const FAN_MARK_ADD: u32 = 0x0000_0001;
pub const FAN_MARK_REMOVE: u32 = 0x0000_0002;
pub const FAN_MARK_DONT_FOLLOW: u32 = 0x0000_0004;
pub const FAN_MARK_ONLYDIR: u32 = 0x0000_0008;
pub const FAN_MARK_INODE: u32 = 0x0000_0000;
pub const FAN_MARK_MOUNT: u32 = 0x0000_0010;
pub const FAN_MARK_FILESYSTEM: u32 = 0x0000_0100;
pub const FAN_MARK_IGNORED_SURV_MODIFY: u32 = 0x0000_0040;
pub const FAN_MARK_FLUSH: u32 = 0x0000_0080;
pub const FAN_MARK_EVICTABLE: u32 = 0x0000_0200;
pub const FAN_MARK_IGNORE: u32 = 0x0000_0400;
pub const FAN_MARK_IGNORE_SURV: u32 = FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;
pub const FAN_MARK_SYNC: u32 = 0x0000_0800;
pub const FAN_MARK_BARRIER: u32 = 0x0000_2000;

// The filterable events and the bits that go with them, docs/uapi.md section 2.
pub const FAN_ACCESS: u64 = 0x0000_0001;
pub const FAN_MODIFY: u64 = 0x0000_0002;
pub const FAN_ATTRIB: u64 = 0x0000_0004;
pub const FAN_OPEN: u64 = 0x0000_0020;
pub const FAN_MOVED_FROM: u64 = 0x0000_0040;
pub const FAN_MOVED_TO: u64 = 0x0000_0080;
pub const FAN_CREATE: u64 = 0x0000_0100;
pub const FAN_DELETE: u64 = 0x0000_0200;
pub const FAN_Q_BARRIER: u64 = 0x0080_0000;
pub const FAN_EVENT_ON_CHILD: u64 = 0x0800_0000;
pub const FAN_ONDIR: u64 = 0x4000_0000;
pub const FAN_Q_OVERFLOW: u64 = 0x0000_4000;
pub const FAN_PRE_SHIFT: u32 = 40;
pub const FAN_POST_SHIFT: u32 = 52;
/// The width of the PRE field, and of the POST field.
pub const FAN_PHASE_MASK: u64 = 0xfff;

// Events, docs/uapi.md section 3.
pub const FANOTIFY_METADATA_VERSION: u8 = 3;
pub const FAN_EVENT_METADATA_LEN: usize = 24;
pub const FAN_EVENT_INFO_TYPE_FID: u8 = 1;
pub const FAN_EVENT_INFO_TYPE_DFID_NAME: u8 = 2;
pub const FAN_EVENT_INFO_TYPE_DFID: u8 = 3;
pub const FAN_EVENT_INFO_TYPE_PIDFD: u8 = 4;
pub const FAN_EVENT_INFO_TYPE_RANGE: u8 = 6;
pub const FAN_EVENT_INFO_TYPE_OLD_DFID_NAME: u8 = 10;
pub const FAN_EVENT_INFO_TYPE_NEW_DFID_NAME: u8 = 12;
pub const FAN_EVENT_INFO_TYPE_OP: u8 = 32;
pub const FAN_OP_UNPAIRED: u32 = 0x1;
pub const FAN_OP_MAPPED: u32 = 0x2;
pub const FAN_OP_ASYNC: u32 = 0x4;
pub const FAN_NOFD: i32 = -1;

// Answers, docs/uapi.md section 4.
pub const FAN_ALLOW: u32 = 0x01;
pub const FAN_DENY: u32 = 0x02;
pub const FAN_INFO: u32 = 0x20;
pub const FAN_RESPONSE_IGNORE: u32 = 0x40;
pub const FAN_ERRNO_SHIFT: u32 = 24;
pub const FAN_RESPONSE_INFO_OP: u8 = 32;
/// `struct fanotify_response_info_op`.
pub const FAN_RESPONSE_INFO_OP_LEN: u16 = 16;
/// `struct fanotify_response` and `struct fanotify_response_info_op`.
pub const FAN_ANSWER_LEN: usize = 24;

// name_to_handle_at(2): the handle that events have, of Linux 6.5.
pub const AT_HANDLE_FID: i32 = 0x200;

// ioctl(2), docs/uapi.md sections 3, 5 and 6: `_IO('F', 0xE0)` and so on, of the deadline `_IOW`.
pub const FAN_IOC_GROUP: u8 = b'F';
pub const FAN_IOC_OWN_NUMBER: u8 = 0xe0;
pub const FAN_IOC_QUEUE_NUMBER: u8 = 0xe1;
pub const FAN_IOC_DEADLINE_NUMBER: u8 = 0xe2;
pub const FAN_IOC_EXEMPT_NUMBER: u8 = 0xe3;
pub const FAN_IOC_RECORDS_NUMBER: u8 = 0xe5;

// What else an event can say, docs/uapi.md sections 2 and 3.
pub const FAN_Q_GONE: u64 = 0x0040_0000;
/// No event is longer.
pub const FAN_EVENT_MAX_LEN: usize = 4096;
pub const FAN_EVENT_INFO_TYPE_MNT: u8 = 7;
pub const FAN_EVENT_INFO_TYPE_CGROUP: u8 = 33;
pub const FAN_EVENT_INFO_TYPE_REPLACED: u8 = 34;
pub const FAN_OP_LAST_LINK: u32 = 0x20;
pub const FAN_OP_NO_OPEN: u32 = 0x80;
/// The type of a file handle that is none; it has no bytes.
pub const FILEID_INVALID: i32 = 0xff;

// What `FAN_IOC_RECORDS` takes.
pub const FAN_RECORD_MNT: u32 = 0x1;
pub const FAN_RECORD_CGROUP: u32 = 0x2;
pub const FAN_RECORD_REPLACED: u32 = 0x4;
