//! What tests of everything together stand on: a broker, or a place of their own at one, a relay in
//! front of it that can be cut, stalled and refused, and logins with the rights of a role.

mod house;
mod relay;
mod site;

pub use self::house::House;
pub use self::relay::Relay;
pub use self::site::Site;
