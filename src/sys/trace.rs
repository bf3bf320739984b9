// SPDX-License-Identifier: GPL-2.0

//! Trace events. They can be raised with any lock held, and cost a branch that is patched out while
//! no one traces. Each is raised where what it tells is decided, under the lock of the queue, so that
//! there is one for each and their order is that of the queue; but for what is answered as a group is
//! closed, which no one else can get at by then.
//!
//! C header: [`include/trace/events/vfs_filter.h`](srctree/include/trace/events/vfs_filter.h)

use kernel::bindings;

/// Who has decided on an operation.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum By {
    Listener = bindings::VFS_FILTER_BY_LISTENER,
    /// No one has, in time.
    Deadline = bindings::VFS_FILTER_BY_DEADLINE,
    /// Its task was killed.
    Signal = bindings::VFS_FILTER_BY_SIGNAL,
    /// The group was closed.
    Close = bindings::VFS_FILTER_BY_CLOSE,
}

mod raw {
    use kernel::ffi::c_int;
    use kernel::ffi::c_uint;
    use kernel::tracepoint::declare_trace;

    declare_trace! {
        /// # Safety
        ///
        /// RCU must be watching, as it is in all tasks.
        pub(super) unsafe fn pre(group: u64, cookie: u64, mask: u64);

        /// # Safety
        ///
        /// RCU must be watching, as it is in all tasks.
        pub(super) unsafe fn answer(group: u64, cookie: u64, error: c_int, by: c_uint);

        /// # Safety
        ///
        /// RCU must be watching, as it is in all tasks.
        pub(super) unsafe fn post(group: u64, cookie: u64, mask: u64, result: i64);

        /// # Safety
        ///
        /// RCU must be watching, as it is in all tasks.
        pub(super) unsafe fn barrier(group: u64, number: u64, end: bool);
    }
}

/// A group is asked about the operation `cookie`, and the task is about to wait.
#[inline(always)]
pub(crate) fn pre(group: u64, cookie: u64, mask: u64) {
    // SAFETY: The class runs in tasks, work items included. All that is passed on are numbers.
    unsafe { raw::pre(group, cookie, mask) }
}

/// A question is decided: the operation is allowed (0), or fails with a negative errno.
#[inline(always)]
pub(crate) fn answer(group: u64, cookie: u64, error: i32, by: By) {
    // SAFETY: The class runs in tasks, work items included. All that is passed on are numbers.
    // CAST: `By` has the numbers of the C side.
    unsafe { raw::answer(group, cookie, error, by as u32) }
}

/// A group is told that an operation has returned `result`.
#[inline(always)]
pub(crate) fn post(group: u64, cookie: u64, mask: u64, result: i64) {
    // SAFETY: The class runs in tasks, work items included. All that is passed on are numbers.
    unsafe { raw::post(group, cookie, mask, result) }
}

/// A barrier of a group begins, or ends.
#[inline(always)]
pub(crate) fn barrier(group: u64, number: u64, end: bool) {
    // SAFETY: The class runs in tasks, work items included. All that is passed on are numbers.
    unsafe { raw::barrier(group, number, end) }
}
