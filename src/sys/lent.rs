// SPDX-License-Identifier: GPL-2.0

//! Inodes that a listener borrows from the task that it is asked by.
//!
//! The last reference to an inode that was removed waits for a file system that is frozen, by the
//! listener itself for example, and can take long elsewhere. So a listener must not be the one who puts
//! it. As long as a task waits for an answer, its operation refers to the inodes, and what the listener
//! puts is not the last reference. If the task may be gone meanwhile, a work item puts it.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use super::class::Class;
use super::class::ClassGroup;
use super::ignore::Targets;
use super::memcg;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::impl_has_work;
use kernel::new_work;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::sync::UniqueArc;
use kernel::workqueue::Queue;
use kernel::workqueue::Work;
use kernel::workqueue::WorkItem;

/// The workqueue, or null.
static WORKQUEUE: Atomic<*mut bindings::workqueue_struct> = Atomic::new(core::ptr::null_mut());

/// The workqueue of the module. Dropped, all that was queued has been done.
///
/// # Invariants
///
/// `0` is a workqueue that no one else destroys.
pub(crate) struct Workqueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue belongs to no task.
unsafe impl Send for Workqueue {}

// SAFETY: Nothing can be done with a shared reference to it.
unsafe impl Sync for Workqueue {}

impl Workqueue {
    /// To be made before there is a group, and dropped when there is none any more. Fails with
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: The name is a format that takes no arguments.
        let ptr = unsafe {
            bindings::alloc_workqueue_noprof(
                c"vfs_filter".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
            )
        };

        WORKQUEUE.store(ptr, Relaxed);
        // INVARIANT: Just made.
        NonNull::new(ptr).map(Self).ok_or(ENOMEM)
    }

    /// The workqueue, as long as there is a group.
    fn get<C: Class>(_group: &ClassGroup<C>) -> &Queue {
        // SAFETY: It was made before there was a group, and is not destroyed before the module goes,
        // which waits for the group.
        unsafe { Queue::from_raw(WORKQUEUE.load(Relaxed)) }
    }
}

impl Drop for Workqueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. There is no group by which something could be queued.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

#[pin_data]
struct Loan<C: Class> {
    targets: Targets,
    /// Keeps the module for as long.
    group: ARef<ClassGroup<C>>,
    #[pin]
    work: Work<Self>,
}

impl_has_work! {
    impl{C: Class} HasWork<Self> for Loan<C> { self.work }
}

impl<C: Class> WorkItem for Loan<C> {
    type Pointer = Arc<Self>;

    fn run(loan: Arc<Self>) {
        drop(loan);
    }
}

/// Memory for [`Lent`].
pub(crate) struct Room<C: Class>(UniqueArc<MaybeUninit<Loan<C>>>);

impl<C: Class> Room<C> {
    /// Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(UniqueArc::new_uninit(memcg::gfp())?))
    }
}

/// What a listener has borrowed. Dropped, a work item gives it back.
pub(crate) struct Lent<C: Class>(Option<Arc<Loan<C>>>);

impl<C: Class> Lent<C> {
    pub(crate) fn new(room: Room<C>, targets: Targets, group: &ClassGroup<C>) -> Self {
        let loan = room.0.pin_init_with(pin_init!(Loan {
            targets,
            group: group.into(),
            work <- new_work!("vfs_filter::Loan"),
        }));

        match loan {
            Ok(loan) => Self(Some(loan.into())),
            Err(never) => match never {},
        }
    }

    /// Where something is to be ignored.
    pub(crate) fn targets(&self) -> Option<&Targets> {
        self.0.as_ref().map(|loan| &loan.targets)
    }

    /// Gives it back at once, while the task waits that it was borrowed from.
    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl<C: Class> Drop for Lent<C> {
    fn drop(&mut self) {
        if let Some(loan) = self.0.take() {
            let group = loan.group.clone();

            // No one else has it, so it is not queued yet.
            let _ = Workqueue::get(&group).enqueue(loan);
        }
    }
}
