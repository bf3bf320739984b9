// SPDX-License-Identifier: GPL-2.0

//! The driver: does what the machine says.

use crate::log::Found;
use crate::Action;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::Error;
use crate::GroupId;
use crate::Image;
use crate::Log;
use crate::Machine;
use crate::Observed;
use crate::Operation;
use crate::Options;
use crate::Period;
use crate::Result;
use crate::Straddlers;
use crate::Synced;
use std::collections::BTreeMap;
use std::fs;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread;
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

/// Records what changes, from the moment it is made until it is dropped.
///
/// All operations of its process on the file system go unrecorded.
#[derive(Debug)]
pub struct Journal {
    options: Options,
    machine: Machine,
    /// Whether the kernel can ignore and flush.
    ignore: bool,
    groups: BTreeMap<GroupId, Group>,
    log: Log,
    image: Image,
    /// Entries of the machine to be appended.
    batch: Vec<Entry>,
    /// How many were.
    appended: u64,
    answers: BTreeMap<GroupId, Vec<Answer>>,
    /// Why a checkpoint was not made.
    refused: Option<Error>,
    /// Nothing can be recorded any more, so nothing is allowed.
    failed: bool,
    rewritten_length: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Goes on with the journal in the store, or begins one. When it returns, no change escapes it.
    ///
    /// # Errors
    ///
    /// [`Error::NoBarrier`], or what [`Log::open`] and the crate `vfs-filter` fail with.
    pub fn open(options: Options) -> Result<Self> {
        let ignore = probe(&options)?;
        let boot = boot()?;
        let (log, Found { image, damaged }) = Log::open(&options.store)?;
        let open = image.next();
        let gap = damaged || (image.has_gap(&boot) && !options.no_gap);
        let config = Config {
            scheme: options.scheme,
            straddlers: options.straddlers,
            ignore,
            names: options.names,
        };
        let rewritten_length = log.length();
        let mut journal = Self {
            machine: Machine::new(config, open, [], []),
            ignore,
            groups: BTreeMap::new(),
            log,
            image,
            batch: Vec::new(),
            appended: 0,
            answers: BTreeMap::new(),
            refused: None,
            failed: false,
            rewritten_length,
            buffer: vec![0; BUFFER_LEN],
            options,
        };
        let straddlers = journal.options.straddlers;
        let started = Entry::Started {
            boot,
            straddlers,
            open,
        };
        // Nobody will tell the ends of operations that nobody was told of.
        let everything = Entry::ChangedBefore(open, Change::Everything);
        journal.append(vec![started])?;
        if gap {
            journal.append(vec![everything])?;
        }
        let recorded = journal.image.changes(open).cloned();
        let mapped = journal.image.mapped();
        let mapped = mapped.map(|(cookie, changes)| (cookie, changes.to_vec()));
        journal.machine = Machine::new(config, open, recorded, mapped);
        journal.groups.insert(open, journal.subscribe()?);
        Ok(journal)
    }

    /// What to poll for [`Journal::turn`].
    pub fn groups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.groups.values().map(AsFd::as_fd)
    }

    /// Takes what events there are, records them, and answers when that is durable.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the log cannot be written, once. From then on, whatever is asked about is
    /// denied with `EIO`. Or [`Error::Filter`].
    pub fn turn(&mut self) -> Result<()> {
        let groups: Vec<_> = self.groups.keys().copied().collect();
        for group in groups {
            self.read(group)?;
        }
        self.carry_out()
    }

    /// Ends the period and begins the next. Returns the one that ended; whether it is sealed is said
    /// by [`Journal::image`], at once or after a [`Journal::turn`].
    ///
    /// # Errors
    ///
    /// [`Error::Filter`] if the kernel refuses what it takes; the period goes on then. Otherwise as
    /// [`Journal::turn`].
    pub fn checkpoint(&mut self) -> Result<Period> {
        if self.failed {
            return Err(Error::Failed);
        }
        let period = self.machine.checkpoint().ok_or(Error::Busy)?;
        self.carry_out()?;
        self.refused.take().map_or(Ok(period), Err)
    }

    /// What was recorded, and is durable.
    #[must_use]
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// Forgets all sealed periods up to this one, of which the reader has a copy that is durable.
    ///
    /// What the reader saw must be on disk by now, which `Synced` is for: were the machine to crash,
    /// a file could be as it was before, with nobody to say so.
    ///
    /// # Errors
    ///
    /// [`Error::NotSealed`], or as [`Journal::turn`].
    pub fn consume(&mut self, up_to: Period, _: Synced) -> Result<()> {
        if self.failed {
            return Err(Error::Failed);
        }
        if !self.image.sealed().any(|period| period == up_to) {
            return Err(Error::NotSealed(up_to));
        }
        self.append(vec![Entry::Consumed(up_to)])?;
        if self.log.length() > self.options.log_length.max(2 * self.rewritten_length) {
            self.log.rewrite(&self.image)?;
            self.rewritten_length = self.log.length();
        }
        Ok(())
    }

    /// Ends. What is changed from now on is not recorded, and the log says so.
    ///
    /// # Errors
    ///
    /// As [`Journal::turn`].
    pub fn stop(mut self) -> Result<()> {
        self.append(vec![Entry::Stopped])
    }

    fn read(&mut self, id: GroupId) -> Result<bool> {
        let Some(group) = self.groups.get(&id) else {
            return Ok(false);
        };
        let batch = match group.read(&mut self.buffer) {
            Err(error) if error.errno() == Some(Errno::AGAIN) => return Ok(false),
            Err(error) if error.errno() == Some(Errno::INTR) => return Ok(true),
            batch => batch?,
        };
        for event in batch {
            let event = event?;
            if !self.failed {
                observe(&event)
                    .into_iter()
                    .for_each(|event| self.machine.event(id, event));
            } else if event.kind == Kind::Pre {
                group.answer(&[Answer::deny(event.cookie, Errno::IO)])?;
            }
        }
        Ok(true)
    }

    fn carry_out(&mut self) -> Result<()> {
        let done = self.try_carry_out();
        if matches!(done, Err(Error::Store(..))) {
            self.fail()?;
        }
        done
    }

    fn try_carry_out(&mut self) -> Result<()> {
        while !self.failed {
            let actions = self.machine.actions();
            if actions.is_empty() && self.batch.is_empty() {
                break;
            }
            for action in actions {
                self.act(action)?;
            }
            self.commit()?;
        }
        self.give_answers()
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Append(entry) => self.batch.push(entry),
            Action::Answer {
                group,
                cookie,
                ignore,
            } => {
                let answer = match ignore {
                    true => Answer::allow_and_ignore(cookie),
                    false => Answer::allow(cookie),
                };
                self.answers.entry(group).or_default().push(answer);
            }
            other => {
                // What was answered before was answered with the marks as they were before.
                self.give_answers()?;
                self.switch(other)?;
            }
        }
        Ok(())
    }

    fn switch(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Flush(id) => {
                // Ignore masks that come with an answer are on inodes.
                let done = match self.groups.get(&id) {
                    Some(group) if self.ignore => group.flush_ignored_sync(Scope::Inode),
                    _ => Ok(()),
                };
                self.machine_goes_on(done.map_err(Into::into), Machine::flushed);
            }
            Action::Subscribe(id) => {
                let made = self.subscribe().map(|group| {
                    self.groups.insert(id, group);
                });
                self.machine_goes_on(made, Machine::subscribed);
            }
            Action::Drain(id) => {
                while self.read(id)? {}
                self.machine.drained();
            }
            Action::Close(id) => {
                let group = self.groups.remove(&id);
                // It may have ignored millions of inodes.
                thread::spawn(move || drop(group));
            }
            Action::Barrier(id) => {
                if let Some(group) = self.groups.get(&id) {
                    group.barrier(&self.options.path)?;
                }
            }
            Action::Append(_) | Action::Answer { .. } => {}
        }
        Ok(())
    }

    fn machine_goes_on(&mut self, done: Result<()>, then: impl FnOnce(&mut Machine)) {
        match done {
            Ok(()) => then(&mut self.machine),
            Err(error) => {
                self.refused = Some(error);
                self.machine.failed();
            }
        }
    }

    fn commit(&mut self) -> Result<()> {
        let batch = mem::take(&mut self.batch);
        let count = batch.len() as u64;
        if self.options.unsafe_answer_first && count > 0 {
            self.log.append(&batch)?;
            batch.into_iter().for_each(|entry| self.image.apply(entry));
        } else {
            self.append(batch)?;
        }
        self.appended += count;
        self.machine.durable(self.appended);
        Ok(())
    }

    /// When it returns, the entries are durable.
    fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        self.log.append(&entries)?;
        self.log.sync()?;
        entries
            .into_iter()
            .for_each(|entry| self.image.apply(entry));
        Ok(())
    }

    fn give_answers(&mut self) -> Result<()> {
        for (id, answers) in mem::take(&mut self.answers) {
            if let Some(group) = self.groups.get(&id) {
                give(group, &answers)?;
            }
        }
        Ok(())
    }

    fn fail(&mut self) -> Result<()> {
        self.failed = true;
        let denied = self.machine.waiting();
        for (id, cookie) in denied {
            if let Some(group) = self.groups.get(&id) {
                group.answer(&[Answer::deny(cookie, Errno::IO)])?;
            }
        }
        self.give_answers()
    }

    fn subscribe(&self) -> Result<Group> {
        let events = match self.options.straddlers {
            Straddlers::Post => CHANGES,
            // A barrier does not wait for mappings.
            Straddlers::Barrier => CHANGES.pre() | Events::MODIFY.post(),
        };
        let group = Group::builder()
            .nonblock(true)
            .unlimited_queue(true)
            .unlimited_marks(true)
            .init()?;
        let mark = Mark::new(self.options.scope, &self.options.path);
        group.mark(&mark.events(events | Events::ONDIR).sync())?;
        Ok(group)
    }
}

/// Finds out what the kernel can do. Returns whether it can ignore and flush.
fn probe(options: &Options) -> Result<bool> {
    let group = Group::builder().init()?;
    if options.straddlers == Straddlers::Barrier {
        match group.barrier(&options.path) {
            Err(error) if error.errno() == Some(Errno::INVAL) => return Err(Error::NoBarrier),
            done => done?,
        }
    }
    match group.flush_ignored(Scope::Inode) {
        Err(error) if error.errno() == Some(Errno::INVAL) => Ok(false),
        done => Ok(done.map(|()| true)?),
    }
}

/// Some may be late, as their tasks were killed.
fn give(group: &Group, answers: &[Answer]) -> Result<()> {
    match group.answer(answers) {
        // Not to ignore is always right. Those that have been answered are late now.
        Err(error) if matches!(error.errno(), Some(Errno::NOMEM | Errno::NOSPC)) => {
            let allow = answers.iter().map(|answer| Answer::allow(answer.cookie()));
            group.answer(&allow.collect::<Vec<_>>())?;
        }
        done => drop(done?),
    }
    Ok(())
}

fn observe(event: &Event<'_>) -> Option<Observed> {
    match event.kind {
        Kind::Pre => Some(Observed::Pre(Operation::from(event))),
        Kind::Post { .. } => Some(Observed::Post(Operation::from(event))),
        Kind::Barrier(number) => Some(Observed::Barrier(number)),
        Kind::Overflow => Some(Observed::Overflow),
        _ => None,
    }
}

/// Which start of the machine this is.
fn boot() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(path).map_err(|error| Error::Store(error, path.into()))?;
    Ok(id.trim().to_owned())
}
