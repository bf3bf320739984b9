// SPDX-License-Identifier: GPL-2.0

use super::give;
use super::Group;
use crate::sys::GroupFd;
use crate::testing::Bytes;
use crate::testing::PRE_MODIFY;
use crate::Answer;
use crate::Error;
use crate::Kind;
use crate::Queue;
use crate::Verdict;
use rustix::io::Errno;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A group whose kernel is the other end of a socket.
fn group() -> (Group, UnixStream) {
    let (ours, kernel) = UnixStream::pair().unwrap();
    (GroupFd::imitate(ours.into()).into(), kernel)
}

#[test]
fn a_batch_ends_after_a_malformed_event() {
    let (group, mut kernel) = group();
    let good = || Bytes::event(PRE_MODIFY, 1).op(0, 7, 0).done();
    let bad = Bytes::event(PRE_MODIFY, 1).done();
    kernel.write_all(&[good(), bad, good()].concat()).unwrap();
    let mut buffer = [0; 4096];
    let mut batch = group.read(&mut buffer).unwrap();
    let first = batch.next().unwrap().unwrap();
    assert_eq!((first.kind, first.cookie), (Kind::Pre, 7));
    assert_eq!(batch.next().unwrap().unwrap_err().what, "no OP record");
    assert!(batch.next().is_none());
}

#[test]
fn answers_go_out_together() {
    let (group, mut kernel) = group();
    let answers = [Answer::allow(1), Answer::deny(2, Errno::IO)];
    assert_eq!(group.answer(&answers), Ok(0));
    assert_eq!(group.answer(&[]), Ok(0));
    drop(group);
    let mut bytes = Vec::new();
    kernel.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 48);
    assert_eq!(bytes[40..48], 2u64.to_ne_bytes());
}

#[test]
fn an_answer_that_is_refused_is_the_only_one_that_is_not_given() {
    const ANSWERS: usize = 4;
    for refused in 0..ANSWERS {
        for errno in [Errno::NOMEM, Errno::INVAL, Errno::NOENT] {
            let bytes: Vec<u8> = (0..ANSWERS as u8).flat_map(|n| [n; 24]).collect();
            let mut given: Vec<usize> = Vec::new();
            // As the kernel does it: up to the bad one, which is an error if it comes first.
            let done = give(&bytes, |rest| {
                let answers = rest.chunks(24).map(|answer| usize::from(answer[0]));
                let good: Vec<_> = answers.take_while(|answer| *answer != refused).collect();
                given.extend(&good);
                match good.len() {
                    0 => Err(errno),
                    count => Ok(24 * count),
                }
            });
            let expected = if errno == Errno::NOENT {
                Ok(1)
            } else {
                Err(errno)
            };
            assert_eq!(done, expected);
            let others: Vec<_> = (0..ANSWERS).filter(|answer| *answer != refused).collect();
            assert_eq!(given, others);
        }
    }
}

#[test]
fn a_queue_is_read_and_answered_as_a_group_is() {
    let (ours, mut kernel) = UnixStream::pair().unwrap();
    let queue = Queue::new(GroupFd::imitate(ours.into()));
    let event = Bytes::event(PRE_MODIFY, 1).op(0, 7, 0).done();
    kernel.write_all(&event).unwrap();
    let mut buffer = [0; 4096];
    let cookies = queue.read(&mut buffer).unwrap();
    let cookies: Vec<_> = cookies.map(|event| event.unwrap().cookie).collect();
    assert_eq!(cookies, [7]);
    assert_eq!(queue.answer(&[Answer::allow(7)]), Ok(0));
    drop(queue);
    let mut bytes = Vec::new();
    kernel.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 24);
}

#[test]
fn a_deadline_that_is_none_never_reaches_the_kernel() {
    let (group, _kernel) = group();
    let refused = |time| {
        assert_eq!(
            group.deadline(time, Verdict::Allow),
            Err(Error::Deadline(Errno::INVAL))
        );
    };
    refused(Duration::ZERO);
    refused(Duration::from_secs(1 << 33));
    // Rounded up: it is the kernel, which a socket is not, that has no such call.
    let tried = group.deadline(Duration::from_nanos(1), Verdict::Deny(Errno::IO));
    assert_eq!(tried, Err(Error::Deadline(Errno::NOTTY)));
}
