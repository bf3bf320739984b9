// SPDX-License-Identifier: GPL-2.0

//! A task or process by its `struct pid`, which is never reused while someone has a reference.
//!
//! C header: [`include/linux/pid.h`](srctree/include/linux/pid.h)

use core::ptr::NonNull;
use kernel::bindings;
use kernel::seq_file::SeqFile;

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

    /// Is this the process of the current task?
    pub(crate) fn is_current_process(&self) -> bool {
        // SAFETY: As in `current_process`. The pointer is compared and not followed.
        let current = unsafe { bindings::task_tgid(bindings::get_current()) };

        self.0.as_ptr() == current
    }

    /// Is this the process of that `struct pid`? The pointer is not followed.
    pub(super) fn is(&self, pid: *const bindings::pid) -> bool {
        core::ptr::eq(self.0.as_ptr(), pid)
    }

    /// Its number in the pid namespace of the current task, or 0 if it has none there.
    pub(crate) fn nr_for_current(&self) -> i32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::pid_vnr(self.as_ptr()) }
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

impl Drop for Pid {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference to be put.
        unsafe { bindings::put_pid(self.as_ptr()) };
    }
}
