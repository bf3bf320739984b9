// SPDX-License-Identifier: GPL-2.0

//! LibAFL, put together: programs are mutated, and kept if the kernel takes an edge that it has not
//! taken before, or a call ends as it has not before.

use crate::executor::KernelExecutor;
use crate::mutators;
use libafl::corpus::Corpus;
use libafl::corpus::InMemoryCorpus;
use libafl::events::SimpleEventManager;
use libafl::feedbacks::CrashFeedback;
use libafl::feedbacks::MaxMapFeedback;
use libafl::inputs::BytesInput;
use libafl::monitors::NopMonitor;
use libafl::mutators::havoc_mutations;
use libafl::mutators::StdScheduledMutator;
use libafl::schedulers::QueueScheduler;
use libafl::stages::StdMutationalStage;
use libafl::state::HasCorpus;
use libafl::state::HasExecutions;
use libafl::state::StdState;
use libafl::Error;
use libafl::Evaluator;
use libafl::Fuzzer;
use libafl::StdFuzzer;
use libafl_bolts::rands::StdRand;
use libafl_bolts::tuples::tuple_list;
use libafl_bolts::tuples::Merge;
use std::num::NonZeroUsize;
use std::time::Duration;
use std::time::Instant;

/// Mutants of a program, at most, before the next one has its turn.
const TURN: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
/// How often it says where it is.
const REPORT: Duration = Duration::from_secs(15);

/// Where programs come from and go to, and how long.
pub(crate) struct Plan {
    pub(crate) seeds: Vec<Vec<u8>>,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

/// Runs until the time is over or a task hangs.
pub(crate) fn fuzz(executor: &mut KernelExecutor, plan: &Plan) -> Result<(), Error> {
    let mut feedback = MaxMapFeedback::new(executor.features());
    let mut objective = CrashFeedback::new();
    let mut state = StdState::new(
        StdRand::with_seed(plan.seed),
        InMemoryCorpus::<BytesInput>::new(),
        InMemoryCorpus::new(),
        &mut feedback,
        &mut objective,
    )?;
    let mut manager = SimpleEventManager::new(NopMonitor::new());
    let mut fuzzer = StdFuzzer::new(QueueScheduler::new(), feedback, objective);
    let mutators = mutators::all().merge(havoc_mutations());
    let stage = StdMutationalStage::with_max_iterations(StdScheduledMutator::new(mutators), TURN);
    let mut stages = tuple_list!(stage);

    let start = Instant::now();
    let mut reported = start;
    for seed in &plan.seeds {
        let input = BytesInput::new(seed.clone());
        fuzzer.add_input(&mut state, executor, &mut manager, input)?;
    }
    let mut kept = state.corpus().count();
    println!("{} seeds, {kept} of them in the corpus", plan.seeds.len());
    if kept == 0 {
        return Ok(());
    }
    while start.elapsed() < plan.time && !executor.hung() {
        fuzzer.fuzz_one(&mut stages, executor, &mut state, &mut manager)?;
        for id in state.corpus().ids().skip(kept).collect::<Vec<_>>() {
            let testcase = state.corpus().get(id)?.borrow();
            if let Some(input) = testcase.input() {
                executor
                    .keep(input.as_ref(), "corpus")
                    .map_err(|error| Error::unknown(error.to_string()))?;
            }
        }
        kept = state.corpus().count();
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            report(executor, start, *state.executions(), state.corpus().count());
        }
    }
    report(executor, start, *state.executions(), state.corpus().count());
    Ok(())
}

fn report(executor: &KernelExecutor, start: Instant, executions: u64, corpus: usize) {
    let seconds = start.elapsed().as_secs();
    println!("{seconds} s: {executions} programs, {corpus} in the corpus, {executor}");
}
