//! Interruptions of a command: SIGINT, SIGTERM, SIGHUP, and the reader of its stdout going away.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::exit::Failure;

/// The interruptions of one command. While this exists, these signals do not end the process by
/// themselves.
pub(crate) struct Interrupts {
    signals: Signals,
    unread: oneshot::Receiver<()>,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` under `nohup`, which ignores it.
    hangup: Option<Signal>,
}

impl Interrupts {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let hear = |kind| signal(kind).map_err(Failure::configuration);
        let hangup = (!is_ignored(SignalKind::hangup())).then(|| hear(SignalKind::hangup()));
        let signals = Signals {
            interrupt: hear(SignalKind::interrupt())?,
            terminate: hear(SignalKind::terminate())?,
            hangup: hangup.transpose()?,
        };
        Ok(Self { signals, unread: watch_stdout().map_err(Failure::configuration)? })
    }

    /// Waits for the first interruption and returns the matching failure.
    pub(crate) async fn first(&mut self) -> Failure {
        tokio::select! {
            Ok(()) = &mut self.unread => Failure::output(ErrorKind::BrokenPipe.into()),
            failure = self.signals.next() => failure,
        }
    }

    /// Runs the farewell; another signal ends the process at once.
    pub(crate) async fn leave(&mut self, farewell: impl Future<Output = ()>) {
        tokio::select! {
            () = farewell => {}
            failure = self.signals.next() => std::process::exit(failure.code().into()),
        }
    }
}

impl Signals {
    async fn next(&mut self) -> Failure {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        let (name, kind) = tokio::select! {
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = hangup => ("SIGHUP", SignalKind::hangup()),
        };
        Failure::signal(name, kind.as_raw_value())
    }
}

/// Whether the parent process had this signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

/// Reports when the reader of stdout is gone, even while nothing is written.
fn watch_stdout() -> io::Result<oneshot::Receiver<()>> {
    let (tell, unread) = oneshot::channel();
    thread::Builder::new().name("stdout-readers".to_owned()).spawn(move || {
        let stdout = io::stdout();
        loop {
            // Errors and hang-ups are reported without asking for them; a file or a live terminal
            // has none.
            match poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                // A failing write will reveal it.
                Err(_) => return,
            }
        }
        // If nobody listens any more, the command is about to end.
        let _unheard = tell.send(());
    })?;
    Ok(unread)
}
