// SPDX-License-Identifier: GPL-2.0

//! A queue of a group: one of several ends that it is read by.

use crate::group::give_answers;
use crate::sys::GroupFd;
use crate::Answer;
use crate::Batch;
use crate::Error;
use crate::Result;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

/// Reads and answers the events of a [`Group`](crate::Group), as others do by queues of their own.
/// Made by [`Group::queue`](crate::Group::queue).
///
/// Operations of the process that made it raise no event while it is there. When it is dropped, or
/// its process dies, what was read of it and not answered goes back to the group, to be read by
/// whoever reads next. It does not keep the group: that goes with its own descriptor.
#[derive(Debug)]
pub struct Queue {
    fd: GroupFd,
}

impl Queue {
    pub(crate) const fn new(fd: GroupFd) -> Self {
        Self { fd }
    }

    /// Takes events from the group, as [`Group::read`](crate::Group::read) does. There are none in
    /// the batch if the group is closed, and never will be.
    ///
    /// # Errors
    ///
    /// Those of [`Group::read`](crate::Group::read).
    pub fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Batch<'b>> {
        Batch::read(&self.fd, buffer)
    }

    /// Answers what was read of this queue, as [`Group::answer`](crate::Group::answer) does. What
    /// was read elsewhere counts as too late, and so does all if the group is closed.
    ///
    /// # Errors
    ///
    /// Those of [`Group::answer`](crate::Group::answer).
    pub fn answer(&self, answers: &[Answer]) -> Result<usize> {
        give_answers(&self.fd, answers)
    }

    /// Makes the calling process the one that is exempt, in place of the one that made the queue.
    ///
    /// # Errors
    ///
    /// [`Error::Own`], with `ENOENT` if the group is closed.
    pub fn own(&self) -> Result<()> {
        self.fd.own().map_err(Error::Own)
    }
}

impl AsFd for Queue {
    /// For `poll(2)`: readable when there is an event, or the group is closed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
