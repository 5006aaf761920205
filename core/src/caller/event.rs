//! What happens to a client, and what is to be done then.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use simple_dist_protocol::JobId;
use simple_dist_protocol::Outcome;
use simple_dist_protocol::message::{Bound, Deliveries, Marks, Presence, Progress, Submission};

use super::{Begin, CallEnd, CallError, Failed, Reason};

/// Local runs by function and reason.
pub type LocalRuns = BTreeMap<String, BTreeMap<String, u64>>;

/// What happens to a client.
#[derive(Debug)]
pub enum Event {
    /// A call begins.
    Begin(Begin),
    /// Its caller dropped it.
    Dropped(JobId),
    /// The link is there, as a new generation.
    Up,
    /// The broker takes no messages for now.
    Blocked,
    /// It takes them again.
    Unblocked,
    /// The link is gone, and why.
    Down(Reason),
    /// What became of submissions.
    Settled {
        /// Which.
        tokens: Vec<u64>,
        /// What became of them.
        outcome: Outcome,
    },
    /// How the other side looks from here.
    Look {
        /// For how long the broker has not confirmed what was written to it.
        unconfirmed: Duration,
        /// Whether all that came from there has been taken in.
        caught_up: bool,
    },
    /// The publisher did not take a submission.
    NotTaken {
        /// Which.
        token: u64,
    },
    /// The distributor has news of jobs.
    Deliveries(Deliveries),
    /// The distributor's beat.
    Presence(Presence),
    /// A local run has ended. Its value or error is with the shell.
    Ran {
        /// Which.
        id: JobId,
        /// How.
        end: Result<(), CallError<Failed>>,
        /// How long it took.
        took: Duration,
    },
    /// The client is closed.
    Close,
}

/// What is to be done.
#[derive(Debug)]
pub enum Effect {
    /// Publish a job; what becomes of it is asked after by the token.
    Submit {
        /// The job.
        submission: Submission,
        /// The token.
        token: u64,
    },
    /// Tell the distributor that nobody waits for these.
    Cancel(Vec<JobId>),
    /// Ask the distributor after these.
    Ask(Vec<JobId>),
    /// Tell the distributor that these marks are known.
    Noted {
        /// Of which job.
        id: JobId,
        /// The marks.
        marks: Marks,
    },
    /// Tell the distributor what ran here.
    Report(LocalRuns),
    /// Run a job here.
    Run {
        /// Which.
        id: JobId,
        /// Its argument, unless that is with the shell.
        args: Bytes,
        /// Why here.
        reason: Reason,
    },
    /// Tell a call how far it is.
    Progress {
        /// Which.
        id: JobId,
        /// How far.
        progress: Progress,
    },
    /// Count that a call will be tried again.
    Retry(JobId),
    /// A call has ended.
    End {
        /// Which.
        id: JobId,
        /// How.
        end: CallEnd,
    },
    /// A call is over that runs here: what cannot be stopped goes on without it, and keeps its slot.
    LeftBehind(JobId),
    /// Log that calls are refused, since a bound is reached: the first time only.
    NoRoom(Bound),
}
