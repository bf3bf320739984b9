// SPDX-License-Identifier: GPL-2.0

//! Listeners for fanotify's `FAN_CLASS_VFS_FILTER`.
//!
//! A [`Group`] is asked before an operation on what it marked (a PRE event: the task waits for the
//! [`Answer`]) and told its true result after (a POST event with the same cookie). The interface
//! itself is described in `docs/uapi.md`; this crate is a thin, safe layer over it.
//!
//! ```no_run
#![doc = include_str!("../examples/listener.rs")]
//! ```
//!
//! All calls are thread-safe, and a group may be read and answered from different threads.
#![deny(unsafe_code)]

mod answer;
mod builder;
mod error;
mod event;
mod events;
mod group;
mod handle;
mod mark;
mod parse;
mod queue;
mod sys;
#[cfg(test)]
mod testing;
pub mod uapi;
mod verdict;

pub use answer::Answer;
pub use builder::Builder;
pub use error::Error;
pub use error::Malformed;
pub use error::Result;
pub use event::DirName;
pub use event::Event;
pub use event::Kind;
pub use event::OpFlags;
pub use event::Range;
pub use event::Rename;
pub use events::Events;
pub use group::Batch;
pub use group::Group;
pub use group::Records;
pub use handle::FileHandle;
pub use mark::Mark;
pub use mark::Scope;
pub use queue::Queue;
pub use rustix::io::Errno;
pub use verdict::Verdict;
