//! An embedded AMQP 0-9-1 broker for simple-dist on one machine, and for its tests.
//!
//! A real broker on a loopback socket, so that a client takes the same paths as with RabbitMQ:
//! confirms, acknowledgements, reconnects. What it holds is in memory and ends with the process.
//! It serves what simple-dist uses; everything else it refuses, and never ignores: it is no broker
//! for other programs.
//!
//! ```text
//!  Broker ──start──▶ Handle ──orders──▶ server (sockets, clock) ──▶ core (all the rules)
//!                                               │
//!                                             wire (bytes ⇄ frames)
//! ```
//!
//! # Where it differs from RabbitMQ
//!
//! Served in the same way, as the conformance cases show: direct and fanout exchanges, durable and
//! exclusive queues with names, the arguments `x-queue-type` (classic, quorum), `x-expires`,
//! `x-message-ttl`, `x-max-length`, `x-max-length-bytes`, `x-overflow` (drop-head, reject-publish),
//! `x-delivery-limit`, and for classic queues `x-dead-letter-exchange` and
//! `x-dead-letter-routing-key`, publisher confirms, returns, prefetch for each consumer, cancel notices
//! and the blocking of publishers. What is different on purpose:
//!
//! - Nothing outlives the process: durable and persistent are words to be equal to, no more.
//! - Refused with 540: exchanges of other types, predeclared, internal or auto-delete ones,
//!   bindings between exchanges, `queue.unbind`, auto-delete queues and queues named by the broker,
//!   dead letters of quorum queues, priorities of messages and consumers, `CC` and `BCC`, `basic.recover`, a global
//!   prefetch, transactions, `access.request`, `connection.update-secret`, `no_local`, `immediate`,
//!   and every other argument.
//! - Refused with 406: stream queues, direct reply-to.
//! - Names, keys and string properties that are not UTF-8, and tables nested more than 64 deep,
//!   are a syntax error (502).
//! - One virtual host, `/`; users without permissions; only PLAIN.
//! - Dead letters keep their properties and get no `x-death`.
//! - Confirms of a quorum queue are those of a classic one, its length limit is exact, and its
//!   deliveries bear no `x-delivery-count`.
//!
//! # Where RabbitMQ differs from itself
//!
//! The embedded broker goes by 4.0; the conformance cases say what 3.10 and 4.3 do instead.
//!
//! - Before 4.0 a quorum queue without `x-delivery-limit` has none, not 20.
//! - 4.3 does not count what `basic.nack` gives back towards the delivery limit, and answers
//!   `connection.close` before the connection's exclusive queues are gone.

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
pub use faults::Faults;
pub use stats::{QueueStats, Stats};
