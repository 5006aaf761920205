//! A child as its parent has it.

use std::fs;
use std::io::{self, ErrorKind, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process_group, pidfd_open, pidfd_send_signal,
    waitpgid, waitpid,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::death::Death;
use crate::descendants::Mark;
use crate::frame::{self, Incoming};
use crate::output::Output;
use crate::start::now;
use crate::waker::{Waker, timespec};

/// So much of its output is read at once: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// A dead child's output is read so often at most: descendants may write on.
const LAST_CHUNKS: usize = 16;
/// So often it is waited a millisecond for the descendants of a dead child to be gone.
const GONE_WAITS: usize = 50;
/// How long a child whose connection has ended may take to end as well, before it counts as mute: at its
/// end the connection ends first, and on a busy machine much later the process.
const LAST_STEP: Duration = Duration::from_secs(1);
/// So often it is looked whether what a child does not take is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// A process that runs jobs. Dropped, it is killed, with all that it has started.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    pidfd: OwnedFd,
    /// What it has started has it as well.
    mark: Mark,
    socket: UnixStream,
    incoming: Incoming,
    /// None once nobody can write to it.
    pipe: Option<PipeReader>,
    output: Output,
    memory_bytes: u64,
    /// Set once it is reaped.
    death: Option<Death>,
    is_unread: bool,
    is_mute: bool,
}

/// What happens to a child.
#[derive(Debug)]
pub enum Happening<T> {
    /// It says something.
    Message(T),
    /// The thread was woken.
    Woken,
    /// It has ended, and will say nothing more.
    Ended,
    /// The time is over.
    Nothing,
}

/// The child takes nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the child takes nothing any more")]
pub struct Gone;

impl Child {
    pub(crate) fn new(
        process: &std::process::Child,
        mark: Mark,
        socket: UnixStream,
        pipe: PipeReader,
    ) -> io::Result<Self> {
        let pid = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a child without a pid"))?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            // Nobody else would end it.
            let _gone = kill_process_group(pid, Signal::KILL);
            let _reaped = waitpgid(pid, WaitOptions::empty());
        })?;
        let child = Self {
            pid,
            pidfd,
            mark,
            socket,
            incoming: Incoming::default(),
            pipe: Some(pipe),
            output: Output::new(),
            memory_bytes: 0,
            death: None,
            is_unread: false,
            is_mute: false,
        };
        child.socket.set_nonblocking(true)?;
        if let Some(pipe) = &child.pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(child)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Whether it has ever printed anything.
    pub fn has_printed(&self) -> bool {
        self.output.any
    }

    /// What it prints from now on is another job's.
    pub fn begin_output(&mut self) {
        self.output.begin();
    }

    /// It has told what a program prints as a rule: for the report on its death.
    pub fn keep_line(&mut self, line: impl std::fmt::Display) {
        self.output.keep(format!("{line}\n").as_bytes());
        if let Some(death) = &mut self.death {
            death.output = self.output.tail();
        }
    }

    /// Sends a message: waits until it takes it or ends, or until `is_wanted` is false, which is
    /// asked when the thread is woken and every 50 ms.
    ///
    /// # Errors
    /// [`Gone`], if it does not take all of it.
    pub fn send<T: Serialize>(
        &mut self,
        message: &T,
        waker: &Waker,
        mut is_wanted: impl FnMut() -> bool,
    ) -> Result<(), Gone> {
        let frame = frame::encode(message).map_err(|_| Gone)?;
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match (&self.socket).write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [
                        PollFd::new(&self.socket, PollFlags::OUT),
                        PollFd::new(&self.pidfd, PollFlags::IN),
                        PollFd::new(waker, PollFlags::IN),
                    ];
                    let polled = poll(&mut fds, Some(&timespec(LOOK)));
                    let [takes, ended, woken] = fds.map(|fd| !fd.revents().is_empty());
                    if polled.is_ok() && ended {
                        return Err(Gone);
                    }
                    if polled.is_ok() && woken {
                        waker.take();
                    }
                    if !takes && !is_wanted() {
                        return Err(Gone);
                    }
                }
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Waits for what happens next, at most so long. Each line that it prints is logged; what it
    /// printed before it said something is logged before.
    pub fn next<T: DeserializeOwned>(
        &mut self,
        waker: &Waker,
        most: Option<Duration>,
        log: &mut dyn FnMut(&str),
    ) -> Happening<T> {
        let by = most.map(|most| now() + most);
        let mut is_late = false;
        loop {
            match self.incoming.next() {
                Ok(Some(message)) => return Happening::Message(message),
                Ok(None) => {}
                Err(_) => return self.end_mute(log),
            }
            if self.death.is_some() {
                return Happening::Ended;
            }
            // Also when it prints, or speaks, without end.
            if is_late {
                return Happening::Nothing;
            }
            let left = by.map(|by| by.saturating_duration_since(now()));
            is_late = left.is_some_and(|left| left.is_zero());
            // The socket first: what was printed before a message is seen with it.
            let pipe = self.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN));
            let mut fds: Vec<PollFd<'_>> = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.pidfd, PollFlags::IN),
                PollFd::new(waker, PollFlags::IN),
            ]
            .into_iter()
            .chain(pipe)
            .collect();
            if poll(&mut fds, left.map(timespec).as_ref()).is_err() {
                continue; // a signal
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready.get(3) == Some(&true) {
                self.read_output(1, log);
            }
            if ready[1] {
                self.reap(log);
                self.read_last();
            } else if ready[0] && !self.read() {
                return self.end_mute(log);
            } else if ready[2] {
                waker.take();
                return Happening::Woken;
            } else if !ready.contains(&true) {
                return Happening::Nothing;
            }
        }
    }

    /// Kills it, and all that it has started.
    pub fn kill(&self) {
        if self.death.is_none() {
            // Until it is reaped its id is nobody else's.
            let _ended = kill_process_group(self.pid, Signal::KILL);
            // It may have left the group.
            let _ended = pidfd_send_signal(&self.pidfd, Signal::KILL);
        }
    }

    /// Looks at its memory.
    pub fn measure_memory(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix(" kB"));
        let peak = peak.and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok());
        self.memory_bytes = self.memory_bytes.max(peak.map_or(0, |kilobytes| kilobytes << 10));
    }

    /// Closes the connection to it, after which it ends by itself; killed if it has not in time.
    pub fn close(mut self, most: Duration) {
        let _closed = self.socket.shutdown(std::net::Shutdown::Both);
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let _ended = poll(&mut fds, Some(&timespec(most)));
        self.kill();
        self.reap(&mut |_| {});
    }

    /// Its end, for which this waits.
    pub fn end(mut self) -> Death {
        self.death()
    }

    /// The same, of one that is to be dropped.
    pub fn death(&mut self) -> Death {
        self.reap(&mut |_| {});
        self.death.clone().unwrap_or_default()
    }

    /// It has closed its connection, or speaks nonsense: whatever it does, nobody will hear of it.
    fn end_mute<T>(&mut self, log: &mut dyn FnMut(&str)) -> Happening<T> {
        if self.death.is_none() {
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            let _ended = poll(&mut fds, Some(&timespec(LAST_STEP)));
            self.is_mute = fds[0].revents().is_empty();
            self.kill();
            self.reap(log);
        }
        Happening::Ended
    }

    /// Reads what it says; false at the end.
    fn read(&mut self) -> bool {
        match self.incoming.read(&self.socket) {
            Ok(more) => more,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                self.is_unread = true;
                false
            }
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// What a dead child said last.
    fn read_last(&mut self) {
        loop {
            match self.incoming.read(&self.socket) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    if error.kind() == ErrorKind::ConnectionReset
                        && let Some(death) = &mut self.death
                    {
                        death.is_unread = true;
                    }
                    return;
                }
            }
        }
    }

    fn read_output(&mut self, most: usize, log: &mut dyn FnMut(&str)) {
        let mut chunk = [0; CHUNK];
        for _ in 0..most {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut chunk) {
                Ok(0) => self.pipe = None,
                Ok(count) => self.output.push(&chunk[..count], log),
                Err(_) => return,
            }
        }
    }

    /// It is dead, or killed: ends what it started, and takes its end in.
    fn reap(&mut self, log: &mut dyn FnMut(&str)) {
        if self.death.is_some() {
            return;
        }
        let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
        while poll(&mut fds, None).is_err() {}
        // Before it is reaped: its id is nobody else's until then.
        self.kill();
        self.mark.kill_all();
        self.read_output(LAST_CHUNKS, log);
        self.output.end_line(log);
        let mut death = Death {
            memory_bytes: self.memory_bytes,
            output: self.output.tail(),
            is_unread: self.is_unread,
            is_mute: self.is_mute,
            ..Death::default()
        };
        // Where this process is the first of its container, descendants are its children now.
        let mut ended = None;
        for _ in 0..GONE_WAITS {
            match waitpgid(self.pid, WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => ended = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(_) => break,
            }
        }
        // It may have left the group.
        let alone = || Some(waitpid(Some(self.pid), WaitOptions::NOHANG).ok()??.1);
        if let Some(status) = ended.or_else(alone) {
            (death.signal, death.code) = (status.terminating_signal(), status.exit_status());
        }
        self.death = Some(death);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
        self.reap(&mut |_| {});
    }
}
