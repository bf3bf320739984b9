// SPDX-License-Identifier: GPL-2.0

//! Ignore masks that an answer makes.
//!
//! C header: [`include/linux/fanotify.h`](srctree/include/linux/fanotify.h)

use super::class::Class;
use super::class::ClassEvent;
use super::class::ClassGroup;
use super::inode::Inode;
use super::op::Op;
use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

/// Most inodes that an event is about: the two directories of a rename.
const MAX: usize = 2;

#[derive(Clone)]
struct Target {
    inode: ARef<Inode>,
    /// Events in their PRE and POST forms, and `FAN_ONDIR` of the event.
    mask: u64,
}

/// The inodes on which an event is ignored if the answer says so.
#[derive(Clone)]
pub(crate) struct Targets {
    targets: [Option<Target>; MAX],
    fsid: bindings::__kernel_fsid_t,
    weak_fsid: bool,
}

/// What tells the ignore masks that an answer has made from all others on the same inodes.
#[derive(Clone, Copy)]
pub(crate) struct Ignored([u64; MAX]);

/// Those of plain events that a group was sent, as PRE events, in their PRE and POST forms.
fn forms(events: u64, sent: u64) -> u64 {
    let events = events & sent >> bindings::FSNOTIFY_PRE_SHIFT;

    events << bindings::FSNOTIFY_PRE_SHIFT | events << bindings::FSNOTIFY_POST_SHIFT
}

impl Targets {
    /// Those of an event that a group is sent.
    pub(crate) fn of<T>(op: &Op<T>, event: &ClassEvent) -> Self {
        let ondir = event.mask() & u64::from(bindings::FAN_ONDIR);
        let (fsid, weak_fsid) = event.file_system();

        Self {
            targets: op.seen_on().map(|(inode, events)| {
                let mask = forms(events, event.mask());

                if mask == 0 {
                    return None;
                }
                Some(Target {
                    // SAFETY: An inode that has events of the operation is referenced by it, and
                    // the group that is sent one of them has a mark on its super block.
                    inode: unsafe { Inode::get(inode) },
                    mask: mask | ondir,
                })
            }),
            fsid,
            weak_fsid,
        }
    }

    /// None, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn none() -> Self {
        Self {
            targets: [const { None }; MAX],
            fsid: bindings::__kernel_fsid_t::default(),
            weak_fsid: false,
        }
    }

    /// Ignores the events from here on, for a group.
    ///
    /// Fails with `ENOMEM`, with `ENOSPC` at the limit of marks, and with `ENOENT` if an inode is
    /// being deleted; then nothing is ignored. (Unless user space removes the mark of the second
    /// directory of a rename meanwhile, and there is no room for another.)
    pub(crate) fn ignore<C: Class>(&self, group: &ClassGroup<C>) -> Result<Ignored> {
        let mut ignored = Ignored([0; MAX]);

        // Of two, the second has a mark before the first ignores anything.
        if let [Some(_), Some(second)] = &self.targets {
            self.add(group, second, 0)?;
        }
        for (target, id) in self.targets.iter().zip(&mut ignored.0) {
            if let Some(target) = target {
                *id = self.add(group, target, target.mask)?;
            }
        }
        Ok(ignored)
    }

    /// Adds to what is ignored on an inode, and returns the number of its ignore mask.
    fn add<C: Class>(&self, group: &ClassGroup<C>, target: &Target, mask: u64) -> Result<u64> {
        let event = bindings::fanotify_class_event {
            mask,
            wanted: 0,
            mnt_id: 0,
            pid: core::ptr::null_mut(),
            fsid: self.fsid,
            weak_fsid: self.weak_fsid,
        };

        group.ignore(&target.inode, &event)
    }
}

impl Ignored {
    /// Are the ignore masks still in force, of a group that was asked about `op`, so that it is not
    /// to be told the end?
    pub(crate) fn in_force<C: Class, T>(
        &self,
        group: &ClassGroup<C>,
        op: &Op<T>,
        sent: u64,
    ) -> bool {
        op.seen_on()
            .into_iter()
            .zip(self.0)
            .map(|((inode, events), id)| (inode, forms(events, sent), id))
            .filter(|(_, mask, _)| *mask != 0)
            .all(|(inode, mask, id)| {
                // SAFETY: It is referenced by the operation.
                unsafe { group.ignores(inode, mask, id) }
            })
    }
}
