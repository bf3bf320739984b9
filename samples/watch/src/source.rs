// SPDX-License-Identifier: GPL-2.0

//! What events are read from: a group, or a queue of one that someone else keeps.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use vfs_filter::Answer;
use vfs_filter::Batch;
use vfs_filter::Group;
use vfs_filter::Queue;
use vfs_filter::Result;

/// A group, and by what it is read.
pub(crate) struct Source {
    group: Group,
    queue: Option<Queue>,
}

impl Source {
    /// Reads by a queue, which leaves what is not answered to others when this process dies.
    pub(crate) fn queue(group: Group) -> Result<Self> {
        let queue = Some(group.queue(true)?);
        Ok(Self { group, queue })
    }

    /// Whose marks these are.
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Whether whoever keeps the group sees to its marks.
    pub(crate) fn is_marked(&self) -> bool {
        self.queue.is_some()
    }

    /// As [`Group::read`].
    pub(crate) fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Batch<'b>> {
        match &self.queue {
            Some(queue) => queue.read(buffer),
            None => self.group.read(buffer),
        }
    }

    /// As [`Group::answer`].
    pub(crate) fn answer(&self, answers: &[Answer]) -> Result<usize> {
        match &self.queue {
            Some(queue) => queue.answer(answers),
            None => self.group.answer(answers),
        }
    }
}

impl From<Group> for Source {
    fn from(group: Group) -> Self {
        let queue = None;
        Self { group, queue }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.queue {
            Some(queue) => queue.as_fd(),
            None => self.group.as_fd(),
        }
    }
}
