// SPDX-License-Identifier: GPL-2.0

//! What is recorded, and how it follows from an event.

use rustix::fs::OFlags;
use serde::Deserialize;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use vfs_filter::DirName;
use vfs_filter::Errno;
use vfs_filter::Event;
use vfs_filter::Events;
use vfs_filter::FileHandle;
use vfs_filter::OpFlags;

/// A file handle, without its file system: a journal is about one.
///
/// The `fsid` of a handle can be another after the machine was started again, and on btrfs each
/// subvolume has its own, where the handles alone tell objects apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Object {
    kind: i32,
    bytes: Vec<u8>,
}

impl Object {
    /// Opens it as seen through `mount`, a descriptor on the file system (not one of `O_PATH`).
    ///
    /// # Errors
    ///
    /// `ESTALE` if it is gone, else as `open_by_handle_at(2)`.
    pub fn open(&self, mount: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
        let handle = FileHandle {
            fsid: 0,
            kind: self.kind,
            bytes: Cow::Borrowed(&self.bytes),
        };
        handle.open(mount, flags)
    }
}

impl From<&FileHandle<'_>> for Object {
    fn from(handle: &FileHandle<'_>) -> Self {
        let kind = handle.kind;
        let bytes = handle.bytes.to_vec();
        Self { kind, bytes }
    }
}

impl fmt::Display for Object {
    /// `kind:bytes`, in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:", self.kind)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One thing that has, or may have, changed in a period.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Change {
    /// Data or attributes of this object.
    Object(Object),
    /// What this name stands for, or whether it is there.
    Entry {
        /// The directory it is in.
        directory: Object,
        /// The name, without a slash.
        name: Vec<u8>,
    },
    /// Any name in this directory: it is to be read again.
    Directory(Object),
    /// Anything: events were lost, or nobody was listening.
    Everything,
}

impl Change {
    fn entry(entry: &DirName<'_>) -> Self {
        if !entry.dir.is_valid() {
            return Self::Everything;
        }
        Self::Entry {
            directory: (&entry.dir).into(),
            name: entry.name.as_encoded_bytes().to_vec(),
        }
    }

    /// The change that says this one too, and more.
    pub(crate) fn wider(&self) -> Option<Self> {
        match self {
            Self::Entry { directory, .. } => Some(Self::Directory(directory.clone())),
            _ => None,
        }
    }

    /// About how many bytes of a log say that it was recorded.
    pub(crate) fn size(&self) -> u64 {
        let bytes = match self {
            Self::Object(object) | Self::Directory(object) => object.bytes.len(),
            Self::Entry { directory, name } => directory.bytes.len() + name.len(),
            Self::Everything => 0,
        };
        bytes as u64 + NUMBERS_SIZE
    }
}

/// What sort of entry and of change it is, its period, the kind of a handle, and lengths.
const NUMBERS_SIZE: u64 = 9;

impl fmt::Display for Change {
    /// One line: what kind of change, the object, and the name with all but plain ASCII escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => write!(f, "object {object}"),
            Self::Entry { directory, name } => {
                write!(f, "entry {directory} {}", name.escape_ascii())
            }
            Self::Directory(directory) => write!(f, "directory {directory}"),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// What an event says of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The same on PRE and POST, in every group.
    pub cookie: u64,
    /// A writable shared mapping, which changes its file until its POST.
    pub mapped: bool,
    /// Whether it makes room on the file system: a removal, or a truncation.
    pub frees: bool,
    /// What it changes, or has changed.
    pub changes: Vec<Change>,
    /// What an ignore mark for it would be on: the object, or the directory of a name. None if it
    /// had better be asked about each time.
    pub ignorable: Option<Object>,
}

impl From<&Event<'_>> for Operation {
    fn from(event: &Event<'_>) -> Self {
        let mut changes = Vec::new();
        let mut ignorable = None;
        let object = event.object.as_ref();
        if event.events.intersects(ON_NAMES) {
            let rename = event.rename.iter();
            let names = rename.flat_map(|rename| [&rename.old, &rename.new]);
            changes.extend(event.name.iter().chain(names).map(Change::entry));
            if event.rename.is_none() {
                let directory = event.name.as_ref().map(|name| &name.dir);
                let directory = directory.filter(|directory| directory.is_valid());
                ignorable = directory.map(Object::from);
            }
            // A file without a name gets one later, but some file systems make it with one.
            let directory = event.directory.as_ref();
            changes.extend(directory.map(|directory| match directory.is_valid() {
                true => Change::Directory(directory.into()),
                false => Change::Everything,
            }));
        } else {
            ignorable = object.map(Object::from);
        }
        changes.extend(object.map(|object| Change::Object(object.into())));
        // What has no handle cannot be named.
        if changes.is_empty() || changes.contains(&Change::Everything) {
            changes = vec![Change::Everything];
        }
        let truncates = event.range.is_some_and(|range| range.count == 0);
        Self {
            cookie: event.cookie,
            mapped: event.flags.contains(OpFlags::MAPPED),
            frees: event.events == Events::DELETE || (event.events == Events::MODIFY && truncates),
            changes,
            ignorable,
        }
    }
}

/// The events that are about names in directories.
const ON_NAMES: Events = Events::CREATE
    .union(Events::DELETE)
    .union(Events::MOVED_FROM)
    .union(Events::MOVED_TO);

#[cfg(test)]
mod tests {
    use super::Change;
    use super::Object;

    #[test]
    fn a_change_is_one_line() {
        let directory = Object {
            kind: 1,
            bytes: vec![0xab, 0x01],
        };
        let name = b"a b\n\xff".to_vec();
        let change = Change::Entry { directory, name };
        assert_eq!(change.to_string(), r"entry 1:ab01 a b\n\xff");
        let wider = change.wider().unwrap();
        assert_eq!(wider.to_string(), "directory 1:ab01");
        assert_eq!(wider.wider(), None);
    }
}
