// SPDX-License-Identifier: GPL-2.0

//! Which of the two lanes is read from next.
//!
//! PRE events come before all others, as tasks wait for their answers. But as long as those who ask
//! keep up with the reader, nothing else would ever be read. So of any [`WINDOW`] events that are
//! read while there are some in both lanes, one is of the other lane. The count goes on from one
//! read(2) to the next and is the same for all readers.

#![forbid(unsafe_code)]

use crate::event::Form;
use kernel::prelude::*;

/// Of so many events that are read while there are some in both lanes, one is not PRE.
const WINDOW: usize = 8;

/// How many PRE events were read in a row, while others waited.
pub(crate) struct Turn {
    run: usize,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { run: 0 }
    }

    /// Which lane is next, where it is said of each if there is something in it.
    pub(crate) fn next(&self, pre: bool, post: bool) -> Option<Form> {
        match (pre, post) {
            (false, false) => None,
            (true, false) => Some(Form::Pre),
            (false, true) => Some(Form::Post),
            (true, true) if self.run + 1 < WINDOW => Some(Form::Pre),
            (true, true) => Some(Form::Post),
        }
    }

    /// An event was taken from a lane, while there was something in the other, or was not.
    pub(crate) fn taken(&mut self, form: Form, other_waits: bool) {
        self.run = match form {
            Form::Pre if other_waits => self.run + 1,
            _ => 0,
        };
    }

    /// An event was put back: it is the first to be read again.
    pub(crate) fn put_back(&mut self, form: Form) {
        self.run = match form {
            Form::Pre => self.run.saturating_sub(1),
            Form::Post => WINDOW - 1,
        };
    }
}

#[kunit_tests(vfs_filter_turn)]
mod tests {
    use super::*;

    /// Takes `N` events, while it is said of each if there are some in the lanes.
    fn forms<const N: usize>(turn: &mut Turn, pre: bool, post: bool) -> [Option<Form>; N] {
        core::array::from_fn(|_| {
            let form = turn.next(pre, post)?;

            turn.taken(form, pre && post);
            Some(form)
        })
    }

    fn posts(forms: &[Option<Form>]) -> usize {
        forms.iter().filter(|f| **f == Some(Form::Post)).count()
    }

    #[test]
    fn one_lane_is_read_as_it_is() {
        let mut turn = Turn::new();

        assert!(turn.next(false, false).is_none());
        assert_eq!(posts(&forms::<20>(&mut turn, true, false)), 0);
        assert_eq!(posts(&forms::<20>(&mut turn, false, true)), 20);
        assert_eq!(posts(&forms::<20>(&mut turn, true, false)), 0);
    }

    #[test]
    fn pre_comes_first() {
        let mut turn = Turn::new();

        assert_eq!(posts(&forms::<7>(&mut turn, true, true)), 0);
    }

    #[test]
    fn of_any_eight_one_is_not_pre() {
        let mut turn = Turn::new();
        let forms = forms::<80>(&mut turn, true, true);

        assert_eq!(posts(&forms), 10);
        for window in forms.windows(WINDOW) {
            assert_eq!(posts(window), 1);
        }
    }

    #[test]
    fn only_those_count_that_others_waited_for() {
        let mut turn = Turn::new();

        assert_eq!(posts(&forms::<6>(&mut turn, true, true)), 0);
        assert_eq!(posts(&forms::<6>(&mut turn, true, false)), 0);
        assert_eq!(posts(&forms::<7>(&mut turn, true, true)), 0);
        assert_eq!(posts(&forms::<1>(&mut turn, true, true)), 1);
    }

    #[test]
    fn what_was_put_back_is_next_again() {
        let mut turn = Turn::new();

        assert_eq!(posts(&forms::<7>(&mut turn, true, true)), 0);
        for _ in 0..3 {
            assert_eq!(posts(&forms::<1>(&mut turn, true, true)), 1);
            turn.put_back(Form::Post);
        }
        assert_eq!(posts(&forms::<1>(&mut turn, true, true)), 1);

        assert_eq!(posts(&forms::<7>(&mut turn, true, true)), 0);
        turn.put_back(Form::Pre);
        assert!(turn.next(true, true) == Some(Form::Pre));
    }
}
