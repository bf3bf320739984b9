// SPDX-License-Identifier: GPL-2.0

//! An operation in flight: which groups it asked, and which of them are told its end.
//!
//! All of this is called by the task that does the operation, or by the one that ends it after that,
//! so there is nothing to lock.

#![forbid(unsafe_code)]

use crate::event::Event;
use crate::event::Outcome;
use crate::event::ReservedPost;
use crate::event::Subject;
use crate::group;
use crate::group::Refusal;
use crate::mask::Mask;
use crate::queue::Question;
use crate::sys::class::attach;
use crate::sys::class::ClassEvent;
use crate::sys::class::ClassGroup;
use crate::sys::ignore::Targets;
use crate::sys::memcg;
use crate::sys::op::Op;
use crate::sys::user::User;
use crate::waiting::Deadline;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::Arc;

/// The class, see `sys/class.rs`. Its functions are in `file.rs`.
pub(crate) struct Filter;

/// A group, with the memory that its operations have.
pub(crate) type Group = group::Group<Asked>;

/// A group that was asked.
struct Record {
    group: ARef<ClassGroup<Filter>>,
    event: Arc<Event>,
    /// What the group is told when the operation ends. `None` if it denied it, or does not ask.
    post: Option<ReservedPost>,
    deadline: Option<Deadline>,
}

/// The groups that an operation asked, in that order. Most often that is one. When the operation has
/// ended, the first of them keeps the memory for another one.
#[derive(Default)]
pub(crate) struct Asked {
    first: Option<Record>,
    others: KVec<Record>,
}

impl Asked {
    #[inline(always)]
    fn push(&mut self, record: Record) -> Result {
        if self.first.is_none() {
            self.first = Some(record);
        } else {
            self.others.push(record, memcg::gfp())?;
        }
        Ok(())
    }

    fn pop(&mut self) {
        if self.others.pop().is_none() {
            self.first = None;
        }
    }

    fn last_mut(&mut self) -> Option<&mut Record> {
        self.others.last_mut().or(self.first.as_mut())
    }

    fn contains(&self, group: &ClassGroup<Filter>) -> bool {
        Iterator::chain(self.first.iter(), self.others.iter())
            .any(|record| core::ptr::eq(&*record.group, group))
    }

    /// Waits for the group that was asked last.
    ///
    /// Fails with what it denied the operation with, or `EINTR` after a fatal signal.
    pub(crate) fn wait(&mut self) -> Result {
        let record = self.last_mut().ok_or(EIO)?;
        let group = record.group.get();
        let answered = group.wait_for_answer(&record.event, record.deadline);
        let Err(refusal) = answered else {
            return Ok(());
        };

        // A group that denies is not told the end, nor one that has not heard of the beginning.
        if !matches!(refusal, Refusal::Killed { was_read: true }) {
            record.post = None;
        }
        Err(refusal.into())
    }

    /// The operation ended: tells the groups.
    pub(crate) fn end(mut self: KBox<Self>, op: &Op<Self>) {
        let first = self.first.take();
        let others = core::mem::take(&mut self.others);
        // What was made for a mapping was not paid for by a group.
        let mut rest = Some(self).filter(|_| !op.is_mapped());

        for record in Iterator::chain(first.into_iter(), others) {
            let ignored = record.is_ignored(op);
            let post = record.post.filter(|_| !ignored).map(|post| post.end(op));

            record.group.get().end(&record.event, post, rest.take());
        }
    }
}

impl Record {
    /// Did the group answer that it ignores the end, and does it still?
    ///
    /// What is done through a mapping cannot be ignored in this way, as it outlives what the group
    /// had in mind.
    fn is_ignored(&self, op: &Op<Asked>) -> bool {
        let ignored = self.event.ignored();

        !op.is_mapped()
            && ignored.is_some_and(|ignored| ignored.in_force(&self.group, op, self.event.sent()))
    }
}

/// Is the group not to see this operation, or has it seen it already?
#[inline(always)]
fn is_exempt(group: &ClassGroup<Filter>, op: &mut Op<Asked>) -> bool {
    let class_group = group;
    let group = class_group.get();
    let listeners = group.listeners();

    listeners.have(op.process())
        || group.exempt_cgroups().any(|cgroup| op.is_in(cgroup))
        || op
            .attached()
            .is_some_and(|asked| asked.contains(class_group))
}

/// What a group is told of an operation. Fails with `ENOMEM`, and with `ENAMETOOLONG`.
fn subject(group: &Group, op: &Op<Asked>, event: &ClassEvent, mask: Mask) -> Result<Subject> {
    let records = group.records();

    Ok(Subject {
        mask,
        kind: op.kind(),
        pid: event.pid(),
        user: User::of_current(),
        has_pidfd: group.reports_pidfd(),
        fsid: event.fsid(),
        fid: op.fid()?,
        replaced: if records.replaced() {
            op.replaced()?
        } else {
            None
        },
        place: op.place(group.reports_name())?,
        range: op.range(),
        mount: records.mount().then(|| event.mount()),
        cgroup: records.cgroup().then(|| op.cgroup_id()),
    })
}

/// An operation is about to start. Returns true if the group was asked and is to be waited for.
///
/// Fails with `EAGAIN` if the caller cannot wait, with `EIO` if the group was closed and fails closed, with
/// `ENOMEM`, and with `ENAMETOOLONG` where there
/// is no room for a name: an operation that a group could not be asked about is not let pass.
pub(crate) fn pre(
    group: &ClassGroup<Filter>,
    op: &mut Op<Asked>,
    event: &ClassEvent,
) -> Result<bool> {
    let exempt = is_exempt(group, op);

    if exempt || op.is_probe() {
        return Ok(exempt && op.is_probe());
    }
    if group.get().is_sentinel() {
        group.count_denied();
        return Err(EIO);
    }
    if op.nowait() {
        return Err(EAGAIN);
    }

    let mask = Mask::from_raw(event.mask());
    let wanted = Mask::from_raw(event.wanted()).posts_of(op.event());
    let cookie = op.cookie();
    let subject = || {
        let group = group.get();

        if group.reports_pidfd() {
            event.keep_pidfd()?;
        }
        subject(&group, op, event, mask.with(wanted))
    };
    let (pre, post) = Event::ask(cookie, subject)?;
    let record = Record {
        group: group.into(),
        event: pre.clone(),
        post: (wanted.post() != 0).then_some(post),
        deadline: group.get().deadline(),
    };
    let super_block = op.counts().then_some(op.super_block());
    let question = Question::new(pre.clone(), Targets::of(op, event), super_block);
    let (room, asked) = group.get().room(op.attached().is_none(), op.is_mapped())?;

    if let Some(asked) = asked {
        attach::<Filter>(op, asked);
    }
    let asked = op.attached().ok_or(EIO)?;

    asked.push(record)?;
    match group.get().ask(group, question, room, &pre) {
        Ok(true) => Ok(true),
        // The listener is gone, and its marks are about to be, or it fails closed.
        refused => {
            asked.pop();
            if refused.is_err() {
                group.count_denied();
            }
            refused
        }
    }
}

/// An operation ended that the group is interested in. Tells it, unless it was asked before.
pub(crate) fn post(group: &ClassGroup<Filter>, op: &mut Op<Asked>, event: &ClassEvent) {
    if group.get().is_sentinel() || is_exempt(group, op) {
        return;
    }

    let cookie = op.cookie();
    let group = group.get();
    let subject = || {
        // It can be opened as long as the process is there, if this fails.
        let _ = group.reports_pidfd().then(|| event.keep_pidfd());

        subject(&group, op, event, Mask::from_raw(event.mask()))
    };

    match Event::unpaired(cookie, subject, Outcome::of(op)) {
        Ok(post) => group.post(post),
        Err(_) => group.lose(),
    }
}
