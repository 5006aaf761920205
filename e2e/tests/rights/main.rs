//! Least privilege on RabbitMQ: each role can do its work under its own login, and nothing else.
//!
//! The embedded broker has no rights, so these are ignored unless asked for:
//! `AMQP_URL=... cargo test -p simple-dist-e2e --test rights -- --ignored`.

mod matrix;
mod object;
mod operation;
mod roles;
