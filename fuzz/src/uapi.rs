// SPDX-License-Identifier: GPL-2.0

//! The numbers of the kernel interface that programs are made of: those of docs/uapi.md, and beside
//! them what is not allowed with the class, for it has to be refused.

/// Flags of `fanotify_init(2)` that a program has where nothing was changed.
pub(crate) const INIT: u32 = FAN_CLASS_VFS_FILTER | FAN_NONBLOCK;
const FAN_CLASS_VFS_FILTER: u32 = 0xc;
const FAN_NONBLOCK: u32 = 0x2;

/// What `fanotify_init(2)` knows: 0x0010_0000 is `FAN_FAIL_CLOSED`.
pub(crate) const INIT_KNOWN: u32 = 0x0010_7fff;

/// What `fanotify_mark(2)` knows.
pub(crate) const MARK_KNOWN: u32 = 0x2fff;
/// Flags that make sense together: kinds of marks, ignore masks, flushes, barriers.
pub(crate) const MARKS: &[u32] = &[
    0x001, 0x011, 0x101, 0x801, 0x901, 0x441, 0x451, 0x541, 0x641, 0x002, 0x012, 0x102, 0x802,
    0x442, 0x542, 0x080, 0x090, 0x180, 0x880, 0x980, 0x480, 0x490, 0x580, 0xd80, 0x2000, 0x2010,
    0x2100, 0x00d, 0x021, 0x111, 0x401, 0x241,
];

/// The events that can be asked about, `FAN_EVENT_ON_CHILD` and `FAN_ONDIR`.
pub(crate) const MASK_PLAIN: u64 = 0x4800_01e7;
/// The same as `FAN_PRE()` and `FAN_POST()`.
pub(crate) const MASK_PHASES: u64 = (0x1e7 << 40) | (0x1e7 << 52);
/// Masks that make sense.
pub(crate) const MASKS: &[u64] = &[
    0x4800_01e7,
    0x4000_01e7,
    0x0000_0002,
    0x4000_0022,
    0x4800_01c0,
    0x4000_0000 | (0x1e7 << 40),
    0x4000_0000 | (0x1e7 << 52),
    0x0000_0002 << 40,
    0x0000_0002 << 52,
    0x0000_0400,
    0x0001_0000,
    0x1000_0000,
    0,
];

/// Verdicts: allow, deny, deny with some errno, allow and ignore; then those that are none.
pub(crate) const VERDICTS: &[u32] = &[
    0x21,
    0x22,
    0x61,
    0x1e00_0022,
    0x0500_0022,
    0x1c00_0022,
    0x62,
    0x01,
    0x31,
    0x0000_0020,
    0xff00_0022,
    0x0200_0061,
];

/// Requests of `ioctl(2)`: `FAN_IOC_OWN`, `_QUEUE`, `_DEADLINE`, `_EXEMPT`, `_RECORDS`, `FIONREAD`,
/// and one that is none.
pub(crate) const IOCTLS: &[u64] = &[0x46e0, 0x46e1, 0x4008_46e2, 0x46e3, 0x46e5, 0x541b, 0x46e4];
/// `FIONREAD`, which takes a pointer, as the next one does.
pub(crate) const FIONREAD: u64 = 0x541b;
/// `FAN_IOC_DEADLINE`.
pub(crate) const IOC_DEADLINE: u64 = 0x4008_46e2;
/// The one that makes a descriptor.
pub(crate) const IOC_QUEUE: u64 = 0x46e1;
/// The one that takes the descriptor of a cgroup.
pub(crate) const IOC_EXEMPT: u64 = 0x46e3;

/// What takes a number: those of the class, and `KCOV_INIT_TRACE` and `KCOV_ENABLE`.
pub(crate) const IOCTLS_OF_NUMBERS: &[u64] =
    &[0x46e0, 0x46e1, 0x46e3, 0x46e4, 0x46e5, 0x8008_6301, 0x6364];

/// `struct fanotify_event_metadata`, and where its fields are.
pub(crate) const METADATA_LEN: usize = 24;
/// `FANOTIFY_METADATA_VERSION`.
pub(crate) const METADATA_VERSION: u8 = 3;
/// `FAN_EVENT_INFO_TYPE_OP`.
pub(crate) const INFO_OP: u8 = 32;
/// `FAN_EVENT_INFO_TYPE_PIDFD`.
pub(crate) const INFO_PIDFD: u8 = 4;
/// All bits of `FAN_PRE()`, and of `FAN_POST()`.
pub(crate) const ALL_PRE: u64 = 0xfff << 40;
/// All bits of `FAN_POST()`.
pub(crate) const ALL_POST: u64 = 0xfff << 52;
/// `FAN_Q_OVERFLOW`, `FAN_Q_GONE` and `FAN_Q_BARRIER`.
pub(crate) const ALL_Q: u64 = 0x00c0_4000;
