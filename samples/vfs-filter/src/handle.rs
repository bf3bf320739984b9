// SPDX-License-Identifier: GPL-2.0

//! File handles: how events name objects.

use crate::sys;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::borrow::Cow;
use std::fmt;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

/// An object of a file system, named for as long as it exists, whatever its path.
///
/// Equal handles name the same object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileHandle<'a> {
    /// The file system: `f_fsid` as [`rustix::fs::fstatvfs`] gives it for a descriptor on it.
    pub fsid: u64,
    /// How the file system encodes its handles.
    pub kind: i32,
    /// The handle, opaque; at most 128 bytes where it comes from the kernel.
    pub bytes: Cow<'a, [u8]>,
}

impl FileHandle<'_> {
    /// The handle as a value that outlives the buffer it was read into.
    #[must_use]
    pub fn into_owned(self) -> FileHandle<'static> {
        FileHandle {
            fsid: self.fsid,
            kind: self.kind,
            bytes: Cow::Owned(self.bytes.into_owned()),
        }
    }

    /// Opens the object, `open_by_handle_at(2)`.
    ///
    /// `mount` is any descriptor (not one of `O_PATH`) on a mount of the file system; the object is
    /// opened as seen through that mount. To compare its file system with `fsid` is up to the
    /// caller.
    ///
    /// # Errors
    ///
    /// `ESTALE` if the object is gone, `EPERM` without `CAP_DAC_READ_SEARCH`, `EINVAL` if this is
    /// no handle, else as `open(2)`.
    pub fn open(&self, mount: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        sys::open_by_handle_at(mount.as_fd(), self.kind, &self.bytes, flags)
    }
}

impl fmt::Display for FileHandle<'_> {
    /// `fsid:kind:bytes`, in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:{:x}:", self.fsid, self.kind)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
