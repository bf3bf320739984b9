// SPDX-License-Identifier: GPL-2.0

//! Writes events as the kernel would, for tests.

use crate::uapi;

pub(crate) const PRE_MODIFY: u64 = uapi::FAN_MODIFY << uapi::FAN_PRE_SHIFT;

/// The bytes of one event, record after record.
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    pub(crate) fn event(mask: u64, pid: i32) -> Self {
        let mut bytes = vec![0, 0, 0, 0, uapi::FANOTIFY_METADATA_VERSION, 0];
        bytes.extend((uapi::FAN_EVENT_METADATA_LEN as u16).to_ne_bytes());
        bytes.extend(mask.to_ne_bytes());
        bytes.extend(uapi::FAN_NOFD.to_ne_bytes());
        bytes.extend(pid.to_ne_bytes());
        Self(bytes)
    }

    /// Any record; its length is padded to four, as fanotify does.
    pub(crate) fn record(mut self, kind: u8, body: &[u8]) -> Self {
        let len = (4 + body.len()).next_multiple_of(4);
        self.0.extend([kind, 0]);
        self.0.extend((len as u16).to_ne_bytes());
        self.0.extend(body);
        // Not with zeroes: they would end a name.
        self.0.resize(self.0.len() + len - 4 - body.len(), b'p');
        self
    }

    pub(crate) fn op(self, flags: u32, cookie: u64, result: i64) -> Self {
        let body = [
            &flags.to_ne_bytes()[..],
            &cookie.to_ne_bytes(),
            &result.to_ne_bytes(),
        ];
        self.record(uapi::FAN_EVENT_INFO_TYPE_OP, &body.concat())
    }

    pub(crate) fn range(self, offset: u64, count: u64) -> Self {
        let body = [&[0; 4][..], &offset.to_ne_bytes(), &count.to_ne_bytes()];
        self.record(uapi::FAN_EVENT_INFO_TYPE_RANGE, &body.concat())
    }

    pub(crate) fn pidfd(self, number: i32) -> Self {
        self.record(uapi::FAN_EVENT_INFO_TYPE_PIDFD, &number.to_ne_bytes())
    }

    pub(crate) fn fid(self, handle: &[u8]) -> Self {
        self.handle(uapi::FAN_EVENT_INFO_TYPE_FID, handle)
    }

    pub(crate) fn handle(self, kind: u8, handle: &[u8]) -> Self {
        self.record(kind, &fid(handle))
    }

    pub(crate) fn dir_name(self, kind: u8, handle: &[u8], name: &[u8]) -> Self {
        self.record(kind, &[&fid(handle), name, &[0]].concat())
    }

    /// What a record of type FID has after its header.
    pub(crate) fn fid_of(kind: i32, handle: &[u8]) -> Vec<u8> {
        let mut body = fid(handle);
        body[12..16].copy_from_slice(&kind.to_ne_bytes());
        body
    }

    pub(crate) fn done(mut self) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

fn fid(handle: &[u8]) -> Vec<u8> {
    let fsid = [0x1111_1111_u32.to_ne_bytes(), 0x2222_2222_u32.to_ne_bytes()].concat();
    let head = [(handle.len() as u32).to_ne_bytes(), 1u32.to_ne_bytes()].concat();
    [&fsid[..], &head, handle].concat()
}
