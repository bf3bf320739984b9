// SPDX-License-Identifier: GPL-2.0

//! Each race by itself; all of them at once are in the model.

mod model;

use super::Machine;
use crate::Action;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::Object;
use crate::Observed;
use crate::Operation;
use crate::Period;
use crate::Scheme;
use crate::Straddlers;
use vfs_filter::FileHandle;

const ONE: Period = Period(1);
const TWO: Period = Period(2);

fn object(letter: u8) -> Object {
    let handle = FileHandle {
        fsid: 0,
        kind: 1,
        bytes: vec![letter].into(),
    };
    Object::from(&handle)
}

/// A write to a file that is called by a letter.
fn write(cookie: u64, letter: u8) -> Operation {
    Operation {
        cookie,
        mapped: false,
        frees: false,
        changes: vec![Change::Object(object(letter))],
        ignorable: Some(object(letter)),
    }
}

fn mapping(cookie: u64, letter: u8) -> Operation {
    let mapped = true;
    Operation {
        mapped,
        ..write(cookie, letter)
    }
}

/// The making of a name.
fn create(cookie: u64, name: u8) -> Operation {
    let entry = Change::Entry {
        directory: object(b'd'),
        name: vec![name],
    };
    Operation {
        cookie,
        mapped: false,
        frees: false,
        changes: vec![entry],
        ignorable: Some(object(b'd')),
    }
}

fn changed(period: Period, letter: u8) -> Action {
    Action::Append(Entry::Changed(period, Change::Object(object(letter))))
}

fn answer(group: Period, cookie: u64, ignore: bool) -> Action {
    Action::Answer {
        group,
        cookie,
        ignore,
    }
}

fn sealed(period: Period) -> Action {
    Action::Append(Entry::Sealed(period))
}

/// A machine, and how much of its log is there.
struct Driven {
    machine: Machine,
    appended: u64,
}

impl Driven {
    fn new(scheme: Scheme, straddlers: Straddlers) -> Self {
        let config = Config {
            scheme,
            straddlers,
            ignore: true,
            names: 2,
            changes: 4,
        };
        let machine = Machine::new(config, ONE, [], []);
        let appended = 0;
        Self { machine, appended }
    }

    fn actions(&mut self) -> Vec<Action> {
        let actions = self.machine.actions();
        let appends = actions.iter().filter(|a| matches!(a, Action::Append(_)));
        self.appended += appends.count() as u64;
        actions
    }

    fn pre(&mut self, group: Period, operation: Operation) -> Vec<Action> {
        self.machine.event(group, Observed::Pre(operation));
        self.actions()
    }

    fn post(&mut self, group: Period, operation: Operation) -> Vec<Action> {
        self.machine.event(group, Observed::Post(operation));
        self.actions()
    }

    fn sync(&mut self) -> Vec<Action> {
        self.machine.durable(self.appended);
        self.actions()
    }

    /// A whole checkpoint, of which nothing is looked at.
    fn checkpoint(&mut self) {
        self.machine.checkpoint().unwrap();
        self.machine.flushed();
        self.machine.subscribed();
        self.machine.drained();
        self.actions();
        self.sync();
        assert!(self.machine.is_steady());
    }
}

fn both() -> impl Iterator<Item = Driven> {
    let schemes = [Scheme::Alternating, Scheme::Single];
    schemes
        .into_iter()
        .map(|scheme| Driven::new(scheme, Straddlers::Barrier))
}

#[test]
fn an_answer_waits_for_its_record() {
    for mut driven in both() {
        assert_eq!(driven.pre(ONE, write(7, b'a')), [changed(ONE, b'a')]);
        // Another writer of the same file waits for the same record.
        assert_eq!(driven.pre(ONE, write(8, b'a')), []);
        let both = [answer(ONE, 7, true), answer(ONE, 8, true)];
        assert_eq!(driven.sync(), both);
        // What is durable already is answered at once.
        assert_eq!(driven.pre(ONE, write(9, b'a')), [answer(ONE, 9, true)]);
    }
}

#[test]
fn several_records_share_a_sync() {
    for mut driven in both() {
        driven.pre(ONE, write(7, b'a'));
        driven.pre(ONE, write(8, b'b'));
        driven.machine.durable(1);
        assert_eq!(driven.actions(), [answer(ONE, 7, true)]);
        assert_eq!(driven.sync(), [answer(ONE, 8, true)]);
    }
}

#[test]
fn alternating_groups_subscribe_before_they_unsubscribe() {
    let mut driven = Driven::new(Scheme::Alternating, Straddlers::Post);
    assert_eq!(driven.machine.checkpoint(), Some(ONE));
    assert_eq!(driven.machine.checkpoint(), None, "one at a time");
    assert_eq!(driven.actions(), [Action::Subscribe(TWO)]);
    // Until it is subscribed for sure, the old period is not over.
    assert_eq!(driven.pre(ONE, write(7, b'a')), [changed(ONE, b'a')]);
    driven.machine.subscribed();
    assert_eq!(driven.actions(), [Action::Drain(ONE)]);
    // What the old group still has to say is of the old period, whatever the new one says.
    assert_eq!(driven.pre(TWO, write(8, b'b')), [changed(TWO, b'b')]);
    assert_eq!(driven.pre(ONE, write(8, b'b')), [changed(ONE, b'b')]);
    assert_eq!(driven.post(ONE, write(5, b'c')), [changed(ONE, b'c')]);
    driven.machine.drained();
    assert_eq!(driven.actions(), [sealed(ONE)]);
    // It is closed when its last answers were given, and they come after their records.
    let last = [
        answer(ONE, 7, true),
        answer(TWO, 8, true),
        answer(ONE, 8, true),
        Action::Close(ONE),
    ];
    assert_eq!(driven.sync(), last);
    assert!(driven.machine.is_steady());
}

#[test]
fn a_single_group_records_in_both_periods_while_a_checkpoint_is_pending() {
    let mut driven = Driven::new(Scheme::Single, Straddlers::Post);
    assert_eq!(driven.machine.checkpoint(), Some(ONE));
    assert_eq!(driven.actions(), [Action::Flush(ONE)]);
    let both = [changed(ONE, b'a'), changed(TWO, b'a')];
    assert_eq!(driven.pre(ONE, write(7, b'a')), both);
    driven.machine.flushed();
    assert_eq!(driven.actions(), [sealed(ONE)]);
    // The answer ignores the file in the new period, where it is recorded.
    assert_eq!(driven.sync(), [answer(ONE, 7, true)]);
    assert_eq!(driven.pre(ONE, write(8, b'a')), [answer(ONE, 8, true)]);
    assert_eq!(driven.pre(ONE, write(9, b'b')), [changed(TWO, b'b')]);
}

#[test]
fn an_answer_that_is_given_after_the_flush_belongs_to_the_new_period_too() {
    let mut driven = Driven::new(Scheme::Single, Straddlers::Barrier);
    driven.pre(ONE, write(7, b'a'));
    driven.machine.checkpoint();
    let actions = driven.actions();
    assert_eq!(actions, [changed(TWO, b'a'), Action::Flush(ONE)]);
    // The old record alone is not enough any more.
    driven.machine.durable(1);
    assert_eq!(driven.actions(), []);
    assert_eq!(driven.sync(), [answer(ONE, 7, true)]);
}

#[test]
fn a_straddler_shows_itself_by_its_post() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::new(scheme, Straddlers::Post);
        driven.pre(ONE, write(7, b'a'));
        driven.sync();
        driven.checkpoint();
        let group = driven.machine.group;
        // Of one that was ignored at its PRE, and of one whose answer ignored the file.
        assert_eq!(driven.post(group, write(6, b'b')), [changed(TWO, b'b')]);
        assert_eq!(driven.post(group, write(7, b'a')), [changed(TWO, b'a')]);
    }
}

#[test]
fn what_is_known_to_be_under_way_is_carried() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::new(scheme, Straddlers::Post);
        driven.pre(ONE, create(7, b'a'));
        driven.sync();
        driven.machine.checkpoint();
        driven.machine.subscribed();
        let carried = Action::Append(Entry::Changed(TWO, create(7, b'a').changes[0].clone()));
        assert!(driven.actions().contains(&carried));
        driven.machine.flushed();
        driven.machine.drained();
        driven.actions();
        driven.sync();
        let group = driven.machine.group;
        assert_eq!(driven.post(group, create(7, b'a')), []);
        assert!(driven.machine.under_way.is_empty() && driven.machine.held.is_empty());
        driven.checkpoint();
        assert!(!driven.machine.recorded.contains_key(&Period(3)));
    }
}

#[test]
fn a_barrier_seals_what_ended_before_it() {
    for mut driven in both() {
        driven.checkpoint();
        driven.checkpoint();
        let group = driven.machine.group;
        let number = driven.machine.barriers_set;
        // The first one was perhaps of a group that is closed by now.
        let barrier = Observed::Barrier(number);
        driven.machine.event(group, barrier.clone());
        assert_eq!(driven.actions(), [sealed(ONE), sealed(TWO)]);
        driven.machine.event(group, barrier);
        assert_eq!(driven.actions(), []);
    }
}

#[test]
fn with_barriers_no_post_is_needed() {
    for mut driven in both() {
        assert_eq!(driven.post(ONE, write(7, b'a')), []);
        driven.pre(ONE, create(8, b'a'));
        assert!(driven.machine.under_way.is_empty());
    }
}

#[test]
fn a_mapping_changes_its_file_until_its_post() {
    for mut driven in both() {
        driven.pre(ONE, mapping(7, b'm'));
        assert_eq!(driven.sync(), [answer(ONE, 7, false)]);
        for period in [TWO, Period(3)] {
            driven.checkpoint();
            assert_eq!(driven.machine.period(), period);
            let group = driven.machine.group;
            // An older group was asked, so this one is told unless it ignores the file.
            let ignore = driven.machine.config.scheme == Scheme::Single;
            let actions = driven.pre(group, write(period.0 * 10, b'm'));
            assert_eq!(actions, [answer(group, period.0 * 10, ignore)]);
        }
        let group = driven.machine.group;
        let unmapped = Action::Append(Entry::Unmapped(7));
        assert_eq!(driven.post(group, mapping(7, b'm')), [unmapped]);
        assert!(driven.machine.held.is_empty());
        driven.checkpoint();
        assert!(!driven.machine.recorded.contains_key(&Period(4)));
    }
}

#[test]
fn a_mapping_of_a_listener_that_died_is_carried_on() {
    let config = Config {
        scheme: Scheme::Single,
        straddlers: Straddlers::Barrier,
        ignore: true,
        names: 2,
        changes: 4,
    };
    let changes = mapping(7, b'm').changes;
    let recorded = changes.clone();
    let machine = Machine::new(config, ONE, recorded, [(7, changes)]);
    let appended = 0;
    let mut driven = Driven { machine, appended };
    assert_eq!(driven.pre(ONE, write(8, b'm')), [answer(ONE, 8, false)]);
    driven.machine.checkpoint();
    let carried = [changed(TWO, b'm'), Action::Flush(ONE)];
    assert_eq!(driven.actions(), carried);
    driven.machine.flushed();
    driven.actions();
    let unmapped = Action::Append(Entry::Unmapped(7));
    assert_eq!(driven.post(ONE, mapping(7, b'm')), [unmapped]);
    driven.sync();
    assert_eq!(driven.pre(ONE, write(9, b'm')), [answer(ONE, 9, true)]);
}

#[test]
fn a_directory_with_many_new_names_is_recorded_as_a_whole() {
    for mut driven in both() {
        driven.pre(ONE, create(1, b'a'));
        driven.pre(ONE, create(2, b'b'));
        let directory = Action::Append(Entry::Changed(ONE, Change::Directory(object(b'd'))));
        assert_eq!(driven.pre(ONE, create(3, b'c')), [directory]);
        let ignored = [1, 2, 3].map(|cookie| answer(ONE, cookie, cookie == 3));
        assert_eq!(driven.sync(), ignored);
        assert_eq!(driven.pre(ONE, create(4, b'd')), [answer(ONE, 4, true)]);
        // The next period has its own count.
        driven.checkpoint();
        let group = driven.machine.group;
        driven.pre(group, create(5, b'e'));
        assert_eq!(driven.sync(), [answer(group, 5, false)]);
    }
}

fn everything(period: Period) -> Action {
    Action::Append(Entry::Changed(period, Change::Everything))
}

#[test]
fn a_period_with_very_many_changes_is_recorded_as_everything() {
    for mut driven in both() {
        for letter in 1..=4 {
            assert_eq!(
                driven.pre(ONE, write(letter.into(), letter)),
                [changed(ONE, letter)]
            );
        }
        driven.sync();
        assert_eq!(driven.pre(ONE, write(5, 5)), [everything(ONE)]);
        assert_eq!(driven.sync(), [answer(ONE, 5, true)]);
        // After that nothing is recorded, nor kept in memory.
        for letter in 1..=100 {
            let asked = write(u64::from(letter) + 10, letter);
            assert!(driven.machine.has_recorded(ONE, &asked, true));
            let actions = driven.pre(ONE, asked);
            assert_eq!(actions, [answer(ONE, u64::from(letter) + 10, true)]);
        }
        assert_eq!(driven.machine.recorded[&ONE].len(), 1);
        assert!(driven.machine.waiting.is_empty() && driven.machine.under_way.is_empty());
        driven.machine.event(ONE, Observed::Overflow);
        assert_eq!(driven.actions(), []);
        // Mappings are, as they last.
        let mapped = Entry::Mapped(500, mapping(500, b'm').changes);
        let actions = driven.pre(ONE, mapping(500, b'm'));
        assert_eq!(actions, [Action::Append(mapped)]);
        driven.sync();
        // The next period has its own count.
        driven.checkpoint();
        assert_eq!(driven.machine.recorded[&TWO].len(), 1, "the mapping");
        let group = driven.machine.group;
        let actions = driven.pre(group, write(501, b'a'));
        assert_eq!(actions, [changed(TWO, b'a')]);
    }
}

#[test]
fn new_directories_are_not_counted_in_a_period_that_says_everything() {
    for mut driven in both() {
        driven.machine.event(ONE, Observed::Overflow);
        driven.actions();
        driven.sync();
        for letter in 1..=100 {
            let mut made = create(letter.into(), b'a');
            made.changes = vec![Change::Entry {
                directory: object(letter),
                name: vec![b'a'],
            }];
            made.ignorable = Some(object(letter));
            let actions = driven.pre(ONE, made);
            assert_eq!(actions, [answer(ONE, letter.into(), true)]);
        }
        assert!(driven.machine.names.is_empty());
    }
}

#[test]
fn a_directory_that_is_ignored_for_everything_is_a_whole_in_the_next_period() {
    let directory =
        |period| Action::Append(Entry::Changed(period, Change::Directory(object(b'd'))));
    // Its answer waits for the record when the checkpoint begins.
    let mut driven = Driven::new(Scheme::Single, Straddlers::Barrier);
    driven.machine.event(ONE, Observed::Overflow);
    driven.pre(ONE, create(7, b'a'));
    driven.machine.checkpoint();
    assert_eq!(driven.actions(), [directory(TWO), Action::Flush(ONE)]);
    assert_eq!(driven.sync(), [answer(ONE, 7, true)]);
    // While the checkpoint is pending, both periods must say it, or it is not ignored.
    let actions = driven.pre(ONE, create(8, b'b'));
    assert_eq!(actions, [answer(ONE, 8, false)]);
    let name = create(9, b'b').changes[0].clone();
    let mut driven = Driven::new(Scheme::Single, Straddlers::Barrier);
    driven.machine.event(ONE, Observed::Overflow);
    driven.machine.checkpoint();
    driven.actions();
    let actions = driven.pre(ONE, create(9, b'b'));
    assert_eq!(actions, [Action::Append(Entry::Changed(TWO, name))]);
    assert_eq!(driven.sync(), [answer(ONE, 9, false)]);
}

#[test]
fn a_carried_change_can_be_the_one_too_many() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::new(scheme, Straddlers::Barrier);
        for letter in 1..=9 {
            driven.pre(ONE, mapping(letter.into(), letter));
        }
        driven.sync();
        driven.checkpoint();
        assert_eq!(driven.machine.recorded[&TWO].len(), 1);
        assert!(driven
            .machine
            .has_recorded(driven.machine.group, &write(77, b'z'), true));
    }
}

#[test]
fn lost_events_can_be_anything() {
    for mut driven in both() {
        driven.machine.event(ONE, Observed::Overflow);
        let everything = Action::Append(Entry::Changed(ONE, Change::Everything));
        assert_eq!(driven.actions(), [everything]);
    }
}

#[test]
fn a_checkpoint_that_failed_leaves_the_period_open() {
    for mut driven in both() {
        driven.pre(ONE, write(7, b'a'));
        driven.machine.checkpoint();
        driven.machine.failed();
        assert_eq!(driven.machine.period(), ONE);
        driven.actions();
        driven.sync();
        driven.checkpoint();
        assert_eq!(driven.machine.period(), TWO);
    }
}

#[test]
fn without_ignoring_every_operation_is_answered_alike() {
    let mut driven = Driven::new(Scheme::Single, Straddlers::Post);
    driven.machine.config.ignore = false;
    driven.pre(ONE, write(7, b'a'));
    assert_eq!(driven.sync(), [answer(ONE, 7, false)]);
    assert_eq!(driven.post(ONE, write(7, b'a')), []);
}

#[test]
fn what_is_given_up_leaves_nothing_but_its_record() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::new(scheme, Straddlers::Post);
        driven.pre(ONE, create(7, b'a'));
        driven.pre(ONE, mapping(8, b'm'));
        assert_eq!(driven.machine.give_up_waiting(), [(ONE, 7), (ONE, 8)]);
        let unmapped = Action::Append(Entry::Unmapped(8));
        assert_eq!(driven.actions(), [unmapped]);
        assert!(driven.machine.under_way.is_empty() && driven.machine.held.is_empty());
        assert_eq!(driven.sync(), []);
        let again = write(9, b'm');
        assert!(driven.machine.has_recorded(ONE, &again, true));
        assert_eq!(driven.pre(ONE, again), [answer(ONE, 9, true)]);
    }
}

#[test]
fn giving_up_lets_the_old_group_close() {
    let mut driven = Driven::new(Scheme::Alternating, Straddlers::Post);
    driven.pre(ONE, write(7, b'a'));
    driven.machine.checkpoint();
    driven.machine.subscribed();
    driven.machine.drained();
    assert!(!driven.machine.is_steady());
    assert_eq!(driven.machine.give_up_waiting(), [(ONE, 7)]);
    assert!(driven.machine.is_steady());
    assert!(driven.actions().contains(&Action::Close(ONE)));
}

#[test]
fn what_needs_no_new_record_is_known_before() {
    for mut driven in both() {
        assert!(!driven.machine.has_recorded(ONE, &write(7, b'a'), false));
        driven.pre(ONE, write(7, b'a'));
        assert!(driven.machine.has_recorded(ONE, &write(8, b'a'), false));
        assert!(!driven.machine.has_recorded(ONE, &write(8, b'a'), true));
        driven.sync();
        assert!(driven.machine.has_recorded(ONE, &write(8, b'a'), true));
        // A mapping is an entry of its own.
        assert!(!driven.machine.has_recorded(ONE, &mapping(8, b'a'), false));
    }
    // While a checkpoint is pending, both periods have to say it.
    let mut driven = Driven::new(Scheme::Single, Straddlers::Barrier);
    driven.pre(ONE, write(7, b'a'));
    driven.sync();
    driven.machine.checkpoint();
    assert!(!driven.machine.has_recorded(ONE, &write(8, b'a'), false));
}
