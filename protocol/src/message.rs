//! Every message on the wire. `docs/PROTOCOL.md` describes them for other languages; a test holds
//! the bytes of each.
//!
//! A message that carries a list has it as its last field, so that a publisher can join what is
//! waiting without decoding it: see [`envelope`](crate::codec::envelope).

mod answer;
mod bound;
mod client;
pub mod crash;
mod load;
mod memo;
mod past;
mod printed;
mod progress;
mod worker;

use serde::{Deserialize, Serialize};

pub use self::answer::Answer;
pub use self::bound::Bound;
pub use self::client::{
    Answered, Delivered, Deliveries, Delivery, FromClient, Ids, Marks, Noted, Report, Submission,
    Submit,
};
pub use self::crash::Crash;
pub use self::load::Load;
pub use self::memo::Memo;
pub use self::past::{Minute, MinuteOf, Moment, Past};
pub use self::printed::Printed;
pub use self::progress::{Progress, Progressed, ProgressedJob};
pub use self::worker::{
    Answers, Control, End, Ended, FromWorker, Held, Place, Placement, Started, StartedJob, Will,
    WorkerBeat, WorkerState,
};
use crate::{Address, DistributorId, Term};

/// The version of the wire, in the header `sd-v` of every message.
pub const VERSION: u8 = 1;

/// The active distributor's beat, to everybody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Who is active.
    pub distributor: DistributorId,
    /// Since when: a new term has forgotten all jobs.
    pub term: Term,
    /// The count of its beats in this term.
    pub seq: u64,
    /// Functions with a live worker.
    pub functions: Vec<Address>,
    /// Functions whose workers are all out of reach, and not lost yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Address>,
    /// Jobs that wait.
    pub backlog: u64,
    /// Whether there is room for more.
    pub room: bool,
    /// If not: what is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
    /// What has just passed, for those on standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}
