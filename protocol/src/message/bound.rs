//! Why there is no room for a job, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A bound that is reached, so that there is no room for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum Bound {
    /// The jobs held at once.
    Jobs,
    /// The bytes of their arguments.
    Arguments,
    /// The logins told apart.
    Logins,
    /// The functions known.
    Functions,
    /// What waits in the queue of submissions.
    Submissions,
    /// One that the reader does not know.
    Other,
}

impl Bound {
    /// In one lower-case word.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Arguments => "arguments",
            Self::Logins => "logins",
            Self::Functions => "functions",
            Self::Submissions => "submissions",
            Self::Other => "other",
        }
    }
}

impl From<Bound> for &'static str {
    fn from(bound: Bound) -> Self {
        bound.kind()
    }
}

impl From<String> for Bound {
    fn from(kind: String) -> Self {
        let all = [Self::Jobs, Self::Arguments, Self::Logins, Self::Functions, Self::Submissions];
        all.into_iter().find(|bound| bound.kind() == kind).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jobs => "no more jobs can be held",
            Self::Arguments => "no more bytes of arguments can be held",
            Self::Logins => "no more logins can be told apart",
            Self::Functions => "no more functions can be known",
            Self::Submissions => "the queue of submissions is full",
            Self::Other => "a bound is reached",
        })
    }
}
