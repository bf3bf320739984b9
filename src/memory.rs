// SPDX-License-Identifier: GPL-2.0

//! The memory of a process, to be compared with. Whoever shares it does what the process would do: a
//! child that was made by vfork(2) and has not executed a program yet, for whom its parent waits.
//!
//! That it has a parent who waits is not looked at: whoever waits stops to if it is killed, and the
//! child is no one else's then.

#![forbid(unsafe_code)]

use core::ptr;
use kernel::mm::Mm;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

/// What tells the memory of a process from all other that someone has a reference to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(usize);

impl Id {
    /// That of the current task, if it has any.
    #[inline]
    pub(crate) fn of_current() -> Option<Self> {
        kernel::current!().mm().map(|mm| Self::of(mm))
    }

    fn of(mm: &Mm) -> Self {
        Self(ptr::from_ref(mm).addr())
    }
}

/// A reference to the memory of a process. What is in there can go.
#[derive(Clone)]
pub(crate) struct Memory(ARef<Mm>);

impl Memory {
    /// That of the current task, if it has any.
    pub(crate) fn of_current() -> Option<Self> {
        kernel::current!().mm().map(|mm| Self(ARef::from(&**mm)))
    }

    pub(crate) fn id(&self) -> Id {
        Id::of(&self.0)
    }
}

/// An [`Id`] that can be read while it is set.
pub(crate) struct AtomicId(Atomic<usize>);

impl AtomicId {
    /// Memory has an address that is not this.
    const NONE: usize = 0;

    pub(crate) fn new(id: Option<Id>) -> Self {
        Self(Atomic::new(Self::value(id)))
    }

    fn value(id: Option<Id>) -> usize {
        id.map_or(Self::NONE, |id| id.0)
    }

    /// Is it this one?
    #[inline]
    pub(crate) fn is(&self, id: Id) -> bool {
        self.0.load(Relaxed) == id.0
    }

    pub(crate) fn set(&self, id: Option<Id>) {
        self.0.store(Self::value(id), Relaxed);
    }
}
