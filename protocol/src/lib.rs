//! The messages between clients, the distributor and workers, and how they are encoded.
//!
//! ```text
//!  client --Submit, Cancel, Ask, Noted, Report--> distributor --Place--> pool --> worker
//!  client <--Deliveries------------------------- distributor <--Answers, Started, Beat-- worker
//!                                                distributor --Control--> worker
//!                                                distributor --Presence--> everybody
//! ```
//!
//! This is the only crate that uses the codec: the others use the types below.

mod address;
mod call_digest;
pub mod codec;
mod function;
mod id;
pub mod job;
mod json;
pub mod limits;
mod memo_policy;
pub mod message;
pub mod nested;
mod outcome;
pub mod panic_log;
#[cfg_attr(not(feature = "otel"), path = "no_span.rs")]
mod span;
pub mod text;
pub mod topology;

pub use address::{Address, AddressError, Selector};
pub use call_digest::CallDigest;
pub use function::{
    Argument, AsyncErased, AsyncRun, Body, Callee, Erased, ErrorText, Failure, Function, NoError,
    PureFunction, RunError, Runner,
};
pub use id::{
    Attempt, ClientId, DistributorId, Generation, JobId, JobKey, PoolId, Term, UserName,
    UserNameError, WorkerId,
};
pub use json::{JsonError, arguments_from_json, value_to_json, write_value_as_json};
pub use memo_policy::MemoPolicy;
pub use outcome::Outcome;
pub use span::Span;
