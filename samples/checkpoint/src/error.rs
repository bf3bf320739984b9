// SPDX-License-Identifier: GPL-2.0

//! What can go wrong, said so that a user knows what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use vfs_filter::Errno;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed; `Display` is one line for the user.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file of the store could not be used.
    Store(io::Error, PathBuf),
    /// The store is in use by another process.
    InUse(PathBuf),
    /// The log has been written by something else.
    NotALog(PathBuf),
    /// The kernel refused something.
    Filter(vfs_filter::Error),
    /// The kernel has no `FAN_MARK_BARRIER`.
    NoBarrier,
    /// A checkpoint is being made.
    Busy,
    /// No such period is sealed.
    NotSealed(crate::Period),
    /// The log cannot be written at present, so nothing that it does not have is allowed.
    Failed,
    /// There is no room for the log to grow, so what it does not have is denied with `ENOSPC`,
    /// except what makes room.
    Full(PathBuf),
    /// The path leads elsewhere than to the mount that is watched.
    Elsewhere(PathBuf),
    /// What was watched was unmounted. All that was changed before is recorded.
    Gone(PathBuf),
    /// A subvolume of btrfs, of which only mounts can be watched.
    Subvolume(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error, path) => write!(f, "{}: {error}", path.display()),
            Self::InUse(path) => write!(f, "{} is in use by another journal", path.display()),
            Self::NotALog(path) => write!(f, "{} is no log of a journal", path.display()),
            Self::Filter(error) => error.fmt(f),
            Self::NoBarrier => f.write_str("this kernel has no FAN_MARK_BARRIER: use POST instead"),
            Self::Busy => f.write_str("another checkpoint is being made"),
            Self::NotSealed(period) => write!(f, "period {period} is not sealed"),
            Self::Failed => f.write_str("the log cannot be written: changes are denied"),
            Self::Full(path) => write!(
                f,
                "no room for {} to grow: changes are denied with ENOSPC until there is, removals \
                 are not",
                path.display()
            ),
            Self::Elsewhere(path) => write!(
                f,
                "{} is not on the mount that is watched: unmounted, or mounted over",
                path.display()
            ),
            Self::Gone(path) => write!(
                f,
                "{} was unmounted: what was changed until then is recorded, and nothing after it",
                path.display()
            ),
            Self::Subvolume(path) => write!(
                f,
                "{} is in a subvolume of btrfs, of which only a mount can be watched: use --mount",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Error {}

impl From<vfs_filter::Error> for Error {
    fn from(error: vfs_filter::Error) -> Self {
        Self::Filter(error)
    }
}

impl From<vfs_filter::Malformed> for Error {
    fn from(malformed: vfs_filter::Malformed) -> Self {
        Self::Filter(malformed.into())
    }
}

impl Error {
    /// Whether what failed is tried again, and the journal goes on.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Store(..) | Self::Failed | Self::Full(_) | Self::Elsewhere(_) | Self::Busy => {
                true
            }
            Self::Filter(error) => !matches!(
                error,
                vfs_filter::Error::Read(_) | vfs_filter::Error::Malformed(_)
            ),
            _ => false,
        }
    }

    /// The errno of a system call on the group, if one failed.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Filter(error) => error.errno(),
            _ => None,
        }
    }
}
