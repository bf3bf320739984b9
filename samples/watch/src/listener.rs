// SPDX-License-Identifier: GPL-2.0

//! The listener: reads events, prints them, answers.

use crate::line;
use crate::policy::Policy;
use crate::signals::Request;
use crate::signals::Signals;
use crate::source::Source;
use crate::tree::Place;
use crate::tree::Tree;
use crate::tree::EVENTS;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::mem;
use std::time::Instant;
use vfs_filter::Answer;
use vfs_filter::Errno;
use vfs_filter::Event;
use vfs_filter::Kind;
use vfs_filter::Mark;
use vfs_filter::Scope;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What was shown.
#[derive(Default)]
struct Counts {
    pre: u64,
    denied: u64,
    post: u64,
}

/// What events come from, and what this program knows about its operations.
pub(crate) struct Listener<W> {
    source: Source,
    tree: Tree,
    policy: Policy,
    out: W,
    /// When the PRE of each allowed operation came whose POST has not come yet.
    under_way: HashMap<u64, Instant>,
    /// How many files are ignored.
    ignored: usize,
    counts: Counts,
}

impl<W: Write> Listener<W> {
    pub(crate) fn new(source: Source, tree: Tree, policy: Policy, out: W) -> Self {
        Self {
            source,
            tree,
            policy,
            out,
            under_way: HashMap::new(),
            ignored: 0,
            counts: Counts::default(),
        }
    }

    /// Until a signal ends it.
    pub(crate) fn run(mut self, mut signals: Signals) -> Result {
        if self.source.is_marked() {
            writeln!(self.out, "watching, by a queue")?;
        } else {
            let marks = self.tree.mark(self.source.group())?;
            writeln!(self.out, "watching, marks: {marks}")?;
        }
        let mut buffer = vec![0; 64 * 1024];
        loop {
            wait(&self.source, &signals)?;
            for request in signals.take() {
                match request {
                    Request::Checkpoint => self.checkpoint()?,
                    Request::End => return self.end(),
                }
            }
            self.read(&mut buffer)?;
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result {
        let batch = match self.source.read(buffer) {
            Err(error) if matches!(error.errno(), Some(Errno::AGAIN | Errno::INTR)) => {
                return Ok(())
            }
            batch => batch?,
        };
        for event in batch {
            self.event(&event?)?;
        }
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) -> Result {
        let place = self.tree.place(event);
        match event.kind {
            Kind::Pre => self.pre(event, place),
            Kind::Post { result } => self.post(event, place, result),
            Kind::Overflow => Ok(writeln!(self.out, "LOST   events: the queue was full")?),
            Kind::Gone => Ok(writeln!(
                self.out,
                "GONE   what was watched: unmounted, or deleted"
            )?),
            _ => Ok(()),
        }
    }

    fn pre(&mut self, event: &Event<'_>, place: Place) -> Result {
        let cookie = event.cookie;
        let (path, denied) = match place {
            Place::Outside => {
                self.source.answer(&[Answer::allow(cookie)])?;
                return Ok(());
            }
            Place::Inside(path) => (line::printable(&path), self.policy.denies(&path)),
            Place::Unknown(object) => (object, false),
        };
        self.counts.pre += 1;
        let line = line::pre(cookie, &path, event.range, event.pid);
        writeln!(self.out, "{line}")?;
        if denied {
            return self.deny(cookie);
        }
        self.under_way.insert(cookie, Instant::now());
        // Before the answer, so that whoever writes next is ignored already.
        let ignored = self.policy.ignore_after_first && self.ignore(event)?;
        let said = if ignored {
            "allow, and ignore this file from now on"
        } else {
            "allow"
        };
        self.answer(Answer::allow(cookie), said)
    }

    fn deny(&mut self, cookie: u64) -> Result {
        self.counts.denied += 1;
        self.answer(Answer::deny(cookie, Errno::PERM), "deny with EPERM")
    }

    fn answer(&mut self, answer: Answer, said: &str) -> Result {
        let said = match self.source.answer(&[answer])? {
            0 => said,
            _ => "too late: the task was killed",
        };
        writeln!(self.out, "{}", line::answer(answer.cookie(), said))?;
        Ok(())
    }

    fn post(
        &mut self,
        event: &Event<'_>,
        place: Place,
        result: std::result::Result<u64, Errno>,
    ) -> Result {
        let since = self.under_way.remove(&event.cookie);
        let since = since.map(|pre| pre.elapsed());
        let path = match place {
            Place::Outside => return Ok(()),
            Place::Inside(path) => line::printable(&path),
            Place::Unknown(object) => object,
        };
        self.counts.post += 1;
        let line = line::post(event.cookie, &path, result, event.flags, since);
        writeln!(self.out, "{line}")?;
        Ok(())
    }

    /// Ignores the file of this event; says whether it is ignored.
    fn ignore(&mut self, event: &Event<'_>) -> Result<bool> {
        let Some(object) = &event.object else {
            return Ok(false);
        };
        let Ok(file) = self.tree.open_object(object) else {
            return Ok(false);
        };
        let mark = Mark::descriptor(Scope::Inode, &file)
            .events(EVENTS)
            .ignore();
        match self.source.group().mark(&mark.evictable()) {
            // A PATH that is this very file has a mark that is not evictable.
            Err(error) if error.errno() == Some(Errno::EXIST) => self.source.group().mark(&mark)?,
            done => done?,
        }
        self.ignored += 1;
        Ok(true)
    }

    /// Ignores no file any more. When it says so, whoever comes to write is asked about.
    fn checkpoint(&mut self) -> Result {
        let start = Instant::now();
        let dropped = mem::take(&mut self.ignored);
        self.source.group().flush_ignored_sync(Scope::Inode)?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        writeln!(
            self.out,
            "CHECKPOINT ignore marks dropped: {dropped}, in effect after {took:.1} ms"
        )?;
        Ok(())
    }

    fn end(mut self) -> Result {
        let Counts { pre, denied, post } = self.counts;
        let under_way = self.under_way.len();
        writeln!(
            self.out,
            "ended: {pre} PRE, {denied} denied, {post} POST, {under_way} under way"
        )?;
        Ok(())
    }
}

/// Until there is an event or a signal.
fn wait(source: &Source, signals: &Signals) -> Result {
    let fds = &mut [
        PollFd::new(source, PollFlags::IN),
        PollFd::new(signals, PollFlags::IN),
    ];
    match poll(fds, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
