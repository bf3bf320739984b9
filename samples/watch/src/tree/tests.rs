// SPDX-License-Identifier: GPL-2.0

use super::Tree;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use vfs_filter::Scope;

/// A directory with a link to it and a file in it, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("watch-{name}-{}", std::process::id());
        let folder = fs::canonicalize(std::env::temp_dir()).unwrap().join(name);
        fs::create_dir_all(folder.join("real")).unwrap();
        fs::write(folder.join("real/file"), "").unwrap();
        std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
        Self(folder)
    }

    fn tree(&self, root: &str) -> Tree {
        Tree::open(&[self.0.join(root)], Scope::Inode).unwrap()
    }

    fn shown(&self, tree: &Tree, path: &str) -> Option<PathBuf> {
        let shown = tree.shown(&self.0.join(path))?;
        Some(shown.strip_prefix(&self.0).unwrap().to_path_buf())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn paths_are_shown_as_their_root_was_given() {
    let folder = Folder::new("given");
    let tree = folder.tree("link");
    let shown = folder.shown(&tree, "real/below/file");
    assert_eq!(shown.as_deref(), Some(Path::new("link/below/file")));
    assert_eq!(folder.shown(&tree, "realistic"), None);
    assert_eq!(folder.shown(&tree, "other"), None);
}

#[test]
fn a_root_may_be_a_file() {
    let folder = Folder::new("file");
    let tree = folder.tree("real/file");
    let shown = folder.shown(&tree, "real/file").unwrap();
    assert_eq!(shown.as_os_str(), "real/file");
    assert_eq!(folder.shown(&tree, "real"), None);
}

#[test]
fn a_root_that_is_not_there_is_named() {
    let error = Tree::open(&["/nowhere".into()], Scope::Mount).map(drop);
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot watch /nowhere: No such file"),
        "{error}"
    );
}
