// SPDX-License-Identifier: GPL-2.0

//! What a user says to the driver.

use crate::Scheme;
use crate::Straddlers;
use std::path::PathBuf;
use vfs_filter::Scope;

/// What to record, where, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// A path on the file system to be watched.
    pub path: PathBuf,
    /// [`Scope::Filesystem`], or [`Scope::Mount`] for what is changed through one mount.
    pub scope: Scope,
    /// A directory for the log; it may be on the file system that is watched, which cannot be
    /// unmounted then.
    pub store: PathBuf,
    /// How a new period begins.
    pub scheme: Scheme,
    /// What is done about operations that are under way then.
    pub straddlers: Straddlers,
    /// How many names in one directory are recorded before it is recorded as a whole.
    pub names: usize,
    /// How many changes are recorded in a period before it is recorded as
    /// [`Change::Everything`](crate::Change::Everything).
    pub changes: usize,
    /// How long a log, in bytes, may become before it is written anew, if it is also longer than it
    /// need be.
    pub log_length: u64,
    /// The user's word that nothing was changed while no journal was listening.
    pub no_gap: bool,
    /// Answers come before their records are durable. For the test that finds out.
    pub unsafe_answer_first: bool,
}

impl Options {
    /// So many changes are recorded in a period, if the user does not say otherwise. In memory each
    /// takes some 300 bytes, or 1 kB with a name that is as long as it can be.
    pub const CHANGES: usize = 1_000_000;

    /// The usual ones.
    pub fn new(path: impl Into<PathBuf>, store: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            scope: Scope::Filesystem,
            store: store.into(),
            scheme: Scheme::Single,
            straddlers: Straddlers::Barrier,
            names: 64,
            changes: Self::CHANGES,
            log_length: 1 << 20,
            no_gap: false,
            unsafe_answer_first: false,
        }
    }
}
