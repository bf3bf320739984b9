// SPDX-License-Identifier: GPL-2.0

//! The loop of a running journal: events, requests and signals.

use crate::is_whole;
use crate::Result;
use checkpoint::Journal;
use checkpoint::Period;
use checkpoint::Synced;
use checkpoint::Watched;
use journal::list;
use journal::listen;
use journal::receive;
use journal::send;
use journal::Reply;
use journal::Request;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;

/// Signals that end the journal.
pub(crate) type Signals = SignalDelivery<UnixStream, SignalOnly>;

/// Catches them from now on.
pub(crate) fn signals() -> io::Result<Signals> {
    let (read, write) = UnixStream::pair()?;
    SignalDelivery::with_pipe(read, write, SignalOnly, [SIGINT, SIGTERM])
}

/// A request that has arrived, and whom to tell.
struct Call {
    request: Request,
    /// Made for [`Request::Consume`], by the thread that took the call: it can take long.
    synced: Option<Synced>,
    reply: Sender<Reply>,
}

/// A journal, and its callers.
pub(crate) struct Server {
    journal: Journal,
    calls: Receiver<Call>,
    /// Readable when there is a call.
    bell: UnixStream,
    /// Those who wait until a period is sealed.
    waiting: Vec<(Period, Sender<Reply>)>,
    /// The last period that was consumed.
    consumed: Option<Period>,
    /// What was said of what fails, to be said once.
    said: String,
}

/// What has failed is tried again so often, though nothing happens.
const AGAIN: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

impl Server {
    pub(crate) fn new(journal: Journal, store: &Path) -> Result<Self> {
        let listener = listen(store)?;
        // By its path: a descriptor would keep it from being unmounted.
        let watched = journal.watched().clone();
        let (bell, ring) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        let (sender, calls) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, watched) = (sender.clone(), watched.clone());
                if let Ok(ring) = ring.try_clone() {
                    thread::spawn(move || serve(stream, &watched, &sender, ring));
                }
            }
        });
        Ok(Self {
            journal,
            calls,
            bell,
            waiting: Vec::new(),
            consumed: None,
            said: String::new(),
        })
    }

    /// The open period, and whether it says that everything may have changed.
    pub(crate) fn begins_with(&self) -> (Period, bool) {
        let image = self.journal.image();
        let period = image.unsealed().last().unwrap_or_default();
        (period, is_whole(image.changes(period)))
    }

    /// Until a signal ends it.
    pub(crate) fn run(mut self, mut signals: Signals) -> Result {
        loop {
            self.wait(&signals)?;
            if signals.pending().next().is_some() {
                return Ok(self.journal.stop()?);
            }
            let done = self.turn();
            while let Ok(call) = self.calls.try_recv() {
                self.answer(call);
            }
            self.tell_sealed();
            done?;
        }
    }

    /// Says what fails, once, and when it no longer does.
    fn turn(&mut self) -> Result {
        let was_recording = self.journal.is_recording();
        match self.journal.turn() {
            Err(error) if error.is_passing() => {
                let said = error.to_string();
                if self.said != said {
                    eprintln!("journal: {said}");
                    self.said = said;
                }
            }
            Err(error) => return Err(error.into()),
            Ok(()) if self.journal.has_more() => {}
            Ok(()) => self.said.clear(),
        }
        if !was_recording && self.journal.is_recording() {
            eprintln!("journal: all changes can be recorded again");
        }
        Ok(())
    }

    fn wait(&mut self, signals: &Signals) -> Result {
        let mut fds: Vec<_> = self
            .journal
            .groups()
            .map(|group| PollFd::from_borrowed_fd(group, PollFlags::IN))
            .collect();
        fds.push(PollFd::new(&self.bell, PollFlags::IN));
        fds.push(PollFd::new(signals.get_read(), PollFlags::IN));
        let timeout = self.journal.has_more().then_some(&AGAIN);
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        drop(fds);
        match self.bell.read(&mut [0; 64]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn answer(&mut self, call: Call) {
        let done = match (call.request, call.synced) {
            (Request::Checkpoint, _) => match self.journal.checkpoint() {
                Ok(period) => return self.waiting.push((period, call.reply)),
                Err(error) => Err(error),
            },
            (Request::Consume(period), Some(synced)) => {
                let done = self.journal.consume(period, synced);
                if done.is_ok() {
                    self.consumed = self.consumed.max(Some(period));
                }
                done
            }
            (Request::Consume(_), None) | (Request::List, _) => Ok(()),
        };
        let reply = done
            .map(|()| list(self.journal.image()))
            .map_err(|error| error.to_string());
        // A caller may have hung up.
        let _ = call.reply.send(reply);
    }

    fn tell_sealed(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let image = self.journal.image();
        let sealed = image.sealed().last().max(self.consumed);
        self.waiting.retain(|(period, reply)| {
            let wait = Some(*period) > sealed;
            if !wait {
                let _ = reply.send(Ok(list(image)));
            }
            wait
        });
    }
}

/// One connection.
fn serve(mut stream: UnixStream, watched: &Watched, calls: &Sender<Call>, mut ring: UnixStream) {
    let Ok(request) = receive(&mut stream) else {
        return;
    };
    let synced = match request {
        Request::Consume(_) => match Synced::now(watched) {
            Ok(synced) => Some(synced),
            Err(error) => {
                let reply: Reply = Err(format!("cannot sync: {error}"));
                let _ = send(&mut stream, &reply);
                return;
            }
        },
        _ => None,
    };
    let (reply, replied) = channel();
    let call = Call {
        request,
        synced,
        reply,
    };
    // If the journal ends, the connection does, and the caller sees that.
    if calls.send(call).is_ok() && ring.write_all(b"!").is_ok() {
        if let Ok(reply) = replied.recv() {
            let _ = send(&mut stream, &reply);
        }
    }
}
