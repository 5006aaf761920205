//! TLS for a connection, with rustls. One configuration serves every connection of a link, so that
//! sessions are resumed and a bad file is found before the first.

use std::io;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::certificates::{Certificates, Identity};
use super::socket::Socket;
use super::url_error::UrlError;
use super::wire::Stream;

/// Makes TLS connections.
#[derive(Clone)]
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(certificates: &Certificates) -> Result<Self, UrlError> {
        let unusable = |error: &dyn ToString| UrlError::Certificates(error.to_string());
        let mut trusted = RootCertStore::empty();
        match &certificates.ca {
            Some(pem) => trusted.add_parsable_certificates(chain(pem, "the CA file")?),
            None => trusted.add_parsable_certificates(load_native_certs().certs),
        };
        if trusted.is_empty() {
            return Err(unusable(&"there is none to trust on this system: name a CA file"));
        }
        let config = ClientConfig::builder().with_root_certificates(trusted);
        let config = match &certificates.identity {
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|error| UrlError::Certificates(format!("the key file: {error}")))?;
                let shown = chain(certificate, "the certificate file")?;
                config.with_client_auth_cert(shown, key).map_err(|error| unusable(&error))?
            }
            None => config.with_no_client_auth(),
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Performs the handshake on an established connection.
    pub(super) async fn wrap(&self, host: &str, stream: Socket) -> io::Result<TlsStream<Socket>> {
        let host = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.0.connect(host, stream).await
    }
}

impl Stream for TlsStream<Socket> {
    fn socket(&mut self) -> &mut Socket {
        self.get_mut().0
    }
}

/// The certificates in a PEM text: at least one.
fn chain(pem: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, UrlError> {
    let problem = |problem| UrlError::Certificates(format!("{file}: {problem}"));
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| problem(error.to_string()))?;
    if certificates.is_empty() {
        return Err(problem("there is no certificate in it".to_owned()));
    }
    Ok(certificates)
}
