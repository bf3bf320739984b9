// SPDX-License-Identifier: GPL-2.0

//! Cgroups of the default hierarchy.
//!
//! C header: [`include/linux/fanotify.h`](srctree/include/linux/fanotify.h)

use core::ptr::NonNull;
use kernel::bindings;
use kernel::error::from_err_ptr;
use kernel::prelude::*;

/// A reference to a cgroup, which can have been removed meanwhile.
///
/// # Invariants
///
/// `0` points to a valid cgroup and owns one reference to it.
#[derive(PartialEq, Eq)]
pub(crate) struct Cgroup(NonNull<bindings::cgroup>);

// SAFETY: A cgroup is reference-counted and can be put by any task.
unsafe impl Send for Cgroup {}

// SAFETY: Nothing can be done with a shared reference but to compare it, and to pass it to the C
// side, which looks at what does not change as long as there is a reference.
unsafe impl Sync for Cgroup {}

impl Cgroup {
    /// Takes a reference to the one that the current task has opened the directory of.
    ///
    /// Fails with `EBADF` if there is no such descriptor, `EINVAL` if it is of something else, and
    /// `ENOENT` if the cgroup was removed.
    pub(crate) fn from_fd(fd: c_int) -> Result<Self> {
        // SAFETY: Any number is good for this.
        let ptr = from_err_ptr(unsafe { bindings::fanotify_class_get_cgroup(fd) })?;

        // INVARIANT: This is the reference that was just taken.
        NonNull::new(ptr).map(Self).ok_or(EINVAL)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::cgroup {
        self.0.as_ptr()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference, which is given up here.
        unsafe { bindings::fanotify_class_put_cgroup(self.as_ptr()) };
    }
}
