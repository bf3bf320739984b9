// SPDX-License-Identifier: GPL-2.0

//! `FAN_CLASS_VFS_FILTER`: fanotify groups that see every VFS operation twice.
//!
//! Before an operation starts (PRE), with no lock held, each interested group is asked and can
//! deny it. After it ended (POST), each group that allowed it is told its result. The interface to
//! user space is described in `docs/uapi.md`, the architecture in `docs/design.md`.
//!
//! # Rooms
//!
//! | module | what it knows |
//! |---|---|
//! | [`mask`] | which events can be filtered, and their PRE and POST bits |
//! | [`event`] | an event and what its owner may do with it |
//! | [`queue`] | the two lanes of a group and the events that wait for an answer |
//! | [`records`] | which records a group asks for besides |
//! | [`exempt`] | what a group exempts besides its listeners |
//! | [`listeners`] | the files of a group, and the processes that they belong to |
//! | [`waiting`] | how long a task waits for an answer |
//! | [`group`] | a group: its flags and life cycle |
//! | [`op`] | an operation in flight: whom it asked, and who is told its end |
//! | [`verdict`] | answers of user space |
//! | [`wire`] | the layout of events in user space |
//! | [`mod@file`] | read, write, poll, ioctl, release and fdinfo of the group's file |
//! | [`sys`] | the only `unsafe` code: safe wrappers over the C side |
//!
//! # Lock order
//!
//! There is one lock that matters, [`group::Group`]'s queue lock, a spinlock. Nothing is allocated, freed or
//! copied to user space under it, and no other lock is taken under it but those of wait queues.
//! [`exempt::Exempt`] has a mutex, under which nothing is done but to add to it.
//! [`listeners::Listeners`] has a spinlock, under which a listener is copied or replaced. The C side's
//! watchdog takes the queue lock, and after that this one, under a spinlock of its own. The file of a queue has
//! one, too, under which the C side looks at the descriptors of a process.

mod event;
mod exempt;
mod file;
mod group;
mod listeners;
mod mask;
mod memory;
mod op;
mod queue;
mod records;
mod sys;
mod verdict;
mod waiting;
mod wire;

use kernel::prelude::*;

module! {
    type: VfsFilter,
    name: "vfs_filter",
    authors: ["The vfs-filter founders"],
    description: "fanotify groups that see every VFS operation before it starts and after it ended",
    license: "GPL",
    alias: ["fanotify-class-vfs-filter"],
}

/// The loaded module. New groups can be made as long as it exists.
///
/// When it is dropped, each group, each of their open files and each operation that asked one of them
/// is gone: they hold a reference to the module, which is dropped by code outside of it. What is left
/// to be waited for are work items that have dropped the last reference to a group, and return.
struct VfsFilter {
    // Dropped in this order.
    _class: sys::class::Registration<op::Filter>,
    _workqueue: sys::lent::Workqueue,
}

impl kernel::Module for VfsFilter {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let workqueue = sys::lent::Workqueue::new()?;

        Ok(Self {
            _class: sys::class::Registration::new()?,
            _workqueue: workqueue,
        })
    }
}
