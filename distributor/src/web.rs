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
mod login;
mod metrics;
mod openapi;
mod patience;
mod problem;
mod server;
mod session;
mod settings;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

pub use settings::{LISTEN, Secret, Settings, SettingsError};

/// Serves at `listener` until `shutdown`, then ends within two seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Settings,
    desk: Desk,
    shutdown: CancellationToken,
) {
    let app = router(settings, desk, shutdown.clone());
    server::accept(listener, app, server::Limits::default(), shutdown).await;
}

/// Everything that is served; `shutdown` ends its event streams.
fn router(settings: Settings, desk: Desk, shutdown: CancellationToken) -> Router {
    let scrape = metrics::Scrape::new(desk.clone());
    let routes = Router::new()
        .merge(health::router(desk.clone()))
        .merge(metrics::router(scrape))
        .merge(openapi::router())
        .merge(login::router(settings.clone()))
        .nest("/api/v1", api::router(desk, shutdown));
    gate::close(routes, settings)
}

#[cfg(test)]
mod tests;
