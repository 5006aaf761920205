//! Calls of pure functions that run on other machines, and always end.
//!
//! ```text
//!  fib.call(20).await          one thread per Client
//!        |                  .---------------------------.
//!        |--Begin---------->|  Actor: the Caller of all |--Submit, Cancel, Ask, Noted--> broker
//!        |<-value or error--|  calls in flight          |<-answers, presence------------ broker
//!        '--drop: cancel--->|     | no worker in reach, |
//!                           |     v or out of time      |
//!                           |  Pool: local threads      |
//!                           '---------------------------'
//! ```
//!
//! The caller holds its job until the answer is in hand: everything between may lose everything,
//! and the job is sent again under the same id. When no worker can be reached, the function runs
//! in this process, unless the caller chose another [`Fallback`]. The value says where it came
//! from, if asked: see [`Call::detailed`].
//!
//! ```no_run
//! use simple_dist_client::Client;
//! use simple_dist_protocol::{Function, PureFunction};
//!
//! pub const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib);
//!
//! fn fib(n: u64) -> u64 {
//!     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::connect("amqp://localhost")?;
//!     let fib = client.function(FIB);
//!     println!("{}", fib.call(20).blocking()?);
//!     let total = fib.map(0..45).blocking().sum::<Result<u64, _>>()?;
//!     println!("{total}");
//!     Ok(())
//! }
//! ```

mod client;
mod handle;

mod call;
#[cfg(feature = "json")]
mod dynamic;
mod map;

mod answer;
mod error;

mod actor;
mod blocking;
mod dropped;
mod erased_value;
mod isolation;
mod local;
mod nested;
mod new_call;
mod options;
mod progress_sender;
mod stub;
mod wire;

#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use call::{Call, Detailed};
pub use client::{Builder, Client};
#[cfg(feature = "json")]
pub use dynamic::{DetailedDynamic, Dynamic, DynamicCall, DynamicError};
pub use error::ConnectError;
pub use handle::Handle;
pub use isolation::Entrance;
pub use map::{BlockingMap, DetailedKeyedMap, DetailedMap, KeyedMap, Map, MapProgress};
pub use options::Options;
pub use simple_dist_core::caller::{CallError, Fallback, Ran, Reason, Retry, Suspects};
pub use simple_dist_isolation::Isolation;
pub use simple_dist_protocol::message::{Bound, Progress};
