//! The limits that lead to a refusal, by name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A limit that is reached, so that a job, a worker or a message about them is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
#[non_exhaustive]
pub enum Bound {
    /// The number of unfinished jobs.
    Jobs,
    /// The bytes of their arguments.
    Arguments,
    /// The number of logins.
    Logins,
    /// The number of known functions.
    Functions,
    /// The length of the queue of submissions.
    Submissions,
    /// The number of known workers.
    Workers,
    /// The number of pools: of different sets of functions.
    Pools,
    /// The functions of one worker, or of all pools together.
    Served,
    /// The jobs held by one worker, or by all.
    Held,
    /// Answers and starts of unknown jobs.
    Unclaimed,
    /// The answers in transit to one client, or to all.
    Deliveries,
    /// The local runs that a client can have made.
    Runs,
    /// A limit that the reader does not know.
    Other,
}

impl Bound {
    const ALL: [Self; 12] = [
        Self::Jobs,
        Self::Arguments,
        Self::Logins,
        Self::Functions,
        Self::Submissions,
        Self::Workers,
        Self::Pools,
        Self::Served,
        Self::Held,
        Self::Unclaimed,
        Self::Deliveries,
        Self::Runs,
    ];

    /// The name, in one lower-case word.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Arguments => "arguments",
            Self::Logins => "logins",
            Self::Functions => "functions",
            Self::Submissions => "submissions",
            Self::Workers => "workers",
            Self::Pools => "pools",
            Self::Served => "served",
            Self::Held => "held",
            Self::Unclaimed => "unclaimed",
            Self::Deliveries => "deliveries",
            Self::Runs => "runs",
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
        Self::ALL.into_iter().find(|bound| bound.kind() == kind).unwrap_or(Self::Other)
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
            Self::Workers => "no more workers can be known",
            Self::Pools => "no more sets of functions can be served",
            Self::Served => "a worker serves 1 to 1,024 functions, all sets together 65,536",
            Self::Held => "no more jobs in workers' hands can be remembered",
            Self::Unclaimed => "no more answers can be kept of jobs that nobody has sent",
            Self::Deliveries => "no more answers can be on their way to a client",
            Self::Runs => "no client can have run so many calls itself",
            Self::Other => "a bound is reached",
        })
    }
}
