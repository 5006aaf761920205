//! How far a map is.

use futures_util::stream::{self, Stream, StreamExt};
use tokio::sync::watch;

/// How far a map is: see [`Map::progress`](crate::Map::progress).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MapProgress {
    /// Calls that have ended and were given out.
    pub done: usize,
    /// Those of them that failed.
    pub failed: usize,
    /// Calls under way, or ended and not given out yet.
    pub running: usize,
    /// All calls, where the arguments say how many there are.
    pub total: Option<usize>,
}

/// Whom a map tells, if anybody.
#[derive(Debug, Default)]
pub(super) struct Teller(Option<watch::Sender<MapProgress>>);

impl Teller {
    pub(super) fn tell(&self, progress: MapProgress) {
        if let Self(Some(told)) = self {
            told.send_if_modified(|last| std::mem::replace(last, progress) != progress);
        }
    }

    pub(super) fn listen(&mut self) -> impl Stream<Item = MapProgress> + Send + Unpin + use<> {
        let told = self.0.get_or_insert_with(|| watch::channel(MapProgress::default()).0);
        let news = stream::unfold(told.subscribe(), |mut told| async {
            told.changed().await.ok()?;
            let progress = *told.borrow_and_update();
            Some((progress, told))
        });
        news.boxed()
    }
}
