// SPDX-License-Identifier: GPL-2.0

//! Whose a task is, for users to have their turns.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use kernel::bindings;

/// A user, as a number: the real uid of a task. All who are in a user namespace that someone has made
/// are that one, as he can have many uids there. Only root can have any number of users apart from him,
/// one for each namespace.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct User(u32);

impl User {
    /// The user that the current task belongs to.
    #[inline]
    pub(crate) fn of_current() -> Self {
        let init = &raw const bindings::init_user_ns;

        // SAFETY: The current task is there during the call. Its real credentials are changed by
        // itself alone, and so stay, as do the namespace that they refer to and those above it.
        unsafe {
            let cred = (*bindings::get_current()).real_cred;
            let mut ns = (*cred).user_ns.cast_const();

            if ns == init {
                return Self((*cred).uid.val);
            }
            while (*ns).parent.cast_const() != init {
                ns = (*ns).parent;
            }
            match (*ns).owner.val {
                // Numbers of namespaces are larger than uids that are in use.
                0 => Self((*ns).ns.inum),
                owner => Self(owner),
            }
        }
    }

    /// For keys.
    pub(crate) fn nr(self) -> usize {
        // CAST: usize has at least 32 bits.
        self.0 as usize
    }

    /// One of this number, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn for_test(nr: u32) -> Self {
        Self(nr)
    }
}
