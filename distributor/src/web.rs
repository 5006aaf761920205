//! The page, the API and the metrics over HTTP.
//!
//! ```text
//!  TCP --> [server]  --> [gate]  --> router: the page, [api], [login], [health], [metrics]
//!          so many       host, site, token;          |
//!          connections   time, streams, panics       +--> Desk: views, calls, wishes
//! ```

mod api;
mod gate;
mod guard;
mod health;
mod json;
mod login;
mod metrics;
mod openapi;
mod patience;
pub(crate) mod peers;
mod problem;
mod room;
mod seats;
mod server;
mod session;
mod settings;
mod sheets;

use std::io;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::page;

pub use settings::{LISTEN, Secret, Settings, SettingsError};

/// Takes the address; none if it is taken and not required.
pub(crate) fn listen(settings: &Settings) -> io::Result<Option<TcpListener>> {
    match server::listen(settings.listen) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if settings.required => Err(error),
        Err(error) => {
            let address = settings.listen;
            tracing::warn!(%error, %address, "no page and no API; give an address with --listen");
            Ok(None)
        }
    }
}

/// Serves at `listener` until `shutdown`, then ends within two seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Settings,
    desk: Desk,
    shutdown: CancellationToken,
) {
    let app = router(settings, desk, room::Bounds::default(), shutdown.clone());
    server::accept(listener, app, server::Limits::default(), shutdown).await;
}

/// Everything that is served; `shutdown` ends its event streams.
fn router(
    settings: Settings,
    desk: Desk,
    bounds: room::Bounds,
    shutdown: CancellationToken,
) -> Router {
    let scrape = metrics::Scrape::new(desk.clone());
    let options = page::Options { actions: settings.token.is_some(), shutdown: shutdown.clone() };
    let routes = Router::new()
        .merge(health::router(desk.clone()))
        .merge(metrics::router(scrape))
        .merge(openapi::router())
        .merge(page::router(desk.clone(), options))
        .merge(login::router(settings.clone()))
        .nest("/api/v1", api::router(desk, shutdown));
    gate::close(routes, settings, bounds)
}

#[cfg(test)]
mod tests;
