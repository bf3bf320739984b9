// SPDX-License-Identifier: GPL-2.0

//! System calls. All `unsafe` of the fuzzer is here. They return what the call did, or `-errno`: a
//! program goes on whatever that is.
//!
//! The process has one thread, and so has each of its children: what they do after fork(2) has no
//! restrictions.
#![expect(unsafe_code)]

use crate::uapi;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// An argument of a system call.
pub(crate) enum Arg<'m> {
    /// A number that stands for no memory.
    Num(i64),
    /// A name.
    Name(&'m CStr),
    /// Memory that is read, and its length: two arguments.
    Read(&'m [u8]),
    /// Memory that is written to, and its length.
    Write(&'m mut [u8]),
    /// Where nothing is mapped, and a length.
    Nowhere(u16),
    /// No pointer: one argument, for [`Arg::Name`] and what can be left out.
    Null,
}

/// The calls that can be made, and what they take: numbers, names, memory with its length, and
/// pointers that are null here.
#[rustfmt::skip]
const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_chdir, "s"),
    (libc::SYS_chroot, "s"),
    (libc::SYS_close, "n"),
    (libc::SYS_copy_file_range, "n0n0nn"),
    (libc::SYS_execve, "s00"),
    (libc::SYS_fallocate, "nnnn"),
    (libc::SYS_fanotify_init, "nn"),
    (libc::SYS_fanotify_mark, "nnnns"),
    (libc::SYS_fchmodat, "nsn"),
    (libc::SYS_fchown, "nnn"),
    (libc::SYS_ftruncate, "nn"),
    (libc::SYS_getdents64, "nm"),
    (libc::SYS_linkat, "nsnsn"),
    (libc::SYS_lseek, "nnn"),
    (libc::SYS_mkdirat, "nsn"),
    (libc::SYS_mknodat, "nsnn"),
    (libc::SYS_mount, "sssn0"),
    (libc::SYS_openat, "nsnn"),
    (libc::SYS_read, "nm"),
    (libc::SYS_renameat2, "nsnsn"),
    (libc::SYS_sendfile, "nn0n"),
    (libc::SYS_setxattr, "ssrn"),
    (libc::SYS_splice, "n0n0nn"),
    (libc::SYS_symlinkat, "sns"),
    (libc::SYS_truncate, "sn"),
    (libc::SYS_umount2, "sn"),
    (libc::SYS_unlinkat, "nsn"),
    (libc::SYS_utimensat, "ns0n"),
    (libc::SYS_write, "nr"),
];

/// Makes a system call. What is not in the table, or not as it is there, is -ENOSYS.
pub(crate) fn call<const N: usize>(number: libc::c_long, args: [Arg<'_>; N]) -> i64 {
    let takes = CALLS.iter().find(|(known, _)| *known == number);
    let kinds = takes.map_or("", |(_, kinds)| kinds).bytes();
    let mut values = [0; 6];
    let mut at = 0;
    if kinds.len() != N {
        return -i64::from(libc::ENOSYS);
    }
    for (arg, kind) in args.into_iter().zip(kinds) {
        let (value, length) = match (kind, arg) {
            (b'n', Arg::Num(number)) => (number, None),
            (b's', Arg::Name(name)) => (name.as_ptr() as i64, None),
            (b's' | b'0', Arg::Null) => (0, None),
            (b'r', Arg::Read(bytes)) => (bytes.as_ptr() as i64, Some(bytes.len())),
            (b'm', Arg::Write(bytes)) => (bytes.as_mut_ptr() as i64, Some(bytes.len())),
            // In the first page, which never is.
            (b'r' | b'm', Arg::Nowhere(length)) => (8, Some(length.into())),
            _ => return -i64::from(libc::ENOSYS),
        };
        for value in [Some(value), length.map(|length| length as i64)]
            .into_iter()
            .flatten()
        {
            values[at] = value;
            at += 1;
        }
    }
    let [a, b, c, d, e, f] = values;
    // SAFETY: As the table says, pointers are null, or to a name, or to nothing, or to memory of
    // that length, which the call writes to only if it is borrowed mutably; all of it is borrowed
    // until the call has returned. No call in the table changes what is mapped, or keeps pointers.
    checked(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// What a call has done, or `-errno`.
fn checked(done: i64) -> i64 {
    if done >= 0 {
        return done;
    }
    -i64::from(
        io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EIO),
    )
}

/// Shorthands for what is made of a call most often.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> i64 {
    call(libc::SYS_read, [Arg::from(fd), Arg::Write(buffer)])
}

/// See [`read`].
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> i64 {
    call(libc::SYS_write, [Arg::from(fd), Arg::Read(bytes)])
}

/// See [`read`].
pub(crate) fn close(fd: RawFd) -> i64 {
    call(libc::SYS_close, [Arg::from(fd)])
}

/// See [`read`]. What is created can be read and written by all.
pub(crate) fn open(path: &CStr, flags: i32) -> i64 {
    let here = Arg::from(libc::AT_FDCWD);
    call(
        libc::SYS_openat,
        [here, Arg::Name(path), flags.into(), Arg::Num(0o666)],
    )
}

macro_rules! numbers {
    ($($number:ty)*) => { $(
        impl From<$number> for Arg<'_> {
            fn from(number: $number) -> Self {
                Self::Num(number.into())
            }
        }
    )* };
}

numbers! { i32 u32 i64 }

/// `ioctl(2)` with a number. Where the request takes a pointer it is one to nothing.
pub(crate) fn ioctl(fd: RawFd, request: u64, arg: u32) -> i64 {
    let arg = if uapi::IOCTLS_OF_NUMBERS.contains(&request) {
        arg
    } else {
        arg & 0xfff
    };
    // SAFETY: The request takes a number, or a pointer, which is to the first page then, where
    // nothing is mapped.
    checked(i64::from(unsafe {
        libc::ioctl(fd, request, libc::c_ulong::from(arg))
    }))
}

/// `ioctl(2)` with a pointer to what fanotify reads or writes: no more than 8 bytes.
pub(crate) fn ioctl_bytes(fd: RawFd, request: u64, bytes: &mut [u8; 64]) -> i64 {
    debug_assert!([uapi::IOC_DEADLINE, uapi::FIONREAD].contains(&request));
    // SAFETY: The memory is borrowed, and larger than what either request is about.
    checked(i64::from(unsafe {
        libc::ioctl(fd, request, bytes.as_mut_ptr())
    }))
}

/// Maps a page of a file shared and writable, and stores into it.
pub(crate) fn map_and_store(fd: RawFd, store: bool) -> i64 {
    let Ok(map) = Mapping::new(fd, 4096) else {
        return -i64::from(libc::EACCES);
    };
    if store {
        // Past the end of the file this is the end of the task, which is as good.
        map.words()[0].store(1, Relaxed);
    }
    0
}

/// `pipe2(2)`: the end to read from, and the one to write to.
pub(crate) fn pipe(flags: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: There is room for two descriptors.
    check(checked(i64::from(unsafe {
        libc::pipe2(ends.as_mut_ptr(), flags)
    })))?;
    // SAFETY: The call has just made both.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Waits until there is something to read, or the time is over.
pub(crate) fn readable(fd: RawFd, time: Duration) -> bool {
    let (events, revents) = (libc::POLLIN, 0);
    let mut poll = libc::pollfd {
        fd,
        events,
        revents,
    };
    let time = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: `poll` is one structure, and outlives the call.
    unsafe { libc::poll(&mut poll, 1, time) == 1 }
}

/// Makes a child that runs `body` and ends with the status that it returns. `namespaces` are
/// `CLONE_NEW*`.
pub(crate) fn spawn(namespaces: i32, body: impl FnOnce() -> i32) -> io::Result<Child> {
    let mut pidfd: RawFd = -1;
    let flags = i64::from(namespaces | libc::SIGCHLD | libc::CLONE_PIDFD);
    // SAFETY: Without CLONE_VM and with no stack it is as fork(2). There is one thread, so no lock
    // is held by another in the child. `pidfd` has room for a descriptor.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &mut pidfd, 0, 0) };
    if pid == 0 {
        let status = body();
        // SAFETY: Ends the process, and runs nothing more of it.
        unsafe { libc::_exit(status) }
    }
    let pid = check(checked(pid))? as libc::pid_t;
    // SAFETY: The call has just made it.
    let fd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid, fd })
}

/// A child process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: libc::pid_t,
    fd: OwnedFd,
}

impl Child {
    /// Waits until it has ended, as long as this, and gives its status; `None` if it has not.
    pub(crate) fn wait(&self, time: Duration) -> Option<i32> {
        if !readable(self.fd.as_raw_fd(), time) {
            return None;
        }
        let mut status = 0;
        // SAFETY: There is room for the status.
        let pid = unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) };
        (pid == self.pid).then_some(status)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: Takes no memory. It is about the process that `fd` was made with, or none.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.fd.as_raw_fd(),
                signal,
                0,
                0,
            )
        };
    }
}

/// Memory that is shared with children, or with the kernel.
#[derive(Debug)]
pub(crate) struct Mapping {
    words: *const AtomicU64,
    count: usize,
}

impl Mapping {
    /// Maps so many bytes, a multiple of the page size, of a file, or of none if `fd` is -1.
    pub(crate) fn new(fd: RawFd, length: usize) -> io::Result<Self> {
        let anonymous = if fd < 0 { libc::MAP_ANONYMOUS } else { 0 };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | anonymous;
        // SAFETY: It is a new mapping, where nothing is.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let (words, count) = (at.cast::<AtomicU64>(), length / 8);
        Ok(Self { words, count })
    }

    /// What is there, as words that others can change.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: So many words are mapped there, until this is dropped.
        unsafe { std::slice::from_raw_parts(self.words, self.count) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: It was mapped by `new`, and borrows of it have ended.
        unsafe { libc::munmap(self.words.cast_mut().cast(), self.count * 8) };
    }
}

/// The error that a call has returned.
pub(crate) fn check(done: i64) -> io::Result<i64> {
    if done >= 0 {
        return Ok(done);
    }
    Err(io::Error::from_raw_os_error(
        i32::try_from(-done).unwrap_or(libc::EIO),
    ))
}

/// The clock of libafl, which knows none without its feature "std".
#[no_mangle]
extern "C" fn external_current_millis() -> u64 {
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
