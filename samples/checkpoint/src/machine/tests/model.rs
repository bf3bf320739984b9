// SPDX-License-Identifier: GPL-2.0

//! All races at once: a model of the kernel, of a log that is not durable at once, and of a reader,
//! which take their steps in an order that is drawn by lot. The machine crashes at any moment, and
//! each time whatever differs from the reader's copy must be reported.

use super::object;
use crate::Action;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::Image;
use crate::Machine;
use crate::Object;
use crate::Observed;
use crate::Operation;
use crate::Period;
use crate::Scheme;
use crate::Straddlers;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

const FILES: u8 = 3;
const STEPS: usize = 400;

/// What is left out, for the model to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Answers do not wait for their records.
    Durability,
    /// FAN_MARK_SYNC does not wait.
    Sync,
    /// Periods are sealed without waiting for straddlers, and POST is not waited for either.
    Barrier,
    /// The barrier does not wait for an operation that was answered, but whose task has not run
    /// since, or waits for the answer of another group.
    Answered,
}

struct Lot(u64);

impl Lot {
    fn draw(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

/// A group in the kernel.
#[derive(Default)]
struct Group {
    ignored: BTreeSet<u8>,
    pre: VecDeque<Observed>,
    post: VecDeque<Observed>,
    barriers: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// About to look at the marks.
    Start,
    /// Has looked at them, and will not be asked by anyone.
    Passing,
    /// Waits for the answer of this group.
    Asked(Period),
    /// So many changes are left.
    Running(usize),
}

struct Op {
    cookie: u64,
    file: u8,
    mapped: bool,
    at: At,
    /// Groups that were asked, and whether their answer said to ignore.
    asked: BTreeMap<Period, bool>,
}

impl Op {
    fn operation(&self) -> Operation {
        Operation {
            cookie: self.cookie,
            mapped: self.mapped,
            frees: false,
            changes: vec![Change::Object(object(self.file))],
            ignorable: Some(object(self.file)),
        }
    }
}

struct Model {
    lot: Lot,
    without: Without,
    straddlers: Straddlers,
    machine: Machine,
    todo: VecDeque<Action>,
    groups: BTreeMap<Period, Group>,
    ops: Vec<Op>,
    /// Barriers set: group, number, and the operations that are waited for.
    barriers: Vec<(Period, u64, BTreeSet<u64>)>,
    cookies: u64,
    log: Vec<Entry>,
    synced: usize,
    /// Entries of the log that the machine did not append itself.
    others: usize,
    image: Image,
    /// What of it is durable.
    durable: Image,
    versions: BTreeMap<u8, u64>,
    copy: BTreeMap<u8, u64>,
    /// The period that is being read, and what is left of it.
    reading: Option<(Period, Vec<u8>)>,
    checkpoints: usize,
}

impl Model {
    fn new(seed: u64, scheme: Scheme, straddlers: Straddlers, without: Without) -> Self {
        let config = Config {
            scheme,
            straddlers,
            ignore: true,
            names: 2,
            // In every other run all files together are everything.
            changes: match without {
                Without::Nothing => FILES as usize - (seed % 2) as usize,
                _ => FILES as usize,
            },
        };
        let started = Entry::Started {
            boot: "one".into(),
            straddlers,
            open: Period(1),
        };
        let mut image = Image::default();
        image.apply(started.clone());
        Self {
            lot: Lot(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            without,
            straddlers,
            machine: Machine::new(config, Period(1), [], []),
            todo: VecDeque::new(),
            groups: BTreeMap::from([(Period(1), Group::default())]),
            ops: Vec::new(),
            barriers: Vec::new(),
            cookies: 0,
            log: vec![started],
            synced: 1,
            others: 1,
            durable: image.clone(),
            image,
            versions: (0..FILES).map(|file| (file, 0)).collect(),
            copy: (0..FILES).map(|file| (file, 0)).collect(),
            reading: None,
            checkpoints: 0,
        }
    }

    fn step(&mut self) {
        match self.lot.draw(10) {
            0 if self.ops.len() < 4 => self.begin_op(),
            0..=3 if !self.ops.is_empty() => {
                let which = self.lot.draw(self.ops.len());
                self.step_op(which);
            }
            4 => self.sync(),
            5 => self.read(),
            6 if self.lot.draw(4) == 0 && self.todo.is_empty() => {
                self.checkpoints += usize::from(self.machine.checkpoint().is_some());
            }
            7 if self.todo.is_empty() => self.read_event(),
            _ => self.act(),
        }
        self.todo.extend(self.machine.actions());
    }

    fn begin_op(&mut self) {
        self.cookies += 1;
        self.ops.push(Op {
            cookie: self.cookies,
            file: self.lot.draw(FILES.into()) as u8,
            mapped: self.lot.draw(6) == 0,
            at: At::Start,
            asked: BTreeMap::new(),
        });
    }

    fn step_op(&mut self, which: usize) {
        let steps = self.lot.draw(4);
        let op = &mut self.ops[which];
        match op.at {
            At::Asked(_) => {}
            At::Start => {
                // The PRE of a mapping is not ignored.
                let ask = self.groups.iter_mut().find(|(id, group)| {
                    let ignored = group.ignored.contains(&op.file) && !op.mapped;
                    !op.asked.contains_key(id) && !ignored
                });
                if let Some((id, group)) = ask {
                    op.at = At::Asked(*id);
                    op.asked.insert(*id, false);
                    group.pre.push_back(Observed::Pre(op.operation()));
                } else {
                    op.at = At::Passing;
                }
            }
            At::Passing => op.at = At::Running(steps),
            At::Running(0) => self.end_op(which),
            At::Running(left) => {
                op.at = At::Running(left - 1);
                let version = self.versions.entry(op.file).or_default();
                *version += 1;
            }
        }
    }

    fn end_op(&mut self, which: usize) {
        let op = self.ops.remove(which);
        for (id, group) in &mut self.groups {
            let told = match op.asked.get(id) {
                Some(false) => true,
                _ => !group.ignored.contains(&op.file),
            };
            if told {
                group.post.push_back(Observed::Post(op.operation()));
            }
        }
        for (_, _, waits_for) in &mut self.barriers {
            waits_for.remove(&op.cookie);
        }
        self.reach_barriers();
    }

    fn reach_barriers(&mut self) {
        let (reached, rest) = std::mem::take(&mut self.barriers)
            .into_iter()
            .partition(|(_, _, waits_for)| waits_for.is_empty());
        self.barriers = rest;
        let reached: Vec<_> = reached;
        for (id, number, _) in reached {
            if let Some(group) = self.groups.get_mut(&id) {
                group.post.push_back(Observed::Barrier(number));
            }
        }
    }

    /// FAN_MARK_SYNC: who has looked at the marks as they were goes on.
    fn wait_for_passing(&mut self) {
        if self.without == Without::Sync {
            return;
        }
        let passing = self.ops.iter_mut().filter(|op| op.at == At::Passing);
        passing.for_each(|op| op.at = At::Running(2));
    }

    fn read_event(&mut self) {
        let which = self.lot.draw(self.groups.len());
        let Some((id, group)) = self.groups.iter_mut().nth(which) else {
            return;
        };
        let event = group.pre.pop_front().or_else(|| group.post.pop_front());
        let id = *id;
        if let Some(event) = event {
            self.machine.event(id, event);
        }
    }

    fn append(&mut self, entry: Entry) {
        self.image.apply(entry.clone());
        self.log.push(entry);
        if self.without == Without::Durability {
            self.machine.durable((self.log.len() - self.others) as u64);
        }
    }

    fn sync(&mut self) {
        self.synced = self.log.len();
        if self.synced % 4 == 0 {
            self.rewrite();
        }
        self.durable.clone_from(&self.image);
        self.machine.durable((self.log.len() - self.others) as u64);
    }

    /// The log is written anew: what counts from now on is what that one says.
    fn rewrite(&mut self) {
        let mut image = Image::default();
        let entries = self.image.entries();
        entries.for_each(|entry| image.apply(entry));
        self.image = image;
    }

    /// The next thing that the machine wants.
    fn act(&mut self) {
        let Some(action) = self.todo.pop_front() else {
            return;
        };
        match action {
            Action::Append(entry) => self.append(entry),
            Action::Answer {
                group,
                cookie,
                ignore,
            } => self.answer(group, cookie, ignore),
            Action::Flush(group) => {
                if let Some(group) = self.groups.get_mut(&group) {
                    group.ignored.clear();
                }
                self.wait_for_passing();
                self.machine.flushed();
            }
            Action::Subscribe(group) => {
                self.groups.insert(group, Group::default());
                self.wait_for_passing();
                self.machine.subscribed();
            }
            Action::Drain(id) => {
                let group = self.groups.get_mut(&id).unwrap();
                let events: Vec<_> = group.pre.drain(..).chain(group.post.drain(..)).collect();
                events
                    .into_iter()
                    .for_each(|event| self.machine.event(id, event));
                self.machine.drained();
            }
            Action::Close(id) => {
                self.groups.remove(&id);
                let asked = self.ops.iter_mut().filter(|op| op.at == At::Asked(id));
                asked.for_each(|op| op.at = At::Start);
            }
            Action::Barrier(id) => self.set_barrier(id),
        }
    }

    fn answer(&mut self, id: Period, cookie: u64, ignore: bool) {
        let Some(op) = self.ops.iter_mut().find(|op| op.cookie == cookie) else {
            return;
        };
        assert_eq!(op.at, At::Asked(id));
        op.at = At::Start;
        op.asked.insert(id, ignore);
        assert!(!(ignore && op.mapped));
        if ignore {
            self.groups.get_mut(&id).unwrap().ignored.insert(op.file);
        }
    }

    fn set_barrier(&mut self, id: Period) {
        let group = self.groups.get_mut(&id).unwrap();
        group.barriers += 1;
        // Who was not asked yet is not waited for, nor is a mapping.
        let without = self.without;
        let running = self.ops.iter().filter(|op| match op.at {
            _ if op.mapped || without == Without::Barrier => false,
            At::Running(_) => true,
            _ => !op.asked.is_empty() && without != Without::Answered,
        });
        let waits_for = running.map(|op| op.cookie).collect();
        self.barriers.push((id, group.barriers, waits_for));
        self.reach_barriers();
    }

    /// A step of the reader: it looks at one file, or its copy is complete.
    fn read(&mut self) {
        match self.reading.take() {
            Some((period, mut left)) => match left.pop() {
                Some(file) => {
                    self.copy.insert(file, self.versions[&file]);
                    self.reading = Some((period, left));
                }
                None => {
                    let consumed = Entry::Consumed(period);
                    self.image.apply(consumed.clone());
                    self.log.push(consumed);
                    self.others += 1;
                    self.sync();
                }
            },
            None => {
                let durable = &self.durable;
                self.reading = durable.sealed().next().map(|period| {
                    let changed: BTreeSet<_> = durable.changes(period).collect();
                    let files = (0..FILES).filter(|file| is_said(&changed, *file));
                    (period, files.collect())
                });
            }
        }
    }

    /// What differs from the reader's copy.
    fn differing(&self) -> impl Iterator<Item = u8> + '_ {
        (0..FILES).filter(|file| self.versions[file] != self.copy[file])
    }

    /// The machine goes down, with some of what was not synced on disk. Whether all is reported.
    fn survives_a_crash(&mut self) -> bool {
        let torn = self.log.len() - self.synced;
        let length = self.synced + self.lot.draw(torn + 1);
        let mut image = self.durable.clone();
        let left = self.log[self.synced..length].iter().cloned();
        left.for_each(|entry| image.apply(entry));
        let open = image.next();
        let straddlers = self.straddlers;
        let boot = "two".into();
        image.apply(Entry::Started {
            boot,
            straddlers,
            open,
        });
        let sealed = image.sealed().chain([open]);
        let reported: BTreeSet<_> = sealed.flat_map(|period| image.changes(period)).collect();
        self.differing().all(|file| is_said(&reported, file))
    }

    /// Everything ends, and is read: the periods alone must say it all, as no crash is at hand to
    /// report more.
    fn comes_to_rest(&mut self) -> bool {
        for _ in 0..3 {
            for _ in 0..100 {
                self.settle();
            }
            self.machine.checkpoint();
        }
        for _ in 0..100 {
            self.settle();
            self.read();
        }
        assert!(self.ops.is_empty() && self.todo.is_empty());
        assert_eq!(self.image.sealed().count(), 0);
        self.differing().count() == 0
    }

    fn settle(&mut self) {
        for which in (0..self.ops.len()).rev() {
            self.step_op(which);
        }
        self.todo.extend(self.machine.actions());
        while !self.todo.is_empty() {
            self.act();
            self.todo.extend(self.machine.actions());
        }
        for _ in 0..8 {
            self.read_event();
        }
        self.todo.extend(self.machine.actions());
        while !self.todo.is_empty() {
            self.act();
            self.todo.extend(self.machine.actions());
        }
        self.sync();
        self.todo.extend(self.machine.actions());
    }
}

fn file_change(file: u8) -> Change {
    Change::Object(Object::clone(&object(file)))
}

fn is_said(changes: &BTreeSet<&Change>, file: u8) -> bool {
    changes.contains(&file_change(file)) || changes.contains(&Change::Everything)
}

/// Whether nothing is lost in that many runs, and how many checkpoints there were.
fn runs(count: u64, scheme: Scheme, straddlers: Straddlers, without: Without) -> (bool, usize) {
    let mut checkpoints = 0;
    for seed in 1..=count {
        let mut model = Model::new(seed, scheme, straddlers, without);
        for step in 0..STEPS {
            model.step();
            // Long after what may have been lost it is still missing.
            if step % 8 == 0 && !model.survives_a_crash() {
                return (false, checkpoints);
            }
        }
        checkpoints += model.checkpoints;
        if !model.comes_to_rest() {
            return (false, checkpoints);
        }
    }
    (true, checkpoints)
}

const ALL: [(Scheme, Straddlers); 4] = [
    (Scheme::Alternating, Straddlers::Post),
    (Scheme::Alternating, Straddlers::Barrier),
    (Scheme::Single, Straddlers::Post),
    (Scheme::Single, Straddlers::Barrier),
];

#[test]
fn no_change_is_lost() {
    for (scheme, straddlers) in ALL {
        let (well, checkpoints) = runs(400, scheme, straddlers, Without::Nothing);
        assert!(well, "{scheme:?} {straddlers:?}");
        assert!(
            checkpoints > 800,
            "{scheme:?} {straddlers:?}: {checkpoints}"
        );
    }
}

#[test]
fn without_waiting_for_records_some_are() {
    for (scheme, straddlers) in ALL {
        let (well, _) = runs(1000, scheme, straddlers, Without::Durability);
        assert!(!well, "{scheme:?} {straddlers:?}");
    }
}

#[test]
fn without_sync_some_are() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let (well, _) = runs(3000, scheme, Straddlers::Barrier, Without::Sync);
        assert!(!well, "{scheme:?}");
    }
}

#[test]
fn a_barrier_must_wait_for_who_was_answered() {
    let well = |scheme| runs(400, scheme, Straddlers::Barrier, Without::Answered).0;
    assert!(!well(Scheme::Single));
    // These are asked by the new group as well, before they go on.
    assert!(well(Scheme::Alternating));
}

#[test]
fn without_barriers_or_post_some_are() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let (well, _) = runs(1000, scheme, Straddlers::Barrier, Without::Barrier);
        assert!(!well, "{scheme:?}");
    }
}
