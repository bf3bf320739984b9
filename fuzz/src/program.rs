// SPDX-License-Identifier: GPL-2.0

//! What is fuzzed: a program of calls. It is a sequence of records of 16 bytes, which any bytes
//! are: a number that is too large for a table starts again from its beginning. So LibAFL's
//! mutators of bytes can do nothing wrong, and those of [`crate::mutators`] know where calls begin.
//! What calls do is in [`crate::run`] and [`crate::work`].

use crate::uapi;
use crate::work;
use std::fmt;
use std::iter;

/// The length of a call, in bytes.
pub(crate) const RECORD: usize = 16;
/// What is beyond so many calls is not run.
pub(crate) const CALLS: usize = 40;

/// One call, with its arguments as they are in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    /// Which group, file, task or name: small numbers, each for an index of its own.
    pub(crate) a: u8,
    pub(crate) b: u8,
    pub(crate) c: u8,
    /// Flags, sizes.
    pub(crate) x: u32,
    /// Masks, offsets, cookies.
    pub(crate) y: u64,
}

/// Declares the kinds of calls with their numbers and names.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $name:literal,)*) => {
        /// What a call does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind { $($(#[doc = $doc])* $kind,)* }

        /// In the order of their numbers, which the seeds have: new ones go to the end.
        pub(crate) const KINDS: &[(Kind, &str)] = &[$((Kind::$kind, $name),)*];
    };
}

kinds! {
    /// `fanotify_init(2)`.
    Init = "init",
    /// `fanotify_mark(2)`.
    Mark = "mark",
    /// A child task does something with files: see [`crate::work`].
    Work = "work",
    /// Reads events, and remembers their cookies.
    Read = "read",
    /// Answers: one or more, well formed or not.
    Answer = "answer",
    /// `ioctl(2)` on a group or a queue.
    Ioctl = "ioctl",
    /// Closes a group or a queue.
    Close = "close",
    /// A signal for a child task; one that ends is started again, with all descriptors.
    Signal = "signal",
    /// The calls that follow are made by a child of the listener, beside it.
    Fork = "fork",
    /// Reads what /proc and /sys say of groups.
    Look = "look",
    /// Ends a sentinel.
    Lift = "lift",
    /// Mounts and unmounts.
    Mount = "mount",
    /// Reads and allows until nothing comes for a while.
    Serve = "serve",
}

impl Call {
    /// A call with all arguments 0: what that means is chosen so that it makes sense.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            a: 0,
            b: 0,
            c: 0,
            x: 0,
            y: 0,
        }
    }

    /// Any 16 bytes are a call.
    pub(crate) fn decode(record: &[u8; RECORD]) -> Self {
        let [kind, a, b, c, x0, x1, x2, x3, y @ ..] = *record;
        Self {
            kind: KINDS[usize::from(kind) % KINDS.len()].0,
            a,
            b,
            c,
            x: u32::from_le_bytes([x0, x1, x2, x3]),
            y: u64::from_le_bytes(y),
        }
    }

    /// The record that decodes to this call.
    pub(crate) fn encode(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&[self.kind as u8, self.a, self.b, self.c]);
        record[4..8].copy_from_slice(&self.x.to_le_bytes());
        record[8..].copy_from_slice(&self.y.to_le_bytes());
        record
    }

    /// A number for each kind of call, with its table entry, and how it ended: the errno, or 0.
    pub(crate) fn sign(&self, done: i64) -> u64 {
        let entry = match self.kind {
            Kind::Work => usize::from(self.b) % work::WORKS,
            Kind::Ioctl => usize::from(self.b) % uapi::IOCTLS.len(),
            Kind::Mark => usize::from(self.b >> 3) % uapi::MARKS.len(),
            _ => 0,
        };
        self.kind as u64 | ((entry as u64) << 8) | (done.min(0).unsigned_abs() << 16)
    }

    /// Flags of `fanotify_init(2)`; `c` odd: any bits at all.
    pub(crate) fn init_flags(&self) -> u32 {
        uapi::INIT ^ known(self.x, uapi::INIT_KNOWN, self.c)
    }

    /// Flags of `fanotify_mark(2)`: an entry of the table, with bits changed.
    pub(crate) fn mark_flags(&self) -> u32 {
        let entry = uapi::MARKS[usize::from(self.b >> 3) % uapi::MARKS.len()];
        entry ^ known(self.x, uapi::MARK_KNOWN, self.c)
    }

    /// The mask: an entry of the table, with bits changed; `c` odd: any bits at all.
    pub(crate) fn mark_mask(&self) -> u64 {
        let entry = uapi::MASKS[usize::from(self.c >> 4) % uapi::MASKS.len()];
        let known = uapi::MASK_PLAIN | uapi::MASK_PHASES;
        entry
            ^ if self.c & 1 == 0 {
                self.y & known
            } else {
                self.y
            }
    }
}

fn known(bits: u32, known: u32, c: u8) -> u32 {
    if c & 1 == 0 {
        bits & known
    } else {
        bits
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.encode() {
            write!(f, "{byte:02x}")?;
        }
        let name = KINDS[self.kind as usize].1;
        let (a, b, c) = (self.a, self.b, self.c);
        write!(f, "  # {name} {a} {b} {c} {:#x} {:#x}", self.x, self.y)
    }
}

/// The calls that these bytes are. What is left of the last one is ignored.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Call> {
    let records = bytes.chunks_exact(RECORD).take(CALLS);
    records
        .map(|r| Call::decode(&std::array::from_fn(|i| r[i])))
        .collect()
}

/// The bytes of a program.
pub(crate) fn encode(calls: &[Call]) -> Vec<u8> {
    calls.iter().flat_map(Call::encode).collect()
}

/// A program as it is kept in a file: a line for each call, with what it means after a `#`.
pub(crate) fn print(bytes: &[u8]) -> String {
    let calls = decode(bytes);
    let lines = calls.iter().map(ToString::to_string);
    let lines = iter::once("# SPDX-License-Identifier: GPL-2.0".to_owned()).chain(lines);
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Reads such a file; what is not two hexadecimal digits for each byte is an error, with its line.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let digits = line.split('#').next().unwrap_or_default().trim();
        if digits.is_empty() {
            continue;
        }
        if digits.len() != 2 * RECORD || !digits.is_ascii() {
            return Err(line.to_owned());
        }
        for at in (0..digits.len()).step_by(2) {
            bytes.push(u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| line.to_owned())?);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind, with arguments that differ in all bytes.
    fn calls() -> Vec<Call> {
        let call = |(at, (kind, _)): (usize, &(Kind, _))| Call {
            kind: *kind,
            a: at as u8,
            b: 0x81,
            c: 0xfe,
            x: 0x1234_5678 ^ at as u32,
            y: 0x0123_4567_89ab_cdef,
        };
        KINDS.iter().enumerate().map(call).collect()
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        assert_eq!(decode(&encode(&calls())), calls());
    }

    #[test]
    fn what_is_printed_parses_to_the_same() {
        let bytes = encode(&calls());
        assert_eq!(parse(&print(&bytes)), Ok(bytes));
        assert!(parse("00 # too short").is_err());
        assert!(parse(&"0g".repeat(RECORD)).is_err());
        assert!(parse(&"é".repeat(RECORD)).is_err());
    }

    #[test]
    fn any_bytes_are_a_program() {
        for byte in 0..=255 {
            let calls = decode(&[byte; RECORD * 3 + 5]);
            assert_eq!(calls.len(), 3);
            assert_eq!(decode(&encode(&calls)), calls);
        }
        assert_eq!(decode(&[0; RECORD * (CALLS + 1)]).len(), CALLS);
    }

    #[test]
    fn zero_means_what_makes_sense() {
        let call = Call::new(Kind::Mark);
        assert_eq!(call.init_flags(), uapi::INIT);
        assert_eq!(call.mark_flags(), uapi::MARKS[0]);
        assert_eq!(call.mark_mask(), uapi::MASKS[0]);
    }

    #[test]
    fn kinds_are_in_the_order_of_their_numbers() {
        assert!(KINDS
            .iter()
            .enumerate()
            .all(|(at, (kind, _))| *kind as usize == at));
    }
}
