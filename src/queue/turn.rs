// SPDX-License-Identifier: GPL-2.0

//! Which of the two lanes is read from next.
//!
//! PRE events come before all others, as tasks wait for their answers. But as long as those who ask
//! keep up with the reader, nothing else would ever be read. So of any [`WINDOW`] events that are
//! read while there are some in both lanes, one is of the other lane. The count goes on from one
//! read(2) to the next and is the same for all readers.
//!
//! Each PRE that is read and allowed can come back as a POST, which is never lost. So as soon as
//! too many of these wait, two others are read for each PRE: one for what that makes, and one for
//! what is there.

#![forbid(unsafe_code)]

use crate::event::Form;
use kernel::prelude::*;

/// Of so many events that are read while there are some in both lanes, one is not PRE.
const WINDOW: usize = 8;

/// Of the other lane so many are read for each PRE while it is behind.
const TO_CATCH_UP: usize = 2;

/// How many events of a lane were read in a row, while others waited.
pub(crate) struct Turn {
    pre: usize,
    others: usize,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self { pre: 0, others: 0 }
    }

    /// Which lane is next, where it is said of each if there is something in it, and if there is
    /// too much in the other one.
    pub(crate) fn next(&self, pre: bool, others: bool, behind: bool) -> Option<Form> {
        let others_first = if behind {
            self.others < TO_CATCH_UP
        } else {
            self.pre + 1 >= WINDOW
        };

        match (pre, others) {
            (false, false) => None,
            (true, true) if others_first => Some(Form::Post),
            (true, _) => Some(Form::Pre),
            (false, true) => Some(Form::Post),
        }
    }

    /// An event was taken from a lane, while there was something in the other, or was not.
    pub(crate) fn taken(&mut self, form: Form, other_waits: bool) {
        let run = |before: usize| if other_waits { before + 1 } else { 0 };

        (self.pre, self.others) = match form {
            Form::Pre => (run(self.pre), 0),
            Form::Post => (0, run(self.others)),
        };
    }

    /// An event was put back: it is the first to be read again.
    pub(crate) fn put_back(&mut self, form: Form) {
        (self.pre, self.others) = match form {
            Form::Pre => (self.pre.saturating_sub(1), TO_CATCH_UP),
            Form::Post => (WINDOW - 1, 0),
        };
    }
}

#[kunit_tests(vfs_filter_turn)]
mod tests {
    use super::*;

    /// Takes `N` events, while it is said of each if there are some in the lanes.
    fn forms<const N: usize>(turn: &mut Turn, pre: bool, post: bool) -> [Option<Form>; N] {
        take(turn, pre, post, false)
    }

    fn take<const N: usize>(
        turn: &mut Turn,
        pre: bool,
        post: bool,
        behind: bool,
    ) -> [Option<Form>; N] {
        core::array::from_fn(|_| {
            let form = turn.next(pre, post, behind)?;

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

        assert!(turn.next(false, false, false).is_none());
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
        assert!(turn.next(true, true, false) == Some(Form::Pre));
    }

    #[test]
    fn what_is_behind_catches_up() {
        let mut turn = Turn::new();

        assert_eq!(posts(&take::<30>(&mut turn, true, true, true)), 20);
        assert_eq!(posts(&take::<20>(&mut turn, true, false, true)), 0);
        assert_eq!(posts(&take::<3>(&mut turn, true, true, true)), 2);
        assert_eq!(posts(&take::<6>(&mut turn, true, true, false)), 0);
    }

    #[test]
    fn what_was_put_back_is_next_when_behind() {
        let mut turn = Turn::new();

        assert_eq!(posts(&take::<1>(&mut turn, true, true, true)), 1);
        turn.put_back(Form::Post);
        assert_eq!(posts(&take::<2>(&mut turn, true, true, true)), 2);
        assert_eq!(posts(&take::<1>(&mut turn, true, true, true)), 0);
        turn.put_back(Form::Pre);
        assert_eq!(posts(&take::<1>(&mut turn, true, true, true)), 0);
    }
}
