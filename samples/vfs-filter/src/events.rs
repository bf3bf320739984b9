// SPDX-License-Identifier: GPL-2.0

//! Event masks.

use crate::uapi;

bitflags::bitflags! {
    /// A set of filterable events, with the modifiers a mark may carry.
    ///
    /// A mark with a plain event asks for its PRE and its POST; [`Events::pre`] and
    /// [`Events::post`] ask for one of them alone.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Events: u64 {
        /// Data is read.
        const ACCESS = uapi::FAN_ACCESS;
        /// Data is written.
        const MODIFY = uapi::FAN_MODIFY;
        /// Metadata is changed.
        const ATTRIB = uapi::FAN_ATTRIB;
        /// A file or directory is opened.
        const OPEN = uapi::FAN_OPEN;
        /// A name is moved away from a directory.
        const MOVED_FROM = uapi::FAN_MOVED_FROM;
        /// A name is moved into a directory.
        const MOVED_TO = uapi::FAN_MOVED_TO;
        /// A name is made in a directory.
        const CREATE = uapi::FAN_CREATE;
        /// A name is removed from a directory.
        const DELETE = uapi::FAN_DELETE;
        /// Modifier of a mark: events on directories too.
        const ONDIR = uapi::FAN_ONDIR;
        /// Modifier of an inode mark on a directory: events on what is in it too.
        const ON_CHILD = uapi::FAN_EVENT_ON_CHILD;
    }
}

impl Events {
    /// Every event that has a PRE and a POST form.
    pub const FILTERABLE: Self = Self::ACCESS
        .union(Self::MODIFY)
        .union(Self::ATTRIB)
        .union(Self::OPEN)
        .union(Self::MOVED_FROM)
        .union(Self::MOVED_TO)
        .union(Self::CREATE)
        .union(Self::DELETE);

    /// The PRE forms alone of the filterable events in `self`; modifiers are kept.
    #[must_use]
    pub const fn pre(self) -> Self {
        self.shifted(uapi::FAN_PRE_SHIFT)
    }

    /// The POST forms alone of the filterable events in `self`; modifiers are kept.
    #[must_use]
    pub const fn post(self) -> Self {
        self.shifted(uapi::FAN_POST_SHIFT)
    }

    const fn shifted(self, by: u32) -> Self {
        let filterable = self.bits() & Self::FILTERABLE.bits();
        let modifiers = self.bits() & !Self::FILTERABLE.bits();
        Self::from_bits_retain((filterable << by) | modifiers)
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn pre_and_post_are_the_bits_of_the_uapi() {
        assert_eq!(Events::MODIFY.pre().bits(), 2 << 40);
        assert_eq!(Events::MODIFY.post().bits(), 2 << 52);
        assert_eq!(Events::DELETE.post().bits(), 0x200 << 52);
    }

    #[test]
    fn modifiers_stay_where_they_are() {
        let events = Events::OPEN | Events::ONDIR | Events::ON_CHILD;
        assert_eq!(events.pre().bits(), (0x20 << 40) | 0x4800_0000);
    }

    #[test]
    fn a_form_of_a_form_is_unchanged() {
        assert_eq!(Events::MODIFY.pre().pre(), Events::MODIFY.pre());
    }
}
