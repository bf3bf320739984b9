// SPDX-License-Identifier: GPL-2.0

//! What must be reported after a crash.

use super::Entry;
use super::Image;
use crate::Change;
use crate::Log;
use crate::Object;
use crate::Period;
use crate::Straddlers;
use std::collections::BTreeSet;
use vfs_filter::FileHandle;

/// A file by a letter.
fn file(letter: u8) -> Change {
    let handle = FileHandle {
        fsid: 0,
        kind: 1,
        bytes: vec![letter].into(),
    };
    Change::Object(Object::from(&handle))
}

fn changed(period: u64, letter: u8) -> Entry {
    Entry::Changed(Period(period), file(letter))
}

fn started(boot: &str, straddlers: Straddlers, open: u64) -> Entry {
    Entry::Started {
        boot: boot.into(),
        straddlers,
        open: Period(open),
    }
}

fn image(entries: impl IntoIterator<Item = Entry>) -> Image {
    let mut image = Image::default();
    entries.into_iter().for_each(|entry| image.apply(entry));
    image
}

fn in_period(image: &Image, period: u64) -> BTreeSet<Change> {
    image.changes(Period(period)).cloned().collect()
}

fn files(letters: &[u8]) -> BTreeSet<Change> {
    letters.iter().copied().map(file).collect()
}

/// A in a period that was consumed, B in one that is sealed, C in one that waits for its barrier, D
/// in the one that is open.
fn history(straddlers: Straddlers) -> Vec<Entry> {
    vec![
        started("one", straddlers, 1),
        changed(1, b'A'),
        Entry::Sealed(Period(1)),
        changed(2, b'B'),
        Entry::Consumed(Period(1)),
        Entry::Sealed(Period(2)),
        changed(3, b'C'),
        changed(4, b'D'),
    ]
}

#[test]
fn with_barriers_what_is_not_sealed_is_reported_again() {
    for boot in ["one", "two"] {
        let mut image = image(history(Straddlers::Barrier));
        assert_eq!(image.next(), Period(5));
        image.apply(started(boot, Straddlers::Barrier, 5));
        assert_eq!(in_period(&image, 5), files(b"CD"), "{boot}");
        assert_eq!(in_period(&image, 2), files(b"B"), "{boot}");
        assert_eq!(image.sealed().collect::<Vec<_>>(), [Period(2)]);
        assert_eq!(image.unsealed().collect::<Vec<_>>(), [Period(5)]);
    }
}

#[test]
fn with_post_what_was_consumed_is_reported_again_too() {
    for boot in ["one", "two"] {
        let mut image = image(history(Straddlers::Post));
        image.apply(started(boot, Straddlers::Post, 5));
        assert_eq!(in_period(&image, 5), files(b"ACD"), "{boot}");
        assert_eq!(in_period(&image, 2), files(b"B"), "{boot}");
    }
}

#[test]
fn operations_end_with_the_machine() {
    let consume = |boot: &str| {
        let mut image = image(history(Straddlers::Post));
        image.apply(started(boot, Straddlers::Post, 5));
        image.apply(changed(5, b'E'));
        image.apply(Entry::Sealed(Period(5)));
        image.apply(changed(6, b'F'));
        image.apply(Entry::Consumed(Period(5)));
        // Another crash.
        image.apply(started("three", Straddlers::Post, 7));
        in_period(&image, 7)
    };
    assert_eq!(consume("one"), files(b"ABCDEF"));
    assert_eq!(consume("two"), files(b"EF"));
}

#[test]
fn a_change_of_how_straddlers_are_waited_for_loses_none() {
    let mut image = image(history(Straddlers::Post));
    image.apply(started("one", Straddlers::Barrier, 5));
    assert_eq!(in_period(&image, 5), files(b"ABCD"));
}

#[test]
fn consuming_a_period_consumes_those_before_it() {
    let mut image = image(history(Straddlers::Barrier));
    image.apply(Entry::Sealed(Period(3)));
    image.apply(Entry::Consumed(Period(3)));
    assert_eq!(image.sealed().count(), 0);
    assert_eq!(in_period(&image, 4), files(b"D"));
    // One that is not sealed is not consumed, whatever is said.
    image.apply(Entry::Consumed(Period(4)));
    assert_eq!(in_period(&image, 4), files(b"D"));
}

#[test]
fn mappings_live_as_long_as_the_machine() {
    let mut entries = history(Straddlers::Barrier);
    entries.push(Entry::Mapped(7, vec![file(b'M')]));
    entries.push(Entry::Mapped(8, vec![file(b'N')]));
    entries.push(Entry::Unmapped(8));
    let crashed = |boot| {
        let mut image = image(entries.clone());
        image.apply(started(boot, Straddlers::Barrier, 5));
        (in_period(&image, 5), image.mapped().count())
    };
    assert_eq!(crashed("one"), (files(b"CDM"), 1));
    assert_eq!(crashed("two"), (files(b"CD"), 0));
}

#[test]
fn who_may_have_missed_something() {
    let mut image = image([]);
    assert!(image.has_gap("one"), "the first one ever");
    image.apply(started("one", Straddlers::Barrier, 1));
    assert!(image.has_gap("one"), "the listener died");
    assert!(!image.has_gap("two"), "the machine died");
    image.apply(Entry::Stopped);
    assert!(image.has_gap("two"), "it ended before the machine");
    image.apply(started("two", Straddlers::Barrier, 2));
    assert!(!image.has_gap("three"));
}

#[test]
fn a_log_that_is_written_anew_says_the_same() {
    for straddlers in [Straddlers::Post, Straddlers::Barrier] {
        let mut entries = history(straddlers);
        entries.push(Entry::Mapped(7, vec![file(b'M')]));
        entries.push(Entry::ChangedBefore(Period(2), file(b'O')));
        // The last one is consumed, and nothing was recorded since.
        entries.push(Entry::Sealed(Period(4)));
        entries.push(Entry::Sealed(Period(3)));
        entries.push(Entry::Consumed(Period(4)));
        entries.push(Entry::Stopped);
        entries.push(Entry::Unmounted);
        for count in 1..=entries.len() {
            let before = image(entries[..count].to_vec());
            assert_eq!(image(before.entries()), before, "{count}");
        }
    }
}

#[test]
fn the_size_is_that_of_a_log_that_is_written_anew() {
    for straddlers in [Straddlers::Post, Straddlers::Barrier] {
        let mut entries = history(straddlers);
        let cookie = 1 << 30;
        for number in 0..100 {
            entries.push(Entry::Mapped(cookie + number, vec![file(b'M')]));
            entries.push(changed(5, number as u8));
            entries.push(Entry::Retained(file(number as u8)));
            // Nothing twice.
            entries.push(changed(5, number as u8));
            entries.push(Entry::Mapped(cookie + number, vec![file(b'N')]));
        }
        entries.extend((cookie..cookie + 90).map(Entry::Unmapped));
        entries.push(Entry::Sealed(Period(5)));
        entries.push(Entry::Changed(Period(6), Change::Everything));
        entries.push(Entry::Consumed(Period(6)));
        entries.push(started("two", straddlers, 8));
        for count in 1..=entries.len() {
            let image = image(entries[..count].to_vec());
            let written = Log::size_of(&image.entries().collect::<Vec<_>>());
            let size = image.size();
            assert!(size + 30 >= written, "{size} and {written} after {count}");
            let limit = 2 * written + 64;
            assert!(size <= limit, "{size} and {written} after {count}");
        }
    }
}

#[test]
fn what_says_everything_says_nothing_else() {
    for straddlers in [Straddlers::Post, Straddlers::Barrier] {
        let mut image = image(history(straddlers));
        image.apply(Entry::Changed(Period(4), Change::Everything));
        image.apply(changed(4, b'E'));
        let everything = BTreeSet::from([Change::Everything]);
        assert_eq!(in_period(&image, 4), everything);
        // As far as it is about operations that may go on.
        image.apply(Entry::ChangedBefore(Period(3), Change::Everything));
        image.apply(changed(3, b'F'));
        assert_eq!(image.unended(Period(3)).count(), 2);
        image.apply(Entry::Sealed(Period(4)));
        image.apply(Entry::Consumed(Period(4)));
        image.apply(started("two", straddlers, 5));
        let whole = in_period(&image, 5).contains(&Change::Everything);
        assert!(whole);
    }
}

#[test]
fn an_unmounted_file_system_has_no_operations_and_no_open_period() {
    for straddlers in [Straddlers::Post, Straddlers::Barrier] {
        let mut entries = history(straddlers);
        entries.push(Entry::Mapped(7, vec![file(b'M')]));
        entries.push(Entry::Unmounted);
        let mut image = image(entries);
        let sealed = [2, 3, 4].map(Period);
        assert_eq!(image.sealed().collect::<Vec<_>>(), sealed);
        assert_eq!(image.unsealed().count(), 0);
        // Whoever comes after it has missed what was changed after it was mounted again.
        assert!(image.has_gap("one") && image.has_gap("two"));
        // If he gives his word that nothing was, nothing more is reported.
        image.apply(started("one", straddlers, 5));
        assert_eq!(in_period(&image, 5), files(b""));
        assert_eq!(in_period(&image, 3), files(b"C"));
        image.apply(Entry::Consumed(Period(4)));
        image.apply(started("two", straddlers, 6));
        assert_eq!(in_period(&image, 6), files(b""));
    }
}

#[test]
fn what_ended_before_is_not_taken_for_what_goes_on() {
    // Of the first start, and perhaps changed again by an operation of the second.
    let mut image = image(history(Straddlers::Post));
    image.apply(started("two", Straddlers::Post, 5));
    assert_eq!(in_period(&image, 5), files(b"ACD"));
    assert_eq!(image.unended(Period(5)).count(), 0);
    image.apply(changed(5, b'D'));
    assert_eq!(image.unended(Period(5)).count(), 1);
    image.apply(Entry::Sealed(Period(5)));
    image.apply(Entry::Consumed(Period(5)));
    image.apply(started("three", Straddlers::Post, 6));
    assert!(in_period(&image, 6).contains(&file(b'D')));
}
