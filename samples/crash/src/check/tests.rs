// SPDX-License-Identifier: GPL-2.0

use super::compare;
use crate::copy::tests::Tree;
use crate::copy::Copy;
use checkpoint::Change;
use std::collections::BTreeSet;
use std::fs;

#[test]
fn what_differs_and_is_not_recorded_is_missing() {
    let Some(tree) = Tree::new("check") else {
        return;
    };
    let copy = tree.copy();
    tree.write("a/file", "longer than it was");
    fs::remove_file(tree.path("b/file")).unwrap();
    let all = [
        Change::Object(tree.object("a/file")),
        tree.entry("b", "file"),
    ];
    let missing = |recorded: &[&Change]| {
        let recorded: BTreeSet<_> = recorded.iter().copied().cloned().collect();
        let found = compare(&copy, &tree.copy(), &recorded);
        assert_eq!((found.differing_objects, found.differing_names), (1, 1));
        assert_eq!(found.is_well(false, true), found.missing.is_empty());
        assert!(!found.is_well(true, false));
        found.missing.len()
    };
    assert_eq!(missing(&[&all[0], &all[1]]), 0);
    assert_eq!(missing(&[&all[0]]), 1);
    assert_eq!(missing(&[]), 2);
    let directory = Change::Directory(tree.object("b"));
    assert_eq!(missing(&[&all[0], &directory]), 0);
    let everything = BTreeSet::from([Change::Everything]);
    let found = compare(&copy, &tree.copy(), &everything);
    assert!(found.is_well(false, false) && !found.is_well(false, true));
}

#[test]
fn without_a_copy_all_is_new() {
    let Some(tree) = Tree::new("new") else {
        return;
    };
    let found = compare(&Copy::default(), &tree.copy(), &BTreeSet::new());
    assert!(!found.is_well(false, false));
    let found = compare(&tree.copy(), &tree.copy(), &BTreeSet::new());
    assert!(found.is_well(true, true));
}
