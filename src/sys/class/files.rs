// SPDX-License-Identifier: GPL-2.0

//! The files of a group: its own, which is as old as the group, and its queues.
//!
//! Both have the same operations, but for their ends: when its own file is released the group is
//! over, and a queue that is left knows of it. What a file belongs to, and as which reader, is all
//! that differs, see [`Kind`].
//!
//! The callbacks are called by system calls on an open file, with no lock; `release` by the last
//! close, also with no lock.

use super::Class;
use super::ClassGroup;
use crate::sys::pid::Pid;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::error::from_result;
use kernel::fs::file::FileDescriptorReservation;
use kernel::fs::File;
use kernel::module::this_module;
use kernel::new_spinlock;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::sync::aref::ARef;
use kernel::sync::poll::PollTable;
use kernel::sync::Arc;
use kernel::sync::SpinLock;
use kernel::types::ForeignOwnable;
use kernel::types::Opaque;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;

/// A file of a group.
///
/// It is no [`File`], which must not be used while read(2) or write(2) is in a `fdget_pos` region on
/// it, as they are.
///
/// # Invariants
///
/// `0` is an open file of a group of the class.
#[repr(transparent)]
pub(crate) struct GroupFile(Opaque<bindings::file>);

impl GroupFile {
    /// # Safety
    ///
    /// `ptr` must be an open file of a group of a class in a module during `'a`.
    unsafe fn from_raw<'a>(ptr: *mut bindings::file) -> &'a Self {
        // SAFETY: By the safety requirements; the layout is that of the C type.
        // INVARIANT: By the safety requirements.
        unsafe { &*ptr.cast() }
    }

    /// Is a read not to wait?
    pub(crate) fn nonblocking(&self) -> bool {
        // SAFETY: By the type invariant. fcntl(2) can change the flags meanwhile, and whoever reads
        // them has those from before or after that.
        let flags = unsafe { core::ptr::addr_of!((*self.0.get()).f_flags).read_volatile() };

        flags & kernel::fs::file::flags::O_NONBLOCK != 0
    }
}

/// A pidfd that is not yet visible to user space. Dropped, it never will be.
///
/// # Invariants
///
/// If `fd` is not negative, it is a reserved descriptor of the current process, and `file` a file
/// that is referenced.
pub(crate) struct Pidfd {
    fd: i32,
    file: *mut bindings::file,
}

impl Pidfd {
    /// The number to report: a descriptor, `FAN_NOPIDFD` or `FAN_EPIDFD`.
    pub(crate) fn nr(&self) -> i32 {
        self.fd
    }

    /// Makes the descriptor valid.
    pub(crate) fn install(self) {
        if let Ok(fd) = u32::try_from(self.fd) {
            // SAFETY: By the type invariant; reservation and reference are given away, and
            // `forget` keeps them from being dropped as well.
            unsafe { bindings::fd_install(fd, self.file) };
        }
        core::mem::forget(self);
    }
}

impl<C: Class> ClassGroup<C> {
    /// Opens a pidfd to be reported to this group.
    pub(crate) fn pidfd(&self, pid: &Pid) -> Pidfd {
        let mut file = core::ptr::null_mut();
        // SAFETY: By the type invariant. `pid` is referenced, and `file` is there to be written.
        let fd =
            unsafe { bindings::fanotify_class_pidfd(self.inner.get(), pid.as_ptr(), &mut file) };

        // INVARIANT: fanotify_class_pidfd() sets `file` if it reserved a descriptor.
        Pidfd { fd, file }
    }
}

impl Drop for Pidfd {
    fn drop(&mut self) {
        if let Ok(fd) = u32::try_from(self.fd) {
            // SAFETY: By the type invariant, and as `install` was not called.
            unsafe {
                bindings::put_unused_fd(fd);
                bindings::fput(self.file);
            }
        }
    }
}

/// The file of a queue as others know it, who do not keep it open.
///
/// Its lock is a spinlock, taken under no other one. Under it, descriptors of a process can be looked at,
/// which takes the locks of that process.
///
/// # Invariants
///
/// `file` is null, or a file that is not released as long as the lock is held.
#[pin_data]
pub(crate) struct QueueFile {
    #[pin]
    file: SpinLock<FilePtr>,
}

/// What a [`QueueFile`] points to.
struct FilePtr(*mut bindings::file);

// SAFETY: A file can be looked at by any task.
unsafe impl Send for FilePtr {}

impl QueueFile {
    /// One that is not open yet. Fails with `ENOMEM`.
    fn new() -> Result<Arc<Self>> {
        // INVARIANT: It is null.
        Arc::pin_init(
            pin_init!(Self {
                file <- new_spinlock!(FilePtr(core::ptr::null_mut()), "vfs_filter::queue_file"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Calls a function with the file, unless that is released, or not open yet. It must not sleep.
    pub(super) fn with<R>(&self, f: impl FnOnce(*mut bindings::file) -> R) -> Option<R> {
        let file = self.file.lock();

        (!file.0.is_null()).then(|| f(file.0))
    }
}

/// What the private data of a queue's file points to.
struct Queue<C: Class> {
    group: ARef<ClassGroup<C>>,
    reader: C::Reader,
    file: Arc<QueueFile>,
}

impl<C: Class> Drop for Queue<C> {
    fn drop(&mut self) {
        C::close_queue(self.group.get(), self.reader);
    }
}

/// See [`ClassGroup::open_queue`].
pub(super) fn open_queue<C: Class>(group: &ClassGroup<C>, flags: u32) -> Result<u32> {
    let fd = FileDescriptorReservation::get_unused_fd_flags(flags)?;
    let file = QueueFile::new()?;
    let queue = KBox::new_uninit(GFP_KERNEL_ACCOUNT)?;
    let reader = C::open_queue(group.get(), file.clone())?;
    let queue = KBox::write(
        queue,
        Queue {
            group: group.into(),
            reader,
            file: file.clone(),
        },
    )
    .into_foreign();
    // CAST: The flags are small positive numbers.
    let flags = flags as c_int;
    // SAFETY: A promoted constant is static, and its functions are for what a `Queue` is the private
    // data of.
    let opened = from_err_ptr(unsafe {
        bindings::fanotify_class_open_queue(&Fops::<C, Queue<C>>::FOPS, queue, flags)
    });
    let ptr = opened.and_then(|ptr| NonNull::new(ptr).ok_or(ENOMEM));
    let ptr = ptr.inspect_err(|_| {
        // SAFETY: This is what `into_foreign` has returned, and no file has become its owner.
        drop(unsafe { KBox::<Queue<C>>::from_foreign(queue) });
    })?;

    // INVARIANT: Its release sets this to null again, and has not begun.
    file.file.lock().0 = ptr.as_ptr();
    // SAFETY: The file has one reference, which is passed on. No one has a descriptor of it.
    let opened = unsafe { ARef::<File>::from_raw(ptr.cast()) };
    let nr = fd.reserved_fd();

    fd.fd_install(opened);
    Ok(nr)
}

/// Which file of a group it is.
pub(super) trait Kind<C: Class>: 'static {
    /// Returns the group, and as which reader the file belongs to it.
    ///
    /// # Safety
    ///
    /// `file` must be a file of this kind, and not be released during `'a`.
    unsafe fn open<'a>(file: *mut bindings::file) -> (&'a ClassGroup<C>, C::Reader);

    /// Shows in fdinfo what all classes have in common.
    ///
    /// # Safety
    ///
    /// As for `open`; `m` must be a valid seq_file that no one else uses.
    unsafe fn show_common(_m: *mut bindings::seq_file, _file: *mut bindings::file) {}

    /// Releases it.
    ///
    /// # Safety
    ///
    /// `file` must be of this kind, for the last time.
    unsafe fn release(file: *mut bindings::file);
}

/// The group's own file, which has the group as its private data.
pub(super) struct Own;

impl<C: Class> Kind<C> for Own {
    unsafe fn open<'a>(file: *mut bindings::file) -> (&'a ClassGroup<C>, C::Reader) {
        // SAFETY: The private data of such a file is its group, which it references until it is
        // released; the rest is by the safety requirements.
        let group = unsafe { ClassGroup::from_raw((*file).private_data.cast()) };

        (group, C::OWN)
    }

    unsafe fn show_common(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the safety requirements, this shows the flags of the group and its marks.
        unsafe { bindings::fanotify_show_fdinfo(m, file) };
    }

    unsafe fn release(file: *mut bindings::file) {
        // SAFETY: By the safety requirements.
        let (group, _) = unsafe { <Self as Kind<C>>::open(file) };

        C::release(group);
        // SAFETY: The file's reference to the group is given away here, and nothing of the file is
        // used after this. The module is referenced by the file until after the call.
        unsafe { bindings::fanotify_class_release((*file).private_data.cast()) };
    }
}

impl<C: Class> Kind<C> for Queue<C> {
    unsafe fn open<'a>(file: *mut bindings::file) -> (&'a ClassGroup<C>, C::Reader) {
        // SAFETY: The private data of such a file is a `Queue` that `open_queue` has made, which
        // belongs to the file until it is released.
        let queue = unsafe { &*(*file).private_data.cast::<Self>() };

        (&queue.group, queue.reader)
    }

    unsafe fn release(file: *mut bindings::file) {
        // SAFETY: As in `open`; it is given back here.
        let queue = unsafe { KBox::<Self>::from_foreign((*file).private_data) };

        // INVARIANT: Whoever has the lock keeps this from going on.
        queue.file.file.lock().0 = core::ptr::null_mut();
    }
}

/// The operations of the files of class `C` that are of kind `K`.
pub(super) struct Fops<C: Class, K: Kind<C>>(PhantomData<(C, K)>);

impl<C: Class, K: Kind<C>> Fops<C, K> {
    pub(super) const FOPS: bindings::file_operations = bindings::file_operations {
        owner: this_module::<crate::LocalModule>().as_ptr(),
        read: Some(Self::read),
        write: Some(Self::write),
        poll: Some(Self::poll),
        unlocked_ioctl: Some(Self::ioctl),
        compat_ioctl: bindings::compat_ptr_ioctl,
        release: Some(Self::release),
        llseek: Some(bindings::noop_llseek),
        show_fdinfo: Some(Self::show_fdinfo),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As for [`Kind::open`].
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        buf: *mut c_char,
        count: usize,
        _pos: *mut bindings::loff_t,
    ) -> isize {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let ((group, reader), file) = unsafe { (K::open(file), GroupFile::from_raw(file)) };
            let mut buf = UserSlice::new(UserPtr::from_ptr(buf.cast()), count).writer();

            // CAST: No more than `count`, which the C side limits to `MAX_RW_COUNT`.
            C::read(group, reader, file, &mut buf).map(|len| len as isize)
        })
    }

    /// # Safety
    ///
    /// As for [`Kind::open`].
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        buf: *const c_char,
        count: usize,
        _pos: *mut bindings::loff_t,
    ) -> isize {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let (group, reader) = unsafe { K::open(file) };
            let buf = UserPtr::from_ptr(buf.cast_mut().cast());
            let mut buf = UserSlice::new(buf, count).reader();

            // CAST: As in `read`.
            C::write(group, reader, &mut buf).map(|len| len as isize)
        })
    }

    /// # Safety
    ///
    /// As for [`Kind::open`]; `wait` must be null or a valid poll table.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        wait: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: By the safety requirements.
        let (group, _) = unsafe { K::open(file) };
        // SAFETY: By the safety requirements it is open. poll(2) and its like are in no `fdget_pos`
        // region. Others can be in one that did not lock the position; but that is never looked at:
        // these files have no FMODE_ATOMIC_POS, and the class's functions do not use it.
        let file = unsafe { File::from_raw_file(file) };
        // SAFETY: By the safety requirements.
        let table = unsafe { PollTable::from_raw(wait) };

        C::poll(group.get(), file, table)
    }

    /// # Safety
    ///
    /// As for [`Kind::open`].
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        from_result(|| {
            // SAFETY: By the safety requirements.
            let (group, reader) = unsafe { K::open(file) };

            C::ioctl(group, reader, cmd, arg)
        })
    }

    /// # Safety
    ///
    /// As for [`Kind::release`].
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the safety requirements.
        unsafe { K::release(file) };
        0
    }

    /// # Safety
    ///
    /// As for [`Kind::show_common`].
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: By the safety requirements.
        let (group, reader) = unsafe { K::open(file) };

        // Before all of its marks, of which there can be a million.
        // SAFETY: By the safety requirements.
        C::show_fdinfo(group.get(), reader, unsafe { SeqFile::from_raw(m) });
        // SAFETY: By the safety requirements.
        unsafe { K::show_common(m, file) };
    }
}
