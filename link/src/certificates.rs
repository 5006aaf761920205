//! The certificates that a link trusts and presents over TLS.

use std::fmt;

/// Certificates for an `amqps://` URL, as PEM text: none by default.
///
/// ```
/// use simple_dist_link::{BrokerUrl, Certificates, UrlError};
///
/// let mine = Certificates::new().ca("-----BEGIN CERTIFICATE-----\n...");
/// let plain = BrokerUrl::new("amqp://localhost", &mine);
/// assert_eq!(plain.err(), Some(UrlError::NotTls), "nothing would be checked against them");
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[must_use = "they are for a URL"]
pub struct Certificates {
    pub(super) ca: Option<String>,
    pub(super) identity: Option<Identity>,
}

/// The client certificate and key, for a broker that asks for one.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Certificates {
    /// Trusts the system's certificates and presents none.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the CA certificates that the broker's certificate must be signed by, replacing the
    /// system's.
    pub fn ca(mut self, pem: impl Into<String>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Sets the certificate to present to a broker that asks for one, including any intermediates,
    /// and its key.
    pub fn identity(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.identity = Some(Identity { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Whether nothing was set.
    pub fn is_empty(&self) -> bool {
        self.ca.is_none() && self.identity.is_none()
    }
}

// Written by hand: keys must not be logged.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
