//! What tests of everything together stand on: a place of their own at a broker, and a relay in
//! front of it that can be cut, stalled and refused.

mod relay;
mod site;

pub use self::relay::Relay;
pub use self::site::{Site, broker_url};
