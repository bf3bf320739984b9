// SPDX-License-Identifier: GPL-2.0

//! File handles: how events name objects.

use crate::sys;
use crate::uapi;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

impl FileHandle<'static> {
    /// The handle of what `path` names (not of what a symbolic link points to) on the file system
    /// that `directory` is open on, seen from there; of the directory itself if `path` is empty.
    /// Events name the object the same way.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the file system has no handles, else as `name_to_handle_at(2)`.
    pub fn of(directory: impl AsFd, path: &(impl AsRef<Path> + ?Sized)) -> Result<Self, Errno> {
        let path = CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| Errno::INVAL)?;
        let (kind, bytes) = sys::name_to_handle_at(directory.as_fd(), &path)?;
        let fsid = rustix::fs::fstatvfs(directory)?.f_fsid;
        let bytes = Cow::Owned(bytes);
        Ok(Self { fsid, kind, bytes })
    }
}

impl FileHandle<'_> {
    /// Whether it names an object. The kernel writes one that does not where a file system has no
    /// handle for an object; its `fsid` is good.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.kind != uapi::FILEID_INVALID || !self.bytes.is_empty()
    }

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
