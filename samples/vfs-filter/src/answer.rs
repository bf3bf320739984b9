// SPDX-License-Identifier: GPL-2.0

//! Answers to PRE events.

use crate::uapi;
use crate::Verdict;
use rustix::io::Errno;

/// What is to become of an operation that waits at its PRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an answer does nothing until the group is given it"]
pub struct Answer {
    cookie: u64,
    response: u32,
}

impl Answer {
    /// The operation of this cookie goes on. Its POST will come.
    pub const fn allow(cookie: u64) -> Self {
        let response = uapi::FAN_ALLOW;
        Self { cookie, response }
    }

    /// The operation of this cookie goes on, and in the same step its event, PRE and POST, is ignored
    /// on its inode from now on, as by an evictable ignore mark: until
    /// [`Group::flush_ignored`](crate::Group::flush_ignored). Its own POST comes only if it ends
    /// after that.
    pub const fn allow_and_ignore(cookie: u64) -> Self {
        let response = uapi::FAN_ALLOW | uapi::FAN_RESPONSE_IGNORE;
        Self { cookie, response }
    }

    /// The operation of this cookie ends with `errno`, without effect. No POST will come.
    ///
    /// The kernel takes `EPERM`, `EIO`, `EBUSY`, `ETXTBSY`, `EAGAIN`, `ENOSPC`, `EDQUOT` and
    /// `EROFS`; any other is refused when the answer is given, with `EINVAL`.
    pub const fn deny(cookie: u64, errno: Errno) -> Self {
        let response = Verdict::Deny(errno).response();
        Self { cookie, response }
    }

    /// The same, but ignoring nothing: what is always possible where the kernel has refused to.
    pub const fn without_ignoring(self) -> Self {
        let response = self.response & !uapi::FAN_RESPONSE_IGNORE;
        Self { response, ..self }
    }

    /// The operation that is answered.
    #[must_use]
    pub const fn cookie(&self) -> u64 {
        self.cookie
    }

    /// `struct fanotify_response`, then `struct fanotify_response_info_op`.
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        to.extend(uapi::FAN_NOFD.to_ne_bytes());
        to.extend((self.response | uapi::FAN_INFO).to_ne_bytes());
        to.extend([uapi::FAN_RESPONSE_INFO_OP, 0]);
        to.extend(uapi::FAN_RESPONSE_INFO_OP_LEN.to_ne_bytes());
        to.extend(0u32.to_ne_bytes());
        to.extend(self.cookie.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;
    use rustix::io::Errno;

    fn bytes(answer: Answer) -> Vec<u8> {
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        bytes
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn allow_has_the_layout_of_the_uapi() {
        let expected = [
            0xff, 0xff, 0xff, 0xff, // fd = FAN_NOFD
            0x21, 0, 0, 0, // FAN_ALLOW | FAN_INFO
            32, 0, 16, 0, // type, pad, len
            0, 0, 0, 0, // pad
            0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, // cookie
        ];
        assert_eq!(bytes(Answer::allow(0x0102_0304_0506_0708)), expected);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn ignore_is_a_bit_of_the_response() {
        let answer = Answer::allow_and_ignore(1);
        assert_eq!(bytes(answer)[4..8], [0x61, 0, 0, 0]);
        assert_eq!(answer.without_ignoring(), Answer::allow(1));
        let deny = Answer::deny(1, Errno::NOSPC);
        assert_eq!(deny.without_ignoring(), deny);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn deny_has_the_errno_in_the_upper_byte() {
        assert_eq!(bytes(Answer::deny(1, Errno::ROFS))[4..8], [0x22, 0, 0, 30]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn an_errno_that_does_not_fit_is_not_mistaken_for_another() {
        // ENOTSUPP of the kernel, 524, would be 12 in one byte.
        let errno = Errno::from_raw_os_error(524);
        assert_eq!(bytes(Answer::deny(1, errno))[7], 0xff);
    }
}
