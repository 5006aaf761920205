//! How a command fails: its message and exit code.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::process::ExitCode;

use simple_dist_client::CallError;
use simple_dist_protocol::message::Crash;
use simple_dist_protocol::text;

use crate::output::{say, some};

/// A command's failure; with an empty message it is silent.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// How many lines are shown of what a process printed before it ended, and how much of each.
const PRINTED: usize = 5;
const WIDTH: usize = 160;

/// The exit code of a command that SIGPIPE would have ended.
const UNREAD: u8 = 141;

impl Failure {
    /// The function failed, or a step of the demo went wrong: 1.
    pub(crate) fn function(problem: impl Display) -> Self {
        Self { code: 1, message: problem.to_string() }
    }

    /// The command line is invalid: 2.
    pub(crate) fn usage(problem: impl Display) -> Self {
        Self { code: 2, message: problem.to_string() }
    }

    /// The service is unavailable: 69.
    pub(crate) fn unavailable(problem: impl Display) -> Self {
        Self { code: 69, message: problem.to_string() }
    }

    /// The worker was stuck, and is to be started again: 70.
    pub(crate) fn stuck(problem: impl Display) -> Self {
        Self { code: 70, message: problem.to_string() }
    }

    /// Stdout cannot be written: 74; silently 141 if its reader is gone.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self { code: UNREAD, message: String::new() },
            _ => Self { code: 74, message: format!("cannot write to stdout: {error}") },
        }
    }

    /// A required token is missing or wrong: 77.
    pub(crate) fn forbidden(problem: impl Display) -> Self {
        Self { code: 77, message: problem.to_string() }
    }

    /// The environment or a setting is invalid: 78.
    pub(crate) fn configuration(problem: impl Display) -> Self {
        Self { code: 78, message: problem.to_string() }
    }

    /// A setting is invalid; the message includes the error's sources: 78.
    pub(crate) fn unusable(error: impl Error) -> Self {
        let mut message = error.to_string();
        let mut beneath = error.source();
        while let Some(cause) = beneath {
            message = format!("{message}: {cause}");
            beneath = cause.source();
        }
        Self { code: 78, message }
    }

    /// A signal ended it: 128 plus its number, as in shells.
    pub(crate) fn signal(name: &str, number: i32) -> Self {
        let code = u8::try_from(128 + number).unwrap_or(u8::MAX);
        Self { code, message: format!("stopped by {name}") }
    }

    /// Prefixes the message with the name of what failed.
    pub(crate) fn of(self, name: &str) -> Self {
        Self { message: format!("{name}: {}", self.message), ..self }
    }

    /// Appends a hint.
    pub(crate) fn with(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) if !self.message.is_empty() => {
                Self { message: format!("{}; {hint}", self.message), ..self }
            }
            Some(_) | None => self,
        }
    }

    /// Appends how many calls were cancelled, and whether their workers could be told.
    pub(crate) fn with_cancelled(self, calls: usize, told: bool) -> Self {
        if calls == 0 {
            return self;
        }
        let Self { code, mut message } = self;
        if message.is_empty() {
            message = "the reader of stdout is gone".to_owned();
        }
        let calls = some(calls as u64, "call");
        let became = if told { "cancelled" } else { "given up; no connection to tell the workers" };
        Self { code, message: format!("{message}; {calls} {became}") }
    }

    /// What is said.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The exit code of the process.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Prints the message to stderr.
    pub(crate) fn say(&self) {
        if !self.message.is_empty() {
            say(format_args!("simple-dist: {}", self.message));
        }
    }

    /// Prints the message and returns the exit code.
    pub(crate) fn report(self) -> ExitCode {
        self.say();
        ExitCode::from(self.code)
    }
}

impl<E: Display> From<CallError<E>> for Failure {
    fn from(error: CallError<E>) -> Self {
        let code = match &error {
            // The message is complete by itself.
            CallError::BadArguments { message } => return Self::usage(message),
            CallError::Timeout | CallError::Deadline | CallError::Suspect { .. } => 75,
            CallError::Unavailable { .. } | CallError::NoChild { .. } | CallError::Closed => 69,
            CallError::BadOptions { .. } => 2,
            _ => 1,
        };
        let last = |crashes: &[Crash]| crashes.last().map(|crash| printed(&crash.output));
        let printed = match &error {
            CallError::Crashed { output, .. } => Some(printed(output)),
            CallError::Poisoned { crashes, .. } => last(crashes),
            CallError::Suspect { marks } => last(&marks.crashes),
            _ => None,
        };
        let printed = printed.unwrap_or_default();
        Self { code, message: format!("{error}{printed}") }
    }
}

/// The last lines that a process printed before it ended, each on a line of its own.
fn printed(output: &str) -> String {
    let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(PRINTED);
    let lines = lines[from..].iter().map(|line| format!("\n  | {}", text::line(line, WIDTH)));
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("; it printed last:{lines}") }
}

#[cfg(test)]
mod tests {
    use simple_dist_protocol::{Attempt, NoError, Term, WorkerId};

    use super::*;

    #[test]
    fn of_a_crash_the_signal_and_the_last_lines_are_told() {
        let crash = Crash {
            worker: WorkerId::from_u128(1),
            attempt: Attempt { term: Term(1), number: 3 },
            signal: Some(6),
            code: None,
            memory_bytes: 0,
            output: "1\n2\n3\n4\n\n5\n\u{1b}[2Jstack overflow\n".into(),
            note: None,
        };
        let error = CallError::<NoError>::Poisoned { workers: vec![], crashes: vec![crash] };
        let failure = Failure::from(error);
        let said = failure.message();
        assert!(said.contains("killed by SIGABRT"), "{said}");
        let lines: Vec<_> = said.lines().skip(1).collect();
        assert_eq!(lines, ["  | 2", "  | 3", "  | 4", "  | 5", r"  | \u{1b}[2Jstack overflow"]);
        assert_eq!(failure.code(), 1);
    }
}
