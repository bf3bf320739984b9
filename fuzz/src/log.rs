// SPDX-License-Identifier: GPL-2.0

//! What the kernel complains of.

use crate::sys;
use crate::sys::Arg;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// What the first line of a complaint has in it.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "BUG kmalloc",
    "KASAN",
    "KCSAN",
    "UBSAN",
    "INFO: task",
    "INFO: rcu",
    "rcu_preempt detected stalls",
    "soft lockup",
    "suspicious RCU",
    "possible circular locking",
    "possible recursive locking",
    "possible irq lock inversion",
    "refcount_t:",
    "ODEBUG:",
    "Oops",
    "general protection",
    "rust_kernel: panicked",
    "panicked at",
    "Kernel panic",
];

/// The kernel's log, from here on.
#[derive(Debug)]
pub(crate) struct Log(File);

impl Log {
    /// Starts at its end.
    pub(crate) fn open() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        let end = Arg::from(libc::SEEK_END);
        sys::call(libc::SYS_lseek, [file.as_raw_fd().into(), Arg::Num(0), end]);
        Ok(Self(file))
    }

    /// The complaints since the last time. The whole text is on the console.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut record = [0; 8192];
        loop {
            let length = sys::read(self.0.as_raw_fd(), &mut record);
            if length == -i64::from(libc::EPIPE) {
                continue;
            }
            let Ok(length @ 1..) = usize::try_from(length) else {
                return found;
            };
            let text = String::from_utf8_lossy(&record[..length]);
            found.extend(complaint(&text).map(str::to_owned));
        }
    }
}

/// The message of a record, if it complains.
fn complaint(record: &str) -> Option<&str> {
    let (_, message) = record.split_once(';')?;
    let line = message.lines().next()?;
    COMPLAINTS
        .iter()
        .any(|complaint| line.contains(complaint))
        .then_some(line)
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn a_complaint_is_told_from_the_rest() {
        let record = "4,1,2,-;BUG: KASAN: slab-use-after-free in fsnotify\n SUBSYSTEM=x";
        assert_eq!(
            complaint(record),
            Some("BUG: KASAN: slab-use-after-free in fsnotify")
        );
        assert_eq!(complaint("6,1,2,-;vfs_filter: loaded\n X=WARNING:"), None);
    }
}
