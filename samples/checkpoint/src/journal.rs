// SPDX-License-Identifier: GPL-2.0

//! The driver, over the kernel and a log.

use crate::driver::Driver;
use crate::filter::Kernel;
use crate::log::Found;
use crate::Change;
use crate::Config;
use crate::Entry;
use crate::Error;
use crate::Image;
use crate::Log;
use crate::Machine;
use crate::Options;
use crate::Period;
use crate::Result;
use crate::Synced;
use crate::Watched;
use std::fs;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Records what changes, from the moment it is made until it is dropped.
///
/// All operations of its process on the file system go unrecorded. It does not keep the file system
/// from being unmounted, unless its store is there.
#[derive(Debug)]
pub struct Journal {
    driver: Driver<Kernel, Log>,
}

impl Journal {
    /// Goes on with the journal in the store, or begins one. When it returns, no change escapes it.
    ///
    /// # Errors
    ///
    /// [`Error::NoBarrier`], [`Error::Subvolume`], or what [`Log::open`] and the crate `vfs-filter`
    /// fail with.
    pub fn open(options: Options) -> Result<Self> {
        let kernel = Kernel::new(&options)?;
        let boot = boot()?;
        let (mut log, Found { mut image, damaged }) = Log::open(&options.store)?;
        let open = image.next();
        let gap = damaged || (image.has_gap(&boot) && !options.no_gap);
        let mut entries = vec![Entry::Started {
            boot,
            straddlers: options.straddlers,
            open,
        }];
        if gap {
            // Nobody will tell the ends of operations that nobody was told of.
            entries.push(Entry::ChangedBefore(open, Change::Everything));
        }
        log.append(&entries)?;
        log.sync()?;
        entries.into_iter().for_each(|entry| image.apply(entry));
        let config = Config {
            scheme: options.scheme,
            straddlers: options.straddlers,
            ignore: kernel.can_ignore(),
            names: options.names,
            changes: options.changes,
        };
        let recorded = image.unended(open).cloned();
        let mapped = image.mapped();
        let mapped = mapped.map(|(cookie, changes)| (cookie, changes.to_vec()));
        let machine = Machine::new(config, open, recorded, mapped);
        let mut driver = Driver::new(kernel, log, image, machine)
            .with_options(options.log_length, options.unsafe_answer_first);
        driver.begin(open)?;
        Ok(Self { driver })
    }

    /// What to poll for [`Journal::turn`].
    pub fn groups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.driver.groups().map(AsFd::as_fd)
    }

    /// Takes what events there are, records them, and answers when that is durable.
    ///
    /// Whatever fails keeps nothing else from being done, and is tried again by the next turn.
    ///
    /// # Errors
    ///
    /// The first one. [`Error::Store`] when the log begins to fail: until it can be written again,
    /// what would need a record is denied. [`Error::Full`] when it has no room to grow: until it has,
    /// what would need a record is denied with `ENOSPC`, except removals. [`Error::Gone`] when what
    /// is watched was unmounted: it is the end. Or [`Error::Filter`].
    pub fn turn(&mut self) -> Result<()> {
        self.driver.turn()
    }

    /// Whether the next turn will try something again, though perhaps no event comes. It need not be
    /// at once.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.driver.has_more()
    }

    /// Whether all changes can be recorded, so that none is denied.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.driver.is_recording()
    }

    /// Ends the period and begins the next. Returns the one that ended; whether it is sealed is said
    /// by [`Journal::image`], at once or after a [`Journal::turn`].
    ///
    /// # Errors
    ///
    /// [`Error::Elsewhere`], [`Error::Full`], [`Error::Failed`], or [`Error::Filter`] if the kernel
    /// refuses what it takes; the period goes on then. Otherwise as [`Journal::turn`], and the
    /// period may have ended.
    pub fn checkpoint(&mut self) -> Result<Period> {
        self.driver.checkpoint()
    }

    /// What was recorded, and is durable.
    #[must_use]
    pub const fn image(&self) -> &Image {
        self.driver.image()
    }

    /// What is watched, for [`Synced::now`] and [`Object::open`](crate::Object::open).
    #[must_use]
    pub const fn watched(&self) -> &Watched {
        self.driver.filter().watched()
    }

    /// Forgets all sealed periods up to this one, of which the reader has a copy that is durable.
    ///
    /// What the reader saw must be on disk by now, which `Synced` is for: were the machine to crash,
    /// a file could be as it was before, with nobody to say so.
    ///
    /// # Errors
    ///
    /// [`Error::NotSealed`], or [`Error::Store`].
    pub fn consume(&mut self, up_to: Period, _: Synced) -> Result<()> {
        self.driver.consume(up_to)
    }

    /// Ends. What is changed from now on is not recorded, and the log says so.
    ///
    /// # Errors
    ///
    /// [`Error::Store`].
    pub fn stop(mut self) -> Result<()> {
        self.driver.append(vec![Entry::Stopped])
    }
}

/// Which start of the machine this is.
fn boot() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let id = fs::read_to_string(path).map_err(|error| Error::Store(error, path.into()))?;
    Ok(id.trim().to_owned())
}
