// SPDX-License-Identifier: GPL-2.0

//! How long a task waits for an answer: until there is one, or until its time is over.
//!
//! A task that has a deadline sleeps in steps. At the end of each it adds up how long it has waited,
//! so that time in which it was frozen, and a step took longer, does not count but for that step.

#![forbid(unsafe_code)]

use crate::verdict::Verdict;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::time::msecs_to_jiffies;
use kernel::time::Jiffies;
use kernel::time::Msecs;

/// The longest step, in milliseconds.
const LONGEST: Msecs = 1000;

/// The shortest.
const SHORTEST: Msecs = 20;

/// No end, in jiffies: `MAX_SCHEDULE_TIMEOUT`.
const FOR_EVER: Jiffies = Jiffies::MAX >> 1;

/// For how long tasks wait, and what the answer is after that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline {
    msecs: Msecs,
    verdict: Verdict,
}

impl Deadline {
    /// Checks what user space has set. `None` is for ever. Fails with `EINVAL` for a verdict that
    /// there is not.
    pub(crate) fn parse(msecs: u32, verdict: u32) -> Result<Option<Self>> {
        if msecs == 0 && verdict == 0 {
            return Ok(None);
        }
        let verdict = Verdict::parse_plain(verdict)?;

        Ok((msecs != 0).then_some(Self { msecs, verdict }))
    }
}

/// A deadline that can be read while it is set.
pub(crate) struct AtomicDeadline(Atomic<u64>);

impl AtomicDeadline {
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    pub(crate) fn get(&self) -> Option<Deadline> {
        let bits = self.0.load(Relaxed);

        // CAST: The two halves, as `set` has put them together.
        Deadline::parse((bits >> 32) as u32, bits as u32).ok()?
    }

    pub(crate) fn set(&self, deadline: Option<Deadline>) {
        let bits = deadline.map_or(0, |deadline| {
            u64::from(deadline.msecs) << 32 | u64::from(deadline.verdict.into_plain())
        });

        self.0.store(bits, Relaxed);
    }
}

/// How long a task has waited.
pub(crate) struct Waiting {
    deadline: Option<Deadline>,
    waited: Msecs,
}

impl Waiting {
    pub(crate) fn new(deadline: Option<Deadline>) -> Self {
        Self {
            deadline,
            waited: 0,
        }
    }

    /// The next step, in milliseconds, if there is an end: an eighth of what was, so that this is how
    /// much of its time a task loses at most if it is frozen meanwhile.
    #[inline(always)]
    fn step(&self) -> Option<Msecs> {
        let left = self.deadline?.msecs - self.waited;

        Some((self.waited / 8).clamp(SHORTEST, LONGEST).min(left))
    }

    /// Sleeps by `sleep`, which is told for how long and returns whether there is an answer. Returns
    /// what the answer is if the time is over. Fails as `sleep` does.
    #[inline(always)]
    pub(crate) fn sleep(&mut self, sleep: impl FnOnce(Jiffies) -> Result<bool>) -> Result<Waited> {
        let step = self.step();

        if sleep(step.map_or(FOR_EVER, msecs_to_jiffies))? {
            return Ok(Waited::Answered);
        }
        self.waited += step.unwrap_or(0);
        Ok(match self.deadline {
            Some(deadline) if self.waited >= deadline.msecs => Waited::Over(deadline.verdict),
            _ => Waited::NotYet,
        })
    }

    /// There is no end to it any more.
    pub(crate) fn wait_on(&mut self) {
        self.deadline = None;
    }
}

/// What has come of it.
pub(crate) enum Waited {
    Answered,
    NotYet,
    /// The time is over: this is the answer.
    Over(Verdict),
}

#[kunit_tests(vfs_filter_waiting)]
mod tests {
    use super::*;
    use kernel::bindings;

    fn deadline(msecs: u32) -> Result<Option<Deadline>> {
        Deadline::parse(msecs, bindings::FAN_DENY)
    }

    #[test]
    fn it_is_what_was_set() -> Result {
        let atomic = AtomicDeadline::new();

        assert!(atomic.get().is_none());
        for verdict in [
            bindings::FAN_ALLOW,
            bindings::FAN_DENY,
            bindings::FAN_DENY | bindings::EIO << bindings::FAN_ERRNO_SHIFT,
        ] {
            let deadline = Deadline::parse(u32::MAX, verdict)?;

            assert!(deadline.is_some());
            atomic.set(deadline);
            assert!(atomic.get() == deadline);
        }
        atomic.set(None);
        assert!(atomic.get().is_none());
        Ok(())
    }

    #[test]
    fn verdicts_are_checked() {
        for verdict in [
            bindings::FAN_ALLOW | bindings::FAN_DENY,
            bindings::FAN_ALLOW | bindings::FAN_INFO,
            bindings::FAN_DENY | bindings::FAN_RESPONSE_IGNORE,
            0x8000,
        ] {
            assert!(Deadline::parse(0, verdict) == Err(EINVAL));
            assert!(Deadline::parse(1, verdict) == Err(EINVAL));
        }
        assert!(Deadline::parse(1, 0) == Err(EINVAL));
        assert!(Deadline::parse(0, 0) == Ok(None));
        assert!(Deadline::parse(0, bindings::FAN_ALLOW) == Ok(None));
    }

    #[test]
    fn steps_add_up() -> Result {
        for msecs in [1, 20, 1000, 60_000] {
            let mut waiting = Waiting::new(deadline(msecs)?);
            let mut slept = 0;

            loop {
                let step = waiting.step().ok_or(EINVAL)?;

                slept += step;
                assert!(step <= LONGEST && step <= SHORTEST.max(slept / 8 + 1));
                match waiting.sleep(|_| Ok(false))? {
                    Waited::Over(verdict) => {
                        assert!(verdict == Verdict::Deny(EPERM));
                        break;
                    }
                    Waited::Answered => return Err(EINVAL),
                    Waited::NotYet => (),
                }
            }
            assert_eq!(slept, msecs);
        }
        Ok(())
    }

    #[test]
    fn without_a_deadline_it_goes_on() -> Result {
        let mut waiting = Waiting::new(None);

        for _ in 0..100 {
            assert!(waiting.step().is_none());
            assert!(matches!(waiting.sleep(|_| Ok(false))?, Waited::NotYet));
        }
        assert!(matches!(waiting.sleep(|_| Ok(true))?, Waited::Answered));
        assert!(waiting.sleep(|_| Err(EINTR)).is_err());
        Ok(())
    }
}
