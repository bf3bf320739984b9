// SPDX-License-Identifier: GPL-2.0

//! What is taken down: a line for each event, of words.
//!
//! `pre COOKIE EVENTS PID FLAGS NAME`, and `post COOKIE EVENTS RESULT FLAGS NAME`, with a number of
//! bytes or `-ERRNO` as the result. A NAME is the handle of the directory in hexadecimal, a slash, and
//! the name with no blank in it; the new one of a rename comes after the old one. `-` is none.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use vfs_filter::DirName;
use vfs_filter::Event;
use vfs_filter::Kind;
use vfs_filter::OpFlags;

/// Lines that are written at once.
pub(crate) struct Log {
    file: File,
    lines: String,
}

impl Log {
    /// Goes on with a file that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self {
            file,
            lines: String::new(),
        })
    }

    /// A worker is at work.
    pub(crate) fn started(&mut self, how: &str) -> io::Result<()> {
        self.lines = format!("started {how}\n");
        self.write()
    }

    /// Adds the line of an event, to be written.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        self.lines.push_str(&line(event));
        self.lines.push('\n');
    }

    /// Writes what was added.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.file.write_all(self.lines.as_bytes())?;
        self.lines.clear();
        Ok(())
    }
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
