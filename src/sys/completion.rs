// SPDX-License-Identifier: GPL-2.0

//! A completion that a task can wait for and still be killed or frozen.
//!
//! C header: [`include/linux/completion.h`](srctree/include/linux/completion.h)

use kernel::bindings;
use kernel::error::to_result;
use kernel::prelude::*;
use kernel::time::Jiffies;
use kernel::types::Opaque;

/// Something that happens once, and that a task waits for on behalf of user space.
///
/// # Invariants
///
/// `inner` is an initialized `struct completion`.
#[pin_data]
#[repr(transparent)]
pub(crate) struct Completion {
    #[pin]
    inner: Opaque<bindings::completion>,
}

// SAFETY: A `struct completion` has a lock of its own and belongs to no task.
unsafe impl Send for Completion {}

// SAFETY: All functions that are called on `inner` take the lock in it.
unsafe impl Sync for Completion {}

impl Completion {
    /// Makes one that has not happened.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialized by the C side.
            inner <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                // SAFETY: `slot` is memory for a `struct completion` that is pinned.
                unsafe { bindings::init_completion(slot) };
            }),
        })
    }

    /// Lets all who wait go on, now and later.
    pub(crate) fn complete(&self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::complete_all(self.inner.get()) };
    }

    /// Waits for it, up to `timeout` in jiffies. Returns whether it has happened.
    ///
    /// Fails with `EINTR` after a fatal signal. The task can be frozen meanwhile.
    pub(crate) fn wait(&self, timeout: Jiffies) -> Result<bool> {
        // SAFETY: By the type invariant. Sleeping here is fine wherever Rust code is called without
        // a spinlock; that there is none is checked by might_sleep() on the C side.
        match to_result(unsafe { bindings::fsnotify_op_wait(self.inner.get(), timeout) }) {
            Err(err) if err == ETIME => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Waits for it, whatever signals come. For what is about to happen.
    pub(crate) fn wait_uninterruptibly(&self) {
        // SAFETY: By the type invariant, and as in `wait`.
        unsafe { bindings::wait_for_completion(self.inner.get()) };
    }
}
