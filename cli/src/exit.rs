//! How a command fails: what is said, and with which code it ends.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use simple_dist_client::CallError;

/// A command's failure.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The function failed, or a step of the demo went wrong: 1.
    pub(crate) fn function(problem: impl Display) -> Self {
        Self { code: 1, message: problem.to_string() }
    }

    /// The command line cannot be followed: 2.
    pub(crate) fn usage(problem: impl Display) -> Self {
        Self { code: 2, message: problem.to_string() }
    }

    /// Nobody is there to do it: 69.
    pub(crate) fn unavailable(problem: impl Display) -> Self {
        Self { code: 69, message: problem.to_string() }
    }

    /// It takes a token that was not given: 77.
    pub(crate) fn forbidden(problem: impl Display) -> Self {
        Self { code: 77, message: problem.to_string() }
    }

    /// The environment or a setting is unusable: 78.
    pub(crate) fn configuration(problem: impl Display) -> Self {
        Self { code: 78, message: problem.to_string() }
    }

    /// A setting is unusable, with all that is said beneath it: 78.
    pub(crate) fn unusable(error: impl Error) -> Self {
        let mut message = error.to_string();
        let mut beneath = error.source();
        while let Some(cause) = beneath {
            message = format!("{message}: {cause}");
            beneath = cause.source();
        }
        Self { code: 78, message }
    }

    /// Says it and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("simple-dist: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let code = match &error {
            CallError::Timeout => 75,
            CallError::Unavailable { .. } | CallError::Closed => 69,
            CallError::BadArguments { .. } | CallError::BadOptions { .. } => 2,
            _ => 1,
        };
        Self { code, message: error.to_string() }
    }
}
