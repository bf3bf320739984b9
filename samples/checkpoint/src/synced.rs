// SPDX-License-Identifier: GPL-2.0

//! When a reader can be believed.

use crate::Error;
use crate::Result;
use crate::Watched;

/// Proof that the file system was synced, which [`Journal::consume`](crate::Journal::consume) asks for.
#[derive(Debug)]
#[must_use = "it is for consuming a period"]
pub struct Synced(());

impl Synced {
    /// `syncfs(2)` of the file system that is watched. To be called when the reader has read all of
    /// the period.
    ///
    /// # Errors
    ///
    /// [`Error::Elsewhere`], or [`Error::Store`], as `syncfs(2)`.
    pub fn now(watched: &Watched) -> Result<Self> {
        rustix::fs::syncfs(watched.open()?)
            .map_err(|errno| Error::Store(errno.into(), watched.path().into()))?;
        Ok(Self(()))
    }
}
