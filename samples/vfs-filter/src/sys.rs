// SPDX-License-Identifier: GPL-2.0

//! The system calls that rustix has no safe form of. All `unsafe` of the crate is here.
#![expect(unsafe_code)]

use crate::parse;
use crate::uapi;
use crate::Event;
use crate::Malformed;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::ptr;

/// The descriptor of a group of `FAN_CLASS_VFS_FILTER`.
///
/// # Invariants
///
/// The descriptor is one of fanotify: what is read from it was written by the kernel.
#[derive(Debug)]
pub(crate) struct GroupFd(OwnedFd);

impl GroupFd {
    /// `fanotify_init(2)`.
    pub(crate) fn init(flags: u32) -> Result<Self, Errno> {
        // SAFETY: The call takes no pointers.
        let fd = unsafe { libc::fanotify_init(flags, libc::O_CLOEXEC as u32) };
        // SAFETY: The kernel has just made this descriptor, and nobody else knows of it.
        let fd = unsafe { adopt(fd) }?;
        // INVARIANT: `fanotify_init(2)` made it.
        Ok(Self(fd))
    }

    /// A stand-in whose other end a test holds, which must not send it descriptors.
    #[cfg(test)]
    pub(crate) fn imitate(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// Takes over a descriptor that came from elsewhere, if it is one of a group of the class.
    pub(crate) fn inherit(fd: OwnedFd) -> Result<Self, Errno> {
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        let info = std::fs::read_to_string(path)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        if !is_filter_group(&info) {
            return Err(Errno::INVAL);
        }
        // INVARIANT: Only fanotify prints such a line about a descriptor.
        Ok(Self(fd))
    }

    /// [`GroupFd::inherit`] of a duplicate of the descriptor with this number, closed on exec.
    pub(crate) fn inherit_number(number: RawFd) -> Result<Self, Errno> {
        // SAFETY: The call takes no pointers, and changes nothing about `number`, whatever that is.
        let fd = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
        // SAFETY: The kernel has just made this descriptor, and nobody else knows of it.
        Self::inherit(unsafe { adopt(fd) }?)
    }

    /// `fanotify_mark(2)`, on what `directory` is open on if there is no path.
    pub(crate) fn mark(
        &self,
        flags: u32,
        mask: u64,
        directory: BorrowedFd<'_>,
        path: Option<&CStr>,
    ) -> Result<(), Errno> {
        let group = self.0.as_raw_fd();
        let path = path.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: `path` is null or a NUL-terminated string that outlives the call, which only
        // reads it; both descriptors are open.
        let done = unsafe { libc::fanotify_mark(group, flags, mask, directory.as_raw_fd(), path) };
        check(done).map(drop)
    }

    /// `read(2)`.
    pub(crate) fn read<'b>(&self, buffer: &'b mut [u8]) -> Result<Delivered<'b>, Errno> {
        let length = rustix::io::read(&self.0, &mut *buffer)?;
        // INVARIANT: The invariants of `Self` say that the kernel wrote these bytes.
        Ok(Delivered {
            bytes: &buffer[..length],
        })
    }

    /// `ioctl(2)` with `FAN_IOC_OWN`.
    pub(crate) fn own(&self) -> Result<(), Errno> {
        const OWN: rustix::ioctl::Opcode =
            rustix::ioctl::opcode::none(uapi::FAN_IOC_GROUP, uapi::FAN_IOC_OWN_NUMBER);
        // SAFETY: The opcode is that of `FAN_IOC_OWN`, which takes no argument and touches no memory
        // of ours. By the invariants of `Self` no other driver gets to interpret it.
        unsafe { rustix::ioctl::ioctl(&self.0, rustix::ioctl::NoArg::<OWN>::new()) }
    }

    /// `ioctl(2)` with `FAN_IOC_RECORDS`.
    pub(crate) fn records(&self, bits: u32) -> Result<(), Errno> {
        const RECORDS: rustix::ioctl::Opcode =
            rustix::ioctl::opcode::none(uapi::FAN_IOC_GROUP, uapi::FAN_IOC_RECORDS_NUMBER);
        // SAFETY: The opcode is that of `FAN_IOC_RECORDS`, which takes a number and touches no memory
        // of ours. By the invariants of `Self` no other driver gets to interpret it.
        unsafe {
            let setter = rustix::ioctl::IntegerSetter::<RECORDS>::new_usize(bits as usize);
            rustix::ioctl::ioctl(&self.0, setter)
        }
    }

    /// `ioctl(2)` with `FAN_IOC_QUEUE`.
    pub(crate) fn queue(&self, nonblock: bool) -> Result<Self, Errno> {
        const QUEUE: rustix::ioctl::Opcode =
            rustix::ioctl::opcode::none(uapi::FAN_IOC_GROUP, uapi::FAN_IOC_QUEUE_NUMBER);
        let nonblock = if nonblock { libc::O_NONBLOCK } else { 0 };
        let flags = libc::O_CLOEXEC | nonblock;
        // SAFETY: The request is `FAN_IOC_QUEUE`, which takes flags and touches no memory of ours. By
        // the invariants of `Self` no other driver gets to interpret it.
        let fd = unsafe { libc::ioctl(self.0.as_raw_fd(), QUEUE as libc::Ioctl, flags) };
        // SAFETY: The kernel has just made this descriptor, and nobody else knows of it.
        let fd = unsafe { adopt(fd) }?;
        // INVARIANT: It is a file of fanotify.
        Ok(Self(fd))
    }

    /// `ioctl(2)` with `FAN_IOC_DEADLINE`.
    pub(crate) fn deadline(&self, msecs: u32, verdict: u32) -> Result<(), Errno> {
        const DEADLINE: rustix::ioctl::Opcode = rustix::ioctl::opcode::write::<Deadline>(
            uapi::FAN_IOC_GROUP,
            uapi::FAN_IOC_DEADLINE_NUMBER,
        );
        // SAFETY: The opcode is that of `FAN_IOC_DEADLINE`, which reads a `Deadline`. By the
        // invariants of `Self` no other driver gets to interpret it.
        unsafe {
            let setter = rustix::ioctl::Setter::<DEADLINE, _>::new(Deadline { msecs, verdict });
            rustix::ioctl::ioctl(&self.0, setter)
        }
    }

    /// `ioctl(2)` with `FAN_IOC_EXEMPT`.
    pub(crate) fn exempt(&self, cgroup: BorrowedFd<'_>) -> Result<(), Errno> {
        const EXEMPT: rustix::ioctl::Opcode =
            rustix::ioctl::opcode::none(uapi::FAN_IOC_GROUP, uapi::FAN_IOC_EXEMPT_NUMBER);
        // SAFETY: The request is `FAN_IOC_EXEMPT`, which takes the number of a descriptor and touches
        // no memory of ours. By the invariants of `Self` no other driver gets to interpret it.
        let done = unsafe {
            libc::ioctl(
                self.0.as_raw_fd(),
                EXEMPT as libc::Ioctl,
                cgroup.as_raw_fd(),
            )
        };
        check(done).map(drop)
    }
}

/// `struct fanotify_deadline`.
#[repr(C)]
struct Deadline {
    msecs: u32,
    verdict: u32,
}

impl AsFd for GroupFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Events as the kernel delivered them.
///
/// # Invariants
///
/// `bytes` came from one `read(2)` of a group, less whole events from its front that have been
/// taken. So a descriptor that an event in `bytes` names was made for us and is not owned yet; it
/// is closed when this is dropped, and leaked when this is.
#[derive(Debug)]
pub(crate) struct Delivered<'b> {
    bytes: &'b [u8],
}

impl<'b> Delivered<'b> {
    /// Takes the next event. After an error there are none: where the next one would start is not
    /// known.
    pub(crate) fn take(&mut self) -> Option<Result<Event<'b>, Malformed>> {
        // INVARIANT: What `pidfd` of this event is about to become the owner of is no longer here.
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return None;
        }
        Some(parse::event(bytes).map(|(parsed, rest)| {
            self.bytes = rest;
            let mut event = parsed.event;
            // SAFETY: The invariants of `Self` say so. A negative number stands for none.
            event.pidfd = parsed.pidfd.and_then(|fd| unsafe { adopt(fd) }.ok());
            event
        }))
    }
}

impl Drop for Delivered<'_> {
    fn drop(&mut self) {
        while self.take().is_some() {}
    }
}

/// `struct file_handle`, with room for the longest.
#[repr(C)]
struct Handle {
    head: libc::file_handle,
    bytes: [u8; libc::MAX_HANDLE_SZ as usize],
}

impl Handle {
    const fn new(handle_bytes: u32, handle_type: i32) -> Self {
        Self {
            head: libc::file_handle {
                handle_bytes,
                handle_type,
                f_handle: [],
            },
            bytes: [0; libc::MAX_HANDLE_SZ as usize],
        }
    }
}

/// `open_by_handle_at(2)`, close-on-exec.
pub(crate) fn open_by_handle_at(
    mount: BorrowedFd<'_>,
    kind: i32,
    bytes: &[u8],
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    let length = u32::try_from(bytes.len()).map_err(|_| Errno::INVAL)?;
    let mut handle = Handle::new(length, kind);
    let room = handle.bytes.get_mut(..bytes.len()).ok_or(Errno::INVAL)?;
    room.copy_from_slice(bytes);
    let flags = (flags | OFlags::CLOEXEC).bits() as i32;
    let pointer = ptr::from_mut(&mut handle).cast();
    // SAFETY: `pointer` is valid for the whole of `Handle`; `handle_bytes` was just checked to be
    // within it, and a `file_handle` ends without padding where its bytes begin.
    let fd = unsafe { libc::open_by_handle_at(mount.as_raw_fd(), pointer, flags) };
    // SAFETY: The kernel has just made this descriptor, and nobody else knows of it.
    unsafe { adopt(fd) }
}

/// `name_to_handle_at(2)`: kind and bytes of the handle of `path`, or of `directory` itself if that
/// is empty.
pub(crate) fn name_to_handle_at(
    directory: BorrowedFd<'_>,
    path: &CStr,
) -> Result<(i32, Vec<u8>), Errno> {
    let mut handle = Handle::new(libc::MAX_HANDLE_SZ as u32, 0);
    let mut mount = 0;
    let pointer = ptr::from_mut(&mut handle).cast();
    let directory = directory.as_raw_fd();
    let flags = uapi::AT_HANDLE_FID | libc::AT_EMPTY_PATH;
    // SAFETY: `path` is NUL-terminated; `pointer` is valid for the whole of `Handle`, which has room
    // for as many bytes as `handle_bytes` says; `mount` is an int to be written to.
    let done = unsafe {
        libc::name_to_handle_at(directory, path.as_ptr(), pointer, &raw mut mount, flags)
    };
    check(done)?;
    let length = handle.head.handle_bytes as usize;
    let bytes = handle.bytes.get(..length).ok_or(Errno::OVERFLOW)?;
    Ok((handle.head.handle_type, bytes.to_vec()))
}

/// Whether this `/proc/PID/fdinfo` is of a group of the class.
fn is_filter_group(fdinfo: &str) -> bool {
    fdinfo
        .lines()
        .filter_map(|line| line.strip_prefix("fanotify flags:")?.split(' ').next())
        .filter_map(|flags| u32::from_str_radix(flags, 16).ok())
        .any(|flags| flags & uapi::FAN_CLASS_VFS_FILTER == uapi::FAN_CLASS_VFS_FILTER)
}

/// The descriptor, or, if the call failed, its errno.
///
/// # Safety
///
/// If `fd` is not negative, it is an open descriptor that nothing else owns; if it is -1, a system
/// call has just failed (else the errno says nothing, but no harm is done).
unsafe fn adopt(fd: RawFd) -> Result<OwnedFd, Errno> {
    check(fd)?;
    // SAFETY: As promised by the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(returned: i32) -> Result<i32, Errno> {
    if returned >= 0 {
        return Ok(returned);
    }
    let error = std::io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests;
