// SPDX-License-Identifier: GPL-2.0

//! What systemd keeps for a service: sd_listen_fds(3), sd_notify(3), FDSTORE= in systemd.service(5).

use crate::Result;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::sendmsg;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::pipe::pipe_with;
use rustix::pipe::PipeFlags;
use std::env;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::RawFd;
use std::os::unix::net::UnixDatagram;

/// The first descriptor that is passed, and the only one that is stored.
const FIRST: RawFd = 3;

/// The number of the descriptor that an earlier worker has stored, if there is one.
pub(crate) fn stored() -> Result<Option<RawFd>> {
    let for_us = env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    match env::var("LISTEN_FDS") {
        Ok(number) if for_us && number == "1" => Ok(Some(FIRST)),
        Ok(number) if for_us && number != "0" => {
            Err(format!("{number} descriptors were stored, and not one").into())
        }
        _ => Ok(None),
    }
}

/// Has systemd keep a descriptor, and waits until it does.
pub(crate) fn store(fd: &impl AsFd) -> Result {
    notify("FDSTORE=1\nFDNAME=group\nFDPOLL=0", &[fd.as_fd()])?;
    // Who is killed before systemd has seen to a message is not known to it any more.
    let (done, barrier) = pipe_with(PipeFlags::CLOEXEC)?;
    notify("BARRIER=1", &[barrier.as_fd()])?;
    drop(barrier);
    let waiting = &mut [PollFd::new(&done, PollFlags::empty())];
    poll(waiting, None)?;
    Ok(())
}

/// Whoever waits for the service to be started goes on.
pub(crate) fn ready() -> Result {
    notify("READY=1", &[])
}

/// Sends this. By hand, there is nobody to be told.
fn notify(message: &str, fds: &[BorrowedFd<'_>]) -> Result {
    let Some(to) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect(to)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err("no room for more than one descriptor".into());
    }
    let message = [IoSlice::new(message.as_bytes())];
    sendmsg(&socket, &message, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}
