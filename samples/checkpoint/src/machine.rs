// SPDX-License-Identifier: GPL-2.0

//! The two schemes, as a state machine.
//!
//! # Why nothing is lost
//!
//! An operation can escape a group only by being ignored at its PRE, and a file is ignored only
//! after it was recorded. So what can be lost is an operation that was ignored because of what is
//! recorded in an *older* period than the one its change belongs to. Where that could happen:
//!
//! - *Between the end of the ignore masks and the new period.* Alternating groups: the new group has
//!   no ignore mask to begin with, and before FAN_MARK_SYNC has returned for it the old period is
//!   not over. Single group: what is received between is recorded in both.
//! - *By an answer that is late.* An answer that ignores, given for a record in the old period but
//!   after the ignore masks were flushed, would ignore the file in the new one. Single group: what
//!   is not answered when a checkpoint begins is recorded in the new period as well. Alternating
//!   groups: such an answer ignores the file in a group that is about to be closed.
//! - *By operations that straddle*: that passed their PRE, or were ignored at it, before the
//!   checkpoint, and change the file after the reader has read it. Either the period is sealed only
//!   when they have ended (the barrier), or their POST is waited for. It is not swallowed, because
//!   the file is not ignored in the new period, or it is, and so is recorded there. For those whose
//!   POST is known to come, the change is carried into each period until then.
//! - *By a POST that nobody reads.* What is in the queue of the old group is recorded before its
//!   period is sealed. What comes to it later comes to the new group as well.
//! - *By a mapping*, whose end no barrier waits for. It is never answered with an ignore mask, and
//!   is carried into each period until its POST. As that POST is not paired in a group which is
//!   younger than the mapping, and so could be ignored, such a group does not ignore the file.

mod recorded;

use crate::Action;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::GroupId;
use crate::Object;
use crate::Observed;
use crate::Operation;
use crate::Period;
use crate::Scheme;
use crate::Straddlers;
use recorded::Recorded;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::mem;

/// A PRE that was not answered.
#[derive(Debug)]
struct Waiting {
    group: GroupId,
    cookie: u64,
    changes: Vec<Change>,
    ignore: bool,
    /// How much of the log must be durable before it is answered.
    needs: u64,
}

impl Waiting {
    const fn answer(&self) -> Action {
        Action::Answer {
            group: self.group,
            cookie: self.cookie,
            ignore: self.ignore,
        }
    }
}

/// An operation that was allowed, and whose POST is going to come.
#[derive(Debug)]
struct UnderWay {
    group: GroupId,
    mapped: bool,
    changes: Vec<Change>,
    ignorable: Option<Object>,
}

/// Where a checkpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// None is being made.
    Steady,
    /// `CHECKPOINT_PENDING`: the single group's ignore masks are being flushed.
    Pending,
    /// The next group is being subscribed.
    Subscribing,
    /// What the old group has to say is being read.
    Draining(GroupId),
    /// Its last answers are being given.
    Closing(GroupId),
}

/// Decides what is recorded, in which period, and when an operation is answered.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    phase: Phase,
    /// The one that events belong to now.
    period: Period,
    /// The group that is asked now.
    group: GroupId,
    recorded: BTreeMap<Period, Recorded>,
    /// How many names were recorded in each directory, in this period.
    names: HashMap<Object, usize>,
    waiting: VecDeque<Waiting>,
    under_way: HashMap<u64, UnderWay>,
    /// What must not be ignored, as an older group was asked about an operation on it: how many.
    held: HashMap<Object, usize>,
    /// Barriers that were set: in which group, which of its barriers, and what can be sealed then.
    barriers: VecDeque<(GroupId, u64, Period)>,
    /// Of the group.
    barriers_set: u64,
    /// How many entries were appended, and how many of them are durable.
    appended: u64,
    durable: u64,
    actions: Vec<Action>,
}

impl Machine {
    /// A machine whose first group is to be subscribed, as `Action::Subscribe(open)` says.
    ///
    /// `recorded` is in the log for the period `open` already. `mapped` are the mappings of before,
    /// by cookie.
    pub fn new(
        config: Config,
        open: Period,
        recorded: impl IntoIterator<Item = Change>,
        mapped: impl IntoIterator<Item = (u64, Vec<Change>)>,
    ) -> Self {
        let recorded = recorded.into_iter().collect();
        let mut machine = Self {
            config,
            phase: Phase::Steady,
            period: open,
            group: open,
            recorded: BTreeMap::from([(open, recorded)]),
            names: HashMap::new(),
            waiting: VecDeque::new(),
            under_way: HashMap::new(),
            held: HashMap::new(),
            barriers: VecDeque::new(),
            barriers_set: 0,
            appended: 0,
            durable: 0,
            actions: Vec::new(),
        };
        for (cookie, changes) in mapped {
            let ignorable = changes.iter().find_map(|change| match change {
                Change::Object(object) => Some(object.clone()),
                _ => None,
            });
            let operation = UnderWay {
                group: GroupId::default(),
                mapped: true,
                changes,
                ignorable,
            };
            machine.hold(&operation);
            machine.under_way.insert(cookie, operation);
        }
        machine
    }

    /// What is to be done now.
    #[must_use]
    pub fn actions(&mut self) -> Vec<Action> {
        mem::take(&mut self.actions)
    }

    /// The period that events belong to now.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// How many changes are recorded in a period at most, and had better be held of consumed ones.
    pub(crate) const fn most_changes(&self) -> usize {
        self.config.changes
    }

    /// Whether a checkpoint can be begun.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.phase == Phase::Steady
    }

    /// An event of a group.
    pub fn event(&mut self, group: GroupId, event: Observed) {
        match event {
            Observed::Pre(operation) => self.pre(group, operation),
            Observed::Post(operation) => self.post(group, operation),
            Observed::Barrier(number) => self.barrier(group, number),
            Observed::Overflow => {
                self.record_event(group, &[Change::Everything]);
            }
            Observed::Gone => {}
        }
    }

    fn pre(&mut self, group: GroupId, operation: Operation) {
        let Operation {
            cookie,
            mapped,
            frees: _,
            mut changes,
            ignorable,
        } = operation;
        let ignorable_now = !mapped && !self.is_held(ignorable.as_ref());
        let ignore =
            self.config.ignore && ignorable_now && self.widen(group, &mut changes, &ignorable);
        let needs = self.record_event(group, &changes);
        if mapped {
            self.append(Entry::Mapped(cookie, changes.clone()));
        }
        if mapped || (!ignore && self.config.straddlers == Straddlers::Post) {
            let operation = UnderWay {
                group,
                mapped,
                changes: changes.clone(),
                ignorable,
            };
            if group < self.group {
                self.hold(&operation);
            }
            // Both groups can have been asked.
            if let Some(older) = self.under_way.insert(cookie, operation) {
                self.release(&older);
            }
        }
        let needs = if mapped { self.appended } else { needs };
        let waiting = Waiting {
            group,
            cookie,
            changes,
            ignore,
            needs,
        };
        if needs <= self.durable {
            self.actions.push(waiting.answer());
        } else {
            self.waiting.push_back(waiting);
        }
    }

    /// Whether to ignore this; what changes in a directory then is the directory.
    fn widen(
        &mut self,
        group: GroupId,
        changes: &mut Vec<Change>,
        ignorable: &Option<Object>,
    ) -> bool {
        let Some(object) = ignorable else {
            return false;
        };
        let Some(wider) = changes.iter().find_map(Change::wider) else {
            return true;
        };
        // No name is counted where everything is recorded. The directory is recorded all the same if
        // its answer comes to be one of the next period.
        let (first, last) = self.periods_of_event(group);
        if !self.is_everything(first) || !self.is_everything(last) {
            let names = self.names.entry(object.clone()).or_default();
            *names += 1;
            if *names <= self.config.names {
                return false;
            }
        }
        changes.retain(|change| change.wider().is_none());
        changes.insert(0, wider);
        true
    }

    fn post(&mut self, group: GroupId, operation: Operation) {
        let Some(known) = self.under_way.remove(&operation.cookie) else {
            // Without a mapping, the barrier takes care of it.
            if operation.mapped || self.config.straddlers == Straddlers::Post {
                self.record_event(group, &operation.changes);
            }
            return;
        };
        // Recorded with its PRE, and in each period since.
        self.release(&known);
        if known.mapped {
            self.append(Entry::Unmapped(operation.cookie));
        }
    }

    fn is_held(&self, object: Option<&Object>) -> bool {
        object.is_some_and(|object| self.held.contains_key(object))
    }

    fn hold(&mut self, operation: &UnderWay) {
        if let Some(object) = &operation.ignorable {
            *self.held.entry(object.clone()).or_default() += 1;
        }
    }

    /// Undoes [`Self::hold`], which was called if the operation is older than the group.
    fn release(&mut self, operation: &UnderWay) {
        let Some(object) = &operation.ignorable else {
            return;
        };
        if operation.group >= self.group {
            return;
        }
        if let Some(count) = self.held.get_mut(object) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(object);
            }
        }
    }

    fn append(&mut self, entry: Entry) {
        self.appended += 1;
        self.actions.push(Action::Append(entry));
    }

    /// The period, or the first and last of the periods, of an event that comes to this group now.
    fn periods_of_event(&self, group: GroupId) -> (Period, Period) {
        match self.phase {
            Phase::Pending => (self.period, self.period.next()),
            Phase::Draining(old) | Phase::Closing(old) if group == old => {
                (self.last(), self.last())
            }
            _ => (self.period, self.period),
        }
    }

    /// Records changes in the period, or periods, of an event that came to this group now. Returns
    /// how much of the log must be durable for that.
    fn record_event(&mut self, group: GroupId, changes: &[Change]) -> u64 {
        let (first, last) = self.periods_of_event(group);
        let needs = self.record(first, changes);
        needs.max(self.record(last, changes))
    }

    /// Whether a PRE that comes to this group now would need no new record, and, if `durable`, none
    /// that is not durable yet.
    #[must_use]
    pub fn has_recorded(&self, group: GroupId, operation: &Operation, durable: bool) -> bool {
        let (first, last) = self.periods_of_event(group);
        let is_recorded = |period, change: &Change| {
            let at = self.recorded_at(period, change);
            at.is_some_and(|at| !durable || at <= self.durable)
        };
        let mut changes = operation.changes.iter();
        // With one name more the directory might be recorded as a whole.
        let widens = changes.clone().any(|change| change.wider().is_some());
        if operation.mapped || (durable && widens) {
            return false;
        }
        changes.all(|change| is_recorded(first, change) && is_recorded(last, change))
    }

    fn recorded_at(&self, period: Period, change: &Change) -> Option<u64> {
        self.recorded.get(&period)?.at(change)
    }

    fn is_everything(&self, period: Period) -> bool {
        let recorded = self.recorded.get(&period);
        recorded.is_some_and(Recorded::is_everything)
    }

    /// The period before this one. Periods are made one after the other.
    fn last(&self) -> Period {
        Period(self.period.0.saturating_sub(1))
    }

    fn record(&mut self, period: Period, changes: &[Change]) -> u64 {
        changes
            .iter()
            .map(|change| self.record_one(period, change))
            .max()
            .unwrap_or_default()
    }

    fn record_one(&mut self, period: Period, change: &Change) -> u64 {
        if let Some(at) = self.recorded_at(period, change) {
            return at;
        }
        let at = self.appended + 1;
        let recorded = self.recorded.entry(period).or_default();
        let change = recorded.insert(change, at, self.config.changes);
        self.append(Entry::Changed(period, change));
        at
    }

    /// The first so many appended entries are durable.
    pub fn durable(&mut self, appended: u64) {
        self.durable = self.durable.max(appended);
        self.answer();
    }

    /// Answers what may be answered.
    fn answer(&mut self) {
        let durable = self.durable;
        let (ready, waiting) = mem::take(&mut self.waiting)
            .into_iter()
            .partition(|waiting| waiting.needs <= durable);
        self.waiting = waiting;
        let ready: VecDeque<Waiting> = ready;
        self.actions.extend(ready.iter().map(Waiting::answer));
        self.close();
    }

    /// All that waits for an answer that cannot be given, as its record cannot be made durable. It
    /// is the caller's to deny; what was recorded of it stays.
    #[must_use]
    pub fn give_up_waiting(&mut self) -> Vec<(GroupId, u64)> {
        let mut given_up = Vec::new();
        for waiting in mem::take(&mut self.waiting) {
            // Who denies is sent no POST.
            let operations = &mut self.under_way;
            let known = operations.get(&waiting.cookie);
            if known.is_some_and(|known| known.group == waiting.group) {
                if let Some(known) = operations.remove(&waiting.cookie) {
                    self.release(&known);
                    if known.mapped {
                        self.append(Entry::Unmapped(waiting.cookie));
                    }
                }
            }
            given_up.push((waiting.group, waiting.cookie));
        }
        self.close();
        given_up
    }

    /// Begins a checkpoint: returns the period that ends, or none if another is being made.
    pub fn checkpoint(&mut self) -> Option<Period> {
        if !self.is_steady() {
            return None;
        }
        match self.config.scheme {
            Scheme::Single => {
                self.phase = Phase::Pending;
                self.carry(self.period.next());
                self.carry_waiting();
                self.actions.push(Action::Flush(self.group));
            }
            Scheme::Alternating => {
                self.phase = Phase::Subscribing;
                self.actions.push(Action::Subscribe(self.period.next()));
            }
        }
        Some(self.period)
    }

    /// What is under way for sure may change its file in the next period too.
    fn carry(&mut self, to: Period) {
        let operations = mem::take(&mut self.under_way);
        for operation in operations.values() {
            self.record(to, &operation.changes);
        }
        self.under_way = operations;
    }

    /// The answers that are still to be given will ignore something after the flush.
    fn carry_waiting(&mut self) {
        let mut waiting = mem::take(&mut self.waiting);
        for waiting in &mut waiting {
            let needs = self.record(self.period.next(), &waiting.changes);
            waiting.needs = waiting.needs.max(needs);
        }
        self.waiting = waiting;
    }

    /// The single group ignores nothing any more of what it ignored when the checkpoint began.
    pub fn flushed(&mut self) {
        if self.phase != Phase::Pending {
            return;
        }
        let ended = self.period;
        self.phase = Phase::Steady;
        self.begin_period();
        self.end(ended);
    }

    /// The next group is asked about everything.
    pub fn subscribed(&mut self) {
        if self.phase != Phase::Subscribing {
            return;
        }
        let old = mem::replace(&mut self.group, self.period.next());
        self.barriers_set = 0;
        self.phase = Phase::Draining(old);
        self.begin_period();
        self.carry(self.period);
        let operations = mem::take(&mut self.under_way);
        let newly_older = operations.values().filter(|other| other.group == old);
        newly_older.for_each(|operation| self.hold(operation));
        self.under_way = operations;
        self.actions.push(Action::Drain(old));
    }

    /// All that the old group had to say was passed on.
    pub fn drained(&mut self) {
        let Phase::Draining(old) = self.phase else {
            return;
        };
        self.phase = Phase::Closing(old);
        self.end(self.last());
        self.close();
    }

    /// The driver could not do what a checkpoint needs: the period goes on.
    pub fn failed(&mut self) {
        if matches!(self.phase, Phase::Pending | Phase::Subscribing) {
            self.phase = Phase::Steady;
        }
    }

    fn close(&mut self) {
        let Phase::Closing(old) = self.phase else {
            return;
        };
        if self.waiting.iter().all(|waiting| waiting.group != old) {
            self.phase = Phase::Steady;
            self.actions.push(Action::Close(old));
        }
    }

    fn begin_period(&mut self) {
        self.period = self.period.next();
        self.names.clear();
        let open = self.last();
        self.recorded.retain(|period, _| *period >= open);
    }

    /// No event will be recorded in this period any more.
    fn end(&mut self, period: Period) {
        match self.config.straddlers {
            Straddlers::Post => self.append(Entry::Sealed(period)),
            Straddlers::Barrier => {
                self.barriers_set += 1;
                self.barriers
                    .push_back((self.group, self.barriers_set, period));
                self.actions.push(Action::Barrier(self.group));
            }
        }
    }

    /// All operations that had begun when this barrier was set, or one before it, have ended.
    fn barrier(&mut self, group: GroupId, number: u64) {
        while let Some((set_in, set, period)) = self.barriers.front().copied() {
            if (set_in, set) > (group, number) {
                break;
            }
            self.barriers.pop_front();
            self.append(Entry::Sealed(period));
        }
    }
}

#[cfg(test)]
mod tests;
