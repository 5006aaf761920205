//! Server-sent events: the status at each new view, a few times a second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt as _, stream};
use simple_dist_protocol::text;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;
use crate::view::{Status, View};

/// The shortest pause between two events.
const PAUSE: Duration = Duration::from_millis(500);
/// How soon a client should reconnect after the stream broke.
const RETRY: Duration = Duration::from_secs(2);
/// How often a comment is sent, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream lives: a client that is still there reconnects.
const LIFE: Duration = Duration::from_secs(600);

/// What a stream needs.
#[derive(Debug, Clone)]
pub(super) struct StreamState {
    pub(super) handle: Handle,
    pub(super) shutdown: CancellationToken,
}

/// The status, now and at each new view, at most twice a second. Each event is named `status`, and
/// its data is what `/api/v1/status` returns. The stream ends after ten minutes; reconnect then.
#[utoipa::path(get, path = "/events",
    responses((status = 200, content_type = "text/event-stream", body = String),
        (status = 503, body = super::super::problem::Problem, content_type = "application/problem+json")))]
pub(super) async fn events(
    State(source): State<StreamState>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut views = source.handle.views();
    views.mark_changed();
    let ends = async move {
        tokio::select! {
            () = source.shutdown.cancelled() => {}
            () = sleep(LIFE) => {}
        }
    };
    let statuses = stream::unfold((views, None), |(views, pause)| next(views, pause));
    let events = statuses.take_until(ends).map(|view| Ok(event(&view)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

type Views = watch::Receiver<Arc<View>>;

async fn next(
    mut views: Views,
    pause: Option<Duration>,
) -> Option<(Arc<View>, (Views, Option<Duration>))> {
    if let Some(pause) = pause {
        sleep(pause).await;
    }
    views.changed().await.ok()?;
    let view = Arc::clone(&views.borrow_and_update());
    Some((view, (views, Some(PAUSE))))
}

fn event(view: &View) -> Event {
    let event = Event::default().event("status").retry(RETRY).id(view.sequence.to_string());
    // The status is numbers and text, so it can always be encoded.
    event.data(text::json(&Status::from(view)).unwrap_or_default())
}
