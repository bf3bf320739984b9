// SPDX-License-Identifier: GPL-2.0

//! What a log says, and what holds after a crash.

mod changes;

use crate::Change;
use crate::Period;
use crate::Straddlers;
use changes::Changes;
use changes::Mappings;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is written to the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A listener was started. What was not sealed is in the period `open` from now on.
    Started {
        /// Which start of the machine it was in.
        boot: String,
        /// How it waits for straddlers.
        straddlers: Straddlers,
        /// The period that it begins with, later than any before.
        open: Period,
    },
    /// This may change, or has changed, in this period.
    Changed(Period, Change),
    /// The same, of an operation that ended with an earlier start of the machine.
    ChangedBefore(Period, Change),
    /// A writable shared mapping of this cookie changes these from now on.
    Mapped(u64, Vec<Change>),
    /// And no longer.
    Unmapped(u64),
    /// Nothing will be added to the period, and it can be read.
    Sealed(Period),
    /// The reader's copy of all sealed periods up to this one is durable.
    Consumed(Period),
    /// An operation that is not known may still change this, though it was consumed.
    Retained(Change),
    /// The listener ended by itself.
    Stopped,
    /// What was watched was unmounted, and the listener ended: no operation is under way, and no
    /// period is open any more.
    Unmounted,
}

/// One period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Recorded {
    sealed: bool,
    changes: Changes,
    /// Changes of operations that are known to have ended.
    before: Changes,
}

/// An entry that is about a period alone, in bytes of a log, and one of a start.
const PERIOD_SIZE: u64 = 8;
const STARTED_SIZE: u64 = 64;

impl Recorded {
    fn all(&self) -> impl Iterator<Item = &Change> {
        self.changes.union(&self.before)
    }
}

/// What the log says as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    boot: Option<String>,
    straddlers: Straddlers,
    stopped: bool,
    last: Period,
    periods: BTreeMap<Period, Recorded>,
    retained: Changes,
    mapped: Mappings,
}

impl Image {
    /// Takes the next entry into account.
    pub fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Started {
                boot,
                straddlers,
                open,
            } => self.start(boot, straddlers, open),
            Entry::Changed(period, change) => {
                self.period(period).changes.insert(change);
            }
            Entry::ChangedBefore(period, change) => {
                self.period(period).before.insert(change);
            }
            Entry::Mapped(cookie, changes) => {
                self.mapped.insert(cookie, changes);
            }
            Entry::Unmapped(cookie) => {
                self.mapped.remove(cookie);
            }
            Entry::Sealed(period) => self.period(period).sealed = true,
            Entry::Consumed(period) => self.consume(period),
            Entry::Retained(change) => {
                self.retained.insert(change);
            }
            Entry::Stopped => self.stopped = true,
            Entry::Unmounted => self.unmount(),
        }
    }

    fn unmount(&mut self) {
        self.forget_operations();
        self.retained = Changes::default();
        for recorded in self.periods.values_mut() {
            recorded.sealed = true;
        }
        self.stopped = true;
    }

    fn period(&mut self, period: Period) -> &mut Recorded {
        self.last = self.last.max(period);
        self.periods.entry(period).or_default()
    }

    /// See the documentation of the crate on what a crash leaves.
    fn start(&mut self, boot: String, straddlers: Straddlers, open: Period) {
        let rebooted = self.boot.as_ref() != Some(&boot);
        if rebooted {
            self.forget_operations();
        }
        let mut opened = Recorded::default();
        if rebooted {
            opened.before = std::mem::take(&mut self.retained);
        } else {
            opened.changes = std::mem::take(&mut self.retained);
        }
        // Nothing will tell the ends of those that the last listener did not wait for.
        let forgotten = (self.straddlers, straddlers) == (Straddlers::Post, Straddlers::Barrier);
        if forgotten && !rebooted {
            let all = self.periods.values();
            opened
                .changes
                .extend(all.flat_map(|recorded| recorded.changes.iter()).cloned());
        }
        // What is mapped still changes.
        let mapped = self.mapped.iter();
        opened
            .changes
            .extend(mapped.flat_map(|(_, changes)| changes).cloned());
        let (sealed, unsealed) = std::mem::take(&mut self.periods)
            .into_iter()
            .partition(|(_, recorded)| recorded.sealed);
        self.periods = sealed;
        for (_, recorded) in unsealed {
            opened.changes.extend(recorded.changes);
            opened.before.extend(recorded.before);
        }
        self.periods.insert(open, opened);
        self.last = self.last.max(open);
        self.boot = Some(boot);
        self.straddlers = straddlers;
        self.stopped = false;
    }

    /// The machine went down, or the file system, and every operation with it.
    fn forget_operations(&mut self) {
        self.mapped = Mappings::default();
        for recorded in self.periods.values_mut() {
            let ended = std::mem::take(&mut recorded.changes);
            recorded.before.extend(ended);
        }
    }

    fn consume(&mut self, up_to: Period) {
        let consumed: Vec<_> = self.sealed().take_while(|p| *p <= up_to).collect();
        for period in consumed {
            let recorded = self.periods.remove(&period).unwrap_or_default();
            if self.straddlers == Straddlers::Post {
                self.retained.extend(recorded.changes);
            }
        }
    }

    /// Whether a listener that is started now can have missed something: it is the first one, or the
    /// last one ended and the machine did not, or it ended before the machine did.
    #[must_use]
    pub fn has_gap(&self, boot: &str) -> bool {
        self.boot.as_deref().is_none_or(|last| last == boot) || self.stopped
    }

    /// The period for a listener that is started now.
    #[must_use]
    pub fn next(&self) -> Period {
        self.last.next()
    }

    /// The periods that can be read, oldest first.
    pub fn sealed(&self) -> impl Iterator<Item = Period> + '_ {
        self.periods
            .iter()
            .filter(|(_, recorded)| recorded.sealed)
            .map(|(period, _)| *period)
    }

    /// The periods that cannot, oldest first.
    pub fn unsealed(&self) -> impl Iterator<Item = Period> + '_ {
        self.periods
            .iter()
            .filter(|(_, recorded)| !recorded.sealed)
            .map(|(period, _)| *period)
    }

    /// What a period says; nothing if it is not there.
    pub fn changes(&self, period: Period) -> impl Iterator<Item = &Change> {
        self.periods
            .get(&period)
            .into_iter()
            .flat_map(Recorded::all)
    }

    /// What a period says of operations that may still be under way.
    pub(crate) fn unended(&self, period: Period) -> impl Iterator<Item = &Change> {
        let recorded = self.periods.get(&period);
        recorded
            .into_iter()
            .flat_map(|recorded| recorded.changes.iter())
    }

    /// Whether nothing that changes in this period need be recorded any more.
    pub(crate) fn says_everything(&self, period: Period) -> bool {
        self.periods
            .get(&period)
            .is_some_and(|recorded| recorded.changes.are_everything())
    }

    /// The mappings that change something, by their cookies.
    pub fn mapped(&self) -> impl Iterator<Item = (u64, &[Change])> {
        self.mapped.iter()
    }

    /// How many changes it holds that were consumed.
    pub(crate) fn retained(&self) -> usize {
        self.retained.len()
    }

    /// How many changes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        let of = |recorded: &Recorded| recorded.changes.len() + recorded.before.len();
        self.retained.len() + self.periods.values().map(of).sum::<usize>()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how many bytes the shortest log has that says the same.
    #[must_use]
    pub fn size(&self) -> u64 {
        let of =
            |recorded: &Recorded| recorded.changes.size() + recorded.before.size() + PERIOD_SIZE;
        let periods = self.periods.values().map(of).sum::<u64>();
        STARTED_SIZE + periods + self.mapped.size() + self.retained.size()
    }

    /// The shortest log that says the same.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        let started = self.boot.iter().map(|boot| Entry::Started {
            boot: boot.clone(),
            straddlers: self.straddlers,
            open: self.last,
        });
        // The start makes the last period. It may have been consumed, with nothing recorded since.
        let is_consumed = self.boot.is_some() && !self.periods.contains_key(&self.last);
        let consumed = [Entry::Sealed(self.last), Entry::Consumed(self.last)];
        let consumed = consumed.into_iter().filter(move |_| is_consumed);
        let periods = self.periods.iter().flat_map(|(period, recorded)| {
            let changes = recorded.changes.iter();
            let before = recorded.before.iter();
            changes
                .map(|change| Entry::Changed(*period, change.clone()))
                .chain(before.map(|change| Entry::ChangedBefore(*period, change.clone())))
                .chain(recorded.sealed.then_some(Entry::Sealed(*period)))
        });
        let mapped = self.mapped.iter();
        let mapped = mapped.map(|(cookie, changes)| Entry::Mapped(cookie, changes.to_vec()));
        started
            .chain(consumed)
            .chain(periods)
            .chain(mapped)
            .chain(self.retained.iter().cloned().map(Entry::Retained))
            .chain(self.stopped.then_some(Entry::Stopped))
    }
}

#[cfg(test)]
mod tests;
