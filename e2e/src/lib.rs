//! What tests of everything together stand on: a broker, or a place of their own at one, a relay in
//! front of it that can be cut, stalled and refused, TLS in front of it, logins with the rights of
//! a role, and the wait for a worker.

mod house;
mod relay;
mod remote;
#[cfg(feature = "tls")]
mod secured;
mod site;

pub use self::house::House;
pub use self::relay::Relay;
pub use self::remote::remote;
#[cfg(feature = "tls")]
pub use self::secured::{Authority, Secured, Signed};
pub use self::site::Site;
