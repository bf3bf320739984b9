// SPDX-License-Identifier: GPL-2.0

//! Whether whatever differs from the copy is in the journal.

use crate::copy::Copy;
use crate::copy::Seen;
use crate::copy::Source;
use crate::Result;
use checkpoint::Change;
use checkpoint::Object;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    objects: usize,
    names: usize,
    differing_objects: usize,
    differing_names: usize,
    recorded: usize,
    everything: bool,
    missing: Vec<String>,
}

impl Found {
    pub(crate) fn is_well(&self, exact: bool, precise: bool) -> bool {
        let differing = self.differing_objects + self.differing_names;
        self.missing.is_empty() && !(exact && differing > 0) && !(precise && self.everything)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            objects,
            names,
            differing_objects,
            differing_names,
            recorded,
            ..
        } = self;
        let missing = self.missing.len();
        let everything = if self.everything { ", everything" } else { "" };
        writeln!(
            f,
            "compared {objects} objects and {names} names: {differing_objects} and \
             {differing_names} differ, {recorded} changes in the journal{everything}, {missing} missing"
        )?;
        self.missing
            .iter()
            .try_for_each(|line| writeln!(f, "  missing: {line}"))
    }
}

/// Compares.
pub(crate) fn check(root: &Path, store: &Path, copy: &Path) -> Result<Found> {
    // Whatever can be seen by now was recorded before it was done.
    let now = Copy::of(&Source::new(root, store)?)?;
    let listed = journal::look(store)?;
    let recorded = listed.into_iter().flat_map(|listed| listed.changes);
    Ok(compare(&Copy::load(copy)?, &now, &recorded.collect()))
}

fn compare(copy: &Copy, now: &Copy, recorded: &BTreeSet<Change>) -> Found {
    let everything = recorded.contains(&Change::Everything);
    let mut found = Found {
        recorded: recorded.len(),
        everything,
        ..Found::default()
    };
    for (object, seen) in &now.objects {
        // One that is new is found by its name.
        let Some(before) = copy.objects.get(object) else {
            continue;
        };
        found.objects += 1;
        if before != seen {
            found.differing_objects += 1;
            if !everything && !recorded.contains(&Change::Object(object.clone())) {
                found.missing.push(describe(object, before, seen));
            }
        }
    }

    for (directory, names) in &now.directories {
        let Some(before) = copy.directories.get(directory) else {
            continue;
        };
        let all: BTreeSet<_> = names.keys().chain(before.keys()).collect();
        found.names += all.len();
        let differs = |name: &&&Vec<u8>| names.get(**name) != before.get(**name);
        for name in all.iter().filter(differs) {
            found.differing_names += 1;
            let entry = Change::Entry {
                directory: directory.clone(),
                name: name.to_vec(),
            };
            let whole = Change::Directory(directory.clone());
            if !everything && !recorded.contains(&entry) && !recorded.contains(&whole) {
                found.missing.push(entry.to_string());
            }
        }
    }
    // Without a copy, all is new.
    if copy.directories.is_empty() {
        found.differing_objects += now.objects.len();
        if !everything {
            found.missing.push("everything".into());
        }
    }
    found
}

fn describe(object: &Object, before: &Seen, now: &Seen) -> String {
    let of = |seen: &Seen| {
        let hash = seen.hash.first_chunk().copied().map(u32::from_be_bytes);
        let hash = hash.unwrap_or_default();
        format!("mode {:o} size {} hash {hash:08x}", seen.mode, seen.size)
    };
    format!("object {object}: {}, now {}", of(before), of(now))
}

#[cfg(test)]
mod tests;
