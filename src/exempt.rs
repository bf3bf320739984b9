// SPDX-License-Identifier: GPL-2.0

//! What a group exempts besides its listeners: a few cgroups, which it never lets go of again.
//!
//! Each operation that comes to a group looks at them, so that takes no lock. Adding one does.

#![forbid(unsafe_code)]

use kernel::new_mutex;
use kernel::prelude::*;
use kernel::sync::Mutex;
use kernel::sync::SetOnce;

/// How many there can be, for all of them are looked at.
const MAX: usize = 16;

/// A set that can be looked at while it grows.
#[pin_data]
pub(crate) struct Exempt<T> {
    /// In order, those that there are.
    members: [SetOnce<T>; MAX],
    #[pin]
    adding: Mutex<()>,
}

impl<T: PartialEq> Exempt<T> {
    /// Makes an empty one.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            members: [const { SetOnce::new() }; MAX],
            adding <- new_mutex!((), "vfs_filter::exempt"),
        })
    }

    /// Adds a member. Fails with `EEXIST`, and with `ENOSPC` if there is no room.
    pub(crate) fn add(&self, member: T) -> Result {
        let _adding = self.adding.lock();

        for place in &self.members {
            match place.as_ref() {
                Some(other) if *other == member => return Err(EEXIST),
                Some(_) => (),
                None => {
                    place.populate(member);
                    return Ok(());
                }
            }
        }
        Err(ENOSPC)
    }

    /// All that there are.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.members.iter().map_while(SetOnce::as_ref)
    }
}

#[kunit_tests(vfs_filter_exempt)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    #[test]
    fn each_is_there_once() -> Result {
        let exempt = Arc::pin_init(Exempt::new(), GFP_KERNEL)?;

        assert!(exempt.iter().next().is_none());
        exempt.add(7)?;
        exempt.add(5)?;
        assert!(exempt.add(7) == Err(EEXIST));
        assert!(exempt.iter().eq([7, 5].iter()));
        Ok(())
    }

    #[test]
    fn there_is_room_for_some() -> Result {
        let exempt = Arc::pin_init(Exempt::new(), GFP_KERNEL)?;

        for i in 0..MAX {
            exempt.add(i)?;
        }
        assert!(exempt.add(MAX) == Err(ENOSPC));
        assert!(exempt.add(MAX - 1) == Err(EEXIST));
        assert_eq!(exempt.iter().count(), MAX);
        Ok(())
    }
}
