// SPDX-License-Identifier: GPL-2.0

//! What goes into the machine, and what comes out of it.

use crate::Entry;
use crate::Operation;
use crate::Period;
use serde::Deserialize;
use serde::Serialize;

/// How a new period gets to see what was ignored in the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A new group for each period, which subscribes with FAN_MARK_SYNC before the old one is closed.
    Alternating,
    /// One group, whose ignore masks are flushed with FAN_MARK_SYNC; what is received meanwhile is
    /// recorded in both periods.
    Single,
}

/// What is done about operations that are under way at a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Straddlers {
    /// The period can be read at once. Their POST is recorded in a later one.
    Post,
    /// The period can be read when they have ended, which FAN_Q_BARRIER says. No POST is needed,
    /// except of mappings.
    #[default]
    Barrier,
}

/// What a machine is to be like.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How a new period gets to see what was ignored.
    pub scheme: Scheme,
    /// What is done about straddlers.
    pub straddlers: Straddlers,
    /// Whether what is recorded may be ignored at all.
    pub ignore: bool,
    /// How many names in one directory are recorded in a period, before it is recorded as a whole
    /// and ignored.
    pub names: usize,
    /// How many changes are recorded in a period, before it is recorded as
    /// [`Change::Everything`](crate::Change::Everything), and nothing else in it any more.
    pub changes: usize,
}

/// A group, by the period that it was made in.
pub type GroupId = Period;

/// An event, as far as the schemes care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// An operation waits for its answer.
    Pre(Operation),
    /// An operation has ended.
    Post(Operation),
    /// The group's barrier of this number.
    Barrier(u64),
    /// Events were lost.
    Overflow,
    /// What was marked is gone. It is the last event, and nothing to the schemes.
    Gone,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Append this to the log. [`Machine::durable`](crate::Machine::durable) is to be told when it is durable.
    Append(Entry),
    /// Allow what waits.
    Answer {
        /// The group it waits for.
        group: GroupId,
        /// The operation.
        cookie: u64,
        /// Whether to ignore the like of it from now on.
        ignore: bool,
    },
    /// Flush the ignore masks of the group with FAN_MARK_SYNC, then call [`Machine::flushed`](crate::Machine::flushed).
    Flush(GroupId),
    /// Make a group and subscribe it with FAN_MARK_SYNC, then call [`Machine::subscribed`](crate::Machine::subscribed).
    Subscribe(GroupId),
    /// Pass on all events that the group has, then call [`Machine::drained`](crate::Machine::drained).
    Drain(GroupId),
    /// Close the group. That may take its time in the background.
    Close(GroupId),
    /// Set the group's next barrier.
    Barrier(GroupId),
}
