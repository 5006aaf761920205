//! `amqps://`: everything over TLS, and nothing with whoever cannot show who he is.
#![cfg(feature = "tls")]

mod door;
mod trust;
