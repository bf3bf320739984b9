// SPDX-License-Identifier: GPL-2.0

//! Prints what happens to the files of a directory tree, before and after it does; or who holds up
//! whom on this machine.

mod line;
mod listener;
mod policy;
mod signals;
mod source;
mod top;
mod tree;

use clap::Parser;
use clap::ValueEnum;
use glob::Pattern;
use std::error::Error;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use vfs_filter::Group;
use vfs_filter::Scope;

/// Shows each write below PATH before it happens, answers it, and shows its result.
///
/// Each PRE line is a task that waits; the ANSWER line lets it go on or fails it; the POST line
/// is what its system call then returned. Ctrl-C ends the listener, and nothing waits any more.
///
/// With --top it watches nothing, and shows all groups of this machine: how many tasks wait for
/// each, which one for longest, and for whom.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Files or directories to watch, with all below them on the same file system
    #[arg(required_unless_present = "top", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Fail writes with EPERM if the file's name matches (its path, if GLOB has a slash)
    #[arg(long, value_name = "GLOB")]
    deny: Vec<Pattern>,

    /// What to put marks on
    #[arg(long, value_enum, default_value_t = On::Inode)]
    mark: On,

    /// Ask about each file once, then ignore it until the next checkpoint, which is SIGUSR1
    #[arg(long)]
    ignore_after_first: bool,

    /// Read by a queue of the group that is inherited as descriptor FD, and is marked already: as
    /// the command of `supervise`
    #[arg(long, value_name = "FD", conflicts_with = "mark")]
    queue: Option<RawFd>,

    /// Show which group holds up whom, and since when; the one to blame comes first
    #[arg(long, conflicts_with_all = ["paths", "deny", "mark", "ignore_after_first", "queue"])]
    top: bool,

    /// With --top: show that once
    #[arg(long, requires = "top")]
    once: bool,

    /// With --top: seconds from one table to the next
    #[arg(long, requires = "top", value_name = "SECONDS", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,

    /// With --top: count what there is in a second, by trace events, which needs tracefs
    #[arg(long, requires = "top", conflicts_with = "once")]
    rates: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum On {
    /// Each directory there is now; nothing else waits, but directories made later are not seen
    Inode,
    /// The mount; writes elsewhere on it wait too, and are allowed without a word
    Mount,
    /// The file system; writes elsewhere on it wait too, and are allowed without a word
    Filesystem,
}

impl From<On> for Scope {
    fn from(on: On) -> Self {
        match on {
            On::Inode => Self::Inode,
            On::Mount => Self::Mount,
            On::Filesystem => Self::Filesystem,
        }
    }
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // `watch ... | head` has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watch: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let signals = signals::Signals::catch()?;
    if args.top {
        let interval = (!args.once).then(|| Duration::from_secs(args.interval));
        let rates = args.rates;
        return top::Top { interval, rates }.run(signals, io::stdout().lock());
    }
    let source = match args.queue {
        Some(number) => source::Source::queue(Group::inherit_number(number)?)?,
        None => Group::builder()
            .report_name(true)
            .nonblock(true)
            .init()?
            .into(),
    };
    let tree = tree::Tree::open(&args.paths, args.mark.into())?;
    let policy = policy::Policy {
        deny: args.deny,
        ignore_after_first: args.ignore_after_first,
    };
    listener::Listener::new(source, tree, policy, io::stdout().lock()).run(signals)
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
