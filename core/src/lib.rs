//! The decisions of simple-dist, as state machines without I/O and without a clock: events and a
//! time in, effects out. `client/`, `distributor/` and `worker/` are the shells around them: each
//! is one task that turns what the broker link says into events, and effects into messages.
//!
//! ```text
//!  broker link --> shell --event, now--> machine --effects--> shell --> broker link
//! ```
//!
//! A time is always the [`Duration`](std::time::Duration) since the machine's process began.

pub mod caller;
mod round_trips;
#[cfg(feature = "scheduler")]
pub mod scheduler;
#[cfg(feature = "scheduler")]
pub mod view;
pub mod worker;
