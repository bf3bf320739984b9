// SPDX-License-Identifier: GPL-2.0

//! The parts of the crash test of the change journal: what changes files, who reads the journal, and
//! who checks that nothing is missing in it.
#![forbid(unsafe_code)]

mod check;
mod copy;
mod lot;
mod work;

use clap::Args;
use clap::Parser;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The parts of the crash test of the change journal.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Change files in a directory, from several processes, until killed
    Work {
        /// Where
        directory: PathBuf,
        /// What is done is drawn by this
        #[arg(long)]
        seed: u64,
        /// How many processes
        #[arg(long, default_value_t = 4)]
        processes: u64,
        /// End by itself after that time
        #[arg(long, value_parser = seconds)]
        seconds: Option<Duration>,
        /// Pause between two changes, at most
        #[arg(long, default_value_t = 20)]
        pause: u64,
        /// Be one of those processes
        #[arg(long, hide = true)]
        one: bool,
    },
    /// Bring the copy up to date with the journal, and consume what it says
    Consume {
        #[command(flatten)]
        places: Places,
        /// Ask for a checkpoint first
        #[arg(long)]
        checkpoint: bool,
        /// Do it again after that time, until killed
        #[arg(long, value_parser = seconds)]
        every: Option<Duration>,
    },
    /// Fail if something differs from the copy and is not in the journal
    Check {
        #[command(flatten)]
        places: Places,
        /// Nothing may differ at all
        #[arg(long)]
        exact: bool,
        /// That everything may have changed is not enough
        #[arg(long)]
        precise: bool,
    },
}

#[derive(Args)]
struct Places {
    /// The root of the file system
    root: PathBuf,
    /// The store of its journal
    store: PathBuf,
    /// The copy: a file that knows what each file was like
    copy: PathBuf,
}

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<bool> {
    match command {
        Command::Work {
            directory,
            seed,
            processes,
            seconds,
            pause,
            one,
        } => {
            let work = work::Work {
                directory,
                seed,
                pause,
                seconds,
            };
            if one {
                work.run()?;
            } else {
                work.spread(processes)?;
            }
            Ok(true)
        }
        Command::Consume {
            places,
            checkpoint,
            every,
        } => {
            loop {
                let Places { root, store, copy } = &places;
                println!("{}", copy::consume(root, store, copy, checkpoint)?);
                match every {
                    Some(every) => std::thread::sleep(every),
                    None => break,
                }
            }
            Ok(true)
        }
        Command::Check {
            places,
            exact,
            precise,
        } => {
            let Places { root, store, copy } = &places;
            let found = check::check(root, store, copy)?;
            print!("{found}");
            Ok(found.is_well(exact, precise))
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
