// SPDX-License-Identifier: GPL-2.0

//! The other lane: all events that are not PRE, in the order in which they occurred.
//!
//! There is a limit to those that are not reserved. Past it one event tells that others are lost;
//! it is there from the beginning, as there may be no memory for it by then, and is used again.

#![forbid(unsafe_code)]

use crate::event::Event;
use crate::event::Form;
use crate::event::Post;
use crate::sys::trace;
use kernel::list::List;
use kernel::prelude::*;

/// More reserved events than this are too many, and are read before others are made.
const BACKLOG: usize = 128;

/// The events of a group that are not PRE.
pub(crate) struct Posts {
    /// Number of the group.
    group: u64,
    lane: List<Event>,
    len: usize,
    bytes: usize,
    /// How many were ever queued.
    pushed: u64,
    /// Those in the lane that were reserved with a question.
    reserved: usize,
    /// Those in the lane that count against `limit`.
    limited: usize,
    limit: usize,
    /// The event that tells of lost ones, unless it is in the lane or being read.
    overflow: Option<Post>,
    /// Events were lost while that one was being read.
    lost_meanwhile: bool,
    /// How often events were lost because there were too many.
    overflows: usize,
}

impl Posts {
    /// No events of a group of this number, and at most `limit` that are not reserved.
    pub(crate) fn new(group: u64, limit: usize, overflow: Post) -> Self {
        Self {
            group,
            lane: List::new(),
            len: 0,
            bytes: 0,
            pushed: 0,
            reserved: 0,
            limited: 0,
            limit,
            overflow: Some(overflow),
            lost_meanwhile: false,
            overflows: 0,
        }
    }

    /// How many there are to be read.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Bytes of those that are to be read.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Are there more than the reader should leave there for others to be made?
    pub(crate) fn is_behind(&self) -> bool {
        self.reserved > BACKLOG
    }

    /// How often events were lost.
    pub(crate) fn overflows(&self) -> usize {
        self.overflows
    }

    fn added(&mut self, post: &Event) {
        self.len += 1;
        self.bytes += post.len(Form::Post);
        self.reserved += usize::from(post.is_reserved());
        self.limited += usize::from(post.is_limited());
    }

    /// Queues an event that is reserved, or that does not count.
    pub(crate) fn push(&mut self, post: Post) {
        self.pushed += 1;
        post.set_place(self.pushed);
        self.added(&post);
        if post.is_operation() {
            trace::post(
                self.group,
                post.cookie(),
                post.mask(Form::Post),
                post.result(),
            );
        }
        self.lane.push_back(post);
    }

    /// Queues an event that is not reserved. Returns it if there are too many: it is lost.
    pub(crate) fn push_limited(&mut self, post: Post) -> core::result::Result<(), Post> {
        if self.limited >= self.limit {
            self.lose();
            return Err(post);
        }
        self.push(post);
        Ok(())
    }

    /// An event is lost: queues one that says so, unless there is one.
    pub(crate) fn lose(&mut self) {
        match self.overflow.take() {
            Some(overflow) => {
                self.overflows += 1;
                self.push(overflow);
            }
            None => self.lost_meanwhile = true,
        }
    }

    /// Bytes of the first that is to be read.
    pub(crate) fn first_len(&self) -> Option<usize> {
        Some(self.lane.iter().next()?.len(Form::Post))
    }

    /// Takes the first that is to be read.
    pub(crate) fn take(&mut self) -> Option<Post> {
        let post = self.lane.pop_front()?;

        self.len -= 1;
        self.bytes -= post.len(Form::Post);
        self.reserved -= usize::from(post.is_reserved());
        self.limited -= usize::from(post.is_limited());
        // What was lost before this is read, this tells of.
        if post.is_overflow() {
            self.lost_meanwhile = false;
        }
        Some(post)
    }

    /// Puts one back that was taken, in its place.
    pub(crate) fn put_back(&mut self, post: Post) {
        let place = post.place();

        self.added(&post);
        // What is before it was put back as well: no more events than there are readers.
        let mut cursor = self.lane.cursor_front();
        while cursor
            .peek_next()
            .is_some_and(|next| next.arc().place() < place)
        {
            cursor.move_next();
        }
        cursor.insert(post);
    }

    /// An overflow was read: keeps the event for the next time, which can be now.
    pub(crate) fn keep_overflow(&mut self, overflow: Post) {
        self.overflow = Some(overflow);
        if core::mem::take(&mut self.lost_meanwhile) {
            self.lose();
        }
    }

    /// Takes out all of them, to be dropped.
    pub(crate) fn close(&mut self) -> List<Event> {
        self.len = 0;
        self.bytes = 0;
        self.reserved = 0;
        self.limited = 0;
        core::mem::take(&mut self.lane)
    }
}

#[kunit_tests(vfs_filter_posts)]
mod tests {
    use super::*;

    fn posts(limit: usize) -> Result<Posts> {
        Ok(Posts::new(0, limit, Event::overflow()?))
    }

    /// The number of the next event; that of an overflow is 0.
    fn next(posts: &mut Posts) -> Option<u64> {
        posts.take().map(|post| post.cookie())
    }

    #[test]
    fn they_are_read_in_order() -> Result {
        let mut posts = posts(0)?;

        for n in 1..=3 {
            posts.push(Event::barrier(n)?);
        }
        assert_eq!(posts.len(), 3);
        assert_eq!(Some(posts.bytes() / 3), posts.first_len());
        for n in 1..=3 {
            assert_eq!(next(&mut posts), Some(n));
        }
        assert!(next(&mut posts).is_none());
        assert_eq!((posts.len(), posts.bytes()), (0, 0));
        Ok(())
    }

    #[test]
    fn what_was_put_back_is_in_its_place() -> Result {
        let mut posts = posts(0)?;

        for n in 1..=5 {
            posts.push(Event::barrier(n)?);
        }
        let taken: [_; 3] = core::array::from_fn(|_| posts.take());
        let [Some(one), Some(two), Some(three)] = taken else {
            return Err(EINVAL);
        };

        posts.put_back(two);
        posts.put_back(three);
        posts.put_back(one);
        posts.push(Event::barrier(6)?);
        for n in 1..=6 {
            assert_eq!(next(&mut posts), Some(n));
        }
        assert_eq!((posts.len(), posts.bytes()), (0, 0));
        Ok(())
    }

    #[test]
    fn the_last_is_put_back_as_well() -> Result {
        let mut posts = posts(0)?;

        posts.push(Event::barrier(1)?);
        posts.push(Event::barrier(2)?);
        let (Some(one), Some(two)) = (posts.take(), posts.take()) else {
            return Err(EINVAL);
        };

        posts.put_back(one);
        posts.put_back(two);
        assert_eq!((next(&mut posts), next(&mut posts)), (Some(1), Some(2)));
        Ok(())
    }

    #[test]
    fn what_does_not_count_is_never_too_much() -> Result {
        let mut posts = posts(0)?;

        assert!(posts.push_limited(Event::barrier(1)?).is_err());
        posts.push(Event::barrier(2)?);
        assert_eq!((next(&mut posts), next(&mut posts)), (Some(0), Some(2)));
        assert_eq!(posts.overflows(), 1);
        Ok(())
    }

    #[test]
    fn an_overflow_is_told_once_until_it_is_read() -> Result {
        let mut posts = posts(0)?;

        posts.lose();
        posts.lose();
        assert_eq!(posts.len(), 1);
        let Some(overflow) = posts.take() else {
            return Err(EINVAL);
        };

        assert!(overflow.is_overflow());
        posts.keep_overflow(overflow);
        assert_eq!(posts.len(), 0);
        Ok(())
    }

    #[test]
    fn nothing_is_left_when_it_is_closed() -> Result {
        let mut posts = posts(1)?;

        posts.push(Event::for_test_post()?);
        assert_eq!((posts.reserved, posts.limited), (1, 0));
        assert_eq!(posts.close().iter().count(), 1);
        assert_eq!((posts.len(), posts.bytes()), (0, 0));
        assert_eq!((posts.reserved, posts.limited), (0, 0));
        Ok(())
    }

    #[test]
    fn what_is_lost_while_that_is_read_is_told() -> Result {
        let mut posts = posts(0)?;

        posts.lose();
        let Some(overflow) = posts.take() else {
            return Err(EINVAL);
        };

        posts.lose();
        assert_eq!(posts.len(), 0);
        posts.keep_overflow(overflow);
        assert_eq!((posts.len(), posts.overflows()), (1, 2));
        Ok(())
    }
}
