// SPDX-License-Identifier: GPL-2.0

//! What is watched, by its path. A descriptor would keep it from being unmounted.

use crate::Error;
use crate::Result;
use rustix::fs::AtFlags;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::StatxFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// `STATX_MNT_ID_UNIQUE`: a number that no mount has after this one.
const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);

/// A mount, and the path that leads to it, for as long as it does.
#[derive(Clone, Debug)]
pub struct Watched {
    path: PathBuf,
    identity: Identity,
}

/// What tells one mount of a file system from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    fsid: u64,
    mount: u64,
}

impl Watched {
    /// What `path` leads to now.
    ///
    /// # Errors
    ///
    /// [`Error::Store`], as `open(2)`.
    pub fn new(path: &Path) -> Result<Self> {
        let (_, identity) = open(path).map_err(|error| Error::Store(error, path.into()))?;
        Ok(Self {
            path: path.into(),
            identity,
        })
    }

    /// A descriptor on it, which had better not be kept for long: the file system is busy until it
    /// is closed. To sync it, to open objects, to set a mark or a barrier.
    ///
    /// # Errors
    ///
    /// [`Error::Elsewhere`] if the path leads to something else by now, or nowhere.
    pub fn open(&self) -> Result<File> {
        match open(&self.path) {
            Ok((file, identity)) if identity == self.identity => Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Store(error, self.path.clone()))
            }
            _ => Err(Error::Elsewhere(self.path.clone())),
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<(File, Identity)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let identity = Identity::of(&file)?;
    Ok((file, identity))
}

impl Identity {
    fn of(file: &File) -> Result<Self, Errno> {
        let flags = AtFlags::EMPTY_PATH;
        let unique = rustix::fs::statx(file, "", flags, MNT_ID_UNIQUE)?;
        Ok(Self {
            device: rustix::fs::fstat(file)?.st_dev,
            fsid: rustix::fs::fstatvfs(file)?.f_fsid,
            mount: unique.stx_mnt_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Watched;
    use crate::Error;
    use std::fs;
    use std::path::Path;

    #[test]
    fn a_path_that_leads_elsewhere_is_found_out() {
        let link = std::env::temp_dir().join(format!("watched-{}", std::process::id()));
        std::os::unix::fs::symlink("/", &link).unwrap();
        let watched = Watched::new(&link).unwrap();
        assert!(watched.open().is_ok());
        fs::remove_file(&link).unwrap();
        assert!(matches!(watched.open(), Err(Error::Elsewhere(path)) if path == link));
        std::os::unix::fs::symlink("/proc", &link).unwrap();
        let elsewhere = watched.open();
        fs::remove_file(&link).unwrap();
        assert!(matches!(elsewhere, Err(Error::Elsewhere(_))));
        assert!(Watched::new(Path::new("/nowhere")).is_err());
    }
}
