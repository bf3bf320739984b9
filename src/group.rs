// SPDX-License-Identifier: GPL-2.0

//! A group of the class: its flags, listeners, queue and life cycle.
//!
//! # Life cycle
//!
//! 1. fanotify_init(2) makes a [`Group`]. The C group has a reference to it.
//! 2. Marks lead operations to it (`op.rs`), listeners read and answer (`file.rs`), by its own file or
//!    by queues, which come and go.
//! 3. The last descriptor of its own file is closed: [`Group::close`]. Nothing is queued from here on,
//!    and what waits for an answer is allowed. Then the C side removes the marks. But a group that
//!    fails closed denies it, and keeps those of its marks that are not on inodes, by which it denies
//!    all else until the C side ends it.
//! 4. The C group is freed and drops its reference. Operations in flight have one of their own, so
//!    that they can end as if nothing had happened.
//!
//! # Locking
//!
//! `queue` is a spinlock. `listeners` has one, too, and neither is taken under the other. `exempt` has
//! a mutex, which is not taken under any lock. Readers sleep on `readers` and are woken up under
//! `queue`.

#![forbid(unsafe_code)]

use crate::event::Event;
use crate::event::Gone;
use crate::event::Post;
use crate::event::Reply;
use crate::exempt::Exempt;
use crate::listeners::Listener;
use crate::listeners::Listeners;
use crate::listeners::Reader;
use crate::mask::Mask;
use crate::queue::Answered;
use crate::queue::BarrierRoom;
use crate::queue::Counts;
use crate::queue::Question;
use crate::queue::Queue;
use crate::queue::Room;
use crate::queue::Taken;
use crate::records::AtomicRecords;
use crate::records::Records;
use crate::sys::cgroup::Cgroup;
use crate::sys::class::Class;
use crate::sys::class::ClassGroup;
use crate::sys::class::Look;
use crate::sys::class::QueueFile;
use crate::sys::lent;
use crate::sys::lent::Lent;
use crate::sys::memcg;
use crate::sys::pid::Number;
use crate::sys::pid::Pid;
use crate::verdict::Answer;
use crate::verdict::Verdict;
use crate::waiting::AtomicDeadline;
use crate::waiting::Deadline;
use crate::waiting::Waited;
use crate::waiting::Waiting;
use kernel::bindings;
use kernel::fs::File;
use kernel::new_poll_condvar;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::poll::PollCondVar;
use kernel::sync::poll::PollTable;
use kernel::sync::Arc;
use kernel::sync::SpinLock;

/// Flags of fanotify_init(2) that a group of the class can have.
pub(crate) const INIT_FLAGS: u32 = bindings::FAN_CLOEXEC
    | bindings::FAN_NONBLOCK
    | bindings::FAN_UNLIMITED_QUEUE
    | bindings::FAN_UNLIMITED_MARKS
    | bindings::FAN_REPORT_TID
    | bindings::FAN_REPORT_PIDFD
    | bindings::FAN_REPORT_FID
    | bindings::FAN_REPORT_DIR_FID
    | bindings::FAN_REPORT_NAME
    | bindings::FAN_REPORT_TARGET_FID
    | bindings::FAN_FAIL_CLOSED;

/// Kinds of ignore masks that fanotify_mark(2) knows.
const IGNORE_BITS: u32 = bindings::FAN_MARK_IGNORE | bindings::FAN_MARK_IGNORED_MASK;

/// The number that was given last.
static LAST_NUMBER: Atomic<u64> = Atomic::new(0);

/// Why an operation does not start.
pub(crate) enum Refusal {
    /// The group has denied it.
    Denied(Error),
    /// The task was killed while it waited.
    Killed {
        /// Has the listener read the question, or could it?
        was_read: bool,
    },
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Denied(errno) => errno,
            Refusal::Killed { .. } => EINTR,
        }
    }
}

/// A group, whose operations have an `A` each.
#[pin_data]
pub(crate) struct Group<A> {
    /// A number that no other has.
    number: u64,
    /// `FAN_*` of fanotify_init(2).
    flags: u32,
    /// The processes whose operations raise no event.
    #[pin]
    listeners: Listeners,
    /// For questions from here on.
    deadline: AtomicDeadline,
    /// Operations of tasks in these raise no event either.
    #[pin]
    exempt: Exempt<Cgroup>,
    /// What the group asks for besides.
    records: AtomicRecords,
    #[pin]
    queue: SpinLock<Queue<A>>,
    /// Was the queue closed? Set under its lock, for those who look without it.
    is_closed: Atomic<bool>,
    #[pin]
    readers: PollCondVar,
}

impl<A: Default> Group<A> {
    /// Makes a group that is owned by the current process. Fails with `ENOMEM`.
    pub(crate) fn new(flags: u32, max_events: u32) -> Result<Arc<Self>> {
        let number = LAST_NUMBER.fetch_add(1, Relaxed) + 1;
        // CAST: usize has at least 32 bits.
        let queue = Queue::new(number, max_events as usize, Event::overflow()?)?;
        let listeners = Listeners::new()?;

        Arc::pin_init(
            pin_init!(Self {
                number,
                flags,
                listeners <- listeners,
                deadline: AtomicDeadline::new(),
                exempt <- Exempt::new(),
                records: AtomicRecords::new(),
                queue <- new_spinlock!(queue, "vfs_filter::queue"),
                is_closed: Atomic::new(false),
                readers <- new_poll_condvar!("vfs_filter::readers"),
            }),
            memcg::gfp(),
        )
    }

    /// A number that no other group has.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Are events to have the name of their object?
    pub(crate) fn reports_name(&self) -> bool {
        self.flags & bindings::FAN_REPORT_NAME != 0
    }

    /// Are events to have a pidfd?
    pub(crate) fn reports_pidfd(&self) -> bool {
        self.flags & bindings::FAN_REPORT_PIDFD != 0
    }

    /// The records that events are to have from here on, besides those that all groups have.
    pub(crate) fn records(&self) -> Records {
        self.records.get()
    }

    /// Sets them. Fails with `EINVAL` for one that there is not.
    pub(crate) fn set_records(&self, bits: usize) -> Result {
        self.records.set(Records::parse(bits)?);
        Ok(())
    }

    /// The files of the group, and their processes.
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// What holds for questions from here on.
    pub(crate) fn deadline(&self) -> Option<Deadline> {
        self.deadline.get()
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Deadline>) {
        self.deadline.set(deadline);
    }

    /// Exempts the tasks of a cgroup. Fails with `EEXIST`, and with `ENOSPC` if there are too many.
    pub(crate) fn exempt(&self, cgroup: Cgroup) -> Result {
        self.exempt.add(cgroup)
    }

    /// The cgroups whose tasks are exempt.
    pub(crate) fn exempt_cgroups(&self) -> impl Iterator<Item = &Cgroup> {
        self.exempt.iter()
    }

    /// Complains of a listener that has not answered what it has read. Called each `timeout`
    /// seconds, where one must not sleep.
    pub(crate) fn watchdog(&self, timeout: i32) {
        let overdue = self.queue.lock().is_overdue();

        if overdue {
            let nr = self.listeners.with_process(Reader::OWN, Pid::nr);
            let owner = nr.unwrap_or(0);

            pr_warn!(
                "PID {owner} failed to respond to fanotify queue for more than {timeout} seconds\n"
            );
        }
    }

    /// What there is in the queue, and the first question that has no answer, read or not: as both
    /// are at one moment.
    pub(crate) fn state(&self) -> (Counts, Option<Arc<Event>>) {
        let queue = self.queue.lock();

        (queue.counts(), queue.oldest())
    }

    /// Memory for a question, and for the operation if `wants_asked`. Fails with `ENOMEM`.
    ///
    /// What `lasts` is not the group's own memory: it does not pay for it.
    pub(crate) fn room(&self, wants_asked: bool, lasts: bool) -> Result<(Room, Option<KBox<A>>)> {
        let (room, asked) = self.queue.lock().spares(wants_asked && !lasts);
        let room = match room {
            Some(room) => room,
            None => Room::new(memcg::gfp())?,
        };
        let asked = match asked {
            None if wants_asked => Some(KBox::new(A::default(), memcg::gfp())?),
            asked => asked,
        };

        Ok((room, asked))
    }

    /// Does it deny what it cannot be asked about any more?
    fn fails_closed(&self) -> bool {
        self.flags & bindings::FAN_FAIL_CLOSED != 0
    }

    /// Was it closed, and denies all from then on? Each operation that comes to a group that fails
    /// closed asks this, so it takes no lock.
    ///
    /// It is ordered with nothing, and need not be. To deny takes nothing that the closing task has
    /// written, and a group that was closed is never open again. Who is told too late that it was
    /// goes on to [`Group::ask`] or [`Group::post`], where the queue is looked at under its lock; or
    /// comes again, if it must not wait.
    pub(crate) fn is_sentinel(&self) -> bool {
        self.fails_closed() && self.is_closed.load(Relaxed)
    }

    /// Asks the listener of this group, which is `class_group` to the C side. Returns false if the
    /// group was closed: there is no one to ask. Fails with `EIO` then if it fails closed.
    pub(crate) fn ask<C: Class>(
        &self,
        class_group: &ClassGroup<C>,
        question: Question,
        room: Room,
        event: &Event,
    ) -> Result<bool> {
        let mut queue = self.queue.lock();
        let asked = queue.ask(question, room, event);

        if asked.is_ok() {
            self.readers.notify_all();
        }
        drop(queue);
        match asked {
            Ok(was_idle) => {
                if was_idle {
                    class_group.look_later();
                }
                Ok(true)
            }
            Err(_) if self.fails_closed() => Err(EIO),
            Err(_) => Ok(false),
        }
    }

    /// The time for an answer is over. Returns false if someone has decided.
    #[cold]
    fn expire(&self, event: &Event, verdict: Verdict) -> bool {
        let mut queue = self.queue.lock();
        let expired = queue.expire(event, verdict);

        drop(queue);
        expired.map(Answered::wake).is_some()
    }

    /// Waits for the answer to a question of this group. Fails if there is none, or another than to
    /// allow the operation.
    pub(crate) fn wait_for_answer(
        &self,
        event: &Event,
        deadline: Option<Deadline>,
    ) -> core::result::Result<(), Refusal> {
        let mut waiting = Waiting::new(deadline);

        let was_read = loop {
            match waiting.sleep(|timeout| event.wait(timeout)) {
                Ok(Waited::Answered) => break true,
                Ok(Waited::NotYet) => (),
                Ok(Waited::Over(verdict)) => {
                    if self.expire(event, verdict) {
                        break true;
                    }
                    // Whoever has taken the question is about to answer it.
                    waiting.wait_on();
                }
                Err(_) => {
                    let mut queue = self.queue.lock();
                    let cancelled = queue.cancel(event);

                    drop(queue);
                    match cancelled {
                        Some((_, was_read)) => return Err(Refusal::Killed { was_read }),
                        // It was taken out by someone who answers it, and gives back what it refers to.
                        None => {
                            event.wait_for_waker();
                            break true;
                        }
                    }
                }
            }
        };

        match event.verdict() {
            Some(Verdict::Allow) => Ok(()),
            Some(Verdict::Deny(errno)) => Err(Refusal::Denied(errno)),
            // Whoever wakes up a task has answered.
            None => Err(Refusal::Killed { was_read }),
        }
    }

    /// Looks if listeners are on their way out, which can take an answer of theirs. What they have
    /// read and not answered is as if they were gone; so is the group, if they are all that there are.
    pub(crate) fn look<C: Class>(&self, class_group: &ClassGroup<C>) -> Look {
        if self.queue.lock().is_idle() {
            return Look::Done;
        }

        let is_going = |l: &Listener| {
            l.processes()
                .any(|process| class_group.is_going(l.queue(), process))
        };

        let came = self.listeners.came();

        // One by one: someone can have opened a queue in a place that was free, and closed another.
        if self.listeners.iter().all(|listener| is_going(&listener)) && self.listeners.end_if(came)
        {
            self.close(class_group);
            return Look::Gone;
        }
        for listener in self.listeners.iter().filter(is_going) {
            self.put_back_all(listener.reader(), None);
        }
        Look::Again
    }

    /// Makes the current process that of a file. What others have read of it and not answered is to
    /// be read again: it can be of a process that was there before, or of a child that has ended,
    /// whoever was the owner. Fails with `ENOENT` if the group is being closed.
    pub(crate) fn own(&self, reader: Reader) -> Result {
        self.listeners.own(reader)?;
        self.put_back_all(reader, Some(Number::of_current_process()));
        Ok(())
    }

    /// A queue is opened by the current process. Fails with `ENOSPC` if there are too many, and with
    /// `ENOENT` if the group is being closed.
    pub(crate) fn open_queue(&self, file: Arc<QueueFile>) -> Result<Reader> {
        self.listeners.add(file)
    }

    /// A queue is closed: what was read of it and not answered is for others.
    pub(crate) fn close_queue(&self, reader: Reader) {
        self.put_back_all(reader, None);
        self.listeners.remove(reader);
    }

    /// Puts back what was read of a file and not answered, but not what the process `keep` has read.
    /// The lock is given up now and then, as there can be as many as there are tasks.
    fn put_back_all(&self, reader: Reader, keep: Option<Number>) {
        let mut from = Some(0);

        while let Some(cookie) = from {
            let mut queue = self.queue.lock();

            from = queue.put_back_some(reader, cookie, keep);
            self.readers.notify_all();
        }
    }

    /// Takes an answer from user space to this group, which is `class_group` to the C side.
    ///
    /// Fails with `ENOENT` if no one waits for it by this reader, and with `ENOMEM` or `ENOSPC` as
    /// [`Targets::ignore`] does: then nothing is answered. If the task is killed meanwhile, the event
    /// can be ignored although this fails with `ENOENT`. Where there is nothing left to ignore it
    /// on, as the inode is being deleted, it is allowed.
    ///
    /// [`Targets::ignore`]: crate::sys::ignore::Targets::ignore
    pub(crate) fn answer<C: Class>(
        &self,
        class_group: &ClassGroup<C>,
        reader: Reader,
        answer: &Answer,
    ) -> Result {
        let (lent, ignored) = if answer.ignore {
            let lent = self.lend(class_group, reader, answer.cookie)?;
            let ignored = match lent.targets().map(|targets| targets.ignore(class_group)) {
                Some(Err(err)) if err != ENOENT => return Err(err),
                ignored => ignored.and_then(Result::ok),
            };

            (Some(lent), ignored)
        } else {
            (None, None)
        };
        let reply = Reply {
            ignored,
            ..Reply::of(answer.verdict)
        };

        let mut queue = self.queue.lock();
        let answered = queue.answer(reader, answer.cookie, reply);

        drop(queue);

        let answered = answered?;

        if let Some(lent) = lent {
            lent.give_back();
        }
        answered.wake();
        Ok(())
    }

    /// Borrows what an event is to be ignored on from the task that waits. Fails with `ENOENT` if that
    /// one does not wait for this reader, and with `ENOMEM`.
    fn lend<C: Class>(
        &self,
        class_group: &ClassGroup<C>,
        reader: Reader,
        cookie: u64,
    ) -> Result<Lent<C>> {
        let room = lent::Room::new()?;
        let targets = self.queue.lock().targets(reader, cookie)?;

        Ok(Lent::new(room, targets, class_group))
    }

    /// An operation ended that the group was asked about: tells it, if there is a `post`. Keeps what
    /// the operation had in `asked`.
    pub(crate) fn end(&self, event: &Event, post: Option<Post>, asked: Option<KBox<A>>) {
        let mut queue = self.queue.lock();
        // The event before the barriers that wait for it.
        let rejected = post.and_then(|post| {
            let rejected = queue.post(post).err();

            self.readers.notify_all();
            rejected
        });
        let landed = queue.land(event);
        let has_barriers = queue.has_barriers();
        let not_kept = asked.and_then(|asked| queue.keep(asked));

        drop(queue);
        drop(rejected);
        drop(landed);
        drop(not_kept);
        if let (true, Some((super_block, _))) = (has_barriers, event.in_flight()) {
            self.answer_barriers(super_block);
        }
    }

    /// Sees to it that `FAN_Q_BARRIER` is sent when all operations on a super block have ended that
    /// the group has allowed by now, and after [`Group::end_barrier`]. Returns the barrier's number.
    ///
    /// Only one task at a time may call this. Fails with `ENOMEM`, and with `ENOSPC` if there are
    /// too many whose events were not read.
    pub(crate) fn begin_barrier(&self, super_block: usize) -> Result<u64> {
        let number = self.queue.lock().next_barrier()?;
        let event = Event::barrier(number)?;
        let room = BarrierRoom::new(memcg::gfp())?;

        self.queue.lock().begin_barrier(super_block, event, room);
        Ok(number)
    }

    /// Operations that the group was not asked about have ended, as far as a barrier is about them.
    pub(crate) fn end_barrier(&self, number: u64) {
        let super_block = self.queue.lock().end_barrier(number);

        if let Some(super_block) = super_block {
            self.answer_barriers(super_block);
        }
    }

    fn answer_barriers(&self, super_block: usize) {
        loop {
            let mut queue = self.queue.lock();
            let Some(answered) = queue.answer_barrier(super_block) else {
                return;
            };

            self.readers.notify_all();
            drop(queue);
            drop(answered);
        }
    }

    /// Tells what is gone. If there is no memory for that, it is lost as others are.
    pub(crate) fn tell_gone(&self, gone: Gone) {
        match Event::gone(gone) {
            Ok(post) => self.queue_post(|queue| queue.post(post)),
            Err(_) => self.lose(),
        }
    }

    /// Tells the end of an operation that the group was not asked about.
    pub(crate) fn post(&self, post: Post) {
        self.queue_post(|queue| queue.post_limited(post));
    }

    /// There was no memory for the end of an operation that the group was not asked about.
    pub(crate) fn lose(&self) {
        self.queue_post(|queue| {
            queue.lose();
            Ok(())
        });
    }

    fn queue_post(&self, put: impl FnOnce(&mut Queue<A>) -> core::result::Result<(), Post>) {
        let mut queue = self.queue.lock();
        let rejected = put(&mut queue);

        self.readers.notify_all();
        drop(queue);
        drop(rejected);
    }

    /// Takes the event that user space is to read next, see [`Queue::take`], and tells if that was
    /// the last one.
    ///
    /// If there is none, waits for one unless `wait` is false, and returns `None` then; so it does when
    /// the group was closed. Fails with `EINVAL` if there is not enough room, and with `ERESTARTSYS`
    /// after a signal.
    pub(crate) fn take(
        &self,
        reader: Reader,
        wait: bool,
        room: usize,
    ) -> Result<Option<(Taken, bool)>> {
        let process = Number::of_current_process();
        let mut queue = self.queue.lock();

        let taken = loop {
            match queue.take(reader, process, room) {
                Ok(None) if wait && !queue.is_closed() => {}
                other => break other,
            }
            if self.readers.wait_interruptible(&mut queue) {
                return Err(ERESTARTSYS);
            }
        };

        drop(queue);
        if matches!(taken, Ok(Some((Taken::Pre(..), _)))) {
            self.listeners.takes(reader);
        }
        taken
    }

    /// An event could not be copied to user space.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut queue = self.queue.lock();
        let cancelled = queue.put_back(taken);

        self.readers.notify_all();
        drop(queue);
        drop(cancelled);
    }

    /// User space has read an event.
    pub(crate) fn taken(&self, taken: Taken) {
        let post = match taken {
            Taken::Post(post) if !post.is_operation() => post,
            other => return drop(other),
        };
        let mut queue = self.queue.lock();
        let done_with = queue.set_read(post);

        // It may have been queued again.
        if !queue.is_empty() {
            self.readers.notify_all();
        }
        drop(queue);
        drop(done_with);
    }

    /// Bytes of all events in the queue.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.lock().bytes()
    }

    /// Is there something to read, and was the group closed?
    pub(crate) fn poll(&self, file: &File, table: &PollTable<'_>) -> (bool, bool) {
        table.register_wait(file, &self.readers);

        let queue = self.queue.lock();

        (!queue.is_empty(), queue.is_closed())
    }

    /// Was the group's own file closed?
    pub(crate) fn is_closed(&self) -> bool {
        self.queue.lock().is_closed()
    }

    /// The file was closed: allows all that waits, or denies it if the group fails closed, and lets
    /// nothing wait from here on.
    pub(crate) fn close<C: Class>(&self, class_group: &ClassGroup<C>) {
        let mut queue = self.queue.lock();
        let remains = queue.close();

        self.is_closed.store(true, Relaxed);
        // Whoever has a queue is to know.
        self.readers.notify_all();
        drop(queue);
        if self.fails_closed() {
            // As the sentinel that it is from here on.
            for _ in 0..remains.answer_all(Verdict::Deny(EIO)) {
                class_group.count_denied();
            }
        } else {
            remains.answer_all(Verdict::Allow);
        }
        // Whoever had it is no one special to what remains of it.
        self.listeners.remove(Reader::OWN);
    }
}

/// Checks flags and mask of fanotify_mark(2), returns the mask that marks are to have.
///
/// Fails with `EINVAL` for an event that cannot be filtered, and for an ignore mask of the old kind
/// or one that does not survive modification.
pub(crate) fn mark_mask(flags: u32, mask: u64) -> Result<u64> {
    let ignore = flags & IGNORE_BITS;
    let survives = flags & bindings::FAN_MARK_IGNORED_SURV_MODIFY != 0;

    // What is flushed is not asked how long it would have lasted.
    if flags & bindings::FAN_MARK_FLUSH == 0
        && (ignore & bindings::FAN_MARK_IGNORED_MASK != 0 || ignore != 0 && !survives)
    {
        return Err(EINVAL);
    }
    Ok(Mask::fold(mask)?.into_raw())
}
