//! The thin shell around the core: sockets, clocks and tasks.
//!
//! ```text
//!  Listener ──accepts──▶ Socket (one task each) ──Event──▶ Engine (owns the Core)
//!                            ▲                                 │
//!                            └──────── Outbox, Control ◀───────┘
//! ```

mod engine;
mod line;
mod listener;
mod socket;

pub(crate) use engine::{Engine, Event, Fault, Order, order};
pub(crate) use listener::Listener;
