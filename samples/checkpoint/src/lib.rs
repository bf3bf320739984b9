// SPDX-License-Identifier: GPL-2.0

//! What has changed on a file system between two checkpoints.
//!
//! A listener of `FAN_CLASS_VFS_FILTER` records what is about to change, **answers a PRE only once
//! its record is durable**, and asks the kernel to ignore what it has recorded. At a checkpoint a
//! *period* ends and the next one begins: what was ignored must be reported again, and operations
//! that are under way, the *straddlers*, must not get lost between the two. There are two schemes
//! for the first, see [`Scheme`], and two ways to do the second, see [`Straddlers`].
//!
//! A *reader* takes the changes of a sealed period, looks at the files as they are then, and
//! consumes the period when its own copy is durable. So whatever differs from the reader's copy is
//! in the journal, at any time and after any crash; there may be more in it than that.
//!
//! The parts, each to be used alone:
//!
//! - [`Machine`] decides: events in, actions out. It does no I/O.
//! - [`Image`] is what the log says, entry by entry; it decides what holds after a crash.
//! - [`Log`] keeps entries in a file; what was synced survives, and a torn tail is cut off.
//! - [`Journal`] is the driver: a thin loop around these over the crate `vfs-filter`.
//!
//! ```no_run
//! use checkpoint::{Journal, Options, Synced};
//!
//! let mut journal = Journal::open(Options::new("/srv", "/srv/.journal"))?;
//! let ended = journal.checkpoint()?;
//! while !journal.image().sealed().any(|period| period == ended) {
//!     // A program would poll `journal.groups()` first.
//!     journal.turn()?;
//! }
//! for change in journal.image().changes(ended) {
//!     println!("{change}");
//! }
//! // The reader has read all of that, and its copy is durable.
//! journal.consume(ended, Synced::now(&journal.watched().clone())?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a crash leaves
//!
//! After a crash of the *machine* no operation is under way any more. With [`Straddlers::Barrier`]
//! those that were can only have changed what periods that are not sealed say, for a period is
//! sealed when all its operations have ended. With [`Straddlers::Post`] an operation that was
//! ignored at its PRE is unknown until its POST, and that was perhaps not recorded: it can have
//! changed anything that was recorded since the machine was started. So consumed changes are kept
//! until then, and reported once more.
//!
//! What a reader has seen need not be on disk, and would be gone after the crash, with no record
//! of it. So [`Journal::consume`] is to be called after `syncfs(2)` of the file system, see there.
//!
//! After a crash of the *listener* alone operations go on, and nobody records those that come.
//! Unless its user promises that there were none ([`Options::no_gap`]), the first period then says
//! [`Change::Everything`].
//!
//! # What an unmount leaves
//!
//! A file system is unmounted when nobody uses it, so no operation is under way then, and all that
//! was changed is recorded. The kernel says that it is gone, [`Entry::Unmounted`] seals what is
//! open, and the journal ends. What is changed after it is mounted again, and before the next
//! [`Journal::open`], is what nobody was listening to: unless [`Options::no_gap`] promises that
//! there is nothing, the first period says [`Change::Everything`].
//!
//! # What a full disk leaves
//!
//! The log has room ahead of its end, so that removals can be recorded, and so allowed, when there
//! is none left on the disk. Other changes are denied with `ENOSPC` then, until there is room again.
//!
//! # How much it takes
//!
//! A user of the file system decides what is recorded, but not how much of it is kept. A period
//! records [`Options::changes`] changes; past that it says [`Change::Everything`], and nothing else. So
//! much is kept of each period that was not consumed, and with [`Straddlers::Post`] once more of those
//! that were; and of each mapping, as long as it lasts. The log is written anew when it is longer than
//! three times what says this ([`Image::size`]), and than [`Options::log_length`]; for a moment the disk
//! has the new one besides.
#![forbid(unsafe_code)]

mod change;
mod driver;
mod error;
mod filter;
mod image;
mod journal;
mod log;
mod machine;
mod options;
mod scheme;
mod synced;
mod watched;

pub use change::Change;
pub use change::Object;
pub use change::Operation;
pub use error::Error;
pub use error::Result;
pub use image::Entry;
pub use image::Image;
pub use journal::Journal;
pub use log::Found;
pub use log::Log;
pub use machine::Machine;
pub use options::Options;
pub use scheme::Action;
pub use scheme::Config;
pub use scheme::GroupId;
pub use scheme::Observed;
pub use scheme::Scheme;
pub use scheme::Straddlers;
pub use synced::Synced;
pub use watched::Watched;

/// A time between two checkpoints; the first is 1.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Period(pub u64);

impl Period {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
