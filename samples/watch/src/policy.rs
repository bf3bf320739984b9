// SPDX-License-Identifier: GPL-2.0

//! What is answered.

use glob::Pattern;
use std::path::Path;

/// The user's wishes.
pub(crate) struct Policy {
    /// Which files are not to be written.
    pub(crate) deny: Vec<Pattern>,
    /// Whether to be asked about each file only once between checkpoints.
    pub(crate) ignore_after_first: bool,
}

impl Policy {
    /// Whether the file of this path is not to be written.
    pub(crate) fn denies(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = path.to_string_lossy();
        let by_path = |glob: &Pattern| glob.as_str().contains('/');
        let text = |glob| if by_path(glob) { &path } else { &name };
        self.deny.iter().any(|glob| glob.matches(text(glob)))
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;
    use glob::Pattern;
    use std::path::Path;

    #[test]
    fn a_glob_is_for_the_name_or_with_a_slash_for_the_path() {
        let deny = ["*.locked", "tree/private/*"];
        let policy = Policy {
            deny: deny.map(|glob| Pattern::new(glob).unwrap()).to_vec(),
            ignore_after_first: false,
        };
        assert!(policy.denies(Path::new("tree/a.locked")));
        assert!(policy.denies(Path::new("tree/private/a")));
        assert!(!policy.denies(Path::new("tree.locked/a")));
        assert!(!policy.denies(Path::new("private")));
    }
}
