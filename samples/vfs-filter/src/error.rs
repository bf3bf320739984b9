// SPDX-License-Identifier: GPL-2.0

//! What can go wrong, said so that a user knows what to do.

use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed; `Display` is one line for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// `fanotify_init(2)` made no group.
    Init(Errno),
    /// `fanotify_mark(2)` refused a mark on this object.
    Mark(Errno, PathBuf),
    /// `read(2)` of the group brought no events: `EAGAIN` in a nonblocking group with an empty
    /// queue, `EINTR` after a signal, `EINVAL` if the buffer is too small for the first event.
    Read(Errno),
    /// An answer was refused, with `EINVAL`: its errno is not one that can be given; with `ENOMEM` or
    /// `ENOSPC`: it was to ignore, and there is no room for that.
    Answer(Errno),
    /// `FAN_IOC_OWN` failed.
    Own(Errno),
    /// `FAN_IOC_RECORDS` failed.
    Records(Errno),
    /// `FAN_IOC_QUEUE` made no queue.
    Queue(Errno),
    /// `FAN_IOC_DEADLINE` failed.
    Deadline(Errno),
    /// `FAN_IOC_EXEMPT` failed.
    Exempt(Errno),
    /// An inherited descriptor could not be looked at, or (`EINVAL`) is not a group of this class.
    Inherit(Errno),
    /// The bytes that were read are no event.
    Malformed(Malformed),
}

impl Error {
    /// The errno of the system call, if one failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Init(errno)
            | Self::Mark(errno, _)
            | Self::Read(errno)
            | Self::Answer(errno)
            | Self::Own(errno)
            | Self::Records(errno)
            | Self::Queue(errno)
            | Self::Deadline(errno)
            | Self::Exempt(errno)
            | Self::Inherit(errno) => Some(*errno),
            Self::Malformed(_) => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Init(errno) => explain_init(*errno, f),
            Self::Mark(Errno::XDEV, path) => write!(
                f,
                "{} is in a subvolume (btrfs), of which only mounts can be marked",
                path.display()
            ),
            Self::Mark(errno, path) => write!(f, "cannot mark {}: {errno}", path.display()),
            Self::Read(errno) => write!(f, "cannot read events: {errno}"),
            Self::Answer(errno) => write!(f, "answer refused: {errno}"),
            Self::Own(errno) => write!(f, "cannot become the group's owner: {errno}"),
            Self::Records(errno) => write!(f, "cannot set the records of events: {errno}"),
            Self::Queue(errno) => write!(f, "cannot make a queue of the group: {errno}"),
            Self::Deadline(errno) => write!(f, "cannot set a deadline: {errno}"),
            Self::Exempt(Errno::INVAL) => f.write_str("not the directory of a cgroup (version 2)"),
            Self::Exempt(errno) => write!(f, "cannot exempt a cgroup: {errno}"),
            Self::Inherit(Errno::INVAL) => f.write_str("not a group of FAN_CLASS_VFS_FILTER"),
            Self::Inherit(errno) => write!(f, "cannot take over a group: {errno}"),
            Self::Malformed(malformed) => malformed.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

fn explain_init(errno: Errno, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match errno {
        Errno::INVAL | Errno::NOSYS => {
            f.write_str("this kernel has no FAN_CLASS_VFS_FILTER (unpatched): see README")
        }
        Errno::OPNOTSUPP => f.write_str("the vfs_filter module is not loaded: insmod it first"),
        Errno::PERM => {
            f.write_str("needs root (CAP_SYS_ADMIN in the initial user namespace)")
        }
        Errno::MFILE => f.write_str(
            "too many groups or open files: see /proc/sys/fs/fanotify/max_user_groups and ulimit -n",
        ),
        errno => write!(f, "cannot make a group: {errno}"),
    }
}

/// Bytes that are no event, and what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// The field or record at fault.
    pub what: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed event: {}", self.what)
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::Error;
    use super::Malformed;
    use rustix::io::Errno;

    #[test]
    fn a_group_that_cannot_be_made_says_what_to_do() {
        let said = |errno| Error::Init(errno).to_string();
        assert!(said(Errno::INVAL).contains("(unpatched): see README"));
        assert!(said(Errno::OPNOTSUPP).contains("module is not loaded"));
        assert!(said(Errno::PERM).starts_with("needs root"));
        assert!(said(Errno::NOMEM).starts_with("cannot make a group: "));
    }

    #[test]
    fn the_errno_and_the_object_are_kept() {
        let error = Error::Mark(Errno::NOENT, "/srv/gone".into());
        assert_eq!(error.errno(), Some(Errno::NOENT));
        assert!(error
            .to_string()
            .starts_with("cannot mark /srv/gone: No such"));
        let error = Error::from(Malformed { what: "mask" });
        assert_eq!(
            (error.errno(), error.to_string()),
            (None, "malformed event: mask".into())
        );
    }
}
