// SPDX-License-Identifier: GPL-2.0

//! What is recorded in a period, as long as that is not too much.

use crate::Change;
use std::collections::HashMap;

/// The changes recorded in one period, and how long the log was then.
///
/// There is a bound to them, or who makes and removes files could take all memory and all of the
/// store's disk. Beyond it, the period is recorded as [`Change::Everything`], which stands for all.
#[derive(Debug, Default)]
pub(super) struct Recorded(HashMap<Change, u64>);

impl Recorded {
    /// Where in the log it is recorded, by itself or with others.
    pub(super) fn at(&self, change: &Change) -> Option<u64> {
        let by_itself = self.0.get(change);
        by_itself
            .or_else(|| self.0.get(&change.wider()?))
            .or_else(|| self.0.get(&Change::Everything))
            .copied()
    }

    /// Records what is not recorded. Returns what is to be recorded for it, so that there are no
    /// more than `most`.
    pub(super) fn insert(&mut self, change: &Change, at: u64, most: usize) -> Change {
        let is_too_much = self.0.len() >= most;
        if is_too_much || *change == Change::Everything {
            // And gives back the memory.
            self.0 = HashMap::from([(Change::Everything, at)]);
            return Change::Everything;
        }
        self.0.insert(change.clone(), at);
        change.clone()
    }

    /// Whether all that changes is recorded already.
    pub(super) fn is_everything(&self) -> bool {
        self.0.contains_key(&Change::Everything)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<Change> for Recorded {
    /// What is in the log already.
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Self {
        Self(changes.into_iter().map(|change| (change, 0)).collect())
    }
}
