// SPDX-License-Identifier: GPL-2.0

//! From the bytes of `read(2)` to an [`Event`].
//!
//! The only place that knows the layout, which is that of `docs/uapi.md`, section 3. It checks
//! every field it uses and passes over records of kinds it does not know, as fanotify asks of
//! programs. It reads plain bytes, so the buffer need not be aligned.

use crate::event::DirName;
use crate::event::Rename;
use crate::uapi;
use crate::Event;
use crate::Events;
use crate::FileHandle;
use crate::Kind;
use crate::Malformed;
use crate::OpFlags;
use crate::Range;
use record::Fields;
use record::Op;
use rustix::io::Errno;
use rustix::process::Pid;
use std::os::fd::RawFd;

mod record;

type Result<T> = std::result::Result<T, Malformed>;

const fn malformed<T>(what: &'static str) -> Result<T> {
    Err(Malformed { what })
}

/// An event, and the number of the descriptor it brought, which `event` does not own yet.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) event: Event<'a>,
    pub(crate) pidfd: Option<RawFd>,
}

/// The first event in `bytes`, and what follows it.
pub(crate) fn event(bytes: &[u8]) -> Result<(Parsed<'_>, &[u8])> {
    let mut head = Fields::new(bytes, "metadata");
    let event_len = head.u32()? as usize;
    let version = head.u8()?;
    let _reserved = head.u8()?;
    let metadata_len = usize::from(head.u16()?);
    let mask = head.u64()?;
    let fd = head.i32()?;
    let pid = head.i32()?;
    if version != uapi::FANOTIFY_METADATA_VERSION {
        return malformed("metadata version");
    }
    if fd != uapi::FAN_NOFD {
        return malformed("fd, which is not FAN_NOFD");
    }
    let Some((this, rest)) = bytes.split_at_checked(event_len) else {
        return malformed("event_len, past the end of what was read");
    };
    if metadata_len < uapi::FAN_EVENT_METADATA_LEN {
        return malformed("metadata_len");
    }
    let Some(records) = this.get(metadata_len..) else {
        return malformed("event_len, less than metadata_len");
    };
    let parsed = Records::collect(records)?.into_event(mask, pid)?;
    Ok((parsed, rest))
}

/// The records of one event, each at most once.
#[derive(Default)]
struct Records<'a> {
    op: Option<Op>,
    name: Option<DirName<'a>>,
    old: Option<DirName<'a>>,
    new: Option<DirName<'a>>,
    directory: Option<FileHandle<'a>>,
    object: Option<FileHandle<'a>>,
    replaced: Option<FileHandle<'a>>,
    mount: Option<u64>,
    cgroup: Option<u64>,
    range: Option<Range>,
    pidfd: Option<RawFd>,
}

impl<'a> Records<'a> {
    fn collect(mut bytes: &'a [u8]) -> Result<Self> {
        let mut records = Self::default();
        while !bytes.is_empty() {
            let mut head = Fields::new(bytes, "record header");
            let kind = head.u8()?;
            let _pad = head.u8()?;
            let len = usize::from(head.u16()?);
            let Some((this, rest)) = bytes.split_at_checked(len) else {
                return malformed("record len, past the end of the event");
            };
            let Some(body) = this.get(record::HEADER_LEN..) else {
                return malformed("record len, less than a header");
            };
            records.add(kind, body)?;
            bytes = rest;
        }
        Ok(records)
    }

    fn add(&mut self, kind: u8, body: &'a [u8]) -> Result<()> {
        match kind {
            uapi::FAN_EVENT_INFO_TYPE_OP => once(&mut self.op, "OP record", record::op(body)?),
            uapi::FAN_EVENT_INFO_TYPE_DFID_NAME => {
                once(&mut self.name, "DFID_NAME record", record::dir_name(body)?)
            }
            uapi::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME => once(
                &mut self.old,
                "OLD_DFID_NAME record",
                record::dir_name(body)?,
            ),
            uapi::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME => once(
                &mut self.new,
                "NEW_DFID_NAME record",
                record::dir_name(body)?,
            ),
            uapi::FAN_EVENT_INFO_TYPE_DFID => {
                once(&mut self.directory, "DFID record", record::handle(body)?.0)
            }
            uapi::FAN_EVENT_INFO_TYPE_FID => {
                once(&mut self.object, "FID record", record::handle(body)?.0)
            }
            uapi::FAN_EVENT_INFO_TYPE_REPLACED => once(
                &mut self.replaced,
                "REPLACED record",
                record::handle(body)?.0,
            ),
            uapi::FAN_EVENT_INFO_TYPE_MNT => once(
                &mut self.mount,
                "MNT record",
                record::id(body, "MNT record")?,
            ),
            uapi::FAN_EVENT_INFO_TYPE_CGROUP => once(
                &mut self.cgroup,
                "CGROUP record",
                record::id(body, "CGROUP record")?,
            ),
            uapi::FAN_EVENT_INFO_TYPE_RANGE => {
                once(&mut self.range, "RANGE record", record::range(body)?)
            }
            uapi::FAN_EVENT_INFO_TYPE_PIDFD => once(
                &mut self.pidfd,
                "PIDFD record",
                Fields::new(body, "PIDFD record").i32()?,
            ),
            _ => Ok(()),
        }
    }

    fn into_event(self, mask: u64, pid: i32) -> Result<Parsed<'a>> {
        let op = self.op.ok_or(Malformed {
            what: "no OP record",
        })?;
        let (kind, events) = op.kind(mask)?;
        let handles = [&self.object, &self.directory, &self.replaced];
        let names = [&self.name, &self.old, &self.new];
        let names = names.into_iter().flatten().map(|entry| &entry.dir);
        let fsid = handles
            .into_iter()
            .flatten()
            .chain(names)
            .map(|handle| handle.fsid)
            .next();
        let rename = match (self.old, self.new) {
            (Some(old), Some(new)) => Some(Rename { old, new }),
            (None, None) => None,
            _ => return malformed("one of OLD_DFID_NAME and NEW_DFID_NAME without the other"),
        };
        let event = Event {
            kind,
            events,
            on_dir: mask & uapi::FAN_ONDIR != 0,
            cookie: op.cookie,
            flags: OpFlags::from_bits_retain(op.flags),
            pid: process(pid)?,
            pidfd: None,
            range: self.range,
            fsid,
            object: self.object.filter(FileHandle::is_valid),
            name: self.name,
            rename,
            directory: self.directory,
            replaced: self.replaced.filter(FileHandle::is_valid),
            mount: self.mount,
            cgroup: self.cgroup,
        };
        let pidfd = self.pidfd.filter(|fd| *fd >= 0);
        Ok(Parsed { event, pidfd })
    }
}

fn once<T>(slot: &mut Option<T>, what: &'static str, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => malformed(what),
    }
}

impl Op {
    /// What `mask` says happened, with this result.
    fn kind(&self, mask: u64) -> Result<(Kind, Events)> {
        let pre = (mask >> uapi::FAN_PRE_SHIFT) & uapi::FAN_PHASE_MASK;
        let post = (mask >> uapi::FAN_POST_SHIFT) & uapi::FAN_PHASE_MASK;
        let others = mask & ((1 << uapi::FAN_PRE_SHIFT) - 1) & !uapi::FAN_ONDIR;
        match (pre, post, others) {
            (0, 0, uapi::FAN_Q_OVERFLOW) => Ok((Kind::Overflow, Events::empty())),
            (0, 0, uapi::FAN_Q_GONE) => Ok((Kind::Gone, Events::empty())),
            (0, 0, uapi::FAN_Q_BARRIER) if self.cookie == 0 => malformed("cookie 0"),
            (0, 0, uapi::FAN_Q_BARRIER) => Ok((Kind::Barrier(self.cookie), Events::empty())),
            (_, _, 1..) | (0, 0, 0) | (1.., 1.., 0) => malformed("mask"),
            (_, _, 0) if self.cookie == 0 => malformed("cookie 0"),
            (1.., 0, 0) if self.result != 0 => malformed("result of a PRE, not 0"),
            (1.., 0, 0) => Ok((Kind::Pre, one_operation(pre)?)),
            (0, 1.., 0) => Ok((
                Kind::Post {
                    result: self.result()?,
                },
                one_operation(post)?,
            )),
        }
    }

    fn result(&self) -> Result<std::result::Result<u64, Errno>> {
        const LAST_ERRNO: i64 = -4095;
        match self.result {
            bytes @ 0.. => Ok(Ok(bytes.unsigned_abs())),
            errno @ LAST_ERRNO..0 => Ok(Err(Errno::from_raw_os_error(-errno as i32))),
            _ => malformed("result, no errno"),
        }
    }
}

/// One filterable event, or the two of a rename.
fn one_operation(bits: u64) -> Result<Events> {
    let rename = Events::MOVED_FROM | Events::MOVED_TO;
    match Events::from_bits(bits) {
        Some(events) if events == rename || bits.is_power_of_two() => Ok(events),
        _ => malformed("mask"),
    }
}

fn process(pid: i32) -> Result<Option<Pid>> {
    match pid {
        0.. => Ok(Pid::from_raw(pid)),
        _ => malformed("pid"),
    }
}

#[cfg(test)]
mod tests;
