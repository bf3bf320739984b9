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
use std::path::PathBuf;
use std::process::ExitCode;
use vfs_filter::Scope;

/// Records which files of a file system change.
///
/// A change is in the journal before it is made, and stays there until who reads the journal has
/// said that it has a copy: after a crash, whatever differs from that copy is in the journal.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Record, until a signal ends it
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

    /// Where to keep the journal; may be on the same file system
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

    /// Record what is changed through this mount alone
    #[arg(long)]
    mount: bool,

    /// How many names in a directory are recorded before it is recorded as a whole
    #[arg(long, default_value_t = 64)]
    names: usize,

    /// You know that nothing has changed while no journal was running
    #[arg(long)]
    no_gap: bool,

    /// Rewrite the log when it is longer than this, in bytes
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
        no_gap: run.no_gap,
        log_length: run.log_length,
        unsafe_answer_first: run.unsafe_answer_first,
        ..Options::new(run.path, run.store)
    };
    let signals = server::signals()?;
    let (path, store) = (options.path.clone(), options.store.clone());
    let journal = Journal::open(options)?;
    let server = server::Server::new(journal, &path, &store)?;
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
