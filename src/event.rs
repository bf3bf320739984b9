// SPDX-License-Identifier: GPL-2.0

//! An event of a group, from PRE to POST.
//!
//! # States
//!
//! One [`Event`] is allocated for each operation that a group is asked about. It is what the
//! listener reads twice. Who may do what with it is a matter of which handle one owns:
//!
//! 1. *Queued.* [`Event::ask`] returns the event, of which a question goes into the PRE lane
//!    (`queue/questions.rs`), and the right to end it, which stays with the operation.
//! 2. *Read.* The question is taken from the lane, and the event copied to user space.
//! 3. *Answered.* The question is taken out and the [`Reply`] is set; then what the question referred
//!    to is put, and the task woken up. A task that is killed takes the question out itself, or waits
//!    for who has; so there is either a reply or a cancellation, and never both. If it was not read by
//!    then, the story ends.
//! 4. *In flight.* The operation owns the [`ReservedPost`]. If the group denied the operation, or
//!    did not ask for POST, it is dropped and the story ends.
//! 5. *Posted.* [`ReservedPost::end`] uses it up and returns the [`Post`], which goes into the POST
//!    lane. No memory is needed for that and no limit applies: a POST cannot be lost, and as the
//!    handle cannot be copied, it cannot come twice.
//!
//! From 2 it goes back to 1 if it cannot be copied, or its reader goes. It can be taken again while it is
//! still being copied for the one who had it first, so each [`Taking`] has a number. If no answer comes in time, the
//! task decides, as the group has told it to. What was allowed in that way and not read is no more than
//! a POST without a PRE: it can be lost.
//!
//! A POST without a PRE ([`Event::unpaired`]) begins at 5 and counts against the queue limit. What
//! is not about an operation ([`Event::overflow`], [`Event::barrier`], [`Event::gone`]) begins there,
//! too, and does not count.
//!
//! An answer can make the event ignored from there on. Then 5 is only reached if that is no longer
//! so when the operation ends.
//!
//! # Locking
//!
//! An event has no lock. What changes in it is set once: the reply under the group's queue lock,
//! the outcome by the owner of the [`ReservedPost`]; but its place in the lane, and its reader, which
//! are changed and looked at under the queue lock.

#![forbid(unsafe_code)]

use crate::listeners::Reader;
use crate::mask::Mask;
use crate::sys::completion::Completion;
use crate::sys::fid::Fid;
use crate::sys::ignore::Ignored;
use crate::sys::memcg;
use crate::sys::moment::Moment;
use crate::sys::op::Op;
use crate::sys::op::Place;
use crate::sys::op::Range;
use crate::sys::pid::Number;
use crate::sys::pid::Pid;
use crate::sys::user::User;
use crate::verdict::Verdict;
use crate::wire;
use kernel::bindings;
use kernel::list::impl_list_arc_safe;
use kernel::list::impl_list_item;
use kernel::list::ListArc;
use kernel::list::ListLinks;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::sync::atomic::Relaxed;
use kernel::sync::Arc;
use kernel::sync::SetOnce;
use kernel::sync::UniqueArc;
use kernel::time::Jiffies;

/// The number of no reader.
const NO_READER: usize = usize::MAX;

/// In which form an event is read, and in which lane it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// It waits for an answer.
    Pre,
    /// The end of an operation, and what is not about an operation.
    Post,
}

/// A super block, and the number of the answer that allowed an operation on it.
pub(crate) type InFlight = (usize, u64);

/// Which time it is that a question was taken from the lane. Who has taken it need not have it any
/// more, nor has it if it was taken again, be it by the same reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taking(u32);

/// The right to have an event in the POST lane.
pub(crate) type Post = ListArc<Event>;

/// What an event tells of the object and of the task.
pub(crate) struct Subject {
    /// Event in its PRE form, its POST form, or both, and `FAN_ONDIR`.
    pub(crate) mask: Mask,
    /// What kind of operation it is: `FAN_OP_ASYNC`, `FAN_OP_MAPPED`, `FAN_OP_NO_OPEN`.
    pub(crate) kind: u32,
    /// Who does it.
    pub(crate) pid: Pid,
    /// Whose task waits for an answer, if one is wanted.
    pub(crate) user: User,
    /// Is a pidfd reported?
    pub(crate) has_pidfd: bool,
    /// Id of the file system.
    pub(crate) fsid: [i32; 2],
    /// The object, if it is there already.
    pub(crate) fid: Option<Fid>,
    /// What a rename replaces, as far as the group asks for it.
    pub(crate) replaced: Option<KBox<Fid>>,
    /// Where the object has its name, as far as the group is told.
    pub(crate) place: Place,
    /// Bytes that were asked for.
    pub(crate) range: Option<Range>,
    /// Unique id of the mount, if the group asks for it.
    pub(crate) mount: Option<u64>,
    /// Id of the cgroup of the task, if the group asks for it.
    pub(crate) cgroup: Option<u64>,
}

/// How an operation ended.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// A count, or a negative errno.
    pub(crate) result: i64,
    /// Bytes that were read or written.
    pub(crate) range: Option<Range>,
    /// `FAN_OP_LAST_LINK`, or 0.
    pub(crate) flags: u32,
}

impl Outcome {
    /// How an operation ended, at its end.
    pub(crate) fn of<T>(op: &Op<T>) -> Self {
        Self {
            result: op.result(),
            range: op.range(),
            flags: op.end_flags(),
        }
    }
}

/// What a group had marked and is gone.
#[derive(Clone, Copy)]
pub(crate) struct Gone {
    /// Id of the file system that it was on.
    pub(crate) fsid: [i32; 2],
    /// Unique id of a mount.
    pub(crate) mount: Option<u64>,
}

/// What an event is about.
enum About {
    Operation(Subject),
    /// Events were lost.
    Overflow,
    /// Operations have ended.
    Barrier,
    Gone(Gone, Fid),
}

/// An answer, and what has become of the operation by it.
#[derive(Clone, Copy)]
pub(crate) struct Reply {
    pub(crate) verdict: Verdict,
    /// What the answer has made to be ignored.
    pub(crate) ignored: Option<Ignored>,
    /// By what the question is found while the operation is in flight, if it is.
    pub(crate) in_flight: Option<InFlight>,
    /// It is no one's, but came as the time was over.
    pub(crate) is_expired: bool,
    /// And no one had read the question by then.
    pub(crate) is_unread: bool,
}

impl Reply {
    /// A verdict, and no more.
    pub(crate) fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            ignored: None,
            in_flight: None,
            is_expired: false,
            is_unread: false,
        }
    }

    /// What comes when no answer came in time.
    pub(crate) fn expired(verdict: Verdict, is_unread: bool) -> Self {
        Self {
            is_expired: true,
            is_unread,
            ..Self::of(verdict)
        }
    }
}

/// An event, see the [module](self).
#[pin_data]
pub(crate) struct Event {
    /// Number of the operation, or of the barrier; 0 for what has none.
    cookie: u64,
    about: About,
    /// Was the group asked before?
    paired: bool,
    /// The group was asked, but the PRE could not be copied to user space.
    unheard: SetOnce<()>,
    reply: SetOnce<Reply>,
    outcome: SetOnce<Outcome>,
    /// The object, if the operation has made it.
    made: SetOnce<KBox<Fid>>,
    #[pin]
    answered: Completion,
    /// When it was made.
    since: Moment,
    /// In the POST lane, counted from the first that was ever there.
    place: Atomic<u64>,
    /// Who has read it in its PRE form, or is about to.
    reader: Atomic<usize>,
    read_by: Atomic<u64>,
    /// How often it was taken from the PRE lane.
    takings: Atomic<u32>,
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Event { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Event { using ListLinks { self.links }; }
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
            unheard: SetOnce::new(),
            reply: SetOnce::new(),
            outcome: SetOnce::new(),
            made: SetOnce::new(),
            answered <- Completion::new(),
            since: Moment::now(),
            place: Atomic::new(0),
            reader: Atomic::new(NO_READER),
            read_by: Atomic::new(0),
            takings: Atomic::new(0),
            links <- ListLinks::new(),
        }? Error);

        UniqueArc::pin_init(init, memcg::gfp())
    }

    /// A question to a group, and the POST that is reserved for its answer.
    ///
    /// Fails with `ENOMEM`, or as `subject` does.
    pub(crate) fn ask(
        cookie: u64,
        subject: impl FnOnce() -> Result<Subject>,
    ) -> Result<(Arc<Self>, ReservedPost)> {
        let event = Self::new(cookie, || subject().map(About::Operation), true)?;
        let made = match event.subject().map(|s| &s.fid) {
            Some(None) => Some(KBox::new(Fid::reserve()?, memcg::gfp())?),
            _ => None,
        };
        let post = Post::from(event);

        Ok((post.clone_arc(), ReservedPost { post, made }))
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

    /// The event that tells of what is gone. Fails with `ENOMEM`.
    pub(crate) fn gone(gone: Gone) -> Result<Post> {
        let about = || Ok(About::Gone(gone, Fid::invalid()));

        Ok(ListArc::from(Self::new(0, about, false)?))
    }

    /// The operation, if it is about one.
    fn subject(&self) -> Option<&Subject> {
        match &self.about {
            About::Operation(subject) => Some(subject),
            _ => None,
        }
    }

    /// Number of the operation, or of the barrier.
    pub(crate) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Whose task asks, as a number.
    pub(crate) fn user(&self) -> usize {
        self.subject().map_or(0, |s| s.user.nr())
    }

    /// Does the event count against the queue limit? So do those whose question no one has read:
    /// there is no bound to how many there can be.
    pub(crate) fn is_limited(&self) -> bool {
        let is_unread = self.reply.as_ref().is_some_and(|reply| reply.is_unread);

        (!self.paired || is_unread) && self.is_operation()
    }

    /// Was it reserved with the question, or is it one?
    pub(crate) fn is_reserved(&self) -> bool {
        !self.is_limited() && self.is_operation()
    }

    /// Is it about an operation?
    pub(crate) fn is_operation(&self) -> bool {
        self.subject().is_some()
    }

    /// Is this the event that tells of lost ones?
    pub(crate) fn is_overflow(&self) -> bool {
        matches!(self.about, About::Overflow)
    }

    /// Does this answer a barrier?
    pub(crate) fn is_barrier(&self) -> bool {
        matches!(self.about, About::Barrier)
    }

    /// Does a POST follow when the operation ends?
    fn wants_post(&self) -> bool {
        self.subject().is_some_and(|s| s.mask.post() != 0)
    }

    /// Was it allowed, so that a POST is owed when the operation ends?
    pub(crate) fn is_owed_post(&self) -> bool {
        self.verdict() == Some(Verdict::Allow) && self.wants_post()
    }

    /// Sets the answer. The caller takes the question out, so it is the only one, and wakes up the task.
    pub(crate) fn answer(&self, reply: Reply) {
        self.reply.populate(reply);
    }

    /// Wakes up the task: there is an answer, and whoever has given it has nothing left of what belongs
    /// to the task.
    pub(crate) fn wake(&self) {
        self.answered.complete();
    }

    /// The answer, if there is one.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.reply.as_ref().map(|reply| reply.verdict)
    }

    /// Did someone answer it?
    pub(crate) fn was_answered(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| !reply.is_expired)
    }

    /// What the answer has made to be ignored, if it has.
    pub(crate) fn ignored(&self) -> Option<Ignored> {
        self.reply.as_ref()?.ignored
    }

    /// By what the question is found while the operation is in flight.
    pub(crate) fn in_flight(&self) -> Option<InFlight> {
        self.reply.as_ref()?.in_flight
    }

    /// The group was asked, and has not heard of it: the POST says so.
    pub(crate) fn set_unheard(&self) {
        self.unheard.populate(());
    }

    /// Its place in the POST lane.
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Relaxed)
    }

    pub(crate) fn set_place(&self, place: u64) {
        self.place.store(place, Relaxed);
    }

    /// Who has read it in its PRE form and is to answer it; or had, when it was answered.
    pub(crate) fn reader(&self) -> Option<Reader> {
        match self.reader.load(Relaxed) {
            NO_READER => None,
            nr => Some(Reader::from_nr(nr)),
        }
    }

    /// Which process has read it.
    pub(crate) fn was_read_by(&self, process: Number) -> bool {
        self.read_by.load(Relaxed) == process.get()
    }

    /// The current process has taken it from the lane, to be read of this file.
    pub(crate) fn set_reader(&self, reader: Reader, process: Number) -> Taking {
        // Who would have it taken so often while it is copied holds up no one but himself.
        let takings = self.takings.load(Relaxed).wrapping_add(1);

        self.reader.store(reader.nr(), Relaxed);
        self.read_by.store(process.get(), Relaxed);
        self.takings.store(takings, Relaxed);
        Taking(takings)
    }

    /// Has whoever has taken it that time still got it; or had, when it was answered?
    pub(crate) fn is_taken(&self, taking: Taking) -> bool {
        self.reader().is_some() && Taking(self.takings.load(Relaxed)) == taking
    }

    /// It is not read.
    pub(crate) fn set_unread(&self) {
        self.reader.store(NO_READER, Relaxed);
    }

    /// Waits for the answer, up to `timeout` in jiffies. Returns whether there is one. Fails with
    /// `EINTR` after a fatal signal.
    pub(crate) fn wait(&self, timeout: Jiffies) -> Result<bool> {
        self.answered.wait(timeout)
    }

    /// Waits until the task is woken up, whatever signals come: someone is about to do that.
    pub(crate) fn wait_for_waker(&self) {
        self.answered.wait_uninterruptibly();
    }

    /// How long ago it was made, in milliseconds.
    pub(crate) fn age(&self) -> u64 {
        self.since.elapsed()
    }

    /// Who does the operation, if it is about one.
    pub(crate) fn pid(&self) -> Option<&Pid> {
        self.subject().map(|s| &s.pid)
    }

    /// What it is, as user space reads it.
    pub(crate) fn mask(&self, form: Form) -> u64 {
        match (&self.about, form) {
            (About::Operation(s), Form::Pre) => s.mask.pre_only().into_raw(),
            (About::Operation(s), Form::Post) => s.mask.post_only().into_raw(),
            (About::Overflow, _) => bindings::FAN_Q_OVERFLOW.into(),
            (About::Barrier, _) => bindings::FAN_Q_BARRIER.into(),
            (About::Gone(..), _) => bindings::FAN_Q_GONE.into(),
        }
    }

    /// How the operation ended: a count or a negative errno; 0 for what is not about one.
    pub(crate) fn result(&self) -> i64 {
        self.outcome.as_ref().map_or(0, |o| o.result)
    }

    /// Events of the operation that the group is told of, in their PRE and POST forms.
    pub(crate) fn sent(&self) -> u64 {
        self.subject().map_or(0, |s| s.mask.into_raw())
    }

    /// Whom a pidfd is reported of, if it is.
    pub(crate) fn pidfd_of(&self) -> Option<&Pid> {
        let subject = self.subject().filter(|s| s.has_pidfd)?;

        Some(&subject.pid)
    }

    /// The records that it has, but those of all events.
    fn records(&self, form: Form) -> wire::Records<'_> {
        let s = match &self.about {
            About::Operation(s) => s,
            About::Gone(gone, fid) => {
                return wire::Records {
                    fsid: gone.fsid,
                    fid: Some(fid),
                    mount: gone.mount,
                    ..Default::default()
                }
            }
            About::Overflow | About::Barrier => return wire::Records::default(),
        };
        let (made, range) = match form {
            Form::Pre => (None, s.range),
            Form::Post => (
                self.made.as_ref(),
                self.outcome.as_ref().and_then(|o| o.range),
            ),
        };

        wire::Records {
            fsid: s.fsid,
            place: Some(&s.place),
            fid: s.fid.as_ref().or(made.map(|fid| &**fid)),
            replaced: s.replaced.as_deref(),
            range,
            mount: s.mount,
            cgroup: s.cgroup,
            has_pidfd: s.has_pidfd,
        }
    }

    /// Bytes of the event as user space reads it.
    pub(crate) fn len(&self, form: Form) -> usize {
        self.records(form).event_len()
    }

    /// What user space reads of the event, with the descriptor that it is told, if any.
    pub(crate) fn fields(&self, form: Form, pidfd: Option<i32>) -> wire::Fields<'_> {
        let s = self.subject();
        let outcome = match form {
            Form::Pre => None,
            Form::Post => self.outcome.as_ref(),
        };
        let is_unpaired =
            form == Form::Post && (self.is_limited() || self.unheard.as_ref().is_some());
        let unpaired = if is_unpaired {
            bindings::FAN_OP_UNPAIRED
        } else {
            0
        };

        wire::Fields {
            mask: self.mask(form),
            pid: s.map_or(0, |s| s.pid.nr_for_current()),
            flags: unpaired | s.map_or(0, |s| s.kind) | outcome.map_or(0, |o| o.flags),
            cookie: self.cookie,
            result: outcome.map_or(0, |o| o.result),
            records: self.records(form),
            pidfd,
        }
    }

    /// A question about an operation without an object, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn for_test(user: User, cookie: u64) -> Result<Arc<Self>> {
        Self::ask_for_test(user, cookie).map(|(event, _)| event)
    }

    /// The end of such an operation that the group was asked about, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn for_test_post() -> Result<Post> {
        Self::ask_for_test(User::for_test(0), 1).map(|(_, reserved)| reserved.post)
    }

    #[cfg(CONFIG_KUNIT = "y")]
    fn ask_for_test(user: User, cookie: u64) -> Result<(Arc<Self>, ReservedPost)> {
        let subject = || {
            Ok(Subject {
                mask: Mask::fold(bindings::FAN_MODIFY.into())?,
                kind: 0,
                pid: Pid::current_process(),
                user,
                has_pidfd: false,
                fsid: [0; 2],
                fid: None,
                replaced: None,
                place: Place::Nowhere,
                range: None,
                mount: None,
                cgroup: None,
            })
        };

        Self::ask(cookie, subject)
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
    /// The operation ended: returns the event to be put into the POST lane.
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
