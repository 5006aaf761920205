//! Everything together in one process, on an embedded broker or on the one of `AMQP_URL`.

mod calls;
mod foreign;
mod inputs;
mod liars;
