//! Where logs go: stderr, as text for a person and as JSON for a collector.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log. Services say what happens; tools only warn.
pub(crate) fn start(service: bool) {
    // The broker's client library logs what the link handles and logs itself, payloads included.
    let default = if service { "info,lapin=off" } else { "error,lapin=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with_target(false).init();
    } else {
        log.json().init();
    }
}
