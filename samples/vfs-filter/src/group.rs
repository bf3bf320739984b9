// SPDX-License-Identifier: GPL-2.0

//! A group: the listener's end.

use crate::sys::Delivered;
use crate::sys::GroupFd;
use crate::uapi;
use crate::Answer;
use crate::Builder;
use crate::Error;
use crate::Event;
use crate::Malformed;
use crate::Mark;
use crate::Result;
use crate::Scope;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::iter::FusedIterator;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;

bitflags::bitflags! {
    /// What events say only if they are asked to, by [`Group::records`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Records: u32 {
        /// [`Event::mount`]: the mount that the operation came through.
        const MOUNT = uapi::FAN_RECORD_MNT;
        /// [`Event::cgroup`]: the cgroup of the task.
        const CGROUP = uapi::FAN_RECORD_CGROUP;
        /// [`Event::replaced`]: what a rename replaces.
        const REPLACED = uapi::FAN_RECORD_REPLACED;
    }
}

/// A fanotify group of `FAN_CLASS_VFS_FILTER`.
///
/// Operations of its owner, the process that made it, raise no event in it. When it is dropped,
/// what waits for an answer is allowed, or, of a group that fails closed, denied.
#[derive(Debug)]
pub struct Group {
    fd: GroupFd,
}

impl Group {
    /// A group that blocks in [`Group::read`], reports file handles, and is closed on exec.
    pub const fn builder() -> Builder {
        Builder::new()
    }

    /// Takes over a group that another process made, say one's supervisor. [`Group::own`] makes the
    /// caller its owner.
    ///
    /// # Errors
    ///
    /// [`Error::Inherit`], with `EINVAL` if the descriptor is not one of such a group, or as
    /// `open(2)` if `/proc/self/fdinfo` cannot be looked at.
    pub fn inherit(fd: OwnedFd) -> Result<Self> {
        GroupFd::inherit(fd).map(Self::from).map_err(Error::Inherit)
    }

    /// Asks for the events of `mark`, in addition to what was asked for before.
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with an errno of `fanotify_mark(2)`.
    pub fn mark(&self, mark: &Mark<'_>) -> Result<()> {
        self.apply(mark, uapi::FAN_MARK_ADD)
    }

    /// Asks for the events of `mark` no longer; of an ignore mark, ignores them no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with `ENOENT` if there is no mark on the object (an evictable one may have
    /// been forgotten), or another errno of `fanotify_mark(2)`.
    pub fn unmark(&self, mark: &Mark<'_>) -> Result<()> {
        self.apply(mark, uapi::FAN_MARK_REMOVE)
    }

    fn apply(&self, mark: &Mark<'_>, command: u32) -> Result<()> {
        mark.apply(command, |flags, mask, directory, path| {
            self.fd.mark(flags, mask, directory, path.as_deref())
        })
    }

    /// Removes all marks of one scope, ignore marks included.
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with an errno of `fanotify_mark(2)`.
    pub fn flush(&self, scope: Scope) -> Result<()> {
        self.flush_with(scope, 0)
    }

    /// [`Group::flush`], with the promise of [`Mark::sync`].
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with an errno of `fanotify_mark(2)`.
    pub fn flush_sync(&self, scope: Scope) -> Result<()> {
        self.flush_with(scope, uapi::FAN_MARK_SYNC)
    }

    /// Ends all ignore masks of marks of one scope, those of [`Answer::allow_and_ignore`] (on
    /// inodes) among them, in a time that does not depend on how many they are. What the marks ask
    /// for is left alone.
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with `EINVAL` on a kernel that cannot, or another errno of
    /// `fanotify_mark(2)`.
    pub fn flush_ignored(&self, scope: Scope) -> Result<()> {
        self.flush_with(scope, uapi::FAN_MARK_IGNORE)
    }

    /// [`Group::flush_ignored`], with the promise of [`Mark::sync`]: whoever comes to an operation
    /// after it has returned is not ignored.
    ///
    /// # Errors
    ///
    /// Those of [`Group::flush_ignored`].
    pub fn flush_ignored_sync(&self, scope: Scope) -> Result<()> {
        self.flush_with(scope, uapi::FAN_MARK_IGNORE | uapi::FAN_MARK_SYNC)
    }

    /// Asks for one [`Kind::Barrier`](crate::Kind::Barrier), as soon as every operation on the file
    /// system of `path` that was past its PRE when this was called has ended and its POST is
    /// queued. Neither this call nor any operation waits for that. The first barrier of a group has
    /// the number 1.
    ///
    /// Only operations on objects that some group of the class watches are counted; writable shared
    /// mappings ([`OpFlags::MAPPED`](crate::OpFlags::MAPPED)) are not.
    ///
    /// # Errors
    ///
    /// [`Error::Mark`], with `EINVAL` on a kernel that has no barriers, or another errno of
    /// `fanotify_mark(2)`.
    pub fn barrier(&self, path: &(impl AsRef<Path> + ?Sized)) -> Result<()> {
        self.apply(&Mark::inode(path), uapi::FAN_MARK_BARRIER)
    }

    /// [`Group::barrier`] on the file system that `descriptor` is open on (not one of `O_PATH`).
    ///
    /// # Errors
    ///
    /// Those of [`Group::barrier`].
    pub fn barrier_at(&self, descriptor: &impl AsFd) -> Result<()> {
        let place = Mark::descriptor(Scope::Inode, descriptor);
        self.apply(&place, uapi::FAN_MARK_BARRIER)
    }

    fn flush_with(&self, scope: Scope, flags: u32) -> Result<()> {
        // A flush is of the whole group: which path it names does not matter.
        let flags = uapi::FAN_MARK_FLUSH | scope.flag() | flags;
        self.fd
            .mark(flags, 0, CWD, Some(c"/"))
            .map_err(|errno| Error::Mark(errno, "/".into()))
    }

    /// Takes events from the queue, PRE before all others.
    ///
    /// As many as `buffer` has room for; 4096 bytes are enough for any single one. A PRE among them
    /// holds its task until it is answered, so go through all of them.
    ///
    /// # Errors
    ///
    /// [`Error::Read`], with `EAGAIN` if there are none and the group does not block, `EINTR` after
    /// a signal, `EINVAL` if the buffer is too small for the first one.
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Batch<'b>> {
        let delivered = self.fd.read(buffer).map_err(Error::Read)?;
        Ok(Batch { delivered })
    }

    /// Gives answers. Returns how many of them came too late: their operations no longer wait, as
    /// their tasks were killed, or were answered before.
    ///
    /// # Errors
    ///
    /// [`Error::Answer`], with `EINVAL` for an errno the kernel does not deny with, `ENOMEM` or
    /// `ENOSPC` (the limit of marks) if an answer cannot ignore. It is of the first that was refused;
    /// every answer that was not refused has been given, wherever it was among them.
    pub fn answer(&self, answers: &[Answer]) -> Result<usize> {
        give_by(&self.fd, answers)
    }

    /// Sets what events have from here on, beside what they always have.
    ///
    /// # Errors
    ///
    /// [`Error::Records`], with `ENOTTY` on a kernel that cannot.
    pub fn records(&self, records: Records) -> Result<()> {
        self.fd.records(records.bits()).map_err(Error::Records)
    }

    /// Makes the calling process the owner, whose operations raise no event: after a fork, or in a
    /// process that took the group over.
    ///
    /// # Errors
    ///
    /// [`Error::Own`], with an errno of `ioctl(2)`.
    pub fn own(&self) -> Result<()> {
        self.fd.own().map_err(Error::Own)
    }

    /// Opens a queue of the group, through which the calling process reads and answers its events. It
    /// raises none in the group as long as the queue is open.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`], with `ENOSPC` if the group has too many, or another errno of `ioctl(2)`.
    pub fn queue(&self) -> Result<Queue> {
        let fd = self.fd.queue().map_err(Error::Queue)?;
        Ok(Queue { fd })
    }

    /// Lets tasks in this cgroup and below it, of which `directory` is open, raise no event in the
    /// group.
    ///
    /// # Errors
    ///
    /// [`Error::Exempt`], with `EEXIST` if it is so already, `ENOSPC` if there are too many, `EINVAL`
    /// if it is not the directory of a cgroup (v2).
    pub fn exempt(&self, directory: &impl AsFd) -> Result<()> {
        self.fd.exempt(directory.as_fd()).map_err(Error::Exempt)
    }
}

/// One of several ways to the events of a group, made by [`Group::queue`].
///
/// What is read of it is answered through it. When it is closed, what was not answered goes back to
/// the group, to be read by whoever reads next.
#[derive(Debug)]
pub struct Queue {
    fd: GroupFd,
}

impl Queue {
    /// As [`Group::read`]. An empty batch says that the group was closed.
    ///
    /// # Errors
    ///
    /// Those of [`Group::read`].
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Batch<'b>> {
        let delivered = self.fd.read(buffer).map_err(Error::Read)?;
        Ok(Batch { delivered })
    }

    /// As [`Group::answer`].
    ///
    /// # Errors
    ///
    /// Those of [`Group::answer`].
    pub fn answer(&self, answers: &[Answer]) -> Result<usize> {
        give_by(&self.fd, answers)
    }
}

impl AsFd for Queue {
    /// For `poll(2)`: readable when there is an event, or the group was closed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Gives answers through the file that their events were read of.
fn give_by(fd: &GroupFd, answers: &[Answer]) -> Result<usize> {
    let mut bytes = Vec::with_capacity(answers.len().saturating_mul(uapi::FAN_ANSWER_LEN));
    answers.iter().for_each(|answer| answer.encode(&mut bytes));
    give(&bytes, |rest| rustix::io::write(fd, rest)).map_err(Error::Answer)
}

/// Writes answers, each of which can be refused. Returns how many were late, or why the first that
/// was refused was.
fn give(
    mut rest: &[u8],
    mut write: impl FnMut(&[u8]) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut late = 0;
    let mut refused = None;
    while !rest.is_empty() {
        let taken = match write(rest) {
            Ok(0) => return Err(Errno::IO),
            Ok(taken) => taken,
            Err(Errno::INTR) => continue,
            Err(errno) => {
                if errno == Errno::NOENT {
                    late += 1;
                } else {
                    refused.get_or_insert(errno);
                }
                uapi::FAN_ANSWER_LEN
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    refused.map_or(Ok(late), Err)
}

impl From<GroupFd> for Group {
    fn from(fd: GroupFd) -> Self {
        Self { fd }
    }
}

impl AsFd for Group {
    /// For `poll(2)`: readable when there is an event.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The events of one [`Group::read`].
///
/// After a malformed one there are no more. Dropping it early closes the descriptors of the events
/// that were not looked at; their operations go on waiting.
#[derive(Debug)]
#[must_use = "a PRE in it holds its task until it is answered"]
pub struct Batch<'b> {
    delivered: Delivered<'b>,
}

impl<'b> Iterator for Batch<'b> {
    type Item = Result<Event<'b>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        self.delivered.take()
    }
}

impl FusedIterator for Batch<'_> {}

#[cfg(test)]
mod tests;
