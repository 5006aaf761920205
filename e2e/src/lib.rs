//! What tests of everything together stand on: a broker, or a place of their own at one, and a
//! relay in front of it that can be cut, stalled and refused.

mod relay;
mod site;

pub use self::relay::Relay;
pub use self::site::Site;
