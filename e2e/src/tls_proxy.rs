//! A TLS proxy in front of any broker, with certificates created on the spot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// How long a handshake may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A certificate authority.
pub struct Authority {
    /// The authority's certificate, in PEM.
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

/// A certificate and its key, in PEM.
#[derive(Debug)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new authority that nobody trusts yet.
    ///
    /// # Panics
    /// Panics if no key can be created.
    #[expect(clippy::new_without_default, reason = "no two are equal")]
    pub fn new() -> Self {
        let mut params = CertificateParams::new([]).expect("no name is no bad name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can be signed");
        Self { pem: certificate.pem(), issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate for a host name or address, or for a client.
    ///
    /// # Panics
    /// Panics if the name is invalid.
    pub fn sign(&self, name: &str) -> Signed {
        let params = CertificateParams::new([name.to_owned()]).expect("it is a name");
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        Signed { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn trusted(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates(&self.pem));
        store
    }
}

/// A TLS proxy on loopback. It stops when it is dropped.
#[derive(Debug)]
pub struct TlsProxy {
    url: String,
    _tasks: JoinSet<()>,
}

impl TlsProxy {
    /// A proxy to the broker of this URL that presents this certificate; with an authority, it
    /// accepts only clients with a certificate from it.
    ///
    /// # Panics
    /// Panics if the URL has no `host:port`, or no port is free.
    pub async fn before(url: &str, shown: &Signed, clients: Option<&Authority>) -> Self {
        let target = crate::relay::host_and_port(url).to_owned();
        let config = match clients {
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(authority.trusted()));
                let verifier = verifier.build().expect("the authority has a certificate");
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
            None => ServerConfig::builder().with_no_client_auth(),
        };
        let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("it is a key");
        let chain = certificates(&shown.certificate);
        let config = config.with_single_cert(chain, key).expect("they belong together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address: SocketAddr = listener.local_addr().expect("a listener has an address");
        let url = url.replacen("amqp:", "amqps:", 1).replace(&target, &address.to_string());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), target));
        Self { url, _tasks: tasks }
    }

    /// The `amqps` URL of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    let read: Result<_, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    read.expect("they are certificates")
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, target: String) {
    let mut pairs = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while pairs.try_join_next().is_some() {}
        pairs.spawn(pass(near, acceptor.clone(), target.clone()));
    }
}

/// Forwards one connection until either end closes.
async fn pass(near: TcpStream, acceptor: TlsAcceptor, target: String) {
    let Ok(Ok(mut near)) = timeout(TIMEOUT, acceptor.accept(near)).await else { return };
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    if near.get_ref().0.set_nodelay(true).and(far.set_nodelay(true)).is_err() {
        return;
    }
    // Both ends see how it ended.
    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}
