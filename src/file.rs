// SPDX-License-Identifier: GPL-2.0

//! What user space can do with a group's file, and the class as the C side sees it.

#![forbid(unsafe_code)]

use crate::event::Form;
use crate::event::Gone;
use crate::group;
use crate::op;
use crate::op::Asked;
use crate::op::Filter;
use crate::op::Group;
use crate::queue::Taken;
use crate::sys::class::Class;
use crate::sys::class::ClassEvent;
use crate::sys::class::ClassGroup;
use crate::sys::class::GroupFile;
use crate::sys::op::Op;
use crate::verdict::Answer;
use crate::wire::ANSWER_LEN;
use kernel::bindings;
use kernel::fs::File;
use kernel::ioctl::_IO;
use kernel::prelude::*;
use kernel::seq_file::SeqFile;
use kernel::seq_print;
use kernel::sync::poll::PollTable;
use kernel::sync::Arc;
use kernel::sync::ArcBorrow;
use kernel::uaccess::UserPtr;
use kernel::uaccess::UserSlice;
use kernel::uaccess::UserSliceReader;
use kernel::uaccess::UserSliceWriter;

/// ioctl: makes the caller's process the owner of the group.
const FAN_IOC_OWN: u32 = _IO(b'F' as u32, 0xe0);
/// ioctl: how many bytes could be read.
const FIONREAD: u32 = bindings::FIONREAD;

/// ioctl: sets which records events have.
const FAN_IOC_RECORDS: u32 = _IO(b'F' as u32, 0xE5);

/// Copies an event to user space and returns its length.
///
/// Fails with `EFAULT`. No descriptor is left behind then.
fn copy_event(file: &GroupFile, taken: &Taken, buf: &mut UserSliceWriter) -> Result<usize> {
    let (event, form) = match taken {
        Taken::Pre(pre) => (&**pre, Form::Pre),
        Taken::Post(post) => (&**post, Form::Post),
    };
    let pidfd = event.pidfd_of().map(|pid| file.pidfd(pid));
    let fields = event.fields(form, pidfd.as_ref().map(|pidfd| pidfd.nr()));
    let len = fields.write_to(buf)?;

    if let Some(pidfd) = pidfd {
        pidfd.install();
    }
    Ok(len)
}

/// Reads one event. Returns its length, or 0 if there is none and `wait` is false, and tells if that
/// was the last one.
fn read_one(
    group: &Group,
    file: &GroupFile,
    wait: bool,
    buf: &mut UserSliceWriter,
) -> Result<(usize, bool)> {
    let Some((taken, last)) = group.take(wait, buf.len())? else {
        return Ok((0, true));
    };

    match copy_event(file, &taken, buf) {
        Ok(len) => {
            group.taken(taken);
            Ok((len, last))
        }
        Err(err) => {
            group.put_back(taken);
            Err(err)
        }
    }
}

fn read_answer(buf: &mut UserSliceReader) -> Result<Answer> {
    let mut bytes = [0; ANSWER_LEN];

    if buf.len() < ANSWER_LEN {
        return Err(EINVAL);
    }
    buf.read_slice(&mut bytes)?;
    Answer::parse(&bytes)
}

/// Bytes that were done before an error, or the error if there are none.
fn done_or(done: usize, err: Error) -> Result<usize> {
    match done {
        0 => Err(err),
        done => Ok(done),
    }
}

impl Class for Filter {
    const INIT_FLAGS: u32 = group::INIT_FLAGS;

    type Group = Group;
    type Asked = Asked;

    fn init(flags: u32, max_events: u32) -> Result<Arc<Group>> {
        Group::new(flags, max_events)
    }

    fn mark(flags: u32, mask: u64) -> Result<u64> {
        group::mark_mask(flags, mask)
    }

    fn pre(group: &ClassGroup<Self>, op: &mut Op<Asked>, event: &ClassEvent) -> Result<bool> {
        op::pre(group, op, event)
    }

    fn post(group: &ClassGroup<Self>, op: &mut Op<Asked>, event: &ClassEvent) {
        op::post(group, op, event);
    }

    /// Fails with `ENOMEM`, and with `EBUSY` if there are too many.
    fn begin_barrier(group: ArcBorrow<'_, Group>, super_block: usize) -> Result<u64> {
        group.begin_barrier(super_block)
    }

    fn end_barrier(group: ArcBorrow<'_, Group>, number: u64) {
        group.end_barrier(number);
    }

    fn watchdog(group: ArcBorrow<'_, Group>, timeout: c_int) {
        group.watchdog(timeout);
    }

    fn gone(group: ArcBorrow<'_, Group>, fsid: [i32; 2], mount: Option<u64>) {
        group.tell_gone(Gone { fsid, mount });
    }

    fn wait(asked: &mut Asked) -> Result {
        asked.wait()
    }

    fn end(op: &Op<Asked>, asked: KBox<Asked>) {
        asked.end(op);
    }

    /// Reads as many events as there are and fit. Waits for the first one only.
    ///
    /// Fails with `EINVAL` if the first does not fit, `EAGAIN` if there is none and the file is
    /// nonblocking, `EFAULT`; in each case nothing is lost.
    fn read(
        group: ArcBorrow<'_, Group>,
        file: &GroupFile,
        buf: &mut UserSliceWriter,
    ) -> Result<usize> {
        let mut done = 0;

        loop {
            let wait = done == 0 && !file.nonblocking();

            match read_one(&group, file, wait, buf) {
                Ok((0, _)) => return done_or(done, EAGAIN),
                Ok((len, true)) => return Ok(done + len),
                Ok((len, false)) => done += len,
                Err(err) => return done_or(done, err),
            }
        }
    }

    /// Takes one or more answers. Stops at the first bad one.
    ///
    /// Fails with `EINVAL` if the first answer is malformed, `ENOENT` if no one waits for it,
    /// `EFAULT`; and, if it makes something ignored, `ENOMEM` and `ENOSPC`.
    fn write(group: &ClassGroup<Self>, buf: &mut UserSliceReader) -> Result<usize> {
        let mut done = 0;

        loop {
            match read_answer(buf).and_then(|answer| group.get().answer(group, &answer)) {
                Ok(()) => done += ANSWER_LEN,
                Err(err) => return done_or(done, err),
            }
            if buf.is_empty() {
                return Ok(done);
            }
        }
    }

    fn poll(group: ArcBorrow<'_, Group>, file: &File, table: PollTable<'_>) -> u32 {
        if group.poll(file, &table) {
            bindings::POLLIN | bindings::POLLRDNORM
        } else {
            0
        }
    }

    /// Fails with `ENOTTY` for a command that is not known, and with `EINVAL` for a record that is
    /// not.
    fn ioctl(group: ArcBorrow<'_, Group>, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            FIONREAD => {
                let len = i32::try_from(group.bytes()).unwrap_or(i32::MAX);
                let arg = UserPtr::from_addr(arg);

                UserSlice::new(arg, size_of::<i32>()).writer().write(&len)?;
            }
            FAN_IOC_OWN => group.own(),
            FAN_IOC_RECORDS => group.set_records(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn release(group: ArcBorrow<'_, Group>) {
        group.close();
    }

    fn show_fdinfo(group: ArcBorrow<'_, Group>, m: &SeqFile) {
        let counts = group.counts();
        let owner = group.with_owner(|owner| owner.nr_for_reader(m));

        seq_print!(
            m,
            "vfs-filter pending:{} queued:{} inflight:{} overflows:{} owner:{}\n",
            counts.pending,
            counts.queued,
            counts.inflight,
            counts.overflows,
            owner
        );
    }
}
