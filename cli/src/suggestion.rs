//! Suggests a served function when somebody calls one that nobody serves.

use std::time::Duration;

use simple_dist_client::Client;
use simple_dist_demo::functions;
use simple_dist_protocol::{Address, Selector};

/// One typing error per so many letters is tolerated, and at least one in any name.
const SLIP_EVERY: usize = 3;
/// How long to wait for presence, which a distributor sends every second.
const TOLD: Duration = Duration::from_millis(1100);

/// `did you mean fib?`, if a function with a similar name, or another version of it, is served.
pub(crate) async fn hint(client: &Client, name: &str) -> Option<String> {
    let wanted: Selector = name.parse().ok()?;
    let demo: Vec<Address> = functions::all().iter().map(|known| known.address().clone()).collect();
    if demo.iter().any(|known| wanted.matches(known)) {
        return None;
    }
    if let Some(hint) = nearest(&wanted, &demo) {
        return Some(hint);
    }
    // Without a distributor the served functions are unknown.
    let served = tokio::time::timeout(TOLD, client.served()).await.ok()?;
    nearest(&wanted, &served)
}

fn nearest(wanted: &Selector, known: &[Address]) -> Option<String> {
    let slips = |known: &Address| strsim::osa_distance(wanted.name(), known.name());
    let nearest = known.iter().min_by_key(|known| slips(known))?;
    if wanted.matches(nearest) || slips(nearest) > (wanted.name().len() / SLIP_EVERY).max(1) {
        return None;
    }
    let of_another_version = wanted.name() == nearest.name();
    let meant = if of_another_version { nearest.to_string() } else { nearest.name().to_owned() };
    Some(format!("did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_gets_a_suggestion() {
        let known = ["fib@1", "primes@1", "mandelbrot@1"].map(|name| name.parse().unwrap());
        let hint = |name: &str| nearest(&name.parse().unwrap(), &known);
        for (name, meant) in [
            ("fibb", "did you mean fib?"),
            ("fbi", "did you mean fib?"),
            ("mandlebrot", "did you mean mandelbrot?"),
            ("prime@1", "did you mean primes?"),
            ("fib@2", "did you mean fib@1?"),
        ] {
            assert_eq!(hint(name).as_deref(), Some(meant), "{name}");
        }
        for name in ["nobody", "render", "fib", "fib@1", "x"] {
            assert_eq!(hint(name), None, "{name}");
        }
    }
}
