// SPDX-License-Identifier: GPL-2.0

//! Which branches of the kernel a task takes: `Documentation/dev-tools/kcov.rst`. The buffers are
//! made once. Each task of a program turns one on for itself, which ends with the task, and the
//! fuzzer reads them afterwards. What runs in interrupts and kernel threads is not seen.

use crate::sys;
use crate::sys::Mapping;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering::Relaxed;

/// Words of a buffer; what is past them is not recorded.
const WORDS: u32 = 32 * 1024;
/// The number of edges that are told apart.
pub(crate) const EDGES: usize = 1 << 16;
const KCOV_INIT_TRACE: u64 = 0x8008_6301;
const KCOV_ENABLE: u64 = 0x6364;

/// What one task at a time writes to.
#[derive(Debug)]
pub(crate) struct Buffer {
    file: File,
    map: Mapping,
}

impl Buffer {
    /// Makes one. ENOENT: the kernel has no KCOV, or debugfs is not mounted.
    pub(crate) fn new() -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/sys/kernel/debug/kcov")?;
        sys::check(sys::ioctl(file.as_raw_fd(), KCOV_INIT_TRACE, WORDS))?;
        let map = Mapping::new(file.as_raw_fd(), WORDS as usize * 8)?;
        Ok(Self { file, map })
    }

    /// From here on the calling task is followed. It is not, if another one is still.
    pub(crate) fn enable(&self) {
        sys::ioctl(self.file.as_raw_fd(), KCOV_ENABLE, 0);
    }

    /// Forgets what was recorded.
    pub(crate) fn reset(&self) {
        self.map.words()[0].store(0, Relaxed);
    }

    /// Adds what was recorded to the edges: 1 for each that was taken. How often is left out, for
    /// it differs from run to run where tasks race.
    pub(crate) fn fold(&self, edges: &mut [u8]) {
        let words = self.map.words();
        let count = usize::try_from(words[0].load(Relaxed)).unwrap_or(usize::MAX);
        let mut last = 0;
        for word in words.iter().skip(1).take(count) {
            let here = mix(word.load(Relaxed));
            edges[(here ^ last) as usize % EDGES] = 1;
            last = here >> 1;
        }
    }
}

/// Spreads addresses that differ in a few bits.
pub(crate) fn mix(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40
}
