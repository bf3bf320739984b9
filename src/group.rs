// SPDX-License-Identifier: GPL-2.0

//! A group of the class: its flags, owner, queue and life cycle.
//!
//! # Life cycle
//!
//! 1. fanotify_init(2) makes a [`Group`]. The C group has a reference to it.
//! 2. Marks lead operations to it (`op.rs`), the listener reads and answers (`file.rs`).
//! 3. The last descriptor is closed: [`Group::close`]. Nothing is queued from here on, and what
//!    waits for an answer is allowed. Then the C side removes the marks.
//! 4. The C group is freed and drops its reference. Operations in flight have one of their own, so
//!    that they can end as if nothing had happened.
//!
//! # Locking
//!
//! `queue` and `owner` are spinlocks, and neither is taken under the other. Readers sleep on
//! `readers` and are woken up under `queue`.

#![forbid(unsafe_code)]

use crate::event::Event;
use crate::event::Post;
use crate::event::Pre;
use crate::mask::Mask;
use crate::op::Asked;
use crate::queue::Barrier;
use crate::queue::BarrierNode;
use crate::queue::Counts;
use crate::queue::QuestionNode;
use crate::queue::Queue;
use crate::queue::Room;
use crate::queue::Taken;
use crate::sys::class::ClassGroup;
use crate::sys::pid::AtomicId;
use crate::sys::pid::Id;
use crate::sys::pid::Pid;
use crate::verdict::Answer;
use crate::verdict::Verdict;
use kernel::bindings;
use kernel::fs::File;
use kernel::new_poll_condvar;
use kernel::new_spinlock;
use kernel::prelude::*;
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
    | bindings::FAN_REPORT_TARGET_FID;

/// Kinds of ignore masks that fanotify_mark(2) knows.
const IGNORE_BITS: u32 = bindings::FAN_MARK_IGNORE | bindings::FAN_MARK_IGNORED_MASK;

/// The class, see `sys/class.rs`. Its functions are in the files of their subject.
pub(crate) struct Filter;

/// A group.
#[pin_data]
pub(crate) struct Group {
    /// `FAN_*` of fanotify_init(2).
    flags: u32,
    /// The process whose operations raise no event.
    #[pin]
    owner: SpinLock<Pid>,
    /// The same, for each operation to be compared with. Set under the lock.
    owner_id: AtomicId,
    #[pin]
    queue: SpinLock<Queue>,
    #[pin]
    readers: PollCondVar,
}

impl Group {
    /// Makes a group that is owned by the current process. Fails with `ENOMEM`.
    pub(crate) fn new(flags: u32, max_events: u32) -> Result<Arc<Self>> {
        // CAST: usize has at least 32 bits.
        let queue = Queue::new(max_events as usize, Event::overflow()?)?;

        let owner = Pid::current_process();
        let owner_id = AtomicId::new(owner.id());

        Arc::pin_init(
            pin_init!(Self {
                flags,
                owner <- new_spinlock!(owner, "vfs_filter::owner"),
                owner_id,
                queue <- new_spinlock!(queue, "vfs_filter::queue"),
                readers <- new_poll_condvar!("vfs_filter::readers"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Are events to have the name of their object?
    pub(crate) fn reports_name(&self) -> bool {
        self.flags & bindings::FAN_REPORT_NAME != 0
    }

    /// Are events to have a pidfd?
    pub(crate) fn reports_pidfd(&self) -> bool {
        self.flags & bindings::FAN_REPORT_PIDFD != 0
    }

    /// Makes the current process the owner.
    pub(crate) fn own(&self) {
        let mut owner = self.owner.lock();
        let old = core::mem::replace(&mut *owner, Pid::current_process());

        self.owner_id.set(owner.id());
        drop(owner);
        // Not under the lock, as it may be the last reference.
        drop(old);
    }

    /// The owner, to be compared with.
    ///
    /// One that has been replaced may still be given to a task that runs meanwhile, and be gone. It
    /// is not taken for another process then: one that gets the same memory for its `struct pid`
    /// has not read this before that.
    pub(crate) fn owner_id(&self) -> Id {
        self.owner_id.get()
    }

    /// Runs `show` with the owner, under its lock.
    pub(crate) fn with_owner<R>(&self, show: impl FnOnce(&Pid) -> R) -> R {
        show(&self.owner.lock())
    }

    pub(crate) fn counts(&self) -> Counts {
        self.queue.lock().counts()
    }

    /// Memory for a question, and for the operation if `wants_asked`. Fails with `ENOMEM`.
    pub(crate) fn room(&self, wants_asked: bool) -> Result<(Room, Option<KBox<Asked>>)> {
        let (room, asked) = self.queue.lock().spares(wants_asked);
        let room = match room {
            Some(room) => room,
            None => Room::new(GFP_KERNEL_ACCOUNT)?,
        };
        let asked = match asked {
            None if wants_asked => Some(KBox::new(Asked::new(), GFP_KERNEL_ACCOUNT)?),
            asked => asked,
        };

        Ok((room, asked))
    }

    /// Asks the listener. Gives false if the group was closed: there is no one to ask.
    pub(crate) fn ask(&self, question: QuestionNode, pre: Pre) -> bool {
        let mut queue = self.queue.lock();
        let asked = queue.ask(question, pre);

        if asked.is_ok() {
            self.readers.notify_all();
        }
        drop(queue);
        asked.is_ok()
    }

    /// Waits for the answer to a question of this group.
    ///
    /// Fails with what the listener denied it with, or `EINTR` after a fatal signal.
    pub(crate) fn wait_for_answer(&self, event: &Event) -> Result {
        let waited = event.wait();

        if waited.is_err() {
            let mut queue = self.queue.lock();
            let cancelled = queue.cancel(event.cookie());

            drop(queue);
            if cancelled.is_some() {
                return waited;
            }
        }
        // The question was taken out by someone who answered it.
        event.verdict().map_or(Err(EINTR), Verdict::into_result)
    }

    /// Takes an answer from user space to this group, which is `class_group` to the C side.
    ///
    /// Fails with `ENOENT` if no one waits for it, and as [`Targets::ignore`] does: then nothing is
    /// answered. If the task is killed meanwhile, the event can be ignored although this fails with
    /// `ENOENT`.
    ///
    /// [`Targets::ignore`]: crate::sys::ignore::Targets::ignore
    pub(crate) fn answer(&self, class_group: &ClassGroup<Filter>, answer: &Answer) -> Result {
        let ignored = if answer.ignore {
            let targets = self.queue.lock().targets(answer.cookie)?;

            Some(targets.ignore(class_group)?)
        } else {
            None
        };

        let mut queue = self.queue.lock();
        let remnant = queue.answer(answer.cookie, answer.verdict, ignored);

        drop(queue);
        remnant.map(drop)
    }

    /// An operation ended that the group was asked about: tells it, if there is a `post`. Keeps what
    /// the operation had in `asked`.
    pub(crate) fn end(&self, event: &Event, post: Option<Post>, asked: Option<KBox<Asked>>) {
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
        if has_barriers {
            self.answer_barriers();
        }
    }

    /// Sees to it that `FAN_Q_BARRIER` is sent when all operations on a super block have ended that
    /// the group has allowed by now, and after [`Group::end_barrier`]. Gives the barrier's number.
    ///
    /// Only one task at a time may call this. Fails with `ENOMEM`, and with `EBUSY` if too many are
    /// there that were not read.
    pub(crate) fn begin_barrier(&self, super_block: usize) -> Result<u64> {
        let queue = self.queue.lock();
        let (is_full, number) = (queue.has_all_barriers(), queue.barriers_begun() + 1);

        drop(queue);
        if is_full {
            return Err(EBUSY);
        }
        let barrier = Barrier::new(super_block, Event::barrier(number)?);
        let node = BarrierNode::new(number, barrier, GFP_KERNEL_ACCOUNT)?;

        self.queue.lock().begin_barrier(node);
        Ok(number)
    }

    /// Operations that the group was not asked about have ended, as far as a barrier is about them.
    pub(crate) fn end_barrier(&self, number: u64) {
        self.queue.lock().end_barrier(number);
        self.answer_barriers();
    }

    fn answer_barriers(&self) {
        loop {
            let mut queue = self.queue.lock();
            let Some(answered) = queue.answer_barrier() else {
                return;
            };

            self.readers.notify_all();
            drop(queue);
            drop(answered);
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

    fn queue_post(&self, put: impl FnOnce(&mut Queue) -> core::result::Result<(), Post>) {
        let mut queue = self.queue.lock();
        let rejected = put(&mut queue);

        self.readers.notify_all();
        drop(queue);
        drop(rejected);
    }

    /// Takes the first event that user space is to read, see [`Queue::take`], and tells if that was
    /// the last one.
    ///
    /// If there is none, waits for one unless `wait` is false, and gives `None` then. Fails with
    /// `ERESTARTSYS` after a signal.
    pub(crate) fn take(
        &self,
        wait: bool,
        fits: impl Fn(&Event, bool) -> bool,
    ) -> Result<Option<(Taken, bool)>> {
        let mut queue = self.queue.lock();

        loop {
            match queue.take(&fits) {
                Ok(None) if wait => {}
                other => return other,
            }
            if self.readers.wait_interruptible(&mut queue) {
                return Err(ERESTARTSYS);
            }
        }
    }

    /// An event could not be copied to user space.
    pub(crate) fn put_back(&self, taken: Taken) {
        let mut queue = self.queue.lock();

        queue.put_back(taken);
        self.readers.notify_all();
    }

    /// User space has read an event.
    pub(crate) fn taken(&self, taken: Taken) {
        match taken {
            Taken::Post(post) if post.is_overflow() => self.queue.lock().keep_overflow(post),
            other => drop(other),
        }
    }

    /// Bytes of all events in the queue, see [`Queue::bytes`].
    pub(crate) fn bytes(&self, len: impl Fn(&Event, bool) -> usize) -> usize {
        self.queue.lock().bytes(len)
    }

    /// Is there something to read?
    pub(crate) fn poll(&self, file: &File, table: &PollTable<'_>) -> bool {
        table.register_wait(file, &self.readers);
        !self.queue.lock().is_empty()
    }

    /// The file was closed: allows all that waits, and lets nothing wait from here on.
    pub(crate) fn close(&self) {
        let mut queue = self.queue.lock();
        let remains = queue.close();

        drop(queue);
        remains.answer_all(Verdict::Allow);
    }
}

/// Checks flags and mask of fanotify_mark(2), gives the mask that marks are to have.
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
