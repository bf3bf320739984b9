// SPDX-License-Identifier: GPL-2.0

//! A change journal: records which files of a file system change, and tells them at checkpoints.
#![forbid(unsafe_code)]

mod server;

use checkpoint::Change;
use checkpoint::Journal;
use checkpoint::Options;
use checkpoint::Period;
use checkpoint::Scheme;
use checkpoint::Straddlers;
use clap::Args;
use clap::Parser;
use clap::ValueEnum;
use journal::Listed;
use journal::Request;
use std::error::Error;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use vfs_filter::Scope;

/// Records which files of a file system change.
///
/// A change is in the journal before it is made, and stays there until who reads the journal has
/// said that it has a copy: after a crash, whatever differs from that copy is in the journal.
///
/// Not seen are changes by the journal itself, and those that are no operation of a task, such as
/// what nfsd and ksmbd do: see docs/uapi.md and docs/operations.md.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Record, until a signal ends it, or the file system is unmounted
    ///
    /// The journal does not keep PATH from being unmounted. Then it ends, with status 1; all that
    /// was changed until then is recorded. If STORE is on the file system that is watched, its open
    /// files do keep it busy: end the journal before umount(8).
    ///
    /// When the disk of STORE is full, changes are denied with ENOSPC until there is room again, and
    /// removals are allowed.
    ///
    /// How much of it the journal takes is not for its users to decide: a period that has too many
    /// changes (--changes) says "everything" instead, and the log is rewritten when it is three times as
    /// long as what it says (and than --log-length). While it is, the disk has both. A change takes 17
    /// bytes of it, and a name as many more as it has.
    Run(Run),
    /// Ask the running journal for a checkpoint, and print what changed when that is certain
    Checkpoint(Store),
    /// Print what is recorded
    List(Store),
    /// Forget what changed up to a checkpoint, when there is a copy of it that is durable
    Consume(Consume),
}

#[derive(Args)]
struct Run {
    /// A directory on the file system
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Where to keep the journal; may be on the same file system, which is busy then
    #[arg(value_name = "STORE")]
    store: PathBuf,

    /// How a new period gets to see what was ignored in the last one
    #[arg(long, value_enum, default_value_t = By::Single)]
    scheme: By,

    /// A period is sealed when the operations that were under way have ended (the default)
    #[arg(long, conflicts_with = "post")]
    barrier: bool,

    /// A period is sealed at once; operations that were under way are told later, by their POST
    #[arg(long)]
    post: bool,

    /// Record what is changed through this mount alone; of a subvolume of btrfs, nothing else can be
    ///
    /// Not seen, and so missing in the journal, are changes through any other mount of the file
    /// system: bind mounts and those of other subvolumes, the copies of this mount that other mount
    /// namespaces have (containers, and services with a private view such as PrivateTmp= or
    /// ProtectSystem=). A file that was opened or mapped through another mount is changed through
    /// that one. Without this option all of these are seen.
    #[arg(long)]
    mount: bool,

    /// How many names in a directory are recorded before it is recorded as a whole
    #[arg(long, default_value_t = 64)]
    names: usize,

    /// How many changes are recorded in a period before it is recorded as "everything"
    ///
    /// Each takes some 300 bytes of memory until its period is consumed, 1 kB with the longest of names.
    #[arg(long, default_value_t = Options::CHANGES)]
    changes: usize,

    /// You know that nothing has changed while no journal was running, nor while it was mounted
    /// without one
    #[arg(long)]
    no_gap: bool,

    /// Rewrite the log when it is longer than this, in bytes, and three times as long as it need be
    #[arg(long, default_value_t = 1 << 20)]
    log_length: u64,

    /// Answer before the record is durable, which loses changes: to test the crash test
    #[arg(long, hide = true)]
    unsafe_answer_first: bool,
}

#[derive(Args)]
struct Store {
    /// Where the journal is kept
    #[arg(value_name = "STORE")]
    store: PathBuf,
}

#[derive(Args)]
struct Consume {
    #[command(flatten)]
    store: Store,

    /// A period that was printed as sealed; those before it are forgotten too
    #[arg(value_name = "PERIOD")]
    period: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum By {
    /// A new group, before the old one is closed
    Alternating,
    /// A flush of the ignore masks
    Single,
}

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Run(run) => record(run),
        Command::Checkpoint(Store { store }) => journal::ask(&store, Request::Checkpoint)
            .map_err(Into::into)
            .and_then(|listed| print(listed.iter().filter(|listed| listed.sealed))),
        Command::List(Store { store }) => journal::look(&store)
            .map_err(Into::into)
            .and_then(|listed| print(listed.iter())),
        Command::Consume(Consume { store, period }) => {
            let request = Request::Consume(Period(period));
            journal::ask(&store.store, request)
                .map(drop)
                .map_err(Into::into)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("journal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn record(run: Run) -> Result {
    let options = Options {
        scope: if run.mount {
            Scope::Mount
        } else {
            Scope::Filesystem
        },
        scheme: match run.scheme {
            By::Alternating => Scheme::Alternating,
            By::Single => Scheme::Single,
        },
        straddlers: if run.post {
            Straddlers::Post
        } else {
            Straddlers::Barrier
        },
        names: run.names,
        changes: run.changes,
        no_gap: run.no_gap,
        log_length: run.log_length,
        unsafe_answer_first: run.unsafe_answer_first,
        ..Options::new(run.path, run.store)
    };
    let signals = server::signals()?;
    // A working directory would keep its file system from being unmounted.
    let options = Options {
        path: absolute(&options.path)?,
        store: std::path::absolute(&options.store)?,
        ..options
    };
    std::env::set_current_dir("/")?;
    let (path, store) = (options.path.clone(), options.store.clone());
    let journal = Journal::open(options)?;
    let server = server::Server::new(journal, &store)?;
    let everything = "all that there is: read everything once";
    let (period, whole) = server.begins_with();
    println!(
        "recording {} in {}, period {period}{}",
        path.display(),
        store.display(),
        if whole {
            format!(", {everything}")
        } else {
            String::new()
        }
    );
    server.run(signals)
}

/// The path from the root, with no symbolic links that could lead elsewhere later.
fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

fn print<'a>(listed: impl Iterator<Item = &'a Listed>) -> Result {
    let mut out = io::stdout().lock();
    for listed in listed {
        write!(out, "{listed}")?;
    }
    Ok(out.flush()?)
}

/// Whether a period says nothing in particular.
fn is_whole<'a>(mut changes: impl Iterator<Item = &'a Change>) -> bool {
    changes.any(|change| *change == Change::Everything)
}
