// SPDX-License-Identifier: GPL-2.0

//! Who listens to a group: the processes that its files belong to, which raise no event to it, nor does
//! who shares their memory.
//!
//! The group's own file is there from the beginning. It has a place, as queues have, until it is closed.
//!
//! # Locking
//!
//! `places` is a spinlock, under which no other lock is taken and nothing is dropped. Each operation
//! that comes to a group compares itself with all processes, so that takes no lock.

#![forbid(unsafe_code)]

use crate::memory;
use crate::memory::Memory;
use crate::sys::class;
use crate::sys::class::QueueFile;
use crate::sys::pid::AtomicId;
use crate::sys::pid::Id;
use crate::sys::pid::Pid;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::sync::SpinLock;

/// How many files a group can have, for all of them are looked at.
const MAX: usize = 64;

/// A file of a group that can be read, by a number that no other of the group ever has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reader(usize);

impl Reader {
    /// The group's own file.
    pub(crate) const OWN: Self = Self(0);

    /// The one with this number.
    pub(crate) fn from_nr(nr: usize) -> Self {
        Self(nr)
    }

    pub(crate) fn nr(self) -> usize {
        self.0
    }
}

/// A process, and the file that it has.
#[derive(Clone)]
pub(crate) struct Listener {
    reader: Reader,
    process: Pid,
    /// What the process had when it was noted here.
    memory: Option<Memory>,
    /// The file, if it is a queue.
    queue: Option<Arc<QueueFile>>,
}

impl Listener {
    fn current(reader: Reader, queue: Option<Arc<QueueFile>>) -> Self {
        Self {
            reader,
            process: Pid::current_process(),
            memory: Memory::of_current(),
            queue,
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.reader
    }

    pub(crate) fn process(&self) -> &Pid {
        &self.process
    }

    fn memory(&self) -> Option<memory::Id> {
        self.memory.as_ref().map(Memory::id)
    }

    pub(crate) fn queue(&self) -> Option<&QueueFile> {
        self.queue.as_deref()
    }
}

/// What there is, by place.
struct Places {
    listeners: [Option<Listener>; MAX],
    /// The number of the last reader.
    last: usize,
    /// How often a process has come to have a file.
    came: u64,
    /// None comes any more.
    is_over: bool,
}

impl Places {
    fn of(&self, reader: Reader) -> Option<usize> {
        let is_it = |l: &Option<Listener>| l.as_ref().is_some_and(|l| l.reader == reader);

        self.listeners.iter().position(is_it)
    }
}

/// The listeners of a group.
#[pin_data]
pub(crate) struct Listeners {
    #[pin]
    places: SpinLock<Places>,
    /// Their processes, to be compared with. Set under the lock.
    ids: [AtomicId; MAX],
    /// Their memory, in the same way.
    memories: [memory::AtomicId; MAX],
    /// There are none at this place and after it. Set under the lock.
    end: Atomic<usize>,
}

impl Listeners {
    /// The current process has the group's own file.
    pub(crate) fn new() -> impl PinInit<Self> {
        let own = Listener::current(Reader::OWN, None);
        let (id, memory) = (own.process.id(), own.memory());
        let mut listeners = [const { None }; MAX];

        listeners[0] = Some(own);
        pin_init!(Self {
            places <- new_spinlock!(
                Places {
                    listeners,
                    last: 0,
                    came: 0,
                    is_over: false,
                },
                "vfs_filter::listeners"
            ),
            ids: core::array::from_fn(|place| match place {
                0 => AtomicId::new(id),
                _ => AtomicId::none(),
            }),
            memories: core::array::from_fn(|place| {
                memory::AtomicId::new(memory.filter(|_| place == 0))
            }),
            end: Atomic::new(1),
        })
    }

    /// A queue is opened by the current process. Fails with `ENOSPC` if there are too many, and with
    /// `ENOENT` after [`Listeners::end_if`].
    pub(crate) fn add(&self, queue: Arc<QueueFile>) -> Result<Reader> {
        let mut listener = Listener::current(Reader::OWN, Some(queue));
        let mut places = self.places.lock();
        let is_free = |place: &usize| places.listeners[*place].is_none();
        // If this fails, `places` is unlocked before `listener` is dropped.
        let place = match (0..MAX).find(is_free) {
            _ if places.is_over => Err(ENOENT),
            place => place.ok_or(ENOSPC),
        }?;

        places.came += 1;
        places.last += 1;
        listener.reader = Reader(places.last);
        let reader = listener.reader;
        self.ids[place].set(listener.process.id());
        self.memories[place].set(listener.memory());
        places.listeners[place] = Some(listener);
        self.end
            .store(self.end.load(Relaxed).max(place + 1), Relaxed);
        Ok(reader)
    }

    /// A file is closed.
    pub(crate) fn remove(&self, reader: Reader) {
        let mut places = self.places.lock();
        let Some(place) = places.of(reader) else {
            return;
        };
        let old = places.listeners[place].take();
        let last = places.listeners.iter().rposition(Option::is_some);

        self.ids[place].clear();
        self.memories[place].set(None);
        self.end.store(last.map_or(0, |last| last + 1), Relaxed);
        drop(places);
        // Not under the lock, as it may be the last reference.
        drop(old);
        class::interest_grew();
    }

    /// Makes the current process that of a file. Fails with `ENOENT` after [`Listeners::end_if`].
    pub(crate) fn own(&self, reader: Reader) -> Result {
        let (process, memory) = (Pid::current_process(), Memory::of_current());
        let mut places = self.places.lock();
        let place = places.of(reader).filter(|_| !places.is_over);

        places.came += 1;

        let Some((place, listener)) =
            place.and_then(|place| Some((place, places.listeners[place].as_mut()?)))
        else {
            drop(places);
            return Err(ENOENT);
        };
        let old = (
            core::mem::replace(&mut listener.process, process),
            core::mem::replace(&mut listener.memory, memory),
        );
        let changed = listener.process != old.0;

        self.ids[place].set(listener.process.id());
        self.memories[place].set(listener.memory());
        drop(places);
        drop(old);
        if changed {
            // What the former process does is to be seen, even where it has been looked for groups.
            class::interest_grew();
        }
        Ok(())
    }

    /// How often a process has come to have a file.
    pub(crate) fn came(&self) -> u64 {
        self.places.lock().came
    }

    /// No one comes any more, if no one has since [`Listeners::came`] was this. Returns whether that is
    /// so.
    pub(crate) fn end_if(&self, came: u64) -> bool {
        let mut places = self.places.lock();

        places.is_over |= places.came == came;
        places.is_over
    }

    /// The current process reads a file. If it is the one that the file belongs to, and it has executed
    /// another program since that was noted, its memory is not the same.
    pub(crate) fn reads(&self, reader: Reader) {
        let process = Id::of_current_process();

        if !self.any_is(process) || self.any_shares_memory() {
            return;
        }
        if self.with_process(reader, Pid::id) == Some(process) {
            // If the group is being closed, there is nothing to be read.
            let _ = self.own(reader);
        }
    }

    /// Is this, of which someone does something, one of the processes? Or is it the current process,
    /// and shares the memory of one?
    ///
    /// One that has been replaced may still be compared with meanwhile, and be gone. It is not taken
    /// for another process then: one that gets the same address for its `struct pid`, or for its
    /// memory, has not read this before that.
    #[inline]
    pub(crate) fn have(&self, process: Id) -> bool {
        // It may end in a task of someone else's.
        self.any_is(process)
            || (self.any_shares_memory()
                && process == Id::of_current_process()
                && self.any_has_memory_of_current())
    }

    /// The same of those that have not executed another program since that was noted: a child of
    /// vfork(2) has the memory of its parent when it comes to own a file.
    #[cold]
    fn any_has_memory_of_current(&self) -> bool {
        let memory = memory::Id::of_current();

        self.iter().any(|listener| {
            listener.memory() == memory && listener.process.may_have_memory_of_current()
        })
    }

    #[inline]
    fn any_is(&self, process: Id) -> bool {
        self.any(&self.ids, |id| id.is(process))
    }

    /// Is the memory of one that of the current task?
    #[inline]
    fn any_shares_memory(&self) -> bool {
        memory::Id::of_current().is_some_and(|memory| self.any(&self.memories, |id| id.is(memory)))
    }

    #[inline]
    fn any<T>(&self, places: &[T; MAX], is: impl Fn(&T) -> bool) -> bool {
        // Most often there is one.
        is(&places[0]) || (self.end.load(Relaxed) > 1 && places[1..].iter().any(is))
    }

    /// Runs `show` with the process of a file, under the lock.
    pub(crate) fn with_process<R>(
        &self,
        reader: Reader,
        show: impl FnOnce(&Pid) -> R,
    ) -> Option<R> {
        let places = self.places.lock();
        let listener = places.listeners[places.of(reader)?].as_ref()?;

        Some(show(&listener.process))
    }

    /// All that there are, one after the other.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Listener> + '_ {
        (0..MAX).filter_map(|place| self.places.lock().listeners[place].clone())
    }
}

#[kunit_tests(vfs_filter_listeners)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_meanwhile_keeps_it() -> Result {
        let listeners = Arc::pin_init(Listeners::new(), GFP_KERNEL)?;
        let came = listeners.came();

        listeners.own(Reader::OWN)?;
        assert!(!listeners.end_if(came));
        listeners.own(Reader::OWN)?;
        assert!(listeners.end_if(listeners.came()));
        Ok(())
    }

    #[test]
    fn no_one_comes_after_the_end() -> Result {
        let listeners = Arc::pin_init(Listeners::new(), GFP_KERNEL)?;

        assert!(listeners.end_if(listeners.came()));
        assert!(listeners.own(Reader::OWN) == Err(ENOENT));
        assert!(listeners.end_if(listeners.came()));
        Ok(())
    }
}
