//! A cable between a link and the broker.

use super::*;

/// Stands between a link and the broker, and can cut all connections at once, or hold back what the
/// broker says.
pub(crate) struct Cable {
    pub(crate) url: String,
    cut: watch::Sender<u32>,
    held: watch::Sender<bool>,
    _connections: JoinSet<()>,
}

impl Cable {
    pub(crate) async fn lay() -> Self {
        let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far: simple_dist_link::BrokerUrl = broker().parse().unwrap();
        let own = near.local_addr().unwrap().to_string();
        let url = broker().replace(&far.address(), &own);
        assert_ne!(url, broker(), "AMQP_URL names its port");
        let (cut, cuts) = watch::channel(0);
        let (held, holds) = watch::channel(false);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((here, _)) = near.accept().await {
                let (address, mut cuts, holds) = (far.address(), cuts.clone(), holds.clone());
                cuts.mark_unchanged();
                pipes.spawn(async move {
                    let there = TcpStream::connect(address).await.unwrap();
                    let (mut asked, answers) = here.into_split();
                    let (said, mut questions) = there.into_split();
                    tokio::select! {
                        _ended = copy(&mut asked, &mut questions) => {}
                        () = copy_unheld(said, answers, holds) => {}
                        _cut = cuts.changed() => {}
                    }
                });
            }
        });
        Self { url, cut, held, _connections: connections }
    }

    /// Holds back what the broker says, or no longer.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(crate) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn copy_unheld(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut held: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await
        && held.wait_for(|held| !held).await.is_ok()
        && to.write_all(&buffer[..count]).await.is_ok()
    {}
}
