//! Problems of the service, for every display.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem that an operator should know of.
// In the API's description `Problem` is the error of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Diagnosis)]
pub struct Problem {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// How bad it is.
    pub severity: Severity,
    /// Whether this distributor is not ready while the problem lasts.
    pub blocks: bool,
    /// A short form without numbers, for announcements.
    pub headline: String,
    /// The problem in one sentence.
    pub text: String,
    /// The functions it is about.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Arc<str>>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Calls are affected.
    Critical,
    /// An operator should look.
    Warning,
    /// It may be intended.
    Info,
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The view is out of date.
    Stale,
    /// There is no link to the broker.
    BrokerDown,
    /// The broker blocks publishers.
    BrokerBlocked,
    /// Our own presence does not come back from the broker.
    BrokerSilent,
    /// No distributor is active.
    Leaderless,
    /// Another distributor is active.
    Standby,
    /// There are no workers.
    NoWorkers,
    /// Functions that no worker serves.
    Unserved,
    /// Functions whose jobs fail.
    Failing,
    /// Functions whose jobs run out of time.
    TimingOut,
    /// Jobs were refused.
    Refused,
    /// A limit other than those for jobs is reached.
    TurnedAway,
    /// Workers were lost.
    WorkersLost,
    /// Workers whose beat is late or whose link is down.
    WorkersLate,
    /// A worker whose answers differ from those of all others.
    Outvoted,
    /// Functions that are declared deterministic, and are not.
    NotDeterministic,
    /// Answers of equal calls that differ, and nobody knows yet which are wrong.
    AnswersDiffer,
    /// Slots running jobs that nobody waits for any more.
    Abandoned,
    /// Functions served in more than one version.
    Skew,
    /// A function's shadow is compared no more.
    ShadowStopped,
    /// The job counts do not add up.
    Books,
}

impl Problem {
    /// A problem whose text is its headline.
    pub fn new(kind: ProblemKind, severity: Severity, headline: &str) -> Self {
        let (headline, text) = (headline.to_owned(), headline.to_owned());
        Self { kind, severity, blocks: false, headline, text, functions: Vec::new() }
    }

    /// Marks the distributor as not ready while the problem lasts.
    #[must_use]
    pub fn blocking(self) -> Self {
        Self { blocks: true, ..self }
    }

    /// Sets the full text.
    #[must_use]
    pub fn saying(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// Sets the functions it is about.
    #[must_use]
    pub fn about(self, functions: Vec<Arc<str>>) -> Self {
        Self { functions, ..self }
    }
}
