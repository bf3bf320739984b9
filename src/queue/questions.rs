// SPDX-License-Identifier: GPL-2.0

//! The PRE lane, and what comes after it: questions, each a node that moves from tree to tree.
//!
//! 1. *Unread*, the lane: by user, and in the order in which their operations began. Users take turns.
//!    [`Questions::read`] takes the first of the next user, and [`Questions::cancel`] any.
//! 2. *Read*, or being read, and waiting for an answer by the same reader. It can be answered as
//!    soon as it is taken from the lane. If it cannot be copied to user space, it goes back to its place
//!    in the lane; so it does if its reader goes. Who could not copy it puts nothing back that has
//!    gone back before that, even if it was taken again by the same reader.
//! 3. *In flight*: allowed, and the operation has not ended; if it is one that barriers wait for. By
//!    super block, and in the order of the answers.
//!
//! It refers to inodes, as the operation does, until its task is woken up: not from 3 on.
//!
//! It is taken out by whoever decides: the answer, the killed task, the one whose time is over, the
//! end of the operation, or the closing group. From 1, a killed task takes it as if it had never been there. From 2 it is
//! taken to have been read: if then it cannot be copied, there is nothing to be put back.

#![forbid(unsafe_code)]

use super::Key;
use crate::event::Event;
use crate::event::Form;
use crate::event::Reply;
use crate::event::Taking;
use crate::listeners::Reader;
use crate::sys::ignore::Targets;
use crate::sys::pid::Number;
use crate::sys::trace;
use crate::sys::trace::By;
use crate::verdict::Verdict;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::sync::Arc;

/// So many are put back at once, under one lock.
const PUT_BACK_BATCH: usize = 64;

/// What a question refers to. It is dropped when the queue is not locked.
pub(crate) struct Referred {
    event: Arc<Event>,
    /// Where the event is to be ignored if the answer says so. `None` if there is one.
    targets: Option<Targets>,
}

/// A question to the listener.
#[derive(Default)]
pub(crate) struct Question {
    /// `None` when it is taken out.
    referred: Option<Referred>,
    /// Super block that the operation is on, or `None` if no barrier waits for it.
    super_block: Option<usize>,
}

impl Question {
    pub(crate) fn new(event: Arc<Event>, targets: Targets, super_block: Option<usize>) -> Self {
        Self {
            referred: Some(Referred {
                event,
                targets: Some(targets),
            }),
            super_block,
        }
    }
}

/// A question by the number of its operation.
pub(crate) type Node = RBTreeNode<Key, Question>;

/// Memory of a question.
pub(crate) type Room = RBTreeNodeReservation<Key, Question>;

type Tree = RBTree<Key, Question>;

/// A question in the memory that there is for it.
pub(crate) fn node(room: Room, event: &Event, question: Question) -> Node {
    room.into_node(by_user(event), question)
}

/// Its key, as long as it is in the lane.
fn by_user(event: &Event) -> Key {
    (event.user(), event.cookie())
}

/// Its key, as long as this one has it and it has no answer.
fn by_reader(reader: Reader, cookie: u64) -> Key {
    (reader.nr(), cookie)
}

/// Where a question is that has no answer, and its key there.
#[derive(Clone, Copy)]
enum Place {
    Unread(Key),
    Read(Key),
}

impl Place {
    #[inline(always)]
    fn of(event: &Event) -> Self {
        match event.reader() {
            Some(reader) => Self::Read(by_reader(reader, event.cookie())),
            None => Self::Unread(by_user(event)),
        }
    }
}

/// The first of all in a tree, from user to user, or from reader to reader.
fn oldest_in(tree: &Tree) -> Option<Key> {
    let (mut oldest, mut from) = (None, Some(0));

    while let Some(first) = from.and_then(|from| tree.cursor_lower_bound(&(from, 0))) {
        let (key, _) = first.current();

        if oldest.is_none_or(|(_, cookie)| key.1 < cookie) {
            oldest = Some(*key);
        }
        from = key.0.checked_add(1);
    }
    oldest
}

/// Moves a question to another tree, or to another place. Returns false if it is not there.
fn shift(from: &mut Tree, key: Key, to: &mut Tree, new_key: Key) -> bool {
    let Some(mut entry) = from.find_mut(&key) else {
        return false;
    };
    let question = core::mem::take(entry.get_mut());
    let room = entry.remove_node().into_reservation();

    to.insert(room.into_node(new_key, question));
    true
}

/// Takes a question out of a tree. What it refers to, and its memory, are to be dropped, or used
/// again.
fn remove(from: &mut Tree, key: Key) -> Option<(Option<Referred>, Room)> {
    let mut entry = from.find_mut(&key)?;
    let referred = entry.get_mut().referred.take();

    Some((referred, entry.remove_node().into_reservation()))
}

/// What is left of a question that was taken out.
pub(crate) type Removed = (Option<Referred>, Room);

/// A question that has its answer, and what is to be dropped when the queue is not locked.
pub(crate) struct Settled {
    pub(crate) event: Arc<Event>,
    pub(crate) targets: Option<Targets>,
    /// What is left of it, if it is not in flight.
    pub(crate) removed: Option<Removed>,
}

/// All questions of a queue that was closed.
pub(crate) struct Closed {
    group: u64,
    unread: Tree,
    read: Tree,
    _in_flight: Tree,
}

impl Closed {
    /// Gives all that have no answer the same, and wakes up their tasks. Returns how many.
    pub(crate) fn answer_all(&mut self, verdict: Verdict) -> usize {
        let mut answered = 0;
        let waiting = Iterator::chain(self.unread.values_mut(), self.read.values_mut());

        for Referred { event, targets } in waiting.filter_map(|question| question.referred.take()) {
            trace::answer(self.group, event.cookie(), verdict.error(), By::Close);
            event.answer(Reply::of(verdict));
            // As the task refers to the inodes until it is woken up, this is not the last reference.
            drop(targets);
            event.wake();
            answered += 1;
        }
        answered
    }
}

/// The questions of a group.
pub(crate) struct Questions {
    /// Number of the group.
    group: u64,
    unread: Tree,
    /// The user whose turn it is, or else that of the next after him.
    turn: usize,
    read: Tree,
    in_flight: Tree,
    /// How many there are to be read, and their bytes.
    unread_len: usize,
    unread_bytes: usize,
    /// How many have no answer.
    pending: usize,
    /// Number of the last answer.
    answers: u64,
    watched: Watched,
}

/// What a watchdog has seen the last time that it looked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watched {
    /// No one waited for an answer to what was read.
    Nothing,
    /// The first of those who did: the number of its operation.
    First(u64),
    /// The same, and there was a complaint of it.
    Overdue(u64),
}

impl Questions {
    /// None, to a group of this number.
    pub(crate) fn new(group: u64) -> Self {
        Self {
            group,
            unread: RBTree::new(),
            turn: 0,
            read: RBTree::new(),
            in_flight: RBTree::new(),
            unread_len: 0,
            unread_bytes: 0,
            pending: 0,
            answers: 0,
            watched: Watched::Nothing,
        }
    }

    /// Is the first of those that were read still the one that was the first at the last call? True
    /// once for each.
    pub(crate) fn is_overdue(&mut self) -> bool {
        let first = oldest_in(&self.read).map(|(_, cookie)| cookie);
        let before = self.watched;

        self.watched = match (first, before) {
            (None, _) => Watched::Nothing,
            (Some(now), Watched::First(then) | Watched::Overdue(then)) if now == then => {
                Watched::Overdue(now)
            }
            (Some(now), _) => Watched::First(now),
        };
        matches!(self.watched, Watched::Overdue(_)) && self.watched != before
    }

    /// The first that has no answer, read or not.
    pub(crate) fn oldest(&self) -> Option<&Arc<Event>> {
        let oldest = |tree| oldest_in(tree).map(|key| (key.1, key, tree));
        let both = [oldest(&self.unread), oldest(&self.read)];
        let (_, key, tree) = both
            .into_iter()
            .flatten()
            .min_by_key(|(cookie, ..)| *cookie)?;
        let referred = tree.get(&key)?.referred.as_ref()?;

        Some(&referred.event)
    }

    /// How many there are to be read.
    pub(crate) fn len(&self) -> usize {
        self.unread_len
    }

    /// Bytes of those that are to be read.
    pub(crate) fn bytes(&self) -> usize {
        self.unread_bytes
    }

    /// How many have no answer, read or not.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Number of the last answer.
    pub(crate) fn answers(&self) -> u64 {
        self.answers
    }

    fn added(&mut self, event: &Event) {
        self.unread_len += 1;
        self.unread_bytes += event.len(Form::Pre);
    }

    fn taken(&mut self, event: &Event) {
        self.unread_len -= 1;
        self.unread_bytes -= event.len(Form::Pre);
    }

    /// Asks. An operation asks a group once, so there is no other question of this number.
    pub(crate) fn ask(&mut self, node: Node, event: &Event) {
        self.unread.insert(node);
        self.pending += 1;
        self.added(event);
        trace::pre(self.group, event.cookie(), event.mask(Form::Pre));
    }

    /// The first that is to be read.
    pub(crate) fn first(&self) -> Option<&Arc<Event>> {
        let next = self.unread.cursor_lower_bound(&(self.turn, 0));
        let next = next.or_else(|| self.unread.cursor_front())?;
        let key = *next.current().0;
        let first = self.unread.get(&key)?;

        first.referred.as_ref().map(|referred| &referred.event)
    }

    /// Takes the first from the lane.
    #[inline(always)]
    pub(crate) fn read(&mut self, reader: Reader, process: Number) -> Option<(Arc<Event>, Taking)> {
        let event = self.first()?.clone();
        let key = by_reader(reader, event.cookie());

        shift(&mut self.unread, by_user(&event), &mut self.read, key);
        self.turn = event.user().wrapping_add(1);
        let taking = event.set_reader(reader, process);

        self.taken(&event);
        Some((event, taking))
    }

    /// Puts one back into the lane. Returns false if it is there, or has an answer.
    fn put_back(&mut self, event: &Event) -> bool {
        let Place::Read(key) = Place::of(event) else {
            return false;
        };

        if !shift(&mut self.read, key, &mut self.unread, by_user(event)) {
            return false;
        }
        event.set_unread();
        self.added(event);
        true
    }

    /// The same by who has taken it that time, and it is the turn of its user again. Returns false, too,
    /// if it was put back since.
    pub(crate) fn put_back_first(&mut self, event: &Event, taking: Taking) -> bool {
        let is_back = event.is_taken(taking) && self.put_back(event);

        if is_back {
            self.turn = event.user();
        }
        is_back
    }

    /// A reader goes: puts back into the lane what it has read, from the event with a number on, and
    /// not answered; but not what the process `keep` has read. That is done for a few. Returns where
    /// to go on, or `None` if that is all.
    pub(crate) fn put_back_some(
        &mut self,
        reader: Reader,
        from: u64,
        keep: Option<Number>,
    ) -> Option<u64> {
        let mut from = from;

        for _ in 0..PUT_BACK_BATCH {
            let next = self.read.cursor_lower_bound(&by_reader(reader, from))?;
            let ((nr, cookie), question) = next.current();

            if *nr != reader.nr() {
                return None;
            }
            from = cookie + 1;

            let event = question.referred.as_ref()?.event.clone();

            if !keep.is_some_and(|process| event.was_read_by(process)) {
                self.put_back(&event);
            }
        }
        Some(from)
    }

    /// Where an event is to be ignored. Fails with `ENOENT` if this one cannot answer it.
    pub(crate) fn targets(&self, reader: Reader, cookie: u64) -> Result<Targets> {
        let question = self.read.get(&by_reader(reader, cookie)).ok_or(ENOENT)?;
        let referred = question.referred.as_ref().ok_or(ENOENT)?;

        referred.targets.clone().ok_or(ENOENT)
    }

    /// Answers a question that this one has read. Its task is to be woken up. Fails with `ENOENT` if
    /// there is no such question.
    pub(crate) fn answer(&mut self, reader: Reader, cookie: u64, reply: Reply) -> Result<Settled> {
        self.settle(Place::Read(by_reader(reader, cookie)), reply)
            .ok_or(ENOENT)
    }

    /// Gives a question its answer, wherever it is. Returns `None` if it has one.
    pub(crate) fn expire(&mut self, event: &Event, reply: Reply) -> Option<Settled> {
        self.settle(Place::of(event), reply)
    }

    #[inline(always)]
    fn settle(&mut self, place: Place, mut reply: Reply) -> Option<Settled> {
        let (from, key) = match place {
            Place::Read(key) => (&mut self.read, key),
            Place::Unread(key) => (&mut self.unread, key),
        };
        let question = from.get_mut(&key)?;
        let referred = question.referred.as_mut()?;
        let (event, targets) = (referred.event.clone(), referred.targets.take());
        let answers = self.answers + 1;
        let removed = match question.super_block {
            Some(super_block) if reply.verdict == Verdict::Allow => {
                let new_key = (super_block, answers);

                reply.in_flight = Some(new_key);
                shift(from, key, &mut self.in_flight, new_key);
                None
            }
            _ => remove(from, key),
        };

        self.pending -= 1;
        self.answers = answers;
        if matches!(place, Place::Unread(_)) {
            self.taken(&event);
        }

        let by = if reply.is_expired {
            By::Deadline
        } else {
            By::Listener
        };

        trace::answer(self.group, event.cookie(), reply.verdict.error(), by);
        event.answer(reply);
        Some(Settled {
            event,
            targets,
            removed,
        })
    }

    /// The task of a question is killed and does not wait any more.
    ///
    /// Returns what is left of the question, and if it was read; or `None` if there is an answer.
    pub(crate) fn cancel(&mut self, event: &Event) -> Option<(Removed, bool)> {
        let (removed, was_read) = match Place::of(event) {
            Place::Read(key) => (remove(&mut self.read, key)?, true),
            Place::Unread(key) => (remove(&mut self.unread, key)?, false),
        };

        self.pending -= 1;
        if !was_read {
            self.taken(event);
        }
        trace::answer(self.group, event.cookie(), EINTR.to_errno(), By::Signal);
        Some((removed, was_read))
    }

    /// An operation that was allowed has ended. Returns what is left of the question, if barriers
    /// wait for such operations.
    pub(crate) fn land(&mut self, event: &Event) -> Option<Removed> {
        remove(&mut self.in_flight, event.in_flight()?)
    }

    /// The answer that allowed the oldest operation in flight on a super block.
    pub(crate) fn oldest_on(&self, super_block: usize) -> Option<u64> {
        let oldest = self.in_flight.cursor_lower_bound(&(super_block, 0))?;
        let ((on, answer), _) = oldest.current();

        (*on == super_block).then_some(*answer)
    }

    /// Takes out all of them.
    pub(crate) fn close(&mut self) -> Closed {
        self.unread_len = 0;
        self.unread_bytes = 0;
        self.pending = 0;
        Closed {
            group: self.group,
            unread: core::mem::take(&mut self.unread),
            read: core::mem::take(&mut self.read),
            _in_flight: core::mem::take(&mut self.in_flight),
        }
    }
}

#[kunit_tests(vfs_filter_questions)]
mod tests {
    use super::*;
    use crate::sys::user::User;

    const SB: usize = 0x1000;
    const OWN: Reader = Reader::OWN;

    fn ask(questions: &mut Questions, cookie: u64) -> Result<Arc<Event>> {
        ask_as(questions, 0, cookie)
    }

    fn ask_as(questions: &mut Questions, user: u32, cookie: u64) -> Result<Arc<Event>> {
        let event = Event::for_test(User::for_test(user), cookie)?;
        let question = Question::new(event.clone(), Targets::none(), Some(SB));

        questions.ask(node(Room::new(GFP_KERNEL)?, &event, question), &event);
        Ok(event)
    }

    fn take(questions: &mut Questions) -> Option<(Arc<Event>, Taking)> {
        questions.read(OWN, Number::of_current_process())
    }

    fn read(questions: &mut Questions) -> Option<Arc<Event>> {
        take(questions).map(|(event, _)| event)
    }

    fn cookie(event: Option<&Arc<Event>>) -> Option<u64> {
        event.map(|event| event.cookie())
    }

    fn allow(questions: &mut Questions, cookie: u64) -> Result {
        questions
            .answer(OWN, cookie, Reply::of(Verdict::Allow))
            .map(drop)
    }

    #[test]
    fn what_has_no_answer_is_overdue_once() -> Result {
        let mut questions = Questions::new(0);

        for n in 1..=2 {
            ask(&mut questions, n)?;
        }
        // What was not read is not the listener's.
        assert!(!questions.is_overdue());
        assert!(!questions.is_overdue());
        read(&mut questions);
        read(&mut questions);
        assert!(!questions.is_overdue());
        assert!(questions.is_overdue());
        assert!(!questions.is_overdue());
        allow(&mut questions, 1)?;
        assert!(!questions.is_overdue());
        assert!(questions.is_overdue());
        allow(&mut questions, 2)?;
        assert!(!questions.is_overdue());
        assert!(!questions.is_overdue());
        Ok(())
    }

    #[test]
    fn they_are_read_in_order() -> Result {
        let mut questions = Questions::new(0);
        let len = ask(&mut questions, 1)?.len(Form::Pre);

        ask(&mut questions, 3)?;
        ask(&mut questions, 2)?;
        assert_eq!((questions.len(), questions.bytes()), (3, 3 * len));
        for n in 1..=3 {
            assert_eq!(cookie(read(&mut questions).as_ref()), Some(n));
        }
        assert_eq!((questions.len(), questions.bytes()), (0, 0));
        assert_eq!(questions.pending(), 3);
        assert!(read(&mut questions).is_none());
        Ok(())
    }

    #[test]
    fn users_take_turns() -> Result {
        let mut questions = Questions::new(0);

        for n in 1..=5 {
            ask_as(&mut questions, 7, n)?;
        }
        for (user, n) in [(u32::MAX, 6), (0, 7), (u32::MAX, 8)] {
            ask_as(&mut questions, user, n)?;
        }
        assert_eq!(cookie(questions.oldest()), Some(1));
        for n in [7, 1, 6, 2, 8, 3] {
            assert_eq!(cookie(read(&mut questions).as_ref()), Some(n));
        }
        ask_as(&mut questions, 0, 9)?;
        for n in [9, 4, 5] {
            assert_eq!(cookie(read(&mut questions).as_ref()), Some(n));
        }
        assert!(read(&mut questions).is_none());
        Ok(())
    }

    #[test]
    fn what_was_put_back_first_is_next() -> Result {
        let mut questions = Questions::new(0);

        ask_as(&mut questions, 1, 1)?;
        ask_as(&mut questions, 2, 2)?;
        for _ in 0..2 {
            let (first, taking) = take(&mut questions).ok_or(EINVAL)?;

            assert_eq!(first.cookie(), 1);
            assert!(questions.put_back_first(&first, taking));
        }
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(1));
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(2));
        Ok(())
    }

    #[test]
    fn what_was_taken_again_is_not_put_back_by_who_had_it() -> Result {
        let mut questions = Questions::new(0);

        ask(&mut questions, 1)?;
        let (event, first) = take(&mut questions).ok_or(EINVAL)?;

        assert!(questions.put_back_some(OWN, 0, None).is_none());
        assert!(!questions.put_back_first(&event, first));

        let (_, second) = take(&mut questions).ok_or(EINVAL)?;

        assert!(!questions.put_back_first(&event, first));
        assert_eq!(questions.len(), 0);
        assert!(questions.put_back_first(&event, second));
        assert_eq!(questions.len(), 1);
        Ok(())
    }

    #[test]
    fn the_oldest_of_all_users_is_known() -> Result {
        let mut questions = Questions::new(0);

        ask_as(&mut questions, 5, 1)?;
        ask_as(&mut questions, 3, 2)?;
        assert_eq!(cookie(questions.oldest()), Some(1));
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(2));
        assert_eq!(cookie(questions.oldest()), Some(1));
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(1));
        allow(&mut questions, 1)?;
        assert_eq!(cookie(questions.oldest()), Some(2));
        Ok(())
    }

    #[test]
    fn what_was_put_back_is_in_its_place() -> Result {
        let mut questions = Questions::new(0);

        for n in 1..=4 {
            ask(&mut questions, n)?;
        }
        let (first, second) = (
            read(&mut questions).ok_or(EINVAL)?,
            read(&mut questions).ok_or(EINVAL)?,
        );

        assert_eq!(cookie(read(&mut questions).as_ref()), Some(3));
        assert!(questions.put_back(&first));
        assert!(questions.put_back(&second));
        assert!(!questions.put_back(&second));
        for n in [1, 2, 4] {
            assert_eq!(cookie(read(&mut questions).as_ref()), Some(n));
        }
        Ok(())
    }

    #[test]
    fn one_is_taken_from_the_middle() -> Result {
        let mut questions = Questions::new(0);

        ask(&mut questions, 1)?;
        let killed = ask(&mut questions, 2)?;
        ask(&mut questions, 3)?;
        assert!(questions
            .cancel(&killed)
            .is_some_and(|(_, was_read)| !was_read));
        assert!(questions.cancel(&killed).is_none());
        assert_eq!((questions.len(), questions.pending()), (2, 2));
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(1));
        assert_eq!(cookie(read(&mut questions).as_ref()), Some(3));
        assert_eq!(questions.bytes(), 0);
        Ok(())
    }

    #[test]
    fn only_what_was_read_is_answered() -> Result {
        let mut questions = Questions::new(0);
        let event = ask(&mut questions, 1)?;

        assert!(allow(&mut questions, 1) == Err(ENOENT));
        assert!(questions.targets(OWN, 1).is_err());
        read(&mut questions);
        assert!(questions.targets(OWN, 1).is_ok());
        allow(&mut questions, 1)?;
        assert!(event.verdict() == Some(Verdict::Allow));
        assert!(allow(&mut questions, 1) == Err(ENOENT));
        assert!(questions.cancel(&event).is_none());
        assert_eq!(questions.pending(), 0);
        Ok(())
    }

    #[test]
    fn who_was_killed_is_not_answered() -> Result {
        let mut questions = Questions::new(0);
        let event = ask(&mut questions, 1)?;

        read(&mut questions);
        assert!(questions
            .cancel(&event)
            .is_some_and(|(_, was_read)| was_read));
        assert!(allow(&mut questions, 1) == Err(ENOENT));
        assert!(!questions.put_back(&event));
        assert_eq!((questions.len(), questions.bytes()), (0, 0));
        assert!(event.verdict().is_none());
        Ok(())
    }

    #[test]
    fn the_oldest_in_flight_is_known() -> Result {
        let mut questions = Questions::new(0);
        let (one, two) = (ask(&mut questions, 1)?, ask(&mut questions, 2)?);

        read(&mut questions);
        read(&mut questions);
        assert!(questions.oldest_on(SB).is_none());
        allow(&mut questions, 2)?;
        allow(&mut questions, 1)?;
        assert_eq!(questions.oldest_on(SB), Some(1));
        assert!(questions.oldest_on(SB - 1).is_none());
        assert!(questions.oldest_on(SB + 1).is_none());
        assert!(questions.land(&two).is_some());
        assert_eq!(questions.oldest_on(SB), Some(2));
        assert!(questions.land(&one).is_some());
        assert!(questions.land(&one).is_none());
        assert!(questions.oldest_on(SB).is_none());
        Ok(())
    }

    #[test]
    fn what_is_denied_is_not_in_flight() -> Result {
        let mut questions = Questions::new(0);
        let event = ask(&mut questions, 1)?;

        read(&mut questions);
        let settled = questions.answer(OWN, 1, Reply::of(Verdict::Deny(EPERM)))?;

        assert!(settled.removed.is_some());
        assert!(questions.land(&event).is_none());
        Ok(())
    }

    #[test]
    fn those_that_wait_are_answered_by_the_end() -> Result {
        let mut questions = Questions::new(0);
        let events = [ask(&mut questions, 1)?, ask(&mut questions, 2)?];

        read(&mut questions);
        assert_eq!(questions.close().answer_all(Verdict::Allow), 2);
        assert!(events.iter().all(|e| e.verdict() == Some(Verdict::Allow)));
        assert_eq!((questions.len(), questions.pending()), (0, 0));
        Ok(())
    }
}
