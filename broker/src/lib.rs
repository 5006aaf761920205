//! An embedded AMQP 0-9-1 broker for one machine and for tests.
//!
//! A real broker on a loopback socket, so that a client takes the same paths as with RabbitMQ:
//! confirms, acknowledgements, reconnects. What it holds is in memory and ends with the process.
//! What it does not implement it refuses, with 540 or 406, and never ignores.
//!
//! ```text
//!  Broker ──start──▶ Handle ──orders──▶ server (sockets, clock) ──▶ core (all the rules)
//!                                               │
//!                                             wire (bytes ⇄ frames)
//! ```

//!
//! # Where it differs from RabbitMQ
//!
//! Served in the same way, as the conformance cases show: direct, fanout and topic exchanges,
//! durable, exclusive and auto-delete queues, the arguments `x-queue-type` (classic, quorum),
//! `x-expires`, `x-message-ttl`, `x-max-length`, `x-max-length-bytes`, `x-overflow`,
//! `x-dead-letter-exchange`, `x-dead-letter-routing-key`, `x-max-priority`, `x-delivery-limit`,
//! publisher confirms, returns, `CC` and `BCC`, consumer priorities, cancel notices and the
//! blocking of publishers. What is different on purpose:
//!
//! - Durable means that it outlives [`Faults::restart`]; nothing outlives the process.
//! - Refused with 540: transactions, bindings between exchanges, headers exchanges,
//!   `access.request`, `connection.update-secret`, `no_local`.
//! - Refused with 406: every other argument of a queue, exchange, binding or consumer, stream
//!   queues, direct reply-to.
//! - Names, keys and string properties that are not UTF-8, and tables nested more than 64 deep,
//!   are a syntax error (502).
//! - One virtual host, `/`; users without rights of their own; PLAIN alone.
//! - Confirms and dead letters of a quorum queue are those of a classic one, and its length
//!   limit is exact.
//!
//! # Where RabbitMQ differs from itself
//!
//! The embedded broker goes by 4.0; the conformance cases say what 3.10 and 4.3 do instead.
//!
//! - Before 4.0 an unknown kind of exchange ends the connection (503), not the channel (406), and
//!   a quorum queue without `x-delivery-limit` has none, not 20.
//! - 4.3 makes a global prefetch one for each consumer, flags a dead letter that was rejected as
//!   redelivered, does not count what `basic.nack` gives back towards the delivery limit, and
//!   answers `connection.close` before the connection's exclusive queues are gone.
//! - From 4.0 on, a letter from one quorum queue to another keeps its count of deliveries; here
//!   it does not.

mod broker;
mod core;
mod error;
mod faults;
#[doc(hidden)]
pub mod fuzzing;
mod server;
mod settings;
mod stats;
mod wire;

pub use broker::{Broker, Builder, Handle};
pub use error::Error;
pub use faults::{Connections, Faults, Keep};
pub use stats::{QueueStats, Stats};
