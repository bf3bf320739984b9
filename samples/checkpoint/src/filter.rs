// SPDX-License-Identifier: GPL-2.0

//! What the driver needs of the kernel.

use crate::Error;
use crate::Observed;
use crate::Operation;
use crate::Options;
use crate::Result;
use crate::Straddlers;
use crate::Watched;
use vfs_filter::Answer;
use vfs_filter::Errno;
use vfs_filter::Event;
use vfs_filter::Events;
use vfs_filter::Group;
use vfs_filter::Kind;
use vfs_filter::Mark;
use vfs_filter::Scope;

/// What changes a file system.
const CHANGES: Events = Events::MODIFY
    .union(Events::ATTRIB)
    .union(Events::CREATE)
    .union(Events::DELETE)
    .union(Events::MOVED_FROM)
    .union(Events::MOVED_TO);

/// Events are read into this many bytes; what was read together is made durable together.
const BUFFER_LEN: usize = 256 * 1024;

/// Groups, and the calls on them. Each can fail, and be tried again.
pub(crate) trait Filter {
    /// One group.
    type Group: Send + 'static;

    /// Makes a group that is asked about all changes, from now on for sure.
    fn subscribe(&self) -> Result<Self::Group>;
    /// Takes events, also if it fails. Returns whether there may be more.
    fn read(&mut self, group: &Self::Group, events: &mut Vec<Observed>) -> Result<bool>;
    /// Ends all that answers have made the group ignore.
    fn flush(&self, group: &Self::Group) -> Result<()>;
    /// Sets the group's next barrier.
    fn barrier(&self, group: &Self::Group) -> Result<()>;
    /// Gives answers; all of them but those that are refused, which is an error.
    fn answer(&self, group: &Self::Group, answers: &[Answer]) -> Result<()>;
    /// Whether what is watched is still where it was.
    fn is_there(&self) -> Result<()>;
}

/// The kernel's.
#[derive(Debug)]
pub(crate) struct Kernel {
    watched: Watched,
    scope: Scope,
    straddlers: Straddlers,
    /// Whether it can ignore and flush.
    ignore: bool,
    buffer: Vec<u8>,
}

impl Kernel {
    /// Finds out what the kernel can do.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let watched = Watched::new(&options.path)?;
        let group = Group::builder().init()?;
        if options.straddlers == Straddlers::Barrier {
            match group.barrier_at(&watched.open()?) {
                Err(error) if error.errno() == Some(Errno::INVAL) => return Err(Error::NoBarrier),
                done => done?,
            }
        }
        let ignore = match group.flush_ignored(Scope::Inode) {
            Err(error) if error.errno() == Some(Errno::INVAL) => false,
            done => done.map(|()| true)?,
        };
        Ok(Self {
            watched,
            scope: options.scope,
            straddlers: options.straddlers,
            ignore,
            buffer: vec![0; BUFFER_LEN],
        })
    }

    pub(crate) const fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(crate) const fn can_ignore(&self) -> bool {
        self.ignore
    }
}

impl Filter for Kernel {
    type Group = Group;

    fn subscribe(&self) -> Result<Group> {
        let events = match self.straddlers {
            Straddlers::Post => CHANGES,
            // A barrier does not wait for mappings.
            Straddlers::Barrier => CHANGES.pre() | Events::MODIFY.post(),
        };
        let group = Group::builder()
            .nonblock(true)
            .unlimited_queue(true)
            .unlimited_marks(true)
            .init()?;
        let place = self.watched.open()?;
        let mark = Mark::descriptor(self.scope, &place);
        match group.mark(&mark.events(events | Events::ONDIR).sync()) {
            Err(error) if error.errno() == Some(Errno::XDEV) && self.scope == Scope::Filesystem => {
                Err(Error::Subvolume(self.watched.path().into()))
            }
            Err(vfs_filter::Error::Mark(errno, _)) => {
                Err(vfs_filter::Error::Mark(errno, self.watched.path().into()).into())
            }
            done => Ok(done.map(|()| group)?),
        }
    }

    fn read(&mut self, group: &Group, events: &mut Vec<Observed>) -> Result<bool> {
        let batch = match group.read(&mut self.buffer) {
            Err(error) if error.errno() == Some(Errno::AGAIN) => return Ok(false),
            Err(error) if error.errno() == Some(Errno::INTR) => return Ok(true),
            batch => batch?,
        };
        for event in batch {
            events.extend(observe(&event?));
        }
        Ok(true)
    }

    fn flush(&self, group: &Group) -> Result<()> {
        if self.ignore {
            // Ignore masks that come with an answer are on inodes.
            group.flush_ignored_sync(Scope::Inode)?;
        }
        Ok(())
    }

    fn barrier(&self, group: &Group) -> Result<()> {
        Ok(group.barrier_at(&self.watched.open()?)?)
    }

    fn answer(&self, group: &Group, answers: &[Answer]) -> Result<()> {
        // Some may be late, as their tasks were killed.
        group.answer(answers)?;
        Ok(())
    }

    fn is_there(&self) -> Result<()> {
        self.watched.open().map(drop)
    }
}

fn observe(event: &Event<'_>) -> Option<Observed> {
    match event.kind {
        Kind::Pre => Some(Observed::Pre(Operation::from(event))),
        Kind::Post { .. } => Some(Observed::Post(Operation::from(event))),
        Kind::Barrier(number) => Some(Observed::Barrier(number)),
        Kind::Overflow => Some(Observed::Overflow),
        Kind::Gone => Some(Observed::Gone),
        _ => None,
    }
}
