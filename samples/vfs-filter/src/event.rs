// SPDX-License-Identifier: GPL-2.0

//! An event, as a listener sees it.

use crate::uapi;
use crate::Events;
use crate::FileHandle;
use rustix::io::Errno;
use rustix::process::Pid;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;

bitflags::bitflags! {
    /// Properties of an operation.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OpFlags: u32 {
        /// The POST of an operation whose PRE this group was not sent.
        const UNPAIRED = uapi::FAN_OP_UNPAIRED;
        /// A writable shared mapping: PRE when it is made, POST at the file's last close.
        const MAPPED = uapi::FAN_OP_MAPPED;
        /// Asynchronous I/O: POST comes from its completion.
        const ASYNC = uapi::FAN_OP_ASYNC;
        /// Of a name that is removed or replaced: the object had no other, when it was looked at
        /// under the lock. On POST.
        const LAST_LINK = uapi::FAN_OP_LAST_LINK;
        /// The file handles of this event cannot be opened, as those of its file system cannot.
        const NO_OPEN = uapi::FAN_OP_NO_OPEN;
    }
}

/// At which point of an operation the group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Before it. The task waits until [`Group::answer`](crate::Group::answer) is called with the
    /// event's cookie, or the group is closed.
    Pre,
    /// After it.
    Post {
        /// What the system call returned: for data, bytes; or the errno it failed with.
        result: Result<u64, Errno>,
    },
    /// Not an operation: this barrier has been reached, counted from 1 in each group. See
    /// [`Group::barrier`](crate::Group::barrier).
    Barrier(u64),
    /// Not an operation: the queue was full, and unpaired or unasked-for POST events were lost.
    Overflow,
    /// Not an operation: what the group had marked is gone, unmounted or deleted, and its events are
    /// all in front of this one. [`Event::fsid`] says on which file system, [`Event::mount`] which
    /// mount if it was one.
    Gone,
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// The first byte. For a truncation: the new size.
    pub offset: u64,
    /// How many bytes: on PRE, as asked for; on POST, as done. For a truncation: 0.
    pub count: u64,
}

impl Range {
    /// The byte after the last one; `u64::MAX` if that cannot be counted.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.count)
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirName<'a> {
    /// The directory.
    pub dir: FileHandle<'a>,
    /// The name in it, without a slash; `.` for the directory itself.
    pub name: &'a OsStr,
}

/// A rename: one operation on two names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename<'a> {
    /// The name before.
    pub old: DirName<'a>,
    /// The name after.
    pub new: DirName<'a>,
}

/// One event, borrowed from the buffer it was read into.
#[derive(Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// PRE, POST, or what is no operation.
    pub kind: Kind,
    /// Which one of the filterable events; two for a rename that is both moved from and moved to;
    /// none for what is no operation.
    pub events: Events,
    /// Whether the object is a directory.
    pub on_dir: bool,
    /// The operation: its PRE and its POST carry the same cookie. Unique per boot, growing, never 0
    /// except for [`Kind::Overflow`] and [`Kind::Gone`]. For a barrier, its number.
    pub cookie: u64,
    /// Properties of the operation.
    pub flags: OpFlags,
    /// The process (with [`Builder::report_tid`](crate::Builder::report_tid), the thread) that
    /// asked for it, where it can be seen from the listener's PID namespace.
    pub pid: Option<Pid>,
    /// The same as a descriptor, with [`Builder::report_pidfd`](crate::Builder::report_pidfd), as
    /// long as the process is there.
    pub pidfd: Option<OwnedFd>,
    /// The bytes, where they are known before: not for a write with `O_APPEND`.
    pub range: Option<Range>,
    /// The file system, where the event says one: the same as in its handles.
    pub fsid: Option<u64>,
    /// The object itself, where it exists and has a file handle.
    pub object: Option<FileHandle<'a>>,
    /// The object's name: for events on directory entries, and in a group with
    /// [`Builder::report_name`](crate::Builder::report_name) wherever it has one.
    pub name: Option<DirName<'a>>,
    /// Both names of a rename, instead of `name`.
    pub rename: Option<Rename<'a>>,
    /// The directory of a file that is created without a name (`O_TMPFILE`), instead of `name`.
    pub directory: Option<FileHandle<'a>>,
    /// With [`Records::REPLACED`](crate::Records::REPLACED): what a rename replaces.
    pub replaced: Option<FileHandle<'a>>,
    /// With [`Records::MOUNT`](crate::Records::MOUNT), and of a mount that is gone: its unique
    /// number, as `statx(2)` gives it with `STATX_MNT_ID_UNIQUE`.
    pub mount: Option<u64>,
    /// With [`Records::CGROUP`](crate::Records::CGROUP): the cgroup of the task.
    pub cgroup: Option<u64>,
}
