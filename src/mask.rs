// SPDX-License-Identifier: GPL-2.0

//! Events of the class as bits of a mask: which there are, and their PRE and POST forms.
//!
//! Pure arithmetic: no locks, no allocation, no failure but `EINVAL`.
//!
//! C header: [`include/uapi/linux/fanotify.h`](srctree/include/uapi/linux/fanotify.h)

#![forbid(unsafe_code)]

use kernel::bindings;
use kernel::prelude::*;

/// How far an event is shifted to become its PRE form.
const PRE_SHIFT: u32 = bindings::FSNOTIFY_PRE_SHIFT;
/// How far an event is shifted to become its POST form.
const POST_SHIFT: u32 = bindings::FSNOTIFY_POST_SHIFT;

/// Events that have a PRE and a POST form.
const FILTERABLE: u64 = (bindings::FAN_ACCESS
    | bindings::FAN_MODIFY
    | bindings::FAN_ATTRIB
    | bindings::FAN_OPEN
    | bindings::FAN_MOVED_FROM
    | bindings::FAN_MOVED_TO
    | bindings::FAN_CREATE
    | bindings::FAN_DELETE) as u64;

/// The object of an event is a directory.
const ONDIR: u64 = bindings::FAN_ONDIR as u64;

/// Bits that are not events, with the meaning that they have for all classes.
const FLAGS: u64 = ONDIR | bindings::FAN_EVENT_ON_CHILD as u64;

/// A set of PRE and POST events, as marks of the class and events have it.
///
/// # Invariants
///
/// Has no bits but PRE and POST forms of filterable events, `FAN_ONDIR` and `FAN_EVENT_ON_CHILD`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mask(u64);

impl Mask {
    /// Takes a mask as a mark or an event of the class has it in C.
    pub(crate) fn from_raw(mask: u64) -> Self {
        // INVARIANT: All other bits are dropped.
        Self(mask & (FILTERABLE << PRE_SHIFT | FILTERABLE << POST_SHIFT | FLAGS))
    }

    /// Translates a mask from user space: a plain event stands for both of its forms.
    ///
    /// Fails with `EINVAL` if a bit is not a filterable event, one of its forms, or a flag.
    pub(crate) fn fold(mask: u64) -> Result<Self> {
        let plain = mask & FILTERABLE;
        let folded = mask & !FILTERABLE | plain << PRE_SHIFT | plain << POST_SHIFT;
        let valid = Self::from_raw(folded);

        if valid.0 != folded {
            return Err(EINVAL);
        }
        Ok(valid)
    }

    /// As a mark or an event has it.
    pub(crate) fn into_raw(self) -> u64 {
        self.0
    }

    /// The events that are in it in their PRE form, as plain events.
    pub(crate) fn pre(self) -> u64 {
        self.0 >> PRE_SHIFT & FILTERABLE
    }

    /// The events that are in it in their POST form, as plain events.
    pub(crate) fn post(self) -> u64 {
        self.0 >> POST_SHIFT & FILTERABLE
    }

    /// Both sets in one.
    pub(crate) fn with(self, other: Self) -> Self {
        // INVARIANT: Both have only bits that are allowed.
        Self(self.0 | other.0)
    }

    /// The PRE events, and the flags that can be reported.
    pub(crate) fn pre_only(self) -> Self {
        // INVARIANT: Some of the bits that were there.
        Self(self.0 & (FILTERABLE << PRE_SHIFT | ONDIR))
    }

    /// The POST events, and the flags that can be reported.
    pub(crate) fn post_only(self) -> Self {
        // INVARIANT: Some of the bits that were there.
        Self(self.0 & (FILTERABLE << POST_SHIFT | ONDIR))
    }

    /// The POST events among these that are about an operation, whose plain events are `events`.
    pub(crate) fn posts_of(self, events: u64) -> Self {
        // INVARIANT: Some of the bits that were there.
        Self((events & FILTERABLE) << POST_SHIFT & self.0)
    }
}

#[kunit_tests(vfs_filter_mask)]
mod tests {
    use super::*;

    const MODIFY: u64 = bindings::FAN_MODIFY as u64;

    #[test]
    fn plain_event_folds_into_both_forms() -> Result {
        let mask = Mask::fold(MODIFY)?;

        assert_eq!(mask.into_raw(), MODIFY << 40 | MODIFY << 52);
        assert_eq!(mask.pre(), MODIFY);
        assert_eq!(mask.post(), MODIFY);
        Ok(())
    }

    #[test]
    fn each_form_stands_alone() -> Result {
        assert_eq!(Mask::fold(MODIFY << 40)?.post(), 0);
        assert_eq!(Mask::fold(MODIFY << 40)?.pre(), MODIFY);
        assert_eq!(Mask::fold(MODIFY << 52)?.pre(), 0);
        assert_eq!(Mask::fold(MODIFY << 52)?.post(), MODIFY);
        Ok(())
    }

    #[test]
    fn folding_is_idempotent() -> Result {
        let once = Mask::fold(FILTERABLE | FLAGS)?;

        assert!(Mask::fold(once.into_raw())? == once);
        Ok(())
    }

    #[test]
    fn flags_stay_where_they_are() -> Result {
        assert_eq!(Mask::fold(FLAGS)?.into_raw(), FLAGS);
        assert_eq!(Mask::fold(ONDIR | MODIFY)?.into_raw() & 0xffff_ffff, ONDIR);
        Ok(())
    }

    #[test]
    fn every_bit_is_valid_or_einval() {
        for bit in 0..64 {
            let mask = 1u64 << bit;
            let valid = mask & FLAGS != 0
                || mask & FILTERABLE != 0
                || (40..52).contains(&bit) && mask >> 40 & FILTERABLE != 0
                || bit >= 52 && mask >> 52 & FILTERABLE != 0;

            assert_eq!(Mask::fold(mask).is_ok(), valid);
            if !valid {
                assert!(Mask::fold(mask | MODIFY) == Err(EINVAL));
            }
        }
    }

    #[test]
    fn post_is_only_for_those_who_asked() -> Result {
        let pre = Mask::fold(MODIFY << 40 | ONDIR)?;
        let all = Mask::fold(FILTERABLE)?;
        let moved = u64::from(bindings::FAN_MOVED_FROM | bindings::FAN_MOVED_TO);

        assert_eq!(all.posts_of(MODIFY).into_raw(), MODIFY << 52);
        assert_eq!(all.posts_of(moved).into_raw(), moved << 52);
        assert_eq!(pre.posts_of(MODIFY).into_raw(), 0);
        assert_eq!(all.posts_of(ONDIR).into_raw(), 0);
        Ok(())
    }

    #[test]
    fn events_are_reported_in_one_form() -> Result {
        let both = Mask::fold(MODIFY | FLAGS)?;

        assert_eq!(both.pre_only().into_raw(), MODIFY << 40 | ONDIR);
        assert_eq!(both.post_only().into_raw(), MODIFY << 52 | ONDIR);
        assert!(both.pre_only().with(both.post_only()).with(Mask(FLAGS)) == both);
        Ok(())
    }
}
