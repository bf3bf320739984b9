// SPDX-License-Identifier: GPL-2.0

//! The events of a group: two lanes to be read, and the questions that wait for an answer.
//!
//! Everything here is done under the group's queue lock, a spinlock. So nothing is allocated or
//! freed: what is taken out is returned to the caller, to be dropped after unlocking. And nothing
//! is walked whose length is in the hands of those who are watched: a question is found in a tree,
//! bytes are counted as events come and go. (Of users that wait each is looked at for fdinfo; none of
//! them can be more than one.)
//!
//! | part | what it knows |
//! |---|---|
//! | [`questions`] | the PRE lane, questions without an answer, operations in flight |
//! | [`posts`] | the lane of all others, its limit, and overflows |
//! | [`turn`] | which lane is next |
//! | [`barriers`] | barriers that are not answered |
//! | [`spares`] | memory to be used again |

#![forbid(unsafe_code)]

mod barriers;
mod posts;
mod questions;
mod spares;
mod turn;

use crate::event::Event;
use crate::event::Form;
use crate::event::Post;
use crate::event::Reply;
use crate::event::Taking;
use crate::listeners::Reader;
use crate::sys::ignore::Targets;
use crate::sys::pid::Number;
use crate::verdict::Verdict;
use barriers::Barriers;
use kernel::list::List;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::sync::Arc;
use posts::Posts;
use questions::Questions;
use questions::Referred;
use questions::Removed;
use questions::Settled;
use spares::Spares;
use turn::Turn;

pub(crate) use questions::Question;
pub(crate) use questions::Room;

/// Memory of a barrier.
pub(crate) type BarrierRoom = barriers::Room<Post>;

/// By what nodes are found: a super block, or 0, and a number. As [`InFlight`], if it is of one.
///
/// [`InFlight`]: crate::event::InFlight
pub(crate) type Key = (usize, u64);

/// What is left of a question that was taken out, to be dropped.
#[must_use = "to be dropped when the queue is not locked"]
pub(crate) struct Remnant {
    _referred: Option<Referred>,
    _room: Option<Room>,
}

/// A question that has its answer, and whose task is to be told when the queue is not locked.
#[must_use = "the task waits until it is told"]
pub(crate) struct Answered {
    event: Arc<Event>,
    targets: Option<Targets>,
    remnant: Option<Remnant>,
}

impl Answered {
    /// Wakes up the task.
    ///
    /// It refers to all inodes that the question does. These are put before that: so whoever answers
    /// never puts the last reference to one.
    pub(crate) fn wake(self) {
        drop(self.targets);
        drop(self.remnant);
        self.event.wake();
    }
}

/// An event that was taken from its lane, to be copied to user space.
pub(crate) enum Taken {
    /// It can be taken again meanwhile.
    Pre(Arc<Event>, Taking),
    Post(Post),
}

/// What is left of a queue that was closed.
pub(crate) struct Remains {
    questions: questions::Closed,
    _posts: List<Event>,
    _barriers: RBTree<Key, barriers::Barrier<Post>>,
}

impl Remains {
    /// Gives all questions that have no answer the same, and wakes up their tasks. Returns how many.
    pub(crate) fn answer_all(mut self, verdict: Verdict) -> usize {
        self.questions.answer_all(verdict)
    }
}

/// What there is in a queue.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    /// Questions without an answer, read or not.
    pub(crate) pending: usize,
    /// Events to be read, in both lanes.
    pub(crate) queued: usize,
    /// Operations that were allowed, and whose POST is not queued yet.
    pub(crate) inflight: usize,
    /// How often events were lost because there were too many.
    pub(crate) overflows: usize,
}

/// The queue of a group, whose operations have an `A` each.
pub(crate) struct Queue<A> {
    questions: Questions,
    posts: Posts,
    turn: Turn,
    barriers: Barriers<Post>,
    spares: Spares<A>,
    inflight: usize,
    /// The group's file was closed.
    closed: bool,
}

impl<A> Queue<A> {
    /// An empty queue of a group of this number, for at most `limit` events that are not reserved.
    /// Fails with `ENOMEM`.
    pub(crate) fn new(group: u64, limit: usize, overflow: Post) -> Result<Self> {
        Ok(Self {
            questions: Questions::new(group),
            posts: Posts::new(group, limit, overflow),
            turn: Turn::new(),
            barriers: Barriers::new(group),
            spares: Spares::new()?,
            inflight: 0,
            closed: false,
        })
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            pending: self.questions.pending(),
            queued: self.len(),
            inflight: self.inflight,
            overflows: self.posts.overflows(),
        }
    }

    fn len(&self) -> usize {
        self.questions.len() + self.posts.len()
    }

    /// The first question that has no answer, read or not.
    pub(crate) fn oldest(&self) -> Option<Arc<Event>> {
        self.questions.oldest().cloned()
    }

    /// Is there a question without an answer, as in [`Questions::is_overdue`]?
    pub(crate) fn is_overdue(&mut self) -> bool {
        self.questions.is_overdue()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all events that are to be read.
    pub(crate) fn bytes(&self) -> usize {
        self.questions.bytes().saturating_add(self.posts.bytes())
    }

    /// Memory for a question, if there is some; and for the operation, if that is wanted.
    pub(crate) fn spares(&mut self, wants_asked: bool) -> (Option<Room>, Option<KBox<A>>) {
        self.spares.take(wants_asked)
    }

    /// Keeps what an operation had, with nothing left in it. Returns it if there is enough.
    pub(crate) fn keep(&mut self, asked: KBox<A>) -> Option<KBox<A>> {
        self.spares.keep_asked(asked)
    }

    /// Keeps the memory of a question, if there is not enough.
    fn remnant(&mut self, (referred, room): Removed) -> Remnant {
        Remnant {
            _referred: referred,
            _room: self.spares.keep_room(room),
        }
    }

    /// Asks. Returns whether no one else waits for an answer; or both if the queue is closed.
    pub(crate) fn ask(
        &mut self,
        question: Question,
        room: Room,
        event: &Event,
    ) -> core::result::Result<bool, (Question, Room)> {
        if self.closed {
            return Err((question, room));
        }
        let was_idle = self.is_idle();

        self.questions
            .ask(questions::node(room, event, question), event);
        Ok(was_idle)
    }

    /// Where an event is to be ignored. Fails with `ENOENT` if it cannot be answered.
    pub(crate) fn targets(&self, reader: Reader, cookie: u64) -> Result<Targets> {
        self.questions.targets(reader, cookie)
    }

    /// Answers a question that this reader has read. Its task is to be told. Fails with `ENOENT` if
    /// there is no such question.
    pub(crate) fn answer(&mut self, reader: Reader, cookie: u64, reply: Reply) -> Result<Answered> {
        let settled = self.questions.answer(reader, cookie, reply)?;

        Ok(self.answered(settled))
    }

    /// The time for an answer is over: this is the answer. One that was not read never is.
    ///
    /// Returns `None` if someone has decided.
    pub(crate) fn expire(&mut self, event: &Event, verdict: Verdict) -> Option<Answered> {
        let reply = Reply::expired(verdict, event.reader().is_none());
        let settled = self.questions.expire(event, reply)?;

        Some(self.answered(settled))
    }

    fn answered(&mut self, settled: Settled) -> Answered {
        let Settled {
            event,
            targets,
            removed,
        } = settled;

        self.inflight += usize::from(event.is_owed_post());
        Answered {
            event,
            targets,
            remnant: removed.map(|removed| self.remnant(removed)),
        }
    }

    /// The task of a question is killed and does not wait any more.
    ///
    /// Returns what is left of the question, and if it was read; or `None` if there is an answer.
    pub(crate) fn cancel(&mut self, event: &Event) -> Option<(Remnant, bool)> {
        let (removed, was_read) = self.questions.cancel(event)?;

        Some((self.remnant(removed), was_read))
    }

    /// An operation ended that the group was asked about, and its POST is queued, if there is one.
    ///
    /// Returns what is left of the question.
    pub(crate) fn land(&mut self, event: &Event) -> Option<Remnant> {
        if event.is_owed_post() {
            self.inflight = self.inflight.saturating_sub(1);
        }

        let removed = self.questions.land(event)?;

        Some(self.remnant(removed))
    }

    /// Number that the next barrier is to have. Fails with `EBUSY` if there are too many.
    pub(crate) fn next_barrier(&self) -> Result<u64> {
        self.barriers.next_number()
    }

    /// Are there barriers that are not answered?
    pub(crate) fn has_barriers(&self) -> bool {
        self.barriers.are_waiting()
    }

    /// Begins a barrier on a super block, the number of which is the next; `event` answers it.
    pub(crate) fn begin_barrier(&mut self, super_block: usize, event: Post, room: BarrierRoom) {
        let key = (super_block, event.cookie());

        self.barriers
            .begin(key, self.questions.answers(), event, room);
    }

    /// The operations that the group was not asked about have ended, as far as a barrier goes.
    /// Returns its super block.
    pub(crate) fn end_barrier(&mut self, number: u64) -> Option<usize> {
        self.barriers.end(number)
    }

    /// Queues the event of the first barrier on a super block, if it can be answered. Returns what
    /// is left of it.
    pub(crate) fn answer_barrier(&mut self, super_block: usize) -> Option<barriers::Node<Post>> {
        let oldest = self.questions.oldest_on(super_block);
        let (event, node) = self.barriers.take(super_block, oldest)?;

        self.posts.push(event);
        Some(node)
    }

    /// Queues an event that is reserved, or does not count; or one whose question was not read.
    /// Returns it if the queue is closed, or full for that one.
    pub(crate) fn post(&mut self, post: Post) -> core::result::Result<(), Post> {
        if self.closed {
            return Err(post);
        }
        if post.is_limited() {
            return self.posts.push_limited(post);
        }
        self.posts.push(post);
        Ok(())
    }

    /// Queues an event that is not reserved. Returns it if the queue is closed or full.
    pub(crate) fn post_limited(&mut self, post: Post) -> core::result::Result<(), Post> {
        if self.closed {
            return Err(post);
        }
        self.posts.push_limited(post)
    }

    /// An event is lost: queues one that says so, unless there is one.
    pub(crate) fn lose(&mut self) {
        if !self.closed {
            self.posts.lose();
        }
    }

    /// Takes the event that is to be read next, and tells if that was the last one.
    ///
    /// Fails with `EINVAL` and takes nothing if it has more than `room` bytes.
    pub(crate) fn take(
        &mut self,
        reader: Reader,
        process: Number,
        room: usize,
    ) -> Result<Option<(Taken, bool)>> {
        let first = self.questions.first().map(|event| event.len(Form::Pre));
        let has_post = self.posts.len() != 0;
        let behind = self.posts.is_behind();
        let Some(form) = self.turn.next(first.is_some(), has_post, behind) else {
            return Ok(None);
        };
        let len = match form {
            Form::Pre => first,
            Form::Post => self.posts.first_len(),
        };

        if len.is_some_and(|len| len > room) {
            return Err(EINVAL);
        }
        self.turn.taken(form, first.is_some() && has_post);

        let taken = match form {
            Form::Pre => self
                .questions
                .read(reader, process)
                .map(|(pre, taking)| Taken::Pre(pre, taking)),
            Form::Post => self.posts.take().map(Taken::Post),
        };

        Ok(taken.map(|taken| (taken, self.is_empty())))
    }

    /// Puts back what could not be copied to user space, in its place.
    ///
    /// Returns it if there is no one who waits for its answer any more, or the group was closed: there
    /// is nothing to be read then.
    pub(crate) fn put_back(&mut self, taken: Taken) -> Option<Taken> {
        match taken {
            Taken::Pre(pre, taking) => {
                if !self.questions.put_back_first(&pre, taking) {
                    // It can be in the lane again, or have been taken again. If not, whoever has
                    // answered it has seen it.
                    if pre.is_taken(taking) && !pre.was_answered() {
                        pre.set_unheard();
                    }
                    return Some(Taken::Pre(pre, taking));
                }
                self.turn.put_back(Form::Pre);
            }
            Taken::Post(post) if self.closed => return Some(Taken::Post(post)),
            Taken::Post(post) => {
                self.posts.put_back(post);
                self.turn.put_back(Form::Post);
            }
        }
        None
    }

    /// A reader goes, see [`Questions::put_back_some`].
    pub(crate) fn put_back_some(
        &mut self,
        reader: Reader,
        from: u64,
        keep: Option<Number>,
    ) -> Option<u64> {
        self.questions.put_back_some(reader, from, keep)
    }

    /// Does no one wait for an answer?
    pub(crate) fn is_idle(&self) -> bool {
        self.questions.pending() == 0
    }

    /// An event was read that is not about an operation. Returns it if it is not used again.
    pub(crate) fn set_read(&mut self, post: Post) -> Option<Post> {
        if self.closed {
            return Some(post);
        }
        if post.is_overflow() {
            self.posts.keep_overflow(post);
            return None;
        }
        if post.is_barrier() {
            self.barriers.set_read();
        }
        Some(post)
    }

    /// Was the group's own file closed?
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Nothing is queued from here on. Returns what is there.
    pub(crate) fn close(&mut self) -> Remains {
        self.closed = true;
        self.inflight = 0;
        Remains {
            questions: self.questions.close(),
            _posts: self.posts.close(),
            _barriers: self.barriers.close(),
        }
    }
}
