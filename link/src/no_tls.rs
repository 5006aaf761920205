//! In place of TLS where it is not built in: there is none, so that nothing can go out in the
//! clear that was meant to be encrypted.

use std::io;

use tokio::net::TcpStream;

use super::UrlError;
use super::certificates::Certificates;

/// Never there.
#[derive(Clone)]
pub(super) enum Tls {}

impl Tls {
    pub(super) fn new(_: &Certificates) -> Result<Self, UrlError> {
        Err(UrlError::Tls)
    }

    #[expect(clippy::unused_async, reason = "as with TLS")]
    pub(super) async fn wrap(&self, _: &str, _: TcpStream) -> io::Result<TcpStream> {
        match *self {}
    }
}
