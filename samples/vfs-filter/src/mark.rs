// SPDX-License-Identifier: GPL-2.0

//! Marks: what a group is asked about.

use crate::uapi;
use crate::Error;
use crate::Events;
use crate::Result;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

/// What a mark is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One file or directory; with [`Events::ON_CHILD`], what is in the directory too.
    Inode,
    /// Everything that is reached through one mount.
    Mount,
    /// Everything on one file system.
    Filesystem,
}

impl Scope {
    pub(crate) const fn flag(self) -> u32 {
        match self {
            Self::Inode => uapi::FAN_MARK_INODE,
            Self::Mount => uapi::FAN_MARK_MOUNT,
            Self::Filesystem => uapi::FAN_MARK_FILESYSTEM,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Target<'a> {
    Path(BorrowedFd<'a>, &'a Path),
    Descriptor(BorrowedFd<'a>),
}

/// Events on an object: to be asked for with [`Group::mark`](crate::Group::mark), or no longer with
/// [`Group::unmark`](crate::Group::unmark).
///
/// ```no_run
/// use vfs_filter::{Events, Group, Mark, Scope};
///
/// let group = Group::builder().init()?;
/// group.mark(&Mark::new(Scope::Filesystem, "/srv").events(Events::MODIFY))?;
/// // Be asked no more about this one file, for as long as its inode is in memory.
/// group.mark(&Mark::inode("/srv/log").events(Events::MODIFY).ignore().evictable())?;
/// # Ok::<(), vfs_filter::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a mark does nothing until a group is given it"]
pub struct Mark<'a> {
    target: Target<'a>,
    flags: u32,
    events: Events,
}

impl<'a> Mark<'a> {
    /// A mark on what `path` names, or on its mount, or on its file system. No events yet.
    pub fn new(scope: Scope, path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self {
            target: Target::Path(CWD, path.as_ref()),
            flags: scope.flag(),
            events: Events::empty(),
        }
    }

    /// [`Mark::new`] with [`Scope::Inode`].
    pub fn inode(path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self::new(Scope::Inode, path)
    }

    /// [`Mark::new`] with [`Scope::Mount`].
    pub fn mount(path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self::new(Scope::Mount, path)
    }

    /// [`Mark::new`] with [`Scope::Filesystem`].
    pub fn filesystem(path: &'a (impl AsRef<Path> + ?Sized)) -> Self {
        Self::new(Scope::Filesystem, path)
    }

    /// A mark on the object that `descriptor` is open on (not one of `O_PATH`), or on its mount, or
    /// on its file system.
    pub fn descriptor(scope: Scope, descriptor: &'a impl AsFd) -> Self {
        Self {
            target: Target::Descriptor(descriptor.as_fd()),
            flags: scope.flag(),
            events: Events::empty(),
        }
    }

    /// Looks a relative path up from this directory, not from the working directory.
    pub fn at(self, directory: &'a impl AsFd) -> Self {
        match self.target {
            Target::Path(_, path) => Self {
                target: Target::Path(directory.as_fd(), path),
                ..self
            },
            Target::Descriptor(_) => self,
        }
    }

    /// Adds these events to the mark.
    pub fn events(self, events: Events) -> Self {
        Self {
            events: self.events | events,
            ..self
        }
    }

    /// Makes it an ignore mark: its events are not reported for this object, whatever other marks
    /// of the group ask for. It survives changes of the file.
    pub const fn ignore(self) -> Self {
        self.with(uapi::FAN_MARK_IGNORE_SURV)
    }

    /// Lets the kernel forget the mark together with the inode, when it needs the memory.
    pub const fn evictable(self) -> Self {
        self.with(uapi::FAN_MARK_EVICTABLE)
    }

    /// Makes the call return only once this change, and every change made before it, is what each
    /// operation goes by.
    ///
    /// When it returns, no operation is still at its PRE that looked at the marks as they were
    /// before: whoever was to be ignored by a removed ignore mark has been ignored by then, and
    /// whoever comes later is not. It never waits for an answer.
    pub const fn sync(self) -> Self {
        self.with(uapi::FAN_MARK_SYNC)
    }

    /// Marks a symbolic link itself, not what it points to.
    pub const fn dont_follow(self) -> Self {
        self.with(uapi::FAN_MARK_DONT_FOLLOW)
    }

    /// Fails with `ENOTDIR` on what is no directory.
    pub const fn only_dir(self) -> Self {
        self.with(uapi::FAN_MARK_ONLYDIR)
    }

    const fn with(self, flag: u32) -> Self {
        Self {
            flags: self.flags | flag,
            ..self
        }
    }

    /// `fanotify_mark(2)` with this command, through `call(flags, mask, directory, path)`.
    pub(crate) fn apply(
        &self,
        command: u32,
        call: impl FnOnce(u32, u64, BorrowedFd<'_>, Option<CString>) -> Result<(), Errno>,
    ) -> Result<()> {
        let (directory, path) = match self.target {
            Target::Path(directory, path) => (directory, Some(path)),
            Target::Descriptor(descriptor) => (descriptor, None),
        };
        path.map(|path| CString::new(path.as_os_str().as_bytes()))
            .transpose()
            .map_err(|_| Errno::INVAL)
            .and_then(|path| call(self.flags | command, self.events.bits(), directory, path))
            .map_err(|errno| Error::Mark(errno, self.describe()))
    }

    fn describe(&self) -> PathBuf {
        match self.target {
            Target::Path(_, path) => path.to_path_buf(),
            Target::Descriptor(fd) => format!("/proc/self/fd/{}", fd.as_raw_fd()).into(),
        }
    }
}

#[cfg(test)]
mod tests;
