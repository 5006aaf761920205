//! Behaviour of an AMQP 0-9-1 broker, as RabbitMQ shows it. Runs on the embedded broker, or on
//! the one that `AMQP_URL` names: the same cases, the same results.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod fixture;

#[path = "conformance/connections.rs"]
mod connections;
#[path = "conformance/consuming.rs"]
mod consuming;
#[path = "conformance/dead_letters.rs"]
mod dead_letters;
#[path = "conformance/exchanges.rs"]
mod exchanges;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/publishing.rs"]
mod publishing;
#[path = "conformance/queues.rs"]
mod queues;
#[path = "conformance/settling.rs"]
mod settling;
