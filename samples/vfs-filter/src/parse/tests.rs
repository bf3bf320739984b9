// SPDX-License-Identifier: GPL-2.0

use super::event;
use super::Parsed;
use crate::testing::Bytes;
use crate::testing::PRE_MODIFY;
use crate::uapi;
use crate::Event;
use crate::Events;
use crate::Kind;
use crate::OpFlags;
use crate::Range;
use rustix::io::Errno;

const POST_MODIFY: u64 = uapi::FAN_MODIFY << 52;

fn parse(bytes: &[u8]) -> Event<'_> {
    match event(bytes) {
        Ok((Parsed { event, .. }, [])) => event,
        other => panic!("{other:?}"),
    }
}

fn error(bytes: &[u8]) -> &'static str {
    match event(bytes) {
        Err(malformed) => malformed.what,
        Ok(parsed) => panic!("{parsed:?}"),
    }
}

/// An event with every record there is, except those of a rename.
fn full() -> Vec<u8> {
    Bytes::event(PRE_MODIFY, 77)
        .op(0, 12, 0)
        .dir_name(2, b"\x01\x02\x03\x04", b"report.txt")
        .fid(b"\x05\x06\x07\x08")
        .range(4096, 512)
        .pidfd(5)
        .done()
}

#[test]
fn a_pre_with_every_record() {
    let bytes = full();
    let event = parse(&bytes);
    assert_eq!(event.kind, Kind::Pre);
    assert_eq!(event.events, Events::MODIFY);
    assert_eq!(event.cookie, 12);
    assert!(!event.on_dir);
    assert_eq!(event.pid.map(|pid| pid.as_raw_nonzero().get()), Some(77));
    assert_eq!(
        event.range,
        Some(Range {
            offset: 4096,
            count: 512
        })
    );
    let name = event.name.unwrap();
    assert_eq!(name.name, "report.txt");
    assert_eq!(&*name.dir.bytes, b"\x01\x02\x03\x04");
    assert_eq!(name.dir.to_string(), "2222222211111111:1:01020304");
    assert_eq!(event.object.unwrap().kind, 1);
    assert!(event.pidfd.is_none(), "the parser owns nothing");
    assert_eq!(super::event(&bytes).unwrap().0.pidfd, Some(5));
}

#[test]
#[cfg(target_endian = "little")]
fn a_post_byte_by_byte_as_the_uapi_writes_it() {
    let bytes = [
        72, 0, 0, 0, 3, 0, 24, 0, // event_len, vers, reserved, metadata_len
        0, 0, 0, 0, 0, 0, 0x20, 0, // mask: FAN_POST(FAN_MODIFY), bit 53
        0xff, 0xff, 0xff, 0xff, 9, 0, 0, 0, // fd, pid
        32, 0, 24, 0, 1, 0, 0, 0, // OP, len, flags: FAN_OP_UNPAIRED
        8, 7, 6, 5, 4, 3, 2, 1, // cookie
        0xe4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // result: -28
        6, 0, 24, 0, 0, 0, 0, 0, // RANGE, len, pad
        1, 0, 0, 0, 0, 0, 0, 0, // offset
        0, 0, 0, 0, 1, 0, 0, 0, // count
    ];
    let event = parse(&bytes);
    assert_eq!(
        event.kind,
        Kind::Post {
            result: Err(Errno::NOSPC)
        }
    );
    assert_eq!(event.events, Events::MODIFY);
    assert_eq!(event.flags, OpFlags::UNPAIRED);
    assert_eq!(event.cookie, 0x0102_0304_0506_0708);
    assert_eq!(
        event.range,
        Some(Range {
            offset: 1,
            count: 1 << 32
        })
    );
}

#[test]
fn a_post_of_success() {
    let bytes = Bytes::event(POST_MODIFY, 0).op(0, 12, 300).done();
    let event = parse(&bytes);
    assert_eq!(event.kind, Kind::Post { result: Ok(300) });
    assert_eq!(event.pid, None, "a process outside the PID namespace");
}

#[test]
fn an_overflow_has_no_cookie() {
    let bytes = Bytes::event(uapi::FAN_Q_OVERFLOW, 0).op(0, 0, 0).done();
    let event = parse(&bytes);
    assert_eq!((event.kind, event.cookie), (Kind::Overflow, 0));
    assert!(event.events.is_empty());
}

#[test]
fn a_barrier_has_a_number() {
    let bytes = Bytes::event(uapi::FAN_Q_BARRIER, 0).op(0, 3, 0).done();
    let event = parse(&bytes);
    assert_eq!((event.kind, event.cookie), (Kind::Barrier(3), 3));
    assert!(event.events.is_empty());
    let bytes = Bytes::event(uapi::FAN_Q_BARRIER, 0).op(0, 0, 0).done();
    assert_eq!(error(&bytes), "cookie 0");
}

#[test]
fn what_is_gone_has_a_file_system_and_no_object() {
    let gone = || Bytes::event(uapi::FAN_Q_GONE, 0).op(0, 0, 0);
    let no_handle = Bytes::fid_of(uapi::FILEID_INVALID, b"");
    let bytes = gone()
        .record(uapi::FAN_EVENT_INFO_TYPE_FID, &no_handle)
        .done();
    let event = parse(&bytes);
    assert_eq!((event.kind, event.cookie), (Kind::Gone, 0));
    assert_eq!(event.fsid, Some(0x2222_2222_1111_1111));
    assert_eq!((event.object, event.mount), (None, None));
    assert!(event.events.is_empty());
    // A mount, with padding and, where there is none, without it.
    let mount = [&[0; 4][..], &77u64.to_ne_bytes()].concat();
    for body in [&mount[..], &mount[4..]] {
        let bytes = gone()
            .record(uapi::FAN_EVENT_INFO_TYPE_FID, &no_handle)
            .record(uapi::FAN_EVENT_INFO_TYPE_MNT, body)
            .done();
        assert_eq!(parse(&bytes).mount, Some(77));
    }
    let bytes = gone().record(uapi::FAN_EVENT_INFO_TYPE_MNT, &[0; 4]).done();
    assert_eq!(error(&bytes), "MNT record");
}

#[test]
fn records_that_are_asked_for() {
    let cgroup = [&[0; 4][..], &5u64.to_ne_bytes()].concat();
    let mask = (uapi::FAN_MOVED_FROM | uapi::FAN_MOVED_TO) << 52;
    let bytes = Bytes::event(mask, 1)
        .op(uapi::FAN_OP_LAST_LINK | uapi::FAN_OP_NO_OPEN, 3, 0)
        .dir_name(10, b"dir1", b"a")
        .dir_name(12, b"dir2", b"b")
        .fid(b"\x05\x06\x07\x08")
        .handle(uapi::FAN_EVENT_INFO_TYPE_REPLACED, b"gone")
        .record(uapi::FAN_EVENT_INFO_TYPE_CGROUP, &cgroup)
        .done();
    let event = parse(&bytes);
    assert_eq!(event.flags, OpFlags::LAST_LINK | OpFlags::NO_OPEN);
    assert_eq!(&*event.replaced.unwrap().bytes, b"gone");
    assert_eq!(event.cgroup, Some(5));
}

#[test]
fn an_object_without_a_handle_is_none() {
    let no_handle = Bytes::fid_of(uapi::FILEID_INVALID, b"");
    let bytes = Bytes::event(PRE_MODIFY, 1)
        .op(0, 1, 0)
        .record(uapi::FAN_EVENT_INFO_TYPE_FID, &no_handle)
        .done();
    let event = parse(&bytes);
    assert_eq!(event.object, None);
    assert_eq!(event.fsid, Some(0x2222_2222_1111_1111));
}

#[test]
fn a_rename_is_one_event_with_two_names() {
    let mask = ((uapi::FAN_MOVED_FROM | uapi::FAN_MOVED_TO) << 40) | uapi::FAN_ONDIR;
    let bytes = Bytes::event(mask, 1)
        .op(0, 3, 0)
        .dir_name(10, b"dir1", b"a")
        .dir_name(12, b"dir2", b"b")
        .done();
    let event = parse(&bytes);
    assert_eq!(event.events, Events::MOVED_FROM | Events::MOVED_TO);
    assert!(event.on_dir);
    let rename = event.rename.unwrap();
    assert_eq!(
        (rename.old.name, rename.new.name),
        ("a".as_ref(), "b".as_ref())
    );
    assert_eq!(&*rename.new.dir.bytes, b"dir2");
}

#[test]
fn a_file_without_a_name_has_a_directory() {
    let mask = uapi::FAN_CREATE << 52;
    let bytes = Bytes::event(mask, 1)
        .op(0, 3, 0)
        .handle(3, b"dir1")
        .fid(b"\x05\x06\x07\x08")
        .done();
    let event = parse(&bytes);
    assert_eq!(event.name, None);
    assert_eq!(&*event.directory.unwrap().bytes, b"dir1");
}

#[test]
fn events_follow_each_other() {
    let first = full();
    let both = [
        first.clone(),
        Bytes::event(POST_MODIFY, 1).op(0, 13, -4).done(),
    ]
    .concat();
    let (parsed, rest) = event(&both).unwrap();
    assert_eq!(parsed.event.cookie, 12);
    assert_eq!(rest.len(), both.len() - first.len());
    assert_eq!(
        parse(rest).kind,
        Kind::Post {
            result: Err(Errno::INTR)
        }
    );
}

#[test]
fn records_of_unknown_kind_are_passed_over() {
    let known = [1, 2, 3, 4, 6, 7, 10, 12, 32, 33, 34];
    for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind)) {
        for length in [0, 1, 7, 8, 300] {
            let bytes = Bytes::event(PRE_MODIFY, 1)
                .record(kind, &vec![0xa5; length])
                .op(0, 1, 0)
                .record(kind, &vec![0xa5; length])
                .done();
            assert_eq!(parse(&bytes).cookie, 1, "{kind}");
        }
    }
}

#[test]
fn no_pidfd_is_none() {
    for number in [-1, -2, -3] {
        let bytes = Bytes::event(PRE_MODIFY, 1).op(0, 1, 0).pidfd(number).done();
        assert_eq!(event(&bytes).unwrap().0.pidfd, None);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let pre = |mask| Bytes::event(mask, 1);
    let of_mask = |mask| error(&pre(mask).op(0, 1, 0).done());
    assert_eq!(of_mask(0), "mask");
    assert_eq!(of_mask(uapi::FAN_MODIFY), "mask");
    assert_eq!(of_mask(PRE_MODIFY | POST_MODIFY), "mask");
    assert_eq!(of_mask(PRE_MODIFY | (uapi::FAN_ACCESS << 40)), "mask");
    assert_eq!(of_mask(PRE_MODIFY | (1 << 35)), "mask");
    assert_eq!(of_mask(8 << 40), "mask", "FAN_CLOSE_WRITE has no PRE");
    assert_eq!(
        of_mask(uapi::FAN_Q_OVERFLOW | (uapi::FAN_ONDIR << 1)),
        "mask"
    );

    let good = || pre(PRE_MODIFY).op(0, 1, 0);
    assert_eq!(error(&pre(PRE_MODIFY).done()), "no OP record");
    assert_eq!(error(&good().op(0, 1, 0).done()), "OP record");
    assert_eq!(
        error(&good().range(0, 1).range(0, 1).done()),
        "RANGE record"
    );
    assert_eq!(error(&pre(PRE_MODIFY).op(0, 0, 0).done()), "cookie 0");
    assert_eq!(
        error(&pre(PRE_MODIFY).op(0, 1, 5).done()),
        "result of a PRE, not 0"
    );
    assert_eq!(
        error(&pre(POST_MODIFY).op(0, 1, -4096).done()),
        "result, no errno"
    );
    assert_eq!(
        error(&pre(POST_MODIFY).op(0, 1, i64::MIN).done()),
        "result, no errno"
    );
    assert_eq!(error(&good().dir_name(2, b"", b"").done()), "name");
    assert_eq!(error(&good().dir_name(2, b"", b"a/b").done()), "name");
    assert_eq!(
        error(&Bytes::event(PRE_MODIFY, -1).op(0, 1, 0).done()),
        "pid"
    );
    let lonely = good().dir_name(10, b"dir", b"a").done();
    assert_eq!(
        error(&lonely),
        "one of OLD_DFID_NAME and NEW_DFID_NAME without the other"
    );
}

#[test]
fn a_name_or_handle_that_does_not_end_is_an_error() {
    let good = || Bytes::event(PRE_MODIFY, 1).op(0, 1, 0);
    let unended = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'a', b'b'];
    assert_eq!(
        error(&good().record(2, &unended).done()),
        "name, which does not end"
    );
    let endless = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];
    assert_eq!(error(&good().record(1, &endless).done()), "file handle");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = full();
    for len in 0..bytes.len() {
        // As a short read, and as an event that says it is that short.
        assert!(event(&bytes[..len]).is_err(), "{len}");
        let mut short = bytes[..len].to_vec();
        if let Some(event_len) = short.first_chunk_mut() {
            *event_len = (len as u32).to_ne_bytes();
        }
        // What is cut between two records is whole again, if shorter.
        let between = [48, 84, 108, 132].contains(&len);
        assert_eq!(event(&short).is_ok(), between, "{len}");
    }
}

#[test]
fn no_single_changed_byte_makes_it_panic() {
    let bytes = full();
    for at in 0..bytes.len() {
        for value in 0..=u8::MAX {
            let mut changed = bytes.clone();
            changed[at] = value;
            let _ = event(&changed);
        }
    }
}

#[test]
fn no_noise_makes_it_panic() {
    // xorshift64, with a head that gets past the first checks.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..50_000 {
        let mut bytes = Bytes::event(PRE_MODIFY, 1).op(0, 1, 0).done();
        for _ in 0..next() % 12 {
            let body = next().to_ne_bytes();
            bytes.extend([(next() % 14) as u8, 0, (next() % 32) as u8, 0]);
            bytes.extend(body);
        }
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        let _ = event(&bytes);
    }
}
