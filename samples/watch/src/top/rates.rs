// SPDX-License-Identifier: GPL-2.0

//! How often groups are asked, answer and are told, by the trace events of the class.

use rustix::fs::OFlags;
use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

const INSTANCES: &str = "/sys/kernel/tracing/instances";
const PREFIX: &str = "vfs-filter-top-";
/// Those that are counted, in the order in which they are shown.
const EVENTS: [&str; 3] = ["pre", "answer", "post"];

/// How many there were.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    by_group: HashMap<u64, [u64; EVENTS.len()]>,
    lost: u64,
}

impl Counts {
    /// `COMM-PID [CPU] flags time: pre: group=3 cookie=41 ...`, or `CPU:0 [LOST 5 EVENTS]`.
    fn add(&mut self, line: &str) {
        if let Some((_, lost)) = line.split_once(" [LOST ") {
            let number = lost.split(' ').next().and_then(|n| n.parse().ok());
            self.lost += number.unwrap_or(1);
            return;
        }
        // The command can have anything in it, and what is searched for here as well.
        let Some((before, fields)) = line.rsplit_once(": group=") else {
            return;
        };
        let event = before.rsplit(": ").next();
        let Some(event) = EVENTS.iter().position(|name| event == Some(name)) else {
            return;
        };
        if let Some(group) = fields.split(' ').next().and_then(|id| id.parse().ok()) {
            self.by_group.entry(group).or_default()[event] += 1;
        }
    }
}

/// What [`Counts`] are in a second.
#[derive(Debug, Default)]
pub(crate) struct PerSecond(Counts);

impl PerSecond {
    fn new(mut counts: Counts, seconds: f64) -> Self {
        for count in counts.by_group.values_mut().flatten().filter(|n| **n != 0) {
            // What there was at all is not shown as nothing.
            *count = (*count as f64 / seconds).round().max(1.0) as u64;
        }
        Self(counts)
    }

    /// PRE, answers and POST of a group.
    pub(crate) fn of(&self, group: u64) -> [u64; EVENTS.len()] {
        self.0.by_group.get(&group).copied().unwrap_or_default()
    }

    /// How many were not counted, as there were too many.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lost
    }

    #[cfg(test)]
    pub(crate) fn set(&mut self, group: u64, rates: [u64; EVENTS.len()]) {
        self.0.by_group.insert(group, rates);
    }
}

/// A trace of its own, which is there as long as this is.
pub(crate) struct Rates {
    pipe: File,
    /// Goes when nothing of it is open.
    _instance: Instance,
    counts: Counts,
    /// The end of a line, without its beginning.
    rest: Vec<u8>,
    since: Instant,
}

impl Rates {
    /// Fails where there is no tracefs, or it may not be used.
    pub(crate) fn start() -> io::Result<Self> {
        let instances = Path::new(INSTANCES);
        remove_stale(instances)?;
        let instance = Instance::make(instances)?;
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(instance.0.join("trace_pipe"))?;
        for event in EVENTS {
            instance.enable(event)?;
        }
        Ok(Self {
            pipe,
            _instance: instance,
            counts: Counts::default(),
            rest: vec![],
            since: Instant::now(),
        })
    }

    /// Counts what there is. To be called before the buffer of the trace is full.
    pub(crate) fn count(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(length) => self.rest.extend(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.rest.drain(..=end).collect();
                self.counts.add(&String::from_utf8_lossy(&line[..end]));
            }
        }
    }

    /// What there was in a second, since the last time.
    pub(crate) fn take(&mut self) -> io::Result<PerSecond> {
        self.count()?;
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        self.since = Instant::now();
        Ok(PerSecond::new(std::mem::take(&mut self.counts), seconds))
    }
}

/// An instance of tracefs. Dropped, it is removed, which ends its events, if no one reads of it.
struct Instance(PathBuf);

impl Instance {
    fn make(instances: &Path) -> io::Result<Self> {
        let path = instances.join(format!("{PREFIX}{}", process::id()));
        fs::create_dir(&path).map_err(|error| at(&path, &error))?;
        Ok(Self(path))
    }

    fn enable(&self, event: &str) -> io::Result<()> {
        let path = self.0.join("events/vfs_filter").join(event).join("enable");
        fs::write(&path, "1").map_err(|error| at(&path, &error))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// Removes what others have left that were killed: it would be written to for ever.
fn remove_stale(instances: &Path) -> io::Result<()> {
    for entry in fs::read_dir(instances).map_err(|error| at(instances, &error))? {
        let entry = entry?;
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // What is gone meanwhile someone else has removed.
            drop(Instance(entry.path()));
        }
    }
    Ok(())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::Counts;
    use super::PerSecond;

    #[test]
    fn lines_are_counted_by_group_and_event() {
        let mut counts = Counts::default();
        for line in [
            "              dd-987     [000] ...1.    12.345678: pre: group=3 cookie=41 mask=0x20000000000",
            "         a: b-c d-77     [001] ...1.    12.345679: answer: group=3 cookie=41 error=0 by=listener",
            "    x: group=9 y-77      [001] ...1.    12.345680: pre: group=3 cookie=42 mask=0x20000000000",
            "              dd-987     [000] ...1.    12.345681: post: group=4 cookie=41 mask=0x1 result=-5",
            "              dd-987     [000] ...1.    12.345682: barrier: group=3 number=1 state=end",
            "CPU:0 [LOST 12 EVENTS]",
            "",
        ] {
            counts.add(line);
        }
        assert_eq!(counts.by_group.get(&3), Some(&[2, 1, 0]));
        assert_eq!(counts.by_group.get(&4), Some(&[0, 0, 1]));
        assert_eq!((counts.by_group.len(), counts.lost), (2, 12));
        let rates = PerSecond::new(counts, 0.5);
        assert_eq!(rates.lost(), 12);
        assert_eq!(rates.of(3), [4, 2, 0]);
        assert_eq!(rates.of(5), [0, 0, 0]);
        let rates = PerSecond::new(
            Counts {
                by_group: rates.0.by_group,
                lost: 0,
            },
            100.0,
        );
        assert_eq!(rates.of(3), [1, 1, 0]);
    }
}
