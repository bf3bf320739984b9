// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers over fsnotify and fanotify: the only `unsafe` code of the module.
//!
//! Each file wraps one thing of the C side and knows nothing of what the class does with it. What
//! is of use to others should move to the `kernel` crate one day.

pub(crate) mod capability;
pub(crate) mod cgroup;
pub(crate) mod class;
pub(crate) mod completion;
pub(crate) mod fid;
pub(crate) mod ignore;
pub(crate) mod inode;
pub(crate) mod lent;
pub(crate) mod memcg;
pub(crate) mod moment;
pub(crate) mod op;
pub(crate) mod pid;
pub(crate) mod trace;
pub(crate) mod user;
