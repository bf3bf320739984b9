// SPDX-License-Identifier: GPL-2.0

//! How to talk to a running journal: one request for each connection to a socket in its store.
#![forbid(unsafe_code)]

use checkpoint::Change;
use checkpoint::Error;
use checkpoint::Image;
use checkpoint::Log;
use checkpoint::Period;
use serde::de::DeserializeOwned;
use serde::Deserialize;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

/// What a journal is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// End the period, and wait until it is sealed.
    Checkpoint,
    /// What is recorded?
    List,
    /// Forget the sealed periods up to this one.
    Consume(Period),
}

/// A period, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Which one.
    pub period: Period,
    /// Whether it can be read and consumed. If not, there may be more to come.
    pub sealed: bool,
    /// What changed, in no order.
    pub changes: Vec<Change>,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.sealed { "sealed" } else { "open" };
        writeln!(f, "period {} {state}", self.period)?;
        self.changes
            .iter()
            .try_for_each(|change| writeln!(f, "{change}"))
    }
}

/// All periods that say something, oldest first.
#[must_use]
pub fn list(image: &Image) -> Vec<Listed> {
    let listed = |period, sealed| Listed {
        period,
        sealed,
        changes: image.changes(period).cloned().collect(),
    };
    let sealed = image.sealed().map(|period| listed(period, true));
    let mut all: Vec<_> = sealed
        .chain(image.unsealed().map(|period| listed(period, false)))
        .collect();
    all.sort_by_key(|listed| listed.period);
    all
}

/// What a journal says: for each request, the periods there are then; or why not.
pub type Reply = Result<Vec<Listed>, String>;

/// Where the journal in this store can be reached.
#[must_use]
pub fn socket(store: &Path) -> PathBuf {
    store.join("socket")
}

/// Asks the running journal. Returns what it says when that is done.
///
/// # Errors
///
/// If none is running, the connection breaks, or with what the journal says.
pub fn ask(store: &Path, request: Request) -> io::Result<Vec<Listed>> {
    let mut stream = by_short_path(store, |path| UnixStream::connect(path)).map_err(|error| {
        let said = format!("{}: {error} (is it running?)", socket(store).display());
        io::Error::new(error.kind(), said)
    })?;
    send(&mut stream, &request)?;
    receive::<Reply>(&mut stream)?.map_err(io::Error::other)
}

/// Where a journal takes requests.
///
/// # Errors
///
/// Those of `unlink(2)` of an older one, and of `bind(2)`.
pub fn listen(store: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(socket(store)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    by_short_path(store, |path| UnixListener::bind(path))
}

/// The path of a socket has 107 bytes at most, and that of a store may have more.
fn by_short_path<T>(store: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let directory = File::open(store)?;
    let short = format!("/proc/self/fd/{}", directory.as_raw_fd());
    call(&socket(Path::new(&short)))
}

/// What the journal in this store has recorded, whether it runs or not.
///
/// # Errors
///
/// If there is none.
pub fn look(store: &Path) -> Result<Vec<Listed>, Error> {
    match ask(store, Request::List) {
        Ok(listed) => Ok(listed),
        Err(_) => Log::look(store).map(|found| list(&found.image)),
    }
}

/// Sends all there is to say in one direction.
///
/// # Errors
///
/// Those of the connection.
pub fn send(stream: &mut UnixStream, message: &impl Serialize) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    stream.write_all(&bytes)?;
    stream.shutdown(Shutdown::Write)
}

/// Receives that.
///
/// # Errors
///
/// Those of the connection, and `InvalidData`.
pub fn receive<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    postcard::from_bytes(&bytes).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::receive;
    use super::send;
    use super::Listed;
    use super::Reply;
    use super::Request;
    use checkpoint::Change;
    use checkpoint::Period;
    use std::os::unix::net::UnixStream;

    #[test]
    fn requests_and_replies_arrive() {
        let (mut client, mut server) = UnixStream::pair().unwrap();
        send(&mut client, &Request::Consume(Period(7))).unwrap();
        let request: Request = receive(&mut server).unwrap();
        assert_eq!(request, Request::Consume(Period(7)));
        let listed = Listed {
            period: Period(7),
            sealed: true,
            changes: vec![Change::Everything],
        };
        assert_eq!(listed.to_string(), "period 7 sealed\neverything\n");
        let reply: Reply = Ok(vec![listed]);
        send(&mut server, &reply).unwrap();
        assert_eq!(receive::<Reply>(&mut client).unwrap(), reply);
    }

    #[test]
    fn a_store_may_have_a_long_path() {
        let top = std::env::temp_dir().join(format!("journal-{}", std::process::id()));
        let store = top.join("x".repeat(200));
        std::fs::create_dir_all(&store).unwrap();
        let listener = super::listen(&store).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let request: Request = receive(&mut stream).unwrap();
            send(&mut stream, &Reply::Ok(Vec::new())).unwrap();
            request
        });
        let listed = super::ask(&store, Request::Checkpoint).unwrap();
        assert_eq!(listed, []);
        assert_eq!(server.join().unwrap(), Request::Checkpoint);
        std::fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn a_connection_that_breaks_is_no_reply() {
        let (mut client, server) = UnixStream::pair().unwrap();
        drop(server);
        assert!(receive::<Reply>(&mut client).is_err());
    }
}
