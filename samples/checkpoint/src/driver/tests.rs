// SPDX-License-Identifier: GPL-2.0

//! Whatever fails, and whenever, nothing else is forgotten.

use super::room::KEPT;
use super::room::LAST;
use super::room::LONGEST;
use super::Driver;
use super::Store;
use crate::filter::Filter;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::Error;
use crate::GroupId;
use crate::Image;
use crate::Log;
use crate::Machine;
use crate::Object;
use crate::Observed;
use crate::Operation;
use crate::Period;
use crate::Result;
use crate::Scheme;
use crate::Straddlers;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use vfs_filter::Answer;
use vfs_filter::Errno;
use vfs_filter::FileHandle;

/// What the kernel and the disk are like.
#[derive(Debug, Default)]
struct World {
    /// Calls made so far, and which of them fails.
    calls: usize,
    fails: Option<usize>,
    queues: BTreeMap<u64, Vec<Observed>>,
    groups: u64,
    barriers: BTreeMap<u64, u64>,
    /// All answers that were given.
    answers: Vec<Answer>,
    gone: bool,
    /// Entries on disk, their size, and the room that there is.
    log: Vec<Entry>,
    length: u64,
    room: u64,
    unsure: bool,
    disk_fails: bool,
    /// How often it was written anew, or tried to be, and whether there is no room for another.
    rewritten: usize,
    no_other: bool,
}

impl World {
    /// Counts a call, which may be the one that fails.
    fn call(&mut self) -> Result<()> {
        self.calls += 1;
        match self.fails {
            Some(at) if at + 1 == self.calls => Err(refused()),
            _ => Ok(()),
        }
    }

    fn answer(&mut self, cookie: u64) -> Option<Answer> {
        let answers = &self.answers;
        let of = answers.iter().filter(|answer| answer.cookie() == cookie);
        assert!(of.clone().count() <= 1, "#{cookie} is answered twice");
        of.last().copied()
    }
}

fn refused() -> Error {
    vfs_filter::Error::Answer(Errno::NOMEM).into()
}

#[derive(Clone, Debug, Default)]
struct Fake(Rc<RefCell<World>>);

impl Filter for Fake {
    type Group = u64;

    fn subscribe(&self) -> Result<u64> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        world.groups += 1;
        Ok(world.groups)
    }

    fn read(&mut self, group: &u64, events: &mut Vec<Observed>) -> Result<bool> {
        let mut world = self.0.borrow_mut();
        // What was read is read.
        events.extend(world.queues.remove(group).unwrap_or_default());
        world.call()?;
        Ok(!events.is_empty())
    }

    fn flush(&self, _: &u64) -> Result<()> {
        self.0.borrow_mut().call()
    }

    fn barrier(&self, group: &u64) -> Result<()> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        let number = world.barriers.entry(*group).or_default();
        *number += 1;
        let event = Observed::Barrier(*number);
        world.queues.entry(*group).or_default().push(event);
        Ok(())
    }

    fn answer(&self, _: &u64, answers: &[Answer]) -> Result<()> {
        let mut world = self.0.borrow_mut();
        world.call()?;
        world.answers.extend(answers);
        Ok(())
    }

    fn is_there(&self) -> Result<()> {
        match self.0.borrow().gone {
            true => Err(Error::Elsewhere("/srv".into())),
            false => Ok(()),
        }
    }
}

impl Store for Fake {
    fn append(&mut self, entries: &[Entry], _: bool) -> Result<()> {
        let mut world = self.0.borrow_mut();
        let size = Log::size_of(entries);
        if world.disk_fails {
            return Err(Error::Store(Errno::IO.into(), "log".into()));
        }
        if world.length + size > world.room {
            return Err(Error::Store(Errno::NOSPC.into(), "log".into()));
        }
        world.call().map_err(|_| {
            let error = io::Error::from(Errno::IO);
            Error::Store(error, "log".into())
        })?;
        assert!(!world.unsure);
        world.length += size;
        world.log.extend_from_slice(entries);
        Ok(())
    }

    fn rewrite(&mut self, image: &Image) -> Result<()> {
        let mut world = self.0.borrow_mut();
        if world.disk_fails {
            return Err(Error::Store(Errno::IO.into(), "log".into()));
        }
        world.rewritten += 1;
        if world.no_other {
            return Err(Error::Store(Errno::NOSPC.into(), "log.new".into()));
        }
        world.log = image.entries().collect();
        world.length = Log::size_of(&world.log);
        world.unsure = false;
        Ok(())
    }

    fn is_unsure(&self) -> bool {
        self.0.borrow().unsure
    }

    fn provide(&mut self, _: u64) -> u64 {
        let world = self.0.borrow();
        world.room.saturating_sub(world.length)
    }

    fn length(&self) -> u64 {
        self.0.borrow().length
    }

    fn full(&self) -> Error {
        Error::Full("log".into())
    }
}

fn object(number: u64) -> Object {
    let handle = FileHandle {
        fsid: 0,
        kind: 1,
        bytes: number.to_ne_bytes().to_vec().into(),
    };
    Object::from(&handle)
}

fn write(cookie: u64) -> Operation {
    Operation {
        cookie,
        mapped: false,
        frees: false,
        changes: vec![Change::Object(object(cookie))],
        ignorable: Some(object(cookie)),
    }
}

fn remove(cookie: u64) -> Operation {
    let entry = Change::Entry {
        directory: object(0),
        name: vec![b'x'; 250],
    };
    Operation {
        frees: true,
        changes: vec![entry, Change::Object(object(cookie))],
        ignorable: None,
        ..write(cookie)
    }
}

fn mapping(cookie: u64, file: u64) -> Operation {
    Operation {
        cookie,
        mapped: true,
        ..write(file)
    }
}

const STRADDLERS: Straddlers = Straddlers::Barrier;

struct Driven {
    world: Rc<RefCell<World>>,
    driver: Driver<Fake, Fake>,
}

impl Driven {
    fn new(scheme: Scheme) -> Self {
        Self::with(scheme, STRADDLERS, 1 << 20)
    }

    fn with(scheme: Scheme, straddlers: Straddlers, changes: usize) -> Self {
        let config = Config {
            scheme,
            straddlers,
            ignore: true,
            names: 1 << 20,
            changes,
        };
        let fake = Fake::default();
        let world = fake.0.clone();
        world.borrow_mut().room = 1 << 30;
        let one = Period(1);
        let machine = Machine::new(config, one, [], []);
        let mut driver = Driver::new(fake.clone(), fake, Image::default(), machine);
        let started = Entry::Started {
            boot: "boot".into(),
            straddlers,
            open: one,
        };
        driver.append(vec![started]).unwrap();
        driver.begin(one).unwrap();
        world.borrow_mut().calls = 0;
        Self { world, driver }
    }

    /// The group that is asked last.
    fn newest(&self) -> u64 {
        self.world.borrow().groups
    }

    fn send(&self, group: u64, event: Observed) {
        let mut world = self.world.borrow_mut();
        world.queues.entry(group).or_default().push(event);
    }

    fn ask(&mut self, operation: Operation) -> Option<Answer> {
        let cookie = operation.cookie;
        self.send(self.newest(), Observed::Pre(operation));
        let _ = self.driver.turn();
        self.world.borrow_mut().answer(cookie)
    }

    fn is_recorded(&self, cookie: u64) -> bool {
        let image = self.driver.image();
        let periods = image.sealed().chain(image.unsealed());
        let changes = periods.flat_map(|period| image.changes(period));
        let change = Change::Object(object(cookie));
        changes
            .into_iter()
            .any(|said| *said == change || *said == Change::Everything)
    }

    /// A file is mapped, and no longer.
    fn map_and_unmap(&mut self, cookie: u64, file: u64) -> Option<Answer> {
        let answer = self.ask(mapping(cookie, file));
        self.send(self.newest(), Observed::Post(mapping(cookie, file)));
        let _ = self.driver.turn();
        answer
    }

    /// Turns until nothing is left to be done.
    fn settle(&mut self) {
        for _ in 0..4 {
            let _ = self.driver.turn();
        }
        assert!(!self.driver.has_more());
    }
}

fn both() -> impl Iterator<Item = Driven> {
    let schemes = [Scheme::Alternating, Scheme::Single];
    schemes.into_iter().map(Driven::new)
}

/// Questions, a checkpoint between them, and one after it. Returns the calls that it took.
fn scenario(mut driven: Driven, fails: Option<usize>) -> usize {
    driven.world.borrow_mut().fails = fails;
    for cookie in [1, 2, 3] {
        driven.send(1, Observed::Pre(write(cookie)));
    }
    let _ = driven.driver.turn();
    for cookie in [4, 5] {
        driven.send(1, Observed::Pre(write(cookie)));
    }
    let mut ended = driven.driver.checkpoint();
    let _ = driven.driver.turn();
    driven.send(driven.newest(), Observed::Pre(write(6)));
    let _ = driven.driver.turn();
    driven.settle();
    if ended.is_err() {
        // The period may have ended or not; another checkpoint can be made.
        ended = driven.driver.checkpoint();
        driven.settle();
    }
    let context = format!("{fails:?}");
    let ended = ended.expect(&context);
    let image = driven.driver.image();
    assert!(image.sealed().any(|sealed| sealed == ended), "{context}");
    assert!(image.unsealed().count() <= 1, "{context}");
    for cookie in 1..=6 {
        let answer = driven.world.borrow_mut().answer(cookie);
        let answer = answer.unwrap_or_else(|| panic!("#{cookie} waits, {context}"));
        let denied = answer == Answer::deny(cookie, Errno::IO);
        assert!(denied || driven.is_recorded(cookie), "#{cookie}, {context}");
    }
    if driven.driver.consume(ended).is_err() {
        driven.driver.consume(ended).expect(&context);
    }
    // And it goes on as if nothing had been.
    let calls = driven.world.borrow().calls;
    driven.world.borrow_mut().fails = None;
    let answer = driven.ask(write(7));
    assert_eq!(answer, Some(Answer::allow_and_ignore(7)), "{context}");
    assert!(driven.driver.is_recording());
    let world = driven.world.borrow();
    let logged = world.log.iter().cloned();
    let mut image = Image::default();
    logged.for_each(|entry| image.apply(entry));
    assert_eq!(&image, driven.driver.image(), "{context}");
    calls
}

#[test]
fn one_failure_at_each_call_forgets_nothing_else() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let calls = scenario(Driven::new(scheme), None);
        assert!(calls > 10);
        for at in 0..calls {
            scenario(Driven::new(scheme), Some(at));
        }
    }
}

#[test]
fn a_log_that_fails_denies_until_it_does_not() {
    for mut driven in both() {
        assert_eq!(driven.ask(write(1)), Some(Answer::allow_and_ignore(1)));
        driven.world.borrow_mut().disk_fails = true;
        driven.send(1, Observed::Pre(write(2)));
        let done = driven.driver.turn();
        assert!(matches!(done, Err(Error::Store(..))), "said once");
        assert_eq!(driven.ask(write(3)), Some(Answer::deny(3, Errno::IO)));
        assert!(driven.driver.turn().is_ok());
        // What is recorded already is allowed.
        let again = Operation {
            cookie: 4,
            ..write(1)
        };
        assert_eq!(driven.ask(again), Some(Answer::allow_and_ignore(4)));
        assert!(matches!(driven.driver.checkpoint(), Err(Error::Failed)));
        assert!(driven.driver.has_more() && !driven.driver.is_recording());
        driven.world.borrow_mut().disk_fails = false;
        driven.settle();
        assert!(driven.driver.is_recording());
        assert_eq!(driven.ask(write(5)), Some(Answer::allow_and_ignore(5)));
        let denied = driven.world.borrow_mut().answer(2);
        assert_eq!(denied, Some(Answer::deny(2, Errno::IO)));
    }
}

#[test]
fn a_log_that_is_unsure_is_written_anew_first() {
    for mut driven in both() {
        driven.ask(write(1));
        driven.world.borrow_mut().unsure = true;
        assert_eq!(driven.ask(write(2)), Some(Answer::allow_and_ignore(2)));
        assert!(!driven.world.borrow().unsure);
    }
}

#[test]
fn on_a_full_disk_removals_go_on_for_ever() {
    for mut driven in both() {
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + KEPT + 1000;
        // It refuses early, and says so.
        let mut allowed = 0;
        while driven.ask(write(1000 + allowed)) == Some(Answer::allow_and_ignore(1000 + allowed)) {
            allowed += 1;
        }
        assert!(allowed > 3 && !driven.driver.is_recording(), "{allowed}");
        assert_eq!(driven.ask(write(7)), Some(Answer::deny(7, Errno::NOSPC)));
        assert!(!driven.is_recorded(7));
        let again = Operation {
            cookie: 8,
            ..write(1000)
        };
        assert_eq!(driven.ask(again), Some(Answer::allow_and_ignore(8)));
        let room = |driven: &Driven| {
            let world = driven.world.borrow();
            world.room - world.length
        };
        assert!(room(&driven) > KEPT - 1000);
        // Far more than there is room for.
        for cookie in 10_000..12_000 {
            assert_eq!(driven.ask(remove(cookie)), Some(Answer::allow(cookie)));
            assert!(driven.is_recorded(cookie));
        }
        // A period ends even then, and the next one has to be said as a whole as well.
        assert!(room(&driven) > LAST / 2, "{}", room(&driven));
        let _ = driven.driver.checkpoint();
        driven.settle();
        for cookie in 12_000..12_100 {
            assert_eq!(driven.ask(remove(cookie)), Some(Answer::allow(cookie)));
            assert!(driven.is_recorded(cookie));
        }
        assert_eq!(driven.ask(write(9)), Some(Answer::deny(9, Errno::NOSPC)));
        // There is room again.
        driven.world.borrow_mut().room += 4 * KEPT;
        driven.settle();
        assert!(driven.driver.is_recording());
        assert_eq!(
            driven.ask(write(9999)),
            Some(Answer::allow_and_ignore(9999))
        );
    }
}

#[test]
fn many_questions_at_once_do_not_use_up_what_is_kept() {
    for mut driven in both() {
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + KEPT + 1000;
        for cookie in 1..=1000 {
            driven.send(1, Observed::Pre(write(cookie)));
        }
        assert!(matches!(driven.driver.turn(), Err(Error::Full(_))), "said");
        let world = driven.world.borrow();
        assert_eq!(world.answers.len(), 1000);
        assert!(world.room - world.length > KEPT);
        let denied = |answer: &&Answer| **answer == Answer::deny(answer.cookie(), Errno::NOSPC);
        let denied = world.answers.iter().filter(denied).count();
        assert!((900..1000).contains(&denied), "{denied}");
    }
}

#[test]
fn consuming_on_a_full_disk_makes_room() {
    for mut driven in both() {
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + KEPT + 4000;
        let mut cookie = 1;
        while driven.ask(write(cookie)) == Some(Answer::allow_and_ignore(cookie)) {
            cookie += 1;
        }
        let ended = driven.driver.checkpoint().unwrap();
        driven.settle();
        driven.driver.consume(ended).unwrap();
        assert!(driven.ask(write(cookie + 1)).is_some());
        assert_eq!(
            driven.ask(write(5000)),
            Some(Answer::allow_and_ignore(5000))
        );
    }
}

#[test]
fn mappings_that_come_and_go_leave_the_log_short() {
    for mut driven in both() {
        driven.driver = driven.driver.with_options(2000, false);
        for cookie in 1000..3000 {
            let allowed = driven.map_and_unmap(cookie, 1);
            assert_eq!(allowed, Some(Answer::allow(cookie)));
            let length = driven.world.borrow().length;
            assert!(length <= 2000, "{length} bytes after #{cookie}");
        }
        assert!(driven.is_recorded(1));
        // Those that last are needed, and are not written anew each time.
        for cookie in 3000..4000 {
            driven.ask(mapping(cookie, cookie));
        }
        let rewritten = driven.world.borrow().rewritten;
        assert!(rewritten < 300, "{rewritten} times");
        for cookie in 3000..4000 {
            driven.send(1, Observed::Post(mapping(cookie, cookie)));
            let _ = driven.driver.turn();
            let length = driven.world.borrow().length;
            let limit = 2000.max(LONGEST * driven.driver.image().size());
            assert!(length <= limit, "{length} bytes, not {limit}");
        }
        assert_eq!(driven.driver.image().mapped().count(), 0);
    }
}

#[test]
fn mappings_that_come_and_go_take_no_room_from_others() {
    for mut driven in both() {
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + KEPT + 8000;
        for cookie in 10_000..12_000 {
            let allowed = driven.map_and_unmap(cookie, 1);
            assert_eq!(allowed, Some(Answer::allow(cookie)));
        }
        assert_eq!(driven.ask(write(2)), Some(Answer::allow_and_ignore(2)));
        assert!(driven.driver.is_recording());
        // Nor do they make a period say more than it has to.
        driven.world.borrow_mut().room = 1 << 30;
        for cookie in 12_000..14_000 {
            driven.map_and_unmap(cookie, 1);
        }
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + 100;
        assert_eq!(driven.ask(remove(3)), Some(Answer::allow(3)));
        assert!(!driven.driver.image().says_everything(Period(1)));
    }
}

#[test]
fn files_that_come_and_go_leave_the_log_and_the_image_short() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::with(scheme, STRADDLERS, 100);
        driven.driver = driven.driver.with_options(2000, false);
        for cookie in 1000..3000 {
            assert_eq!(driven.ask(remove(cookie)), Some(Answer::allow(cookie)));
            assert!(driven.is_recorded(cookie));
            assert!(driven.driver.image().len() <= 100);
            let length = driven.world.borrow().length;
            assert!(length <= 100 * 300, "{length} bytes after #{cookie}");
        }
        let length = driven.world.borrow().length;
        assert!(length <= 2000, "{length}");
        // In the next period there are single ones again.
        driven.driver.checkpoint().unwrap();
        driven.settle();
        driven.ask(write(7));
        assert!(!driven.driver.image().says_everything(Period(2)));
        assert_eq!(driven.driver.image().changes(Period(2)).count(), 1);
    }
}

#[test]
fn what_is_kept_of_consumed_periods_has_the_same_bound() {
    for scheme in [Scheme::Alternating, Scheme::Single] {
        let mut driven = Driven::with(scheme, Straddlers::Post, 100);
        for round in 1..=20 {
            for cookie in round * 1000..round * 1000 + 50 {
                driven.ask(write(cookie));
                driven.send(driven.newest(), Observed::Post(write(cookie)));
            }
            let ended = driven.driver.checkpoint().unwrap();
            driven.settle();
            driven.driver.consume(ended).unwrap();
            let changes = driven.driver.image().len();
            assert!(changes <= 150, "{changes}");
        }
        // All of it is reported after a crash.
        let mut image = driven.driver.image().clone();
        image.apply(Entry::Started {
            boot: "another".into(),
            straddlers: Straddlers::Post,
            open: Period(99),
        });
        let mut reported = image.changes(Period(99));
        assert!(reported.any(|change| *change == Change::Everything));
    }
}

#[test]
fn a_log_that_cannot_be_written_anew_is_not_tried_each_time() {
    for mut driven in both() {
        driven.driver = driven.driver.with_options(2000, false);
        driven.world.borrow_mut().no_other = true;
        for cookie in 1000..2000 {
            driven.map_and_unmap(cookie, 1);
        }
        let tries = driven.world.borrow().rewritten;
        assert!((1..50).contains(&tries), "{tries} times");
        let length = driven.world.borrow().length;
        driven.world.borrow_mut().room = length + KEPT;
        assert_eq!(driven.ask(write(2)), Some(Answer::deny(2, Errno::NOSPC)));
        // It can, when something was consumed at the latest.
        driven.world.borrow_mut().no_other = false;
        let ended = driven.driver.checkpoint().unwrap();
        driven.settle();
        driven.driver.consume(ended).unwrap();
        assert!(driven.world.borrow().length < 2000);
        assert_eq!(driven.ask(write(3)), Some(Answer::allow_and_ignore(3)));
    }
}

#[test]
fn when_what_is_watched_is_gone_all_is_recorded_and_sealed() {
    for straddlers in [true, false] {
        for mut driven in both() {
            driven.ask(write(1));
            if straddlers {
                // Between two groups, or two periods.
                let calls = driven.world.borrow().calls;
                driven.world.borrow_mut().fails = Some(calls + 2);
                driven.driver.checkpoint().ok();
            }
            let last = driven.newest();
            for group in 1..=last {
                driven.send(group, Observed::Post(write(2)));
                driven.send(group, Observed::Gone);
            }
            driven.world.borrow_mut().gone = true;
            let done = driven.driver.turn();
            assert!(matches!(done, Err(Error::Gone(_))), "{done:?}");
            assert!(!driven.driver.is_recording());
            assert!(driven.is_recorded(1));
            let image = driven.driver.image();
            assert_eq!(image.unsealed().count(), 0);
            assert!(image.sealed().count() > 0 && image.has_gap("boot"));
        }
    }
}

#[test]
fn when_something_else_is_gone_it_goes_on() {
    for mut driven in both() {
        driven.send(1, Observed::Gone);
        driven.settle();
        assert_eq!(driven.ask(write(1)), Some(Answer::allow_and_ignore(1)));
        assert!(driven.driver.is_recording());
    }
}

#[test]
fn no_checkpoint_of_what_is_elsewhere() {
    for mut driven in both() {
        driven.ask(write(1));
        driven.world.borrow_mut().gone = true;
        let refused = driven.driver.checkpoint();
        assert!(matches!(refused, Err(Error::Elsewhere(_))));
        driven.world.borrow_mut().gone = false;
        let group: GroupId = Period(1);
        assert_eq!(driven.driver.checkpoint().unwrap(), group);
    }
}
