//! The other ends of connections, and what all callers at one address hold together.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Weak};

use super::memory::Share;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) share: Arc<Share>,
}

/// The peers with an open connection, or with answers still in memory.
#[derive(Debug, Default)]
pub(crate) struct Peers(HashMap<IpAddr, Weak<Share>>);

impl Peers {
    pub(crate) fn connected(&mut self, address: IpAddr) -> Peer {
        self.0.retain(|_, share| share.strong_count() > 0);
        let network = network(address);
        let share = self.0.get(&network).and_then(Weak::upgrade).unwrap_or_default();
        self.0.insert(network, Arc::downgrade(&share));
        Peer { address, share }
    }
}

/// What counts as one address: a host can have any number of IPv6 addresses, but one /64 network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
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
        let mut connected = |address: &str| peers.connected(address.parse().unwrap()).share;
        let (first, mapped) = (connected("10.0.0.1"), connected("::ffff:10.0.0.1"));
        let others =
            [connected("10.0.0.2"), connected("2001:db8::1"), connected("2001:db8:0:1::1")];
        assert!(Arc::ptr_eq(&first, &mapped) && Arc::ptr_eq(&others[1], &connected("2001:db8::2")));
        assert!(!Arc::ptr_eq(&first, &others[0]) && !Arc::ptr_eq(&others[1], &others[2]));
        drop((first, mapped, others));
        assert_eq!(
            (peers.connected([10, 0, 0, 3].into()).address, peers.0.len()),
            ([10, 0, 0, 3].into(), 1)
        );
    }
}
