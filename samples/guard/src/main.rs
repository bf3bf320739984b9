// SPDX-License-Identifier: GPL-2.0

//! The worker of a service that is asked about every open and change on a file system, and that
//! systemd starts again when it dies. `docs/listeners.md` has the units.
//!
//! The group is made once. Its descriptor is kept by systemd, and handed to each worker. What a
//! worker reads it reads through a queue of its own, so what it had not answered when it was
//! killed goes to the next one.

mod log;
mod systemd;

use clap::Parser;
use log::Log;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use std::error::Error;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use vfs_filter::Answer;
use vfs_filter::Errno;
use vfs_filter::Events;
use vfs_filter::Group;
use vfs_filter::Kind;
use vfs_filter::Mark;
use vfs_filter::Queue;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What a group is asked about.
const EVENTS: Events = Events::OPEN
    .union(Events::MODIFY)
    .union(Events::CREATE)
    .union(Events::DELETE)
    .union(Events::MOVED_FROM)
    .union(Events::MOVED_TO)
    .union(Events::ONDIR);

/// Where systemd has its cgroups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Allows every open and change on the file system of PATH, and takes it down before and after.
///
/// To be started by systemd, again whenever it ends. Without systemd, nothing keeps the group when
/// it is killed, and the file system is closed.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Anything on the file system
    path: PathBuf,

    /// Tasks in this cgroup, below /sys/fs/cgroup, are asked about nothing
    #[arg(long, value_name = "CGROUP")]
    exempt: Vec<PathBuf>,

    /// Where to take down what happens. Not on the file system that is watched, for that fails when
    /// the file system is full. When it has 64 MiB it becomes FILE.1, and what that was is gone
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guard: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result {
    let mut log = Log::open(&args.log)?;
    let (group, how) = match systemd::stored()? {
        Some(number) => (Group::inherit_number(number)?, "again"),
        None => (make()?, "new"),
    };
    group.own()?;
    let queue = group.queue(false)?;
    // All that follows is done by each worker, as the one before may have been killed in between.
    for cgroup in &args.exempt {
        exempt(&group, cgroup)?;
    }
    group.mark(&Mark::filesystem(&args.path).events(EVENTS).sync())?;
    log.started(how);
    systemd::ready()?;
    serve(&queue, &mut log)
}

/// A group that is in systemd's hands before it has a mark.
fn make() -> Result<Group> {
    let group = Group::builder()
        .report_name(true)
        .unlimited_queue(true)
        .unlimited_marks(true)
        .fail_closed(true)
        .init()?;
    systemd::store(&group)?;
    Ok(group)
}

/// Exempts a cgroup, if it is not yet.
fn exempt(group: &Group, cgroup: &Path) -> Result {
    let directory = Path::new(CGROUPS).join(cgroup);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty())?;
    match group.exempt(&directory) {
        Err(error) if error.errno() == Some(Errno::EXIST) => Ok(()),
        done => Ok(done?),
    }
}

/// Until the group is closed.
fn serve(queue: &Queue, log: &mut Log) -> Result {
    let mut buffer = vec![0; 64 * 1024];
    let mut answers = Vec::new();
    loop {
        let mut ended = true;
        for event in queue.read(&mut buffer)? {
            let event = event?;
            ended = false;
            log.event(&event);
            if event.kind == Kind::Pre {
                answers.push(Answer::allow(event.cookie));
            }
        }
        if ended {
            return Ok(());
        }
        // What is allowed has been taken down before.
        log.write();
        queue.answer(&answers)?;
        answers.clear();
    }
}
