// SPDX-License-Identifier: GPL-2.0

//! Events as they are read, and answers as they are written. What is read is checked: the lengths
//! of events and records fit, an event is of one kind, and has a cookie.

use crate::uapi;
use std::os::fd::RawFd;

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Events {
    /// What can be answered.
    pub(crate) cookies: Vec<u64>,
    /// What has ended: cookie and result.
    pub(crate) ended: Vec<(u64, i64)>,
    /// Descriptors that came with it, and are to be closed.
    pub(crate) descriptors: Vec<RawFd>,
    /// What kinds of events they are, for [`crate::environment::Environment::saw`].
    pub(crate) signs: Vec<u64>,
}

/// Takes apart what was read; `None` if it is malformed.
pub(crate) fn parse(mut bytes: &[u8]) -> Option<Events> {
    let mut events = Events::default();
    while !bytes.is_empty() {
        let length = u32_at(bytes, 0)? as usize;
        let (event, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        one(event, &mut events)?;
    }
    Some(events)
}

fn one(event: &[u8], events: &mut Events) -> Option<()> {
    let metadata = usize::from(u16::from_le_bytes(bytes_at(event, 6)?));
    if *event.get(4)? != uapi::METADATA_VERSION || metadata != uapi::METADATA_LEN {
        return None;
    }
    let mask = u64::from_le_bytes(bytes_at(event, 8)?);
    let fd = u32_at(event, 16)? as RawFd;
    events.descriptors.extend((fd >= 0).then_some(fd));

    let mut op = None;
    let mut records = event.get(metadata..)?;
    while !records.is_empty() {
        let length = usize::from(u16::from_le_bytes(bytes_at(records, 2)?));
        // One of no bytes would have no end.
        let (record, rest) = records.split_at_checked(length.max(4))?;
        records = rest;
        match *record.first()? {
            uapi::INFO_OP => {
                let result = i64::from_le_bytes(bytes_at(record, 16)?);
                op = Some((u64::from_le_bytes(bytes_at(record, 8)?), result));
                let flags = u64::from(u32_at(record, 4)?);
                events
                    .signs
                    .push(mask ^ (flags << 32) ^ result.min(1) as u64);
            }
            uapi::INFO_PIDFD => {
                let fd = u32_at(record, 4)? as RawFd;
                events.descriptors.extend((fd >= 0).then_some(fd));
            }
            _ => {}
        }
    }

    let kinds = [uapi::ALL_PRE, uapi::ALL_POST, uapi::ALL_Q].map(|kind| mask & kind != 0);
    match kinds {
        // Groups of other classes.
        [false, false, _] => Some(()),
        [true, false, false] => match op? {
            (0, _) | (_, 1..) | (_, ..0) => None,
            (cookie, 0) => {
                events.cookies.push(cookie);
                Some(())
            }
        },
        [false, true, false] => match op? {
            (0, _) => None,
            op => {
                events.ended.push(op);
                Some(())
            }
        },
        _ => None,
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_le_bytes)
}

/// `struct fanotify_response` and `struct fanotify_response_info_op`.
pub(crate) fn answer(cookie: u64, verdict: u32) -> [u8; 24] {
    let mut answer = [0; 24];
    answer[..4].copy_from_slice(&(-1i32).to_le_bytes());
    answer[4..8].copy_from_slice(&verdict.to_le_bytes());
    answer[8] = uapi::INFO_OP;
    answer[10] = 16;
    answer[16..].copy_from_slice(&cookie.to_le_bytes());
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(mask: u64, cookie: u64, result: i64) -> Vec<u8> {
        let mut bytes = vec![48, 0, 0, 0, 3, 0, 24, 0];
        bytes.extend(mask.to_le_bytes());
        bytes.extend([0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
        bytes.extend([uapi::INFO_OP, 0, 24, 0, 0, 0, 0, 0]);
        bytes.extend(cookie.to_le_bytes());
        bytes.extend(result.to_le_bytes());
        bytes
    }

    #[test]
    fn a_question_and_its_end() {
        let bytes = [event(2 << 40, 7, 0), event(2 << 52, 7, -5)].concat();
        let expected = Events {
            cookies: vec![7],
            ended: vec![(7, -5)],
            descriptors: vec![],
            signs: vec![2 << 40, (2 << 52) ^ -5i64 as u64],
        };
        assert_eq!(parse(&bytes), Some(expected));
    }

    #[test]
    fn what_is_malformed_is_found() {
        let good = event(2 << 40, 7, 0);
        assert!(parse(&good).is_some());
        for length in 1..good.len() {
            assert_eq!(parse(&good[..length]), None);
        }
        for (at, value) in [
            (0, 0),
            (0, 47),
            (4, 2),
            (6, 25),
            (26, 0),
            (26, 25),
            (26, 3),
            (32, 0),
            (40, 1),
        ] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(parse(&bad), None, "byte {at} is {value}");
        }
        assert_eq!(parse(&event((2 << 40) | (2 << 52), 7, 0)), None);
    }

    #[test]
    fn an_answer_is_laid_out_as_the_kernel_has_it() {
        let bytes = answer(0x0102, 0x21);
        assert_eq!(
            bytes[..12],
            [255, 255, 255, 255, 0x21, 0, 0, 0, 32, 0, 16, 0]
        );
        assert_eq!(bytes[12..], [0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    }
}
