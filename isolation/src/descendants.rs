//! What a child has started, wherever it went: a process has the environment that it was started with,
//! and in it the mark of the child that it comes from, also in a session of its own.

use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use uuid::Uuid;

use crate::inside::CHILD_OF;

/// Processes that start others while they are looked for are looked for so often.
const LOOKS: usize = 10;

/// What tells the processes of one child from all others.
#[derive(Debug)]
pub(crate) struct Mark(String);

impl Mark {
    /// Of a child of this process for this place.
    pub(crate) fn new(name: &str) -> Self {
        Self(format!("{} {} {name}", std::process::id(), Uuid::new_v4().simple()))
    }

    /// The value of [`CHILD_OF`] that it is.
    pub(crate) fn variable(&self) -> &str {
        &self.0
    }

    /// Kills all that have it.
    pub(crate) fn kill_all(&self) {
        for _ in 0..LOOKS {
            if !self.kill_some() {
                return;
            }
        }
    }

    /// Whether there were any.
    fn kill_some(&self) -> bool {
        let Ok(processes) = fs::read_dir("/proc") else { return false };
        let mut any = false;
        for pid in processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        {
            // Before the second look, so that it is not another's meanwhile.
            if self.is_on(pid)
                && let Some(process) = Pid::from_raw(pid)
                && let Ok(process) = pidfd_open(process, PidfdFlags::empty())
                && self.is_on(pid)
            {
                any |= pidfd_send_signal(process, Signal::KILL).is_ok();
            }
        }
        any
    }

    /// Those of other users cannot be read; those that have ended have none.
    fn is_on(&self, pid: i32) -> bool {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| {
            let value = variable.strip_prefix(CHILD_OF.as_bytes());
            value.and_then(|value| value.strip_prefix(b"=")) == Some(self.0.as_bytes())
        })
    }
}
