// SPDX-License-Identifier: GPL-2.0

//! What the reader knows: not the files themselves, but what tells them apart.

use crate::Result;
use checkpoint::Change;
use checkpoint::Object;
use journal::ask;
use journal::Request;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use vfs_filter::Errno;
use vfs_filter::FileHandle;

/// An object: what it is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) mode: u32,
    owner: (u32, u32),
    /// Of a directory: 0.
    pub(crate) size: u64,
    /// Of data, or of a symbolic link's target.
    pub(crate) hash: [u8; 32],
}

/// The names in a directory.
pub(crate) type Names = BTreeMap<Vec<u8>, Object>;

/// A file system, by file handles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copy {
    pub(crate) objects: BTreeMap<Object, Seen>,
    pub(crate) directories: BTreeMap<Object, Names>,
    root: Option<Object>,
}

/// Where to look: a file system, less the store of the journal.
pub(crate) struct Source {
    root: File,
    store: Option<Object>,
}

impl Source {
    pub(crate) fn new(root: &Path, store: &Path) -> Result<Self> {
        let root = File::open(root)?;
        let store = File::open(store)?;
        let device = |file: &File| rustix::fs::fstat(file).map(|stat| stat.st_dev);
        let inside = device(&root)? == device(&store)?;
        let store = if inside {
            Some(handle(&store, OsStr::new(""))?)
        } else {
            None
        };
        Ok(Self { root, store })
    }

    /// What the object is like, and the names in it if it is a directory; none if it is gone.
    fn look(&self, object: &Object) -> Result<Option<(Seen, Option<Names>)>> {
        let open = |flags| object.open(&self.root, flags | OFlags::NOFOLLOW | OFlags::NONBLOCK);
        let path = match open(OFlags::PATH) {
            Err(Errno::STALE | Errno::NOENT) => return Ok(None),
            path => path?,
        };
        let stat = rustix::fs::fstat(&path)?;
        let mut names = None;
        let (size, hash) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => match open(OFlags::RDONLY) {
                Err(Errno::STALE | Errno::NOENT) => return Ok(None),
                file => digest(File::from(file?))?,
            },
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&path, "", Vec::new())?;
                digest(target.as_bytes())?
            }
            FileType::Directory => {
                names = match open(OFlags::RDONLY | OFlags::DIRECTORY) {
                    Err(Errno::STALE | Errno::NOENT) => return Ok(None),
                    directory => Some(read_names(directory?)?),
                };
                (0, [0; 32])
            }
            _ => (0, [0; 32]),
        };
        Ok(Some((Seen::new(&stat, size, hash), names)))
    }

    /// What the name stands for; none if that is nothing.
    fn find(&self, directory: &Object, name: &[u8]) -> Result<Option<Object>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        let directory = match directory.open(&self.root, flags) {
            Err(Errno::STALE | Errno::NOENT) => return Ok(None),
            directory => directory?,
        };
        // One of O_PATH is no descriptor on a mount.
        let reopened = format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&directory)
        );
        match File::open(reopened) {
            Ok(directory) => existing(handle(&directory, OsStr::from_bytes(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Seen {
    fn new(stat: &Stat, size: u64, hash: [u8; 32]) -> Self {
        Self {
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            size,
            hash,
        }
    }
}

fn handle(directory: impl AsFd, name: &OsStr) -> Result<Object, Errno> {
    FileHandle::of(directory, name).map(|handle| Object::from(&handle))
}

fn existing(found: Result<Object, Errno>) -> Result<Option<Object>> {
    match found {
        Err(Errno::NOENT | Errno::STALE) => Ok(None),
        found => Ok(Some(found?)),
    }
}

fn digest(mut data: impl Read) -> io::Result<(u64, [u8; 32])> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        match data.read(&mut buffer)? {
            0 => return Ok((size, hasher.finalize().into())),
            length => {
                size += length as u64;
                hasher.update(&buffer[..length]);
            }
        }
    }
}

fn read_names(directory: OwnedFd) -> Result<Names> {
    let mut names = Names::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if let Some(object) = existing(handle(&directory, OsStr::from_bytes(name)))? {
            names.insert(name.to_vec(), object);
        }
    }
    Ok(names)
}

impl Copy {
    /// All that there is.
    pub(crate) fn of(source: &Source) -> Result<Self> {
        let mut copy = Self::default();
        copy.everything(source)?;
        Ok(copy)
    }

    fn everything(&mut self, source: &Source) -> Result {
        let root = handle(&source.root, OsStr::new(""))?;
        *self = Self::default();
        self.root = Some(root.clone());
        self.add(source, root)
    }

    /// An object that may be new, with all that is in it.
    fn add(&mut self, source: &Source, object: Object) -> Result {
        let mut found = vec![object];
        while let Some(object) = found.pop() {
            if !self.objects.contains_key(&object) && source.store.as_ref() != Some(&object) {
                found.extend(self.look(source, &object)?);
            }
        }
        Ok(())
    }

    /// Looks at one object again. Returns what is in it.
    fn look(&mut self, source: &Source, object: &Object) -> Result<Vec<Object>> {
        self.objects.remove(object);
        self.directories.remove(object);
        let Some((seen, names)) = source.look(object)? else {
            return Ok(Vec::new());
        };
        self.objects.insert(object.clone(), seen);
        let inside = names.iter().flat_map(BTreeMap::values).cloned().collect();
        if let Some(names) = names {
            self.directories.insert(object.clone(), names);
        }
        Ok(inside)
    }

    /// Takes what has changed from the file system as it is now.
    pub(crate) fn apply<'a>(
        &mut self,
        source: &Source,
        changes: impl Iterator<Item = &'a Change> + Clone,
    ) -> Result {
        if changes.clone().any(|change| *change == Change::Everything) {
            return self.everything(source);
        }
        for change in changes {
            match change {
                Change::Object(object) | Change::Directory(object) => {
                    // What is not in the copy is found by its name, if it has one.
                    if self.objects.contains_key(object) {
                        let inside = self.look(source, object)?;
                        for object in inside {
                            self.add(source, object)?;
                        }
                    }
                }
                Change::Entry { directory, name } => self.entry(source, directory, name)?,
                Change::Everything => {}
            }
        }
        self.forget_unreachable();
        Ok(())
    }

    fn entry(&mut self, source: &Source, directory: &Object, name: &[u8]) -> Result {
        let Some(names) = self.directories.get_mut(directory) else {
            return Ok(());
        };
        match source.find(directory, name)? {
            Some(object) => {
                names.insert(name.to_vec(), object.clone());
                self.add(source, object)
            }
            None => {
                names.remove(name);
                Ok(())
            }
        }
    }

    fn forget_unreachable(&mut self) {
        let mut reached = BTreeSet::new();
        let mut found: Vec<_> = self.root.iter().cloned().collect();
        while let Some(object) = found.pop() {
            let names = self.directories.get(&object);
            found.extend(names.into_iter().flat_map(BTreeMap::values).cloned());
            reached.insert(object);
        }
        self.objects.retain(|object, _| reached.contains(object));
        self.directories
            .retain(|object, _| reached.contains(object));
    }

    /// From its file; empty if there is none yet.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(postcard::from_bytes(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// When it returns, it is durable; until then the old one is.
    fn save(&self, path: &Path) -> Result {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&postcard::to_stdvec(self)?)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }
}

/// Brings the copy up to date with all sealed periods, and consumes them. Says what it did.
pub(crate) fn consume(root: &Path, store: &Path, path: &Path, checkpoint: bool) -> Result<String> {
    let request = match checkpoint {
        true => Request::Checkpoint,
        false => Request::List,
    };
    let mut listed = ask(store, request)?;
    listed.retain(|listed| listed.sealed);
    let Some(last) = listed.last().map(|listed| listed.period) else {
        return Ok("nothing to consume".into());
    };
    let source = Source::new(root, store)?;
    let mut copy = Copy::load(path)?;
    let changes = listed.iter().flat_map(|listed| &listed.changes);
    copy.apply(&source, changes.clone())?;
    copy.save(path)?;
    ask(store, Request::Consume(last))?;
    let (periods, changes) = (listed.len(), changes.count());
    let objects = copy.objects.len();
    Ok(format!(
        "consumed up to {last}: {periods} periods, {changes} changes, {objects} objects"
    ))
}

#[cfg(test)]
pub(crate) mod tests;
