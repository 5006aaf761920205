//! Whom a link trusts over TLS, and as whom it shows itself.

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

/// What a broker that asks for a client certificate is shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Certificates {
    /// Those of the system alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// The certificates that the broker's is to be signed by: these and no others, not even the
    /// system's.
    pub fn ca(mut self, pem: impl Into<String>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// A certificate for a broker that asks for one, with those that lead to its CA, and its key.
    pub fn identity(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.identity = Some(Identity { certificate: certificate.into(), key: key.into() });
        self
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.ca.is_none() && self.identity.is_none()
    }
}

// By hand: a key is not for logs.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .finish()
    }
}
