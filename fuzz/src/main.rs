// SPDX-License-Identifier: GPL-2.0

//! A fuzzer of `FAN_CLASS_VFS_FILTER`, for the virtual machine: see docs/fuzzing.md.

mod engine;
mod environment;
mod event;
mod executor;
mod kcov;
mod log;
mod mutators;
mod program;
mod run;
mod sys;
mod uapi;
mod work;

use clap::Parser;
use engine::Plan;
use environment::Environment;
use executor::KernelExecutor;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Fuzzes the kernel that it runs on. Exits with 1 if something was wrong with it.
#[derive(Debug, Parser)]
struct Arguments {
    /// For so many seconds.
    #[arg(long, default_value_t = 1200)]
    seconds: u64,
    /// Draws by this number.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A kernel that is slower than others by so much: a program has 2 seconds times this.
    #[arg(long, default_value_t = 1)]
    slow: u32,
    /// Without coverage, on a kernel that has no KCOV.
    #[arg(long)]
    blind: bool,
    /// Runs the programs so many times each, and no others, and says how each call ended.
    #[arg(long)]
    replay: Option<usize>,
    /// Where finds go: corpus/ and wrong/, and the program that runs, in "current".
    #[arg(long)]
    out: PathBuf,
    /// Programs to begin with, or folders of them.
    programs: Vec<PathBuf>,
}

/// The programs of these files, and of the files in these folders, in the order of their names.
fn read_programs(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path()));
            files.extend(entries.collect::<std::io::Result<Vec<_>>>()?);
        } else {
            files.push(path.clone());
        }
    }
    files.sort();
    let program = |path: &PathBuf| {
        let text = fs::read_to_string(path)?;
        program::parse(&text).map_err(|line| format!("{}: {line}", path.display()).into())
    };
    files.iter().map(program).collect()
}

fn make_folders(out: &Path) -> std::io::Result<()> {
    ["corpus", "wrong"]
        .iter()
        .try_for_each(|name| fs::create_dir_all(out.join(name)))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse();
    let programs = read_programs(&arguments.programs)?;
    make_folders(&arguments.out)?;
    let env = Environment::new(arguments.blind, arguments.replay.is_some())?;
    let mut executor = KernelExecutor::new(env, arguments.slow, arguments.out)?;
    if let Some(times) = arguments.replay {
        for program in &programs {
            for _ in 0..times {
                executor.execute(program);
            }
        }
        println!("{executor}");
    } else {
        let plan = Plan {
            seeds: programs,
            time: Duration::from_secs(arguments.seconds),
            seed: arguments.seed,
        };
        engine::fuzz(&mut executor, &plan)?;
    }
    if !executor.hung() {
        executor.try_fresh_group();
        executor.try_no_sentinel()?;
    }
    Ok(ExitCode::from(u8::from(executor.wrong() > 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_seeds_are_programs() -> Result<(), Box<dyn Error>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
        let programs = read_programs(&[folder])?;
        assert!(!programs.is_empty());
        for bytes in programs {
            assert_eq!(program::parse(&program::print(&bytes)), Ok(bytes));
        }
        Ok(())
    }
}
