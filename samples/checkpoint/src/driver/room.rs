// SPDX-License-Identifier: GPL-2.0

//! How long the log becomes, and what is done when there is no room for it.
//!
//! # Length
//!
//! Entries cancel each other, the begin and the end of a mapping for one, and who maps a file again
//! and again must not fill the store's disk. So the log is written anew when it is longer than
//! [`LONGEST`] times what the image needs, and also longer than the user's limit.
//!
//! # Room
//!
//! A record needs room in the log, and what makes room on a full disk, a removal, needs a record.
//! So the log has blocks ahead of its end:
//!
//! - Below [`KEPT`] bytes nothing is allowed that needs a new record, except what frees blocks. It is
//!   denied with `ENOSPC`: what is denied changes nothing, and needs no record.
//! - The last bytes, [`LAST`], are for what cannot be denied, and is short: the ends of periods.
//!   Changes are not written there one by one, but as [`Change::Everything`], once for each period.
//!   After that the period needs no more records, so removals never end.
//!
//! Before anything is denied, and before a period says less than it could, the log is written anew
//! if that makes it shorter by a good part.

use super::Driver;
use super::Store;
use crate::filter::Filter;
use crate::Change;
use crate::Entry;
use crate::GroupId;
use crate::Image;
use crate::Log;
use crate::Operation;
use crate::Period;
use crate::Result;
use std::collections::BTreeSet;
use vfs_filter::Errno;

/// Of the log's room, what is kept for removals, in bytes.
pub(crate) const KEPT: u64 = 64 * 1024;
/// And for what cannot be denied.
pub(crate) const LAST: u64 = 8 * 1024;
/// So many times as long as it need be is what the log becomes, unless the user allows more. Records
/// that are written one by one make it twice as long, and are no reason to write it anew.
pub(crate) const LONGEST: u64 = 3;
/// When room is short, the log is written anew if it is longer than need be by one part of so many,
/// and by so many bytes.
const GOOD_PART: u64 = 8;
const GOOD_SIZE: u64 = 1024;

impl<F: Filter, S: Store> Driver<F, S> {
    pub(super) fn rewrite(&mut self) -> Result<()> {
        let done = self.store.rewrite(&self.image);
        let length = self.store.length();
        self.tried_length = match done {
            Ok(()) => 0,
            // It may be long, and takes its time.
            Err(_) => length + good_part(length),
        };
        done
    }

    /// Writes the log anew if it is too long.
    pub(super) fn shorten(&mut self) {
        let longest = self.log_length.max(LONGEST * self.image.size());
        if self.store.length() > longest.max(self.tried_length) {
            // If it fails, the log is as it was, and says the same.
            let _ = self.rewrite();
        }
    }

    /// Whether there is room for so many bytes, if need be in a log that is written anew.
    pub(super) fn has_room(&mut self, bytes: u64) -> bool {
        if self.store.provide(bytes) >= bytes {
            return true;
        }
        let needed = self.image.size();
        let worthwhile = needed + good_part(needed);
        self.store.length() > worthwhile.max(self.tried_length)
            && self.rewrite().is_ok()
            && self.store.provide(bytes) >= bytes
    }

    /// Whether it can be recorded, or needs not be.
    pub(super) fn admit(&mut self, id: GroupId, operation: &Operation) -> Result<(), Errno> {
        let is_failed = self.failed.is_some();
        if self.machine.has_recorded(id, operation, is_failed) {
            return Ok(());
        }
        if let Some(errno) = self.failed {
            return Err(errno);
        }
        // In two periods at most, and in one of them as a mapping too.
        let changes = operation.changes.iter().cloned();
        let entries: Vec<_> = changes
            .map(|change| Entry::Changed(Period(u64::MAX), change))
            .collect();
        let cost = 3 * Log::size_of(&entries);
        let needed = self.spent + cost + KEPT;
        if !operation.frees && !self.has_room(needed) {
            self.full = true;
            return Err(Errno::NOSPC);
        }
        self.spent += cost;
        Ok(())
    }

    /// Is there room again, or has the log to be mended?
    pub(super) fn look_for_room(&mut self) {
        if self.store.is_unsure() {
            let _ = self.rewrite();
        }
        if self.full && self.has_room(2 * KEPT) {
            self.full = false;
        }
    }

    /// The same in fewer words, if need be, and no more words than are needed.
    pub(super) fn fitting(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut whole = BTreeSet::new();
        let mut news = entries;
        news.retain(|entry| is_news(entry, &self.image, &whole));
        let size = Log::size_of(&news) + LAST;
        if self.has_room(size) {
            return news;
        }
        let mut fitting = Vec::new();
        for entry in news {
            if !is_news(&entry, &self.image, &whole) {
                continue;
            }
            fitting.push(match entry {
                Entry::Changed(period, _) => {
                    whole.insert(period);
                    Entry::Changed(period, Change::Everything)
                }
                other => other,
            });
        }
        fitting
    }
}

/// What it is worth while to write the log anew for.
const fn good_part(length: u64) -> u64 {
    length / GOOD_PART + GOOD_SIZE
}

/// Whether it says something that neither the image says, nor what will be said of `whole` periods.
fn is_news(entry: &Entry, image: &Image, whole: &BTreeSet<Period>) -> bool {
    match entry {
        Entry::Changed(period, _) => !whole.contains(period) && !image.says_everything(*period),
        _ => true,
    }
}
