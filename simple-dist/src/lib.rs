//! Run pure functions on other machines; every call returns.
//!
//! ```text
//!  your program                RabbitMQ                       workers
//!  fib.call(20).await -------> queues <---- distributor ----> fib@1, primes@1, ...
//!     | no worker in reach: runs here
//!     v
//!  fib(20)
//! ```
//!
//! A function is declared once, with its name and version; a `Worker` serves it, a [`Client`]
//! calls it. The value comes from a worker when one can be had, else from the function itself.
//!
//! ```no_run
//! use simple_dist::{Client, Function, PureFunction};
//!
//! pub const FIB: PureFunction<u64, u64> = Function::pure("fib", 1, fib);
//!
//! fn fib(n: u64) -> u64 {
//!     if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("amqp://localhost")?; // returns at once
//! assert_eq!(client.function(FIB).call(20).await?, 6765);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | for |
//! |---|---|
//! | `client` (default) | calling functions |
//! | `worker` | serving them |
//! | `distributor` | a distributor inside a program of one's own; most run the binary `simple-dist` |
//! | `json` | calling them by their names, with JSON, for programs that do not know their types |
//! | `tls` | `amqps://` URLs |
//! | `otel` | spans of calls and runs, to the program's OpenTelemetry provider |
//! | `testing` | `testing::Cluster`: everything inside a test |
#![cfg_attr(docsrs, feature(doc_cfg))]

/// Clients in full: builders, maps, options, errors.
#[cfg(feature = "client")]
pub use simple_dist_client as client;
#[cfg(feature = "client")]
pub use simple_dist_client::{
    Answer, CallError, Client, ConnectError, Entrance, Fallback, Handle, Isolation, Options, Ran,
    Reason, Retry, Suspects,
};

/// Functions called by their names: JSON in, JSON out, as over HTTP.
///
/// ```no_run
/// # use simple_dist::Client;
/// use simple_dist::json::json;
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let value = client.dynamic("fib@1")?.call(json!(20)).await?;
/// assert_eq!(value, json!(6765));
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "json")]
pub mod json {
    pub use serde_json::{Value, json};
    pub use simple_dist_client::{DetailedDynamic, Dynamic, DynamicCall, DynamicError};
}

/// Workers in full: builder, errors, limits.
#[cfg(feature = "worker")]
pub use simple_dist_worker as worker;
#[cfg(feature = "worker")]
pub use simple_dist_worker::{Worker, shutdown_signal};

/// Distributors in full: builder, errors, and the settings of the page and the API.
#[cfg(feature = "distributor")]
pub use simple_dist_distributor as distributor;
#[cfg(feature = "distributor")]
pub use simple_dist_distributor::Distributor;

#[cfg(feature = "testing")]
pub mod testing;

/// Bytes as arguments and values: one byte each on the wire, where a `Vec<u8>` is a list of numbers.
pub use bytes::Bytes;
pub use simple_dist_link::{Certificates, environment};
pub use simple_dist_protocol::{
    Address, Argument, AsyncErased, Body, Callee, Erased, ErrorText, Failure, Function, JobId,
    NoError, PureFunction, Selector, WorkerId, job, limits,
};

/// The README's programs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// So do the guide's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/GUIDE.md")]
pub struct Guide;
