//! What tests of everything together stand on: a broker, or a place of their own at one, a relay in
//! front of it that can be cut, stalled and refused, TLS in front of it, logins with the rights of
//! a role, the wait for a worker, and roles of a test.

mod broker_site;
mod cluster;
mod relay;
mod remote;
#[cfg(feature = "tls")]
mod secured;
mod vhost;

pub use self::broker_site::BrokerSite;
pub use self::cluster::Cluster;
pub use self::relay::Relay;
pub use self::remote::remote;
#[cfg(feature = "tls")]
pub use self::secured::{Authority, Secured, Signed};
pub use self::vhost::Vhost;
