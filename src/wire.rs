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
//! | `REPLACED` | 20 + handle | a rename replaces it, and the group asks for it |
//! | `RANGE` | 24 | the bytes are known |
//! | `MNT` | 16 | the group asks for it |
//! | `CGROUP` | 16 | the group asks for it |
//! | `PIDFD` | 8 | the group asks for it |
//!
//! C header: [`include/uapi/linux/fanotify.h`](srctree/include/uapi/linux/fanotify.h)

#![forbid(unsafe_code)]

use crate::sys::fid::Fid;
use crate::sys::fid::MAX_HANDLE_SZ;
use crate::sys::op::Entry;
use crate::sys::op::Place;
use crate::sys::op::Range;
use crate::sys::op::MAX_NAME;
use kernel::bindings;
use kernel::prelude::*;
use kernel::uaccess::UserSliceWriter;

const METADATA_LEN: usize = size_of::<bindings::fanotify_event_metadata>();
const OP_LEN: usize = size_of::<bindings::fanotify_event_info_op>();
const RANGE_LEN: usize = size_of::<bindings::fanotify_event_info_range>();
const PIDFD_LEN: usize = size_of::<bindings::fanotify_event_info_pidfd>();
const MNT_LEN: usize = size_of::<bindings::fanotify_event_info_mnt>();
const CGROUP_LEN: usize = size_of::<bindings::fanotify_event_info_cgroup>();
/// Of a record with a file handle: its header, the file system id, and `struct file_handle`.
const FID_LEN: usize = size_of::<bindings::fanotify_event_info_fid>() + 8;

// Whoever has room for `FAN_EVENT_MAX_LEN` bytes can read any event. The longest is a rename that
// replaces something, with all records that can be asked for.
static_assert!({
    let max_len = 4096;
    let fid = FID_LEN + MAX_HANDLE_SZ;
    let named = fid + (MAX_NAME + 1).next_multiple_of(4);
    let ids = RANGE_LEN + MNT_LEN + CGROUP_LEN + PIDFD_LEN;

    METADATA_LEN + OP_LEN + 2 * named + 2 * fid + ids <= max_len
});
static_assert!(MNT_LEN == CGROUP_LEN);

/// Length of an answer: `struct fanotify_response` and `struct fanotify_response_info_op`.
pub(crate) const ANSWER_LEN: usize = size_of::<bindings::fanotify_response>() + RawAnswer::INFO_LEN;

/// What a record begins with.
fn header(kind: u32, len: usize) -> [u8; 4] {
    // CAST: Types of records are below 256, and records below `FAN_EVENT_MAX_LEN`.
    let [low, high] = (len as u16).to_ne_bytes();

    [kind as u8, 0, low, high]
}

/// A record with a file handle.
struct FidRecord<'a> {
    /// `FAN_EVENT_INFO_TYPE_*`.
    kind: u32,
    fid: &'a Fid,
    /// Of an entry, where the handle is that of its directory.
    name: Option<&'a [u8]>,
}

impl<'a> FidRecord<'a> {
    fn object(kind: u32, fid: &'a Fid) -> Self {
        Self {
            kind,
            fid,
            name: None,
        }
    }

    fn at(kind: u32, entry: &'a Entry) -> Self {
        Self {
            kind,
            fid: &entry.dir,
            name: Some(&entry.name),
        }
    }

    /// Bytes of the handle and the name, which ends in NUL.
    fn unpadded(&self) -> usize {
        FID_LEN + self.fid.bytes().len() + self.name.map_or(0, |name| name.len() + 1)
    }

    /// Bytes of the record, with the padding.
    fn len(&self) -> usize {
        self.unpadded().next_multiple_of(4)
    }

    fn write_to<O: Out>(&self, w: &mut Writer<'_, O>, fsid: [i32; 2]) -> Result {
        let handle = self.fid.bytes();
        let mut b = [0; FID_LEN];

        b[..4].copy_from_slice(&header(self.kind, self.len()));
        b[4..8].copy_from_slice(&fsid[0].to_ne_bytes());
        b[8..12].copy_from_slice(&fsid[1].to_ne_bytes());
        // CAST: A handle has no more than MAX_HANDLE_SZ bytes.
        b[12..16].copy_from_slice(&(handle.len() as u32).to_ne_bytes());
        b[16..].copy_from_slice(&self.fid.kind().to_ne_bytes());
        w.put(&b)?;
        w.put(handle)?;
        if let Some(name) = self.name {
            w.put(name)?;
            w.put(&[0])?;
        }

        let padding = [0; 3];

        match self.len() - self.unpadded() {
            0 => Ok(()),
            len => w.put(padding.get(..len).unwrap_or_default()),
        }
    }
}

/// What there is to be told of an event, besides what is told of all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Records<'a> {
    /// Id of the file system.
    pub(crate) fsid: [i32; 2],
    /// Where the object has its name, or both of its names.
    pub(crate) place: Option<&'a Place>,
    /// The object.
    pub(crate) fid: Option<&'a Fid>,
    /// What a rename replaces.
    pub(crate) replaced: Option<&'a Fid>,
    /// Bytes of the file.
    pub(crate) range: Option<Range>,
    /// Unique id of the mount.
    pub(crate) mount: Option<u64>,
    /// Id of the task's cgroup.
    pub(crate) cgroup: Option<u64>,
    /// Is there a pidfd?
    pub(crate) has_pidfd: bool,
}

impl Records<'_> {
    /// Calls `f` for all that have a file handle, in their order.
    fn for_each_fid<E>(
        &self,
        mut f: impl FnMut(FidRecord<'_>) -> core::result::Result<(), E>,
    ) -> core::result::Result<(), E> {
        match self.place {
            None | Some(Place::Nowhere) => {}
            Some(Place::Dir(fid)) => f(FidRecord {
                kind: bindings::FAN_EVENT_INFO_TYPE_DFID,
                fid,
                name: None,
            })?,
            Some(Place::At(entry)) => {
                f(FidRecord::at(
                    bindings::FAN_EVENT_INFO_TYPE_DFID_NAME,
                    entry,
                ))?;
            }
            Some(Place::Moved(entries)) => {
                let [from, to] = &**entries;

                f(FidRecord::at(
                    bindings::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
                    from,
                ))?;
                f(FidRecord::at(
                    bindings::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME,
                    to,
                ))?;
            }
        }
        if let Some(fid) = self.fid {
            f(FidRecord::object(bindings::FAN_EVENT_INFO_TYPE_FID, fid))?;
        }
        if let Some(fid) = self.replaced {
            f(FidRecord::object(
                bindings::FAN_EVENT_INFO_TYPE_REPLACED,
                fid,
            ))?;
        }
        Ok(())
    }

    /// Bytes of an event with these, which is at most `FAN_EVENT_MAX_LEN`.
    pub(crate) fn event_len(&self) -> usize {
        let mut len = METADATA_LEN + OP_LEN;
        let Ok(()) = self.for_each_fid(|record| {
            len += record.len();
            Ok::<_, core::convert::Infallible>(())
        });

        len + if self.range.is_some() { RANGE_LEN } else { 0 }
            + if self.mount.is_some() { MNT_LEN } else { 0 }
            + if self.cgroup.is_some() { CGROUP_LEN } else { 0 }
            + if self.has_pidfd { PIDFD_LEN } else { 0 }
    }
}

/// What an event says.
pub(crate) struct Fields<'a> {
    /// `FAN_PRE(x)` or `FAN_POST(x)`, and `FAN_ONDIR`; or one of `FAN_Q_*`.
    pub(crate) mask: u64,
    /// Process or thread, in the reader's pid namespace.
    pub(crate) pid: i32,
    /// `FAN_OP_*`.
    pub(crate) flags: u32,
    /// Number of the operation, or of the barrier.
    pub(crate) cookie: u64,
    /// POST: a count, or a negative errno.
    pub(crate) result: i64,
    pub(crate) records: Records<'a>,
    /// A descriptor, `FAN_NOPIDFD` or `FAN_EPIDFD`, if there is a pidfd.
    pub(crate) pidfd: Option<i32>,
}

impl Fields<'_> {
    /// Writes the event as user space reads it, and returns its length. Fails as `out` does.
    pub(crate) fn write_to(&self, out: &mut impl Out) -> Result<usize> {
        let records = &self.records;
        let len = records.event_len();
        let mut w = Writer::new(out);

        self.write_metadata(&mut w, len)?;
        self.write_op(&mut w)?;
        records.for_each_fid(|record| record.write_to(&mut w, records.fsid))?;
        if let Some(range) = records.range {
            let mut b = [0; RANGE_LEN];

            b[..4].copy_from_slice(&header(bindings::FAN_EVENT_INFO_TYPE_RANGE, RANGE_LEN));
            b[8..16].copy_from_slice(&range.offset.to_ne_bytes());
            b[16..].copy_from_slice(&range.count.to_ne_bytes());
            w.put(&b)?;
        }
        if let Some(id) = records.mount {
            w.put_id(bindings::FAN_EVENT_INFO_TYPE_MNT, id)?;
        }
        if let Some(id) = records.cgroup {
            w.put_id(bindings::FAN_EVENT_INFO_TYPE_CGROUP, id)?;
        }
        if let (Some(pidfd), true) = (self.pidfd, records.has_pidfd) {
            w.put(&header(bindings::FAN_EVENT_INFO_TYPE_PIDFD, PIDFD_LEN))?;
            w.put(&pidfd.to_ne_bytes())?;
        }
        w.flush()?;
        Ok(len)
    }

    fn write_metadata<O: Out>(&self, w: &mut Writer<'_, O>, len: usize) -> Result {
        // CAST: Both lengths are at most `FAN_EVENT_MAX_LEN`.
        w.put(&(len as u32).to_ne_bytes())?;
        w.put(&[bindings::FANOTIFY_METADATA_VERSION as u8, 0])?;
        w.put(&(METADATA_LEN as u16).to_ne_bytes())?;
        w.put(&self.mask.to_ne_bytes())?;
        w.put(&bindings::FAN_NOFD.to_ne_bytes())?;
        w.put(&self.pid.to_ne_bytes())
    }

    fn write_op<O: Out>(&self, w: &mut Writer<'_, O>) -> Result {
        w.put(&header(bindings::FAN_EVENT_INFO_TYPE_OP, OP_LEN))?;
        w.put(&self.flags.to_ne_bytes())?;
        w.put(&self.cookie.to_ne_bytes())?;
        w.put(&self.result.to_ne_bytes())
    }
}

/// Where an event is written to.
pub(crate) trait Out {
    fn write(&mut self, bytes: &[u8]) -> Result;
}

impl Out for UserSliceWriter {
    /// Fails with `EFAULT`.
    fn write(&mut self, bytes: &[u8]) -> Result {
        self.write_slice(bytes)
    }
}

/// Bytes that are collected before they are written: an event without a name is written at once.
const ROOM: usize = 128;

/// Puts bytes one after the other.
struct Writer<'a, O> {
    out: &'a mut O,
    room: [u8; ROOM],
    /// How much of it there is to be written.
    used: usize,
}

impl<'a, O: Out> Writer<'a, O> {
    fn new(out: &'a mut O) -> Self {
        Self {
            out,
            room: [0; ROOM],
            used: 0,
        }
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> Result {
        let end = self.used + bytes.len();

        match self.room.get_mut(self.used..end) {
            Some(to) => {
                to.copy_from_slice(bytes);
                self.used = end;
                Ok(())
            }
            None => self.put_through(bytes),
        }
    }

    /// A record that is an id, in the alignment that it has in its structure.
    fn put_id(&mut self, kind: u32, id: u64) -> Result {
        let mut b = [0; MNT_LEN];

        b[..4].copy_from_slice(&header(kind, MNT_LEN));
        b[8..].copy_from_slice(&id.to_ne_bytes());
        self.put(&b)
    }

    /// There is not enough room for `bytes`.
    #[cold]
    fn put_through(&mut self, bytes: &[u8]) -> Result {
        self.flush()?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> Result {
        let used = core::mem::take(&mut self.used);

        self.out.write(self.room.get(..used).unwrap_or_default())
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

    impl Out for KVec<u8> {
        fn write(&mut self, bytes: &[u8]) -> Result {
            Ok(self.extend_from_slice(bytes, GFP_KERNEL)?)
        }
    }

    fn encode(fields: &Fields<'_>) -> Result<KVec<u8>> {
        let mut bytes = KVec::new();

        assert_eq!(fields.write_to(&mut bytes)?, bytes.len());
        Ok(bytes)
    }

    fn fields<'a>() -> Fields<'a> {
        Fields {
            mask: 2 << 40,
            pid: 77,
            flags: 1,
            cookie: 0x0102_0304_0506_0708,
            result: -28,
            records: Records {
                fsid: [11, 12],
                ..Default::default()
            },
            pidfd: None,
        }
    }

    fn with(records: Records<'_>) -> Fields<'_> {
        Fields {
            records: Records {
                fsid: [11, 12],
                ..records
            },
            ..fields()
        }
    }

    fn in_place(place: &Place) -> Fields<'_> {
        with(Records {
            place: Some(place),
            ..Default::default()
        })
    }

    fn entry(dir: u8, name: &[u8]) -> Result<Entry> {
        let mut copy = KVec::new();

        copy.extend_from_slice(name, GFP_KERNEL)?;
        Ok(Entry {
            dir: Fid::for_test(1, &[dir; 8])?,
            name: copy,
        })
    }

    fn at(entry: Entry) -> Result<Place> {
        Ok(Place::At(KBox::new(entry, GFP_KERNEL)?))
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
        let b = encode(&fields())?;

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
        let place = at(entry(1, b"name")?)?;
        let fid = Fid::for_test(2, &[2; 12])?;
        let range = Range {
            offset: 4096,
            count: 10,
        };
        let b = encode(&Fields {
            pidfd: Some(5),
            ..with(Records {
                place: Some(&place),
                fid: Some(&fid),
                range: Some(range),
                has_pidfd: true,
                ..Default::default()
            })
        })?;

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
        for len in 1..=bindings::NAME_MAX as usize {
            let name = KVec::from_elem(b'x', len, GFP_KERNEL)?;
            let place = at(entry(1, &name)?)?;
            let b = encode(&in_place(&place))?;

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
        let entries = [entry(1, b"old")?, entry(2, b"newer")?];
        let place = Place::Moved(KBox::new(entries, GFP_KERNEL)?);
        let b = encode(&in_place(&place))?;

        // 20 + 8 + 4; 20 + 8 + 6, padded to 36.
        assert_eq!(b.len(), 48 + 32 + 36);
        assert_eq!((b[48], u16_at(&b, 50)), (10, 32));
        assert_eq!(&b[76..80], b"old\0");
        assert_eq!((b[80], u16_at(&b, 82)), (12, 36));
        assert_eq!(&b[108..116], b"newer\0\0\0");
        Ok(())
    }

    #[test]
    fn records_that_are_asked_for_have_their_place() -> Result {
        let (fid, replaced) = (Fid::for_test(2, &[2; 8])?, Fid::for_test(3, &[3; 12])?);
        let b = encode(&Fields {
            pidfd: Some(5),
            ..with(Records {
                fid: Some(&fid),
                replaced: Some(&replaced),
                mount: Some(0x1234_5678_9abc),
                cgroup: Some(77),
                has_pidfd: true,
                ..Default::default()
            })
        })?;

        assert_eq!(b.len(), 48 + 28 + 32 + 16 + 16 + 8);
        assert_eq!((b[48], u16_at(&b, 50)), (1, 28));
        assert_eq!((b[76], u16_at(&b, 78)), (34, 32));
        assert_eq!((u32_at(&b, 88), u32_at(&b, 92)), (12, 3));
        assert_eq!(&b[96..108], &[3; 12]);
        assert_eq!((b[108], u16_at(&b, 110), u32_at(&b, 112)), (7, 16, 0));
        assert_eq!(u64_at(&b, 116), 0x1234_5678_9abc);
        assert_eq!((b[124], u16_at(&b, 126), u32_at(&b, 128)), (33, 16, 0));
        assert_eq!(u64_at(&b, 132), 77);
        assert_eq!((b[140], u16_at(&b, 142), u32_at(&b, 144)), (4, 8, 5));
        Ok(())
    }

    #[test]
    fn an_object_without_a_handle_has_a_record() -> Result {
        let fid = Fid::invalid();
        let b = encode(&with(Records {
            fid: Some(&fid),
            ..Default::default()
        }))?;

        assert_eq!(b.len(), 48 + 20);
        assert_eq!((b[48], u16_at(&b, 50)), (1, 20));
        assert_eq!((u32_at(&b, 52), u32_at(&b, 56)), (11, 12));
        assert_eq!((u32_at(&b, 60), u32_at(&b, 64)), (0, 0xff));
        Ok(())
    }

    #[test]
    fn the_longest_event_can_be_read() -> Result {
        let long = |dir| {
            let name = KVec::from_elem(b'x', MAX_NAME, GFP_KERNEL)?;

            Ok::<_, Error>(Entry {
                dir: Fid::for_test(1, &[dir; MAX_HANDLE_SZ])?,
                name,
            })
        };
        let place = Place::Moved(KBox::new([long(1)?, long(2)?], GFP_KERNEL)?);
        let fid = Fid::for_test(2, &[2; MAX_HANDLE_SZ])?;
        let range = Range {
            offset: 4096,
            count: 10,
        };
        let b = encode(&Fields {
            pidfd: Some(5),
            ..with(Records {
                place: Some(&place),
                fid: Some(&fid),
                replaced: Some(&fid),
                range: Some(range),
                mount: Some(1),
                cgroup: Some(1),
                has_pidfd: true,
                ..Default::default()
            })
        })?;

        assert!(b.len() <= 4096);
        assert_eq!(u32_at(&b, 0) as usize, b.len());
        Ok(())
    }

    #[test]
    fn an_object_without_a_name_has_a_directory() -> Result {
        let place = Place::Dir(KBox::new(Fid::for_test(1, &[1; 8])?, GFP_KERNEL)?);
        let b = encode(&in_place(&place))?;

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
