// SPDX-License-Identifier: GPL-2.0

//! What is printed: one line per event, and one per answer.

use rustix::process::Pid;
use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;
use vfs_filter::Errno;
use vfs_filter::OpFlags;
use vfs_filter::Range;

/// `PRE    #12    tree/a.txt  bytes 0..5 (5)  by dd (pid 77)`.
pub(crate) fn pre(cookie: u64, path: &str, range: Option<Range>, pid: Option<Pid>) -> String {
    let (bytes, task) = (Bytes(range), Task(pid));
    format!("PRE    #{cookie:<5} {path:<28} {bytes}  by {task}")
}

/// `ANSWER #12    allow`.
pub(crate) fn answer(cookie: u64, answer: &str) -> String {
    format!("ANSWER #{cookie:<5} {answer}")
}

/// `POST   #12    tree/a.txt  5 bytes done, 0.3 ms after PRE`.
pub(crate) fn post(
    cookie: u64,
    path: &str,
    result: Result<u64, Errno>,
    flags: OpFlags,
    since: Option<Duration>,
) -> String {
    let result = match result {
        Ok(bytes) => format!("{bytes} bytes written"),
        Err(errno) => format!("failed, {}", error(errno)),
    };
    let since = match since {
        Some(since) => format!("{:.1} ms after PRE", since.as_secs_f64() * 1e3),
        None if flags.contains(OpFlags::UNPAIRED) => "its PRE was not asked for".to_owned(),
        None => "its PRE is not known".to_owned(),
    };
    format!("POST   #{cookie:<5} {path:<28} {result}, {since}")
}

/// The path, with what a terminal would take for a command made visible.
pub(crate) fn printable(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        if c.is_control() {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
        escaped
    })
}

struct Bytes(Option<Range>);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(range) => write!(
                f,
                "bytes {}..{} ({})",
                range.offset,
                range.end(),
                range.count
            ),
            None => f.write_str("at the end (append)"),
        }
    }
}

struct Task(Option<Pid>);

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(pid) = self.0.map(|pid| pid.as_raw_nonzero()) else {
            return f.write_str("a process of another PID namespace");
        };
        let command = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        write!(f, "{} (pid {pid})", escaped(command.trim_end_matches('\n')))
    }
}

/// `ENOSPC (No space left on device)`, for those that a write is likely to end with.
fn error(errno: Errno) -> Cow<'static, str> {
    let name = match errno {
        Errno::AGAIN => "EAGAIN (would block)",
        Errno::DQUOT => "EDQUOT (quota exceeded)",
        Errno::FAULT => "EFAULT (bad address)",
        Errno::FBIG => "EFBIG (file too large)",
        Errno::INTR => "EINTR (interrupted)",
        Errno::INVAL => "EINVAL (invalid argument)",
        Errno::IO => "EIO (input/output error)",
        Errno::NOSPC => "ENOSPC (no space left on device)",
        Errno::PERM => "EPERM (operation not permitted)",
        Errno::ROFS => "EROFS (read-only file system)",
        _ => return errno.to_string().into(),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::post;
    use super::pre;
    use super::printable;
    use std::path::Path;
    use std::time::Duration;
    use vfs_filter::Errno;
    use vfs_filter::OpFlags;
    use vfs_filter::Range;

    #[test]
    fn lines_read_as_promised() {
        let range = Some(Range {
            offset: 8,
            count: 4,
        });
        let line = pre(12, "tree/a.txt", range, None);
        let asked = "PRE    #12    tree/a.txt                   bytes 8..12 (4)  by a process of ";
        assert_eq!(line, format!("{asked}another PID namespace"));
        let line = post(
            12,
            "a",
            Ok(4),
            OpFlags::empty(),
            Some(Duration::from_micros(1250)),
        );
        assert!(
            line.ends_with(" 4 bytes written, 1.2 ms after PRE"),
            "{line}"
        );
        let line = post(12, "a", Err(Errno::NOSPC), OpFlags::UNPAIRED, None);
        let failed = "failed, ENOSPC (no space left on device), its PRE was not asked for";
        assert!(line.ends_with(failed), "{line}");
    }

    #[test]
    fn the_command_of_a_process_is_found() {
        let line = pre(1, "a", None, Some(rustix::process::getpid()));
        assert!(
            line.ends_with(&format!("(pid {})", std::process::id())),
            "{line}"
        );
        assert!(!line.contains("by  (pid"), "{line}");
    }

    #[test]
    fn names_do_not_command_the_terminal() {
        assert_eq!(printable(Path::new("a\x1b[2Jb\n")), "a\\u{1b}[2Jb\\n");
    }
}
