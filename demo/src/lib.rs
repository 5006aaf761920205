//! The code a user writes: functions shared by both sides ([`functions`]), a worker that serves
//! them (`src/bin/worker.rs`) and a client that calls them (`src/bin/client.rs`).

pub mod functions;

pub use functions::{ABORT, ECHO, FAIL, FIB, HALF, MANDELBROT, PRIMES, SLEEP, all};
