// SPDX-License-Identifier: GPL-2.0

//! Runs one program after the other, each in a child with namespaces of its own, and says of each
//! which branches the kernel took, and whether something is wrong with it.

use crate::environment;
use crate::environment::Environment;
use crate::environment::FEATURES;
use crate::kcov::EDGES;
use crate::log::Log;
use crate::program;
use crate::run;
use crate::sys;
use crate::sys::Child;
use libafl::executors::Executor;
use libafl::executors::ExitKind;
use libafl::executors::HasObservers;
use libafl::inputs::BytesInput;
use libafl::observers::OwnedMapObserver;
use libafl::state::HasExecutions;
use libafl::Error;
use libafl_bolts::tuples::RefIndexable;
use libafl_bolts::AsSliceMut;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

/// A program that takes longer is killed, which is no fault: its reader can wait for ever.
const LIMIT: Duration = Duration::from_secs(2);
/// One that was killed ends, and all of its tasks with it. If not: a hang.
const END: Duration = Duration::from_secs(120);

/// The features of the last program.
pub(crate) type Features = OwnedMapObserver<u8>;

/// See the head of this file.
pub(crate) struct KernelExecutor {
    env: Environment,
    log: Log,
    observers: (Features, ()),
    folder: PathBuf,
    limit: Duration,
    complaints: Vec<String>,
    seen: Vec<u8>,
    hung: bool,
    killed: usize,
    wrong: usize,
}

impl KernelExecutor {
    /// `folder` is where the program is kept that runs: the machine can go down with it.
    pub(crate) fn new(env: Environment, slow: u32, folder: PathBuf) -> io::Result<Self> {
        Ok(Self {
            env,
            log: Log::open()?,
            observers: (Features::new("features", vec![0; FEATURES]), ()),
            folder,
            limit: LIMIT * slow,
            complaints: Vec::new(),
            seen: vec![0; FEATURES],
            hung: false,
            killed: 0,
            wrong: 0,
        })
    }

    /// Where they are.
    pub(crate) fn features(&self) -> &Features {
        &self.observers.0
    }

    /// A task cannot be killed: there is no going on.
    pub(crate) fn hung(&self) -> bool {
        self.hung
    }

    /// With how many programs something was wrong.
    pub(crate) fn wrong(&self) -> usize {
        self.wrong
    }

    /// Runs a program.
    pub(crate) fn execute(&mut self, bytes: &[u8]) -> ExitKind {
        // Not to lose it is not worth to stop for.
        let _ = fs::write(self.folder.join("current"), program::print(bytes));
        let calls = program::decode(bytes);
        self.env.reset();
        self.spawn(|env| run::program(env, &calls));
        let features = self.observers.0.as_slice_mut();
        features.fill(0);
        self.env.fold(features);
        for (seen, feature) in self.seen.iter_mut().zip(features.iter()) {
            *seen |= feature;
        }
        let verdict = self.verdict();
        if matches!(verdict, ExitKind::Crash) {
            let _ = self.keep(bytes, "wrong");
        }
        verdict
    }

    /// Does a new group work?
    pub(crate) fn try_fresh_group(&mut self) {
        self.limit = END;
        self.spawn(run::fresh_group);
        self.verdict();
    }

    /// What goes away by itself when the programs have ended is waited for: their sentinels.
    pub(crate) fn try_no_sentinel(&mut self) -> io::Result<()> {
        let end = Instant::now() + END;
        while !environment::sentinels()?.is_empty() {
            if Instant::now() > end {
                let left = environment::sentinels()?;
                self.complaints.push(format!("sentinels are left: {left}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        self.verdict();
        Ok(())
    }

    /// Writes a program to a folder of this name, under a name of its own.
    pub(crate) fn keep(&self, bytes: &[u8], folder: &str) -> io::Result<()> {
        let name = format!("{:016x}", hash(bytes));
        fs::write(self.folder.join(folder).join(name), program::print(bytes))
    }

    /// Says what is wrong, if anything is.
    fn verdict(&mut self) -> ExitKind {
        self.complaints.extend(self.log.complaints());
        let complaints = std::mem::take(&mut self.complaints);
        if complaints.is_empty() {
            return ExitKind::Ok;
        }
        self.wrong += 1;
        println!("WRONG: {}", complaints.join("; "));
        ExitKind::Crash
    }

    fn spawn(&mut self, body: impl FnOnce(&Environment) -> i32) {
        let env = &self.env;
        let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
        let status = match sys::spawn(namespaces, || body(env)) {
            Ok(child) => self.end_of(&child),
            Err(error) => {
                self.complaints.push(format!("no child: {error}"));
                return;
            }
        };
        let said = match status.map(|status| (status & 0x7f, status >> 8)) {
            Some((0, 0)) => return,
            Some((libc::SIGKILL, _)) => {
                self.killed += 1;
                return;
            }
            Some((0, run::MALFORMED)) => "an event is malformed".to_owned(),
            Some((0, run::NO_TREE)) => "no tree could be made".to_owned(),
            Some((0, run::NOT_FRESH)) => "a fresh group does not work".to_owned(),
            Some((signal, status)) => format!("the listener ended: signal {signal}, {status}"),
            None => {
                self.hung = true;
                // Who waits where, for the console.
                let _ = fs::write("/proc/sysrq-trigger", "w");
                "a task cannot be killed".to_owned()
            }
        };
        self.complaints.push(said);
    }

    fn end_of(&mut self, child: &Child) -> Option<i32> {
        let mut status = child.wait(self.limit);
        if status.is_none() && self.env.waits_for_dying() {
            status = child.wait(END);
            if status.is_none() && self.env.waits_for_dying() {
                self.complaints
                    .push("a task that was killed has not ended".to_owned());
            }
        }
        status.or_else(|| {
            child.signal(libc::SIGKILL);
            child.wait(END)
        })
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

impl fmt::Display for KernelExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (edges, signs) = self.seen.split_at(EDGES);
        let [edges, signs] =
            [edges, signs].map(|seen| seen.iter().filter(|one| **one != 0).count());
        let (killed, wrong) = (self.killed, self.wrong);
        write!(
            f,
            "{edges} edges, {signs} signs, {killed} killed at their limit, {wrong} wrong"
        )
    }
}

impl<EM, S: HasExecutions, Z> Executor<EM, BytesInput, S, Z> for KernelExecutor {
    fn run_target(
        &mut self,
        _fuzzer: &mut Z,
        state: &mut S,
        _mgr: &mut EM,
        input: &BytesInput,
    ) -> Result<ExitKind, Error> {
        *state.executions_mut() += 1;
        Ok(self.execute(input.as_ref()))
    }
}

impl HasObservers for KernelExecutor {
    type Observers = (Features, ());

    fn observers(&self) -> RefIndexable<&Self::Observers, Self::Observers> {
        RefIndexable::from(&self.observers)
    }

    fn observers_mut(&mut self) -> RefIndexable<&mut Self::Observers, Self::Observers> {
        RefIndexable::from(&mut self.observers)
    }
}
