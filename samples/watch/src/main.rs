// SPDX-License-Identifier: GPL-2.0

//! Prints what happens to the files of a directory tree, before and after it does.

mod line;
mod listener;
mod policy;
mod signals;
mod source;
mod tree;

use clap::Parser;
use clap::ValueEnum;
use glob::Pattern;
use std::error::Error;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;
use vfs_filter::Group;
use vfs_filter::Scope;

/// Shows each write below PATH before it happens, answers it, and shows its result.
///
/// Each PRE line is a task that waits; the ANSWER line lets it go on or fails it; the POST line
/// is what its system call then returned. Ctrl-C ends the listener, and nothing waits any more.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Files or directories to watch, with all below them on the same file system
    #[arg(required = true, value_name = "PATH")]
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
