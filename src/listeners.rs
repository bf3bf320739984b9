// SPDX-License-Identifier: GPL-2.0

//! Who listens to a group: the processes that its files belong to, which raise no event to it, nor does
//! who shares their memory.
//!
//! Who was handed a file and reads it is noted as well, to be looked at if the file is about to be
//! closed. That makes no one exempt.
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
use crate::sys::memcg;
use crate::sys::pid::AtomicId;
use crate::sys::pid::Id;
use crate::sys::pid::Pid;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::sync::SpinLock;
use pin_init::init_array_from_fn;

/// How many files a group can have, for all of them are looked at.
const MAX: usize = 64;

/// A file of a group that can be read, by a number that no other of the group ever has. It says which
/// place the file has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reader(usize);

impl Reader {
    /// The group's own file.
    pub(crate) const OWN: Self = Self(0);

    /// The one that comes to a place after so many others to any.
    fn new(others: usize, place: usize) -> Self {
        Self(others * MAX + place)
    }

    fn place(self) -> usize {
        self.0 % MAX
    }

    /// The one with this number.
    pub(crate) fn from_nr(nr: usize) -> Self {
        Self(nr)
    }

    pub(crate) fn nr(self) -> usize {
        self.0
    }
}

/// A file, and the process that it belongs to.
#[derive(Clone)]
pub(crate) struct Listener {
    reader: Reader,
    process: Pid,
    /// What the process had when it was noted here.
    memory: Option<Memory>,
    /// That was of its parent, who is not the process once that is gone.
    is_borrowed: bool,
    /// Who else has last taken a question of it.
    last_reader: Option<Pid>,
    /// The file, if it is a queue.
    queue: Option<Arc<QueueFile>>,
}

impl Listener {
    fn current(reader: Reader, queue: Option<Arc<QueueFile>>) -> Self {
        Self {
            reader,
            process: Pid::current_process(),
            memory: Memory::of_current(),
            is_borrowed: Pid::current_is_in_vfork(),
            last_reader: None,
            queue,
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.reader
    }

    /// The process that it belongs to, and the last other one that has taken a question of it.
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Pid> {
        Iterator::chain(core::iter::once(&self.process), &self.last_reader)
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
    listeners: KBox<[Option<Listener>; MAX]>,
    /// How many readers there have been.
    readers: usize,
    /// How often a process has come to have a file.
    came: u64,
    /// None comes any more.
    is_over: bool,
}

impl Places {
    /// The listener that has this file, if it is open.
    fn of(&mut self, reader: Reader) -> Option<&mut Listener> {
        self.listeners[reader.place()]
            .as_mut()
            .filter(|listener| listener.reader == reader)
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
    /// The current process has the group's own file. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<impl PinInit<Self>> {
        let own = Listener::current(Reader::OWN, None);
        let (id, memory) = (own.process.id(), own.memory());
        let none = init_array_from_fn(|_| Ok::<_, Error>(None));
        let mut listeners = KBox::init(none, memcg::gfp())?;

        listeners[0] = Some(own);
        Ok(pin_init!(Self {
            places <- new_spinlock!(
                Places {
                    listeners,
                    readers: 1,
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
        }))
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
        let reader = Reader::new(places.readers, place);

        places.came += 1;
        places.readers += 1;
        listener.reader = reader;
        self.set(place, &listener);
        places.listeners[place] = Some(listener);
        self.end
            .store(self.end.load(Relaxed).max(place + 1), Relaxed);
        Ok(reader)
    }

    /// What is compared with at a place is of this one. Called under the lock.
    fn set(&self, place: usize, listener: &Listener) {
        self.ids[place].set(listener.process.id());
        self.memories[place].set(listener.memory());
    }

    /// A file is closed.
    pub(crate) fn remove(&self, reader: Reader) {
        let place = reader.place();
        let mut places = self.places.lock();

        if places.of(reader).is_none() {
            return;
        }
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
        let is_borrowed = Pid::current_is_in_vfork();
        let mut places = self.places.lock();

        places.came += 1;

        let is_over = places.is_over;
        // If this fails, `places` is unlocked before the rest is dropped.
        let listener = places.of(reader).filter(|_| !is_over).ok_or(ENOENT)?;
        let old = (
            core::mem::replace(&mut listener.process, process),
            core::mem::replace(&mut listener.memory, memory),
        );
        let changed = listener.process != old.0;

        listener.is_borrowed = is_borrowed;
        self.set(reader.place(), listener);
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
        let place = reader.place();
        let is_noted = |memory| self.memories[place].is(memory);

        if self.ids[place].is(Id::of_current_process())
            && !memory::Id::of_current().is_some_and(is_noted)
        {
            // If the group is being closed, there is nothing to be read.
            let _ = self.own(reader);
        }
    }

    /// The current process has taken a question of a file. If the file is not its own, it is looked at
    /// as well, until the next one does that.
    #[inline]
    pub(crate) fn takes(&self, reader: Reader) {
        if !self.ids[reader.place()].is(Id::of_current_process()) {
            self.set_last_reader(reader);
        }
    }

    #[cold]
    fn set_last_reader(&self, reader: Reader) {
        let process = Id::of_current_process();
        let mut places = self.places.lock();
        let Some(listener) = places.of(reader) else {
            return;
        };

        if listener.last_reader.as_ref().map(Pid::id) == Some(process) {
            return;
        }
        let old = listener.last_reader.replace(Pid::current_process());

        drop(places);
        drop(old);
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

    /// The same of those that have not executed another program since that was noted. A child of
    /// vfork(2) that comes to own a file has the memory of its parent, who is no listener when the child
    /// has executed one or is gone.
    #[cold]
    fn any_has_memory_of_current(&self) -> bool {
        let memory = memory::Id::of_current();

        self.iter().any(|listener| {
            listener.memory() == memory
                && listener
                    .process
                    .has_memory_of_current(!listener.is_borrowed)
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
        let mut places = self.places.lock();

        places.of(reader).map(|listener| show(&listener.process))
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
        let listeners = Arc::pin_init(Listeners::new()?, GFP_KERNEL)?;
        let came = listeners.came();

        listeners.own(Reader::OWN)?;
        assert!(!listeners.end_if(came));
        listeners.own(Reader::OWN)?;
        assert!(listeners.end_if(listeners.came()));
        Ok(())
    }

    #[test]
    fn no_one_comes_after_the_end() -> Result {
        let listeners = Arc::pin_init(Listeners::new()?, GFP_KERNEL)?;

        assert!(listeners.end_if(listeners.came()));
        assert!(listeners.own(Reader::OWN) == Err(ENOENT));
        assert!(listeners.end_if(listeners.came()));
        Ok(())
    }
}
