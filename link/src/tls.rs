//! TLS beneath a connection, by rustls. One configuration serves every connection of a link, so
//! that sessions are resumed and a bad file is found before the first.

use lapin::tcp::{RustlsConnector, RustlsConnectorConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use super::UrlError;
use super::certificates::{Certificates, Identity};

/// What a TLS connection is made with.
#[derive(Clone)]
pub(super) struct Tls(RustlsConnector);

impl Tls {
    pub(super) fn new(certificates: &Certificates) -> Result<Self, UrlError> {
        let unusable = |error: io::Error| UrlError::Certificates(error.to_string());
        let config = match &certificates.ca {
            Some(pem) => {
                let trusted = chain(pem, "the CA file")?;
                RustlsConnectorConfig::default().with_parsable_certificates(trusted)
            }
            None => RustlsConnectorConfig::new_with_native_certs().map_err(unusable)?,
        };
        let connector = match &certificates.identity {
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                    .map_err(|error| UrlError::Certificates(format!("the key file: {error}")))?;
                let shown = chain(certificate, "the certificate file")?;
                config.connector_with_single_cert(shown, key)
            }
            None => config.connector_with_no_client_auth(),
        };
        connector.map(Self).map_err(unusable)
    }

    /// TLS on a connection that is there.
    pub(super) async fn wrap(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + use<>> {
        let connecting = self.0.connect_async(host, stream.compat());
        connecting.await.map(FuturesAsyncReadCompatExt::compat)
    }
}

/// The certificates of a PEM file: at least one.
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
