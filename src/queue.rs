// SPDX-License-Identifier: GPL-2.0

//! The events of a group: two lanes to be read, and the questions that wait for an answer.
//!
//! Everything here is done under the group's queue lock, a spinlock. So nothing is allocated or
//! freed: what is taken out is given to the caller, to be dropped after unlocking.
//!
//! A question is in the tree from when it is asked until it is answered or its task was killed,
//! whichever comes first; the one who takes it out decides. In the PRE lane it is until it is read.
//! A question that nobody waits for any more stays there, so that the POST with `EINTR` that
//! follows is not the end of something that the listener has never heard of.

#![forbid(unsafe_code)]

use crate::event;
use crate::event::Event;
use crate::event::Post;
use crate::event::Pre;
use crate::verdict::Verdict;
use kernel::list::List;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::sync::Arc;

/// A question that waits for an answer.
pub(crate) struct Question {
    event: Arc<Event>,
    /// Was it read? It cannot be answered before.
    read: bool,
}

impl Question {
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, read: false }
    }
}

/// A question by the number of its operation.
pub(crate) type QuestionNode = RBTreeNode<u64, Question>;

/// An event that was taken from its lane, to be copied to user space.
pub(crate) enum Taken {
    Pre(Pre),
    Post(Post),
}

/// What is left of a queue that was closed.
pub(crate) struct Remains {
    _pre: List<Event, { event::PRE }>,
    _post: List<Event, { event::POST }>,
    /// Questions that have no answer.
    pub(crate) questions: RBTree<u64, Question>,
}

impl Remains {
    /// Gives all questions the same answer.
    pub(crate) fn answer_all(&self, verdict: Verdict) {
        for question in self.questions.values() {
            question.event.answer(verdict);
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
    questions: RBTree<u64, Question>,
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
    /// An empty queue, for at most `limit` events that are not reserved.
    pub(crate) fn new(limit: usize, overflow: Post) -> Self {
        Self {
            pre: List::new(),
            post: List::new(),
            questions: RBTree::new(),
            counts: Counts::default(),
            limited: 0,
            limit,
            overflow: Some(overflow),
            lost_meanwhile: false,
            closed: false,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pre.is_empty() && self.post.is_empty()
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

    fn remove_question(&mut self, cookie: u64) -> Option<QuestionNode> {
        let node = self.questions.remove_node(&cookie)?;

        self.counts.pending -= 1;
        Some(node)
    }

    /// Answers a question that was read, which wakes up its task.
    ///
    /// Gives what is left of the question. Fails with `ENOENT` if there is no such question.
    pub(crate) fn answer(&mut self, cookie: u64, verdict: Verdict) -> Result<QuestionNode> {
        let question = self.questions.get(&cookie).filter(|q| q.read);
        let event = &question.ok_or(ENOENT)?.event;

        if verdict == Verdict::Allow && event.wants_post() {
            self.counts.inflight += 1;
        }
        event.answer(verdict);
        self.remove_question(cookie).ok_or(ENOENT)
    }

    /// The task of a question is killed and does not wait any more.
    ///
    /// Gives what is left of the question, or `None` if there is an answer already.
    pub(crate) fn cancel(&mut self, cookie: u64) -> Option<QuestionNode> {
        self.remove_question(cookie)
    }

    /// Queues a POST that was reserved. Gives it back if the queue is closed.
    pub(crate) fn post(&mut self, post: Post) -> core::result::Result<(), Post> {
        if post.verdict().is_some() {
            self.counts.inflight = self.counts.inflight.saturating_sub(1);
        }
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

    /// Takes the first event to be read, PRE before all others.
    ///
    /// `fits` says if there is room for it; fails with `EINVAL` and takes nothing if not.
    pub(crate) fn take(
        &mut self,
        fits: impl FnOnce(&Event, bool) -> bool,
    ) -> Result<Option<Taken>> {
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
                // What was lost before this is read, this tells of.
                if post.is_overflow() {
                    self.lost_meanwhile = false;
                }
            }
            None => return Ok(None),
        }
        self.counts.queued -= 1;
        Ok(taken)
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

    fn set_read(&mut self, cookie: u64, read: bool) {
        if let Some(question) = self.questions.get_mut(&cookie) {
            question.read = read;
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
        }
    }
}
