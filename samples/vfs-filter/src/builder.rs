// SPDX-License-Identifier: GPL-2.0

//! How a group is made.

use crate::sys::GroupFd;
use crate::uapi;
use crate::Error;
use crate::Group;
use crate::Result;

/// What a group is to be like. Made by [`Group::builder`].
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `init`"]
pub struct Builder {
    flags: u32,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        let flags = uapi::FAN_CLASS_VFS_FILTER | uapi::FAN_CLOEXEC;
        Self { flags }
    }

    /// Events say the name of the object and its directory, wherever it has one. Otherwise only
    /// events on directory entries do.
    pub const fn report_name(self, yes: bool) -> Self {
        self.set(uapi::FAN_REPORT_DIR_FID | uapi::FAN_REPORT_NAME, yes)
    }

    /// Events carry a descriptor of the process, which cannot be mistaken for a later one with the
    /// same number.
    pub const fn report_pidfd(self, yes: bool) -> Self {
        self.set(uapi::FAN_REPORT_PIDFD, yes)
    }

    /// `pid` is the thread's, not the process's.
    pub const fn report_tid(self, yes: bool) -> Self {
        self.set(uapi::FAN_REPORT_TID, yes)
    }

    /// [`Group::read`] fails with `EAGAIN` when there is no event, instead of waiting for one.
    pub const fn nonblock(self, yes: bool) -> Self {
        self.set(uapi::FAN_NONBLOCK, yes)
    }

    /// No limit on waiting POST events (by default, `/proc/sys/fs/fanotify/max_queued_events`).
    pub const fn unlimited_queue(self, yes: bool) -> Self {
        self.set(uapi::FAN_UNLIMITED_QUEUE, yes)
    }

    /// No limit on marks (by default, `/proc/sys/fs/fanotify/max_user_marks`).
    pub const fn unlimited_marks(self, yes: bool) -> Self {
        self.set(uapi::FAN_UNLIMITED_MARKS, yes)
    }

    /// When the last descriptor of the group is closed, what waits is denied with `EIO`, and what
    /// its marks of mounts and file systems ask about is denied from then on, until another such
    /// group marks the same, or `/sys/fs/fanotify/vfs_filter/lift` ends that. By default, it is
    /// allowed.
    pub const fn fail_closed(self, yes: bool) -> Self {
        self.set(uapi::FAN_FAIL_CLOSED, yes)
    }

    const fn set(self, flags: u32, yes: bool) -> Self {
        let others = self.flags & !flags;
        let flags = if yes { others | flags } else { others };
        Self { flags }
    }

    /// Makes the group, with `fanotify_init(2)`. The calling process becomes its owner.
    ///
    /// # Errors
    ///
    /// [`Error::Init`], with `EINVAL` on a kernel without the class, `EOPNOTSUPP` without the
    /// module, `EPERM` without `CAP_SYS_ADMIN`.
    pub fn init(self) -> Result<Group> {
        GroupFd::init(self.flags)
            .map(Group::from)
            .map_err(Error::Init)
    }
}

#[cfg(test)]
mod tests {
    use super::Builder;

    #[test]
    fn flags_of_the_uapi_are_set_and_cleared() {
        assert_eq!(Builder::new().flags, 0x000d);
        let all = Builder::new()
            .report_name(true)
            .report_pidfd(true)
            .report_tid(true);
        let all = all
            .nonblock(true)
            .unlimited_queue(true)
            .unlimited_marks(true);
        assert_eq!(all.flags, 0x0dbf);
        assert_eq!(all.report_name(false).flags, 0x01bf);
        assert_eq!(Builder::new().fail_closed(true).flags, 0x0010_000d);
    }
}
