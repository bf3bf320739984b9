// SPDX-License-Identifier: GPL-2.0

//! Changes of all kinds to the same few files.

use crate::lot::Lot;
use crate::Result;
use rustix::fs::FallocateFlags;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const DIRECTORIES: u64 = 4;
const FILES: u64 = 8;
/// Files are hardly longer than this, in bytes.
const LENGTH: u64 = 24 * 1024;

pub(crate) struct Work {
    pub(crate) directory: PathBuf,
    pub(crate) seed: u64,
    pub(crate) pause: u64,
    pub(crate) seconds: Option<Duration>,
}

impl Work {
    /// In that many processes.
    pub(crate) fn spread(&self, processes: u64) -> Result {
        let program = std::env::current_exe()?;
        let spawn = |number: u64| {
            let mut command = Command::new(&program);
            command
                .arg("work")
                .arg(&self.directory)
                .arg("--one")
                .arg(format!("--seed={}", self.seed.wrapping_mul(64) + number))
                .arg(format!("--pause={}", self.pause));
            if let Some(seconds) = self.seconds {
                command.arg(format!("--seconds={}", seconds.as_secs_f64()));
            }
            command.spawn()
        };
        let children: io::Result<Vec<_>> = (0..processes).map(spawn).collect();
        for mut child in children? {
            child.wait()?;
        }
        Ok(())
    }

    /// In this one.
    pub(crate) fn run(&self) -> Result {
        let mut worker = Worker {
            directory: &self.directory,
            lot: Lot::new(self.seed),
            mapper: None,
        };
        let start = Instant::now();
        fs::create_dir_all(&self.directory)?;
        while self.seconds.is_none_or(|end| start.elapsed() < end) {
            // What is there, and what is not, is drawn by lot too.
            let _ = worker.step();
            let pause = worker.lot.draw(self.pause + 1);
            thread::sleep(Duration::from_millis(pause));
        }
        Ok(())
    }
}

struct Worker<'a> {
    directory: &'a Path,
    lot: Lot,
    mapper: Option<Mapper>,
}

impl Worker<'_> {
    fn step(&mut self) -> io::Result<()> {
        let path = self.file();
        match self.lot.draw(32) {
            0..=5 => self.write(&path),
            6..=9 => self.append(&path),
            10..=11 => self.truncate(&path),
            12..=13 => self.replace(&path),
            14..=15 => self.make(),
            16..=17 => fs::remove_file(path),
            18..=19 => fs::rename(path, self.file()),
            20 => fs::hard_link(path, self.file()),
            21 => symlink(format!("to{}", self.lot.draw(100)), path),
            22 => fs::create_dir(self.inner()),
            23 => fs::remove_dir(self.inner()),
            24 => fs::rename(self.inner(), self.inner()),
            25 => fs::set_permissions(
                path,
                Permissions::from_mode(0o600 + self.lot.draw(64) as u32),
            ),
            26 => self.punch(&path),
            27 => fs::copy(path, self.file()).map(drop),
            28 => File::open(path)?.sync_all(),
            _ => self.map(&path),
        }
    }

    /// One of the files, in one of the directories.
    fn file(&mut self) -> PathBuf {
        let mut path = match self.lot.draw(4) {
            0 => self.inner(),
            _ => self.top(),
        };
        path.push(format!("f{}", self.lot.draw(FILES)));
        path
    }

    /// One of the directories; they are made as they are needed, and stay.
    fn top(&mut self) -> PathBuf {
        let path = self
            .directory
            .join(format!("d{}", self.lot.draw(DIRECTORIES)));
        let _ = fs::create_dir(&path);
        path
    }

    /// One of those that come and go.
    fn inner(&mut self) -> PathBuf {
        self.top().join(format!("s{}", self.lot.draw(2)))
    }

    fn data(&mut self) -> Vec<u8> {
        let length = 1 + self.lot.draw(6000);
        self.lot.bytes(length)
    }

    fn write(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        for _ in 0..=self.lot.draw(3) {
            let data = self.data();
            file.write_all_at(&data, self.lot.draw(LENGTH))?;
        }
        self.sync(&file)
    }

    fn append(&mut self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(path)?;
        if file.metadata()?.len() > LENGTH {
            file.set_len(self.lot.draw(LENGTH))?;
        }
        file.write_all(&self.data())?;
        self.sync(&file)
    }

    /// Now and then.
    fn sync(&mut self, file: &File) -> io::Result<()> {
        match self.lot.draw(6) {
            0 => file.sync_all(),
            _ => Ok(()),
        }
    }

    fn truncate(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(self.lot.draw(LENGTH))
    }

    /// As editors do it.
    fn replace(&mut self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&self.data())?;
        self.sync(&file)?;
        fs::rename(new, path)
    }

    fn make(&mut self) -> io::Result<()> {
        let name = format!("n{}", self.lot.draw(40));
        let path = self.top().join(name);
        match File::create_new(&path) {
            Ok(mut file) => file.write_all(&self.data()),
            Err(_) => fs::remove_file(path),
        }
    }

    fn punch(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let offset = self.lot.draw(LENGTH);
        Ok(rustix::fs::fallocate(&file, flags, offset, 4096)?)
    }

    /// Writes through a mapping, which stays for a while.
    fn map(&mut self, path: &Path) -> io::Result<()> {
        let Some(mapper) = &mut self.mapper else {
            if fs::symlink_metadata(path)?.len() >= Mapper::LENGTH {
                self.mapper = Some(Mapper::new(path)?);
            }
            return Ok(());
        };
        let byte = self.lot.draw(256);
        let offset = self.lot.draw(Mapper::LENGTH - 64);
        let sync = self.lot.draw(4) == 0;
        let alive = mapper.write(byte, offset, sync).is_ok();
        if !alive || self.lot.draw(6) == 0 {
            self.mapper = None;
        }
        Ok(())
    }
}

/// A process that has mapped a file: xfs_io, told through its standard input.
struct Mapper(Child);

impl Mapper {
    /// Of the mapping.
    const LENGTH: u64 = 4096;

    fn new(path: &Path) -> io::Result<Self> {
        let child = Command::new("xfs_io")
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mut mapper = Self(child);
        mapper.say(&format!("mmap -rw 0 {}\n", Self::LENGTH))?;
        Ok(mapper)
    }

    fn say(&mut self, command: &str) -> io::Result<()> {
        let stdin = self.0.stdin.as_mut();
        stdin.map_or(Ok(()), |stdin| stdin.write_all(command.as_bytes()))
    }

    fn write(&mut self, byte: u64, offset: u64, sync: bool) -> io::Result<()> {
        self.say(&format!("mwrite -S {byte} {offset} 64\n"))?;
        if sync {
            self.say("msync -s\n")?;
        }
        Ok(())
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends when there is nothing more to read.
        let _ = self.0.wait();
    }
}
