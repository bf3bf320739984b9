// SPDX-License-Identifier: GPL-2.0

//! Answers of user space to PRE events.

#![forbid(unsafe_code)]

use crate::wire::RawAnswer;
use crate::wire::ANSWER_LEN;
use kernel::bindings;
use kernel::prelude::*;

/// What a group said of an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may start.
    Allow,
    /// It fails with this errno.
    Deny(Error),
}

impl Verdict {
    /// As the result of asking.
    pub(crate) fn into_result(self) -> Result {
        match self {
            Self::Allow => Ok(()),
            Self::Deny(errno) => Err(errno),
        }
    }

    /// Takes the verdict from `struct fanotify_response`'s `response`.
    ///
    /// Fails with `EINVAL` for unknown bits, none or both of allow and deny, and an errno that may
    /// not be given.
    fn parse(response: u32) -> Result<Self> {
        let errno = response >> bindings::FAN_ERRNO_SHIFT;
        let bits = response & !(bindings::FAN_ERRNO_MASK << bindings::FAN_ERRNO_SHIFT);

        if bits == bindings::FAN_ALLOW | bindings::FAN_INFO && errno == 0 {
            Ok(Self::Allow)
        } else if bits == bindings::FAN_DENY | bindings::FAN_INFO {
            Ok(Self::Deny(errno_of_deny(errno)?))
        } else {
            Err(EINVAL)
        }
    }
}

/// The errno that an operation fails with. These are what one expects of open, read and write.
fn errno_of_deny(errno: u32) -> Result<Error> {
    match errno {
        0 | bindings::EPERM => Ok(EPERM),
        bindings::EIO => Ok(EIO),
        bindings::EBUSY => Ok(EBUSY),
        bindings::ETXTBSY => Ok(ETXTBSY),
        bindings::EAGAIN => Ok(EAGAIN),
        bindings::ENOSPC => Ok(ENOSPC),
        bindings::EDQUOT => Ok(EDQUOT),
        bindings::EROFS => Ok(EROFS),
        _ => Err(EINVAL),
    }
}

/// An answer: which operation, and what about it.
pub(crate) struct Answer {
    pub(crate) cookie: u64,
    pub(crate) verdict: Verdict,
    /// Is the event to be ignored on its inode from here on? Only where it is allowed.
    pub(crate) ignore: bool,
}

impl Answer {
    /// Checks an answer. Fails with `EINVAL` if any of its fields is not as it must be.
    pub(crate) fn parse(bytes: &[u8; ANSWER_LEN]) -> Result<Self> {
        let raw = RawAnswer::decode(bytes);
        let well_formed = raw.fd == bindings::FAN_NOFD
            && u32::from(raw.info_type) == bindings::FAN_RESPONSE_INFO_OP
            && raw.info_pad == 0
            && usize::from(raw.info_len) == RawAnswer::INFO_LEN
            && raw.pad == 0;

        if !well_formed {
            return Err(EINVAL);
        }

        let ignore = raw.response & bindings::FAN_RESPONSE_IGNORE != 0;
        let verdict = Verdict::parse(raw.response & !bindings::FAN_RESPONSE_IGNORE)?;

        if ignore && verdict != Verdict::Allow {
            return Err(EINVAL);
        }
        Ok(Self {
            cookie: raw.cookie,
            verdict,
            ignore,
        })
    }
}
