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

impl Verdict {
    /// The same where there is nothing but a verdict: without `FAN_INFO`.
    pub(crate) fn parse_plain(bits: u32) -> Result<Self> {
        if bits & bindings::FAN_INFO != 0 {
            return Err(EINVAL);
        }
        Self::parse(bits | bindings::FAN_INFO)
    }

    /// What the operation fails with, as a negative errno, or 0.
    pub(crate) fn error(self) -> i32 {
        match self {
            Self::Allow => 0,
            Self::Deny(errno) => errno.to_errno(),
        }
    }

    /// Makes that of it again.
    pub(crate) fn into_plain(self) -> u32 {
        match self {
            Self::Allow => bindings::FAN_ALLOW,
            // CAST: An errno is a small negative number.
            Self::Deny(errno) => {
                bindings::FAN_DENY | ((-errno.to_errno()) as u32) << bindings::FAN_ERRNO_SHIFT
            }
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

#[kunit_tests(vfs_filter_verdict)]
mod tests {
    use super::*;

    const ALLOW: u32 = bindings::FAN_ALLOW | bindings::FAN_INFO;
    const DENY: u32 = bindings::FAN_DENY | bindings::FAN_INFO;
    const IGNORE: u32 = bindings::FAN_RESPONSE_IGNORE;
    const COOKIE: u64 = 0x0102_0304_0506_0708;

    fn deny_with(errno: u32) -> u32 {
        DENY | errno << bindings::FAN_ERRNO_SHIFT
    }

    /// An answer as user space writes it.
    fn answer(response: u32) -> [u8; ANSWER_LEN] {
        let mut b = [0; ANSWER_LEN];

        b[..4].copy_from_slice(&bindings::FAN_NOFD.to_ne_bytes());
        b[4..8].copy_from_slice(&response.to_ne_bytes());
        b[8] = bindings::FAN_RESPONSE_INFO_OP as u8;
        b[10..12].copy_from_slice(&(RawAnswer::INFO_LEN as u16).to_ne_bytes());
        b[16..].copy_from_slice(&COOKIE.to_ne_bytes());
        b
    }

    fn verdict(response: u32) -> Result<Verdict> {
        Ok(Answer::parse(&answer(response))?.verdict)
    }

    fn is_refused(bytes: &[u8; ANSWER_LEN]) -> bool {
        matches!(Answer::parse(bytes), Err(err) if err == EINVAL)
    }

    #[test]
    fn allow_and_deny() -> Result {
        let allowed = Answer::parse(&answer(ALLOW))?;

        assert!(allowed.verdict == Verdict::Allow && !allowed.ignore);
        assert_eq!(allowed.cookie, COOKIE);
        assert!(verdict(DENY)? == Verdict::Deny(EPERM));
        Ok(())
    }

    #[test]
    fn a_denial_has_one_of_a_few_errnos() {
        let valid = [
            bindings::EPERM,
            bindings::EIO,
            bindings::EBUSY,
            bindings::ETXTBSY,
            bindings::EAGAIN,
            bindings::ENOSPC,
            bindings::EDQUOT,
            bindings::EROFS,
        ];

        for errno in 1..256 {
            let verdict = verdict(deny_with(errno));

            if valid.contains(&errno) {
                let denied = Error::from_errno(-(errno as i32));

                assert!(verdict == Ok(Verdict::Deny(denied)));
            } else {
                assert!(verdict == Err(EINVAL));
            }
        }
    }

    #[test]
    fn an_event_can_be_ignored_where_it_is_allowed() -> Result {
        assert!(Answer::parse(&answer(ALLOW | IGNORE))?.ignore);
        assert!(is_refused(&answer(DENY | IGNORE)));
        Ok(())
    }

    #[test]
    fn other_responses_are_refused() {
        for response in [
            0,
            bindings::FAN_INFO,
            bindings::FAN_ALLOW,
            bindings::FAN_DENY,
            ALLOW | DENY,
            ALLOW | bindings::FAN_AUDIT,
            ALLOW | 1 << bindings::FAN_ERRNO_SHIFT,
        ] {
            assert!(is_refused(&answer(response)));
        }
        for bit in 0..32 {
            let response = ALLOW ^ 1 << bit;

            assert_eq!(is_refused(&answer(response)), response != ALLOW | IGNORE);
        }
    }

    #[test]
    fn every_byte_has_to_be_right() {
        for at in (0..ANSWER_LEN).filter(|at| !(4..8).contains(at)) {
            let mut bytes = answer(ALLOW);

            bytes[at] ^= 0x80;
            assert_eq!(is_refused(&bytes), at < 16);
        }
    }
}
