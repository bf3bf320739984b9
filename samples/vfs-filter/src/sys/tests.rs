// SPDX-License-Identifier: GPL-2.0

//! Against the running kernel, patched or not.

use super::is_filter_group;
use super::open_by_handle_at;
use super::Delivered;
use super::GroupFd;
use crate::parse::event;
use crate::testing::Bytes;
use crate::testing::PRE_MODIFY;
use crate::uapi;
use crate::FileHandle;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::CWD;
use rustix::io::Errno;
use std::fs;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;

const REPORT_FID: u32 = 0x200;

/// Marks and events of a group of the oldest class, whose FID and DFID_NAME records are the same.
///
/// Needs root and a /tmp with file handles; says so and passes elsewhere.
#[test]
fn handles_of_the_running_kernel_are_parsed_and_opened() {
    let flags = uapi::FAN_NONBLOCK | uapi::FAN_REPORT_DIR_FID | uapi::FAN_REPORT_NAME;
    let group = match GroupFd::init(flags | REPORT_FID) {
        Ok(group) => group,
        Err(errno) => return println!("skipped, no fanotify: {errno}"),
    };
    let folder = std::env::temp_dir().join(format!("vfs-filter-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let path = std::ffi::CString::new(folder.to_str().unwrap()).unwrap();
    let mask = uapi::FAN_MODIFY | uapi::FAN_EVENT_ON_CHILD;
    group
        .mark(uapi::FAN_MARK_ADD, mask, CWD, Some(&path))
        .unwrap();
    fs::write(folder.join("named"), "x").unwrap();

    let mut buffer = [0; 4096];
    let bytes = group.read(&mut buffer).unwrap().bytes;
    let event_len = u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize;
    let records = &bytes[24..event_len];
    let mut made = Bytes::event(PRE_MODIFY, 1).op(0, 1, 0).done();
    made.extend(records);
    made[..4].copy_from_slice(&((24 + 24 + records.len()) as u32).to_ne_bytes());
    let (parsed, _) = event(&made).unwrap();

    let name = parsed.event.name.unwrap();
    assert_eq!(name.name, "named");
    let mount = fs::File::open("/tmp").unwrap();
    let directory = fs::File::from(name.dir.open(&mount, OFlags::RDONLY).unwrap());
    assert_eq!(
        directory.metadata().unwrap().ino(),
        fs::metadata(&folder).unwrap().ino()
    );
    let object = parsed.event.object.unwrap();
    let here = fs::File::open(&folder).unwrap();
    assert_eq!(name.dir, FileHandle::of(&here, "").unwrap());
    assert_eq!(object, FileHandle::of(&here, "named").unwrap());
    assert_eq!(object.fsid, rustix::fs::fstatvfs(&mount).unwrap().f_fsid);
    let file = fs::File::from(object.open(&mount, OFlags::RDONLY).unwrap());
    assert_eq!(
        file.metadata().unwrap().ino(),
        fs::metadata(folder.join("named")).unwrap().ino()
    );
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn handles_of_impossible_length_never_reach_the_kernel() {
    let here = fs::File::open("/").unwrap();
    let done = open_by_handle_at(here.as_fd(), 1, &[0; 129], OFlags::RDONLY);
    assert_eq!(done.map(drop), Err(Errno::INVAL));
}

#[test]
fn descriptors_of_events_that_nobody_took_are_closed() {
    let open = || rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty()).unwrap();
    let numbers = [open().into_raw_fd(), open().into_raw_fd()];
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| {
            Bytes::event(PRE_MODIFY, 1)
                .op(0, 1, 0)
                .pidfd(*number)
                .done()
        })
        .collect();
    // INVARIANT: The kernel made these descriptors for us, and nothing owns them.
    let mut delivered = Delivered { bytes: &bytes };
    let first = delivered.take().unwrap().unwrap().pidfd.unwrap();
    assert_eq!(first.as_raw_fd(), numbers[0]);
    drop(delivered);
    assert!(fs::read_link(format!("/proc/self/fd/{}", numbers[0])).is_ok());
    let gone = fs::read_link(format!("/proc/self/fd/{}", numbers[1]));
    assert_ne!(gone.unwrap_or_default(), std::path::Path::new("/dev/null"));
}

#[test]
fn only_groups_of_the_class_are_taken_over() {
    assert!(is_filter_group(
        "pos:\t0\nfanotify flags:c0d event-flags:80000\n"
    ));
    assert!(!is_filter_group(
        "pos:\t0\nfanotify flags:8 event-flags:0\n"
    ));
    assert!(!is_filter_group("pos:\t0\nflags:\t02\n"));
    let file = fs::File::open("/").unwrap();
    assert_eq!(GroupFd::inherit(file.into()).map(drop), Err(Errno::INVAL));
}
