// SPDX-License-Identifier: GPL-2.0

//! Child tasks that do something with files, one thing after the other, as they are told through a
//! pipe. They have no descriptor of a group, unless they were started again.

use crate::environment::Environment;
use crate::environment::NAMES;
use crate::program::Call;
use crate::program::Kind;
use crate::program::RECORD;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Child;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::time::Duration;

/// How many kinds of things it can do.
pub(crate) const WORKS: usize = 26;

/// One task, and the pipe to it.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    orders: OwnedFd,
}

impl Worker {
    /// Starts it; `task` is its number for coverage.
    pub(crate) fn start(env: &Environment, task: usize) -> io::Result<Self> {
        let (from, to) = sys::pipe(libc::O_CLOEXEC)?;
        let child = sys::spawn(0, || {
            env.follow(task);
            let mut record = [0; RECORD];
            // The listener can go on as soon as it is killed, and has the pipe too: the end of
            // the listener is that of the namespace, and so of this task.
            while sys::read(from.as_raw_fd(), &mut record) == RECORD as i64 {
                let call = Call::decode(&record);
                env.ended(&call, work(&call));
            }
            0
        })?;
        Ok(Self { child, orders: to })
    }

    /// Tells it what to do next. It has room for more than a program has calls.
    pub(crate) fn order(&self, call: &Call) {
        sys::write(self.orders.as_raw_fd(), &call.encode());
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        self.child.signal(signal);
    }

    /// Has it ended, or does it so in this time?
    pub(crate) fn ended(&self, time: Duration) -> bool {
        self.child.wait(time).is_some()
    }
}

/// Does what `b` says, and returns how that ended: to one or two names, of `c`, with a size or flags `x` and an offset `y`.
fn work(call: &Call) -> i64 {
    debug_assert_eq!(call.kind, Kind::Work);
    let name = NAMES[usize::from(call.c & 7)];
    let other = NAMES[usize::from((call.c >> 3) & 7)];
    let small = call.x & 0xffff;
    let rename = |flags: u32| names(libc::SYS_renameat2, name, other, flags);
    match usize::from(call.b) % WORKS {
        0 => with(name, libc::O_RDWR | libc::O_CREAT, |fd| {
            transfer(fd, call, true)
        }),
        1 => with(name, libc::O_RDONLY, |fd| transfer(fd, call, false)),
        2 => with(name, call.x as i32 & !libc::O_DIRECT, |_| 0),
        3 => at(libc::SYS_mkdirat, name, 0o777),
        4 => at(libc::SYS_unlinkat, name, 0),
        5 => at(libc::SYS_unlinkat, name, libc::AT_REMOVEDIR as u32),
        6 => rename(0),
        7 => rename(call.x & 7),
        8 => names(libc::SYS_linkat, name, other, 0),
        9 => sys::call(
            libc::SYS_symlinkat,
            [Arg::Name(name), HERE, Arg::Name(other)],
        ),
        10 => at(libc::SYS_fchmodat, name, call.x & 0o777 | 0o600),
        11 => sys::call(
            libc::SYS_utimensat,
            [HERE, Arg::Name(name), Arg::Null, Arg::Num(0)],
        ),
        12 => {
            let value = &call.encode()[..small as usize % RECORD];
            let [name, key] = [name, c"user.fuzz"].map(Arg::Name);
            sys::call(
                libc::SYS_setxattr,
                [name, key, Arg::Read(value), Arg::Num(0)],
            )
        }
        13 => sys::call(libc::SYS_truncate, [Arg::Name(name), small.into()]),
        14 => with(name, libc::O_RDWR, |fd| {
            let mode = call.x & 0x3f;
            sys::call(
                libc::SYS_fallocate,
                [fd.into(), mode.into(), Arg::Num(0), Arg::Num(8192)],
            )
        }),
        15 => with(name, libc::O_RDWR, |fd| {
            sys::map_and_store(fd, call.x & 1 == 0)
        }),
        16 => two(name, other, |from, to| {
            let [from, to] = [from, to].map(Arg::from);
            let length = Arg::from(small + 1);
            let args = [from, Arg::Null, to, Arg::Null, length, Arg::Num(0)];
            sys::call(libc::SYS_copy_file_range, args)
        }),
        17 => two(name, other, |from, to| {
            let length = Arg::from(small + 1);
            sys::call(
                libc::SYS_sendfile,
                [to.into(), from.into(), Arg::Null, length],
            )
        }),
        18 => through_pipe(name, other, small + 1),
        19 => make_fifo(name),
        20 => make_node(name, libc::S_IFREG),
        21 => with(name, libc::O_RDONLY | libc::O_DIRECTORY, |fd| {
            sys::call(
                libc::SYS_getdents64,
                [fd.into(), Arg::Write(&mut [0; 1024])],
            )
        }),
        22 => sys::call(libc::SYS_execve, [Arg::Name(name), Arg::Null, Arg::Null]),
        23 => with(name, libc::O_RDWR | libc::O_TRUNC, |fd| {
            sys::call(libc::SYS_ftruncate, [fd.into(), small.into()])
        }),
        24 => with(c"d", libc::O_RDWR | libc::O_TMPFILE, |fd| {
            transfer(fd, call, true)
        }),
        _ => with(name, libc::O_RDWR, |fd| {
            sys::call(libc::SYS_fchown, [fd.into(), small.into(), Arg::Num(-1)])
        }),
    }
}

const HERE: Arg<'static> = Arg::Num(libc::AT_FDCWD as i64);

fn at(number: libc::c_long, name: &CStr, value: u32) -> i64 {
    sys::call(number, [HERE, Arg::Name(name), value.into()])
}

fn names(number: libc::c_long, from: &CStr, to: &CStr, flags: u32) -> i64 {
    sys::call(
        number,
        [HERE, Arg::Name(from), HERE, Arg::Name(to), flags.into()],
    )
}

fn make_node(name: &CStr, kind: libc::mode_t) -> i64 {
    let mode = Arg::from(kind | 0o666);
    sys::call(
        libc::SYS_mknodat,
        [HERE, Arg::Name(name), mode, Arg::Num(0)],
    )
}

/// `mkfifo(3)`.
pub(crate) fn make_fifo(name: &CStr) -> i64 {
    make_node(name, libc::S_IFIFO)
}

/// Does something with an open file. A FIFO is not waited for.
fn with(name: &CStr, flags: i32, body: impl FnOnce(RawFd) -> i64) -> i64 {
    let opened = sys::open(name, flags | libc::O_NONBLOCK | libc::O_CLOEXEC);
    let Ok(fd @ 0..) = RawFd::try_from(opened) else {
        return opened;
    };
    let done = body(fd);
    sys::close(fd);
    done
}

fn two(from: &CStr, to: &CStr, body: impl FnOnce(RawFd, RawFd) -> i64) -> i64 {
    with(from, libc::O_RDONLY, |from| {
        with(to, libc::O_RDWR | libc::O_CREAT, |to| body(from, to))
    })
}

/// Reads or writes at an offset near the start of the file; a write of nothing is one, too.
fn transfer(fd: RawFd, call: &Call, write: bool) -> i64 {
    let mut bytes = [0; 4096];
    let length = call.x as usize % (bytes.len() + 1);
    let offset = Arg::Num((call.y & 0xffff) as i64);
    sys::call(libc::SYS_lseek, [fd.into(), offset, libc::SEEK_SET.into()]);
    if write {
        sys::write(fd, &bytes[..length])
    } else {
        sys::read(fd, &mut bytes[..length])
    }
}

fn through_pipe(from: &CStr, to: &CStr, length: u32) -> i64 {
    let Ok((out, into)) = sys::pipe(libc::O_CLOEXEC | libc::O_NONBLOCK) else {
        return 0;
    };
    let splice = |from: RawFd, to: RawFd| {
        let args = [
            from.into(),
            Arg::Null,
            to.into(),
            Arg::Null,
            length.into(),
            Arg::Num(0),
        ];
        sys::call(libc::SYS_splice, args)
    };
    two(from, to, |from, to| {
        splice(from, into.as_raw_fd());
        splice(out.as_raw_fd(), to)
    })
}
