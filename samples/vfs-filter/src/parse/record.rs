// SPDX-License-Identifier: GPL-2.0

//! The records of an event, each without its header.

use super::malformed;
use super::Result;
use crate::DirName;
use crate::FileHandle;
use crate::Range;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// `struct fanotify_event_info_op`.
pub(super) struct Op {
    pub(super) flags: u32,
    pub(super) cookie: u64,
    pub(super) result: i64,
}

pub(super) fn op(body: &[u8]) -> Result<Op> {
    let mut fields = Fields::new(body, "OP record");
    Ok(Op {
        flags: fields.u32()?,
        cookie: fields.u64()?,
        result: fields.i64()?,
    })
}

pub(super) fn range(body: &[u8]) -> Result<Range> {
    let mut fields = Fields::new(body, "RANGE record");
    let _pad = fields.u32()?;
    Ok(Range {
        offset: fields.u64()?,
        count: fields.u64()?,
    })
}

/// A number of 64 bits, aligned or not: where it is not, on some machines, there is no padding
/// in front of it.
pub(super) fn id(body: &[u8], what: &'static str) -> Result<u64> {
    let mut fields = Fields::new(body, what);
    if body.len() > size_of::<u64>() {
        let _pad = fields.u32()?;
    }
    fields.u64()
}

/// `struct fanotify_event_info_fid` without its header, and what follows the handle.
pub(super) fn handle(body: &[u8]) -> Result<(FileHandle<'_>, &[u8])> {
    let mut fields = Fields::new(body, "file handle");
    let fsid = u64::from(fields.u32()?) | (u64::from(fields.u32()?) << 32);
    let len = fields.u32()? as usize;
    let kind = fields.i32()?;
    let bytes = Cow::Borrowed(fields.slice(len)?);
    Ok((FileHandle { fsid, kind, bytes }, fields.bytes))
}

pub(super) fn dir_name(body: &[u8]) -> Result<DirName<'_>> {
    let (dir, after) = handle(body)?;
    let mut parts = after.split(|byte| *byte == 0);
    match (parts.next(), parts.next()) {
        (Some(name), Some(_)) if !name.is_empty() && !name.contains(&b'/') => Ok(DirName {
            dir,
            name: OsStr::from_bytes(name),
        }),
        (_, None) => malformed("name, which does not end"),
        _ => malformed("name"),
    }
}

/// `struct fanotify_event_info_header`.
pub(super) const HEADER_LEN: usize = 4;

/// Takes fields off the front of a structure; an error says which structure was too short.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { bytes, what }
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.bytes.split_at_checked(len) else {
            return malformed(self.what);
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.bytes.split_first_chunk() else {
            return malformed(self.what);
        };
        self.bytes = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_ne_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_ne_bytes)
    }
}
