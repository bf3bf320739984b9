// SPDX-License-Identifier: GPL-2.0

//! What becomes of an operation.

use crate::uapi;
use rustix::io::Errno;

/// What becomes of an operation that nobody has answered in time, see
/// [`Group::deadline`](crate::Group::deadline).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// It ends with this errno, without effect. The kernel takes those of
    /// [`Answer::deny`](crate::Answer::deny).
    Deny(Errno),
}

impl Verdict {
    /// As the kernel wants it.
    pub(crate) const fn response(self) -> u32 {
        match self {
            Self::Allow => uapi::FAN_ALLOW,
            Self::Deny(errno) => {
                // Only the low byte fits. Errnos past it are cut to 0xff, which the kernel refuses too.
                let errno = errno.raw_os_error() as u32;
                let byte = if errno < 0xff { errno } else { 0xff };
                uapi::FAN_DENY | (byte << uapi::FAN_ERRNO_SHIFT)
            }
        }
    }
}
