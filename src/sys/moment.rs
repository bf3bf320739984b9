// SPDX-License-Identifier: GPL-2.0

//! When something was, to say how long ago that is: as coarse as a tick, and as cheap as a load.
//!
//! C header: [`include/linux/jiffies.h`](srctree/include/linux/jiffies.h)

use kernel::bindings;
use kernel::time::Jiffies;

/// A moment, in jiffies.
#[derive(Clone, Copy)]
pub(crate) struct Moment(Jiffies);

impl Moment {
    #[inline(always)]
    pub(crate) fn now() -> Self {
        // SAFETY: It is there as long as the kernel is, and one load of a word sees a whole value, as
        // C reads it.
        Self(unsafe { core::ptr::addr_of!(bindings::jiffies).read_volatile() })
    }

    /// How long ago it was, in milliseconds.
    pub(crate) fn elapsed(self) -> u64 {
        let elapsed = Self::now().0.wrapping_sub(self.0);

        // SAFETY: Always safe to call: it computes. CAST: u64 has at least the bits of a word.
        unsafe { bindings::jiffies64_to_msecs(elapsed as u64) }
    }
}
