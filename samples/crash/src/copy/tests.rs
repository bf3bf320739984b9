// SPDX-License-Identifier: GPL-2.0

//! On /tmp; needs root and file handles there, says so and passes elsewhere.

use super::handle;
use super::Copy;
use super::Source;
use checkpoint::Change;
use checkpoint::Object;
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::path::PathBuf;

/// A directory tree that is gone at the end.
pub(crate) struct Tree(PathBuf);

impl Tree {
    /// None if handles cannot be opened here.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let name = format!("crash-{name}-{}", std::process::id());
        let tree = Self(std::env::temp_dir().join(name));
        for directory in ["store", "a", "b"] {
            fs::create_dir_all(tree.0.join(directory)).unwrap();
        }
        for file in ["store/log", "a/file", "a/other", "b/file"] {
            tree.write(file, file);
        }
        let root = File::open(&tree.0).unwrap();
        match tree.object("a").open(&root, OFlags::RDONLY) {
            Ok(_) => Some(tree),
            Err(errno) => {
                println!("skipped, no file handles: {errno}");
                None
            }
        }
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub(crate) fn write(&self, path: &str, data: &str) {
        fs::write(self.path(path), data).unwrap();
    }

    pub(crate) fn object(&self, path: &str) -> Object {
        handle(File::open(&self.0).unwrap(), OsStr::new(path)).unwrap()
    }

    pub(crate) fn entry(&self, directory: &str, name: &str) -> Change {
        Change::Entry {
            directory: self.object(directory),
            name: name.into(),
        }
    }

    pub(crate) fn source(&self) -> Source {
        Source::new(&self.0, &self.path("store")).unwrap()
    }

    pub(crate) fn copy(&self) -> Copy {
        Copy::of(&self.source()).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_copy_is_brought_up_to_date_by_what_changed() {
    let Some(tree) = Tree::new("apply") else {
        return;
    };
    let mut copy = tree.copy();
    let moved = tree.object("b");
    tree.write("a/file", "longer than it was");
    tree.write("store/log", "which is not looked at");
    fs::rename(tree.path("b"), tree.path("a/b")).unwrap();
    tree.write("a/b/new", "in what was moved");
    fs::remove_file(tree.path("a/other")).unwrap();
    assert_ne!(tree.copy(), copy);
    let changes = [
        Change::Object(tree.object("a/file")),
        tree.entry("", "b"),
        Change::Directory(tree.object("a")),
        Change::Directory(moved),
    ];
    copy.apply(&tree.source(), changes.iter()).unwrap();
    assert_eq!(copy, tree.copy());
    let everything = [Change::Everything];
    let mut copy = Copy::default();
    copy.apply(&tree.source(), everything.iter()).unwrap();
    assert_eq!(copy, tree.copy());
}

#[test]
fn a_copy_is_what_was_saved() {
    let Some(tree) = Tree::new("save") else {
        return;
    };
    let path = tree.path("store/copy");
    assert_eq!(Copy::load(&path).unwrap(), Copy::default());
    let copy = tree.copy();
    copy.save(&path).unwrap();
    assert_eq!(Copy::load(&path).unwrap(), copy);
}
