//! What is wrong with the service, for whoever shows how things are.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that a person should know of.
// In the API's description a `Problem` is the error of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Diagnosis)]
pub struct Problem {
    /// What it is.
    pub kind: ProblemKind,
    /// How bad it is.
    pub severity: Severity,
    /// Whether no job can be run by this distributor while it lasts: it is not ready.
    pub blocks: bool,
    /// The same without numbers that grow.
    pub headline: String,
    /// One sentence for a person.
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
    /// Calls suffer by it.
    Critical,
    /// A person should look.
    Warning,
    /// It may be as it is meant to be.
    Info,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The view is old.
    Stale,
    /// There is no link to the broker.
    BrokerDown,
    /// The broker takes no messages.
    BrokerBlocked,
    /// Our own presence does not come back.
    BrokerSilent,
    /// Nobody leads.
    Leaderless,
    /// Another distributor leads.
    Standby,
    /// Nobody works.
    NoWorkers,
    /// Functions that no worker serves.
    Unserved,
    /// Functions whose jobs fail.
    Failing,
    /// Functions whose jobs run out of time.
    TimingOut,
    /// Jobs that were not taken in.
    Refused,
    /// A limit is reached, and somebody was turned away.
    TurnedAway,
    /// Workers were lost.
    WorkersLost,
    /// Workers whose beat is late, or whose link is gone.
    WorkersLate,
    /// Slots that run jobs which nobody waits for any more.
    Abandoned,
    /// Functions of which more than one version is served.
    Skew,
    /// The job counts do not add up.
    Books,
}

impl Problem {
    /// A problem that is told by its headline.
    pub fn new(kind: ProblemKind, severity: Severity, headline: &str) -> Self {
        let (headline, text) = (headline.to_owned(), headline.to_owned());
        Self { kind, severity, blocks: false, headline, text, functions: Vec::new() }
    }

    /// While it lasts, this distributor is not ready.
    #[must_use]
    pub fn blocking(self) -> Self {
        Self { blocks: true, ..self }
    }

    /// With a text of its own.
    #[must_use]
    pub fn saying(self, text: String) -> Self {
        Self { text, ..self }
    }

    /// About these functions.
    #[must_use]
    pub fn about(self, functions: Vec<Arc<str>>) -> Self {
        Self { functions, ..self }
    }
}
