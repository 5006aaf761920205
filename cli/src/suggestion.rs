//! What may help with a call that went to no worker: what it has waited for in vain, or the name of a
//! function that is served.

use std::time::Duration;

use simple_dist_client::{CallError, Client, Reason};
use simple_dist_demo::functions;
use simple_dist_link as link;
use simple_dist_protocol::{Address, Selector};

use crate::call;

/// One typing error per so many letters is tolerated, and at least one in any name.
const SLIP_EVERY: usize = 3;
/// How long to wait for presence, which a distributor sends every second.
const TOLD: Duration = Duration::from_millis(1100);

/// Whether a call that ended so may have gone to no worker.
pub(crate) fn may_be_unreached<E>(error: &CallError<E>) -> bool {
    matches!(error, CallError::Unavailable { .. } | CallError::Timeout | CallError::Deadline)
}

/// What may help with a call that ended so.
pub(crate) async fn hint<E>(
    client: &Client,
    error: &CallError<E>,
    name: &str,
    prefix: &str,
) -> Option<String> {
    let wanted: Selector = name.parse().ok()?;
    match error {
        CallError::Unavailable { .. } => similar(client, &wanted).await,
        CallError::Timeout | CallError::Deadline => missing(client, &wanted, prefix).await,
        _ => None,
    }
}

/// What the call waited for, as far as that is seen now.
async fn missing(client: &Client, wanted: &Selector, prefix: &str) -> Option<String> {
    let no_distributor = || Some(call::why(Reason::NoDistributor, None, prefix));
    match client.problem() {
        Some(link::Reason::Missing(_)) => return no_distributor(),
        Some(problem) => return Some(problem.to_string()),
        None => {}
    }
    let Some(served) = served(client).await else { return no_distributor() };
    if served.iter().any(|known| wanted.matches(known)) {
        return None;
    }
    let similar = similar(client, wanted).await.map(|hint| format!("; {hint}"));
    Some(format!("{}{}", Reason::NotServed, similar.unwrap_or_default()))
}

/// `did you mean fib?`, if a function with a similar name, or another version of it, is served.
async fn similar(client: &Client, wanted: &Selector) -> Option<String> {
    let demo: Vec<Address> = functions::all().iter().map(|known| known.address().clone()).collect();
    if demo.iter().any(|known| wanted.matches(known)) {
        return None;
    }
    match nearest(wanted, &demo) {
        Some(hint) => Some(hint),
        None => nearest(wanted, &served(client).await?),
    }
}

/// What is served, if a distributor says so.
async fn served(client: &Client) -> Option<Vec<Address>> {
    tokio::time::timeout(TOLD, client.served()).await.ok()
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
