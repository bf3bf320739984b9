// SPDX-License-Identifier: GPL-2.0

//! What user space can do with a group's file, and the class as the C side sees it.

#![forbid(unsafe_code)]

use crate::event::Form;
use crate::event::Gone;
use crate::group;
use crate::listeners::Reader;
use crate::op;
use crate::op::Asked;
use crate::op::Filter;
use crate::op::Group;
use crate::queue::Taken;
use crate::sys::capability;
use crate::sys::cgroup::Cgroup;
use crate::sys::class::Class;
use crate::sys::class::ClassEvent;
use crate::sys::class::ClassGroup;
use crate::sys::class::GroupFile;
use crate::sys::class::Look;
use crate::sys::class::QueueFile;
use crate::sys::op::Op;
use crate::verdict::Answer;
use crate::waiting::Deadline;
use crate::wire::ANSWER_LEN;
use kernel::bindings;
use kernel::fs::file::flags::O_CLOEXEC;
use kernel::fs::file::flags::O_NONBLOCK;
use kernel::fs::File;
use kernel::ioctl::_IO;
use kernel::ioctl::_IOW;
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
const FAN_IOC_OWN: u32 = _IO(b'F' as u32, 0xE0);
/// ioctl: opens a queue of the group.
const FAN_IOC_QUEUE: u32 = _IO(b'F' as u32, 0xE1);
/// ioctl: sets for how long tasks wait, by a `struct fanotify_deadline`.
const FAN_IOC_DEADLINE: u32 = _IOW::<[u32; 2]>(b'F' as u32, 0xE2);
/// ioctl: exempts the tasks of a cgroup, whose directory is open.
const FAN_IOC_EXEMPT: u32 = _IO(b'F' as u32, 0xE3);
/// ioctl: how many bytes could be read.
const FIONREAD: u32 = bindings::FIONREAD;

/// ioctl: sets which records events have.
const FAN_IOC_RECORDS: u32 = _IO(b'F' as u32, 0xE5);

/// How many events that are to be answered a read(2) returns. Whoever asks when they have been read
/// waits for these, whatever turn it would be.
const MAX_QUESTIONS: usize = 16;

/// Bytes of a `struct fanotify_deadline`: milliseconds and a verdict, a `__u32` each.
const DEADLINE_LEN: usize = size_of::<[u32; 2]>();

/// Copies an event to user space and returns its length.
///
/// Fails with `EFAULT`. No descriptor is left behind then.
fn copy_event(
    group: &ClassGroup<Filter>,
    taken: &Taken,
    buf: &mut UserSliceWriter,
) -> Result<usize> {
    let (event, form) = match taken {
        Taken::Pre(pre, _) => (&**pre, Form::Pre),
        Taken::Post(post) => (&**post, Form::Post),
    };
    let pidfd = event.pidfd_of().map(|pid| group.pidfd(pid));
    let fields = event.fields(form, pidfd.as_ref().map(|pidfd| pidfd.nr()));
    let len = fields.write_to(buf)?;

    if let Some(pidfd) = pidfd {
        pidfd.install();
    }
    Ok(len)
}

/// One event that was read.
struct Done {
    len: usize,
    is_question: bool,
    /// There was none after it.
    is_last: bool,
}

/// Reads one event. Returns `None` if there is none and `wait` is false, or the group was closed.
fn read_one(
    group: &ClassGroup<Filter>,
    reader: Reader,
    wait: bool,
    buf: &mut UserSliceWriter,
) -> Result<Option<Done>> {
    let Some((taken, is_last)) = group.get().take(reader, wait, buf.len())? else {
        return Ok(None);
    };
    let is_question = matches!(taken, Taken::Pre(..));

    match copy_event(group, &taken, buf) {
        Ok(len) => {
            group.get().taken(taken);
            Ok(Some(Done {
                len,
                is_question,
                is_last,
            }))
        }
        Err(err) => {
            group.get().put_back(taken);
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

/// Is it an ioctl of the class's own?
fn is_known(cmd: u32) -> bool {
    matches!(
        cmd,
        FAN_IOC_OWN | FAN_IOC_QUEUE | FAN_IOC_DEADLINE | FAN_IOC_EXEMPT | FAN_IOC_RECORDS
    )
}

/// Does it change what the group enforces, for longer than the file is open that it comes by? Not
/// everyone who reads and answers may do that.
fn is_for_admins(cmd: u32) -> bool {
    matches!(cmd, FAN_IOC_DEADLINE | FAN_IOC_EXEMPT)
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
    type Reader = Reader;

    const OWN: Reader = Reader::OWN;

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

    fn look(group: &ClassGroup<Self>) -> Look {
        group.get().look(group)
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

    fn open_queue(group: ArcBorrow<'_, Group>, file: Arc<QueueFile>) -> Result<Reader> {
        group.open_queue(file)
    }

    fn close_queue(group: ArcBorrow<'_, Group>, reader: Reader) {
        group.close_queue(reader);
    }

    /// Reads as many events as there are and fit, and no more than [`MAX_QUESTIONS`] of them that are
    /// to be answered. Waits for the first one only. Returns 0 if the group was closed, which a queue
    /// can outlive.
    ///
    /// Fails with `EINVAL` if the first does not fit, `EAGAIN` if there is none and the file is
    /// nonblocking, `EFAULT`; in each case nothing is lost.
    fn read(
        group: &ClassGroup<Self>,
        reader: Reader,
        file: &GroupFile,
        buf: &mut UserSliceWriter,
    ) -> Result<usize> {
        let mut done = 0;
        let mut questions = 0;

        group.get().listeners().reads(reader);
        loop {
            let wait = done == 0 && !file.nonblocking();

            match read_one(group, reader, wait, buf) {
                Ok(None) if done == 0 && group.get().is_closed() => return Ok(0),
                Ok(None) => return done_or(done, EAGAIN),
                Ok(Some(one)) => {
                    done += one.len;
                    questions += usize::from(one.is_question);
                    if one.is_last || questions == MAX_QUESTIONS {
                        return Ok(done);
                    }
                }
                Err(err) => return done_or(done, err),
            }
        }
    }

    /// Takes one or more answers. Stops at the first bad one.
    ///
    /// Fails with `EINVAL` if the first answer is malformed, `ENOENT` if no one waits for it, or not
    /// by this reader, `EFAULT`; and, if it makes something ignored, `ENOMEM` and `ENOSPC`.
    fn write(group: &ClassGroup<Self>, reader: Reader, buf: &mut UserSliceReader) -> Result<usize> {
        let mut done = 0;

        loop {
            match read_answer(buf).and_then(|answer| group.get().answer(group, reader, &answer)) {
                Ok(()) => done += ANSWER_LEN,
                Err(err) => return done_or(done, err),
            }
            if buf.is_empty() {
                return Ok(done);
            }
        }
    }

    fn poll(group: ArcBorrow<'_, Group>, file: &File, table: PollTable<'_>) -> u32 {
        let readable = bindings::POLLIN | bindings::POLLRDNORM;

        match group.poll(file, &table) {
            (_, true) => readable | bindings::POLLHUP,
            (true, false) => readable,
            (false, false) => 0,
        }
    }

    /// Fails with `EPERM` for what only administrators may do, before all else; with `ENOTTY` for a
    /// command that is not known, with `ENOENT` if the group was closed, and with `EINVAL` for a flag, record or
    /// verdict that is not; and for what is no cgroup, or as [`Cgroup::from_fd`] and
    /// [`Group::exempt`] do.
    ///
    /// [`Group::exempt`]: crate::group::Group::exempt
    fn ioctl(group: &ClassGroup<Self>, reader: Reader, cmd: u32, arg: usize) -> Result<isize> {
        if is_for_admins(cmd) && !capability::is_admin() {
            return Err(EPERM);
        }
        if cmd != FIONREAD && group.get().is_closed() {
            return Err(if is_known(cmd) { ENOENT } else { ENOTTY });
        }
        match cmd {
            FIONREAD => {
                let len = i32::try_from(group.get().bytes()).unwrap_or(i32::MAX);
                let arg = UserPtr::from_addr(arg);

                UserSlice::new(arg, size_of::<i32>()).writer().write(&len)?;
            }
            FAN_IOC_OWN => group.get().own(reader)?,
            FAN_IOC_QUEUE => {
                let flags = u32::try_from(arg).map_err(|_| EINVAL)?;

                if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
                    return Err(EINVAL);
                }
                // CAST: A descriptor is a small number.
                return group.open_queue(flags).map(|fd| fd as isize);
            }
            FAN_IOC_DEADLINE => {
                let arg = UserPtr::from_addr(arg);
                let mut reader = UserSlice::new(arg, DEADLINE_LEN).reader();
                let (msecs, verdict) = (reader.read()?, reader.read()?);

                group.get().set_deadline(Deadline::parse(msecs, verdict)?);
            }
            FAN_IOC_EXEMPT => {
                let fd = c_int::try_from(arg).map_err(|_| EBADF)?;

                group.get().exempt(Cgroup::from_fd(fd)?)?;
            }
            FAN_IOC_RECORDS => group.get().set_records(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    fn release(group: &ClassGroup<Self>) {
        group.get().close(group);
    }

    fn show_fdinfo(group: ArcBorrow<'_, Group>, reader: Reader, m: &SeqFile) {
        let (counts, oldest) = group.state();
        let pid = oldest.as_ref().and_then(|event| event.pid());
        let nr = group
            .listeners()
            .with_process(reader, |process| process.nr_for_reader(m));

        seq_print!(
            m,
            "vfs-filter pending:{} queued:{} inflight:{} overflows:{} owner:{}\n",
            counts.pending,
            counts.queued,
            counts.inflight,
            counts.overflows,
            nr.unwrap_or(0)
        );
        seq_print!(
            m,
            "vfs-filter-group id:{} oldest:{} pid:{} msecs:{}\n",
            group.number(),
            oldest.as_ref().map_or(0, |event| event.cookie()),
            pid.map_or(0, |pid| pid.nr_for_reader(m)),
            oldest.as_ref().map_or(0, |event| event.age())
        );
    }
}
