//! `amqps://`: everything over TLS, and no connection to a peer without the right certificate.
#![cfg(feature = "tls")]

mod handshake;
mod trust;
