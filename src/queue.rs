// SPDX-License-Identifier: GPL-2.0

//! The events of a group: two lanes to be read, and the questions that wait for an answer.
//!
//! Everything here is done under the group's queue lock, a spinlock. So nothing is allocated or
//! freed: what is taken out is given to the caller, to be dropped after unlocking. What can be used
//! again, for the next question, is kept ([`Spares`]).
//!
//! A question is in the tree from when it is asked until it is answered or its task was killed,
//! whichever comes first and so decides ([`State`]). In the PRE lane it is until it is read. A
//! question that nobody waits for any more stays there, so that the POST with `EINTR` that follows
//! is not the end of something that the listener has never heard of.
//!
//! If the answer is to allow the operation, the question stays in the tree as one in flight, until
//! that ends. A barrier counts those that are there when it begins. It is answered when the last of
//! them has ended, and the C side has said the same of operations that the group was not asked
//! about.

#![forbid(unsafe_code)]

use crate::event;
use crate::event::Event;
use crate::event::Post;
use crate::event::Pre;
use crate::op::Asked;
use crate::sys::class::ClassEvent;
use crate::sys::ignore::Ignored;
use crate::sys::ignore::Targets;
use crate::sys::op::Op;
use crate::verdict::Verdict;
use kernel::alloc::kvec::PushError;
use kernel::list::List;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::rbtree::RBTreeNodeReservation;
use kernel::sync::Arc;

/// What a question refers to. It is dropped when the queue is not locked.
pub(crate) struct Referred {
    event: Arc<Event>,
    /// Where the event is to be ignored if the answer says so.
    targets: Targets,
}

/// How far a question has come.
enum State {
    Asked,
    /// It can be answered.
    Read,
    /// It was answered, and the operation has not ended. Barriers up to this one do not wait for it.
    InFlight {
        barriers: u64,
    },
}

/// A question that waits for an answer; and then the operation, if that was to allow it.
pub(crate) struct Question {
    /// `None` when it is taken out of the queue.
    referred: Option<Referred>,
    state: State,
    /// Super block that the operation is on, or `None` if no barrier waits for it.
    super_block: Option<usize>,
}

impl Question {
    pub(crate) fn new<T>(event: Arc<Event>, op: &Op<T>, sent: &ClassEvent) -> Self {
        Self {
            referred: Some(Referred {
                event,
                targets: Targets::of(op, sent),
            }),
            state: State::Asked,
            super_block: op.counts().then_some(op.super_block()),
        }
    }

    fn is_in_flight(&self) -> bool {
        matches!(self.state, State::InFlight { .. })
    }
}

/// A question by the number of its operation.
pub(crate) type QuestionNode = RBTreeNode<u64, Question>;

/// Memory of a question.
pub(crate) type Room = RBTreeNodeReservation<u64, Question>;

/// Memory of questions that are no more, and of operations that asked them. Each group keeps a
/// few, for to allocate and free them anew each time would be a good part of what it costs to ask.
struct Spares {
    rooms: KVec<Room>,
    asked: KVec<KBox<Asked>>,
}

/// Most spares of a kind that a group has.
const MAX_SPARES: usize = 16;

impl Spares {
    fn new() -> Result<Self> {
        Ok(Self {
            rooms: KVec::with_capacity(MAX_SPARES, GFP_KERNEL_ACCOUNT)?,
            asked: KVec::with_capacity(MAX_SPARES, GFP_KERNEL_ACCOUNT)?,
        })
    }
}

/// What is left of a question that was taken out, to be dropped.
#[must_use = "to be dropped when the queue is not locked"]
pub(crate) struct Remnant {
    _referred: Option<Referred>,
    _room: Option<Room>,
}

impl Remnant {
    /// Takes the question of a number out of a tree. Its memory is kept, unless there is enough.
    fn take(tree: &mut RBTree<u64, Question>, cookie: u64, spares: &mut Spares) -> Option<Self> {
        let mut entry = tree.find_mut(&cookie)?;
        let referred = entry.get_mut().referred.take();

        // What is dropped here has nothing in it.
        let room = entry.remove_node().into_reservation();
        let rejected = spares.rooms.push_within_capacity(room).err();

        Some(Self {
            _referred: referred,
            _room: rejected.map(|PushError(room)| room),
        })
    }
}

/// How many barriers of a group there can be that were not read, answered or not.
pub(crate) const MAX_BARRIERS: usize = 128;

/// A barrier that is not answered.
pub(crate) struct Barrier {
    super_block: usize,
    /// Operations that the group has allowed before it began, and that have not ended.
    operations: usize,
    /// Have the others ended as well?
    others_ended: bool,
    /// What answers it.
    event: Option<Post>,
}

impl Barrier {
    pub(crate) fn new(super_block: usize, event: Post) -> Self {
        Self {
            super_block,
            operations: 0,
            others_ended: false,
            event: Some(event),
        }
    }
}

/// A barrier by its number.
pub(crate) type BarrierNode = RBTreeNode<u64, Barrier>;

/// An event that was taken from its lane, to be copied to user space.
pub(crate) enum Taken {
    Pre(Pre),
    Post(Post),
}

/// What is left of a queue that was closed.
pub(crate) struct Remains {
    _pre: List<Event, { event::PRE }>,
    _post: List<Event, { event::POST }>,
    questions: RBTree<u64, Question>,
    _barriers: RBTree<u64, Barrier>,
}

impl Remains {
    /// Gives all questions that have no answer the same.
    pub(crate) fn answer_all(&self, verdict: Verdict) {
        let questions = self.questions.values().filter(|q| !q.is_in_flight());

        for referred in questions.filter_map(|q| q.referred.as_ref()) {
            referred.event.answer(verdict, None);
        }
    }
}

/// What there is in a queue.
#[derive(Clone, Copy, Default)]
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

/// The queue of a group.
pub(crate) struct Queue {
    pre: List<Event, { event::PRE }>,
    post: List<Event, { event::POST }>,
    /// With the operations that the group has allowed and that have not ended, as far as they count.
    questions: RBTree<u64, Question>,
    spares: Spares,
    barriers: RBTree<u64, Barrier>,
    barriers_begun: u64,
    /// Those of them whose event was not read.
    barriers_unread: usize,
    counts: Counts,
    /// Events in the POST lane that count against `limit`.
    limited: usize,
    limit: usize,
    /// The event that tells of lost ones, unless it is in the POST lane or being read.
    overflow: Option<Post>,
    /// Events were lost while the overflow event was being read.
    lost_meanwhile: bool,
    /// The group's file was closed.
    closed: bool,
}

impl Queue {
    /// An empty queue, for at most `limit` events that are not reserved. Fails with `ENOMEM`.
    pub(crate) fn new(limit: usize, overflow: Post) -> Result<Self> {
        Ok(Self {
            pre: List::new(),
            post: List::new(),
            questions: RBTree::new(),
            spares: Spares::new()?,
            barriers: RBTree::new(),
            barriers_begun: 0,
            barriers_unread: 0,
            counts: Counts::default(),
            limited: 0,
            limit,
            overflow: Some(overflow),
            lost_meanwhile: false,
            closed: false,
        })
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pre.is_empty() && self.post.is_empty()
    }

    /// Memory for a question, if there is some; and for the operation, if that is wanted.
    pub(crate) fn spares(&mut self, wants_asked: bool) -> (Option<Room>, Option<KBox<Asked>>) {
        let asked = if wants_asked {
            self.spares.asked.pop()
        } else {
            None
        };

        (self.spares.rooms.pop(), asked)
    }

    /// Keeps what an operation had, with nothing left in it. Gives it back if there is enough.
    pub(crate) fn keep(&mut self, asked: KBox<Asked>) -> Option<KBox<Asked>> {
        let rejected = self.spares.asked.push_within_capacity(asked).err();

        rejected.map(|PushError(asked)| asked)
    }

    /// Asks. Gives both back if the queue is closed.
    pub(crate) fn ask(
        &mut self,
        question: QuestionNode,
        pre: Pre,
    ) -> core::result::Result<(), (QuestionNode, Pre)> {
        if self.closed {
            return Err((question, pre));
        }

        // An operation asks a group once, so there is no other question of this number.
        self.questions.insert(question);
        self.pre.push_back(pre);
        self.counts.pending += 1;
        self.counts.queued += 1;
        Ok(())
    }

    /// A question that was read. Fails with `ENOENT` if there is none of this number.
    fn question(&self, cookie: u64) -> Result<&Question> {
        let question = self.questions.get(&cookie);

        question
            .filter(|q| matches!(q.state, State::Read))
            .ok_or(ENOENT)
    }

    /// Where an event is to be ignored. Fails with `ENOENT` if it cannot be answered.
    pub(crate) fn targets(&self, cookie: u64) -> Result<Targets> {
        let referred = self.question(cookie)?.referred.as_ref();

        Ok(referred.ok_or(ENOENT)?.targets.clone())
    }

    /// Answers a question that was read, which wakes up its task.
    ///
    /// Gives what is left of the question, if anything. Fails with `ENOENT` if there is no such
    /// question.
    pub(crate) fn answer(
        &mut self,
        cookie: u64,
        verdict: Verdict,
        ignored: Option<Ignored>,
    ) -> Result<Option<Remnant>> {
        let question = self.questions.get_mut(&cookie).ok_or(ENOENT)?;
        let event = match (&question.referred, &question.state) {
            (Some(referred), State::Read) => &referred.event,
            _ => return Err(ENOENT),
        };
        let allowed = verdict == Verdict::Allow;

        event.answer(verdict, ignored);
        self.counts.pending -= 1;
        self.counts.inflight += usize::from(allowed && event.wants_post());

        if allowed && question.super_block.is_some() {
            question.state = State::InFlight {
                barriers: self.barriers_begun,
            };
            return Ok(None);
        }
        Ok(Remnant::take(&mut self.questions, cookie, &mut self.spares))
    }

    /// The task of a question is killed and does not wait any more.
    ///
    /// Gives what is left of the question, or `None` if there is an answer already.
    pub(crate) fn cancel(&mut self, cookie: u64) -> Option<Remnant> {
        if self.questions.get(&cookie)?.is_in_flight() {
            return None;
        }
        self.counts.pending -= 1;
        Remnant::take(&mut self.questions, cookie, &mut self.spares)
    }

    /// An operation ended that the group was asked about, and its POST is queued, if there is one.
    ///
    /// Gives what is left of the question.
    pub(crate) fn land(&mut self, event: &Event) -> Option<Remnant> {
        if event.verdict() == Some(Verdict::Allow) && event.wants_post() {
            self.counts.inflight = self.counts.inflight.saturating_sub(1);
        }

        // Most often there is none, and the search below is the only one.
        if self.has_barriers() {
            let question = self.questions.get(&event.cookie())?;
            let State::InFlight { barriers } = question.state else {
                return None;
            };

            for (number, barrier) in self.barriers.iter_mut() {
                if question.super_block == Some(barrier.super_block) && *number > barriers {
                    barrier.operations -= 1;
                }
            }
        }
        Remnant::take(&mut self.questions, event.cookie(), &mut self.spares)
    }

    /// How many barriers have begun so far.
    pub(crate) fn barriers_begun(&self) -> u64 {
        self.barriers_begun
    }

    /// Are there as many as there can be?
    pub(crate) fn has_all_barriers(&self) -> bool {
        self.barriers_unread >= MAX_BARRIERS
    }

    /// Are there barriers that are not answered?
    pub(crate) fn has_barriers(&self) -> bool {
        !self.barriers.is_empty()
    }

    /// Begins a barrier, the number of which is the next.
    pub(crate) fn begin_barrier(&mut self, node: BarrierNode) {
        self.barriers_begun += 1;
        self.barriers_unread += 1;
        self.barriers.insert(node);

        let number = self.barriers_begun;
        let Some(barrier) = self.barriers.get_mut(&number) else {
            return;
        };
        let super_block = Some(barrier.super_block);
        let in_flight = self.questions.values().filter(|q| q.is_in_flight());

        barrier.operations = in_flight.filter(|q| q.super_block == super_block).count();
    }

    /// The operations that the group was not asked about have ended, as far as a barrier goes.
    pub(crate) fn end_barrier(&mut self, number: u64) {
        if let Some(barrier) = self.barriers.get_mut(&number) {
            barrier.others_ended = true;
        }
    }

    /// Queues the event of a barrier that can be answered. Gives what is left of it.
    pub(crate) fn answer_barrier(&mut self) -> Option<BarrierNode> {
        let (number, barrier) = self
            .barriers
            .iter_mut()
            .find(|(_, b)| b.others_ended && b.operations == 0)?;
        let (number, event) = (*number, barrier.event.take());

        if let Some(event) = event {
            self.push_post(event);
        }
        self.barriers.remove_node(&number)
    }

    /// Queues a POST that was reserved. Gives it back if the queue is closed.
    pub(crate) fn post(&mut self, post: Post) -> core::result::Result<(), Post> {
        if self.closed {
            return Err(post);
        }
        self.push_post(post);
        Ok(())
    }

    /// Queues an event that is not reserved. Gives it back if the queue is closed or full.
    pub(crate) fn post_limited(&mut self, post: Post) -> core::result::Result<(), Post> {
        if self.closed {
            return Err(post);
        }
        if self.limited >= self.limit {
            self.lose();
            return Err(post);
        }
        self.push_post(post);
        Ok(())
    }

    /// An event is lost: queues one that says so, unless there is one.
    pub(crate) fn lose(&mut self) {
        if self.closed {
            return;
        }
        match self.overflow.take() {
            Some(overflow) => {
                self.counts.overflows += 1;
                self.push_post(overflow);
            }
            None => self.lost_meanwhile = true,
        }
    }

    fn push_post(&mut self, post: Post) {
        self.limited += usize::from(post.is_limited());
        self.counts.queued += 1;
        self.post.push_back(post);
    }

    /// Takes the first event to be read, PRE before all others, and tells if that was the last one.
    ///
    /// `fits` says if there is room for it; fails with `EINVAL` and takes nothing if not.
    pub(crate) fn take(
        &mut self,
        fits: impl FnOnce(&Event, bool) -> bool,
    ) -> Result<Option<(Taken, bool)>> {
        let first_pre = self.pre.iter().next();
        let (first, is_pre) = match first_pre {
            Some(event) => (event, true),
            None => match self.post.iter().next() {
                Some(event) => (event, false),
                None => return Ok(None),
            },
        };

        if !fits(&first, is_pre) {
            return Err(EINVAL);
        }

        let taken = if is_pre {
            self.pre.pop_front().map(Taken::Pre)
        } else {
            self.post.pop_front().map(Taken::Post)
        };
        match &taken {
            Some(Taken::Pre(pre)) => self.set_read(pre.cookie(), true),
            Some(Taken::Post(post)) => {
                self.limited -= usize::from(post.is_limited());
                self.barriers_unread -= usize::from(post.is_barrier());
                // What was lost before this is read, this tells of.
                if post.is_overflow() {
                    self.lost_meanwhile = false;
                }
            }
            None => return Ok(None),
        }
        self.counts.queued -= 1;
        Ok(taken.map(|taken| (taken, self.counts.queued == 0)))
    }

    /// Puts back what could not be copied to user space.
    pub(crate) fn put_back(&mut self, taken: Taken) {
        self.counts.queued += 1;
        match taken {
            Taken::Pre(pre) => {
                self.set_read(pre.cookie(), false);
                self.pre.push_front(pre);
            }
            Taken::Post(post) => {
                self.limited += usize::from(post.is_limited());
                self.barriers_unread += usize::from(post.is_barrier());
                self.post.push_front(post);
            }
        }
    }

    /// An overflow was read: keeps the event for the next time.
    pub(crate) fn keep_overflow(&mut self, overflow: Post) {
        self.overflow = Some(overflow);
        if core::mem::take(&mut self.lost_meanwhile) {
            self.lose();
        }
    }

    /// A question that waits for its answer was read, or was not after all.
    fn set_read(&mut self, cookie: u64, read: bool) {
        match self.questions.get_mut(&cookie) {
            Some(question) if !question.is_in_flight() => {
                question.state = if read { State::Read } else { State::Asked };
            }
            _ => {}
        }
    }

    /// Bytes of all events in the queue, where `len` gives those of one.
    pub(crate) fn bytes(&self, len: impl Fn(&Event, bool) -> usize) -> usize {
        let pre = self.pre.iter().map(|event| len(&event, true));
        let post = self.post.iter().map(|event| len(&event, false));

        Iterator::chain(pre, post).fold(0, usize::saturating_add)
    }

    /// Nothing is queued from here on. Gives what is there.
    pub(crate) fn close(&mut self) -> Remains {
        self.closed = true;
        self.counts.pending = 0;
        self.counts.queued = 0;
        Remains {
            _pre: core::mem::take(&mut self.pre),
            _post: core::mem::take(&mut self.post),
            questions: core::mem::take(&mut self.questions),
            _barriers: core::mem::take(&mut self.barriers),
        }
    }
}
