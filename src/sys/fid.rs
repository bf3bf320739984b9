// SPDX-License-Identifier: GPL-2.0

//! File handles.
//!
//! C header: [`include/linux/exportfs.h`](srctree/include/linux/exportfs.h)

use super::memcg;
use kernel::bindings;
use kernel::prelude::*;

/// Most bytes that a file handle can have.
pub(crate) const MAX_HANDLE_SZ: usize = bindings::MAX_HANDLE_SZ as usize;

/// Most bytes of a handle that need no memory of their own. Those of ext4, xfs, btrfs and tmpfs do
/// not.
const MAX_INLINE: usize = 24;

/// Aligned as file systems take a handle to be.
#[repr(C, align(8))]
struct Inline([u8; MAX_INLINE]);

enum Bytes {
    Inline(Inline),
    Heap(KVec<u8>),
}

/// Type of a handle that there is none of.
const INVALID: i32 = bindings::fid_type_FILEID_INVALID as i32;

/// A file handle, as name_to_handle_at(2) returns it: type and bytes. Where the file system has none
/// for an object, the type is `FILEID_INVALID`, and there are no bytes.
pub(crate) struct Fid {
    kind: i32,
    /// How many of the bytes there are.
    len: usize,
    bytes: Bytes,
}

impl Fid {
    /// That of an object that has none.
    pub(crate) fn invalid() -> Self {
        Self {
            kind: INVALID,
            len: 0,
            bytes: Bytes::Inline(Inline([0; MAX_INLINE])),
        }
    }

    /// Room for any handle, to be filled in when there is no memory to be had. Fails with `ENOMEM`.
    pub(crate) fn reserve() -> Result<Self> {
        Ok(Self {
            bytes: Bytes::Heap(KVec::with_capacity(MAX_HANDLE_SZ, memcg::gfp())?),
            ..Self::invalid()
        })
    }

    /// Encodes the handle of an inode. Fails with `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `inode` must point to an inode that is referenced during the call.
    pub(super) unsafe fn encode(inode: *mut bindings::inode) -> Result<Self> {
        let mut fid = Self::invalid();

        // SAFETY: By the safety requirements.
        unsafe { fid.encode_into(inode)? };
        Ok(fid)
    }

    /// Encodes the handle of an inode in place of the one that is here.
    ///
    /// Fails with `ENOMEM` unless there is room for it.
    ///
    /// # Safety
    ///
    /// `inode` must point to an inode that is referenced during the call.
    pub(super) unsafe fn encode_into(&mut self, inode: *mut bindings::inode) -> Result {
        let room = match &mut self.bytes {
            Bytes::Inline(inline) => &mut inline.0[..],
            Bytes::Heap(bytes) => {
                bytes.clear();
                bytes.extend_with(bytes.capacity().min(MAX_HANDLE_SZ), 0, memcg::gfp())?;
                bytes
            }
        };

        // SAFETY: By the safety requirements.
        let encoded = unsafe { encode_to(inode, room) };
        let Encoded::TooLong(len) = encoded else {
            (self.kind, self.len) = encoded.into_kind_and_len();
            return Ok(());
        };

        let mut bytes = KVec::from_elem(0, len, memcg::gfp())?;
        // SAFETY: By the safety requirements. The inode cannot have changed, but the file system
        // decides what is encoded.
        let encoded = unsafe { encode_to(inode, &mut bytes) };

        (self.kind, self.len) = encoded.into_kind_and_len();
        self.bytes = Bytes::Heap(bytes);
        Ok(())
    }

    /// Type of the handle, `struct file_handle`'s `handle_type`.
    pub(crate) fn kind(&self) -> i32 {
        self.kind
    }

    /// The handle itself, `struct file_handle`'s `f_handle`; a multiple of 4 bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        let room = match &self.bytes {
            Bytes::Inline(inline) => &inline.0[..],
            Bytes::Heap(bytes) => bytes,
        };

        room.get(..self.len).unwrap_or_default()
    }

    /// A handle of given bytes, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn for_test(kind: i32, bytes: &[u8]) -> Result<Self> {
        let mut copy = KVec::new();

        copy.extend_from_slice(bytes, GFP_KERNEL)?;
        Ok(Self {
            kind,
            len: bytes.len(),
            bytes: Bytes::Heap(copy),
        })
    }
}

/// What became of a handle.
enum Encoded {
    /// It has this type, and so many bytes.
    Done(i32, usize),
    /// There is not enough room: it has so many bytes.
    TooLong(usize),
    /// The file system has none.
    None,
}

impl Encoded {
    fn into_kind_and_len(self) -> (i32, usize) {
        match self {
            Self::Done(kind, len) => (kind, len),
            Self::TooLong(_) | Self::None => (INVALID, 0),
        }
    }
}

/// Encodes the handle of an inode, if there is enough room for it. Its length is a multiple of 4.
///
/// # Safety
///
/// `inode` must point to an inode that is referenced during the call.
unsafe fn encode_to(inode: *mut bindings::inode, room: &mut [u8]) -> Encoded {
    // CAST: There is never more room than `MAX_HANDLE_SZ`.
    let mut dwords = (room.len() / 4) as c_int;

    // SAFETY: `inode` is referenced by the safety requirements. No more than `dwords` words are
    // written, for which there is room; kmalloc() and `Inline` align it to 8 bytes.
    let kind =
        unsafe { bindings::exportfs_encode_fid(inode, room.as_mut_ptr().cast(), &mut dwords) };
    let len = usize::try_from(dwords)
        .ok()
        .and_then(|dwords| dwords.checked_mul(4))
        .filter(|len| (4..=MAX_HANDLE_SZ).contains(len));

    match len {
        Some(len) if kind == INVALID && len > room.len() => Encoded::TooLong(len),
        Some(len) if (1..INVALID).contains(&kind) && len <= room.len() => Encoded::Done(kind, len),
        _ => Encoded::None,
    }
}
