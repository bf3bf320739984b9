// SPDX-License-Identifier: GPL-2.0

//! An operation between its PRE and its POST point.
//!
//! C header: [`include/linux/fsnotify_backend.h`](srctree/include/linux/fsnotify_backend.h)

use super::cgroup::Cgroup;
use super::fid::Fid;
use super::memcg;
use super::pid::Id;
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

/// Most bytes of a name. A longer one is in no file system.
pub(crate) const MAX_NAME: usize = 1023;

/// An entry of a directory.
pub(crate) struct Entry {
    pub(crate) dir: Fid,
    /// Without a terminating NUL, at most [`MAX_NAME`] bytes.
    pub(crate) name: KVec<u8>,
}

/// Where the object of an operation has its name.
pub(crate) enum Place {
    /// It has none, or no one wants to know.
    Nowhere,
    /// It is made in this directory, without a name.
    Dir(KBox<Fid>),
    At(KBox<Entry>),
    /// From the first to the second.
    Moved(KBox<[Entry; 2]>),
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

    /// Is it none, and only to be said if the group exempts the current process?
    pub(crate) fn is_probe(&self) -> bool {
        self.flags() & bindings::FSNOTIFY_OP_PROBE != 0
    }

    /// `there` if the flag `here` is set, or else 0.
    fn flag(&self, here: u32, there: u32) -> u32 {
        if self.flags() & here != 0 {
            there
        } else {
            0
        }
    }

    /// What kind of operation it is: `FAN_OP_ASYNC`, `FAN_OP_MAPPED`; and `FAN_OP_NO_OPEN` where
    /// file handles cannot be opened.
    pub(crate) fn kind(&self) -> u32 {
        // SAFETY: As in `seen_on`; the super block of a path has its export operations as long as it
        // is mounted, if it has any.
        let opens = unsafe {
            bindings::exportfs_can_decode_fh((*(*(*(*self.as_ptr()).path).dentry).d_sb).s_export_op)
        };

        self.flag(bindings::FSNOTIFY_OP_ASYNC, bindings::FAN_OP_ASYNC)
            | self.flag(bindings::FSNOTIFY_OP_MAPPED, bindings::FAN_OP_MAPPED)
            | if opens { 0 } else { bindings::FAN_OP_NO_OPEN }
    }

    /// Is it a shared writable mapping? It lasts as long as the file is open.
    pub(crate) fn is_mapped(&self) -> bool {
        self.flag(bindings::FSNOTIFY_OP_MAPPED, 1) != 0
    }

    /// What is known of it at its end: `FAN_OP_LAST_LINK`, or nothing.
    pub(crate) fn end_flags(&self) -> u32 {
        self.flag(bindings::FSNOTIFY_OP_LAST_LINK, bindings::FAN_OP_LAST_LINK)
    }

    /// The process that does it. When it ends, that is not always the current one.
    pub(crate) fn process(&self) -> Id {
        // SAFETY: By the type invariant.
        let pid = unsafe { (*self.as_ptr()).process };

        if pid.is_null() {
            Id::of_current_process()
        } else {
            Id::of(pid)
        }
    }

    /// Is the task that does it in this cgroup, or one below it? Not if the task is gone.
    pub(crate) fn is_in(&self, cgroup: &Cgroup) -> bool {
        // SAFETY: By the type invariant, and that of the cgroup, which is referenced.
        unsafe { bindings::fanotify_class_in_cgroup(self.as_ptr(), cgroup.as_ptr()) }
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

    /// The events that it is, in their plain form: one, or two of a rename.
    pub(crate) fn event(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { (*self.as_ptr()).event }
    }

    /// Is it about an entry of a directory, and not about an object?
    fn is_about_entry(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::fsnotify_op_is_entry_event(self.as_ptr()) }
    }

    /// The object, or null if there is none, or none yet.
    fn object(&self) -> *mut bindings::inode {
        if self.is_about_entry() {
            // SAFETY: By the type invariant.
            unsafe { (*self.as_ptr()).inode }
        } else {
            // SAFETY: By the type invariant the operation is valid, and with it the path that it
            // has for its whole life, whose dentry is positive.
            unsafe { bindings::d_inode((*(*self.as_ptr()).path).dentry) }
        }
    }

    /// The inodes that a group's marks are on which see the operation, each with the events that it
    /// has there, in their plain form: the object, or the directory; or both of a rename, from the
    /// first to the second, or in both directions.
    pub(super) fn seen_on(&self) -> [(*mut bindings::inode, u64); 2] {
        // SAFETY: By the type invariant, the paths that the operation has are valid as long as it
        // lasts, and their dentries are positive.
        unsafe {
            let op = &*self.as_ptr();
            let inode = bindings::d_inode((*op.path).dentry);

            if op.new_path.is_null() {
                return [(inode, op.event), (core::ptr::null_mut(), 0)];
            }
            let new_inode = bindings::d_inode((*op.new_path).dentry);

            if op.flags & bindings::FSNOTIFY_OP_EXCHANGE != 0 {
                return [(inode, op.event), (new_inode, op.event)];
            }
            [
                (inode, op.event & u64::from(bindings::FAN_MOVED_FROM)),
                (new_inode, op.event & u64::from(bindings::FAN_MOVED_TO)),
            ]
        }
    }

    /// Does it count as one in flight, which barriers wait for?
    pub(crate) fn counts(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::fsnotify_op_counts(self.as_ptr()) }
    }

    /// Which super block it is on, as a number to be compared with.
    pub(crate) fn super_block(&self) -> usize {
        // SAFETY: As in `seen_on`.
        unsafe { (*(*(*self.as_ptr()).path).dentry).d_sb as usize }
    }

    /// What a rename replaces. Fails with `ENOMEM`.
    pub(crate) fn replaced(&self) -> Result<Option<KBox<Fid>>> {
        // SAFETY: By the type invariant. `victim` is set where there is a new path.
        let victim = unsafe {
            let op = &*self.as_ptr();

            if op.new_path.is_null() {
                core::ptr::null_mut()
            } else {
                op.victim
            }
        };

        if victim.is_null() {
            return Ok(None);
        }
        // SAFETY: It is referenced, by the hook, as long as the operation lasts.
        let fid = unsafe { Fid::encode(victim) }?;

        Ok(Some(KBox::new(fid, memcg::gfp())?))
    }

    /// Id of the cgroup of the task that does it, or 0 if that is gone.
    pub(crate) fn cgroup_id(&self) -> u64 {
        // SAFETY: By the type invariant.
        unsafe { bindings::fanotify_class_cgroup_id(self.as_ptr()) }
    }

    /// File handle of the object, where there is one. Fails with `ENOMEM`.
    pub(crate) fn fid(&self) -> Result<Option<Fid>> {
        let inode = self.object();

        if inode.is_null() {
            return Ok(None);
        }
        // SAFETY: It is referenced, by the path or by the hook, as long as the operation lasts.
        unsafe { Fid::encode(inode) }.map(Some)
    }

    /// Puts the file handle of the object that was made into `fid`, which has room for it.
    ///
    /// Returns false if there is none.
    pub(crate) fn fill(&self, fid: &mut Fid) -> bool {
        let inode = self.object();

        // SAFETY: As in `fid`.
        !inode.is_null() && unsafe { fid.encode_into(inode) }.is_ok()
    }

    /// Where the object has its name, which is part of some operations, and is looked up for the
    /// others if `wanted`.
    ///
    /// Fails with `ENOMEM`, and with `ENAMETOOLONG` for a name that no event has room for.
    pub(crate) fn place(&self, wanted: bool) -> Result<Place> {
        // SAFETY: By the type invariant.
        let op = unsafe { &*self.as_ptr() };

        if !op.new_path.is_null() {
            // SAFETY: By the type invariant, an operation with a new path is a rename, and both of
            // its paths are directories, with a name in each, valid while it lasts.
            let entries = unsafe {
                [
                    Self::copy_entry((*op.path).dentry, &*op.name)?,
                    Self::copy_entry((*op.new_path).dentry, &*op.new_name)?,
                ]
            };

            return Ok(Place::Moved(KBox::new(entries, memcg::gfp())?));
        }
        if !op.name.is_null() {
            // SAFETY: By the type invariant, as above.
            let entry = unsafe { Self::copy_entry((*op.path).dentry, &*op.name) }?;

            return Ok(Place::At(KBox::new(entry, memcg::gfp())?));
        }
        if self.is_about_entry() {
            // SAFETY: By the type invariant, the path is a directory, which is referenced.
            let dir = unsafe { Fid::encode(bindings::d_inode((*op.path).dentry)) }?;

            return Ok(Place::Dir(KBox::new(dir, memcg::gfp())?));
        }
        if wanted {
            return self.current_place();
        }
        Ok(Place::Nowhere)
    }

    /// Where the object has its name now.
    fn current_place(&self) -> Result<Place> {
        let mut snapshot = MaybeUninit::<bindings::name_snapshot>::uninit();

        // SAFETY: By the type invariant, and `snapshot` is there to be written.
        let dir = unsafe { bindings::fsnotify_op_get_name(self.as_ptr(), snapshot.as_mut_ptr()) };
        if dir.is_null() {
            return Ok(Place::Nowhere);
        }

        // SAFETY: A directory was returned, so the snapshot is set, and `dir` is a positive dentry
        // that is referenced until it is put below.
        let entry = unsafe { Self::copy_entry(dir, &snapshot.assume_init_ref().name) };

        // SAFETY: Both were given by fsnotify_op_get_name() and are not used after this.
        unsafe {
            bindings::release_dentry_name_snapshot(snapshot.as_mut_ptr());
            bindings::dput(dir);
        }
        Ok(Place::At(KBox::new(entry?, memcg::gfp())?))
    }

    /// # Safety
    ///
    /// `dir` must be a positive dentry that is referenced, `name` must be a valid string.
    unsafe fn copy_entry(dir: *mut bindings::dentry, name: &bindings::qstr) -> Result<Entry> {
        // SAFETY: By the safety requirements, the name has as many bytes as its length says, and
        // reading that from the union is reading a plain integer.
        let bytes = unsafe {
            let len = name.__bindgen_anon_1.__bindgen_anon_1.len;

            core::slice::from_raw_parts(name.name, len as usize)
        };
        let mut copy = KVec::new();

        if bytes.len() > MAX_NAME {
            return Err(ENAMETOOLONG);
        }
        copy.extend_from_slice(bytes, memcg::gfp())?;
        Ok(Entry {
            // SAFETY: `dir` is positive and referenced by the safety requirements.
            dir: unsafe { Fid::encode(bindings::d_inode(dir)) }?,
            name: copy,
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
