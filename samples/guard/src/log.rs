// SPDX-License-Identifier: GPL-2.0

//! What is taken down: a line for each event, of words.
//!
//! `pre COOKIE EVENTS PID FLAGS NAME`, and `post COOKIE EVENTS RESULT FLAGS NAME`, with a number of
//! bytes or `-ERRNO` as the result. A NAME is the handle of the directory in hexadecimal, a slash, and
//! the name with no blank in it; the new one of a rename comes after the old one. `-` is none.

use std::fmt::Write as _;
use std::fs::rename;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use vfs_filter::DirName;
use vfs_filter::Event;
use vfs_filter::Kind;
use vfs_filter::OpFlags;

/// As large as a log can be, and the one before it: who opens files decides how much there is to be
/// said.
const MAX_BYTES: u64 = 64 << 20;

/// Lines that are written at once.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    lines: String,
    max: u64,
    /// Some were lost: it was said why.
    is_broken: bool,
}

impl Log {
    /// Goes on with a file that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: append_to(path)?,
            lines: String::new(),
            max: MAX_BYTES,
            is_broken: false,
        })
    }

    /// A worker is at work.
    pub(crate) fn started(&mut self, how: &str) {
        self.lines = format!("started {how}\n");
        self.write();
    }

    /// Adds the line of an event, to be written.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        self.lines.push_str(&line(event));
        self.lines.push('\n');
    }

    /// Writes what was added. What cannot be written is lost: no one waits for an answer because a log
    /// is full.
    pub(crate) fn write(&mut self) {
        if let Err(error) = self.try_write() {
            if !self.is_broken {
                eprintln!("guard: {}: {error}", self.path.display());
            }
            self.is_broken = true;
        }
        self.lines.clear();
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.file.metadata()?.len() + self.lines.len() as u64 > self.max {
            let mut before = self.path.clone().into_os_string();
            before.push(".1");
            rename(&self.path, before)?;
            self.file = append_to(&self.path)?;
        }
        self.file.write_all(self.lines.as_bytes())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

fn line(event: &Event<'_>) -> String {
    let cookie = event.cookie;
    let (what, said) = match event.kind {
        Kind::Pre => (
            "pre",
            event.pid.map_or(0, |pid| pid.as_raw_pid()).to_string(),
        ),
        Kind::Post { result: Ok(bytes) } => ("post", bytes.to_string()),
        Kind::Post { result: Err(errno) } => ("post", (-errno.raw_os_error()).to_string()),
        other => return format!("other {other:?}").replace('\n', " "),
    };
    let events: Vec<_> = event.events.iter_names().map(|(name, _)| name).collect();
    let (events, flags) = (events.join("+"), flags(event.flags));
    let mut line = format!("{what} {cookie} {events} {said} {flags}");
    let renamed = event.rename.as_ref().map(|both| [&both.old, &both.new]);
    match (&event.name, renamed) {
        (Some(entry), _) => name(&mut line, entry),
        (None, Some(both)) => both.into_iter().for_each(|entry| name(&mut line, entry)),
        (None, None) => line.push_str(" -"),
    }
    line
}

fn flags(flags: OpFlags) -> String {
    let names: Vec<_> = flags.iter_names().map(|(name, _)| name).collect();
    match names.is_empty() {
        true => "-".to_owned(),
        false => names.join("+"),
    }
}

fn name(line: &mut String, entry: &DirName<'_>) {
    line.push(' ');
    for byte in entry.dir.bytes.iter() {
        // To a string, which does not fail.
        let _ = write!(line, "{byte:02x}");
    }
    let name = entry.name.as_encoded_bytes().escape_ascii();
    line.push('/');
    line.push_str(&name.to_string().replace(' ', "\\x20"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env::temp_dir;
    use std::fs::create_dir;
    use std::fs::read_to_string;
    use std::fs::remove_dir_all;
    use std::process;

    #[test]
    fn a_full_log_is_the_one_before() -> io::Result<()> {
        let folder = temp_dir().join(format!("guard-{}", process::id()));
        let path = folder.join("log");

        create_dir(&folder)?;
        let mut log = Log::open(&path)?;
        log.max = 20;
        for how in ["1", "2", "3"] {
            log.started(how);
        }
        assert_eq!(read_to_string(&path)?, "started 3\n");
        assert_eq!(
            read_to_string(folder.join("log.1"))?,
            "started 1\nstarted 2\n"
        );
        remove_dir_all(folder)
    }

    #[test]
    fn a_log_without_room_keeps_no_one() -> io::Result<()> {
        let mut log = Log::open(Path::new("/dev/full"))?;

        log.started("1");
        assert!(log.is_broken);
        assert!(log.lines.is_empty());
        Ok(())
    }
}
