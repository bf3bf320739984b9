// SPDX-License-Identifier: GPL-2.0

//! What is watched: marks, and from file handles back to paths.

use crate::line;
use rustix::fs::OFlags;
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use vfs_filter::DirName;
use vfs_filter::Errno;
use vfs_filter::Error;
use vfs_filter::Event;
use vfs_filter::Events;
use vfs_filter::FileHandle;
use vfs_filter::Group;
use vfs_filter::Mark;
use vfs_filter::Scope;

/// The events that are asked for.
pub(crate) const EVENTS: Events = Events::MODIFY;

/// One PATH of the command line.
struct Root {
    /// As it was given, for what is printed.
    given: PathBuf,
    /// Without symbolic links, as the kernel says paths.
    real: PathBuf,
    /// Open, so that file handles can be opened on its mount.
    anchor: File,
    fsid: u64,
}

/// Where an event happened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Below one of the roots; the path is said as the root was given.
    Inside(PathBuf),
    /// Somewhere else on a marked mount or file system.
    Outside,
    /// The directory cannot be found any more; all that is known of the object.
    Unknown(String),
}

/// All PATHs of the command line.
pub(crate) struct Tree {
    roots: Vec<Root>,
    scope: Scope,
}

impl Tree {
    pub(crate) fn open(paths: &[PathBuf], scope: Scope) -> io::Result<Self> {
        let roots = paths.iter().map(|path| Root::open(path));
        let roots = roots.collect::<io::Result<_>>()?;
        Ok(Self { roots, scope })
    }

    /// Asks for the events of the whole tree; returns the number of marks.
    pub(crate) fn mark(&self, group: &Group) -> Result<usize, Error> {
        let marks = self.roots.iter().map(|root| match self.scope {
            Scope::Inode => mark_below(group, &root.real, root.anchor.metadata().ok()),
            scope => {
                let mark = Mark::descriptor(scope, &root.anchor);
                group.mark(&mark.events(EVENTS)).map(|()| 1)
            }
        });
        marks.sum()
    }

    /// Opens the object for reading.
    pub(crate) fn open_object(&self, handle: &FileHandle<'_>) -> Result<OwnedFd, Errno> {
        self.open_handle(handle, OFlags::RDONLY | OFlags::NONBLOCK)
    }

    fn open_handle(&self, handle: &FileHandle<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut roots = self.roots.iter();
        let root = roots.find(|root| root.fsid == handle.fsid);
        handle.open(&root.ok_or(Errno::XDEV)?.anchor, flags)
    }

    pub(crate) fn place(&self, event: &Event<'_>) -> Place {
        match (&event.name, &event.object) {
            (Some(entry), _) => self.path(entry).map_or_else(
                |_| Place::Unknown(unfound(entry)),
                |path| self.shown(&path).map_or(Place::Outside, Place::Inside),
            ),
            (None, Some(object)) => Place::Unknown(object.to_string()),
            (None, None) => Place::Unknown(String::new()),
        }
    }

    /// The path of a name, by way of its directory's, which always has one.
    fn path(&self, entry: &DirName<'_>) -> io::Result<PathBuf> {
        let directory = self.open_handle(&entry.dir, OFlags::PATH)?;
        let directory = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
        Ok(match entry.name.as_encoded_bytes() {
            b"." => directory,
            _ => directory.join(entry.name),
        })
    }

    /// The path as the root above it was given, if it is below one.
    fn shown(&self, path: &Path) -> Option<PathBuf> {
        self.roots.iter().find_map(|root| {
            let below = path.strip_prefix(&root.real).ok()?;
            Some(root.given.components().chain(below.components()).collect())
        })
    }
}

impl Root {
    fn open(given: &Path) -> io::Result<Self> {
        let open = || -> io::Result<Self> {
            let real = fs::canonicalize(given)?;
            let anchor = File::open(&real)?;
            let fsid = rustix::fs::fstatvfs(&anchor)?.f_fsid;
            let given = given.to_path_buf();
            Ok(Self {
                given,
                real,
                anchor,
                fsid,
            })
        };
        open().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot watch {}: {error}", given.display()),
            )
        })
    }
}

/// All that can be said about a name whose directory is gone.
fn unfound(entry: &DirName<'_>) -> String {
    let name = line::printable(entry.name.as_ref());
    format!("{name} in {}", entry.dir)
}

/// Marks `path`, and if it is a directory, all directories below it on the same file system.
///
/// A directory is marked before it is listed. What goes away in between is no loss.
fn mark_below(group: &Group, path: &Path, metadata: Option<fs::Metadata>) -> Result<usize, Error> {
    let Some(metadata) = metadata else {
        return Ok(0);
    };
    let mark = Mark::inode(path).events(EVENTS).dont_follow();
    if !metadata.is_dir() {
        return group.mark(&mark).map(|()| 1);
    }
    match group.mark(&mark.events(Events::ON_CHILD).only_dir()) {
        Err(error) if error.errno() == Some(Errno::NOENT) => return Ok(0),
        done => done?,
    }
    let mut marks = 1;
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let below = entry.metadata().ok();
        if below
            .as_ref()
            .is_some_and(|below| below.is_dir() && below.dev() == metadata.dev())
        {
            marks += mark_below(group, &entry.path(), below)?;
        }
    }
    Ok(marks)
}

#[cfg(test)]
mod tests;
