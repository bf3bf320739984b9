// SPDX-License-Identifier: GPL-2.0

//! A task or process by its `struct pid`, which is never reused while someone has a reference.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use core::ptr::NonNull;
use kernel::bindings;
use kernel::seq_file::SeqFile;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::rcu;

/// A reference to a `struct pid`.
///
/// # Invariants
///
/// `0` points to a valid `struct pid` and owns one reference to it.
#[derive(PartialEq, Eq)]
pub(crate) struct Pid(NonNull<bindings::pid>);

// SAFETY: A `struct pid` is reference-counted and can be put by any task.
unsafe impl Send for Pid {}

// SAFETY: What can be read through a shared reference does not change during its lifetime.
unsafe impl Sync for Pid {}

/// A `struct pid` to be compared with, which can be gone. The pointer is not followed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(*mut bindings::pid);

/// A process by a number that no other has had since the machine was started. So it can be compared
/// with one that is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number(u64);

impl Number {
    pub(crate) fn of_current_process() -> Self {
        // SAFETY: The current task is not dead, so its process has a pid, which is valid as long as
        // the task runs, and has had its number since before that.
        Self(unsafe {
            (*bindings::task_tgid(bindings::get_current()))
                .__bindgen_anon_1
                .ino
        })
    }

    /// It is not 0.
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

impl Id {
    pub(super) fn of(pid: *mut bindings::pid) -> Self {
        Self(pid)
    }

    /// The process of the current task.
    pub(crate) fn of_current_process() -> Self {
        // SAFETY: The current task is not dead, so its process has a pid.
        Self(unsafe { bindings::task_tgid(bindings::get_current()) })
    }
}

/// An [`Id`] that can be read while it is set.
pub(crate) struct AtomicId(Atomic<*mut bindings::pid>);

impl AtomicId {
    pub(crate) fn new(id: Id) -> Self {
        Self(Atomic::new(id.0))
    }

    /// One that is not set.
    pub(crate) fn none() -> Self {
        Self(Atomic::new(core::ptr::null_mut()))
    }

    /// Is it this one?
    pub(crate) fn is(&self, id: Id) -> bool {
        self.0.load(Relaxed) == id.0
    }

    pub(crate) fn clear(&self) {
        self.0.store(core::ptr::null_mut(), Relaxed);
    }

    pub(crate) fn set(&self, id: Id) {
        self.0.store(id.0, Relaxed);
    }
}

impl Pid {
    /// Takes a reference of its own.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a valid `struct pid` during the call.
    pub(super) unsafe fn from_raw(ptr: *mut bindings::pid) -> Self {
        // SAFETY: By the safety requirements, `ptr` is valid and so it can be taken a reference to.
        let ptr = unsafe { bindings::get_pid(ptr) };

        // SAFETY: get_pid() returns its argument, which is not null as it is valid.
        // INVARIANT: This is the reference that was just taken.
        Self(unsafe { NonNull::new_unchecked(ptr) })
    }

    /// The process of the current task.
    pub(crate) fn current_process() -> Self {
        // SAFETY: The current task is not dead, so its process has a pid, which is valid as long as
        // the task runs, and so during the call.
        unsafe { Self::from_raw(bindings::task_tgid(bindings::get_current())) }
    }

    /// Does the parent of the current task wait until it executes a program or exits, as that of a
    /// child of vfork(2) does, whose memory is its parent's?
    pub(crate) fn current_is_in_vfork() -> bool {
        // SAFETY: The current task is valid. `vfork_done` is a pointer that is reset at any time, and
        // is only compared.
        unsafe {
            !(&raw const (*bindings::get_current()).vfork_done)
                .read_volatile()
                .is_null()
        }
    }

    /// Has this process the memory of the current task? Returns `gone` if it is gone or on its way out,
    /// and so has none.
    pub(crate) fn has_memory_of_current(&self, gone: bool) -> bool {
        let _guard = rcu::read_lock();

        // SAFETY: By the type invariant, and what is found is a task that stays until the end of the
        // read section of RCU. `mm` is a pointer that is set at any time, and is only compared.
        unsafe {
            let task = bindings::pid_task(self.as_ptr(), bindings::pid_type_PIDTYPE_TGID);

            if task.is_null() {
                return gone;
            }
            match (&raw const (*task).mm).read_volatile() {
                mm if mm.is_null() => gone,
                mm => mm == (*bindings::get_current()).mm,
            }
        }
    }

    /// What tells it from all others that someone has a reference to.
    pub(crate) fn id(&self) -> Id {
        Id(self.0.as_ptr())
    }

    /// Its number in the pid namespace of the current task, or 0 if it has none there.
    pub(crate) fn nr_for_current(&self) -> i32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::pid_vnr(self.as_ptr()) }
    }

    /// Its number in the initial pid namespace.
    pub(crate) fn nr(&self) -> i32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::pid_nr(self.as_ptr()) }
    }

    /// Its number in the pid namespace of the proc file that is being read.
    pub(crate) fn nr_for_reader(&self, m: &SeqFile) -> i32 {
        // CAST: `SeqFile` is a transparent wrapper of `struct seq_file`, which it does not give.
        let m = core::ptr::from_ref(m)
            .cast_mut()
            .cast::<bindings::seq_file>();

        // SAFETY: By the type invariant, and `m` is valid as the reference to it is. A `seq_file`
        // that show_fdinfo() is called with is that of a file in a proc file system.
        unsafe { bindings::seq_pid_nr(m, self.as_ptr()) }
    }

    /// For C functions that only read.
    pub(super) fn as_ptr(&self) -> *mut bindings::pid {
        self.0.as_ptr()
    }
}

impl Clone for Pid {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant.
        unsafe { Self::from_raw(self.as_ptr()) }
    }
}

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to be put.
        unsafe { bindings::put_pid(self.as_ptr()) };
    }
}
