// SPDX-License-Identifier: GPL-2.0

//! Keeps a group, and starts its listener again when that dies. Meanwhile nothing passes unasked,
//! and nothing is denied: whoever has to be asked waits.

use clap::Parser;
use rustix::io::fcntl_setfd;
use rustix::io::FdFlags;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use vfs_filter::Events;
use vfs_filter::Group;
use vfs_filter::Mark;

/// So long it waits for a listener that dies at once, as one that is not there does.
const PAUSE: Duration = Duration::from_millis(200);

/// Has COMMAND asked about writes on the file systems of some paths, as long as it is wanted.
///
/// COMMAND is started again whenever it dies or fails; it ends this if it succeeds. A `{}` among its
/// arguments stands for the number of the group's descriptor, of which it is to open a queue.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// A file or directory on a file system to watch
    #[arg(long = "watch", required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Directory of a cgroup that is not asked about: of this program and COMMAND, if they are to
    /// start with all of their files watched
    #[arg(long, value_name = "CGROUP")]
    exempt: Vec<PathBuf>,

    /// If this dies too, deny what was watched until another comes
    #[arg(long)]
    fail_closed: bool,

    /// The listener, with its arguments
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervise: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let group = Group::builder().report_name(true);
    let group = group.fail_closed(args.fail_closed).init()?;
    for cgroup in &args.exempt {
        group.exempt(&File::open(cgroup)?)?;
    }
    for path in &args.paths {
        group.mark(&Mark::filesystem(path).events(Events::MODIFY).sync())?;
    }
    // It is for the listener to inherit, and for no one else: nothing else is started here.
    fcntl_setfd(&group, FdFlags::empty())?;
    let number = OsString::from(group.as_fd().as_raw_fd().to_string());
    let filled = args.command.into_iter();
    let filled = filled.map(|word| if word == "{}" { number.clone() } else { word });
    let words: Vec<_> = filled.collect();
    while !succeeds(&words) {
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// Runs the listener to its end, whatever that is.
fn succeeds(words: &[OsString]) -> bool {
    let Some((program, arguments)) = words.split_first() else {
        return true;
    };
    match Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => return true,
        Ok(status) => eprintln!("supervise: the listener ended, {status}: starting it again"),
        Err(error) => eprintln!("supervise: cannot start the listener: {error}: trying again"),
    }
    false
}
