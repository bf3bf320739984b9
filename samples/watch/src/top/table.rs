// SPDX-License-Identifier: GPL-2.0

//! The table: a line for each group.

use super::groups::Group;
use super::groups::Groups;
use super::groups::Oldest;
use super::groups::Task;
use super::rates::PerSecond;
use crate::line;
use std::fmt;
use std::time::Duration;

/// So many listeners of a group are named.
const NAMED: usize = 3;

/// What is shown.
pub(crate) struct Table {
    groups: Groups,
    rates: Option<PerSecond>,
}

impl Table {
    pub(crate) fn new(groups: Groups) -> Self {
        Self {
            groups,
            rates: None,
        }
    }

    pub(crate) fn with_rates(self, rates: PerSecond) -> Self {
        Self {
            rates: Some(rates),
            ..self
        }
    }

    fn group(&self, f: &mut fmt::Formatter<'_>, group: &Group) -> fmt::Result {
        let Group {
            id,
            pending,
            queued,
            in_flight,
            ..
        } = group;
        write!(f, "{id:>5} {pending:>7} {queued:>6} {in_flight:>8}")?;
        if let Some(rates) = &self.rates {
            let [pre, answer, post] = rates.of(*id);
            write!(f, " {pre:>7} {answer:>8} {post:>7}")?;
        }
        let (cookie, since, task) = match &group.oldest {
            None => ("-".into(), "-".into(), "-".into()),
            Some(Oldest {
                cookie,
                task,
                since,
            }) => (
                format!("#{cookie}"),
                age(*since),
                task.as_ref().map_or("not visible here".into(), name),
            ),
        };
        writeln!(
            f,
            " {cookie:>8} {since:>9}  {task:<22} {}",
            listeners(&group.listeners)
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Groups { groups, hidden } = &self.groups;
        let waiting: u64 = groups.iter().map(|group| group.pending).sum();
        write!(f, "groups: {}, tasks that wait: {waiting}", groups.len())?;
        if *hidden != 0 {
            write!(f, "; processes that may not be looked at: {hidden}")?;
        }
        if let Some(lost) = self.rates.as_ref().map(PerSecond::lost).filter(|n| *n != 0) {
            write!(f, "; trace events lost: {lost}")?;
        }
        writeln!(f)?;
        if groups.is_empty() {
            return Ok(());
        }
        let rates = match self.rates {
            Some(_) => "   PRE/s ANSWER/s  POST/s",
            None => "",
        };
        writeln!(
            f,
            "GROUP PENDING QUEUED INFLIGHT{rates}   OLDEST     SINCE  TASK                   LISTENER"
        )?;
        groups.iter().try_for_each(|group| self.group(f, group))
    }
}

/// `12.4 s`, `3:05 min`, `2:05 h`.
fn age(since: Duration) -> String {
    let (secs, tenths) = (since.as_secs(), since.subsec_millis() / 100);
    match secs {
        0..60 => format!("{secs}.{tenths} s"),
        60..3600 => format!("{}:{:02} min", secs / 60, secs % 60),
        _ => format!("{}:{:02} h", secs / 3600, secs / 60 % 60),
    }
}

/// `987 dd`.
fn name(task: &Task) -> String {
    match &task.command {
        Some(command) => format!("{} {}", task.pid, line::printable(command.as_ref())),
        None => format!("{} (gone)", task.pid),
    }
}

/// `412 backupd (stopped)`: with what keeps it from going on, if that can be seen.
fn listener(task: &Task) -> String {
    let state = match task.state {
        Some('D') => " (disk sleep)",
        Some('T') => " (stopped)",
        Some('t') => " (traced)",
        Some('Z' | 'X') => " (ended)",
        _ => "",
    };
    name(task) + state
}

fn listeners(tasks: &[Task]) -> String {
    let mut names: Vec<_> = tasks.iter().take(NAMED).map(listener).collect();
    if tasks.len() > NAMED {
        names.push(format!("{} more", tasks.len() - NAMED));
    }
    if names.is_empty() {
        return "not visible here".into();
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::age;
    use super::Group;
    use super::Groups;
    use super::Oldest;
    use super::PerSecond;
    use super::Table;
    use super::Task;
    use std::time::Duration;

    fn task(pid: u32, command: &str, state: char) -> Task {
        Task {
            pid,
            command: Some(command.into()),
            state: Some(state),
        }
    }

    fn groups() -> Groups {
        let holds_up = Group {
            id: 3,
            pending: 2,
            queued: 1,
            in_flight: 0,
            oldest: Some(Oldest {
                cookie: 41,
                task: Some(task(987, "dd", 'D')),
                since: Duration::from_millis(12_450),
            }),
            listeners: vec![task(412, "backup\x1bd", 'T'), task(5, "sh", 'S')],
        };
        let idle = Group {
            id: 2,
            pending: 0,
            queued: 0,
            in_flight: 1,
            oldest: None,
            listeners: (1..=5).map(|pid| task(pid, "w", 'S')).collect(),
        };
        Groups {
            groups: vec![holds_up, idle],
            hidden: 0,
        }
    }

    #[test]
    fn it_is_as_promised() {
        let expected = "\
groups: 2, tasks that wait: 2
GROUP PENDING QUEUED INFLIGHT   OLDEST     SINCE  TASK                   LISTENER
    3       2      1        0      #41    12.4 s  987 dd                 412 backup\\u{1b}d (stopped), 5 sh
    2       0      0        1        -         -  -                      1 w, 2 w, 3 w, 2 more
";
        assert_eq!(Table::new(groups()).to_string(), expected);
    }

    #[test]
    fn rates_have_their_columns() {
        let mut rates = PerSecond::default();
        rates.set(3, [10, 9, 8]);
        let table = Table::new(groups()).with_rates(rates).to_string();
        let lines: Vec<_> = table.lines().collect();
        let (head, first, second) = (lines[1], lines[2], lines[3]);
        assert!(head.starts_with("GROUP PENDING QUEUED INFLIGHT   PRE/s ANSWER/s  POST/s   OLDEST"));
        assert!(
            first.starts_with("    3       2      1        0      10        9       8      #41")
        );
        assert!(
            second.starts_with("    2       0      0        1       0        0       0        -")
        );
    }

    #[test]
    fn what_is_not_seen_is_said() {
        let none = Groups {
            groups: vec![],
            hidden: 3,
        };
        let expected = "groups: 0, tasks that wait: 0; processes that may not be looked at: 3\n";
        assert_eq!(Table::new(none).to_string(), expected);
    }

    #[test]
    fn ages_are_short() {
        for (secs, expected) in [
            (0, "0.0 s"),
            (59, "59.0 s"),
            (185, "3:05 min"),
            (7500, "2:05 h"),
        ] {
            assert_eq!(age(Duration::from_secs(secs)), expected);
        }
    }
}
