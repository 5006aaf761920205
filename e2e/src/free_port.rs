//! Addresses for processes that bind them themselves, a moment later.

use std::net::{TcpListener, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first of the ports, and how many there are: below those that the system gives out by itself,
/// to the ends of connections too, so that nobody gets one between its choice and its use.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// What shows other processes of tests that a port is taken: UDP's port of the same number. They may
/// have the same process id, in a container of their own on this network.
static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());

/// An unused address on loopback, which no other test gets while this process lives.
///
/// # Panics
/// When all ports are taken.
pub fn free_port() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes of tests that run at the same time begin far apart.
    let begin = std::process::id().wrapping_mul(1_009);
    let (address, taken) = (0..COUNT)
        .find_map(|_| {
            let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let address = format!("127.0.0.1:{}", FIRST + next % COUNT);
            let taken = UdpSocket::bind(&address).ok()?;
            TcpListener::bind(&address).ok()?;
            Some((address, taken))
        })
        .expect("loopback has a free port");
    TAKEN.lock().expect("nobody panics with it").push(taken);
    address
}
