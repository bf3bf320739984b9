// SPDX-License-Identifier: GPL-2.0

//! When a reader can be believed.

use crate::Error;
use crate::Result;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Proof that the file system was synced, which [`Journal::consume`](crate::Journal::consume) asks for.
#[derive(Debug)]
#[must_use = "it is for consuming a period"]
pub struct Synced(());

impl Synced {
    /// `syncfs(2)` of the file system that `root` is open on. To be called when the reader has read
    /// all of the period.
    ///
    /// # Errors
    ///
    /// As `syncfs(2)`.
    pub fn now(root: impl AsFd) -> io::Result<Self> {
        rustix::fs::syncfs(root)?;
        Ok(Self(()))
    }
}

/// A descriptor on the file system of `path`, for [`Synced::now`] and [`Object::open`].
///
/// [`Object::open`]: crate::Object::open
///
/// # Errors
///
/// [`Error::Store`], as `open(2)`.
pub fn root(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::Store(error, path.into()))
}
