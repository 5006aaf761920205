//! What a child has started, wherever it went: a process has the environment that it was started with,
//! and in it the mark of the child that it comes from, also in a session of its own.

use std::fs;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use uuid::Uuid;

use crate::inside::CHILD_OF;

/// Processes that start others, or another program, while they are looked for are looked for so often.
const LOOKS: usize = 10;
/// Between two looks at one that executes another program.
const PAUSE: Duration = Duration::from_micros(500);

/// What tells the processes of one child from all others.
#[derive(Debug)]
pub(crate) struct Mark {
    value: String,
    /// When it was made, in hundredths of a second since the machine has started.
    made: u64,
}

/// What was found in one look at all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    Nothing,
    /// One whose environment is not there yet: it is being replaced by another program.
    Doubt,
    Some,
}

impl Mark {
    /// Of a child of this process for this place.
    pub(crate) fn new(name: &str) -> Self {
        let value = format!("{} {} {name}", std::process::id(), Uuid::new_v4().simple());
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let hundredths = uptime.split(' ').next().map(|seconds| seconds.replace('.', ""));
        Self { value, made: hundredths.and_then(|it| it.parse().ok()).unwrap_or_default() }
    }

    /// The value of [`CHILD_OF`] that it is.
    pub(crate) fn variable(&self) -> &str {
        &self.value
    }

    /// Kills all that have it.
    pub(crate) fn kill_all(&self) {
        for _ in 0..LOOKS {
            match self.kill_some() {
                Found::Nothing => return,
                Found::Doubt => thread::sleep(PAUSE),
                Found::Some => {}
            }
        }
    }

    fn kill_some(&self) -> Found {
        let mut found = Found::Nothing;
        let Ok(processes) = fs::read_dir("/proc") else { return found };
        for pid in processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        {
            let process_is = self.look_at(pid);
            // Before the second look, so that it is not another's meanwhile.
            if process_is == Found::Some
                && let Some(process) = Pid::from_raw(pid)
                && let Ok(process) = pidfd_open(process, PidfdFlags::empty())
                && self.look_at(pid) == Found::Some
            {
                // The next look tells whether it has ended.
                let _sent_or_gone = pidfd_send_signal(process, Signal::KILL);
            }
            found = found.max(process_is);
        }
        found
    }

    /// Those of other users cannot be read; those that have ended have no environment, nor program.
    fn look_at(&self, pid: i32) -> Found {
        let Ok(variables) = fs::read(format!("/proc/{pid}/environ")) else { return Found::Nothing };
        let is_it = |variable: &[u8]| {
            let value = variable.strip_prefix(CHILD_OF.as_bytes());
            value.and_then(|value| value.strip_prefix(b"=")) == Some(self.value.as_bytes())
        };
        if variables.split(|byte| *byte == 0).any(is_it) {
            Found::Some
        } else if variables.is_empty()
            && fs::read_link(format!("/proc/{pid}/exe")).is_ok()
            && started(pid).is_some_and(|at| at >= self.made)
        {
            Found::Doubt
        } else {
            Found::Nothing
        }
    }
}

/// When a process was started, in hundredths of a second since the machine has.
fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind its name, which may be anything.
    stat.rsplit(')').next()?.split(' ').nth(20)?.parse().ok()
}
