// SPDX-License-Identifier: GPL-2.0

//! Records that events have only if the group asks for them.
//!
//! C header: [`include/uapi/linux/fanotify.h`](srctree/include/uapi/linux/fanotify.h)

#![forbid(unsafe_code)]

use kernel::bindings;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;

/// All that there are.
const ALL: u32 =
    bindings::FAN_RECORD_MNT | bindings::FAN_RECORD_CGROUP | bindings::FAN_RECORD_REPLACED;

/// A set of records.
///
/// # Invariants
///
/// Has no bits but those of [`ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Records(u32);

impl Records {
    /// Takes a set from user space. Fails with `EINVAL` for what is not known.
    pub(crate) fn parse(bits: usize) -> Result<Self> {
        match u32::try_from(bits) {
            // INVARIANT: As was checked.
            Ok(bits) if bits & !ALL == 0 => Ok(Self(bits)),
            _ => Err(EINVAL),
        }
    }

    /// The unique id of the mount.
    pub(crate) fn mount(self) -> bool {
        self.0 & bindings::FAN_RECORD_MNT != 0
    }

    /// The id of the task's cgroup.
    pub(crate) fn cgroup(self) -> bool {
        self.0 & bindings::FAN_RECORD_CGROUP != 0
    }

    /// The file handle of what a rename replaces.
    pub(crate) fn replaced(self) -> bool {
        self.0 & bindings::FAN_RECORD_REPLACED != 0
    }
}

/// A set that can be read while it is set. An event has the records of one moment.
pub(crate) struct AtomicRecords(Atomic<u32>);

impl AtomicRecords {
    /// None of them.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    pub(crate) fn get(&self) -> Records {
        // INVARIANT: Nothing else is stored.
        Records(self.0.load(Relaxed))
    }

    pub(crate) fn set(&self, records: Records) {
        self.0.store(records.0, Relaxed);
    }
}

#[kunit_tests(vfs_filter_records)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_bit() -> Result {
        for bits in 0..=ALL as usize {
            let records = Records::parse(bits)?;

            assert_eq!(records.mount(), bits & 1 != 0);
            assert_eq!(records.cgroup(), bits & 2 != 0);
            assert_eq!(records.replaced(), bits & 4 != 0);
        }
        Ok(())
    }

    #[test]
    fn others_are_refused() {
        for bit in 3..usize::BITS {
            assert!(Records::parse(1 << bit) == Err(EINVAL));
            assert!(Records::parse(1 << bit | 1) == Err(EINVAL));
        }
    }

    #[test]
    fn what_was_set_is_there() -> Result {
        let records = AtomicRecords::new();

        assert!(records.get() == Records(0));
        records.set(Records::parse(6)?);
        assert!(records.get() == Records(6));
        Ok(())
    }
}
