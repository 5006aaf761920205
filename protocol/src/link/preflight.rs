//! A knock at the broker's door before the client library goes there: it would wait for ever on
//! a peer that says nothing, and leave a thread behind for each try.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it says nothing".to_owned(),
    };
    Err(Reason::Unreachable { address: url.address(), problem })
}

async fn knock(url: &BrokerUrl) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect(url.host_and_port()).await?;
    stream.write_all(PROTOCOL_HEADER).await?;
    stream.read_u8().await
}
