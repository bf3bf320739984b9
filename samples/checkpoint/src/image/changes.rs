// SPDX-License-Identifier: GPL-2.0

//! Sets of changes, and how long a log they make.

use crate::Change;
use std::collections::btree_set;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A set of changes. [`Change::Everything`] leaves no other in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    set: BTreeSet<Change>,
    size: u64,
}

impl Changes {
    pub(super) fn insert(&mut self, change: Change) {
        if self.are_everything() {
            return;
        }
        if change == Change::Everything {
            *self = Self::default();
        }
        let size = change.size();
        if self.set.insert(change) {
            self.size += size;
        }
    }

    pub(super) fn are_everything(&self) -> bool {
        // It is the only one then.
        self.set.first() == Some(&Change::Everything)
    }

    pub(super) fn iter(&self) -> btree_set::Iter<'_, Change> {
        self.set.iter()
    }

    pub(super) fn union<'a>(&'a self, other: &'a Self) -> btree_set::Union<'a, Change> {
        self.set.union(&other.set)
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// How many bytes of a log say this.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

impl Extend<Change> for Changes {
    fn extend<I: IntoIterator<Item = Change>>(&mut self, changes: I) {
        changes.into_iter().for_each(|change| self.insert(change));
    }
}

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = btree_set::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.set.into_iter()
    }
}

/// What mappings change, by their cookies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mappings {
    by_cookie: BTreeMap<u64, Vec<Change>>,
    size: u64,
}

/// A cookie, and how many changes there are, in bytes of a log.
const COOKIE_SIZE: u64 = 7;

impl Mappings {
    pub(super) fn insert(&mut self, cookie: u64, changes: Vec<Change>) {
        self.size += size_of(&changes);
        if let Some(older) = self.by_cookie.insert(cookie, changes) {
            self.size -= size_of(&older);
        }
    }

    pub(super) fn remove(&mut self, cookie: u64) {
        if let Some(changes) = self.by_cookie.remove(&cookie) {
            self.size -= size_of(&changes);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[Change])> {
        let by_cookie = self.by_cookie.iter();
        by_cookie.map(|(cookie, changes)| (*cookie, changes.as_slice()))
    }

    /// How many bytes of a log say this.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

fn size_of(changes: &[Change]) -> u64 {
    COOKIE_SIZE + changes.iter().map(Change::size).sum::<u64>()
}
