// SPDX-License-Identifier: GPL-2.0

//! An event of a group, from PRE to POST.
//!
//! # States
//!
//! One [`Event`] is allocated for each operation that a group is asked about. It is what the
//! listener reads twice. Who may do what with it is a matter of which handle one owns:
//!
//! 1. *Queued.* [`Event::ask`] gives two handles. The [`Pre`] goes into the PRE lane, and a record
//!    of it into the tree of questions (`queue.rs`).
//! 2. *Read.* The [`Pre`] is taken from the lane and used up by copying the event to user space.
//! 3. *Answered.* The record is taken from the tree and the [`Verdict`] is set, which wakes up the
//!    task. A task that is killed takes the record from the tree itself; so there is either a
//!    verdict or a cancellation, and never both.
//! 4. *In flight.* The operation owns the [`ReservedPost`]. If the group denied the operation, or
//!    did not ask for POST, it is dropped and the story ends.
//! 5. *Posted.* [`ReservedPost::end`] uses it up and gives the [`Post`], which goes into the POST
//!    lane. No memory is needed for that and no limit applies: a POST cannot be lost, and as the
//!    handle cannot be copied, it cannot come twice.
//!
//! A POST without a PRE ([`Event::unpaired`]) begins at 5 and counts against the queue limit. An
//! overflow and the answer to a barrier begin there, too, and do not count.
//!
//! An answer can make the event ignored from there on. Then 5 is only reached if that is no longer
//! so when the operation ends.
//!
//! # Locking
//!
//! An event has no lock. What changes in it is set once: the verdict under the group's queue lock,
//! the outcome by the owner of the [`ReservedPost`].

#![forbid(unsafe_code)]

use crate::mask::Mask;
use crate::sys::completion::Completion;
use crate::sys::fid::Fid;
use crate::sys::ignore::Ignored;
use crate::sys::op::Op;
use crate::sys::op::Place;
use crate::sys::op::Range;
use crate::sys::pid::Pid;
use crate::verdict::Verdict;
use crate::wire;
use kernel::bindings;
use kernel::list::impl_list_arc_safe;
use kernel::list::impl_list_item;
use kernel::list::ListArc;
use kernel::list::ListLinks;
use kernel::prelude::*;
use kernel::sync::SetOnce;
use kernel::sync::UniqueArc;

/// Lane of events that wait for an answer.
pub(crate) const PRE: u64 = 0;
/// Lane of all other events.
pub(crate) const POST: u64 = 1;

/// The right to have an event in the PRE lane.
pub(crate) type Pre = ListArc<Event, PRE>;
/// The right to have an event in the POST lane.
pub(crate) type Post = ListArc<Event, POST>;

/// What an event tells of the object and of the task.
pub(crate) struct Subject {
    /// Event in its PRE form, its POST form, or both, and `FAN_ONDIR`.
    pub(crate) mask: Mask,
    /// What kind of operation it is: `FAN_OP_ASYNC`, `FAN_OP_MAPPED`, or neither.
    pub(crate) kind: u32,
    /// Who does it.
    pub(crate) pid: Pid,
    /// Id of the file system.
    pub(crate) fsid: [i32; 2],
    /// The object, if it is there already.
    pub(crate) fid: Option<Fid>,
    /// Where the object has its name, as far as the group is told.
    pub(crate) place: Place,
    /// Bytes that were asked for.
    pub(crate) range: Option<Range>,
}

/// How an operation ended.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// A count, or a negative errno.
    pub(crate) result: i64,
    /// Bytes that were read or written.
    pub(crate) range: Option<Range>,
}

impl Outcome {
    /// How an operation ended, at its end.
    pub(crate) fn of<T>(op: &Op<T>) -> Self {
        Self {
            result: op.result(),
            range: op.range(),
        }
    }
}

/// What an event is about.
enum About {
    Operation(Subject),
    /// Events were lost.
    Overflow,
    /// Operations have ended.
    Barrier,
}

/// An event, see the [module](self).
#[pin_data]
pub(crate) struct Event {
    /// Number of the operation, or of the barrier; 0 for an overflow.
    cookie: u64,
    about: About,
    /// Was the group asked before?
    paired: bool,
    verdict: SetOnce<Verdict>,
    /// What the answer has made to be ignored.
    ignored: SetOnce<Ignored>,
    outcome: SetOnce<Outcome>,
    /// The object, if the operation has made it.
    made: SetOnce<KBox<Fid>>,
    #[pin]
    answered: Completion,
    #[pin]
    pre_links: ListLinks<PRE>,
    #[pin]
    post_links: ListLinks<POST>,
}

impl_list_arc_safe! {
    impl ListArcSafe<{ PRE }> for Event { untracked; }
    impl ListArcSafe<{ POST }> for Event { untracked; }
}

impl_list_item! {
    impl ListItem<{ PRE }> for Event { using ListLinks { self.pre_links }; }
    impl ListItem<{ POST }> for Event { using ListLinks { self.post_links }; }
}

impl Event {
    /// What it is about is made in its place, which saves moving it there.
    fn new(
        cookie: u64,
        about: impl FnOnce() -> Result<About>,
        paired: bool,
    ) -> Result<Pin<UniqueArc<Self>>> {
        let init = try_pin_init!(Self {
            cookie,
            about: about()?,
            paired,
            verdict: SetOnce::new(),
            ignored: SetOnce::new(),
            outcome: SetOnce::new(),
            made: SetOnce::new(),
            answered <- Completion::new(),
            pre_links <- ListLinks::new(),
            post_links <- ListLinks::new(),
        }? Error);

        UniqueArc::pin_init(init, GFP_KERNEL_ACCOUNT)
    }

    /// A question to a group, and the POST that is reserved for its answer.
    ///
    /// Fails with `ENOMEM`, or as `subject` does.
    pub(crate) fn ask(
        cookie: u64,
        subject: impl FnOnce() -> Result<Subject>,
    ) -> Result<(Pre, ReservedPost)> {
        let event = Self::new(cookie, || subject().map(About::Operation), true)?;
        let made = match event.subject().map(|s| &s.fid) {
            Some(None) => Some(KBox::new(Fid::reserve()?, GFP_KERNEL_ACCOUNT)?),
            _ => None,
        };
        let (pre, post) = ListArc::pair_from_pin_unique(event);

        Ok((pre, ReservedPost { post, made }))
    }

    /// The end of an operation that the group was not asked about.
    ///
    /// Fails with `ENOMEM`, or as `subject` does.
    pub(crate) fn unpaired(
        cookie: u64,
        subject: impl FnOnce() -> Result<Subject>,
        outcome: Outcome,
    ) -> Result<Post> {
        let event = Self::new(cookie, || subject().map(About::Operation), false)?;
        let post = Post::from(event);

        post.outcome.populate(outcome);
        Ok(post)
    }

    /// The event that tells of lost ones. Fails with `ENOMEM`.
    pub(crate) fn overflow() -> Result<Post> {
        Ok(ListArc::from(Self::new(0, || Ok(About::Overflow), false)?))
    }

    /// The event that answers a barrier. Fails with `ENOMEM`.
    pub(crate) fn barrier(number: u64) -> Result<Post> {
        Ok(ListArc::from(Self::new(
            number,
            || Ok(About::Barrier),
            false,
        )?))
    }

    /// The operation, if it is about one.
    fn subject(&self) -> Option<&Subject> {
        match &self.about {
            About::Operation(subject) => Some(subject),
            About::Overflow | About::Barrier => None,
        }
    }

    /// Number of the operation, or of the barrier.
    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Does the event count against the queue limit?
    pub(crate) fn is_limited(&self) -> bool {
        !self.paired && self.is_operation()
    }

    /// Is it about an operation?
    pub(crate) fn is_operation(&self) -> bool {
        self.subject().is_some()
    }

    /// Is this the event that tells of lost ones?
    pub(crate) fn is_overflow(&self) -> bool {
        matches!(self.about, About::Overflow)
    }

    /// Is this the event that answers a barrier?
    pub(crate) fn is_barrier(&self) -> bool {
        matches!(self.about, About::Barrier)
    }

    /// Does a POST follow when the operation ends?
    pub(crate) fn wants_post(&self) -> bool {
        self.subject().is_some_and(|s| s.mask.post() != 0)
    }

    /// Sets the answer, and what it has made to be ignored. The caller takes the event from the
    /// tree of questions, so it is the only one.
    pub(crate) fn answer(&self, verdict: Verdict, ignored: Option<Ignored>) {
        if let Some(ignored) = ignored {
            self.ignored.populate(ignored);
        }
        self.verdict.populate(verdict);
        self.answered.complete();
    }

    /// The answer, if there is one.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.verdict.copy()
    }

    /// What the answer has made to be ignored, if it has.
    pub(crate) fn ignored(&self) -> Option<Ignored> {
        self.ignored.copy()
    }

    /// Waits for the answer. Fails with `EINTR` after a fatal signal.
    pub(crate) fn wait(&self) -> Result {
        self.answered.wait()
    }

    /// Events of the operation that the group is told of, in their PRE and POST forms.
    pub(crate) fn sent(&self) -> u64 {
        self.subject().map_or(0, |s| s.mask.into_raw())
    }

    /// Who does the operation, if it is about one.
    pub(crate) fn pid(&self) -> Option<&Pid> {
        self.subject().map(|s| &s.pid)
    }

    /// The object and its place, as far as user space is told of them now.
    fn objects(&self, is_pre: bool) -> wire::Objects<'_> {
        let Some(s) = self.subject() else {
            return wire::Objects::default();
        };
        let made = if is_pre { None } else { self.made.as_ref() };

        wire::Objects {
            place: Some(&s.place),
            fid: s.fid.as_ref().or(made.map(|fid| &**fid)),
        }
    }

    fn range(&self, is_pre: bool) -> Option<Range> {
        if is_pre {
            self.subject()?.range
        } else {
            self.outcome.as_ref()?.range
        }
    }

    /// Bytes of the event as user space reads it, with or without a pidfd.
    pub(crate) fn len(&self, is_pre: bool, has_pidfd: bool) -> usize {
        wire::len(
            self.objects(is_pre),
            self.range(is_pre).is_some(),
            has_pidfd,
        )
    }

    /// What user space reads as the PRE event, or else as the POST event, or as one that is not about
    /// an operation.
    pub(crate) fn fields(&self, is_pre: bool, pidfd: Option<i32>) -> wire::Fields<'_> {
        let s = self.subject();
        let form = if is_pre {
            Mask::pre_only
        } else {
            Mask::post_only
        };
        let unpaired = if !is_pre && self.is_limited() {
            bindings::FAN_OP_UNPAIRED
        } else {
            0
        };
        let outcome = if is_pre { None } else { self.outcome.as_ref() };

        wire::Fields {
            mask: match &self.about {
                About::Operation(s) => form(s.mask).into_raw(),
                About::Overflow => bindings::FAN_Q_OVERFLOW.into(),
                About::Barrier => bindings::FAN_Q_BARRIER.into(),
            },
            pid: s.map_or(0, |s| s.pid.nr_for_current()),
            flags: unpaired | s.map_or(0, |s| s.kind),
            cookie: self.cookie,
            result: outcome.map_or(0, |o| o.result),
            fsid: s.map_or([0; 2], |s| s.fsid),
            objects: self.objects(is_pre),
            range: self.range(is_pre),
            pidfd,
        }
    }
}

/// The right to tell a group how an operation ended, once. Dropped, the group is not told.
#[must_use = "the group that allowed the operation waits for its end"]
pub(crate) struct ReservedPost {
    post: Post,
    /// Room for the handle of an object that was not there at PRE.
    made: Option<KBox<Fid>>,
}

impl ReservedPost {
    /// The operation ended: gives the event to be put into the POST lane.
    pub(crate) fn end<T>(self, op: &Op<T>) -> Post {
        if let Some(mut fid) = self.made {
            if op.fill(&mut fid) {
                self.post.made.populate(fid);
            }
        }
        self.post.outcome.populate(Outcome::of(op));
        self.post
    }
}
