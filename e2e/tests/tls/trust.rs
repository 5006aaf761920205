//! Which certificates are trusted, on both sides.

use simple_dist_client::{Client, Ran};
use simple_dist_demo::functions::{self, FIB};
use simple_dist_distributor::Distributor;
use simple_dist_e2e::{Authority, BrokerSite, Relay, Signed, TlsProxy, remote};
use simple_dist_link::{Certificates, Reason};
use simple_dist_worker::Worker;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::handshake::{TIMEOUT, problem};

fn with(authority: &Authority) -> Certificates {
    Certificates::new().ca(&authority.pem)
}

fn and(certificates: Certificates, identity: &Signed) -> Certificates {
    certificates.identity(&identity.certificate, &identity.key)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_over_tls_with_certificates_on_both_sides_also_after_a_cut() {
    let (site, authority, people) = (BrokerSite::new().await, Authority::new(), Authority::new());
    let relay = Relay::before(&site.url).await;
    let shown = authority.sign("127.0.0.1");
    let proxy = TlsProxy::before(&relay.url(&site.url), &shown, Some(&people)).await;
    let certificates = and(with(&authority), &people.sign("a-role"));
    let (shutdown, mut roles) = (CancellationToken::new(), JoinSet::new());

    let distributor = Distributor::builder(proxy.url())
        .certificates(certificates.clone())
        .prefix(&site.prefix)
        .run(shutdown.clone().cancelled_owned());
    roles.spawn(async { distributor.await.expect("the settings are usable") });
    let mut worker = Worker::builder(proxy.url()).prefix(&site.prefix).slots(2);
    for function in functions::all() {
        worker = worker.serve_erased(function);
    }
    let worker = worker.certificates(certificates.clone()).run(shutdown.clone().cancelled_owned());
    roles.spawn(async { worker.await.expect("the settings are usable") });
    let client = Client::builder(proxy.url()).certificates(certificates).prefix(&site.prefix);
    let client = client.connect().expect("the URL is usable");
    let fib = client.function(FIB);
    assert_eq!(remote(&fib, 20).await, 6765);

    relay.cut();
    assert_eq!(remote(&fib, 20).await, 6765, "over a new connection");

    client.close().await;
    shutdown.cancel();
    let stopped = async { while roles.join_next().await.is_some() {} };
    tokio::time::timeout(TIMEOUT, stopped).await.expect("every role stops");
}

#[tokio::test]
async fn a_broker_with_an_unknown_issuer_is_not_trusted_and_calls_run_locally() {
    let site = BrokerSite::new().await;
    let (known, other) = (Authority::new(), Authority::new());
    let proxy = TlsProxy::before(&site.url, &other.sign("127.0.0.1"), None).await;

    let reason = problem(proxy.url(), with(&known)).await;
    assert!(matches!(reason, Reason::Tls { .. }), "{reason}");

    let client = Client::builder(proxy.url()).certificates(with(&known)).connect();
    let client = client.expect("the URL is usable");
    let call = client.function(FIB).call(20).detailed();
    let answer = tokio::time::timeout(TIMEOUT, call).await.expect("not by its timeout");
    let answer = answer.expect("it runs here");
    assert_eq!(answer.value, 6765);
    assert!(matches!(answer.ran, Ran::Local { .. }));
    client.close().await;
}

#[tokio::test]
async fn a_certificate_for_another_host_is_not_trusted() {
    let (site, authority) = (BrokerSite::new().await, Authority::new());
    let proxy = TlsProxy::before(&site.url, &authority.sign("elsewhere.example"), None).await;
    let reason = problem(proxy.url(), with(&authority)).await;
    assert!(matches!(reason, Reason::Tls { .. }), "{reason}");
}

#[tokio::test]
async fn a_broker_that_requires_a_client_certificate_refuses_others() {
    let (site, authority, people) = (BrokerSite::new().await, Authority::new(), Authority::new());
    let shown = authority.sign("127.0.0.1");
    let proxy = TlsProxy::before(&site.url, &shown, Some(&people)).await;

    for certificates in
        [with(&authority), and(with(&authority), &Authority::new().sign("a-stranger"))]
    {
        let reason = problem(proxy.url(), certificates).await;
        assert!(matches!(reason, Reason::Tls { .. }), "{reason}");
    }
}

#[tokio::test]
async fn a_peer_without_tls_and_a_silent_peer_give_different_errors() {
    let (site, authority) = (BrokerSite::new().await, Authority::new());
    let plain = site.url.replacen("amqp:", "amqps:", 1);
    let reason = problem(&plain, with(&authority)).await;
    assert!(matches!(reason, Reason::Tls { .. }), "{reason}");

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = silent.local_addr().expect("a listener has an address");
    let reason = problem(&format!("amqps://guest:guest@{address}"), with(&authority)).await;
    assert!(matches!(reason, Reason::Unreachable { .. }), "{reason}");
}
