// SPDX-License-Identifier: GPL-2.0

//! File handles.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use kernel::bindings;
use kernel::prelude::*;

/// Most bytes that a file handle can have.
const MAX_HANDLE_SZ: usize = bindings::MAX_HANDLE_SZ as usize;

/// A file handle, as name_to_handle_at(2) gives it: type and bytes.
pub(crate) struct Fid {
    kind: i32,
    bytes: KVec<u8>,
}

impl Fid {
    /// Room for any handle, to be filled in when there is no memory to be had. Fails with `ENOMEM`.
    pub(crate) fn reserve() -> Result<Self> {
        Ok(Self {
            kind: 0,
            bytes: KVec::with_capacity(MAX_HANDLE_SZ, GFP_KERNEL_ACCOUNT)?,
        })
    }

    /// Encodes the handle of an inode. Fails as [`Fid::encode_into`] does.
    ///
    /// # Safety
    ///
    /// `inode` must point to an inode that is referenced during the call.
    pub(super) unsafe fn encode(inode: *mut bindings::inode) -> Result<Self> {
        let mut fid = Self {
            kind: 0,
            bytes: KVec::new(),
        };

        // SAFETY: By the safety requirements.
        unsafe { fid.encode_into(inode)? };
        Ok(fid)
    }

    /// Encodes the handle of an inode in place of the one that is here.
    ///
    /// Fails with `EOVERFLOW` if the file system has none for it, and with `ENOMEM` unless there is
    /// room for it.
    ///
    /// # Safety
    ///
    /// `inode` must point to an inode that is referenced during the call.
    pub(super) unsafe fn encode_into(&mut self, inode: *mut bindings::inode) -> Result {
        let mut dwords: c_int = 0;

        // SAFETY: `inode` is referenced by the safety requirements. With room for 0 words nothing
        // is written through the null pointer, only the length that is needed is set.
        unsafe { bindings::exportfs_encode_fid(inode, core::ptr::null_mut(), &mut dwords) };

        let len = usize::try_from(dwords)
            .ok()
            .and_then(|dwords| dwords.checked_mul(4))
            .filter(|len| (4..=MAX_HANDLE_SZ).contains(len))
            .ok_or(EOVERFLOW)?;

        self.bytes.clear();
        self.bytes.extend_with(len, 0, GFP_KERNEL_ACCOUNT)?;

        let to = self.bytes.as_mut_ptr().cast();

        // SAFETY: As above, and there is room for `dwords` words. kmalloc() aligns to at least 8.
        let kind = unsafe { bindings::exportfs_encode_fid(inode, to, &mut dwords) };

        // The inode cannot have changed, but the file system decides what is encoded.
        let invalid = kind <= 0 || kind >= bindings::fid_type_FILEID_INVALID as c_int;
        if invalid || usize::try_from(dwords) != Ok(len / 4) {
            return Err(EOVERFLOW);
        }
        self.kind = kind;
        Ok(())
    }

    /// Type of the handle, `struct file_handle`'s `handle_type`.
    pub(crate) fn kind(&self) -> i32 {
        self.kind
    }

    /// The handle itself, `struct file_handle`'s `f_handle`; a multiple of 4 bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A handle of given bytes, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn for_test(kind: i32, bytes: &[u8]) -> Result<Self> {
        let mut copy = KVec::new();

        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(Self { kind, bytes: copy })
    }
}
