// SPDX-License-Identifier: GPL-2.0

//! An operation between its PRE and its POST point.
//!
//! C header: [`include/linux/fsnotify_backend.h`](srctree/include/linux/fsnotify_backend.h)

use super::fid::Fid;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use kernel::bindings;
use kernel::prelude::*;
use kernel::types::ForeignOwnable;
use kernel::types::Opaque;

/// Bytes of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// First byte.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) count: u64,
}

/// Where the object of an operation is found: its directory and its name in it.
pub(crate) struct Name {
    pub(crate) dir: Fid,
    /// Without a terminating NUL, at most `NAME_MAX` bytes.
    pub(crate) name: KVec<u8>,
}

/// An operation, to which the class can attach a `T` for as long as it lasts.
///
/// # Invariants
///
/// `inner` is a valid `struct fsnotify_op` that no other task uses. Its `private`, if not null, is a
/// `KBox<T>`.
#[repr(transparent)]
pub(crate) struct Op<T> {
    inner: Opaque<bindings::fsnotify_op>,
    _data: PhantomData<KBox<T>>,
}

impl<T> Op<T> {
    /// Takes an operation for the duration of a callback.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a valid `struct fsnotify_op` that is used by no one else during `'a`, and
    /// whose `private`, if not null, was set by [`Op::attach`] of the same `T`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::fsnotify_op) -> &'a mut Self {
        // SAFETY: By the safety requirements; the layout is that of the C type.
        // INVARIANT: By the safety requirements.
        unsafe { &mut *ptr.cast() }
    }

    fn as_ptr(&self) -> *mut bindings::fsnotify_op {
        self.inner.get()
    }

    fn flags(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).flags }
    }

    /// Number of the operation: unique as long as the machine runs, growing, never 0.
    pub(crate) fn cookie(&mut self) -> u64 {
        // SAFETY: By the type invariant, and it is exclusively borrowed.
        unsafe { bindings::fsnotify_op_cookie(self.as_ptr()) }
    }

    /// Must the caller not wait for an answer?
    pub(crate) fn nowait(&self) -> bool {
        self.flags() & bindings::FSNOTIFY_OP_NOWAIT != 0
    }

    /// Bytes that it is about, where they are known.
    pub(crate) fn range(&self) -> Option<Range> {
        if self.flags() & bindings::FSNOTIFY_OP_RANGE == 0 {
            return None;
        }
        // SAFETY: By the type invariant.
        let (pos, count) = unsafe { ((*self.as_ptr()).pos, (*self.as_ptr()).count) };

        Some(Range {
            // CAST: A position is not negative where a range is known, or else is one of a file
            // with unsigned offsets.
            offset: pos as u64,
            count,
        })
    }

    /// How it ended: a count, or a negative errno. 0 before that.
    pub(crate) fn result(&self) -> i64 {
        // SAFETY: By the type invariant.
        // CAST: isize is as wide as i64 or narrower.
        unsafe { (*self.as_ptr()).result as i64 }
    }

    /// File handle of the object. Fails as [`Fid::encode`] does.
    pub(crate) fn fid(&self) -> Result<Fid> {
        // SAFETY: By the type invariant the operation is valid, and with it the path that it has
        // for its whole life. An open path has a positive dentry, whose inode it references.
        unsafe { Fid::encode(bindings::d_inode((*(*self.as_ptr()).path).dentry)) }
    }

    /// Directory and name of the object, or `None` if it has no name.
    ///
    /// Fails with `ENOMEM`, or as [`Fid::encode`] does.
    pub(crate) fn name(&self) -> Result<Option<Name>> {
        let mut snapshot = MaybeUninit::<bindings::name_snapshot>::uninit();

        // SAFETY: By the type invariant, and `snapshot` is there to be written.
        let dir = unsafe { bindings::fsnotify_op_get_name(self.as_ptr(), snapshot.as_mut_ptr()) };
        if dir.is_null() {
            return Ok(None);
        }

        // SAFETY: A directory was returned, so the snapshot is set, and `dir` is a positive dentry
        // that is referenced until it is put below.
        let name = unsafe { Self::copy_name(dir, snapshot.assume_init_ref()) };

        // SAFETY: Both were given by fsnotify_op_get_name() and are not used after this.
        unsafe {
            bindings::release_dentry_name_snapshot(snapshot.as_mut_ptr());
            bindings::dput(dir);
        }
        name.map(Some)
    }

    /// # Safety
    ///
    /// `dir` must be a positive dentry that is referenced, `snapshot` must have been taken.
    unsafe fn copy_name(
        dir: *mut bindings::dentry,
        snapshot: &bindings::name_snapshot,
    ) -> Result<Name> {
        // SAFETY: The name of a snapshot points to as many bytes as its length says, which it has
        // a reference to or a copy of. Reading the union member is reading plain integers.
        let bytes = unsafe {
            let len = snapshot.name.__bindgen_anon_1.__bindgen_anon_1.len;

            core::slice::from_raw_parts(snapshot.name.name, len as usize)
        };
        let mut name = KVec::new();

        name.extend_from_slice(bytes, GFP_KERNEL_ACCOUNT)?;
        Ok(Name {
            // SAFETY: `dir` is positive and referenced by the safety requirements.
            dir: unsafe { Fid::encode(bindings::d_inode(dir)) }?,
            name,
        })
    }

    /// What is attached.
    pub(crate) fn attached(&mut self) -> Option<&mut T> {
        // SAFETY: By the type invariant.
        let private = unsafe { (*self.as_ptr()).private };

        if private.is_null() {
            return None;
        }
        // SAFETY: By the type invariant it is a `KBox<T>`, and it is borrowed as long as `self` is,
        // exclusively.
        Some(unsafe { KBox::<T>::borrow_mut(private) })
    }

    /// Attaches `data`, which [`super::class::Class::end`] gets back when the operation ends.
    ///
    /// # Safety
    ///
    /// `ops` must be static, and of a class whose operations have a `T` attached.
    pub(super) unsafe fn attach(
        &mut self,
        ops: *const bindings::fsnotify_op_ops,
        data: KBox<T>,
    ) -> &mut T {
        // SAFETY: By the type invariant and the safety requirements.
        // INVARIANT: `private` is a `KBox<T>` from here on.
        unsafe { bindings::fsnotify_op_set_ops(self.as_ptr(), ops, data.into_foreign()) };

        // SAFETY: `private` was just set, and it is borrowed as long as `self` is.
        unsafe { KBox::<T>::borrow_mut((*self.as_ptr()).private) }
    }

    /// Takes back what is attached, at the end of the operation.
    ///
    /// # Safety
    ///
    /// Something must be attached, and `self` must not be used by the class after the callback that
    /// this is called from.
    pub(super) unsafe fn detach(&mut self) -> KBox<T> {
        // SAFETY: By the type invariant and the safety requirements, it is a `KBox<T>` that no one
        // takes a second time: the C side forgets it after this callback.
        unsafe {
            let data = KBox::from_foreign((*self.as_ptr()).private);

            (*self.as_ptr()).private = core::ptr::null_mut();
            data
        }
    }
}
