// SPDX-License-Identifier: GPL-2.0

//! The groups of the machine, as far as this process may look at those who have them.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A task, by its number in the pid namespace of /proc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) pid: u32,
    /// Nothing if it is gone.
    pub(crate) command: Option<String>,
    /// The letter of /proc/PID/stat.
    pub(crate) state: Option<char>,
}

impl Task {
    fn look(proc: &Path, pid: u32) -> Self {
        let dir = proc.join(pid.to_string());
        let command = fs::read(dir.join("comm")).ok();
        let stat = fs::read(dir.join("stat")).unwrap_or_default();
        let stat = String::from_utf8_lossy(&stat);
        Self {
            pid,
            command: command.map(|command| {
                String::from_utf8_lossy(&command)
                    .trim_end_matches('\n')
                    .into()
            }),
            // Behind the command, in which there can be anything.
            state: stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next()),
        }
    }
}

/// What fdinfo says of a file of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct File {
    id: u64,
    pending: u64,
    queued: u64,
    in_flight: u64,
    owner: u32,
    oldest: u64,
    task: u32,
    msecs: u64,
}

impl File {
    /// `None` if it is not a group of the class, or of a kernel whose fdinfo says less.
    fn parse(fdinfo: &str) -> Option<Self> {
        let line = |start: &str| fdinfo.lines().find_map(|line| line.strip_prefix(start));
        let (counts, group) = (line("vfs-filter ")?, line("vfs-filter-group ")?);
        let field = |line: &str, name: &str| {
            line.split(' ')
                .filter_map(|field| field.split_once(':'))
                .find_map(|(found, value)| (found == name).then(|| value.parse::<u64>().ok())?)
        };
        let pid = |line: &str, name: &str| u32::try_from(field(line, name)?).ok();
        Some(Self {
            id: field(group, "id")?,
            pending: field(counts, "pending")?,
            queued: field(counts, "queued")?,
            in_flight: field(counts, "inflight")?,
            owner: pid(counts, "owner")?,
            oldest: field(group, "oldest")?,
            task: pid(group, "pid")?,
            msecs: field(group, "msecs")?,
        })
    }
}

/// The first question that has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Oldest {
    pub(crate) cookie: u64,
    /// Who waits, if that is visible here.
    pub(crate) task: Option<Task>,
    pub(crate) since: Duration,
}

/// A group, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: u64,
    pub(crate) pending: u64,
    pub(crate) queued: u64,
    pub(crate) in_flight: u64,
    pub(crate) oldest: Option<Oldest>,
    /// Who is exempt, then who has it open besides.
    pub(crate) listeners: Vec<Task>,
}

impl Group {
    /// Of what its files say; `owners` are its listeners, and `holders` have it open.
    fn new(proc: &Path, file: File, owners: &[u32], holders: &[u32]) -> Self {
        let mut listeners: Vec<u32> = vec![];
        for &pid in owners.iter().chain(holders) {
            if pid != 0 && !listeners.contains(&pid) {
                listeners.push(pid);
            }
        }
        let oldest = (file.oldest != 0).then(|| Oldest {
            cookie: file.oldest,
            task: (file.task != 0).then(|| Task::look(proc, file.task)),
            since: Duration::from_millis(file.msecs),
        });
        Self {
            id: file.id,
            pending: file.pending,
            queued: file.queued,
            in_flight: file.in_flight,
            oldest,
            listeners: listeners
                .into_iter()
                .map(|pid| Task::look(proc, pid))
                .collect(),
        }
    }

    /// Who holds up others for longest comes first.
    fn order(&self) -> impl Ord {
        let since = self.oldest.as_ref().map(|oldest| oldest.since);
        (Reverse(since), Reverse(self.pending), self.id)
    }
}

/// All that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    /// Who holds up others for longest comes first.
    pub(crate) groups: Vec<Group>,
    /// Processes that could not be looked at.
    pub(crate) hidden: usize,
}

/// The files of a group, as they are found.
#[derive(Default)]
struct Found {
    file: File,
    owners: Vec<u32>,
    holders: Vec<u32>,
}

impl Groups {
    /// Looks at all processes of `/proc`. One that ends meanwhile has nothing.
    pub(crate) fn look(proc: &Path) -> io::Result<Self> {
        let mut found = BTreeMap::<u64, Found>::new();
        let mut hidden = 0;
        for entry in fs::read_dir(proc)? {
            let Some(pid) = entry?.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
                continue;
            };
            match files(&proc.join(format!("{pid}"))) {
                Ok(files) => {
                    for file in files {
                        let group = found.entry(file.id).or_default();
                        group.file = file;
                        group.owners.push(file.owner);
                        group.holders.push(pid);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => hidden += 1,
                Err(_) => (),
            }
        }
        let mut groups: Vec<_> = found
            .into_values()
            .map(|found| Group::new(proc, found.file, &found.owners, &found.holders))
            .collect();
        groups.sort_by_key(|group| group.order());
        Ok(Self { groups, hidden })
    }
}

/// The files of groups that a process has open.
fn files(process: &Path) -> io::Result<Vec<File>> {
    let mut files = vec![];
    for entry in fs::read_dir(process.join("fd"))? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).unwrap_or_default();
        // What others' fdinfo says is long, now and then.
        if !target.to_string_lossy().starts_with("anon_inode:[fanotify") {
            continue;
        }
        let fdinfo = fs::read_to_string(process.join("fdinfo").join(entry.file_name()));
        files.extend(fdinfo.ok().and_then(|fdinfo| File::parse(&fdinfo)));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::File;
    use super::Group;
    use super::Groups;
    use super::Task;
    use std::env;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process;
    use std::time::Duration;

    const FDINFO: &str = "pos:\t0\nflags:\t02000002\nfanotify flags:d event-flags:0\n\
        fanotify sdev:1b mflags:0 mask:2000000000000 ignored_mask:0\n\
        vfs-filter pending:2 queued:1 inflight:3 overflows:0 owner:412\n\
        vfs-filter-group id:7 oldest:41 pid:987 msecs:12400\n";

    fn file() -> File {
        File {
            id: 7,
            pending: 2,
            queued: 1,
            in_flight: 3,
            owner: 412,
            oldest: 41,
            task: 987,
            msecs: 12400,
        }
    }

    #[test]
    fn fdinfo_is_understood() {
        assert_eq!(File::parse(FDINFO), Some(file()));
        // Of an older class, and cut off.
        assert_eq!(File::parse("fanotify flags:4 event-flags:0\n"), None);
        assert_eq!(File::parse(&FDINFO[..FDINFO.len() - 8]), None);
        assert_eq!(File::parse(&FDINFO.replace("41 ", "-1 ")), None);
    }

    fn group(id: u64, pending: u64, oldest: u64, msecs: u64) -> Group {
        let file = File {
            id,
            pending,
            oldest,
            msecs,
            ..file()
        };
        Group::new(Path::new("/nonexistent"), file, &[412], &[5, 412, 5])
    }

    #[test]
    fn who_holds_up_others_for_longest_is_first() {
        let mut groups = [
            group(1, 0, 0, 0),
            group(2, 1, 9, 100),
            group(3, 2, 8, 5000),
            group(4, 7, 10, 100),
        ];
        groups.sort_by_key(Group::order);
        assert_eq!(groups.map(|group| group.id), [3, 4, 2, 1]);
    }

    #[test]
    fn listeners_are_named_once_and_owners_first() {
        let group = group(1, 1, 2, 3000);
        let pids: Vec<_> = group.listeners.iter().map(|task| task.pid).collect();
        assert_eq!(pids, [412, 5]);
        let oldest = group.oldest.expect("there is one");
        assert_eq!((oldest.cookie, oldest.since), (2, Duration::from_secs(3)));
        // It is gone.
        let task = oldest.task.expect("it is visible");
        assert_eq!((task.pid, task.command), (987, None));
    }

    /// Gives a process of a made-up /proc a file.
    fn open(proc: &Path, pid: u32, fd: u32, target: &str, fdinfo: &str) {
        let dir = proc.join(pid.to_string());
        for part in ["fd", "fdinfo"] {
            fs::create_dir_all(dir.join(part)).expect("it is in a directory of ours");
        }
        fs::write(dir.join("comm"), format!("of {pid}\n")).expect("so is this");
        fs::write(dir.join("stat"), format!("{pid} (a) b) T 1 2")).expect("and this");
        symlink(target, dir.join("fd").join(fd.to_string())).expect("and this");
        fs::write(dir.join("fdinfo").join(fd.to_string()), fdinfo).expect("and this");
    }

    #[test]
    fn files_of_a_group_are_put_together() {
        let proc = env::temp_dir().join(format!("watch-top-{}", process::id()));
        let of_queue = FDINFO.replace("owner:412", "owner:390");
        let own = "anon_inode:[fanotify]";
        open(&proc, 412, 3, own, FDINFO);
        open(&proc, 390, 9, "anon_inode:[fanotify-queue]", &of_queue);
        open(&proc, 5, 3, own, FDINFO);
        open(&proc, 5, 4, "/etc/passwd", &FDINFO.replace("id:7", "id:8"));
        open(&proc, 5, 5, own, "fanotify flags:4 event-flags:0\n");
        fs::create_dir_all(proc.join("sys/fd")).expect("and this");
        let groups = Groups::look(&proc);
        fs::remove_dir_all(&proc).expect("it is ours");

        let groups = groups.expect("it is there");
        assert_eq!((groups.groups.len(), groups.hidden), (1, 0));
        let group = &groups.groups[0];
        assert_eq!((group.id, group.pending), (7, 2));
        let mut pids: Vec<_> = group.listeners.iter().map(|task| task.pid).collect();
        // The order of directories is not known; but who has it by chance is last.
        assert_eq!(pids.pop(), Some(5));
        pids.sort_unstable();
        assert_eq!(pids, [390, 412]);
        let task = &group.listeners[2];
        assert_eq!(task.command.as_deref(), Some("of 5"));
        assert_eq!(task.state, Some('T'));
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        Groups::look(Path::new("/proc")).expect("there is a /proc");
        let task = Task::look(Path::new("/proc"), std::process::id());
        assert!(task.command.is_some_and(|command| !command.is_empty()));
        assert!(task.state.is_some_and(|state| "RSD".contains(state)));
    }
}
