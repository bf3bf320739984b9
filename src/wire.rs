// SPDX-License-Identifier: GPL-2.0

//! Layout of events and answers in user space. No other file knows it.
//!
//! All integers are in the machine's byte order. An event is a `struct fanotify_event_metadata`
//! followed by info records, each a multiple of 4 bytes long:
//!
//! | record | bytes | when |
//! |---|---|---|
//! | `OP` | 24 | always |
//! | `DFID_NAME` | 20 + handle + name + NUL, padded | there is a name to report |
//! | `DFID` | 20 + handle | instead: an object is made in this directory without a name |
//! | `OLD_DFID_NAME`, `NEW_DFID_NAME` | as `DFID_NAME` | instead: both names of a rename |
//! | `FID` | 20 + handle | there is an object |
//! | `RANGE` | 24 | the bytes are known |
//! | `PIDFD` | 8 | the group asks for it |
//!
//! C header: [`include/uapi/linux/fanotify.h`](srctree/include/uapi/linux/fanotify.h)

#![forbid(unsafe_code)]

use crate::sys::fid::Fid;
use crate::sys::op::Range;
use kernel::bindings;
use kernel::prelude::*;

const METADATA_LEN: usize = size_of::<bindings::fanotify_event_metadata>();
const OP_LEN: usize = size_of::<bindings::fanotify_event_info_op>();
const RANGE_LEN: usize = size_of::<bindings::fanotify_event_info_range>();
const PIDFD_LEN: usize = size_of::<bindings::fanotify_event_info_pidfd>();
/// Of a record with a file handle: its header, the file system id, and `struct file_handle`.
const FID_LEN: usize = size_of::<bindings::fanotify_event_info_fid>() + 8;

/// Length of an answer: `struct fanotify_response` and `struct fanotify_response_info_op`.
pub(crate) const ANSWER_LEN: usize = size_of::<bindings::fanotify_response>() + RawAnswer::INFO_LEN;

/// A record with a file handle.
pub(crate) struct FidRecord<'a> {
    /// `FAN_EVENT_INFO_TYPE_*`.
    pub(crate) kind: u32,
    pub(crate) fid: &'a Fid,
    /// Of an entry, where the handle is that of its directory.
    pub(crate) name: Option<&'a [u8]>,
}

impl FidRecord<'_> {
    /// Bytes of the record, with the NUL of the name and the padding.
    fn len(&self) -> usize {
        let name = self.name.map_or(0, |name| name.len() + 1);

        (FID_LEN + self.fid.bytes().len() + name).next_multiple_of(4)
    }
}

/// What an event says.
pub(crate) struct Fields<'a> {
    /// `FAN_PRE(x)` or `FAN_POST(x)`, and `FAN_ONDIR`; `FAN_Q_OVERFLOW` or `FAN_Q_BARRIER`.
    pub(crate) mask: u64,
    /// Process or thread, in the reader's pid namespace.
    pub(crate) pid: i32,
    /// `FAN_OP_*`.
    pub(crate) flags: u32,
    /// Number of the operation, or of the barrier.
    pub(crate) cookie: u64,
    /// POST: a count, or a negative errno.
    pub(crate) result: i64,
    /// Id of the file system.
    pub(crate) fsid: [i32; 2],
    /// Where the object has its name, or both of its names.
    pub(crate) places: [Option<FidRecord<'a>>; 2],
    /// The object.
    pub(crate) fid: Option<&'a Fid>,
    /// Bytes of the file.
    pub(crate) range: Option<Range>,
    /// A descriptor, `FAN_NOPIDFD` or `FAN_EPIDFD`.
    pub(crate) pidfd: Option<i32>,
}

impl Fields<'_> {
    /// Bytes of the event, all records included.
    ///
    /// Handles and names have limits (`MAX_HANDLE_SZ`, `NAME_MAX`), so this is below 2 KiB.
    pub(crate) fn len(&self) -> usize {
        METADATA_LEN
            + OP_LEN
            + self.fids().map(|record| record.len()).sum::<usize>()
            + self.range.map_or(0, |_| RANGE_LEN)
            + self.pidfd.map_or(0, |_| PIDFD_LEN)
    }

    /// All records with a file handle, in their order.
    fn fids(&self) -> impl Iterator<Item = FidRecord<'_>> {
        let object = self.fid.map(|fid| FidRecord {
            kind: bindings::FAN_EVENT_INFO_TYPE_FID,
            fid,
            name: None,
        });
        let places = self
            .places
            .iter()
            .flatten()
            .map(|place| FidRecord { ..*place });

        Iterator::chain(places, object)
    }

    /// The event as user space reads it. Fails with `ENOMEM`.
    pub(crate) fn encode(&self) -> Result<KVec<u8>> {
        let mut w = Writer(KVec::with_capacity(self.len(), GFP_KERNEL)?);

        self.encode_metadata(&mut w)?;
        self.encode_op(&mut w)?;
        for record in self.fids() {
            self.encode_fid(&mut w, &record)?;
        }
        if let Some(range) = self.range {
            w.header(bindings::FAN_EVENT_INFO_TYPE_RANGE, RANGE_LEN)?;
            w.put(&0u32.to_ne_bytes())?;
            w.put(&range.offset.to_ne_bytes())?;
            w.put(&range.count.to_ne_bytes())?;
        }
        if let Some(pidfd) = self.pidfd {
            w.header(bindings::FAN_EVENT_INFO_TYPE_PIDFD, PIDFD_LEN)?;
            w.put(&pidfd.to_ne_bytes())?;
        }
        Ok(w.0)
    }

    fn encode_metadata(&self, w: &mut Writer) -> Result {
        // CAST: Both lengths are below 2 KiB.
        w.put(&(self.len() as u32).to_ne_bytes())?;
        w.put(&[bindings::FANOTIFY_METADATA_VERSION as u8, 0])?;
        w.put(&(METADATA_LEN as u16).to_ne_bytes())?;
        w.put(&self.mask.to_ne_bytes())?;
        w.put(&bindings::FAN_NOFD.to_ne_bytes())?;
        w.put(&self.pid.to_ne_bytes())
    }

    fn encode_op(&self, w: &mut Writer) -> Result {
        w.header(bindings::FAN_EVENT_INFO_TYPE_OP, OP_LEN)?;
        w.put(&self.flags.to_ne_bytes())?;
        w.put(&self.cookie.to_ne_bytes())?;
        w.put(&self.result.to_ne_bytes())
    }

    fn encode_fid(&self, w: &mut Writer, record: &FidRecord<'_>) -> Result {
        let FidRecord { kind, fid, name } = *record;
        let end = w.0.len() + record.len();

        w.header(kind, record.len())?;
        w.put(&self.fsid[0].to_ne_bytes())?;
        w.put(&self.fsid[1].to_ne_bytes())?;
        // CAST: A handle has no more than MAX_HANDLE_SZ bytes.
        w.put(&(fid.bytes().len() as u32).to_ne_bytes())?;
        w.put(&fid.kind().to_ne_bytes())?;
        w.put(fid.bytes())?;
        w.put(name.unwrap_or_default())?;
        w.pad_to(end)
    }
}

/// Puts bytes one after the other.
struct Writer(KVec<u8>);

impl Writer {
    fn put(&mut self, bytes: &[u8]) -> Result {
        Ok(self.0.extend_from_slice(bytes, GFP_KERNEL)?)
    }

    /// Begins a record.
    fn header(&mut self, kind: u32, len: usize) -> Result {
        // CAST: Types of records are below 256, and records below 1 KiB.
        self.put(&[kind as u8, 0])?;
        self.put(&(len as u16).to_ne_bytes())
    }

    /// Zeroes up to `end`, which is at most 4 bytes ahead.
    fn pad_to(&mut self, end: usize) -> Result {
        self.put(&[0; 4][..end.saturating_sub(self.0.len()).min(4)])
    }
}

/// An answer as user space writes it, with nothing checked.
pub(crate) struct RawAnswer {
    pub(crate) fd: i32,
    pub(crate) response: u32,
    pub(crate) info_type: u8,
    pub(crate) info_pad: u8,
    pub(crate) info_len: u16,
    pub(crate) pad: u32,
    pub(crate) cookie: u64,
}

impl RawAnswer {
    /// Length of `struct fanotify_response_info_op`.
    pub(crate) const INFO_LEN: usize = size_of::<bindings::fanotify_response_info_op>();

    /// Takes the fields apart.
    pub(crate) fn decode(b: &[u8; ANSWER_LEN]) -> Self {
        Self {
            fd: i32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            response: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            info_type: b[8],
            info_pad: b[9],
            info_len: u16::from_ne_bytes([b[10], b[11]]),
            pad: u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
            cookie: u64::from_ne_bytes([b[16], b[17], b[18], b[19], b[20], b[21], b[22], b[23]]),
        }
    }
}

#[kunit_tests(vfs_filter_wire)]
mod tests {
    use super::*;

    fn fields<'a>() -> Fields<'a> {
        Fields {
            mask: 2 << 40,
            pid: 77,
            flags: 1,
            cookie: 0x0102_0304_0506_0708,
            result: -28,
            fsid: [11, 12],
            places: [None, None],
            fid: None,
            range: None,
            pidfd: None,
        }
    }

    fn at<'a>(kind: u32, fid: &'a Fid, name: &'a [u8]) -> Option<FidRecord<'a>> {
        let name = Some(name);

        Some(FidRecord { kind, fid, name })
    }

    fn u16_at(b: &[u8], at: usize) -> u16 {
        u16::from_ne_bytes([b[at], b[at + 1]])
    }

    fn u32_at(b: &[u8], at: usize) -> u32 {
        u32::from_ne_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
    }

    fn u64_at(b: &[u8], at: usize) -> u64 {
        let mut bytes = [0; 8];

        bytes.copy_from_slice(&b[at..at + 8]);
        u64::from_ne_bytes(bytes)
    }

    #[test]
    fn lengths_are_those_of_the_contract() {
        assert_eq!(METADATA_LEN, 24);
        assert_eq!(OP_LEN, 24);
        assert_eq!(RANGE_LEN, 24);
        assert_eq!(PIDFD_LEN, 8);
        assert_eq!(FID_LEN, 20);
        assert_eq!(ANSWER_LEN, 24);
    }

    #[test]
    fn metadata_and_op_are_always_there() -> Result {
        let b = fields().encode()?;

        assert_eq!(b.len(), 48);
        assert_eq!(u32_at(&b, 0), 48);
        assert_eq!(b[4], 3);
        assert_eq!(u16_at(&b, 6), 24);
        assert_eq!(u64_at(&b, 8), 2 << 40);
        assert_eq!(u32_at(&b, 16), u32::MAX);
        assert_eq!(u32_at(&b, 20), 77);
        assert_eq!(b[24], 32);
        assert_eq!(u16_at(&b, 26), 24);
        assert_eq!(u32_at(&b, 28), 1);
        assert_eq!(u64_at(&b, 32), 0x0102_0304_0506_0708);
        assert_eq!(u64_at(&b, 40) as i64, -28);
        Ok(())
    }

    #[test]
    fn records_follow_in_order() -> Result {
        let dir = Fid::for_test(1, &[1; 8])?;
        let fid = Fid::for_test(2, &[2; 12])?;
        let range = Range {
            offset: 4096,
            count: 10,
        };
        let b = Fields {
            places: [at(2, &dir, b"name"), None],
            fid: Some(&fid),
            range: Some(range),
            pidfd: Some(5),
            ..fields()
        }
        .encode()?;

        // 20 + 8 + 5, padded to 36; 20 + 12; 24; 8.
        assert_eq!(b.len(), 48 + 36 + 32 + 24 + 8);
        assert_eq!((b[48], u16_at(&b, 50)), (2, 36));
        assert_eq!((u32_at(&b, 52), u32_at(&b, 56)), (11, 12));
        assert_eq!((u32_at(&b, 60), u32_at(&b, 64)), (8, 1));
        assert_eq!(&b[68..84], b"\x01\x01\x01\x01\x01\x01\x01\x01name\0\0\0\0");
        assert_eq!((b[84], u16_at(&b, 86)), (1, 32));
        assert_eq!((u32_at(&b, 96), u32_at(&b, 100)), (12, 2));
        assert_eq!(&b[104..116], &[2; 12]);
        assert_eq!((b[116], u16_at(&b, 118)), (6, 24));
        assert_eq!((u64_at(&b, 124), u64_at(&b, 132)), (4096, 10));
        assert_eq!((b[140], u16_at(&b, 142), u32_at(&b, 144)), (4, 8, 5));
        Ok(())
    }

    #[test]
    fn names_of_all_lengths_end_in_nul_and_are_padded() -> Result {
        let dir = Fid::for_test(1, &[1; 8])?;

        for len in 1..=bindings::NAME_MAX as usize {
            let name = KVec::from_elem(b'x', len, GFP_KERNEL)?;
            let f = Fields {
                places: [at(2, &dir, &name), None],
                ..fields()
            };
            let b = f.encode()?;

            assert_eq!(b.len(), f.len());
            assert_eq!(b.len() % 4, 0);
            assert_eq!(u32_at(&b, 0) as usize, b.len());
            assert_eq!(u16_at(&b, 50) as usize, b.len() - 48);
            assert_eq!(&b[76..76 + len], &name[..]);
            assert!((1..=4).contains(&(b.len() - 76 - len)));
            assert!(b[76 + len..].iter().all(|&byte| byte == 0));
        }
        Ok(())
    }

    #[test]
    fn a_rename_has_two_names() -> Result {
        let from = Fid::for_test(1, &[1; 8])?;
        let to = Fid::for_test(1, &[2; 8])?;
        let b = Fields {
            places: [at(10, &from, b"old"), at(12, &to, b"newer")],
            ..fields()
        }
        .encode()?;

        // 20 + 8 + 4; 20 + 8 + 6, padded to 36.
        assert_eq!(b.len(), 48 + 32 + 36);
        assert_eq!((b[48], u16_at(&b, 50)), (10, 32));
        assert_eq!(&b[76..80], b"old\0");
        assert_eq!((b[80], u16_at(&b, 82)), (12, 36));
        assert_eq!(&b[108..116], b"newer\0\0\0");
        Ok(())
    }

    #[test]
    fn an_object_without_a_name_has_a_directory() -> Result {
        let dir = Fid::for_test(1, &[1; 8])?;
        let record = FidRecord {
            kind: 3,
            fid: &dir,
            name: None,
        };
        let b = Fields {
            places: [Some(record), None],
            ..fields()
        }
        .encode()?;

        assert_eq!(b.len(), 48 + 28);
        assert_eq!((b[48], u16_at(&b, 50)), (3, 28));
        assert_eq!(&b[68..76], &[1; 8]);
        Ok(())
    }

    #[test]
    fn answers_are_taken_apart() {
        let mut bytes = [0; ANSWER_LEN];

        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = i as u8;
        }
        let raw = RawAnswer::decode(&bytes);

        assert_eq!(raw.fd, i32::from_ne_bytes([0, 1, 2, 3]));
        assert_eq!(raw.response, u32::from_ne_bytes([4, 5, 6, 7]));
        assert_eq!((raw.info_type, raw.info_pad), (8, 9));
        assert_eq!(raw.info_len, u16::from_ne_bytes([10, 11]));
        assert_eq!(raw.pad, u32::from_ne_bytes([12, 13, 14, 15]));
        assert_eq!(raw.cookie, u64_at(&bytes, 16));
    }
}
