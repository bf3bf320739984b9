// SPDX-License-Identifier: GPL-2.0

//! What all programs share: buffers for coverage, memory for cookies, files that are out of reach
//! in the root of a program, and the tree that each finds there.

use crate::kcov;
use crate::kcov::Buffer;
use crate::kcov::EDGES;
use crate::program::Call;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Mapping;
use crate::work;
use std::ffi::CStr;
use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Tasks that do something with files.
pub(crate) const WORKERS: usize = 3;
/// Children of a listener.
pub(crate) const FORKS: usize = 2;

/// Names in the root of a program: files, directories, where something is mounted, a symbolic
/// link and a FIFO.
pub(crate) const NAMES: [&CStr; 8] = [c"f", c"g", c"d", c"d/f", c"d/e", c"m", c"l", c"p"];
const ROOT: &CStr = c"/run/vfs-filter-fuzz";
const CGROUP: &str = "/sys/fs/cgroup/fuzz";
const SENTINELS: &str = "/sys/fs/fanotify/vfs_filter/sentinels";

/// How many of the cookies that were read are remembered.
const COOKIES: usize = 256;
/// Words of memory: the number of cookies, the cookies, how many listeners wait for a task that
/// was killed, and a bit for each sign.
const MEMORY: usize = 4096 / 8;
const DYING: usize = 1 + COOKIES;
const FIRST_SIGN: usize = 1 + DYING;
/// How many signs are told apart.
const SIGNS: usize = (MEMORY - FIRST_SIGN) * 64;
/// What a program can be kept for: edges that the kernel takes, and signs.
pub(crate) const FEATURES: usize = EDGES + SIGNS;

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Environment {
    kcov: Vec<Buffer>,
    memory: Mapping,
    files: Vec<File>,
    /// Whether each call is told of.
    tells: bool,
}

impl Environment {
    /// Opens and makes all of it. Without KCOV only if `blind`.
    pub(crate) fn new(blind: bool, tells: bool) -> io::Result<Self> {
        let buffers = if blind { 0 } else { 1 + WORKERS + FORKS };
        fs::create_dir_all(ROOT.to_string_lossy().as_ref())?;
        fs::create_dir_all(CGROUP)?;
        let lift = File::options()
            .write(true)
            .open("/sys/fs/fanotify/vfs_filter/lift")?;
        let files = ["/sys/fs/cgroup", CGROUP, "/proc/self", SENTINELS].map(File::open);
        Ok(Self {
            kcov: (0..buffers)
                .map(|_| Buffer::new())
                .collect::<io::Result<_>>()?,
            tells,
            memory: Mapping::new(-1, MEMORY * 8)?,
            files: files
                .into_iter()
                .chain([Ok(lift)])
                .collect::<io::Result<_>>()?,
        })
    }

    /// Before a program.
    pub(crate) fn reset(&self) {
        self.kcov.iter().for_each(Buffer::reset);
        let words = self.memory.words();
        words[0].store(0, Relaxed);
        words[DYING..]
            .iter()
            .for_each(|word| word.store(0, Relaxed));
    }

    /// After it: 1 for each of the [`FEATURES`] that was there.
    pub(crate) fn fold(&self, features: &mut [u8]) {
        let (edges, signs) = features.split_at_mut(EDGES);
        self.kcov.iter().for_each(|buffer| buffer.fold(edges));
        let words = &self.memory.words()[FIRST_SIGN..];
        for (at, sign) in signs.iter_mut().enumerate() {
            *sign = u8::from(words[at / 64].load(Relaxed) & (1 << (at % 64)) != 0);
        }
    }

    /// How a call ended.
    pub(crate) fn ended(&self, call: &Call, done: i64) {
        self.saw(call.sign(done));
        if self.tells {
            println!("{call} = {done}");
        }
    }

    /// Something that can be seen from outside of the kernel: how a call ended, what an event is.
    /// It is what a program is kept for beside edges, and without KCOV the only thing.
    pub(crate) fn saw(&self, sign: u64) {
        let at = kcov::mix(sign) as usize % SIGNS;
        self.memory.words()[FIRST_SIGN + at / 64].fetch_or(1 << (at % 64), Relaxed);
    }

    /// Follows the calling task, which is the listener (0), a worker, or a child.
    pub(crate) fn follow(&self, task: usize) {
        if let Some(buffer) = self.kcov.get(task) {
            buffer.enable();
        }
    }

    /// Any of the tasks of a program has read this cookie.
    pub(crate) fn remember(&self, cookie: u64) {
        let words = self.memory.words();
        let at = words[0].fetch_add(1, Relaxed) as usize % COOKIES;
        words[1 + at].store(cookie, Relaxed);
    }

    /// Waits for a task that was killed. That its listener has not answered is no reason to wait.
    pub(crate) fn wait_for_dying(&self, ended: impl Fn(Duration) -> bool) {
        self.memory.words()[DYING].fetch_add(1, Relaxed);
        while !ended(Duration::from_secs(1)) {}
        self.memory.words()[DYING].fetch_sub(1, Relaxed);
    }

    /// Does any task wait for one?
    pub(crate) fn waits_for_dying(&self) -> bool {
        self.memory.words()[DYING].load(Relaxed) != 0
    }

    /// The last cookie (0) that was read, or an earlier one; 0 if there is none.
    pub(crate) fn cookie(&self, back: usize) -> u64 {
        let words = self.memory.words();
        let count = words[0].load(Relaxed) as usize;
        match count.checked_sub(1 + back % COOKIES) {
            Some(at) => words[1 + at % COOKIES].load(Relaxed),
            None => 0,
        }
    }

    /// Two cgroups, and a directory that is none.
    pub(crate) fn cgroup(&self, which: u32) -> RawFd {
        self.files[which as usize % 3].as_raw_fd()
    }

    /// The list of sentinels.
    pub(crate) fn sentinels(&self) -> RawFd {
        self.files[3].as_raw_fd()
    }

    /// What ends them.
    pub(crate) fn lift(&self) -> RawFd {
        self.files[4].as_raw_fd()
    }
}

/// What there is to say of sentinels: nothing, when all programs have ended.
pub(crate) fn sentinels() -> io::Result<String> {
    fs::read_to_string(SENTINELS)
}

/// Makes the tree, in a mount namespace of the caller's own, and goes there for good: what is not
/// in it cannot be watched.
pub(crate) fn set_up() -> io::Result<()> {
    const PRIVATE: u64 = libc::MS_REC | libc::MS_PRIVATE;
    let mount = |source, target, kind, flags: u64| {
        let names = [source, target, kind].map(Arg::Name);
        let [source, target, kind] = names;
        sys::call(
            libc::SYS_mount,
            [source, target, kind, Arg::Num(flags as i64), Arg::Null],
        )
    };
    let mkdir = |name| {
        let here = Arg::from(libc::AT_FDCWD);
        sys::call(libc::SYS_mkdirat, [here, Arg::Name(name), Arg::Num(0o777)])
    };
    let done = [
        mount(c"none", c"/", c"", PRIVATE),
        mount(c"fuzz", ROOT, c"tmpfs", 0),
        sys::call(libc::SYS_chroot, [Arg::Name(ROOT)]),
        sys::call(libc::SYS_chdir, [Arg::Name(c"/")]),
        mkdir(c"d"),
        mkdir(c"d/e"),
        mkdir(c"m"),
        mkdir(c"proc"),
        work::make_fifo(c"p"),
        sys::call(
            libc::SYS_symlinkat,
            [Arg::Name(c"f"), libc::AT_FDCWD.into(), Arg::Name(c"l")],
        ),
        mount(c"proc", c"proc", c"proc", 0),
    ];
    for call in done {
        sys::check(call)?;
    }
    for name in [c"f", c"d/f"] {
        let file = sys::check(sys::open(name, libc::O_CREAT | libc::O_RDWR))? as RawFd;
        sys::check(sys::write(file, &[b'.'; 5000]))?;
        sys::check(sys::close(file))?;
    }
    Ok(())
}
