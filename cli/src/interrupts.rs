//! What ends a command before its work is done: SIGINT, SIGTERM, SIGHUP, and nobody reading its
//! stdout any more.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::exit::Failure;

/// The interruptions of one command. From when it listens on, no signal ends the process by itself.
pub(crate) struct Interrupts {
    signals: Signals,
    unread: oneshot::Receiver<()>,
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Not under `nohup`, which has it ignored.
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

    /// Waits for the first, and says with which code the command ends.
    pub(crate) async fn first(&mut self) -> Failure {
        tokio::select! {
            Ok(()) = &mut self.unread => Failure::output(ErrorKind::BrokenPipe.into()),
            failure = self.signals.next() => failure,
        }
    }

    /// Takes leave, unless a signal comes meanwhile: that ends the process at once.
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

/// Whether whoever started this process has a signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (kind.as_raw_value() - 1) & 1 == 1
}

/// Tells when nobody can read stdout any more, also while nothing is written to it.
fn watch_stdout() -> io::Result<oneshot::Receiver<()>> {
    let (tell, unread) = oneshot::channel();
    thread::Builder::new().name("stdout-readers".to_owned()).spawn(move || {
        let stdout = io::stdout();
        loop {
            // Errors and hang-ups are reported unasked; a file or a terminal that lives has none.
            match poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => break,
                // Then a write will tell.
                Err(_) => return,
            }
        }
        // Whoever does not listen any more is about to end.
        let _unheard = tell.send(());
    })?;
    Ok(unread)
}
