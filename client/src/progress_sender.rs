//! How far a call is, for whoever listens.

use futures_util::stream::{self, Stream, StreamExt};
use simple_dist_protocol::message::Progress;
use tokio::sync::watch;

/// To those who listen to a call, if anybody does; cheap to clone. They get the newest.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProgressSender(Option<watch::Sender<Option<Progress>>>);

impl ProgressSender {
    pub(crate) fn send(&self, progress: Progress) {
        if let Self(Some(sender)) = self {
            sender.send_replace(Some(progress));
        }
    }

    /// Ends when all senders are gone.
    pub(crate) fn subscribe(&mut self) -> impl Stream<Item = Progress> + Send + Unpin + use<> {
        let sender = self.0.get_or_insert_with(|| watch::channel(None).0);
        let progress = stream::unfold(sender.subscribe(), |mut receiver| async {
            receiver.changed().await.ok()?;
            let progress = receiver.borrow_and_update().clone()?;
            Some((progress, receiver))
        });
        progress.boxed()
    }
}
