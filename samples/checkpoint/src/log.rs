// SPDX-License-Identifier: GPL-2.0

//! The file that entries are kept in.
//!
//! After a head of eight bytes there is a frame for each batch of entries: magic, number, length and
//! checksum, then the entries as postcard writes them. A batch is written at once and synced before
//! the next one is written, so what a crash leaves is whole frames, and a tail of at most one that
//! is not. A frame that is broken and has good ones after it is no tail: then something was lost
//! that had been promised.
//!
//! What is promised to a task that waits must not fail for want of room. So there are blocks ahead
//! of the log's end that are its own already ([`Log::provide`]), and a second file of such blocks,
//! `log.new`, so that it can be written anew on a disk that is full.

use crate::Entry;
use crate::Error;
use crate::Image;
use crate::Result;
use rustix::fs::FallocateFlags;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;

const HEAD: &[u8; 8] = b"vfsfj\x00\x00\x01";
const MAGIC: [u8; 4] = *b"\xffbat";
/// Magic, number, length, checksum.
const FRAME_LEN: usize = 4 + 8 + 4 + 4;
/// Entries in a frame of a log that is written anew.
const CHUNK: usize = 1024;
/// Blocks are taken in steps of this many bytes, less if there are not as many.
const AHEAD: u64 = 256 * 1024;
const LEAST: u64 = 16 * 1024;

/// A log in a directory, which no other process has open.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    file: File,
    number: u64,
    length: u64,
    /// Up to where the file has blocks.
    allocated: u64,
    /// Whether there is another file of blocks.
    spare: bool,
    /// What is in the file, or whether it has its name, is not known, for a sync has failed.
    unsure: bool,
    /// Locked until it is closed.
    _lock: File,
}

/// What [`Log::open`] found.
#[derive(Debug, Default)]
pub struct Found {
    /// What the log says.
    pub image: Image,
    /// Something is missing in the middle of it.
    pub damaged: bool,
}

impl Log {
    /// Opens the log in `directory`, and makes both where they are not there.
    ///
    /// # Errors
    ///
    /// [`Error::InUse`] if another process has it open, [`Error::NotALog`], [`Error::Store`].
    pub fn open(directory: &Path) -> Result<(Self, Found)> {
        fs::create_dir_all(directory).map_err(|error| Error::Store(error, directory.into()))?;
        let lock = lock(&directory.join("lock"))?;
        let path = directory.join("log");
        let found = match fs::read(&path) {
            Ok(bytes) => decode(&bytes).ok_or(Error::NotALog(path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Found::default(),
            Err(error) => return Err(Error::Store(error, path)),
        };
        // Written anew it ends with a whole frame.
        let written = write_new(directory, found.image.entries())?;
        sync_names(directory).map_err(|error| Error::Store(error, directory.into()))?;
        let mut log = Self {
            directory: directory.into(),
            file: written.file,
            number: written.number,
            length: written.length,
            allocated: written.allocated,
            spare: false,
            unsure: false,
            _lock: lock,
        };
        log.provide(0);
        Ok((log, found))
    }

    /// What the log in `directory` says, while another process may be writing to it.
    ///
    /// # Errors
    ///
    /// [`Error::NotALog`], [`Error::Store`].
    pub fn look(directory: &Path) -> Result<Found> {
        let path = directory.join("log");
        let bytes = fs::read(&path).map_err(|error| Error::Store(error, path.clone()))?;
        decode(&bytes).ok_or(Error::NotALog(path))
    }

    /// Appends entries, which are not durable before [`Log::sync`]. After an error nothing is
    /// appended, and it can be tried again.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let frame = encode(self.number, entries).map_err(|error| self.error(error))?;
        // What an earlier try has left there is written over.
        self.file
            .write_all_at(&frame, self.length)
            .map_err(|error| self.error(error))?;
        self.number += 1;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Returns when what was appended will survive a crash of the machine. After an error nobody
    /// knows what of it will, until [`Log::rewrite`] has succeeded.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub fn sync(&mut self) -> Result<()> {
        let synced = self.file.sync_data();
        self.unsure |= synced.is_err();
        synced.map_err(|error| self.error(error))
    }

    /// Whether a sync has failed, so that the log has to be written anew.
    #[must_use]
    pub const fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Replaces the log by a shorter one. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; the log is as it was then, or it is the new one, and unsure.
    pub fn rewrite(&mut self, image: &Image) -> Result<()> {
        // Its blocks are used up, whether it becomes the log or not.
        self.spare = false;
        let written = write_new(&self.directory, image.entries())?;
        let named = sync_names(&self.directory);
        self.adopt(written, named)
    }

    /// Goes on with what has the log's name now. If that is perhaps not on disk, what is appended
    /// here would be lost in a crash that leaves the old one.
    fn adopt(&mut self, written: Written, named: io::Result<()>) -> Result<()> {
        self.file = written.file;
        self.number = written.number;
        self.length = written.length;
        self.allocated = written.allocated;
        self.unsure = named.is_err();
        self.provide(0);
        named.map_err(|error| self.error(error))
    }

    /// Sees to it that the log has room for so many bytes, and takes more blocks ahead of need.
    /// Returns for how many it has, which is less if the disk is full.
    pub fn provide(&mut self, bytes: u64) -> u64 {
        let wanted = self.length + bytes.max(AHEAD / 2);
        let mut step = AHEAD;
        while self.allocated < wanted && step >= LEAST {
            let end = self.allocated.max(self.length) + step;
            match allocate(&self.file, self.allocated, end) {
                Ok(()) => self.allocated = end,
                Err(_) => step /= 2,
            }
        }
        if !self.spare {
            let path = self.directory.join("log.new");
            self.spare = spare(&path).is_ok();
        }
        self.allocated.saturating_sub(self.length)
    }

    /// How many bytes these take.
    #[must_use]
    pub fn size_of(entries: &[Entry]) -> u64 {
        encode(u64::MAX, entries).map_or(u64::MAX, |frame| frame.len() as u64)
    }

    /// The length of the log in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn error(&self, error: io::Error) -> Error {
        Error::Store(error, self.path())
    }
}

fn lock(path: &Path) -> Result<File> {
    let error = |error| Error::Store(error, path.into());
    let file = File::create(path).map_err(error)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Error::InUse(path.into())),
        Err(errno) => Err(error(errno.into())),
    }
}

/// A log that was written anew.
struct Written {
    file: File,
    number: u64,
    length: u64,
    allocated: u64,
}

/// Under another name first: a crash leaves the old one or the new one.
fn write_new(directory: &Path, entries: impl Iterator<Item = Entry>) -> Result<Written> {
    let path = directory.join("log.new");
    let write = || -> io::Result<_> {
        let file = open_new(&path)?;
        file.write_all_at(HEAD, 0)?;
        let (mut number, mut length) = (0, HEAD.len() as u64);
        // There can be millions.
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            let chunk: Vec<_> = entries.by_ref().take(CHUNK).collect();
            let frame = encode(number, &chunk)?;
            file.write_all_at(&frame, length)?;
            number += 1;
            length += frame.len() as u64;
        }
        let sizes = [length + AHEAD, AHEAD];
        let allocated = sizes
            .into_iter()
            .find(|size| allocate(&file, 0, *size).is_ok());
        file.sync_all()?;
        fs::rename(&path, directory.join("log"))?;
        let allocated = allocated.unwrap_or_default().max(length);
        Ok(Written {
            file,
            number,
            length,
            allocated,
        })
    };
    write().map_err(|error| Error::Store(error, path.clone()))
}

/// Makes the names of the files durable.
fn sync_names(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file of no length, which may have blocks.
fn open_new(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).open(path)?;
    if file.metadata()?.len() > 0 {
        file.set_len(0)?;
    }
    Ok(file)
}

/// Takes blocks for the next time that the log is written anew.
fn spare(path: &Path) -> io::Result<()> {
    allocate(&open_new(path)?, 0, AHEAD).inspect_err(|_| drop(fs::remove_file(path)))
}

/// Takes blocks for these bytes of the file, if it does not have them, and leaves its length alone
/// where the file system can.
fn allocate(file: &File, start: u64, end: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, start, end - start) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
            let zeroes = [0; 4096];
            let start = start.max(file.metadata()?.len());
            for at in (start..end).step_by(zeroes.len()) {
                let length = zeroes.len().min((end - at) as usize);
                file.write_all_at(&zeroes[..length], at)?;
            }
            file.sync_data()
        }
        done => Ok(done?),
    }
}

fn encode(number: u64, entries: &[Entry]) -> io::Result<Vec<u8>> {
    let body = postcard::to_stdvec(entries).map_err(io::Error::other)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(FRAME_LEN + body.len());
    frame.extend(MAGIC);
    frame.extend(number.to_le_bytes());
    frame.extend(length.to_le_bytes());
    frame.extend(checksum(number, &body).to_le_bytes());
    frame.extend(body);
    Ok(frame)
}

fn checksum(number: u64, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// None if this is no log at all.
fn decode(bytes: &[u8]) -> Option<Found> {
    let mut rest = bytes.strip_prefix(HEAD)?;
    let mut found = Found::default();
    let mut broken = false;
    while !rest.is_empty() {
        if let Some((entries, after)) = frame(rest) {
            found.damaged |= broken;
            entries
                .into_iter()
                .for_each(|entry| found.image.apply(entry));
            rest = after;
        } else {
            broken = true;
            rest = rest.get(1..).and_then(next_magic).unwrap_or_default();
        }
    }
    Some(found)
}

fn next_magic(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)?;
    bytes.get(at..)
}

/// The first frame, if it is whole, and what follows it.
fn frame(bytes: &[u8]) -> Option<(Vec<Entry>, &[u8])> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (number, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (expected, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (body, rest) = rest.split_at_checked(length)?;
    if checksum(u64::from_le_bytes(*number), body) != u32::from_le_bytes(*expected) {
        return None;
    }
    let entries = postcard::from_bytes(body).ok()?;
    Some((entries, rest))
}

#[cfg(test)]
mod tests;
