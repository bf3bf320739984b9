// SPDX-License-Identifier: GPL-2.0

//! Inodes that are referenced on behalf of a group.
//!
//! C header: [`include/linux/fsnotify_backend.h`](srctree/include/linux/fsnotify_backend.h)

use core::ptr::NonNull;
use kernel::bindings;
use kernel::sync::aref::ARef;
use kernel::sync::aref::AlwaysRefCounted;
use kernel::types::Opaque;

/// An inode on a file system that has marks, which is not unmounted while it is referenced.
///
/// The last reference must not be dropped under a spinlock.
#[repr(transparent)]
pub(crate) struct Inode(Opaque<bindings::inode>);

// SAFETY: Inodes are shared by all tasks, and nothing can be done with this one but to count its
// references, which is atomic, and to pass it to the C side.
unsafe impl Send for Inode {}

// SAFETY: As above.
unsafe impl Sync for Inode {}

// SAFETY: fsnotify_get_inode_ref() takes a reference, and the inode stays until it is put.
unsafe impl AlwaysRefCounted for Inode {
    fn inc_ref(&self) {
        // SAFETY: That there is `self` means that the inode is referenced.
        unsafe { bindings::fsnotify_get_inode_ref(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: By the safety requirements there is a reference to be given up, which was taken
        // by `inc_ref`, as that is the only way to get one.
        unsafe { bindings::fsnotify_put_inode_ref(obj.as_ptr().cast()) };
    }
}

impl Inode {
    /// Takes a reference.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an inode that is referenced during the call, on a super block that has
    /// had marks.
    pub(super) unsafe fn get(ptr: *mut bindings::inode) -> ARef<Self> {
        // SAFETY: By the safety requirements; the layout is that of the C type.
        ARef::from(unsafe { &*ptr.cast::<Self>() })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.get()
    }
}
