//! Who is at the other end of a connection, and what all callers at one address have together.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Weak};

use super::room::Share;

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) share: Arc<Share>,
}

/// Those who have a connection, or whose answers are still in memory.
#[derive(Debug, Default)]
pub(crate) struct Peers(HashMap<IpAddr, Weak<Share>>);

impl Peers {
    pub(crate) fn meet(&mut self, address: IpAddr) -> Peer {
        self.0.retain(|_, share| share.strong_count() > 0);
        let place = place(address);
        let share = self.0.get(&place).and_then(Weak::upgrade).unwrap_or_default();
        self.0.insert(place, Arc::downgrade(&share));
        Peer { address, share }
    }
}

/// What counts as one address: a host has as many of IPv6 as it likes, but one network.
pub(crate) fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_from_one_address_share_as_long_as_one_of_them_is_there() {
        let mut peers = Peers::default();
        let mut meet = |address: &str| peers.meet(address.parse().unwrap()).share;
        let (first, mapped) = (meet("10.0.0.1"), meet("::ffff:10.0.0.1"));
        let others = [meet("10.0.0.2"), meet("2001:db8::1"), meet("2001:db8:0:1::1")];
        assert!(Arc::ptr_eq(&first, &mapped) && Arc::ptr_eq(&others[1], &meet("2001:db8::2")));
        assert!(!Arc::ptr_eq(&first, &others[0]) && !Arc::ptr_eq(&others[1], &others[2]));
        drop((first, mapped, others));
        assert_eq!(
            (peers.meet([10, 0, 0, 3].into()).address, peers.0.len()),
            ([10, 0, 0, 3].into(), 1)
        );
    }
}
