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
use crate::Queue;
use crate::Result;
use crate::Scope;
use crate::Verdict;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::iter::FusedIterator;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

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
/// what waits for an answer is allowed.
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

    /// [`Group::inherit`] of the descriptor with this number, which the process was started with,
    /// say as an argument. What it gets is another one, closed on exec; that number stays open.
    ///
    /// # Errors
    ///
    /// Those of [`Group::inherit`], and `EBADF` if there is no such descriptor.
    pub fn inherit_number(number: RawFd) -> Result<Self> {
        let fd = GroupFd::inherit_number(number).map_err(Error::Inherit)?;
        Ok(fd.into())
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
        Batch::read(&self.fd, buffer)
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
        give_answers(&self.fd, answers)
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

    /// Another end of the group to read and answer, closed on exec. Several processes share a group
    /// in this way, and one that keeps the group and reads nothing starts those again that die.
    ///
    /// With `nonblock` it fails with `EAGAIN` when there is no event, instead of waiting for one.
    ///
    /// # Errors
    ///
    /// [`Error::Queue`], with `ENOSPC` if there are 63 of them, `ENOTTY` on a kernel that cannot.
    pub fn queue(&self, nonblock: bool) -> Result<Queue> {
        let fd = self.fd.queue(nonblock).map_err(Error::Queue)?;
        Ok(Queue::new(fd))
    }

    /// Questions asked from here on that have no answer after `time`, in milliseconds and rounded up
    /// to one, end with `verdict`, whether they were read or not. A later answer is too late.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], with `EINVAL` for a time of 0 or more than `u32::MAX` milliseconds, or
    /// an errno the kernel does not deny with.
    pub fn deadline(&self, time: Duration, verdict: Verdict) -> Result<()> {
        let msecs = u32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(0);
        if msecs == 0 {
            return Err(Error::Deadline(Errno::INVAL));
        }
        self.set_deadline(msecs, verdict.response())
    }

    /// Questions asked from here on wait as long as it takes: the default.
    ///
    /// # Errors
    ///
    /// [`Error::Deadline`], with `ENOTTY` on a kernel that has no deadlines.
    pub fn no_deadline(&self) -> Result<()> {
        self.set_deadline(0, 0)
    }

    fn set_deadline(&self, msecs: u32, verdict: u32) -> Result<()> {
        self.fd.deadline(msecs, verdict).map_err(Error::Deadline)
    }

    /// Tasks in the cgroup (version 2) whose directory `cgroup` is open on, and below it, raise no
    /// event from here on. That cannot be taken back.
    ///
    /// # Errors
    ///
    /// [`Error::Exempt`], with `EINVAL` for anything else than such a directory, `EEXIST` if that was
    /// done before, `ENOSPC` if there are 16 of them, `ENOENT` if it was removed.
    pub fn exempt(&self, cgroup: &impl AsFd) -> Result<()> {
        self.fd.exempt(cgroup.as_fd()).map_err(Error::Exempt)
    }
}

/// [`Group::answer`], by any end of a group.
pub(crate) fn give_answers(fd: &GroupFd, answers: &[Answer]) -> Result<usize> {
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

/// The events of one [`Group::read`] or [`Queue::read`].
///
/// After a malformed one there are no more. Dropping it early closes the descriptors of the events
/// that were not looked at; their operations go on waiting.
#[derive(Debug)]
#[must_use = "a PRE in it holds its task until it is answered"]
pub struct Batch<'b> {
    delivered: Delivered<'b>,
}

impl<'b> Batch<'b> {
    pub(crate) fn read(fd: &GroupFd, buffer: &'b mut [u8]) -> Result<Self> {
        let delivered = fd.read(buffer).map_err(Error::Read)?;
        Ok(Self { delivered })
    }
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
