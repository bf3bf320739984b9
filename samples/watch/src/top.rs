// SPDX-License-Identifier: GPL-2.0

//! `watch --top`: which groups of the machine hold up whom, and since when.

mod groups;
mod rates;
mod table;

use crate::signals::Request;
use crate::signals::Signals;
use groups::Groups;
use rates::Rates;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use std::error::Error;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;
use table::Table;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// To the upper left corner, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[J";
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// What is shown, and how often.
pub(crate) struct Top {
    /// The time from one table to the next; one table if there is none.
    pub(crate) interval: Option<Duration>,
    /// Count the trace events as well.
    pub(crate) rates: bool,
}

impl Top {
    /// Until a signal ends it.
    pub(crate) fn run(self, mut signals: Signals, mut out: impl Write + IsTerminal) -> Result {
        let Some(interval) = self.interval else {
            write!(out, "{}", Table::new(Groups::look(Path::new("/proc"))?))?;
            return Ok(());
        };
        let clear = out.is_terminal();
        let mut rates = self.rates.then(Rates::start).transpose()?;
        let mut next = Instant::now();
        loop {
            let mut table = Table::new(Groups::look(Path::new("/proc"))?);
            if let Some(rates) = &mut rates {
                table = table.with_rates(rates.take()?);
            }
            // In one piece, or a terminal shows half of it now and then.
            let text = if clear {
                format!("{CLEAR}{table}")
            } else {
                format!("{table}\n")
            };
            out.write_all(text.as_bytes())?;
            out.flush()?;
            next = Instant::now().max(next + interval);
            while let Some(left) = next.checked_duration_since(Instant::now()) {
                // What is counted is to be taken out of its buffer before that is full.
                let step = rates.as_ref().map_or(left, |_| left.min(COUNT_EVERY));
                wait(&signals, step)?;
                if signals.take().any(|request| request == Request::End) {
                    return Ok(());
                }
                if let Some(rates) = &mut rates {
                    rates.count()?;
                }
            }
        }
    }
}

/// Until there is a signal, or no time left.
fn wait(signals: &Signals, left: Duration) -> Result {
    let fds = &mut [PollFd::new(signals, PollFlags::IN)];
    match poll(fds, Some(&Timespec::try_from(left)?)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
