//! The page, the API and the metrics over HTTP.
//!
//! ```text
//!  TCP --> [server]  --> [middleware]  --> router: the page, [api], [login], [health], [metrics]
//!          limited       host, site, token;          |
//!          connections   time, streams, panics       +--> Handle: views, calls, operator actions
//! ```

mod access;
mod api;
mod base;
mod connections;
mod health;
mod host;
mod json;
mod json_body;
mod login;
mod memory;
mod metrics;
mod middleware;
mod openapi;
pub(crate) mod peers;
mod problem;
mod server;
mod session;
mod settings;
mod write_timeout;

use std::io;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::handle::Handle;
use crate::page;

pub use base::BasePath;
pub use settings::{LISTEN, Secret, Settings, SettingsError};

/// Binds the address; `None` if it is taken and not required.
pub(crate) fn listen(settings: &Settings) -> io::Result<Option<TcpListener>> {
    match server::listen(settings.listen) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if settings.required => Err(error),
        Err(error) => {
            let address = settings.listen;
            tracing::warn!(%error, %address, "the page and the API are off: cannot listen; give another address with --listen");
            Ok(None)
        }
    }
}

/// Serves at `listener` until `shutdown`, then ends within two seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    settings: Settings,
    handle: Handle,
    shutdown: CancellationToken,
) {
    let app = router(settings, handle, memory::Limits::default(), shutdown.clone());
    server::accept(listener, app, server::Limits::default(), shutdown).await;
}

/// The routes; `shutdown` ends their event streams.
fn router(
    settings: Settings,
    handle: Handle,
    limits: memory::Limits,
    shutdown: CancellationToken,
) -> Router {
    let options = page::Options {
        actions: settings.token.is_some(),
        base: settings.base_path.clone(),
        shutdown: shutdown.clone(),
    };
    let routes = Router::new()
        .merge(health::router(handle.clone()))
        .merge(metrics::router(handle.clone()))
        .merge(openapi::router())
        .merge(page::router(handle.clone(), options))
        .merge(login::router(settings.clone()))
        .nest("/api/v1", api::router(handle, shutdown));
    let base = settings.base_path.clone();
    let app = middleware::apply(routes, settings, limits);
    // Routes are chosen before a router's own layers run.
    let strip = move |request: Request| base.strip(request);
    Router::new().fallback_service(tower::util::MapRequest::new(app, strip))
}

#[cfg(test)]
mod tests;
