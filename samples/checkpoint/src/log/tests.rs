// SPDX-License-Identifier: GPL-2.0

use super::decode;
use super::encode;
use super::Log;
use super::HEAD;
use crate::Change;
use crate::Entry;
use crate::Error;
use crate::Period;
use crate::Straddlers;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A directory that is gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("checkpoint-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn started() -> Entry {
    Entry::Started {
        boot: "boot".into(),
        straddlers: Straddlers::Barrier,
        open: Period(1),
    }
}

fn changed(period: u64) -> Entry {
    Entry::Changed(Period(period), Change::Everything)
}

/// Three frames.
fn log() -> Vec<u8> {
    let frames = [started(), changed(1), changed(2)];
    let frames = frames.into_iter().enumerate();
    let mut bytes = HEAD.to_vec();
    frames.for_each(|(n, entry)| bytes.extend(encode(n as u64, &[entry]).unwrap()));
    bytes
}

#[test]
fn what_was_synced_is_there_after_a_restart() {
    let scratch = Scratch::new("restart");
    let (mut log, found) = Log::open(&scratch.0).unwrap();
    assert!(found.image.is_empty());
    log.append(&[started(), changed(1)]).unwrap();
    log.sync().unwrap();
    assert!(matches!(Log::open(&scratch.0), Err(Error::InUse(_))));
    drop(log);
    let (mut log, found) = Log::open(&scratch.0).unwrap();
    assert_eq!(found.image.changes(Period(1)).count(), 1);
    log.append(&[changed(1), Entry::Sealed(Period(1))]).unwrap();
    let found = Log::look(&scratch.0).unwrap();
    assert_eq!(found.image.sealed().collect::<Vec<_>>(), [Period(1)]);
    let before = log.length();
    log.rewrite(&found.image).unwrap();
    assert!(log.length() < before);
    let again = Log::look(&scratch.0).unwrap();
    assert_eq!(again.image, found.image);
    assert!(!again.damaged);
}

#[test]
fn there_are_blocks_ahead_of_the_end_and_for_another_log() {
    let scratch = Scratch::new("ahead");
    let (mut log, _) = Log::open(&scratch.0).unwrap();
    let path = scratch.0.join("log");
    for _ in 0..3 {
        let room = log.provide(0);
        assert!(room >= super::AHEAD / 2);
        let file = fs::metadata(&path).unwrap();
        assert_eq!(file.len(), log.length());
        assert!(file.blocks() * 512 >= log.length() + room);
        let spare = fs::metadata(scratch.0.join("log.new")).unwrap();
        assert_eq!(spare.len(), 0);
        assert!(spare.blocks() * 512 >= super::AHEAD);
        // More than there was.
        let many: Vec<_> = (0..200_000).map(changed).collect();
        assert!(Log::size_of(&many) > super::AHEAD);
        log.append(&many).unwrap();
        log.rewrite(&Log::look(&scratch.0).unwrap().image).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), spare.ino());
        log.rewrite(&crate::Image::default()).unwrap();
    }
}

#[test]
fn a_crash_while_it_is_written_anew_leaves_one_or_the_other() {
    let scratch = Scratch::new("anew");
    let (mut log, _) = Log::open(&scratch.0).unwrap();
    let entries = [started(), changed(1), Entry::Sealed(Period(1)), changed(2)];
    entries.iter().for_each(|entry| {
        log.append(std::slice::from_ref(entry)).unwrap();
    });
    log.sync().unwrap();
    let image = Log::look(&scratch.0).unwrap().image;
    drop(log);
    let mut new = HEAD.to_vec();
    let entries: Vec<_> = image.entries().collect();
    new.extend(encode(0, &entries).unwrap());
    for length in 0..=new.len() {
        fs::write(scratch.0.join("log.new"), &new[..length]).unwrap();
        let (log, found) = Log::open(&scratch.0).unwrap();
        assert!(found.image == image && !found.damaged, "{length}");
        assert_eq!(log.length(), new.len() as u64);
    }
    // It has its name by now.
    fs::write(scratch.0.join("log"), new).unwrap();
    assert_eq!(Log::look(&scratch.0).unwrap().image, image);
}

#[test]
fn a_new_log_whose_name_is_perhaps_not_on_disk_is_written_once_more() {
    let scratch = Scratch::new("name");
    let (mut log, _) = Log::open(&scratch.0).unwrap();
    log.append(&[started(), changed(1)]).unwrap();
    log.sync().unwrap();
    let image = Log::look(&scratch.0).unwrap().image;
    let written = super::write_new(&scratch.0, image.entries()).unwrap();
    let failed = Err(std::io::Error::other("sync of the directory"));
    assert!(matches!(log.adopt(written, failed), Err(Error::Store(..))));
    assert!(log.is_unsure());
    // What has the name is what is written to.
    log.append(&[changed(2)]).unwrap();
    let image = Log::look(&scratch.0).unwrap().image;
    assert_eq!(image.changes(Period(2)).count(), 1);
    log.rewrite(&image).unwrap();
    assert!(!log.is_unsure());
    assert_eq!(Log::look(&scratch.0).unwrap().image, image);
}

#[test]
fn blocks_for_another_log_are_taken_again_after_it_failed() {
    let scratch = Scratch::new("spare");
    let (mut log, _) = Log::open(&scratch.0).unwrap();
    log.append(&[started(), changed(1)]).unwrap();
    let image = Log::look(&scratch.0).unwrap().image;
    let path = scratch.0.join("log.new");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(log.rewrite(&image).is_err());
    fs::remove_dir(&path).unwrap();
    log.provide(0);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 >= super::AHEAD);
    assert_eq!(Log::look(&scratch.0).unwrap().image, image);
}

#[test]
fn what_a_failed_append_has_left_is_written_over() {
    let scratch = Scratch::new("failed");
    let (mut log, _) = Log::open(&scratch.0).unwrap();
    log.append(&[started(), changed(1)]).unwrap();
    let path = scratch.0.join("log");
    let file = fs::File::options().write(true).open(path).unwrap();
    let torn = encode(1, &vec![changed(7); 100]).unwrap();
    for length in [1, 10, 30, torn.len() - 1] {
        file.write_all_at(&torn[..length], log.length()).unwrap();
        let found = Log::look(&scratch.0).unwrap();
        assert!(!found.damaged, "{length}");
        log.append(&[changed(2)]).unwrap();
        let found = Log::look(&scratch.0).unwrap();
        assert!(!found.damaged, "{length}");
        assert_eq!(found.image.changes(Period(2)).count(), 1);
        assert_eq!(found.image.changes(Period(7)).count(), 0);
    }
}

#[test]
fn a_file_of_another_kind_is_left_alone() {
    let scratch = Scratch::new("other");
    fs::create_dir(&scratch.0).unwrap();
    fs::write(scratch.0.join("log"), "a letter").unwrap();
    assert!(matches!(Log::open(&scratch.0), Err(Error::NotALog(_))));
    assert_eq!(fs::read(scratch.0.join("log")).unwrap(), b"a letter");
}

#[test]
fn a_torn_tail_is_cut_off() {
    let whole = log();
    let last = encode(2, &[changed(2)]).unwrap().len();
    for length in whole.len() - last..whole.len() {
        let found = decode(&whole[..length]).unwrap();
        assert!(!found.damaged, "{length}");
        assert_eq!(found.image.changes(Period(1)).count(), 1, "{length}");
        assert_eq!(found.image.changes(Period(2)).count(), 0, "{length}");
        // The length was on disk before the data.
        let mut zeroes = whole[..length].to_vec();
        zeroes.resize(whole.len(), 0);
        let found = decode(&zeroes).unwrap();
        assert!(!found.damaged, "{length}");
    }
}

#[test]
fn no_changed_byte_goes_unseen() {
    let whole = log();
    let good = decode(&whole).unwrap().image;
    for at in HEAD.len()..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x20;
        let found = decode(&changed).unwrap();
        assert_ne!(found.image, good, "{at}");
        // All but the last frame had been promised.
        let last = at >= whole.len() - encode(2, &[super::tests::changed(2)]).unwrap().len();
        assert_eq!(found.damaged, !last, "{at}");
    }
}

#[test]
fn no_noise_makes_it_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..2000 {
        let mut noise = log();
        for byte in noise.iter_mut().skip(HEAD.len()) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state % 16 == 0 {
                *byte = state as u8;
            }
        }
        let _ = decode(&noise);
    }
}
