// SPDX-License-Identifier: GPL-2.0

//! The listener: runs the calls of a program, in namespaces of its own, as process 1. When it ends,
//! so does all that it has started.

use crate::environment;
use crate::environment::Environment;
use crate::environment::FORKS;
use crate::environment::NAMES;
use crate::environment::WORKERS;
use crate::event;
use crate::program::Call;
use crate::program::Kind;
use crate::sys;
use crate::sys::Arg;
use crate::sys::Child;
use crate::uapi;
use crate::work::Worker;
use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::RawFd;
use std::time::Duration;

/// The status of a listener that has read what is not an event.
pub(crate) const MALFORMED: i32 = 99;
/// The status of a listener whose tree could not be made.
pub(crate) const NO_TREE: i32 = 98;
/// The status of [`fresh_group`] if that does not work.
pub(crate) const NOT_FRESH: i32 = 97;

/// How long a reader waits for an event: a task that was told to do something takes its time.
const PATIENCE: Duration = Duration::from_millis(30);

/// A process that has groups and queues.
struct Listener<'e> {
    env: &'e Environment,
    files: Vec<RawFd>,
    workers: [Option<Worker>; WORKERS],
    children: Vec<Child>,
    /// Whether it can have children.
    first: bool,
    status: i32,
}

/// Runs a program, and returns a status.
pub(crate) fn program(env: &Environment, calls: &[Call]) -> i32 {
    if environment::set_up().is_err() {
        return NO_TREE;
    }
    let mut listener = Listener {
        env,
        files: Vec::new(),
        workers: std::array::from_fn(|task| Worker::start(env, 1 + task).ok()),
        children: Vec::new(),
        first: true,
        status: 0,
    };
    env.follow(0);
    listener.run(calls);
    // What they do is part of the program, if it does not take for ever.
    for child in &listener.children {
        if child
            .wait(10 * PATIENCE)
            .is_some_and(|status| status == MALFORMED << 8)
        {
            listener.status = MALFORMED;
        }
    }
    listener.status
}

impl Listener<'_> {
    fn run(&mut self, calls: &[Call]) {
        let mut calls = calls.iter();
        while let Some(call) = calls.next() {
            let done = match call.kind {
                Kind::Fork if self.first && self.children.len() < FORKS => {
                    let length = (1 + usize::from(call.b % 6)).min(calls.len());
                    let (theirs, ours) = calls.as_slice().split_at(length);
                    calls = ours.iter();
                    self.fork(theirs);
                    0
                }
                Kind::Fork => 0,
                Kind::Init => self.keep(init(call.init_flags(), call.b & 2)),
                Kind::Mark => self.mark(call),
                Kind::Work => self.work(call),
                Kind::Read => self.read(call).1,
                Kind::Answer => self.answer(call),
                Kind::Ioctl => self.ioctl(call),
                Kind::Close if self.files.is_empty() => 0,
                Kind::Close => {
                    let at = usize::from(call.a) % self.files.len();
                    sys::close(self.files.remove(at))
                }
                Kind::Signal => self.signal(call),
                Kind::Look => self.look(call),
                Kind::Lift => {
                    let number = if call.c & 1 == 0 {
                        call.x.into()
                    } else {
                        call.y
                    };
                    sys::write(self.env.lift(), format!("{number}\n").as_bytes())
                }
                Kind::Mount => mount(call),
                Kind::Serve => self.serve(call),
            };
            self.env.ended(call, done);
        }
    }

    fn signal(&mut self, call: &Call) -> i64 {
        const SIGNALS: [i32; 3] = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCONT];
        let signal = SIGNALS[usize::from(call.b) % SIGNALS.len()];
        let worker = &mut self.workers[usize::from(call.a) % WORKERS];
        // A child of the listener is not the parent of its workers, and cannot wait for them.
        if let Some(killed) = worker.take_if(|_| signal == libc::SIGKILL && self.first) {
            killed.signal(signal);
            self.env.wait_for_dying(|time| killed.ended(time));
        } else if let Some(worker) = worker {
            worker.signal(signal);
        }
        0
    }

    /// A group or queue of the program, any of those that are open.
    fn file(&self, index: u8) -> RawFd {
        let at = usize::from(index).checked_rem(self.files.len());
        at.map_or(-1, |at| self.files[at])
    }

    /// A descriptor, if the call has made one.
    fn keep(&mut self, made: i64) -> i64 {
        if let Ok(fd @ 0..) = RawFd::try_from(made) {
            self.files.push(fd);
        }
        made
    }

    fn fork(&mut self, calls: &[Call]) {
        let task = 1 + WORKERS + self.children.len();
        let env = self.env;
        let child = sys::spawn(0, || {
            env.follow(task);
            self.first = false;
            self.run(calls);
            self.status
        });
        self.children.extend(child);
    }

    fn mark(&self, call: &Call) -> i64 {
        let (flags, mask) = (call.mark_flags(), call.mark_mask());
        let dir = if call.a & 0x80 == 0 {
            libc::AT_FDCWD
        } else {
            self.file(call.a >> 4)
        };
        let path = match call.b & 7 {
            // The whole tree first of all.
            0 => Some(c"."),
            1 if call.a & 0x80 != 0 => None,
            index => Some(NAMES[usize::from(index)]),
        };
        mark(self.file(call.a & 0xf), flags, mask, dir, path)
    }

    fn work(&mut self, call: &Call) -> i64 {
        let task = usize::from(call.a) % WORKERS;
        let worker = &mut self.workers[task];
        if worker
            .as_ref()
            .is_none_or(|worker| worker.ended(Duration::ZERO))
        {
            *worker = Worker::start(self.env, 1 + task).ok();
        }
        if let Some(worker) = worker {
            worker.order(call);
        }
        0
    }

    /// Returns the cookies of what can be answered, and what read(2) did.
    fn read(&mut self, call: &Call) -> (Vec<u64>, i64) {
        let mut buffer = [0; 16 * 1024];
        let fd = self.file(call.a);
        if !sys::readable(fd, PATIENCE) {
            return (Vec::new(), -i64::from(libc::ETIME));
        }
        if call.b & 1 != 0 {
            let done = sys::call(libc::SYS_read, [fd.into(), Arg::Nowhere(4096)]);
            return (Vec::new(), done);
        }
        let length = match call.x as usize % (buffer.len() + 1) {
            0 => buffer.len(),
            length => length,
        };
        let done = sys::read(fd, &mut buffer[..length]);
        let length = usize::try_from(done).unwrap_or(0);
        let Some(events) = event::parse(&buffer[..length]) else {
            self.status = MALFORMED;
            return (Vec::new(), 0);
        };
        for fd in events.descriptors {
            sys::close(fd);
        }
        events
            .cookies
            .iter()
            .for_each(|cookie| self.env.remember(*cookie));
        events.signs.iter().for_each(|sign| self.env.saw(*sign));
        (events.cookies, done)
    }

    fn answer(&self, call: &Call) -> i64 {
        let verdict = match call.c & 1 {
            0 => uapi::VERDICTS[usize::from(call.b) % uapi::VERDICTS.len()],
            _ => (call.y >> 32) as u32,
        };
        let mut answers = Vec::new();
        for back in 0..=usize::from((call.c >> 5) & 3) {
            let cookie = match call.c & 8 {
                0 => self.env.cookie(call.x as usize % 256 + back),
                _ => call.y,
            };
            answers.extend(event::answer(cookie, verdict));
        }
        if call.c & 0x10 != 0 {
            let at = (call.x as usize >> 8) & 0xff;
            let length = answers.len();
            answers[at % length] ^= call.y as u8;
        }
        let length = answers.len()
            - if call.c & 2 == 0 {
                0
            } else {
                1 + (call.x as usize >> 8) % 23
            };
        match call.c & 4 {
            0 => sys::write(self.file(call.a), &answers[..length]),
            _ => sys::call(
                libc::SYS_write,
                [self.file(call.a).into(), Arg::Nowhere(24)],
            ),
        }
    }

    fn ioctl(&mut self, call: &Call) -> i64 {
        let fd = self.file(call.a);
        let request = uapi::IOCTLS[usize::from(call.b) % uapi::IOCTLS.len()];
        match request {
            uapi::IOC_QUEUE => {
                let nonblock = libc::O_NONBLOCK as u32;
                let known = libc::O_CLOEXEC as u32 | nonblock;
                let changed = if call.c & 1 == 0 {
                    call.x & known
                } else {
                    call.x
                };
                let made = sys::ioctl(fd, request, nonblock ^ changed);
                self.keep(made)
            }
            uapi::IOC_EXEMPT if call.c & 1 == 0 => {
                sys::ioctl(fd, request, self.env.cgroup(call.x) as u32)
            }
            uapi::IOC_DEADLINE | uapi::FIONREAD if call.c & 8 != 0 => {
                sys::ioctl(fd, request, call.x)
            }
            uapi::IOC_DEADLINE | uapi::FIONREAD => {
                let verdict = uapi::VERDICTS[usize::from(call.c >> 4) % uapi::VERDICTS.len()];
                let verdict = if call.c & 1 == 0 {
                    verdict & !0x20
                } else {
                    (call.y >> 32) as u32
                };
                let msecs = if call.c & 2 == 0 {
                    call.x & 0x3f
                } else {
                    call.x
                };
                let mut bytes = [0; 64];
                bytes[..4].copy_from_slice(&msecs.to_le_bytes());
                bytes[4..8].copy_from_slice(&verdict.to_le_bytes());
                sys::ioctl_bytes(fd, request, &mut bytes)
            }
            _ => sys::ioctl(fd, request, call.x),
        }
    }

    fn look(&self, call: &Call) -> i64 {
        let mut text = [0; 8192];
        let lists = self.env.sentinels();
        sys::call(
            libc::SYS_lseek,
            [lists.into(), Arg::Num(0), libc::SEEK_SET.into()],
        );
        sys::read(lists, &mut text);
        let Ok(name) = CString::new(format!("proc/self/fdinfo/{}", self.file(call.a))) else {
            return 0;
        };
        if let Ok(fd @ 0..) = RawFd::try_from(sys::open(&name, libc::O_RDONLY)) {
            sys::read(fd, &mut text[..1 + usize::from(call.c) * 32]);
            sys::close(fd);
        }
        0
    }

    fn serve(&mut self, call: &Call) -> i64 {
        let verdict = uapi::VERDICTS[usize::from(call.b) % uapi::VERDICTS.len()];
        for _ in 0..=call.c & 0x1f {
            let read = Call {
                b: 0,
                c: 0,
                x: 0,
                ..*call
            };
            let (cookies, done) = self.read(&read);
            if cookies.is_empty() {
                return done;
            }
            for cookie in cookies {
                sys::write(self.file(call.a), &event::answer(cookie, verdict));
            }
        }
        0
    }
}

fn init(flags: u32, event_flags: u8) -> i64 {
    sys::call(
        libc::SYS_fanotify_init,
        [flags.into(), i32::from(event_flags).into()],
    )
}

fn mark(group: RawFd, flags: u32, mask: u64, dir: RawFd, path: Option<&CStr>) -> i64 {
    let path = path.map_or(Arg::Null, Arg::Name);
    let mask = Arg::Num(mask as i64);
    sys::call(
        libc::SYS_fanotify_mark,
        [group.into(), flags.into(), mask, dir.into(), path],
    )
}

fn mount(call: &Call) -> i64 {
    const READ_ONLY: u64 = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY;
    let umount = |flags: i32| sys::call(libc::SYS_umount2, [Arg::Name(c"m"), flags.into()]);
    let mount = |source, kind, flags: u64| {
        let [source, target, kind] = [source, c"m", kind].map(Arg::Name);
        sys::call(
            libc::SYS_mount,
            [source, target, kind, Arg::Num(flags as i64), Arg::Null],
        )
    };
    match call.b % 6 {
        0 => mount(c"d", c"", libc::MS_BIND),
        1 => mount(c"fuzz", c"tmpfs", 0),
        2 => umount(0),
        3 => umount(libc::MNT_DETACH),
        4 => mount(c"", c"", READ_ONLY),
        _ => mount(c".", c"", libc::MS_BIND),
    }
}

/// Whether a new group works: a task that writes is asked about, allowed, and its end is told.
pub(crate) fn fresh_group(env: &Environment) -> i32 {
    let asked_and_told = || {
        environment::set_up().ok()?;
        let worker = Worker::start(env, 1).ok()?;
        let group = RawFd::try_from(sys::check(init(uapi::INIT, 0)).ok()?).ok()?;
        let flags = uapi::MARKS[2];
        let modify = 0x2;
        sys::check(mark(group, flags, modify, libc::AT_FDCWD, Some(c"."))).ok()?;
        let mut order = Call::new(Kind::Work);
        order.x = 10;
        worker.order(&order);
        let next = || {
            let mut buffer = [0; 4096];
            let patience = Duration::from_secs(60);
            let some = sys::readable(group, patience);
            let length = if some {
                sys::read(group, &mut buffer)
            } else {
                0
            };
            event::parse(&buffer[..usize::try_from(length).unwrap_or(0)])
        };
        let asked = *next()?.cookies.first()?;
        sys::check(sys::write(group, &event::answer(asked, uapi::VERDICTS[0]))).ok()?;
        let told = next()?.ended;
        (told == [(asked, 10)]).then_some(())
    };
    asked_and_told().map_or(NOT_FRESH, |()| 0)
}
