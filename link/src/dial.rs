//! Dialling a broker: resolving, TCP, TLS, and checking that something answers, each with a time
//! limit. The client library gets a finished connection: by itself it would wait forever for a
//! silent peer, and leave a thread behind for each attempt.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::bell::Bell;
use super::frame_filter::Returns;
use super::reason::Reason;
use super::socket::Socket;
use super::url::Endpoint;
use super::wire::{Stream, Wire};
use simple_dist_protocol::limits;

/// How long one address is tried before the next is tried in parallel (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to whichever address of the broker answers first. The limit applies to each step:
/// resolving, each address, the first bytes of the peer.
pub(super) async fn dial(
    endpoint: &Endpoint,
    limit: Duration,
    returns: &Returns,
    bell: &Bell,
) -> Result<Wire, Reason> {
    let address = endpoint.address();
    let problem = match timeout(limits::BROKER, answering(endpoint, limit, returns, bell)).await {
        Ok(Ok(wire)) => return Ok(wire),
        Ok(Err(error))
            if endpoint.tls().is_some() && error.kind() == io::ErrorKind::InvalidData =>
        {
            return Err(Reason::Tls { address, problem: error.to_string() });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "none of its addresses answers".to_owned(),
    };
    Err(Reason::Unreachable { address, problem })
}

async fn answering(
    endpoint: &Endpoint,
    limit: Duration,
    returns: &Returns,
    bell: &Bell,
) -> io::Result<Wire> {
    let lookup = lookup_host(endpoint.host_and_port());
    let found = within(limit, lookup, "its name is not resolved").await?;
    first_of(in_turn(found.collect()), endpoint, limit, returns, bell).await
}

async fn first_of(
    mut waiting: impl Iterator<Item = SocketAddr>,
    endpoint: &Endpoint,
    limit: Duration,
    returns: &Returns,
    bell: &Bell,
) -> io::Result<Wire> {
    let mut trying = FuturesUnordered::new();
    let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let last = match waiting.next() {
            Some(address) => {
                let connecting = TcpStream::connect(address);
                trying.push(Box::pin(within(limit, connecting, "it does not answer")));
                false
            }
            None if trying.is_empty() => return Err(problem),
            None => true,
        };
        let connected = tokio::select! {
            Some(connected) = trying.next() => connected,
            () = sleep(STAGGER), if !last => continue,
        };
        let answer = async {
            let stream = secured(endpoint, connected?).await?;
            Wire::greet(stream, returns.clone(), bell.clone()).await
        };
        match within(limit, answer, "it says nothing").await {
            Ok(wire) => return Ok(wire),
            Err(error) => problem = error,
        }
    }
}

async fn within<T>(
    limit: Duration,
    step: impl Future<Output = io::Result<T>>,
    problem: &str,
) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, problem.to_owned());
    timeout(limit, step).await.map_err(late)?
}

async fn secured(endpoint: &Endpoint, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
    // Small messages must not wait for the next.
    stream.set_nodelay(true)?;
    let stream = Socket::Dialled(stream);
    match endpoint.tls() {
        Some(tls) => Ok(Box::new(tls.wrap(endpoint.host_and_port().0, stream).await?)),
        None => Ok(Box::new(stream)),
    }
}

/// Alternates between address families: a broken family costs one attempt.
fn in_turn(found: Vec<SocketAddr>) -> impl Iterator<Item = SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    second.reverse();
    let mut turns = Vec::new();
    for address in first {
        turns.push(address);
        turns.extend(second.pop());
    }
    turns.extend(second.into_iter().rev());
    turns.into_iter()
}

#[cfg(test)]
mod tests {
    use simple_dist_broker::Broker;
    use tokio::net::TcpListener;

    use super::*;
    use crate::BrokerUrl;

    #[tokio::test]
    async fn an_address_that_says_nothing_takes_its_share_of_the_time() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Broker::builder().start().await.unwrap();
        let url: BrokerUrl = broker.url().parse().unwrap();
        let found = [silent.local_addr().unwrap(), broker.addr()].into_iter();
        let (returns, bell) = (Returns::default(), Bell::new().unwrap());
        let answer = first_of(found, &url.endpoints()[0], limits::PREFLIGHT, &returns, &bell);
        let answer = timeout(limits::PREFLIGHT + Duration::from_secs(8), answer).await;
        answer.expect("the second is asked in time").unwrap();
    }

    #[test]
    fn families_take_turns() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let found = addresses(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "1.1.1.2:1", "1.1.1.3:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "1.1.1.2:1", "1.1.1.3:1"]);
        assert_eq!(in_turn(found).collect::<Vec<_>>(), turns);
    }
}
