// SPDX-License-Identifier: GPL-2.0

//! Signals as something to poll.

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGUSR1;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    End,
    Checkpoint,
}

/// The signals this program knows, caught from [`Signals::catch`] on.
pub(crate) struct Signals(SignalDelivery<UnixStream, SignalOnly>);

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        SignalDelivery::with_pipe(read, write, SignalOnly, [SIGINT, SIGTERM, SIGUSR1]).map(Self)
    }

    /// Those that came since the last time.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Request> + '_ {
        self.0.pending().map(|signal| match signal {
            SIGUSR1 => Request::Checkpoint,
            _ => Request::End,
        })
    }
}

impl AsFd for Signals {
    /// Readable when a signal has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}
