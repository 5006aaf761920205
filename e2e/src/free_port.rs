//! Addresses for processes that bind them themselves, a moment later.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// The first of the ports, and how many there are: below those that the system gives out by itself,
/// to the ends of connections too, so that nobody gets one between its choice and its use.
const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;

/// An unused address on loopback, which no other test of this process gets.
///
/// # Panics
/// When all ports are taken.
pub fn free_port() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes of tests that run at the same time begin far apart.
    let begin = std::process::id().wrapping_mul(1_009);
    let address = (0..COUNT).find_map(|_| {
        let next = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let listener = TcpListener::bind(format!("127.0.0.1:{}", FIRST + next % COUNT)).ok()?;
        listener.local_addr().ok()
    });
    address.expect("loopback has a free port").to_string()
}
