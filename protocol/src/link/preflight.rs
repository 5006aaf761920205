//! A knock at the broker's door before the client library goes there: it would wait for ever on
//! a peer that says nothing, and leave a thread behind for each try.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BrokerUrl, Reason};
use crate::limits;

const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// What a frame of the method `connection.start` begins with.
const METHOD_FRAME: u8 = 1;

/// Whether a broker answers there within [`PREFLIGHT`](limits::PREFLIGHT).
pub(super) async fn preflight(url: &BrokerUrl) -> Result<(), Reason> {
    let problem = match timeout(limits::PREFLIGHT, knock(url)).await {
        Ok(Ok(METHOD_FRAME)) => return Ok(()),
        Ok(Ok(_)) => "it does not speak AMQP 0-9-1".to_owned(),
        Ok(Err(error)) if url.tls().is_some() && error.kind() == io::ErrorKind::InvalidData => {
            return Err(Reason::Tls { address: url.address(), problem: error.to_string() });
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it says nothing".to_owned(),
    };
    Err(Reason::Unreachable { address: url.address(), problem })
}

/// Over TLS the answer is waited for as well: a broker that wants another certificate of ours says
/// so only after the handshake.
async fn knock(url: &BrokerUrl) -> io::Result<u8> {
    let (host, port) = url.host_and_port();
    let stream = TcpStream::connect((host, port)).await?;
    match url.tls() {
        Some(tls) => greet(tls.wrap(host, stream).await?).await,
        None => greet(stream).await,
    }
}

async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<u8> {
    stream.write_all(PROTOCOL_HEADER).await?;
    stream.flush().await?;
    stream.read_u8().await
}
