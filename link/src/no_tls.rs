//! Replaces TLS in builds without it: connecting fails, so that nothing meant to be encrypted is
//! sent in the clear.

use std::io;

use super::certificates::Certificates;
use super::socket::Socket;
use super::url_error::UrlError;

/// Never constructed.
#[derive(Clone)]
pub(super) enum Tls {}

impl Tls {
    pub(super) fn new(_: &Certificates) -> Result<Self, UrlError> {
        Err(UrlError::Tls)
    }

    #[expect(clippy::unused_async, reason = "as with TLS")]
    pub(super) async fn wrap(&self, _: &str, _: Socket) -> io::Result<Socket> {
        match *self {}
    }
}
