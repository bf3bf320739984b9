// SPDX-License-Identifier: GPL-2.0

//! The file that entries are kept in.
//!
//! After a head of eight bytes there is a frame for each batch of entries: magic, number, length and
//! checksum, then the entries as postcard writes them. A batch is written at once and synced before
//! the next one is written, so what a crash leaves is whole frames, and a tail of at most one that
//! is not. A frame that is broken and has good ones after it is no tail: then something was lost
//! that had been promised.

use crate::Entry;
use crate::Error;
use crate::Image;
use crate::Result;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

const HEAD: &[u8; 8] = b"vfsfj\x00\x00\x01";
const MAGIC: [u8; 4] = *b"\xffbat";
/// Magic, number, length, checksum.
const FRAME_LEN: usize = 4 + 8 + 4 + 4;
/// Entries in a frame of a log that is written anew.
const CHUNK: usize = 1024;

/// A log in a directory, which no other process has open.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    file: File,
    number: u64,
    length: u64,
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
        let (file, number, length) = write_new(directory, found.image.entries())?;
        let log = Self {
            directory: directory.into(),
            file,
            number,
            length,
            _lock: lock,
        };
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

    /// Appends entries, which are not durable before [`Log::sync`]. After an error the log is not to
    /// be appended to any more.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub fn append(&mut self, entries: &[Entry]) -> Result<()> {
        let frame = encode(self.number, entries).map_err(|error| self.error(error))?;
        self.file
            .write_all(&frame)
            .map_err(|error| self.error(error))?;
        self.number += 1;
        self.length += frame.len() as u64;
        Ok(())
    }

    /// Returns when what was appended will survive a crash of the machine.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| self.error(error))
    }

    /// Replaces the log by a shorter one. It is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`Error::Store`]; the log is as it was then.
    pub fn rewrite(&mut self, image: &Image) -> Result<()> {
        (self.file, self.number, self.length) = write_new(&self.directory, image.entries())?;
        Ok(())
    }

    /// The length of the log in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    fn error(&self, error: io::Error) -> Error {
        Error::Store(error, self.directory.join("log"))
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

/// Under another name first: a crash leaves the old one or the new one.
fn write_new(directory: &Path, entries: impl Iterator<Item = Entry>) -> Result<(File, u64, u64)> {
    let path = directory.join("log.new");
    let write = || -> io::Result<_> {
        let mut bytes = HEAD.to_vec();
        let mut number = 0;
        let entries: Vec<_> = entries.collect();
        for chunk in entries.chunks(CHUNK) {
            bytes.extend(encode(number, chunk)?);
            number += 1;
        }
        let mut file = File::create(&path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&path, directory.join("log"))?;
        File::open(directory)?.sync_all()?;
        Ok((file, number, bytes.len() as u64))
    };
    write().map_err(|error| Error::Store(error, path.clone()))
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
