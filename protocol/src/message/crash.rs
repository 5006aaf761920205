//! What a job did to the process of its own in which it ran.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Attempt, WorkerId, limits};

/// How the child process ended in which an isolated worker ran a job. Exact evidence against the
/// job: its worker lives on, and nothing else ran in the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// The worker whose child it was.
    pub worker: WorkerId,
    /// The attempt that ended it.
    pub attempt: Attempt,
    /// The signal that killed it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Its exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The most memory that it had resident, in bytes; 0 if that is not known.
    #[serde(default)]
    pub memory_bytes: u64,
    /// The end of what it printed, at most [`CRASH_OUTPUT_BYTES`](limits::CRASH_OUTPUT_BYTES); above it,
    /// if that is only a backtrace, the line before that.
    #[serde(default)]
    pub output: String,
    /// What else is known: that it reached a limit, or that it lives on but does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Crash {
    /// Shortens texts that are over their limits.
    pub fn curb(&mut self) {
        let excess = self.output.len().saturating_sub(limits::CRASH_OUTPUT_BYTES);
        if excess > 0 {
            self.output.drain(..self.output.ceil_char_boundary(excess));
            self.output.shrink_to_fit();
        }
        if let Some(note) = &mut self.note
            && let Some((end, _)) = note.char_indices().nth(limits::MESSAGE_CHARS)
        {
            note.truncate(end);
            note.shrink_to_fit();
        }
    }

    /// Its bytes in memory, besides its own size.
    pub fn weight(&self) -> usize {
        self.output.len() + self.note.as_ref().map_or(0, String::len)
    }
}

/// For people, in one line, without what it printed: `killed by SIGSEGV`.
impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&ending(self.signal, self.code))?;
        if let Some(note) = &self.note {
            write!(f, " ({note})")?;
        }
        Ok(())
    }
}

/// How a process ended, for people.
pub fn ending(signal: Option<i32>, code: Option<i32>) -> String {
    match (signal, code) {
        (Some(number), _) => match signal_name(number) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {number}"),
        },
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Those by which processes die on Linux.
fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        16 => "SIGSTKFLT",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Term;

    fn crash() -> Crash {
        Crash {
            worker: WorkerId::from_u128(1),
            attempt: Attempt { term: Term(1), number: 1 },
            signal: None,
            code: None,
            memory_bytes: 0,
            output: String::new(),
            note: None,
        }
    }

    #[test]
    fn people_read_how_it_ended() {
        let said = |crash: Crash| crash.to_string();
        assert_eq!(said(Crash { signal: Some(11), ..crash() }), "killed by SIGSEGV");
        assert_eq!(said(Crash { signal: Some(64), ..crash() }), "killed by signal 64");
        assert_eq!(said(Crash { code: Some(0), ..crash() }), "exited with code 0");
        let note = Some("it closed its connection".to_owned());
        assert_eq!(said(Crash { note, ..crash() }), "ended (it closed its connection)");
    }

    #[test]
    fn of_long_output_the_end_is_kept() {
        let output = format!("{}the end", "ä".repeat(limits::CRASH_OUTPUT_BYTES));
        let note = Some("n".repeat(limits::MESSAGE_CHARS + 1));
        let mut long = Crash { output, note, ..crash() };
        long.curb();
        assert!(
            long.output.len() <= limits::CRASH_OUTPUT_BYTES && long.output.ends_with("the end")
        );
        assert_eq!(long.weight(), long.output.len() + limits::MESSAGE_CHARS);
    }
}
