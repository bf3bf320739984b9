// SPDX-License-Identifier: GPL-2.0

//! What the current task may do.
//!
//! C header: [`include/linux/capability.h`](srctree/include/linux/capability.h)

use kernel::bindings;

/// Has the current task `CAP_SYS_ADMIN` in the initial user namespace?
pub(crate) fn is_admin() -> bool {
    // CAST: A capability is a small number.
    // SAFETY: It is one that there is.
    unsafe { bindings::capable(bindings::CAP_SYS_ADMIN as i32) }
}
