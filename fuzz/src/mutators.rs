// SPDX-License-Identifier: GPL-2.0

//! Mutators that know where calls begin. They stand beside LibAFL's mutators of bytes.

use crate::program;
use crate::program::Call;
use crate::program::CALLS;
use crate::program::KINDS;
use libafl::inputs::BytesInput;
use libafl::mutators::MutationResult;
use libafl::mutators::Mutator;
use libafl::state::HasRand;
use libafl::Error;
use libafl_bolts::rands::Rand;
use libafl_bolts::tuples::tuple_list;
use libafl_bolts::Named;
use std::borrow::Cow;

/// What can be done with calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CallMutator {
    /// A new one, with small arguments, anywhere.
    Insert,
    /// One more of the same, elsewhere.
    Repeat,
    /// One less.
    Remove,
    /// To another place.
    Move,
    /// A small number in one of its bytes, so another group, task, name or entry of a table.
    Argument,
    /// One bit in flags or mask.
    Bit,
}

type Three<T> = (CallMutator, (CallMutator, (CallMutator, T)));

/// All of them, as LibAFL has a list of mutators.
pub(crate) fn all() -> Three<Three<()>> {
    tuple_list!(
        CallMutator::Insert,
        CallMutator::Repeat,
        CallMutator::Remove,
        CallMutator::Move,
        CallMutator::Argument,
        CallMutator::Bit
    )
}

impl Named for CallMutator {
    fn name(&self) -> &Cow<'static, str> {
        static NAME: Cow<'static, str> = Cow::Borrowed("CallMutator");
        &NAME
    }
}

impl<S: HasRand> Mutator<BytesInput, S> for CallMutator {
    fn mutate(&mut self, state: &mut S, input: &mut BytesInput) -> Result<MutationResult, Error> {
        let mut calls = program::decode(input.as_ref());
        if !self.change(&mut calls, state.rand_mut()) {
            return Ok(MutationResult::Skipped);
        }
        *input.as_mut() = program::encode(&calls);
        Ok(MutationResult::Mutated)
    }
}

impl CallMutator {
    /// Says whether there was something to change.
    fn change(self, calls: &mut Vec<Call>, rand: &mut impl Rand) -> bool {
        let grows = matches!(self, Self::Insert | Self::Repeat);
        if grows && calls.len() >= CALLS || !matches!(self, Self::Insert) && calls.is_empty() {
            return false;
        }
        let at = rand.below_or_zero(calls.len());
        let to = rand.below_or_zero(calls.len() + usize::from(grows));
        match self {
            Self::Insert => calls.insert(to, new_call(rand)),
            Self::Repeat => calls.insert(to, calls[at]),
            Self::Remove => drop(calls.remove(at)),
            Self::Move => {
                let call = calls.remove(at);
                calls.insert(to, call);
            }
            Self::Argument => {
                let small = rand.below_or_zero(256) as u8 >> rand.below_or_zero(8);
                match rand.below_or_zero(4) {
                    0 => calls[at].a = small,
                    1 => calls[at].b = small,
                    2 => calls[at].c = small,
                    _ => calls[at].x = small.into(),
                }
            }
            Self::Bit => match rand.below_or_zero(2) {
                0 => calls[at].x ^= 1 << rand.below_or_zero(32),
                _ => calls[at].y ^= 1 << rand.below_or_zero(64),
            },
        }
        true
    }
}

fn new_call(rand: &mut impl Rand) -> Call {
    let mut call = Call::new(KINDS[rand.below_or_zero(KINDS.len())].0);
    call.a = rand.below_or_zero(4) as u8;
    call.b = rand.below_or_zero(256) as u8;
    call.c = rand.below_or_zero(256) as u8 & !1;
    call
}
