//! The child's side: whether this process is one, and how it speaks with its parent.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::net::sockopt::socket_peercred;
use rustix::process::{
    Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{self, Incoming};
use crate::rlimits::Limits;

/// The variable that tells a child whose it is, by a number that is its own, and which place it is to
/// reach.
pub(crate) const CHILD_OF: &str = "SIMPLE_DIST_CHILD_OF";

/// The child has reached its place.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready;

/// Whose child this process is, and for which place.
#[derive(Debug)]
struct ChildIdentity {
    parent: Pid,
    name: String,
}

/// What a place is to this process.
#[derive(Debug)]
pub enum Reached {
    /// It is no child.
    Free,
    /// It is a child for another place: here it does nothing.
    Other,
    /// It is a child for this place.
    Here(Parent),
    /// And has been here before.
    Again,
}

/// The parent of this process; its end of the connection.
#[derive(Debug)]
pub struct Parent {
    socket: UnixStream,
    pid: Pid,
    limits: Limits,
}

/// Messages from the parent.
#[derive(Debug)]
pub struct Receiver {
    socket: UnixStream,
    incoming: Incoming,
}

/// Messages to the parent; any thread sends.
#[derive(Debug)]
pub struct Sender {
    socket: Mutex<UnixStream>,
    limits: Limits,
}

/// Whether this process is a child that was started to run jobs.
pub fn is_child() -> bool {
    identity().is_some()
}

/// Comes to the place of this name; a child for it has these limits from now on.
///
/// # Errors
/// When the system refuses to make a child of this process.
pub fn reach(name: &str, limits: Limits) -> io::Result<Reached> {
    static REACHED: AtomicBool = AtomicBool::new(false);
    let Some(identity) = identity() else { return Ok(Reached::Free) };
    if identity.name != name {
        return Ok(Reached::Other);
    }
    if REACHED.swap(true, Ordering::AcqRel) {
        return Ok(Reached::Again);
    }
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    limits.apply()?;
    Ok(Reached::Here(Parent { socket: socket.into(), pid: identity.parent, limits }))
}

/// Looked for once: later its stdin is another.
fn identity() -> Option<&'static ChildIdentity> {
    static IDENTITY: OnceLock<Option<ChildIdentity>> = OnceLock::new();
    IDENTITY.get_or_init(find).as_ref()
}

/// A process that a child starts inherits the variable, but neither its parent nor its socket.
fn find() -> Option<ChildIdentity> {
    let variable = std::env::var(CHILD_OF).ok()?;
    let mut parts = variable.splitn(3, ' ');
    let (parent, _mark, name) = (parts.next()?, parts.next()?, parts.next()?);
    let parent = parent.parse().ok().and_then(Pid::from_raw)?;
    let peer = socket_peercred(io::stdin()).ok()?.pid;
    (getppid() == Some(parent) && peer == parent)
        .then(|| ChildIdentity { parent, name: name.to_owned() })
}

impl Parent {
    /// Binds the life of this process to the parent's and says that it is ready. To be called on
    /// a thread that lives as long as the process.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn ready(self) -> io::Result<(Sender, Receiver)> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before this took effect.
        if getppid() != Some(self.pid) {
            end();
        }
        let receiver = Receiver { socket: self.socket.try_clone()?, incoming: Incoming::default() };
        let sender = Sender { socket: Mutex::new(self.socket), limits: self.limits };
        sender.send(&Ready);
        Ok((sender, receiver))
    }
}

impl Receiver {
    /// The next message; none when the parent wants no more.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            match self.incoming.next() {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
            match self.incoming.read(&self.socket) {
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(false) | Err(_) => return None,
            }
        }
    }
}

impl Sender {
    /// Sends a message. A child that cannot is of no use, and ends.
    pub fn send<T: Serialize>(&self, message: &T) {
        let frame = frame::encode(message);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if frame.and_then(|frame| socket.write_all(&frame)).is_err() {
            end();
        }
    }

    /// A job begins: limits that are for each job count from now.
    pub fn begin_job(&self) {
        // It may only be that the system's own limit is lower.
        let _lower = self.limits.begin_job();
    }
}

/// Ends this process at once, since its parent wants no more of it or cannot be reached: no destructor
/// of anybody's runs, beside what other threads do.
pub fn end() -> ! {
    // Nothing else sends this signal, so the parent knows. Where it is handled, the next ends it.
    let _told = kill_process(getpid(), Signal::STKFLT);
    let _killed = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
