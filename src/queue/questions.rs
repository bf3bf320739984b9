// SPDX-License-Identifier: GPL-2.0

//! The PRE lane, and what comes after it: questions, each a node that moves from tree to tree.
//!
//! 1. *Unread*, the lane: in the order in which their operations began. [`Questions::read`] takes
//!    the first, and [`Questions::cancel`] any.
//! 2. *Read*, or being read, and waiting for an answer. It can be answered as soon as it is taken
//!    from the lane. If it cannot be copied to user space, it goes back to its place in the lane.
//! 3. *In flight*: allowed, and the operation has not ended; if it is one that barriers wait for. By
//!    super block, and in the order of the answers.
//!
//! It is taken out by whoever decides: the answer, the killed task, the end of the operation, or
//! the closing group. From 1, a killed task takes it as if it had never been there. From 2 it is
//! taken to have been read: if then it cannot be copied, there is nothing to be put back.

#![forbid(unsafe_code)]

use super::Key;
use crate::event::Event;
use crate::event::Form;
use crate::event::Reply;
use crate::sys::ignore::Targets;
use crate::verdict::Verdict;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::sync::Arc;

/// What a question refers to. It is dropped when the queue is not locked.
pub(crate) struct Referred {
    pub(crate) event: Arc<Event>,
    /// Where the event is to be ignored if the answer says so.
    pub(crate) targets: Targets,
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
            referred: Some(Referred { event, targets }),
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
pub(crate) fn node(room: Room, cookie: u64, question: Question) -> Node {
    room.into_node(by_cookie(cookie), question)
}

/// Its key, as long as it has no answer.
fn by_cookie(cookie: u64) -> Key {
    (0, cookie)
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

/// All questions of a queue that was closed.
pub(crate) struct Closed {
    unread: Tree,
    read: Tree,
    _in_flight: Tree,
}

impl Closed {
    /// Gives all that have no answer the same.
    pub(crate) fn answer_all(&self, verdict: Verdict) {
        let waiting = Iterator::chain(self.unread.values(), self.read.values());

        for referred in waiting.filter_map(|question| question.referred.as_ref()) {
            referred.event.answer(Reply::of(verdict));
        }
    }
}

/// The questions of a group.
pub(crate) struct Questions {
    unread: Tree,
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
    pub(crate) fn new() -> Self {
        Self {
            unread: RBTree::new(),
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
        let first = self.read.keys().next().map(|(_, cookie)| *cookie);
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
    }

    /// The first that is to be read.
    pub(crate) fn first(&self) -> Option<&Arc<Event>> {
        let first = self.unread.values().next()?;

        first.referred.as_ref().map(|referred| &referred.event)
    }

    /// Takes the first from the lane.
    pub(crate) fn read(&mut self) -> Option<Arc<Event>> {
        let event = self.first()?.clone();
        let key = by_cookie(event.cookie());

        shift(&mut self.unread, key, &mut self.read, key);
        self.taken(&event);
        Some(event)
    }

    /// Puts one back into the lane. Returns false if no one waits for an answer any more.
    pub(crate) fn put_back(&mut self, event: &Event) -> bool {
        let key = by_cookie(event.cookie());

        if !shift(&mut self.read, key, &mut self.unread, key) {
            return false;
        }
        self.added(event);
        true
    }

    /// Where an event is to be ignored. Fails with `ENOENT` if it cannot be answered.
    pub(crate) fn targets(&self, cookie: u64) -> Result<Targets> {
        let question = self.read.get(&by_cookie(cookie)).ok_or(ENOENT)?;

        Ok(question.referred.as_ref().ok_or(ENOENT)?.targets.clone())
    }

    /// Answers a question that was read, which wakes up its task.
    ///
    /// Returns the event, and what is left of the question, if anything. Fails with `ENOENT` if
    /// there is no such question.
    pub(crate) fn answer(
        &mut self,
        cookie: u64,
        mut reply: Reply,
    ) -> Result<(Arc<Event>, Option<Removed>)> {
        let key = by_cookie(cookie);
        let question = self.read.get(&key).ok_or(ENOENT)?;
        let event = &question.referred.as_ref().ok_or(ENOENT)?.event;
        let event = event.clone();

        self.pending -= 1;
        self.answers += 1;
        match question.super_block {
            Some(super_block) if reply.verdict == Verdict::Allow => {
                let new_key = (super_block, self.answers);

                reply.in_flight = Some(new_key);
                shift(&mut self.read, key, &mut self.in_flight, new_key);
                event.answer(reply);
                Ok((event, None))
            }
            _ => {
                let removed = remove(&mut self.read, key);

                event.answer(reply);
                Ok((event, removed))
            }
        }
    }

    /// The task of a question is killed and does not wait any more.
    ///
    /// Returns what is left of the question, and if it was read; or `None` if there is an answer.
    pub(crate) fn cancel(&mut self, event: &Event) -> Option<(Removed, bool)> {
        let key = by_cookie(event.cookie());
        let (removed, was_read) = match remove(&mut self.read, key) {
            Some(removed) => (removed, true),
            None => (remove(&mut self.unread, key)?, false),
        };

        self.pending -= 1;
        if !was_read {
            self.taken(event);
        }
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
            unread: core::mem::take(&mut self.unread),
            read: core::mem::take(&mut self.read),
            _in_flight: core::mem::take(&mut self.in_flight),
        }
    }
}

#[kunit_tests(vfs_filter_questions)]
mod tests {
    use super::*;

    const SB: usize = 0x1000;

    fn ask(questions: &mut Questions, cookie: u64) -> Result<Arc<Event>> {
        let event = Event::for_test(cookie)?;
        let question = Question::new(event.clone(), Targets::none(), Some(SB));

        questions.ask(node(Room::new(GFP_KERNEL)?, cookie, question), &event);
        Ok(event)
    }

    fn cookie(event: Option<&Arc<Event>>) -> Option<u64> {
        event.map(|event| event.cookie())
    }

    fn allow(questions: &mut Questions, cookie: u64) -> Result {
        questions
            .answer(cookie, Reply::of(Verdict::Allow))
            .map(drop)
    }

    #[test]
    fn what_has_no_answer_is_overdue_once() -> Result {
        let mut questions = Questions::new();

        for n in 1..=2 {
            ask(&mut questions, n)?;
        }
        // What was not read is not the listener's.
        assert!(!questions.is_overdue());
        assert!(!questions.is_overdue());
        questions.read();
        questions.read();
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
        let mut questions = Questions::new();
        let len = ask(&mut questions, 1)?.len(Form::Pre);

        ask(&mut questions, 3)?;
        ask(&mut questions, 2)?;
        assert_eq!((questions.len(), questions.bytes()), (3, 3 * len));
        for n in 1..=3 {
            assert_eq!(cookie(questions.read().as_ref()), Some(n));
        }
        assert_eq!((questions.len(), questions.bytes()), (0, 0));
        assert_eq!(questions.pending(), 3);
        assert!(questions.read().is_none());
        Ok(())
    }

    #[test]
    fn what_was_put_back_is_in_its_place() -> Result {
        let mut questions = Questions::new();

        for n in 1..=4 {
            ask(&mut questions, n)?;
        }
        let (first, second) = (
            questions.read().ok_or(EINVAL)?,
            questions.read().ok_or(EINVAL)?,
        );

        assert_eq!(cookie(questions.read().as_ref()), Some(3));
        assert!(questions.put_back(&first));
        assert!(questions.put_back(&second));
        assert!(!questions.put_back(&second));
        for n in [1, 2, 4] {
            assert_eq!(cookie(questions.read().as_ref()), Some(n));
        }
        Ok(())
    }

    #[test]
    fn one_is_taken_from_the_middle() -> Result {
        let mut questions = Questions::new();

        ask(&mut questions, 1)?;
        let killed = ask(&mut questions, 2)?;
        ask(&mut questions, 3)?;
        assert!(questions
            .cancel(&killed)
            .is_some_and(|(_, was_read)| !was_read));
        assert!(questions.cancel(&killed).is_none());
        assert_eq!((questions.len(), questions.pending()), (2, 2));
        assert_eq!(cookie(questions.read().as_ref()), Some(1));
        assert_eq!(cookie(questions.read().as_ref()), Some(3));
        assert_eq!(questions.bytes(), 0);
        Ok(())
    }

    #[test]
    fn only_what_was_read_is_answered() -> Result {
        let mut questions = Questions::new();
        let event = ask(&mut questions, 1)?;

        assert!(allow(&mut questions, 1) == Err(ENOENT));
        assert!(questions.targets(1).is_err());
        questions.read();
        assert!(questions.targets(1).is_ok());
        allow(&mut questions, 1)?;
        assert!(event.verdict() == Some(Verdict::Allow));
        assert!(allow(&mut questions, 1) == Err(ENOENT));
        assert!(questions.cancel(&event).is_none());
        assert_eq!(questions.pending(), 0);
        Ok(())
    }

    #[test]
    fn who_was_killed_is_not_answered() -> Result {
        let mut questions = Questions::new();
        let event = ask(&mut questions, 1)?;

        questions.read();
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
        let mut questions = Questions::new();
        let (one, two) = (ask(&mut questions, 1)?, ask(&mut questions, 2)?);

        questions.read();
        questions.read();
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
        let mut questions = Questions::new();
        let event = ask(&mut questions, 1)?;

        questions.read();
        let (_, removed) = questions.answer(1, Reply::of(Verdict::Deny(EPERM)))?;

        assert!(removed.is_some());
        assert!(questions.land(&event).is_none());
        Ok(())
    }

    #[test]
    fn those_that_wait_are_answered_by_the_end() -> Result {
        let mut questions = Questions::new();
        let events = [ask(&mut questions, 1)?, ask(&mut questions, 2)?];

        questions.read();
        questions.close().answer_all(Verdict::Allow);
        assert!(events.iter().all(|e| e.verdict() == Some(Verdict::Allow)));
        assert_eq!((questions.len(), questions.pending()), (0, 0));
        Ok(())
    }
}
