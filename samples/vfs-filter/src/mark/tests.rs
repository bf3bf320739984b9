// SPDX-License-Identifier: GPL-2.0

use super::Mark;
use super::Scope;
use crate::uapi;
use crate::Error;
use crate::Events;
use rustix::io::Errno;
use std::path::PathBuf;

#[test]
fn a_mark_becomes_the_arguments_of_the_system_call() {
    let mark = Mark::filesystem("/srv").events(Events::MODIFY).ignore();
    let done = mark
        .evictable()
        .sync()
        .apply(uapi::FAN_MARK_ADD, |flags, mask, _, path| {
            assert_eq!((flags, mask), (0xf41, 2));
            assert_eq!(path.as_deref(), Some(c"/srv"));
            Ok(())
        });
    assert_eq!(done, Ok(()));
}

#[test]
fn a_barrier_has_neither_type_nor_mask() {
    let done = Mark::inode("/srv").apply(uapi::FAN_MARK_BARRIER, |flags, mask, _, path| {
        assert_eq!((flags, mask), (0x2000, 0));
        assert_eq!(path.as_deref(), Some(c"/srv"));
        Ok(())
    });
    assert_eq!(done, Ok(()));
}

#[test]
fn a_mark_of_a_descriptor_has_no_path() {
    let stdin = std::io::stdin();
    let mark = Mark::descriptor(Scope::Mount, &stdin);
    let done = mark.apply(uapi::FAN_MARK_REMOVE, |flags, _, fd, path| {
        assert_eq!((flags, path), (0x12, None));
        assert_eq!(std::os::fd::AsRawFd::as_raw_fd(&fd), 0);
        Err(Errno::NOENT)
    });
    assert_eq!(
        done,
        Err(Error::Mark(Errno::NOENT, PathBuf::from("/proc/self/fd/0")))
    );
}

#[test]
fn a_path_with_a_nul_is_refused_before_the_kernel_sees_it() {
    let done = Mark::inode("a\0b").apply(0, |_, _, _, _| Ok(()));
    assert_eq!(done, Err(Error::Mark(Errno::INVAL, PathBuf::from("a\0b"))));
}
