// SPDX-License-Identifier: GPL-2.0

//! Who pays for memory.
//!
//! Events and all that belongs to them are charged to the memory cgroup of the group that they are
//! for, whoever causes them. Its OOM killer is not called: it would kill the listener, for what
//! others do, and with the listener the filter would be gone.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use kernel::alloc::flags::__GFP_RETRY_MAYFAIL;
use kernel::alloc::Flags;
use kernel::bindings;
use kernel::prelude::*;

/// Flags for all memory that is charged to a group. It can fail.
#[inline(always)]
pub(crate) fn gfp() -> Flags {
    GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL
}

/// Runs `f`, and what is allocated meanwhile is charged to the memory cgroup of a group.
///
/// # Safety
///
/// `group` must point to a group that is referenced during the call.
pub(super) unsafe fn charged_to<R>(
    group: *const bindings::fsnotify_group,
    f: impl FnOnce() -> R,
) -> R {
    // SAFETY: By the safety requirements. A group has a reference to its memory cgroup, if it has
    // one.
    let old = unsafe { bindings::set_active_memcg((*group).memcg) };
    let ret = f();

    // SAFETY: This is what was active before; whoever has made it so has a reference to it.
    unsafe { bindings::set_active_memcg(old) };
    ret
}
