// SPDX-License-Identifier: GPL-2.0

//! Memory of questions that are no more, and of operations that asked them.
//!
//! Each group keeps a few of both, for to allocate and free them anew each time would be a good
//! part of what it costs to ask. What an operation has there is its own affair: here it is an `A`.

#![forbid(unsafe_code)]

use super::questions::Room;
use crate::sys::memcg;
use kernel::alloc::kvec::PushError;
use kernel::prelude::*;

/// Most spares of a kind that a group has.
const MAX: usize = 16;

/// A few of a kind.
struct Few<T>(KVec<T>);

impl<T> Few<T> {
    /// Fails with `ENOMEM`.
    fn new() -> Result<Self> {
        Ok(Self(KVec::with_capacity(MAX, memcg::gfp())?))
    }

    /// Keeps one. Returns it if there are enough.
    fn keep(&mut self, one: T) -> Option<T> {
        let rejected = self.0.push_within_capacity(one).err();

        rejected.map(|PushError(one)| one)
    }
}

/// What a group keeps.
pub(crate) struct Spares<A> {
    rooms: Few<Room>,
    asked: Few<KBox<A>>,
}

impl<A> Spares<A> {
    /// Room for spares. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            rooms: Few::new()?,
            asked: Few::new()?,
        })
    }

    /// Memory for a question, if there is some; and for the operation, if that is wanted.
    pub(crate) fn take(&mut self, wants_asked: bool) -> (Option<Room>, Option<KBox<A>>) {
        let asked = if wants_asked {
            self.asked.0.pop()
        } else {
            None
        };

        (self.rooms.0.pop(), asked)
    }

    /// Keeps the memory of a question. Returns it if there is enough.
    pub(crate) fn keep_room(&mut self, room: Room) -> Option<Room> {
        self.rooms.keep(room)
    }

    /// Keeps what an operation had, with nothing left in it. Returns it if there is enough.
    pub(crate) fn keep_asked(&mut self, asked: KBox<A>) -> Option<KBox<A>> {
        self.asked.keep(asked)
    }
}

#[kunit_tests(vfs_filter_spares)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_there_at_first() -> Result {
        let mut spares = Spares::<u8>::new()?;
        let (room, asked) = spares.take(true);

        assert!(room.is_none() && asked.is_none());
        Ok(())
    }

    #[test]
    fn a_few_are_kept() -> Result {
        let mut spares = Spares::<u8>::new()?;

        for i in 0..=MAX {
            let rejected = spares.keep_room(Room::new(GFP_KERNEL)?);
            let not_kept = spares.keep_asked(KBox::new(i as u8, GFP_KERNEL)?);

            assert_eq!(rejected.is_some(), i == MAX);
            assert_eq!(not_kept.map(|n| *n), (i == MAX).then_some(MAX as u8));
        }
        for _ in 0..MAX {
            let (room, asked) = spares.take(true);

            assert!(room.is_some() && asked.is_some());
        }
        assert!(spares.take(false).0.is_none());
        Ok(())
    }

    #[test]
    fn what_is_not_wanted_is_kept() -> Result {
        let mut spares = Spares::<u8>::new()?;

        assert!(spares.keep_asked(KBox::new(3, GFP_KERNEL)?).is_none());
        assert!(spares.take(false).1.is_none());
        assert!(spares.take(true).1.is_some());
        Ok(())
    }
}
