// SPDX-License-Identifier: GPL-2.0

//! Does what the machine says, whatever fails.
//!
//! Each action is done, or it is kept and tried again at the next turn: what failed keeps nothing
//! else from being done. The first error of a turn is what the turn returns.

mod room;

use crate::filter::Filter;
use crate::Action;
use crate::Change;
use crate::Entry;
use crate::Error;
use crate::GroupId;
use crate::Image;
use crate::Log;
use crate::Machine;
use crate::Observed;
use crate::Period;
use crate::Result;
use room::LAST;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::thread;
use vfs_filter::Answer;
use vfs_filter::Errno;

/// What the driver needs of a log.
pub(crate) trait Store {
    /// When it returns, the entries are durable if `sync` says so. After an error it can be tried
    /// again, if need be after [`Store::rewrite`].
    fn append(&mut self, entries: &[Entry], sync: bool) -> Result<()>;
    /// Writes all of it anew, to say what the image does.
    fn rewrite(&mut self, image: &Image) -> Result<()>;
    /// Whether it has to be written anew.
    fn is_unsure(&self) -> bool;
    /// Makes room for so many bytes if it can; returns for how many there is.
    fn provide(&mut self, bytes: u64) -> u64;
    /// Its length in bytes.
    fn length(&self) -> u64;
    /// An error that says that there is no room.
    fn full(&self) -> Error;
}

impl Store for Log {
    fn append(&mut self, entries: &[Entry], sync: bool) -> Result<()> {
        Log::append(self, entries)?;
        if sync {
            self.sync()?;
        }
        Ok(())
    }

    fn rewrite(&mut self, image: &Image) -> Result<()> {
        Log::rewrite(self, image)
    }

    fn is_unsure(&self) -> bool {
        Log::is_unsure(self)
    }

    fn provide(&mut self, bytes: u64) -> u64 {
        Log::provide(self, bytes)
    }

    fn length(&self) -> u64 {
        Log::length(self)
    }

    fn full(&self) -> Error {
        Error::Full(self.path())
    }
}

/// The first of several errors.
#[derive(Debug, Default)]
struct First(Option<Error>);

impl First {
    fn note<T: Default>(&mut self, done: Result<T>) -> T {
        done.unwrap_or_else(|error| {
            self.0.get_or_insert(error);
            T::default()
        })
    }

    fn result(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// The machine, and all that it is about.
#[derive(Debug)]
pub(crate) struct Driver<F: Filter, S: Store> {
    filter: F,
    store: S,
    machine: Machine,
    /// What is durable.
    image: Image,
    groups: BTreeMap<GroupId, F::Group>,
    /// Actions that were not done yet.
    todo: VecDeque<Action>,
    /// Entries of the machine to be appended.
    batch: Vec<Entry>,
    /// How many were.
    appended: u64,
    answers: BTreeMap<GroupId, Vec<Answer>>,
    /// Why a checkpoint was not made.
    refused: Option<Error>,
    /// How the last try to write the batch failed.
    failed: Option<Errno>,
    /// Something was denied for want of room, and nothing was allowed since.
    full: bool,
    /// How many bytes what was allowed since the last record may need.
    spent: u64,
    gone: bool,
    /// Answers come first, to be found out.
    unsafe_answer_first: bool,
    /// The log is written anew when it is longer than this, and than it need be.
    log_length: u64,
    /// That was tried, and is not tried again before it is longer than this.
    tried_length: u64,
}

impl<F: Filter, S: Store> Driver<F, S> {
    /// A driver without a group. `image` is what the store says.
    pub(crate) fn new(filter: F, store: S, image: Image, machine: Machine) -> Self {
        Self {
            filter,
            store,
            machine,
            image,
            groups: BTreeMap::new(),
            todo: VecDeque::new(),
            batch: Vec::new(),
            appended: 0,
            answers: BTreeMap::new(),
            refused: None,
            failed: None,
            full: false,
            spent: 0,
            gone: false,
            unsafe_answer_first: false,
            log_length: u64::MAX,
            tried_length: 0,
        }
    }

    pub(crate) fn with_options(mut self, log_length: u64, unsafe_answer_first: bool) -> Self {
        self.log_length = log_length;
        self.unsafe_answer_first = unsafe_answer_first;
        self
    }

    /// Makes the group that is asked first.
    pub(crate) fn begin(&mut self, group: GroupId) -> Result<()> {
        let made = self.filter.subscribe()?;
        self.groups.insert(group, made);
        Ok(())
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &F::Group> {
        self.groups.values()
    }

    pub(crate) const fn filter(&self) -> &F {
        &self.filter
    }

    pub(crate) const fn image(&self) -> &Image {
        &self.image
    }

    /// Whether something is to be tried again, though no event may come.
    pub(crate) fn has_more(&self) -> bool {
        !self.todo.is_empty() || !self.batch.is_empty() || !self.answers.is_empty()
    }

    /// Whether all changes can be recorded.
    pub(crate) const fn is_recording(&self) -> bool {
        self.failed.is_none() && !self.full && !self.gone
    }

    /// Takes what events there are, records them, and answers when that is durable.
    pub(crate) fn turn(&mut self) -> Result<()> {
        let mut first = First::default();
        self.look_for_room();
        let was_full = self.full;
        let groups: Vec<_> = self.groups.keys().copied().collect();
        for group in &groups {
            first.note(self.read(*group));
        }
        if self.gone {
            // The events in front of it are in all groups.
            for group in &groups {
                while first.note(self.read(*group)) {}
            }
        }
        first.note(self.carry_out());
        if self.full && !was_full {
            first.note(Err::<(), _>(self.store.full()));
        }
        if self.gone {
            // There will be no other turn.
            self.end()?;
        }
        first.result()
    }

    /// What was watched is gone: nothing is under way any more, and nothing will change.
    fn end(&mut self) -> Result<()> {
        match self.filter.is_there() {
            // It was something else, an inode say.
            Ok(()) => {
                self.gone = false;
                Ok(())
            }
            Err(error) => {
                self.append(vec![Entry::Unmounted])?;
                Err(match error {
                    Error::Elsewhere(path) => Error::Gone(path),
                    error => error,
                })
            }
        }
    }

    /// Ends the period and begins the next. Returns the one that ended.
    pub(crate) fn checkpoint(&mut self) -> Result<Period> {
        if self.failed.is_some() {
            return Err(Error::Failed);
        }
        if !self.has_room(LAST) {
            return Err(self.store.full());
        }
        self.filter.is_there()?;
        self.refused = None;
        let period = self.machine.checkpoint().ok_or(Error::Busy)?;
        let done = self.carry_out();
        self.refused.take().map_or(done, Err)?;
        Ok(period)
    }

    pub(crate) fn consume(&mut self, up_to: Period) -> Result<()> {
        if !self.image.sealed().any(|period| period == up_to) {
            return Err(Error::NotSealed(up_to));
        }
        self.append(vec![Entry::Consumed(up_to)])?;
        if self.image.retained() > self.machine.most_changes() {
            // If it fails, too much is kept until the next time.
            let _ = self.append(vec![Entry::Retained(Change::Everything)]);
        }
        if self.is_recording() {
            self.shorten();
        } else {
            // If it fails, the log is as it was, and says the same.
            let _ = self.rewrite();
        }
        Ok(())
    }

    /// Returns whether there may be more to be read.
    fn read(&mut self, id: GroupId) -> Result<bool> {
        let Some(group) = self.groups.get(&id) else {
            return Ok(false);
        };
        let mut events = Vec::new();
        let more = self.filter.read(group, &mut events);
        events.into_iter().for_each(|event| self.event(id, event));
        more
    }

    fn event(&mut self, id: GroupId, event: Observed) {
        self.gone |= event == Observed::Gone;
        if let Observed::Pre(operation) = &event {
            if let Err(errno) = self.admit(id, operation) {
                let deny = Answer::deny(operation.cookie, errno);
                return self.answers.entry(id).or_default().push(deny);
            }
        }
        self.machine.event(id, event);
    }

    fn carry_out(&mut self) -> Result<()> {
        let mut first = First::default();
        let mut left = VecDeque::new();
        loop {
            self.todo.extend(self.machine.actions());
            if self.todo.is_empty() && self.batch.is_empty() {
                break;
            }
            while let Some(action) = self.todo.pop_front() {
                if let Err(error) = self.act(&action) {
                    first.note(Err::<(), _>(error));
                    left.push_back(action);
                }
            }
            if !first.note(self.commit()) {
                break;
            }
        }
        left.append(&mut self.todo);
        self.todo = left;
        first.note(self.give_answers());
        self.shorten();
        first.result()
    }

    fn act(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Append(entry) => self.batch.push(entry.clone()),
            Action::Answer {
                group,
                cookie,
                ignore,
            } => {
                let answer = match ignore {
                    true => Answer::allow_and_ignore(*cookie),
                    false => Answer::allow(*cookie),
                };
                self.answers.entry(*group).or_default().push(answer);
            }
            other => {
                // What was answered before was answered with the marks as they were before. One that
                // is refused ignores nothing when it is given.
                let given = self.give_answers();
                self.switch(other)?;
                given?;
            }
        }
        Ok(())
    }

    fn switch(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Flush(id) => {
                let group = self.groups.get(id);
                let done = group.map_or(Ok(()), |group| self.filter.flush(group));
                self.machine_goes_on(done, Machine::flushed);
            }
            Action::Subscribe(id) => {
                let made = self.begin(*id);
                self.machine_goes_on(made, Machine::subscribed);
            }
            Action::Drain(id) => {
                while self.read(*id)? {}
                self.machine.drained();
            }
            Action::Close(id) => {
                self.answers.remove(id);
                if let Some(group) = self.groups.remove(id) {
                    close(group);
                }
            }
            Action::Barrier(id) => {
                if let Some(group) = self.groups.get(id) {
                    self.filter.barrier(group)?;
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

    /// Makes the batch durable. Returns false while that fails, an error when it begins to.
    fn commit(&mut self) -> Result<bool> {
        let batch = mem::take(&mut self.batch);
        let count = batch.len() as u64;
        if let Err(error) = self.append(batch.clone()) {
            self.batch = batch;
            let was_failed = self.failed.replace(errno_of(&error)).is_some();
            self.deny_waiting();
            return if was_failed { Ok(false) } else { Err(error) };
        }
        self.failed = None;
        self.spent = 0;
        self.appended += count;
        self.machine.durable(self.appended);
        Ok(true)
    }

    fn deny_waiting(&mut self) {
        let errno = self.failed.unwrap_or(Errno::IO);
        for (id, cookie) in self.machine.give_up_waiting() {
            let deny = Answer::deny(cookie, errno);
            self.answers.entry(id).or_default().push(deny);
        }
    }

    /// When it returns, the entries are durable.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) -> Result<()> {
        let entries = self.fitting(entries);
        if entries.is_empty() {
            return Ok(());
        }
        if self.store.is_unsure() {
            self.rewrite()?;
        }
        self.store.append(&entries, !self.unsafe_answer_first)?;
        entries
            .into_iter()
            .for_each(|entry| self.image.apply(entry));
        Ok(())
    }

    fn give_answers(&mut self) -> Result<()> {
        let mut first = First::default();
        for (id, answers) in mem::take(&mut self.answers) {
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            if self.filter.answer(group, &answers).is_ok() {
                continue;
            }
            // Not to ignore is always right. Those that have been answered are late now.
            let answers: Vec<_> = answers.into_iter().map(Answer::without_ignoring).collect();
            if let Err(error) = self.filter.answer(group, &answers) {
                first.note(Err::<(), _>(error));
                self.answers.entry(id).or_default().extend(answers);
            }
        }
        first.result()
    }
}

/// It may have ignored millions of inodes.
fn close<G: Send + 'static>(group: G) {
    thread::spawn(move || drop(group));
}

/// What a task is told whose change cannot be recorded.
fn errno_of(error: &Error) -> Errno {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    match error {
        Error::Store(error, _) if full.contains(&error.kind()) => Errno::NOSPC,
        _ => Errno::IO,
    }
}

#[cfg(test)]
mod tests;
