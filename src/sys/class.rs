// SPDX-License-Identifier: GPL-2.0

//! A class of fanotify groups, as a safe trait.
//!
//! The callbacks from C only translate; what the class does is in the trait's functions. Each is
//! called in a task and may sleep, but for [`Class::watchdog`], which is called under a spinlock.
//! What else their callers can have locked:
//!
//! - [`Class::pre`] and [`Class::post`] are called in a read section of `fsnotify_mark_srcu`, where
//!   no one may wait for user space. At PRE there is no lock but `cred_guard_mutex`, with which an
//!   interpreter is asked about; if the operation must not wait, or is a probe, there can be any
//!   mutex or semaphore. So there can at POST, and when [`Class::end`] is called, which is not in
//!   the read section.
//! - [`Class::wait`] is called outside of it, too, with `cred_guard_mutex` at most.
//! - [`Class::begin_barrier`] is called with the mutex of the group; [`Class::end_barrier`] by a
//!   work item, with no lock.
//! - [`Class::gone`] is called with no lock of fsnotify, but maybe with `s_umount`.
//! - All else is called for a system call or the last close of a file, with no lock of fsnotify.
//!
//! What is called for their files is in [`files`].
//!
//! C header: [`include/linux/fanotify.h`](srctree/include/linux/fanotify.h)

mod files;

use super::inode::Inode;
use super::memcg;
use super::op::Op;
use super::pid::Pid;
use core::marker::PhantomData;
use core::ptr::NonNull;
use files::Fops;
use files::Own;
use kernel::bindings;
use kernel::error::from_result;
use kernel::error::to_result;
use kernel::fs::File;
use kernel::module::this_module;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::sync::poll::PollTable;
use kernel::sync::Arc;
use kernel::sync::ArcBorrow;
use kernel::types::ForeignOwnable;
use kernel::types::Opaque;
use kernel::uaccess::UserSliceReader;
use kernel::uaccess::UserSliceWriter;

pub(crate) use files::GroupFile;
pub(crate) use files::QueueFile;

/// What makes a class of groups.
///
/// A group is there from [`Class::init`] on. Its files call the functions from [`Class::read`] to
/// [`Class::show_fdinfo`]: its own, and queues. [`Class::release`] is the last call for its own file, and
/// [`Class::close_queue`] for a queue, which can come later. A group whose file was released can still
/// be passed to [`Class::pre`] and [`Class::post`] until its marks are gone.
pub(crate) trait Class: Sized + 'static {
    /// Flags of fanotify_init(2) that are accepted, besides the class itself.
    const INIT_FLAGS: u32;

    /// The class's part of a group.
    type Group: Send + Sync + 'static;

    /// What the class attaches to an operation that asks its groups.
    type Asked: Send + 'static;

    /// What tells the files of a group apart.
    type Reader: Copy + Send + Sync + 'static;

    /// The group's own file.
    const OWN: Self::Reader;

    /// Makes a group.
    ///
    /// `flags` are those of fanotify_init(2), `max_events` is the limit of its queue.
    fn init(flags: u32, max_events: u32) -> Result<Arc<Self::Group>>;

    /// Checks flags and mask of fanotify_mark(2) and returns the mask that marks are to have.
    fn mark(flags: u32, mask: u64) -> Result<u64>;

    /// An operation is about to start that the group is interested in.
    ///
    /// Returns true if the group was asked and [`Class::wait`] is to be called. Must not wait for
    /// user space itself. An error ends the operation.
    fn pre(group: &ClassGroup<Self>, op: &mut Op<Self::Asked>, event: &ClassEvent) -> Result<bool>;

    /// An operation ended that the group is interested in.
    fn post(group: &ClassGroup<Self>, op: &mut Op<Self::Asked>, event: &ClassEvent);

    /// Complains of an event that was read at the last call, `timeout` seconds ago, and has no
    /// answer. Called by a work item under the spinlock of the list of all groups that are asked:
    /// must not sleep.
    fn watchdog(group: ArcBorrow<'_, Self::Group>, timeout: c_int);

    /// Looks if there is someone who can answer. Called by a work item with no lock, some time after
    /// [`ClassGroup::look_later`].
    fn look(group: &ClassGroup<Self>) -> Look;

    /// `FAN_MARK_BARRIER` for a super block, of which a number is given. Returns the number of the
    /// barrier. Calls for one group come one after the other.
    fn begin_barrier(group: ArcBorrow<'_, Self::Group>, super_block: usize) -> Result<u64>;

    /// Operations that the group was not asked about have ended, if they had begun by the time of
    /// the barrier.
    fn end_barrier(group: ArcBorrow<'_, Self::Group>, number: u64);

    /// What the group had marked is gone: an object on the file system of this id, or the mount of
    /// this unique id.
    fn gone(group: ArcBorrow<'_, Self::Group>, fsid: [i32; 2], mount: Option<u64>);

    /// Waits for the answer of the group that was asked last. An error ends the operation.
    fn wait(asked: &mut Self::Asked) -> Result;

    /// An operation ended, whose groups were asked.
    fn end(op: &Op<Self::Asked>, asked: KBox<Self::Asked>);

    /// A queue of the group is opened. Called before anyone can use its `file`.
    fn open_queue(group: ArcBorrow<'_, Self::Group>, file: Arc<QueueFile>) -> Result<Self::Reader>;

    /// The last descriptor of a queue was closed, or it was not opened after all.
    fn close_queue(group: ArcBorrow<'_, Self::Group>, reader: Self::Reader);

    /// read(2), returns the number of bytes.
    fn read(
        group: &ClassGroup<Self>,
        reader: Self::Reader,
        file: &GroupFile,
        buf: &mut UserSliceWriter,
    ) -> Result<usize>;

    /// write(2), returns the number of bytes.
    fn write(
        group: &ClassGroup<Self>,
        reader: Self::Reader,
        buf: &mut UserSliceReader,
    ) -> Result<usize>;

    /// Returns what is ready, as `POLLIN` and the like.
    fn poll(group: ArcBorrow<'_, Self::Group>, file: &File, table: PollTable<'_>) -> u32;

    /// ioctl(2).
    fn ioctl(group: &ClassGroup<Self>, reader: Self::Reader, cmd: u32, arg: usize)
        -> Result<isize>;

    /// The last descriptor of the group's own file was closed.
    fn release(group: &ClassGroup<Self>);

    /// Shows the class's part of fdinfo.
    fn show_fdinfo(group: ArcBorrow<'_, Self::Group>, reader: Self::Reader, m: &SeqFile);
}

/// What [`Class::look`] has seen.
pub(crate) enum Look {
    /// No one waits for an answer.
    Done,
    /// Someone does, and it is to be looked again.
    Again,
    /// There is no one who could answer: it is as if the group's file was closed.
    Gone,
}

/// Attaches `asked` to an operation, until [`Class::end`].
pub(crate) fn attach<C: Class>(op: &mut Op<C::Asked>, asked: KBox<C::Asked>) -> &mut C::Asked {
    // SAFETY: A promoted constant is static, and it is the one of the class.
    unsafe { op.attach(&Vtable::<C>::OP_OPS, asked) }
}

/// A group may want to know more of operations than before, for a reason other than its marks. To
/// be called after the change.
pub(crate) fn interest_grew() {
    // SAFETY: It has no requirements.
    unsafe { bindings::fsnotify_op_interest_grew() };
}

/// A group as the C side knows it, with its marks.
///
/// # Invariants
///
/// `inner` is a group of class `C` that [`Class::init`] succeeded for, and that is referenced.
#[repr(transparent)]
pub(crate) struct ClassGroup<C: Class> {
    inner: Opaque<bindings::fsnotify_group>,
    _class: PhantomData<C>,
}

// SAFETY: A group is shared by all tasks. What can be done with it here the C side allows from any
// of them, and the class's part is `Send` and `Sync`.
unsafe impl<C: Class> Send for ClassGroup<C> {}

// SAFETY: As above.
unsafe impl<C: Class> Sync for ClassGroup<C> {}

// SAFETY: fsnotify_get_group() takes a reference, and the group stays until it is put. The class's
// module is referenced as long as the group is there, and whoever drops the last reference has one
// of its own: a file of the group, or an operation.
unsafe impl<C: Class> AlwaysRefCounted for ClassGroup<C> {
    fn inc_ref(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fsnotify_get_group(self.inner.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the safety requirements there is a reference to be given up.
        unsafe { bindings::fsnotify_put_group(obj.as_ptr().cast()) };
    }
}

impl<C: Class> ClassGroup<C> {
    /// # Safety
    ///
    /// `ptr` must be a group of class `C` that [`Vtable::init`] succeeded for, and that is
    /// referenced during `'a`.
    unsafe fn from_raw<'a>(ptr: *mut bindings::fsnotify_group) -> &'a Self {
        // SAFETY: By the safety requirements; the layout is that of the C type.
        // INVARIANT: By the safety requirements.
        unsafe { &*ptr.cast() }
    }

    /// The class's part.
    pub(crate) fn get(&self) -> ArcBorrow<'_, C::Group> {
        // SAFETY: By the type invariant, the private part was set by `init`, and is only taken back
        // by `free`, when there is no reference to the group left.
        unsafe { Arc::borrow(bindings::fanotify_class_private(self.inner.get())) }
    }

    /// Ignores events on an inode from here on. Returns what tells this from all other ignore
    /// masks.
    pub(super) fn ignore(
        &self,
        inode: &Inode,
        event: &bindings::fanotify_class_event,
    ) -> Result<u64> {
        let mut id = 0;

        // SAFETY: By the type invariants of both; the rest is valid during the call.
        to_result(unsafe {
            bindings::fanotify_class_ignore(self.inner.get(), inode.as_ptr(), event, &mut id)
        })?;
        Ok(id)
    }

    /// Opens a queue of the group. Returns its descriptor.
    ///
    /// `flags` are `O_CLOEXEC` and `O_NONBLOCK`. Fails with `EMFILE`, `ENFILE`, `ENOMEM`, and as
    /// [`Class::open_queue`] does.
    pub(crate) fn open_queue(&self, flags: u32) -> Result<u32> {
        files::open_queue(self, flags)
    }

    /// A group that fails closed, and was closed, has denied an operation.
    pub(crate) fn count_denied(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fanotify_class_denied(self.inner.get()) };
    }

    /// Sees to it that [`Class::look`] is called after a while.
    pub(crate) fn look_later(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fanotify_class_look_later(self.inner.get()) };
    }

    /// Is it only a process that is ending, dumps its core or was killed that keeps a file of the
    /// group open: `queue`, or its own?
    pub(crate) fn is_going(&self, queue: Option<&QueueFile>, process: &Pid) -> bool {
        let is_going = |file| {
            // SAFETY: By the type invariant, and that of the pid; the file is null, or as below.
            unsafe { bindings::fanotify_class_is_going(self.inner.get(), file, process.as_ptr()) }
        };

        match queue {
            // The C side knows it.
            None => is_going(core::ptr::null_mut()),
            // It is not released during the call.
            Some(queue) => queue.with(is_going).unwrap_or(false),
        }
    }

    /// Is the ignore mask in force that `id` was returned for, without an interruption?
    ///
    /// # Safety
    ///
    /// `inode` must be referenced during the call.
    pub(super) unsafe fn ignores(&self, inode: *mut bindings::inode, mask: u64, id: u64) -> bool {
        // SAFETY: By the type invariant and the safety requirements.
        unsafe { bindings::fanotify_class_ignores(self.inner.get(), inode, mask, id) }
    }
}

/// An event as the C side passes it on.
///
/// # Invariants
///
/// `0` is valid, and its pid is referenced, for as long as this is.
#[repr(transparent)]
pub(crate) struct ClassEvent(bindings::fanotify_class_event);

impl ClassEvent {
    /// # Safety
    ///
    /// `ptr` must point to a valid `struct fanotify_class_event` during `'a`.
    unsafe fn from_raw<'a>(ptr: *const bindings::fanotify_class_event) -> &'a Self {
        // SAFETY: By the safety requirements; the layout is that of the C type.
        // INVARIANT: By the safety requirements.
        unsafe { &*ptr.cast() }
    }

    /// The PRE or POST event, and `FAN_ONDIR`.
    pub(crate) fn mask(&self) -> u64 {
        self.0.mask
    }

    /// All PRE and POST events that the group asks for on this object.
    pub(crate) fn wanted(&self) -> u64 {
        self.0.wanted
    }

    /// Unique id of the mount that it came through.
    pub(crate) fn mount(&self) -> u64 {
        self.0.mnt_id
    }

    /// Id of the file system, the two words of `struct statfs`'s `f_fsid`.
    pub(crate) fn fsid(&self) -> [i32; 2] {
        self.0.fsid.val
    }

    /// The same as the C side has it, and if others can have that id, too.
    pub(super) fn file_system(&self) -> (bindings::__kernel_fsid_t, bool) {
        (self.0.fsid, self.0.weak_fsid)
    }

    /// Whom to report.
    pub(crate) fn pid(&self) -> Pid {
        // SAFETY: By the type invariant.
        unsafe { Pid::from_raw(self.0.pid) }
    }

    /// Lets a pidfd of it be opened even when it is gone. Fails with `ENOMEM`.
    pub(crate) fn keep_pidfd(&self) -> Result {
        // SAFETY: By the type invariant.
        to_result(unsafe { bindings::fanotify_class_keep_pidfd(&self.0) })
    }
}

/// A class that fanotify_init(2) knows. Dropped, it is not known any more.
///
/// # Invariants
///
/// `class` is registered as long as this exists, and is that of `C`.
pub(crate) struct Registration<C: Class> {
    /// Kept because it is compared by address, and each use of a constant may have its own.
    class: &'static bindings::fanotify_class,
    _class: PhantomData<C>,
}

// SAFETY: What `class` points to is never written to, and can be unregistered from any task.
unsafe impl<C: Class> Send for Registration<C> {}

// SAFETY: Nothing can be done with a shared reference to it.
unsafe impl<C: Class> Sync for Registration<C> {}

impl<C: Class> Registration<C> {
    /// Registers the class. Fails with `EBUSY` if there is another one.
    pub(crate) fn new() -> Result<Self> {
        let class = &Vtable::<C>::CLASS;

        // SAFETY: A promoted constant is static, and its functions are those of this module, which
        // unregisters the class before it goes.
        to_result(unsafe { bindings::fanotify_register_class(class) })?;

        // INVARIANT: Just registered.
        Ok(Self {
            class,
            _class: PhantomData,
        })
    }
}

impl<C: Class> Drop for Registration<C> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::fanotify_unregister_class(self.class) };
    }
}

/// The callbacks of class `C`.
struct Vtable<C: Class>(PhantomData<C>);

impl<C: Class> Vtable<C> {
    const CLASS: bindings::fanotify_class = bindings::fanotify_class {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        fops: &Fops::<C, Own>::FOPS,
        init_flags: C::INIT_FLAGS,
        init: Some(Self::init),
        free: Some(Self::free),
        mark: Some(Self::mark),
        pre: Some(Self::pre),
        post: Some(Self::post),
        watchdog: Some(Self::watchdog),
        begin_barrier: Some(Self::begin_barrier),
        end_barrier: Some(Self::end_barrier),
        gone: Some(Self::gone),
        look: Some(Self::look),
    };

    const OP_OPS: bindings::fsnotify_op_ops = bindings::fsnotify_op_ops {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        wait: Some(Self::wait),
        end: Some(Self::end),
    };

    /// # Safety
    ///
    /// `group` must point to a group of class `C` that [`Vtable::init`] succeeded for and that is
    /// referenced during `'a`.
    unsafe fn borrow<'a>(group: *mut bindings::fsnotify_group) -> ArcBorrow<'a, C::Group> {
        // SAFETY: By the safety requirements.
        unsafe { ClassGroup::<C>::from_raw(group) }.get()
    }

    /// # Safety
    ///
    /// `group` must be a new group of class `C` that no one else knows yet, and for which this was
    /// not called before.
    unsafe extern "C" fn init(group: *mut bindings::fsnotify_group, flags: c_uint) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let max_events = unsafe { (*group).max_events };
            let private = C::init(flags, max_events)?.into_foreign();

            // SAFETY: As above.
            unsafe { bindings::fanotify_set_class_private(group, private) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that `init` succeeded for, to which there is no
    /// reference left, and which the caller passes to none of these functions any more.
    unsafe extern "C" fn free(group: *mut bindings::fsnotify_group) {
        // SAFETY: By the safety requirements this is what `init` has set, and no one borrows it.
        drop(unsafe { Arc::<C::Group>::from_foreign(bindings::fanotify_class_private(group)) });
    }

    /// # Safety
    ///
    /// `mask` must point to a mask that no one else uses during the call.
    unsafe extern "C" fn mark(
        _group: *mut bindings::fsnotify_group,
        flags: c_uint,
        mask: *mut u64,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            unsafe { *mask = C::mark(flags, *mask)? };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that is referenced during the call, if only by a mark
    /// that the caller found in a read section of `fsnotify_mark_srcu`. `op` must be valid, used by
    /// no one else during the call, and have attached what this class attached, or nothing; `event`
    /// and its pid must be valid during the call.
    unsafe extern "C" fn pre(
        group: *mut bindings::fsnotify_group,
        op: *mut bindings::fsnotify_op,
        event: *const bindings::fanotify_class_event,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements. A mark references its group until after the read
            // section. What is attached is of this class, as there is only one.
            let asked = unsafe {
                C::pre(
                    ClassGroup::from_raw(group),
                    Op::from_raw(op),
                    ClassEvent::from_raw(event),
                )?
            };

            Ok(c_int::from(asked))
        })
    }

    /// # Safety
    ///
    /// As for `pre`. This need not be the task that was asked: an operation can end in another.
    unsafe extern "C" fn post(
        group: *mut bindings::fsnotify_group,
        op: *mut bindings::fsnotify_op,
        event: *const bindings::fanotify_class_event,
    ) {
        // SAFETY: As in `pre`.
        unsafe {
            C::post(
                ClassGroup::from_raw(group),
                Op::from_raw(op),
                ClassEvent::from_raw(event),
            )
        };
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that is referenced during the call, and `number` must
    /// be there to be written.
    unsafe extern "C" fn begin_barrier(
        group: *mut bindings::fsnotify_group,
        sb: *mut bindings::super_block,
        number: *mut u64,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            unsafe {
                let group_of_class = Self::borrow(group);

                *number =
                    memcg::charged_to(group, || C::begin_barrier(group_of_class, sb as usize))?;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that is referenced during the call.
    unsafe extern "C" fn end_barrier(group: *mut bindings::fsnotify_group, number: u64) {
        // SAFETY: By the safety requirements.
        C::end_barrier(unsafe { Self::borrow(group) }, number);
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that [`Vtable::init`] succeeded for, and that is
    /// referenced during the call, as it is while the caller has the lock of the watchdog's list
    /// and finds it there.
    unsafe extern "C" fn watchdog(group: *mut bindings::fsnotify_group, timeout: c_int) {
        // SAFETY: By the safety requirements. They are met as the file of a group takes it off the
        // list of the watchdog, under the lock that this is called with, and gives up its reference
        // after that.
        C::watchdog(unsafe { Self::borrow(group) }, timeout);
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that is referenced, and `gone` valid, during the call.
    unsafe extern "C" fn gone(
        group: *mut bindings::fsnotify_group,
        gone: *const bindings::fanotify_class_gone,
    ) {
        // SAFETY: By the safety requirements.
        unsafe {
            let (fsid, mnt_id) = ((*gone).fsid.val, (*gone).mnt_id);
            let mount = (mnt_id != 0).then_some(mnt_id);
            let group_of_class = Self::borrow(group);

            memcg::charged_to(group, || C::gone(group_of_class, fsid, mount));
        }
    }

    /// # Safety
    ///
    /// `group` must be a group of class `C` that is referenced during the call.
    unsafe extern "C" fn look(
        group: *mut bindings::fsnotify_group,
    ) -> bindings::fanotify_class_look {
        // SAFETY: By the safety requirements.
        match C::look(unsafe { ClassGroup::from_raw(group) }) {
            Look::Done => bindings::fanotify_class_look_FANOTIFY_LOOK_DONE,
            Look::Again => bindings::fanotify_class_look_FANOTIFY_LOOK_AGAIN,
            Look::Gone => bindings::fanotify_class_look_FANOTIFY_LOOK_GONE,
        }
    }

    /// # Safety
    ///
    /// `op` must be valid, used by no one else during the call, and have attached what this class
    /// attached.
    unsafe extern "C" fn wait(op: *mut bindings::fsnotify_op) -> c_int {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let op = unsafe { Op::<C::Asked>::from_raw(op) };

            C::wait(op.attached().ok_or(EIO)?)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// As for `wait`. The caller must forget what is attached, and not call `wait` or `end` again
    /// until something is. This need not be the task that was asked.
    unsafe extern "C" fn end(op: *mut bindings::fsnotify_op) {
        // SAFETY: By the safety requirements.
        let op = unsafe { Op::<C::Asked>::from_raw(op) };
        // SAFETY: By the safety requirements, something is attached, and forgotten after this call.
        let asked = unsafe { op.detach() };

        C::end(op, asked);
    }
}
