//! Support for end-to-end tests: a broker or a site on one, a relay in front of it that can cut,
//! stall and refuse connections, a TLS proxy, logins with a role's permissions, and a cluster of
//! roles in one process.

mod broker_site;
mod cluster;
mod collector;
mod free_port;
mod relay;
mod remote;
#[cfg(feature = "tls")]
mod tls_proxy;
mod vhost;

pub use self::broker_site::BrokerSite;
pub use self::cluster::Cluster;
pub use self::collector::{Collected, Collector};
pub use self::free_port::free_port;
pub use self::relay::Relay;
pub use self::remote::remote;
#[cfg(feature = "tls")]
pub use self::tls_proxy::{Authority, Signed, TlsProxy};
pub use self::vhost::Vhost;
