// SPDX-License-Identifier: GPL-2.0

//! Barriers of a group that are not answered.
//!
//! Answers to questions are numbered, and an operation in flight has the number of the answer that
//! allowed it (`questions.rs`). A barrier has the number of the last answer before it. It waits for
//! operations on its super block as long as the oldest one in flight there was allowed before the
//! barrier. So no operation is counted, and none is visited, when a barrier begins or an operation
//! ends.
//!
//! Barriers on one super block are answered in the order of their calls. This holds none of them
//! back, for each waits for all that those before it wait for.

#![forbid(unsafe_code)]

use super::Key;
use crate::sys::trace;
use kernel::prelude::*;
use kernel::rbtree::RBTree;
use kernel::rbtree::RBTreeNode;
use kernel::rbtree::RBTreeNodeReservation;

/// Most barriers of a group whose events were not read.
const MAX: usize = 128;

/// A barrier that is not answered; `E` is the event that answers it.
pub(crate) struct Barrier<E> {
    /// Number of the last answer before it.
    answers: u64,
    /// Have those operations ended as well that the group was not asked about?
    others_ended: bool,
    /// `None` when it is taken out.
    event: Option<E>,
}

/// A barrier by its super block and number.
pub(crate) type Node<E> = RBTreeNode<Key, Barrier<E>>;

/// Memory of a barrier.
pub(crate) type Room<E> = RBTreeNodeReservation<Key, Barrier<E>>;

/// The barriers of a group.
pub(crate) struct Barriers<E> {
    /// Number of the group.
    group: u64,
    waiting: RBTree<Key, Barrier<E>>,
    begun: u64,
    /// Those whose events were not read.
    unread: usize,
}

impl<E> Barriers<E> {
    /// None, of a group of this number.
    pub(crate) fn new(group: u64) -> Self {
        Self {
            group,
            waiting: RBTree::new(),
            begun: 0,
            unread: 0,
        }
    }

    /// Number that the next one is to have. Fails with `EBUSY` if there are too many.
    pub(crate) fn next_number(&self) -> Result<u64> {
        if self.unread >= MAX {
            return Err(EBUSY);
        }
        Ok(self.begun + 1)
    }

    /// Is there one that is not answered?
    pub(crate) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a barrier, whose number is the next, after so many answers to questions.
    pub(crate) fn begin(&mut self, key: Key, answers: u64, event: E, room: Room<E>) {
        let barrier = Barrier {
            answers,
            others_ended: false,
            event: Some(event),
        };

        self.begun = key.1;
        self.unread += 1;
        trace::barrier(self.group, key.1, false);
        self.waiting.insert(room.into_node(key, barrier));
    }

    /// The operations that the group was not asked about have ended, as far as a barrier goes.
    /// Returns its super block.
    pub(crate) fn end(&mut self, number: u64) -> Option<usize> {
        // There are no more of these than the group has asked for, and `MAX`.
        let mut waiting = self.waiting.iter_mut();
        let ((super_block, _), barrier) = waiting.find(|((_, n), _)| *n == number)?;

        barrier.others_ended = true;
        Some(*super_block)
    }

    /// Takes out the first barrier on a super block if it can be answered, where `oldest` is the
    /// answer that allowed the oldest operation in flight there. Returns its event, and what is
    /// left of it.
    pub(crate) fn take(&mut self, super_block: usize, oldest: Option<u64>) -> Option<(E, Node<E>)> {
        let first = self.waiting.cursor_lower_bound(&(super_block, 0))?;
        let (key, barrier) = first.current();
        let waits = oldest.is_some_and(|oldest| oldest <= barrier.answers);
        let key = *key;

        if key.0 != super_block || !barrier.others_ended || waits {
            return None;
        }

        let event = self.waiting.get_mut(&key)?.event.take()?;

        trace::barrier(self.group, key.1, true);
        Some((event, self.waiting.remove_node(&key)?))
    }

    /// The event of one was read.
    pub(crate) fn set_read(&mut self) {
        self.unread = self.unread.saturating_sub(1);
    }

    /// Takes out all of them, to be dropped.
    pub(crate) fn close(&mut self) -> RBTree<Key, Barrier<E>> {
        core::mem::take(&mut self.waiting)
    }
}

#[kunit_tests(vfs_filter_barriers)]
mod tests {
    use super::*;

    const SB: usize = 0x1000;
    const OTHER_SB: usize = 0x2000;

    /// Begins a barrier, whose event is its number, after so many answers.
    fn begin(barriers: &mut Barriers<u64>, super_block: usize, answers: u64) -> Result<u64> {
        let number = barriers.next_number()?;

        barriers.begin(
            (super_block, number),
            answers,
            number,
            Room::new(GFP_KERNEL)?,
        );
        Ok(number)
    }

    fn take(barriers: &mut Barriers<u64>, super_block: usize, oldest: Option<u64>) -> Option<u64> {
        barriers.take(super_block, oldest).map(|(event, _)| event)
    }

    #[test]
    fn others_are_waited_for() -> Result {
        let mut barriers = Barriers::new(0);

        assert_eq!(begin(&mut barriers, SB, 0)?, 1);
        assert!(take(&mut barriers, SB, None).is_none());
        assert_eq!(barriers.end(1), Some(SB));
        assert_eq!(take(&mut barriers, SB, None), Some(1));
        assert!(!barriers.are_waiting());
        assert!(barriers.end(1).is_none());
        Ok(())
    }

    #[test]
    fn operations_allowed_before_are_waited_for() -> Result {
        let mut barriers = Barriers::new(0);
        let number = begin(&mut barriers, SB, 5)?;

        barriers.end(number);
        assert!(take(&mut barriers, SB, Some(3)).is_none());
        assert!(take(&mut barriers, SB, Some(5)).is_none());
        assert_eq!(take(&mut barriers, SB, Some(6)), Some(number));
        Ok(())
    }

    #[test]
    fn super_blocks_do_not_wait_for_each_other() -> Result {
        let mut barriers = Barriers::new(0);

        begin(&mut barriers, SB, 5)?;
        begin(&mut barriers, OTHER_SB, 5)?;
        barriers.end(1);
        assert_eq!(barriers.end(2), Some(OTHER_SB));
        assert!(take(&mut barriers, SB, Some(5)).is_none());
        assert_eq!(take(&mut barriers, OTHER_SB, None), Some(2));
        assert_eq!(take(&mut barriers, SB, None), Some(1));
        Ok(())
    }

    #[test]
    fn they_are_answered_in_order() -> Result {
        let mut barriers = Barriers::new(0);

        begin(&mut barriers, SB, 5)?;
        begin(&mut barriers, SB, 5)?;
        barriers.end(2);
        assert!(take(&mut barriers, SB, None).is_none());
        barriers.end(1);
        assert_eq!(take(&mut barriers, SB, None), Some(1));
        assert_eq!(take(&mut barriers, SB, None), Some(2));
        Ok(())
    }

    #[test]
    fn there_is_a_limit_to_what_is_not_read() -> Result {
        let mut barriers = Barriers::new(0);

        for _ in 0..MAX {
            begin(&mut barriers, SB, 0)?;
        }
        assert!(begin(&mut barriers, SB, 0) == Err(EBUSY));
        barriers.end(1);
        assert_eq!(take(&mut barriers, SB, None), Some(1));
        assert!(barriers.next_number() == Err(EBUSY));
        barriers.set_read();
        assert_eq!(barriers.next_number()?, MAX as u64 + 1);
        Ok(())
    }
}
